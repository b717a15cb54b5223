r"""The elman cell run forward with numbers, and the factor σ'(a_3) W_h σ'(a_2) W_h σ'(a_1) that stands before x_1.

The factor is read off the path record from ℓ_T to step 1, evaluated at the values of a forward pass.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from fractions import Fraction
from itertools import product
from typing import Any

from rnn_symbolic.article.slopes import preimages
from rnn_symbolic.expressions import Quantity
from rnn_symbolic.frozen import frozen
from rnn_symbolic.graph import Path
from rnn_symbolic.model import Model, unroll
from rnn_symbolic.numeric import Point, SignedLog, evaluate, forward, logistic, signed_log
from rnn_symbolic.paths import graph
from rnn_symbolic.table import LocalRule, product_value
from rnn_symbolic.valuation import Amount, Valuation

ORDINARY = (1.0, 0.5, 2.0)
"""Inputs of order one, all positive, so that a ReLU works on its slope 1."""
ORDINARY_TARGETS = (0.3, 0.6, 0.9)
HUNDRED = 100
"""The article's W_h."""


@frozen
class Run:
    """A forward pass with W_x = W_y = 1 and zero biases; what stands before x_1, and each step's share.

    ``slopes`` are σ'(a_1) … σ'(a_T), ``steps`` the products σ'(a_t) W_h, ``factor`` is Π σ'(a_t) · W_h^{T−1}, ``back``
    is ∂h_T/∂h_1, and ``growth`` is |∂h_T/∂h_1|^{1/(T−1)}, the factor of a typical step back.
    """

    slopes: tuple[float, ...]
    steps: tuple[float, ...]
    states: tuple[float, ...]
    factor: Amount
    back: Amount
    growth: Amount


def values_point(W_h: float, x: Sequence[float], h_0: float = 0.0, d: Sequence[float] | None = None) -> Point:
    """W_x = W_y = 1, no biases."""
    parameters = {"W_h": float(W_h), "W_x": 1.0, "b_h": 0.0, "W_y": 1.0, "b_y": 0.0}
    targets = (0.0,) * len(x) if d is None else tuple(d)
    return Point(parameters, {("h", 0): h_0}, tuple(x), targets)


def longest_path(model: Model) -> Path:
    """The path from ℓ_T to W_x that enters at step 1."""
    return next(graph(model, Quantity("W_x")).paths(model.steps, 1))


def run(activation: str, W_h: float, x: Sequence[float], h_0: float = 0.0) -> Run:
    """Run the network and evaluate the factor before x_1.

    >>> run("relu", 100, (1.0, 0.5, 2.0)).factor.value
    10000.0
    """
    model = unroll("elman", steps=len(x), activation=activation, output_activation="identity", loss="squared")
    values = forward(model, values_point(W_h, x, h_0))
    legs = longest_path(model).legs[3:]  # what follows L → ℓ_T → y_T → h_T
    factors = [f for leg in legs for f in leg.factors if f.rule is not LocalRule.ARGUMENT]
    expression = product_value(factors)
    amount = Amount.of(_float(evaluate(expression, values)), signed_log(expression, values))
    slopes = tuple(_float(evaluate(f.value, values)) for f in reversed(factors) if f.rule is LocalRule.SLOPE)
    slopes = slopes or (1.0,) * len(x)  # the identity has no slope to write down
    back = [f for leg in legs[:-1] for f in leg.factors]
    whole = signed_log(product_value(back), values)
    typical = SignedLog(abs(whole.sign), whole.log10 / max(1, len(x) - 1))
    return Run(
        slopes,
        tuple(slope * W_h for slope in slopes),
        tuple(float(values["h", t]) for t in range(len(x) + 1)),
        amount,
        Amount.of(_float(evaluate(product_value(back), values)), whole),
        Amount.of(float(typical), typical),
    )


def _float(number: Any) -> float:
    return float(number)


# --- W_h = 100 -----------------------------------------------------------------------------------------------------


@frozen
class Case:
    """One network with a large weight; ``explodes`` when a typical step back multiplies by more than 1."""

    code: str
    activation: str
    W_h: float
    three: Run
    long: Run

    @property
    def explodes(self) -> bool:
        """Whether the product over the steps grows with their number."""
        return self.long.growth.log10 > 0


