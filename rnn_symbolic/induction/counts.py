r"""How many paths there are, for every T: T(T + 1)/2 and the like, as a theorem.

The numbers of paths of lag 0, 1, 2, … are those of ways through a small graph, so they satisfy a linear recurrence with
constant coefficients, of an order that the size of the graph limits (Cayley-Hamilton); so do their sums over losses.
The shortest such recurrence is found exactly from sufficiently many terms (Berlekamp and Massey). Where all roots of
its characteristic polynomial are whole numbers there is a closed form Σ_i p_i(T) r_i^T, else the recurrence is the
theorem.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from rnn_symbolic.expressions import Number, Quantity, quantities
from rnn_symbolic.graph import Graph, resized
from rnn_symbolic.induction.records import Line, Part, Piece, Range, Theorem, Topic, Why
from rnn_symbolic.induction.terms import FIRST, LAST, LossCount, PathCount, Place, Powers, Raised, Term, plus, times
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


@dataclass(frozen=True, slots=True)
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
        """The form at a step."""
        found: list[Term] = []
        for root, p in self.terms:
            power = () if root == 1 else (Raised(Number(Fraction(root)), place),)
            found.append(times(Powers(p, place), *power))
        return plus(*found) if found else Number(Fraction(0))


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
    if constant.denominator != 1 or constant == 0 or abs(constant) > 10**6:
        return []
    n = abs(int(constant))
    return [sign * d for d in range(1, n + 1) if n % d == 0 for sign in (1, -1)]


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
    """The numbers of paths to one goal: of n steps, and what is new with the n-th; by dynamic programming.

    For the input x_s the n steps are those from s on. ``order`` limits the order of a recurrence that they satisfy.
    """

    def __init__(self, model: Model, goal: Quantity, granularity: str) -> None:
        self.model, self.goal, self.granularity = model, goal, granularity
        start = Quantity(goal.name, 1) if goal.index else goal
        few = Graph(resized(model, 2), start, granularity)
        lags = [block.lag or 0 for blocks in few.inner.values() for block in blocks]
        back = max(max(lags, default=0), 1)
        # the ways to the goal are carried by the visible quantities of so many steps; the sums add two further roots
        self.order = len(few.visible) * back + back + 2
        self._new = self._increments(2 * self.order + 4)

    def _increments(self, most: int) -> list[int]:
        """new[n − 1]: the paths that start at the n-th loss."""
        start = Quantity(self.goal.name, 1) if self.goal.index else self.goal
        graph = Graph(resized(self.model, most, "all"), start, self.granularity)
        by_loss = graph.count_by_loss()
        return [by_loss.get(n, 0) for n in range(1, most + 1)]

    def new(self, n: int) -> int:
        """With all losses: the paths that start at the n-th loss. With the last only: those that n steps have more."""
        if n < 1:
            return 0
        if self.model.losses == "last":
            return self._at(n) - self._at(n - 1)
        return self._at(n)

    def total(self, n: int) -> int:
        """The number of paths when there are n steps."""
        if self.model.losses == "last":
            return self._at(n)
        return sum(self._at(i) for i in range(1, n + 1))

    def _at(self, n: int) -> int:
        return self._new[n - 1] if n >= 1 else 0


def count(model: Model, goal: Quantity, granularity: str) -> Theorem:
    """The number of paths from L to the goal, by induction on the number of steps.

    >>> from rnn_symbolic.model import unroll
    >>> from rnn_symbolic.induction.terms import parts
    >>> theorem = count(unroll("elman"), Quantity("W_x"), "state")
    >>> [str(c) for c in theorem.claims[0].after.coefficients]
    ['0', '1/2', '1/2']
    """
    numbers = PathNumbers(model, goal, granularity)
    most = 2 * numbers.order + 2
    place = INPUT_STEPS if goal.index else LAST
    ranges = (Range("s", FIRST, LAST),) if goal.index else ()
    facts: dict[str, object] = {"granularity": granularity, "initial": _initial_states_met(model, goal)}
    recurrence, closed = _described(numbers.total, most, 1)
    _, more = _described(numbers.new, most, 2)
    if closed is None or more is None:
        return _by_recurrence(numbers, recurrence, facts)
    claim = Line(Why.CLAIM, PathCount(place), closed.term(place), ranges)
    n = Place("n")
    base = Line(Why.TABLE, PathCount(FIRST), Number(Fraction(numbers.total(1))))
    also = Line(Why.CLAIM, base.after, closed.term(FIRST))
    later_steps = (Range("n", Place("", 2), LAST),)
    recursion = plus(PathCount(n.plus(-1)), LossCount(n))
    inserted = plus(closed.term(n.plus(-1)), more.term(n))
    step = (
        Line(Why.NEW, PathCount(n), recursion, later_steps),
        Line(Why.HYPOTHESIS, recursion, inserted, later_steps),
        Line(Why.COLLECT, inserted, closed.term(n), later_steps),
    )
    new = Line(Why.TABLE, LossCount(n), more.term(n), later_steps)
    parts = (
        Part(Piece.PREMISES, (new,)),
        Part(Piece.BASE, (base, also)),
        Part(Piece.STEP, step),
        Part(Piece.CONCLUSION),
    )
    return Theorem(Topic.COUNT, (claim,), parts, goal, goal_kind(goal), facts)


def _by_recurrence(numbers: PathNumbers, recurrence: Numbers, facts: dict[str, object]) -> Theorem:
    """N_n = Σ_i c_i N_{n−i}, with its initial values."""
    order, goal = len(recurrence), numbers.goal
    place = INPUT_STEPS if goal.index else Place("n")
    terms = [
        times(*(() if c == 1 else (Number(c),)), PathCount(place.plus(-i))) for i, c in enumerate(recurrence, 1) if c
    ]
    later = Range("s", FIRST, LAST.plus(-order)) if goal.index else Range("n", Place("", order + 1), LAST)
    claim = Line(Why.CLAIM, PathCount(place), plus(*terms), (later,))
    start = (Line(Why.TABLE, PathCount(Place("", n)), Number(Fraction(numbers.total(n)))) for n in range(1, order + 1))
    return Theorem(Topic.COUNT, (claim, *start), (), goal, "recurrence" if any(recurrence) else "ends", facts)


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
