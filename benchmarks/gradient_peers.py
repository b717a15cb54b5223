"""Whose gradients are timed and how each is called; the reference they are compared with; the floor under them.

    elman   h_t = tanh(W_h h_{t−1} + W_x x_t + b_h),   o_t = W_y h_t + b_y,   y = o, in scalar form y = tanh(o)
    L = ½ Σ_t ‖y_t − d_t‖², summed over the batch; gradients by W_x, W_h, W_y, b_h, b_y and h_0, for an LSTM also c_0

A contestant's ``prepare`` takes a point and returns two functions: ``call`` computes L and every gradient once, in
whatever arrays the contestant has, and ``read`` makes of its result L and NumPy arrays by name. Only ``call`` is timed.
Initial states are shared by the samples of a batch. x and d are (T,) in scalar form, (T, n), or (T, B, n).
"""

from __future__ import annotations

import math
import os
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property, partial
from importlib import import_module
from importlib.util import find_spec
from operator import le
from pathlib import Path
from shutil import which
from tempfile import mkdtemp
from typing import Any

import numpy as np

Arrays = dict[str, np.ndarray]
Ready = tuple[Callable[[], Any], Callable[[Any], tuple[float, Mapping[str, Any]]]]

ELMAN = ("W_x", "W_h", "W_y", "b_h", "b_y", "h_0")
GATES = "ifgo"  # in PyTorch's order, which all stacked weights here have
STACKED = ("W", "U", "b", "W_y", "b_y", "h_0", "c_0")
BUILDS = "GRADIENT_BENCHMARK_BUILDS"
"""The environment variable that names the directory of C code compiled for CasADi, to compile it once in a run."""


@dataclass(frozen=True)
class Point:
    """A regime ("scalar", "elman", "lstm"), n = n_x = n_h = n_y, B, T, and the values, drawn from a fixed seed."""

    regime: str
    n: int
    batch: int
    steps: int
    P: Arrays = field(init=False, repr=False)
    x: np.ndarray = field(init=False, repr=False)
    d: np.ndarray = field(init=False, repr=False)

    def __post_init__(self) -> None:
        rng, n = np.random.default_rng((self.n, self.batch, self.steps)), self.n
        draw = {"W": lambda: rng.normal(size=(n, n)) * 0.8 / n**0.5, "b": lambda: rng.normal(size=n) * 0.2}
        gated = [f"{kind}_{gate}" for kind in "WUb" for gate in GATES]
        names = [*gated, "W_y", "b_y", "h_0", "c_0"] if self.regime == "lstm" else ELMAN
        values = {name: draw["W" if name[0] in "WU" else "b"]() for name in names}
        x, d = rng.normal(size=(2, self.steps, self.batch, n))
        for name, value in (("P", values), ("x", x), ("d", d)):
            object.__setattr__(self, name, value)

    @cached_property
    def natural(self) -> tuple[Arrays, np.ndarray, np.ndarray]:
        """Parameters with initial states, x and d in their usual shapes: numbers and (T,), or (T, n), or (T, B, n)."""
        if self.regime == "scalar":
            return {name: value.reshape(()) for name, value in self.P.items()}, self.x[:, 0, 0], self.d[:, 0, 0]
        if self.batch == 1:
            return self.P, self.x[:, 0], self.d[:, 0]
        return self.P, self.x, self.d

    @cached_property
    def stacked(self) -> Arrays:
        """The same parameters with the four gates under one another, as PyTorch keeps them."""
        return _stacked(self.P) if self.regime == "lstm" else self.P


def _stacked(P: Arrays) -> Arrays:
    gates = {kind: np.concatenate([P[f"{kind}_{gate}"] for gate in GATES]) for kind in "WUb"}
    return gates | {name: P[name] for name in STACKED[3:]}


def unstacked(found: Mapping[str, Any]) -> Arrays:
    """Gradients by stacked weights, gate by gate; others as they are."""
    arrays = {name: np.asarray(value) for name, value in found.items()}
    if "U" not in arrays:
        return arrays
    split = {f"{k}_{gate}": part for k in "WUb" for gate, part in zip(GATES, np.split(arrays[k], 4), strict=True)}
    return split | {name: value for name, value in arrays.items() if name not in tuple("WUb")}


# --- the reference: backpropagation through time by hand; takes complex values, for complex steps -----------------


