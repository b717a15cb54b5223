r"""The equations and rows of a cell in matrix form, component by component.

    a_i = Σ_j W_ij h_j + b_i          ∂a_i/∂h_j = W_ij          ∂a_i/∂W_ij = h_j          ∂h_i/∂a_i = σ'(a_i)

A row of the table is a product of matrices; its entry at (i, j) is the product of the entries of diagonal matrices at
i, of at most one weight at (i, j), and of diagonal matrices at j. The kind of a row says which components it joins.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from functools import cached_property

from rnn_symbolic.certificate.equations import WrittenEquation
from rnn_symbolic.certificate.terms import ATOM, POWER, Writer
from rnn_symbolic.errors import NotDerivable
from rnn_symbolic.expressions import (
    Apply,
    Call,
    Diagonal,
    Expression,
    Identity,
    Kronecker,
    Number,
    Ones,
    Quantity,
    StepLoss,
    Transpose,
    children,
)
from rnn_symbolic.frozen import frozen
from rnn_symbolic.jacobians import Names, shape_of
from rnn_symbolic.table import Edge, Product


class Kind(Enum):
    """Which components of head and tail a row joins."""

    SAME = "same"  # component i with component i
    EVERY = "every"  # component i with every component j
    ROW = "row"  # component i with row i of a matrix
    SCALAR = "scalar"  # component i with a number


TYPES = ("R", "nat -> R", "nat -> nat -> R")
"""The type of a number, a vector, a matrix."""


@frozen
class ComponentWriter(Writer):
    """Writes the component ``index`` of expressions in vectors; ``names`` holds the shapes."""

    names: Names | None = None
    index: str = "i"

    def component(self, quantity: Quantity) -> str:
        """A vector's component, or a number."""
        text = self.name(quantity)
        rank = len((self.names or {}).get(quantity.name, ()))
        return f"{text} {self.index}" if rank == 1 else text

    def _written(self, expression: Expression) -> tuple[str, int]:
        names = self.names or {}
        match expression:
            case Quantity():
                text = self.component(expression)
                return text, POWER if " " in text else ATOM
            case Ones():
                return "1", ATOM
            case Apply(Quantity() as matrix, right):
                summed = ComponentWriter(self.name, self.step, names, "j")
                self._refuse_nested(right)
                size = names[matrix.name][1]
                text = f"{self.name(matrix)} {self.index} j * {summed.term(right, POWER)}"
                return f"upto {size} (fun j => {text})", POWER
            case Call("sum", argument):
                self._refuse_nested(argument)
                inner = ComponentWriter(self.name, self.step, names, "j").term(argument)
                return f"upto {shape_of(argument, names)[0]} (fun j => {inner})", POWER
            case StepLoss(_, Quantity() as argument, order, True):
                index = f" {self.index}" if order else ""
                return f"ell{chr(39) * order} {self.step} {self.name(argument)}{index}", POWER
        return Writer._written(self, expression)

    def _refuse_nested(self, inner: Expression) -> None:
        if self.index == "j" or _sums(inner):
            raise NotDerivable(
                "a matrix within a sum over components has no certificate in matrix form yet; use the scalar form, or "
                "give it a name of its own"
            )


def _sums(expression: Expression) -> bool:
    """Whether a matrix or a sum stands anywhere in it."""
    mixes = isinstance(expression, Apply) or (
        isinstance(expression, Call) and expression.function in ("sum", "softmax")
    )
    return mixes or any(_sums(child) for child in children(expression))


@dataclass(frozen=True)
class ComponentRow:
    """A row of the table as a function of the components that it joins."""

    edge: Edge
    kind: Kind
    terms: tuple[tuple[tuple[Expression, str], ...], ...]  # each factor with the index that it is taken at

    @property
    def second(self) -> str:
        """The second index of its entries, where it has one."""
        return " j" if self.kind in (Kind.EVERY, Kind.ROW) else ""


def component_row(edge: Edge, names: Names) -> ComponentRow:
    """The row, with the index of each factor. Raises NotDerivable where it is more than one matrix."""
    found = [_indexed(term, edge, names) for term in edge.terms]
    kinds = {kind for kind, _ in found}
    if len(kinds) != 1:
        raise _too_much(edge)
    return ComponentRow(edge, kinds.pop(), tuple(term for _, term in found))


def _too_much(edge: Edge) -> NotDerivable:
    return NotDerivable(
        f"the row of {edge.head.name} by {edge.tail.name} has no certificate in matrix form yet: it is more than one "
        f"weight and diagonal matrices; use the scalar form, or give its parts names of their own"
    )


