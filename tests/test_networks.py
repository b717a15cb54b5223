"""The hand-written networks are themselves right: against the scalar ones, against each other, against differences."""

from __future__ import annotations

import ast
import math
import sys
from pathlib import Path

import networks as net
import numpy as np
import oracle
import pytest
import textbook
from networks import CELLS, gradient, gradients, loss, random_point, state_jacobian, states, trajectory

ONE = {"n_x": 1, "n_h": 1, "n_y": 1, "n_s": 1}
CHOICES = [
    {},
    {"losses": "last"},
    {"loss": "cross-entropy"},
    {"activation": "logistic", "output": "softmax", "loss": "cross-entropy"},
    {"activation": "sin", "output": "softmax"},
    {"activation": "softplus", "output": "identity"},
    {"activation": "relu", "output": "tanh"},
    {"activation": "identity", "output": "softplus", "loss": "cross-entropy", "losses": "last"},
]


def choices_of(cell, options):
    """``options`` without the cross-entropy of outputs below zero."""
    return options if CELLS[cell].output != "identity" else {**options, "loss": "squared"}


def close(found, expected, case, tolerance=1e-12):
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance, err_msg=str(case))


# --- the scalar networks of the other tests ---

TEXTBOOK = {  # our cell: the hand-written scalar one, its output, and its names for our parameters
    "lstm": ("lstm", "identity", {"W_o": "W_q", "U_o": "U_q", "b_o": "b_q"}),
    "gru": ("gru", "identity", {}),
    "jordan": ("jordan", "logistic", {"W_h": "W_o", "W_y": "V_y"}),
    "lag2": ("lag2 tanh", "identity", {}),
    "residual": ("residual tanh", "identity", {}),
}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("cell", TEXTBOOK)
def test_size_one_is_the_scalar_network(cell, seed):
    other, output, names = TEXTBOOK[cell]
    p, x, d = random_point(cell, seed, ONE, steps=4)
    scalars = {names.get(name, name): value.item() for name, value in p.items()}
    sequences = x[:, 0].tolist(), d[:, 0].tolist()
    case = f"{cell} at seed {seed}"
    close(loss(cell, p, x, d, output=output), textbook.FORWARD[other](scalars, *sequences), case)
    for name in p:
        expected = textbook.by_complex_step(other, scalars, *sequences, names.get(name, name))
        close(gradient(cell, p, x, d, name, output=output).item(), expected, f"{case}, {name}")
    for t in range(4):
        expected = textbook.by_complex_step(other, scalars, *sequences, f"x_{t + 1}")
        close(gradient(cell, p, x, d, "x", output=output)[t, 0], expected, f"{case}, x_{t + 1}")


@pytest.mark.parametrize("losses", ["all", "last"])
@pytest.mark.parametrize("activation", net.ACTIVATIONS)
@pytest.mark.parametrize(
    ("output", "kind"), [("tanh", "squared"), ("logistic", "cross-entropy"), ("softplus", "cross-entropy")]
)
def test_elman_of_size_one(activation, output, kind, losses):
    p, x, d = random_point("elman", 5, ONE, steps=4)
    values = {**{name: value.item() for name, value in p.items()}, "x": x[:, 0].tolist(), "d": d[:, 0].tolist()}
    options = {"activation": activation, "output": output, "loss": kind, "losses": losses}
    close(loss("elman", p, x, d, **options), oracle.elman_loss(values, **options), options)


# --- one network written as another ---


def both(first, second, case, **options):
    """Two (cell, p, x, d) have the same L and the same outputs."""
    close(loss(*first, **options), loss(*second, **options), case)
    kept = {key: value for key, value in options.items() if key in ("activation", "output")}
    for a, b in zip(trajectory(*first[:3], **kept), trajectory(*second[:3], **kept), strict=True):
        close(a["y"], b["y"], case)


def without(p, *names):
    return {name: value for name, value in p.items() if name not in names}


