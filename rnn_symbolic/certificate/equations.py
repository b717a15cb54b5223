r"""The equations of a cell and the rows of its table as Coq text, and the lemma that each row is the derivative.

For every equation the text holds the right-hand side as a function of what it reads, one function per row of the
table, as the table has it, and a lemma: along all differentiable curves of what the equation reads,

    d/ds  a_eq (W_h(s), h(s), …)  =  Σ over the rows of a:  a_by_W_h (…) · dW_h/ds.

The lemma is proved by Coq's own rules of differentiation; a row that is not the derivative has no proof.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from rnn_symbolic.certificate.functions import moves
from rnn_symbolic.certificate.terms import CoqNames, Writer
from rnn_symbolic.equations import Equation
from rnn_symbolic.errors import NotDerivable
from rnn_symbolic.expressions import Call, Expression, Power, Quantity, StepLoss, add, quantities, walk
from rnn_symbolic.model import Model
from rnn_symbolic.table import Edge, product_value

STRUCTURE = (
    "Reg Range Tails point name names rows heads depth height weight enters entry before step initial at_step value "
    "depth_height depth_rows depth_heads heads_rows only_loss initial_slope steps_range counts every_quantity paths_of "
    "three_steps double_sum steps L regular local is_loss loss_paths_of path_count path_recursion adjoint_of "
    "adjoint_equals_paths number_of number_rows ways next_ways before_t ways_L path_numbers path_list rows_once "
    "Certificate B C E F P IH In_T In_t Some Total head sooner"
).split()
"""Names of the generated text that belong to no quantity."""

COMPONENTS = "i r c J In_rows In_heads Here Inside proper proper_rows with_same".split()
"""What is taken besides in matrix form: the indices."""

Naming = Callable[[Quantity], str]


@dataclass(frozen=True)
class WrittenEquation:
    """One equation of the cell with its rows, in Coq's words."""

    equation: Equation
    edges: tuple[Edge, ...]
    names: CoqNames

    @property
    def name(self) -> str:
        """The constructor that stands for the quantity."""
        return self.names[self.equation.target.name]

    @cached_property
    def reads(self) -> tuple[Quantity, ...]:
        """What the right-hand side mentions, each once, in the order written."""
        return tuple(dict.fromkeys(quantities(self.equation.expression)))

    @property
    def moving(self) -> tuple[Quantity, ...]:
        """What L may be differentiated by or through: all of it but the target, which is data."""
        return tuple(quantity for quantity in self.reads if quantity.name != "d")

    @property
    def fixed(self) -> tuple[Quantity, ...]:
        """The target, where the equation mentions it."""
        return tuple(quantity for quantity in self.reads if quantity.name == "d")

    @property
    def deepest(self) -> int:
        """The greatest lag in it: so many first steps see initial states."""
        return max((-quantity.step for quantity in self.reads if quantity.index and quantity.step), default=0)

    @cached_property
    def needs_step(self) -> bool:
        """Whether the equation itself depends on t: the abstract ℓ_t does."""
        return any(isinstance(node, StepLoss) for node in walk(self.equation.expression))

    def argument(self, quantity: Quantity) -> str:
        """The bound variable for what is read: h_prev is h_{t−1}, h_prev2 is h_{t−2}."""
        if quantity.index and quantity.step:
            return self.names[f"{quantity.name}_prev{-quantity.step if quantity.step < -1 else ''}"]
        return self.names[quantity.name]

    def row_name(self, tail: Quantity) -> str:
        """The function ∂⁺target/∂tail."""
        return self.names.made(self.name, "by", self.argument(tail))

    def made(self, what: str) -> str:
        """What belongs to the whole equation: a_eq, a_ok, a_table, a_of, a_local."""
        return self.names.made(self.name, what)

    @property
    def conditions(self) -> tuple[tuple[str, Expression], ...]:
        """Where the right-hand side is differentiable: (kind, the expression concerned)."""
        found: list[tuple[str, Expression]] = []
        for node in walk(self.equation.expression):
            match node:
                case Call("sigma" | "relu" as function, argument, 0):
                    found.append((function, argument))
                case Call("log" | "sqrt", argument, 0):
                    found.append(("positive", argument))
                case StepLoss(argument=argument):
                    found.append(("loss", argument))
                case Power(base, exponent) if exponent.denominator > 1:
                    found.append(("positive", base))
                case Power(base, exponent) if exponent < 0:
                    found.append(("not zero", base))
        return tuple(condition for condition in dict.fromkeys(found) if moves(condition[1]))

    @property
    def binders(self) -> str:
        """The arguments of the equation's functions."""
        step = "(t : nat) " if self.needs_step else ""
        return f"{step}({' '.join(map(self.argument, self.reads))} : R)"

    def applied(self, function: str, naming: Naming, step: str = "t") -> str:
        """A function of the equation, applied to what ``naming`` calls the quantities."""
        arguments = [step] if self.needs_step else []
        for quantity in self.reads:
            text = naming(quantity)
            arguments.append(f"({text})" if " " in text else text)
        return " ".join((function, *arguments))

    # -- text -------------------------------------------------------------------------------------------------

    def definitions(self) -> str:
        """The right-hand side, the rows, the condition, and the lemma that the rows are the derivative."""
        lines = [
            f"Definition {self.made('eq')} {self.binders} : R :=",
            f"  {self._term(self.equation.expression)}.",
            "",
        ]
        for edge in self.edges:
            lines.append(f"Definition {self.row_name(edge.tail)} {self.binders} : R :=")
            lines.append(f"  {self._term(row_expression(edge))}.")
        if self.conditions:
            lines += ["", f"Definition {self.made('ok')} {self.binders} : Prop :="]
            lines.append("  " + " /\\\n  ".join(map(self._condition, self.conditions)) + ".")
        return "\n".join([*lines, "", *self._lemma()])

    def _term(self, expression: Expression) -> str:
        return Writer(self.argument).term(expression)

    def _condition(self, condition: tuple[str, Expression]) -> str:
        kind, argument = condition
        text = self._term(argument)
        closed = f"({text})" if " " in text else text
        match kind:
            case "sigma":
                return f"derivable_pt_lim sigma {closed} (sigma' {closed})"
            case "loss":
                return f"derivable_pt_lim (ell t) {closed} (ell' t {closed})"
            case "positive":
                return f"0 < {text}"
        return f"{text} <> 0"

    def _lemma(self) -> list[str]:
        def curve(quantity: Quantity) -> str:
            return self.argument(quantity) + (" s" if quantity in self.moving else "")

        def point(quantity: Quantity) -> str:
            return self.argument(quantity) + (" z" if quantity in self.moving else "")

        bound = [self.argument(quantity) for quantity in self.moving]
        rates = {quantity: self.names.made("d", self.argument(quantity)) for quantity in self.moving}
        step = "(t : nat) " if self.needs_step else ""
        step += "".join(f"({self.argument(quantity)} : R) " for quantity in self.fixed)
        every = f"{step}({' '.join(bound)} : R -> R) (z {' '.join(rates.values())} : R)"
        lines = [f"Lemma {self.made('table')} : forall {every},"]
        lines += [f"  derivable_pt_lim {self.argument(quantity)} z {rate} ->" for quantity, rate in rates.items()]
        if self.conditions:
            lines.append(f"  {self.applied(self.made('ok'), point)} ->")
        lines.append(f"  derivable_pt_lim (fun s => {self.applied(self.made('eq'), curve)}) z")
        terms = [f"{self.applied(self.row_name(edge.tail), point)} * {rates[edge.tail]}" for edge in self.edges]
        lines.append("    (" + " +\n     ".join(terms or ["0"]) + ").")
        unfolded = ", ".join([self.made("eq"), *(self.row_name(edge.tail) for edge in self.edges)])
        conditions = f" unfold {self.made('ok')} in *. split_conditions." if self.conditions else ""
        lines += ["Proof.", f"  intros.{conditions} unfold {unfolded}.", "  eapply dlim_eq; [derive | same].", "Qed."]
        return lines


def row_expression(edge: Edge) -> Expression:
    """∂⁺head/∂tail as the table has it: the sum of its ordered products."""
    return add(*(product_value(term) for term in edge.terms))


def written_equations(model: Model) -> tuple[WrittenEquation, ...]:
    """Every equation of the model with its rows; one set of identifiers for all."""
    if model.losses == "mean":
        raise NotDerivable("a certificate is for L = the sum of the losses or the last; the mean is 1/T times the sum")
    sizes = [size for shape in model.names.values() for size in shape]
    names = CoqNames([*STRUCTURE, *([*COMPONENTS, *sizes] if model.form == "matrix" else ())])
    known = [*model.cell.parameters, "x", "d", *(e.target.name for e in model.definitions)]
    for name in (*known, *map(str, model.initial_states)):
        names[name]
    rows: dict[str, list[Edge]] = {}
    for edge in model.table:
        rows.setdefault(edge.head.name, []).append(edge)
    return tuple(WrittenEquation(e, tuple(rows.get(e.target.name, ())), names) for e in model.definitions)
