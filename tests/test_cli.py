"""The command line as its users and its enemies meet it."""

from __future__ import annotations

import argparse
import itertools
import json
import os
import shlex
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import schemas

from rnn_symbolic import __version__
from rnn_symbolic.arguments import ACTIVATIONS
from rnn_symbolic.cells import BUILT_IN, load_cell
from rnn_symbolic.cli import build_parser, main
from rnn_symbolic.functions import FUNCTIONS
from rnn_symbolic.render.text import WIDTH, columns

LANGUAGES = ("en", "zh")
DOCUMENTS = ("latex", "text", "markdown", "json")
COMMANDS = ("derive", "paths", "check", "jacobian", "gradient", "article", "cells", "audit", "prove")
POINT: dict[str, Any] = {
    "W_x": 0.5, "W_h": 0.8, "W_y": 1.5, "b_h": 0.1, "b_y": -0.2, "h_0": 0.1, "x": [1, -0.5, 2], "d": [0.3, 0.6, 0.9],
}  # fmt: skip
MATRIX_POINT: dict[str, Any] = {
    "W_x": [[0.5, -0.3], [0.2, 0.9], [-0.7, 0.4]],
    "W_h": [[0.8, -0.4, 0.1], [0.3, -0.6, 0.5], [-0.2, 0.7, 0.9]],
    "W_y": [[1.5, -0.8, 0.6]], "b_h": [0.1, -0.2, 0.3], "b_y": [-0.2], "h_0": [0.1, 0.2, -0.3],
    "x": [[1, -0.5], [0.3, 2], [-0.7, 0.4]], "d": [[0.3], [0.6], [0.9]],
}  # fmt: skip
NEVER = ("Subs", r"\xi_1", "Derivative(", "Traceback")
"""What is not part of any output: SymPy's own notation, and crashes."""

GATED = """\
# gated: a GRU
z = logistic(W_z*x + U_z*h[t-1] + b_z)
r = logistic(W_r*x + U_r*h[t-1] + b_r)
g = tanh(W*x + U*(r*h[t-1]) + b)
h = (1-z)*h[t-1] + z*g
y = sigma(W_y*h + b_y)
"""
TWO_STATES = "h = tanh(A*h[t-1] + B*k[t-1] + x)\nk = tanh(C*h[t-1] + D*k[t-1] + x)\ny = h + k\n"
LONG_NAMES = """\
activation_of_the_recurrent_gate = tanh(weight_of_the_recurrent_connection*hidden_state_number_one[t-1] + bias*x)
hidden_state_number_one = activation_of_the_recurrent_gate / (1 + hidden_state_number_one[t-2]**2)
y = logistic(weight_of_the_output_connection * hidden_state_number_one)
"""


