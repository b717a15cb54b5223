r"""Numbers: the records evaluated at a point, in floats, complex floats, exact rationals or signed logarithms.

One evaluator serves all of them; an `Arithmetic` says what a constant and a function are. The stable forms are
used throughout: logistic'(z) = e^{−|z|}/(1 + e^{−|z|})² does not overflow at ±800, 1 − tanh² does not cancel.
"""

from __future__ import annotations

import cmath
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from rnn_symbolic.errors import ForwardOverflow, NumericalFailure
from rnn_symbolic.expressions import (
    Add,
    Apply,
    Call,
    Derivative,
    Expression,
    Multiply,
    Number,
    Power,
    Quantity,
    StepLoss,
)
from rnn_symbolic.frozen import frozen

if TYPE_CHECKING:
    from rnn_symbolic.model import Model
    from rnn_symbolic.table import Edge

Key = tuple[str, int | None]
"""A quantity in a table of values: its name and its step."""
Values = dict[Key, Any]
LN10 = math.log(10.0)


@dataclass(frozen=True)
class Arithmetic:
    """What constants and functions are: ``functions[name, order]``, ``step_loss(t, y, order)``."""

    number: Callable[[Fraction], Any]
    functions: Mapping[tuple[str, int], Callable[[Any], Any]]
    step_loss: Callable[[int, Any, int], Any] | None = None


# --- stable functions of a float or a complex float -----------------------------------------------------------


def logistic(z: Any) -> Any:
    """1/(1 + e^{−z}); no overflow.

    >>> logistic(-800.0), logistic(800.0)
    (0.0, 1.0)
    """
    exp = cmath.exp if isinstance(z, complex) else math.exp
    if z.real >= 0:
        return 1 / (1 + exp(-z))
    small = exp(z)
    return small / (1 + small)


def logistic_prime(z: float) -> float:
    """logistic(z)(1 − logistic(z)), without cancellation."""
    small = math.exp(-abs(z))
    return small / (1 + small) ** 2


def tanh_prime(z: float) -> float:
    """1 − tanh²(z) = 1/cosh²(z), without cancellation.

    >>> tanh_prime(20.0) > 0 and 1 - math.tanh(20.0) ** 2 == 0
    True
    """
    small = math.exp(-2 * abs(z))
    return 4 * small / (1 + small) ** 2


def softplus(z: Any) -> Any:
    """log(1 + e^z) = max(z, 0) + log(1 + e^{−|z|})."""
    if isinstance(z, complex):
        small = cmath.exp(-z if z.real >= 0 else z)
        # log1p keeps the digits of the real part; the imaginary part carries the derivative and needs none
        logarithm = complex(0.5 * math.log1p(abs(small) ** 2 + 2 * small.real), cmath.phase(1 + small))
        return (z if z.real >= 0 else 0) + logarithm
    return max(z, 0.0) + math.log1p(math.exp(-abs(z)))


def relu(z: Any) -> Any:
    """max(0, z), decided by the real part."""
    return z if z.real > 0 else 0 * z


def relu_prime(z: float) -> float:
    """1 for z > 0, 0 for z ≤ 0: the stated convention at the kink."""
    return 1.0 if z > 0 else 0.0


def _either(real: Callable[[float], float], complex_: Callable[[complex], complex]) -> Callable[[Any], Any]:
    return lambda z: complex_(z) if isinstance(z, complex) else real(z)


FLOATS = Arithmetic(
    float,
    {
        ("tanh", 0): _either(math.tanh, cmath.tanh), ("tanh", 1): tanh_prime,
        ("logistic", 0): logistic, ("logistic", 1): logistic_prime,
        ("relu", 0): relu, ("relu", 1): relu_prime,
        ("softplus", 0): softplus, ("softplus", 1): logistic,
        ("sin", 0): _either(math.sin, cmath.sin), ("cos", 0): _either(math.cos, cmath.cos),
        ("exp", 0): _either(math.exp, cmath.exp), ("log", 0): _either(math.log, cmath.log),
        ("sqrt", 0): _either(math.sqrt, cmath.sqrt), ("identity", 0): lambda z: z,
    },
)  # fmt: skip


