r"""Which mistake is it? The simplest combination that reproduces what was given, at every point, to rounding.

One mistake before two, one mistake for all gradients before one for each; nothing is named that numbers of this
precision could have met by chance.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain

import numpy as np

from rnn_symbolic.array_functions import Array
from rnn_symbolic.auditing.cases import FLATTENED, TRANSPOSED, Case, Combination, Reading
from rnn_symbolic.auditing.limits import limits
from rnn_symbolic.auditing.mistakes import (
    ForwardMistake,
    LimitMistake,
    Mistake,
    ResultMistake,
    SelectionMistake,
    TableMistake,
)
from rnn_symbolic.auditing.sweep import RIGHT, Variant
from rnn_symbolic.errors import NumericalFailure
from rnn_symbolic.expressions import Quantity

CHANCE = 3.0
"""A combination is named when chance would give it less than once in 10^CHANCE such searches."""
PAIRS_AT_ONCE = 4_000
"""How many pairs of mistakes in the table one sweep takes."""
PAIR_WORK = 1e8
"""About how many multiplications the search for pairs may take."""
MOST_MASKS = 60
"""How many selections are paired, the simplest."""
CONFIRMED = 60
"""How many pairs that reproduce one point are tried at the others."""


@dataclass(frozen=True)
class Explanation:
    """A combination of mistakes, and the goals whose given gradients it reproduces.

    ``same`` are other combinations of as many mistakes that give the same numbers there.
    """

    combination: Combination
    goals: tuple[Quantity, ...]
    same: tuple[Combination, ...] = ()

    @property
    def rank(self) -> int:
        """Of two explanations the one of lower rank is simpler."""
        return sum(mistake.rank for mistake in self.combination)


@dataclass
class Diagnosis:
    """The right goals, the wrong ones, those that nothing can be said of, and what explains the wrong ones."""

    cases: Sequence[Case]
    catalogue: Sequence[Mistake]
    right: tuple[Quantity, ...] = ()
    wrong: tuple[Quantity, ...] = ()
    undecided: tuple[Quantity, ...] = ()
    explanations: list[Explanation] = field(default_factory=list)
    by_chance: set[Quantity] = field(default_factory=set)  # what only too few digits speak for

    def explanation(self, goal: Quantity) -> Explanation | None:
        """What explains a goal."""
        return next((e for e in self.explanations if goal in e.goals), None)


def diagnose(cases: Sequence[Case], catalogue: Sequence[Mistake], *, pairs: bool = True) -> Diagnosis:
    """What is right, what is wrong, and by which mistakes: one for all wrong goals, else one for each."""
    goals = cases[0].goals
    found = Diagnosis(cases, catalogue)
    found.right = tuple(g for g in goals if all(c.is_right(g) for c in cases) and any(c.decides(g) for c in cases))
    found.wrong = tuple(g for g in goals if not all(c.is_right(g) for c in cases))
    found.undecided = tuple(g for g in goals if g not in found.right and g not in found.wrong)
    if not found.wrong:
        return found
    search = _Search(found)
    left = [g for g in found.wrong if any(c.readings[g] for c in cases)]
    left = search.settle(left, search.singles(left))
    if left:
        left = search.settle(left, search.limited(left))
    if left and pairs:
        search.settle(left, search.pairs(left))
    return found


class _Search:
    def __init__(self, diagnosis: Diagnosis) -> None:
        self.diagnosis, self.cases = diagnosis, diagnosis.cases
        self.catalogue = tuple(diagnosis.catalogue)
        self.tried = 0

    # -- choosing -----------------------------------------------------------------------------------------------

    def settle(self, goals: list[Quantity], found: Iterable[tuple[Combination, frozenset[Quantity]]]) -> list[Quantity]:
        """Take explanations, that of most goals first, then the simplest, until none is left; the goals still open."""
        candidates = [(combination, covered) for combination, covered in found if covered]
        places = {combination: i for i, (combination, _) in enumerate(candidates)}
        left = list(goals)
        while True:
            open_goals = frozenset(left)
            usable = [(c, covered & open_goals) for c, covered in candidates if covered & open_goals]
            told = [(c, covered) for c, covered in usable if self.beyond_chance(c, covered)]
            if not told:
                self.diagnosis.by_chance |= {goal for _, covered in usable for goal in covered}
                return left
            usable = told

            def order(item: tuple[Combination, frozenset[Quantity]]) -> tuple[int, bool, int, int]:
                combination, covered = item
                rank = sum(mistake.rank for mistake in combination)
                return -len(covered), self.breaks(combination), rank, places[combination]

            usable.sort(key=order)
            chosen, covered = usable[0]
            same = tuple(c for c, other in usable[1:] if other == covered and self.breaks(c) == self.breaks(chosen))
            ordered = tuple(g for g in goals if g in covered)
            self.diagnosis.explanations.append(Explanation(chosen, ordered, same))
            left = [g for g in left if g not in covered]

    def breaks(self, combination: Combination) -> bool:
        """Whether a mistake would spoil what is right: then it was made for some goals only."""
        if all(not isinstance(mistake, TableMistake | ForwardMistake) for mistake in combination):
            return False  # a rule for one goal leaves the others alone
        return any(not self.holds(goal, combination) for goal in self.diagnosis.right)

    def holds(self, goal: Quantity, combination: Combination) -> bool:
        """Whether a combination reproduces a goal at every point."""
        return all(self.reproduced(case, goal, combination) for case in self.cases)

    def beyond_chance(self, combination: Combination, goals: Iterable[Quantity]) -> bool:
        """Whether so many digits cannot have met by chance, as often as it was tried."""
        spoken = [n for case in self.cases for n in self.spoken(case, list(goals))]
        fitted = any(isinstance(mistake, LimitMistake) for mistake in combination)
        digits = sum(spoken) - (max(spoken, default=0.0) if fitted else 0.0)  # a number was chosen to fit
        return digits >= math.log10(max(10, self.tried)) + CHANCE

    def spoken(self, case: Case, goals: Sequence[Quantity]) -> list[float]:
        """How many decimal digits speak at a point: as many as are written, of as many entries as are independent.

        Entries that stand in a fixed ratio in all predictions, such as those of dW_x and db_h where all x are alike,
        are one number.
        """
        digits: list[float] = []
        columns: list[Array] = []
        for goal in goals:
            if case.is_right(goal) or not case.readings[goal]:
                continue
            reading = case.readings[goal][0]
            size = max(float(np.abs(reading.entries).max(initial=0.0)), case.size(goal))
            unit = reading.unit + case.relative * size
            known = np.log10(np.maximum(1.0, size / np.maximum(unit, 1e-300)))
            digits += [min(float(k), written(v)) for k, v in zip(known, reading.entries, strict=True)]
            columns.append(self.predictions(case)[goal] / (case.size(goal) or 1.0))
        if not columns:
            return []
        table = np.concatenate(columns, axis=1)
        table = table[np.isfinite(table).all(axis=1) & (np.abs(table).max(axis=1) < 1e6)]
        independent = int(np.linalg.matrix_rank(table, tol=1e-6 * max(1.0, float(np.abs(table).max(initial=0.0)))))
        return sorted(digits, reverse=True)[:independent]

    # -- one mistake --------------------------------------------------------------------------------------------

    def singles(self, goals: Sequence[Quantity]) -> Iterator[tuple[Combination, frozenset[Quantity]]]:
        """Every mistake of the catalogue with the goals that it explains at every point; layouts alone as well."""
        options: list[Combination] = [(), *((mistake,) for mistake in self.catalogue)]
        self.tried += len(options)
        for layout in (None, TRANSPOSED, FLATTENED):
            explained: list[set[Quantity]] = [set() for _ in options]
            for goal in goals:
                alive = self.alive(goal, layout)
                for n in np.flatnonzero(alive):
                    explained[n].add(goal)
            for combination, covered in zip(options, explained, strict=True):
                full = combination if layout is None else (*combination, layout)
                if covered and full:
                    yield full, frozenset(covered)

    def alive(self, goal: Quantity, layout: Mistake | None) -> Array:
        """Which of () and the catalogue reproduce a goal in a layout, at every point."""
        first, *others = self.cases
        matching = [reading for reading in first.readings[goal] if reading.layout == layout]
        if not matching:
            return np.zeros(1 + len(self.catalogue), dtype=bool)
        alive = np.asarray(first.errors(matching[0], goal, self.predictions(first)[goal]) <= 1)
        rest = () if layout is None else (layout,)
        for n in np.flatnonzero(alive):
            combination = (*((self.catalogue[n - 1],) if n else ()), *rest)
            alive[n] = all(self.reproduced(case, goal, combination) for case in others)
        return alive

    def reproduced(self, case: Case, goal: Quantity, combination: Combination) -> bool:
        try:
            return case.explains(goal, combination) <= 1
        except NumericalFailure:
            return False

    def predictions(self, case: Case) -> dict[Quantity, Array]:
        """By goal, what () and each mistake of the catalogue would give: [mistake, entry]."""
        cached: dict[Quantity, Array] | None = case.__dict__.get("_predictions")
        if cached is None:
            cached = case.__dict__["_predictions"] = predictions_of(case, self.catalogue)
        return cached

    # -- limits -------------------------------------------------------------------------------------------------

    def limited(self, goals: Sequence[Quantity]) -> Iterator[tuple[Combination, frozenset[Quantity]]]:
        """Clipping, and numbers that nothing explains: of the right gradient, then of one with a mistake."""
        yield from limits(self.cases, goals, ())

    # -- two mistakes -------------------------------------------------------------------------------------------

    def pairs(self, goals: Sequence[Quantity]) -> Iterator[tuple[Combination, frozenset[Quantity]]]:
        """Pairs of mistakes that reproduce goals: found at one point, confirmed at all, most goals first."""
        case = next(c for c in self.cases if not all(c.is_right(g) for g in goals))
        offered: dict[Combination, set[Quantity]] = {}
        for combination, goal in self.offered_pairs(case, goals):
            offered.setdefault(combination, set()).add(goal)
        ordered = sorted(offered, key=lambda c: (-len(offered[c]), sum(m.rank for m in c)))
        for combination in ordered[:CONFIRMED]:
            covered = frozenset(g for g in offered[combination] if self.holds(g, combination))
            if covered:
                yield combination, covered
        for mistake in self.catalogue:
            if isinstance(mistake, SelectionMistake):
                yield from limits(self.cases, goals, (mistake,))

    def offered_pairs(self, case: Case, goals: Sequence[Quantity]) -> Iterator[tuple[Combination, Quantity]]:
        """Pairs that reproduce a goal at one point."""
        useful = self.useful(case, goals)
        table = [m for m in useful if isinstance(m, TableMistake)]
        kinds = (SelectionMistake, ResultMistake)
        others = [m for m in self.catalogue if isinstance(m, kinds)]
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
        predictions, right = self.predictions(case), self.diagnosis.right
        keep: list[Mistake] = []
        seen = set[bytes]()
        for n, mistake in enumerate(self.catalogue, 1):
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
        cached: dict[tuple[TableMistake, ...], dict[Quantity, Array]] = case.__dict__.setdefault("_table_groups", {})
        key = tuple(table)
        if key not in cached:
            cached[key] = case.sweep.groups([m.variant for m in table], case.goals)
        return cached[key]

    def multiplied(
        self, case: Case, goal: Quantity, reading: Reading, firsts: Sequence[Mistake], numbers: Sequence[ResultMistake]
    ) -> Iterator[Combination]:
        """A mistake, and the result times a number; or two numbers."""
        predictions = self.predictions(case)[goal]
        index = {mistake: n for n, mistake in enumerate(self.catalogue, 1)}
        rows = [*firsts, *numbers]
        found = predictions[[index[m] for m in rows]]
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


def written(number: float) -> float:
    """How many decimal digits a number takes: 105 has three, 0.5 one, 1/3 all of them.

    >>> written(105.0), written(0.5), written(1 / 3)
    (3.0, 1.0, 16.0)
    """
    digits = repr(abs(float(number))).partition("e")[0].replace(".", "").strip("0")
    whole = len(str(int(abs(number)))) if abs(number) < 1e15 and number == int(number) else 0
    return float(max(len(digits), whole, 1))


def _merged(one: Variant, other: Variant) -> Variant:
    border = one.border if one.border != "zero" else other.border
    return Variant((*one.changes, *other.changes), (*one.added, *other.added), border)


def predictions_of(case: Case, catalogue: Sequence[Mistake]) -> dict[Quantity, Array]:
    """All of them in as few sweeps as there are networks."""
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


__all__ = ["Diagnosis", "Explanation", "diagnose", "predictions_of"]
