r"""The verification of a derivation must be able to fail: every spoiled derivation is refused.

Spoiled are the table (a row dropped, its sign changed, its index shifted, a factor scaled by 1.001), the lines of a
section, and the terms of the sum that a reader sees.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from fractions import Fraction
from itertools import pairwise
from typing import Any

import pytest
from textbook import CELLS, LSTM

from rnn_symbolic.cells import BUILT_IN
from rnn_symbolic.derivation import Derivation, derive_gradient, derive_gradients
from rnn_symbolic.expressions import (
    Add,
    Blocks,
    Chain,
    Derivative,
    Diagonal,
    Expression,
    Multiply,
    Number,
    Power,
    Quantity,
    StepLoss,
    Transpose,
    chain,
    multiply,
    transform,
)
from rnn_symbolic.forms import Collected, Form, Oriented, PathProduct, PathSum, Rule, Step, Written
from rnn_symbolic.graph import Leg, Path
from rnn_symbolic.jacobians import LAYOUTS, shape_of
from rnn_symbolic.model import Model, unroll
from rnn_symbolic.sections import Part, Section
from rnn_symbolic.table import Edge, Factor, LocalRule
from rnn_symbolic.verification import (
    MOST_LISTED,
    PROOF_STEPS,
    Check,
    Finding,
    Verification,
    verify_all,
)

EVERY_CELL = {**BUILT_IN, **{f"{name} as text": cell for name, cell in CELLS.items()}}
SCALE = Number(Fraction(1001, 1000))
MINUS = Number(Fraction(-1))


def status(verification: Verification) -> dict[str, str]:
    return {finding.check.value: finding.status for finding in verification.findings}


# --- what is right passes ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("losses", ["all", "last"])
@pytest.mark.parametrize("name", EVERY_CELL)
def test_every_derivation_passes(name: str, losses: str) -> None:
    for T in (1, 2, 3):
        assert_all_pass(unroll(EVERY_CELL[name], steps=T, losses=losses), "gradient", seed=T)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", BUILT_IN)
def test_every_derivation_in_matrix_form_passes(name: str, layout: str) -> None:
    losses = "mean" if layout == "jacobian" else "all"
    assert_all_pass(unroll(name, steps=3, losses=losses, form="matrix"), layout, seed=7)


def assert_all_pass(model: Model, layout: str, seed: int) -> None:
    parameters = model.parameters[:: 1 if len(model.parameters) < 8 else 3]
    goals = (*parameters, *model.initial_states, Quantity("x", 1))
    for found in verify_all(derive_gradients(model, goals, layout=layout), symbolic=False, seed=seed):
        assert found.passed, f"{model!r}, {layout}, {seed=}: {found}"
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


@pytest.mark.parametrize(
    ("cell", "T", "form"),
    [
        ("lag2", 100, "scalar"),
        ("residual", 100, "scalar"),
        ("elman", 1000, "scalar"),
        ("lstm", 100, "matrix"),
        pytest.param("lag2", 1000, "scalar", marks=pytest.mark.slow),
        pytest.param("residual", 1000, "scalar", marks=pytest.mark.slow),
        pytest.param("gru", 200, "matrix", marks=pytest.mark.slow),
    ],
)
def test_long_networks_pass(cell: str, T: int, form: str) -> None:
    model = unroll(cell, steps=T, form=form)
    assert derive_gradient(model, model.parameters[1]).verify(symbolic=False).passed


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
    shape = ("1", "1") if first and first[0].shape is not None else None
    yield "sign changed", replace(edge, terms=((Factor(LocalRule.NUMBER, MINUS, shape), *first), *rest))
    yield "scaled by 1.001", replace(edge, terms=((Factor(LocalRule.NUMBER, SCALE, shape), *first), *rest))
    for i, factor in enumerate(first):
        if factor.rule is LocalRule.MATRIX and factor.shape is not None and factor.shape[0] == factor.shape[1]:
            transposed = replace(factor, value=Transpose(factor.value))
            yield "transposed", replace(edge, terms=((*first[:i], transposed, *first[i + 1 :]), *rest))
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


def failures(derivation: Derivation) -> set[Check]:
    """What fails, besides the comparison with what the table gives: that one refuses any change whatever."""
    found = derivation.verify(symbolic=False)
    failed = {finding.check for finding in found.findings if finding.status == "failed"}
    assert Check.STRUCTURE in failed
    return failed - {Check.STRUCTURE}


def matters(name: str, goal: Quantity, model: Model) -> bool:
    """Whether the row named at the beginning of ``name`` may lie on a path to the goal; others leave it right."""
    tail = name.split(" ")[2].partition("[")[0]
    return tail == goal.name or tail not in (*model.cell.parameters, "x")


@pytest.mark.parametrize(
    ("cell", "goal", "options"),
    [
        ("elman", "W_h", {}),
        ("elman", "W_x", {}),
        ("elman", "W_y", {}),
        ("elman", "h_0", {}),
        ("elman", "x_1", {}),
        ("lag2", "V_h", {}),
        ("residual", "W_h", {}),
        (LSTM, "W_f", {"steps": 1}),
        (CELLS["own loss"], "W_x", {}),
        (CELLS["nasty"], "W_h", {}),
        (CELLS["jordan"], "W_o", {}),
        ("elman", "W_h", {"form": "matrix"}),
        ("elman", "x_1", {"form": "matrix", "loss": "squared"}),
        ("elman", "b_y", {"form": "matrix", "loss": "cross-entropy", "output_activation": "softmax"}),
        ("residual", "h_0", {"form": "matrix", "losses": "mean"}),
        ("mgu", "W_n", {"form": "matrix", "steps": 2}),
    ],
)
def test_every_spoiled_row_of_the_table_is_noticed(cell: str, goal: str, options: dict[str, Any]) -> None:
    """By the lines that read it (the section of partials shows every row), with numbers alone."""
    model = unroll(cell, **{"steps": 3, **options})
    tried = 0
    for how, bad in spoiled_tables(model):
        assert failures(derive_gradient(bad, goal)), f"{model.cell.name}, {goal}, {options}: {how} was not noticed"
        tried += 1
    assert tried > 15


@pytest.mark.parametrize(
    ("cell", "goal"),
    [("elman", "W_h"), ("elman", "h_0"), ("residual", "W_x"), pytest.param("lag2", "W_h", marks=pytest.mark.slow)],
)
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


Names = Mapping[str, tuple[str, ...]]
Put = Callable[[Expression], Expression]


def nodes_in(expression: Expression) -> Iterator[tuple[Expression, Put]]:
    """Every node, and how to put another in its place."""
    yield expression, lambda new: new
    if isinstance(expression, Derivative | StepLoss):
        return
    for field in fields(expression):
        for part, put in parts_in(getattr(expression, field.name)):

            def around(new: Expression, name: str = field.name, put: Callable[[Any], Any] = put) -> Expression:
                return replace(expression, **{name: put(new)})

            for node, inner in nodes_in(part):
                yield node, lambda new, inner=inner, around=around: around(inner(new))  # type: ignore[misc]


def parts_in(value: Any) -> Iterator[tuple[Expression, Callable[[Any], Any]]]:
    """The expressions that a field holds: one, a tuple of them, or rows of them."""
    if isinstance(value, tuple):
        for i, item in enumerate(value):
            for part, put in parts_in(item):
                yield part, lambda new, i=i, put=put: (*value[:i], put(new), *value[i + 1 :])
    elif is_dataclass(value):
        yield value, lambda new: new  # type: ignore[misc]


def commute(a: Expression, b: Expression, names: Names) -> bool:
    numbers = ("1", "1") in (shape_of(a, names), shape_of(b, names))
    return a == b or numbers or (is_diagonal(a) and is_diagonal(b))


def is_diagonal(factor: Expression) -> bool:
    match factor:
        case Derivative(of, wrt):
            return of.name == "c" and (wrt.name == "c" or wrt.name.startswith("a_"))  # an LSTM's diag(f), say
        case Add(parts) | Chain(parts):
            return all(map(is_diagonal, parts))
    return isinstance(factor, Diagonal | Number)


def spoiled_node(node: Expression, names: Names) -> Iterator[tuple[str, Expression]]:
    """What goes wrong with matrices: each changes the value or the shape."""
    match node:
        case Quantity(name) if len(names.get(name, ())) == 2:
            yield "transposed", Transpose(node)
        case Transpose(Quantity() as of) | Transpose(Derivative(Quantity("L")) as of):
            yield "not transposed", of
        case Diagonal(vector):
            yield "not diagonal", vector
        case Chain(factors) if names:
            for i, (a, b) in enumerate(pairwise(factors)):
                if not commute(a, b, names):
                    yield f"factors {i} and {i + 1} swapped", Chain((*factors[:i], b, a, *factors[i + 2 :]))
        case Power(base, exponent) if names:
            yield "raised higher", Power(base, exponent + 1)
        case Blocks(rows):
            if len(rows) > 1:
                yield "rows of blocks swapped", Blocks(rows[::-1])
            if len(rows[0]) > 1:
                yield "columns of blocks swapped", Blocks(tuple(row[::-1] for row in rows))


def spoiled_expressions(expression: Expression, names: Names) -> Iterator[tuple[str, Expression]]:
    yield "negated", chain(MINUS, expression) if names else multiply(MINUS, expression)
    yield "scaled by 1.001", chain(SCALE, expression) if names else multiply(SCALE, expression)
    if isinstance(expression, Multiply | Chain) and len(expression.factors) > 1:
        yield "a factor dropped", (chain if names else multiply)(*expression.factors[1:])
    if isinstance(expression, Add):
        yield "a term dropped", Add(expression.terms[:-1])
        yield "a term twice", Add((*expression.terms, expression.terms[0]))
    for node, put in nodes_in(expression):
        for how, bad in spoiled_node(node, names):
            yield f"{how}: {node}", put(bad)


def spoiled_path(path: Path, names: Names) -> Iterator[tuple[str, Path]]:
    for i, leg in enumerate(path.legs):
        for j, factor in enumerate(leg.factors):

            def put(value: Expression, i: int = i, j: int = j, leg: Leg = leg, factor: Factor = factor) -> Path:
                spoiled = replace(factor, value=value, expanded=None)
                factors = (*leg.factors[:j], spoiled, *leg.factors[j + 1 :])
                return Path((*path.legs[:i], replace(leg, factors=factors), *path.legs[i + 1 :]))

            for how, bad in spoiled_expressions(factor.value, names):
                yield f"factor {i}.{j} {how}", put(bad)
            moved = shifted(factor.value)
            if moved != factor.value and "_0" not in str(moved):
                yield f"factor {i}.{j} shifted", put(moved)


def spoiled_products(form: Oriented, names: Names) -> Iterator[tuple[str, Oriented]]:
    for i, product in enumerate(form.products):

        def put(
            new: tuple[tuple[int | None, Expression], ...], at: int, end: int, i: int = i, product: Any = product
        ) -> Oriented:
            spoiled = (*product[:at], *new, *product[end:])
            return replace(form, products=(*form.products[:i], spoiled, *form.products[i + 1 :]))

        for j, (t, factor) in enumerate(product):
            yield f"product {i} without factor {j}", put((), j, j + 1)
            for how, bad in spoiled_expressions(factor, names):
                yield f"product {i} factor {j} {how}", put(((t, bad),), j, j + 1)
        for j, (a, b) in enumerate(pairwise(product)):
            if not commute(a[1], b[1], names):
                yield f"product {i} factors {j} and {j + 1} swapped", put((b, a), j, j + 2)


def spoiled_forms(form: Form, names: Names) -> Iterator[tuple[str, Form]]:
    match form:
        case Written(expression):
            for how, bad in spoiled_expressions(expression, names):
                yield how, Written(bad)
        case PathProduct(path):
            for how, wrong in spoiled_path(path, names):
                yield how, PathProduct(wrong)
        case Oriented():
            yield from spoiled_products(form, names)
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
                for how, bad_term in spoiled_forms(term, names):
                    assert isinstance(bad_term, PathProduct | Collected | Oriented)
                    yield f"term {i}: {how}", replace(form, shown=(*shown[:i], bad_term, *shown[i + 1 :]))


def spoiled_steps(step: Step, names: Names) -> Iterator[tuple[str, Step]]:
    for how, bad in spoiled_forms(step.after, names):
        yield f"after {how}", replace(step, after=bad)
    for i, small in enumerate(step.substeps):
        for how, bad_step in spoiled_steps(small, names):
            yield f"substep {i} {how}", replace(step, substeps=(*step.substeps[:i], bad_step, *step.substeps[i + 1 :]))


def spoiled_derivations(derivation: Derivation, each: int = 1) -> Iterator[tuple[str, Derivation]]:
    for i, section in enumerate(derivation.sections):
        for j, step in enumerate(section.steps):
            if j % each:
                continue
            for how, bad in spoiled_steps(step, derivation.model.names):
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


SPOILED = [
    ("elman", 3, "W_x", {}, 2),
    ("elman", 2, "h_0", {"losses": "last"}, 1),
    ("elman", 8, "W_h", {}, 5),
    ("elman", 2, "W_y", {"loss": "squared", "activation": "tanh"}, 1),
    ("elman", 2, "W_h", {"loss": "cross-entropy", "activation": "logistic"}, 1),
    ("residual", 3, "b_h", {}, 3),
    ("lag2", 7, "W_x", {}, 5),
    (LSTM, 2, "W_f", {}, 5),
    ("elman", 2, "W_x", {"form": "matrix"}, 3),
    ("elman", 2, "W_h", {"form": "matrix", "layout": "jacobian", "losses": "mean"}, 4),
    ("elman", 1, "h_0", {"form": "matrix", "loss": "cross-entropy", "output_activation": "softmax"}, 2),
    ("elman", 7, "W_h", {"form": "matrix"}, 29),
    ("linear", 2, "W_h", {"form": "matrix"}, 4),
    ("residual", 2, "b_h", {"form": "matrix"}, 4),
    ("lstm", 2, "W_f", {"form": "matrix"}, 7),
    ("lstm", 2, "c_0", {"form": "matrix", "layout": "jacobian"}, 5),
    ("gru", 2, "U_n", {"form": "matrix"}, 5),
]


@pytest.mark.parametrize(("cell", "T", "goal", "options", "each"), SPOILED)
def test_every_spoiled_line_is_noticed(cell: str, T: int, goal: str, options: dict[str, str], each: int) -> None:
    """Of a long derivation every third line or so is spoiled, in each of these ways."""
    every_spoiled_line_is_noticed(cell, T, goal, options, each)


@pytest.mark.slow
@pytest.mark.parametrize(("cell", "T", "goal", "options", "each"), [row for row in SPOILED if row[-1] > 1])
def test_every_spoiled_line_of_all_is_noticed(cell: str, T: int, goal: str, options: dict[str, str], each: int) -> None:
    every_spoiled_line_is_noticed(cell, T, goal, options, 1)


def every_spoiled_line_is_noticed(cell: str, T: int, goal: str, options: dict[str, str], each: int) -> None:
    layout = options.get("layout", "gradient")
    model = unroll(cell, steps=T, **{key: value for key, value in options.items() if key != "layout"})
    derivation = derive_gradient(model, goal, layout=layout)
    assert derivation.verify(symbolic=False).passed
    tried = 0
    for how, bad in spoiled_derivations(derivation, each):
        assert failures(quick(bad, derivation)), f"{cell}, T = {T}, {goal}, {options}: {how} was not noticed"
        tried += 1
    assert tried > 50


def test_the_proof_alone_notices_a_spoiled_result() -> None:
    derivation = derive_gradient(unroll("elman", steps=3), "W_x")
    place = next(i for i, section in enumerate(derivation.sections) if section.part is Part.SUM)
    [step] = derivation.sections[place].steps
    for how, bad in spoiled_forms(step.after, {}):
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
    [*_, (how, wrong)] = list(spoiled_path(after.path, {}))
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
