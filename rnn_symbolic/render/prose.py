"""The words of a derivation, one table per language; a test asserts that every table is complete."""

from __future__ import annotations

from collections.abc import Mapping

from rnn_symbolic.errors import InputError
from rnn_symbolic.forms import Rule
from rnn_symbolic.frozen import frozen
from rnn_symbolic.sections import Part

LANGUAGES = ("en", "zh")


@frozen
class Prose:
    """Everything a derivation says in one language.

    ``reasons`` are sentences (why a line holds), ``rules`` short names for the margin; ``phrases`` hold the rest by
    key, with ``<placeholders>``. In matrix form ``matrix_intros`` and ``matrix_reasons`` take the place of the scalar
    ones, and ``proofs`` say why a rule holds entry by entry. Formulas stand between ``$`` signs.
    """

    titles: Mapping[Part, str]
    intros: Mapping[Part, str]
    rules: Mapping[Rule, str]
    reasons: Mapping[Rule, str]
    phrases: Mapping[str, str]
    matrix_intros: Mapping[Part, str]
    matrix_reasons: Mapping[Rule, str]
    proofs: Mapping[Rule, str]

    def say(self, key: str, **values: object) -> str:
        """The phrase with its placeholders filled (formulas keep their braces: placeholders are <name>)."""
        text = self.phrases[key]
        for name, value in values.items():
            assert f"<{name}>" in text, (key, name)
            text = text.replace(f"<{name}>", str(value))
        return text


def prose(language: str) -> Prose:
    """The table of a language. Raises InputError for one we do not have."""
    if language == "en":
        from rnn_symbolic.render.prose_en import ENGLISH

        return ENGLISH
    if language == "zh":
        from rnn_symbolic.render.prose_zh import CHINESE

        return CHINESE
    raise InputError(f"{language!r} is not a language of this program: choose one of {', '.join(LANGUAGES)}")