def stand_in(c: float = 0.3) -> Arithmetic:
    """Floats with analytic functions in the place of the abstract σ and ℓ_t.

    σ(z) = sin z + c tanh z and ℓ_t(y) = sin(y + t) + c y²: bounded, so that long networks stay finite. An identity
    that holds for every σ and ℓ holds for these; an identity of tanh or of the square alone does not.
    """
    sin, cos, tanh = (FLOATS.functions[name, 0] for name in ("sin", "cos", "tanh"))

    def loss(t: int, y: Any, order: int) -> Any:
        return sin(y + t) + c * y * y if order == 0 else cos(y + t) + 2 * c * y

    sigma = {("sigma", 0): lambda z: sin(z) + c * tanh(z), ("sigma", 1): lambda z: cos(z) + c * tanh_prime(z)}
    return Arithmetic(float, {**FLOATS.functions, **sigma}, loss)


# --- evaluation -------------------------------------------------------------------------------------------------


def evaluate(
    expression: Expression,
    values: Values,
    arithmetic: Arithmetic = FLOATS,
    t: int = 0,
    derivative: Callable[[Derivative], Any] | None = None,
) -> Any:
    """The number an expression stands for, with the running index at ``t``.

    >>> evaluate(Multiply((Quantity("W_h"), Quantity("h", -1, "t"))), {("W_h", None): 2.0, ("h", 1): 3.0}, t=2)
    6.0
    """
    match expression:
        case Quantity(name, step, index):
            return values[name, step + t if index and step is not None else step]
        case Number(value):
            return arithmetic.number(value)
        case Call(function, argument, order):
            return arithmetic.functions[function, order](evaluate(argument, values, arithmetic, t, derivative))
        case StepLoss(loss=loss, argument=argument, order=order):
            assert arithmetic.step_loss is not None and loss.step is not None
            y = evaluate(argument, values, arithmetic, t, derivative)
            return arithmetic.step_loss(loss.step + t if loss.index else loss.step, y, order)
        case Add(terms):
            first, *rest = (evaluate(term, values, arithmetic, t, derivative) for term in terms)
            for term in rest:
                first = first + term
            return first
        case Multiply(factors=factors):
            first, *rest = (evaluate(factor, values, arithmetic, t, derivative) for factor in factors)
            for factor in rest:
                first = first * factor
            return first
        case Apply(left, right):
            return evaluate(left, values, arithmetic, t, derivative) * evaluate(
                right, values, arithmetic, t, derivative
            )
        case Power(base, exponent):
            return _power(evaluate(base, values, arithmetic, t, derivative), exponent)
        case Derivative():
            if derivative is None:
                raise ValueError(f"the derivative of {expression.of} by {expression.wrt} needs a model")
            return derivative(expression)


def _power(base: Any, exponent: Fraction) -> Any:
    if exponent.denominator == 1:
        return base ** int(exponent)
    if not isinstance(base, complex) and base < 0:
        raise ValueError("a fractional power of a negative number")
    return base ** float(exponent)


@dataclass(frozen=True)
class Point:
    """Where numbers are computed: parameters and initial states by name, x and d as sequences over time."""

    parameters: Mapping[str, float]
    initial: Mapping[Key, float]
    x: tuple[float, ...]
    d: tuple[float, ...]
    label: str = field(default="values", compare=False)

    def leaves(self) -> Values:
        """The leaves of the unrolled model as a table of values."""
        values: Values = {(name, None): value for name, value in self.parameters.items()}
        values.update(self.initial)
        values.update({("x", t): value for t, value in enumerate(self.x, 1)})
        values.update({("d", t): value for t, value in enumerate(self.d, 1)})
        return values


