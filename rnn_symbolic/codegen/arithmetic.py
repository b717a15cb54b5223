"""Sums and products as text, the same in Python and in C; what stands in them differs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from fractions import Fraction

from rnn_symbolic.expressions import MINUS_ONE, ONE, Add, Expression, Multiply, Number, Power

SUM, PRODUCT, UNARY, POWER, ATOM = range(5)

Text = tuple[str, int]
"""A text, and how tightly its outermost operator binds."""


class Arithmetic(ABC):
    """Prints arithmetic; a language adds its leaves, its powers and how it writes a number."""

    def text(self, expression: Expression) -> Text:
        """The expression, and how tightly it binds."""
        match expression:
            case Number(value):
                return self.number(value)
            case Add(terms):
                return self.sum(terms), SUM
            case Multiply(factors=factors):
                return self.product(factors)
            case Power(base, exponent):
                return self.power(base, exponent)
        return self.leaf(expression)

    @abstractmethod
    def leaf(self, expression: Expression) -> Text:
        """A quantity, a call, and what else is no arithmetic."""

    @abstractmethod
    def number(self, value: Fraction) -> Text:
        """A constant."""

    @abstractmethod
    def power(self, base: Expression, exponent: Fraction) -> Text:
        """A power; 1 / base stands in products as a quotient."""

    def wrapped(self, expression: Expression, least: int) -> str:
        """The expression, in parentheses where it binds less tightly than ``least``."""
        text, binds = self.text(expression)
        return f"({text})" if binds < least else text

    def sum(self, terms: tuple[Expression, ...]) -> str:
        found = ""
        for term in terms:
            text = self.wrapped(term, PRODUCT)
            if not found:
                found = text
            else:
                found += f" - {text[1:]}" if text.startswith("-") else f" + {text}"
        return found

    def product(self, factors: tuple[Expression, ...]) -> Text:
        if factors[0] == MINUS_ONE and len(factors) > 1:
            return f"-{self.product(factors[1:])[0]}", UNARY
        over = [f for f in factors if isinstance(f, Power) and f.exponent == -1]
        rest = [f for f in factors if f not in over] or [ONE]
        text = " * ".join(self.wrapped(f, PRODUCT if i == 0 else UNARY) for i, f in enumerate(rest))
        for divisor in over:
            text += f" / {self.wrapped(divisor.base, POWER)}"
        return text, PRODUCT if len(factors) > 1 or over else self.text(rest[0])[1]
