"""The values a user gives: read strictly, refused by name; and concrete functions for what is abstract."""

from __future__ import annotations

import io
import json
import math
import os
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest

from rnn_symbolic.cells import load_cell
from rnn_symbolic.concrete import concrete
from rnn_symbolic.entries import MAX_BYTES
from rnn_symbolic.errors import InputError
from rnn_symbolic.expressions import Call, StepLoss, walk
from rnn_symbolic.model import unroll
from rnn_symbolic.numeric import Point
from rnn_symbolic.valuation import random_point
from rnn_symbolic.values import point_from_mapping, point_of, read_values

ELMAN = load_cell("elman")
GOOD = {
    "W_x": 0.5, "W_h": 0.8, "W_y": 1.5, "b_h": 0.1, "b_y": -0.2, "h_0": 0.25,
    "x": [1, -0.5, 2], "d": [0.3, 0.6, 0.9],
}  # fmt: skip
AUTONOMOUS = load_cell("h = w * h[t-1]\ny = h")
OWN_LOSS = load_cell("h = w * h[t-1] + x\ny = h\nloss = y ** 2")


def write(tmp_path, text: str | bytes) -> str:
    path = tmp_path / "point.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(path)


def read(tmp_path, values: object, cell=ELMAN, **options):
    text = values if isinstance(values, str | bytes) else json.dumps(values)
    return read_values(write(tmp_path, text), cell, **options)


def without(*names: str, **changed: object) -> dict[str, object]:
    return {**{name: value for name, value in GOOD.items() if name not in names}, **changed}


# --- what is accepted ---


def test_a_file_is_read(tmp_path):
    point, steps = read(tmp_path, GOOD)
    assert steps == 3
    assert point == Point(
        {"W_h": 0.8, "W_x": 0.5, "b_h": 0.1, "W_y": 1.5, "b_y": -0.2},
        {("h", 0): 0.25},
        (1.0, -0.5, 2.0),
        (0.3, 0.6, 0.9),
    )
    assert point.label.endswith("point.json")
    assert all(type(value) is float for value in point.leaves().values())


def test_initial_states_are_zero_unless_given(tmp_path):
    assert read(tmp_path, without("h_0"))[0].initial == {("h", 0): 0.0}
    two = without("h_0", V_h=0.3)
    assert read(tmp_path, two, load_cell("lag2"))[0].initial == {("h", 0): 0.0, ("h", -1): 0.0}
    two["h_-1"] = 2
    assert read(tmp_path, two, load_cell("lag2"))[0].initial == {("h", 0): 0.0, ("h", -1): 2.0}


def test_steps_may_be_given_when_they_agree(tmp_path):
    assert read(tmp_path, GOOD, steps=3)[1] == 3


def test_d_may_be_missing_where_nothing_reads_it(tmp_path):
    assert read(tmp_path, without("d"), need_targets=False)[0].d == (0.0, 0.0, 0.0)
    assert read(tmp_path, GOOD, need_targets=False)[0].d == (0.3, 0.6, 0.9)  # the file of `gradient` serves `jacobian`
    assert read(tmp_path, {"w": 1, "x": [1, 2]}, OWN_LOSS)[0].d == (0.0, 0.0)
    assert read(tmp_path, {"w": 1, "x": [1, 2], "d": [3, 4]}, OWN_LOSS)[0].d == (3.0, 4.0)


def test_a_cell_without_input_takes_its_steps_from_d_or_from_the_option(tmp_path):
    point, steps = read(tmp_path, {"w": 1, "d": [1, 2]}, AUTONOMOUS)
    assert (steps, len(point.x), point.d) == (2, 2, (1.0, 2.0))
    assert read(tmp_path, {"w": 1}, AUTONOMOUS, steps=4, need_targets=False)[1] == 4


def test_a_byte_order_mark_is_no_harm(tmp_path):
    assert read(tmp_path, b"\xef\xbb\xbf" + json.dumps(GOOD).encode())[1] == 3


@pytest.mark.parametrize("stream", ["bytes", "text"])
def test_the_standard_input_is_read(monkeypatch, stream):
    text = json.dumps(GOOD)
    fake = io.StringIO(text) if stream == "text" else io.TextIOWrapper(io.BytesIO(text.encode()))
    monkeypatch.setattr(sys, "stdin", fake)
    assert read_values("-", ELMAN)[1] == 3


