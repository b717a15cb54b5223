r"""What the parts of a formula are worth: a record with its shape, and how two of them are added and multiplied.

    s_1 s_2 … (A B C …)          numbers and scalars in the order written, then what has rows and columns

Scalars commute with matrices, so they stand in front; matrices keep the order in which they were written. An empty
product is a multiple of the identity, whose size the rest of the formula decides: its shape is None. In scalar form
everything is a scalar, and the order of all factors is kept.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from typing import TypeGuard

from rnn_symbolic.equations import MAX_BITS, MAX_CONSTANT, MAX_EXPONENT, MAX_ROOT
from rnn_symbolic.expressions import (
    MINUS_ONE,
    ONE,
    ZERO,
    Chain,
    Diagonal,
    Expression,
    Identity,
    Multiply,
    Number,
    Ones,
    Power,
    Transpose,
    add,
    multiply,
)
from rnn_symbolic.frozen import frozen
from rnn_symbolic.functions import slope
from rnn_symbolic.jacobians import SCALAR
from rnn_symbolic.table import Shape


class Misfit(ValueError):
    """Two parts do not go together; the reader knows where they stand."""


class Unfit(Misfit):
    """Two factors whose shapes allow no product."""


@frozen
class Value:
    """A part of a formula; ``core`` is None for a scalar, ``shape`` is None for a multiple of the identity."""

    scalars: tuple[Expression, ...]
    core: Expression | None = None
    shape: Shape | None = SCALAR

    @property
    def expression(self) -> Expression:
        """The part as a record."""
        front = multiply(*self.scalars)
        if self.core is None or front == ZERO:
            return front
        if isinstance(self.core, Chain) or not self.is_column:
            numbers = () if front == ONE else front.factors if _is_product(front) else (front,)
            return Chain((*numbers, *_links(self.core))) if numbers else self.core
        return multiply(front, self.core)

    @property
    def number(self) -> Fraction | None:
        """The number that the part is, if it is one."""
        if self.core is None and len(self.scalars) == 1 and isinstance(self.scalars[0], Number):
            return self.scalars[0].value
        return None

    @property
    def is_column(self) -> bool:
        return self.shape is not None and self.shape != SCALAR and self.shape[1] == "1"

    @property
    def is_row(self) -> bool:
        return self.shape is not None and self.shape != SCALAR and self.shape[0] == "1"

    @property
    def is_matrix(self) -> bool:
        return self.shape is not None and "1" not in self.shape

    @property
    def has_entries(self) -> bool:
        return has_entries(self.shape)

    @property
    def is_zero(self) -> bool:
        return self.core is None and ZERO in self.scalars


def has_entries(shape: Shape | None) -> bool:
    """Whether this is the shape of a column, a row or a matrix."""
    return shape is not None and shape != SCALAR


UNIT, NOTHING = Value((ONE,), None, None), Value((ZERO,), None, None)
"""The empty product and the empty sum: I and 0 of any size."""


def scalar(expression: Expression) -> Value:
    """A number, or a record that stands for one."""
    return Value((expression,))


def constant(value: Fraction) -> Value:
    """A number within the bounds of the language. Raises Misfit outside."""
    if abs(value) > MAX_CONSTANT:
        raise Misfit("this constant is larger than 1e100")
    if max(value.numerator.bit_length(), value.denominator.bit_length()) > MAX_BITS:
        raise Misfit(f"this constant takes more than {MAX_BITS} bits; round it")
    return scalar(Number(value))


def with_entries(expression: Expression, shape: Shape) -> Value:
    """A record of a shape, its scalars apart from the rest."""
    if shape == SCALAR:
        return scalar(expression)
    if _is_product(expression):
        return Value(expression.factors[:-1], expression.factors[-1], shape)
    if isinstance(expression, Chain) and isinstance(expression.factors[0], Number):
        rest = expression.factors[1:]
        return Value(expression.factors[:1], rest[0] if len(rest) == 1 else Chain(rest), shape)
    return Value((), expression, shape)


def _is_product(expression: Expression) -> TypeGuard[Multiply]:
    return isinstance(expression, Multiply) and not expression.vectors


def _links(core: Expression) -> tuple[Expression, ...]:
    return core.factors if isinstance(core, Chain) else (core,)


# --- products -------------------------------------------------------------------------------------------------------


class Factors:
    """A product in the making, in the order written; its time is linear in the number of factors.

    The entries are multiplied as matrices or elementwise, never one and then the other: the reader asks for brackets.
    """

    def __init__(self, first: Value) -> None:
        self.scalars = list(first.scalars)
        self.cores = [] if first.core is None else [first.core]
        self.shape = first.shape
        self.elementwise = False

    def times(self, value: Value, matrix: bool) -> None:
        """Multiply by a factor: as matrices, or elementwise, where a scalar goes with anything.

        Raises Unfit when the shapes do not allow it.
        """
        left, right = self.shape, value.shape
        if matrix and left is not None and right is not None and left[1] != right[0]:
            raise Unfit("the columns of the first are not the rows of the second")
        entries = [shape for shape in (left, right) if shape is not None and shape != SCALAR]
        if not matrix and len(entries) == 2:
            if left != right:
                raise Unfit("an elementwise product takes two of the same shape")
            self.elementwise = True
        self._scale(value.scalars)
        if value.core is not None:
            self.cores.append(value.core)
        if len(entries) == 2 and left is not None and right is not None:
            self.shape = (left[0], right[1]) if matrix else left
        else:  # the identity takes the shape of what it is multiplied with
            self.shape = entries[0] if entries else None if None in (left, right) else SCALAR
        if self.shape == SCALAR and self.cores:  # uᵀ v is a number
            self.scalars.append(_joined(self.cores, elementwise=False))
            self.cores = []

    def _scale(self, scalars: tuple[Expression, ...]) -> None:
        """2 * 3 * u is 6 u; other constants stay where they are."""
        match self.scalars, scalars:
            case [Number(one)], (Number(other),) if not self.cores:
                self.scalars = list(constant(one * other).scalars)
            case _:
                self.scalars += scalars

    def value(self) -> Value:
        """The product."""
        if ZERO in self.scalars:
            return NOTHING
        core = _joined(self.cores, self.elementwise) if self.cores else None
        return Value(tuple(self.scalars), core, self.shape)


def _joined(cores: list[Expression], elementwise: bool) -> Expression:
    """A B C, or u ⊙ v ⊙ w; the identity, or a column of ones, is left out."""
    flat: list[Expression] = []
    for core in cores:
        if elementwise:
            flat += core.factors if isinstance(core, Multiply) and core.vectors else (core,)
        else:
            flat += _links(core)
    kept = tuple(core for core in flat if not isinstance(core, Ones if elementwise else Identity)) or (flat[0],)
    if len(kept) == 1:
        return kept[0]
    return Multiply(kept, vectors=True) if elementwise else Chain(kept)


def negative(value: Value) -> Value:
    """-u, as in cells: the sign is the first factor, and two signs cancel."""
    if value.number is not None:
        return Value((Number(-value.number),), None, value.shape)
    scalars = _links_of_product(value.scalars)
    scalars = scalars[1:] if scalars[:1] == (MINUS_ONE,) else (MINUS_ONE, *scalars)
    return Value(scalars or (() if value.core is not None else (ONE,)), value.core, value.shape)


def _links_of_product(scalars: tuple[Expression, ...]) -> tuple[Expression, ...]:
    first = multiply(*scalars)
    return () if first == ONE else first.factors if isinstance(first, Multiply) and not first.vectors else (first,)


def reciprocal(value: Value) -> Value:
    """1/u, elementwise. Raises Misfit for zero and for a matrix."""
    if value.is_zero:
        raise Misfit("division by zero")
    if value.number is not None:
        return Value(constant(1 / value.number).scalars, None, value.shape)
    if value.is_matrix:
        raise Misfit("a matrix divides nothing")
    if value.is_row:
        return transposed(reciprocal(transposed(value)))
    divisor = value.expression
    if not isinstance(divisor, Power):
        found: Expression = Power(divisor, Fraction(-1))
    else:  # u / v ** 2 is u v^-2
        found = divisor.base if divisor.exponent == -1 else Power(divisor.base, -divisor.exponent)
    return Value((), found, value.shape) if value.has_entries else Value((found,), None, value.shape)


def exponent_of(value: Value) -> Fraction:
    """A part as an exponent, within the bounds of cells. Raises Misfit outside."""
    n = value.number
    if n is None:
        raise Misfit("an exponent is a number")
    if abs(n) > MAX_EXPONENT or n.denominator > MAX_ROOT:
        raise Misfit(f"an exponent is a fraction p/q of size up to {MAX_EXPONENT} with q up to {MAX_ROOT}")
    return n


def power(base: Value, n: Fraction) -> Value:
    """u ** n, elementwise; of a square matrix the product with itself. Raises Misfit for anything else."""
    if base.is_row:
        return transposed(power(transposed(base), n))
    if base.number is not None or base.is_zero:
        number = base.number or Fraction(0)
        if n.denominator > 1 or (number == 0 and n <= 0):
            raise Misfit("this power is no fraction; write its value as a number, if any")
        return Value(constant(number ** int(n)).scalars, None, base.shape)
    if base.is_matrix:
        assert base.shape is not None
        if base.shape[0] != base.shape[1]:
            raise Misfit(f"a power is taken of a square matrix, and this one is {sizes(base.shape)}")
        if n.denominator > 1 or n < 0:
            raise Misfit("of a matrix, whole powers from 0 on are read")
    if n == 1:
        return base
    if n == 0:
        if base.is_column and base.shape is not None:
            return Value((), Ones(base.shape[0]), base.shape)
        return UNIT if base.shape != SCALAR else scalar(ONE)
    found = Power(base.expression, n)
    return Value((), found, base.shape) if base.has_entries else Value((found,), None, base.shape)


def transposed(value: Value) -> Value:
    """A.T; a scalar stays as it is."""
    if value.core is None or value.shape is None:
        return value
    core = value.core.of if isinstance(value.core, Transpose) else Transpose(value.core)
    return Value(value.scalars, core, value.shape[::-1])


def diagonal(value: Value) -> Value:
    """diag(u). Raises Misfit for anything but a column; the empty product of columns is one of ones."""
    if value.shape is None:
        return value
    if not value.is_column:
        raise Misfit(f"diag takes a column, and this is {sizes(value.shape)}")
    size = value.shape[0]
    core: Expression = Identity(size) if isinstance(value.core, Ones) else Diagonal(value.expression)
    return Value(value.scalars if isinstance(core, Identity) else (), core, (size, size))


def sloped(function: str, argument: Value) -> Value:
    """φ'(z) as a derivation writes it, entry by entry."""
    if argument.is_row:
        return transposed(sloped(function, transposed(argument)))
    found = slope(function, argument.expression)
    if not argument.has_entries:
        return scalar(found)
    assert argument.shape is not None
    return with_entries(Ones(argument.shape[0]) if found == ONE else found, argument.shape)


