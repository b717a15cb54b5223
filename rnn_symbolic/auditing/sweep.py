r"""Many gradients in one backward pass: the right one, and what becomes of it with each mistake of a list.

    r_{q_{t−k}} += r_{p_t} J        for every arc p_t ← q_{t−k} with the local derivative J

Rows of all variants stand in one array, so that a mistake costs only the arcs that it changes. What L is differentiated
by is kept apart by the step t of the loss and the step s at which it enters: G[t, s] is the sum of those paths.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np

from rnn_symbolic.array_functions import Array, NoValue
from rnn_symbolic.arrays import ArrayValues, MatrixPoint, array_point, evaluate_array, value_of
from rnn_symbolic.errors import NumericalFailure
from rnn_symbolic.expressions import Expression, Kronecker, Quantity, quantities
from rnn_symbolic.frozen import frozen
from rnn_symbolic.matrix_valuation import MatrixValuation
from rnn_symbolic.model import Model
from rnn_symbolic.numeric import Key, Point
from rnn_symbolic.table import Product, product_value

BORDERS = ("zero", "wrap")
"""What stands where an index leaves 1 … T: zeros, or what Python's index −1 gives, the last entry."""
NO_INITIAL = "no-initial"
"""A border as well: zeros in the place of the initial states."""
CYCLE = "cycle"
"""A border as well: step T for step 0, T − 1 for −1, initial states or not: what a list without them gives."""
ONLY_LAST = "only-last"
"""No border, but said in the same place: the local derivative of the last step, and zeros before."""
NOT_FIRST = "not-first"
"""The same for zeros at the first step."""


@frozen
class Arc:
    """One product of a row of the table: what leads from ``head`` to ``tail``, ``lag`` steps back.

    ``lag`` is None where the tail is a parameter. ``initial`` is the state that an arc which no table has leads to
    where it passes the first step.
    """

    head: str
    tail: str
    lag: int | None
    factors: Product
    initial: str = ""

    @property
    def value(self) -> Expression:
        """The local derivative at the generic step."""
        return product_value(self.factors)


@frozen
class Change:
    """Another local derivative in the place of an arc's; None leaves the arc out."""

    arc: int
    value: Expression | None


@frozen
class Variant:
    """A table with changed arcs, and with arcs that it should not have."""

    changes: tuple[Change, ...] = ()
    added: tuple[tuple[Arc, Expression], ...] = ()
    border: str = "zero"


RIGHT = Variant()


def arcs_of(model: Model) -> tuple[Arc, ...]:
    """The arcs of a model's table, row by row, in the order of its equations.

    >>> from rnn_symbolic.model import unroll
    >>> [(arc.head, arc.tail, arc.lag) for arc in arcs_of(unroll("d2l"))][:4]
    [('h', 'W_x', None), ('h', 'x', 0), ('h', 'W_h', None), ('h', 'h', 1)]
    """
    return tuple(
        Arc(edge.head.name, edge.tail.name, edge.lag if edge.tail.index else None, term)
        for edge in model.table
        for term in edge.terms
    )


