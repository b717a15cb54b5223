r"""The derivation's quantities as arrays at one point: lines, paths, groups of paths, the whole gradient.

A path is a product in numerator layout, so it is multiplied from the left: a row r = ∂L/∂q passes factor by factor
towards the goal, and no product of two matrices is ever formed. By a matrix W the last factor is vᵀ ⊗ I, and what
r (vᵀ ⊗ I) holds is the gradient rᵀ vᵀ, column by column: it is kept as that matrix, in the shape of W.
"""

from __future__ import annotations

import math
import operator
from collections import ChainMap
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cached_property, reduce

import numpy as np

from rnn_symbolic.array_functions import ARRAYS, Array, ArrayFunctions, NoValue, stand_in_arrays
from rnn_symbolic.arrays import (
    ArrayValues,
    MatrixPoint,
    complex_pass,
    coordinates,
    evaluate_array,
    forward_arrays,
    magnitude_array,
    product,
    sample_losses,
    size_of,
    stacked,
    value_of,
)
from rnn_symbolic.errors import InputError, NumericalFailure, suggest
from rnn_symbolic.expressions import Call, Derivative, Expression, Quantity, joined
from rnn_symbolic.frozen import frozen
from rnn_symbolic.graph import Graph, Leg, Path
from rnn_symbolic.jacobians import rows_of
from rnn_symbolic.model import Model
from rnn_symbolic.numeric import Key, adjoints
from rnn_symbolic.paths import graph
from rnn_symbolic.scaled import NOTHING, Action, Scaled, action_of, from_logarithms
from rnn_symbolic.table import product_value
from rnn_symbolic.valuation import EPSILON, ROUNDINGS, carry


@frozen
class MatrixAmount:
    """A path, a sum of paths or a gradient in the shape of what it is taken by; log10 of its Frobenius norm.

    ``value`` may hold 0 or inf where ``log10`` is still exact.
    """

    value: Array
    log10: float


