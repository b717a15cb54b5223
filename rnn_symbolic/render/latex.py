r"""A document as LaTeX: a fragment that needs amsmath only, or a file that compiles as it is."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from rnn_symbolic.printing import MAX_EXPANSIONS, expansions
from rnn_symbolic.render.document import Box, Bullets, Display, Document, Heading, Listing, Paragraph, Row, Table
from rnn_symbolic.render.widths import broken, prose_width, width

ENGLISH_PREAMBLE = r"""\documentclass[11pt,a4paper]{article}
\usepackage[T1]{fontenc}
\usepackage[utf8]{inputenc}
\usepackage{lmodern}
\usepackage{amsmath,amssymb}
\usepackage[margin=22mm]{geometry}
\usepackage{longtable}
\allowdisplaybreaks
\setlength{\parindent}{0pt}
\setlength{\parskip}{0.6em}
\setlength{\emergencystretch}{4em}
"""
CHINESE_PREAMBLE = r"""\documentclass[fontset=fandol,zihao=-4,a4paper]{ctexart}
\usepackage{amsmath,amssymb}
\usepackage[margin=22mm]{geometry}
\usepackage{longtable}
\allowdisplaybreaks
\setlength{\parindent}{0pt}
\setlength{\parskip}{0.6em}
\setlength{\emergencystretch}{4em}
"""
UPRIGHT = r"\IfFileExists{upquote.sty}{\usepackage{upquote}}{}" + "\n"
"""With it ' in a listing is copied from a PDF as ', not as the closing mark of a quotation."""
LINE, CHINESE_LINE = 450.0, 405.0
"""The room for a display, in points of an 11 pt letter (Chinese is set at 12 pt): 166 mm, less a reserve."""
NARROW, BESIDE, QUAD = 190.0, 20.0, 11.0
"""A margin may leave a formula no less than NARROW, and stands BESIDE away from it."""
FOOTNOTE, SMALL = 0.82, 0.91
TABCOLSEP = 6.0
LONG_TABLE = 40
"""Tables of more rows than this break over pages (longtable)."""
_NOT_LATIN = re.compile("[\u0250-\u1fff\u2e00-\U0010ffff]")
_ESCAPES = {"&": r"\&", "%": r"\%", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}", "\\": r"\textbackslash{}",
            "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}  # fmt: skip
_UNICODE = {
    "σ": r"$\sigma$", "ℓ": r"$\ell$", "∂": r"$\partial$", "→": r"$\to$", "≤": r"$\le$", "≥": r"$\ge$",
    "≠": r"$\ne$", "−": r"$-$", "×": r"$\times$", "±": r"$\pm$", "≈": r"$\approx$", "Σ": r"$\Sigma$", "⁺": r"$^{+}$",
    "½": r"$\tfrac{1}{2}$", "²": r"$^{2}$", "³": r"$^{3}$", "′": r"$'$", "·": r"$\cdot$",
}  # fmt: skip


def document_latex(document: Document, *, standalone: bool = False) -> str:
    """The LaTeX of a document; ``standalone`` adds a preamble (pdflatex for English, xelatex for Chinese)."""
    body = _body(document, CHINESE_LINE if document.language == "zh" and standalone else LINE)
    title = inline_latex(document.title)
    if document.language != "zh":  # the name of a cell's file may be in any script; this TeX has Latin letters only
        body = _NOT_LATIN.sub("?", body)
    if not standalone:
        return f"\\section*{{{title}}}\n\n{body}\n"
    preamble = CHINESE_PREAMBLE if document.language == "zh" else ENGLISH_PREAMBLE
    if any(isinstance(block, Listing) for block in document.blocks):
        preamble += UPRIGHT
    return (
        f"{preamble}\\begin{{document}}\n\\begin{{center}}\\Large\\bfseries {title}\\end{{center}}\n\n"
        f"{body}\n\\end{{document}}\n"
    )


def _body(document: Document, room: float) -> str:
    """The blocks; a display continues the paragraph before it, or TeX would leave an empty line between them."""
    body = ""
    before: object = None
    for block in document.blocks:
        glue = "\n" if isinstance(block, Display) and isinstance(before, Paragraph) else "\n\n"
        body += (glue if body else "") + _block(block, room)
        before = block
    return body


def inline_latex(text: str) -> str:
    r"""Prose with its formulas kept and everything else escaped.

    >>> inline_latex(r"100% of $W_{h}$")
    '100\\% of $W_{h}$'
    """
    pieces = text.split("$")
    assert len(pieces) % 2 == 1, f"unbalanced $ in {text!r}"
    return "".join(f"${_breakable(piece)}$" if i % 2 else _escape(piece) for i, piece in enumerate(pieces))


def _breakable(formula: str) -> str:
    """A formula in a line of prose, which may break between the factors of a long product."""
    return formula.replace(r"\,", r"\,\allowbreak ") if width(formula) > 60 else formula


def _escape(text: str) -> str:
    escaped = "".join(_ESCAPES.get(c) or _UNICODE.get(c) or c for c in text)
    escaped = escaped.replace("--", "-{}-")  # an option, not a dash
    return re.sub(r'"([^"]*)"', r"``\1''", escaped)


def _block(block: object, room: float) -> str:
    match block:
        case Heading(text, level):
            command = "subsection*" if level == 1 else "paragraph"
            return f"\\{command}{{{inline_latex(text)}}}"
        case Paragraph(text):
            return inline_latex(text)
        case Bullets(items):
            return _items(items)
        case Box(title, items):
            return (
                "\\begin{center}\\fbox{\\begin{minipage}{0.95\\linewidth}\n"
                f"\\textbf{{{inline_latex(title)}}}\n{_items(items)}\n\\end{{minipage}}}}\\end{{center}}"
            )
        case Display(rows):
            parts = aligned_displays(rows, room=room)
            return "\n".join(f"\\begin{{align*}}\n{lines}\n\\end{{align*}}" for lines in parts)
        case Table(header, rows):
            return _table(header, rows, room)
        case Listing(lines):
            return "\n".join((r"{\small\begin{verbatim}", *lines, r"\end{verbatim}}"))
    raise TypeError(f"{type(block).__name__} is not a block of a document")


def _items(items: Sequence[str]) -> str:
    lines = "\n".join(f"\\item {inline_latex(item)}" for item in items)
    return f"\\begin{{itemize}}\\setlength{{\\itemsep}}{{2pt}}\n{lines}\n\\end{{itemize}}"


def aligned_displays(rows: Sequence[Row], gap: str = "", room: float = LINE) -> list[str]:
    """The lines of an aligned environment: formulas at their relation signs, routes and reasons in the margin.

    A sum too wide for ``room`` points breaks before each further term, a product after a factor. Where the margin
    would leave the formulas too little, a route stands above its formula, a reason below. ``gap`` precedes a margin.
    What is too long for KaTeX's limit on macros goes on in further environments, indented as before.
    """
    margins = [max(FOOTNOTE * width(row.margin), SMALL * prose_width(row.note)) for row in rows]
    room -= max((width(row.left + row.relation) for row in rows), default=0)
    aside = room - max(margins, default=0) - BESIDE >= NARROW
    if aside and any(margins):
        room -= max(margins) + BESIDE
    lines: list[str] = []
    for row in rows:
        parts = [row.margin] if aside else broken(row.margin, room / FOOTNOTE)
        route = [rf"\text{{\footnotesize ${part}$}}" for part in parts if part]
        note = [rf"\text{{\small {inline_latex(row.note)}}}"] if row.note else []
        first, *rest = _broken_row(row.right, room)
        if aside:
            beside = "".join(rf" &&{gap} {text}" for text in (*route, *note))
            lines += [f"{row.left} &{row.relation} {first}".lstrip() + beside, *rest]
        else:
            indent = r"\quad " if route else ""
            lines += [*(f"& {text}" for text in route), f"{row.left} &{row.relation} {indent}{first}".lstrip(), *rest]
            lines += [rf"&\quad {text}" for text in note]
    tall = any(r"\frac" in tex for row in rows for tex in (row.left, *row.right))
    end = " \\\\[4pt]\n" if tall else " \\\\\n"  # else fractions of neighbouring lines would touch
    left = max((row.left for row in rows), key=width, default="")
    return [end.join(part) for part in _within_limit(lines, left)]


def _within_limit(lines: Sequence[str], left: str) -> Iterator[list[str]]:
    part: list[str] = []
    total = 0
    for line in lines:
        more = expansions(line)
        if part and total + more > MAX_EXPANSIONS:
            yield part
            part, total = [], 0
        held = (
            rf"\phantom{{{left}}} {line}" if not part and line.startswith("&") and left and lines[0] != line else line
        )
        part.append(held)
        total += more
    yield part


def _broken_row(pieces: Sequence[str], room: float) -> list[str]:
    """The lines of one right-hand side, the first without its place, the others indented."""
    if width(" ".join(pieces)) <= room:
        return [" ".join(pieces)]
    first, *rest = _lines(pieces[0], room)
    lines = [first, *(rf"&\qquad {line}" for line in rest)]
    for piece in pieces[1:]:
        first, *rest = _lines(piece, room - QUAD)
        lines += [rf"&\quad {first}", *(rf"&\qquad\quad {line}" for line in rest)]
    return lines


def _lines(tex: str, room: float) -> list[str]:
    return [tex] if width(tex) <= room else broken(tex, room - 2 * QUAD)  # continued lines are indented


def _columns(header: Sequence[str], rows: Sequence[Sequence[str]], room: float) -> str:
    """The columns of a table: a column keeps its natural width where that is no more than its share of a line."""
    natural = [max(prose_width(row[i]) for row in (header, *rows)) for i in range(len(header))]
    line = left = room - 2 * TABCOLSEP * len(natural)
    wide = dict(enumerate(natural))
    while fitting := [i for i, w in wide.items() if w <= left / len(wide)]:
        left -= sum(wide.pop(i) for i in fitting)
        if not wide:
            return "l" * len(natural)
    full = rf"\dimexpr\linewidth-{2 * len(natural)}\tabcolsep\relax"
    total = sum(wide.values())
    return "".join(rf"p{{{left / line * w / total:.3f}{full}}}" if i in wide else "l" for i, w in enumerate(natural))


def _table(header: Sequence[str], rows: Sequence[Sequence[str]], room: float) -> str:
    """A tabular, a longtable when it has many rows."""
    columns = _columns(header, rows, room)
    head = " & ".join(f"\\textbf{{{inline_latex(cell)}}}" for cell in header) + r" \\ \hline"
    lines = [" & ".join(map(inline_latex, row)) + r" \\" for row in rows]
    if len(rows) > LONG_TABLE:
        opening = f"% needs \\usepackage{{longtable}}\n\\begin{{longtable}}{{{columns}}}\n\\hline\n{head}\n\\endhead"
        return "\n".join([opening, *lines, "\\hline\n\\end{longtable}"])
    opening = f"{{\\renewcommand{{\\arraystretch}}{{1.2}}%\n\\begin{{tabular}}{{{columns}}}\n\\hline\n{head}"
    return "\n".join([opening, *lines, "\\hline\n\\end{tabular}}\\smallskip"])
