"""PyTorch: the module against the recursion over the table, autograd of networks by hand, and gradcheck; training."""

from __future__ import annotations

import ast
import copy
import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from latex_tools import require
from test_compiled import arguments, compare, error
from test_compiled_jax import CASES, ODD, OUTPUTS, a_point, model_of, program_of

from rnn_symbolic.builtin_cells import BUILT_IN
from rnn_symbolic.codegen.compiled import CompiledGradient, compile_gradient
from rnn_symbolic.codegen.loading import load_module
from rnn_symbolic.codegen.torch_backend import TorchBackend
from rnn_symbolic.codegen.torch_source import torch_source
from rnn_symbolic.errors import ForwardOverflow, InputError, NumericalFailure
from rnn_symbolic.model import Model, unroll


@pytest.fixture(scope="module")
def torch():
    require(importlib.util.find_spec("torch") is not None, "PyTorch is not installed; make peers installs it")
    import torch

    return torch


def compiled(source: str | Model, dtype: str = "float64", **options: str) -> CompiledGradient:
    program = program_of(source, **options)
    return CompiledGradient(program, "torch", TorchBackend(program, dtype))


def tensors(torch, point, *, requires_grad: bool = True, dtype=None):
    """params, x, d, state as tensors; all but d require a gradient."""
    params, x, d, state = arguments(point)

    def tensor(value, wanted=requires_grad):
        return torch.tensor(np.asarray(value), dtype=dtype or torch.float64, requires_grad=wanted)

    return ({n: tensor(v) for n, v in params.items()}, tensor(x), tensor(d, wanted=False),
            {n: tensor(v) for n, v in state.items()})  # fmt: skip


# --- numbers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES, ids=["-".join(case) for case in CASES])
def test_every_cell(torch, case):
    f = compiled(model_of(case, 1))
    for steps, batch, each in ((1, None, False), (2, 3, True), (5, 2, False), (5, None, False)):
        model = model_of(case, steps)
        compare(f, model, a_point(model, batch, each=each))


@pytest.mark.parametrize("losses", ["all", "last", "mean"])
@pytest.mark.parametrize("cell", ODD)
def test_odd_cells(torch, cell, losses):
    f = compiled(ODD[cell], losses=losses)
    for steps, batch, each in ((1, None, False), (4, 3, True)):
        model = unroll(ODD[cell], steps=steps, activation="tanh", losses=losses, loss="squared", form="matrix")
        compare(f, model, a_point(model, batch, each=each), 1e-11)


def test_float32(torch):
    model = unroll("lstm", steps=5, activation="tanh", loss="squared", form="matrix")
    f = compiled(model, "float32")
    compare(f, model, a_point(model, 3), 1e-5)
    assert {value.dtype for value in f(*arguments(a_point(model, 3)))[1].values()} == {np.dtype("float32")}


def test_tensors_in_the_place_of_arrays(torch):
    f = compiled("gru")
    point = a_point(f.program.model, None)
    loss, found = f(*tensors(torch, point))
    expected_loss, expected = f(*arguments(point))
    assert loss == expected_loss
    assert all((found[name] == value).all() for name, value in expected.items())


def test_results_are_not_overwritten(torch):
    f = compiled("elman")
    params, x, d, state = arguments(a_point(f.program.model, None))
    _, first = f(params, x, d, state)
    kept = {name: value.copy() for name, value in first.items()}
    _, second = f(params, 2 * x, d, state)
    assert all((first[name] == value).all() for name, value in kept.items())
    assert f(params, x, d, state, out=second)[1] is second
    assert all((second[name] == value).all() for name, value in kept.items())


# --- autograd ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cell", ["elman", "lag2", "lstm-peephole"])
@pytest.mark.parametrize("each", [False, True])
def test_gradcheck(torch, cell, each):
    backend = TorchBackend(program_of(cell, inputs=False, losses="mean"), "float64")
    model = unroll(cell, steps=3, activation="tanh", loss="squared", form="matrix")
    params, x, d, state = tensors(torch, a_point(model, 2, each=each))
    names = [*params, *state]

    def loss(x, *values):
        given = dict(zip(names, values, strict=True))
        return backend.loss({n: given[n] for n in params}, x, d, {n: given[n] for n in state})

    assert torch.autograd.gradcheck(loss, (x, *params.values(), *state.values()))


