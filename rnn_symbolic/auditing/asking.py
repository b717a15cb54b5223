r"""Somebody's function, asked at the points of an audit: its answers, and what they need to be compared.

Where it fails for sizes that all differ it is asked once more with all sizes the same, because a product that does
not fit is what a missing transpose looks like; where it can do only one T, that is said.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rnn_symbolic.array_functions import Array
from rnn_symbolic.arrays import MatrixPoint
from rnn_symbolic.auditing.cases import RELATIVE, Case
from rnn_symbolic.auditing.conventions import other_networks
from rnn_symbolic.auditing.points import Place, audit_points, draw, equal_sizes, scalar_point, usual_point
from rnn_symbolic.auditing.records import Fact
from rnn_symbolic.auditing.user_code import Adapter, Answer, call_function, run_code
from rnn_symbolic.errors import InputError
from rnn_symbolic.model import Model
from rnn_symbolic.numeric import Point

ROUNDINGS = 512.0
"""So many roundings of its largest entry are granted to a gradient of lower precision."""
Ask = Callable[[Sequence[Place]], Sequence[Answer]]


@dataclass(frozen=True)
class Asked:
    """Places and answers: those of the audit, the short ones that show where an error begins, and the usual one."""

    places: tuple[Place, ...]
    answers: tuple[Answer, ...]
    probes: tuple[tuple[Place, Answer], ...]
    usual: tuple[Place, Answer] | None
    ask: Ask
    notes: tuple[Fact, ...] = ()

    def cases(self, tolerance: float | None) -> list[Case]:
        """Each place with what was answered there."""
        return [case_of(place, answer, tolerance) for place, answer in zip(self.places, self.answers, strict=True)]


def case_of(place: Place, answer: Answer, tolerance: float | None) -> Case:
    """A place with an answer; single precision is granted what it takes."""
    model = place.model
    given = {model.resolve(name): array for name, array in answer.gradients.items() if name != "x"}
    coarse = {"float64": 0.0, "float32": 2.0**-24, "float16": 2.0**-11, "bfloat16": 2.0**-9}.get(answer.dtype, 0.0)
    relative = tolerance or max(RELATIVE, ROUNDINGS * coarse)
    others = other_networks(model, getattr(place.point, "sizes", {}))
    return Case(model, place.point, given, others=others, loss=answer.loss, relative=relative)


def ask_function(
    function: Callable[..., Any], model: Model, adapter: Adapter, *, steps: int | None, seed: int,
    sizes: Mapping[str, int] | None,
) -> Asked:  # fmt: skip
    """The function in this process."""

    def ask(places: Sequence[Place]) -> list[Answer]:
        return [call_function(function, p.model, _point(p), adapter) for p in places]

    return _asked(ask, model, steps, seed, sizes, adapter)


def ask_code(
    code: str, model: Model, adapter: Adapter, *, steps: int | None, seed: int, sizes: Mapping[str, int] | None,
    timeout: float,
) -> Asked:  # fmt: skip
    """MODULE:FUNCTION in a process of its own, one for all points."""

    def ask(places: Sequence[Place]) -> list[Answer]:
        found: list[Answer] = []
        adapters = {T: replace(adapter) for T in {p.model.steps for p in places}}
        plain = replace(adapter, mean=False)
        answers = run_code(code, model, [_point(p) for p in places], plain, timeout)
        for place, answer in zip(places, answers, strict=True):
            factor = place.model.steps if adapters[place.model.steps].mean else 1
            gradients = {name: factor * array for name, array in answer.gradients.items()}
            loss = None if answer.loss is None else factor * answer.loss
            found.append(replace(answer, gradients=gradients, loss=loss))
        return found

    return _asked(ask, model, steps, seed, sizes, adapter)


def _point(place: Place) -> Any:
    return place.point


def _asked(
    ask: Ask, model: Model, steps: int | None, seed: int, sizes: Mapping[str, int] | None, adapter: Adapter
) -> Asked:
    if adapter.mean and model.losses == "mean":
        raise InputError("the model's L is the mean over the steps already; leave the adapter's mean out")
    notes: list[Fact] = []
    places, answers = _answered(ask, model, steps, seed, sizes)
    _same_again(answers)
    if model.shapes is not None and sizes is None and all(answer.error for answer in answers):
        same = _answered(ask, model, steps, seed, equal_sizes(model))
        if not all(answer.error for answer in same[1]):
            sizes = equal_sizes(model)
            places, answers = same
            notes.append(Fact("equal-sizes", (next(iter(sizes.values())),)))
    if all(answer.error for answer in answers):
        # an exception of theirs, perhaps because of a shape with a T of its own
        raised = steps is None and any(name in answers[0].error for name in ("IndexError", "ValueError", "KeyError"))
        hint = "; if it can do one number of steps only, say which with --steps" if raised else ""
        raise InputError(f"{answers[0].error}{hint}")
    failed = [answer.error for answer in answers if answer.error]
    if failed:
        lengths = sorted({p.model.steps for p, a in zip(places, answers, strict=True) if not a.error})
        notes.append(Fact("only-steps", tuple(map(float, lengths))))
    if any("h_0" not in a.received and model.cell.states for a in answers if not a.error and a.received):
        takes = set(next(a.received for a in answers if a.received))
        if not takes & {str(q) for q in model.initial_states}:
            places = tuple(replace(place, point=without_initial(place.point)) for place in places)
            answers = tuple(ask(places))
            notes.append(Fact("no-initial"))
    if any(a.dtype != "float64" for a in answers if not a.error):
        notes.append(Fact("single-precision"))
    if any("x" in a.gradients for a in answers):
        notes.append(Fact("inputs-left-out"))
    kept = [(p, a) for p, a in zip(places, answers, strict=True) if not a.error]
    ordinary, extra = [(p, a) for p, a in kept if p.why in MAIN], [(p, a) for p, a in kept if p.why not in MAIN]
    if not ordinary:
        raise InputError(next(a.error for a in answers if a.error))
    _same_names([a for _, a in ordinary])
    return Asked(
        tuple(p for p, _ in ordinary),
        tuple(a for _, a in ordinary),
        tuple((p, a) for p, a in extra if p.why == "probe"),
        next(((p, a) for p, a in extra if p.why == "usual"), None),
        ask,
        tuple(notes),
    )


MAIN = ("ordinary", "long", "loud")


def _answered(
    ask: Ask, model: Model, steps: int | None, seed: int, sizes: Mapping[str, int] | None
) -> tuple[tuple[Place, ...], tuple[Answer, ...]]:
    places = list(audit_points(model, steps=steps, seed=seed, sizes=sizes))
    if steps is None:
        places += [
            Place(here, draw(here, seed + T, sizes), "probe") for T in (1, 2) for here in [replace(model, steps=T)]
        ]
        places.append(usual_point(model, seed, sizes))
    again = [replace(places[0], why="again")]  # answered alike, or it depends on more than the point
    return tuple(places + again), tuple(ask(places + again))


def _same_again(answers: Sequence[Answer]) -> None:
    """Refuse a function whose first and last answers, at the same point, differ."""
    first, last = answers[0], answers[-1]
    for name, array in first.gradients.items():
        other = last.gradients.get(name)
        noise = 1e-9 * float(np.abs(array).max(initial=0.0))  # of sums in another order, as on several threads
        alike = other is not None and np.shape(other) == np.shape(array) and np.allclose(array, other, 1e-6, noise)
        if not first.error and not last.error and not alike:
            raise InputError(
                f"asked again at the same point, the function gives another gradient by {name!r}: it draws random "
                f"numbers, or adds to what it gave before; make it depend on its arguments only"
            )


def without_initial(point: MatrixPoint | Point) -> MatrixPoint | Point:
    """The same point with all initial states 0."""
    if isinstance(point, Point):
        return replace(point, initial=dict.fromkeys(point.initial, 0.0))
    return replace(point, initial={key: np.zeros_like(value) for key, value in point.initial.items()})


def _same_names(answers: Sequence[Answer]) -> None:
    names = [set(answer.gradients) - {"x"} for answer in answers]
    if not names[0]:
        raise InputError("the function returns no gradient by a parameter; return a dictionary of them, by name")
    if any(found != names[0] for found in names):
        raise InputError("the function does not return the same gradients at every point; return all of them always")
    if any(not math.isfinite(answer.loss) for answer in answers if answer.loss is not None):
        raise InputError("the function returns a loss that is not a finite number")


# --- their own loss --------------------------------------------------------------------------------------------------

MOVE = 1e-3
"""How far a point is moved, and half as far, for a difference of the losses that the function returns."""
AGREES = 1e-6


def own_loss_agrees(asked: Asked, case: Case) -> bool:
    """Whether it is the gradient of the loss that the function returns, though not that of L.

    Σ ⟨g, v⟩ against Richardson's (4 D(h/2) − D(h))/3, D(h) = (ℓ(θ + hv) − ℓ(θ − hv))/2h, along a random direction v.
    """
    place, point = asked.places[0], case.point
    if asked.answers[0].loss is None or not case.goals:
        return False
    rng = np.random.default_rng(0)
    shapes = {str(goal): case.sweep.shape(goal) for goal in case.goals}
    moves = {name: rng.standard_normal(shape) for name, shape in shapes.items()}
    if any(np.shape(case.given[goal]) != shapes[str(goal)] for goal in case.goals):
        return False
    along = sum(float((np.asarray(case.given[goal]) * moves[str(goal)]).sum()) for goal in case.goals)
    steps = (MOVE, -MOVE, MOVE / 2, -MOVE / 2)
    moved = [replace(place, point=_moved(place, point, moves, step)) for step in steps]
    losses = [answer.loss for answer in asked.ask(moved)]
    if any(loss is None for loss in losses):
        return False
    high, low, near, far = (float(loss or 0.0) for loss in losses)
    slope = (4 * (near - far) / MOVE - (high - low) / (2 * MOVE)) / 3
    return abs(slope - along) <= AGREES * max(abs(slope), abs(along))


def _moved(place: Place, point: MatrixPoint, moves: Mapping[str, Array], step: float) -> MatrixPoint | Point:
    """The point with h v added."""
    names = {str(q): (q.name, q.step) for q in place.model.initial_states}
    parameters = {
        name: value + step * moves[name].reshape(np.shape(value)) if name in moves else value
        for name, value in point.parameters.items()
    }
    initial = dict(point.initial)
    for name, key in names.items():
        if name in moves:
            initial[key] = initial[key] + step * moves[name].reshape(np.shape(initial[key]))
    found = replace(point, parameters=parameters, initial=initial)
    return scalar_point(found) if isinstance(place.point, Point) else found
