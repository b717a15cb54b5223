"""Statements that go one step too far, and facts that are not the theorem's: refused, and nothing is raised."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from rnn_symbolic.expressions import Quantity
from rnn_symbolic.induction.checks import ProofCheck
from rnn_symbolic.induction.proof import Proof, prove_gradient
from rnn_symbolic.induction.records import Line, Range, Theorem, Topic
from rnn_symbolic.induction.terms import Norm, Place, Sum, Term, rebuilt
from rnn_symbolic.model import unroll

EXACT = {ProofCheck.WORDS, ProofCheck.NUMBERS}


def with_theorem(proof: Proof, topic: Topic, change: Callable[[Theorem], Theorem]) -> Proof:
    """The proof with one theorem changed, which must be another then."""
    found = tuple(change(theorem) if theorem.topic is topic else theorem for theorem in proof.theorems)
    assert sum(a is not b for a, b in zip(found, proof.theorems, strict=True)) == 1
    return replace(proof, theorems=found)


def with_claim(proof: Proof, topic: Topic, change: Callable[[Line], Line]) -> Proof:
    """The proof with the first claim of a theorem changed."""

    def other(theorem: Theorem) -> Theorem:
        first, *rest = theorem.claims
        assert change(first) != first
        return replace(theorem, claims=(change(first), *rest))

    return with_theorem(proof, topic, other)


def moved_bound(index: str, bound: str, number: int) -> Callable[[Line], Line]:
    """A bound of the sum over an index, that many steps further."""

    def visit(part: Term) -> Term:
        if not isinstance(part, Sum) or part.index != index:
            return part
        assert isinstance(part.low, Place) and isinstance(part.high, Place)
        return replace(part, **{bound: getattr(part, bound).plus(number)})

    return lambda line: replace(line, after=rebuilt(line.after, visit))


def refused_by(proof: Proof) -> set[ProofCheck]:
    """The checks that fail."""
    return {finding.check for finding in proof.verify().findings if finding.status == "failed"}


@pytest.mark.parametrize(
    ("topic", "index", "bound", "number"),
    [
        (Topic.GRADIENT, "t", "high", 1),
        (Topic.GRADIENT, "k", "low", -1),
        (Topic.STATE, "k", "low", -1),
        (Topic.STATE, "k", "high", 1),
        (Topic.BACKWARD, "k", "high", 1),
        (Topic.BACKWARD, "k", "low", -1),
    ],
)
@pytest.mark.parametrize(
    ("cell", "form"), [("elman", "scalar"), ("elman", "matrix"), ("lag2", "matrix"), ("gru", "scalar")]
)
def test_a_sum_that_goes_one_step_too_far(
    cell: str, form: str, topic: Topic, index: str, bound: str, number: int
) -> None:
    proof = prove_gradient(unroll(cell, form=form), "W_h" if cell != "gru" else "U_z")
    wrong = with_claim(proof, topic, moved_bound(index, bound, number))
    if (cell, topic, bound, number) == ("lag2", Topic.STATE, "high", 1):  # Φ_{t,t+1} = 0 there, a convention in use
        assert refused_by(wrong) >= {ProofCheck.STRUCTURE}
    else:
        assert refused_by(wrong) >= EXACT | {ProofCheck.STRUCTURE}


def test_a_range_with_chunks_of_no_steps() -> None:
    proof = prove_gradient(unroll("elman", form="matrix"), "W_h")
    zero = Place("", 0)

    def from_zero(line: Line) -> Line:
        (some,) = line.ranges
        return replace(line, ranges=(Range(some.index, zero, some.high),))

    assert refused_by(with_claim(proof, Topic.DETACH, from_zero)) >= EXACT


@pytest.mark.parametrize("topic", [Topic.BOUND, Topic.LAG])
def test_a_fact_that_is_not_the_theorem_s(topic: Topic) -> None:
    proof = prove_gradient("elman", "W_h")
    wrong = with_theorem(proof, topic, lambda t: replace(t, facts={**t.facts, "q": Norm(Quantity("W_x"))}))
    assert ProofCheck.STRUCTURE in refused_by(wrong)
