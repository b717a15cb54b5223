r"""The state Jacobian: its blocks against formulas, its numbers against forward passes, its counts against enumeration.

∂S_t/∂S_{t−k} = J_t J_{t−1} … J_{t−k+1},   the states of step t − k independent of one another
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import networks as net
import numpy as np
import pytest
import sympy as sp

from rnn_symbolic.arrays import array_point
from rnn_symbolic.cells import BUILT_IN
from rnn_symbolic.errors import InputError
from rnn_symbolic.expressions import Derivative, Identity, Quantity
from rnn_symbolic.forms import Rule, Written
from rnn_symbolic.jacobian import StateJacobian, jacobian_value
from rnn_symbolic.jacobians import shape_of
from rnn_symbolic.matrix_valuation import MatrixValuation, random_matrix_point, stand_in_matrix_valuation
from rnn_symbolic.model import Model, unroll
from rnn_symbolic.table import LocalRule
from rnn_symbolic.valuation import random_point
from rnn_symbolic.values import point_of

EXAMPLES = Path(__file__).parents[1] / "examples"
SIZES = {"n_x": 2, "n_h": 3, "n_y": 4, "n_s": 5}
FORMS = ("scalar", "matrix")
OWN = (EXAMPLES / "my.cell").read_text(encoding="utf-8")
NAMED_U = BUILT_IN["gru"].replace("h = z * h[t-1] + (1 - z) * n", "u = 1 - z\nh = z * h[t-1] + u * n")
FIBONACCI = "h = W @ h[t-1] + V @ h[t-2] + x\ny = h"
FAR = "h = tanh(W @ h[t-1] + V @ h[t-3] + U @ x)\nk = tanh(A @ k[t-2] + B @ h + C @ h[t-2])\ny = k"
LEAKY = "scalar tau\nh = (1 - tau) * h[t-1] + tau * tanh(W @ h[t-1] + U @ x)\ny = h"
INLINE = "h = logistic(W @ h[t-1] + U @ x) * h[t-1] + tanh(V @ h[t-1] + b)\ny = h"
CELLS = {
    **{name: name for name in BUILT_IN},
    "my": OWN,
    "far": FAR,
    "named u": NAMED_U,
    "inline": INLINE,
    "leaky": LEAKY,
}


def model_of(cell: str, steps: int = 3, form: str = "matrix", **choices: str) -> Model:
    choices = {"activation": "tanh", "output_activation": "logistic", "loss": "squared", **choices}
    return unroll(CELLS.get(cell, cell), steps=steps, form=form, **choices)


def at_random(model: Model, seed: int) -> MatrixValuation:
    """A valuation at a random point, of sizes that all differ."""
    if model.form == "scalar":
        return MatrixValuation(model, array_point(random_point(model, seed)))
    return MatrixValuation(model, random_matrix_point(model, seed))


def close(found: Any, expected: Any, *about: object, tolerance: float = 1e-12) -> None:
    assert np.shape(found) == np.shape(expected), (about, np.shape(found), np.shape(expected))
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance, err_msg=str(about))


# --- counts: every elementary path, one by one --------------------------------------------------------------------


def mentions(text: str) -> dict[str, set[tuple[str, int]]]:
    """The quantities that each equation mentions, with their lags: read from the text by its letters alone."""
    lines = [line.partition("#")[0] for line in text.splitlines()]
    equations = dict(line.replace(" ", "").split("=", 1) for line in lines if "=" in line)
    found = {}
    for name, right in equations.items():
        words = re.findall(r"([A-Za-z_]\w*)(?:\[t-(\d)\])?", right)
        found[name] = {(word, int(lag or 0)) for word, lag in words if word in equations}
    return found


def elementary(text: str, head: str, tail: str, lag: int) -> Iterator[tuple[tuple[str, int], ...]]:
    """The paths head_t → tail_{t−lag}, which touch no other quantity of the step t − lag; enumerated."""
    edges = mentions(text)

    def go(name: str, back: int, visited: tuple[tuple[str, int], ...]) -> Iterator[tuple[tuple[str, int], ...]]:
        for other, further in sorted(edges[name]):
            if back + further == lag and other == tail:
                yield (*visited, (other, lag))
            elif back + further < lag:
                yield from go(other, back + further, (*visited, (other, back + further)))

    yield from go(head, 0, ((head, 0),))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("cell", CELLS)
def test_counts_are_those_of_an_enumeration(cell: str, form: str) -> None:
    text = BUILT_IN.get(cell) or CELLS[cell]
    for lag in (1, 2, 3):
        jacobian = StateJacobian(model_of(cell, 4, form), lag)
        expected = {}
        for head in jacobian.states:
            for tail in jacobian.states:
                paths = list(elementary(text, head, tail, lag))
                assert len(set(paths)) == len(paths)
                expected[head, tail] = len(paths)
        assert jacobian.counts == expected, lag
        assert jacobian.count == sum(expected.values())


LSTM_COUNTS = {1: (4, 9), 2: (19, 43), 3: (91, 206), 5: (2089, 4729), 10: (5_274_724, 11_940_723)}
LSTM_BLOCKS = {("h", "h"): 4, ("h", "c"): 1, ("c", "h"): 3, ("c", "c"): 1}


@pytest.mark.parametrize("form", FORMS)
def test_counts_of_section_3(form: str) -> None:
    """LSTM 4, 19, 91, 2089, 5 274 724 from h to h, and all four blocks together; GRU 4^k; elman 1."""
    lstm = {lag: StateJacobian(model_of("lstm", 10, form), lag) for lag in LSTM_COUNTS}
    assert {lag: (found.counts["h", "h"], found.count) for lag, found in lstm.items()} == LSTM_COUNTS
    assert lstm[1].counts == LSTM_BLOCKS
    assert sum(1 for _ in elementary(BUILT_IN["lstm"], "h", "h", 5)) == 2089
    for lag in range(1, 11):
        for cell, base in (("gru", 4), ("gru-cudnn", 4), ("named u", 5), ("elman", 1), ("jordan", 1), ("irnn", 1)):
            assert StateJacobian(model_of(cell, 10, form), lag).count == base**lag, (cell, lag)
        assert StateJacobian(model_of("residual", 10, form), lag).count == 2**lag
    fibonacci = [StateJacobian(model_of(FIBONACCI, 10, form), lag).count for lag in range(1, 11)]
    assert fibonacci == [1, 2, 3, 5, 8, 13, 21, 34, 55, 89]  # a step of one or of two


def test_counts_at_lag_1000_at_once() -> None:
    """By the recursion that the paths obey: a power of the matrix of counts, in whole numbers."""
    started = time.perf_counter()
    lstm = StateJacobian(model_of("lstm", 1000), 1000)
    power = sp.Matrix([[4, 1], [3, 1]]) ** 1000
    assert [[lstm.counts[p, q] for q in "hc"] for p in "hc"] == power.tolist()
    assert StateJacobian(model_of("gru", 1000), 1000).count == 4**1000
    assert StateJacobian(model_of("named u", 1000), 1000).count == 5**1000
    for cell in CELLS:
        assert StateJacobian(model_of(cell, 1000), 1000).count > 0
    assert time.perf_counter() - started < 5


# --- blocks against the formulas of the books ---------------------------------------------------------------------


def gate_values(p: net.Point, x: Any, h: Any, gates: str) -> dict[str, Any]:
    """logistic(W h + U x + b) for each letter; real."""
    return {k: 1 / (1 + np.exp(-(p[f"W_{k}"] @ h + p[f"U_{k}"] @ x + p[f"b_{k}"]))) for k in gates}


def lstm_blocks(p: net.Point, x: Any, h: Any, c: Any) -> dict[tuple[str, str], Any]:
    r"""∂c_t/∂h_{t−1} = A_t,  ∂h_t/∂h_{t−1} = diag(tanh(c_t) ⊙ o ⊙ (1 − o)) W_o + diag(q_t) A_t,  …

    A_t = diag(c_{t−1} ⊙ f ⊙ (1−f)) W_f + diag(g ⊙ i ⊙ (1−i)) W_i + diag(i ⊙ (1−g²)) W_g,  q_t = o ⊙ (1 − tanh² c_t)
    """
    f, i, o = gate_values(p, x, h, "fio").values()
    g = np.tanh(p["W_g"] @ h + p["U_g"] @ x + p["b_g"])
    new = f * c + i * g
    A = np.diag(c * f * (1 - f)) @ p["W_f"] + np.diag(g * i * (1 - i)) @ p["W_i"] + np.diag(i * (1 - g**2)) @ p["W_g"]
    q = o * (1 - np.tanh(new) ** 2)
    return {
        ("h", "h"): np.diag(np.tanh(new) * o * (1 - o)) @ p["W_o"] + np.diag(q) @ A,
        ("h", "c"): np.diag(q * f),
        ("c", "h"): A,
        ("c", "c"): np.diag(f),
    }


def gru_block(p: net.Point, x: Any, h: Any, *, after: bool) -> Any:
    """∂h_t/∂h_{t−1} where the reset acts before the product, and where it acts after it; z keeps the old state."""
    z, r = gate_values(p, x, h, "zr").values()
    if after:
        inner = p["W_n"] @ h + p["c_n"]
        n = np.tanh(p["U_n"] @ x + p["b_n"] + r * inner)
        candidate = np.diag(r) @ p["W_n"] + np.diag(inner * r * (1 - r)) @ p["W_r"]
    else:
        n = np.tanh(p["W_n"] @ (r * h) + p["U_n"] @ x + p["b_n"])
        candidate = p["W_n"] @ (np.diag(r) + np.diag(h * r * (1 - r)) @ p["W_r"])
    gate = np.diag((h - n) * z * (1 - z)) @ p["W_z"]
    return np.diag(z) + gate + np.diag((1 - z) * (1 - n**2)) @ candidate


def hand_blocks(cell: str, p: net.Point, x: Any, was: dict[str, Any]) -> dict[tuple[str, str], Any]:
    if cell == "lstm":
        return lstm_blocks(p, x, was["h"], was["c"])
    return {("h", "h"): gru_block(p, x, was["h"], after=cell == "gru-cudnn")}


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("cell", ["lstm", "gru", "gru-cudnn"])
def test_blocks_are_the_formulas_of_section_3(cell: str, seed: int) -> None:
    """At every step, of the block as it is written (in terms of other blocks) and of the block expanded."""
    p, x, d = net.random_point(cell, seed, SIZES, steps=3)
    model = model_of(cell)
    valuation = MatrixValuation(model, point_of({**p, "x": x, "d": d}, model))
    states = [{name: p[f"{name}_0"] for name in model.cell.states}]
    states += [{name: value.real for name, value in step.items()} for step in net.states(cell, p, x)]
    blocks = StateJacobian(model, 1).blocks
    for t in (1, 2, 3):
        expected = hand_blocks(cell, p, x[t - 1], states[t - 1])
        for (head, tail), value in expected.items():
            block = blocks.at(head, tail, 1)
            assert block is not None
            for written in (block.written, block.expanded):
                close(valuation.of(written, t), value, cell, head, tail, f"t={t}", f"seed {seed}")
    rows = [np.hstack([expected[head, tail] for tail in model.cell.states]) for head in model.cell.states]
    close(jacobian_value(StateJacobian(model, 1), valuation), np.vstack(rows), cell, f"seed {seed}")


def test_blocks_as_a_reader_sees_them() -> None:
    def written(cell: str, form: str = "matrix") -> dict[str, str]:
        blocks = StateJacobian(unroll(cell, form=form), 1).blocks
        pairs = [(p, q) for p in blocks.states for q in blocks.states]
        return {p + q: str(Written(block.written)) for p, q in pairs if (block := blocks.at(p, q, 1)) is not None}

    assert written("elman") == {"hh": "diag(σ′(aₜ)) W_h"}  # D_t W_h
    assert written("elman", "scalar") == {"hh": "σ′(aₜ) W_h"}
    assert written("d2l") == {"hh": "W_h"}
    assert written("pascanu") == {"aa": "W_h diag(σ′(aₜ₋₁))"}  # σ inside the product
    assert written("residual") == {"hh": "I + diag(σ′(aₜ)) W_h"}
    assert written("jordan") == {"yy": "diag(σ′(oₜ)) W_y diag(σ′(aₜ)) W_h"}
    assert written("lstm") == {
        "hh": "diag(tanh(cₜ) ⊙ logistic′(a_oₜ)) W_o + diag(oₜ ⊙ tanh′(cₜ)) ∂cₜ/∂hₜ₋₁",
        "hc": "diag(oₜ ⊙ tanh′(cₜ)) ∂cₜ/∂cₜ₋₁",
        "ch": "diag(cₜ₋₁ ⊙ logistic′(a_fₜ)) W_f + diag(gₜ ⊙ logistic′(a_iₜ)) W_i + diag(iₜ ⊙ tanh′(a_gₜ)) W_g",
        "cc": "diag(fₜ)",
    }
    assert written("two-layer") == {  # the first layer knows nothing of the second
        "hh": "diag(σ′(aₜ)) W_h",
        "sh": "diag(σ′(eₜ)) U_s ∂hₜ/∂hₜ₋₁",
        "ss": "diag(σ′(eₜ)) W_s",
    }


# --- numbers against forward passes -------------------------------------------------------------------------------


@pytest.mark.parametrize("cell", net.CELLS)
def test_values_are_those_of_the_hand_written_networks(cell: str) -> None:
    for seed, steps in ((1, 1), (2, 4), (3, 6)):
        p, x, d = net.random_point(cell, seed, SIZES, steps=steps)
        model = model_of(cell, steps)
        point = point_of({**p, "x": x, "d": d}, model)
        assert len(set(point.sizes.values())) == len(point.sizes)  # a transpose must not go unnoticed
        valuation = MatrixValuation(model, point)
        for lag in range(1, steps + 1):
            expected = net.state_jacobian(cell, p, x, lag)
            found = jacobian_value(StateJacobian(model, lag), valuation)
            close(found, expected, cell, f"lag {lag} of {steps}", f"seed {seed}")


def moved_states(cell: str, p: dict[str, Any], x: Any, state: Any) -> Any:
    """The last state of d2l or pascanu, from a state at the beginning."""
    for x_t in x:
        if cell == "d2l":
            state = p["W_x"] @ x_t + p["W_h"] @ state
        else:
            state = p["W_h"] @ np.tanh(state) + p["W_x"] @ x_t + p["b_h"]
    return state


@pytest.mark.parametrize("cell", ["d2l", "pascanu"])
def test_values_of_the_cells_of_other_notations(cell: str) -> None:
    """Central differences, extrapolated; and what a textbook says of either."""
    seed, T = 5, 4
    model = model_of(cell, T)
    point = random_matrix_point(model, seed)
    valuation = MatrixValuation(model, point)
    (name,) = model.cell.states
    weight = point.parameters["W_h"]
    product = np.eye(len(weight))
    for lag in range(1, T + 1):
        start, x = valuation.values[name, T - lag][:, 0], point.x[T - lag :]
        last = moved_states(cell, point.parameters, x, start)
        close(last, valuation.values[name, T][:, 0], cell, lag)

        def central(h: float, start: Any = start, x: Any = x) -> Any:
            columns = [
                moved_states(cell, point.parameters, x, start + e) - moved_states(cell, point.parameters, x, start - e)
                for e in h * np.eye(len(start))
            ]
            return np.stack(columns, axis=1) / (2 * h)

        differences = (4 * central(1e-3) - central(2e-3)) / 3
        found = jacobian_value(StateJacobian(model, lag), valuation)
        close(found, differences, cell, f"lag {lag}, seed {seed}", tolerance=1e-9)
        inner = np.eye(len(start)) if cell == "d2l" else np.diag(1 - np.tanh(start) ** 2)
        product = product @ weight @ inner
        close(found, product, cell, f"lag {lag}, seed {seed}")


@pytest.mark.parametrize("lag", [1, 2, 3])
def test_values_in_scalar_form(lag: int) -> None:
    """elman at examples/point.json: Π logistic'(a_t) W_h."""
    values = json.loads((EXAMPLES / "point.json").read_text(encoding="utf-8"))
    model = model_of("elman", form="scalar", activation="logistic")
    h, slopes = values["h_0"], []
    for x in values["x"]:
        h = 1 / (1 + np.exp(-(values["W_h"] * h + values["W_x"] * x + values["b_h"])))
        slopes.append(h * (1 - h))
    expected = np.prod(slopes[-lag:]) * values["W_h"] ** lag
    valuation = MatrixValuation(model, array_point(point_of(values, model)))
    close(jacobian_value(StateJacobian(model, lag), valuation), [[expected]], lag)


