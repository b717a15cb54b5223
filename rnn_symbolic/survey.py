"""The paths to one quantity, looked at as a whole: listed, counted, grouped, ranked, with their numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rnn_symbolic.errors import InputError
from rnn_symbolic.expressions import Quantity
from rnn_symbolic.graph import Graph, Path
from rnn_symbolic.model import Model
from rnn_symbolic.numeric import SignedLog
from rnn_symbolic.paths import graph, group_paths, list_paths
from rnn_symbolic.valuation import Amount, Valuation


@dataclass(frozen=True, slots=True)
class PathGroup:
    """The paths of one lag, one loss step or one route: how many, and their sum where there are numbers."""

    key: Any
    count: int
    amount: Amount | None = None


@dataclass(frozen=True, slots=True)
class Survey:
    """What `survey_paths` found. ``paths`` is None when they were only counted or grouped."""

    model: Model
    goal: Quantity
    count: int
    by: str | None
    paths: tuple[tuple[Path, Amount | None], ...] | None
    groups: tuple[PathGroup, ...] | None
    total: Amount | None


def survey_paths(
    model: Model,
    goal: str,
    *,
    granularity: str = "state",
    valuation: Valuation | None = None,
    by: str | None = None,
    top: int | None = None,
    listed: bool = True,
    limit: int = 20_000,
) -> Survey:
    """Look at the paths from L to ``goal``; nothing is listed that was not asked for.

    Counts, and sums by lag or loss, come from dynamic programming; only a list, a ranking (``top``, by magnitude) and
    groups by route enumerate paths, and they refuse above ``limit``.
    """
    g = graph(model, goal, granularity)
    total = valuation.path_total(g) if valuation is not None else None
    groups = None if by is None else _groups(g, by, valuation, limit)
    paths: tuple[tuple[Path, Amount | None], ...] | None = None
    if listed and by is None:
        found = list_paths(model, goal, granularity, limit)
        paths = tuple((path, valuation.path(path) if valuation is not None else None) for path in found)
        if top is not None:
            paths = tuple(sorted(paths, key=lambda pair: -pair[1].log10 if pair[1] else 0.0)[:top])
    return Survey(model, g.goal, g.count(), by, paths, groups, total)


def _groups(g: Graph, by: str, valuation: Valuation | None, limit: int) -> tuple[PathGroup, ...]:
    if by == "route":
        grouped = group_paths(list_paths(g.model, g.goal, g.granularity, limit), "route")
        return tuple(
            PathGroup("-".join(key), len(paths), _sum([valuation.path(p) for p in paths]) if valuation else None)
            for key, paths in grouped.items()
        )
    counts = g.count_by_lag() if by == "lag" else g.count_by_loss()
    sums: dict[int, list[Amount]] = {}
    if valuation is not None:
        pairs = g.model.steps * len(g.model.loss_steps)
        if pairs > 100 * limit:  # one sweep from each loss: about a minute at this size
            raise InputError(
                f"sums by {by} at T = {g.model.steps} take {pairs:,} products, more than {100 * limit:,}; "
                f"use fewer steps, or raise --max-paths"
            )
        for t, s, amount in valuation.groups(g):
            sums.setdefault(t - s if by == "lag" else t, []).append(amount)
    return tuple(
        PathGroup(key, count, _sum(sums.get(key, [])) if valuation is not None else None)
        for key, count in counts.items()
    )


def _sum(amounts: list[Amount]) -> Amount:
    value, logarithm = 0.0, SignedLog.of(0.0)
    for amount in amounts:
        value, logarithm = value + amount.value, logarithm + SignedLog(amount.sign, amount.log10)
    return Amount.of(value, logarithm)
