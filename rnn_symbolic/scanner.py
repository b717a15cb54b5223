r"""Lines of a cell's text: what may stand in them at all, before anything is parsed.

Operands (names, numbers, brackets) and operators must alternate, and brackets must match: a flag and a stack
decide it, character by character. So every refusal has its exact line and column, the same under every
version of Python, and what is handed on holds no word but names and numbers.
"""

from __future__ import annotations

import ast
import re
from keyword import iskeyword

from rnn_symbolic.errors import CellError
from rnn_symbolic.frozen import frozen
from rnn_symbolic.functions import FUNCTIONS, LOSS_ONLY, MATRIX_ONLY

MAX_CHARACTERS, MAX_LINES, MAX_LINE_LENGTH = 20_000, 200, 2_000
MAX_BRACKETS = MAX_SIGNS = 50
MAX_NAME_LENGTH = 40
MAX_NODES, MAX_DEPTH = 500, 100

RESERVED = {
    "t": "the running index",
    "T": "the number of steps",
    "L": "the total loss",
    "l": "the loss of one step",
    "ell": "the loss of one step",
    "loss": "the loss line",
}
GIVEN = {"x": "the input", "d": "the target"}
EVERY_FUNCTION = (*FUNCTIONS, *MATRIX_ONLY, *LOSS_ONLY)
HINTS = {
    ";": "write one equation a line",
    "^": "a power is written **",
    "\\": "an equation stands on one line",
    ",": "every function takes one argument",
    "=": "a line holds one '=', between a name and its expression",
    "\u2212": "write -",
    "\u00b7": "write *",
    "\u00d7": "write *",
    "\u03c3": "write sigma",
}
NAME = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:_[A-Za-z0-9]+)*")
SCALAR = re.compile(r"[ \t]*scalar[ \t]+(.*)")
TOKEN = re.compile(
    r"(?P<name>[A-Za-z_][A-Za-z0-9_]*)"
    r"|(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)"
    r"|(?P<operator>\*\*|//|[-+*/@])|(?P<open>[(\[])|(?P<close>[)\]])|(?P<blank>[ \t]+)",
    re.ASCII,  # \d: no other digits than 0-9
)


@frozen
class Line:
    """``target = body`` on a numbered line; ``start`` is the place of the body, counted from 0."""

    number: int
    target: str
    target_column: int
    body: str
    start: int

    def error(self, offset: int, message: str) -> CellError:
        """What is wrong ``offset`` characters into the body."""
        return CellError(message, self.number, self.start + offset + 1)

    def source(self, node: ast.expr) -> str:
        """The text of a node, shortened for a message."""
        return short(self.body[node.col_offset : node.end_col_offset])

    def tree(self) -> ast.expr:
        """The body, parsed, with its nodes and its depth bounded.

        A sum is flat, however long: its signs count as no nodes, and (like a product) its left-nested tree
        as no depth.
        """
        try:
            tree = ast.parse(self.body, mode="eval").body
        except (SyntaxError, ValueError, MemoryError, RecursionError, OverflowError):
            message = "this expression cannot be read; name its inner parts in equations of their own"
            raise self.error(0, message) from None
        count, waiting = 0, [(tree, 0)]
        while waiting:
            node, depth = waiting.pop()
            count += 1
            match node:
                case ast.BinOp(left, operator, right):
                    flat = isinstance(operator, (ast.Add, ast.Sub, ast.Mult, ast.Div))
                    waiting += [(left, depth if flat else depth + 1), (right, depth + 1)]
                    count -= isinstance(operator, (ast.Add, ast.Sub))
                case ast.UnaryOp(operand=operand):
                    waiting.append((operand, depth + 1))
                case ast.Call(args=arguments):
                    waiting += [(argument, depth + 1) for argument in arguments]
            if count > MAX_NODES:
                message = f"the expression has more than {MAX_NODES} parts; split it over several equations"
                raise self.error(0, message)
            if depth > MAX_DEPTH:
                message = f"operations are nested deeper than {MAX_DEPTH}; name an inner part"
                raise self.error(node.col_offset, message)
        return tree


def split_lines(text: str) -> tuple[list[Line], dict[str, tuple[int, int]]]:
    """The equations as (target, body) in order, and the declared scalars with their places."""
    # Only these three end a line: str.splitlines would also end one at U+2028, in the middle of a comment.
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    if len(text) > MAX_CHARACTERS:
        number = text.count("\n", 0, MAX_CHARACTERS) + 1
        column = MAX_CHARACTERS - text.rfind("\n", 0, MAX_CHARACTERS)
        raise CellError(f"a cell has at most {MAX_CHARACTERS} characters, not {len(text)}", number, column)
    rows = text.removesuffix("\n").split("\n")
    if len(rows) > MAX_LINES:
        raise CellError(f"a cell has at most {MAX_LINES} lines, not {len(rows)}", MAX_LINES + 1, 1)
    lines: list[Line] = []
    scalars: dict[str, tuple[int, int]] = {}
    for number, row in enumerate(rows, 1):
        if len(row) > MAX_LINE_LENGTH:
            message = f"a line has at most {MAX_LINE_LENGTH} characters, not {len(row)}; split the equation"
            raise CellError(message, number, MAX_LINE_LENGTH + 1)
        code = row.partition("#")[0].rstrip(" \t")
        left, equals, right = code.partition("=")
        column = len(code) - len(code.lstrip(" \t")) + 1
        if equals:
            line = Line(number, left.strip(" \t"), column, right.strip(" \t"), _after(code, len(left) + 1))
            _check_target(line, {earlier.target: earlier.number for earlier in lines}, scalars)
            _scan(code, line.start, number)
            lines.append(line)
        elif declaration := SCALAR.fullmatch(code):
            name, column = declaration[1], declaration.start(1) + 1
            _check_definable(name, "scalar", number, column)
            if name in scalars or any(line.target == name for line in lines):
                raise CellError(f"{name!r} is defined a second time; choose another name", number, column)
            scalars[name] = (number, column)
        elif code:
            message = f"expected 'name = expression' or 'scalar name', found {short(code[column - 1 :])!r}"
            raise CellError(message, number, column)
    if not lines:
        raise CellError("the cell has no equation; write for example 'y = sigma(W_y @ x)'", 1, 1)
    return lines, scalars


