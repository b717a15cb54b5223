"""Compiled gradients, NumPy and C: against sums over paths, and complex steps of hand-written networks."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import networks
import numpy as np
import pytest
from latex_tools import require

from rnn_symbolic.builtin_cells import BUILT_IN
from rnn_symbolic.codegen import building
from rnn_symbolic.codegen.compiled import CompiledGradient, compile_gradient
from rnn_symbolic.concrete import concrete
from rnn_symbolic.errors import ForwardOverflow, InputError, NumericalFailure
from rnn_symbolic.gradients import gradients_at
from rnn_symbolic.matrix_valuation import MatrixValuation, random_matrix_point
from rnn_symbolic.model import Model, unroll
from rnn_symbolic.paths import graph

TARGETS = ["numpy", "c"]
OPTIONS = {
    "squared": {"losses": "all", "output_activation": "tanh", "loss": "squared"},
    "last, binary": {"losses": "last", "output_activation": "logistic", "loss": "cross-entropy"},
    "mean, softmax": {"losses": "mean", "output_activation": "softmax", "loss": "cross-entropy"},
}
ODD = {
    "lag 3 and names": "int = W @ h[t-3] + V @ h[t-1] + U @ x\nh = tanh(int)\ny = P @ h + h_all",
    "scalars": "scalar tau\nscalar T_0\na = tau * (W @ h[t-1]) + x * T_0 + tau\nh = sin(a) + T_0\n"
    "y = h / 2 + h**3 - tau",
    "own loss": "h = tanh(W @ h[t-1] + x + b)\ny = h\nloss = 0.25 * sum((y - d)**2 * b**2) + 0.01 * sum(W_y * W_y)",
    "twice the same": "h = tanh(W @ h[t-1] - V @ h[t-1] + W @ x + h[t-1])\ny = W @ h",
    "nested": "h = tanh(exp(W @ (h[t-1] * cos(x))) / 9)\ny = softplus(V @ logistic(h) + c) * relu(h2)\nh2 = h",
    "a parameter right of a matrix": "h = tanh(W @ h[t-1] + V @ b + U @ x + b)\ny = V @ b + W @ h",
    "no input": "h = tanh(W @ h[t-1] + b)\ny = h",
    "output fed back": "h = tanh(W @ h[t-1] + V @ y[t-1] + U @ x)\ny = logistic(P @ h)\n",
    "states of each other": "u = tanh(A @ v[t-1] + B @ x)\nv = tanh(C @ u + D @ u[t-2])\ny = v - u",
    "softmax inside": "p = softmax(K @ h[t-1])\nh = tanh(W @ (p * x2) + x)\nx2 = U @ x\ny = h * p2\np2 = P @ p",
}


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    """Nothing is built into, or taken from, the user's cache."""
    base = Path(tmp_path_factory.getbasetemp())
    folder = (base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base) / "compiled"
    folder.mkdir(mode=0o700, exist_ok=True)
    monkeypatch.setenv("RNN_SYMBOLIC_CACHE", str(folder))


def compiled(source, target="c", **options) -> CompiledGradient:
    if target == "c":
        found = any(shutil.which(name) for name in (os.environ.get("CC") or "cc", "cc", "gcc", "clang"))
        require(found, "there is no C compiler")
    return compile_gradient(source, target=target, **options)


def arguments(point):
    state = {f"{name}_{step}": value for (name, step), value in point.initial.items()}
    return dict(point.parameters), np.asarray(point.x), np.asarray(point.d), state


def error(found, expected) -> float:
    """The largest difference beside the largest entry."""
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.shape == expected.shape
    return float(np.abs(found - expected).max(initial=0.0) / max(np.abs(expected).max(initial=0.0), 1e-300))


