r"""How many paths there are, from the numbers of routes through one step: u_d = A u_{d−1}.

A path from ℓ_t is cut where it passes from one step to an earlier one, into a state. Between two cuts lies a route
through one step. With the numbers of routes from state to state as the matrix A (of several lags stacked), those from
the loss to a state as the row r, and those from a state to the goal as the column u, the number of paths that reach d
steps back is

    w_0 = the number of routes from the loss to the goal,        w_d = r A^{d−1} u.

The theorem of Cayley and Hamilton gives r A^n u a linear recurrence of the order of A; a sum over lags or over losses
adds 1 to the order, and so does every term that stands before the recurrence begins.
"""

from __future__ import annotations

from collections import Counter

from rnn_symbolic.expressions import Quantity
from rnn_symbolic.frozen import frozen
from rnn_symbolic.graph import Graph, resized
from rnn_symbolic.model import Model

State = tuple[str, int]
"""A state, and how many steps before the present one."""


@frozen
class Transfer:
    """w_0, w_1, … = first[0], first[1], …, and from there on r A^n u with n counted from 0."""

    first: tuple[int, ...]
    row: tuple[int, ...]
    matrix: tuple[tuple[int, ...], ...]
    column: tuple[int, ...]

    @property
    def order(self) -> int:
        """An order of a linear recurrence that w_0, w_1, … satisfy from their start."""
        return len(self.first) + len(self.matrix)

    def values(self, most: int) -> list[int]:
        """w_0, …, w_{most−1}, exactly.

        >>> Transfer((1,), (1, 1), ((1, 1), (1, 0)), (1, 0)).values(6)
        [1, 1, 2, 3, 5, 8]
        """
        found, column = list(self.first), self.column
        while len(found) < most:
            found.append(dot(self.row, column))
            column = tuple(dot(row, column) for row in self.matrix)
        return found[:most]


def dot(left: tuple[int, ...], right: tuple[int, ...]) -> int:
    """Σ_i l_i r_i."""
    return sum(a * b for a, b in zip(left, right, strict=True))


def transfer(model: Model, goal: Quantity, granularity: str) -> Transfer:
    """The routes through one step of a model, for the paths to a goal; for x_s, w_d counts those of ℓ_{s+d}.

    Of an initial state w_d counts the paths of ℓ_{d+1}; it enters at as many first steps as the states look back.

    >>> from rnn_symbolic.model import unroll
    >>> transfer(unroll("gru"), Quantity("U_z"), "node")
    Transfer(first=(1,), row=(4,), matrix=((4,),), column=(1,))
    """
    steps = max(model.cell.lags, default=1)
    graph = Graph(resized(model, steps), Quantity(goal.name, 1) if goal.index else goal, granularity)
    routes: dict[str, Counter[State]] = {}
    for head in graph.visible:  # in order of computation: what a head reads of its own step is known
        found: Counter[State] = Counter()
        for block in graph.inner[head]:
            if block.lag is None:
                continue
            found.update(routes[block.tail] if block.lag == 0 else {(block.tail, block.lag): 1})
        routes[head] = found
    met = {state for found in routes.values() for state in found}
    names = [name for name in graph.visible if any(name == state for state, _ in met)]
    most = max((lag for _, lag in met), default=1)
    states = [(name, lag) for lag in range(1, most + 1) for name in names]
    step = [tuple(routes[name][state] for state in states) for name in names]
    shift = [tuple(int(i == j) for j in range(len(states))) for i in range(len(states) - len(names))]
    row, matrix = tuple(routes["l"][state] for state in states), (*step, *shift)
    entering = (graph.entry_steps or ()) if goal.step is not None else (1,)
    first: list[int] = []
    column = tuple(0 for _ in states)
    for n in range(1, max(entering, default=1) + 1):
        arrive = _arriving(graph, n) if n in entering else Counter()
        first.append(dot(row, column) + arrive["l"])
        moved = tuple(dot(r, column) for r in matrix)
        column = tuple(c + (arrive[name] if lag == 1 else 0) for c, (name, lag) in zip(moved, states, strict=True))
    return Transfer(tuple(first), row, matrix, column)


def _arriving(graph: Graph, step: int) -> Counter[str]:
    """The routes from each quantity of a step to the goal within that step."""
    found: Counter[str] = Counter()
    for head in graph.visible:
        found[head] = sum(arrives for _, arrives in graph.exits(head, step))
        found[head] += sum(found[block.tail] for block in graph.inner[head] if block.lag == 0)
    return found
