r"""Paths: ∂L/∂θ is a sum over the paths from L to θ of ordered products of immediate partials (Bauer 1974).

At granularity "state" a path visits the loss, the output and the states; what lies between two of them is a
*block*, a product (or a sum of products) of table entries, formed once at a generic step. At granularity "node"
every named quantity is visited; at "step" all states of a step together (see `blocks`). Paths are enumerated lazily,
and counted by dynamic programming without being listed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from rnn_symbolic.blocks import Block, StateBlocks, eliminate, parameter_entries, rows_by_head
from rnn_symbolic.errors import InputError
from rnn_symbolic.expressions import Expression, Quantity, at_step
from rnn_symbolic.frozen import frozen
from rnn_symbolic.model import Model
from rnn_symbolic.table import Product, product_value

if TYPE_CHECKING:
    import sympy as sp

GRANULARITIES = ("state", "node", "step")


@frozen
class Leg:
    """A block at a step: from head to tail, with its factors in order."""

    head: Quantity
    tail: Quantity
    factors: Product
    chain: tuple[Expression, ...] = ()  # the block's partials, at the generic step

    @property
    def partials(self) -> tuple[Expression, ...]:
        """The named immediate partials whose product (or sum of products) the leg is: ∂⁺h_3/∂a_3, ∂⁺a_3/∂h_2."""
        step = self.head.step
        return () if step is None else tuple(at_step(partial, step) for partial in self.chain)


@dataclass(frozen=True, repr=False)
class Path:
    """One path from L to a quantity, leg by leg.

    >>> from rnn_symbolic.model import unroll
    >>> from rnn_symbolic.paths import list_paths
    >>> path = list_paths(unroll("elman", steps=3), "W_x")[1]
    >>> [str(node) for node in path.nodes]
    ['L', 'l_3', 'y_3', 'h_3', 'h_2', 'W_x']
    >>> path.loss_step, path.entry_step, path.lag
    (3, 2, 1)
    """

    legs: tuple[Leg, ...]

    @property
    def nodes(self) -> tuple[Quantity, ...]:
        """The quantities visited, from L to the goal."""
        return (self.legs[0].head, *(leg.tail for leg in self.legs))

    @property
    def route(self) -> tuple[str, ...]:
        """The names of the nodes, as in JSON."""
        return tuple(str(node) for node in self.nodes)

    @property
    def factors(self) -> Product:
        """The local derivatives along the path, in order, from the loss to the goal."""
        return tuple(factor for leg in self.legs for factor in leg.factors)

    @property
    def loss_step(self) -> int:
        """The step t of the loss ℓ_t in which the path starts."""
        step = self.legs[0].tail.step
        assert step is not None
        return step

    @property
    def entry_step(self) -> int:
        """The step s of the equation that mentions the goal."""
        step = self.legs[-1].head.step
        return self.loss_step if step is None else step

    @property
    def lag(self) -> int:
        """t − s, how many steps back the path reaches."""
        return self.loss_step - self.entry_step

    @property
    def expression(self) -> Expression:
        """The ordered product as a record."""
        return product_value(self.factors)

    @property
    def product(self) -> sp.Expr:
        """The product as a SymPy expression in the named quantities (at size 1); SymPy sorts its factors."""
        from rnn_symbolic.symbols import read

        return read(product_value(self.factors, expanded=True))

    def value(self, model: Model) -> sp.Expr:
        """The product, as every line of a derivation gives it."""
        return self.product

    def __str__(self) -> str:
        from rnn_symbolic.printing import latex, latex_quantity
        from rnn_symbolic.unicode import plain

        route = r" \to ".join(map(latex_quantity, self.nodes))
        return f"{plain(route)}:  {plain(latex(self.expression))}"

    def __repr__(self) -> str:
        return f"Path({' -> '.join(self.route)})"

    def _repr_latex_(self) -> str:
        from rnn_symbolic.printing import latex, without_macros

        return f"$\\displaystyle {without_macros(latex(self.expression))}$"


def state_blocks(model: Model) -> StateBlocks:
    """The named blocks of a model's joint state, made once per model."""
    if "state blocks" not in model.graphs:
        model.graphs["state blocks"] = StateBlocks(model)
    found = model.graphs["state blocks"]
    assert isinstance(found, StateBlocks)
    return found


