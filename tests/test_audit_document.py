"""What an audit says: a sentence for every code, in both languages, in every format; with no answer, no answer."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from dataclasses import fields, replace
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
import schemas
from latex_tools import compile_tex, displays, have_katex, have_tex, katex_failures, markdown_formulas, require
from planted import loss_and_gradients, pairs, planted_mistakes

import rnn_symbolic.auditing
from rnn_symbolic.auditing.auditor import audit
from rnn_symbolic.auditing.catalogue import table_mistakes
from rnn_symbolic.auditing.conventions import other_networks
from rnn_symbolic.auditing.mistakes import (
    KINDS,
    RULES,
    LayoutMistake,
    LimitMistake,
    Mistake,
    results,
    selections,
)
from rnn_symbolic.auditing.points import equal_sizes
from rnn_symbolic.auditing.records import Audit, Fact, Finding, Instance, Part, UsualCheck
from rnn_symbolic.auditing.sides import part_of
from rnn_symbolic.builtin_cells import BUILT_IN
from rnn_symbolic.errors import InputError
from rnn_symbolic.model import Model, unroll
from rnn_symbolic.output import json_text
from rnn_symbolic.render.audit_document import audit_document, audit_json
from rnn_symbolic.render.audit_prose import AuditProse, audit_prose, filled
from rnn_symbolic.render.audit_sentences import fact_sentence, key_of, mistake_sentence, side_texts, sides_of
from rnn_symbolic.render.latex import document_latex
from rnn_symbolic.render.markdown import document_markdown
from rnn_symbolic.render.prose import LANGUAGES
from rnn_symbolic.render.text import WIDTH, columns, document_text, inline_text
from rnn_symbolic.table import LocalRule
from rnn_symbolic.unicode import plain

PLACEHOLDER = re.compile(r"<([a-z]+)>")
SOURCES = sorted(Path(rnn_symbolic.auditing.__file__).parent.glob("*.py"))
SPECIAL = {"facts": {"right-through-lag-zero", "right-up-to-T-one", "own-loss-agrees-ratio", "loss-differs-untold"}}
"""Second sentences of a fact, for one of its values."""
LIMITS = (
    LimitMistake("scale", "constant", 3, limit=0.3),
    LimitMistake("clipped", "norm", 1, ("W_x", "h_0"), limit=5.0),
    LimitMistake("clipped", "norm-of-each", 1, limit=0.25),
    LimitMistake("clipped", "entries", 1, limit=1.0),
)
LAYOUTS = (LayoutMistake("layout", "transposed", 1), LayoutMistake("layout", "flattened", 1))
ROUTE = ("L", "l_3", "y_3", "h_3", "h_2", "W_x")
NOTES = ("precision", "kink", "zero", "shape", "overflow", "no-chance", "unseen")


# --- what there is to say ---------------------------------------------------------------------------------------------


def models() -> Iterator[Model]:
    """Every built-in cell in both forms, with other activations and losses."""
    for cell in BUILT_IN:
        for form in ("scalar", "matrix"):
            for activation, output, loss in (("tanh", "logistic", "squared"), ("relu", "softmax", "cross-entropy")):
                if output != "softmax" or form == "matrix":
                    yield unroll(cell, form=form, activation=activation, output_activation=output, loss=loss)


@cache
def parts() -> tuple[tuple[Model, Part], ...]:
    """Of every kind of mistake of every model one, said of a parameter."""
    found = []
    for model in models():
        sizes = equal_sizes(model) if model.form == "matrix" else {}
        others = other_networks(model, sizes)
        seen = set()
        for mistake in (
            *table_mistakes(model, sizes),
            *selections(4),
            *results(2, 3),
            *LIMITS,
            *LAYOUTS,
            *(other.mistake for other in others),
        ):
            key = (type(mistake), mistake.kind, mistake.code, len(mistake.about), mistake.about[:2] if others else ())
            if (type(mistake), mistake.kind, mistake.code) in seen and len(seen) > 400:
                continue
            if key not in seen:
                seen |= {key, (type(mistake), mistake.kind, mistake.code)}
                found.append((model, part_of(mistake, model.parameters[0], model, others)))
    return tuple(found)


def literals(name: str, places: int) -> Iterator[tuple[str | None, ...]]:
    """The first arguments of every call of a class in the room of audits; None for what is no string."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name:
                values = [argument.value if isinstance(argument, ast.Constant) else None for argument in node.args]
                if len(values) >= places:
                    yield tuple(value if isinstance(value, str) else None for value in values[:places])


