"""JAX: the printed module against the recursion over the table, JAX's own derivatives, and ruff.

The wheels of JAX are large, so the tests are skipped without it, or fail where the tools are required.
"""

from __future__ import annotations

import ast
import importlib.util
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from latex_tools import require
from test_compiled import arguments, compare, error

from rnn_symbolic.builtin_cells import BUILT_IN
from rnn_symbolic.codegen.compiled import CompiledGradient, compile_gradient
from rnn_symbolic.codegen.jax_backend import JaxBackend
from rnn_symbolic.codegen.jax_source import jax_source
from rnn_symbolic.concrete import concrete
from rnn_symbolic.errors import ForwardOverflow, InputError, NumericalFailure
from rnn_symbolic.gradients import gradients_at
from rnn_symbolic.matrix_valuation import random_matrix_point
from rnn_symbolic.model import Model, unroll
from rnn_symbolic.program import Program, build_program

OUTPUTS = [("all", "tanh", "squared"), ("last", "logistic", "cross-entropy"), ("mean", "softmax", "cross-entropy")]
CASES = [(cell, *options) for cell in BUILT_IN for options in OUTPUTS]
ODD = {  # each has a trap: see its name
    "three lags": "h = tanh(W @ h[t-1] + V @ h[t-3] + U @ x)\ny = P @ h\n",
    "two states, two lags": "h = tanh(W @ s[t-2] + U @ x + h[t-1] / 3)\ns = tanh(V @ h + s[t-1] * g)\ny = P @ s\n",
    "a state that needs no loop": "h = tanh(U @ x)\ny = P @ h[t-2] + Q @ h\n",
    "states in one product": "h = W @ h[t-1] + U @ x\ns = V @ h[t-1] + Q @ x\ny = P @ s[t-1] + P @ s\n",
    "a later loop looks back": "h = tanh(W @ h[t-1] + U @ x)\ns = tanh(V @ s[t-1] + Q @ h[t-2] + g * h[t-1])\n"
    "y = P @ s\n",
    "a loss that looks back": "h = tanh(W @ h[t-1] + U @ x)\ny = V @ h\n"
    "loss = sum((y - d) ** 2) / 2 + 0.1 * sum(h * h) + 0.3 * sum(h[t-2] ** 3)\n",
    "a loss that is a product": "h = tanh(W @ h[t-1] + U @ x)\ny = V @ h\n"
    "loss = sum(y - d) ** 2 * sum(h) + exp(-sum(y * d))\n",
    "a loss of parameters": "scalar tau\nh = tanh(W @ h[t-1] + U @ x)\ny = V @ h\n"
    "loss = sum((y - d) ** 2) + tau * sum(b * b) + tau\n",
    "scalars": "scalar tau\nscalar kappa\na = W @ h[t-1] + U @ x + tau\nh = tanh(kappa * a)\ny = V @ h + tau * b\n",
    "a quantity of scalars only": "scalar tau\ng = tanh(tau)\nh = g * h[t-1] + U @ x\ny = h * g\n",
    "names of the module": "jnp = tanh(lax @ jnp[t-1] + torch @ x + carry)\ninputs = jnp * params\n"
    "y = I @ inputs + O * state + len * float\n",
    "names that the module makes": "n = tanh(U @ x)\nh = tanh(W @ (n * h[t-1]) + x)\nh_before = h * dh\n"
    "rows = h * h_all\ny = P @ h_before + rows\n",
    "not needed": "u = x * x\nh = tanh(W @ (h[t-1] * u))\nv = 3 * h\ny = P @ h + v - v\n",
    "no input": "h = tanh(W @ h[t-1] + b)\ny = V @ h\n",
    "no parameters": "h = tanh(h[t-1] + x)\ny = h\n",
    "all functions": "h = softplus(W @ h[t-1] + U @ x) * sin(h[t-1])\ns = relu(h) + logistic(h * 2)\n"
    "p = softmax(K @ s)\nr = exp(-s) + cos(s) + p ** 3\ny = V @ (sqrt(1 + r ** 2) + log(2 + s) + 1 / r)\n",
}