def test_no_standard_input(monkeypatch):
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(InputError, match="no standard input"):
        read_values("-", ELMAN)


def test_a_mapping_takes_numbers_sequences_and_arrays():
    model = unroll("elman", steps=3)
    plain = point_from_mapping(GOOD, model)
    arrays = {name: np.array(value) for name, value in GOOD.items()}
    assert point_from_mapping(arrays, model) == plain
    assert point_from_mapping({**GOOD, "x": (1, np.float32(-0.5), Fraction(2))}, model) == plain
    assert point_from_mapping({**GOOD, "W_x": np.float64(0.5), "b_h": np.array(0.1)}, model) == plain
    assert point_from_mapping({**GOOD, "x": range(3)}, model).x == (0.0, 1.0, 2.0)


@pytest.mark.parametrize("loss", ["abstract", "squared", "cross-entropy"])
def test_every_built_in_loss_needs_targets(loss):
    with pytest.raises(InputError, match="lack 'd'"):
        point_from_mapping(without("d"), unroll("elman", loss=loss))
    assert point_from_mapping(without("d"), unroll("elman", loss=loss), need_targets=False).d == (0.0,) * 3


def test_a_point_is_checked_too():
    model = unroll("elman", steps=3)
    point = random_point(model, 7)
    assert point_of(point, model) == point
    assert point_of(point, model).label == "seed 7"
    assert point_of(random_point(unroll(AUTONOMOUS), 1), unroll(AUTONOMOUS)).label == "seed 1"
    with pytest.raises(InputError, match="'x' has 3 entries, but T is 4"):
        point_of(point, unroll("elman", steps=4))
    with pytest.raises(InputError, match="lack 'V_h'"):
        point_of(point, unroll("lag2", steps=3))


# --- what is refused, by name ---

REFUSED = {
    "missing": (without("W_h"), "the values lack 'W_h'"),
    "several missing": (without("W_h", "x"), "the values lack 'W_h', 'x'"),
    "d missing": (without("d"), "the values lack 'd'"),
    "extra": (without(q=1), "'q' is no entry for elman"),
    "misspelt": (without("W_h", Wh=1), "'Wh' is no entry for elman.* Did you mean 'W_h'?"),
    "a state that is none": (without(h_1=1), "'h_1' is no entry.* Did you mean 'h_0'?"),
    "a lag that is none": (without(**{"h_-1": 1}), "'h_-1' is no entry"),
    "a list for a number": (without(W_h=[1.0]), "'W_h' is a list; expected one number"),
    "a matrix": (without(W_h=[[1.0]]), "'W_h' is a list"),
    "an object": (without(W_h={"a": 1}), "'W_h' is an object"),
    "a number for a list": (without(x=1), "'x' is a number; expected a list"),
    "a string for a list": (without(d="123"), "'d' is the string '123'"),
    "a string": (without(W_h="0.8"), "'W_h' is the string '0.8'"),
    "a boolean": (without(W_h=True), "'W_h' is the boolean true"),
    "null": (without(W_h=None), "'W_h' is null"),
    "null state": (without(h_0=None), "'h_0' is null"),
    "a boolean in a list": (without(x=[1, False, 2]), "'x' at step 2 is the boolean false"),
    "a list in a list": (without(d=[1, 2, [3]]), "'d' at step 3 is a list"),
    "lengths": (without(d=[1, 2]), "'x' has 3 entries and 'd' has 2 entries"),
    "one entry": (without(d=[1]), "'d' has 1 entry;"),
    "no entry": (without(x=[], d=[]), "'x' is empty"),
    "NaN": (without(W_h=math.nan), r"'W_h' is not a finite number \(nan\)"),
    "Infinity": (without(x=[1, math.inf, 2]), "'x' at step 2 is not a finite number"),
    "-Infinity": (without(h_0=-math.inf), "'h_0' is not a finite number"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_a_bad_entry_is_refused_by_name(case, tmp_path):
    values, message = REFUSED[case]
    with pytest.raises(InputError, match=message) as by_file:
        read(tmp_path, values)
    with pytest.raises(InputError, match=message) as by_mapping:
        point_from_mapping(values, unroll("elman", steps=3))
    assert "\n" not in str(by_file.value) + str(by_mapping.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"W_h": 1, "W_x": 2, "W_h": 3}', "'W_h' is given twice"),
        ('{"W_h": {"a": 1, "a": 2}}', "'a' is given twice"),
        ('{"W_h": 1e999}', None),
        ('{"W_h": ' + "9" * 400 + "}", None),
        ('{"W_h": -' + "9" * 5000 + "}", None),  # more digits than Python converts to an int
        ("", "is empty"),
        ("  \n", "is empty"),
        ("[1, 2]", "holds a list; expected a JSON object"),
        ("3", "holds a number"),
        ("null", "holds null"),
        ('{"W_h": 1,\n "W_x": }', "line 2, column 9: expecting value"),
        ('{"W_h": 1', "line 1, column 10"),
        ("{'W_h': 1}", "line 1, column 2"),
        ('{"W_h": 1} {"W_h": 1}', "extra data"),
        ('{"W_h": ' + "[" * 100_000 + "]" * 100_000 + "}", "nested too deep"),
        ('{"x": ' + '{"a":' * 100_000 + "1" + "}" * 100_000 + "}", "nested too deep"),
        (b'{"W_h": "\xff"}', "not UTF-8"),
        (json.dumps(GOOD).encode("utf-16"), "not UTF-8"),
    ],
)
def test_a_bad_file_is_refused(text, message, tmp_path):
    if message is None:
        text, message = json.dumps(GOOD).replace('"W_h": 0.8', text[1:-1]), "'W_h' is not a finite number"
    with pytest.raises(InputError, match=message) as refusal:
        read(tmp_path, text)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("name", ["W\nh", "\x1b[31m", "\ud800", "a" * 10_000, "", "'", "__class__"])