class MatrixValuation:
    r"""A model at a point, as arrays; the twin of `Valuation`. It reads models in scalar form as well, at size 1.

    With a batch of B samples, values and rows have an axis of samples in front; what belongs to a parameter (or to an
    initial state that the samples share) is summed over it, inputs and other states keep it.

    >>> from rnn_symbolic.model import unroll
    >>> model = unroll("h = W @ h[t-1] + x\ny = h", steps=2, loss="squared", form="matrix")
    >>> at = MatrixValuation(model, random_matrix_point(model, seed=1))
    >>> gradient, paths = at.gradient(model.resolve("W")), at.path_total(graph(model, "W"))
    >>> gradient.value.shape, np.allclose(gradient.value, paths.value)
    ((2, 2), True)

    Raises NumericalFailure where the forward pass leaves the range of floats, or a function its domain.
    """

    def __init__(self, model: Model, point: MatrixPoint, functions: ArrayFunctions = ARRAYS) -> None:
        self.model, self.point, self.functions = model, point, functions
        self.values: ArrayValues = forward_arrays(model, point, functions)
        self._passes: dict[tuple[Quantity, frozenset[Key], int | None], tuple[float, ArrayValues]] = {}
        self._named_values: dict[Derivative, Array] = {}
        self._legs: dict[int, tuple[Action, Leg]] = {}

    # -- single expressions -----------------------------------------------------------------------------------

    def of(self, expression: Expression, t: int = 0) -> Array:
        """The value of an expression, rows × columns (numerator layout, behind an axis of samples if there is one).

        A named derivative is worked out without the table: ∂ is a complex step of the forward pass, ∂⁺ of the one
        equation; with ``apart`` the states of `Model.held` stand still. By a matrix W, stacked, the columns are the
        coordinates of vec W; unstacked, ∂L/∂W is the transposed gradient.
        """
        return self._evaluated(evaluate_array, expression, t)

    def magnitude(self, expression: Expression, t: int = 0) -> Array:
        """The size of what is added up in an expression, entry by entry; times EPSILON it is rounding."""
        return self._evaluated(magnitude_array, expression, t)

    def _evaluated(self, reading: Callable[..., Array], expression: Expression, t: int) -> Array:
        def named(node: Derivative) -> Array:
            return self._named(node, t)

        return reading(expression, self.values, self.point.sizes, t, self.functions, named, self._joint)

    @cached_property
    def _joint(self) -> tuple[int, ...]:
        states = self.model.cell.states
        return tuple(size_of(rows_of(name, self.model.names), self.point.sizes) for name in states)

    def _named(self, node: Derivative, t: int) -> Array:
        node = replace(node, of=node.of.at(t), wrt=node.wrt.at(t))
        if node not in self._named_values:
            self._named_values[node] = self._differentiated(node)
        return self._named_values[node]

    def _differentiated(self, node: Derivative) -> Array:
        wrt = value_of(self.values, _key(node.wrt))
        directions = coordinates(wrt, self.point.batch)
        find = self._immediate if node.immediate and not node.apart else self._total
        h, moved = find(node, directions)
        columns = (np.imag(moved) / h)[..., 0]
        missing = directions.ndim - 1 - columns.ndim  # of what does not depend on wrt, or not on the sample
        columns = columns.reshape((1,) * missing + columns.shape)
        jacobian = np.moveaxis(np.broadcast_to(columns, (len(directions), *columns.shape[1:])), 0, -1)
        if self._sums(node.of, wrt):
            jacobian = jacobian.sum(axis=0)
        if self.model.is_matrix(node.wrt) and not node.stacked:
            return np.asarray(jacobian.reshape(*jacobian.shape[:-2], *wrt.shape[:-3:-1]))
        return np.asarray(jacobian)

    def _sums(self, of: Quantity, wrt: Array) -> bool:
        """L adds up the samples, unless what it is differentiated by has its own for each."""
        return of.name == "L" and self.point.batch is not None and wrt.ndim < 3

    def _immediate(self, node: Derivative, directions: Array) -> tuple[float, Array]:
        h = 1e-30
        moved, top = ChainMap[Key, Array]({}, self.values), 0
        for name in joined(node.wrt.name):
            key = name, node.wrt.step
            rows = self.values[key].shape[-2]
            moved[key] = self.values[key] + 1j * h * directions[..., top : top + rows, :]
            top += rows
        found = []
        for name in joined(node.of.name):
            equation = self.model.equation_of(Quantity(name, node.of.step))
            assert equation is not None
            found.append(evaluate_array(equation.expression, moved, self.point.sizes, 0, self.functions))
        return h, stacked(found)

    def _total(self, node: Derivative, directions: Array) -> tuple[float, Array]:
        wrt, held = _key(node.wrt), set[Key]()
        if node.apart:  # what is moved is held where it is too, or one part of a joint state would move another
            held = {_key(q) for q in self.model.held(node)} | {(name, wrt[1]) for name in joined(wrt[0])}
        # a block of the state Jacobian needs no step after its own
        until = node.of.step if node.apart and wrt[1] is not None else None
        key = node.wrt, frozenset(held), until
        if key not in self._passes:
            hold = {state: self.values[state] for state in held if (state[1] or 0) >= 1}
            self._passes[key] = complex_pass(
                self.model, self.point, wrt, directions, self.functions, hold, self.values, until
            )
        h, moved = self._passes[key]
        if node.of.name == "L":
            return h, sample_losses(self.model, moved, self.point.batch)
        return h, value_of(moved, _key(node.of))

    def over_time(self, name: str) -> Array:
        """A quantity at t = 1 … T: (T, n), with a batch (T, B, n); of a scalar without n."""
        columns = [self.values[name, t] for t in range(1, self.model.steps + 1)]
        leading = () if self.point.batch is None else (self.point.batch,)
        found = np.stack([np.broadcast_to(column, (*leading, *column.shape[-2:])) for column in columns])
        return found[..., 0] if self.model.names.get(name) else found[..., 0, 0]

    # -- paths ------------------------------------------------------------------------------------------------

    def leg(self, leg: Leg) -> Array:
        """The product of one leg, as a matrix."""
        return self.of(product_value(leg.factors, expanded=True))

    def _act(self, leg: Leg) -> Action:
        found = self._legs.get(id(leg))
        if found is None:
            try:
                action = self._action(product_value(leg.factors, expanded=True), 0, self._read)
            except NoValue:
                message = f"the derivative of {leg.head} by {leg.tail} has no value: a division by zero, or an overflow"
                raise NumericalFailure(message) from None
            found = self._legs[id(leg)] = (action, leg)  # the leg is kept, so its id stays its own
        return found[0]

    def _action(self, expression: Expression, t: int, read: Callable[[Expression, int], Scaled]) -> Action:
        return action_of(expression, lambda part: read(part, t), self.point.batch is not None)

    def _read(self, expression: Expression, t: int) -> Scaled:
        found = Scaled.of(self.of(expression, t))
        return found if found.exponent >= 0 else from_logarithms(expression, lambda part: self.of(part, t))

    @property
    def _one(self) -> Scaled:
        """∂L/∂L, for each sample."""
        batch = self.point.batch
        return Scaled(np.ones((1, 1) if batch is None else (batch, 1, 1)))

    def path(self, path: Path) -> MatrixAmount:
        """The value of a path in the shape of its goal."""
        row = self._one
        for leg in path.legs:
            row = row * self._act(leg)
        return self._amount(path.legs[-1].tail, row)

    def product(self, path: Path) -> Array:
        """The product of the factors along a path, as it stands: a row (by a matrix, vec Gᵀ), not the goal's shape."""
        return self.of(path.expression)

    def groups(self, graph: Graph) -> Iterator[tuple[int, int, MatrixAmount]]:
        """(loss step, entry step, sum of those paths), by dynamic programming: no path is listed; O(T²)."""
        for t in self.model.loss_steps:
            entered = carry(graph, (t,), self._act, self._one)
            yield from ((t, s, self._amount(graph.goal, entered[s])) for s in sorted(entered, reverse=True))

    def entered(self, graph: Graph) -> dict[int, MatrixAmount]:
        """The sum of all paths, by the step at which they enter."""
        found = carry(graph, self.model.loss_steps, self._act, self._one)
        return {s: self._amount(graph.goal, row) for s, row in found.items()}

    def path_total(self, graph: Graph) -> MatrixAmount:
        """The sum of all paths, in one sweep: O(T)."""
        return self._sum(graph.goal, carry(graph, self.model.loss_steps, self._act, self._one).values())

    def path_rounding(self, graph: Graph) -> Array:
        """What rounding may do to `path_total`, Σ |path|, with the terms inside each factor unsigned."""

        def worth(leg: Leg) -> Action:
            return self._action(product_value(leg.factors, expanded=True), 0, size)

        def size(expression: Expression, t: int) -> Scaled:
            return Scaled.of(self.magnitude(expression, t))

        found = self._sum(graph.goal, carry(graph, self.model.loss_steps, worth, self._one).values())
        return np.asarray(self._roundings * (self.model.steps + 4) * EPSILON * found.value)

    @cached_property
    def _roundings(self) -> int:
        """Granted for each operation; a product of matrices adds up as many terms as it has columns."""
        return ROUNDINGS + max(self.point.sizes.values(), default=1)

    @cached_property
    def loss_rounding(self) -> float:
        """What rounding may do to L: Σ |∂L/∂q| · (rounding of q), over every quantity q."""
        size = float(np.abs(self.values["L", None]).sum())
        for t in range(1, self.model.steps + 1):
            for equation in self.model.definitions:
                row = self._adjoints.get((equation.target.name, t))
                if row is not None:
                    size += float(product(np.abs(row.value), self.magnitude(self.model.computed(equation), t)).sum())
        return self._roundings * EPSILON * size

    # -- the whole gradient -----------------------------------------------------------------------------------

    @cached_property
    def _numbers(self) -> Model:
        """The model whose collapsed rows hold for any target."""
        collapse = self.model.collapse
        return self.model if collapse is None else replace(self.model, collapse=collapse.for_numbers())

    @cached_property
    def _adjoints(self) -> Mapping[Key, Scaled]:
        def worth(expression: Expression, t: int) -> Action:
            try:
                return self._action(expression, t, self._read)
            except NoValue as reason:
                raise NumericalFailure(f"a local derivative at step {t} has no value: {reason}") from None

        return adjoints(self._numbers, self.values, worth, self._one)

    def gradient(self, wrt: Quantity) -> MatrixAmount:
        """∂L/∂wrt by the adjoint recursion over the table, in the shape of wrt: O(T) products of a row and a matrix."""
        if wrt.name == "y" and self.model.collapse is not None:  # the recursion goes past y_t where factors collapse
            return self.path_total(graph(self._numbers, wrt))
        row = self._adjoints.get(_key(wrt))
        return self._sum(wrt, [] if row is None else [row])

    def scaled_gradient(self, wrt: Quantity) -> Scaled:
        """∂L/∂wrt as an array and a power of 2: beyond the range of floats, entry by entry."""
        row = self._adjoints.get(_key(wrt))
        if row is None:
            return Scaled(np.zeros(self._shape(wrt)), NOTHING)
        return self._shaped(wrt, row)

    # -- shapes -----------------------------------------------------------------------------------------------

    def _sum(self, goal: Quantity, rows: Iterable[Scaled]) -> MatrixAmount:
        found = list(rows)
        if not found:
            return MatrixAmount(np.zeros(self._shape(goal)), -math.inf)
        return self._amount(goal, reduce(operator.add, found))

    def _amount(self, goal: Quantity, row: Scaled) -> MatrixAmount:
        found = self._shaped(goal, row)
        return MatrixAmount(found.value, found.log10)

    def _shaped(self, goal: Quantity, row: Scaled) -> Scaled:
        """A row as a gradient, in the shape of its goal."""
        array = row.array
        if self.model.is_matrix(goal) and array.shape != self._shape(goal):  # a reshape would hide a lost transpose
            raise ValueError(f"{array.shape} is not the shape {self._shape(goal)} of {goal}")
        if not self.model.is_matrix(goal) and array.ndim == 3 and value_of(self.values, _key(goal)).ndim == 2:
            array = array.sum(axis=0)
        return Scaled.of(array.reshape(self._shape(goal)), row.exponent)

    def _shape(self, goal: Quantity) -> tuple[int, ...]:
        """The shape of a gradient: that of the parameter or the state, with an axis of samples where it has one."""
        shape = value_of(self.values, _key(goal)).shape
        rank = 1 if goal.name.startswith("(") else len(self.model.names.get(goal.name, ()))
        return shape[: len(shape) - 2 + rank]


