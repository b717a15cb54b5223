r"""A term that is no path: which factor of which path differs?

Every change of one factor of the nearest paths is tried until the product has the term's value: a factor missing, or
one too many, at another step, transposed, in another order, a slope at another argument or of another function.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from rnn_symbolic.array_functions import Array
from rnn_symbolic.auditing.mistakes import Mistake
from rnn_symbolic.auditing.terms import Points, Term, same
from rnn_symbolic.auditing.writer import SLOPES, exchanged, slope_formula
from rnn_symbolic.expressions import (
    Call,
    Diagonal,
    Expression,
    Kronecker,
    Number,
    Power,
    Quantity,
    StepLoss,
    Transpose,
    children,
    quantities,
    walk,
)
from rnn_symbolic.graph import Path
from rnn_symbolic.jacobians import oriented
from rnn_symbolic.printing import latex
from rnn_symbolic.table import Factor, LocalRule

NEAREST = 12
"""How many paths, the most similar, are changed."""
ALIKE = 0.45
"""A term that shares less than this part of its letters with every path is foreign."""


@dataclass(frozen=True)
class Difference:
    """The path that a term was meant to be, and what is wrong with it; ``rule`` gives the right factor."""

    path: int
    mistake: Mistake
    rule: str
    times: float = 1.0


def difference(term: Term, points: Points, missing: Sequence[int]) -> Difference | None:
    """The simplest change that makes a path the term, of the paths without a term first; None for a foreign term."""
    letters = _letters(term.expression)
    order = sorted(
        range(len(points.paths)), key=lambda i: (-_similarity(letters, points.paths[i]), i not in set(missing))
    )
    near = order[:NEAREST]
    candidates = sorted(near, key=lambda i: i not in set(missing))
    every = _factors_of(points)
    multiplied: Difference | None = None
    for changes in (_single, _order, _extra):
        for i in candidates:
            for factors, mistake, rule in changes(points.paths[i], points, every):
                value = points.product(factors)
                if value is not None and same(value, term.value):
                    return Difference(i, mistake, rule)
                if value is not None and multiplied is None and (times := _times(value, term.value)):
                    multiplied = Difference(i, mistake, rule, times)
        if multiplied is not None:
            return multiplied
    if not near or _similarity(letters, points.paths[near[0]]) < ALIKE:
        return None
    return _described(term, near[0], points)


def _times(value: Array, term: Array) -> float:
    """The simple number that makes one row of values the other; 0 where there is none."""
    size = float(value @ value)
    if not size or not np.isfinite(size):
        return 0.0
    times = float(value @ term) / size
    near = float(Fraction(times).limit_denominator(12)) if np.isfinite(times) else 0.0
    return near if near and abs(near) <= 12 and same(near * value, term) else 0.0


def _described(term: Term, path: int, points: Points) -> Difference:
    """What differs by the letters alone, where more than one factor does."""
    own = _path_letters(points.paths[path])
    letters = _letters(term.expression)
    theirs, ours = letters - own, own - letters
    about = tuple(r",\ ".join(sorted(side.elements())) for side in (theirs, ours))
    if not theirs and not ours:
        model = points.model
        factors = tuple(factor.value for factor in points.paths[path].factors)
        right = oriented(factors, model.is_matrix(points.goal), "gradient", model.names)
        if model.form == "matrix" and _transposes(right) != _transposes(term.expression):
            names = _transposes(right) ^ _transposes(term.expression)
            about = (r",\ ".join(sorted(names)),)
            return Difference(path, Mistake("transpose", "not-transposed", 3, about), LocalRule.MATRIX.value)
        return Difference(path, Mistake("order", "wrong-order", 3, about), "sum-over-paths")
    if theirs and not ours:
        return Difference(path, Mistake("scale", "extra-factor", 4, about[:1]), "sum-over-paths")
    if ours and not theirs:
        kind = "wrong-activation" if all("'(" in letter for letter in ours) else "scale"
        return Difference(path, Mistake(kind, "missing-factor", 4, about[1:]), "sum-over-paths")
    if _without_steps(theirs) == _without_steps(ours):
        return Difference(path, Mistake("index", "wrong-step", 4, about), "sum-over-paths")
    return Difference(path, Mistake("unknown", "other-factor", 5, about), "sum-over-paths")


def _without_steps(letters: Counter[str]) -> Counter[str]:
    found: Counter[str] = Counter()
    for letter, n in letters.items():
        found[re.sub(r"_\{-?\d+\}|,-?\d+(?=\})", "", letter)] += n
    return found


def _transposes(expression: Expression) -> frozenset[str]:
    """The matrices that stand transposed in a product."""
    nodes = (node for node in walk(expression) if isinstance(node, Transpose))
    return frozenset(latex(node.of) for node in nodes if isinstance(node.of, Quantity) and node.of.step is None)


# --- how alike ------------------------------------------------------------------------------------------------------


def _letters(expression: Expression) -> Counter[str]:
    """What a product is made of: slopes and losses as wholes, other quantities by name."""
    found: Counter[str] = Counter()
    waiting = [expression]
    while waiting:
        node = waiting.pop()
        match node:
            case Call(order=1) | StepLoss() | Quantity():
                found[latex(node)] += 1
            case Power(base=base, exponent=n) if n == int(n) and n > 0:
                waiting.extend([base] * int(n))
            case _:
                waiting.extend(children(node))
    return found


def _path_letters(path: Path) -> Counter[str]:
    found: Counter[str] = Counter()
    for factor in path.factors:
        found += _letters(factor.value)
    return found


def _similarity(letters: Counter[str], path: Path) -> float:
    own = _path_letters(path)
    both, either = (letters & own).total(), (letters | own).total()
    return both / either if either else 0.0


# --- changes --------------------------------------------------------------------------------------------------------

Changed = tuple[tuple[Expression, ...], Mistake, str]


def _values(path: Path) -> tuple[Expression, ...]:
    return tuple(factor.worth for factor in path.factors)


def _single(path: Path, points: Points, every: Sequence[Factor]) -> Iterator[Changed]:
    """One factor changed or missing."""
    values = _values(path)
    for k, factor in enumerate(path.factors):
        rest = values[:k], values[k + 1 :]

        def made(value: Expression, rest: tuple[tuple[Expression, ...], ...] = rest) -> tuple[Expression, ...]:
            return (*rest[0], value, *rest[1])

        rule = factor.rule.value
        if len(values) > 1:
            kind = "output-derivative" if _is_output(factor, points) else "scale"
            kind = "wrong-activation" if factor.rule is LocalRule.SLOPE and kind == "scale" else kind
            yield (*rest[0], *rest[1]), Mistake(kind, "missing-factor", 2, (latex(_shown(factor.value)),)), rule
        for value, mistake in _changed(factor, points):
            yield made(value), mistake, rule


def _is_output(factor: Factor, points: Points) -> bool:
    """Whether a slope is that of y's own function."""
    if factor.rule not in (LocalRule.SLOPE, LocalRule.SOFTMAX):
        return False
    found = {q.name for q in quantities(factor.value)}
    return found <= {q.name for q in quantities(points.model.definition["y"].expression)}