@pytest.fixture(scope="module")
def jax():
    require(importlib.util.find_spec("jax") is not None, "JAX is not installed: pip install 'rnn-symbolic[jax]'")
    import jax

    return jax


def program_of(source: str | Model, inputs: bool = True, **options: str) -> Program:
    model = source
    if not isinstance(model, Model):
        model = unroll(source, steps=1, **{"activation": "tanh", "loss": "squared", "form": "matrix", **options})
    return build_program(concrete(model), inputs=inputs)


def model_of(case: tuple[str, ...], steps: int) -> Model:
    cell, losses, output, loss = case
    options = {"losses": losses, "activation": "tanh", "output_activation": output, "loss": loss}
    return unroll(cell, steps=steps, form="matrix", **options)


def compiled(source: str | Model, dtype: str = "float64", **options: str) -> CompiledGradient:
    program = program_of(source, **options)
    return CompiledGradient(program, "jax", JaxBackend(program, dtype))


def a_point(model: Model, batch: int | None, *, each: bool = False):
    """A random point; with ``each`` every sample has initial states of its own."""
    positive = model.loss != "squared" and model.cell.name in ("linear", "d2l", "pascanu")  # log y needs y > 0
    point = random_matrix_point(model, 7, None, batch, positive=positive)
    if not each:
        return point
    factors = np.random.default_rng(3).uniform(0.5, 1.5, (batch, 1))
    return replace(point, initial={key: factors * value for key, value in point.initial.items()})


# --- numbers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES, ids=["-".join(case) for case in CASES])
def test_every_cell(jax, case):
    steps, batch = ((1, None), (2, 3), (5, 2), (5, None))[CASES.index(case) % 4]
    model = model_of(case, steps)
    compare(compiled(model), model, a_point(model, batch, each=batch == 3))


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=["-".join(case) for case in CASES])
def test_every_cell_at_all_sizes(jax, case):
    f = compiled(model_of(case, 1))
    for steps, batches in ((1, (None,)), (4, (3,))):
        model = model_of(case, steps)
        for batch in batches:
            tolerance = 1e-11 if case[0] == "pascanu" else 1e-12  # saturated, where 1 − h² cancels
            compare(f, model, a_point(model, batch, each=batch == 3), tolerance)


@pytest.mark.parametrize("cell", ODD)
def test_odd_cells(jax, cell):
    losses = ("all", "last")[list(ODD).index(cell) % 2]
    model = unroll(ODD[cell], steps=4, activation="tanh", losses=losses, loss="squared", form="matrix")
    compare(compiled(model), model, a_point(model, 2), 1e-11)


@pytest.mark.slow
@pytest.mark.parametrize("losses", ["all", "last", "mean"])
@pytest.mark.parametrize("cell", ODD)
def test_odd_cells_at_all_sizes(jax, cell, losses):
    for steps, batch, each in ((1, None, False), (4, 3, True)):
        model = unroll(ODD[cell], steps=steps, activation="tanh", losses=losses, loss="squared", form="matrix")
        compare(compiled(model), model, a_point(model, batch, each=each), 1e-11)


def test_initial_states_are_zero_unless_given(jax):
    f = compiled("lag2")
    params, x, d, state = arguments(a_point(f.program.model, 2))
    zeros = {name: np.zeros_like(value) for name, value in state.items()}
    assert f(params, x, d)[0] == f(params, x, d, zeros)[0]


def test_float32(jax):
    model = unroll("lstm", steps=5, activation="tanh", loss="squared", form="matrix")
    f = compiled(model, "float32")
    compare(f, model, a_point(model, 3), 1e-5)
    _, gradients = f(*arguments(a_point(model, 3)))
    assert {value.dtype for value in gradients.values()} == {np.dtype("float32")}


def test_results_can_be_kept_and_overwritten(jax):
    f = compiled("elman")
    point = a_point(f.program.model, None)
    _, first = f(*arguments(point))
    _, second = f(*arguments(point), out=first)
    assert second is first
    first["W_h"] += 1
    call = f.bind(*arguments(point))
    assert call()[1]["W_h"] == pytest.approx(first["W_h"] - 1)