def _indexed(term: Product, edge: Edge, names: Names) -> tuple[Kind, tuple[tuple[Expression, str], ...]]:
    index, factors = "i", list[tuple[Expression, str]]()
    kind = Kind.SAME if names.get(edge.tail.name, ()) else Kind.SCALAR
    for factor in term:
        match factor.value:
            case Number() | Quantity(step=None) as scalar if shape_of(scalar, names) == ("1", "1"):
                factors.append((scalar, index))
            case Diagonal(vector):
                factors.append((vector, index))
            case Identity():
                continue
            case Quantity() as matrix if len(names.get(matrix.name, ())) == 2 and index == "i":
                factors.append((matrix, "i j"))
                index, kind = "j", Kind.EVERY
            case Kronecker(vector) if index == "i":
                factors.append((vector, "j"))
                kind = Kind.ROW
            case Transpose(vector) if edge.head.name == "l" and index == "i":
                factors.append((vector, "j"))
                index, kind = "j", Kind.EVERY
            case value if shape_of(value, names) == ("1", "1") or kind is Kind.SCALAR:
                factors.append((value, index))
            case _:
                raise _too_much(edge)
    return kind, tuple(factors)


@dataclass(frozen=True)
class ComponentEquation(WrittenEquation):
    """One equation of a cell in matrix form: its component i, its rows, its condition, its lemma."""

    shapes: Names

    @cached_property
    def rows(self) -> tuple[ComponentRow, ...]:
        """The rows with their kinds, in the order of the table."""
        return tuple(component_row(edge, self.shapes) for edge in self.edges)

    def row_of(self, quantity: Quantity) -> ComponentRow:
        """The row by what the equation reads; a quantity that cancels is refused."""
        for row in self.rows:
            if row.edge.tail == quantity:
                return row
        raise NotDerivable(f"{quantity.name} cancels in the equation of {self.name}; simplify it")

    @property
    def index(self) -> str:
        """The index of a component; nothing for a number such as the loss."""
        return " i" if self.shapes.get(self.equation.target.name) else ""

    def type_of(self, quantity: Quantity) -> str:
        """The type of what is read."""
        return TYPES[len(self.shapes.get(quantity.name, ()))]

    @property
    def binders(self) -> str:
        step = "(t : nat) " if self.needs_step else ""
        return step + " ".join(f"({self.argument(q)} : {self.type_of(q)})" for q in self.reads)

    def _write(self, name: Callable[[Quantity], str], index: str) -> ComponentWriter:
        return ComponentWriter(name, "t", self.shapes, index)

    def definitions(self) -> str:
        i = " (i : nat)" if self.index else ""
        body = self._write(self.argument, "i").term(self.equation.expression)
        lines = [f"Definition {self.made('eq')} {self.binders}{i} : R :=", f"  {body}.", ""]
        for row in self.rows:
            j = " (j : nat)" if row.second else ""
            lines.append(f"Definition {self.row_name(row.edge.tail)} {self.binders}{i}{j} : R :=")
            lines.append(f"  {self._row(row)}.")
        if self.conditions:
            lines += ["", f"Definition {self.made('ok')} {self.binders}{i} : Prop :="]
            lines.append("  " + " /\\\n  ".join(map(self._condition, self.conditions)) + ".")
        return "\n".join([*lines, "", *self._lemma()])

    def _row(self, row: ComponentRow) -> str:
        """The entry of the row: the sum of the products of its factors."""
        products = []
        for term in row.terms:
            factors = []
            for value, index in term:
                if index == "i j":
                    assert isinstance(value, Quantity)
                    factors.append(f"{self.argument(value)} i j")
                else:
                    factors.append(self._write(self.argument, index).term(value, POWER))
            products.append(" * ".join(factors) or "1")
        return " + ".join(products) or "0"

    def _condition(self, condition: tuple[str, Expression]) -> str:
        kind, argument = condition
        if kind == "loss":
            assert isinstance(argument, Quantity)
            vector = self.argument(argument)
            return f"gradient_at {self.shapes[argument.name][0]} (ell t) {vector} (ell' t {vector})"
        text = self._write(self.argument, "i").term(argument)
        closed = f"({text})" if " " in text else text
        if kind == "sigma":
            return f"derivable_pt_lim sigma {closed} (sigma' {closed})"
        return f"0 < {text}" if kind == "positive" else f"{text} <> 0"

    @property
    def conditions(self) -> tuple[tuple[str, Expression], ...]:
        inside = [node for node in _under_sums(self.equation.expression, False)]
        found = WrittenEquation.conditions.fget(self)  # type: ignore[attr-defined]
        if any(argument in inside for _, argument in found):
            raise NotDerivable(
                f"the equation of {self.name} has no certificate in matrix form yet: it applies a matrix or a sum to a "
                f"function that needs a condition; use the scalar form, or give the function's value a name of its own"
            )
        return tuple(found)

    def _lemma(self) -> list[str]:
        def curve(quantity: Quantity) -> str:
            return f"({self.argument(quantity)} s)" if quantity in self.moving else self.argument(quantity)

        def point(quantity: Quantity) -> str:
            return f"({self.argument(quantity)} z)" if quantity in self.moving else self.argument(quantity)

        rates = {quantity: self.names.made("d", self.argument(quantity)) for quantity in self.moving}
        i = self.index
        lines = [f"Lemma {self.made('table')} : forall{' (t : nat)' if self.needs_step else ''}"]
        lines += [f"  ({self.argument(q)} : {self.type_of(q)})" for q in self.fixed]
        lines += [
            f"  ({self.argument(q)} : R -> {self.type_of(q)}) ({rate} : {self.type_of(q)})" for q, rate in rates.items()
        ]
        lines.append(f"  (z : R){' (i : nat)' if i else ''},")
        lines += [f"  {self._premise(q, rate)} ->" for q, rate in rates.items()]
        if self.conditions:
            lines.append(f"  {self.applied_to('ok', point)}{i} ->")
        lines.append(f"  derivable_pt_lim (fun s => {self.applied_to('eq', curve)}{i}) z")
        terms = [self.contribution(row, self.applied_row(row, point), rates[row.edge.tail]) for row in self.rows]
        lines.append("    (" + " +\n     ".join(terms or ["0"]) + ").")
        unfolded = ", ".join([self.made("eq"), *(self.row_name(row.edge.tail) for row in self.rows)])
        conditions = f" unfold {self.made('ok')} in *. split_conditions." if self.conditions else ""
        proof = "eapply dlim_eq; [derive_component | same_components]."
        return [*lines, "Proof.", f"  intros.{conditions} unfold {unfolded}.", f"  {proof}", "Qed."]

    def applied_to(self, what: str, naming: Callable[[Quantity], str]) -> str:
        step = ["t"] if self.needs_step else []
        return " ".join([self.made(what), *step, *map(naming, self.reads)])

    def applied_row(self, row: ComponentRow, naming: Callable[[Quantity], str]) -> str:
        step = ["t"] if self.needs_step else []
        return " ".join([self.row_name(row.edge.tail), *step, *map(naming, self.reads)]) + self.index

    def contribution(self, row: ComponentRow, entry: str, rate: str) -> str:
        """What the row adds to the derivative: its entries times the rates of what it joins."""
        match row.kind:
            case Kind.EVERY:
                return f"upto {self.size(row)} (fun j => {entry} j * {rate} j)"
            case Kind.ROW:
                return f"upto {self.size(row)} (fun j => {entry} j * {rate}{self.index} j)"
            case Kind.SAME:
                return f"{entry} * {rate} i"
        return f"{entry} * {rate}"

    def size(self, row: ComponentRow) -> str:
        """How many components the row sums over."""
        return self.shapes[row.edge.tail.name][-1]

    def _premise(self, quantity: Quantity, rate: str) -> str:
        row, name = self.row_of(quantity), self.argument(quantity)
        match row.kind:
            case Kind.EVERY:
                return f"(forall j, (j < {self.size(row)})%nat -> derivable_pt_lim (fun s => {name} s j) z ({rate} j))"
            case Kind.ROW:
                return (
                    f"(forall j, (j < {self.size(row)})%nat -> derivable_pt_lim (fun s => {name} s i j) z ({rate} i j))"
                )
            case Kind.SAME:
                return f"derivable_pt_lim (fun s => {name} s i) z ({rate} i)"
        return f"derivable_pt_lim {name} z {rate}"


def _under_sums(expression: Expression, inside: bool) -> list[Expression]:
    """The arguments of functions and the bases of powers that stand under a matrix or a sum."""
    found = list(children(expression)) if inside and not isinstance(expression, Quantity) else []
    inside = inside or isinstance(expression, Apply) or (isinstance(expression, Call) and expression.function == "sum")
    return found + [node for child in children(expression) for node in _under_sums(child, inside)]
