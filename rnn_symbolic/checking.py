r"""The sum over paths against independent numbers: does ∂L/∂θ come out of the forward equations alone?

    symbolic   Σ over the paths of products of table entries, at a point
    numeric    Im L(θ + i·10⁻³⁰) / 10⁻³⁰, or Richardson-extrapolated (L(θ + h) − L(θ − h)) / 2h

The numeric side never sees the table of local derivatives. A check must be able to fail, and it must not pass for
want of evidence: where a wrong formula would look the same (both values 0 or below the rounding noise, an argument
at a kink, an overflow) the verdict is *inconclusive*, with the reason.
"""

from __future__ import annotations

import html
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rnn_symbolic.concrete import concrete
from rnn_symbolic.errors import ForwardOverflow, InputError, NumericalFailure, suggest
from rnn_symbolic.expressions import Call, Quantity, walk
from rnn_symbolic.functions import FUNCTIONS
from rnn_symbolic.model import Model
from rnn_symbolic.numeric import FLOATS, Point, Values, complex_pass, evaluate, forward
from rnn_symbolic.paths import graph
from rnn_symbolic.valuation import EPSILON, ROUNDINGS, Valuation, magnitude, random_point
from rnn_symbolic.values import point_of

METHODS = ("complex step", "Richardson")
RELATIVE = {"complex step": 1e-9, "Richardson": 1e-8}
RESOLUTION = 1e-4  # a verdict is conclusive up to this relative tolerance: a factor of 1.001 must show
FIRST_STEP, LEVELS, SHRINK, ATTEMPTS = 2.0**-5, 6, 7.3, 7
"""Richardson: h starts at FIRST_STEP · max(1, |θ|) and is halved; then again from SHRINK closer, to compare.
SHRINK is no power of 2: where halved steps are multiples of a period of L, the others are not."""
DRAWS, DRAWN_STEPS, DOMAIN_DRAWS = 20, 200, 1000
"""Points drawn again: at most DRAWS undecided ones, fewer for long sequences (DRAWN_STEPS in all)."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One comparison; ``note`` says why it is inconclusive."""

    wrt: str
    method: str
    at: str
    symbolic: float
    numeric: float
    error: float
    tolerance: float
    status: str  # passed, failed, inconclusive
    note: str = ""

    def __str__(self) -> str:
        """One row of a table."""
        return (
            f"{self.wrt}  {self.method}  {self.symbolic:.10g}  {self.numeric:.10g}  error {self.error:.1e}  "
            f"tolerance {self.tolerance:.1e}  {self.status}" + (f"  ({self.note})" if self.note else "")
        )


@dataclass(frozen=True, slots=True)
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
        titles = ("wrt", "status", "symbolic", "numeric", "error", "tolerance", "method", "at", "note")
        rows = [titles]
        for v in self.verdicts:
            numbers = (f"{v.symbolic:.12g}", f"{v.numeric:.12g}", f"{v.error:.1e}", f"{v.tolerance:.1e}")
            rows.append((v.wrt, v.status, *numbers, v.method, v.at, v.note))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
        return "\n".join(line.rstrip() for line in lines)

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>"


def check_gradient(
    model: Model,
    wrt: str | Quantity | Iterable[str | Quantity] | None = None,
    values: Mapping[str, Any] | Point | None = None,
    *,
    method: str | None = None,
    activation: str = "logistic",
    loss: str = "squared",
) -> Verdicts:
    """Compare the sum over paths with independent numbers at a point, for one quantity, several, or all parameters.

    ``values`` is a mapping of names or a `Point`; without it the point is drawn (`check_at_random`). Where σ or ℓ is
    abstract, ``activation`` and ``loss`` stand for it. ``method`` is "complex step" or "Richardson"; both
    by default.

    >>> from rnn_symbolic.model import unroll
    >>> model = unroll("h = w * h[t-1] + x\\ny = h", steps=2, loss="squared")
    >>> verdicts = check_gradient(model, "w", {"w": 0.5, "h_0": 1, "x": [1, 2], "d": [0, 0]})
    >>> verdicts.passed, verdicts[0].symbolic  # h_1 = 1.5, h_2 = 2.75: 1.5·1 + 2.75·(1.5 + 0.5·1)
    (True, 7.0)

    Raises InputError for bad values or an unknown name, NumericalFailure where a function leaves its domain.
    """
    if values is None:
        return check_at_random(model, wrt, method=method, activation=activation, loss=loss)
    if method is not None and method not in METHODS:
        raise InputError(f"{method!r} is not a method: choose one of {', '.join(METHODS)}.{suggest(method, METHODS)}")
    methods = METHODS if method is None else (method,)
    goals = _goals(model, wrt)
    model = concrete(model, activation, loss)
    point = point_of(values, model)
    try:
        valuation = Valuation(model, point)
    except ForwardOverflow as overflow:
        return Verdicts(tuple(_no_verdict(goal, m, point.label, str(overflow)) for goal in goals for m in methods))
    return Verdicts(tuple(_check(valuation, goal, m) for goal in goals for m in methods))


