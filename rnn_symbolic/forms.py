r"""What one line of a derivation shows, why it holds, and what it is worth.

SymPy turns x·x·x into x³ and sorts factors, so a line is not a SymPy expression: it is a *form* that keeps its
presentation, with ``value(model)`` for SymPy and ``number(valuation)`` for floats. A `Step` says that two forms
are equal because of a `Rule`; the words for a rule live in `render.prose`, one table per language.
"""

from __future__ import annotations

from enum import Enum
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from rnn_symbolic.expressions import (
    ONE,
    Add,
    Call,
    Chain,
    Derivative,
    Expression,
    Identity,
    Number,
    Power,
    Quantity,
    Transpose,
    add,
    at_step,
    chain,
    multiply,
    quantities,
    transform,
)
from rnn_symbolic.frozen import frozen
from rnn_symbolic.graph import Graph, Path
from rnn_symbolic.jacobians import transposed, unstacked
from rnn_symbolic.model import Model
from rnn_symbolic.paths import graph, iter_paths
from rnn_symbolic.valuation import Valuation

if TYPE_CHECKING:
    import sympy as sp


class Rule(Enum):
    """Why a line of a derivation holds; each value is the rule's stable code."""

    CELL_EQUATION = "cell-equation"  # q_t is defined by the cell's equation at step t
    STEP_LOSS = "step-loss"  # ℓ_t is the loss of step t
    TOTAL_LOSS = "total-loss"  # L = Σ ℓ_t
    LAST_LOSS = "last-loss"  # L = ℓ_T, the article's view
    MEAN_LOSS = "mean-loss"  # L = (1/T) Σ ℓ_t
    ADDEND = "addend"  # ∂⁺(u + v)/∂u = 1
    CONSTANT_MULTIPLE = "constant-multiple"  # ∂⁺(c u)/∂u = c
    WEIGHT = "weight"  # ∂⁺(W v)/∂v = W
    WEIGHTED = "weighted"  # ∂⁺(W v)/∂W = v
    PRODUCT = "product"  # ∂⁺(u v)/∂u = v
    ACTIVATION = "activation"  # ∂⁺φ(a)/∂a = φ'(a)
    LOSS_SLOPE = "loss-slope"  # ∂⁺ℓ_t(y_t)/∂y_t = ℓ_t'(y_t)
    POWER = "power"  # ∂⁺u^n/∂u = n u^(n−1)
    NESTED = "nested"  # ∂⁺φ(ψ(u))/∂u = φ'(ψ(u)) ψ'(u), inside one equation
    SEVERAL_MENTIONS = "several-mentions"  # u is mentioned more than once: one product for each mention
    LOGISTIC_CROSS_ENTROPY = "logistic-cross-entropy"  # (−d/y + (1−d)/(1−y)) y(1−y) = y − d
    ONLY_READER = "only-reader"  # q reaches L through one quantity only
    SUM_OVER_READERS = "sum-over-readers"  # ∂L/∂q = Σ over the readers r of q: ∂L/∂r · (block r ← q)
    ALONG_PATH = "along-path"  # the table's entries along one path, multiplied in order
    ALONG_PATH_COLLAPSED = "along-path-collapsed"  # the same, with y_t − d_t for two neighbours
    SUM_OVER_PATHS = "sum-over-paths"  # ∂L/∂θ = Σ over all paths from L to θ
    SUM_TRANSPOSED = "sum-transposed"  # the same as a column: every product is transposed, its order reversed
    SUM_OUTER = "sum-outer"  # … by a matrix: rᵀ vᵀ
    SUM_OUTER_JACOBIAN = "sum-outer-jacobian"  # … by a matrix: v r
    SUM_JACOBIAN = "sum-jacobian"  # the same as a row; by a matrix, v in front of the row: its Jacobian layout
    DIAGONAL = "diagonal"  # ∂⁺φ(a)/∂a = diag(φ'(a)): component i depends on component i only
    ELEMENTWISE = "elementwise"  # ∂⁺(u ⊙ v)/∂v = diag(u)
    MATRIX = "matrix"  # ∂⁺(W v)/∂v = W
    STACKED = "stacked"  # ∂⁺(W v)/∂vec W = vᵀ ⊗ I
    IDENTITY = "identity"  # ∂⁺(u + v)/∂u = I
    COLUMN = "column"  # ∂⁺(τ u)/∂τ = u for a scalar τ
    LOSS_ROW = "loss-row"  # ∂⁺ℓ_t(y_t)/∂y_t = ∇ℓ_t(y_t)ᵀ
    SUM_ROW = "sum-row"  # ∂⁺ sum(u)/∂v = the row of the slopes
    SOFTMAX = "softmax"  # ∂⁺softmax(z)/∂z = diag(p) − p pᵀ
    SOFTMAX_CROSS_ENTROPY = "softmax-cross-entropy"  # −(d/y)ᵀ (diag(y) − y yᵀ) = (y − d)ᵀ
    DISTRIBUTE = "distribute"  # A (B − C) = A B − A C
    DIVIDE_OUT = "divide-out"  # (d/y) ⊙ y = d, and (d/y)ᵀ y = 𝟏ᵀ d
    FACTOR_OUT = "factor-out"  # −dᵀ + s yᵀ = (s y − d)ᵀ
    TARGETS_SUM_TO_ONE = "targets-sum-to-one"  # 𝟏ᵀ d = 1
    SLOPE_BY_VALUE = "slope-by-value"  # logistic'(o) = y (1 − y)
    JOINT_BLOCKS = "joint-blocks"  # the derivative of a joint state by its parts
    BLOCK = "block"  # a named block, expanded: the ways within one step
    STATE_RECURSION = "state-recursion"  # M_k = Σ_j A^{(j)} M_{k−j}
    STATE_PRODUCT = "state-product"  # ∂S_t/∂S_{t−k} = J_t … J_{t−k+1}
    POWERS = "powers"  # equal neighbours as a power: nothing changes places
    NO_PATH = "no-path"  # no path leads from L to θ: the empty sum is 0
    COLLECT = "collect"  # scalars commute: factors that repeat along time are collected
    GROUP_BY_ENTRY = "group-by-entry"  # what stands before a common last factor adds up to ∂L/∂(head of the entry)


