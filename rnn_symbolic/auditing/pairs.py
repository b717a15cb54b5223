"""Two mistakes at once: which pairs of a catalogue reproduce a gradient at one point."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import chain

import numpy as np

from rnn_symbolic.array_functions import Array
from rnn_symbolic.auditing.cases import Case, Combination, Reading
from rnn_symbolic.auditing.mistakes import ForwardMistake, Mistake, ResultMistake, SelectionMistake, TableMistake
from rnn_symbolic.auditing.predictions import Predictions
from rnn_symbolic.auditing.sweep import Variant
from rnn_symbolic.errors import NumericalFailure
from rnn_symbolic.expressions import Quantity

PAIRS_AT_ONCE = 4_000
"""How many pairs of mistakes in the table one sweep takes."""
PAIR_WORK = 1e8
"""About how many multiplications the search for pairs may take."""
MOST_MASKS = 60
"""How many selections are paired, the simplest."""


class PairSearch:
    """Pairs of mistakes that leave what is right alone; ``tried`` counts them."""

    def __init__(self, predictions: Predictions, right: Sequence[Quantity]) -> None:
        self.predictions, self.right = predictions, tuple(right)
        self.tried = 0
        self._groups: dict[tuple[int, tuple[TableMistake, ...]], dict[Quantity, Array]] = {}

    def offered(self, case: Case, goals: Sequence[Quantity]) -> Iterator[tuple[Combination, Quantity]]:
        """Pairs that reproduce a goal at one point."""
        useful = self.useful(case, goals)
        table = [m for m in useful if isinstance(m, TableMistake)]
        kinds = (SelectionMistake, ResultMistake)
        others = [m for m in self.predictions.catalogue if isinstance(m, kinds)]
        masks = [m for m in others if isinstance(m, SelectionMistake)][:MOST_MASKS]
        numbers = [m for m in others if isinstance(m, ResultMistake)]
        table = table[: self.affordable(case, goals)]
        forward = [m for m in useful if isinstance(m, ForwardMistake)]
        self.tried += len(table) * (len(table) + len(others)) + len(masks) * (len(masks) + len(numbers))
        for goal in goals:
            for reading in case.readings[goal]:
                layout = () if reading.layout is None else (reading.layout,)
                for pair in chain(
                    self.selected(case, goal, reading, table, masks),
                    self.multiplied(case, goal, reading, (*table, *masks, *forward), numbers),
                    self.masked(case, goal, reading, masks),
                    self.foreign(case, goal, reading, forward, masks),
                ):
                    yield (*pair, *layout), goal
        yield from self.both(case, goals, table)

    def affordable(self, case: Case, goals: Sequence[Quantity]) -> int:
        """How many mistakes of the table are paired, the simplest: all of them in small networks."""
        entries = sum(case.groups[goal].shape[-1] for goal in goals) + 10 * len(case.sweep.arcs)
        return int(max(20, math.sqrt(PAIR_WORK / (entries * case.steps))))

    def useful(self, case: Case, goals: Sequence[Quantity]) -> list[Mistake]:
        """Mistakes that change a wrong goal and leave the right ones alone, one of those that do the same."""
        predictions, right = self.predictions.of(case), self.right
        keep: list[Mistake] = []
        seen = set[bytes]()
        for n, mistake in enumerate(self.predictions.catalogue, 1):
            if not isinstance(mistake, TableMistake | ForwardMistake):
                continue
            spoils = any(case.errors(case.readings[g][0], g, predictions[g][n]) > 1 for g in right if case.readings[g])
            rows = [predictions[g][n] for g in goals]
            changes = any(
                not np.allclose(row, predictions[g][0], rtol=1e-9, atol=0) for g, row in zip(goals, rows, strict=True)
            )
            if spoils or not changes or not all(np.isfinite(row).all() for row in rows):
                continue
            scale = max(float(np.abs(row).max(initial=0.0)) for row in rows) or 1.0
            key = b"".join(np.round(row / scale, 10).tobytes() for row in rows)
            if key not in seen:
                seen.add(key)
                keep.append(mistake)
        return keep

    def selected(
        self,
        case: Case,
        goal: Quantity,
        reading: Reading,
        table: Sequence[TableMistake],
        masks: Sequence[SelectionMistake],
    ) -> Iterator[Combination]:
        """A mistake in the table, and then some of the paths only."""
        if not table or not masks:
            return
        groups = self.groups(case, table)[goal]
        stack = np.stack([mask.mask(case.steps) for mask in masks])
        predictions = np.einsum("mtsk,nts->mnk", groups, stack)
        for m, n in np.argwhere(case.errors(reading, goal, predictions) <= 1):
            yield (table[m], masks[n])

    def groups(self, case: Case, table: Sequence[TableMistake]) -> dict[Quantity, Array]:
        key = (id(case), tuple(table))
        if key not in self._groups:
            self._groups[key] = case.sweep.groups([m.variant for m in table], case.goals)
        return self._groups[key]

    def multiplied(
        self, case: Case, goal: Quantity, reading: Reading, firsts: Sequence[Mistake], numbers: Sequence[ResultMistake]
    ) -> Iterator[Combination]:
        """A mistake, and the result times a number; or two numbers."""
        predictions = self.predictions.of(case)[goal]
        rows = [*firsts, *numbers]
        found = predictions[[self.predictions.place[m] for m in rows]]
        for number in numbers:
            factor = float(number.factor(case.steps, case.outputs, case.point.batch))
            for m in np.flatnonzero(case.errors(reading, goal, factor * found) <= 1):
                if rows[m] is not number:
                    yield (rows[m], number)

    def masked(
        self, case: Case, goal: Quantity, reading: Reading, masks: Sequence[SelectionMistake]
    ) -> Iterator[Combination]:
        """Two selections: what both keep."""
        stack = np.stack([mask.mask(case.steps) for mask in masks])
        both = stack[:, None] * stack[None]
        predictions = np.einsum("tsk,mnts->mnk", case.groups[goal], both)
        for m, n in np.argwhere(case.errors(reading, goal, predictions) <= 1):
            if m < n:
                yield (masks[m], masks[n])

    def foreign(
        self,
        case: Case,
        goal: Quantity,
        reading: Reading,
        forward: Sequence[ForwardMistake],
        masks: Sequence[SelectionMistake],
    ) -> Iterator[Combination]:
        """Another network, and some of its paths only."""
        for mistake in forward:
            for mask in masks:
                try:
                    prediction = case.predict(goal, (mistake, mask))
                except NumericalFailure:
                    break
                if case.errors(reading, goal, prediction) <= 1:
                    yield (mistake, mask)

    def both(
        self, case: Case, goals: Sequence[Quantity], table: Sequence[TableMistake]
    ) -> Iterator[tuple[Combination, Quantity]]:
        """Two mistakes in the table, in different places of it."""
        places = [frozenset(change.arc for change in m.variant.changes) for m in table]
        pairs = [
            (i, j)
            for i in range(len(table))
            for j in range(i + 1, len(table))
            if not places[i] & places[j] and "zero" in (table[i].variant.border, table[j].variant.border)
        ]
        for start in range(0, len(pairs), PAIRS_AT_ONCE):
            some = pairs[start : start + PAIRS_AT_ONCE]
            variants = [_merged(table[i].variant, table[j].variant) for i, j in some]
            found = case.sweep.groups(variants, goals, whole=True)
            for goal in goals:
                for reading in case.readings[goal]:
                    layout = () if reading.layout is None else (reading.layout,)
                    for m in np.flatnonzero(case.errors(reading, goal, found[goal][:, 0, 0]) <= 1):
                        i, j = some[m]
                        yield (table[i], table[j], *layout), goal


def _merged(one: Variant, other: Variant) -> Variant:
    border = one.border if one.border != "zero" else other.border
    return Variant((*one.changes, *other.changes), (*one.added, *other.added), border)
