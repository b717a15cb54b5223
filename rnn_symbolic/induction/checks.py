r"""What is checked of a proof for every T: each line for T = 1 … 6, in readings that know nothing of each other.

- symbolic: for symbolic t and T, lines that are algebra have equal normal forms (the induction steps among them);
- words: letters that do not commute; equality there is equality for all matrices, from the premises alone;
- majorants: inequalities, with norms as letters; what holds by coefficients holds for all values;
- numbers: every named derivative by complex steps of the forward pass, at a random point with h_0 ≠ 0;
- derivation: the terms of the double sum against the paths of the explicit derivation, group by group;
- counts: the closed forms against dynamic programming, and short lists of paths;
- sympy, on request: the double sum from the table minus the explicit derivation expands to 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import Enum
from typing import Any

from rnn_symbolic.derivation import derive_gradient
from rnn_symbolic.errors import NumericalFailure
from rnn_symbolic.expressions import Quantity
from rnn_symbolic.forms import arranged
from rnn_symbolic.frozen import frozen
from rnn_symbolic.graph import resized
from rnn_symbolic.induction.bounds import activations_of, step_bound
from rnn_symbolic.induction.chain import Chain
from rnn_symbolic.induction.free import Letters
from rnn_symbolic.induction.gradient import double_sum
from rnn_symbolic.induction.lemma import lemma_letters
from rnn_symbolic.induction.proof import Proof, prove_gradient
from rnn_symbolic.induction.readings import TOLERANCE, Counts, Readings, SymPyReading, close, difference, less, size
from rnn_symbolic.induction.records import Line, Theorem, Topic, Why
from rnn_symbolic.induction.rings import Ring, Terms, worth
from rnn_symbolic.induction.slopes import PIECES, is_certified, slope_bound
from rnn_symbolic.induction.symbolic import symbolic_lines
from rnn_symbolic.induction.terms import Norm, Plus, Term
from rnn_symbolic.model import Model
from rnn_symbolic.paths import graph, iter_paths

MOST_STEPS = 6
"""Every statement is instantiated for T = 1 … MOST_STEPS."""
QUICK_STEPS = 3
"""… or to this T, where time matters."""
SYMPY_STEPS = 4
NO_VALUE = (ArithmeticError, AssertionError, LookupError, ValueError)
"""What the value of a spoiled line may raise: no such step or quantity, shapes that do not fit, a division by 0."""
MOST_LISTED = 500
INEQUALITIES = frozenset({Topic.BOUND, Topic.LAG, Topic.DETACH})


class ProofCheck(Enum):
    """What was checked; each value is the check's stable code."""

    STRUCTURE = "structure"
    SYMBOLIC = "symbolic"
    WORDS = "words"
    MAJORANTS = "majorants"
    NUMBERS = "numbers"
    DERIVATION = "derivation"
    COUNTS = "counts"
    SLOPES = "slopes"
    SYMPY = "sympy"


@frozen
class ProofFinding:
    """The outcome of one check: passed, failed or skipped; ``number`` instances were compared."""

    check: ProofCheck
    status: str
    number: int = 0
    error: float = 0.0
    detail: str = ""


@frozen
class ProofVerification:
    """All findings for one proof; `passed` when nothing failed, and words and numbers confirmed it."""

    goal: Quantity
    seed: int
    findings: tuple[ProofFinding, ...]
    most: int = MOST_STEPS  # the greatest T

    @property
    def passed(self) -> bool:
        """Nothing failed, and the gradient was compared with something independent of the table."""
        confirmed = {f.check for f in self.findings if f.status == "passed"}
        return ProofCheck.NUMBERS in confirmed and all(f.status != "failed" for f in self.findings)

    def finding(self, check: ProofCheck) -> ProofFinding | None:
        """The finding of one check, None when it was not made."""
        return next((f for f in self.findings if f.check is check), None)

    def __str__(self) -> str:
        rows = [f"dL/d{self.goal} for every T: {'passed' if self.passed else 'FAILED'} (seed {self.seed})"]
        for f in self.findings:
            error = f", relative error {f.error:.0e}" if f.error else ""
            rows.append(f"  {f.check.value:<10} {f.status}: {f.number}{error}{'; ' + f.detail if f.detail else ''}")
        return "\n".join(rows)

    def _repr_html_(self) -> str:
        from html import escape  # its table of names is long

        return f"<pre>{escape(str(self))}</pre>"


