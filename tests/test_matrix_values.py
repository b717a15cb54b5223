"""Arrays a user gives in matrix form: nested lists read strictly, refused by name; sizes that must agree."""

from __future__ import annotations

import json
import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from rnn_symbolic.arrays import MatrixPoint
from rnn_symbolic.cells import load_cell
from rnn_symbolic.errors import InputError
from rnn_symbolic.matrix_values import MAX_NUMBERS
from rnn_symbolic.model import Model, unroll
from rnn_symbolic.numeric import Point
from rnn_symbolic.values import point_from_mapping, point_of, read_values

ELMAN = load_cell("elman")
GOOD: dict[str, Any] = {
    "W_x": [[0.5, 1], [0.25, -1], [2, 3]],
    "W_h": [[0.5, 0, 1], [0, 1, 0.5], [-1, 2, 0.5]],
    "W_y": [[1, 2, 3]],
    "b_h": [0.1, 0.2, 0.3],
    "b_y": [0.5],
    "h_0": [0.5, -0.5, 0.25],
    "x": [[1, -0.5], [2, 0]],
    "d": [[0.3], [0.6]],
}
BATCH = {**GOOD, "x": [[[1, -0.5]] * 4, [[2, 0]] * 4], "d": [[[0.3]] * 4, [[0.6]] * 4]}
AUTONOMOUS = load_cell("h = W @ h[t-1]\ny = h")
DECAY = load_cell("scalar tau\nh = tau * h[t-1]\ny = h")
OWN_LOSS = load_cell("h = W @ h[t-1] + x\ny = h\nloss = sum(y ** 2)")


def elman(**options: Any) -> Model:
    return unroll("elman", **{"steps": 2, "form": "matrix", **options})


def changed(*names: str, base: dict[str, Any] = GOOD, **entries: Any) -> dict[str, Any]:
    return {**{name: value for name, value in base.items() if name not in names}, **entries}


def read(tmp_path: Any, values: Any, cell: Any = ELMAN, **options: Any) -> tuple[MatrixPoint, int]:
    path = tmp_path / "point.json"
    path.write_text(values if isinstance(values, str) else json.dumps(values), encoding="utf-8")
    return read_values(path, cell, form="matrix", **options)


def same(point: MatrixPoint, other: MatrixPoint) -> bool:
    """All entries equal, in shape too."""
    pairs = [
        *((point.parameters[name], other.parameters[name]) for name in point.parameters | other.parameters),
        *((point.initial[key], other.initial[key]) for key in point.initial | other.initial),
        (point.x, other.x),
        (point.d, other.d),
    ]
    equal = all(a.shape == b.shape and a.dtype == b.dtype == np.float64 and (a == b).all() for a, b in pairs)
    return equal and point.sizes == other.sizes and point.batch == other.batch


# --- what is accepted ---


def test_a_file_is_read(tmp_path: Any) -> None:
    point, steps = read(tmp_path, GOOD)
    assert steps == 2
    assert point.sizes == {"n_x": 2, "n_h": 3, "n_y": 1} and point.batch is None
    for name in ELMAN.parameters:
        assert np.array_equal(point.parameters[name], np.array(GOOD[name], dtype=float)), name
    assert np.array_equal(point.initial["h", 0], [0.5, -0.5, 0.25])
    assert np.array_equal(point.x, GOOD["x"]) and np.array_equal(point.d, GOOD["d"])
    assert point.label.endswith("point.json")


def test_a_mapping_takes_lists_tuples_and_arrays() -> None:
    plain = point_from_mapping(GOOD, elman())
    arrays = {name: np.array(value) for name, value in GOOD.items()}
    tuples = {name: tuple(map(tuple, v)) if isinstance(v[0], list) else tuple(v) for name, v in GOOD.items()}
    assert same(point_from_mapping(arrays, elman()), plain)
    assert same(point_from_mapping(tuples, elman()), plain)
    assert same(point_from_mapping({**GOOD, "x": [np.array([1, -0.5]), (Fraction(2), np.int8(0))]}, elman()), plain)
    assert same(point_from_mapping({**GOOD, "W_y": np.array([[1, 2, 3]], dtype=object)}, elman()), plain)
    assert same(point_from_mapping({**GOOD, "W_y": range(1, 4)} | {"W_y": [range(1, 4)]}, elman()), plain)


