r"""What is said beside a bound: how γ is derived, and what it says of vanishing and growing Jacobians, and what not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from math import gcd, lcm

from rnn_symbolic.expressions import Call, Expression, Identity, Number, Quantity, children, quantities, walk
from rnn_symbolic.functions import FUNCTIONS
from rnn_symbolic.induction.bounds import activations_of, can_be_small, has_bounded_slope, least, step_bound
from rnn_symbolic.induction.proof import Proof
from rnn_symbolic.induction.records import Theorem
from rnn_symbolic.induction.slopes import PIECES, Bound, Polynomial, slope_bound
from rnn_symbolic.induction.terms import Gamma, Norm, Place, Term, Times, parts
from rnn_symbolic.printing import THIN, latex, latex_function, latex_quantity
from rnn_symbolic.render.proof_prose import ProofProse
from rnn_symbolic.render.terms import commutes, matrix_latex, polynomial_latex, term_latex

SATURATION = {"logistic": ("1.543404638", "0.223871602"), "tanh": ("0.771702319", "0.447743205")}
"""u with u tanh(u/2) = 1, or u tanh u = 1/2, where |φ'(u) u| is greatest, and that greatest value."""


def about_bound(theorem: Theorem, proof: Proof, words: ProofProse) -> Iterator[str]:
    """The remarks beside the bound: those of its conditions that apply to this cell."""
    q: Term | None = theorem.facts.get("q")  # type: ignore[assignment]
    if q is None:
        yield from _without_bound(proof, words)
    else:
        alone = len(activations_of(q)) < 2
        for name in activations_of(q):
            yield gamma_text(name, words, alone)
        yield from _conditions(q, proof, words)
    if proof.chain.single and not commutes(proof.model):
        yield words.texts["remark-bound-determinant"].replace("<jacobian>", latex(proof.chain.jacobian()))
    if q is not None and can_be_small(q):
        if proof.goal.step is None or proof.model.losses != "last":  # else its one term has a lag of its own
            yield words.texts["remark-bound-terms"]
        yield from _saturation(q, proof, words)


def _without_bound(proof: Proof, words: ProofProse) -> Iterator[str]:
    """Why there is no bound of one step by the weights."""
    chain = proof.chain
    if chain.joint.startswith("("):
        yield words.texts["remark-bound-joint"]
        return
    bound = step_bound(chain)
    if bound is not None:  # of several lags: no power follows
        yield words.texts["remark-bound-skip"].replace("<least>", latex_fraction(least(bound)))
        return
    unbounded = _unbounded_functions(proof)
    for name in unbounded:
        yield words.say("gamma-unbounded", function=f"${latex(Call(name, Quantity('z')))}$")
    if not unbounded:
        varying = [q for lag in chain.lags for q in _varying(chain.jacobian_worth(lag=lag))]
        factors = ",\\,".join(latex_quantity(q) for q in dict.fromkeys(varying))
        yield words.texts["remark-bound-varying"].replace("<factors>", f"${factors}$")


def _varying(expression: Expression) -> Iterator[Quantity]:
    """The quantities of a step that stand in a Jacobian itself, not in the argument of a slope."""
    if isinstance(expression, Call) and expression.order:
        return
    if isinstance(expression, Quantity):
        if expression.step is not None:
            yield expression
        return
    for child in children(expression):
        yield from _varying(child)


def _unbounded_functions(proof: Proof) -> tuple[str, ...]:
    """The functions without a bound of the slope through which a state depends on an earlier one."""
    definitions = {e.target.name: e.expression for e in proof.model.definitions}
    recurrent: set[str] = set()
    found: dict[str, None] = {}

    def depends(expression: Expression) -> bool:
        return any(q.step is not None and (q.step < 0 or q.name in recurrent) for q in quantities(expression))

    for name, expression in definitions.items():  # in order of computation
        if name in ("y", "l") and name not in proof.model.cell.states:
            continue
        if depends(expression):
            recurrent.add(name)
        calls = [node for node in walk(expression) if isinstance(node, Call) and depends(node.argument)]
        found.update(dict.fromkeys(c.function for c in calls if not has_bounded_slope(c.function)))
    return tuple(found)


# --- conditions -----------------------------------------------------------------------------------------------------


def _conditions(q: Term, proof: Proof, words: ProofProse) -> Iterator[str]:
    """Sufficient to vanish, necessary to grow; what the spectral radius says."""
    free, texts, chain = commutes(proof.model), words.texts, proof.chain
    constant = chain.jacobian_worth() if chain.single and _is_constant(chain.jacobian_worth()) else None
    if free and constant is not None and q == Norm(constant):
        yield texts["remark-bound-number"].replace("<J>", term_latex(constant, free))
        return
    if not can_be_small(q):
        yield texts["remark-bound-skip"].replace("<least>", latex_fraction(least(q)))
    elif any(isinstance(part, Norm) for part in parts(q)) or "sigma" in activations_of(q):
        yield texts["remark-bound-sufficient"].replace("<q>", term_latex(q, free))
    else:
        text = texts["remark-bound-always"].replace("<q>", term_latex(q, free))
        yield text.replace("<least>", latex_fraction(least(q)))
    match q:
        case Times((Gamma(name), Norm(Quantity() as weight)) | (Norm(Quantity() as weight), Gamma(name))):
            threshold = r"1/\gamma" if name == "sigma" else latex_fraction(1 / (slope_bound(name).gamma or Fraction(1)))
            text = texts["remark-bound-weights"].replace("<W>", latex_quantity(weight))
            text = text.replace("<threshold>", threshold)
            yield text.replace(r"\lVert", r"\lvert").replace(r"\rVert", r"\rvert") if free else text
            if not free and isinstance(q.factors[0], Gamma):  # D W, not W D
                yield _radius_text(name, words)
    if constant is not None and not free:
        yield texts["remark-bound-gelfand"].replace("<J>", term_latex(constant, free))


