r"""The table of local derivatives: each equation of a cell, differentiated once, at a generic step.

A row ``head_t ← tail_{t−lag}`` holds the immediate partial ∂⁺head_t/∂tail_{t−lag} as a sum of ordered products of
factors. Paths, derivations and gradients for any number of steps read the same rows. Each factor carries the rule
that produced it: the reason that a derivation gives, and what its matrix reading depends on.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from enum import Enum
from fractions import Fraction

from rnn_symbolic.equations import Equation
from rnn_symbolic.expressions import (
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
    chain,
    multiply,
    quantities,
)
from rnn_symbolic.frozen import frozen
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
    SOFTMAX = "softmax"  # ∂softmax(z)/∂z = diag(p) − p pᵀ
    SUMMED = "summed"  # ∂ sum(u)/∂u = 𝟏ᵀ
    IDENTITY = "identity"  # ∂(u + v)/∂u = I, the empty product
    BLOCK = "block"  # a named block of the state Jacobian, expanded elsewhere
    COLLAPSE = "collapse"  # two neighbours replaced by an identity that was derived


Shape = tuple[str, str]
"""Rows and columns of a matrix, as names of sizes: ("n_h", "n_x"); ("1", "1") is a scalar."""


@frozen
class Factor:
    """One factor of a product of local derivatives, and the rule that produced it.

    ``shape`` is that of its matrix reading, None in the scalar form, where every product is an ordinary one.
    ``expanded`` is what a named block is worth in terms of the table, at the generic step (``step`` is the number that
    stands for it); other factors are their own expansion.
    """

    rule: LocalRule
    value: Expression
    shape: Shape | None = None
    expanded: Expression | None = None
    step: int | None = None

    def at(self, t: int) -> Factor:
        """The factor when the generic step t is the number ``t``."""
        return Factor(self.rule, at_step(self.value, t), self.shape, self.expanded, t if self.expanded else None)

    @property
    def worth(self) -> Expression:
        """The expression that has the factor's value, without named blocks."""
        if self.expanded is None:
            return self.value
        return self.expanded if self.step is None else at_step(self.expanded, self.step)


Product = tuple[Factor, ...]


@frozen
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


def product_value(factors: Iterable[Factor], *, expanded: bool = False) -> Expression:
    """The product of factors, in order, as an expression; ``expanded`` with what named blocks stand for."""
    factors = tuple(factors)
    join = chain if any(factor.shape is not None for factor in factors) else multiply
    return join(*(factor.worth if expanded else factor.value for factor in factors))


def as_product(terms: tuple[Product, ...]) -> Product:
    """Several products as one: a single term stands for itself, a sum becomes one factor."""
    if len(terms) == 1:
        return terms[0]
    return (Factor(LocalRule.SUM, add(*(product_value(term) for term in terms)), product_shape(terms[0])),)


def product_shape(factors: Product) -> Shape | None:
    """The rows of the first matrix and the columns of the last; scalars between them do not count."""
    shapes = [factor.shape for factor in factors if factor.shape is not None]
    matrices = [shape for shape in shapes if shape != ("1", "1")]
    return (matrices[0][0], matrices[-1][1]) if matrices else ("1", "1") if shapes else None


MIXING = {"softmax": LocalRule.SOFTMAX, "sum": LocalRule.SUMMED}
"""Functions whose Jacobian is not diagonal; they have one in matrix form only."""


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
            if function in MIXING:
                outer: Product = (Factor(MIXING[function], Call(function, argument, 1)),)
            else:
                outer = _slope_factors(slope(function, argument))
            return tuple(outer + term for term in _differentiate(argument, wrt))
        case StepLoss(argument=argument, order=order):
            rate = Factor(LocalRule.LOSS_SLOPE, replace(expression, order=order + 1))
            return tuple((rate, *term) for term in _differentiate(argument, wrt))
        case Add(terms):
            return tuple(product for term in terms for product in _differentiate(term, wrt))
        case Multiply(factors=factors):
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