LONG = 12
"""How many steps the growth per step is measured over."""


def five_cases(W_h: float = HUNDRED) -> tuple[Case, ...]:
    """One weight, five networks: ReLU, tanh twice, logistic twice.

    >>> [case.explodes for case in five_cases()]
    [True, True, False, False, True]
    """
    zeros = (0.0,) * 3

    def case(code: str, activation: str, weight: float, x: tuple[float, ...], h_0: float = 0.0) -> Case:
        repeated = tuple(x[t % len(x)] for t in range(LONG))
        return Case(code, activation, weight, run(activation, weight, x, h_0), run(activation, weight, repeated, h_0))

    return (
        case("relu-ordinary", "relu", W_h, ORDINARY),
        case("tanh-origin", "tanh", W_h, zeros),
        case("tanh-ordinary", "tanh", W_h, ORDINARY),
        case("logistic-ordinary", "logistic", W_h, ORDINARY),
        case("logistic-fixed-point", "logistic", -W_h, zeros, fixed_point(-W_h)),
    )


def fixed_point(W_h: float) -> float:
    """The solution h of h = logistic(W_h h) for W_h < 0, by bisection: h − logistic(W_h h) increases in h.

    >>> round(fixed_point(-100.0), 4)
    0.0336
    """
    low, high = 0.0, 1.0
    while True:
        middle = (low + high) / 2
        if middle in (low, high):
            return middle
        if middle < logistic(W_h * middle):
            low = middle
        else:
            high = middle


# --- the inputs that give 80 ---------------------------------------------------------------------------------------


@frozen
class Realisation:
    """Inputs at which every σ'(a_t) is 0.2, and what becomes of the factor when x_2 moves a little."""

    activation: str
    signs: tuple[int, ...]
    x: tuple[float, ...]
    factor: float
    moved_down: float
    moved_up: float


def realisations(activation: str, W_h: float = HUNDRED, steps: int = 3, move: float = 0.1) -> tuple[Realisation, ...]:
    """All 2^T input sequences with σ'(a_t) = 0.2 at every step, for W_x = 1, b = 0, h_0 = 0: x_t = a_t − W_h h_{t−1}.

    The factor of each is read off a forward pass of the network with those inputs.

    >>> found = realisations("logistic")
    >>> len(found), max(abs(r.factor - 80) for r in found) < 1e-9
    (8, True)
    """
    found = []
    points = preimages(activation)
    for choice in product(points, repeat=steps):
        h, x = 0.0, []
        for point in choice:
            x.append(point.number - W_h * h)
            h = point.state
        down, up = ([*x[:1], x[1] + shift, *x[2:]] for shift in (-move, move))
        at, low, high = (run(activation, W_h, inputs).factor.value for inputs in (x, down, up))
        signs = tuple(1 if point.number > 0 else -1 for point in choice)
        found.append(Realisation(activation, signs, tuple(x), at, low, high))
    return tuple(found)


# --- long lags -----------------------------------------------------------------------------------------------------


def long_lag(activation: str, W_h: float, lag: int = 100, seed: int = 0) -> Run:
    """∂h_{lag+1}/∂h_1 and the rest, on inputs drawn between 0.2 and 1."""
    rng = random.Random(seed)  # noqa: S311 - not for secrets
    return run(activation, W_h, [round(rng.uniform(0.2, 1.0), 3) for _ in range(lag + 1)])


Matrix = tuple[tuple[Fraction, Fraction], tuple[Fraction, Fraction]]


def times(a: Matrix, b: Matrix) -> Matrix:
    """The product of two 2×2 matrices, exactly."""
    (p, q), (r, s) = a
    (t, u), (v, w) = b
    return ((p * t + q * v, p * u + q * w), (r * t + s * v, r * u + s * w))


def integers(*rows: tuple[int, int]) -> Matrix:
    """A 2×2 matrix of whole numbers."""
    first, second = ((Fraction(a), Fraction(b)) for a, b in rows)
    return (first, second)


def diagonal(a: int | Fraction, b: int | Fraction) -> Matrix:
    """diag(a, b)."""
    return ((Fraction(a), Fraction(0)), (Fraction(0), Fraction(b)))


