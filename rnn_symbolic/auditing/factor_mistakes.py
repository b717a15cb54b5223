r"""Mistakes in one factor of a local derivative: a slope, a matrix, a coefficient, an index."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from rnn_symbolic.auditing.mistakes import TableMistake
from rnn_symbolic.auditing.sweep import BORDERS, CYCLE, NO_INITIAL, Arc
from rnn_symbolic.auditing.writer import SLOPES, Writer, exchanged, inner_of, slope_formula
from rnn_symbolic.expressions import (
    MINUS_ONE,
    ONE,
    Add,
    Call,
    Diagonal,
    Expression,
    Kronecker,
    Multiply,
    Quantity,
    Transpose,
    add,
    quantities,
)
from rnn_symbolic.printing import latex
from rnn_symbolic.table import Factor, LocalRule


def slopes(w: Writer, i: int, arc: Arc, k: int, factor: Factor) -> Iterator[TableMistake]:
    """φ'(z) at the wrong place, of the wrong function, missing or doubled."""
    if factor.rule is LocalRule.SOFTMAX:
        yield from softmax(w, i, arc, k, factor)
    if factor.rule is not LocalRule.SLOPE:
        return
    output = arc.head == "y"
    missing = w.instead(
        "output-derivative" if output else "wrong-activation", "no-slope", 2, i, w.rewritten(arc, k),
        rule=factor.rule,
    )  # fmt: skip
    yield missing
    twice = w.rewritten(arc, k, factor, factor)
    yield w.instead("output-derivative" if output else "scale", "slope-twice", 3, i, twice, rule=factor.rule)
    inner = inner_of(factor.value)
    if not isinstance(inner, Call) or inner.order != 1:
        return
    name, z = inner.function, inner.argument
    value: Expression = Call(name, z)
    target = w.quantity(arc.head, 0)
    named = w.model.definition[arc.head].expression == value
    shown = target if named else value

    def offer(kind: str, code: str, rank: int, at: Expression, *about: str) -> TableMistake:
        other = replace(factor, value=w.wrapped(at, factor.value))
        said = (arc.head, arc.tail, *about)
        return w.instead(kind, code, rank, i, w.rewritten(arc, k, other), said, factor.rule)

    if name != "relu":  # relu'(h) = relu'(a)
        yield offer("activation-argument", "value-for-argument", 2, Call(name, shown, 1))
    if name in SLOPES[:2]:
        yield offer("activation-argument", "argument-for-value", 2, slope_formula(name, z, w.matrix))
        if not named and w.shape(target) == w.shape(z):
            yield offer("activation-argument", "other-value", 3, slope_formula(name, target, w.matrix))
    if named and name in SLOPES and target.step is not None:
        for move in (-1, 1):
            moved = replace(target, step=target.step + move)
            value_at = replace(factor, value=w.wrapped(slope_formula(name, moved, w.matrix), factor.value))
            for border in borders(w, target, moved):
                about = (str(target), str(moved), arc.head, arc.tail)
                other_step = w.rewritten(arc, k, value_at)
                yield w.instead("index", border, 2, i, other_step, about, factor.rule, border)
    for other in SLOPES:
        if other != name and not (other == "relu" and name == "logistic"):  # a logistic is always > 0: no slope
            yield offer("wrong-activation", "other-slope", 2, slope_formula(other, shown, w.matrix), other)
        if other != name:
            yield offer("wrong-activation", "other-slope-at-argument", 3, Call(other, z, 1), other)


def softmax(w: Writer, i: int, arc: Arc, k: int, factor: Factor) -> Iterator[TableMistake]:
    """diag(p) − p pᵀ without its second term, taken elementwise, or missing."""
    p: Expression = w.quantity(arc.head, 0)
    yield w.instead("output-derivative", "no-slope", 2, i, w.rewritten(arc, k), rule=factor.rule)
    for formula in (p, slope_formula("logistic", p, w.matrix)):
        other = replace(factor, value=Diagonal(formula))
        yield w.instead("output-derivative", "softmax-diagonal", 2, i, w.rewritten(arc, k, other), rule=factor.rule)


