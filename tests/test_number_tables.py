"""Arrays in tables and in JSON: from a file of values to the contract's keys, against networks written by hand."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, replace
from typing import Any

import jsonschema
import networks
import numpy as np
import pytest
import schemas

from rnn_symbolic.cells import load_cell
from rnn_symbolic.checking import Verdict, Verdicts
from rnn_symbolic.matrix_valuation import MatrixAmount, MatrixValuation, random_matrix_point
from rnn_symbolic.model import Model, unroll
from rnn_symbolic.output import json_text
from rnn_symbolic.render.amounts import amount_json, amount_text, entries_text, largest_text, log10_text
from rnn_symbolic.render.document import Bullets, Document, Paragraph, Table
from rnn_symbolic.render.latex import document_latex
from rnn_symbolic.render.markdown import document_markdown
from rnn_symbolic.render.number_tables import gradient_document, gradient_json, verdicts_document, verdicts_json
from rnn_symbolic.render.path_tables import paths_document, paths_json
from rnn_symbolic.render.text import WIDTH, columns, document_text
from rnn_symbolic.survey import survey_paths
from rnn_symbolic.unicode import plain
from rnn_symbolic.values import read_values

SEED = 11
CELLS = ("elman", "lag2", "two-layer", "lstm", "gru-cudnn")


def model_of(cell: str, steps: int = 3, **options: str) -> Model:
    return unroll(cell, steps=steps, form="matrix", **{"activation": "tanh", "loss": "squared", **options})


def valuation_of(cell: str, steps: int = 3, batch: int | None = None, **sizes: int) -> MatrixValuation:
    model = model_of(cell, steps)
    return MatrixValuation(model, random_matrix_point(model, SEED, sizes=sizes, batch=batch))


def valid(record: dict[str, Any], schema: schemas.Schema) -> Any:
    document = json.loads(json_text(record))
    jsonschema.Draft202012Validator(schema).validate(document)
    return document


def tables(document: Document) -> list[Table]:
    return [block for block in document.blocks if isinstance(block, Table)]


# --- gradient: a file in, numbers out ---


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize(("batch", "per_sample"), [(None, False), (1, False), (3, False), (3, True)])
def test_numbers_of_a_file_are_those_of_a_network_written_by_hand(
    cell: str, batch: int | None, per_sample: bool, tmp_path: Any
) -> None:
    p, x, d = networks.random_point(cell, SEED, batch=batch, state_per_sample=per_sample)
    path = tmp_path / "point.json"
    lists = {name: value.tolist() for name, value in {**p, "x": x, "d": d}.items()}
    path.write_text(json.dumps(lists), encoding="utf-8")
    point, steps = read_values(path, load_cell(cell), form="matrix")
    assert point.sizes == {name: networks.SIZES[name] for name in point.sizes} and point.batch == batch

    model = model_of(cell, steps, output_activation="logistic")
    record = valid(gradient_json(MatrixValuation(model, point)), schemas.GRADIENT_MATRIX)
    jsonschema.validate(record, schemas.GRADIENT)
    expected = networks.gradients(cell, p, x, d)

    def same(found: Any, value: Any, what: str) -> None:
        assert np.shape(found) == np.shape(value), what
        assert np.allclose(found, value, rtol=1e-9, atol=1e-12), f"{what}, seed {SEED}"

    same(record["loss"], networks.loss(cell, p, x, d).real, "loss")
    assert set(record["gradients"]) == set(p) == set(record["log10"]) == set(record["sign"])
    for name in p:
        same(record["gradients"][name], expected[name], name)
        assert record["log10"][name] == pytest.approx(math.log10(np.linalg.norm(expected[name])), abs=1e-9)
        assert record["sign"][name] is None
    same(record["input_gradients"], expected["x"], "x")
    norms = [math.log10(np.linalg.norm(g)) for g in expected["x"]]
    assert record["input_log10"] == pytest.approx(norms, abs=1e-9) and record["input_sign"] == [None] * steps
    trajectory = networks.trajectory(cell, p, x)
    assert set(record["states"]) == set(networks.CELLS[cell].states)
    for name in record["states"]:
        same(record["states"][name], [step[name].real for step in trajectory], name)
    same(record["outputs"], [step["y"].real for step in trajectory], "y")


def test_a_scalar_parameter_keeps_its_sign() -> None:
    model = unroll("scalar tau\nh = tau * h[t-1] + x\ny = h", steps=3, form="matrix", loss="squared")
    at = MatrixValuation(model, random_matrix_point(model, SEED))
    record = valid(gradient_json(at), schemas.GRADIENT_MATRIX)
    assert isinstance(record["gradients"]["tau"], float)
    assert record["sign"] == {"tau": int(math.copysign(1, record["gradients"]["tau"])), "h_0": None}
    paths = valid(paths_json(survey_paths(model, "tau", valuation=at)), schemas.PATHS)
    assert all(isinstance(path["value"], float) and path["sign"] in (-1, 1) for path in paths["paths"])
    header = tables(paths_document(survey_paths(model, "tau", valuation=at), "en"))[0].header
    assert header == ("route", "product", "lag", "value", "log10")


def test_samples_that_no_input_moves_are_told_apart_all_the_same() -> None:
    model = unroll("h = W @ h[t-1]\ny = h", steps=2, form="matrix", loss="squared")
    at = MatrixValuation(model, random_matrix_point(model, SEED, batch=4))
    record = valid(gradient_json(at), schemas.GRADIENT_MATRIX)
    assert np.shape(record["outputs"]) == np.shape(record["states"]["h"]) == (2, 4, 3)
    assert record["input_gradients"] == []


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("batch", [None, 3])
def test_the_table_shows_shapes_norms_and_largest_entries(language: str, batch: int | None) -> None:
    at = valuation_of("elman", batch=batch)
    document = gradient_document(at, language)
    loss, table, _, bullets = document.blocks
    assert isinstance(loss, Paragraph) and isinstance(table, Table) and isinstance(bullets, Bullets)
    assert f"{at.values['L', None].item():.10g}" in loss.text and "$n_{h} = 3$" in loss.text
    assert (f"{batch}" in loss.text.split("$")[-1]) == (batch is not None)
    goals = (*at.model.parameters, *at.model.initial_states, *(at.model.resolve(f"x_{t}") for t in (1, 2, 3)))
    assert len(table.rows) == len(goals)
    for goal, (name, shape, norm, log10, largest) in zip(goals, table.rows, strict=True):
        value = at.gradient(goal).value
        assert plain(name.strip("$")).startswith("∇_")
        assert shape == " × ".join(map(str, value.shape))
        assert float(norm) == pytest.approx(np.linalg.norm(value), rel=1e-9)
        assert float(log10) == pytest.approx(math.log10(np.linalg.norm(value)), abs=1e-4)
        number, place = re.fullmatch(r"(\S+?)(?: at |，位于 )\[([\d,]+)\]", largest).groups()  # type: ignore[union-attr]
        index = tuple(int(i) - 1 for i in place.split(","))
        assert float(number) == pytest.approx(value[index], rel=1e-9) and abs(value[index]) == np.abs(value).max()
    written = {name: text for name, _, text in (item.partition(" = ") for item in bullets.items)}
    for goal, row in zip(goals, table.rows, strict=True):
        value = at.gradient(goal).value
        assert (row[0] in written) == (value.size <= 16)
        if row[0] in written:
            assert np.allclose(json.loads(written[row[0]]), value, rtol=1e-5), f"seed {SEED}"


def test_large_arrays_are_not_written_out() -> None:
    at = valuation_of("elman", n_x=20, n_h=20, n_y=20)
    document = gradient_document(at, "en")
    assert not any(isinstance(block, Bullets) for block in document.blocks)
    total = paths_document(survey_paths(at.model, "W_h", valuation=at), "en").blocks[-1]
    assert isinstance(total, Paragraph) and "Frobenius norm" in total.text and "[" not in total.text


# --- paths ---


@pytest.mark.parametrize("goal", ["W_h", "b_y", "h_0", "x_2"])
@pytest.mark.parametrize("batch", [None, 3])
def test_paths_hold_arrays_in_the_shape_of_their_goal(goal: str, batch: int | None) -> None:
    at = valuation_of("elman", batch=batch)
    shape = at.gradient(at.model.resolve(goal)).value.shape
    record = valid(paths_json(survey_paths(at.model, goal, valuation=at)), schemas.PATHS)
    for path in record["paths"]:
        assert np.shape(path["value"]) == shape and path["sign"] is None
        assert path["log10"] == pytest.approx(math.log10(np.linalg.norm(path["value"])), abs=1e-12)
    assert np.allclose(sum(np.array(path["value"]) for path in record["paths"]), record["total"], rtol=1e-11)
    assert record["total_sign"] is None
    for by in ("lag", "loss", "route"):
        grouped = valid(paths_json(survey_paths(at.model, goal, valuation=at, by=by)), schemas.PATHS_BY[by])
        assert np.allclose(sum(np.array(group["value"]) for group in grouped["groups"]), record["total"], rtol=1e-11)
    counted = valid(paths_json(survey_paths(at.model, goal, valuation=at, listed=False)), schemas.PATHS_COUNTED)
    assert counted["total"] == record["total"]


def test_the_path_table_shows_norms() -> None:
    at = valuation_of("elman")
    document = paths_document(survey_paths(at.model, "W_h", valuation=at, top=2), "en")
    (table,) = tables(document)
    assert table.header == ("route", "product", "lag", "Frobenius norm", "log10") and len(table.rows) == 2
    assert float(table.rows[0][3]) >= float(table.rows[1][3]) > 0
    total = document.blocks[-1]
    assert isinstance(total, Paragraph) and "its Frobenius norm is" in total.text


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("batch", [None, 3])
def test_every_format_draws_the_tables(language: str, batch: int | None) -> None:
    at = valuation_of("lstm", batch=batch)
    documents = [gradient_document(at, language)]
    for by in (None, "lag", "loss", "route"):
        documents.append(paths_document(survey_paths(at.model, "U_f", valuation=at, by=by), language))
    documents.append(verdicts_document(LOCATED, language))
    for document in documents:
        for line in document_text(document).splitlines():
            assert columns(line) <= WIDTH and "\\" not in line and "$" not in line
        assert document_latex(document).count("{") == document_latex(document).count("}")
        assert document_markdown(document).startswith("# ")


# --- beyond floats ---


def amount(value: Any, log10: float) -> MatrixAmount:
    return MatrixAmount(np.array(value, dtype=float), log10)


@pytest.mark.parametrize(
    ("given", "norm", "log10", "entries", "largest"),
    [
        (amount([3, -4], math.log10(5)), "5", "0.6990", "[3, -4]", "-4 at [2]"),
        (amount([[0, 0.5], [0, 0]], math.log10(0.5)), "0.5", "-0.3010", "[[0, 0.5], [0, 0]]", "0.5 at [1,2]"),
        (amount([0, 0], -math.inf), "0", "-inf", "[0, 0]", "0 at [1]"),
        (amount([0, 0], -400.25), "$10^{-400.2500}$", "-400.2500", None, ""),
        (amount([math.inf, 0], 400.0), "$10^{400.0000}$", "400.0000", None, ""),
        (amount([0, 0], math.nan), "nan", "nan", None, ""),
        (amount(-0.25, math.log10(0.25)), "-0.25", "-0.6021", None, "-0.25"),
        (amount([[1] * 17], math.log10(17) / 2), "4.123105626", "0.6152", None, "1 at [1,1]"),
    ],
)
def test_amounts_as_text(given: MatrixAmount, norm: str, log10: str, entries: str | None, largest: str) -> None:
    found = amount_text(given), log10_text(given), entries_text(given), largest_text(given, "en")
    assert found == (norm, log10, entries, largest)


def test_arrays_beyond_floats_in_json() -> None:
    record = json.loads(json_text(amount_json(amount([math.inf, -math.inf, 0], 400.0))))
    assert record == {"schema_version": 1, "value": ["inf", "-inf", 0.0], "log10": 400.0, "sign": None}
    record = json.loads(json_text(amount_json(amount([0, 0], -math.inf))))
    assert record["log10"] == "-inf"


def test_vanishing_gradients_of_many_steps() -> None:
    model = unroll("linear", steps=400, form="matrix", losses="last", loss="squared")
    point = random_matrix_point(model, SEED)
    at = MatrixValuation(model, replace(point, parameters={**point.parameters, "W_h": np.eye(3) * 0.1}))
    record = valid(gradient_json(at), schemas.GRADIENT_MATRIX)
    assert record["log10"]["h_0"] < -395 and set(record["gradients"]["h_0"]) == {0.0}
    document = document_text(gradient_document(at, "en"))
    assert re.search(r"∇_h₀ L +3 +10\^\(−39\d\.\d+\) +-39\d", document), document[:2000]


# --- verdicts ---


@dataclass(frozen=True, slots=True)
class Located(Verdict):
    """A verdict on one entry or direction of an array."""

    where: str = ""


def located(where: str, status: str = "passed", note: str = "") -> Located:
    return Located("W_h", "complex step", "seed 0", 1.0, 1.0, 0.0, 1e-9, status, note, where=where)


LOCATED = Verdicts((located("direction 1"), located("[2,3]", "inconclusive", "at a kink"), located("")))


def test_verdicts_say_where() -> None:
    record = valid(verdicts_json(LOCATED), schemas.CHECK)
    assert [v["where"] for v in record["verdicts"]] == ["direction 1", "[2,3]", None]
    assert record["passed"] is False
    english, chinese = (verdicts_document(LOCATED, language) for language in ("en", "zh"))
    assert [row[1] for row in tables(english)[0].rows] == ["direction 1", "[2,3]", ""]
    assert [row[1] for row in tables(chinese)[0].rows] == ["方向 1", "[2,3]", ""]
    assert tables(english)[0].header[:3] == ("quantity", "where", "method")
    (bullets,) = (block for block in english.blocks if isinstance(block, Bullets))
    assert bullets.items == ("W_h [2,3], complex step: at a kink",)


def test_verdicts_of_numbers_have_no_place() -> None:
    plain_ones = Verdicts((Verdict("W_h", "Richardson", "seed 0", 1.0, 1.0, 0.0, 1e-9, "passed"),))
    assert valid(verdicts_json(plain_ones), schemas.CHECK)["verdicts"][0]["where"] is None
    assert "where" not in tables(verdicts_document(plain_ones, "en"))[0].header