class Sweep:
    r"""The gradients of a model at a point, by loss step and entry step, for the table as it is and as it is not.

    >>> from rnn_symbolic.model import unroll
    >>> from rnn_symbolic.matrix_valuation import random_matrix_point
    >>> model = unroll("elman", activation="tanh", loss="squared")
    >>> sweep = Sweep(model, random_matrix_point(model, 1))
    >>> groups = sweep.groups((RIGHT,), (Quantity("W_x"),))[Quantity("W_x")]  # [variant, t, s, entry]
    >>> np.tril(np.ones((3, 3)))[:, ::-1].shape, groups.shape, bool(np.all(np.triu(groups[0, ..., 0], 1) == 0))
    ((3, 3), (1, 3, 3, 1), True)

    Raises NumericalFailure where the forward pass or a local derivative leaves the range of floats, or a domain.
    """

    def __init__(self, model: Model, point: Point | MatrixPoint) -> None:
        self.model, self.point = model, array_point(point)
        self.values: ArrayValues = MatrixValuation(model, self.point).values
        self.arcs = arcs_of(model)
        self.steps = model.steps
        self._derivatives: dict[tuple[Expression, str], Array] = {}
        self._bordered: dict[str, ArrayValues] = {}

    # -- numbers of local derivatives -----------------------------------------------------------------------------

    def derivative(self, value: Expression, border: str = "zero") -> Array:
        """The local derivative at t = 1 … T, one sample behind another: T × B × rows × columns."""
        key = (value, border)
        if key not in self._derivatives:
            self._derivatives[key] = self._evaluated(value, border)
        return self._derivatives[key]

    def _evaluated(self, value: Expression, border: str) -> Array:
        shifted = any(q.step for q in quantities(value) if q.index)
        values = self._with_border(border) if shifted else self.values
        found = []
        for t in range(1, self.steps + 1):
            try:
                array = evaluate_array(value, values, self.point.sizes, t)
            except NoValue as reason:
                raise NumericalFailure(f"a local derivative at step {t} has no value: {reason}") from None
            batch = self.samples
            found.append(np.broadcast_to(array, (batch, *array.shape[-2:])))
        stack = np.stack(found)
        if border == ONLY_LAST:
            stack[:-1] = 0.0
        if border == NOT_FIRST:
            stack[0] = 0.0
        return stack

    @property
    def samples(self) -> int:
        """B; 1 without a batch."""
        return self.point.batch or 1

    def _with_border(self, border: str) -> ArrayValues:
        """Values for steps just outside 1 … T as well, where they are not given."""
        if border not in self._bordered:
            values, T = dict(self.values), self.steps
            if border == NO_INITIAL:
                values |= {key: np.zeros_like(values[key]) for key in self.point.initial}
            names = [name for name, step in self.values if step == T]
            if border == CYCLE:
                steps = [(name, step) for name in names for step in (0, -1, -2)]
                values |= {(name, step): values[name, max(1, T + step)] for name, step in steps}
            for name in names:
                first = min(((step or 0) for state, step in self.point.initial if state == name), default=1)
                for before in (
                    1,
                    2,
                ):  # an array of a state begins with its initial values, so −1 is the last after them
                    step, at = first - before, values[name, max(1, T + 1 - before)]
                    values.setdefault((name, step), at if border == "wrap" else np.zeros_like(at))
                at = values[name, 1]
                values.setdefault((name, T + 1), at if border == "wrap" else np.zeros_like(at))
            self._bordered[border] = values
        return self._bordered[border]

    # -- sweeps ---------------------------------------------------------------------------------------------------

    @cached_property
    def _base(self) -> list[tuple[Array | None, Array | None]]:
        """The local derivative of each arc as (J, v): J (vᵀ ⊗ I) by a matrix, without forming what is mostly zeros."""
        found: list[tuple[Array | None, Array | None]] = []
        for arc in self.arcs:
            *front, last = arc.factors or (None,)
            if last is None or not isinstance(last.value, Kronecker):
                found.append((self.derivative(arc.value), None))
                continue
            before = self.derivative(product_value(front)) if front else None
            found.append((before, self.derivative(last.value.vector)[..., 0]))
        return found

    def _entries(self, goal: Quantity) -> int:
        value = value_of(self.values, _key(goal))
        return int(value.shape[-2] * value.shape[-1])

    def groups(
        self, variants: Sequence[Variant], goals: Sequence[Quantity], *, whole: bool = False
    ) -> dict[Quantity, Array]:
        """G[variant, t, s, entry] for each goal; ``whole`` adds them all up: [variant, 1, 1, entry].

        Entries of a matrix stand column by column. With a batch the samples are added up, but for an initial state
        that each of them has for its own: its entries follow one another, sample by sample.
        """
        T, M, B = self.steps, len(variants), self.samples
        losses = 1 if whole else T
        rows: dict[Key, Array] = {}
        share = 1 / T if self.model.losses == "mean" else 1.0
        for t in self.model.loss_steps:
            row = np.zeros((B, M, losses, 1))
            row[:, :, 0 if whole else t - 1] = share
            rows["l", t] = row
        wanted = {_key(goal): goal for goal in goals}
        found = {goal: np.zeros((B, M, losses, 1 if whole else T, self._entries(goal))) for goal in goals}
        replaced, dropped, added = self._overrides(variants)
        by_head: dict[str, list[int]] = {}
        for i, arc in enumerate(self.arcs):
            by_head.setdefault(arc.head, []).append(i)
        for t in range(T, 0, -1):
            for equation in reversed(self.model.definitions):
                head = equation.target.name
                if (head, t) not in rows:
                    continue
                row = rows.pop((head, t))
                if (head, t) in wanted:  # a named quantity of a step
                    found[wanted[head, t]][:, :, :, 0 if whole else t - 1] += row
                for i in by_head.get(head, ()):
                    arc = self.arcs[i]
                    flow = self._along(row, i, t)
                    for index, stack in replaced.get(i, ()):
                        flow[:, index] = np.matmul(row[:, index], stack[t - 1].swapaxes(0, 1))
                    if i in dropped:
                        flow[:, dropped[i]] = 0.0
                    self._arrive(arc, t, flow, rows, found, wanted, whole)
                for arc, index, stack in added.get(head, ()):
                    flow = np.zeros((B, M, losses, stack.shape[-1]))
                    flow[:, index] = np.matmul(row[:, index], stack[t - 1].swapaxes(0, 1))
                    self._arrive(arc, t, flow, rows, found, wanted, whole)
        return {goal: self._gathered(goal, array) for goal, array in found.items()}

    def _along(self, row: Array, i: int, t: int) -> Array:
        """The row times the local derivative of an arc; by a matrix v_j r_i, column j after column j − 1."""
        J, v = self._base[i]
        flow = row if J is None else self._flow(row, J[t - 1])
        if v is None:
            return np.array(flow) if J is None else flow
        entries = v[t - 1][:, None, None, :, None] * flow[..., None, :]
        return np.asarray(entries.reshape(*flow.shape[:-1], -1))

    def _flow(self, row: Array, J: Array) -> Array:
        B, M, losses, n = row.shape
        return np.asarray(np.matmul(row.reshape(B, M * losses, n), J).reshape(B, M, losses, J.shape[-1]))

    def _arrive(
        self, arc: Arc, t: int, flow: Array, rows: dict[Key, Array], found: dict[Quantity, Array],
        wanted: Mapping[Key, Quantity], whole: bool,
    ) -> None:  # fmt: skip
        key = (arc.tail, None if arc.lag is None else t - arc.lag)
        goal = wanted.get(key)
        defined = arc.tail in self.model.definition and arc.lag is not None and t - arc.lag >= 1
        if arc.initial and arc.lag is not None and t - arc.lag < 1:
            goal = wanted.get((arc.initial, t - arc.lag))
        if goal is not None and not defined:
            found[goal][:, :, :, 0 if whole else t - 1] += flow
        if defined:
            rows[key] = rows[key] + flow if key in rows else flow

    def _overrides(
        self, variants: Sequence[Variant]
    ) -> tuple[dict[int, list[tuple[Array, Array]]], dict[int, Array], dict[str, list[tuple[Arc, Array, Array]]]]:
        """By arc: which variants have another local derivative, which leave it out; and by head what is added."""
        replaced: dict[int, list[tuple[int, Array]]] = {}
        dropped: dict[int, list[int]] = {}
        added: dict[tuple[str, str, int | None, int], list[tuple[Arc, int, Array]]] = {}
        for m, variant in enumerate(variants):
            for change in variant.changes:
                if change.value is None:
                    dropped.setdefault(change.arc, []).append(m)
                else:
                    stack = self.derivative(change.value, variant.border)
                    replaced.setdefault(change.arc, []).append((m, stack))
            for arc, value in variant.added:
                stack = self.derivative(value, variant.border)
                added.setdefault((arc.head, arc.tail, arc.lag, stack.shape[-1]), []).append((arc, m, stack))
        stacked = {
            i: [(np.array([m for m, _ in pairs]), np.stack([stack for _, stack in pairs], axis=1))]
            for i, pairs in replaced.items()
        }
        by_head: dict[str, list[tuple[Arc, Array, Array]]] = {}
        for (head, *_), triples in added.items():
            index = np.array([m for _, m, _ in triples])
            by_head.setdefault(head, []).append((triples[0][0], index, np.stack([s for *_, s in triples], axis=1)))
        return stacked, {i: np.array(ms) for i, ms in dropped.items()}, by_head

    def _gathered(self, goal: Quantity, array: Array) -> Array:
        """(B, M, t, s, entries): the samples added up, or one behind another where the goal is a sample's own."""
        own = value_of(self.values, _key(goal)).ndim == 3 and goal.step is not None
        if not own:
            return np.asarray(array.sum(axis=0))
        return np.moveaxis(array, 0, -2).reshape(*array.shape[1:-1], -1)

    def flat(self, goal: Quantity, gradient: Array) -> Array:
        """A gradient in the shape of its goal, as entries in the order of `groups`."""
        return np.asarray(gradient, dtype=np.float64).ravel(order="F" if self.model.is_matrix(goal) else "C")

    def shape(self, goal: Quantity) -> tuple[int, ...]:
        """The shape of a gradient: that of its goal."""
        value = value_of(self.values, _key(goal))
        return value.shape[: value.ndim - 2 + len(self.model.names.get(goal.name, ()))]

    def shaped(self, goal: Quantity, entries: Array) -> Array:
        """Entries in the order of `groups`, in the shape of the goal."""
        return np.asarray(entries).reshape(self.shape(goal), order="F" if self.model.is_matrix(goal) else "C")


def _key(quantity: Quantity) -> Key:
    return quantity.name, quantity.step
