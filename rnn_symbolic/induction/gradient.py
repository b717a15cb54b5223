r"""∂S_t/∂S_k as an ordered product, ∂S_t/∂θ as a sum over entry steps, ∂L/∂θ as the double sum with losses.

∂S_t/∂θ = Σ_{k=1}^{t} (Π_{j=t↘k+1} J_j) ∂S_k/∂θ|_k        ∂L/∂θ = Σ_t r_t ∂S_t/∂θ
"""

from __future__ import annotations

from dataclasses import replace

from rnn_symbolic.expressions import ZERO, Derivative, Expression, Identity
from rnn_symbolic.induction.chain import Chain
from rnn_symbolic.induction.lemma import EARLIER, EVERY_STEP
from rnn_symbolic.induction.records import Line, Part, Piece, Range, Theorem, Topic, Why, chained
from rnn_symbolic.induction.terms import (
    FIRST,
    LAST,
    NOW,
    THEN,
    Ordered,
    Place,
    Sum,
    Term,
    Times,
    plus,
    rebuilt,
    times,
)

J = Place("j")
ZERO_STEP = Place("", 0)
INPUT_STEP = Place("s")


def product(chain: Chain, high: Place, low: Place) -> Term:
    """∂S_high/∂S_low as the product of the Jacobians of the steps low + 1 … high; by its name where lags differ."""
    if not chain.single:
        return chain.transition(high, low)
    return Ordered("j", low.plus(1), high, chain.jacobian(1, J))


def transition(chain: Chain) -> Theorem:
    """∂S_t/∂S_k = J_t J_{t−1} … J_{k+1}, by induction on t; where lags differ, by its recursions."""
    t, k, e = NOW, THEN, EARLIER
    lowest = ZERO_STEP if chain.single else FIRST
    if not chain.single:
        ranges = (Range("t", Place("", 2), LAST), Range("k", FIRST, EARLIER))
        by_last = plus(*(times(chain.jacobian(m), chain.transition(t.plus(-m), k)) for m in chain.lags))
        same = Line(Why.EMPTY, chain.transition(k, k), _identity(chain), (Range("k", FIRST, LAST),))
        steps = [(k.plus(m), m) for m in chain.lags]
        by_first = plus(*(times(chain.transition(t, at), chain.jacobian(m, at)) for at, m in steps))
        last = Line(Why.CHAIN_RULE, chain.transition(t, k), by_last, ranges)
        first = Line(Why.CLAIM, chain.transition(t, k), by_first, ranges)
        proof = Part(Piece.DIRECT, (Line(Why.LEMMA, first.before, first.after, ranges),))
        return Theorem(Topic.TRANSITION, (same, last, first), (proof,), kind="lags")
    before = (Range("t", FIRST, LAST), Range("k", lowest, EARLIER))
    step = chained(
        (Why.CHAIN_RULE, Why.HYPOTHESIS, Why.JOIN_LEFT),
        (
            chain.transition(t, k),
            times(chain.jacobian(), chain.transition(e, k)),
            times(chain.jacobian(), product(chain, e, k)),
            product(chain, t, k),
        ),
        before,
    )
    base = Line(Why.EMPTY, chain.transition(k, k), product(chain, k, k), (Range("k", lowest, LAST),))
    claim = Line(
        Why.CLAIM, chain.transition(t, k), product(chain, t, k), (Range("t", lowest, LAST), Range("k", lowest, NOW))
    )
    return Theorem(
        Topic.TRANSITION, (claim,), (Part(Piece.BASE, (base,)), Part(Piece.STEP, step), Part(Piece.CONCLUSION))
    )


def _identity(chain: Chain) -> Expression:
    return Identity(chain.joint)


# --- the state ------------------------------------------------------------------------------------------------------


def state_sum(chain: Chain, t: Place = NOW, *, low: Place = FIRST) -> Term:
    """Σ_{k=low}^{t} (Π_{j=t↘k+1} J_j) ∂S_k/∂θ|_k: the sum over the entry steps."""
    return Sum("k", low, t, times(product(chain, t, THEN), chain.entry(THEN)))


def state_closed(chain: Chain, t: Place = NOW) -> Term:
    """∂S_t/∂θ in closed form."""
    if not chain.lags:
        return chain.entry(INPUT_STEP if chain.kind == "input" else t)
    if chain.kind == "parameter":
        return state_sum(chain, t)
    if chain.kind == "input":
        return times(product(chain, t, INPUT_STEP), chain.entry(INPUT_STEP))
    if not chain.single:
        return plus(
            *(
                times(product(chain, t, Place("", n)), chain.block(block, Place("", n)))
                for n in range(1, max(chain.lags) + 1)
                for block in chain.entries_at(n)
            )
        )
    return times(product(chain, t, ZERO_STEP), *initial_part(chain))


