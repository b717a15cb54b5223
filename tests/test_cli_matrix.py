"""The command line in matrix form: every command with every option that it has there, and what it refuses."""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import networks as net
import numpy as np
import pytest
import schemas
import test_cli as base
from test_cli import IMPORTED, LANGUAGES, Result, Run, presentable, refused, shell, valid, written

from rnn_symbolic.arguments import NOTATIONS
from rnn_symbolic.cells import BUILT_IN, load_cell
from rnn_symbolic.shapes import infer_shapes, size_report

EXAMPLES = Path(__file__).parents[1] / "examples"
SIZES = {"n_x": 2, "n_h": 3, "n_y": 4, "n_s": 5}
FORMATS = ("text", "json", "markdown", "latex")
OWN = "my.cell"
MATRIX = ("--form", "matrix")
LSTM = ("--cell", "lstm", *MATRIX)
AT = ("--values", "lstm.json")

run, folder = base.run, base.folder  # fixtures


@pytest.fixture
def here(folder: Path) -> Path:
    """A folder with the examples, and a batch for lstm."""
    for name in ("lstm.json", "my.cell", "point.json"):
        shutil.copy(EXAMPLES / name, folder / name)
    written(folder / "batch.json", values_of("lstm", 3, batch=3))
    return folder


def values_of(
    cell: str, steps: int, *, batch: int | None = None, seed: int = 1, sizes: dict[str, int] | None = None
) -> dict[str, Any]:
    """A point for any cell as nested lists; sizes that are not given differ from one another."""
    found = load_cell(cell)
    names = infer_shapes(found).names
    every = dict(zip(dict.fromkeys(s for shape in names.values() for s in shape), itertools.count(2), strict=False))
    every |= sizes or {}
    random = np.random.default_rng(seed)
    many = () if batch is None else (batch,)

    def draw(name: str, *leading: int) -> Any:
        return np.round(random.uniform(-0.9, 0.9, (*leading, *(every[size] for size in names[name]))), 3).tolist()

    values = {name: draw(name) for name in found.parameters}
    values |= {str(q): draw(q.name) for q in found.initial_states}
    values |= {"x": draw("x", steps, *many)} if found.uses_input else {}
    return {**values, "d": draw("d", steps, *many)}


# --- every command, every format, both languages ------------------------------------------------------------------


