r"""How fast ∂S_t/∂S_k can vanish or grow.

    ‖∂S_t/∂S_k‖ ≤ Π ‖J_j‖ ≤ q^{t−k},    q = γ ‖W_h‖ for J_j = diag(σ'(a_j)) W_h

The bound of one step is read off its factors: ‖diag(φ'(a))‖ ≤ γ, a weight by its norm, a sum by the sum. Where a factor
varies with the data without a bound of its own (a gate) the product of the ‖J_j‖ is all there is.

A cell that looks back M steps has the stacked state (S_t; …; S_{t−M+1}), with the companion matrix 𝒞_j of the blocks
∂⁺S_j/∂S_{j−m} in its first row, and with the sum q of the bounds of these blocks

    ‖∂S_t/∂S_k‖ ≤ Π ‖𝒞_j‖,    ‖∂S_t/∂S_k‖ ≤ q^{⌈(t−k)/M⌉} where q < 1.
"""

from __future__ import annotations

from fractions import Fraction

from rnn_symbolic.expressions import (
    ONE,
    ZERO,
    Add,
    Call,
    Diagonal,
    Expression,
    Identity,
    Multiply,
    Number,
    quantities,
)
from rnn_symbolic.expressions import Chain as Product
from rnn_symbolic.induction.chain import Chain
from rnn_symbolic.induction.gradient import ZERO_STEP, J
from rnn_symbolic.induction.lemma import EARLIER
from rnn_symbolic.induction.records import Line, Part, Piece, Range, Theorem, Topic, Why, chained
from rnn_symbolic.induction.terms import (
    FIRST,
    LAST,
    NOW,
    THEN,
    Blocks,
    Gamma,
    Jumps,
    Named,
    Norm,
    Ordered,
    Place,
    Plus,
    Raised,
    Term,
    Times,
    parts,
    plus,
    rebuilt,
    times,
)

SLOPE_WRITTEN_OUT = {"cos": "sin", "sin": "cos"}
"""The derivative of sin is written cos: what |cos| is bounded by is the γ of sin."""


def step_factors(expression: Expression) -> Term | None:
    """A product of norms that bounds ‖J_t‖ at every step; None where a factor has no bound of its own."""
    number = _multiple_of_identity(expression)
    if number is not None:
        return Number(abs(number))
    match expression:
        case Product(factors) | Multiply(factors, False):
            found = [step_factors(factor) for factor in factors]
            return None if None in found else _product([f for f in found if f is not None])
        case Add(terms):
            return _sum(terms)
        case Diagonal(Call() as call) | (Call() as call):
            name = call.function if call.order else SLOPE_WRITTEN_OUT.get(call.function, "")
            return Gamma(name) if name else None
    fixed = all(q.step is None for q in quantities(expression))
    return Norm(expression) if fixed else None


def _multiple_of_identity(expression: Expression) -> Fraction | None:
    """c where the expression is c I."""
    match expression:
        case Number(value):
            return value
        case Identity():
            return Fraction(1)
        case Product((Number(value), Identity())):
            return value
    return None


def _sum(terms: tuple[Expression, ...]) -> Term | None:
    """The bounds of the terms, with the multiples of I added up before their size is taken."""
    numbers = [_multiple_of_identity(term) for term in terms]
    constant = abs(sum((n for n in numbers if n is not None), Fraction(0)))
    each = [step_factors(term) for term, n in zip(terms, numbers, strict=True) if n is None]
    if None in each:
        return None
    found: list[Term] = [Number(constant)] if constant or not each else []
    return plus(*found, *(f for f in each if f is not None))


def _product(factors: list[Term]) -> Term:
    kept = [factor for factor in factors if factor != ONE]
    return times(*kept) if kept else ONE


def lag_bounds(chain: Chain) -> tuple[Term, ...] | None:
    """q_m with ‖∂⁺S_t/∂S_{t−m}‖ ≤ q_m at every step, for each lag m; None where one of them has no bound."""
    if not chain.lags or chain.joint.startswith("("):
        return None
    found = [step_factors(chain.jacobian_worth(lag=m)) for m in chain.lags]
    each = tuple(q for q in found if q is not None and all(map(has_bounded_slope, activations_of(q))))
    if len(each) < len(found):
        return None
    if len(activations_of(plus(*each))) < 2:
        return each
    return tuple(
        rebuilt(q, lambda part: Gamma(part.function, False) if isinstance(part, Gamma) else part) for q in each
    )


