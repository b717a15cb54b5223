r"""A claim, the computed facts that bear on it, and the verdict that follows from them.

A verdict is never stored: `Claim.verdict` compares facts with facts each time it is asked, so a changed fact
changes the verdict. Nothing here knows a language; the words live in `render`.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable
from enum import Enum
from fractions import Fraction
from typing import Any

from rnn_symbolic.expressions import Quantity
from rnn_symbolic.frozen import frozen
from rnn_symbolic.numeric import Point
from rnn_symbolic.printing import latex_quantity
from rnn_symbolic.valuation import Amount


class Verdict(Enum):
    """What we find; each value is the verdict's stable code."""

    HOLDS = "holds"
    CONDITIONAL = "holds under a condition"
    CORRECTION = "needs correction"


@frozen
class Formula:
    """A formula in the LaTeX vocabulary of `printing`."""

    latex: str


@frozen
class Route:
    """A path by the names of its nodes: L → ℓ_3 → y_3 → h_3 → W_x."""

    nodes: tuple[Quantity, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The names, as in JSON."""
        return tuple(map(str, self.nodes))

    @property
    def latex(self) -> str:
        r"""The route with arrows.

        >>> Route((Quantity("y", 3), Quantity("h", 3))).latex
        'y_{3} \\to h_{3}'
        """
        return r" \to ".join(map(latex_quantity, self.nodes))


@frozen
class Line:
    """One line of a display: left = right, which may break between its pieces; the margin names a route."""

    left: str
    right: tuple[str, ...]
    margin: str = ""

    @property
    def latex(self) -> str:
        """The line as one formula, without its margin."""
        return f"{self.left} = {' '.join(self.right)}" if self.left else " ".join(self.right)


@frozen
class Word:
    """A stable code that each language has a word for: "explodes"."""

    code: str


Value = bool | int | float | Fraction | Amount | Formula | Route | Line | Word | Point | tuple[Any, ...]
"""What a fact may be; a tuple of tuples is a table, a tuple of lines a display, and
a point is a display that JSON writes as a ``--values`` file."""


@frozen
class Fact:
    """One computed thing, by name."""

    name: str
    value: Value


_RELATIONS: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "<": operator.lt,
    ">": operator.gt,
}


@frozen
class Check:
    """A comparison between two facts by name, or between a fact and a constant of the article's own.

    >>> Check("paths", "=", "kept").passes({"paths": 6, "kept": 3})
    False
    """

    left: str
    relation: str
    right: str | bool | int | Fraction

    def passes(self, facts: dict[str, Any]) -> bool:
        """Whether the comparison is true of these facts."""
        right = facts[self.right] if isinstance(self.right, str) else self.right
        return bool(_RELATIONS[self.relation](facts[self.left], right))


class Method(Enum):
    """How a fact was put to the test."""

    EXPANDED = "expanded"  # is a difference zero for every σ and ℓ_t? SymPy expands it
    SIMPLIFIED = "simplified"  # an identity of logistic, tanh or softplus, by SymPy
    RUN = "run"  # found again from forward passes or by a complex step
    SEARCHED = "searched"  # the points that a search looked at


@frozen
class Tally:
    """What was tried and what of it passed, by the names of facts; a truth value is one trial.

    >>> Tally(Method.RUN, "runs", "equal").counts({"runs": 8, "equal": 7})
    (8, 7)
    >>> Tally(Method.EXPANDED, "zero").counts({"zero": False})
    (1, 0)
    """

    method: Method
    tried: str
    passed: str = ""

    def counts(self, facts: dict[str, Any]) -> tuple[int, int]:
        """How many were tried, and how many of them passed."""
        tried = facts[self.tried]
        passed = facts[self.passed] if self.passed else tried
        return (1, int(tried)) if isinstance(tried, bool) else (int(tried), int(passed))


@frozen
class Claim:
    """A claim of the article: where it says so, what was computed, and what must be true of that.

    ``stated`` must pass for the claim to hold as the article words it; ``amended`` must pass for it to hold under
    the condition that the statement names. With no amendment, what fails as stated needs correction. ``tallies``
    say which facts were proved, run again or searched for, so that a document can count them.
    """

    id: str
    quotes: tuple[str, ...]
    evidence: tuple[Fact, ...]
    stated: tuple[Check, ...]
    amended: tuple[Check, ...] = ()
    tallies: tuple[Tally, ...] = ()

    @property
    def facts(self) -> dict[str, Any]:
        """The evidence by name."""
        return {fact.name: fact.value for fact in self.evidence}

    @property
    def verdict(self) -> Verdict:
        """The verdict that the evidence supports."""
        facts = self.facts
        if all(check.passes(facts) for check in self.stated):
            return Verdict.HOLDS
        if self.amended and all(check.passes(facts) for check in self.amended):
            return Verdict.CONDITIONAL
        return Verdict.CORRECTION


def counted(claims: Iterable[Claim], method: Method) -> tuple[int, int, int]:
    """How many tallies of one method the claims have, how much was tried, and how much of it passed."""
    counts = [tally.counts(claim.facts) for claim in claims for tally in claim.tallies if tally.method is method]
    return len(counts), sum(tried for tried, _ in counts), sum(passed for _, passed in counts)


def evidence(**facts: Value) -> tuple[Fact, ...]:
    """Facts by name, in the order given."""
    return tuple(Fact(name, value) for name, value in facts.items())
