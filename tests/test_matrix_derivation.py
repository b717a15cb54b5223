r"""Derivations in matrix form: every line holds for every cell, and what is spoiled is refused.

Numbers cannot tell a transposed square matrix from itself by its shape, so the mutants here are refused by value:
a weight transposed, two factors swapped, a term dropped, σ' fed with h instead of a, the other reset of a GRU.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from rnn_symbolic.cells import BUILT_IN
from rnn_symbolic.derivation import Derivation, derive_gradient, derive_gradients
from rnn_symbolic.errors import NotDerivable
from rnn_symbolic.expressions import Call, Diagonal, Expression, Quantity, Transpose, transform
from rnn_symbolic.forms import Oriented, PathSum, arranged
from rnn_symbolic.model import Model, unroll
from rnn_symbolic.paths import graph, iter_paths
from rnn_symbolic.render.formulas import DOTS, form_pieces
from rnn_symbolic.sections import Part
from rnn_symbolic.table import Edge, LocalRule
from rnn_symbolic.verification import Check, Verification, stand_in, verify_all

LAYOUTS = ("gradient", "jacobian")
# Recurrent weights that are not square, between two sizes of states; a scalar; a loss of its own.
CROSSED = """\
a = W @ s[t-1] + U @ x + b
h = tanh(a)
e = V @ h + c * s[t-1]
s = sigma(e)
y = sigma(Y @ s + q)
"""
SCALARS = """\
scalar tau
scalar g
a = W_h @ h[t-1] + W_x @ x
h = tau * tanh(a) + g
y = W_y @ h + tau
loss = sum((y - d) ** 2) * 0.5 + tau ** 2
"""
CELLS = {**BUILT_IN, "crossed": CROSSED, "scalars": SCALARS}


def matrix(cell: str, steps: int = 3, **options: str) -> Model:
    return unroll(CELLS.get(cell, cell), steps=steps, form="matrix", **options)


def every_goal(model: Model) -> tuple[Quantity, ...]:
    """Parameters, initial states, an input and a state in the middle."""
    inputs = (model.resolve("x_1"),) if model.cell.uses_input else ()
    return (*model.parameters, *model.initial_states, *inputs, Quantity(model.cell.states[0], model.steps))


def some_goals(model: Model) -> tuple[Quantity, ...]:
    """The last parameter that weighs something, a bias, an initial state."""
    weights = [goal for goal in model.parameters if model.is_matrix(goal)]
    return (weights[-2 if len(weights) > 1 else 0], model.parameters[-1], model.initial_states[0])


def granularities(model: Model) -> tuple[str, ...]:
    return ("step", "state") if len(model.cell.states) == 1 else ("step",)


def status(verification: Verification) -> dict[str, str]:
    return {finding.check.value: finding.status for finding in verification.findings}


def assert_passes(derivations: tuple[Derivation, ...], seed: int) -> None:
    for found in verify_all(derivations, symbolic=False, seed=seed):
        assert found.passed, f"{derivations[0].model!r}, {derivations[0].plan.layout}: {found}"
        assert set(status(found).values()) == {"passed"}, str(found)


# --- what is right passes ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CELLS)
def test_every_line_of_every_cell_holds(name: str) -> None:
    model = matrix(name)
    for granularity in granularities(model):
        assert_passes(derive_gradients(model, every_goal(model), granularity=granularity), seed=3)
        assert_passes(derive_gradients(model, some_goals(model), granularity=granularity, layout="jacobian"), seed=4)


@pytest.mark.parametrize("T", [1, 2, 4])
@pytest.mark.parametrize("name", ["elman", "lag2", "two-layer", "crossed"])
def test_every_line_holds_for_other_numbers_of_steps(name: str, T: int) -> None:
    model = matrix(name, T, losses="last" if T == 2 else "mean")
    for layout in LAYOUTS:
        assert_passes(derive_gradients(model, every_goal(model), layout=layout), seed=T)


@pytest.mark.parametrize("output", ["softmax", "logistic"])
def test_cross_entropy_holds_with_its_collapse(output: str) -> None:
    for name in ("elman", "two-layer"):
        model = matrix(name, 2, loss="cross-entropy", output_activation=output)
        assert model.collapse is not None
        assert_passes(derive_gradients(model, every_goal(model)), seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("T", [1, 2, 3, 4, 8])
@pytest.mark.parametrize("name", CELLS)
def test_every_line_holds_in_every_way(name: str, T: int) -> None:
    model = matrix(name, T)
    for layout in LAYOUTS:
        for granularity in granularities(model) if T <= 4 else ("step",):
            derivations = derive_gradients(model, every_goal(model), granularity=granularity, layout=layout)
            assert_passes(derivations, seed=T)
    for options in ({"loss": "squared"}, {"loss": "cross-entropy"}, {"losses": "last"}, {"losses": "mean"}):
        model = matrix(name, T, output_activation="softmax" if "loss" in options else "sigma", **options)
        if model.loss != "cross-entropy" or model.collapse is not None:  # the logarithm of a linear output has no value
            assert_passes(derive_gradients(model, some_goals(model)), seed=T)


def assert_proved(model: Model) -> None:
    for found in verify_all(derive_gradients(model, every_goal(model)[:-1])):
        assert status(found)["sympy"] == "passed", f"{model!r}: {found}"
        assert found.passed


@pytest.mark.parametrize("name", ["elman", "residual", "lag2", "linear", "jordan", "crossed"])
def test_at_size_1_the_sum_is_what_sympy_derives(name: str) -> None:
    for T in (1, 2):
        assert_proved(matrix(name, T))


def test_at_size_1_the_sum_of_a_gated_cell_is_what_sympy_derives() -> None:
    assert_proved(matrix("gru", 1))


@pytest.mark.slow
@pytest.mark.parametrize("name", CELLS)
def test_at_size_1_every_cell_is_proved(name: str) -> None:
    for T in (1, 2):
        for options in ({}, {"loss": "squared"}, {"loss": "cross-entropy", "output_activation": "logistic"}):
            assert_proved(matrix(name, T, **options))


# --- a spoiled table --------------------------------------------------------------------------------------------------

Change = Callable[[Edge], Edge]


def with_row(model: Model, head: str, tail: str, change: Change) -> Model:
    """The model with the rows head ← tail changed."""
    chosen = [edge for edge in model.table if (edge.head.name, edge.tail.name) == (head, tail)]
    assert chosen and all(change(edge) != edge for edge in chosen)
    return replace(model, table=tuple(change(edge) if edge in chosen else edge for edge in model.table))


def weights_transposed(edge: Edge) -> Edge:
    return replace(
        edge,
        terms=tuple(
            tuple(replace(f, value=Transpose(f.value)) if f.rule is LocalRule.MATRIX else f for f in term)
            for term in edge.terms
        ),
    )


def swapped(edge: Edge) -> Edge:
    """The last two factors of each product, the other way round."""
    return replace(edge, terms=tuple((*term[:-2], *reversed(term[-2:])) for term in edge.terms))


def term_dropped(edge: Edge) -> Edge:
    return replace(edge, terms=edge.terms[1:])


def slope_of(name: str) -> Change:
    """σ' taken at another quantity of the same step."""

    def visit(node: Expression) -> Expression:
        return replace(node, argument=Quantity(name, 0, "t")) if isinstance(node, Call) and node.order else node

    def change(edge: Edge) -> Edge:
        return replace(
            edge, terms=tuple(tuple(replace(f, value=transform(f.value, visit)) for f in term) for term in edge.terms)
        )

    return change