def initial_part(chain: Chain) -> tuple[Term, ...]:
    """∂S_0/∂h_0: of a single state the identity, which is not written."""
    return () if chain.joint == chain.goal.name else (Derivative(chain.state(ZERO_STEP), chain.goal),)


def state(chain: Chain) -> Theorem:
    """The derivative of the state by the goal: the sum over entry steps, from the chain rule by the lemma."""
    t, e = NOW, EARLIER
    total = chain.total
    carried = plus(*(times(chain.jacobian(m), total(t.plus(-m))) for m in chain.lags))
    at = (Range("s", FIRST, LAST),) if chain.kind == "input" else ()
    if not chain.entries:
        zero = Line(Why.ONLY_LOSS, total(t), ZERO, (*at, *EVERY_STEP))
        return Theorem(Topic.STATE, (zero,), (Part(Piece.DIRECT),), chain.goal, "outside")
    if not chain.lags:
        return Theorem(Topic.STATE, _not_carried(chain), (), chain.goal, "once")
    if chain.kind == "parameter":
        rule = Line(Why.CHAIN_RULE, total(t), plus(chain.entry(t), carried), EVERY_STEP)
        start = tuple(Line(Why.START, total(Place("", -n)), ZERO) for n in range(max(chain.lags, default=1)))
        lines: tuple[Line, ...] = (Line(Why.LEMMA, total(t), state_sum(chain), EVERY_STEP),)
        if chain.single:
            initial = times(product(chain, t, ZERO_STEP), total(ZERO_STEP))
            rest = Sum("i", FIRST, e, times(product(chain, t, Place("i")), chain.entry(Place("i"))))
            by_lemma = plus(chain.entry(t), rest, initial)
            lines = chained((Why.LEMMA, Why.LAST_TERM), (total(t), by_lemma, state_sum(chain)), EVERY_STEP)
        premises = (rule, *start)
        claim = Line(Why.CLAIM, total(t), state_sum(chain), EVERY_STEP)
    elif chain.kind == "input":
        premises = (
            Line(Why.BEFORE, total(t), ZERO, (*at, Range("t", FIRST, INPUT_STEP.plus(-1)))),
            Line(Why.TABLE, total(INPUT_STEP), chain.within_step(INPUT_STEP), at, algebra=False),
            Line(Why.CHAIN_RULE, total(t), carried, (*at, Range("t", INPUT_STEP.plus(1), LAST))),
        )
        reached = (*at, Range("t", INPUT_STEP, LAST))
        lines = (Line(Why.LEMMA, total(t), state_closed(chain), reached),)
        claim = Line(Why.CLAIM, total(t), state_closed(chain), reached)
    else:
        lines = (Line(Why.LEMMA, total(t), state_closed(chain), EVERY_STEP),)
        claim = Line(Why.CLAIM, total(t), state_closed(chain), EVERY_STEP)
        premises = _initial_premises(chain, carried)
    kind = chain.kind if chain.single else f"{chain.kind}-lags"
    return Theorem(Topic.STATE, (claim,), (Part(Piece.PREMISES, premises), Part(Piece.DIRECT, lines)), chain.goal, kind)


def _not_carried(chain: Chain) -> tuple[Line, ...]:
    """∂S_t/∂θ where no state reads an earlier one."""
    if chain.kind == "parameter":
        return (Line(Why.CHAIN_RULE, chain.total(NOW), chain.entry(NOW), EVERY_STEP),)
    at, others = Range("s", FIRST, LAST), ((FIRST, INPUT_STEP.plus(-1)), (INPUT_STEP.plus(1), LAST))
    return (
        Line(Why.TABLE, chain.total(INPUT_STEP), chain.within_step(INPUT_STEP), (at,), algebra=False),
        *(Line(Why.BEFORE, chain.total(NOW), ZERO, (at, Range("t", low, high))) for low, high in others),
    )


def _initial_premises(chain: Chain, carried: Term) -> tuple[Line, ...]:
    if chain.single:
        start: Expression = chain.initial_column() if initial_part(chain) else _identity(chain)
        return (
            Line(Why.START, chain.total(ZERO_STEP), start, algebra=not initial_part(chain)),
            Line(Why.CHAIN_RULE, chain.total(NOW), carried, EVERY_STEP),
        )
    first = []
    for n in range(1, max(chain.lags) + 1):
        at = Place("", n)
        own = [chain.block(block, at) for block in chain.entries_at(n)]
        through = [times(chain.jacobian(m, at), chain.total(at.plus(-m))) for m in chain.lags if n - m >= 1]
        if n - (chain.goal.step or 0) == 1 and own:  # h_0 at step 1, where ∂h_1/∂h_0 would say nothing of itself
            first.append(Line(Why.TABLE, chain.total(at), chain.within_step(at), algebra=False))
        else:
            first.append(Line(Why.CHAIN_RULE, chain.total(at), plus(*own, *through)))
    later = (Range("t", Place("", max(chain.lags) + 1), LAST),)
    return (*first, Line(Why.CHAIN_RULE, chain.total(NOW), carried, later))


