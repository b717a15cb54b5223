"""The gradient as a NumPy function: the same numbers as a hand-written network, for arrays, at any T, at ±800."""

from __future__ import annotations

import dataclasses
import math
import re
import time
from typing import Any

import numpy as np
import pytest
from oracle import PARAMETERS, complex_step_gradient, random_values

from rnn_symbolic.concrete import concrete
from rnn_symbolic.derivation import derive_gradient
from rnn_symbolic.errors import InputError
from rnn_symbolic.expressions import Number
from rnn_symbolic.lambdified import STABLE, Gradient, lambdify_gradient
from rnn_symbolic.model import Model, unroll
from rnn_symbolic.paths import graph
from rnn_symbolic.table import Factor, LocalRule
from rnn_symbolic.valuation import Valuation, random_point
from rnn_symbolic.values import point_from_mapping

CASES = [(name, name, "squared") for name in "tanh logistic relu softplus identity sin cos exp log sqrt".split()]
CASES += [
    ("tanh", "logistic", "cross-entropy"),
    ("logistic", "logistic", "cross-entropy"),
    ("sin", "exp", "cross-entropy"),
    ("relu", "softplus", "cross-entropy"),
]


def gradient(model: Model, name: str, **choices: str) -> Gradient:
    return Gradient(concrete(model, **choices), model.resolve(name))


def compare_with_oracle(hidden: str, output: str, loss: str, losses: str, steps: int, seed: int) -> None:
    values = random_values(seed, steps, hidden)
    model = unroll("elman", steps=steps, activation=hidden, output_activation=output, loss=loss, losses=losses)
    valuation = Valuation(model, point_from_mapping(values, model))
    for name in (*PARAMETERS, "x_1"):
        found = gradient(model, name)(**values)
        expected = complex_step_gradient(values, name, hidden, output, loss, losses)
        by_paths = valuation.path_total(graph(model, name)).value
        case = f"{hidden}, {output}, {loss}, {losses}, T={steps}, dL/d{name} at seed {seed}: {values}"
        assert type(found) is float, case
        assert found == pytest.approx(expected, rel=1e-10, abs=1e-14), case
        assert found == pytest.approx(by_paths, rel=1e-12, abs=1e-15), case


@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize("losses", ["all", "last"])
@pytest.mark.parametrize(("hidden", "output", "loss"), CASES)
def test_every_parameter_equals_a_hand_written_network(hidden, output, loss, losses, steps):
    compare_with_oracle(hidden, output, loss, losses, steps, seed=steps)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 115))
@pytest.mark.parametrize("losses", ["all", "last"])
@pytest.mark.parametrize(("hidden", "output", "loss"), CASES)
def test_many_points(hidden, output, loss, losses, seed):
    compare_with_oracle(hidden, output, loss, losses, 1 + seed % 7, seed)


@pytest.mark.parametrize("cell", ["irnn", "linear", "residual", "lag2"])
@pytest.mark.parametrize("loss", ["abstract", "cross-entropy"])
def test_other_cells(cell, loss):
    model = unroll(cell, steps=4, loss="squared" if cell == "linear" else loss)
    names = (*map(str, (*model.parameters, *model.initial_states)), "x_3", "h_2", "y_3", "y_4", "l_2")
    made = concrete(model, "logistic")
    point = random_point(made, 2)
    values = {**point.parameters, "x": point.x, "d": point.d}
    values |= {f"{name}_{step}": value for (name, step), value in point.initial.items()}
    for name in names:
        expected = Valuation(made, point).path_total(graph(made, name)).value
        assert gradient(model, name)(**values) == pytest.approx(expected, rel=1e-12, abs=1e-15), name


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("z = logistic(w * x + u * h[t-1])\nh = z * h[t-1] + (1 - z) * tanh(u * x)\ny = h", ["w", "u", "h_0", "z_2"]),
        ("h = 0.3 * h[t-1] + w\ny = h ** 1.5 / (1 + h ** -2)", ["w", "h_0"]),
        ("h = log(3 + w * h[t-1] * x) + sqrt(4 + x) + cos(x)\ny = h\nloss = sum((y - d) ** 4)", ["w", "x_1"]),
        ("h = 1e-60 * w * h[t-1] + 1e60 * x\ny = 1e-60 * h", ["w", "h_0", "x_1"]),
        ("dL_dh = w * x\nh = dL_dh * h[t-1]\ny = dL_dy * h + dL_dw", ["w", "dL_dy", "dL_dw", "dL_dh_2", "h_2"]),
        ("sqrt2 = exp_1 * x\nh = sqrt2 + numpy * h[t-1]\ny = array * h", ["exp_1", "numpy", "array", "sqrt2_1"]),
    ],
)
def test_cells_of_all_kinds(text, names):
    model = unroll(text, steps=3, loss="squared")
    point = random_point(model, 1)
    point = dataclasses.replace(
        point,
        parameters={name: abs(value) for name, value in point.parameters.items()},
        initial={key: abs(value) for key, value in point.initial.items()},
        x=tuple(map(abs, point.x)),
    )
    values = {**point.parameters, "d": point.d, **({"x": point.x} if model.cell.uses_input else {})}
    values |= {f"{name}_{step}": value for (name, step), value in point.initial.items()}
    for name in names:
        expected = Valuation(model, point).path_total(graph(model, name)).value
        assert gradient(model, name)(**values) == pytest.approx(expected, rel=1e-12), name


