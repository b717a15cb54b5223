r"""Every built-in cell once more, by hand: NumPy, any sizes, batches, complex-safe; nothing of the package is used.

    o_t = W_y h_t + b_y,   y_t = σ_y(o_t),   L = Σ_t ℓ(y_t, d_t), summed over the batch as well

A point is ``p, x, d``: ``p`` maps the names of parameters and initial states ("h_0", "c_0", "h_-1", …) to arrays;
matrices act on columns (W_h is n_h × n_h, W_x is n_h × n_x), an initial state has shape (n) or (B, n), x has
shape (T, n_x) or (T, B, n_x), d the same with n_y. A misshapen entry raises ValueError: nothing is broadcast that
is not said here. Derivatives are complex steps, one coordinate at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.complex128]
Real = NDArray[np.float64]
Point = Mapping[str, Any]
Function = Callable[[Array], Array]
History = list[dict[str, Array]]  # what the steps so far computed, the newest last; begins with the initial states
Step = Callable[[Point, Array, History, Function, Function], dict[str, Array]]

SIZES = {"n_x": 2, "n_h": 3, "n_y": 4, "n_s": 5}
TINY = 1e-30

# --- functions ---


def logistic(z: Array) -> Array:
    return np.reciprocal(1 + np.exp(-z))


def relu(z: Array) -> Array:
    return np.where(z.real > 0, z, np.complex128(0))


def softplus(z: Array) -> Array:
    """log(1 + e^z) as max(0, z) + log(1 + w) with |w| ≤ 1: NumPy's complex logarithms lose a small w."""
    w = np.exp(np.where(z.real > 0, -z, z))
    log_of_size = np.log1p(w.real * (2 + w.real) + w.imag**2) / 2
    return relu(z) + log_of_size + 1j * np.arctan2(w.imag, 1 + w.real)


def identity(z: Array) -> Array:
    return z


def softmax(z: Array) -> Array:
    e = np.exp(z - z.real.max(axis=-1, keepdims=True))
    result: Array = e / e.sum(axis=-1, keepdims=True)
    return result


ACTIVATIONS: dict[str, Function] = {
    "tanh": np.tanh,
    "logistic": logistic,
    "relu": relu,
    "sin": np.sin,
    "softplus": softplus,
    "identity": identity,
}
OUTPUTS: dict[str, Function] = {**ACTIVATIONS, "softmax": softmax}


def apply(matrix: Array, columns: Array) -> Array:
    """W v for one column (n) or for each of a batch (B, n)."""
    return columns @ matrix.T


# --- one step of each cell: (p, x_t, what was, σ, σ_y) -> its states and its output --------


def output(p: Point, h: Array, g: Function) -> Array:
    return g(apply(p["W_y"], h) + p["b_y"])


def elman(p: Point, x: Array, was: History, f: Function, g: Function) -> dict[str, Array]:
    h = f(apply(p["W_h"], was[-1]["h"]) + apply(p["W_x"], x) + p["b_h"])
    return {"h": h, "y": output(p, h, g)}


def jordan(p: Point, x: Array, was: History, f: Function, g: Function) -> dict[str, Array]:
    h = f(apply(p["W_h"], was[-1]["y"]) + apply(p["W_x"], x) + p["b_h"])
    return {"h": h, "y": output(p, h, g)}


def irnn(p: Point, x: Array, was: History, f: Function, g: Function) -> dict[str, Array]:
    h = relu(apply(p["W_h"], was[-1]["h"]) + apply(p["W_x"], x) + p["b_h"])
    return {"h": h, "y": output(p, h, g)}


def linear(p: Point, x: Array, was: History, f: Function, g: Function) -> dict[str, Array]:
    h = apply(p["W_h"], was[-1]["h"]) + apply(p["W_x"], x) + p["b_h"]
    return {"h": h, "y": apply(p["W_y"], h) + p["b_y"]}


def residual(p: Point, x: Array, was: History, f: Function, g: Function) -> dict[str, Array]:
    h = was[-1]["h"] + f(apply(p["W_h"], was[-1]["h"]) + apply(p["W_x"], x) + p["b_h"])
    return {"h": h, "y": output(p, h, g)}


def lag2(p: Point, x: Array, was: History, f: Function, g: Function) -> dict[str, Array]:
    a = apply(p["W_h"], was[-1]["h"]) + apply(p["V_h"], was[-2]["h"]) + apply(p["W_x"], x) + p["b_h"]
    h = f(a)
    return {"h": h, "y": output(p, h, g)}


