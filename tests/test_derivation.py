r"""Derivations: the article's order, each line alone, the textbook's gradients, elision, identities I6, I8, I9."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pytest
import sympy as sp
from textbook import ARTICLE, CELLS, GRADIENTS, GRU, LSTM, W_h, W_x, W_y
from textbook import s as slope_of

from rnn_symbolic.cells import BUILT_IN
from rnn_symbolic.derivation import Derivation, common_sections, derive_gradient, derive_gradients, make_plan
from rnn_symbolic.errors import InputError
from rnn_symbolic.expressions import Derivative, Expression, Quantity, at_step, walk
from rnn_symbolic.forms import (
    Collected,
    Form,
    PathProduct,
    PathSum,
    Rule,
    Step,
    Written,
    collect,
    recurrent_patterns,
    terms_of,
)
from rnn_symbolic.graph import GRANULARITIES
from rnn_symbolic.model import Model, unroll
from rnn_symbolic.paths import graph, iter_paths
from rnn_symbolic.render.formulas import form_latex, step_latex
from rnn_symbolic.sections import ELIDE_ABOVE, MAX_ALTERNATIVES, Part, Plan, shown_steps
from rnn_symbolic.symbols import inline, read, symbol
from rnn_symbolic.unicode import plain
from rnn_symbolic.valuation import stand_in_valuation
from rnn_symbolic.verification import all_steps, stand_in

EVERY_CELL = {**BUILT_IN, **{f"{name} as text": cell for name, cell in CELLS.items()}}
PARAMETERS = ("W_x", "W_h", "b_h", "W_y", "b_y")


def lines(derivation: Derivation, part: Part, whole: bool = False) -> list[str]:
    return [plain(step_latex(step, whole)) for step in derivation.section(part).steps]


def result(derivation: Derivation) -> PathSum:
    assert isinstance(derivation.result, PathSum)
    return derivation.result


# --- the textbook -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("goal", GRADIENTS)
def test_the_gradients_of_the_textbook(goal: str) -> None:
    derivation = derive_gradient(unroll("elman", steps=3), goal)
    assert derivation.result.value(derivation.model) == GRADIENTS[goal]


@pytest.mark.parametrize("goal", ARTICLE)
def test_the_articles_view_of_the_last_loss(goal: str) -> None:
    derivation = derive_gradient(unroll("elman", steps=3, losses="last"), goal)
    assert sp.expand(derivation.result.value(derivation.model) - ARTICLE[goal]) == 0
    full = derive_gradient(unroll("elman", steps=3), goal)
    assert full.result.value(full.model) != derivation.result.value(derivation.model)


def test_the_textbook_itself_agrees_with_sympys_diff() -> None:
    """So that a common slip of the pen would show."""
    model = unroll("elman", steps=3)
    loss = inline(model, symbol(Quantity("L")))
    for goal, gradient in GRADIENTS.items():
        assert sp.expand(inline(model, gradient) - sp.diff(loss, sp.Symbol(goal))) == 0, goal


# --- the sections -----------------------------------------------------------------------------------------------------


def test_a_derivation_goes_as_the_article_does() -> None:
    derivation = derive_gradient(unroll("elman", steps=3), "W_x")
    joint = (Part.BLOCKS, Part.ENTRIES)  # of gated cells
    assert [section.part for section in derivation.sections] == [part for part in Part if part not in joint]
    forward = lines(derivation, Part.FORWARD)
    assert forward[:5] == ["a₁ = W_h h₀ + W_x x₁ + b_h", "h₁ = σ(a₁)", "o₁ = W_y h₁ + b_y", "y₁ = σ(o₁)", "ℓ₁ = ℓ₁(y₁)"]
    assert forward[-1] == "L = ℓ₁ + ℓ₂ + ℓ₃"
    assert lines(derivation, Part.OUTPUTS) == ["∂L/∂y₃ = ℓ₃′(y₃)", "∂L/∂y₂ = ℓ₂′(y₂)", "∂L/∂y₁ = ℓ₁′(y₁)"]
    assert lines(derivation, Part.STATES) == [
        "∂L/∂h₃ = ∂L/∂y₃ σ′(o₃) W_y",
        "∂L/∂h₂ = ∂L/∂y₂ σ′(o₂) W_y + ∂L/∂h₃ σ′(a₃) W_h",
        "∂L/∂h₁ = ∂L/∂y₁ σ′(o₁) W_y + ∂L/∂h₂ σ′(a₂) W_h",
    ]
    assert lines(derivation, Part.ADJOINT) == ["∂L/∂W_x = ∂L/∂h₁ σ′(a₁) x₁ + ∂L/∂h₂ σ′(a₂) x₂ + ∂L/∂h₃ σ′(a₃) x₃"]
    assert [plain(form_latex(term)) for term in result(derivation).shown] == [
        "ℓ₃′(y₃) σ′(o₃) W_y σ′(a₃) x₃",
        "ℓ₃′(y₃) σ′(o₃) W_y σ′(a₃) W_h σ′(a₂) x₂",
        "ℓ₃′(y₃) σ′(o₃) W_y σ′(a₃) W_h σ′(a₂) W_h σ′(a₁) x₁",
        "ℓ₂′(y₂) σ′(o₂) W_y σ′(a₂) x₂",
        "ℓ₂′(y₂) σ′(o₂) W_y σ′(a₂) W_h σ′(a₁) x₁",
        "ℓ₁′(y₁) σ′(o₁) W_y σ′(a₁) x₁",
    ]


def test_with_the_last_loss_only_h3_reaches_the_loss_directly() -> None:
    derivation = derive_gradient(unroll("elman", steps=3, losses="last"), "W_x")
    assert lines(derivation, Part.FORWARD)[-1] == "L = ℓ₃"
    assert lines(derivation, Part.OUTPUTS) == ["∂L/∂y₃ = ℓ₃′(y₃)"]
    assert lines(derivation, Part.STATES) == [
        "∂L/∂h₃ = ∂L/∂y₃ σ′(o₃) W_y",
        "∂L/∂h₂ = ∂L/∂h₃ σ′(a₃) W_h",
        "∂L/∂h₁ = ∂L/∂h₂ σ′(a₂) W_h",
    ]
    assert {step.rule for step in derivation.section(Part.STATES).steps} == {Rule.ONLY_READER}


def test_one_step() -> None:
    derivation = derive_gradient(unroll("elman", steps=1), "W_h")
    assert plain(step_latex(derivation.section(Part.SUM).steps[0])) == "∂L/∂W_h = ℓ₁′(y₁) σ′(o₁) W_y σ′(a₁) h₀"
    assert lines(derivation, Part.ADJOINT) == ["∂L/∂W_h = ∂L/∂h₁ σ′(a₁) h₀"]


def test_the_output_weights_have_nothing_to_collect() -> None:
    for goal in ("W_y", "b_y"):
        assert not derive_gradient(unroll("elman", steps=5), goal).section(Part.COLLECTED).steps


def test_a_quantity_that_l_does_not_depend_on() -> None:
    derivation = derive_gradient(unroll("elman", steps=3, losses="last"), "y_1")
    assert [step.rule for step in derivation.section(Part.SUM).steps] == [Rule.NO_PATH]
    assert derivation.result.value(derivation.model) == 0
    assert derivation.paths == ()
    assert derivation.verify().passed


def test_several_derivations_share_their_common_sections() -> None:
    model = unroll("elman", steps=3)
    derivations = derive_gradients(model)
    assert [str(d.goal) for d in derivations] == ["W_x", "W_h", "W_y", "b_h", "b_y"]
    shared = common_sections(Plan(model))
    for derivation in derivations:
        assert derivation.sections[: len(shared)] == derivations[0].sections[: len(shared)]
        assert derivation == derive_gradient(model, derivation.goal)
    assert [str(d.goal) for d in derive_gradients(model, ("h_0", Quantity("x", 2)))] == ["h_0", "x_2"]


def test_a_derivation_from_a_cell_or_its_text() -> None:
    assert derive_gradient("elman", "W_y") == derive_gradient(unroll("elman"), "W_y")
    assert result(derive_gradient("h = w @ h[t-1] + x\ny = h", "w")).count == 6
    with pytest.raises(InputError, match="is not a quantity of elman"):
        derive_gradient("elman", "W_q")


# --- each line alone --------------------------------------------------------------------------------------------------


def size(number: Any) -> float:
    """The greatest magnitude: a joint state makes arrays of the numbers of several states."""
    return float(np.abs(number).max())


def close(a: Any, b: Any, scale: float = 0.0) -> bool:
    return np.shape(a) == np.shape(b) and size(a - b) <= 1e-10 * max(size(a), size(b), scale, 1e-10)


def terms(form: Form) -> Iterable[Form]:
    return form.shown if isinstance(form, PathSum) else ()


OPTIONS: list[dict[str, str]] = [
    {},
    {"losses": "last"},
    {"loss": "squared", "activation": "tanh"},
    {"loss": "cross-entropy", "activation": "logistic"},
    {"loss": "cross-entropy", "activation": "softplus", "output_activation": "logistic", "losses": "last"},
    {"loss": "squared", "activation": "relu", "output_activation": "identity"},
]


@pytest.mark.parametrize(
    ("name", "options"),
    [(name, options) for name in EVERY_CELL for options in (OPTIONS if name in BUILT_IN else OPTIONS[::3])],
    ids=str,
)
def test_both_sides_of_every_line_agree_at_random_values(name: str, options: dict[str, str]) -> None:
    """Total derivatives come from complex steps of the forward pass, immediate ones from the one equation."""
    for T in (1, 3):
        model = unroll(EVERY_CELL[name], steps=T, **options)
        seed = random.Random(f"{name} {options} {T}").randrange(10_000)
        at = stand_in(make_plan(model, None), seed)
        for goal in (
            *some(model.parameters),
            *model.initial_states,
            Quantity("x", 1),
            Quantity(model.cell.states[0], 1),
        ):
            derivation = derive_gradient(model, goal)
            assert derivation.model is model
            for step in all_steps(derivation.steps):
                scale = max((size(term.number(at)) for term in terms(step.after)), default=0.0)
                for before, after in instances(step, T):
                    sides = before.number(at), after.number(at)
                    assert close(*sides, scale), f"{name}, {T=}, {seed=}, {goal}: {plain(step_latex(step))}: {sides}"


def some(parameters: tuple[Quantity, ...]) -> tuple[Quantity, ...]:
    """All parameters; of the many of a gated cell those of every other kind."""
    return parameters if len(parameters) < 8 else parameters[::3]


def instances(step: Step, T: int) -> Iterator[tuple[Form, Form]]:
    """Both sides; of a line at the generic step t, at t = 1 … T."""
    if isinstance(step.before, Written) and isinstance(step.after, Written) and is_generic(step.before.expression):
        for t in range(1, T + 1):
            yield Written(at_step(step.before.expression, t)), Written(at_step(step.after.expression, t))
    else:
        yield step.before, step.after


def is_generic(expression: Expression) -> bool:
    mentioned = [(node.of, node.wrt) if isinstance(node, Derivative) else (node,) for node in walk(expression)]
    return any(isinstance(q, Quantity) and q.index for nodes in mentioned for q in nodes)


@pytest.mark.parametrize("cell", ["elman", "residual"])
def test_both_sides_of_every_line_agree_for_every_sigma_and_loss(cell: str) -> None:
    """The same by SymPy, with σ and ℓ abstract: named derivatives are worked out by ``diff``."""
    model = unroll(cell, steps=2)
    for derivation in derive_gradients(model):
        for step in all_steps(derivation.steps):
            if step.rule in (Rule.CELL_EQUATION, Rule.STEP_LOSS, Rule.TOTAL_LOSS):
                continue  # definitions: the left is a symbol
            difference = step.before.value(model) - step.after.value(model)
            assert sp.expand(inline(model, difference)) == 0, plain(step_latex(step))


# --- identities -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cell", ["elman", "residual", "lag2", "linear"])
@pytest.mark.parametrize("T", [1, 2, 3])
def test_the_adjoint_recursion_is_the_sum_over_paths_regrouped(cell: str, T: int) -> None:
    """I6: put ∂L/∂h_T, …, ∂L/∂h_1 into each other and into the last line, and every path comes back."""
    model = unroll(cell, steps=T)
    for derivation in derive_gradients(model):
        adjoints: dict[Derivative, sp.Expr] = {}

        def named(node: Derivative, known: dict[Derivative, sp.Expr] = adjoints) -> sp.Expr:
            return known[node]

        for step in (*derivation.section(Part.OUTPUTS).steps, *derivation.section(Part.STATES).steps):
            assert isinstance(step.before, Written)
            assert isinstance(step.before.expression, Derivative)
            assert isinstance(step.after, Written)
            adjoints[step.before.expression] = read(step.after.expression, named)
        [last] = derivation.section(Part.ADJOINT).steps
        assert isinstance(last.after, Written)
        assert sp.expand(read(last.after.expression, named) - derivation.result.value(model)) == 0


def test_logistic_and_cross_entropy_collapse_by_a_line_of_their_own() -> None:
    """I8: derived, verified, then used: the paths begin with y_t − d_t."""
    derivation = derive_gradient(unroll("elman", steps=2, activation="logistic", loss="cross-entropy"), "W_h")
    [step] = [s for s in derivation.steps if s.rule is Rule.LOGISTIC_CROSS_ENTROPY]
    assert plain(step_latex(step)) == "∂⁺ℓₜ/∂yₜ ∂⁺yₜ/∂oₜ = yₜ − dₜ"
    assert [plain(form_latex(term)) for term in result(derivation).shown] == [
        "(y₂ − d₂) W_y logistic′(a₂) h₁",
        "(y₂ − d₂) W_y logistic′(a₂) W_h logistic′(a₁) h₀",
        "(y₁ − d₁) W_y logistic′(a₁) h₀",
    ]
    assert derivation.verify().passed


def test_in_a_linear_network_powers_collect() -> None:
    """I9, as the document shows it: W_h², without shorthand for slopes that are not there."""
    derivation = derive_gradient(unroll("linear", steps=3, losses="last"), "W_x")
    [step] = derivation.section(Part.COLLECTED).steps
    assert [plain(form_latex(term)) for term in terms(step.after)] == [
        "ℓ₃′(y₃) W_y x₃",
        "ℓ₃′(y₃) W_y W_h x₂",
        "ℓ₃′(y₃) W_y W_h² x₁",
    ]


# --- collecting -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("T", range(2, 9))
def test_the_collected_factor_of_every_path(T: int) -> None:
    """before · (Π_{j=s..t} σ'(a_j)) W_h^{k−1} · x_s, with k = t − s + 1."""
    model = unroll("elman", steps=T)
    [step] = derive_gradient(model, "W_x", whole=True).section(Part.COLLECTED).steps
    shown = step.after.shown if isinstance(step.after, PathSum) else ()
    assert len(shown) == T * (T + 1) // 2
    for term in shown:
        assert isinstance(term, Collected)
        t, s = term.path.loss_step, term.path.entry_step
        k = t - s + 1
        slopes = [group for group in term.groups if group.is_slope]
        assert [group.steps for group in slopes] == [tuple(range(s, t + 1))]
        assert [len(group.steps) for group in term.groups if not group.is_slope] == [k - 1]
        product = sp.Mul(*(slope_of(sp.Symbol(f"a_{j}")) for j in range(s, t + 1))) * W_h ** (k - 1)
        ends = term.path.product / product
        assert term.value(model) == term.path.product
        assert not ends.has(W_h)
        assert ends.has(W_y)
        assert ends.has(sp.Symbol(f"x_{s}"))
        assert not ends.has(W_x)


@pytest.mark.parametrize(
    ("cell", "goal", "expected"),
    [
        ("elman", "W_x", "ℓ₃′(y₃) σ′(o₃) W_y (Πⱼ₌₁³ σ′(a_j)) W_h² [σ′³ W_h²] x₁"),
        ("elman", "h_0", "ℓ₃′(y₃) σ′(o₃) W_y (Πⱼ₌₁³ σ′(a_j)) W_h³ [σ′³ W_h³]"),
        ("residual", "W_x", "ℓ₃′(y₃) σ′(o₃) W_y (Πⱼ₌₂³ (1 + σ′(a_j) W_h)) σ′(a₁) x₁"),
        ("lag2", "W_x", "ℓ₃′(y₃) σ′(o₃) W_y (Π_(j=1,3) σ′(a_j)) V_h [σ′² W_h⁰ V_h¹] x₁"),
        ("h = cos(h[t-1])\ny = h * w", "h_0", "−ℓ₃′(y₃) w (Πⱼ₌₁³ sin(hⱼ₋₁)) [sin³]"),
        ("h = -h[t-1] * x\ny = h * w", "h_1", "ℓ₃′(y₃) w (Πⱼ₌₂³ x_j)"),
        # the output's weight is the same quantity, but it does not stand between two states
        (
            "a = W @ h[t-1] + x\nh = sigma(a)\no = W @ h\ny = sigma(o)",
            "W",
            "ℓ₃′(y₃) σ′(o₃) W (Πⱼ₌₂³ σ′(a_j)) W [σ′² W¹] h₁",
        ),
        # nor does the weight in a penalty
        ("h = W * h[t-1] + x\ny = h\nloss = (y - d)**2 + W**2 * y", "h_0", "(2 (y₃ − d₃) + W²) W³"),
    ],
)
def test_collected_terms(cell: str, goal: str, expected: str) -> None:
    model = unroll(cell, steps=3, losses="last")
    [step] = derive_gradient(model, goal).section(Part.COLLECTED).steps
    assert expected in [plain(form_latex(term)) for term in terms(step.after)]
    assert sp.expand(inline(model, step.before.value(model) - step.after.value(model))) == 0


@pytest.mark.parametrize("name", EVERY_CELL)
def test_collecting_changes_no_value(name: str) -> None:
    model = unroll(EVERY_CELL[name], steps=3)
    for goal in model.parameters:
        patterns = recurrent_patterns(graph(model, goal))
        for path in iter_paths(model, goal):
            term = collect(path, patterns, frozenset(model.cell.states))
            assert sp.expand(term.value(model) - path.product) == 0


def test_without_recurrent_factors_a_path_stays_as_it_is() -> None:
    [path] = iter_paths(unroll("elman", steps=1), "W_y")
    term = collect(path, (), frozenset())
    assert (term.groups, term.after, len(term.before)) == ((), (), 3)


# --- elision ----------------------------------------------------------------------------------------------------------


def test_up_to_six_steps_everything_is_shown() -> None:
    assert ELIDE_ABOVE == 6
    derivation = derive_gradient(unroll("elman", steps=6), "W_x")
    assert (len(result(derivation).shown), result(derivation).gaps, result(derivation).elided) == (21, (), False)
    assert shown_steps(range(1, 7), whole=False) == (1, 2, 3, 4, 5, 6)
    assert "⋯" not in "".join(plain(step_latex(step)) for step in derivation.steps)


def test_above_six_steps_the_stated_lines_are_shown() -> None:
    derivation = derive_gradient(unroll("elman", steps=100), "W_x")
    sum_ = result(derivation)
    assert sum_.count == 5050
    assert [(term.path.loss_step, term.path.lag) for term in sum_.shown] == [(100, 0), (100, 1), (100, 99), (1, 0)]
    assert sum_.gaps == (2, 3)
    pieces = plain(form_latex(sum_)).split(" + ")
    assert [piece == "⋯" for piece in pieces] == [False, False, True, False, True, False]
    assert "W_h ⋯ σ′(a₁) x₁" in pieces[3]
    assert [str(step.subject) for step in derivation.section(Part.OUTPUTS).steps] == ["y_100", "y_99", "y_1"]
    assert lines(derivation, Part.ADJOINT) == [
        "∂L/∂W_x = ∂L/∂h₁ σ′(a₁) x₁ + ∂L/∂h₂ σ′(a₂) x₂ + ⋯ + ∂L/∂h₁₀₀ σ′(a₁₀₀) x₁₀₀"
    ]
    assert lines(derivation, Part.FORWARD)[-1] == "L = ℓ₁ + ℓ₂ + ⋯ + ℓ₁₀₀"
    assert max(len(plain(step_latex(step))) for step in all_steps(derivation.steps)) < 450


@pytest.mark.parametrize(
    ("goal", "shown", "gaps"),
    [
        ("h_0", [(9, 8), (1, 0)], (1,)),
        ("x_4", [(9, 5), (4, 0)], (1,)),
        ("x_8", [(9, 1), (8, 0)], ()),
        ("x_9", [(9, 0)], ()),
        ("h_9", [(9, 0)], ()),
        ("W_y", [(9, 0), (1, 0)], (1,)),
        ("l_3", [(3, 0)], ()),
    ],
)
def test_the_losses_shown_are_the_first_and_the_last_that_reach_the_goal(
    goal: str, shown: list[tuple[int, int]], gaps: tuple[int, ...]
) -> None:
    sum_ = result(derive_gradient(unroll("elman", steps=9), goal))
    assert [(term.path.loss_step, term.path.lag) for term in sum_.shown] == shown
    assert sum_.gaps == gaps
    assert sum_.elided is (len(shown) < sum_.count)


@pytest.mark.parametrize("granularity", GRANULARITIES)
@pytest.mark.parametrize("cell", ["elman", "lag2", "residual", LSTM, GRU])
@pytest.mark.parametrize("losses", ["all", "last"])
@pytest.mark.parametrize("T", [7, 8])
def test_dots_stand_exactly_where_paths_are_left_out(cell: str, losses: str, T: int, granularity: str) -> None:
    if granularity == "node" and cell in (LSTM, GRU):
        return  # there are a million
    model = unroll(cell, steps=T, losses=losses)
    for goal in (*some(model.parameters), *model.initial_states, Quantity("x", 2), Quantity("h", T - 1)):
        sum_ = result(derive_gradient(model, goal, granularity=granularity))
        place = {path: i for i, path in enumerate(iter_paths(model, goal, granularity))}
        shown = [place[term.path] for term in sum_.shown]
        assert shown == sorted(set(shown))
        expected = [i for i, (a, b) in enumerate(zip([-1, *shown], [*shown, len(place)], strict=True)) if b - a > 1]
        assert list(sum_.gaps) == expected, goal
        by_lag: dict[tuple[int, int], int] = {}
        for term in sum_.shown:
            key = (term.path.loss_step, term.path.lag)
            by_lag[key] = by_lag.get(key, 0) + 1
        assert max(by_lag.values(), default=0) <= MAX_ALTERNATIVES


def test_whole_shows_everything() -> None:
    model = unroll("elman", steps=9)
    derivation = derive_gradient(model, "W_x", whole=True)
    assert (len(result(derivation).shown), result(derivation).gaps) == (45, ())
    assert len(derivation.section(Part.FORWARD).steps) == 9 * 5 + 1
    text = "".join(plain(step_latex(step, whole=True)) for step in derivation.steps)
    assert "⋯" not in text
    assert "σ′(a₉) W_h σ′(a₈) W_h σ′(a₇) W_h σ′(a₆) W_h σ′(a₅)" in text


def test_an_equation_of_the_cell_is_never_elided() -> None:
    many = " + ".join(f"w{i} * h[t-1]**{i}" for i in range(1, 9))
    derivation = derive_gradient(unroll(f"h = {many} + x\ny = h", steps=8), "w1")
    assert "⋯" not in lines(derivation, Part.FORWARD)[0]
    [row] = [line for line in lines(derivation, Part.IMMEDIATE) if line.startswith("∂⁺hₜ/∂hₜ₋₁")]
    assert "⋯" not in row
    assert "8 w8" in row


def test_a_sum_that_is_elided_still_stands_for_every_path() -> None:
    model = unroll("elman", steps=8)
    elided, whole = (derive_gradient(model, "W_h", whole=whole) for whole in (False, True))
    assert elided.result.value(model) == whole.result.value(model)
    at = stand_in_valuation(model, 5)
    assert math.isclose(elided.result.number(at), whole.result.number(at), rel_tol=1e-12)


def test_terms_of_a_line() -> None:
    derivation = derive_gradient(unroll("elman", steps=3), "W_x")
    assert terms_of(derivation.result) == 6
    assert [terms_of(step.after) for step in derivation.section(Part.STATES).steps] == [1, 2, 2]
    path = next(iter_paths(derivation.model, "W_x"))
    assert terms_of(PathProduct(path)) == 1


# --- size -------------------------------------------------------------------------------------------------------------


def test_a_long_derivation_has_few_lines() -> None:
    model: Model = unroll("elman", steps=2000)
    derivation = derive_gradient(model, "W_h")
    assert result(derivation).count == 2000 * 2001 // 2
    assert len(derivation.steps) < 100


@pytest.mark.parametrize("goal", ["W_x", "x_2"])
def test_without_two_equal_factors_nothing_is_collected(goal: str) -> None:
    assert derive_gradient(unroll("residual", steps=2), goal).section(Part.COLLECTED).steps == ()
    assert derive_gradient(unroll("elman", steps=1), goal.replace("x_2", "x_1")).section(Part.COLLECTED).steps == ()


@pytest.mark.parametrize(
    ("goal", "recurs"), [("W_x", True), ("h_0", True), ("x_3", True), ("W_y", False), ("b_y", False)]
)
@pytest.mark.parametrize("steps", [1, 3])
def test_only_what_no_state_reads_cannot_vanish(goal: str, recurs: bool, steps: int) -> None:
    """Whether factors can repeat along time is a matter of the cell, not of T."""
    goal = goal.replace("3", str(steps))
    assert graph(unroll("elman", steps=steps), goal).recurs is recurs


@pytest.mark.parametrize("cell", [LSTM, GRU, "residual", "elman"])
def test_every_path_is_shown_as_a_chain_of_immediate_partials(cell: str) -> None:
    """Where several routes lead through one step, the chain has their sum; it is worth what the product is."""
    model = unroll(cell, steps=2, loss="cross-entropy", output_activation="logistic")
    at = stand_in_valuation(model)
    for goal in (*model.parameters, *model.initial_states):
        for step in derive_gradient(model, goal, granularity="state").section(Part.PATHS).steps:
            named = [node for node in walk(step.before.expression) if isinstance(node, Derivative)]
            assert named and all(node.immediate for node in named)
            assert step.before.number(at) == pytest.approx(step.after.number(at), rel=1e-10)


@pytest.mark.parametrize(
    ("cell", "goal", "expected"),
    [
        (LSTM, "W_f", ["∂ℓ₂/∂𝒮₂ ∂𝒮₂/∂f₂ ∂⁺f₂/∂W_f", "∂ℓ₂/∂𝒮₂ ∂𝒮₂/∂𝒮₁ ∂𝒮₁/∂f₁ ∂⁺f₁/∂W_f", "∂ℓ₁/∂𝒮₁ ∂𝒮₁/∂f₁ ∂⁺f₁/∂W_f"]),
        (LSTM, "c_0", ["∂ℓ₂/∂𝒮₂ ∂𝒮₂/∂𝒮₁ ∂𝒮₁/∂c₀", "∂ℓ₁/∂𝒮₁ ∂𝒮₁/∂c₀"]),
        (LSTM, "x_2", ["∂ℓ₂/∂𝒮₂ ∂𝒮₂/∂x₂"]),
        (LSTM, "b_y", ["∂⁺ℓ₂/∂y₂ ∂⁺y₂/∂b_y", "∂⁺ℓ₁/∂y₁ ∂⁺y₁/∂b_y"]),
        (GRU, "U_z", ["∂ℓ₂/∂h₂ ∂h₂/∂z₂ ∂⁺z₂/∂U_z", "∂ℓ₂/∂h₂ ∂h₂/∂h₁ ∂h₁/∂z₁ ∂⁺z₁/∂U_z", "∂ℓ₁/∂h₁ ∂h₁/∂z₁ ∂⁺z₁/∂U_z"]),
    ],
)
def test_a_path_of_joint_states_is_a_chain_of_named_blocks(cell: str, goal: str, expected: list[str]) -> None:
    derivation = derive_gradient(unroll(cell, steps=2), goal)
    at = stand_in(derivation.plan, 0)
    assert [line.split(" = ")[0] for line in lines(derivation, Part.PATHS)] == expected
    for step in derivation.section(Part.PATHS).steps:
        assert close(step.before.number(at), step.after.number(at))


def test_writing_everything_out_has_a_limit() -> None:
    model = unroll("elman", steps=20)
    with pytest.raises(InputError, match=r"210 paths to W_x, more than 200; leave --all out, or raise --max-paths"):
        derive_gradient(model, "W_x", whole=True, max_paths=200)
    assert len(derive_gradient(model, "W_x", whole=True, max_paths=210).section(Part.PATHS).steps) == 210
    assert len(derive_gradient(model, "W_x", max_paths=3).section(Part.PATHS).steps) == 4  # elided: nothing to limit
