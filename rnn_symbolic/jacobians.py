r"""The matrix reading of the table: the same rows, with every factor a matrix that has a shape.

    ∂(W v)/∂v = W     ∂(W v)/∂vec W = vᵀ ⊗ I     ∂φ(z)/∂z = diag(φ'(z))     ∂(u ⊙ v)/∂v = diag(u)
    ∂softmax(z)/∂z = diag(p) − p pᵀ              ∂ sum(u)/∂u = 𝟏ᵀ            ∂ℓ_t(y_t)/∂y_t = ∇ℓ_t(y_t)ᵀ

Jacobians stand in numerator layout (rows: what is differentiated), so the factors of a path keep the order of its
route. A gradient of L is the transposed product: that is where transposes and the reversed order come from.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from rnn_symbolic.equations import Equation
from rnn_symbolic.errors import NotDerivable
from rnn_symbolic.expressions import (
    MINUS_ONE,
    ONE,
    Add,
    Apply,
    Blocks,
    Call,
    Chain,
    Derivative,
    Diagonal,
    Expression,
    Identity,
    Kronecker,
    Multiply,
    Number,
    Ones,
    Power,
    Quantity,
    StepLoss,
    Transpose,
    add,
    chain,
    joined,
    multiply,
)
from rnn_symbolic.table import Edge, Factor, LocalRule, Product, Shape

Names = Mapping[str, tuple[str, ...]]
"""The shape of each name: () is a scalar, ("n_h",) a vector, ("n_h", "n_x") a matrix."""
SCALAR: Shape = ("1", "1")
LAYOUTS = ("gradient", "jacobian")


# --- shapes -------------------------------------------------------------------------------------------------------


def rows_of(name: str, names: Names) -> str:
    """How many rows the column of a quantity has, as a sum of sizes: "n_h", "n_h+n_c", "1"."""
    return "+".join((*names.get(part, ()), "1")[0] for part in joined(name))


def stacked_size(shape: tuple[str, ...]) -> str:
    """How many entries a matrix has: "n_h*n_x"."""
    return "*".join(shape)


def shape_of(expression: Expression, names: Names) -> Shape:
    """Rows and columns of an expression in matrix form. Raises ValueError where a product does not fit.

    >>> names = {"W": ("n_h", "n_x"), "x": ("n_x",)}
    >>> shape_of(Apply(Quantity("W"), Quantity("x", 1)), names), shape_of(Kronecker(Quantity("x", 1), "n_h"), names)
    (('n_h', '1'), ('n_h', 'n_h*n_x'))
    """
    match expression:
        case Quantity(name):
            found = names.get(name, ())
            return (found[0], found[1]) if len(found) == 2 else (rows_of(name, names), "1")
        case StepLoss(argument=argument, order=order):
            return shape_of(argument, names) if order else SCALAR
        case Call("sum" | "logsumexp"):
            return SCALAR
        case Call(argument=inner) | Power(base=inner):
            return shape_of(inner, names)
        case Add(parts) | Multiply(factors=parts):
            shapes = [shape for shape in (shape_of(part, names) for part in parts) if shape != SCALAR]
            if len(set(shapes)) > 1:
                raise ValueError(f"{shapes} are not the same shape in {expression}")
            return shapes[0] if shapes else SCALAR
        case Apply(left, right):
            return shape_of(Chain((left, right)), names)
        case Chain(factors):
            return _chain_shape(factors, names)
        case Derivative(of, wrt, stacked=stacked):
            rows, (below, columns) = rows_of(of.name, names), shape_of(wrt, names)
            if stacked:
                return rows, stacked_size((below, columns))
            return (rows, below) if columns == "1" else (columns, below)  # ∂L/∂W, transposed W
        case Diagonal(vector):
            size = shape_of(vector, names)[0]
            return size, size
        case Transpose(of):
            return shape_of(of, names)[::-1]
        case Identity(size):
            return size, size
        case Ones(size):
            return size, "1"
        case Kronecker(vector, size):
            return size, stacked_size((size, shape_of(vector, names)[0]))
        case Blocks(rows):
            return _blocks_shape(rows, names)
    return SCALAR


def _chain_shape(factors: tuple[Expression, ...], names: Names) -> Shape:
    found: Shape | None = None
    for factor in factors:
        shape = shape_of(factor, names)
        if shape == SCALAR:
            continue
        if found is not None and found[1] != shape[0]:
            raise ValueError(f"a product of {found[0]} × {found[1]} and {shape[0]} × {shape[1]}: {factor}")
        found = shape if found is None else (found[0], shape[1])
    return found or SCALAR


def _blocks_shape(rows: tuple[tuple[Expression, ...], ...], names: Names) -> Shape:
    """Zeros take the shape of what stands beside them; at size 1 every block is a number."""
    heights, widths = ["1"] * len(rows), ["1"] * len(rows[0])
    for i, row in enumerate(rows):
        for j, block in enumerate(row):
            if not isinstance(block, Number):
                heights[i], widths[j] = shape_of(block, names)
    return "+".join(heights), "+".join(widths)


# --- equations ----------------------------------------------------------------------------------------------------


def vector_equation(equation: Equation, names: Names) -> Equation:
    """The equation as matrices read it: u ⊙ v marked as such, scalars in front, a scalar added to a vector as τ 𝟏."""
    return Equation(equation.target, _vectors(equation.expression, names))


def _vectors(expression: Expression, names: Names) -> Expression:
    match expression:
        case Call(function, argument, order):
            return Call(function, _vectors(argument, names), order)
        case StepLoss():
            return replace(expression, vector=True)
        case Add(terms):
            size = shape_of(expression, names)[0]
            read = (_vectors(term, names) for term in terms)
            return Add(tuple(_broadcast(term, size, names) for term in read))
        case Multiply(factors=factors):
            read_factors = [_vectors(factor, names) for factor in factors]
            vectors = tuple(f for f in read_factors if shape_of(f, names) != SCALAR)
            if len(vectors) < 2:
                return multiply(*_scalars_first(read_factors, names))
            scalars = [f for f in read_factors if shape_of(f, names) == SCALAR]
            return multiply(*scalars, Multiply(vectors, vectors=True))
        case Apply(left, right):
            return Apply(left, _vectors(right, names))
        case Power(base, exponent):
            return Power(_vectors(base, names), exponent)
    return expression


def _scalars_first(factors: list[Expression], names: Names) -> list[Expression]:
    return sorted(factors, key=lambda factor: shape_of(factor, names) != SCALAR)


def _broadcast(term: Expression, size: str, names: Names) -> Expression:
    if size == "1" or isinstance(term, Number) or shape_of(term, names) != SCALAR:
        return term
    return multiply(term, Ones(size))


# --- rows ---------------------------------------------------------------------------------------------------------


def matrix_row(edge: Edge, equation: Equation, names: Names) -> Edge:
    """The row with matrices for factors: each follows from its rule and from the shape of what it is applied to."""
    head = equation.target
    size = shape_of(head, names)[0]
    terms = tuple(_square(_matrix_term(term, edge.tail, equation, names), size) for term in edge.terms)
    return replace(edge, terms=terms)


def _square(term: Product, size: str) -> Product:
    """What multiplies a vector by numbers only is a multiple of the identity: I, −I, diag(τ 𝟏)."""
    if any(factor.shape != SCALAR for factor in term) or (size == "1" and term):
        return term
    numbers = tuple(factor for factor in term if isinstance(factor.value, Number))
    scalars = tuple(factor.value for factor in term if not isinstance(factor.value, Number))
    if not scalars:
        return (*numbers, _identity(size))
    return (*numbers, Factor(LocalRule.COEFFICIENT, Diagonal(multiply(*scalars, Ones(size))), (size, size)))


def _identity(size: str) -> Factor:
    if size == "1":
        return Factor(LocalRule.IDENTITY, ONE, SCALAR)
    return Factor(LocalRule.IDENTITY, Identity(size), (size, size))


def _matrix_term(term: Product, tail: Quantity, equation: Equation, names: Names) -> Product:
    """One product, read from the right: what a factor is applied to decides whether it is a column or a diagonal."""
    current = shape_of(tail, names)
    found: list[Factor] = []
    for factor in reversed(term):
        value = _matrix_value(factor, current, equation, names)
        shape = shape_of(value, names)
        found.append(Factor(factor.rule, value, shape))
        if shape != SCALAR:
            current = (shape[0], "1")
        if factor.rule is LocalRule.SUMMED:
            current = SCALAR
    return _merged_row(tuple(reversed(found)))


def _matrix_value(factor: Factor, current: Shape, equation: Equation, names: Names) -> Expression:
    value = factor.value
    match factor.rule, value:
        case LocalRule.ARGUMENT, _:
            return Kronecker(value, current[0])
        case LocalRule.LOSS_SLOPE, _:
            return Transpose(value)
        case LocalRule.SUMMED, Call(argument=argument):
            return Transpose(Ones(shape_of(argument, names)[0]))
        case LocalRule.SOFTMAX, Call(argument=argument):
            p: Expression = Call("softmax", argument)
            p = equation.target if equation.expression == p else p
            return Add((Diagonal(p), Chain((MINUS_ONE, p, Transpose(p)))))
        case LocalRule.MATRIX | LocalRule.NUMBER, _:
            return value
    if shape_of(value, names) == SCALAR or current == SCALAR:
        return value  # a scalar, or the column that a scalar is multiplied into
    return Diagonal(value)


def _merged_row(term: Product) -> Product:
    """𝟏ᵀ diag(u) diag(v) is the row (u ⊙ v)ᵀ; numbers stand in front of it."""
    place = next((i for i, factor in enumerate(term) if factor.rule is LocalRule.SUMMED), None)
    if place is None:
        return term
    vectors: list[Expression] = []
    scalars: list[Factor] = []
    end = place + 1
    while end < len(term):
        match term[end].value:
            case Diagonal(vector):
                vectors.append(vector)
            case _ if term[end].shape == SCALAR:
                scalars.append(term[end])
            case _:
                break
        end += 1
    if not vectors:
        return term
    vector = vectors[0] if len(vectors) == 1 else Multiply(tuple(vectors), vectors=True)
    shape = term[place].shape
    assert shape is not None
    return (*term[:place], *scalars, Factor(LocalRule.SUMMED, Transpose(vector), shape), *term[end:])


# --- layouts ------------------------------------------------------------------------------------------------------


def transposed(expression: Expression, names: Names) -> Expression:
    """Aᵀ, with the transpose carried inwards: (A B)ᵀ = Bᵀ Aᵀ; diagonal matrices and scalars stay as they are.

    >>> W, v = Quantity("W"), Quantity("a", 1)
    >>> transposed(Chain((Diagonal(v), W)), {"W": ("n_h", "n_x"), "a": ("n_h",)})
    Chain(factors=(Transpose(of=Quantity(name='W', ...)), Diagonal(vector=Quantity(name='a', step=1, index=''))))
    """
    match expression:
        case Transpose(of):
            return of
        case Diagonal() | Identity() | Number():
            return expression
        case Chain(factors):
            return chain(*(transposed(factor, names) for factor in reversed(factors)))
        case Add(terms) if any(isinstance(term, Chain | Diagonal | Identity | Transpose) for term in terms):
            return add(*(transposed(term, names) for term in terms))
        case Blocks(rows):
            columns = zip(*rows, strict=True)
            return Blocks(tuple(tuple(transposed(block, names) for block in column) for column in columns))
    if shape_of(expression, names) == SCALAR and not isinstance(expression, Derivative):
        return expression
    return Transpose(expression)


def unstacked(factors: tuple[Expression, ...]) -> Iterator[tuple[tuple[Expression, ...], Expression]]:
    """A product that ends in vᵀ ⊗ I, as the product before it and v; a sum of such products one by one."""
    *front, last = factors
    match last:
        case Kronecker(vector):
            yield tuple(front), vector
        case Chain(inner):
            for between, vector in unstacked(inner):
                yield (*front, *between), vector
        case Add(terms):
            for term in terms:
                for between, vector in unstacked((term,)):
                    yield (*front, *between), vector
        case _:
            raise NotDerivable("the derivative by a matrix does not end in an outer product")


def oriented(factors: tuple[Expression, ...], by_matrix: bool, layout: str, names: Names) -> Expression:
    """∂L/∂θ as a row of factors, in a layout: the gradient is its transpose; by a matrix, an outer product.

    A row r ending in vᵀ ⊗ I is vec(rᵀ vᵀ) transposed: the gradient is rᵀ vᵀ, the Jacobian layout its transpose v r.
    """
    if not by_matrix:
        row = chain(*factors)
        return row if layout == "jacobian" else transposed(row, names)
    products = []
    for front, vector in unstacked(factors):
        if layout == "jacobian":
            products.append(chain(vector, *front))
        else:
            products.append(chain(transposed(chain(*front), names), Transpose(vector)))
    return add(*products)
