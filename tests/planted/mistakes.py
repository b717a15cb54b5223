"""How mistakes are planted: by asking, at the line where a person would make it, whether it is to be made.

    if m("W_h-not-transposed", "transpose", "W_h for its transpose in the carry", scalar=False):
        return dot(p["W_h"], da)

The question is the catalogue as well: a run that writes down what it is asked lists every mistake of a cell.
Nothing of rnn_symbolic is used.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Steps = dict[int, Array]  # what each step computed, from step 1 on; a state also at step 0, -1, …
Gradients = dict[str, Array]


@dataclass(frozen=True)
class Planted:
    """A mistake: its code for `loss_and_gradients`, the kind an audit should name, a sentence about it."""

    cell: str
    kind: str
    code: str
    detail: str
    scalar: bool = True  # a mistake in a network of size 1, too
    steps: int = 2  # the smallest T at which it shows
    square: tuple[str, ...] = ()  # matrices that must be square, or a product does not conform (ValueError)
    batch: bool = False  # shows only in a batch of several samples
    also: tuple[str, ...] = ()  # kinds that other mistakes of the same numbers have


class Mistakes:
    """The codes to plant; ``asked`` collects the mistakes that could be."""

    def __init__(self, cell: str, codes: Collection[str] = (), asked: dict[str, Planted] | None = None) -> None:
        self.cell, self.codes, self.asked = cell, frozenset(codes), asked

    def __call__(self, code: str, kind: str, detail: str, **more: Any) -> bool:
        if self.asked is not None:
            found = Planted(self.cell, kind, code, detail, **more)
            if self.asked.setdefault(code, found) != found:
                raise AssertionError(f"{code} is two mistakes")
        return code in self.codes


# --- rows: one for each sample ---------------------------------------------------------------------------------------


def dot(matrix: Array, rows: Array) -> Array:
    """W v for the v of each sample."""
    return rows @ matrix.T


def outer(left: Array, right: Array) -> Array:
    """u vᵀ, summed over the samples."""
    return left.T @ right


def back(values: Steps, t: int) -> Array:
    """The value one step too early; before the first step the last one, as with Python's index -1."""
    return values[t - 1] if t - 1 in values else values[max(values)]


# --- the loss --------------------------------------------------------------------------------------------------------


def squared(m: Mistakes, y: Steps, d: Steps) -> tuple[float, Steps]:
    """½ Σ (y − d)², and its derivative by every y_t."""
    last, (samples, width) = max(d), d[1].shape
    loss = sum(float(((y[t] - d[t]) ** 2).sum()) for t in d) / 2
    dy = {t: y[t] - d[t] for t in d}
    if m("stale-target", "index", "d of the step before in y_t - d_t (of the last step at t = 1)"):
        dy = {t: y[t] - back(d, t) for t in d}
    if m("loss-2", "scale", "the loss is ½ (y - d)², its derivative is written 2 (y - d)"):
        dy = {t: 2 * dy[t] for t in d}
    if m("loss-half", "scale", "½ stands before the derivative of the loss as well"):
        dy = {t: dy[t] / 2 for t in d}
    if m("mean-over-steps", "scale", "the loss is the mean over the steps, not the sum"):
        dy, loss = {t: dy[t] / last for t in d}, loss / last
    if m("mean-over-outputs", "scale", "the loss of a step is the mean over the outputs", scalar=False):
        dy, loss = {t: dy[t] / width for t in d}, loss / width
    if m("mean-over-batch", "scale", "the loss is the mean over the samples", batch=True):
        dy, loss = {t: dy[t] / samples for t in d}, loss / samples
    for t, name in ((1, "first"), (2, "second"), (last, "last")):
        if m(f"{name}-loss-left-out", "missing-paths", f"the {name} loss does not count", steps=3):
            dy[t] = 0 * dy[t]
    if m("only-last-loss", "missing-loss", "only the loss of the last step is passed back"):
        dy = {t: dy[t] if t == last else 0 * dy[t] for t in d}
    return loss, dy


