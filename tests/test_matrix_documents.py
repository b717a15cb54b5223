r"""Documents in matrix form: every printed product is conformable, every formula parses, nothing is said twice.

What is checked is the LaTeX that a reader sees: `printed_shapes` reads it without the records that it was made of.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import chain, cycle, product
from pathlib import Path

import pytest
from latex_tools import displays, have_katex, require
from printed_shapes import Equation, Misfit, Sizes, check, distinct_sizes, equations, shape
from test_latex_documents import Formulas, assert_all_parse, assert_compiles, collect, collect_document
from test_matrix_derivation import CELLS, LAYOUTS, matrix

from rnn_symbolic.derivation import default_granularity, derive_gradients
from rnn_symbolic.expressions import Quantity
from rnn_symbolic.jacobian import StateJacobian
from rnn_symbolic.model import Model
from rnn_symbolic.notations import NOTATIONS, letters_for
from rnn_symbolic.render.derivation_document import derivation_document, derivation_json
from rnn_symbolic.render.document import Document
from rnn_symbolic.render.jacobian_document import count_document, jacobian_document, jacobian_json
from rnn_symbolic.render.latex import document_latex
from rnn_symbolic.render.notation import rewrite
from rnn_symbolic.render.path_tables import PathStyle, paths_document, paths_json
from rnn_symbolic.render.text import document_text
from rnn_symbolic.survey import survey_paths
from rnn_symbolic.verification import verify_all

LANGUAGES = ("en", "zh")
DEPTHS = (1, 2, 3)
LOSSES = {
    "abstract": {},
    "squared": {"loss": "squared"},
    "softmax": {"loss": "cross-entropy", "output_activation": "softmax"},
    "logistic": {"loss": "cross-entropy", "output_activation": "logistic"},
}


def goals_of(model: Model) -> tuple[Quantity, ...]:
    """Every parameter and initial state, and an input."""
    inputs = (model.resolve(f"x_{min(2, model.steps)}"),) if model.cell.uses_input else ()
    return (*model.parameters, *model.initial_states, *inputs)


def derivation_of(
    model: Model, goals: Iterable[Quantity] = (), *, checked: bool = False, whole: bool = False, **options: object
) -> Document:
    """A derivation as a document, of all goals unless some are named."""
    layout = str(options.get("layout", "gradient"))
    derivations = derive_gradients(model, tuple(goals) or goals_of(model), layout=layout, whole=whole)
    verifications = verify_all(derivations, symbolic=False) if checked else ()
    return derivation_document(derivations, verifications=verifications, **options)  # type: ignore[arg-type]


@cache
def document(cell: str, T: int = 3, losses: str = "abstract", **options: object) -> str:
    """The LaTeX of a derivation of all gradients."""
    return document_latex(derivation_of(matrix(cell, T, **LOSSES[losses]), **options))


def sizes_of(model: Model) -> Sizes:
    return Sizes(distinct_sizes(model.names), model.names, model.cell.states)


# --- the reader of printed shapes -------------------------------------------------------------------------------------

SIZES = Sizes(
    {"n_x": 11, "n_h": 13, "n_y": 17, "n_c": 19},
    {
        "x": ("n_x",), "h": ("n_h",), "a": ("n_h",), "y": ("n_y",), "d": ("n_y",), "o": ("n_y",), "c": ("n_c",),
        "W_x": ("n_h", "n_x"), "W_h": ("n_h", "n_h"), "W_y": ("n_y", "n_h"), "b_h": ("n_h",), "tau": (),
    },
    ("h", "c"),
)  # fmt: skip


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        (r"W_{h}\,h_{t-1} + W_{x}\,x_{t} + b_{h}", (13, 1)),
        (r"\sigma(W_{h}\,h_{t-1} + b_{h})", (13, 1)),
        (r"\operatorname{diag}(1 - y_{t}) \cdot W_{y}", (17, 13)),
        (r"\operatorname{diag}(y_{3}) - y_{3}\,y_{3}^{\top}", (17, 17)),
        (r"-\Bigl(\frac{d_{t}}{y_{t}}\Bigr)^{\top}\,(\operatorname{diag}(y_{t}) - y_{t}\,y_{t}^{\top})", (1, 17)),
        (r"((\mathbf{1}^{\top}\,d_{t})\,y_{t} - d_{t})^{\top}", (1, 17)),
        (r"\tfrac{1}{2}\,\operatorname{sum}((y_{t} - d_{t})^{2})", (1, 1)),
        (r"-\operatorname{sum}(d_{t} \odot \log(y_{t}))", (1, 1)),
        (r"\tau\,\mathbf{1} + b_{h}", (13, 1)),
        (r"\tau\,W_{y}", (17, 13)),
        (r"W_{y}\,(W_{h})^{2}\,h_{0}", (17, 1)),
        (r"\nabla \ell_{3}(y_{3})^{\top}\,W_{y}\,\cdots\,W_{h}", (1, 13)),
        (r"\nabla_{W_{x}} L", (13, 11)),
        (r"\frac{\partial L}{\partial W_{x}}", (11, 13)),
        (r"\frac{\partial^{+} a_{t}}{\partial \operatorname{vec} W_{x}}", (13, 143)),
        (r"\frac{\partial^{+} \ell_{t}}{\partial y_{t}}\,\frac{\partial^{+} y_{t}}{\partial h_{t}}", (1, 13)),
        (r"\frac{\partial\mathcal{S}_{3}}{\partial x_{3}}", (32, 11)),
        (r"\nabla_{\mathcal{S}_{2}} L", (32, 1)),
        (r"W_{y}\,(h_{2}^{\top} \otimes I)", (17, 169)),
        (r"{\begin{pmatrix} W_{h} & 0 \\ \frac{\partial c_{t}}{\partial h_{t-1}} & I \end{pmatrix}}", (32, 32)),
        (r"{\begin{pmatrix} h_{t} \\ c_{t} \end{pmatrix}}", (32, 1)),
        (r"\underbrace{W_{y}}_{n_{y} \times n_{h}}\,\underbrace{h_{1}}_{n_{h} \times 1}", (17, 1)),
        (r"\underbrace{\mathcal{S}_{1}}_{(n_{h} + n_{c}) \times 1}", (32, 1)),
        (r"\underbrace{x_{t}^{\top} \otimes I}_{n_{h} \times n_{h}\,n_{x}}", (13, 143)),
    ],
)
def test_the_shape_of_a_printed_formula(formula: str, expected: tuple[int, int]) -> None:
    assert shape(formula, SIZES) == expected


@pytest.mark.parametrize(
    "formula",
    [
        r"W_{y}\,x_{1}",  # what W_y is applied to has the wrong size
        r"h_{t-1}\,W_{h}",  # two factors swapped
        r"W_{x}\,\nabla_{h_{1}} L",  # a dropped transpose
        r"W_{x}^{\top}\,\frac{\partial L}{\partial h_{1}}",  # a row for a column
        r"\nabla_{h_{1}} L + \frac{\partial L}{\partial h_{1}}",  # a column and a row
        r"\nabla_{h_{1}} L\,x_{1}",  # no outer product
        r"\nabla_{h_{1}} L^{\top}\,x_{1}^{\top}",
        r"\nabla \ell_{3}(y_{3})\,W_{y}",
        r"\operatorname{diag}(y_{3}^{\top})",
        r"\operatorname{diag}(W_{y})",
        r"h_{t} \odot y_{t}",
        r"h_{t} \odot W_{h}\,h_{t-1}",  # a matrix product in an elementwise one, without parentheses
        r"h_{t}\,h_{t-1}",  # ⊙ forgotten
        r"\nabla \ell_{3}(y_{3})^{\top}\,h_{3}^{\top} \otimes I",
        r"(h_{t} \otimes I)\,h_{t}",
        r"\tau + b_{h}",
        r"W_{y}^{2}",
        r"\frac{d_{t}}{h_{t}}",
        r"\frac{\partial h_{t}}{\partial W_{x}}",  # three dimensions
        r"\frac{\partial L}{\partial \operatorname{vec} h_{t}}",
        r"{\begin{pmatrix} h_{t} & y_{t} \end{pmatrix}}",
        r"{\begin{pmatrix} h_{t} & h_{t} \\ y_{t} \end{pmatrix}}",
        r"W_{h}\,I + y_{t}\,y_{t}^{\top}",
        r"\underbrace{W_{y}}_{n_{h} \times n_{y}}",
        r"\underbrace{W_{y}\,h_{1}}_{n_{y} \times n_{h}}",
        r"W_{h} h_{t}",  # no sign of a product
        r"W_{h}\,q_{t}",
        r"W_{h}\,h_{t}\,",
        r"(W_{h}\,h_{t}",
        r"\int h_{t}",
        "",
    ],
)
def test_what_does_not_fit_is_refused(formula: str) -> None:
    with pytest.raises(Misfit):
        shape(formula, SIZES)


def test_both_sides_of_an_equation_have_one_shape() -> None:
    assert check(Equation(r"\nabla_{W_{x}} L", r"\nabla_{a_{1}} L\,x_{1}^{\top}"), SIZES).rows == 13
    route = r"L \to \ell_{1} \to h_{1} \to W_{x}"
    assert check(Equation("", r"\nabla_{a_{1}} L^{\top}\,(x_{1}^{\top} \otimes I)", route), SIZES).columns == 143
    for equation in (
        Equation(r"\nabla_{W_{x}} L", r"x_{1}\,\nabla_{a_{1}} L^{\top}"),
        Equation(r"\frac{\partial L}{\partial W_{x}}", r"\nabla_{a_{1}} L\,x_{1}^{\top}"),
        Equation("", r"\nabla_{a_{1}} L\,x_{1}^{\top}", route),
        Equation("h_{t}", r"\operatorname{diag}(h_{t})"),
        Equation(r"\ell_{t}", "h_{t}"),
    ):
        with pytest.raises(Misfit):
            check(equation, SIZES)


def test_broken_lines_are_joined_and_margins_left_out() -> None:
    tex = r"""\begin{align*}
