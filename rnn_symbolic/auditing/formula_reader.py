r"""Formulas that somebody wrote for a gradient, as records: every step a number, every sum and product written out.

    dW_x = sum(t=1..T, sum(k=1..t, l'(y[t]) * sigma'(o[t]) * W_y * prod(j=t..k+1 by -1, sigma'(a[j]) * W_h)
           * sigma'(a[k]) * x[k]))                                                              scalar form
    dW_h = sum(k=1..3, diag(sigma'(a[k])) @ W_y.T @ diag(sigma'(o[k])) @ l'(y[k]) @ h[k-1].T)   matrix form, …

A left side is d and a parameter, or d and a quantity at a step: dh[2], dh_0. Quantities stand at a step, q[3] or q_3;
T and bound variables are numbers. A gradient by a later quantity may stand on the right side (dW_y = do[1]*h[1]): it
is taken for right there, and audited where it is written. Constants are exact. ``sigma`` is the function that the
model has in its place: the output activation where its argument is that of σ in the equation of y, else the activation.
l'(y[t]) is ∂⁺ℓ_t/∂y_t, in matrix form the column ∇ℓ_t(y_t), worked out where the loss is known. I is the identity.

In matrix form ``@`` is the product of matrices and ``*`` that of two of one shape, or with a number; beside each other
without brackets they are refused, as in cells. ``prod`` of columns is elementwise, of matrices ordered as counted; an
empty one is the identity. The order of matrices is kept as written; numbers stand in front of them. In scalar form all
is a number, and the order of all factors is kept.

Nothing is evaluated: a tokenizer, a parser bounded in depth, and an expansion bounded in size.
"""

from __future__ import annotations

from fractions import Fraction
from typing import NoReturn

from rnn_symbolic.auditing.formula_names import LOSS, Vocabulary
from rnn_symbolic.auditing.formula_refusals import mixed, unequal, unfit
from rnn_symbolic.auditing.formula_syntax import (
    Application,
    Index,
    Literal,
    Mention,
    Negative,
    Node,
    Product,
    Raised,
    Range,
    Sum,
    Transposed,
    parse_formula,
)
from rnn_symbolic.auditing.formula_tokens import Source, split_formulas
from rnn_symbolic.auditing.formula_values import (
    NOTHING,
    UNIT,
    Factors,
    Misfit,
    Unfit,
    Value,
    added,
    common,
    constant,
    diagonal,
    exponent_of,
    has_entries,
    negative,
    power,
    reciprocal,
    scalar,
    sizes,
    sloped,
    transposed,
    with_entries,
)
from rnn_symbolic.auditing.formula_writing import CellWriting
from rnn_symbolic.equations import MAX_BITS
from rnn_symbolic.expressions import (
    MINUS_ONE,
    ONE,
    Add,
    Call,
    Chain,
    Derivative,
    Diagonal,
    Expression,
    Identity,
    Quantity,
    Transpose,
    walk,
)
from rnn_symbolic.frozen import frozen
from rnn_symbolic.functions import MATRIX_ONLY
from rnn_symbolic.jacobians import SCALAR, shape_of
from rnn_symbolic.model import Model

MAX_PARTS = 200_000
"""How many parts the formulas of one text may have when every sum and product is written out."""

Scope = dict[str, int]


@frozen
class Formula:
    """What somebody says ∂L/∂goal is; ``transposed`` when it has the shape of the Jacobian layout, goalᵀ.

    ``line`` is where it begins, ``source`` its text on one line without comments.
    """

    goal: Quantity
    expression: Expression
    line: int
    source: str
    transposed: bool = False

    @property
    def terms(self) -> tuple[Expression, ...]:
        """The terms of the sum, in the order written."""
        return self.expression.terms if isinstance(self.expression, Add) else (self.expression,)