def compare(f: CompiledGradient, model: Model, point, tolerance: float = 1e-12) -> None:
    """The whole result against the adjoint recursion over the table, and against the sums over paths."""
    expected = gradients_at(model, point)
    valuation = MatrixValuation(concrete(model), point)
    loss, found = f(*arguments(point))
    assert loss == pytest.approx(expected.loss, rel=tolerance)
    wanted = dict(expected.gradients)
    if f.program.inputs and expected.input_gradients is not None:
        wanted["x"] = expected.input_gradients
    assert list(found) == [*model.cell.parameters, *map(str, model.initial_states), *(["x"] if "x" in wanted else [])]
    for name, gradient in wanted.items():
        assert error(found[name], gradient) < tolerance, (name, model, point.label)
    for quantity in model.parameters:
        total = valuation.path_total(graph(valuation.model, quantity)).value
        assert error(found[str(quantity)], total) < tolerance, (quantity, model, point.label)


# --- every built-in cell ----------------------------------------------------------------------------------------------


def sweep(quick: Callable[[str, str, str], bool]) -> list[Any]:
    """Every cell with all options and targets; those that are not quick belong to the long sweeps."""
    every = product(BUILT_IN, OPTIONS, TARGETS)
    return [pytest.param(*case, marks=[] if quick(*case) else [pytest.mark.slow]) for case in every]


@pytest.mark.parametrize(
    ("cell", "options", "target"),
    sweep(lambda cell, options, target: target == "numpy" or options == "squared" or cell in ("elman", "lstm")),
)
def test_sums_over_paths(cell, options, target):
    chosen = OPTIONS[options]
    positive = chosen["loss"] != "squared" and cell in ("linear", "d2l", "pascanu")  # log y needs y > 0
    for steps, batch in ((1, None), (2, 3), (5, None), (4, 3)):
        model = unroll(cell, steps=steps, activation="tanh", form="matrix", **chosen)
        point = random_matrix_point(model, 7, None, batch, positive=positive)
        compare(compiled(model, target, inputs=True), model, point)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("cell", networks.CELLS)
def test_hand_written_networks(cell, target):
    for batch in (None, 3):
        p, x, d = networks.random_point(cell, 11, steps=4, batch=batch)
        f = compiled(cell, target, activation="tanh", output_activation="logistic")
        params = {name: p[name] for name in f.parameters}
        state = {name: p[name] for name in f.states}
        loss, found = f(params, x, d, state)
        expected = networks.gradients(cell, p, x, d, activation="tanh", output="logistic", loss="squared")
        assert loss == pytest.approx(float(np.real(networks.loss(cell, p, x, d, activation="tanh", output="logistic",
                                                                 loss="squared"))), rel=1e-12)  # fmt: skip
        for name, value in found.items():
            assert error(value, expected[name]) < 1e-12, name


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("cell", ["elman", "lstm", "gru", "lag2"])
def test_a_state_for_each_sample(cell, target):
    model = unroll(cell, steps=4, activation="tanh", loss="squared", form="matrix")
    point = random_matrix_point(model, 3, None, 3)
    rng = np.random.default_rng(3)
    each = {key: rng.normal(size=(3, *np.shape(value))) for key, value in point.initial.items()}
    compare(compiled(model, target), model, type(point)(**{**vars(point), "initial": each}))


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("text", ODD.values(), ids=list(ODD))
def test_odd_cells(text, target):
    lines = text.split("\n")
    uses_first = [line for line in lines if line.startswith(("h2 =", "x2 =", "p2 ="))]
    ordered = [line for line in lines if line not in uses_first]
    for line in uses_first:  # written last above for legibility; defined before it is used
        name = line.split(" =")[0]
        place = next(i for i, other in enumerate(ordered) if name in other.split("=", 1)[1])
        ordered.insert(place, line)
    for batch in (None, 2):
        model = unroll("\n".join(ordered), steps=5, activation="tanh", loss="squared", form="matrix")
        compare(compiled(model, target, inputs=True), model, random_matrix_point(model, 5, None, batch))


