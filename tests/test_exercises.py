"""Exercises: the same seed gives the same sheet, every key is right by numbers that share nothing with it."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Collection
from dataclasses import replace
from fractions import Fraction
from functools import cache
from itertools import pairwise, product

import numpy as np
import pytest
from latex_tools import compile_tex, displays, have_katex, have_tex, katex_failures, require

import rnn_symbolic as rs
from rnn_symbolic.auditing.formula_reader import read_formulas
from rnn_symbolic.cli import main
from rnn_symbolic.errors import FormulaError, InputError
from rnn_symbolic.exercises.blanks import LEFT_OPEN
from rnn_symbolic.exercises.making import make_exercise, verify_exercise, wrong_lines
from rnn_symbolic.exercises.numbers import NUMBERS, gradients_json, values_json
from rnn_symbolic.exercises.problems import PROBLEMS, Term, derive_terms, model_of
from rnn_symbolic.exercises.records import (
    KINDS,
    LEVELS,
    BlankExercise,
    NumbersExercise,
    SpoiledExercise,
    WrongKey,
)
from rnn_symbolic.exercises.writing import blank_text, formula_lines, formula_text
from rnn_symbolic.expressions import Chain, Derivative, Kronecker, Multiply, Number, Quantity, at_step
from rnn_symbolic.matrix_valuation import stand_in_matrix_valuation
from rnn_symbolic.render.exercise_document import audit_command, exercise_document, exercise_json
from rnn_symbolic.render.exercise_prose import EXERCISE_WORDS
from rnn_symbolic.render.latex import document_latex
from rnn_symbolic.render.markdown import document_markdown
from rnn_symbolic.render.text import columns, document_text
from rnn_symbolic.valuation import stand_in_valuation

SEEDS = range(21)
made = cache(make_exercise)


def few(kind: str, level: int) -> Collection[int]:
    """The seeds of a run by default: what the audit has to name takes longer."""
    return (0, 1, 2, 4) if kind == "spoiled" and level > 1 else SEEDS


def every(kinds=KINDS):
    return [
        pytest.param(kind, level, seed, marks=() if seed in few(kind, level) else pytest.mark.slow)
        for kind, level in product(kinds, LEVELS)
        for seed in range(60)
        if seed in SEEDS or kind == "spoiled"
    ]


def sheet(exercise, language="en", key=False):
    return document_text(exercise_document(exercise, language, key=key))


# --- the same seed, the same sheet ---


@pytest.mark.parametrize(("kind", "level", "seed"), every(("blank", "numbers")))
def test_a_key_is_right(kind, level, seed):
    exercise = made(seed, kind, level)
    assert (exercise.kind, exercise.level, exercise.seed) == (kind, level, seed)
    verify_exercise(exercise)
    if seed < 3:
        again = make_exercise(seed, kind, level)
        assert sheet(exercise) == sheet(again) and sheet(exercise, key=True) == sheet(again, key=True)


PROBE = """
from rnn_symbolic.exercises.making import make_exercise
from rnn_symbolic.render.exercise_document import exercise_document
from rnn_symbolic.render.text import document_text
for kind, level, seed in (("blank", 2, 4), ("spoiled", 1, 4), ("spoiled", 3, 1), ("numbers", 2, 0)):
    for key in (False, True):
        print(document_text(exercise_document(make_exercise(seed, kind, level), key=key)))
