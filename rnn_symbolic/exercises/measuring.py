"""The numbers of formulas at random points: are two of them the same, and is one the gradient?"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from rnn_symbolic.errors import NumericalFailure
from rnn_symbolic.expressions import Expression, Quantity
from rnn_symbolic.matrix_valuation import MatrixValuation, stand_in_matrix_valuation
from rnn_symbolic.model import Model
from rnn_symbolic.valuation import Valuation, stand_in_valuation

POINTS = (11, 12, 13)
SAME, DIFFERENT = 1e-9, 1e-3
"""Relative differences below the one are rounding, above the other a mistake."""


def points_of(model: Model) -> list[Valuation | MatrixValuation]:
    """Valuations at random points, with analytic functions in the place of σ and ℓ."""
    return [_valuation(model.cell.text, model, seed) for seed in POINTS]


@lru_cache(maxsize=64)
def _by_key(key: tuple[Any, ...], model: _Held, seed: int) -> Valuation | MatrixValuation:
    stand_in = stand_in_matrix_valuation if model.model.form == "matrix" else stand_in_valuation
    return stand_in(model.model, seed)


class _Held:
    """A model that counts as equal to any other: the key of the memo says which it is."""

    def __init__(self, model: Model) -> None:
        self.model = model

    def __hash__(self) -> int:
        return 0

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Held)


def _valuation(text: str, model: Model, seed: int) -> Valuation | MatrixValuation:
    key = (text, model.steps, model.losses, model.form, model.activation, model.output_activation, model.loss)
    return _by_key(key, _Held(model), seed)


def relative(one: Any, other: Any) -> float:
    """‖one − other‖ / (‖one‖ + ‖other‖).

    >>> relative(1.0, 3.0)
    0.5
    """
    size = float(np.linalg.norm(np.ravel(one)) + np.linalg.norm(np.ravel(other)))
    return float(np.linalg.norm(np.ravel(np.asarray(one) - np.asarray(other)))) / size if size else 0.0


def differ(model: Model, one: Expression, other: Expression) -> bool:
    """Whether two formulas differ by more than `DIFFERENT` at every point."""
    return min(_errors(model, one, other)) > DIFFERENT


def agree(model: Model, one: Expression, other: Expression) -> bool:
    """Whether two formulas are the same at every point, up to rounding."""
    return max(_errors(model, one, other)) < SAME


def _errors(model: Model, one: Expression, other: Expression) -> list[float]:
    try:
        return [_error(valuation.of(one), valuation.of(other)) for valuation in points_of(model)]
    except NumericalFailure:
        return [0.0, 1.0]  # neither the same nor different


def _error(one: Any, other: Any) -> float:
    return relative(one, other) if np.shape(one) == np.shape(other) else 1.0


def is_gradient(model: Model, goal: Quantity, formula: Expression) -> bool:
    """Whether a formula is ∂L/∂goal at every point, in the shape of the goal."""
    for valuation in points_of(model):
        right = np.asarray(valuation.gradient(goal).value)
        found = np.asarray(valuation.of(formula)).reshape(right.shape)
        if relative(found, right) > SAME:
            return False
    return True
