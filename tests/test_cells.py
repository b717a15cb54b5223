"""Built-in cells, and cells from files."""

from __future__ import annotations

import math
import os
import random
from pathlib import Path

import pytest

from rnn_symbolic.cells import BUILT_IN, MAX_BYTES, Cell, load_cell, parse_cell
from rnn_symbolic.equations import read_cell_text
from rnn_symbolic.errors import CellError, InputError
from rnn_symbolic.expressions import Add, Apply, Call, Expression, Multiply, Number, Quantity, walk

ELMAN = ("W_h", "W_x", "b_h", "W_y", "b_y")


GATED = {
    "lstm": (
        "a_f a_i a_g a_o f i g o c h y",
        "W_f U_f b_f W_i U_i b_i W_g U_g b_g W_o U_o b_o W_y b_y",
    ),
    "lstm-peephole": (
        "a_f a_i a_g f i g c a_o o h y",
        "W_f U_f P_f b_f W_i U_i P_i b_i W_g U_g b_g W_o U_o P_o b_o W_y b_y",
    ),
    "gru": ("a_z a_r z r a_n n h y", "W_z U_z b_z W_r U_r b_r W_n U_n b_n W_y b_y"),
    "gru-cudnn": ("a_z a_r z r a_n n h y", "W_z U_z b_z W_r U_r b_r U_n b_n W_n c_n W_y b_y"),
    "mgu": ("a_f f a_n n h y", "W_f U_f b_f W_n U_n b_n W_y b_y"),
}


@pytest.mark.parametrize(
    ("name", "quantities", "lags", "parameters"),
    [
        ("elman", "a h o y", {"h": 1}, ELMAN),
        ("jordan", "a h o y", {"y": 1}, ELMAN),
        ("irnn", "a h o y", {"h": 1}, ELMAN),
        ("linear", "h y", {"h": 1}, ELMAN),
        ("residual", "a h o y", {"h": 1}, ELMAN),
        ("lag2", "a h o y", {"h": 2}, ("W_h", "V_h", "W_x", "b_h", "W_y", "b_y")),
        (
            "two-layer",
            "a h e s o y",
            {"h": 1, "s": 1},
            ("W_h", "W_x", "b_h", "W_s", "U_s", "b_s", "W_y", "b_y"),
        ),
        *(
            (name, quantities, {"h": 1, "c": 1} if "lstm" in name else {"h": 1}, tuple(parameters.split()))
            for name, (quantities, parameters) in GATED.items()
        ),
    ],
)
def test_built_in(name: str, quantities: str, lags: dict[str, int], parameters: tuple[str, ...]) -> None:
    cell = load_cell(name)
    assert cell.name == name
    assert cell.quantities == tuple(quantities.split())
    assert list(zip(cell.states, cell.lags, strict=True)) == list(lags.items())
    assert cell.parameters == parameters
    assert (cell.loss, cell.scalars, cell.uses_input) == (None, (), True)


def test_built_ins_stand_from_simple_to_gated() -> None:
    assert " ".join(BUILT_IN) == (
        "elman jordan irnn linear residual lag2 two-layer lstm lstm-peephole gru gru-cudnn mgu d2l pascanu"
    )


SIGMA, LOGISTIC, TANH = math.tanh, lambda z: 1 / (1 + math.exp(-z)), math.tanh


