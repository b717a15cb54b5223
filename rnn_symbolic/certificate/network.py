r"""A cell as a network in Coq: its point, its quantities at all steps, its table as data.

The record ``point`` holds the parameters, the initial states, the inputs and the targets; ``value p t h`` is h_t, by
recursion over the steps; ``rows`` and ``weight`` are the table, at the visited points; ``L p T`` is the loss.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from rnn_symbolic.certificate.equations import WrittenEquation, written_equations
from rnn_symbolic.certificate.functions import PRIME, CoqFunction, functions_in, variables
from rnn_symbolic.certificate.terms import CoqNames
from rnn_symbolic.expressions import Call, Expression, Quantity, StepLoss, walk
from rnn_symbolic.model import Model
from rnn_symbolic.table import Edge


@dataclass(frozen=True)
class Network:
    """A model in Coq's words."""

    model: Model

    @cached_property
    def equations(self) -> tuple[WrittenEquation, ...]:
        """The equations in the order of computation, the loss last."""
        return written_equations(self.model)

    @property
    def names(self) -> CoqNames:
        """The identifiers, the same everywhere in the text."""
        return self.equations[0].names

    @cached_property
    def quantities(self) -> dict[str, WrittenEquation]:
        """The equations by what they define."""
        return {e.equation.target.name: e for e in self.equations}

    @cached_property
    def fields(self) -> dict[str, str]:
        """What a point holds, with its types, by the name in the cell."""
        numbers = (*self.model.cell.parameters, *map(str, self.model.initial_states))
        return dict.fromkeys(numbers, "R") | {name: "nat -> R" for name in ("x", "d") if self._mentions(name)}

    def _mentions(self, name: str) -> bool:
        return any(quantity.name == name for e in self.equations for quantity in e.reads)

    @property
    def deepest(self) -> int:
        """The greatest lag: so many first steps see initial states."""
        return max(self.model.cell.lags, default=0)

    @property
    def abstract(self) -> tuple[str, ...]:
        """The functions that stand for any function: "sigma", "ell"."""
        nodes: list[Expression] = [node for e in self.equations for node in walk(e.equation.expression)]
        sigma = any(isinstance(node, Call) and node.function == "sigma" for node in nodes)
        return (*(("sigma",) if sigma else ()), *(("ell",) if any(isinstance(n, StepLoss) for n in nodes) else ()))

    @property
    def abstract_types(self) -> dict[str, str]:
        """These functions and their derivatives, with their types."""
        kinds = {"sigma": "R -> R", "ell": "nat -> R -> R"}
        return {name + prime: kinds[name] for name in self.abstract for prime in ("", PRIME)}

    @cached_property
    def functions(self) -> tuple[CoqFunction, ...]:
        """The functions of the cell that are not abstract, but for relu."""
        return functions_in(e.equation.expression for e in self.equations)

    @property
    def sizes(self) -> tuple[str, ...]:
        """The sizes of vectors, by name."""
        return ()

    @property
    def conditional(self) -> bool:
        """Whether anything is asked of the visited points."""
        return any(e.conditions for e in self.equations)

    def is_row(self, edge: Edge) -> bool:
        """Whether the tail is a quantity of the network, not a parameter or an input."""
        return edge.tail.name in self.quantities

    # -- what quantities are called -----------------------------------------------------------------------------

    def field(self, name: str) -> str:
        """A field of the point p."""
        return f"{self.names[name]} p"

    def visited(self, quantity: Quantity, step: str = "t", point: str = "p") -> str:
        """A quantity at step t, at the visited point p."""
        if quantity.name in self.quantities:
            assert quantity.step is not None
            return f"at_step {point} {step} {-quantity.step} {self.names[quantity.name]}"
        return f"{self.names[quantity.name]} {point}" + (f" {step}" if quantity.index else "")

    def at_number(self, quantity: Quantity, t: int) -> str:
        """A quantity that a row of step t reads, where t is a number: value p 2 h, or an initial state."""
        placed = quantity.at(t)
        if placed.name in self.quantities:
            assert placed.step is not None
            if placed.step < 1:
                return self.field(str(placed))
            return f"value p {placed.step} {self.names[placed.name]}"
        return self.field(placed.name) + (f" {t}" if quantity.index else "")

    # -- text -------------------------------------------------------------------------------------------------

    def opening(self) -> str:
        """The abstract functions, the point, the quantities."""
        lines = []
        if self.functions:
            lines.append("(* The functions of the cell: any with these derivatives. *)")
            lines.append(f"Variable {' '.join(variables(self.functions))} : R -> R.")
            lines += [f"Hypothesis {function.hypothesis}." for function in self.functions if function.slope]
        if "sigma" in self.abstract:
            lines.append("Variable sigma sigma' : R -> R.  (* the activation and its derivative *)")
        if "ell" in self.abstract:
            lines.append(
                "Variable ell ell' : nat -> R -> R.  (* the loss of step t, a function of y, and its derivative *)"
            )
        fields = "; ".join(f"{self.names[name]} : {kind}" for name, kind in self.fields.items())
        constructors = " | ".join(e.name for e in self.equations)
        return "\n".join(
            [
                *lines,
                "",
                "(* A point: the parameters, the initial states, the inputs and the targets of all steps. *)",
                "Record point : Type := {",
                f"  {fields}",
                "}.",
                "",
                f"(* The quantities, in the order of computation; {self.equations[-1].name} is the loss of a step. *)",
                f"Inductive name : Type := {constructors}.",
            ]
        )

    def recursion(self) -> str:
        """One step, all steps, L."""
        lines = ["(* One step: past k is what was known k + 1 steps before. *)"]

        def inside(quantity: Quantity) -> str:
            if quantity.name in self.quantities:
                if not quantity.step:
                    return f"{self.quantities[quantity.name].made('of')} p t past"
                return f"past {-quantity.step - 1}%nat {self.names[quantity.name]}"
            return self.field(quantity.name) + (" t" if quantity.index else "")

        for e in self.equations:
            lines.append(f"Definition {e.made('of')} (p : point) (t : nat) (past : history name) : R :=")
            lines.append(f"  {e.applied(e.made('eq'), inside)}.")
        cases = "\n".join(f"  | {e.name} => {e.made('of')} p t past" for e in self.equations)
        states = "".join(
            f"  | {self.names[q.name]}, {-(q.step or 0)}%nat => {self.field(str(q))}\n"
            for q in self.model.initial_states
        )
        loss = self.equations[-1].name
        steps = "[T]" if self.model.losses == "last" else "seq 1 T"
        lines += [
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
            f"Definition L (p : point) (T : nat) : R := over (steps T) (fun t => value p t {loss}).",
        ]
        return "\n".join(lines)

    def row_at(self, e: WrittenEquation, edge: Edge) -> str:
        """The name of a row at the visited point."""
        return self.names.made(e.row_name(edge.tail), "at")

    def table(self) -> str:
        """The rows as data, with their values at the visited point."""
        lines = ["(* The rows of the table at the point that is visited at step t. *)"]
        for e in self.equations:
            for edge in e.edges:
                lines.append(f"Definition {self.row_at(e, edge)} (p : point) (t : nat) : R :=")
                lines.append(f"  {e.applied(e.row_name(edge.tail), self.visited)}.")
        names = self.names
        rows = {e.name: [(names[x.tail.name], x.lag) for x in e.edges if self.is_row(x)] for e in self.equations}
        heads: dict[str, list[tuple[str, int]]] = {name: [] for name in rows}
        for head, tails in rows.items():
            for tail, lag in tails:
                heads[tail].append((head, lag))
        weights = "".join(
            f"  | {e.name}, {names[edge.tail.name]}, {edge.lag}%nat => {self.row_at(e, edge)} p t\n"
            for e in self.equations
            for edge in e.edges
            if self.is_row(edge)
        )
        lines += [
            "",
            "(* What each equation reads: the quantity and the lag. The same rows from their other end. *)",
            by_name("rows", "list (name * nat)", {k: _pairs(v) for k, v in rows.items()}),
            by_name("heads", "list (name * nat)", {k: _pairs(v) for k, v in heads.items()}),
            "",
            "Definition weight (p : point) (t : nat) (N M : name) (k : nat) : R :=",
            f"  match N, M, k with\n{weights}  | _, _, _ => 0\n  end.",
            "",
            "(* The order of computation within a step. *)",
            by_name("depth", "nat", {e.name: str(i) for i, e in enumerate(self.equations)}),
            f"Definition height : nat := {len(self.equations)}.",
            f"Definition names : list name := [{'; '.join(rows)}].",
            f"Definition is_loss (N : name) : bool := match N with {self.equations[-1].name} => true | _ => false end.",
        ]
        return "\n".join(lines) + ORDER.format(loss=self.equations[-1].name)

    def regular(self) -> str:
        """What is asked of the visited points, and of them alone."""
        asked = [e.applied(e.made("ok"), self.visited_value) for e in self.equations if e.conditions]
        return "\n".join(
            [
                "(* What is asked of the visited points, and of no others. *)",
                "Definition regular (p : point) (T : nat) : Prop := forall t, (1 <= t <= T)%nat ->",
                "  " + " /\\\n  ".join(asked) + ".",
            ]
        )

    def visited_value(self, quantity: Quantity) -> str:
        """As `visited`, with h_t written value p t h."""
        if quantity.name in self.quantities and not quantity.step:
            return f"value p t {self.names[quantity.name]}"
        return self.visited(quantity)


