r"""An audit as a document and as JSON: the verdict first, then what was found, each finding once.

    W_h, b_h        one sentence that says what is wrong
                    yours and the right one, side by side
                    why; how well it explains the numbers; where to check it with a pencil; the usual check
    Right: W_x …    in one line

With ``told`` False nothing says what would be right: only which gradients are, which terms of a formula are not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import PurePath
from typing import Any

import numpy as np

from rnn_symbolic.auditing.mistakes import Mistake
from rnn_symbolic.auditing.records import Audit, Fact, Finding, Instance, Part
from rnn_symbolic.expressions import Call, walk
from rnn_symbolic.printing import latex_function, latex_name
from rnn_symbolic.render.audit_prose import AuditProse, audit_prose
from rnn_symbolic.render.audit_sentences import (
    Sides,
    array_formula,
    fact_sentence,
    formula_of,
    instance_formulas,
    mistake_sentence,
    note_sentence,
    places_of,
    route_formula,
    side_texts,
    sides_of,
)
from rnn_symbolic.render.document import Block, Box, Bullets, Display, Document, Heading, Paragraph, Row
from rnn_symbolic.render.text import inline_text
from rnn_symbolic.render.words import number
from rnn_symbolic.unicode import plain

WHERE = frozenset({"right-through-lag", "right-up-to-T", "first-wrong-T", "single-loss"})
"""Facts that say where an error is and not what it is."""
LOCAL, VEC, COPY = MARKS = r"\partial^{+}", r"\otimes", "^{(s)}"
"""Notation that a reader may not know."""
SMALL = 64
"""Gradients of more numbers than this are not in the JSON."""
MOST_PATHS = 12
"""So many missing paths of one gradient are listed."""


# --- the document -----------------------------------------------------------------------------------------------------


def audit_document(audit: Audit, language: str = "en") -> Document:
    """The audit as a document; gradients with the same finding share a section."""
    return _Writer(audit, language).document()


class _Writer:
    """Writes one audit in one language."""

    def __init__(self, audit: Audit, language: str) -> None:
        self.audit, self.language = audit, language
        self.words: AuditProse = audit_prose(language)
        self.used: set[str] = set()  # what a reader may have to be told about

    def document(self) -> Document:
        blocks: list[Block] = [Paragraph(self.verdict()), Paragraph(self.settings())]
        if notes := [fact_sentence(note, self.words, told=self.audit.told) for note in self.audit.notes]:
            blocks.append(Bullets(tuple(notes)))
        for group in _groups(self.audit):
            blocks += self.section(group)
        if self.audit.verdict != "correct" and (right := self.named("right")):
            blocks.append(Paragraph(self.words.say("right", right=right)))
        if guide := tuple(self.guide()):
            blocks.append(Box(self.words.phrases["read"], guide))
        title = self.words.say("title", cell=_safe(self.audit.model.cell.name))
        return Document(title, tuple(blocks), self.language)

    # -- the head -----------------------------------------------------------------------------------------------

    def names(self, findings: Sequence[Finding]) -> str:
        return self.words.listed([f"${formula_of(name)}$" for name in dict.fromkeys(f.wrt for f in findings)])

    def named(self, status: str) -> str:
        """The gradients of a status; one of which a term is wrong is not right."""
        wrong = {f.wrt for f in self.audit.findings if f.status == "wrong"}
        found = [f for f in self.audit.findings if f.status == status and (status == "wrong" or f.wrt not in wrong)]
        return self.names(found)

    def verdict(self) -> str:
        audit, words = self.audit, self.words
        count = len({finding.wrt for finding in audit.findings})
        if audit.verdict == "correct":
            said = words.say("correct-one" if count == 1 else "correct", right=self.named("right"))
            return said
        if audit.verdict == "inconclusive":
            return words.say("inconclusive", open=self.named("inconclusive"))
        number_wrong = len({finding.wrt for finding in audit.wrong})
        if count == 1:
            return words.say("wrong-single", wrong=self.named("wrong"))
        if number_wrong == count:
            return words.say("wrong-all", count=count, wrong=self.named("wrong"))
        if number_wrong == 1:
            return words.say("wrong-one", count=count, wrong=self.named("wrong"))
        return words.say("wrong", count=count, number=number_wrong, wrong=self.named("wrong"))

    def settings(self) -> str:
        """The network that was taken for theirs: where it is another one, every gradient seems wrong."""
        model, words, source = self.audit.model, self.words, self.audit.source
        points = max((finding.points for finding in self.audit.findings), default=1)
        one = "-one" if points == 1 and source != "formula" else ""
        used = _sigmas(self.audit)
        matrix = "-matrix" if model.loss == "squared" and model.form == "matrix" else ""
        return words.say(
            "settings",
            cell=_safe(model.cell.name),
            form=words.phrases[f"form-{model.form}"],
            functions="".join(words.say(role, function=latex_function(function)) for role, function in used),
            loss=words.phrases[f"loss-{model.loss}{matrix}"],
            losses=words.phrases[f"losses-{model.losses}"],
            source=words.say(f"source-{source}{one}", **_at(source, model.steps, points, one)),
        )

    def guide(self) -> Iterator[str]:
        """What the notation means, as far as it was used."""
        tolerance = next((f.usual.tolerance for f in self.audit.findings if f.usual is not None), None)
        if tolerance is not None and "usual" in self.used:
            yield self.words.say("read-usual", tolerance=number(tolerance))
        if LOCAL in self.used:
            yield self.words.phrases["read-numerator" if self.audit.model.form == "matrix" else "read-local"]
        if VEC in self.used:
            yield self.words.phrases["read-vec"]
        if COPY in self.used:
            name = next(formula_of(finding.wrt) for finding in self.audit.findings if finding.status == "wrong")
            yield self.words.say("read-copies", copy=name + COPY, name=name)

    def joined(self, sentences: Sequence[str]) -> str:
        return self.words.phrases["space"].join(sentences)

    # -- a section ----------------------------------------------------------------------------------------------

    def section(self, group: Sequence[Finding]) -> Iterator[Block]:
        """What one finding, or several that are the same, have to say."""
        first = group[0]
        yield Heading(self.names(group))
        if first.status == "inconclusive":
            yield Paragraph(self.joined([note_sentence(first, self.words), *self.facts(first)]))
            return
        if not self.audit.told:
            yield from self.untold(group)
            return
        if not first.parts:
            yield Paragraph(self.joined([self.detail(first), *self.errors(group), *self.facts(first)]))
            yield from self.usual_check(group)
            return
        paths, others = _missing(group)
        if paths:
            yield from self.missing(paths)
        if others:
            yield from self.told(group, others)
        if evidence := [*self.reproduced(group), *self.same(first), *self.facts(first)]:
            yield Paragraph(self.joined(evidence))
        yield from self.instance(group)
        yield from self.usual_check(group)

    def told(self, group: Sequence[Finding], parts: Sequence[Part]) -> Iterator[Block]:
        """The sentence, both sides, the rule."""
        sides = [sides_of(part, self.audit.model, self.words) for part in parts]
        texts = [mistake_sentence(part, self.audit.model, self.words) for part in parts]
        if len(parts) > 2 or (len(parts) > 1 and group[0].mistakes != tuple(part.mistake for part in parts)):
            for part, text, side in zip(parts, texts, sides, strict=True):
                yield Paragraph(text)
                yield Display(self.rows(part, side))
        else:
            yield Paragraph(self.detail(group[0]))
            yield Display(tuple(row for part, side in zip(parts, sides, strict=True) for row in self.rows(part, side)))
        rules = dict.fromkeys(part.rule for part in parts)
        yield Paragraph(self.joined([self.words.say("rule", rule=self.words.rules[rule]) for rule in rules]))
        self.used |= {mark for mark in MARKS for side in sides if mark in f"{side.left} {side.yours} {side.right}"}

    def rows(self, part: Part, sides: Sides) -> tuple[Row, ...]:
        yours, right = self.words.phrases["yours"], self.words.phrases["theirs"]
        if not sides.yours or not sides.right:  # a term that belongs to no path, a path without a term
            side, note = (sides.yours, yours) if sides.yours else (sides.right, right)
            return (Row(sides.left, (side or "0",), note=note, relation="=" if sides.left else ""),)
        relation = "=" if sides.left else ""
        return (
            Row(sides.left, (sides.yours,), note=yours, relation=relation),
            Row(sides.right_left, (sides.right,), note=right, relation=relation),
        )

    def missing(self, parts: Sequence[Part]) -> Iterator[Block]:
        """Paths that have no term, in one display."""
        if len(parts) == 1:
            yield Paragraph(mistake_sentence(parts[0], self.audit.model, self.words))
        else:
            yield Paragraph(self.words.say("paths", count=len(parts)))
        shown = [Row("", (part.right,), margin=route_formula(part.route), relation="") for part in parts[:MOST_PATHS]]
        if len(parts) > MOST_PATHS:
            shown.append(Row("", (r"\cdots",), relation=""))
        yield Display(tuple(shown))
        yield Paragraph(self.words.say("rule", rule=self.words.rules["sum-over-paths"]))

    def untold(self, group: Sequence[Finding]) -> Iterator[Block]:
        """Right or wrong, which terms, and where; nothing of what would be right."""
        terms = [part.term for finding in group[:1] for part in finding.parts if part.term]
        yield Paragraph(self.joined([self.detail(group[0]), *self.errors(group), *self.facts(group[0])]))
        if terms:
            yield Display(tuple(Row("", (term,), relation="") for term in dict.fromkeys(terms)))
        yield from self.usual_check(group)

    # -- sentences ----------------------------------------------------------------------------------------------

    def detail(self, finding: Finding) -> str:
        """The finding in a sentence."""
        words, model = self.words, self.audit.model
        if finding.status == "right":
            return words.phrases["good"]
        if finding.status == "inconclusive":
            return note_sentence(finding, words)
        if not self.audit.told:
            return self.detail_untold(finding)
        if finding.note and not finding.parts:
            return note_sentence(finding, words)
        if not finding.parts:
            return words.phrases["unexplained"]
        texts = [mistake_sentence(part, model, words) for part in finding.parts]
        if len(texts) == 2 and self.audit.source != "formula":
            return words.say("several", first=texts[0], second=texts[1])
        return self.joined(texts)

    def detail_untold(self, finding: Finding) -> str:
        if finding.note == "shape":
            return note_sentence(finding, self.words)
        if self.audit.source != "formula" or not finding.parts:
            return self.words.phrases["bad"]
        if len(finding.parts) > 1:
            return self.words.say("bad-terms", count=len(finding.parts))
        return self.words.phrases["bad-term" if finding.parts[0].term else "bad-missing"]

    def reproduced(self, group: Sequence[Finding]) -> list[str]:
        first = group[0]
        if first.reproduced is None:
            return []
        key = "reproduces" + ("-two" if len(first.parts) > 1 else "") + ("-one" if first.points == 1 else "")
        values = {"points": first.points} if first.points > 1 else {}
        reproduced = max(finding.reproduced or 0.0 for finding in group)
        error = max(finding.error for finding in group)
        return [self.words.say(key, reproduced=_short(reproduced), error=_short(error), **values)]

    def errors(self, group: Sequence[Finding]) -> list[str]:
        if self.audit.source == "formula" or group[0].note == "shape":
            return []
        if len(group) == 1:
            return [self.words.say("error", error=_short(group[0].error))]
        errors = [f"${formula_of(finding.wrt)}$ {_short(finding.error)}" for finding in group]
        return [self.words.say("errors", errors=self.words.listed(errors))]

    def same(self, finding: Finding) -> list[str]:
        if not finding.same:
            return []
        kinds = self.words.listed([self.words.kinds[kind] for kind in finding.same])
        return [self.words.say("same", kinds=kinds)]

    def facts(self, finding: Finding) -> list[str]:
        return [fact_sentence(fact, self.words) for fact in _facts(finding, self.audit.told)]

    def usual_check(self, group: Sequence[Finding]) -> Iterator[Block]:
        """Whether the usual check would have passed, with its numbers."""
        if said := list(self.usual(group)):
            yield Paragraph(self.joined(said))

    def usual(self, group: Sequence[Finding]) -> Iterator[str]:
        for passed, key in ((True, "usual-passed"), (False, "usual-failed")):
            seen = [finding for finding in group if finding.usual is not None and finding.usual.passed == passed]
            if not seen:
                continue
            self.used.add("usual")
            errors = [finding.usual.error for finding in seen if finding.usual is not None]
            error = _short(max(errors) if passed else min(errors))
            if len(seen) < len(group):
                yield self.words.say(f"{key}-some", names=self.names(seen), error=error)
            else:
                yield self.words.say(key if len(seen) == 1 else f"{key}-these", error=error)

    # -- an instance --------------------------------------------------------------------------------------------

    def instance(self, group: Sequence[Finding]) -> Iterator[Block]:
        """The smallest instance, with both gradients there."""
        finding = next((finding for finding in group if finding.instance is not None), None)
        if finding is None or finding.instance is None:
            return
        found = finding.instance
        values = self.words.listed([f"${formula}$" for formula in instance_formulas(found)])
        yield Paragraph(self.words.say("instance", steps=found.steps, sizes=self.sizes(found), values=values))
        left = rf"\frac{{\partial L}}{{\partial {formula_of(finding.wrt)}}}"
        yield Display(
            (
                Row(left, (array_formula(found.yours),), note=self.words.phrases["yours"]),
                Row(left, (array_formula(found.right),), note=self.words.phrases["theirs"]),
            )
        )

    def sizes(self, instance: Instance) -> str:
        sizes = dict(instance.sizes)
        if not sizes or self.audit.model.form == "scalar":
            return ""
        if set(sizes.values()) == {1}:
            return self.words.phrases["no-sizes"]
        names = {size: [latex_name(name) for name in sizes if sizes[name] == size] for size in sizes.values()}
        listed = r",\; ".join(" = ".join([*same, str(size)]) for size, same in names.items())
        return self.words.say("sizes", sizes=listed)


# --- what belongs together --------------------------------------------------------------------------------------------


def _groups(audit: Audit) -> list[tuple[Finding, ...]]:
    """Findings that are not "right", those that say the same together; all of one formula's gradient together."""
    found: dict[object, list[Finding]] = {}
    for finding in audit.findings:
        if finding.status == "right":
            continue
        facts = _facts(finding, audit.told)
        mistakes = finding.mistakes if audit.told else ()
        key: object = (finding.status, finding.kind if audit.told else "", mistakes, finding.note, finding.shapes, facts)
        if audit.source == "formula":
            key = (finding.wrt, finding.status)
        found.setdefault(key, []).append(finding)
    groups = []
    for findings in found.values():
        if audit.source == "formula" and len(findings) > 1:
            parts = tuple(part for finding in findings for part in finding.parts)
            findings = [_merged(findings, parts)]
        groups.append(tuple(findings))
    return groups