@pytest.mark.parametrize("batch", [None, 3])
def test_cells_that_become_another(batch):
    p, x, d = random_point("irnn", 1, batch=batch)
    both(("irnn", p, x, d), ("elman", p, x, d), "irnn", activation="relu")
    with pytest.raises(AssertionError):
        both(("irnn", p, x, d), ("elman", p, x, d), "another activation", activation="tanh")

    p, x, d = random_point("linear", 2, batch=batch)
    both(("linear", p, x, d), ("elman", p, x, d), "linear", activation="identity", output="identity")
    skipping = {**p, "W_h": p["W_h"] - np.eye(3)}
    both(("linear", p, x, d), ("residual", skipping, x, d), "skip", activation="identity", output="identity")

    p, x, d = random_point("lag2", 3, batch=batch)
    p = {**p, "V_h": 0 * p["V_h"]}
    both(("lag2", p, x, d), ("elman", without(p, "V_h", "h_-1"), x, d), "lag2")

    p, x, d = random_point("lstm-peephole", 4, batch=batch)
    p = {name: 0 * value if name.startswith("P_") else value for name, value in p.items()}
    both(("lstm-peephole", p, x, d), ("lstm", without(p, "P_f", "P_i", "P_o"), x, d), "no peepholes")

    p, x, d = random_point("mgu", 5, batch=batch)
    tied = without(p, "W_f", "U_f", "b_f")
    tied |= {f"{kind}_r": p[f"{kind}_f"] for kind in "WUb"} | {f"{kind}_z": -p[f"{kind}_f"] for kind in "WUb"}
    both(("mgu", p, x, d), ("gru", tied, x, d), "z = 1 − f, r = f")


@pytest.mark.parametrize("batch", [None, 3])
def test_feeding_an_identity_output_back_is_feeding_the_state_back(batch):
    p, x, d = random_point("elman", 6, batch=batch)
    options = {"output": "identity"}
    jordan = {**without(p, "h_0"), "y_0": p["W_y"] @ p["h_0"] + p["b_y"], "W_h": 0.5 * np.ones((3, 4))}
    elman = {**p, "W_h": jordan["W_h"] @ p["W_y"], "b_h": p["b_h"] + jordan["W_h"] @ p["b_y"]}
    both(("jordan", jordan, x, d), ("elman", elman, x, d), "jordan", **options)


@pytest.mark.parametrize("batch", [None, 3])
def test_two_layers_are_two_networks(batch):
    p, x, d = random_point("two-layer", 7, batch=batch)
    first = {"W_y": np.eye(3), "b_y": np.zeros(3), **{name: p[name] for name in ("W_h", "W_x", "b_h", "h_0")}}
    between = np.array([step["h"].real for step in states("elman", first, x)])
    second = {"W_h": p["W_s"], "W_x": p["U_s"], "b_h": p["b_s"], "h_0": p["s_0"], "W_y": p["W_y"], "b_y": p["b_y"]}
    both(("two-layer", p, x, d), ("elman", second, between, d), "two layers")


def test_the_two_resets_agree_at_size_one_and_nowhere_else():
    p, x, d = random_point("gru-cudnn", 8, ONE)
    p = {**p, "c_n": 0 * p["c_n"]}
    both(("gru-cudnn", p, x, d), ("gru", without(p, "c_n"), x, d), "scalar")
    p, x, d = random_point("gru-cudnn", 8)
    p = {**p, "c_n": 0 * p["c_n"]}
    assert abs(loss("gru-cudnn", p, x, d) - loss("gru", without(p, "c_n"), x, d)) > 1e-4


