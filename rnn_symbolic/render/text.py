"""A document as Unicode text of at most 100 columns, for a terminal."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence

from rnn_symbolic.render.document import Box, Bullets, Display, Document, Heading, Listing, Paragraph, Row, Table
from rnn_symbolic.unicode import plain

WIDTH = 100


def document_text(document: Document) -> str:
    """The document, wrapped to 100 columns; Chinese characters count two."""
    lines: list[str] = [*_title(inline_text(document.title), "=")]
    for block in document.blocks:
        lines.append("")
        match block:
            case Heading(text, level):
                lines.extend(_title(inline_text(text), "-" if level == 1 else ""))
            case Paragraph(text):
                lines.extend(wrap(inline_text(text)))
            case Bullets(items):
                lines.extend(line for item in items for line in _item(inline_text(item), "• "))
            case Box(title, items):
                lines.extend(_box(title, items))
            case Display(rows):
                lines.extend(_display(rows))
            case Table(header, rows):
                lines.extend(_table(header, rows))
            case Listing(code):
                lines.extend(f"    {line}" for line in code)
    return "\n".join(line.rstrip() for line in lines) + "\n"


def inline_text(text: str) -> str:
    """Prose with its formulas in Unicode.

    >>> inline_text(r"the factor $W_{h}^{2}$ grows")
    'the factor W_h² grows'
    """
    pieces = text.split("$")
    assert len(pieces) % 2 == 1, f"unbalanced $ in {text!r}"
    return "".join(plain(piece) if i % 2 else piece for i, piece in enumerate(pieces))


def columns(text: str) -> int:
    """The columns a text takes in a terminal: wide characters take two, combining ones none."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def wrap(text: str, width: int = WIDTH, indent: str = "", hanging: str = "") -> list[str]:
    """Lines of at most ``width`` columns; breaks at spaces, between Chinese characters, and in what no line holds."""
    # a closing mark belongs to the word before it: it never starts a line, nor sticks out of one
    word = r"(?:[\u3000-\u9fff\uff00-\uffef]|[^\s\u3000-\u9fff\uff00-\uffef]+)[，。、；：）》」！？”]*"
    tokens = re.findall(rf"\s+|{word}", text)
    lines, line = [], indent
    empty = True
    for token in tokens:
        if token.isspace():
            if not empty:
                line += token.replace("\n", " ")
            continue
        wide = columns(line) + columns(token) > width
        if wide and (not empty or columns(hanging) + columns(token) <= width):
            lines.append(line.rstrip())
            line, empty = hanging, True
        rest = token
        while columns(line) + columns(rest) > width:
            room = max(1, (width - columns(line)) // (2 if columns(rest) > len(rest) else 1))
            lines.append(line + rest[:room])
            line, rest = hanging, rest[room:]
        line += rest
        empty = False
    if not empty:
        lines.append(line.rstrip())
    return lines or [""]


def _title(text: str, underline: str) -> list[str]:
    lines = wrap(text)
    return [*lines, underline * max(map(columns, lines))] if underline else lines


def _item(text: str, mark: str, width: int = WIDTH) -> list[str]:
    return wrap(text, width, mark, " " * columns(mark))


def _box(title: str, items: Sequence[str]) -> list[str]:
    inner = WIDTH - 4
    body = [line for item in items for line in _item(inline_text(item), "• ", inner)]
    width = max(map(columns, [*body, title + "  "]))
    top = f"┌─ {title} " + "─" * (width - columns(title) - 1) + "┐"
    rows = [f"│ {line}{' ' * (width - columns(line))} │" for line in body]
    return [top, *rows, "└" + "─" * (width + 2) + "┘"]


def _display(rows: Sequence[Row]) -> Iterator[str]:
    margins = [plain(row.margin) for row in rows]
    lefts = [plain(row.left) for row in rows]
    has_margin = max((columns(m) for m in margins), default=0)
    left_width = max((columns(left) for left in lefts), default=0)
    widths = (columns(" ".join(map(plain, row.right))) for row in rows if row.note)
    column = left_width + 9 + max((width for width in widths if width < 50), default=0)
    for row, margin, left in zip(rows, margins, lefts, strict=True):
        head = "  "
        if has_margin and has_margin <= 40:
            head += margin + " " * (has_margin - columns(margin) + 3)
        elif margin:
            yield from wrap(margin, indent="  ", hanging="      ")
            head += "    "
        if left or left_width:
            label = " " * (left_width - columns(left)) + left + f" {plain(row.relation) or ' '} "
            if columns(head + label) > WIDTH - 20:  # names so long that they stand on lines of their own
                yield from wrap(f"{left} {plain(row.relation)}", indent=head, hanging="    ")
                head, label = "      ", ""
            head += label
        elif row.relation:
            head += f"{plain(row.relation)} "
        pieces = [plain(piece) for piece in row.right]
        formula = " ".join(pieces)
        hanging = " " * min(columns(head), 46)
        note = f"({inline_text(row.note)})" if row.note else ""
        if columns(head + formula) > WIDTH and len(pieces) > 1:  # one term a line
            for i, piece in enumerate(pieces):
                yield from wrap(piece, indent=hanging + ("  " if i else "") if i else head, hanging=hanging + "      ")
            formula = ""
        gap = " " * max(2, column - columns(head + formula))
        if note and formula and columns(head + formula + gap + note) <= WIDTH:
            yield head + formula + gap + note
            continue
        if formula:
            yield from wrap(formula, indent=head, hanging=hanging)
        if note:
            yield from wrap(note, indent=hanging, hanging=hanging + " ")


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    cells = [[inline_text(cell) for cell in row] for row in (header, *rows)]
    natural = [max(columns(row[i]) for row in cells) for i in range(len(header))]
    room = WIDTH - 2 * (len(header) - 1)
    widths = list(natural)
    while sum(widths) > room:
        widest = max(range(len(widths)), key=widths.__getitem__)
        widths[widest] -= 1
    for number, row in enumerate(cells):
        wrapped = [wrap(cell, width) for cell, width in zip(row, widths, strict=True)]
        for i in range(max(map(len, wrapped))):
            parts = [lines[i] if i < len(lines) else "" for lines in wrapped]
            padded = (p + " " * (w - columns(p)) for p, w in zip(parts, widths, strict=True))
            yield "  ".join(padded).rstrip()
        if number == 0:
            yield "  ".join("─" * width for width in widths)