@pytest.mark.parametrize("cell", net.CELLS)
def test_scalar_values_are_those_of_a_network_of_size_1(cell: str) -> None:
    seed, T = 11, 3
    p, x, d = net.random_point(cell, seed, dict.fromkeys(SIZES, 1), steps=T)
    model = model_of(cell, T, "scalar")
    numbers = {**{name: value.item() for name, value in p.items()}, "x": x[:, 0].tolist(), "d": d[:, 0].tolist()}
    valuation = MatrixValuation(model, array_point(point_of(numbers, model)))
    for lag in range(1, T + 1):
        found = jacobian_value(StateJacobian(model, lag), valuation)
        close(found, net.state_jacobian(cell, p, x, lag), cell, f"lag {lag}", f"seed {seed}")


def test_the_values_of_the_example_of_an_lstm() -> None:
    values = json.loads((EXAMPLES / "lstm.json").read_text(encoding="utf-8"))
    model = model_of("lstm")
    valuation = MatrixValuation(model, point_of(values, model))
    p = {name: np.array(value) for name, value in values.items() if name not in ("x", "d")}
    for lag in (1, 2, 3):
        expected = net.state_jacobian("lstm", p, np.array(values["x"]), lag)
        close(jacobian_value(StateJacobian(model, lag), valuation), expected, lag)


