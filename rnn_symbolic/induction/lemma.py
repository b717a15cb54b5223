r"""The lemma behind everything: a linear recurrence and its closed form.

    a_t = b_t + c_t a_{t−1}   ⇒   a_t = b_t + Σ_{i<t} (Π_{j=t↘i+1} c_j) b_i + (Π_{j=t↘1} c_j) a_0

Nothing commutes: c_t is a matrix, the latest stands on the left. A cell that looks back several steps has
a_t = b_t + Σ_m c_{m,t} a_{t−m}; its closed form is a_t = Σ_k Φ_{t,k} g_k, with Φ_{t,k} = Σ_m c_{m,t} Φ_{t−m,k} and g_k,
which is b_k with what the initial values add.
"""

from __future__ import annotations

from rnn_symbolic.expressions import Expression, Quantity
from rnn_symbolic.induction.free import NOTHING, UNIT, Letters, Words, letter
from rnn_symbolic.induction.records import Line, Part, Piece, Range, Theorem, Topic, Why, chained
from rnn_symbolic.induction.rings import Terms
from rnn_symbolic.induction.terms import FIRST, NOW, Ordered, Place, Sum, Term, Transition, plus, times

EARLIER = NOW.plus(-1)
EVERY_STEP = (Range("t", FIRST, Place("T")),)
LATER_STEPS = (Range("t", Place("", 2), Place("T")),)
AT_ONE = (Range("t", FIRST, FIRST),)


def _a(place: Place) -> Quantity:
    return Quantity("a", place.offset, place.index)


def _b(place: Place) -> Quantity:
    return Quantity("b", place.offset, place.index)


def _c(place: Place, lag: int = 0) -> Quantity:
    return Quantity(f"c_{lag}" if lag else "c", place.offset, place.index)


def _g(place: Place) -> Quantity:
    return Quantity("g", place.offset, place.index)


def lemma(lags: tuple[int, ...] = (1,)) -> Theorem:
    """The lemma for a recurrence that looks back these numbers of steps, with its proof by induction.

    >>> [part.piece.value for part in lemma().parts]
    ['premises', 'base', 'step', 'conclusion']
    """
    return _one_step() if lags == (1,) else _several_steps(lags)


def _closed(t: Place) -> Term:
    """b_t + Σ_{i<t} (Π_{j=t↘i+1} c_j) b_i + (Π_{j=t↘1} c_j) a_0."""
    return plus(_b(t), _rest(t, t), times(Ordered("j", FIRST, t, _c(Place("j"))), _a(Place("", 0))))


def _rest(t: Place, top: Place) -> Term:
    """Σ_{i=1}^{t−1} (Π_{j=top↘i+1} c_j) b_i."""
    return Sum("i", FIRST, t.plus(-1), times(Ordered("j", Place("i", 1), top, _c(Place("j"))), _b(Place("i"))))


def _one_step() -> Theorem:
    t, s = NOW, EARLIER
    one = FIRST
    recurrence = plus(_b(t), times(_c(t), _a(s)))
    initial = times(Ordered("j", one, t, _c(Place("j"))), _a(Place("", 0)))
    joined = Sum("i", one, s.plus(-1), times(_c(t), Ordered("j", Place("i", 1), s, _c(Place("j"))), _b(Place("i"))))
    before = plus(
        _b(t), times(_c(t), _b(s)), joined, times(_c(t), Ordered("j", one, s, _c(Place("j"))), _a(Place("", 0)))
    )
    after = plus(_b(t), times(_c(t), _b(s)), _rest(s, t), initial)
    step = chained(
        (Why.RECURRENCE, Why.HYPOTHESIS, Why.DISTRIBUTE, Why.JOIN_LEFT, Why.LAST_TERM),
        (_a(t), recurrence, plus(_b(t), times(_c(t), _closed(s))), before, after, _closed(t)),
        LATER_STEPS,
    )
    base = chained(
        (Why.RECURRENCE, Why.EMPTY),
        (_a(one), plus(_b(one), times(_c(one), _a(Place("", 0)))), _closed(one)),
    )
    short = plus(
        Sum("i", one, t, times(Ordered("j", Place("i", 1), t, _c(Place("j"))), _b(Place("i")))),
        initial,
    )
    return Theorem(
        Topic.LEMMA,
        (Line(Why.CLAIM, _a(t), _closed(t), EVERY_STEP),),
        (
            Part(Piece.PREMISES, (Line(Why.RECURRENCE, _a(t), recurrence, EVERY_STEP),)),
            Part(Piece.BASE, base),
            Part(Piece.STEP, step),
            Part(Piece.CONCLUSION, (Line(Why.EMPTY, _a(t), short, EVERY_STEP),)),
        ),
    )