def test_strange_names_stay_on_one_short_line(name, tmp_path):
    with pytest.raises(InputError) as refusal:
        read(tmp_path, {**GOOD, name: 1})
    message = str(refusal.value)
    assert message.isprintable() and len(message) < 300


def test_names_that_are_no_text():
    with pytest.raises(InputError, match="3 is no entry"):
        point_from_mapping({**GOOD, 3: 1}, unroll("elman"))  # type: ignore[dict-item]
    with pytest.raises(InputError, match="values are a list; expected a mapping"):
        point_from_mapping([1, 2], unroll("elman"))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.array([0.8]), "a list"),
        (np.bool_(True), "boolean"),
        (1j, "a complex"),
        (np.complex128(1), "a complex"),
        (10**400, "not a finite number"),
        (Fraction(10**400), "not a finite number"),
        (np.float64("nan"), "not a finite number"),
        (object(), "a object"),
        (b"1", "expected one number"),
    ],
)
def test_a_mapping_is_as_strict_as_a_file(value, message):
    with pytest.raises(InputError, match=f"'W_h' is .*{message}"):
        point_from_mapping({**GOOD, "W_h": value}, unroll("elman"))


@pytest.mark.parametrize("value", [{1, 2, 3}, (n for n in (1, 2, 3)), b"123", {"a": 1}, np.ones((3, 1))])
def test_what_is_no_sequence_over_time(value):
    with pytest.raises(InputError, match="'x'"):
        point_from_mapping({**GOOD, "x": value}, unroll("elman"))


def test_steps_must_agree(tmp_path):
    with pytest.raises(InputError, match=r"'x' has 3 entries, but T is 5; .* --steps 3"):
        read(tmp_path, GOOD, steps=5)
    with pytest.raises(InputError, match="do not say how many steps"):
        read(tmp_path, {"w": 1}, AUTONOMOUS, need_targets=False)
    with pytest.raises(InputError, match="'d' has 2 entries, but T is 3"):
        read(tmp_path, {"w": 1, "d": [1, 2]}, AUTONOMOUS, steps=3)


def test_x_of_a_cell_without_input(tmp_path):
    with pytest.raises(InputError, match="'x' is given, but cell has no input x"):
        read(tmp_path, {"w": 1, "x": [1], "d": [1]}, AUTONOMOUS)


# --- files ---


