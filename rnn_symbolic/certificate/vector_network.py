r"""A cell in matrix form as a network in Coq: a quantity is a name with an index, h_3 has the components h 0, h 1, …

The sizes n_x, n_h, n_y are any numbers. What joins every component with every component (a matrix) is a row for each
pair, what acts on each component (an activation) a row for each; a sum over rows is a sum over components.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from rnn_symbolic.certificate.components import TYPES, ComponentEquation, ComponentRow, Kind
from rnn_symbolic.certificate.equations import written_equations
from rnn_symbolic.certificate.functions import variables
from rnn_symbolic.certificate.network import Network, by_name
from rnn_symbolic.errors import NotDerivable
from rnn_symbolic.expressions import Quantity
from rnn_symbolic.jacobians import Names


@dataclass(frozen=True)
class VectorNetwork(Network):
    """A model in matrix form, in Coq's words."""

    @property
    def shapes(self) -> Names:
        """The shape of each name."""
        return self.model.names

    @cached_property
    def equations(self) -> tuple[ComponentEquation, ...]:
        found = tuple(
            ComponentEquation(e.equation, e.edges, e.names, self.shapes) for e in written_equations(self.model)
        )
        for e in found[:-1]:
            if not e.index:
                raise NotDerivable(
                    f"{e.name} is a number beside vectors, which has no certificate in matrix form yet; use the scalar "
                    f"form"
                )
        return found

    @cached_property
    def sizes(self) -> tuple[str, ...]:
        """The sizes, by name."""
        return tuple(dict.fromkeys(size for shape in self.shapes.values() for size in shape))

    @cached_property
    def fields(self) -> dict[str, str]:
        numbers = {name: TYPES[len(self.shapes[name])] for name in self.model.cell.parameters}
        numbers |= {str(q): TYPES[len(self.shapes[q.name])] for q in self.model.initial_states}
        return numbers | {name: TYPES[2] for name in ("x", "d") if self._mentions(name)}

    @property
    def abstract_types(self) -> dict[str, str]:
        loss = {"ell": "nat -> (nat -> R) -> R", "ell'": "nat -> (nat -> R) -> nat -> R"}
        return {name: loss.get(name, kind) for name, kind in super().abstract_types.items()}

    def size_of(self, e: ComponentEquation) -> str:
        """How many components the quantity has."""
        return self.shapes[e.equation.target.name][0]

    @property
    def sizes_of_rows(self) -> tuple[str, ...]:
        """The sizes that the lists of rows depend on."""
        summed = {e.size(row) for e, row in self.network_rows if row.kind is Kind.EVERY}
        return tuple(size for size in self.sizes if size in summed)

    @property
    def network_rows(self) -> list[tuple[ComponentEquation, ComponentRow]]:
        """The rows whose tail is a quantity of the network."""
        return [(e, row) for e in self.equations for row in e.rows if self.is_row(row.edge)]

    # -- what quantities are called -----------------------------------------------------------------------------

    def visited(self, quantity: Quantity, step: str = "t", point: str = "p") -> str:
        if quantity.name in self.quantities:
            return f"fun j => at_step {point} {step} {-(quantity.step or 0)} ({self.names[quantity.name]} j)"
        return f"{self.names[quantity.name]} {point}" + (f" {step}" if quantity.index else "")

    # -- text -------------------------------------------------------------------------------------------------

    def opening(self) -> str:
        lines = [f"Variable {' '.join(self.sizes)} : nat.  (* the sizes *)"]
        if self.functions:
            lines.append("(* The functions of the cell: any with these derivatives. *)")
            lines.append(f"Variable {' '.join(variables(self.functions))} : R -> R.")
            lines += [f"Hypothesis {function.hypothesis}." for function in self.functions if function.slope]
        if "sigma" in self.abstract:
            lines.append("Variable sigma sigma' : R -> R.  (* the activation and its derivative *)")
        if "ell" in self.abstract:
            lines.append("(* the loss of step t, a function of the vector y, and its gradient *)")
            lines.append("Variable ell : nat -> (nat -> R) -> R.")
            lines.append("Variable ell' : nat -> (nat -> R) -> nat -> R.")
        fields = ";\n  ".join(f"{self.names[name]} : {kind}" for name, kind in self.fields.items())
        constructors = " | ".join(e.name + (" (i : nat)" if e.index else "") for e in self.equations)
        return "\n".join(
            [
                *lines,
                "",
                "(* A point: the parameters, the initial states, the inputs and the targets of all steps. *)",
                f"Record point : Type := {{\n  {fields}\n}}.",
                "",
                "(* The components of the quantities, in the order of computation. *)",
                f"Inductive name : Type := {constructors}.",
            ]
        )

    def recursion(self) -> str:
        lines = ["(* One step: past k is what was known k + 1 steps before. *)"]

        def inside(quantity: Quantity) -> str:
            if quantity.name in self.quantities:
                if not quantity.step:
                    return f"({self.quantities[quantity.name].made('of')} p t past)"
                return f"(fun j => past {-quantity.step - 1}%nat ({self.names[quantity.name]} j))"
            return f"({self.field(quantity.name)}{' t' if quantity.index else ''})"

        for e in self.equations:
            i = " (i : nat)" if e.index else ""
            lines.append(f"Definition {e.made('of')} (p : point) (t : nat) (past : history name){i} : R :=")
            lines.append(f"  {e.applied_to('eq', inside)}{e.index}.")
        cases = "\n".join(f"  | {e.name}{e.index} => {e.made('of')} p t past{e.index}" for e in self.equations)
        states = "".join(
            f"  | {self.names[q.name]} i, {-(q.step or 0)}%nat => {self.field(str(q))} i\n"
            for q in self.model.initial_states
        )
        steps = "[T]" if self.model.losses == "last" else "seq 1 T"
        return "\n".join(
            [
                *lines,
                "",
                "Definition step (p : point) (t : nat) (past : history name) (N : name) : R :=",
                f"  match N with\n{cases}\n  end.",
                "",
                "(* Before step 1 only the initial states are known. *)",
                "Definition initial (p : point) (k : nat) (N : name) : R :=",
                f"  match N, k with\n{states}  | _, _ => 0\n  end.",
                "",
                "(* The quantity N, k steps back from step t; and N at step t. *)",
                "Definition at_step (p : point) (t k : nat) (N : name) : R := run (initial p) (step p) t k N.",
                "Definition value (p : point) (t : nat) (N : name) : R := at_step p t 0 N.",
                "",
                "(* The steps whose loss counts, and L. *)",
                f"Definition steps (T : nat) : list nat := {steps}.",
                "Definition L (p : point) (T : nat) : R := "
                f"over (steps T) (fun t => value p t {self.equations[-1].name}).",
            ]
        )

    def _listed(self, e: ComponentEquation, kind: Kind, lag: int, size: str) -> str:
        """The rows to one quantity, as a list: one component, or all of them."""
        if not e.index:
            return f"[({e.name}, {lag}%nat)]"
        if kind is Kind.SAME:
            return f"[({e.name} i, {lag}%nat)]"
        return f"map (fun j => ({e.name} j, {lag}%nat)) (seq 0 {size})"

    def table(self) -> str:
        lines = ["(* The rows of the table at the point that is visited at step t. *)"]
        for e in self.equations:
            for row in e.rows:
                binders = "".join(f" ({index.strip()} : nat)" for index in (e.index, row.second) if index)
                lines.append(f"Definition {self.row_at(e, row.edge)} (p : point) (t : nat){binders} : R :=")
                visited = e.applied_row(row, lambda q: f"({self.visited(q)})")
                lines.append(f"  {visited}{row.second}.")
        rows: dict[str, list[str]] = {e.name + e.index: [] for e in self.equations}
        heads: dict[str, list[str]] = {e.name + e.index: [] for e in self.equations}
        weights = ""
        for e, row in self.network_rows:
            tail, lag = self.quantities[row.edge.tail.name], row.edge.lag
            assert isinstance(tail, ComponentEquation)
            rows[e.name + e.index].append(self._listed(tail, row.kind, lag, self.size_of(tail)))
            size = self.size_of(e) if e.index else ""
            heads[tail.name + tail.index].append(self._listed(e, row.kind, lag, size))
            first = f"{e.name}{e.index}"
            weights += f"  | {first}, {tail.name} {'j' if row.second else '_'}, {lag}%nat => "
            weights += f"{self.row_at(e, row.edge)} p t{e.index}{row.second}\n"
        wild = [e.name + (" _" if e.index else "") for e in self.equations]
        listed = [f"map {e.name} (seq 0 {self.size_of(e)})" if e.index else f"[{e.name}]" for e in self.equations]
        proper = {f"{e.name}{e.index}": f"(i < {self.size_of(e)})%nat" if e.index else "True" for e in self.equations}
        loss = self.equations[-1].name
        lines += [
            "",
            "(* What each equation reads: the component and the lag. The same rows from their other end. *)",
            by_name("rows", "list (name * nat)", {k: " ++ ".join(v) or "[]" for k, v in rows.items()}),
            by_name("heads", "list (name * nat)", {k: " ++ ".join(v) or "[]" for k, v in heads.items()}),
            "",
            "Definition weight (p : point) (t : nat) (N M : name) (k : nat) : R :=",
            f"  match N, M, k with\n{weights}  | _, _, _ => 0\n  end.",
            "",
            "(* The order of computation within a step, and the components that there are. *)",
            by_name("depth", "nat", {name: str(i) for i, name in enumerate(wild)}),
            f"Definition height : nat := {len(self.equations)}.",
            f"Definition names : list name := {' ++ '.join(listed)}.",
            f"Definition is_loss (N : name) : bool := match N with {loss} => true | _ => false end.",
            by_name("proper", "Prop", proper),
        ]
        swaps = "".join(
            f"\n  rewrite (over_swap _ _ (seq 0 {row_size}) (seq 0 {self.size_of(e)})"
            f" (fun j i => F ({e.name} i) ({self.names[row.edge.tail.name]} j) {row.edge.lag}%nat))."
            for e, row in self.network_rows
            if row.kind is Kind.EVERY and e.index
            for row_size in [e.size(row)]
        )
        return "\n".join(lines) + ORDER.replace("SWAPS", swaps).replace("LOSS", loss)

    def regular(self) -> str:
        asked = []
        for e in self.equations:
            if e.conditions:
                claim = e.applied_to("ok", lambda q: f"({self.visited_value(q)})") + e.index
                asked.append(f"(forall i, (i < {self.size_of(e)})%nat -> {claim})" if e.index else claim)
        return "\n".join(
            [
                "(* What is asked of the visited points, and of no others. *)",
                "Definition regular (p : point) (T : nat) : Prop := forall t, (1 <= t <= T)%nat ->",
                "  " + " /\\\n  ".join(asked) + ".",
            ]
        )

    def visited_value(self, quantity: Quantity) -> str:
        if quantity.name in self.quantities and not quantity.step:
            return f"fun j => value p t ({self.names[quantity.name]} j)"
        return self.visited(quantity)


