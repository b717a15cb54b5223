r"""A document in another notation: every formula rewritten symbol by symbol, the prose around them left alone.

    \sigma'(a_{3})\,W_{h}\,\frac{\partial L}{\partial h_{3}}
    \sigma'(a^{(3)})\,W\,\frac{\partial L}{\partial h^{(3)}}

A formula is cut into symbols, each a letter with its subscript, primes and superscript. All are replaced in one pass:
where o becomes y and y becomes p, nothing becomes both. The result is in the vocabulary of `printing` again, so the
formats draw it like any other document.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace

from rnn_symbolic.cells import Cell
from rnn_symbolic.expressions import Call, walk
from rnn_symbolic.notations import Letters
from rnn_symbolic.printing import GREEK, latex_name
from rnn_symbolic.render.document import (
    Block,
    Box,
    Bullets,
    Display,
    Document,
    Heading,
    Listing,
    Paragraph,
    Row,
    Table,
)

_TOKEN = re.compile(r"\\[A-Za-z]+|\\.|\s+|.", re.DOTALL)
_ACCENTS = frozenset({r"\mathrm", r"\mathcal", r"\mathbf", r"\hat", r"\tilde", r"\bar"})
_LETTERS = frozenset({r"\ell", r"\sigma", *("\\" + name for name in GREEK)})
_WORDS = frozenset({r"\operatorname", r"\text", r"\mathbb", r"\begin", r"\end"})
"""What stands in the braces behind these is no formula."""
_STEP = re.compile(r"-?\d+|[tT]( ?[+-] ?\\?\w+)?")
_INDEX = re.compile(r"[jks]( ?[+-] ?\\?\w+)?")
_NO_STEPS = frozenset("nIRO")
"""Sizes, the identity, the real numbers, orders of growth: their subscripts are no steps."""
_BOUND, _SPARE = "pqruwz", "mwgen"
"""Letters that prose uses for any quantity, and what stands for such a one when a notation needs its letter."""

_Symbol = tuple[str, tuple[str, ...]]
"""A letter and the parts of its subscript: W_{f,2} is ("W", ("f", "2"))."""


def rewrite(document: Document, letters: Letters) -> Document:
    r"""The document with its formulas in a notation, and a sentence that says so.

    The sentence joins the first box (the conventions); a document without one ends with it. The article's notation
    gives the document itself.

    >>> from rnn_symbolic.cells import load_cell
    >>> from rnn_symbolic.notations import letters_for
    >>> shown = rewrite(Document("The factor $W_{h}$", ()), letters_for("goodfellow", load_cell("elman")))
    >>> shown.title
    'The factor $W$'
    """
    if letters.notation.name == "article":
        return document
    formula = Alphabet(letters).formula
    prose = _prose_with(formula)
    blocks = [_block(block, prose, formula) for block in document.blocks]
    said = convention(letters, document.language)
    for i, block in enumerate(blocks):
        if isinstance(block, Box):
            first, *others = block.items
            blocks[i] = replace(block, items=(first, *said, *others))
            break
    else:
        blocks.append(Paragraph("".join(said) if document.language == "zh" else " ".join(said)))
    return replace(document, title=prose(document.title), blocks=tuple(blocks))


def _prose_with(formula: Callable[[str], str]) -> Callable[[str], str]:
    def prose(text: str) -> str:
        return "$".join(formula(piece) if i % 2 else piece for i, piece in enumerate(text.split("$")))

    return prose


def _block(block: Block, prose: Callable[[str], str], formula: Callable[[str], str]) -> Block:
    match block:
        case Heading() | Paragraph():
            return replace(block, text=prose(block.text))
        case Bullets(items):
            return Bullets(tuple(map(prose, items)))
        case Box(title, items):
            return Box(prose(title), tuple(map(prose, items)))
        case Display(rows):
            return Display(
                tuple(
                    Row(
                        formula(row.left),
                        tuple(map(formula, row.right)),
                        formula(row.margin),
                        prose(row.note),
                        formula(row.relation),
                    )
                    for row in rows
                )
            )
        case Table(header, rows):
            return Table(tuple(map(prose, header)), tuple(tuple(map(prose, row)) for row in rows))
        case Listing():
            return block  # the names of the program


# --- formulas ---------------------------------------------------------------------------------------------------------


class Alphabet:
    r"""How the symbols of one cell are written in a notation.

    >>> from rnn_symbolic.cells import load_cell
    >>> from rnn_symbolic.notations import letters_for
    >>> Alphabet(letters_for("goodfellow", load_cell("elman"))).formula(r"\ell_{3}'(y_{3})\,h_{1}^{2}")
    "L'^{(3)}(\\hat{y}^{(3)})\\,(h^{(1)})^{2}"
    >>> Alphabet(letters_for("karpathy", load_cell("elman"))).formula(r"y_{t} = \sigma(o_{t})")
    'p_{t} = \\sigma(y_{t})'
    """

    def __init__(self, letters: Letters) -> None:
        cell = letters.cell
        self.above = letters.notation.steps_above
        self.functions = letters.functions
        self.parameters = {_symbol(latex_name(name)) for name in cell.parameters}
        names = (*cell.parameters, *cell.quantities, "x", "d", "l", "L")
        self.symbols = {
            _symbol(latex_name(name)): _symbol(letters.symbols.get(name, latex_name(name))) for name in names
        }
        # a letter for any quantity gives way to one that has a meaning
        taken = {base for base, _ in (*self.symbols, *self.symbols.values())}
        spare = iter([letter for letter in _SPARE if letter not in taken])
        new = {base for symbol, (base, _) in self.symbols.items() if base != symbol[0]}
        known = {base for base, _ in self.symbols}
        self.bound = {letter: next(spare, letter) for letter in _BOUND if letter in new - known}
        self.seen: dict[str, str] = {}

    def formula(self, tex: str) -> str:
        """A formula, rewritten."""
        if tex not in self.seen:
            self.seen[tex] = self._formula(tex)
        return self.seen[tex]

    def _formula(self, tex: str) -> str:
        tokens = _TOKEN.findall(tex)
        out: list[str] = []
        i = 0
        while i < len(tokens):
            start, token = i, tokens[i]
            i += 1
            if token in _WORDS and i < len(tokens) and tokens[i] == "{":
                i = _after(tokens, i)
                out += tokens[start:i]
            elif _is_letter(token) or token in _LETTERS or (token in _ACCENTS and i < len(tokens)):
                i = _after(tokens, i) if token in _ACCENTS else i
                base = "".join(tokens[start:i])
                scripts: dict[str, str] = {"_": "", "'": "", "^": ""}
                while i < len(tokens) and tokens[i] in scripts and not (scripts[tokens[i]] and tokens[i] != "'"):
                    mark = tokens[i]
                    end = i + 1 if mark == "'" else _after(tokens, i + 1)
                    scripts[mark] += "".join(tokens[i:end] if mark == "'" else tokens[i + 1 : end])
                    i = end
                out.append(self._written(base, scripts, "".join(tokens[start:i])))
            else:
                out.append(token)
        return "".join(out)

    def _written(self, base: str, scripts: Mapping[str, str], raw: str) -> str:
        """One symbol; ``raw`` is how it was written."""
        if base in self.functions:
            return self.functions[base] + raw[len(base) :]
        below, primes, above = scripts["_"], scripts["'"], scripts["^"]
        parts = _parts(below)
        known = next((n for n in range(len(parts), -1, -1) if (base, parts[:n]) in self.symbols), None)
        old: _Symbol = (base, parts[:known] if known is not None else ())
        others = list(parts[len(old[1]) :])
        new = self.symbols.get(old, (self.bound.get(base, base), ()))
        place = self._place_of_step(old, others, known is not None)
        if place is None and base == r"\ell" and new == self.symbols["L", ()]:
            return raw  # the loss of a step is told from the whole loss by its step
        lifted = self.above and place is not None
        if new == old and not lifted:
            return raw
        step = others.pop(place) if lifted and place is not None else ""
        indices = ",".join((*new[1], *others))
        text = new[0] + (f"_{{{indices}}}" if indices else "") + primes
        if not lifted:
            return text + (f"^{above}" if above else "")
        if _bare(above) in ("", r"\top"):
            return f"{text}^{{({step}){_bare(above)}}}"
        return f"({text}^{{({step})}})^{above}"

    def _place_of_step(self, symbol: _Symbol, others: list[str], known: bool) -> int | None:
        r"""Which of the further parts of a subscript is the step, as t-1 in h_{t-1} and 3 in a_{3,i}."""
        base = symbol[0]
        size = base in _NO_STEPS and not known  # n_{x}; an n_{t} of the cell is a quantity
        if symbol in self.parameters or size or not (known or _is_letter(base) or r"\mathcal" in base):
            return None
        patterns = (_STEP, _INDEX) if known or not _is_letter(base) else (_STEP,)
        for pattern in patterns:
            for i, part in enumerate(others):
                if pattern.fullmatch(part):
                    return i
        return None


def _is_letter(token: str) -> bool:
    return len(token) == 1 and token.isascii() and token.isalpha()


def _after(tokens: list[str], i: int) -> int:
    """The place after the argument at i: a braced group, or a single token."""
    depth = 0
    while i < len(tokens):
        depth += (tokens[i] == "{") - (tokens[i] == "}")
        i += 1
        if depth <= 0:
            break
    return i


def _symbol(tex: str) -> _Symbol:
    base, _, below = tex.partition("_")
    return base, _parts(below)


def _bare(script: str) -> str:
    return script[1:-1] if script.startswith("{") else script


def _parts(script: str) -> tuple[str, ...]:
    return tuple(_bare(script).split(",")) if script else ()


# --- what the reader is told ------------------------------------------------------------------------------------------

_WORDS_OF: Mapping[str, Mapping[str, str]] = {
    "en": {
        "own": "This is the cell used here.",
        "another": "The cell used here is another and stays as it is, its loss too: only letters change.",
        "first": "<new> stands for the article's <old>",
        "next": "<new> for <old>",
        "comma": ", ",
        "kept": "What is named <names> keeps its letter: here it means something else, or the new letter is taken.",
        "names": "Options, files, routes and JSON keep the article's names.",
        "stop": ".",
    },
    "zh": {
        "own": "这里用的就是这个单元。",
        "another": "这里用的是另一个单元，单元和损失都保持不变，只换字母。",
        "first": "<new> 即文章的 <old>",
        "next": "<new> 即 <old>",
        "comma": "，",
        "kept": "<names> 的字母不变：它在这里含义不同，或者新字母已被占用。",
        "names": "选项、文件、路线和 JSON 仍用文章的名称。",
        "stop": "。",
    },
}


def convention(letters: Letters, language: str) -> tuple[str, ...]:
    """What the convention box says of a notation: its source, the letters, what keeps its own."""
    notation, words = letters.notation, _WORDS_OF[language]
    joint = " " if language == "en" else ""
    source = notation.about[language]
    if notation.cell is not None:
        source += joint + words["own" if letters.own else "another"]
    pairs = [
        (_generic(letters, name, old=False), _generic(letters, name, old=True))
        for name in (*notation.letters, "l", "L")
        if name in letters.symbols
    ]
    if _mentions_sigma(letters.cell):
        pairs += [(f"${new}$", f"${old}$") for old, new in letters.functions.items()]
    said = [
        words["first" if i == 0 else "next"].replace("<new>", new).replace("<old>", old)
        for i, (new, old) in enumerate(pairs)
    ]
    items = [source, words["comma"].join(said) + words["stop"] + joint + words["names"]]
    if letters.kept:
        names = words["comma"].join(_generic(letters, name, old=True) for name in letters.kept)
        items.append(words["kept"].replace("<names>", names))
    return tuple(items)


def _mentions_sigma(cell: Cell) -> bool:
    """Whether there is an activation whose letter a notation may change; the others go by their names."""
    expressions = (equation.expression for equation in cell.equations)
    return any(isinstance(node, Call) and node.function == "sigma" for e in expressions for node in walk(e))


def _generic(letters: Letters, name: str, *, old: bool) -> str:
    """A symbol of the article's at the generic step, in the article's letters or in those of the notation."""
    stepped = name not in letters.cell.parameters and name != "L"
    tex = latex_name(name) + ("_{t}" if stepped else "")
    return f"${tex if old else Alphabet(letters).formula(tex)}$"