def test_a_point_is_a_copy() -> None:
    given = np.array(GOOD["W_h"])
    point = point_from_mapping({**GOOD, "W_h": given}, elman())
    given[0, 0] = 99.0
    assert point.parameters["W_h"][0, 0] == 0.5


def test_initial_states_are_zero_unless_given(tmp_path: Any) -> None:
    assert np.array_equal(read(tmp_path, changed("h_0"))[0].initial["h", 0], np.zeros(3))
    two = changed("h_0", V_h=GOOD["W_h"])
    both = read(tmp_path, two, load_cell("lag2"))[0].initial
    assert {key: value.shape for key, value in both.items()} == {("h", 0): (3,), ("h", -1): (3,)}
    two["h_-1"] = [1, 2, 3]
    assert np.array_equal(read(tmp_path, two, load_cell("lag2"))[0].initial["h", -1], [1, 2, 3])


def test_steps_follow_from_x(tmp_path: Any) -> None:
    assert read(tmp_path, GOOD, steps=2)[1] == 2
    assert read(tmp_path, changed("x", "d", x=[[1, 2]] * 7, d=[[1]] * 7))[1] == 7


def test_a_batch() -> None:
    point = point_from_mapping(BATCH, elman())
    assert point.batch == 4 and point.x.shape == (2, 4, 2) and point.d.shape == (2, 4, 1)
    assert point.initial["h", 0].shape == (3,)
    states = [[i, 2 * i, 3 * i] for i in range(4)]
    own = point_from_mapping({**BATCH, "h_0": states}, elman())
    assert np.array_equal(own.initial["h", 0], states)
    assert point_from_mapping(changed("h_0", base=BATCH), elman()).initial["h", 0].shape == (3,)
    of_one = point_from_mapping({**GOOD, "x": [[[1, 2]], [[3, 4]]], "d": [[[1]], [[2]]]}, elman())
    assert of_one.batch == 1 and of_one.x.shape == (2, 1, 2)


def test_d_may_be_missing_where_nothing_reads_it(tmp_path: Any) -> None:
    assert np.array_equal(read(tmp_path, changed("d"), need_targets=False)[0].d, np.zeros((2, 1)))
    assert np.array_equal(read(tmp_path, GOOD, need_targets=False)[0].d, GOOD["d"])
    assert point_from_mapping(changed("d", base=BATCH), elman(), need_targets=False).d.shape == (2, 4, 1)
    own = {"W": [[1.0]], "x": [[1], [2]]}
    assert np.array_equal(read(tmp_path, own, OWN_LOSS)[0].d, [[0], [0]])
    assert np.array_equal(read(tmp_path, {**own, "d": [[3], [4]]}, OWN_LOSS)[0].d, [[3], [4]])


def test_a_cell_without_input(tmp_path: Any) -> None:
    point, steps = read(tmp_path, {"W": [[1, 2], [3, 4]], "d": [[1, 2]] * 3}, AUTONOMOUS)
    assert steps == 3 and point.x.shape[0] == 3 and point.sizes == {"n_h": 2}
    point, steps = read(tmp_path, {"W": [[1]]}, AUTONOMOUS, steps=4, need_targets=False)
    assert steps == 4 and point.d.shape == (4, 1)
    batch = point_from_mapping(
        {"W": [[1]], "d": [[[1]] * 5] * 2, "h_0": [[1]] * 5}, unroll(AUTONOMOUS, steps=2, form="matrix")
    )
    assert batch.batch == 5 and batch.x.shape[:2] == (2, 5)


def test_scalars_are_numbers(tmp_path: Any) -> None:
    point, _ = read(tmp_path, {"tau": 0.5, "h_0": [1, 2], "d": [[1, 2]]}, DECAY)
    assert point.parameters["tau"].shape == () and float(point.parameters["tau"]) == 0.5
    model = unroll(DECAY, steps=1, form="matrix")
    assert point_from_mapping({"tau": np.array(0.5), "h_0": [1, 2], "d": [[1, 2]]}, model).parameters["tau"] == 0.5


