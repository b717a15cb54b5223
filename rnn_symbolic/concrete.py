"""Functions in the place of what a model leaves abstract, so that it has numbers."""

from __future__ import annotations

from dataclasses import replace

from rnn_symbolic.equations import Equation
from rnn_symbolic.errors import InputError
from rnn_symbolic.expressions import ONE, Call, Expression, Ones, Quantity, StepLoss, Transpose, add, transform
from rnn_symbolic.functions import slope
from rnn_symbolic.jacobians import Names, shape_of, transposed
from rnn_symbolic.model import Model, unroll
from rnn_symbolic.table import Edge, Factor, Product, product_value


def concrete(model: Model, activation: str = "logistic", loss: str = "squared") -> Model:
    r"""The model with functions in the place of the abstract σ and ℓ_t, *its table included*, ready for numbers.

    The rows stay those that were derived: σ'(a_t) is read as φ'(a_t) and ℓ_t'(y_t), in matrix form the row
    ∇ℓ_t(y_t)ᵀ, as ∂ℓ_t/∂y_t of the chosen loss, so a wrong row of an abstract model stays wrong. Where softmax and
    cross-entropy collapse, the collapse is the one that holds for any target. A model that needs nothing of this is
    returned as it is.

    >>> concrete(unroll("elman"), "tanh").table[5].value
    Call(function='tanh', argument=Quantity(name='a', step=0, index='t'), order=1)

    Raises InputError when a choice is itself abstract or unknown.
    """
    if not model.is_abstract:
        collapse = model.collapse
        if collapse is None or collapse == collapse.for_numbers():
            return model
        return replace(model, collapse=collapse.for_numbers())
    chosen = unroll(
        model.cell,
        steps=model.steps,
        losses=model.losses,
        loss={"abstract": loss, "cell": "abstract"}.get(model.loss, model.loss),  # a loss line of the cell wins
        activation=activation if model.activation == "sigma" else model.activation,
        output_activation=activation if model.output_activation == "sigma" else model.output_activation,
        form=model.form,
        max_steps=model.steps,
    )
    if chosen.is_abstract:
        given = f"the activation {activation!r}, the loss {loss!r}"
        raise InputError(f"numbers need a function for each of: {given}; choose for example 'tanh' and 'squared'")

    def phi(name: str) -> str:
        return chosen.output_activation if name == "y" else chosen.activation

    definitions = tuple(
        Equation(e.target, chosen.definition["l"].expression)
        if isinstance(e.expression, StepLoss)
        else Equation(e.target, _with_function(e.expression, phi(e.target.name), model.names))
        for e in model.definitions
    )
    rate = _loss_rate(chosen.table)
    table = tuple(_with_functions(edge, phi(edge.head.name), rate, model.names) for edge in model.table)
    collapse = chosen.collapse
    if collapse is not None:  # it stands for the right ∂ℓ_t/∂y_t, and must not cover a wrong one
        collapse = collapse.for_numbers() if _loss_rate(table) == rate else None
    return replace(chosen, definitions=definitions, table=table, collapse=collapse)


def _loss_rate(table: tuple[Edge, ...]) -> tuple[Product, ...]:
    """∂⁺ℓ_t/∂y_t."""
    return next((e.terms for e in table if e.head.name == "l" and e.tail == Quantity("y", 0, "t")), ())


def _with_function(expression: Expression, phi: str, names: Names) -> Expression:
    """σ and σ' read as φ and φ'; the slope of the identity is 1, for a vector the column of ones."""

    def visit(node: Expression) -> Expression:
        match node:
            case Call("sigma", z, 0):
                return z if phi == "identity" else Call(phi, z)
            case Call("sigma", z, 1):
                found, size = slope(phi, z), shape_of(z, names)[0]
                return Ones(size) if found == ONE and size != "1" else found
        return node

    return transform(expression, visit)


def _with_functions(edge: Edge, phi: str, rate: tuple[Product, ...], names: Names) -> Edge:
    """The row with φ for σ, and with the products of ∂ℓ_t/∂y_t, ``rate``, in the place of ℓ_t'(y_t)."""
    terms: list[Product] = []
    for abstract in edge.terms:
        term = tuple(replace(factor, value=_with_function(factor.value, phi, names)) for factor in abstract)
        place = next((i for i, factor in enumerate(term) if _is_rate(factor.value)), None)
        if place is None:
            terms.append(tuple(_with_rate(factor, rate, names) for factor in term))
        else:
            terms += [(*term[:place], *product, *term[place + 1 :]) for product in rate]
    return Edge(edge.head, edge.tail, edge.lag, tuple(terms))


def _is_rate(value: Expression) -> bool:
    """ℓ_t'(y_t), or in matrix form the row ∇ℓ_t(y_t)ᵀ."""
    if isinstance(value, Transpose):
        value = value.of
        return isinstance(value, StepLoss) and value.vector
    return isinstance(value, StepLoss) and not value.vector


def _with_rate(factor: Factor, rate: tuple[Product, ...], names: Names) -> Factor:
    """A gradient ∇ℓ_t(y_t) that stands elsewhere than in its row, read as the chosen one."""

    def visit(node: Expression) -> Expression:
        if not isinstance(node, StepLoss):
            return node
        row = add(*(product_value(product) for product in rate))
        return transposed(row, names) if node.vector else row

    return replace(factor, value=transform(factor.value, visit))
