"""Gradients given as numbers: read by name, refused in one line, each as precise as it was written."""

from __future__ import annotations

import json
from fractions import Fraction

import numpy as np
import pytest

from rnn_symbolic.auditing.given import Given, given_gradients, read_gradients
from rnn_symbolic.cli import main
from rnn_symbolic.errors import InputError
from rnn_symbolic.gradients import gradients_at
from rnn_symbolic.matrix_valuation import random_matrix_point
from rnn_symbolic.model import unroll

SCALAR = unroll("elman", loss="squared", activation="tanh")
MATRIX = unroll("elman", form="matrix", loss="squared", activation="tanh")
DOUBLE, SINGLE = 2.0**-53, 2.0**-16


def read(tmp_path, text: object, model=MATRIX) -> Given:
    path = tmp_path / "gradients.json"
    path.write_text(text if isinstance(text, str) else json.dumps(text), encoding="utf-8")
    return read_gradients(path, model)


def units(tmp_path, text: object) -> dict[str, object]:
    return {name: np.asarray(unit).tolist() for name, unit in read(tmp_path, text).unit.items()}


# --- what is accepted ---


def test_any_part_of_the_gradients_in_any_shape(tmp_path):
    given = read(tmp_path, {"W_h": [[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]], "b_h": [1.5, 2.5], "h_0": [[0.5], [0.1]]})
    assert list(given.gradients) == ["W_h", "b_h", "h_0"]
    assert given.gradients["W_h"].tolist() == [[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]]
    assert given.gradients["W_h"].dtype == np.float64
    assert {name: np.shape(unit) for name, unit in given.unit.items()} == {"W_h": (2, 3), "b_h": (2,), "h_0": (2, 1)}


def test_a_number_has_a_number_for_its_unit(tmp_path):
    given = read(tmp_path, '{"W_x": 0.123}', SCALAR)
    assert given.gradients["W_x"].shape == ()
    assert given.unit == {"W_x": pytest.approx(5e-4)}


@pytest.mark.parametrize("key", ["W_x", "dW_x", "d_W_x", "grad_W_x", "W_x_grad", "W_x.grad", "dL_dW_x", "dL/dW_x"])
def test_a_gradient_may_be_called_so(tmp_path, key):
    assert list(read(tmp_path, {key: 0.5}, SCALAR).gradients) == ["W_x"]


def test_a_parameter_whose_name_begins_with_d(tmp_path):
    model = unroll("h = W * h[t-1] + dW * x\ny = h")
    assert list(read(tmp_path, {"dW": 1, "W": 2}, model).gradients) == ["dW", "W"]
    assert list(read(tmp_path, {"ddW": 1}, model).gradients) == ["dW"]
    with pytest.raises(InputError, match="'dW', which may mean 'W' or 'dW'"):
        read(tmp_path, {"dW": 1, "ddW": 2}, model)


def test_what_gradient_prints_is_read(tmp_path, capsys):
    values = tmp_path / "values.json"
    point = random_matrix_point(MATRIX, 0)
    values.write_text(
        json.dumps(
            {name: a.tolist() for name, a in point.parameters.items()}
            | {"h_0": point.initial["h", 0].tolist(), "x": point.x.tolist(), "d": point.d.tolist()}
        )
    )
    assert main(f"gradient --form matrix --activation tanh --values {values} --to json".split()) == 0
    given = read(tmp_path, capsys.readouterr().out)
    right = gradients_at(MATRIX, point)
    assert given.gradients.keys() == right.gradients.keys()
    for name, array in right.items():
        assert np.array_equal(given.gradients[name], array)
        assert np.all(given.unit[name] <= 1e-15 * np.abs(array))


def test_the_loss_beside_the_gradients_is_left_alone(tmp_path):
    assert list(read(tmp_path, {"loss": 0.1, "W_x": 0.5}).gradients) == ["W_x"]


def test_the_gradient_by_x_may_have_a_batch(tmp_path):
    assert read(tmp_path, {"x": [[[0.5]], [[0.25]]]}).gradients["x"].shape == (2, 1, 1)


