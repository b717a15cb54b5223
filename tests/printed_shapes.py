r"""The shapes of printed formulas: a reader of the LaTeX of matrix documents that shares nothing with the package.

    sizes = Sizes({"n_x": 11, "n_h": 13}, {"W_x": ("n_h", "n_x"), "x": ("n_x",), "h": ("n_h",)})
    shape(r"W_{x}^{\top}\,\nabla_{h_{t}} L", sizes)        # (11, 1)
    shape(r"W_{x}\,\nabla_{h_{t}} L", sizes)               # raises Misfit: 13 × 11 times 13 × 1

It parses sums, products and what is in them, checks that every product is conformable and every sum of equal shapes,
and gives the shape of the whole. ``I``, ``\mathbf{1}``, 0 and dots have the shape that their place asks for: sizes are
linear forms in unknowns, and a product or a sum is an equation between them. A number added to a vector is
added to each component; everything else must fit exactly.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count

from latex_tools import displays


class Misfit(ValueError):
    """A product that is not conformable, a sum of different shapes, or LaTeX outside the vocabulary."""


# --- sizes with unknowns ----------------------------------------------------------------------------------------------


class Unknown:
    """A size that its place will determine."""

    def __init__(self) -> None:
        self.value: Size | None = None


@dataclass(frozen=True, eq=False)
class Size:
    """constant + Σ coefficient · unknown."""

    constant: int
    unknowns: Mapping[Unknown, int] = field(default_factory=dict)

    def __str__(self) -> str:
        found = self.solved()
        return str(found.constant) if not found.unknowns else "?"

    def plus(self, other: Size, times: int = 1) -> Size:
        terms = dict(self.unknowns)
        for unknown, coefficient in other.unknowns.items():
            terms[unknown] = terms.get(unknown, 0) + times * coefficient
        return Size(self.constant + times * other.constant, {u: c for u, c in terms.items() if c})

    def solved(self) -> Size:
        """With every unknown that is determined replaced by what it is."""
        found = Size(self.constant)
        for unknown, coefficient in self.unknowns.items():
            value = unknown.value.solved() if unknown.value is not None else Size(0, {unknown: 1})
            found = found.plus(value, coefficient)
        return found


def unknown() -> Size:
    return Size(0, {Unknown(): 1})


def equal(a: Size, b: Size) -> bool:
    """Whether the two can be equal; if so, from now on they are."""
    difference = a.solved().plus(b.solved(), -1)
    if not difference.unknowns:
        return difference.constant == 0
    chosen, coefficient = min(difference.unknowns.items(), key=lambda item: abs(item[1]))
    rest = Size(difference.constant, {u: c for u, c in difference.unknowns.items() if u is not chosen})
    if not rest.unknowns:
        quotient, remainder = divmod(-rest.constant, coefficient)
        chosen.value = Size(quotient)
        return remainder == 0 and quotient > 0
    if abs(coefficient) != 1:
        raise Misfit("the sizes are not determined")
    chosen.value = Size(0).plus(rest, -coefficient)
    return True


Shape = tuple[Size, Size]
ONE = Size(1)


def is_scalar(shape: Shape) -> bool:
    return all(not size.solved().unknowns and size.solved().constant == 1 for size in shape)


def text(shape: Shape) -> str:
    return f"{shape[0]} × {shape[1]}"


# --- what the symbols are ---------------------------------------------------------------------------------------------

Key = tuple[str, tuple[str, ...]]


@dataclass
class Sizes:
    """Numbers for the sizes, and the shape of each name in them: () a scalar, one size a vector, two a matrix.

    ``states`` are the parts of the joint state. Sizes that are all different, primes best, let nothing hide.
    """

    numbers: Mapping[str, int]
    names: Mapping[str, tuple[str, ...]]
    states: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.keys: dict[Key, tuple[str, ...]] = {_key(name): shape for name, shape in self.names.items()}
        self.of_size = {_key(name): number for name, number in self.numbers.items()}

    def rows_and_columns(self, symbol: Key) -> tuple[int, int] | None:
        """Of a symbol with or without its step; None if there is no such name."""
        base, scripts = symbol
        if base in ("L", r"\ell"):
            return 1, 1
        if base == r"\mathcal{S}":
            return sum(self.numbers[size] for name in self.states for size in self.names[name]), 1
        found = self.keys.get(symbol)
        if found is None and scripts and _STEP.fullmatch(scripts[-1]):
            found = self.keys.get((base, scripts[:-1]))
        if found is None:
            return None
        rows, columns = (*(self.numbers[size] for size in found), 1, 1)[:2]
        return rows, columns


_STEP = re.compile(r"-?\d+|t([+-]\d+)?")


def _key(name: str) -> Key:
    base, *scripts = name.split("_")
    return base, tuple(scripts)


def distinct_sizes(names: Mapping[str, tuple[str, ...]]) -> dict[str, int]:
    """A prime for each size, all different, none small enough to be a sum or a product of others by accident."""
    found = dict.fromkeys(size for shape in names.values() for size in shape)
    primes = (n for n in count(11) if all(n % k for k in range(2, n)))
    return dict(zip(found, primes, strict=False))


# --- the parser -------------------------------------------------------------------------------------------------------

_TOKEN = re.compile(r"\\[A-Za-z]+|\\.|\d+|\S", re.DOTALL)
_FUNCTIONS = {r"\sigma", r"\phi", r"\tanh", r"\exp", r"\log", r"\sin", r"\cos"}
_NAMED_FUNCTIONS = {"logistic", "relu", "softplus", "id", "softmax"}
_REDUCTIONS = {"sum", "logsumexp"}
_TIMES = {r"\,": "product", r"\cdot": "product", r"\odot": "elementwise", r"\otimes": "kronecker"}
_ACCENTS = {r"\mathrm", r"\mathcal"}
_GREEK = re.compile(r"\\(?:alpha|beta|gamma|delta|epsilon|zeta|eta|theta|kappa|lambda|mu|nu|xi|rho|tau|chi|psi|omega)")


@dataclass
class Term:
    """What a parsed piece is: its shape, and whether it is a plain number or a whole with a shape under it."""

    shape: Shape
    number: int | None = None  # an integer literal, or 1 for a fraction of them
    braced: bool = False
    dots: bool = False


class Parser:
    """One formula; ``shape()`` reads it whole. ``bare`` counts the matrices of its top level without a brace below."""

    def __init__(self, tex: str, sizes: Sizes) -> None:
        self.tokens = _TOKEN.findall(tex.replace(r"\allowbreak", ""))
        self.sizes, self.tex = sizes, tex
        self.i, self.depth = 0, 0
        self.bare: list[str] = []
        self.braces = 0

    def whole(self) -> Term:
        found = self.sum()
        if self.i < len(self.tokens):
            raise self.misfit(f"cannot read on at {self.peek()}")
        return found

    def misfit(self, what: str) -> Misfit:
        read = " ".join(self.tokens[max(0, self.i - 12) : self.i])
        return Misfit(f"{what}, after … {read}\n    in {self.tex}")

    # -- tokens --

    def peek(self) -> str:
        return self.tokens[self.i] if self.i < len(self.tokens) else ""

    def take(self, expected: str = "") -> str:
        token = self.peek()
        if not token or (expected and token != expected):
            raise self.misfit(f"{token or 'the end'} in the place of {expected or 'a formula'}")
        self.i += 1
        return token

    def group(self) -> str:
        """The text between braces, unread."""
        self.take("{")
        start, depth = self.i, 1
        while depth:
            depth += {"{": 1, "}": -1}.get(self.take(), 0)
        return " ".join(self.tokens[start : self.i - 1])

    def braced(self) -> Term:
        self.take("{")
        found = self.inner()
        self.take("}")
        return found

    def inner(self) -> Term:
        self.depth += 1
        found = self.sum()
        self.depth -= 1
        return found

    # -- sums and products --

    def sum(self) -> Term:
        if self.peek() == "-":
            self.take()
        found = self.product()
        while self.peek() in ("+", "-"):
            self.take()
            found = self.added(found, self.product())
        return found

    def added(self, a: Term, b: Term) -> Term:
        for one, other in ((a, b), (b, a)):
            if one.number is not None and (other.number is not None or is_column(other.shape)):
                return Term(other.shape, 1 if other.number is not None else None)
        self.same(a.shape, b.shape, "a sum of")
        return Term(a.shape, dots=a.dots and b.dots)

    def same(self, a: Shape, b: Shape, what: str) -> None:
        said = f"{what} {text(a)} and {text(b)}"
        if not (equal(a[0], b[0]) and equal(a[1], b[1])):
            raise self.misfit(said)

    def product(self) -> Term:
        start = self.i
        factors = [self.factor()]
        pieces = [self.tokens[start : self.i]]
        kind = ""
        while (found := _TIMES.get(self.peek())) is not None:
            if kind and found != kind:
                raise self.misfit(f"a {found} beside a {kind}, without parentheses")
            kind = found
            self.take()
            start = self.i
            factors.append(self.factor())
            pieces.append(self.tokens[start : self.i])
        if self.depth == 0:
            unbraced = [(f, p) for f, p in zip(factors, pieces, strict=True) if not (f.braced or f.dots)]
            self.bare += [" ".join(p) for f, p in unbraced if not is_scalar(f.shape)]
        if len(factors) == 1:
            return factors[0]
        return Term(
            {"product": self.chain, "elementwise": self.elementwise, "kronecker": self.kronecker}[kind](factors)
        )

    def chain(self, factors: list[Term]) -> Shape:
        found: Shape | None = None
        for factor in factors:
            if is_scalar(factor.shape):
                continue
            if found is None:
                found = factor.shape
                continue
            said = f"a product of {text(found)} and {text(factor.shape)}"
            if not equal(found[1], factor.shape[0]):
                raise self.misfit(said)
            found = found[0], factor.shape[1]
        return found or (ONE, ONE)

    def elementwise(self, factors: list[Term]) -> Shape:
        for factor in factors:
            if not is_column(factor.shape):
                raise self.misfit(f"an elementwise product with {text(factor.shape)}, which is no column")
            self.same(factors[0].shape, factor.shape, "an elementwise product of")
        return factors[0].shape

    def kronecker(self, factors: list[Term]) -> Shape:
        """vᵀ ⊗ A: as many times the columns of A as v has components."""
        row, matrix = (factor.shape for factor in factors)
        columns = row[1].solved()
        if not (equal(row[0], ONE) and not columns.unknowns and len(factors) == 2):
            raise self.misfit(f"{text(row)} ⊗ {text(matrix)}")
        return matrix[0], Size(0).plus(matrix[1], columns.constant)

    # -- factors --

    def factor(self) -> Term:
        found = self.atom()
        while self.peek() == "^":
            self.take()
            exponent = self.group()
            if exponent == r"\top":
                found = Term(found.shape[::-1])
            elif re.fullmatch(r"\d+( / \d+)?", exponent):
                rows, columns = found.shape
                if not is_column(found.shape) and not equal(rows, columns):
                    raise self.misfit(f"a power of {text(found.shape)}")
                found = Term(found.shape, found.number)
            else:
                raise self.misfit(f"the exponent {exponent}")
        return found

    def atom(self) -> Term:
        token = self.take()
        match token:
            case "(":
                found = self.inner()
                self.take(")")
                return found
            case r"\Bigl":
                self.take("(")
                found = self.inner()
                self.take(r"\Bigr")
                self.take(")")
                return found
            case "{":
                found = self.inner()
                self.take("}")
                return found
            case r"\frac" | r"\tfrac":
                return self.fraction()
            case r"\sqrt":
                return self.braced()
            case r"\begin":
                return self.matrix()
            case r"\underbrace":
                return self.underbrace()
            case r"\nabla":
                return self.gradient()
            case r"\operatorname":
                return self.call(self.group().replace(" ", ""))
            case r"\mathbf":
                if self.group() != "1":
                    raise self.misfit("a bold letter that is no 𝟏")
                return Term((unknown(), ONE))
            case r"\cdots":
                return Term((unknown(), unknown()), dots=True)
            case "I" if ("I", ()) not in self.sizes.keys:
                size = unknown()
                return Term((size, size))
        if token.isdigit():
            shape = (unknown(), unknown()) if int(token) == 0 else (ONE, ONE)
            return Term(shape, int(token))
        if token in _FUNCTIONS:
            return self.call(token)
        self.i -= 1
        return Term(self.column_of(self.symbol()))

    def column_of(self, symbol: Key) -> Shape:
        if symbol[0] == r"\ell" and self.peek() == "(":  # ℓ_t(y_t)
            self.take()
            self.inner()
            self.take(")")
        found = self.sizes.rows_and_columns(symbol)
        if found is None:
            raise self.misfit(f"the symbol {symbol} is not known")
        return Size(found[0]), Size(found[1])

    def symbol(self) -> Key:
        """A letter with its subscripts."""
        base = self.take()
        if base in _ACCENTS:
            inner = self.group().replace(" ", "")
            base = inner if base == r"\mathrm" else rf"{base}{{{inner}}}"
        elif _GREEK.fullmatch(base):
            base = base[1:]
        elif not (base.isalpha() or base == r"\ell"):
            raise self.misfit(f"{base} is no symbol")
        scripts: tuple[str, ...] = ()
        if self.peek() == "_":
            self.take()
            below = re.sub(r"\\mathrm|[{}\\ ]", "", self.group())
            scripts = tuple(below.split(","))
        return base, scripts

    def call(self, name: str) -> Term:
        while self.peek() == "'":
            self.take()
        self.take("(")
        argument = self.inner()
        self.take(")")
        if name == "diag":
            if not is_column(argument.shape):
                raise self.misfit(f"diag of {text(argument.shape)}, which is no column")
            return Term((argument.shape[0], argument.shape[0]))
        if name in _REDUCTIONS:
            return Term((ONE, ONE))
        if name not in _FUNCTIONS | _NAMED_FUNCTIONS:
            raise self.misfit(f"the function {name} is not known")
        return Term(argument.shape)

    def gradient(self) -> Term:
        r"""\nabla_{q} L has the shape of q, \nabla \ell_{t}(y_{t}) that of y_t."""
        if self.peek() == "_":
            self.take()
            self.take("{")
            shape = self.column_of(self.symbol())
            self.take("}")
            self.take("L")
            return Term(shape)
        loss = self.symbol()
        if loss[0] != r"\ell":
            raise self.misfit(f"the gradient of {loss}")
        self.take("(")
        argument = self.inner()
        self.take(")")
        return Term(argument.shape)

    def fraction(self) -> Term:
        if self.tokens[self.i : self.i + 2] == ["{", r"\partial"]:
            return self.derivative()
        above, below = self.braced(), self.braced()
        if above.number is not None:
            return Term(below.shape, 1 if below.number is not None else None)
        if not is_scalar(below.shape):
            self.same(above.shape, below.shape, "a quotient of")
        return Term(above.shape)

    def derivative(self) -> Term:
        r"""\frac{\partial^{+} p}{\partial q}: rows of p, columns of q; by vec W, its entries; ∂L/∂W like Wᵀ."""
        self.take("{")
        self.partial()
        of = self.column_of(self.symbol())
        self.take("}")
        self.take("{")
        self.take(r"\partial")
        if self.peek() == r"\operatorname":
            self.take()
            if self.group().replace(" ", "") != "vec":
                raise self.misfit("by what is differentiated?")
            rows, columns = self.column_of(self.symbol())
            by = Size(rows.constant * columns.constant)
            if is_column((rows, columns)):
                raise self.misfit("vec of a column")
        else:
            rows, columns = self.column_of(self.symbol())
            by = rows
            if not is_column((rows, columns)):
                if not is_scalar(of):
                    raise self.misfit(f"the derivative of {text(of)} by a matrix")
                self.take("}")
                return Term((columns, rows))
        self.take("}")
        if not is_column(of):
            raise self.misfit(f"the derivative of {text(of)}")
        return Term((of[0], by))

    def partial(self) -> None:
        self.take(r"\partial")
        if self.peek() == "^":
            self.take()
            if self.group() != "+":
                raise self.misfit("∂ with an exponent")

    def matrix(self) -> Term:
        r"""\begin{pmatrix} … \end{pmatrix}: rows of one height, columns of one width."""
        if self.group().replace(" ", "") != "pmatrix":
            raise self.misfit("an environment other than pmatrix")
        rows = [[self.inner().shape]]
        while (token := self.take()) != r"\end":
            if token == "&":
                rows[-1].append(self.inner().shape)
            elif token == r"\\":
                rows.append([self.inner().shape])
            else:
                raise self.misfit(f"{token} in a matrix")
        self.group()
        if len({len(row) for row in rows}) > 1:
            raise self.misfit("rows of different lengths")
        height, width = Size(0), Size(0)
        for row in rows:
            for block in row:
                self.same((block[0], ONE), (row[0][0], ONE), "a row of blocks with heights")
            height = height.plus(row[0][0])
        for column in zip(*rows, strict=True):
            for block in column:
                self.same((ONE, block[1]), (ONE, column[0][1]), "a column of blocks with widths")
            width = width.plus(column[0][1])
        return Term((height, width))

    def underbrace(self) -> Term:
        r"""\underbrace{A}_{n_{h} \times n_{x}}: what stands below is the shape of A."""
        found = self.braced()
        self.take("_")
        below = self.group()
        said = [self.size(part.split()) for part in below.split(r"\times")]
        if len(said) != 2:
            raise self.misfit(f"{below} is no shape")
        self.same(found.shape, (Size(said[0]), Size(said[1])), f"{below} stands under")
        self.braces += 1
        return Term(found.shape, braced=True)

    def size(self, tokens: list[str]) -> int:
        r"""n_{h}\,n_{x}, (n_{h} + n_{c}), 1."""
        if tokens[:1] == ["("] and tokens[-1:] == [")"]:
            tokens = tokens[1:-1]
        total = 0
        for term in " ".join(tokens).split(" + "):
            product = 1
            for name in term.split(r" \, "):
                inner = Parser(name, self.sizes)
                if inner.peek().isdigit():
                    product *= int(inner.take())
                else:
                    symbol = inner.symbol()
                    if symbol not in self.sizes.of_size:
                        raise self.misfit(f"the size {name} is not known")
                    product *= self.sizes.of_size[symbol]
                if inner.peek():
                    raise self.misfit(f"{name} is no size")
            total += product
        return total


def is_column(shape: Shape) -> bool:
    columns = shape[1].solved()
    return not columns.unknowns and columns.constant == 1


# --- formulas and equations -------------------------------------------------------------------------------------------


def shape(tex: str, sizes: Sizes) -> tuple[int, int]:
    """The rows and columns of a formula. Raises Misfit where something in it does not fit."""
    rows, columns = (size.solved() for size in Parser(tex, sizes).whole().shape)
    if rows.unknowns or columns.unknowns:
        raise Misfit(f"the shape of {tex} is not determined")
    return rows.constant, columns.constant


@dataclass(frozen=True)
class Equation:
    """One line of a display as it is printed: ``left = right``, or a product alone with the route of its path."""

    left: str
    right: str
    route: str = ""

    def __str__(self) -> str:
        return f"{self.left or self.route} = {self.right}"


@dataclass(frozen=True)
class Checked:
    """What was found in an equation that fits: its shape, and what of the right side has a shape below or none."""

    rows: int
    columns: int
    braces: int
    bare: tuple[str, ...]


def check(equation: Equation, sizes: Sizes) -> Checked:
    """Both sides, which must have one shape; along a path to q, one row with as many columns as q has entries."""
    parser = Parser(equation.right, sizes)
    found = parser.whole().shape
    if equation.left:
        left = Parser(equation.left, sizes).whole()
        parser.same(left.shape, found, "an equation between")
        found = left.shape
    elif equation.route:
        goal = Parser(equation.route.rpartition(r"\to")[2], sizes).whole().shape
        entries = Size(goal[0].solved().constant * goal[1].solved().constant)
        parser.same((ONE, entries), found, "along a path a row, and here")
    rows, columns = (size.solved() for size in found)
    if rows.unknowns or columns.unknowns:
        raise Misfit(f"the shape of {equation} is not determined")
    return Checked(rows.constant, columns.constant, parser.braces, tuple(parser.bare))


_BREAK = re.compile(r" \\\\(?:\[4pt\])?\n")
_INDENT = re.compile(r"^(?:\\quad|\\qquad|\s)+")
_ROUTE = re.compile(r"\\text\{\\footnotesize \$(.*?)\$\}")


def equations(document: str) -> Iterator[Equation]:
    r"""The equations of the displays of a LaTeX document: broken lines are joined, "&= …" keeps what stands left.

    >>> tex = "\\begin{align*}\na &= b \\\\\n&\\quad + c && \\text{why} \\\\\n&= d\n\\end{align*}"
    >>> [str(equation) for equation in equations(tex)]
    ['a = b + c', 'a = d']
    """
    left = right = route = above = ""
    for line in _lines(document):
        beside = " ".join(_ROUTE.findall(line))
        if re.match(r"&(\\quad)? *\\text\{", line):  # a route or a reason on a line of its own
            above = f"{above} {beside}".strip()
            continue
        before, _, rest = line.split(" && ")[0].partition("&")
        if before.strip() or rest.startswith(("=", " ")):
            if right:
                yield Equation(left, right, route)
            if before.strip() or not rest.startswith("="):
                left, route = before.strip(), above or beside
            above, right = "", _INDENT.sub("", rest.removeprefix("=")).strip()
            if right == r"\vdots":
                left = right = route = ""
        else:
            right += " " + _INDENT.sub("", rest).strip()
    if right:
        yield Equation(left, right, route)


def _lines(document: str) -> Iterator[str]:
    """The lines of all displays; what is too long for one goes on in the next."""
    for tex, display in displays(document):
        if display:
            body = tex.removeprefix("\\begin{align*}\n").removesuffix("\n\\end{align*}")
            yield from map(_without_phantom, _BREAK.split(body))


def _without_phantom(line: str) -> str:
    r"""A line that goes on in a further display, without the \phantom{…} that keeps its place."""
    if not line.startswith(r"\phantom{"):
        return line
    depth = 0
    for i, c in enumerate(line):
        depth += (c == "{") - (c == "}")
        if c == "}" and not depth:
            return line[i + 1 :].lstrip()
    raise Misfit(f"unbalanced braces in {line}")
