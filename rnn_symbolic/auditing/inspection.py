r"""From numbers to an audit: the diagnosis, said goal by goal, with its evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from rnn_symbolic.array_functions import Array
from rnn_symbolic.auditing.asking import Asked, case_of, own_loss_agrees
from rnn_symbolic.auditing.cases import Case, Combination
from rnn_symbolic.auditing.catalogue import table_mistakes
from rnn_symbolic.auditing.conventions import other_networks
from rnn_symbolic.auditing.diagnosis import Diagnosis, Explanation, diagnose
from rnn_symbolic.auditing.facts import at_kink, facts_about
from rnn_symbolic.auditing.instances import SmallPoints, usual_check, usual_checks
from rnn_symbolic.auditing.mistakes import LimitMistake, Mistake, results, selections
from rnn_symbolic.auditing.points import usual_point
from rnn_symbolic.auditing.predictions import Predictions
from rnn_symbolic.auditing.records import Audit, Fact, Finding, UsualCheck, verdict_of
from rnn_symbolic.auditing.sides import part_of
from rnn_symbolic.errors import InputError, NumericalFailure
from rnn_symbolic.expressions import Quantity
from rnn_symbolic.matrix_valuation import random_matrix_point

NEAR = 1e-4
"""A relative error below this may be the precision of what was given."""


def catalogue_of(cases: Sequence[Case]) -> tuple[Mistake, ...]:
    """All mistakes that can be made in the network of the cases."""
    first = cases[0]
    if any(case.large for case in cases):
        return results(first.outputs, first.point.batch)
    return (
        *results(first.outputs, first.point.batch),
        *selections(max(case.steps for case in cases)),
        *table_mistakes(first.model, first.point.sizes),
        *(other.mistake for other in first.others),
    )


def inspect(
    cases: Sequence[Case], source: str, *, notes: tuple[Fact, ...] = (), asked: Asked | None = None, told: bool = True
) -> Audit:
    """The audit of gradients given at one or several points."""
    if not cases[0].goals:
        raise InputError("there is no gradient to audit; name parameters")
    large = any(case.large for case in cases)
    diagnosis = diagnose(cases, catalogue_of(cases), pairs=not large)
    if large and diagnosis.wrong:
        notes = (*notes, Fact("large"))
    usual = _usual(diagnosis, asked)
    small = SmallPoints(cases[0].model, cases[0].goals)
    findings = tuple(_finding(diagnosis, goal, usual.get(goal), asked, small) for goal in cases[0].goals)
    weights = [goal for goal in cases[0].goals if goal.step is None] or list(cases[0].goals)
    seen = [usual.get(goal) for goal in weights]  # nobody checks the gradient by an initial state that is 0
    passed = None if any(check is None for check in seen) else all(check is not None and check.passed for check in seen)
    notes = (*notes, *_loss_notes(cases))
    if asked is not None and diagnosis.wrong and own_loss_agrees(asked, cases[0]):
        notes = (*notes, Fact("own-loss-agrees"))
    hidden = hidden_kinds(cases) if not large and source == "gradients" and not diagnosis.wrong else ()
    return Audit(verdict_of(findings), findings, passed, cases[0].model, source, notes, told, hidden)


def hidden_kinds(cases: Sequence[Case]) -> tuple[str, ...]:
    """The kinds of which some mistake gives the right gradients at these points, but not at a lively one."""
    first = cases[0]
    model = replace(first.model, steps=max(3, *(case.steps for case in cases)))
    point = random_matrix_point(model, 0, first.point.sizes or None)
    goals = [goal for goal in first.goals if goal.step is None or goal.step <= 0]
    try:
        lively = Case(model, point, {goal: np.zeros(()) for goal in goals}, others=other_networks(model, point.sizes))
    except NumericalFailure:
        return ()
    catalogue = catalogue_of([lively])
    predictions = Predictions(catalogue)
    elsewhere, here = predictions.of(lively), [predictions.of(case) for case in cases]
    found = dict.fromkeys(
        mistake.kind
        for n, mistake in enumerate(catalogue, 1)
        if not _coincides(lively, elsewhere, goals, n)
        and all(_coincides(case, found_here, goals, n) for case, found_here in zip(cases, here, strict=True))
    )
    return tuple(found)


def _coincides(case: Case, predictions: Mapping[Quantity, Array], goals: Sequence[Quantity], n: int) -> bool:
    """Whether a mistake changes no goal by more than what was granted."""
    for goal in goals:
        size = max(float(np.abs(predictions[goal][n]).max(initial=0.0)), case.size(goal))
        unit = case.readings[goal][0].unit if case.readings[goal] else 0.0
        granted = case.relative * size + unit + case.slack[goal]
        if not np.all(np.abs(predictions[goal][n] - predictions[goal][0]) <= granted):
            return False
    return True


def _finding(
    diagnosis: Diagnosis, goal: Quantity, usual: UsualCheck | None, asked: Asked | None, small: SmallPoints
) -> Finding:
    cases = diagnosis.cases
    worst = max(cases, key=lambda case: case.distance(goal))
    first = cases[0]
    given, right = np.asarray(first.given[goal]), first.sweep.shaped(goal, first.right(goal))
    found = Finding(
        str(goal), "right", error=worst.distance(goal), points=len(cases), given=given, right=right, usual=usual
    )
    if goal in diagnosis.right:
        begins = _beginning(asked, goal, wrong_only=True)
        return replace(found, status="wrong", kind="unknown", facts=begins) if begins else found
    if goal in diagnosis.undecided:
        return replace(found, status="inconclusive", note="zero")
    explanation = diagnosis.explanation(goal)
    if explanation is not None:
        return replace(_explained(diagnosis, goal, explanation, found, small), facts=_beginning(asked, goal))
    if not all(case.readings[goal] for case in cases):
        shapes = (tuple(given.shape), tuple(right.shape))
        return replace(found, status="wrong", kind="unknown", note="shape", shapes=shapes)
    located = () if any(case.large for case in cases) else facts_about(cases, goal)
    facts = (*located, *_beginning(asked, goal))
    for note, holds in (("kink", at_kink(cases)), ("precision", worst.distance(goal) < NEAR)):
        if holds:
            return replace(found, status="inconclusive", note=note, facts=facts)
    note = "no-chance" if goal in diagnosis.by_chance else ""
    return replace(found, status="wrong", kind="unknown", note=note, facts=facts)


def _explained(
    diagnosis: Diagnosis, goal: Quantity, explanation: Explanation, found: Finding, small: SmallPoints
) -> Finding:
    first = diagnosis.cases[0]
    combination = explanation.combination
    parts = tuple(part_of(mistake, goal, first.model, first.others) for mistake in combination)
    kind = combination[0].kind if len(combination) == 1 else "several"
    if kind == "several" and len({mistake.kind for mistake in combination}) == 1:
        kind = combination[0].kind
    simple = [other[0] for other in explanation.same if len(other) == 1 and other[0].rank <= combination[0].rank]
    kinds = dict.fromkeys(mistake.kind for mistake in simple)
    same = tuple(name for name in kinds if len(combination) == 1 and name != kind)
    left = max(_left(case, goal, combination) for case in diagnosis.cases)
    instance = small.smallest(goal, combination)
    return replace(found, status="wrong", kind=kind, parts=parts, same=same, reproduced=left, instance=instance)


def _left(case: Case, goal: Quantity, combination: Combination) -> float:
    """What the named mistakes leave of the error, relative to the largest entry."""
    prediction = case.predict(goal, combination)
    size = float(np.abs(prediction).max(initial=0.0)) or 1.0
    return min((float(np.abs(r.entries - prediction).max()) / size for r in case.readings[goal]), default=1.0)


# --- the usual check ------------------------------------------------------------------------------------------------


def _usual(diagnosis: Diagnosis, asked: Asked | None) -> dict[Quantity, UsualCheck]:
    """What the usual check sees: of a function its own answer there, else what the mistakes would give."""
    goals = diagnosis.cases[0].goals
    if asked is not None and asked.usual is not None and not asked.usual[1].error:
        place, answer = asked.usual
        try:
            case = case_of(place, answer, None)
        except NumericalFailure:
            return {}
        return {g: usual_check(_read(case, g), case.sweep.shaped(g, case.right(g))) for g in goals if g in case.given}
    named: list[tuple[Quantity, Combination]] = [(goal, ()) for goal in diagnosis.right]
    for explanation in diagnosis.explanations:
        if not any(isinstance(mistake, LimitMistake) for mistake in explanation.combination):
            named += [(goal, explanation.combination) for goal in explanation.goals]
    case = diagnosis.cases[0]
    place = usual_point(case.model, 0, case.point.sizes or None, batch=case.point.batch)
    if asked is not None and any(note.code == "no-initial" for note in asked.notes):
        return {}
    found = {goal: check for goal, check in usual_checks(place, named) if check is not None}
    return {goal: found[goal] for goal in goals if goal in found}


def _read(case: Case, goal: Quantity) -> Array:
    """What was given, in the shape of the goal where that can be told."""
    array = np.asarray(case.given[goal])
    shape = case.sweep.shape(goal)
    return array.reshape(shape) if array.size == int(np.prod(shape, dtype=int)) and array.ndim < 2 else array


# --- where it begins ------------------------------------------------------------------------------------------------


def _beginning(asked: Asked | None, goal: Quantity, *, wrong_only: bool = False) -> tuple[Fact, ...]:
    """For how many steps a function is right: T = 1 has no lag but 0."""
    if asked is None:
        return ()
    for place, answer in sorted(asked.probes, key=lambda probe: probe[0].model.steps):
        if answer.error:
            return ()
        try:
            case = case_of(place, answer, None)
        except NumericalFailure:
            return ()
        if goal not in case.given or not case.decides(goal):
            return ()
        if not case.is_right(goal):
            T = place.model.steps
            if wrong_only:
                return (Fact("wrong-at-T", (T,)),)
            return (Fact("right-up-to-T", (T - 1,)),) if T > 1 else (Fact("first-wrong-T", (1,)),)
    return (Fact("right-up-to-T", (len(asked.probes),)),) if asked.probes and not wrong_only else ()


def _loss_notes(cases: Sequence[Case]) -> tuple[Fact, ...]:
    """Whether the loss that was returned is L: another one is another network, or another scale."""
    for case in cases:
        if case.loss is not None:
            ours = float(np.sum(case.sweep.values["L", None]))
            if abs(case.loss - ours) > max(case.relative, 1e-9) * max(abs(ours), abs(case.loss)):
                return (Fact("loss-differs", (case.loss, ours)),)
    return ()
