r"""What terms are worth: a `Ring` gives values to expressions and to the few terms that only some readings know.

The empty sum is 0, the empty product is 1. A ring remembers the value of a term for the numbers of the indices that the
term mentions, so that the lines of a proof, which share most of their terms, are read quickly.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from rnn_symbolic.expressions import Derivative, Expression, children
from rnn_symbolic.induction.terms import (
    Borders,
    ChunkStart,
    Env,
    Gamma,
    Greatest,
    Latest,
    LossCount,
    Norm,
    Ordered,
    Over,
    PathCount,
    Place,
    Plus,
    Powers,
    Raised,
    Share,
    Steps,
    Sum,
    Term,
    Times,
    Transition,
    Transposed,
    Truncated,
    When,
    at_numbers,
    indices,
    is_leaf,
    parts,
)


class Ring(ABC):
    """What terms are read in: 0, 1, sums and products in order, and what an expression of the cell is worth.

    Values are remembered for each term and the numbers of the indices that it mentions.
    """

    zero: Any
    one: Any

    def __init__(self) -> None:
        self._mentions: dict[int, tuple[str, ...]] = {}
        self._kept: list[Term] = []  # so that their ids stay their own
        self._memo: dict[tuple[int, tuple[int, ...]], Any] = {}

    @abstractmethod
    def leaf(self, expression: Expression) -> Any:
        """The value of an expression whose steps are numbers."""

    @abstractmethod
    def special(self, term: Term, env: Env) -> Any:
        """The value of a term that only some rings know: Φ, a norm, a truncated gradient."""

    def add(self, left: Any, right: Any) -> Any:
        """The sum."""
        return left + right

    def multiply(self, left: Any, right: Any) -> Any:
        """The product, in order."""
        return left * right

    def remembered(self, term: Term, env: Env) -> Any:
        """`worth`, computed once for the same term at the same numbers."""
        names = self._mentions.get(id(term))
        if names is None:
            names = self._mentions[id(term)] = tuple(sorted(mentions(term)))
            self._kept.append(term)
        key = (id(term), tuple([env[name] for name in names]))
        if key not in self._memo:
            self._memo[key] = _worth(term, env, self)
        return self._memo[key]


def worth(term: Term, env: Env, ring: Ring) -> Any:
    """The value of a term with its free indices at the numbers of ``env``.

    >>> from rnn_symbolic.expressions import Quantity
    >>> from rnn_symbolic.induction.free import Letters
    >>> from rnn_symbolic.induction.terms import FIRST, NOW, times
    >>> v, c = Quantity("v", 0, "i"), Quantity("c", 0, "j")
    >>> lemma = Sum("i", FIRST, NOW, times(Ordered("j", Place("i", 1), NOW, c), v))
    >>> print(worth(lemma, {"t": 3}, Letters()))
    c_3 c_2 v_1 + c_3 v_2 + v_3
    """
    return ring.remembered(term, env)


def _worth(term: Term, env: Env, ring: Ring) -> Any:
    match term:
        case Sum(index, low, high, body):
            total = ring.zero
            for i in range(low.at(env), high.at(env) + 1):
                total = ring.add(total, worth(body, {**env, index: i}, ring))
            return total
        case Ordered(index, low, high, body, rising):
            steps = range(low.at(env), high.at(env) + 1)
            result = ring.one
            for j in steps if rising else reversed(steps):
                result = ring.multiply(result, worth(body, {**env, index: j}, ring))
            return result
        case Times(factors):
            result = ring.one
            for factor in factors:
                result = ring.multiply(result, worth(factor, env, ring))
            return result
        case Plus(terms):
            total = ring.zero
            for each in terms:
                total = ring.add(total, worth(each, env, ring))
            return total
        case Raised(base, exponent):
            value, result = worth(base, env, ring), ring.one
            for _ in range(exponent.at(env)):
                result = ring.multiply(result, value)
            return result
    if is_leaf(term):
        return ring.leaf(at_numbers(term, env))
    return ring.special(term, env)


def mentions(term: Term) -> set[str]:
    """The indices that the value of a term depends on; T where the whole of L is meant.

    >>> from rnn_symbolic.expressions import Quantity
    >>> from rnn_symbolic.induction.terms import FIRST, NOW
    >>> sorted(mentions(Sum("k", FIRST, NOW, Quantity("b", 0, "k"))))
    ['t']
    """
    match term:
        case Sum(index, low, high, body) | Ordered(index, low, high, body) | Greatest(index, low, high, body):
            return (mentions(body) - {index}) | _names(low) | _names(high)
        case Times(several) | Plus(several):
            return {name for each in several for name in mentions(each)}
        case Raised(base, exponent):
            return mentions(base) | _names(exponent)
        case Over(above, below):
            return mentions(above) | mentions(below)
        case Norm(of) | Transposed(of):
            return mentions(of)
        case Share():
            return {"T"}
        case Steps(place) | PathCount(place) | LossCount(place) | Powers(place=place):
            return _names(place) | ({"s"} if isinstance(place, Place) and place.back == "s" else set())
        case Transition(of, wrt):
            return _names(of) | _names(wrt)
        case Truncated():
            return {"T", "tau"}
        case Gamma():
            return set()
    return indices(term)


def _names(when: When) -> set[str]:
    match when:
        case Place(index, _, back):
            return {index, back} - {""}
        case Latest(one, other):
            return _names(one) | _names(other)
        case ChunkStart(of, length) | Borders(of, length):
            return _names(of) | {length}


def depends_on_last_step(term: Term) -> bool:
    """Whether what a term says depends on T: it mentions T, or the whole of L.

    >>> from rnn_symbolic.expressions import Quantity
    >>> depends_on_last_step(Quantity("h", 0, "t")), depends_on_last_step(Derivative(Quantity("L"), Quantity("W")))
    (False, True)
    """
    if "T" in mentions(term):
        return True
    return any(_is_of_whole(part) for part in parts(term) if is_leaf(part))


def _is_of_whole(expression: Expression) -> bool:
    stack = [expression]
    while stack:
        node = stack.pop()
        if isinstance(node, Derivative) and node.of.name == "L":
            return True
        stack.extend(children(node))
    return False
