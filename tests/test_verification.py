r"""The verification of a derivation must be able to fail: every spoiled derivation is refused.

Spoiled are the table (a row dropped, its sign changed, its index shifted, a factor scaled by 1.001), the lines of a
section, and the terms of the sum that a reader sees.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction

import pytest
from textbook import CELLS, LSTM

from rnn_symbolic.cells import BUILT_IN
from rnn_symbolic.derivation import Derivation, Part, Section, derive_gradient, derive_gradients
from rnn_symbolic.expressions import Add, Expression, Multiply, Number, Quantity, multiply, transform
from rnn_symbolic.forms import Collected, Form, PathProduct, PathSum, Rule, Step, Written
from rnn_symbolic.graph import Leg, Path
from rnn_symbolic.model import Model, unroll
from rnn_symbolic.table import Edge, Factor, LocalRule
from rnn_symbolic.verification import (
    MOST_LISTED,
    PROOF_STEPS,
    Check,
    Finding,
    Verification,
    verify_all,
)

EVERY_CELL = {**BUILT_IN, **CELLS}
SCALE = Number(Fraction(1001, 1000))
MINUS = Number(Fraction(-1))


def status(verification: Verification) -> dict[str, str]:
    return {finding.check.value: finding.status for finding in verification.findings}


# --- what is right passes ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("losses", ["all", "last"])
@pytest.mark.parametrize("name", EVERY_CELL)
def test_every_derivation_passes(name: str, losses: str) -> None:
    for T in (1, 2, 3):
        model = unroll(EVERY_CELL[name], steps=T, losses=losses)
        goals = (*model.parameters, *model.initial_states, Quantity("x", 1))
        derivations = derive_gradients(model, goals)
        for found in verify_all(derivations, symbolic=False, seed=T):
            assert found.passed, f"{name}, {T=}, seed={T}: {found}"
            assert "skipped" not in status(found).values()


@pytest.mark.parametrize("activation", ["tanh", "logistic", "relu", "softplus", "sin", "exp", "identity"])
def test_every_activation_passes_with_the_proof(activation: str) -> None:
    for loss in ("abstract", "squared", "cross-entropy"):
        model = unroll("elman", steps=2, activation=activation, loss=loss)
        for found in verify_all(derive_gradients(model)):
            assert found.passed, f"{activation}, {loss}: {found}"
            assert status(found)["sympy"] == "passed"


def test_all_the_checks_are_made() -> None:
    found = derive_gradient(unroll("elman", steps=3), "W_x").verify(seed=4)
    assert status(found) == dict.fromkeys(["structure", "lines", "gradient", "adjoint", "count", "sympy"], "passed")
    assert found.seed == 4
    lines = found.finding(Check.LINES)
    gradient, proof = found.finding(Check.GRADIENT), found.finding(Check.SYMPY)
    assert lines is not None and lines.number > 50 and lines.error < 1e-12
    assert gradient is not None and gradient.number == 6
    assert proof is not None and proof.number == 6
    without = derive_gradient(unroll("elman", steps=3), "W_x").verify(symbolic=False)
    assert without.finding(Check.SYMPY) is None
    assert without.passed


def test_what_is_too_large_is_skipped_and_said_so() -> None:
    found = derive_gradient(unroll("elman", steps=PROOF_STEPS + 1), "W_x").verify()
    assert status(found)["sympy"] == "skipped"
    assert found.passed  # by the complex step
    long = derive_gradient(unroll("elman", steps=100), "W_x").verify(symbolic=False)
    assert status(long)["count"] == "skipped"
    count = long.finding(Check.COUNT)
    assert count is not None and count.number == 5050 > MOST_LISTED
    lines = derive_gradient(unroll("elman", steps=300), "W_x").verify(symbolic=False).finding(Check.LINES)
    assert lines is not None and lines.skipped == 1  # the adjoint line names 300 derivatives


@pytest.mark.parametrize("T", [100, 1000])
@pytest.mark.parametrize("cell", ["elman", "lag2", "residual"])
def test_long_networks_pass(cell: str, T: int) -> None:
    assert derive_gradient(unroll(cell, steps=T), "W_h").verify(symbolic=False).passed


def test_a_finding_that_was_not_made_confirms_nothing() -> None:
    goal = Quantity("W_x")
    assert not Verification(goal, 0, ()).passed
    assert not Verification(goal, 0, (Finding(Check.LINES, "passed", 3),)).passed
    assert not Verification(goal, 0, (Finding(Check.GRADIENT, "skipped"),)).passed
    assert Verification(goal, 0, (Finding(Check.SYMPY, "passed"),)).passed
    assert not Verification(goal, 0, (Finding(Check.SYMPY, "passed"), Finding(Check.COUNT, "failed"))).passed


# --- a spoiled table --------------------------------------------------------------------------------------------------


def with_table(model: Model, rows: tuple[Edge, ...]) -> Model:
    return replace(model, table=rows)


def shifted(expression: Expression) -> Expression:
    """Every quantity that has a step, one step earlier."""

    def visit(node: Expression) -> Expression:
        if isinstance(node, Quantity) and node.step is not None:
            return Quantity(node.name, node.step - 1, node.index)
        return node

    return transform(expression, visit)


def spoil_edge(edge: Edge) -> Iterator[tuple[str, Edge | None]]:
    """Each way to spoil a row; None drops it."""
    yield "dropped", None
    first, *rest = edge.terms
    yield "sign changed", replace(edge, terms=((Factor(LocalRule.NUMBER, MINUS), *first), *rest))
    yield "scaled by 1.001", replace(edge, terms=((*first, Factor(LocalRule.NUMBER, SCALE)), *rest))
    for i, factor in enumerate(first):
        moved = shifted(factor.value)
        if moved != factor.value and "_0" not in str(moved):
            yield (
                f"index of factor {i} shifted",
                replace(edge, terms=((*first[:i], replace(factor, value=moved), *first[i + 1 :]), *rest)),
            )
    if len(edge.terms) > 1:
        yield "a product of the sum dropped", replace(edge, terms=edge.terms[1:])


def spoiled_tables(model: Model) -> Iterator[tuple[str, Model]]:
    for i, edge in enumerate(model.table):
        for how, bad in spoil_edge(edge):
            rows = (*model.table[:i], *(() if bad is None else (bad,)), *model.table[i + 1 :])
            yield f"{edge.head} <- {edge.tail} {how}", with_table(model, rows)


def matters(name: str, goal: Quantity, model: Model) -> bool:
    """Whether the row named at the beginning of ``name`` may lie on a path to the goal; others leave it right."""
    tail = name.split(" ")[2].partition("[")[0]
    return tail == goal.name or tail not in (*model.cell.parameters, "x")


@pytest.mark.parametrize(
    ("cell", "goal"),
    [
        ("elman", "W_h"),
        ("elman", "W_x"),
        ("elman", "W_y"),
        ("elman", "h_0"),
        ("elman", "x_1"),
        ("lag2", "V_h"),
        ("residual", "W_h"),
        (LSTM, "W_f"),
        (CELLS["own loss"], "W_x"),
        (CELLS["nasty"], "W_h"),
        (CELLS["jordan"], "W_o"),
    ],
)
def test_every_spoiled_row_of_the_table_is_noticed(cell: str, goal: str) -> None:
    """By the lines that read it (the section of partials shows every row), with numbers alone."""
    model = unroll(cell, steps=3)
    tried = 0
    for how, bad in spoiled_tables(model):
        found = derive_gradient(bad, goal).verify(symbolic=False)
        assert not found.passed, f"{model.cell.name}, {goal}: {how} was not noticed"
        tried += 1
    assert tried > 15


@pytest.mark.parametrize(("cell", "goal"), [("elman", "W_h"), ("elman", "h_0"), ("residual", "W_x"), ("lag2", "W_h")])
def test_sympys_proof_alone_notices_every_spoiled_row_on_a_path(cell: str, goal: str) -> None:
    model = unroll(cell, steps=2 if cell != "lag2" else 3)
    quantity = model.resolve(goal)
    tried = 0
    for how, bad in spoiled_tables(model):
        found = derive_gradient(bad, goal).verify(symbolic=True)
        on_path = matters(how, quantity, model) and not ("o[t] <- W_y" in how or "o[t] <- b_y" in how)
        expected = "failed" if on_path else "passed"
        if goal == "W_h" and "h[t-2]" in how:
            continue  # h_{-1} on the way to a goal that it does not carry
        proof = found.finding(Check.SYMPY)
        assert proof is not None
        assert proof.status == expected, f"{cell}, {goal}: {how}"
        tried += expected == "failed"
    assert tried > 8


# --- spoiled lines ----------------------------------------------------------------------------------------------------


def spoiled_expressions(expression: Expression) -> Iterator[tuple[str, Expression]]:
    yield "negated", multiply(MINUS, expression)
    yield "scaled by 1.001", multiply(SCALE, expression)
    if isinstance(expression, Multiply) and len(expression.factors) > 1:
        yield "a factor dropped", multiply(*expression.factors[1:])
    if isinstance(expression, Add):
        yield "a term dropped", Add(expression.terms[:-1])
        yield "a term twice", Add((*expression.terms, expression.terms[0]))


def spoiled_path(path: Path) -> Iterator[tuple[str, Path]]:
    for i, leg in enumerate(path.legs):
        for j, factor in enumerate(leg.factors):

            def put(value: Expression, i: int = i, j: int = j, leg: Leg = leg, factor: Factor = factor) -> Path:
                factors = (*leg.factors[:j], replace(factor, value=value), *leg.factors[j + 1 :])
                return Path((*path.legs[:i], replace(leg, factors=factors), *path.legs[i + 1 :]))

            yield f"factor {i}.{j} scaled", put(Multiply((SCALE, factor.value)))
            yield f"factor {i}.{j} negated", put(Multiply((MINUS, factor.value)))
            moved = shifted(factor.value)
            if moved != factor.value and "_0" not in str(moved):
                yield f"factor {i}.{j} shifted", put(moved)


def spoiled_forms(form: Form) -> Iterator[tuple[str, Form]]:
    match form:
        case Written(expression):
            for how, bad in spoiled_expressions(expression):
                yield how, Written(bad)
        case PathProduct(path):
            for how, wrong in spoiled_path(path):
                yield how, PathProduct(wrong)
        case Collected(groups=groups, before=before):
            for i, group in enumerate(groups):
                fewer = replace(group, steps=group.steps[1:])
                if group.steps:
                    yield f"group {i} a step short", replace(form, groups=(*groups[:i], fewer, *groups[i + 1 :]))
            if before:
                yield "factor before dropped", replace(form, before=before[1:])
        case PathSum(shown=shown, gaps=gaps, count=count):
            yield "a path dropped", replace(form, shown=shown[1:], count=count - (not gaps))
            if not gaps:
                yield "a path dropped, the count kept", replace(form, shown=shown[:-1])
            else:
                yield "a gap without dots", replace(form, gaps=gaps[1:])
            yield "dots where nothing is left out", replace(form, gaps=(0, *gaps))
            yield "a path twice", replace(form, shown=(shown[0], *shown), count=count + 1)
            yield "the count wrong", replace(form, count=count + 1)
            yield "another goal", replace(form, goal=Quantity("b_y"))
            for i, term in enumerate(shown[:3]):
                for how, bad_term in spoiled_forms(term):
                    assert isinstance(bad_term, PathProduct | Collected)
                    yield f"term {i}: {how}", replace(form, shown=(*shown[:i], bad_term, *shown[i + 1 :]))


def spoiled_steps(step: Step) -> Iterator[tuple[str, Step]]:
    for how, bad in spoiled_forms(step.after):
        yield f"after {how}", replace(step, after=bad)
    for i, small in enumerate(step.substeps):
        for how, bad_step in spoiled_steps(small):
            yield f"substep {i} {how}", replace(step, substeps=(*step.substeps[:i], bad_step, *step.substeps[i + 1 :]))


def spoiled_derivations(derivation: Derivation, each: int = 1) -> Iterator[tuple[str, Derivation]]:
    for i, section in enumerate(derivation.sections):
        for j, step in enumerate(section.steps):
            if j % each:
                continue
            for how, bad in spoiled_steps(step):
                steps = (*section.steps[:j], bad, *section.steps[j + 1 :])
                sections = (*derivation.sections[:i], replace(section, steps=steps), *derivation.sections[i + 1 :])
                yield f"{section.part.value} line {j} {how}", replace(derivation, sections=sections)


def quick(derivation: Derivation, whole: Derivation) -> Derivation:
    """Only the sections that differ: what is not spoiled was verified before."""
    kept = tuple(
        section
        for section, original in zip(derivation.sections, whole.sections, strict=True)
        if section is not original or section.part is Part.SUM
    )
    return replace(derivation, sections=kept)


@pytest.mark.parametrize(
    ("cell", "T", "goal", "options"),
    [
        ("elman", 3, "W_x", {}),
        ("elman", 2, "h_0", {"losses": "last"}),
        ("elman", 8, "W_h", {}),
        ("elman", 2, "W_y", {"loss": "squared", "activation": "tanh"}),
        ("elman", 2, "W_h", {"loss": "cross-entropy", "activation": "logistic"}),
        ("residual", 3, "b_h", {}),
        ("lag2", 7, "W_x", {}),
        (LSTM, 2, "W_f", {}),
    ],
)
def test_every_spoiled_line_is_noticed(cell: str, T: int, goal: str, options: dict[str, str]) -> None:
    derivation = derive_gradient(unroll(cell, steps=T, **options), goal)
    assert derivation.verify(symbolic=False).passed
    tried = 0
    for how, bad in spoiled_derivations(derivation, each=1 if cell == "elman" and T < 4 else 3):
        assert not quick(bad, derivation).verify(symbolic=False).passed, (
            f"{cell}, T = {T}, {goal}: {how} was not noticed"
        )
        tried += 1
    assert tried > 50


def test_the_proof_alone_notices_a_spoiled_result() -> None:
    derivation = derive_gradient(unroll("elman", steps=3), "W_x")
    place = next(i for i, section in enumerate(derivation.sections) if section.part is Part.SUM)
    [step] = derivation.sections[place].steps
    for how, bad in spoiled_forms(step.after):
        if ("count" in how or "dots" in how) and "dropped" not in how:
            continue  # no part of what SymPy proves
        section = Section(Part.SUM, (replace(step, after=bad),), derivation.goal)
        spoiled = replace(
            derivation, sections=(*derivation.sections[:place], section, *derivation.sections[place + 1 :])
        )
        proof = spoiled.verify(symbolic=True).finding(Check.SYMPY)
        assert proof is not None
        if how == "another goal":
            continue  # a label: the terms are the same
        assert proof.status == "failed", how


def test_tiny_paths_are_compared_too() -> None:
    """The longest path of T = 100 is worth about 1e-20: a wrong sign must show all the same."""
    derivation = derive_gradient(unroll("elman", steps=100), "W_h")
    steps = derivation.section(Part.PATHS).steps
    at = next(i for i, step in enumerate(steps) if isinstance(step.subject, Path) and step.subject.lag == 99)
    before, after = steps[at].before, steps[at].after
    assert isinstance(after, PathProduct)
    [*_, (how, wrong)] = list(spoiled_path(after.path))
    bad = replace(steps[at], after=PathProduct(wrong))
    section = Section(Part.PATHS, (*steps[:at], bad, *steps[at + 1 :]), derivation.goal)
    sections = tuple(section if s.part is Part.PATHS else s for s in derivation.sections)
    found = replace(derivation, sections=sections).verify(symbolic=False)
    assert status(found)["lines"] == "failed", (how, before)


def test_a_failure_names_the_line_and_both_values() -> None:
    derivation = derive_gradient(unroll("elman", steps=2), "W_y")
    spoiled = dict(spoiled_derivations(derivation))
    line = spoiled["paths line 0 after factor 1.0 negated"].verify(symbolic=False).finding(Check.LINES)
    assert line is not None
    assert line.status == "failed"
    assert line.detail.startswith("along-path at L -> l_2 -> y_2 -> W_y: ")
    assert " and " in line.detail
    count = spoiled["sum line 0 after the count wrong"].verify(symbolic=False).finding(Check.COUNT)
    assert count is not None
    assert count.detail == "2 shown, 3 claimed, 2 listed, 2 counted"


def test_the_wrong_identity_is_refused() -> None:
    """A collapse to d − y instead of y − d, and one that is scaled."""
    model = unroll("elman", steps=2, activation="logistic", loss="cross-entropy")
    assert model.collapse is not None
    spoil: Callable[[Number], Model] = lambda by: replace(  # noqa: E731
        model,
        collapse=replace(
            model.collapse, result=Factor(LocalRule.COLLAPSE, Multiply((by, model.collapse.result.value)))
        ),
    )
    for by in (MINUS, SCALE):
        found = derive_gradient(spoil(by), "W_h").verify()
        assert status(found)["lines"] == status(found)["gradient"] == status(found)["sympy"] == "failed"


def test_a_missing_line_of_proof_is_not_a_proof() -> None:
    derivation = derive_gradient(unroll("elman", steps=2), "W_h")
    empty = replace(
        derivation,
        sections=(Section(Part.SUM, (Step(Rule.NO_PATH, Written(Quantity("x", 1)), Written(Number(Fraction(0)))),)),),
    )
    assert not empty.verify().passed
