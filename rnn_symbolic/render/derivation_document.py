"""Derivations as a document: conventions, shared sections, the sections of each gradient, what was checked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby

from rnn_symbolic.blocks import highways
from rnn_symbolic.derivation import Derivation
from rnn_symbolic.expressions import Quantity
from rnn_symbolic.forms import Collected, PathSum, Rule, Step
from rnn_symbolic.graph import Path, state_blocks
from rnn_symbolic.model import Model
from rnn_symbolic.printing import latex_quantity, without_macros
from rnn_symbolic.render.conventions import conventions, highway_texts
from rnn_symbolic.render.document import Block, Box, Display, Document, Heading, Paragraph, Row
from rnn_symbolic.render.formulas import (
    form_latex,
    form_pieces,
    group_latex,
    product_pieces,
    route_latex,
    shape_brace,
    shorthand_latex,
    step_latex,
    step_pieces,
)
from rnn_symbolic.render.prose import Prose, prose
from rnn_symbolic.render.text import inline_text
from rnn_symbolic.render.words import count_text
from rnn_symbolic.sections import Part, Section
from rnn_symbolic.table import LocalRule
from rnn_symbolic.unicode import plain
from rnn_symbolic.verification import PROOF_PATHS, PROOF_STEPS, Check, Verification

DEPTHS = (1, 2, 3)
"""1: the result only; 2: the derivation; 3: a lecture, with every small move and a reason on every line."""
_ABSTRACT = (Part.SUM, Part.COLLECTED, Part.ADJOINT)


def derivation_document(
    derivations: Sequence[Derivation],
    *,
    language: str = "en",
    depth: int = 2,
    layout: str = "gradient",
    shapes: bool = False,
    verifications: Sequence[Verification] = (),
) -> Document:
    """One document for several derivations of one model; sections that they share are written once."""
    words = prose(language)
    model = derivations[0].model
    writer = _Writer(words, depth, derivations[0], shapes)
    goals = ", ".join(_math(d.goal) for d in derivations)
    several = len(derivations) > 1
    title = words.say("title-several", goals=goals) if several else words.say("title", goal=goals)
    steps = words.say("step-one") if model.steps == 1 else words.say("steps", T=model.steps)
    about = words.say("model", cell=model.cell.name, steps=steps)
    box = (about, *conventions(derivations[0].plan, words, layout))
    blocks: list[Block] = [Box(words.say("conventions"), box)]
    if depth > 1:
        for section in derivations[0].sections:
            if section.goal is None:
                blocks += writer.section(section)
                blocks += [Paragraph(text) for text in _highways(section, derivations[0], words)]
    ordered = False
    for derivation in derivations:
        if several:
            blocks.append(Heading(words.say("title-sub", goal=_math(derivation.goal))))
        result = derivation.result if isinstance(derivation.result, PathSum) else None
        for section in derivation.sections:
            if section.goal is not None and (depth > 1 or section.part in _ABSTRACT):
                blocks += writer.section(section, 2 if several else 1, result)
        if derivation.section(Part.PATHS).steps and not derivation.plan.graph(derivation.goal).recurs:
            blocks.append(Paragraph(words.say("no-recurrent")))
        elif model.form == "matrix" and depth > 1 and _slopes_between(derivation) and not ordered:
            ordered = True  # said once
            blocks.append(Paragraph(words.say("ordered")))
    if verifications:
        blocks.append(Box(words.say("checked"), checked(verifications, words, model)))
    return Document(title, tuple(blocks), language)


def _math(quantity: Quantity) -> str:
    return f"${latex_quantity(quantity)}$"


class _Writer:
    """Sections as blocks, in one language and at one depth."""

    def __init__(self, words: Prose, depth: int, derivation: Derivation, shapes: bool = False) -> None:
        self.words, self.depth, self.whole, self.plan = words, depth, derivation.whole, derivation.plan
        self.first_name = derivation.model.definitions[0].target.name
        self.matrix = derivation.model.form == "matrix"
        self.brace = shape_brace(derivation.model.names) if shapes and self.matrix else None
        self.introduced: set[tuple[Part, bool]] = set()
        self.written: set[Step] = set()  # lines of how a goal enters the state that stand in the document already

    def section(self, section: Section, level: int = 1, result: PathSum | None = None) -> list[Block]:
        """Heading, introduction, the lines; at depth 3 every line with its small moves and its reason."""
        goal = _math(section.goal) if section.goal is not None else ""
        count, gaps = (result.count, result.gaps) if result is not None else (0, ())
        if section.part is Part.ENTRIES:
            new = tuple(step for step in section.steps if step not in self.written)
            self.written.update(new)
            section = Section(section.part, new, section.goal)
            if not new:
                return []
        matrix_intro = self.words.matrix_intros.get(section.part) if self.matrix else None
        intro = (
            (matrix_intro or self.words.intros[section.part])
            .replace("<goal>", goal)
            .replace("<count>", count_text(count))
        )
        if section.part is Part.COLLECTED and _has_shorthand(section.steps[0]):
            intro += self.words.say("brace")
        blocks: list[Block] = [Heading(self.words.titles[section.part].replace("<goal>", goal), level)]
        if self.depth > 1 and section.steps[0].rule is not Rule.NO_PATH:
            blocks += self._introduction(section, intro, level)
        marked = _marked(section, gaps)
        if self.depth > 2:
            blocks += self._lecture(marked)
        else:
            blocks.append(Display(tuple(self._rows(marked, lambda step: [self._row(step)]))))
        if section.part is Part.PATHS and len(section.steps) < count:
            blocks.append(Paragraph(self.words.say("paths-shown", shown=len(section.steps), count=count_text(count))))
        if section.part is Part.COLLECTED:
            blocks += self._shorthand(section.steps[0])
        return blocks

    def _introduction(self, section: Section, intro: str, level: int) -> list[Block]:
        """What a section is about; in a document of several gradients it is said once, but for the number of paths."""
        key = (section.part, intro.endswith(self.words.say("brace")))
        if level == 1 or key not in self.introduced:
            self.introduced.add(key)
            return [Paragraph(intro)]
        return []

    def _rows(self, marked: Sequence[_Marked], draw: Callable[[Step], list[Row]]) -> Iterator[Row]:
        """The lines, with dots where an elided table leaves some out."""
        for step, left_out in marked:
            if left_out:
                yield Row("", (r"\vdots",), relation="")
            if step is not None:
                yield from draw(step)

    def _row(self, step: Step) -> Row:
        right = step_pieces(step, self.whole, self.brace)
        if isinstance(step.subject, Path):
            return Row("", right, margin=route_latex(step.subject, self.whole), relation="")
        if step.rule in (Rule.COLLECT, Rule.POWERS):
            assert isinstance(step.subject, Quantity)
            return Row(form_latex(self.plan.total(step.subject)), right)
        left = form_latex(step.before, self.whole)
        if step.rule in (Rule.CELL_EQUATION, Rule.STEP_LOSS):
            assert isinstance(step.subject, Quantity)
            # the first equation of a step says which step it is
            starts = step.subject.name == self.first_name and not step.subject.index
            return Row(left, right, margin=f"t = {step.subject.step}" if starts else "")
        return Row(left, right, note="" if step.rule is Rule.SUM_OVER_PATHS else self.words.rules[step.rule])

    def _lecture(self, marked: Sequence[_Marked]) -> list[Block]:
        """Lines with the same rule in one display, then the reason that they share."""
        blocks: list[Block] = []
        for rule, group in groupby(marked, key=lambda pair: pair[0].rule if pair[0] is not None else None):
            lines = list(group)
            blocks.append(Display(tuple(self._rows(lines, self._moves))))
            if rule is not None:
                steps = [step for step, _ in lines if step is not None]
                texts = rule_reason(rule, steps, self.words, self.matrix)
                moves = dict.fromkeys(small.rule for step in steps for small in step.substeps[1:])
                if len(moves) > 1:  # of small moves of several kinds, each has its own reason
                    texts += [text for move in moves for text in rule_reason(move, [], self.words, self.matrix)]
                blocks += [Paragraph(text) for text in texts]
        return blocks

    def _moves(self, step: Step) -> list[Row]:
        if step.rule in (Rule.COLLECT, Rule.POWERS):
            return [self._row(step)]
        first = step.substeps[0] if step.substeps else step
        row = self._row(first)
        if isinstance(step.subject, Path):
            if step.before == step.after:
                return [row]
            chain = Row("", form_pieces(step.before, self.whole), margin=row.margin, relation="")
            return [chain, Row("", form_pieces(step.after, self.whole, self.brace))]
        rest = step.substeps[1:]
        notes = len({small.rule for small in rest}) > 1  # small moves of several kinds say which each is
        return [
            row,
            *(
                Row("", step_pieces(small, self.whole, self.brace), note=self.words.rules[small.rule] if notes else "")
                for small in rest
            ),
        ]

    def _shorthand(self, step: Step) -> list[Block]:
        """What σ'^k W_h^{k−1} abbreviates, said with the longest path."""
        assert isinstance(step.after, PathSum)
        terms = [term for term in step.after.shown if isinstance(term, Collected) and term.groups]
        if not terms:  # powers of matrices: no slope stands between them
            return []
        longest = max(terms, key=lambda term: term.path.lag)
        short = shorthand_latex(longest.groups)
        slopes = sum(len(group.steps) for group in longest.groups if group.is_slope)
        if not short or slopes < 2:
            return []
        exact = "\\,".join(filter(None, map(group_latex, longest.groups)))
        text = self.words.say("shorthand", short=short, exact=exact, k=slopes)
        if longest.before:
            text += self.words.say("shorthand-before", before=product_pieces(longest.before))
        return [Paragraph(text)]