@pytest.mark.parametrize("size", [1, 9, 64])
def test_sizes_with_and_without_blas(size):
    for cell in ("elman", "lstm"):
        for batch in (None, 5):
            model = unroll(cell, steps=6, activation="tanh", loss="squared", form="matrix")
            point = random_matrix_point(model, 2, {"n_h": size, "n_x": size + 1, "n_y": max(1, size - 1)}, batch)
            compare(compiled(model), model, point)


def test_a_machine_without_blas(monkeypatch):
    monkeypatch.setattr("rnn_symbolic.codegen.c_backend.find_gemm", lambda dtype: None)
    model = unroll("lstm", steps=3, activation="tanh", loss="squared", form="matrix")
    compare(compiled(model), model, random_matrix_point(model, 2, {"n_h": 40, "n_x": 33, "n_y": 35}, 4))


@pytest.mark.parametrize("target", TARGETS)
def test_float32(target):
    model = unroll("lstm", steps=5, activation="tanh", loss="squared", form="matrix")
    point = random_matrix_point(model, 2, None, 3)
    f = compiled(model, target, dtype="float32")
    _, found = f(*arguments(point))
    for name, value in gradients_at(model, point).gradients.items():
        assert found[name].dtype == np.float32
        assert error(found[name], value) < 2e-5, name


# --- scalar form ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cell", "options", "target"),
    [
        case
        for case in sweep(lambda cell, options, target: options == "squared" or cell in ("elman", "lag2"))
        if case.values[1] != "mean, softmax"
    ],
)
def test_scalar_form_and_a_grid(cell, options, target):
    rng = np.random.default_rng(1)
    for steps in (1, 2, 5):
        model = unroll(cell, steps=steps, activation="tanh", **OPTIONS[options])
        params = {name: float(rng.uniform(0.3, 1.2)) for name in model.cell.parameters}
        state = {str(q): float(rng.uniform(0.3, 1.2)) for q in model.initial_states}
        x, d = rng.uniform(0.2, 1.5, steps), rng.uniform(0.1, 0.9, steps)
        values = {**params, **state, "d": list(d)} | ({"x": list(x)} if model.cell.uses_input else {})
        expected = gradients_at(model, values)
        f = compiled(model, target, inputs=True)
        loss, found = f(params, x, d, state)
        assert loss == pytest.approx(expected.loss, rel=1e-12)
        for name, value in expected.gradients.items():
            assert found[name] == pytest.approx(float(value), rel=1e-11, abs=1e-15), name
        grid = {name: value * np.linspace(0.8, 1.2, 12).reshape(3, 4) for name, value in params.items()}
        losses, over = f(grid, x, d, state)
        one, at = f({name: value[1, 2] for name, value in grid.items()}, x, d, state)
        assert losses.shape == (3, 4)
        assert losses[1, 2] == pytest.approx(one, rel=1e-13)
        for name, value in at.items():
            assert np.asarray(over[name])[..., 1, 2] == pytest.approx(np.asarray(value), rel=1e-11, abs=1e-15), name


# --- calls ------------------------------------------------------------------------------------------------------------


def small(steps=5, batch=None, seed=0, cell="elman"):
    model = unroll(cell, steps=steps, activation="tanh", loss="squared", form="matrix")
    return model, arguments(random_matrix_point(model, seed, None, batch))


@pytest.mark.parametrize("target", TARGETS)
def test_out_is_reused_and_bound_arrays_are_read_again(target):
    model, (params, x, d, state) = small()
    f = compiled(model, target)
    loss, first = f(params, x, d, state)
    kept = {name: value.copy() for name, value in first.items()}
    again, second = f(params, 2 * x, d, state, out=first)
    assert second is first
    assert again != loss
    bound = f.bind(params, x, d, state)
    assert bound()[0] == loss
    x *= 2
    twice, found = bound()
    assert twice == again
    assert all(np.array_equal(found[name], second[name]) for name in kept)
    x /= 2
    assert all(np.array_equal(bound()[1][name], value) for name, value in kept.items())


