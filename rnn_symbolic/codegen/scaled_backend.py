"""Gradients beyond the range of floats: an array and a power of 2 for each, by the adjoint recursion with a scale.

Slower than compiled code, since every row keeps its exponent; it says 10^400 and 10^−600 where floats say inf and 0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from rnn_symbolic.array_functions import Array
from rnn_symbolic.arrays import MatrixPoint
from rnn_symbolic.codegen.numpy_backend import NumpyBackend
from rnn_symbolic.expressions import Quantity
from rnn_symbolic.matrix_valuation import MatrixValuation
from rnn_symbolic.program import Program
from rnn_symbolic.scaled import Scaled
from rnn_symbolic.shapes import bind_sizes


class ScaledBackend:
    """Results are `scaled.Scaled`: ``array · 2^exponent``, with ``log10`` of its norm and ``value`` in floats."""

    call: Callable[..., Any] | None = None

    def __init__(self, program: Program) -> None:
        self.program = program
        self.source = NumpyBackend(program, "float64").source

    def __call__(
        self, params: Mapping[str, Any], x: Any, d: Any, state: Mapping[str, Any], out: dict[str, Array] | None
    ) -> tuple[float, dict[str, Any]]:
        model = replace(self.program.model, steps=len(d))
        matrix = model.shapes is not None
        arrays = {name: np.asarray(value, float) for name, value in params.items()}
        d = np.asarray(d, float) if matrix else np.asarray(d, float)[:, None]
        x = np.zeros((*d.shape[:-1], 1)) if x is None else np.asarray(x, float)
        x = x if matrix or x.ndim > 1 else x[:, None]
        sizes: dict[str, int] = {}
        if model.shapes is not None:
            shapes = {name: value.shape for name, value in arrays.items()} | {"d": d.shape[-1:]}
            if model.cell.uses_input:
                shapes["x"] = x.shape[-1:]
            shapes |= {name: np.shape(value)[-1:] for name, value in state.items()}
            sizes = bind_sizes(model.shapes, shapes)
        batch = d.shape[1] if d.ndim == 3 else None
        initial = {}
        for quantity in model.initial_states:
            shape = tuple(sizes[size] for size in model.names.get(quantity.name, ()))
            initial[quantity.name, quantity.step] = np.asarray(state.get(str(quantity), np.zeros(shape)), float)
        valuation = MatrixValuation(model, MatrixPoint(arrays, initial, x, d, sizes, batch))
        leaves = (*(Quantity(name) for name in model.cell.parameters), *model.initial_states)
        gradients: dict[str, Scaled] = {str(q): valuation.scaled_gradient(q) for q in leaves}
        return float(np.sum(valuation.values["L", None])), gradients