def test_a_spoiled_row_is_seen() -> None:
    """The numbers come from the table: with another row they are others, so the comparisons above can fail."""
    p, x, d = net.random_point("gru", 1, SIZES, steps=3)
    model = model_of("gru")
    expected = net.state_jacobian("gru", p, x, 2)
    heads = [edge for edge in model.table if edge.tail.name == "h" and edge.lag]
    assert len(heads) == 4  # of h, a_z, a_r and a_n
    for edge in heads:
        spoiled = replace(model, table=tuple(e for e in model.table if e is not edge))
        valuation = MatrixValuation(spoiled, point_of({**p, "x": x, "d": d}, spoiled))
        found = jacobian_value(StateJacobian(spoiled, 2), valuation)
        assert np.abs(found - expected).max() > 1e-3, edge.head


# --- every line ---------------------------------------------------------------------------------------------------


def check_lines(jacobian: StateJacobian, valuation: MatrixValuation, *about: object) -> None:
    """Both sides of every line agree at every step at which the line can be read."""
    T = jacobian.model.steps
    assert jacobian.steps
    for step in jacobian.steps:
        before, after = step.before, step.after
        assert isinstance(before, Written) and isinstance(after, Written)
        name = before.expression
        assert isinstance(name, Derivative)
        back = -(name.wrt.step or 0)  # a joint state is whole from step 0 on
        for t in [0] if step.rule is Rule.STATE_PRODUCT else range(back, T + 1):
            left, right = valuation.of(before.expression, t), valuation.of(after.expression, t)
            close(np.broadcast_to(right, left.shape), left, *about, str(step), f"t={t}", tolerance=1e-10)
        if jacobian.model.form == "matrix" and step.rule is not Rule.JOINT_BLOCKS:  # zeros have no shape
            names = jacobian.model.names
            assert shape_of(before.expression, names) == shape_of(after.expression, names), (about, str(step))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("cell", CELLS)
