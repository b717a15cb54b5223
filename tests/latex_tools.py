r"""Two independent readers of our LaTeX, strict KaTeX and TeX itself, and what cuts documents into formulas.

    for latex, display in displays(document): …
    assert katex_failures([("id", r"\frac{1}{2}", True)]) == []
    assert compile_tex(document, "pdflatex", tmp_path) == []      # no overfull line either

Where a tool is missing its tests are skipped; on a build machine (``CI`` or ``RNN_SYMBOLIC_REQUIRE_TOOLS=1``)
they fail instead: `require` decides.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Literal

import pytest

Engine = Literal["pdflatex", "xelatex"]

TEX_SECONDS = 120
KATEX = Path(__file__).parent / "katex"
DISPLAY_ENVIRONMENTS = frozenset(
    name + star
    for name in (
        "align",
        "alignat",
        "flalign",
        "gather",
        "multline",
        "equation",
        "eqnarray",
        "math",
        "displaymath",
    )
    for star in ("", "*")
)
INNER_ENVIRONMENTS = frozenset(
    "aligned alignedat gathered split array cases matrix pmatrix bmatrix vmatrix smallmatrix".split()
)
NEEDED_BY_OUR_DOCUMENTS = {
    "pdflatex": ("amsmath.sty", "lmodern.sty", "xcolor.sty"),
    "xelatex": ("amsmath.sty", "ctexart.cls", "xcolor.sty"),
}


class Unbalanced(ValueError):
    """A formula is opened and not closed, closed and not opened, or broken by an empty line."""


# --- tools, and what to do without them -------


def tools_required() -> bool:
    """Must a missing tool fail its tests? On a build machine, or on request."""
    return any(
        os.environ.get(name, "").lower() not in ("", "0", "false") for name in ("CI", "RNN_SYMBOLIC_REQUIRE_TOOLS")
    )


def require(condition: bool, reason: str) -> None:
    """Go on if ``condition`` holds; else skip the test, or fail it where the tools are required."""
    if not condition:
        if tools_required():
            pytest.fail(f"{reason} (and this run requires it)")
        pytest.skip(reason)


def have_katex() -> bool:
    """Can `katex_failures` run here? ``make katex`` installs what it needs."""
    return shutil.which("node") is not None and (KATEX / "node_modules" / "katex" / "package.json").is_file()


@cache
def have_tex(engine: Engine) -> bool:
    """Can `compile_tex` run our documents here: the engine, and the packages that they load?"""
    if shutil.which(engine) is None or shutil.which("kpsewhich") is None:
        return False
    found = subprocess.run(["kpsewhich", *NEEDED_BY_OUR_DOCUMENTS[engine]], capture_output=True, check=False)
    return found.returncode == 0


# --- the two readers ---


def katex_failures(formulas: Iterable[tuple[str, str, bool]]) -> list[dict[str, str]]:
    """The (id, latex, display) that KaTeX refuses with ``strict: "error"``, as ``{"id": …, "error": …}``.

    One process reads all of them, so give it thousands at once.
    """
    lines = [json.dumps({"id": identity, "latex": latex, "display": display}) for identity, latex, display in formulas]
    if not lines:
        return []
    run = subprocess.run(
        ["node", "check.mjs"],
        cwd=KATEX,
        input="\n".join(lines),
        capture_output=True,
        encoding="utf-8",
        timeout=300,
        check=False,
    )
    assert run.returncode == 0, f"node check.mjs: {run.stderr}"
    failures: list[dict[str, str]] = json.loads(run.stdout)
    return failures


def compile_tex(source: str, engine: Engine, tmp_path: Path) -> list[float]:
    """Typeset ``source``; by how many pt its lines stick out (overfull boxes), [] for a clean document.

    Raises AssertionError with the log's own words where TeX stops, runs longer than TEX_SECONDS, or silently
    leaves out a character that its font does not have.
    """
    (tmp_path / "document.tex").write_text(source, encoding="utf-8")
    limits = {
        "openin_any": "p",
        "openout_any": "p",
        "max_print_line": "1000",
    }  # files here only; whole log lines
    try:
        run = subprocess.run(
            [engine, "-no-shell-escape", "-halt-on-error", "-interaction=nonstopmode", "document.tex"],
            cwd=tmp_path,
            env=os.environ | limits,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            timeout=TEX_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise AssertionError(f"{engine} did not finish within {TEX_SECONDS} s") from None
    log_file = tmp_path / "document.log"
    log = log_file.read_text(encoding="utf-8", errors="replace") if log_file.exists() else run.stdout
    complaints = re.findall(r"^(?:! .*|l\.\d+ .*|Missing character: .*)$", log, re.MULTILINE)
    assert run.returncode == 0, f"{engine}: " + "\n".join(complaints or run.stdout.splitlines()[-15:])
    assert not complaints, f"{engine}: " + "\n".join(complaints)
    return [float(width) for width in re.findall(r"^Overfull \\hbox \(([\d.]+)pt too wide\)", log, re.MULTILINE)]


# --- LaTeX documents ---

_TOKEN = re.compile(
    r"""
      (?P<verbatim> \\begin\{(?P<box>verbatim\*?|lstlisting|Verbatim)\}.*?\\end\{(?P=box)\}
                  | \\verb\*?(?P<bar>[^A-Za-z*\s]).*?(?P=bar) )
    | (?P<comment> %[^\n]* )
    | (?P<begin> \\begin\{(?P<opened>[^}]*)\} )
    | (?P<end> \\end\{(?P<closed>[^}]*)\} )
    | (?P<open> \\\[ | \\\( )
    | (?P<close> \\\] | \\\) )
    | (?P<escape> \\. )            # \\ and \$ among them: \\[2pt] opens nothing
    | (?P<dollars> \$\$? )
    | (?P<brace> [{}] )
    | (?P<paragraph> \n[ \t]*\n )
    """,
    re.VERBOSE | re.DOTALL,
)
_MATCHING = {r"\[": r"\]", r"\(": r"\)", "$$": "$$", "$": "$"}


def displays(document: str) -> list[tuple[str, bool]]:
    r"""Every formula of a LaTeX document or fragment, in order, as (latex, is it a display?).

    A display environment is given whole, ``\begin{align*}…\end{align*}``, because KaTeX reads it so; other
    formulas without their delimiters. A formula inside the ``\text`` or ``\tag*`` of another belongs to that.
    Raises `Unbalanced`, with the line, where a delimiter has no partner.

    >>> displays(r"If $a$ costs \$5, \[ b \text{ for $c$} \\[2pt] d \]")
    [('a', False), (' b \\text{ for $c$} \\\\[2pt] d ', True)]
    """
    start = document.find(r"\begin{document}")
    first = 0 if start < 0 else start + len(r"\begin{document}")
    end = document.find(r"\end{document}", first)
    formulas: list[tuple[str, bool]] = []
    position = first
    body_end = len(document) if end < 0 else end
    while (token := _TOKEN.search(document, position, body_end)) is not None:
        position = token.end()
        delimiter = token.group()
        if token["opened"] in DISPLAY_ENVIRONMENTS:
            inner_end, position = _formula_end(document, token.end(), body_end, rf"\end{{{token['opened']}}}")
            formulas.append((document[token.start() : position], True))
        elif token["open"] or token["dollars"]:
            inner_end, position = _formula_end(document, token.end(), body_end, _MATCHING[delimiter])
            formulas.append((document[token.end() : inner_end], delimiter in (r"\[", "$$")))
        elif token["opened"] in INNER_ENVIRONMENTS:
            raise Unbalanced(f"line {_line(document, token.start())}: {delimiter} outside of a formula")
        elif token["close"] or token["closed"] in DISPLAY_ENVIRONMENTS:
            raise Unbalanced(f"line {_line(document, token.start())}: {delimiter} closes nothing")
    return formulas


def _formula_end(document: str, start: int, body_end: int, closing: str) -> tuple[int, int]:
    """Where the formula that begins at ``start`` ends, without and with its closing delimiter."""
    depth = 0
    environments: list[str] = []
    position = start
    while (token := _TOKEN.search(document, position, body_end)) is not None:
        position = token.end()
        found = token.group()
        if found == closing and depth == 0 and not environments:
            return token.start(), token.end()
        if found == "$$" and closing == "$" and depth == 0 and not environments:  # $a$$b$
            return token.start(), token.start() + 1
        if found == "{":
            depth += 1
        elif found == "}" and depth > 0:
            depth -= 1
        elif token["begin"] and token["opened"] not in DISPLAY_ENVIRONMENTS:
            environments.append(token["opened"])
        elif token["end"] and environments and environments[-1] == token["closed"]:
            environments.pop()
        elif depth > 0 and (token["dollars"] or token["open"] or token["close"]):
            pass  # a formula inside \text{…} or \tag*{…}
        elif not (token["escape"] or token["comment"] or token["verbatim"]):
            what = "an empty line" if token["paragraph"] else found
            raise Unbalanced(
                f"line {_line(document, token.start())}: {what} inside the formula that begins in line "
                f"{_line(document, start)} and should end with {closing}"
            )
    raise Unbalanced(f"line {_line(document, start)}: a formula is never closed by {closing}")


def _line(document: str, position: int) -> int:
    return document.count("\n", 0, position) + 1


# --- Markdown documents ---

_MARKDOWN = re.compile(
    r"""
      (?P<fence> ^(?P<indent>[ ]*)(?P<ticks>`{3,}|~{3,})(?P<info>[^\n]*)\n
                 (?P<inside>.*?)
                 (?P<fence_end> ^[ ]*(?P=ticks)[`~]*[ \t]*$ | \Z ) )
    | (?P<escape> \\. )
    | (?P<inline> \$`(?P<latex>[^`]+)`\$ )
    | (?P<code> (?P<quote>`+)(?!`)(?:(?!\n[ \t]*\n).)*?(?<!`)(?P=quote)(?!`) )
    | (?P<dollar> \$ )
    """,
    re.VERBOSE | re.DOTALL | re.MULTILINE,
)


def markdown_formulas(document: str) -> list[tuple[str, bool]]:
    r"""Every formula of a Markdown document: fences of kind ``math`` (displays), and ``$`…`$`` (inline).

    Raises `Unbalanced` for a fence that is never closed and for any other dollar outside of code.

    >>> markdown_formulas("The step $`h_t`$ is\n\n```math\nh_t = 1\n```\n\nas `$x` shows.")
    [('h_t', False), ('h_t = 1\n', True)]
    """
    formulas: list[tuple[str, bool]] = []
    for token in _MARKDOWN.finditer(document):
        line = _line(document, token.start())
        if token["fence"]:
            if not token["fence_end"]:
                raise Unbalanced(f"line {line}: the fence {token['ticks']} is never closed")
            if token["info"].strip() == "math":
                formulas.append((token["inside"], True))
        elif token["inline"]:
            formulas.append((token["latex"], False))
        elif token["dollar"]:
            raise Unbalanced(f"line {line}: a lonely $ (write \\$, or a formula as $`…`$)")
    return formulas
