r"""Formulas for a symbolic T: sums over steps and products in a stated order, around the expressions of a cell.

    Σ_{k=1}^{t} (Π_{j=t↘k+1} ∂h_j/∂h_{j−1}) ∂h_k/∂a_k ∂⁺a_k/∂W_x

A term is data, so that a proof can be drawn, instantiated at any numbers, and spoiled by a test. What a term is worth
is said by a ring (`rings`): words of letters that do not commute, floats, arrays, SymPy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, replace
from fractions import Fraction
from typing import Any, TypeGuard

from rnn_symbolic.expressions import ZERO, Derivative, Expression, Quantity, StepLoss, children, transform
from rnn_symbolic.frozen import frozen

Env = Mapping[str, int]
"""What the indices stand for: T, t, k, s, τ …"""


# --- steps ----------------------------------------------------------------------------------------------------------


@frozen
class Place:
    """A step: t, k + 1, t − τ − 1; without an index the number ``offset``.

    >>> Place("t", -1, "tau").at({"t": 7, "tau": 2})
    4
    """

    index: str = ""
    offset: int = 0
    back: str = ""  # an index that is subtracted

    def at(self, env: Env) -> int:
        """The number of the step."""
        return (env[self.index] if self.index else 0) - (env[self.back] if self.back else 0) + self.offset

    def plus(self, number: int) -> Place:
        """The step that many steps later."""
        return replace(self, offset=self.offset + number)


@frozen
class Latest:
    """max(p, q): the later of two steps."""

    one: Place
    other: Place

    def at(self, env: Env) -> int:
        """The number of the step."""
        return max(self.one.at(env), self.other.at(env))


@frozen
class ChunkStart:
    """τ ⌊(t − 1)/τ⌋ + 1 + offset: the first step of the chunk of τ steps that holds t."""

    of: Place
    length: str = "tau"
    offset: int = 0

    def at(self, env: Env) -> int:
        """The number of the step."""
        tau = env[self.length]
        return tau * ((self.of.at(env) - 1) // tau) + 1 + self.offset


@frozen
class Borders:
    """⌊(T − 1)/τ⌋: the number of borders between chunks of τ steps."""

    of: Place
    length: str = "tau"

    def at(self, env: Env) -> int:
        """The number of borders."""
        return (self.of.at(env) - 1) // env[self.length]


@frozen
class Jumps:
    """⌈p/m⌉ + offset: how many jumps of a length up to m a distance of p steps takes at least.

    >>> Jumps(Place("t", 0, "k"), 2).at({"t": 6, "k": 1})
    3
    """

    of: Place
    longest: int
    offset: int = 0

    def at(self, env: Env) -> int:
        """The number of jumps."""
        return -(-self.of.at(env) // self.longest) + self.offset


When = Place | Latest | ChunkStart | Borders | Jumps
FIRST, LAST, NOW, THEN = Place("", 1), Place("T"), Place("t"), Place("k")


# --- terms ----------------------------------------------------------------------------------------------------------


@frozen
class Sum:
    """Σ_{index=low}^{high} body."""

    index: str
    low: When
    high: When
    body: Term


@frozen
class Ordered:
    """Π body from the step ``high`` (left) down to ``low`` (right); ``rising`` the other way round.

    The order is part of the statement: matrices do not commute.
    """

    index: str
    low: When
    high: When
    body: Term
    rising: bool = False


@frozen
class Times:
    """A product, in order."""

    factors: tuple[Term, ...]


@frozen
class Plus:
    """A sum of a few terms, in order."""

    terms: tuple[Term, ...]


@frozen
class Raised:
    """base^{p − q}: a power whose exponent is a difference of steps, or a number of jumps."""

    base: Term
    exponent: Place | Jumps


@frozen
class Over:
    """A quotient of numbers."""

    above: Term
    below: Term


@frozen
class Norm:
    """‖A‖₂: the largest singular value; of a row or column its length."""

    of: Term


@frozen
class Greatest:
    """max over the steps of the norms of what an expression is there; ``name`` says of which index."""

    index: str
    low: When
    high: When
    body: Term


@frozen
class Share:
    """1/T: the weight of a step in a mean."""


@frozen
class Steps:
    """A step as a number: T − τ − 1."""

    place: When


@frozen
class Transition:
    """Φ_{t,k} of the lemma: what a term b_k adds to a_t."""

    of: Place
    wrt: Place


@frozen
class Truncated:
    """∂L/∂goal, each loss differentiated with the states of ``held(t)`` and before as constants."""

    goal: Quantity
    kind: str  # "lag" or "detach"
    stacked: bool = False  # by a matrix, by its columns one under another


@frozen
class Gamma:
    """γ = sup |φ'| of an activation; ``alone`` where no other γ occurs, so that its name need not be written."""

    function: str
    alone: bool = True


@frozen
class PathCount:
    """The number of paths to the goal when there are so many steps (for x_s: from the step s on)."""

    steps: Place


@frozen
class LossCount:
    """How many of the paths are new with the step ``steps``."""

    steps: Place


@frozen
class LagCount:
    """How many paths of one loss reach ``lag`` steps back; it is the same for every loss that is late enough."""

    lag: Place


@frozen
class Routes:
    """r Aⁿ u for whole numbers: how many ways there are through n steps, A counting those through one."""

    row: tuple[int, ...]
    matrix: tuple[tuple[int, ...], ...]
    column: tuple[int, ...]
    power: Place


