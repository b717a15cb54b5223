"""Derivations as a document: conventions, shared sections, the sections of each gradient, what was checked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from rnn_symbolic.derivation import ELIDE_ABOVE, Derivation, Part, Section
from rnn_symbolic.equations import Equation
from rnn_symbolic.expressions import Call, Expression, Quantity, walk
from rnn_symbolic.forms import Collected, PathSum, Rule, Step, total
from rnn_symbolic.functions import FUNCTIONS, slope
from rnn_symbolic.model import Model
from rnn_symbolic.paths import Path
from rnn_symbolic.printing import latex, latex_quantity, plain
from rnn_symbolic.render.document import Block, Box, Display, Document, Heading, Paragraph, Row
from rnn_symbolic.render.formulas import (
    form_latex,
    form_pieces,
    group_latex,
    route_latex,
    shorthand_latex,
    step_latex,
)
from rnn_symbolic.render.prose import Prose, prose
from rnn_symbolic.render.text import inline_text
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
    verifications: Sequence[Verification] = (),
) -> Document:
    """One document for several derivations of one model; sections that they share are written once."""
    words = prose(language)
    model = derivations[0].model
    writer = _Writer(words, depth, derivations[0])
    goals = ", ".join(_math(d.goal) for d in derivations)
    several = len(derivations) > 1
    title = words.say("title-several", goals=goals) if several else words.say("title", goal=goals)
    steps = words.say("step-one") if model.steps == 1 else words.say("steps", T=model.steps)
    about = words.say("model", cell=model.cell.name, steps=steps)
    box = (about, *conventions(model, words, layout, derivations[0].whole))
    blocks: list[Block] = [Box(words.say("conventions"), box)]
    if depth > 1:
        for section in derivations[0].sections:
            if section.goal is None:
                blocks += writer.section(section)
    for derivation in derivations:
        if several:
            blocks.append(Heading(words.say("title-sub", goal=_math(derivation.goal))))
        count = derivation.result.count if isinstance(derivation.result, PathSum) else 0
        for section in derivation.sections:
            if section.goal is not None and (depth > 1 or section.part in _ABSTRACT):
                blocks += writer.section(section, level=2 if several else 1, count=count)
        if not derivation.section(Part.COLLECTED).steps and derivation.section(Part.PATHS).steps:
            blocks.append(Paragraph(words.say("no-recurrent")))
    if verifications:
        blocks.append(Box(words.say("checked"), checked(verifications, words)))
    return Document(title, tuple(blocks), language)


def _math(quantity: Quantity) -> str:
    return f"${latex_quantity(quantity)}$"


class _Writer:
    """Sections as blocks, in one language and at one depth."""

    def __init__(self, words: Prose, depth: int, derivation: Derivation) -> None:
        self.words, self.depth, self.whole = words, depth, derivation.whole
        self.first_name = derivation.model.definitions[0].target.name

    def section(self, section: Section, level: int = 1, count: int = 0) -> list[Block]:
        """Heading, introduction, the lines; at depth 3 every line with its small moves and its reason."""
        goal = _math(section.goal) if section.goal is not None else ""
        intro = self.words.intros[section.part].replace("<goal>", goal).replace("<count>", str(count))
        blocks: list[Block] = [Heading(self.words.titles[section.part].replace("<goal>", goal), level)]
        if self.depth > 1:
            blocks.append(Paragraph(intro))
        if self.depth > 2:
            blocks += self._lecture(section)
        else:
            blocks.append(Display(tuple(self._rows(section.steps))))
        if section.part is Part.PATHS and len(section.steps) < count:
            blocks.append(Paragraph(self.words.say("paths-shown", shown=len(section.steps), count=count)))
        if section.part is Part.COLLECTED:
            blocks += self._shorthand(section.steps[0])
        return blocks

    def _rows(self, steps: Sequence[Step]) -> Iterator[Row]:
        """The lines, with dots where an elided table leaves steps out."""
        last: tuple[int, int] | None = None
        for step in steps:
            place = _place(step)
            if last is not None and place is not None and _apart(last, place):
                yield Row("", (r"\vdots",), relation="")
            last = place or last
            yield self._row(step)

    def _row(self, step: Step) -> Row:
        right = form_pieces(step.after, self.whole)
        if isinstance(step.subject, Path):
            return Row("", right, margin=route_latex(step.subject, self.whole), relation="")
        if step.rule is Rule.COLLECT:
            assert isinstance(step.subject, Quantity)
            return Row(form_latex(total(step.subject)), right)
        left = form_latex(step.before, self.whole)
        if step.rule in (Rule.CELL_EQUATION, Rule.STEP_LOSS):
            assert isinstance(step.subject, Quantity)
            starts = step.subject.name == self.first_name  # the first equation of a step says which step it is
            return Row(left, right, margin=f"t = {step.subject.step}" if starts else "")
        return Row(left, right, note="" if step.rule is Rule.SUM_OVER_PATHS else self.words.rules[step.rule])

    def _lecture(self, section: Section) -> list[Block]:
        """Lines with the same rule in one display, then the reason that they share."""
        blocks: list[Block] = []
        for rule, group in groupby(section.steps, key=lambda step: step.rule):
            steps = list(group)
            blocks.append(Display(tuple(row for step in steps for row in self._moves(step))))
            blocks.append(Paragraph(self.reason(rule, steps)))
        return blocks

    def _moves(self, step: Step) -> list[Row]:
        if step.rule is Rule.COLLECT:
            return [self._row(step)]
        first = step.substeps[0] if step.substeps else step
        row = self._row(first)
        if isinstance(step.subject, Path):
            if step.before == step.after:
                return [row]
            chain = Row("", form_pieces(step.before, self.whole), margin=row.margin, relation="")
            return [chain, Row("", form_pieces(step.after, self.whole))]
        return [row, *(Row("", form_pieces(small.after, self.whole), relation="=") for small in step.substeps[1:])]

    def reason(self, rule: Rule, steps: Sequence[Step]) -> str:
        """Why these lines hold, in a sentence."""
        subjects = [step.subject for step in steps if isinstance(step.subject, Quantity)]
        named = ", ".join(dict.fromkeys(map(_math, subjects)))
        times = ", ".join(dict.fromkeys(str(q.step) for q in subjects))
        return self.words.reasons[rule].replace("<subject>", named).replace("<step>", times)

    def _shorthand(self, step: Step) -> list[Block]:
        """What σ'^k W_h^{k−1} abbreviates, said with the longest path."""
        assert isinstance(step.after, PathSum)
        terms = [term for term in step.after.shown if isinstance(term, Collected) and term.groups]
        longest = max(terms, key=lambda term: term.path.lag)
        short = shorthand_latex(longest.groups)
        slopes = max((len(group.steps) for group in longest.groups if group.is_slope), default=0)
        if not short or slopes < 2:
            return []
        exact = "\\,".join(filter(None, map(group_latex, longest.groups)))
        return [Paragraph(self.words.say("shorthand", short=short, exact=exact, k=slopes))]