def test_every_line_holds(cell: str, form: str) -> None:
    """At a random point; and with any σ, at a point where analytic functions stand in for it."""
    for seed, lag in ((1, 1), (2, 2), (3, 4)):
        model = model_of(cell, 4, form)
        check_lines(StateJacobian(model, lag), at_random(model, seed), cell, form, f"lag {lag}", f"seed {seed}")
    abstract = unroll(CELLS[cell], steps=4, form=form)
    if form == "matrix":
        check_lines(StateJacobian(abstract, 3), stand_in_matrix_valuation(abstract, 4), cell, "seed 4")


def test_a_wrong_line_is_seen() -> None:
    """`check_lines` can fail: the blocks of another convention do not hold."""
    model, other = model_of("gru"), model_of("gru-cudnn")
    jacobian = StateJacobian(model, 1)
    wrong = [replace(step, after=theirs.after) for step, theirs in zip(
        jacobian.steps, StateJacobian(other, 1).steps, strict=True)]  # fmt: skip
    valuation = at_random(other, 1)  # it knows every name that either mentions
    (step,) = wrong
    assert isinstance(step.before, Written) and isinstance(step.after, Written)
    right = valuation.of(step.after.expression, 2)
    close(valuation.of(step.before.expression, 2), right)
    left = jacobian.steps[0].after
    assert isinstance(left, Written)
    assert np.abs(valuation.of(left.expression, 2) - right).max() > 1e-3


