"""The alphabet and the grammar of formulas: small frozen records, nothing is ever rewritten.

An expression keeps the order in which it was written: SymPy's ``Mul`` sorts and its ``Add`` merges, but the
order of the factors of a path *is* the statement. Two readings interpret these records: numbers
(`numeric`) and SymPy (`symbols`); `printing` draws them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True, slots=True)
class Quantity:
    """A named quantity: W_x (no step), h_3 (step 3), h_{t-1} (step -1 counted from the index t).

    >>> str(Quantity("W_x")), str(Quantity("h", 3)), str(Quantity("h", -1, "t"))
    ('W_x', 'h_3', 'h[t-1]')
    """

    name: str
    step: int | None = None
    index: str = ""

    def __str__(self) -> str:
        if self.step is None:
            return self.name
        if not self.index:
            return f"{self.name}_{self.step}"
        return f"{self.name}[{self.index}{self.step:+d}]" if self.step else f"{self.name}[{self.index}]"

    def at(self, t: int) -> Quantity:
        """This quantity when the running index stands at the number t; others stay as they are."""
        return Quantity(self.name, t + self.step) if self.index and self.step is not None else self


@dataclass(frozen=True, slots=True)
class Number:
    """An exact rational constant."""

    value: Fraction


@dataclass(frozen=True, slots=True)
class Call:
    """φ(z), or with order 1 its derivative φ'(z)."""

    function: str
    argument: Expression
    order: int = 0


@dataclass(frozen=True, slots=True)
class StepLoss:
    """The abstract loss of one step, ℓ_t(y_t), or with order 1 its derivative ℓ_t'(y_t)."""

    loss: Quantity
    argument: Expression
    order: int = 0


@dataclass(frozen=True, slots=True)
class Add:
    """A sum, in the order written."""

    terms: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Multiply:
    """An elementwise product ``u * v * …``, in the order written."""

    factors: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Apply:
    """A matrix product ``W @ v``; its scalar reading is the ordinary product."""

    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True)
class Power:
    """base ** exponent; the exponent is a number."""

    base: Expression
    exponent: Fraction


@dataclass(frozen=True, slots=True)
class Derivative:
    """A derivative that a line of a derivation *names* without computing it.

    ``immediate`` is ∂⁺of/∂wrt (differentiate the one equation that defines ``of``); otherwise the total
    derivative, through every path.
    """

    of: Quantity
    wrt: Quantity
    immediate: bool = False


Expression = Quantity | Number | Call | StepLoss | Add | Multiply | Apply | Power | Derivative

ONE = Number(Fraction(1))
ZERO = Number(Fraction(0))
MINUS_ONE = Number(Fraction(-1))


def children(expression: Expression) -> tuple[Expression, ...]:
    """The direct operands of an expression, in order."""
    match expression:
        case Call(argument=argument) | StepLoss(argument=argument):
            return (argument,)
        case Add(terms):
            return terms
        case Multiply(factors):
            return factors
        case Apply(left, right):
            return (left, right)
        case Power(base=base):
            return (base,)
    return ()


def walk(expression: Expression) -> Iterator[Expression]:
    """The expression and everything in it, outermost first, left to right (no recursion: sums may be long)."""
    stack = [expression]
    while stack:
        node = stack.pop()
        yield node
        stack.extend(reversed(children(node)))


def quantities(expression: Expression) -> Iterator[Quantity]:
    """Every mention of a quantity, in the order written, repetitions included.

    >>> [str(q) for q in quantities(Multiply((Quantity("z", 0, "t"), Quantity("h", -1, "t"))))]
    ['z[t]', 'h[t-1]']
    """
    return (node for node in walk(expression) if isinstance(node, Quantity))


def transform(expression: Expression, visit: Callable[[Expression], Expression]) -> Expression:
    """The same expression with every node passed through ``visit``, innermost first.

    >>> square = Power(Quantity("u"), Fraction(2))
    >>> transform(square, lambda node: Quantity("v") if node == Quantity("u") else node) == Power(Quantity("v"), 2)
    True
    """
    match expression:
        case Call(function, argument, order):
            expression = Call(function, transform(argument, visit), order)
        case StepLoss(loss, argument, order):
            expression = StepLoss(loss, transform(argument, visit), order)
        case Add(terms):
            expression = Add(tuple(transform(term, visit) for term in terms))
        case Multiply(factors):
            expression = Multiply(tuple(transform(factor, visit) for factor in factors))
        case Apply(left, right):
            expression = Apply(transform(left, visit), transform(right, visit))
        case Power(base, exponent):
            expression = Power(transform(base, visit), exponent)
    return visit(expression)


def at_step(expression: Expression, t: int) -> Expression:
    """The expression when the running index t stands at the number ``t``.

    >>> at_step(Quantity("h", -1, "t"), 3)
    Quantity(name='h', step=2, index='')
    """

    def visit(node: Expression) -> Expression:
        match node:
            case Quantity():
                return node.at(t)
            case StepLoss(loss, argument, order):
                return StepLoss(loss.at(t), argument, order)
            case Derivative(of, wrt, immediate):
                return Derivative(of.at(t), wrt.at(t), immediate)
        return node

    return transform(expression, visit)


def multiply(*factors: Expression) -> Expression:
    """An ordered product without unit factors; nested products are spliced in, zero wins.

    >>> multiply(ONE, Quantity("W_h"), ONE)
    Quantity(name='W_h', step=None, index='')
    """
    flat: list[Expression] = []
    for factor in factors:
        flat.extend(factor.factors if isinstance(factor, Multiply) else (factor,))
    kept = tuple(factor for factor in flat if factor != ONE)
    if ZERO in kept:
        return ZERO
    if not kept:
        return ONE
    return kept[0] if len(kept) == 1 else Multiply(kept)


def add(*terms: Expression) -> Expression:
    """A sum without zero terms; nested sums are spliced in.

    >>> add(ZERO, Quantity("b_h"))
    Quantity(name='b_h', step=None, index='')
    """
    flat: list[Expression] = []
    for term in terms:
        flat.extend(term.terms if isinstance(term, Add) else (term,))
    kept = tuple(term for term in flat if term != ZERO)
    if not kept:
        return ZERO
    return kept[0] if len(kept) == 1 else Add(kept)