# --- L --------------------------------------------------------------------------------------------------------------


def own_losses(chain: Chain) -> tuple[Term, ...]:
    """What the goal adds to the losses past the states: Σ_t ∂ℓ_t/∂θ|_t; of an input, at its step."""
    if not chain.loss_entries:
        return ()
    if chain.kind == "parameter":
        return (chain.weighted(chain.over_losses(chain.loss_entry())),)
    if chain.kind == "input" and chain.model.losses == "last":  # there unless s < T: a sum that may be empty
        return (Sum("t", LAST, INPUT_STEP, chain.loss_entry(NOW)),)
    if chain.kind == "input":
        return (chain.weighted(chain.loss_entry(INPUT_STEP)),)
    found = []
    for block in chain.loss_entries:
        assert block.lag is not None and chain.goal.step is not None
        at = Place("", chain.goal.step + block.lag)
        if at.offset >= 1:  # a loss that is there for some T only keeps its name, which stands for 0 beyond T
            by_name = chain if at.offset == 1 else replace(chain, style="names")
            found.append(chain.weighted(by_name.block(block, at)))
    return tuple(found)


def over_states(chain: Chain, term: Term) -> Term:
    """Σ_t of what the losses read of S_t, times a term at t; from the table, the losses of each lag apart."""
    low = INPUT_STEP if chain.kind == "input" else FIRST
    if chain.style == "table" and chain.late:
        each = ((LAST.plus(-lag), chain.weighted(chain.read(lag, NOW))) for lag in chain.loss_lags)
        return plus(*(Sum("t", low, high, times(read, term)) for high, read in each))
    if chain.kind == "input" and chain.model.losses != "last":
        return Sum("t", low, LAST, times(chain.reads(NOW), term))
    return chain.over_losses(times(chain.reads(NOW), term))


def _with_closed(chain: Chain, closed: Term) -> Term:
    """Σ_t r_t ∂S_t/∂θ with the derivative in closed form; of an input that is not carried on, the step s alone."""
    if chain.kind == "input" and not chain.lags:
        return times(chain.reads(INPUT_STEP), closed)
    return over_states(chain, closed)


def double_sum(chain: Chain, closed: Term | None = None) -> Term:
    """The gradient as the double sum over losses and entries."""
    if not chain.entries:
        return plus(*own_losses(chain)) if chain.loss_entries else ZERO
    closed = state_closed(chain) if closed is None else closed
    body = _with_closed(chain, closed)
    return plus(*own_losses(chain), spread(body) if isinstance(closed, Sum) else body)


def spread(term: Term) -> Term:
    """r Σ_k u_k as Σ_k r u_k, wherever it occurs."""

    def visit(part: Term) -> Term:
        if isinstance(part, Times):
            *front, last = part.factors
            if isinstance(last, Sum) and front:
                return Sum(last.index, last.low, last.high, times(*front, last.body))
        return part

    return rebuilt(term, visit)


def gradient(chain: Chain) -> Theorem:
    """∂L/∂θ as the double sum over loss and entry steps, for this cell and in a layout."""
    total = chain.gradient
    ranges = (Range("s", FIRST, LAST),) if chain.kind == "input" else ()
    if not chain.entries:
        return _gradient_past_states(chain, ranges)
    rule = Line(Why.CHAIN_RULE_LOSS, total, plus(*own_losses(chain), over_states(chain, chain.total(NOW))), ranges)
    inserted = plus(*own_losses(chain), _with_closed(chain, state_closed(chain)))
    lines = [rule, Line(Why.THEOREM, rule.after, inserted, ranges)]
    claim = Line(Why.CLAIM, total, double_sum(chain), ranges)
    if claim.after != inserted:
        lines.append(Line(Why.DISTRIBUTE, inserted, claim.after, ranges))
    kind = f"{chain.kind}{'' if chain.single else '-lags'}{'-late' if chain.late else ''}" if chain.lags else "once"
    return Theorem(Topic.GRADIENT, (claim,), (Part(Piece.DIRECT, tuple(lines)),), chain.goal, kind)


def _gradient_past_states(chain: Chain, ranges: tuple[Range, ...]) -> Theorem:
    """∂L/∂θ = Σ_t ∂ℓ_t/∂θ|_t, where no state depends on θ."""
    own = own_losses(chain)
    terms: list[Term] = [chain.gradient, plus(*own)]
    whys = [Why.CHAIN_RULE_LOSS]
    if chain.loss_lags:
        terms.insert(1, plus(*own, over_states(chain, chain.total(NOW))))
        whys.append(Why.THEOREM)
    claim = Line(Why.CLAIM, terms[0], terms[-1], ranges)
    kind = "outside" if chain.joint else "stateless"
    parts = (Part(Piece.DIRECT, chained(tuple(whys), tuple(terms), ranges)),)
    return Theorem(Topic.GRADIENT, (claim,), parts, chain.goal, kind)
