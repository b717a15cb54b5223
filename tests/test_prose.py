"""The words of every language are complete, say the same things, and are all used."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

import pytest

from rnn_symbolic.derivation import Part, derive_gradients
from rnn_symbolic.errors import InputError
from rnn_symbolic.forms import Rule
from rnn_symbolic.model import ACTIVATIONS, unroll
from rnn_symbolic.printing import plain
from rnn_symbolic.render import prose_en, prose_zh
from rnn_symbolic.render.derivation_document import derivation_document
from rnn_symbolic.render.prose import LANGUAGES, Prose, prose
from rnn_symbolic.render.words import TABLE_WORDS, say
from rnn_symbolic.verification import Check, Finding, Verification, verify_all

PLACEHOLDER = re.compile(r"<([a-zA-Z]+)>")


def texts(words: Prose) -> Iterator[tuple[str, str]]:
    """Every text of a language, with where it stands."""
    for table in ("titles", "intros", "rules", "reasons", "phrases"):
        for key, text in getattr(words, table).items():
            yield f"{table} {key}", text


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_part_and_every_rule_has_its_words(language: str) -> None:
    words = prose(language)
    assert set(words.titles) == set(words.intros) == set(Part)
    assert set(words.rules) == set(words.reasons) == set(Rule)
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
    latin = {"logistic", "SymPy", "all", "verify", "elman"}
    for where, text in texts(prose("zh")):
        words = PLACEHOLDER.sub("", "".join(text.split("$")[::2]))
        assert set(re.findall(r"[A-Za-z]{2,}", words)) <= latin, where
        assert not re.search(r"[\u4e00-\u9fff][,;:.()]|[,;:.()][\u4e00-\u9fff]", words), f"half-width marks: {where}"


def test_english_sentences_end() -> None:
    words = prose("en")
    for table in (words.intros, words.reasons):
        for key, text in table.items():
            assert text.endswith("."), key
    for rule, text in words.rules.items():
        assert not text.endswith("."), rule


class Watched(Mapping[str, str]):
    """A table that remembers what was looked up."""

    def __init__(self, table: Mapping[str, str]) -> None:
        self.table, self.used = table, set[str]()

    def __getitem__(self, key: str) -> str:
        self.used.add(key)
        return self.table[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.table)

    def __len__(self) -> int:
        return len(self.table)


@pytest.mark.parametrize(("language", "module", "name"), [("en", prose_en, "ENGLISH"), ("zh", prose_zh, "CHINESE")])
def test_every_phrase_is_used(language: str, module: object, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    words = prose(language)
    watched = Watched(words.phrases)
    monkeypatch.setattr(module, name, replace(words, phrases=watched))
    models = [
        unroll("elman", steps=1),
        unroll("elman", steps=8, losses="last"),
        unroll("elman", steps=70),
        unroll("elman", loss="squared", activation="identity"),
        unroll("elman", activation="tanh", output_activation="identity"),
        unroll("elman", loss="cross-entropy", activation="logistic"),
        unroll("h = tanh(h[t-1]) + sin(x)\ny = relu(h)\nloss = (y - d)**2"),
        unroll("elman", steps=1, loss="squared", activation="tanh"),
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
    assert set(words.phrases) - watched.used == set()


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