def test_targets_of_a_softmax_need_not_sum_to_one() -> None:
    model = elman(activation="tanh", output_activation="softmax", loss="cross-entropy")
    values = changed(W_y=GOOD["W_h"], b_y=[1, 2, 3], d=[[0.2, 0.9, 0.7], [0, 0, 0]])
    assert np.array_equal(point_from_mapping(values, model).d, values["d"])


def test_a_point_is_checked_too() -> None:
    for values in (GOOD, BATCH):
        point = point_from_mapping(values, elman())
        again = point_of(point, elman())
        assert same(point, again) and again.label == point.label
    with pytest.raises(InputError, match="'x' has 2 entries, but T is 3"):
        point_of(point, elman(steps=3))
    with pytest.raises(InputError, match="lack 'V_h'"):
        point_of(point, unroll("lag2", steps=2, form="matrix"))
    with pytest.raises(InputError, match="holds arrays, but the model is in scalar form"):
        point_of(point, unroll("elman", steps=2))
    numbers = Point({}, {}, (1.0, 2.0), (1.0, 2.0))
    with pytest.raises(InputError, match="holds numbers, but the model is in matrix form"):
        point_of(numbers, elman())
    autonomous = unroll(AUTONOMOUS, steps=2, form="matrix")
    point = point_from_mapping({"W": [[1, 2], [3, 4]], "d": [[1, 2]] * 2}, autonomous)
    assert same(point_of(point, autonomous), point)


def test_the_values_of_the_other_form_are_refused_with_a_hint() -> None:
    with pytest.raises(InputError, match=r"is a list; expected one number .*--form matrix"):
        point_from_mapping(GOOD, unroll("elman", steps=2))
    numbers = {name: 0.5 for name in ELMAN.parameters} | {"x": [1, 2], "d": [1, 2]}
    with pytest.raises(InputError, match="'x' is a vector of length 2; expected a vector n_x for each step"):
        point_from_mapping(numbers, elman())


# --- what is refused, by name ---

