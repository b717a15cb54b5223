r"""Documents: the same blocks in every format; no markup in a terminal; what is elided is said to be elided."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
import sympy as sp
from latex_tools import displays, markdown_formulas
from textbook import CELLS, GRU, JORDAN, LSTM, NASTY, OWN_LOSS

from rnn_symbolic.cells import BUILT_IN
from rnn_symbolic.checking import check_at_random
from rnn_symbolic.derivation import Derivation, derive_gradient, derive_gradients
from rnn_symbolic.model import FORMS, unroll
from rnn_symbolic.render.derivation_document import derivation_document, derivation_json
from rnn_symbolic.render.document import Box, Bullets, Display, Document, Heading, Paragraph, Row, Table
from rnn_symbolic.render.formulas import form_latex
from rnn_symbolic.render.latex import aligned_displays, document_latex, inline_latex
from rnn_symbolic.render.markdown import document_markdown
from rnn_symbolic.render.number_tables import gradient_document, verdicts_document
from rnn_symbolic.render.path_tables import PathStyle, paths_document
from rnn_symbolic.render.text import WIDTH, columns, document_text, inline_text, wrap
from rnn_symbolic.render.widths import broken, width
from rnn_symbolic.survey import survey_paths
from rnn_symbolic.valuation import Valuation, random_point
from rnn_symbolic.verification import verify_all

EVERY_CELL = {**BUILT_IN, **{f"{name} as text": cell for name, cell in CELLS.items()}}


def document(
    cell: str, T: int, *goals: str, language: str = "en", depth: int = 2, whole: bool = False, **options: str
) -> Document:
    derivations = derive_gradients(unroll(cell, steps=T, **options), goals, whole=whole)
    found = verify_all(derivations, symbolic=False)
    return derivation_document(derivations, language=language, depth=depth, verifications=found)


def text(
    cell: str, T: int, *goals: str, language: str = "en", depth: int = 2, whole: bool = False, **options: str
) -> str:
    return document_text(document(cell, T, *goals, language=language, depth=depth, whole=whole, **options))


def tables(language: str) -> Iterator[Document]:
    """Tables of paths, gradients and verdicts."""
    model = unroll("elman", steps=8, activation="tanh", loss="squared")
    at = Valuation(model, random_point(model, 1))
    for by in (None, "lag", "loss", "route"):
        yield paths_document(survey_paths(model, "W_x", by=by), language)
        yield paths_document(survey_paths(model, "W_h", by=by, valuation=at), language)
    yield paths_document(survey_paths(model, "W_x", top=3, valuation=at), language)
    yield paths_document(survey_paths(unroll("elman", losses="last"), "y_1"), language)
    yield paths_document(
        survey_paths(unroll(LSTM, steps=3), "W_f", granularity="node"), language, PathStyle(whole=True)
    )
    yield gradient_document(at, language)
    yield verdicts_document(check_at_random(unroll("elman", activation="tanh", loss="squared"), None, 0), language)


SAMPLES = [
    ("elman", 1, {}),
    ("elman", 3, {}),
    ("elman", 8, {"losses": "last"}),
    ("elman", 100, {}),
    ("elman", 3, {"loss": "cross-entropy", "activation": "logistic"}),
    ("elman", 2, {"activation": "relu", "loss": "squared"}),
    ("elman", 2, {"activation": "sqrt", "output_activation": "cos"}),
    ("lag2", 4, {}),
    ("residual", 9, {}),
    ("linear", 3, {"loss": "squared"}),
    (LSTM, 3, {}),
    (GRU, 8, {}),
    (JORDAN, 4, {"losses": "last"}),
    (OWN_LOSS, 2, {}),
    (NASTY, 2, {}),
    ("elman", 3, {"form": "matrix"}),
    ("elman", 8, {"form": "matrix", "loss": "cross-entropy", "output_activation": "softmax", "losses": "mean"}),
    ("linear", 3, {"form": "matrix"}),
    ("lstm", 3, {"form": "matrix"}),
    ("gru-cudnn", 7, {"form": "matrix", "losses": "last"}),
]


# --- plain text -------------------------------------------------------------------------------------------------------


def assert_plain(shown: str) -> None:
    assert not re.search(r"[\\${}]", shown), re.search(r".*[\\${}].*", shown)
    assert not re.search(r"Subs|Derivative\(|xi_?1|ξ|<[a-z]+>", shown)
    for line in shown.splitlines():
        assert line == line.rstrip()
        assert columns(line) <= WIDTH, line
    assert not re.search(r"\n\n\n", shown)


@pytest.mark.parametrize(("cell", "T", "options"), SAMPLES)
def test_a_terminal_sees_no_markup(cell: str, T: int, options: dict[str, str]) -> None:
    assert_every_text_is_plain(derive_gradients(unroll(cell, steps=T, **options)))


def assert_every_text_is_plain(derivations: tuple[Derivation, ...], depths: tuple[int, ...] = (1, 2, 3)) -> None:
    found = verify_all(derivations, symbolic=False)
    for language in ("en", "zh"):
        for depth in depths:
            shown = derivation_document(derivations, language=language, depth=depth, verifications=found)
            assert_plain(document_text(shown))


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_terminal_sees_no_markup_in_tables(language: str) -> None:
    for table in tables(language):
        assert_plain(document_text(table))


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("T", [1, 2, 5, 7])
@pytest.mark.parametrize("name", EVERY_CELL)
def test_a_terminal_sees_no_markup_in_any_document(name: str, T: int, form: str) -> None:
    if form == "matrix" and name not in BUILT_IN:
        return
    for activation in ("sigma", "tanh", "cos") if name == "elman" else ("sigma",):
        for whole in (True, False) if T == 7 and name in BUILT_IN else (False,):
            model = unroll(EVERY_CELL[name], steps=T, activation=activation, form=form)
            assert_every_text_is_plain(derive_gradients(model, whole=whole), (3,))


def test_the_article_in_plain_text() -> None:
    shown = text("elman", 3, "W_x", losses="last")
    assert "The gradient of L with respect to W_x\n=====================================\n" in shown
    assert "• L = ℓ_T: only the last step is scored (the article's view)." in shown
    assert "  L → ℓ₃ → y₃ → h₃ → h₂ → h₁ → W_x   ℓ₃′(y₃) σ′(o₃) W_y σ′(a₃) W_h σ′(a₂) W_h σ′(a₁) x₁\n" in shown
    assert "ℓ₃′(y₃) σ′(o₃) W_y (Πⱼ₌₁³ σ′(a_j)) W_h² [σ′³ W_h²] x₁" in shown
    assert "The shorthand σ′³ W_h² is a way of writing: it stands for (Πⱼ₌₁³ σ′(a_j)) W_h²" in shown


def test_each_depth_says_more() -> None:
    lengths = [len(text("elman", 3, "W_x", depth=depth)) for depth in (1, 2, 3)]
    assert lengths == sorted(lengths)
    assert lengths[0] < lengths[1] / 1.5
    lecture = text("elman", 3, "W_x", depth=3)
    assert "= ℓ₃′(y₃) σ′(o₃) W_y σ′(a₃) x₃" in lecture
    assert "∂⁺ℓ₃/∂y₃ ∂⁺y₃/∂o₃ ∂⁺o₃/∂h₃ ∂⁺h₃/∂a₃ ∂⁺a₃/∂W_x" in lecture
    for reason in ("Linear: the partial of aₜ", "sum over all paths", "one term for each"):
        assert reason in lecture.replace("\n", " ")


def test_one_parameter_and_several() -> None:
    one, two = text("elman", 2, "W_y"), text("elman", 2, "W_y", "b_y")
    assert one.count("The forward pass") == two.count("The forward pass") == 1
    assert "The gradients of L with respect to W_y, b_y" in two
    assert two.count("No factor repeats along time") == 2


@pytest.mark.parametrize(
    ("cell", "options", "said"),
    [
        ("elman", {}, ["σ is any"]),
        ("elman", {"activation": "tanh"}, ["The activation is tanh,"]),
        (
            "elman",
            {"activation": "tanh", "output_activation": "logistic"},
            ["The activation is tanh,", "The output has an activation of its own, logistic,"],
        ),
        ("elman", {"activation": "identity"}, ["The activation is the identity"]),
        ("elman", {"output_activation": "identity"}, ["σ is any", "The output activation is the identity"]),
        ("elman", {"activation": "relu"}, ["The activation is relu, with relu′(z) = 1 (z > 0), 0 (z ≤ 0)"]),
        ("linear", {}, []),
        ("linear", {"activation": "tanh"}, []),
        ("irnn", {}, ["σ is any", "The derivative of relu is"]),
        (LSTM, {}, ["The derivative of logistic is", "The derivative of tanh is tanh′(z) = 1 − tanh²(z)."]),
        (OWN_LOSS, {}, ["The derivative of exp(z) is exp(z).", "The derivative of tanh is"]),
    ],
)
def test_the_conventions_name_the_functions_that_are_used(cell: str, options: dict[str, str], said: list[str]) -> None:
    box = next(block for block in document(cell, 2, **options).blocks if isinstance(block, Box))
    items = [inline_text(item) for item in box.items]
    about = re.compile(r"σ is any|The activation is|The output (has an activation|activation is)|The derivative of")
    found = [item for item in items if about.match(item)]
    assert len(found) == len(said)
    assert all(item.startswith(start) for item, start in zip(found, said, strict=True))
    assert ("relu has no derivative at 0; by convention relu′(0) = 0." in items) is ("relu" in str((said, cell)))


@pytest.mark.parametrize(
    ("cell", "options", "said"),
    [
        ("elman", {}, "ℓₜ is any differentiable loss of the output yₜ"),
        ("elman", {"loss": "squared"}, "The loss of a step is 1/2(yₜ − dₜ)² (with the factor one half)."),
        ("elman", {"loss": "cross-entropy"}, "is the cross-entropy −dₜ log(yₜ) − (1 − dₜ) log(1 − yₜ)."),
        (OWN_LOSS, {}, "is the cell's own: (yₜ − dₜ)²/2 + (1/10) hₜ² dₜ + exp(−yₜ)/3."),
        ("elman", {"losses": "last"}, "L = ℓ_T: only the last step is scored"),
    ],
)
def test_the_conventions_name_the_loss(cell: str, options: dict[str, str], said: str) -> None:
    box = next(block for block in document(cell, 2, **options).blocks if isinstance(block, Box))
    assert sum(said in inline_text(item) for item in box.items) == 1


def test_elision_is_announced_where_it_happens_and_only_there() -> None:
    statement = "dots stand for what is left out"
    for T, whole in ((1, False), (6, False), (7, True)):
        shown = text("elman", T, "W_x", whole=whole)
        assert statement not in shown
        assert "⋯" not in shown
        assert "⋮" not in shown
    for T in (7, 100):
        for depth in (2, 3):
            shown = text("elman", T, "W_x", depth=depth)
            assert statement in shown
            assert "+ ⋯" in shown
            assert "⋮" in shown
            assert "--all" in shown.replace("\n", " ")
    lines = text("elman", 100, "W_x", "h_0", "x_40").splitlines()
    assert len(lines) < 280
    assert "Shown: 2 of 61." in lines


# --- the formats say the same -----------------------------------------------------------------------------------------

BLOCKS = Document(
    "On $W_{h}$",
    (
        Heading("First & last"),
        Paragraph('100% of $W_{h}^{2}$, "quoted" with --all and under_score <tag> * [x].'),
        Bullets(("one $a$", "two")),
        Box("Conventions", ("$\\sigma$ is any", "second")),
        Display(
            (
                Row("a", ("b", "+ c"), note="because $d$"),
                Row("", ("e",), margin=r"L \to e", relation=""),
            )
        ),
        Heading("Sub", 2),
        Table(("name", "value | x"), (("$a$", "1"), ("$b$", "-2"))),
    ),
)


def test_blocks_in_text() -> None:
    shown = document_text(BLOCKS)
    for piece in (
        "On W_h\n======", "First & last\n------------", "100% of W_h²", "• one a", "┌─ Conventions ", "│ • σ is any ",
        "a = b + c", "(because d)", "L → e", "\nSub\n", "name", "value | x",
    ):  # fmt: skip
        assert piece in shown


def test_blocks_in_latex() -> None:
    shown = document_latex(BLOCKS)
    for piece in (
        r"\section*{On $W_{h}$}", r"\subsection*{First \& last}", r"100\% of $W_{h}^{2}$", "``quoted''", r"-{}-all",
        r"under\_score", r"\item one $a$", r"\textbf{Conventions}", r"\begin{align*}", "a &= b + c",
        r"\text{\small because $d$}", r"\paragraph{Sub}", r"\begin{tabular}",
    ):  # fmt: skip
        assert piece in shown
    assert r"\documentclass" not in shown
    standalone = document_latex(BLOCKS, standalone=True)
    assert standalone.startswith(r"\documentclass")
    assert standalone.rstrip().endswith(r"\end{document}")
    assert displays(standalone)


def test_blocks_in_markdown() -> None:
    shown = document_markdown(BLOCKS)
    for piece in (
        "# On $`W_{h}`$", "## First & last", "> **Conventions**", "- one $`a`$", "```math\n\\begin{aligned}\n",
        "### Sub", "| $`a`$ | 1 |", r"value \| x", r"under\_score \<tag\> \* \[x\]",
    ):  # fmt: skip
        assert piece in shown
    assert len(markdown_formulas(shown)) == 6 + 1


@pytest.mark.parametrize("draw", [document_text, document_latex, document_markdown])
def test_what_is_no_block_is_refused(draw: object) -> None:
    with pytest.raises((TypeError, AssertionError)):
        draw(Document("x", (Paragraph("a lonely $"),)))  # type: ignore[operator]


@pytest.mark.parametrize(("cell", "T", "options"), SAMPLES[:6])
def test_no_dummy_of_sympys_reaches_a_reader(cell: str, T: int, options: dict[str, str]) -> None:
    shown = document(cell, T, **options)
    for output in (document_latex(shown), document_markdown(shown), str(derivation_json_of(cell, T, options))):
        assert not re.search(r"Subs|Derivative|xi|\\left\. ", output)


def derivation_json_of(cell: str, T: int, options: dict[str, str]) -> dict[str, object]:
    return derivation_json(derive_gradient(unroll(cell, steps=T, **options), "W_h"))


@pytest.mark.parametrize("language", ["en", "zh"])
def test_json_has_the_keys_of_the_contract(language: str) -> None:
    record = derivation_json(derive_gradient(unroll("elman", steps=3), "W_x"), language)
    assert record["goal"] == "W_x"
    steps = record["steps"]
    assert isinstance(steps, list)
    for step in steps:
        assert set(step) == {"section", "rule", "latex", "text", "reason"}
        assert step["reason"] and "<" not in step["reason"] and "$" not in step["reason"]
        assert "\\" not in step["text"]
    result = record["result"]
    assert isinstance(result, dict)
    assert result["paths"] == 6
    assert result["text"].startswith("ℓ₃′(y₃) σ′(o₃) W_y σ′(a₃) x₃ + ")


def test_values_of_records_print_without_dummies() -> None:
    derivation = derive_gradient(unroll("elman", steps=2), "W_h")
    for step in derivation.steps:
        for form in (step.before, step.after):
            assert not re.search(r"xi|Subs|\\left\.", sp.latex(form.value(derivation.model)))


# --- lines ------------------------------------------------------------------------------------------------------------


def test_wrapping_counts_chinese_characters_twice() -> None:
    assert columns("梯度 d") == 6
    lines = wrap("路径的值是沿途直接偏导数的乘积，次序与路线一致；路线写在旁边。" * 3, width=30)
    assert all(columns(line) <= 32 for line in lines)
    assert not any(line.startswith(("，", "。", "；")) for line in lines)
    assert "".join(lines) == "路径的值是沿途直接偏导数的乘积，次序与路线一致；路线写在旁边。" * 3


def test_wrapping_keeps_every_word() -> None:
    words = "one two three four five six seven"
    assert wrap(words, width=12) == ["one two", "three four", "five six", "seven"]
    assert wrap("") == [""]
    assert wrap("a b", 80, "• ", "  ") == ["• a b"]


def test_inline_latex_escapes_prose_and_keeps_formulas() -> None:
    assert inline_latex(r"50% & #1 of $a_{1}$ ~ ^ {x} \y") == (
        r"50\% \& \#1 of $a_{1}$ \textasciitilde{} \textasciicircum{} \{x\} \textbackslash{}y"
    )


@pytest.mark.parametrize("room", [60, 100, 200, 1000])
def test_breaking_a_formula_loses_nothing(room: float) -> None:
    def tokens(tex: str) -> list[str]:
        return re.findall(r"\\[A-Za-z]+|[^\\\s,]", re.sub(r"\\cdot |\\,|\\qquad|\\quad|&", "", tex))

    for cell in ("elman", LSTM, NASTY):
        derivation = derive_gradient(unroll(cell, steps=2), "h_0")
        for part in derivation.sections:
            for step in part.steps:
                tex = form_latex(step.after)
                lines = broken(tex, room)
                assert tokens(" ".join(lines)) == tokens(tex)
                for line in lines:
                    assert line.count("{") == line.count("}")
                    assert not line.endswith((r"\,", "+", "-"))


def test_where_formulas_break() -> None:
    assert broken("a + b", 1000) == ["a + b"]
    assert broken(r"\frac{a + b + c + d}{e}", 10) == [r"\frac{a + b + c + d}{e}"]  # never inside braces
    route = r" \to ".join(["L", *(f"h_{{{i}}}" for i in range(9))])
    assert all(line.startswith(r"\to") for line in broken(route, 80)[1:])
    product = r"\,".join(f"W_{{{i}}}" for i in range(9))
    rest = broken(product, 60)[1:]
    assert all(line.startswith(r"\cdot W") for line in rest)
    assert broken(r"f(a\,b + c\,d)\,g + h", width(r"f(a\,b + c\,d)\,g") + 5) == [r"f(a\,b + c\,d)\,g", "+ h"]


def test_widths_grow_with_what_is_written() -> None:
    assert width("") == 0
    assert width("ab") > width("a") > 0
    assert width(r"W_{h}^{2}") < width("Wh2")  # scripts stand above each other
    assert width(r"\prod_{j=1}^{3} a") < width(r"\prod") + width("j=1") + width("3")
    assert width(r"\underbrace{abcdef}_{g}") == width("abcdef")
    assert width("梯度") == 22


def test_wide_margins_stand_above_their_formulas() -> None:
    route = r" \to ".join(f"h_{{{i}}}" for i in range(18))
    [narrow] = aligned_displays((Row("", ("a",), margin=r"L \to a", relation=""), Row("", ("b",), relation="")))
    assert narrow == "& a && \\text{\\footnotesize $L \\to a$} \\\\\n& b"
    [wide] = aligned_displays((Row("", ("a",), margin=route, relation=""),))
    assert wide.splitlines()[-1].strip() == r"& \quad a"
    assert wide.splitlines()[0].startswith(r"& \text{\footnotesize $h_{0} \to")


def test_what_katex_cannot_expand_at_once_goes_on_in_another_display() -> None:
    terms = tuple(rf"+ a_{{{i}}}\,b\,c\,d" for i in range(300))
    parts = aligned_displays((Row(r"\frac{a}{b}", terms),))
    assert len(parts) > 2
    assert all(part.startswith(r"\phantom{\frac{a}{b}} &\quad + a_") for part in parts[1:])
    assert "".join(parts).count(r"\,d") == 300
    shown = document_latex(Document("", (Display((Row(r"\frac{a}{b}", terms),)),)))
    assert len(displays(shown)) == len(parts)
    assert len(markdown_formulas(document_markdown(Document("", (Display((Row("x", terms),)),))))) == len(parts)


# MathJax 3 as GitHub runs it: \operatorname is refused, \text has no sizes.
# (Tried with MathJax 3.2: all of these draw.)
GITHUB = frozenset(
    "partial mathrm to ell frac tfrac sigma qquad quad end begin cdot cdots text underbrace prod Bigr Bigl rvert lvert "
    "times vdots tanh right left gamma ln sum sqrt le ge sup exp sin cos log dots in theta tau pm circ ne".split()
)


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize(
    "choices",
    [{}, {"activation": "logistic", "loss": "cross-entropy"}, {"activation": "relu"}, {"activation": "softplus"}],
    ids=str,
)
def test_markdown_keeps_to_what_github_draws(choices: dict[str, str], language: str) -> None:
    for steps, depth in ((3, 3), (8, 2)):
        derivations = derive_gradients(unroll("elman", steps=steps, **choices))
        shown = document_markdown(derivation_document(derivations, language=language, depth=depth))
        used = set(re.findall(r"\\([A-Za-z]+)", shown))
        assert used <= GITHUB, used - GITHUB
        assert r"\text{\\" not in shown and "$}" not in shown