# --- what is refused ---


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"Wx": 0.5}', "'Wx'; expected gradients by name, some of W_x, .* Did you mean 'W_x'"),
        ('{"banana": 0.5}', "'banana'; expected gradients by name, some of W_x, W_h"),
        ('{"d": 0.5}', "'d'; expected"),
        ('{"W_x": 0.5, "dW_x": 0.5}', "'W_x' and 'dW_x', both the gradient by 'W_x'"),
        ('{"W_x": 0.5, "W_x": 0.5}', "'W_x' is given twice"),
        ('{"W_x": NaN}', "'W_x' is nan; expected finite"),
        ('{"W_x": [[1, 2], [1, 1e999]]}', r"'W_x' is inf at \[1, 1\]; expected finite"),
        ('{"W_x": "0.5"}', "'W_x' is the string '0.5'; expected numbers"),
        ('{"W_x": [1, null]}', "'W_x' is None; expected numbers"),
        ('{"W_x": true}', "'W_x' is True; expected numbers"),
        ('{"W_x": {"a": 1}}', "'W_x' is a dict; expected numbers"),
        ('{"W_x": [[1, 2], [3]]}', "'W_x' is ragged"),
        ('{"W_x": []}', "'W_x' is empty"),
        ('{"W_x": [[[1]]]}', "'W_x' is nested 3 lists deep; expected at most 2"),
        ('{"h_0": [[[1]]]}', "'h_0' is nested 3 lists deep"),
        ("{}", "gradients.json' holds no gradients; expected some of W_x"),
        ('{"gradients": {}}', "holds no gradients"),
        ('{"gradients": 3}', "'gradients'; expected gradients by name"),
        ("[1]", "holds a list; expected a JSON object"),
        ("{'W_x': 1}", "is not JSON: line 1, column 2"),
        ("", "is empty"),
        ('{"W_x": ' + "[" * 200_000 + "]" * 200_000 + "}", "nested too deep"),
    ],
)
def test_what_is_refused(tmp_path, text, message):
    with pytest.raises(InputError, match=message) as refusal:
        read(tmp_path, text)
    assert "\n" not in str(refusal.value)


def test_a_missing_file_names_the_option():
    with pytest.raises(InputError, match=r"no file 'nowhere.json'; --gradients takes"):
        read_gradients("nowhere.json", SCALAR)


def test_the_mapping_is_one():
    with pytest.raises(InputError, match="gradients are a list; expected a mapping"):
        given_gradients([1, 2], SCALAR)


# --- precision ---


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("0.123", 5e-4),
        ("-0.123", 5e-4),
        ("1.50e-3", 5e-6),
        ("1.5E-3", 5e-5),
        ("12.0", 5e-2),
        ("0.10", 5e-3),
        ("3e2", 50),
        ("0.12345678901234", 5e-15),
        ("0.1234567890123456", DOUBLE * 0.1234567890123456),
        ("0.0", 5e-2),
    ],
)
def test_half_a_unit_of_the_last_digit(tmp_path, text, unit):
    assert units(tmp_path, f'{{"W_x": {text}}}')["W_x"] == pytest.approx(unit, rel=1e-9)


def test_integers_and_zeros_among_rounded_numbers_have_their_decimals(tmp_path):
    found = units(tmp_path, '{"W_x": [[0.12, 2, 0.125], [0, 0.0, -1]], "b_h": [3, 0], "b_y": 0}')
    assert found["W_x"] == [[pytest.approx(u) for u in row] for row in ([5e-3, 5e-3, 5e-4], [5e-3, 5e-3, 5e-3])]
    assert found["b_h"] == [pytest.approx(5e-3)] * 2
    assert found["b_y"] == pytest.approx(5e-3)


def test_an_integer_of_as_many_digits_as_the_others_was_rounded_to_them(tmp_path):
    found = units(tmp_path, '{"W_x": [123, 12.3, 1.23], "b_h": [4]}')
    assert found == {"W_x": [pytest.approx(u) for u in (0.5, 0.05, 0.005)], "b_h": [pytest.approx(0.05)]}


def test_integers_alone_are_exact(tmp_path):
    assert units(tmp_path, '{"W_x": [[2, -3]], "b_h": 0}') == {"W_x": [[2 * DOUBLE, 3 * DOUBLE]], "b_h": 0}