def test_gates_wide_open_and_shut():
    """Large biases make the gates 0 or 1: an LSTM keeps its cell, a GRU its state, an MGU takes the new one."""
    p, x, _ = random_point("lstm", 9)
    kept = {**p, "b_f": p["b_f"] + 50, "b_i": p["b_i"] - 50, "b_o": p["b_o"] + 50}
    for step in states("lstm", kept, x):
        close(step["c"], p["c_0"], "lstm")
        close(step["h"], np.tanh(p["c_0"]), "lstm")
    p, x, _ = random_point("lstm-peephole", 9)
    shut = {**p, "P_o": -99 * np.sign(trajectory("lstm-peephole", p, x)[0]["c"].real)}  # o sees the new c
    assert np.all(np.abs(states("lstm-peephole", shut, x)[0]["h"]) < 0.05)
    for cell in ("gru", "gru-cudnn"):
        p, x, _ = random_point(cell, 9)
        close(states(cell, {**p, "b_z": p["b_z"] + 50}, x)[-1]["h"], p["h_0"], cell)
    p, x, _ = random_point("mgu", 9)
    elman = {"W_h": p["W_n"], "W_x": p["U_n"], "b_h": p["b_n"], **{name: p[name] for name in ("W_y", "b_y", "h_0")}}
    close(states("mgu", {**p, "b_f": p["b_f"] + 50}, x)[-1]["h"], states("elman", elman, x)[-1]["h"], "mgu")


def test_linear_states_in_closed_form():
    p, x, _ = random_point("linear", 10, steps=3)
    u = x @ p["W_x"].T + p["b_h"]
    w = p["W_h"]
    expected = w @ w @ w @ p["h_0"] + w @ w @ u[0] + w @ u[1] + u[2]
    close(states("linear", p, x)[-1]["h"], expected, "seed 10")


# --- losses ---


@pytest.mark.parametrize("name", net.OUTPUTS)
def test_functions_far_from_zero(name):
    z = np.array([-30.0, -5.0, -0.1, 0.2, 4.0, 25.0])
    expected = {
        "softplus": [math.log1p(math.exp(v)) for v in z],
        "logistic": [math.exp(v) / (1 + math.exp(v)) for v in z],
        "softmax": [math.exp(v) / sum(map(math.exp, z)) for v in z],
        "tanh": [math.tanh(v) for v in z],
        "relu": [max(0.0, v) for v in z],
        "sin": [math.sin(v) for v in z],
        "identity": z,
    }
    np.testing.assert_allclose(net.OUTPUTS[name](z + 0j).real, expected[name], rtol=1e-14)


def test_losses_by_hand():
    y, d = np.array([0.2, 0.7]), np.array([0.5, 0.4])
    assert net.step_loss(y, d, "squared", "logistic") == pytest.approx((0.3**2 + 0.3**2) / 2)
    expected = -(0.5 * math.log(0.2) + 0.4 * math.log(0.7))
    assert net.step_loss(y, d, "cross-entropy", "softmax") == pytest.approx(expected)
    expected -= 0.5 * math.log(0.8) + 0.6 * math.log(0.3)
    assert net.step_loss(y, d, "cross-entropy", "logistic") == pytest.approx(expected)


@pytest.mark.parametrize("distribution", [True, False])
@pytest.mark.parametrize("output", ["softmax", "logistic"])
def test_cross_entropy_collapses(output, distribution):
    """∂L/∂b_y = Σ (Σd) p − d for softmax, Σ y − d for logistic."""
    p, x, d = random_point("elman", 11, steps=2, batch=3, distribution=distribution)
    y = np.array([step["y"].real for step in trajectory("elman", p, x, output=output)])
    if output == "softmax":
        close(y.sum(axis=-1), 1, "softmax")
        y = y * d.sum(axis=-1, keepdims=True)
    found = gradient("elman", p, x, d, "b_y", output=output, loss="cross-entropy")
    close(found, (y - d).sum(axis=(0, 1)), f"{output}, seed 11")


# --- derivatives ---


