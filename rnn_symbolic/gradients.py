r"""L and all its gradients at one point, as arrays in the shapes of what they are taken by; either form, with a batch.

∇_θ L for every parameter and initial state,   ∇_{x_t} L for every input,   states and outputs for t = 1 … T
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from rnn_symbolic.array_functions import Array
from rnn_symbolic.arrays import MatrixPoint
from rnn_symbolic.concrete import concrete
from rnn_symbolic.expressions import Quantity
from rnn_symbolic.matrix_valuation import MatrixValuation
from rnn_symbolic.model import Model
from rnn_symbolic.numeric import Point
from rnn_symbolic.valuation import Valuation
from rnn_symbolic.values import point_of


@dataclass(frozen=True)
class Gradients(Mapping[str, Array]):
    """L and its gradients, by the names of parameters and initial states: ``found["W_h"]``, ``found["h_0"]``.

    In matrix form a gradient has the shape of its parameter, ``input_gradients`` that of x, ``states`` and ``outputs``
    have n in its place; in scalar form n is left out. ``log10`` is that of each gradient's Frobenius norm, exact also
    where floats hold 0 or inf. ``input_gradients`` is None for a cell without input.
    """

    loss: float
    gradients: Mapping[str, Array]
    log10: Mapping[str, float]
    input_gradients: Array | None
    states: Mapping[str, Array]
    outputs: Array

    def __getitem__(self, name: str) -> Array:
        return self.gradients[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.gradients)

    def __len__(self) -> int:
        return len(self.gradients)


class GradientFunction:
    r"""∇_θ L in matrix form as a function of the arrays by name: ``g(W_x=…, W_h=…, …, x=…, d=…, h_0=…)``.

    x is (T, n_x) or with a batch (T, B, n_x); initial states are 0 unless given. The result has the shape of θ.

    >>> from rnn_symbolic.model import unroll
    >>> model = unroll("h = W @ h[t-1] + x\ny = h", steps=2, loss="squared", form="matrix")
    >>> g = GradientFunction(model, model.resolve("W"))
    >>> g(W=[[0, 1], [1, 0]], h_0=[1, 2], x=[[0, 0], [0, 0]], d=[[0, 0], [0, 0]])
    array([[6., 9.],
           [6., 6.]])
    """

    def __init__(self, model: Model, goal: Quantity, *, activation: str = "logistic", loss: str = "squared") -> None:
        self.model, self.goal = concrete(model, activation, loss), goal

    def __repr__(self) -> str:
        return f"<the gradient by {self.goal} of {self.model!r}>"

    def __call__(self, /, **values: Any) -> Array:
        """The gradient at a point, by the adjoint recursion over the table."""
        valuation = MatrixValuation(self.model, point_of(values, self.model))
        return np.asarray(valuation.gradient(self.goal).value)


def gradients_at(
    model: Model,
    values: Mapping[str, Any] | Point | MatrixPoint,
    *,
    activation: str = "logistic",
    loss: str = "squared",
) -> Gradients:
    r"""L and every gradient by the adjoint recursion over the table of local derivatives, in O(T).

    ``values`` is a mapping of names as in a file of values, or a point; ``activation`` and ``loss`` stand for an
    abstract σ and ℓ.

    >>> from rnn_symbolic.model import unroll
    >>> model = unroll("h = W @ h[t-1] + x\ny = h", steps=2, loss="squared", form="matrix")
    >>> values = {"W": [[0, 1], [1, 0]], "h_0": [1, 2], "x": [[0, 0], [0, 0]], "d": [[0, 0], [0, 0]]}
    >>> found = gradients_at(model, values)  # h_1 = (2, 1), h_2 = (1, 2)
    >>> found.loss, found["h_0"], found["W"]
    (5.0, array([2., 4.]), array([[6., 9.],
           [6., 6.]]))

    Raises InputError for bad values, NumericalFailure where a function leaves its domain or the floats end.
    """
    model = concrete(model, activation, loss)
    point = point_of(values, model)
    at = MatrixValuation(model, point) if isinstance(point, MatrixPoint) else Valuation(model, point)
    leaves = (*model.parameters, *model.initial_states)
    steps = range(1, model.steps + 1)
    amounts = {str(q): at.gradient(q) for q in leaves}
    inputs = [at.gradient(Quantity("x", t)).value for t in steps] if model.cell.uses_input else None

    def series(name: str) -> Array:
        if isinstance(at, MatrixValuation):
            return at.over_time(name)
        return np.array([at.values[name, t] for t in steps])

    return Gradients(
        loss=float(np.sum(at.values["L", None])),
        gradients={name: np.asarray(amount.value) for name, amount in amounts.items()},
        log10={name: amount.log10 for name, amount in amounts.items()},
        input_gradients=None if inputs is None else np.asarray(inputs),
        states={name: series(name) for name in model.cell.states},
        outputs=series("y"),
    )
