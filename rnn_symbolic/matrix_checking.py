r"""The sum over paths against independent numbers, by an array: along random directions, and by some of its entries.

    Σ_ij (∇_W L)_ij V_ij   against   Im L(W + i·h·V) / h,   or differences of L(W ± h·V)

A wrong gradient G shows along almost every direction V: ⟨G − ∇L, V⟩ = 0 has measure zero. The entries say where it is
wrong. All directions and all points of a stencil are one forward pass, stacked along a first axis.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeVar

import numpy as np

from rnn_symbolic.array_functions import Array
from rnn_symbolic.arrays import (
    ArrayValues,
    MatrixPoint,
    complex_pass,
    evaluate_array,
    forward_arrays,
    magnitude_array,
    sample_losses,
    transpose,
)
from rnn_symbolic.comparison import (
    AT_KINK,
    Case,
    Estimate,
    Kinked,
    Nonconformable,
    Undecidable,
    differences,
    kinked,
    path_graph,
    stencil,
    traverse,
)
from rnn_symbolic.errors import NumericalFailure
from rnn_symbolic.expressions import Expression, Quantity
from rnn_symbolic.graph import Graph, Leg
from rnn_symbolic.matrix_valuation import MatrixAmount, MatrixValuation, random_matrix_point
from rnn_symbolic.model import Model
from rnn_symbolic.numeric import Key
from rnn_symbolic.scaled import Action, Scaled, action_of
from rnn_symbolic.table import product_value
from rnn_symbolic.valuation import EPSILON, ROUNDINGS, Amount

Found = TypeVar("Found")
DIRECTIONS, ENTRIES = 2, 3
SMALLEST_ENTRY = 1e-2
"""Entries are chosen among those that are not below this times the largest: one that is 0, as behind a dead ReLU,
decides nothing by itself, and the directions look at all of them."""
STACKED = 8_000_000
"""How many numbers forward passes stacked into one may hold together."""


def draw(model: Model, seed: int, sizes: Mapping[str, int] | None, batch: int | None, positive: bool) -> MatrixPoint:
    """A random point; one with positive entries says so in its label."""
    point = random_matrix_point(model, seed, sizes, batch, positive=positive)
    return replace(point, label=f"{point.label}, positive") if positive else point


def cases(model: Model, point: MatrixPoint, goals: Iterable[Quantity], seed: int) -> Iterator[Case]:
    """What is to be compared, for one quantity after another; directions and entries follow from ``seed``.

    Raises ForwardOverflow where there is nothing to compare, NumericalFailure outside a domain.
    """
    valuation = MatrixValuation(model, point)
    for goal in goals:
        found = _Goal(valuation, goal, seed)
        yield from (_Directional(found, k) for k in range(len(found.places)))


@dataclass(frozen=True)
class _Goal:
    """∂L/∂wrt as an array, and what its directional derivatives share."""

    valuation: MatrixValuation
    wrt: Quantity
    seed: int

    @property
    def model(self) -> Model:
        return self.valuation.model

    @property
    def point(self) -> MatrixPoint:
        return self.valuation.point

    @property
    def key(self) -> Key:
        return self.wrt.name, self.wrt.step

    @cached_property
    def value(self) -> Array:
        """What is moved, rows × columns."""
        return self.valuation.values[self.key]

    # -- symbolic ---------------------------------------------------------------------------------------------

    @cached_property
    def graph(self) -> Graph:
        return path_graph(self.model, self.wrt)

    @cached_property
    def total(self) -> MatrixAmount:
        return _path_total(self.valuation, self.graph)

    @cached_property
    def recursion(self) -> Array | None:
        try:
            return _fitting(lambda: self.valuation.gradient(self.wrt).value, "of the table")
        except (NumericalFailure, Nonconformable):  # of a row that leads elsewhere
            return None

    # -- directions -------------------------------------------------------------------------------------------

    @cached_property
    def places(self) -> tuple[tuple[str, Array, float], ...]:
        """Where derivatives are taken: its name, the direction in the shape of wrt, the number that is moved."""
        try:
            gradient = self.total.value
        except (NumericalFailure, Nonconformable):  # the verdict will say so
            return (("", np.ones(()), 0.0),)
        shape = gradient.shape
        if gradient.size == 1:
            return (("", np.ones(shape), float(self.value.reshape(()))),)
        random = np.random.default_rng([self.seed, *str(self.wrt).encode()])
        found = []
        for k in range(1, DIRECTIONS + 1):
            direction = random.uniform(0.5, 1.5, shape) * random.choice((-1.0, 1.0), shape)
            # of a matrix every row has length 1, about: then a step moves what it is multiplied into as one entry does
            length = np.linalg.norm(direction) * math.sqrt(self.value.shape[-1] / direction.size)
            found.append((f"direction {k}", direction / length, 0.0))
        for index in self._entries(gradient, random):
            unit = np.zeros(shape)
            unit[index] = 1.0
            name = f"[{','.join(str(i + 1) for i in index)}]"
            found.append((name, unit, float(self.value.reshape(shape)[index])))
        return tuple(found)

    @staticmethod
    def _entries(gradient: Array, random: np.random.Generator) -> list[tuple[int, ...]]:
        size = np.nan_to_num(np.abs(gradient), nan=0.0).ravel()
        largest = int(size.argmax())
        others = np.flatnonzero(size >= SMALLEST_ENTRY * size[largest])
        others = others[others != largest]
        chosen = random.choice(others, min(ENTRIES - 1, len(others)), replace=False)
        flat = [largest, *sorted(map(int, chosen))]
        return [tuple(map(int, np.unravel_index(i, gradient.shape))) for i in flat]

    @cached_property
    def columns(self) -> Array:
        """The directions, rows × columns, along a first axis; in between the samples, one or all of them."""
        samples = (1,) if self.point.batch is not None and self.value.ndim == 2 else ()
        return np.stack([direction.reshape(samples + self.value.shape) for _, direction, _ in self.places])

    # -- complex steps ----------------------------------------------------------------------------------------

    def moved(self, k: int) -> tuple[float, ArrayValues, int]:
        """h, the values with a complex step along direction k, and its place on their first axis."""
        if self._all_moved is not None:
            return (*self._all_moved, k)
        if k not in self._moved:
            self._moved[k] = self._pass(self.columns[k : k + 1])
        return (*self._moved[k], 0)

    @cached_property
    def _all_moved(self) -> tuple[float, ArrayValues] | None:
        try:
            return self._pass(self.columns)
        except NumericalFailure:  # along one of them
            return None

    @cached_property
    def _moved(self) -> dict[int, tuple[float, ArrayValues]]:
        return {}

    def _pass(self, columns: Array) -> tuple[float, ArrayValues]:
        return complex_pass(self.model, self.point, self.key, columns, resume=self.valuation.values)

    # -- differences ------------------------------------------------------------------------------------------

    def look(self, k: int, attempt: int) -> tuple[Sequence[float], str]:
        """L at the stencil along direction k, and a note where a kink is passed; all directions are tried at once."""
        if attempt not in self._looks:
            everything = range(len(self.places))
            try:
                self._looks[attempt] = dict(zip(everything, self._stencils(everything, attempt), strict=True))
            except NumericalFailure:  # along one of them
                self._looks[attempt] = {}
        looks = self._looks[attempt]
        if k not in looks:
            (looks[k],) = self._stencils([k], attempt)
        return looks[k]

    @cached_property
    def _looks(self) -> dict[int, dict[int, tuple[Sequence[float], str]]]:
        return {}

    def _stencils(self, directions: Sequence[int], attempt: int) -> list[tuple[Sequence[float], str]]:
        moves = [(k, move) for k in directions for move in stencil(self.places[k][2], attempt)]
        at_once = max(1, STACKED // sum(array.size for array in self.valuation.values.values()))
        losses: list[Array] = []
        arguments: list[list[Array]] = []
        for start in range(0, len(moves), at_once):
            stacked = np.stack([move * self.columns[k] for k, move in moves[start : start + at_once]])
            values = forward_arrays(self.model, self.point, perturb=(self.key, stacked), resume=self.valuation.values)
            losses.append(np.broadcast_to(values["L", None], (len(stacked), 1, 1))[:, 0, 0])
            arguments.append([self._argument(found, t, values) for found, t in self._kinks])
        notes = self._crossed(arguments, len(directions))
        rows = np.concatenate(losses).reshape(len(directions), -1)
        return [([float(loss) for loss in row], note) for row, note in zip(rows, notes, strict=True)]

    # -- kinks ------------------------------------------------------------------------------------------------

    @cached_property
    def _kinks(self) -> list[tuple[Kinked, int]]:
        """The functions with a kink, step by step, from the first that may be moved."""
        found, first = kinked(self.model), max(self.wrt.step or 1, 1)
        return [(kink, t) for t in range(first, self.model.steps + 1) for kink in found]

    @cached_property
    def _unmoved(self) -> list[Array]:
        return [self._argument(found, t, self.valuation.values) for found, t in self._kinks]

    def _argument(self, found: Kinked, t: int, values: ArrayValues) -> Array:
        """The distance of an argument from its kink."""
        return evaluate_array(found.call.argument, values, self.point.sizes, t) - found.kink

    def at_kink(self, k: int) -> str:
        """About the first argument at its kink that moves along direction k."""
        _, values, i = self.moved(k)
        for found, t in self._kinks:
            z = self._argument(found, t, values)
            if not np.iscomplexobj(z):
                continue
            written, at = found.call.argument, t
            if isinstance(written, Quantity) and (equation := self.model.equation_of(written.at(t))):
                written, at = equation.expression, 0
            scale = abs(found.kink) + magnitude_array(written, values, self.point.sizes, at)
            at_kink = (z.imag != 0) & (np.abs(z.real) <= AT_KINK * scale)
            if at_kink[i].any():
                return found.note(t, _place(at_kink[i]))
        return ""

    def _crossed(self, passes: list[list[Array]], directions: int) -> list[str]:
        """About the first argument that meets its kink, or passes it, along each direction's stencil."""
        notes = [""] * directions
        for (found, t), unmoved, *parts in zip(self._kinks, self._unmoved, *passes, strict=True):
            if parts[0].ndim == unmoved.ndim:  # nothing moves it
                continue
            z = np.concatenate(parts)
            z = z.reshape(directions, -1, *z.shape[1:])
            low, high = np.minimum(z.min(axis=1), unmoved), np.maximum(z.max(axis=1), unmoved)
            crossed = (low <= 0) & (high >= 0) & (low != high)
            for i in range(directions):
                if not notes[i] and crossed[i].any():
                    notes[i] = found.note(t, _place(crossed[i]))
        return notes

    # -- rounding ---------------------------------------------------------------------------------------------

    @property
    def roundings(self) -> int:
        """Granted for each operation; products add up over columns, and L over samples."""
        return ROUNDINGS + max(self.point.sizes.values(), default=1) + (self.point.batch or 0)

    @cached_property
    def lost(self) -> Mapping[Key, Scaled]:
        """|∂L/∂head| · |terms of the leg| by the leg's tail: what is multiplied by the movement of the tail."""
        found: dict[Key, Scaled] = {}
        over_batch = self.point.batch is not None

        def action(leg: Leg, reading: str) -> Action:
            read = self.valuation.of if reading == "value" else self.valuation.magnitude

            def scaled(expression: Expression) -> Scaled:
                return Scaled.of(read(expression))

            return action_of(product_value(leg.factors, expanded=True), scaled, over_batch)

        def record(leg: Leg, row: Scaled) -> None:
            terms = Scaled(np.abs(row.array), row.exponent) * action(leg, "magnitude")
            if not self.model.is_matrix(leg.tail):
                terms = Scaled(transpose(terms.array), terms.exponent)
            key = leg.tail.name, leg.tail.step
            found[key] = found[key] + terms if key in found else terms

        one = np.ones((1, 1) if self.point.batch is None else (self.point.batch, 1, 1))
        traverse(self.graph, lambda leg: action(leg, "value"), Scaled(one), record)
        return found


