r"""The derivation's quantities as numbers at one point: lines, paths, groups of paths, the whole gradient."""

from __future__ import annotations

import math
import random
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cached_property
from typing import Any

from rnn_symbolic.errors import NumericalFailure
from rnn_symbolic.expressions import Add, Apply, Derivative, Expression, Multiply, Power, Quantity
from rnn_symbolic.frozen import frozen
from rnn_symbolic.graph import Graph, Leg, Path
from rnn_symbolic.model import Model
from rnn_symbolic.numeric import (
    FLOATS,
    Arithmetic,
    Key,
    Point,
    SignedLog,
    Values,
    adjoints,
    complex_step,
    evaluate,
    forward,
    signed_log,
    stand_in,
)
from rnn_symbolic.paths import graph
from rnn_symbolic.table import product_value


@frozen
class Amount:
    """A number and its magnitude: ``value`` may be 0 or inf where ``log10`` is still exact."""

    value: float
    log10: float
    sign: int

    @staticmethod
    def of(direct: float, logarithm: SignedLog, exact: bool = False) -> Amount:
        """The float as computed, or what the logarithm says where the float is lost.

        ``exact`` says that the logarithm has its digits (a product, or a sum that left the range of floats on the
        way): then a float that differs from it has lost some, in a factor below 10^−308 for example.
        """
        value = float(logarithm)
        lost = not math.isfinite(direct) or (direct == 0 and bool(logarithm.sign))
        lost = lost or (exact and not math.isclose(direct, value, rel_tol=1e-6))
        return Amount(value if lost else direct, logarithm.log10, logarithm.sign)


