"""The words of every language are complete, say the same things, and are all used."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import fields, replace

import pytest

from rnn_symbolic.derivation import derive_gradients
from rnn_symbolic.errors import InputError
from rnn_symbolic.forms import Rule
from rnn_symbolic.jacobian import StateJacobian
from rnn_symbolic.model import ACTIVATIONS, unroll
from rnn_symbolic.render import prose_en, prose_zh
from rnn_symbolic.render.derivation_document import derivation_document
from rnn_symbolic.render.jacobian_document import jacobian_document
from rnn_symbolic.render.prose import LANGUAGES, Prose, prose
from rnn_symbolic.render.words import TABLE_WORDS, say
from rnn_symbolic.sections import Part
from rnn_symbolic.unicode import plain
from rnn_symbolic.verification import Check, Finding, Verification, verify_all

PLACEHOLDER = re.compile(r"<([a-zA-Z]+)>")


def texts(words: Prose) -> Iterator[tuple[str, str]]:
    """Every text of a language, with where it stands."""
    for table in (field.name for field in fields(words)):
        for key, text in getattr(words, table).items():
            yield f"{table} {key}", text


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_part_and_every_rule_has_its_words(language: str) -> None:
    words = prose(language)
    assert set(words.titles) == set(words.intros) == set(Part)
    assert set(words.rules) == set(words.reasons) == set(Rule)
    assert set(words.matrix_intros) < set(Part)
    assert set(words.matrix_reasons) | set(words.proofs) < set(Rule)
    assert all(text.strip() for _, text in texts(words))


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_kind_of_every_check_has_its_words(language: str) -> None:
    phrases = prose(language).phrases
    assert {f"checked-{check.value}" for check in Check} <= set(phrases)


def test_the_languages_have_the_same_phrases_with_the_same_places_to_fill() -> None:
    first, *others = (dict(texts(prose(language))) for language in LANGUAGES)
    for other in others:
        assert set(other) == set(first)
        for key, text in first.items():
            assert set(PLACEHOLDER.findall(other[key])) == set(PLACEHOLDER.findall(text)), key


@pytest.mark.parametrize("language", LANGUAGES)
def test_formulas_in_prose_are_balanced_and_in_the_vocabulary(language: str) -> None:
    for where, text in texts(prose(language)):
        pieces = text.split("$")
        assert len(pieces) % 2 == 1, where
        for formula in pieces[1::2]:
            assert plain(PLACEHOLDER.sub("x", formula)), where
        for words in pieces[::2]:
            assert "\\" not in words, where


def test_chinese_prose_is_chinese() -> None:
    latin = {"logistic", "softmax", "SymPy", "all", "verify", "elman"}
    for where, text in texts(prose("zh")):
        words = PLACEHOLDER.sub("", "".join(text.split("$")[::2]))
        assert set(re.findall(r"[A-Za-z]{2,}", words)) <= latin, where
        assert not re.search(r"[\u4e00-\u9fff][,;:.()]|[,;:.()][\u4e00-\u9fff]", words), f"half-width marks: {where}"


def test_english_sentences_end() -> None:
    words = prose("en")
    for table in (words.intros, words.reasons, words.matrix_intros, words.matrix_reasons, words.proofs):
        for key, text in table.items():
            assert text.endswith("."), key
    for rule, text in words.rules.items():
        assert not text.endswith("."), rule


class Watched(Mapping[object, str]):
    """A table that remembers what was looked up."""

    def __init__(self, table: Mapping[object, str]) -> None:
        self.table, self.used = table, set[object]()

    def __getitem__(self, key: object) -> str:
        self.used.add(key)
        return self.table[key]

    def __iter__(self) -> Iterator[object]:
        return iter(self.table)

    def __len__(self) -> int:
        return len(self.table)

    def unused(self) -> set[object]:
        return set(self.table) - self.used


MODULES = [("en", prose_en, "ENGLISH"), ("zh", prose_zh, "CHINESE")]
SENTENCES = ("phrases", "intros", "reasons", "matrix_intros", "matrix_reasons", "proofs")
"""The tables of which every text must reach a reader (the short names of some rules are shown nowhere)."""

MOVES = {Rule.DISTRIBUTE, Rule.DIVIDE_OUT, Rule.FACTOR_OUT, Rule.TARGETS_SUM_TO_ONE, Rule.SLOPE_BY_VALUE}
"""Small moves within a line: the margin has their short names, no sentence follows."""


def watch(
    language: str, module: object, name: str, monkeypatch: pytest.MonkeyPatch, *tables: str
) -> dict[str, Watched]:
    """The tables of a language, in the place of the real ones."""
    words = prose(language)
    watched = {table: Watched(getattr(words, table)) for table in tables}
    monkeypatch.setattr(module, name, replace(words, **watched))
    return watched


def scalar_documents(language: str) -> None:
    """Both layouts, with and without the proof, and what goes wrong."""
    models = [
        unroll("elman", steps=1),
        unroll("elman", steps=8, losses="last"),
        unroll("elman", steps=70),
        unroll("elman", loss="squared", activation="identity"),
        unroll("elman", activation="tanh", output_activation="identity"),
        unroll("elman", loss="cross-entropy", activation="logistic"),
        unroll("h = tanh(h[t-1]) + sin(x)\ny = relu(h)\nloss = (y - d)**2"),
        unroll("elman", steps=1, loss="squared", activation="tanh"),
        unroll("gru", steps=2, losses="mean"),
        *(unroll("elman", activation=activation, output_activation="tanh") for activation in ACTIVATIONS),
        *(unroll("elman", output_activation=activation) for activation in ACTIVATIONS),
    ]
    for model in models:
        derivations = derive_gradients(model, (*model.parameters, *model.initial_states))
        for symbolic in (True, False) if model.steps in (1, 8) else (False,):
            found = verify_all(derivations, symbolic=symbolic)
            for layout in ("gradient", "jacobian"):
                derivation_document(derivations, language=language, layout=layout, verifications=found)
                derivation_document(derivations[:1], language=language, layout=layout, verifications=found[:1])
    goal = derivations[0].goal
    for outcome in ("failed", "skipped"):
        bad = Verification(goal, 0, (Finding(Check.LINES, outcome, 3, skipped=2, detail="somewhere $1"),))
        derivation_document(derivations[:1], language=language, verifications=(bad,))
    long = derive_gradients(unroll("elman", steps=300), ("W_x",))
    derivation_document(long, language=language, verifications=verify_all(long, symbolic=False))


SCALAR_ALONE = """\
scalar tau
h = 2 * h[t-1] + tau * x / (1 + h[t-1]**2)
y = h
loss = sum(y * h)
"""


def lectures(language: str) -> None:
    """Every kind of line with its reason and, in matrix form, its proof."""
    models = [
        unroll("elman", form="matrix", steps=2),
        unroll("elman", form="matrix", losses="last", loss="squared"),
        unroll("elman", form="matrix", losses="mean", loss="cross-entropy", output_activation="softmax"),
        unroll("elman", form="matrix", loss="cross-entropy", output_activation="logistic"),
        unroll("linear", form="matrix"),
        unroll("residual", form="matrix", steps=2),
        unroll("lstm", form="matrix"),
        unroll("lag2", form="matrix"),
        unroll(SCALAR_ALONE, form="matrix"),
        unroll(SCALAR_ALONE),
        unroll("h = 3 * h[t-1]**3 + w * x\ny = sin(2 * h) * h", losses="last"),
        *(unroll("h = -h[t-1] + x\ny = tanh(w @ h)", form=form) for form in ("scalar", "matrix")),
        unroll("elman", loss="cross-entropy", output_activation="logistic", losses="mean"),
    ]
    for model in models:
        goals = (*model.parameters, *model.initial_states, model.resolve("y_1"))
        for layout in ("gradient", "jacobian") if model.form == "matrix" else ("gradient",):
            derivations = derive_gradients(model, goals, layout=layout)
            proved = model.cell.name == "elman" and (model.loss == "abstract" or model.output_activation == "softmax")
            found = verify_all(derivations, symbolic=proved)
            derivation_document(derivations, language=language, depth=3, layout=layout, verifications=found)
        jacobian_document(StateJacobian(model, 2), language, depth=3)


@pytest.mark.parametrize(("language", "module", "name"), MODULES)
def test_every_sentence_is_used(language: str, module: object, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    watched = watch(language, module, name, monkeypatch, *SENTENCES)
    scalar_documents(language)
    lectures(language)
    watched["reasons"].used |= MOVES
    assert {table: found.unused() for table, found in watched.items() if found.unused()} == {}


def test_an_unknown_language_is_refused_with_those_there_are() -> None:
    for refuse in (lambda: prose("de"), lambda: say("de", "route")):
        with pytest.raises(InputError, match="'de' is not a language of this program: choose one of en, zh"):
            refuse()


def test_a_placeholder_that_is_not_there_is_a_mistake() -> None:
    with pytest.raises(AssertionError):
        prose("en").say("step-one", T=1)
    with pytest.raises(AssertionError):
        say("en", "route", T=1)


# --- the words of tables ---


def test_tables_have_the_same_words_in_every_language() -> None:
    assert set(TABLE_WORDS) == set(LANGUAGES)
    first, *others = TABLE_WORDS.values()
    for other in others:
        assert set(other) == set(first)
        for key, text in first.items():
            assert set(PLACEHOLDER.findall(other[key])) == set(PLACEHOLDER.findall(text)), key