def is_refused(model: Model, goal: str) -> bool:
    """Refused by the numbers of its lines or of its gradient, not only because a row is not the equation's."""
    try:
        found = verify_all((derive_gradient(model, goal),), symbolic=False)[0]
    except NotDerivable:  # what is by a matrix must end in vᵀ ⊗ I
        return True
    return not found.passed and "failed" in (status(found)["lines"], status(found)["gradient"])


def without_pp(edge: Edge) -> Edge:
    """diag(p) in the place of diag(p) − p pᵀ."""
    first, *rest = edge.terms[0]
    return replace(edge, terms=((replace(first, value=Diagonal(Quantity("y", 0, "t"))), *rest),))


MUTANTS: list[tuple[str, str, str, str, Change, str]] = [
    ("W_h transposed", "elman", "a", "h", weights_transposed, "W_x"),
    ("W_y transposed", "elman", "o", "h", weights_transposed, "b_h"),
    ("W_f transposed", "lstm", "a_f", "h", weights_transposed, "U_i"),
    ("W_n transposed", "gru", "a_n", "h", weights_transposed, "W_z"),
    ("slope and W_y swapped", "lstm", "y", "h", swapped, "W_f"),
    ("r and W_n swapped: the other reset", "gru", "a_n", "h", swapped, "W_z"),
    ("W_n and r swapped: the other reset", "gru-cudnn", "a_n", "h", swapped, "W_z"),
    ("slope and W_h swapped", "pascanu", "a", "a", swapped, "W_x"),
    ("slope and outer product swapped", "lstm", "y", "W_y", swapped, "W_y"),
    ("z dropped from h_{t-1} - n", "gru", "h", "z", term_dropped, "W_z"),
    ("p pᵀ dropped", "elman-softmax", "y", "o", without_pp, "W_y"),
    ("σ'(h) for σ'(a)", "elman", "h", "a", slope_of("h"), "W_x"),
    ("tanh'(g) for tanh'(a_g)", "lstm", "g", "a_g", slope_of("g"), "W_g"),
    ("logistic'(z) for logistic'(a_z)", "gru", "z", "a_z", slope_of("z"), "W_z"),
    ("tanh'(h) for tanh'(c)", "lstm", "h", "c", slope_of("h"), "U_f"),
]
"""What is changed, in which cell and row, how, and a goal that must notice it."""


