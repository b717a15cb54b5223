r"""Points where the article's three paths say the opposite of the gradient: found by search, not remembered."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from itertools import product
from typing import Any

from rnn_symbolic.expressions import Quantity
from rnn_symbolic.frozen import frozen
from rnn_symbolic.graph import Path
from rnn_symbolic.model import unroll
from rnn_symbolic.numeric import Arithmetic, Point, Values, complex_step, evaluate, forward
from rnn_symbolic.paths import list_paths
from rnn_symbolic.valuation import Valuation

W_X = Quantity("W_x")

# --- ordinary numbers ----------------------------------------------------------------------------------------------


@frozen
class WrongSign:
    """A point where the paths of ℓ_3 and all paths add up to numbers of opposite sign.

    ``confirmed`` is ∂L/∂W_x by a complex step of the forward pass, which knows nothing of paths; ``opposite`` of the
    ``tried`` random points had opposite signs, and this one has the clearest.
    """

    point: Point
    paths: tuple[float, ...]
    three: float
    gradient: float
    confirmed: float
    slopes: tuple[float, ...]
    tried: int
    opposite: int


def find_wrong_sign(seed: int = 0, tries: int = 300, activation: str = "tanh") -> WrongSign:
    """Draw points with one-decimal numbers of order one, and keep the one whose two sums differ most clearly.

    >>> found = find_wrong_sign()
    >>> found.three * found.gradient < 0
    True
    """
    model = unroll("elman", steps=3, activation=activation, loss="squared")
    paths = list_paths(model, "W_x")
    rng = random.Random(seed)  # noqa: S311 - not for secrets
    best: tuple[float, Point, tuple[float, ...]] | None = None
    opposite = 0
    for _ in range(tries):
        point = _draw(rng)
        valuation = Valuation(model, point)
        worth = tuple(valuation.path(path).value for path in paths)
        three = sum(v for v, path in zip(worth, paths, strict=True) if path.loss_step == 3)
        if three * sum(worth) < 0:
            opposite += 1
            margin = min(abs(three), abs(sum(worth)))
            if best is None or margin > best[0]:
                best = (margin, point, worth)
    if best is None:
        raise ArithmeticError(f"no point of opposite signs among {tries}; draw more")
    _, point, worth = best
    valuation = Valuation(model, point)
    return WrongSign(
        point,
        worth,
        sum(v for v, path in zip(worth, paths, strict=True) if path.loss_step == 3),
        valuation.gradient(W_X).value,
        complex_step(model, point, ("W_x", None)),
        tuple(1 - valuation.values["h", t] ** 2 for t in (1, 2, 3)) if activation == "tanh" else (),
        tries,
        opposite,
    )


def _draw(rng: random.Random) -> Point:
    def number() -> float:
        return rng.choice((-1, 1)) * rng.randint(3, 15) / 10

    names = ("W_h", "W_x", "b_h", "W_y", "b_y")
    targets = tuple(rng.randint(-9, 9) / 10 for _ in range(3))
    return Point({name: number() for name in names}, {("h", 0): 0.0}, (number(), number(), number()), targets)


# --- a smallest exact instance ------------------------------------------------------------------------------------


@frozen
class Instance:
    """A point in exact numbers, everything a reader writes down on the way, and the two sums.

    ``size`` is the sum of the heights |p| + q − 1 of the nine numbers p/q, in lowest terms: 0 has height 0, ±1 has 1,
    ±2 and ±1/2 have 2. No instance of smaller size has all six paths different from zero and sums of opposite sign;
    others have the same size. The search looked at ``tried`` points.
    """

    size: int
    tried: int
    point: Point  # of exact numbers
    values: tuple[tuple[Fraction, ...], ...]  # for each t: a_t, h_t, o_t, y_t, y_t − d_t
    paths: tuple[Path, ...]
    factors: tuple[tuple[Fraction, ...], ...]
    worth: tuple[Fraction, ...]
    three: Fraction
    gradient: Fraction


def height(number: Fraction) -> int:
    """|p| + q − 1 for p/q in lowest terms.

    >>> [height(Fraction(v)) for v in ("0", "1", "-2", "1/2", "-3/2")]
    [0, 1, 2, 2, 4]
    """
    return abs(number.numerator) + number.denominator - 1


def of_height(n: int, whole: bool = False) -> tuple[Fraction, ...]:
    """The rationals (or whole numbers) of one height, the largest and the positive first.

    >>> [str(v) for v in of_height(2)]
    ['2', '-2', '1/2', '-1/2']
    """
    if n == 0:
        return (Fraction(0),)
    found = []
    for p in range(n, 0, -1):
        q = n + 1 - p
        if math.gcd(p, q) == 1 and (q == 1 or not whole):
            found += [Fraction(p, q), Fraction(-p, q)]
    return tuple(found)


def _splits(total: int, parts: int, low: int) -> Iterator[tuple[int, ...]]:
    """The ways to write ``total`` as an ordered sum of ``parts`` numbers ≥ ``low``."""
    if parts == 1:
        yield from ((total,),) if total >= low else ()
        return
    for first in range(low, total - low * (parts - 1) + 1):
        yield from ((first, *rest) for rest in _splits(total - first, parts - 1, low))


def _numbers(size: int, parts: int, low: int, whole: bool, positive: int = 0) -> Iterator[tuple[Fraction, ...]]:
    """Tuples of heights adding up to ``size``; the first ``positive`` entries are > 0."""
    for split in _splits(size, parts, low):
        choices = [[v for v in of_height(n, whole) if i >= positive or v > 0] for i, n in enumerate(split)]
        yield from product(*choices)


def smallest_rational_instance(*, whole: bool = False, limit: int = 14) -> Instance:
    """A point of the smallest size, with σ(z) = z², ½(y − d)², b = 0 and h_0 = 0, where the sums have opposite signs.

    The weights may be taken positive: turning the sign of W_y, of W_x and all x_t, or of W_h and all x_t
    changes no y_t, and ∂L/∂W_x at most by its sign. ``whole`` admits whole numbers only.

    >>> instance = smallest_rational_instance()
    >>> instance.size, instance.three * instance.gradient < 0
    (7, True)
    """
    tried = 0
    for size in range(6, limit + 1):
        for target_size in range(size - 5):
            targets = list(_numbers(target_size, 3, 0, whole))
            for numbers in _numbers(size - target_size, 6, 1, whole, positive=3):
                outputs = slopes_of_outputs(numbers)
                for d in targets if outputs else ():
                    tried += 1
                    if _opposite(outputs, d):
                        return _written_out(size, tried, numbers[:3], numbers[3:], d)
    raise ArithmeticError(f"no instance up to size {limit}")


def slopes_of_outputs(numbers: Sequence[Fraction]) -> list[tuple[Fraction, Fraction]]:
    """y_t and ∂y_t/∂W_x by the recursion ∂h_t = 2a_t (x_t + W_h ∂h_{t−1}).

    Empty where some a_t is 0: then a path is zero.
    """
    W_x, W_h, W_y, *xs = numbers
    h = dh = Fraction(0)
    found = []
    for x in xs:
        a = W_h * h + W_x * x
        if a == 0:
            return []
        dh, h = 2 * a * (x + W_h * dh), a * a
        o = W_y * h
        found.append((o * o, 2 * o * W_y * dh))
    return found


def _opposite(outputs: Sequence[tuple[Fraction, Fraction]], d: Sequence[Fraction]) -> bool:
    errors = [y - target for (y, _), target in zip(outputs, d, strict=True)]
    if 0 in errors:  # a loss already at its minimum: its paths are zero
        return False
    terms = [error * slope for error, (_, slope) in zip(errors, outputs, strict=True)]
    return terms[-1] * sum(terms) < 0


def forward_sums(point: Point) -> tuple[Fraction, Fraction]:
    """∂ℓ_T/∂W_x and ∂L/∂W_x of an instance by the forward recursion, which knows no paths."""
    p: Any = point.parameters
    outputs = slopes_of_outputs((p["W_x"], p["W_h"], p["W_y"], *map(Fraction, point.x)))
    terms = [(y - Fraction(d)) * slope for (y, slope), d in zip(outputs, point.d, strict=True)]
    return terms[-1], sum(terms, Fraction(0))


SQUARE = Arithmetic(
    lambda number: number, {("sigma", 0): lambda z: z * z, ("sigma", 1): lambda z: 2 * z}, step_loss=None
)
"""Exact numbers, with σ(z) = z²."""


def _written_out(
    size: int, tried: int, weights: Sequence[Fraction], x: Sequence[Fraction], d: Sequence[Fraction]
) -> Instance:
    """Evaluate the path records, exactly: nothing of the search is used."""
    model = unroll("elman", steps=3, loss="squared")
    zero: Any = Fraction(0)
    named: dict[str, Any] = dict(zip(("W_x", "W_h", "W_y"), weights, strict=True)) | {"b_h": zero, "b_y": zero}
    point = Point(named, {("h", 0): zero}, tuple(x), tuple(d))  # type: ignore[arg-type]
    values = forward(model, point, SQUARE)
    paths = list_paths(model, "W_x")
    factors = tuple(path_factors(path, values) for path in paths)
    worth = tuple(math.prod(row, start=Fraction(1)) for row in factors)
    return Instance(
        size,
        tried,
        point,
        tuple((*(values[name, t] for name in "ahoy"), values["y", t] - values["d", t]) for t in range(1, 4)),
        paths,
        factors,
        worth,
        sum((v for v, path in zip(worth, paths, strict=True) if path.loss_step == 3), Fraction(0)),
        sum(worth, Fraction(0)),
    )


def path_factors(path: Path, values: Values) -> tuple[Fraction, ...]:
    """The factors of a path as exact numbers, in order."""
    worth: Callable[[Any], Fraction] = lambda factor: Fraction(evaluate(factor.value, values, SQUARE))  # noqa: E731
    return tuple(map(worth, path.factors))