def two_layer(p: Point, x: Array, was: History, f: Function, g: Function) -> dict[str, Array]:
    h = f(apply(p["W_h"], was[-1]["h"]) + apply(p["W_x"], x) + p["b_h"])
    s = f(apply(p["W_s"], was[-1]["s"]) + apply(p["U_s"], h) + p["b_s"])
    return {"h": h, "s": s, "y": output(p, s, g)}


def lstm(p: Point, x: Array, was: History, f: Function, g: Function) -> dict[str, Array]:
    h, c = was[-1]["h"], was[-1]["c"]
    forget = logistic(apply(p["W_f"], h) + apply(p["U_f"], x) + p["b_f"])
    enter = logistic(apply(p["W_i"], h) + apply(p["U_i"], x) + p["b_i"])
    candidate = np.tanh(apply(p["W_g"], h) + apply(p["U_g"], x) + p["b_g"])
    leave = logistic(apply(p["W_o"], h) + apply(p["U_o"], x) + p["b_o"])
    c = forget * c + enter * candidate
    h = leave * np.tanh(c)
    return {"h": h, "c": c, "y": output(p, h, g)}


def lstm_peephole(p: Point, x: Array, was: History, f: Function, g: Function) -> dict[str, Array]:
    h, c = was[-1]["h"], was[-1]["c"]
    forget = logistic(apply(p["W_f"], h) + apply(p["U_f"], x) + p["P_f"] * c + p["b_f"])
    enter = logistic(apply(p["W_i"], h) + apply(p["U_i"], x) + p["P_i"] * c + p["b_i"])
    candidate = np.tanh(apply(p["W_g"], h) + apply(p["U_g"], x) + p["b_g"])
    c = forget * c + enter * candidate
    leave = logistic(apply(p["W_o"], h) + apply(p["U_o"], x) + p["P_o"] * c + p["b_o"])  # sees the new c
    h = leave * np.tanh(c)
    return {"h": h, "c": c, "y": output(p, h, g)}


def gru(p: Point, x: Array, was: History, f: Function, g: Function) -> dict[str, Array]:
    h = was[-1]["h"]
    z = logistic(apply(p["W_z"], h) + apply(p["U_z"], x) + p["b_z"])
    r = logistic(apply(p["W_r"], h) + apply(p["U_r"], x) + p["b_r"])
    n = np.tanh(apply(p["W_n"], r * h) + apply(p["U_n"], x) + p["b_n"])
    h = z * h + (1 - z) * n
    return {"h": h, "y": output(p, h, g)}


def gru_cudnn(p: Point, x: Array, was: History, f: Function, g: Function) -> dict[str, Array]:
    h = was[-1]["h"]
    z = logistic(apply(p["W_z"], h) + apply(p["U_z"], x) + p["b_z"])
    r = logistic(apply(p["W_r"], h) + apply(p["U_r"], x) + p["b_r"])
    n = np.tanh(apply(p["U_n"], x) + p["b_n"] + r * (apply(p["W_n"], h) + p["c_n"]))
    h = z * h + (1 - z) * n
    return {"h": h, "y": output(p, h, g)}


def mgu(p: Point, x: Array, was: History, f: Function, g: Function) -> dict[str, Array]:
    h = was[-1]["h"]
    forget = logistic(apply(p["W_f"], h) + apply(p["U_f"], x) + p["b_f"])
    n = np.tanh(apply(p["W_n"], forget * h) + apply(p["U_n"], x) + p["b_n"])
    h = (1 - forget) * h + forget * n
    return {"h": h, "y": output(p, h, g)}


# --- the cells as a table ---


@dataclass(frozen=True)
class Cell:
    """A step, the sizes of its states in their order, the shapes of its parameters, how far back it looks."""

    step: Step
    states: dict[str, str]
    parameters: dict[str, tuple[str, ...]]
    lag: int = 1
    output: str | None = None  # where the equations fix the output activation
    initial: dict[str, tuple[str, ...]] = field(init=False)

    def __post_init__(self) -> None:
        initial = {f"{name}_{-back}": (size,) for name, size in self.states.items() for back in range(self.lag)}
        object.__setattr__(self, "initial", initial)

    def shapes(self, sizes: Mapping[str, int]) -> dict[str, tuple[int, ...]]:
        """The shape of every parameter and initial state, for instance W_x: (n_h, n_x)."""
        entries = {**self.parameters, **self.initial}
        return {name: tuple(sizes[size] for size in shape) for name, shape in entries.items()}


def matrices(text: str) -> dict[str, tuple[str, ...]]:
    """Shapes by letters: W_x h x, b_h h -> {"W_x": ("n_h", "n_x"), "b_h": ("n_h",)}."""
    entries = (entry.split() for entry in text.split(","))
    return {name: tuple(f"n_{letter}" for letter in letters) for name, *letters in entries}


