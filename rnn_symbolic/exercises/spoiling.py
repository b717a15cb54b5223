"""A derivation with one mistake: a row of its table, a term, or a path that is left out.

A spoiled row comes from the audit's catalogue, and what follows from it is what the derivation of that table gives: all
other lines are right, as far as the table is. A spoiled term is what a slip of the pen makes of it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction

from rnn_symbolic.auditing.auditor import audit
from rnn_symbolic.auditing.catalogue import table_mistakes
from rnn_symbolic.auditing.formula_reader import read_formulas
from rnn_symbolic.auditing.mistakes import TableMistake
from rnn_symbolic.auditing.sweep import arcs_of
from rnn_symbolic.errors import InputError
from rnn_symbolic.exercises.measuring import differ
from rnn_symbolic.exercises.problems import Term, derive_terms, draw_problem, model_of
from rnn_symbolic.exercises.records import SpoiledExercise
from rnn_symbolic.exercises.writing import Unwritable, formula_lines, formula_text
from rnn_symbolic.expressions import (
    Add,
    Call,
    Chain,
    Diagonal,
    Expression,
    Multiply,
    Number,
    Quantity,
    StepLoss,
    Transpose,
    quantities,
    transform,
)
from rnn_symbolic.frozen import frozen
from rnn_symbolic.model import Model
from rnn_symbolic.table import Edge, Factor, LocalRule

MINUS = Number(Fraction(-1))
OF_A_ROW = {
    1: (),
    2: ("value-for-argument", "no-slope", "zero", "factor-missing"),
    3: ("value-for-argument", "no-slope", "zero", "factor-missing", "matrix", "complement", "term-missing"),
}
"""Which mistakes of the catalogue a row of the table may have, by level."""
ROUNDS = 40


@frozen
class _Spoiled:
    """One way to spoil a derivation."""

    where: str
    place: int
    mistake: str
    code: str
    wrong: Expression | None
    right: Expression
    terms: tuple[Term, ...]
    rows: tuple[Edge, ...]


def make_spoiled(seed: int, level: int, rng: random.Random) -> SpoiledExercise:
    """A derivation with one spoiled line, drawn from ``rng``."""
    for _ in range(ROUNDS):
        problem, name = draw_problem(rng, level)
        model = model_of(problem)
        goal = model.resolve(name)
        derivation, terms = derive_terms(model, goal, problem.granularity)
        rows = used_rows(model, goal)
        ways = list(_ways(model, goal, problem.granularity, terms, rows, level))
        for way in _in_turn(ways, rng):
            mistake = named(model, goal, way.terms) if _is_wrong(model, goal, way, terms) else ""
            if mistake:
                return SpoiledExercise(
                    seed, level, problem, model, (goal,), derivation, way.rows, way.terms, way.where, way.place,
                    mistake, way.code, way.wrong, way.right, terms,
                )  # fmt: skip
    raise AssertionError("no derivation could be spoiled")


def named(model: Model, goal: Quantity, terms: tuple[Term, ...]) -> str:
    """The kind by which the audit calls what is wrong in a formula; empty where it has no name for it."""
    text = [formula_text(term.expression, model.names) for term in terms]
    found = audit(model, formula="\n".join(formula_lines(goal, text)))
    kinds = {finding.kind for finding in found.wrong}
    (kind,) = kinds if len(kinds) == 1 else ("unknown",)
    return "" if kind in (None, "unknown", "several") else str(kind)


def _in_turn(ways: list[_Spoiled], rng: random.Random) -> Iterator[_Spoiled]:
    """All ways in a random order: rows, terms and missing terms alike, and kinds alike, whatever their number."""
    groups: dict[tuple[str, str, str], list[_Spoiled]] = {}
    for way in ways:
        groups.setdefault((way.where, way.mistake, way.code), []).append(way)
    while groups:
        where = rng.choice(sorted({key[0] for key in groups}))
        key = rng.choice(sorted(key for key in groups if key[0] == where))
        yield from rng.sample(groups[key], len(groups[key]))
        del groups[key]


def used_rows(model: Model, goal: Quantity) -> tuple[Edge, ...]:
    """The rows of the table along the paths to a goal.

    >>> from rnn_symbolic.model import unroll
    >>> [(str(row.head), str(row.tail)) for row in used_rows(unroll("d2l", steps=2), Quantity("W_x"))]
    [('h[t]', 'W_x'), ('h[t]', 'h[t-1]'), ('y[t]', 'h[t]'), ('l[t]', 'y[t]')]
    """
    _, terms = derive_terms(model, goal, "node")
    pairs = set()
    for term in terms:
        for head, tail in zip(term.route[1:], term.route[2:], strict=False):
            lag = None if tail.step is None or head.step is None else head.step - tail.step
            pairs.add((head.name, tail.name, lag))
    return tuple(row for row in model.table if (row.head.name, row.tail.name, _lag(row)) in pairs)


def _lag(row: Edge) -> int | None:
    return row.lag if row.tail.index else None


def _is_wrong(model: Model, goal: Quantity, way: _Spoiled, terms: tuple[Term, ...]) -> bool:
    """Whether the formula can be read, and is wrong by its numbers."""
    try:
        text = [formula_text(term.expression, model.names) for term in way.terms]
        (formula,) = read_formulas("\n".join(formula_lines(goal, text)), model)
    except (InputError, Unwritable):  # a step that does not exist, shapes that do not fit
        return False
    right = [formula_text(term.expression, model.names) for term in terms]
    (expected,) = read_formulas("\n".join(formula_lines(goal, right)), model)
    return not formula.transposed and differ(model, formula.expression, expected.expression)


def _ways(
    model: Model, goal: Quantity, granularity: str, terms: tuple[Term, ...], rows: tuple[Edge, ...], level: int
) -> Iterator[_Spoiled]:
    for i, term in enumerate(terms):
        place = len(rows) + 1 + i
        for mistake, code, factors in _slips(model, term):
            wrong = replace(term, factors=factors)
            spoiled = (*terms[:i], wrong, *terms[i + 1 :])
            yield _Spoiled("term", place, mistake, code, wrong.expression, term.expression, spoiled, rows)
        if level > 1 and len(terms) > 2:
            rest = (*terms[:i], *terms[i + 1 :])
            yield _Spoiled("missing", place, "missing-paths", "path", None, term.expression, rest, rows)
    if OF_A_ROW[level]:
        yield from _spoiled_rows(model, goal, granularity, terms, rows, OF_A_ROW[level])


# --- a term -----------------------------------------------------------------------------------------------------------


def _slips(model: Model, term: Term) -> Iterator[tuple[str, str, tuple[Expression, ...]]]:
    """What a slip of the pen makes of a term: kind, code, and the factors that stand there then."""
    factors = term.factors

    def at(j: int, *others: Expression) -> tuple[Expression, ...]:
        return (*factors[:j], *others, *factors[j + 1 :])

    for j, factor in enumerate(factors):
        if isinstance(factor, Number | StepLoss):
            continue
        for quantity in dict.fromkeys(q for q in quantities(factor) if q.step is not None):
            for step in (-1, 1):
                moved = replace(quantity, step=(quantity.step or 0) + step)
                yield "index", "wrong-step", at(j, _exchanged(factor, quantity, moved))
        for before, after in _values(model):
            found = _exchanged(factor, before, after) if _is_slope(factor, before) else factor
            if found != factor:
                yield "activation-argument", "wrong-argument", at(j, found)
        if isinstance(factor, Transpose) and isinstance(factor.of, Quantity) and factor.of.step is None:
            yield "transpose", "not-transposed", at(j, factor.of)
        if len(factors) > 2 and _is_left_out(model, factor):
            yield "scale", "missing-factor", at(j)
        if term.matrix and j + 1 < len(factors) and {type(factor), type(factors[j + 1])} == {Diagonal, Transpose}:
            swapped = (*factors[:j], factors[j + 1], factor, *factors[j + 2 :])
            yield "order", "wrong-order", swapped
        if isinstance(factor, Add) and len(factor.terms) == 2:  # 1 − z for z, h − n for n − h
            yield "sign", "term", at(j, _negated_second(factor))
    if model.form == "scalar" and len(model.definitions) < 6:  # where there is little else that may go wrong
        yield "sign", "term", (MINUS, *factors)


def _exchanged(expression: Expression, before: Quantity, after: Quantity) -> Expression:
    return transform(expression, lambda node: after if node == before else node)


def _values(model: Model) -> Iterator[tuple[Quantity, Quantity]]:
    """Arguments and values of the cell's activations at each step: a_2 and h_2 of h = σ(a)."""
    for equation in model.definitions:
        match equation.expression:
            case Call(argument=Quantity() as argument):
                for t in range(1, model.steps + 1):
                    yield argument.at(t), equation.target.at(t)


