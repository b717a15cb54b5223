r"""A document as data: headings, paragraphs, displays. The formats draw the same blocks.

Prose is text with formulas between ``$`` signs; formulas are LaTeX in the vocabulary of `printing`, which the
plain-text format translates to Unicode. Nothing here knows a language or a format.
"""

from __future__ import annotations

from rnn_symbolic.frozen import frozen


@frozen
class Heading:
    """A heading; level 1 is a section of the document."""

    text: str
    level: int = 1


@frozen
class Paragraph:
    """A paragraph of prose with formulas between ``$`` signs."""

    text: str


@frozen
class Bullets:
    """A list of items, each prose."""

    items: tuple[str, ...]


@frozen
class Box:
    """A framed list, set apart from the text: the conventions, or what was checked."""

    title: str
    items: tuple[str, ...]


@frozen
class Row:
    """One line of a display: ``left = right``, with a note in the margin.

    ``right`` holds the pieces between which a long line may break; each but the first begins with its sign or
    relation. ``margin`` is a formula (a route), ``note`` is prose (a reason).
    """

    left: str
    right: tuple[str, ...]
    margin: str = ""
    note: str = ""
    relation: str = "="


@frozen
class Display:
    """Formulas set apart, aligned at their relation signs."""

    rows: tuple[Row, ...]


@frozen
class Table:
    """A table of prose cells (formulas between ``$`` signs), with a header row."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@frozen
class Listing:
    """Lines for a computer, ASCII, shown as they are: a file, a command."""

    lines: tuple[str, ...]


Block = Heading | Paragraph | Bullets | Box | Display | Table | Listing


@frozen
class Document:
    """A titled sequence of blocks in one language."""

    title: str
    blocks: tuple[Block, ...]
    language: str = "en"
