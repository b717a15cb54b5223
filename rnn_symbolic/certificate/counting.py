r"""How many paths there are: statements about the length of the actual list, and the list itself for small T.

    |paths(N, t)|  =  [N mentions the goal at step t]  +  Σ over the rows (M, k) of N with k < t of |paths(M, t − k)|

The recursion holds for every table. Where its solution is α t + β (the cells with one way from step to step), the
closed form is proved: T (T + 1)/2 paths to W_x. Elsewhere the number of paths from L is a linear recursion (`ways`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from rnn_symbolic.certificate.ways import Counted, Passed, Ways

if TYPE_CHECKING:
    from rnn_symbolic.certificate.goals import Goal

Node = tuple[str, int]
"""A quantity, by its name in the cell, and its step."""


@dataclass(frozen=True)
class Count:
    """The number of paths to a goal, from the rows."""

    goal: Goal

    @cached_property
    def rows(self) -> dict[str, list[tuple[str, int]]]:
        """What each quantity reads, by name and lag."""
        network = self.goal.network
        return {
            name: [(edge.tail.name, edge.lag) for edge in e.edges if network.is_row(edge)]
            for name, e in network.quantities.items()
        }

    def enters(self, name: str, t: int) -> bool:
        """Whether the equation of a quantity mentions the goal at step t."""
        e = self.goal.network.quantities[name]
        return any(self.goal.enters_at(edge) in (None, t) for edge in self.goal.entries(e))

    def by_step(self, steps: int) -> dict[str, list[int]]:
        """The number of paths from each quantity at steps 1 … T."""
        found: dict[str, list[int]] = {name: [] for name in self.rows}
        for t in range(1, steps + 1):
            for name, rows in self.rows.items():  # in the order of computation
                count = sum(found[tail][t - lag - 1] for tail, lag in rows if lag < t)
                found[name].append(count + self.enters(name, t))
        return found

    def total(self, steps: int) -> int:
        """The number of paths from L."""
        column = self.by_step(steps)["l"]
        return column[-1] if self.goal.network.model.losses == "last" else sum(column)

    def affine(self) -> dict[str, tuple[int, int]] | None:
        """α and β with α t + β paths from each quantity at every step t; None where the numbers do not grow so."""
        if self.goal.network.deepest > 1:
            return None
        found = {}
        for name, column in self.by_step(8).items():
            slope = column[1] - column[0]
            start = column[0] - slope
            if start < 0 or slope < 0 or column != [slope * t + start for t in range(1, 9)]:
                return None
            found[name] = (slope, start)
        return found

    @property
    def ways(self) -> Ways:
        """The recursion of these numbers."""
        goal, network = self.goal, self.goal.network
        return Ways(
            tuple(
                Counted(
                    e.name,
                    tuple(map(goal.enters_at, goal.entries(e))),
                    tuple(Passed(network.names[tail], lag) for tail, lag in self.rows[name]),
                )
                for name, e in network.quantities.items()
            ),
            network.names,
            paths=goal.paths,
            last=network.model.losses == "last",
        )

    def listing(self, name: str, t: int) -> Iterator[tuple[Node, ...]]:
        """The paths from a quantity at a step, in the order of Coq's list."""
        if self.enters(name, t):
            yield ((name, t),)
        for tail, lag in self.rows[name]:
            if lag < t:
                yield from (((name, t), *rest) for rest in self.listing(tail, t - lag))


def counting(goal: Goal) -> str:
    """The recursion, and the number of paths from L: as a closed form, or by the numbers of the steps before."""
    count = Count(goal)
    affine = count.affine()
    if affine is not None:
        return "\n".join([*recursion(), *_closed(goal, affine)])
    ways = count.ways
    return "\n".join([*recursion(), ways.text(), "", ways.small()])


def recursion(place: str = "", bound: str = "") -> list[str]:
    """The number of paths from any quantity: a recursion over the rows; ``place`` are the indices of an entry."""
    every = f"forall{place} t N"
    general = f"paths_length name rows (enters{place}) depth height depth_height depth_rows"
    return [
        "(* The paths from N at step t, and their number: a recursion over the rows. *)",
        f"Definition paths_of{bound} (t : nat) (N : name) : list (path name) :=",
        f"  paths rows (enters{place}) depth height t N.",
        "",
        f"Theorem path_recursion : {every},",
        f"  length (paths_of{place} t N) = ((if enters{place} t N then 1 else 0) + list_sum (map (fun row =>",
        f"    let (M, k) := (row : name * nat) in if k <? t then length (paths_of{place} (t - k) M) else 0)"
        " (rows N)))%nat.",
        f"Proof. intros{place} t N. exact ({general} t N). Qed.",
        "",
        "(* The number of paths from N, k steps back from step t. *)",
        f"Definition number_of{bound} (t k : nat) (N : name) : nat := number rows (enters{place}) depth height t k N.",
        "",
        f"Lemma number_rows : {every}, number_of{place} (S t) 0 N =",
        f"  ((if enters{place} (S t) N then 1 else 0) + through (number_of{place} (S t)) (rows N))%nat.",
        f"Proof. intros{place} t N. exact ({general} (S t) N). Qed.",
        "",
    ]


