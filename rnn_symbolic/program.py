r"""Backpropagation through time as a program: the forward and adjoint statements of one generic step.

    forward   a_t = W_h h_{t−1} + W_x x_t + b_h,    h_t = σ(a_t),    …
    adjoint   ∂L/∂tail_{t−lag} += (∂⁺head_t/∂tail_{t−lag})ᵀ ∂L/∂head_t      for every row of the table, last head first
    sums      ∂L/∂W = Σ_t (∂L/∂a_t) v_tᵀ

A quantity that does not need the step before it (W_x x_t, the output layer) leaves the recurrence: its *stage* runs
over all steps at once, as do the sums over t. So a program is a list of stages, some of them loops; every back end
prints it. The adjoint of a quantity is called "∂" and its name.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from rnn_symbolic.expressions import (
    ONE,
    ZERO,
    Apply,
    Call,
    Expression,
    Quantity,
    add,
    multiply,
    quantities,
    transform,
)
from rnn_symbolic.frozen import frozen
from rnn_symbolic.jacobians import Names
from rnn_symbolic.model import Model
from rnn_symbolic.pullback import Outer, entrywise, from_values, pull_back
from rnn_symbolic.refinement import Refined, refine
from rnn_symbolic.schedule import Schedule, schedule
from rnn_symbolic.table import Edge, Product

SHARE = Quantity("1/T")
"""What the loss of a step counts in L when L is their mean; without stages, and if only ℓ_T counts, 1 or 0."""


@frozen
class Assign:
    """target = expression, or target += expression: arithmetic, entry by entry; ``rows`` are what it is read off."""

    target: Quantity
    expression: Expression
    adds: bool = False
    rows: tuple[Edge, ...] = ()


@frozen
class Multiplied:
    """targets_k (+)= matrices_k @ operand: one product with the matrices stacked."""

    targets: tuple[Quantity, ...]
    matrices: tuple[Quantity, ...]
    operand: Quantity
    adds: bool = False


@frozen
class PulledBack:
    """target (+)= Σ_k matrices_kᵀ @ operands_k: one product with the stacked matrices transposed."""

    target: Quantity
    matrices: tuple[Quantity, ...]
    operands: tuple[Quantity, ...]
    adds: bool = False


@frozen
class OuterSum:
    """targets_k (+)= Σ over steps and samples of operands_k argumentᵀ: one product over all steps stacked."""

    targets: tuple[Quantity, ...]
    operands: tuple[Quantity, ...]
    argument: Quantity
    adds: bool = False


@frozen
class Total:
    """target (+)= Σ over steps and samples of the expression."""

    target: Quantity
    expression: Expression
    adds: bool = False
    rows: tuple[Edge, ...] = ()


Statement = Assign | Multiplied | PulledBack | OuterSum | Total


@frozen
class Stage:
    """Statements that run over all steps at once, or step by step in a loop.

    ``before`` and ``after`` a loop stand statements over all steps. ``last`` says that only the step T counts.
    """

    statements: tuple[Statement, ...]
    looped: bool
    before: tuple[Statement, ...] = ()
    after: tuple[Statement, ...] = ()
    last: bool = False

    @property
    def everything(self) -> tuple[Statement, ...]:
        """All statements, in the order in which they run."""
        return (*self.before, *self.statements, *self.after)

    @property
    def targets(self) -> tuple[str, ...]:
        """The names that the stage computes, adjoints with their ∂."""
        return tuple(dict.fromkeys(_targets(self.everything)))


@dataclass(frozen=True)
class Program:
    """The stages of the forward pass in order, and those of the backward pass.

    ``groups`` are pre-activations that are computed, and pulled back, together: their arrays lie side by side.
    ``inputs`` says whether ∂L/∂x_t is wanted.
    """

    refined: Refined
    forward: tuple[Stage, ...]
    backward: tuple[Stage, ...]
    groups: tuple[tuple[str, ...], ...]
    prefilled: frozenset[str] = field(hash=False)
    inputs: bool = False

    @property
    def model(self) -> Model:
        return self.refined.model

    @property
    def shapes(self) -> Names:
        """The shape of every name but adjoints; empty in scalar form."""
        return self.refined.shapes

    @cached_property
    def lags(self) -> Mapping[str, int]:
        """How far back each state is read."""
        return dict(zip(self.model.cell.states, self.model.cell.lags, strict=True))

    @cached_property
    def kept(self) -> frozenset[str]:
        """The names whose values of all steps are kept: what another stage or the backward pass reads."""
        found = set(self.lags)
        for stages in (self.forward, self.backward):
            home = {name: i for i, stage in enumerate(stages) for name in _targets(stage.everything)}
            for i, stage in enumerate(stages):
                aside = {name for part in (stage.before, stage.after) for name in _targets(part)}
                aside |= {q.name for part in (stage.before, stage.after) for s in part for q in reads(s)}
                everywhere = set(_targets(stage.everything)) if not stage.looped else aside
                found |= {name for name in everywhere if name in home}
                found |= {q.name for s in stage.everything for q in reads(s) if home.get(q.name, i) != i}
        computed = {name for stage in self.forward for name in _targets(stage.everything)}
        found |= {q.name for stage in self.backward for s in stage.everything for q in reads(s) if q.name in computed}
        shared = {f"∂{name}" for name in self.model.cell.parameters}
        return frozenset((found | self.prefilled) - shared)

    def assigned_first(self, name: str) -> bool:
        """Whether the first statement to push to an adjoint assigns it for all steps, so that it need not be 0."""
        for stage in self.backward:
            for statement in stage.everything:
                if isinstance(statement, Assign | PulledBack) and statement.target.name == name:
                    return not statement.adds and not stage.last and not stage.looped
        return False


def _targets(statements: Iterable[Statement]) -> Iterator[str]:
    return (q.name for statement in statements for q in writes(statement))


def writes(statement: Statement) -> tuple[Quantity, ...]:
    """What a statement assigns or adds to."""
    return statement.targets if isinstance(statement, Multiplied | OuterSum) else (statement.target,)


def reads(statement: Statement) -> tuple[Quantity, ...]:
    """What a statement reads, its matrices included."""
    match statement:
        case Assign(expression=expression) | Total(expression=expression):
            return tuple(quantities(expression))
        case Multiplied(matrices=matrices, operand=operand):
            return (*matrices, operand)
        case PulledBack(matrices=matrices, operands=operands):
            return (*matrices, *operands)
        case OuterSum(operands=operands, argument=argument):
            return (*operands, argument)


def adjoint(quantity: Quantity) -> Quantity:
    """∂L/∂q, as a quantity of its own.

    >>> str(adjoint(Quantity("h", -1, "t")))
    '∂h[t-1]'
    """
    return Quantity(f"∂{quantity.name}", quantity.step, quantity.index)


def build_program(model: Model, *, inputs: bool = False, staged: bool | None = None) -> Program:
    """The program of a model without abstract functions; for any T.

    ``inputs`` asks for ∂L/∂x_t too; without ``staged``, as in scalar form, everything stands in one loop.

    >>> from rnn_symbolic.model import unroll
    >>> program = build_program(unroll("elman", activation="tanh", loss="squared", form="matrix"))
    >>> [(stage.looped, stage.targets) for stage in program.forward]
    [(True, ('a', 'h')), (False, ('o', 'y', 'l'))]
    >>> [(stage.looped, stage.targets) for stage in program.backward]
    [(False, ('∂y', '∂o', '∂h', '∂W_y', '∂b_y')), (True, ('∂a', '∂h', '∂W_h', '∂W_x', '∂b_h'))]
    """
    refined = refine(model)
    plan = schedule(refined, staged=bool(model.names) if staged is None else staged)
    return _Builder(refined, plan, inputs).program()


class _Builder:
    def __init__(self, refined: Refined, plan: Schedule, inputs: bool) -> None:
        self.refined, self.plan, self.inputs = refined, plan, inputs
        self.scalar = not refined.model.names
        self.shapes = {**refined.shapes, **{f"∂{name}": shape for name, shape in refined.shapes.items()}}
        self.values: dict[Expression, Quantity] = {
            e.expression: e.target for e in refined.equations if isinstance(e.expression, Call) and e.target.name != "l"
        }
        self.by_tail: dict[tuple[str, int], list[Edge]] = {}
        self.by_head: dict[str, list[Edge]] = {}
        for edge in refined.table:
            self.by_tail.setdefault((edge.tail.name, edge.lag), []).append(edge)
            self.by_head.setdefault(edge.head.name, []).append(edge)
        self.group_of = {name: group for group in plan.groups for name in group}
        self.begun: set[str] = set()  # parameters whose sum has been begun
        self.filled: set[str] = set()  # adjoints that something was pushed to

    def program(self) -> Program:
        forward = tuple(self.forward_stage(stage) for stage in self.plan.stages)
        backward = tuple(self.backward_stage(stage) for stage in reversed(self.plan.stages))
        prefilled = frozenset(f"∂{name}" for name in self.filled)
        return Program(self.refined, forward, backward, self.plan.groups, prefilled, self.inputs)

    # -- forward ----------------------------------------------------------------------------------------------

    def forward_stage(self, stage: tuple[str, ...]) -> Stage:
        looped = self.plan.looped(stage)
        before: list[Statement] = []
        during: list[Statement] = []
        begun: set[str] = set()  # what has been assigned to, in this order

        def emit(into: list[Statement], statement: Multiplied | Assign) -> None:
            into.append(statement)
            begun.update(_targets([statement]))

        early = [name for name in stage if looped and self.plan.hoisted(name)]
        for into, names, is_early in ((before, early, True), (during, list(stage), False)):
            done: set[str] = set()
            for name in names:
                members = self.group_of.get(name, (name,))
                if members[0] not in done:  # products stand where the first of their group does
                    done.update(members)
                    for k, operand in enumerate(self.plan.operands(members[0])):
                        if early and self.plan.is_early(members[0], operand) != is_early:
                            continue
                        matrices = tuple(self.plan.products(member)[k][0] for member in members)
                        targets = tuple(Quantity(member, 0, "t") for member in members)
                        emit(into, Multiplied(targets, matrices, operand, adds=members[0] in begun))
                rest = self.plan.rest(name, early=is_early if looped and early else None)
                if rest is not None and (not is_early or name in early):
                    value = self.plain(from_values(rest, self.others(name)))
                    emit(into, Assign(Quantity(name, 0, "t"), value, adds=name in begun))
        last = self.plan.is_last(stage)
        return Stage(tuple(during), looped, before=tuple(before), last=last)

    def others(self, name: str) -> dict[Expression, Quantity]:
        """The values that the equation of ``name`` may read: its own is not among them."""
        return {expression: target for expression, target in self.values.items() if target.name != name}

    def plain(self, expression: Expression) -> Expression:
        """Arithmetic entry by entry; in scalar form W @ v is an ordinary product."""
        if not self.scalar:
            return entrywise(expression, self.shapes)

        def visit(node: Expression) -> Expression:
            return multiply(node.left, node.right) if isinstance(node, Apply) else node

        return transform(expression, visit)

    # -- backward ---------------------------------------------------------------------------------------------

    def backward_stage(self, stage: tuple[str, ...]) -> Stage:
        looped = self.plan.looped(stage)
        during: list[Statement] = []
        after: list[Statement] = [] if looped else during
        for name in reversed(stage):
            if name != "l":
                during.extend(self.gathered(name, stage))
            during.extend(self.pushed(name, stage, inside=True))
        for name in reversed(stage):
            after.extend(self.pushed(name, stage, inside=False))
            after.extend(self.summed(name))
        return Stage(tuple(during), looped, after=tuple(after) if looped else (), last=self.plan.is_last(stage))

    def gathered(self, name: str, stage: tuple[str, ...]) -> Iterator[Statement]:
        """∂L/∂q_t, from what reads q_t at the same step in the same stage."""
        edges = [edge for edge in self.by_tail.get((name, 0), ()) if edge.head.name in stage]
        begun = name in self.filled or name in self.plan.carried(stage)
        if name in self.plan.carried(stage):
            self.filled.add(name)
        target = adjoint(Quantity(name, 0, "t"))
        plain = [edge for edge in edges if self.plain_terms(edge)]
        if plain or not (begun or edges):
            value = add(*(self.value(edge) for edge in plain))
            yield Assign(target, value, begun, tuple(plain))
            begun = True
        for members in self.together(edge for edge in edges if self.matrices(edge)):
            yield self.product(target, members, begun)
            begun = True

    def pushed(self, name: str, stage: tuple[str, ...], *, inside: bool) -> Iterator[Statement]:
        """What q_t leaves to earlier steps, and to quantities of other stages."""
        for edge in self.by_head.get(name, ()):
            tail = edge.tail
            if not tail.index or (tail.name == "x" and not self.inputs) or tail.name == "d":
                continue
            here = tail.name in stage
            if (here and edge.lag == 0) or here != inside:
                continue
            target = adjoint(tail)
            members = self.group_of.get(name, (name,))
            if self.matrices(edge) and name == members[0]:  # the group goes at once: its first is the last to be met
                edges = [e for m in members for e in self.by_head[m] if e.tail == tail and self.matrices(e)]
                yield self.product(target, edges, adds=self.begin(tail, edge.lag, inside))
            if self.plain_terms(edge):
                yield Assign(target, self.value(edge), self.begin(tail, edge.lag, inside), (edge,))

    def begin(self, tail: Quantity, lag: int, inside: bool) -> bool:
        """Whether something has been pushed to a quantity; the first to do so over all steps may assign."""
        begun = inside or lag > 0 or tail.name in self.filled
        self.filled.add(tail.name)
        return begun

    def summed(self, name: str) -> Iterator[Statement]:
        """What q_t leaves to parameters, summed over t."""
        members = self.group_of.get(name, (name,))
        for k, operand in enumerate(self.plan.operands(name) if not self.scalar else ()):
            if name == members[0]:
                matrices = tuple(self.plan.products(member)[k][0] for member in members)
                begun = {matrix.name in self.begun for matrix in matrices}
                heads = tuple(adjoint(Quantity(member, 0, "t")) for member in members)
                if len(begun) == 1 and len(set(matrices)) == len(matrices):
                    yield OuterSum(tuple(map(adjoint, matrices)), heads, operand, begun.pop())
                else:  # one matrix twice in a group, or only some of them begun
                    for matrix, head in zip(matrices, heads, strict=True):
                        yield OuterSum((adjoint(matrix),), (head,), operand, matrix.name in self.begun)
                        self.begun.add(matrix.name)
                self.begun.update(matrix.name for matrix in matrices)
        for edge in self.by_head.get(name, ()):
            if edge.tail.index or edge.tail.step is not None:
                continue
            value = self.value(edge)
            if value != ZERO:
                yield Total(adjoint(edge.tail), value, edge.tail.name in self.begun, (edge,))
                self.begun.add(edge.tail.name)

    # -- rows -------------------------------------------------------------------------------------------------

    def matrices(self, edge: Edge) -> tuple[Quantity, ...]:
        """The products of the row that are a matrix alone: they are pulled back as products."""
        return tuple(value for term in edge.terms if (value := self.matrix(term)) is not None)

    def plain_terms(self, edge: Edge) -> tuple[Product, ...]:
        """The other products of the row."""
        return tuple(term for term in edge.terms if self.matrix(term) is None)

    def matrix(self, term: Product) -> Quantity | None:
        value = term[0].value if len(term) == 1 and not self.scalar else None
        return value if isinstance(value, Quantity) and len(self.refined.shapes.get(value.name, ())) == 2 else None

    def together(self, edges: Iterable[Edge]) -> Iterator[list[Edge]]:
        """The rows of one group in its order."""
        found: dict[tuple[str, ...], list[Edge]] = {}
        for edge in edges:
            found.setdefault(self.group_of.get(edge.head.name, (edge.head.name,)), []).append(edge)
        for group, members in found.items():
            yield sorted(members, key=lambda edge: group.index(edge.head.name))

    def product(self, target: Quantity, edges: list[Edge], adds: bool) -> PulledBack:
        pairs = [(matrix, adjoint(edge.head)) for edge in edges for matrix in self.matrices(edge)]
        return PulledBack(target, tuple(m for m, _ in pairs), tuple(head for _, head in pairs), adds)

    def seed(self, head: Quantity) -> Expression:
        if head.name != "l":
            return adjoint(head)
        losses = self.refined.model.losses
        return SHARE if losses == "mean" or (losses == "last" and not self.plan.last) else ONE

    def pulled(self, edge: Edge) -> list[Expression | Outer]:
        """What each product of the row, matrices alone left out, makes of the adjoint of its head."""
        return [pull_back(term, self.seed(edge.head), self.shapes) for term in self.plain_terms(edge)]

    def value(self, edge: Edge) -> Expression:
        """The pullback through a row, but for its matrices and outer products."""
        plain = [found for found in self.pulled(edge) if not isinstance(found, Outer)]
        return self.plain(from_values(add(*plain), self.values))
