r"""Gradients that are clipped, or multiplied by a number: what is given is r times a prediction, r to be found.

by norm        r = min(1, c / ‖∇L‖), of all gradients together or of each: ‖r ∇L‖ = c wherever r < 1
elementwise    each entry between −c and c
a number       the same r at every point and for every goal
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from rnn_symbolic.auditing.cases import Case, Combination
from rnn_symbolic.auditing.mistakes import LimitMistake
from rnn_symbolic.expressions import Quantity

EPSILONS = (0.0, 1e-6, 1e-8, 1e-12)
"""What is added to a norm before it divides; PyTorch adds 1e-6."""
ALIKE = 1e-8
"""Two numbers that should be one differ by no more than this part of them."""


def limits(
    cases: Sequence[Case], goals: Sequence[Quantity], before: Combination
) -> Iterator[tuple[Combination, frozenset[Quantity]]]:
    """Limits on top of ``before`` that reproduce goals at every point, each with the goals that it explains."""
    for offer in _offers(cases, goals, before):
        combination = (*before, offer)
        covered = frozenset(g for g in goals if all(case.explains(g, combination) <= 1 for case in cases))
        if covered:
            yield combination, covered


def _offers(cases: Sequence[Case], goals: Sequence[Quantity], before: Combination) -> Iterator[LimitMistake]:
    ratios: list[float] = []
    largest: list[float] = []
    shrunk: list[Case] = []  # where every goal is multiplied by the same r < 1
    shrunk_goals: dict[Quantity, list[float]] = {goal: [] for goal in goals}
    norms_of: dict[Quantity, list[float]] = {goal: [] for goal in goals}
    for case in cases:
        here = []
        for goal in goals:
            if not case.readings[goal]:
                return
            u, right = case.readings[goal][0].entries, case.predict(goal, before)
            size = float(right @ right)
            if not size or not np.isfinite(size):
                continue
            r = float(u @ right) / size
            if np.abs(u - r * right).max() <= ALIKE * np.abs(u).max(initial=0.0) and abs(r - 1) > ALIKE:
                here.append(r)
                if 0 < r < 1:
                    shrunk_goals[goal].append(float(np.linalg.norm(u)))
                    norms_of[goal].append(size**0.5)
            if np.abs(u).max(initial=0.0) < np.abs(right).max() * (1 - ALIKE):
                largest.append(float(np.abs(u).max()))
        ratios += here
        if here and _alike(here) and 0 < here[0] < 1:
            shrunk.append(case)
    if len(ratios) > 1 and _alike(ratios):
        yield LimitMistake("scale", "constant", 3, limit=float(np.median(ratios)))
    if shrunk and not before:
        parameters = tuple(goal for goal in cases[0].goals if goal.step is None)
        for over in dict.fromkeys((tuple(cases[0].goals), parameters, tuple(goals))):
            names = tuple(map(str, over))
            for epsilon in EPSILONS:
                sizes = [case.norm(names) for case in shrunk]
                norms = [
                    _norm(case, over) * (g + epsilon) / max(g, 1e-300) for case, g in zip(shrunk, sizes, strict=True)
                ]
                if _chosen(norms):
                    yield LimitMistake("clipped", "norm", 1, names, limit=norms[0], epsilon=epsilon)
    for goal, found in shrunk_goals.items():
        for epsilon in EPSILONS:
            limits_at = [u * (g + epsilon) / g for u, g in zip(found, norms_of[goal], strict=True)]
            if found and _chosen(limits_at):
                yield LimitMistake("clipped", "norm-of-each", 1, limit=limits_at[0], epsilon=epsilon)
    if largest and _chosen(largest):
        yield LimitMistake("clipped", "entries", 1, limit=largest[0])


def _norm(case: Case, goals: Sequence[Quantity]) -> float:
    """The norm of what was given for several goals together."""
    return float(np.sqrt(sum(float(case.readings[g][0].entries @ case.readings[g][0].entries) for g in goals)))


def _chosen(numbers: Sequence[float]) -> bool:
    """Whether it is one number at several points; at one point, a number that somebody would choose."""
    return _alike(numbers) and (len(numbers) > 1 or _round(numbers[0]))


def _alike(numbers: Sequence[float]) -> bool:
    return max(numbers) - min(numbers) <= ALIKE * max(map(abs, numbers))


def _round(number: float) -> bool:
    """Whether somebody would have chosen this number: at most two digits, such as 5, 0.25."""
    return abs(float(f"{number:.2g}") - number) <= ALIKE * abs(number)
