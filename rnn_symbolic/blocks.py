r"""Blocks: what leads from one visible quantity to another, with everything between them eliminated; generic step.

    head_t ← tail_{t−lag}:   the sum over the ways through invisible quantities of the products of table entries

At granularity "step" all states of one step are one quantity, the joint state S_t = (h_t, c_t, …), and its Jacobian
J_t = ∂S_t/∂S_{t−1} is a matrix of *named* blocks ∂c_t/∂h_{t−1}, each expanded once. In a block the states of step
t − 1 are independent of one another: a path leaves step t − 1 by a lagged edge or not at all.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from rnn_symbolic.errors import NotDerivable
from rnn_symbolic.expressions import (
    ONE,
    ZERO,
    Blocks,
    Call,
    Derivative,
    Expression,
    Identity,
    Quantity,
    add,
    chain,
    children,
    joined,
    joint_name,
    multiply,
    walk,
)
from rnn_symbolic.frozen import frozen
from rnn_symbolic.jacobians import rows_of, shape_of
from rnn_symbolic.model import Model
from rnn_symbolic.table import Edge, Factor, LocalRule, Product, as_product, product_value

MAX_BLOCK = 4_000
"""The greatest number of symbols in one block; beyond it only granularity "node" is readable."""


@frozen
class Block:
    """∂head_t/∂tail_{t−lag} along all routes that visit no other visible quantity; generic step."""

    head: str
    tail: str
    lag: int | None  # None: the tail is a parameter
    factors: Product
    partials: tuple[Expression, ...]  # the same, with every table entry named: ∂⁺head/∂m · ∂⁺m/∂tail


def rows_by_head(model: Model) -> dict[str, list[Edge]]:
    """The rows of the table, by what they differentiate."""
    rows: dict[str, list[Edge]] = {}
    for edge in model.table:
        rows.setdefault(edge.head.name, []).append(edge)
    return rows


def named_partial(model: Model, edge: Edge) -> Derivative:
    """∂⁺head/∂tail; by a matrix, by its stacked columns."""
    return Derivative(edge.head, edge.tail, immediate=True, stacked=model.is_matrix(edge.tail))


def eliminate(
    model: Model, rows: dict[str, list[Edge]], head: str, stops: set[str], memo: dict[str, list[Block]]
) -> list[Block]:
    """The blocks that leave ``head``, by elimination of what is not in ``stops``; sums stay nested."""
    if head in memo:
        return memo[head]
    found: dict[tuple[str, int | None], list[tuple[Product, tuple[Expression, ...]]]] = {}
    for edge in rows.get(head, ()):
        tail, lag = edge.tail.name, (edge.lag if edge.tail.index else None)
        named = named_partial(model, edge)
        if tail in rows and tail not in stops and not lag:  # an intermediate of the same step: go through it
            for block in eliminate(model, rows, tail, stops, memo):
                through = (edge.factors + block.factors, (named, *block.partials))
                found.setdefault((block.tail, block.lag), []).append(through)
        else:
            found.setdefault((tail, lag), []).append((edge.factors, (named,)))
    blocks = []
    for (tail, lag), alternatives in found.items():
        factors = as_product(tuple(product for product, _ in alternatives))
        if len(alternatives) > 1 and sum(1 for f in factors for _ in walk(f.value)) > MAX_BLOCK:
            raise NotDerivable(
                f"the block from {head} to {tail} has more than {MAX_BLOCK} symbols; use --granularity node"
            )
        chains = [partials for _, partials in alternatives]
        join = chain if model.form == "matrix" else multiply
        partials = chains[0] if len(chains) == 1 else (add(*(join(*each) for each in chains)),)
        blocks.append(Block(head, tail, lag, factors, partials))
    memo[head] = blocks
    return blocks


# --- the joint state ----------------------------------------------------------------------------------------------


@frozen
class NamedBlock:
    """A block of the state Jacobian: its name, what it is in terms of other names, and in terms of the table.

    ``ways`` are the terms of ``written``, each with the rules of its factors: a way without a weight is a highway.
    """

    name: Derivative
    written: Expression
    expanded: Expression
    ways: tuple[tuple[Expression, frozenset[LocalRule]], ...] = ()


class StateBlocks:
    """The named blocks between the losses, the states and what a parameter enters through; generic step."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.rows = rows_by_head(model)
        self.states = model.cell.states
        self.joint = joint_name(self.states) if self.states else ""
        self._memos: dict[str, dict[str, list[Block]]] = {}
        self._named: dict[tuple[str, str, int], NamedBlock | None] = {}
        self._lags: dict[str, tuple[int, ...]] = {}

    def at(self, head: str, tail: str, lag: int) -> NamedBlock | None:
        """∂head_t/∂tail_{t−lag} with the states of step t − lag independent; None where nothing leads there.

        ``head`` is a state or ℓ, ``tail`` a state, an input or a quantity of the same step.
        """
        key = (head, tail, lag)
        if key not in self._named:
            self._named[key] = self._make(head, tail, lag)
        return self._named[key]

    def direct(self, head: str, goal: str = "") -> list[Block]:
        """The blocks of ``head`` that stop at every state, and at ``goal``; the two factors of a collapse fused."""
        memo = self._memos.setdefault(goal, {})
        stops = {*self.states, "l", goal}
        return [self._fused(block) for block in eliminate(self.model, self.rows, head, stops, memo)]

    def _fused(self, block: Block) -> Block:
        collapse = self.model.collapse
        if collapse is None or block.head != "l":
            return block
        n = len(collapse.loss_rate)
        fused = collapse.fuse(block.factors[n:]) if block.factors[:n] == collapse.loss_rate else None
        return block if fused is None else replace(block, factors=fused)

    def _make(self, head: str, tail: str, lag: int) -> NamedBlock | None:
        name = self.name(head, tail, lag)
        goal = "" if tail in self.states else tail
        written: list[Expression] = []
        expanded: list[Expression] = []
        ways: list[tuple[Expression, frozenset[LocalRule]]] = []
        if head == tail and not lag:
            identity = self._identity(head)
            return NamedBlock(name, identity, identity)
        for block in self.direct(head, goal):
            if block.tail == tail and block.lag == lag:
                value = product_value(block.factors)
                written.append(value)
                expanded.append(value)
                ways += [(term, rules) for term, rules in self._terms(head, goal, block)]
            elif block.tail in self.states and block.lag == 0 and head != "l":
                inner = self.at(block.tail, tail, lag)
                if inner is None:
                    continue
                factor = Factor(LocalRule.BLOCK, inner.name, self._shape(inner.name), inner.expanded)
                written.append(product_value((*block.factors, factor)))
                expanded.append(product_value((*block.factors, factor), expanded=True))
                ways.append((written[-1], frozenset({LocalRule.BLOCK})))
        if not written:
            return None
        return NamedBlock(name, add(*written), add(*expanded), tuple(ways))

    def _terms(self, head: str, goal: str, block: Block) -> Iterable[tuple[Expression, frozenset[LocalRule]]]:
        """Each way of a direct block by itself, with the rules of its factors."""
        for product in ways_between(self.rows, head, block.tail, block.lag, {*self.states, "l", goal}):
            yield product_value(product), frozenset(factor.rule for factor in product)

    def _identity(self, name: str) -> Expression:
        size = rows_of(name, self.model.names)
        return ONE if size == "1" else Identity(size)

    def _shape(self, expression: Expression) -> tuple[str, str] | None:
        return shape_of(expression, self.model.names) if self.model.form == "matrix" or self.several else None

    @property
    def several(self) -> bool:
        """Whether the joint state has more than one part, so that its Jacobian is a matrix even at size 1."""
        return len(self.states) > 1

    # -- the joint state as one quantity ------------------------------------------------------------------------

    def factor(self, head: str, tail: str, lag: int) -> Factor | None:
        """The named factor between the joint state, ℓ and quantities, or None where every block is zero."""
        heads, tails = (joined(name) for name in (head, tail))
        blocks = [[self.at(p, q, lag) for q in tails] for p in heads]
        if not any(block for row in blocks for block in row):
            return None
        name = self.name(head, tail, lag)
        if len(heads) == len(tails) == 1:
            only = blocks[0][0]
            assert only is not None
            expanded: Expression = only.expanded
        else:
            expanded = Blocks(tuple(tuple(ZERO if b is None else b.expanded for b in row) for row in blocks))
        return Factor(LocalRule.BLOCK, name, self._shape(name), expanded)

    def name(self, head: str, tail: str, lag: int) -> Derivative:
        """∂S_t/∂S_{t−lag}, named; within one step ∂h_t/∂c_t is the total derivative.

        What passes a later state is none of a block's business: where it could, the block is an immediate partial.
        """
        apart = joined(tail)[0] in self.states and (lag > 0 or head == "l")
        immediate = lag > (0 if head == "l" else 1)
        return Derivative(Quantity(head, 0, "t"), Quantity(tail, -lag, "t"), immediate, apart=apart)

    def layout(self, head: str, tail: str, lag: int) -> Blocks | None:
        """The named blocks of a joint derivative in their places; None where there is only one."""
        heads, tails = (joined(name) for name in (head, tail))
        if len(heads) == len(tails) == 1:
            return None
        blocks = (tuple(self.at(p, q, lag) for q in tails) for p in heads)
        return Blocks(tuple(tuple(ZERO if block is None else block.name for block in row) for row in blocks))

    def lags(self, head: str) -> tuple[int, ...]:
        """By how many steps ``head`` may look back at the joint state: 1, or 1 and 2, …; of ℓ also 0."""
        if head not in self._lags:
            first = 0 if head == "l" else 1
            pairs = [(p, q) for p in joined(head) for q in self.states]
            possible = range(first, max(self.model.cell.lags, default=0) + 1)
            self._lags[head] = tuple(lag for lag in possible if any(self.at(p, q, lag) for p, q in pairs))
        return self._lags[head]