def _several_steps(lags: tuple[int, ...]) -> Theorem:
    t, k = NOW, Place("k")
    recurrence = plus(_b(t), *(times(_c(t, m), _a(t.plus(-m))) for m in lags))
    starting = tuple(
        Line(Why.RECURRENCE, _g(Place("", n)), _with_initial(n, lags), ()) for n in range(1, max(lags) + 1)
    )
    later = Line(Why.RECURRENCE, _g(t), _b(t), (Range("t", Place("", max(lags) + 1), Place("T")),))
    phi = Line(
        Why.RECURRENCE,
        Transition(t, k),
        plus(*(times(_c(t, m), Transition(t.plus(-m), k)) for m in lags)),
        (Range("t", Place("", 2), Place("T")), Range("k", FIRST, EARLIER)),
    )
    closed = Sum("k", FIRST, t, times(Transition(t, k), _g(k)))

    def carried(m: int, top: Place) -> Term:
        return times(_c(t, m), Sum("k", FIRST, top, times(Transition(t.plus(-m), k), _g(k))))

    before = plus(_g(t), *(carried(m, t.plus(-m)) for m in lags))
    further = plus(_g(t), *(carried(m, EARLIER) for m in lags))
    grouped = plus(
        _g(t), Sum("k", FIRST, EARLIER, times(plus(*(times(_c(t, m), Transition(t.plus(-m), k)) for m in lags)), _g(k)))
    )
    named = plus(_g(t), Sum("k", FIRST, EARLIER, times(Transition(t, k), _g(k))))
    step = chained(
        (Why.HYPOTHESES, Why.VANISH, Why.DISTRIBUTE, Why.RECURRENCE, Why.LAST_TERM),
        (_a(t), before, further, grouped, named, closed),
        LATER_STEPS,
    )
    one = FIRST
    base = chained(
        (Why.RECURRENCE, Why.EMPTY), (_a(one), _g(one), Sum("k", one, one, times(Transition(one, k), _g(k))))
    )
    return Theorem(
        Topic.LEMMA,
        (Line(Why.CLAIM, _a(t), closed, EVERY_STEP),),
        (
            Part(Piece.PREMISES, (Line(Why.RECURRENCE, _a(t), recurrence, EVERY_STEP), *starting, later, phi)),
            Part(Piece.BASE, base),
            Part(Piece.STEP, step),
            Part(Piece.CONCLUSION),
        ),
        kind="lags",
    )


def _with_initial(n: int, lags: tuple[int, ...]) -> Term:
    """g_n: b_n with what the initial values a_0, a_{−1}, … add at step n."""
    return plus(_b(Place("", n)), *(times(_c(Place("", n), m), _a(Place("", n - m))) for m in lags if m >= n))


def lemma_letters(lags: tuple[int, ...], terms: Terms | None = None) -> Letters:
    """The ring in which the lemma is checked: a_t, g_t, Φ_{t,k} by their recursions, all else letters."""
    single = lags == (1,)

    def c(t: int, m: int) -> Words:
        return letter(f"c_{t}" if single else f"c_{m}_{t}")

    def premises(ring: Letters, expression: Expression) -> Words | None:
        match expression:
            case Quantity("a", int() as t) if t >= 1:
                total = ring.leaf(Quantity("b", t))
                for m in lags:
                    total = total + c(t, m) * ring.leaf(Quantity("a", t - m))
                return total
            case Quantity("g", int() as t):
                total = ring.leaf(Quantity("b", t))
                for m in lags:
                    if m >= t:
                        total = total + c(t, m) * ring.leaf(Quantity("a", t - m))
                return total
        return None

    def transitions(t: int, k: int) -> Words:
        if t <= k:
            return UNIT if t == k else NOTHING
        found = NOTHING
        for m in lags:
            found = found + c(t, m) * transitions(t - m, k)
        return found

    ring = Letters(premises, terms)
    ring.transitions = transitions
    return ring