def rule_reason(rule: Rule, steps: Sequence[Step], words: Prose, matrix: bool) -> list[str]:
    """Why these lines hold, in a sentence; in matrix form also entry by entry."""
    subjects = [step.subject for step in steps if isinstance(step.subject, Quantity)]
    named = ", ".join(dict.fromkeys(map(_math, subjects)))
    times = ", ".join(dict.fromkeys("$t$" if q.index else str(q.step) for q in subjects))
    text = (words.matrix_reasons.get(rule) if matrix else None) or words.reasons[rule]
    proof = words.proofs.get(rule) if matrix else None
    return [text.replace("<subject>", named).replace("<step>", times), *([proof] if proof else [])]


def _slopes_between(derivation: Derivation) -> bool:
    """Whether slopes stand between the weights that repeat along time, so that no powers can be collected."""
    if derivation.plan.granularity == "step" or derivation.model.steps == 1:
        return False
    blocks = state_blocks(derivation.model)
    found = (blocks.at(p, q, 1) for p in blocks.states for q in blocks.states)
    return any({LocalRule.SLOPE, LocalRule.MATRIX} <= rules for block in found if block for _, rules in block.ways)


def _highways(section: Section, derivation: Derivation, words: Prose) -> list[str]:
    """What the Jacobian of the state holds without a weight, said once: with its blocks, or with the states."""
    if section.part is Part.BLOCKS:
        return highway_texts(derivation.model, words)
    if section.part is Part.STATES and derivation.plan.granularity != "step" and derivation.model.form == "matrix":
        has_one = derivation.model.cell.states and highways(state_blocks(derivation.model))
        return highway_texts(derivation.model, words) if has_one else []
    return []