def verify_proofs(
    proofs: Sequence[Proof],
    *,
    symbolic: bool = False,
    seed: int = 0,
    most: int = MOST_STEPS,
    again: bool = True,
) -> tuple[ProofVerification, ...]:
    """Check several proofs of one model; theorems that they share are checked with the first.

    ``again`` makes the theorems once more and compares them, of no use for a proof that was made just now, and reads
    the inequalities exactly as well.
    """
    seen: list[Theorem] = []
    readings = Readings(seed)
    found = []
    for proof in proofs:
        own = [theorem for theorem in proof.theorems if not any(theorem is other for other in seen)]
        seen += own
        findings = [_structure(proof)] if again else []
        findings += [_symbolic(own), _words(proof, own, readings.terms, most)]
        findings += _majorants(proof, own, readings.terms, most) if again else []
        findings += _numbers(proof, own, readings, most)
        findings.append(_counts(proof, own, most))
        slopes = _slopes(own)
        findings += [slopes] if slopes is not None else []
        if symbolic:
            findings.append(_sympy(proof))
        found.append(ProofVerification(proof.goal, seed, tuple(findings), most))
    return tuple(found)


def model_of(proof: Proof, T: int) -> Model:
    """The model of a proof, unrolled for T steps."""
    return resized(proof.model, T)


def _structure(proof: Proof) -> ProofFinding:
    """The theorems are those that the cell's table gives, and each chain of lines ends where it should."""
    again = prove_gradient(
        proof.model, proof.goal, layout=proof.layout or "gradient", granularity=proof.granularity
    ).theorems
    number = len(proof.lines)
    for given, made in zip(proof.theorems, again, strict=False):
        if given != made or given.facts != made.facts:
            return ProofFinding(
                ProofCheck.STRUCTURE, "failed", number, detail=f"the theorem {given.topic.value} is not what follows"
            )
    if len(proof.theorems) != len(again):
        return ProofFinding(ProofCheck.STRUCTURE, "failed", number, detail="a theorem is missing, or doubled")
    return ProofFinding(ProofCheck.STRUCTURE, "passed", number)


# --- for symbolic t ---


def _symbolic(theorems: Iterable[Theorem]) -> ProofFinding:
    number, failed = 0, ""
    for theorem in theorems:
        for line, holds in symbolic_lines(theorem):
            number += 1
            failed = failed or ("" if holds else f"{theorem.topic.value}, {line.why.value}")
    return ProofFinding(ProofCheck.SYMBOLIC, "failed" if failed else "passed", number, detail=failed)


# --- words ----------------------------------------------------------------------------------------------------------


def _words(proof: Proof, theorems: Iterable[Theorem], terms: Terms, most: int) -> ProofFinding:
    number, failed = 0, ""
    chain, rings = proof.chain, dict[tuple[bool, int, int], Letters]()
    for theorem in theorems:
        if theorem.topic is Topic.COUNT:
            continue
        for line in theorem.lines:
            if not line.algebra or failed:
                continue
            for T in range(1 if _whole_sequence(line, terms) else most, most + 1):
                for env in line.instances({"T": T}):
                    key = (theorem.topic is Topic.LEMMA, T, env.get("s", 0))
                    if key not in rings:
                        rings[key] = lemma_letters(chain.lags, terms) if key[0] else chain.words(env, terms)
                    number += 1
                    failed = failed or _unequal(theorem, line, env, rings[key])
    return ProofFinding(ProofCheck.WORDS, "failed" if failed else "passed", number, detail=failed[:300])


def _unequal(theorem: Theorem, line: Line, env: dict[str, int], ring: Ring) -> str:
    """What is wrong with an equation in an exact ring, empty if nothing."""
    try:
        before, after = (worth(term, env, ring) for term in (line.before, line.after))
    except NO_VALUE as problem:
        return f"{_place(theorem, line, env)}: {_named(problem)}"
    return "" if before == after else f"{_place(theorem, line, env)}: {before} is not {after}"


def _named(problem: Exception) -> str:
    return f"{type(problem).__name__}: {problem}".removesuffix(": ")


def _whole_sequence(line: Line, terms: Terms) -> bool:
    """Whether a line depends on T; one that does not holds for fewer steps if it holds for more."""
    return terms.of(line.before).depends_on_last_step or terms.of(line.after).depends_on_last_step


def _place(theorem: Theorem, line: Line, env: dict[str, int]) -> str:
    at = ", ".join(f"{name} = {value}" for name, value in env.items())
    return f"{theorem.topic.value}, {line.why.value}, {at}"


# --- majorants ------------------------------------------------------------------------------------------------------


