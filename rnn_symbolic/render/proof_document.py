"""Proofs for every T as a document: the cell and one step of it, lemma, theorems, what was checked; and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rnn_symbolic.expressions import Quantity, walk
from rnn_symbolic.forms import Step
from rnn_symbolic.graph import Graph
from rnn_symbolic.induction.checks import SYMPY_STEPS, ProofCheck, ProofVerification
from rnn_symbolic.induction.proof import Proof
from rnn_symbolic.induction.records import Line, Part, Piece, Theorem, Topic, Why
from rnn_symbolic.induction.terms import Term
from rnn_symbolic.model import Model
from rnn_symbolic.printing import latex, latex_quantity, without_macros
from rnn_symbolic.render.conventions import conventions
from rnn_symbolic.render.document import Block, Box, Display, Document, Heading, Paragraph, Row
from rnn_symbolic.render.formulas import form_latex, step_pieces
from rnn_symbolic.render.proof_bounds import gamma_facts
from rnn_symbolic.render.proof_facts import facts_of, remarks
from rnn_symbolic.render.proof_prose import ProofProse, proof_prose
from rnn_symbolic.render.prose import prose
from rnn_symbolic.render.terms import commutes, line_latex, range_latex, term_latex, term_pieces
from rnn_symbolic.render.text import inline_text
from rnn_symbolic.sections import Plan, block_section, entry_section, immediate_section
from rnn_symbolic.unicode import plain


def proof_document(
    proofs: Sequence[Proof], *, language: str = "en", verifications: Sequence[ProofVerification] = ()
) -> Document:
    """One document for the proofs of one model; theorems that they share are written once."""
    words = proof_prose(language)
    several = len(proofs) > 1
    goal = _math(proofs[0].goal)
    title = words.say("title-several") if several else words.say("title", goal=goal[1:-1])
    blocks: list[Block] = [Box(prose(language).say("conventions"), _conventions(proofs[0], words, language))]
    blocks += _one_step(proofs, words, language)
    written: list[Theorem] = []
    for proof in proofs:
        for theorem in proof.theorems:
            if not any(theorem is other for other in written):
                written.append(theorem)
                blocks += _Writer(proof, words, language).theorem(theorem, len(written))
    if verifications:
        blocks.append(Box(words.say("checked"), checked(verifications, words)))
    return Document(title, tuple(blocks), language)


def _math(goal: Quantity) -> str:
    return f"${latex_quantity(goal)}$"


def _conventions(proof: Proof, words: ProofProse, language: str) -> tuple[str, ...]:
    """What a reader must know: the derivation's conventions, then indices, orders, empty sums."""
    model, free = proof.model, commutes(proof.model)
    plan = Plan(model, "step", proof.layout)
    items = [words.say("cell", cell=model.cell.name)]
    items += conventions(plan, prose(language), proof.layout or "gradient")
    items.append(words.say("indices"))
    if not free or (proof.chain.entries and not proof.chain.single):  # of several lags there are matrices
        items += [words.say("order"), words.say("norm")]
    if proof.chain.late:
        items.append(words.say("late"))
    items.append(words.say("empty", one=words.say("identity" if free else "identity-matrix")))
    return tuple(items)


def _one_step(proofs: Sequence[Proof], words: ProofProse, language: str) -> Iterator[Block]:
    """The equations of one step, and every derivative within it, expanded once."""
    model = proofs[0].model
    rules = prose(language).rules
    yield Heading(words.say("blocks-title"))
    yield Paragraph(words.say("blocks-intro"))
    yield Display(tuple(Row(latex(e.target), (latex(e.expression),)) for e in model.definitions))
    plan = Plan(model, "step", proofs[0].layout)

    def row(step: Step) -> Row:
        return Row(form_latex(step.before), step_pieces(step), note=rules[step.rule])

    shared = block_section(plan).steps
    if shared:
        yield Paragraph(words.say("blocks-table"))
        yield Display(tuple(map(row, shared)))
    seen: set[Step] = set(shared)
    for proof in proofs:
        if proof.chain.kind == "initial":
            continue
        goal = proof.goal if proof.goal.step is None else Quantity(proof.goal.name, 0, "t")
        entered = entry_section(plan, Graph(model, goal, "step")).steps
        blocks = (*proof.chain.entries, *proof.chain.loss_entries)
        named = {node for block in blocks for partial in block.partials for node in walk(partial)}
        rows = (step for step in immediate_section(plan).steps if step.before.expression in named)  # type: ignore[union-attr]
        new = [step for step in (*entered, *rows) if step not in seen]
        seen.update(new)
        if new:
            yield Paragraph(words.say("entry", goal=_math(goal)))
            yield Display(tuple(map(row, new)))


