r"""What is checked of a derivation, and how: nothing here reads the table to decide what is right.

- every line: both sides at a random point, with analytic stand-ins for σ and ℓ; ∂ by complex steps of the forward
  pass, ∂⁺ by a complex step of the one equation;
- the gradient: the sum over all paths against a complex step of the forward pass;
- the adjoint recursion against the same;
- the number of paths listed against the number counted;
- for small T, the sum over paths minus SymPy's ``diff`` of the inlined loss, by ``expand``: zero for every σ and ℓ.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from enum import Enum
from functools import partial
from itertools import islice, pairwise
from typing import Any

from rnn_symbolic.derivation import Derivation, derive_gradient
from rnn_symbolic.errors import NumericalFailure
from rnn_symbolic.expressions import Call, Derivative, Expression, Quantity, at_step, joined, quantities, walk
from rnn_symbolic.forms import Collected, Form, PathProduct, PathSum, Step, Written, arranged
from rnn_symbolic.frozen import frozen
from rnn_symbolic.graph import Graph, Path
from rnn_symbolic.model import Model, table_rows
from rnn_symbolic.paths import graph, iter_paths
from rnn_symbolic.sections import Part, Plan
from rnn_symbolic.valuation import stand_in_valuation

TOLERANCE = 1e-9
PROOF_STEPS = 4
PROOF_PATHS = 400
"""The symbolic proof is attempted up to this T and this many elementary paths: ``expand`` is exponential in T."""
MOST_LISTED = 2_000
"""Of more paths than this, the count is not compared with a listing."""
MOST_PLACED = 500
"""Of more paths than this, it is not checked that dots stand where terms are left out."""
LINE_COST = 20_000
"""A line that names more derivatives than this, times T, is not evaluated (each takes a forward pass)."""


class Check(Enum):
    """What was checked; each value is the check's stable code."""

    STRUCTURE = "structure"
    LINES = "lines"
    GRADIENT = "gradient"
    ADJOINT = "adjoint"
    COUNT = "count"
    SYMPY = "sympy"


@frozen
class Finding:
    """The outcome of one check: passed, failed, or not attempted (and why, as a code)."""

    check: Check
    status: str  # "passed", "failed", "skipped"
    number: int = 0  # lines or paths looked at
    skipped: int = 0  # lines that would have taken too long
    error: float = 0.0  # the greatest relative difference seen
    detail: str = ""  # where it failed, or why it was not attempted


@frozen
class Verification:
    """All findings for one derivation; `passed` when nothing failed and the gradient was confirmed."""

    goal: Quantity
    seed: int
    findings: tuple[Finding, ...]

    @property
    def passed(self) -> bool:
        """Nothing failed, and the sum over paths was compared with something independent of the table."""
        confirmed = any(f.status == "passed" for f in self.findings if f.check in (Check.GRADIENT, Check.SYMPY))
        return confirmed and all(f.status != "failed" for f in self.findings)

    def __str__(self) -> str:
        verdict = "passed" if self.passed else "FAILED"
        rows = [f"dL/d{self.goal}: {verdict} (seed {self.seed})"]
        for f in self.findings:
            error = f", relative error {f.error:.0e}" if f.error else ""
            rows.append(f"  {f.check.value:<10} {f.status}: {f.number}{error}{'; ' + f.detail if f.detail else ''}")
        return "\n".join(rows)

    def _repr_html_(self) -> str:
        from html import escape  # its table of names is long

        return f"<pre>{escape(str(self))}</pre>"

    def finding(self, check: Check) -> Finding | None:
        """The finding of one check, None when it was not made."""
        return next((f for f in self.findings if f.check is check), None)


def verify(derivation: Derivation, *, symbolic: bool = True, seed: int = 0) -> Verification:
    """Check a derivation; ``symbolic`` adds SymPy's proof."""
    return verify_all((derivation,), symbolic=symbolic, seed=seed)[0]


def verify_all(derivations: Sequence[Derivation], *, symbolic: bool = True, seed: int = 0) -> tuple[Verification, ...]:
    """Check several derivations of one model at one point; the lines they share are checked with the first."""
    verifications: list[Verification] = []
    try:
        at = stand_in(derivations[0].plan, seed)
        failure = None
    except NumericalFailure as error:
        failure = error
    for i, derivation in enumerate(derivations):
        findings: list[Finding] = [_structure(derivation)]
        if not derivation.section(Part.SUM).steps:
            verifications.append(Verification(derivation.goal, seed, tuple(findings)))
            continue
        if failure is not None:
            findings.append(Finding(Check.LINES, "skipped", detail=str(failure)))
        else:
            sections = [section for section in derivation.sections if i == 0 or section.goal is not None]
            steps = [step for section in sections for step in section.steps]
            for check, make in (
                (Check.LINES, partial(_lines, steps, at)),
                (Check.GRADIENT, partial(_gradient, derivation, at)),
                (Check.ADJOINT, partial(_adjoint, derivation, at)),
                (Check.COUNT, partial(_count, derivation)),
            ):
                findings += _made(check, make)
        if symbolic:
            findings.append(_sympy(derivation.model, derivation.goal, derivation.result))
        verifications.append(Verification(derivation.goal, seed, tuple(findings)))
    return tuple(verifications)