def _majorants(proof: Proof, theorems: Iterable[Theorem], terms: Terms, most: int) -> list[ProofFinding]:
    from rnn_symbolic.induction.majorants import is_covered

    number, failed = 0, ""
    for theorem in theorems:
        for line in theorem.lines:
            if line.relation != "<=":
                continue
            for T in range(1 if _whole_sequence(line, terms) else most, most + 1):
                for env in line.instances({"T": T}):
                    try:
                        holds = is_covered(proof.chain, line, env, proof.chain.words(env))
                    except NO_VALUE as problem:
                        failed = failed or f"{_place(theorem, line, env)}: {_named(problem)}"
                        continue
                    number += holds is not None
                    if holds is False:
                        failed = failed or f"{_place(theorem, line, env)}: not by the norms of the factors"
    status = "failed" if failed else "passed"
    return [ProofFinding(ProofCheck.MAJORANTS, status, number, detail=failed[:300])] if number or failed else []


# --- numbers --------------------------------------------------------------------------------------------------------


def _numbers(proof: Proof, theorems: Sequence[Theorem], readings: Readings, most: int) -> list[ProofFinding]:
    number, worst, failed = 0, 0.0, ""
    groups, off, wrong = 0, 0.0, ""
    compared, error, complaint = 0, 0.0, ""
    needs_calm = any(theorem.topic in INEQUALITIES for theorem in theorems)
    has_result = any(theorem.topic is Topic.GRADIENT for theorem in proof.theorems)
    try:
        for T in range(1, most + 1):
            model = readings.model(proof.model, T)
            ring = readings.of(model, proof.goal)
            quiet = readings.of(model, proof.goal, calm_by=step_bound(proof.chain)) if needs_calm else ring
            for theorem in theorems:
                if theorem.topic in (Topic.LEMMA, Topic.COUNT):
                    continue
                small = theorem.topic in (Topic.LAG, Topic.DETACH)
                for line in theorem.lines:
                    if most > T and not _whole_sequence(line, readings.terms):
                        continue
                    for env in line.instances({"T": T}):
                        reading = quiet if small or line.given is not None else ring
                        if line.given is not None and not _is_less_than_one(line.given, env, reading):
                            continue  # its premise does not hold at this point
                        before, after = (worth(term, env, reading) for term in (line.before, line.after))
                        number += 1
                        holds = less(before, after) if line.relation == "<=" else close(before, after)
                        holds = holds or _cancels(line, env, reading, before, after)
                        if line.relation == "=":
                            worst = max(worst, _error(before, after))
                        if not holds and not failed:
                            failed = f"{_place(theorem, line, env)}: {_short(before)} and {_short(after)}"
            if has_result:
                compared, error, complaint = _explicit(proof, ring, T)
            groups, off, wrong = groups + compared, max(off, error), wrong or complaint
    except NumericalFailure as failure:
        return [ProofFinding(ProofCheck.NUMBERS, "skipped", number, detail=str(failure))]
    except NO_VALUE as problem:
        failed = failed or _named(problem)
    return [
        ProofFinding(ProofCheck.NUMBERS, "failed" if failed else "passed", number, worst, failed[:300]),
        ProofFinding(ProofCheck.DERIVATION, "failed" if wrong else "passed", groups, off, wrong[:300]),
    ]


def _is_less_than_one(q: Term, env: dict[str, int], reading: Any) -> bool:
    """Whether q < 1, under which alone the geometric series is summed."""
    return float(size(worth(q, env, reading))) < 1


def _cancels(line: Line, env: dict[str, int], reading: Any, before: Any, after: Any) -> bool:
    """Whether what two sides differ by is rounding of the terms of a difference, as in ∂L/∂θ − [∂L/∂θ]_τ = 0."""
    sides = (side.of if isinstance(side, Norm) else side for side in (line.before, line.after))
    terms = [each for side in sides if isinstance(side, Plus) for each in side.terms]
    off = float(before) - float(after) if line.relation == "<=" else difference(before, after)
    return off <= TOLERANCE * max((size(worth(each, env, reading)) for each in terms), default=0.0)


def _error(before: Any, after: Any) -> float:
    return difference(before, after) / max(size(before), size(after), 1e-3)


def _short(value: Any) -> str:
    return " ".join(f"{value!r}".split())[:80]