def _changed(factor: Factor, points: Points) -> Iterator[tuple[Expression, Mistake]]:
    value, model = factor.value, points.model
    for q in dict.fromkeys(quantities(value)):
        if q.step is None:
            continue
        initial = [p.step for p in model.initial_states if p.name == q.name and p.step is not None]
        for step in range(min([1, *initial]), model.steps + 1):
            if step != q.step:
                moved = replace(q, step=step)
                other = exchanged(value, q, moved)
                about = (latex(_shown(other)), latex(_shown(value)))
                yield other, Mistake("index", "wrong-step", 2, about)
    if factor.rule is LocalRule.MATRIX and isinstance(value, Quantity):
        yield Transpose(value), Mistake("transpose", "not-transposed", 2, (latex(value),))
    if factor.rule is LocalRule.NUMBER:
        return
    yield from _slopes(value, points)


def _slopes(value: Expression, points: Points) -> Iterator[tuple[Expression, Mistake]]:
    inner = value.vector if isinstance(value, Diagonal) else value
    if not isinstance(inner, Call) or inner.order != 1:
        return
    name, z = inner.function, inner.argument
    equations = [e for e in points.model.equations if e.expression == Call(name, z)]
    values: list[Expression] = [e.target for e in equations] or [Call(name, z)]

    def wrapped(other: Expression) -> Expression:
        return Diagonal(other) if isinstance(value, Diagonal) else other

    right = latex(inner)
    for v in values:
        theirs = Call(name, v, 1)
        yield wrapped(theirs), Mistake("activation-argument", "wrong-argument", 2, (latex(theirs), right))
        for other in SLOPES:
            if other == name or (other == "relu" and name in ("sigma", "logistic", "softplus")):
                continue  # [v > 0] is 1 for what is always positive, or may be
            formula = slope_formula(other, v, isinstance(value, Diagonal))
            yield wrapped(formula), Mistake("wrong-activation", "other-slope", 2, (latex(formula), right))
    if name in SLOPES:
        formula = slope_formula(name, z, isinstance(value, Diagonal))
        yield wrapped(formula), Mistake("activation-argument", "wrong-argument", 2, (latex(formula), right))
    step = next((q.step for q in quantities(z) if q.step is not None), None)
    for equation in points.model.definitions if step is not None else ():
        v = replace(equation.target, step=step, index="")
        if v != z and v.name != "l":
            theirs = Call(name, v, 1)
            yield wrapped(theirs), Mistake("activation-argument", "wrong-argument", 2, (latex(theirs), right))
    for other in (*SLOPES, "sigma"):
        if other != name:
            theirs = Call(other, z, 1)
            yield wrapped(theirs), Mistake("wrong-activation", "other-slope", 3, (latex(theirs), right))
    yield wrapped(Call(name, z)), Mistake("activation-argument", "wrong-argument", 3, (latex(Call(name, z)), right))