def test_short_numbers_among_those_of_a_program_are_exact(tmp_path):
    right = {"W_x": [[0.1 + 0.2, 0.5], [0.0, 0.3]], "b_h": [0.25, 2], "b_y": 0.0}
    found = units(tmp_path, right)
    for name, unit in found.items():
        assert np.allclose(unit, DOUBLE * np.abs(right[name]), rtol=1e-6, atol=0)


def test_a_rounded_number_in_a_file_of_long_ones_stays_rounded(tmp_path):
    found = units(tmp_path, '{"W_x": [0.1234567890123456, 0.3], "b_h": [0.12, 0]}')
    assert found["W_x"][1] == 0.3 * DOUBLE
    assert found["b_h"] == [pytest.approx(5e-3)] * 2


def test_numbers_of_single_precision(tmp_path):
    single = np.float32([0.1, -0.75, 2.5e-4])
    limit = pytest.approx(SINGLE * 0.75)
    assert units(tmp_path, {"W_x": single.tolist()})["W_x"] == [limit] * 3  # 0.10000000149011612
    assert units(tmp_path, '{"W_x": [0.12345679, -0.75, 0.00025]}')["W_x"] == [limit] * 3  # as NumPy prints them
    assert units(tmp_path, '{"W_x": [0.12345678, 1.23456789]}')["W_x"] == [pytest.approx(5e-9)] * 2  # eight decimals


def test_a_rounded_right_gradient_is_within_its_unit(tmp_path):
    right = gradients_at(MATRIX, random_matrix_point(MATRIX, 3))
    for write in (
        *(lambda v, n=n: float(f"{v:.{n}f}") for n in (2, 4, 6)),
        *(lambda v, n=n: float(f"{v:.{n}g}") for n in (1, 3, 5, 12, 15)),
        float,
        lambda v: float(np.float32(v)),
        lambda v: float(str(np.float32(v))),
    ):
        rounded = {name: np.vectorize(write)(array).tolist() for name, array in right.items()}
        for given in (read(tmp_path, rounded), given_gradients(rounded, MATRIX)):
            for name, array in right.items():
                assert np.all(np.abs(given.gradients[name] - array) <= given.unit[name] * (1 + 1e-9) + 1e-16)


# --- from Python ---


def test_arrays_and_numbers():
    given = given_gradients({"dW_x": [[0.25, 2]], "b_h": np.array([0.123, 1]), "h_0": Fraction(1, 3)}, MATRIX)
    assert {name: np.asarray(unit).tolist() for name, unit in given.unit.items()} == {
        "W_x": [[pytest.approx(5e-3)] * 2],
        "b_h": [pytest.approx(5e-4)] * 2,
        "h_0": pytest.approx(DOUBLE / 3),
    }


def test_the_precision_of_an_array_is_that_of_its_type():
    values = np.random.default_rng(0).normal(size=(4, 3))
    for dtype, rounding in (("float16", 256 * 2.0**-11), ("float32", SINGLE), ("float64", DOUBLE)):
        array = values.astype(dtype)
        unit = given_gradients({"W_x": array}, MATRIX).unit["W_x"]
        assert unit.max() == pytest.approx(rounding * np.abs(array).max(), rel=0.5)


def test_tensors():
    torch = pytest.importorskip("torch")
    values = torch.linspace(0.1, 0.7, 6).reshape(2, 3)
    given = given_gradients({"W_x": values.clone().requires_grad_(), "b_h": values[0].to(torch.bfloat16)}, MATRIX)
    assert given.gradients["W_x"].shape == (2, 3)
    assert np.all(given.unit["W_x"] == pytest.approx(SINGLE * 0.7))
    assert np.all(given.unit["b_h"] == pytest.approx(256 * 2.0**-9 * given.gradients["b_h"].max()))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "'W_x' is None"),
        ("0.5", "the string '0.5'"),
        (1j, "'W_x' holds complex numbers"),
        (np.array([True]), "'W_x' holds booleans"),
        (np.array([1.0], dtype=object), "'W_x' holds objects"),
        (np.nan, "'W_x' is nan"),
        (10**400, "'W_x' is inf"),
        ([[1.0], 2.0], "'W_x' is ragged"),
    ],
)
def test_what_is_no_gradient(value, message):
    with pytest.raises(InputError, match=message):
        given_gradients({"W_x": value}, MATRIX)