def resized(model: Model, steps: int, losses: str = "") -> Model:
    """The model for another number of steps, or with other losses; it shares the state blocks, which know of neither.

    >>> from rnn_symbolic.model import unroll
    >>> model = unroll("lstm")
    >>> state_blocks(resized(model, 7)) is state_blocks(model)
    True
    """
    found = replace(model, steps=steps, losses=losses or model.losses)
    found.graphs["state blocks"] = state_blocks(model)
    return found


class Graph:
    """The visible quantities of a model and the blocks between them, for paths to one goal.

    Built once per model, goal and granularity; holds no numbers. `ways` answers how many paths there are, and
    which branches of the enumeration lead anywhere.
    """

    def __init__(self, model: Model, goal: Quantity, granularity: str = "state") -> None:
        if granularity not in GRANULARITIES:
            raise InputError(f"{granularity!r} is not a granularity: choose one of {', '.join(GRANULARITIES)}")
        if goal.name == "L":
            raise InputError("the derivative of L by itself is 1: name a parameter, a state or an input")
        self.model, self.goal, self.granularity = model, goal, granularity
        if granularity == "step":
            self._join()
        else:
            self._eliminate()
        self._legs: dict[tuple[int, int], Leg] = {}
        self._fused: dict[tuple[int, int], tuple[Leg, Leg]] = {}
        self._ways: dict[int | None, dict[str, list[int]]] = {}

    # -- blocks -----------------------------------------------------------------------------------------------

    def _eliminate(self) -> None:
        """Every visible quantity by itself; what lies between two of them is a block."""
        model, goal, rows = self.model, self.goal, rows_by_head(self.model)
        states = set(model.cell.states)
        self.visible = [
            e.target.name
            for e in model.definitions
            if self.granularity == "node" or e.target.name in states or e.target.name in ("y", "l")
        ]
        stops, memo = set(self.visible), dict[str, list[Block]]()
        self.inner = {
            head: [b for b in eliminate(model, rows, head, stops, memo) if b.tail in stops and b.lag is not None]
            for head in self.visible
        }
        memo = {}
        self.entry = {
            head: [b for b in eliminate(model, rows, head, stops | {goal.name}, memo) if b.tail == goal.name]
            for head in self.visible
        }

    def _join(self) -> None:
        """All states of a step are one quantity: its blocks are named, and expanded elsewhere."""
        blocks = state_blocks(self.model)
        joint, goal = blocks.joint, self.goal
        heads = [joint, "l"] if joint else ["l"]
        self.visible = heads

        def between(head: str, tail: str, lags: Iterable[int]) -> list[Block]:
            found = ((lag, blocks.factor(head, tail, lag)) for lag in lags)
            return [Block(head, tail, lag, (f,), (f.value,)) for lag, f in found if f is not None]

        self.inner = {head: between(head, joint, blocks.lags(head)) if joint else [] for head in heads}
        if goal.step is None:
            self.entry = {head: parameter_entries(blocks, head, goal.name) for head in heads}
        elif goal.name == joint:
            self.entry = self.inner
        elif goal.name in blocks.states:
            lags = (0,) if goal.step > 0 else range(1, max(self.model.cell.lags) + 1)
            self.entry = {"l": [] if goal.step > 0 else between("l", goal.name, lags)}
            self.entry[joint] = between(joint, goal.name, lags)
        else:
            self.entry = {"l": [b for b in blocks.direct("l", goal.name) if b.tail == goal.name]}
            if joint:
                self.entry[joint] = between(joint, goal.name, (0,))

    def leg(self, block: Block, step: int) -> Leg:
        """The block at a step; made once, shared by every path that takes it."""
        key = (id(block), step)
        found = self._legs.get(key)
        if found is None:
            tail = Quantity(block.tail) if block.lag is None else Quantity(block.tail, step - block.lag)
            factors = tuple(factor.at(step) for factor in block.factors)
            found = self._legs[key] = Leg(Quantity(block.head, step), tail, factors, block.partials)
        return found

    def _entries(self, head: str, step: int) -> list[Block]:
        """The blocks by which a path may arrive at the goal from ``head`` at ``step``."""
        if self.goal.step is None:
            return self.entry[head]
        return [b for b in self.entry[head] if b.lag is not None and step - b.lag == self.goal.step]

    @property
    def entry_steps(self) -> tuple[int, ...] | None:
        """The steps at which an equation mentions the goal; None for a parameter: every step."""
        if self.goal.step is None:
            return None
        lags = {b.lag for blocks in self.entry.values() for b in blocks if b.lag is not None}
        if self.goal.name == "l":
            lags = {0}
        steps = (self.goal.step + lag for lag in lags)
        return tuple(sorted(s for s in steps if 1 <= s <= self.model.steps))

    def exits(self, head: str, step: int) -> Iterator[tuple[Block, bool]]:
        """The blocks by which a path leaves ``head`` at ``step``, and whether each arrives at the goal."""
        arriving = self._entries(head, step)
        yield from ((block, True) for block in arriving)
        for block in self.inner[head]:
            if block.lag is not None and step - block.lag >= 1 and not self._is_goal(block, step):
                yield block, False

    def _is_goal(self, block: Block, step: int) -> bool:
        return block.tail == self.goal.name and block.lag is not None and step - block.lag == self.goal.step

    # -- counting ---------------------------------------------------------------------------------------------

    def ways(self, entry: int | None) -> dict[str, list[int]]:
        """ways[name][k]: the number of paths from ``name`` at a step j down to the goal, entered at step j − k.

        It does not depend on j; for a goal that belongs to a step, ``entry`` is the entry step.
        """
        if entry in self._ways:
            return self._ways[entry]
        horizon = self.model.steps if entry is None else self.model.steps - entry + 1
        entries = {
            name: len(self.entry[name] if entry is None else self._entries(name, entry)) for name in self.visible
        }
        ways: dict[str, list[int]] = {name: [0] * horizon for name in self.visible}
        for k in range(horizon):
            for name in self.visible:  # in order of computation, so a tail of the same step is ready
                count = entries[name] if k == 0 else 0
                for block in self.inner[name]:
                    if block.lag is not None and block.lag <= k:
                        count += ways[block.tail][k - block.lag]
                ways[name][k] = count
        self._ways[entry] = ways
        return ways

    @cached_property
    def recurs(self) -> bool:
        """Whether a path to the goal can pass to an earlier step, so that factors may repeat along time."""
        leads = {name for name in self.visible if self.entry[name]}
        for _ in self.visible:
            leads |= {head for head in self.visible if any(b.tail in leads for b in self.inner[head])}
        return any(b.lag for head in self.visible for b in self.inner[head] if b.tail in leads)

    @cached_property
    def reached(self) -> frozenset[tuple[str, int]]:
        """The visible quantities that L depends on: with only the last loss, y_1 is not among them."""
        found = {("l", t) for t in self.model.loss_steps}
        for t in range(self.model.steps, 0, -1):
            for name in reversed(self.visible):
                if (name, t) in found:
                    found.update((b.tail, t - b.lag) for b in self.inner[name] if b.lag is not None)
        return frozenset(found)

    def entries_from(self, t: int) -> tuple[int, ...]:
        """The steps at which paths from ℓ_t enter the goal, the latest first."""
        if self.goal.name == "l":
            return (t,) if self.goal.step == t else ()
        if self.entry_steps is None:
            column = self.ways(None)["l"]
            return tuple(t - k for k in range(t) if column[k])
        return tuple(s for s in reversed(self.entry_steps) if s <= t and self.ways(s)["l"][t - s])

    def counts(self) -> Iterator[tuple[int, int, int]]:
        """(loss step, entry step, number of paths) where there are any; the latest loss and the shortest lag first."""
        for t in self.model.loss_steps:
            for s in self.entries_from(t):
                ways = 1 if self.goal.name == "l" else self.ways(None if self.entry_steps is None else s)["l"][t - s]
                yield t, s, ways

    def count(self) -> int:
        """The number of paths, by dynamic programming: O(T), nothing is listed."""
        return sum(self.count_by_lag().values())

    def count_by_lag(self) -> dict[int, int]:
        """The number of paths of each lag; O(T)."""
        if self.goal.step is not None or self.goal.name == "l":
            groups: dict[int, int] = {}
            for t, s, n in self.counts():
                groups[t - s] = groups.get(t - s, 0) + n
            return dict(sorted(groups.items()))
        column, T = self.ways(None)["l"], self.model.steps
        losses = [1 if self.model.losses == "last" else T - k for k in range(T)]
        return {k: column[k] * losses[k] for k in range(T) if column[k]}

    def count_by_loss(self) -> dict[int, int]:
        """The number of paths from each loss step, the latest first; O(T)."""
        if self.goal.step is not None or self.goal.name == "l":
            groups: dict[int, int] = {}
            for t, _, n in self.counts():
                groups[t] = groups.get(t, 0) + n
            return groups
        running, sums = 0, []
        for n in self.ways(None)["l"]:
            running += n
            sums.append(running)
        return {t: sums[t - 1] for t in self.model.loss_steps if sums[t - 1]}

    # -- enumeration ------------------------------------------------------------------------------------------

    def paths(self, loss_step: int, entry_step: int) -> Iterator[Path]:
        """The paths from ℓ_t that enter at step s, each in O(length)."""
        first = Leg(Quantity("L"), Quantity("l", loss_step), self.model.share)
        if self.goal.name == "l":
            if self.goal.step == loss_step:
                yield Path((first,))
            return
        ways = self.ways(None if self.goal.step is None else entry_step)
        # an explicit stack: Python's recursion limit is no limit on T
        stack: list[tuple[str, int, _Chain]] = [("l", loss_step, (first, None))]
        while stack:
            name, step, chain = stack.pop()
            if not name:
                yield Path(self._collapsed(_unchain(chain)))
                continue
            following: list[tuple[str, int, _Chain]] = []
            if step == entry_step:
                following += [("", 0, (self.leg(b, step), chain)) for b in self._entries(name, step)]
            for block in self.inner[name]:
                if block.lag is None:
                    continue
                k = step - block.lag - entry_step
                if k >= 0 and ways[block.tail][k]:
                    following.append((block.tail, step - block.lag, (self.leg(block, step), chain)))
            stack.extend(reversed(following))

    def starts(self, t: int) -> Iterator[tuple[tuple[Leg, ...], bool]]:
        """The first legs of the paths from ℓ_t, y_t passed where its two factors collapse; and whether they arrive."""
        first = Leg(Quantity("L"), Quantity("l", t), self.model.share)
        for block, arrives in self.exits("l", t):
            leg = self.leg(block, t)
            if arrives or self.model.collapse is None or block.tail != "y":
                yield (first, leg), arrives
                continue
            for following, ends in self.exits("y", t):
                yield self._collapsed((first, leg, self.leg(following, t))), ends

    def _collapsed(self, legs: tuple[Leg, ...]) -> tuple[Leg, ...]:
        """ℓ_t ← y_t ← o_t with its two factors replaced by y_t − d_t, where the model has that identity."""
        collapse = self.model.collapse
        if collapse is None or len(legs) < 3 or legs[1].tail.name != "y":
            return legs
        t = legs[0].tail.step
        assert t is not None
        n = len(collapse.output_rate)
        loss_leg, output_leg = legs[1], legs[2]
        rates = tuple(f.at(t) for f in (*collapse.loss_rate, *collapse.output_rate))
        if loss_leg.tail.step != t or (*loss_leg.factors, *output_leg.factors[:n]) != rates:
            return legs
        key = (id(loss_leg), id(output_leg))
        if key not in self._fused:
            fused = Leg(output_leg.head, output_leg.tail, (collapse.result.at(t), *output_leg.factors[n:]))
            fused = replace(fused, chain=output_leg.chain)  # the names stay: only the values are replaced
            self._fused[key] = (replace(loss_leg, factors=()), fused)
        return (legs[0], *self._fused[key], *legs[3:])


_Chain = tuple[Leg, Any]
"""The legs of a path under construction, the last one first: (leg, the chain before it)."""


def _unchain(chain: _Chain) -> tuple[Leg, ...]:
    legs: list[Leg] = []
    link: Any = chain
    while link is not None:
        leg, link = link
        legs.append(leg)
    return tuple(reversed(legs))
