"""Matrix form, gated cells, cells of one's own: who derives them or computes their gradients; see `contestants`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

from rnn_symbolic.builtin_cells import BUILT_IN

if TYPE_CHECKING:
    from benchmarks.contestants import Job, Lap

LSTM_PARAMETERS = (*(f"{kind}_{gate}" for gate in "figo" for kind in "WUb"), "W_y", "b_y")


# --- this package: derivations ------------------------------------------------------------------------------------


def derivations(cell: str, form: str, **options: str) -> Job:
    """The gradients by all parameters with all their lines and results, then the document in LaTeX."""
    from rnn_symbolic import derive_gradients, unroll
    from rnn_symbolic.render.derivation_document import derivation_document
    from rnn_symbolic.render.latex import document_latex

    def job(steps: int, lap: Lap) -> Any:
        found = derive_gradients(unroll(cell, steps=steps, form=form, **options))  # type: ignore[arg-type]
        results = [derivation.result for derivation in found]
        lap("derive")
        text = document_latex(derivation_document(found))
        lap("LaTeX")
        return found, results, text

    return job


def deep_gated_stack(layers: int = 5) -> str:
    """A cell that a user might write: LSTM layers with a peephole and a skip, then two dense layers; 60 lines.

    >>> len(deep_gated_stack().splitlines())
    60
    """
    lines, below = ["# a deep stack of gated layers, each with a peephole and a skip connection"], "x"
    for k in range(1, layers + 1):
        lines += [f"a_{g}{k} = W_{g}{k} @ h{k}[t-1] + U_{g}{k} @ {below} + b_{g}{k}" for g in "fig"]
        lines += [f"a_o{k} = W_o{k} @ h{k}[t-1] + U_o{k} @ {below} + P_o{k} * c{k}[t-1] + b_o{k}"]
        lines += [f"{g}{k} = {'tanh' if g == 'g' else 'logistic'}(a_{g}{k})" for g in "figo"]
        lines += [f"c{k} = f{k} * c{k}[t-1] + i{k} * g{k}", f"h{k} = o{k} * tanh(c{k})"]
        lines += [f"s{k} = h{k} + sigma(V{k} @ h{k} + e{k})"]
        below = f"s{k}"
    lines += [f"q = W_q @ {below} + b_q", "r = relu(q)", "p = W_p @ r + b_p", "y = sigma(p)"]
    return "\n".join(lines) + "\n"


def user_cell() -> Job:
    """The 60 lines: read; every equation differentiated, each row a line; their LaTeX. Then one gradient, then all."""
    from rnn_symbolic import derive_gradient, derive_gradients, parse_cell, unroll
    from rnn_symbolic.render.derivation_document import derivation_document
    from rnn_symbolic.render.formulas import form_latex
    from rnn_symbolic.render.latex import document_latex
    from rnn_symbolic.sections import Plan, immediate_section

    text = deep_gated_stack()

    def job(steps: int, lap: Lap) -> Any:
        cell = parse_cell(text, "stack")
        lap("read")
        lines = immediate_section(Plan(unroll(cell, steps=steps, form="matrix"))).steps
        lap("differentiate")
        rows = [f"{form_latex(step.before)} = {form_latex(step.after)}" for step in lines]
        lap("rows LaTeX")
        one = derive_gradient(unroll(cell, steps=steps, form="matrix"), "W_f1")  # from the lowest layer
        first = document_latex(derivation_document((one,)))
        lap("one gradient")
        found = derive_gradients(unroll(cell, steps=steps, form="matrix"))
        lap("all gradients")
        every = document_latex(derivation_document(found))
        lap("all LaTeX")
        return rows, first, every

    return job


def counted(cell: str) -> Job:
    """The number of elementary paths between the states over a lag of ``steps``, in every block."""
    from rnn_symbolic import unroll
    from rnn_symbolic.jacobian import StateJacobian

    def job(steps: int, lap: Lap) -> int:
        number = StateJacobian(unroll(cell, steps=steps), steps).count
        lap("count")
        return number

    return job


# --- numbers: L and all gradients of an LSTM ----------------------------------------------------------------------


def lstm_point(n: int, batch: int, steps: int) -> tuple[Any, Any]:
    """An LSTM of n units with n inputs and outputs, and a point for it; tanh output, squared loss."""
    from rnn_symbolic import unroll
    from rnn_symbolic.matrix_valuation import random_matrix_point

    model = unroll("lstm", steps=steps, form="matrix", activation="tanh", loss="squared")
    return model, random_matrix_point(model, seed=0, sizes={"n_x": n, "n_h": n, "n_y": n}, batch=batch)


def our_numbers(n: int, batch: int) -> Job:
    """`gradients_at`: every parameter, h_0, c_0 and every input."""
    from rnn_symbolic.gradients import gradients_at

    def job(steps: int, lap: Lap) -> Any:
        model, point = lstm_point(n, batch, steps)
        lap("prepare")
        found = gradients_at(model, point)
        lap("gradients")
        return found.loss, dict(found)

    return job


def numpy_numbers(n: int, batch: int) -> Job:
    """The loop that one would write for this one cell, in NumPy, samples in rows."""

    def job(steps: int, lap: Lap) -> Any:
        point = lstm_point(n, batch, steps)[1]
        lap("prepare")
        found = lstm_by_hand(point)
        lap("gradients")
        return found

    return job


def lstm_by_hand(point: Any) -> tuple[float, dict[str, Any]]:
    """Forward and backward through an LSTM with a tanh output and squared error."""
    import numpy as np

    P, T = point.parameters, len(point.x)
    stacked = {kind: np.concatenate([P[f"{kind}_{gate}"] for gate in "figo"]) for kind in "WUb"}
    batch, n = point.x.shape[1], len(P["b_f"])
    h, c = (np.broadcast_to(point.initial[name, 0], (batch, n)) for name in "hc")
    kept, loss = [], 0.0
    for t in range(T):
        a = h @ stacked["W"].T + point.x[t] @ stacked["U"].T + stacked["b"]
        gates = 1 / (1 + np.exp(-a))
        f, i, _, o = np.split(gates, 4, axis=1)
        g = np.tanh(a[:, 2 * n : 3 * n])
        before, c = (h, c), f * c + i * g
        m = np.tanh(c)
        h = o * m
        y = np.tanh(h @ P["W_y"].T + P["b_y"])
        loss += float(((y - point.d[t]) ** 2).sum()) / 2
        kept.append((before, f, i, g, o, m, h, y))

    total = {name: np.zeros_like(value) for name, value in stacked.items()}
    dW_y, db_y = np.zeros_like(P["W_y"]), np.zeros_like(P["b_y"])
    dh = dc = np.zeros((batch, n))
    for t in reversed(range(T)):
        (h_before, c_before), f, i, g, o, m, h, y = kept[t]
        dv = (y - point.d[t]) * (1 - y**2)
        dW_y += dv.T @ h
        db_y += dv.sum(axis=0)
        dh = dh + dv @ P["W_y"]
        dc = dc + dh * o * (1 - m**2)
        parts = (dc * c_before * f * (1 - f), dc * g * i * (1 - i), dc * i * (1 - g**2), dh * m * o * (1 - o))
        da = np.concatenate(parts, axis=1)
        total["W"] += da.T @ h_before
        total["U"] += da.T @ point.x[t]
        total["b"] += da.sum(axis=0)
        dh, dc = da @ stacked["W"], dc * f
    gradients = {
        f"{kind}_{gate}": part for kind in "WUb" for gate, part in zip("figo", np.split(total[kind], 4), strict=True)
    }
    return loss, gradients | {"W_y": dW_y, "b_y": db_y, "h_0": dh.sum(axis=0), "c_0": dc.sum(axis=0)}


def torch_numbers(n: int, batch: int) -> Job:
    """PyTorch's ``nn.LSTM`` in float64 and its ``backward``; needs torch."""
    torch: Any = import_module("torch")

    def job(steps: int, lap: Lap) -> Any:
        point = lstm_point(n, batch, steps)[1]
        P, leaf = point.parameters, partial(torch.tensor, dtype=torch.float64)
        net = torch.nn.LSTM(n, n, dtype=torch.float64)
        with torch.no_grad():
            for name, kind in (("weight_hh_l0", "W"), ("weight_ih_l0", "U"), ("bias_ih_l0", "b")):
                getattr(net, name).copy_(torch.cat([leaf(P[f"{kind}_{gate}"]) for gate in "ifgo"]))
            net.bias_hh_l0.zero_()
        h_0, c_0 = (leaf(point.initial[name, 0], requires_grad=True) for name in "hc")
        W_y, b_y, x = (leaf(value, requires_grad=True) for value in (P["W_y"], P["b_y"], point.x))
        d = leaf(point.d)
        lap("prepare")
        start = tuple(state.expand(batch, n).unsqueeze(0).contiguous() for state in (h_0, c_0))
        y = torch.tanh(net(x, start)[0] @ W_y.T + b_y)
        loss = ((y - d) ** 2).sum() / 2
        loss.backward()
        lap("gradients")
        found = {"W_y": W_y.grad.numpy(), "b_y": b_y.grad.numpy(), "h_0": h_0.grad.numpy(), "c_0": c_0.grad.numpy()}
        for name, kind in (("weight_hh_l0", "W"), ("weight_ih_l0", "U"), ("bias_ih_l0", "b")):
            chunks = getattr(net, name).grad.chunk(4)
            found |= {f"{kind}_{gate}": chunk.numpy() for gate, chunk in zip("ifgo", chunks, strict=True)}
        return loss.item(), found

    return job


