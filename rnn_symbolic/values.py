r"""Numbers for a model: what the user gives, checked by name.

    {"W_x": 0.5, "W_h": 0.8, …, "h_0": 0.1, "x": [1, -0.5, 2], "d": [0.3, 0.6, 0.9]}

One number for each parameter; x and d are sequences over time, so T is their length; an initial state that is not
given is 0. `concrete` chooses the functions where σ or ℓ_t stands for any.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import stat
import sys
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

from rnn_symbolic.cells import Cell
from rnn_symbolic.errors import InputError, suggest
from rnn_symbolic.expressions import Expression, Quantity, StepLoss, quantities
from rnn_symbolic.model import Model
from rnn_symbolic.numeric import Point

MAX_BYTES = 16 * 1024 * 1024
STANDARD_INPUT = "-"


# --- a point ------------------------------------------------------------------------------------------------------


def point_from_mapping(mapping: Mapping[str, Any], model: Model, *, need_targets: bool = True) -> Point:
    """The point that a mapping of names describes: numbers, and for x and d sequences over time.

    A sequence may be a list, a tuple or a NumPy array. ``need_targets=False`` lets d be missing, as it may be
    whenever the loss does not mention it.

    >>> from rnn_symbolic.model import unroll
    >>> model = unroll("h = w * h[t-1] + x\\ny = h", steps=2)
    >>> point_from_mapping({"w": 0.5, "x": [1, 2], "d": (3, 4)}, model).leaves()
    {('w', None): 0.5, ('h', 0): 0.0, ('x', 1): 1.0, ('x', 2): 2.0, ('d', 1): 3.0, ('d', 2): 4.0}

    Raises InputError for a missing, extra, misshapen or non-finite entry, by name.
    """
    step_loss = model.definition["l"].expression
    return _point(mapping, model.cell, model.steps, need_targets and _mentions_target(step_loss), "values")


def point_of(values: Mapping[str, Any] | Point, model: Model, *, need_targets: bool = True) -> Point:
    """A mapping or a `Point`, checked against the model; see `point_from_mapping`."""
    if not isinstance(values, Point):
        return point_from_mapping(values, model, need_targets=need_targets)
    entries: dict[str, Any] = {**values.parameters, "d": values.d}
    entries.update({str(Quantity(*key)): value for key, value in values.initial.items()})
    if model.cell.uses_input:
        entries["x"] = values.x
    point = point_from_mapping(entries, model, need_targets=need_targets)
    return dataclasses.replace(point, label=values.label)


def read_values(
    path: str | os.PathLike[str], cell: Cell, *, steps: int | None = None, need_targets: bool = True
) -> tuple[Point, int]:
    """The point in a JSON file ("-" is the standard input) and the number of steps T.

    T is the length of x, which ``steps`` must equal when it is given; for a cell that does not use x it is the
    length of d, or ``steps``. Raises InputError that names the file or the entry.
    """
    name = os.fspath(path)
    label, shown = (name, repr(name)) if name != STANDARD_INPUT else ("the standard input",) * 2
    mapping = _parse(_read(name), shown)
    needed = need_targets and (cell.loss is None or _mentions_target(cell.loss))
    point = _point(mapping, cell, steps, needed, label)
    return point, len(point.d)


def _mentions_target(step_loss: Expression) -> bool:
    return isinstance(step_loss, StepLoss) or any(q.name == "d" for q in quantities(step_loss))


def _point(mapping: Mapping[str, Any], cell: Cell, steps: int | None, targets: bool, label: str) -> Point:
    if not isinstance(mapping, Mapping):
        raise InputError(f"values are {_kind(mapping)}; expected a mapping such as {_example(cell)}")
    initial = {str(state): (state.name, state.step) for state in cell.initial_states}
    required = [*cell.parameters, *(["x"] if cell.uses_input else []), *(["d"] if targets else [])]
    known = dict.fromkeys([*required, *initial, "d"])
    for name in mapping:
        if name not in known:
            raise InputError(_extra(name, cell, required, list(initial)))
    missing = [name for name in required if name not in mapping]
    if missing:
        listed = ", ".join(map(repr, missing))
        raise InputError(f"the values lack {listed}; {cell.name} needs {', '.join(required)}, as in {_example(cell)}")
    series = {name: _series(name, mapping[name]) for name in ("x", "d") if name in mapping}
    T = _length(series, steps, cell)
    return Point(
        parameters={name: _number(repr(name), mapping[name]) for name in cell.parameters},
        initial={key: _number(repr(name), mapping.get(name, 0.0)) for name, key in initial.items()},
        x=series.get("x", (0.0,) * T),
        d=series.get("d", (0.0,) * T),
        label=label,
    )


def _example(cell: Cell) -> str:
    parts = [f'"{name}": 0.5' for name in cell.parameters[:1]]
    parts += ['"x": [1, -0.5, 2]'] if cell.uses_input else []
    return "{" + ", ".join([*parts, '"d": [0.3, 0.6, 0.9]']) + ", …}"


def _extra(name: object, cell: Cell, required: list[str], initial: list[str]) -> str:
    if name == "x":
        return f"'x' is given, but {cell.name} has no input x; leave it out"
    also = f", and may have {', '.join(initial)}" if initial else ""
    hint = suggest(name, [*required, *initial]) if isinstance(name, str) else ""
    return f"{_short(name)} is no entry for {cell.name}: it takes {', '.join(required)}{also}.{hint}"


def _length(series: Mapping[str, tuple[float, ...]], steps: int | None, cell: Cell) -> int:
    """T, on which x, d and ``steps`` must agree."""
    if "x" in series and "d" in series and len(series["x"]) != len(series["d"]):
        lengths = f"'x' has {_entries(len(series['x']))} and 'd' has {_entries(len(series['d']))}"
        raise InputError(f"{lengths}; both hold one for each step")
    for name, sequence in series.items():
        if not sequence:
            raise InputError(f"{name!r} is empty; give one number for each step, at least one")
        if steps is not None and len(sequence) != steps:
            raise InputError(
                f"{name!r} has {_entries(len(sequence))}, but T is {steps}; give one for each step, or --steps "
                f"{len(sequence)}"
            )
        return len(sequence)
    if steps is None:
        raise InputError(f"{cell.name} has no input x, so its values do not say how many steps to take; give --steps")
    return steps


def _entries(n: int) -> str:
    return "1 entry" if n == 1 else f"{n} entries"


def _series(name: str, value: Any) -> tuple[float, ...]:
    value = _plain(value)
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        raise InputError(f"{name!r} is {_kind(value)}; expected a list of numbers, one for each step")
    return tuple(_number(f"{name!r} at step {t}", entry) for t, entry in enumerate(value, 1))


def _number(what: str, value: Any) -> float:
    value = _plain(value)
    if isinstance(value, bool) or not isinstance(value, Real):
        raise InputError(f"{what} is {_kind(value)}; expected one number")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise InputError(f"{what} is not a finite number ({number}); the greatest is about 1.8e308")
    return number


def _plain(value: Any) -> Any:
    """A NumPy array or scalar as Python's own; NumPy itself is not imported."""
    return value.tolist() if hasattr(value, "tolist") else value