class Valuation:
    """A model at a point. Table entries are evaluated once per step and shared by all paths.

    Raises NumericalFailure where the forward pass leaves the range of floats.
    """

    def __init__(self, model: Model, point: Point, arithmetic: Arithmetic = FLOATS) -> None:
        self.model, self.point, self.arithmetic = model, point, arithmetic
        self.values: Values = forward(model, point, arithmetic)
        self._totals: dict[Derivative, float] = {}
        self._legs: dict[int, tuple[float, SignedLog, Leg]] = {}

    # -- single expressions -----------------------------------------------------------------------------------

    def of(self, expression: Expression, t: int = 0) -> float:
        """The value of an expression; a named derivative is worked out without the table.

        ∂ is a complex step of the forward pass; ∂⁺ is a complex step of the one equation.
        """
        return float(evaluate(expression, self.values, self.arithmetic, t, lambda node: self._named(node, t)))

    def _named(self, node: Derivative, t: int) -> float:
        node = replace(node, of=node.of.at(t), wrt=node.wrt.at(t))
        if node not in self._totals:
            of, wrt = _key(node.of), _key(node.wrt)
            if node.immediate and not node.apart:
                self._totals[node] = self._immediate(of, wrt)
            else:
                held = self.model.held(node) if node.apart else ()
                hold = {_key(q): self.values[_key(q)] for q in held if _key(q) in self.values}
                self._totals[node] = complex_step(self.model, self.point, wrt, self.arithmetic, of, hold)
        return self._totals[node]

    def _immediate(self, of: Key, wrt: Key) -> float:
        equation = self.model.equation_of(Quantity(*of))
        assert equation is not None
        h = 1e-30
        moved = {**self.values, wrt: complex(self.values[wrt], h)}
        return complex(evaluate(equation.expression, moved, self.arithmetic)).imag / h

    # -- paths ------------------------------------------------------------------------------------------------

    def leg(self, leg: Leg) -> tuple[float, SignedLog]:
        """The product of one leg, as a float and as a signed logarithm."""
        found = self._legs.get(id(leg))
        if found is None:
            expression = product_value(leg.factors, expanded=True)
            try:
                direct = float(evaluate(expression, self.values, self.arithmetic))
            except (OverflowError, ZeroDivisionError):
                direct = math.nan
            try:
                logarithm = signed_log(expression, self.values, self.arithmetic)
            except (OverflowError, ZeroDivisionError):
                message = f"the derivative of {leg.head} by {leg.tail} has no value: a division by zero, or an overflow"
                raise NumericalFailure(message) from None
            direct = Amount.of(direct, logarithm, exact=True).value
            found = self._legs[id(leg)] = (direct, logarithm, leg)  # the leg is kept, so its id stays its own
        return found[0], found[1]

    def product(self, path: Path) -> float:
        """The value of the product along a path."""
        return self.path(path).value

    def path(self, path: Path) -> Amount:
        """The value of a path, with log10 and sign from its factors."""
        direct, logarithm = 1.0, SignedLog(1, 0.0)
        for leg in path.legs:
            number, log = self.leg(leg)
            direct, logarithm = direct * number, logarithm * log
        return Amount.of(direct, logarithm, exact=True)

    def groups(self, graph: Graph) -> Iterator[tuple[int, int, Amount]]:
        """(loss step, entry step, sum of those paths), by dynamic programming: no path is listed; O(T²)."""
        for t in self.model.loss_steps:
            entered = self._entered(graph, (t,))
            yield from ((t, s, entered[s]) for s in sorted(entered, reverse=True))

    def path_total(self, graph: Graph) -> Amount:
        """The sum of all paths, in one sweep: O(T)."""
        direct, logarithm = 0.0, SignedLog(0, -math.inf)
        for amount in self._entered(graph, self.model.loss_steps).values():
            direct, logarithm = direct + amount.value, logarithm + SignedLog(amount.sign, amount.log10)
        return Amount.of(direct, logarithm, self.leaves_floats)

    def entered(self, graph: Graph) -> dict[int, Amount]:
        """The sum of all paths, by the step at which they enter."""
        return self._entered(graph, self.model.loss_steps)

    def _entered(self, graph: Graph, losses: tuple[int, ...]) -> dict[int, Amount]:
        """The sum of the paths from some losses, by entry step."""
        direct = carry(graph, losses, lambda leg: self.leg(leg)[0], 1.0)
        logarithms = carry(graph, losses, lambda leg: self.leg(leg)[1], SignedLog(1, 0.0))
        return {s: Amount.of(direct[s], logarithms[s], self.leaves_floats) for s in direct}

    def path_rounding(self, graph: Graph) -> float:
        """What rounding may do to `path_total`: Σ |path|, with the terms inside each factor without signs too."""

        def worth(leg: Leg) -> float:
            return magnitude(product_value(leg.factors, expanded=True), self.values, 0, self.arithmetic)

        size: float = sum(carry(graph, self.model.loss_steps, worth, 1.0).values())
        return ROUNDINGS * (self.model.steps + 4) * EPSILON * size

    @cached_property
    def loss_rounding(self) -> float:
        """What rounding may do to L: Σ |∂L/∂q| · (rounding of q), over every quantity q."""
        size = abs(self.values["L", None])
        for t in range(1, self.model.steps + 1):
            for equation in self.model.definitions:
                rate = abs(self._adjoints[0].get((equation.target.name, t), 0.0))
                if rate:
                    size += rate * magnitude(self.model.computed(equation), self.values, t, self.arithmetic)
        return float(ROUNDINGS * EPSILON * size)

    # -- the whole gradient -----------------------------------------------------------------------------------

    @cached_property
    def _adjoints(self) -> tuple[dict[Key, Any], dict[Key, Any]]:
        def direct(expression: Expression, t: int) -> float:
            try:
                return float(evaluate(expression, self.values, self.arithmetic, t))
            except (OverflowError, ZeroDivisionError):
                return math.nan

        def logarithm(expression: Expression, t: int) -> SignedLog:
            return signed_log(expression, self.values, self.arithmetic, t)

        plain = adjoints(self.model, self.values, direct, 1.0)
        return plain, adjoints(self.model, self.values, logarithm, SignedLog(1, 0.0))

    @cached_property
    def leaves_floats(self) -> bool:
        """Whether some ∂L/∂q leaves the range of normal floats, so that products with it lose digits or all."""
        plain, logarithms = self._adjoints
        return any(
            not sys.float_info.min <= abs(number) < math.inf for key, number in plain.items() if logarithms[key].sign
        )

    def gradient(self, wrt: Quantity) -> Amount:
        """∂L/∂wrt by the adjoint recursion."""
        if wrt.name == "y" and self.model.collapse is not None:  # the recursion goes from ℓ_t to o_t directly
            return self.path_total(graph(self.model, wrt))
        plain, logarithms = self._adjoints
        key = _key(wrt)
        if key not in plain:
            return Amount(0.0, -math.inf, 0)
        return Amount.of(plain[key], logarithms[key], self.leaves_floats)


# --- rounding -----------------------------------------------------------------------------------------------------