def elman_by_hand(torch, p, x, d, state):
    h, total = state["h_0"], 0.0
    for t in range(len(x)):
        h = torch.tanh(h @ p["W_h"].T + x[t] @ p["W_x"].T + p["b_h"])
        y = torch.tanh(h @ p["W_y"].T + p["b_y"])
        total = total + ((y - d[t]) ** 2).sum() / 2
    return total


def lstm_by_hand(torch, p, x, d, state):
    h, c, total = state["h_0"], state["c_0"], 0.0
    for t in range(len(x)):
        z = {g: h @ p[f"W_{g}"].T + x[t] @ p[f"U_{g}"].T + p[f"b_{g}"] for g in "figo"}
        c = torch.sigmoid(z["f"]) * c + torch.sigmoid(z["i"]) * torch.tanh(z["g"])
        h = torch.sigmoid(z["o"]) * torch.tanh(c)
        y = torch.tanh(h @ p["W_y"].T + p["b_y"])
        total = total + ((y - d[t]) ** 2).sum() / 2
    return total


@pytest.mark.parametrize("batch", [None, 3])
@pytest.mark.parametrize(("cell", "by_hand"), [("elman", elman_by_hand), ("lstm", lstm_by_hand)])
def test_networks_by_hand(torch, cell, by_hand, batch):
    backend = TorchBackend(program_of(cell), "float64")
    model = unroll(cell, steps=4, activation="tanh", loss="squared", form="matrix")
    given = tensors(torch, a_point(model, batch, each=batch is not None))
    params, x, _, state = given
    leaves = [x, *params.values(), *state.values()]
    expected = torch.autograd.grad(torch.sin(by_hand(torch, *given)), leaves)
    found = torch.autograd.grad(torch.sin(backend.loss(*given)), leaves)  # sin: the gradient that comes in is not 1
    for one, other in zip(found, expected, strict=True):
        assert error(one, other) < 1e-12


def test_gradients_flow_where_they_are_wanted(torch):
    backend = TorchBackend(program_of("lstm", inputs=False), "float64")
    point = a_point(unroll("lstm", steps=3, loss="squared", form="matrix"), None)
    params, x, d, state = tensors(torch, point, requires_grad=False)
    plain = backend.loss(params, x, d, state)
    assert (plain.ndim, plain.requires_grad) == (0, False)
    x.requires_grad_()
    with torch.no_grad():
        assert not backend.loss(params, x, d, state).requires_grad
    backend.loss(params, x, d, state).backward()
    expected = compiled("lstm")(*arguments(point))[1]
    assert error(x.grad, expected["x"]) < 1e-12
    x.requires_grad_(False)
    params["W_f"].requires_grad_()
    found = backend.loss(params, x, d, state)
    found.backward()
    assert error(params["W_f"].grad, expected["W_f"]) < 1e-12
    assert params["U_f"].grad is None
    assert backend.loss(params, x, d).item() != found.item()  # initial states are 0 unless given


def test_types_of_the_arguments(torch):
    backend = TorchBackend(program_of("gru"), "float64")
    point = a_point(unroll("gru", steps=3, activation="tanh", loss="squared", form="matrix"), 2)
    params, x, d, state = tensors(torch, point, dtype=torch.float32)
    assert backend.loss(params, x, d, state).dtype == torch.float32
    mixed = backend.loss(params, x.double(), d, state)
    assert mixed.dtype == torch.float64
    mixed.backward()
    assert {value.grad.dtype for value in params.values()} == {torch.float32}
    expected = compiled("gru")(*arguments(point))[1]
    assert error(params["W_n"].grad.numpy(), expected["W_n"]) < 1e-5
    with torch.autocast("cpu", dtype=torch.bfloat16):
        again = backend.loss(params, x, d, state)
    assert again.item() == backend.loss(params, x, d, state).item()


def test_the_module_runs_on_the_device_of_its_arguments(torch):
    """Tensors without numbers, on the device "meta", refuse to meet tensors of another device."""
    check = "if not (torch.isfinite(loss) and all(finite)):"
    source = torch_source(program_of("lstm"))
    assert check in source
    function = load_module(source.replace(check, "if False:"), "meta").loss_and_gradients
    params, x, d, state = tensors(torch, a_point(unroll("lstm", steps=2, loss="squared", form="matrix"), 2))
    loss, found = function({n: v.to("meta") for n, v in params.items()}, x.to("meta"), d.to("meta"),
                           {n: v.to("meta") for n, v in state.items()})  # fmt: skip
    assert {loss.device.type, *(value.device.type for value in found.values())} == {"meta"}
    assert found["W_f"].shape == params["W_f"].shape