def step_bound(chain: Chain) -> Term | None:
    """q with ‖J_t‖ ≤ q at every step: γ ‖W_h‖ for elman, the sum over the lags for lag2; None for gated cells.

    >>> from rnn_symbolic.expressions import Quantity
    >>> from rnn_symbolic.model import unroll
    >>> step_bound(Chain(unroll("elman"), Quantity("W_h"))) == times(Gamma("sigma"), Norm(Quantity("W_h")))
    True
    """
    each = lag_bounds(chain)
    return None if each is None else plus(*each)


def activations_of(bound: Term) -> tuple[str, ...]:
    """The functions whose γ a bound mentions."""
    return tuple(dict.fromkeys(part.function for part in parts(bound) if isinstance(part, Gamma)))


def has_bounded_slope(name: str) -> bool:
    """Whether γ is finite; of the abstract σ it is assumed."""
    if name == "sigma":
        return True
    from rnn_symbolic.induction.slopes import slope_bound  # polynomials, only where there are numbers to derive

    return slope_bound(name).gamma is not None


def least(bound: Term) -> Fraction:
    """What a bound is at least, whatever the weights: 1 for a skip, 1 + γ ‖W_h‖; of the abstract σ the slope may be 0.

    >>> from rnn_symbolic.expressions import Quantity
    >>> str(least(plus(Number(Fraction(1, 2)), times(Gamma("tanh"), Norm(Quantity("W_h"))))))
    '1/2'
    """
    match bound:
        case Number(value):
            return value
        case Gamma(name) if name != "sigma":
            from rnn_symbolic.induction.slopes import slope_bound

            return slope_bound(name).gamma or Fraction(0)
        case Plus(terms):
            return sum(map(least, terms), Fraction(0))
        case Times(factors):
            product = Fraction(1)
            for factor in factors:
                product *= least(factor)
            return product
    return Fraction(0)


def can_be_small(bound: Term) -> bool:
    """Whether a bound can be less than 1: not that of a skip, 1 + γ ‖W_h‖."""
    return least(bound) < 1


def bound(chain: Chain) -> Theorem:
    """‖∂S_t/∂S_k‖ by the norms of the steps, and by a power where one step has a bound q."""
    if not chain.single:
        return _several_lags(chain)
    ranges = (Range("t", FIRST, LAST), Range("k", ZERO_STEP, NOW))
    norm = Norm(chain.transition(NOW, THEN))
    steps = norms_of_steps(chain)
    claims = [Line(Why.SUBMULTIPLICATIVE, norm, steps, ranges, "<=", False)]
    q = step_bound(chain)
    if q is None:
        return Theorem(Topic.BOUND, tuple(claims), (), kind="steps")
    claims.append(Line(Why.FACTOR_NORMS, steps, Raised(q, Place("t", 0, "k")), ranges, "<=", False))
    facts = {"q": q, "activations": activations_of(q)}
    return Theorem(Topic.BOUND, tuple(claims), (Part(Piece.CELL, _blocks(chain)),), kind="power", facts=facts)


def norms_of_steps(chain: Chain) -> Term:
    """Π ‖J_j‖ from k + 1 to t; where several steps are looked back to, of the companion matrices."""
    return Ordered("j", THEN.plus(1), NOW, Norm(chain.jacobian(1, J) if chain.single else companion(chain, J)))


def _blocks(chain: Chain) -> tuple[Line, ...]:
    """‖∂⁺S_t/∂S_{t−m}‖ from the table, and by its factors."""
    found = []
    for m, q in zip(chain.lags, lag_bounds(chain) or (), strict=True):
        ranges = (Range("t", FIRST, LAST),)
        worth = Norm(chain.jacobian_worth(lag=m))
        found.append(Line(Why.TABLE, Norm(chain.jacobian(m)), worth, ranges, "=", False))
        if worth != q:
            found.append(Line(Why.FACTOR_NORMS, worth, q, ranges, "<=", False))
    return tuple(found)


# --- several lags ---------------------------------------------------------------------------------------------------


