"""Expressions as Python text over arrays whose last axis holds the components; a number has one component.

>>> from rnn_symbolic.expressions import MINUS_ONE, ONE, Add, Multiply, Power
>>> a, h = Quantity("a", 0, "t"), Quantity("h", 0, "t")
>>> print_expression(Multiply((a, Add((ONE, Multiply((MINUS_ONE, Power(h, Fraction(2)))))))), lambda q: q.name)
'a * (1 - h**2)'
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from rnn_symbolic.codegen.arithmetic import ATOM, POWER, PRODUCT, UNARY, Arithmetic, Text
from rnn_symbolic.expressions import Apply, Call, Expression, Ones, Quantity, Transpose


@dataclass(frozen=True)
class Dialect:
    """What a library calls things; ``{}`` stands for the argument. Missing functions are helpers of the module."""

    calls: dict[tuple[str, int], str]
    total: str = "total({})"
    ones: str = "np.ones({})"
    power: str = ""  # where ** will not do: of Python's floats it raises on overflow
    square: str = ""
    library: str = "np"
    joined: str = "np.concatenate(({}))"
    split: str = "np.split({}, {}, axis=-1)"
    split_rows: str = "np.split({}, {})"


NUMPY = Dialect(
    {
        ("tanh", 0): "np.tanh({})", ("tanh", 1): "(1 - np.tanh({})**2)",
        ("logistic", 0): "logistic({})", ("logistic", 1): "logistic_slope({})",
        ("relu", 0): "np.maximum({}, 0)", ("relu", 1): "relu_slope({})",
        ("softplus", 0): "softplus({})", ("softplus", 1): "logistic({})",
        ("sin", 0): "np.sin({})", ("cos", 0): "np.cos({})", ("exp", 0): "np.exp({})",
        ("log", 0): "np.log({})", ("sqrt", 0): "np.sqrt({})",
        ("softmax", 0): "softmax({})", ("logsumexp", 0): "logsumexp({})",
    }
)  # fmt: skip


def print_expression(expression: Expression, name: Callable[[Quantity], str], dialect: Dialect = NUMPY) -> str:
    """The expression as text, ``name`` giving that of a quantity at its step."""
    return _Printer(name, dialect).text(expression)[0]


@dataclass(frozen=True)
class _Printer(Arithmetic):
    name: Callable[[Quantity], str]
    dialect: Dialect

    def leaf(self, expression: Expression) -> Text:
        match expression:
            case Quantity():
                return self.name(expression), ATOM
            case Ones(size):
                return self.dialect.ones.format(size), ATOM
            case Apply(Transpose(Quantity() as matrix), right):
                return f"{self.wrapped(right, PRODUCT)} @ {self.name(matrix)}", PRODUCT
            case Call("sum", argument):
                return self.dialect.total.format(self.text(argument)[0]), ATOM
            case Call(function, argument, order):
                return self.dialect.calls[function, order].format(self.text(argument)[0]), ATOM
        raise AssertionError(f"no program prints {expression}")

    def number(self, value: Fraction) -> Text:
        return number(value)

    def power(self, base: Expression, exponent: Fraction) -> Text:
        if exponent == -1:
            return f"1 / {self.wrapped(base, POWER)}", PRODUCT
        if self.dialect.square and exponent == 2:
            text, binds = self.text(base)
            return (f"{text} * {text}", PRODUCT) if binds == ATOM else (self.dialect.square.format(text), ATOM)
        if self.dialect.power:
            return self.dialect.power.format(self.text(base)[0], number(exponent)[0]), ATOM
        written = str(exponent) if exponent.denominator == 1 else number(exponent)[0]
        written = f"({written})" if written.startswith("-") or "/" in written else written
        text = self.wrapped(base, ATOM)
        hugs = text.replace("_", "a").isalnum() and written.replace(".", "1").isalnum()
        return f"{text}**{written}" if hugs else f"{text} ** {written}", POWER


def number(value: Fraction) -> Text:
    """A constant: 2, 0.5, or the quotient when it has no short decimal form.

    >>> number(Fraction(1, 2)), number(Fraction(1, 3)), number(Fraction(-2))
    (('0.5', 4), ('1 / 3', 1), ('-2', 2))
    """
    binds = ATOM if value >= 0 else UNARY
    if value.denominator == 1:
        return str(value.numerator), binds
    decimal = str(float(value))
    if Fraction(decimal) == value and len(decimal) < 18:
        return decimal, binds
    return f"{value.numerator} / {value.denominator}", PRODUCT