@frozen
class Powers:
    """Σ_i c_i n^i for the number n of a step: a polynomial with exact coefficients, the constant first."""

    coefficients: tuple[Fraction, ...]
    place: Place


@frozen
class Transposed:
    """Aᵀ of a term that is no single expression."""

    of: Term


@frozen
class Blocks:
    """A matrix of blocks, row by row, ``width`` of them in a row."""

    entries: tuple[Term, ...]
    width: int


@frozen
class Named:
    """A term by a calligraphic letter with the index of a step: 𝒞_t."""

    letter: str
    place: Place
    of: Term


Term = (
    Expression
    | Sum
    | Ordered
    | Times
    | Plus
    | Raised
    | Over
    | Norm
    | Greatest
    | Share
    | Steps
    | Transition
    | Truncated
    | Gamma
    | PathCount
    | LossCount
    | LagCount
    | Routes
    | Powers
    | Transposed
    | Blocks
    | Named
)
_OURS = (
    Sum,
    Ordered,
    Times,
    Plus,
    Raised,
    Over,
    Norm,
    Greatest,
    Share,
    Steps,
    Transition,
    Truncated,
    Gamma,
    PathCount,
    LossCount,
    LagCount,
    Routes,
    Powers,
    Transposed,
    Blocks,
    Named,
)


def is_leaf(term: Term) -> TypeGuard[Expression]:
    """Whether a term is an expression of the cell, not built of terms."""
    return not isinstance(term, _OURS)


def times(*factors: Term) -> Term:
    """A product without nesting; a single factor is itself."""
    flat: list[Term] = []
    for factor in factors:
        flat.extend(factor.factors if isinstance(factor, Times) else (factor,))
    return flat[0] if len(flat) == 1 else Times(tuple(flat))


def plus(*terms: Term) -> Term:
    """A sum without nesting; a single term is itself, a sum without terms is 0."""
    flat: list[Term] = []
    for term in terms:
        flat.extend(term.terms if isinstance(term, Plus) else (term,))
    if not flat:
        return ZERO
    return flat[0] if len(flat) == 1 else Plus(tuple(flat))


def parts(term: Term) -> Iterator[Term]:
    """The term and everything in it, outermost first; expressions are not taken apart.

    >>> sum(isinstance(part, Ordered) for part in parts(Sum("k", FIRST, NOW, Ordered("j", THEN, NOW, Share()))))
    1
    """
    yield term
    if is_leaf(term):
        return
    for field in fields(term):
        value = getattr(term, field.name)
        if isinstance(term, Truncated | Powers | Routes):
            return
        inner = value if isinstance(value, tuple) else (value,)
        for each in inner:
            if isinstance(each, _OURS) or _is_expression(each):
                yield from parts(each)


def rebuilt(term: Term, visit: Callable[[Term], Term]) -> Term:
    """The term with every part passed through ``visit``, innermost first: how a test spoils a statement."""
    if not is_leaf(term):
        changed: dict[str, Any] = {}
        for field in fields(term):
            value = getattr(term, field.name)
            if isinstance(value, tuple) and not isinstance(term, Powers | Routes):
                changed[field.name] = tuple(rebuilt(each, visit) for each in value)
            elif isinstance(value, _OURS) or _is_expression(value):
                changed[field.name] = rebuilt(value, visit)
        if changed and not isinstance(term, Truncated):
            term = replace(term, **changed)
    return visit(term)


def _is_expression(value: object) -> bool:
    return isinstance(value, Expression.__args__)


# --- at a place -----------------------------------------------------------------------------------------------------


def moved(expression: Expression, where: Mapping[str, Place]) -> Expression:
    """The expression with each running index in ``where`` replaced by a step; a step may be a number.

    >>> moved(Quantity("h", -1, "t"), {"t": Place("k", 1)}), moved(Quantity("h", -1, "t"), {"t": Place("", 3)})
    (Quantity(name='h', step=0, index='k'), Quantity(name='h', step=2, index=''))
    """

    def quantity(q: Quantity) -> Quantity:
        if not q.index or q.index not in where or q.step is None:
            return q
        place = where[q.index].plus(q.step)
        assert not place.back, place
        return Quantity(q.name, place.offset, place.index)

    def visit(node: Expression) -> Expression:
        match node:
            case Quantity():
                return quantity(node)
            case StepLoss(loss=loss):
                return replace(node, loss=quantity(loss))
            case Derivative(of, wrt, immediate, stacked, apart):
                return Derivative(quantity(of), quantity(wrt), immediate, stacked, apart)
        return node

    return transform(expression, visit)


def at_numbers(expression: Expression, env: Env) -> Expression:
    """The expression with every running index replaced by its number."""
    return moved(expression, {name: Place("", number) for name, number in env.items()})


def indices(expression: Expression) -> set[str]:
    """The running indices that an expression mentions."""
    found: set[str] = set()
    stack: list[Expression] = [expression]
    while stack:
        node = stack.pop()
        match node:
            case Quantity(index=index):
                found.add(index)
            case Derivative(of, wrt):
                found |= {of.index, wrt.index}
            case StepLoss(loss=loss):
                found.add(loss.index)
        stack.extend(children(node))
    return found - {""}
