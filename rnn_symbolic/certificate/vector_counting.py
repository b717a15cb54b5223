"""How many paths there are in matrix form: for every T and all sizes, by the numbers added up over components."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnn_symbolic.certificate.components import Kind
from rnn_symbolic.certificate.ways import Counted, Passed, Ways

if TYPE_CHECKING:
    from rnn_symbolic.certificate.vector_goals import VectorGoal

SIZE, ROW, COLUMN = 2, 1, 0
"""Every size in the numbers that are written out, and the entry that they are about."""


def vector_ways(goal: VectorGoal) -> Ways:
    """The recursion of the numbers of paths to one entry."""
    network = goal.network
    found = []
    for e in network.equations:
        rows = (row for row in e.rows if network.is_row(row.edge))
        entering = [(step, row.kind) for head, row, step in goal.enters_rows if head is e]
        found.append(
            Counted(
                e.name,
                tuple(step for step, _ in entering),
                tuple(
                    Passed(network.names[row.edge.tail.name], row.edge.lag, row.kind is not Kind.SAME) for row in rows
                ),
                network.size_of(e) if e.index else "",
                all(kind in (Kind.EVERY, Kind.SCALAR) for _, kind in entering),
            )
        )
    inside = f"(r < {network.shapes[goal.quantity.name][0]})%nat -> " if goal.rank else ""
    last = network.model.losses == "last"
    return Ways(tuple(found), network.names, goal.paths, last, goal.place, goal.bound, inside)


def small_numbers(goal: VectorGoal) -> str:
    """The numbers for small T; they stand outside the section, where the sizes are arguments."""
    sizes = f" {SIZE}" * len(goal.network.sizes_of_rows)
    entry = ("", f" {ROW}", f" {ROW} {COLUMN}")[goal.rank]
    return vector_ways(goal).small(sizes + entry, SIZE)
