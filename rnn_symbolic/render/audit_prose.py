"""What an audit is said with: one table of sentences per language, filled by key."""

from __future__ import annotations

import re
from collections.abc import Mapping

from rnn_symbolic.errors import InputError
from rnn_symbolic.frozen import frozen
from rnn_symbolic.render.prose import LANGUAGES


@frozen
class AuditProse:
    """Everything an audit says in one language; formulas stand between ``$`` signs, places to fill are ``<names>``.

    ``mistakes`` are sentences, by where a mistake is made and its code (`audit_sentences.keys_of`); ``rules`` say why
    the right one is right; ``facts`` what is proved beside it; ``notes`` why nothing can be said; ``kinds`` are short
    names; ``scales`` what a number stands for; ``sides`` the words that stand in a formula.
    """

    mistakes: Mapping[str, str]
    rules: Mapping[str, str]
    facts: Mapping[str, str]
    notes: Mapping[str, str]
    kinds: Mapping[str, str]
    scales: Mapping[str, str]
    sides: Mapping[str, str]
    phrases: Mapping[str, str]

    def say(self, key: str, **values: object) -> str:
        """A phrase with its places filled."""
        return filled(self.phrases[key], **values)

    def listed(self, items: list[str] | tuple[str, ...]) -> str:
        """Items of a list, with the comma of the language."""
        return self.phrases["comma"].join(items)


def filled(text: str, **values: object) -> str:
    """A text with its places filled; values that it has no place for are left out.

    >>> filled("the factor $<factor>$ is missing", factor="W_{h}", head="a")
    'the factor $W_{h}$ is missing'
    """
    for name, value in values.items():
        text = text.replace(f"<{name}>", str(value))
    assert not (left := re.findall(r"<[a-z]+>", text)), (text, left)
    return text


def audit_prose(language: str) -> AuditProse:
    """The table of a language. Raises InputError for one we do not have."""
    if language == "en":
        from rnn_symbolic.render.audit_en import ENGLISH

        return ENGLISH
    if language == "zh":
        from rnn_symbolic.render.audit_zh import CHINESE

        return CHINESE
    raise InputError(f"{language!r} is not a language of this program: choose one of {', '.join(LANGUAGES)}")