def _apart(a: tuple[int, int], b: tuple[int, int]) -> bool:
    return max(abs(a[0] - b[0]), abs(a[1] - b[1]) if a[0] == b[0] else 0) > 1


def _place(step: Step) -> tuple[int, int] | None:
    """Where a line stands in its table: its step, or the loss step and lag of its path."""
    if isinstance(step.subject, Path):
        return step.subject.loss_step, step.subject.lag
    if step.subject is None or step.subject.step is None or step.subject.index:
        return None
    return step.subject.step, 0


# --- the boxes ----------------------------------------------------------------------------------------------------


def conventions(model: Model, words: Prose, layout: str, whole: bool) -> tuple[str, ...]:
    """What a reader must know before the first formula."""
    items = [words.say("scalar", layout=words.say(f"layout-{layout}")), words.say("partials")]
    items += _activations(model, words)
    if model.loss in ("cross-entropy", "cell"):
        items.append(words.say(f"loss-{model.loss}", formula=latex(model.definitions[-1].expression)))
    else:
        items.append(words.say(f"loss-{model.loss}"))
    items.append(words.say(f"losses-{model.losses}"))
    items.append(words.say("lag"))
    if model.steps > ELIDE_ABOVE and not whole:
        items.append(words.say("elision"))
    return tuple(items)


