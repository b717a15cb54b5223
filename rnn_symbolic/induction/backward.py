r"""The adjoint recursion, and its equality with the double sum: the same terms, grouped by entry step.

∂L/∂S_k = r_k + ∂L/∂S_{k+1} J_{k+1}        Σ_t Σ_{k≤t} r_t (Π J) e_k = Σ_k (Σ_{t≥k} r_t Π J) e_k = Σ_k ∂L/∂S_k e_k
"""

from __future__ import annotations

from rnn_symbolic.induction.chain import Chain
from rnn_symbolic.induction.gradient import INPUT_STEP, double_sum, initial_part, own_losses, product
from rnn_symbolic.induction.records import Line, Part, Piece, Range, Theorem, Topic, Why, chained
from rnn_symbolic.induction.terms import FIRST, LAST, NOW, THEN, Place, Sum, Term, plus, times

EARLIER_THAN_LAST = (Range("k", FIRST, LAST.plus(-1)),)
NEXT = THEN.plus(1)


def adjoint(chain: Chain) -> Theorem:
    """∂L/∂S_T = r_T, and backwards ∂L/∂S_k = r_k + Σ_m ∂L/∂S_{k+m} J_{k+m}."""
    last = chain.model.losses == "last"
    carried = plus(*(times(chain.adjoint(THEN.plus(m)), chain.jacobian(m, THEN.plus(m))) for m in chain.lags))
    recursion = carried if last else plus(chain.reads(THEN), carried)
    end = chained(
        (Why.CHAIN_RULE_LOSS, Why.EMPTY),
        (chain.adjoint(LAST), times(chain.last_reads(), chain.transition(LAST, LAST)), chain.last_reads()),
    )
    claims = (
        Line(Why.CLAIM, chain.adjoint(LAST), chain.last_reads()),
        Line(Why.CLAIM, chain.adjoint(THEN), recursion, EARLIER_THAN_LAST),
    )
    kind = "-".join(word for word, holds in (("lags", not chain.single), ("late", chain.late)) if holds)
    return Theorem(Topic.ADJOINT, claims, (Part(Piece.DIRECT, (*end, *_recursion_lines(chain))),), kind=kind)


def _arriving(chain: Chain, low: Place) -> Term:
    """Σ_{t≥low} r_t ∂S_t/∂S_k: what all later losses read of S_k; of the last loss, one term."""
    if chain.model.losses == "last":
        return times(chain.reads(LAST), chain.transition(LAST, THEN))
    return Sum("t", low, LAST, times(chain.reads(NOW), chain.transition(NOW, THEN)))


def _recursion_lines(chain: Chain) -> tuple[Line, ...]:
    last, k = chain.model.losses == "last", THEN
    own = () if last else (chain.reads(k),)

    def over(term: Term, low: Place) -> Term:
        return term if last else Sum("t", low, LAST, term)

    top = LAST if last else NOW
    reads = chain.reads(top)
    terms: list[Term] = [chain.adjoint(k), _arriving(chain, k)]
    whys = [Why.CHAIN_RULE_LOSS]
    if not last:
        terms.append(plus(*own, _arriving(chain, NEXT)))
        whys.append(Why.SPLIT)
    if chain.single:
        terms.append(plus(*own, over(times(reads, product(chain, top, k)), NEXT)))
        terms.append(plus(*own, times(over(times(reads, product(chain, top, NEXT)), NEXT), chain.jacobian(1, NEXT))))
        whys += [Why.THEOREM, Why.JOIN_RIGHT]
    else:
        steps = [(k.plus(m), chain.jacobian(m, k.plus(m))) for m in chain.lags]
        first = plus(*(times(chain.transition(top, at), factor) for at, factor in steps))
        terms.append(plus(*own, over(times(reads, first), NEXT)))
        terms.append(plus(*own, *(times(over(times(reads, chain.transition(top, at)), NEXT), f) for at, f in steps)))
        whys += [Why.FIRST_STEP, Why.DISTRIBUTE]
        later = plus(*own, *(times(over(times(reads, chain.transition(top, at)), at), f) for at, f in steps))
        if later != terms[-1]:
            terms.append(later)
            whys.append(Why.VANISH)
    carried = plus(*(times(chain.adjoint(k.plus(m)), chain.jacobian(m, k.plus(m))) for m in chain.lags))
    terms.append(plus(*own, carried))
    whys.append(Why.CHAIN_RULE_LOSS)
    return chained(tuple(whys), tuple(terms), EARLIER_THAN_LAST)


def backward(chain: Chain) -> Theorem | None:
    """∂L/∂θ = Σ_k ∂L/∂S_k · (what θ adds at step k): the double sum, grouped by entry step; None past the state."""
    if not chain.entries:
        return None
    ranges = (Range("s", FIRST, LAST),) if chain.kind == "input" else ()
    own, total = own_losses(chain), chain.gradient
    if chain.kind != "parameter":
        return _backward_to_leaf(chain, own, ranges)
    entry = chain.entry(THEN)
    arriving = times(product(chain, NOW, THEN))
    if chain.model.losses == "last":
        lines = [Line(Why.THEOREM, total, double_sum(chain))]
    else:
        inner = Sum("t", THEN, LAST, times(chain.reads(NOW), arriving))
        exchanged = Sum("k", FIRST, LAST, Sum("t", THEN, LAST, times(chain.reads(NOW), arriving, entry)))
        lines = list(
            chained(
                (Why.THEOREM, Why.EXCHANGE, Why.DISTRIBUTE),
                (
                    total,
                    double_sum(chain),
                    plus(*own, exchanged),
                    plus(*own, Sum("k", FIRST, LAST, times(inner, entry))),
                ),
            )
        )
    after = plus(*own, Sum("k", FIRST, LAST, times(chain.adjoint(THEN), entry)))
    lines.append(Line(Why.CHAIN_RULE_LOSS, lines[-1].after, after))
    claim = Line(Why.CLAIM, total, after)
    return Theorem(Topic.BACKWARD, (claim,), (Part(Piece.DIRECT, tuple(lines)),), chain.goal, chain.kind)


def _backward_to_leaf(chain: Chain, own: tuple[Term, ...], ranges: tuple[Range, ...]) -> Theorem:
    """∂L/∂x_s = ∂L/∂S_s ∂S_s/∂x_s; ∂L/∂h_0 through the steps that read it."""
    if chain.kind == "input":
        arrived: Term = times(chain.adjoint(INPUT_STEP), chain.entry(INPUT_STEP))
    elif chain.single:
        arrived = times(chain.adjoint(FIRST), chain.jacobian(1, FIRST), *initial_part(chain))
    else:
        arrived = plus(
            *(
                times(chain.adjoint(Place("", n)), chain.block(block, Place("", n)))
                for n in range(1, max(chain.lags) + 1)
                for block in chain.entries_at(n)
            )
        )
    after = plus(*own, arrived)
    lines = (
        Line(Why.THEOREM, chain.gradient, double_sum(chain), ranges),
        Line(Why.CHAIN_RULE_LOSS, double_sum(chain), after, ranges),
    )
    claim = Line(Why.CLAIM, chain.gradient, after, ranges)
    return Theorem(Topic.BACKWARD, (claim,), (Part(Piece.DIRECT, lines),), chain.goal, chain.kind)
