"""What each mistake of a catalogue would give at a point, all of them in as few sweeps as there are networks."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from rnn_symbolic.array_functions import Array
from rnn_symbolic.auditing.cases import Case
from rnn_symbolic.auditing.mistakes import (
    ForwardMistake,
    LimitMistake,
    Mistake,
    ResultMistake,
    SelectionMistake,
    TableMistake,
)
from rnn_symbolic.auditing.sweep import RIGHT
from rnn_symbolic.errors import NumericalFailure
from rnn_symbolic.expressions import Quantity


class Predictions:
    """The predictions of one catalogue, made once for each point."""

    def __init__(self, catalogue: Sequence[Mistake]) -> None:
        self.catalogue = tuple(catalogue)
        self.place = {mistake: n for n, mistake in enumerate(self.catalogue, 1)}
        self._made: dict[int, tuple[dict[Quantity, Array], Case]] = {}

    def of(self, case: Case) -> dict[Quantity, Array]:
        """By goal, what no mistake and each of the catalogue would give: [0 and mistake, entry]."""
        if id(case) not in self._made:
            self._made[id(case)] = _predicted(case, self.catalogue), case  # the case is kept, so its id stays its own
        return self._made[id(case)][0]


def _predicted(case: Case, catalogue: Sequence[Mistake]) -> dict[Quantity, Array]:
    table = [m.variant for m in catalogue if isinstance(m, TableMistake)]
    changed = case.sweep.groups((RIGHT, *table), case.goals, whole=True)
    found = {}
    for goal in case.goals:
        right, rows = case.right(goal), iter(changed[goal][1:, 0, 0])
        columns = [right]
        for mistake in catalogue:
            match mistake:
                case TableMistake():
                    columns.append(next(rows))
                case ForwardMistake() | SelectionMistake() | ResultMistake() | LimitMistake():
                    try:
                        columns.append(case.predict(goal, (mistake,)))
                    except NumericalFailure:
                        columns.append(np.full_like(right, math.nan))
                case _:
                    columns.append(np.full_like(right, math.nan))
        found[goal] = np.stack(columns)
    return found
