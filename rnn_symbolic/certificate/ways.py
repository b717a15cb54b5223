r"""How many paths there are, for every T: the linear recursion of the numbers of paths, step by step.

    |N, t|  =  [N mentions the goal at step t]  +  Σ over the rows (M, k) of N of |M, t − k|          L:  Σ_t |ℓ, t|

In matrix form |N, t| is the sum over the components of N, and a row that joins every component of N with every
component of M counts n_N times. The recursion is a function ``ways`` of the file; ``path_count`` says that the length
of the actual list of paths from L is its value, for every T and all sizes.
"""

from __future__ import annotations

from dataclasses import dataclass

from rnn_symbolic.certificate.terms import CoqNames
from rnn_symbolic.frozen import frozen

MAX_NUMBER = 3_000
"""The greatest number that is written out for small T: Coq counts in ones."""
MAX_STEPS = 6


@frozen
class Passed:
    """What the equation of a quantity adds to its number of paths: that of ``tail``, ``lag`` steps before."""

    tail: str
    lag: int
    every: bool = False  # every component with every component


@frozen
class Counted:
    """A quantity, by its constructor: where it mentions the goal, what it passes on to, how many components it has.

    ``entered`` holds the steps at which the goal is mentioned (None: at every step); ``all_enter`` says that then each
    component mentions it, not one alone.
    """

    name: str
    entered: tuple[int | None, ...]
    rows: tuple[Passed, ...]
    size: str = ""
    all_enter: bool = True