def by_hand(name: str, w: dict[str, float], x: float, h: float, c: float, s: float, y: float) -> dict[str, float]:
    """One step of each cell at size 1, as its source states it; σ is tanh."""

    def gate(letter: str, memory: float = 0.0) -> float:
        return w[f"W_{letter}"] * h + w[f"U_{letter}"] * x + w.get(f"P_{letter}", 0.0) * memory + w[f"b_{letter}"]

    drive = w.get("W_x", 0.0) * x + w.get("b_h", 0.0)
    if name == "jordan":
        new = {"h": SIGMA(w["W_h"] * y + drive)}
    elif name == "irnn":
        new = {"h": max(0.0, w["W_h"] * h + drive)}
    elif name == "d2l":
        new = {"h": w["W_h"] * h + drive}
        return new | {"y": w["W_y"] * new["h"]}
    elif name == "pascanu":  # the state before the activation one step back is called y here
        new = {"a": w["W_h"] * SIGMA(y) + drive}
        return new | {"y": new["a"]}
    elif name == "linear":
        new = {"h": w["W_h"] * h + drive}
        return new | {"y": w["W_y"] * new["h"] + w["b_y"]}
    elif name == "residual":
        new = {"h": h + SIGMA(w["W_h"] * h + drive)}
    elif name == "lag2":  # the state two steps back is called c here
        new = {"h": SIGMA(w["W_h"] * h + w["V_h"] * c + drive)}
    elif name == "two-layer":
        lower = SIGMA(w["W_h"] * h + drive)
        upper = SIGMA(w["W_s"] * s + w["U_s"] * lower + w["b_s"])
        return {"h": lower, "s": upper, "y": SIGMA(w["W_y"] * upper + w["b_y"])}
    elif name.startswith("lstm"):
        memory = LOGISTIC(gate("f", c)) * c + LOGISTIC(gate("i", c)) * TANH(gate("g"))
        new = {"c": memory, "h": LOGISTIC(gate("o", memory)) * TANH(memory)}
    elif name.startswith("gru"):
        keep, reset = LOGISTIC(gate("z")), LOGISTIC(gate("r"))
        if name == "gru":
            candidate = TANH(w["W_n"] * (reset * h) + w["U_n"] * x + w["b_n"])
        else:
            candidate = TANH(w["U_n"] * x + w["b_n"] + reset * (w["W_n"] * h + w["c_n"]))
        new = {"h": keep * h + (1 - keep) * candidate}
    elif name == "mgu":
        forget = LOGISTIC(gate("f"))
        candidate = TANH(w["W_n"] * (forget * h) + w["U_n"] * x + w["b_n"])
        new = {"h": (1 - forget) * h + forget * candidate}
    else:
        new = {"h": SIGMA(w["W_h"] * h + drive)}
    return new | {"y": SIGMA(w["W_y"] * new["h"] + w["b_y"])}


def evaluate(expression: Expression, point: dict[tuple[str, int], float]) -> float:
    """An expression of a generic step, where ``point`` has each name at its lag."""
    match expression:
        case Quantity(name, step):
            return point[name, -(step or 0)]
        case Number(value):
            return float(value)
        case Call(function, argument):
            known = {"sigma": SIGMA, "tanh": TANH, "logistic": LOGISTIC, "relu": lambda z: max(0.0, z)}
            return known[function](evaluate(argument, point))
        case Add(terms):
            return sum(evaluate(term, point) for term in terms)
        case Multiply(factors):
            return math.prod(evaluate(factor, point) for factor in factors)
        case Apply(left, right):
            return evaluate(left, point) * evaluate(right, point)
    raise AssertionError(expression)


@pytest.mark.parametrize("name", BUILT_IN)
@pytest.mark.parametrize("seed", range(3))
def test_a_built_in_computes_what_its_source_states(name: str, seed: int) -> None:
    cell, dice = load_cell(name), random.Random(seed)
    weights = {parameter: dice.uniform(-1.5, 1.5) for parameter in cell.parameters}
    x, h, c, s, y = (dice.uniform(-1, 1) for _ in range(5))
    point = {(parameter, 0): weight for parameter, weight in weights.items()}
    point |= {("x", 0): x, ("h", 1): h, ("h", 2): c, ("c", 1): c, ("s", 1): s, ("y", 1): y, ("a", 1): y}
    for equation in cell.equations:
        point[equation.target.name, 0] = evaluate(equation.expression, point)
    for target, expected in by_hand(name, weights, x, h, c, s, y).items():
        assert point[target, 0] == pytest.approx(expected, rel=1e-12), (target, seed)


@pytest.mark.parametrize("name", BUILT_IN)
def test_every_built_in_begins_with_its_name(name: str) -> None:
    assert BUILT_IN[name].startswith(f"# {name}: ")
    assert load_cell(name).quantities[-1] == "y"


def test_the_article_is_the_default_text() -> None:
    """The text of the contract, letter by letter."""
    assert BUILT_IN["elman"] == (
        "# elman: the article's network\n"
        "a = W_h @ h[t-1] + W_x @ x + b_h\n"
        "h = sigma(a)\n"
        "o = W_y @ h + b_y\n"
        "y = sigma(o)\n"
    )


def test_a_cell_holds_what_its_text_says() -> None:
    text = "scalar tau\nh = tau * h[t-1] + x\ny = h\nloss = y - d"
    cell, reading = parse_cell(text, "leaky"), read_cell_text(text)
    assert cell == Cell(
        "leaky",
        text,
        reading.equations,
        reading.loss,
        ("h",),
        (1,),
        ("tau",),
        ("tau",),
        True,
    )
    assert hash(cell) == hash(parse_cell(text, "leaky"))


