r"""The blocks of an audit, in one language: the verdict first, then what was found, each finding once.

    W_h, b_h        one sentence that says what is wrong
                    yours and the right one, side by side
                    why; how well it explains the numbers; a small instance; the usual check
    Right: W_x …    in one line

With ``told`` False nothing says what would be right: only which gradients are, which terms of a formula are not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import PurePath

from rnn_symbolic.auditing.records import Audit, Fact, Finding, Instance, Part
from rnn_symbolic.expressions import Call, walk
from rnn_symbolic.printing import latex_function, latex_name
from rnn_symbolic.render.audit_prose import AuditProse, audit_prose
from rnn_symbolic.render.audit_sentences import (
    array_formula,
    fact_sentence,
    formula_of,
    instance_formulas,
    mistake_sentence,
    note_sentence,
    route_formula,
    sides_of,
)
from rnn_symbolic.render.document import Block, Box, Bullets, Display, Document, Heading, Paragraph, Row
from rnn_symbolic.render.words import number

WHERE = frozenset({"right-through-lag", "right-up-to-T", "first-wrong-T", "wrong-at-T", "single-loss"})
"""Facts that say where an error is and not what it is."""
LOCAL, VEC, COPY = MARKS = r"\partial^{+}", r"\otimes", "^{(s)}"
"""Notation that a reader may not know."""
MOST_TERMS = 12
"""So many terms of a formula, and so many paths without one, are listed."""


class AuditWriter:
    """Writes one audit in one language."""

    def __init__(self, audit: Audit, language: str) -> None:
        self.audit, self.language = audit, language
        self.words: AuditProse = audit_prose(language)
        self.used: set[str] = set()  # what a reader may have to be told about

    def document(self) -> Document:
        blocks: list[Block] = [Paragraph(self.verdict()), Paragraph(self.settings())]
        if notes := [fact_sentence(note, self.words, told=self.audit.told) for note in self.audit.notes]:
            blocks.append(Bullets(tuple(notes)))
        if self.audit.hidden:
            kinds = self.words.listed([self.words.kinds[kind] for kind in self.audit.hidden])
            blocks.append(Paragraph(self.words.say("hidden", kinds=kinds)))
        for group in groups(self.audit):
            blocks += self.section(group)
        if self.audit.verdict != "correct" and (right := self.named("right")):
            blocks.append(Paragraph(self.words.say("right", right=right)))
        if guide := tuple(self.guide()):
            blocks.append(Box(self.words.phrases["read"], guide))
        title = self.words.say("title", cell=safe(self.audit.model.cell.name))
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
            cell=safe(model.cell.name),
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
            steps = self.audit.model.steps if self.audit.source == "formula" else 2
            yield self.words.say("read-usual", steps=steps, tolerance=number(tolerance))
        if self.audit.model.is_abstract and any(f.instance or f.usual for f in self.audit.findings):
            yield self.words.phrases["read-numbers"]
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
        yield from self.told(group)
        facts = self.facts(first) if len({finding.facts for finding in group}) == 1 else []
        if evidence := [*self.reproduced(group), *self.same(first), *facts]:
            yield Paragraph(self.joined(evidence))
        yield from self.instance(group)
        yield from self.usual_check(group)

    def told(self, group: Sequence[Finding]) -> Iterator[Block]:
        """The sentence with both sides; of a formula its terms one by one, and the paths without a term; the rules."""
        first = group[0]
        whole = _whole(first)
        terms = tuple(part for part in first.parts if part.term)
        paths = tuple(part for part in first.parts if part.route and not part.term)
        if whole:
            yield Paragraph(self.detail(replace(first, parts=whole)))
            yield Display(tuple(row for part in whole for row in self.rows(part)))
        for part in terms[:MOST_TERMS]:
            yield Paragraph(mistake_sentence(part, self.audit.model, self.words))
            yield Display(self.rows(part))
        if len(terms) > MOST_TERMS:
            yield Paragraph(self.words.say("more-terms", count=len(terms) - MOST_TERMS))
        if paths:
            yield Paragraph(
                self.words.phrases["path"] if len(paths) == 1 else self.words.say("paths", count=len(paths))
            )
            yield Display(
                tuple(
                    Row("", (part.right,), margin=route_formula(part.route), relation="") for part in paths[:MOST_TERMS]
                )
            )
        if len(paths) > MOST_TERMS:
            yield Paragraph(self.words.say("more-paths", count=len(paths) - MOST_TERMS))
        rules = dict.fromkeys(part.rule for part in first.parts)
        yield Paragraph(self.words.say("rule", rule=self.joined([self.words.rules[rule] for rule in rules])))

    def rows(self, part: Part) -> tuple[Row, ...]:
        """Yours and the right one; of a term that belongs to no path only yours."""
        sides = sides_of(part, self.audit.model, self.words)
        self.used |= {mark for mark in MARKS if mark in f"{sides.left} {sides.yours} {sides.right}"}
        relation = "=" if sides.left else ""
        yours = Row(sides.left, (sides.yours,), note=self.words.phrases["yours"], relation=relation)
        if not sides.right:
            return (yours,)
        return yours, Row(sides.right_left, (sides.right,), note=self.words.phrases["theirs"], relation=relation)

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
        whole = _whole(finding)
        texts = [mistake_sentence(part, model, words) for part in whole or finding.parts]
        if len(texts) == 2 and whole:
            return words.say("several", first=texts[0], second=texts[1])
        return self.joined(texts)

    def detail_untold(self, finding: Finding) -> str:
        if finding.note == "shape":
            return note_sentence(finding, self.words)
        if self.audit.source != "formula" or not finding.parts:
            return self.words.phrases["bad"]
        terms = {part.term for part in finding.parts if part.term}
        if len(terms) > 1:
            return self.words.say("bad-terms", count=len(terms))
        return self.words.phrases["bad-term" if terms else "bad-missing"]

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
        return [fact_sentence(fact, self.words) for fact in shown_facts(finding, self.audit.told)]

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


def groups(audit: Audit) -> list[tuple[Finding, ...]]:
    """Findings that are not "right", those that say the same together; of a formula all that is said of a gradient."""
    found: dict[object, list[Finding]] = {}
    for finding in audit.findings:
        if finding.status == "right":
            continue
        known = finding.mistakes if audit.told else ()
        facts = () if known else shown_facts(finding, audit.told)
        key: object = (finding.status, known, finding.note, finding.shapes, facts)
        if audit.source == "formula":
            key = (finding.wrt, finding.status)
        found.setdefault(key, []).append(finding)
    together = audit.source == "formula"
    return [(_merged(same),) if together and len(same) > 1 else tuple(same) for same in found.values()]


def _merged(findings: Sequence[Finding]) -> Finding:
    """The findings of one formula as one."""
    parts = tuple(part for finding in findings for part in finding.parts)
    facts = tuple(dict.fromkeys(fact for finding in findings for fact in finding.facts))
    kind = findings[0].kind if len({finding.kind for finding in findings}) == 1 else "several"
    instance = next((finding.instance for finding in findings if finding.instance is not None), None)
    return replace(findings[0], parts=parts, facts=facts, kind=kind, instance=instance)


def _whole(finding: Finding) -> tuple[Part, ...]:
    """The parts that speak of the gradient as a whole; that all paths are missing does not, where there are terms."""
    terms = any(part.term for part in finding.parts)
    parts = (part for part in finding.parts if not part.route and not part.term)
    return tuple(part for part in parts if not (terms and part.mistake.code == "nothing"))


def shown_facts(finding: Finding, told: bool) -> tuple[Fact, ...]:
    """The facts that may be said; of what is not proved wrong none that says where the error is."""
    if finding.status != "wrong":
        return ()
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


def safe(name: str) -> str:
    """The name of a cell or its file in prose: no $, no control characters."""
    return re.sub(r"[^\w .,+()-]", "_", PurePath(name).name)


def _short(error: float) -> str:
    return number(error, 2)
