r"""`prove`: every format, language, notation and form; its JSON; what it refuses; its LaTeX parses and compiles."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import schemas
import test_cli as base
from latex_tools import compile_tex, displays, have_katex, have_tex, katex_failures, markdown_formulas, require
from test_cli import IMPORTED, LANGUAGES, Result, Run, presentable, refused

from rnn_symbolic.arguments import NOTATIONS
from rnn_symbolic.cells import BUILT_IN
from rnn_symbolic.errors import InputError
from rnn_symbolic.expressions import Derivative, Number, Quantity
from rnn_symbolic.induction.checks import ProofCheck, ProofFinding, ProofVerification, verify_proofs
from rnn_symbolic.induction.proof import Proof, prove_gradients
from rnn_symbolic.induction.records import Piece, Topic, Why
from rnn_symbolic.induction.terms import Norm, Place, Powers, Raised, plus, times
from rnn_symbolic.model import ACTIVATIONS, Model, unroll
from rnn_symbolic.render import proof_en, proof_zh
from rnn_symbolic.render.proof_document import proof_document, proof_json
from rnn_symbolic.render.proof_prose import ProofProse, proof_prose
from rnn_symbolic.render.terms import polynomial_latex, term_latex
from rnn_symbolic.render.text import document_text
from rnn_symbolic.unicode import plain

run, folder = base.run, base.folder  # fixtures

FORMATS = ("latex", "text", "markdown", "json")
MATRIX = ("--form", "matrix")
OWN = "scalar tau\nh = (1 - tau) * h[t-1] + tau * tanh(W @ h[t-1] + U @ x)\ny = V @ h"
LATE = "h = tanh(W @ h[t-1] + U @ x)\ny = V @ h[t-1] + Q @ h + R @ x"
LATER = "h = tanh(W @ h[t-1] + V @ h[t-2] + U @ x)\ny = Q @ h[t-1] + R @ h"
NOT_CARRIED = "h = tanh(U @ x)\ny = V @ h[t-2] + Q @ h"
NO_RECURRENCE = "h = tanh(W_x @ x)\ny = W_y @ h"


# --- every format ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("form", ["scalar", "matrix"])
@pytest.mark.parametrize("goal", ["W_x", "h_0", "x_s", "W_y"])
def test_every_format_in_every_language(run: Run, goal: str, form: str, language: str) -> None:
    for to in FORMATS:
        result = run("prove", goal, "--form", form, "--to", to, "--lang", language)
        assert result.code == 0 and result.err == "" and result.out
        if to == "text":
            presentable(result.out)
        if to == "json":
            jsonschema.validate(result.json, schemas.PROVE)


@pytest.mark.parametrize("cell", [*BUILT_IN, OWN, LATE])
def test_every_cell_in_the_terminal(run: Run, cell: str) -> None:
    model = unroll(cell)
    for form in ("scalar", "matrix"):
        goals = (str(model.parameters[0]), str(model.initial_states[0]))
        result = run("prove", *goals, "--cell", cell, "--form", form, "--to", "text", "--lang", "zh")
        assert result.code == 0 and result.err == ""
        presentable(result.out)


def test_all_goals_when_none_is_named(run: Run) -> None:
    found = run("prove", "--to", "json").json
    jsonschema.validate(found, schemas.PROVE_SEVERAL)
    assert [d["goal"] for d in found["derivations"]] == ["W_x", "W_h", "W_y", "b_h", "b_y", "h_0", "x_s"]
    assert run("prove", "W_x", "W_x", "--to", "json").json["goal"] == "W_x"
    document = run("prove", "--to", "text").out
    assert document.count("A linear recurrence and its closed form") == 1
    assert document.count("The adjoint recursion\n") == 1


def test_the_languages_differ_in_words_alone(run: Run) -> None:
    for options in ((), MATRIX, ("--cell", "lag2")):
        english, chinese = (run("prove", "W_x", "--to", "json", *options, "--lang", lang).json for lang in LANGUAGES)
        for step, other in zip(english["steps"], chinese["steps"], strict=True):
            assert step["reason"] != other["reason"]
            assert {**step, "reason": ""} == {**other, "reason": ""}
        for theorem, other in zip(english["theorems"], chinese["theorems"], strict=True):
            assert len(theorem["remarks"]) == len(other["remarks"])
            assert all(a != b for a, b in zip(theorem["remarks"], other["remarks"], strict=True))
            assert {**theorem, "remarks": []} == {**other, "remarks": []}
        assert {**english, "steps": [], "theorems": []} == {**chinese, "steps": [], "theorems": []}


def test_the_json_is_that_of_derive_and_more(run: Run) -> None:
    found = run("prove", "W_h", "--to", "json", *MATRIX, "--layout", "jacobian").json
    assert found["layout"] == "jacobian" and found["paths"] == "\\frac{T\\,(T+1)}{2}"
    assert found["verification"]["passed"] and found["verification"]["steps"] == 3
    assert {step["theorem"] for step in found["steps"]} == {topic.value for topic in Topic}
    assert {step["part"] for step in found["steps"]} <= {"claim", *(piece.value for piece in Piece)}
    assert found["result"]["latex"].startswith("\\frac{\\partial L}{\\partial W_{h}}")
    claims = [theorem["statement"] for theorem in found["theorems"]]
    assert all(claims) and [theorem["number"] for theorem in found["theorems"]] == list(range(1, len(claims) + 1))


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation_in_every_format(run: Run, activation: str, language: str) -> None:
    for to in FORMATS:
        result = run("prove", "W_h", "--activation", activation, "--to", to, "--lang", language)
        assert result.out and result.code == 0 and result.err == "", to


def read(run: Run, *arguments: str) -> str:
    """The document in the terminal, on one line."""
    return " ".join(run("prove", *arguments, "--to", "text").out.split())


def bound_of(text: str) -> str:
    return text.split("How fast the Jacobian")[1].split("Truncation at lag", maxsplit=1)[0]


def test_gamma_is_proved_on_both_sides(run: Run) -> None:
    cos, sin = (bound_of(read(run, "W_h", "--activation", name)) for name in ("cos", "sin"))
    assert "γ − cos′ = (v+1)²/(v² + 1) and γ + cos′ = (v−1)²/(v² + 1)" in cos and "γ + cos′ is 0 at v = 1" in cos
    assert "γ − sin′ = (2 v²)/(v² + 1) and γ + sin′ = 2/(v² + 1)" in sin and "z = π" in sin and "z = π" in cos
    assert "tends to 0 for v → ∞" in bound_of(read(run, "W_h", "--activation", "softplus"))
    two = bound_of(read(run, "W_y", "--cell", "jordan", "--activation", "logistic", "--output-activation", "tanh"))
    assert "γ_logistic + logistic′" in two and "γ_tanh − tanh′" in two and "γ −" not in two


def test_gamma_and_its_conditions_are_in_json(run: Run) -> None:
    def bound(*arguments: str) -> dict[str, Any]:
        found = run("prove", "W_h", *arguments, "--to", "json").json
        jsonschema.validate(found, schemas.PROVE)
        (theorem,) = [theorem for theorem in found["theorems"] if theorem["theorem"] == "bound"]
        return theorem | {"steps": [step for step in found["steps"] if step["theorem"] == "truncation-lag"]}

    tanh = bound("--activation", "tanh", *MATRIX)
    (gamma,) = tanh["gamma"]
    assert (gamma["function"], gamma["gamma"], gamma["critical"], gamma["attained"]) == ("tanh", "1", ["1"], "1")
    assert plain(gamma["minus"]) == "(v−1)²/(v+1)²" and plain(gamma["plus"]) == "(v² + 6 v + 1)/(v+1)²"
    assert any("sufficient" in text and "necessary" in text for text in tanh["remarks"])
    assert [step["given"] for step in tanh["steps"] if step["rule"] == "geometric"] == ["γ ‖W_h‖ < 1"]
    assert tanh["hypotheses"] == []
    assert bound()["gamma"] == [] and "sup" in bound()["hypotheses"][0]["text"]
    lags = bound("--cell", "lag2", "--activation", "relu")
    assert lags["gamma"] == [{"function": "relu", "gamma": "1", "slopes": ["0", "1"]}]
    assert [h["text"] for h in lags["hypotheses"]] == ["γ |W_h| + γ |V_h| < 1"]


REMARKS = {
    "radius": "spectral radius of the weights gives neither",
    "gelfand": "Gelfand",
    "number": "the same number at every step",
    "determinant": "A determinant below 1",
    "sufficient": "this is sufficient",
    "weights": "In terms of the weights",
    "skip": "rules out no growth",
    "always": "Since γ = 1/4 < 1",
    "varying": "factors that vary with the data",
    "joint": "matrix of blocks",
    "unbounded": "γ = ∞",
    "terms": "need not vanish",
    "saturation": "Saturation",
    "rectifier": "does not saturate",
    "gamma": "sup |φ′|",
}
SKIPPING = "h = 2*h[t-1] + tanh(W @ h[t-1] + x)\ny = h"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("W_h",), "sufficient weights terms gamma"),
        (("W_h", *MATRIX), "sufficient weights radius determinant terms gamma"),
        (("W_h", "--activation", "tanh"), "sufficient weights terms gamma saturation"),
        (("W_h", "--activation", "logistic"), "sufficient weights terms gamma saturation"),
        (("W_h", "--cell", "irnn"), "sufficient weights terms gamma rectifier"),
        (("W_h", "--cell", "pascanu", "--activation", "tanh"), "sufficient weights terms gamma"),
        (("W_h", "--activation", "exp"), "unbounded"),
        (("W_h", "--cell", "linear"), "number terms"),
        (("W_h", "--cell", "d2l", *MATRIX), "sufficient gelfand determinant terms"),
        (("W_h", "--activation", "identity", *MATRIX), "sufficient gelfand determinant terms"),
        (("W_h", "--cell", "residual"), "skip gamma"),
        (("W", "--cell", SKIPPING), "skip gamma"),
        (("W", "--cell", "h = h[t-1] + tanh(W @ h[t-2] + x)\ny = h"), "skip"),
        (("W", "--cell", "h = tanh(h[t-1] + W @ x)\ny = h"), "skip gamma"),
        (("W", "--cell", "h = logistic(h[t-1] + W @ x)\ny = h"), "always terms gamma"),
        (("W", "--cell", "h = tanh(W * h[t-1] * x)\ny = h"), "varying"),
        (("W", "--cell", "h = exp(W @ h[t-1] + x)\ny = h"), "unbounded"),
        (("W", "--cell", "h = x * h[t-1] + exp(W @ x)\ny = h"), "varying"),
        (("W_h", "--cell", "two-layer"), "joint determinant"),
        (("W_h", "--cell", "lag2", *MATRIX), "sufficient terms gamma"),
        (("U_z", "--cell", "gru"), "varying"),
    ],
)
def test_remarks_stand_where_they_apply(run: Run, arguments: tuple[str, ...], expected: str) -> None:
    text = bound_of(read(run, *arguments))
    assert {name for name, words in REMARKS.items() if words in text} == set(expected.split())
    chinese = run("prove", *arguments, "--to", "json", "--lang", "zh").json["theorems"]
    english = run("prove", *arguments, "--to", "json").json["theorems"]
    assert [len(t["remarks"]) for t in chinese] == [len(t["remarks"]) for t in english]


def test_terms_vanish_under_conditions_that_are_said(run: Run) -> None:
    text = bound_of(read(run, "W_h"))
    assert "the Jacobians of long lag vanish" in text and "if what the losses read and the entries stay bounded" in text


def test_ranges_and_conditions_stand_at_their_lines(run: Run) -> None:
    text = read(run, "W_x").split("Truncation at lag")[1].split("Detaching")[0]
    assert "(geometric series, 0 ≤ τ ≤ T−1, if γ |W_h| < 1)" in text
    assert "For τ ≤ T − 1 there are ((T−τ) (T−τ−1))/2 pairs" in text and "For every τ from 0 to T" in text
    assert "passes the state of its entry step k" in text and "(lemma)" in text


def test_what_detaching_holds(run: Run) -> None:
    lag3 = "h = tanh(W @ h[t-1] + V @ h[t-3] + U @ x)\ny = h"
    assert "take the last state of the one before it as a constant" in read(run, "W_h")
    assert "take the last 2 states before it as constants" in read(run, "V_h", "--cell", "lag2")
    assert "take the last 3 states before it as constants" in read(run, "V", "--cell", lag3)
    assert "把前一段最后的状态当作常数" in read(run, "W_h", "--lang", "zh").replace(" ", "")
    assert "把前一段最后2步的状态当作常数" in read(run, "V_h", "--cell", "lag2", "--lang", "zh").replace(" ", "")


def test_what_is_said_of_the_last_loss_alone(run: Run) -> None:
    text = read(run, "W_h", "W_y", "x_s", "h_0", "--losses", "last")
    for wrong in ("every lag", "number of borders only", "for each loss", "double sum", "O(T)", "over the losses is"):
        assert wrong not in text, wrong
    assert text.count("only the last loss is scored") == 3 and "N_T = M_T (the last loss alone)" in text
    assert "O(T)" in read(run, "W_h") and "O(T)" not in read(run, "W_y")


def test_counts_are_proved_and_written_as_in_a_book(run: Run) -> None:
    elman = read(run, "W_x")
    assert "w_d = 1 (routes of each step, 0 ≤ d ≤ T−1)" in elman and "M_n = Σ_(d=0)ⁿ⁻¹ w_d" in elman
    assert "a single route, so a path is fixed by" in elman
    gru = read(run, "U_z", "--cell", "gru", "--granularity", "node")
    assert "N_T = (4^(T+1) − 3 T − 4)/9" in gru and "(4² − 3 · 1 − 4)/9" in gru and "w_d = 4^d " in gru
    assert "+ −" not in gru and "−3 1" not in gru
    lag2 = read(run, "W_h", "--cell", "lag2")
    assert "w_d = [1, 1] [1, 1; 1, 0]^(d−1) [1; 0]" in lag2
    assert "one of the order 5." in lag2 and "agree in their first 10 terms" in lag2
    assert "(x² − x − 1) (x−1)² does not split" in lag2
    assert "N_T = T²" not in lag2
    for text in (elman, gru, lag2):
        assert "(from the table, 2" not in text


def test_sturm_is_asked_for_smooth_functions_only(run: Run) -> None:
    assert "Sturm" in read(run, "W_h", "--activation", "tanh")
    assert "Sturm" not in read(run, "W_h", "--activation", "relu")


@pytest.mark.parametrize("notation", NOTATIONS)
def test_notations(run: Run, notation: str) -> None:
    article = run("prove", "--to", "json").json
    for form in ("scalar", "matrix"):
        result = run("prove", "--notation", notation, "--form", form, "--to", "text")
        assert result.code == 0
        presentable(result.out)
    if notation != "d2l":  # which brings a cell of its own
        assert run("prove", "--notation", notation, "--cell", "elman", "--to", "json").json == article


def test_layouts(run: Run) -> None:
    gradient = run("prove", "W_x", *MATRIX, "--to", "text").out
    jacobian = run("prove", "W_x", *MATRIX, "--layout", "jacobian", "--to", "text").out
    gradient, jacobian = (" ".join(text.split()) for text in (gradient, jacobian))
    assert "Π_(j=k+1 ↗ t) W_hᵀ diag(σ′(a_j))" in gradient
    assert "x_k ∇ℓₜ(yₜ)ᵀ diag(σ′(oₜ)) W_y (Π_(j=t ↘ k+1) diag(σ′(a_j)) W_h) diag(σ′(a_k))" in jacobian


def test_options_of_the_model(run: Run) -> None:
    last = run("prove", "W_x", "--losses", "last", "--to", "text").out
    assert "N_T = T" in last and "Σₜ" not in last.split("Theorem 4")[1].split("Theorem 5")[0]
    tanh = run("prove", "W_h", "--activation", "tanh", "--to", "text").out
    assert "γ = 1" in tanh and "exp(2 z)" in tanh
    logistic = run("prove", "W_h", "--activation", "logistic", "--to", "text", *MATRIX).out
    assert "γ = 1/4" in logistic and "‖W_h‖ < 4" in logistic
    node = run("prove", "U_z", "--cell", "gru", "--granularity", "node", "--to", "text").out
    assert "through every named quantity" in node and "4^(T)" not in node


def test_steps_change_nothing(run: Run) -> None:
    result = run("prove", "W_x", "--steps", "5")
    assert result.code == 0 and "--steps changes nothing" in result.err
    assert result.out == run("prove", "W_x").out


def test_output_goes_to_a_file(run: Run, folder: Path) -> None:
    assert run("prove", "W_x", "-o", "proof.tex").out == ""
    assert (folder / "proof.tex").read_text(encoding="utf-8") == run("prove", "W_x").out
    refused(run("prove", "W_x", "-o", "proof.tex"), "exists")
    assert run("prove", "W_x", "-o", "proof.tex", "--force").code == 0


def test_verify_goes_further(run: Run) -> None:
    quick, whole = (run("prove", "W_h", "--to", "json", *more).json["verification"] for more in ((), ("--verify",)))
    assert (quick["steps"], whole["steps"]) == (3, 6)
    assert "sympy" in [f["check"] for f in whole["findings"]] and whole["passed"]


# --- what it refuses ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["W_q"], ["'W_q' has no proof for every T", "W_x"]),
        (["x_2"], ["x_s"]),
        (["h_3"], ["derive"]),
        (["W_x", "--standalone", "--to", "text"], ["--standalone"]),
        (["W_x", "--cell", "nowhere"], ["no built-in cell"]),
        (["W_x", "--granularity", "stat"], ["'state'"]),
        (["W", "--cell", LATE, "--losses", "last"], ["--losses all"]),
        (["--all"], ["unknown option --all"]),
    ],
)
def test_what_is_refused(run: Run, argv: list[str], words: list[str]) -> None:
    refused(run("prove", *argv), *words)


def test_a_failed_check_is_exit_1(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from rnn_symbolic.induction import checks

    def failing(proofs: tuple[Proof, ...], **options: Any) -> tuple[ProofVerification, ...]:
        bad = ProofFinding(ProofCheck.NUMBERS, "failed", 3, detail="a $ at t = 2")
        return tuple(ProofVerification(proof.goal, 0, (bad,)) for proof in proofs)

    monkeypatch.setattr(checks, "verify_proofs", failing)
    for to in FORMATS:
        result: Result = run("prove", "W_x", "--to", to)
        assert result.code == 1 and ("FAILED" in result.out or to == "json")


def test_neither_sympy_nor_numpy_is_imported() -> None:
    for argv in (["prove", "W_x"], ["prove", "--to", "json"], ["prove", "--cell", "gru", "--activation", "tanh"]):
        process = subprocess.run(
            [sys.executable, "-c", IMPORTED.format(argv=argv)], capture_output=True, encoding="utf-8", check=False
        )
        assert process.stderr.splitlines()[-1] == "0 []", argv


# --- LaTeX ----------------------------------------------------------------------------------------------------------

Formulas = dict[tuple[str, bool], str]


def proofs_of(model: Model, layout: str = "gradient") -> tuple[Proof, ...]:
    """Of a gated cell a part of the parameters."""
    goals = model.parameters[:: 1 if len(model.parameters) < 8 else 4]
    inputs = ("x_s",) if model.cell.uses_input else ()
    return prove_gradients(model, (*goals, *model.initial_states, *inputs), layout=layout)


def collect(formulas: Formulas, where: str, model: Model, layout: str = "gradient") -> None:
    from rnn_symbolic.render.latex import document_latex
    from rnn_symbolic.render.markdown import document_markdown

    proofs = proofs_of(model, layout)
    for language in LANGUAGES:
        document = proof_document(proofs, language=language)
        found = [*displays(document_latex(document)), *displays(document_latex(document, standalone=True))]
        found += markdown_formulas(document_markdown(document))
        for formula in found:
            formulas.setdefault(formula, f"{where}, {language}")
    for proof in proofs:
        record: Any = proof_json(proof)
        for step in (*record["steps"], record["result"]):
            formulas.setdefault((step["latex"], True), f"{where}, JSON")
        formulas.setdefault((proof._repr_latex_()[1:-1], True), f"{where}, notebook")


def assert_all_parse(formulas: Formulas, at_least: int) -> None:
    require(have_katex(), "KaTeX is not installed: make katex")
    assert len(formulas) >= at_least
    failures = katex_failures((f"{where}: {tex}", tex, display) for (tex, display), where in formulas.items())
    assert not failures, "\n".join(f"{f['id'][:400]}\n    {f['error']}" for f in failures[:10])


def test_formulas_parse() -> None:
    formulas: Formulas = {}
    for name in ("elman", "lag2", "lstm", "residual", OWN):
        for form in ("scalar", "matrix"):
            collect(formulas, f"{name}, {form}", unroll(name, form=form, activation="tanh"))
    collect(formulas, "jacobian", unroll("elman", form="matrix"), "jacobian")
    for activation in ACTIVATIONS:
        collect(formulas, activation, unroll("elman", activation=activation))
    assert_all_parse(formulas, at_least=600)


@pytest.mark.slow
@pytest.mark.parametrize("losses", ["all", "last", "mean"])
def test_formulas_of_every_cell_parse(losses: str) -> None:
    formulas: Formulas = {}
    for name in BUILT_IN:
        for form in ("scalar", "matrix"):
            collect(formulas, f"{name}, {form}", unroll(name, form=form, losses=losses))
        collect(formulas, f"{name}, jacobian", unroll(name, form="matrix", losses=losses), "jacobian")
    assert_all_parse(formulas, at_least=2000)


def compiles(arguments: tuple[str, ...], language: str, tmp_path: Path) -> None:
    engine: Any = "xelatex" if language == "zh" else "pdflatex"
    require(have_tex(engine), f"{engine} with its packages is not installed")
    from rnn_symbolic.cli import main

    target = tmp_path / "proof.tex"
    assert main(["prove", *arguments, "--lang", language, "--standalone", "-o", str(target)]) == 0
    overfull = compile_tex(target.read_text(encoding="utf-8"), engine, tmp_path)
    assert [width for width in overfull if width > 2] == []


@pytest.mark.parametrize(
    ("arguments", "language"),
    [
        (("W_x",), "en"),
        ((*MATRIX, "--activation", "logistic"), "en"),
        (("W_f", "c_0", "--cell", "lstm", *MATRIX), "en"),
        (("W_x", "x_s", *MATRIX), "zh"),
    ],
)
def test_a_standalone_document_compiles(arguments: tuple[str, ...], language: str, tmp_path: Path) -> None:
    compiles(arguments, language, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("form", ["scalar", "matrix"])
@pytest.mark.parametrize("cell", BUILT_IN)
def test_every_cell_compiles(cell: str, form: str, language: str, tmp_path: Path) -> None:
    goal = str(unroll(cell).parameters[0])
    compiles((goal, "x_s", "--cell", cell, "--form", form), language, tmp_path)


# --- words ----------------------------------------------------------------------------------------------------------

PLACEHOLDER = re.compile(r"<([a-zA-Z]+)>")


def texts(words: ProofProse) -> Iterator[tuple[str, str]]:
    for table in (field.name for field in fields(words)):
        for key, text in getattr(words, table).items():
            yield f"{table} {key}", text


def test_every_reason_and_part_has_its_words() -> None:
    for language in LANGUAGES:
        words = proof_prose(language)
        assert set(words.titles) == set(Topic) and set(words.pieces) == set(Piece)
        assert set(words.rules) == set(words.reasons) == set(Why)
        assert {f"checked-{check.value}" for check in ProofCheck} <= set(words.phrases)
    with pytest.raises(InputError, match="choose one of"):
        proof_prose("la")


def test_the_languages_have_the_same_texts_with_the_same_places() -> None:
    english, chinese = (dict(texts(proof_prose(language))) for language in LANGUAGES)
    assert set(english) == set(chinese)
    for key, text in english.items():
        assert set(PLACEHOLDER.findall(text)) == set(PLACEHOLDER.findall(chinese[key])), key


@pytest.mark.parametrize("language", LANGUAGES)
def test_formulas_in_prose_are_in_the_vocabulary(language: str) -> None:
    for where, text in texts(proof_prose(language)):
        pieces = text.split("$")
        assert len(pieces) % 2 == 1, where
        for formula in pieces[1::2]:
            assert plain(PLACEHOLDER.sub("x", formula)), where
        assert all("\\" not in words for words in pieces[::2]), where


def test_chinese_is_chinese_and_english_ends() -> None:
    for where, text in texts(proof_prose("zh")):
        words = PLACEHOLDER.sub("", "".join(text.split("$")[::2]))
        assert set(re.findall(r"[A-Za-z]{2,}", words)) <= {"SymPy"}, where
        assert not re.search(r"[\u4e00-\u9fff][,;:.()]|[,;:.()][\u4e00-\u9fff]", words), where
    for key, text in proof_prose("en").reasons.items():
        assert text.endswith("."), key


class Watched(Mapping[Any, str]):
    """A table that remembers what was looked up."""

    def __init__(self, table: Mapping[Any, str]) -> None:
        self.table, self.used = table, set[Any]()

    def __getitem__(self, key: Any) -> str:
        self.used.add(key)
        return self.table[key]

    def __contains__(self, key: object) -> bool:
        return key in self.table

    def __iter__(self) -> Iterator[Any]:
        return iter(self.table)

    def __len__(self) -> int:
        return len(self.table)


@pytest.mark.parametrize(("language", "module", "name"), [("en", proof_en, "ENGLISH"), ("zh", proof_zh, "CHINESE")])
def test_every_text_reaches_a_reader(language: str, module: Any, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    words = proof_prose(language)
    tables = {table: Watched(getattr(words, table)) for table in ("texts", "phrases", "reasons", "titles")}
    monkeypatch.setattr(module, name, replace(words, **tables))
    for losses in ("all", "last"):
        for form in ("scalar", "matrix"):
            for cell in ("elman", "lag2", "lstm", "residual", "d2l"):
                proofs = proofs_of(unroll(cell, form=form, losses=losses))
                assert document_text(proof_document(proofs, language=language))
                for proof in proofs:
                    proof_json(proof, language)
    for cell, losses in ((LATE, "all"), (LATER, "all"), (NOT_CARRIED, "all"), (NO_RECURRENCE, "last")):
        proofs = proofs_of(unroll(cell, losses=losses))
        proof_document(proofs, language=language)
        for proof in proofs:
            proof_json(proof, language)
    for activation in ACTIVATIONS:
        proof_document(prove_gradients(unroll("elman", activation=activation), ("W_h",)), language=language)
    for cell in ("gru", "h = logistic(h[t-1] + W @ x)\ny = h"):  # several routes; a bound without weights
        model = unroll(cell)
        proof_document(prove_gradients(model, (model.parameters[0],), granularity="node"), language=language)
    jacobian = prove_gradients(unroll("elman", form="matrix"), ("W_h",), layout="jacobian", granularity="node")
    proof_document(jacobian, language=language)
    proofs = prove_gradients(unroll("elman", activation="tanh"), ("W_h",))
    (found,) = verify_proofs(proofs, symbolic=True, most=1)
    failed = replace(found, findings=tuple(replace(f, status="failed", detail="x") for f in found.findings))
    skipped = replace(found, findings=tuple(replace(f, status="skipped", detail="x") for f in found.findings))
    for verification in (found, failed, skipped):
        proof_document(proofs, language=language, verifications=(verification,))
    for table, watched in tables.items():
        assert set(watched.table) - watched.used == set(), table


@pytest.mark.parametrize("losses", ["all", "last"])
@pytest.mark.parametrize("cell", [NO_RECURRENCE, NOT_CARRIED, LATER])
def test_cells_that_carry_nothing_or_read_late(run: Run, cell: str, losses: str) -> None:
    late = cell is not NO_RECURRENCE
    for form in ("scalar", "matrix"):
        for to in FORMATS:
            result = run("prove", "--cell", cell, "--form", form, "--to", to, "--losses", losses)
            if late and losses == "last":
                refused(result, "--losses all")
                continue
            assert result.code == 0 and result.err == "" and result.out
            if to == "text":
                presentable(result.out)
                assert ("a derivative of ℓₜ with t > T" in result.out) is late and "T+1" not in result.out
    if cell is NO_RECURRENCE and losses == "last":
        assert (
            "N_(T−s+1) = 0    (1 ≤ s ≤ T−1)"
            in run("prove", "x_s", "--cell", cell, "--losses", "last", "--to", "text").out
        )


def document(run: Run, *argv: str) -> str:
    """The text of a document as one line."""
    return " ".join(run("prove", *argv, "--to", "text").out.split())


def test_what_no_state_mentions_has_a_proof_of_its_own(run: Run) -> None:
    """Neither the recurrence of the lemma nor the derivative of the state belongs there."""
    for form in ("scalar", "matrix"):
        text = document(run, "W_y", "--form", form)
        assert "recurrence of the lemma" not in text and "insert the derivative" not in text
        assert "Proof. By induction on t" in text and "(chain rule for L)" in text
        chinese = document(run, "W_y", "--form", form, "--lang", "zh")
        assert "引理" not in chinese and "对 t 用归纳法" in chinese


def test_an_initial_state_of_a_longer_lag_is_mentioned_by_later_steps(run: Run) -> None:
    text = document(run, "h_0", "--cell", "lag2")
    assert "but that of step 1" not in text and "Only the first steps can look back to h₀" in text
    assert "只有第 1 步" not in document(run, "h_0", "--cell", "lag2", "--lang", "zh")
    far = document(run, "h_-1", "--cell", "h = tanh(W @ h[t-1] + V @ h[t-3] + U @ x)\ny = h")
    assert "∂h₁/∂h₋₁ = 0" in far


def test_what_an_entry_is_stands_in_the_document(run: Run) -> None:
    assert "∂h_s/∂x_s = diag(σ′(a_s)) W_x (from the table" in document(run, "x_s", "--form", "matrix")
    lstm = document(run, "x_s", "c_0", "--cell", "lstm", "--form", "matrix")
    assert "∂𝒮₀/∂c₀ = [0; I]" in lstm and "∂𝒮_s/∂x_s = [∂h_s/∂x_s; ∂c_s/∂x_s]" in lstm
    assert "What xₜ does within one step" in lstm and "∂cₜ/∂xₜ = diag(cₜ₋₁ ⊙ logistic′(a_fₜ)) U_f" in lstm
    assert "∂h₁/∂h₀ = σ′(a₁) W_h (from the table)" in document(run, "h_0", "--cell", "lag2")
    assert "∂⁺oₜ/(∂vec W_y) = hₜᵀ ⊗ I" in document(run, "W_y", "--form", "matrix")


def test_an_input_has_not_entered_before_its_step(run: Run) -> None:
    assert "∂hₜ/∂x_s = 0 (not yet entered, 1 ≤ s ≤ T, 1 ≤ t ≤ s−1)" in document(run, "x_s")
    for cell in ("elman", "lag2"):
        text = document(run, "x_s", "--cell", cell)
        assert "counted from step" not in text and f"every other {'bₜ' if cell == 'elman' else 'g_k = 0'}" in text


def test_a_loss_of_the_next_step_is_spoken_of(run: Run) -> None:
    text = document(run, "W", "x_s", "h_0", "--cell", LATE, "--form", "matrix")
    assert "∂L/∂h_T = ∂ℓ_T/∂h_T ∂L/∂h_k" in text and "Vᵀ ∇ℓₜ₊₁(yₜ₊₁)" in text and "Σₜ₌₁^(T−1)" in text
    assert "(∂⁺ℓₜ₊₁/∂hₜ)ᵀ" not in text and "Each term is the path" not in text
    assert "one term for each loss" not in text


def test_only_what_reads_the_last_step_loses_one_path_to_the_initial_state(run: Run) -> None:
    assert "end in the initial state, h₀" in document(run, "V", "--cell", LATE)
    assert "end in the initial state" not in document(run, "V", "--cell", NOT_CARRIED)  # two entry steps do


def test_norms_and_powers_in_latex() -> None:
    name = Derivative(Quantity("h", 0, "t"), Quantity("h", 0, "k"))
    assert term_latex(Norm(name)) == r"\Bigl\lVert{\frac{\partial h_{t}}{\partial h_{k}}}\Bigr\rVert"
    assert (
        term_latex(Norm(name), free=True).startswith(r"\Bigl\lvert")
        and term_latex(Norm(Quantity("W"))) == r"\lVert{W}\rVert"
    )
    shown = {
        (0, 0, 1): ("T^{2}", "1^{2}"),
        (1, 1): ("T+1", "2"),
        (0, -1): ("-T", "-1"),
        (-4, -3): (r"-3\,T - 4", r"-3 \cdot 1 - 4"),
    }
    for coefficients, texts in shown.items():
        numbers = tuple(map(Fraction, coefficients))
        assert tuple(polynomial_latex(numbers, place) for place in (Place("T"), Place("", 1))) == texts
    third = (Fraction(1, 3),), (Fraction(-1, 3),)
    power = times(Powers(third[0], Place("n")), Raised(Number(Fraction(4)), Place("n")))
    assert term_latex(plus(power, Powers(third[1], Place("n"))), True) == r"\frac{1}{3}\,4^{n} - \frac{1}{3}"


def test_a_claim_reads_in_json_as_in_the_document() -> None:
    (proof,) = prove_gradients(unroll("elman"), ("W_x",))
    record: Any = proof_json(proof)
    text = " ".join(str(proof).split())
    for step in record["steps"]:
        if step["part"] == "claim" and step["theorem"] == "gradient":
            assert step["text"] in text
    assert json.dumps(record)


def test_help_and_nonsense(run: Run) -> None:
    """`decent` is the assertion: one line, no traceback."""
    assert run("prove", "--help").out.startswith("usage: rnn-symbolic prove")
    for text in ("", "--", "\x00", "W_x\n", "$W_x$", "../W_x", "x_", "x_-1", "L", "0", "☃", "h_0_0"):
        assert run("prove", text).code == 2 or text == "--"
        for option in ("--cell", "--layout", "--granularity", "--seed", "--lang", "--to", "--notation"):
            right = (option, text) == ("--seed", "0")
            assert run("prove", "W_x", f"{option}={text}").code == (0 if right else 2), (option, text)
