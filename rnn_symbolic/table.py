r"""The table of local derivatives: each equation of a cell, differentiated once, at a generic step.

A row ``head_t ← tail_{t−lag}`` holds the immediate partial ∂⁺head_t/∂tail_{t−lag} as a sum of ordered products of
factors. Paths, derivations and gradients for any number of steps read the same rows. Each factor carries the rule
that produced it: the reason that a derivation gives, and what its matrix reading depends on.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from fractions import Fraction

from rnn_symbolic.equations import Equation
from rnn_symbolic.expressions import (
    MINUS_ONE,
    ONE,
    Add,
    Apply,
    Call,
    Expression,
    Multiply,
    Number,
    Power,
    Quantity,
    StepLoss,
    add,
    at_step,
    multiply,
    quantities,
)
from rnn_symbolic.functions import slope


class LocalRule(Enum):
    """Why a factor stands in a local derivative; each value is the rule's stable code."""

    NUMBER = "number"  # ∂(c·u)/∂u = c
    MATRIX = "matrix"  # ∂(W @ v)/∂v: the matrix that stands left of v
    ARGUMENT = "argument"  # ∂(W @ v)/∂W: what W is applied to
    COEFFICIENT = "coefficient"  # ∂(u * v)/∂v = u, elementwise
    SLOPE = "slope"  # ∂φ(z)/∂z = φ'(z)
    LOSS_SLOPE = "loss-slope"  # ∂ℓ_t(y_t)/∂y_t = ℓ_t'(y_t)
    POWER = "power"  # ∂u^n/∂u = n u^(n−1)
    SUM = "sum"  # several products, added
    COLLAPSE = "collapse"  # two neighbours replaced by an identity that was derived


@dataclass(frozen=True, slots=True)
class Factor:
    """One factor of a product of local derivatives, and the rule that produced it."""

    rule: LocalRule
    value: Expression

    def at(self, t: int) -> Factor:
        """The factor when the generic step t is the number ``t``."""
        return Factor(self.rule, at_step(self.value, t))


Product = tuple[Factor, ...]


@dataclass(frozen=True, slots=True)
class Edge:
    """A row of the table: ∂⁺head_t/∂tail_{t−lag} = Σ over ``terms`` of the ordered product of factors."""

    head: Quantity
    tail: Quantity
    lag: int
    terms: tuple[Product, ...]

    @property
    def factors(self) -> Product:
        """The row as one product: its factors, or a single factor that is their sum."""
        return as_product(self.terms)

    @property
    def value(self) -> Expression:
        """The row as one expression."""
        return product_value(self.factors)


def product_value(factors: Iterable[Factor]) -> Expression:
    """The product of factors, in order, as an expression."""
    return multiply(*(factor.value for factor in factors))


def as_product(terms: tuple[Product, ...]) -> Product:
    """Several products as one: a single term stands for itself, a sum becomes one factor."""
    if len(terms) == 1:
        return terms[0]
    return (Factor(LocalRule.SUM, add(*(product_value(term) for term in terms))),)


def differentiate(expression: Expression, wrt: Quantity) -> tuple[Product, ...]:
    r"""∂⁺expression/∂wrt, as a sum of ordered products; the empty tuple is zero, the empty product is one.

    Factors stand in the order in which a Jacobian applies them: the outermost operation first.

    >>> a, h, W = Quantity("a", 0, "t"), Quantity("h", -1, "t"), Quantity("W_h")
    >>> [[f.rule.name for f in term] for term in differentiate(Call("sigma", Apply(W, h)), h)]
    [['SLOPE', 'MATRIX']]
    >>> differentiate(Apply(W, h), a)
    ()
    """
    raw = _differentiate(expression, wrt)
    return tuple(term for term in map(_merge_numbers, raw) if term is not None)