@dataclass(frozen=True)
class Result:
    """What a run of the command line left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


Run = Callable[..., Result]


@pytest.fixture
def run(capsysbinary: pytest.CaptureFixture[bytes]) -> Run:
    """Run a command in this process; what it prints must be decent in any case."""

    def runner(*arguments: str | Path) -> Result:
        capsysbinary.readouterr()
        argv = [str(argument) for argument in arguments]
        try:
            code = main(argv)
        except SystemExit as stop:  # argparse: --help, --version, errors of usage
            code = stop.code if isinstance(stop.code, int) else 1
        captured = capsysbinary.readouterr()
        result = Result(code, captured.out.decode(), captured.err.decode("utf-8", "backslashreplace"))
        decent(result)
        return result

    return runner


def decent(result: Result) -> None:
    """No traceback, no control characters, one line for an error, nothing on stdout beside it."""
    assert not any(word in result.out + result.err for word in NEVER)
    assert all(c.isprintable() or c == "\n" for c in result.err), result.err
    if result.code == 2:
        assert result.out == ""
        assert result.err.count("\n") == 1, result.err
        assert result.err.startswith("rnn-symbolic")
        assert len(result.err) < 2_500


def refused(result: Result, *parts: str) -> None:
    """Exit code 2, and a message with these parts."""
    assert result.code == 2, result
    for part in parts:
        assert part in result.err, (part, result.err)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, and we are in it."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def point(folder: Path) -> Path:
    """A file with values for elman, three steps."""
    return written(folder / "point.json", POINT)


def written(path: Path, values: object) -> Path:
    path.write_text(json.dumps(values), encoding="utf-8")
    return path


def values_of(cell: str, steps: int) -> dict[str, Any]:
    """A point for any cell."""
    found = load_cell(cell)
    parameters = {name: round(0.4 + 0.17 * i, 2) for i, name in enumerate(found.parameters)}
    initial = {str(q): 0.2 for q in found.initial_states}
    x = {"x": [round(0.7 - 0.3 * (t % 5), 1) for t in range(steps)]} if found.uses_input else {}
    return {**parameters, **initial, **x, "d": [0.4] * steps}


def shell(command: str, **options: Any) -> subprocess.CompletedProcess[bytes]:
    """A real process, by way of a shell; ``rnn`` stands for the program."""
    program = f"{shlex.quote(sys.executable)} -m rnn_symbolic"
    return subprocess.run(
        ["bash", "-c", f'rnn() {{ {program} "$@"; }}\n{command}'],
        capture_output=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), **options.pop("env", {})},
        **options,
    )


# --- every command, every format, both languages ------------------------------------------------------------------


def invocations() -> Iterator[tuple[str, ...]]:
    for to, lang in itertools.product(DOCUMENTS, LANGUAGES):
        output = ("--to", to, "--lang", lang)
        yield ("derive", "W_x", *output)
        yield ("derive", "--depth", "1", *output)
        yield ("derive", "--depth", "3", "W_h", "h_0", "--layout", "jacobian", *output)
        yield ("paths", "W_x", *output)
        yield ("paths", "W_x", "--values", "point.json", *output)
        yield ("paths", "h_0", "--granularity", "node", "--losses", "last", *output)
        yield ("paths", "W_h", "--count", *output)
        yield ("paths", "W_h", "--by", "lag", "--values", "point.json", *output)
        yield ("paths", "W_y", "--by", "loss", *output)
        yield ("paths", "x_2", "--by", "route", *output)
        yield ("paths", "W_h", "--top", "2", "--values", "point.json", *output)
        yield ("check", "--seed", "3", *output)
        yield ("check", "W_x", "h_0", "--values", "point.json", *output)
        yield ("gradient", "--values", "point.json", *output)
        if to == "text" or lang == "en":
            yield ("article", *output)
        matrix = ("--form", "matrix", *output)
        yield ("derive", "W_h", "--depth", "3", "--shapes", *matrix)
        yield ("derive", "W_f", "--cell", "lstm", "--steps", "2", "--layout", "jacobian", *matrix)
        yield ("derive", "--cell", "gru", "--depth", "1", "--notation", "d2l", *matrix)
        yield ("derive", "W_x", "--notation", "pascanu", *output)
        yield ("paths", "W_h", "--values", "matrix.json", *matrix)
        yield ("paths", "W_f", "--cell", "lstm", "--granularity", "step", *matrix)
        yield ("check", "W_h", "--sizes", "n_h=2", *matrix)
        yield ("gradient", "--values", "matrix.json", *matrix)
        yield ("jacobian", "--values", "matrix.json", "--lag", "2", *matrix)
        yield ("jacobian", "--cell", "lstm", "--depth", "3", "--shapes", *matrix)
        yield ("jacobian", "--cell", "lstm", "--count", "--lag", "10", *output)
    for lang in LANGUAGES:
        yield ("derive", "W_x", "--standalone", "--lang", lang)
        yield ("derive", "--standalone", "--cell", "lstm", "--form", "matrix", "--lang", lang)
        yield ("cells", "lstm", "--shapes", "--lang", lang)
        yield ("cells", "--lang", lang)
        yield ("cells", "elman", "--lang", lang)


@pytest.mark.parametrize("argv", list(invocations()), ids=" ".join)
def test_every_command_in_every_format_and_language(run: Run, point: Path, argv: tuple[str, ...]) -> None:
    written(point.parent / "matrix.json", MATRIX_POINT)
    result = run(*argv)
    assert (result.code, result.err) == (0, "")
    assert result.out.endswith("\n") and len(result.out) > 40
    if "json" in argv:
        assert result.json["schema_version"] == 1
    elif "text" in argv:
        presentable(result.out)
    elif "--standalone" in argv:
        assert result.out.startswith("\\documentclass") and result.out.endswith("\\end{document}\n")
    if ("text" in argv or "--standalone" in argv) and argv[0] not in (
        "article",
        "cells",
    ):  # both take a second, or say the same
        assert run(*argv) == result


def presentable(text: str) -> None:
    """Text for a terminal of 100 columns, without a trace of LaTeX."""
    widest = max(text.split("\n"), key=columns)
    assert columns(widest) <= WIDTH, widest
    assert "\\" not in text and "$" not in text
    assert all(line == line.rstrip() for line in text.split("\n"))
    assert "\t" not in text and all(c.isprintable() or c == "\n" for c in text)


def test_the_languages_differ_in_words_alone(run: Run, point: Path) -> None:
    """--lang changes no key, no route, no number and no verdict."""
    for argv in (("paths", "W_x", "--values", "point.json"), ("gradient", "--values", "point.json"), ("check",)):
        assert run(*argv, "--to", "json") == run(*argv, "--to", "json", "--lang", "zh")
    english, chinese = (run("derive", "W_x", "--to", "json", "--lang", lang).json for lang in LANGUAGES)
    for step, other in zip(english["steps"], chinese["steps"], strict=True):
        assert step["reason"] != other["reason"]
        assert {**step, "reason": ""} == {**other, "reason": ""}
    english, chinese = (run("article", "--to", "json", "--lang", lang).json for lang in LANGUAGES)
    assert [(c["id"], c["verdict"]) for c in english["claims"]] == [(c["id"], c["verdict"]) for c in chinese["claims"]]


@pytest.mark.parametrize("cell", ["elman", "irnn", "linear", "residual", "lag2", GATED, TWO_STATES, LONG_NAMES])
@pytest.mark.parametrize("steps", [2, 8])
def test_text_is_never_wider_than_a_hundred_columns(run: Run, folder: Path, cell: str, steps: int) -> None:
    fits(run, folder, cell, steps)


@pytest.mark.slow
@pytest.mark.parametrize("cell", ["elman", "irnn", "linear", "residual", "lag2", GATED, TWO_STATES, LONG_NAMES])
@pytest.mark.parametrize("steps", [1, 4, 6, 7, 100])
def test_text_is_never_wider_than_a_hundred_columns_slow(run: Run, folder: Path, cell: str, steps: int) -> None:
    fits(run, folder, cell, steps)


def fits(run: Run, folder: Path, cell: str, steps: int) -> None:
    values = written(folder / "values.json", values_of(cell, steps))
    parameter = load_cell(cell).parameters[0]
    few = steps < 5
    for lang in LANGUAGES:
        options = ("--cell", cell, "--steps", str(steps), "--to", "text", "--lang", lang)
        for argv in (
            ("derive", parameter, "--depth", "2" if few else "3"),
            ("derive", "--depth", "1"),
            *([("derive", "--all", "--depth", "3", "--loss", "squared", "--activation", "tanh")] if few else []),
            ("paths", parameter, *([] if few else ["--count"])),
            *([("paths", parameter, "--granularity", "node", "--values", values)] if few else []),
            ("paths", parameter, "--by", "lag", "--values", values),
            ("paths", "y_1", "--by", "loss"),
            ("gradient", "--values", values),
            ("check", parameter, "--values", values),
        ):
            result = run(*argv, *options)
            assert result.code in (0, 1)
            presentable(result.out)


@pytest.mark.parametrize("lang", LANGUAGES)
def test_a_hundred_steps_in_a_hundred_columns(run: Run, folder: Path, lang: str) -> None:
    values = written(folder / "values.json", values_of("elman", 100))
    options = ("--to", "text", "--lang", lang)
    for argv in (
        ("derive", "W_h", "--steps", "100", "--depth", "3"),
        ("paths", "W_h", "--steps", "100", "--losses", "last"),
        ("paths", "W_h", "--values", values, "--top", "5"),
        ("paths", "h_0", "--values", values, "--by", "loss"),
        ("gradient", "--values", values),
        ("check", "--values", values),
    ):
        result = run(*argv, *options)
        assert result.code in (0, 1)
        presentable(result.out)


def test_deterministic_whatever_the_hash_seed(point: Path) -> None:
    """Two processes with different hashes of strings write the same bytes."""
    command = (
        "rnn derive --verify; rnn derive W_h --to json; rnn paths W_h --values point.json --to json;"
        " rnn check --to json; rnn paths k_0 --by route --cell two.cell; rnn derive --cell two.cell --to markdown"
    )
    Path("two.cell").write_text(TWO_STATES)
    first, second = (shell(command, env={"PYTHONHASHSEED": seed}) for seed in ("1", "4242"))
    assert first.returncode == 0 and not first.stderr
    assert first.stdout == second.stdout and len(first.stdout) > 10_000


# --- JSON ---------------------------------------------------------------------------------------------------------


def valid(document: Any, schema: schemas.Schema) -> Any:
    jsonschema.Draft202012Validator(schema).validate(document)
    assert next(iter(document)) == "schema_version"
    return document


def test_the_schemas_are_schemas() -> None:
    for schema in (
        schemas.PATHS, *schemas.PATHS_BY.values(), schemas.PATHS_COUNTED, schemas.GRADIENT, schemas.CHECK,
        schemas.DERIVE, schemas.DERIVE_SEVERAL, schemas.ARTICLE, schemas.CELLS,
    ):  # fmt: skip
        jsonschema.Draft202012Validator.check_schema(schema)
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({"schema_version": 1}, schema)


def test_json_of_paths(run: Run, point: Path) -> None:
    record = valid(run("paths", "W_x", "--to", "json").json, schemas.PATHS)
    assert record["wrt"] == "W_x" and record["count"] == 6 and record["total"] is None
    path = record["paths"][1]
    assert path["route"] == ["L", "l_3", "y_3", "h_3", "h_2", "W_x"]
    assert (path["loss_step"], path["entry_step"], path["lag"]) == (3, 2, 1)
    assert path["value"] is path["log10"] is path["sign"] is None

    record = valid(run("paths", "W_x", "--to", "json", "--values", point).json, schemas.PATHS)
    assert sum(path["value"] for path in record["paths"]) == pytest.approx(record["total"], rel=1e-12)
    for path in record["paths"]:
        assert path["sign"] * 10 ** path["log10"] == pytest.approx(path["value"], rel=1e-9)
    gradient = run("gradient", "--values", point, "--to", "json").json["gradients"]["W_x"]
    assert record["total"] == pytest.approx(gradient, rel=1e-12)

    record = valid(run("paths", "W_x", "--to", "json", "--losses", "last").json, schemas.PATHS)
    assert [path["lag"] for path in record["paths"]] == [0, 1, 2]  # the article's three
    record = valid(run("paths", "y_1", "--to", "json", "--losses", "last", "--values", point).json, schemas.PATHS)
    assert (record["count"], record["paths"], record["total"], record["total_log10"]) == (0, [], 0, "-inf")


def test_json_of_counted_and_grouped_paths(run: Run, point: Path) -> None:
    record = valid(run("paths", "W_x", "--steps", "10000", "--count", "--to", "json").json, schemas.PATHS_COUNTED)
    assert record["count"] == 50_005_000 and "paths" not in record and "groups" not in record
    for by, keys in (("lag", [0, 1, 2]), ("loss", [3, 2, 1]), ("route", ["y-h"])):
        for values in ((), ("--values", point)):
            record = valid(run("paths", "W_x", "--by", by, "--to", "json", *values).json, schemas.PATHS_BY[by])
            assert [group[by] for group in record["groups"]] == keys
            assert sum(group["count"] for group in record["groups"]) == record["count"] == 6
        assert sum(group["value"] for group in record["groups"]) == pytest.approx(record["total"])


def test_json_of_a_gradient(run: Run, point: Path) -> None:
    record = valid(run("gradient", "--values", point, "--to", "json").json, schemas.GRADIENT)
    names = ["W_x", "W_h", "W_y", "b_h", "b_y", "h_0"]
    assert list(record["gradients"]) == list(record["log10"]) == list(record["sign"]) == names
    assert len(record["input_gradients"]) == len(record["outputs"]) == len(record["states"]["h"]) == 3
    assert list(record["states"]) == ["h"]


def test_json_of_a_check(run: Run, point: Path) -> None:
    record = valid(run("check", "--to", "json", "--values", point).json, schemas.CHECK)
    assert record["passed"] is True
    assert list(dict.fromkeys(v["wrt"] for v in record["verdicts"])) == ["W_x", "W_h", "W_y", "b_h", "b_y"]
    assert {v["at"] for v in record["verdicts"]} == {str(point)}
    record = valid(run("check", "h_0", "x_2", "--to", "json", "--seed", "7").json, schemas.CHECK)
    assert list(dict.fromkeys(v["wrt"] for v in record["verdicts"])) == ["h_0", "x_2"]


def test_json_of_derivations(run: Run) -> None:
    record = valid(run("derive", "W_x", "--to", "json", "--verify").json, schemas.DERIVE)
    assert record["goal"] == "W_x" and record["verification"]["passed"] and record["result"]["paths"] == 6
    assert {f["check"] for f in record["verification"]["findings"]} >= {"lines", "gradient", "sympy"}
    record = valid(run("derive", "--to", "json").json, schemas.DERIVE_SEVERAL)
    assert [d["goal"] for d in record["derivations"]] == ["W_x", "W_h", "W_y", "b_h", "b_y"]
    record = valid(run("derive", "W_x", "x_01", "W_x", "x_1", "--to", "json").json, schemas.DERIVE_SEVERAL)
    assert [d["goal"] for d in record["derivations"]] == ["W_x", "x_1"]


def test_json_of_the_article(run: Run) -> None:
    record = valid(run("article", "--to", "json").json, schemas.ARTICLE)
    ids = [claim["id"] for claim in record["claims"]]
    assert len(ids) == len(set(ids))
    assert {claim["verdict"] for claim in record["claims"]} == {
        "holds",
        "holds under a condition",
        "needs correction",
    }


def test_json_of_cells(run: Run) -> None:
    record = valid(run("cells", "--to", "json").json, schemas.CELLS)
    assert {cell["name"]: cell["text"] for cell in record["cells"]} == BUILT_IN
    assert valid(run("cells", "lag2", "--to", "json").json, schemas.CELLS)["cells"][0]["text"] == BUILT_IN["lag2"]


# --- numbers beyond floats ----------------------------------------------------------------------------------------


def recurrent(weight: float, steps: int) -> dict[str, Any]:
    return {"W_x": 1, "W_h": weight, "W_y": 1, "b_h": 0, "b_y": 0, "h_0": 0, "x": [0] * steps, "d": [0.5] * steps}


@pytest.mark.parametrize(("weight", "steps", "log10"), [(10, 400, 399.699), (1e-2, 301, -602.301)])
def test_values_beyond_floats_are_reported(run: Run, folder: Path, weight: float, steps: int, log10: float) -> None:
    """W_h^T is 10^400 or 10^-602: as a float inf or 0, and in the logarithm still there. −½ is ∂ℓ_T/∂y_T."""
    values = written(folder / "far.json", recurrent(weight, steps))
    argv = ("--values", values, "--activation", "identity", "--losses", "last")
    record = valid(run("paths", "h_0", *argv, "--to", "json").json, schemas.PATHS)
    (path,) = record["paths"]
    assert path["log10"] == pytest.approx(log10, abs=1e-3) == record["total_log10"]
    assert path["sign"] == record["total_sign"] == -1
    assert path["value"] == record["total"] == ("-inf" if log10 > 0 else 0)
    assert path["lag"] == steps - 1
    record = valid(run("gradient", *argv, "--to", "json").json, schemas.GRADIENT)
    assert record["log10"]["h_0"] == pytest.approx(log10, abs=1e-3) and record["sign"]["h_0"] == -1
    record = valid(run("check", "h_0", *argv, "--to", "json").json, schemas.CHECK)
    assert not record["passed"] and all(v["status"] == "inconclusive" for v in record["verdicts"])
    for command in (("paths", "h_0"), ("gradient",), ("paths", "W_x", "--by", "lag"), ("paths", "h_0", "--count")):
        result = run(*command, *argv)
        assert result.code == 0
        presentable(result.out)
    assert f"{log10:.3f}"[:-1].lstrip("-") in run("paths", "h_0", *argv).out


def test_a_forward_pass_that_overflows_names_the_step(run: Run, folder: Path) -> None:
    values = written(folder / "far.json", {**recurrent(10, 400), "x": [1] * 400})
    argv = ("--values", values, "--activation", "identity")
    for command in (("paths", "W_x", "--count"), ("gradient",), ("gradient", "--to", "json")):
        refused(run(*command, *argv), "overflows at step ", "is not a finite number")
    result = run("check", "W_x", *argv, "--to", "json")
    assert result.code == 1
    record = valid(result.json, schemas.CHECK)
    assert not record["passed"] and "overflows at step" in record["verdicts"][0]["note"]
    assert record["verdicts"][0]["symbolic"] == "nan"


def test_a_function_outside_its_domain_names_the_step(run: Run, point: Path) -> None:
    refused(run("gradient", "--values", point, "--activation", "log"), "at step 1", "outside its domain")


def test_minus_zero_is_zero_in_text(run: Run, folder: Path) -> None:
    values = written(folder / "zero.json", {**POINT, "x": [0, 0, 0], "h_0": 0})
    out = run("gradient", "--values", values).out
    assert " -0 " not in out and " 0 " in out


# --- counting -----------------------------------------------------------------------------------------------------


def test_too_many_paths_to_list(run: Run, point: Path) -> None:
    refused(run("paths", "W_x", "--steps", "300"), "45,150", "20,000", "--count", "--by", "--max-paths")
    refused(run("paths", "W_x", "--max-paths", "5"), "6 paths", "limit of 5")
    refused(run("paths", "W_x", "--max-paths", "5", "--top", "2", "--values", point), "6 paths", "limit of 5")
    refused(run("paths", "W_x", "--max-paths", "5", "--by", "route"), "6 paths")
    assert run("paths", "W_x", "--max-paths", "6").code == 0
    assert "45,150 paths" in run("paths", "W_x", "--steps", "300", "--count").out
    assert run("paths", "W_x", "--steps", "300", "--by", "lag").code == 0
    assert run("paths", "W_x", "--max-paths", "5", "--count").code == 0


def test_astronomical_numbers_of_paths(run: Run, folder: Path) -> None:
    """6,020 digits: exact in JSON, though Python would not print them; readable in text."""
    argv = ("paths", "A", "--cell", TWO_STATES, "--steps", "20000", "--max-steps", "20000", "--count")
    result = run(*argv)
    assert result.code == 0 and "10⁶⁰²⁰" in result.out
    presentable(result.out)
    result = run(*argv, "--to", "json")
    assert result.code == 0
    digits = result.out.split('"count": ')[1].split(",")[0]
    assert len(digits) == 6021 and digits.isdigit()
    assert sys.get_int_max_str_digits() == 4300
    refused(run(*argv[:5], "3000"), "about 10^90", "--count")


def test_one_path_is_one_path(run: Run) -> None:
    assert "There is one path from L to W_x" in run("paths", "W_x", "--steps", "1").out
    assert "只有一条路径" in run("paths", "W_x", "--steps", "1", "--lang", "zh").out
    assert "No path leads from L to y₁" in run("paths", "y_1", "--losses", "last").out


def test_top_ranks_by_magnitude(run: Run, point: Path) -> None:
    every = run("paths", "W_x", "--values", point, "--to", "json").json["paths"]
    top = run("paths", "W_x", "--values", point, "--to", "json", "--top", "2").json
    assert top["count"] == 6 and top["total"] is not None
    assert top["paths"] == sorted(every, key=lambda path: -path["log10"])[:2]
    assert len(run("paths", "W_x", "--values", point, "--to", "json", "--top", "99").json["paths"]) == 6
    refused(run("paths", "W_x", "--top", "2"), "--values FILE")
    refused(run("paths", "W_x", "--top", "2", "--values", point, "--count"), "--top", "--count")
    refused(run("paths", "W_x", "--top", "2", "--values", point, "--by", "lag"), "--top", "--by")


def test_granularity_node_visits_everything(run: Run) -> None:
    (path,) = run("paths", "W_x", "--steps", "1", "--granularity", "node", "--to", "json").json["paths"]
    assert path["route"] == ["L", "l_1", "y_1", "o_1", "h_1", "a_1", "W_x"]


# --- usage --------------------------------------------------------------------------------------------------------


def test_help_names_every_command_and_option(run: Run) -> None:
    for argv in ((), ("--help",), ("-h",)):
        result = run(*argv)
        assert result.code == 0 and result.err == ""
        assert "examples:" in result.out and all(command in result.out for command in COMMANDS)
    for command in COMMANDS:
        assert run(command, "--help").out.startswith(f"usage: rnn-symbolic {command}")
    assert run("--version").out == f"rnn-symbolic {__version__}\n"


def test_the_examples_of_the_help_run(run: Run, folder: Path) -> None:
    written(folder / "point.json", POINT)
    lines = [line for line in run("--help").out.splitlines() if line.startswith("  rnn-symbolic ")]
    assert len(lines) > 5
    for line in lines:
        command = line[:48] if line[47] == " " else line.strip().split("  ")[0]  # what it prints begins there
        assert run(*command.split()[1:]).code == 0, command
    assert (folder / "w.tex").read_text().startswith("\\documentclass")


def test_the_activations_are_those_of_the_mathematics() -> None:
    """cli.py repeats the names, so that --help need not import the mathematics."""
    assert tuple(FUNCTIONS) == ACTIVATIONS


def test_usage_errors(run: Run, point: Path) -> None:
    for argv, parts in (
        (["deriv"], ["'deriv'", "Did you mean 'derive'?"]),
        (["jacobi"], ["'jacobi' is not one of", "derive, paths", "Did you mean 'jacobian'?"]),
        (["jacobian", "W_x"], ["unexpected argument 'W_x'"]),
        (["jacobian", "--lag", "0"], ["--lag", "'0'"]),
        (["jacobian", "--count", "--values", str(point)], ["--values", "not allowed with", "--count"]),
        (["analyse"], ["'analyse'"]),
        ([""], ["'' is not one of"]),
        (["--bogus"], ["unknown option --bogus"]),
        (["derive", "--step", "3"], ["unknown option --step", "Did you mean '--steps'?"]),
        (["derive", "--depht=3"], ["unknown option --depht", "'--depth'"]),
        (["derive", "--values", "x"], ["unknown option --values"]),
        (["paths"], ["PARAM", "required"]),
        (["paths", "W_x", "W_h"], ["unexpected argument 'W_h'"]),
        (["article", "W_x"], ["unexpected argument 'W_x'"]),
        (["gradient"], ["--values", "required"]),
        (["gradient", "--values"], ["--values", "expected one argument"]),
        (["derive", "--to", "html"], ["'html' is not one of latex, text, markdown, json"]),
        (["paths", "W_x", "--to", "txt"], ["'txt'", "Did you mean 'text'?"]),
        (["cells", "--to", "latex"], ["'latex' is not one of text, json"]),
        (["derive", "--form", "tensor"], ["'tensor' is not one of scalar, matrix"]),
        (["derive", "--notation", "d2k"], ["'d2k' is not one of article, goodfellow, d2l", "Did you mean 'd2l'?"]),
        (["derive", "--lang", "de"], ["'de' is not one of en, zh"]),
        (["derive", "--layout", "jacobi"], ["Did you mean 'jacobian'?"]),
        (["derive", "--losses", "lst"], ["Did you mean 'last'?"]),
        (["derive", "--loss", "square"], ["Did you mean 'squared'?"]),
        (["derive", "--activation", "loggistic"], ["Did you mean 'logistic'?"]),
        (["derive", "--activation", "softmax"], ["'softmax' is not one of"]),
        (["derive", "--output-activation", "softmax"], ["mixes the components", "--form matrix"]),
        (["derive", "--depth", "4"], ["--depth 4", "3 (lecture)"]),
        (["derive", "--depth", "0"], ["'0'"]),
        (["derive", "--standalone", "--to", "text"], ["--standalone", "--to text"]),
        (["article", "--standalone", "--to", "markdown"], ["--standalone", "--to markdown"]),
        (["paths", "W_x", "--by", "lags"], ["Did you mean 'lag'?"]),
        (["paths", "W_x", "--granularity", "nodes"], ["Did you mean 'node'?"]),
        (["paths", "W_x", "--top", "0"], ["--top", "'0'"]),
        (["paths", "W_x", "--max-paths", "none"], ["--max-paths", "'none'"]),
        (["check", "--seed", "1", "--values", str(point)], ["--values", "not allowed with", "--seed"]),
        (["check", "--seed", "-1"], ["--seed", "'-1'"]),
        (["check", "--seed", "9" * 30], ["--seed", "at most 18 digits"]),
        (["check", "--seed", "0.5"], ["--seed", "'0.5'"]),
        (["cells", "elmann"], ["'elmann'", "Did you mean 'elman'?"]),
    ):
        refused(run(*argv), *parts)


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "abc", "", "1_000", "٣", " 3", "0x3", "1e3", "nan", "²", "9" * 30])
def test_steps_are_whole_numbers(run: Run, text: str) -> None:
    for option in ("--steps", "--max-steps"):
        refused(run("derive", f"{option}={text}"), option, "is not a whole number of at least 1")


def test_steps_beyond_the_limit(run: Run, folder: Path) -> None:
    refused(run("derive", "--steps", "10001"), "T = 10001", "10000", "--max-steps")
    refused(run("paths", "W_x", "--count", "--steps", "9" * 18), "--max-steps")
    refused(run("paths", "W_x", "--steps", "5", "--max-steps", "4"), "between 1 and 4")
    assert run("paths", "W_x", "--count", "--steps", "10001", "--max-steps", "20000").code == 0
    values = written(folder / "long.json", recurrent(0.5, 12))
    refused(run("gradient", "--values", values, "--max-steps", "10"), "T = 12", "--max-steps")


UNKNOWN = (
    "", " ", "W", "W_x W_x", "W_x ", "-1", "σ", "𝔘", "$", "\\", "%s", "{0}", "@file", "L", "L_1", "t", "l", "x", "h",
    "y", "h_", "_1", "_", "h__1", "h_1_2", "x_1.0", "h_+1", "h_٣", "x_٣", "h_99999999999", "sigma", "None", "W_x\n",
    "\x1b[31m", "\udcff", "W_x\x00", "\u202eW_x", "x" * 100_000, "h_" + "9" * 10_000,
)  # fmt: skip


@pytest.mark.parametrize("name", UNKNOWN, ids=range(len(UNKNOWN)))
@pytest.mark.parametrize("command", ["derive", "paths", "check"])
def test_unknown_quantities(run: Run, command: str, name: str) -> None:
    refused(run(command, "--", name), "is not a quantity of elman")


def test_quantities_that_are_nearly_right(run: Run) -> None:
    for command in ("derive", "paths", "check"):
        refused(run(command, "Wx"), "'Wx'", "W_x, W_h, W_y, b_h, b_y", "Did you mean 'W_x'?")
        refused(run(command, "h"), "Did you mean h_1 … h_3?")
        refused(run(command, "h_4"), "outside the steps 1 … 3", "--steps")
        refused(run(command, "d_1"), "target")
        for name in ("h_0", "x_1", "y_3", "a_2", "l_2"):
            assert run(command, name).code == 0


# --- cells --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["my.cell", "ünï 文.cell", "no suffix", "a-b+c(1).cell"])
def test_a_cell_from_a_file(run: Run, folder: Path, name: str) -> None:
    (folder / name).write_text(GATED, encoding="utf-8")
    assert Path(name).stem in run("paths", "U_z", "--cell", name, "--count").out
    for to in DOCUMENTS:
        result = run("derive", "U_z", "--steps", "2", "--verify", "--cell", name, "--to", to)
        assert (result.code, result.err) == (0, "")


@pytest.mark.parametrize(
    "name", ["$we\\ird_%&#{}~^`|*<b>.cell", "$.cell", "a$b$.cell", "e\x1b[31m.cell", "\udcff.cell", "t\tb.cell"]
)
@pytest.mark.parametrize("to", DOCUMENTS)
def test_a_cell_from_a_file_with_a_hostile_name(run: Run, folder: Path, name: str, to: str) -> None:
    (folder / name).write_text(TWO_STATES)
    for command in ("derive", "paths"):
        result = run(command, "A", "--cell", f"./{name}", "--to", to)
        assert (result.code, result.err) == (0, "")
        if to == "text":
            presentable(result.out)
    refused(run("paths", "Q", "--cell", f"./{name}"), "'Q' is not a quantity")


def test_an_error_in_a_cell_names_file_line_and_column(run: Run, folder: Path) -> None:
    (folder / "my.cell").write_text("# mine\nh = tanh(W*h[t-1] + x)\ny = V*h + nope(h)\n")
    refused(run("derive", "--cell", "my.cell"), "my.cell", "line 3, column 11", "unknown function 'nope'")
    refused(run("gradient", "--cell", "my.cell", "--values", "x"), "my.cell", "line 3, column 11")
    refused(run("derive", "--cell", "y = eval(x)"), "error: line 1, column 5")


def test_cells_that_are_none(run: Run, folder: Path, point: Path) -> None:
    os.mkfifo(folder / "fifo")
    (folder / "latin.cell").write_bytes(b"y = x # \xe9\n")
    (folder / "huge.cell").write_text("# a\n" * 100_000)
    (folder / "nul.cell").write_bytes(b"y = x\0")
    (folder / "empty.cell").write_text("")
    for cell, part in (
        ("", "no built-in cell and no file"),
        ("nope", "elman, jordan"),
        ("Elman", "Did you mean 'elman'?"),
        ("./elman", "Did you mean 'elman'?"),
        (".", "is a directory"),
        ("fifo", "no plain file"),
        ("/dev/zero", "no plain file"),
        ("a\0b", "no file"),
        ("x" * 5_000, "File name too long"),
        ("\udcff", "no file"),
        ("no\x1b[31m", "no file"),
        ("point.json", "line 1, column 1"),
        ("latin.cell", "not UTF-8"),
        ("huge.cell", "larger than 64 kB"),
        ("nul.cell", "line 1, column 6"),
        ("empty.cell", "no equation"),
        ("=", "line 1, column 1"),
        ("y=x\x1b[31m", "column 4"),
        ("y=\ud800", "column 3"),
        ("y = x.__class__", "outside the language"),
        ("y=" + "(" * 5_000, "2000 characters"),
        ("y=x**99999999", "exponent"),
        ("h = softmax(W@h[t-1] + x)\ny = h", "softmax"),
    ):
        refused(run("paths", "y_1", "--cell", cell), part)


def test_options_that_do_not_touch_the_cell_warn_and_go_on(run: Run, point: Path) -> None:
    for argv, part in (
        (["derive", "W_x", "--cell", "linear", "--activation", "tanh"], "activation tanh changes nothing"),
        (["paths", "W_x", "--cell", "linear", "--activation", "tanh"], "linear does not mention sigma"),
        (
            ["gradient", "--cell", "linear", "--output-activation", "tanh", "--values", str(point)],
            "output activation tanh changes nothing",
        ),
        (["check", "--cell", "h=w*h[t-1]+x\ny=h\nloss=(y-d)**2", "--loss", "squared"], "loss squared is not used"),
    ):
        result = run(*argv)
        assert result.code == 0 and result.out
        assert result.err.startswith(f"rnn-symbolic {argv[0]}: note: ") and part in result.err
    refused(run("derive", "Q", "--cell", "linear", "--activation", "tanh"), "'Q' is not")  # the error goes alone
    quiet = run("gradient", "--cell", "linear", "--values", point)
    assert (quiet.code, quiet.err) == (0, "")


def test_numbers_need_functions(run: Run, point: Path) -> None:
    for command in (["gradient", "--values", str(point)], ["paths", "W_x", "--values", str(point)], ["check"]):
        refused(run(*command, "--activation", "sigma"), "--activation sigma", "abstract")
        refused(run(*command, "--output-activation", "sigma"), "--output-activation sigma")
        refused(run(*command, "--loss", "abstract"), "--loss abstract", "squared")
    assert run("check", "--cell", "linear", "--activation", "sigma").code == 0  # there is no sigma in it
    own = "h = tanh(w*h[t-1] + x)\ny = h\nloss = (y-d)**2"
    assert run("check", "--cell", own, "--loss", "abstract").code == 0  # its own loss wins


@pytest.mark.parametrize("activation", [name for name in ACTIVATIONS if name != "sigma"])
@pytest.mark.parametrize("loss", ["squared", "cross-entropy"])
def test_every_activation_and_loss(run: Run, activation: str, loss: str) -> None:
    argv = ("--activation", activation, "--loss", loss)
    result = run("check", *argv, "--to", "json")
    assert (result.code, result.err, result.json["passed"]) == (0, "", True)
    result = run("derive", "W_x", *argv)
    assert (result.code, result.err) == (0, "")


# --- values -------------------------------------------------------------------------------------------------------


def changed(**entries: Any) -> dict[str, Any]:
    return {**POINT, **entries}


BAD_VALUES: dict[str, tuple[object, str]] = {
    "empty": (b"", "is empty"),
    "blank": (b" \n", "is empty"),
    "broken": (b'{"W_x": ', "is not JSON: line 1"),
    "python": (b"{'W_x': 1}", "is not JSON: line 1, column 2"),
    "trailing": (json.dumps(POINT).encode() + b" x", "extra data"),
    "list": ([1], "holds a list"),
    "number": (3, "holds a number"),
    "null": (None, "holds null"),
    "not UTF-8": (b"\xff\xfe{}", "not UTF-8"),
    "NUL": (b"\0\0", "is not JSON"),
    "repeated": (b'{"W_x": 1, "W_x": 2}', "'W_x' is given twice"),
    "deep list": (b"[" * 200_000, "nested too deep"),
    "deep object": (b'{"a":' * 200_000, "nested too deep"),
    "deep entry": (b'{"x":' + b"[" * 200_000, "nested too deep"),
    "nan": (json.dumps(changed(W_x=float("nan"))).encode(), "'W_x' is not a finite number"),
    "inf": (json.dumps(changed(W_x=float("inf"))).encode(), "'W_x' is not a finite number"),
    "inf in x": (json.dumps(changed(x=[1, float("-inf"), 1])).encode(), "'x' at step 2 is not a finite"),
    "1e999": (json.dumps(POINT).replace("0.8", "1e999").encode(), "'W_h' is not a finite number"),
    "10000 digits": (json.dumps(POINT).replace("0.8", "8" * 10_000).encode(), "'W_h' is not a finite number"),
    "string": (changed(W_x="0.5"), "'W_x' is the string '0.5'"),
    "boolean": (changed(W_x=True), "'W_x' is the boolean true"),
    "null entry": (changed(W_x=None), "'W_x' is null"),
    "nested": (changed(W_x=[[1]]), "'W_x' is a list"),
    "object": (changed(W_x={}), "'W_x' is an object"),
    "scalar x": (changed(x=1), "'x' is a number"),
    "text x": (changed(x="123"), "'x' is the string"),
    "matrix x": (changed(x=[[1], [2], [3]]), "'x' at step 1 is a list"),
    "ragged": (changed(x=[1, 2]), "'x' has 2 entries and 'd' has 3"),
    "no steps": (changed(x=[], d=[]), "is empty"),
    "unknown": (changed(Wx=1), "Did you mean 'W_x'?"),
    "other state": (changed(**{"h_-1": 1}), "'h_-1' is no entry"),
    "control": (changed(**{"a\n\x1b[31m": 1}), "is no entry"),
    "long name": (changed(**{"a" * 100_000: 1}), "is no entry"),
    "half a character": (json.dumps(changed(Q=1)).replace('"Q"', '"\\ud800"').encode(), "is no entry"),
    "missing": ({k: v for k, v in POINT.items() if k != "W_h"}, "lack 'W_h'"),
    "missing d": ({k: v for k, v in POINT.items() if k != "d"}, "lack 'd'"),
    "nothing": ({}, "lack 'W_h', 'W_x'"),
    "too large": (b" " * (17 * 2**20), "larger than 16 MB"),
}


@pytest.mark.parametrize("case", BAD_VALUES)
def test_bad_values(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    content, part = BAD_VALUES[case]
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    (folder / "bad.json").write_bytes(data)
    for command in (("gradient",), ("check",), ("paths", "W_x")):
        refused(run(*command, "--values", "bad.json", "-o", "out"), part)
    with open(folder / "bad.json", encoding="utf-8") as file:
        monkeypatch.setattr(sys, "stdin", file)
        refused(run("gradient", "--values", "-"), part)
    assert os.listdir(folder) == ["bad.json"]


def test_values_files_that_are_none(run: Run, folder: Path, point: Path) -> None:
    os.mkfifo(folder / "fifo")
    for name, part in (
        ("", "there is no file ''"),
        ("nope.json", "there is no file 'nope.json'"),
        (".", "is a directory"),
        ("point.json/x", "no file"),
        ("fifo", "no plain file"),  # at once: nobody ever writes to it
        ("/dev/zero", "no plain file"),
        ("/dev/null", "no plain file"),
        ("/proc/self/mem", "cannot read"),
        ("a\0b", "no file"),
        ("x" * 5_000, "File name too long"),
        ("\udcff", "no file"),
        ("a\nb\x1b[31m", "no file"),
    ):
        for command in (("gradient",), ("check",), ("paths", "W_x"), ("paths", "W_x", "--top", "1")):
            refused(run(*command, "--values", name), part)


def test_values_that_are_good(run: Run, folder: Path, point: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = run("gradient", "--values", point).out
    (folder / "bom.json").write_bytes(b"\xef\xbb\xbf" + point.read_bytes())
    assert run("gradient", "--values", "bom.json").out == expected
    assert run("gradient", "--values", point, "--steps", "3").out == expected
    with open(point, encoding="utf-8") as file:
        monkeypatch.setattr(sys, "stdin", file)
        assert run("gradient", "--values", "-").out == expected
    without = {key: value for key, value in POINT.items() if key != "h_0"}
    zero = run("gradient", "--values", written(folder / "zero.json", {**POINT, "h_0": 0})).out
    assert run("gradient", "--values", written(folder / "without.json", without)).out == zero
    assert run("check", "--values", written(folder / "$a$b_#.json", POINT), "--to", "text").code == 0
    assert run("check", "--values", "$a$b_#.json", "--to", "json").json["verdicts"][0]["at"] == "$a$b_#.json"


def test_steps_must_agree_with_x(run: Run, point: Path) -> None:
    for command in (("gradient",), ("check",), ("paths", "W_x")):
        refused(run(*command, "--values", point, "--steps", "4"), "'x' has 3 entries", "T is 4", "--steps 3")


# --- output files -------------------------------------------------------------------------------------------------


def test_output_is_written_whole_or_not_at_all(run: Run, folder: Path) -> None:
    printed = run("derive", "W_x").out
    assert run("derive", "W_x", "-o", "a.tex") == Result(0, "", "")
    assert (folder / "a.tex").read_text(encoding="utf-8") == printed
    refused(run("derive", "W_h", "-o", "a.tex"), "'a.tex' exists", "--force")
    assert (folder / "a.tex").read_text(encoding="utf-8") == printed
    refused(run("derive", "Wh", "-o", "a.tex", "--force"), "'Wh'")  # fails after the file was found writable
    refused(run("derive", "Wh", "-o", "b.tex"), "'Wh'")
    assert (folder / "a.tex").read_text(encoding="utf-8") == printed
    assert run("derive", "W_h", "-o", "a.tex", "--force").code == 0
    assert (folder / "a.tex").read_text(encoding="utf-8") == run("derive", "W_h").out
    assert os.listdir(folder) == ["a.tex"]  # nothing temporary is left
    assert run("derive", "W_x", "-o", "-").out == run("derive", "W_x", "-o", "-", "--force").out == printed


@pytest.mark.parametrize("failing", ["fsync", "replace", "chmod"])
def test_a_write_that_fails_leaves_the_old_file(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    (folder / "old").write_text("precious")

    def no_space(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, failing, no_space)
        refused(run("paths", "W_x", "-o", "old", "--force"), "'old'", "No space left on device")
        refused(run("paths", "W_x", "-o", "new"), "'new'", "No space left on device")
    assert os.listdir(folder) == ["old"] and (folder / "old").read_text() == "precious"


def test_an_interrupt_while_writing_leaves_nothing(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", interrupt)
        assert run("paths", "W_x", "-o", "new") == Result(130, "", "")
    assert os.listdir(folder) == []


def test_a_check_that_fails_is_still_written(run: Run, folder: Path) -> None:
    assert run("check", "y_1", "--losses", "last", "-o", "out", "--to", "json").code == 1
    assert json.loads((folder / "out").read_text())["passed"] is False


def test_the_mode_follows_the_umask(run: Run, folder: Path) -> None:
    old = os.umask(0o027)
    try:
        assert run("paths", "W_x", "-o", "new").code == 0
        assert stat.S_IMODE(os.stat("new").st_mode) == 0o640
        os.chmod("new", 0o604)
        assert run("paths", "W_x", "-o", "new", "--force").code == 0
        assert stat.S_IMODE(os.stat("new").st_mode) == 0o604  # an old file keeps its own
    finally:
        os.umask(old)


def test_a_link_stays_a_link(run: Run, folder: Path) -> None:
    (folder / "file").write_text("old")
    os.symlink("file", "link")
    refused(run("paths", "W_x", "-o", "link"), "'link' exists")
    assert run("paths", "W_x", "-o", "link", "--force").code == 0
    assert os.path.islink("link") and (folder / "file").read_text() == run("paths", "W_x").out


def test_outputs_that_cannot_be(run: Run, folder: Path) -> None:
    (folder / "file").write_text("precious")
    (folder / "sub").mkdir()
    os.mkfifo(folder / "fifo")
    for name, part in (
        ("", "names no file"),
        ("a\0b", "names no file"),
        (".", "is a folder"),
        ("..", "is a folder"),
        ("sub", "is a folder"),
        ("sub/", "is a folder"),
        ("/", "is a folder"),
        ("no/such/file", "does not exist"),
        ("file/x", "does not exist"),
        ("x" * 300, "too long"),
        ("x" * 5_000, "too long"),
        ("/proc/nothing", "cannot"),
        ("/proc/\x1b[31m\n\udcff", "cannot"),
        ("/dev/null", "exists"),
    ):
        refused(run("paths", "W_x", "-o", name), part)
    refused(run("paths", "W_x", "-o", "fifo", "--force"), "'fifo'")  # at once: nobody reads it
    refused(run("paths", "W_x", "-o", "/dev/full", "--force"), "No space left on device")
    refused(run("paths", "W_x", "-o", "sub", "--force"), "is a folder")
    assert run("paths", "W_x", "-o", "/dev/null", "--force").code == 0
    assert sorted(os.listdir(folder)) == ["fifo", "file", "sub"] and (folder / "file").read_text() == "precious"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder(run: Run, folder: Path) -> None:
    (folder / "sub").mkdir(mode=0o500)
    refused(run("paths", "W_x", "-o", "sub/x"), "cannot be written")


def test_two_dashes_as_a_value(run: Run, folder: Path) -> None:
    """Older argparse loses them, and the option with them."""
    refused(run("derive", "--cell=--"), "'--' is no built-in cell")
    refused(run("derive", "--steps=--"), "'--' is not a whole number")
    refused(run("gradient", "--values=--"), "no file '--'")
    refused(run("paths", "W_x", "--to=--"), "'--' is not one of")
    assert run("paths", "W_x", "--output=--").code == 0 and os.listdir(folder) == ["--"]


@pytest.mark.parametrize("name", ["日本語 文件.txt", "a b", "-x", "new\nline", "\udcff", "b" * 250, "%s{}$"])
def test_output_under_any_name(run: Run, folder: Path, name: str) -> None:
    assert run("paths", "W_x", f"--output={name}") == Result(0, "", "")
    assert os.listdir(folder) == [name]


# --- hostile arguments --------------------------------------------------------------------------------------------

NASTY = ("", " ", "\x1b[31m\n", "\r", "\0", "\udcff", "\u2028", "𝔘", "--", "-", "---", "--=", "-=", "x" * 100_000,
         "%(prog)s", "{}", "$(id)", "`id`", "../../etc/passwd", "/dev/stdin", "٣", "NaN", "-0", "1e400")  # fmt: skip


@pytest.mark.parametrize("text", NASTY, ids=range(len(NASTY)))
def test_anything_anywhere_is_refused_in_one_line(
    run: Run, folder: Path, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`decent` is the assertion: one line, no control characters, no traceback. Some of it is even right."""
    with open(os.devnull, encoding="utf-8") as nothing:
        monkeypatch.setattr(sys, "stdin", nothing)
        assert run(text).code in (0, 2)
        starts = {"derive": ["W_x"], "paths": ["W_x"], "gradient": ["--values", "nope"]}
        (commands,) = (a for a in build_parser()._actions if isinstance(a, argparse._SubParsersAction))
        for command in COMMANDS:
            start = starts.get(command, [])
            for option in commands.choices[command].options():
                if option not in ("-o", "--output", "--help", "-h", "--force", "--verify", "--all", "--standalone"):
                    given = [] if option == "--values" else start
                    if command != "article" or option in ("--to", "--lang"):
                        run(command, *given, f"{option}={text}")
            if command != "article" or text not in ("", "--"):
                run(command, *start, text)
            run(command, *start, f"--{text}")
            run(command, *start, f"-{text}")
    assert not os.listdir(folder)


