r"""Which mistake is it? The simplest combination that reproduces what was given, at every point, to rounding.

One mistake before two, one mistake for all gradients before one for each; nothing is named that numbers of this
precision could have met by chance.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from rnn_symbolic.array_functions import Array
from rnn_symbolic.auditing.cases import FLATTENED, TRANSPOSED, Case, Combination
from rnn_symbolic.auditing.limits import limits
from rnn_symbolic.auditing.mistakes import ForwardMistake, LimitMistake, Mistake, SelectionMistake, TableMistake
from rnn_symbolic.auditing.pairs import PairSearch
from rnn_symbolic.auditing.predictions import Predictions
from rnn_symbolic.errors import NumericalFailure
from rnn_symbolic.expressions import Quantity

CHANCE = 3.0
"""A combination is named when chance would give it less than once in 10^CHANCE such searches."""
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
        self.predictions = Predictions(diagnosis.catalogue)
        self.catalogue = self.predictions.catalogue
        self.tried = 0
        self._spoken: dict[tuple[Quantity, ...], list[float]] = {}

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
        key = tuple(goal for goal in self.cases[0].goals if goal in set(goals))
        if key not in self._spoken:
            self._spoken[key] = [n for case in self.cases for n in self.spoken(case, key)]
        spoken = self._spoken[key]
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
            columns.append(self.predictions.of(case)[goal] / (case.size(goal) or 1.0))
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
        alive = np.asarray(first.errors(matching[0], goal, self.predictions.of(first)[goal]) <= 1)
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

    # -- limits -------------------------------------------------------------------------------------------------

    def limited(self, goals: Sequence[Quantity]) -> Iterator[tuple[Combination, frozenset[Quantity]]]:
        """Clipping, and numbers that nothing explains: of the right gradient, then of one with a mistake."""
        yield from limits(self.cases, goals, ())

    # -- two mistakes -------------------------------------------------------------------------------------------

    def pairs(self, goals: Sequence[Quantity]) -> Iterator[tuple[Combination, frozenset[Quantity]]]:
        """Pairs of mistakes that reproduce goals: found at one point, confirmed at all, most goals first."""
        case = next(c for c in self.cases if not all(c.is_right(g) for g in goals))
        search = PairSearch(self.predictions, self.diagnosis.right)
        offered: dict[Combination, set[Quantity]] = {}
        for combination, goal in search.offered(case, goals):
            offered.setdefault(combination, set()).add(goal)
        self.tried += search.tried
        ordered = sorted(offered, key=lambda c: (-len(offered[c]), sum(m.rank for m in c)))
        for combination in ordered[:CONFIRMED]:
            covered = frozenset(g for g in offered[combination] if self.holds(g, combination))
            if covered:
                yield combination, covered
        for mistake in self.catalogue:
            if isinstance(mistake, SelectionMistake):
                yield from limits(self.cases, goals, (mistake,))


def written(number: float) -> float:
    """How many decimal digits a number takes: 105 has three, 0.5 one, 1/3 all of them.

    >>> written(105.0), written(0.5), written(1 / 3)
    (3.0, 1.0, 16.0)
    """
    digits = repr(abs(float(number))).partition("e")[0].replace(".", "").strip("0")
    whole = len(str(int(abs(number)))) if abs(number) < 1e15 and number == int(number) else 0
    return float(max(len(digits), whole, 1))