def _is_slope(factor: Expression, argument: Quantity) -> bool:
    slope = factor.vector if isinstance(factor, Diagonal) else factor
    return isinstance(slope, Call) and slope.order == 1 and slope.argument == argument


def _is_left_out(model: Model, factor: Expression) -> bool:
    """Slopes and, where all is a number, weights and gates are what one forgets."""
    if isinstance(factor, Diagonal | Call):
        return True
    return model.form == "scalar" and isinstance(factor, Quantity) and factor.name != "x"


def _negated_second(factor: Add) -> Expression:
    first, second = factor.terms
    match second:
        case Multiply((Number(value), *rest), False) if value == -1:
            return Add((first, rest[0] if len(rest) == 1 else Multiply(tuple(rest))))
    return Add((first, Multiply((MINUS, second))))


# --- a row of the table -----------------------------------------------------------------------------------------------


def _spoiled_rows(
    model: Model, goal: Quantity, granularity: str, terms: tuple[Term, ...], rows: tuple[Edge, ...],
    codes: tuple[str, ...],
) -> Iterator[_Spoiled]:  # fmt: skip
    sizes = {size: 2 + i for i, size in enumerate(sorted({s for shape in model.names.values() for s in shape}))}
    for mistake in table_mistakes(model, sizes):
        if not _is_one_row(mistake, codes):
            continue
        (change,) = mistake.variant.changes
        assert change.value is not None
        table, place = _with_change(model, change.arc, change.value)
        if model.table[place] not in rows:
            continue
        spoiled = replace(model, table=table, collapse=None)
        try:
            _, found = derive_terms(spoiled, goal, granularity)
        except (AssertionError, ValueError):  # no single product any more
            continue
        number = rows.index(model.table[place])
        shown = (*rows[:number], table[place], *rows[number + 1 :])
        wrong, right = table[place].value, model.table[place].value
        if len(found) == len(terms) and wrong != right:
            yield _Spoiled("row", number + 1, mistake.kind, mistake.code, wrong, right, found, shown)