def _order(path: Path, points: Points, every: Sequence[Factor]) -> Iterator[Changed]:
    """Two neighbours exchanged."""
    values = _values(path)
    for k in range(len(values) - 1):
        one, two = path.factors[k : k + 2]
        if _plain(one) and _plain(two):
            continue
        exchanged = (*values[:k], values[k + 1], values[k], *values[k + 2 :])
        about = (latex(_shown(one.value)), latex(_shown(two.value)))
        yield exchanged, Mistake("order", "wrong-order", 2, about), one.rule.value


def _plain(factor: Factor) -> bool:
    return isinstance(factor.value, Diagonal | Number) or factor.shape in (None, ("1", "1"))


def _extra(path: Path, points: Points, every: Sequence[Factor]) -> Iterator[Changed]:
    """A factor too many: any that stands in some path; or another one in the place of a factor."""
    values = _values(path)
    scalar = points.model.form == "scalar"
    places = range(1) if scalar else range(1, len(values))
    for factor in every:
        said = latex(_shown(factor.value))
        for k in places:
            yield (
                (*values[:k], factor.worth, *values[k:]),
                Mistake("scale", "extra-factor", 3, (said,)),
                factor.rule.value,
            )
    for k, factor in enumerate(path.factors):
        for other in every:
            if other.value != factor.value:
                about = (latex(_shown(other.value)), latex(_shown(factor.value)))
                changed = (*values[:k], other.worth, *values[k + 1 :])
                yield changed, Mistake("unknown", "other-factor", 4, about), factor.rule.value


def _factors_of(points: Points) -> list[Factor]:
    """The different factors of all paths, at most some."""
    found: dict[Expression, Factor] = {}
    for path in points.paths[:200]:
        for factor in path.factors:
            found.setdefault(factor.value, factor)
    return list(found.values())[:40]


def _shown(value: Expression) -> Expression:
    """What a reader calls the factor: v of vᵀ ⊗ I."""
    return value.vector if isinstance(value, Kronecker) else value


__all__ = ["Difference", "difference"]
