r"""One point at which a gradient was given: what it is, what it should be, and what it would be with a mistake.

A gradient is *right* at a point when it differs from Σ G[t, s] by no more than rounding; a combination of mistakes
*explains* it when its own prediction does.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property

import numpy as np

from rnn_symbolic.array_functions import Array
from rnn_symbolic.arrays import MatrixPoint
from rnn_symbolic.auditing.conventions import OtherNetwork
from rnn_symbolic.auditing.mistakes import (
    ForwardMistake,
    LayoutMistake,
    LimitMistake,
    Mistake,
    ResultMistake,
    SelectionMistake,
    TableMistake,
)
from rnn_symbolic.auditing.sweep import RIGHT, Arc, Change, Sweep, Variant
from rnn_symbolic.expressions import Add, Expression, Identity, Number, Quantity, chain, multiply
from rnn_symbolic.jacobians import shape_of
from rnn_symbolic.model import Model
from rnn_symbolic.numeric import Point
from rnn_symbolic.table import LocalRule, product_value

RELATIVE = 1e-9
"""Rounding is at most this part of the largest sum of absolute values of the groups G[t, s]."""
MOST_NUMBERS = 300_000
"""How many numbers the groups G[t, s] of all goals may be."""
SINGLE = 1e-8
"""What is given with a larger relative error was not computed in double precision."""

Combination = tuple[Mistake, ...]
TRANSPOSED = LayoutMistake("layout", "transposed", 0)
FLATTENED = LayoutMistake("layout", "flattened", 0)


@dataclass(frozen=True)
class Reading:
    """One way to read a given array: its entries in the order of `Sweep.groups`, and the layout mistake it takes."""

    entries: Array
    unit: Array
    layout: LayoutMistake | None = None


def readings(sweep: Sweep, goal: Quantity, array: Array, unit: float | Array = 0.0) -> tuple[Reading, ...]:
    """The ways in which an array may be a gradient by ``goal``: as it stands, transposed, flattened, or none.

    Axes of length 1 do not count: a column is a vector.
    """
    expected = sweep.shape(goal)
    array = np.asarray(array, dtype=np.float64)
    units = np.broadcast_to(np.asarray(unit, dtype=np.float64), array.shape)

    def read(change: Callable[[Array], Array], layout: LayoutMistake | None) -> Reading:
        return Reading(sweep.flat(goal, change(array)), sweep.flat(goal, change(units)), layout)

    if array.shape == expected:
        found = [read(lambda a: a, None)]
        if sweep.model.is_matrix(goal) and 1 not in expected:
            if expected[0] == expected[1]:
                found.append(read(lambda a: a.T, TRANSPOSED))
            else:  # filled in the other order; of a square matrix that is its transposed
                found.append(read(lambda a: a.ravel().reshape(expected, order="F"), FLATTENED))
        return tuple(found)
    if array.ndim == 2 and array.T.shape == expected and 1 not in expected:
        return (read(lambda a: a.T, TRANSPOSED),)
    if array.size != math.prod(expected):
        return ()
    if tuple(n for n in array.shape if n > 1) == tuple(n for n in expected if n > 1):
        return (read(lambda a: a.reshape(expected), None),)
    if array.ndim == 1 and len(expected) == 2:
        row, column = (
            read(lambda a: a.reshape(expected), None),
            read(lambda a: a.reshape(expected, order="F"), FLATTENED),
        )
        return row, column
    return ()


class Case:
    """A point with what was given there, and all predictions for it."""

    def __init__(
        self,
        model: Model,
        point: Point | MatrixPoint,
        given: Mapping[Quantity, Array],
        unit: Mapping[Quantity, float | Array] | None = None,
        *,
        others: Sequence[OtherNetwork] = (),
        loss: float | None = None,
        relative: float = RELATIVE,
    ) -> None:
        self.model, self.sweep, self.others = model, Sweep(model, point), tuple(others)
        self.point, self.loss, self.relative = self.sweep.point, loss, relative
        self.goals = tuple(given)
        self.given = dict(given)
        self.readings = {g: readings(self.sweep, g, array, (unit or {}).get(g, 0.0)) for g, array in given.items()}
        self._networks: dict[int, Sweep] = {}
        self._whole: dict[tuple[int, Variant], dict[Quantity, Array]] = {}
        self._groups: dict[tuple[int, Variant], dict[Quantity, Array]] = {}

    @property
    def steps(self) -> int:
        """T"""
        return self.model.steps

    @cached_property
    def large(self) -> bool:
        """Whether G[t, s] would take too much memory: then only the whole gradient is looked at."""
        entries = sum(int(np.prod(self.sweep.shape(goal), dtype=int)) for goal in self.goals)
        return entries * self.steps**2 * self.sweep.samples > MOST_NUMBERS

    @cached_property
    def outputs(self) -> int:
        """n_y"""
        return int(self.sweep.values["y", 1].shape[-2])

    # -- right and wrong --------------------------------------------------------------------------------------

    @cached_property
    def groups(self) -> Mapping[Quantity, Array]:
        """G[t, s, entry] for every goal."""
        return {g: array[0] for g, array in self.sweep.groups((RIGHT,), self.goals).items()}

    def right(self, goal: Quantity) -> Array:
        """The right gradient, entry by entry."""
        if self.large:
            return self.predict(goal, ())
        return np.asarray(self.groups[goal].sum((0, 1)))

    def size(self, goal: Quantity) -> float:
        """The largest sum of absolute values of groups; in a large network the largest entry."""
        terms = np.abs(self.right(goal)) if self.large else np.abs(self.groups[goal]).sum((0, 1))
        return float(terms.max(initial=0.0))

    def errors(self, reading: Reading, goal: Quantity, predictions: Array) -> Array:
        """How far each prediction is from what was given, in tolerances: explained means at most 1."""
        largest = np.maximum(np.abs(predictions).max(-1), self.size(goal))
        tolerance = self.relative * largest[..., None] + reading.unit + self.slack[goal]
        with np.errstate(divide="ignore", invalid="ignore"):
            off = np.abs(predictions - reading.entries)
            ratio = np.where(off == 0, 0.0, off / tolerance)
        return np.asarray(ratio.max(-1))

    @cached_property
    def slack(self) -> Mapping[Quantity, Array]:
        """What a rounding of every slope amounts to: 1 − h² has the digits of 1, not its own where h is almost 1."""
        coarse = any(
            np.any(reading.unit > SINGLE * self.size(goal)) for goal in self.goals for reading in self.readings[goal]
        )
        lost = 2.0**-22 if coarse or self.relative > SINGLE else 2.0**-51
        variants = []
        for i, arc in enumerate(self.sweep.arcs):
            for k, factor in enumerate(arc.factors):
                if factor.rule in (LocalRule.SLOPE, LocalRule.SOFTMAX):
                    rest = product_value((*arc.factors[:k], *arc.factors[k + 1 :]))
                    number = Number(Fraction(lost))
                    if self.model.form == "matrix":
                        size = shape_of(Quantity(arc.head, 0, "t"), self.model.names)[0]
                        rest = Identity(size) if isinstance(rest, Number) else rest
                    moved = chain(number, rest) if self.model.form == "matrix" else multiply(number, rest)
                    variants.append(Variant((Change(i, Add((arc.value, moved))),)))
        found = self.sweep.groups((RIGHT, *variants), self.goals, whole=True)
        return {g: np.abs(array[1:, 0, 0] - array[0, 0, 0]).sum(axis=0) for g, array in found.items()}

    def is_right(self, goal: Quantity) -> bool:
        """Whether the given gradient is the right one, in the right layout."""
        return any(
            reading.layout is None and bool(self.errors(reading, goal, self.right(goal)) <= 1)
            for reading in self.readings[goal]
        )

    def decides(self, goal: Quantity) -> bool:
        """Whether anything can be said here: a gradient that is 0, or that drowns in rounding, is right by accident."""
        return self.size(goal) > 10 * float(self.slack[goal].max(initial=0.0))

    def distance(self, goal: Quantity) -> float:
        """The relative error of what was given, ‖given − right‖ / (‖given‖ + ‖right‖); 1 where it cannot be read."""
        if not self.readings[goal]:
            return 1.0
        return relative_error(self.readings[goal][0].entries, self.right(goal))

    # -- predictions ------------------------------------------------------------------------------------------

    def network(self, index: int) -> Sweep:
        """The sweep of another network, −1 is this one. Raises NumericalFailure where it has no numbers."""
        if index < 0:
            return self.sweep
        if index not in self._networks:
            other = self.others[index]
            self._networks[index] = Sweep(replace(other.model, steps=self.steps), other.at(self.point))
        return self._networks[index]

    def predict(self, goal: Quantity, combination: Combination) -> Array:
        """The gradient, entry by entry, that the mistakes together would give."""
        network, changes, border = -1, list[Change](), "zero"
        added: list[tuple[Arc, Expression]] = []
        for mistake in combination:
            match mistake:
                case ForwardMistake(index=network):
                    pass
                case TableMistake(variant=variant):
                    changes += variant.changes
                    added += variant.added
                    border = variant.border if variant.border != "zero" else border
        variant = Variant(tuple(changes), tuple(added), border)
        sweep = self.network(network)
        masks = [m.mask(self.steps) for m in combination if isinstance(m, SelectionMistake)]
        key = (network, variant)
        if masks:
            if key not in self._groups:
                self._groups[key] = sweep.groups((variant,), self.goals)
            mask = math.prod(masks[1:], start=masks[0])
            found = np.einsum("tsk,ts->k", self._groups[key][goal][0], mask)
        else:
            if key not in self._whole:
                self._whole[key] = sweep.groups((variant,), self.goals, whole=True)
            found = self._whole[key][goal][0, 0, 0]
        if network >= 0 and self.others[network].transposes and self.model.is_matrix(goal):
            found = self.sweep.flat(goal, sweep.shaped(goal, found).T)
        for mistake in combination:
            if isinstance(mistake, ResultMistake):
                found = float(mistake.factor(self.steps, self.outputs, self.point.batch)) * found
            elif isinstance(mistake, LimitMistake):
                found = self._limited(goal, mistake, found)
        return np.asarray(found)

    def _limited(self, goal: Quantity, mistake: LimitMistake, gradient: Array) -> Array:
        match mistake.code:
            case "constant":
                return gradient * mistake.limit
            case "entries":
                return np.clip(gradient, -mistake.limit, mistake.limit)
            case "norm-of-each":
                return gradient * min(
                    1.0, mistake.limit / max(float(np.linalg.norm(gradient)) + mistake.epsilon, 1e-300)
                )
        return gradient * min(1.0, mistake.limit / max(self.norm(mistake.about) + mistake.epsilon, 1e-300))

    def norm(self, names: tuple[str, ...]) -> float:
        """The norm of several right gradients together."""
        return math.sqrt(sum(float((self.right(goal) ** 2).sum()) for goal in self.goals if str(goal) in names))

    def explains(self, goal: Quantity, combination: Combination) -> float:
        """How far the prediction is from what was given, in tolerances; inf where it cannot be read that way."""
        layouts = [m for m in combination if isinstance(m, LayoutMistake)]
        prediction = self.predict(goal, combination)
        found = [
            float(self.errors(reading, goal, prediction))
            for reading in self.readings[goal]
            if (reading.layout is None and not layouts) or (reading.layout is not None and reading.layout in layouts)
        ]
        return min(found, default=math.inf)


def relative_error(one: Array, other: Array) -> float:
    """‖u − v‖ / (‖u‖ + ‖v‖), 0 where both are 0: what a usual gradient check looks at."""
    size = float(np.linalg.norm(one) + np.linalg.norm(other))
    return float(np.linalg.norm(np.subtract(one, other))) / size if size else 0.0