def _merged(findings: Sequence[Finding], parts: tuple[Part, ...]) -> Finding:
    """The findings of one formula as one."""
    facts = tuple(dict.fromkeys(fact for finding in findings for fact in finding.facts))
    kinds = {finding.kind for finding in findings}
    kind = findings[0].kind if len(kinds) == 1 else "several"
    instance = next((finding.instance for finding in findings if finding.instance is not None), None)
    return replace(findings[0], parts=parts, facts=facts, kind=kind, instance=instance)


def _missing(group: Sequence[Finding]) -> tuple[tuple[Part, ...], tuple[Part, ...]]:
    """The paths without a term, and all the other parts."""
    parts = group[0].parts
    paths = tuple(part for part in parts if part.mistake.code == "path")
    return paths, tuple(part for part in parts if part.mistake.code != "path")


def _facts(finding: Finding, told: bool) -> tuple[Fact, ...]:
    return tuple(fact for fact in finding.facts if told or fact.code in WHERE)


def _sigmas(audit: Audit) -> Iterator[tuple[str, str]]:
    """What stands for σ: in the states, in the output."""
    model = audit.model
    places = {
        "output" if equation.target.name == "y" else "activation"
        for equation in model.cell.equations
        for node in walk(equation.expression)
        if isinstance(node, Call) and node.function == "sigma"
    }
    chosen = {"activation": model.activation, "output": model.output_activation}
    return ((role, chosen[role]) for role in chosen if role in places)