def companion(chain: Chain, place: Place) -> Named:
    """𝒞_t, which takes (S_{t−1}; …; S_{t−M}) to (S_t; …; S_{t−M+1}): the blocks of all lags above an identity."""
    most = max(chain.lags)
    entries: list[Term] = [chain.jacobian(m, place) if m in chain.lags else ZERO for m in range(1, most + 1)]
    for row in range(most - 1):
        entries += [Identity(chain.joint) if column == row else ZERO for column in range(most)]
    return Named("C", place, Blocks(tuple(entries), most))


def _stacked(chain: Chain, place: Place) -> Term:
    """(∂S_t/∂S_k; …; ∂S_{t−M+1}/∂S_k)."""
    return Blocks(tuple(chain.transition(place.plus(-m), THEN) for m in range(max(chain.lags))), 1)


def _several_lags(chain: Chain) -> Theorem:
    t, e, most = NOW, EARLIER, max(chain.lags)
    ranges = (Range("t", FIRST, LAST), Range("k", FIRST, t))
    later = (Range("t", Place("", 2), LAST), Range("k", FIRST, e))
    norm = Norm(chain.transition(t, THEN))
    recursion = plus(*(times(Norm(chain.jacobian(m)), Norm(chain.transition(t.plus(-m), THEN))) for m in chain.lags))
    by_jumps = Line(Why.TRIANGLE, norm, recursion, later, "<=", False)
    by_steps = Line(Why.SUBMULTIPLICATIVE, norm, norms_of_steps(chain), ranges, "<=", False)

    start = Blocks((Identity(chain.joint), *(ZERO for _ in range(most - 1))), 1)
    carried = Ordered("j", THEN.plus(1), e, companion(chain, J))
    step = (
        _stacked(chain, t),
        times(companion(chain, t), _stacked(chain, e)),
        times(companion(chain, t), carried, start),
    )
    whole = times(Ordered("j", THEN.plus(1), t, companion(chain, J)), start)
    whys = (Why.CHAIN_RULE, Why.HYPOTHESIS, Why.JOIN_LEFT)
    given = companion(chain, t)
    own = (Range("t", Place("", 2), LAST),)
    parts_ = [
        Part(Piece.PREMISES, (Line(Why.DEFINITION, given, given.of, own, "=", False),)),
        Part(Piece.BASE, (Line(Why.START, _stacked(chain, THEN), start, (Range("k", FIRST, LAST),), "=", False),)),
        Part(Piece.STEP, tuple(_plain(line) for line in chained(whys, (*step, whole), later))),
        Part(Piece.CONCLUSION, (by_steps,)),
    ]
    q = step_bound(chain)
    if q is None or not can_be_small(q):
        return Theorem(Topic.BOUND, (by_steps, by_jumps), tuple(parts_), kind="lags")
    power = Raised(q, Jumps(Place("t", 0, "k"), most))
    by_power = Line(Why.CLAIM, norm, power, ranges, "<=", False, q)
    each = zip(lag_bounds(chain) or (), chain.lags, strict=True)
    bounded = plus(*(times(q_m, Norm(chain.transition(t.plus(-m), THEN))) for q_m, m in each))
    fewer = times(q, Raised(q, Jumps(Place("t", 0, "k"), most, -1)))
    parts_ += [
        Part(Piece.CELL, _blocks(chain)),
        Part(
            Piece.BASE,
            (Line(Why.EMPTY, Norm(chain.transition(THEN, THEN)), ONE, (Range("k", FIRST, LAST),), "=", False),),
            "jumps",
        ),
        Part(
            Piece.STEP,
            (
                by_jumps,
                Line(Why.FACTOR_NORMS, recursion, bounded, later, "<=", False),
                Line(Why.HYPOTHESES, bounded, fewer, later, "<=", False, q),
                Line(Why.POWERS, fewer, power, later, "=", False, q),
            ),
            "jumps",
        ),
        Part(Piece.CONCLUSION, (), "jumps"),
    ]
    facts = {"q": q, "activations": activations_of(q)}
    return Theorem(Topic.BOUND, (by_steps, by_jumps, by_power), tuple(parts_), kind="lags", facts=facts)


def _plain(line: Line) -> Line:
    """A line that only numbers are asked about: its terms are blocks."""
    return Line(line.why, line.before, line.after, line.ranges, line.relation, False)