def forward(
    model: Model,
    point: Point,
    arithmetic: Arithmetic = FLOATS,
    perturb: tuple[Key, Any] | None = None,
    hold: Values | None = None,
) -> Values:
    """The value of every quantity of the unrolled model, in order of computation.

    ``perturb`` adds a number to one quantity, a leaf or a named one, as soon as it has its value; ``hold`` gives
    quantities that keep their value whatever moves.
    Raises NumericalFailure where a value leaves the range of floats, naming quantity and step.
    """
    values = point.leaves()
    if perturb is not None and perturb[0] in values:
        values[perturb[0]] = values[perturb[0]] + perturb[1]
    # the stable loss skips y, so a perturbed y must go through the loss as written
    through_y = perturb is not None and perturb[0][0] == "y"
    exact_loss = {"l": model.collapse.loss} if model.collapse and not through_y else {}
    for t in range(1, model.steps + 1):
        for equation in model.definitions:
            name = equation.target.name
            try:
                number = evaluate(exact_loss.get(name, equation.expression), values, arithmetic, t)
            except OverflowError:
                number = math.inf
            except (ValueError, ZeroDivisionError) as error:
                raise NumericalFailure(f"{name}_{t} has no value at step {t}: {_in_words(error)}") from None
            if not _finite(number):
                raise ForwardOverflow(
                    f"the forward pass overflows at step {t}: {name}_{t} is not a finite number "
                    f"(try smaller weights, or fewer steps)"
                )
            if hold and (name, t) in hold:
                number = hold[name, t]
            if perturb is not None and perturb[0] == (name, t):
                number = number + perturb[1]
            values[name, t] = number
    total = values["l", model.loss_steps[0]]
    for t in model.loss_steps[1:]:
        total = total + values["l", t]
    for factor in model.share:
        total = total * evaluate(factor.value, values, arithmetic)
    values["L", None] = total
    return values


def _finite(number: Any) -> bool:
    return cmath.isfinite(number) if isinstance(number, complex | float) else True


def _in_words(error: Exception) -> str:
    if isinstance(error, ZeroDivisionError):
        return "a division by zero"
    return "a logarithm, root or power outside its domain" if "domain" in str(error) else str(error)


COMPLEX_STEPS, FARTHEST = (1e-30, 1e-100, 1e-200, 1e-290), 1e-10
"""Im f(z + i h)/h is exact to rounding for analytic f: nothing is subtracted, so h may be as small as we like. Where
gradients explode it has to be: h is the first of these with which no quantity moves by more than FARTHEST."""


def complex_pass(
    model: Model, point: Point, wrt: Key, arithmetic: Arithmetic = FLOATS, hold: Values | None = None
) -> tuple[float, Values]:
    """h, and the forward pass with i·h added to one quantity. Raises NumericalFailure where no h is small enough."""
    for h in COMPLEX_STEPS:
        try:
            moved = forward(model, point, arithmetic, (wrt, complex(0.0, h)), hold)
        except NumericalFailure:
            continue
        if max(abs(complex(value).imag) for value in moved.values()) <= FARTHEST:
            return h, moved
    raise NumericalFailure("a complex step overflows: some quantity moves by more than floats can hold")


def complex_step(
    model: Model,
    point: Point,
    wrt: Key,
    arithmetic: Arithmetic = FLOATS,
    of: Key = ("L", None),
    hold: Values | None = None,
) -> float:
    """∂of/∂wrt by one complex forward pass: the table of local derivatives is not used."""
    h, moved = complex_pass(model, point, wrt, arithmetic, hold)
    return complex(moved[of]).imag / h


# --- signed logarithms ------------------------------------------------------------------------------------------


@frozen
class SignedLog:
    """A real number as sign and log10 of its magnitude: 10^400 and 10^−600 survive.

    >>> (SignedLog.of(-10.0) * SignedLog.of(1e300) * SignedLog.of(1e300)).log10
    601.0
    """

    sign: int
    log10: float

    @staticmethod
    def of(number: float) -> SignedLog:
        """The signed logarithm of a float."""
        if number == 0:
            return SignedLog(0, -math.inf)
        return SignedLog(1 if number > 0 else -1, math.log10(abs(number)))

    def __mul__(self, other: SignedLog) -> SignedLog:
        if not self.sign or not other.sign:
            return SignedLog(0, -math.inf)
        return SignedLog(self.sign * other.sign, self.log10 + other.log10)

    def __add__(self, other: SignedLog) -> SignedLog:
        big, small = (self, other) if self.log10 >= other.log10 else (other, self)
        if not small.sign:
            return big
        ratio = 1.0 + big.sign * small.sign * 10.0 ** (small.log10 - big.log10)
        return SignedLog(big.sign, big.log10 + math.log10(ratio)) if ratio > 0 else SignedLog(0, -math.inf)

    def __float__(self) -> float:
        try:
            return float(self.sign * 10.0**self.log10)
        except OverflowError:
            return self.sign * math.inf