def _at(source: str, steps: int, points: int, one: str) -> dict[str, int]:
    if source == "formula":
        return {"steps": steps}
    return {} if one else {"points": points}


def _safe(name: str) -> str:
    """The name of a cell or its file in prose: no $, no control characters."""
    return re.sub(r"[^\w .,+()-]", "_", PurePath(name).name)


def _short(error: float) -> str:
    return number(error, 2)


# --- JSON -------------------------------------------------------------------------------------------------------------


def audit_json(audit: Audit, language: str = "en") -> dict[str, Any]:
    """The contract's keys, and in "evidence" what speaks for a finding; ``detail`` is in the language, codes are not."""
    writer = _Writer(audit, language)
    return {
        "verdict": audit.verdict,
        "findings": [_finding_json(finding, writer) for finding in audit.findings],
        "would_pass_usual_check": audit.would_pass_usual_check,
        "source": audit.source,
        "cell": audit.model.cell.name,
        "form": audit.model.form,
        "notes": [_fact_json(note, writer) for note in audit.notes],
    }


def _finding_json(finding: Finding, writer: _Writer) -> dict[str, Any]:
    told = writer.audit.told
    sides = [sides_of(part, writer.audit.model, writer.words) for part in finding.parts]
    yours, right = side_texts(sides) if sides and told else (None, None)
    if not told and (terms := [part.term for part in finding.parts if part.term]):
        yours = "; ".join(map(plain, terms))
    return {
        "wrt": finding.wrt,
        "status": finding.status,
        "kind": finding.kind if told else None,
        "detail": inline_text(writer.detail(finding)),
        "yours": yours,
        "right": right,
        "evidence": _evidence(finding, writer, sides),
    }


def _evidence(finding: Finding, writer: _Writer, sides: Sequence[Sides]) -> dict[str, Any]:
    told, words = writer.audit.told, writer.words
    usual = finding.usual
    found: dict[str, Any] = {
        "error": finding.error,
        "points": finding.points,
        "note": finding.note or None,
        "facts": [_fact_json(fact, writer) for fact in _facts(finding, told)],
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


def _mistake_json(mistake: Mistake, writer: _Writer) -> dict[str, Any]:
    places = places_of(mistake, writer.audit.model)
    return {
        "kind": mistake.kind,
        "code": mistake.code,
        "about": list(mistake.about),
        "number": getattr(mistake, "number", None) or getattr(mistake, "limit", None),
        "places": list(map(plain, places)),
    }


def _fact_json(fact: Fact, writer: _Writer) -> dict[str, Any]:
    told = writer.audit.told
    text = inline_text(fact_sentence(fact, writer.words, told=told))
    return {"code": fact.code, "numbers": list(fact.numbers) if told or fact.code != "loss-differs" else [], "text": text}


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
