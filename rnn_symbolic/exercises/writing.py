r"""Expressions in the language in which an audit reads formulas, the inverse of `auditing.formula_reader`.

    σ'(a_2) W_h x_1               sigma'(a[2]) * W_h * x[1]
    diag(σ'(a_2)) W_yᵀ ∇ℓ_2(y_2)  diag(sigma'(a[2])) @ W_y.T @ l'(y[2])

A blank is a quantity whose name begins with "?", or a step that does: it is written __1__ and left to the student.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from itertools import pairwise

from rnn_symbolic.expressions import (
    MINUS_ONE,
    Add,
    Apply,
    Call,
    Chain,
    Diagonal,
    Expression,
    Identity,
    Multiply,
    Number,
    Power,
    Quantity,
    StepLoss,
    Transpose,
)
from rnn_symbolic.jacobians import SCALAR, Names, shape_of

WIDTH = 76
"""A formula goes on in an indented line where it would be longer."""
BLANK = "?"


class Unwritable(ValueError):
    """An expression that the language has no words for."""


def blank_text(number: int) -> str:
    """How a blank is written where it is to be filled in.

    >>> blank_text(1)
    '__1__'
    """
    return f"__{number}__"


def formula_text(expression: Expression, names: Names) -> str:
    """The text of an expression; ``names`` are the shapes of a matrix form, empty where all is a number.

    >>> formula_text(Multiply((Call("sigma", Quantity("a", 2), 1), Quantity("W_h"))), {})
    "sigma'(a[2]) * W_h"
    >>> formula_text(Chain((Transpose(Quantity("W")), Quantity("h", 0))), {"W": ("n", "m"), "h": ("n",)})
    'W.T @ h[0]'

    Raises Unwritable for what has no words.
    """
    return _Writer(names).text(expression)


def formula_lines(goal: Quantity, terms: Sequence[str]) -> tuple[str, ...]:
    """``dgoal = term + term …`` in lines of at most `WIDTH` columns, each after the first indented.

    >>> formula_lines(Quantity("W_h"), ["x[1]", "-x[2]"])
    ('dW_h = x[1] - x[2]',)
    """
    signed = [terms[0], *(f"- {term[1:]}" if term.startswith("-") else f"+ {term}" for term in terms[1:])]
    left = f"d{goal_text(goal)} ="
    if len(f"{left} {' '.join(signed)}") <= WIDTH:
        return (f"{left} {' '.join(signed)}",)
    lines = [f"{left} {signed[0]}", *(f"    {term}" for term in signed[1:])]
    return tuple(piece for line in lines for piece in _folded(line))


def goal_text(goal: Quantity) -> str:
    """What the formula is the derivative by: W_h, h_0, h[-1]."""
    if goal.step is None:
        return goal.name
    return f"{goal.name}_{goal.step}" if goal.step >= 0 else f"{goal.name}[{goal.step}]"


def _folded(line: str) -> Iterable[str]:
    """A long product breaks behind an operator."""
    while len(line) > WIDTH:
        at = max(line.rfind(f" {operator} ", 12, WIDTH - 2) for operator in "*@")
        if at < 0:
            break
        yield line[: at + 2]
        line = f"        {line[at + 3 :]}"
    yield line


class _Writer:
    def __init__(self, names: Names) -> None:
        self.names = names

    def text(self, expression: Expression) -> str:
        match expression:
            case Quantity():
                return _quantity(expression)
            case Number(value):
                return _number(value)
            case Call(function, argument, order):
                return f"{function}{chr(39) * order}({self.text(argument)})"
            case StepLoss(argument=argument, order=1):
                return f"l'({self.text(argument)})"
            case Add(terms):
                first, *rest = map(self.text, terms)
                return first + "".join(f" - {t[1:]}" if t.startswith("-") else f" + {t}" for t in rest)
            case Multiply(factors) | Chain(factors):
                return self.product(factors, isinstance(expression, Multiply) and expression.vectors)
            case Apply(left, right):
                return f"{self.factor(left)} {'@' if self.names else '*'} {self.factor(right)}"
            case Power(base, exponent):
                return f"{self.operand(base)} ** {_number(exponent)}"
            case Diagonal(vector):
                return f"diag({self.text(vector)})"
            case Transpose(of):
                return f"{self.operand(of)}.T"
            case Identity():
                return "I"
        raise Unwritable(type(expression).__name__)

    def product(self, factors: Sequence[Expression], elementwise: bool) -> str:
        """Factors in order; a leading −1 is a sign, and a number beside a matrix takes ``*``."""
        sign = ""
        if len(factors) > 1 and factors[0] == MINUS_ONE:
            sign, factors = "-", factors[1:]
        text = self.factor(factors[0])
        for before, factor in pairwise(factors):
            matrices = self.names and not elementwise and self.has_entries(before) and self.has_entries(factor)
            text += f" {'@' if matrices else '*'} {self.factor(factor)}"
        return sign + text

    def has_entries(self, expression: Expression) -> bool:
        if isinstance(expression, Quantity) and expression.name.startswith(BLANK):
            return True
        return shape_of(expression, self.names) != SCALAR

    def factor(self, expression: Expression) -> str:
        text = self.text(expression)
        simple = not isinstance(expression, Add | Multiply | Chain | Apply)
        return text if simple and not text.startswith("-") else f"({text})"

    def operand(self, expression: Expression) -> str:
        text = self.text(expression)
        return text if isinstance(expression, Quantity | Call | StepLoss | Diagonal) else f"({text})"


def _quantity(quantity: Quantity) -> str:
    if quantity.name.startswith(BLANK):
        return blank_text(int(quantity.name[1:]))
    if quantity.index.startswith(BLANK):
        return f"{quantity.name}[{blank_text(int(quantity.index[1:]))}]"
    if quantity.step is None:
        return quantity.name
    if quantity.index:
        raise Unwritable("a step without a number")
    return f"{quantity.name}[{quantity.step}]"


def _number(value: Fraction) -> str:
    return str(value.numerator) if value.denominator == 1 else f"({value.numerator}/{value.denominator})"
