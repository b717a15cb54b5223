r"""The functions of a cell as NumPy functions, stable and for real or complex arrays; stand-ins for abstract ones.

Elementwise functions take any array; those that mix components take columns, (…, n, 1).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rnn_symbolic.errors import NumericalFailure

Array = npt.NDArray[Any]


class NoValue(NumericalFailure):
    """A function or a power outside its domain; the message says which."""


OUTSIDE = "a logarithm, root or power outside its domain"


# --- stable functions of an array, real or complex ----------------------------------------------------------------


def _decay(z: Array) -> Array:
    """e^{−|z|}, with |z| read as ±z by the sign of the real part: never overflows, and is analytic."""
    return np.asarray(np.exp(np.where(np.real(z) >= 0, -z, z)))


def logistic(z: Array) -> Array:
    """1/(1 + e^{−z}); no overflow.

    >>> logistic(np.array([-800.0, 0.0, 800.0]))
    array([0. , 0.5, 1. ])
    """
    small = _decay(z)
    return np.asarray(np.where(np.real(z) >= 0, 1.0, small) / (1 + small))


def logistic_prime(z: Array) -> Array:
    """logistic(z)(1 − logistic(z)), without cancellation."""
    small = _decay(z)
    return np.asarray(small / (1 + small) ** 2)


def tanh_prime(z: Array) -> Array:
    """1 − tanh²(z), without cancellation."""
    return np.asarray(4 * logistic_prime(2 * z))


def relu(z: Array) -> Array:
    """max(0, z), decided by the real part."""
    return np.asarray(np.where(np.real(z) > 0, z, 0.0))


def relu_prime(z: Array) -> Array:
    """1 for z > 0, 0 for z ≤ 0: the stated convention at the kink."""
    return np.asarray(np.where(np.real(z) > 0, 1.0, 0.0))


def softplus(z: Array) -> Array:
    """log(1 + e^z) = max(z, 0) + log(1 + e^{−|z|})."""
    small = _decay(z)
    if np.iscomplexobj(small):
        # log1p keeps the digits of the real part; the imaginary part carries a derivative and needs none
        size = np.abs(small) ** 2 + 2 * np.real(small)
        logarithm = 0.5 * np.log1p(size) + 1j * np.angle(1 + small)
    else:
        logarithm = np.log1p(small)
    return np.asarray(np.where(np.real(z) >= 0, z, 0.0) + logarithm)  # the same side of 0 as in _decay


def _log(z: Array) -> Array:
    if np.any(z == 0 if np.iscomplexobj(z) else z <= 0):
        raise NoValue(OUTSIDE)
    return np.asarray(np.log(z))


def _sqrt(z: Array) -> Array:
    if not np.iscomplexobj(z) and np.any(z < 0):
        raise NoValue(OUTSIDE)
    return np.asarray(np.sqrt(z))


# --- functions of a column -------------------------------------------------------------------------------------------


def _shifted(z: Array) -> tuple[Array, Array]:
    """The greatest real part m in each column, and e^{z − m}."""
    greatest = np.real(z).max(axis=-2, keepdims=True)
    return greatest, np.exp(z - greatest)


def softmax(z: Array) -> Array:
    """e^{z_i} / Σ_j e^{z_j} of a column, shifted so that nothing overflows.

    >>> softmax(np.array([[800.0], [800.0]])).ravel()
    array([0.5, 0.5])
    """
    _, powers = _shifted(z)
    return np.asarray(powers / total(powers))


def logsumexp(z: Array) -> Array:
    """log Σ_j e^{z_j} of a column."""
    greatest, powers = _shifted(z)
    return np.asarray(greatest + np.log(total(powers)))


def total(z: Array) -> Array:
    """The sum of the components of a column."""
    return np.asarray(z.sum(axis=-2, keepdims=True))


@dataclass(frozen=True)
class ArrayFunctions:
    """What functions are: ``functions[name, order]`` of an array, ``step_loss(t, y, order)`` of a column y."""

    functions: Mapping[tuple[str, int], Callable[[Array], Array]]
    step_loss: Callable[[int, Array, int], Array] | None = None


ARRAYS = ArrayFunctions(
    {
        ("tanh", 0): np.tanh, ("tanh", 1): tanh_prime,
        ("logistic", 0): logistic, ("logistic", 1): logistic_prime,
        ("relu", 0): relu, ("relu", 1): relu_prime,
        ("softplus", 0): softplus, ("softplus", 1): logistic,
        ("sin", 0): np.sin, ("cos", 0): np.cos, ("exp", 0): np.exp,
        ("log", 0): _log, ("sqrt", 0): _sqrt, ("identity", 0): lambda z: z,
        ("softmax", 0): softmax, ("logsumexp", 0): logsumexp, ("sum", 0): total,
    },
)  # fmt: skip


def stand_in_arrays(c: float = 0.3) -> ArrayFunctions:
    """Analytic functions in the place of the abstract σ and ℓ_t; at size 1 they are those of `numeric.stand_in`.

    σ(z) = sin z + c tanh z in each component, and ℓ_t(y) = Σ_i w_i (sin(y_i + t) + c y_i²) with w_i = 1, 1.3, 1.6, …:
    not symmetric in the components, so that an exchange of two of them shows.
    """

    def loss(t: int, y: Array, order: int) -> Array:
        weights = (1 + 0.3 * np.arange(y.shape[-2]))[:, None]
        if order:
            return np.asarray(weights * (np.cos(y + t) + 2 * c * y))
        return total(weights * (np.sin(y + t) + c * y * y))

    def sigma(z: Array) -> Array:
        return np.asarray(np.sin(z) + c * np.tanh(z))

    def slope(z: Array) -> Array:
        return np.asarray(np.cos(z) + c * tanh_prime(z))

    return ArrayFunctions({**ARRAYS.functions, ("sigma", 0): sigma, ("sigma", 1): slope}, loss)
