r"""A model's equations, cut into pieces that a program computes one after another.

    y = σ(W_y h + b_y)        a_y = W_y h + b_y,   y = σ(a_y)
    h = o ⊙ tanh(c)           tanh_c = tanh(c),    h = o ⊙ tanh_c

Every product of a matrix, and every function, gets a name of its own; then each local derivative is as simple as its
rule (a slope is read off a value that the forward pass has: tanh' = 1 − tanh²), and nothing is computed twice. The
table of the refined equations is made by the same rules as the model's.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from rnn_symbolic.equations import Equation
from rnn_symbolic.errors import InputError
from rnn_symbolic.expressions import (
    Add,
    Apply,
    Call,
    Expression,
    Multiply,
    Number,
    Ones,
    Power,
    Quantity,
    quantities,
    transform,
    walk,
)
from rnn_symbolic.functions import LOSS_ONLY
from rnn_symbolic.jacobians import Names, shape_of
from rnn_symbolic.model import Model, table_rows
from rnn_symbolic.table import Edge, Factor, LocalRule


@dataclass(frozen=True)
class Refined:
    """Equations at a generic step, each a sum of products, one function, or arithmetic; and their table.

    ``shapes`` are those of all names; in scalar form it is empty.
    """

    model: Model
    equations: tuple[Equation, ...]
    table: tuple[Edge, ...]
    shapes: Names


def refine(model: Model) -> Refined:
    """The refined equations of a model without abstract functions; the loss of a step is the last of them.

    >>> from rnn_symbolic.model import unroll
    >>> cell = "h = tanh(W @ h[t-1] + x)\\ny = h"
    >>> [str(e.target) for e in refine(unroll(cell, loss="squared", form="matrix")).equations]
    ['a_h[t]', 'h[t]', 'y[t]', 'l[t]']

    Raises InputError for a model whose loss or activation is abstract.
    """
    if model.is_abstract:
        raise InputError("a program needs a function for σ and for ℓ; choose for example 'tanh' and 'squared'")
    return _Refinement(model).refined()


class _Refinement:
    def __init__(self, model: Model) -> None:
        self.model = model
        self.shapes = dict(model.names)
        self.taken = {*model.cell.parameters, *model.named, *model.cell.states, "x", "d", "l", "L"}
        self.equations: list[Equation] = []
        self.named: dict[Expression, Quantity] = {}
        self.target = Quantity("")

    def refined(self) -> Refined:
        for equation in self.model.definitions:
            self.target = equation.target
            if equation.target.name == "l":
                break
            self.define(equation.target, self.top(equation.expression))
        loss = self.model.definition["l"]
        collapse = self.model.collapse
        if collapse is None:
            self.define(loss.target, self.of_loss(loss.expression))
            table = self.rows(self.equations)
        else:  # past y: ∂ℓ/∂o = y − d, from the values
            output = next(e for e in self.equations if e.target.name == "y").expression
            assert isinstance(output, Call)
            argument = collapse.argument

            def visit(node: Expression) -> Expression:
                return output.argument if node == argument else node

            self.define(loss.target, transform(collapse.loss, visit))
            rate = (Factor(LocalRule.COLLAPSE, collapse.general.value, collapse.general.shape),)
            assert isinstance(output.argument, Quantity)
            table = (*self.rows(self.equations[:-1]), Edge(loss.target, output.argument, 0, (rate,)))
        return Refined(self.model, tuple(self.equations), table, self.shapes)

    def rows(self, equations: Iterable[Equation]) -> tuple[Edge, ...]:
        return table_rows(equations, self.shapes if self.model.names else {})

    # -- pieces -----------------------------------------------------------------------------------------------

    def define(self, target: Quantity, expression: Expression) -> None:
        self.equations.append(Equation(target, expression))

    def top(self, expression: Expression) -> Expression:
        """The right-hand side of an equation: a function of a name, or a sum whose products stay in it."""
        match expression:
            case Call(function, argument, _):
                if function in LOSS_ONLY:
                    return expression
                return replace(expression, argument=self.atom(argument, f"a_{self.target.name}"))
            case Add(terms):
                return Add(tuple(self.term(term) for term in terms))
        return self.term(expression)

    def of_loss(self, expression: Expression) -> Expression:
        """The step loss: what is summed up in it is arithmetic of names."""
        match expression:
            case Call(function, argument) if function in LOSS_ONLY:
                return replace(expression, argument=self.inline(argument))
            case Add(terms):
                return Add(tuple(self.of_loss(term) for term in terms))
            case Multiply(factors=factors):
                return replace(expression, factors=tuple(self.of_loss(factor) for factor in factors))
            case Power(base, exponent):
                return Power(self.of_loss(base), exponent)
        return self.inline(expression)

    def term(self, expression: Expression) -> Expression:
        """A summand: the product W v of a matrix and a name, or arithmetic."""
        if isinstance(expression, Apply):
            return Apply(expression.left, self.operand(expression.right))
        return self.inline(expression)

    def operand(self, expression: Expression) -> Expression:
        """What a matrix stands before: a quantity of each step, even where it is a parameter, the same for all."""
        if not isinstance(expression, Quantity) or expression.index:
            return self.atom(expression)
        if expression not in self.named:
            target = Quantity(self.fresh(f"{expression.name}_t"), 0, "t")
            self.shapes[target.name] = self.shapes.get(expression.name, ())
            self.define(target, expression)
            self.named[expression] = target
        return self.named[expression]

    def inline(self, expression: Expression) -> Expression:
        """Arithmetic of names: what is more than that gets a name."""
        match expression:
            case Quantity() | Number() | Ones():
                return expression
            case Add(terms):
                if any(isinstance(node, Apply) for term in terms for node in walk(term)):
                    return self.atom(expression)
                return Add(tuple(self.inline(term) for term in terms))
            case Multiply(factors=factors):
                return replace(expression, factors=tuple(self.inline(factor) for factor in factors))
            case Power(base, exponent):
                return Power(self.inline(base), exponent)
        return self.atom(expression)

    def atom(self, expression: Expression, name: str = "") -> Expression:
        """The name of an expression; one that had none gets an equation of its own."""
        if isinstance(expression, Quantity):
            return expression
        if isinstance(expression, Number) or not any(True for _ in quantities(expression)):
            return self.inline(expression) if not isinstance(expression, Call) else expression
        if expression not in self.named:
            piece = self.top(expression)
            target = Quantity(self.fresh(name or suggested_name(piece, self.target.name)), 0, "t")
            rows, columns = shape_of(expression, self.shapes)
            assert columns == "1"
            self.shapes[target.name] = () if rows == "1" else (rows,)
            self.define(target, piece)
            self.named[expression] = target
        return self.named[expression]

    def fresh(self, name: str) -> str:
        found, number = name, 1
        while found in self.taken:
            number += 1
            found = f"{name}{number}"
        self.taken.add(found)
        return found


def suggested_name(expression: Expression, target: str) -> str:
    """A short name for a piece: tanh_c, r_h for r ⊙ h_{t−1}, and u_ and the name of the whole for a sum.

    >>> c, u = Quantity("c", 0, "t"), Quantity("u")
    >>> suggested_name(Call("tanh", c), "h"), suggested_name(Add((c, u)), "a_n")
    ('tanh_c', 'u_an')
    """
    parts = [q.name.replace("_", "") for q in dict.fromkeys(quantities(expression))]
    if isinstance(expression, Call):
        parts.insert(0, expression.function)
    if isinstance(expression, Add) or len(parts) > 2:
        parts = ["u", target.replace("_", "")]
    return "_".join(parts)[:40] or "u"
