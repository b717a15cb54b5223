r"""Where somebody's code is asked: at points that hide nothing, and at the one where the usual check looks.

T = 3 … 6 with h_0 ≠ 0, sizes that all differ, non-symmetric weights of order 1, float64; once a longer sequence, so
that a truncation shows, and once targets far away, so that clipping shows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from rnn_symbolic.arrays import MatrixPoint
from rnn_symbolic.errors import InputError, NumericalFailure
from rnn_symbolic.expressions import Call, quantities, walk
from rnn_symbolic.gradients import gradients_at
from rnn_symbolic.matrix_valuation import random_matrix_point, random_sizes
from rnn_symbolic.model import Model
from rnn_symbolic.numeric import Point

STEPS = (4, 3, 5, 6)
LONG = 12
"""A longer sequence: what is cut off after ten steps shows here."""
LOUD = 1000.0
"""How far away the targets are where clipping should show."""
USUAL_STEPS, USUAL_WEIGHTS, USUAL_TOLERANCE = 2, 0.01, 1e-2
"""The usual check: T = 2, h_0 = 0, weights of size 0.01, a relative error of 1e-2 is good enough."""
SMALLEST = 1e-6
"""A gradient below this at a point is no evidence there; the point is drawn again."""
TRIES = 30


@dataclass(frozen=True)
class Place:
    """A point and the model of its T; ``why`` says what it is there for: ordinary, long, loud."""

    model: Model
    point: MatrixPoint | Point
    why: str


def audit_points(
    model: Model, *, steps: int | None, seed: int, sizes: Mapping[str, int] | None = None
) -> tuple[Place, ...]:
    """The points of an audit: of T = 4, 3, 5, 6 and 12 steps, or all of ``steps``; nothing there is 0 or saturated.

    >>> from rnn_symbolic.model import unroll
    >>> places = audit_points(unroll("elman", activation="tanh", loss="squared"), steps=None, seed=0)
    >>> [(place.model.steps, place.why) for place in places]
    [(4, 'ordinary'), (3, 'ordinary'), (5, 'ordinary'), (6, 'ordinary'), (12, 'long'), (4, 'loud')]
    """
    lengths = (*((t, "ordinary") for t in STEPS), (LONG, "long"), (STEPS[0], "loud"))
    if steps is not None:
        lengths = (*((steps, "ordinary") for _ in STEPS), (steps, "loud"))
    found = []
    for k, (T, why) in enumerate(lengths):
        if why == "loud" and not _unbounded(model):
            continue
        here = replace(model, steps=T)
        point = _lively(here, seed + 100 * k, _varied(model, sizes, k))
        found.append(Place(here, loud(point) if why == "loud" else point, why))
    return tuple(found)


def _varied(model: Model, sizes: Mapping[str, int] | None, k: int) -> Mapping[str, int] | None:
    """Another n_y at every point, so that a mean over the outputs is no mere number; never that of another size."""
    if sizes is not None or model.shapes is None or "n_y" not in model.shapes.sizes:
        return sizes
    known = random_sizes(model)
    free = [n for n in range(4, 12) if n not in {size for name, size in known.items() if name != "n_y"}]
    return {"n_y": free[k % 3]}


def _unbounded(model: Model) -> bool:
    """Whether the loss grows with the distance from the targets."""
    loss = model.definition["l"].expression
    return any(q.name == "d" for q in quantities(loss)) and not any(
        isinstance(node, Call) and node.function in ("log", "logsumexp") for node in walk(loss)
    )


def loud(point: MatrixPoint | Point) -> MatrixPoint | Point:
    """The same point with targets far away."""
    if isinstance(point, Point):
        return replace(point, d=tuple(LOUD * d for d in point.d), label=f"{point.label}, loud")
    return replace(point, d=LOUD * np.asarray(point.d), label=f"{point.label}, loud")


def draw(model: Model, seed: int, sizes: Mapping[str, int] | None, *, positive: bool = False) -> MatrixPoint | Point:
    """A random point in the form of the model."""
    if model.shapes is None:
        return scalar_point(random_matrix_point(model, seed, positive=positive))
    return random_matrix_point(model, seed, sizes, positive=positive)


def scalar_point(point: MatrixPoint) -> Point:
    """A point of arrays of size 1 as numbers."""
    return Point(
        {name: float(np.squeeze(value)) for name, value in point.parameters.items()},
        {key: float(np.squeeze(value)) for key, value in point.initial.items()},
        tuple(map(float, np.asarray(point.x)[:, 0])),
        tuple(map(float, np.asarray(point.d)[:, 0])),
        label=point.label,
    )


def _lively(model: Model, seed: int, sizes: Mapping[str, int] | None) -> MatrixPoint | Point:
    """A point where every gradient is well away from 0. Raises InputError where there seems to be none."""
    best: tuple[float, MatrixPoint | Point] | None = None
    for point in _candidates(model, seed, sizes):
        try:
            found = gradients_at(model, point)
        except NumericalFailure:
            continue
        parameters = [found[str(q)] for q in (*model.parameters, *model.initial_states)]
        smallest = min((float(np.abs(array).max(initial=0.0)) for array in parameters), default=1.0)
        if smallest >= SMALLEST:
            return point
        if best is None or smallest > best[0]:
            best = smallest, point
    if best is None:
        raise InputError(f"no random point suits {model.cell.name}: its functions leave their domain; give --values")
    return best[1]


def _candidates(model: Model, seed: int, sizes: Mapping[str, int] | None) -> Iterator[MatrixPoint | Point]:
    for attempt in range(TRIES):
        yield draw(model, seed + attempt, sizes, positive=2 * attempt >= TRIES)


def equal_sizes(model: Model) -> dict[str, int]:
    """All sizes the same: where code runs that confuses rows and columns."""
    return dict.fromkeys(random_sizes(model), 3)


def usual_point(
    model: Model,
    seed: int,
    sizes: Mapping[str, int] | None,
    steps: int = USUAL_STEPS,
    batch: int | None = None,
) -> Place:
    """Where the usual check looks: two steps, no initial state, tiny weights."""
    here = replace(model, steps=steps)
    drawn = draw(here, seed, sizes) if batch is None else random_matrix_point(here, seed, sizes, batch)
    rng = np.random.default_rng(seed)
    if isinstance(drawn, Point):
        small = {name: USUAL_WEIGHTS * float(rng.standard_normal()) for name in drawn.parameters}
        return Place(here, replace(drawn, parameters=small, initial=dict.fromkeys(drawn.initial, 0.0)), "usual")
    weights = {name: USUAL_WEIGHTS * rng.standard_normal(value.shape) for name, value in drawn.parameters.items()}
    zeros = {key: np.zeros_like(value) for key, value in drawn.initial.items()}
    return Place(here, replace(drawn, parameters=weights, initial=zeros), "usual")
