"""The scalar form of a cell is its matrix form at size 1: the same numbers, lines, paths and counts."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sympy as sp

from rnn_symbolic.arrays import array_point
from rnn_symbolic.cells import BUILT_IN, load_cell
from rnn_symbolic.checking import check_at_random
from rnn_symbolic.derivation import Derivation, default_granularity, derive_gradients
from rnn_symbolic.forms import PathSum, Rule, Step, Written
from rnn_symbolic.gradients import gradients_at
from rnn_symbolic.graph import GRANULARITIES
from rnn_symbolic.jacobian import StateJacobian, jacobian_value
from rnn_symbolic.matrix_valuation import MatrixValuation, random_matrix_point
from rnn_symbolic.model import Model, unroll
from rnn_symbolic.numeric import Point
from rnn_symbolic.paths import count_paths, graph, iter_paths
from rnn_symbolic.sections import Part, Section, rule_of_row
from rnn_symbolic.symbols import read
from rnn_symbolic.valuation import random_point
from rnn_symbolic.values import point_of

OWN = (Path(__file__).parents[1] / "examples" / "my.cell").read_text(encoding="utf-8")
LEAKY = "scalar tau\nh = (1 - tau) * h[t-1] + tau * tanh(W @ h[t-1] + U @ x)\ny = sigma(V @ h)"
HALVED = "h = 0.5 * h[t-1] + tanh(W @ h[t-1] + U @ x)\ny = sigma(V @ h)"
OWN_LOSS = "h = sin(W @ h[t-1] + P * x + b)\ny = h\nloss = sum(w * (y - d)**2) + sum(exp(y))"
CELLS = {**{name: name for name in BUILT_IN}, "my": OWN, "leaky": LEAKY, "halved": HALVED, "own loss": OWN_LOSS}
CHOICES: dict[str, dict[str, str]] = {
    "abstract": {},
    "squared": {"loss": "squared", "activation": "tanh", "output_activation": "logistic"},
    "collapsed": {"loss": "cross-entropy", "activation": "sin", "output_activation": "logistic", "losses": "last"},
    "mean": {"loss": "squared", "activation": "softplus", "losses": "mean"},
}


@cache
def models(cell: str, choice: str, steps: int = 2) -> tuple[Model, Model]:
    """A cell in scalar form and in matrix form."""
    scalar, matrix = (unroll(CELLS[cell], steps=steps, form=form, **CHOICES[choice]) for form in ("scalar", "matrix"))
    return scalar, matrix


def goals(model: Model) -> list[str]:
    """Every parameter and initial state, x_2, and a state and an output on the way."""
    named = [f"{name}_1" for name in (*model.cell.states, "y")]
    x = ["x_2"] if model.cell.uses_input else []
    return list(dict.fromkeys([*map(str, model.parameters), *map(str, model.initial_states), *x, *named]))


# --- numbers ------------------------------------------------------------------------------------------------------


def at_size_1(point: Point, model: Model) -> Any:
    """The mapping of nested lists, 1 × 1, 1 or a number, that holds the numbers of a point."""

    def nested(name: str, number: float) -> Any:
        return [[[number]], [number], number][2 - len(model.names[name])]

    values = {name: nested(name, number) for name, number in point.parameters.items()}
    values |= {f"{name}_{step}": nested(name, number) for (name, step), number in point.initial.items()}
    x = {"x": [[number] for number in point.x]} if model.cell.uses_input else {}
    return {**values, **x, "d": [[number] for number in point.d]}


@pytest.mark.parametrize("cell", CELLS)
def test_numbers(cell: str) -> None:
    """L, every gradient, states, outputs, the state Jacobian; of sequences of several lengths."""
    second = "mean" if cell in ("linear", "d2l", "pascanu") else "collapsed"  # log y of a negative y has no value
    for seed, (choice, steps) in enumerate([("squared", 1), (second, 3), ("mean", 4)]):
        scalar, matrix = models(cell, choice, steps)
        numbers = random_point(scalar, seed)
        point = point_of(at_size_1(numbers, matrix), matrix)
        assert set(point.sizes.values()) == {1}
        expected, found = gradients_at(scalar, numbers), gradients_at(matrix, point)
        about = f"{cell}, {choice}, T = {steps}, seed {seed}"
        assert found.loss == pytest.approx(expected.loss, rel=1e-14), about
        assert list(found) == list(expected), about
        for name in expected:
            shape = np.shape(point.parameters.get(name, ()))
            assert np.size(found[name]) == 1 and (name not in point.parameters or found[name].shape == shape)
            np.testing.assert_allclose(
                found[name].item(), expected[name].item(), rtol=1e-12, err_msg=f"{about}, {name}"
            )
            assert found.log10[name] == pytest.approx(expected.log10[name], abs=1e-10)
        if matrix.cell.uses_input:
            assert found.input_gradients is not None and expected.input_gradients is not None
            np.testing.assert_allclose(found.input_gradients[:, 0], expected.input_gradients, rtol=1e-12, err_msg=about)
        np.testing.assert_allclose(found.outputs[:, 0], expected.outputs, rtol=1e-14, err_msg=about)
        for name in matrix.cell.states:
            np.testing.assert_allclose(found.states[name][:, 0], expected.states[name], rtol=1e-14, err_msg=about)
        if steps > 1:
            jacobians = [
                jacobian_value(StateJacobian(model, 2), MatrixValuation(model, at))
                for model, at in ((scalar, array_point(numbers)), (matrix, point))
            ]
            np.testing.assert_allclose(*jacobians, rtol=1e-12, atol=1e-15, err_msg=about)


@pytest.mark.parametrize("cell", ["leaky", "halved", "my", "own loss"])
def test_cells_of_ones_own_at_other_sizes(cell: str) -> None:
    """What is right at size 1 must be right at every size; a number times a vector is τ I, and no number is."""
    for seed, choice in ((1, "squared"), (2, "mean")):
        model = models(cell, choice, 3)[1]
        names = [str(q) for q in (*model.parameters, *model.initial_states)]
        verdicts = check_at_random(model, names, seed, batch=2)
        assert verdicts.passed, (cell, choice, seed, [v for v in verdicts if v.status != "passed"])


@pytest.mark.parametrize(
    ("text", "block"),
    [
        (HALVED, "(1/2) I + diag(tanh′(W hₜ₋₁ + U xₜ)) W"),
        (LEAKY, "(1 − τ) I + τ diag(tanh′(W hₜ₋₁ + U xₜ)) W"),
        ("k = -h[t-1]\nh = k + W @ x\ny = h", "−I"),
        ("scalar tau\nh = tau * h[t-1] / 2 + W @ x\ny = h", "(1/2) τ I"),
        ("h = h[t-1] + 2 * h[t-1] + W @ x\ny = h", "I + 2 I"),
    ],
)
def test_a_number_times_a_vector_is_a_matrix(text: str, block: str) -> None:
    """A scalar in the place of a Jacobian is that multiple of I, or a sum would add it to every entry."""
    jacobian = StateJacobian(unroll(text, form="matrix"), 1)
    found = jacobian.blocks.at("h", "h", 1)
    assert found is not None and str(Written(found.written)) == block
    model = unroll(text, form="matrix", loss="squared", output_activation="tanh")
    valuation = MatrixValuation(model, random_matrix_point(model, 3))
    for lag in (1, 2, 3):
        jacobian = StateJacobian(model, lag)
        np.testing.assert_allclose(jacobian_value(jacobian, valuation), valuation.of(jacobian.name), atol=1e-14)


@pytest.mark.parametrize("text", ["h = 0.5 * h[t-1] + W @ x\ny = h", "k = -h[t-1]\nh = k + W @ x\ny = h"])
def test_rows_of_numbers_have_the_same_rule(text: str) -> None:
    """∂⁺(c u)/∂u = c I because c is constant; nothing is nested."""
    scalar, matrix = unroll(text), unroll(text, form="matrix")
    (row, *_), (other, *_) = (
        [edge for edge in model.table if edge.tail.name == "h" and edge.lag] for model in (scalar, matrix)
    )
    assert rule_of_row(row) is rule_of_row(other) is Rule.CONSTANT_MULTIPLE


# --- records ------------------------------------------------------------------------------------------------------


@cache
def derivations(cell: str, choice: str, granularity: str) -> tuple[tuple[Derivation, ...], tuple[Derivation, ...]]:
    scalar, matrix = models(cell, choice)
    of_numbers, of_matrices = (
        derive_gradients(model, goals(model), granularity=granularity) for model in (scalar, matrix)
    )
    return of_numbers, of_matrices


def equal(found: Any, expected: Any) -> bool:
    """Whether two SymPy expressions, or small matrices of them, are the same."""
    if found == expected:
        return True
    difference = found - expected
    if isinstance(difference, sp.MatrixBase):
        return all(sp.expand(entry) == 0 for entry in difference)
    return bool(sp.expand(difference) == 0)


def value(step: Step, model: Model) -> Any:
    """What the right-hand side of a line is worth at size 1; where it holds no named derivative, as it stands."""
    return step.after.value(model)


def same_lines(found: Section, expected: Section, matrix: Model, scalar: Model, *about: object) -> None:
    assert len(found.steps) == len(expected.steps), about
    for line, other in zip(found.steps, expected.steps, strict=True):
        assert line.subject == other.subject or not hasattr(line.subject, "name"), about
        assert equal(value(line, matrix), value(other, scalar)), (about, str(line), str(other))


@pytest.mark.parametrize("choice", ["abstract", "collapsed"])
@pytest.mark.parametrize("cell", CELLS)
def test_sums_are_the_same(cell: str, choice: str) -> None:
    """The result for every parameter, every initial state, x_2 and others: equal as SymPy expressions, T = 2."""
    scalar, matrix = models(cell, choice)
    assert default_granularity(scalar) == default_granularity(matrix)
    of_numbers, of_matrices = derivations(cell, choice, default_granularity(matrix))
    assert [str(d.goal) for d in of_matrices] == goals(scalar) == goals(matrix)
    for expected, found in zip(of_numbers, of_matrices, strict=True):
        about = cell, choice, str(found.goal)
        same_lines(found.section(Part.SUM), expected.section(Part.SUM), matrix, scalar, *about)
        sums = [line.after for d in (found, expected) for line in d.section(Part.SUM).steps]
        assert [s.count for s in sums if isinstance(s, PathSum)] in ([], [count_paths(scalar, expected.goal)] * 2) or (
            default_granularity(matrix) == "step"
        )


@pytest.mark.parametrize("layout", ["gradient", "jacobian"])
@pytest.mark.parametrize("cell", ["elman", "residual", "jordan", "own loss", "halved"])
def test_layouts_do_not_matter_at_size_1(cell: str, layout: str) -> None:
    scalar, matrix = models(cell, "abstract")
    for expected, found in zip(
        derive_gradients(scalar, goals(scalar)), derive_gradients(matrix, goals(matrix), layout=layout), strict=True
    ):
        assert equal(found.result.value(matrix), expected.result.value(scalar)), (cell, layout, str(found.goal))


@pytest.mark.parametrize("cell", CELLS)
def test_the_table_is_the_same(cell: str) -> None:
    """Row by row: the immediate partials of the one equation."""
    for choice in CHOICES:
        scalar, matrix = models(cell, choice)
        assert [(str(e.head), str(e.tail), e.lag) for e in matrix.table] == [
            (str(e.head), str(e.tail), e.lag) for e in scalar.table
        ]
        for row, other in zip(matrix.table, scalar.table, strict=True):
            assert equal(read(row.value), read(other.value)), (cell, choice, str(row.head), str(row.tail))


@pytest.mark.parametrize("cell", CELLS)
def test_common_sections_are_the_same(cell: str) -> None:
    """Forward pass, immediate partials, blocks, outputs, states: what the lines say by name they say of the same."""
    granularity = default_granularity(models(cell, "abstract")[1])
    of_numbers, of_matrices = (d[0] for d in derivations(cell, "abstract", granularity))
    for part in (Part.FORWARD, Part.IMMEDIATE, Part.BLOCKS):
        found, expected = of_matrices.section(part), of_numbers.section(part)
        assert [line.subject for line in found.steps] == [line.subject for line in expected.steps], part
        for line, other in zip(found.steps, expected.steps, strict=True):
            if isinstance(line.after, Written) and isinstance(other.after, Written):
                assert equal(_by_name(line), _by_name(other)), (cell, part, str(line), str(other))


def _by_name(step: Step) -> Any:
    """The right-hand side with named derivatives as symbols of their own."""
    assert isinstance(step.after, Written)

    def name(node: Any) -> sp.Symbol:
        return sp.Symbol(f"D({node.of}, {node.wrt}, {node.immediate})")

    return read(step.after.expression, name)


# --- paths --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("granularity", GRANULARITIES)
@pytest.mark.parametrize("cell", CELLS)
def test_paths_are_the_same(cell: str, granularity: str) -> None:
    """Routes one by one, products as SymPy expressions, counts; to every goal."""
    for choice in ("abstract", "mean"):
        scalar, matrix = models(cell, choice)
        for goal in goals(matrix):
            expected, found = (list(iter_paths(model, goal, granularity)) for model in (scalar, matrix))
            about = cell, granularity, choice, goal
            assert [path.route for path in found] == [path.route for path in expected], about
            assert [(p.loss_step, p.entry_step) for p in found] == [(p.loss_step, p.entry_step) for p in expected]
            assert len(found) == count_paths(matrix, goal, granularity) == count_paths(scalar, goal, granularity)
            for path, other in zip(found, expected, strict=True):
                assert equal(path.product, other.product), (about, path.route)


@pytest.mark.parametrize("cell", CELLS)
def test_counts_are_the_same_at_any_length(cell: str) -> None:
    scalar, matrix = models(cell, "abstract", 40)
    for granularity in GRANULARITIES:
        for goal in (goal for goal in goals(matrix) if "(" not in goal):
            counted = [graph(model, goal, granularity) for model in (scalar, matrix)]
            assert counted[0].count() == counted[1].count(), (cell, granularity, goal)
            assert list(counted[0].count_by_lag().items()) == list(counted[1].count_by_lag().items())


def test_the_cells_are_all_there() -> None:
    assert len(CELLS) == len(BUILT_IN) + 4 and {"lstm", "gru", "gru-cudnn", "lag2", "two-layer"} <= set(CELLS)
    assert not any(load_cell(text).name in BUILT_IN for text in (OWN, LEAKY, HALVED, OWN_LOSS))