def test_no_second_derivatives(torch):
    backend = TorchBackend(program_of("elman"), "float64")
    params, x, d, state = tensors(torch, a_point(unroll("elman", steps=2, loss="squared", form="matrix"), None))
    with pytest.raises(RuntimeError, match="create_graph=True asks for second derivatives"):
        torch.autograd.grad(backend.loss(params, x, d, state), [params["W_h"]], create_graph=True)


# --- training ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cell", ["elman", "h = tanh(W @ h[t-1] + V @ h[t-2] + U @ x + b)\ny = P @ h + q"])
def test_a_cell_written_as_text_trains(torch, cell):
    """The sum of the inputs so far, of which the network sees one at a time."""
    backend = TorchBackend(program_of(cell, inputs=False, losses="mean", output_activation="identity"), "float32")
    network = backend.module({"n_x": 1, "n_h": 12, "n_y": 1}, seed=1)
    torch.manual_seed(0)
    x = 0.3 * torch.randn(10, 20, 1)
    d = x.cumsum(dim=0)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.02)
    losses = []
    for _ in range(120):
        optimizer.zero_grad()
        loss = network(x, d)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.05 * losses[0]


def test_module(torch):
    backend = TorchBackend(program_of("elman"), "float64")
    sizes = {"n_x": 2, "n_h": 9, "n_y": 3}
    network = backend.module(sizes, seed=4)
    named = dict(network.named_parameters())
    assert {name: tuple(value.shape) for name, value in named.items()} == {
        "W_h": (9, 9), "W_x": (9, 2), "b_h": (9,), "W_y": (3, 9), "b_y": (3,)
    }  # fmt: skip
    assert all(value.dtype == torch.float64 for value in named.values())
    assert all(0.1 < value.abs().max() * value.shape[-1] ** 0.5 <= 1 for value in named.values())
    same, other = backend.module(sizes, seed=4), backend.module(sizes, seed=5)
    assert torch.equal(same.W_h, network.W_h)
    assert not torch.equal(other.W_h, network.W_h)
    other.load_state_dict(network.state_dict())
    x, d = torch.ones(4, 2, dtype=torch.float64), torch.zeros(4, 3, dtype=torch.float64)
    state = {"h_0": torch.full((9,), 0.5, dtype=torch.float64, requires_grad=True)}
    copied = copy.deepcopy(network)
    assert other(x, d, state) == network(x, d, state) == copied(x, d, state)
    network(x, d, state).backward()
    assert copied.W_h.grad is None
    assert state["h_0"].grad.abs().sum() > 0


def test_module_of_a_cell_whose_names_are_taken(torch):
    backend = TorchBackend(program_of("h = tanh(train @ h[t-1] + half @ x + backend)\ny = h * type"), "float64")
    network = backend.module({"n_x": 2, "n_h": 3})
    assert [name for name, _ in network.named_parameters()] == ["train_", "half_", "backend_", "type_"]
    x, d = torch.ones(4, 2, dtype=torch.float64), torch.zeros(4, 3, dtype=torch.float64)
    network(x, d).backward()
    assert network.backend_.grad.abs().sum() > 0


# --- what goes wrong --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sizes", "text"),
    [
        ({"n_x": 2, "n_h": 3}, "the size n_y is missing; expected are n_h, n_x, n_y"),
        ({"n_x": 2, "n_h": 3, "n_y": 1, "n_z": 2}, "'n_z' is no size of elman"),
        ({"n_x": 2, "n_h": 0, "n_y": 1}, "n_h is 0; expected a whole number from 1 on"),
        ({"n_x": 2, "n_h": 2.5, "n_y": 1}, "n_h is 2.5; expected"),
    ],
)
def test_sizes_of_a_module(torch, sizes, text):
    with pytest.raises(InputError, match=text):
        TorchBackend(program_of("elman"), "float64").module(sizes)