# --- the derivation's own table ---


@pytest.mark.parametrize("loss", ["abstract", "squared"])
def test_a_spoiled_table_shows(loss):
    model = unroll("elman", activation="sigma" if loss == "abstract" else "tanh", loss=loss)
    values = random_values(1, 3)
    right = {name: gradient(model, name)(**values) for name in (*PARAMETERS, "x_1")}
    for index, edge in enumerate(model.table):
        rows = list(model.table)
        scaled = tuple((Factor(LocalRule.NUMBER, Number(2)), *term) for term in edge.terms)  # type: ignore[arg-type]
        rows[index] = dataclasses.replace(edge, terms=scaled)
        other = dataclasses.replace(model, table=tuple(rows))
        wrong = {name: gradient(other, name)(**values) for name in right}
        assert wrong != right, f"twice {edge.head} <- {edge.tail}"
        del rows[index]
        other = dataclasses.replace(model, table=tuple(rows))
        assert {name: gradient(other, name)(**values) for name in right} != right, f"no {edge.head} <- {edge.tail}"


def test_a_derivation_is_compiled():
    derivation, values = derive_gradient(unroll("elman", steps=4), "W_h"), random_values(4, 4)
    expected = gradient(derivation.model, "W_h", activation="tanh")(**values)
    assert lambdify_gradient(derivation, activation="tanh")(**values) == expected
    assert derivation.lambdify(activation="tanh")(**values) == expected


def test_abstract_functions_are_chosen():
    derivation = derive_gradient("elman", "W_h")
    values = random_values(4, 3)
    for activation, loss in (("tanh", "squared"), ("logistic", "cross-entropy"), ("identity", "squared")):
        expected = complex_step_gradient(values, "W_h", activation, activation, loss)
        assert derivation.lambdify(activation=activation, loss=loss)(**values) == pytest.approx(expected, rel=1e-10)
    assert derivation.lambdify()(**values) == derivation.lambdify(activation="logistic", loss="squared")(**values)
    with pytest.raises(InputError, match="numbers need a function"):
        derivation.lambdify(activation="sigma")


# --- arrays ---


def test_a_grid_equals_a_loop():
    g = gradient(unroll("elman", steps=3), "W_x", activation="tanh")
    values = random_values(2, 3)
    W_h, W_x = np.linspace(-2, 2, 7)[:, None], np.linspace(-1, 3, 5)
    grid = g(**{**values, "W_h": W_h, "W_x": W_x})
    assert grid.shape == (7, 5) and grid.dtype == float
    for i, j in np.ndindex(7, 5):
        one = g(**{**values, "W_h": float(W_h[i, 0]), "W_x": float(W_x[j])})
        assert grid[i, j] == pytest.approx(one, rel=1e-14)


def test_a_batch_of_sequences_equals_a_loop():
    """x and d of shape T × B, h_0 of shape B, and weights that vary along an axis before it."""
    rng = np.random.default_rng(5)
    x, d, h_0, b_h = rng.normal(size=(4, 6)), rng.uniform(size=(4, 6)), rng.normal(size=6), rng.normal(size=(3, 1))
    values = {**random_values(5, 4), "x": x, "d": d, "h_0": h_0, "b_h": b_h}
    for name in ("W_h", "b_y", "h_0", "x_2"):
        g = gradient(unroll("elman", steps=4, loss="cross-entropy"), name)
        batch = g(**values)
        assert batch.shape == (3, 6)
        for i, j in np.ndindex(3, 6):
            one = {**values, "x": x[:, j], "d": list(d[:, j]), "h_0": h_0[j], "b_h": b_h[i, 0]}
            assert batch[i, j] == pytest.approx(g(**one), rel=1e-12)


def test_steps_may_differ_in_shape():
    g = gradient(unroll("linear", steps=2), "W_h")
    values = {**random_values(1, 2), "x": [np.ones(3), 2.0], "d": (0.0, np.zeros((4, 1)))}
    assert g(**values).shape == (4, 3)


