r"""What an audit found: a verdict, and for each gradient that was given a finding.

Nothing here is prose: `render.audit_document` says it, in English or Chinese.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rnn_symbolic.array_functions import Array
from rnn_symbolic.auditing.mistakes import KINDS, Mistake
from rnn_symbolic.model import Model

VERDICTS = ("correct", "wrong", "inconclusive")
STATUSES = ("right", "wrong", "inconclusive")

__all__ = ["KINDS", "STATUSES", "VERDICTS", "Audit", "Fact", "Finding", "Instance", "Part", "UsualCheck"]


@dataclass(frozen=True)
class Part:
    """One mistake, side by side in LaTeX: ``left`` = ``yours`` where ``left`` = ``right`` belongs; no ``left``, no "=".

    ``rule`` is the code of the rule that gives the right one (a `table.LocalRule`, or "sum-over-paths", "linearity",
    "layout", "definition"); ``term`` is the term of a formula as it was written, empty where there is none; ``route``
    is the path that a term of a formula belongs to or comes nearest to.
    """

    mistake: Mistake
    left: str
    yours: str
    right: str
    rule: str
    term: str = ""
    route: tuple[str, ...] = ()


@dataclass(frozen=True)
class Instance:
    """The smallest point found at which the two differ: T, the sizes, small rationals by name, and both gradients."""

    steps: int
    sizes: Mapping[str, int]
    values: Mapping[str, Any]  # name -> a number as text, or nested lists of them
    yours: Array
    right: Array


@dataclass(frozen=True)
class UsualCheck:
    """What the usual check sees: T = 2, h_0 = 0, weights of size 0.01; it passes up to a relative error of 1e-2."""

    passed: bool
    error: float
    tolerance: float


@dataclass(frozen=True)
class Fact:
    """Something that is proved although no mistake was named; ``code`` says what, ``numbers`` which."""

    code: str
    numbers: tuple[float, ...] = ()


@dataclass(frozen=True)
class Finding:
    """What was found of one gradient; a formula may have several findings, one for each wrong term.

    ``kind`` is one of KINDS where it is wrong. ``error`` is ‖given − right‖ / (‖given‖ + ‖right‖) at the point where it
    is largest, ``points`` at how many points it was given, ``reproduced`` what the named mistakes leave of that error.
    ``same`` are kinds of other mistakes that give exactly these numbers. ``note`` is why nothing can be said:
    "precision", "kink", "zero", "shape", "overflow".
    """

    wrt: str
    status: str
    kind: str | None = None
    parts: tuple[Part, ...] = ()
    error: float = 0.0
    reproduced: float | None = None
    points: int = 1
    given: Array | None = None
    right: Array | None = None
    same: tuple[str, ...] = ()
    facts: tuple[Fact, ...] = ()
    instance: Instance | None = None
    usual: UsualCheck | None = None
    note: str = ""
    shapes: tuple[tuple[int, ...], tuple[int, ...]] | None = None  # given and expected, where they differ

    @property
    def mistakes(self) -> tuple[Mistake, ...]:
        """What was done wrong."""
        return tuple(part.mistake for part in self.parts)


@dataclass(frozen=True, repr=False)
class Audit:
    """The verdict on somebody's gradients, and the findings; shows itself as text, and in Jupyter.

    ``would_pass_usual_check`` is None where nothing says what would be computed at the usual point. ``source`` is
    "formula", "gradients" or "code". ``notes`` are facts about the audit itself. ``told`` False keeps the answers back.
    ``hidden`` are kinds of mistakes that would not have shown at the points of numbers that are right.
    """

    verdict: str
    findings: tuple[Finding, ...]
    would_pass_usual_check: bool | None
    model: Model
    source: str
    notes: tuple[Fact, ...] = ()
    told: bool = True
    hidden: tuple[str, ...] = ()

    @property
    def wrong(self) -> tuple[Finding, ...]:
        """The findings that something is wrong."""
        return tuple(finding for finding in self.findings if finding.status == "wrong")

    def __repr__(self) -> str:
        counts = {status: sum(f.status == status for f in self.findings) for status in STATUSES}
        said = ", ".join(f"{n} {status}" for status, n in counts.items() if n)
        return f"Audit({self.verdict!r}: {said})"

    def __str__(self) -> str:
        from rnn_symbolic.render.audit_document import audit_document
        from rnn_symbolic.render.text import document_text

        return document_text(audit_document(self, "en"))

    def _repr_html_(self) -> str:
        from html import escape  # its table of names is long

        return f"<pre>{escape(str(self))}</pre>"

    def _repr_markdown_(self) -> str:
        from rnn_symbolic.render.audit_document import audit_document
        from rnn_symbolic.render.markdown import document_markdown

        return document_markdown(audit_document(self, "en"))


def verdict_of(findings: tuple[Finding, ...]) -> str:
    """Wrong if anything is wrong, correct if all is right, else inconclusive.

    >>> verdict_of((Finding("W_x", "right"), Finding("W_h", "inconclusive")))
    'inconclusive'
    """
    statuses = {finding.status for finding in findings}
    if "wrong" in statuses:
        return "wrong"
    return "correct" if statuses == {"right"} else "inconclusive"