def _kind(value: object) -> str:
    match value:
        case bool():
            return f"the boolean {str(value).lower()}"
        case None:
            return "null"
        case str():
            return f"the string {_short(value)}"
        case Mapping():
            return "an object"
        case Real():
            return "a number"
        case Sequence():
            return "a list"
    return f"a {type(value).__name__}"


def _short(value: object) -> str:
    text = ascii(value)  # a name may hold anything: line breaks, half a character
    return text if len(text) <= 50 else f"{text[:47]}..."


# --- files --------------------------------------------------------------------------------------------------------


def _read(path: str) -> str:
    if path == STANDARD_INPUT:
        label, content = "the standard input", _read_standard_input()
    else:
        label, content = repr(path), _read_file(path)
    if len(content) > MAX_BYTES:
        raise InputError(f"{label} is larger than {MAX_BYTES // 2**20} MB; values are a few numbers for each step")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{label} is not UTF-8 text (byte {error.start + 1}); save it as UTF-8") from None


def _read_standard_input() -> bytes:
    if sys.stdin is None:
        raise InputError("there is no standard input to read values from; give a file")
    try:
        if hasattr(sys.stdin, "buffer"):
            return sys.stdin.buffer.read(MAX_BYTES + 1)
        return sys.stdin.read(MAX_BYTES + 1).encode()
    except OSError as error:
        raise InputError(f"cannot read the standard input: {error.strerror}") from None


def _read_file(path: str) -> bytes:
    try:
        found = os.stat(path)
        # A pipe or a device might never end, so only plain files are opened.
        if not stat.S_ISREG(found.st_mode):
            what = "a directory" if stat.S_ISDIR(found.st_mode) else "no plain file"
            raise InputError(f"{path!r} is {what}; values are read from a JSON file, or with '-' from a pipe")
        with open(path, "rb") as file:
            return file.read(MAX_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError, ValueError) as error:  # ValueError: a name no file can have
        if isinstance(error, InputError):
            raise
        raise InputError(f"there is no file {path!r}; --values takes a JSON file, or '-' for a pipe") from None
    except OSError as error:
        raise InputError(f"cannot read {path!r}: {error.strerror}") from None


def _parse(text: str, label: str) -> Mapping[str, Any]:
    if not text.strip():
        raise InputError(f"{label} is empty; expected a JSON object of numbers by name")
    try:
        # an integer may have more digits than Python converts, and a float more than it holds: both become inf
        found = json.loads(text, object_pairs_hook=_without_repetition, parse_int=float)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise InputError(f"{label} is not JSON: {place}: {error.msg[0].lower()}{error.msg[1:]}") from None
    except RecursionError:
        raise InputError(f"{label} is nested too deep; values are numbers and lists of numbers") from None
    if not isinstance(found, dict):
        raise InputError(f"{label} holds {_kind(found)}; expected a JSON object of numbers by name")
    return found


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise InputError(f"{_short(name)} is given twice; keep one of them")
        found[name] = value
    return found


# --- functions ----------------------------------------------------------------------------------------------------
