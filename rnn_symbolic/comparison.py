r"""One derivative by the sum over paths, and the same one found without it: what a check compares, and how it decides.

    symbolic   Σ over the paths of products of table entries
    numeric    Im L(θ + i·h·v) / h, or Richardson-extrapolated (L(θ + h·v) − L(θ − h·v)) / 2h

This is the same for numbers and for arrays; `checking` and `matrix_checking` say what a `Case` is in either form.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from rnn_symbolic.errors import NotDerivable, NumericalFailure
from rnn_symbolic.expressions import Call, Quantity, walk
from rnn_symbolic.frozen import frozen
from rnn_symbolic.functions import FUNCTIONS
from rnn_symbolic.graph import Graph, Leg
from rnn_symbolic.model import Model
from rnn_symbolic.paths import graph
from rnn_symbolic.valuation import EPSILON, ROUNDINGS, Amount, carry

METHODS = ("complex step", "Richardson")
RELATIVE = {"complex step": 1e-9, "Richardson": 1e-8}
RESOLUTION = 1e-4  # a verdict is conclusive up to this relative tolerance: a factor of 1.001 must show
FIRST_STEP, LEVELS, SHRINK, ATTEMPTS = 2.0**-5, 6, 7.3, 7
"""Richardson: h starts at FIRST_STEP · max(1, |θ|) and is halved; then again from SHRINK closer, to compare.
SHRINK is no power of 2: where halved steps are multiples of a period of L, the others are not."""
AT_KINK = 100 * ROUNDINGS * EPSILON
"""An argument is at its kink when it is no further from it than this, times what it was added up from."""


# --- verdicts -----------------------------------------------------------------------------------------------------


@frozen
class Verdict:
    """One comparison; ``note`` says why it is inconclusive.

    ``where`` says which derivative by an array it is: along "direction 1", by the entry "[2,3]" (row and column, or
    sample and component; counted from 1), by "[2]"; it is empty for a number.
    """

    wrt: str
    method: str
    at: str
    symbolic: float
    numeric: float
    error: float
    tolerance: float
    status: str  # passed, failed, inconclusive
    note: str = ""
    where: str = ""

    def __str__(self) -> str:
        """One row of a table."""
        return (
            f"{self.wrt}{self.where and f' {self.where}'}  {self.method}  {self.symbolic:.10g}  {self.numeric:.10g}  "
            f"error {self.error:.1e}  tolerance {self.tolerance:.1e}  {self.status}"
            + (f"  ({self.note})" if self.note else "")
        )


@frozen
class Verdicts:
    """The verdicts of one check; prints as a table."""

    verdicts: tuple[Verdict, ...]

    @property
    def passed(self) -> bool:
        """Whether every comparison passed; inconclusive is not passed."""
        return all(verdict.status == "passed" for verdict in self.verdicts)

    def __iter__(self) -> Iterator[Verdict]:
        return iter(self.verdicts)

    def __len__(self) -> int:
        return len(self.verdicts)

    def __getitem__(self, index: int) -> Verdict:
        return self.verdicts[index]

    def __str__(self) -> str:
        rows = [("wrt", "where", "status", "symbolic", "numeric", "error", "tolerance", "method", "at", "note")]
        for v in self.verdicts:
            numbers = (f"{v.symbolic:.12g}", f"{v.numeric:.12g}", f"{v.error:.1e}", f"{v.tolerance:.1e}")
            rows.append((v.wrt, v.where, v.status, *numbers, v.method, v.at, v.note))
        columns = [list(column) for column in zip(*rows, strict=True)]
        if not any(columns[1][1:]):  # of numbers nothing says where
            del columns[1]
        widths = [max(map(len, column)) for column in columns]
        lines = (
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            for row in zip(*columns, strict=True)
        )
        return "\n".join(line.rstrip() for line in lines)

    def _repr_html_(self) -> str:
        from html import escape  # its table of names is long

        return f"<pre>{escape(str(self))}</pre>"


# --- one comparison -----------------------------------------------------------------------------------------------


@frozen
class Estimate:
    """A derivative found without the table: its value, and what it may be off by besides the relative tolerance."""

    value: float
    slack: float


class Undecidable(Exception):
    """The numeric side has nothing to say at this point; the message says why."""


class Nonconformable(Exception):
    """The factors along the paths cannot be multiplied, so the table is wrong; the message says so."""


class Case(Protocol):
    """A derivative to be compared: what the paths say of it, and what can be found without them.

    Any of these may raise NumericalFailure or Undecidable, with the reason.
    """

    @property
    def wrt(self) -> Quantity:
        """What L is differentiated by."""

    @property
    def where(self) -> str:
        """Which derivative by it; see `Verdict`."""

    @property
    def at(self) -> str:
        """The label of the point."""

    @property
    def model(self) -> Model:
        """The model, with its table."""

    @property
    def symbolic(self) -> Amount:
        """The sum over paths. Raises Nonconformable where it cannot be formed."""

    @property
    def recursion(self) -> float:
        """The same from the adjoint recursion; nan where nothing is asked of it."""

    def complex_step(self) -> Estimate:
        """From the imaginary part of L."""

    def richardson(self) -> Estimate:
        """From differences of L."""

    def rounding(self) -> float:
        """What rounding may do to the sum over paths and to the complex step."""

    def drift(self) -> float:
        """How far the sum over paths moves when it is taken at the values that the complex step passed through."""


def compared(case: Case, method: str) -> Verdict:
    """The verdict on one derivative by one method: failed, unless nothing speaks against it and something for it."""
    a = math.nan
    try:
        a = case.symbolic.value
        if not math.isfinite(a):
            sign = "-" if case.symbolic.sign < 0 else ""
            raise Undecidable(
                f"the sum over paths is about {sign}10^{case.symbolic.log10:.0f}, beyond the range of floats"
            )
        estimate = case.complex_step() if method == "complex step" else case.richardson()
        noise = case.rounding()
    except Nonconformable as reason:
        return no_verdict(case.wrt, method, case.at, str(reason), where=case.where, status="failed")
    except (Undecidable, NumericalFailure) as reason:
        return no_verdict(case.wrt, method, case.at, str(reason), a, case.where)
    n = estimate.value
    error, size = abs(a - n), max(abs(a), abs(n))
    tolerance = RELATIVE[method] * size + estimate.slack + noise
    if error > tolerance and method == "complex step":
        try:  # complex functions round otherwise, and chaos turns a last digit into another trajectory
            tolerance += case.drift()
        except NumericalFailure:
            tolerance = math.inf
    status, note = "passed", ""
    if not math.isfinite(n) or not math.isfinite(tolerance):
        status, note = "inconclusive", "the numeric side is not a finite number"
    elif n == 0 != a and method == "Richardson":
        status, note = "inconclusive", "L is exactly the same at all points of the differences, so they cannot tell"
    elif error > tolerance:
        status = "failed"
    elif a == 0 and n == 0:
        status = "inconclusive"
        note = "both values are exactly 0, and a wrong formula could give 0 here too; try another point"
        if not path_graph(case.model, case.wrt).count():
            note = f"no path leads from L to {case.wrt}, and the numeric derivative is exactly 0 here"
    elif tolerance > RESOLUTION * size:
        status = "inconclusive"
        note = f"values this small drown in rounding: about {tolerance:.0e} is the least that can be told from 0"
    elif abs(a - case.recursion) > RELATIVE["complex step"] * size + noise:
        status, note = "failed", f"the adjoint recursion over the same table gives {case.recursion:.10g}"
    return Verdict(str(case.wrt), method, case.at, a, n, error, tolerance, status, note, case.where)


def no_verdict(
    wrt: Quantity,
    method: str,
    at: str,
    note: str,
    symbolic: float = math.nan,
    where: str = "",
    status: str = "inconclusive",
) -> Verdict:
    """A verdict without numbers to compare."""
    return Verdict(str(wrt), method, at, symbolic, *(math.nan,) * 3, status, note, where)


def path_graph(model: Model, goal: Quantity) -> Graph:
    """The paths whose sum is checked: over states, or where their blocks are too long over all quantities."""
    try:
        return graph(model, goal)
    except NotDerivable:
        return graph(model, goal, "node")


# --- rounding -----------------------------------------------------------------------------------------------------


@frozen
class _Passing:
    """A leg on the way of the losses back to the goal: what it does to an amount, and who wants to see that amount."""

    leg: Leg
    worth: Any
    record: Callable[[Leg, Any], None]


@frozen
class _Seen:
    amount: Any

    def __mul__(self, by: _Passing) -> _Seen:
        by.record(by.leg, self.amount)
        return _Seen(self.amount * by.worth)

    def __add__(self, other: _Seen) -> _Seen:
        return _Seen(self.amount + other.amount)


def traverse(graph: Graph, worth: Callable[[Leg], Any], one: Any, record: Callable[[Leg, Any], None]) -> None:
    r"""Show every leg with ∂L/∂head, as `path_total` forms it: what rounding may do to the sum is found from these.

    A leg J from head to tail is off by ε |terms of J|, and what is lost there is multiplied by the rest of the paths,
    which is how the tail moves with the goal. With v the direction in the goal, and to first order in ε,

        |error| ≤ ε Σ over legs of |∂L/∂head| · |terms of J| · |∂tail/∂goal v|

    and the same holds for a complex step, which runs through the same products from the other end. Σ |path| would be
    a bound as well, but it grows like the product of all |J| even where the product of all J does not.
    """
    carry(graph, graph.model.loss_steps, lambda leg: _Passing(leg, worth(leg), record), _Seen(one))


# --- kinks --------------------------------------------------------------------------------------------------------


@frozen
class Kinked:
    """A function with a kink, such as relu, in the equation of ``inside``; generic step."""

    call: Call
    kink: float
    inside: str

    def note(self, step: int, place: str = "") -> str:
        """Why nothing can be said where an argument meets its kink, or passes it."""
        function = self.call.function
        where = f"{place}the argument of {function} in {self.inside}_{step}"
        return f"{where} is at the kink, where {function} has no derivative; try another point"


def kinked(model: Model) -> list[Kinked]:
    """Every function with a kink, in the order of the equations."""
    return [
        Kinked(node, kink, equation.target.name)
        for equation in model.definitions
        for node in walk(equation.expression)
        if isinstance(node, Call)
        for kink in (FUNCTIONS[node.function].kinks if node.function in FUNCTIONS else ())
    ]


# --- Richardson ---------------------------------------------------------------------------------------------------


def stencil(at: float, attempt: int) -> tuple[float, ...]:
    """The moves of one scale of differences: h, −h, h/2, −h/2, …; each attempt comes SHRINK times closer."""
    first = FIRST_STEP * max(1.0, abs(at)) / SHRINK**attempt
    return tuple(sign * first / 2**level for level in range(LEVELS) for sign in (1, -1))


def differences(look: Callable[[int], tuple[Sequence[float], str]], at: float, noise: float) -> Estimate:
    """Two scales of differences must agree: where L varies faster than the steps, one alone is sure and wrong.

    ``look(attempt)`` gives L at the moves of a `stencil`, and a note where they must not be used; ``noise`` is the
    rounding of a difference of L, ``at`` the number that is moved. Raises Undecidable.
    """
    earlier: Estimate | None = None
    reason = ""
    for attempt in range(ATTEMPTS):
        moves = stencil(at, attempt)
        try:
            losses, note = look(attempt)
        except NumericalFailure as failure:
            note = str(failure)
        if note:
            earlier, reason = None, note
            continue
        value, error, step = richardson(dict(zip(moves, losses, strict=True)).__getitem__, at, moves[0])
        found = Estimate(value, 10 * error + noise / step)
        if earlier is not None and _agree(found, earlier):
            return min(found, earlier, key=lambda estimate: estimate.slack)
        earlier, reason = found, "differences with different steps do not agree, or drown in rounding"
    raise Undecidable(reason)


def _agree(a: Estimate, b: Estimate) -> bool:
    """Both sure of themselves, and of the same value; or both exactly 0, which a flat stretch of L gives too."""
    sure = all(estimate.slack <= RESOLUTION * abs(estimate.value) for estimate in (a, b))
    return a.value == b.value == 0 or (sure and abs(a.value - b.value) <= a.slack + b.slack)


def richardson(f: Callable[[float], float], at: float, first: float) -> tuple[float, float, float]:
    """The derivative of f(at + move) at move = 0, an estimate of its error, and the step it was found with.

    Central differences with h halved; the even powers of h are eliminated one by one, and of the whole tableau
    the entry is taken whose neighbours agree with it best. The rounding of f over h counts as error too.

    >>> value, error, _ = richardson(lambda move: math.exp(1 + move), 1.0, 0.03)
    >>> abs(value - math.e) < 1e-12, error < 1e-10
    (True, True)
    """
    best = (math.nan, math.inf, first)
    previous: list[float] = []
    for level in range(LEVELS):
        step = first / 2**level
        high, low = f(step), f(-step)
        row = [(high - low) / ((at + step) - (at - step))]  # the step as it is after rounding
        noise = EPSILON * max(abs(high), abs(low)) / step
        for order, older in enumerate(previous, 1):
            row.append(row[-1] + (row[-1] - older) / (4.0**order - 1))
            error = max(abs(row[-1] - row[-2]), abs(row[-1] - older)) + noise
            if error < best[1]:
                best = (row[-1], error, step)
        previous = row
    return best
