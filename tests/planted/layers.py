"""Activations, lines W h + U x + b and output layers, with the mistakes people make on the way back."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from .mistakes import Array, Mistakes, Steps, Sums, back, dot, outer

Parameters = Mapping[str, Array]


def logistic(z: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-z)))


VALUE: dict[str, Callable[[Array], Array]] = {"logistic": logistic, "tanh": np.tanh}
FORMULA: dict[str, Callable[[Array], Array]] = {"logistic": lambda v: v * (1 - v), "tanh": lambda v: 1 - v * v}
TEXT = {"logistic": "v (1 - v)", "tanh": "1 - v²"}


def slope(m: Mistakes, q: str, f: str, a: Steps, v: Steps, t: int, *, output: bool = False) -> Array:
    """The derivative of q_t = v_t = f(a_t), from v_t. Where v has a v_0, an index too small finds that."""
    own, other = FORMULA[f], "tanh" if f == "logistic" else "logistic"
    if m(f"{q}-formula-of-pre-activation", "activation-argument", f"{TEXT[f]} of {f} with the pre-activation of {q}"):
        return own(a[t])
    if m(f"{q}-slope-at-value", "activation-argument", f"{f}' at {q} in place of its pre-activation"):
        return own(VALUE[f](v[t]))
    if m(f"{q}-slope-of-{other}", "wrong-activation", f"{TEXT[other]} for the slope of {q}, which is a {f}"):
        return FORMULA[other](v[t])
    if m(f"{q}-slope-of-relu", "wrong-activation", f"[a > 0] for the slope of {q}, which is a {f}"):
        return (a[t] > 0) * np.ones_like(a[t])
    without = "output-derivative" if output else "wrong-activation"
    if m(f"{q}-slope-left-out", without, f"the slope of {q} is left out"):
        return np.ones_like(v[t])
    if output and m(f"{q}-slope-twice", "output-derivative", f"the slope of {q} stands twice"):
        return own(v[t]) ** 2
    if m(f"{q}-slope-stale", "index", f"the slope of {q} at t - 1"):
        return own(back(v, t))
    if 0 in v and m(f"{q}-slope-stale-around", "index", f"the slope of {q} at t - 1, at t = 1 that of the last step"):
        return own(v[t - 1 if t > 1 else max(v)])
    return own(v[t])


def line_back(
    m: Mistakes,
    g: Sums,
    p: Parameters,
    t: int,
    s: Array,
    dv: Array,
    names: str,
    was: Steps,
    x: Steps,
    *,
    q: str = "h",
    gate: str = "",
    active: bool = True,
) -> Array:
    """Back through v_t = f(a_t), a_t = W q_{t-1} + U x_t + b, where s is f'(a_t): what goes back to q_{t-1}."""
    W, U, *b = names.split()
    da = s * dv
    before, now = was[t - 1], x[t]
    if m(f"{q}_0-term-left-out", "initial-state", f"what enters at step 1 with {q}_0 is not added"):
        before = before * (t > 1)
    if m(f"{W}-of-new-state", "index", f"{q}_t for {q}_(t-1) in d{W}"):
        before = was[t]
    if m(f"{W}-of-older-state", "index", f"{q}_(t-2) for {q}_(t-1) in d{W}; where there is none the last one"):
        before = was.get(t - 2, was[max(was)])
    if m(f"{U}-of-input-before", "index", f"the input of t - 1 in d{U}; at t = 1 the last one, or that of step 0"):
        now = back(x, t)
    if m(f"{U}-of-input-before-or-0", "index", f"the input of t - 1 in d{U}; at t = 1 zero"):
        now = x[t - 1] if t > 1 else 0 * x[t]
    g.add(W, t, outer(da, before))
    g.add(U, t, outer(da, now))
    for name in b:
        g.add(name, t, da)
    square = (W,) if q == "y" else ()
    if m(f"{W}-not-transposed", "transpose", f"{W} for its transpose on the way back", scalar=False, square=square):
        return dot(p[W], da)
    if gate and m(f"{W}-route", "missing-route", f"that {gate} depends on {q}_(t-1) is forgotten"):
        return 0 * dot(p[W].T, da)
    if active and m(f"{W}-order", "order", f"the slope after {W}ᵀ, not before", scalar=False, square=square):
        return s * dot(p[W].T, dv)
    if m(f"{W}-forgotten", "scale", f"a weight too few: {W}ᵀ is forgotten on the way back", square=square):
        return da
    if m(f"{W}-twice", "scale", f"a weight too many: {W}ᵀ stands twice on the way back", square=square):
        return dot(p[W].T, dot(p[W].T, da))
    return dot(p[W].T, da)


def read(p: Parameters, h: Array) -> tuple[Array, Array]:
    """o = W_y h + b_y, y = logistic(o)."""
    o = dot(p["W_y"], h) + p["b_y"]
    return o, logistic(o)


def read_back(
    m: Mistakes,
    g: Sums,
    p: Parameters,
    t: int,
    dy: Array,
    o: Steps,
    y: Steps,
    h: Steps,
    *,
    q: str = "h",
    own: bool = True,
) -> Array:
    """Back through y_t = logistic(W_y h_t + b_y): what h_t gets from the loss of its own step."""
    return linear_back(m, g, p, t, slope(m, "y", "logistic", o, y, t, output=True), dy, h, q=q, own=own)


def linear_back(
    m: Mistakes,
    g: Sums,
    p: Parameters,
    t: int,
    s: Array,
    dy: Array,
    h: Steps,
    *,
    q: str = "h",
    active: bool = True,
    bias: bool = True,
    own: bool = True,
) -> Array:
    """Back through y_t = f(W_y h_t + b_y), s the slope of f; ``own``: nothing but the loss of the step comes by y_t."""
    do = s * dy
    now = h[t]
    if m("W_y-of-old-state", "index", f"{q}_(t-1) for {q}_t in dW_y"):
        now = back(h, t)
    g.add("W_y", t, outer(do, now))
    if bias:
        g.add("b_y", t, do)
    matrix, square = p["W_y"], ("W_y",)
    if own and m(
        "only-last-loss-into-states", "missing-loss", "the states get the loss of the last step only, W_y that of all"
    ):
        return dot(matrix.T, do) * (t == g.last)
    if m("W_y-not-transposed", "transpose", "W_y for its transpose on the way back", scalar=False, square=square):
        return dot(matrix, do)
    if active and m("W_y-order", "order", "the slope of y after W_yᵀ, not before", scalar=False, square=square):
        return s * dot(matrix.T, dy)
    if m("W_y-forgotten", "scale", "a weight too few: W_yᵀ is forgotten on the way back", square=square):
        return do
    return dot(matrix.T, do)
