"""Built-in cells, and cells from files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rnn_symbolic.cells import BUILT_IN, MAX_BYTES, Cell, load_cell, parse_cell
from rnn_symbolic.equations import read_cell_text
from rnn_symbolic.errors import CellError, InputError
from rnn_symbolic.expressions import Quantity, walk

ELMAN = ("W_h", "W_x", "b_h", "W_y", "b_y")


@pytest.mark.parametrize(
    ("name", "quantities", "lags", "parameters"),
    [
        ("elman", "ahoy", (1,), ELMAN),
        ("irnn", "ahoy", (1,), ELMAN),
        ("linear", "hy", (1,), ELMAN),
        ("residual", "ahoy", (1,), ELMAN),
        ("lag2", "ahoy", (2,), ("W_h", "V_h", "W_x", "b_h", "W_y", "b_y")),
    ],
)
def test_built_in(name: str, quantities: str, lags: tuple[int, ...], parameters: tuple[str, ...]) -> None:
    cell = load_cell(name)
    assert cell.name == name
    assert cell.quantities == tuple(quantities)
    assert (cell.states, cell.lags, cell.parameters) == (("h",), lags, parameters)
    assert (cell.loss, cell.scalars, cell.uses_input) == (None, (), True)


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