"""


def test_a_sheet_does_not_depend_on_the_order_of_sets():
    def printed(hash_seed: str) -> str:
        run = subprocess.run(
            [sys.executable, "-c", PROBE],
            env={"PYTHONHASHSEED": hash_seed, "PYTHONUTF8": "1", "PYTHONPATH": ":".join(sys.path)},
            capture_output=True, encoding="utf-8", check=True,
        )  # fmt: skip
        return run.stdout

    assert printed("1") == printed("2") != ""


@pytest.mark.parametrize("kind", ["blank", "numbers"])
@pytest.mark.parametrize("level", LEVELS)
def test_seeds_give_variety(kind, level):
    exercises = [made(seed, kind, level) for seed in SEEDS]
    assert len({sheet(exercise) for exercise in exercises}) >= len(SEEDS) - 2
    assert len({(exercise.model.cell.name, exercise.goals) for exercise in exercises}) >= 5


# --- blanks ---


@pytest.mark.parametrize(("kind", "level", "seed"), every(("blank",)))
def test_blanks_are_blank_and_what_fills_them_is_accepted(kind, level, seed):
    exercise = made(seed, kind, level)
    assert isinstance(exercise, BlankExercise)
    asked = "\n".join(exercise.formula)
    with pytest.raises(FormulaError):
        read_formulas(asked, exercise.model)
    for blank in exercise.blanks:
        assert asked.count(blank_text(blank.number)) == 1
        asked = asked.replace(blank_text(blank.number), blank.text)
    assert rs.audit(exercise.model, formula=asked).verdict == "correct"
    shown = " ".join(sheet(exercise).split())
    answered = " ".join(" ".join(exercise.answer).split())
    assert answered not in shown
    for blank in exercise.blanks:
        if blank.what == "term":
            assert " ".join(blank.text.split()) not in shown
        assert f"__{blank.number}__" in shown
    assert "answer" not in json.dumps(exercise_json(exercise)["blanks"]) and "key" not in exercise_json(exercise)


@pytest.mark.parametrize("level", LEVELS)
def test_every_kind_of_blank_occurs_and_another_filling_is_refused(level):
    exercises = [made(seed, "blank", level) for seed in SEEDS]
    found = {blank.what for exercise in exercises for blank in exercise.blanks}
    wanted = {what for (of, _), whats in LEFT_OPEN.items() if of == level for what in whats} - {"transposed"}
    assert found == wanted
    for exercise in exercises[:8]:
        filled = "\n".join(exercise.formula)
        for blank in exercise.blanks:
            text = f"(2 * {blank.text})" if blank.number == 1 and blank.what != "index" else blank.text
            filled = filled.replace(blank_text(blank.number), text)
        if exercise.blanks[0].what != "index":
            assert rs.audit(exercise.model, formula=filled).verdict == "wrong"


# --- one wrong line ---


def number(valuation, expression):
    return np.asarray(valuation.of(expression))


def table_value(exercise, valuation, term: Term):
    """The product of the rows on the sheet along the route of a term, in scalar form."""
    direct = exercise.problem.granularity == "node"
    rows = {(row.head.name, row.tail.name, row.lag if row.tail.index else None): row for row in exercise.rows}

    def ways(head: Quantity, tail: Quantity) -> float:
        total, t = 0.0, head.step
        for (name, to, lag), row in rows.items():
            if name != head.name:
                continue
            there = Quantity(to, None if lag is None else t - lag)
            if there == tail:
                total += float(valuation.of(at_step(row.value, t)))
            elif (
                not direct
                and to not in exercise.model.cell.states
                and to != "y"
                and (lag or 0) == 0
                and there.step is not None
            ):
                total += float(valuation.of(at_step(row.value, t))) * ways(there, tail)
        return total

    nodes = term.route[1:]
    return float(np.prod([ways(head, tail) for head, tail in pairwise(nodes)]))


@pytest.mark.parametrize(("kind", "level", "seed"), every(("spoiled",)))
def test_one_line_is_wrong_and_it_is_the_one_that_is_named(kind, level, seed):
    exercise = made(seed, kind, level)
    assert isinstance(exercise, SpoiledExercise)
    verify_exercise(exercise)
    model = exercise.model
    assert rs.audit(model, formula="\n".join(exercise.answer)).verdict == "correct"
    found = rs.audit(model, formula="\n".join(exercise.formula))
    assert found.verdict == "wrong" and {finding.kind for finding in found.wrong} == {exercise.mistake}
    if model.form == "scalar":
        assert lines_that_are_wrong(exercise) == [exercise.place]
    shown = " ".join(sheet(exercise).split())
    assert " ".join(" ".join(exercise.answer).split()) not in shown
    assert not {"mistake", "line", "where", "wrong", "right", "key"} & exercise_json(exercise).keys()


def lines_that_are_wrong(exercise: SpoiledExercise) -> list[int]:
    """Each row against a complex step of its equation, each term against the rows, and whether all paths are there."""
    model, bad = exercise.model, []
    valuation = stand_in_valuation(model, 77)
    for i, row in enumerate(exercise.rows, 1):
        name = Derivative(row.head, row.tail, immediate=True)
        steps = [t for t in range(1, model.steps + 1) if exists(valuation, at_step(row.value, t))]
        if any(not close(valuation.of(at_step(name, t)), valuation.of(at_step(row.value, t))) for t in steps):
            bad.append(i)
    first = len(exercise.rows) + 1
    for i, term in enumerate(exercise.terms):
        if not close(float(valuation.of(term.expression)), table_value(exercise, valuation, term)):
            bad.append(first + i)
    _, terms = derive_terms(model, exercise.goal, exercise.problem.granularity)
    routes = [term.route for term in exercise.terms]
    bad += [first + i for i, term in enumerate(terms) if term.route not in routes]
    return bad


def exists(valuation, expression) -> bool:
    try:
        valuation.of(expression)
    except KeyError:
        return False
    return True


def close(one: float, other: float) -> bool:
    return abs(one - other) <= 1e-9 * (abs(one) + abs(other))


WAYS = 8


def test_all_ways_to_spoil_occur():
    found = {(e.where, e.code) for e in (made(seed, "spoiled", 2) for seed in range(WAYS))}
    assert {where for where, _ in found} == {"row", "term", "missing"}


# --- numbers ---


def by_hand(exercise: NumbersExercise, changed: dict | None = None):
    """L of the cell from its values file, written out once more: each cell by its own few lines."""
    text = json.loads("\n".join(values_json(exercise)), parse_float=Fraction, parse_int=Fraction)
    v = {**text, **(changed or {})}
    name, T, last = exercise.model.cell.name, exercise.model.steps, exercise.model.losses == "last"

    def exactly(z):
        return z if exercise.exact else complex(z)

    def f(which, z):
        if which == "relu":
            return z if z.real > 0 else 0 * z
        return {"identity": lambda: z, "tanh": lambda: np.tanh(z), "logistic": lambda: 1 / (1 + np.exp(-z))}[which]()

    v = {key: [exactly(e) for e in value] if isinstance(value, list) else exactly(value) for key, value in v.items()}
    phi, out = exercise.model.activation, exercise.model.output_activation
    h, before, s, c, total = v.get("h_0"), v.get("h_-1"), v.get("s_0"), v.get("c_0"), 0
    for t in range(T):
        x, d = v["x"][t], v["d"][t]
        if name == "linear":
            h = v["W_h"] * h + v["W_x"] * x + v["b_h"]
            y = v["W_y"] * h + v["b_y"]
        elif name == "d2l":
            h = v["W_x"] * x + v["W_h"] * h
            y = v["W_y"] * h
        elif name in ("elman", "residual", "lag2", "two-layer"):
            a = v["W_h"] * h + v["W_x"] * x + v["b_h"] + (v["V_h"] * before if name == "lag2" else 0)
            before, h = h, f(phi, a) + (h if name == "residual" else 0)
            if name == "two-layer":
                s = f(phi, v["W_s"] * s + v["U_s"] * h + v["b_s"])
            y = f(out, v["W_y"] * (s if name == "two-layer" else h) + v["b_y"])
        elif name == "lstm":
            gate = {k: v[f"W_{k}"] * h + v[f"U_{k}"] * x + v[f"b_{k}"] for k in "figo"}
            c = f("logistic", gate["f"]) * c + f("logistic", gate["i"]) * np.tanh(gate["g"])
            h = f("logistic", gate["o"]) * np.tanh(c)
            y = f(out, v["W_y"] * h + v["b_y"])
        elif name == "gru":
            z, r = (f("logistic", v[f"W_{k}"] * h + v[f"U_{k}"] * x + v[f"b_{k}"]) for k in "zr")
            n = np.tanh(v["W_n"] * (r * h) + v["U_n"] * x + v["b_n"])
            h = z * h + (1 - z) * n
            y = f(out, v["W_y"] * h + v["b_y"])
        else:
            assert name == "mgu"
            g = f("logistic", v["W_f"] * h + v["U_f"] * x + v["b_f"])
            h = (1 - g) * h + g * np.tanh(v["W_n"] * (g * h) + v["U_n"] * x + v["b_n"])
            y = f(out, v["W_y"] * h + v["b_y"])
        if t == T - 1 or not last:
            total = total + (y - d) * (y - d) / 2
    return total, v


@pytest.mark.parametrize(("kind", "level", "seed"), every(("numbers",)))
def test_numbers_are_those_of_a_forward_pass_written_by_hand(kind, level, seed):
    exercise = made(seed, kind, level)
    assert isinstance(exercise, NumbersExercise)
    total, values = by_hand(exercise)
    answers = json.loads("\n".join(gradients_json(exercise)), parse_float=Fraction, parse_int=Fraction)
    assert exercise.exact == (level < 3)
    for goal, gradient in exercise.gradients.items():
        if exercise.exact:  # L is a polynomial of small degree beside the point, while no relu changes sides
            assert total == exercise.values["L", None]
            assert answers[str(goal)] == gradient == slope(lambda z, g=str(goal): by_hand(exercise, {g: z})[0], values[str(goal)])  # noqa: E501  # fmt: skip
        else:
            step = by_hand(exercise, {str(goal): values[str(goal)] + 1e-30j})[0].imag / 1e-30
            assert step == pytest.approx(float(gradient), rel=1e-12)
            assert abs(float(answers[str(goal)]) - step) <= 0.51e-6
    given = json.loads("\n".join(values_json(exercise)))
    plain = json.loads("\n".join(gradients_json(exercise)))
    assert rs.audit(exercise.model, gradients=plain, values=given).verdict == "correct"
    wrong = {name: 2 * value for name, value in plain.items()}
    assert rs.audit(exercise.model, gradients=wrong, values=given).verdict == "wrong"


def slope(L, z: Fraction) -> Fraction:
    """L'(z) exactly: the derivative at z of the polynomial of degree 8 through nine points close by."""
    n, h = 9, Fraction(1, 10_000)
    points = [z + (k - 4) * h for k in range(n)]
    values = [L(p) for p in points]
    total = Fraction(0)
    for i in range(n):
        others = [points[j] for j in range(n) if j != i]
        below = Fraction(1)
        for p in others:
            below *= points[i] - p
        above = Fraction(0)
        for leave in range(n - 1):
            term = Fraction(1)
            for j, p in enumerate(others):
                term *= 1 if j == leave else z - p
            above += term
        total += values[i] * above / below
    return total


