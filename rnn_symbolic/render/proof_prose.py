"""The words of a proof for every T, one table per language; a test asserts that every table is complete."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

from rnn_symbolic.errors import InputError
from rnn_symbolic.frozen import frozen
from rnn_symbolic.induction.records import Piece, Topic, Why
from rnn_symbolic.render.prose import LANGUAGES


@frozen
class ProofProse:
    """Everything a proof says in one language.

    ``titles`` name the theorems. ``texts`` are keyed "statement-<topic>-<kind>", "idea-…", "base-…", "step-…",
    "conclusion-…", "remark-…"; without a text for its kind a theorem takes
    that of its topic; a kind that ends in "-lags", "-late", "-last" or several of these falls back on the one without.
    ``rules`` stand in the margin, ``reasons`` are sentences. Formulas stand between ``$`` signs.
    """

    titles: Mapping[Topic, str]
    texts: Mapping[str, str]
    pieces: Mapping[Piece, str]
    rules: Mapping[Why, str]
    reasons: Mapping[Why, str]
    phrases: Mapping[str, str]

    def say(self, key: str, /, **values: object) -> str:
        """The phrase with its placeholders filled."""
        return filled(self.phrases[key], key, **values)

    def text(self, what: str, topic: Topic, kind: str, /, **values: object) -> str:
        """What a theorem says at one place, by its topic and kind; "" for nothing."""
        endings = [ending for ending in ("-lags", "-late", "-last") if ending in kind]
        kinds = (_without(kind, some) for n in range(len(endings) + 1) for some in combinations(endings, n))
        for key in (*(f"{what}-{topic.value}-{each}" for each in kinds), f"{what}-{topic.value}"):
            if key in self.texts:
                text = self.texts[key]
                for name, value in values.items():
                    text = text.replace(f"<{name}>", str(value))
                return text
        return ""


def filled(text: str, key: str, /, **values: object) -> str:
    """A text with its <placeholders> filled."""
    for name, value in values.items():
        assert f"<{name}>" in text, (key, name)
        text = text.replace(f"<{name}>", str(value))
    return text


def proof_prose(language: str) -> ProofProse:
    """The table of a language. Raises InputError for one we do not have."""
    if language == "en":
        from rnn_symbolic.render.proof_en import ENGLISH

        return ENGLISH
    if language == "zh":
        from rnn_symbolic.render.proof_zh import CHINESE

        return CHINESE
    raise InputError(f"{language!r} is not a language of this program: choose one of {', '.join(LANGUAGES)}")


def _without(kind: str, endings: tuple[str, ...]) -> str:
    for ending in endings:
        kind = kind.replace(ending, "")
    return kind
