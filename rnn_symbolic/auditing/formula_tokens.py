"""The text of formulas, cut into formulas and these into words; every word knows its line and column.

One formula a line; what is indented further than the first formula continues the one before.
"""

from __future__ import annotations

import re
from bisect import bisect_right

from rnn_symbolic.errors import FormulaError
from rnn_symbolic.frozen import frozen
from rnn_symbolic.scanner import HINTS as CELL_HINTS
from rnn_symbolic.scanner import MAX_NAME_LENGTH, NAME, short

MAX_CHARACTERS, MAX_LINES, MAX_LINE_LENGTH = 200_000, 2_000, 10_000
MAX_DIGITS = 400  # of a number; Python itself refuses to read more than 4300

HINTS = CELL_HINTS | {
    ";": "write one formula a line",
    "^": "a power is written **, a transposed matrix W.T",
    "\\": "a formula goes on in the next line when that is indented",
    "{": "a step stands in square brackets, as in h[t-1]",
    ".": "a range is written 1..3, a transposed matrix W.T",
    "\u2032": "write '",
    "\u2019": "write '",
    "\u2018": "write '",
    "\u2202": "write d",
    "\u2207": "write dW_x = ...",
    "\u2211": "write sum(k=1..3, ...)",
    "\u03a3": "write sum(k=1..3, ...)",
    "\u220f": "write prod(j=1..3, ...)",
    "\u03a0": "write prod(j=1..3, ...)",
    "\u2299": "write *",
    "\u2218": "write *",
    "\u1d40": "write .T",
    "\u22a4": "write .T",
    "\u2113": "write l",
    "\u2026": "a range is written 1..3",
}
HINT = "names, numbers, + - * / ** @ .T ' and brackets are read; the rest goes after '#'"
TOKEN = re.compile(
    r"(?P<blank>[ \t]+)|(?P<name>[A-Za-z_][A-Za-z0-9_]*)|(?P<dots>\.\.)"
    r"|(?P<number>(?:\d+(?:\.(?!\.)\d*)?|\.\d+)(?:[eE][+-]?\d+)?)"  # 1..3 is 1 .. 3
    r"|(?P<attribute>\.[ \t]*[A-Za-z_][A-Za-z0-9_]*)|(?P<operator>\*\*|//|[-+*/@])|(?P<mark>==|[()\[\],='])",
    re.ASCII,
)


# --- texts ----------------------------------------------------------------------------------------------------------


@frozen
class Source:
    """One formula: its lines joined by a blank, and for each line (place in the text, line, column)."""

    text: str
    starts: tuple[tuple[int, int, int], ...]

    def place(self, offset: int) -> tuple[int, int]:
        """Line and column of a place in the text."""
        start, line, column = self.starts[bisect_right(self.starts, offset, key=lambda start: start[0]) - 1]
        return line, column + offset - start

    def error(self, offset: int, message: str) -> FormulaError:
        """What is wrong at a place in the text."""
        return FormulaError(message, *self.place(offset))

    def quote(self, start: int, end: int) -> str:
        """A part of the text, shortened for a message."""
        return short(" ".join(self.text[start:end].split()))


def split_formulas(text: str) -> list[Source]:
    r"""The formulas of a text, each on its line and the indented ones after it; comments are left out.

    >>> [source.text for source in split_formulas("dW = x[1]\n   + x[2]  # twice\n\ndb = 1")]
    ['dW = x[1] + x[2]', 'db = 1']

    Raises FormulaError for a text that is too long, or without a formula.
    """
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    if len(text) > MAX_CHARACTERS:
        number = text.count("\n", 0, MAX_CHARACTERS) + 1
        column = MAX_CHARACTERS - text.rfind("\n", 0, MAX_CHARACTERS)
        raise FormulaError(f"at most {MAX_CHARACTERS} characters are read, not {len(text)}", number, column)
    rows = text.removesuffix("\n").split("\n")
    if len(rows) > MAX_LINES:
        raise FormulaError(f"at most {MAX_LINES} lines are read, not {len(rows)}", MAX_LINES + 1, 1)
    found: list[list[tuple[str, int, int]]] = []
    indent = 0
    for number, row in enumerate(rows, 1):
        if len(row) > MAX_LINE_LENGTH:
            message = f"a line has at most {MAX_LINE_LENGTH} characters, not {len(row)}; go on in an indented line"
            raise FormulaError(message, number, MAX_LINE_LENGTH + 1)
        code = row.partition("#")[0].rstrip(" \t")
        if not code:
            continue
        blanks = len(code) - len(code.lstrip(" \t"))
        if not found:
            indent = blanks
        piece = (code[blanks:], number, blanks + 1)
        if not found or blanks <= indent:
            found.append([piece])
        else:
            found[-1].append(piece)
    if not found:
        raise FormulaError("there is no formula; write for example 'dW_x = l'(y[1]) * ...'", 1, 1)
    return [_joined(pieces) for pieces in found]


def _joined(pieces: list[tuple[str, int, int]]) -> Source:
    starts, offset = [], 0
    for code, line, column in pieces:
        starts.append((offset, line, column))
        offset += len(code) + 1
    return Source(" ".join(code for code, _, _ in pieces), tuple(starts))


# --- tokens ---------------------------------------------------------------------------------------------------------


@frozen
class Token:
    """A word: ``kind`` is name, number, .T, end, or the mark itself."""

    kind: str
    text: str
    at: int

    @property
    def end(self) -> int:
        return self.at + len(self.text)


def tokens_of(source: Source) -> list[Token]:
    """The words of a formula; the last is the end. Raises FormulaError for a character outside the language."""
    text, found, position = source.text, list[Token](), 0
    while position < len(text):
        match = TOKEN.match(text, position)
        if match is None:
            character = text[position]
            hint = HINTS.get(character, HINT)
            raise source.error(position, f"{character!r} is outside the language; {hint}")
        kind, word = match.lastgroup or "", match[match.lastgroup or 0]
        if kind != "blank":
            found.append(_token(source, kind, word, position))
        position += len(word)
    return [*found, Token("end", "", len(text))]


def _token(source: Source, kind: str, word: str, at: int) -> Token:
    if kind == "name":
        if not NAME.fullmatch(word):
            message = f"{short(word)!r} is no name; names are letters and digits, in parts joined by single '_'"
            raise source.error(at, message + ", such as W_x")
        if len(word) > MAX_NAME_LENGTH + 10:  # a name of a cell, behind d or before a step
            raise source.error(at, f"the name {short(word)!r} has {len(word)} characters, more than any of a cell")
    elif kind == "number" and len(word) > MAX_DIGITS:
        raise source.error(at, f"a number has at most {MAX_DIGITS} digits, not {len(word)}")
    elif kind == "attribute":
        if word[1:].strip() != "T":
            raise source.error(at, f"'.{short(word[1:].strip())}' is outside the language; only .T is, as in W_h.T")
        return Token(".T", word, at)
    elif word == "//":
        raise source.error(at, "'//' is outside the language; write / for a quotient")
    elif word == "==":
        raise source.error(at, "'==' compares, and nothing is compared here; a line is 'dW_x = formula'")
    return Token(kind if kind in ("name", "number") else word, word, at)
