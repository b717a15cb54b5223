"""What an exercise is: a problem, what is left to the student, and the answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from rnn_symbolic.derivation import Derivation
from rnn_symbolic.exercises.problems import Problem, Term
from rnn_symbolic.exercises.writing import formula_lines, formula_text
from rnn_symbolic.expressions import Expression, Quantity
from rnn_symbolic.frozen import frozen
from rnn_symbolic.model import Model
from rnn_symbolic.numeric import Key, Values
from rnn_symbolic.table import Edge

KINDS = ("blank", "spoiled", "numbers")
LEVELS = (1, 2, 3)


class WrongKey(AssertionError):
    """An exercise whose key is not right: a defect of ours, and nothing is printed."""


@dataclass(frozen=True)
class Exercise:
    """What all kinds share: the choices that make a sheet, its network and what is asked for."""

    seed: int
    level: int
    problem: Problem
    model: Model
    goals: tuple[Quantity, ...]

    kind = ""

    @property
    def goal(self) -> Quantity:
        """What L is differentiated by, where it is one thing."""
        (goal,) = self.goals
        return goal

    def lines(self, terms: tuple[Term, ...]) -> tuple[str, ...]:
        """A sum of terms as a formula that an audit reads."""
        return formula_lines(self.goal, [formula_text(term.expression, self.model.names) for term in terms])


@frozen
class Blank:
    """A place that is left open; ``what`` is "factor", "pair" (two neighbours), "index" or "term".

    ``text`` is the answer in the language of formulas, ``answer`` the same as a record.
    """

    number: int
    what: str
    text: str
    answer: Expression


@dataclass(frozen=True)
class BlankExercise(Exercise):
    """∂L/∂goal as a sum over paths with blanks; ``terms`` are the whole terms, ``shown`` those of the sheet."""

    derivation: Derivation
    terms: tuple[Term, ...]
    shown: tuple[Term, ...]
    blanks: tuple[Blank, ...]

    kind = "blank"

    @property
    def formula(self) -> tuple[str, ...]:
        """The formula with blanks, line by line."""
        return self.lines(self.shown)

    @property
    def answer(self) -> tuple[str, ...]:
        """The formula filled in."""
        return self.lines(self.terms)


@dataclass(frozen=True)
class SpoiledExercise(Exercise):
    """A derivation with one mistake: in one row of its table, in one term, or a term that is missing.

    Lines are numbered through, the ``rows`` of the table first, then the ``terms``. ``place`` is the number of the line
    that is spoiled; where a term is missing, that of the term before which it is missing. ``mistake`` is the kind,
    ``code`` what was done, both in the words of the audit. ``wrong`` and ``right`` are the two readings of the line.
    """

    derivation: Derivation
    rows: tuple[Edge, ...]
    terms: tuple[Term, ...]
    where: str  # "row", "term", "missing"
    place: int
    mistake: str
    code: str
    wrong: Expression | None
    right: Expression
    right_terms: tuple[Term, ...]

    kind = "spoiled"

    @property
    def formula(self) -> tuple[str, ...]:
        """The formula of the sheet, which is wrong."""
        return self.lines(self.terms)

    @property
    def answer(self) -> tuple[str, ...]:
        """The right formula."""
        return self.lines(self.right_terms)

    @property
    def followers(self) -> tuple[int, ...]:
        """The numbers of the terms that follow rightly from a wrong row, and change with it."""
        if self.where != "row":
            return ()
        first = len(self.rows) + 1
        pairs = zip(self.terms, self.right_terms, strict=True)
        return tuple(first + i for i, (theirs, ours) in enumerate(pairs) if theirs != ours)


@dataclass(frozen=True)
class NumbersExercise(Exercise):
    """A network with numbers: forward pass, local slopes, paths and gradients, step by step.

    ``exact`` says that all numbers are fractions; otherwise they are rounded to `digits` decimals where shown.
    """

    given: Mapping[Key, Fraction]
    values: Values
    slopes: tuple[tuple[Expression, Fraction | float], ...]
    terms: Mapping[Quantity, tuple[tuple[Term, Fraction | float], ...]]
    gradients: Mapping[Quantity, Fraction | float]
    exact: bool

    kind = "numbers"