def read_formulas(text: str, model: Model) -> tuple[Formula, ...]:
    r"""The formulas of a text, one for each goal, with all indices numbers.

    >>> from rnn_symbolic.model import unroll
    >>> (found,) = read_formulas("dW_y = sum(t=1..T, l'(y[t]) * sigma'(o[t]) * h[t])", unroll("elman", steps=2))
    >>> str(found.goal), [str(term.factors[-1]) for term in found.terms]
    ('W_y', ['h_1', 'h_2'])
    >>> read_formulas("dW_y = l'(y[1]) @ h[1]", unroll("elman", form="matrix"))
    Traceback (most recent call last):
    rnn_symbolic.errors.FormulaError: line 1, column 17: "l'(y[1])" (n_y × 1) @ 'h[1]' (n_h × 1) does not fit: ...

    Raises FormulaError with line and column: for what is outside the language, a name without a meaning, a step out of
    range, shapes that do not fit, a result whose shape is neither that of the goal nor its transposed one, a goal
    that comes twice, and a text that is too long or expands to more than `MAX_PARTS` parts.
    """
    reader = _Reader(model)
    found: dict[Quantity, Formula] = {}
    for source in split_formulas(text):
        formula = reader.read(source)
        if formula.goal in found:
            before = found[formula.goal].line
            raise source.error(0, f"the formula for {formula.goal} stands in line {before} already; add the two up")
        found[formula.goal] = formula
    return tuple(found.values())