def test_a_long_message_is_cut(run: Run) -> None:
    result = run("derive", "x" * 100_000)
    refused(result, " … ", "is not a quantity of elman")
    assert len(result.err) < 2_100


# --- real processes -----------------------------------------------------------------------------------------------

IMPORTED = """\
import sys
from rnn_symbolic.cli import main
try:
    code = main({argv!r})
except SystemExit as stop:
    code = stop.code
print(code, [name for name in ("sympy", "numpy", "mpmath") if name in sys.modules], file=sys.stderr)
"""


@pytest.mark.parametrize(
    "argv",
    [
        ["--help"],
        ["--version"],
        *([command, "--help"] for command in COMMANDS),
        ["derive", "W_x"],
        ["derive", "--to", "json"],
        ["paths", "W_x", "--values", "point.json"],
        ["gradient", "--values", "point.json"],
        ["check"],
        ["cells"],
    ],
    ids=" ".join,
)
def test_neither_sympy_nor_numpy_is_imported(point: Path, argv: list[str]) -> None:
    process = subprocess.run(
        [sys.executable, "-c", IMPORTED.format(argv=argv)],
        capture_output=True, text=True, check=False, timeout=60, encoding="utf-8",
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
    )  # fmt: skip
    assert process.stderr == "0 []\n"
    assert process.stdout


