"""Backpropagation through time of every built-in cell as a student writes it in NumPy, with mistakes to plant.

    loss_and_gradients("elman", params, x, d, state)                       # right
    loss_and_gradients("elman", params, x, d, state, "W_h-not-transposed")  # W_h for W_hᵀ in the carry

σ is the logistic function, L = ½ Σ (y − d)² over steps, samples and outputs. Nothing of rnn_symbolic is used.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from functools import cache
from typing import Any

import numpy as np

from . import grus, lstms, plain
from .mistakes import Array, Gradients, Mistakes, Planted, Steps, finished, is_initial

__all__ = ["CELLS", "Planted", "loss_and_gradients", "pairs", "planted_mistakes", "shapes"]

Loss = Callable[[Mapping[str, Array], Steps, Steps, Mistakes], tuple[float, Gradients]]


def gates(letters: str) -> str:
    return " ".join(f"W_{k}:hh U_{k}:hx b_{k}:h" for k in letters)


PLAIN = "W_h:hh W_x:hx b_h:h W_y:yh b_y:y"
CELLS: dict[str, tuple[Loss, str]] = {
    "elman": (plain.elman, f"{PLAIN} h_0:h"),
    "jordan": (plain.jordan, "W_h:hy W_x:hx b_h:h W_y:yh b_y:y y_0:y"),
    "irnn": (plain.irnn, f"{PLAIN} h_0:h"),
    "linear": (plain.linear, f"{PLAIN} h_0:h"),
    "residual": (plain.residual, f"{PLAIN} h_0:h"),
    "lag2": (plain.lag2, f"V_h:hh {PLAIN} h_0:h h_-1:h"),
    "two-layer": (plain.two_layer, "W_h:hh W_x:hx b_h:h W_s:ss U_s:sh b_s:s W_y:ys b_y:y h_0:h s_0:s"),
    "lstm": (lstms.lstm, f"{gates('figo')} W_y:yh b_y:y h_0:h c_0:h"),
    "lstm-peephole": (lstms.lstm, f"{gates('figo')} P_f:h P_i:h P_o:h W_y:yh b_y:y h_0:h c_0:h"),
    "gru": (grus.gru, f"{gates('zrn')} W_y:yh b_y:y h_0:h"),
    "gru-cudnn": (grus.gru, f"{gates('zrn')} c_n:h W_y:yh b_y:y h_0:h"),
    "mgu": (grus.gru, f"{gates('fn')} W_y:yh b_y:y h_0:h"),
    "d2l": (plain.d2l, "W_x:hx W_h:hh W_y:yh h_0:h"),
    "pascanu": (plain.pascanu, "W_h:yy W_x:yx b_h:y a_0:y"),
}
"""The loss of every cell, and the sizes of its parameters and initial states: W_x:hx is n_h × n_x."""


@cache
def letters(cell: str) -> dict[str, str]:
    """The sizes of parameters and initial states: hx for W_x, which is n_h × n_x."""
    return dict(entry.split(":") for entry in CELLS[cell][1].split())


def shapes(cell: str, **sizes: int) -> dict[str, tuple[int, ...]]:
    """``shapes("elman", x=2, h=3, y=4)["W_x"]`` is (3, 2)."""
    return {name: tuple(sizes[letter] for letter in found) for name, found in letters(cell).items()}


def loss_and_gradients(
    cell: str,
    params: Mapping[str, Any],
    x: Any,
    d: Any,
    state: Mapping[str, Any] | None = None,
    mistake: str | Collection[str] | None = None,
) -> tuple[float, Gradients]:
    """L and its gradients by the names of parameters and initial states, with no, one or several mistakes.

    ``params`` and ``state`` ({"h_0": …, "h_-1": …}, 0 unless given) hold arrays by name, W_x (n_h, n_x); x is
    (T, n_x) or (T, B, n_x), d the same with n_y. Plain numbers stand for arrays of size 1, and then x is (T). A
    gradient has the shape of what it is taken by. ValueError where a mistake multiplies what does not conform.
    """
    codes = () if mistake is None else (mistake,) if isinstance(mistake, str) else tuple(mistake)
    unknown = set(codes) - {planted.code for planted in planted_mistakes(cell)}
    if unknown:
        raise KeyError(f"no mistake {sorted(unknown)} in {cell}")
    return computed(Mistakes(cell, codes), params, x, d, {} if state is None else state)


def computed(
    m: Mistakes, params: Mapping[str, Any], x: Any, d: Any, state: Mapping[str, Any]
) -> tuple[float, Gradients]:
    function, _ = CELLS[m.cell]
    targets, names = over_time(d), letters(m.cell)
    p = {name: np.asarray(params[name], dtype=float) for name in names if not is_initial(name)}
    sizes = {letter: n for name in p for letter, n in zip(names[name], p[name].shape, strict=False)}
    for name in names:
        if is_initial(name):  # in a network of plain numbers a number
            p[name] = np.asarray(state.get(name, np.zeros(sizes[names[name]]) if sizes else 0.0), dtype=float)
    arrays = {name: value.reshape((1,) * len(names[name])) if value.ndim == 0 else value for name, value in p.items()}
    for name in filter(is_initial, names):  # one row for each sample
        arrays[name] = np.broadcast_to(arrays[name], (targets[1].shape[0], arrays[name].shape[-1])).copy()
    loss, gradients = function(arrays, over_time(x), targets, m)
    found = finished(m, arrays, gradients)
    for name in found:
        if is_initial(name) and p[name].ndim < 2:  # the samples share it
            found[name] = found[name].sum(axis=0)
        if p[name].ndim == 0:
            found[name] = found[name].reshape(())
    return loss, found


def over_time(values: Any) -> Steps:
    """From step 1 on, one row for each sample."""
    array = np.asarray(values, dtype=float)
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim == 2:
        array = array[:, None, :]
    return {t: rows for t, rows in enumerate(array, 1)}


@cache
def planted_mistakes(cell: str) -> tuple[Planted, ...]:
    """All mistakes of a cell, in the order in which its code comes to them."""
    random = np.random.default_rng(0)
    p = {name: random.normal(size=shape) for name, shape in shapes(cell, x=2, h=2, y=2, s=2).items()}
    asked: dict[str, Planted] = {}
    x, d = random.normal(size=(2, 4, 2))
    computed(Mistakes(cell, (), asked), p, x, d, p)
    return tuple(asked.values())


def pairs(cell: str) -> tuple[tuple[Planted, Planted], ...]:
    """Mistakes of different kinds that can be made at once, neither of which hides the other."""
    return tuple(_pairs(planted_mistakes(cell)))


TOGETHER = (
    ("scale", "transpose"),
    ("output-derivative", "index"),
    ("activation-argument", "initial-state"),
    ("missing-paths", "transpose"),
    ("sign", "order"),
    ("wrong-activation", "scale"),
    ("missing-route", "output-derivative"),
    ("missing-carry", "index"),
    ("truncated", "scale"),
    ("layout", "activation-argument"),
    ("convention", "scale"),
    ("missing-loss", "sign"),
)


def _pairs(known: tuple[Planted, ...]) -> Iterator[tuple[Planted, Planted]]:
    usable = [one for one in known if not (one.batch or one.square or one.code.startswith("y-slope-stale"))]
    for n, (left, right) in enumerate(TOGETHER):
        a = [one for one in usable if one.kind == left]
        b = [one for one in usable if one.kind == right]
        if a and b:
            yield a[n % len(a)], b[n % len(b)]
