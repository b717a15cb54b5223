r"""Lines for a symbolic t and T: the normal form of a term, in which sums and products over steps stay what they are.

A term is a sum of words over ranges of steps. Two moves bring it to a normal form, and nothing else is known:

    Σ_{i=1}^{t−1} f(i) = Σ_{i=1}^{t−2} f(i) + f(t−1)        Π_{j=t↘i+1} c_j = c_t Π_{j=t−1↘i+1} c_j

at the upper ends for a free index t (down to t − 1 where only t ≥ 1 is known), and at the lower ends for a free index k
where t is bound: Σ_{t=k}^{T} begins at k + 1, and Π_{j=t↘k+1} ends with c_{k+1}. A range is the set of its
inequalities, closed under transitivity, so that a double sum over 1 ≤ k ≤ t ≤ T is the same by rows and by columns.
Recurrence and hypothesis are substitutions of one step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields, replace
from fractions import Fraction

from rnn_symbolic.expressions import Derivative, Expression, Identity, Number, Quantity
from rnn_symbolic.induction.records import Line, Piece, Theorem, Topic, Why
from rnn_symbolic.induction.terms import (
    Ordered,
    Place,
    Plus,
    Share,
    Sum,
    Term,
    Times,
    is_leaf,
    moved,
    rebuilt,
)

Range = frozenset[tuple[Place, Place]]
"""Inequalities p ≤ q between steps."""
Atom = Expression | Ordered | Share
Normal = dict[tuple[Range, tuple[Atom, ...]], Fraction]
Free = Mapping[str, int]
"""The free indices, each with the least number that it stands for."""
NOWHERE: Range = frozenset()

IDENTITIES = frozenset(
    {Why.DISTRIBUTE, Why.JOIN_LEFT, Why.JOIN_RIGHT, Why.LAST_TERM, Why.SPLIT, Why.EXCHANGE, Why.EMPTY}
)
"""Reasons that are algebra: both sides have the same normal form."""


class NotNormal(ValueError):
    """A term with a norm, a maximum, a truncation: its normal form is not defined here."""


def normal(term: Term, free: Free) -> Normal:
    """The normal form of a term with these free indices.

    >>> from rnn_symbolic.induction.terms import FIRST, NOW
    >>> v = Quantity("v", 0, "i")
    >>> one, other = Sum("i", FIRST, NOW, v), Plus((Sum("i", FIRST, Place("t", -1), v), Quantity("v", 0, "t")))
    >>> normal(one, {"t": 1}) == normal(other, {"t": 1})
    True
    """
    match term:
        case Plus(terms):
            return _added(normal(each, free) for each in terms)
        case Times(factors):
            found: Normal = {(NOWHERE, ()): Fraction(1)}
            for factor in factors:
                found = _multiplied(found, normal(factor, free))
            return found
        case Sum(index, Place() as low, Place() as high, body):
            return _summed(index, low, high, body, free)
        case Ordered(index, Place() as low, Place() as high, body, False) if is_leaf(body):
            return {(NOWHERE, tuple(_product(index, low, high, body, free))): Fraction(1)}
        case Share():
            return {(NOWHERE, (term,)): Fraction(1)}
        case Number(value):
            return {(NOWHERE, ()): value} if value else {}
        case Identity():
            return {(NOWHERE, ()): Fraction(1)}
        case Derivative(of, wrt, False) if of == wrt:
            return {(NOWHERE, ()): Fraction(1)}
    if not is_leaf(term):
        raise NotNormal(type(term).__name__)
    return {(NOWHERE, (term,)): Fraction(1)}


def _added(several: Iterable[Normal]) -> Normal:
    total: Normal = {}
    for each in several:
        for key, number in each.items():
            total[key] = total.get(key, Fraction(0)) + number
    return {key: number for key, number in total.items() if number}


def _multiplied(left: Normal, right: Normal) -> Normal:
    return _added({(closed(r | s), (*u, *v)): m * n} for (r, u), m in left.items() for (s, v), n in right.items())


def _summed(index: str, low: Place, high: Place, body: Term, free: Free) -> Normal:
    """The sum down to t − 2 where it ends at a free t, from k + 1 where it begins at a free k; the rest apart."""
    apart: list[Normal] = []
    top, bottom = high, low
    if low.index == high.index:
        steps = range(low.offset, high.offset + 1)
        return _added(normal(at(body, index, Place(low.index, o)), free) for o in steps)
    if high.index == "t" and "t" in free and not high.back and high.offset >= -min(free["t"], 2):
        top = Place("t", -min(free["t"], 2))
        apart += [normal(at(body, index, Place("t", o)), free) for o in range(top.offset + 1, high.offset + 1)]
    if low.index == "k" and "k" in free and high.index != "k" and low.offset <= 1:
        bottom = Place("k", 1)
        apart += [normal(at(body, index, Place("k", o)), free) for o in range(low.offset, 1)]
    name = "k" if index == "i" else index  # a bound index by any name
    inside = normal(at(body, index, Place(name)), free)
    between = frozenset({(bottom, Place(name)), (Place(name), top)})
    return _added([*apart, *({(closed(r | between), word): n} for (r, word), n in inside.items())])


def _product(index: str, low: Place, high: Place, body: Expression, free: Free) -> list[Atom]:
    """The factors apart from what stays a product: c_t … at a free t, … c_{k+1} at a free k."""
    if low.index == high.index:
        steps = range(high.offset, low.offset - 1, -1)
        return [moved(body, {index: Place(high.index, o)}) for o in steps]
    first: list[Atom] = []
    last: list[Atom] = []
    if high.index == "t" and "t" in free and high.offset >= -1:
        first = [moved(body, {index: Place("t", o)}) for o in range(high.offset, -1, -1)]
        high = Place("t", -1)
    elif low.index == "k" and "k" in free and high.index != "k" and low.offset <= 2:
        last = [moved(body, {index: Place("k", o)}) for o in range(1, low.offset - 1, -1)] if low.offset < 2 else []
        low = Place("k", 2)
    kept = Ordered("j", low, high, moved(body, {index: Place("j")}))
    return [*first, kept, *last]


def closed(inequalities: Range) -> Range:
    """All inequalities that follow by transitivity; those between an index and itself say nothing.

    >>> one, k, t = Place("", 1), Place("k"), Place("t")
    >>> len(closed(frozenset({(one, k), (k, t)})))
    3
    """
    found = set(inequalities)
    while True:
        further = {(a, d) for a, b in found for c, d in found if b == c} - found
        if not further:
            return frozenset((a, b) for a, b in found if a != b)
        found |= further


def at(term: Term, index: str, place: Place) -> Term:
    """The term with an index replaced by a step, in its expressions and in its ranges."""

    def step(p: object) -> object:
        if isinstance(p, Place) and p.index == index:
            if p.back or place.back:
                raise NotNormal("a difference of steps")
            return place.plus(p.offset)
        if isinstance(p, Place) or not hasattr(p, "at"):
            return p
        raise NotNormal(type(p).__name__)

    def visit(part: Term) -> Term:
        if is_leaf(part):
            return moved(part, {index: place})
        if isinstance(part, Sum | Ordered):
            assert part.index != place.index, "an index would be captured"
            return replace(part, low=step(part.low), high=step(part.high))  # type: ignore[arg-type]
        if any(hasattr(getattr(part, f.name), "at") for f in fields(part)):
            raise NotNormal(type(part).__name__)
        return part

    return rebuilt(term, visit)


# --- lines ----------------------------------------------------------------------------------------------------------


Rule = Callable[[Expression], Term | None]
"""What an expression may be replaced by; None for itself."""


def _where_leaf(rule: Rule) -> Callable[[Term], Term]:
    def visit(part: Term) -> Term:
        found = rule(part) if is_leaf(part) else None
        return part if found is None else found

    return visit


def holds(line: Line, rules: Sequence[Rule] = ()) -> bool:
    """Whether a line holds for symbolic t and T: the same normal form, after the substitutions that ``rules`` allow."""
    free = {r.index: r.low.offset if isinstance(r.low, Place) and not r.low.index else 1 for r in line.ranges}
    before = line.before
    for rule in rules:
        before = rebuilt(before, _where_leaf(rule))
    return normal(before, free) == normal(line.after, free)


def symbolic_lines(theorem: Theorem) -> Iterable[tuple[Line, bool]]:
    """The lines of a proof that are algebra, and those of an induction step, each with whether it holds."""
    if theorem.kind.startswith("lags"):  # that nothing depends on a later state is not known here
        return
    claim = theorem.claims[-1]
    start = [_exactly(line) for line in theorem.part(Piece.PREMISES).lines if line.why is Why.START]
    for part in theorem.parts:
        for line in part.lines:
            if line.relation != "=" or not line.algebra or part.piece in (Piece.PREMISES, Piece.CELL):
                continue
            try:
                if part.piece is Piece.CONCLUSION:
                    yield line, holds(line, (_exactly(claim),))
                elif line.why in IDENTITIES:
                    yield line, holds(line, start)
                elif line.why is Why.HYPOTHESIS and theorem.topic in (Topic.LEMMA, Topic.TRANSITION):
                    yield line, holds(line, (_one_step_earlier(claim),))
                elif line.why is Why.RECURRENCE and theorem.topic is Topic.LEMMA:
                    premise = theorem.part(Piece.PREMISES).lines[0]
                    yield line, holds(line, (_named_by(premise, line.before),))
            except NotNormal:
                continue


def _exactly(known: Line) -> Rule:
    """The left side of a line replaced by its right side, where it stands as it is."""
    return lambda part: known.after if part == known.before else None


def _one_step_earlier(claim: Line) -> Rule:
    """The claim at t − 1, and at no other step."""
    assert is_leaf(claim.before)
    left = moved(claim.before, {"t": Place("t", -1)})
    right = at(claim.after, "t", Place("t", -1))
    return lambda part: right if part == left else None


def _named_by(premise: Line, term: Term) -> Rule:
    """The recurrence at the step of a quantity that stands alone."""
    if not isinstance(term, Quantity) or term.step is None:
        return lambda part: None
    right = at(premise.after, "t", Place(term.index, term.step))
    return lambda part: right if part == term else None