@pytest.mark.parametrize("level", [1, 2])
def test_numbers_stay_readable(level):
    for seed in SEEDS:
        exercise = made(seed, "numbers", level)
        for value in (*exercise.gradients.values(), *exercise.values.values()):
            assert Fraction(value).denominator <= 64 and abs(value) < 2000


# --- what is not right is not printed ---


def test_a_wrong_key_is_refused():
    blank = made(2, "blank", 1)
    spoiled = made(1, "spoiled", 1)
    numbers = made(0, "numbers", 1)
    first = blank.blanks[0]
    broken = [
        replace(blank, terms=blank.terms[:-1], shown=blank.shown),
        replace(blank, blanks=(replace(first, text="x[1] * x[2]"), *blank.blanks[1:])),
        replace(spoiled, terms=spoiled.right_terms),
        replace(spoiled, place=spoiled.place - 1),
        replace(spoiled, right_terms=spoiled.terms),
        replace(numbers, gradients={goal: 2 * value for goal, value in numbers.gradients.items()}),
    ]
    for exercise in broken:
        with pytest.raises(WrongKey, match="the key of exercise"):
            verify_exercise(exercise)
    assert wrong_lines(spoiled) == [spoiled.place]


# --- the language of formulas ---


@pytest.mark.parametrize("problem", [p for level in PROBLEMS.values() for p in level], ids=lambda p: p.cell)
def test_every_gradient_is_written_as_the_audit_reads_it(problem):
    model = model_of(problem)
    make = stand_in_matrix_valuation if problem.form == "matrix" else stand_in_valuation
    valuation = make(model, 5)
    for name in problem.goals:
        goal = model.resolve(name)
        derivation, terms = derive_terms(model, goal, problem.granularity)
        lines = formula_lines(goal, [formula_text(term.expression, model.names) for term in terms])
        assert max(map(len, lines)) <= 78
        (found,) = read_formulas("\n".join(lines), model)
        assert np.allclose(number(valuation, found.expression), derivation.result.number(valuation), rtol=1e-11)


