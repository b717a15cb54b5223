"""The review of the article as a document, and as JSON: claims, verdicts, evidence, errata and a letter."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any

from rnn_symbolic.article import Claim, Formula, Line, Method, Route, Verdict, Word, counted
from rnn_symbolic.expressions import Number
from rnn_symbolic.numeric import Point
from rnn_symbolic.printing import latex, latex_name
from rnn_symbolic.render.article_prose import ArticleProse, Show, article_prose, fill, show
from rnn_symbolic.render.document import Block, Box, Bullets, Display, Document, Heading, Paragraph, Row, Table
from rnn_symbolic.render.text import inline_text
from rnn_symbolic.valuation import Amount

SCHEMA_VERSION = 1
MEND = (
    Row(
        r"\frac{\partial L}{\partial W_{x}}",
        (
            r"\sum_{t=1}^{3} \sum_{s=1}^{t} \ell_{t}'(y_{t})\,\sigma'(o_{t})\,W_{y}",
            r"\left(\prod_{j=s+1}^{t} \sigma'(a_{j})\,W_{h}\right) \sigma'(a_{s})\,x_{s}",
        ),
    ),
    Row(r"\frac{\partial h_{t}}{\partial h_{s}}", (r"\prod_{j=s+1}^{t} \sigma'(a_{j})\,W_{h}",)),
)
"""The two lines that mend the article; the first is proved where the sum of the paths is."""


def article_document(claims: Sequence[Claim], language: str = "en") -> Document:
    """The review: the conventions, each claim in turn, the errata, what was checked, and the letter."""
    words = article_prose(language)
    by_id = {claim.id: claim for claim in claims}
    summary = _summary(claims)

    def text(template: str, own: Mapping[str, Any] = summary) -> str:
        return fill(template, own, by_id, words.words)

    blocks: list[Block] = [Box(words.conventions_title, tuple(map(text, words.conventions)))]
    blocks.extend(Paragraph(text(paragraph)) for paragraph in words.introduction)
    for number, claim in enumerate(claims, 1):
        about, facts = words.claims[claim.id], claim.facts
        blocks.append(Heading(f"{number}. {about.title}"))
        blocks.append(Paragraph(words.says + text(about.says, facts)))
        blocks.append(Paragraph(words.verdict + words.verdicts[claim.verdict]))
        blocks.append(Paragraph(words.statement + text(about.statement, facts)))
        for item in about.evidence:
            blocks.append(_shown(item, facts, words) if isinstance(item, Show) else Paragraph(text(item, facts)))
    blocks.append(Heading(words.errata_title))
    blocks.append(Paragraph(words.errata_introduction))
    rows = tuple((row["place"], row["printed"], row["should_read"]) for row in _errata(claims, words))
    blocks.append(Table(words.errata_header, rows))
    blocks.append(Paragraph(words.slips_introduction))
    blocks.append(Bullets(words.slips))
    blocks.append(Box(words.checked_title, tuple(map(text, words.checked))))
    blocks.append(Heading(words.letter_title))
    blocks.extend(Paragraph(text(paragraph)) for paragraph in words.letter)
    blocks.append(Display(MEND))
    blocks.append(Paragraph(text(words.letter_end)))
    return Document(words.title, tuple(blocks), language)


def _summary(claims: Sequence[Claim]) -> dict[str, Any]:
    """What the review counts over all its claims."""
    found = [claim.verdict for claim in claims]
    return {
        "total": len(found),
        "holding": found.count(Verdict.HOLDS),
        "conditional": found.count(Verdict.CONDITIONAL),
        "correcting": found.count(Verdict.CORRECTION),
        **_checked(claims),
    }


def _checked(claims: Sequence[Claim]) -> dict[str, int]:
    """How much was proved, run again, searched and compared, from the evidence."""
    _, expanded, zero = counted(claims, Method.EXPANDED)
    _, simplified, confirmed = counted(claims, Method.SIMPLIFIED)
    _, run, agreeing = counted(claims, Method.RUN)
    searches, searched, _ = counted(claims, Method.SEARCHED)
    return {
        "expanded": expanded,
        "zero": zero,
        "nonzero": expanded - zero,
        "simplified": simplified,
        "confirmed": confirmed,
        "run": run,
        "agreeing": agreeing,
        "searches": searches,
        "searched": searched,
        "comparisons": sum(len(claim.stated) + len(claim.amended) for claim in claims),
    }


def _errata(claims: Sequence[Claim], words: ArticleProse) -> Iterator[dict[str, str]]:
    """The rows for the claims that do not hold as they stand."""
    by_id = {claim.id: claim for claim in claims}
    for entry in words.errata:
        claim = by_id[entry.claim]
        if claim.verdict is not Verdict.HOLDS:
            place, printed, should_read = (
                fill(template, claim.facts, by_id, words.words)
                for template in (entry.place, entry.printed, entry.should_read)
            )
            yield {"claim": claim.id, "place": place, "printed": printed, "should_read": should_read}


# --- evidence as blocks ---------------------------------------------------------------------------------------------


def _shown(item: Show, facts: Mapping[str, Any], words: ArticleProse) -> Block:
    value = facts[item.fact]
    if item.header:
        rows = tuple(tuple(_cell(cell, words, item.digits) for cell in row) for row in value)
        return Table(item.header, rows)
    if isinstance(value, Point):
        return Display(tuple(_point_rows(value)))
    lines = (value,) if isinstance(value, Line) else value
    return Display(tuple(Row(line.left, line.right, line.margin, relation="=" if line.left else "") for line in lines))


def _cell(value: Any, words: ArticleProse, digits: int) -> str:
    if isinstance(value, Word):
        return words.words[value.code]
    shown = show(value, digits)
    return f"${shown}$" if shown else "–"


def _point_rows(point: Point) -> Iterator[Row]:
    """The weights on one line, the inputs and the targets on one each; biases only where they are not zero."""
    names = [name for name in ("W_x", "W_h", "W_y", "b_h", "b_y") if point.parameters[name] != 0 or name[0] == "W"]
    for letters, numbers in (
        (map(latex_name, names), [point.parameters[name] for name in names]),
        ((f"x_{{{t}}}" for t in range(1, len(point.x) + 1)), point.x),
        ((f"d_{{{t}}}" for t in range(1, len(point.d) + 1)), point.d),
    ):
        yield Row(_tuple(letters), (_tuple(map(_exact, numbers)),))


def _tuple(entries: Iterable[str]) -> str:
    return "(" + r",\; ".join(entries) + ")"


def _exact(number: Any) -> str:
    return latex(Number(number)) if isinstance(number, Fraction) else f"{number:g}"


# --- JSON -----------------------------------------------------------------------------------------------------------


def article_json(claims: Sequence[Claim], language: str = "en") -> dict[str, Any]:
    """The review as data: keys and verdict codes do not depend on the language; exact fractions are strings "p/q"."""
    words = article_prose(language)
    by_id = {claim.id: claim for claim in claims}
    summary = _summary(claims)

    def text(template: str, own: Mapping[str, Any] = summary) -> str:
        return inline_text(fill(template, own, by_id, words.words))

    found = []
    for claim in claims:
        about, facts = words.claims[claim.id], claim.facts
        found.append(
            {
                "id": claim.id,
                "title": text(about.title, facts),
                "claim": text(about.says, facts),
                "quote": list(claim.quotes),
                "verdict": claim.verdict.value,
                "statement": text(about.statement, facts),
                "evidence": [{"name": fact.name, "value": json_value(fact.value)} for fact in claim.evidence],
                "explanation": [text(item, facts) for item in about.evidence if isinstance(item, str)],
            }
        )
    return {
        "schema_version": SCHEMA_VERSION,
        "conventions": list(map(text, words.conventions)),
        "claims": found,
        "errata": [{key: inline_text(value) for key, value in row.items()} for row in _errata(claims, words)],
        "checked": _checked(claims),
        "letter": [text(paragraph) for paragraph in (*words.letter, words.letter_end)],
        "mend": [f"{row.left} = {' '.join(row.right)}" for row in MEND],
    }


def json_value(value: Any) -> Any:
    """A fact as JSON: formulas as LaTeX, routes as lists of names, points as a ``--values`` file.

    >>> json_value(Fraction(-28)), json_value(Fraction(1, 3)), json_value(math.inf)
    (-28, '1/3', 'inf')
    """
    match value:
        case Fraction():
            return value.numerator if value.denominator == 1 else str(value)
        case float() if not math.isfinite(value):
            return str(value)
        case Amount(number, log10, sign):
            return {"value": json_value(number), "log10": json_value(log10), "sign": sign}
        case Formula(tex):
            return {"latex": tex}
        case Route():
            return list(value.names)
        case Line():
            return {"latex": value.latex, **({"margin": value.margin} if value.margin else {})}
        case Word(code):
            return code
        case Point():
            numbers = {name: float(number) for name, number in value.parameters.items()}
            initial = {f"{name}_{step}": float(number) for (name, step), number in value.initial.items()}
            return {**numbers, **initial, "x": [*map(float, value.x)], "d": [*map(float, value.d)]}
        case tuple():
            return [json_value(item) for item in value]
    return value