def mutated(cell: str, steps: int = 3) -> Model:
    if cell == "elman-softmax":
        return matrix("elman", steps, loss="squared", output_activation="softmax")
    return matrix(cell, steps)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant[0])
def test_a_spoiled_row_is_refused(mutant: tuple[str, str, str, str, Change, str]) -> None:
    _, cell, head, tail, change, goal = mutant
    model = mutated(cell)
    assert not is_refused(model, goal)
    assert is_refused(with_row(model, head, tail, change), goal)


@pytest.mark.parametrize(("cell", "other"), [("gru", "gru-cudnn"), ("gru-cudnn", "gru")])
def test_the_rows_of_the_other_reset_are_refused(cell: str, other: str) -> None:
    """All rows of a_n that both conventions have, taken from the other one."""
    model = matrix(cell)
    rows = {(edge.head, edge.tail): edge for edge in matrix(other).table if edge.head.name == "a_n"}
    bad = replace(model, table=tuple(rows.get((edge.head, edge.tail), edge) for edge in model.table))
    assert sum(a != b for a, b in zip(model.table, bad.table, strict=True)) == 3  # by h, r and W_n
    for goal in ("W_r", "W_n", "h_0"):
        assert is_refused(bad, goal), goal


@pytest.mark.parametrize("name", ["elman", "lstm", "gru", "gru-cudnn", "lag2", "residual", "two-layer", "crossed"])
def test_a_dropped_row_is_refused(name: str) -> None:
    """Among them the carry: c_t ← c_{t−1} of an LSTM, h_t ← h_{t−1} of a GRU."""
    model = matrix(name, 2)
    goal = str(model.initial_states[0])
    for i, edge in enumerate(model.table):
        if edge.tail.step is None or edge.tail.name == "x":
            continue  # what weights and inputs do is no part of ∂L/∂h_0
        assert is_refused(replace(model, table=(*model.table[:i], *model.table[i + 1 :])), goal), str(edge.head)


# --- a spoiled line ---------------------------------------------------------------------------------------------------


def with_terms(derivation: Derivation, change: Callable[[Oriented], Oriented]) -> Derivation:
    """The derivation with every term of its sum changed, where the change changes anything."""
    whole = derivation.section(Part.SUM)
    (step,) = whole.steps
    assert isinstance(step.after, PathSum)
    terms = tuple(change(term) for term in step.after.shown if isinstance(term, Oriented))
    assert len(terms) == len(step.after.shown) and terms != step.after.shown
    bad = replace(whole, steps=(replace(step, after=replace(step.after, shown=terms)),))
    return replace(derivation, sections=tuple(bad if s.part is Part.SUM else s for s in derivation.sections))


def in_products(change: Callable[[tuple[Expression, ...]], tuple[Expression, ...]]) -> Callable[[Oriented], Oriented]:
    def changed(term: Oriented) -> Oriented:
        products = (change(tuple(factor for _, factor in product)) for product in term.products)
        return replace(term, products=tuple(tuple((None, factor) for factor in product) for product in products))

    return changed


def without_transposes(factors: tuple[Expression, ...]) -> tuple[Expression, ...]:
    return tuple(factor.of if isinstance(factor, Transpose) else factor for factor in factors)


def without_those_of_weights(factors: tuple[Expression, ...]) -> tuple[Expression, ...]:
    """W_h is square: only its value tells it from its transpose."""
    recurrent = [f for f in factors if isinstance(f, Transpose) and f.of == Quantity("W_h")]
    return tuple(f.of if isinstance(f, Transpose) and f in recurrent else f for f in factors)


def not_reversed(factors: tuple[Expression, ...]) -> tuple[Expression, ...]:
    return factors[::-1]


SPOILS = [without_transposes, without_those_of_weights, not_reversed]


@pytest.mark.parametrize("goal", ["W_x", "W_h", "b_h", "h_0", "x_1"])
@pytest.mark.parametrize("spoil", SPOILS, ids=lambda spoil: spoil.__name__)
def test_a_spoiled_gradient_is_refused(spoil: Callable[..., tuple[Expression, ...]], goal: str) -> None:
    derivation = derive_gradient(matrix("elman"), goal)
    found = verify_all((with_terms(derivation, in_products(spoil)),), symbolic=False)[0]
    assert not found.passed
    assert status(found)["lines"] == "failed", str(found)