def test_arguments_of_the_loss(torch):
    backend = TorchBackend(program_of("elman"), "float64")
    params, x, d, state = tensors(torch, a_point(unroll("elman", steps=2, loss="squared", form="matrix"), None))
    for given, text in (
        ((params, x, d.clone().requires_grad_(), state), "d requires a gradient"),
        ((params, x.detach().numpy(), d, state), "'x' is of the type ndarray; expected a tensor"),
        (({**params, "Wx": x}, x, d, state), "'Wx' is no parameter of elman. Did you mean 'W_x'"),
        (({n: v for n, v in params.items() if n != "b_h"}, x, d, state), "the parameter 'b_h' is missing"),
        ((params, x, d, {"h_1": d}), "'h_1' is no initial state of elman"),
        ((params, x[:, :1], d, state), "n_x = 1"),
    ):
        with pytest.raises(InputError, match=text):
            backend.loss(*given)


def test_overflow_names_the_step(torch):
    cell = "h = exp(h[t-1]) + W @ x\ny = h"
    point = ({"W": [[1.0]]}, np.zeros((6, 1)), np.zeros((6, 1)), {"h_0": [1.0]})
    with pytest.raises(ForwardOverflow, match="the forward pass overflows at step 4: h_4") as caught:
        compiled(cell)(*point)
    with pytest.raises(ForwardOverflow) as expected:
        compile_gradient(cell)(*point)
    assert str(caught.value) == str(expected.value)
    params, x, d, state = point
    with pytest.raises(ForwardOverflow, match="at step 4"):
        TorchBackend(program_of(cell), "float64").loss(
            {name: torch.tensor(value, dtype=torch.float64, requires_grad=True) for name, value in params.items()},
            torch.tensor(x), torch.tensor(d), {name: torch.tensor(v).double() for name, v in state.items()},
        )  # fmt: skip


def test_overflow_of_the_gradient(torch):
    cell = "h = W @ h[t-1] + x\ny = h\nloss = sum(y * d)"
    point = ({"W": [[1e200]]}, np.zeros((4, 1)), np.ones((4, 1)))
    with pytest.raises(NumericalFailure, match="the gradient overflows at step ") as caught:
        compiled(cell)(*point)
    with pytest.raises(NumericalFailure) as expected:
        compile_gradient(cell, inputs=True)(*point)
    assert str(caught.value) == str(expected.value)


def test_scalar_form(torch):
    with pytest.raises(InputError, match="target 'torch' has no scalar form"):
        TorchBackend(program_of("elman", form="scalar"), "float64")


def test_missing_torch(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(InputError, match=r"target 'torch' needs PyTorch.*pip install 'rnn-symbolic\[torch\]'.*'numpy'"):
        TorchBackend(program_of("elman"), "float64")


# --- the text ---------------------------------------------------------------------------------------------------------


def test_the_module_needs_only_torch():
    for cell in ("lstm", "two-layer"):
        tree = ast.parse(torch_source(program_of(cell)))
        imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
        named = {node.module if isinstance(node, ast.ImportFrom) else node.names[0].name for node in imports}
        assert named == {"torch", "functools"}


def test_the_backward_pass_is_the_derived_one():
    source = torch_source(program_of("lstm"))
    assert "@torch.no_grad()\ndef loss_and_gradients(" in source
    assert ".backward(" not in source
    assert "# cₜ = fₜ ⊙ cₜ₋₁ + iₜ ⊙ gₜ\n        c[t] = f[t] * c_before[t] + i[t] * g[t]\n" in source
    assert ": W v hands Wᵀ to v\n        dh_before[t] += da_all[t] @ W_all\n" in source


def test_the_text_is_clean(tmp_path):
    ruff = Path(sys.executable).with_name("ruff")
    found = str(ruff) if ruff.exists() else shutil.which("ruff")
    require(found is not None, "ruff is not installed; make lint installs it")
    for number, text in enumerate((*BUILT_IN.values(), *ODD.values())):
        for losses, output, loss in OUTPUTS:
            program = program_of(text, inputs=losses != "all", losses=losses, output_activation=output, loss=loss)
            (tmp_path / f"cell_{number}_{losses}.py").write_text(torch_source(program), encoding="utf-8")
    for command in (["check"], ["format", "--check"]):
        run = subprocess.run([str(found), *command, "--isolated", "--no-cache", str(tmp_path)], capture_output=True,
                             text=True, check=False)  # fmt: skip
        assert run.returncode == 0, run.stdout + run.stderr
