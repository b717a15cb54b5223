"""PyTorch as a peer: nn.RNN, nn.LSTM and nn.GRU with copied weights, float64, forward and every gradient.

    torch's RNN, LSTM:  W_ih x + b_ih + W_hh h' + b_hh          two biases, ours is their sum
    torch's GRU:        n = tanh(W_in x + b_in + r ⊙ (W_hn h' + b_hn)),  h = (1 − z) ⊙ n + z ⊙ h'     "gru-cudnn"

Torch stacks its gates by rows: i, f, g, o and r, z, n. `make peers` installs it; without it these tests are
skipped, or fail where the tools are required.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from typing import Any

import networks
import numpy as np
import pytest
import torch_autograd
from latex_tools import require
from networks import CELLS, random_point

import rnn_symbolic
from rnn_symbolic.builtin_cells import BUILT_IN
from rnn_symbolic.matrix_valuation import random_matrix_point

TORCH = {  # our cell: torch's module, its gates in the order of its rows
    "elman": ("RNN", [""]),
    "lstm": ("LSTM", ["i", "f", "g", "o"]),
    "gru-cudnn": ("GRU", ["r", "z", "n"]),
}
OUTPUTS = [
    ("identity", "squared"),
    ("logistic", "squared"),
    ("softmax", "cross-entropy"),
    ("logistic", "cross-entropy"),
]
BATCHES = [(None, False), (1, False), (3, False), (3, True)]  # size, an initial state for each sample?
SIZES = [{"n_x": 2, "n_h": 3, "n_y": 4}, {"n_x": 4, "n_h": 2, "n_y": 1}, {"n_x": 1, "n_h": 1, "n_y": 1}]


# --- what is compared with torch: the package's matrix form -------


def package_gradients(cell: str, values: Mapping[str, Any], **options: str) -> tuple[float, dict[str, Any]]:
    """L and its gradients by name, from the package; ``values`` as in a --values file, nested lists.

    The only place here that knows the package.
    """
    from rnn_symbolic.gradients import gradients_at

    choices = {"activation": "tanh", "output_activation": "identity", "loss": "squared", **options}
    model = rnn_symbolic.unroll(cell, steps=len(values["x"]), form="matrix", **choices)
    found = gradients_at(model, values)
    assert found.input_gradients is not None
    return found.loss, {**found, "x": found.input_gradients}


# --- torch -------


@pytest.fixture(scope="module")
def torch() -> Any:
    require(importlib.util.find_spec("torch") is not None, "PyTorch is not installed; make peers installs it")
    import torch

    return torch


def pieces(cell: str, gate: str) -> tuple[str, str, str, str]:
    """Our names of weight_hh, weight_ih, bias_ih and bias_hh of one gate; "" where ours has no second bias."""
    if cell == "elman":
        return "W_h", "W_x", "b_h", ""
    return f"W_{gate}", f"U_{gate}", f"b_{gate}", "c_n" if (cell, gate) == ("gru-cudnn", "n") else ""


def torch_gradients(
    torch: Any, cell: str, p: Any, x: Any, d: Any, output: str, loss: str, losses: str = "all"
) -> tuple[float, Any, dict[str, Any]]:
    """L, the hidden states over time, and the gradients under our names, all from torch.

    Where torch has two biases for one of ours each gets a part of it, and both must have the same gradient.
    """
    kind, gates = TORCH[cell]
    n_h, n_x = len(p["h_0"].T), x.shape[-1]
    module = getattr(torch.nn, kind)(n_x, n_h).double()
    names = [pieces(cell, gate) for gate in gates]
    rows: dict[str, list[Any]] = {"weight_hh_l0": [], "weight_ih_l0": [], "bias_ih_l0": [], "bias_hh_l0": []}
    for w, u, b, c in names:
        rows["weight_hh_l0"].append(p[w])
        rows["weight_ih_l0"].append(p[u])
        rows["bias_ih_l0"].append(p[b] if c else 0.3 * p[b])
        rows["bias_hh_l0"].append(p[c] if c else 0.7 * p[b])
    with torch.no_grad():
        for name, parts in rows.items():
            getattr(module, name).copy_(torch.from_numpy(np.concatenate(parts)))
    leaves = {name: torch.tensor(p[name], requires_grad=True) for name in ("W_y", "b_y", *CELLS[cell].initial)}
    leaves["x"] = torch.tensor(x, requires_grad=True)
    start = [leaves[name].expand(1, *x.shape[1:-1], n_h).contiguous() for name in CELLS[cell].initial]
    hidden, _ = module(leaves["x"], tuple(start) if cell == "lstm" else start[0])

    o, target = hidden @ leaves["W_y"].T + leaves["b_y"], torch.tensor(d)
    if losses == "last":
        o, target = o[-1:], target[-1:]
    functional = torch.nn.functional
    if loss == "squared":
        y = {"identity": lambda z: z, "logistic": torch.sigmoid}[output](o)
        total = functional.mse_loss(y, target, reduction="sum") / 2
    elif output == "logistic":
        total = functional.binary_cross_entropy_with_logits(o, target, reduction="sum")
    else:
        flat = o.reshape(-1, o.shape[-1]), target.reshape(-1, o.shape[-1])
        total = functional.cross_entropy(*flat, reduction="sum")
    total.backward()

    found = {name: leaf.grad.numpy() for name, leaf in leaves.items()}
    chunks = {name: getattr(module, name).grad.chunk(len(gates)) for name in rows}
    for k, (w, u, b, c) in enumerate(names):
        found[w], found[u] = chunks["weight_hh_l0"][k].numpy(), chunks["weight_ih_l0"][k].numpy()
        found[b] = chunks["bias_ih_l0"][k].numpy()
        second = chunks["bias_hh_l0"][k].numpy()
        if c:
            found[c] = second
        else:
            np.testing.assert_allclose(second, found[b], rtol=1e-12, atol=1e-14)
    return total.item(), hidden.detach().numpy(), found


def close(found: Any, expected: Any, case: str) -> None:
    assert np.shape(found) == np.shape(expected), f"{case}: shapes {np.shape(found)} and {np.shape(expected)}"
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-10, err_msg=case)


# --- the hand-written networks against torch -------


@pytest.mark.parametrize("losses", ["all", "last"])
@pytest.mark.parametrize(("output", "loss"), OUTPUTS)
@pytest.mark.parametrize(("batch", "per_sample"), BATCHES)
@pytest.mark.parametrize("cell", TORCH)
def test_hand_written_networks_equal_torch(torch, cell, batch, per_sample, output, loss, losses):
    for seed, sizes in enumerate(SIZES):
        distribution = output == "softmax"  # torch wants targets that sum to 1
        p, x, d = random_point(cell, seed, sizes, 3, batch, distribution=distribution, state_per_sample=per_sample)
        options = {"output": output, "loss": loss, "losses": losses}
        total, hidden, expected = torch_gradients(torch, cell, p, x, d, **options)
        case = f"{cell}, {options}, batch {batch}, {sizes}, seed {seed}"
        assert networks.loss(cell, p, x, d, **options).real == pytest.approx(total, rel=1e-12), case
        close(np.array([step["h"].real for step in networks.states(cell, p, x)]), hidden, f"{case}: states")
        found = networks.gradients(cell, p, x, d, **options)
        assert set(found) == set(expected), case
        for name, value in found.items():
            close(value, expected[name], f"{case}: {name}")


@pytest.mark.parametrize(
    ("cell", "swapped"), [("lstm", ("i", "f")), ("lstm", ("f", "g")), ("lstm", ("g", "o")), ("gru-cudnn", ("r", "z"))]
)
def test_torch_sees_a_wrong_order_of_gates(torch, cell, swapped, monkeypatch):
    kind, gates = TORCH[cell]
    other = dict(zip(swapped, reversed(swapped), strict=True))
    p, x, d = random_point(cell, 4)
    monkeypatch.setitem(TORCH, cell, (kind, [other.get(gate, gate) for gate in gates]))
    total, _, _ = torch_gradients(torch, cell, p, x, d, "identity", "squared")
    assert abs(total - networks.loss(cell, p, x, d, output="identity").real) > 1e-3


def test_torch_resets_after_the_product(torch):
    p, x, d = random_point("gru-cudnn", 5)
    p["c_n"] = 0 * p["c_n"]
    total, _, _ = torch_gradients(torch, "gru-cudnn", p, x, d, "identity", "squared")
    before = networks.loss("gru", {name: value for name, value in p.items() if name != "c_n"}, x, d, output="identity")
    assert abs(total - before.real) > 1e-3


# --- the package against torch -------


@pytest.mark.parametrize(("output", "loss"), OUTPUTS)
@pytest.mark.parametrize(("batch", "per_sample"), BATCHES)
@pytest.mark.parametrize("cell", TORCH)
def test_the_package_equals_torch(torch, cell, batch, per_sample, output, loss):
    for seed, sizes in enumerate(SIZES, 10):
        if output == "softmax" and sizes["n_y"] == 1:
            continue  # y = 1 whatever the parameters are
        distribution = output == "softmax"
        p, x, d = random_point(cell, seed, sizes, 3, batch, distribution=distribution, state_per_sample=per_sample)
        expected_total, _, expected = torch_gradients(torch, cell, p, x, d, output, loss)
        values = {name: value.tolist() for name, value in {**p, "x": x, "d": d}.items()}
        total, found = package_gradients(cell, values, output_activation=output, loss=loss)
        case = f"{cell}, {output}, {loss}, batch {batch}, {sizes}, seed {seed}"
        assert total == pytest.approx(expected_total, rel=1e-10), case
        assert {*p, "x"} <= set(found), case
        for name in (*p, "x"):
            close(found[name], expected[name], f"{case}: {name}")


# --- every built-in cell, differentiated by PyTorch -------

QUICK = ("elman", "lag2", "gru")  # compiled to C and by XLA; the others belong to the long sweeps


@pytest.mark.parametrize(
    ("cell", "target"),
    [
        pytest.param(cell, target, marks=[] if target in ("numpy", "torch") or cell in QUICK else [pytest.mark.slow])
        for cell in BUILT_IN
        for target in ("numpy", "c", "jax", "torch")
    ],
)
def test_compiled_gradients_equal_autograd(torch, cell, target, tmp_path_factory, monkeypatch):
    """The text of the cell, read by Python's parser, run and differentiated by PyTorch."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("RNN_SYMBOLIC_CACHE", str(folder))
    if target == "jax":
        require(importlib.util.find_spec("jax") is not None, "JAX is not installed; make peers installs it")
    model = rnn_symbolic.unroll(cell, steps=5, activation="tanh", output_activation="logistic", loss="squared",
                                form="matrix")  # fmt: skip
    point = random_matrix_point(model, 4, None, 3)
    state = {f"{name}_{step}": value for (name, step), value in point.initial.items()}
    given = dict(point.parameters), np.asarray(point.x), np.asarray(point.d), state
    for losses in ("all", "last") if target in ("numpy", "c") else ("all",):
        f = rnn_symbolic.compile_gradient(
            cell, target=target, losses=losses, activation="tanh", output_activation="logistic", inputs=True
        )
        expected_loss, expected = torch_autograd.gradients(
            BUILT_IN[cell], *given, activation="tanh", output="logistic", losses=losses
        )
        loss, found = f(*given)
        assert loss == pytest.approx(expected_loss, rel=1e-12)
        for name, value in expected.items():
            error = np.abs(found[name] - value).max() / max(np.abs(value).max(), 1e-300)
            assert error < 1e-12, (name, losses)