def _is_constant(expression: Expression) -> bool:
    """Whether a Jacobian is the same at every step: it has weights in it, and nothing else."""
    if isinstance(expression, Number | Identity):
        return False
    return all(q.step is None for q in quantities(expression))


def radius_example(name: str) -> tuple[Fraction, tuple[Fraction, Fraction]]:
    """c and two slopes that φ can have, so that (D W)^k grows, for W = c (1, −1; 1, −1) with W² = 0 and those slopes D.

    D W has the eigenvalue c (d_1 − d_2) = 2.

    >>> [str(slope) for slope in radius_example("logistic")[1]]
    ['3/16', '1/16']
    """
    if name in (*PIECES, "sigma"):
        return Fraction(2), (Fraction(1), Fraction(0))
    gamma = slope_bound(name).gamma
    assert gamma is not None
    return 4 / gamma, (gamma * Fraction(3, 4), gamma / 4)


def _radius_text(name: str, words: ProofProse) -> str:
    c, (one, other) = radius_example(name)
    number = latex_fraction(c)
    matrix = matrix_latex((number, f"-{number}", number, f"-{number}"), 2)
    text = words.texts["remark-bound-radius"].replace("<matrix>", f"${matrix}$")
    text = text.replace("<slopes>", words.say("and").join(f"${latex_fraction(d)}$" for d in (one, other)))
    return text.replace("<norm>", "2" if other == 0 else "5")


def _saturation(q: Term, proof: Proof, words: ProofProse) -> Iterator[str]:
    """Of a scalar network h_t = φ(a_t) with the Jacobian φ'(a_t) W."""
    match q:
        case Times((Gamma(name), Norm(Quantity() as weight))) if commutes(proof.model):
            state = next(e.expression for e in proof.model.definitions if e.target.name == proof.chain.joint)
            if not isinstance(state, Call):
                return
        case _:
            return
    if name in ("logistic", "tanh", "relu"):
        text = words.texts[f"remark-bound-saturation-{name}"].replace("<W>", latex_quantity(weight))
        text = text.replace("<name>", latex_function(name))
        for place, value in zip(("maximiser", "greatest"), SATURATION.get(name, ()), strict=False):
            text = text.replace(f"<{place}>", value)
        yield text


# --- γ --------------------------------------------------------------------------------------------------------------


def gamma_text(name: str, words: ProofProse, alone: bool = True) -> str:
    """How γ of an activation is derived; ``alone`` where no other γ occurs."""
    symbol = term_latex(Gamma(name, alone))
    if name == "sigma":
        return words.say("gamma-abstract", symbol=symbol)
    found = gamma_facts(name)
    values = {"function": f"${FUNCTIONS[name].latex}$", "symbol": symbol, "gamma": str(found["gamma"])}
    if "slope" not in found:
        slopes = words.say("and").join(f"${latex_fraction(s)}$" for s in PIECES[name])
        return words.say("gamma-pieces", slopes=slopes, **values)
    bound = slope_bound(name)
    for key in ("variable", "slope", "minus", "plus"):
        values[key] = str(found[key])
    values["name"] = latex_function(name)
    values["domain"] = words.say("domain-real" if bound.real else "domain-positive")
    sign = "-" if bound.touching == 1 else "+"
    if bound.attained is not None:
        return words.say("gamma-attained", at=latex_fraction(bound.attained), sign=sign, **values)
    return words.say("gamma-limit", limit="0" if bound.limit == "0" else r"\infty", sign=sign, **values)


def gamma_facts(name: str) -> dict[str, object]:
    """The derivation of γ as data: the slope in v, γ ∓ φ', the critical points, where |φ'| = γ; formulas as LaTeX."""
    bound = slope_bound(name)
    found: dict[str, object] = {"function": name, "gamma": None if bound.gamma is None else latex_fraction(bound.gamma)}
    if bound.slope is None:
        return {**found, "slopes": [latex_fraction(s) for s in PIECES[name]]}
    found |= {
        "variable": bound.variable,
        "domain": "real" if bound.real else "positive",
        "slope": quotient_latex(bound.slope.above, bound.slope.below),
        "critical": [latex_fraction(v) for v in bound.critical],
    }
    if bound.gamma is not None:
        attained = None if bound.attained is None else latex_fraction(bound.attained)
        found |= {"minus": _gap_latex(bound, 1), "plus": _gap_latex(bound, -1), "attained": attained}
    return {**found, "limit": bound.limit or None}


def _gap_latex(bound: Bound, sign: int) -> str:
    assert bound.slope is not None
    gap = bound.gap(sign)
    whole = lcm(*(c.denominator for c in gap))
    return quotient_latex([c * whole for c in gap], [c * whole for c in bound.slope.below])


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
        number = Fraction(gcd(*(int(c) for c in rest)) if all(c.denominator == 1 for c in rest) else 1)
        number = -number if rest[-1] < 0 else number
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