# --- SymPy by itself ----------------------------------------------------------------------------------------------


def sympy_matrices(cell: str) -> Job:
    """SymPy's matrix calculus: (h_T − d)ᵀ (h_T − d) by a weight matrix, sizes symbolic; elman or LSTM steps."""
    import sympy as sp

    def job(steps: int, lap: Lap) -> Any:
        n, m = sp.symbols("n m", integer=True, positive=True)
        h, c, d = (sp.MatrixSymbol(name, n, 1) for name in ("h_0", "c_0", "d"))
        gates = "a" if cell == "elman" else "figo"
        W, U = ({k: sp.MatrixSymbol(f"{w}_{k}", n, size) for k in gates} for w, size in (("W", n), ("U", m)))
        for t in range(1, steps + 1):
            a = {k: W[k] * h + U[k] * sp.MatrixSymbol(f"x_{t}", m, 1) for k in gates}
            if cell == "elman":
                h = a["a"].applyfunc(sp.tanh)
                continue
            f, i, g, o = (a[k].applyfunc(sp.tanh) for k in gates)  # the shape of a gate's function does not matter
            c = sp.HadamardProduct(f, c) + sp.HadamardProduct(i, g)
            h = sp.HadamardProduct(o, c.applyfunc(sp.tanh))
        gradient = ((h - d).T * (h - d)).diff(W[gates[0]])
        lap("derive")
        return gradient

    return job