@dataclass(frozen=True)
class _Directional:
    """The derivative along one direction, as a `Case`."""

    goal: _Goal
    k: int

    @property
    def wrt(self) -> Quantity:
        return self.goal.wrt

    @property
    def where(self) -> str:
        return self.goal.places[self.k][0]

    @property
    def at(self) -> str:
        return self.goal.point.label

    @property
    def model(self) -> Model:
        return self.goal.model

    @property
    def symbolic(self) -> Amount:
        total = self.goal.total
        value = self._along(total.value)
        return Amount(value, total.log10, -1 if value < 0 else 1)

    @property
    def recursion(self) -> float:
        return math.nan if self.goal.recursion is None else self._along(self.goal.recursion)

    def _along(self, gradient: Array) -> float:
        _, direction, _ = self.goal.places[self.k]
        moves = direction != 0
        return float((gradient[moves] * direction[moves]).sum())

    def complex_step(self) -> Estimate:
        """Im L(θ + ih)/h: exact to rounding where every function is analytic at the point, so kinks are looked for."""
        h, values, i = self.goal.moved(self.k)
        if note := self.goal.at_kink(self.k):
            raise Undecidable(note)
        smallest = sys.float_info.min / h  # a derivative below this has lost digits
        loss = values["L", None]
        return Estimate(float(loss[i, 0, 0].imag) / h if np.iscomplexobj(loss) else 0.0, smallest)

    def richardson(self) -> Estimate:
        goal, (_, direction, at) = self.goal, self.goal.places[self.k]
        samples = float(np.abs(sample_losses(goal.model, goal.valuation.values, goal.point.batch)).sum())
        noise = 2 * ROUNDINGS * EPSILON + (goal.point.batch or 0) * EPSILON * samples
        noise += 2 * _fitting(lambda: goal.valuation.loss_rounding, "of the table")
        if np.count_nonzero(direction) > 1:  # every entry is rounded when it is moved
            moved = goal.value.reshape(direction.shape)
            noise += 2 * EPSILON * float((np.abs(goal.total.value) * (np.abs(moved) + np.abs(direction))).sum())
        return differences(lambda attempt: goal.look(self.k, attempt), at, noise)

    def rounding(self) -> float:
        """The bound of `comparison.traverse`; where no complex step says how the tails move, Σ |path|."""
        goal = self.goal
        try:
            h, values, i = goal.moved(self.k)
        except NumericalFailure:
            return self._along(goal.valuation.path_rounding(goal.graph) * np.sign(goal.places[self.k][1]))
        size = 0.0
        for key, lost in goal.lost.items():
            moved = values[key]
            if np.iscomplexobj(moved):
                entries = float((lost.array * np.abs(moved[i].imag)).sum()) / h
                size += float(_scaled(entries, lost.exponent))
        return goal.roundings * (goal.model.steps + 4) * EPSILON * size

    def drift(self) -> float:
        goal = self.goal
        _, values, i = goal.moved(self.k)
        passed = MatrixValuation(goal.model, goal.point)
        for key, moved in values.items():
            if np.iscomplexobj(moved):
                passed.values[key] = moved[i].real.reshape(passed.values[key].shape)
        return abs(self._along(_path_total(passed, goal.graph).value) - self.symbolic.value)


def _path_total(valuation: MatrixValuation, graph: Graph) -> MatrixAmount:
    return _fitting(lambda: valuation.path_total(graph), f"along the paths to {graph.goal}")


def _fitting(multiply: Callable[[], Found], where: str) -> Found:
    """What comes of a product. Raises Nonconformable where factors do not fit: those of a right table always do."""
    try:
        return multiply()
    except ValueError as error:
        reason = str(error).partition("\n")[0]
        raise Nonconformable(f"the factors {where} do not fit one another: {reason}") from error


def _scaled(number: float, exponent: int) -> float:
    try:
        return math.ldexp(number, exponent)
    except OverflowError:
        return math.inf


def _place(found: Array) -> str:
    """Which component of an argument, and of which sample: of the first that was found."""
    *samples, component, _ = (int(i) for i in np.argwhere(found)[0])
    *counts, rows, _ = found.shape
    place = f"component {component + 1} of " if rows > 1 else ""
    if samples and counts[-1] > 1:
        place = f"in sample {samples[-1] + 1}, {place}"
    return place
