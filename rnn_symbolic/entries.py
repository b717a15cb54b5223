r"""Entries of values, read strictly: a JSON object without repetitions, the names a cell takes, finite numbers.

    {"W_x": 0.5, "W_h": 0.8, …, "h_0": 0.1, "x": [1, -0.5, 2], "d": [0.3, 0.6, 0.9]}

What holds of them in every form stands here; `values` reads numbers, `matrix_values` reads arrays.
"""

from __future__ import annotations

import json
import math
import os
import stat
import sys
from collections.abc import Callable, Mapping, Sequence
from numbers import Real
from typing import Any

from rnn_symbolic.cells import Cell
from rnn_symbolic.errors import InputError, suggest
from rnn_symbolic.expressions import Quantity

MAX_BYTES = 16 * 1024 * 1024
STANDARD_INPUT = "-"


# --- names and lengths --------------------------------------------------------------------------------------------


def initial_names(cell: Cell) -> dict[str, Quantity]:
    """The initial states by the names that a user gives them: h_0, and for a lag of 2 also h_-1.

    >>> from rnn_symbolic.cells import load_cell
    >>> list(initial_names(load_cell("lag2")))
    ['h_0', 'h_-1']
    """
    return {str(state): state for state in cell.initial_states}


def check_names(mapping: Mapping[str, Any], cell: Cell, *, targets: bool, example: str) -> None:
    """The entries are those of the cell: its parameters, x, d where ``targets``; initial states and d may be there.

    Raises InputError for what is no mapping, for an extra name and for missing ones.
    """
    if not isinstance(mapping, Mapping):
        raise InputError(f"values are {kind(mapping)}; expected a mapping such as {example}")
    initial = list(initial_names(cell))
    required = [*cell.parameters, *(["x"] if cell.uses_input else []), *(["d"] if targets else [])]
    known = {*required, *initial, "d"}
    for name in mapping:
        if name not in known:
            raise InputError(_extra(name, cell, required, initial))
    missing = [name for name in required if name not in mapping]
    if missing:
        listed = ", ".join(map(repr, missing))
        raise InputError(f"the values lack {listed}; {cell.name} needs {', '.join(required)}, as in {example}")


def _extra(name: object, cell: Cell, required: list[str], initial: list[str]) -> str:
    if name == "x":
        return f"'x' is given, but {cell.name} has no input x; leave it out"
    also = f", and may have {', '.join(initial)}" if initial else ""
    hint = suggest(name, [*required, *initial]) if isinstance(name, str) else ""
    return f"{short(name)} is no entry for {cell.name}: it takes {', '.join(required)}{also}.{hint}"


def common_length(lengths: Mapping[str, int], steps: int | None, cell: Cell, each: str = "one number") -> int:
    """T, on which x, d and ``steps`` must agree; ``each`` is what they hold for a step."""
    if "x" in lengths and "d" in lengths and lengths["x"] != lengths["d"]:
        counts = f"'x' has {entry_count(lengths['x'])} and 'd' has {entry_count(lengths['d'])}"
        raise InputError(f"{counts}; both hold one for each step")
    for name, length in lengths.items():
        if not length:
            raise InputError(f"{name!r} is empty; give {each} for each step, at least one")
        if steps is not None and length != steps:
            raise InputError(
                f"{name!r} has {entry_count(length)}, but T is {steps}; give one for each step, or --steps {length}"
            )
        return length
    if steps is None:
        raise InputError(f"{cell.name} has no input x, so its values do not say how many steps to take; give --steps")
    return steps


def entry_count(n: int) -> str:
    """How many entries something has, in words.

    >>> entry_count(1), entry_count(3)
    ('1 entry', '3 entries')
    """
    return "1 entry" if n == 1 else f"{n} entries"


# --- single entries -----------------------------------------------------------------------------------------------


def finite(what: str, value: Any) -> float:
    """A real number as a float. Raises InputError for anything else, for nan and for what overflows."""
    value = plain(value)
    if isinstance(value, bool) or not isinstance(value, Real):
        raise InputError(f"{what} is {kind(value)}; expected one number")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise InputError(f"{what} is not a finite number ({number}); the greatest is about 1.8e308")
    return number


def plain(value: Any) -> Any:
    """A NumPy array or scalar as Python's own; NumPy itself is not imported."""
    return value.tolist() if hasattr(value, "tolist") else value