def test_bound_arrays_live_as_long_as_they_are_bound():
    model, (params, x, d, state) = small(steps=300)
    f = compiled(model)
    loss, _ = f(params, x, d, state)
    call = f.bind(params, x, d, state)
    result = call()[1]
    for name in list(params):
        params[name] = np.zeros_like(params[name])
    state.clear()
    result.clear()
    spoil = [np.full(300, 1e9) for _ in range(50)]  # takes the memory that was freed, if it was
    assert call()[0] == loss
    del spoil


def test_out_that_shares_memory_with_an_input():
    model, (params, x, d, state) = small()
    f = compiled(model)
    expected = {name: value.copy() for name, value in f(params, x, d, state)[1].items()}
    given = {name: value.copy() for name, value in params.items()}
    out = {name: given.get(name, np.empty_like(value)) for name, value in expected.items()}
    _, found = f(given, x, d, state, out=out)
    assert all(error(found[name], value) < 1e-13 for name, value in expected.items())
    same = np.empty((3, 3))
    with pytest.raises(InputError, match="share"):
        f(params, x, d, state, out={**{n: np.empty_like(v) for n, v in expected.items()}, "W_h": same, "W_y": same[:2]})


def test_a_grid_under_a_series_with_fewer_axes():
    model = unroll("elman", steps=3, activation="tanh", loss="squared")
    point = {
        "W_h": np.full((3, 3), 0.8),
        "W_x": 0.5,
        "b_h": 0.1,
        "W_y": np.array([1.5, 1.0, 0.5])[:, None],
        "b_y": -0.2,
    }
    x, d = np.arange(9.0).reshape(3, 3), np.array([0.3, 0.6, 0.9])
    for target in ("numpy", "c"):
        losses, found = compiled(model, target)(point, x, d)
        for i, j in np.ndindex(3, 3):
            one = {name: float(np.broadcast_to(value, (3, 3))[i, j]) for name, value in point.items()}
            loss, each = compile_gradient(model)(one, x[:, j], d)
            assert losses[i, j] == pytest.approx(loss, rel=1e-13)
            assert all(found[name][i, j] == pytest.approx(value, rel=1e-11) for name, value in each.items())


@pytest.mark.parametrize(
    "given",
    [
        (None, [1.0], [1.0]),
        ({"w": [1.0, [2.0]]}, [[1.0]], [[1.0]]),
        ({"w": ["a"]}, [[1.0]], [[1.0]]),
        ({"w": [1j]}, [[1.0]], [[1.0]]),
        ({"w": None}, [[1.0]], [[1.0]]),
        ({"w": [1.0]}, None, [[1.0]]),
        ({"w": np.ma.array([1.0], mask=[True])}, [[1.0]], [[1.0]]),
        ({"w": [1.0]}, [[1.0]], [[1.0]], [1.0]),
        ({"w": [1.0]}, [[1.0]], [[1.0]], None, "no"),
        ({"w": [1.0]}, [[1.0]], [[1.0]], None, {}),
    ],
    ids=str,
)
@pytest.mark.parametrize("target", TARGETS)
def test_what_is_no_array_is_refused_in_one_line(given, target):
    f = compiled("h = w * h[t-1] + x\ny = h", target)
    with pytest.raises(InputError) as refusal:
        f(*given)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("sizes", [{"n_h": 3}, {"n_x": 3, "zz": 1}, {"n_x": "3"}, {"n_x": 0}, 3])
def test_bad_sizes_are_refused(sizes):
    with pytest.raises(InputError):
        compile_gradient("h = w * h[t-1] + x\ny = h", target="c", sizes=sizes)
    with pytest.raises(InputError):
        compile_gradient("elman", batch=0)


def test_a_compiler_that_does_not_work(monkeypatch, tmp_path):
    monkeypatch.setenv("CC", "false --really")
    tmp_path.chmod(0o700)
    monkeypatch.setenv("RNN_SYMBOLIC_CACHE", str(tmp_path))
    building.find_compiler.cache_clear()
    model, given = small()
    try:
        f = compile_gradient(model, target="c")
        with pytest.warns(RuntimeWarning, match="could not build the module: it failed without a word"):
            loss, _ = f(*given)
    finally:
        building.find_compiler.cache_clear()
    assert loss == compile_gradient(model)(*given)[0]