def _key(quantity: Quantity) -> Key:
    return quantity.name, quantity.step


# --- random points ----------------------------------------------------------------------------------------------------

SIZES = {"n_x": 2, "n_h": 3, "n_y": 4}
FURTHER = 5
MORE = 3
"""Further sizes repeat after so many: of a cell with fifty of them, matrices would be large for nothing."""
LONG, CALM = 20, 0.25
"""Over more steps than this, stand-in weights are multiplied by this."""


def random_sizes(model: Model, sizes: Mapping[str, int] | None = None) -> dict[str, int]:
    """The sizes of a model as numbers: n_x = 2, n_h = 3, n_y = 4, then 5, 6, 7, 5, …, unless they are given.

    Raises InputError for a size that the cell does not have, and for one below 1.
    """
    names = model.shapes.sizes if model.shapes is not None else ()
    for name, given in (sizes or {}).items():
        if name not in names:
            known = (
                f"the sizes of {model.cell.name} are {', '.join(names)}" if names else "in scalar form there are none"
            )
            raise InputError(f"{name!r} is not a size: {known}.{suggest(name, names)}")
        if isinstance(given, bool) or not isinstance(given, int) or given < 1:
            raise InputError(f"{name} is {given!r}; a size is a whole number, at least 1")
    others = (name for name in names if name not in SIZES)
    default = SIZES | {name: FURTHER + k % MORE for k, name in enumerate(others)}
    return {name: (sizes or {}).get(name, default[name]) for name in names}