EPSILON = sys.float_info.epsilon
ROUNDINGS = 8  # granted for each operation, in units of EPSILON


def magnitude(expression: Expression, values: Values, t: int = 0, arithmetic: Arithmetic = FLOATS) -> float:
    """The size of what is added up: every sum with the absolute values of its terms. Times EPSILON it is rounding.

    >>> from fractions import Fraction
    >>> from rnn_symbolic.expressions import Number
    >>> magnitude(Add((Number(Fraction(3)), Number(Fraction(-3)))), {})
    6.0
    """
    match expression:
        case Add(terms):
            return sum(magnitude(term, values, t, arithmetic) for term in terms)
        case Multiply(factors=factors):
            return float(math.prod(magnitude(factor, values, t, arithmetic) for factor in factors))
        case Apply(left, right):
            return magnitude(left, values, t, arithmetic) * magnitude(right, values, t, arithmetic)
        case Power(base, exponent) if exponent > 0:
            try:
                return float(math.pow(magnitude(base, values, t, arithmetic), exponent))
            except OverflowError:
                return math.inf
    return float(abs(evaluate(expression, values, arithmetic, t)))


def _key(quantity: Quantity) -> Key:
    return quantity.name, quantity.step


def carry(
    graph: Graph,
    losses: tuple[int, ...],
    worth: Callable[[Leg], Any],
    one: Any,
    name: Callable[[Key, Any], Any] = lambda key, amount: amount,
) -> dict[int, Any]:
    """The sum of all paths from the given losses, by the step at which they enter the goal; O(T), nothing is listed.

    The losses are carried backwards through the blocks, and what enters the goal at each step is collected.
    ``worth`` is a leg's value in whatever arithmetic ``one`` belongs to; ``name`` sees what each visible quantity
    has received in all, and says what to go on with.
    """
    starting = frozenset(losses)
    carried: dict[Key, Any] = {}
    entered: dict[int, Any] = {}

    def credit(leg: Leg, amount: Any, arrives: bool) -> None:
        into: dict[Any, Any] = entered if arrives else carried
        key = leg.head.step if arrives else _key(leg.tail)
        into[key] = into[key] + amount if key in into else amount

    if graph.goal.name == "l":
        first = Leg(Quantity("L"), graph.goal, graph.model.share)
        return {t: one * worth(first) for t in losses if t == graph.goal.step}
    for t in range(max(losses), 0, -1):
        if t in starting:
            for legs, arrives in graph.starts(t):
                amount = one
                for leg in legs:
                    amount = amount * worth(leg)
                credit(legs[-1], amount, arrives)
        for quantity in reversed(graph.visible):
            amount = carried.pop((quantity, t), None)
            if amount is not None:
                amount = name((quantity, t), amount)
                for block, arrives in graph.exits(quantity, t):
                    leg = graph.leg(block, t)
                    credit(leg, amount * worth(leg), arrives)
    return entered


# --- random points ------------------------------------------------------------------------------------------------


def random_point(model: Model, seed: int) -> Point:
    """A point that hides nothing: weights of order 1 and never near 0, h_0 ≠ 0, targets inside (0, 1).

    >>> from rnn_symbolic.model import unroll
    >>> random_point(unroll("elman", steps=3), 0) == random_point(unroll("elman", steps=3), 0)
    True
    """
    rng = random.Random(seed)  # noqa: S311 - not for secrets

    def draw(low: float = 0.3, high: float = 1.2) -> float:
        return round(rng.choice((-1, 1)) * rng.uniform(low, high), 6)

    return Point(
        parameters={name: draw() for name in model.cell.parameters},
        initial={_key(q): draw() for q in model.initial_states},
        x=tuple(draw() for _ in range(model.steps)),
        d=tuple(round(rng.uniform(0.1, 0.9), 6) for _ in range(model.steps)),
        label=f"seed {seed}",
    )


def stand_in_valuation(model: Model, seed: int = 0, tries: int = 20) -> Valuation:
    """A valuation at a random point, with analytic stand-ins for the abstract σ and ℓ.

    A point where a function leaves its domain (log, sqrt, a quotient) is drawn again, with the next seed.
    """
    arithmetic: Arithmetic = stand_in()
    for attempt in range(tries):
        try:
            return Valuation(model, random_point(model, seed + attempt), arithmetic)
        except NumericalFailure as error:
            failure = error
    raise failure