# --- the loop --------------------------------------------------------------------------------------------------------


class Sums:
    """What the backward loop adds up, parameter by parameter; ``enters`` says which steps count."""

    def __init__(self, m: Mistakes, p: Mapping[str, Array], last: int, enters: Callable[[str, int], bool]) -> None:
        self.m, self.last, self.enters = m, last, enters
        self.total: Gradients = {name: np.zeros_like(value) for name, value in p.items() if not is_initial(name)}
        self.chosen = recurrent(p)[0]

    def add(self, name: str, t: int, value: Array) -> None:
        """``d[name] += value``."""
        m, first = self.m, "what enters at step 1 is all that is left"
        if value.ndim == 2 and self.total[name].ndim == 1:
            value = value.sum(axis=0)
        if not self.enters(name, t):
            return
        if m("loop-ends-early", "missing-paths", "the backward loop ends at step 2, before step 1") and t == 1:
            return
        if m("last-step-not-added", "missing-paths", "nothing is added at step T, where the loop begins"):
            value = value * (t != self.last)
        if m("only-last-step-added", "missing-paths", "only what enters at step T is taken, without a loop"):
            value = value * (t == self.last)
        one = m(f"{self.chosen}-overwritten", "missing-paths", f"= for += in d{self.chosen}: {first}")
        if m("overwritten", "missing-paths", f"= for +=: {first}") or (one and name == self.chosen):
            self.total[name] = value
        else:
            self.total[name] = self.total[name] + value


Backward = Callable[[Steps, Iterable[int], Sums], Gradients]


def bptt(m: Mistakes, p: Mapping[str, Array], dy: Steps, backward: Backward, own: Collection[str] = ()) -> Gradients:
    """Back through time, from T to 1. ``own`` are parameters whose paths end where the loss is."""
    last = max(dy)

    def loss_by_loss(enters: Callable[[str, int, int], bool], lags: int = last) -> Gradients:
        """For every loss a loop of its own that goes back so many steps: as truncation is often programmed."""
        total: Gradients = {}
        for t in dy:
            alone = {s: dy[s] if s == t else 0 * dy[s] for s in dy}
            sums = Sums(m, p, last, lambda name, s, t=t: enters(name, t, s))  # type: ignore[misc]
            for name, value in backward(alone, range(t, max(0, t - lags - 1), -1), sums).items():
                total[name] = total.get(name, 0) + value
        return total

    for lags in (1, 2):
        what = f"for each loss the loop stops after {lags} step{'s' * (lags > 1)} back in time"
        if m(f"truncated-{lags}", "truncated", what, steps=lags + 2):
            return loss_by_loss(lambda name, t, s: True, lags)
    if m("own-loss-left-out", "missing-own-loss", "only what comes back from later steps is added, lag 0 is not"):
        return loss_by_loss(lambda name, t, s: s != t or name in own)
    if m("lag-1-left-out", "missing-paths", "what comes from the loss of the next step is not added"):
        return loss_by_loss(lambda name, t, s: s != t - 1)
    return backward(dy, range(last, 0, -1), Sums(m, p, last, lambda name, s: True))


def carried(m: Mistakes, state: str, t: int, value: Array, *, to: int | None = None, of: int = 1) -> Array:
    """What goes back from step t to the state of the step before, or of step ``to``; ``of`` so many states."""
    one = m(f"no-carry-{state}", "missing-carry", f"nothing is passed back to {state} of the step before")
    if one or (of > 1 and m("no-carry", "missing-carry", "nothing is passed back to the step before, by any state")):
        return 0 * value
    if m(f"carry-{state}-negated", "sign", f"what is passed back to {state} has the wrong sign"):
        value = -value
    if m(f"carry-{state}-doubled", "scale", f"what is passed back to {state} is doubled"):
        value = 2 * value
    for k in (2, 3):
        detached = m(f"detached-{k}", "truncated", f"the state is detached every {k} steps", steps=k + 1)
        if detached and (t - 1) // k != (max(1, t - 1 if to is None else to) - 1) // k:
            return 0 * value
    return value


