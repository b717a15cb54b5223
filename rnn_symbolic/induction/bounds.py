r"""How fast ∂S_t/∂S_k can vanish or grow, and what truncated backpropagation leaves out.

    ‖∂S_t/∂S_k‖ ≤ Π ‖J_j‖ ≤ q^{t−k},    q = γ ‖W_h‖ for J_j = diag(σ'(a_j)) W_h

The bound of one step is read off its factors: ‖diag(φ'(a))‖ ≤ γ, a weight by its norm, a sum by the sum. Where a factor
varies with the data without a bound of its own (a gate) the product of the ‖J_j‖ is all there is.
"""

from __future__ import annotations

from rnn_symbolic.expressions import (
    MINUS_ONE,
    ONE,
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
from rnn_symbolic.induction.chain import Chain, first_kept
from rnn_symbolic.induction.gradient import ZERO_STEP, J, double_sum, own_losses, product
from rnn_symbolic.induction.records import Line, Part, Piece, Range, Theorem, Topic, Why
from rnn_symbolic.induction.terms import (
    FIRST,
    LAST,
    NOW,
    THEN,
    Borders,
    ChunkStart,
    Gamma,
    Greatest,
    Norm,
    Ordered,
    Over,
    Place,
    Plus,
    Raised,
    Steps,
    Sum,
    Term,
    Truncated,
    parts,
    plus,
    rebuilt,
    times,
)

SLOPE_WRITTEN_OUT = {"cos": "sin", "sin": "cos"}
"""The derivative of sin is written cos: what |cos| is bounded by is the γ of sin."""


def step_factors(expression: Expression) -> Term | None:
    """A product of norms that bounds ‖J_t‖ at every step; None where a factor has no bound of its own."""
    match expression:
        case Product(factors) | Multiply(factors, False):
            found = [step_factors(factor) for factor in factors]
            return None if None in found else _product([f for f in found if f is not None])
        case Add(terms):
            each = [step_factors(term) for term in terms]
            return None if None in each else plus(*(f for f in each if f is not None))
        case Diagonal(Call() as call) | (Call() as call):
            name = call.function if call.order else SLOPE_WRITTEN_OUT.get(call.function, "")
            return Gamma(name) if name else None
        case Identity():
            return ONE
        case Number(value):
            return Number(abs(value))
    fixed = all(q.step is None for q in quantities(expression))
    return Norm(expression) if fixed else None


def _product(factors: list[Term]) -> Term:
    kept = [factor for factor in factors if factor != ONE]
    return times(*kept) if kept else ONE


def step_bound(chain: Chain) -> Term | None:
    """q with ‖J_t‖ ≤ q at every step: γ ‖W_h‖ for elman; None for gated cells.

    >>> from rnn_symbolic.expressions import Quantity
    >>> from rnn_symbolic.model import unroll
    >>> step_bound(Chain(unroll("elman"), Quantity("W_h"))) == times(Gamma("sigma"), Norm(Quantity("W_h")))
    True
    """
    if not chain.single or chain.joint.startswith("("):
        return None
    found = step_factors(chain.jacobian_worth())
    if found is None or not all(map(has_bounded_slope, activations_of(found))):
        return None
    names = {part.function for part in parts(found) if isinstance(part, Gamma)}
    if len(names) < 2:
        return found
    return rebuilt(found, lambda part: Gamma(part.function, False) if isinstance(part, Gamma) else part)


def activations_of(bound: Term) -> tuple[str, ...]:
    """The functions whose γ a bound mentions."""
    return tuple(dict.fromkeys(part.function for part in parts(bound) if isinstance(part, Gamma)))


def has_bounded_slope(name: str) -> bool:
    """Whether γ is finite; of the abstract σ it is assumed."""
    if name == "sigma":
        return True
    from rnn_symbolic.induction.slopes import slope_bound  # polynomials, only where there are numbers to derive

    return slope_bound(name).gamma is not None


def can_be_small(bound: Term) -> bool:
    """Whether small weights make a bound less than 1: not that of a skip, 1 + γ ‖W_h‖."""
    return bound != ONE and not (isinstance(bound, Plus) and ONE in bound.terms)


def bound(chain: Chain) -> Theorem:
    """‖∂S_t/∂S_k‖ by the norms of the steps, and by q^{t−k} where one step has a bound q."""
    ranges = (Range("t", FIRST, LAST), Range("k", ZERO_STEP if chain.single else FIRST, NOW))
    norm = Norm(chain.transition(NOW, THEN))
    if not chain.single:
        later = (Range("t", Place("", 2), LAST), Range("k", FIRST, NOW.plus(-1)))
        after = plus(*(times(Norm(chain.jacobian(m)), Norm(chain.transition(NOW.plus(-m), THEN))) for m in chain.lags))
        return Theorem(Topic.BOUND, (Line(Why.TRIANGLE, norm, after, later, "<=", False),), (), kind="lags")
    steps = Ordered("j", THEN.plus(1), NOW, Norm(chain.jacobian(1, J)))
    claims = [Line(Why.SUBMULTIPLICATIVE, norm, steps, ranges, "<=", False)]
    q = step_bound(chain)
    if q is None:
        return Theorem(Topic.BOUND, tuple(claims), (), kind="steps")
    claims.append(Line(Why.FACTOR_NORMS, steps, Raised(q, Place("t", 0, "k")), ranges, "<=", False))
    one = (
        Line(Why.TABLE, Norm(chain.jacobian()), Norm(chain.jacobian_worth()), (Range("t", FIRST, LAST),), "=", False),
        Line(Why.FACTOR_NORMS, Norm(chain.jacobian_worth()), q, (Range("t", FIRST, LAST),), "<=", False),
    )
    facts = {"q": q, "activations": activations_of(q)}
    return Theorem(Topic.BOUND, tuple(claims), (Part(Piece.CELL, one),), kind="power", facts=facts)


# --- truncation -----------------------------------------------------------------------------------------------------


def truncation(chain: Chain, kind: str) -> Theorem | None:
    """What a truncated gradient keeps, its error as the dropped terms, and a bound; None past the state.

    ``kind`` "lag" keeps the paths of lag ≤ τ; "detach" those that cross no border between chunks of τ steps.
    """
    if chain.kind != "parameter" or not chain.entries or chain.loss_lags != (0,):
        return None
    topic = Topic.LAG if kind == "lag" else Topic.DETACH
    last = chain.model.losses == "last"
    low = first_kept(kind)
    some = (Range("tau", ZERO_STEP if kind == "lag" else FIRST, LAST),)
    cut = Truncated(chain.goal, kind, chain.model.is_matrix(chain.goal))
    row = times(chain.reads(NOW), product(chain, NOW, THEN), chain.entry(THEN))
    kept = plus(*own_losses(chain), chain.over_losses(Sum("k", low, NOW, row)))
    # what was before the first step kept: t − τ − 1, or the step before the chunk
    end = Place("t", -1, "tau") if kind == "lag" else ChunkStart(NOW, offset=-1)
    start = Place("tau", 2) if kind == "lag" else Place("tau", 1)
    dropped = _summed(chain, Sum("k", FIRST, end, row), start)
    error = plus(chain.gradient, times(MINUS_ONE, cut))
    claims = [Line(Why.CLAIM, cut, kept, some), Line(Why.DROPPED, error, dropped, some)]
    whole = Line(Why.THEOREM, chain.gradient, double_sum(chain))
    lines = [whole, Line(Why.DROPPED, error, plus(double_sum(chain), times(MINUS_ONE, kept)), some)]
    lines.append(Line(Why.REST, lines[-1].after, dropped, some))
    bounds = _error_bounds(chain, kind, error, end, start, some, last)
    parts_ = (Part(Piece.DIRECT, tuple(lines)), Part(Piece.CELL, bounds))
    facts = {"q": step_bound(chain)}
    kind = "power" if bounds[-1].why is Why.GEOMETRIC else "steps"
    return Theorem(topic, tuple(claims), parts_, chain.goal, kind, facts)


def _summed(chain: Chain, body: Term, start: Place) -> Term:
    if chain.model.losses == "last":
        return chain.over_losses(body)
    return Sum("t", start, LAST, body)


def _error_bounds(
    chain: Chain, kind: str, error: Term, end: Place | ChunkStart, start: Place, some: tuple[Range, ...], last: bool
) -> tuple[Line, ...]:
    """‖error‖ by the norms of its factors, then by the greatest of them and the geometric series."""
    factors = (Norm(chain.reads(NOW)), _norms(chain), Norm(chain.entry(THEN)))
    by_norms = _summed(chain, Sum("k", FIRST, end, times(*factors)), start)
    lines = [Line(Why.TRIANGLE, Norm(error), by_norms, some, "<=", False)]
    q = step_bound(chain)
    if q is None:
        return tuple(lines)
    reads = Greatest("t", FIRST, LAST, Norm(chain.reads(NOW))) if not last else Norm(chain.reads(LAST))
    entries = Greatest("k", FIRST, LAST, Norm(chain.entry(THEN)))
    series = _summed(chain, Sum("k", FIRST, end, Raised(q, Place("t", 0, "k"))), start)
    lines.append(Line(Why.GREATEST, by_norms, times(reads, entries, series), some, "<=", False))
    if not can_be_small(q):
        return tuple(lines)
    rest = plus(ONE, times(MINUS_ONE, q))
    if kind == "lag":
        share: tuple[Term, ...] = () if last else (Steps(Place("T", -1, "tau")),)
        limit = Over(times(*share, Raised(q, Place("tau", 1))), rest)
        some = (Range("tau", ZERO_STEP, LAST.plus(-1)),)
    elif last:
        limit = Over(q, rest)
    else:
        limit = Over(times(Steps(Borders(LAST)), q), Raised(rest, Place("", 2)))
    lines.append(Line(Why.GEOMETRIC, times(reads, entries, series), times(reads, entries, limit), some, "<=", False))
    return tuple(lines)


def _norms(chain: Chain) -> Term:
    if not chain.single:
        return Norm(chain.transition(NOW, THEN))
    return Ordered("j", THEN.plus(1), NOW, Norm(chain.jacobian(1, J)))