@pytest.mark.parametrize("goal", ["W_f", "U_g", "b_o", "h_0"])
def test_a_spoiled_gradient_of_blocks_is_refused(goal: str) -> None:
    """Named blocks are square, and still ∂S_3/∂S_2 is not its transpose, nor does it commute with ∂S_2/∂S_1."""
    derivation = derive_gradient(matrix("lstm"), goal)
    for spoil in (without_transposes, not_reversed, lambda factors: (factors[0], *factors[-2:0:-1], factors[-1])):
        found = verify_all((with_terms(derivation, in_products(spoil)),), symbolic=False)[0]
        assert status(found)["lines"] == "failed", str(found)


@pytest.mark.parametrize("goal", ["W_x", "b_h"])
def test_a_gradient_in_the_other_layout_is_refused(goal: str) -> None:
    model = matrix("elman")
    there = {layout: derive_gradient(model, goal, layout=layout) for layout in LAYOUTS}
    for layout, other in (LAYOUTS, LAYOUTS[::-1]):
        result = there[other].result
        assert isinstance(result, PathSum)
        terms = iter(result.shown)
        bad = with_terms(there[layout], lambda _, terms=terms: next(terms))  # type: ignore[misc]
        found = verify_all((bad,), symbolic=False)[0]
        assert status(found)["lines"] == "failed", str(found)


# --- elision ----------------------------------------------------------------------------------------------------------


def result_of(derivation: Derivation) -> PathSum:
    assert isinstance(derivation.result, PathSum)
    return derivation.result


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", ["elman", "lag2", "linear", "lstm", "gru", "crossed"])
def test_dots_stand_where_terms_are_left_out_and_only_there(name: str, layout: str) -> None:
    model = matrix(name, 8)
    for goal in (*model.parameters[:2], model.parameters[-1], model.initial_states[0]):
        short, whole = (result_of(derive_gradient(model, goal, layout=layout, whole=whole)) for whole in (False, True))
        every = [piece.removeprefix("+ ") for piece in form_pieces(whole)]
        assert len(every) == graph(model, goal, whole.granularity).count() and DOTS not in every
        shown = [piece.removeprefix("+ ") for piece in form_pieces(short)]
        paths = [term.path for term in whole.shown]
        places = [paths.index(term.path) for term in short.shown]
        assert places == sorted(set(places))
        with_dots: list[str] = []
        for i, place in enumerate(places):
            with_dots += [DOTS] if place != (places[i - 1] + 1 if i else 0) else []
            with_dots.append(every[place])
        with_dots += [DOTS] if places[-1] != len(every) - 1 else []
        assert shown == with_dots, f"{name}, {goal}"


@pytest.mark.parametrize("name", ["elman", "linear", "pascanu", "lstm", "gru-cudnn", "two-layer", "crossed"])
def test_an_elided_sum_is_worth_all_its_paths(name: str) -> None:
    model = matrix(name, 8)
    for layout in LAYOUTS:
        for goal in (model.parameters[0], model.initial_states[0]):
            derivation = derive_gradient(model, goal, layout=layout)
            result = result_of(derivation)
            assert result.elided and len(result.shown) < result.count
            at = stand_in(derivation.plan, seed=5)
            paths = iter_paths(model, goal, derivation.plan.granularity)
            total = sum(arranged(at.path(path).value, layout) for path in paths)
            found, expected = result.number(at), at.of(derivation.plan.total(goal).expression)
            assert found.shape == expected.shape == total.shape
            np.testing.assert_allclose(found, total, rtol=1e-9, atol=1e-12)
            np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", ["elman", "lstm"])
def test_a_hundred_steps_pass(name: str) -> None:
    model = matrix(name, 100)
    weight = "W_x" if name == "elman" else "W_f"
    for found in verify_all(derive_gradients(model, (weight, "h_0")), symbolic=False):
        assert found.passed, str(found)
        gradient = found.finding(Check.GRADIENT)
        assert gradient is not None and gradient.number == (100 if str(found.goal) == "h_0" else 5050)


def test_a_product_over_many_steps_shows_its_first_two_and_its_last() -> None:
    shown = form_pieces(result_of(derive_gradient(matrix("elman", 8), "b_h")))
    slopes = {t: rf"\operatorname{{diag}}(\sigma'(a_{{{t}}}))" for t in (1, 7, 8)}
    last = r"W_{y}^{\top}\,\operatorname{diag}(\sigma'(o_{8}))\,\nabla \ell_{8}(y_{8})"
    weight = r"W_{h}^{\top}"
    assert shown[3] == "+ " + r"\,".join((slopes[1], DOTS, weight, slopes[7], weight, slopes[8], last))
