"""A document as Markdown with GitHub's mathematics: ```math fences and $`…`$, which need no escaping."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rnn_symbolic.render.document import Box, Bullets, Display, Document, Heading, Listing, Paragraph, Table
from rnn_symbolic.render.latex import aligned_displays


def document_markdown(document: Document) -> str:
    """The document in GitHub-flavoured Markdown."""
    return "\n\n".join([f"# {inline_markdown(document.title)}", *map(_block, document.blocks)]) + "\n"


def inline_markdown(text: str) -> str:
    r"""Prose with its formulas between $` and `$.

    >>> inline_markdown(r"the factor $W_{h}^{2}$ grows")
    'the factor $`W_{h}^{2}`$ grows'
    """
    pieces = text.split("$")
    assert len(pieces) % 2 == 1, f"unbalanced $ in {text!r}"
    return "".join(
        f"$`{github(piece)}`$" if i % 2 else re.sub(r"([*_<>\[\]|])", r"\\\1", piece) for i, piece in enumerate(pieces)
    )


def github(tex: str) -> str:
    r"""The formula without what GitHub's MathJax lacks: it refuses ``\operatorname``, and ``\text`` knows no sizes.

    >>> github(r"\operatorname{relu}'(a) && \text{\footnotesize $t = 1$} \text{\small a note}")
    "\\mathrm{relu}'(a) && t = 1 \\text{a note}"
    """
    tex = re.sub(r"\\text\{\\footnotesize \$(.*?)\$\}", r"\1", tex)
    return tex.replace(r"\operatorname", r"\mathrm").replace(r"\text{\small ", r"\text{")


def _block(block: object) -> str:
    match block:
        case Heading(text, level):
            return f"{'#' * (level + 1)} {inline_markdown(text)}"
        case Paragraph(text):
            return inline_markdown(text)
        case Bullets(items):
            return "\n".join(f"- {inline_markdown(item)}" for item in items)
        case Box(title, items):
            lines = [f"> **{inline_markdown(title)}**", ">", *(f"> - {inline_markdown(item)}" for item in items)]
            return "\n".join(lines)
        case Display(rows):
            parts = aligned_displays(rows, gap=r"\qquad")
            return "\n\n".join(
                f"```math\n\\begin{{aligned}}\n{github(lines)}\n\\end{{aligned}}\n```" for lines in parts
            )
        case Table(header, rows):
            return _table(header, rows)
        case Listing(lines):
            return "\n".join(("```text", *lines, "```"))
    raise TypeError(f"{type(block).__name__} is not a block of a document")


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(c if c == "---" else inline_markdown(c) for c in line) + " |" for line in lines)