_Marked = tuple[Step | None, bool]
"""A line, and whether others are left out before it; no line at the end of a list that goes on."""


def _marked(section: Section, gaps: tuple[int, ...]) -> list[_Marked]:
    if section.part is Part.PATHS:
        lines: list[_Marked] = [(step, i in gaps) for i, step in enumerate(section.steps)]
        return [*lines, (None, True)] if len(lines) in gaps else lines
    marked: list[_Marked] = []
    last: int | None = None
    for step in section.steps:
        q = step.subject
        at = q.step if isinstance(q, Quantity) and not q.index else None
        marked.append((step, last is not None and at is not None and abs(at - last) > 1))
        last = last if at is None else at
    return marked


def _has_shorthand(step: Step) -> bool:
    shown = step.after.shown if isinstance(step.after, PathSum) else ()
    return any(isinstance(term, Collected) and shorthand_latex(term.groups) for term in shown)


# --- what was checked ------------------------------------------------------------------------------------------------


def checked(verifications: Sequence[Verification], words: Prose, model: Model) -> tuple[str, ...]:
    """What was checked, over all derivations of the document."""
    items: list[str] = []
    for check in Check:
        findings = [(v.goal, f) for v in verifications for f in v.findings if f.check is check]
        failed = [(goal, f) for goal, f in findings if f.status == "failed"]
        passed = [f for _, f in findings if f.status == "passed"]
        for goal, f in failed:
            text = words.say("checked-failed", check=check.value, detail=_harmless(f.detail))
            items.append(f"{words.say('for-goal', goal=_math(goal))} {text}")
        if passed and not failed:
            values: dict[str, object] = {"number": count_text(sum(f.number for f in passed))}
            if check is not Check.COUNT:
                values["error"] = f"{max(f.error for f in passed):.0e}"
            if check is Check.LINES:
                values["seed"] = verifications[0].seed
            key = f"checked-{check.value}"
            if check is Check.SYMPY and not model.is_abstract:
                key += "-concrete"
            items.append(words.say(key, **({} if check in (Check.SYMPY, Check.STRUCTURE) else values)))
            if check is Check.SYMPY and model.form == "matrix":
                items.append(words.say("checked-size"))
            skipped = sum(f.skipped for f in passed)
            if skipped:
                items.append(words.say("checked-lines-skipped", skipped=skipped))
        if not passed and not failed and findings:
            if check is Check.SYMPY:
                softmax = findings[0][1].detail == "softmax"
                limits = {"T": PROOF_STEPS, "paths": PROOF_PATHS}
                items.append(
                    words.say("checked-sympy-softmax") if softmax else words.say("checked-sympy-skipped", **limits)
                )
            elif check is Check.COUNT:
                items.append(words.say("checked-count-skipped", number=count_text(sum(f.number for _, f in findings))))
            else:
                items.append(words.say("checked-none", detail=_harmless(findings[0][1].detail)))
        if not findings and check is Check.SYMPY and model.steps <= PROOF_STEPS:
            items.append(words.say("checked-sympy-hint", T=PROOF_STEPS))
    return tuple(items)


