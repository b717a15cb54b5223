r"""The mistakes that can be made in the backward pass of *this* cell, read off its table of local derivatives.

Every arc may be left out; every factor of it may be missing, stand at another step, have the wrong sign; a matrix may
be transposed, two neighbours exchanged, a slope φ' taken at the wrong place or of the wrong function. No cell is known
by name: what a table has no factor for has no mistake.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from fractions import Fraction

from rnn_symbolic.auditing.mistakes import TableMistake
from rnn_symbolic.auditing.sweep import BORDERS, CYCLE, NO_INITIAL, NOT_FIRST, ONLY_LAST, Arc, Change, Variant, arcs_of
from rnn_symbolic.expressions import (
    MINUS_ONE,
    ONE,
    Add,
    Call,
    Diagonal,
    Expression,
    Identity,
    Kronecker,
    Multiply,
    Number,
    Ones,
    Power,
    Quantity,
    Transpose,
    add,
    chain,
    multiply,
    quantities,
    transform,
    walk,
)
from rnn_symbolic.jacobians import shape_of
from rnn_symbolic.model import Model
from rnn_symbolic.table import Factor, LocalRule, Product, product_value

SLOPES = ("tanh", "logistic", "relu")
"""The activations whose derivative people know as a formula in the value: 1 − v², v (1 − v), [v > 0]."""


def table_mistakes(model: Model, sizes: Mapping[str, int]) -> tuple[TableMistake, ...]:
    """Every mistake in one place of the table, the simplest first; ``sizes`` say which matrices are square.

    >>> from rnn_symbolic.model import unroll
    >>> found = table_mistakes(unroll("elman", activation="tanh", loss="squared"), {})
    >>> [(m.kind, m.about) for m in found if m.code == "value-for-argument"]
    [('activation-argument', ('h', 'a')), ('activation-argument', ('y', 'o'))]
    """
    writer = _Writer(model, sizes)
    found = list(writer.mistakes())
    return tuple(sorted((*found, *_repeated(found)), key=lambda mistake: mistake.rank))


def _repeated(mistakes: list[TableMistake]) -> Iterator[TableMistake]:
    """One habit in several places: every gate's matrix not transposed, h_t for h_{t−1} in all weight gradients."""
    families: dict[tuple[object, ...], list[TableMistake]] = {}
    for mistake in mistakes:
        for habit in _habits(mistake):
            families.setdefault((mistake.kind, mistake.code, mistake.variant.border, *habit), []).append(mistake)
    seen = set()
    for members in families.values():
        changes = tuple(change for mistake in members for change in mistake.variant.changes)
        arcs = [change.arc for change in changes]
        if len(members) < 2 or len(set(arcs)) < len(arcs) or changes in seen:
            continue
        seen.add(changes)
        added = tuple(arc for mistake in members for arc in mistake.variant.added)
        about = tuple(dict.fromkeys(str(mistake.right_name) for mistake in members))
        first = members[0]
        variant = Variant(changes, added, first.variant.border)
        yield replace(first, code=f"{first.code}-everywhere", rank=first.rank + 1, variant=variant, places=about)


def _habits(mistake: TableMistake) -> Iterator[tuple[object, ...]]:
    """What makes two mistakes the same habit."""
    output = mistake.head.name == "y"
    match mistake.code:
        case "matrix" | "slope-after-matrix" | "swapped" | "factor-missing" | "factor-twice":
            yield (mistake.head, mistake.about[0] if mistake.code != "slope-after-matrix" else "")
            if mistake.kind == "scale":
                return
            if mistake.tail.step:
                yield ("lagged",)
            yield ("all",)
        case "value-for-argument" | "argument-for-value" | "no-slope" if not output:
            yield ("all",)
            yield ("function", _function(mistake.right))
        case "other-slope" | "other-slope-at-argument" if not output:
            yield (mistake.about[-1], _function(mistake.right))
        case "zero" | "wrap" | "cycle" | "no-initial":
            before, after, *_ = mistake.about
            yield (before, after, mistake.rule)
            yield (before, after)
        case "route":
            yield (mistake.head, mistake.tail)
            if mistake.kind != "sign":
                return
            yield (mistake.tail,)
            if mistake.tail.step:
                yield (mistake.tail.name,)


def _function(value: Expression | None) -> str:
    """The activation whose slope a local derivative holds."""
    found = [node.function for node in walk(value) if isinstance(node, Call)] if value is not None else []
    return found[-1] if found else ""


