r"""The sum over paths against independent numbers: does ∂L/∂θ come out of the forward equations alone?

    symbolic   Σ over the paths of products of table entries, at a point
    numeric    Im L(θ + i·10⁻³⁰) / 10⁻³⁰, or Richardson-extrapolated (L(θ + h) − L(θ − h)) / 2h

The numeric side never sees the table of local derivatives. A check must be able to fail, and it must not pass for
want of evidence: where a wrong formula would look the same (both values 0 or below the rounding noise, an argument
at a kink, an overflow) the verdict is *inconclusive*, with the reason. A derivative by an array is compared along
random directions and by some of its entries (`matrix_checking`).
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from rnn_symbolic.comparison import (
    AT_KINK,
    METHODS,
    Case,
    Estimate,
    Undecidable,
    Verdict,
    Verdicts,
    compared,
    differences,
    kinked,
    no_verdict,
    path_graph,
    richardson,
    stencil,
    traverse,
)
from rnn_symbolic.concrete import concrete
from rnn_symbolic.errors import ForwardOverflow, InputError, NumericalFailure, suggest
from rnn_symbolic.expressions import Quantity
from rnn_symbolic.frozen import frozen
from rnn_symbolic.graph import Graph, Leg
from rnn_symbolic.model import Model
from rnn_symbolic.numeric import FLOATS, Key, Point, Values, complex_pass, evaluate, forward
from rnn_symbolic.table import product_value
from rnn_symbolic.valuation import EPSILON, ROUNDINGS, Amount, Valuation, magnitude, random_point
from rnn_symbolic.values import point_of

if TYPE_CHECKING:
    from rnn_symbolic.arrays import MatrixPoint

__all__ = ["METHODS", "Verdict", "Verdicts", "check_at_random", "check_gradient", "richardson"]

DRAWS, DRAWN_STEPS, DOMAIN_DRAWS = 20, 200, 1000
"""Points drawn again: at most DRAWS undecided ones, fewer for long sequences (DRAWN_STEPS in all)."""

Goals = str | Quantity | Iterable[str | Quantity] | None


def check_gradient(
    model: Model,
    wrt: Goals = None,
    values: Mapping[str, Any] | Point | MatrixPoint | None = None,
    *,
    method: str | None = None,
    activation: str = "logistic",
    loss: str = "squared",
) -> Verdicts:
    """Compare the sum over paths with independent numbers at a point, for one quantity, several, or all parameters.

    ``values`` is a mapping of names or a point; without it the point is drawn (`check_at_random`). Where σ or ℓ is
    abstract, ``activation`` and ``loss`` stand for it. ``method`` is "complex step" or "Richardson"; both
    by default. In matrix form each quantity has a verdict for two random directions v, where Σ ∇L ⊙ v is compared, and
    for three entries, the largest among them.

    >>> from rnn_symbolic.model import unroll
    >>> model = unroll("h = w * h[t-1] + x\\ny = h", steps=2, loss="squared")
    >>> verdicts = check_gradient(model, "w", {"w": 0.5, "h_0": 1, "x": [1, 2], "d": [0, 0]})
    >>> verdicts.passed, verdicts[0].symbolic  # h_1 = 1.5, h_2 = 2.75: 1.5·1 + 2.75·(1.5 + 0.5·1)
    (True, 7.0)

    Raises InputError for bad values or an unknown name, NumericalFailure where a function leaves its domain.
    """
    if values is None:
        return check_at_random(model, wrt, method=method, activation=activation, loss=loss)
    methods = _methods(method)
    goals = _goals(model, wrt)
    model = concrete(model, activation, loss)
    return _check(model, goals, point_of(values, model), methods, seed=0)


def check_at_random(
    model: Model,
    wrt: Goals = None,
    seed: int = 0,
    *,
    sizes: Mapping[str, int] | None = None,
    batch: int | None = None,
    method: str | None = None,
    activation: str = "logistic",
    loss: str = "squared",
) -> Verdicts:
    """`check_gradient` at a seeded random point; in matrix form of the given ``sizes``, and for a ``batch`` of samples.

    A point where a function leaves its domain, or that decides nothing about some quantity (a dead ReLU), is
    drawn again with the next seed; each verdict says which seed it belongs to. A failed verdict always stands.

    Raises InputError for a size that the model does not have, and for sizes or a batch of a model in scalar form.
    """
    if model.shapes is None and (sizes or batch is not None):
        raise InputError("sizes and batches are for a model in matrix form; unroll with form='matrix'")
    methods = _methods(method)
    goals = _goals(model, wrt)
    model = concrete(model, activation, loss)
    undecided: list[Verdicts] = []
    failure: NumericalFailure | None = None
    for attempt in range(DOMAIN_DRAWS):
        positive = not undecided and attempt >= DRAWS  # where a function has a domain, most arrays lie outside
        point = _draw(model, seed + attempt, sizes, batch, positive)
        try:
            verdicts = _check(model, goals, point, methods, seed)
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


def _draw(model: Model, seed: int, sizes: Mapping[str, int] | None, batch: int | None, positive: bool) -> Any:
    if model.shapes is None:
        return random_point(model, seed)
    from rnn_symbolic.matrix_checking import draw  # with NumPy

    return draw(model, seed, sizes, batch, positive)


def _check(
    model: Model, goals: tuple[Quantity, ...], point: Point | MatrixPoint, methods: tuple[str, ...], seed: int
) -> Verdicts:
    try:
        return Verdicts(tuple(compared(case, m) for case in _cases(model, goals, point, seed) for m in methods))
    except ForwardOverflow as overflow:
        return Verdicts(tuple(no_verdict(goal, m, point.label, str(overflow)) for goal in goals for m in methods))


def _cases(model: Model, goals: tuple[Quantity, ...], point: Point | MatrixPoint, seed: int) -> Iterable[Case]:
    if isinstance(point, Point):
        valuation = Valuation(model, point)
        return [_Number(valuation, goal) for goal in goals]
    from rnn_symbolic.matrix_checking import cases  # with NumPy

    return cases(model, point, goals, seed)


def _methods(method: str | None) -> tuple[str, ...]:
    if method is not None and method not in METHODS:
        raise InputError(f"{method!r} is not a method: choose one of {', '.join(METHODS)}.{suggest(method, METHODS)}")
    return METHODS if method is None else (method,)


def _goals(model: Model, wrt: Goals) -> tuple[Quantity, ...]:
    if wrt is None:
        wrt = model.parameters
    names = (wrt,) if isinstance(wrt, str | Quantity) else tuple(wrt)
    if not names:  # "all passed" must not be said of nothing
        near = ", ".join(map(str, (*model.initial_states, Quantity("y", model.steps))))
        raise InputError(f"there is nothing to check: name a quantity of {model.cell.name}, such as {near}")
    return tuple(model.resolve(name) if isinstance(name, str) else name for name in names)


# --- a derivative by a number -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Number:
    """∂L/∂wrt in scalar form, as a `Case`."""

    valuation: Valuation
    wrt: Quantity
    where: str = ""

    @property
    def at(self) -> str:
        return self.valuation.point.label

    @property
    def model(self) -> Model:
        return self.valuation.model

    @property
    def recursion(self) -> float:
        return math.nan

    @cached_property
    def symbolic(self) -> Amount:
        return self.valuation.path_total(self._graph)

    @cached_property
    def _graph(self) -> Graph:
        return path_graph(self.model, self.wrt)

    @property
    def _key(self) -> Key:
        return self.wrt.name, self.wrt.step

    @cached_property
    def _moved(self) -> tuple[float, Values]:
        return complex_pass(self.model, self.valuation.point, self._key)

    def complex_step(self) -> Estimate:
        """Im L(θ + ih)/h: exact to rounding where every function is analytic at the point, so kinks are looked for."""
        h, moved = self._moved
        for argument in _kink_arguments(self.model, moved):
            z = complex(argument.z)
            if z.imag and abs(z.real) <= AT_KINK * argument.scale:
                raise Undecidable(argument.note)
        smallest = sys.float_info.min / h  # a derivative below this has lost digits
        return Estimate(complex(moved["L", None]).imag / h, smallest)

    def richardson(self) -> Estimate:
        at = float(self.valuation.values[self._key])

        def look(attempt: int) -> tuple[Sequence[float], str]:
            passes = [
                forward(self.model, self.valuation.point, FLOATS, (self._key, move)) for move in stencil(at, attempt)
            ]
            crossed = _crossed(self.model, [self.valuation.values, *passes])
            return [float(values["L", None]) for values in passes], crossed

        return differences(look, at, 2 * ROUNDINGS * EPSILON + 2 * self.valuation.loss_rounding)

    def rounding(self) -> float:
        """The bound of `comparison.traverse`; where no complex step says how the tails move, Σ |path|."""
        try:
            h, moved = self._moved
        except NumericalFailure:
            return self.valuation.path_rounding(self._graph)
        size = 0.0

        def record(leg: Leg, amount: float) -> None:
            nonlocal size
            rate = abs(complex(moved[leg.tail.name, leg.tail.step]).imag) / h
            terms = magnitude(product_value(leg.factors, expanded=True), self.valuation.values)
            size += abs(amount) * terms * rate

        traverse(self._graph, lambda leg: self.valuation.leg(leg)[0], 1.0, record)
        return ROUNDINGS * (self.model.steps + 4) * EPSILON * size

    def drift(self) -> float:
        passed = Valuation(self.model, self.valuation.point)
        passed.values = {key: complex(value).real for key, value in self._moved[1].items()}
        return abs(passed.path_total(self._graph).value - self.symbolic.value)


@frozen
class _KinkArgument:
    """The distance z of a function's argument from its kink, at one step; ``scale`` is what z was added up from."""

    z: Any
    scale: float
    note: str


def _kink_arguments(model: Model, values: Values) -> Iterable[_KinkArgument]:
    """Every argument of a function with a kink, such as relu, step by step."""
    calls = kinked(model)
    for t in range(1, model.steps + 1) if calls else ():
        for found in calls:
            written, at = found.call.argument, t
            z = evaluate(written, values, FLOATS, t)
            if isinstance(written, Quantity) and (equation := model.equation_of(written.at(t))):
                written, at = equation.expression, 0
            yield _KinkArgument(z - found.kink, abs(found.kink) + magnitude(written, values, at), found.note(t))


def _crossed(model: Model, points: list[Values]) -> str:
    """About the first argument that meets its kink, or passes it, between the points of a stencil."""
    for column in zip(*(_kink_arguments(model, values) for values in points), strict=True):
        distances = [argument.z for argument in column]
        if min(distances) <= 0 <= max(distances) and min(distances) != max(distances):
            return str(column[0].note)
    return ""