BUFFERED = pytest.mark.parametrize("env", [{"PYTHONUNBUFFERED": ""}, {"PYTHONUNBUFFERED": "1"}], ids=["buffer", "none"])


@BUFFERED
def test_broken_pipes(folder: Path, env: dict[str, str]) -> None:
    """More than a pipe holds, and less; results, and help."""
    for command in ("derive W_x --all --steps 20", "paths W_x", "derive --help"):
        done = shell(f"rnn {command} | {{ exec <&-; sleep 0.1; }}; exit ${{PIPESTATUS[0]}}", env=env)
        assert (done.returncode, done.stderr) == (141, b""), command
    done = shell("rnn derive W_x --all --steps 20 | head -1; exit ${PIPESTATUS[0]}", env=env)
    assert done.returncode == 141 and done.stderr == b"" and done.stdout.count(b"\n") == 1


@BUFFERED
def test_a_full_disk(env: dict[str, str]) -> None:
    for command in ("derive W_x", "derive W_x --all --steps 20", "check --help"):
        done = shell(f"rnn {command} > /dev/full", env=env)
        assert done.returncode == 2, command
        assert done.stderr.count(b"\n") == 1 and b"standard output: No space left on device" in done.stderr
    done = shell("rnn paths Wx 2> /dev/full", env=env)
    assert (done.returncode, done.stdout, done.stderr) == (2, b"", b"")
    done = shell("rnn paths W_x --cell linear --activation tanh 2> /dev/full", env=env)
    assert done.returncode == 0 and done.stdout