def check_at_random(
    model: Model,
    wrt: str | Quantity | Iterable[str | Quantity] | None = None,
    seed: int = 0,
    *,
    method: str | None = None,
    activation: str = "logistic",
    loss: str = "squared",
) -> Verdicts:
    """`check_gradient` at a seeded random point.

    A point where a function leaves its domain, or that decides nothing about some quantity (a dead ReLU), is
    drawn again with the next seed; each verdict says which seed it belongs to. A failed verdict always stands.
    """
    wrt = _goals(model, wrt)
    model = concrete(model, activation, loss)
    undecided: list[Verdicts] = []
    failure: NumericalFailure | None = None
    for attempt in range(DOMAIN_DRAWS):
        try:
            verdicts = check_gradient(model, wrt, random_point(model, seed + attempt), method=method)
        except NumericalFailure as error:
            failure = error
            continue
        if verdicts.passed or any(v.status == "failed" for v in verdicts):
            return verdicts
        undecided.append(verdicts)
        if len(undecided) >= min(DRAWS, max(1, DRAWN_STEPS // model.steps)):
            break
    if not undecided:
        raise NumericalFailure(f"no point from seed {seed} on suits this model: {failure}") from failure
    return max(undecided, key=lambda verdicts: sum(v.status == "passed" for v in verdicts))


def _goals(model: Model, wrt: str | Quantity | Iterable[str | Quantity] | None) -> tuple[Quantity, ...]:
    if wrt is None:
        wrt = model.parameters
    names = (wrt,) if isinstance(wrt, str | Quantity) else tuple(wrt)
    if not names:  # "all passed" must not be said of nothing
        near = ", ".join(map(str, (*model.initial_states, Quantity("y", model.steps))))
        raise InputError(f"there is nothing to check: name a quantity of {model.cell.name}, such as {near}")
    return tuple(model.resolve(name) if isinstance(name, str) else name for name in names)


# --- one verdict --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Estimate:
    """A derivative found without the table: its value, and what it may be off by besides the relative tolerance."""

    method: str
    value: float
    slack: float


class _Undecidable(Exception):
    """The numeric side has nothing to say at this point; the message says why."""


def _check(valuation: Valuation, goal: Quantity, method: str) -> Verdict:
    label, a = valuation.point.label, math.nan
    try:
        g = graph(valuation.model, goal)
        symbolic = valuation.path_total(g)
        a = symbolic.value
        if not math.isfinite(a):
            sign = "-" if symbolic.sign < 0 else ""
            raise _Undecidable(f"the sum over paths is about {sign}10^{symbolic.log10:.0f}, beyond the range of floats")
        estimate = (_complex_step if method == "complex step" else _richardson)(valuation, goal)
        noise = valuation.path_rounding(g)
    except (_Undecidable, NumericalFailure) as reason:
        return _no_verdict(goal, method, label, str(reason), a)
    n = estimate.value
    error, size = abs(a - n), max(abs(a), abs(n))
    tolerance = RELATIVE[estimate.method] * size + estimate.slack + noise
    status, note = "passed", ""
    if not math.isfinite(n) or not math.isfinite(tolerance):
        status, note = "inconclusive", "the numeric side is not a finite number"
    elif n == 0 != a and estimate.method == "Richardson":
        status, note = "inconclusive", "L is exactly the same at all points of the differences, so they cannot tell"
    elif error > tolerance:
        status = "failed"
    elif a == 0 and n == 0:
        status = "inconclusive"
        note = "both values are exactly 0, and a wrong formula could give 0 here too; try another point"
        if not g.count():
            note = f"no path leads from L to {goal}, and the numeric derivative is exactly 0 here"
    elif tolerance > RESOLUTION * size:
        status = "inconclusive"
        note = f"values this small drown in rounding: about {tolerance:.0e} is the least that can be told from 0"
    return Verdict(str(goal), estimate.method, label, a, n, error, tolerance, status, note)


def _no_verdict(goal: Quantity, method: str, at: str, note: str, symbolic: float = math.nan) -> Verdict:
    return Verdict(str(goal), method, at, symbolic, *(math.nan,) * 3, "inconclusive", note)


# --- complex step -------------------------------------------------------------------------------------------------


def _complex_step(valuation: Valuation, goal: Quantity) -> Estimate:
    """Im L(θ + ih)/h: exact to rounding where every function is analytic at the point, so kinks are looked for."""
    model, point = valuation.model, valuation.point
    h, moved = complex_pass(model, point, (goal.name, goal.step))
    for argument in kink_arguments(model, moved):
        z = complex(argument.z)
        if z.imag and abs(z.real) <= 100 * ROUNDINGS * EPSILON * argument.scale:
            raise _Undecidable(argument.note())
    smallest = sys.float_info.min / h  # a derivative below this has lost digits
    return Estimate("complex step", complex(moved["L", None]).imag / h, smallest)


@dataclass(frozen=True, slots=True)
class KinkArgument:
    """The distance z of a function's argument from its kink, at one step; ``scale`` is what z was added up from."""

    function: str
    inside: str
    step: int
    z: Any
    scale: float

    def note(self) -> str:
        """Why nothing can be said here."""
        where = f"the argument of {self.function} in {self.inside}_{self.step}"
        return f"{where} is at the kink, where {self.function} has no derivative; try another point"


def kink_arguments(model: Model, values: Values) -> Iterator[KinkArgument]:
    """Every argument of a function with a kink, such as relu, step by step."""
    calls = [
        (equation.target.name, node, kink)
        for equation in model.definitions
        for node in walk(equation.expression)
        if isinstance(node, Call)
        for kink in FUNCTIONS[node.function].kinks
    ]
    for t in range(1, model.steps + 1) if calls else ():
        for name, call, kink in calls:
            z = evaluate(call.argument, values, FLOATS, t)
            written, at = call.argument, t
            if isinstance(written, Quantity) and (equation := model.equation_of(written.at(t))):
                written, at = equation.expression, 0
            yield KinkArgument(call.function, name, t, z - kink, abs(kink) + magnitude(written, values, at))


# --- Richardson ---------------------------------------------------------------------------------------------------


def _richardson(valuation: Valuation, goal: Quantity) -> Estimate:
    """Two scales of differences must agree: where L varies faster than the steps, one alone is sure and wrong."""
    model, key = valuation.model, (goal.name, goal.step)
    at = float(valuation.values[key])
    noise = 2 * ROUNDINGS * EPSILON + 2 * valuation.loss_rounding
    earlier: Estimate | None = None
    reason = ""
    for attempt in range(ATTEMPTS):
        stencil: list[Values] = [valuation.values]

        def f(move: float, stencil: list[Values] = stencil) -> float:
            stencil.append(forward(model, valuation.point, FLOATS, (key, move)))
            return float(stencil[-1]["L", None])

        try:
            value, error, step = richardson(f, at, FIRST_STEP * max(1.0, abs(at)) / SHRINK**attempt)
        except NumericalFailure as failure:
            earlier, reason = None, str(failure)
            continue
        if (crossed := _crossed(model, stencil)) is not None:
            earlier, reason = None, crossed.note()
            continue
        found = Estimate("Richardson", value, 10 * error + noise / step)
        if earlier is not None and _agree(found, earlier):
            return min(found, earlier, key=lambda estimate: estimate.slack)
        earlier, reason = found, "differences with different steps do not agree, or drown in rounding"
    raise _Undecidable(reason)


def _agree(a: Estimate, b: Estimate) -> bool:
    """Both sure of themselves, and of the same value; or both exactly 0, which a flat stretch of L gives too."""
    sure = all(estimate.slack <= RESOLUTION * abs(estimate.value) for estimate in (a, b))
    return a.value == b.value == 0 or (sure and abs(a.value - b.value) <= a.slack + b.slack)


def _crossed(model: Model, stencil: list[Values]) -> KinkArgument | None:
    """The first argument that meets its kink, or passes it, between the points of a stencil."""
    for column in zip(*(kink_arguments(model, values) for values in stencil), strict=True):
        distances = [argument.z for argument in column]
        if min(distances) <= 0 <= max(distances) and min(distances) != max(distances):
            first: KinkArgument = column[0]
            return first
    return None


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