def test_the_lines_of_several_steps() -> None:
    """The product over the steps in order, newest first; then the blocks of one step, each once."""
    jacobian = StateJacobian(unroll("lstm", steps=5, form="matrix"), 3)
    rules = [step.rule for step in jacobian.steps]
    assert rules == [Rule.STATE_PRODUCT, Rule.JOINT_BLOCKS, *[Rule.BLOCK] * 4]
    assert str(jacobian.steps[0]).startswith("∂𝒮₅/∂𝒮₂ = ∂𝒮₅/∂𝒮₄ ∂𝒮₄/∂𝒮₃ ∂𝒮₃/∂𝒮₂")
    assert str(Written(jacobian.name)) == "∂𝒮₅/∂𝒮₂"
    assert [step.rule for step in StateJacobian(unroll("elman"), 1).steps] == [Rule.BLOCK]
    first = StateJacobian(unroll("elman"), 3).steps[0]
    assert str(first).startswith("∂h₃/∂h₀ = ∂h₃/∂h₂ ∂h₂/∂h₁ ∂h₁/∂h₀")


def test_the_loss_is_none_of_its_business() -> None:
    for loss in ("abstract", "squared", "cross-entropy"):
        steps = StateJacobian(unroll("lstm", form="matrix", loss=loss, losses="last"), 2).steps
        assert list(map(str, steps)) == list(map(str, StateJacobian(unroll("lstm", form="matrix"), 2).steps))