def test_what_the_language_has_no_words_for_is_not_written():
    from rnn_symbolic.exercises.writing import Unwritable

    for expression in (Kronecker(Quantity("h", 1), "n"), Quantity("h", -1, "t")):
        with pytest.raises(Unwritable):
            formula_text(expression, {})
    assert formula_text(Multiply((Number(Fraction(-1)), Quantity("h", 1))), {}) == "-h[1]"
    assert formula_text(Chain((Number(Fraction(1, 2)), Quantity("W"))), {"W": ("n", "m")}) == "(1/2) * W"


# --- documents ---

SHOWN = [(kind, level, seed) for kind, level in product(KINDS, LEVELS) for seed in (1, 4)]


@pytest.fixture(scope="module")
def shown():
    return [made(seed, kind, level) for kind, level, seed in SHOWN]


def test_documents_in_all_formats_and_both_languages(shown):
    for exercise, language, key in product(shown, ("en", "zh"), (False, True)):
        document = exercise_document(exercise, language, key=key)
        text = document_text(document)
        assert max(map(columns, text.splitlines())) <= 100
        assert "<" not in re.sub(r"[<>]=?", "", text) and "\\" not in text.replace(" \\\n", "")
        assert audit_command(exercise).split()[1] == "audit"
        markdown = document_markdown(document)
        assert markdown.startswith("# ") and "```text" in markdown
        assert r"\begin{verbatim}" in document_latex(document)