def ways_between(
    rows: dict[str, list[Edge]], head: str, tail: str, lag: int | None, stops: set[str]
) -> Iterable[Product]:
    """The products of all ways from head to tail within a step that pass no stop, one by one."""
    for edge in rows.get(head, ()):
        edge_lag = edge.lag if edge.tail.index else None
        if edge.tail.name == tail and edge_lag == lag:
            yield from edge.terms
        elif edge.tail.name in rows and edge.tail.name not in stops and not edge_lag:
            for rest in ways_between(rows, edge.tail.name, tail, lag, stops):
                yield from ((*term, *rest) for term in edge.terms)


def is_weighted(way: Expression, scalars: tuple[str, ...] = ()) -> bool:
    """Whether a product holds a weight as a factor: a parameter that is no declared scalar.

    Inside a function, as in logistic(W h), a parameter is no factor.
    """
    match way:
        case Call():
            return False
        case Quantity(name, step):
            return step is None and name not in scalars
    return any(is_weighted(part, scalars) for part in children(way))


def highways(blocks: StateBlocks) -> tuple[tuple[NamedBlock, Expression], ...]:
    """What leads from a state to its own value one step earlier without a weight: diag(f_t), diag(z_t), I.

    Where several ways do, it is their sum, which is what multiplies along time.

    >>> from rnn_symbolic.model import unroll
    >>> from rnn_symbolic.printing import latex
    >>> [latex(way) for _, way in highways(StateBlocks(unroll("lstm", form="matrix")))]
    ['\\\\operatorname{diag}(f_{t})']
    """
    found = []
    for state in blocks.states:
        block = blocks.at(state, state, 1)
        if block is None:
            continue
        free = [
            way
            for way, rules in block.ways
            if not rules & {LocalRule.MATRIX, LocalRule.BLOCK} and not is_weighted(way, blocks.model.cell.scalars)
        ]
        if free:
            found.append((block, add(*free)))
    return tuple(found)


def parameter_entries(blocks: StateBlocks, head: str, parameter: str) -> list[Block]:
    """The blocks by which a parameter enters the joint state, through the quantity whose equation mentions it; or ℓ."""
    if head == "l":
        return [block for block in blocks.direct("l", parameter) if block.tail == parameter]
    found = []
    for name in _within_step(blocks):
        for edge in blocks.rows.get(name, ()):
            if edge.tail.name == parameter:
                factor = blocks.factor(head, name, 0)
                named = named_partial(blocks.model, edge)
                if name == head or factor is None:  # a single state whose own equation mentions the parameter
                    found.append(Block(head, parameter, None, edge.factors, (named,)))
                else:
                    found.append(Block(head, parameter, None, (factor, *edge.factors), (factor.value, named)))
    return found


def _within_step(blocks: StateBlocks) -> list[str]:
    """The states and what they are computed from in their own step, in order of computation."""
    reached, waiting = set[str](), list(blocks.states)
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            same_step = (e.tail.name for e in blocks.rows.get(name, ()) if e.tail.index and not e.lag)
            waiting.extend(tail for tail in same_step if tail in blocks.rows)
    return [e.target.name for e in blocks.model.definitions if e.target.name in reached]