# --- as a function of JAX ---------------------------------------------------------------------------------------------


def test_type_follows_the_arguments(jax):
    function = compiled("elman").backend.function
    params, x, d, state = arguments(a_point(unroll("elman", steps=2, loss="squared", form="matrix"), None))
    before = jax.config.jax_enable_x64
    single = jax.tree.map(lambda value: np.asarray(value, np.float32), (params, x, d, state))
    double = (params, x, d, state)
    for wide, given, expected in ((False, single, "float32"), (True, single, "float32"), (True, double, "float64")):
        with jax.enable_x64(wide):
            loss, gradients = jax.jit(function)(*given)
        assert {loss.dtype, *(value.dtype for value in gradients.values())} == {np.dtype(expected)}
    compiled("elman")(*arguments(a_point(unroll("elman", steps=2, loss="squared", form="matrix"), None)))
    assert jax.config.jax_enable_x64 == before


def test_vmap(jax):
    program = program_of("lstm")
    backend = JaxBackend(program, "float64")
    params, x, d, state = arguments(a_point(unroll("lstm", steps=4, loss="squared", form="matrix"), 3))
    with jax.enable_x64(True):
        expected_loss, expected = jax.jit(backend.function)(params, x, d, state)
        over_samples = jax.jit(jax.vmap(backend.function, in_axes=(None, 1, 1, None)))
        losses, found = over_samples(params, x, d, state)
        assert float(losses.sum()) == pytest.approx(float(expected_loss), rel=1e-12)
        for name, value in found.items():
            together = np.moveaxis(value, 0, 1) if name == "x" else value.sum(axis=0)
            assert error(together, expected[name]) < 1e-12, name


@pytest.mark.parametrize("cell", ["lag2", "two-layer"])
def test_own_derivatives_of_jax(jax, cell):
    backend = JaxBackend(program_of(cell, losses="mean"), "float64")
    params, x, d, state = arguments(a_point(unroll(cell, steps=4, loss="squared", form="matrix"), 2))
    with jax.enable_x64(True):
        own = jax.jit(jax.grad(lambda *values: backend.function(*values)[0], argnums=(0, 1, 3)))
        by_params, by_x, by_state = own(params, x, d, state)
        _, found = jax.jit(backend.function)(params, x, d, state)
    for name, value in {**by_params, **by_state, "x": by_x}.items():
        assert error(found[name], value) < 1e-12, name


# --- scalar form ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("losses", ["all", "last", "mean"])
@pytest.mark.parametrize("cell", ["elman", "lstm", "lag2", "gru-cudnn"])
def test_scalar_form(jax, cell, losses):
    model = unroll(cell, steps=4, losses=losses, activation="tanh", loss="squared")
    rng = np.random.default_rng(5)
    names = [*model.cell.parameters, *map(str, model.initial_states)]
    values = {name: rng.normal() for name in names} | {"x": rng.normal(size=4), "d": rng.normal(size=4)}
    expected = gradients_at(model, {name: np.asarray(value).tolist() for name, value in values.items()})
    params = {name: values[name] for name in model.cell.parameters}
    state = {str(q): values[str(q)] for q in model.initial_states}
    loss, found = compiled(model)(params, values["x"], values["d"], state)
    assert isinstance(loss, float)
    assert loss == pytest.approx(expected.loss, rel=1e-12)
    for name, gradient in {**expected.gradients, "x": expected.input_gradients}.items():
        assert error(found[name], gradient) < 1e-12, name


