r"""Which quantities need the step before them, and which can be computed for all steps at once.

Quantities that need each other across steps form the strongly connected components of the graph "reads"; each
component is a loop over t, everything else is not. Stages alternate: over all steps, a loop, over all steps, …
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from rnn_symbolic.expressions import Add, Apply, Expression, Quantity, add, quantities
from rnn_symbolic.refinement import Refined


@dataclass(frozen=True)
class Schedule:
    """The stages, each a tuple of names in order of computation, and what belongs together.

    ``groups`` are affine equations of one stage with the same operands: their products are one product.
    """

    refined: Refined
    stages: tuple[tuple[str, ...], ...]
    loops: frozenset[tuple[str, ...]]
    groups: tuple[tuple[str, ...], ...]
    place: Mapping[str, int] = field(hash=False)  # the stage of each name
    last: frozenset[str] = frozenset()  # what counts at the step T alone
    staged: bool = True

    def looped(self, stage: tuple[str, ...]) -> bool:
        return stage in self.loops

    def is_last(self, stage: tuple[str, ...]) -> bool:
        return bool(self.last) and set(stage) <= self.last

    def carried(self, stage: tuple[str, ...]) -> frozenset[str]:
        """The names whose adjoint an equation of the same stage leaves something from a later step."""
        edges = self.refined.table
        return frozenset(e.tail.name for e in edges if e.lag and e.tail.name in stage and e.head.name in stage)

    # -- affine equations -------------------------------------------------------------------------------------

    def terms(self, name: str) -> tuple[Expression, ...]:
        expression = next(e.expression for e in self.refined.equations if e.target.name == name)
        return expression.terms if isinstance(expression, Add) else (expression,)

    def products(self, name: str) -> tuple[tuple[Quantity, Quantity], ...]:
        """The products W v of an equation, as (W, v); in scalar form they are not apart."""
        if not self.refined.model.names:
            return ()
        return tuple(_parts(term) for term in self.terms(name) if isinstance(term, Apply))

    def operands(self, name: str) -> tuple[Quantity, ...]:
        return tuple(operand for _, operand in self.products(name))

    def is_early(self, name: str, operand: Quantity) -> bool:
        """Whether an operand is there before the loop of ``name`` begins."""
        return not operand.index or self.place.get(operand.name, -1) < self.place[name]

    def hoisted(self, name: str) -> bool:
        """Whether a product in the equation leaves the loop: then all terms that can do so leave it together."""
        if not self.staged:
            return False
        worth = [term for term in self.terms(name) if self._early(term, name) and self._varies(term)]
        return bool(worth) and len(self.terms(name)) > len([t for t in self.terms(name) if self._early(t, name)])

    def rest(self, name: str, early: bool | None) -> Expression | None:
        """The terms that are no products; with ``early`` those before the loop, or those within it."""
        products = bool(self.refined.model.names)
        terms = [term for term in self.terms(name) if not (products and isinstance(term, Apply))]
        if early is not None and self.hoisted(name):
            terms = [term for term in terms if self._early(term, name) == early]
        elif early:
            terms = []
        return add(*terms) if terms else None

    def _early(self, term: Expression, name: str) -> bool:
        return all(self.is_early(name, q) for q in quantities(term))

    @staticmethod
    def _varies(term: Expression) -> bool:
        return any(q.index for q in quantities(term))


def _parts(term: Apply) -> tuple[Quantity, Quantity]:
    assert isinstance(term.left, Quantity)
    assert isinstance(term.right, Quantity)
    return term.left, term.right


def schedule(refined: Refined, *, staged: bool = True) -> Schedule:
    """The stages of refined equations; without ``staged`` a single loop.

    >>> from rnn_symbolic.model import unroll
    >>> from rnn_symbolic.refinement import refine
    >>> two = schedule(refine(unroll("two-layer", activation="tanh", loss="squared", form="matrix")))
    >>> two.stages
    (('a', 'h'), ('e', 's'), ('o', 'y', 'l'))
    """
    names = [equation.target.name for equation in refined.equations]
    needs = {
        e.target.name: {q.name for q in quantities(e.expression) if q.index and q.name in names}
        for e in refined.equations
    }
    if not staged:
        place = dict.fromkeys(names, 1)
        recurrent = frozenset(names)
        last: frozenset[str] = frozenset()
    else:
        component = _components(names, needs)
        recurrent = frozenset(n for n in names if n in needs[n] or sum(component[n] == component[m] for m in names) > 1)
        place = {}
        for name in sorted(names, key=lambda n: component[n]):
            odd = name in recurrent
            floor = 1 if odd else 0
            for other in needs[name]:
                if component[other] != component[name]:
                    step = 2 if odd and other in recurrent else 0 if odd == (other in recurrent) else 1
                    floor = max(floor, place[other] + step)
            place[name] = max(floor, *(place.get(m, 0) for m in names if component[m] == component[name]))
        for name in names:  # a component is one stage
            place[name] = max(place[m] for m in names if component[m] == component[name])
        last = _only_last(refined, names, recurrent) if refined.model.losses == "last" else frozenset()
        place = {name: 2 * k + (name in last) for name, k in place.items()}
    found: dict[int, list[str]] = {}
    for name in names:
        found.setdefault(place[name], []).append(name)
    stages = tuple(tuple(found[k]) for k in sorted(found))
    place = {name: i for i, stage in enumerate(stages) for name in stage}
    loops = frozenset(stage for stage in stages if stage[0] in recurrent)
    plan = Schedule(refined, stages, loops, (), place, last, staged)
    return replace(plan, groups=_groups(plan))


def _groups(plan: Schedule) -> tuple[tuple[str, ...], ...]:
    found: dict[tuple[int, tuple[Quantity, ...]], list[str]] = {}
    for stage in plan.stages:
        for name in stage:
            operands = plan.operands(name)
            if operands and len(set(operands)) == len(operands):
                found.setdefault((plan.place[name], tuple(sorted(operands, key=str))), []).append(name)
    groups = (tuple(names) for names in found.values() if len(names) > 1)
    return tuple(g for g in groups if len({plan.operands(name) for name in g}) == 1)


def _only_last(refined: Refined, names: list[str], recurrent: frozenset[str]) -> frozenset[str]:
    """What is read at its own step only, and in the end by ℓ_T alone."""
    found: set[str] = set()
    for name in reversed(names):
        readers = [
            (e.target.name, q)
            for e in refined.equations
            for q in quantities(e.expression)
            if q.name == name and q.index
        ]
        if name not in recurrent and all(reader in found and not q.step for reader, q in readers):
            found.add(name)
    return frozenset(found)


def _components(names: list[str], needs: Mapping[str, set[str]]) -> dict[str, int]:
    """The strongly connected components, numbered so that what is read comes first (Tarjan 1972)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    component: dict[str, int] = {}

    def visit(name: str) -> None:
        index[name] = low[name] = len(index)
        stack.append(name)
        for other in sorted(needs[name]):
            if other not in index:
                visit(other)
                low[name] = min(low[name], low[other])
            elif other not in component:
                low[name] = min(low[name], index[other])
        if low[name] == index[name]:
            number = len(set(component.values()))
            while name not in component:
                component[stack.pop()] = number

    for name in names:
        if name not in index:
            visit(name)
    return component