def test_states_begin_as_far_back_as_they_look() -> None:
    cell = parse_cell("c = c[t-1] + h[t-3]\nh = x + h[t-1]\ny = c + h")
    assert cell.states == ("c", "h")
    expected = (Quantity("c", 0), Quantity("h", 0), Quantity("h", -1), Quantity("h", -2))
    assert cell.initial_states == expected
    steps_at_1 = {
        node.at(1)
        for equation in cell.equations
        for node in walk(equation.expression)
        if isinstance(node, Quantity) and node.step is not None and node.step < 0
    }
    assert steps_at_1 <= set(expected)


def test_a_cell_comes_back_as_it_is() -> None:
    cell = load_cell("elman")
    assert load_cell(cell) is cell


@pytest.mark.parametrize("text", ["y = W @ x", "y = x\r", "# nothing else\ny = x\n"])
def test_text_itself(text: str) -> None:
    cell = load_cell(text)
    assert (cell.name, cell.text, cell.quantities) == ("cell", text, ("y",))


def test_bad_text_keeps_its_place() -> None:
    with pytest.raises(CellError, match=r"^line 2, column 5: ") as caught:
        load_cell("h = x\ny = tahn(h)")
    assert (caught.value.line, caught.value.column) == (2, 5)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_a_file(tmp_path: Path, encoding: str) -> None:
    file = tmp_path / "my cell.v2.txt"
    file.write_text(BUILT_IN["lag2"].replace("lag2", "σ"), encoding=encoding)
    for source in (str(file), file):
        cell = load_cell(source)
        assert cell.name == "my cell.v2"
        assert cell.equations == load_cell("lag2").equations


def test_a_built_in_wins_over_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("elman").write_text("y = x", encoding="utf-8")
    assert load_cell("elman").quantities == tuple("ahoy")
    assert load_cell("./elman").quantities == ("y",)
    assert load_cell(Path("elman")).quantities == ("y",)


def refusal(source: str) -> str:
    with pytest.raises(InputError) as caught:
        load_cell(source)
    message = str(caught.value)
    assert message.isprintable(), "one line, and nothing that steers a terminal"
    return message


@pytest.mark.parametrize("source", ["", "bananas", "no/such/file.cell", "\x00", "a" * 300, "\ud800", "\x1b[31m"])
def test_an_unknown_name_lists_the_known(source: str) -> None:
    message = refusal(source)
    assert repr(source) in message or "cannot read" in message
    if len(source) < 255:
        assert all(name in message for name in BUILT_IN)


@pytest.mark.parametrize(("given", "meant"), [("elmann", "elman"), ("Linear", "linear"), ("LAG2", "lag2")])
def test_a_near_name_is_suggested(given: str, meant: str) -> None:
    assert refusal(given).endswith(f"Did you mean {meant!r}?")


def test_files_that_are_none(tmp_path: Path) -> None:
    assert "is a directory" in refusal(str(tmp_path))
    assert "no plain file" in refusal(os.devnull)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    assert "no plain file" in refusal(str(pipe))
    (tmp_path / "file").write_text("y = x", encoding="utf-8")
    assert "no built-in cell and no file" in refusal(str(tmp_path / "file" / "inside"))
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    assert "cannot read" in refusal(str(loop))


def test_files_that_are_no_text(tmp_path: Path) -> None:
    file = tmp_path / "bad.cell"
    file.write_bytes(b"y = x # \xff")
    assert "not UTF-8 text (byte 9)" in refusal(str(file))
    file.write_bytes(b"#" * MAX_BYTES)
    with pytest.raises(CellError, match="at most 20000 characters"):
        load_cell(str(file))
    file.write_bytes(b"#" * (MAX_BYTES + 1))
    assert "larger than 64 kB" in refusal(str(file))
    file.write_bytes(b"")
    with pytest.raises(CellError, match="no equation"):
        load_cell(str(file))


def test_an_unreadable_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "secret.cell"
    file.write_text("y = x", encoding="utf-8")

    def denied(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    # Permissions do not bind every user who may run the tests, so the refusal is staged.
    monkeypatch.setattr("builtins.open", denied)
    assert refusal(str(file)) == f"cannot read {str(file)!r}: Permission denied"
