r"""A formula against the paths: which path is each term, which paths have no term, which terms no path.

Terms and paths are compared by their values at random points, so that y (1 − y) for σ'(o) or another order of numbers
is no difference; a term that is several paths at once (a sum in brackets) is written out as far as it has to be.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from rnn_symbolic.array_functions import Array
from rnn_symbolic.auditing.formula_reader import Formula
from rnn_symbolic.errors import InputError
from rnn_symbolic.expressions import (
    Add,
    Apply,
    Call,
    Chain,
    Derivative,
    Diagonal,
    Expression,
    Multiply,
    Power,
    Quantity,
    Transpose,
    multiply,
    walk,
)
from rnn_symbolic.graph import Path
from rnn_symbolic.jacobians import shape_of, transposed
from rnn_symbolic.matrix_valuation import MatrixValuation, stand_in_matrix_valuation
from rnn_symbolic.model import Model
from rnn_symbolic.paths import graph
from rnn_symbolic.table import product_value

MOST_PATHS = 3_000
"""How many paths a formula is compared with, one by one."""
MOST_TERMS = 2_000
"""How many terms a formula is written out into."""
MOST_AT_ONCE = 64
"""How many terms a bracket is written out into where none of them is a path."""
MOST_TRIED = 4_000
"""How many changed paths are tried for one formula; what is left over is described by its letters."""
POINTS = 3
SEEN = 1e-7
"""A path that is at least this part of the sum of all shows in it."""
SAME = 1e-9
"""Values that differ by no more than this part of the larger are the same."""


@dataclass(frozen=True)
class Term:
    """A term of a formula, its value at the points, and the paths that it is; ``times`` is the number before them."""

    expression: Expression
    value: Array
    paths: tuple[int, ...] = ()
    times: float = 1.0


@dataclass
class Matching:
    """The terms of a formula with their paths; ``missing`` are the paths without a term."""

    terms: list[Term] = field(default_factory=list)
    missing: list[int] = field(default_factory=list)
    twice: list[Term] = field(default_factory=list)  # whose paths have a term already

    @property
    def foreign(self) -> list[Term]:
        """The terms that are no path."""
        return [term for term in self.terms if not term.paths]

    @property
    def multiplied(self) -> list[Term]:
        """The terms that are a path times a number."""
        return [term for term in self.terms if term.paths and term.times != 1]


class Points:
    """Some random points of a model, and what expressions and paths are worth there."""

    def __init__(self, model: Model, goal: Quantity, seed: int) -> None:
        self.model, self.goal = model, goal
        self.tried = 0
        self.at: list[MatrixValuation] = [stand_in_matrix_valuation(model, seed + 50 * k) for k in range(POINTS)]

    @cached_property
    def paths(self) -> tuple[Path, ...]:
        """All paths to the goal, from one named quantity to the next."""
        found = graph(self.model, self.goal, "node")
        count = found.count()
        if count > MOST_PATHS:
            raise InputError(
                f"there are {count:,} paths to {self.goal}, more than the {MOST_PATHS:,} that a formula is compared "
                f"with; take fewer steps"
            )
        return tuple(path for t in self.model.loss_steps for s in found.entries_from(t) for path in found.paths(t, s))

    @cached_property
    def path_values(self) -> Array:
        """The value of every path at the points, one after another: path × entries."""
        rows = [np.concatenate([self.entries(at.path(path).value) for at in self.at]) for path in self.paths]
        size = sum(len(self.entries(np.zeros(self.shape(at)))) for at in self.at)
        return np.stack(rows) if rows else np.zeros((0, size))

    def shape(self, at: MatrixValuation) -> tuple[int, ...]:
        """The shape of the goal at a point."""
        return at.gradient(self.goal).value.shape

    def entries(self, gradient: Array) -> Array:
        """A gradient in the shape of the goal, as one row."""
        return np.asarray(gradient, dtype=np.float64).ravel(order="F" if self.model.is_matrix(self.goal) else "C")

    def value(self, expression: Expression, transpose: bool) -> Array:
        """What a term is worth at the points; ``transpose`` where it has the shape of the goal's transposed."""
        rows = []
        for at in self.at:
            array = at.of(expression)
            array = array.T if transpose else array
            shape = self.shape(at)
            if array.size == 1 < int(np.prod(shape, dtype=int)):  # zero, or a number for a multiple of I
                array = np.broadcast_to(array, shape) if array == 0 else array * np.eye(shape[0])
            rows.append(self.entries(array.reshape(shape)))
        return np.concatenate(rows)

    def product(self, factors: Sequence[Expression]) -> Array | None:
        """What an ordered product in numerator layout is worth, in the order of `entries`; None if it does not fit."""
        self.tried += 1
        if self.tried > MOST_TRIED:
            return None
        rows = []
        for at in self.at:
            try:
                array = at.of(Chain(tuple(factors)) if len(factors) > 1 else factors[0])
            except ValueError:
                return None
            if array.shape[0] != 1 or array.size != int(np.prod(self.shape(at), dtype=int)):
                return None
            rows.append(array.ravel())
        return np.concatenate(rows)

    @cached_property
    def scale(self) -> Array:
        """The size of what is added up at each point: Σ |path|."""
        sizes = np.abs(self.path_values).reshape(len(self.path_values), POINTS, -1).sum(axis=0)
        return np.asarray(sizes.max(axis=1, initial=0.0))

    @cached_property
    def shows_all(self) -> bool:
        """Whether no path is so small that the value of a sum could hide it."""
        sizes = np.abs(self.path_values).reshape(len(self.path_values), POINTS, -1).max(axis=2, initial=0.0)
        return bool(np.all((sizes > SEEN * self.scale).any(axis=1)))

    def transpose(self, values: Array) -> Array:
        """The values of a square matrix, transposed, at every point."""
        n = self.shape(self.at[0])[0]
        return np.ascontiguousarray(values.reshape(POINTS, n, n).swapaxes(1, 2)).ravel()

    @cached_property
    def total(self) -> Array:
        """The right gradient."""
        return np.concatenate([self.entries(at.gradient(self.goal).value) for at in self.at])