# --- looking further back -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
def test_a_cell_that_looks_two_steps_back(form: str) -> None:
    """∂h_t/∂h_{t−k} = A ∂h_{t−1}/∂h_{t−k} + B ∂h_{t−2}/∂h_{t−k}: a recursion, not a product."""
    model = model_of("lag2", 5, form)
    valuation = at_random(model, 7)
    values = {lag: jacobian_value(StateJacobian(model, lag), valuation) for lag in range(1, 6)}
    blocks = StateJacobian(model, 1).blocks
    one, two = blocks.at("h", "h", 1), blocks.at("h", "h", 2)
    assert one is not None and two is not None and blocks.lags("h") == (1, 2)
    A = {t: valuation.of(one.written, t) for t in range(1, 6)}
    B = {t: valuation.of(two.written, t) for t in range(1, 6)}
    close(values[1], A[5])
    close(values[2], A[5] @ A[4] + B[5])
    close(values[3], A[5] @ (A[4] @ A[3] + B[4]) + B[5] @ A[3])
    assert np.abs(values[2] - A[5] @ A[4]).max() > 1e-3  # the product alone is not it
    lines = [str(step).split("  ")[0] for step in StateJacobian(model, 2).steps]
    assert lines[0] == "∂h₅/∂h₃ = ∂h₅/∂h₄ ∂h₄/∂h₃ + ∂⁺h₅/∂h₃"
    assert lines[2].startswith("∂⁺hₜ/∂hₜ₋₂ = ")
    lines = [str(step).split("  ")[0] for step in StateJacobian(model, 3).steps]
    assert lines[0] == "∂h₅/∂h₂ = ∂h₅/∂h₄ ∂h₄/∂h₂ + ∂⁺h₅/∂h₃ ∂h₃/∂h₂"
    assert str(StateJacobian(model, 1).steps[0]).startswith("∂hₜ/∂hₜ₋₁ = ")