# --- sums -----------------------------------------------------------------------------------------------------------


def added(values: Iterable[Value], shape: Shape | None) -> Value:
    """The sum of parts that fit together, `common` being their shape; zeros are left out.

    A scalar is added to every entry of a vector, a multiple of the identity to a square matrix. Raises Misfit for
    constants outside the bounds.
    """
    kept: list[Value] = []
    for value in values:
        before = kept[-1].number if len(kept) == 1 else None
        if value.is_zero:
            continue
        if before is not None and value.number is not None and kept[0].shape == value.shape:  # 1/3 + 1/6 is 1/2
            kept = [Value(constant(before + value.number).scalars, None, value.shape)]
        else:
            kept.append(value)
    if not kept or (len(kept) == 1 and kept[0].is_zero):
        return NOTHING
    if len(kept) == 1:
        return kept[0]
    total = add(*(_spread(value, shape) for value in kept))
    return Value((total,), None, shape) if shape in (None, SCALAR) else Value((), total, shape)


def _spread(value: Value, shape: Shape | None) -> Expression:
    """A term of a sum of this shape."""
    if shape in (None, SCALAR) or value.has_entries or shape is None:
        return value.expression
    if value.shape is None:
        return Value(value.scalars, Identity(shape[0]), shape).expression
    if value.number is not None:
        return value.expression
    ones = Value(value.scalars, Ones(shape[0] if shape[1] == "1" else shape[1]), (shape[0], "1"))
    return ones.expression if shape[1] == "1" else Transpose(ones.expression)


def common(one: Shape | None, other: Shape | None) -> Shape | None:
    """The shape of a sum of two parts that are not zero. Raises Misfit when they do not fit.

    >>> common(("n_h", "1"), ("1", "1")), common(None, ("n_h", "n_h"))
    (('n_h', '1'), ('n_h', 'n_h'))
    """
    if one == other:
        return one
    if one in (None, SCALAR):
        one, other = other, one
    if one in (None, SCALAR):
        return SCALAR  # the identity of a scalar is 1
    assert one is not None
    fits = (one[0] == one[1] if other is None else "1" in one) if other in (None, SCALAR) else False
    if not fits:
        raise Misfit("terms have one shape")
    return one


def sizes(shape: Shape | None) -> str:
    """A shape in words: "n_h × n_x", "a number".

    >>> sizes(("n_h", "1")), sizes(("1", "1"))
    ('n_h × 1', 'a number')
    """
    if shape is None:
        return "a multiple of the identity"
    return "a number" if shape == SCALAR else " × ".join(shape)