@pytest.mark.parametrize("options", CHOICES, ids=str)
@pytest.mark.parametrize(("batch", "per_sample"), [(None, False), (3, False), (3, True)])
@pytest.mark.parametrize("cell", CELLS)
def test_complex_steps_equal_central_differences(cell, batch, per_sample, options):
    options, seed, eps = choices_of(cell, options), 12, 1e-5
    p, x, d = random_point(cell, seed, batch=batch, state_per_sample=per_sample)
    random = np.random.default_rng(seed)
    at = abs(loss(cell, p, x, d, **options))
    for name, found in gradients(cell, p, x, d, **options).items():
        entry = x if name == "x" else p[name]
        assert found.shape == entry.shape
        direction = random.choice([-1.0, 1.0], entry.shape)  # every coordinate counts
        sides = []
        for sign in (1, -1):
            moved = entry + sign * eps * direction
            sides.append(
                loss(cell, p, moved, d, **options) if name == "x" else loss(cell, {**p, name: moved}, x, d, **options)
            )
        difference = ((sides[0] - sides[1]) / (2 * eps)).real
        case = f"{cell}, {name}, {options}, seed {seed}"
        assert np.sum(found * direction) == pytest.approx(difference, rel=1e-6, abs=1e-7 * max(1, at)), case


@pytest.mark.parametrize("cell", CELLS)
def test_every_entry_has_a_gradient(cell):
    """No parameter is read by mistake in the place of another: each has a gradient of its own, nowhere zero."""
    found = gradients(cell, *random_point(cell, 13))
    for name, value in found.items():
        assert np.all(np.abs(value) > 1e-12), f"{cell}, {name}, seed 13"
    norms = [np.linalg.norm(value) for value in found.values()]
    assert len({f"{norm:.12e}" for norm in norms}) == len(norms), f"{cell}, seed 13"


@pytest.mark.parametrize("cell", CELLS)
def test_a_batch_is_the_sum_of_its_samples(cell):
    p, x, d = random_point(cell, 14, batch=3)
    samples = [(x[:, b], d[:, b]) for b in range(3)]
    close(loss(cell, p, x, d), sum(loss(cell, p, *sample) for sample in samples), cell)
    for name in p:
        expected = sum(gradient(cell, p, *sample, name) for sample in samples)
        close(gradient(cell, p, x, d, name), expected, f"{cell}, {name}")
    per_sample, x, d = random_point(cell, 14, batch=3, state_per_sample=True)
    initial = CELLS[cell].initial
    for name in (*initial, "x"):
        found = gradient(cell, per_sample, x, d, name)
        for b in range(3):
            alone = {key: value[b] if key in initial else value for key, value in per_sample.items()}
            expected = gradient(cell, alone, x[:, b], d[:, b], name)
            close(found[:, b] if name == "x" else found[b], expected, f"{cell}, {name}, sample {b}")


# --- the state Jacobian ---


@pytest.mark.parametrize("cell", CELLS)
def test_state_jacobians_equal_central_differences(cell):
    """Lag T: the states at T as functions of the initial ones."""
    p, x, _ = random_point(cell, 15)
    eps, columns = 1e-5, []
    for state in CELLS[cell].states:
        for i in range(p[f"{state}_0"].size):
            ends = []
            for sign in (1, -1):
                moved = p[f"{state}_0"].copy()
                moved[i] += sign * eps
                last = states(cell, {**p, f"{state}_0": moved}, x)[-1]
                ends.append(np.concatenate([last[name].real for name in CELLS[cell].states]))
            columns.append((ends[0] - ends[1]) / (2 * eps))
    close(state_jacobian(cell, p, x, 3), np.stack(columns, axis=1), f"{cell}, seed 15", 1e-7)


@pytest.mark.parametrize("cell", [name for name, cell in CELLS.items() if cell.lag == 1])
def test_state_jacobians_multiply(cell):
    p, x, _ = random_point(cell, 16, steps=4)
    one, two = (state_jacobian(cell, p, x[:steps]) for steps in (4, 3))
    close(state_jacobian(cell, p, x, 2), one @ two, f"{cell}, seed 16")
    if cell != "linear":  # whose Jacobian is W_h at every step
        assert not np.allclose(two @ one, one @ two)