class _Writer:
    """Theorems as blocks."""

    def __init__(self, proof: Proof, words: ProofProse, language: str) -> None:
        self.proof, self.words, self.language = proof, words, language
        self.free = commutes(proof.model)

    def theorem(self, theorem: Theorem, number: int) -> Iterator[Block]:
        """Title, statement, idea, the parts of the proof, remarks."""
        words, goal = self.words, theorem.goal or self.proof.goal
        facts = facts_of(theorem, self.proof, words)
        kind = facts.pop("kind")
        named = {"goal": _math(goal), **facts}
        title = words.titles[theorem.topic].replace("<goal>", _math(goal))
        what = "lemma" if theorem.topic is Topic.LEMMA else "theorem"
        yield Heading(words.say(what, number=number, title=title))
        statement = words.text("statement", theorem.topic, kind, **named)
        if statement:
            yield Paragraph(statement)
        yield Display(tuple(self._claims(theorem.claims)))
        idea = words.text("idea", theorem.topic, kind, **named)
        if idea and theorem.parts:
            yield Paragraph(words.say("idea", text=idea))
        elif idea:
            yield Paragraph(idea)
        for part in theorem.parts:
            yield from self._part(theorem, part, kind, named)
        for text in remarks(theorem, self.proof, words):
            yield Paragraph(words.say("remark", text=text))

    def _claims(self, lines: Sequence[Line]) -> Iterator[Row]:
        """What is claimed, with the steps for which it holds, said once."""
        before = None
        for line in lines:
            continues = before is not None and before.after == line.before
            note = self._holds(line, with_range=not continues)
            yield self._row(line, None if continues else line.before, note)
            before = line

    def _holds(self, line: Line, with_range: bool) -> str:
        """For which steps a line holds, and under which condition."""
        pieces = [f"${range_latex(line.ranges)}$"] if with_range and line.ranges else []
        if line.given is not None:
            pieces.append(self.words.say("given", q=term_latex(line.given, self.free)))
        return ", ".join(pieces)

    def _row(self, line: Line, left: object, note: str) -> Row:
        shown = "" if left is None else term_latex(line.before, self.free)
        relation = r"\le" if line.relation == "<=" else "="
        return Row(shown, term_pieces(line.after, self.free), note=note, relation=relation)

    def _part(self, theorem: Theorem, part: Part, kind: str, named: dict[str, str]) -> Iterator[Block]:
        words = self.words
        what = f"{part.piece.value}-{part.key}" if part.key else part.piece.value
        if part.piece is Piece.CELL and theorem.topic is Topic.GRADIENT:
            kind = "layout" if self.proof.layout else "table"
        text = words.text(what, theorem.topic, kind, **named)
        first = next((other for other in theorem.parts if other.piece is part.piece), part)
        # a proof in two parts is one proof
        label = "" if part.piece is Piece.DIRECT and first is not part else words.pieces[part.piece]
        if text or (label and part.lines):
            yield Paragraph(words.say("proof", label=label, text=text).strip())
        if part.lines:
            yield Display(tuple(self._chain(part, theorem)))

    def _chain(self, part: Part, theorem: Theorem) -> Iterator[Row]:
        """Lines that continue one another share their left-hand side; a range stands where the words do not say it."""
        before = None
        claimed = [claim.ranges for claim in theorem.claims]
        for line in part.lines:
            continues = before is not None and before.after == line.before
            said = part.piece in (Piece.BASE, Piece.STEP) or (
                part.piece is not Piece.PREMISES and line.ranges in claimed
            )
            holds = self._holds(line, with_range=not said)
            note = ", ".join(text for text in (self.words.rules[line.why], holds) if text)
            yield self._row(line, None if continues else line.before, note)
            before = line


# --- what was checked -----------------------------------------------------------------------------------------------


