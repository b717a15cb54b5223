r"""The theorems about one goal: dL/dW_x is the sum over the paths to W_x, for every T; by adjoints too; their number.

What is proved cell by cell is only that each equation, with the goal as the variable, turns the derivatives of what
it reads into its own by the rows of the table (`local`). Everything else is the theorem of ``theory.v``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from rnn_symbolic.certificate.counting import all_paths, counting
from rnn_symbolic.certificate.equations import WrittenEquation
from rnn_symbolic.certificate.network import Network
from rnn_symbolic.errors import InputError, NotDerivable
from rnn_symbolic.expressions import Quantity
from rnn_symbolic.frozen import frozen
from rnn_symbolic.table import Edge


@frozen
class Tail:
    """What an equation reads, as a function s ↦ … of the goal; a proof that it has the derivative ``rate``."""

    curve: str
    proof: str
    rate: str


@dataclass(frozen=True)
class Goal:
    """What L is differentiated by: a parameter, or an initial state."""

    network: Network
    quantity: Quantity

    def __post_init__(self) -> None:
        model, quantity = self.network.model, self.quantity
        if quantity.step is None or quantity in model.initial_states:
            return
        raise NotDerivable(
            f"a certificate is about a parameter or an initial state, not about {quantity}; "
            f"choose one of {', '.join(map(str, (*model.parameters, *model.initial_states)))}"
        )

    @property
    def name(self) -> str:
        """Its field of the point."""
        return self.network.names[str(self.quantity)]

    @property
    def theorem(self) -> str:
        """The name of the main theorem."""
        return f"dL_d{self.name}"

    @property
    def moved(self) -> str:
        """The function that puts z in its place."""
        return self.network.names.made("with", self.name)

    @property
    def at(self) -> str:
        """Its value at the visited point."""
        return f"({self.name} p)"

    @property
    def place(self) -> str:
        """The indices of an entry: none of a number."""
        return ""

    @property
    def bound(self) -> str:
        """The indices as bound variables."""
        return ""

    @property
    def inside(self) -> str:
        """That the entry exists, as a hypothesis."""
        return ""

    @property
    def back(self) -> int:
        """0 for h_0, 1 for h_{−1}."""
        return -(self.quantity.step or 0)

    def entries(self, e: WrittenEquation) -> list[Edge]:
        """The rows by which an equation mentions the goal: at every step, or at one step only."""
        return [edge for edge in e.edges if edge.tail.name == self.quantity.name and self.enters_at(edge) != 0]

    def enters_at(self, edge: Edge) -> int | None:
        """The step at which the row mentions the goal; None: at every step; 0: at none."""
        if self.quantity.step is None:
            return None
        return max(edge.lag - self.back, 0)

    @cached_property
    def enters_of(self) -> dict[str, list[tuple[int | None, str]]]:
        """By quantity: the steps at which it mentions the goal, and the row at the visited point."""
        found: dict[str, list[tuple[int | None, str]]] = {}
        for e in self.network.equations:
            for edge in self.entries(e):
                found.setdefault(e.name, []).append((self.enters_at(edge), self.network.row_at(e, edge)))
        if not found:
            raise InputError(f"L does not depend on {self.quantity}: there is no path to it")
        return found

    def otherwise(self, steps: Iterable[tuple[int | None, ...]]) -> str:
        """The last case of a definition by quantity and step, where the others leave anything; for `str.format`."""
        every = sum(None in each for each in steps) == len(self.network.equations)
        return "" if every else "  | _, _ => {}\n"

    # -- text -------------------------------------------------------------------------------------------------

    def text(self) -> str:
        """Definitions, local lemmas and theorems."""
        locals_ = [self._local(e) for e in self.network.equations]
        return "\n\n".join(
            [
                self._definitions(),
                *locals_,
                self._main(),
                counting(self),
                all_paths(self),
                self._every(),
                self._adjoint(),
            ]
        )

    def _definitions(self) -> str:
        network, at = self.network, self.at
        fields = (
            f"{network.names[name]} := " + ("z" if network.names[name] == self.name else network.field(name))
            for name in network.fields
        )
        enters, entry, before = "", "", ""
        otherwise = self.otherwise(tuple(step for step, _ in rows) for rows in self.enters_of.values())
        for name, rows in self.enters_of.items():
            for step, row in rows:
                when = "_" if step is None else f"{step}%nat"
                enters += f"  | {name}, {when} => true\n"
                entry += f"  | {name}, {when} => {row} p t\n"
        if self.quantity.step is not None:
            before = f"  | {network.names[self.quantity.name]}, {self.back}%nat => 1\n"
        return "\n".join(
            [
                f"(* The point with {self.name} moved to z. *)",
                f"Definition {self.moved} (p : point) (z : R) : point := {{|",
                f"  {'; '.join(fields)}",
                "|}.",
                "",
                f"(* Where the equations mention {self.name}, and their immediate partial by it. *)",
                "Definition enters (t : nat) (N : name) : bool :=",
                f"  match N, t with\n{enters}{otherwise.format('false')}  end.",
                "Definition entry (p : point) (t : nat) (N : name) : R :=",
                f"  match N, t with\n{entry}{otherwise.format('0')}  end.",
                "",
                "(* The derivatives of the initial states. *)",
                "Definition before (k : nat) (N : name) : R :=",
                f"  match N, k with\n{before}  | _, _ => 0\n  end." if before else "  0.",
                "",
                "Lemma initial_slope : forall p k N,",
                f"  derivable_pt_lim (fun s => initial ({self.moved} p s) k N) {at} (before k N).",
                "Proof.",
                f"  intros p k N. destruct N; do {network.deepest + 1} try destruct k as [|k];",
                "    first [exact (dlim_const _ _) | exact (dlim_id _)].",
                "Qed.",
                "",
                "(* The paths of L for T steps, and the product along a path. *)",
                f"Definition {self.paths} (T : nat) : list (path name) :=",
                f"  loss_paths rows enters depth height {self.loss} (steps T).",
                f"Definition {self.product} (p : point) : path name -> R := product (weight p) (entry p).",
            ]
        )

    @property
    def loss(self) -> str:
        """The constructor of the loss of a step."""
        return self.network.equations[-1].name

    @property
    def paths(self) -> str:
        """The list of all paths from L."""
        return self.network.names.made("paths", "to", self.name)

    @property
    def product(self) -> str:
        """The product along a path."""
        return self.network.names.made("product", "to", self.name)

    @property
    def if_regular(self) -> str:
        """The hypothesis about the visited points, where there is one."""
        return "regular p T -> " if self.network.conditional else ""

    def _local(self, e: WrittenEquation) -> str:
        network, at = self.network, self.at
        reg = " Reg" if network.conditional else ""
        lines = [
            f"Lemma {e.made('local')} : forall p T t (D : nat -> name -> R), {self.if_regular}(1 <= t <= T)%nat ->",
            f"  (forall M k, In (M, k) (rows {e.name}) -> (k < t)%nat ->",
            f"     derivable_pt_lim (fun s => value ({self.moved} p s) (t - k) M) {at} (D (t - k)%nat M)) ->",
            f"  derivable_pt_lim (fun s => value ({self.moved} p s) t {e.name}) {at}",
            f"    ((if enters t {e.name} then entry p t {e.name} else 0) +",
            f"     over (rows {e.name}) (fun row => let (M, k) := row in",
            f"       if k <? t then weight p t {e.name} M k * D (t - k)%nat M else 0)).",
            "Proof.",
            f"  intros p T t D{reg} Range Tails. destruct t as [|t]; [lia|].",
        ]
        tails = {quantity: self._tail(e, quantity) for quantity in e.moving}
        premises = [tail.proof for tail in tails.values()]
        if e.conditions:
            asked = [w for w in network.equations if w.conditions]
            holds = network.names.made("Ok", e.name)
            names = " & ".join(network.names.made("Ok", w.name) for w in asked)
            one = (
                f"assert ({names} := Reg (S t) Range)"
                if len(asked) == 1
                else f"destruct (Reg (S t) Range) as ({names})"
            )
            lines.append(f"  {one}.")
            premises.append(holds)
        rows = [f"{network.row_at(e, edge)} p (S t) * {tails[edge.tail].rate}" for edge in e.edges]
        lines.append("  apply dlim_eq with\n    (" + " +\n     ".join(rows or ["0"]) + ").")
        arguments = ["(S t)"] if e.needs_step else []
        arguments += [f"({network.visited(quantity, '(S t)')})" for quantity in e.fixed]
        arguments += [f"(fun s => {tail.curve})" for tail in tails.values()]
        lines.append(f"  - refine ({e.made('table')} {' '.join(arguments)}")
        lines.append(f"      {self.at} {' '.join('_' * len(tails))}\n      (" + ")\n      (".join(premises) + ")).")
        visited = ", ".join(["over", "weight", "enters", "entry", "before"])
        destruct = f"do {e.deepest} try destruct t as [|t]; " if e.deepest else ""
        lines.append(f"  - unfold {visited}. {destruct}cbn [rows map sum Nat.ltb Nat.leb Nat.sub]; ring.")
        lines.append("Qed.")
        return "\n".join(lines)

    def _tail(self, e: WrittenEquation, quantity: Quantity) -> Tail:
        """A quantity that the equation reads."""
        network, at = self.network, self.at
        moved = f"({self.moved} p s)"
        if quantity.name not in network.quantities:
            curve = network.visited(quantity, "(S t)", moved)
            if quantity == self.quantity:
                return Tail(curve, f"dlim_id {at}", "1")
            return Tail(curve, f"dlim_const ({network.visited(quantity, '(S t)')}) {at}", "0")
        assert quantity.step is not None
        lag, tail = -quantity.step, network.names[quantity.name]
        curve = network.visited(quantity, "(S t)", moved)
        is_row = any(edge.tail == quantity for edge in e.edges)
        place = self._place(e, quantity) if is_row else ""
        row = f"Tails {tail} {lag}%nat {place}"
        if not lag:
            return Tail(curve, f"{row} (Nat.lt_0_succ t)", f"D (S t) {tail}")
        rate = f"(if {lag} <? S t then D (S t - {lag})%nat {tail} else before ({lag} - S t)%nat {tail})"
        proof = (
            f"dlim_run name (fun s => initial {moved}) (fun s => step {moved}) {at} (S t) {lag} {tail} "
            f"(D (S t - {lag})%nat {tail}) _\n"
            f"        (initial_slope p ({lag} - S t) {tail}) (fun sooner => {row} sooner)"
        )
        return Tail(curve, proof, rate)

    def _place(self, e: WrittenEquation, quantity: Quantity) -> str:
        """That the row stands in the list of rows, as its place in it."""
        rows = [edge.tail for edge in e.edges if self.network.is_row(edge)]
        proof = "(or_introl eq_refl)"
        for _ in range(rows.index(quantity)):
            proof = f"(or_intror {proof})"
        return proof

    def _main(self) -> str:
        network = self.network
        reg = " Reg" if network.conditional else ""
        last = network.model.losses == "last"
        some, has = ("(1 <= T)%nat -> ", " Some") if last else ("", "")
        cases = "\n".join(f"  - exact ({e.made('local')} p T t D{reg} Range Tails)." for e in network.equations)
        in_range = "destruct I as [I|[]]; lia" if last else "apply in_seq in I; lia"
        value = f"(fun s => value ({self.moved} p s))"
        return "\n".join(
            [
                f"Lemma local : forall p T t N (D : nat -> name -> R), {self.if_regular}(1 <= t <= T)%nat ->",
                "  (forall M k, In (M, k) (rows N) -> (k < t)%nat ->",
                f"     derivable_pt_lim (fun s => value ({self.moved} p s) (t - k) M) {self.at} (D (t - k)%nat M)) ->",
                f"  derivable_pt_lim (fun s => value ({self.moved} p s) t N) {self.at}",
                "    ((if enters t N then entry p t N else 0) +",
                "     over (rows N) (fun row => let (M, k) := row in",
                "       if k <? t then weight p t N M k * D (t - k)%nat M else 0)).",
                "Proof.",
                f"  intros p T t N D{reg} Range Tails. destruct N.",
                cases,
                "Qed.",
                "",
                "Lemma steps_range : forall T t, In t (steps T) -> "
                + ("(1 <= T)%nat -> " if last else "")
                + "(1 <= t <= T)%nat.",
                f"Proof. unfold steps. intros T t I{has}. {in_range}. Qed.",
                "",
                f"(* The derivative of L by {self.name} is the sum of the products along all paths, for every T. *)",
                f"Theorem {self.theorem} : forall (p : point) (T : nat), {some}{self.if_regular}",
                f"  derivable_pt_lim (fun z => L ({self.moved} p z) T) {self.at}",
                f"    (over ({self.paths} T) ({self.product} p)).",
                "Proof.",
                f"  intros p T{has}{reg}.",
                "  exact (loss_paths_are_the_derivative name rows (weight p) enters (entry p) depth height",
                f"    depth_height depth_rows {value} {self.at} T (fun _ => True) (fun _ _ _ _ _ => I)",
                f"    (fun t N D _ => local p T t N D{reg}) {self.loss} I (steps T)",
                f"    (fun t In_t => steps_range T t In_t{has})).",
                "Qed.",
            ]
        )

    def _every(self) -> str:
        """The theorem for every quantity, not only for L."""
        reg = " Reg" if self.network.conditional else ""
        return "\n".join(
            [
                "(* The same for every quantity of every step. *)",
                "Theorem every_quantity : forall (p : point) (T t : nat) (N : name),",
                f"  {self.if_regular}(1 <= t <= T)%nat ->",
                f"  derivable_pt_lim (fun z => value ({self.moved} p z) t N) {self.at}",
                f"    (over (paths_of t N) ({self.product} p)).",
                "Proof.",
                f"  intros p T t N{reg} Range.",
                "  exact (paths_are_the_derivative name rows (weight p) enters (entry p) depth height",
                f"    depth_height depth_rows (fun s => value ({self.moved} p s)) {self.at} T (fun _ => True)",
                f"    (fun _ _ _ _ _ => I) (fun t N D _ => local p T t N D{reg}) t N I Range).",
                "Qed.",
            ]
        )

    def _adjoint(self) -> str:
        last = self.network.model.losses == "last"
        some, has = ("(1 <= T)%nat -> ", " Some") if last else ("", "")
        once = "constructor; [intros []|constructor]" if last else "apply seq_NoDup"
        return "\n".join(
            [
                "(* The adjoint of M at step t: its share in L, and what its heads pass back by their rows. *)",
                "Definition adjoint_of (p : point) (T t : nat) (M : name) : R :=",
                "  adjoint (weight p) depth height T (steps T) heads is_loss t M.",
                "",
                "(* Backpropagation: adjoints times immediate partials, over all entries, are the sum over paths. *)",
                f"Theorem adjoint_equals_paths : forall (p : point) (T : nat), {some}",
                "  everywhere T names (fun t N => if enters t N then adjoint_of p T t N * entry p t N else 0) =",
                f"  over ({self.paths} T) ({self.product} p).",
                "Proof.",
                f"  intros p T{has}.",
                "  apply (adjoint_is_the_sum_over_paths name rows (weight p) enters (entry p) depth height",
                "    depth_height depth_rows T " + self.loss + " (steps T)",
                f"    (fun t I => steps_range T t I{has}) names heads is_loss heads_rows depth_heads only_loss).",
                f"  unfold steps. {once}.",
                "Qed.",
            ]
        )
