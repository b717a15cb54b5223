"""The elman network once more, by hand: pure Python, complex-safe, and nothing of the package is used.

a_t = W_h h_{t−1} + W_x x_t + b_h,  h_t = φ(a_t),  o_t = W_y h_t + b_y,  y_t = ψ(o_t),  L = Σ_t ℓ(y_t, d_t)
"""

from __future__ import annotations

import cmath
import random
from collections.abc import Callable
from itertools import pairwise
from typing import Any

PARAMETERS = ("W_h", "W_x", "b_h", "W_y", "b_y", "h_0")

ACTIVATIONS: dict[str, Callable[[complex], complex]] = {
    "tanh": lambda z: (cmath.exp(2 * z) - 1) / (cmath.exp(2 * z) + 1),
    "logistic": lambda z: 1 / (1 + cmath.exp(-z)),
    "relu": lambda z: z if z.real > 0 else 0j,
    "softplus": lambda z: cmath.log(1 + cmath.exp(z)),
    "identity": lambda z: z,
    "sin": cmath.sin,
    "cos": cmath.cos,
    "exp": cmath.exp,
    "log": cmath.log,
    "sqrt": cmath.sqrt,
}


def step_loss(y: complex, d: float, loss: str, output: str) -> complex:
    if loss == "squared":
        return (y - d) ** 2 / 2
    if output == "logistic":
        return -(d * cmath.log(y) + (1 - d) * cmath.log(1 - y))
    return -d * cmath.log(y)


def elman_loss(
    p: dict[str, Any], activation: str, output: str | None = None, loss: str = "squared", losses: str = "all"
) -> complex:
    """L at a point: W_h, W_x, b_h, W_y, b_y, h_0 and the sequences x, d."""
    output = output or activation
    h, total = complex(p["h_0"]), 0j
    for t, (x, d) in enumerate(zip(p["x"], p["d"], strict=True), 1):
        h = ACTIVATIONS[activation](p["W_h"] * h + p["W_x"] * x + p["b_h"])
        y = ACTIVATIONS[output](p["W_y"] * h + p["b_y"])
        if losses == "all" or t == len(p["x"]):
            total += step_loss(y, d, loss, output)
    return total


def moved(p: dict[str, Any], name: str, by: complex) -> dict[str, Any]:
    """The point with one number moved: a parameter, h_0, or x_2."""
    if name.startswith("x_"):
        x = list(p["x"])
        x[int(name[2:]) - 1] += by
        return {**p, "x": x}
    return {**p, name: p[name] + by}


def complex_step_gradient(p: dict[str, Any], name: str, *model: str) -> float:
    return elman_loss(moved(p, name, 1e-30j), *model).imag / 1e-30


def richardson_gradient(p: dict[str, Any], name: str, *model: str, h: float = 0.01) -> float:
    """Central differences with h, h/2, h/4, h/8, extrapolated to h = 0."""

    def central(step: float) -> float:
        return (elman_loss(moved(p, name, step), *model) - elman_loss(moved(p, name, -step), *model)).real / (2 * step)

    row = [central(h / 2**i) for i in range(4)]
    for order in (4, 16, 64):
        row = [b + (b - a) / (order - 1) for a, b in pairwise(row)]
    return row[0]


def random_values(seed: int, steps: int, activation: str = "tanh") -> dict[str, Any]:
    """Weights of order 1 that are no round numbers, h_0 ≠ 0; positive where φ needs it, and tame for exp."""
    rng = random.Random(seed)

    def draw(sign: int | None = None) -> float:
        return (sign or rng.choice((-1, 1))) * rng.uniform(0.3, 1.2)

    sign = 1 if activation in ("log", "sqrt") else None
    p = {name: draw(sign) for name in PARAMETERS}
    p |= {"x": [draw(sign) for _ in range(steps)], "d": [rng.uniform(0.1, 0.9) for _ in range(steps)]}
    if activation == "log":  # a_t ≥ 3 keeps every logarithm positive
        p |= {"b_h": 3.0 + p["b_h"], "b_y": 3.0 + p["b_y"]}
    if activation == "exp":
        p |= {"W_h": -0.5 * abs(p["W_h"]), "W_y": -0.5 * abs(p["W_y"])}
    return p
