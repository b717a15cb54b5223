r"""Notations: the same document in other letters; what means something else, or would look alike, keeps its own.

The tests read formulas with a regular expression of their own and compare symbol by symbol, in order: a symbol
that is left as it was, renamed twice, or made to look like another is found.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache

import pytest
from latex_tools import compile_tex, displays, have_katex, have_tex, katex_failures, markdown_formulas, require
from textbook import CELLS, LSTM

from rnn_symbolic.article import study_article
from rnn_symbolic.cells import BUILT_IN, Cell, load_cell, parse_cell
from rnn_symbolic.derivation import derive_gradients
from rnn_symbolic.errors import InputError
from rnn_symbolic.model import unroll
from rnn_symbolic.notations import NOTATIONS, Letters, letters_for, notation_named, resolve
from rnn_symbolic.printing import latex_name
from rnn_symbolic.render.article_document import article_document
from rnn_symbolic.render.derivation_document import derivation_document
from rnn_symbolic.render.document import Box, Bullets, Display, Document, Heading, Paragraph, Row, Table
from rnn_symbolic.render.latex import document_latex
from rnn_symbolic.render.markdown import document_markdown
from rnn_symbolic.render.notation import Alphabet, convention, rewrite
from rnn_symbolic.render.path_tables import paths_document
from rnn_symbolic.render.text import WIDTH, columns, document_text
from rnn_symbolic.survey import survey_paths

OTHERS = tuple(name for name in NOTATIONS if name != "article")
LANGUAGES = ("en", "zh")
D2L = "h = W_x @ x + W_h @ h[t-1]\ny = W_y @ h"
PASCANU = "a = W_h @ sigma(a[t-1]) + W_x @ x + b_h\ny = a"
EVERY_CELL = {
    **{f"textbook-{name}": text for name, text in CELLS.items()},
    **BUILT_IN,
    "d2l": D2L,
    "pascanu": PASCANU,
}


@cache
def derivation(name: str, language: str, depth: int = 2) -> Document:
    model = unroll(load_cell(EVERY_CELL[name]), steps=3)
    return derivation_document(derive_gradients(model), language=language, depth=depth)


@cache
def letters(notation: str, name: str) -> Letters:
    return letters_for(notation, load_cell(EVERY_CELL[name]))


def written(tex: str, notation: str, cell: str = "elman") -> str:
    return Alphabet(letters(notation, cell)).formula(tex)


# --- an independent reading of documents and formulas ---------------------------------------------------


def pieces(document: Document) -> Iterator[tuple[str, bool]]:
    """Every text of a document with its formulas cut out, as (text, is it a formula?)."""

    def prose(text: str) -> Iterator[tuple[str, bool]]:
        return ((piece, i % 2 == 1) for i, piece in enumerate(text.split("$")))

    yield from prose(document.title)
    for block in document.blocks:
        match block:
            case Heading(text=text) | Paragraph(text):
                yield from prose(text)
            case Bullets(items):
                yield from (piece for item in items for piece in prose(item))
            case Box(title, items):
                yield from (piece for item in (title, *items) for piece in prose(item))
            case Table(header, rows):
                yield from (piece for row in (header, *rows) for cell in row for piece in prose(cell))
            case Display(rows):
                for row in rows:
                    yield from ((tex, True) for tex in (row.left, *row.right, row.margin, row.relation))
                    yield from prose(row.note)


def formulas(document: Document) -> list[str]:
    return [text for text, is_formula in pieces(document) if is_formula]


def unnoticed(document: Document, letters: Letters) -> Document:
    """The document in another notation, without the sentences that say so."""
    shown = rewrite(document, letters)
    said = convention(letters, document.language)
    blocks = [
        Box(block.title, tuple(item for item in block.items if item not in said)) if isinstance(block, Box) else block
        for block in shown.blocks
    ][: len(document.blocks)]
    return Document(shown.title, tuple(blocks), shown.language)


GROUP = r"\{(?:[^{}]|\{[^{}]*\})*\}"
SYMBOL = re.compile(
    rf"""\\(?:operatorname|text|begin|end)\{{[^{{}}]*\}}
       | (?P<base> \\(?:mathrm|mathcal|hat)\{{\w+\}}
                 | \\(?:ell|sigma|phi|alpha|beta|gamma|delta|theta|lambda|mu|nu|rho|tau|psi|omega)(?![A-Za-z])
                 | (?<!\\)[A-Za-z] )
         (?:_(?P<below>{GROUP}))? (?P<primes>'*) (?:_(?P<late>{GROUP}))? (?:\^(?P<above>{GROUP}))?
       | \\[A-Za-z]+""",
    re.VERBOSE,
)
STEP = re.compile(r"-?\d+|[Tt](?:[+-]\w+)?|[js](?:[+-]\d+)?")

Seen = tuple[str, str, str]
"""A symbol as (letter with the subscripts of its name, step, primes)."""


def symbols(tex: str, parameters: frozenset[str] = frozenset()) -> list[Seen]:
    r"""The symbols of a formula in order; a step below or above is the same step.

    >>> symbols(r"\ell_{3}'(\hat{y}^{(3)})\,W_{h}")
    [('\\ell', '3', "'"), ('\\hat{y}', '3', ''), ('W_{h}', '', '')]
    """
    found: list[Seen] = []
    for match in SYMBOL.finditer(tex):
        if match["base"] is None:
            continue
        below = match["below"] or match["late"] or ""
        parts = below[1:-1].split(",") if below else []
        step = ""
        above = re.fullmatch(r"\{\(([^()]*)\)\}", match["above"] or "")
        if above:
            step = above[1]
        elif parts and STEP.fullmatch(parts[-1]) and f"{match['base']}_{below}" not in parameters:
            step = parts.pop()
        name = match["base"] + (f"_{{{','.join(parts)}}}" if parts else "")
        found.append((name, step, match["primes"]))
    return found


def compare(before: Iterable[str], after: Iterable[str], new: Mapping[str, str], cell: Cell) -> None:
    """Symbol by symbol: each is written as ``new`` says, steps and primes are kept, no two become one."""
    parameters = frozenset(latex_name(name) for name in cell.parameters)
    renamed_parameters = parameters | {new.get(tex, tex) for tex in parameters}
    became: dict[str, str] = {}
    for old_formula, new_formula in zip(before, after, strict=True):
        old_symbols = symbols(old_formula, parameters)
        new_symbols = symbols(new_formula, renamed_parameters)
        assert len(old_symbols) == len(new_symbols), (old_formula, new_formula)
        for (old, step, primes), (now, new_step, new_primes) in zip(old_symbols, new_symbols, strict=True):
            assert (new_step, new_primes) == (step, primes), (old_formula, new_formula)
            # p, q, … of the prose stand for anything: they may give way to a letter with a meaning, consistently
            bound = old in tuple("pquwz") and step == "" and old not in new
            expected = became.get(old, now) if bound else new.get(old, old)
            assert now == expected, (old, now, old_formula, new_formula)
            became[old] = now
    alike = {("\\ell", "L"), ("L", "\\ell")}  # L^{(t)} and L: told apart by the step
    for old, now in became.items():
        for other, its in became.items():
            assert old == other or now != its or (old, other) in alike, (old, other, now)


def expected(letters: Letters) -> dict[str, str]:
    """What the resolved letters promise, as LaTeX to LaTeX."""
    new = {latex_name(name): tex for name, tex in letters.symbols.items()}
    return {**new, **letters.functions}


# --- the letters themselves, typed by hand --------------------------------------------------------------

ELMAN = {
    "goodfellow": {
        "W_{x}": "U",
        "W_{h}": "W",
        "W_{y}": "V",
        "b_{h}": "b",
        "b_{y}": "c",
        "y": r"\hat{y}",
        "d": "y",
        r"\ell": "L",
    },
    "karpathy": {
        "W_{x}": "W_{xh}",
        "W_{h}": "W_{hh}",
        "W_{y}": "W_{hy}",
        "o": "y",
        "y": "p",
        r"\ell": r"\mathrm{loss}",
        "L": r"\mathrm{loss}",
    },
    # o is taken by the output's pre-activation, so y, and with it d, stay
    "d2l": {
        "W_{x}": "W_{hx}",
        "W_{h}": "W_{hh}",
        "W_{y}": "W_{qh}",
        "b_{y}": "b_{q}",
        r"\ell": "l",
        r"\sigma": r"\phi",
    },
    # the state is h, not a, so nothing is called x but the input was
    "pascanu": {
        "x": "u",
        "W_{x}": r"W_{\mathrm{in}}",
        "W_{h}": r"W_{\mathrm{rec}}",
        "b_{h}": "b",
        r"\ell": r"\mathcal{E}",
        "L": r"\mathcal{E}",
    },
}
OWN = {
    "d2l": {"W_{x}": "W_{hx}", "W_{h}": "W_{hh}", "W_{y}": "W_{qh}", "y": "o", "d": "y", r"\ell": "l"},
    "pascanu": {**ELMAN["pascanu"], "a": "x"},
}


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("notation", OTHERS)
def test_the_articles_network_in_every_notation(notation: str, language: str) -> None:
    for depth in (1, 2, 3):
        before = derivation("elman", language, depth)
        after = unnoticed(before, letters(notation, "elman"))
        compare(formulas(before), formulas(after), ELMAN[notation], load_cell("elman"))


@pytest.mark.parametrize("notation", OWN)
def test_the_sources_own_cells(notation: str) -> None:
    before = derivation(notation, "en")
    after = unnoticed(before, letters(notation, notation))
    compare(formulas(before), formulas(after), OWN[notation], parse_cell(EVERY_CELL[notation]))


@pytest.mark.parametrize("notation", OTHERS)
@pytest.mark.parametrize("cell", EVERY_CELL)
def test_every_cell_in_every_notation(cell: str, notation: str) -> None:
    resolved = letters(notation, cell)
    for language in LANGUAGES:
        before = derivation(cell, language)
        after = unnoticed(before, resolved)
        assert [text for text, is_formula in pieces(before) if not is_formula] == [
            text for text, is_formula in pieces(after) if not is_formula
        ], "prose changed"
        compare(formulas(before), formulas(after), expected(resolved), resolved.cell)


@pytest.mark.parametrize("notation", OTHERS)
def test_a_chain_of_renamings_is_caught(notation: str) -> None:
    """One replacement after another, in the order of the notation: o becomes y, then every y becomes p."""
    before = formulas(derivation("elman", "en"))
    new = ELMAN[notation]
    order = ["d", "o", "x", *new]

    def chained(tex: str) -> str:
        for old in dict.fromkeys(order):
            tex = tex.replace(old + "_", new[old] + "_") if len(old) == 1 and old in new else tex
            tex = tex.replace(old, new[old]) if len(old) > 1 and old in new else tex
        return tex

    if notation in ("goodfellow", "karpathy"):
        with pytest.raises(AssertionError):
            compare(before, map(chained, before), new, load_cell("elman"))
    with pytest.raises(AssertionError):  # one symbol left as it was
        compare(before, before, new, load_cell("elman"))
    spoiled = {**new, "W_{h}": new["W_{x}"]}  # two symbols in one
    with pytest.raises(AssertionError):
        alphabet = Alphabet(letters(notation, "elman"))
        alphabet.symbols["W", ("h",)] = alphabet.symbols["W", ("x",)]
        compare(before, map(alphabet.formula, before), spoiled, load_cell("elman"))


# --- formulas -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tex", "shown"),
    [
        (r"h_{t} = \sigma(a_{t})", r"h^{(t)} = \sigma(a^{(t)})"),
        (r"a_{t} = W_{h}\,h_{t-1} + W_{x}\,x_{t} + b_{h}", r"a^{(t)} = W\,h^{(t-1)} + U\,x^{(t)} + b"),
        (r"\frac{\partial^{+} h_{t}}{\partial W_{h}}", r"\frac{\partial^{+} h^{(t)}}{\partial W}"),
        (r"\frac{\partial L}{\partial h_{3}}", r"\frac{\partial L}{\partial h^{(3)}}"),
        (r"\ell_{3}'(y_{3})\,\sigma'(o_{3})\,W_{y}", r"L'^{(3)}(\hat{y}^{(3)})\,\sigma'(o^{(3)})\,V"),
        (r"\nabla \ell_{3}(y_{3})^{\top}", r"\nabla L^{(3)}(\hat{y}^{(3)})^{\top}"),
        (r"\nabla_{h_{t}} L", r"\nabla_{h^{(t)}} L"),
        (r"\nabla_{W_{x}} L", r"\nabla_{U} L"),
        (r"\mathcal{S}_{t}", r"\mathcal{S}^{(t)}"),
        (r"W_{h}^{2}\,W_{y}^{\top}", r"W^{2}\,V^{\top}"),
        (r"h_{1}^{2} + h_{1}^{\top} + y_{1}^{2}", r"(h^{(1)})^{2} + h^{(1)\top} + (\hat{y}^{(1)})^{2}"),
        (
            r"\underbrace{\Bigl(\prod_{j=1}^{3} \sigma'(a_{j})\Bigr)\,W_{h}^{2}}_{\sigma'{}^{3}\,W_{h}^{2}}",
            r"\underbrace{\Bigl(\prod_{j=1}^{3} \sigma'(a^{(j)})\Bigr)\,W^{2}}_{\sigma'{}^{3}\,W^{2}}",
        ),
        (r"L = \sum_{t=1}^{100} \ell_{t}", r"L = \sum_{t=1}^{100} L^{(t)}"),
        (r"L \to \ell_{3} \to y_{3} \to W_{x}", r"L \to L^{(3)} \to \hat{y}^{(3)} \to U"),
        (r"\tfrac{1}{2}\,(y_{t} - d_{t})^{2}", r"\tfrac{1}{2}\,(\hat{y}^{(t)} - y^{(t)})^{2}"),
        (r"(\operatorname{diag}(\sigma'(a_{t}))\,W_{h})^{\top}", r"(\operatorname{diag}(\sigma'(a^{(t)}))\,W)^{\top}"),
        (r"W_{h,ij}\,h_{t-1,j}", r"W_{ij}\,h_{j}^{(t-1)}"),
        (r"W_{h} \in \mathbb{R}^{n_{h} \times n_{h}}", r"W \in \mathbb{R}^{n_{h} \times n_{h}}"),
        (r"\ell", r"\ell"),  # without a step it would become L
        (r"t = 3", r"t = 3"),
        (r"10^{-300} \cdot O(T)", r"10^{-300} \cdot O(T)"),
        (r"\begin{pmatrix} h_{0} & 0 \end{pmatrix}", r"\begin{pmatrix} h^{(0)} & 0 \end{pmatrix}"),
    ],
)
def test_formulas_of_goodfellow(tex: str, shown: str) -> None:
    assert written(tex, "goodfellow") == shown


@pytest.mark.parametrize(
    ("tex", "notation", "cell", "shown"),
    [
        (r"a_{f,3} + u_{t}", "goodfellow", "lstm", r"a_{f}^{(3)} + u^{(t)}"),
        (r"a_{f,3}", "karpathy", "lstm", r"a_{f,3}"),
        (r"y_{t} = \sigma(o_{t})", "karpathy", "elman", r"p_{t} = \sigma(y_{t})"),
        (r"p + q + y", "karpathy", "elman", r"m + q + p"),
        (r"\sigma'(a_{3}) + \sigma'{}^{3}", "d2l", "elman", r"\phi'(a_{3}) + \phi'{}^{3}"),
        (r"\ell_{t}(y_{t}) - d_{t}", "d2l", "d2l", r"l_{t}(o_{t}) - y_{t}"),
        (
            r"a_{t} = W_{h}\,\sigma(a_{t-1}) + W_{x}\,x_{t} + b_{h}",
            "pascanu",
            "pascanu",
            r"x_{t} = W_{\mathrm{rec}}\,\sigma(x_{t-1}) + W_{\mathrm{in}}\,u_{t} + b",
        ),
        (r"\frac{\partial L}{\partial x_{2}}", "pascanu", "pascanu", r"\frac{\partial \mathcal{E}}{\partial u_{2}}"),
    ],
)
def test_formulas_of_the_others(tex: str, notation: str, cell: str, shown: str) -> None:
    assert written(tex, notation, cell) == shown


def test_long_names_and_their_steps() -> None:
    cell = parse_cell("gate = tanh(W_gate_2 @ gate[t-1] + W_x @ x)\ny = W_y @ gate")
    alphabet = Alphabet(letters_for("goodfellow", cell))
    tex = r"\mathrm{gate}_{t} = \tanh(W_{\mathrm{gate},2}\,\mathrm{gate}_{t-1} + W_{x}\,x_{t})"
    assert alphabet.formula(tex) == (
        r"\mathrm{gate}^{(t)} = \tanh(W_{\mathrm{gate},2}\,\mathrm{gate}^{(t-1)} + U\,x^{(t)})"
    )


def test_a_name_that_begins_like_another() -> None:
    alphabet = Alphabet(letters_for("karpathy", parse_cell("h = tanh(W_h @ h[t-1] + W @ x)\ny = W_y @ h")))
    assert alphabet.formula(r"W_{h}\,h_{t-1} + W\,x_{t}") == r"W_{hh}\,h_{t-1} + W\,x_{t}"


def test_prose_and_the_articles_notation_stay() -> None:
    document = Document(
        "The gradient $W_{h}$ of W_h",
        (
            Paragraph("h_3 and $h_{3}$"),
            Bullets(("y $y_{1}$",)),
            Display((Row("y_{1}", ("h_{1}", "+ W_{y}"), r"t = 1 \to x_{1}", "note y $y$", r"\approx"),)),
            Table(("d $d_{1}$",), (("W $W_{x}$",),)),
        ),
    )
    assert rewrite(document, letters("article", "elman")) is document
    shown = rewrite(document, letters("goodfellow", "elman"))
    assert shown.title == "The gradient $W$ of W_h"
    assert shown.blocks[:-1] == (
        Paragraph("h_3 and $h^{(3)}$"),
        Bullets((r"y $\hat{y}^{(1)}$",)),
        Display((Row(r"\hat{y}^{(1)}", ("h^{(1)}", "+ V"), r"t = 1 \to x^{(1)}", r"note y $\hat{y}$", r"\approx"),)),
        Table(("d $y^{(1)}$",), (("W $U$",),)),
    )
    assert isinstance(shown.blocks[-1], Paragraph) and "Goodfellow" in shown.blocks[-1].text


# --- which letters fit a cell ---------------------------------------------------------------------------


def fitting(notation: str, text: str) -> dict[str, str]:
    found = letters_for(notation, parse_cell(text))
    assert set(found.kept).isdisjoint(found.symbols)
    return {name: tex for name, tex in found.symbols.items() if name not in ("l", "L")}


RECURRENT = "h = tanh(W_h @ h[t-1] + W_x @ x + b_h)\n"


@pytest.mark.parametrize(
    ("notation", "text", "shown", "kept"),
    [
        # a gate is no pre-activation of the output, and y is no letter for it
        ("karpathy", BUILT_IN.get("lstm", LSTM), {"W_y": "W_{hy}", "y": "p"}, {"o"}),
        # b_y is not written c beside a state c
        ("goodfellow", "c = tanh(W_h @ c[t-1] + x)\ny = W_y @ c + b_y", {"W_h": "W", "W_y": "V"}, {"b_y"}),
        # somebody's own W_hh
        ("karpathy", RECURRENT + "y = h + W_hh @ x", {"W_x": "W_{xh}"}, {"W_h", "y"}),
        ("pascanu", RECURRENT + "y = h * u_0 + W_in", {"W_h": r"W_{\mathrm{rec}}", "b_h": "b"}, {"W_x"}),
        # u is taken, so x stays, so the state a cannot be called x
        ("pascanu", "a = W_h @ sigma(a[t-1]) + x\ny = a * u", {"W_h": r"W_{\mathrm{rec}}"}, {"x", "a"}),
        # p is taken, so y stays, so o stays
        ("karpathy", RECURRENT + "o = p * h\ny = sigma(o)", {"W_h": "W_{hh}", "W_x": "W_{xh}"}, {"y", "o"}),
        # o is read by another equation as well: it is more than what y is made of
        ("karpathy", "o = W_h @ h[t-1] + x\nh = tanh(o)\ny = sigma(o)", {"W_h": "W_{hh}", "y": "p"}, {"o"}),
        # o is no pre-activation, it is a state; y is no activation of anything
        ("karpathy", "o = tanh(W_h @ o[t-1] + x)\ny = o + W_y", {"W_h": "W_{hh}"}, {"o", "y", "W_y"}),
        # the output is fed back, not the state: W_h does not lead from h to h
        ("karpathy", "h = tanh(W_h @ y[t-1] + W_x @ x)\ny = sigma(h)", {"W_x": "W_{xh}", "y": "p"}, {"W_h"}),
        # names in each other's places
        (
            "goodfellow",
            "h = tanh(W_x @ h[t-1] + W_h @ x + b_y)\ny = W_y @ h[t-1] + b_h",
            {},
            set("W_x W_h W_y b_h b_y".split()),
        ),
        # a state with an h behind it, and an a that is no state, are not the state of the paper
        ("pascanu", "a = W_h @ h[t-1] + V * a[t-1] + x\nh = sigma(a)\ny = h", {"W_h": r"W_{\mathrm{rec}}"}, {"a"}),
        ("pascanu", "s = tanh(W_h @ s[t-1] + x)\na = V @ s\ny = a * a", {"W_h": r"W_{\mathrm{rec}}"}, {"a"}),
        # more than the input
        ("karpathy", "h = tanh(W_x @ (x * h[t-1]))\ny = h", {}, {"W_x", "y"}),
        # tied weights are two things at once, and an elementwise weight is no matrix
        ("karpathy", "h = tanh(W_h @ h[t-1] + W_x * x)\ny = W_h @ h", {}, {"W_h", "W_x", "y"}),
        # d2l calls the output o and the target y
        ("d2l", "h = tanh(h[t-1] + x)\ny = h", {"y": "o", "d": "y"}, set()),
        ("d2l", "h = tanh(h[t-1] + x)\ny = h * o", {}, {"y", "d"}),
        ("goodfellow", "h = tanh(U * h[t-1] + W_x @ x)\ny = h", {}, {"W_x"}),
    ],
)
def test_only_letters_that_fit(notation: str, text: str, shown: dict[str, str], kept: set[str]) -> None:
    found = fitting(notation, text)
    always = {"y", "d"} if notation == "goodfellow" else {"x"} if notation == "pascanu" and "x" not in kept else set()
    assert {name: tex for name, tex in found.items() if name not in always} == shown
    assert set(letters_for(notation, parse_cell(text)).kept) == kept


def test_a_parameter_phi_keeps_its_letter() -> None:
    cell = parse_cell("h = sigma(phi * h[t-1] + x)\ny = h")
    assert letters_for("d2l", cell).functions == {}
    assert letters_for("d2l", load_cell("elman")).functions == {r"\sigma": r"\phi"}


def test_a_letter_of_the_prose_gives_way() -> None:
    alphabet = Alphabet(letters_for("karpathy", parse_cell("h = tanh(m * h[t-1] + x)\ny = sigma(h)")))
    assert alphabet.formula(r"\partial p/\partial q,\; m,\; y_{1}") == r"\partial w/\partial q,\; m,\; p_{1}"


# --- what a notation brings with it ---------------------------------------------------------------------


def test_two_notations_bring_a_cell() -> None:
    assert resolve("article") == resolve("goodfellow") == resolve("karpathy") == ("elman", "all")
    assert resolve("d2l") == ("d2l", "mean")
    assert resolve("d2l", "d2l") == ("d2l", "mean")
    assert resolve("d2l", "elman", "all") == ("d2l", "all")
    assert resolve("d2l", "gru") == ("gru", "all")
    assert resolve("d2l", "gru", "mean") == ("gru", "mean")
    assert resolve("pascanu") == ("pascanu", "all")
    assert resolve("pascanu", losses="last") == ("pascanu", "last")
    cell = load_cell("elman")
    assert resolve("pascanu", cell) == (cell, "all")
    with pytest.raises(InputError, match="Did you mean 'pascanu'"):
        resolve("Pascanu")


@pytest.mark.parametrize("name", OWN)
def test_the_cells_are_the_sources(name: str) -> None:
    assert parse_cell(BUILT_IN[name]).equations == parse_cell(EVERY_CELL[name]).equations
    assert letters_for(name, load_cell(name)).own
    assert not letters_for(name, load_cell("elman")).own


@pytest.mark.parametrize("name", OTHERS)
def test_an_unknown_notation_is_named(name: str) -> None:
    with pytest.raises(InputError, match=rf"'{name}x' is not a notation: choose one of article, .*'{name}'\?"):
        notation_named(name + "x")


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_box_says_what_is_renamed(language: str) -> None:
    stands = {"en": "$U$ stands for the article's $W_{x}$", "zh": "$U$ 即文章的 $W_{x}$"}[language]
    box = rewrite(derivation("elman", language), letters("goodfellow", "elman")).blocks[0]
    assert isinstance(box, Box)
    items = box.items
    assert items[0] == derivation("elman", language).blocks[0].items[0]  # type: ignore[union-attr]
    assert "Goodfellow" in items[1]
    assert stands in items[2] and r"$\hat{y}^{(t)}$" in items[2] and "$y_{t}$" in items[2] and "JSON" in items[2]
    assert len(items) == len(derivation("elman", language).blocks[0].items) + 2  # type: ignore[union-attr]
    own, another = {"en": ("This is the cell used", "is another"), "zh": ("这里用的就是", "另一个单元")}[language]
    for name in OWN:
        assert another in convention(letters(name, "elman"), language)[0]
        if name in BUILT_IN:
            assert own in convention(letters(name, name), language)[0]
    kept = convention(letters("d2l", "elman"), language)[-1]
    assert "$y_{t}$" in kept and "$d_{t}$" in kept


# --- the formats ----------------------------------------------------------------------------------------

ADDED = frozenset({"hat", "mathcal", "mathrm", "phi"})
"""The commands that notations add; GitHub's MathJax draws them."""


def every_document() -> Iterator[tuple[str, str, Document]]:
    for language in LANGUAGES:
        for cell in EVERY_CELL:
            if language == "en" or cell in ("elman", "linear", "gru"):
                yield cell, f"{cell}, {language}", derivation(cell, language)
        yield "elman", f"lecture, {language}", derivation("elman", language, 3)
        paths = paths_document(survey_paths(unroll("elman", steps=8), "W_h"), language)
        yield "elman", f"paths, {language}", paths


def macros(document: Document) -> set[str]:
    return {macro for tex in formulas(document) for macro in re.findall(r"\\([A-Za-z]+)", tex)}


@pytest.mark.parametrize("notation", OTHERS)
def test_every_format_draws_every_document(notation: str) -> None:
    parsed: dict[tuple[str, bool], str] = {}
    for cell, where, article in every_document():
        document = rewrite(article, letters(notation, cell))
        shown = document_text(document)
        assert not re.search(r"[\\${}]", shown), (where, re.search(r".*[\\${}].*", shown))
        assert all(columns(line) <= WIDTH for line in shown.splitlines()), where
        markdown, tex = document_markdown(document), document_latex(document)
        used = macros(unnoticed(article, letters(notation, cell))) - macros(article)
        assert used <= ADDED, (where, used - ADDED)
        for formula in (*displays(tex), *markdown_formulas(markdown)):
            parsed.setdefault(formula, where)
    assert len(parsed) > 500
    require(have_katex(), "KaTeX is not installed: make katex")
    failures = katex_failures((f"{where}: {tex}", tex, display) for (tex, display), where in parsed.items())
    assert not failures, "\n".join(f"{f['id'][:400]}\n    {f['error']}" for f in failures[:10])


def test_goodfellow_in_a_terminal() -> None:
    shown = document_text(rewrite(derivation("elman", "en"), letters("goodfellow", "elman")))
    assert "a⁽¹⁾ = W h⁽⁰⁾ + U x⁽¹⁾ + b\n" in shown
    assert "ŷ⁽³⁾ = σ(o⁽³⁾)\n" in shown
    assert "∂⁺a⁽ᵗ⁾/∂h⁽ᵗ⁻¹⁾ = W " in shown
    assert "L → L⁽³⁾ → ŷ⁽³⁾ → h⁽³⁾ → h⁽²⁾ → h⁽¹⁾ → U" in shown


@pytest.mark.parametrize("notation", OTHERS)
def test_the_article_in_every_notation(notation: str) -> None:
    claims = study_article()
    for language in LANGUAGES:
        document = article_document(claims, language)
        shown = rewrite(document, letters(notation, "elman"))
        assert len(formulas(shown)) >= len(formulas(document))
        text = document_text(shown)
        assert not re.search(r"[\\${}]", text), re.search(r".*[\\${}].*", text)


@pytest.mark.parametrize("notation", ["goodfellow", "pascanu"])
def test_a_document_compiles_and_nothing_sticks_out(notation: str, tmp_path) -> None:  # type: ignore[no-untyped-def]
    require(have_tex("pdflatex"), "pdflatex with its packages is not installed")
    document = rewrite(derivation("elman", "en"), letters(notation, "elman"))
    overfull = compile_tex(document_latex(document, standalone=True), "pdflatex", tmp_path)
    assert [width for width in overfull if width > 2] == []
