r"""What a theorem's words mention of the cell at hand: names, numbers of paths, how γ is derived; and remarks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction

from rnn_symbolic.expressions import Call, Quantity, walk
from rnn_symbolic.functions import FUNCTIONS
from rnn_symbolic.induction.bounds import activations_of, can_be_small
from rnn_symbolic.induction.layouts import readable
from rnn_symbolic.induction.proof import Proof
from rnn_symbolic.induction.records import Piece, Theorem, Topic, Why
from rnn_symbolic.induction.slopes import PIECES, Bound, Polynomial, slope_bound
from rnn_symbolic.induction.terms import (
    NOW,
    THEN,
    Gamma,
    Norm,
    Place,
    Powers,
    Raised,
    Term,
    Times,
    is_leaf,
    parts,
    rebuilt,
)
from rnn_symbolic.printing import THIN, latex, latex_function, latex_quantity
from rnn_symbolic.render.proof_prose import ProofProse
from rnn_symbolic.render.terms import commutes, polynomial_latex, term_latex

RADIUS_MATRIX = r"\begin{pmatrix} 2 & -2 \\ 2 & -2 \end{pmatrix}"
"""Its square is 0, and yet products of it with slopes between grow."""


def facts_of(theorem: Theorem, proof: Proof, words: ProofProse) -> dict[str, str]:
    """What fills the places of a theorem's words; "kind" chooses among the wordings."""
    model, free, kind = proof.model, commutes(proof.model), theorem.kind
    found: dict[str, str] = {}
    if theorem.topic in (Topic.GRADIENT, Topic.BACKWARD) and kind.startswith("parameter") and model.losses == "last":
        kind = "last"
    if theorem.topic in (Topic.TRANSITION, Topic.STATE):
        found["transition"] = latex(proof.chain.transition(NOW, THEN)) if proof.chain.joint else ""
    if theorem.topic is Topic.COUNT:
        found["granularity"] = words.say(f"granularity-{theorem.facts['granularity']}")
        found["new"] = words.say("new-last" if model.losses == "last" else "new-all")
    if theorem.topic is Topic.GRADIENT and proof.layout:
        found["layout"] = words.say(f"layout-{proof.layout}")
    q = theorem.facts.get("q")
    if q is not None:
        found["q"] = term_latex(q, free)  # type: ignore[arg-type]
    return {**found, "kind": kind}


def remarks(theorem: Theorem, proof: Proof, words: ProofProse) -> Iterator[str]:
    """What is worth saying beside a theorem, as sentences."""
    match theorem.topic:
        case Topic.GRADIENT:
            yield from _about_gradient(theorem, proof, words)
        case Topic.COUNT:
            yield from _about_count(theorem, proof, words)
        case Topic.BACKWARD:
            count = next((t for t in proof.theorems if t.topic is Topic.COUNT), None)
            if theorem.kind == "parameter" and count is not None and count.kind != "recurrence":
                number = term_latex(count.claims[0].after, True)
                yield words.texts["remark-backward"].replace("<count>", f"${number}$")
        case Topic.BOUND:
            yield from _about_bound(theorem, proof, words)
        case Topic.LAG | Topic.DETACH:
            dropped = r"T-\tau-1" if proof.model.losses == "last" else r"\frac{(T-\tau)\,(T-\tau-1)}{2}"
            text = words.text("remark", theorem.topic, theorem.kind, dropped=f"${dropped}$", q=_q(theorem, proof))
            yield text


def _q(theorem: Theorem, proof: Proof) -> str:
    q = theorem.facts.get("q")
    return "" if q is None else term_latex(q, commutes(proof.model))  # type: ignore[arg-type]