def random_matrix_point(
    model: Model,
    seed: int,
    sizes: Mapping[str, int] | None = None,
    batch: int | None = None,
    *,
    positive: bool = False,
) -> MatrixPoint:
    """A point that hides nothing: all sizes different, weights of order 1 and never near 0, h_0 ≠ 0, targets in (0, 1).

    The weights of large matrices are smaller, so that sums stay of order 1; targets of a softmax sum to 1. A model in
    scalar form gets arrays of size 1. ``positive`` leaves the signs out, for functions with a domain.

    >>> from rnn_symbolic.model import unroll
    >>> point = random_matrix_point(unroll("elman", steps=5, form="matrix"), seed=0, sizes={"n_h": 6}, batch=3)
    >>> point.parameters["W_x"].shape, point.x.shape, point.d.shape, point.initial["h", 0].shape
    ((6, 2), (5, 3, 2), (5, 3, 4), (6,))
    """
    rng, numbers = np.random.default_rng(seed), random_sizes(model, sizes)
    over_time = (model.steps,) if batch is None else (model.steps, batch)

    def shape(name: str) -> tuple[int, ...]:
        return tuple(numbers[size] for size in model.names.get(name, ()))

    def draw(shape: tuple[int, ...]) -> Array:
        entries = rng.uniform(0.3, 1.2, shape) * (1.0 if positive else rng.choice((-1.0, 1.0), shape))
        return np.round(np.asarray(entries), 6)

    def weights(shape: tuple[int, ...]) -> Array:
        return draw(shape) / math.sqrt(max(1.0, shape[1] / 4)) if len(shape) == 2 else draw(shape)

    def column(name: str) -> tuple[int, ...]:
        return (*over_time, *(shape(name) or (1,)))

    parameters = {name: weights(shape(name)) for name in model.cell.parameters}
    initial = {_key(q): draw(shape(q.name)) for q in model.initial_states}
    x = draw(column("x"))
    d = np.round(rng.uniform(0.1, 0.9, column("d")), 6)
    output = model.definition["y"].expression
    if isinstance(output, Call) and output.function == "softmax":
        d = d / d.sum(axis=-1, keepdims=True)
    return MatrixPoint(parameters, initial, x, d, numbers, batch, f"seed {seed}")


def stand_in_matrix_valuation(model: Model, seed: int = 0, tries: int = 20) -> MatrixValuation:
    """A valuation at a random point, with analytic stand-ins for the abstract σ and ℓ.

    A point where a function leaves its domain (log, sqrt, a quotient) is drawn again, with the next seed; the later
    half of the tries have positive entries only. Over more than LONG steps the weights are smaller: with larger ones
    the derivatives explode, and what their rounding leaves says nothing about a line.
    """
    functions = stand_in_arrays()
    for attempt in range(tries):
        try:
            point = random_matrix_point(model, seed + attempt, positive=2 * attempt >= tries)
            if model.steps > LONG:
                calm = {name: value * CALM for name, value in point.parameters.items()}
                point = replace(point, parameters=calm)
            return MatrixValuation(model, point, functions)
        except NumericalFailure as error:
            failure = error
    raise failure