def test_a_gradient_that_does_not_depend_on_an_array_has_its_shape_all_the_same():
    g = gradient(unroll("elman", steps=2), "l_2")
    assert g(**random_values(1, 2)) == 1.0
    ones = g(**{**random_values(1, 2), "W_h": np.zeros((2, 3))})
    assert ones.shape == (2, 3) and (ones == 1).all()
    ones[0, 0] = 5.0  # an array of its own, not a view
    assert ones[0, 1] == 1.0


def test_integers_and_single_precision_are_computed_in_double():
    g = gradient(unroll("h = w * h[t-1] + x\ny = h ** -2", steps=2, loss="squared"), "w")
    plain = g(w=2.0, h_0=1.0, x=[1.0, 1.0], d=[0.0, 0.0])
    assert g(w=2, h_0=1, x=[1, 1], d=[0, 0]) == plain
    array = g(w=np.array([2], dtype=np.int8), h_0=1, x=np.ones(2, np.float32), d=[0, 0])
    assert array.dtype == float and array[0] == plain


def test_complex_input_gives_second_derivatives():
    """Im g(θ + ih)/h is an entry of the Hessian; it is symmetric."""
    model, values = unroll("elman", steps=3, loss="cross-entropy"), random_values(3, 3)
    for activation in ("tanh", "logistic", "softplus", "sin"):
        g = {name: gradient(model, name, activation=activation) for name in ("W_h", "W_x")}
        if activation in (
            "tanh",
            "sin",
        ):  # an output in (0, 1) all along, or the logarithm has no derivative to compare
            values = {**values, "b_y": 1.2, "W_y": 0.1}
        one = g["W_h"](**{**values, "W_x": values["W_x"] + 1e-30j})
        two = g["W_x"](**{**values, "W_h": values["W_h"] + 1e-30j})
        assert type(one) is complex
        assert one.imag / 1e-30 == pytest.approx(two.imag / 1e-30, rel=1e-10)
        assert one.real == pytest.approx(g["W_h"](**values), rel=1e-12)


# --- stability ---


@pytest.mark.parametrize("activation", ["tanh", "logistic", "softplus", "relu"])
@pytest.mark.parametrize("loss", ["squared", "cross-entropy"])
def test_saturation_warns_of_nothing(activation, loss):
    """Warnings are errors here; at ±800 e^800 overflows and 1 − tanh² is 0 long before."""
    output = "logistic" if loss == "cross-entropy" else activation
    model = unroll("elman", steps=3, activation=activation, output_activation=output, loss=loss)
    big = np.array([-800.0, -40.0, 0.0, 40.0, 800.0])
    values: dict[str, Any] = {**random_values(1, 3), "x": np.ones(3), "d": np.array([0.0, 1.0, 0.5])}
    for name in ("W_h", "W_x", "W_y", "b_y", "h_0", "x_1"):
        found = gradient(model, name)(**{**values, "W_x": big, "b_y": big[:, None]})
        assert found.shape == (5, 5) and np.isfinite(found).all()


def test_saturated_cross_entropy_is_y_minus_d():
    g = gradient(unroll("elman", steps=1, activation="logistic", loss="cross-entropy"), "b_y")
    values = {**random_values(1, 1), "d": [1.0]}
    assert g(**{**values, "b_y": np.array([-800.0, 800.0])}).tolist() == [-1.0, 0.0]


Z = np.array([-800.0, -40.0, -20.0, -1.0, -1e-10, 0.0, 1e-10, 0.5, 20.0, 40.0, 800.0])


@pytest.mark.parametrize("name", STABLE)
def test_stable_functions(name):
    """Against numbers computed by other formulas, and the imaginary part against the derivative."""
    with np.errstate(all="raise", under="ignore"):
        real, moved = STABLE[name](Z), STABLE[name](Z + 1e-30j)
    small = [math.exp(-abs(z)) for z in Z]
    expected = {
        "tanh": [math.tanh(z) for z in Z],
        "tanh_prime": [4 * e**2 / (1 + e**2) ** 2 for e in small],
        "logistic": [(1 if z >= 0 else e) / (1 + e) for z, e in zip(Z, small, strict=True)],
        "logistic_prime": [e / (1 + e) ** 2 for e in small],
        "relu": [max(z, 0.0) for z in Z],
        "relu_prime": [float(z > 0) for z in Z],
        "softplus": [max(z, 0.0) + math.log1p(e) for z, e in zip(Z, small, strict=True)],
    }
    expected["softplus_prime"] = expected["logistic"]
    np.testing.assert_allclose(real, expected[name], rtol=1e-14, atol=1e-300)
    np.testing.assert_allclose(moved.real, expected[name], rtol=1e-12, atol=1e-17)
    if f"{name}_prime" in expected:
        np.testing.assert_allclose(moved.imag / 1e-30, expected[f"{name}_prime"], rtol=1e-12, atol=1e-17)


