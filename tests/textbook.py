r"""What a person writes with paper and pencil: gradients, forward passes, cells. The package computes nothing here.

The gradients of the elman cell for T = 3 use the article's letters; a_t and o_t are the pre-activations. The forward
passes take plain numbers or NumPy's complex numbers, so that a complex step differentiates them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import sympy as sp

from rnn_symbolic.symbols import sigma_prime as s
from rnn_symbolic.symbols import step_loss_prime

# --- the gradients of elman for T = 3, typed by hand ------------------------------------------------------------------

W_x, W_h, W_y, b_h, b_y = sp.symbols("W_x W_h W_y b_h b_y")
x1, x2, x3, h0, h1, h2, h3 = sp.symbols("x_1 x_2 x_3 h_0 h_1 h_2 h_3")
a1, a2, a3, o1, o2, o3, y1, y2, y3 = sp.symbols("a_1 a_2 a_3 o_1 o_2 o_3 y_1 y_2 y_3")


def slope(t: int, y: sp.Symbol) -> sp.Expr:
    """ℓ_t'(y_t)."""
    return step_loss_prime(sp.Integer(t), y)


e1, e2, e3 = slope(1, y1) * s(o1), slope(2, y2) * s(o2), slope(3, y3) * s(o3)  # ∂ℓ_t/∂o_t

GRADIENTS = {
    "W_x": e3 * W_y * s(a3) * x3
    + e3 * W_y * s(a3) * W_h * s(a2) * x2
    + e3 * W_y * s(a3) * W_h * s(a2) * W_h * s(a1) * x1
    + e2 * W_y * s(a2) * x2
    + e2 * W_y * s(a2) * W_h * s(a1) * x1
    + e1 * W_y * s(a1) * x1,
    "W_h": e3 * W_y * s(a3) * h2
    + e3 * W_y * s(a3) * W_h * s(a2) * h1
    + e3 * W_y * s(a3) * W_h * s(a2) * W_h * s(a1) * h0
    + e2 * W_y * s(a2) * h1
    + e2 * W_y * s(a2) * W_h * s(a1) * h0
    + e1 * W_y * s(a1) * h0,
    "b_h": e3 * W_y * s(a3)
    + e3 * W_y * s(a3) * W_h * s(a2)
    + e3 * W_y * s(a3) * W_h * s(a2) * W_h * s(a1)
    + e2 * W_y * s(a2)
    + e2 * W_y * s(a2) * W_h * s(a1)
    + e1 * W_y * s(a1),
    "W_y": e3 * h3 + e2 * h2 + e1 * h1,
    "b_y": e3 + e2 + e1,
    "h_0": e3 * W_y * s(a3) * W_h * s(a2) * W_h * s(a1) * W_h
    + e2 * W_y * s(a2) * W_h * s(a1) * W_h
    + e1 * W_y * s(a1) * W_h,
}
"""∂L/∂θ with L = ℓ_1 + ℓ_2 + ℓ_3."""

ARTICLE = {
    "W_x": e3 * W_y * (s(a3) * x3 + s(a3) * W_h * s(a2) * x2 + s(a3) * W_h * s(a2) * W_h * s(a1) * x1),
    "W_h": e3 * W_y * (s(a3) * h2 + s(a3) * W_h * s(a2) * h1 + s(a3) * W_h * s(a2) * W_h * s(a1) * h0),
    "W_y": e3 * h3,
}
"""The article's view: ∂ℓ_3/∂θ, its three paths."""

# --- cells as text, and their forward passes by hand ------------------------------------------------------------------

LSTM = """\
f = logistic(W_f @ h[t-1] + U_f @ x + b_f)
i = logistic(W_i @ h[t-1] + U_i @ x + b_i)
g = tanh(W_g @ h[t-1] + U_g @ x + b_g)
q = logistic(W_q @ h[t-1] + U_q @ x + b_q)
c = f * c[t-1] + i * g
h = q * tanh(c)
y = W_y @ h + b_y
"""
GRU = """\
z = logistic(W_z @ h[t-1] + U_z @ x + b_z)
r = logistic(W_r @ h[t-1] + U_r @ x + b_r)
n = tanh(W_n @ (r * h[t-1]) + U_n @ x + b_n)
h = z * h[t-1] + (1 - z) * n
y = W_y @ h + b_y
"""
JORDAN = """\
a = W_o @ y[t-1] + W_x @ x + b_h
h = tanh(a)
y = logistic(V_y @ h + b_y)
"""
LAG2 = """\
a = W_h @ h[t-1] + V_h @ h[t-2] + W_x @ x + b_h
h = tanh(a)
y = W_y @ h + b_y
"""
RESIDUAL = """\
a = W_h @ h[t-1] + W_x @ x + b_h
h = h[t-1] + tanh(a)
y = W_y @ h + b_y
"""
OWN_LOSS = """\
a = W_h @ h[t-1] + W_x @ x + b_h
h = tanh(a)
y = W_y @ h + b_y
loss = (y - d)**2 / 2 + 0.1 * h**2 * d + exp(-y) / 3
"""
NASTY = """\
a = W_h @ h[t-1] - h[t-1]**3 / 3 + sin(W_x @ x) / (1 + exp(-h[t-1])) + b_h
h = tanh(a) * cos(a) + log(2 + h[t-2]**2) * sqrt(1 + x**2)
y = softplus(W_y @ h - h + h) - x * h + 1 / (1 + h**2)
"""
CELLS = {
    "lstm": LSTM,
    "gru": GRU,
    "jordan": JORDAN,
    "lag2 tanh": LAG2,
    "residual tanh": RESIDUAL,
    "own loss": OWN_LOSS,
    "nasty": NASTY,
}