def _is_one_row(mistake: TableMistake, codes: tuple[str, ...]) -> bool:
    changes = mistake.variant.changes
    simple = mistake.code in codes and not mistake.variant.added
    return simple and len(changes) == 1 and changes[0].value is not None and mistake.variant.border == "zero"


def _with_change(model: Model, arc: int, value: Expression) -> tuple[tuple[Edge, ...], int]:
    """The table with another local derivative in the place of an arc's, and the number of that row."""
    assert 0 <= arc < len(arcs_of(model))
    count = 0
    for i, row in enumerate(model.table):
        if arc < count + len(row.terms):
            j = arc - count
            terms = (*row.terms[:j], _product(value, row.terms[j]), *row.terms[j + 1 :])
            return (*model.table[:i], replace(row, terms=terms), *model.table[i + 1 :]), i
        count += len(row.terms)
    raise AssertionError(arc)


_Make = Callable[[Expression], Factor]


def _product(value: Expression, before: tuple[Factor, ...]) -> tuple[Factor, ...]:
    """A local derivative as a product of factors, with the shape of what stood there."""
    shape = before[0].shape if before else None
    make: _Make = lambda part: Factor(LocalRule.COEFFICIENT, part, shape)  # noqa: E731
    if isinstance(value, Chain) or (isinstance(value, Multiply) and not value.vectors):
        return tuple(make(part) for part in value.factors)
    return (make(value),) if value != Number(Fraction(1)) else ()
