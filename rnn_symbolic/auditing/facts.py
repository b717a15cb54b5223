r"""What is proved of a gradient that no mistake explains: which terms are right, and from where on it is wrong.

u = Σ_k c_k Σ_t G[t, t − k]        solved for c_k: the terms of lag k stand there c_k times
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from rnn_symbolic.array_functions import Array
from rnn_symbolic.arrays import evaluate_array
from rnn_symbolic.auditing.cases import Case
from rnn_symbolic.auditing.records import Fact
from rnn_symbolic.comparison import kinked
from rnn_symbolic.expressions import Quantity

WHOLE = 1e-7
"""A factor this near to 1 is 1."""
SPARE = 2
"""So many more equations than unknowns make a fit evidence."""
AT_KINK = 1e-12


def facts_about(cases: Sequence[Case], goal: Quantity) -> tuple[Fact, ...]:
    """The factors of the terms by lag, and by loss, where what was given determines them."""
    found: list[Fact] = []
    longest = max(case.steps for case in cases)
    lags = _factors(cases, goal, [lambda t, s, k=k: t - s == k for k in range(longest)])
    if lags is not None:
        found.append(Fact("lag-factors", lags))
        right = next((k for k, c in enumerate(lags) if c != 1), len(lags))
        if 0 < right < len(lags):
            found.append(Fact("right-through-lag", (right - 1,)))
    if len({case.steps for case in cases}) == 1:
        losses = _factors(cases, goal, [lambda t, s, k=k: t == k for k in range(1, longest + 1)])
        if losses is not None:
            found.append(Fact("loss-factors", losses))
    return tuple(found)


def _factors(cases: Sequence[Case], goal: Quantity, kept: Sequence[object]) -> tuple[float, ...] | None:
    rows, sides, noise = [], [], []
    for case in cases:
        if not case.readings[goal]:
            return None
        t, s = np.indices((case.steps, case.steps)) + 1
        groups = case.groups[goal]
        columns = [np.einsum("tsk,ts->k", groups, keep(t, s).astype(float)) for keep in kept]  # type: ignore[operator]
        reading = case.readings[goal][0]
        size = max(case.size(goal), float(np.abs(reading.entries).max(initial=0.0))) or 1.0
        rows.append(np.stack(columns, axis=1) / size)
        sides.append(reading.entries / size)
        noise.append(np.broadcast_to(reading.unit, reading.entries.shape) / size + case.relative)
    matrix, side, tolerance = np.concatenate(rows), np.concatenate(sides), np.concatenate(noise)
    used = np.abs(matrix).max(axis=0) > 0
    matrix = matrix[:, used]
    if len(side) < matrix.shape[1] + SPARE:
        return None
    solved, _, rank, spread = np.linalg.lstsq(matrix, side, rcond=1e-10)
    if rank < matrix.shape[1] or np.any(np.abs(matrix @ solved - side) > 10 * tolerance):
        return None
    uncertain = float(tolerance.max() / spread.min())
    if uncertain > WHOLE:
        return None
    factors = np.full(len(used), np.nan)
    factors[used] = [_near(c, uncertain) for c in solved]
    return tuple(float(c) for c in factors if not np.isnan(c))


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