Values = Mapping[str, Any]


def logistic(z: Any) -> Any:
    return 1 / (1 + np.exp(-z))


def half_square(y: Any, d: float) -> Any:
    return (y - d) ** 2 / 2


def lstm(p: Values, x: Sequence[Any], d: Sequence[float]) -> Any:
    h, c, total = p["h_0"], p["c_0"], 0
    for x_t, d_t in zip(x, d, strict=True):
        f = logistic(p["W_f"] * h + p["U_f"] * x_t + p["b_f"])
        i = logistic(p["W_i"] * h + p["U_i"] * x_t + p["b_i"])
        g = np.tanh(p["W_g"] * h + p["U_g"] * x_t + p["b_g"])
        q = logistic(p["W_q"] * h + p["U_q"] * x_t + p["b_q"])
        c = f * c + i * g
        h = q * np.tanh(c)
        total = total + half_square(p["W_y"] * h + p["b_y"], d_t)
    return total


def gru(p: Values, x: Sequence[Any], d: Sequence[float]) -> Any:
    h, total = p["h_0"], 0
    for x_t, d_t in zip(x, d, strict=True):
        z = logistic(p["W_z"] * h + p["U_z"] * x_t + p["b_z"])
        r = logistic(p["W_r"] * h + p["U_r"] * x_t + p["b_r"])
        n = np.tanh(p["W_n"] * (r * h) + p["U_n"] * x_t + p["b_n"])
        h = z * h + (1 - z) * n
        total = total + half_square(p["W_y"] * h + p["b_y"], d_t)
    return total


def jordan(p: Values, x: Sequence[Any], d: Sequence[float]) -> Any:
    y, total = p["y_0"], 0
    for x_t, d_t in zip(x, d, strict=True):
        h = np.tanh(p["W_o"] * y + p["W_x"] * x_t + p["b_h"])
        y = logistic(p["V_y"] * h + p["b_y"])
        total = total + half_square(y, d_t)
    return total


def lag2(p: Values, x: Sequence[Any], d: Sequence[float]) -> Any:
    earlier, h, total = p["h_-1"], p["h_0"], 0
    for x_t, d_t in zip(x, d, strict=True):
        earlier, h = h, np.tanh(p["W_h"] * h + p["V_h"] * earlier + p["W_x"] * x_t + p["b_h"])
        total = total + half_square(p["W_y"] * h + p["b_y"], d_t)
    return total


def residual(p: Values, x: Sequence[Any], d: Sequence[float]) -> Any:
    h, total = p["h_0"], 0
    for x_t, d_t in zip(x, d, strict=True):
        h = h + np.tanh(p["W_h"] * h + p["W_x"] * x_t + p["b_h"])
        total = total + half_square(p["W_y"] * h + p["b_y"], d_t)
    return total


def own_loss(p: Values, x: Sequence[Any], d: Sequence[float]) -> Any:
    h, total = p["h_0"], 0
    for x_t, d_t in zip(x, d, strict=True):
        h = np.tanh(p["W_h"] * h + p["W_x"] * x_t + p["b_h"])
        y = p["W_y"] * h + p["b_y"]
        total = total + (y - d_t) ** 2 / 2 + h**2 * d_t / 10 + np.exp(-y) / 3
    return total


def nasty(p: Values, x: Sequence[Any], d: Sequence[float]) -> Any:
    earlier, h, total = p["h_-1"], p["h_0"], 0
    for x_t, d_t in zip(x, d, strict=True):
        a = p["W_h"] * h - h**3 / 3 + np.sin(p["W_x"] * x_t) * logistic(h) + p["b_h"]
        earlier, h = h, np.tanh(a) * np.cos(a) + np.log(2 + earlier**2) * np.sqrt(1 + x_t**2)
        y = np.log(1 + np.exp(p["W_y"] * h)) - x_t * h + 1 / (1 + h**2)
        total = total + half_square(y, d_t)
    return total


FORWARD: dict[str, Callable[[Values, Sequence[Any], Sequence[float]], Any]] = {
    "lstm": lstm,
    "gru": gru,
    "jordan": jordan,
    "lag2 tanh": lag2,
    "residual tanh": residual,
    "own loss": own_loss,
    "nasty": nasty,
}
"""The whole loss of a cell, by its name in `CELLS`; L = Σ ½(y − d)² unless the cell has a loss of its own."""


def by_complex_step(name: str, p: Values, x: Sequence[float], d: Sequence[float], wrt: str) -> float:
    """∂L/∂wrt of a hand-written forward pass; x_2 is the second input."""
    h = 1e-30j
    if wrt.startswith("x_"):
        t = int(wrt[2:]) - 1
        moved = [value + h if i == t else value for i, value in enumerate(x)]
        return complex(FORWARD[name](p, moved, d)).imag / 1e-30
    return complex(FORWARD[name]({**p, wrt: p[wrt] + h}, x, d)).imag / 1e-30
