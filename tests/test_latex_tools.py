"""The readers of our LaTeX are themselves read: each must refuse what is wrong."""

import pytest
from latex_tools import (
    Unbalanced,
    compile_tex,
    displays,
    have_katex,
    have_tex,
    katex_failures,
    markdown_formulas,
    require,
)

ARTICLE = r"""
\documentclass[11pt]{article}
\usepackage[T1]{fontenc}
\usepackage{lmodern,amsmath,amssymb,geometry,xcolor,microtype}
\begin{document}
BODY
\end{document}
"""
CHINESE_ARTICLE = r"""
\documentclass[fontset=fandol]{ctexart}
\usepackage{amsmath,amssymb,geometry,xcolor}
\begin{document}
BODY
\end{document}
"""
DISPLAY = r"""
\begin{align*}
\frac{\partial \ell_3}{\partial W_x}
  &= \ell_3'(y_3)\,\sigma'(o_3)\,\underbrace{W_y}_{n_y \times n_h} \textcolor{blue}{\sigma'(a_3)}\,x_3 \\[2pt]
  &= \operatorname{diag}(\mathbf{x}) \in \mathbb{R} \tag*{(since $y_3 = \sigma(o_3)$)}
\end{align*}
"""


# --- KaTeX ---


@pytest.fixture
def katex():
    require(have_katex(), "KaTeX is not installed: make katex")
    return lambda latex, display=False: katex_failures([("formula", latex, display)])


@pytest.mark.parametrize(
    ("latex", "display"),
    [
        (r"\frac{\partial h_3}{\partial W_x}", False),
        (DISPLAY.strip(), True),
        (r"\begin{aligned} a &= b \\ c &= \text{梯度 $d$} \end{aligned}", True),
        (r"\textcolor{#1f77b4}{h_{t-1}} \quad \xi", False),
    ],
)
def test_katex_accepts_what_is_right(katex, latex, display):
    assert katex(latex, display) == []


@pytest.mark.parametrize(
    ("latex", "display"),
    [
        (r"\xi_", False),  # nothing below
        (r"\frac{1}{2", False),  # never closed
        (r"\nosuchcommand x", False),
        (r"\mathrm{梯度}", False),  # Chinese outside \text: strict
        ("权", False),
        (r"\begin{align*} a \end{align*}", False),  # a display inside a line
        (r"\href{https://example.org}{x}", False),  # not trusted
    ],
)
def test_katex_refuses_what_is_wrong(katex, latex, display):
    failures = katex(latex, display)
    assert [failure["id"] for failure in failures] == ["formula"]
    assert failures[0]["error"]


def test_katex_names_the_wrong_one_among_many(katex):
    formulas = [(str(i), rf"W_{{{i}}}^{{2}}", bool(i % 2)) for i in range(300)]
    formulas[217] = ("217", r"W_{2}}", True)
    assert [failure["id"] for failure in katex_failures(formulas)] == ["217"]
    assert katex_failures([]) == []


@pytest.mark.slow
def test_katex_reads_thousands_in_one_process(katex):
    formulas = [(str(i), rf"\sum_{{t=1}}^{{{i}}} \frac{{\partial \ell_t}}{{\partial W_x}}", True) for i in range(5000)]
    assert katex_failures(formulas) == []


# --- TeX ---


def test_pdflatex_typesets_an_article(tmp_path):
    require(have_tex("pdflatex"), "pdflatex with lmodern and xcolor is not installed")
    assert compile_tex(ARTICLE.replace("BODY", DISPLAY), "pdflatex", tmp_path) == []


def test_xelatex_typesets_chinese(tmp_path):
    require(have_tex("xelatex"), "xelatex with ctex is not installed")
    assert compile_tex(CHINESE_ARTICLE.replace("BODY", "循环神经网络的梯度。" + DISPLAY), "xelatex", tmp_path) == []


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (r"$\nosuchcommand$", "Undefined control sequence"),
        (r"\[ a_ \]", r"Missing \{ inserted"),
        ("a lonely $ sign", r"Missing \$ inserted"),
        ("h_3", r"Missing \$ inserted"),
        (r"\begin{align*} a &= b", r"align\*"),
        ("\\[ a\n\n b \\]", r"Missing \$ inserted"),
        (r"\input{/etc/hostname}", "not found"),  # only files of this folder
        ("权", "Unicode character"),
    ],
)
def test_pdflatex_refuses_what_is_wrong(tmp_path, body, complaint):
    require(have_tex("pdflatex"), "pdflatex with lmodern and xcolor is not installed")
    with pytest.raises(AssertionError, match=complaint):
        compile_tex(ARTICLE.replace("BODY", body), "pdflatex", tmp_path)


def test_a_character_without_a_glyph_is_an_error(tmp_path):
    require(have_tex("xelatex"), "xelatex with ctex is not installed")
    with pytest.raises(AssertionError, match="Missing character"):
        compile_tex(CHINESE_ARTICLE.replace("BODY", "σ′ ⊙ 𓀀"), "xelatex", tmp_path)