def is_list(value: object) -> bool:
    """Whether a value is a list or a tuple, not text."""
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def kind(value: object) -> str:
    """What a value is, for a message.

    >>> kind([1]), kind(True), kind("0.8")
    ('a list', 'the boolean true', "the string '0.8'")
    """
    match value:
        case bool():
            return f"the boolean {str(value).lower()}"
        case None:
            return "null"
        case str():
            return f"the string {short(value)}"
        case bytes():
            return "bytes"
        case Mapping():
            return "an object"
        case Real():
            return "a number"
        case Sequence():
            return "a list"
    return f"a {type(value).__name__}"


def short(value: object) -> str:
    """A value for a message, on one line and at most 50 characters long."""
    text = ascii(value)  # a name may hold anything: line breaks, half a character
    return text if len(text) <= 50 else f"{text[:47]}..."


# --- files --------------------------------------------------------------------------------------------------------


def read_object(
    path: str | os.PathLike[str], option: str = "--values", parse_number: Callable[[str], float] = float
) -> tuple[Mapping[str, Any], str]:
    """The object in a JSON file ("-" is the standard input), and what to call the place.

    ``option`` is where the file was named, for messages; ``parse_number`` makes a number of its text.

    Raises InputError that names the file: not there, no plain file, too large, not UTF-8, not JSON, no object, or a
    name given twice.
    """
    name = os.fspath(path)
    label, shown = (name, repr(name)) if name != STANDARD_INPUT else ("the standard input",) * 2
    return _parse(read_text(name, option), shown, parse_number), label


def read_text(path: str, option: str, what: str = "a JSON file", most: int = MAX_BYTES) -> str:
    """The text of a plain file, or of the standard input ("-"), of at most ``most`` bytes.

    Raises InputError that names the file: not there, no plain file, too large, not UTF-8.
    """
    if path == STANDARD_INPUT:
        label, content = "the standard input", _read_standard_input(most)
    else:
        label, content = repr(path), _read_file(path, option, what, most)
    if len(content) > most:
        limit = f"{most // 2**20} MB" if most >= 2**20 else f"{most // 2**10} kB"
        more = "; give larger values from Python" if what == "a JSON file" else f"; {option} takes {what}"
        raise InputError(f"{label} is larger than {limit}{more}")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{label} is not UTF-8 text (byte {error.start + 1}); save it as UTF-8") from None


def _read_standard_input(most: int) -> bytes:
    if sys.stdin is None:
        raise InputError("there is no standard input to read from; give a file")
    try:
        if hasattr(sys.stdin, "buffer"):
            return sys.stdin.buffer.read(most + 1)
        return sys.stdin.read(most + 1).encode()
    except OSError as error:
        raise InputError(f"cannot read the standard input: {error.strerror}") from None


def _read_file(path: str, option: str, source: str, most: int) -> bytes:
    try:
        found = os.stat(path)
        # A pipe or a device might never end, so only plain files are opened.
        if not stat.S_ISREG(found.st_mode):
            what = "a directory" if stat.S_ISDIR(found.st_mode) else "no plain file"
            raise InputError(f"{path!r} is {what}; {option} takes {source}, or '-' for a pipe")
        with open(path, "rb") as file:
            return file.read(most + 1)
    except (FileNotFoundError, NotADirectoryError, ValueError) as error:  # ValueError: a name no file can have
        if isinstance(error, InputError):
            raise
        raise InputError(f"there is no file {path!r}; {option} takes {source}, or '-' for a pipe") from None
    except OSError as error:
        raise InputError(f"cannot read {path!r}: {error.strerror}") from None


def _parse(text: str, label: str, parse_number: Callable[[str], float]) -> Mapping[str, Any]:
    if not text.strip():
        raise InputError(f"{label} is empty; expected a JSON object of numbers by name")
    try:
        # an integer may have more digits than Python converts, and a float more than it holds: both become inf
        found = json.loads(
            text, object_pairs_hook=_without_repetition, parse_float=parse_number, parse_int=parse_number
        )
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise InputError(f"{label} is not JSON: {place}: {error.msg[0].lower()}{error.msg[1:]}") from None
    except RecursionError:
        raise InputError(f"{label} is nested too deep; values are numbers and lists of numbers") from None
    if not isinstance(found, dict):
        raise InputError(f"{label} holds {kind(found)}; expected a JSON object of numbers by name")
    return found


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise InputError(f"{short(name)} is given twice; keep one of them")
        found[name] = value
    return found