def gates(letters: str) -> str:
    return ", ".join(f"W_{k} h h, U_{k} h x, b_{k} h" for k in letters)


READ = "W_y y h, b_y y"
PLAIN = f"W_h h h, W_x h x, b_h h, {READ}"
H = {"h": "n_h"}
HC = {"h": "n_h", "c": "n_h"}

CELLS: dict[str, Cell] = {
    "elman": Cell(elman, H, matrices(PLAIN)),
    "jordan": Cell(jordan, {"y": "n_y"}, matrices(f"W_h h y, W_x h x, b_h h, {READ}")),
    "irnn": Cell(irnn, H, matrices(PLAIN)),
    "linear": Cell(linear, H, matrices(PLAIN), output="identity"),
    "residual": Cell(residual, H, matrices(PLAIN)),
    "lag2": Cell(lag2, H, matrices(f"V_h h h, {PLAIN}"), lag=2),
    "two-layer": Cell(
        two_layer,
        {"h": "n_h", "s": "n_s"},
        matrices("W_h h h, W_x h x, b_h h, W_s s s, U_s s h, b_s s, W_y y s, b_y y"),
    ),
    "lstm": Cell(lstm, HC, matrices(f"{gates('figo')}, {READ}")),
    "lstm-peephole": Cell(lstm_peephole, HC, matrices(f"{gates('figo')}, P_f h, P_i h, P_o h, {READ}")),
    "gru": Cell(gru, H, matrices(f"{gates('zrn')}, {READ}")),
    "gru-cudnn": Cell(gru_cudnn, H, matrices(f"{gates('zrn')}, c_n h, {READ}")),
    "mgu": Cell(mgu, H, matrices(f"{gates('fn')}, {READ}")),
}

# --- forward -----------------------------------------------------------------


def checked(cell: Cell, p: Point, x: Any) -> tuple[dict[str, Array], Array]:
    """The point as complex arrays; ValueError where a name or a shape does not fit the cell."""
    entries = {**cell.parameters, **cell.initial}
    if set(p) != set(entries):
        raise ValueError(f"missing {sorted(set(entries) - set(p))}, unknown {sorted(set(p) - set(entries))}")
    values = {name: np.asarray(value, dtype=complex) for name, value in p.items()}
    inputs = np.asarray(x, dtype=complex)
    if inputs.ndim not in (2, 3):
        raise ValueError(f"x has shape {inputs.shape}, expected (T, n_x) or (T, B, n_x)")
    sizes = {"n_x": inputs.shape[-1]}
    for name, shape in entries.items():
        found = values[name].shape
        if name in cell.initial and len(found) == 2 and inputs.ndim == 3 and found[0] == inputs.shape[1]:
            found = found[1:]
        if len(found) != len(shape) or any(
            sizes.setdefault(*pair) != pair[1] for pair in zip(shape, found, strict=True)
        ):
            raise ValueError(f"{name} has shape {values[name].shape}, expected {shape} with {sizes}")
    return values, inputs


def start(cell: Cell, p: Mapping[str, Array]) -> History:
    """The initial states, the oldest first."""
    return [{state: p[f"{state}_{-back}"] for state in cell.states} for back in reversed(range(cell.lag))]


def go_on(
    cell: Cell, p: Mapping[str, Array], x: Sequence[Array] | Array, was: History, activation: str, output: str
) -> History:
    """The history with one more entry for each x_t."""
    history = list(was)
    for x_t in x:
        history.append(cell.step(p, x_t, history, ACTIVATIONS[activation], OUTPUTS[cell.output or output]))
    return history


def trajectory(cell: str, p: Point, x: Any, *, activation: str = "tanh", output: str = "logistic") -> History:
    """States and output of every step, t = 1 … T."""
    record = CELLS[cell]
    values, inputs = checked(record, p, x)
    return go_on(record, values, inputs, start(record, values), activation, output)[record.lag :]


def states(cell: str, p: Point, x: Any, *, activation: str = "tanh", output: str = "logistic") -> History:
    """The states alone of every step, t = 1 … T."""
    steps = trajectory(cell, p, x, activation=activation, output=output)
    return [{state: step[state] for state in CELLS[cell].states} for step in steps]


def step_loss(y: Array, d: Array, loss: str, output: str) -> complex:
    """½Σ(y − d)², or −Σ d log y, or for a logistic output −Σ d log y + (1 − d) log(1 − y)."""
    if loss == "squared":
        return complex(np.sum((y - d) ** 2) / 2)
    if loss != "cross-entropy":
        raise ValueError(f"no loss {loss!r}")
    if output == "logistic":
        return complex(-np.sum(d * np.log(y) + (1 - d) * np.log(1 - y)))
    return complex(-np.sum(d * np.log(y)))