def _log_slope(function: str, z: float) -> float | None:
    """ln φ'(z) where φ'(z) is positive and may underflow; None for other functions."""
    match function:
        case "tanh":
            return 2 * (math.log(2) - abs(z) - math.log1p(math.exp(-2 * abs(z))))
        case "logistic":
            return -abs(z) - 2 * math.log1p(math.exp(-abs(z)))
        case "softplus":
            return -float(softplus(-z))
    return None


def signed_log(expression: Expression, values: Values, arithmetic: Arithmetic = FLOATS, t: int = 0) -> SignedLog:
    """The signed logarithm of an expression, factor by factor: no intermediate product is formed.

    >>> signed_log(Power(Quantity("W_h"), Fraction(400)), {("W_h", None): -10.0}).log10
    400.0
    """
    match expression:
        case Multiply(factors=factors):
            result = SignedLog(1, 0.0)
            for factor in factors:
                result = result * signed_log(factor, values, arithmetic, t)
            return result
        case Apply(left, right):
            return signed_log(left, values, arithmetic, t) * signed_log(right, values, arithmetic, t)
        case Power(base, exponent) if exponent.denominator == 1:
            inner = signed_log(base, values, arithmetic, t)
            if not inner.sign and exponent < 0:
                raise NumericalFailure("a division by zero in a local derivative")
            return SignedLog(inner.sign ** abs(int(exponent)), inner.log10 * int(exponent))
        case Call(function, argument, 1) if function in ("tanh", "logistic", "softplus"):
            logarithm = _log_slope(function, evaluate(argument, values, arithmetic, t))
            assert logarithm is not None
            return SignedLog(1, logarithm / LN10)
        case Call("exp", argument, 0):
            return SignedLog(1, evaluate(argument, values, arithmetic, t) / LN10)
    return SignedLog.of(evaluate(expression, values, arithmetic, t))


# --- the gradient as numbers ------------------------------------------------------------------------------------


def adjoints(
    model: Model,
    values: Values,
    worth: Callable[[Expression, int], Any],
    one: Any,
) -> dict[Key, Any]:
    """∂L/∂q for every quantity q, by the adjoint recursion over the table: O(T) products.

    ``worth(expression, t)`` is the value of a table entry at step t, in whatever arithmetic ``one`` belongs to.
    """
    by_head: dict[str, list[Edge]] = {}
    for edge in model.table:
        by_head.setdefault(edge.head.name, []).append(edge)
    for factor in model.share:
        one = one * worth(factor.value, 0)
    found: dict[Key, Any] = {("l", t): one for t in model.loss_steps}

    def credit(key: Key, amount: Any) -> None:
        found[key] = found[key] + amount if key in found else amount

    for t in range(model.steps, 0, -1):
        for equation in reversed(model.definitions):
            head = equation.target.name
            if (head, t) not in found:
                continue
            adjoint = found[head, t]
            for edge in by_head.get(head, ()):
                collapse = model.collapse
                if collapse and head == "l" and edge.factors == collapse.loss_rate:  # through y, the two factors fused
                    for row in by_head["y"]:
                        credit(_key_at(row.tail, t), adjoint * worth(collapse.fused(row), t))
                    continue
                credit(_key_at(edge.tail, t), adjoint * worth(edge.value, t))
    return found


def _key_at(quantity: Quantity, t: int) -> Key:
    step = quantity.step
    return quantity.name, step + t if quantity.index and step is not None else step
