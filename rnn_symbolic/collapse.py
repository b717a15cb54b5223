r"""Two neighbouring factors with a shorter product: cross-entropy after a logistic or a softmax output.

    (−d/y + (1−d)/(1−y)) · y(1−y)  =  y − d                                    y = logistic(o)
    −(d/y)ᵀ (diag(y) − y yᵀ)  =  ((𝟏ᵀd) y − d)ᵀ  =  (y − d)ᵀ  when 𝟏ᵀd = 1      y = softmax(o)

The identity is derived, line by line, in the document that uses it; and the right-hand side is the one to compute
with, since the left is ∞·0 once y rounds to 0 or 1.
"""

from __future__ import annotations

from dataclasses import replace

from rnn_symbolic.equations import Equation
from rnn_symbolic.expressions import (
    MINUS_ONE,
    ONE,
    Call,
    Chain,
    Diagonal,
    Expression,
    Multiply,
    Ones,
    Power,
    Quantity,
    Transpose,
    add,
    chain,
    multiply,
)
from rnn_symbolic.frozen import frozen
from rnn_symbolic.table import Edge, Factor, LocalRule, Product, product_value

Y, D = Quantity("y", 0, "t"), Quantity("d", 0, "t")


@frozen
class Collapse:
    """∂⁺ℓ_t/∂y_t and the first factors of ∂⁺y_t/∂…, and what their product is.

    ``lines`` are the steps of the derivation, ending in ``result``. ``general`` holds without the condition that the
    target sums to 1 (the same as ``result`` for a logistic output); ``loss`` is ℓ_t in the pre-activation, stable.
    """

    output: str  # "logistic" or "softmax"
    loss_rate: Product
    output_rate: Product
    result: Factor
    general: Factor
    loss: Expression
    argument: Expression
    lines: tuple[Expression, ...] = ()

    def for_numbers(self) -> Collapse:
        """The collapse that holds for any target."""
        return replace(self, result=self.general)

    def fuse(self, factors: Product) -> Product | None:
        """What follows y_t on a path with ∂⁺ℓ_t/∂y_t taken in; None where the two factors do not meet."""
        n = len(self.output_rate)
        return (self.result, *factors[n:]) if factors[:n] == self.output_rate else None

    def fused(self, row: Edge) -> Expression:
        """∂ℓ_t/∂tail through a row of y."""
        found = self.fuse(row.factors)
        return product_value((*self.loss_rate, *row.factors) if found is None else found)


def binary_cross_entropy(y: Expression = Y, d: Expression = D) -> Expression:
    """−d log y − (1 − d) log(1 − y)."""
    rest_d, rest_y = (add(ONE, multiply(MINUS_ONE, q)) for q in (d, y))
    return add(multiply(MINUS_ONE, d, Call("log", y)), multiply(MINUS_ONE, rest_d, Call("log", rest_y)))


def cross_entropy(matrix: bool) -> Expression:
    """−Σ d log y."""
    if not matrix:
        return multiply(MINUS_ONE, D, Call("log", Y))
    return multiply(MINUS_ONE, Call("sum", multiply(D, Call("log", Y))))


def find_collapse(
    written: tuple[Equation, ...], equations: tuple[Equation, ...], table: tuple[Edge, ...]
) -> Collapse | None:
    """The collapse that these equations admit; ``written`` are they before their matrix reading.

    There must be binary cross-entropy after y = logistic(o), or −Σ d log y after y = softmax(o).
    """
    loss = next(e.expression for e in written if e.target.name == "l")
    output = next(e.expression for e in equations if e.target.name == "y")
    rate = next((edge.factors for edge in table if edge.head.name == "l" and edge.tail == Y), None)
    rows = [edge for edge in table if edge.head.name == "y"]
    if rate is None or not rows or not isinstance(output, Call) or output.order:
        return None
    matrix = rate[0].shape is not None
    expected = {
        "logistic": Call("sum", binary_cross_entropy()) if matrix else binary_cross_entropy(),
        "softmax": cross_entropy(matrix=True),
    }
    first = rows[0].factors[:1]  # logistic'(o), or diag(y) − y yᵀ
    if expected.get(output.function) != loss or any(edge.factors[:1] != first for edge in rows):
        return None
    o, difference = output.argument, add(Y, multiply(MINUS_ONE, D))
    if not matrix:
        result = Factor(LocalRule.COLLAPSE, difference)
        stable = add(Call("softplus", o), multiply(MINUS_ONE, D, o))
        return Collapse("logistic", rate, first, result, result, stable, o)
    shape = rate[-1].shape
    assert shape is not None
    result = Factor(LocalRule.COLLAPSE, Transpose(difference), shape)
    if output.function == "logistic":
        stable = Call("sum", add(Call("softplus", o), multiply(MINUS_ONE, Multiply((D, o), vectors=True))))
        return Collapse("logistic", rate, first, result, result, stable, o, _logistic_lines(rate, first))
    total = Chain((Transpose(Ones(shape[1])), D))
    general = Factor(LocalRule.COLLAPSE, Transpose(add(Chain((total, Y)), multiply(MINUS_ONE, D))), shape)
    stable = add(Multiply((total, Call("logsumexp", o))), chain(MINUS_ONE, Transpose(D), o))
    lines = _softmax_lines(rate, first, total, general.value, result.value)
    return Collapse("softmax", rate, first, result, general, stable, o, lines)


def _logistic_lines(rate: Product, first: Product) -> tuple[Expression, ...]:
    """(−d/y + (1−d)/(1−y))ᵀ diag(y ⊙ (1−y)) = (−d ⊙ (1−y) + (1−d) ⊙ y)ᵀ = (y − d)ᵀ."""
    rest_y, rest_d = (add(ONE, multiply(MINUS_ONE, q)) for q in (Y, D))
    slope = Diagonal(Multiply((Y, rest_y), vectors=True))
    cleared = add(multiply(MINUS_ONE, Multiply((D, rest_y), vectors=True)), Multiply((rest_d, Y), vectors=True))
    return (
        product_value((*rate, *first)),
        chain(product_value(rate), slope),
        Transpose(cleared),
    )


def _softmax_lines(
    rate: Product, first: Product, total: Expression, general: Expression, result: Expression
) -> tuple[Expression, ...]:
    """−(d/y)ᵀ (diag(y) − y yᵀ) = −(d/y)ᵀ diag(y) + (d/y)ᵀ y yᵀ = −dᵀ + (𝟏ᵀd) yᵀ = ((𝟏ᵀd) y − d)ᵀ."""
    quotient = Transpose(Multiply((D, Power(Y, -ONE.value)), vectors=True))
    distributed = add(chain(MINUS_ONE, quotient, Diagonal(Y)), Chain((quotient, Y, Transpose(Y))))
    divided = add(chain(MINUS_ONE, Transpose(D)), Chain((total, Transpose(Y))))
    return (product_value((*rate, *first)), distributed, divided, general)