class _Writer:
    def __init__(self, model: Model, sizes: Mapping[str, int]) -> None:
        self.model, self.sizes = model, sizes
        self.arcs = arcs_of(model)
        self.matrix = model.form == "matrix"

    def mistakes(self) -> Iterator[TableMistake]:
        yield from self.carries()
        yield from self.initial()
        for i, arc in enumerate(self.arcs):
            yield from self.routes(i, arc)
            if arc.tail in ("x", "d"):
                continue  # no path to a parameter leads there
            for k, factor in enumerate(arc.factors):
                yield from self.slopes(i, arc, k, factor)
                yield from self.matrices(i, arc, k, factor)
                yield from self.shifts(i, arc, k, factor)
                yield from self.missing(i, arc, k, factor)
            yield from self.signs(i, arc)
            yield from self.swaps(i, arc)
        yield from self.orders()
        yield from self.complements()
        yield from self.foreign_slopes()
        yield from self.past_slopes()

    # -- records ------------------------------------------------------------------------------------------------

    def quantity(self, name: str, lag: int | None) -> Quantity:
        return Quantity(name) if lag is None else Quantity(name, -lag, "t")

    def made(
        self, kind: str, code: str, rank: int, arc: Arc, variant: Variant, yours: Expression | None,
        about: tuple[str, ...] = (), rule: LocalRule | None = None,
    ) -> TableMistake:  # fmt: skip
        head, tail = self.quantity(arc.head, 0), self.quantity(arc.tail, arc.lag)
        about = about or (arc.head, arc.tail)
        return TableMistake(kind, code, rank, about, variant, head, tail, arc.value, yours, rule)

    def instead(
        self, kind: str, code: str, rank: int, i: int, factors: Product,
        about: tuple[str, ...] = (), rule: LocalRule | None = None, border: str = "zero",
    ) -> TableMistake:  # fmt: skip
        """The arc i with other factors."""
        arc = self.arcs[i]
        value = product_value(factors)
        if self.matrix and isinstance(value, Number):  # c stands for c I
            value = chain(value, Identity(self.shape(self.quantity(arc.head, 0))[0]))
        return self.made(kind, code, rank, arc, Variant((Change(i, value),), border=border), value, about, rule)

    def rewritten(self, arc: Arc, k: int, *factors: Factor) -> Product:
        return (*arc.factors[:k], *factors, *arc.factors[k + 1 :])

    # -- whole arcs -----------------------------------------------------------------------------------------------

    def carries(self) -> Iterator[TableMistake]:
        """A state whose own past is forgotten: every arc that leads back to it."""
        states = self.model.cell.states
        for names in dict.fromkeys((*((state,) for state in states), states)):
            carried = [i for i, arc in enumerate(self.arcs) if arc.tail in names and arc.lag]
            if carried:
                variant = Variant(tuple(Change(i, None) for i in carried))
                arc = self.arcs[carried[0]]
                yield self.made("missing-carry", "state", 1, arc, variant, None, names)
                twice = tuple(Change(i, self.doubled(self.arcs[i])) for i in carried)
                yield self.made("scale", "carry-twice", 3, arc, Variant(twice), twice[0].value, names)

    def doubled(self, arc: Arc) -> Expression:
        value = arc.value
        if self.matrix:
            size = self.shape(self.quantity(arc.head, 0))[0]
            return chain(Number(Fraction(2)), Identity(size) if isinstance(value, Number) else value)
        return multiply(Number(Fraction(2)), value)

    def initial(self) -> Iterator[TableMistake]:
        """h_0 read as 0 where local derivatives mention it: the first term of dW_h is missing."""
        states = self.model.cell.states
        mentions = {
            state: [i for i, arc in enumerate(self.arcs) if any(_earlier(q, state) for q in quantities(arc.value))]
            for state in states
        }
        seen = set()
        for names in ((state,) for state in states) if len(states) < 2 else (states, *((state,) for state in states)):
            found = sorted({i for state in names for i in mentions[state]})
            weights = [i for i in found if self.arcs[i].lag is None]
            for places in (found, weights, *([i] for i in found)):
                if not places or tuple(places) in seen:
                    continue
                seen.add(tuple(places))
                border = NOT_FIRST if places == weights else NO_INITIAL
                variant = Variant(tuple(Change(i, self.arcs[i].value) for i in places), border=border)
                yield self.made("initial-state", "term", 0, self.arcs[places[0]], variant, None, names)

    def routes(self, i: int, arc: Arc) -> Iterator[TableMistake]:
        """One of several ways from a quantity to what uses it."""
        if arc.tail in ("x", "d"):
            return
        if arc.lag is not None or sum(other.tail == arc.tail for other in self.arcs) > 1:
            yield self.made("missing-route", "route", 2, arc, Variant((Change(i, None),)), None)
        for lag in (arc.lag - 1, arc.lag + 1) if arc.lag and max(self.model.cell.lags) > 1 else ():
            if lag >= 1:
                variant = Variant((Change(i, None),), ((replace(arc, lag=lag), arc.value),))
                about = (str(self.quantity(arc.tail, arc.lag)), str(self.quantity(arc.tail, lag)), arc.head, arc.tail)
                yield self.made("index", "wrong-lag", 2, arc, variant, arc.value, about)
        if arc.lag == 0 and arc.head != "l":
            only = Variant((Change(i, arc.value),), border=ONLY_LAST)
            yield self.made("missing-paths", "only-last-step", 3, arc, only, arc.value)
        if arc.head != "l":
            twice = self.doubled(arc)
            yield self.made("scale", "route-twice", 3, arc, Variant((Change(i, twice),)), twice)

    def signs(self, i: int, arc: Arc) -> Iterator[TableMistake]:
        if arc.head == "l" or arc.tail in ("x", "d"):
            return  # the sign of the whole gradient, or of nothing that is asked for
        number = Factor(LocalRule.NUMBER, MINUS_ONE, ("1", "1") if self.matrix else None)
        if arc.factors and arc.factors[0].value == MINUS_ONE:
            yield self.instead("sign", "route", 3, i, arc.factors[1:])
        else:
            yield self.instead("sign", "route", 3, i, (number, *arc.factors))

    # -- single factors -------------------------------------------------------------------------------------------

    def slopes(self, i: int, arc: Arc, k: int, factor: Factor) -> Iterator[TableMistake]:
        """φ'(z) at the wrong place, of the wrong function, missing or doubled."""
        if factor.rule is LocalRule.SOFTMAX:
            yield from self.softmax(i, arc, k, factor)
        if factor.rule is not LocalRule.SLOPE:
            return
        output = arc.head == "y"
        missing = self.instead(
            "output-derivative" if output else "wrong-activation", "no-slope", 2, i, self.rewritten(arc, k),
            rule=factor.rule,
        )  # fmt: skip
        yield missing
        twice = self.rewritten(arc, k, factor, factor)
        yield self.instead("output-derivative" if output else "scale", "slope-twice", 3, i, twice, rule=factor.rule)
        inner = _inner(factor.value)
        if not isinstance(inner, Call) or inner.order != 1:
            return
        name, z = inner.function, inner.argument
        value: Expression = Call(name, z)
        target = self.quantity(arc.head, 0)
        named = self.model.definition[arc.head].expression == value
        shown = target if named else value

        def offer(kind: str, code: str, rank: int, at: Expression, *about: str) -> TableMistake:
            other = replace(factor, value=self.wrapped(at, factor.value))
            said = (arc.head, arc.tail, *about)
            return self.instead(kind, code, rank, i, self.rewritten(arc, k, other), said, factor.rule)

        if name != "relu":  # relu'(h) = relu'(a)
            yield offer("activation-argument", "value-for-argument", 2, Call(name, shown, 1))
        if name in SLOPES[:2]:
            yield offer("activation-argument", "argument-for-value", 2, self.formula(name, z))
            if not named and self.shape(target) == self.shape(z):
                yield offer("activation-argument", "other-value", 3, self.formula(name, target))
        if named and name in SLOPES and target.step is not None:
            for move in (-1, 1):
                moved = replace(target, step=target.step + move)
                value_at = replace(factor, value=self.wrapped(self.formula(name, moved), factor.value))
                for border in self.borders(target, moved):
                    about = (str(target), str(moved), arc.head, arc.tail)
                    other_step = self.rewritten(arc, k, value_at)
                    yield self.instead("index", border, 2, i, other_step, about, factor.rule, border)
        for other in SLOPES:
            if other != name and not (other == "relu" and name == "logistic"):  # a logistic is always > 0: no slope
                yield offer("wrong-activation", "other-slope", 2, self.formula(other, shown), other)
            if other != name:
                yield offer("wrong-activation", "other-slope-at-argument", 3, Call(other, z, 1), other)

    def softmax(self, i: int, arc: Arc, k: int, factor: Factor) -> Iterator[TableMistake]:
        """diag(p) − p pᵀ without its second term, taken elementwise, or missing."""
        p: Expression = self.quantity(arc.head, 0)
        yield self.instead("output-derivative", "no-slope", 2, i, self.rewritten(arc, k), rule=factor.rule)
        for formula in (p, self.formula("logistic", p)):
            other = replace(factor, value=Diagonal(formula))
            yield self.instead(
                "output-derivative", "softmax-diagonal", 2, i, self.rewritten(arc, k, other), rule=factor.rule
            )

    def formula(self, name: str, v: Expression) -> Expression:
        """φ' as a formula in the value v of φ: 1 − v², v (1 − v), [v > 0]."""
        match name:
            case "tanh":
                return Add((ONE, Multiply((MINUS_ONE, Power(v, Fraction(2))))))
            case "logistic":
                rest = Add((ONE, Multiply((MINUS_ONE, v))))
                return Multiply((v, rest), vectors=self.matrix)
        return Call("relu", v, 1)

    def wrapped(self, value: Expression, like: Expression) -> Expression:
        return Diagonal(value) if isinstance(like, Diagonal) else value

    def matrices(self, i: int, arc: Arc, k: int, factor: Factor) -> Iterator[TableMistake]:
        """Wᵀ for W, where both fit; W forgotten, where nothing shows it."""
        if factor.rule is not LocalRule.MATRIX or not isinstance(factor.value, Quantity):
            return
        about = (factor.value.name, arc.head, arc.tail)
        if self.matrix and self.square(factor.value):
            shape = self.shape(factor.value)
            other = replace(factor, value=Transpose(factor.value), shape=shape[::-1])
            yield self.instead("transpose", "matrix", 2, i, self.rewritten(arc, k, other), about, factor.rule)
        if not self.matrix or self.square(factor.value):
            yield self.instead("scale", "factor-missing", 3, i, self.rewritten(arc, k), about, factor.rule)
            twice = self.rewritten(arc, k, factor, factor)
            yield self.instead("scale", "factor-twice", 3, i, twice, about, factor.rule)

    def missing(self, i: int, arc: Arc, k: int, factor: Factor) -> Iterator[TableMistake]:
        """A coefficient or a number forgotten; of a product that a matrix is applied to, one of its factors."""
        from rnn_symbolic.printing import latex

        if factor.rule is LocalRule.COEFFICIENT and (not self.matrix or isinstance(factor.value, Diagonal)):
            said = (latex(_inner(factor.value)), arc.head, arc.tail)
            yield self.instead("scale", "factor-missing", 3, i, self.rewritten(arc, k), said, factor.rule)
        inner = _inner(factor.value)
        if factor.rule is LocalRule.COEFFICIENT and isinstance(inner, Add) and ONE not in inner.terms:
            for term in inner.terms:
                left = replace(factor, value=self.wrapped(add(*(t for t in inner.terms if t != term)), factor.value))
                said = (latex(term), arc.head, arc.tail)
                yield self.instead(
                    "missing-route", "term-missing", 3, i, self.rewritten(arc, k, left), said, factor.rule
                )
        if factor.rule is LocalRule.NUMBER and factor.value != MINUS_ONE:
            said = (latex(factor.value), arc.head, arc.tail)
            yield self.instead("scale", "factor-missing", 2, i, self.rewritten(arc, k), said, factor.rule)
        if factor.rule is LocalRule.ARGUMENT:
            argument = factor.value.vector if isinstance(factor.value, Kronecker) else factor.value
            if isinstance(argument, Multiply):
                for j, part in enumerate(argument.factors):
                    rest = (*argument.factors[:j], *argument.factors[j + 1 :])
                    kept = rest[0] if len(rest) == 1 else Multiply(rest, vectors=argument.vectors)
                    value = replace(factor.value, vector=kept) if isinstance(factor.value, Kronecker) else kept
                    said = (latex(part), arc.head, arc.tail)
                    changed = self.rewritten(arc, k, replace(factor, value=value))
                    yield self.instead("scale", "factor-missing", 3, i, changed, said, factor.rule)

    def shifts(self, i: int, arc: Arc, k: int, factor: Factor) -> Iterator[TableMistake]:
        """One quantity of a factor at the step before, or after."""
        for q in dict.fromkeys(q for q in quantities(factor.value) if q.index):
            assert q.step is not None
            for move in (-1, 1):
                moved = replace(q, step=q.step + move)
                value = transform(factor.value, lambda node, q=q, moved=moved: moved if node == q else node)  # type: ignore[misc]
                other = self.rewritten(arc, k, replace(factor, value=value))
                for border in self.borders(q, moved):
                    about = (str(q), str(moved), arc.head, arc.tail)
                    yield self.instead("index", border, 2, i, other, about, factor.rule, border)

    def borders(self, q: Quantity, moved: Quantity) -> tuple[str, ...]:
        """What may stand where the moved index leaves 1 … T: nothing to choose where it does not."""
        assert q.step is not None and moved.step is not None
        if moved.step == 0:
            return BORDERS[:1]
        lags = dict(zip(self.model.cell.states, self.model.cell.lags, strict=True))
        if -moved.step in range(1, lags.get(q.name, 0) + 1):
            return BORDERS[0], CYCLE, NO_INITIAL
        return (*BORDERS, CYCLE) if q.name in lags else BORDERS

    # -- two factors ----------------------------------------------------------------------------------------------

    def swaps(self, i: int, arc: Arc) -> Iterator[TableMistake]:
        """Two neighbours within one arc: W_h diag(σ'(a_{t−1})) in the other order."""
        if not self.matrix:
            return
        for k in range(len(arc.factors) - 1):
            one, two = arc.factors[k : k + 2]
            if _commute(one, two) or not (self.square(one.value) and self.square(two.value)):
                continue
            if self.size(one.value) == self.size(two.value):
                factors = (*arc.factors[:k], two, one, *arc.factors[k + 2 :])
                yield self.instead("order", "swapped", 2, i, factors)

    def orders(self) -> Iterator[TableMistake]:
        """The slope after the matrix: D (Wᵀ g) for Wᵀ (D g), where D and W belong to two equations of one step."""
        if not self.matrix:
            return
        for j, inner in enumerate(self.arcs):
            k = next((k for k, f in enumerate(inner.factors) if f.rule is LocalRule.MATRIX), None)
            if inner.lag is None or k is None or not all(isinstance(f.value, Diagonal) for f in inner.factors[:k]):
                continue
            W = inner.factors[k]
            if not self.square(W.value):
                continue
            added, swapped = [], None
            for outer in self.arcs:
                if outer.tail != inner.head or outer.lag != 0:
                    continue
                factors = (*outer.factors, *inner.factors)
                last = outer.factors[-1] if outer.factors else None
                if (
                    last is not None
                    and isinstance(last.value, Diagonal)
                    and self.size(last.value) == self.size(W.value)
                ):
                    factors = (*outer.factors[:-1], *inner.factors[: k + 1], last, *inner.factors[k + 1 :])
                    swapped = outer, factors
                arc = Arc(outer.head, inner.tail, inner.lag, (*outer.factors, *inner.factors))
                added.append((arc, product_value(factors)))
            carried = [outer for outer in self.arcs if outer.tail == inner.head and outer.lag]
            if swapped is None or carried:
                continue
            outer, factors = swapped
            arc = Arc(outer.head, inner.tail, inner.lag, (*outer.factors, *inner.factors))
            variant = Variant((Change(j, None),), tuple(added))
            yield self.made("order", "slope-after-matrix", 2, arc, variant, product_value(factors))

    def complements(self) -> Iterator[TableMistake]:
        """z for 1 − z in the backward pass, in one arc or in all arcs of an equation."""
        for equation in self.model.definitions:
            name = equation.target.name
            changes: list[Change] = []
            first: TableMistake | None = None
            for i, arc in enumerate(self.arcs):
                if arc.head != name:
                    continue
                for k, factor in enumerate(arc.factors):
                    other = self.complement(_inner(factor.value), equation.expression)
                    if factor.rule is LocalRule.COEFFICIENT and other is not None:
                        swapped = replace(factor, value=self.wrapped(other, factor.value))
                        mistake = self.instead("convention", "complement", 3, i, self.rewritten(arc, k, swapped))
                        yield mistake
                        changes += mistake.variant.changes
                        first = first or mistake
            if first is not None and len(changes) > 1:
                yield replace(first, code="complements", variant=Variant(tuple(changes)), about=(name,))
                signs = tuple(
                    self.instead("sign", "route", 3, i, _negated(arc.factors, self.matrix)).variant.changes[0]
                    for i, arc in enumerate(self.arcs)
                    if arc.head == name and self.gates(arc, equation.expression)
                )
                variant = Variant((*changes, *signs))
                yield replace(first, code="backward-of-the-other", variant=variant, about=(name,))

    def complement(self, value: Expression, expression: Expression) -> Expression | None:
        """z of 1 − z; 1 − z of z where the equation holds both."""
        match value:
            case Add((Number(), Multiply(factors=(Number(), inner)))) if value == _one_minus(inner):
                return inner
            case Quantity() if any(node == _one_minus(value) for node in walk(expression)):
                return _one_minus(value)
        return None

    def gates(self, arc: Arc, expression: Expression) -> bool:
        """Whether the arc leads to the gate z of z u + (1 − z) v."""
        tail = self.quantity(arc.tail, arc.lag)
        return self.complement(tail, expression) is not None

    def foreign_slopes(self) -> Iterator[TableMistake]:
        """1 − h² where h is not the value of a function."""
        for equation in self.model.definitions:
            target = equation.target
            if target.name == "l" or isinstance(equation.expression, Call):
                continue
            if target.name != "y" and target.name not in self.model.cell.states:
                continue
            places = [i for i, arc in enumerate(self.arcs) if arc.head == target.name]
            formulas = [(name, self.formula(name, target)) for name in SLOPES]
            formulas += [(name, Call(name, target, 1)) for name in SLOPES[:2]]
            for name, formula in formulas:
                slope: Expression = Diagonal(formula) if self.matrix else formula
                factor = Factor(LocalRule.SLOPE, slope, self.shape(target) if self.matrix else None)
                changes = tuple(Change(i, product_value((factor, *self.arcs[i].factors))) for i in places)
                arc = self.arcs[places[0]]
                about = (target.name, arc.tail, name)
                yield self.made(
                    "wrong-activation", "slope-without-function", 2, arc, Variant(changes), changes[0].value, about
                )

    def past_slopes(self) -> Iterator[TableMistake]:
        """What comes back from the next step is added behind the slope instead of before it."""
        for state in self.model.cell.states:
            match self.model.definition[state].expression:
                case Call(_, Quantity(inner, 0, index)) if index:
                    carried = [i for i, arc in enumerate(self.arcs) if arc.tail == state and arc.lag]
                    added = tuple(
                        (replace(self.arcs[i], tail=inner, initial=state), self.arcs[i].value) for i in carried
                    )
                    variant = Variant(tuple(Change(i, None) for i in carried), added)
                    kind = "output-derivative" if state == "y" else "wrong-activation"
                    arc = self.arcs[carried[0]]
                    yield self.made(kind, "carry-past-slope", 2, arc, variant, None, (state, inner))

    # -- shapes ---------------------------------------------------------------------------------------------------

    def shape(self, value: Expression) -> tuple[str, str]:
        return shape_of(value, self.model.names)

    def size(self, value: Expression) -> int:
        return self.number(self.shape(value)[0])

    def square(self, value: Expression) -> bool:
        rows, columns = self.shape(value)
        return self.number(rows) == self.number(columns) and rows != "1"

    def number(self, size: str) -> int:
        from rnn_symbolic.arrays import size_of

        return size_of(size, self.sizes)


def _earlier(q: Quantity, state: str) -> bool:
    return q.name == state and bool(q.index) and bool(q.step) and (q.step or 0) < 0


def _inner(value: Expression) -> Expression:
    return value.vector if isinstance(value, Diagonal) else value


def _commute(one: Factor, two: Factor) -> bool:
    def plain(factor: Factor) -> bool:
        return isinstance(factor.value, Diagonal | Identity | Ones | Number) or factor.shape == ("1", "1")

    return plain(one) and plain(two)


def _one_minus(value: Expression) -> Expression:
    return Add((ONE, Multiply((MINUS_ONE, value))))


def _negated(factors: Product, matrix: bool) -> Product:
    if factors and factors[0].value == MINUS_ONE:
        return factors[1:]
    return (Factor(LocalRule.NUMBER, MINUS_ONE, ("1", "1") if matrix else None), *factors)
