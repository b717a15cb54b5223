"""Compiled gradients against the path sums' recursion, complex steps, hand-written networks."""

from __future__ import annotations

import numpy as np
import pytest

from rnn_symbolic.builtin_cells import BUILT_IN
from rnn_symbolic.codegen.compiled import compile_gradient
from rnn_symbolic.gradients import gradients_at
from rnn_symbolic.matrix_valuation import random_matrix_point
from rnn_symbolic.model import unroll


def arguments(point):
    state = {f"{name}_{step}": value for (name, step), value in point.initial.items()}
    return dict(point.parameters), np.asarray(point.x), np.asarray(point.d), state


def error(found, expected):
    scale = max(np.abs(expected).max(initial=0.0), 1e-12)
    return float(np.abs(np.asarray(found) - expected).max(initial=0.0) / scale)


CASES = [
    (cell, losses, output, loss, batch)
    for cell in BUILT_IN
    for losses, output, loss, batch in (
        ("all", "tanh", "squared", None),
        ("last", "logistic", "cross-entropy", 3),
        ("mean", "softmax", "cross-entropy", 2),
    )
]


@pytest.mark.parametrize(("cell", "losses", "output", "loss", "batch"), CASES)
def test_numpy(cell, losses, output, loss, batch):
    for steps in (1, 2, 5):
        model = unroll(cell, steps=steps, losses=losses, activation="tanh", output_activation=output, loss=loss,
                       form="matrix")  # fmt: skip
        point = random_matrix_point(
            model, 7, None, batch, positive=loss != "squared" and cell in ("linear", "d2l", "pascanu")
        )
        expected = gradients_at(model, point)
        f = compile_gradient(model, inputs=True)
        found_loss, found = f(*arguments(point))
        assert found_loss == pytest.approx(expected.loss, rel=1e-12)
        for name, gradient in expected.gradients.items():
            assert error(found[name], gradient) < 1e-12, (name, steps)
        if expected.input_gradients is not None:
            assert error(found["x"], expected.input_gradients) < 1e-12
