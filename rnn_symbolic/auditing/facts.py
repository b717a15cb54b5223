r"""What is proved of a gradient that no mistake explains: which terms are right, and from where on it is wrong.

u = Σ_k c_k Σ_t G[t, t − k]        solved for c_k: the terms of lag k stand there c_k times
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial

import numpy as np

from rnn_symbolic.array_functions import Array
from rnn_symbolic.arrays import evaluate_array
from rnn_symbolic.auditing.cases import Case
from rnn_symbolic.auditing.records import Fact
from rnn_symbolic.comparison import kinked
from rnn_symbolic.expressions import Quantity

WHOLE = 1e-4
"""A factor that is known no better than this is not said."""
SHORT = 8
"""Sequences up to this length are looked at: over longer ones, the terms of the longest lags drown."""
SPARE = 2
"""So many more equations than unknowns make a fit evidence."""
AT_KINK = 1e-12


def facts_about(cases: Sequence[Case], goal: Quantity) -> tuple[Fact, ...]:
    """The factors of the terms by lag, and by loss, where what was given determines them."""
    found: list[Fact] = []
    short = [case for case in cases if case.steps <= SHORT] or list(cases)
    longest = max(case.steps for case in short)
    lags = _factors(short, goal, [partial(_of_lag, k) for k in range(longest)])
    if lags:
        found.append(Fact("lag-factors", lags))
        right = next((k for k, c in enumerate(lags) if c != 1), len(lags))
        if 0 < right < len(lags):
            found.append(Fact("right-through-lag", (right - 1,)))
    if len({case.steps for case in short}) == 1:
        losses = _factors(short, goal, [partial(_of_loss, k) for k in range(1, longest + 1)])
        if len(losses) == longest:
            found.append(Fact("loss-factors", losses))
    return tuple(found)


def _of_lag(k: int, t: Array, s: Array) -> Array:
    return np.asarray(t - s == k, dtype=np.float64)


def _of_loss(k: int, t: Array, s: Array) -> Array:
    return np.asarray(t == k, dtype=np.float64)


def _factors(
    cases: Sequence[Case], goal: Quantity, kept: Sequence[Callable[[Array, Array], Array]]
) -> tuple[float, ...]:
    """c_k, as far as they are determined; nothing where no factors give what was given."""
    rows, sides, noise = [], [], []
    for case in cases:
        if not case.readings[goal]:
            return ()
        t, s = np.indices((case.steps, case.steps)) + 1
        groups = case.groups[goal]
        columns = [np.einsum("tsk,ts->k", groups, keep(t, s)) for keep in kept]
        reading = case.readings[goal][0]
        size = max(case.size(goal), float(np.abs(reading.entries).max(initial=0.0))) or 1.0
        rows.append(np.stack(columns, axis=1) / size)
        sides.append(reading.entries / size)
        noise.append(np.broadcast_to(reading.unit, reading.entries.shape) / size + case.relative)
    matrix, side, tolerance = np.concatenate(rows), np.concatenate(sides), np.concatenate(noise)
    used = np.abs(matrix).max(axis=0) > 0
    matrix = matrix[:, used]
    if len(side) < matrix.shape[1] + SPARE:
        return ()
    inverse = np.linalg.pinv(matrix, rcond=1e-13)
    solved = inverse @ side
    if np.any(np.abs(matrix @ solved - side) > 10 * tolerance):
        return ()
    uncertain = np.abs(inverse) @ tolerance
    found = []
    for c, off in zip(solved, uncertain, strict=True):
        if off > WHOLE:
            break
        found.append(_near(float(c), float(off)))
    return tuple(found)


def _near(c: float, uncertain: float) -> float:
    near = float(np.round(c))
    return near if abs(c - near) <= max(10 * uncertain, 1e-9) else float(c)


def at_kink(cases: Iterable[Case]) -> bool:
    """Whether an argument of relu is exactly 0 somewhere, where its slope is a convention."""
    for case in cases:
        for found in kinked(case.model):
            for t in range(1, case.steps + 1):
                z: Array = evaluate_array(found.call.argument, case.sweep.values, case.point.sizes, t)
                if np.any(np.abs(z - found.kink) <= AT_KINK):
                    return True
    return False
