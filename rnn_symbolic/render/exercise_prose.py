"""The words of exercises, one table per language; a test asserts that the tables have the same entries."""

from __future__ import annotations

from collections.abc import Mapping

from rnn_symbolic.errors import InputError
from rnn_symbolic.render.exercise_en import ENGLISH
from rnn_symbolic.render.exercise_zh import CHINESE

EXERCISE_WORDS: Mapping[str, Mapping[str, str]] = {"en": ENGLISH, "zh": CHINESE}


def say(language: str, key: str, **values: object) -> str:
    """A phrase in a language, with its <placeholders> filled.

    >>> say("en", "title-blank", seed=7, level=2)
    'Exercise 7: fill in the blanks (level 2)'
    """
    if language not in EXERCISE_WORDS:
        raise InputError(f"{language!r} is not a language of this program: choose one of {', '.join(EXERCISE_WORDS)}")
    text = EXERCISE_WORDS[language][key]
    for name, value in values.items():
        assert f"<{name}>" in text, (key, name)
        text = text.replace(f"<{name}>", str(value))
    return text
