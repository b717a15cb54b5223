r"""The words of the article's review as data, one table per language, and how computed facts enter them.

A template holds text with formulas between ``$`` signs and placeholders «name» for facts of its claim,
«claim.name» for those of another, with an optional format: «root:12» twelve digits, «literal:d» as a decimal.
No result is ever typed into a template.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from rnn_symbolic.article import Claim, Formula, Line, Route, Verdict, Word
from rnn_symbolic.errors import InputError
from rnn_symbolic.expressions import Number
from rnn_symbolic.frozen import frozen
from rnn_symbolic.printing import latex
from rnn_symbolic.render.prose import LANGUAGES
from rnn_symbolic.valuation import Amount


@frozen
class Show:
    """A fact set apart: a display for lines and points, a table for rows when there is a ``header``."""

    fact: str
    header: tuple[str, ...] = ()
    digits: int = 6


@frozen
class ClaimProse:
    """The words about one claim: what the article says, what is true, and the sentences around the evidence."""

    title: str
    says: str
    statement: str
    evidence: tuple[str | Show, ...]


@frozen
class Erratum:
    """What is printed, and what it should read."""

    claim: str
    place: str
    printed: str
    should_read: str


@frozen
class ArticleProse:
    """Everything the review says in one language."""

    title: str
    introduction: tuple[str, ...]
    conventions_title: str
    conventions: tuple[str, ...]
    says: str
    verdict: str
    verdicts: Mapping[Verdict, str]
    statement: str
    words: Mapping[str, str]
    claims: Mapping[str, ClaimProse]
    errata_title: str
    errata_introduction: str
    errata_header: tuple[str, ...]
    errata: tuple[Erratum, ...]
    slips_introduction: str
    slips: tuple[str, ...]
    checked_title: str
    checked: tuple[str, ...]
    letter_title: str
    letter: tuple[str, ...]
    letter_end: str


def article_prose(language: str) -> ArticleProse:
    """The words in one language. Raises InputError for a language there is not."""
    if language == "en":
        from rnn_symbolic.render.article_en import ENGLISH

        return ENGLISH
    if language == "zh":
        from rnn_symbolic.render.article_zh import CHINESE

        return CHINESE
    raise InputError(f"{language!r} is not a language of this program: choose one of {', '.join(LANGUAGES)}")


# --- facts as LaTeX -------------------------------------------------------------------------------------------------


def show(value: Any, digits: int = 6, decimal: bool = False) -> str:
    r"""The LaTeX of a fact.

    >>> show(Fraction(1024, 25), decimal=True), show(1.5e-7), show(Amount(0.0, -400.0, 1))
    ('40.96', '1.5 \\times 10^{-7}', '1 \\times 10^{-400}')
    """
    match value:
        case bool():
            raise TypeError("a truth value is a word, not a formula")
        case int():
            return str(value)
        case Fraction():
            return _decimal(value) if decimal else latex(Number(value))
        case float():
            return _float(value, digits)
        case Amount(number, log10, sign):
            if 1e-300 < abs(number) < 1e300 or sign == 0:
                return _float(number, digits)
            exponent = int(log10 // 1)
            return ("-" if sign < 0 else "") + rf"{10 ** (log10 - exponent):.3g} \times 10^{{{exponent}}}"
        case Formula(tex):
            return tex
        case Route() | Line():
            return value.latex
        case tuple():
            return r",\; ".join(show(item, digits, decimal) for item in value)
    raise TypeError(f"a {type(value).__name__} cannot stand in a formula")


def _float(number: float, digits: int) -> str:
    mantissa, _, exponent = f"{number:.{digits}g}".partition("e")
    return rf"{mantissa} \times 10^{{{int(exponent)}}}" if exponent else mantissa


def _decimal(number: Fraction) -> str:
    """The exact decimal. Raises ValueError when it does not end."""
    denominator, places = number.denominator, 0
    while denominator > 1:
        if 10 ** (places + 1) > 10**12:
            raise ValueError(f"{number} has no short decimal")
        places += 1
        denominator = (number * 10**places).denominator
    return f"{float(number):.{places}f}"


PLACEHOLDER = re.compile(r"«(?:([a-z0-9.-]+)\.)?([A-Za-z_0-9]+)(?::(d|\d+))?»")


def placeholders(template: str) -> tuple[str, ...]:
    """The placeholders of a template, in order.

    >>> placeholders("$«paths»$ of $«three-paths.counts:3»$")
    ('«paths»', '«three-paths.counts:3»')
    """
    return tuple(match.group(0) for match in PLACEHOLDER.finditer(template))


def fill(template: str, own: Mapping[str, Any], claims: Mapping[str, Claim], words: Mapping[str, str]) -> str:
    """The template with every fact in its place; truth values and codes become ``words``.

    Raises KeyError for a fact that was not computed.
    """

    def value(match: re.Match[str]) -> str:
        claim, name, form = match.groups()
        facts = claims[claim].facts if claim else own
        digits = int(form) if form and form != "d" else 6
        fact = facts[name]
        if isinstance(fact, bool):
            return words["yes" if fact else "no"]
        return words[fact.code] if isinstance(fact, Word) else show(fact, digits, decimal=form == "d")

    return PLACEHOLDER.sub(value, template)