def stand_in(plan: Plan, seed: int) -> Any:
    """A valuation at a random point, with stand-ins for σ and ℓ: in numbers, or where there are matrices in arrays."""
    if plan.model.form == "scalar" and (plan.granularity != "step" or len(plan.model.cell.states) < 2):
        return stand_in_valuation(plan.model, seed)
    from rnn_symbolic.matrix_valuation import stand_in_matrix_valuation

    return stand_in_matrix_valuation(plan.model, seed)


def _size(number: Any) -> float:
    """The greatest magnitude among the entries of an array, or of a number."""
    return float(abs(number)) if isinstance(number, float | int) else float(abs(number).max(initial=0.0))


def _structure(derivation: Derivation) -> Finding:
    """No line is missing, doubled or out of place, and each has the rule and the route that belong to it.

    The rows of the table are those of the cell's equations, the sections those that the table gives.
    """
    model = derivation.model
    number = len(derivation.steps)
    rows = table_rows(model.definitions, model.names)
    for row in dict.fromkeys((*rows, *model.table)):
        if row not in rows or row not in model.table:
            return Finding(Check.STRUCTURE, "failed", number, detail=f"the table's row {row.head} <- {row.tail}")
    plan = derivation.plan
    paths = plan.graph(derivation.goal).count()
    again = derive_gradient(
        model,
        derivation.goal,
        granularity=plan.granularity,
        layout=plan.layout or "gradient",
        whole=plan.whole,
        max_paths=paths,
    )
    if derivation.sections != again.sections:
        given = {section.part: section for section in derivation.sections}
        part = next((s.part for s in again.sections if given.get(s.part) != s), again.sections[0].part)
        return Finding(
            Check.STRUCTURE, "failed", number, detail=f"the section {part.value} is not what the table gives"
        )
    return Finding(Check.STRUCTURE, "passed", number)


def _made(check: Check, make: Callable[[], Finding | None]) -> Iterable[Finding]:
    """The finding of one check, made as far as the model and floats allow."""
    try:
        found = make()
    except KeyError as missing:
        found = Finding(check, "failed", detail=f"{missing.args[0]} is named, and the model has no such quantity")
    except ValueError as misfit:  # of a product whose shapes do not fit
        found = Finding(check, "failed", detail=f"shapes that do not fit: {misfit}")
    except NumericalFailure as failure:
        found = Finding(check, "skipped", detail=str(failure))
    return () if found is None else (found,)


def _close(a: Any, b: Any, scale: float = 0.0, least: float = 1e-12) -> bool:
    return _same_shape(a, b) and _size(a - b) <= TOLERANCE * max(_size(a), _size(b), scale, least)


def _same_shape(a: Any, b: Any) -> bool:
    """A row is not a column, though NumPy would broadcast them; a plain 0 stands for the empty sum in any shape."""
    shapes = (getattr(a, "shape", ()), getattr(b, "shape", ()))
    empty = any(shape in ((), (1, 1)) and not _size(number) for number, shape in zip((a, b), shapes, strict=True))
    return shapes[0] == shapes[1] or () in shapes or empty


def _relative(a: Any, b: Any, scale: float = 0.0) -> float:
    if not _same_shape(a, b):
        return math.inf
    error = _size(a - b)
    return error / max(_size(a), _size(b), scale, 1e-300) if error else 0.0


def all_steps(steps: Iterable[Step]) -> Iterable[Step]:
    """Every step and its substeps, depth first."""
    for step in steps:
        yield step
        yield from all_steps(step.substeps)


def _lines(steps: Iterable[Step], at: Any) -> Finding:
    number = skipped = 0
    worst, failed = 0.0, ""
    for step in all_steps(steps):
        if _cost(step.before, at) + _cost(step.after, at) > LINE_COST:
            skipped += 1
            continue
        for t in _instances(step, at.model):
            before, after = (_at(form, t).number(at) for form in (step.before, step.after))
            scale = _magnitude(step.after, at)
            worst = max(worst, _relative(before, after, scale))
            # nothing cancels in a product, so even 1e-40 is compared in all its digits
            least = 0.0 if isinstance(step.after, PathProduct | Collected) else 1e-12
            if not _close(before, after, scale, least) and not failed:
                failed = f"{step.rule.value} at {_subject(step)}: {before!r} and {after!r}"
        failed = failed or _misshown(step.after, at)
        number += 1
    failed = failed or _missing_row(at)
    return Finding(Check.LINES, "failed" if failed else "passed", number, skipped, worst, failed)


