"""The paths to one quantity, looked at as a whole: listed, counted, grouped, ranked, with their numbers."""

from __future__ import annotations

import heapq
import math
from typing import TYPE_CHECKING, Any

from rnn_symbolic.errors import InputError
from rnn_symbolic.expressions import Quantity
from rnn_symbolic.frozen import frozen
from rnn_symbolic.graph import Graph, Path
from rnn_symbolic.model import Model
from rnn_symbolic.numeric import SignedLog
from rnn_symbolic.paths import graph, group_paths, list_paths
from rnn_symbolic.valuation import Amount, Valuation

if TYPE_CHECKING:
    from rnn_symbolic.matrix_valuation import MatrixAmount, MatrixValuation

LEAST_SUM = 1e-290
"""Beside entries of this size, terms that floats have rounded to 0 do not count."""


@frozen
class PathGroup:
    """The paths of one lag, one loss step or one route: how many, and their sum where there are numbers."""

    key: Any
    count: int
    amount: Amount | MatrixAmount | None = None


@frozen
class Survey:
    """What `survey_paths` found. ``paths`` is None when they were only counted or grouped."""

    model: Model
    goal: Quantity
    granularity: str
    count: int
    by: str | None
    paths: tuple[tuple[Path, Amount | MatrixAmount | None], ...] | None
    groups: tuple[PathGroup, ...] | None
    total: Amount | MatrixAmount | None


def survey_paths(
    model: Model,
    goal: str,
    *,
    granularity: str = "state",
    valuation: Valuation | MatrixValuation | None = None,
    by: str | None = None,
    top: int | None = None,
    listed: bool = True,
    limit: int = 20_000,
) -> Survey:
    """Look at the paths from L to ``goal``; nothing is listed that was not asked for.

    Counts, and sums by lag or loss, come from dynamic programming; only a list, a ranking (``top``, by magnitude,
    of arrays by Frobenius norm) and groups by route enumerate paths, and they refuse above ``limit``.
    """
    g = graph(model, goal, granularity)
    total = valuation.path_total(g) if valuation is not None else None
    groups = None if by is None else _groups(g, by, valuation, limit)
    paths: tuple[tuple[Path, Amount | MatrixAmount | None], ...] | None = None
    if listed and by is None:
        found = list_paths(model, goal, granularity, limit)
        if valuation is None:
            paths = tuple((path, None) for path in found)
        else:
            _refuse_entries(g, total, len(found) if top is None else min(top, len(found)), limit)
            valued = ((path, valuation.path(path)) for path in found)
            paths = tuple(valued if top is None else heapq.nlargest(top, valued, key=lambda pair: pair[1].log10))
    return Survey(model, g.goal, granularity, g.count(), by, paths, groups, total)


def _refuse_entries(g: Graph, total: Amount | MatrixAmount | None, number: int, limit: int) -> None:
    """Each path to an array has an array for its value."""
    entries = 1 if total is None or isinstance(total, Amount) else total.value.size
    if number * entries > 1000 * limit:
        raise InputError(
            f"the values of {number:,} paths to {g.goal} hold {number * entries:,} numbers, more than "
            f"{1000 * limit:,}; use --by lag or --top, or raise --max-paths"
        )


def _groups(g: Graph, by: str, valuation: Valuation | MatrixValuation | None, limit: int) -> tuple[PathGroup, ...]:
    if by == "route":
        grouped = group_paths(list_paths(g.model, g.goal, g.granularity, limit), "route")
        counts: dict[Any, int] = {"-".join(key): len(paths) for key, paths in grouped.items()}
    else:
        counts = dict(g.count_by_lag() if by == "lag" else g.count_by_loss())
    if valuation is None:
        return tuple(PathGroup(key, count) for key, count in counts.items())
    sums = {key: _Sum() for key in counts}
    if by == "route":
        for key, paths in grouped.items():
            for path in paths:
                sums["-".join(key)].add(valuation.path(path))
    else:
        pairs = g.model.steps * len(g.model.loss_steps)
        if pairs > 100 * limit:  # one sweep from each loss: about a minute at this size
            raise InputError(
                f"sums by {by} at T = {g.model.steps} take {pairs:,} products, more than {100 * limit:,}; "
                f"use fewer steps, or raise --max-paths"
            )
        for t, s, amount in valuation.groups(g):
            sums[t - s if by == "lag" else t].add(amount)
    return tuple(PathGroup(key, count, sums[key].amount) for key, count in counts.items())


class _Sum:
    """The sum of amounts as they come: of arrays only one is held."""

    def __init__(self) -> None:
        self.value: Any = 0.0
        self.logarithm = SignedLog.of(0.0)
        self.terms = 0
        self.term: Amount | MatrixAmount | None = None  # the last one that is not 0

    def add(self, amount: Amount | MatrixAmount) -> None:
        """One more."""
        self.value = self.value + amount.value
        if isinstance(amount, Amount):
            self.logarithm = self.logarithm + SignedLog(amount.sign, amount.log10)
        if self.term is None or amount.log10 > -math.inf:
            self.terms += amount.log10 > -math.inf
            self.term = amount

    @property
    def amount(self) -> Amount | MatrixAmount:
        """The sum; of arrays the logarithm is nan where floats have lost the entries of several terms."""
        if self.term is None or isinstance(self.term, Amount):
            return Amount.of(self.value, self.logarithm)
        if self.terms < 2:
            return self.term
        from rnn_symbolic.matrix_valuation import MatrixAmount  # with NumPy

        greatest = float(abs(self.value).max())
        if not LEAST_SUM < greatest < math.inf:
            return MatrixAmount(self.value, math.nan)
        scaled = self.value / greatest
        return MatrixAmount(self.value, math.log10(greatest) + math.log10(float((scaled * scaled).sum())) / 2)
