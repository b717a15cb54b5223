"""Cells that nobody would build in: scalars, tied weights, several lags, losses of their own. Every line must hold.

Each has a trap for the matrix reading: a scalar that multiplies or is added to a vector, a weight mentioned twice in
one step, a state that is read two steps later only, a loss that reads an earlier state, an operand that cancels.
"""

from __future__ import annotations

import pytest

from rnn_symbolic.derivation import derive_gradients
from rnn_symbolic.errors import NotDerivable
from rnn_symbolic.graph import GRANULARITIES
from rnn_symbolic.jacobians import LAYOUTS
from rnn_symbolic.model import Model, unroll
from rnn_symbolic.printing import latex
from rnn_symbolic.render.derivation_document import derivation_document
from rnn_symbolic.render.latex import document_latex
from rnn_symbolic.render.text import document_text
from rnn_symbolic.unicode import plain
from rnn_symbolic.verification import verify_all

CELLS = {
    "leaky": """\
scalar tau
a = W_h @ h[t-1] + W_x @ x + b_h
h = (1 - tau) * h[t-1] + tau * sigma(a)
y = W_y @ h
""",
    "broadcast": """\
scalar tau
scalar kappa
a = W_h @ h[t-1] + W_x @ x + tau
h = tanh(kappa * a)
y = W_y @ h + tau * b_y
""",
    "tied": """\
h = tanh(W @ h[t-1] + W @ x)
y = W @ h + h
""",
    "tied2": """\
a = W @ h[t-1] + U @ x
u = tanh(W @ a)
h = u * a
y = sigma(V @ h)
""",
    "nested": """\
h = tanh(W @ (V @ (h[t-1] * u) + b) + U @ x)
y = softmax(P @ h)
""",
    "ownloss": """\
h = tanh(W @ h[t-1] + U @ x)
y = V @ h
loss = sum((y - d) ** 2) / 2 + 0.1 * sum(h * h) + 0.3 * sum(h[t-1] ** 3)
""",
    "lossproduct": """\
h = tanh(W @ h[t-1] + U @ x)
y = V @ h
loss = sum(y - d) ** 2 * sum(h) + exp(-sum(y * d))
""",
    "lagged output": """\
h = tanh(W @ h[t-1] + U @ x + Q @ y[t-1])
y = V @ h[t-1] + b
""",
    "no state": """\
h = tanh(U @ x)
y = V @ h
""",
    "no params": """\
h = tanh(h[t-1] + x)
y = h
""",
    "no x": """\
h = tanh(W @ h[t-1] + b)
y = V @ h
""",
    "deep lag": """\
h = tanh(W @ h[t-1] + V @ h[t-3] + U @ x)
y = P @ h
""",
    "two lags": """\
h = tanh(W @ s[t-2] + U @ x + h[t-1] / 3)
s = sigma(V @ h + s[t-1] * g)
y = P @ s
""",
    "gate of state": """\
z = logistic(a @ h[t-1])
h = z * h[t-1] + x / 2
y = h
""",
    "softmax attention": """\
e = V @ tanh(W @ h[t-1] + U @ x)
p = softmax(e)
h = p * h[t-1] + (1 - p) * x
y = h
""",
    "divide": """\
h = x / (1 + exp(-(W @ h[t-1]))) + h[t-1] / (2 + h[t-1] ** 2)
y = sqrt(1 + h ** 2)
""",
    "scalar quantity": """\
scalar tau
g = tanh(tau)
h = g * h[t-1] + U @ x
y = h * g
""",
    "y not affected": """\
h = tanh(U @ x + h[t-1])
u = 2 * h
y = u - u + V @ h
""",
    "peephole now": """\
c = c[t-1] * f + U @ x
o = logistic(P * c + Q @ h[t-1])
h = o * tanh(c)
y = V @ h
""",
}
OPTIONS: list[dict[str, str]] = [
    {},
    {"loss": "squared", "activation": "tanh", "losses": "last"},
    {"loss": "cross-entropy", "activation": "logistic", "losses": "mean"},
]
NO_SCALAR_READING = ("nested", "softmax attention")


def goals_of(model: Model) -> list[str]:
    """Parameters, initial states, an input, and every quantity at a step in the middle and at the last one."""
    inputs = ["x_2"] if model.cell.uses_input else []
    named = [f"{e.target.name}_{t}" for e in model.definitions for t in (2, model.steps)]
    return [*map(str, model.parameters), *map(str, model.initial_states), *inputs, *named]


def check_every_line(model: Model, granularity: str | None, layout: str) -> None:
    derivations = derive_gradients(model, goals_of(model), granularity=granularity, layout=layout)
    for verification in verify_all(derivations, symbolic=False):
        assert verification.passed, f"{granularity}, {layout}: {verification}"


@pytest.mark.parametrize("form", ["matrix", "scalar"])
@pytest.mark.parametrize("cell", CELLS)
def test_every_line_holds(cell: str, form: str) -> None:
    if form == "scalar" and cell in NO_SCALAR_READING:
        with pytest.raises(NotDerivable, match="it has no scalar reading"):
            unroll(CELLS[cell], form=form)
        return
    model = unroll(CELLS[cell], form=form, steps=3)
    check_every_line(model, None, "gradient")
    check_every_line(model, "node", "jacobian")


@pytest.mark.slow
@pytest.mark.parametrize("form", ["matrix", "scalar"])
@pytest.mark.parametrize("options", OPTIONS, ids=["abstract", "squared", "cross-entropy"])
@pytest.mark.parametrize("cell", CELLS)
def test_every_line_holds_however_it_is_derived(cell: str, options: dict[str, str], form: str) -> None:
    if form == "scalar" and cell in NO_SCALAR_READING:
        return
    model = unroll(CELLS[cell], form=form, steps=3, **options)
    for granularity in GRANULARITIES:
        for layout in LAYOUTS if form == "matrix" else ("gradient",):
            check_every_line(model, granularity, layout)


@pytest.mark.parametrize("cell", CELLS)
def test_documents_are_written(cell: str) -> None:
    model = unroll(CELLS[cell], form="matrix", steps=3)
    derivations = derive_gradients(model, goals_of(model))
    assert "FAILED" not in document_text(derivation_document(derivations, depth=3, shapes=True))
    assert document_latex(derivation_document(derivations, language="zh"))


def test_a_scalar_times_a_vector_is_a_multiple_of_the_identity() -> None:
    model = unroll(CELLS["leaky"], form="matrix")
    (row,) = (edge for edge in model.table if str(edge.head) == "h[t]" and str(edge.tail) == "h[t-1]")
    assert row.factors[0].shape == ("n_h", "n_h")
    assert plain(latex(row.value)) == "(1 − τ) I"
