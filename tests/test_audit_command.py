"""``rnn-symbolic audit``: formulas, numbers and code from the command line."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import schemas
from test_cli import IMPORTED, MATRIX_POINT, POINT, Result, Run, refused, shell, written

from rnn_symbolic.cli import main
from rnn_symbolic.gradients import gradients_at
from rnn_symbolic.model import unroll
from rnn_symbolic.values import point_from_mapping

RIGHT = "dW_y = sum(t=1..T, l'(y[t]) * sigma'(o[t]) * h[t])\ndb_y = sum(t=1..T, l'(y[t]) * sigma'(o[t]))\n"
WRONG = RIGHT.replace("sigma'(o[t]) * h[t]", "sigma'(a[t]) * h[t]")
CODE = """\
import numpy as np

def sigma(z):
    return 1 / (1 + np.exp(-z))

def right(W_x, W_h, W_y, b_h, b_y, x, d, h_0, own=0):
    h, y = [h_0], []
    for x_t in x:
        h.append(sigma(W_h @ h[-1] + W_x @ x_t + b_h))
        y.append(sigma(W_y @ h[-1] + b_y))
    g = {name: np.zeros_like(value) for name, value in
         dict(W_x=W_x, W_h=W_h, W_y=W_y, b_h=b_h, b_y=b_y).items()}
    back = np.zeros_like(h_0)
    for t in range(len(x), 0, -1):
        do = (y[t - 1] - d[t - 1]) * y[t - 1] * (1 - y[t - 1])
        g["W_y"] += np.outer(do, h[t]); g["b_y"] += do
        da = (W_y.T @ do + back) * h[t] * (1 - h[t])
        g["W_x"] += np.outer(da, x[t - 1]); g["b_h"] += da; g["W_h"] += np.outer(da, h[t - 1 + own])
        back = W_h.T @ da
    return sum(((v - w) ** 2).sum() / 2 for v, w in zip(y, d)), g

def wrong(W_x, W_h, W_y, b_h, b_y, x, d, h_0):
    return right(W_x, W_h, W_y, b_h, b_y, x, d, h_0, own=1)

def renamed(Wxh, Whh, Why, b_h, b_y, inputs, d, h_0):  # row vectors, and the mean over the steps
    loss, g = right(Wxh.T, Whh.T, Why.T, b_h, b_y, inputs, d, h_0)
    T = len(inputs)
    g = {name: (value.T if name[0] == "W" else value) / T for name, value in g.items()}
    theirs = dict(W_x="Wxh", W_h="Whh", W_y="Why")
    return loss / T, {theirs.get(name, name): value for name, value in g.items()}

def sleeps(W_x, W_h, W_y, b_h, b_y, x, d, h_0):
    import time
    time.sleep(60)
