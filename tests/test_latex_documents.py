r"""Every formula of every output parses in KaTeX with ``strict: "error"``; documents compile, and nothing sticks out.

One node process reads thousands of formulas. The default run takes a representative part; the sweeps are slow.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import product
from pathlib import Path

import pytest
from latex_tools import (
    Engine,
    compile_tex,
    displays,
    have_katex,
    have_tex,
    katex_failures,
    markdown_formulas,
    require,
)
from test_rendering import tables
from textbook import CELLS, LSTM

from rnn_symbolic.cells import BUILT_IN
from rnn_symbolic.derivation import Derivation, derive_gradients
from rnn_symbolic.model import ACTIVATIONS, FORMS, LOSS_KINDS, Model, unroll
from rnn_symbolic.render.derivation_document import derivation_document, derivation_json
from rnn_symbolic.render.document import Document
from rnn_symbolic.render.latex import document_latex
from rnn_symbolic.render.markdown import document_markdown
from rnn_symbolic.verification import all_steps, verify_all

EVERY_CELL = {**BUILT_IN, **{f"{name} as text": cell for name, cell in CELLS.items()}}
Formulas = dict[tuple[str, bool], str]
"""(latex, is it a display?) -> where it stands."""


def every_goal(model: Model, layout: str = "gradient") -> tuple[Derivation, ...]:
    """Parameters (of a gated cell a third), initial states, an input and a state in the middle."""
    inputs = [model.resolve("x_1")] if model.cell.uses_input else []
    state = model.resolve(f"{model.cell.states[0]}_{model.steps}")
    parameters = model.parameters[:: 1 if len(model.parameters) < 8 else 3]
    return derive_gradients(model, (*parameters, *model.initial_states, *inputs, state), layout=layout)


def documents(
    model: Model, depths: Iterable[int] = (2, 3), languages: Iterable[str] = ("en", "zh")
) -> Iterator[Document]:
    derivations = every_goal(model)
    found = verify_all(derivations, symbolic=False)
    for depth, language in product(depths, languages):
        yield derivation_document(derivations, language=language, depth=depth, verifications=found)
        yield derivation_document(derivations[:1], language=language, depth=depth, verifications=found[:1])


def collect(formulas: Formulas, where: str, found: Iterable[tuple[str, bool]]) -> None:
    for formula in found:
        formulas.setdefault(formula, where)


def collect_document(formulas: Formulas, where: str, document: Document) -> None:
    fragment, standalone = (document_latex(document, standalone=standalone) for standalone in (False, True))
    collect(formulas, f"{where}, LaTeX", displays(fragment))
    if document.language == "zh":  # Chinese is set larger, so its lines break elsewhere
        collect(formulas, f"{where}, standalone", displays(standalone))
    collect(formulas, f"{where}, Markdown", markdown_formulas(document_markdown(document)))


def collect_model(formulas: Formulas, where: str, model: Model, **options: Iterable[int] | Iterable[str]) -> None:
    for document in documents(model, **options):  # type: ignore[arg-type]
        collect_document(formulas, f"{where}, {document.language}", document)
    derivations = every_goal(model)
    shown: list[object] = [model, *derivations]
    for derivation in derivations:
        shown += list(all_steps(derivation.steps))
        if derivation.model.steps <= 4:
            shown += derivation.paths
        record = derivation_json(derivation)
        steps = record["steps"]
        assert isinstance(steps, list)
        collect(formulas, f"{where}, JSON", ((step["latex"], True) for step in steps))
    for each in shown:
        tex = each._repr_latex_()  # type: ignore[attr-defined]
        assert tex.startswith("$") and tex.endswith("$")
        collect(formulas, f"{where}, {type(each).__name__}", [(tex[1:-1], True)])


def assert_all_parse(formulas: Formulas, at_least: int) -> None:
    assert len(formulas) >= at_least
    failures = katex_failures((f"{where}: {tex}", tex, display) for (tex, display), where in formulas.items())
    assert not failures, "\n".join(f"{f['id'][:400]}\n    {f['error']}" for f in failures[:10])


@pytest.fixture(autouse=True)
def katex(request: pytest.FixtureRequest) -> None:
    if "tmp_path" not in request.fixturenames:
        require(have_katex(), "KaTeX is not installed: make katex")


# --- KaTeX ------------------------------------------------------------------------------------------------------------


def test_formulas_of_a_representative_part_parse() -> None:
    formulas: Formulas = {}
    for T in (1, 3, 8):
        collect_model(formulas, f"elman, T = {T}", unroll("elman", steps=T))
    for activation in ACTIVATIONS:
        model = unroll("elman", steps=2, activation=activation, loss="squared")
        collect_model(formulas, activation, model, depths=(2,), languages=("en",))
    for name in (*BUILT_IN, "own loss as text", "nasty as text"):
        model = unroll(EVERY_CELL[name], steps=2, losses="last", output_activation="logistic", loss="cross-entropy")
        collect_model(formulas, name, model, depths=(3,), languages=("en",))
    for cell in ("elman", "linear", "residual", "lstm", "gru"):
        model = unroll(cell, steps=3, form="matrix", output_activation="softmax", loss="cross-entropy")
        collect_model(formulas, f"{cell}, matrices", model, depths=(3,), languages=("en",))
    collect_model(formulas, "T = 100", unroll("elman", steps=100), depths=(3,), languages=("en",))
    collect_model(
        formulas, "T = 100, matrices", unroll("lstm", steps=100, form="matrix"), depths=(2,), languages=("zh",)
    )
    for language in ("en", "zh"):
        for table in tables(language):
            collect_document(formulas, f"table, {language}", table)
    assert_all_parse(formulas, at_least=2000)


@pytest.mark.slow
@pytest.mark.parametrize("T", [3, 8])
def test_formulas_of_every_activation_and_loss_parse(T: int) -> None:
    formulas: Formulas = {}
    for activation, loss in product(ACTIVATIONS, LOSS_KINDS):
        model = unroll("elman", steps=T, activation=activation, loss=loss)
        collect_model(formulas, f"{activation}, {loss}", model, languages=("en",))
    assert_all_parse(formulas, at_least=1000)


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("T", [1, 4, 7])
def test_formulas_of_every_cell_parse(T: int, form: str) -> None:
    formulas: Formulas = {}
    for name, cell in (EVERY_CELL if form == "scalar" else BUILT_IN).items():
        model = unroll(cell, steps=T, losses="last" if T == 4 else "all", form=form)
        collect_model(formulas, f"{name}, T = {T}", model, languages=("en",))
        if form == "matrix":
            lecture = derivation_document(every_goal(model, "jacobian"), depth=3, layout="jacobian", shapes=True)
            collect_document(formulas, f"{name}, T = {T}, Jacobian layout", lecture)
    assert_all_parse(formulas, at_least=1000)


@pytest.mark.slow
def test_formulas_of_whole_documents_parse() -> None:
    formulas: Formulas = {}
    for name in BUILT_IN:
        model = unroll(name, steps=7)
        derivations = derive_gradients(model, (model.parameters[0], *model.initial_states), whole=True)
        collect_document(formulas, name, derivation_document(derivations, depth=3))
    assert_all_parse(formulas, at_least=300)


# --- TeX --------------------------------------------------------------------------------------------------------------

ENGINES: dict[str, Engine] = {"en": "pdflatex", "zh": "xelatex"}


def assert_compiles(document: Document, tmp_path: Path) -> None:
    engine = ENGINES[document.language]
    require(have_tex(engine), f"{engine} with its packages is not installed")
    overfull = compile_tex(document_latex(document, standalone=True), engine, tmp_path)
    assert [width for width in overfull if width > 2] == []


def elman_document(T: int, language: str, depth: int = 2, **options: str) -> Document:
    derivations = every_goal(unroll("elman", steps=T, **options))
    found = verify_all(derivations, symbolic=T <= 2)
    return derivation_document(derivations, language=language, depth=depth, verifications=found)


@pytest.mark.parametrize(
    ("T", "language", "depth"), [(1, "en", 2), (3, "en", 2), (6, "en", 3), (8, "en", 2), (3, "zh", 2)]
)
def test_a_document_compiles_and_nothing_sticks_out(T: int, language: str, depth: int, tmp_path: Path) -> None:
    assert_compiles(elman_document(T, language, depth), tmp_path)


@pytest.mark.parametrize(
    ("cell", "options"),
    [
        (LSTM, {}),
        ("elman", {"loss": "cross-entropy", "activation": "logistic"}),
        ("lstm", {"form": "matrix"}),
        ("elman", {"form": "matrix", "loss": "cross-entropy", "output_activation": "softmax"}),
    ],
    ids=["lstm", "ce", "lstm, matrices", "elman, matrices"],
)
def test_wide_formulas_break(cell: str, options: dict[str, str], tmp_path: Path) -> None:
    derivations = derive_gradients(unroll(cell, steps=3, **options))
    assert_compiles(derivation_document(derivations[:2], shapes=True), tmp_path)


def test_tables_compile(tmp_path: Path) -> None:
    for i, table in enumerate(tables("en")):
        folder = tmp_path / str(i)
        folder.mkdir()
        assert_compiles(table, folder)


@pytest.mark.slow
@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("T", [2, 5, 7])
def test_every_elman_document_compiles(T: int, language: str, depth: int, tmp_path: Path) -> None:
    assert_compiles(elman_document(T, language, depth), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation_compiles(activation: str, tmp_path: Path) -> None:
    for T, loss in ((3, "squared"), (7, "cross-entropy")):
        folder = tmp_path / loss
        folder.mkdir()
        assert_compiles(elman_document(T, "en", activation=activation, loss=loss), folder)


@pytest.mark.slow
@pytest.mark.parametrize("name", EVERY_CELL)
def test_every_cell_compiles(name: str, tmp_path: Path) -> None:
    for T, language, depth, form in ((2, "en", 3, "scalar"), (4, "zh", 2, "scalar"), (3, "en", 3, "matrix")):
        if form == "matrix" and name not in BUILT_IN:
            continue
        folder = tmp_path / f"{T}{language}"
        folder.mkdir()
        derivations = every_goal(unroll(EVERY_CELL[name], steps=T, form=form))[:3]
        assert_compiles(derivation_document(derivations, language=language, depth=depth, shapes=True), folder)


@pytest.mark.slow
def test_chinese_tables_compile(tmp_path: Path) -> None:
    for i, table in enumerate(tables("zh")):
        folder = tmp_path / str(i)
        folder.mkdir()
        assert_compiles(table, folder)