def formula_codes() -> set[tuple[str, str]]:
    """(kind, code) of what is said of the terms of a formula."""
    found = {(kind or "missing-paths", code) for kind, code in literals("Mistake", 2) if code is not None}
    assert {code for _, code in found} >= {"path", "term", "coefficient", "foreign-term", "transposed"}
    return found


def test_every_code_of_every_cell_has_a_sentence_in_every_language() -> None:
    assert len(parts()) > 1000
    for language in LANGUAGES:
        words = audit_prose(language)
        for model, part in parts():
            text = mistake_sentence(part, model, words)
            assert text[-1] in ".。)）", text
            assert inline_text(text) and "<" not in text.replace("$<", ""), text


def test_every_sentence_about_a_mistake_is_needed() -> None:
    words = audit_prose("en")
    used = {key_of(part.mistake, model, words) for model, part in parts()}
    elman = unroll("elman")
    for kind, code in formula_codes():
        used.add(key_of(Mistake(kind, code, 1), elman, words))
    missing = set(words.mistakes) - used
    assert missing <= {"selection/initial-state/no-entry", "formula/other-slope", "formula/other-factor"}, missing


def test_every_selection_is_met() -> None:
    assert {m.code for m in selections(6)} == set(RULES)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_rule_kind_scale_fact_and_note_has_its_words(language: str) -> None:
    words = audit_prose(language)
    needed = {rule.value for rule in LocalRule} | {"sum-over-paths", "linearity", "layout", "definition"}
    assert set(words.rules) == needed
    assert {part.rule for _, part in parts()} <= needed
    assert set(words.kinds) == set(KINDS)
    assert set(words.scales) == {code for mistake in results(2, 3) for code in mistake.about}
    facts = {code for (code,) in literals("Fact", 1) if code is not None}
    assert len(facts) > 5 and facts <= set(words.facts) - SPECIAL["facts"]
    assert set(words.notes) == set(NOTES)


def texts(words: AuditProse) -> Iterator[tuple[str, str]]:
    for table in (field.name for field in fields(words)):
        for key, text in getattr(words, table).items():
            yield f"{table} {key}", text


def test_the_languages_say_the_same() -> None:
    first, *others = (dict(texts(audit_prose(language))) for language in LANGUAGES)
    for other in others:
        assert set(other) == set(first)
        for key, text in first.items():
            assert set(PLACEHOLDER.findall(other[key])) == set(PLACEHOLDER.findall(text)), key


@pytest.mark.parametrize("language", LANGUAGES)
def test_formulas_in_prose_are_balanced_and_in_the_vocabulary(language: str) -> None:
    for where, text in texts(audit_prose(language)):
        pieces = text.split("$")
        assert len(pieces) % 2 == 1, where
        assert all(plain(PLACEHOLDER.sub("x", formula)) for formula in pieces[1::2]), where
        assert not any("\\" in words for words in pieces[::2]), where


def test_chinese_is_chinese() -> None:
    for where, text in texts(audit_prose("zh")):
        words = PLACEHOLDER.sub("", "".join(text.split("$")[::2]))
        assert set(re.findall(r"[A-Za-z]{2,}", words)) <= {"Python"}, where
        assert not re.search(r"[\u4e00-\u9fff][,;:.()]|[,;:.()][\u4e00-\u9fff]", words), f"half-width marks: {where}"


def test_a_place_that_stays_empty_is_a_mistake() -> None:
    with pytest.raises(AssertionError):
        filled("the factor <factor>", head="h")
    with pytest.raises(InputError, match="'de' is not a language"):
        audit_prose("de")


# --- formulas ---------------------------------------------------------------------------------------------------------


