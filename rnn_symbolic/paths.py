"""Paths from L to a quantity: enumerated lazily, counted without being listed, grouped by lag, loss or route."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from rnn_symbolic.errors import InputError
from rnn_symbolic.expressions import Quantity
from rnn_symbolic.graph import Graph, Path
from rnn_symbolic.model import Model

MAX_PATHS = 20_000
"""How many paths `list_paths` lists unless it is told otherwise."""


def graph(model: Model, goal: Quantity | str, granularity: str = "state") -> Graph:
    """The graph of paths from L to a quantity, made once per model."""
    quantity = model.resolve(goal) if isinstance(goal, str) else goal
    key = (quantity, granularity)
    if key not in model.graphs:
        model.graphs[key] = Graph(model, quantity, granularity)
    found = model.graphs[key]
    assert isinstance(found, Graph)
    return found


def iter_paths(model: Model, goal: Quantity | str, granularity: str = "state") -> Iterator[Path]:
    """All paths from L to a quantity, lazily: the latest loss first, then by lag, as the article goes."""
    g = graph(model, goal, granularity)
    for t, s, _ in g.counts():
        yield from g.paths(t, s)


def count_paths(model: Model, goal: Quantity | str, granularity: str = "state") -> int:
    """The number of paths, counted and not listed.

    >>> from rnn_symbolic.model import unroll
    >>> count_paths(unroll("elman", steps=10_000), "W_x")
    50005000
    """
    return graph(model, goal, granularity).count()


def in_digits(number: int) -> str:
    """A count for a message: its digits, or its size."""
    return f"{number:,}" if number < 10**15 else f"about 10^{math.log10(number):.0f}"


def list_paths(
    model: Model, goal: Quantity | str, granularity: str = "state", limit: int = MAX_PATHS
) -> tuple[Path, ...]:
    """All paths from L to a quantity. Raises InputError above ``limit``, with the number and what to use instead."""
    number = count_paths(model, goal, granularity)
    if number > limit:
        raise InputError(
            f"there are {in_digits(number)} paths to {goal}, more than the limit of {limit:,}; "
            f"use --count or --by lag, or raise --max-paths"
        )
    return tuple(iter_paths(model, goal, granularity))


def group_paths(paths: Iterable[Path], by: str) -> dict[Any, tuple[Path, ...]]:
    """Paths grouped by ``lag``, by ``loss`` step, or by ``route``: the states visited, without their steps.

    >>> from rnn_symbolic.model import unroll
    >>> groups = group_paths(iter_paths(unroll("elman", steps=3), "W_x"), "lag")
    >>> {lag: len(paths) for lag, paths in groups.items()}
    {0: 3, 1: 2, 2: 1}
    """
    keys: dict[str, Callable[[Path], Any]] = {
        "lag": lambda path: path.lag,
        "loss": lambda path: path.loss_step,
        "route": lambda path: tuple(dict.fromkeys(node.name for node in path.nodes[2:-1])),
    }
    if by not in keys:
        raise InputError(f"paths are grouped by {', '.join(keys)}, not by {by!r}")
    groups: dict[Any, list[Path]] = {}
    for path in paths:
        groups.setdefault(keys[by](path), []).append(path)
    order = sorted(groups) if by == "lag" else list(groups)
    return {key: tuple(groups[key]) for key in order}