def reference(regime: str, P: Arrays, x: np.ndarray, d: np.ndarray) -> tuple[Any, Arrays]:
    """L and every gradient; x and d are (T, B, n) in all regimes."""
    loss, found = lstm(_stacked(P), x, d) if regime == "lstm" else elman(P, x, d, bent=regime == "scalar")
    return loss, unstacked(found)


def elman(P: Arrays, x: np.ndarray, d: np.ndarray, bent: bool) -> tuple[Any, Arrays]:
    """The simple network; ``bent`` puts tanh around its output."""
    h = np.empty((len(x) + 1, *x.shape[1:]), dtype=np.result_type(x, *P.values()))
    h[0] = P["h_0"]
    for t in range(len(x)):
        h[t + 1] = np.tanh(h[t] @ P["W_h"].T + x[t] @ P["W_x"].T + P["b_h"])
    o = h[1:] @ P["W_y"].T + P["b_y"]
    y = np.tanh(o) if bent else o
    e = (y - d) * (1 - y * y) if bent else y - d
    a, later = np.empty_like(e), np.zeros_like(h[0])
    for t in reversed(range(len(x))):
        a[t] = (e[t] @ P["W_y"] + later) * (1 - h[t + 1] ** 2)
        later = a[t] @ P["W_h"]
    found = {"W_x": _outer(a, x), "W_h": _outer(a, h[:-1]), "b_h": a.sum((0, 1))}
    return ((y - d) ** 2).sum() / 2, found | {"W_y": _outer(e, h[1:]), "b_y": e.sum((0, 1)), "h_0": later.sum(0)}


def lstm(P: Arrays, x: np.ndarray, d: np.ndarray) -> tuple[Any, Arrays]:
    """The LSTM with stacked weights W, U, b; its output is the identity."""
    steps, batch, n = x.shape
    start = np.zeros((batch, n), dtype=np.result_type(x, *P.values()))
    h, c, kept = [start + P["h_0"]], [start + P["c_0"]], []
    for t in range(steps):
        z = h[t] @ P["W"].T + x[t] @ P["U"].T + P["b"]
        i, f, o = (1 / (1 + np.exp(-z[:, k * n : (k + 1) * n])) for k in (0, 1, 3))
        g = np.tanh(z[:, 2 * n : 3 * n])
        c.append(f * c[t] + i * g)
        m = np.tanh(c[-1])
        h.append(o * m)
        kept.append((i, f, g, o, m))
    after = np.array(h[1:])
    e = after @ P["W_y"].T + P["b_y"] - d
    a, dh, dc = np.empty((steps, batch, 4 * n), dtype=start.dtype), start, start
    for t in reversed(range(steps)):
        i, f, g, o, m = kept[t]
        dh = dh + e[t] @ P["W_y"]
        dc = dc + dh * o * (1 - m**2)
        parts = (dc * g * i * (1 - i), dc * c[t] * f * (1 - f), dc * i * (1 - g**2), dh * m * o * (1 - o))
        a[t] = np.concatenate(parts, axis=1)
        dh, dc = a[t] @ P["W"], dc * f
    found = {"W": _outer(a, np.array(h[:-1])), "U": _outer(a, x), "b": a.sum((0, 1)), "W_y": _outer(e, after)}
    return (e**2).sum() / 2, found | {"b_y": e.sum((0, 1)), "h_0": dh.sum(0), "c_0": dc.sum(0)}