@pytest.mark.parametrize("target", TARGETS)
def test_numbers_as_out(target):
    f = compiled(unroll("elman", activation="tanh", loss="squared"), target)
    point = {"W_h": 0.8, "W_x": 0.5, "b_h": 0.1, "W_y": 1.5, "b_y": -0.2}
    _, first = f(point, [1, -0.5, 2], [0.3, 0.6, 0.9])
    _, second = f(point, [2, -0.5, 2], [0.3, 0.6, 0.9], out=first)
    assert second is first
    assert second["W_x"] == f(point, [2, -0.5, 2], [0.3, 0.6, 0.9])[1]["W_x"]


@pytest.mark.parametrize("target", TARGETS)
def test_results_of_two_calls_are_apart(target):
    model, (params, x, d, state) = small(batch=2)
    state = {"h_0": np.ones((2, *state["h_0"].shape))}
    f = compiled(model, target, inputs=True)
    _, first = f(params, x, d, state)
    kept = {name: value.copy() for name, value in first.items()}
    f(params, 3 * x, d, state)
    assert all(np.array_equal(first[name], value) for name, value in kept.items())


@pytest.mark.parametrize("target", TARGETS)
def test_lists_other_types_layouts_and_lengths(target):
    model, (params, x, d, state) = small()
    f = compiled(model, target)
    loss, found = f(params, x, d, state)
    lists = {name: value.tolist() for name, value in params.items()}
    strided = {name: np.asfortranarray(value) for name, value in params.items()}
    for given in (lists, strided, {name: np.stack([value, value])[1] for name, value in params.items()}):
        assert f(given, x.tolist(), d[::1], state)[0] == pytest.approx(loss, rel=1e-14)  # BLAS has its own order
    reversed_in_memory = np.ascontiguousarray(x[::-1])[::-1]
    assert f(params, reversed_in_memory, d, state)[0] == pytest.approx(loss, rel=1e-14)
    longer, _ = f(params, np.vstack([x, x]), np.vstack([d, d]), state)
    assert longer > loss
    assert f(params, x, d)[0] != loss  # from zero
    assert f(params, x[:, None], d[:, None], state)[0] == pytest.approx(loss, rel=1e-14)
    assert list(found) == [*model.cell.parameters, "h_0"]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p, x, d, s: (p | {"W_z": 1.0}, x, d, s), "'W_z' is no parameter of elman"),
        (lambda p, x, d, s: ({k: v for k, v in p.items() if k != "W_h"}, x, d, s), "'W_h' is missing"),
        (lambda p, x, d, s: (p | {"W_h": p["W_h"][:2]}, x, d, s), "'W_h' is 2×3"),
        (lambda p, x, d, s: (p | {"b_h": p["W_h"]}, x, d, s), "'b_h' is 3×3"),
        (lambda p, x, d, s: (p, x[:3], d, s), "must agree in all axes but the last"),
        (lambda p, x, d, s: (p, x, d[:0], s), "d has the shape"),
        (lambda p, x, d, s: (p, x, d[0], s), "d has the shape"),
        (lambda p, x, d, s: (p, x[:, :1], d, s), "n_x"),
        (lambda p, x, d, s: (p, x, d, {"c_0": 1.0}), "'c_0' is no initial state"),
        (lambda p, x, d, s: (p, x, d, {"h_0": np.ones((2, 3))}), "'h_0' is 2×3"),
        (lambda p, x, d, s: (p | {"W_h": "no"}, x, d, s), "W_h"),
    ],
)
def test_bad_arrays_are_refused_in_one_line(change, message, target):
    model, given = small()
    with pytest.raises(InputError) as refusal:
        compiled(model, target)(*change(*given))
    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_bad_choices_are_refused():
    for options in ({"target": "fortran"}, {"dtype": "float16"}, {"loss": "abstract"}, {"activation": "sigma"}):
        with pytest.raises(InputError):
            compile_gradient("elman", **options)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("form", ["matrix", "scalar"])
