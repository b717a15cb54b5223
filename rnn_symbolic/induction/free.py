r"""Words: the ring in which a line of a proof is exact, because nothing in it commutes and no letter means anything.

    (c_3 c_2) b_1 + c_3 b_2 + b_3

Two terms with the same value here are equal for all matrices whatever: what is proved is the algebra of the line, from
the premises and nothing else. `premised` gives values to the quantities that the premises define by recursion.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rnn_symbolic.expressions import ONE, ZERO, Derivative, Expression, Identity, Number, Quantity, Transpose
from rnn_symbolic.frozen import frozen
from rnn_symbolic.induction.rings import Ring, Terms, worth
from rnn_symbolic.induction.terms import Env, Share, Term, Transition, Transposed, Truncated

Word = tuple[str, ...]


@frozen
class Words:
    """Words with whole numbers before them; compared as they are.

    >>> a, b = letter("a"), letter("b")
    >>> a * b == b * a, (a + b) * a == a * a + b * a
    (False, True)
    """

    counts: frozenset[tuple[Word, Any]]

    @staticmethod
    def of(counts: dict[Word, Any]) -> Words:
        """The words whose number is not 0."""
        return Words(frozenset((word, n) for word, n in counts.items() if n))

    def __add__(self, other: Words) -> Words:
        found = dict(self.counts)
        for word, n in other.counts:
            found[word] = found.get(word, 0) + n
        return Words.of(found)

    def __mul__(self, other: Words) -> Words:
        found: dict[Word, Any] = {}
        for left, m in self.counts:
            for right, n in other.counts:
                found[left + right] = found.get(left + right, 0) + m * n
        return Words.of(found)

    def transposed(self) -> Words:
        """Every word reversed, each letter transposed; twice is nothing."""
        return Words.of({tuple(map(_primed, reversed(word))): n for word, n in self.counts})

    @property
    def number(self) -> int:
        """How many words there are, each as often as it occurs."""
        return int(sum(n for _, n in self.counts))

    def __str__(self) -> str:
        words = (f"{'' if n == 1 else f'{n} '}{' '.join(word) or 1}" for word, n in sorted(self.counts, key=str))
        return " + ".join(words) or "0"


def _primed(name: str) -> str:
    return name.removesuffix("ᵀ") if name.endswith("ᵀ") else name + "ᵀ"


def letter(name: str) -> Words:
    """One letter."""
    return Words.of({(name,): 1})


NOTHING, UNIT = Words(frozenset()), Words.of({(): 1})


class Letters(Ring):
    """The ring of words; ``premises`` gives a value to what is no letter: None leaves it one."""

    zero, one = NOTHING, UNIT

    def __init__(
        self, premises: Callable[[Letters, Expression], Words | None] | None = None, terms: Terms | None = None
    ) -> None:
        super().__init__(terms)
        self._premises = premises
        self._values: dict[Expression, Words] = {}
        self.transitions: Callable[[int, int], Words] | None = None
        self.truncated: Callable[[Letters, str, Env], Words] | None = None

    def leaf(self, expression: Expression) -> Words:
        """A letter, unless it is a number, a transpose or a premise's business."""
        found = self._values.get(expression)
        if found is None:
            found = self._values[expression] = self._leaf(expression)
        return found

    def _leaf(self, expression: Expression) -> Words:
        if expression in (ZERO, ONE):
            return UNIT if expression == ONE else NOTHING
        match expression:
            case Identity():
                return UNIT
            case Number(value):
                return Words.of({(): value})
            case Transpose(of):
                return self.leaf(of).transposed()
        found = self._premises(self, expression) if self._premises is not None else None
        return letter(_name(expression)) if found is None else found

    def special(self, term: Term, env: Env) -> Words:
        """Φ by its recursion; 1/T is a letter."""
        match term:
            case Transition(of, wrt) if self.transitions is not None:
                return self.transitions(of.at(env), wrt.at(env))
            case Truncated(kind=kind) if self.truncated is not None:
                return self.truncated(self, kind, env)
            case Share():
                return letter("1/T")
            case Transposed(of):
                inner: Words = worth(of, env, self)
                return inner.transposed()
        raise ValueError(f"{type(term).__name__} has no value in words")


def _name(expression: Expression) -> str:
    match expression:
        case Quantity():
            return str(expression)
        case Derivative(of, wrt, immediate):
            return f"∂{'⁺' if immediate else ''}{of}/∂{wrt}"
    return repr(expression)
