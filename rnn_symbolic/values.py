r"""Numbers for a model: what the user gives, checked by name.

    scalar form    {"W_x": 0.5, "W_h": 0.8, …, "h_0": 0.1, "x": [1, -0.5, 2], "d": [0.3, 0.6, 0.9]}
    matrix form    {"W_x": [[0.5, 0.1], …], …, "b_h": [0.1, …], "x": [[1, -0.5], …], "d": [[0.3], …]}

A number or an array for each parameter; x and d are sequences over time, so T is their length; an initial state that
is not given is 0. `concrete` chooses the functions where σ or ℓ_t stands for any.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rnn_symbolic.cells import Cell
from rnn_symbolic.entries import (
    check_names,
    common_length,
    finite,
    initial_names,
    is_list,
    kind,
    plain,
    read_object,
)
from rnn_symbolic.errors import InputError
from rnn_symbolic.expressions import Expression, Quantity, StepLoss, quantities
from rnn_symbolic.model import Model
from rnn_symbolic.numeric import Point
from rnn_symbolic.shapes import Shapes, infer_shapes

if TYPE_CHECKING:
    from rnn_symbolic.arrays import MatrixPoint


def point_from_mapping(mapping: Mapping[str, Any], model: Model, *, need_targets: bool = True) -> Any:
    """The point that a mapping of names describes: a `Point`, or in matrix form a `MatrixPoint`.

    A sequence may be a list, a tuple or a NumPy array. In matrix form a matrix is a list of rows, x and d are lists
    over time of vectors, and with a batch of lists of vectors. ``need_targets=False`` lets d be missing, as it may be
    whenever the loss does not mention it.

    >>> from rnn_symbolic.model import unroll
    >>> model = unroll("h = w * h[t-1] + x\\ny = h", steps=2)
    >>> point_from_mapping({"w": 0.5, "x": [1, 2], "d": (3, 4)}, model).leaves()
    {('w', None): 0.5, ('h', 0): 0.0, ('x', 1): 1.0, ('x', 2): 2.0, ('d', 1): 3.0, ('d', 2): 4.0}

    Raises InputError for a missing, extra, misshapen or non-finite entry, by name.
    """
    targets = need_targets and _mentions_target(model.definition["l"].expression)
    return _point(mapping, model.cell, model.shapes, model.steps, targets, "values")


def point_of(values: Mapping[str, Any] | Point | MatrixPoint, model: Model, *, need_targets: bool = True) -> Any:
    """A mapping or a point, checked against the model; see `point_from_mapping`.

    Raises InputError also for a `Point` where the model is in matrix form, and for a `MatrixPoint` where it is not.
    """
    given = _as_point(values)
    if given is None:
        mapping: Any = values
        return point_from_mapping(mapping, model, need_targets=need_targets)
    if isinstance(given, Point) != (model.shapes is None):
        held, other = ("numbers", "scalar") if isinstance(given, Point) else ("arrays", "matrix")
        raise InputError(f"the point holds {held}, but the model is in {model.form} form; unroll with form={other!r}")
    entries: dict[str, Any] = {**given.parameters, "d": given.d}
    entries.update({str(Quantity(*key)): value for key, value in given.initial.items()})
    if model.cell.uses_input:
        entries["x"] = given.x
    point = point_from_mapping(entries, model, need_targets=need_targets)
    return dataclasses.replace(point, label=given.label)


def _as_point(values: object) -> Point | MatrixPoint | None:
    """The values where they are a point, else None."""
    if isinstance(values, Point | Mapping):
        return values if isinstance(values, Point) else None
    from rnn_symbolic.arrays import MatrixPoint  # with NumPy

    return values if isinstance(values, MatrixPoint) else None


def read_values(
    path: str | os.PathLike[str],
    cell: Cell,
    *,
    steps: int | None = None,
    need_targets: bool = True,
    form: str = "scalar",
) -> tuple[Any, int]:
    """The point in a JSON file ("-" is the standard input) and the number of steps T.

    It is a `Point`, or a `MatrixPoint` where ``form`` is "matrix". T is the length of x, which ``steps`` must equal
    when it is given; for a cell that does not use x it is the length of d, or ``steps``. Raises InputError that names
    the file or the entry.
    """
    mapping, label = read_object(path)
    targets = need_targets and (cell.loss is None or _mentions_target(cell.loss))
    point = _point(mapping, cell, infer_shapes(cell) if form == "matrix" else None, steps, targets, label)
    return point, len(point.d)


def _mentions_target(step_loss: Expression) -> bool:
    return isinstance(step_loss, StepLoss) or any(q.name == "d" for q in quantities(step_loss))


def _point(
    mapping: Mapping[str, Any], cell: Cell, shapes: Shapes | None, steps: int | None, targets: bool, label: str
) -> Point | MatrixPoint:
    if shapes is None:
        return _scalar_point(mapping, cell, steps, targets, label)
    from rnn_symbolic.matrix_values import matrix_point  # with NumPy

    return matrix_point(mapping, cell, shapes, steps=steps, targets=targets, label=label)


# --- numbers ------------------------------------------------------------------------------------------------------


def _scalar_point(mapping: Mapping[str, Any], cell: Cell, steps: int | None, targets: bool, label: str) -> Point:
    check_names(mapping, cell, targets=targets, example=_example(cell))
    series = {name: _series(name, mapping[name]) for name in ("x", "d") if name in mapping}
    T = common_length({name: len(sequence) for name, sequence in series.items()}, steps, cell)
    initial = {(q.name, q.step): _number(name, mapping.get(name, 0.0)) for name, q in initial_names(cell).items()}
    return Point(
        parameters={name: _number(name, mapping[name]) for name in cell.parameters},
        initial=initial,
        x=series.get("x", (0.0,) * T),
        d=series.get("d", (0.0,) * T),
        label=label,
    )


def _example(cell: Cell) -> str:
    parts = [f'"{name}": 0.5' for name in cell.parameters[:1]]
    parts += ['"x": [1, -0.5, 2]'] if cell.uses_input else []
    return "{" + ", ".join([*parts, '"d": [0.3, 0.6, 0.9]']) + ", …}"


def _series(name: str, value: Any) -> tuple[float, ...]:
    value = plain(value)
    if not is_list(value):
        raise InputError(f"{name!r} is {kind(value)}; expected a list of numbers, one for each step")
    return tuple(_entry(f"{name!r} at step {t}", entry) for t, entry in enumerate(value, 1))


def _number(name: str, value: Any) -> float:
    return _entry(repr(name), plain(value))


def _entry(what: str, value: Any) -> float:
    if is_list(value):
        raise InputError(f"{what} is a list; expected one number (vectors and matrices need --form matrix)")
    return finite(what, value)