def matrices(w: Writer, i: int, arc: Arc, k: int, factor: Factor) -> Iterator[TableMistake]:
    """Wᵀ for W, where both fit; W forgotten, where nothing shows it."""
    if factor.rule is not LocalRule.MATRIX or not isinstance(factor.value, Quantity):
        return
    about = (factor.value.name, arc.head, arc.tail)
    if w.matrix and w.square(factor.value):
        shape = w.shape(factor.value)
        other = replace(factor, value=Transpose(factor.value), shape=shape[::-1])
        yield w.instead("transpose", "matrix", 2, i, w.rewritten(arc, k, other), about, factor.rule)
    if not w.matrix or w.square(factor.value):
        yield w.instead("scale", "factor-missing", 3, i, w.rewritten(arc, k), about, factor.rule)
        twice = w.rewritten(arc, k, factor, factor)
        yield w.instead("scale", "factor-twice", 3, i, twice, about, factor.rule)


def missing(w: Writer, i: int, arc: Arc, k: int, factor: Factor) -> Iterator[TableMistake]:
    """A coefficient or a number forgotten; of a product that a matrix is applied to, one of its factors."""
    if factor.rule is LocalRule.COEFFICIENT and (not w.matrix or isinstance(factor.value, Diagonal)):
        said = (latex(inner_of(factor.value)), arc.head, arc.tail)
        yield w.instead("scale", "factor-missing", 3, i, w.rewritten(arc, k), said, factor.rule)
    inner = inner_of(factor.value)
    if factor.rule is LocalRule.COEFFICIENT and isinstance(inner, Add) and ONE not in inner.terms:
        for term in inner.terms:
            left = replace(factor, value=w.wrapped(add(*(t for t in inner.terms if t != term)), factor.value))
            said = (latex(term), arc.head, arc.tail)
            yield w.instead("missing-route", "term-missing", 3, i, w.rewritten(arc, k, left), said, factor.rule)
    if factor.rule is LocalRule.NUMBER and factor.value != MINUS_ONE:
        said = (latex(factor.value), arc.head, arc.tail)
        yield w.instead("scale", "factor-missing", 2, i, w.rewritten(arc, k), said, factor.rule)
    if factor.rule is LocalRule.ARGUMENT:
        argument = factor.value.vector if isinstance(factor.value, Kronecker) else factor.value
        if isinstance(argument, Multiply):
            for j, part in enumerate(argument.factors):
                rest = (*argument.factors[:j], *argument.factors[j + 1 :])
                kept = rest[0] if len(rest) == 1 else Multiply(rest, vectors=argument.vectors)
                value = replace(factor.value, vector=kept) if isinstance(factor.value, Kronecker) else kept
                said = (latex(part), arc.head, arc.tail)
                changed = w.rewritten(arc, k, replace(factor, value=value))
                yield w.instead("scale", "factor-missing", 3, i, changed, said, factor.rule)


def shifts(w: Writer, i: int, arc: Arc, k: int, factor: Factor) -> Iterator[TableMistake]:
    """One quantity of a factor at the step before, or after."""
    for q in dict.fromkeys(q for q in quantities(factor.value) if q.index):
        assert q.step is not None
        for move in (-1, 1):
            moved = replace(q, step=q.step + move)
            value = exchanged(factor.value, q, moved)
            other = w.rewritten(arc, k, replace(factor, value=value))
            for border in borders(w, q, moved):
                about = (str(q), str(moved), arc.head, arc.tail)
                yield w.instead("index", border, 2, i, other, about, factor.rule, border)


def borders(w: Writer, q: Quantity, moved: Quantity) -> tuple[str, ...]:
    """What may stand where the moved index leaves 1 … T: nothing to choose where it does not."""
    assert q.step is not None and moved.step is not None
    if moved.step == 0:
        return BORDERS[:1]
    lags = dict(zip(w.model.cell.states, w.model.cell.lags, strict=True))
    if -moved.step in range(1, lags.get(q.name, 0) + 1):
        return BORDERS[0], CYCLE, NO_INITIAL
    return (*BORDERS, CYCLE) if q.name in lags else BORDERS