def rotation_power(lag: int = 100) -> tuple[Matrix, Matrix, Matrix]:
    """W, W^lag and (W^lag)ᵀ W^lag for the rotation W = ((3, −4), (4, 3))/5, exactly.

    As the recurrent matrix of a linear network it forgets nothing.
    """
    third, fourth = Fraction(3, 5), Fraction(4, 5)
    W: Matrix = ((third, -fourth), (fourth, third))
    power = diagonal(1, 1)
    for _ in range(lag):
        power = times(W, power)
    (a, b), (c, d) = power
    return W, power, times(((a, c), (b, d)), power)


# --- matrices ------------------------------------------------------------------------------------------------------


@frozen
class MatrixExample:
    """A ReLU network of two units in whole numbers: masks D_t, the ordered product, and the collected forms."""

    W: Matrix
    inputs: tuple[tuple[int, int], ...]
    masks: tuple[tuple[int, int], ...]
    ordered: Matrix
    collected: tuple[Matrix, ...]
    measured: Matrix

    @property
    def collects(self) -> bool:
        """Whether any collected form is the ordered product."""
        return self.ordered in self.collected


def matrix_example() -> MatrixExample:
    """∂h_3/∂x_1 = D_3 W D_2 W D_1 with W_x = 1 against D_3 D_2 D_1 in every place beside or between the two W.

    ``measured`` moves x_1 and runs the network again: ReLU is straight between its kinks, so the difference
    quotient is exact.

    >>> example = matrix_example()
    >>> example.collects, example.ordered == example.measured
    (False, True)
    """
    W, inputs = integers((1, 2), (3, 4)), ((1, -1), (-2, 0), (0, -13))
    masks, last = _relu_network(W, [(Fraction(a), Fraction(b)) for a, b in inputs])
    D1, D2, D3 = (diagonal(*mask) for mask in masks)
    ordered = times(D3, times(W, times(D2, times(W, D1))))
    D, square = times(D3, times(D2, D1)), times(W, W)
    collected = (times(D, square), times(W, times(D, W)), times(square, D))
    eps = Fraction(1, 1000)
    columns = []
    for unit in range(2):
        moved = [[Fraction(v) for v in pair] for pair in inputs]
        moved[0][unit] += eps
        _, there = _relu_network(W, [(pair[0], pair[1]) for pair in moved])
        columns.append([(b - a) / eps for a, b in zip(last, there, strict=True)])
    measured: Matrix = ((columns[0][0], columns[1][0]), (columns[0][1], columns[1][1]))
    return MatrixExample(W, inputs, masks, ordered, collected, measured)


def _relu_network(
    W: Matrix, inputs: Sequence[tuple[Fraction, Fraction]]
) -> tuple[tuple[tuple[int, int], ...], tuple[Fraction, Fraction]]:
    """The masks (slopes 0 and 1) of h_t = relu(W h_{t−1} + x_t), and the last state."""
    h = (Fraction(0), Fraction(0))
    masks = []
    for x in inputs:
        a = (W[0][0] * h[0] + W[0][1] * h[1] + x[0], W[1][0] * h[0] + W[1][1] * h[1] + x[1])
        masks.append((int(a[0] > 0), int(a[1] > 0)))
        h = (max(a[0], Fraction(0)), max(a[1], Fraction(0)))
    return tuple(masks), h


def input_shares(W_h: float, activation: str = "logistic") -> tuple[Amount, ...]:
    """The paths from L to x_1, one for each loss, the latest loss first; ordinary inputs and targets."""
    model = unroll("elman", steps=3, activation=activation, loss="squared")
    valuation = Valuation(model, values_point(W_h, ORDINARY, d=ORDINARY_TARGETS))
    g = graph(model, Quantity("x", 1))
    return tuple(valuation.path(path) for t, s, _ in g.counts() for path in g.paths(t, s))


def saturated_maximum(weights: Sequence[float], steps: int = 30) -> float:
    """The greatest factor σ'(a_t) W_h of the later steps, over weights > 0, with x = b = h_0 = 0 and logistic σ."""
    return max(max(run("logistic", W_h, (0.0,) * steps).steps[1:]) for W_h in weights)