def _activations(model: Model, words: Prose) -> list[str]:
    """The functions that the model uses, each with its derivative."""
    items: list[str] = []
    used = {
        (node.function, equation.target.name == "y")
        for equation in model.definitions[:-1]
        for node in walk(equation.expression)
        if isinstance(node, Call)
    }
    hidden = sorted(name for name, at_output in used if not at_output)
    output = sorted(name for name, at_output in used if at_output and name not in hidden)
    if ("sigma", True) in used or ("sigma", False) in used:
        before = next((e for e in model.definitions if e.expression in _sigma_of_a_name(e)), None)
        a, h = (before.expression.argument, before.target) if before is not None else (None, None)  # type: ignore[union-attr]
        shown = (latex(a), latex(h)) if a is not None and h is not None else ("z", "\\sigma(z)")
        items.append(words.say("abstract-activation", a=shown[0], h=shown[1]))
    for prefix, names in (("", hidden), ("output-", output)):
        for name in names:
            if name != "sigma":
                items += _activation(name, prefix, words)
    if model.activation == "identity":
        items.append(words.say("activation-identity"))
    if model.output_activation == "identity" != model.activation:
        items.append(words.say("output-activation-identity"))
    return items


def _sigma_of_a_name(equation: Equation) -> tuple[Expression, ...]:
    """The right-hand side when it is σ of a named quantity, such as h = σ(a)."""
    e = equation.expression
    return (e,) if isinstance(e, Call) and e.function == "sigma" and isinstance(e.argument, Quantity) else ()


def _activation(name: str, prefix: str, words: Prose) -> list[str]:
    function = FUNCTIONS[name]
    symbol = function.latex
    if function.slope == "formula":
        written = latex(slope(name, Quantity("z")))
        return [words.say(f"{prefix}activation-formula", symbol=latex(Call(name, Quantity("z"))), slope=written)]
    items = [words.phrases[f"{prefix}activation"].replace("<symbol>", symbol).replace("<slope>", function.slope_latex)]
    if function.kinks:
        items.append(words.phrases["kink"].replace("<symbol>", symbol))
    return items


def checked(verifications: Sequence[Verification], words: Prose) -> tuple[str, ...]:
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
            values: dict[str, object] = {"number": sum(f.number for f in passed)}
            if check is not Check.COUNT and check is not Check.SYMPY:
                values["error"] = f"{max(f.error for f in passed):.0e}"
            if check is Check.LINES:
                values["seed"] = verifications[0].seed
            items.append(words.say(f"checked-{check.value}", **({} if check is Check.SYMPY else values)))
            skipped = sum(f.skipped for f in passed)
            if skipped:
                items.append(words.say("checked-lines-skipped", skipped=skipped))
        if not passed and not failed and findings:
            if check is Check.SYMPY:
                items.append(words.say("checked-sympy-skipped", T=PROOF_STEPS, paths=PROOF_PATHS))
            else:
                items.append(words.say("checked-none", detail=_harmless(findings[0][1].detail)))
        if not findings and check is Check.SYMPY:
            items.append(words.say("checked-sympy-hint"))
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
    writer = _Writer(words, 3, derivation)
    steps = []
    for section in derivation.sections:
        for step in section.steps:
            formula = step_latex(step, derivation.whole)
            steps.append(
                {
                    "section": section.part.value,
                    "rule": step.rule.value,
                    "latex": formula,
                    "text": plain(formula),
                    "reason": inline_text(writer.reason(step.rule, [step])),
                }
            )
    result = form_latex(derivation.result, derivation.whole)
    count = derivation.result.count if isinstance(derivation.result, PathSum) else 0
    return {
        "goal": str(derivation.goal),
        "steps": steps,
        "result": {"latex": result, "text": plain(result), "paths": count},
    }