def test_the_tables_of_words_are_complete():
    english, chinese = EXERCISE_WORDS["en"], EXERCISE_WORDS["zh"]
    assert english.keys() == chinese.keys()
    for key, text in english.items():
        assert set(re.findall("<[a-z]+>", text)) == set(re.findall("<[a-z]+>", chinese[key])), key
        assert text.count("$") % 2 == chinese[key].count("$") % 2 == 0
    with pytest.raises(InputError, match="'fr' is not a language"):
        exercise_document(made(1), "fr")


def test_every_sentence_of_a_spoiled_line_is_there():
    source = (rs.__path__[0]) + "/exercises/spoiling.py"
    with open(source, encoding="utf-8") as file:
        strings = {node.value for node in ast.walk(ast.parse(file.read())) if isinstance(node, ast.Constant)}
    codes = {"wrong-step", "wrong-argument", "not-transposed", "missing-factor", "wrong-order", "value-for-argument",
             "no-slope", "zero", "factor-missing", "matrix", "complement", "term-missing"}  # fmt: skip
    assert codes <= strings & EXERCISE_WORDS["en"].keys()


def test_json_says_what_the_sheet_says(shown):
    for exercise in shown:
        record = exercise_json(exercise)
        assert json.loads(json.dumps(record)) == record
        assert "key" not in record and record["check"] == audit_command(exercise)
        answers = exercise_json(exercise, key=True)["key"]
        if isinstance(exercise, NumbersExercise):
            assert answers["gradients"].keys() == set(record["wrt"])
        else:
            assert answers["formula"] != record["formula"]


def test_katex_reads_every_formula(shown):
    require(have_katex(), "KaTeX is not installed")
    formulas = []
    for i, (exercise, language, key) in enumerate(product(shown, ("en", "zh"), (False, True))):
        tex = document_latex(exercise_document(exercise, language, key=key))
        tex = re.sub(r"\\begin\{verbatim\}.*?\\end\{verbatim\}", "", tex, flags=re.DOTALL)
        formulas += [(f"{i}-{j}", formula, display) for j, (formula, display) in enumerate(displays(tex))]
    assert len(formulas) > 500
    assert katex_failures(formulas) == []


