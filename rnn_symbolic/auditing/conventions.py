r"""The other networks that somebody may have differentiated rightly: found by rewriting the equations of this one.

    z ⊙ u + (1 − z) ⊙ v   ↔   (1 − z) ⊙ u + z ⊙ v          what a gate keeps
    W (r ⊙ h)             ↔   r ⊙ (W h)                     where a reset acts
    φ                     ↔   another activation            tanh for logistic, …
    h_0                   ↔   0                             the initial state is not read
    W                     ↔   Wᵀ                            rows for columns: h W for W h

The gradient is right for that network, so that a check against its own loss passes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from rnn_symbolic.arrays import MatrixPoint
from rnn_symbolic.auditing.mistakes import ForwardMistake
from rnn_symbolic.auditing.writer import one_minus
from rnn_symbolic.equations import Equation
from rnn_symbolic.expressions import (
    MINUS_ONE,
    Add,
    Apply,
    Call,
    Expression,
    Multiply,
    Quantity,
    transform,
    walk,
)
from rnn_symbolic.functions import FUNCTIONS
from rnn_symbolic.jacobians import shape_of
from rnn_symbolic.model import Model, table_rows

ACTIVATIONS = ("tanh", "logistic", "relu", "identity")


def _same(point: MatrixPoint) -> MatrixPoint:
    return point


@dataclass(frozen=True)
class OtherNetwork:
    """A network that might have been meant, and where the point goes; ``transposes`` is the row convention."""

    mistake: ForwardMistake
    model: Model
    at: Callable[[MatrixPoint], MatrixPoint] = _same
    transposes: bool = False


def other_networks(model: Model, sizes: dict[str, int]) -> tuple[OtherNetwork, ...]:
    """Every network that differs from this one by a convention; none of them changes a parameter's shape.

    >>> from rnn_symbolic.model import unroll
    >>> found = other_networks(unroll("gru", activation="logistic", loss="squared"), {})
    >>> [other.mistake.code for other in found if other.mistake.kind == "convention"]
    ['reset', 'complement']
    """
    found = list(_others(model, sizes))
    return tuple(replace(other, mistake=replace(other.mistake, index=index)) for index, other in enumerate(found))


def _others(model: Model, sizes: dict[str, int]) -> Iterator[OtherNetwork]:
    initial = tuple(map(str, model.initial_states))
    for names in dict.fromkeys((initial, *((name,) for name in initial))) if initial else ():
        yield OtherNetwork(
            ForwardMistake("initial-state", "ignored", 1, names), model, partial(_without_initial, names)
        )
    for i, equation in enumerate(model.definitions):
        exchanged = _exchanged(equation.expression)
        if exchanged != equation.expression:
            mistake = ForwardMistake("convention", "complement", 1, (equation.target.name,))
            yield OtherNetwork(mistake, _with(model, i, exchanged))
        for moved in _resets(equation.expression, model):
            mistake = ForwardMistake("convention", "reset", 1, (equation.target.name,))
            yield OtherNetwork(mistake, _with(model, i, moved))
    yield from _activations(model)
    matrices = [name for name in model.cell.parameters if len(model.names.get(name, ())) == 2]
    square = all(len({sizes[size] for size in model.names[name]}) == 1 for name in matrices)
    if matrices and square and all(sizes[model.names[name][0]] > 1 for name in matrices):
        yield OtherNetwork(ForwardMistake("layout", "rows", 1, tuple(matrices)), model, _transposed, True)


def _with(model: Model, place: int, expression: Expression) -> Model:
    """The model with another equation; its table is made anew."""
    definitions = list(model.definitions)
    definitions[place] = Equation(definitions[place].target, expression)
    return _remade(model, definitions)


def _remade(model: Model, definitions: list[Equation]) -> Model:
    return replace(model, definitions=tuple(definitions), table=table_rows(definitions, model.names), collapse=None)


def _without_initial(names: tuple[str, ...], point: MatrixPoint) -> MatrixPoint:
    initial = {
        key: np.zeros_like(value) if str(Quantity(*key)) in names else value for key, value in point.initial.items()
    }
    return replace(point, initial=initial)


def _transposed(point: MatrixPoint) -> MatrixPoint:
    parameters = {name: value.T if value.ndim == 2 else value for name, value in point.parameters.items()}
    return replace(point, parameters=parameters)


# --- gates ----------------------------------------------------------------------------------------------------------


def _exchanged(expression: Expression) -> Expression:
    """z for 1 − z and the other way round, for every z of which both stand in the expression as factors."""
    factors = [part for node in walk(expression) if isinstance(node, Multiply) for part in node.factors]
    gates = [z for z in factors if isinstance(z, Quantity) and one_minus(z) in factors]
    for z in dict.fromkeys(gates):
        rest, mark = one_minus(z), Quantity("·")

        def first(node: Expression, z: Expression = z, rest: Expression = rest, mark: Expression = mark) -> Expression:
            return _with_factors(node, {rest: mark})

        def second(node: Expression, z: Expression = z, rest: Expression = rest, mark: Expression = mark) -> Expression:
            return _with_factors(_with_factors(node, {z: rest}), {mark: z})

        expression = transform(transform(expression, first), second)
    return expression


def _with_factors(node: Expression, exchange: dict[Expression, Expression]) -> Expression:
    if not isinstance(node, Multiply) or node.factors[0] == MINUS_ONE:
        return node
    return replace(node, factors=tuple(exchange.get(part, part) for part in node.factors))


def _resets(expression: Expression, model: Model) -> Iterator[Expression]:
    """W (r ⊙ h) as r ⊙ (W h), and the other way round, where the sizes allow it."""
    matrix = model.form == "matrix"

    def fits(W: Expression) -> bool:
        return not matrix or len(set(shape_of(W, model.names))) == 1

    def outwards(node: Expression) -> Expression:
        match node:
            case Apply(W, Multiply((r, h))) if fits(W):
                return Multiply((r, Apply(W, h)), vectors=matrix)
        return node

    def inwards(node: Expression) -> Expression:
        match node:
            case Multiply((r, Apply(W, h))) if fits(W) and r != MINUS_ONE:
                return Apply(W, Multiply((r, h), vectors=matrix))
            case Multiply((r, Add((Apply(W, h), *rest)))) if fits(W) and r != MINUS_ONE:
                return Add((Apply(W, Multiply((r, h), vectors=matrix)), *rest))
        return node

    for move in (outwards, inwards):
        moved = transform(expression, move)
        if moved != expression:
            yield moved


# --- activations ----------------------------------------------------------------------------------------------------


def _activations(model: Model) -> Iterator[OtherNetwork]:
    """Another function in the place of one: in the output's equation, or in all the others."""
    for output in (False, True):
        places = [
            i for i, e in enumerate(model.definitions) if (e.target.name == "y") == output and e.target.name != "l"
        ]
        used = {
            node.function
            for i in places
            for node in walk(model.definitions[i].expression)
            if isinstance(node, Call) and node.function in FUNCTIONS and node.function in ACTIVATIONS
        }
        for old in sorted(used):
            for new in ACTIVATIONS:
                if new == old:
                    continue
                definitions = list(model.definitions)
                for i in places:
                    definitions[i] = Equation(definitions[i].target, _renamed(definitions[i].expression, old, new))
                kind = "output-derivative" if output and new == "identity" else "wrong-activation"
                mistake = ForwardMistake(kind, "other-activation", 2, (old, new, "y" if output else ""))
                yield OtherNetwork(mistake, _remade(model, definitions))


def _renamed(expression: Expression, old: str, new: str) -> Expression:
    def visit(node: Expression) -> Expression:
        if isinstance(node, Call) and node.function == old:
            return node.argument if new == "identity" else replace(node, function=new)
        return node

    return transform(expression, visit)