def test_overflow_names_the_step_where_it_begins(target, form):
    text = "h = w * h[t-1]**2 + x\ny = h"
    model = unroll(text, steps=20, loss="squared", form=form)
    f = compiled(model, target)
    shape = (20, 1) if form == "matrix" else (20,)
    point = {"w": [2.0] if form == "matrix" else 2.0}, np.full(shape, 3.0), np.zeros(shape)
    with pytest.raises(ForwardOverflow, match=r"the forward pass overflows at step 9: l_9"):
        f(*point)
    with pytest.raises(NumericalFailure, match="step 9"):
        f.bind(point[0], point[1], point[2] + 0.0)
    f = compiled(unroll("h = w * h[t-1]\ny = exp(h)", steps=9, loss="squared", form=form), target)
    shape = (9, 1) if form == "matrix" else (9,)
    w, h_0 = ([1e120], [-1.0]) if form == "matrix" else (1e120, -1.0)
    with pytest.raises(NumericalFailure, match=r"the forward pass overflows at step 3: h_3"):
        f({"w": w}, None, np.ones(shape), {"h_0": h_0})
    w, h_0 = ([1e60], [1e-200]) if form == "matrix" else (1e60, 1e-200)
    f = compiled(unroll("h = w * h[t-1]\ny = h", steps=9, loss="squared", form=form), target)
    with pytest.raises(NumericalFailure, match=r"the gradient overflows at step 1: dL/dh_1"):
        f({"w": w}, None, np.zeros((5, 1) if form == "matrix" else 5) + 1e-100, {"h_0": h_0})


# --- memory, and beyond the floats ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cell", "options", "target"),
    [case for case in sweep(lambda cell, *_: cell in ("elman", "lstm", "lag2", "jordan")) if case.values[2] == "numpy"],
)
def test_checkpoints(cell, options, target):
    chosen = OPTIONS[options]
    positive = chosen["loss"] != "squared" and cell in ("linear", "d2l", "pascanu")
    for steps, batch in ((1, None), (7, 2), (10, None)):
        model = unroll(cell, steps=steps, activation="tanh", form="matrix", **chosen)
        point = random_matrix_point(model, 7, None, batch, positive=positive)
        for every in (True, 1, 3, 20):
            compare(compile_gradient(model, target=target, inputs=True, checkpoint=every), model, point)


def test_checkpoints_take_less_memory():
    model = unroll("lstm", steps=400, activation="tanh", loss="squared", form="matrix")
    given = arguments(random_matrix_point(model, 1, {"n_h": 20}, 4))
    sizes = {}
    for checkpoint in (False, True):
        f = compile_gradient(model, checkpoint=checkpoint)
        f(*given)
        sizes[checkpoint] = sum(array.nbytes for array in f.backend.work.values())
    assert sizes[True] < sizes[False] / 10


def test_gradients_beyond_the_floats():
    steps = 2000
    for w, sign in ((1e3, 1), (1e-3, -1)):
        model = unroll("h = w * h[t-1]\ny = h", steps=steps, losses="last", loss="squared", form="matrix")
        f = compile_gradient(model, log_scaled=True)
        x, d = None, np.full((steps, 1), 1.0)
        if sign < 0:
            loss, found = f({"w": [w]}, x, d, {"h_0": [1.0]})
            assert loss == 0.5
            # dL/dh_0 = (y - d) w^T = -w^T
            assert found["h_0"].log10 == pytest.approx(-3 * steps, rel=1e-12)
            assert found["h_0"].value == 0
            assert float(np.sign(found["h_0"].array)[0]) == -1
        else:
            with pytest.raises(NumericalFailure):
                f({"w": [w]}, x, d, {"h_0": [1.0]})
            _, found = f({"w": [w]}, x, d, {"h_0": [0.0]})
            assert found["h_0"].log10 == pytest.approx(3 * steps, rel=1e-12)
    model, given = small(batch=2)
    loss, found = compile_gradient(model, log_scaled=True)(*given)
    expected, gradients = compile_gradient(model)(*given)
    assert loss == pytest.approx(expected, rel=1e-14)
    for name, value in gradients.items():
        assert error(found[name].value, value) < 1e-13


