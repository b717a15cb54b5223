r"""What a row of the table does to an adjoint: δ_tail = (∂⁺head/∂tail)ᵀ δ_head, as an expression.

    diag(u)ᵀ δ = u ⊙ δ      Wᵀ δ      (vᵀ ⊗ I)ᵀ δ = vec(δ vᵀ)      (diag(p) − p pᵀ)ᵀ δ = p ⊙ δ − p (pᵀ δ)

Diagonals, identities and Kronecker products are never written out. In scalar form every factor is a number, and
the pullback is an ordinary product.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from rnn_symbolic.expressions import (
    MINUS_ONE,
    ONE,
    Add,
    Apply,
    Call,
    Chain,
    Diagonal,
    Expression,
    Identity,
    Kronecker,
    Multiply,
    Number,
    Ones,
    Power,
    Quantity,
    Transpose,
    add,
    multiply,
    transform,
)
from rnn_symbolic.frozen import frozen
from rnn_symbolic.jacobians import SCALAR, Names, shape_of
from rnn_symbolic.table import Product


@frozen
class Outer:
    """δ vᵀ: what a product W v leaves to its matrix."""

    adjoint: Quantity
    argument: Quantity


def pull_back(term: Product, adjoint: Expression, names: Names) -> Expression | Outer:
    """What one product of factors makes of the adjoint of its head.

    >>> from rnn_symbolic.model import unroll
    >>> model = unroll("elman", activation="tanh", form="matrix")
    >>> row = next(edge for edge in model.table if str(edge.head) == "a[t]" and edge.lag == 1)
    >>> pull_back(row.terms[0], Quantity("δ", 0, "t"), model.names)
    Apply(left=Transpose(of=Quantity(name='W_h', ...)), right=Quantity(name='δ', step=0, index='t'))
    """
    found = adjoint
    if any(factor.shape is None for factor in term) or not term:
        return multiply(found, *(factor.value for factor in term))
    for i, factor in enumerate(term):
        match factor.value:
            case Kronecker(vector):
                if i + 1 != len(term) or not isinstance(found, Quantity) or not isinstance(vector, Quantity):
                    raise AssertionError(f"a derivative by a matrix that is no outer product: {term}")
                return Outer(found, vector)
        found = _through(factor.value, found, names)
    return found


def _through(factor: Expression, row: Expression, names: Names) -> Expression:
    match factor:
        case Identity():
            return row
        case Chain(factors):
            for part in factors:
                row = _through(part, row, names)
            return row
        case Add(terms) if shape_of(factor, names) != SCALAR:
            return add(*(_through(part, row, names) for part in terms))
        case Diagonal(vector):
            return together(names, row, vector)
        case Transpose(vector):  # a row: its head is a number
            return together(names, row, vector)
        case Ones():
            return Call("sum", row)
    shape = shape_of(factor, names)
    if shape == SCALAR:
        return together(names, factor, row)
    if shape[1] == "1":  # a column: its tail is a number
        return Call("sum", together(names, row, factor))
    return Apply(Transpose(factor), row)


def together(names: Names, *factors: Expression) -> Expression:
    """u ⊙ v ⊙ …, flat, numbers first; a column of ones is left out where another vector gives the size."""
    flat: list[Expression] = []
    for factor in factors:
        flat.extend(factor.factors if isinstance(factor, Multiply) else (factor,))
    others: list[Expression] = [factor for factor in flat if not isinstance(factor, Ones)]
    if len(others) < len(flat) and all(shape_of(factor, names) == SCALAR for factor in others):
        others.append(next(factor for factor in flat if isinstance(factor, Ones)))
    numbers = [factor for factor in others if isinstance(factor, Number)]
    return multiply(*numbers, *(factor for factor in others if not isinstance(factor, Number)))


def entrywise(expression: Expression, names: Names) -> Expression:
    """The expression without chains: vᵀ w is the sum of v ⊙ w, and what is left multiplies entry by entry.

    A column of ones is left out where another vector gives the size.

    >>> v, w = Quantity("v", 0, "t"), Quantity("w", 0, "t")
    >>> entrywise(Chain((MINUS_ONE, Transpose(v), w)), {"v": ("n",), "w": ("n",)})
    Multiply(factors=(Number(value=Fraction(-1, 1)), Call(function='sum', argument=Multiply(...), order=0)), ...)
    """

    def visit(node: Expression) -> Expression:
        if isinstance(node, Multiply) and any(isinstance(factor, Ones) for factor in node.factors):
            return together(names, *node.factors)
        if not isinstance(node, Chain):
            return node
        kept: list[Expression] = []
        for factor in node.factors:
            if kept and isinstance(kept[-1], Transpose):
                kept[-1] = Call("sum", together(names, kept[-1].of, factor))
            else:
                kept.append(factor)
        return multiply(*kept)

    return transform(expression, visit)


def from_values(expression: Expression, values: Mapping[Expression, Quantity]) -> Expression:
    """Slopes and functions read off values that exist: tanh'(a) = 1 − h² where h = tanh(a).

    ``values`` says which name has the value of which function.

    >>> a, h = Quantity("a", 0, "t"), Quantity("h", 0, "t")
    >>> from_values(Call("logistic", a, 1), {Call("logistic", a): h}) == multiply(h, add(ONE, multiply(MINUS_ONE, h)))
    True
    """

    def visit(node: Expression) -> Expression:
        if not isinstance(node, Call):
            return node
        if node.order == 0:
            return values.get(node, node)
        value = values.get(Call(node.function, node.argument))
        if value is None:
            return node
        match node.function:
            case "tanh":
                return add(ONE, multiply(MINUS_ONE, Power(value, Fraction(2))))
            case "logistic":
                return multiply(value, add(ONE, multiply(MINUS_ONE, value)))
            case "relu":
                return Call("relu", value, 1)
        return node

    return transform(expression, visit)