@pytest.mark.parametrize("lag", [1, 2, 3, 4, 5])
def test_lags_of_three_and_a_state_without_lag_one(lag: int) -> None:
    """∂S_T/∂S_{T−k} by central differences of a hand-written pass; k reads h_t, h_{t−2} and k_{t−2}."""
    seed, T = 3, 5
    model = model_of("far", T)
    valuation = at_random(model, seed)
    p, x = valuation.point.parameters, valuation.point.x

    def after(h: dict[int, Any], k: dict[int, Any]) -> Any:
        """From the states up to step T − lag to those of step T."""
        h, k = dict(h), dict(k)
        for t in range(T - lag + 1, T + 1):
            h[t] = np.tanh(p["W"] @ h[t - 1] + p["V"] @ h[t - 3] + p["U"] @ x[t - 1])
            k[t] = np.tanh(p["A"] @ k[t - 2] + p["B"] @ h[t] + p["C"] @ h[t - 2])
        return np.concatenate([{"h": h, "k": k}[state][T] for state in model.cell.states])

    start = T - lag
    known = {key: value[:, 0] for key, value in valuation.values.items() if key[0] in "hk" and key[1] <= start}
    columns = []
    for state in model.cell.states:
        for i in range(len(known[state, start])):
            ends = []
            for h in (1e-4, -1e-4):
                moved = {key: value.copy() for key, value in known.items()}
                moved[state, start][i] += h
                ends.append(after({t: v for (s, t), v in moved.items() if s == "h"},
                                  {t: v for (s, t), v in moved.items() if s == "k"}))  # fmt: skip
            columns.append((ends[0] - ends[1]) / 2e-4)
    found = jacobian_value(StateJacobian(model, lag), valuation)
    close(found, np.stack(columns, axis=1), f"lag {lag}, seed {seed}", tolerance=1e-7)


# --- highways -----------------------------------------------------------------------------------------------------

HIGHWAYS = {
    "lstm": ["c diag(fₜ)"],
    "lstm-peephole": ["c diag(fₜ)"],
    "gru": ["h diag(zₜ)"],
    "gru-cudnn": ["h diag(zₜ)"],
    "named u": ["h diag(zₜ)"],
    "mgu": ["h diag(1 − fₜ)"],
    "residual": ["h I"],
    "leaky": ["h (1 − τ) I"],  # a number, no weight
    "my": ["m diag(kₜ)"],
    "inline": ["h diag(logistic(W hₜ₋₁ + U xₜ))"],  # the same gate as in a GRU, without a name of its own
}


