"""How many paths there are in matrix form: the lengths of the actual lists, for small T and two components."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnn_symbolic.certificate.components import Kind
from rnn_symbolic.certificate.counting import MAX_LISTED, MAX_STEPS

if TYPE_CHECKING:
    from rnn_symbolic.certificate.vector_goals import VectorGoal

SIZE, ROW, COLUMN = 2, 1, 0
"""Every size in the count, and the entry that it is about."""


def path_numbers(goal: VectorGoal, steps: int) -> list[int]:
    """The number of paths from L for T = 1 … ``steps``, with two components in every vector."""
    network = goal.network
    found: dict[tuple[str, int, int], int] = {}
    losses = []
    for t in range(1, steps + 1):
        for e in network.equations:
            for i in range(SIZE if e.index else 1):
                count = 0
                for row in e.rows:
                    if network.is_row(row.edge) and row.edge.lag < t:
                        tails = [i] if row.kind is Kind.SAME else range(SIZE)
                        count += sum(found[row.edge.tail.name, j, t - row.edge.lag] for j in tails)
                count += sum(
                    step in (None, t) and (row.kind in (Kind.EVERY, Kind.SCALAR) or i == ROW)
                    for head, row, step in goal.enters_rows
                    if head is e
                )
                found[e.equation.target.name, i, t] = count
        losses.append(found["l", 0, t])
    if network.model.losses == "last":
        return losses
    return [sum(losses[:t]) for t in range(1, steps + 1)]


def vector_counting(goal: VectorGoal) -> str:
    """The theorem `path_count`; it stands outside the section, where the sizes are arguments."""
    steps = 1
    if path_numbers(goal, steps)[-1] > MAX_LISTED:
        return ""
    while steps < MAX_STEPS and path_numbers(goal, steps + 1)[-1] <= MAX_LISTED:
        steps += 1
    sizes = f" {SIZE}" * len(goal.network.sizes_of_rows)
    entry = ("", f" {ROW}", f" {ROW} {COLUMN}")[goal.rank]
    numbers = "; ".join(map(str, path_numbers(goal, steps)))
    return "\n".join(
        [
            f"(* The number of paths from L, for small T, with {SIZE} components in every vector. *)",
            "Theorem path_count :",
            f"  map (fun T => length ({goal.paths}{sizes}{entry} T)) (seq 1 {steps}) = [{numbers}]%nat.",
            "Proof. vm_compute. reflexivity. Qed.",
        ]
    )
