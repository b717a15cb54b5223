r"""Gradients that somebody gives as numbers, and what rounding may have changed in them.

    {"W_x": [[0.1234, …], …], "b_h": [0.5, …]}     any of the parameters and initial states, as far as they have them

A number from a paper has the digits that were printed, one from a framework those of its type. Half a unit of the last
digit, or the rounding of that type, is what a right gradient may differ by.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
import numpy.typing as npt

from rnn_symbolic.auditing.answers import ROUNDING, SHORT, Array, array_of, is_single, meant
from rnn_symbolic.entries import initial_names, read_object
from rnn_symbolic.errors import InputError
from rnn_symbolic.model import Model

MANY_DIGITS = 12
"""A number with so many significant digits was not rounded by hand."""
ALL_DIGITS = 15
"""With so many it holds all of float64."""
SINGLE_DIGITS = (7, 9)
"""So many digits has the longest number where floats of single precision are printed as short as can be."""
SINGLE_FACTOR = 256.0
"""So many roundings of its largest entry may be in a gradient that was computed in single precision.

It is a sum of products that were rounded each, and what cancels leaves its rounding behind. Of the gradients of the
built-in cells at random points, T = 3 … 20, half are off by less than 4, one in a hundred by more than 20, the worst of
5,000 by 110.
"""


@dataclass(frozen=True)
class Given:
    """Gradients by our names, in the shapes in which they came, and what rounding may amount to, entry by entry."""

    gradients: Mapping[str, Array]
    unit: Mapping[str, float | Array]


def read_gradients(path: str | os.PathLike[str], model: Model) -> Given:
    """The gradients in a JSON file ("-" is the standard input), each as precise as it was written.

    Parameters, initial states and x by name, any of them; W_x may be called dW_x, grad_W_x and the like. What our
    `gradient --to json` prints is read as well. Shapes are not checked: a transposed gradient is a finding.

    Raises InputError that names the file or the entry: no such name, ragged, more than two lists deep, not finite.
    """
    found, label = read_object(path, "--gradients", Written)
    whose = "the standard input" if label == "-" else repr(label)
    return _given(found, model, whose, lambda name, value, _: list(_texts(value)))


def given_gradients(mapping: Mapping[str, Any], model: Model) -> Given:
    """Gradients held in Python: numbers, lists, arrays of NumPy, PyTorch or JAX, by name.

    A number counts as rounded where it is short, as it would in a file; an array of float32 has its precision.

    >>> from rnn_symbolic.model import unroll
    >>> given = given_gradients({"W_x": 0.123, "W_h": -0.25}, unroll("elman"))
    >>> given.gradients["W_x"], given.unit
    (array(0.123), {'W_x': 0.0005, 'W_h': 0.005})

    Raises InputError as `read_gradients` does.
    """
    if not isinstance(mapping, Mapping):
        raise InputError(f"gradients are a {type(mapping).__name__}; expected a mapping such as {{'W_x': 0.5}}")
    return _given(mapping, model, "the mapping", _shortest)


# --- reading --------------------------------------------------------------------------------------------------------


class Written(float):
    """A number that remembers how it was written.

    >>> Written("1.50e-3"), Written("1.50e-3").text
    (0.0015, '1.50e-3')
    """

    text: str

    def __new__(cls, text: str) -> Written:
        number = super().__new__(cls, text)
        number.text = text
        return number


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for item in value:
            yield from _texts(item)
    else:
        yield value.text


def _shortest(name: str, value: Any, array: Array) -> list[str]:
    """The shortest text of each number that gives it back in the precision it is held in; 2.0 may have been a 2."""
    dtype = array_of(name, value)[1]
    kind: Any = {"float16": np.float16, "float32": np.float32, "bfloat16": np.float32}.get(dtype, np.float64)
    return [str(number).removesuffix(".0") for number in array.astype(kind).ravel()]


def _given(found: Mapping[str, Any], model: Model, whose: str, texts_of: Any) -> Given:
    if isinstance(found.get("gradients"), Mapping):
        found = found["gradients"]
    keys = [key for key in found if key != "loss"]
    known = [*map(str, model.parameters), *initial_names(model.cell), *(["x"] if model.cell.uses_input else [])]
    names = meant(keys, known, whose)
    if not names:
        raise InputError(f"{whose} holds no gradients; expected some of {', '.join(known)}")
    gradients: dict[str, Array] = {}
    floors: dict[str, float] = {}
    texts: dict[str, list[str]] = {}
    for key, name in names.items():
        array, dtype = array_of(key, found[key])
        deepest = 3 if name == "x" else 2
        if array.ndim > deepest:
            raise InputError(f"{key!r} is nested {array.ndim} lists deep; expected at most {deepest}, rows of numbers")
        gradients[name] = array
        texts[name] = texts_of(key, found[key], array)
        coarse = dtype if dtype in ("float16", "bfloat16") else "float64"
        floors[name] = 0.0 if coarse == "float64" else SINGLE_FACTOR * ROUNDING[coarse] * float(np.abs(array).max())
    units = rounding_units(gradients, texts)
    return Given(
        gradients,
        {name: _number_or_array(np.maximum(unit, floors[name])) for name, unit in units.items()},
    )


def _number_or_array(unit: Array) -> float | Array:
    return unit if unit.ndim else float(unit)


# --- precision ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Digits:
    """How numbers were written: significant digits (none for a zero), the power of ten of the last one.

    ``whole`` are integers without a point, ``padded`` those with ".0", which a program may have put there.
    """

    values: Array
    count: npt.NDArray[np.int64]
    last: Array
    whole: npt.NDArray[np.bool_]
    padded: npt.NDArray[np.bool_]

    @property
    def fractions(self) -> npt.NDArray[np.bool_]:
        """Where the last digit tells how the writer rounds: no integers, no zeros."""
        return np.asarray(~self.whole & ~self.padded & (self.values != 0))

    @property
    def holds_all_digits(self) -> bool:
        return bool((self.count >= ALL_DIGITS).any())


def rounding_units(arrays: Mapping[str, Array], texts: Mapping[str, list[str]]) -> dict[str, Array]:
    """What rounding may have changed in each number, from all the texts: one writer wrote them.

    Half a unit of the last digit; that of float64 for long numbers, and for short ones beside them (a 0.5 among
    numbers of 16 digits is 0.5). An integer or a zero among rounded numbers has their decimals. Where all that is long
    is a float of single precision, so is everything.

    >>> units = rounding_units({"b": np.array([0.12, 2, 0])}, {"b": ["0.12", "2", "0.0"]})
    >>> units["b"].tolist()
    [0.005, 0.005, 0.005]
    """
    digits = {name: _digits(arrays[name].ravel(), texts[name]) for name in arrays}
    columns = ("values", "count", "last", "whole", "padded")
    everything = _Digits(*(np.concatenate([getattr(part, c) for part in digits.values()]) for c in columns))
    long = everything.count >= MANY_DIGITS
    plain = everything.whole | (_is_short(everything.values) & long.any())
    by_program = np.concatenate([np.full(part.values.size, part.holds_all_digits) for part in digits.values()])
    all_exact = bool((long | plain | by_program).all())
    many = everything.values[everything.count > SINGLE_DIGITS[1]]
    single = is_single(many) or _printed_singles(everything, [text for name in arrays for text in texts[name]])
    found = {}
    for name, part in digits.items():
        exact = all_exact or single or part.holds_all_digits
        unit = _units(part, everything, exact)
        if single:
            unit = np.maximum(unit, SINGLE_FACTOR * ROUNDING["float32"] * np.abs(part.values).max())
        found[name] = unit.reshape(arrays[name].shape)
    return found


def _digits(values: Array, texts: list[str]) -> _Digits:
    parsed = [Decimal(text).as_tuple() for text in texts]
    # zeros at the end count, as they were written; Decimal has none at the beginning
    count = np.array([0 if part.digits == (0,) or not any(part.digits) else len(part.digits) for part in parsed])
    last = np.array([float(part.exponent) for part in parsed])
    whole = np.array([text.lstrip("-").isdigit() for text in texts])
    padded = np.array([text.endswith(".0") for text in texts])
    return _Digits(values, count, last, whole, padded)


def _is_short(values: Array) -> npt.NDArray[np.bool_]:
    """Whether the binary fraction is short: 0.5, 3, 0."""
    fractions = np.frexp(values)[0] * SHORT
    return np.asarray(fractions == np.round(fractions))


def _units(part: _Digits, everything: _Digits, exact: bool) -> Array:
    smallest = ROUNDING["float64"] * np.abs(part.values)
    last = part.last
    if not exact:
        # an integer or a zero tells less than its neighbours of how much was cut off
        for written in (part, everything):
            if written.fractions.any():
                coarsest, longest = written.last[written.fractions].max(), written.count[written.fractions].max()
                significant = part.count - part.padded >= longest  # 123 beside 1.23: to so many significant digits
                zero = part.values == 0
                last = np.where((part.whole & ~significant) | zero, np.minimum(last, coarsest), last)
                last = np.where(part.padded & significant & ~zero, 0.0, last)
                break
    with np.errstate(under="ignore", over="ignore"):
        half = np.minimum(0.5 * 10.0**last, np.finfo(float).max)
    trusted = exact & (part.count < MANY_DIGITS)
    return np.asarray(np.where(trusted, smallest, np.maximum(half, smallest)))


def _printed_singles(everything: _Digits, texts: list[str]) -> bool:
    """Whether all numbers are those that floats of single precision are printed as, 0.1 or 0.12345679."""
    least, most = SINGLE_DIGITS
    if not least <= everything.count.max(initial=0) <= most:
        return False
    with np.errstate(over="ignore"):
        singles = everything.values.astype(np.float32)
    if not np.isfinite(singles).all():
        return False
    return all(Decimal(str(single)) == Decimal(text) for single, text in zip(singles, texts, strict=True))