def everywhere(output: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Every command in matrix form, for an LSTM and for elman; a document, if not told otherwise."""
    few = ("--steps", "2")
    yield ("derive", "W_f", "U_o", "b_g", "c_0", "--steps", "3", *LSTM, *output)
    yield ("derive", "--shapes", "--depth", "1", "--steps", "1", *LSTM, *output)
    yield ("derive", "W_x", "h_0", "x_2", "h_3", "--depth", "3", "--shapes", *MATRIX, *output)
    yield ("derive", "W_h", "--layout", "jacobian", "--shapes", *MATRIX, *output)
    yield ("derive", "W_y", *few, *MATRIX, "--output-activation", "softmax", "--loss", "cross-entropy", *output)
    yield ("derive", "W_h", "--granularity", "node", *few, *MATRIX, *output)
    yield ("derive", "W_h", "--granularity", "step", "--layout", "jacobian", *MATRIX, *output)
    yield ("paths", "W_f", "--shapes", *LSTM, *output)
    yield ("paths", "W_f", "--layout", "jacobian", "--granularity", "step", *LSTM, *output)
    yield ("paths", "W_f", "--granularity", "node", *few, *LSTM, *output)
    yield ("paths", "W_f", *AT, *LSTM, *output)
    yield ("paths", "c_0", "--top", "3", *AT, *LSTM, *output)
    yield ("paths", "W_o", "--by", "lag", *AT, *LSTM, *output)
    yield ("paths", "b_y", "--by", "loss", "--values", "batch.json", *LSTM, *output)
    yield ("paths", "x_2", "--by", "route", "--granularity", "step", *AT, *LSTM, *output)
    yield ("paths", "W_f", "--count", "--steps", "100", *LSTM, *output)
    yield ("check", "W_f", "h_0", "x_1", *AT, *LSTM, *output)
    yield ("check", "W_h", "--seed", "3", "--sizes", "n_h=4,n_x=1", "--batch", "2", *MATRIX, *output)
    yield ("gradient", *AT, *LSTM, *output)
    yield ("gradient", "--values", "batch.json", *LSTM, "--losses", "last", *output)
    yield ("jacobian", *LSTM, *output)
    yield ("jacobian", "--lag", "3", "--shapes", "--depth", "3", *LSTM, *output)
    yield ("jacobian", "--lag", "2", "--cell", "lag2", "--depth", "1", *MATRIX, *output)
    yield ("jacobian", "--lag", "2", *AT, *LSTM, *output)
    yield ("jacobian", "--lag", "10", "--count", *LSTM, *output)
    yield ("jacobian", "--cell", OWN, "--layout", "jacobian", *MATRIX, *output)
    yield ("jacobian", "--values", "point.json", *output)  # in scalar form


def invocations() -> Iterator[tuple[str, ...]]:
    for to, lang in itertools.product(FORMATS, LANGUAGES):
        yield from everywhere(("--to", to, "--lang", lang))
    yield ("derive", "W_f", *LSTM, "--standalone")
    yield ("cells", "lstm", "--shapes")
    yield ("cells", OWN, "--shapes", "--to", "json")


@pytest.mark.parametrize("argv", list(invocations()), ids=" ".join)
def test_every_command_in_every_format_and_language(run: Run, here: Path, argv: tuple[str, ...]) -> None:
    result = run(*argv)
    assert (result.code, result.err) == (0, "")
    assert result.out.endswith("\n") and len(result.out) > 40
    if "json" in argv:
        assert result.json["schema_version"] == 1
    elif "text" in argv:
        presentable(result.out)
    if "en" in argv:
        assert run(*argv) == result


@pytest.mark.parametrize("cell", [*BUILT_IN, OWN])
def test_every_cell_in_every_command(run: Run, here: Path, cell: str) -> None:
    """Text that fits a terminal, numbers that agree with each other, exit code 0."""
    values = written(here / "values.json", values_of(cell, 3))
    options = ("--cell", cell, *MATRIX)
    first = load_cell(cell).parameters[0]
    for argv in (
        ("derive", "--to", "text", "--shapes", "--steps", "2"),
        ("derive", first, "--to", "text", "--depth", "3", "--lang", "zh"),
        ("paths", first, "--shapes"),
        ("paths", first, "--values", values),
        ("gradient", "--values", values),
        ("jacobian", "--shapes", "--lag", "2"),
        ("jacobian", "--depth", "3", "--lang", "zh"),
        ("jacobian", "--values", values, "--lag", "2"),
        ("jacobian", "--count"),
    ):
        result = run(*argv, *options)
        assert (result.code, result.err) == (0, ""), argv
        presentable(result.out)
    gradients = valid(run("gradient", "--values", values, *options, "--to", "json").json, schemas.GRADIENT)["gradients"]
    for name in (first, *map(str, load_cell(cell).initial_states)):
        record = valid(run("paths", name, "--values", values, *options, "--to", "json").json, schemas.PATHS)
        np.testing.assert_allclose(record["total"], gradients[name], rtol=1e-11, atol=1e-14, err_msg=name)
    verdicts = run("check", first, *map(str, load_cell(cell).initial_states), *options, "--seed", "5", "--to", "json")
    assert verdicts.code == 0 and valid(verdicts.json, schemas.CHECK)["passed"]


@pytest.mark.slow
@pytest.mark.parametrize("notation", NOTATIONS)
@pytest.mark.parametrize("cell", [*BUILT_IN, OWN])
def test_every_cell_in_every_layout_granularity_and_notation(run: Run, here: Path, cell: str, notation: str) -> None:
    first = load_cell(cell).parameters[-1]
    for layout, granularity, depth, to in itertools.product(
        ("gradient", "jacobian"), ("state", "step", "node"), "123", ("text", "latex")
    ):
        options = ("--cell", cell, *MATRIX, "--layout", layout, "--notation", notation, "--to", to, "--steps", "2")
        if cell == "elman" and notation in ("d2l", "pascanu"):
            options = ("--cell", "residual", *options[2:])  # elman would stand for the cell of the notation
        result = run("derive", first, "--granularity", granularity, "--depth", depth, *options)
        assert (result.code, result.err) == (0, "")
        result = run("paths", first, "--granularity", granularity, "--shapes", *options)
        assert (result.code, result.err) == (0, "")
        if to == "text":
            presentable(result.out)


@pytest.mark.slow
@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("cell", [*BUILT_IN, OWN])
@pytest.mark.parametrize("steps", ["1", "5", "7", "30"])
def test_text_of_matrix_form_fits_at_any_length(run: Run, here: Path, cell: str, steps: str, lang: str) -> None:
    options = ("--cell", cell, *MATRIX, "--steps", steps, "--lang", lang)
    first = load_cell(cell).parameters[-1]
    for argv in (
        ("derive", "--to", "text", "--shapes", "--depth", "3"),
        ("derive", first, "--to", "text", "--layout", "jacobian", "--granularity", "step", "--verify"),
        ("paths", first, "--granularity", "step", "--shapes"),
        ("jacobian", "--lag", steps, "--shapes", "--depth", "3"),
    ):
        result = run(*argv, *options)
        assert (result.code, result.err) == (0, ""), argv
        presentable(result.out)


def test_deterministic_whatever_the_hash_seed(here: Path) -> None:
    command = (
        "rnn derive --cell lstm --form matrix; rnn jacobian --cell my.cell --form matrix --to json;"
        " rnn paths W_f --cell lstm --form matrix --values lstm.json --to json;"
        " rnn check --form matrix --batch 2 --to json --cell gru; rnn gradient --cell lstm --form matrix"
        " --values batch.json; rnn derive W_h --form matrix --notation goodfellow --to markdown --verify"
    )
    first, second = (shell(command, env={"PYTHONHASHSEED": seed}) for seed in ("1", "4242"))
    assert first.returncode == 0 and not first.stderr
    assert first.stdout == second.stdout and len(first.stdout) > 50_000


def test_no_color_is_respected(here: Path) -> None:
    command = "rnn jacobian --cell lstm --form matrix --shapes; rnn derive W_x --form matrix --to text"
    plain, asked = (
        shell(command, env={"NO_COLOR": "1"}),
        shell(command, env={"CLICOLOR_FORCE": "1", "TERM": "xterm-256color"}),
    )
    assert plain.returncode == asked.returncode == 0
    assert plain.stdout == asked.stdout and b"\x1b" not in plain.stdout


@pytest.mark.parametrize(
    ("argv", "imported"),
    [
        (["jacobian", *LSTM], []),
        (["jacobian", *LSTM, "--count", "--lag", "9", "--to", "json"], []),
        (["paths", "W_f", *LSTM], []),
        (["cells", "lstm", "--shapes"], []),
        (["derive", "W_x", *MATRIX, "--to", "text"], ["numpy"]),  # for the checks at its end
        (["gradient", *LSTM, *AT], ["numpy"]),
        (["check", *MATRIX], ["numpy"]),
    ],
    ids=" ".join,
)
def test_sympy_is_not_imported(here: Path, argv: list[str], imported: list[str]) -> None:
    process = subprocess.run(
        [sys.executable, "-c", IMPORTED.format(argv=argv)],
        capture_output=True, text=True, check=False, timeout=60, encoding="utf-8",
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
    )  # fmt: skip
    assert process.stderr == f"0 {imported}\n"


# --- derive -------------------------------------------------------------------------------------------------------


def test_both_layouts_say_which_they_are(run: Run) -> None:
    """∇ has the shape of the parameter; the Jacobian layout is its transpose."""
    gradient, jacobian = (
        run("derive", "W_x", "--steps", "1", *MATRIX, "--to", "text", "--layout", layout).out
        for layout in ("gradient", "jacobian")
    )
    assert "gradient layout: ∇_q L has the shape of q" in gradient
    assert "∇_(W_x) L = diag(σ′(a₁)) W_yᵀ diag(σ′(o₁)) ∇ℓ₁(y₁) x₁ᵀ" in gradient
    assert "gradient layout" not in jacobian
    assert "∂L/∂W_x = x₁ ∇ℓ₁(y₁)ᵀ diag(σ′(o₁)) W_y diag(σ′(a₁))" in jacobian


def test_shapes_stand_beside_each_factor(run: Run) -> None:
    out = run("derive", "W_x", "--steps", "1", *MATRIX, "--shapes", "--to", "text").out
    assert "diag(σ′(a₁)) [n_h × n_h] W_yᵀ [n_h × n_y] diag(σ′(o₁)) [n_y × n_y]" in " ".join(out.split())
    latex = run("derive", "W_x", "--steps", "1", *MATRIX, "--shapes").out
    assert latex.count(r"\underbrace") > 10
    assert r"\underbrace" not in run("derive", "W_x", "--steps", "1", *MATRIX).out
    result = run("derive", "W_x", "--shapes")
    assert result.code == 0 and result.err.startswith("rnn-symbolic derive: note: --shapes changes nothing in scalar")


def test_softmax_and_cross_entropy_collapse(run: Run) -> None:
    """To p − d, in steps, with the condition that the targets sum to one."""
    options = (*MATRIX, "--output-activation", "softmax", "--loss", "cross-entropy")
    record = valid(run("derive", "W_y", *options, "--to", "json").json, schemas.DERIVE)
    rules = [step["rule"] for step in record["steps"]]
    assert "softmax-cross-entropy" in rules
    assert "y₃ − d₃" in record["result"]["text"] and "softmax" not in record["result"]["text"]
    out = run("derive", "W_y", *options, "--depth", "3", "--to", "text").out
    assert "((1ᵀ dₜ) yₜ − dₜ)ᵀ" in out and "(the target sums to 1)" in out
    assert run("check", *options, "--seed", "2").code == 0
    assert run("check", "W_x", "x_1", "y_3", "--batch", "3", *options, "--seed", "2").code == 0


@pytest.mark.parametrize("name", ["h_0", "c_0", "x_2", "h_3", "c_1", "f_2", "a_g_1", "y_3", "l_2", "U_g"])
def test_names_of_quantities_of_an_lstm(run: Run, here: Path, name: str) -> None:
    record = valid(run("derive", name, *LSTM, "--to", "json").json, schemas.DERIVE)
    assert record["goal"] == name and record["verification"]["passed"]
    paths = valid(run("paths", name, *AT, *LSTM, "--to", "json").json, schemas.PATHS)
    assert paths["wrt"] == name and {path["route"][-1] for path in paths["paths"]} == {name}
    result = run("check", name, *AT, *LSTM, "--to", "json")
    assert (result.code, result.json["passed"]) == (0, True)


def test_names_that_an_lstm_does_not_have(run: Run) -> None:
    for command in ("derive", "paths", "check"):
        for name, part in (
            ("h_4", "outside the steps 1 … 3"),
            ("c_-1", "no such step"),
            ("c", "Did you mean c_1 … c_3?"),
            ("W_h", "its parameters are U_f, U_i, U_g, U_o, W_f"),
            ("d_1", "target"),
            ("x_0", "outside the steps"),
            ("(h,c)_1", "is not a quantity"),
            ("S_1", "is not a quantity"),
        ):
            refused(run(command, *LSTM, "--", name), part)
    assert run("derive", "h_-1", "--cell", "lag2", *MATRIX).code == 0


# --- paths --------------------------------------------------------------------------------------------------------


def test_too_many_paths_to_list(run: Run, here: Path) -> None:
    refused(run("paths", "W_f", *LSTM, "--steps", "14"), "832,025", "20,000", "--count", "--by", "--max-paths")
    refused(run("paths", "W_f", *LSTM, "--max-paths", "16"), "17 paths", "limit of 16")
    refused(run("paths", "W_f", *LSTM, "--max-paths", "16", "--top", "1", *AT), "17 paths", "--by lag")
    refused(run("derive", "W_f", *LSTM, "--steps", "9", "--all", "--max-paths", "9"), "45 paths", "leave --all out")
    assert run("paths", "W_f", *LSTM, "--max-paths", "17").code == 0
    assert run("paths", "W_f", *LSTM, "--granularity", "step", "--steps", "14").code == 0  # 105 of them
    for argv in (("--count",), ("--by", "lag"), ("--by", "loss")):
        assert run("paths", "W_f", *LSTM, "--steps", "14", *argv).code == 0
    refused(run("paths", "W_f", *LSTM, "--top", "2"), "--values FILE")


@pytest.mark.slow
@pytest.mark.parametrize("form", ["scalar", "matrix"])
def test_thousands_of_paths_are_verified(run: Run, form: str) -> None:
    """4,214 elementary ones, all written out: nothing is said to have failed that has not."""
    argv = ("derive", "W_f", "--cell", "lstm", "--form", form, "--granularity", "node", "--steps", "6", "--to", "json")
    result = run(*argv)
    assert result.json["result"]["paths"] == 4214 and result.json["verification"]["passed"]
    assert result.code == 0


def test_counts_of_paths_of_gated_cells(run: Run) -> None:
    """T(T+1)/2 over joint states; over states and over all quantities more and more."""
    for form in ("scalar", "matrix"):
        options = ("--cell", "lstm", "--form", form, "--count", "--to", "json")
        counts = [run("paths", "W_f", *options, "--granularity", g).json["count"] for g in ("step", "state", "node")]
        assert counts[0] == 6 and counts == sorted(counts), counts
        assert run("paths", "W_f", *options, "--steps", "100", "--granularity", "step").json["count"] == 5050


@pytest.mark.parametrize("granularity", ["step", "state", "node"])
def test_paths_sum_to_the_gradient(run: Run, here: Path, granularity: str) -> None:
    """Listed, by lag, by loss step, by route; of a batch too."""
    for values in ("lstm.json", "batch.json"):
        options = (*LSTM, "--values", values, "--to", "json", "--granularity", granularity)
        gradients = run("gradient", "--values", values, *LSTM, "--to", "json").json["gradients"]
        for name in ("W_f", "b_o", "W_y", "h_0", "c_0"):
            record = valid(run("paths", name, *options).json, schemas.PATHS)
            total = np.sum([path["value"] for path in record["paths"]], axis=0)
            np.testing.assert_allclose(total, gradients[name], rtol=1e-11, atol=1e-15, err_msg=name)
            assert np.shape(record["total"]) == np.shape(gradients[name])
            for by in ("lag", "loss", "route"):
                grouped = valid(run("paths", name, *options, "--by", by).json, schemas.PATHS_BY[by])
                total = np.sum([group["value"] for group in grouped["groups"]], axis=0)
                np.testing.assert_allclose(total, gradients[name], rtol=1e-11, atol=1e-15, err_msg=f"{name} {by}")
                assert sum(group["count"] for group in grouped["groups"]) == grouped["count"] == record["count"]


def test_top_ranks_by_norm(run: Run, here: Path) -> None:
    options = (*LSTM, *AT, "--to", "json")
    every = run("paths", "W_f", *options).json["paths"]
    norms = [np.linalg.norm(path["value"]) for path in every]
    for path, norm in zip(every, norms, strict=True):
        assert 10 ** path["log10"] == pytest.approx(norm) and path["sign"] is None
    top = run("paths", "W_f", *options, "--top", "4").json
    assert [path["log10"] for path in top["paths"]] == sorted((path["log10"] for path in every), reverse=True)[:4]
    assert top["count"] == len(every) == 17


def test_routes_of_an_lstm(run: Run) -> None:
    """They name the loss, the output and the states; at granularity "step" the joint state; whatever the form."""
    options = ("--cell", "lstm", "--steps", "1", "--to", "json")
    expected = {
        "state": ["L", "l_1", "y_1", "h_1", "c_1", "W_f"],
        "node": ["L", "l_1", "y_1", "h_1", "c_1", "f_1", "a_f_1", "W_f"],
        "step": ["L", "l_1", "(h,c)_1", "W_f"],
    }
    for form, (granularity, route) in itertools.product(("scalar", "matrix"), expected.items()):
        (path,) = run("paths", "W_f", *options, "--form", form, "--granularity", granularity).json["paths"]
        assert path["route"] == route
    groups = run("paths", "W_f", *LSTM, "--by", "route", "--to", "json").json["groups"]
    assert {group["route"] for group in groups} == {"y-h-c"}


# --- gradient -----------------------------------------------------------------------------------------------------


def test_the_gradient_of_the_example(run: Run, here: Path) -> None:
    """Against the hand-written network."""
    values = json.loads((here / "lstm.json").read_text())
    record = valid(run("gradient", *AT, *LSTM, "--to", "json").json, schemas.GRADIENT_MATRIX)
    x, d = np.array(values.pop("x")), np.array(values.pop("d"))
    expected = net.gradients("lstm", values, x, d)
    for name, gradient in record["gradients"].items():
        np.testing.assert_allclose(gradient, expected[name], rtol=1e-11, err_msg=name)
        assert np.shape(gradient) == np.shape(values[name])
    np.testing.assert_allclose(record["input_gradients"], expected["x"], rtol=1e-11)
    assert record["loss"] == pytest.approx(net.loss("lstm", values, x, d).real, rel=1e-13)
    assert list(record["gradients"])[-2:] == ["h_0", "c_0"] and np.shape(record["states"]["c"]) == (3, 2)
    assert np.shape(record["outputs"]) == (3, 1)


def test_the_gradient_of_a_batch(run: Run, here: Path) -> None:
    """L is the sum over the samples, and so are the gradients by what they share."""
    values = json.loads((here / "batch.json").read_text())
    record = valid(run("gradient", "--values", "batch.json", *LSTM, "--to", "json").json, schemas.GRADIENT_MATRIX)
    assert np.shape(record["input_gradients"]) == np.shape(values["x"]) == (3, 3, 2)
    parts = []
    for sample in range(3):
        alone = {**values, "x": [step[sample] for step in values["x"]], "d": [step[sample] for step in values["d"]]}
        path = written(here / "alone.json", alone)
        parts.append(run("gradient", "--values", path, *LSTM, "--to", "json").json)
    assert record["loss"] == pytest.approx(sum(part["loss"] for part in parts), rel=1e-12)
    for name in record["gradients"]:
        total = np.sum([part["gradients"][name] for part in parts], axis=0)
        np.testing.assert_allclose(record["gradients"][name], total, rtol=1e-11, atol=1e-15, err_msg=name)
    per_sample = {**values, "h_0": [values["h_0"], [0.1] * 3, [0.2] * 3]}
    record = run("gradient", "--values", written(here / "own.json", per_sample), *LSTM, "--to", "json").json
    assert np.shape(record["gradients"]["h_0"]) == (3, 3) and np.shape(record["gradients"]["c_0"]) == (3,)


# --- jacobian -----------------------------------------------------------------------------------------------------


def test_json_of_a_jacobian(run: Run, here: Path) -> None:
    for schema in (schemas.JACOBIAN, schemas.JACOBIAN_VALUE, schemas.JACOBIAN_COUNTED, schemas.SHAPES):
        base.jsonschema.Draft202012Validator.check_schema(schema)
        with pytest.raises(base.jsonschema.ValidationError):
            base.jsonschema.validate({"schema_version": 1}, schema)
    for form in ("scalar", "matrix"):
        record = valid(run("jacobian", "--cell", "lstm", "--form", form, "--to", "json").json, schemas.JACOBIAN)
        assert (record["state"], record["lag"], record["steps"]) == (["h", "c"], 1, 3)
        assert [(b["of"], b["wrt"]) for b in record["blocks"]] == [("h", "h"), ("h", "c"), ("c", "h"), ("c", "c")]
        assert {tuple(b["shape"]) if b["shape"] else None for b in record["blocks"]} == (
            {None} if form == "scalar" else {("n_h", "n_h")}
        )
        assert [line["rule"] for line in record["lines"]] == ["joint-blocks", *["block"] * 4]
        way = "fₜ" if form == "scalar" else "diag(fₜ)"
        assert [(h["state"], h["text"]) for h in record["highways"]] == [("c", way)]
        assert record["blocks"][3]["text"] == way
        assert r"\partial c_{t}" in record["blocks"][0]["latex"] and "partial" not in record["blocks"][0]["expanded"]
    record = valid(run("jacobian", "--cell", "two-layer", *MATRIX, "--to", "json").json, schemas.JACOBIAN)
    assert [b["text"] for b in record["blocks"]][1] == "0" and record["highways"] == []
    assert [b["shape"] for b in record["blocks"]][1:3] == [["n_h", "n_s"], ["n_s", "n_h"]]
    record = valid(run("jacobian", "--cell", "lag2", *MATRIX, "--lag", "2", "--to", "json").json, schemas.JACOBIAN)
    assert [(b["lag"], b["text"]) for b in record["blocks"]] == [(1, "diag(σ′(aₜ)) W_h"), (2, "diag(σ′(aₜ)) V_h")]


def test_json_of_the_value_of_a_jacobian(run: Run, here: Path) -> None:
    """Rows are the states at T; it needs no d."""
    values = json.loads((here / "lstm.json").read_text())
    values.pop("d")
    written(here / "no_d.json", values)
    x = np.array(values.pop("x"))
    for lag in (1, 2, 3):
        for name in ("lstm.json", "no_d.json"):
            argv = ("jacobian", *LSTM, "--values", name, "--lag", str(lag), "--to", "json")
            record = valid(run(*argv).json, schemas.JACOBIAN_VALUE)
            assert (record["state"], record["lag"], record["steps"]) == (["h", "c"], lag, 3)
            np.testing.assert_allclose(record["value"], net.state_jacobian("lstm", values, x, lag), rtol=1e-11)
            assert "blocks" not in record and "counts" not in record
    record = valid(run("jacobian", "--values", "point.json", "--to", "json").json, schemas.JACOBIAN_VALUE)
    assert np.shape(record["value"]) == (1, 1)


def test_counts_of_a_jacobian(run: Run) -> None:
    for form in ("scalar", "matrix"):
        argv = ("jacobian", "--cell", "lstm", "--form", form, "--count")
        record = valid(run(*argv, "--lag", "10", "--to", "json").json, schemas.JACOBIAN_COUNTED)
        assert (record["count"], record["counts"][0]) == (11_940_723, {"of": "h", "wrt": "h", "count": 5_274_724})
        out = run(*argv, "--lag", "10").out
        assert "5,274,724" in out and "11,940,723" in out
    assert run("jacobian", "--cell", "gru", "--count", "--lag", "30", "--to", "json").json["count"] == 4**30
    result = run("jacobian", "--cell", "lstm", "--count", "--lag", "9999", *MATRIX)
    assert result.code == 0
    presentable(result.out)


@pytest.mark.parametrize("form", ["scalar", "matrix"])
def test_only_the_identity_neither_vanishes_nor_explodes(run: Run, form: str) -> None:
    """Half of the state is carried on: over k steps that is 2^{−k}."""
    for factor, stays in (("", True), ("0.5 * ", False), ("2 * ", False), ("-", False)):
        out = run("jacobian", "--cell", f"h = {factor}h[t-1] + W @ x\ny = h", "--form", form).out
        assert ("neither vanishes nor explodes" in out) is stays, factor
        assert "no highway" not in out


def test_lags_that_cannot_be(run: Run, here: Path) -> None:
    refused(run("jacobian", *LSTM, *AT, "--lag", "4"), "lag 4", "x gives T = 3")
    refused(run("jacobian", "--steps", "2", "--lag", "3"), "lag 3", "T = 2", "--steps 3")
    refused(run("jacobian", "--lag", "10001"), "T = 10001", "--max-steps")
    refused(run("jacobian", "--lag", "0"), "--lag", "'0'")
    assert run("jacobian", "--lag", "5").code == 0  # T is then 5
    refused(run("jacobian", "--cell", "y = W @ x", *MATRIX), "no state", "elman")
    refused(run("jacobian", "--depth", "4"), "--depth 4")


def test_a_jacobian_takes_no_batch(run: Run, here: Path) -> None:
    refused(run("jacobian", *LSTM, "--values", "batch.json"), "batch", "T × n_x")


# --- check --------------------------------------------------------------------------------------------------------


def test_sizes_and_batches_of_a_random_point(run: Run) -> None:
    result = run("check", "W_h", "b_y", *MATRIX, "--sizes", "n_h=5,n_x=1", "--batch", "3", "--to", "json")
    record = valid(result.json, schemas.CHECK)
    assert result.code == 0 and record["passed"] and {v["at"] for v in record["verdicts"]} == {"seed 0"}
    where = {v["where"] for v in record["verdicts"] if v["wrt"] == "W_h"}
    assert {"direction 1", "direction 2"} <= where
    entries = {tuple(map(int, re.findall(r"\d+", place))) for place in where if place.startswith("[")}
    assert len(entries) == 3 and all(1 <= i <= 5 and 1 <= j <= 5 for i, j in entries)
    for argv, parts in (
        (("--sizes", "n_z=3"), ("'n_z' is not a size", "n_x, n_h, n_y")),
        (("--sizes", "n_h=3,n_z=3"), ("'n_z' is not a size",)),
        (("--sizes", "n_h=0"), ("'n_h=0' names no sizes", "n_h=4,n_x=2")),
        (("--sizes", "n_h=-1"), ("names no sizes",)),
        (("--sizes", "n_h=2.5"), ("names no sizes",)),
        (("--sizes", "n_h"), ("names no sizes",)),
        (("--sizes", "h=2"), ("names no sizes",)),
        (("--sizes", ""), ("names no sizes",)),
        (("--sizes", "n_h=2,"), ("names no sizes",)),
        (("--sizes", "n_h=2,n_h=3"), ("'n_h' is given twice",)),
        (("--sizes", "n_h=٣"), ("names no sizes",)),
        (("--sizes", "n_h=99999"), ("names no sizes", "1 to 9999")),
        (("--batch", "0"), ("--batch", "'0'")),
        (("--batch", "x"), ("--batch", "'x'")),
        (("--batch", "1" + "0" * 9), ("numbers", "limit of 2,000,000", "--batch")),
        (("--sizes", "n_h=9999,n_x=9999"), ("numbers", "limit of 2,000,000", "--sizes")),
    ):
        refused(run("check", *MATRIX, *argv), *parts)


def test_sizes_and_batches_belong_to_the_matrix_form(run: Run, here: Path) -> None:
    for argv in (("--sizes", "n_h=2"), ("--batch", "2")):
        refused(run("check", *argv), argv[0], "--form matrix")
        refused(run("check", *argv, *LSTM, *AT), argv[0], "the file of values decides it")
        refused(run("gradient", *argv, *LSTM, *AT), "unknown option")


def test_a_dead_relu_is_inconclusive(run: Run, here: Path) -> None:
    """At a kink no number says which slope is right: exit code 1, and never "passed"."""
    values = values_of("irnn", 2)
    values["b_h"] = [0.0] * len(values["b_h"])
    values["h_0"] = [0.0] * len(values["h_0"])
    values["x"][0] = [0.0] * len(values["x"][0])  # a_1 = 0
    result = run("check", "W_x", "b_h", "--cell", "irnn", *MATRIX, "--values", written(here / "kink.json", values),
                 "--to", "json")  # fmt: skip
    record = valid(result.json, schemas.CHECK)
    assert result.code == 1 and not record["passed"]
    assert {v["status"] for v in record["verdicts"] if v["wrt"] == "b_h"} >= {"inconclusive"}
    assert "failed" not in {v["status"] for v in record["verdicts"]}
    assert any("relu" in v["note"] for v in record["verdicts"])


# --- cells --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cell", [*BUILT_IN, OWN])
def test_shapes_of_cells(run: Run, here: Path, cell: str) -> None:
    found = load_cell(cell)
    record = valid(run("cells", cell, "--shapes", "--to", "json").json, schemas.SHAPES)
    shapes = record["cells"][0]["shapes"]
    assert shapes == dict(size_report(infer_shapes(found), found))
    assert {*found.parameters, *map(str, found.initial_states), "x", "y"} <= set(shapes)
    out = run("cells", cell, "--shapes").out
    assert [line.split()[0] for line in out.splitlines()] == list(shapes)
    if cell in net.CELLS:
        for name, shape in net.CELLS[cell].parameters.items():
            if cell != "jordan":  # its states are the outputs
                assert shapes[name] == " × ".join(shape), name


def test_shapes_are_those_of_one_cell(run: Run, here: Path) -> None:
    refused(run("cells", "--shapes"), "--shapes", "cells lstm")
    refused(run("cells", "elmann", "--shapes"), "Did you mean 'elman'?")
    assert run("cells", OWN).out == (EXAMPLES / "my.cell").read_text(encoding="utf-8")
    assert (here / OWN).read_text(encoding="utf-8") not in BUILT_IN.values()


def test_a_printed_cell_is_a_cell_again(run: Run, folder: Path) -> None:
    """Printed, changed, used."""
    assert run("cells", "gru", "-o", "mine.cell").code == 0
    text = (folder / "mine.cell").read_text()
    (folder / "mine.cell").write_text(text.replace("tanh", "sin"))
    result = run("check", "--cell", "mine.cell", *MATRIX, "--to", "json")
    assert result.code == 0 and result.json["passed"]
    assert "sin" in run("jacobian", "--cell", "mine.cell", *MATRIX).out.replace("cos", "sin")


BAD_CELLS = {
    "h = W @ h[t-1] + W\ny = h": ("line 1", "'h = W @ h[t-1] + W'", "W is a matrix n_h × n_h", "a vector"),
    "h = W @ h[t-1] + x\ny = W * h": ("line", "matrix", "vector"),
    "scalar tau\nh = W @ tau + h[t-1]\ny = h": ("line 2", "scalar"),
    "h = h[t-1] @ W\ny = h": ("line 1", "@"),
    "h = (W @ V) @ h[t-1] + x\ny = h": ("line 1", "W @ (V @ h)"),
    "h = f * W @ h[t-1] + x\ny = h": ("line 1", "f * (W @ h[t-1])"),
    "h = x + h[t-1]\ny = sum(h)": ("line 2", "sum"),
    "h = x + h[t-1]\ny = h\nloss = y - d": ("line 3", "vector"),
}


@pytest.mark.parametrize("text", BAD_CELLS)
def test_ranks_that_do_not_fit(run: Run, folder: Path, text: str) -> None:
    """One line, with the place, the equation and the shapes; in every command."""
    (folder / "bad.cell").write_text(text)
    every = (("derive",), ("paths", "h_1"), ("check",), ("jacobian",), ("gradient", "--values", "none.json"))
    refused(run("cells", "bad.cell", "--shapes"), "bad.cell", *BAD_CELLS[text])
    for command in every:
        refused(run(*command, "--cell", "bad.cell", *MATRIX), "bad.cell", *BAD_CELLS[text])
        refused(run(*command, "--cell", text, *MATRIX), *BAD_CELLS[text])


def test_what_needs_the_matrix_form(run: Run, here: Path) -> None:
    softmax = "h = softmax(W @ h[t-1] + x)\ny = h"
    for command in (("derive",), ("check",), ("jacobian",), ("paths", "W")):
        refused(run(*command, "--cell", softmax), "softmax in the equation of h", "no scalar reading")
        assert run(*command, "--cell", softmax, *MATRIX).code == 0
        refused(run(*command, "--output-activation", "softmax"), "--output-activation softmax", "--form matrix")
    for command in (("gradient",), ("check",), ("paths", "W_f"), ("jacobian",)):
        refused(run(*command, "--cell", "lstm", *AT), "is a list; expected", "--form matrix")
        other = command if command[0] != "paths" else ("paths", "W_x")
        refused(run(*other, *MATRIX, "--values", "point.json"), "'x'", "T × n_x")


# --- values -------------------------------------------------------------------------------------------------------


def replaced(**entries: Any) -> dict[str, Any]:
    values: dict[str, Any] = json.loads((EXAMPLES / "lstm.json").read_text(encoding="utf-8"))
    return {name: value for name, value in {**values, **entries}.items() if value is not None}


BAD_VALUES: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "a number for a matrix": (replaced(W_f=0.5), ("'W_f' is a number", "a matrix n_h × n_h")),
    "a vector for a matrix": (replaced(W_f=[1, 2]), ("'W_f' is a vector of length 2", "a matrix")),
    "a matrix for a vector": (replaced(b_f=[[1, 2]]), ("'b_f' is 1×2", "a vector n_h")),
    "transposed": (replaced(W_y=[[1.5], [-0.8]]), ("'W_y'", "n_y")),
    "ragged": (replaced(W_f=[[1, 2], [3]]), ("'W_f' is ragged", "row 2 has 1")),
    "ragged in time": (replaced(x=[[1, 2], [3, 4], [5]]), ("'x' is ragged", "step 3")),
    "too many rows": (replaced(W_f=[[1, 2], [3, 4], [5, 6]]), ("W_f", "n_h")),
    "another size": (replaced(b_f=[1, 2, 3]), ("b_f", "n_h")),
    "empty": (replaced(W_f=[]), ("'W_f' is empty",)),
    "an empty row": (replaced(W_f=[[], []]), ("'W_f' at row 1 is empty",)),
    "nested too deep": (replaced(W_f=[[[[1]]]]), ("'W_f' is nested",)),
    "a rank too much": (replaced(W_f=[[[1, 2], [3, 4]]]), ("'W_f' is 1×2×2",)),
    "text": (replaced(W_f=[["a", 1], [1, 1]]), ("'W_f' at row 1, column 1 is the string 'a'",)),
    "null": (replaced(W_f=[[1, 1], [1, True]]), ("'W_f' at row 2, column 2 is the boolean true",)),
    "no number": (replaced(W_f=[[1, 1], [1, float("nan")]]), ("'W_f' at row 2, column 2 is not a finite",)),
    "infinite": (replaced(b_f=[1, float("inf")]), ("'b_f' at entry 2 is not a finite number",)),
    "a series of numbers": (replaced(x=[1, 2, 3]), ("'x' is a vector of length 3", "T × n_x")),
    "one step less": (replaced(d=[[0.3], [0.6]]), ("'x' has 3", "'d' has 2")),
    "a batch of x alone": (replaced(x=[[[1, 2]], [[3, 4]], [[5, 6]]]), ("'x' is 3×1×2", "'d' is 3×1", "one B")),
    "a state for samples": (replaced(h_0=[[0.1, 0.2]]), ("'h_0' is 1×2",)),
    "missing": (replaced(W_f=None), ("lack 'W_f'",)),
    "missing d": (replaced(d=None), ("lack 'd'",)),
    "extra": (replaced(W_q=[[1]]), ("'W_q' is no entry for lstm",)),
    "another state": (replaced(**{"h_-1": [0, 0]}), ("'h_-1' is no entry",)),
}


@pytest.mark.parametrize("case", BAD_VALUES)
def test_misshapen_entries(run: Run, folder: Path, case: str) -> None:
    values, parts = BAD_VALUES[case]
    (folder / "bad.json").write_text(json.dumps(values))
    for command in (("gradient",), ("check",), ("paths", "W_f"), ("jacobian",)):
        if command[0] != "jacobian" or case != "missing d":  # which needs none
            refused(run(*command, *LSTM, "--values", "bad.json", "-o", "out"), *parts)
    assert os.listdir(folder) == ["bad.json"]


def test_initial_states_are_zero_when_not_given(run: Run, folder: Path) -> None:
    out = [
        run("gradient", *LSTM, "--values", written(folder / "point.json", replaced(**states)), "--to", "json").out
        for states in ({"h_0": None, "c_0": None}, {"h_0": [0, 0], "c_0": [0, 0]}, {"h_0": None, "c_0": [0.0, 0]})
    ]
    assert out[0] == out[1] == out[2]


def test_steps_must_agree_with_x(run: Run, here: Path) -> None:
    for command in (("gradient",), ("check",), ("paths", "W_f"), ("jacobian",)):
        refused(run(*command, *LSTM, *AT, "--steps", "4"), "'x' has 3 entries", "T is 4", "--steps 3")


def test_a_forward_pass_that_overflows_names_the_step(run: Run, folder: Path) -> None:
    values = {"W_h": [[1e200, 0], [0, 1]], "W_x": [[1], [1]], "b_h": [0, 0], "W_y": [[1, 1]], "b_y": [0],
              "x": [[1]] * 4, "d": [[0]] * 4}  # fmt: skip
    path = written(folder / "far.json", values)
    for command in (("gradient",), ("paths", "W_x"), ("jacobian",)):
        refused(run(*command, *MATRIX, "--cell", "linear", "--values", path), "overflows at step ")


# --- notations ----------------------------------------------------------------------------------------------------

SAME_CELL = ("goodfellow", "karpathy")


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("notation", NOTATIONS)
def test_json_does_not_change_with_notation_or_language(run: Run, here: Path, notation: str, lang: str) -> None:
    """Keys, routes, names, verdicts and numbers are those of the cell; only reasons are told in a language."""
    for argv in (
        ("paths", "W_f", *LSTM, *AT),
        ("paths", "W_f", *LSTM, "--by", "route"),
        ("gradient", *LSTM, *AT),
        ("check", "W_f", *LSTM, *AT),
        ("jacobian", *LSTM, "--lag", "2"),
        ("jacobian", *LSTM, "--lag", "2", *AT),
        ("derive", "W_f", *LSTM, "--steps", "2"),
    ):
        plain = run(*argv, "--to", "json").json
        other = run(*argv, "--to", "json", "--notation", notation, "--lang", lang).json
        if argv[0] == "derive":
            for record in (plain, other):
                assert [step.pop("reason") for step in record["steps"]]
        assert other == plain
    if notation in SAME_CELL:
        plain = run("derive", "W_x", *MATRIX, "--to", "json").json
        assert run("derive", "W_x", *MATRIX, "--to", "json", "--notation", notation).json == plain


def keys(record: Any) -> Any:
    """The keys of a JSON document, without what stands under them."""
    if isinstance(record, dict):
        return {name: keys(value) for name, value in record.items() if name not in ("gradients", "log10", "sign")}
    return keys(record[0]) if isinstance(record, list) and record else None


@pytest.mark.parametrize("notation", ["d2l", "pascanu"])
def test_notations_with_a_cell_of_their_own(run: Run, folder: Path, notation: str) -> None:
    """They derive it, say so, and name nothing else in routes, options and files."""
    box = {"en": "derives a network of its own", "zh": "推导的是它自己的网络"}
    used = {"en": "This is the cell used here", "zh": "这里用的就是"}
    for lang in LANGUAGES:
        for command in (("derive", "W_h", "--to", "text"), ("paths", "W_h"), ("jacobian",)):
            out = "".join(run(*command, *MATRIX, "--notation", notation, "--lang", lang).out.split())
            for words in (box[lang], used[lang]):
                # the box breaks lines anywhere
                assert "".join(words.split()) in re.sub(r"[│•]", "", out), (command, lang)
    values = written(folder / "own.json", values_of(notation, 3))
    record = run("gradient", *MATRIX, "--notation", notation, "--values", values, "--to", "json").json
    plain = run("gradient", *MATRIX, "--cell", notation, "--values", values, "--to", "json").json
    share = 3 if notation == "d2l" else 1  # d2l's loss is the mean
    assert record["loss"] * share == pytest.approx(plain["loss"])
    for name, gradient in record["gradients"].items():
        np.testing.assert_allclose(np.multiply(gradient, share), plain["gradients"][name], rtol=1e-12, err_msg=name)
    record = run("paths", "W_h", *MATRIX, "--notation", notation, "--to", "json").json
    elman = run("paths", "W_h", *MATRIX, "--to", "json").json
    state = {"d2l": "h", "pascanu": "a"}[notation]
    assert record["paths"][1]["route"] == ["L", "l_3", "y_3", f"{state}_3", f"{state}_2", "W_h"]
    assert keys(record) == keys(elman)
    assert run("check", *MATRIX, "--notation", notation).code == 0
    other = run("derive", "W_f", *LSTM, "--notation", notation, "--to", "text", "--steps", "2").out
    assert "The cell used here is another" in " ".join(re.sub("[│•]", "", other).split())


def test_letters_of_notations_in_matrix_form(run: Run) -> None:
    expected = {
        "article": "∂hₜ/∂hₜ₋₁ = diag(σ′(aₜ)) W_h",
        "goodfellow": "∂h⁽ᵗ⁾/∂h⁽ᵗ⁻¹⁾ = diag(σ′(a⁽ᵗ⁾)) W",
        "d2l": "∂hₜ/∂hₜ₋₁ = W_hh",
        "karpathy": "∂hₜ/∂hₜ₋₁ = diag(σ′(aₜ)) W_hh",
        "pascanu": "∂xₜ/∂xₜ₋₁ = W_rec diag(σ′(xₜ₋₁))",
    }
    for notation, line in expected.items():
        assert line in run("jacobian", *MATRIX, "--notation", notation).out
        for to in FORMATS[1:]:
            assert run("jacobian", *MATRIX, "--notation", notation, "--to", to).code == 0


# --- files --------------------------------------------------------------------------------------------------------


def test_output_files(run: Run, here: Path) -> None:
    every = (("jacobian", *LSTM), ("derive", "W_f", *LSTM), ("gradient", *LSTM, *AT), ("cells", "lstm", "--shapes"))
    for argv in every:
        printed = run(*argv).out
        assert run(*argv, "-o", "out") == Result(0, "", "")
        assert (here / "out").read_text(encoding="utf-8") == printed
        refused(run(*argv, "-o", "out"), "'out' exists", "--force")
        assert run(*argv, "-o", "out", "--force") == Result(0, "", "")
        refused(run(*argv, "-o", "no/where"), "does not exist")
        os.remove("out")


def test_a_check_that_decides_nothing_is_still_written(run: Run, here: Path) -> None:
    assert run("check", "y_1", *LSTM, "--losses", "last", "-o", "out", "--to", "json").code == 1
    assert json.loads((here / "out").read_text())["passed"] is False


def test_values_from_a_pipe(here: Path) -> None:
    done = shell("cat lstm.json | rnn gradient --cell lstm --form matrix --values - --to json")
    assert done.returncode == 0 and json.loads(done.stdout)["schema_version"] == 1
