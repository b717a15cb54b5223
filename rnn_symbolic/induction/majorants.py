r"""Inequalities, exactly: norms are letters, and a bound holds when no coefficient of it is less.

    ‖r_3 (J_3 J_2) e_1 + r_3 e_3‖ ≤ ‖r_3‖ ‖J_3‖ ‖J_2‖ ‖e_1‖ + ‖r_3‖ ‖e_3‖

The left side is written out in words and read by the triangle inequality and ‖A B‖ ≤ ‖A‖ ‖B‖, in the factors that the
right side names. Both are polynomials in non-negative letters then; 1/(1 − q) is its series. The right side is at least
the left one for all values of the letters if it is so coefficient by coefficient. Before that, letters of the left side
that the right one does not have may be replaced by what bounds them: ‖J_t‖ by q, ‖r_t‖ by the greatest of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from fractions import Fraction

from rnn_symbolic.expressions import (
    Add,
    Call,
    Derivative,
    Diagonal,
    Expression,
    Identity,
    Multiply,
    Number,
    quantities,
)
from rnn_symbolic.expressions import Chain as Product
from rnn_symbolic.frozen import frozen
from rnn_symbolic.induction.chain import Chain
from rnn_symbolic.induction.free import Letters, Word, Words
from rnn_symbolic.induction.records import Line, Why
from rnn_symbolic.induction.rings import Ring, worth
from rnn_symbolic.induction.terms import (
    Blocks,
    Env,
    Gamma,
    Greatest,
    Named,
    Norm,
    Over,
    Share,
    Steps,
    Term,
    at_numbers,
    is_leaf,
    parts,
)

Letter = tuple[object, ...]
Monomial = tuple[tuple[Letter, int], ...]
JACOBIAN = re.compile(r"J(\d+)_\d+")


class Unreadable(ValueError):
    """A term that is no polynomial in norms."""


@frozen
class Majorant:
    """A polynomial, or the beginning of a power series, in commuting letters; equal ones compare equal.

    >>> q = Majorant.letter("q")
    >>> (q + q * q).covers(q), (q + q * q).covers(q + q)
    (True, False)
    """

    terms: tuple[tuple[Monomial, Fraction], ...]

    @staticmethod
    def of(terms: Mapping[Monomial, Fraction]) -> Majorant:
        """The polynomial with these coefficients."""
        return Majorant(tuple(sorted(((m, c) for m, c in terms.items() if c), key=repr)))

    @staticmethod
    def number(value: Fraction | int) -> Majorant:
        """A constant."""
        return Majorant.of({(): Fraction(value)})

    @staticmethod
    def letter(*name: object) -> Majorant:
        """One letter."""
        return Majorant.of({((name, 1),): Fraction(1)})

    def __add__(self, other: Majorant) -> Majorant:
        found = dict(self.terms)
        for monomial, c in other.terms:
            found[monomial] = found.get(monomial, Fraction(0)) + c
        return Majorant.of(found)

    def __mul__(self, other: Majorant) -> Majorant:
        return self.times(other)

    def times(self, other: Majorant, degree: int | None = None) -> Majorant:
        """The product; with ``degree`` without what exceeds it."""
        found: dict[Monomial, Fraction] = {}
        for one, c in self.terms:
            for two, d in other.terms:
                powers = dict(one)
                for letter, n in two:
                    powers[letter] = powers.get(letter, 0) + n
                if degree is None or sum(powers.values()) <= degree:
                    monomial = tuple(sorted(powers.items(), key=repr))
                    found[monomial] = found.get(monomial, Fraction(0)) + c * d
        return Majorant.of(found)

    def inverse(self, degree: int) -> Majorant:
        """1/(1 − p) = 1 + p + p² + …, up to a degree. Raises Unreadable where the constant is not 1."""
        if dict(self.terms).get(()) != 1:
            raise Unreadable("a denominator that is not 1 − q")
        one = Majorant.number(1)
        rest = one + Majorant.number(-1) * self
        power, total = one, one
        for _ in range(degree):
            power = power.times(rest, degree)
            total = total + power
        return total

    def covers(self, other: Majorant) -> bool:
        """Whether no coefficient is negative, or less than that of ``other``."""
        mine = dict(self.terms)
        return all(c >= 0 for c in mine.values()) and all(mine.get(m, 0) >= c for m, c in other.terms)

    @property
    def degree(self) -> int:
        """The degree of a polynomial."""
        return max((sum(n for _, n in monomial) for monomial, _ in self.terms), default=0)


class Majorants(Ring):
    """Norms as letters; ``right`` is what a left side is compared with, None while the right side itself is read."""

    zero, one = Majorant(()), Majorant.number(1)

    def __init__(self, chain: Chain, words: Letters, degree: int | None, right: Majorant | None = None) -> None:
        super().__init__()
        self.chain, self.words, self.degree = chain, words, degree
        self.is_left = right is not None
        letters = {letter for monomial, _ in right.terms for letter, _ in monomial} if right is not None else set()
        self.units = {letter[1] for letter in letters if letter[0] == "norm"}
        self.greatest = [letter[1] for letter in letters if letter[0] == "greatest"]
        for within in self.greatest:
            assert isinstance(within, frozenset)
            self.units |= within

    def multiply(self, left: Majorant, right: Majorant) -> Majorant:
        """The product, up to the degree that matters."""
        return left.times(right, self.degree)

    def leaf(self, expression: Expression) -> Majorant:
        """A number."""
        if isinstance(expression, Number):
            return Majorant.number(expression.value)
        raise Unreadable(f"{expression!r} is no norm")

    def special(self, term: Term, env: Env) -> Majorant:
        """Norms, and what is made of them."""
        match term:
            case Norm(of):
                return self._norm(of, env)
            case Gamma(name):
                return Majorant.letter("gamma", name)
            case Share():
                return Majorant.number(Fraction(1, env["T"]))
            case Steps(place):
                return Majorant.number(place.at(env))
            case Over(above, below):
                if self.degree is None:
                    raise Unreadable("a quotient on the left")
                return self.multiply(worth(above, env, self), worth(below, env, self).inverse(self.degree))
            case Greatest(index, low, high, Norm(of)):
                steps = range(low.at(env), high.at(env) + 1)
                within = frozenset(self._unit(of, {**env, index: i}) for i in steps)
                return Majorant.letter("greatest", within - {None}) if within - {None} else self.zero
        raise Unreadable(f"{type(term).__name__} is no polynomial in norms")

    # -- norms --------------------------------------------------------------------------------------------------

    def _norm(self, of: Term, env: Env) -> Majorant:
        if is_leaf(of) and not isinstance(of, Derivative):
            return self._of_expression(of) if self.is_left else Majorant.letter("weight", at_numbers(of, env))
        if not self.is_left:
            unit = self._unit(of, env)
            return self.zero if unit is None else self._letters(unit)
        total = self.zero
        for word, n in self._words(of, env).counts:
            total = total + self.multiply(Majorant.number(abs(n)), self._product(word))
        return total

    def _words(self, of: Term, env: Env) -> Words:
        return worth(of, env, self.words)  # type: ignore[no-any-return]

    def _unit(self, of: Term, env: Env) -> Word | None:
        """The one word that a term is; None of 0."""
        counts = dict(self._words(of, env).counts)
        if not counts:
            return None
        if len(counts) > 1 or set(counts.values()) != {1}:
            raise Unreadable("the norm of a sum")
        return next(iter(counts))

    def _letters(self, unit: Word) -> Majorant:
        return Majorant.letter("norm", unit) if unit else self.one

    def _product(self, word: Word) -> Majorant:
        """‖A B …‖ ≤ ‖A‖ ‖B‖ …, in the factors of the right side, the longest first."""
        total = self.one
        while word:
            size = next((n for n in range(len(word), 0, -1) if word[:n] in self.units), 1)
            total, word = self.multiply(total, self._bounded(word[:size])), word[size:]
        return total

    def _bounded(self, unit: Word) -> Majorant:
        """The letter of a factor, or what bounds it, where the right side has no such letter."""
        for within in self.greatest:
            if unit in within:  # type: ignore[operator]
                return Majorant.letter("greatest", within)
        if unit not in self.units and (jacobian := JACOBIAN.fullmatch(unit[0])) is not None:
            return self._of_expression(self.chain.jacobian_worth(lag=int(jacobian[1])))
        return self._letters(unit)

    def _of_expression(self, expression: Expression) -> Majorant:
        """‖diag(φ'(a)) W‖ ≤ γ ‖W‖, ‖A + B‖ ≤ ‖A‖ + ‖B‖, at every step."""
        match expression:
            case Product(factors) | Multiply(factors, False):
                return self._folded(factors, product=True)
            case Add(terms):
                multiples = [_multiple_of_identity(term) for term in terms]
                constant = Majorant.number(abs(sum((c for c in multiples if c is not None), Fraction(0))))
                others = [term for term, c in zip(terms, multiples, strict=True) if c is None]
                return constant + self._folded(others, product=False)
            case Diagonal(Call(name, _, order)) | Call(name, _, order):
                slope = name if order else {"cos": "sin", "sin": "cos"}.get(name)
                if slope is None:
                    raise Unreadable(f"{name} has no bound here")
                return Majorant.letter("gamma", slope)
            case Identity():
                return self.one
            case Number(value):
                return Majorant.number(abs(value))
        if any(quantity.step is not None for quantity in quantities(expression)):
            raise Unreadable("a factor that varies with the data")
        return Majorant.letter("weight", expression)

    def _folded(self, parts: Iterable[Expression], product: bool) -> Majorant:
        total = self.one if product else self.zero
        for part in parts:
            found = self._of_expression(part)
            total = self.multiply(total, found) if product else total + found
        return total


def _multiple_of_identity(expression: Expression) -> Fraction | None:
    """c of c I; these are added up before the norm is taken."""
    match expression:
        case Number(value) | Product((Number(value), Identity())):
            return value
        case Identity():
            return Fraction(1)
    return None


def is_covered(chain: Chain, line: Line, env: Env, words: Letters) -> bool | None:
    """Whether ``before`` ≤ ``after`` coefficient by coefficient; None where a side is no polynomial in norms."""
    degree = 4 * env["T"]
    if line.given is not None and line.why is not Why.GEOMETRIC:
        return None  # q^n ≤ q^m for q < 1 and n ≥ m: not coefficient by coefficient
    if any(isinstance(part, Blocks | Named) for side in (line.before, line.after) for part in parts(side)):
        return None  # of a companion matrix, whose norm is not that of its blocks
    try:
        while True:
            right = worth(line.after, env, Majorants(chain, words, degree))
            left = worth(line.before, env, Majorants(chain, words, None, right))
            if left.degree <= degree:
                return bool(right.covers(left))
            degree = left.degree  # the series was too short
    except Unreadable:
        return None
