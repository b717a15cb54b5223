r"""What terms are worth: a `Ring` gives values to expressions and to the few terms that only some readings know.

The empty sum is 0, the empty product is 1. A ring remembers the value of a term for the numbers of the indices that the
term mentions, so that the lines of a proof, which share most of their terms, are read quickly.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, NamedTuple

from rnn_symbolic.expressions import Derivative, Expression, children
from rnn_symbolic.induction.terms import (
    Blocks,
    Borders,
    ChunkStart,
    Env,
    Gamma,
    Greatest,
    Jumps,
    LagCount,
    Latest,
    LossCount,
    Named,
    Norm,
    Ordered,
    Over,
    PathCount,
    Place,
    Plus,
    Powers,
    Raised,
    Routes,
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
)


class Ring(ABC):
    """What terms are read in: 0, 1, sums and products in order, and what an expression of the cell is worth.

    Values are remembered for each term and the numbers of the indices that it mentions.
    """

    zero: Any
    one: Any

    def __init__(self, terms: Terms | None = None) -> None:
        self._terms = Terms() if terms is None else terms
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
        known = self._terms.of(term)
        key = (known.number, tuple([env[name] for name in known.mentions]))
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
    return set(Terms().of(term).mentions)


# --- what a term depends on -----------------------------------------------------------------------------------------


class Known(NamedTuple):
    """What is known of a term: equal terms have one number; the indices it mentions; whether it speaks of all of L."""

    number: int
    mentions: tuple[str, ...]
    of_whole: bool

    @property
    def depends_on_last_step(self) -> bool:
        """Whether what the term says depends on T: it mentions T, or the whole of L."""
        return self.of_whole or "T" in self.mentions


class Terms:
    """The terms met so far. Those of a proof share most of their parts; each part is looked at once.

    >>> from rnn_symbolic.expressions import Quantity
    >>> terms = Terms()
    >>> terms.of(Times((Quantity("h", 0, "t"), Share()))) == terms.of(Times((Quantity("h", 0, "t"), Share())))
    True
    >>> terms.of(Quantity("h", 0, "t")).depends_on_last_step
    False
    >>> terms.of(Derivative(Quantity("L"), Quantity("W"))).depends_on_last_step
    True
    """

    def __init__(self) -> None:
        self._by_id: dict[int, Known] = {}
        self._kept: list[Term] = []  # so that their ids stay their own
        self._by_value: dict[object, Known] = {}

    def of(self, term: Term) -> Known:
        """What is known of a term."""
        known = self._by_id.get(id(term))
        if known is None:
            known = self._by_id[id(term)] = self._found(term)
            self._kept.append(term)
        return known

    def _found(self, term: Term) -> Known:
        inner, itself, own, bound = _anatomy(term)
        parts = tuple([self.of(part) for part in inner])
        key = (type(term), itself, tuple([part.number for part in parts]))
        known = self._by_value.get(key)
        if known is None:
            names = {name for part in parts for name in part.mentions if name != bound} | own
            whole = any(part.of_whole for part in parts) or (not parts and is_leaf(term) and _is_of_whole(term))
            known = self._by_value[key] = Known(len(self._by_value), tuple(sorted(names)), whole)
        return known


def _anatomy(term: Term) -> tuple[tuple[Term, ...], object, set[str], str]:
    """The terms inside, what else tells the term from others, the indices that this mentions, the index bound."""
    match term:
        case Sum(index, low, high, body) | Greatest(index, low, high, body):
            return (body,), (index, low, high), _names(low) | _names(high), index
        case Ordered(index, low, high, body, rising):
            return (body,), (index, low, high, rising), _names(low) | _names(high), index
        case Times(several) | Plus(several):
            return several, (), set(), ""
        case Raised(base, exponent):
            return (base,), exponent, _names(exponent), ""
        case Over(above, below):
            return (above, below), (), set(), ""
        case Norm(of) | Transposed(of) | Named(of=of):
            return (of,), (), set(), ""
        case Blocks(entries, width):
            return entries, width, set(), ""
        case Share():
            return (), (), {"T"}, ""
        case Steps(place) | PathCount(place) | LossCount(place) | LagCount(place) | Powers(place=place):
            start = {"s"} if isinstance(place, Place) and place.back == "s" else set()
            return (), term, _names(place) | start, ""
        case Routes(power=place):
            return (), term, _names(place), ""
        case Transition(of, wrt):
            return (), term, _names(of) | _names(wrt), ""
        case Truncated():
            return (), term, {"T", "tau"}, ""
        case Gamma():
            return (), term, set(), ""
    return (), term, indices(term), ""


def _names(when: When) -> set[str]:
    match when:
        case Place(index, _, back):
            return {index, back} - {""}
        case Latest(one, other):
            return _names(one) | _names(other)
        case ChunkStart(of, length) | Borders(of, length):
            return _names(of) | {length}
        case Jumps(of):
            return _names(of)


def _is_of_whole(expression: Expression) -> bool:
    stack = [expression]
    while stack:
        node = stack.pop()
        if isinstance(node, Derivative) and node.of.name == "L":
            return True
        stack.extend(children(node))
    return False