def plain_functions() -> tuple[Any, Any]:
    """tanh and the logistic function as anybody would write them."""
    import sympy as sp

    return sp.tanh, lambda z: 1 / (1 + sp.exp(-z))


def own_functions() -> tuple[Any, Any]:
    """This package's SymPy nodes: their slopes are one node each, which suits SymPy best."""
    from rnn_symbolic.symbols import logistic, tanh

    return tanh, logistic


def sympy_lstm(functions: Callable[[], tuple[Any, Any]]) -> Job:
    """L of an LSTM in scalar form as one expression, and ``diff`` by all fourteen parameters; no LaTeX."""
    import sympy as sp

    tanh, logistic = functions()

    def job(steps: int, lap: Lap) -> dict[str, Any]:
        p = dict(zip(LSTM_PARAMETERS, sp.symbols(LSTM_PARAMETERS), strict=True))
        h, c = sp.symbols("h_0 c_0")
        losses = []
        for t in range(1, steps + 1):
            x = sp.Symbol(f"x_{t}")
            a = {gate: p[f"W_{gate}"] * h + p[f"U_{gate}"] * x + p[f"b_{gate}"] for gate in "figo"}
            c = logistic(a["f"]) * c + logistic(a["i"]) * tanh(a["g"])
            h = logistic(a["o"]) * tanh(c)
            losses.append((tanh(p["W_y"] * h + p["b_y"]) - sp.Symbol(f"d_{t}")) ** 2 / 2)
        total = sp.Add(*losses)
        lap("build")
        gradients = {name: sp.diff(total, symbol) for name, symbol in p.items()}
        lap("derive")
        return gradients

    return job


# --- their names --------------------------------------------------------------------------------------------------

NUMBERS: dict[str, Callable[[int, int], Job]] = {
    "gradients_at": our_numbers,
    "NumPy, by hand": numpy_numbers,
    "PyTorch": torch_numbers,
}
SIZES = ((16, 1), (16, 32), (64, 1), (64, 32))


def numbers_name(who: str, n: int, batch: int) -> str:
    """The name of a contestant at a size."""
    return f"{who}, n = {n}, B = {batch}"


MATRIX_CONTESTANTS: dict[str, Callable[[], Job]] = {
    "LSTM, matrix": lambda: derivations("lstm", "matrix"),
    "elman, matrix": lambda: derivations("elman", "matrix"),
    "GRU, matrix": lambda: derivations("gru", "matrix"),
    "LSTM, scalar": lambda: derivations("lstm", "scalar", activation="tanh", loss="squared"),
    "60-line cell": user_cell,
    "SymPy LSTM": lambda: sympy_lstm(own_functions),
    "SymPy LSTM, exp and tanh": lambda: sympy_lstm(plain_functions),
    "SymPy matrices, elman": lambda: sympy_matrices("elman"),
    "SymPy matrices, LSTM": lambda: sympy_matrices("lstm"),
    **{f"count {cell}": partial(counted, cell) for cell in BUILT_IN},
    **{numbers_name(who, n, B): partial(job, n, B) for who, job in NUMBERS.items() for n, B in SIZES},
}