@pytest.mark.parametrize("cell", CELLS)
def test_highways(cell: str) -> None:
    """diag(f_t), diag(z_t), 1 − f_t, I; none for elman, jordan, irnn, linear, lag2, two layers, d2l, pascanu."""
    found = StateJacobian(unroll(CELLS[cell], form="matrix"), 1).highways
    assert [f"{state} {Written(way)!s}" for state, way in found] == HIGHWAYS.get(cell, [])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("h = h[t-1] + x\ny = h", ["h I"]),
        ("h = 0.5 * h[t-1] + W @ x\ny = h", ["h (1/2) I"]),
        ("h = tanh(h[t-1]) + W @ x\ny = h", ["h diag(tanh′(hₜ₋₁))"]),
        ("h = P * h[t-1] + x\ny = h", []),  # a parameter, though no matrix
        ("scalar tau\nh = tau * h[t-1] + x\ny = h", ["h τ I"]),
        ("h = tanh(W @ h[t-1] + x)\ny = h", []),  # its slope holds a weight, and it passes one
        ("a = W @ h[t-1] + x\nh = tanh(a) * h[t-1]\ny = h", ["h diag(tanh(aₜ))"]),
        ("h = tanh(P * h[t-1] + x)\ny = h", []),  # a slope times a parameter
        ("h = k[t-1] + x\nk = h[t-1] + x\ny = h", []),  # none leads from a state to itself
    ],
)
def test_highways_of_other_cells(text: str, expected: list[str]) -> None:
    found = StateJacobian(unroll(text, form="matrix"), 1).highways
    assert [f"{state} {Written(way)!s}" for state, way in found] == expected


def test_highways_in_scalar_form() -> None:
    for cell, expected in {"lstm": "fₜ", "gru": "zₜ", "mgu": "1 − fₜ", "residual": "1"}.items():
        ((_, way),) = StateJacobian(unroll(cell), 1).highways
        assert str(Written(way)) == expected
    for cell in ("elman", "jordan", "linear", "two-layer", "lag2", "irnn", "d2l", "pascanu"):
        assert StateJacobian(unroll(cell), 1).highways == ()


@pytest.mark.parametrize(("cell", "state"), [("lstm", "c"), ("gru", "h"), ("mgu", "h")])
def test_without_weights_on_the_state_only_the_highway_is_left(cell: str, state: str) -> None:
    """With W = 0 for every weight of the state, ∂c_T/∂c_{T−k} is the product of the highway: no W in it."""
    model = model_of(cell, 4)
    point = random_matrix_point(model, 9)
    weights = {name: array * (not name.startswith("W_")) for name, array in point.parameters.items()}
    valuation = MatrixValuation(model, replace(point, parameters=weights))
    jacobian = StateJacobian(model, 3)
    way = dict(jacobian.highways)[state]
    product = np.eye(3)
    for t in (4, 3, 2):
        product = product @ valuation.of(way, t)
    found = jacobian_value(jacobian, valuation)
    place = jacobian.states.index(state) * 3
    block = found[place : place + 3, place : place + 3]
    if cell == "lstm":
        close(block, product)
        return
    # of a GRU with W = 0 the gates and the candidate do not see the state
    close(block, product)


# --- refusals -----------------------------------------------------------------------------------------------------


def test_refusals() -> None:
    model = unroll("lstm", steps=3)
    for lag in (0, -1):
        with pytest.raises(InputError, match=rf"lag is {lag}; it must be a whole number of at least 1"):
            StateJacobian(model, lag)
    with pytest.raises(InputError, match=r"lag 4 looks back beyond the initial state at T = 3; use --steps 4"):
        StateJacobian(model, 4)
    for form in FORMS:
        with pytest.raises(InputError, match="cell has no state, so it has no state Jacobian"):
            StateJacobian(unroll("y = W @ x", form=form), 1)


def test_the_identity_of_a_highway_has_its_size() -> None:
    ((_, way),) = StateJacobian(unroll("residual", form="matrix"), 1).highways
    assert way == Identity("n_h")


def test_every_factor_of_a_block_says_by_which_rule_it_stands_there() -> None:
    block = StateJacobian(unroll("lstm", form="matrix"), 1).blocks.at("c", "h", 1)
    assert block is not None and len(block.ways) == 3
    for _, rules in block.ways:
        assert rules == {LocalRule.COEFFICIENT, LocalRule.SLOPE, LocalRule.MATRIX}
    assert StateJacobian(unroll("lstm"), 2).name.wrt == Quantity("(h,c)", 1)