def test_both_sides_are_in_the_vocabulary_and_differ() -> None:
    for language in LANGUAGES:
        words = audit_prose(language)
        for model, part in parts():
            sides = sides_of(part, model, words)
            yours, right = side_texts([sides])
            assert yours != right, part
            latin = re.findall(r"\\mathrm\{([a-z ]+)\}", f"{sides.yours}{sides.right}")
            assert not latin, (latin, part)


def test_katex_reads_both_sides() -> None:
    require(have_katex(), "KaTeX is not installed: make katex")
    formulas = {
        formula: part.mistake.code
        for language in LANGUAGES
        for model, part in parts()
        for sides in [sides_of(part, model, audit_prose(language))]
        for formula in (sides.left, sides.yours, sides.right_left, sides.right)
    }
    assert len(formulas) > 300
    assert katex_failures((code, formula, True) for formula, code in formulas.items()) == []


# --- audits made by hand ----------------------------------------------------------------------------------------------


def made(findings: tuple[Finding, ...], source: str = "code", **options: Any) -> Audit:
    model = options.pop("model", None) or unroll("elman", activation="tanh", loss="squared", form="matrix")
    return Audit(options.pop("verdict", "wrong"), findings, options.pop("passed", None), model, source, **options)


def elman_part(code: str) -> Part:
    model = unroll("elman", activation="tanh", loss="squared", form="matrix")
    mistake = next(m for m in table_mistakes(model, equal_sizes(model)) if m.code == code)
    return part_of(mistake, model.parameters[0], model, ())


def formula_part(kind: str, code: str, about: tuple[str, ...] = ()) -> Part:
    term = "" if code == "path" else r"\sigma'(a_{1})\,x_{1}"
    route = () if code in ("foreign-term", "transposed") else ROUTE
    right = "" if code == "foreign-term" else r"\sigma'(a_{2})\,x_{2}"
    return Part(Mistake(kind, code, 1, about), "", term or "0", right, "slope", term=term, route=route)


def every_formula_part() -> tuple[Part, ...]:
    about = (r"\sigma'(h_{2})", r"\sigma'(a_{2})")
    return tuple(formula_part(kind, code, about) for kind, code in sorted(formula_codes()))