@pytest.mark.parametrize(("language", "engine"), [("en", "pdflatex"), ("zh", "xelatex")])
def test_a_sheet_and_its_key_compile(shown, language, engine, tmp_path):
    require(have_tex(engine), f"{engine} is not installed")
    for i, key in ((1, False), (5, True), (9, False), (17, True)) if language == "en" else ((8, False), (16, True)):
        document = exercise_document(shown[i], language, key=key)
        assert compile_tex(document_latex(document, standalone=True), engine, tmp_path) == []


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "level"), list(product(KINDS, LEVELS)))
def test_all_sheets_and_keys_compile(kind, level, tmp_path):
    require(have_tex("pdflatex") and have_tex("xelatex"), "TeX is not installed")
    for seed, key in product(range(5), (False, True)):
        exercise = made(seed, kind, level)
        for language, engine in (("en", "pdflatex"), ("zh", "xelatex")):
            document = exercise_document(exercise, language, key=key)
            assert compile_tex(document_latex(document, standalone=True), engine, tmp_path) == []


# --- the command line ---


def run(capsys, *arguments: str):
    try:
        code = main(["exercise", *arguments])
    except SystemExit as stop:
        code = stop.code
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.mark.parametrize("kind", KINDS)
def test_the_command_prints_the_sheet_and_the_key(capsys, kind):
    code, out, err = run(capsys, "--seed", "5", "--kind", kind)
    assert (code, err) == (0, "") and out == sheet(made(5, kind))
    code, out, err = run(capsys, "--seed", "5", "--kind", kind, "--key", "--lang", "zh")
    assert (code, err) == (0, "") and out == sheet(made(5, kind), "zh", key=True)
    code, out, _ = run(capsys, "--seed", "5", "--kind", kind, "--key", "--to", "json")
    record = json.loads(out)
    assert code == 0 and record["schema_version"] == 1 and record["kind"] == kind and record["key"]


def test_the_answer_file_passes_the_audit_of_the_command_line(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for kind, level in (("blank", 3), ("spoiled", 2), ("numbers", 2), ("numbers", 3)):
        exercise = made(2, kind, level)
        if isinstance(exercise, NumbersExercise):
            (tmp_path / "values.json").write_text("\n".join(values_json(exercise)))
            (tmp_path / "answer.json").write_text("\n".join(gradients_json(exercise)))
        else:
            (tmp_path / "answer.txt").write_text("\n".join(exercise.answer))
        assert main(audit_command(exercise).split()[1:]) == 0
        capsys.readouterr()


def test_files_are_written_and_not_overwritten(capsys, tmp_path):
    target = tmp_path / "sheet.tex"
    arguments = ("--seed", "1", "--to", "latex", "--standalone", "-o", str(target))
    assert run(capsys, *arguments) == (0, "", "")
    assert target.read_text(encoding="utf-8").startswith(r"\documentclass")
    code, out, err = run(capsys, *arguments)
    assert code == 2 and out == "" and "--force" in err
    assert run(capsys, *arguments, "--force")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "--seed"),
        (("--seed", "x"), "'x' is not a whole number of at least 0"),
        (("--seed", "-1"), "--seed"),
        (("--seed", "1" + "0" * 18), "at most 18 digits"),
        (("--seed", "1", "--level", "4"), "there is no level 4: choose one of 1, 2, 3"),
        (("--seed", "1", "--level", "0"), "whole number of at least 1"),
        (("--seed", "1", "--kind", "number"), "Did you mean 'numbers'?"),
        (("--seed", "1", "--standalone"), "--standalone is a LaTeX document"),
        (("--seed", "1", "--lang", "fr"), "'fr' is not one of en, zh"),
        (("--seed", "1", "--keys"), "unknown option --keys"),
    ],
)
def test_what_is_not_an_exercise_is_refused_in_one_line(capsys, arguments, message):
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, "") and message in err and err.count("\n") == 1


def test_python_refuses_what_is_not_an_exercise():
    for arguments, message in (
        ((1, "blnk"), "'blnk' is not a kind of exercise: choose one of blank, spoiled, numbers."),
        ((1, "blank", 4), "there is no level 4"),
        ((-1,), "the seed is '-1'"),
        ((1.5,), "the seed is '1.5'"),
        ((True,), "the seed is 'True'"),
    ):
        with pytest.raises(InputError, match=re.escape(message)):
            make_exercise(*arguments)


def test_levels_are_complete():
    assert set(PROBLEMS) == set(NUMBERS) == set(LEVELS)
