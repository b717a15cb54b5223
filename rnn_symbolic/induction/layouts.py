r"""The gradient of one cell: the double sum with the table's entries in it, collected, and in the layout of gradients.

∂L/∂W_x = Σ_t Σ_{k≤t} ℓ_t'(y_t) σ'(o_t) W_y (Π_{j=k+1}^{t} σ'(a_j) W_h) σ'(a_k) x_k
"""

from __future__ import annotations

from dataclasses import replace

from rnn_symbolic.expressions import Chain as Product
from rnn_symbolic.expressions import Derivative, Expression, Multiply, Quantity, Transpose, multiply
from rnn_symbolic.graph import state_blocks
from rnn_symbolic.induction.chain import Chain
from rnn_symbolic.induction.gradient import double_sum
from rnn_symbolic.induction.records import Line, Range, Why
from rnn_symbolic.induction.terms import (
    FIRST,
    LAST,
    Ordered,
    Place,
    Plus,
    Raised,
    Share,
    Sum,
    Term,
    Times,
    Transposed,
    indices,
    is_leaf,
    plus,
    rebuilt,
    times,
)
from rnn_symbolic.jacobians import Names, transposed, unstacked

MOST_WAYS = 2
"""A Jacobian of more ways through its step than this keeps its name in every formula."""


def readable(chain: Chain) -> bool:
    """Whether the Jacobian of a step is short enough to be written into every formula."""
    if not chain.single or chain.joint.startswith("("):
        return not chain.entries
    block = state_blocks(chain.model).at(chain.joint, chain.joint, 1)
    return block is not None and len(block.ways) <= MOST_WAYS


def cell_lines(chain: Chain, layout: str) -> tuple[Line, ...]:
    """The gradient of this cell from the table, in scalar form also collected, in matrix form laid out.

    >>> from rnn_symbolic.model import unroll
    >>> [line.why.value for line in cell_lines(Chain(unroll("elman"), Quantity("W_h")), "")]
    ['table', 'collect']
    """
    if not (chain.entries or chain.loss_entries):
        return ()
    ranges = (Range("s", FIRST, LAST),) if chain.kind == "input" else ()
    source = double_sum(replace(chain, style="table" if readable(chain) else "entries"))
    if not layout:
        if not readable(chain):
            return ()
        first = Line(Why.TABLE, chain.gradient, source, ranges, algebra=False)
        power = collected(source)
        why = Why.POWERS if power == with_powers(source) else Why.COLLECT
        return (first,) if power is None else (first, Line(why, source, power, ranges, algebra=False))
    by_matrix = chain.model.is_matrix(chain.goal)
    goal = Derivative(Quantity("L"), chain.goal)
    left = Transpose(goal) if layout == "gradient" else goal
    why = Why.OUTER if by_matrix else Why.LAYOUT if layout == "gradient" else Why.TABLE
    first = Line(why, left, laid_out(source, layout, by_matrix, chain.model.names), ranges, algebra=False)
    power = with_powers(first.after)
    return (first,) if power is None else (first, Line(Why.POWERS, first.after, power, ranges, algebra=False))


def with_powers(term: Term) -> Term | None:
    """Products of equal factors, with nothing between them, as powers; None where there is none."""
    found = rebuilt(term, _power)
    return found if found != term else None


def _power(part: Term) -> Term:
    match part:
        case Ordered(_, Place(low, above, ""), Place(high, top, ""), body) if is_leaf(body) and not indices(body):
            return Raised(body, Place(high, top - above + 1, low))
        case Times(factors):
            return times(*factors)
    return part


def collected(term: Term) -> Term | None:
    """Scalars commute: Π_j (u_j W) is W^{t−k} Π_j u_j; None where nothing repeats."""
    found = rebuilt(term, _collect)
    return found if found != term else None


def _collect(part: Term) -> Term:
    match part:
        case Ordered(index, Place(low, above, ""), Place(high, top, ""), Multiply(factors)):
            fixed = [f for f in factors if isinstance(f, Quantity) and f.step is None]
            rest = [f for f in factors if f not in fixed]
            if fixed:
                exponent = Place(high, top - above + 1, low)
                powers = (Raised(weight, exponent) for weight in fixed)
                slopes = (Ordered(index, part.low, part.high, multiply(*rest)),) if rest else ()
                return times(*powers, *slopes)
    return _power(part)


# --- layouts --------------------------------------------------------------------------------------------------------


def laid_out(term: Term, layout: str, by_matrix: bool, names: Names) -> Term:
    """A sum of rows r A … E as a gradient: transposed, in reversed order; by a matrix, outer products."""
    match term:
        case Sum():
            return replace(term, body=laid_out(term.body, layout, by_matrix, names))
        case Plus(terms):
            return plus(*(laid_out(each, layout, by_matrix, names) for each in terms))
    return _row(_factors(term), layout, by_matrix, names)


def _factors(term: Term) -> list[Term]:
    """The factors of a product, those of an expression's product too."""
    match term:
        case Times(factors):
            return [inner for factor in factors for inner in _factors(factor)]
        case Product(factors):
            return list(factors)
    return [term]


def _row(factors: list[Term], layout: str, by_matrix: bool, names: Names) -> Term:
    """One product in its layout: by a matrix it ends in vᵀ ⊗ I, and becomes an outer product with v."""
    *front, last = factors
    if isinstance(last, Plus):  # the goal enters through several equations
        return plus(*(_row([*front, *_factors(each)], layout, by_matrix, names) for each in last.terms))
    if isinstance(last, Sum):
        return replace(last, body=_row([*front, *_factors(last.body)], layout, by_matrix, names))
    endings: list[tuple[list[Term], Expression | None]] = [(factors, None)]
    if by_matrix:
        assert is_leaf(last)
        endings = [([*front, *inner], vector) for inner, vector in unstacked((last,))]
    found = []
    for row, vector in endings:
        if layout == "gradient":
            outer = () if vector is None else (Transpose(vector),)
            turned = (*(flipped(part, names) for part in reversed(row)), *outer)
        else:
            turned = (*(() if vector is None else (vector,)), *row)
        found.append(times(*sorted(turned, key=lambda part: not isinstance(part, Share))))  # 1/T in front
    return plus(*found)


def flipped(part: Term, names: Names) -> Term:
    """Aᵀ, carried inwards: the order of a product is reversed."""
    match part:
        case Ordered():
            return replace(part, body=flipped(part.body, names), rising=not part.rising)
        case Share():
            return part
        case Plus(terms):
            return plus(*(flipped(each, names) for each in terms))
        case Times(factors):
            return times(*(flipped(each, names) for each in reversed(factors)))
    return transposed(part, names) if is_leaf(part) else Transposed(part)
