r"""Truncated backpropagation: what it keeps, the error as the dropped terms, and a bound of the error.

``lag`` keeps the paths of lag ≤ τ; ``detach`` those that cross no border between chunks of τ steps. With q < 1 as the
bound of one step and d = t − k as the lag, Σ_{d>τ} q^d = q^{τ+1}/(1 − q); where the cell looks back M steps a path of
lag d makes at least ⌈d/M⌉ jumps, and Σ_{d>τ} q^{⌈d/M⌉} ≤ M q^{⌈(τ+1)/M⌉}/(1 − q).
"""

from __future__ import annotations

from fractions import Fraction

from rnn_symbolic.expressions import MINUS_ONE, ONE, Number
from rnn_symbolic.induction.bounds import activations_of, can_be_small, norms_of_steps, step_bound
from rnn_symbolic.induction.chain import Chain, first_kept
from rnn_symbolic.induction.gradient import ZERO_STEP, double_sum, own_losses, product
from rnn_symbolic.induction.records import Line, Part, Piece, Range, Theorem, Topic, Why
from rnn_symbolic.induction.terms import (
    FIRST,
    LAST,
    NOW,
    THEN,
    Borders,
    ChunkStart,
    Greatest,
    Jumps,
    Norm,
    Over,
    Place,
    Raised,
    Steps,
    Sum,
    Term,
    Truncated,
    plus,
    times,
)


def truncation(chain: Chain, kind: str) -> Theorem | None:
    """What a truncated gradient keeps, its error as the dropped terms, and a bound; None past the state."""
    if chain.kind != "parameter" or not chain.entries or chain.loss_lags != (0,):
        return None
    topic = Topic.LAG if kind == "lag" else Topic.DETACH
    some = (Range("tau", ZERO_STEP if kind == "lag" else FIRST, LAST),)
    cut = Truncated(chain.goal, kind, chain.model.is_matrix(chain.goal))
    row = times(chain.reads(NOW), product(chain, NOW, THEN), chain.entry(THEN))
    kept = plus(*own_losses(chain), chain.over_losses(Sum("k", first_kept(kind), NOW, row)))
    # what was before the first step kept: t − τ − 1, or the step before the chunk
    end = Place("t", -1, "tau") if kind == "lag" else ChunkStart(NOW, offset=-1)
    start = Place("tau", 2) if kind == "lag" else Place("tau", 1)
    dropped = _summed(chain, Sum("k", FIRST, end, row), start)
    error = plus(chain.gradient, times(MINUS_ONE, cut))
    claims = (Line(Why.CLAIM, cut, kept, some), Line(Why.CLAIM, error, dropped, some))
    less = Line(Why.DROPPED, error, plus(double_sum(chain), times(MINUS_ONE, kept)), some)
    bounds = _error_bounds(chain, kind, error, end, start, some)
    parts_ = (
        Part(Piece.DIRECT, (Line(Why.LEMMA, cut, kept, some),)),
        Part(Piece.DIRECT, (less, Line(Why.REST, less.after, dropped, some)), "error"),
        Part(Piece.CELL, bounds),
    )
    q = step_bound(chain)
    facts = {"q": q, "activations": () if q is None else activations_of(q)}
    kind = "power" if bounds[-1].why is Why.GEOMETRIC else "steps"
    return Theorem(topic, claims, parts_, chain.goal, kind, facts)


def _summed(chain: Chain, body: Term, start: Place) -> Term:
    if chain.model.losses == "last":
        return chain.over_losses(body)
    return Sum("t", start, LAST, body)


def _error_bounds(
    chain: Chain, kind: str, error: Term, end: Place | ChunkStart, start: Place, some: tuple[Range, ...]
) -> tuple[Line, ...]:
    """‖error‖ by the norms of its factors, then by the greatest of them and the geometric series."""
    last, most, q = chain.model.losses == "last", max(chain.lags), step_bound(chain)
    reads, entry = Norm(chain.reads(NOW)), Norm(chain.entry(THEN))

    def over(*factors: Term) -> Term:
        return _summed(chain, Sum("k", FIRST, end, times(*factors)), start)

    by_norms = over(reads, norms_of_steps(chain), entry)
    lines = [Line(Why.TRIANGLE, Norm(error), by_norms, some, "<=", False)]
    if not chain.single:
        whole = over(reads, Norm(chain.transition(NOW, THEN)), entry)
        lines = [
            Line(Why.TRIANGLE, Norm(error), whole, some, "<=", False),
            Line(Why.THEOREM, whole, by_norms, some, "<=", False),
        ]
    if q is None or not (chain.single or can_be_small(q)):
        return tuple(lines)
    # a power of q for several lags holds where q < 1 only
    given = None if chain.single else q
    lines = lines[:1]
    distance = Place("t", 0, "k")
    greatest_read = Norm(chain.reads(LAST)) if last else Greatest("t", FIRST, LAST, reads)
    greatest = (greatest_read, Greatest("k", FIRST, LAST, entry))
    series = over(Raised(q, distance if chain.single else Jumps(distance, most)))
    lines.append(Line(Why.GREATEST, lines[0].after, times(*greatest, series), some, "<=", False, given))
    if not can_be_small(q):
        return tuple(lines)
    rest, factor = plus(ONE, times(MINUS_ONE, q)), _several(most)
    if kind == "lag":
        further = Place("tau", 1)
        share: tuple[Term, ...] = () if last else (Steps(Place("T", -1, "tau")),)
        power = Raised(q, further if chain.single else Jumps(further, most))
        limit = Over(times(*factor, *share, power), rest)
        # of the lag T nothing is dropped, and T − τ − 1 is no number of steps
        some = (Range("tau", ZERO_STEP, LAST.plus(-1)),)
    elif last:
        limit = Over(times(*factor, q), rest)
    else:
        limit = Over(times(*_several(most**2), Steps(Borders(LAST)), q), Raised(rest, Place("", 2)))
    lines.append(Line(Why.GEOMETRIC, lines[-1].after, times(*greatest, limit), some, "<=", False, q))
    return tuple(lines)


def _several(number: int) -> tuple[Term, ...]:
    return (Number(Fraction(number)),) if number > 1 else ()