def _after(code: str, position: int) -> int:
    """The place of the first character from ``position`` on that is not blank."""
    return len(code) - len(code[position:].lstrip(" \t"))


def short(source: str) -> str:
    return source if len(source) <= 40 else source[:37] + "..."


def _check_name(name: str, number: int, column: int) -> None:
    if not NAME.fullmatch(name):
        message = f"{short(name)!r} is no name; names are letters and digits, in parts joined by single '_'"
        raise CellError(message + ", such as W_x", number, column)
    if len(name) > MAX_NAME_LENGTH:
        message = f"the name {short(name)!r} has {len(name)} characters; at most {MAX_NAME_LENGTH} are read"
        raise CellError(message, number, column)
    if iskeyword(name):
        raise CellError(f"{name!r} is a word of Python and names nothing here; rename it", number, column)


def _check_definable(name: str, what: str, number: int, column: int) -> None:
    """Refuse a name that a cell must not give a meaning to."""
    _check_name(name, number, column)
    meaning = RESERVED | GIVEN | {function: "a function" for function in EVERY_FUNCTION}
    if name in meaning:
        message = f"{name!r} is {meaning[name]} and cannot name a {what}; choose another name"
        raise CellError(message, number, column)


def _check_target(line: Line, earlier: dict[str, int], scalars: dict[str, tuple[int, int]]) -> None:
    name, number, column = line.target, line.number, line.target_column
    if not NAME.fullmatch(name):
        hint = ""
        if SCALAR.fullmatch(name):
            hint = "; a scalar is declared without '=', its number is given as a value"
        elif "[" in name:
            hint = "; an equation always defines step t"
        message = f"the left side must be a bare name such as h, not {short(name)!r}{hint}"
        raise CellError(message, number, column)
    if name != "loss":
        _check_definable(name, "quantity", number, column)
    if name in earlier:
        raise CellError(f"{name!r} is already defined in line {earlier[name]}", number, column)
    if name in scalars:
        message = f"{name!r} is declared a scalar in line {scalars[name][0]}, so no equation can define it"
        raise CellError(message, number, column)


def _scan(code: str, start: int, number: int) -> None:
    """Refuse every body that is not operands joined by operators, in matching brackets.

    Operand and operator must alternate, so a flag decides it; the messages and columns are ours and the
    same under every version of Python, and what reaches `ast.parse` has no word but names and numbers.
    """
    if start >= len(code):
        raise CellError("an expression is expected after '='", number, start + 1)
    brackets: list[tuple[str, int]] = []
    operand = False  # is what ends here an operand?
    signs, before, kind_before = 0, "=", ""
    position = start
    while position < len(code):
        match, column = TOKEN.match(code, position), position + 1
        if match is None:
            raise CellError(_strange(code, position), number, column)
        kind, word, position = match.lastgroup or "", match[0], match.end()
        if kind == "blank":
            continue
        signs = signs + 1 if word in "+-" else 0
        if signs > MAX_SIGNS:
            raise CellError(f"more than {MAX_SIGNS} signs in a row", number, column)
        starts_operand = kind in ("name", "number") or (word == "(" and kind_before != "name")
        if operand and starts_operand:
            message = f"an operator is missing between {short(before)!r} and {short(word)!r}"
            raise CellError(message + "; write * (elementwise) or @ (matrix)", number, column)
        if not operand and (kind == "close" or word == "[" or (kind == "operator" and word not in "+-")):
            message = f"expected a name, a number or '(' after {before!r}, found {word!r}"
            raise CellError(message, number, column)
        if kind == "name":
            _check_name(word, number, column)
        elif kind == "number" and re.fullmatch(r"0\d+", word):
            raise CellError(f"write {short(word)!r} without leading zeros", number, column)
        elif kind == "open":
            brackets.append((word, column))
            if len(brackets) > MAX_BRACKETS:
                message = f"brackets are nested deeper than {MAX_BRACKETS}; name an inner part"
                raise CellError(message, number, column)
        elif kind == "close":
            if not brackets or brackets.pop()[0] + word not in ("()", "[]"):
                raise CellError(f"{word!r} closes no bracket", number, column)
        elif word == "//":
            raise CellError("'//' is outside the language; write / for a quotient", number, column)
        operand, before, kind_before = kind in ("name", "number", "close"), word, kind
    if not operand:
        message = f"the line ends after {before!r}; a name, a number or '(' is expected"
        raise CellError(message, number, len(code) + 1)
    if brackets:
        message = f"{brackets[-1][0]!r} is never closed; an equation stands on one line"
        raise CellError(message, number, brackets[-1][1])


def _strange(code: str, position: int) -> str:
    """What to say of a character that begins no word."""
    character = code[position]
    if code.startswith("==", position) or (character == "=" and code[position - 1] == "="):
        return "'==' compares, and nothing is compared here; a line is 'name = expression'"
    if character == "." and (attribute := re.compile(r"\.[ \t]*(\w+)").match(code, position)):
        return f"'.{short(attribute[1])}' is outside the language; write a plain name, such as tanh(a)"
    hint = HINTS.get(character, "names, numbers, + - * / ** @ and brackets are read; the rest goes after '#'")
    return f"{character!r} is outside the language; {hint}"
