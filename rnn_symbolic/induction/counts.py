r"""How many paths there are, for every T: T(T + 1)/2 and the like, as a theorem.

The paths of one loss are counted by their lag, from the numbers of routes through one step (`routes`). These numbers,
and their sums over lags and losses, satisfy a linear recurrence whose order is known beforehand. The shortest one is
found exactly from twice as many terms (Berlekamp and Massey). Where all roots of its characteristic polynomial are
whole numbers there is a closed form Σ_i p_i(T) r_i^T, else the recurrence is the theorem. Either holds for every T: two
sequences with recurrences of orders a and b are equal if their first a + b terms are, by their difference.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from functools import cached_property
from itertools import accumulate
from math import isqrt, lcm

from rnn_symbolic.expressions import Number, Quantity, quantities
from rnn_symbolic.frozen import frozen
from rnn_symbolic.induction.records import Line, Part, Piece, Range, Theorem, Topic, Why
from rnn_symbolic.induction.routes import Transfer, dot, transfer
from rnn_symbolic.induction.terms import (
    FIRST,
    LAST,
    LagCount,
    LossCount,
    Over,
    PathCount,
    Place,
    Powers,
    Raised,
    Routes,
    Sum,
    Term,
    plus,
    times,
)
from rnn_symbolic.model import Model

Numbers = Sequence[Fraction]
INPUT_STEPS = Place("T", 1, "s")
"""From the step s on there are T − s + 1 steps."""


def shortest_recurrence(values: Sequence[int]) -> tuple[Fraction, ...]:
    """c with v_n = c_1 v_{n−1} + … + c_L v_{n−L} for all n ≥ L, L as small as can be (Berlekamp-Massey).

    >>> [str(c) for c in shortest_recurrence([1, 1, 2, 3, 5, 8, 13, 21])]
    ['1', '1']
    """
    current: list[Fraction] = []
    previous: list[Fraction] = []
    failed_at, failed_by = -1, Fraction(1)
    for n, value in enumerate(values):
        error = value - sum((c * values[n - 1 - i] for i, c in enumerate(current)), Fraction(0))
        if error == 0:
            continue
        if failed_at < 0:
            current, failed_at, failed_by = [Fraction(0)] * (n + 1), n, Fraction(error)
            continue
        factor = error / failed_by
        correction = [Fraction(0)] * (n - failed_at - 1) + [factor] + [-factor * c for c in previous]
        longer = [
            (current[i] if i < len(current) else Fraction(0)) + (correction[i] if i < len(correction) else Fraction(0))
            for i in range(max(len(current), len(correction)))
        ]
        if n - len(current) > failed_at - len(previous):
            previous, failed_at, failed_by = current, n, Fraction(error)
        current = longer
    return tuple(current)


@frozen
class ClosedForm:
    """Σ_i p_i(n) r_i^n: for each root its polynomial, the constant first."""

    terms: tuple[tuple[int, tuple[Fraction, ...]], ...]

    def __call__(self, n: int) -> Fraction:
        """The value at n.

        >>> ClosedForm(((1, (Fraction(0), Fraction(1, 2), Fraction(1, 2))),))(4)
        Fraction(10, 1)
        """
        return sum(
            (sum((c * n**i for i, c in enumerate(p)), Fraction(0)) * Fraction(root) ** n for root, p in self.terms),
            Fraction(0),
        )

    def term(self, place: Place) -> Term:
        """The form at a step, over one denominator: (4^{T+1} − 3 T − 4)/9."""
        below = lcm(*(c.denominator for _, p in self.terms for c in p)) if len(self.terms) > 1 else 1
        found = [_power_term(root, tuple(c * below for c in p), place) for root, p in self.terms]
        if not found:
            return Number(Fraction(0))
        return plus(*found) if below == 1 else Over(plus(*found), Number(Fraction(below)))


def _power_term(root: int, p: tuple[Fraction, ...], place: Place) -> Term:
    """p(n) rⁿ; a whole number times rⁿ with its factors r in the exponent."""
    if root == 1:
        return Powers(p, place)
    more = 0
    while len(p) == 1 and abs(root) > 1 and p[0] % root == 0:
        p, more = (p[0] / root,), more + 1
    power = Raised(Number(Fraction(root)), place.plus(more))
    return power if p == (Fraction(1),) else times(Powers(p, place), power)


def closed_form(values: Sequence[int], recurrence: Numbers, first: int = 1) -> ClosedForm | None:
    """The closed form of v_first, v_{first+1}, … where all roots of the recurrence are whole numbers, none of them 0.

    >>> triangle = [1, 3, 6, 10, 15, 21, 28, 36]
    >>> [str(c) for c in closed_form(triangle, shortest_recurrence(triangle)).terms[0][1]]
    ['0', '1/2', '1/2']
    """
    rest = [Fraction(1), *(-c for c in recurrence)]  # x^L − c_1 x^{L−1} − …, the highest first
    roots: list[int] = []
    while len(rest) > 1:
        root = next((r for r in _candidates(rest[-1]) if _value(rest, r) == 0), None)
        if root is None:
            return None
        roots.append(root)
        rest = _divided(rest, root)
    basis = [(root, i) for root in dict.fromkeys(roots) for i in range(roots.count(root))]
    rows = [[Fraction(n**i) * Fraction(root) ** n for root, i in basis] for n in range(first, first + len(basis))]
    solved = _solved(rows, [Fraction(v) for v in values[: len(basis)]])
    terms = []
    for root in dict.fromkeys(roots):
        p = [c for (r, _), c in zip(basis, solved, strict=True) if r == root]
        while p and p[-1] == 0:
            p.pop()
        if p:
            terms.append((root, tuple(p)))
    return ClosedForm(tuple(sorted(terms, key=lambda term: -abs(term[0]))))


def _candidates(constant: Fraction) -> list[int]:
    """The whole numbers that divide the constant, in pairs of a divisor and its cofactor."""
    if constant.denominator != 1 or constant == 0:
        return []
    n = abs(int(constant))
    small = [d for d in range(1, isqrt(n) + 1) if n % d == 0]
    return [sign * d for d in dict.fromkeys((*small, *(n // d for d in small))) for sign in (1, -1)]


def _value(highest_first: Sequence[Fraction], x: int) -> Fraction:
    value = Fraction(0)
    for c in highest_first:
        value = value * x + c
    return value


def _divided(highest_first: Sequence[Fraction], root: int) -> list[Fraction]:
    found: list[Fraction] = []
    for c in highest_first[:-1]:
        found.append(c + (found[-1] * root if found else 0))
    return found


def _solved(rows: list[list[Fraction]], right: list[Fraction]) -> list[Fraction]:
    """The solution of a square system with exact numbers."""
    table = [[*row, value] for row, value in zip(rows, right, strict=True)]
    for i in range(len(table)):
        pivot = next(r for r in range(i, len(table)) if table[r][i])
        table[i], table[pivot] = table[pivot], table[i]
        table[i] = [c / table[i][i] for c in table[i]]
        for r, row in enumerate(table):
            if r != i and row[i]:
                table[r] = [a - row[i] * b for a, b in zip(row, table[i], strict=True)]
    return [row[-1] for row in table]


# --- the paths of a model -------------------------------------------------------------------------------------------


class PathNumbers:
    """The numbers of paths to one goal: those of n steps, and those that start at the n-th loss, exactly.

    For the input x_s the n steps are those from s on. ``order`` is the order of a recurrence that all of them satisfy.
    """

    def __init__(self, model: Model, goal: Quantity, granularity: str) -> None:
        self.goal = goal
        self.all_losses = model.losses != "last"
        self.by_lag = goal.step is None
        self.routes: Transfer = transfer(model, goal, granularity)
        self.order = self.routes.order + self.by_lag + self.all_losses

    @cached_property
    def _from_loss(self) -> list[int]:
        return self.from_losses(2 * self.order + 1)

    def from_losses(self, most: int) -> list[int]:
        """The numbers of paths that start at ℓ_1, …, ℓ_most."""
        found = self.routes.values(most)
        return list(accumulate(found)) if self.by_lag else found

    def new(self, n: int) -> int:
        """The number of paths that start at the n-th loss."""
        return self._from_loss[n - 1] if n <= len(self._from_loss) else self.from_losses(n)[-1]

    def total(self, n: int) -> int:
        """The number of paths when there are n steps."""
        return sum(self.new(i) for i in range(1, n + 1)) if self.all_losses else self.new(n)


def count(model: Model, goal: Quantity, granularity: str) -> Theorem:
    """The number of paths from L to the goal, by induction on the number of steps.

    >>> from rnn_symbolic.model import unroll
    >>> from rnn_symbolic.induction.terms import parts
    >>> theorem = count(unroll("elman"), Quantity("W_x"), "state")
    >>> [str(c) for c in theorem.claims[0].after.coefficients]
    ['0', '1/2', '1/2']
    """
    numbers = PathNumbers(model, goal, granularity)
    place = INPUT_STEPS if goal.index else LAST
    ranges = (Range("s", FIRST, LAST),) if goal.index else ()
    facts: dict[str, object] = {
        "granularity": granularity,
        "initial": _initial_states_met(model, goal),
        "order": numbers.order,
    }
    recurrence, closed = _described(numbers.total, 2 * numbers.order, 1)
    _, more = _described(numbers.new, 2 * numbers.order, begin := 1)
    if more is None and numbers.all_losses:  # the first loss may stand apart
        _, more = _described(numbers.new, 2 * numbers.order, begin := 2)
    premises = Part(Piece.PREMISES, _route_lines(numbers), _routes_key(numbers.routes))
    if closed is None or more is None:
        facts["recurrence"] = recurrence
        return _by_recurrence(numbers, recurrence, premises, facts)
    claim = Line(Why.CLAIM, PathCount(place), closed.term(place), ranges)
    n = Place("n")
    later = (Range("n", Place("", begin), LAST),)
    from_loss = _from_loss(numbers)
    if from_loss is not None:
        why = Why.SEQUENCE if premises.key == "several" else Why.ADDED
        found = (from_loss, Line(why, from_loss.after, more.term(n), later))
        premises = Part(Piece.PREMISES, (*premises.lines, *found), premises.key)
    elif not isinstance(premises.lines[-1].after, Number):
        why = Why.SEQUENCE if premises.key == "several" else Why.COLLECT
        named = Line(why, LossCount(n), more.term(n), later)
        premises = Part(Piece.PREMISES, (*premises.lines, named), premises.key)
    sequence = (Part(Piece.REMARK, (), "sequence"),) if premises.key == "several" else ()
    if not numbers.all_losses:
        only = Line(Why.ONLY_LAST, claim.before, LossCount(place), ranges)
        direct = Part(Piece.DIRECT, (only, Line(Why.THEOREM, LossCount(place), claim.after, ranges)))
        return Theorem(Topic.COUNT, (claim,), (premises, *sequence, direct), goal, goal_kind(goal), facts)
    base = Line(Why.TABLE, PathCount(FIRST), Number(Fraction(numbers.total(1))))
    also = Line(Why.CLAIM, base.after, closed.term(FIRST))
    recursion = plus(PathCount(n.plus(-1)), LossCount(n))
    inserted = plus(closed.term(n.plus(-1)), more.term(n))
    later = (Range("n", Place("", 2), LAST),)
    step = (
        Line(Why.NEW, PathCount(n), recursion, later),
        Line(Why.HYPOTHESIS, recursion, inserted, later),
        Line(Why.COLLECT, inserted, closed.term(n), later),
    )
    induction = (Part(Piece.BASE, (base, also)), Part(Piece.STEP, step), Part(Piece.CONCLUSION))
    return Theorem(Topic.COUNT, (claim,), (premises, *sequence, *induction), goal, goal_kind(goal), facts)


def _routes_key(routes: Transfer) -> str:
    """ "one" where there is a single route between two cuts, "numbers" for one state, "several" for a matrix."""
    if len(routes.matrix) > 1 or len(routes.first) > 1:
        return "several"
    met = (*routes.first, *routes.row, *routes.column, *(c for row in routes.matrix for c in row))
    return "one" if max(met, default=0) <= 1 else "numbers"


def _route_lines(numbers: PathNumbers) -> tuple[Line, ...]:
    """w_d from the routes through one step; of an initial state, M_n."""
    routes, initial = numbers.routes, numbers.goal.step is not None and not numbers.goal.index
    if routes.matrix == ((0,),):  # no state hands on another: only the first terms are not 0
        routes = replace(routes, first=tuple(routes.values(len(routes.first) + 1)), column=(0,))
    begun = len(routes.first)
    index, offset = ("n", 1) if initial else ("d", 0)

    def named(place: Place) -> Term:
        return LossCount(place) if initial else LagCount(place)

    last = LAST.plus(offset - 1)
    later = routes.values(begun + len(routes.matrix) + 1)
    if len(set(later)) == 1 and routes.matrix in ((), ((1,),)):
        after = Number(Fraction(later[0]))
        return (Line(Why.ROUTES, named(Place(index)), after, (Range(index, Place("", offset), last),)),)
    lines = [Line(Why.ROUTES, named(Place("", d + offset)), Number(Fraction(w))) for d, w in enumerate(routes.first)]
    power = Place(index, -begun - offset)
    ways = Line(Why.ROUTES, named(Place(index)), _ways(routes, power), (Range(index, Place("", begun + offset), last),))
    return (*lines, ways)


def _ways(routes: Transfer, power: Place) -> Term:
    """r Aⁿ u; of one state a number times a power, and 0 where there is no route."""
    if not any(routes.values(routes.order + len(routes.matrix))[len(routes.first) :]):
        return Number(Fraction(0))
    if len(routes.matrix) > 1:
        return Routes(routes.row, routes.matrix, routes.column, power)
    number, base = dot(routes.row, routes.column), routes.matrix[0][0]
    return Number(Fraction(number)) if base == 1 else _power_term(base, (Fraction(number),), power)


def _from_loss(numbers: PathNumbers) -> Line | None:
    """M_n as the sum of the w_d, or as one of them; None of an initial state, where M_n is counted at once."""
    n, every = Place("n"), (Range("n", FIRST, LAST),)
    if numbers.by_lag:
        return Line(Why.LAGS, LossCount(n), Sum("d", Place("", 0), n.plus(-1), LagCount(Place("d"))), every)
    return Line(Why.LAGS, LossCount(n), LagCount(n.plus(-1)), every) if numbers.goal.index else None


def _by_recurrence(numbers: PathNumbers, recurrence: Numbers, premises: Part, facts: dict[str, object]) -> Theorem:
    """N_n = Σ_i c_i N_{n−i}, with its initial values."""
    order, goal = len(recurrence), numbers.goal
    place = INPUT_STEPS if goal.index else Place("n")
    terms = [
        times(*(() if c == 1 else (Number(c),)), PathCount(place.plus(-i))) for i, c in enumerate(recurrence, 1) if c
    ]
    later = Range("s", FIRST, LAST.plus(-order)) if goal.index else Range("n", Place("", order + 1), LAST)
    claim = Line(Why.CLAIM, PathCount(place), plus(*terms), (later,))
    start = (Line(Why.TABLE, PathCount(Place("", n)), Number(Fraction(numbers.total(n)))) for n in range(1, order + 1))
    n, every = Place("n"), (Range("n", FIRST, LAST),)
    losses = Sum("m", FIRST, n, LossCount(Place("m"))) if numbers.all_losses else LossCount(n)
    from_loss = _from_loss(numbers)
    total = Line(Why.NEW if numbers.all_losses else Why.ONLY_LAST, PathCount(n), losses, every)
    lines = (*premises.lines, *(() if from_loss is None else (from_loss,)), total)
    parts = (Part(Piece.PREMISES, lines, premises.key), Part(Piece.DIRECT, (), "sequence"))
    return Theorem(Topic.COUNT, (claim, *start), parts, goal, "recurrence" if any(recurrence) else "ends", facts)


def goal_kind(goal: Quantity) -> str:
    """ "input" where the number of steps counts from s on."""
    return "input" if goal.index else ""


def _described(values: Callable[[int], int], most: int, first: int) -> tuple[tuple[Fraction, ...], ClosedForm | None]:
    """The shortest recurrence of v_first, v_{first+1}, …, and its closed form where there is one."""
    listed = [values(n) for n in range(first, most + 1)]
    recurrence = shortest_recurrence(listed)
    closed = closed_form(listed, recurrence, first)
    if closed is not None and any(closed(n) != v for n, v in enumerate(listed, first)):
        closed = None
    return recurrence, closed


def _initial_states_met(model: Model, goal: Quantity) -> tuple[str, ...]:
    """The states whose initial values end the paths that enter at step 1: h for W_h. Where these are 0, so are they."""
    if goal.step is not None:
        return ()
    edges = [edge for edge in model.table if edge.tail == goal]
    last = [term[-1].value if term else goal for edge in edges for term in edge.terms]
    met = [{q.name for q in quantities(value) if q.index and q.step == -1} for value in last]
    return tuple(sorted(set().union(*met))) if met and all(met) else ()
