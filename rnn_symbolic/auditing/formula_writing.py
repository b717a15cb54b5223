"""How a cell itself writes what formulas mention: the function in the place of σ, what it is applied to, ∂ℓ_t/∂y_t."""

from __future__ import annotations

from functools import cached_property

from rnn_symbolic.expressions import (
    Apply,
    Call,
    Chain,
    Expression,
    Multiply,
    Quantity,
    at_step,
    chain,
    multiply,
    quantities,
    transform,
    walk,
)
from rnn_symbolic.jacobians import transposed
from rnn_symbolic.model import Model
from rnn_symbolic.table import product_value


class CellWriting:
    """What is common to all formulas of a model."""

    def __init__(self, model: Model) -> None:
        self.model, self.matrix = model, model.form == "matrix"

    def activation(self, argument: Expression) -> str:
        """What stands in the place of σ: the output activation where y's equation applies σ to this argument."""
        plain = self.as_product(argument)
        found = any(_step_of(generic, plain) is not None for generic in self.output_arguments)
        return self.model.output_activation if found else self.model.activation

    @cached_property
    def output_arguments(self) -> list[Expression]:
        output = next(e.expression for e in self.model.cell.equations if e.target.name == "y")
        calls = (node for node in walk(output) if isinstance(node, Call) and node.function == "sigma")
        return [self.as_product(node.argument) for node in calls]

    def of(self, argument: Expression) -> Expression:
        """The argument of a function with W @ v as the cell holds it: σ'(W_y h_3 + b_y) is then one and the same."""
        if isinstance(argument, Quantity):
            return argument
        for plain, generic in self.arguments:
            t = _step_of(plain, argument)
            if t is not None:
                return at_step(generic, t)
        return argument

    @cached_property
    def arguments(self) -> list[tuple[Expression, Expression]]:
        """What the cell applies functions to, other than names: as formulas write it, and as the cell does."""
        calls = (
            node
            for equation in self.model.definitions
            for node in walk(equation.expression)
            if isinstance(node, Call) and not isinstance(node.argument, Quantity)
        )
        return [(self.as_product(call.argument), call.argument) for call in calls]

    def as_product(self, expression: Expression) -> Expression:
        """The cell's W @ v as the product that a formula makes of it."""

        def visit(node: Expression) -> Expression:
            match node:
                case Apply(left, right):
                    return chain(left, right) if self.matrix else multiply(left, right)
                case Multiply(factors, False) if not self.matrix:
                    return multiply(*factors)
                case Multiply((*front, Chain(factors)), False):
                    return Chain((*front, *factors))
            return node

        return transform(expression, visit)

    def softmax(self, argument: Expression) -> Expression:
        """softmax(z), by the name that the cell gives it if it does."""
        found = Call("softmax", argument)
        for equation in self.model.definitions:
            t = _step_of(equation.expression, found)
            if t is not None:
                return equation.target.at(t)
        return found

    def loss_rate(self, quantity: Quantity) -> Expression | None:
        """∂⁺ℓ_t/∂q_t as a column, where the loss of that step reads q_t."""
        edge = self.read_by_loss.get(quantity.name)
        if edge is None or quantity.step is None or quantity.step < 1:
            return None
        expression = at_step(edge, quantity.step)
        return transposed(expression, self.model.names) if self.matrix else expression

    @cached_property
    def read_by_loss(self) -> dict[str, Expression]:
        """∂⁺ℓ_t/∂q_t of each q_t, at the generic step."""
        return {
            edge.tail.name: product_value(edge.factors)
            for edge in self.model.table
            if edge.head.name == "l" and edge.lag == 0 and edge.tail.step is not None
        }


def _step_of(generic: Expression, expression: Expression) -> int | None:
    """The step t at which a generic expression is this one; None if there is no such step.

    The first quantity that has a step says which it could be.
    """
    first = next((q for q in quantities(generic) if q.index), None)
    found = next((q for q in quantities(expression) if q.step is not None), None)
    if first is None or found is None or first.step is None or found.step is None or first.name != found.name:
        return None
    t = found.step - first.step
    return t if at_step(generic, t) == expression else None