def constructed() -> Iterator[tuple[str, Audit]]:
    """Audits of everything that can be said."""
    usual = UsualCheck(True, 3e-5, 1e-2)
    failed = UsualCheck(False, 0.5, 1e-2)
    instance = Instance(
        1, {"n_h": 2, "n_x": 1}, {"W_h": [["1", "1/2"], ["-1/2", "2"]], "b_h": ["1", "0"], "x": [["1"]], "d": [["0"]]},
        np.array([[1.0, 2.5e-7], [0.0, -3.0]]), np.array([[1.0, 0.5], [0.0, -3.0]]),
    )  # fmt: skip
    wrong = Finding(
        "W_h", "wrong", "activation-argument", (elman_part("value-for-argument"),), 0.25, 1e-16, 6,
        given=np.eye(2), right=np.eye(2), same=("wrong-activation", "index"), instance=instance, usual=usual,
    )  # fmt: skip
    yield (
        "same",
        made((wrong, replace(wrong, wrt="W_x", usual=failed), replace(wrong, wrt="h_0"), Finding("b_y", "right"))),
    )
    both = (elman_part("value-for-argument"), elman_part("carry-past-slope"))
    yield "two", made((replace(wrong, kind="several", parts=both, points=1),), "gradients")
    notes = (
        Fact("loss-differs", (1.5, 1.25)), Fact("no-initial"), Fact("equal-sizes", (3,)), Fact("only-steps", (3, 4)),
        Fact("single-precision"), Fact("not-given"),
    )  # fmt: skip
    facts = (
        Fact("right-through-lag", (2,)), Fact("right-through-lag", (0,)), Fact("lag-factors", (1, 0.5, 2.5e-9)),
        Fact("loss-factors", (0, 1)), Fact("right-up-to-T", (1,)), Fact("right-up-to-T", (2,)),
        Fact("first-wrong-T", (1,)), Fact("own-loss-agrees"), Fact("own-loss-agrees", (2,)), Fact("single-loss", (3,)),
    )  # fmt: skip
    unknown = Finding("W_h", "wrong", "unknown", error=0.3, points=6, facts=facts, usual=failed)
    yield "unknown", made((unknown, replace(unknown, wrt="b_h")), notes=notes)
    yield "untold", made((wrong, replace(unknown, wrt="b_h")), notes=notes, told=False)
    noted = tuple(
        Finding(f"b_{i}", "wrong" if note in ("shape", "no-chance") else "inconclusive", "unknown", error=1e-6,
                note=note, shapes=((2, 3), ()) if note == "shape" else None)
        for i, note in enumerate(NOTES)
    )  # fmt: skip
    yield "notes", made(noted, "gradients")
    yield "undecided", made((Finding("b_h", "inconclusive", note="zero"),), "gradients", verdict="inconclusive")
    for count in (1, 2):
        right = tuple(Finding(name, "right", usual=usual) for name in ("W_x", "W_h")[:count])
        yield f"correct {count}", made(right, verdict="correct", passed=True)
    scalar = unroll("elman")
    terms = tuple(Finding("W_x", "wrong", part.mistake.kind, (part,), 0.5) for part in every_formula_part())
    for told in (True, False):
        yield f"formula {told}", made((*terms, Finding("W_y", "right")), "formula", model=scalar, told=told)
        path = formula_part("missing-paths", "path")
        for n in (1, 15):
            finding = Finding("W_x", "wrong", "missing-paths", (path,) * n)
            yield f"paths {n} {told}", made((finding,), "formula", model=scalar, told=told)
        many = Finding("W_x", "wrong", "sign", (formula_part("sign", "term"),) * 15)
        yield f"terms {told}", made((many,), "formula", model=scalar, told=told)
    for losses, loss in (("last", "cross-entropy"), ("mean", "squared")):
        model = unroll("irnn", losses=losses, loss=loss, activation="logistic")
        yield f"{losses} {loss}", made((Finding("W_x", "right"),), verdict="correct", model=model)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_constructed_audit_is_said_in_every_format(language: str) -> None:
    formulas: dict[tuple[str, bool], str] = {}
    for name, found in constructed():
        document = audit_document(found, language)
        text = document_text(document)
        assert all(columns(line) <= WIDTH for line in text.splitlines()), name
        assert not re.search(r"<[a-z]+>|\\[a-z]", text), (name, text)
        assert language != "zh" or not re.search("(?:the|and|with|yours) ", text), text
        for formula in (*displays(document_latex(document)), *markdown_formulas(document_markdown(document))):
            formulas.setdefault(formula, name)
        record = json.loads(json_text(audit_json(found, language)))
        jsonschema.validate(record, schemas.AUDIT)
    if have_katex():
        assert katex_failures((name, tex, display) for (tex, display), name in formulas.items()) == []


def test_what_is_the_same_is_said_once() -> None:
    text = document_text(audit_document(dict(constructed())["same"]))
    assert text.count("is taken at the wrong place") == 1
    assert "\nW_h, W_x, h₀\n" in text
    assert "Right: b_y." in text


def test_an_instance_is_written_out() -> None:
    text = " ".join(document_text(audit_document(dict(constructed())["same"])).split())
    assert "W_h = [1, 1/2; −1/2, 2]" in text and "b_h = (1, 0)" in text and "x₁ = 1" in text
    assert "∂L/∂W_h = [1, 2.5 · 10⁻⁷; 0, −3] (yours)" in text


def test_every_fact_is_a_sentence() -> None:
    words = audit_prose("en")
    said = {fact_sentence(Fact(code, (2.0, 3.0)), words) for code in words.facts if code not in SPECIAL["facts"]}
    assert len(said) == len(words.facts) - len(SPECIAL["facts"])
    assert "is 3" in fact_sentence(Fact("loss-differs", (2.0, 3.0)), words)
    assert "3" not in fact_sentence(Fact("loss-differs", (2.0, 3.0)), words, told=False)


# --- real audits ------------------------------------------------------------------------------------------------------