ORDER = """

Lemma depth_height : forall N, (depth N < height)%nat.
Proof. intros N. unfold height. destruct N; simpl; lia. Qed.

Lemma depth_rows : forall N M, In (M, 0%nat) (rows N) -> (depth M < depth N)%nat.
Proof. intros N M In_rows. destruct N; in_components In_rows; simpl; lia. Qed.

Lemma depth_heads : forall M N, In (N, 0%nat) (heads M) -> (depth M < depth N)%nat.
Proof. intros M N In_heads. destruct M; in_components In_heads; simpl; lia. Qed.

Lemma proper_rows : forall N M k, proper N -> In (M, k) (rows N) -> proper M.
Proof. intros N M k P In_rows. destruct N; in_components In_rows; simpl in *; lia. Qed.

Lemma heads_rows : forall F : name -> name -> nat -> R,
  over names (fun N => over (rows N) (fun row => let (M, k) := row in F N M k)) =
  over names (fun M => over (heads M) (fun head => let (N, k) := head in F N M k)).
Proof.
  intros F. unfold names. rewrite !over_app, !over_map, !over_cons, !over_nil. unfold rows, heads. cbv beta iota.
  rewrite ?over_app_in, ?over_map_in, ?over_one_in, ?over_nil_in.
  rewrite ?over_app, ?over_map, ?over_cons, ?over_nil. cbv beta iota.SWAPS
  ring.
Qed.

Lemma only_loss : forall F : name -> R, over names (fun N => if is_loss N then F N else 0) = F LOSS.
Proof.
  intros F. unfold names. rewrite ?over_app, ?over_map, ?over_cons, ?over_nil. cbn [is_loss].
  rewrite ?over_zero. ring.
Qed."""
