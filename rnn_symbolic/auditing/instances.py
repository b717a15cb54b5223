r"""Where two gradients differ, as small as can be; and whether the usual check would have seen it.

The smallest instance has the fewest steps, then the smallest sizes, then the simplest rationals: 1, −1, ½, 2, …
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np

from rnn_symbolic.array_functions import Array
from rnn_symbolic.arrays import MatrixPoint
from rnn_symbolic.auditing.cases import Case, Combination, relative_error
from rnn_symbolic.auditing.conventions import OtherNetwork, other_networks
from rnn_symbolic.auditing.mistakes import ForwardMistake, LayoutMistake, LimitMistake
from rnn_symbolic.auditing.points import USUAL_TOLERANCE, Place
from rnn_symbolic.auditing.records import Instance, UsualCheck
from rnn_symbolic.errors import NumericalFailure
from rnn_symbolic.expressions import Quantity
from rnn_symbolic.matrix_valuation import random_sizes
from rnn_symbolic.model import Model

VISIBLE = (0.02, 1e-4)
"""A relative error that shows in the first digits; where there is none, one that shows at all."""
LONGEST, DRAWS = 4, 12
POOL = tuple(map(Fraction, ("1", "-1", "1/2", "2", "-1/2", "3/2", "-2", "1/4")))


def as_computed(case: Case, goal: Quantity, combination: Combination) -> Array:
    """What somebody who makes these mistakes has in the end, in the shape in which it would be printed."""
    found = case.sweep.shaped(goal, case.predict(goal, combination))
    for mistake in combination:
        if isinstance(mistake, LayoutMistake) and found.ndim == 2:
            found = found.T if mistake.code == "transposed" else found.ravel(order="F").reshape(found.shape)
    return found


class SmallPoints:
    """Small points with their cases, made once for all goals of a model."""

    def __init__(self, model: Model, goals: Sequence[Quantity]) -> None:
        self.model, self.goals = model, tuple(goals)
        self._cases: dict[tuple[int, int, int, bool], tuple[Case, dict[str, Any]] | None] = {}

    def smallest(self, goal: Quantity, combination: Combination) -> Instance | None:
        """The first of the small points, T = 1, 2, …, at which the mistakes show; None where none of them does.

        >>> from rnn_symbolic.model import unroll
        >>> from rnn_symbolic.auditing.mistakes import selections
        >>> points = SmallPoints(unroll("linear", loss="squared"), [Quantity("W_x")])
        >>> found = points.smallest(Quantity("W_x"), selections(3)[:1])  # only the paths of the last loss
        >>> found.steps, found.values["W_h"], float(found.yours), float(found.right)
        (2, '1', 6.0, 8.0)
        """
        if any(isinstance(mistake, LimitMistake) for mistake in combination):
            return None
        for visible in VISIBLE:
            found = self._differing(goal, combination, visible)
            if found is not None:
                return found
        return None

    def _differing(self, goal: Quantity, combination: Combination, visible: float) -> Instance | None:
        foreign = any(isinstance(mistake, ForwardMistake) for mistake in combination)
        for steps, size, level in _places(self.model):
            found = self.case(steps, size, level, foreign)
            if found is None or goal not in found[0].given:
                continue
            case, shown = found
            try:
                yours, right = as_computed(case, goal, combination), case.sweep.shaped(goal, case.right(goal))
            except (NumericalFailure, IndexError):
                continue
            if np.isfinite(yours).all() and relative_error(yours, right) >= visible:
                return Instance(steps, dict(case.point.sizes), shown, yours, right)
        return None

    def case(self, steps: int, size: int, level: int, foreign: bool) -> tuple[Case, dict[str, Any]] | None:
        key = (steps, size, level, foreign)
        if key not in self._cases:
            here = replace(self.model, steps=steps)
            point, shown = _small_point(here, size, level)
            others = other_networks(here, point.sizes) if foreign else ()
            given = {g: np.zeros(()) for g in self.goals if g.step is None or g.step <= steps}
            try:
                self._cases[key] = Case(here, point, given, others=others), shown
            except NumericalFailure:
                self._cases[key] = None
        return self._cases[key]


def _places(model: Model) -> Iterator[tuple[int, int, int]]:
    """T, the size and how simple the numbers are, the smallest first."""
    for steps in range(1, LONGEST + 1):
        for size in (1, 2) if model.shapes is not None else (1,):
            for level in range(DRAWS if size > 1 or steps > 1 else DRAWS // 2):
                yield steps, size, level


def small_points(model: Model) -> Iterator[tuple[MatrixPoint, dict[str, Any]]]:
    """Points of small rationals for the T of a model, the simplest first."""
    for size in (1, 2) if model.shapes is not None else (1,):
        for level in range(DRAWS):
            yield _small_point(model, size, level)


def _small_point(model: Model, size: int, level: int) -> tuple[MatrixPoint, dict[str, Any]]:
    """A point of small rationals, and the same as text; the first ones are all ones, then they are drawn."""
    rng = random.Random(level)  # noqa: S311 - the same small numbers on every machine
    numbers = dict.fromkeys(random_sizes(model), size)

    def entry(plain: str) -> Fraction:
        return Fraction(plain) if level == 0 else rng.choice(POOL[: 2 + level])

    shown: dict[str, Any] = {}

    def fill(name: str, shape: tuple[int, ...], plain: str) -> Array:
        entries = [entry(plain) for _ in range(int(np.prod(shape, dtype=int)))]
        texts = np.array([str(e) for e in entries], dtype=object).reshape(shape)
        shown[name] = texts.tolist() if shape else str(entries[0])
        return np.array([float(e) for e in entries]).reshape(shape)

    def shape(name: str) -> tuple[int, ...]:
        return tuple(numbers[n] for n in model.names.get(name, ()))

    biases = {q.name for q in model.parameters if q.name.startswith("b")}
    parameters = {q.name: fill(q.name, shape(q.name), "0" if q.name in biases else "1") for q in model.parameters}
    initial = {(q.name, q.step): fill(str(q), shape(q.name), "1") for q in model.initial_states}
    width = {"x": shape("x") or (1,), "d": shape("d") or (1,)}
    series = {}
    for name, plain in (("x", "1"), ("d", "0")):
        rows = [fill(f"{name}_{t}", width[name], plain) for t in range(1, model.steps + 1)]
        texts = [shown.pop(f"{name}_{t}") for t in range(1, model.steps + 1)]
        series[name] = np.stack(rows)
        if name == "d" or model.cell.uses_input:
            shown[name] = texts if model.shapes is not None else [text[0] for text in texts]
    return MatrixPoint(parameters, initial, series["x"], series["d"], numbers, None, "small"), shown


def usual_check(yours: Array, right: Array) -> UsualCheck:
    """‖a − b‖ / (‖a‖ + ‖b‖) ≤ 1e-2, as most gradient checks have it; arrays of other shapes do not pass."""
    if np.shape(yours) != np.shape(right):
        return UsualCheck(False, 1.0, USUAL_TOLERANCE)
    error = relative_error(np.ravel(yours), np.ravel(right))
    return UsualCheck(error <= USUAL_TOLERANCE, error, USUAL_TOLERANCE)


def usual_checks(
    place: Place, goals: Sequence[tuple[Quantity, Combination]]
) -> Iterator[tuple[Quantity, UsualCheck | None]]:
    """What the usual check would see of each goal, computed with its mistakes; None where the numbers end."""
    sizes = getattr(place.point, "sizes", {})
    others: tuple[OtherNetwork, ...] = other_networks(place.model, sizes)
    zeros = {goal: np.zeros(()) for goal, _ in goals}
    try:
        case = Case(place.model, place.point, zeros, others=others)
    except NumericalFailure:
        yield from ((goal, None) for goal, _ in goals)
        return
    for goal, combination in goals:
        try:
            yours = as_computed(case, goal, combination)
        except NumericalFailure:
            yield goal, None
            continue
        yield goal, usual_check(yours, case.sweep.shaped(goal, case.right(goal)))