def _outer(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Σ_t Σ_b u vᵀ."""
    return u.reshape(-1, u.shape[-1]).T @ v.reshape(-1, v.shape[-1])


# --- the floor ----------------------------------------------------------------------------------------------------


def products(point: Point) -> Ready:
    """The eight matrix products of every exact gradient, over all steps at once but for W_h h_{t−1} and back."""
    P, T, B, n = point.stacked, point.steps, point.batch, point.n
    W_x, W_h, W_y = (P["U"], P["W"], P["W_y"]) if point.regime == "lstm" else (P["W_x"], P["W_h"], P["W_y"])
    x, e = point.x.reshape(-1, n), point.d.reshape(-1, n).copy()
    h, o, back = np.tanh(x), np.empty_like(x), np.empty_like(x)
    a, gates = np.ones((T * B, len(W_h))), np.ones((T * B, len(W_h)))
    g_x, g_h, g_y = np.empty_like(W_x), np.empty_like(W_h), np.empty_like(W_y)
    each = (T, -1) if B == 1 else (T, B, -1)
    forward = list(zip(h.reshape(each), gates.reshape(each), strict=True))
    backward = list(zip(a.reshape(each), back.reshape(each), strict=True))
    dot, V_x, V_h, V_y = np.dot, W_x.T, W_h.T, W_y.T

    def call() -> None:
        dot(x, V_x, a)
        for before, now in forward:
            dot(before, V_h, now)
        dot(h, V_y, o)
        dot(e, W_y, back)
        for later, now in backward:
            dot(later, W_h, now)
        dot(e.T, h, g_y)
        dot(a.T, h, g_h)
        dot(a.T, x, g_x)

    return call, lambda _: (0.0, {})


# --- this package -------------------------------------------------------------------------------------------------


def ours(target: str, style: str = "call") -> Callable[[Point], Ready]:
    """A compiled gradient: ``call`` with new results each time, "out" into those of an earlier call, or "bound"."""

    def prepare(point: Point) -> Ready:
        import rnn_symbolic

        P, x, d = point.natural
        if target == "jax":  # on the device, as for JAX alone
            jax = jax_in_doubles()
            P, x, d = jax.tree.map(jax.numpy.asarray, (P, x, d))
        states = {name: value for name, value in P.items() if name in ("h_0", "c_0")}
        params = {name: value for name, value in P.items() if name not in states}
        if point.regime == "scalar":
            model = rnn_symbolic.unroll("elman", steps=point.steps, activation="tanh", loss="squared")
            f = rnn_symbolic.compile_gradient(model, target=target)
        else:
            options = {"activation": "tanh", "output_activation": "identity"}
            f = rnn_symbolic.compile_gradient(point.regime, target=target, **options)
        call = partial(f, params, x, d, state=states)
        if style == "out":
            call = partial(f, params, x, d, state=states, out=call()[1])
        elif style == "bound":
            call = f.bind(params, x, d, state=states)
        if target == "jax":
            return lambda: jax.block_until_ready(call()), lambda found: (float(found[0]), found[1])
        return call, lambda found: (float(found[0]), found[1])

    return prepare


# --- the peers ----------------------------------------------------------------------------------------------------


def torch_in_threads() -> Any:
    """PyTorch with as many threads as everybody."""
    torch = import_module("torch")
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    return torch


def torch_module(point: Point) -> Ready:
    """``nn.RNN`` or ``nn.LSTM``, and ``autograd.grad``; the second of its biases is 0 and has no gradient."""
    torch = torch_in_threads()
    leaf = partial(torch.tensor, dtype=torch.float64, requires_grad=True)
    gated, P = point.regime == "lstm", point.stacked
    net = (torch.nn.LSTM if gated else torch.nn.RNN)(point.n, point.n, dtype=torch.float64)
    weights = {"W": "hh", "U": "ih", "b": "bias"} if gated else {"W_h": "hh", "W_x": "ih", "b_h": "bias"}
    leaves = {}
    with torch.no_grad():
        net.bias_hh_l0.zero_()
        net.bias_hh_l0.requires_grad_(False)
        for name, which in weights.items():
            leaves[name] = net.bias_ih_l0 if which == "bias" else getattr(net, f"weight_{which}_l0")
            leaves[name].copy_(torch.tensor(P[name]))
    leaves |= {name: leaf(value) for name, value in P.items() if name not in leaves}
    x, d, names = torch.tensor(point.x), torch.tensor(point.d), list(leaves)
    start = [leaves[name] for name in ("h_0", "c_0") if name in leaves]
    W_y, b_y, bent = leaves["W_y"], leaves["b_y"], point.regime == "scalar"

    def call() -> Any:
        states = tuple(state.expand(1, point.batch, point.n).contiguous() for state in start)
        o = net(x, states if gated else states[0])[0] @ W_y.T + b_y
        loss = ((torch.tanh(o) if bent else o) - d).square().sum() / 2
        return loss, torch.autograd.grad(loss, list(leaves.values()))

    return call, lambda found: (found[0].item(), unstacked(dict(zip(names, found[1], strict=True))))


def stepwise(np_: Any, P: Mapping[str, Any], x: Any, d: Any) -> Any:
    """L of the elman network in somebody's NumPy: a loop over t for what recurs, one product for what does not."""
    bent = x.ndim == 1
    times = (lambda v, W: v * W) if bent else (lambda v, W: v @ W.T)
    h, hs = P["h_0"], []
    a = times(x, P["W_x"]) + P["b_h"]
    for t in range(len(x)):
        h = np_.tanh(times(h, P["W_h"]) + a[t])
        hs.append(h)
    o = times(np_.stack(hs), P["W_y"]) + P["b_y"]
    return (((np_.tanh(o) if bent else o) - d) ** 2).sum() / 2


def torch_loop(point: Point) -> Ready:
    """The same network written as a loop of tensor operations."""
    torch = torch_in_threads()
    P, x, d = point.natural
    leaves = {name: torch.tensor(value, requires_grad=True) for name, value in P.items()}
    x_, d_ = torch.tensor(x), torch.tensor(d)

    def call() -> Any:
        loss = stepwise(torch, leaves, x_, d_)
        return loss, torch.autograd.grad(loss, list(leaves.values()))

    return call, lambda found: (found[0].item(), dict(zip(leaves, found[1], strict=True)))


def hips(point: Point) -> Ready:
    """``autograd.value_and_grad`` of a loop."""
    P, x, d = point.natural
    f = import_module("autograd").value_and_grad(partial(stepwise, import_module("autograd.numpy")))
    return partial(f, P, x, d), lambda found: found


def jax_in_doubles() -> Any:
    """JAX, computing in float64."""
    jax = import_module("jax")
    jax.config.update("jax_enable_x64", True)
    return jax


def jax_scan(point: Point) -> Ready:
    """``jit(value_and_grad(…))`` of a ``lax.scan``, arguments on the device, waiting for the result."""
    jax = jax_in_doubles()
    jnp, nn, n = jax.numpy, jax.nn, point.n
    gated, bent = point.regime == "lstm", point.regime == "scalar"
    times = (lambda v, W: v * W) if bent else (lambda v, W: v @ W.T)

    def loss(P: Any, x: Any, d: Any) -> Any:
        def step(states: Any, a: Any) -> Any:
            if not gated:
                h = jnp.tanh(times(states, P["W_h"]) + a)
                return h, h
            z = states[0] @ P["W"].T + a
            i, f, g, o = (z[..., k * n : (k + 1) * n] for k in range(4))
            c = nn.sigmoid(f) * states[1] + nn.sigmoid(i) * jnp.tanh(g)
            h = nn.sigmoid(o) * jnp.tanh(c)
            return (h, c), h

        start = tuple(jnp.broadcast_to(P[name], d.shape[1:]) for name in ("h_0", "c_0") if name in P)
        a = times(x, P["U"] if gated else P["W_x"]) + P["b" if gated else "b_h"]
        o = times(jax.lax.scan(step, start if gated else start[0], a)[1], P["W_y"]) + P["b_y"]
        return (((jnp.tanh(o) if bent else o) - d) ** 2).sum() / 2

    P, x, d = jax.tree.map(jnp.asarray, (point.stacked if gated else point.natural[0], *point.natural[1:]))
    f, ready = jax.jit(jax.value_and_grad(loss)), jax.block_until_ready
    return lambda: ready(f(P, x, d)), lambda found: (float(found[0]), unstacked(found[1]))


_BOUND: list[Any] = []  # what CasADi holds only pointers to


def casadi_c(point: Point, bound: bool = True) -> Ready:
    """An SX graph of single numbers, its reverse gradient as C (-O2, this processor); buffers bound, or ``F(…)``."""
    ca = import_module("casadi")
    n, T, scalar = point.n, point.steps, point.regime == "scalar"
    place = Path(os.environ.get(BUILDS) or mkdtemp()) / f"casadi_{point.regime}_{n}_{T}"
    if not place.with_suffix(".so").exists():
        p, x, d = ca.SX.sym("p", 3 * n * n + 3 * n), ca.SX.sym("x", n, T), ca.SX.sym("d", n, T)
        W_x, W_h, W_y = (ca.reshape(part, n, n) for part in ca.vertsplit(p[: 3 * n * n], n * n))
        b_h, b_y, h = ca.vertsplit(p[3 * n * n :], n)
        loss = 0
        for t in range(T):
            h = ca.tanh(W_h @ h + W_x @ x[:, t] + b_h)
            o = W_y @ h + b_y
            loss = loss + ca.sumsqr((ca.tanh(o) if scalar else o) - d[:, t]) / 2
        code = ca.CodeGenerator(place.name)
        code.add(ca.Function("f", [p, x, d], [loss, ca.gradient(loss, p)]))
        source = code.generate(f"{place.parent}/")
        flags = ("-O2", "-march=native", "-shared", "-fPIC")
        subprocess.run(["cc", *flags, source, "-o", f"{place}.so", "-lm"], check=True)
    f = ca.external("f", f"{place}.so")
    values = [np.concatenate([point.P[name].ravel(order="F") for name in ELMAN]), point.x.ravel(), point.d.ravel()]

    def read(found: Any) -> tuple[float, Arrays]:
        matrices, vectors = np.split(np.asarray(found[1]).ravel(), [3 * n * n])
        parts = [part.reshape(n, n).T for part in np.split(matrices, 3)]
        return float(np.asarray(found[0]).item()), dict(zip(ELMAN, [*parts, *np.split(vectors, 3)], strict=True))

    if not bound:
        return partial(f, *values), read
    buffer, evaluate = f.buffer()
    found = np.empty(1), np.empty(len(values[0]))
    for k, value in enumerate(values):
        buffer.set_arg(k, memoryview(value))
    for k, value in enumerate(found):
        buffer.set_res(k, memoryview(value))
    _BOUND.append((f, buffer, values, found))
    return evaluate, lambda _: read(found)


def symengine_llvm(point: Point) -> Ready:
    """``diff`` of the inlined L, compiled by LLVM with common subexpressions; ``unsafe_real`` into a given array."""
    se = import_module("symengine")
    p, T = se.symbols(ELMAN), point.steps
    x, d = ([se.Symbol(f"{name}_{t}") for t in range(T)] for name in "xd")
    W_x, W_h, W_y, b_h, b_y, h = p
    losses = []
    for t in range(T):
        h = se.tanh(W_h * h + W_x * x[t] + b_h)
        losses.append((se.tanh(W_y * h + b_y) - d[t]) ** 2 / 2)
    loss = se.Add(*losses)
    f = se.Lambdify([*p, *x, *d], [loss, *(loss.diff(q) for q in p)], backend="llvm", cse=True)
    values = np.concatenate([*(point.P[name].ravel() for name in ELMAN), point.x.ravel(), point.d.ravel()])
    found = np.empty(7)
    return partial(f.unsafe_real, values, found), lambda _: (found[0], dict(zip(ELMAN, found[1:], strict=True)))


@cache
def compiled(function: Callable[..., Any]) -> Any:
    """This function compiled by numba, once in a process for each set of types."""
    return import_module("numba").njit(function)


def numba_loops(point: Point) -> Ready:
    """Backpropagation through time by hand, compiled: loops over numbers, or with ``np.dot`` (BLAS) over arrays."""
    P, x, d = point.natural
    if point.regime == "scalar":
        out, values = np.empty(7), (float(P[name]) for name in ELMAN)
        call = partial(compiled(_loops_over_numbers), *values, x, d, np.empty(len(x)), np.empty(len(x)), out)
        return call, lambda _: (out[0], dict(zip(ELMAN, out[1:], strict=True)))
    found = {name: np.empty_like(P[name]) for name in ELMAN}
    work = (np.empty((len(x) + 1, *x.shape[1:])), np.empty_like(x), np.empty_like(x), np.empty_like(x[0]))
    call = partial(compiled(_loops_over_arrays), *(P[name] for name in ELMAN), x, d, *work, *found.values())
    return call, lambda loss: (loss, found)


def _loops_over_numbers(W_x, W_h, W_y, b_h, b_y, h_0, x, d, h, e, out):  # type: ignore[no-untyped-def]
    T, loss, now = len(x), 0.0, h_0
    for t in range(T):
        now = math.tanh(W_h * now + W_x * x[t] + b_h)
        y = math.tanh(W_y * now + b_y)
        h[t], e[t] = now, (y - d[t]) * (1 - y * y)
        loss += (y - d[t]) ** 2 / 2
    g_x = g_h = g_y = g_b = g_c = later = 0.0
    for t in range(T - 1, -1, -1):
        a = (e[t] * W_y + later) * (1 - h[t] * h[t])
        g_y += e[t] * h[t]
        g_c += e[t]
        g_x += a * x[t]
        g_h += a * (h[t - 1] if t else h_0)
        g_b += a
        later = a * W_h
    out[0], out[1], out[2], out[3], out[4], out[5], out[6] = loss, g_x, g_h, g_y, g_b, g_c, later


def _loops_over_arrays(  # type: ignore[no-untyped-def]
    W_x, W_h, W_y, b_h, b_y, h_0, x, d, h, a, e, back, g_x, g_h, g_y, g_b, g_c, g_0
):
    T, n = len(x), len(b_h)
    X, D, A, E, H = x.reshape(-1, n), d.reshape(-1, n), a.reshape(-1, n), e.reshape(-1, n), h[1:].reshape(-1, n)
    flat_h, flat_a, flat_back, V_h = h.reshape(T + 1, -1), a.reshape(T, -1), back.reshape(-1), W_h.T
    h[0] = h_0
    np.dot(X, W_x.T, A)
    for r in range(len(A)):
        for j in range(n):
            A[r, j] += b_h[j]
    for t in range(T):
        np.dot(h[t], V_h, back)
        for k in range(len(flat_back)):
            flat_h[t + 1, k] = math.tanh(flat_a[t, k] + flat_back[k])
    np.dot(H, W_y.T, E)
    loss = 0.0
    g_c[:] = 0.0
    for r in range(len(E)):
        for j in range(n):
            E[r, j] += b_y[j] - D[r, j]
            loss += E[r, j] * E[r, j] / 2
            g_c[j] += E[r, j]
    np.dot(E.T, H, g_y)
    np.dot(E, W_y, A)
    back[:] = 0.0
    for t in range(T - 1, -1, -1):
        for k in range(len(flat_back)):
            flat_a[t, k] = (flat_a[t, k] + flat_back[k]) * (1 - flat_h[t + 1, k] ** 2)
        np.dot(a[t], W_h, back)
    np.dot(A.T, h[:-1].reshape(-1, n), g_h)
    np.dot(A.T, X, g_x)
    g_b[:] = 0.0
    for r in range(len(A)):
        for j in range(n):
            g_b[j] += A[r, j]
    g_0[:] = 0.0
    for r in range(len(flat_back) // n):
        for j in range(n):
            g_0[j] += flat_back[r * n + j]
    return loss


# --- all of them --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Contestant:
    """Who, from which module, in which regimes; ``timed_setup`` where there is something to prepare."""

    name: str
    module: str
    prepare: Callable[[Point], Ready]
    regimes: str = "scalar elman"
    timed_setup: bool = True
    most: tuple[int, int, int] = (10**6, 10**6, 10**6)  # no larger n, B, T

    def takes(self, regime: str, size: tuple[int, int, int]) -> bool:
        """Does it compete at this n, B, T?"""
        return regime in self.regimes.split() and all(map(le, size, self.most))

    def missing(self) -> str:
        """Why it cannot run at all; empty if it can."""
        if find_spec(self.module) is None:
            return f"{self.module} is not installed"
        if self.name.startswith("ours") and not hasattr(import_module("rnn_symbolic"), "compile_gradient"):
            return "rnn_symbolic has no compile_gradient"
        return "there is no C compiler named cc" if self.module == "casadi" and which("cc") is None else ""


ALL = "scalar elman lstm"
FLOOR = "products alone"
NUMPY, C, C_OUT, BOUND, JAX = "ours: NumPy", "ours: C", "ours: C, out=", "ours: C, bound", "ours: JAX"
CASADI, SCAN, MODULE = "CasADi C", "JAX scan", "PyTorch nn"
CONTESTANTS = (
    Contestant(FLOOR, "numpy", products, "elman lstm", False),
    Contestant(NUMPY, "rnn_symbolic", ours("numpy"), ALL),
    Contestant(C, "rnn_symbolic", ours("c"), ALL),
    Contestant(C_OUT, "rnn_symbolic", ours("c", "out"), "scalar", False),
    Contestant(BOUND, "rnn_symbolic", ours("c", "bound"), ALL, False),
    Contestant(JAX, "jax", ours("jax"), ALL),
    Contestant(MODULE, "torch", torch_module, ALL),
    Contestant("PyTorch loop", "torch", torch_loop, timed_setup=False),
    Contestant(SCAN, "jax", jax_scan, ALL),
    Contestant(CASADI, "casadi", casadi_c, most=(4, 1, 1000)),
    Contestant("CasADi C, F(…)", "casadi", partial(casadi_c, bound=False), "scalar", False),
    Contestant("SymEngine LLVM", "symengine", symengine_llvm, "scalar"),
    Contestant("numba", "numba", numba_loops),
    Contestant("HIPS autograd", "autograd", hips),
)
BY_NAME = {contestant.name: contestant for contestant in CONTESTANTS}
