r"""γ = sup |φ'|, derived exactly: no number of this page is looked up.

Each function is a rational function of a positive variable v (v = e^z, √z, tan(z/2), …) with a rational dv/dz, so φ'
is one too, by the quotient rule on polynomials with whole coefficients. Its supremum over v > 0 is the greatest of |φ'|
at the roots of its derivative and of its limits at 0 and ∞; Sturm's theorem says that no root was missed. What proves
it is the identity γ − |φ'| = (a polynomial that is not negative) / (a positive one).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from rnn_symbolic.errors import InputError

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


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
class Definition:
    """φ as a rational function of v > 0, dv/dz, and v as LaTeX in z; ``log`` says that φ is the logarithm of it."""

    value: Rational
    rate: Rational
    variable: str
    log: bool = False


ONE, V = poly(1), poly(0, 1)
DEFINITIONS: dict[str, Definition] = {
    "logistic": Definition(Rational(V, poly(1, 1)), Rational(V), r"\exp(z)"),
    "tanh": Definition(Rational(poly(-1, 1), poly(1, 1)), Rational(poly(0, 2)), r"\exp(2\,z)"),
    "softplus": Definition(Rational(poly(1, 1)), Rational(V), r"\exp(z)", log=True),
    "exp": Definition(Rational(V), Rational(V), r"\exp(z)"),
    "log": Definition(Rational(V), Rational(ONE), "z", log=True),
    "sqrt": Definition(Rational(V), Rational(ONE, poly(0, 2)), r"\sqrt{z}"),
    "sin": Definition(Rational(poly(0, 2), poly(1, 0, 1)), Rational(poly(1, 0, 1), poly(2)), r"\tan(z/2)"),
    "cos": Definition(Rational(poly(1, 0, -1), poly(1, 0, 1)), Rational(poly(1, 0, 1), poly(2)), r"\tan(z/2)"),
}
PIECES: dict[str, tuple[Fraction, ...]] = {"relu": (Fraction(0), Fraction(1)), "identity": (Fraction(1),)}
"""Functions made of straight pieces, and their slopes."""


@dataclass(frozen=True, slots=True)
class Bound:
    """γ = sup |φ'|, None where it is ∞; ``slope`` is φ' in v, ``rest`` the polynomial above the line in γ − |φ'|.

    ``attained`` is the v > 0 where |φ'| = γ; None where γ is a limit only, or where the slopes are constants.
    """

    name: str
    gamma: Fraction | None
    slope: Rational | None = None
    variable: str = ""
    attained: Fraction | None = None
    limit: str = ""  # "0" or "infinity": where |φ'| tends to γ
    rest: Polynomial = ()


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
    slope, variable = slope_in_v(name), DEFINITIONS[name].variable
    critical = slope.rate().above
    roots = rational_roots(critical)
    assert len(roots) == positive_roots(critical), name  # every critical point is rational, and found
    found: list[tuple[Fraction | None, Fraction | None, str]] = [
        (abs(at(slope.above, v) / at(slope.below, v)), v, "") for v in roots
    ]
    found += [(_limit(slope, low=True), None, "0"), (_limit(slope, low=False), None, "infinity")]
    if any(value is None for value, _, _ in found):
        where = next(place for value, _, place in found if value is None)
        return Bound(name, None, slope, variable, limit=where)
    gamma, attained, limit = max(found, key=lambda each: (each[0] or 0, each[1] is not None))
    assert gamma is not None
    positive = attained is None or at(slope.above, attained) > 0
    sign = 1 if (positive and attained is not None) or _sign(slope, limit) > 0 else -1
    rest = add(scale(slope.below, gamma), scale(slope.above, -sign))
    return Bound(name, gamma, slope, variable, attained, limit, rest)


def _limit(slope: Rational, low: bool) -> Fraction | None:
    """lim |φ'| as v → 0 or ∞; None where it is ∞."""
    above, below = slope.above, slope.below
    if low:
        a, b = (next(i for i, c in enumerate(p) if c) for p in (above, below))
        return None if a < b else Fraction(0) if a > b else abs(above[a] / below[b])
    if len(above) != len(below):
        return None if len(above) > len(below) else Fraction(0)
    return abs(above[-1] / below[-1])


def _sign(slope: Rational, limit: str) -> int:
    if limit == "":
        return -1
    value = next(c for c in slope.above if c) if limit == "0" else slope.above[-1]
    return 1 if value > 0 else -1


def is_certified(bound: Bound) -> bool:
    """Whether −γ ≤ φ' ≤ γ for every v > 0: neither γ Q − P nor γ Q + P changes its sign there.

    >>> all(is_certified(slope_bound(name)) for name in ("tanh", "logistic", "sin", "cos", "softplus"))
    True
    """
    if bound.slope is None:
        return bound.gamma is not None and all(abs(slope) <= bound.gamma for slope in PIECES[bound.name])
    if bound.gamma is None:
        return False
    for sign in (1, -1):
        gap = add(scale(bound.slope.below, bound.gamma), scale(bound.slope.above, sign))
        if not _never_negative(gap):
            return False
    return True


def _never_negative(p: Polynomial) -> bool:
    """p(v) ≥ 0 for v > 0: between its roots, all rational and found, it is nowhere negative."""
    if not p:
        return True
    roots = rational_roots(p)
    if len(roots) != positive_roots(p):
        return False
    between = [(a + b) / 2 for a, b in zip([Fraction(0), *roots], roots, strict=False)]
    return all(at(p, v) >= 0 for v in (*between, (roots[-1] if roots else Fraction(0)) + 1))