def test_each_point_of_a_grid_is_a_network_of_its_own(jax):
    model = unroll("h = tanh(W * h[t-1] + U * x + b)\ny = h * V + c - c", steps=3, loss="squared", losses="mean")
    f, rng = compiled(model), np.random.default_rng(2)
    params = {"W": rng.normal(size=(4, 1)), "U": rng.normal(size=3), "b": 0.3, "V": -0.7, "c": 2.0}
    x, d, state = rng.normal(size=3), rng.normal(size=(3, 3)), {"h_0": rng.normal(size=(4, 3))}
    loss, found = f(params, x, d, state)
    assert {name: value.shape for name, value in found.items()} == {
        **dict.fromkeys([*params, "h_0"], (4, 3)), "x": (3, 4, 3)
    }  # fmt: skip
    for i, j in np.ndindex(4, 3):
        one = {name: np.broadcast_to(value, (4, 3))[i, j] for name, value in {**params, **state}.items()}
        expected_loss, expected = f({n: one[n] for n in params}, x, d[:, j], {"h_0": one["h_0"]})
        assert loss[i, j] == pytest.approx(expected_loss, rel=1e-12)
        for name, value in expected.items():
            assert error(found[name][..., i, j], value) < 1e-12


# --- what goes wrong --------------------------------------------------------------------------------------------------


def message(function, *values) -> tuple[type, str]:
    with pytest.raises(NumericalFailure) as caught:
        function(*values)
    return caught.type, str(caught.value)


def test_overflow_names_the_step(jax):
    cell = "h = exp(h[t-1]) + W @ x\ny = h"
    point = ({"W": [[1.0]]}, np.zeros((6, 1)), np.zeros((6, 1)), {"h_0": [1.0]})
    kind, text = message(compiled(cell), *point)
    assert (kind, text) == message(compile_gradient(cell), *point)
    assert kind is ForwardOverflow
    assert text.startswith("the forward pass overflows at step 4: h_4")


def test_overflow_of_the_gradient(jax):
    cell = "h = W @ h[t-1] + x\ny = h\nloss = sum(y * d)"
    point = ({"W": [[1e200]]}, np.zeros((4, 1)), np.ones((4, 1)))
    kind, text = message(compiled(cell), *point)
    assert (kind, text) == message(compile_gradient(cell, inputs=True), *point)
    assert kind is NumericalFailure
    assert text.startswith("the gradient overflows at step ")


def test_missing_jax(monkeypatch):
    monkeypatch.setitem(sys.modules, "jax", None)
    with pytest.raises(InputError, match=r"target 'jax' needs JAX.*pip install 'rnn-symbolic\[jax\]'.*'numpy'"):
        JaxBackend(program_of("elman"), "float64")


# --- the text ---------------------------------------------------------------------------------------------------------


def test_the_module_needs_only_jax():
    for cell in ("lstm", "two-layer"):
        tree = ast.parse(jax_source(program_of(cell)))
        imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
        named = {node.module if isinstance(node, ast.ImportFrom) else node.names[0].name for node in imports}
        assert named <= {"jax", "jax.numpy"}


def test_the_backward_pass_is_a_scan_of_its_own():
    source = jax_source(program_of("lstm"))
    assert "reverse=True" in source
    assert not any(word in source for word in ("jax.grad", "vjp", "custom_"))
    assert "# cₜ = fₜ ⊙ cₜ₋₁ + iₜ ⊙ gₜ\n        c = f * c_before + i * g\n" in source
    assert ": W v hands Wᵀ to v\n        dh_before = da_all @ W_all\n" in source


def test_the_text_is_clean(tmp_path):
    ruff = Path(sys.executable).with_name("ruff")
    found = str(ruff) if ruff.exists() else shutil.which("ruff")
    require(found is not None, "ruff is not installed; make lint installs it")
    options = [dict(zip(("losses", "output_activation", "loss"), output, strict=True)) for output in OUTPUTS]
    for number, text in enumerate((*BUILT_IN.values(), *ODD.values())):
        for k, chosen in enumerate(options):
            program = program_of(text, inputs=k != 1, **chosen)
            (tmp_path / f"cell_{number}_{chosen['losses']}.py").write_text(jax_source(program), encoding="utf-8")
        if "softmax" not in text and "exp" not in text:
            program = program_of(text, form="scalar")
            (tmp_path / f"cell_{number}_scalar.py").write_text(jax_source(program), encoding="utf-8")
    for command in (["check"], ["format", "--check"]):
        run = subprocess.run([str(found), *command, "--isolated", "--no-cache", str(tmp_path)], capture_output=True,
                             text=True, check=False)  # fmt: skip
        assert run.returncode == 0, run.stdout + run.stderr