def _differentiate(expression: Expression, wrt: Quantity) -> tuple[Product, ...]:
    match expression:
        case Quantity():
            return ((),) if expression == wrt else ()
        case Call(function, argument, _):
            assert expression.order == 0
            outer = _slope_factors(slope(function, argument))
            return tuple(outer + term for term in _differentiate(argument, wrt))
        case StepLoss(loss, argument, order):
            rate = Factor(LocalRule.LOSS_SLOPE, StepLoss(loss, argument, order + 1))
            return tuple((rate, *term) for term in _differentiate(argument, wrt))
        case Add(terms):
            return tuple(product for term in terms for product in _differentiate(term, wrt))
        case Multiply(factors):
            return tuple(
                (*(_coefficient(other) for j, other in enumerate(factors) if j != i), *term)
                for i, factor in enumerate(factors)
                for term in _differentiate(factor, wrt)
            )
        case Apply(left, right):
            through_right = tuple((Factor(LocalRule.MATRIX, left), *term) for term in _differentiate(right, wrt))
            through_left = tuple((*term, Factor(LocalRule.ARGUMENT, right)) for term in _differentiate(left, wrt))
            return through_left + through_right
        case Power(base, exponent):
            reduced = base if exponent == 2 else Power(base, exponent - 1)
            number, power = Factor(LocalRule.NUMBER, Number(exponent)), Factor(LocalRule.POWER, reduced)
            return tuple((number, power, *term) for term in _differentiate(base, wrt))
    return ()


def _slope_factors(value: Expression) -> Product:
    """φ'(z) as factors: the sign of cos' = −sin and the ½ of sqrt' are numbers of their own."""
    parts = value.factors if isinstance(value, Multiply) else (value,)
    return tuple(Factor(LocalRule.NUMBER if isinstance(part, Number) else LocalRule.SLOPE, part) for part in parts)


def _coefficient(value: Expression) -> Factor:
    return Factor(LocalRule.NUMBER if isinstance(value, Number) else LocalRule.COEFFICIENT, value)


def _merge_numbers(term: Product) -> Product | None:
    """The constants of a product as one leading number, dropped when it is 1; None when the product is 0."""
    number = Fraction(1)
    rest: list[Factor] = []
    for factor in term:
        if isinstance(factor.value, Number):
            number *= factor.value.value
        else:
            rest.append(factor)
    if number == 0:
        return None
    return (*((Factor(LocalRule.NUMBER, Number(number)),) if number != 1 else ()), *rest)


def local_derivatives(equation: Equation) -> tuple[Edge, ...]:
    """The rows of one equation: one for each quantity on its right-hand side, in the order written.

    A quantity that cancels (its immediate partial is zero) has no row.
    """
    edges = []
    for tail in dict.fromkeys(quantities(equation.expression)):
        if tail.name == "d":
            continue  # targets are data: no derivative is ever taken by them
        terms = differentiate(equation.expression, tail)
        if terms:
            edges.append(Edge(equation.target, tail, -tail.step if tail.index and tail.step else 0, terms))
    return tuple(edges)


@dataclass(frozen=True, slots=True)
class Collapse:
    r"""Two neighbouring factors with a shorter product: an identity of I8, derived in the document.

    Binary cross-entropy after a logistic output, with y = logistic(o) and logistic'(o) = y(1 − y):
    (−d/y + (1−d)/(1−y)) · logistic'(o) = y − d. The right-hand side is also the stable one: the left is ∞·0
    once y rounds to 0 or 1.
    """

    argument: Quantity  # o_t, at the generic step
    loss_rate: Product
    output_rate: Product
    result: Factor
    loss: Expression  # the stable form of the loss itself, in o: softplus(o) − d o


def find_collapse(equations: tuple[Equation, ...]) -> Collapse | None:
    """The collapse that these equations admit: y = logistic(o) with o a named quantity, and binary cross-entropy."""
    by_name = {equation.target.name: equation for equation in equations}
    output, loss = by_name.get("y"), by_name.get("l")
    if output is None or loss is None:
        return None
    y, d = output.target, Quantity("d", 0, "t")
    if loss.expression != binary_cross_entropy(y, d) or not isinstance(output.expression, Call):
        return None
    o = output.expression.argument
    if output.expression.function != "logistic" or not isinstance(o, Quantity) or o.step != 0:
        return None
    return Collapse(
        o,
        as_product(differentiate(loss.expression, y)),
        as_product(differentiate(output.expression, o)),
        Factor(LocalRule.COLLAPSE, add(y, multiply(MINUS_ONE, d))),
        add(Call("softplus", o), multiply(MINUS_ONE, d, o)),
    )


def binary_cross_entropy(y: Quantity, d: Quantity) -> Expression:
    """−d log y − (1 − d) log(1 − y)."""
    rest_d, rest_y = (add(ONE, multiply(MINUS_ONE, q)) for q in (d, y))
    return add(multiply(MINUS_ONE, d, Call("log", y)), multiply(MINUS_ONE, rest_d, Call("log", rest_y)))