"""


@pytest.fixture
def run(capsysbinary: pytest.CaptureFixture[bytes]) -> Run:
    def runner(*arguments: str | Path) -> Result:
        capsysbinary.readouterr()
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 1
        captured = capsysbinary.readouterr()
        result = Result(code, captured.out.decode(), captured.err.decode())
        if result.code == 2:
            assert result.out == "" and result.err.count("\n") == 1, result.err
        assert "Traceback" not in result.out + result.err
        return result

    return runner


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "right.txt").write_text(RIGHT, encoding="utf-8")
    (tmp_path / "wrong.txt").write_text(WRONG, encoding="utf-8")
    (tmp_path / "net.py").write_text(CODE, encoding="utf-8")
    written(tmp_path / "point.json", POINT)
    written(tmp_path / "matrix.json", MATRIX_POINT)
    return tmp_path


def gradients(values: dict[str, Any], form: str = "scalar") -> dict[str, Any]:
    """The right ones, as a file holds them."""
    model = unroll("elman", form=form, activation="logistic", loss="squared", steps=len(values["x"]))
    found = gradients_at(model, point_from_mapping(values, model))
    return {str(q): found[str(q)].tolist() for q in model.parameters}


def valid(result: Result) -> Any:
    jsonschema.validate(result.json, schemas.AUDIT)
    return result.json


# --- formulas ---------------------------------------------------------------------------------------------------------


def test_formulas_are_audited(run: Run, folder: Path) -> None:
    assert run("audit", "--formula", "right.txt").code == 0
    result = run("audit", "--formula", "wrong.txt", "--steps", "2")
    assert result.code == 1 and result.err == ""
    assert "wrong place: σ′(a₁) for" in result.out and "Right: b_y." in result.out


def test_formulas_come_by_a_pipe(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(WRONG.encode())))
    assert run("audit", "--formula", "-").code == 1
    done = shell("rnn audit --formula - < right.txt", cwd=folder)
    assert done.returncode == 0 and done.stdout.startswith(b"Audit")


def test_formulas_in_matrix_form(run: Run, folder: Path) -> None:
    (folder / "m.txt").write_text("dW_y = sum(t=1..T, diag(sigma'(o[t])) @ l'(y[t]) @ h[t].T)", encoding="utf-8")
    assert run("audit", "--formula", "m.txt", "--form", "matrix").code == 0
    (folder / "m.txt").write_text("dW_y = l'(y[1]) @ h[1]", encoding="utf-8")
    refused(run("audit", "--formula", "m.txt", "--form", "matrix"), "line 1, column", "does not fit")


def test_a_formula_that_cannot_be_read_is_placed(run: Run, folder: Path) -> None:
    (folder / "bad.txt").write_text("dW_y = l'(y[1]) * * 2", encoding="utf-8")
    refused(run("audit", "--formula", "bad.txt"), "line 1, column")
    (folder / "empty.txt").write_text("", encoding="utf-8")
    assert run("audit", "--formula", "empty.txt").code == 2
    (folder / "latin.txt").write_bytes(b"dW_y = \xff")
    refused(run("audit", "--formula", "latin.txt"), "latin.txt", "UTF-8")
    (folder / "large.txt").write_text("#" * 300_000, encoding="utf-8")
    refused(run("audit", "--formula", "large.txt"), "larger than 256 kB")
    refused(run("audit", "--formula", "nope.txt"), "no file 'nope.txt'", "--formula")
    refused(run("audit", "--formula", folder), "a directory", "--formula")


# --- numbers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "values", "form"), [("point", POINT, "scalar"), ("matrix", MATRIX_POINT, "matrix")])
def test_numbers_are_audited_in_the_form_of_the_values(
    run: Run, folder: Path, name: str, values: dict[str, Any], form: str
) -> None:
    right = gradients(values, form)
    written(folder / "g.json", {"dW_x": right["W_x"], "b_y": right["b_y"]})
    result = run("audit", "--gradients", "g.json", "--values", f"{name}.json", "--to", "json")
    assert result.code == 0 and valid(result)["form"] == form
    written(folder / "g.json", {**right, "W_h": right["W_x"] if form == "scalar" else right["W_h"][0]})
    result = run("audit", "--gradients", "g.json", "--values", f"{name}.json", "--to", "json")
    assert result.code == 1
    wrong = [f["wrt"] for f in valid(result)["findings"] if f["status"] == "wrong"]
    assert wrong == ["W_h"]


def test_several_points_come_in_pairs(run: Run, folder: Path) -> None:
    other = {**POINT, "W_x": 0.25}
    written(folder / "other.json", other)
    for name, values in (("g", POINT), ("k", other)):
        written(folder / f"{name}.json", {key: -value for key, value in gradients(values).items()})
    pair = ("--gradients", "g.json", "--values", "point.json")
    result = run("audit", *pair, "--gradients", "k.json", "--values", "other.json", "--to", "json")
    found = valid(result)
    assert {f["kind"] for f in found["findings"]} == {"sign"} and found["findings"][0]["evidence"]["points"] == 2
    refused(run("audit", *pair, "--gradients", "k.json"), "pairs")
    swapped = run("audit", *pair, "--gradients", "k.json", "--values", "point.json")
    assert swapped.code == 1


def test_one_of_the_files_may_be_a_pipe(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = json.dumps(gradients(POINT))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    assert run("audit", "--gradients", "-", "--values", "point.json").code == 0
    refused(run("audit", "--gradients", "-", "--values", "-"), "standard input", "once")


def test_a_tolerance_is_the_users(run: Run, folder: Path) -> None:
    rough = {name: value * (1 + 1e-6) for name, value in gradients(POINT).items()}
    written(folder / "g.json", rough)
    files = ("--gradients", "g.json", "--values", "point.json")
    assert run("audit", *files).code == 1
    assert run("audit", *files, "--tolerance", "1e-4").code == 0


# --- code -------------------------------------------------------------------------------------------------------------


def test_code_is_audited(run: Run, folder: Path) -> None:
    assert run("audit", "--code", "net.py:right").code == 0
    result = run("audit", "--code", "net.py:wrong", "--seed", "3", "--steps", "3", "--sizes", "n_h=2,n_x=3")
    assert result.code == 1 and "hₜ for hₜ₋₁" in result.out
    assert not (folder / "__pycache__").exists()


def test_code_with_other_names_layout_and_scale(run: Run, folder: Path) -> None:
    names = "W_x=Wxh,W_h=Whh,W_y=Why,x=inputs"
    options = ("--code", "net.py:renamed", "--names", names, "--row-major")
    assert run("audit", *options, "--mean").code == 0
    result = run("audit", *options, "--to", "json")
    assert result.code == 1 and {f["kind"] for f in valid(result)["findings"]} == {"scale"}
    refused(run("audit", "--code", "net.py:renamed", "--names", "W_q=Wxh"), "'W_q'", "cannot be renamed")


def test_code_that_does_not_run_is_told_in_one_line(run: Run, folder: Path) -> None:
    refused(run("audit", "--code", "net.py:nothing"), "nothing")
    refused(run("audit", "--code", "nowhere.py:right"), "nowhere.py")
    refused(run("audit", "--code", "net.py"), "net.py")
    refused(run("audit", "--code", "net.py:sleeps", "--timeout", "2"), "2 s")


# --- options ----------------------------------------------------------------------------------------------------------

NUMBERS = ("--gradients", "g.json", "--values", "point.json")
FORMULA = ("--formula", "wrong.txt")
CODE_OPTION = ("--code", "net.py:right")


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        ((), ("--formula", "--gradients", "--code")),
        ((*FORMULA, *CODE_OPTION), ("--code", "--formula")),
        ((*FORMULA, "--values", "point.json"), ("--values", "--formula")),
        ((*CODE_OPTION, "--values", "point.json"), ("--values", "--code")),
        (("--gradients", "g.json"), ("--values",)),
        ((*FORMULA, "--names", "W_x=a"), ("--names", "--formula")),
        ((*FORMULA, "--row-major"), ("--row-major",)),
        ((*NUMBERS, "--mean"), ("--mean", "--gradients")),
        ((*NUMBERS, "--timeout", "3"), ("--timeout",)),
        ((*NUMBERS, "--sizes", "n_h=2"), ("--sizes",)),
        ((*NUMBERS, "--seed", "2"), ("--seed",)),
        ((*NUMBERS, "--steps", "2"), ("--steps",)),
        ((*FORMULA, "--tolerance", "0.1"), ("--tolerance",)),
        ((*CODE_OPTION, "--sizes", "n_h=2", "--form", "scalar"), ("--sizes", "matrix")),
        ((*CODE_OPTION, "--timeout", "0"), ("--timeout", "positive")),
        ((*CODE_OPTION, "--timeout", "soon"), ("--timeout", "positive")),
        ((*CODE_OPTION, "--tolerance", "2"), ("tolerance",)),
        ((*CODE_OPTION, "--names", "W_x"), ("--names", "ours=theirs")),
        ((*CODE_OPTION, "--names", "W_x=a,W_x=b"), ("'W_x'", "twice")),
        ((*FORMULA, "--steps", "20000"), ("20000",)),
        ((*FORMULA, "--to", "html"), ("'html'",)),
        ((*FORMULA, "--cell", "elmann"), ("elman",)),
        ((*FORMULA, "--no-anser"), ("--no-answer",)),
    ],
    ids=" ".join,
)
def test_options_that_do_not_go_together_are_refused(
    run: Run, folder: Path, options: tuple[str, ...], parts: tuple[str, ...]
) -> None:
    written(folder / "g.json", gradients(POINT))
    refused(run("audit", *options), *parts)


@pytest.mark.parametrize("form", ["text", "json", "markdown", "latex"])
def test_every_format_in_every_language(run: Run, folder: Path, form: str) -> None:
    for language, word in (("en", "wrong"), ("zh", "不对" if form != "json" else "取错了位置")):
        result = run("audit", *FORMULA, "--to", form, "--lang", language)
        assert result.code == 1 and result.err == "" and word in result.out
    if form == "json":
        english, chinese = (valid(run("audit", *FORMULA, "--to", form, "--lang", lang)) for lang in ("en", "zh"))
        for one, other in zip(english["findings"], chinese["findings"], strict=True):
            assert one["detail"] != other["detail"] and one["kind"] == other["kind"]
            assert one["evidence"]["mistakes"] == other["evidence"]["mistakes"]


def test_no_answer_keeps_it_back(run: Run, folder: Path) -> None:
    result = run("audit", "--code", "net.py:wrong", "--no-answer")
    assert result.code == 1 and "W_h" in result.out and "Right: W_x" in result.out
    assert "step" not in result.out.split("Audited")[0] and "hₜ" not in result.out
    found = valid(run("audit", *FORMULA, "--no-answer", "--to", "json"))
    (wrong,) = [finding for finding in found["findings"] if finding["status"] == "wrong"]
    assert wrong["kind"] is None and wrong["right"] is None and wrong["yours"].startswith("ℓ")


def test_the_result_goes_to_a_file(run: Run, folder: Path) -> None:
    assert run("audit", *FORMULA, "-o", "audit.md", "--to", "markdown").code == 1
    assert (folder / "audit.md").read_text(encoding="utf-8").startswith("# Audit")
    refused(run("audit", *FORMULA, "-o", "audit.md"), "--force")
    assert run("audit", *FORMULA, "-o", "audit.md", "--force").code == 1


def test_model_options_reach_the_audit(run: Run, folder: Path) -> None:
    (folder / "last.txt").write_text("dW_y = l'(y[3]) * sigma'(o[3]) * h[3]", encoding="utf-8")
    assert run("audit", "--formula", "last.txt").code == 1
    assert run("audit", "--formula", "last.txt", "--losses", "last").code == 0
    (folder / "loss.txt").write_text("dW_y = sum(t=1..T, (y[t] - d[t]) * tanh'(o[t]) * h[t])", encoding="utf-8")
    tanh = ("--activation", "tanh", "--loss", "squared")
    assert run("audit", "--formula", "loss.txt", *tanh).code == 0
    assert run("audit", "--formula", "loss.txt", *tanh, "--output-activation", "logistic").code == 1
    noted = run("audit", *FORMULA, "--layout", "jacobian")
    assert noted.code == 1 and "--layout changes nothing" in noted.err


def test_the_help_says_what_it_runs_and_imports_nothing(run: Run) -> None:
    result = run("audit", "--help")
    assert result.code == 0
    for part in ("RUNS THAT CODE", "RUNS THIS CODE", "examples:", "exit codes:", "--no-answer", "--row-major"):
        assert part in result.out, part
    process = subprocess.run(
        [sys.executable, "-c", IMPORTED.format(argv=["audit", "--help"])],
        capture_output=True, text=True, check=False, timeout=60, encoding="utf-8",
    )  # fmt: skip
    assert process.stderr == "0 []\n"
