"""Compiled code against the sums over paths, and against complex steps of the forward equations, entry by entry.

The tolerance is 10⁻¹² beside the largest entry, or what rounding may do to the sum over paths if that is more.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from rnn_symbolic.array_functions import Array
from rnn_symbolic.arrays import MatrixPoint, array_point, complex_pass, coordinates
from rnn_symbolic.codegen.compiled import CompiledGradient, compile_gradient
from rnn_symbolic.comparison import Verdict, Verdicts
from rnn_symbolic.concrete import concrete
from rnn_symbolic.errors import InputError, NumericalFailure
from rnn_symbolic.expressions import Quantity
from rnn_symbolic.matrix_valuation import MatrixValuation, random_matrix_point
from rnn_symbolic.model import Model
from rnn_symbolic.paths import graph

if TYPE_CHECKING:
    from rnn_symbolic.numeric import Point

TOLERANCE = 1e-12
COORDINATES = 400
"""Up to so many entries each has a complex step of its own; of more, so many are drawn."""
TRIES = 20


def check_code(
    model: Model,
    target: str,
    point: MatrixPoint | Point,
    goals: Iterable[Quantity] | None = None,
) -> Verdicts:
    """Compare what a target computes with the sum over paths and with complex steps, for each goal.

    Goals are parameters, initial states and inputs; all parameters and initial states unless given.

    >>> from rnn_symbolic.model import unroll
    >>> model = unroll("gru", steps=4, loss="squared", activation="tanh", form="matrix")
    >>> check_code(model, "numpy", random_matrix_point(model, seed=0)).passed
    True

    Raises InputError for a goal that code has no gradient of, NumericalFailure where there is nothing to compare.
    """
    model = concrete(model)
    goals = (*model.parameters, *model.initial_states) if goals is None else tuple(goals)
    leaves = {*model.parameters, *model.initial_states}
    for goal in goals:
        if goal not in leaves and goal.name != "x":
            raise InputError(
                f"{goal} is computed within; code gives gradients by parameters, initial states and inputs, "
                f"such as {model.parameters[0]}"
            )
    arrays = array_point(point)
    valuation = MatrixValuation(model, arrays)
    function = compile_gradient(model, target=target, inputs=any(goal.name == "x" for goal in goals))
    _, found = function(*_arguments(model, point, arrays))
    verdicts = []
    for goal in goals:
        value = np.asarray(found["x"][(goal.step or 1) - 1] if goal.name == "x" else found[str(goal)])
        verdicts += [_against_paths(function, valuation, goal, value), _against_steps(function, valuation, goal, value)]
    return Verdicts(tuple(verdicts))


def check_code_at_random(
    model: Model,
    target: str,
    goals: Iterable[Quantity] | None = None,
    seed: int = 0,
    *,
    sizes: Mapping[str, int] | None = None,
    batch: int | None = None,
) -> Verdicts:
    """`check_code` at a seeded random point; where a function leaves its domain it is drawn again."""
    model = concrete(model)
    failure: NumericalFailure | None = None
    for attempt in range(TRIES):
        point = random_matrix_point(model, seed + attempt, sizes, batch, positive=2 * attempt >= TRIES)
        try:
            return check_code(model, target, point, goals)
        except NumericalFailure as error:
            failure = error
    raise NumericalFailure(f"no point from seed {seed} on suits this model: {failure}") from failure


def _arguments(model: Model, point: Any, arrays: MatrixPoint) -> tuple[Any, ...]:
    """params, x, d, state, in the form of the model."""
    state = {f"{name}_{step}": value for (name, step), value in arrays.initial.items()}
    if model.shapes is not None:
        return dict(arrays.parameters), arrays.x, arrays.d, state
    flat = {name: float(np.asarray(value).reshape(())) for name, value in arrays.parameters.items()}
    each = {name: float(np.asarray(value).reshape(())) for name, value in state.items()}
    return flat, np.asarray(arrays.x)[:, 0], np.asarray(arrays.d)[:, 0], each


def _against_paths(function: CompiledGradient, at: MatrixValuation, goal: Quantity, value: Array) -> Verdict:
    paths = graph(at.model, goal)
    expected = np.asarray(at.path_total(paths).value).reshape(value.shape)
    noise = float(np.max(at.path_rounding(paths), initial=0.0))
    return _verdict(function, at, goal, value, expected, noise, "sum over paths")


def _against_steps(function: CompiledGradient, at: MatrixValuation, goal: Quantity, value: Array) -> Verdict:
    """Entry by entry: Im L(θ + i h e) / h, of the forward equations alone."""
    place = at.values[goal.name, goal.step]
    per_sample = at.point.batch is not None and place.ndim == 3
    directions = coordinates(place, 1 if at.point.batch is not None else None)
    if per_sample:
        directions = _each_sample(place)
    chosen = np.arange(len(directions))
    if len(directions) > COORDINATES:
        chosen = np.sort(np.random.default_rng(0).choice(len(directions), COORDINATES, replace=False))
    flat = np.empty(len(chosen))
    for k, index in enumerate(chosen):
        h, moved = complex_pass(at.model, at.point, (goal.name, goal.step), directions[index], resume=at.values)
        flat[k] = np.asarray(moved["L", None]).imag.reshape(()) / h
    rows, columns = place.shape[-2:]
    if per_sample:
        ordered = value.reshape(-1)
    else:
        ordered = value.reshape(rows, columns).T.reshape(-1) if value.size == rows * columns else value.reshape(-1)
    noise = float(np.max(at.path_rounding(graph(at.model, goal)), initial=0.0))
    return _verdict(function, at, goal, ordered[chosen], flat, noise, "complex step")


def _each_sample(place: Array) -> Array:
    samples, rows, _ = place.shape
    found = np.zeros((samples * rows, *place.shape))
    for k, (b, i) in enumerate(product(range(samples), range(rows))):
        found[k, b, i, 0] = 1.0
    return found


def _verdict(
    function: CompiledGradient,
    at: MatrixValuation,
    goal: Quantity,
    value: Array,
    expected: Array,
    noise: float,
    by: str,
) -> Verdict:
    """The entry that is furthest off."""
    difference = np.abs(value - expected)
    worst = np.unravel_index(int(np.argmax(difference)), difference.shape)
    tolerance = max(TOLERANCE * float(np.abs(expected).max(initial=0.0)), noise)
    error = float(difference[worst])
    return Verdict(
        wrt=str(goal),
        method=f"{function.target} code, {by}",
        at=at.point.label,
        symbolic=float(value[worst]),
        numeric=float(expected[worst]),
        error=error,
        tolerance=tolerance,
        status="passed" if error <= tolerance else "failed",
    )
