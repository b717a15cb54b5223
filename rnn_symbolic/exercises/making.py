"""An exercise from its seed, and the proof of its key."""

from __future__ import annotations

import json
import random
from fractions import Fraction

from rnn_symbolic.auditing.auditor import audit
from rnn_symbolic.auditing.formula_reader import read_formulas
from rnn_symbolic.derivation import derive_gradient
from rnn_symbolic.errors import InputError, suggest
from rnn_symbolic.exercises.blanks import make_blank
from rnn_symbolic.exercises.measuring import agree, differ, is_gradient, relative
from rnn_symbolic.exercises.numbers import (
    EXACT,
    decimal_text,
    gradients_json,
    make_numbers,
    point_of_given,
    values_json,
)
from rnn_symbolic.exercises.problems import Term
from rnn_symbolic.exercises.records import (
    KINDS,
    LEVELS,
    BlankExercise,
    Exercise,
    NumbersExercise,
    SpoiledExercise,
    WrongKey,
)
from rnn_symbolic.exercises.writing import blank_text
from rnn_symbolic.expressions import Derivative, Quantity, at_step, quantities
from rnn_symbolic.model import Model
from rnn_symbolic.numeric import FLOATS, complex_step, evaluate
from rnn_symbolic.table import Edge
from rnn_symbolic.valuation import Valuation

MAX_SEED = 10**18
NUMBERS_AGREE = 1e-9


def make_exercise(seed: int, kind: str = "blank", level: int = 1) -> Exercise:
    """The exercise of a seed: the same choices make the same sheet, on every machine.

    ``kind`` is "blank" (fill in), "spoiled" (find the wrong line) or "numbers" (compute), ``level`` 1, 2 or 3.

    >>> exercise = make_exercise(1, "blank")
    >>> exercise == make_exercise(1, "blank"), exercise.kind, exercise.model.cell.name
    (True, 'blank', 'd2l')

    Raises InputError for a kind or a level that there is not.
    """
    if kind not in KINDS:
        raise InputError(f"{kind!r} is not a kind of exercise: choose one of {', '.join(KINDS)}.{suggest(kind, KINDS)}")
    if level not in LEVELS:
        raise InputError(f"there is no level {level}: choose one of {', '.join(map(str, LEVELS))}")
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < MAX_SEED:
        raise InputError(f"the seed is {str(seed)[:40]!r}; it must be a whole number from 0 to 10^18 - 1")
    rng = random.Random(f"{kind}-{level}-{seed}")  # noqa: S311 - a text as seed is the same on every machine
    if kind == "numbers":
        return make_numbers(seed, level, rng)
    return make_blank(seed, level, rng) if kind == "blank" else make_spoiled_exercise(seed, level, rng)


def make_spoiled_exercise(seed: int, level: int, rng: random.Random) -> SpoiledExercise:
    """A derivation with one wrong line; the catalogue of mistakes is read only when one is asked for."""
    from rnn_symbolic.exercises.spoiling import make_spoiled

    return make_spoiled(seed, level, rng)


def verify_exercise(exercise: Exercise) -> None:
    """Prove the key of an exercise: by numbers at random points, and by the audit that the student will ask.

    Raises WrongKey where anything is not as the key says, and then nothing may be printed.
    """
    match exercise:
        case BlankExercise():
            _verify_blank(exercise)
        case SpoiledExercise():
            _verify_spoiled(exercise)
        case NumbersExercise():
            _verify_numbers(exercise)


def _require(condition: bool, what: str, exercise: Exercise) -> None:
    if not condition:
        raise WrongKey(f"the key of exercise {exercise.kind} {exercise.level} {exercise.seed} is wrong: {what}")


def _verify_answer(exercise: BlankExercise | SpoiledExercise) -> None:
    """The answer is the gradient: by the table, by complex steps, and by the audit."""
    text = "\n".join(exercise.answer)
    (formula,) = read_formulas(text, exercise.model)
    right = is_gradient(exercise.model, exercise.goal, formula.expression) and not formula.transposed
    _require(right, "its formula is not the gradient", exercise)
    verification = derive_gradient(
        exercise.model, exercise.goal, granularity=exercise.problem.granularity
    ).verify(symbolic=False)  # fmt: skip
    _require(verification.passed, "a line of its derivation is wrong", exercise)
    _require(audit(exercise.model, formula=text).verdict == "correct", "the audit refuses its formula", exercise)