# --- forms --------------------------------------------------------------------------------------------------------


class Shown:
    """What shows itself: as a formula in a notebook, as Unicode in a terminal."""

    __slots__ = ()

    def _repr_latex_(self) -> str:
        from rnn_symbolic.render.formulas import form_latex

        assert isinstance(self, Form)
        return f"$\\displaystyle {form_latex(self)}$"

    def __str__(self) -> str:
        from rnn_symbolic.render.formulas import form_latex
        from rnn_symbolic.unicode import plain

        assert isinstance(self, Form)
        return plain(form_latex(self))


@frozen
class Written(Shown):
    """An expression as it stands, named derivatives included."""

    expression: Expression

    def value(self, model: Model) -> sp.Expr:
        """The SymPy expression; named derivatives are worked out by SymPy's own ``diff``."""
        from rnn_symbolic.symbols import value

        return value(model, self.expression)

    def number(self, valuation: Valuation) -> Any:
        """The value at a point; named derivatives are worked out by complex steps."""
        return valuation.of(self.expression)


@frozen
class PathProduct(Shown):
    """The ordered product of the table's entries along one path."""

    path: Path

    def value(self, model: Model) -> sp.Expr:
        """The product in the named quantities."""
        return self.path.product

    def number(self, valuation: Valuation) -> Any:
        """The value at a point: a number, or in matrix form the row that the factors multiply to."""
        return valuation.product(self.path)


@frozen
class Oriented(Shown):
    """The product along one path in matrix form, as part of a gradient: a column, or by a matrix an outer product.

    ``products`` are its terms (one, unless the path enters through a sum), each a sequence of factors with the step
    that they belong to; the transposes are carried to the factors.
    """

    path: Path
    layout: str
    products: tuple[tuple[tuple[int | None, Expression], ...], ...]

    @property
    def expression(self) -> Expression:
        """The product as a record."""
        return add(*(chain(*(factor for _, factor in product)) for product in self.products))

    def value(self, model: Model) -> sp.Expr:
        """The product in the named quantities, at size 1."""
        return self.path.product

    def number(self, valuation: Valuation) -> Any:
        """The value at a point, in the layout."""
        return valuation.of(self.expression)


def orient(path: Path, model: Model, goal: Quantity, layout: str) -> Oriented:
    """The product along a path in a layout: the gradient's factors are transposed, and stand in reversed order."""
    steps: list[tuple[int | None, Expression]] = []
    legs = [leg for leg in path.legs if leg.factors]
    if not legs:  # from L to the loss of a step
        return Oriented(path, layout, (((None, ONE),),))
    *front, last = legs
    for leg in front:
        steps += [(leg.head.step, factor.value) for factor in leg.factors]
    values = tuple(factor.value for factor in last.factors)
    endings = unstacked(values) if model.is_matrix(goal) else [(values, None)]
    products = []
    for inner, vector in endings:
        row = [*steps, *((last.head.step, value) for value in inner)]
        if layout == "gradient":
            row = [(t, transposed(value, model.names)) for t, value in reversed(row)]
        if vector is not None and layout == "gradient":
            row.append((last.head.step, Transpose(vector)))
        elif vector is not None:
            row.insert(0, (last.head.step, vector))
        products.append(tuple(_numbers_first(row)))
    return Oriented(path, layout, tuple(products))


