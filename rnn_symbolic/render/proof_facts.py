r"""What a theorem's words mention of the cell at hand: names, numbers of paths; and remarks."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from rnn_symbolic.expressions import Call, Quantity, walk
from rnn_symbolic.induction.layouts import readable
from rnn_symbolic.induction.proof import Proof
from rnn_symbolic.induction.records import Piece, Theorem, Topic, Why
from rnn_symbolic.induction.terms import (
    NOW,
    THEN,
    Place,
    Powers,
    Raised,
    Term,
    is_leaf,
    parts,
    rebuilt,
)
from rnn_symbolic.printing import latex, latex_quantity
from rnn_symbolic.render.proof_bounds import about_bound
from rnn_symbolic.render.proof_prose import ProofProse
from rnn_symbolic.render.terms import commutes, polynomial_latex, term_latex


def facts_of(theorem: Theorem, proof: Proof, words: ProofProse) -> dict[str, str]:
    """What fills the places of a theorem's words; "kind" chooses among the wordings."""
    model, free, kind = proof.model, commutes(proof.model), theorem.kind
    found: dict[str, str] = {}
    if theorem.topic in (Topic.GRADIENT, Topic.BACKWARD) and model.losses == "last" and kind != "outside":
        goal, lags, _ = kind.partition("-lags")
        kind = "last" if goal == "parameter" else f"{goal}-last{lags}"
    if theorem.topic in (Topic.TRANSITION, Topic.STATE):
        found["transition"] = latex(proof.chain.transition(NOW, THEN)) if proof.chain.joint else ""
    if theorem.topic is Topic.COUNT:
        found |= _facts_of_count(theorem, words)
    if theorem.topic is Topic.GRADIENT and proof.layout:
        found["layout"] = words.say(f"layout-{proof.layout}")
    q = theorem.facts.get("q")
    if q is not None:
        found["q"] = term_latex(q, free)  # type: ignore[arg-type]
    if theorem.topic is Topic.BOUND:
        found["slopes"] = words.say("slopes") if theorem.facts.get("activations") else ""
        found |= {"most": str(max(proof.chain.lags)), "transition": latex(proof.chain.transition(NOW, THEN))}
    if theorem.topic is Topic.DETACH:
        most = max(proof.chain.lags)
        found["held"] = words.say("held-one") if most == 1 else words.say("held-several", number=most)
    return {**found, "kind": kind}


def _facts_of_count(theorem: Theorem, words: ProofProse) -> dict[str, str]:
    order = theorem.facts["order"]
    assert isinstance(order, int) and theorem.goal is not None
    goal = "initial" if theorem.goal.step is not None and not theorem.goal.index else "lags"
    found = {
        "granularity": words.say(f"granularity-{theorem.facts['granularity']}"),
        "reaching": words.say(f"reaching-{goal}"),
        "order": str(order),
        "twice": str(2 * order),
    }
    recurrence = theorem.facts.get("recurrence")
    if recurrence is not None:
        coefficients = [Fraction(1), *(-c for c in recurrence)]  # type: ignore[attr-defined]
        found["polynomial"] = polynomial_latex(coefficients[::-1], Place("x"))
    return found


def remarks(theorem: Theorem, proof: Proof, words: ProofProse) -> Iterator[str]:
    """What is worth saying beside a theorem, as sentences."""
    match theorem.topic:
        case Topic.GRADIENT:
            yield from _about_gradient(theorem, proof, words)
        case Topic.COUNT:
            yield from _about_count(theorem, proof, words)
        case Topic.BACKWARD:
            count = next((t for t in proof.theorems if t.topic is Topic.COUNT), None)
            if theorem.kind == "parameter" and count is not None and _grows_fast(count):
                number = term_latex(count.claims[0].after, True)
                yield words.texts["remark-backward"].replace("<count>", f"${number}$")
        case Topic.BOUND:
            yield from about_bound(theorem, proof, words)
        case Topic.LAG | Topic.DETACH:
            dropped = r"T-\tau-1" if proof.model.losses == "last" else r"\frac{(T-\tau)\,(T-\tau-1)}{2}"
            kind = theorem.kind if proof.model.losses != "last" else f"{theorem.kind}-last"
            yield words.text("remark", theorem.topic, kind, dropped=f"${dropped}$", q=_q(theorem, proof))


def _grows_fast(count: Theorem) -> bool:
    """Whether there is a closed form, and it grows faster than the number of steps."""
    if count.kind == "recurrence":
        return False
    found = parts(count.claims[0].after)
    return any(isinstance(part, Raised) or (isinstance(part, Powers) and len(part.coefficients) > 2) for part in found)


def _q(theorem: Theorem, proof: Proof) -> str:
    q = theorem.facts.get("q")
    return "" if q is None else term_latex(q, commutes(proof.model))  # type: ignore[arg-type]


def _about_gradient(theorem: Theorem, proof: Proof, words: ProofProse) -> Iterator[str]:
    lines = theorem.part(Piece.CELL).lines
    if (
        proof.goal.step is None
        and any(line.why is Why.COLLECT for line in lines)
        and any(_is_slope(part) for line in lines for part in parts(line.after))
    ):
        yield words.texts["remark-gradient-collect"]
    elif proof.layout and lines and readable(proof.chain) and proof.chain.entries:
        recurrent = proof.chain.jacobian_worth()
        if any(_is_slope(node) for node in walk(recurrent)) and any(
            isinstance(node, Quantity) and node.step is None for node in walk(recurrent)
        ):
            yield words.texts["remark-gradient-ordered"]


def _is_slope(part: object) -> bool:
    if isinstance(part, Call):
        return part.order == 1
    return is_leaf(part) and any(isinstance(node, Call) and node.order for node in walk(part))  # type: ignore[arg-type]


def _about_count(theorem: Theorem, proof: Proof, words: ProofProse) -> Iterator[str]:
    states = theorem.facts["initial"]
    if not states or theorem.kind in ("recurrence", "ends"):
        return
    fewer = rebuilt(theorem.claims[0].after, _one_step_less)
    initial = ",\\,".join(latex_quantity(q) for q in proof.model.initial_states if q.name in states)  # type: ignore[operator]
    text = words.texts["remark-count-initial"].replace("<initial>", initial)
    yield text.replace("<remaining>", f"${term_latex(fewer, True)}$")


def _one_step_less(part: Term) -> Term:
    """Of N_T paths those that enter at step 1 are as many as step T has added: N_{T−1} remain."""
    match part:
        case Powers(coefficients, place):
            return Powers(coefficients, place.plus(-1))
        case Raised(base, Place() as exponent):
            return Raised(base, exponent.plus(-1))
    return part