@pytest.mark.parametrize("path", ["no/such/file.json", "nul\0byte", "x" * 5000, ""])
def test_no_such_file(path):
    with pytest.raises(InputError) as refusal:
        read_values(path, ELMAN)
    assert str(refusal.value).isprintable()


def test_a_file_with_a_strange_name(tmp_path):
    path = tmp_path / "a\nb.json"
    path.write_text("[]", encoding="utf-8")
    with pytest.raises(InputError, match="holds a list") as refusal:
        read_values(path, ELMAN)
    assert str(refusal.value).isprintable()


def test_a_directory(tmp_path):
    with pytest.raises(InputError, match="is a directory"):
        read_values(tmp_path, ELMAN)


def test_a_pipe_or_a_device_does_not_hang(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", "/dev/zero"):
        with pytest.raises(InputError, match="no plain file"):
            read_values(path, ELMAN)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads everything")
def test_an_unreadable_file(tmp_path):
    path = write(tmp_path, "{}")
    os.chmod(path, 0)
    with pytest.raises(InputError, match=r"cannot read .*: Permission denied"):
        read_values(path, ELMAN)


def test_a_file_that_cannot_be_read(tmp_path, monkeypatch):
    path = write(tmp_path, "{}")

    def refuse(*arguments: object, **options: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", refuse)
    with pytest.raises(InputError, match=r"cannot read .*: Permission denied"):
        read_values(path, ELMAN)


def test_a_huge_file(tmp_path):
    path = tmp_path / "huge.json"
    with path.open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    with pytest.raises(InputError, match="larger than 16 MB"):
        read_values(path, ELMAN)


def test_neither_sympy_nor_numpy_is_needed(tmp_path):
    probe = (
        "import sys; from rnn_symbolic.values import read_values; from rnn_symbolic.cells import load_cell\n"
        "from rnn_symbolic.model import unroll; from rnn_symbolic.checking import check_gradient\n"
        f"point, steps = read_values({write(tmp_path, json.dumps(GOOD))!r}, load_cell('elman'))\n"
        "assert check_gradient(unroll('elman', steps=steps), None, point).passed\n"
        "sys.exit(str({'sympy', 'numpy'} & set(sys.modules) or '') or 0)"
    )
    run = subprocess.run([sys.executable, "-c", probe], capture_output=True, encoding="utf-8", check=False)
    assert (run.returncode, run.stderr) == (0, "")


# --- concrete ---


@pytest.mark.parametrize("activation", ["logistic", "tanh", "relu", "identity", "sin", "cos", "exp", "sqrt"])
@pytest.mark.parametrize("loss", ["squared", "cross-entropy"])
def test_concrete_is_the_model_with_functions_chosen(activation, loss):
    model = unroll("elman", steps=2)
    made = concrete(model, activation, loss)
    fresh = unroll("elman", steps=2, activation=activation, loss=loss)
    assert made.definitions == fresh.definitions
    assert not any(
        isinstance(node, StepLoss) or (isinstance(node, Call) and node.function == "sigma")
        for edge in made.table
        for node in walk(edge.value)
    )
    if activation in ("logistic", "tanh", "relu"):
        assert {(e.head, e.tail): e.value for e in made.table} == {(e.head, e.tail): e.value for e in fresh.table}
    assert (made.collapse is None) == (fresh.collapse is None)


def test_a_concrete_model_is_itself():
    model = unroll("elman", activation="tanh", loss="squared")
    assert concrete(model, "sin") is model


def test_the_loss_that_was_derived_is_kept():
    """Binary cross-entropy of an abstract output stays binary, whatever σ becomes."""
    model = unroll("elman", loss="cross-entropy")
    assert concrete(model, "sin").definition["l"] == model.definition["l"]
    own = unroll("h = sigma(w * h[t-1] + x)\ny = h\nloss = (y - d) ** 4")
    assert concrete(own, "tanh").definition["l"] == own.definition["l"]


@pytest.mark.parametrize("choice", [{"activation": "sigma"}, {"loss": "abstract"}])
def test_an_abstract_choice_is_refused(choice):
    with pytest.raises(InputError, match="numbers need a function"):
        concrete(unroll("elman"), **choice)
    with pytest.raises(InputError, match="'tnah' is not a"):
        concrete(unroll("elman"), "tnah")