def with_powers(form: Oriented) -> Oriented:
    """The same with equal neighbours as a power: W_hᵀ W_hᵀ is (W_hᵀ)²; nothing changes places."""
    products = []
    for product in form.products:
        runs: list[tuple[int | None, Expression]] = []
        for t, factor in product:
            last = runs[-1][1] if runs else None
            base, count = (last.base, int(last.exponent)) if isinstance(last, Power) else (last, 1)
            weight = factor.of if isinstance(factor, Transpose) else factor
            if factor == base and isinstance(weight, Quantity) and weight.step is None:
                runs[-1] = (t, Power(factor, Fraction(count + 1)))
            else:
                runs.append((t, factor))
        products.append(tuple(runs))
    return Oriented(form.path, form.layout, tuple(products))


def _numbers_first(row: list[tuple[int | None, Expression]]) -> list[tuple[int | None, Expression]]:
    """The factors of a product without identities, numbers multiplied out in front."""
    number = Fraction(1)
    kept: list[tuple[int | None, Expression]] = []
    for t, value in row:
        for factor in value.factors if isinstance(value, Chain) else (value,):
            if isinstance(factor, Number):
                number *= factor.value
            elif not isinstance(factor, Identity):
                kept.append((t, factor))
    if not kept:
        identity = next((factor for factor in row if isinstance(factor[1], Identity)), None)
        kept = [identity] if identity is not None else []
    if not kept:
        return [(None, Number(number))]
    return kept if number == 1 else [(None, Number(number)), *kept]


def arranged(gradient: Any, layout: str) -> Any:
    """Numbers in a parameter's shape as a layout shows them: a vector as a column or row, a matrix or its transpose."""
    if not layout:
        return gradient
    matrix = gradient.reshape(-1, 1) if gradient.ndim < 2 else gradient
    return matrix if layout == "gradient" else matrix.T


@frozen
class Group:
    """Factors that repeat along time, collected: Π_j pattern_j, or pattern^k when the factor has no step."""

    pattern: Expression  # at the running index j
    steps: tuple[int, ...]  # the steps at which the factor occurs, ascending

    @property
    def varies(self) -> bool:
        """Whether the factor differs from step to step."""
        return any(q.index for q in quantities(self.pattern))

    @property
    def is_slope(self) -> bool:
        """Whether the factor is a φ'(a_j), or what φ' is called (cos(a_j)), so that a shorthand φ'^k makes sense."""
        return isinstance(self.pattern, Call) and (
            self.pattern.order == 1 or isinstance(self.pattern.argument, Quantity)
        )

    @property
    def expression(self) -> Expression:
        """The product written out."""
        if self.varies:
            return multiply(*(at_step(self.pattern, j) for j in self.steps))
        return Power(self.pattern, Fraction(len(self.steps))) if self.steps else ONE


@frozen
class Collected(Shown):
    """One path with its recurrent factors collected: before · Π σ'(a_j) W_h^{k−1} · after.

    The shorthand σ'^k W_h^{k−1} writes k different values σ'(a_j) as one; the exact product is what is shown and
    what has the value, the shorthand stands beside it.
    """

    path: Path
    before: tuple[Expression, ...]
    groups: tuple[Group, ...]
    after: tuple[Expression, ...]

    @property
    def expression(self) -> Expression:
        """The exact product."""
        return multiply(*self.before, *(group.expression for group in self.groups), *self.after)

    def value(self, model: Model) -> sp.Expr:
        """The exact product in the named quantities."""
        from rnn_symbolic.symbols import read

        return read(self.expression)

    def number(self, valuation: Valuation) -> float:
        """The value of the exact product at a point."""
        return valuation.of(self.expression)


