r"""A document as LaTeX: a fragment that needs amsmath only, or a file that compiles as it is."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rnn_symbolic.render.document import Box, Bullets, Display, Document, Heading, Paragraph, Row, Table

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
"""
CHINESE_PREAMBLE = r"""\documentclass[fontset=fandol,zihao=-4,a4paper]{ctexart}
\usepackage{amsmath,amssymb}
\usepackage[margin=22mm]{geometry}
\usepackage{longtable}
\allowdisplaybreaks
\setlength{\parindent}{0pt}
\setlength{\parskip}{0.6em}
"""
TABLE_CHARACTERS = 78
"""Tables that print at most this many characters a line keep their natural column widths."""
LONG_TABLE = 40
"""Tables of more rows than this break over pages (longtable)."""
_ESCAPES = {"&": r"\&", "%": r"\%", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}", "\\": r"\textbackslash{}",
            "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}  # fmt: skip
_UNICODE = {"σ": r"$\sigma$", "ℓ": r"$\ell$", "∂": r"$\partial$", "∂⁺": r"$\partial^{+}$", "→": r"$\to$", "≤": r"$\le$",
            "≥": r"$\ge$", "≠": r"$\ne$", "−": r"$-$", "×": r"$\times$", "±": r"$\pm$", "≈": r"$\approx$", "Σ": r"$\Sigma$",
            "⁺": r"$^{+}$", "½": r"$\tfrac{1}{2}$", "²": r"$^{2}$", "³": r"$^{3}$", "′": r"$'$", "·": r"$\cdot$"}  # fmt: skip


def document_latex(document: Document, *, standalone: bool = False) -> str:
    """The LaTeX of a document; ``standalone`` adds a preamble (pdflatex for English, xelatex for Chinese)."""
    body = _body(document)
    title = inline_latex(document.title)
    if not standalone:
        return f"\\section*{{{title}}}\n\n{body}\n"
    preamble = CHINESE_PREAMBLE if document.language == "zh" else ENGLISH_PREAMBLE
    return (
        f"{preamble}\\begin{{document}}\n\\begin{{center}}\\Large\\bfseries {title}\\end{{center}}\n\n"
        f"{body}\n\\end{{document}}\n"
    )


def _body(document: Document) -> str:
    """The blocks; a display continues the paragraph before it, or TeX would leave an empty line between them."""
    body = ""
    before: object = None
    for block in document.blocks:
        glue = "\n" if isinstance(block, Display) and isinstance(before, Paragraph) else "\n\n"
        body += (glue if body else "") + _block(block)
        before = block
    return body


def inline_latex(text: str) -> str:
    r"""Prose with its formulas kept and everything else escaped.

    >>> inline_latex(r"100% of $W_{h}$")
    '100\\% of $W_{h}$'
    """
    pieces = text.split("$")
    assert len(pieces) % 2 == 1, f"unbalanced $ in {text!r}"
    return "".join(f"${piece}$" if i % 2 else _escape(piece) for i, piece in enumerate(pieces))


def _escape(text: str) -> str:
    escaped = "".join(_ESCAPES.get(c) or _UNICODE.get(c) or c for c in text)
    escaped = escaped.replace("--", "-{}-")  # an option, not a dash
    return re.sub(r'"([^"]*)"', r"``\1''", escaped)


def _block(block: object) -> str:
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
            return _display(rows)
        case Table(header, rows):
            return _table(header, rows)
    raise TypeError(f"{type(block).__name__} is not a block of a document")


def _items(items: Sequence[str]) -> str:
    lines = "\n".join(f"\\item {inline_latex(item)}" for item in items)
    return f"\\begin{{itemize}}\\setlength{{\\itemsep}}{{2pt}}\n{lines}\n\\end{{itemize}}"


def _display(rows: Sequence[Row]) -> str:
    """One align*: formulas at their relation signs, routes and reasons in the right-hand margin."""
    return "\\begin{align*}\n" + aligned_rows(rows) + "\n\\end{align*}"


def aligned_rows(rows: Sequence[Row], gap: str = "") -> str:
    """The lines of an aligned environment; a sum breaks before each further term. ``gap`` precedes a margin."""
    lines: list[str] = []
    wide = any(row.margin or row.note for row in rows)
    for row in rows:
        margin = ""
        if row.margin:
            margin = rf" &&{gap} \text{{\footnotesize ${row.margin}$}}"
        elif row.note:
            margin = rf" &&{gap} \text{{\small {inline_latex(row.note)}}}"
        pieces = list(row.right)
        one_line = len(pieces) <= 1 or sum(map(_visible, pieces)) <= (50 if wide else 70)
        first = " ".join(pieces) if one_line else pieces[0]
        head = f"{row.left} &{row.relation} {first}".lstrip()
        lines.append(head + margin)
        if not one_line:
            lines.extend(rf"&\quad {piece}" for piece in pieces[1:])
    tall = any(r"\frac" in row.left for row in rows)  # fractions of neighbouring lines would touch
    return (" \\\\[4pt]\n" if tall else " \\\\\n").join(lines)


def _visible(tex: str) -> int:
    """Roughly how many characters a formula prints."""
    return len(re.sub(r"\\[A-Za-z]+|[{}_^\\ ]", "", tex)) + tex.count(r"\sigma")


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A tabular; columns keep their natural width where all fit on a line, else share it by their contents."""
    natural = [max(_visible(row[i]) for row in (header, *rows)) for i in range(len(header))]
    if sum(natural) + 3 * len(natural) <= TABLE_CHARACTERS:
        columns = "l" * len(header)
    else:
        shares = [max(min(width, 45), 6) for width in natural]
        columns = "".join(
            rf"p{{{0.99 * share / sum(shares):.3f}\dimexpr\linewidth-{2 * len(shares)}\tabcolsep\relax}}" for share in shares
        )
    head = " & ".join(f"\\textbf{{{inline_latex(cell)}}}" for cell in header) + r" \\ \hline"
    lines = [" & ".join(map(inline_latex, row)) + r" \\" for row in rows]
    if len(rows) > LONG_TABLE:
        opening = f"% needs \\usepackage{{longtable}}\n\\begin{{longtable}}{{{columns}}}\n\\hline\n{head}\n\\endhead"
        return "\n".join([opening, *lines, "\\hline\n\\end{longtable}"])
    opening = f"{{\\renewcommand{{\\arraystretch}}{{1.2}}%\n\\begin{{tabular}}{{{columns}}}\n\\hline\n{head}"
    return "\n".join([opening, *lines, "\\hline\n\\end{tabular}}\\smallskip"])