def _pairs(rows: list[tuple[str, int]]) -> str:
    return "[" + "; ".join(f"({name}, {lag}%nat)" for name, lag in rows) + "]"


def by_name(function: str, kind: str, values: dict[str, str]) -> str:
    cases = "\n".join(f"  | {name} => {value}" for name, value in values.items())
    return f"Definition {function} (N : name) : {kind} :=\n  match N with\n{cases}\n  end."


ORDER = """

Lemma depth_height : forall N, (depth N < height)%nat.
Proof. intros N. unfold height. destruct N; simpl; lia. Qed.

Lemma depth_rows : forall N M, In (M, 0%nat) (rows N) -> (depth M < depth N)%nat.
Proof. intros N M I. destruct N; in_rows I. Qed.

Lemma depth_heads : forall M N, In (N, 0%nat) (heads M) -> (depth M < depth N)%nat.
Proof. intros M N I. destruct M; in_rows I. Qed.

Lemma heads_rows : forall F : name -> name -> nat -> R,
  over names (fun N => over (rows N) (fun row => let (M, k) := row in F N M k)) =
  over names (fun M => over (heads M) (fun head => let (N, k) := head in F N M k)).
Proof. intros F. unfold names, over. cbn [map sum rows heads]. ring. Qed.

Lemma only_loss : forall F : name -> R, over names (fun N => if is_loss N then F N else 0) = F {loss}.
Proof. intros F. unfold names, over. cbn [map sum is_loss]. ring. Qed."""