@BUFFERED
def test_closed_streams(point: Path, env: dict[str, str]) -> None:
    done = shell("rnn paths W_x >&-", env=env)
    assert done.returncode == 2 and b"no standard output" in done.stderr and done.stderr.count(b"\n") == 1
    done = shell("rnn paths Wx 2>&-", env=env)
    assert (done.returncode, done.stdout, done.stderr) == (2, b"", b"")
    done = shell("rnn gradient --values - <&-", env=env)
    assert done.returncode == 2 and b"no standard input" in done.stderr and done.stderr.count(b"\n") == 1
    done = shell("rnn gradient --values point.json -o out <&- >&- 2>&-; echo $?; head -1 out", env=env)
    assert done.stdout == b"0\nGradients\n"


def test_standard_input_from_a_pipe(point: Path) -> None:
    done = shell("cat point.json | rnn gradient --values - --to json")
    assert done.returncode == 0 and json.loads(done.stdout)["schema_version"] == 1
    done = shell("rnn gradient --values - < /dev/null")
    assert done.returncode == 2 and b"the standard input is empty" in done.stderr
    done = shell("rnn gradient --values - < /dev/zero")  # it never ends; we stop reading
    assert done.returncode == 2 and b"larger than 16 MB" in done.stderr


def test_output_to_a_pipe_or_a_stream() -> None:
    done = shell("rnn paths W_x --force -o /dev/stdout | head -1")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"Paths from L to W_x\n", b"")
    done = shell("rnn paths W_x --force -o >(cat >&2); sleep 0.3")
    assert done.returncode == 0 and done.stderr.startswith(b"Paths from L to W_x\n")


ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


