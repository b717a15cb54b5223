r"""γ = sup |φ'|, derived exactly: no number of this page is looked up.

Each function is a rational function of a variable v (v = e^z or √z, positive; v = tan(z/2), any real number) with a
rational dv/dz, so φ' = P/Q is one too, by the quotient rule on polynomials with whole coefficients. Its supremum is the
greatest of |φ'| at the roots of its derivative and of its limits at the ends; Sturm's theorem says that no root was
missed. What proves it is that neither γ − φ' = (γ Q − P)/Q nor γ + φ' = (γ Q + P)/Q is negative anywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise

from rnn_symbolic.errors import InputError
from rnn_symbolic.frozen import frozen

Polynomial = tuple[Fraction, ...]
"""Coefficients, the constant first; no leading zeros."""


def poly(*coefficients: int | Fraction) -> Polynomial:
    """A polynomial from its coefficients, the constant first.

    >>> poly(1, 2, 0) == poly(1, 2)
    True
    """
    found = [Fraction(c) for c in coefficients]
    while found and found[-1] == 0:
        found.pop()
    return tuple(found)


def add(p: Polynomial, q: Polynomial) -> Polynomial:
    """p + q."""
    size = max(len(p), len(q))
    return poly(*((p[i] if i < len(p) else 0) + (q[i] if i < len(q) else Fraction(0)) for i in range(size)))


def scale(p: Polynomial, number: Fraction | int) -> Polynomial:
    """number · p."""
    return poly(*(c * number for c in p))


def multiply(p: Polynomial, q: Polynomial) -> Polynomial:
    """p q."""
    found = [Fraction(0)] * max(0, len(p) + len(q) - 1)
    for i, a in enumerate(p):
        for j, b in enumerate(q):
            found[i + j] += a * b
    return poly(*found)


def derived(p: Polynomial) -> Polynomial:
    """dp/dv."""
    return poly(*(i * c for i, c in enumerate(p) if i))


def divide(p: Polynomial, q: Polynomial) -> tuple[Polynomial, Polynomial]:
    """Quotient and remainder."""
    rest, found = list(p), [Fraction(0)] * max(0, len(p) - len(q) + 1)
    for i in range(len(p) - len(q), -1, -1):
        factor = found[i] = rest[i + len(q) - 1] / q[-1]
        for j, c in enumerate(q):
            rest[i + j] -= factor * c
    return poly(*found), poly(*rest)


def common(p: Polynomial, q: Polynomial) -> Polynomial:
    """The greatest common divisor, with leading coefficient 1."""
    while q:
        p, q = q, divide(p, q)[1]
    return scale(p, 1 / p[-1]) if p else p


def at(p: Polynomial, v: Fraction) -> Fraction:
    """p(v)."""
    value = Fraction(0)
    for c in reversed(p):
        value = value * v + c
    return value


def positive_roots(p: Polynomial) -> int:
    """How many different roots v > 0 there are: Sturm's theorem.

    >>> positive_roots(poly(-6, 11, -6, 1)), positive_roots(poly(1, 0, 1))
    (3, 0)
    """
    p = divide(p, common(p, derived(p)))[0]  # each root once
    while p and p[0] == 0:
        p = p[1:]
    sequence = [p, derived(p)]
    while sequence[-1]:
        sequence.append(scale(divide(sequence[-2], sequence[-1])[1], -1))
    signs = [s for s in sequence if s]
    return _changes([s[0] for s in signs]) - _changes([s[-1] for s in signs])


def _changes(values: Sequence[Fraction]) -> int:
    kept = [v > 0 for v in values if v]
    return sum(a != b for a, b in pairwise(kept))


def rational_roots(p: Polynomial) -> list[Fraction]:
    """The different rational roots v > 0, by trial of numerator and denominator.

    >>> [str(v) for v in rational_roots(poly(-1, 0, 4))]
    ['1/2']
    """
    while p and p[0] == 0:
        p = p[1:]
    if len(p) < 2:
        return []
    lcm = 1
    for c in p:
        lcm = lcm * c.denominator // _gcd(lcm, c.denominator)
    first, last = (abs(int(c * lcm)) for c in (p[0], p[-1]))
    candidates = {Fraction(a, b) for a in _divisors(first) for b in _divisors(last)}
    return sorted(v for v in candidates if at(p, v) == 0)


def _gcd(a: int, b: int) -> int:
    while b:
        a, b = b, a % b
    return a


def _divisors(n: int) -> list[int]:
    return [d for d in range(1, n + 1) if n % d == 0]


# --- the functions --------------------------------------------------------------------------------------------------


@frozen
class Rational:
    """above/below, with below > 0 for v > 0."""

    above: Polynomial
    below: Polynomial = (Fraction(1),)

    def rate(self) -> Rational:
        """d/dv by the quotient rule."""
        above = add(multiply(derived(self.above), self.below), scale(multiply(self.above, derived(self.below)), -1))
        return Rational(above, multiply(self.below, self.below)).reduced()

    def times(self, other: Rational) -> Rational:
        """The product."""
        return Rational(multiply(self.above, other.above), multiply(self.below, other.below)).reduced()

    def reduced(self) -> Rational:
        """In lowest terms, with whole coefficients as small as can be."""
        divisor = common(self.above, self.below)
        above, below = (divide(p, divisor)[0] for p in (self.above, self.below))
        lcm = 1
        for c in (*above, *below):
            lcm = lcm * c.denominator // _gcd(lcm, c.denominator)
        above, below = scale(above, lcm), scale(below, lcm)
        gcd = 0
        for c in (*above, *below):
            gcd = _gcd(gcd, abs(int(c)))
        return Rational(scale(above, Fraction(1, gcd)), scale(below, Fraction(1, gcd)))


@frozen
class Definition:
    """φ as a rational function of v, dv/dz, and v as LaTeX in z; ``log`` says that φ is the logarithm of it.

    v is positive; where ``real`` it is any real number, and v = ∞ is the point z = π.
    """

    value: Rational
    rate: Rational
    variable: str
    log: bool = False
    real: bool = False


ONE, V = poly(1), poly(0, 1)
DEFINITIONS: dict[str, Definition] = {
    "logistic": Definition(Rational(V, poly(1, 1)), Rational(V), r"\exp(z)"),
    "tanh": Definition(Rational(poly(-1, 1), poly(1, 1)), Rational(poly(0, 2)), r"\exp(2\,z)"),
    "softplus": Definition(Rational(poly(1, 1)), Rational(V), r"\exp(z)", log=True),
    "exp": Definition(Rational(V), Rational(V), r"\exp(z)"),
    "log": Definition(Rational(V), Rational(ONE), "z", log=True),
    "sqrt": Definition(Rational(V), Rational(ONE, poly(0, 2)), r"\sqrt{z}"),
    "sin": Definition(Rational(poly(0, 2), poly(1, 0, 1)), Rational(poly(1, 0, 1), poly(2)), r"\tan(z/2)", real=True),
    "cos": Definition(
        Rational(poly(1, 0, -1), poly(1, 0, 1)), Rational(poly(1, 0, 1), poly(2)), r"\tan(z/2)", real=True
    ),
}
PIECES: dict[str, tuple[Fraction, ...]] = {"relu": (Fraction(0), Fraction(1)), "identity": (Fraction(1),)}
"""Functions made of straight pieces, and their slopes."""


@frozen
class Bound:
    """γ = sup |φ'|, None where it is ∞; ``slope`` is φ' = P/Q in v, None for a function made of straight pieces.

    ``critical`` are the points v where φ' has a derivative of 0. ``attained`` is one where |φ'| = γ; None where γ is a
    limit only, for v → ``limit``, "0" or "infinity".
    """

    name: str
    gamma: Fraction | None
    slope: Rational | None = None
    variable: str = ""
    real: bool = False
    critical: tuple[Fraction, ...] = ()
    attained: Fraction | None = None
    limit: str = ""

    def gap(self, sign: int) -> Polynomial:
        """γ Q − P for the sign 1, γ Q + P for −1: what stands above Q in γ ∓ φ'.

        >>> [str(c) for c in slope_bound("tanh").gap(1)]
        ['1', '-2', '1']
        """
        assert self.slope is not None and self.gamma is not None
        return add(scale(self.slope.below, self.gamma), scale(self.slope.above, -sign))

    @property
    def touching(self) -> int:
        """1 where γ − φ' is 0 at ``attained``, or tends to 0; −1 where γ + φ' does so."""
        gap = self.gap(1)
        if self.attained is not None:
            return 1 if at(gap, self.attained) == 0 else -1
        if self.limit == "0":
            return 1 if not gap or gap[0] == 0 else -1
        assert self.slope is not None
        return 1 if len(gap) < len(self.slope.below) else -1


def slope_in_v(name: str) -> Rational:
    """φ' = dφ/dv · dv/dz as a rational function of v.

    >>> [str(c) for c in slope_in_v("logistic").above], [str(c) for c in slope_in_v("logistic").below]
    (['0', '1'], ['1', '2', '1'])
    """
    definition = DEFINITIONS[name]
    rate = definition.value.rate()
    if definition.log:
        rate = rate.times(Rational(definition.value.below, definition.value.above))
    return rate.times(definition.rate)


def slope_bound(name: str) -> Bound:
    """γ of an activation, with what proves it; None for exp, log, sqrt, whose slopes have no bound.

    >>> slope_bound("logistic").gamma, slope_bound("tanh").gamma, slope_bound("exp").gamma
    (Fraction(1, 4), Fraction(1, 1), None)

    Raises InputError for the abstract σ, of whose slope nothing is known.
    """
    if name in PIECES:
        return Bound(name, max(map(abs, PIECES[name])))
    if name not in DEFINITIONS:
        raise InputError(f"nothing is known of the slope of {name}; choose an activation such as tanh")
    definition, slope = DEFINITIONS[name], slope_in_v(name)
    critical = _roots(slope.rate().above, definition.real)
    assert critical is not None, name  # every critical point is rational, and found
    ends = {"infinity": _limit(slope, low=False)} | ({} if definition.real else {"0": _limit(slope, low=True)})
    unbounded = next((end for end, value in ends.items() if value is None), "")
    if unbounded:
        return Bound(name, None, slope, definition.variable, definition.real, critical, None, unbounded)
    values = {v: abs(at(slope.above, v) / at(slope.below, v)) for v in critical}
    gamma = max((*values.values(), *(value for value in ends.values() if value is not None)))
    attained = next((v for v, value in values.items() if value == gamma), None)
    limit = "" if attained is not None else next(end for end, value in ends.items() if value == gamma)
    return Bound(name, gamma, slope, definition.variable, definition.real, critical, attained, limit)


def _roots(p: Polynomial, real: bool) -> tuple[Fraction, ...] | None:
    """The roots v > 0, or all real ones, the greatest first; None unless all of them are rational."""
    found = rational_roots(p)
    if len(found) != positive_roots(p):
        return None
    if real:
        negative = _roots(_mirrored(p), False)
        if negative is None:
            return None
        found = [*(-v for v in negative), *([Fraction(0)] if p and p[0] == 0 else []), *found]
    return tuple(reversed(found))


def _mirrored(p: Polynomial) -> Polynomial:
    """p(−v)."""
    return poly(*(-c if i % 2 else c for i, c in enumerate(p)))


def _limit(slope: Rational, low: bool) -> Fraction | None:
    """lim |φ'| as v → 0 or ∞; None where it is ∞."""
    above, below = slope.above, slope.below
    if low:
        a, b = (next(i for i, c in enumerate(p) if c) for p in (above, below))
        return None if a < b else Fraction(0) if a > b else abs(above[a] / below[b])
    if len(above) != len(below):
        return None if len(above) > len(below) else Fraction(0)
    return abs(above[-1] / below[-1])


def is_certified(bound: Bound) -> bool:
    """Whether −γ ≤ φ' ≤ γ for every v: neither γ Q − P nor γ Q + P is negative anywhere.

    >>> all(is_certified(slope_bound(name)) for name in ("tanh", "logistic", "sin", "cos", "softplus"))
    True
    """
    if bound.slope is None:
        return bound.gamma is not None and all(abs(slope) <= bound.gamma for slope in PIECES[bound.name])
    if bound.gamma is None:
        return False
    gaps = [bound.gap(sign) for sign in (1, -1)]
    return all(_never_negative(p) for gap in gaps for p in ((gap, _mirrored(gap)) if bound.real else (gap,)))


def _never_negative(p: Polynomial) -> bool:
    """p(v) ≥ 0 for v > 0: between its roots, all rational and found, it is nowhere negative."""
    roots = _roots(p, False) if p else ()
    if roots is None:
        return False
    ends = [Fraction(0), *reversed(roots)]
    between = [(a + b) / 2 for a, b in pairwise(ends)]
    return all(at(p, v) >= 0 for v in (*between, ends[-1] + 1))
