r"""The audit of formulas: each term is matched with a path, what is left over on either side is named.

A formula whose value is the gradient's at random points is right, however it is written. Otherwise every term that is
no path is compared with the nearest ones, and the paths without a term are described by the rule that leaves them out,
if there is one.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np

from rnn_symbolic.array_functions import Array, NoValue
from rnn_symbolic.arrays import array_point
from rnn_symbolic.auditing.cases import Case, relative_error
from rnn_symbolic.auditing.changes import difference
from rnn_symbolic.auditing.conventions import other_networks
from rnn_symbolic.auditing.diagnosis import diagnose
from rnn_symbolic.auditing.formula_reader import Formula, read_formulas
from rnn_symbolic.auditing.inspection import catalogue_of
from rnn_symbolic.auditing.instances import VISIBLE, small_points, usual_check
from rnn_symbolic.auditing.mistakes import Mistake, SelectionMistake, selections
from rnn_symbolic.auditing.points import Place, usual_point
from rnn_symbolic.auditing.records import Audit, Finding, Instance, Part, UsualCheck, verdict_of
from rnn_symbolic.auditing.sides import part_of
from rnn_symbolic.auditing.terms import SAME, Matching, Points, Term, match_terms, same
from rnn_symbolic.concrete import concrete
from rnn_symbolic.errors import InputError, NumericalFailure
from rnn_symbolic.expressions import Quantity, quantities
from rnn_symbolic.graph import Path
from rnn_symbolic.jacobians import oriented
from rnn_symbolic.matrix_valuation import MatrixValuation, random_matrix_point
from rnn_symbolic.model import Model
from rnn_symbolic.printing import latex, latex_quantity

NUMERIC_POINTS = 3


def audit_formula(model: Model, text: str, *, seed: int = 0, told: bool = True) -> Audit:
    r"""The audit of a text of formulas, one for each goal.

    >>> from rnn_symbolic.model import unroll
    >>> found = audit_formula(unroll("elman", steps=2), "dW_y = sum(t=1..T, l'(y[t]) * sigma'(a[t]) * h[t])")
    >>> found.verdict, [(f.kind, f.parts[0].mistake.code) for f in found.findings]
    ('wrong', [('activation-argument', 'wrong-argument')])

    Raises FormulaError for what cannot be read, InputError for a text without formulas.
    """
    formulas = read_formulas(text, model)
    if not formulas:
        raise InputError("there is no formula to audit; write for example dW_x = l'(y[1]) * …")
    numbers = _Numbers(model, text)
    findings: list[Finding] = []
    for formula in formulas:
        try:
            findings += _findings(formula, model, numbers, seed)
        except (NoValue, NumericalFailure) as reason:
            where = f"line {formula.line}: the formula for d{formula.goal}"
            raise InputError(f"{where} has no value at ordinary points: {reason}") from None
    checks = {finding.wrt: finding.usual for finding in findings}
    passed = None if None in checks.values() else all(check is not None and check.passed for check in checks.values())
    return Audit(verdict_of(tuple(findings)), tuple(findings), passed, model, "formula", (), told)


def _findings(formula: Formula, model: Model, numbers: _Numbers, seed: int) -> list[Finding]:
    points = Points(model, formula.goal, seed)
    value = sum((points.value(term, formula.transposed) for term in formula.terms), np.zeros(len(points.total)))
    error = relative_error(value, points.total)
    found = Finding(str(formula.goal), "right", error=error, points=len(points.at), usual=numbers.usual(formula.goal))
    if not np.isfinite(value).all():
        raise InputError(f"line {formula.line}: the formula for d{formula.goal} overflows at ordinary points")
    agrees = same(value, points.total, points.scale)
    if agrees and points.shows_all and not formula.transposed:
        return [found]
    if (agrees and formula.transposed) or (_is_square(points) and same(points.transpose(value), points.total)):
        parts = [_transposed(formula.goal)]
        return [_wrong(found, "layout", tuple(parts), numbers.instance(formula.goal))]
    matching = match_terms(formula, points)
    if agrees and not matching.terms and not matching.twice:
        if not matching.missing:
            return [found]
    elif agrees:  # what the terms are cannot be told, and their sum would hide the long lags
        return [replace(found, status="inconclusive", note="unseen")]
    parts = _term_parts(formula, matching, points)
    missing = _missing_parts(formula, matching, points)
    by_kind: dict[str, list[Part]] = {}
    for part in (*parts, *missing):
        by_kind.setdefault(part.mistake.kind, []).append(part)
    unruled = bool(missing) and not isinstance(missing[0].mistake, SelectionMistake)
    if len(parts) > 1 or len(by_kind) > 1 or unruled:  # one mistake in every term, or a rule for all of them?
        whole = numbers.explanation(formula.goal)
        if whole is not None:
            by_kind = {whole.mistake.kind: [whole, *parts, *missing]}
    instance = numbers.instance(formula.goal)
    return [_wrong(found, kind, tuple(several), instance) for kind, several in (by_kind or {"unknown": []}).items()]


def _wrong(found: Finding, kind: str, parts: tuple[Part, ...], instance: Instance | None) -> Finding:
    return replace(found, status="wrong", kind=kind, parts=parts, instance=instance)


def _is_square(points: Points) -> bool:
    shape = points.shape(points.at[0])
    return points.model.is_matrix(points.goal) and shape[0] == shape[1] > 1


def _transposed(goal: Quantity) -> Part:
    name = latex_quantity(goal)
    gradient = rf"\frac{{\partial L}}{{\partial {name}}}"
    mistake = Mistake("layout", "transposed", 0)
    return Part(mistake, "", rf"\left({gradient}\right)^{{\top}}", gradient, "layout")


# --- terms ----------------------------------------------------------------------------------------------------------


def _term_parts(formula: Formula, matching: Matching, points: Points) -> list[Part]:
    """What is wrong with each term; a term takes the path that it was meant to be out of the missing ones."""
    found = []
    for term in matching.multiplied:
        number = _number(term.times)
        mistake = (
            Mistake("sign", "term", 1) if abs(term.times + 1) <= SAME else Mistake("scale", "coefficient", 1, (number,))
        )
        found.append(_term_part(mistake, term, term.paths[0], "linearity", formula, points))
    for term in matching.twice:
        mistake = Mistake("scale", "counted-twice", 1)
        found.append(_term_part(mistake, term, term.paths[0], "sum-over-paths", formula, points))
    for term in matching.foreign:
        near = difference(term, points, matching.missing)
        if near is None:
            mistake = Mistake("unknown", "foreign-term", 5)
            found.append(_term_part(mistake, term, None, "sum-over-paths", formula, points))
            continue
        if near.path in matching.missing:
            matching.missing.remove(near.path)
        found.append(_term_part(near.mistake, term, near.path, near.rule, formula, points))
        if near.times != 1:
            times = Mistake("scale", "coefficient", 1, (_number(near.times),))
            found.append(_term_part(times, term, near.path, "linearity", formula, points))
    return found


def _number(times: float) -> str:
    near = Fraction(times).limit_denominator(1000)
    return str(near) if abs(float(near) - times) <= 1e-9 * abs(times) else f"{times:.6g}"


def _term_part(mistake: Mistake, term: Term, path: int | None, rule: str, formula: Formula, points: Points) -> Part:
    yours = latex(term.expression)
    if path is None:
        return Part(mistake, "", yours, "", rule, term=yours)
    found = points.paths[path]
    return Part(mistake, _route(found), yours, _product(found, formula, points), rule, term=yours, route=found.route)


def _route(path: Path) -> str:
    return r" \to ".join(map(latex_quantity, path.nodes))


def _product(path: Path, formula: Formula, points: Points) -> str:
    """The product of a path in the layout of the formula."""
    model = points.model
    factors = tuple(factor.value for factor in path.factors)
    if model.form == "scalar":
        return latex(path.expression)
    layout = "jacobian" if formula.transposed else "gradient"
    return latex(oriented(factors, model.is_matrix(points.goal), layout, model.names))


def _missing_parts(formula: Formula, matching: Matching, points: Points) -> list[Part]:
    """The paths without a term: by the rule that leaves out just these, and one by one."""
    if not matching.missing:
        return []
    missing = set(matching.missing)
    rule = _rule_of(missing, points, nothing_stands=not matching.terms)
    kind = rule.kind if rule is not None else "missing-paths"
    found = []
    if rule is not None:
        found.append(part_of(rule, points.goal, points.model, ()))
    for i in sorted(missing):
        path = points.paths[i]
        mistake = Mistake(kind, "path", 1)
        product = _product(path, formula, points)
        found.append(Part(mistake, _route(path), "0", product, "sum-over-paths", route=path.route))
    return found


def _rule_of(missing: set[int], points: Points, nothing_stands: bool) -> SelectionMistake | None:
    """The selection that keeps all other paths and none of these."""
    T, paths = points.model.steps, points.paths
    if len(missing) == len(paths):
        return next(m for m in selections(T) if m.code == "nothing") if nothing_stands else None
    first = {i for i, path in enumerate(paths) if path.entry_step == 1}
    if missing == first and _carries_initial(paths[next(iter(first))], points.model):
        return SelectionMistake("initial-state", "no-entry", 1, number=1)
    for mistake in selections(T):
        mask = mistake.mask(T)
        out = {i for i, path in enumerate(paths) if not mask[path.loss_step - 1, path.entry_step - 1]}
        if out == missing:
            return mistake
    return None


def _carries_initial(path: Path, model: Model) -> bool:
    """Whether the last factor of a path is an initial state."""
    initial = set(model.initial_states)
    return bool(path.factors) and any(q in initial for q in quantities(path.factors[-1].value))


# --- numbers --------------------------------------------------------------------------------------------------------


class _Numbers:
    """The same formulas with functions for σ and ℓ: what they are worth at points."""

    def __init__(self, model: Model, text: str) -> None:
        self.model = concrete(model)
        self.text = text
        self.formulas = {formula.goal: formula for formula in read_formulas(text, self.model)}
        self._instances: dict[Quantity, Instance | None] = {}

    def value(self, goal: Quantity, valuation: MatrixValuation) -> Array | None:
        """The formula at a point, as it stands."""
        found = self.formulas[goal]
        array = np.asarray(valuation.of(found.expression))
        shape = valuation.gradient(goal).value.shape
        if found.transposed:
            return array
        return array.reshape(shape) if array.size == int(np.prod(shape, dtype=int)) else np.broadcast_to(array, shape)

    def explanation(self, goal: Quantity) -> Part | None:
        """The one mistake of the catalogue that gives the whole formula."""
        cases: list[Case] = []
        for k in range(NUMERIC_POINTS):
            point = random_matrix_point(self.model, 11 + k)
            try:
                valuation = MatrixValuation(self.model, point)
                given = self.value(goal, valuation)
                if given is None or not np.isfinite(given).all():
                    return None
                others = other_networks(self.model, point.sizes)
                cases.append(Case(self.model, point, {goal: given}, others=others))
            except NumericalFailure:
                return None
        found = diagnose(cases, catalogue_of(cases), pairs=False)
        explanation = found.explanation(goal)
        if explanation is None or len(explanation.combination) != 1:
            return None
        return part_of(explanation.combination[0], goal, self.model, cases[0].others)

    def usual(self, goal: Quantity) -> UsualCheck | None:
        """The usual check of the formula, at its own T."""
        place: Place = usual_point(self.model, 0, None, steps=self.model.steps)
        try:
            valuation = MatrixValuation(self.model, array_point(place.point))
        except NumericalFailure:
            return None
        yours, right = self.value(goal, valuation), valuation.gradient(goal).value
        return None if yours is None else usual_check(np.asarray(yours), np.asarray(right))

    def instance(self, goal: Quantity) -> Instance | None:
        """The simplest point of small rationals at which the formula is wrong; its T is that of the formula."""
        if goal not in self._instances:
            self._instances[goal] = self._instance(goal)
        return self._instances[goal]

    def _instance(self, goal: Quantity) -> Instance | None:
        for visible in VISIBLE:
            found = self._differing(goal, visible)
            if found is not None:
                return found
        return None

    def _differing(self, goal: Quantity, visible: float) -> Instance | None:
        for point, shown in small_points(self.model):
            try:
                valuation = MatrixValuation(self.model, point)
                yours, right = self.value(goal, valuation), valuation.gradient(goal).value
            except NumericalFailure:
                continue
            if yours is None or not np.isfinite(yours).all():
                continue
            differs = yours.shape != right.shape or relative_error(np.ravel(yours), np.ravel(right)) >= visible
            if differs:
                return Instance(self.model.steps, dict(point.sizes), shown, yours, np.asarray(right))
        return None
