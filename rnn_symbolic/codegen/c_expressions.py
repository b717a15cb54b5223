"""Expressions as C text, entry by entry; a sum over components stands for itself and is computed before.

>>> from rnn_symbolic.expressions import MINUS_ONE, ONE, Add, Multiply, Power
>>> a, h = Quantity("a", 0, "t"), Quantity("h", 0, "t")
>>> print_entry(Multiply((a, Add((ONE, Multiply((MINUS_ONE, Power(h, Fraction(2)))))))), lambda q: q.name, {})
'a * (1 - square(h))'
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction

from rnn_symbolic.codegen.arithmetic import ATOM, PRODUCT, UNARY, Arithmetic, Text
from rnn_symbolic.expressions import Call, Expression, Ones, Quantity

CALLS = {
    ("tanh", 0): "f_tanh", ("tanh", 1): "f_tanh_slope",
    ("logistic", 0): "f_logistic", ("logistic", 1): "f_logistic_slope",
    ("relu", 0): "f_relu", ("relu", 1): "f_relu_slope",
    ("softplus", 0): "f_softplus", ("softplus", 1): "f_logistic",
    ("sin", 0): "f_sin", ("cos", 0): "f_cos", ("exp", 0): "f_exp", ("log", 0): "f_log", ("sqrt", 0): "f_sqrt",
}  # fmt: skip


def print_entry(expression: Expression, name: Callable[[Quantity], str], sums: Mapping[Expression, str]) -> str:
    """The expression of one entry; ``name`` gives that of a quantity, ``sums`` those of sums over components."""
    return _Printer(name, sums).text(expression)[0]


@dataclass(frozen=True)
class _Printer(Arithmetic):
    name: Callable[[Quantity], str]
    sums: Mapping[Expression, str]

    def leaf(self, expression: Expression) -> Text:
        if expression in self.sums:
            return self.sums[expression], ATOM
        match expression:
            case Quantity():
                return self.name(expression), ATOM
            case Ones():
                return "1", ATOM
            case Call(function, argument, order):
                return f"{CALLS[function, order]}({self.text(argument)[0]})", ATOM
        raise AssertionError(f"no program prints {expression}")

    def number(self, value: Fraction) -> Text:
        """A constant as a real: integers need no point, since what they meet is a real."""
        binds = ATOM if value >= 0 else UNARY
        if value.denominator == 1 and abs(value.numerator) < 2**31:
            return str(value.numerator), binds
        text = repr(float(value))
        return (text if any(c in text for c in ".e") else f"{text}.0"), binds

    def power(self, base: Expression, exponent: Fraction) -> Text:
        text = self.text(base)[0]
        match exponent:
            case Fraction(numerator=2, denominator=1):
                return f"square({text})", ATOM
            case Fraction(numerator=3, denominator=1):
                return f"cube({text})", ATOM
            case Fraction(numerator=-1, denominator=1):
                return f"1 / {self.wrapped(base, ATOM)}", PRODUCT
            case Fraction(numerator=1, denominator=2):
                return f"f_sqrt({text})", ATOM
        return f"f_pow({text}, {self.number(exponent)[0]})", ATOM