def _explicit(proof: Proof, ring: Any, T: int) -> tuple[int, float, str]:
    """The double sum against the explicit derivation at T: its sum, and the paths of each loss and entry step."""
    model, chain = ring.model, proof.chain
    compared, worst, wrong = 0, 0.0, ""
    for s in range(1, T + 1) if chain.kind == "input" else (0,):
        env = {"T": T, "s": s}
        goal = Quantity(proof.goal.name, s) if s else proof.goal
        derivation = derive_gradient(model, goal, granularity="step")
        found = worth(proof.result.after, env, ring)
        explicit = derivation.result.number(ring.valuation)
        if proof.layout and proof.result.why in (Why.OUTER, Why.LAYOUT, Why.TABLE, Why.POWERS):
            explicit = arranged(ring.valuation.path_total(graph(model, goal, "step")).value, proof.layout)
        elif proof.model.form == "matrix" or not isinstance(explicit, float | int):
            explicit = as_row(ring.valuation.path_total(graph(model, goal, "step")).value)
        compared += 1
        worst = max(worst, _error(found, explicit))
        if not close(found, explicit):
            wrong = wrong or f"T = {T}: {_short(found)} and explicitly {_short(explicit)}"
    if chain.kind == "parameter" and chain.entries and chain.loss_lags == (0,) and not chain.loss_entries:
        for t, k, amount in ring.valuation.groups(graph(model, proof.goal, "step")):
            term = worth(_term_of(chain), {"T": T, "t": t, "k": k}, ring)
            expected = amount.value if isinstance(term, float) else as_row(amount.value)
            compared += 1
            if not close(term, expected):
                wrong = wrong or f"T = {T}, loss {t}, entry {k}: {_short(term)} and explicitly {_short(expected)}"
    return compared, worst, wrong


def _term_of(chain: Chain) -> Any:
    from rnn_symbolic.induction.gradient import product
    from rnn_symbolic.induction.terms import NOW, THEN, times

    return times(chain.reads(NOW), product(chain, NOW, THEN), chain.entry(THEN))


def as_row(gradient: Any) -> Any:
    """A gradient in its parameter's shape as the row ∂L/∂vec θ."""
    from rnn_symbolic.induction.readings import stacked_row

    return stacked_row(gradient)


# --- counts, slopes, SymPy ------------------------------------------------------------------------------------------


def _counts(proof: Proof, theorems: Iterable[Theorem], most: int) -> ProofFinding:
    number, failed = 0, ""
    ring = Counts(proof.model, proof.goal, proof.granularity)
    for theorem in theorems:
        if theorem.topic is not Topic.COUNT:
            continue
        # a recurrence begins to say something beyond its initial values
        further = len(theorem.claims) + 1 if theorem.kind == "recurrence" else 0
        for T in range(1, most + further + 1):
            for line in theorem.lines:
                for env in line.instances({"T": T}):
                    number += 1
                    failed = failed or _unequal(theorem, line, env, ring)
            goal = Quantity(proof.goal.name, 1) if proof.goal.index else proof.goal
            model = model_of(proof, T)
            counted = graph(model, goal, proof.granularity).count()
            if counted <= MOST_LISTED and counted != sum(1 for _ in iter_paths(model, goal, proof.granularity)):
                failed = failed or f"T = {T}: {counted} paths counted, and not as many listed"
    return ProofFinding(ProofCheck.COUNTS, "failed" if failed else "passed", number, detail=failed[:300])


def _slopes(theorems: Iterable[Theorem]) -> ProofFinding | None:
    """γ of every smooth activation that a bound mentions: no critical point is missed, γ ± φ' is nowhere negative."""
    names = [
        name
        for theorem in theorems
        if theorem.topic is Topic.BOUND and "q" in theorem.facts
        for name in activations_of(theorem.facts["q"])  # type: ignore[arg-type]
        if name != "sigma" and name not in PIECES
    ]
    if not names:
        return None
    wrong = [name for name in names if not is_certified(slope_bound(name))]
    return ProofFinding(ProofCheck.SLOPES, "failed" if wrong else "passed", len(names), detail=", ".join(wrong))


def _sympy(proof: Proof) -> ProofFinding:
    """The double sum, from the table, minus the explicit derivation: 0 after ``expand``, for small T."""
    import sympy as sp

    chain = Chain(proof.model, proof.goal, style="table")
    if proof.model.form == "matrix" or (chain.entries and not (chain.single and not chain.joint.startswith("("))):
        return ProofFinding(ProofCheck.SYMPY, "skipped", detail="for one scalar state that looks back one step")
    number, ring = 0, SymPyReading()
    term = proof.result.after if proof.result.why in (Why.TABLE, Why.COLLECT, Why.POWERS) else double_sum(chain)
    for T in range(1, SYMPY_STEPS + 1):
        for s in range(1, T + 1) if chain.kind == "input" else (0,):
            model = model_of(proof, T)
            goal = Quantity(proof.goal.name, s) if s else proof.goal
            explicit = derive_gradient(model, goal).result.value(model)
            difference = sp.expand(worth(term, {"T": T, "s": s}, ring) - explicit)
            number += 1
            if difference != 0:
                return ProofFinding(ProofCheck.SYMPY, "failed", number, detail=f"T = {T}: not zero")
    return ProofFinding(ProofCheck.SYMPY, "passed", number)
