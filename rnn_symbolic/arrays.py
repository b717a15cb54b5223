r"""Arrays: the records evaluated at a point in NumPy, real or complex, with or without a batch.

Every value has rows and columns as its last two axes: a scalar is (1, 1), a vector (n, 1), a matrix (n, m). In front
of them may stand an axis of samples, the batch, and in front of that an axis of perturbed coordinates: elementwise
operations broadcast over both, products are products of the last two axes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import reduce
from typing import TYPE_CHECKING

import numpy as np

from rnn_symbolic.array_functions import ARRAYS, OUTSIDE, Array, ArrayFunctions, NoValue, total
from rnn_symbolic.errors import ForwardOverflow, NumericalFailure
from rnn_symbolic.expressions import (
    Add,
    Apply,
    Blocks,
    Call,
    Chain,
    Derivative,
    Diagonal,
    Expression,
    Identity,
    Kronecker,
    Multiply,
    Number,
    Ones,
    Power,
    Quantity,
    StepLoss,
    Transpose,
    children,
    joined,
)
from rnn_symbolic.jacobians import Names
from rnn_symbolic.numeric import COMPLEX_STEPS, FARTHEST, Key, Point

if TYPE_CHECKING:
    from rnn_symbolic.model import Model

ArrayValues = dict[Key, Array]
Sizes = Mapping[str, int]
ONE_BY_ONE = (1, 1)


# --- evaluation -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Reading:
    """Where an expression is read: the values, with the running index at ``t``."""

    values: Mapping[Key, Array]
    sizes: Sizes
    t: int
    functions: ArrayFunctions
    derivative: Callable[[Derivative], Array] | None = None
    joint: tuple[int, ...] = ()

    def of(self, expression: Expression) -> Array:
        match expression:
            case Quantity(name, step, index):
                return value_of(self.values, (name, step + self.t if index and step is not None else step))
            case Number(value):
                return np.full(ONE_BY_ONE, float(value))
            case Call(function, argument, order):
                return np.asarray(self.functions.functions[function, order](self.of(argument)))
            case StepLoss(loss, argument, order):
                assert self.functions.step_loss is not None and loss.step is not None
                step = loss.step + self.t if loss.index else loss.step
                return self.functions.step_loss(step, self.of(argument), order)
            case Power(base, exponent):
                return _power(self.of(base), float(exponent))
            case Derivative():
                if self.derivative is None:
                    raise ValueError(f"the derivative of {expression.of} by {expression.wrt} needs a model")
                return self.derivative(expression)
        return _combined(expression, [self.of(child) for child in children(expression)], self)

    def magnitude(self, expression: Expression) -> Array:
        match expression:
            case Call("sum", argument, 0):
                return total(self.magnitude(argument))
            case Power(base, exponent) if exponent > 0:
                return _power(self.magnitude(base), float(exponent))
            case Quantity() | Number() | Call() | StepLoss() | Power() | Derivative():
                return np.abs(self.of(expression))
        return _combined(expression, [self.magnitude(child) for child in children(expression)], self)


def evaluate_array(
    expression: Expression,
    values: Mapping[Key, Array],
    sizes: Sizes,
    t: int = 0,
    functions: ArrayFunctions = ARRAYS,
    derivative: Callable[[Derivative], Array] | None = None,
    joint: tuple[int, ...] = (),
) -> Array:
    """What an expression stands for, rows × columns behind the axes of the values; the running index is at ``t``.

    ``derivative`` works out named derivatives; ``joint`` are the sizes of the states of a joint state, in order, for
    blocks of zeros.

    >>> values = {("W", None): np.array([[1.0, 2.0], [3.0, 4.0]]), ("x", 1): np.array([[1.0], [10.0]])}
    >>> evaluate_array(Apply(Quantity("W"), Quantity("x", 0, "t")), values, {}, t=1).ravel()
    array([21., 43.])
    >>> evaluate_array(Kronecker(Quantity("x", 1), "n"), values, {"n": 2})
    array([[ 1.,  0., 10.,  0.],
           [ 0.,  1.,  0., 10.]])

    Raises NumericalFailure outside a domain; what overflows is inf, without a warning.
    """
    with np.errstate(all="ignore"):
        return _Reading(values, sizes, t, functions, derivative, joint).of(expression)


def magnitude_array(
    expression: Expression,
    values: Mapping[Key, Array],
    sizes: Sizes,
    t: int = 0,
    functions: ArrayFunctions = ARRAYS,
    derivative: Callable[[Derivative], Array] | None = None,
    joint: tuple[int, ...] = (),
) -> Array:
    """The size of what is added up, entry by entry: every sum with the absolute values of its terms.

    >>> evaluate_array(Add((Number(3), Number(-3))), {}, {}), magnitude_array(Add((Number(3), Number(-3))), {}, {})
    (array([[0.]]), array([[6.]]))
    """
    with np.errstate(all="ignore"):
        return _Reading(values, sizes, t, functions, derivative, joint).magnitude(expression)


def value_of(values: Mapping[Key, Array], key: Key) -> Array:
    """The value of a quantity; of a joint state its parts, one under another."""
    name, step = key
    if not name.startswith("("):
        return values[key]
    return stacked([values[part, step] for part in joined(name)])


def stacked(columns: Iterable[Array]) -> Array:
    """Columns, one under another; axes in front of them broadcast."""
    return _joined_along(-2, list(columns))


def _joined_along(axis: int, parts: list[Array]) -> Array:
    leading = np.broadcast_shapes(*(part.shape[:-2] for part in parts))
    return np.concatenate([np.broadcast_to(part, leading + part.shape[-2:]) for part in parts], axis=axis)


def size_of(size: str, sizes: Sizes) -> int:
    """A size as a number: "n_h", "1", and sums and products such as "n_h+n_c"."""
    terms = (term.split("*") for term in size.split("+"))
    return sum(math.prod(sizes[name] if name in sizes else int(name) for name in term) for term in terms)


def product(left: Array, right: Array) -> Array:
    """A product of matrices; a scalar multiplies every entry."""
    if left.shape[-2:] == ONE_BY_ONE or right.shape[-2:] == ONE_BY_ONE:
        return np.asarray(left * right)
    return np.asarray(np.matmul(left, right))


def transpose(array: Array) -> Array:
    """Rows and columns exchanged; axes in front stay."""
    return np.swapaxes(array, -1, -2)


def _combined(expression: Expression, parts: list[Array], reading: _Reading) -> Array:
    """What holds an expression together, applied to the values of its children."""
    match expression:
        case Add():
            return reduce(np.add, parts)
        case Multiply(vectors=vectors):
            return reduce(np.multiply if vectors else _scaled_or_product, parts)
        case Apply() | Chain():
            return reduce(product, parts)
        case Diagonal():
            return np.asarray(parts[0] * np.eye(parts[0].shape[-2]))
        case Transpose():
            return transpose(parts[0])
        case Identity(size):
            return np.eye(size_of(size, reading.sizes))
        case Ones(size):
            return np.ones((size_of(size, reading.sizes), 1))
        case Kronecker(size=size):
            n, column = size_of(size, reading.sizes), parts[0][..., 0]
            spread = column[..., None, :, None] * np.eye(n)[:, None, :]
            return np.asarray(spread.reshape(*column.shape[:-1], n, -1))
        case Blocks(rows):
            return _from_blocks(rows, parts, reading.joint)
    raise TypeError(f"no array reading of {type(expression).__name__}")


def _scaled_or_product(left: Array, right: Array) -> Array:
    if left.shape[-1] == right.shape[-1] == 1:  # two columns, or a number among them
        return np.asarray(left * right)
    return product(left, right)


def _from_blocks(rows: tuple[tuple[Expression, ...], ...], parts: list[Array], joint: tuple[int, ...]) -> Array:
    """A zero takes the shape of what stands beside it; where nothing does, that of its part of the joint state."""
    width = len(rows[0])
    heights, widths = (list(joint) if n == len(joint) else [1] * n for n in (len(rows), width))
    for i, row in enumerate(rows):
        for j, block in enumerate(row):
            if not isinstance(block, Number):
                heights[i], widths[j] = parts[i * width + j].shape[-2:]
    lines = []
    for i, row in enumerate(rows):
        line = []
        for j, block in enumerate(row):
            part = parts[i * width + j]
            if isinstance(block, Number):
                part = np.broadcast_to(part, (heights[i], widths[j]))
            line.append(part)
        lines.append(_joined_along(-1, line))
    return _joined_along(-2, lines)


def _power(base: Array, exponent: float) -> Array:
    if base.shape[-1] > 1:  # a square matrix, of which only whole powers are written; vectors are columns
        return np.asarray(np.linalg.matrix_power(base, int(exponent)))
    if exponent < 0 and np.any(base == 0):
        raise NoValue("a division by zero")
    if not exponent.is_integer() and not np.iscomplexobj(base) and np.any(base < 0):
        raise NoValue(OUTSIDE)
    if exponent == 2:
        return np.asarray(base * base)
    return np.asarray(base**exponent)


# --- a point ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class MatrixPoint:
    """Where arrays are computed: parameters and initial states by name, x and d over time.

    Parameters have their own shapes: () a scalar, (n) a vector, (n, m) a matrix. x is (T, n_x) and d (T, n_y), with a
    batch (T, B, n_x) and (T, B, n_y); an initial state is (n), shared by the samples, or (B, n).
    """

    parameters: Mapping[str, Array]
    initial: Mapping[Key, Array]
    x: Array
    d: Array
    sizes: dict[str, int]
    batch: int | None = None
    label: str = field(default="values", compare=False)

    def leaves(self, names: Names) -> ArrayValues:
        """The leaves of the unrolled model, each with rows and columns; ``names`` are the shapes of `Model.names`."""
        values: ArrayValues = {
            (name, None): _with_columns(array, len(names.get(name, ()))) for name, array in self.parameters.items()
        }
        values.update({key: _with_columns(array, len(names.get(key[0], ()))) for key, array in self.initial.items()})
        values.update({("x", t): column for t, column in enumerate(np.asarray(self.x)[..., None], 1)})
        values.update({("d", t): column for t, column in enumerate(np.asarray(self.d)[..., None], 1)})
        return values


def array_point(point: Point | MatrixPoint) -> MatrixPoint:
    """A point in arrays; one of a model in scalar form becomes arrays of size 1."""
    if isinstance(point, MatrixPoint):
        return point
    return MatrixPoint(
        {name: np.asarray(value) for name, value in point.parameters.items()},
        {key: np.asarray(value) for key, value in point.initial.items()},
        np.asarray(point.x)[:, None],
        np.asarray(point.d)[:, None],
        {},
        label=point.label,
    )


def _with_columns(array: Array, rank: int) -> Array:
    array = np.asarray(array)
    return array.reshape(array.shape + (1,) * (2 - rank))


# --- the forward pass -------------------------------------------------------------------------------------------------

MAX_LAG = 9
"""How far back an equation may look (the language has no [t-10])."""


def forward_arrays(
    model: Model,
    point: MatrixPoint,
    functions: ArrayFunctions = ARRAYS,
    perturb: tuple[Key, Array] | None = None,
    hold: Mapping[Key, Array] | None = None,
    resume: ArrayValues | None = None,
    until: int | None = None,
) -> ArrayValues:
    """The value of every quantity of the unrolled model, in order of computation; L is summed over the batch.

    ``perturb`` adds an array to one quantity, a leaf, a named one or a joint state, as soon as it has its value;
    ``hold`` puts values in the place of what equations give. ``resume`` is the same pass without either: what comes
    before the perturbed step is taken from it. ``until`` stops after that step, without L.

    Raises NumericalFailure outside a domain and ForwardOverflow beyond the floats, naming quantity and step.
    """
    moves = {} if perturb is None else _moves(model, point, perturb)
    first, last = 1, until or model.steps
    if resume is not None and perturb is not None and perturb[0][1] is not None:
        first = max(perturb[0][1], 1)
        names = ("x", "d", *(equation.target.name for equation in model.definitions))
        earlier = ((name, t) for t in range(first - MAX_LAG, first) for name in names)
        given = ((name, t) for t in range(first, last + 1) for name in ("x", "d"))
        keys = ((name, None) for name in point.parameters), point.initial, earlier, given
        values = {key: resume[key] for part in keys for key in part if key in resume}
    else:
        values = point.leaves(model.names)
    for key, move in moves.items():
        if key in values:
            values[key] = values[key] + move
    hold = hold or {}
    with np.errstate(all="ignore"):
        for t in range(first, last + 1):
            reading = _Reading(values, point.sizes, t, functions)
            # the stable loss skips y, so a perturbed y must go through the loss as written
            skips_y = ("y", t) not in moves and ("y", t) not in hold
            for equation in model.definitions:
                name = equation.target.name
                expression = equation.expression
                if name == "l" and model.collapse is not None and skips_y:
                    expression = model.collapse.loss
                value = hold[name, t] if (name, t) in hold else _checked(reading, expression, name, t)
                values[name, t] = value + moves[name, t] if (name, t) in moves else value
        if until is None:
            if resume is not None:  # the losses of the steps before are those of the other pass
                values.update({("l", t): resume["l", t] for t in range(1, first)})
            values["L", None] = _over_batch(sample_losses(model, values, point.batch), point.batch)
    return values


def _checked(reading: _Reading, expression: Expression, name: str, t: int) -> Array:
    try:
        value = reading.of(expression)
    except NoValue as reason:
        raise NumericalFailure(f"{name}_{t} has no value at step {t}: {reason}") from None
    if not np.isfinite(value).all():
        raise ForwardOverflow(
            f"the forward pass overflows at step {t}: {name}_{t} is not a finite number "
            f"(try smaller weights, or fewer steps)"
        )
    return value


def _moves(model: Model, point: MatrixPoint, perturb: tuple[Key, Array]) -> dict[Key, Array]:
    """What is added to each quantity: a joint state's parts get their rows."""
    (name, step), move = perturb
    if not name.startswith("("):
        return {(name, step): move}
    moves: dict[Key, Array] = {}
    top = 0
    for part in joined(name):
        rows = size_of((*model.names.get(part, ()), "1")[0], point.sizes)
        moves[part, step] = move[..., top : top + rows, :]
        top += rows
    return moves