def _verify_blank(exercise: BlankExercise) -> None:
    _verify_answer(exercise)
    filled = "\n".join(exercise.formula)
    for blank in exercise.blanks:
        mark = blank_text(blank.number)
        _require(filled.count(mark) == 1, f"blank {blank.number} does not stand in its formula", exercise)
        filled = filled.replace(mark, blank.text)
    (found,) = read_formulas(filled, exercise.model)
    (right,) = read_formulas("\n".join(exercise.answer), exercise.model)
    same = found.expression == right.expression or agree(exercise.model, found.expression, right.expression)
    _require(same, "the blanks filled in do not give its formula", exercise)


def _verify_spoiled(exercise: SpoiledExercise) -> None:
    _verify_answer(exercise)
    model = exercise.model
    (wrong,) = read_formulas("\n".join(exercise.formula), model)
    (right,) = read_formulas("\n".join(exercise.answer), model)
    _require(differ(model, wrong.expression, right.expression), "the spoiled formula is right", exercise)
    _require(wrong_lines(exercise) == [exercise.place], "another line is wrong than it says", exercise)


def wrong_lines(exercise: SpoiledExercise) -> list[int]:
    """The lines that are wrong, by their numbers: rows against complex steps, terms against those of the derivation.

    For a path that is missing, the number of the term before which it belongs. In matrix form a row that is not the
    model's own counts as wrong. Terms are not looked at where a row is wrong: they follow from it.
    """
    found = [i for i, row in enumerate(exercise.rows, 1) if not _row_is_right(exercise, row)]
    if found:
        return found
    expected = exercise.right_terms
    given = {term.route: term for term in exercise.terms}
    first = len(exercise.rows) + 1
    for i, term in enumerate(expected):
        theirs = given.get(term.route)
        if theirs is None or not _same(exercise, theirs, term):
            found.append(first + i)
    return found


def _same(exercise: SpoiledExercise, one: Term, other: Term) -> bool:
    return one.factors == other.factors or agree(exercise.model, one.expression, other.expression)


def _row_is_right(exercise: SpoiledExercise, row: Edge) -> bool:
    """∂⁺head/∂tail as the equation of head gives it, by a complex step; in matrix form as the table has it."""
    model = exercise.model
    if model.form == "matrix":
        return any(row == own for own in model.table)
    from rnn_symbolic.valuation import stand_in_valuation

    valuation = stand_in_valuation(model, exercise.level)
    name = Derivative(row.head, row.tail, immediate=True)
    steps = [t for t in range(1, model.steps + 1) if all(_exists(model, q.at(t)) for q in quantities(row.value))]
    return all(
        relative(valuation.of(at_step(name, t)), valuation.of(at_step(row.value, t))) < NUMBERS_AGREE for t in steps
    )


def _exists(model: Model, quantity: Quantity) -> bool:
    """Whether a quantity has a value: a_{t−2} has none at step 1."""
    return quantity.step is None or quantity.step > 0 or quantity in model.initial_states


def _verify_numbers(exercise: NumbersExercise) -> None:
    """The gradients by complex steps, by the sum of the paths, and by the audit of the file."""
    model = exercise.model
    arithmetic = EXACT if exercise.exact else FLOATS
    at = Valuation(model, point_of_given(model, exercise.given, False))
    for goal, gradient in exercise.gradients.items():
        pairs = exercise.terms[goal]
        again = sum((evaluate(term.expression, exercise.values, arithmetic) for term, _ in pairs), Fraction(0))
        _require(again == gradient, f"the paths to {goal} do not add up", exercise)
        by_step = complex_step(model, at.point, _key(goal))
        for number in (by_step, at.gradient(goal).value):
            _require(relative(float(gradient), number) < NUMBERS_AGREE, f"the gradient by {goal} is wrong", exercise)
        if exercise.exact:
            _require(Fraction(decimal_text(gradient, True)) == gradient, f"{goal} is no decimal", exercise)
    files = [json.loads("\n".join(lines)) for lines in (gradients_json(exercise), values_json(exercise))]
    verdict = audit(model, gradients=files[0], values=files[1]).verdict
    _require(verdict == "correct", f"the audit calls its numbers {verdict}", exercise)


def _key(quantity: Quantity) -> tuple[str, int | None]:
    return quantity.name, quantity.step