def test_an_ascii_locale(folder: Path) -> None:
    """Results are UTF-8 wherever we are; messages are escaped if they must be."""
    (folder / "文.cell").write_text(TWO_STATES)
    done = shell("rnn derive W_x --to text --lang zh", env=ASCII)
    assert done.returncode == 0 and "约定" in done.stdout.decode()
    for command in ("--help", "derive --help", "paths --help"):
        done = shell(f"rnn {command}", env=ASCII)
        assert done.returncode == 0 and done.stdout.decode() and not done.stderr
    done = shell("rnn derive A --to text --cell 文.cell", env=ASCII)
    assert done.returncode == 0 and done.stdout.decode()
    done = shell("rnn derive Q --cell 文.cell", env=ASCII)
    assert done.returncode == 2 and done.stderr.isascii() and done.stderr.count(b"\n") == 1


def test_undecodable_arguments(folder: Path, point: Path) -> None:
    point.rename(os.fsdecode(b"\xff.json"))
    for command, code in (
        (r"rnn paths $'\xff\xfe'", 2),
        (r"rnn --$'\xff\e[31m'", 2),
        (r"rnn derive --cell $'\xff'", 2),
        (r"rnn paths W_x -o $'/proc/\xff\e[31m\n'", 2),
        (r"rnn check --values $'\xff.json'", 0),
        (r"rnn check --values $'\xff.json' --to json", 0),
        (r"rnn paths W_x -o $'\xfe'", 0),
    ):
        done = shell(command)
        assert done.returncode == code, done
        decent(Result(code, done.stdout.decode(), done.stderr.decode()))


def test_interrupted(folder: Path) -> None:
    """Control-C at any moment after the start: 130, no word, no file."""
    for delay in (0.4, 0.9):
        process = subprocess.Popen(
            [sys.executable, "-m", "rnn_symbolic", "paths", "W_x", "--steps", "199", "-o", "out"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        )  # fmt: skip
        time.sleep(delay)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
        assert (process.returncode, out, err) == (130, b"", b"")
        assert os.listdir(folder) == []
