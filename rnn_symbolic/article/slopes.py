r"""What σ' can be: its supremum, the points where it is 0.2, and the greatest |σ'(w y) w| at a fixed state y.

The slope of each smooth activation is a polynomial in one bounded variable s: for logistic and tanh s is the value
itself, σ' = s(1 − s) and 1 − s²; for softplus s = logistic(z) and σ' = s. So the supremum is a question about a
polynomial on an interval. ReLU and the identity are straight: the slopes of their pieces are listed.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction
from typing import Any

from rnn_symbolic.frozen import frozen

FIFTH = Fraction(1, 5)
"""The article's 0.2."""


@frozen
class Slope:
    """σ'(z) = ``polynomial(s)`` for s strictly between ``low`` and ``high``; constants need no s.

    ``value`` is σ as a SymPy expression, ``variable`` is s(z), ``inverse`` is z(s).
    """

    value: Callable[[Any], Any]
    polynomial: Callable[[Any], Any]
    variable: Callable[[Any], Any]
    inverse: Callable[[Any], Any]
    low: int
    high: int


def _slopes() -> dict[str, Slope]:
    import sympy as sp

    def logistic(z: Any) -> Any:
        return 1 / (1 + sp.exp(-z))

    def log_odds(s: Any) -> Any:
        return sp.log(sp.together(sp.expand(sp.radsimp(s / (1 - s)))))

    def artanh(s: Any) -> Any:
        return sp.log(sp.sqrtdenest(sp.sqrt(sp.expand(sp.radsimp((1 + s) / (1 - s))))))

    return {
        "logistic": Slope(logistic, lambda s: s * (1 - s), logistic, log_odds, 0, 1),
        "tanh": Slope(sp.tanh, lambda s: 1 - s**2, sp.tanh, artanh, -1, 1),
        "softplus": Slope(lambda z: sp.log(1 + sp.exp(z)), lambda s: s, logistic, log_odds, 0, 1),
    }


CONSTANT_SLOPES: dict[str, tuple[Fraction, ...]] = {
    "relu": (Fraction(0), Fraction(1)),
    "identity": (Fraction(1),),
}
"""The activations made of straight pieces, and the slopes of the pieces."""


def slope_is_as_stated(name: str) -> bool:
    """Whether σ'(z), differentiated by SymPy, is the polynomial that the table states.

    >>> slope_is_as_stated("tanh")
    True
    """
    import sympy as sp

    slope = _slopes()[name]
    z = sp.Symbol("z", real=True)
    difference = sp.diff(slope.value(z), z) - slope.polynomial(slope.variable(z))
    return bool(sp.cancel(sp.together(difference.rewrite(sp.exp))) == 0)


def slope_at_value(name: str, value: Fraction) -> Fraction:
    """σ'(a) where σ(a) = ``value``, for the activations whose slope is a polynomial in their value.

    >>> slope_at_value("logistic", Fraction(1, 5)), slope_at_value("tanh", Fraction(1, 5))
    (Fraction(4, 25), Fraction(24, 25))
    """
    if name not in ("logistic", "tanh"):
        raise ValueError(f"the slope of {name} is not a polynomial in its value")
    return Fraction(_slopes()[name].polynomial(value))


def slope_supremum(name: str) -> Fraction:
    """γ = sup |σ'|: the greatest of |σ'| at the critical points and at the ends of the interval.

    >>> slope_supremum("logistic"), slope_supremum("tanh"), slope_supremum("relu")
    (Fraction(1, 4), Fraction(1, 1), Fraction(1, 1))
    """
    if name in CONSTANT_SLOPES:
        return max(CONSTANT_SLOPES[name])
    import sympy as sp

    slope = _slopes()[name]
    s = sp.Symbol("s", real=True)
    critical = [root for root in sp.solve(sp.diff(slope.polynomial(s), s), s) if slope.low < root < slope.high]
    candidates = [abs(slope.polynomial(at)) for at in (*critical, sp.Integer(slope.low), sp.Integer(slope.high))]
    return Fraction(int(max(candidates).p), int(max(candidates).q))


@frozen
class Preimage:
    """A point a where σ'(a) has the wanted value: in closed form, as a number, and σ(a) there."""

    exact: str
    number: float
    state: float


def preimages(name: str, wanted: Fraction = FIFTH) -> tuple[Preimage, ...]:
    r"""All real a with σ'(a) = ``wanted``, the greatest first; none where the slope never has that value.

    >>> [round(p.number, 5) for p in preimages("logistic")], preimages("relu")
    ([0.96242, -0.96242], ())
    """
    if name in CONSTANT_SLOPES:
        if wanted in CONSTANT_SLOPES[name]:
            raise ValueError(f"{name} has the slope {wanted} on a whole interval")
        return ()
    import sympy as sp

    slope = _slopes()[name]
    s = sp.Symbol("s", real=True)
    roots = sp.solve(slope.polynomial(s) - sp.Rational(wanted.numerator, wanted.denominator), s)
    found = []
    for root in roots:
        if slope.low < root < slope.high:
            exact = slope.inverse(root)
            state = slope.value(exact)
            found.append(Preimage(_latex(exact), float(exact.evalf(20)), float(state.evalf(20))))
    return tuple(sorted(found, key=lambda p: -p.number))


def _latex(expression: Any) -> str:
    """SymPy's LaTeX, without the braces and spaces around the argument of a function and after a leading sign."""
    import sympy as sp

    text: str = sp.latex(expression, ln_notation=True)
    text = re.sub(r"^- ", "-", text)
    return re.sub(r"\\(ln|tanh)\{\\left\((.*?) ?\\right\)\}", r"\\\1\\left(\2\\right)", text)


@frozen
class Saturation:
    r"""The maximum over w > 0 of σ'(w y) w at a fixed state y > 0, in u = w y.

    ``stationary``: SymPy's derivative by w is σ'(u) times 1 − c u tanh(u/k), so it vanishes where the condition
    holds; ``scaled`` is the maximum times y.
    """

    activation: str
    condition: str  # LaTeX of what must be 1
    stationary: bool
    root: float
    scaled: float


def saturation(name: str) -> Saturation:
    """Maximise σ'(w y) w over w: differentiate, compare with the stationarity condition, solve it.

    Where the condition's left side grows from 0 without bound, as u tanh u does, the root is the only one.

    >>> saturation("logistic").stationary, round(saturation("logistic").scaled, 12)
    (True, 0.223871602347)
    """
    import sympy as sp

    slope = _slopes()[name]
    u, w, y, z = sp.symbols("u w y z", positive=True)
    derivative_of_slope = sp.diff(slope.value(z), z)
    condition = {"logistic": u * sp.tanh(u / 2), "tanh": 2 * u * sp.tanh(u)}[name]  # = 1
    gain = derivative_of_slope.subs(z, w * y) * w
    rate = sp.diff(gain, w).subs(w, u / y) / derivative_of_slope.subs(z, u)
    stationary = sp.cancel(sp.together((rate - (1 - condition)).rewrite(sp.exp))) == 0
    root = sp.nsolve(condition - 1, u, 1, prec=30)
    scaled = (derivative_of_slope.subs(z, u) * u).evalf(25, subs={u: root})
    return Saturation(name, _latex(condition), bool(stationary), float(root), float(scaled))