def planted_audit(cell: str, codes: tuple[str, ...], told: bool = True, form: str = "matrix") -> Audit:
    def function(params: Any, x: Any, d: Any, state: Any) -> Any:
        return loss_and_gradients(cell, params, x, d, state, codes)

    return audit(cell, function=function, form=form, told=told)


def real() -> Iterator[Audit]:
    """An audit of one mistake of each kind, of two at once, of formulas."""
    kinds = {}
    for cell in ("elman", "gru"):
        for planted in planted_mistakes(cell):
            kinds.setdefault(planted.kind, (cell, planted.code))
    for cell, code in kinds.values():
        yield planted_audit(cell, (code,))
    yield planted_audit("elman", tuple(planted.code for planted in next(iter(pairs("elman")))))
    yield planted_audit("elman", ())
    yield audit("elman", formula="dW_y = sum(t=1..T, l'(y[t]) * sigma'(a[t]) * h[t])\ndb_y = l'(y[3])")
    yield audit("elman", form="matrix", formula="dW_h = sum(t=1..T, diag(sigma'(a[t])) @ W_y @ h[t-1].T)".replace(
        "W_y @", "W_y.T @ diag(sigma'(o[t])) @ l'(y[t]) @"))  # fmt: skip


@cache
def real_audits() -> tuple[Audit, ...]:
    return tuple(real())


@pytest.mark.parametrize("language", LANGUAGES)
def test_real_audits_are_said_in_every_format(language: str) -> None:
    formulas: dict[tuple[str, bool], str] = {}
    for found in real_audits():
        document = audit_document(found, language)
        assert all(columns(line) <= WIDTH for line in document_text(document).splitlines())
        for formula in (*displays(document_latex(document)), *markdown_formulas(document_markdown(document))):
            formulas.setdefault(formula, found.source)
        record = json.loads(json_text(audit_json(found, language)))
        jsonschema.validate(record, schemas.AUDIT)
        assert [f["kind"] for f in record["findings"]] == [f.kind for f in found.findings]
    if have_katex():
        assert katex_failures((name, tex, display) for (tex, display), name in formulas.items()) == []


@pytest.mark.parametrize(("language", "engine"), [("en", "pdflatex"), ("zh", "xelatex")])
def test_tex_sets_them(language: str, engine: Any, tmp_path: Path) -> None:
    require(have_tex(engine), f"no {engine} here")
    for i in (0, 7, len(real_audits()) - 1):
        found = real_audits()[i]
        overfull = compile_tex(document_latex(audit_document(found, language), standalone=True), engine, tmp_path)
        assert all(width < 1 for width in overfull), (i, overfull)


def test_the_record_shows_itself() -> None:
    found = real_audits()[0]
    assert str(found).startswith("Audit of a gradient (elman)")
    assert found._repr_html_().startswith("<pre>Audit") and found._repr_markdown_().startswith("# Audit")


@pytest.mark.parametrize("language", LANGUAGES)
def test_without_the_answer_nothing_leaks(language: str) -> None:
    words = audit_prose(language)
    hidden = [*words.rules.values(), *words.phrases["several"].split("<first>")[:1]]
    for told in real_audits():
        found = replace(told, told=False)
        document = audit_document(found, language)
        record = audit_json(found, language)
        shown = document_text(document) + json_text(record) + document_latex(document) + document_markdown(document)
        kinds = {finding.kind for finding in told.findings if finding.kind} - {"scale", "index", "order", "sign"}
        assert not any(f'"{kind}"' in shown for kind in kinds)
        for finding in told.findings:
            for part in finding.parts:
                sides = sides_of(part, told.model, words)
                if len(sides.right) > 12:
                    assert sides.right not in shown and plain(sides.right) not in shown
                assert inline_text(mistake_sentence(part, told.model, words)) not in shown
            assert finding.instance is None or str(finding.instance.right) not in shown
        assert not any(inline_text(text) in shown for text in hidden)
        for entry in record["findings"]:
            assert entry["kind"] is None and entry["right"] is None
            assert not set(entry["evidence"]) & {"right", "rules", "mistakes", "sides", "instance", "same"}
        assert {entry["status"] for entry in record["findings"]} == {finding.status for finding in told.findings}
