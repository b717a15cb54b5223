r"""The state Jacobian: ∂S_T/∂S_{T−k}, by blocks, as numbers, and how many elementary paths it sums up.

    ∂S_t/∂S_{t−k} = J_t J_{t−1} … J_{t−k+1}        with J_t = ∂S_t/∂S_{t−1}

The states of step T − k are independent: a path leaves that step by a lagged edge or not at all. A cell that looks
further back than one step has the recursion M_k = Σ_j A^{(j)} M_{k−j} instead of the product.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from rnn_symbolic.blocks import StateBlocks, highways
from rnn_symbolic.errors import InputError
from rnn_symbolic.expressions import Blocks, Derivative, Expression, Quantity, add, at_step, chain, joint_name, multiply
from rnn_symbolic.forms import Rule, Step, Written
from rnn_symbolic.graph import state_blocks
from rnn_symbolic.model import Model
from rnn_symbolic.sections import Plan, block_section
from rnn_symbolic.table import Edge


@dataclass(frozen=True)
class StateJacobian:
    """∂S_T/∂S_{T−lag} of a model with T steps.

    >>> from rnn_symbolic.model import unroll
    >>> jacobian = StateJacobian(unroll("lstm", steps=10), 10)
    >>> jacobian.states, jacobian.counts["h", "h"], jacobian.count
    (('h', 'c'), 5274724, 11940723)
    """

    model: Model
    lag: int

    def __post_init__(self) -> None:
        states, T = self.model.cell.states, self.model.steps
        if not states:
            raise InputError(f"{self.model.cell.name} has no state, so it has no state Jacobian; try the cell elman")
        if isinstance(self.lag, bool) or not isinstance(self.lag, int) or self.lag < 1:
            raise InputError(f"the lag is {self.lag!r}; it must be a whole number of at least 1")
        if self.lag > T:
            raise InputError(f"lag {self.lag} looks back beyond the initial state at T = {T}; use --steps {self.lag}")

    def __str__(self) -> str:
        return "\n".join(map(str, self.steps))

    def _repr_latex_(self) -> str:
        from rnn_symbolic.render.formulas import form_latex

        lines = (f"{form_latex(step.before)} &= {form_latex(step.after)}" for step in self.steps)
        return "$\\displaystyle \\begin{aligned} " + r" \\[4pt] ".join(lines) + " \\end{aligned}$"

    @property
    def states(self) -> tuple[str, ...]:
        """The order of rows and columns."""
        return self.model.cell.states

    @property
    def blocks(self) -> StateBlocks:
        """The named blocks of one step."""
        return state_blocks(self.model)

    @cached_property
    def name(self) -> Derivative:
        """∂S_T/∂S_{T−lag}."""
        joint, T = joint_name(self.states), self.model.steps
        return Derivative(Quantity(joint, T), Quantity(joint, T - self.lag), apart=True)

    @cached_property
    def steps(self) -> tuple[Step, ...]:
        """The lines: over several steps the product, then the Jacobian of one step by its blocks, each expanded."""
        section = block_section(Plan(self.model, "step"))
        own = tuple(step for step in section.steps if not (isinstance(q := step.subject, Quantity) and q.name == "l"))
        return (*self._product(), *own)

    def _product(self) -> tuple[Step, ...]:
        T, joint = self.model.steps, joint_name(self.states)
        if self.lag == 1:
            return ()
        blocks = self.blocks
        join = chain if self.model.form == "matrix" or blocks.several else multiply
        if blocks.lags(joint) == (1,):
            one = blocks.name(joint, joint, 1)
            product = join(*(at_step(one, t) for t in range(T, T - self.lag, -1)))
            return (Step(Rule.STATE_PRODUCT, Written(self.name), Written(product), subject=self.name.of),)
        lines = []
        for k in range(self.lag, 1, -1):  # ∂S_{s+k}/∂S_s by its last step
            t, start = T - self.lag + k, Quantity(joint, T - self.lag)
            terms: list[Expression] = []
            for j in (j for j in blocks.lags(joint) if j <= k):
                direct = at_step(blocks.name(joint, joint, j), t)
                rest = Derivative(Quantity(joint, t - j), start, apart=True)
                terms.append(join(direct, rest) if j < k else direct)
            name = Derivative(Quantity(joint, t), start, apart=True)
            lines.append(Step(Rule.STATE_RECURSION, Written(name), Written(add(*terms)), subject=name.of))
        return tuple(lines)

    @property
    def layout(self) -> Blocks | None:
        """The named blocks of one step in their places; None where there is only one."""
        joint = joint_name(self.states)
        return self.blocks.layout(joint, joint, 1)

    @property
    def highways(self) -> tuple[tuple[str, Expression], ...]:
        """The states with a way to their own earlier value that passes no parameter, and that way."""
        return tuple((block.name.of.name, way) for block, way in highways(self.blocks))

    # -- counting ---------------------------------------------------------------------------------------------

    @cached_property
    def counts(self) -> dict[tuple[str, str], int]:
        """The number of elementary paths from each state at T to each state at T − lag, by dynamic programming."""
        found = {}
        for tail in self.states:
            column = self._ways(tail)
            found.update({(head, tail): column[head] for head in self.states})
        return found

    @property
    def count(self) -> int:
        """All blocks together."""
        return sum(self.counts.values())

    def _ways(self, tail: str) -> dict[str, int]:
        """From every quantity at T: the paths to ``tail`` at T − lag; an edge for each ordered pair of quantities."""
        rows: dict[str, list[Edge]] = self.blocks.rows
        order = [e.target.name for e in self.model.definitions]
        ways: list[dict[str, int]] = [{}]
        for m in range(1, self.lag + 1):
            here: dict[str, int] = {}
            for name in order:  # in order of computation, so a tail of the same step is ready
                total = 0
                for edge in rows.get(name, ()):
                    if not edge.tail.index or edge.lag > m or edge.tail.name not in order:
                        continue
                    if edge.lag == m:
                        total += edge.tail.name == tail
                    else:
                        total += ways[m - edge.lag][edge.tail.name] if edge.lag else here[edge.tail.name]
                here[name] = total
            ways.append(here)
        return ways[self.lag]


def jacobian_value(jacobian: StateJacobian, valuation: Any) -> Any:
    """∂S_T/∂S_{T−lag} as an array, from the table: rows are the states at T, columns those at T − lag."""
    import numpy as np

    model, blocks, T = jacobian.model, jacobian.blocks, jacobian.model.steps
    joint = joint_name(jacobian.states)
    factors = {lag: blocks.factor(joint, joint, lag) for lag in blocks.lags(joint)}

    def one_step(lag: int, t: int) -> Any:
        factor = factors[lag]
        assert factor is not None
        return valuation.of(factor.at(t).worth)

    start = T - jacobian.lag
    total: dict[int, Any] = {}
    for t in range(start + 1, T + 1):
        parts = []
        for lag in factors:
            if t - lag == start:
                parts.append(one_step(lag, t))
            elif t - lag > start and t - lag in total:
                parts.append(one_step(lag, t) @ total[t - lag])
        if parts:
            total[t] = np.asarray(sum(parts))
    if T not in total:
        size = sum(valuation.values[state, T].size for state in jacobian.states)
        return np.zeros((size, size))
    assert model is valuation.model
    return total[T]