def _about_gradient(theorem: Theorem, proof: Proof, words: ProofProse) -> Iterator[str]:
    lines = theorem.part(Piece.CELL).lines
    if any(line.why is Why.COLLECT for line in lines) and any(
        _is_slope(part) for line in lines for part in parts(line.after)
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
        case Raised(base, exponent):
            return Raised(base, exponent.plus(-1))
    return part


# --- bounds ---------------------------------------------------------------------------------------------------------


def _about_bound(theorem: Theorem, proof: Proof, words: ProofProse) -> Iterator[str]:
    free, q = commutes(proof.model), theorem.facts.get("q")
    texts = words.texts
    if q is None:
        unbounded = _unbounded_slopes(proof)
        for name in unbounded:
            yield words.say("gamma-unbounded", function=f"${latex(Call(name, Quantity('z')))}$")
        if theorem.kind == "steps" and not unbounded:
            yield texts["remark-bound-gates"]
        return
    for name in activations_of(q):  # type: ignore[arg-type]
        yield gamma_text(name, words)
    if not can_be_small(q):  # type: ignore[arg-type]
        yield texts["remark-bound-skip"]
        return
    yield texts["remark-bound-sufficient"].replace("<q>", term_latex(q, free))  # type: ignore[arg-type]
    match q:
        case Times((Gamma(name), Norm(Quantity() as weight))):
            threshold = r"1/\gamma" if name == "sigma" else latex_fraction(1 / (slope_bound(name).gamma or Fraction(1)))
            text = texts["remark-bound-weights"].replace("<W>", latex_quantity(weight))
            text = text.replace("<threshold>", threshold)
            yield text.replace(r"\lVert", r"\lvert").replace(r"\rVert", r"\rvert") if free else text
    if not free:
        yield texts["remark-bound-radius"].replace("<matrix>", f"${RADIUS_MATRIX}$")
        yield texts["remark-bound-determinant"]
    yield texts["remark-bound-terms"]


def _unbounded_slopes(proof: Proof) -> tuple[str, ...]:
    name = proof.model.activation
    if name == "sigma" or not proof.chain.single or slope_bound(name).gamma is not None:
        return ()
    return (name,)


def gamma_text(name: str, words: ProofProse) -> str:
    """How γ of an activation is derived."""
    if name == "sigma":
        return words.say("gamma-abstract")
    bound = slope_bound(name)
    function = f"${FUNCTIONS[name].latex}$"
    assert bound.gamma is not None
    gamma = latex_fraction(bound.gamma)
    if bound.slope is None:
        slopes = words.say("and").join(f"${latex_fraction(s)}$" for s in PIECES[name])
        return words.say("gamma-pieces", function=function, slopes=slopes, gamma=gamma)
    values = {
        "function": function,
        "variable": bound.variable,
        "slope": quotient_latex(bound.slope.above, bound.slope.below),
        "name": latex_function(name),
        "rest": _rest_latex(bound),
        "gamma": gamma,
    }
    if bound.attained is not None:
        return words.say("gamma-attained", at=latex_fraction(bound.attained), **values)
    return words.say("gamma-limit-attained" if bound.limit == "0" else "gamma-limit", **values)


def _rest_latex(bound: Bound) -> str:
    assert bound.slope is not None
    lcm = 1
    for c in bound.rest:
        lcm = lcm * c.denominator // Fraction(lcm, c.denominator).denominator if lcm % c.denominator else lcm
    above = tuple(c * lcm for c in bound.rest)
    below = tuple(c * lcm for c in bound.slope.below)
    return quotient_latex(above, below)


def latex_fraction(value: Fraction) -> str:
    r"""1, or \tfrac{1}{4}."""
    return str(value.numerator) if value.denominator == 1 else rf"\tfrac{{{value.numerator}}}{{{value.denominator}}}"


def quotient_latex(above: Sequence[Fraction], below: Sequence[Fraction]) -> str:
    r"""P/Q in the variable v, whole roots as factors.

    >>> quotient_latex((Fraction(0), Fraction(4)), (Fraction(1), Fraction(2), Fraction(1)))
    '\\frac{4\\,v}{(v+1)^{2}}'
    """
    top, bottom = factored_latex(tuple(above)), factored_latex(tuple(below))
    return top if bottom == "1" else rf"\frac{{{top}}}{{{bottom}}}"


def factored_latex(p: Polynomial) -> str:
    """A polynomial in v: its number, its whole roots as powers, the rest written out."""
    rest = list(p)
    powers: dict[int, int] = {}
    for root in (0, 1, -1, 2, -2):
        while len(rest) > 1 and sum(c * root**i for i, c in enumerate(rest)) == 0:
            powers[root] = powers.get(root, 0) + 1
            carry, quotient = Fraction(0), [Fraction(0)] * (len(rest) - 1)
            for i in range(len(rest) - 1, 0, -1):
                carry = rest[i] + carry * root
                quotient[i - 1] = carry
            rest = quotient
    number, factors = Fraction(1), []
    if len(rest) == 1:
        number = rest[0]
    else:
        number = rest[-1]
        written = polynomial_latex([c / number for c in rest], Place("v"))
        factors.append(f"({written})" if number != 1 or powers else written)
    for root, power in powers.items():
        base = "v" if root == 0 else f"(v{-root:+d})"
        factors.append(base if power == 1 else f"{base}^{{{power}}}")
    if number == 1 and factors:
        return THIN.join(factors)
    if number == -1 and factors:
        return "-" + THIN.join(factors)
    return THIN.join([latex_fraction(number), *factors])
