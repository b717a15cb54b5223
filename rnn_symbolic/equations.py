r"""The small language cells are written in: text -> records, safely.

    name = expression            a quantity at the generic step t;  ``loss = …`` is the loss of one step
    scalar name                  declares a learnable scalar
    name[t-1] … name[t-9]        a state, k steps back: h[t-1] is h_{t-1}
    u + v   u - v   u * v   u / v   u ** 2   W @ v   phi(u)   (u)   0.1   # comment

A name on the left is a *quantity*; x is the input, d the target, y the output; every other name is a
*parameter*. Constants are exact: 0.1 is the fraction 1/10, and 1/3 + 1/6 is read as 1/2.

Nothing is evaluated. A scanner decides what a line may contain and says what is wrong, with the column;
only then does Python's own parser build the tree, of which a short list of nodes is accepted.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING, NoReturn

from rnn_symbolic.errors import CellError, suggest
from rnn_symbolic.expressions import (
    MINUS_ONE,
    ONE,
    Apply,
    Call,
    Expression,
    Multiply,
    Number,
    Power,
    Quantity,
    add,
    multiply,
)
from rnn_symbolic.frozen import frozen
from rnn_symbolic.functions import LOSS_ONLY
from rnn_symbolic.scanner import EVERY_FUNCTION, GIVEN, RESERVED, Line, short, split_lines

if TYPE_CHECKING:
    import sympy as sp

MAX_EXPONENT = MAX_ROOT = 16  # exponents are p/q with |p/q| and q up to this
MAX_CONSTANT, MAX_BITS = 10**100, 400

OTHER_NAMES = {"sigmoid": "logistic", "ln": "log", "id": "identity"}
SHAPE_OF_A_STEP = re.compile(r"(.+)_(?:\d+|t|T)")  # h_3 and h_t are how steps of h are written
PRODUCTS = (ast.Mult, ast.Div, ast.MatMult)
SUMS = (ast.Add, ast.Sub)


@frozen
class Equation:
    """target = expression.

    At a generic step the quantities carry the index "t" (h[t-1] is ``Quantity("h", -1, "t")``); in an
    unrolled model they carry numbers.
    """

    target: Quantity
    expression: Expression

    @property
    def t(self) -> int | None:
        """The step of the target; 0 at the generic step, counted from the index t."""
        return self.target.step

    @property
    def lhs(self) -> sp.Expr:
        """The target, as SymPy reads it."""
        from rnn_symbolic.symbols import read

        return read(self.target)

    @property
    def rhs(self) -> sp.Expr:
        """The expression, as SymPy reads it."""
        from rnn_symbolic.symbols import read

        return read(self.expression)

    def __str__(self) -> str:
        from rnn_symbolic.printing import latex
        from rnn_symbolic.unicode import plain

        return plain(f"{latex(self.target)} = {latex(self.expression)}")

    def _repr_latex_(self) -> str:
        from rnn_symbolic.printing import latex

        return "$\\displaystyle " + latex(self.target) + " = " + latex(self.expression) + "$"


@frozen
class Reading:
    """What a cell's text says.

    ``states`` are the names used with a lag, by first lagged use, and ``lags`` the greatest lag of each;
    ``parameters`` stand in the order in which the equations first mention them, scalars included.
    """

    equations: tuple[Equation, ...]
    loss: Expression | None
    states: tuple[str, ...]
    lags: tuple[int, ...]
    parameters: tuple[str, ...]
    scalars: tuple[str, ...]
    uses_input: bool


def read_cell_text(text: str) -> Reading:
    r"""The equations of a cell, or a `CellError` with the line and column (a tab counts as one).

    >>> reading = read_cell_text("h = tanh(W_h @ h[t-1] + x / 2)\ny = h ** 2")
    >>> reading.equations[1].expression
    Power(base=Quantity(name='h', step=0, index='t'), exponent=Fraction(2, 1))
    >>> reading.states, reading.lags, reading.parameters, reading.uses_input
    (('h',), (1,), ('W_h',), True)
    >>> read_cell_text("y = sigma(W_y @ x")
    Traceback (most recent call last):
    rnn_symbolic.errors.CellError: line 1, column 10: '(' is never closed; an equation stands on one line
    """
    lines, scalars = split_lines(text)
    targets = {line.target: line for line in lines}
    reader = _Reader(lines[0], targets, scalars)
    meaning = {line.target: reader.read(line) for line in lines}
    loss = meaning.pop("loss", None)
    equations = (Equation(Quantity(name, 0, "t"), expression) for name, expression in meaning.items())
    _check_use(lines, scalars, reader)
    _check_collisions(targets, reader.parameters)
    return Reading(
        tuple(equations),
        loss,
        states=tuple(reader.lags),
        lags=tuple(reader.lags.values()),
        parameters=tuple(reader.parameters),
        scalars=tuple(scalars),
        uses_input=reader.uses_input,
    )


def _check_use(lines: list[Line], scalars: dict[str, tuple[int, int]], reader: _Reader) -> None:
    """Every equation must reach y or the loss, and every scalar an equation."""
    if "y" not in reader.targets:
        message = "no equation defines y, the output; write for example 'y = sigma(h)'"
        raise CellError(message, lines[-1].number, lines[-1].target_column)
    if "loss" in reader.targets and not reader.mentions["loss"]:
        line = reader.targets["loss"]
        message = "the loss mentions no quantity of the cell; write for example 'loss = sum((y - d) ** 2)'"
        raise CellError(message, line.number, line.start + 1)
    used, waiting = set[str](), ["y", "loss"]
    while waiting:
        if (name := waiting.pop()) not in used:
            used.add(name)
            waiting.extend(reader.mentions.get(name, ()))
    for line in lines:
        if line.target not in used:
            message = f"nobody uses {line.target!r}: neither y nor a loss line depends on it"
            raise CellError(message + "; use it or drop it", line.number, line.target_column)
    for name, place in scalars.items():
        if name not in reader.parameters:
            raise CellError(f"no equation uses the scalar {name!r}{suggest(name, reader.parameters)}", *place)


def _check_collisions(targets: dict[str, Line], parameters: dict[str, tuple[int, int]]) -> None:
    """Refuse h_1, h_t beside a quantity h: that is how the steps of h are written."""
    places = {line.target: (line.number, line.target_column) for line in targets.values()} | parameters
    for name, place in sorted(places.items(), key=lambda item: item[1]):
        match = SHAPE_OF_A_STEP.fullmatch(name)
        if match and match[1] in {*targets, *GIVEN, "l", "ell"}:
            message = f"{name!r} would read as {match[1]!r} at a step; choose another name"
            raise CellError(message, *place)


@dataclass(slots=True)
class _Reader:
    """Trees to records, line by line; what the lines mention is collected on the way."""

    line: Line  # the one being read
    targets: dict[str, Line]
    scalars: dict[str, tuple[int, int]]
    lags: dict[str, int] = field(default_factory=dict)
    parameters: dict[str, tuple[int, int]] = field(default_factory=dict)
    mentions: dict[str, list[str]] = field(default_factory=dict)
    uses_input: bool = False

    def read(self, line: Line) -> Expression:
        self.line = line
        self.mentions[line.target] = []
        return self.expression(line.tree())

    def fail(self, node: ast.expr, message: str) -> NoReturn:
        raise self.line.error(node.col_offset, message)

    def source(self, node: ast.expr) -> str:
        return self.line.source(node)

    def expression(self, node: ast.expr) -> Expression:
        match node:
            case ast.Name(name):
                return self.name(node, name)
            case ast.Constant(int() | float() as value) if not isinstance(value, bool):
                return self.literal(node)
            case ast.Subscript():
                return self.lagged(node)
            case ast.UnaryOp(ast.UAdd(), operand):
                return self.expression(operand)
            case ast.UnaryOp(ast.USub(), operand):
                return _negative(self.expression(operand))
            case ast.BinOp(op=ast.Add() | ast.Sub()):
                return self.sum(node)
            case ast.BinOp(op=ast.Mult() | ast.Div() | ast.MatMult()):
                return self.product(node)
            case ast.BinOp(op=ast.Pow()):
                return self.power(node)
            case ast.Call():
                return self.call(node)
        self.fail(node, f"{self.source(node)!r} is outside the language of cells")

    def name(self, node: ast.expr, name: str) -> Quantity:
        if name in RESERVED:
            self.fail(node, f"{name!r} is {RESERVED[name]} and cannot be used as a quantity; rename it")
        if name in EVERY_FUNCTION:
            self.fail(node, f"{name!r} is a function; write {name}(...)")
        if name == "d" and self.line.target != "loss":
            self.fail(node, "'d' is the target and is read in a loss line only")
        if name in GIVEN:
            self.uses_input |= name == "x"
            return Quantity(name, 0, "t")
        if name == self.line.target:
            message = f"{name!r} is used in the line that defines it"
            self.fail(node, f"{message}; write '{name}[t-1]' for its value one step back")
        if name not in self.targets:
            self.parameters.setdefault(name, (self.line.number, self.line.start + node.col_offset + 1))
            return Quantity(name)
        if name not in self.mentions:
            message = f"{name!r} is used before line {self.targets[name].number} defines it"
            self.fail(node, f"{message}; move it up, or write '{name}[t-1]' for its value one step back")
        self.mentions[self.line.target].append(name)
        return Quantity(name, 0, "t")

    def lagged(self, node: ast.Subscript) -> Quantity:
        name, offset = self.source(node.value), node.value.end_col_offset or 0
        if not isinstance(node.value, ast.Name):
            self.fail(node, "only a name can stand before [t-1]; define the rest in an equation of its own")
        index = re.sub(r"[ \t]", "", self.line.body[offset : node.end_col_offset])
        if re.fullmatch(r"\[t([+-]0)?\]", index):
            message = f"a quantity at step t is written bare: {name!r}, not '{name}{index}'"
            raise self.line.error(offset, message)
        if name in GIVEN:
            hint = ": 's = x', then 's[t-1]'" if name == "x" else ""
            message = f"{GIVEN[name]} {name!r} is read at step t only; write a state{hint}"
            raise self.line.error(offset, message)
        if name in RESERVED or name in EVERY_FUNCTION:
            self.fail(node, f"{name!r} is {RESERVED.get(name, 'a function')} and has no earlier step")
        lag = re.fullmatch(r"\[t-([1-9])\]", index)
        if not lag:
            longer = re.fullmatch(r"\[t-[0-9]+\]", index)
            hint = f"; for a longer lag write 'k = {name}[t-9]', then 'k[t-1]'" if longer else ""
            raise self.line.error(offset, f"expected [t-1] to [t-9], found {short(index)!r}{hint}")
        if name not in self.targets:
            message = f"{name!r} is used with {index}, but no equation defines it"
            near = suggest(name, set(self.targets) - {"loss"})
            self.fail(node, message + (near or "; a parameter has no earlier step"))
        self.lags[name] = max(self.lags.get(name, 0), int(lag[1]))
        self.mentions[self.line.target].append(name)
        return Quantity(name, -int(lag[1]), "t")

    def number(self, value: Fraction, node: ast.expr) -> Number:
        if abs(value) > MAX_CONSTANT:
            self.fail(node, f"the constant {self.source(node)!r} is larger than 1e100")
        if max(value.numerator.bit_length(), value.denominator.bit_length()) > MAX_BITS:
            self.fail(node, f"the constant {self.source(node)!r} takes more than {MAX_BITS} bits; round it")
        return Number(value)

    def literal(self, node: ast.expr) -> Number:
        text = self.line.body[node.col_offset : node.end_col_offset]
        exponent = re.split("[eE]", text)[1:]  # before Fraction: 1e999999999 would fill the memory
        if exponent and abs(int(exponent[0])) > MAX_BITS:
            self.fail(node, f"the constant {self.source(node)!r} lies outside 1e-100 to 1e100")
        return self.number(Fraction(text), node)

    def sum(self, node: ast.BinOp) -> Expression:
        first, links = _spine(node, SUMS)
        terms = [self.expression(first)]
        for link in links:
            term = self.expression(link.right)
            term = _negative(term) if isinstance(link.op, ast.Sub) else term
            if len(terms) == 1 and isinstance(terms[0], Number) and isinstance(term, Number):
                terms[0] = self.number(terms[0].value + term.value, link)
            else:
                terms.append(term)
        return add(*terms)

    def product(self, node: ast.BinOp) -> Expression:
        first, links = _spine(node, PRODUCTS)
        for inner, outer in pairwise(links):
            mixed = isinstance(inner.op, ast.MatMult) != isinstance(outer.op, ast.MatMult)
            # A bracket around the inner product makes the outer one begin further left.
            if mixed and inner.col_offset == outer.col_offset:
                raise self.mixed(inner, outer)
        result = self.expression(first)
        for link in links:
            factor = self.expression(link.right)
            if isinstance(link.op, ast.MatMult):
                result = self.apply(link, result, factor)
                continue
            if isinstance(link.op, ast.Div):
                factor = self.reciprocal(factor, link)
            if isinstance(result, Number) and isinstance(factor, Number):
                result = self.number(result.value * factor.value, link)
            else:
                result = multiply(result, factor)
        return result

    def apply(self, link: ast.BinOp, left: Expression, right: Expression) -> Expression:
        for side in (left, right):
            if isinstance(side, Number) or (isinstance(side, Quantity) and side.name in self.scalars):
                what = "a number" if isinstance(side, Number) else f"the scalar {side.name!r}"
                raise self.line.error(self.operator(link), f"'@' multiplies by a matrix; for {what} write *")
        if isinstance(left, Multiply) and left.factors[0] == MINUS_ONE:
            # -W @ h: the sign goes in front of the product, so that a matrix stands left of @.
            return multiply(MINUS_ONE, Apply(multiply(*left.factors[1:]), right))
        return Apply(left, right)

    def reciprocal(self, divisor: Expression, node: ast.BinOp) -> Expression:
        if isinstance(divisor, Number):
            if divisor.value == 0:
                raise self.line.error(self.operator(node), f"division by zero in {self.source(node)!r}")
            return self.number(1 / divisor.value, node)
        if isinstance(divisor, Power):  # u / v ** 2 is u v^-2, not u (v^2)^-1
            return divisor.base if divisor.exponent == -1 else Power(divisor.base, -divisor.exponent)
        return Power(divisor, Fraction(-1))

    def power(self, node: ast.BinOp) -> Expression:
        base, exponent = self.expression(node.left), self.expression(node.right)
        if not isinstance(exponent, Number):
            self.fail(node.right, f"an exponent is a number, not {self.source(node.right)!r}; try exp, log")
        value = exponent.value
        if abs(value) > MAX_EXPONENT or value.denominator > MAX_ROOT:
            message = f"an exponent is a fraction p/q of size up to {MAX_EXPONENT} with q up to {MAX_ROOT}"
            self.fail(node.right, f"{message}, not {self.source(node.right)!r}")
        if isinstance(base, Number):
            if value.denominator > 1 or (base.value == 0 and value <= 0):
                self.fail(node, f"{self.source(node)!r} is no fraction; write its value as a number, if any")
            return self.number(base.value ** int(value), node)
        if value in (0, 1):
            return base if value else ONE
        return Power(base, value)

    def call(self, node: ast.Call) -> Expression:
        if not isinstance(node.func, ast.Name) or len(node.args) != 1 or node.keywords:
            self.fail(node, "a function is a name with one argument")
        name = node.func.id
        if name in self.targets or name in GIVEN:
            self.fail(node, f"{name!r} is no function; write {name} * (...) or {name} @ (...)")
        if name not in EVERY_FUNCTION:
            other = f" Did you mean {OTHER_NAMES[name]!r}?" if name in OTHER_NAMES else ""
            hint = other or suggest(name, EVERY_FUNCTION)
            hint = hint or f" To multiply write {name} * (...) or {name} @ (...)."
            self.fail(node, f"unknown function {name!r}; known are {', '.join(EVERY_FUNCTION)}.{hint}")
        if name in LOSS_ONLY and self.line.target != "loss":
            self.fail(node, f"{name!r} is read in a loss line only")
        argument = self.expression(node.args[0])
        if isinstance(argument, Number):
            # exp(exp(exp(10))) fits on a line and its value in no memory: no function of a constant is read.
            self.fail(node, f"{self.source(node)!r} is a constant; write its value as a number")
        return Call(name, argument)

    def operator(self, node: ast.BinOp) -> int:
        """The place of a product's operator: between the operands there are only brackets besides."""
        gap = re.compile(r"[*/@]").search(self.line.body, node.left.end_col_offset or 0)
        return gap.start() if gap else node.col_offset

    def mixed(self, inner: ast.BinOp, outer: ast.BinOp) -> CellError:
        """The refusal of f * W @ h, which Python would read as (f * W) @ h."""
        body, first, second = self.line.body, self.operator(inner), self.operator(outer)
        u, v = body[inner.col_offset : first].strip(), body[first + 1 : second].strip()
        w = body[second + 1 : outer.end_col_offset].strip()
        last = body[second] == "@"
        better = f"{u} {body[first]} ({v} @ {w})" if last else f"({u} @ {v}) {body[second]} {w}"
        better = better if len(better) <= 60 else "f * (W @ h)"
        message = f"'@' and {(body[first] + body[second]).replace('@', '')!r} bind alike"
        return self.line.error(second, f"{message}; say with brackets what is meant, such as '{better}'")


def _spine(node: ast.BinOp, operators: tuple[type[ast.operator], ...]) -> tuple[ast.expr, list[ast.BinOp]]:
    """a + b + c is ((a + b) + c): the operand a, and the operations from the inside out (no recursion)."""
    links: list[ast.BinOp] = []
    first: ast.expr = node
    while isinstance(first, ast.BinOp) and isinstance(first.op, operators):
        links.append(first)
        first = first.left
    return first, links[::-1]


def _negative(expression: Expression) -> Expression:
    """-u: the sign is the first factor; two signs cancel."""
    if isinstance(expression, Number):
        return Number(-expression.value)
    if isinstance(expression, Multiply) and expression.factors[0] == MINUS_ONE:
        return multiply(*expression.factors[1:])
    return multiply(MINUS_ONE, expression)
