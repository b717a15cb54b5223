r"""What the writers of the catalogue share: a table, its arcs, and how a mistake in one of them is written down."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from rnn_symbolic.arrays import size_of
from rnn_symbolic.auditing.mistakes import TableMistake
from rnn_symbolic.auditing.sweep import Arc, Change, Variant, arcs_of
from rnn_symbolic.expressions import (
    MINUS_ONE,
    ONE,
    Add,
    Call,
    Diagonal,
    Expression,
    Identity,
    Multiply,
    Number,
    Ones,
    Power,
    Quantity,
    chain,
    multiply,
    transform,
)
from rnn_symbolic.jacobians import shape_of
from rnn_symbolic.model import Model
from rnn_symbolic.table import Factor, LocalRule, Product, product_value

SLOPES = ("tanh", "logistic", "relu")
"""The activations whose derivative people know as a formula in the value: 1 − v², v (1 − v), [v > 0]."""


class Writer:
    """A model's arcs at some sizes; its methods make mistakes of changed arcs."""

    def __init__(self, model: Model, sizes: Mapping[str, int]) -> None:
        self.model, self.sizes = model, sizes
        self.arcs = arcs_of(model)
        self.matrix = model.form == "matrix"

    def quantity(self, name: str, lag: int | None) -> Quantity:
        return Quantity(name) if lag is None else Quantity(name, -lag, "t")

    def made(
        self, kind: str, code: str, rank: int, arc: Arc, variant: Variant, yours: Expression | None,
        about: tuple[str, ...] = (), rule: LocalRule | None = None,
    ) -> TableMistake:  # fmt: skip
        head, tail = self.quantity(arc.head, 0), self.quantity(arc.tail, arc.lag)
        about = about or (arc.head, arc.tail)
        return TableMistake(
            kind, code, rank, about, variant=variant, head=head, tail=tail, right=arc.value, yours=yours, rule=rule
        )

    def instead(
        self, kind: str, code: str, rank: int, i: int, factors: Product,
        about: tuple[str, ...] = (), rule: LocalRule | None = None, border: str = "zero",
    ) -> TableMistake:  # fmt: skip
        """The arc i with other factors."""
        arc = self.arcs[i]
        value = product_value(factors)
        if self.matrix and isinstance(value, Number):  # c stands for c I
            value = chain(value, Identity(self.shape(self.quantity(arc.head, 0))[0]))
        return self.made(kind, code, rank, arc, Variant((Change(i, value),), border=border), value, about, rule)

    def rewritten(self, arc: Arc, k: int, *factors: Factor) -> Product:
        return (*arc.factors[:k], *factors, *arc.factors[k + 1 :])

    def doubled(self, arc: Arc) -> Expression:
        value = arc.value
        if self.matrix:
            size = self.shape(self.quantity(arc.head, 0))[0]
            return chain(Number(Fraction(2)), Identity(size) if isinstance(value, Number) else value)
        return multiply(Number(Fraction(2)), value)

    def wrapped(self, value: Expression, like: Expression) -> Expression:
        return Diagonal(value) if isinstance(like, Diagonal) else value

    def shape(self, value: Expression) -> tuple[str, str]:
        return shape_of(value, self.model.names)

    def size(self, value: Expression) -> int:
        return self.number(self.shape(value)[0])

    def square(self, value: Expression) -> bool:
        rows, columns = self.shape(value)
        return self.number(rows) == self.number(columns) and rows != "1"

    def number(self, size: str) -> int:
        return size_of(size, self.sizes)


# --- pieces of formulas ---------------------------------------------------------------------------------------------


def slope_formula(name: str, v: Expression, vectors: bool) -> Expression:
    """φ' as a formula in the value v of φ: 1 − v², v (1 − v), [v > 0]."""
    match name:
        case "tanh":
            return Add((ONE, Multiply((MINUS_ONE, Power(v, Fraction(2))))))
        case "logistic":
            return Multiply((v, one_minus(v)), vectors=vectors)
    return Call("relu", v, 1)


def one_minus(value: Expression) -> Expression:
    """1 − u, as cells write it."""
    return Add((ONE, Multiply((MINUS_ONE, value))))


def exchanged(value: Expression, q: Expression, other: Expression) -> Expression:
    """A formula with another quantity in the place of every mention of one."""
    return transform(value, lambda node: other if node == q else node)


def inner_of(value: Expression) -> Expression:
    """u of diag(u)."""
    return value.vector if isinstance(value, Diagonal) else value


def negated(factors: Product, matrix: bool) -> Product:
    """A product with the other sign."""
    if factors and factors[0].value == MINUS_ONE:
        return factors[1:]
    return (Factor(LocalRule.NUMBER, MINUS_ONE, ("1", "1") if matrix else None), *factors)


def commute(one: Factor, two: Factor) -> bool:
    """Whether the order of two factors makes no difference."""

    def plain(factor: Factor) -> bool:
        return isinstance(factor.value, Diagonal | Identity | Ones | Number) or factor.shape == ("1", "1")

    return plain(one) and plain(two)
