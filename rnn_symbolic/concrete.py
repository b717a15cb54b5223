"""Functions in the place of what a model leaves abstract, so that it has numbers."""

from __future__ import annotations

from dataclasses import replace

from rnn_symbolic.equations import Equation
from rnn_symbolic.errors import InputError
from rnn_symbolic.expressions import Call, Expression, Quantity, StepLoss, transform
from rnn_symbolic.functions import slope
from rnn_symbolic.model import Model, unroll
from rnn_symbolic.table import Edge, Factor, Product, differentiate, find_collapse


def concrete(model: Model, activation: str = "logistic", loss: str = "squared") -> Model:
    r"""The model with functions in the place of the abstract σ and ℓ_t, *its table included*.

    The rows stay those that were derived: σ'(a_t) is read as φ'(a_t) and ℓ_t'(y_t) as ∂ℓ_t/∂y_t of the chosen loss,
    so a wrong row of an abstract model stays wrong. A model with nothing abstract in it is returned as it is.

    >>> concrete(unroll("elman"), "tanh").table[5].value
    Call(function='tanh', argument=Quantity(name='a', step=0, index='t'), order=1)

    Raises InputError when a choice is itself abstract or unknown.
    """
    if not model.is_abstract:
        return model
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

    step_loss = chosen.definition["l"].expression
    definitions = tuple(
        Equation(e.target, step_loss)
        if isinstance(e.expression, StepLoss)
        else Equation(e.target, _with_function(e.expression, phi(e.target.name)))
        for e in model.definitions
    )
    rate = differentiate(step_loss, Quantity("y", 0, "t"))
    table = tuple(_with_functions(edge, phi(edge.head.name), rate) for edge in model.table)
    return replace(chosen, definitions=definitions, table=table, collapse=find_collapse(definitions))


def _with_function(expression: Expression, phi: str) -> Expression:
    """σ and σ' read as φ and φ'."""

    def visit(node: Expression) -> Expression:
        match node:
            case Call("sigma", z, 0):
                return z if phi == "identity" else Call(phi, z)
            case Call("sigma", z, 1):
                return slope(phi, z)
        return node

    return transform(expression, visit)


def _with_functions(edge: Edge, phi: str, rate: tuple[Product, ...]) -> Edge:
    """The row with φ for σ, and with the products of ∂ℓ_t/∂y_t, ``rate``, in the place of ℓ_t'(y_t)."""
    terms: list[Product] = []
    for abstract in edge.terms:
        term = tuple(Factor(factor.rule, _with_function(factor.value, phi)) for factor in abstract)
        place = next((i for i, factor in enumerate(term) if isinstance(factor.value, StepLoss)), None)
        if place is None:
            terms.append(term)
        else:
            terms += [(*term[:place], *product, *term[place + 1 :]) for product in rate]
    return Edge(edge.head, edge.tail, edge.lag, tuple(terms))
