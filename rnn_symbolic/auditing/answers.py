"""Gradients that somebody computed: which parameter a name means, and what is an array of numbers.

Everything a user's process returns or a notebook holds goes through here; nothing but NumPy is imported.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Real
from typing import Any

import numpy as np
import numpy.typing as npt

from rnn_symbolic.errors import InputError, suggest

Array = npt.NDArray[np.float64]
MOST_NUMBERS = 1_000_000
"""How many numbers one gradient may hold."""
ROUNDING = {"bfloat16": 2.0**-9, "float16": 2.0**-11, "float32": 2.0**-24, "float64": 2.0**-53}
"""What rounding changes in a number, relative to it; the coarsest first."""
SHORT = 2.0**16
"""A number whose binary fraction has no more than 16 digits is no sign of single precision: 0.5, 3, 0.375."""


@dataclass(frozen=True)
class Answer:
    """What somebody's function answered at a point: L and gradients by our names, or what went wrong in one line.

    The gradients are float64, in whatever shape they came; ``dtype`` is the coarsest that they were computed in.
    ``received`` are the names of what the function was given: one without h_0 takes it as 0.
    """

    loss: float | None = None
    gradients: Mapping[str, Array] = field(default_factory=dict)
    dtype: str = "float64"
    error: str = ""
    received: tuple[str, ...] = ()


# --- names ----------------------------------------------------------------------------------------------------------

SPELLINGS = ("{}", "d{}", "d_{}", "grad_{}", "{}_grad", "{}.grad", "dL_d{}", "dL/d{}", "∂L/∂{}")
"""How the gradient by a parameter may be called."""


def meant(given: Iterable[object], known: Sequence[str], whose: str) -> dict[str, str]:
    """Which of the ``known`` names each given name means: W_x itself, or dW_x, grad_W_x, W_x.grad and the like.

    >>> meant(["dW_x", "W_h.grad", "h_0"], ["W_x", "W_h", "h_0"], "the file")
    {'dW_x': 'W_x', 'W_h.grad': 'W_h', 'h_0': 'h_0'}
    >>> meant(["W", "dW"], ["W", "dW"], "the file")
    {'W': 'W', 'dW': 'dW'}

    Raises InputError for what is no name, with the nearest one; for what may be two; for two that mean the same.
    """
    keys = list(given)
    exact = all(key in known for key in keys)
    found: dict[str, str] = {}
    for key in keys:
        if not isinstance(key, str):
            raise InputError(f"{whose} has {clipped(key)}, which is no name; expected {_some(known)}")
        names = [key] if exact else [name for name in known if any(form.format(name) == key for form in SPELLINGS)]
        if len(names) > 1:
            raise InputError(
                f"{whose} has {clipped(key)}, which may mean {' or '.join(map(repr, names))}; use the names"
            )
        if not names:
            raise InputError(f"{whose} has {clipped(key)}; expected {_some(known)}.{suggest(key, known)}")
        same = next((other for other, name in found.items() if name == names[0]), None)
        if same is not None:
            raise InputError(
                f"{whose} has {clipped(same)} and {clipped(key)}, both the gradient by {names[0]!r}; keep one"
            )
        found[key] = names[0]
    return found


def _some(names: Sequence[str]) -> str:
    return f"gradients by name, some of {', '.join(names)}"


def clipped(value: object, most: int = 50) -> str:
    """A value for a message: on one line, of at most so many characters."""
    try:
        text = ascii(value)
    except Exception:  # whatever a stranger's __repr__ does
        text = f"a {type(value).__name__}"
    return text if len(text) <= most else f"{text[: most - 3]}..."


# --- numbers --------------------------------------------------------------------------------------------------------


def array_of(name: str, value: Any) -> tuple[Array, str]:
    """Numbers as a float64 array of their own shape, and the dtype that they were in.

    ``value`` is a number, nested lists, or an array of NumPy, PyTorch, JAX or what else NumPy reads. Numbers that are
    all floats of single precision are called so, wherever they are stored.

    >>> array_of("b_h", [1, 0.5])
    (array([1. , 0.5]), 'float64')
    >>> array_of("b_h", [float(np.float32(0.1))])[1]
    'float32'

    Raises InputError that names the entry: no numbers, complex, ragged, empty, too many, nan or inf.
    """
    try:
        array = np.asarray(_plain(name, value))
    except InputError:
        raise
    except RecursionError:
        raise InputError(f"{name!r} is nested too deep; expected numbers in lists of lists") from None
    except Exception as error:  # whatever a stranger's __array__ does
        if isinstance(value, list | tuple) and "inhomogeneous" in str(error):
            raise InputError(f"{name!r} is ragged: its rows differ in length; expected as many in each") from None
        reason = f"{type(error).__name__}: {clipped(str(error), 120)}"
        raise InputError(f"{name!r} is {what_is(value)}, of which NumPy makes no numbers ({reason})") from None
    dtype = _dtype(name, array, value)
    if not array.size:
        raise InputError(f"{name!r} is empty (of shape {array.shape}); expected numbers")
    if array.size > MOST_NUMBERS:
        raise InputError(f"{name!r} holds {array.size:,} numbers; at most {MOST_NUMBERS:,} are read")
    with np.errstate(over="ignore"):  # of long doubles, which become inf and are refused
        found: Array = np.array(array, dtype=np.float64)
    wrong = np.argwhere(~np.isfinite(found))
    if len(wrong):
        place = tuple(map(int, wrong[0]))
        at = f" at [{', '.join(map(str, place))}]" if place else ""
        more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
        raise InputError(f"{name!r} is {found[place]}{at}{more}; expected finite numbers")
    return found, "float32" if dtype == "float64" and is_single(found) else dtype


def _plain(name: str, value: Any) -> Any:
    """What NumPy takes without a guess: tensors apart from their graph, fractions and long integers as floats."""
    if isinstance(value, list | tuple):
        return [_plain(name, item) for item in value]
    if hasattr(value, "detach") and hasattr(value, "cpu"):
        value = value.detach().cpu()
        return value.float().numpy() if _is_brain(value) else value.numpy()
    if value is None or isinstance(value, str | bytes | bool | Mapping):
        raise InputError(f"{name!r} is {what_is(value)}; expected numbers")
    if isinstance(value, Real) and not isinstance(value, float | np.generic):
        try:
            return float(value)
        except OverflowError:
            return np.inf
    return value


def _is_brain(value: object) -> bool:
    return "bfloat16" in str(getattr(value, "dtype", ""))


def _dtype(name: str, array: npt.NDArray[Any], value: Any) -> str:
    if _is_brain(array) or _is_brain(value):
        return "bfloat16"
    kind = array.dtype.kind
    if kind == "f":
        return array.dtype.name if array.dtype.name in ROUNDING else "float64"  # long doubles are read as float64
    if kind in "iu":
        return "float64"
    held = {"b": "booleans", "c": "complex numbers", "U": "strings", "S": "bytes"}.get(kind)
    if held is None:
        held = f"objects ({what_is(value)})" if not array.ndim else f"objects (dtype {array.dtype})"
    raise InputError(f"{name!r} holds {held}; expected real numbers")


def is_single(array: Array) -> bool:
    """Whether all numbers are floats of single precision, and some are too long for that to be chance.

    >>> is_single(np.array([0.5, 2])), is_single(np.float32([0.5, 0.1]).astype(float)), is_single(np.array([0.1]))
    (False, True, False)
    """
    with np.errstate(over="ignore"):
        if not np.array_equal(array.astype(np.float32), array):
            return False
    fractions = np.frexp(array)[0] * SHORT
    return bool((fractions != np.round(fractions)).any())


def coarsest(dtypes: Iterable[str]) -> str:
    """The dtype that rounds most.

    >>> coarsest(["float64", "float32"]), coarsest([])
    ('float32', 'float64')
    """
    found = set(dtypes)
    return next((dtype for dtype in ROUNDING if dtype in found), "float64")


def what_is(value: object) -> str:
    """What a value is, for a message.

    >>> what_is(None), what_is("0.5"), what_is([1]), what_is(len)
    ('None', "the string '0.5'", 'a list', 'a builtin_function_or_method')
    """
    match value:
        case None | bool():
            return str(value)
        case str():
            return f"the string {clipped(value)}"
    name = type(value).__name__
    return f"{'an' if name[:1].lower() in 'aeio' else 'a'} {name}"