def starting(m: Mistakes, p: Mapping[str, Array], *names: str) -> tuple[Array, ...]:
    """The initial states."""
    zero = m("initial-states-0", "initial-state", "the initial state is taken as 0, forward and backward")
    taken = []
    for name in names:
        one = m(f"{name}-0", "initial-state", f"{name} is taken as 0, forward and backward") if names[1:] else False
        taken.append(p[name] * (not (zero or one)))
    return tuple(taken)


# --- what is done to the gradients in the end ------------------------------------------------------------------------


def is_initial(name: str) -> bool:
    return name.split("_")[1] in {"0", "-1"}


def recurrent(p: Mapping[str, Array]) -> list[str]:
    """The matrices on the states, the candidate's first: it comes last in the cells."""
    return [name for name in p if name[0] in "WV" and name not in {"W_x", "W_y"}][::-1]


def finished(m: Mistakes, p: Mapping[str, Array], gradients: Gradients) -> Gradients:
    """The gradients as they are handed over."""
    g, last = dict(gradients), len(gradients)
    weights = [name for name in p if not is_initial(name)]
    matrices = [name for name in weights if p[name].ndim == 2]
    biases = [name for name in weights if p[name].ndim == 1]
    inputs = [name for name in matrices if name[0] == "U" or name == "W_x"]
    if m("loop-ends-early", "missing-paths", "the backward loop ends at step 2, before step 1"):
        g = {name: g[name] for name in weights}
    for name in (recurrent(p)[0], *biases[:1]):
        if m(f"{name}-zero", "missing-paths", f"the gradient of {name} is 0: nothing was ever added"):
            g[name] = 0 * g[name]
    for name in (*recurrent(p)[:2], *biases[-1:]):
        if m(f"{name}-negated", "sign", f"the gradient of {name} has the wrong sign"):
            g[name] = -g[name]
    for name in (recurrent(p)[0], inputs[0], *biases[:1]):
        if m(f"{name}-doubled", "scale", f"what enters by {name} is added twice"):
            g[name] = 2 * g[name]
    for name in biases[:1]:
        if m(f"{name}-third", "scale", f"the gradient of {name} is divided by 3"):
            g[name] = g[name] / 3
    if m("all-negated", "sign", "the sign of every gradient: d - y for y - d"):
        g = {name: -value for name, value in g.items()}
    for name in (recurrent(p)[0], inputs[0]):
        if m(f"{name}-handed-over-transposed", "layout", f"the gradient of {name} is transposed", scalar=False):
            g[name] = g[name].T
    if m("handed-over-transposed", "layout", "the gradients of all matrices are transposed", scalar=False):
        g |= {name: g[name].T for name in matrices}
    name = inputs[-1]
    if m(f"{name}-column-by-column", "layout", f"d{name} is read column by column, not row by row", scalar=False):
        g[name] = g[name].T.reshape(g[name].shape)
    if m("clipped-norm", "clipped", "the norm of all gradients together is clipped at 0.01"):
        norm = sum(float((g[name] ** 2).sum()) for name in weights) ** 0.5
        g |= {name: g[name] * min(1.0, 0.01 / norm) for name in weights}
    if m("clipped-norm-each", "clipped", "the norm of each gradient is clipped at 0.005"):
        g |= {name: g[name] * min(1.0, 0.005 / (1e-300 + float(np.linalg.norm(g[name])))) for name in weights}
    if m("clipped-entries", "clipped", "every entry is clipped at ±0.002"):
        g |= {name: np.clip(g[name], -0.002, 0.002) for name in weights}
    assert len(g) <= last
    return g