def test_long_sequences():
    """The code is linear in T: no recursion, and no time to speak of."""
    steps = 300
    begin = time.perf_counter()
    derivation = derive_gradient(unroll("elman", steps=steps, activation="tanh", loss="squared"), "W_h")
    g = derivation.lambdify()
    values = {**random_values(1, steps), "W_h": 0.9}
    found = g(**values)
    assert time.perf_counter() - begin < 20
    assert found == pytest.approx(complex_step_gradient(values, "W_h", "tanh"), rel=1e-9)
    lines = len(g.source.splitlines())
    shorter = len(gradient(unroll("elman", steps=150, activation="tanh"), "W_h").source.splitlines())
    assert abs(lines - 2 * shorter) <= 10


# --- the callable ---


def test_what_it_says_of_itself():
    g = derive_gradient("elman", "W_x").lambdify(activation="tanh")
    assert isinstance(g, Gradient)
    assert g.arguments == ("W_x", "W_h", "W_y", "b_h", "b_y", "x", "d", "h_0")
    assert g.signature == "dL_dW_x(*, W_x, W_h, W_y, b_h, b_y, x, d, h_0=0)"
    assert g.signature in repr(g) and g.__doc__ is not None and g.__doc__.startswith(g.signature)
    assert g.source.startswith("def dL_dW_x(W_x, W_h, W_y, b_h, b_y, h_0, x, d):\n    a_1 = h_0*W_h + b_h + W_x*x[0]\n")
    assert "dL_da_3 = dL_dh_3*tanh_prime(a_3)" in g.source and "Dummy" not in g.source
    assert not re.search(r"\bell_", g.source)  # the loss itself is not computed
    assert g.source == derive_gradient("elman", "W_x").lambdify(activation="tanh").source


def test_arguments_follow_the_cell():
    assert gradient(unroll("h = w * h[t-1]\ny = h", loss="squared"), "w").arguments == ("w", "d", "h_0")
    assert gradient(unroll("h = w * h[t-1] + x\ny = h\nloss = y ** 2"), "w").arguments == ("w", "x", "h_0")
    g = gradient(unroll("lag2", steps=2), "h_-1")
    assert g.arguments[-2:] == ("h_0", "h_-1") and "def dL_dh_m1(" in g.source
    values = {**random_values(1, 2), "V_h": 0.5}
    assert g(**values) != g(**values, **{"h_-1": 0.7}) and g(**values) == g(**values, **{"h_-1": 0})


def test_initial_states_are_zero_unless_given():
    g, values = gradient(unroll("elman", steps=2), "W_h"), random_values(1, 2)
    del values["h_0"]
    assert g(**values) == g(**values, h_0=0.0) != g(**values, h_0=0.3)


def test_a_parameter_may_be_called_self():
    assert gradient(unroll("y = self * x", steps=1, loss="squared"), "self")(self=2.0, x=[3.0], d=[1.0]) == 15.0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"Wx": 1.0}, r"'Wx' is no argument of dL_dW_x\(.*\)\. Did you mean 'W_x'\?"),
        ({"q": 1.0}, "'q' is no argument .* Leave it out"),
        ({"W_x": None}, "'W_x' is not a number"),
        ({"W_x": "1"}, "'W_x' is not a number"),
        ({"W_x": True}, "'W_x' is not a number"),
        ({"W_x": [[1, 2], [3]]}, "'W_x' is not an array of numbers"),
        ({"h_0": object()}, "'h_0' is not a number"),
        ({"x": 1.0}, "'x' has no time axis"),
        ({"x": np.array(1.0)}, "'x' has no time axis"),
        ({"x": "123"}, "'x' has no time axis"),
        ({"d": {1: 2}}, "'d' has no time axis"),
        ({"x": [1.0, 2.0]}, "'x' has 2 entries along time; T is 3"),
        ({"d": np.zeros((4, 3))}, "'d' has 4 entries along time; T is 3"),
        ({"x": [1.0, "2", 3.0]}, "'x' at step 2 is not a number"),
        ({"W_h": np.ones(2), "x": np.ones((3, 5))}, r"do not broadcast .*: W_h \(2,\); x \(5,\)"),
    ],
)
def test_bad_arguments_are_refused(change, message):
    g = gradient(unroll("elman", steps=3), "W_x")
    with pytest.raises(InputError, match=message) as refusal:
        g(**{**random_values(1, 3), **change})
    assert "\n" not in str(refusal.value)


def test_missing_arguments_are_named():
    g, values = gradient(unroll("elman", steps=3), "W_x"), random_values(1, 3)
    del values["W_y"], values["d"]
    with pytest.raises(InputError, match=r"'W_y', 'd' missing: call dL_dW_x\("):
        g(**values)
    with pytest.raises(TypeError):
        g(1.0, 2.0)  # type: ignore[call-arg]