def all_paths(goal: Goal) -> str:
    """The theorem that the list from L holds every path, each once."""
    place, last = goal.place, goal.network.model.losses == "last"
    once = "constructor; [intros []|constructor]" if last else "apply seq_NoDup"
    table = f"rows (enters{place}) depth height"
    return "\n".join(
        [
            "Lemma rows_once : forall N, NoDup (rows N).",
            "Proof. intros N. destruct N; unfold rows; no_row_twice. Qed.",
            "",
            "(* The list has every path from L to an entry, and each once. *)",
            f"Theorem path_list : {f'forall {goal.bound.strip()}, ' if place else ''}forall T,",
            f"  NoDup ({goal.paths}{place} T) /\\",
            f"  forall p, In p ({goal.paths}{place} T) <->",
            f"    exists t, In t (steps T) /\\ is_path rows (enters{place}) t {goal.loss} p.",
            "Proof.",
            f"  intros{place} T. split.",
            f"  - apply (loss_paths_once name {table} {goal.loss} (steps T)); [exact rows_once|].",
            f"    unfold steps. {once}.",
            f"  - exact (loss_paths_complete name {table} depth_height depth_rows {goal.loss} (steps T)).",
            "Qed.",
        ]
    )


def _times(slope: int, factor: str) -> str:
    return factor if slope == 1 else f"{slope} * {factor}"


def _closed(goal: Goal, affine: dict[str, tuple[int, int]]) -> list[str]:
    """The closed form: of every quantity by induction over the steps, and of L by summation."""
    network = goal.network
    equations = network.quantities
    claims = [
        f"length (paths_of (S t) {equations[name].name}) = ({slope} * S t + {start})%nat"
        for name, (slope, start) in affine.items()
    ]
    claim = " /\\\n  ".join(claims)
    names = network.names
    earlier = " & ".join(names.made("B", equations[name].name) for name in affine)
    lines = [f"Lemma counts : forall t,\n  {claim}.", "Proof.", f"  induction t as [|t ({earlier})]."]
    for step in ("1", "S (S t)"):
        lines.append("  - (* step 1 *)" if step == "1" else "  - (* the next step *)")
        for name, (slope, start) in affine.items():
            c = equations[name].name
            number = names.made("C", c)
            lines.append(f"    assert ({number} : length (paths_of ({step}) {c}) = ({slope} * ({step}) + {start})%nat)")
            lines.append("      by (rewrite path_recursion; unfold list_sum;")
            lines.append("          cbn [rows map fold_right enters Nat.ltb Nat.leb Nat.sub]; lia).")
        lines.append("    repeat split; assumption.")
    lines += ["Qed.", ""]
    slope, start = affine["l"]
    place = "".join("proj2 (" for _ in list(affine)[1:]) + "counts t" + ")" * (len(affine) - 1)
    lines.append("(* The number of paths from L. *)")
    if network.model.losses == "last":
        claim = " + ".join([*([_times(slope, "T")] if slope else []), *([str(start)] if start or not slope else [])])
        lines += [
            f"Theorem path_count : forall T, (1 <= T)%nat -> length ({goal.paths} T) = ({claim})%nat.",
            "Proof.",
            f"  intros T Some. destruct T as [|t]; [lia|]. assert (C := {place}).",
            f"  unfold {goal.paths}, loss_paths, steps. cbn [flat_map]. rewrite app_nil_r.",
            "  unfold paths_of in C. lia.",
            "Qed.",
        ]
        return lines
    if slope:
        twice = _times(slope, "T * (T + 1)") + (f" + {2 * start} * T" if start else "")
        claim = f"(2 * length ({goal.paths} T) = {twice})%nat"
    else:
        claim = (
            f"length ({goal.paths} T) = {_times(start, 'T')}%nat"
            if start == 1
            else f"length ({goal.paths} T) = ({start} * T)%nat"
        )
    lines += [
        f"Theorem path_count : forall T, {claim}.",
        "Proof.",
        f"  intros T. unfold {goal.paths}, loss_paths, steps. rewrite length_flat.",
        f"  assert (C := sum_of_affine (fun t => length (paths_of t {goal.loss})) {slope} {start}",
        f"    (fun t => {place}) T).",
        "  unfold paths_of in C. nia.",
        "Qed.",
    ]
    return lines
