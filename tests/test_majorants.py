"""Inequalities read exactly: those of the proofs hold, and each way to spoil one is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction

import pytest

from rnn_symbolic.expressions import Number
from rnn_symbolic.induction.checks import ProofCheck
from rnn_symbolic.induction.majorants import Majorant, Unreadable, is_covered
from rnn_symbolic.induction.proof import Proof, prove_gradient
from rnn_symbolic.induction.records import Line, Topic, Why
from rnn_symbolic.induction.terms import Gamma, Greatest, Norm, Over, Place, Plus, Raised, Sum, Term, Times, rebuilt
from rnn_symbolic.model import unroll

FORMS = ("scalar", "matrix")
Change = Callable[[Term], Term]


def inequalities(proof: Proof) -> Iterator[tuple[Topic, Line]]:
    """The lines with ≤, claims and proofs."""
    for theorem in proof.theorems:
        for line in theorem.lines:
            if line.relation == "<=":
                yield theorem.topic, line


def verdicts(proof: Proof, line: Line, most: int = 4) -> list[bool | None]:
    """What is said of each instance."""
    return [
        is_covered(proof.chain, line, env, proof.chain.words(env))
        for T in range(1, most + 1)
        for env in line.instances({"T": T})
    ]


# --- polynomials ----------------------------------------------------------------------------------------------------


def test_the_series_of_one_over_one_minus_q() -> None:
    q, one = Majorant.letter("q"), Majorant.number(1)
    series = (one + Majorant.number(-1) * q).inverse(5)
    assert series == one + q + q * q + q * q * q + q * q * q * q + q * q * q * q * q
    assert series.degree == 5 and (series * series).degree == 10
    assert series.covers(one + q * q) and not (one + q * q).covers(series)
    assert not (one + Majorant.number(-1) * q).covers(Majorant.number(0))
    with pytest.raises(Unreadable):
        q.inverse(3)


def test_products_commute_and_sums_collect() -> None:
    p, q = Majorant.letter("p"), Majorant.letter("q")
    assert p * q == q * p and (p + q) * (p + q) == p * p + Majorant.number(2) * p * q + q * q
    assert (p * p * q).times(q, 3) == Majorant.number(0)


# --- the bounds of the proofs ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("losses", ["all", "last", "mean"])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("cell", "goal"), [("elman", "W_h"), ("residual", "W_x"), ("linear", "W_x"), ("gru", "U_z")])
def test_every_inequality_holds(cell: str, goal: str, form: str, losses: str) -> None:
    proof = prove_gradient(unroll(cell, form=form, losses=losses), goal)
    found = [verdict for _, line in inequalities(proof) for verdict in verdicts(proof, line)]
    assert found and set(found) == {True}


def test_what_is_no_polynomial_is_left_open() -> None:
    """‖Φ_{t,k}‖ on the right side is the norm of a sum."""
    proof = prove_gradient(unroll("lag2", form="matrix"), "W_h")
    found = {verdict for topic, line in inequalities(proof) for verdict in verdicts(proof, line)}
    assert found == {True, None}


# --- spoiled --------------------------------------------------------------------------------------------------------


def exponent(number: int) -> Change:
    """q^{n + number} for q^n."""

    def visit(part: Term) -> Term:
        if not isinstance(part, Raised) or isinstance(part.base, Plus):  # (1 − q)³ < (1 − q)² is true
            return part
        return replace(part, exponent=part.exponent.plus(number))

    return visit


def without(kind: type) -> Change:
    """Every factor of a kind left out."""

    def visit(part: Term) -> Term:
        if not isinstance(part, Times):
            return part
        kept = tuple(factor for factor in part.factors if not isinstance(factor, kind))
        return Times(kept) if kept else Number(Fraction(1))

    return visit


def shortened(kind: type) -> Change:
    """The range of a greatest, or of a sum, one step shorter."""

    def visit(part: Term) -> Term:
        if isinstance(part, kind) and isinstance(part.high, Place):  # type: ignore[attr-defined]
            return replace(part, high=part.high.plus(-1))  # type: ignore[attr-defined,type-var]
        return part

    return visit


def steeper(part: Term) -> Term:
    """1/q² for 1/(1 − q)²."""
    if not isinstance(part, Over):
        return part
    return Over(part.above, Number(Fraction(1)))


SPOILERS = {
    "exponent + 1": (exponent(1), {Why.FACTOR_NORMS, Why.GREATEST, Why.GEOMETRIC}),
    "exponent - 1": (exponent(-1), {Why.FACTOR_NORMS, Why.GREATEST}),
    "no norm": (without(Norm), {Why.FACTOR_NORMS, Why.GREATEST, Why.GEOMETRIC, Why.TRIANGLE}),
    "no slope": (without(Gamma), {Why.FACTOR_NORMS, Why.GREATEST, Why.GEOMETRIC}),
    "no greatest": (without(Greatest), {Why.GREATEST, Why.GEOMETRIC}),
    "a shorter greatest": (shortened(Greatest), {Why.GREATEST}),
    "a shorter sum": (shortened(Sum), {Why.TRIANGLE, Why.GREATEST}),
    "no denominator": (steeper, {Why.GEOMETRIC}),
}


CASES = [(name, losses) for name in SPOILERS for losses in ("all", "last")]
CASES.remove(("a shorter greatest", "last"))  # true: what is dropped of the last loss never enters at T


@pytest.mark.parametrize(("name", "losses"), CASES)
@pytest.mark.parametrize("form", FORMS)
def test_a_spoiled_bound_is_refused(form: str, losses: str, name: str) -> None:
    """At some T up to 4, by its coefficients: no point has to be found at which it is false."""
    spoil, whys = SPOILERS[name]
    proof = prove_gradient(unroll("elman", form=form, losses=losses), "W_h")
    seen = set()
    for topic, line in inequalities(proof):
        if line.why not in whys:
            continue
        wrong = replace(line, after=rebuilt(line.after, spoil))
        if wrong.after == line.after:
            continue
        assert False in verdicts(proof, wrong), (topic, line.why)
        seen.add(line.why)
    assert seen


def test_an_inequality_the_wrong_way_round_is_refused() -> None:
    proof = prove_gradient(unroll("elman", form="matrix"), "W_h")
    for _, line in inequalities(proof):
        turned = replace(line, before=line.after, after=line.before)
        assert False in (found := verdicts(proof, turned)) or None in found, line.why


def test_verify_says_so() -> None:
    proof = prove_gradient(unroll("elman", activation="logistic"), "W_h")
    found = proof.verify().finding(ProofCheck.MAJORANTS)
    assert found is not None and found.status == "passed" and found.number > 100
    theorem = proof.theorem(Topic.BOUND)
    claim = replace(theorem.claims[1], after=rebuilt(theorem.claims[1].after, exponent(-1)))
    claims = (theorem.claims[0], claim)
    spoiled = tuple(replace(t, claims=claims) if t is theorem else t for t in proof.theorems)
    refused = replace(proof, theorems=spoiled).verify().finding(ProofCheck.MAJORANTS)
    assert refused is not None and refused.status == "failed" and "bound, factor-norms" in refused.detail