& A && \text{\footnotesize $L \to h_{1}$} \\[4pt]
&= B\,C \\[4pt]
&\qquad \cdot D \\[4pt]
& \vdots \\[4pt]
& \text{\footnotesize $L \to \ell_{3}$} \\[4pt]
& \text{\footnotesize $\to h_{2}$} \\[4pt]
& \quad E
\end{align*}
\begin{align*}
\phantom{\frac{a}{b}} &\quad + \cdots \\[4pt]
x &= y - {\begin{pmatrix} a & b \\ c & d \end{pmatrix}} && \text{\small why} \\[4pt]
&\quad \text{\small another reason}
\end{align*}"""
    assert list(equations(tex)) == [
        Equation("", "A", r"L \to h_{1}"),
        Equation("", r"B\,C \cdot D", r"L \to h_{1}"),
        Equation("", r"E + \cdots", r"L \to \ell_{3} \to h_{2}"),
        Equation("x", r"y - {\begin{pmatrix} a & b \\ c & d \end{pmatrix}}"),
    ]


# --- every printed product is conformable -----------------------------------------------------------------------------


def assert_conformable(tex: str, sizes: Sizes, seen: set[Equation] | None = None) -> int:
    """How many equations were read; all fit, those that were ``seen`` before excepted."""
    number, misfits = 0, []
    for equation in equations(tex):
        number += 1
        if seen is not None and equation in seen:
            continue
        try:
            check(equation, sizes)
        except Misfit as misfit:
            misfits.append(f"{equation}\n    {misfit}")
        if seen is not None:
            seen.add(equation)
    assert not misfits, f"{len(misfits)} of {number} do not fit:\n" + "\n".join(misfits[:5])
    return number


@pytest.mark.parametrize("cell", CELLS)
def test_every_printed_product_is_conformable(cell: str) -> None:
    model, seen = matrix(cell), set[Equation]()
    sizes = sizes_of(model)
    least = sum(1 for _ in model.table) + len(goals_of(model))
    for layout, losses in product(LAYOUTS, LOSSES):
        assert assert_conformable(document(cell, 3, losses, layout=layout), sizes, seen) > least
    for layout in LAYOUTS:
        assert assert_conformable(document(cell, 8, layout=layout), sizes, seen) > least
    assert assert_conformable(document(cell, 2, "softmax", depth=3), sizes, seen) > least


@pytest.mark.slow
@pytest.mark.parametrize("cell", CELLS)
def test_every_printed_product_is_conformable_in_every_way(cell: str) -> None:
    seen = set[Equation]()
    sizes = sizes_of(matrix(cell))
    for layout, losses, T, depth in product(LAYOUTS, LOSSES, (1, 2, 3, 5, 8, 20), DEPTHS):
        if T != 5 or default_granularity(matrix(cell)) == "state":
            assert_conformable(document_latex(derivation_of(matrix(cell, T, **LOSSES[losses]), layout=layout,
                                                            depth=depth)), sizes, seen)  # fmt: skip
    for layout, losses in product(LAYOUTS, ("last", "mean")):
        assert_conformable(document_latex(derivation_of(matrix(cell, 8, losses=losses), layout=layout)), sizes, seen)
        assert_conformable(document_latex(derivation_of(matrix(cell, 8), layout=layout, whole=True)), sizes, seen)


@pytest.mark.parametrize("cell", CELLS)
def test_the_gradient_has_the_shape_of_the_parameter(cell: str) -> None:
    """And in Jacobian layout that of its transpose; there is a line for each, whose left side says so."""
    model = matrix(cell)
    sizes = sizes_of(model)
    for layout in LAYOUTS:
        lines = {equation.left: equation for equation in equations(document(cell, layout=layout))}
        for goal in goals_of(model):
            rows, columns = (*(sizes.numbers[size] for size in model.names[goal.name]), 1, 1)[:2]
            name = next(name for name in lines if name.replace(" ", "").endswith(_named(goal, layout)))
            found = check(lines[name], sizes)
            expected = (rows, columns) if layout == "gradient" else (columns, rows)
            assert (found.rows, found.columns) == expected, f"{goal} in layout {layout}"


def _named(goal: Quantity, layout: str) -> str:
    scripts = goal.name.split("_")[1:] + ([] if goal.step is None else [str(goal.step)])
    base = goal.name.split("_")[0]
    letter = base if len(base) == 1 else "\\" + base
    symbol = letter + (f"_{{{','.join(scripts)}}}" if scripts else "")
    return rf"\nabla_{{{symbol}}}L" if layout == "gradient" else rf"\frac{{\partialL}}{{\partial{symbol}}}"


@pytest.mark.parametrize("cell", CELLS)
def test_products_in_tables_of_paths_are_conformable(cell: str) -> None:
    for T, layout in product((3, 8), LAYOUTS):
        model = matrix(cell, T)
        sizes, number = sizes_of(model), 0
        for goal in (model.parameters[0], model.initial_states[0]):
            survey = survey_paths(model, str(goal), granularity=default_granularity(model))
            tex = document_latex(paths_document(survey, "en", PathStyle(layout=layout, shapes=T == 3)))
            rows, columns = (*(sizes.numbers[size] for size in model.names[goal.name]), 1, 1)[:2]
            expected = (rows, columns) if layout == "gradient" else (columns, rows)
            for formula in products_of_paths(tex):
                assert shape(formula, sizes) == expected, formula
                number += 1
        assert number >= 2 * T


def products_of_paths(tex: str) -> Iterator[str]:
    """The formula behind each route in a table."""
    after = False
    for formula, display in displays(tex):
        route = formula.startswith("L \\to")
        if after and not display and not route:
            yield formula
        after = route


@pytest.mark.parametrize("cell", CELLS)
def test_products_in_state_jacobians_are_conformable(cell: str) -> None:
    for lag, depth in product((1, 2, 3), (2, 3)):
        model = matrix(cell)
        found = document_latex(jacobian_document(StateJacobian(model, lag), "en", depth=depth, shapes=lag == 2))
        assert assert_conformable(found, sizes_of(model)) >= min(lag, 2)


# --- what is spoiled in print is seen in print ------------------------------------------------------------------------


def factors(right: str) -> list[str]:
    r"""The factors of a printed product, at its top level.

    >>> factors(r"W\,(a\,b)\,\frac{c\,d}{e}")
    ['W', '(a\\,b)', '\\frac{c\\,d}{e}']
    """
    found, depth, start = [], 0, 0
    for match in re.finditer(r"\\,| \\cdot |[{}()]|\\[A-Za-z]+", right):
        if match[0] in "{}()":
            depth += 1 if match[0] in "{(" else -1
        elif not depth and match[0] in (r"\,", r" \cdot "):
            found.append(right[start : match.start()])
            start = match.end()
    return [*found, right[start:]]


def terms(right: str) -> list[str]:
    """The terms of a printed sum, at its top level."""
    found, depth, start = [], 0, 0
    for match in re.finditer(r" [+] |[{}()]", right):
        if match[0] in "{}()":
            depth += 1 if match[0] in "{(" else -1
        elif not depth:
            found.append(right[start : match.start()])
            start = match.end()
    return [*found, right[start:]]


def spoiled(equation: Equation, sizes: Sizes) -> Iterator[tuple[str, Equation]]:
    """The equation with one transpose dropped, one gradient taken as a row, two neighbouring factors swapped."""
    for mark in re.finditer(r"\^\{\\top\}", equation.right):
        yield "dropped", Equation(equation.left, equation.right[: mark.start()] + equation.right[mark.end() :])
    for mark in re.finditer(r"\\nabla_\{(\w+_\{[^}]*\})\} L", equation.right):
        row = rf"\frac{{\partial L}}{{\partial {mark[1]}}}"
        yield "row", Equation(equation.left, equation.right[: mark.start()] + row + equation.right[mark.end() :])
    for term in terms(equation.right):
        parts = factors(term)
        for i in range(len(parts) - 1):
            first, second = (_shape_or_none(part, sizes) for part in parts[i : i + 2])
            if (1, 1) in (first, second) or (first == second and first is not None and first[0] == first[1]):
                continue  # scalars commute, and two square matrices can be swapped as far as shapes go
            other = r"\,".join([*parts[:i], parts[i + 1], parts[i], *parts[i + 2 :]])
            yield "swapped", Equation(equation.left, equation.right.replace(term, other))


def _shape_or_none(part: str, sizes: Sizes) -> tuple[int, int] | None:
    try:
        return shape(part, sizes)
    except Misfit:
        return None  # I, 0 or dots


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_spoiled_line_is_refused(layout: str) -> None:
    """In a cell without a square weight no dropped transpose can hide."""
    sizes = sizes_of(matrix("crossed"))
    number: Counter[str] = Counter()
    for equation in equations(document("crossed", layout=layout)):
        check(equation, sizes)
        if equation.left:
            for how, bad in spoiled(equation, sizes):
                number[how] += 1
                with pytest.raises(Misfit):
                    check(bad, sizes)
    least = {"gradient": {"dropped": 90, "row": 5, "swapped": 90}, "jacobian": {"dropped": 20, "swapped": 90}}
    assert all(number[how] >= n for how, n in least[layout].items()), number


# --- shapes under the factors -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("cell", CELLS)
def test_the_shape_stands_under_every_factor_and_is_its_shape(cell: str) -> None:
    """`check` compares what stands below with what it finds above; here, that something stands there."""
    model = matrix(cell)
    sizes = sizes_of(model)
    for layout, T in product(LAYOUTS, (3, 8)):
        braces = 0
        for equation in equations(document(cell, T, shapes=True, layout=layout)):
            found = check(equation, sizes)
            braces += found.braces
            forward = re.fullmatch(r"(\\ell|\\?\w+)(_\{[^}]*\})?", equation.left)
            if not forward and "pmatrix" not in equation.right and (found.rows, found.columns) != (1, 1):
                assert found.braces and not found.bare, f"{equation}: nothing under {found.bare[:1]}"
        plain = document(cell, T, layout=layout)
        assert braces > len(model.table) and "underbrace" not in plain
        assert [e.left for e in equations(plain)] == [e.left for e in equations(document(cell, T, shapes=True,
                                                                                         layout=layout))]  # fmt: skip


def test_shapes_at_depth_3_are_right() -> None:
    for cell in ("elman", "crossed", "gru"):
        model = matrix(cell)
        assert_conformable(document(cell, shapes=True, depth=3), sizes_of(model))


# --- the LSTM: all parameters, matrix form ----------------------------------------------------------------------------


@cache
def whole_lstm(T: int, checked: bool = False) -> str:
    model = matrix("lstm", T)
    return document_latex(derivation_of(model, model.parameters, checked=checked))


def test_the_whole_lstm_is_short() -> None:
    tex = whole_lstm(3, checked=True)
    assert "What was checked" in tex
    assert len(tex.encode()) < 60_000
    assert {equation.left for equation in equations(tex)} >= {
        rf"\nabla_{{{name}}} L" for name in ("U_{f}", "W_{i}", "b_{g}", "W_{o}", "W_{y}", "b_{y}")
    }


@pytest.mark.parametrize("T", [10, 100])
def test_the_whole_lstm_grows_no_longer_than_its_numbers(T: int) -> None:
    assert len(whole_lstm(T)) < len(whole_lstm(6))
    assert len(whole_lstm(T).encode()) < 60_000
    assert len(list(equations(whole_lstm(T)))) == len(list(equations(whole_lstm(8))))


def blocks_of(tex: str) -> Counter[str]:
    r"""The lines whose left side is a named block, ∂c_t/∂h_{t−1}: a derivative at the generic step."""
    lefts = (equation.left.replace(" ", "") for equation in equations(tex))
    return Counter(
        left for left in lefts if re.fullmatch(r"\\frac\{\\partial[^^].*_\{(\w,)?t\}\}\{\\partial.*\}", left)
    )


def block(p: str, q: str) -> str:
    return rf"\frac{{\partial{p}}}{{\partial{q}}}"


@pytest.mark.parametrize("depth", [2, 3])
def test_each_block_of_the_lstm_is_expanded_once(depth: int) -> None:
    found = blocks_of(document("lstm", depth=depth))
    S, h, c = r"\mathcal{S}", "h", "c"
    joint = [block(r"\ell_{t}", f"{S}_{{t}}"), block(f"{S}_{{t}}", f"{S}_{{t-1}}"), block(r"\ell_{t}", "h_{t}")]
    state = [block(f"{p}_{{t}}", f"{q}_{{t-1}}") for p in (h, c) for q in (h, c)]
    gates = [block(f"{p}_{{t}}", f"a_{{{g},t}}") for g in "figo" for p in (S, h, c) if (g, p) != ("o", c)]
    # how the initial states and an input enter
    others = [block(f"{S}_{{t}}", f"{q}_{{t-1}}") for q in (h, c)] + [block(f"{p}_{{t}}", "x_{t}") for p in (S, h, c)]
    assert found == Counter([*joint, *state, *gates, *others])


@pytest.mark.parametrize("cell", CELLS)
def test_each_block_is_expanded_once(cell: str) -> None:
    for T in (3, 8):
        assert set(blocks_of(document(cell, T)).values()) <= {1}


def test_no_state_jacobian_is_distributed() -> None:
    """A recurrent weight of the LSTM stands in its equation, in its row of the table and in its block: nowhere else."""
    for T in (3, 8):
        mentions = Counter(
            weight
            for equation in equations(document("lstm", T))
            for weight in re.findall(r"(?<!vec )W_\{[figo]\}", equation.right)
        )
        assert mentions == {f"W_{{{gate}}}": 3 for gate in "figo"}


# --- KaTeX ------------------------------------------------------------------------------------------------------------

Way = tuple[str, str, int, bool, str]
WAYS: list[Way] = list(product(LAYOUTS, LANGUAGES, DEPTHS, (False, True), NOTATIONS))
"""Layout, language, depth, shapes, notation."""


def documents_of(model: Model, way: Way) -> Iterator[tuple[str, Document]]:
    """The derivation, the paths and the state Jacobian of a model, in the letters of the article."""
    layout, language, depth, shapes, _ = way
    goals = goals_of(model)
    options = {"layout": layout, "language": language, "depth": depth, "shapes": shapes}
    yield "derivation", derivation_of(model, goals, checked=depth == 2, **options)
    style = PathStyle(layout=layout, shapes=shapes)
    for goal in (goals[0], model.initial_states[0]):
        yield "paths", paths_document(survey_paths(model, str(goal)), language, style)
    jacobian = StateJacobian(model, min(2, model.steps))
    yield "jacobian", jacobian_document(jacobian, language, depth=depth, shapes=shapes, layout=layout)
    yield "count", count_document(jacobian, language)


def written_in(notation: str, model: Model, found: Document) -> Document:
    return rewrite(found, letters_for(notation, model.cell))


def collect_way(formulas: Formulas, cell: str, model: Model, way: Way) -> None:
    """The formulas of every format."""
    for what, plain in documents_of(model, way):
        found = written_in(way[-1], model, plain)
        collect_document(formulas, f"{cell}, T = {model.steps}, {what}, {way}", found)
        if what != "paths":  # their tables are wide
            document_text(found)  # refuses what is not in the vocabulary of formulas


def collect_notations(formulas: Formulas, cell: str, model: Model, way: Way) -> None:
    """The formulas of LaTeX in all notations."""
    for what, found in documents_of(model, way):
        for notation in NOTATIONS:
            tex = document_latex(written_in(notation, model, found))
            collect(formulas, f"{cell}, T = {model.steps}, {what}, {way}, {notation}", displays(tex))


def collect_records(formulas: Formulas, cell: str, model: Model, layout: str) -> None:
    """What JSON and notebooks show."""
    derivations = derive_gradients(model, goals_of(model), layout=layout)
    shown = chain(derivations, *(derivation.steps for derivation in derivations), derivations[0].paths)
    collect(formulas, f"{cell}, notebook", ((each._repr_latex_()[1:-1], True) for each in shown))
    steps = (step for derivation in derivations for step in derivation_json(derivation)["steps"])  # type: ignore[attr-defined]
    collect(formulas, f"{cell}, JSON", ((step["latex"], True) for step in steps))
    table = paths_json(survey_paths(model, str(model.parameters[0])), PathStyle(layout=layout))
    collect(formulas, f"{cell}, JSON of paths", ((path["latex"], True) for path in table["paths"]))
    blocks = jacobian_json(StateJacobian(model, 1))
    collect(formulas, f"{cell}, JSON of blocks", ((each["latex"], True) for each in blocks["blocks"]))


@pytest.fixture
def katex() -> None:
    require(have_katex(), "KaTeX is not installed: make katex")


@pytest.mark.slow
@pytest.mark.usefixtures("katex")
def test_formulas_of_every_cell_in_some_ways_parse() -> None:
    """Every cell in two ways of writing; together every pair of layout, language, depth, shapes and notation."""
    formulas: Formulas = {}
    spread = (WAYS[i * 17 % len(WAYS)] for i in range(len(WAYS)))  # 17 and 120 have no common factor
    kinds = cycle(LOSSES)
    used: list[Way] = []
    for cell in CELLS:
        for T in (3, 8):
            used.append(next(spread))
            collect_way(formulas, cell, matrix(cell, T, **LOSSES[next(kinds)]), used[-1])
        collect_records(formulas, cell, matrix(cell, 2), used[-1][0])
    for i, j in product(range(5), range(5)):
        assert {(way[i], way[j]) for way in used} == {(way[i], way[j]) for way in WAYS}
    assert_all_parse(formulas, at_least=5000)


@pytest.mark.slow
@pytest.mark.usefixtures("katex")
@pytest.mark.parametrize("cell", CELLS)
def test_formulas_of_every_cell_in_every_way_parse(cell: str) -> None:
    formulas: Formulas = {}
    kinds = cycle(LOSSES)
    for way in WAYS[:: len(NOTATIONS)]:
        collect_notations(formulas, cell, matrix(cell, 3, **LOSSES[next(kinds)]), way)
    for T, way in product((1, 8), WAYS[::17]):
        collect_way(formulas, cell, matrix(cell, T, **LOSSES[next(kinds)]), way)
    for layout in LAYOUTS:
        collect_records(formulas, cell, matrix(cell, 3), layout)
    assert_all_parse(formulas, at_least=1000)


# --- TeX --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cell", "options"),
    [
        ("elman", {"depth": 3, "shapes": True}),
        ("elman", {"layout": "jacobian", "language": "zh"}),
        ("lstm", {}),
        ("lstm", {"shapes": True, "layout": "jacobian"}),
    ],
    ids=["elman-lecture-shapes", "elman-zh-jacobian", "lstm", "lstm-shapes-jacobian"],
)
def test_a_matrix_document_compiles_and_nothing_sticks_out(
    cell: str, options: dict[str, object], tmp_path: Path
) -> None:
    assert_compiles(derivation_of(matrix(cell), checked=True, **options), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("cell", CELLS)
def test_every_matrix_document_compiles(cell: str, tmp_path: Path) -> None:
    kinds = cycle(LOSSES)
    for i, way in enumerate(WAYS[:: 11 if cell in ("elman", "lstm") else 29]):
        for T in (3, 8):
            model = matrix(cell, T, **LOSSES[next(kinds)])
            for what, found in documents_of(model, way):
                folder = tmp_path / f"{what}{i}-{T}"
                if not folder.exists():  # one table of paths
                    folder.mkdir()
                    assert_compiles(written_in(way[-1], model, found), folder)