def checked(verifications: Sequence[ProofVerification], words: ProofProse) -> tuple[str, ...]:
    """What was checked, over all proofs of the document."""
    items: list[str] = []
    for check in ProofCheck:
        findings = [(v.goal, f) for v in verifications for f in v.findings if f.check is check]
        failed = [(goal, f) for goal, f in findings if f.status == "failed"]
        passed = [f for _, f in findings if f.status == "passed"]
        for goal, f in failed:
            text = words.say("checked-failed", check=check.value, detail=f.detail.replace("$", ""))
            items.append(f"{words.say('for-goal', goal=_math(goal))} {text}")
        if failed:
            continue
        if passed:
            text = words.phrases[f"checked-{check.value}"]
            steps = SYMPY_STEPS if check is ProofCheck.SYMPY else verifications[0].most
            places = {
                "number": f"{sum(f.number for f in passed):,}",
                "error": f"{max(f.error for f in passed):.0e}",
                "seed": verifications[0].seed,
                "T": steps,
            }
            for name, value in places.items():
                text = text.replace(f"<{name}>", str(value))
            items.append(text)
        elif findings and check is ProofCheck.SYMPY:
            items.append(words.say("checked-sympy-skipped"))
        elif findings:
            detail = findings[0][1].detail.replace("$", "")
            items.append(words.say("checked-skipped", check=check.value, detail=detail))
    return tuple(items)


def proof_verification_json(verification: ProofVerification) -> dict[str, object]:
    """What was checked of one proof."""
    return {
        "passed": verification.passed,
        "steps": verification.most,
        "seed": verification.seed,
        "findings": [
            {"check": f.check.value, "status": f.status, "number": f.number, "error": f.error, "detail": f.detail}
            for f in verification.findings
        ],
    }


# --- JSON -----------------------------------------------------------------------------------------------------------


def proof_json(proof: Proof, language: str = "en") -> dict[str, object]:
    """The contract's keys of `derive`: goal, steps with rule, latex, text, reason; result. And the theorem of each."""
    words, model = proof_prose(language), proof.model
    steps = []
    for number, theorem in enumerate(proof.theorems, 1):
        parts = [("claim", line) for line in theorem.claims]
        parts += [(part.piece.value, line) for part in theorem.parts for line in part.lines]
        for part, line in parts:
            steps.append(
                {
                    "theorem": theorem.topic.value,
                    "number": number,
                    "part": part,
                    "rule": line.why.value,
                    **_formula(line, model),
                    "range": plain(range_latex(line.ranges)),
                    "given": None if line.given is None else _less_than_one(line.given, model)["text"],
                    "reason": inline_text(words.reasons[line.why]),
                }
            )
    return {
        "goal": _goal_name(proof.goal),
        "form": model.form,
        "granularity": proof.granularity,
        "layout": proof.layout or None,
        "steps": steps,
        "theorems": [
            {
                "theorem": theorem.topic.value,
                "number": number,
                "statement": [_formula(c, model) for c in theorem.claims],
                "hypotheses": hypotheses(theorem, model),
                "gamma": [gamma_facts(name) for name in _activations(theorem) if name != "sigma"],
                "remarks": [inline_text(text) for text in remarks(theorem, proof, words)],
            }
            for number, theorem in enumerate(proof.theorems, 1)
        ],
        "result": _formula(proof.result, model),
        "paths": term_latex(proof.theorem(Topic.COUNT).claims[0].after, True),
    }


def _activations(theorem: Theorem) -> tuple[str, ...]:
    """The activations whose γ a bound derives."""
    found = theorem.facts.get("activations", ())
    assert isinstance(found, tuple)
    return found


def hypotheses(theorem: Theorem, model: Model) -> list[dict[str, str]]:
    """What a theorem supposes beyond the cell: that a bound is less than 1, that the slope of σ is bounded."""
    given = dict.fromkeys(line.given for line in theorem.lines if line.given is not None)
    found = [_less_than_one(q, model) for q in given]
    if "sigma" in _activations(theorem):
        tex = r"\gamma = \sup |\sigma'| \ne \infty"
        found.insert(0, {"latex": tex, "text": plain(tex)})
    return found


def _less_than_one(q: Term, model: Model) -> dict[str, str]:
    tex = f"{term_latex(q, commutes(model))} < 1"
    return {"latex": tex, "text": plain(tex)}


def _goal_name(goal: Quantity) -> str:
    """W_x, h_0, x_s."""
    return f"{goal.name}_{goal.index}" if goal.index else str(goal)


def _formula(line: Line, model: Model) -> dict[str, str]:
    tex = line_latex(line, model)
    return {"latex": without_macros(tex), "text": plain(tex)}


__all__ = ["Why", "checked", "proof_document", "proof_json", "proof_verification_json"]
