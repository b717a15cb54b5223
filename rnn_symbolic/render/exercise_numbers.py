"""An example in numbers: what is given, and the solution step by step."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Any

from rnn_symbolic.exercises.numbers import (
    DIGITS,
    EXACT,
    decimal_text,
    empty_json,
    gradients_json,
    values_json,
)
from rnn_symbolic.exercises.problems import Term
from rnn_symbolic.exercises.records import NumbersExercise
from rnn_symbolic.expressions import (
    MINUS_ONE,
    Add,
    Apply,
    Call,
    Derivative,
    Expression,
    Multiply,
    Number,
    Power,
    Quantity,
)
from rnn_symbolic.numeric import FLOATS, evaluate
from rnn_symbolic.printing import latex, latex_function, latex_quantity
from rnn_symbolic.render.document import Block, Box, Display, Heading, Listing, Paragraph, Row
from rnn_symbolic.render.exercise_prose import say
from rnn_symbolic.render.formulas import arrows

DOT = r" \cdot "
LONGEST = 10
"""So many fractions stand on one line, and half as many decimals."""


def numbers_sheet(exercise: NumbersExercise, language: str, command: tuple[str, ...]) -> list[Block]:
    """What is given and what is asked."""
    model = exercise.model
    named = [equation.target for equation in model.definitions if equation.target.name != "l"]
    task = say(
        language,
        "numbers-about",
        forward=", ".join(f"${latex(q)}$" for q in named),
        goals=", ".join(f"${latex_quantity(goal)}$" for goal in exercise.goals),
    )
    task += (" " if language == "en" else "") + say(language, "numbers-exact" if exercise.exact else "numbers-rounded")
    return [
        Heading(say(language, "given")),
        Display(tuple(_given(exercise))),
        Heading(say(language, "task")),
        Paragraph(task),
        Heading(say(language, "answer")),
        Paragraph(say(language, "values-file")),
        Listing(values_json(exercise)),
        Paragraph(say(language, "numbers-file")),
        Listing(empty_json(exercise)),
        Paragraph(say(language, "numbers-check")),
        Listing(command),
    ]


def numbers_key(exercise: NumbersExercise, language: str) -> list[Block]:
    """The solution: forward pass, local derivatives, path by path, the sums."""
    rounded = [] if exercise.exact else [Paragraph(say(language, "key-rounded"))]
    return [
        Heading(say(language, "forward")),
        *rounded,
        Display(tuple(_forward(exercise))),
        Heading(say(language, "slopes")),
        Display(tuple(Row(latex(slope), (_worth(exercise, value),)) for slope, value in exercise.slopes)),
        *(block for goal in exercise.goals for block in _gradient(exercise, goal, language)),
        Heading(say(language, "answer")),
        Paragraph(say(language, "gradients-file")),
        Listing(gradients_json(exercise)),
        Box(say(language, "checked"), tuple(_checked(exercise, language))),
    ]


def numbers_json(exercise: NumbersExercise) -> tuple[dict[str, Any], dict[str, Any]]:
    """What is given, and the answers with the way to them."""
    model = exercise.model
    forward = {
        f"{equation.target.name}_{t}": _json(exercise, exercise.values[equation.target.name, t])
        for t in range(1, model.steps + 1)
        for equation in model.definitions
        if equation.target.name != "l" or t in model.loss_steps
    }
    paths = {
        str(goal): [
            {"route": [str(node) for node in term.route], "value": _json(exercise, value)}
            for term, value in exercise.terms[goal]
        ]
        for goal in exercise.goals
    }
    answers = {"forward": forward, "loss": _json(exercise, exercise.values["L", None]), "paths": paths}
    answers["gradients"] = json.loads("\n".join(gradients_json(exercise)))
    return {"values": json.loads("\n".join(values_json(exercise)))}, answers


def _json(exercise: NumbersExercise, value: Any) -> float:
    number: float = json.loads(decimal_text(value, exercise.exact))
    return number


def _given(exercise: NumbersExercise) -> Iterator[Row]:
    """Weights on one line, states, inputs and targets on one each."""
    given = exercise.given
    yield from _tuples(exercise, [key for key in given if key[1] is None])
    for name in dict.fromkeys(name for name, step in given if step is not None):
        yield from _tuples(exercise, [key for key in given if key[0] == name and key[1] is not None])


def _tuples(exercise: NumbersExercise, keys: list[tuple[str, int | None]], most: int = 7) -> Iterator[Row]:
    for start in range(0, len(keys), most):
        part = keys[start : start + most]
        left = ",\\; ".join(latex_quantity(Quantity(*key)) for key in part)
        right = ",\\; ".join(_worth(exercise, exercise.given[key]) for key in part)
        yield Row(f"({left})" if len(part) > 1 else left, (f"({right})" if len(part) > 1 else right,))


def _forward(exercise: NumbersExercise) -> Iterator[Row]:
    """Every equation of every step: the formula, the numbers in it, the value."""
    unread = {Quantity("l", t) for t in range(1, exercise.model.steps + 1) if t not in exercise.model.loss_steps}
    for equation in exercise.model.equations:
        if equation.target in unread:
            continue
        inserted = _inserted(exercise, equation.expression)
        value = _worth(exercise, exercise.values[equation.target.name, equation.target.step])
        pieces = [latex(equation.expression)]
        pieces += [f"= {inserted}"] if inserted != value else []
        margin = ""
        if equation.target.name == exercise.model.definitions[0].target.name:
            margin = f"t = {equation.target.step}"
        yield Row(latex(equation.target), (*pieces, f"= {value}"), margin)


def _gradient(exercise: NumbersExercise, goal: Quantity, language: str) -> list[Block]:
    name = latex(Derivative(Quantity("L"), goal))
    pairs = exercise.terms[goal]
    rows = [_path_row(exercise, term, value) for term, value in pairs]
    added = [_worth(exercise, value) for _, value in pairs]
    total = " ".join(f"- {a[1:]}" if a.startswith("-") and i else f"+ {a}" if i else a for i, a in enumerate(added))
    result = _worth(exercise, exercise.gradients[goal])
    pieces = (total, f"= {result}") if len(added) > 1 else (result,)
    symbol = f"${latex_quantity(goal)}$"
    return [
        Heading(say(language, "gradient-of", goal=symbol)),
        Paragraph(say(language, "gradient-about", goal=symbol)),
        Display(tuple(rows)),
        Display((Row(name, pieces),)),
    ]


def _path_row(exercise: NumbersExercise, term: Term, value: Any) -> Row:
    arithmetic = EXACT if exercise.exact else FLOATS
    factors = [
        exercise.given.get((factor.name, factor.step), exercise.values[factor.name, factor.step])
        if isinstance(factor, Quantity)
        else evaluate(factor, exercise.values, arithmetic)
        for factor in term.factors
    ]
    numbers = [_signed(exercise, factor, first=i == 0) for i, factor in enumerate(factors)]
    most = LONGEST if exercise.exact else LONGEST // 2
    products = [DOT.join(numbers[i : i + most]) for i in range(0, len(numbers), most)]
    inserted = [f"= {products[0]}", *(rf"\cdot {product}" for product in products[1:])] if len(numbers) > 1 else []
    pieces = (latex(term.expression), *inserted, f"= {_worth(exercise, value)}")
    return Row("", pieces, margin=arrows(term.route), relation="")


def _checked(exercise: NumbersExercise, language: str) -> Iterable[str]:
    keys = ("checked-numbers", *(("checked-exact",) if exercise.exact else ()), "checked-audit")
    return (say(language, key) for key in keys)


# --- numbers in formulas ----------------------------------------------------------------------------------------------


def _worth(exercise: NumbersExercise, value: Any) -> str:
    """A value as it is shown: a fraction, or so many decimals; what is given keeps its own."""
    if exercise.exact:
        return latex(Number(Fraction(value)))
    if isinstance(value, Fraction):
        return decimal_text(value, True)
    shown = f"{float(value):.{DIGITS}f}"
    return shown.removeprefix("-") if float(shown) == 0 else shown


def _signed(exercise: NumbersExercise, value: Any, *, first: bool) -> str:
    """A factor of a product, in parentheses where it has a sign."""
    shown = _worth(exercise, value)
    return f"({shown})" if shown.startswith("-") and not first else shown


def _inserted(exercise: NumbersExercise, expression: Expression) -> str:
    """The formula with numbers in the place of its names."""
    match expression:
        case Quantity(name, step):
            value = exercise.given.get((name, step), exercise.values[name, step])
            return _worth(exercise, value)
        case Number():
            return latex(expression)
        case Add(terms):
            first, *rest = (_inserted(exercise, term) for term in terms)
            return first + "".join(f" - {t[1:]}" if t.startswith("-") else f" + {t}" for t in rest)
        case Multiply(factors):
            sign = "-" if factors[0] == MINUS_ONE and len(factors) > 1 else ""
            shown = _factors(exercise, factors[1:] if sign else factors)
            return f"-({shown})" if sign and shown.startswith("-") else sign + shown
        case Apply(left, right):
            return _factors(exercise, (left, right))
        case Power(base, exponent):
            inner = _inserted(exercise, base)
            return rf"({inner})^{{{exponent}}}"
        case Call(function, argument, order):
            return f"{latex_function(function, order)}({_inserted(exercise, argument)})"
    raise TypeError(type(expression).__name__)


def _factors(exercise: NumbersExercise, factors: Iterable[Expression]) -> str:
    pieces: list[str] = []
    for factor in factors:
        shown = _inserted(exercise, factor)
        bare = not isinstance(factor, Add) and not (shown.startswith("-") and pieces)
        pieces.append(shown if bare else f"({shown})")
    return DOT.join(pieces)
