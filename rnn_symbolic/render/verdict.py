"""What Coq said about a certificate, in words: a few lines, or one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnn_symbolic.errors import InputError

if TYPE_CHECKING:
    from rnn_symbolic.certificate.checker import CertificateCheck

WORDS = {
    "en": {
        "accepted": "accepted by Coq",
        "theorems": "theorems:",
        "assumptions": "assumptions of all of them together:",
        "concrete": "assumptions of <name>, which is about Coq's own functions:",
        "none": "none",
        "refused": "refused: <failure>",
        "line": "accepted by Coq: <theorems>; assumptions: <axioms>",
        "comma": ", ",
    },
    "zh": {
        "accepted": "Coq 接受了这份证明",
        "theorems": "定理：",
        "assumptions": "所有这些定理合起来依赖的公理：",
        "concrete": "<name>（关于 Coq 自己的函数）依赖的公理：",
        "none": "无",
        "refused": "被拒绝：<failure>",
        "line": "Coq 接受了：<theorems>；公理：<axioms>",
        "comma": "、",
    },
}
"""The words by language; why a certificate is refused is in English, as every error is."""


def verdict_text(check: CertificateCheck, language: str = "en") -> str:
    """The verdict: accepted, these theorems, these assumptions; or where it failed.

    >>> from rnn_symbolic.certificate.checker import CertificateCheck
    >>> print(verdict_text(CertificateCheck(True, ("dL_dW_x",), ("M.axiom",))))
    accepted by Coq
    theorems:
      dL_dW_x
    assumptions of all of them together:
      M.axiom

    Raises InputError for a language that we do not have.
    """
    words = _words(language)
    if not check.accepted:
        return words["refused"].replace("<failure>", check.failure)
    lines = [words["accepted"], words["theorems"], *(f"  {name}" for name in check.theorems)]
    lines += [words["assumptions"], *(f"  {name}" for name in check.assumptions or (words["none"],))]
    if check.concrete:
        lines.append(words["concrete"].replace("<name>", check.concrete))
        lines += [f"  {name}" for name in check.concrete_assumptions or (words["none"],)]
    return "\n".join(lines)


def verdict_line(check: CertificateCheck, language: str = "en") -> str:
    """The verdict in one line.

    >>> from rnn_symbolic.certificate.checker import CertificateCheck
    >>> verdict_line(CertificateCheck(True, ("one", "two")))
    'accepted by Coq: one, two; assumptions: none'
    """
    if not check.accepted:
        return verdict_text(check, language)
    words = _words(language)
    axioms = dict.fromkeys((*check.assumptions, *check.concrete_assumptions))
    line = words["line"].replace("<theorems>", words["comma"].join(check.theorems))
    return line.replace("<axioms>", words["comma"].join(axioms) or words["none"])


def _words(language: str) -> dict[str, str]:
    if language not in WORDS:
        raise InputError(f"there is no language {language!r}; choose one of {', '.join(WORDS)}")
    return WORDS[language]
