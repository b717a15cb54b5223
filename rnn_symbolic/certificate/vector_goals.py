"""The theorems about one entry of a parameter in matrix form: dL/dW_rc is the sum over paths, for every T and size."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from rnn_symbolic.certificate.components import ComponentEquation, ComponentRow, Kind
from rnn_symbolic.certificate.counting import all_paths, recursion
from rnn_symbolic.certificate.goals import Goal
from rnn_symbolic.certificate.vector_counting import vector_ways
from rnn_symbolic.certificate.vector_network import VectorNetwork
from rnn_symbolic.errors import InputError
from rnn_symbolic.expressions import Quantity


@dataclass(frozen=True)
class VectorGoal(Goal):
    """An entry of what L is differentiated by: W_h r c, b_h r, h_0 r."""

    network: VectorNetwork

    @property
    def rank(self) -> int:
        """2 for a matrix, 1 for a vector, 0 for a number."""
        return len(self.network.shapes[self.quantity.name])

    @property
    def place(self) -> str:
        """The indices of the entry."""
        return ("", " r", " r c")[self.rank]

    @property
    def bound(self) -> str:
        """The indices as bound variables."""
        return ("", " (r : nat)", " (r c : nat)")[self.rank]

    @property
    def moved(self) -> str:
        return self.network.names.made("with", self.name)

    @property
    def at(self) -> str:
        return f"({self.name} p{self.place})"

    @property
    def inside(self) -> str:
        """That the entry exists: its last index is below the size."""
        if not self.rank:
            return ""
        shape = self.network.shapes[self.quantity.name]
        return f"({self.place[-1]} < {shape[-1]})%nat -> "

    @property
    def given(self) -> str:
        """The hypotheses by name."""
        return ("" if not self.rank else " Inside") + (" Reg" if self.network.conditional else "")

    @property
    def asked(self) -> str:
        """The hypotheses of every statement."""
        return self.inside + self.if_regular

    @cached_property
    def enters_rows(self) -> list[tuple[ComponentEquation, ComponentRow, int | None]]:
        """The rows that mention the goal, each with the step at which it does."""
        found = [
            (e, row, self.enters_at(row.edge))
            for e in self.network.equations
            for row in e.rows
            if row.edge.tail.name == self.quantity.name and self.enters_at(row.edge) != 0
        ]
        if not found:
            raise InputError(f"L does not depend on {self.quantity}: there is no path to it")
        return found

    # -- text -------------------------------------------------------------------------------------------------

    def text(self) -> str:
        locals_ = [self._local_of(e) for e in self.network.equations]
        return "\n\n".join([self._definitions(), *locals_, self._theorems()])

    def _definitions(self) -> str:
        network = self.network
        entry_here = ("z", "fun i => if (i =? r)%nat then z else {} i",
                      "fun i j => if ((i =? r)%nat && (j =? c)%nat)%bool then z else {} i j")[self.rank]  # fmt: skip
        fields = (
            f"{network.names[name]} := "
            + (entry_here.format(self.field) if network.names[name] == self.name else network.field(name))
            for name in network.fields
        )
        enters = entry = ""
        otherwise = self.otherwise((step,) for _, _, step in self.enters_rows)
        for e, row, step in self.enters_rows:
            when = "_" if step is None else f"{step}%nat"
            here = "(i =? r)%nat" if row.kind in (Kind.SAME, Kind.ROW) else "true"
            second = " c" if row.kind is Kind.ROW else " r" if row.kind is Kind.EVERY else ""
            enters += f"  | {e.name}{e.index}, {when} => {here}\n"
            entry += f"  | {e.name}{e.index}, {when} => {network.row_at(e, row.edge)} p t{e.index}{second}\n"
        before = "  0."
        if self.quantity.step is not None:
            state = network.names[self.quantity.name]
            before = f"  match N, k with\n  | {state} i, {self.back}%nat => if (i =? r)%nat then 1 else 0\n"
            before += "  | _, _ => 0\n  end."
        cases = "; ".join(
            f"destruct (Nat.eqb_spec {i} {r})" for i, r in zip(("i", "j"), self.place.split(), strict=False)
        )
        same = [f"Lemma with_same : forall p{self.place}, {self.moved} p{self.place} {self.at} = p.", "Proof."]
        if self.rank:
            intros = "; ".join(
                f"apply FunctionalExtensionality.functional_extensionality; intros {i}" for i in ("i", "j")[: self.rank]
            )
            same += [
                f"  intros. unfold {self.moved}.",
                f"  assert (E : ({entry_here.replace(' z ', ' ' + self.at + ' ').format(self.field)}) = {self.field}).",
                f"  {{ {intros}. {cases}; subst; reflexivity. }}",
                "  rewrite E. reflexivity.",
            ]
        else:
            same.append("  reflexivity.")
        return "\n".join(
            [
                f"(* The point with {self.name}{self.place} moved to z. *)",
                f"Definition {self.moved} (p : point){self.bound} (z : R) : point := {{|",
                "  " + ";\n  ".join(fields),
                "|}.",
                "",
                *same,
                "Qed.",
                "",
                f"(* Where the equations mention {self.name}{self.place}, and their immediate partial by it. *)",
                f"Definition enters{self.bound} (t : nat) (N : name) : bool :=",
                f"  match N, t with\n{enters}{otherwise.format('false')}  end.",
                f"Definition entry (p : point){self.bound} (t : nat) (N : name) : R :=",
                f"  match N, t with\n{entry}{otherwise.format('0')}  end.",
                "",
                "(* The derivatives of the initial states. *)",
                f"Definition before{self.bound} (k : nat) (N : name) : R :=",
                before,
                "",
                f"Lemma initial_slope : forall p{self.place} k N,",
                f"  derivable_pt_lim (fun s => initial ({self.moved} p{self.place} s) k N) {self.at}"
                f" (before{self.place} k N).",
                "Proof.",
                f"  intros p{self.place} k N. destruct N; do {network.deepest + 1} try destruct k as [|k];",
                "    first [exact (dlim_const _ _) | exact (dlim_if _ _ _)].",
                "Qed.",
                "",
                "(* The paths of L for T steps, and the product along a path. *)",
                f"Definition {self.paths}{self.bound} (T : nat) : list (path name) :=",
                f"  loss_paths rows (enters{self.place}) depth height {self.loss} (steps T).",
                f"Definition {self.product} (p : point){self.bound} : path name -> R :=",
                f"  product (weight p) (entry p{self.place}).",
            ]
        )

    @property
    def field(self) -> str:
        """The whole parameter at the point."""
        return f"{self.name} p"

    def _premises(self, quantified: str, name: str) -> list[str]:
        """The statement of the local condition, for one quantity or for all."""
        moved = f"({self.moved} p{self.place} s)"
        return [
            f"forall p{self.place} T t{quantified} (D : nat -> name -> R), {self.asked}",
            f"  proper {name} -> (1 <= t <= T)%nat ->",
            f"  (forall M k, In (M, k) (rows {name}) -> (k < t)%nat ->",
            f"     derivable_pt_lim (fun s => value {moved} (t - k) M) {self.at} (D (t - k)%nat M)) ->",
            f"  derivable_pt_lim (fun s => value {moved} t {name}) {self.at}",
            f"    ((if enters{self.place} t {name} then entry p{self.place} t {name} else 0) +",
            f"     over (rows {name}) (fun row => let (M, k) := row in",
            f"       if k <? t then weight p t {name} M k * D (t - k)%nat M else 0)).",
        ]

    def _local_of(self, e: ComponentEquation) -> str:
        network, name = self.network, f"({e.name}{e.index})" if e.index else e.name
        lines = self._premises(e.index, name)
        lines[0] = f"Lemma {e.made('local')} : {lines[0]}"
        lines += [
            "Proof.",
            f"  intros p{self.place} T t{e.index} D{self.given} Here Range Tails. destruct t as [|t]; [lia|].",
        ]
        tails = [self._tail_of(e, quantity) for quantity in e.moving]
        arguments = ["(S t)"] if e.needs_step else []
        arguments += [f"({network.visited(quantity, '(S t)')})" for quantity in e.fixed]
        arguments += [f"\n      ({curve})\n      ({rate})" for curve, rate, _ in tails]
        premises = [proof for _, _, proof in tails]
        if e.conditions:
            asked = [w for w in network.equations if w.conditions]
            names = " & ".join(network.names.made("Ok", w.name) for w in asked)
            one = (
                f"assert ({names} := Reg (S t) Range)"
                if len(asked) == 1
                else f"destruct (Reg (S t) Range) as ({names})"
            )
            lines.append(f"  {one}.")
            holds = network.names.made("Ok", e.name) + (" i Here" if e.index else "")
            premises.append(f"ltac:(cbv beta; rewrite with_same; exact ({holds}))")
        lines.append("  eapply dlim_eq.")
        lines.append(f"  - refine ({e.made('table')} {' '.join(arguments)}")
        lines.append(f"      {self.at}{e.index}\n      " + "\n      ".join(f"({x})" for x in premises) + ").")
        at = ", ".join(network.row_at(e, row.edge) for row in e.rows)
        destruct = f"do {e.deepest} try destruct t as [|t];" if e.deepest else ""
        lines += [
            "  - cbv beta. rewrite !with_same. unfold rows. rewrite ?over_app, ?over_map, ?over_cons, ?over_nil.",
            f"    unfold weight, entry, enters, before, {at}.",
            f"    {destruct} cbn [Nat.ltb Nat.leb Nat.sub];",
            "    rewrite ?upto_one, ?upto_here, ?upto_none, ?over_zero by assumption; unfold upto;",
            "    try destruct (Nat.eqb_spec i r); subst; ring." if e.index and self.rank else "    ring.",
            "Qed.",
        ]
        return "\n".join(lines)

    def _tail_of(self, e: ComponentEquation, quantity: Quantity) -> tuple[str, str, str]:
        """What the equation reads as a function of the goal, its derivative, and a proof of that."""
        network, at, row = self.network, self.at, e.row_of(quantity)
        moved = f"({self.moved} p{self.place} s)"
        curve = "fun s => " + network.visited(quantity, "(S t)", moved)
        every = "fun j J => " if row.kind in (Kind.EVERY, Kind.ROW) else ""
        second = "j" if row.kind is Kind.EVERY else "i"
        if quantity.name not in network.quantities:
            rank = len(network.shapes[quantity.name])
            index = ("", f" {second}", " i j")[rank]
            here = f"{network.visited(quantity, '(S t)')}{index}"
            if quantity != self.quantity:
                zero = ("0", "fun _ => 0", "fun _ _ => 0")[rank]
                return curve, zero, f"{every}dlim_const ({here}) {at}"
            test = ("", f"({second} =? r)%nat", "((i =? r)%nat && (j =? c)%nat)%bool")[rank]
            if not rank:
                return curve, "1", f"dlim_id {at}"
            rate = ("", "fun j => if (j =? r)%nat then 1 else 0",
                    "fun i j => if ((i =? r)%nat && (j =? c)%nat)%bool then 1 else 0")[rank]  # fmt: skip
            return curve, rate, f"{every}dlim_if {test} ({here}) {at}"
        lag, tail = -(quantity.step or 0), network.names[quantity.name]
        member = f"Tails ({tail} {second}) {lag}%nat ltac:(unfold rows; member)"
        if not lag:
            return curve, f"fun j => D (S t) ({tail} j)", f"{every}{member} (Nat.lt_0_succ t)"
        rate = (
            f"fun j => if {lag} <? S t then D (S t - {lag})%nat ({tail} j)"
            f" else before{self.place} ({lag} - S t)%nat ({tail} j)"
        )
        proof = (
            f"{every}dlim_run name (fun s => initial {moved}) (fun s => step {moved}) {at}\n"
            f"        (S t) {lag} ({tail} {second})\n"
            f"        (D (S t - {lag})%nat ({tail} {second})) _\n"
            f"        (initial_slope p{self.place} ({lag} - S t) ({tail} {second})) (fun sooner => {member} sooner)"
        )
        return curve, rate, proof

    def _theorems(self) -> str:
        network, place, given = self.network, self.place, self.given
        last = network.model.losses == "last"
        some, has = ("(1 <= T)%nat -> ", " Some") if last else ("", "")
        in_range = "destruct I as [I|[]]; lia" if last else "apply in_seq in I; lia"
        once = "constructor; [intros []|constructor]" if last else "apply seq_NoDup"
        moved, total = f"({self.moved} p{place} z)", f"(over ({self.paths}{place} T) ({self.product} p{place}))"
        general = f"name rows (weight p) (enters{place}) (entry p{place}) depth height\n    depth_height depth_rows"
        cases = "\n".join(
            f"  - exact ({e.made('local')} p{place} T t{e.index} D{given} Here Range Tails)." for e in network.equations
        )
        local = self._premises(" N", "N")
        lines = [
            f"Lemma local : {local[0]}",
            *local[1:],
            "Proof.",
            f"  intros p{place} T t N D{given} Here Range Tails. destruct N{self._patterns()}.",
            cases,
            "Qed.",
            "",
            f"Lemma steps_range : forall T t, In t (steps T) -> {some}(1 <= t <= T)%nat.",
            f"Proof. unfold steps. intros T t I{has}. {in_range}. Qed.",
            "",
            f"(* The derivative of L by {self.name}{place} is the sum of the products along all paths, for every T. *)",
            f"Theorem {self.theorem} : forall (p : point){self.bound} (T : nat), {some}{self.asked}",
            f"  derivable_pt_lim (fun z => L {moved} T) {self.at}\n    {total}.",
            "Proof.",
            f"  intros p{place} T{has}{given}.",
            f"  exact (loss_paths_are_the_derivative {general}",
            f"    (fun s => value ({self.moved} p{place} s)) {self.at} T proper proper_rows",
            f"    (fun t N D => local p{place} T t N D{given}) {self.loss} I (steps T)",
            f"    (fun t In_t => steps_range T t In_t{has})).",
            "Qed.",
            "",
            *recursion(place, self.bound),
            vector_ways(self).text(),
            "",
            all_paths(self),
            "",
            "(* The same for every quantity of every step. *)",
            f"Theorem every_quantity : forall (p : point){self.bound} (T t : nat) (N : name), {self.asked}",
            "  proper N -> (1 <= t <= T)%nat ->",
            f"  derivable_pt_lim (fun z => value {moved} t N) {self.at}",
            f"    (over (paths_of{place} t N) ({self.product} p{place})).",
            "Proof.",
            f"  intros p{place} T t N{given} Here Range.",
            f"  exact (paths_are_the_derivative {general}",
            f"    (fun s => value ({self.moved} p{place} s)) {self.at} T proper proper_rows",
            f"    (fun t N D => local p{place} T t N D{given}) t N Here Range).",
            "Qed.",
            "",
            "(* The adjoint of M at step t: its share in L, and what its heads pass back by their rows. *)",
            "Definition adjoint_of (p : point) (T t : nat) (M : name) : R :=",
            "  adjoint (weight p) depth height T (steps T) heads is_loss t M.",
            "",
            "(* Backpropagation: adjoints times immediate partials, over all entries, are the sum over paths. *)",
            f"Theorem adjoint_equals_paths : forall (p : point){self.bound} (T : nat), {some}",
            "  everywhere T names (fun t N =>",
            f"    if enters{place} t N then adjoint_of p T t N * entry p{place} t N else 0) =\n  {total[1:-1]}.",
            "Proof.",
            f"  intros p{place} T{has}.",
            f"  apply (adjoint_is_the_sum_over_paths {general}",
            f"    T {self.loss} (steps T) (fun t In_t => steps_range T t In_t{has})",
            "    names heads is_loss heads_rows depth_heads only_loss).",
            f"  unfold steps. {once}.",
            "Qed.",
        ]
        return "\n".join(lines)

    def _patterns(self) -> str:
        """Every component is called i."""
        return f" as [{'|'.join('i' if e.index else '' for e in self.network.equations)}]"
