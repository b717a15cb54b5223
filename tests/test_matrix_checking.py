"""The check with arrays: along directions and by entries; it must fail, and never pass for nothing."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from fractions import Fraction

import networks as net
import numpy as np
import pytest

from rnn_symbolic.builtin_cells import BUILT_IN
from rnn_symbolic.checking import METHODS, Verdicts, check_at_random, check_gradient
from rnn_symbolic.concrete import concrete
from rnn_symbolic.errors import InputError, NumericalFailure
from rnn_symbolic.expressions import (
    MINUS_ONE,
    Call,
    Expression,
    Kronecker,
    Number,
    Quantity,
    Transpose,
    multiply,
    transform,
)
from rnn_symbolic.matrix_valuation import random_matrix_point
from rnn_symbolic.model import Model, unroll
from rnn_symbolic.table import Edge, Factor, LocalRule
from rnn_symbolic.values import point_from_mapping

ENTROPY = {"activation": "tanh", "output_activation": "softmax", "loss": "cross-entropy"}
SQUARED = {"activation": "tanh", "output_activation": "sin", "loss": "squared"}


def matrix_model(cell: str, steps: int = 3, **options: str) -> Model:
    return unroll(cell, steps=steps, form="matrix", **options)


def everything(model: Model) -> tuple[str, ...]:
    """Parameters, initial states, and at some step the input and every named quantity."""
    named = [f"{equation.target}".replace("[t]", "_2") for equation in model.definitions]
    inputs = ["x_2"] if model.cell.uses_input else []
    return (*map(str, (*model.parameters, *model.initial_states)), *inputs, *named)


def statuses(verdicts: Verdicts) -> set[str]:
    return {v.status for v in verdicts}


# --- right gradients pass ---


@pytest.mark.parametrize("batch", [None, 3])
@pytest.mark.parametrize("cell", BUILT_IN)
def test_right_gradients_of_every_cell_pass(cell, batch):
    model = matrix_model(cell, **(ENTROPY if batch else SQUARED))
    names = tuple(map(str, (*model.parameters, *model.initial_states)))
    verdicts = check_at_random(model, (*names, "x_2"), seed=3, batch=batch)
    assert verdicts.passed, f"\n{verdicts}"
    assert tuple(dict.fromkeys(v.wrt for v in verdicts)) == (*names, "x_2")
    for v in verdicts:
        assert v.error == abs(v.symbolic - v.numeric) <= v.tolerance <= 1e-4 * abs(v.symbolic), v


@pytest.mark.parametrize("losses", ["all", "last", "mean"])
@pytest.mark.parametrize("cell", ["elman", "lstm", "gru", "jordan", "lag2"])
def test_named_quantities_pass(cell, losses):
    model = matrix_model(cell, losses=losses, **SQUARED)
    names = [name for name in everything(model) if losses != "last" or name not in ("l_2", "o_2", "a_o_2", "y_2")]
    verdicts = check_at_random(model, names, seed=5, batch=2, method="complex step")
    undecided = {v.wrt for v in verdicts if v.status != "passed"}
    assert "failed" not in statuses(verdicts) and undecided <= ({"o_2"} if losses == "last" else set()), f"\n{verdicts}"


@pytest.mark.parametrize("activation", ["tanh", "logistic", "relu", "softplus", "identity", "sin", "cos", "exp"])
@pytest.mark.parametrize("loss", ["squared", "cross-entropy"])
def test_an_abstract_model_is_checked_with_chosen_functions(activation, loss):
    verdicts = check_at_random(matrix_model("elman"), None, seed=1, activation=activation, loss=loss, batch=2)
    assert verdicts.passed, f"\n{verdicts}"


@pytest.mark.parametrize(
    "text",
    [
        "h = log(3 + W @ (h[t-1] * h[t-1])) + sqrt(4 + x)\ny = h",
        "h = 0.5 * h[t-1] + tanh(W @ h[t-1] + U @ x)\ny = V @ h",  # 0.5 I + diag(…) W
        "scalar tau\nh = tau * tanh(W @ h[t-1] + U @ x) + (1 - tau) * h[t-1]\ny = V @ h",
        "scalar tau\ns = tau * h[t-1]\nq = tanh(W @ h[t-1] + U @ x)\nh = q - s\ny = V @ h",
        "c = relu(W @ x + U @ c[t-2])\nh = cos(c) * h[t-1] - softplus(c[t-1])\ny = V @ h",
        "h = W @ h[t-1] + b\ny = h ** 3\nloss = sum((y - d) ** 4) / 7",  # no input
        "scalar s\nh = W @ (h[t-1] / (2 + h[t-1] ** 2)) + s\ny = softmax(h)\nloss = sum(d * log(y)) * s",
    ],
)
@pytest.mark.parametrize("batch", [None, 3])
def test_cells_of_all_kinds(text, batch):
    model = matrix_model(text, steps=4, loss="squared")
    verdicts = check_at_random(model, (*model.parameters, *model.initial_states), seed=5, batch=batch)
    assert verdicts.passed, f"\n{verdicts}"


def test_most_arrays_lie_outside_a_domain():
    """All entries positive after twenty draws that were not, and the label says so."""
    verdicts = check_at_random(matrix_model("y = log(W @ x + b)", loss="squared"), batch=6)
    assert verdicts.passed and verdicts[0].at == "seed 20, positive"
    with pytest.raises(NumericalFailure, match="no point from seed 0 on suits this model"):
        check_at_random(matrix_model("y = W @ x + log(-x ** 2)", steps=1, loss="squared"))


@pytest.mark.parametrize("cell", ["elman", "lstm", "gru-cudnn"])
@pytest.mark.parametrize("batch", [None, 3])
def test_the_numbers_are_those_of_a_hand_written_network(cell, batch):
    seed = 7
    p, x, d = net.random_point(cell, seed, steps=3, batch=batch)
    model = matrix_model(cell, activation="tanh", output_activation="logistic", loss="squared")
    exact = net.gradients(cell, p, x, d, activation="tanh", output="logistic", loss="squared")
    verdicts = check_gradient(model, (*p, "x_2"), {**p, "x": x, "d": d})
    assert verdicts.passed, f"\n{verdicts}"
    seen = 0
    for v in verdicts:
        gradient = exact["x"][1] if v.wrt == "x_2" else exact[v.wrt]
        if v.where.startswith("["):
            index = tuple(int(i) - 1 for i in v.where[1:-1].split(","))
            assert v.symbolic == pytest.approx(gradient[index], rel=1e-9), f"seed {seed}: {v}"
            seen += index == np.unravel_index(np.abs(gradient).argmax(), gradient.shape)
    assert seen == 2 * (len(p) + 1)  # the largest entry is always among them


def test_large_and_long():
    verdicts = check_at_random(matrix_model("gru", steps=60, **ENTROPY), ["W_n", "h_0", "b_r"])
    assert verdicts.passed, f"\n{verdicts}"
    sizes = {"n_x": 20, "n_h": 40, "n_y": 10}
    verdicts = check_at_random(matrix_model("lstm", steps=4, **ENTROPY), ["W_f", "x_1"], sizes=sizes, batch=5)
    assert verdicts.passed, f"\n{verdicts}"


def test_passes_that_do_not_fit_into_one_are_taken_apart(monkeypatch):
    import rnn_symbolic.matrix_checking as module

    model, names = matrix_model("irnn", **ENTROPY), ["W_h", "x_1"]
    together = check_at_random(model, names, seed=4, batch=2)
    monkeypatch.setattr(module, "STACKED", 1)
    apart = check_at_random(model, names, seed=4, batch=2)
    assert together.passed and apart.passed
    for one, other in zip(together, apart, strict=True):
        assert (one.wrt, one.where, one.symbolic) == (other.wrt, other.where, other.symbolic)
        assert one.numeric == pytest.approx(other.numeric, rel=1e-8)


# --- what is compared ---


def test_two_directions_and_three_entries():
    model = matrix_model("elman", **SQUARED)
    verdicts = check_at_random(model, ["W_x", "b_h", "x_2"], batch=3, method="complex step")
    where = {name: [v.where for v in verdicts if v.wrt == name] for name in ("W_x", "b_h", "x_2")}
    for name, rank in (("W_x", 2), ("b_h", 1), ("x_2", 2)):  # x_2: sample and component
        assert where[name][:2] == ["direction 1", "direction 2"]
        entries = [tuple(map(int, place[1:-1].split(","))) for place in where[name][2:]]
        assert len(set(entries)) == 3 and all(len(entry) == rank and min(entry) >= 1 for entry in entries)
    lines = str(verdicts).splitlines()
    assert lines[0].split()[:3] == ["wrt", "where", "status"]
    assert lines[1].index("direction 1") == lines[0].index("where")
    assert str(verdicts[0]).startswith("W_x direction 1  complex step  ")


def test_an_array_of_one_entry_is_a_number():
    """Size 1: nothing says where, and the sum over paths is that of the scalar form."""
    values = {"W_x": 0.7, "W_h": 0.5, "W_y": -1.1, "b_h": 0.2, "b_y": 0.4, "h_0": 0.3, "x": [1, -0.5], "d": [0.2, 0.6]}
    arrays = {
        k: np.array(v).reshape({"W": (1, 1), "x": (2, 1), "d": (2, 1)}.get(k[0], (1,))) for k, v in values.items()
    }
    names = [*values][:6]
    scalar = check_gradient(unroll("elman", steps=2, **SQUARED), names, values)
    matrix = check_gradient(matrix_model("elman", steps=2, **SQUARED), names, arrays)
    assert scalar.passed and matrix.passed
    for one, other in zip(scalar, matrix, strict=True):
        assert (one.wrt, one.method, one.where) == (other.wrt, other.method, "") and other.where == ""
        assert one.symbolic == pytest.approx(other.symbolic, rel=1e-12)
    assert str(matrix).splitlines()[0] == str(scalar).splitlines()[0]


def test_the_check_is_reproducible_and_does_not_depend_on_its_neighbours():
    model = matrix_model("elman", **SQUARED)
    alone, again = check_at_random(model, "W_h", 8), check_at_random(model, ["W_x", "W_h"], 8)
    assert alone == check_at_random(model, "W_h", 8)
    assert tuple(alone) == tuple(v for v in again if v.wrt == "W_h")
    assert alone != check_at_random(model, "W_h", 9)


def test_a_dead_component_is_left_to_the_directions():
    """∂L/∂W_h has a row of zeros behind a dead ReLU: its entries decide nothing, the other rows do."""
    model = matrix_model("irnn", **SQUARED)
    point = random_matrix_point(model, 2)
    point.parameters["b_h"][1] = -100.0
    verdicts = check_gradient(model, ["W_h", "b_h"], point)
    assert verdicts.passed, f"\n{verdicts}"
    assert not any(v.where in ("[2]", "[2,1]", "[2,2]", "[2,3]") for v in verdicts)
    wrong = with_rows(model, lambda edge: scaled(Fraction(2))(edge) if edge.tail.name == "b_h" else edge)
    assert not check_gradient(wrong, "b_h", point).passed


# --- wrong gradients fail ---


def with_rows(model: Model, change: Callable[[Edge], Edge | None]) -> Model:
    """The model with a change of the rows of its table; None drops a row."""
    return dataclasses.replace(model, table=tuple(row for edge in model.table if (row := change(edge)) is not None))


def with_row(model: Model, index: int, change: Callable[[Edge], Edge | None]) -> Model:
    chosen = model.table[index]
    return with_rows(model, lambda edge: change(edge) if edge is chosen else edge)


def scaled(by: Fraction) -> Callable[[Edge], Edge]:
    factor = Factor(LocalRule.NUMBER, Number(by), ("1", "1"))
    return lambda edge: dataclasses.replace(edge, terms=tuple((factor, *term) for term in edge.terms))


def per_factor(change: Callable[[Factor], Factor]) -> Callable[[Edge], Edge]:
    return lambda edge: dataclasses.replace(edge, terms=tuple(tuple(map(change, term)) for term in edge.terms))


def transposed_weight(factor: Factor) -> Factor:
    if factor.rule is not LocalRule.MATRIX:
        return factor
    assert factor.shape is not None
    return dataclasses.replace(factor, value=Transpose(factor.value), shape=factor.shape[::-1])


def reversed_factors(edge: Edge) -> Edge:
    """The matrices of a product in the wrong order: W diag(u) for diag(u) W."""

    def is_matrix(factor: Factor) -> bool:
        assert factor.shape is not None
        return "1" not in factor.shape and factor.rule is not LocalRule.ARGUMENT  # vᵀ ⊗ I fits at the end only

    def turned(term: tuple[Factor, ...]) -> tuple[Factor, ...]:
        matrices = [factor for factor in term if is_matrix(factor)]
        return tuple(matrices.pop() if is_matrix(factor) else factor for factor in term)

    return dataclasses.replace(edge, terms=tuple(map(turned, edge.terms)))


def value_for_preactivation(factor: Factor) -> Factor:
    """φ'(a) read as φ'(h): a slope that expects what stands before the function is given what comes after it."""
    after = {"a": "h", "o": "y", "a_n": "n", "a_z": "z", "a_f": "f"}

    def visit(node: Expression) -> Expression:
        if isinstance(node, Call) and isinstance(q := node.argument, Quantity) and q.name in after:
            return dataclasses.replace(node, argument=dataclasses.replace(q, name=after[q.name]))
        return node

    return dataclasses.replace(factor, value=transform(factor.value, visit))


def lagged(edge: Edge) -> Edge:
    """h_{t−1} read as h_t in the factors of a row."""

    def visit(node: Expression) -> Expression:
        return dataclasses.replace(node, step=0) if isinstance(node, Quantity) and node.step == -1 else node

    return per_factor(lambda factor: dataclasses.replace(factor, value=transform(factor.value, visit)))(edge)


def wrong_argument(factor: Factor) -> Factor:
    """vᵀ ⊗ I with −v for v: the outer product of a gradient, with a wrong second vector."""
    if factor.rule is not LocalRule.ARGUMENT:
        return factor
    assert isinstance(factor.value, Kronecker)
    return dataclasses.replace(factor, value=Kronecker(multiply(MINUS_ONE, factor.value.vector), factor.value.size))


EACH_ROW: dict[str, Callable[[Edge], Edge | None]] = {
    "dropped": lambda edge: None,
    "sign": scaled(Fraction(-1)),
    "factor 1.001": scaled(Fraction(1001, 1000)),
    "factor 1 + 1e-6": scaled(Fraction(1_000_001, 1_000_000)),
    "transposed weight": per_factor(transposed_weight),
    "reversed factors": reversed_factors,
    "value for pre-activation": per_factor(value_for_preactivation),
    "lag": lagged,
    "argument": per_factor(wrong_argument),
}
ONE_LINE = "h = tanh(W_h @ h[t-1] + U @ x + b)\ny = sin(V @ h + c)"
SQUARE = {"n_x": 3, "n_h": 3, "n_y": 3}


def spoiled_rows(model: Model, spoiling: str) -> list[Model]:
    models = [with_row(model, index, EACH_ROW[spoiling]) for index in range(len(model.table))]
    return [other for other in models if other.table != model.table]


@pytest.mark.parametrize("spoiling", EACH_ROW)
@pytest.mark.parametrize(
    ("cell", "sizes"),
    [
        pytest.param("elman", SQUARE, id="elman, square"),
        pytest.param("elman", None, marks=pytest.mark.slow, id="elman, sizes differ"),
        pytest.param(ONE_LINE, SQUARE, id="one line, square"),
        pytest.param(ONE_LINE, None, marks=pytest.mark.slow, id="one line, sizes differ"),
    ],
)
def test_a_spoiled_row_fails(cell, sizes, spoiling):
    model = matrix_model(cell, **SQUARED)
    names = (*model.parameters, *model.initial_states, "x_1", "x_3")
    found = spoiled_rows(model, spoiling)
    nothing = {("elman", "reversed factors"), (ONE_LINE, "value for pre-activation")}
    assert bool(found) == ((cell, spoiling) not in nothing)
    for other in found:
        verdicts = check_at_random(other, names, seed=2, sizes=sizes, method="complex step")
        assert "failed" in statuses(verdicts), f"seed 2, {spoiling}\n{verdicts}"


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("batch", [None, 2])
@pytest.mark.parametrize("spoiling", ["dropped", "sign", "factor 1.001", "transposed weight", "lag"])
@pytest.mark.parametrize("cell", ["lstm", "lstm-peephole", "gru", "gru-cudnn", "mgu", "lag2", "two-layer", "residual"])
def test_every_spoiled_row_of_every_cell_fails(cell, spoiling, batch, method):
    model = matrix_model(cell, **SQUARED)
    names = (*model.parameters, *model.initial_states, "x_1", "x_3")
    for other in spoiled_rows(model, spoiling):
        verdicts = check_at_random(other, names, seed=2, batch=batch, sizes=SQUARE, method=method)
        assert "failed" in statuses(verdicts), f"seed 2, {spoiling}\n{verdicts}"


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("batch", [None, 3])
@pytest.mark.parametrize("wrt", ["W_h", "W_x", "b_h", "W_y", "b_y", "h_0", "x_1", "h_2"])
def test_a_gradient_that_is_off_by_a_thousandth_fails(wrt, batch, method):
    model = matrix_model("elman", activation="tanh", loss="squared")
    row = next(i for i, edge in enumerate(model.table) if edge.head.name == "l")
    verdicts = check_at_random(with_row(model, row, scaled(Fraction(1001, 1000))), wrt, batch=batch, method=method)
    assert statuses(verdicts) == {"failed"} and not verdicts.passed
    for v in verdicts:
        assert v.symbolic == pytest.approx(1.001 * v.numeric, rel=1e-6), v


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("cell", "head", "tail", "goals"),
    [
        ("lstm", "c", "c", ["W_f", "b_i", "c_0"]),
        ("gru", "h", "h", ["W_z", "b_n", "h_0"]),
        ("residual", "h", "h", ["W_h", "b_h", "h_0"]),
    ],
)
def test_a_dropped_carry_fails(cell, head, tail, goals, method):
    model = matrix_model(cell, **ENTROPY)
    wrong = with_rows(model, lambda e: None if (e.head.name, e.tail.name, e.lag) == (head, tail, 1) else e)
    assert len(wrong.table) == len(model.table) - 1
    assert check_at_random(model, goals, seed=1, method=method).passed
    verdicts = check_at_random(wrong, goals, seed=1, method=method)
    assert {v.wrt for v in verdicts if v.status == "failed"} == set(goals), f"\n{verdicts}"


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("cell", ["gru", "mgu", "gru-cudnn"])
def test_a_slope_at_the_wrong_place_fails(cell, method):
    model = matrix_model(cell, **SQUARED)
    wrong = with_rows(model, per_factor(value_for_preactivation))
    verdicts = check_at_random(wrong, "b_n", seed=1, batch=2, method=method)
    assert statuses(verdicts) == {"failed"}, f"\n{verdicts}"


GRU = """a_z = W_z @ h[t-1] + U_z @ x + b_z
a_r = W_r @ h[t-1] + U_r @ x + b_r
z = logistic(a_z)
r = logistic(a_r)
a_n = {reset} + U_n @ x + b_n
n = tanh(a_n)
h = {mixed}
y = sin(W_y @ h + b_y)"""
BEFORE, AFTER = "W_n @ (r * h[t-1])", "r * (W_n @ h[t-1])"
KEEPS, ADMITS = "z * h[t-1] + (1 - z) * n", "(1 - z) * h[t-1] + z * n"


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("right", "wrong", "caught"),
    [
        ((BEFORE, KEEPS), (AFTER, KEEPS), ["W_n", "W_r", "h_0"]),
        ((AFTER, KEEPS), (BEFORE, KEEPS), ["W_n", "W_r", "h_0"]),
        ((BEFORE, KEEPS), (BEFORE, ADMITS), ["W_n", "W_z", "h_0"]),
        ((AFTER, ADMITS), (AFTER, KEEPS), ["W_n", "W_z", "h_0"]),
    ],
)
def test_the_other_convention_of_a_gru_fails(right, wrong, caught, method):
    """The equations of one, the table of the other."""
    model, other = (
        matrix_model(GRU.format(reset=reset, mixed=mixed), loss="squared") for reset, mixed in (right, wrong)
    )
    goals = [*map(str, model.parameters), "h_0"]
    assert check_at_random(model, goals, seed=6, method=method).passed
    verdicts = check_at_random(dataclasses.replace(model, table=other.table), goals, seed=6, method=method)
    failed = {v.wrt for v in verdicts if v.status == "failed"}
    assert failed >= set(caught) and not failed & {"W_y", "b_y"}, f"\n{verdicts}"


def test_factors_that_do_not_fit_fail():
    """A transposed weight of other sizes: there is no number at all, and that is a failure, not a crash."""
    model = matrix_model("elman", **SQUARED)
    wrong = with_rows(model, lambda e: per_factor(transposed_weight)(e) if e.tail.name == "h" else e)
    for verdict in check_at_random(wrong, ["W_x", "h_0"]):
        assert verdict.status == "failed" and "do not fit" in verdict.note and math.isnan(verdict.symbolic)
    assert statuses(check_at_random(wrong, "b_y")) == {"failed"}  # the sum passes by


def test_a_collapse_that_is_wrong_fails():
    model = matrix_model("elman", **ENTROPY)
    assert model.collapse is not None and model.collapse.general.shape is not None
    wrong = Factor(LocalRule.COLLAPSE, Transpose(Quantity("y", 0, "t")), model.collapse.general.shape)
    collapse = dataclasses.replace(model.collapse, result=wrong, general=wrong)
    verdicts = check_at_random(dataclasses.replace(model, collapse=collapse))
    assert statuses(verdicts) == {"failed"}
    without = dataclasses.replace(model, collapse=None)  # the two factors themselves are right
    assert check_at_random(without).passed


# --- no false accusation ---


def accusations(seed: int) -> list[str]:
    """What fails of a right gradient at a wild point: large weights, long sequences, saturation or chaos."""
    random = np.random.default_rng(seed)
    model = matrix_model(
        str(random.choice(["elman", "lag2", "residual", "irnn", "lstm", "gru"])),
        steps=int(random.integers(1, 25)),
        activation=str(random.choice(["tanh", "logistic", "relu", "softplus", "sin", "cos"])),
        output_activation=str(random.choice(["softmax", "logistic", "softplus", "sin"])),
        loss="squared",
        losses=str(random.choice(["all", "last"])),
    )
    sizes = {name: int(random.integers(1, 7)) for name in ("n_x", "n_h", "n_y")}
    batch = [None, 1, 4][random.integers(3)]
    point, scale = random_matrix_point(model, seed, sizes, batch), float(random.choice([2, 5, 30]))
    point = dataclasses.replace(point, parameters={k: scale * v for k, v in point.parameters.items()})
    goals = (*model.parameters, *model.initial_states)
    goals = tuple(goals[i] for i in random.choice(len(goals), 4, replace=False))
    verdicts = check_gradient(model, goals, point)
    return [f"{model.cell.name}, {model.activation}, seed {seed}: {v}" for v in verdicts if v.status == "failed"]


def test_a_right_gradient_is_never_accused():
    assert [line for seed in range(8) for line in accusations(seed)] == []


@pytest.mark.slow
@pytest.mark.parametrize("part", range(8))
def test_a_right_gradient_is_never_accused_at_many_points(part):
    assert [line for seed in range(100 + 40 * part, 140 + 40 * part) for line in accusations(seed)] == []


def test_chaos():
    """A last digit of difference between real and complex functions becomes another trajectory: not an accusation."""
    model = matrix_model("elman", steps=25, activation="sin", loss="squared")
    point = random_matrix_point(model, 3, batch=2)
    point = dataclasses.replace(point, parameters={**point.parameters, "W_h": 6 * point.parameters["W_h"]})
    verdicts = check_gradient(model, ["W_h", "b_h"], point)
    assert "failed" not in statuses(verdicts), f"\n{verdicts}"
    assert all(v.status == "inconclusive" and "do not agree" in v.note for v in verdicts if v.method == "Richardson")


# --- inconclusive, never a false pass ---

RELU = "a = W @ h[t-1] + U @ x\nh = relu(a)\ny = V @ h + c"


def relu_values(batch: bool = False) -> dict[str, object]:
    """a_1 = W h_0 + U x_1 = (0.9, 0, 0.8) to rounding: 0.1·3 − 0.3 is 5.6e−17 in floats."""
    x = [[[0.4, -0.7], [1.0, -0.3]], [[1.0, 0.4], [0.5, 0.6]]]
    d = [[[0.3, 0.8], [0.2, 0.9]], [[0.6, 0.1], [0.4, 0.7]]]
    return {
        "W": [[0.2, 0.0, 0.0], [0.1, 0.0, 0.0], [0.1, 0.3, 0.2]],
        "U": [[0.3, 0.0], [0.0, 1.0], [0.4, 0.3]],
        "V": [[1.5, -0.4, 0.7], [0.3, 0.8, -1.1]],
        "c": [0.2, -0.3],
        "h_0": [3.0, 1.0, 0.5],
        "x": x if batch else [x[0][1], x[1][1]],
        "d": d if batch else [d[0][1], d[1][1]],
    }


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("batch", [False, True])
def test_a_component_at_its_kink_is_inconclusive(batch, method):
    model = matrix_model(RELU, steps=2, loss="squared")
    verdicts = check_gradient(model, ["V", "c", "h_2", "x_1", "a_1", "U"], relu_values(batch), method=method)
    place = "in sample 2, component 2 of" if batch else "component 2 of"
    for v in verdicts:
        if v.wrt in ("V", "c", "h_2"):  # these do not move the argument
            assert v.status == "passed", v
        elif v.where.startswith("direction"):
            assert v.status == "inconclusive", v
            assert v.note.startswith(f"{place} the argument of relu in h_1 is at the kink"), v
    assert any(v.where == ("[2,1]" if batch else "[1]") and v.status == "passed" for v in verdicts if v.wrt == "a_1")


def test_near_a_kink():
    """At 1e-9 from it a complex step is exact; differences would have to be finer than rounding allows."""
    model, values = matrix_model(RELU, steps=2, loss="squared"), relu_values()
    values["x"] = [[1.0, -0.3 + 1e-9], [0.5, 0.6]]
    assert check_gradient(model, ["U", "x_1"], values, method="complex step").passed
    verdicts = check_gradient(model, "a_1", values, method="Richardson")
    assert all(v.status == "inconclusive" and "kink" in v.note for v in verdicts if v.where.startswith("direction"))
    values["x"] = [[1.0, -0.29], [0.5, 0.6]]  # Richardson comes closer until the stencil fits
    assert check_gradient(model, ["U", "x_1"], values, method="Richardson").passed


@pytest.mark.parametrize("method", METHODS)
def test_two_zeros_are_inconclusive(method):
    model = matrix_model("elman", steps=1, **SQUARED)
    point = random_matrix_point(model, 1)
    point.initial["h", 0][:] = 0.0
    for v in check_gradient(model, "W_h", point, method=method):
        assert (v.status, v.symbolic, v.numeric) == ("inconclusive", 0.0, 0.0) and "exactly 0" in v.note


def test_no_path_is_inconclusive_too():
    for v in check_at_random(matrix_model("elman", losses="last"), "y_1", method="complex step", batch=2):
        assert v.status == "inconclusive" and v.note.startswith("no path leads from L to y_1")


@pytest.mark.parametrize("method", METHODS)
def test_values_below_the_noise_are_inconclusive(method):
    """y − d is 0 to rounding while the factors are not: nothing is left that could tell right from wrong."""
    model = matrix_model("h = W @ h[t-1] + x\ny = h", steps=1, loss="squared")
    values = {"W": [[0.1, 0.0], [0.0, 0.1]], "h_0": [3.0, 3.0], "x": [[0.0, 0.0]], "d": [[0.3, 0.3]]}
    for v in check_gradient(model, "W", values, method=method):
        assert v.status == "inconclusive" and "rounding" in v.note, v


@pytest.mark.parametrize("method", [None, *METHODS])
@pytest.mark.parametrize("cell", ["linear", "irnn"])
def test_an_overflow_is_reported_with_its_step(cell, method):
    model = matrix_model(cell, steps=4, activation="identity", loss="squared")
    point = random_matrix_point(model, 1, batch=2)
    point.parameters["W_h"][:] = 1e100
    verdicts = check_gradient(model, None, point, method=method)
    assert statuses(verdicts) == {"inconclusive"} and not verdicts.passed
    assert all("overflows at step" in v.note and "l_" in v.note and math.isnan(v.symbolic) for v in verdicts)


def test_a_sum_beyond_the_range_of_floats_is_inconclusive():
    """h stays 0, and ∂L/∂h_0 is about 10^400 (y_4 − d_4)."""
    model = matrix_model("h = W @ h[t-1]\ny = h", steps=4, loss="squared", losses="last")
    values = {"W": [[1e100, 0.0], [0.0, 1e100]], "h_0": [0.0, 0.0], "d": [[1.0, 1.0]] * 4}
    for v in check_gradient(model, "h_0", values, method="complex step"):
        assert v.status == "inconclusive" and "10^400" in v.note, v


@pytest.mark.parametrize("w", [1e20, -1e90])
def test_exploding_gradients_need_a_smaller_complex_step(w):
    model = matrix_model("h = W @ h[t-1] + x\no = h\ny = sin(o)", steps=3, loss="squared", losses="last")
    values = {"W": [[w, 0.5], [0.0, 1.0]], "h_0": [0.0, 0.0], "x": [[0, 0], [0, 0], [0.4, 0.2]], "d": [[1.0, 1.0]] * 3}
    verdicts = check_gradient(model, "h_0", values, method="complex step")
    entry = next(v for v in verdicts if v.where == "[1]")
    assert entry.status == "passed", entry
    assert entry.numeric == pytest.approx((math.sin(0.4) - 1) * math.cos(0.4) * w**3)


@pytest.mark.parametrize("method", METHODS)
def test_a_saturated_softmax(method):
    """y_t has a component that is 0 in floats: the loss is taken in the pre-activation, its slope is y − d."""
    model = matrix_model("elman", steps=2, **ENTROPY)
    point = random_matrix_point(model, 4)
    point.parameters["b_y"][:] = [800.0, 0.0, 0.0, 0.0]
    verdicts = check_gradient(model, ["b_y", "W_y"], point, method=method)
    assert verdicts.passed, f"\n{verdicts}"


# --- refusals ---


def test_a_point_outside_the_domain_is_refused():
    model = matrix_model("y = log(W @ x)", steps=2, loss="squared")
    with pytest.raises(NumericalFailure, match="y_2 has no value at step 2"):
        check_gradient(model, "W", {"W": [[1.0]], "x": [[1.0], [-1.0]], "d": [[0.0], [0.0]]})


def test_bad_requests_are_refused():
    model = matrix_model("elman", **SQUARED)
    with pytest.raises(InputError, match=r"Did you mean 'W_x'?"):
        check_at_random(model, "Wx")
    with pytest.raises(InputError, match="'n_q' is not a size"):
        check_at_random(model, "W_x", sizes={"n_q": 3})
    with pytest.raises(InputError, match="at least 1"):
        check_at_random(model, "W_x", sizes={"n_h": 0})
    with pytest.raises(InputError, match="'richardson' is not a method"):
        check_at_random(model, "W_x", method="richardson")
    for options in ({"sizes": {"n_h": 3}}, {"batch": 2}):
        with pytest.raises(InputError, match="sizes and batches are for a model in matrix form"):
            check_at_random(unroll("elman"), "W_x", **options)
    with pytest.raises(InputError, match="the point holds arrays, but the model is in scalar form"):
        check_gradient(unroll("elman"), "W_x", random_matrix_point(model, 0))
    with pytest.raises(InputError, match="the point holds numbers, but the model is in matrix form"):
        scalar = {"W_x": 1, "W_h": 1, "W_y": 1, "b_h": 1, "b_y": 1, "x": [1] * 3, "d": [1] * 3}
        check_gradient(model, "W_x", point_from_mapping(scalar, unroll("elman")))


def test_a_concrete_model_stays_spoiled():
    """The check of an abstract model reads the rows that were derived, not new ones."""
    model = matrix_model("elman")
    wrong = with_rows(model, lambda e: per_factor(transposed_weight)(e) if e.tail.name == "h" else e)
    assert concrete(wrong).table != concrete(model).table
    assert "failed" in statuses(check_at_random(wrong, sizes=SQUARE))