def test_state_jacobians_in_closed_form():
    p, x, _ = random_point("elman", 17)
    h = states("elman", p, x)[-1]["h"].real
    close(state_jacobian("elman", p, x), np.diag(1 - h**2) @ p["W_h"], "elman")

    p, x, _ = random_point("residual", 17)
    was, now = (step["h"].real for step in states("residual", p, x)[-2:])
    close(state_jacobian("residual", p, x), np.eye(3) + np.diag(1 - (now - was) ** 2) @ p["W_h"], "residual")

    p, x, _ = random_point("lag2", 17)
    one, two = (step["h"].real for step in states("lag2", p, x)[-2:])
    jacobians = [np.diag(1 - h**2) @ p["W_h"] for h in (one, two)]
    close(state_jacobian("lag2", p, x), jacobians[1], "lag2, one step")
    expected = jacobians[1] @ jacobians[0] + np.diag(1 - two**2) @ p["V_h"]
    close(state_jacobian("lag2", p, x, 2), expected, "lag2: over the step between, and past it")

    p, x, _ = random_point("two-layer", 17)
    found = state_jacobian("two-layer", p, x)
    assert found.shape == (8, 8)
    assert np.all(found[:3, 3:] == 0), "the first layer does not read the second"


def test_the_blocks_of_an_lstm():
    p, x, _ = random_point("lstm", 18)
    before, last = states("lstm", p, x)[-2:]
    h, old, c = before["h"].real, before["c"].real, last["c"].real
    a = {k: p[f"W_{k}"] @ h + p[f"U_{k}"] @ x[-1] + p[f"b_{k}"] for k in "figo"}
    f, i, o = (1 / (1 + np.exp(-a[k])) for k in "fio")
    g = np.tanh(a["g"])
    through = np.diag(old * f * (1 - f)) @ p["W_f"] + np.diag(g * i * (1 - i)) @ p["W_i"]
    through += np.diag(i * (1 - g**2)) @ p["W_g"]
    q = o * (1 - np.tanh(c) ** 2)
    own = np.diag(np.tanh(c) * o * (1 - o)) @ p["W_o"] + np.diag(q) @ through
    expected = np.block([[own, np.diag(q * f)], [through, np.diag(f)]])
    close(state_jacobian("lstm", p, x), expected, "rows and columns h, c; seed 18")


# --- what it refuses ---


def test_what_does_not_fit_is_refused():
    p, x, d = random_point("lstm", 19, batch=2)
    for wrong in (
        without(p, "c_0"),
        {**p, "W": p["W_f"]},
        {**p, "b_f": p["b_f"][:1]},
        {**p, "U_g": p["U_g"].T},
        {**p, "W_y": p["W_y"][:, :2]},
        {**p, "h_0": np.ones((3, 3))},
    ):
        with pytest.raises(ValueError, match=r"shape|missing"):
            loss("lstm", wrong, x, d)
    for wrong in (d[:, 0], d[:2], d[..., :1]):
        with pytest.raises(ValueError, match="d has shape"):
            loss("lstm", p, x, wrong)
    with pytest.raises(ValueError, match="x has shape"):
        loss("lstm", p, x[0, 0], d)
    for lag in (0, 4):
        with pytest.raises(ValueError, match="lag"):
            state_jacobian("lstm", random_point("lstm", 19)[0], x[:, 0], lag)
    with pytest.raises(ValueError, match="no batch"):
        state_jacobian("lstm", p, x)


def test_nothing_of_the_package_is_used():
    tree = ast.parse(Path(net.__file__).read_text(encoding="utf-8"))
    names = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert "numpy" in names
    assert {name.split(".")[0] for name in names} - sys.stdlib_module_names == {"numpy"}
