r"""An example in numbers: a small network whose forward pass and gradients can be computed by hand.

Without activation, or with relu, all numbers are fractions whose denominators are powers of two: they are exact, and
exact as decimals as well. With tanh or logistic they are floats.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from fractions import Fraction
from itertools import count

from rnn_symbolic.exercises.problems import Problem, Term, derive_terms
from rnn_symbolic.exercises.records import NumbersExercise
from rnn_symbolic.expressions import Expression, Quantity
from rnn_symbolic.frozen import frozen
from rnn_symbolic.model import Model, unroll
from rnn_symbolic.numeric import FLOATS, Arithmetic, Key, Point, Values, evaluate, forward

DIGITS = 6
"""Decimals shown of a number that is not exact."""
EXACT = Arithmetic(
    lambda number: number,
    {
        ("relu", 0): lambda z: max(z, Fraction(0)),
        ("relu", 1): lambda z: Fraction(int(z > 0)),
        ("identity", 0): lambda z: z,
    },
)
"""Fractions; there is no other function that gives one."""
Number = Fraction | float


@frozen
class _Numbers:
    """A problem with functions, and how many of its parameters are asked for."""

    problem: Problem
    activation: str = "sigma"
    asked: int = 9


def _numbers(cell: str, steps: int, goals: str, losses: str, activation: str = "sigma", asked: int = 9) -> _Numbers:
    gated = cell in ("gru", "mgu", "lstm")
    problem = Problem(cell, steps, tuple(goals.split()), losses, "scalar", "node" if gated else "state")
    return _Numbers(problem, activation, asked)


NUMBERS: dict[int, tuple[_Numbers, ...]] = {
    1: (
        _numbers("linear", 2, "W_x W_h W_y b_h b_y h_0", "all", asked=4),
        _numbers("linear", 3, "W_x W_h W_y b_h h_0", "last", asked=3),
        _numbers("d2l", 2, "W_x W_h W_y h_0", "all", asked=3),
        _numbers("d2l", 3, "W_x W_h W_y h_0", "last", asked=3),
    ),
    2: (
        _numbers("elman", 3, "W_x W_h W_y b_h h_0", "all", "relu", 3),
        _numbers("elman", 3, "W_x W_h W_y b_h b_y h_0", "last", "relu", 4),
        _numbers("residual", 2, "W_x W_h W_y b_h", "all", "relu", 3),
        _numbers("lag2", 3, "W_x W_h V_h h_0", "last", "relu", 3),
        _numbers("two-layer", 2, "W_x W_h U_s W_s", "all", "relu", 3),
        _numbers("d2l", 3, "W_x W_h W_y h_0", "all", asked=3),
    ),
    3: (
        _numbers("elman", 2, "W_x W_h W_y b_h b_y h_0", "all", "tanh", 4),
        _numbers("elman", 3, "W_x W_h W_y h_0", "last", "logistic", 3),
        _numbers("residual", 2, "W_x W_h W_y b_h", "all", "tanh", 3),
        _numbers("lag2", 3, "W_x W_h V_h", "last", "tanh", 2),
        _numbers("gru", 2, "U_z W_n W_z U_r W_r b_n", "last", "identity", 2),
        _numbers("mgu", 2, "U_n W_n b_n W_y", "last", "identity", 2),
        _numbers("lstm", 2, "U_f W_f U_i W_g U_o", "last", "identity", 2),
    ),
}
"""By level: linear networks; rectified ones, and more steps; tanh, logistic and gates."""
WEIGHTS = tuple(Fraction(n, 2) for n in (-4, -3, -2, -1, 1, 2, 3, 4))
INPUTS = tuple(map(Fraction, (-3, -2, -1, 1, 2, 3)))
TARGETS = tuple(map(Fraction, (-2, -1, 0, 1, 2)))
TENTHS = tuple(Fraction(n, 10) for n in range(-12, 13) if abs(n) > 2)


def make_numbers(seed: int, level: int, rng: random.Random) -> NumbersExercise:
    """An example in numbers, drawn from ``rng``."""
    chosen = rng.choice(NUMBERS[level])
    problem = chosen.problem
    exact = level < 3
    output = chosen.activation if chosen.activation in ("sigma", "logistic") else "identity"
    hidden = "identity" if chosen.activation == "sigma" else chosen.activation
    model = unroll(
        problem.cell,
        steps=problem.steps,
        losses=problem.losses,
        loss="squared",
        activation=hidden,
        output_activation="identity" if output == "sigma" else output,
    )
    names = sorted(rng.sample(problem.goals, min(chosen.asked, len(problem.goals))), key=problem.goals.index)
    goals = tuple(map(model.resolve, names))
    terms = {goal: derive_terms(model, goal, problem.granularity)[1] for goal in goals}
    for attempt in count():
        given = _draw(model, rng, exact)
        values, patience = _forward(model, given, exact), 1 + attempt // 400
        if not _is_lively(model, values, exact) or not _is_short(_named(model, values), exact, patience):
            continue
        worth = {
            goal: tuple((term, evaluate(term.expression, values, _arithmetic(exact))) for term in found)
            for goal, found in terms.items()
        }
        gradients = {goal: sum((value for _, value in pairs), Fraction(0)) for goal, pairs in worth.items()}
        several = all(sum(value != 0 for _, value in pairs) > 1 for pairs in worth.values() if len(pairs) > 1)
        smallest = Fraction(0) if exact else Fraction(1, 250)
        if several and min(map(abs, gradients.values())) > smallest and _is_short(gradients.values(), exact, patience):
            break
    slopes = tuple((slope, evaluate(slope, values, _arithmetic(exact))) for slope in _slopes(terms))
    return NumbersExercise(
        seed, level, problem, model, goals, given=given, values=values, slopes=slopes, terms=worth,
        gradients=gradients, exact=exact,
    )  # fmt: skip


def _arithmetic(exact: bool) -> Arithmetic:
    return EXACT if exact else FLOATS


def _draw(model: Model, rng: random.Random, exact: bool) -> dict[Key, Fraction]:
    """Numbers for the leaves: weights, initial states, inputs and targets, in this order."""
    weights, inputs, targets = (WEIGHTS, INPUTS, TARGETS) if exact else (TENTHS, TENTHS, TENTHS)
    found: dict[Key, Fraction] = {(q.name, None): rng.choice(weights) for q in model.parameters}
    found |= {(q.name, q.step): rng.choice(weights) for q in model.initial_states}
    steps = range(1, model.steps + 1)
    found |= {("x", t): rng.choice(inputs) for t in steps}
    return found | {("d", t): rng.choice(targets) for t in steps if t in model.loss_steps or not exact}


def point_of_given(model: Model, given: Mapping[Key, Fraction], exact: bool) -> Point:
    """The numbers given as a point; a target that no loss reads is 0."""

    def number(value: Fraction) -> Number:
        return value if exact else float(value)

    steps = range(1, model.steps + 1)
    parameters = {name: number(value) for (name, step), value in given.items() if step is None}
    initial = {(q.name, q.step): number(given[q.name, q.step]) for q in model.initial_states}
    x = tuple(number(given["x", t]) for t in steps)
    d = tuple(number(given.get(("d", t), Fraction(0))) for t in steps)
    return Point(parameters, initial, x, d)  # type: ignore[arg-type]  # fractions where they are exact


def _forward(model: Model, given: Mapping[Key, Fraction], exact: bool) -> Values:
    return forward(model, point_of_given(model, given, exact), _arithmetic(exact))


def _slopes(terms: Mapping[Quantity, tuple[Term, ...]]) -> Iterator[Expression]:
    """The local derivatives along the paths that have no name, by step, each once."""
    found = {f: None for of_goal in terms.values() for term in of_goal for f in term.factors if not _is_name(f)}
    return iter(found)


def _is_name(factor: Expression) -> bool:
    return isinstance(factor, Quantity)


def _named(model: Model, values: Values) -> list[Number]:
    return [values[name, t] for name in model.named for t in range(1, model.steps + 1)]


def _is_lively(model: Model, values: Values, exact: bool) -> bool:
    """Whether nothing hides: no error of an output is 0, no relu stands at its kink."""
    errors = [abs(values["y", t] - values["d", t]) for t in model.loss_steps]
    if min(errors) <= (Fraction(0) if exact else Fraction(1, 250)):
        return False
    arguments = [name for name in ("a", "e") if name in model.named]
    kinks = [values[name, t] for name in arguments for t in range(1, model.steps + 1)]
    return model.activation != "relu" or 0 not in kinks


def _is_short(numbers: Iterable[Number], exact: bool, patience: int) -> bool:
    """Whether fractions can be computed with by hand; the longer none is found, the longer they may be."""
    fractions = [Fraction(number) for number in numbers] if exact else []
    return all(abs(number) <= 60 * patience and number.denominator <= 8 * patience for number in fractions)


def decimal_text(value: Number, exact: bool) -> str:
    """A number as JSON has it: a fraction as the decimal it is, a float rounded.

    >>> decimal_text(Fraction(-3, 8), True), decimal_text(Fraction(4), True), decimal_text(0.1234567, False)
    ('-0.375', '4', '0.123457')
    """
    if not exact:
        return f"{float(value):.{DIGITS}f}"
    fraction = Fraction(value)
    decimal = Decimal(fraction.numerator) / Decimal(fraction.denominator)
    assert Fraction(decimal) == fraction, fraction
    return format(decimal, "f")


def values_json(exercise: NumbersExercise) -> tuple[str, ...]:
    """What is given as a file of values, line by line."""
    model, given = exercise.model, exercise.given
    steps = range(1, model.steps + 1)

    def series(name: str) -> str:
        return f'"{name}": [{", ".join(decimal_text(given.get((name, t), Fraction(0)), True) for t in steps)}]'

    leaves = [*model.parameters, *model.initial_states]
    singles = [f'"{q}": {decimal_text(given[q.name, q.step], True)}' for q in leaves]
    return _object([*_by_line(singles), series("x"), series("d")])


def gradients_json(exercise: NumbersExercise) -> tuple[str, ...]:
    """The gradients as a file of gradients, line by line."""
    pairs = exercise.gradients.items()
    return _object([f'"{goal}": {decimal_text(value, exercise.exact)}' for goal, value in pairs])


def empty_json(exercise: NumbersExercise) -> tuple[str, ...]:
    """The same without the numbers, to be filled in."""
    return _object([f'"{goal}": …' for goal in exercise.gradients])


def _by_line(entries: list[str], room: int = 70) -> list[str]:
    """Short entries beside each other."""
    lines: list[str] = []
    for entry in entries:
        if lines and len(lines[-1]) + len(entry) < room:
            lines[-1] += f", {entry}"
        else:
            lines.append(entry)
    return lines


def _object(lines: list[str]) -> tuple[str, ...]:
    return ("{", *(f"  {line}{',' if i < len(lines) - 1 else ''}" for i, line in enumerate(lines)), "}")
