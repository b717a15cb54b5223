"""The alphabet and the grammar of formulas: small frozen records, nothing is ever rewritten.

An expression keeps the order in which it was written: SymPy's ``Mul`` sorts and its ``Add`` merges, but the
order of the factors of a path *is* the statement. Two readings interpret these records: numbers
(`numeric`, `arrays`) and SymPy (`symbols`); `printing` draws them.

A cell is written with `Quantity` … `Power`. The rest (`Diagonal`, `Transpose`, `Chain`, …) is what its Jacobians are
made of in matrix form; a size is a name such as "n_h". At size 1 every one of them is a number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction

from rnn_symbolic.frozen import frozen


@frozen
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


@frozen
class Number:
    """An exact rational constant."""

    value: Fraction


@frozen
class Call:
    """φ(z), or with order 1 its derivative φ'(z)."""

    function: str
    argument: Expression
    order: int = 0


@frozen
class StepLoss:
    """The abstract loss of one step, ℓ_t(y_t), or with order 1 its derivative ℓ_t'(y_t); of a vector, ∇ℓ_t(y_t)."""

    loss: Quantity
    argument: Expression
    order: int = 0
    vector: bool = False


@frozen
class Add:
    """A sum, in the order written."""

    terms: tuple[Expression, ...]


@frozen
class Multiply:
    """An elementwise product ``u * v * …``, in the order written; ``vectors`` says that it is u ⊙ v, not a number's."""

    factors: tuple[Expression, ...]
    vectors: bool = False


@frozen
class Apply:
    """A matrix product ``W @ v``; its scalar reading is the ordinary product."""

    left: Expression
    right: Expression


@frozen
class Power:
    """base ** exponent; the exponent is a number."""

    base: Expression
    exponent: Fraction


@frozen
class Derivative:
    """A derivative that a line of a derivation *names* without computing it, in numerator layout.

    ``immediate`` is ∂⁺of/∂wrt (differentiate the one equation that defines ``of``); otherwise the total
    derivative, through every path. ``stacked`` takes a matrix W as vec W, its columns one under another.
    ``apart`` takes the states of wrt's step as independent: ∂c_t/∂c_{t−1} is then a block of the state Jacobian,
    and what h_{t−1} does to c_t is none of its business, though h_{t−1} depends on c_{t−1}; if it is immediate as well,
    the states of the steps in between stand still too, and only the equations of step t are differentiated.
    """

    of: Quantity
    wrt: Quantity
    immediate: bool = False
    stacked: bool = False
    apart: bool = False


@frozen
class Diagonal:
    """diag(u): the Jacobian of an elementwise operation."""

    vector: Expression


@frozen
class Transpose:
    """Aᵀ."""

    of: Expression


@frozen
class Chain:
    """A product of matrices (and scalars), in order: what the chain rule multiplies."""

    factors: tuple[Expression, ...]


@frozen
class Identity:
    """The identity matrix of a size."""

    size: str


@frozen
class Ones:
    """The column of ones: what adds a scalar to every component."""

    size: str


@frozen
class Kronecker:
    """vᵀ ⊗ I: the Jacobian of W v by vec W, where W has ``size`` rows."""

    vector: Expression
    size: str


@frozen
class Blocks:
    """A matrix of matrices, row by row; a `Number` 0 is a block of zeros."""

    rows: tuple[tuple[Expression, ...], ...]


Expression = (
    Quantity
    | Number
    | Call
    | StepLoss
    | Add
    | Multiply
    | Apply
    | Power
    | Derivative
    | Diagonal
    | Transpose
    | Chain
    | Identity
    | Ones
    | Kronecker
    | Blocks
)

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
        case Multiply(factors=factors) | Chain(factors):
            return factors
        case Apply(left, right):
            return (left, right)
        case Power(base=base):
            return (base,)
        case Diagonal(inner) | Transpose(inner) | Kronecker(vector=inner):
            return (inner,)
        case Blocks(rows):
            return tuple(block for row in rows for block in row)
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
        case StepLoss(argument=argument):
            expression = replace(expression, argument=transform(argument, visit))
        case Add(terms):
            expression = Add(tuple(transform(term, visit) for term in terms))
        case Multiply(factors, vectors):
            expression = Multiply(tuple(transform(factor, visit) for factor in factors), vectors)
        case Apply(left, right):
            expression = Apply(transform(left, visit), transform(right, visit))
        case Power(base, exponent):
            expression = Power(transform(base, visit), exponent)
        case Diagonal(vector):
            expression = Diagonal(transform(vector, visit))
        case Transpose(of):
            expression = Transpose(transform(of, visit))
        case Chain(factors):
            expression = Chain(tuple(transform(factor, visit) for factor in factors))
        case Kronecker(vector, size):
            expression = Kronecker(transform(vector, visit), size)
        case Blocks(rows):
            expression = Blocks(tuple(tuple(transform(block, visit) for block in row) for row in rows))
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
            case StepLoss(loss=loss):
                return replace(node, loss=loss.at(t))
            case Derivative(of, wrt):
                return replace(node, of=of.at(t), wrt=wrt.at(t))
        return node

    return transform(expression, visit)


def multiply(*factors: Expression) -> Expression:
    """An ordered product without unit factors; nested products are spliced in, zero wins.

    >>> multiply(ONE, Quantity("W_h"), ONE)
    Quantity(name='W_h', step=None, index='')
    """
    flat: list[Expression] = []
    for factor in factors:
        flat.extend(factor.factors if isinstance(factor, Multiply) and not factor.vectors else (factor,))
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


def chain(*factors: Expression) -> Expression:
    """An ordered product of matrices: identities are dropped, nested chains spliced in, numbers stand in front.

    >>> chain(Quantity("W_y"), Identity("n_h"), MINUS_ONE, Quantity("W_h"))
    Chain(factors=(Number(value=Fraction(-1, 1)), Quantity(name='W_y', step=None, index=''), ...))
    """
    number = Fraction(1)
    kept: list[Expression] = []
    last: Expression = ONE
    for factor in factors:
        for part in factor.factors if isinstance(factor, Chain) else (factor,):
            if isinstance(part, Number):
                number *= part.value
            elif isinstance(part, Identity):
                last = part
            else:
                kept.append(part)
    if number == 0:
        return ZERO
    if not kept and last != ONE:
        kept.append(last)
    if number != 1 or not kept:
        kept.insert(0, Number(number))
    return kept[0] if len(kept) == 1 else Chain(tuple(kept))


def joint_name(states: tuple[str, ...]) -> str:
    """The name of all states of one step together; a single state is its own joint state.

    >>> joint_name(("h", "c")), joint_name(("h",))
    ('(h,c)', 'h')
    """
    return states[0] if len(states) == 1 else f"({','.join(states)})"


def joined(name: str) -> tuple[str, ...]:
    """The states that a joint name stands for."""
    return tuple(name[1:-1].split(",")) if name.startswith("(") else (name,)