CYCLE: list[Any] = []
CYCLE.append(CYCLE)
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "missing": (changed("W_h"), "the values lack 'W_h'; .* as in {.W_h.: \\[\\["),
    "several missing": (changed("W_h", "x"), "the values lack 'W_h', 'x'"),
    "d missing": (changed("d"), "the values lack 'd'"),
    "extra": (changed(q=1), "'q' is no entry for elman"),
    "misspelt": (changed("W_h", Wh=1), "'Wh' is no entry for elman.* Did you mean 'W_h'?"),
    "a lag that is none": (changed(**{"h_-1": [1, 2, 3]}), "'h_-1' is no entry"),
    "a number for a vector of size 1": (changed(b_y=0.5), "'b_y' is a number; expected a vector n_y, a list"),
    "a number for a matrix": (changed(W_h=0.5), "'W_h' is a number; expected a matrix n_h × n_h, a list of rows"),
    "a vector for a matrix": (changed(W_y=[1, 2, 3]), "'W_y' is a vector of length 3; expected a matrix n_y × n_h"),
    "a matrix for a vector": (changed(b_h=[[1], [2], [3]]), "'b_h' is 3×1; expected a vector n_h"),
    "a number for x": (changed(x=1), "'x' is a number; expected a vector n_x for each step, T × n_x"),
    "a vector for d": (changed(d=[1, 2]), "'d' is a vector of length 2; expected a vector n_y for each step"),
    "a batch of states without a batch": (changed(h_0=[[1, 2, 3]] * 2), "'h_0' is 2×3; expected a vector n_h"),
    "too deep": (changed(W_h=[[[[1]]]]), "'W_h' is nested more than 3 lists deep"),
    "a list in itself": (changed(W_h=CYCLE), "'W_h' is nested more than 3 lists deep"),
    "transposed": (changed(W_x=[[1, 2, 3], [4, 5, 6]]), r"'W_x' is 2×3, but n_x = 2 \(from 'x'\); expected n_h×2|3×2"),
    "not square": (changed(W_h=[[1, 2, 3]] * 2), r"'W_h' is 2×3, but n_h = 3 \(from 'b_h'\); expected 3×3"),
    "two vectors": (changed(h_0=[1, 2]), r"'h_0' is a vector of length 2, but n_h = 3 \(from 'b_h'\)"),
    "d against W_y": (changed(d=[[1, 2], [3, 4]]), r"'d' is a vector of length 2, but n_y = 1 \(from 'b_y'\)"),
    "ragged": (changed(W_h=[[1, 2, 3], [1, 2], [1, 2, 3]]), "'W_h' is ragged: row 2 has 2 entries and row 1 has 3"),
    "ragged with one": (changed(W_x=[[1, 2], [1], [1, 2]]), "'W_x' is ragged: row 2 has 1 entry and row 1 has 2"),
    "ragged x": (changed(x=[[1, 2], [1, 2, 3]]), "'x' is ragged: step 2 has 3 entries and step 1 has 2"),
    "ragged batch": (
        changed(base=BATCH, x=[[[1, 2]] * 4, [[1, 2]] * 3]),
        "'x' is ragged: step 2 has 3 entries and step 1 has 4",
    ),
    "ragged sample": (
        changed(base=BATCH, x=[[[1, 2]] * 4, [[1, 2], [1], [1, 2], [1, 2]]]),
        "'x' is ragged: step 2, sample 2 has 1 entry and step 1, sample 1 has 2",
    ),
    "a number among rows": (changed(W_h=[[1, 2, 3], 4, [1, 2, 3]]), "'W_h' at row 2 is a number; expected a list of 3"),
    "a row among numbers": (changed(b_h=[1, [2], 3]), "'b_h' at entry 2 is a list; expected one number"),
    "null": (changed(W_h=None), "'W_h' is null; expected a matrix"),
    "null inside": (changed(W_y=[[1, None, 3]]), "'W_y' at row 1, column 2 is null"),
    "a boolean": (changed(b_h=True), "'b_h' is the boolean true"),
    "a boolean inside": (changed(b_h=[1, False, 2]), "'b_h' at entry 2 is the boolean false"),
    "a string": (changed(W_h="eye"), "'W_h' is the string 'eye'; expected a matrix"),
    "a string for a row": (changed(W_y=["abc"]), "'W_y' at row 1 is the string 'abc'"),
    "a string inside": (changed(x=[[1, "2"], [3, 4]]), "'x' at step 1, entry 2 is the string '2'"),
    "an object": (changed(W_h={"a": 1}), "'W_h' is an object; expected a matrix"),
    "an object inside": (changed(x=[{"a": 1}, [1, 2]]), "'x' at step 1 is an object; expected a vector n_x"),
    "NaN": (changed(W_h=[[1, 2, 3], [1, 2, math.nan], [1, 2, 3]]), "'W_h' at row 2, column 3 is not a finite number"),
    "Infinity": (changed(x=[[1, 2], [math.inf, 2]]), "'x' at step 2, entry 1 is not a finite number"),
    "-Infinity": (changed(h_0=[0, 0, -math.inf]), "'h_0' at entry 3 is not a finite number"),
    "empty": (changed(b_h=[]), "'b_h' is empty"),
    "empty rows": (changed(W_h=[[], [], []]), "'W_h' at row 1 is empty"),
    "no steps": (changed(x=[], d=[]), "'x' is empty"),
    "empty steps": (changed(x=[[], []]), "'x' at step 1 is empty"),
    "lengths": (changed(d=[[1]]), "'x' has 2 entries and 'd' has 1 entry; both hold one for each step"),
    "more steps": (changed(x=[[1, 2]] * 3, d=[[1]] * 3), "'x' has 3 entries, but T is 2"),
    "a batch for x alone": (changed(x=BATCH["x"]), "'x' is 2×4×2 and 'd' is 2×1: with a batch they are T × B"),
    "two batches": (changed(base=BATCH, d=[[[1]] * 3] * 2), "'x' is 2×4×2 and 'd' is 2×3×1"),
    "states for another batch": (changed(base=BATCH, h_0=[[1, 2, 3]] * 2), "'h_0' is 2×3, but the batch has 4"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_a_bad_entry_is_refused_by_name(case: str, tmp_path: Any) -> None:
    values, message = REFUSED[case]
    with pytest.raises(InputError, match=message) as by_mapping:
        point_from_mapping(values, elman())
    assert "\n" not in str(by_mapping.value)
    if case == "a list in itself":
        return
    with pytest.raises(InputError, match=message) as by_file:
        read(tmp_path, values, steps=2)
    assert str(by_file.value) == str(by_mapping.value)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.zeros((0, 3)), "is empty"),
        (np.zeros((3, 0)), "at row 1 is empty"),
        (np.ones((3, 3), bool), "at row 1, column 1 is the boolean true"),
        (np.ones((3, 3), complex), "at row 1, column 1 is a complex"),
        (np.array([["1"] * 3] * 3), "at row 1, column 1 is the string '1'"),
        (np.array([[1, 2, np.nan]] * 3), r"at row 1, column 3 is not a finite number \(nan\)"),
        ([[1, 2, 10**400]] * 3, "at row 1, column 3 is not a finite number"),
        (np.array([[1, 2, np.longdouble("1e400")]] * 3), "at row 1, column 3 is not a finite number"),
        (np.ones((3, 3, 1, 1)), "is 3×3×1×1; expected a matrix"),
        (np.broadcast_to(1.0, (4_000, 4_000)), f"holds 16,000,000 numbers .* more than the limit of {MAX_NUMBERS:,}"),
        ([[0.0] * 4_000] * 4_000, "holds 16,000,000 numbers"),
        (b"1", "is bytes; expected a matrix"),
        (iter([[1]]), "is a list_iterator"),
        (object(), "is a object"),
        ({1, 2}, "is a set"),
    ],
    ids=lambda given: given if isinstance(given, str) else type(given).__name__,
)  # fmt: skip
def test_a_mapping_is_as_strict_as_a_file(value: object, message: str) -> None:
    with pytest.raises(InputError, match=f"^'W_h' {message}"):
        point_from_mapping({**GOOD, "W_h": value}, elman())