def _subject(step: Step) -> str:
    return " -> ".join(step.subject.route) if isinstance(step.subject, Path) else str(step.subject)


def _missing_row(at: Any) -> str:
    """A quantity that an equation mentions, that moves it, and that has no row in the table."""
    rows = {(edge.head, edge.tail) for edge in at.model.table}
    T = at.model.steps
    for equation in at.model.definitions:
        for tail in dict.fromkeys(quantities(equation.expression)):
            unlisted = tail.name != "d" and (equation.target, tail) not in rows
            by = Derivative(equation.target, tail, immediate=True, stacked=at.model.is_matrix(tail))
            if unlisted and _size(at.of(by, T)):
                return f"the table has no row for {equation.target} by {tail}"
    return ""


def _misshown(form: Form, at: Any) -> str:
    """What is wrong with a sum over paths as it is shown: its terms, their number, its dots."""
    if not isinstance(form, PathSum):
        return ""
    g = graph(at.model, form.goal, form.granularity)
    count = g.count()
    if form.count != count or (not form.elided and len(form.shown) != count):
        return f"{len(form.shown)} terms stand for {form.count} paths to {form.goal}; there are {count}"
    for term in form.shown:
        if not _close(term.number(at), arranged(at.path(term.path).value, form.layout), least=0.0):
            return f"the term for {' -> '.join(term.path.route)} is not worth its path"
    shown = [term.path for term in form.shown]
    if form.elided and count > MOST_PLACED:  # what is not elided has been enumerated anyway
        return "" if all(_is_path(g, path) for path in shown) else f"what is shown is no path to {form.goal}"
    places = [-1]
    for place, path in enumerate(iter_paths(at.model, form.goal, form.granularity)):
        if len(places) <= len(shown) and path == shown[len(places) - 1]:
            places.append(place)
    if len(places) <= len(shown):
        return f"{' -> '.join(shown[len(places) - 1].route)} is shown out of its place"
    gaps = tuple(i for i, (a, b) in enumerate(pairwise([*places, count])) if b > a + 1)
    return "" if form.gaps == gaps else f"dots before the terms {form.gaps}, and terms are left out before {gaps}"


def _is_path(g: Graph, path: Path) -> bool:
    t, s = path.loss_step, path.entry_step
    return s in g.entries_from(t) and path in islice(g.paths(t, s), MOST_LISTED)


def _cost(form: Form, at: Any) -> int:
    if isinstance(form, PathSum):
        return int(at.model.steps) if form.elided else 0  # one sweep
    if not isinstance(form, Written):
        return 0
    named = sum(1 for node in walk(form.expression) if isinstance(node, Derivative) and not node.immediate)
    return named * int(at.model.steps)


def _magnitude(form: Form, at: Any) -> float:
    """The size of the terms of a sum: what cancellation is measured against."""
    if isinstance(form, PathSum) and not form.elided:
        return max((_size(term.number(at)) for term in form.shown), default=0.0)
    return 0.0


def _instances(step: Step, model: Model) -> tuple[int, ...]:
    """Where a line at the generic step t is tried: at every lag's first full step, and at the last step."""
    if not isinstance(step.before, Written):
        return (0,)
    nodes: list[Expression] = []
    for node in walk(step.before.expression):
        nodes.extend((node.of, node.wrt) if isinstance(node, Derivative) else (node,))
    mentions = [node for node in nodes if isinstance(node, Quantity) and node.index]
    if not mentions:
        return (0,)
    there = (t for t in range(1, model.steps + 1) if all(_exists(q.at(t), model) for q in mentions))
    first = next(there, None)
    return () if first is None else tuple(dict.fromkeys((first, model.steps)))


def _exists(q: Quantity, model: Model) -> bool:
    """Whether the unrolled model has a quantity; of a joint state, every part (lags may differ)."""
    parts = (Quantity(name, q.step) for name in joined(q.name))
    return all((part.step or 0) >= 1 or part in model.initial_states for part in parts)


def _at(form: Form, t: int) -> Form:
    if t and isinstance(form, Written):
        return Written(at_step(form.expression, t))
    return form


def _gradient(derivation: Derivation, at: Any) -> Finding:
    goal, plan = derivation.goal, derivation.plan
    expected = at.of(plan.total(goal).expression)
    found, scale = derivation.result.number(at), _scale(derivation, at)
    ok = _close(expected, found, scale)
    detail = "" if ok else f"{found!r} instead of {expected!r}"
    number = plan.graph(goal).count()
    return Finding(Check.GRADIENT, "passed" if ok else "failed", number, 0, _relative(expected, found, scale), detail)