def loss(
    cell: str,
    p: Point,
    x: Any,
    d: Any,
    activation: str = "tanh",
    output: str = "logistic",
    loss: str = "squared",
    losses: str = "all",
) -> complex:
    """L; ``losses="last"`` makes it the loss of the last step alone."""
    steps = trajectory(cell, p, x, activation=activation, output=output)
    targets = np.asarray(d, dtype=complex)
    expected = (len(steps), *steps[0]["y"].shape)
    if targets.shape != expected:
        raise ValueError(f"d has shape {targets.shape}, expected {expected}")
    if losses not in ("all", "last"):
        raise ValueError(f"no losses {losses!r}")
    each = [step_loss(s["y"], d_t, loss, CELLS[cell].output or output) for s, d_t in zip(steps, targets, strict=True)]
    return sum(each) if losses == "all" else each[-1]


# --- derivatives -------------------------------------------------------------


def gradient(cell: str, p: Point, x: Any, d: Any, name: str, **options: str) -> Real:
    """∂L/∂name by complex steps, in the shape of the entry: a parameter, an initial state, or "x"."""
    entry = np.array(x if name == "x" else p[name], dtype=complex)
    result = np.zeros(entry.shape)
    for index in np.ndindex(entry.shape):
        moved = entry.copy()
        moved[index] += 1j * TINY
        at = loss(cell, p, moved, d, **options) if name == "x" else loss(cell, {**p, name: moved}, x, d, **options)
        result[index] = at.imag / TINY
    return result


def gradients(cell: str, p: Point, x: Any, d: Any, **options: str) -> dict[str, Real]:
    """The gradient for every entry of ``p``, and for "x"."""
    return {name: gradient(cell, p, x, d, name, **options) for name in (*p, "x")}


def state_jacobian(
    cell: str, p: Point, x: Any, lag: int = 1, *, activation: str = "tanh", output: str = "logistic"
) -> Real:
    """∂(states at T)/∂(states at T − lag) in numerator layout, the states at T − lag taken as independent.

    Rows and columns in the order of ``CELLS[cell].states``; what is older than T − lag is held fixed. No batch.
    """
    record = CELLS[cell]
    values, inputs = checked(record, p, x)
    if inputs.ndim != 2 or not 1 <= lag <= len(inputs):
        raise ValueError(f"x of shape {inputs.shape} and lag {lag}; expected no batch and 1 ≤ lag ≤ T")
    split = len(inputs) - lag
    before = go_on(record, values, inputs[:split], start(record, values), activation, output)
    columns = []
    for state in record.states:
        for i in range(before[-1][state].size):
            moved = before[-1][state].copy()
            moved[i] += 1j * TINY
            was = [*before[:-1], {**before[-1], state: moved}]
            last = go_on(record, values, inputs[split:], was, activation, output)[-1]
            columns.append(np.concatenate([last[name].imag / TINY for name in record.states]))
    return np.stack(columns, axis=1)


# --- points ------------------------------------------------------------------


def random_point(
    cell: str,
    seed: int,
    sizes: Mapping[str, int] | None = None,
    steps: int = 3,
    batch: int | None = None,
    *,
    distribution: bool = False,
    state_per_sample: bool = False,
) -> tuple[dict[str, Real], Real, Real]:
    """``p, x, d`` with entries of size 0.3 … 1.2 and random sign, nonzero initial states, d between 0.1 and 0.9.

    ``sizes`` are n_x, n_h, n_y and, for two layers, n_s; those not given are taken from `SIZES`. ``distribution``
    makes every d_t sum to 1 (for softmax); ``state_per_sample`` gives initial states the shape (B, n).
    """
    record, n = CELLS[cell], {**SIZES, **(sizes or {})}
    random = np.random.default_rng(seed)
    many = () if batch is None else (batch,)

    def draw(shape: tuple[int, ...]) -> Real:
        result: Real = random.uniform(0.3, 1.2, shape) * random.choice([-1.0, 1.0], shape)
        return result

    per_sample = many if state_per_sample else ()
    p = {
        name: draw((*per_sample, *shape) if name in record.initial else shape)
        for name, shape in record.shapes(n).items()
    }
    x = draw((steps, *many, n["n_x"]))
    d = random.uniform(0.1, 0.9, (steps, *many, n["n_y"]))
    return p, x, d / d.sum(axis=-1, keepdims=True) if distribution else d