def test_what_is_no_mapping() -> None:
    with pytest.raises(InputError, match="values are a list; expected a mapping such as"):
        point_of([1, 2], elman())  # type: ignore[arg-type]


def test_repetitions_and_other_faults_of_files(tmp_path: Any) -> None:
    with pytest.raises(InputError, match="'W_h' is given twice"):
        read(tmp_path, '{"W_h": [[1]], "W_h": [[2]]}')
    with pytest.raises(InputError, match="nested too deep"):
        read(tmp_path, '{"W_h": ' + "[" * 100_000 + "]" * 100_000 + "}")
    with pytest.raises(InputError, match="'x' is given, but cell has no input x"):
        read(tmp_path, {"W": [[1]], "x": [[1]], "d": [[1]]}, AUTONOMOUS)


def test_a_size_that_nothing_shows() -> None:
    model = unroll(DECAY, steps=2, form="matrix")
    with pytest.raises(InputError, match="no entry says what n_h is; give 'h_0'"):
        point_from_mapping({"tau": 1.0}, model, need_targets=False)
    with pytest.raises(InputError, match="'tau' is a vector of length 1; expected one number"):
        point_from_mapping({"tau": [1.0], "h_0": [1]}, model, need_targets=False)


def test_no_steps_without_x(tmp_path: Any) -> None:
    with pytest.raises(InputError, match="do not say how many steps"):
        read(tmp_path, {"W": [[1]]}, AUTONOMOUS, need_targets=False)


@pytest.mark.parametrize("loss", ["abstract", "squared", "cross-entropy"])
def test_every_built_in_loss_needs_targets(loss: str) -> None:
    with pytest.raises(InputError, match="lack 'd'"):
        point_from_mapping(changed("d"), elman(loss=loss))