def _harmless(text: str) -> str:
    return text.replace("$", "")


def verification_json(verification: Verification) -> dict[str, object]:
    """What was checked of one derivation."""
    return {
        "passed": verification.passed,
        "seed": verification.seed,
        "findings": [
            {
                "check": f.check.value,
                "status": f.status,
                "number": f.number,
                "skipped": f.skipped,
                "error": f.error,
                "detail": f.detail,
            }
            for f in verification.findings
        ],
    }


# --- JSON ---------------------------------------------------------------------------------------------------------


def derivation_json(derivation: Derivation, language: str = "en") -> dict[str, object]:
    """The contract's keys: goal, steps with rule, latex, text, reason; result."""
    words = prose(language)
    matrix = derivation.model.form == "matrix"
    steps = []
    for section in derivation.sections:
        for step in section.steps:
            formula = step_latex(step, derivation.whole)
            steps.append(
                {
                    "section": section.part.value,
                    "rule": step.rule.value,
                    "latex": without_macros(formula),
                    "text": plain(formula),
                    "reason": inline_text(" ".join(rule_reason(step.rule, [step], words, matrix))),
                }
            )
    result = form_latex(derivation.result, derivation.whole)
    count = derivation.result.count if isinstance(derivation.result, PathSum) else 0
    return {
        "goal": str(derivation.goal),
        "form": derivation.model.form,
        "granularity": derivation.plan.granularity,
        "layout": derivation.plan.layout or None,
        "steps": steps,
        "result": {"latex": without_macros(result), "text": plain(result), "paths": count},
    }