def test_a_line_that_sticks_out_is_measured(tmp_path):
    require(have_tex("pdflatex"), "pdflatex with lmodern and xcolor is not installed")
    [width] = compile_tex(ARTICLE.replace("BODY", r"\[ \rule{700pt}{1pt} \]"), "pdflatex", tmp_path)
    assert 100 < width < 700


@pytest.mark.slow
def test_a_document_that_runs_for_ever_is_stopped(tmp_path, monkeypatch):
    require(have_tex("pdflatex"), "pdflatex with lmodern and xcolor is not installed")
    monkeypatch.setattr("latex_tools.TEX_SECONDS", 2)
    with pytest.raises(AssertionError, match="did not finish"):
        compile_tex(ARTICLE.replace("BODY", r"\def\x{\x}\x"), "pdflatex", tmp_path)


# --- formulas of a LaTeX document ---


def test_displays_finds_every_formula_in_order():
    document = r"""
    \documentclass{article} % $ in a comment
    \newcommand{\grad}{$never$}
    \begin{document}
    Text with $a$, \(b_1\) and $c$$d$; it costs \$5, \\[2pt] 100\% of $e^{\$}$. % a lonely $
    \[ f \text{ for $n$ and \(m\)} \\[1ex] \{ g \} \]
    $$ i $$
    \begin{align*}
      j &= k \\
      % a comment line, not an empty one $
      &= l \tag*{(since $y$)}
    \end{align*}
    \[ \begin{aligned} o &= p \end{aligned} \]
    \begin{gather} q \end{gather} \begin{equation*} r \end{equation*}
    \verb|$| \begin{verbatim} $ \[ \end{verbatim}
    \begin{itemize} \item $s$ \end{itemize}
    \end{document}
    $ after the end
    """
    found = displays(document)
    assert [latex.strip().split()[0] for latex, display in found if not display] == [
        "a", "b_1", "c", "d", r"e^{\$}", "s",
    ]  # fmt: skip
    shown = [latex.strip() for latex, display in found if display]
    assert shown[:2] == [r"f \text{ for $n$ and \(m\)} \\[1ex] \{ g \}", "i"]
    assert shown[2].startswith(r"\begin{align*}")
    assert shown[2].endswith(r"\tag*{(since $y$)}" + "\n    \\end{align*}")
    assert shown[3:] == [
        r"\begin{aligned} o &= p \end{aligned}",
        r"\begin{gather} q \end{gather}",
        r"\begin{equation*} r \end{equation*}",
    ]


def test_displays_of_a_fragment_and_of_nothing():
    assert displays(DISPLAY) == [(DISPLAY.strip(), True)]
    assert displays("No formula, 5\\% of \\$3.") == []


@pytest.mark.parametrize(
    "document",
    [
        "a lonely $ sign",
        "$a$ and $b",
        "$$ a $",
        r"\[ a",
        r"a \]",
        r"\( a \]",
        r"\[ a $b$ \]",
        r"\[ {a \]",
        r"\[ a} \]",
        r"\[ \begin{aligned} a \]",
        r"\[ \begin{aligned} a \end{cases} \]",
        r"\begin{align*} a \end{align}",
        r"\begin{align*} a",
        r"a \end{align*}",
        r"\[ \begin{align*} a \end{align*} \]",
        r"\begin{aligned} a \end{aligned}",
        "\\[ a\n\n b \\]",
    ],
)
def test_displays_refuses_what_does_not_balance(document):
    with pytest.raises(Unbalanced, match="line 3"):
        displays("first line\n\n" + document)


# --- formulas of a Markdown document ---


def test_markdown_formulas():
    document = """
The step $`h_t`$ costs \\$5, `$x` or ``a`$`b``; $`a`$$`b`$.

```math
\\frac{1}{2}
```

```sh
echo $HOME
```

- an item

  ~~~ math
  c
  ~~~
"""
    assert markdown_formulas(document) == [
        ("h_t", False),
        ("a", False),
        ("b", False),
        ("\\frac{1}{2}\n", True),
        ("  c\n", True),
    ]


@pytest.mark.parametrize("document", ["a lonely $ sign", "$a$", "$`a`", "`a`$", "```math\na", "$$ a $$"])
def test_markdown_formulas_refuses_what_does_not_balance(document):
    with pytest.raises(Unbalanced, match="line 3"):
        markdown_formulas("first line\n\n" + document)


# --- skip or fail ---


@pytest.mark.parametrize("name", ["CI", "RNN_SYMBOLIC_REQUIRE_TOOLS"])
def test_a_missing_tool_fails_only_where_it_is_required(monkeypatch, name):
    for variable in ("CI", "RNN_SYMBOLIC_REQUIRE_TOOLS"):
        monkeypatch.delenv(variable, raising=False)
    require(True, "present")
    with pytest.raises(pytest.skip.Exception, match="absent"):
        require(False, "absent")
    monkeypatch.setenv(name, "1")
    require(True, "present")
    with pytest.raises(pytest.fail.Exception, match="absent"):
        require(False, "absent")
