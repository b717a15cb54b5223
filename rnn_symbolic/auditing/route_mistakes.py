"""Mistakes in whole ways through a step: routes and carries left out, counted twice, of the wrong sign or lag."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from rnn_symbolic.auditing.mistakes import TableMistake
from rnn_symbolic.auditing.sweep import NO_INITIAL, NOT_FIRST, ONLY_LAST, Arc, Change, Variant
from rnn_symbolic.auditing.writer import SLOPES, Writer, commute, inner_of, negated, one_minus, slope_formula
from rnn_symbolic.expressions import (
    MINUS_ONE,
    Add,
    Call,
    Diagonal,
    Expression,
    Multiply,
    Number,
    Quantity,
    quantities,
    walk,
)
from rnn_symbolic.table import Factor, LocalRule, product_value


def carries(w: Writer) -> Iterator[TableMistake]:
    """A state whose own past is forgotten: every arc that leads back to it."""
    states = w.model.cell.states
    for names in dict.fromkeys((*((state,) for state in states), states)):
        carried = [i for i, arc in enumerate(w.arcs) if arc.tail in names and arc.lag]
        if carried:
            variant = Variant(tuple(Change(i, None) for i in carried))
            arc = w.arcs[carried[0]]
            yield w.made("missing-carry", "state", 1, arc, variant, None, names)
            twice = tuple(Change(i, w.doubled(w.arcs[i])) for i in carried)
            yield w.made("scale", "carry-twice", 3, arc, Variant(twice), twice[0].value, names)


def initial(w: Writer) -> Iterator[TableMistake]:
    """h_0 read as 0 where local derivatives mention it: the first term of dW_h is missing."""
    states = w.model.cell.states
    mentions = {
        state: [i for i, arc in enumerate(w.arcs) if any(_earlier(q, state) for q in quantities(arc.value))]
        for state in states
    }
    seen = set()
    for names in ((state,) for state in states) if len(states) < 2 else (states, *((state,) for state in states)):
        found = sorted({i for state in names for i in mentions[state]})
        weights = [i for i in found if w.arcs[i].lag is None]
        for places in (found, weights, *([i] for i in found)):
            if not places or tuple(places) in seen:
                continue
            seen.add(tuple(places))
            border = NOT_FIRST if places == weights else NO_INITIAL
            variant = Variant(tuple(Change(i, w.arcs[i].value) for i in places), border=border)
            yield w.made("initial-state", "term", 0, w.arcs[places[0]], variant, None, names)


def routes(w: Writer, i: int, arc: Arc) -> Iterator[TableMistake]:
    """One of several ways from a quantity to what uses it."""
    if arc.tail in ("x", "d"):
        return
    if arc.lag is not None or sum(other.tail == arc.tail for other in w.arcs) > 1:
        yield w.made("missing-route", "route", 2, arc, Variant((Change(i, None),)), None)
    for lag in (arc.lag - 1, arc.lag + 1) if arc.lag and max(w.model.cell.lags) > 1 else ():
        if lag >= 1:
            variant = Variant((Change(i, None),), ((replace(arc, lag=lag), arc.value),))
            about = (str(w.quantity(arc.tail, arc.lag)), str(w.quantity(arc.tail, lag)), arc.head, arc.tail)
            yield w.made("index", "wrong-lag", 2, arc, variant, arc.value, about)
    if arc.lag == 0 and arc.head != "l":
        only = Variant((Change(i, arc.value),), border=ONLY_LAST)
        yield w.made("missing-paths", "only-last-step", 3, arc, only, arc.value)
    if arc.head != "l":
        twice = w.doubled(arc)
        yield w.made("scale", "route-twice", 3, arc, Variant((Change(i, twice),)), twice)


def signs(w: Writer, i: int, arc: Arc) -> Iterator[TableMistake]:
    if arc.head == "l" or arc.tail in ("x", "d"):
        return  # the sign of the whole gradient, or of nothing that is asked for
    number = Factor(LocalRule.NUMBER, MINUS_ONE, ("1", "1") if w.matrix else None)
    if arc.factors and arc.factors[0].value == MINUS_ONE:
        yield w.instead("sign", "route", 3, i, arc.factors[1:])
    else:
        yield w.instead("sign", "route", 3, i, (number, *arc.factors))


def swaps(w: Writer, i: int, arc: Arc) -> Iterator[TableMistake]:
    """Two neighbours within one arc: W_h diag(σ'(a_{t−1})) in the other order."""
    if not w.matrix:
        return
    for k in range(len(arc.factors) - 1):
        one, two = arc.factors[k : k + 2]
        if commute(one, two) or not (w.square(one.value) and w.square(two.value)):
            continue
        if w.size(one.value) == w.size(two.value):
            factors = (*arc.factors[:k], two, one, *arc.factors[k + 2 :])
            yield w.instead("order", "swapped", 2, i, factors)


def bare_carries(w: Writer) -> Iterator[TableMistake]:
    """∂h_t/∂h_{t−1} = W_h, without the slope: it is taken for the weights and forgotten on the way back."""
    for j, inner in enumerate(w.arcs):
        if not inner.lag or inner.head in w.model.cell.states:
            continue
        outers = [outer for outer in w.arcs if outer.tail == inner.head and outer.lag == 0]
        sloped = [outer for outer in outers if outer.factors and outer.factors[-1].rule is LocalRule.SLOPE]
        if not sloped or any(outer.tail == inner.head and outer.lag for outer in w.arcs):
            continue
        added = []
        for outer in outers:
            kept = outer.factors[:-1] if outer in sloped else outer.factors
            arc = Arc(outer.head, inner.tail, inner.lag, (*outer.factors, *inner.factors))
            added.append((arc, product_value((*kept, *inner.factors))))
        arc = Arc(sloped[0].head, inner.tail, inner.lag, (*sloped[0].factors, *inner.factors))
        yours = product_value((*sloped[0].factors[:-1], *inner.factors))
        variant = Variant((Change(j, None),), tuple(added))
        yield w.made("wrong-activation", "carry-without-slope", 2, arc, variant, yours)


def orders(w: Writer) -> Iterator[TableMistake]:
    """The slope after the matrix: D (Wᵀ g) for Wᵀ (D g), where D and W belong to two equations of one step."""
    if not w.matrix:
        return
    for j, inner in enumerate(w.arcs):
        k = next((k for k, f in enumerate(inner.factors) if f.rule is LocalRule.MATRIX), None)
        if (
            inner.tail == "x"
            or inner.lag is None
            or k is None
            or not all(isinstance(f.value, Diagonal) for f in inner.factors[:k])
        ):
            continue
        W = inner.factors[k]
        if not w.square(W.value):
            continue
        added, swapped = [], None
        for outer in w.arcs:
            if outer.tail != inner.head or outer.lag != 0:
                continue
            factors = (*outer.factors, *inner.factors)
            last = outer.factors[-1] if outer.factors else None
            if last is not None and isinstance(last.value, Diagonal) and w.size(last.value) == w.size(W.value):
                factors = (*outer.factors[:-1], *inner.factors[: k + 1], last, *inner.factors[k + 1 :])
                swapped = outer, factors
            arc = Arc(outer.head, inner.tail, inner.lag, (*outer.factors, *inner.factors))
            added.append((arc, product_value(factors)))
        carried = [outer for outer in w.arcs if outer.tail == inner.head and outer.lag]
        if swapped is None or carried:
            continue
        outer, factors = swapped
        arc = Arc(outer.head, inner.tail, inner.lag, (*outer.factors, *inner.factors))
        variant = Variant((Change(j, None),), tuple(added))
        yield w.made("order", "slope-after-matrix", 2, arc, variant, product_value(factors))


def complements(w: Writer) -> Iterator[TableMistake]:
    """z for 1 − z in the backward pass, in one arc or in all arcs of an equation."""
    for equation in w.model.definitions:
        name = equation.target.name
        changes: list[Change] = []
        first: TableMistake | None = None
        for i, arc in enumerate(w.arcs):
            if arc.head != name:
                continue
            for k, factor in enumerate(arc.factors):
                other = complement(w, inner_of(factor.value), equation.expression)
                if factor.rule is LocalRule.COEFFICIENT and other is not None:
                    swapped = replace(factor, value=w.wrapped(other, factor.value))
                    mistake = w.instead("convention", "complement", 3, i, w.rewritten(arc, k, swapped))
                    yield mistake
                    changes += mistake.variant.changes
                    first = first or mistake
        if first is not None and len(changes) > 1:
            yield replace(first, code="complements", variant=Variant(tuple(changes)), about=(name,))
            signs = tuple(
                w.instead("sign", "route", 3, i, negated(arc.factors, w.matrix)).variant.changes[0]
                for i, arc in enumerate(w.arcs)
                if arc.head == name and gates(w, arc, equation.expression)
            )
            variant = Variant((*changes, *signs))
            yield replace(first, code="backward-of-the-other", variant=variant, about=(name,))


def complement(w: Writer, value: Expression, expression: Expression) -> Expression | None:
    """z of 1 − z; 1 − z of z where the equation holds both."""
    match value:
        case Add((Number(), Multiply(factors=(Number(), inner)))) if value == one_minus(inner):
            return inner
        case Quantity() if any(node == one_minus(value) for node in walk(expression)):
            return one_minus(value)
    return None


def gates(w: Writer, arc: Arc, expression: Expression) -> bool:
    """Whether the arc leads to the gate z of z u + (1 − z) v."""
    tail = w.quantity(arc.tail, arc.lag)
    return complement(w, tail, expression) is not None


def foreign_slopes(w: Writer) -> Iterator[TableMistake]:
    """1 − h² where h is not the value of a function."""
    for equation in w.model.definitions:
        target = equation.target
        if target.name == "l" or isinstance(equation.expression, Call):
            continue
        if target.name != "y" and target.name not in w.model.cell.states:
            continue
        places = [i for i, arc in enumerate(w.arcs) if arc.head == target.name]
        formulas = [(name, slope_formula(name, target, w.matrix)) for name in SLOPES]
        formulas += [(name, Call(name, target, 1)) for name in SLOPES[:2]]
        for name, formula in formulas:
            slope: Expression = Diagonal(formula) if w.matrix else formula
            factor = Factor(LocalRule.SLOPE, slope, w.shape(target) if w.matrix else None)
            changes = tuple(Change(i, product_value((factor, *w.arcs[i].factors))) for i in places)
            arc = w.arcs[places[0]]
            about = (target.name, arc.tail, name)
            yield w.made(
                "wrong-activation", "slope-without-function", 2, arc, Variant(changes), changes[0].value, about
            )


def past_slopes(w: Writer) -> Iterator[TableMistake]:
    """What comes back from the next step is added behind the slope instead of before it."""
    for state in w.model.cell.states:
        match w.model.definition[state].expression:
            case Call(_, Quantity(inner, 0, index)) if index:
                carried = [i for i, arc in enumerate(w.arcs) if arc.tail == state and arc.lag]
                added = tuple((replace(w.arcs[i], tail=inner, initial=state), w.arcs[i].value) for i in carried)
                variant = Variant(tuple(Change(i, None) for i in carried), added)
                kind = "output-derivative" if state == "y" else "wrong-activation"
                arc = w.arcs[carried[0]]
                yield w.made(kind, "carry-past-slope", 2, arc, variant, None, (state, inner))


def _earlier(q: Quantity, state: str) -> bool:
    return q.name == state and bool(q.index) and bool(q.step) and (q.step or 0) < 0