def test_options_that_do_not_go_together_are_refused():
    for options in (
        {"target": "c", "checkpoint": True},
        {"checkpoint": 0},
        {"checkpoint": True, "log_scaled": True},
        {"log_scaled": True, "inputs": True},
    ):
        with pytest.raises(InputError):
            compile_gradient("elman", **options)
    with pytest.raises(InputError, match="matrix form"):
        compile_gradient(unroll("elman"), checkpoint=True)


# --- the cache --------------------------------------------------------------------------------------------------------


def test_a_spoiled_entry_is_built_again(tmp_path, monkeypatch):
    monkeypatch.setenv("RNN_SYMBOLIC_CACHE", str(tmp_path))
    tmp_path.chmod(0o700)
    model, given = small()
    loss, _ = compiled(model)(*given)
    (entry,) = tmp_path.glob("*.so")
    entry.unlink()  # the one that is loaded must not change under our feet
    entry.write_bytes(b"spoiled")
    assert compiled(model)(*given)[0] == loss
    (entry,) = tmp_path.glob("*.so")
    assert entry.read_bytes() != b"spoiled"
    assert not [path for path in tmp_path.iterdir() if path.suffix != ".so"]  # no folder is left behind


def test_many_processes_build_at_once(tmp_path):
    require(bool(shutil.which("cc") or shutil.which("gcc")), "there is no C compiler")
    text = (
        "import numpy as np, rnn_symbolic as rs\n"
        "f = rs.compile_gradient('h = w * h[t-1] + x\\ny = h', target='c')\n"
        "print(f({'w': [0.5]}, np.ones((3, 1)), np.zeros((3, 1)))[0])\n"
    )
    environment = {**os.environ, "RNN_SYMBOLIC_CACHE": str(tmp_path)}
    tmp_path.chmod(0o700)
    command = [sys.executable, "-W", "error", "-c", text]
    running = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    assert {process.communicate(timeout=120)[0] for process in running} == {"3.15625\n"}
    assert len(list(tmp_path.glob("*.so"))) >= 1


def test_a_folder_that_others_may_write_is_not_trusted(tmp_path, monkeypatch):
    tmp_path.chmod(0o777)
    monkeypatch.setenv("RNN_SYMBOLIC_CACHE", str(tmp_path))
    model, given = small()
    compiled(model)(*given)
    assert not list(tmp_path.glob("*.so"))
    monkeypatch.setenv("RNN_SYMBOLIC_CACHE", str(tmp_path / "file"))
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="RNN_SYMBOLIC_CACHE"):
        compiled(model)(*given)


def test_without_a_compiler_numpy_goes_on(monkeypatch):
    monkeypatch.setenv("CC", "no-such-compiler")
    monkeypatch.setenv("PATH", "")
    building.find_compiler.cache_clear()
    model, given = small()
    try:
        with pytest.warns(RuntimeWarning, match="no C compiler was found.*going on with NumPy"):
            f = compile_gradient(model, target="c")
    finally:
        building.find_compiler.cache_clear()
    assert f(*given)[0] == compile_gradient(model)(*given)[0]


@pytest.mark.parametrize("target", TARGETS)
def test_threads_have_results_of_their_own(target):
    model, (params, x, d, state) = small(steps=50)
    f = compiled(model, target)
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    expected = [f(params, x * k, d, state)[0] for k in range(4)]
    wrong = []

    def work(k: int) -> None:
        for _ in range(200):
            if f(params, x * k, d, state)[0] != expected[k]:
                wrong.append(k)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sys.setswitchinterval(before)
    assert not wrong


def test_nothing_warns():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model, given = small()
        for target in TARGETS:
            compiled(model, target)(*given)
