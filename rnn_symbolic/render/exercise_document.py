"""Exercises as documents: the sheet for the student, the key for the teacher, and both as JSON."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from rnn_symbolic.exercises.records import BlankExercise, Exercise, NumbersExercise, SpoiledExercise
from rnn_symbolic.exercises.spoiling import used_rows
from rnn_symbolic.expressions import Derivative, Expression, Quantity
from rnn_symbolic.forms import Written, total
from rnn_symbolic.model import Model
from rnn_symbolic.printing import latex, latex_quantity
from rnn_symbolic.render.conventions import conventions
from rnn_symbolic.render.document import Block, Box, Display, Document, Heading, Listing, Paragraph, Row
from rnn_symbolic.render.exercise_numbers import numbers_key, numbers_sheet
from rnn_symbolic.render.exercise_prose import say
from rnn_symbolic.render.formulas import arrows, form_pieces
from rnn_symbolic.render.prose import prose
from rnn_symbolic.sections import Plan
from rnn_symbolic.table import Edge

__all__ = ["audit_command", "exercise_document", "exercise_json"]

_BLANK = re.compile(r"\\mathrm\{\?(\d+)\}|\?(\d+)")


def exercise_document(exercise: Exercise, language: str = "en", *, key: bool = False) -> Document:
    """The sheet of an exercise, or its key."""
    blocks: list[Block]
    match exercise:
        case BlankExercise():
            blocks = _blank_key(exercise, language) if key else _blank_sheet(exercise, language)
        case SpoiledExercise():
            blocks = _spoiled_key(exercise, language) if key else _spoiled_sheet(exercise, language)
        case NumbersExercise():
            blocks = numbers_key(exercise, language) if key else _numbers_sheet(exercise, language)
        case _:
            raise TypeError(f"{type(exercise).__name__} is no kind of exercise")
    kind = f"{'key' if key else 'title'}-{exercise.kind}"
    return Document(say(language, kind, seed=exercise.seed, level=exercise.level), tuple(blocks), language)


def audit_command(exercise: Exercise) -> str:
    """The command line that checks an answer, with the options that make this network."""
    model = exercise.model
    words = ["rnn-symbolic audit --cell", model.cell.name]
    if isinstance(exercise, NumbersExercise):  # T is the length of x there
        if "sigma" in model.cell.text:
            if model.activation != "identity" or model.output_activation == "identity":
                words.append(f"--activation {model.activation}")
            if model.output_activation != model.activation:
                words.append(f"--output-activation {model.output_activation}")
        files = "--values values.json --gradients answer.json"
    else:
        words.append(f"--steps {model.steps}")
        files = "--formula answer.txt"
    words += [f"--losses {model.losses}"] if model.losses != "all" else []
    words += ["--form matrix"] if model.form == "matrix" else []
    return " ".join([*words, files])


# --- what all sheets have ---------------------------------------------------------------------------------------------


def _math(quantity: Quantity) -> str:
    return f"${latex_quantity(quantity)}$"


def _conventions(exercise: Exercise, language: str) -> Box:
    model = exercise.model
    plan = Plan(model, exercise.problem.granularity, "gradient" if model.form == "matrix" else "", whole=True)
    words = prose(language)
    items = (item for item in conventions(plan, words, "gradient") if item != words.say("lag"))  # not spoken of here
    return Box(say(language, "conventions"), tuple(items))


def _network(model: Model, language: str) -> list[Block]:
    """The equations at a generic step, and L."""
    rows = [Row(latex(e.target), (latex(e.expression),)) for e in model.definitions]
    rows[0] = Row(rows[0].left, rows[0].right, margin=rf"t = 1, \dots, {model.steps}")
    rows.append(Row("L", form_pieces(Written(model.total.expression))))
    about = say(language, "network-about", cell=model.cell.name, T=model.steps)
    return [Heading(say(language, "network")), Paragraph(about), Display(tuple(rows))]


def _drawn(expression: Expression) -> str:
    r"""The LaTeX of an expression, its blanks as boxes with their numbers."""
    return _BLANK.sub(lambda m: rf"\boxed{{\_\_{m[1] or m[2]}\_\_}}", latex(expression))


def _row_name(row: Edge, model: Model) -> Derivative:
    return Derivative(row.head, row.tail, immediate=True, stacked=model.is_matrix(row.tail))


def _left(exercise: Exercise) -> str:
    return latex(total(exercise.goal, "gradient" if exercise.model.form == "matrix" else "").expression)


def _files(command: str, about: str, formula: Sequence[str], check: str, language: str) -> list[Block]:
    return [
        Heading(say(language, "answer")),
        Paragraph(about),
        Listing(tuple(formula)),
        Paragraph(check),
        Listing(_broken(command)),
    ]


def _broken(command: str) -> tuple[str, ...]:
    r"""A command that is long goes on in a second line, behind a \."""
    lines: list[str] = []
    while len(command) > 76:
        at = command.rfind(" --", 0, 74)
        lines.append(f"{command[:at]} \\")
        command = f"    {command[at + 1 :]}"
    return (*lines, command)


def _summed(left: str, terms: Iterable[str], margins: Iterable[str]) -> Display:
    """A sum, a term a line, each with its path."""
    rows = []
    for i, (term, margin) in enumerate(zip(terms, margins, strict=True)):
        sign = "" if i == 0 else "- " if term.startswith("-") else "+ "
        rows.append(
            Row("" if i else left, (sign + (term[1:] if sign == "- " else term),), margin, relation="" if i else "=")
        )
    return Display(tuple(rows))


# --- blanks -----------------------------------------------------------------------------------------------------------


def _blank_sheet(exercise: BlankExercise, language: str) -> list[Block]:
    model, goal = exercise.model, exercise.goal
    blocks: list[Block] = [_conventions(exercise, language), *_network(model, language)]
    if exercise.level == 1:
        rows = tuple(Row(latex(_row_name(row, model)), (latex(row.value),)) for row in used_rows(model, goal))
        about = say(language, "table-about", goal=_math(goal))
        blocks += [Heading(say(language, "table")), Paragraph(about), Display(rows)]
    about = say(language, "blank-about", goal=_math(goal), count=len(exercise.blanks))
    if model.form == "matrix":
        about += say(language, "blank-about-transposed", goal=_math(goal))
    hidden = [exercise.level == 3 and term.factors != whole.factors and len(term.factors) == 1
              for term, whole in zip(exercise.shown, exercise.terms, strict=True)]  # fmt: skip
    unknown = rf"\text{{{say(language, 'hidden')}}}"
    margins = [unknown if hide else arrows(term.route) for hide, term in zip(hidden, exercise.shown, strict=True)]
    blocks += [Heading(say(language, "sum")), Paragraph(about)]
    blocks.append(_summed(_left(exercise), (_drawn(term.expression) for term in exercise.shown), margins))
    how = say(language, f"blank-file{'-matrix' if model.form == 'matrix' else ''}")
    return [*blocks, *_files(audit_command(exercise), how, exercise.formula, say(language, "check"), language)]


def _blank_key(exercise: BlankExercise, language: str) -> list[Block]:
    routes = {
        blank.number: arrows(term.route)
        for blank in exercise.blanks
        for term, line in zip(exercise.terms, exercise.shown, strict=True)
        if f"?{blank.number}" in _marks(line.expression)
    }
    rows = tuple(
        Row(_drawn(Quantity(f"?{blank.number}")), (latex(blank.answer),), margin=routes[blank.number])
        for blank in exercise.blanks
    )
    whole = _summed(
        _left(exercise),
        (latex(term.expression) for term in exercise.terms),
        (arrows(term.route) for term in exercise.terms),
    )
    return [
        Heading(say(language, "blanks")),
        Paragraph(say(language, "blanks-about")),
        Display(rows),
        Paragraph(say(language, "whole")),
        whole,
        *_answer_file(exercise, language, "checked-blanks"),
    ]


def _marks(expression: Expression) -> set[str]:
    return {match[0].strip("\\mathr{}") for match in _BLANK.finditer(latex(expression))}


def _answer_file(exercise: BlankExercise | SpoiledExercise, language: str, own: str) -> list[Block]:
    checked = ("checked-formula", own, "checked-audit")
    return [
        Heading(say(language, "answer")),
        Paragraph(say(language, "formula-file")),
        Listing(exercise.answer),
        Listing(_broken(audit_command(exercise))),
        Box(say(language, "checked"), tuple(say(language, key) for key in checked)),
    ]


# --- one wrong line ---------------------------------------------------------------------------------------------------


def _spoiled_sheet(exercise: SpoiledExercise, language: str) -> list[Block]:
    model, goal = exercise.model, exercise.goal
    left = _left(exercise)
    about = "spoiled-about-terms" if exercise.level == 1 else "spoiled-about"
    task = say(language, about, derivative=f"${left}$", goal=_math(goal))
    table = say(language, "table-about", goal=_math(goal))
    matrix = model.form == "matrix"
    terms = say(language, "terms-about-matrix", goal=_math(goal)) if matrix else say(language, "terms-about")
    first = len(exercise.rows) + 1
    numbers = range(first, first + len(exercise.terms))
    rows = [
        Row(latex(_row_name(row, model)), (latex(row.value),), margin=f"({i})")
        for i, row in enumerate(exercise.rows, 1)
    ]
    lines = [
        Row("", (latex(term.expression),), margin=rf"({i})\quad {arrows(term.route)}", relation="")
        for i, term in zip(numbers, exercise.terms, strict=True)
    ]
    added = tuple(f"{'+ ' if i > first else ''}({i})" for i in numbers)
    return [
        _conventions(exercise, language),
        *_network(model, language),
        Heading(say(language, "task")),
        Paragraph(task),
        Heading(say(language, "table")),
        Paragraph(table),
        Display(tuple(rows)),
        Heading(say(language, "terms")),
        Paragraph(terms),
        Display(tuple(lines)),
        Heading(say(language, "sum")),
        Display((Row(left, added),)),
        *_files(
            audit_command(exercise), say(language, "spoiled-file"), exercise.formula,
            say(language, "spoiled-check"), language,
        ),
    ]  # fmt: skip


def _spoiled_key(exercise: SpoiledExercise, language: str) -> list[Block]:
    model = exercise.model
    line = exercise.place
    if exercise.where == "row":
        name = latex(_row_name(exercise.rows[line - 1], model))
        where = say(language, "where-row", line=line, name=f"${name}$")
    else:
        route = f"${arrows(exercise.right_terms[line - 1 - len(exercise.rows)].route)}$"
        last = line - len(exercise.rows) > len(exercise.terms)
        which = "where-missing-last" if exercise.where == "missing" and last else f"where-{exercise.where}"
        name = ""
        values = {"route": route} if which == "where-missing-last" else {"route": route, "line": line}
        where = say(language, which, **values)
    reason = {"term": "sign-term", "path": "missing-path"}.get(exercise.code, exercise.code)
    why = say(language, reason, goal=_math(exercise.goal)) if reason == "missing-path" else say(language, reason)
    rows = [Row(name, (latex(exercise.right),), note=say(language, "right"), relation="=" if name else "")]
    if exercise.wrong is not None:
        note = say(language, "on-sheet")
        rows.insert(0, Row(name, (latex(exercise.wrong),), note=note, relation=r"\ne" if name else ""))
    blocks: list[Block] = [Paragraph(f"{where} {why}" if language == "en" else where + why), Display(tuple(rows))]
    if exercise.followers:
        lines = ", ".join(f"({number})" for number in exercise.followers)
        blocks.append(Paragraph(say(language, "followers", lines=lines)))
    blocks.append(Paragraph(say(language, "kind", kind=exercise.mistake)))
    return [*blocks, *_answer_file(exercise, language, "checked-spoiled")]


# --- numbers ----------------------------------------------------------------------------------------------------------


def _numbers_sheet(exercise: NumbersExercise, language: str) -> list[Block]:
    start = [_conventions(exercise, language), *_network(exercise.model, language)]
    return [*start, *numbers_sheet(exercise, language, _broken(audit_command(exercise)))]


# --- JSON -------------------------------------------------------------------------------------------------------------


def exercise_json(exercise: Exercise, *, key: bool = False) -> dict[str, Any]:
    """The sheet as data, and with ``key`` the answers; the keys are the same in every language."""
    model = exercise.model
    record: dict[str, Any] = {
        "kind": exercise.kind, "level": exercise.level, "seed": exercise.seed, "cell": model.cell.name,
        "steps": model.steps, "form": model.form, "losses": model.losses, "loss": model.loss,
        "activation": model.activation, "output_activation": model.output_activation,
        "wrt": [str(goal) for goal in exercise.goals],
    }  # fmt: skip
    answers: dict[str, Any] = {}
    match exercise:
        case BlankExercise():
            record["formula"] = list(exercise.formula)
            record["blanks"] = [{"number": blank.number, "what": blank.what} for blank in exercise.blanks]
            answers["blanks"] = [{"number": blank.number, "answer": blank.text} for blank in exercise.blanks]
            answers["formula"] = list(exercise.answer)
        case SpoiledExercise():
            record["lines"] = _lines_json(exercise)
            record["formula"] = list(exercise.formula)
            wrong = None if exercise.wrong is None else latex(exercise.wrong)
            answers |= {"line": exercise.place, "where": exercise.where, "mistake": exercise.mistake}
            answers |= {"wrong": wrong, "right": latex(exercise.right), "formula": list(exercise.answer)}
        case NumbersExercise():
            from rnn_symbolic.render.exercise_numbers import numbers_json

            given, answers = numbers_json(exercise)
            record |= given
    record["check"] = audit_command(exercise)
    return {**record, "key": answers} if key else record


def _lines_json(exercise: SpoiledExercise) -> list[dict[str, Any]]:
    model = exercise.model
    rows = [
        {"line": i, "left": latex(_row_name(row, model)), "right": latex(row.value)}
        for i, row in enumerate(exercise.rows, 1)
    ]
    terms = [
        {"line": i, "route": [str(node) for node in term.route], "right": latex(term.expression)}
        for i, term in enumerate(exercise.terms, len(rows) + 1)
    ]
    return [*rows, *terms]
