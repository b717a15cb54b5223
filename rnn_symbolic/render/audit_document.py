"""An audit as a document, and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from rnn_symbolic.auditing.mistakes import Mistake
from rnn_symbolic.auditing.records import Audit, Fact, Finding, Instance
from rnn_symbolic.render.audit_sentences import Sides, fact_sentence, places_of, side_texts, sides_of
from rnn_symbolic.render.audit_writer import AuditWriter, shown_facts
from rnn_symbolic.render.document import Document
from rnn_symbolic.render.text import inline_text
from rnn_symbolic.unicode import plain

SMALL = 64
"""Gradients of more numbers than this are not in the JSON."""


def audit_document(audit: Audit, language: str = "en") -> Document:
    """The audit as a document; gradients with the same finding share a section."""
    return AuditWriter(audit, language).document()


def audit_json(audit: Audit, language: str = "en") -> dict[str, Any]:
    """The contract's keys, and in "evidence" what speaks for a finding; details are in the language, codes are not."""
    writer = AuditWriter(audit, language)
    return {
        "verdict": audit.verdict,
        "findings": [_finding_json(finding, writer) for finding in audit.findings],
        "would_pass_usual_check": audit.would_pass_usual_check,
        "hidden": list(audit.hidden),
        "source": audit.source,
        "cell": audit.model.cell.name,
        "form": audit.model.form,
        "notes": [_fact_json(note, writer) for note in audit.notes],
    }


def _finding_json(finding: Finding, writer: AuditWriter) -> dict[str, Any]:
    told = writer.audit.told
    sides = [sides_of(part, writer.audit.model, writer.words) for part in finding.parts]
    yours, right = side_texts(sides) if sides and told else (None, None)
    if not told and (terms := [part.term for part in finding.parts if part.term]):
        yours = "; ".join(dict.fromkeys(map(plain, terms)))
    return {
        "wrt": finding.wrt,
        "status": finding.status,
        "kind": finding.kind if told else None,
        "detail": inline_text(writer.detail(finding)),
        "yours": yours,
        "right": right,
        "evidence": _evidence(finding, writer, sides),
    }


def _evidence(finding: Finding, writer: AuditWriter, sides: Sequence[Sides]) -> dict[str, Any]:
    told, words = writer.audit.told, writer.words
    usual = finding.usual
    found: dict[str, Any] = {
        "error": finding.error,
        "points": finding.points,
        "note": finding.note or None,
        "facts": [_fact_json(fact, writer) for fact in shown_facts(finding, told)],
        "usual_check": None
        if usual is None
        else {"passed": usual.passed, "error": usual.error, "tolerance": usual.tolerance},
        "shapes": None if finding.shapes is None else [list(shape) for shape in finding.shapes],
        "given": _numbers(finding.given),
    }
    if not told:
        return found
    rules = dict.fromkeys(part.rule for part in finding.parts)
    return {
        **found,
        "right": _numbers(finding.right),
        "reproduced": finding.reproduced,
        "same": list(finding.same),
        "rules": [{"rule": rule, "text": inline_text(words.rules[rule])} for rule in rules],
        "mistakes": [_mistake_json(part.mistake, writer) for part in finding.parts],
        "sides": [
            {
                "term": part.term or None,
                "route": list(part.route) or None,
                "latex": {"left": side.left, "yours": side.yours, "right_left": side.right_left, "right": side.right},
            }
            for part, side in zip(finding.parts, sides, strict=True)
        ],
        "instance": _instance_json(finding.instance),
    }


def _mistake_json(mistake: Mistake, writer: AuditWriter) -> dict[str, Any]:
    places = places_of(mistake, writer.audit.model)
    return {
        "kind": mistake.kind,
        "code": mistake.code,
        "about": list(mistake.about),
        "number": getattr(mistake, "number", None) or getattr(mistake, "limit", None),
        "places": list(map(plain, places)),
    }


def _fact_json(fact: Fact, writer: AuditWriter) -> dict[str, Any]:
    told = writer.audit.told
    numbers = list(fact.numbers) if told or fact.code != "loss-differs" else []  # L itself is an answer
    return {"code": fact.code, "numbers": numbers, "text": inline_text(fact_sentence(fact, writer.words, told=told))}


def _instance_json(instance: Instance | None) -> dict[str, Any] | None:
    if instance is None:
        return None
    return {
        "steps": instance.steps,
        "sizes": dict(instance.sizes),
        "values": dict(instance.values),
        "yours": _numbers(instance.yours),
        "right": _numbers(instance.right),
    }


def _numbers(array: Any) -> Any:
    """Nested lists of a small array."""
    return None if array is None or np.size(array) > SMALL else np.asarray(array).tolist()