def same(one: Array, other: Array, scale: Array | None = None) -> bool:
    """Whether two rows of values are the same to rounding, at each point by the size of what stands there."""
    if not (np.isfinite(one).all() and np.isfinite(other).all()):
        return False
    a, b = one.reshape(POINTS, -1), other.reshape(POINTS, -1)
    size = np.maximum(np.abs(a).max(1, initial=0.0), np.abs(b).max(1, initial=0.0))
    size = size if scale is None else np.maximum(size, scale)
    return bool(np.all(np.abs(a - b).max(1, initial=0.0) <= SAME * size))


def match_terms(formula: Formula, points: Points) -> Matching:
    """Each term with its paths; brackets are written out where that finds more of them."""
    return _Matcher(formula, points).matched()


class _Matcher:
    def __init__(self, formula: Formula, points: Points) -> None:
        self.formula, self.points = formula, points
        self.taken: set[int] = set()
        self.found = Matching()
        self.spent = 0

    def matched(self) -> Matching:
        for term in self.formula.terms:
            self.place(normal(term, self.points.model))
        self.settle()
        return self.found

    def settle(self) -> None:
        """Add up what stands before each path: A + B − B is A, and A/2 + A/2 as well."""
        times: dict[int, float] = {}
        terms = (*self.found.terms, *self.found.twice)
        for term in terms:
            for i in term.paths:
                times[i] = times.get(i, 0.0) + term.times
        whole = {i for i, n in times.items() if abs(n - 1) <= SAME}
        gone = {i for i, n in times.items() if abs(n) <= SAME}

        def wrong(term: Term) -> bool:
            return not term.paths or not set(term.paths) <= whole | gone

        single = {i for term in self.found.twice for i in term.paths if len(term.paths) == 1}
        self.found.terms = [
            replace(term, times=times[term.paths[0]]) if term.paths and term.paths[0] in single else term
            for term in self.found.terms
            if wrong(term) or term.times == 1
        ]
        self.found.terms = [term for term in self.found.terms if wrong(term)]
        self.found.twice = [term for term in self.found.twice if wrong(term) and abs(times[term.paths[0]] - 2) <= SAME]
        doubled = {i for term in self.found.twice for i in term.paths}
        self.found.terms = [term for term in self.found.terms if not set(term.paths) & doubled or not term.paths]
        self.found.missing = [i for i in range(len(self.points.paths)) if i not in times or i in gone]

    def place(self, expression: Expression) -> None:
        term = self.recognised(expression)
        if not np.any(term.value):
            return  # nothing is added
        if term.paths:
            self.take(term)
            return
        for terms in written_out(expression, self.points.model):
            self.spent += len(terms)
            if self.spent > MOST_TERMS:
                break
            fewer = _gradients(terms[0]) < _gradients(expression) if terms else False
            if fewer or any(self.recognised(part).paths for part in terms) or self.deeper(terms):
                for part in terms:
                    self.place(part)
                return
        parts = expanded(expression, self.points.model)
        if 1 < len(parts) <= MOST_AT_ONCE:
            for part in parts:
                found = self.recognised(part)
                if found.paths:
                    self.take(found)
                else:
                    self.found.terms.append(found)
            return
        self.found.terms.append(term)

    def deeper(self, terms: Sequence[Expression]) -> bool:
        """Whether writing out one bracket more finds a path."""
        for term in terms[:2]:
            for inner in written_out(term, self.points.model):
                self.spent += len(inner)
                if any(self.recognised(part).paths for part in inner[:4]):
                    return True
        return False

    def take(self, term: Term) -> None:
        if self.taken & set(term.paths):
            self.found.twice.append(term)
        else:
            self.found.terms.append(term)
            self.taken |= set(term.paths)

    def recognised(self, expression: Expression) -> Term:
        """The term with the path that it is, or a path times a number, or a group of paths."""
        value = self.points.value(expression, self.formula.transposed)
        paths = self.points.path_values
        if not len(paths) or not np.isfinite(value).all():
            return Term(expression, value)
        at = value.reshape(POINTS, -1)
        size = np.maximum(np.abs(at).max(axis=1), 1e-300)
        stacked = paths.reshape(len(paths), POINTS, -1)
        near = np.flatnonzero((np.abs(stacked - at).max(axis=2) <= SAME * size).all(axis=1))
        if len(near):
            free = [int(i) for i in near if i not in self.taken]
            return Term(expression, value, ((free or list(map(int, near)))[0],))
        for group, total in self.groups:
            if same(value, total):
                return Term(expression, value, group)
        norms = (paths**2).sum(axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            ratios = np.where(norms > 0, paths @ value / norms, 0.0)
        off = np.abs(ratios[:, None, None] * stacked - at).max(axis=2)
        near = np.flatnonzero((off <= SAME * size).all(axis=1) & (np.abs(ratios) > 1e-6))
        if len(near):
            free = [int(i) for i in near if i not in self.taken]
            i = (free or list(map(int, near)))[0]
            return Term(expression, value, (i,), float(ratios[i]))
        return Term(expression, value)

    @cached_property
    def groups(self) -> list[tuple[tuple[int, ...], Array]]:
        """Sums of paths that people write as one: of a loss and an entry step, of a loss, an entry, a lag, all."""
        paths, values = self.points.paths, self.points.path_values
        keys: dict[tuple[str, int, int], list[int]] = {}
        for i, path in enumerate(paths):
            t, s = path.loss_step, path.entry_step
            for key in (("both", t, s), ("loss", t, 0), ("entry", s, 0), ("lag", t - s, 0), ("all", 0, 0)):
                keys.setdefault(key, []).append(i)
        found = {tuple(members) for members in keys.values() if len(members) > 1}
        return [(members, values[list(members)].sum(axis=0)) for members in sorted(found, key=len)]


# --- writing out ----------------------------------------------------------------------------------------------------


def normal(expression: Expression, model: Model) -> Expression:
    """(A B)ᵀ as Bᵀ Aᵀ, products in products as one; nothing is reordered."""
    match expression:
        case Transpose(Chain() | Add() | Transpose() as inner):
            return normal(transposed(inner, model.names), model)
        case Chain(factors):
            parts = [normal(factor, model) for factor in factors]
            return Chain(tuple(f for part in parts for f in (part.factors if isinstance(part, Chain) else (part,))))
        case Multiply(factors=factors, vectors=vectors):
            flat: list[Expression] = []
            for part in (normal(factor, model) for factor in factors):
                alike = isinstance(part, Multiply) and part.vectors == vectors
                flat.extend(part.factors if isinstance(part, Multiply) and alike else (part,))
            return Multiply(tuple(flat), vectors)
    return expression


def written_out(expression: Expression, model: Model) -> Iterator[tuple[Expression, ...]]:
    """The terms that a product becomes when one sum in it is written out; for every sum in it, the outermost first.

    >>> from rnn_symbolic.model import unroll
    >>> a, b, c = map(Quantity, "abc")
    >>> [len(terms) for terms in written_out(Multiply((a, Add((b, c)))), unroll("elman"))]
    [2]
    """
    match expression:
        case Add(terms):
            yield terms
        case Derivative(of=Quantity("L"), wrt=wrt):  # a gradient that was taken for right: its paths
            found = graph(model, wrt, "node")
            steps = ((t, s) for t in model.loss_steps for s in found.entries_from(t))
            yield tuple(product_value(path.factors) for t, s in steps for path in found.paths(t, s))
        case Chain(factors) | Multiply(factors=factors):
            for k, factor in enumerate(factors):
                for terms in written_out(factor, model):
                    yield tuple(
                        normal(_with(expression, (*factors[:k], term, *factors[k + 1 :])), model) for term in terms
                    )
        case Apply(left, right):
            for terms in written_out(right, model):
                yield tuple(Apply(left, term) for term in terms)
        case Transpose(of):
            for terms in written_out(of, model):
                yield tuple(transposed(term, model.names) for term in terms)
        case Diagonal(vector):
            for terms in written_out(vector, model):
                yield tuple(_diagonal(term, model) for term in terms)
        case Power(base, exponent) if exponent == 2:
            for terms in written_out(base, model):
                yield tuple(multiply(term, base) for term in terms)


def expanded(expression: Expression, model: Model) -> tuple[Expression, ...]:
    """All sums of a product written out but those of values alone, such as y − d and 1 − h²."""
    done: list[Expression] = []
    waiting = [expression]
    while waiting and len(done) + len(waiting) <= MOST_AT_ONCE:
        term = waiting.pop(0)
        sums = [node for node in walk(term) if isinstance(node, Add) and _holds_weights(node)]
        found = next(written_out(term, model), None) if sums else None
        if found is None:
            done.append(term)
        else:
            waiting = [*found, *waiting]
    return (*done, *waiting)


def _holds_weights(expression: Expression) -> bool:
    """Whether a parameter or a slope is in it."""
    return any(
        (isinstance(node, Quantity) and node.step is None) or (isinstance(node, Call) and node.order == 1)
        for node in walk(expression)
    )


def _gradients(expression: Expression) -> int:
    """How many gradients by other quantities a term holds."""
    return sum(isinstance(node, Derivative) for node in walk(expression))


def _with(expression: Chain | Multiply, factors: tuple[Expression, ...]) -> Expression:
    return Chain(factors) if isinstance(expression, Chain) else Multiply(factors, expression.vectors)


def _diagonal(term: Expression, model: Model) -> Expression:
    size = shape_of(term, model.names)
    return Diagonal(term) if size[1] == "1" else term
