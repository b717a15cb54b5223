r"""Arrays for a model in matrix form: nested lists of numbers, checked by name, rank and size.

    W_x: n_h × n_x, a list of rows     b_h: n_h, a flat list     tau: a number where the cell declares a scalar
    x: T × n_x,  d: T × n_y            with a batch T × B × n_x and T × B × n_y, and h_0: n_h or B × n_h

No size is given: they follow from the entries, which must agree on them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from numbers import Real
from typing import Any

import numpy as np
import numpy.typing as npt

from rnn_symbolic.arrays import MatrixPoint
from rnn_symbolic.cells import Cell
from rnn_symbolic.entries import (
    check_names,
    common_length,
    entry_count,
    finite,
    initial_names,
    is_list,
    kind,
    plain,
)
from rnn_symbolic.errors import InputError
from rnn_symbolic.frozen import frozen
from rnn_symbolic.shapes import Shape, Shapes, bind_sizes, dimensions

Array = npt.NDArray[np.float64]
MAX_NUMBERS = 10_000_000
"""How many numbers one entry may hold."""
DEEPEST = 3
"""How deep lists may be nested: T × B × n_x."""


def matrix_point(
    mapping: Mapping[str, Any], cell: Cell, shapes: Shapes, *, steps: int | None, targets: bool, label: str = "values"
) -> MatrixPoint:
    """The point that a mapping of names to nested lists, tuples or arrays describes.

    Parameters have the cell's shapes; x is T × n_x or T × B × n_x, and so is d with n_y; an initial state is a vector,
    with a batch also B × n, and zero when it is not given. d is zero where it is not needed and not given.

    >>> from rnn_symbolic.cells import load_cell
    >>> from rnn_symbolic.shapes import infer_shapes
    >>> cell = load_cell("h = W @ h[t-1] + x\\ny = h")
    >>> values = {"W": [[0.5, 0], [1, 2]], "x": [[1, 2]], "d": [[0, 0]]}
    >>> point = matrix_point(values, cell, infer_shapes(cell), steps=None, targets=True)
    >>> point.sizes, point.initial["h", 0]
    ({'n_x': 2}, array([0., 0.]))

    Raises InputError for a missing, extra, ragged, misshapen, empty or non-finite entry, and for sizes, lengths or
    batches that do not agree; by name.
    """
    check_names(mapping, cell, targets=targets, example=_example(cell, shapes))
    series = {name: _array(_series(name, shapes), mapping[name]) for name in ("x", "d") if name in mapping}
    T = common_length({name: len(array) for name, array in series.items()}, steps, cell, "one vector")
    batch = _batch(series)
    parameters = {name: _array(_parameter(name, shapes), mapping[name]) for name in cell.parameters}
    states = initial_names(cell)
    initial = {
        name: _array(_initial(name, shapes.names[state.name], batch), mapping[name])
        for name, state in states.items()
        if name in mapping
    }
    given = {name: array.shape for name, array in parameters.items()}
    for name, array in initial.items():
        given[name] = _without_batch(name, array.shape, len(shapes.names[states[name].name]), batch)
    given |= {name: array.shape[-1:] for name, array in series.items()}
    sizes = bind_sizes(shapes, given)

    def zeros(name: str, shape: Shape, leading: tuple[int, ...] = ()) -> Array:
        unknown = [size for size in shape if size not in sizes]
        if unknown:
            raise InputError(f"no entry says what {unknown[0]} is; give {name!r}, a vector of that length")
        return np.zeros((*leading, *(sizes[size] for size in shape)))

    over_time = (T,) if batch is None else (T, batch)
    return MatrixPoint(
        parameters=parameters,
        initial={
            (state.name, state.step): initial[name] if name in initial else zeros(name, shapes.names[state.name])
            for name, state in states.items()
        },
        x=series["x"] if "x" in series else np.zeros((*over_time, 1)),
        d=series["d"] if "d" in series else zeros("d", shapes.names["d"], over_time),
        sizes=sizes,
        batch=batch,
        label=label,
    )


def _example(cell: Cell, shapes: Shapes) -> str:
    """The beginning of a mapping that would do, with sizes of 2."""
    numbers = ("0.5", "[0.5, -0.2]", "[[0.5, -0.2], [0.1, 0.4]]")
    parts = [f'"{name}": {numbers[len(shapes.names[name])]}' for name in cell.parameters[:1]]
    parts += ['"x": [[1, -0.5], [2, 0]]'] if cell.uses_input else []
    return "{" + ", ".join([*parts, '"d": [[0.3, 0.6], [0.9, 0.1]]']) + ", …}"


# --- what an entry must be ----------------------------------------------------------------------------------------


@frozen
class _Entry:
    """An entry: the ranks it may have, how that is said, and what the places in it are called at each rank."""

    name: str
    ranks: tuple[int, ...]
    expected: str
    places: Mapping[int, tuple[str, ...]]

    def at(self, indices: tuple[int, ...], rank: int) -> str:
        """row 2, column 1"""
        names = self.places.get(rank, ("entry",) * rank)
        return ", ".join(f"{name} {i + 1}" for name, i in zip(names, indices, strict=False))

    def what(self, indices: tuple[int, ...], rank: int) -> str:
        """'W_h' at row 2, column 1"""
        place = self.at(indices, rank)
        return f"{self.name!r} at {place}" if place else repr(self.name)


def _parameter(name: str, shapes: Shapes) -> _Entry:
    shape = shapes.names[name]
    return _Entry(name, (len(shape),), _expected(shape), {1: ("entry",), 2: ("row", "column")})


def _expected(shape: Shape) -> str:
    match len(shape):
        case 0:
            return "one number"
        case 1:
            return f"a vector {dimensions(shape)}, a list such as [0.5, -0.2]"
    return f"a matrix {dimensions(shape)}, a list of rows such as [[0.5, -0.2], [0.1, 0.4]]"


def _initial(name: str, shape: Shape, batch: int | None) -> _Entry:
    rank = len(shape)
    ranks = (rank,) if batch is None else (rank, rank + 1)
    also = "" if batch is None else f", or one for each of the {batch} samples"
    return _Entry(name, ranks, _expected(shape) + also, {1: ("entry",), 2: ("sample", "entry")})


def _series(name: str, shapes: Shapes) -> _Entry:
    size = dimensions(shapes.names[name])
    expected = f"a vector {size} for each step, T × {size} such as [[1, -0.5], [2, 0]], or T × B × {size} with a batch"
    return _Entry(name, (2, 3), expected, {1: ("step",), 2: ("step", "entry"), 3: ("step", "sample", "entry")})


def _batch(series: Mapping[str, Array]) -> int | None:
    """B, on which x and d must agree; None where they have no batch."""
    if len({array.shape[1:-1] for array in series.values()}) > 1:
        listed = " and ".join(f"{name!r} is {_times(array.shape)}" for name, array in series.items())
        raise InputError(
            f"{listed}: with a batch they are T × B × n_x and T × B × n_y with one B, without it both T × n"
        )
    return next((array.shape[1] for array in series.values() if array.ndim == 3), None)


def _without_batch(name: str, shape: tuple[int, ...], rank: int, batch: int | None) -> tuple[int, ...]:
    if len(shape) == rank:
        return shape
    if shape[0] != batch:
        raise InputError(f"{name!r} is {_times(shape)}, but the batch has {batch}; give one vector, or {batch}")
    return shape[1:]


def _times(shape: tuple[int, ...]) -> str:
    if len(shape) < 2:
        return f"a vector of length {shape[0]}" if shape else "a number"
    return "×".join(map(str, shape))


# --- nested lists -------------------------------------------------------------------------------------------------


def _array(entry: _Entry, value: Any) -> Array:
    """A number, a nested list or an array as float64, of a rank that the entry may have."""
    given = isinstance(value, np.ndarray) and value.dtype.kind in "fiu"
    shape = value.shape if given else _shape(entry, value)
    if 0 in shape:
        indices = (0,) * shape.index(0)
        raise InputError(f"{entry.what(indices, len(shape))} is empty; expected {entry.expected}")
    if len(shape) not in entry.ranks:
        raise InputError(f"{entry.name!r} is {_times(shape)}; expected {entry.expected}")
    if math.prod(shape) > MAX_NUMBERS:
        count = f"{math.prod(shape):,} numbers ({_times(shape)})"
        raise InputError(f"{entry.name!r} holds {count}, more than the limit of {MAX_NUMBERS:,}; use smaller sizes")
    array: Array
    if given:
        with np.errstate(over="ignore"):  # of long doubles, which become inf and are refused
            array = value.astype(np.float64)
    else:
        numbers: list[float] = []
        _collect(entry, value, shape, (), len(shape), numbers)
        array = np.array(numbers, dtype=np.float64).reshape(shape)
    wrong = np.argwhere(~np.isfinite(array))
    if len(wrong):
        indices = tuple(map(int, wrong[0]))
        finite(entry.what(indices, len(shape)), float(array[indices]))
    return array


def _shape(entry: _Entry, value: Any) -> tuple[int, ...]:
    """The shape that the first rows say; whether the others agree is seen when they are read."""
    shape: tuple[int, ...] = ()
    first = plain(value)
    while is_list(first):
        if len(shape) == DEEPEST:
            raise InputError(f"{entry.name!r} is nested more than {DEEPEST} lists deep; expected {entry.expected}")
        shape = (*shape, len(first))
        if not first:
            return shape
        first = plain(first[0])
    if isinstance(first, bool) or not isinstance(first, Real):
        rank = next((rank for rank in entry.ranks if rank >= len(shape)), len(shape))
        expected = "one number" if len(shape) == rank else entry.expected
        raise InputError(f"{entry.what((0,) * len(shape), rank)} is {kind(first)}; expected {expected}")
    return shape


def _collect(
    entry: _Entry, value: Any, shape: tuple[int, ...], indices: tuple[int, ...], rank: int, numbers: list[float]
) -> None:
    """The numbers of a nested list in order, which must be as deep and as long everywhere as at its beginning."""
    value = plain(value)
    if not shape:
        numbers.append(finite(entry.what(indices, rank), value))
        return
    if not is_list(value):
        before = entry.at((0,) * len(indices), rank)
        raise InputError(f"{entry.what(indices, rank)} is {kind(value)}; expected a list of {shape[0]}, as at {before}")
    if len(value) != shape[0]:
        here, first = entry.at(indices, rank), entry.at((0,) * len(indices), rank)
        raise InputError(
            f"{entry.name!r} is ragged: {here} has {entry_count(len(value))} and {first} has {shape[0]}; "
            f"expected {entry.expected}"
        )
    if len(shape) == 1 and all(type(number) is float for number in value):
        numbers.extend(value)
        return
    for i, item in enumerate(value):
        _collect(entry, item, shape[1:], (*indices, i), rank, numbers)
