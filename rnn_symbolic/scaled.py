r"""Rows with a scale, and what factors do to them.

    r (A B) = (r A) B      r diag(u) = r ⊙ uᵀ      r (A + B) = r A + r B      r (vᵀ ⊗ I) = vec(rᵀ vᵀ)ᵀ

A row keeps a power of 2 beside its entries, so that products of thousands of factors stay exact.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from functools import reduce

import numpy as np

from rnn_symbolic.array_functions import Array, NoValue, softplus
from rnn_symbolic.arrays import product, transpose
from rnn_symbolic.expressions import (
    Add,
    Blocks,
    Call,
    Chain,
    Diagonal,
    Expression,
    Identity,
    Kronecker,
    Multiply,
    walk,
)
from rnn_symbolic.frozen import frozen

LOG10_2 = math.log10(2.0)
NEAR_ONE = 2.0**200  # entries up to this, or down to its inverse, stay as they are
NOTHING = -(2**60)  # the exponent of zero


@frozen
class Scaled:
    """array · 2^exponent: a product of thousands of factors neither overflows nor underflows.

    >>> tiny = Scaled.of(np.array([[1e-300]]))
    >>> (tiny.times(tiny.array, tiny.exponent) + tiny.times(tiny.array, tiny.exponent)).log10
    -599.698970004336...
    """

    array: Array
    exponent: int = 0

    @staticmethod
    def of(array: Array, exponent: int = 0) -> Scaled:
        """The array with its greatest entry brought near 1; a power of 2 costs no digits."""
        greatest = float(np.abs(array).max(initial=0.0))
        if greatest == 0.0:
            return Scaled(array, NOTHING)
        if not 1 / NEAR_ONE < greatest < NEAR_ONE:
            if not math.isfinite(greatest):
                raise NoValue("a division by zero, or an overflow")
            shift = math.frexp(greatest)[1]
            return Scaled(np.ldexp(array, -shift), exponent + shift)
        return Scaled(array, exponent)

    def times(self, array: Array, exponent: int = 0) -> Scaled:
        """The product of matrices with another."""
        return Scaled.of(product(self.array, array), self.exponent + exponent)

    def __mul__(self, action: Action) -> Scaled:
        return action(self)

    def __add__(self, other: Scaled) -> Scaled:
        big, small = (self, other) if self.exponent >= other.exponent else (other, self)
        if big.exponent == small.exponent:
            return Scaled.of(big.array + small.array, big.exponent)
        return Scaled.of(big.array + _shifted(small.array, small.exponent - big.exponent), big.exponent)

    @property
    def value(self) -> Array:
        """In floats, where it may be 0 or inf."""
        return self.array if self.exponent == 0 else _shifted(self.array, self.exponent)

    @property
    def log10(self) -> float:
        """log10 of the Frobenius norm."""
        norm = float(np.linalg.norm(self.array))
        return math.log10(norm) + self.exponent * LOG10_2 if norm else -math.inf


Action = Callable[[Scaled], Scaled]
"""What a factor does to the row that stands left of it."""


def _shifted(array: Array, exponent: int) -> Array:
    with np.errstate(over="ignore", under="ignore"):
        return np.asarray(np.ldexp(array, max(-5000, min(5000, exponent))))


Read = Callable[[Expression], Scaled]
MATRICES = Diagonal | Identity | Kronecker | Chain | Blocks


def action_of(expression: Expression, read: Read, over_batch: bool) -> Action:
    """What a product of factors does to a row; diagonals, identities, sums and vᵀ ⊗ I are never written out."""
    match expression:
        case Identity():
            return lambda row: row
        case Chain(factors):
            return _in_turn([action_of(factor, read, over_batch) for factor in factors])
        case Multiply(factors, vectors=False) if any(isinstance(node, Kronecker) for node in walk(expression)):
            return _in_turn([action_of(factor, read, over_batch) for factor in factors])
        case Add(terms) if all(isinstance(term, MATRICES) for term in terms):
            return _in_parallel([action_of(term, read, over_batch) for term in terms])
        case Diagonal(vector):
            entries = read(vector)
            row = transpose(entries.array)
            return lambda r: Scaled.of(r.array * row, r.exponent + entries.exponent)
        case Kronecker(vector):
            entries = read(vector)
            argument = transpose(entries.array)
            return lambda r: Scaled.of(_outer(r.array, argument, over_batch), r.exponent + entries.exponent)
    matrix = read(expression)
    return lambda row: row.times(matrix.array, matrix.exponent)


def _in_turn(actions: list[Action]) -> Action:
    return lambda row: reduce(lambda found, action: action(found), actions, row)


def _in_parallel(actions: list[Action]) -> Action:
    return lambda row: reduce(operator.add, (action(row) for action in actions))


def _outer(row: Array, argument: Array, over_batch: bool) -> Array:
    """rᵀ vᵀ, summed over the samples."""
    if not over_batch:
        return np.asarray(transpose(row) * argument)
    arguments = np.broadcast_to(argument, (*row.shape[:-1], argument.shape[-1]))
    return np.asarray(row[:, 0].T @ arguments[:, 0])


# --- entries beyond the floats ----------------------------------------------------------------------------------------


def from_logarithms(expression: Expression, evaluate: Callable[[Expression], Array]) -> Scaled:
    """The entries of a vector that floats lose: slopes of saturated functions have logarithms of their own."""
    match expression:
        case Call("tanh" | "logistic" | "softplus" as function, argument, 1):
            logarithms = _log_slope(function, evaluate(argument))
        case Call("exp", argument, 0):
            logarithms = evaluate(argument)
        case Multiply(factors):
            first, *rest = (from_logarithms(factor, evaluate) for factor in factors)
            for other in rest:
                first = Scaled.of(first.array * other.array, first.exponent + other.exponent)
            return first
        case _:
            return Scaled.of(evaluate(expression))
    greatest = float(logarithms.max())
    if greatest < NOTHING * math.log(2):
        return Scaled(np.zeros(logarithms.shape), NOTHING)
    exponent = math.floor(greatest / math.log(2))
    left = min(max(greatest - exponent * math.log(2), 0.0), math.log(2))  # of large logarithms nothing is left of it
    with np.errstate(under="ignore"):
        return Scaled(np.exp(logarithms - greatest + left), exponent)


def _log_slope(function: str, z: Array) -> Array:
    """ln φ'(z) where φ'(z) is positive and may underflow."""
    match function:
        case "tanh":
            return np.asarray(2 * (math.log(2) - np.abs(z) - np.log1p(np.exp(-2 * np.abs(z)))))
        case "logistic":
            return np.asarray(-np.abs(z) - 2 * np.log1p(np.exp(-np.abs(z))))
    return np.asarray(-softplus(-z))