@dataclass(frozen=True)
class Ways:
    """The recursion of the numbers of paths; the last quantity is the loss of a step."""

    quantities: tuple[Counted, ...]
    names: CoqNames
    paths: str  # the name of the list of all paths
    last: bool  # whether only the loss of step T counts
    place: str = ""  # the indices of the entry: " r c"
    bound: str = ""  # the same as bound variables
    inside: str = ""  # that the row of the entry exists, as a hypothesis

    def numbers(self, steps: int, size: int = 1) -> list[int]:
        """The number of paths from L for T = 1, 2, …, with ``size`` components in every vector.

        They end where they become too great to be written out.
        """
        found: dict[tuple[str, int], int] = {}
        totals: list[int] = []
        for t in range(1, steps + 1):
            for q in self.quantities:
                own = size if q.size else 1
                count = sum(own if q.all_enter else 1 for step in q.entered if step in (None, t))
                for row in q.rows:
                    count += found.get((row.tail, t - row.lag), 0) * (own if row.every else 1)
                found[q.name, t] = count
            total = found[self.quantities[-1].name, t]
            totals.append(total if self.last or not totals else totals[-1] + total)
            if totals[-1] > MAX_NUMBER:
                return totals[:-1]
        return totals

    @property
    def kept(self) -> list[tuple[Counted, int]]:
        """What later steps read: a quantity, and how many steps before it stands."""
        deepest = {q.name: 0 for q in self.quantities}
        for q in self.quantities:
            for row in q.rows:
                deepest[row.tail] = max(deepest[row.tail], row.lag)
        return [(q, lag) for q in self.quantities for lag in range(1, deepest[q.name] + 1)]

    def called(self, name: str, lag: int = 0) -> str:
        """The variable for the number of paths from a quantity: ways_h, ways_h_prev."""
        return self.names.made("ways", name, *(["prev" + (str(lag) if lag > 1 else "")] if lag else []))

    def counted(self, q: Counted, t: str, k: int) -> str:
        """That number as the length of the list, or the sum of such lengths over the components."""
        if not q.size:
            return f"number_of{self.place} {t} {k} {q.name}"
        return f"tally {q.size} (fun i => number_of{self.place} {t} {k} ({q.name} i))"

    def _sum(self, q: Counted, step: str, naming: dict[tuple[str, int], str]) -> str:
        terms = []
        for entered in q.entered:
            own = q.size if q.all_enter and q.size else "1"
            terms.append(own if entered is None else f"(if ({step} =? {entered})%nat then {own} else 0)")
        for row in q.rows:
            terms.append((f"{q.size} * " if row.every and q.size else "") + naming[row.tail, row.lag])
        return " + ".join(terms) or "0"

    # -- text -------------------------------------------------------------------------------------------------

    def text(self) -> str:
        """The recursion, and the theorem that it counts the list."""
        return "\n".join([*self._function(), "", *self._lemma(), "", *self._theorem()])

    def _function(self) -> list[str]:
        kept = [self.called(q.name, lag) for q, lag in self.kept]
        naming = {(q.name, 0): self.called(q.name) for q in self.quantities}
        naming |= {(q.name, lag): self.called(q.name, lag) for q, lag in self.kept}
        loss = self.called(self.quantities[-1].name)
        new = [self.called(q.name, lag - 1) for q, lag in self.kept]
        state = ", ".join([*kept, "ways_L"])
        kind = " * ".join(["nat"] * (len(kept) + 1))
        what = "from each component, added up" if any(q.size for q in self.quantities) else "from each quantity"
        return [
            f"(* The numbers of paths at step t, {what}, by those of the steps before; the last is that from L. *)",
            f"Definition next_ways (t : nat) ({'before_t' if kept else state} : {kind}) : {kind} :=",
            *([f"  let '({state}) := before_t in"] if kept else []),
            *(f"  let {self.called(q.name)} := ({self._sum(q, 't', naming)})%nat in" for q in self.quantities),
            f"  ({', '.join([*new, loss if self.last else f'ways_L + {loss}'])})%nat.",
            "",
            f"Fixpoint ways (t : nat) : {kind} :=",
            f"  match t with O => ({', '.join(['0'] * (len(kept) + 1))})%nat | S s => next_ways t (ways s) end.",
        ]

    def _lemma(self) -> list[str]:
        loss = self.quantities[-1]
        total = self.counted(loss, "t", 0) if self.last else f"length ({self.paths}{self.place} t)"
        claim = ", ".join([*(self.counted(q, "t", lag - 1) for q, lag in self.kept), total])
        lines = [f"Lemma counts :{self._every} forall t, {self.inside}ways t =\n  ({claim}).", "Proof."]
        lines.append(f"  intros{self.place} t{' Inside' if self.inside else ''}.")
        lines.append("  induction t as [|t IH].")
        none = ", ".join([*(f"tally {q.size} (fun _ => 0)" if q.size else "0" for q, _ in self.kept), "0"])
        lines.append(f"  {{ change (ways 0 = ({none})%nat). rewrite ?tally_const, ?Nat.mul_0_r. reflexivity. }}")
        for q in self.quantities:
            lines += self._step(q)
        if not self.last:
            lines += [
                f"  assert (Total : length ({self.paths}{self.place} (S t)) = "
                f"(length ({self.paths}{self.place} t) + {self.counted(loss, '(S t)', 0)})%nat).",
                f"  {{ unfold {self.paths}, loss_paths, steps. rewrite !length_flat, seq_S, map_app, list_sum_app.",
                "    cbn [map list_sum fold_right plus]. rewrite Nat.add_0_r. reflexivity. }",
            ]
        lines.append("  change (ways (S t)) with (next_ways (S t) (ways t)). rewrite IH.")
        lines.append("  cbv beta iota delta [next_ways].")
        lines += [f"  counted {self.names.made('C', q.name)}." for q in self.quantities]
        lines.append("  reflexivity." if self.last else "  rewrite Total. reflexivity.")
        return [*lines, "Qed."]

    @property
    def _every(self) -> str:
        return f" forall{self.bound}," if self.bound else ""

    def _step(self, q: Counted) -> list[str]:
        """The numbers of one quantity at the next step."""
        by_name = {other.name: other for other in self.quantities}
        places = [(other, lag) for other in self.quantities for lag in self._lags]
        # as the step before knows them, and as the rows have them: Coq sees that both are the same
        naming = {(o.name, lag): self.counted(o, *(("t", lag - 1) if lag else ("(S t)", 0))) for o, lag in places}
        later = {(o.name, lag): self.counted(o, "(S t)", lag) for o, lag in places}
        own = Counted(q.name, q.entered, (), q.size, q.all_enter)
        enters = f"(if enters{self.place} (S t) ({q.name}{' i' if q.size else ''}) then 1 else 0)"
        summed = f"tally {q.size} (fun i => {enters})%nat" if q.size else enters
        mentioned, number = self.names.made("E", q.name), self.names.made("C", q.name)
        deepest = max((step or 0 for step in q.entered), default=0)
        destruct = f"do {deepest} try destruct t as [|t]; " if deepest else ""
        through = "unfold rows; rewrite ?through_app, ?through_map, ?through_cons, ?through_nil; cbv beta; lia"
        lines = [
            f"  assert ({mentioned} : ({summed})%nat = ({self._sum(own, 'S t', {})})%nat).",
            f"  {{ clear IH. {destruct}unfold enters; cbn [Nat.eqb];",
            "    rewrite ?tally_const, ?tally_one by assumption; lia. }",
            f"  assert ({number} : {self.counted(q, '(S t)', 0)} = ({self._sum(q, 'S t', naming)})%nat).",
            f"  {{ change ({self.counted(q, '(S t)', 0)} = ({self._sum(q, 'S t', later)})%nat).",
        ]
        if not q.size:
            return [*lines, f"    rewrite number_rows, {mentioned}. {through}. }}"]
        parts = [
            later[row.tail, row.lag] if row.every else f"number_of{self.place} (S t) {row.lag} ({row.tail} i)"
            for row in q.rows
        ]
        assert all(by_name[row.tail].size for row in q.rows)
        return [
            *lines,
            f"    rewrite (tally_ext {q.size} _ (fun i => {' + '.join([enters, *parts])})%nat);",
            f"      [rewrite ?tally_plus, ?tally_const, {mentioned}; lia|].",
            f"    intros i; rewrite number_rows; {through}. }}",
        ]

    @property
    def _lags(self) -> range:
        return range(max((row.lag for q in self.quantities for row in q.rows), default=0) + 1)

    def _theorem(self) -> list[str]:
        value = "snd (ways T)" if self.kept else "ways T"
        some, has = ("(1 <= T)%nat -> ", " Some") if self.last else ("", "")
        inside = " Inside" if self.inside else ""
        lines = [
            "(* The number of paths from L, for every T. *)",
            f"Theorem path_count :{self._every} forall T, {self.inside}{some}",
            f"  length ({self.paths}{self.place} T) = {value}.",
            "Proof.",
            f"  intros{self.place} T{inside}{has}. rewrite (counts{self.place} T{inside}).",
        ]
        if self.last:
            lines.append("  destruct T as [|t]; [lia|].")
            lines.append(f"  unfold {self.paths}, loss_paths, steps. cbn [flat_map snd]. rewrite app_nil_r.")
        return [*lines, "  reflexivity.", "Qed."]

    def small(self, arguments: str = "", size: int = 1) -> str:
        """The numbers for small T, with ``size`` components in every vector; ``arguments`` are sizes and entry."""
        numbers = self.numbers(MAX_STEPS, size)
        if not numbers:
            return ""
        sizes = "" if size == 1 else f", with {size} components in every vector"
        return "\n".join(
            [
                f"(* The number of paths from L for small T{sizes}. *)",
                "Theorem path_numbers :",
                f"  map (fun T => length ({self.paths}{arguments} T)) (seq 1 {len(numbers)}) = "
                f"[{'; '.join(map(str, numbers))}]%nat.",
                "Proof.",
                "  erewrite map_ext_in; [|intros T In_T; apply in_seq in In_T;",
                "    apply path_count; lia]. vm_compute. reflexivity.",
                "Qed.",
            ]
        )