def _scale(derivation: Derivation, at: Any) -> float:
    """What cancellation in the gradient is measured against: the paths shown, or what enters at each step."""
    entered = at.entered(derivation.plan.graph(derivation.goal))
    return max([_magnitude(derivation.result, at), *(_size(amount.value) for amount in entered.values())])


def _adjoint(derivation: Derivation, at: Any) -> Finding | None:
    """The adjoint recursion, for the goals that it gives: parameters, initial states, inputs."""
    goal, model = derivation.goal, derivation.model
    if goal.name in model.named and goal not in model.initial_states:
        return None
    layout = derivation.plan.layout
    expected, found = at.of(derivation.plan.total(goal).expression), arranged(at.gradient(goal).value, layout)
    scale = _scale(derivation, at)
    ok = _close(expected, found, scale)
    detail = "" if ok else f"{found!r} instead of {expected!r}"
    return Finding(Check.ADJOINT, "passed" if ok else "failed", 1, 0, _relative(expected, found, scale), detail)


def _count(derivation: Derivation) -> Finding:
    """As many paths are listed as counted, and what the result shows and claims agrees; long lists are not made."""
    plan = derivation.plan
    counted = plan.graph(derivation.goal).count()
    result = derivation.result
    shown = len(result.shown) if isinstance(result, PathSum) else 0
    claimed = result.count if isinstance(result, PathSum) else 0
    complete = not (isinstance(result, PathSum) and result.elided)
    listable = counted <= MOST_LISTED
    listed = sum(1 for _ in iter_paths(plan.model, derivation.goal, plan.granularity)) if listable else counted
    if claimed != counted or listed != counted or (shown != counted if complete else shown >= counted):
        detail = f"{shown} shown, {claimed} claimed, {listed if listable else 'none'} listed, {counted} counted"
        return Finding(Check.COUNT, "failed", counted, detail=detail)
    return Finding(Check.COUNT, "passed" if listable else "skipped", counted, detail="" if listable else "too many")


# --- the symbolic proof -------------------------------------------------------------------------------------------


def _sympy(model: Model, goal: Quantity, result: Form) -> Finding:
    paths = graph(model, goal, "node").count()
    if model.steps > PROOF_STEPS or paths > PROOF_PATHS or (isinstance(result, PathSum) and result.elided):
        return Finding(Check.SYMPY, "skipped", paths, detail="too large")
    if any(isinstance(n, Call) and n.function == "softmax" for e in model.definitions for n in walk(e.expression)):
        return Finding(Check.SYMPY, "skipped", paths, detail="softmax")  # at size 1 it is the constant 1
    import sympy as sp

    from rnn_symbolic.symbols import inline, symbol

    if model.collapse is not None:
        if not _collapse_holds(model):
            return Finding(Check.SYMPY, "failed", paths, detail="the identity for y − d does not hold")
        # with the identity proved by itself, the sum is proved for the two factors as the table has them
        model = replace(model, collapse=None)
        written = sp.Add(*(path.product for path in iter_paths(model, goal)))
    else:
        written = result.value(model)
    keep = (goal,)  # a goal that an equation defines stays a symbol on both sides
    expected = sp.diff(inline(model, symbol(Quantity("L")), keep), symbol(goal))
    difference = sp.expand(inline(model, written, keep) - expected)
    proved = difference == 0
    if not proved:  # a quotient (log, sqrt) may need a common denominator; cancel is polynomial, simplify is not
        proved = sp.cancel(sp.together(difference)) == 0
    return Finding(Check.SYMPY, "passed" if proved else "failed", paths, detail="" if proved else "not zero")


def _collapse_holds(model: Model) -> bool:
    """(loss rate)·(output rate) = y − d, with y = logistic(o) and logistic'(o) = y (1 − y).

    For a softmax it is (Σd) y − d, of which y − d is the case Σd = 1.
    """
    import sympy as sp

    from rnn_symbolic.symbols import logistic, logistic_prime, read
    from rnn_symbolic.table import product_value

    collapse = model.collapse
    assert collapse is not None
    left = read(product_value(collapse.loss_rate)) * read(product_value(collapse.output_rate))
    if collapse.output == "softmax":
        return bool(sp.expand(left - read(collapse.general.value)) == 0)
    o = collapse.argument
    y = logistic(read(o))
    left = left.subs(read(model.definition["y"].target), y).subs(logistic_prime(read(o)), y * (1 - y))
    right = read(collapse.result.value).subs(read(model.definition["y"].target), y)
    return bool(sp.cancel(sp.together(left - right)) == 0)