class _Reader:
    """Trees to records, formula by formula; what is common to all of them is worked out once."""

    def __init__(self, model: Model) -> None:
        self.model, self.names, self.vocabulary = model, model.names, Vocabulary(model)
        self.matrix = model.form == "matrix"
        self.parts, self.ranges = 0, list[Range]()
        self.source = Source("", ((0, 1, 1),))
        self.writing = CellWriting(model)
        self.goal = Quantity("L")  # of the formula that is being read
        self.rates: dict[Quantity, tuple[Value, int]] = {}  # with their numbers of parts

    def read(self, source: Source) -> Formula:
        self.source, self.ranges = source, []
        target, body = parse_formula(source)
        step = None if target.index is None else self.step(target.index, {})
        goal = self.vocabulary.goal(source, target, step)
        self.vocabulary.check(source, body)
        self.goal = goal
        value = self.value(body, {})
        transposed = self.oriented(goal, value, body)
        if value.shape is None and self.model.is_matrix(goal) and not value.is_zero:
            rows, columns = shape_of(goal, self.names)
            value = Value(value.scalars, Identity(rows), (rows, columns))
        return Formula(goal, value.expression, source.starts[0][1], source.text, transposed)

    def oriented(self, goal: Quantity, value: Value, body: Node) -> bool:
        """Whether the formula has the shape of goalᵀ; refuses any other shape than this and the goal's."""
        if not self.matrix or value.is_zero:
            return False
        expected, found = shape_of(goal, self.names), value.shape
        if found == expected or (found is None and expected[0] == expected[1]):
            return False
        if found == expected[::-1]:
            return True
        layouts = sizes(expected) if expected == expected[::-1] else f"{sizes(expected)} (or {sizes(expected[::-1])})"
        self.fail(body, f"the formula for d{goal} is {sizes(found)}, and has to be {layouts}, as {goal} is")

    # -- refusals --

    def fail(self, node: Node, message: str) -> NoReturn:
        raise self.source.error(node.start, message)

    def quote(self, node: Node) -> str:
        return self.source.quote(node.start, node.end)

    def charge(self, amount: int, node: Node) -> None:
        self.parts += amount
        if self.parts > MAX_PARTS:
            message = f"written out, the formulas have more than {MAX_PARTS} parts"
            raise self.source.error(
                (self.ranges[0] if self.ranges else node).start, f"{message}; lower --steps, or factor sums out"
            )

    # -- expansion --

    def value(self, node: Node, scope: Scope) -> Value:
        """What a part is worth, its bound variables being numbers."""
        self.charge(1, node)
        try:
            return self.expanded(node, scope)
        except Misfit as error:
            self.fail(node, f"{error}: {self.quote(node)!r}")

    def expanded(self, node: Node, scope: Scope) -> Value:
        match node:
            case Literal(text=text):
                return self.literal(node, text)
            case Mention():
                return self.mention(node, scope)
            case Sum(terms=terms):
                return self.sum([(sign, term, scope) for sign, term in terms])
            case Product():
                return self.product(node, scope)
            case Negative(of=of):
                return negative(self.value(of, scope))
            case Transposed(of=of):
                return transposed(self.value(of, scope))
            case Raised(base=base, exponent=exponent):
                return power(self.value(base, scope), self.exponent(exponent, scope))
            case Range():
                return self.range(node, scope)
            case Application():
                return self.application(node, scope)
        raise TypeError(f"no reading of {type(node).__name__}")

    def exponent(self, node: Node, scope: Scope) -> Fraction:
        try:
            return exponent_of(self.value(node, scope))
        except Misfit as error:
            self.fail(node, f"{error}: {self.quote(node)!r}")

    def literal(self, node: Node, text: str) -> Value:
        exponent = text.lower().partition("e")[2]  # before Fraction: 1e999999999 would fill the memory
        if exponent and (len(exponent) > 6 or abs(int(exponent)) > MAX_BITS):
            self.fail(node, f"the constant {self.quote(node)!r} lies outside 1e-100 to 1e100")
        return constant(Fraction(text))

    def step(self, index: Index, scope: Scope) -> int:
        numbers = {**scope, "T": self.model.steps} if index.names else scope
        for _, name, at in index.names:
            if name not in numbers:
                raise self.source.error(at, f"{name!r} is no step: the step of a left side is a whole number, or T")
        return index.constant + sum(sign * numbers[name] for sign, name, _ in index.names)

    def mention(self, node: Mention, scope: Scope) -> Value:
        name = node.name
        if name in scope:
            return scalar_number(scope[name])
        quantity = self.vocabulary.split(name)
        adjoint = None
        if quantity is None:
            quantity = adjoint = self.vocabulary.adjoint(name)
        if quantity is None:
            return scalar_number(self.model.steps) if name == "T" else self.unit
        if node.index is not None:
            quantity = Quantity(quantity.name, self.step(node.index, scope))
            if message := self.vocabulary.out_of_range(quantity):
                where = ", ".join(
                    f"{variable} = {scope[variable]}" for _, variable, _ in node.index.names if variable != "T"
                )
                self.fail(node, f"at {where}, {message}" if where else message)
        if adjoint is not None:
            return self.adjoint(node, quantity)
        return with_entries(quantity, shape_of(quantity, self.names) if self.matrix else SCALAR)

    def adjoint(self, node: Node, quantity: Quantity) -> Value:
        """The gradient by a quantity that is computed later, taken for right: its own line is read for itself."""
        if not self.vocabulary.follows(quantity, self.goal):
            message = f"d{quantity} is not known yet when d{self.goal} is computed"
            self.fail(node, f"{message}: a gradient follows from those by later quantities")
        gradient = Derivative(Quantity("L"), quantity)
        if not self.matrix:
            return with_entries(gradient, SCALAR)
        return with_entries(Transpose(gradient), shape_of(quantity, self.names))

    @property
    def unit(self) -> Value:
        return UNIT if self.matrix else scalar(ONE)

    # -- sums and products --

    def sum(self, terms: list[tuple[int, Node, Scope]]) -> Value:
        values, first, shape = list[Value](), None, None
        for sign, node, scope in terms:
            value = self.value(node, scope)
            value = value if sign > 0 else negative(value)
            values.append(value)
            if value.is_zero:
                continue
            try:
                shape = value.shape if first is None else common(shape, value.shape)
            except Misfit:
                assert first is not None
                self.fail(node, unequal(self.quote(first), shape, self.quote(node), value.shape))
            if first is None or (value.has_entries and shape == value.shape):
                first = node
        return added(values, shape)

    def product(self, node: Product, scope: Scope) -> Value:
        value, before = self.value(node.first, scope), node.first
        total = Factors(value)
        shape = value.shape  # of what stands before the operator
        operators = [operator for operator, _, _ in node.links]
        conforming = self.matrix and "@" in operators
        for operator, at, factor in node.links:
            value = self.value(factor, scope)
            entries = has_entries(total.shape) and has_entries(value.shape)
            if entries and operator != "@" and conforming:
                raise self.source.error(at, mixed(operators, operator))
            try:
                value = reciprocal(value) if operator == "/" else value
                total.times(value, matrix=self.matrix and operator == "@")
            except Misfit as error:
                message = f"{error}: '{operator} {self.quote(factor)}'"
                if isinstance(error, Unfit):
                    message = unfit(operator, (self.quote(before), shape), (self.quote(factor), value.shape))
                raise self.source.error(at, message) from None
            if value.has_entries or shape == SCALAR:
                before, shape = factor, value.shape
        return total.value()

    def range(self, node: Range, scope: Scope) -> Value:
        first, last = self.step(node.first, scope), self.step(node.last, scope)
        steps = range(first, last + (1 if node.by > 0 else -1), node.by)
        self.ranges.append(node)
        # one part for each step at least, before a list of them is made
        self.charge(len(steps), node)
        scopes = [{**scope, node.variable: step} for step in steps]
        found = self.added(node, scopes) if node.kind == "sum" else self.multiplied(node, scopes)
        self.ranges.pop()
        return found

    def added(self, node: Range, scopes: list[Scope]) -> Value:
        return self.sum([(1, node.body, scope) for scope in scopes]) if scopes else NOTHING

    def multiplied(self, node: Range, scopes: list[Scope]) -> Value:
        """Columns elementwise, everything else as matrices; the order is that of the range."""
        if not scopes:
            return self.unit
        total: Factors | None = None
        for scope in scopes:
            value = self.value(node.body, scope)
            if total is None:
                total = Factors(value)
                continue
            one = total.shape
            try:
                total.times(value, matrix=value.is_matrix or value.is_row)
            except Unfit:
                shapes = sizes(one) if one == value.shape else f"{sizes(one)} and then {sizes(value.shape)}"
                self.fail(node.body, f"prod multiplies numbers, columns or square matrices, and this is {shapes}")
        assert total is not None
        return total.value()

    # -- functions --

    def application(self, node: Application, scope: Scope) -> Value:
        if node.name in LOSS:
            return self.loss_rate(node, scope)
        values = [self.value(argument, scope) for argument in node.arguments]
        argument = values[0]
        if node.name == "diag":
            return diagonal(argument) if self.matrix else argument
        if node.name == "outer":
            return self.outer(node, *values)
        if argument.number is not None or argument.is_zero or argument.shape is None:
            self.fail(node, f"{self.quote(node)!r} is a function of a constant; write its value as a number")
        if argument.is_matrix:
            self.fail(node, f"{node.name} is elementwise and takes a vector, and this is {sizes(argument.shape)}")
        as_written = self.writing.of(argument.expression)
        if as_written != argument.expression:
            argument = with_entries(as_written, argument.shape or SCALAR)
        function = self.writing.activation(as_written) if node.name == "sigma" else node.name
        if function in MATRIX_ONLY:
            return self.softmax(node, argument)
        if node.order:
            return sloped(function, argument)
        if function == "identity" and node.name == "sigma":
            return argument
        return with_entries(Call(function, argument.expression), argument.shape or SCALAR)

    def outer(self, node: Application, u: Value, v: Value) -> Value:
        factors = Factors(u)
        if self.matrix:
            for part, value in zip(node.arguments, (u, v), strict=True):
                if not value.is_column:
                    self.fail(part, f"outer takes two columns, and {self.quote(part)!r} is {sizes(value.shape)}")
        factors.times(transposed(v), matrix=self.matrix)
        return factors.value()

    def softmax(self, node: Application, argument: Value) -> Value:
        """softmax(z), or its Jacobian diag(p) − p pᵀ, where p has the name that the cell gives it."""
        if not argument.is_column or argument.shape is None:
            what = "mixes the components of a vector" if self.matrix else "has no scalar reading"
            self.fail(node, f"softmax {what}; its argument is {sizes(argument.shape)}")
        if not node.order:
            return with_entries(Call("softmax", argument.expression), argument.shape)
        p, size = self.writing.softmax(argument.expression), argument.shape[0]
        return with_entries(Add((Diagonal(p), Chain((MINUS_ONE, p, Transpose(p))))), (size, size))

    def loss_rate(self, node: Application, scope: Scope) -> Value:
        """∂⁺ℓ_t/∂q_t from the table, as a column."""
        (argument,) = node.arguments
        quantity = self.value(argument, scope).expression
        if not isinstance(quantity, Quantity) or quantity.step is None:
            self.fail(argument, f"{node.name}' takes a quantity at a step, as in {node.name}'(y[1])")
        if quantity not in self.rates:
            found = self.writing.loss_rate(quantity)
            if found is None:
                known = ", ".join(f"{node.name}'({name}[t])" for name in self.writing.read_by_loss)
                message = f"the loss of a step does not read {quantity}; there is {known or 'no such derivative'}"
                self.fail(node, message)
            shape = shape_of(quantity, self.names) if self.matrix else SCALAR
            self.rates[quantity] = with_entries(found, shape), sum(1 for _ in walk(found))
        value, parts = self.rates[quantity]
        self.charge(parts, node)
        return value


def scalar_number(value: int) -> Value:
    return constant(Fraction(value))