def sample_losses(model: Model, values: Mapping[Key, Array], batch: int | None) -> Array:
    """The part of each sample in L: Σ_t ℓ_t, ℓ_T or the mean, (1, 1) or (B, 1, 1)."""
    found = reduce(np.add, (values["l", t] for t in model.loss_steps))
    if model.losses == "mean":
        found = found / model.steps
    if batch is None:
        return np.asarray(found)
    return np.broadcast_to(found, np.broadcast_shapes(found.shape, (batch, 1, 1)))


def _over_batch(array: Array, batch: int | None) -> Array:
    return array if batch is None else np.asarray(array.sum(axis=-3))


# --- complex steps ----------------------------------------------------------------------------------------------------


def complex_pass(
    model: Model,
    point: MatrixPoint,
    wrt: Key,
    direction: Array,
    functions: ArrayFunctions = ARRAYS,
    hold: Mapping[Key, Array] | None = None,
    resume: ArrayValues | None = None,
    until: int | None = None,
) -> tuple[float, ArrayValues]:
    """h, and the forward pass with i·h·direction added to one quantity: Im of any value over h is its derivative.

    Raises NumericalFailure where no h is small enough.
    """
    for h in COMPLEX_STEPS:
        try:
            moved = forward_arrays(model, point, functions, (wrt, 1j * h * direction), hold, resume, until)
        except NumericalFailure:
            continue
        if all(np.abs(value.imag).max(initial=0.0) <= FARTHEST for value in moved.values() if np.iscomplexobj(value)):
            return h, moved
    raise NumericalFailure("a complex step overflows: some quantity moves by more than floats can hold")


def coordinates(value: Array, batch: int | None) -> Array:
    """The directions of all coordinates along a first axis: of a column one by one, of a matrix column by column.

    With a batch every sample moves by the same direction.

    >>> coordinates(np.zeros((2, 2)), None)[1]
    array([[0., 0.],
           [1., 0.]])
    """
    rows, columns = value.shape[-2:]
    directions = np.eye(rows * columns).reshape(-1, columns, rows).swapaxes(1, 2)
    return directions if batch is None else directions[:, None]