@frozen
class PathSum(Shown):
    """Σ over all paths to the goal, as products or collected; ``shown`` holds the terms a reader sees.

    When ``elided``, the sum still stands for every path, ``count`` of them; ``gaps`` are the places in ``shown``
    (its end included) before which terms are left out.
    """

    goal: Quantity
    shown: tuple[PathProduct | Collected | Oriented, ...]
    count: int
    gaps: tuple[int, ...] = ()
    granularity: str = "state"

    @property
    def layout(self) -> str:
        """The layout of the terms; none in scalar form."""
        first = self.shown[0]
        return first.layout if isinstance(first, Oriented) else ""

    @property
    def elided(self) -> bool:
        """Whether the reader sees fewer terms than there are."""
        return bool(self.gaps)

    def value(self, model: Model) -> sp.Expr:
        """The sum over every path, in the named quantities."""
        import sympy as sp

        if self.elided:
            return sp.Add(*(path.product for path in iter_paths(model, self.goal, self.granularity)))
        return sp.Add(*(term.value(model) for term in self.shown))

    def number(self, valuation: Valuation) -> Any:
        """The sum over every path at a point."""
        if self.elided:
            found = valuation.path_total(graph(valuation.model, self.goal, self.granularity)).value
            return arranged(found, self.layout)
        return sum((term.number(valuation) for term in self.shown), 0.0)


Form = Written | PathProduct | Collected | Oriented | PathSum


@frozen
class Step:
    """One line: ``before`` equals ``after``, because of ``rule``; smaller moves are ``substeps``.

    ``subject`` is the equation or the path the line speaks of: what the reason is about.
    """

    rule: Rule
    before: Form
    after: Form
    substeps: tuple[Step, ...] = ()
    subject: Quantity | Path | None = None

    def __str__(self) -> str:
        from rnn_symbolic.render.formulas import step_latex
        from rnn_symbolic.unicode import plain

        return f"{plain(step_latex(self))}   ({self.rule.value})"

    def _repr_latex_(self) -> str:
        from rnn_symbolic.printing import without_macros
        from rnn_symbolic.render.formulas import step_latex

        return f"$\\displaystyle {without_macros(step_latex(self))}$"


# --- collecting ---------------------------------------------------------------------------------------------------


def recurrent_patterns(g: Graph) -> tuple[Expression, ...]:
    """The factors of the blocks that lead from a state back to an earlier state, at the generic step.

    For elman: σ'(a_t) and W_h.
    """
    states = set(g.model.cell.states)
    found: dict[Expression, None] = {}
    for head in g.visible:
        if head in states:
            for block in g.inner[head]:
                if block.lag and block.tail in states:
                    values = (factor.value for factor in block.factors)
                    found.update((value, None) for value in values if not isinstance(value, Number))
    return tuple(found)


def collect(path: Path, patterns: tuple[Expression, ...], states: frozenset[str]) -> Collected:
    """The path with its recurrent factors collected, steps ascending; scalars commute, so nothing is lost.

    Only what leaves a state is collected: the output's W_y stays where it is even when W_h has the same name.
    Constants (the −1 of cos') are multiplied out.
    """
    constant = Fraction(1)
    before: list[Expression] = []
    after: list[Expression] = []
    steps: dict[Expression, list[int]] = {pattern: [] for pattern in patterns}
    for leg in path.legs:
        t = leg.head.step
        for factor in leg.factors:
            match = None
            if isinstance(factor.value, Number):
                constant *= factor.value.value
                continue
            if t is not None and leg.head.name in states:
                match = next((p for p in patterns if at_step(p, t) == factor.value), None)
            if match is not None and t is not None:
                steps[match].append(t)
            else:
                (after if any(steps.values()) else before).append(factor.value)
    if constant != 1:
        before.insert(0, Number(constant))
    if not any(steps.values()):
        return Collected(path, tuple(before), (), tuple(after))
    groups = tuple(Group(with_index(pattern), tuple(sorted(found))) for pattern, found in steps.items())
    groups = tuple(g for g in groups if g.steps or not g.varies)
    return Collected(path, tuple(before), groups, tuple(after))


def with_index(pattern: Expression) -> Expression:
    """A generic expression with the running index j in the place of t."""

    def visit(node: Expression) -> Expression:
        return Quantity(node.name, node.step, "j") if isinstance(node, Quantity) and node.index else node

    return transform(pattern, visit)


def total(wrt: Quantity, layout: str = "", apart: bool = False) -> Written:
    """∂L/∂wrt, named: as a gradient the transposed row."""
    derivative = Derivative(Quantity("L"), wrt, apart=apart)
    return Written(Transpose(derivative) if layout == "gradient" else derivative)


def terms_of(form: Form) -> int:
    """How many terms a line adds up."""
    match form:
        case Written(Add(terms)):
            return len(terms)
        case PathSum(count=count):
            return count
    return 1
