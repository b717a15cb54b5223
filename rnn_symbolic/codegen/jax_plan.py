"""What a scan must know of a loop: what is carried, what comes in step by step, what is kept; what needs no code.

forward    carries a state as far back as the loop reads it: (h, h_before)
backward   carries what steps have left so far to the steps before: (dh for h_t, dh_before for h_{t-1})
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from rnn_symbolic.expressions import Quantity
from rnn_symbolic.program import Multiplied, OuterSum, Program, Stage, Statement, reads


@dataclass(frozen=True)
class Loop:
    """``carried``: how many steps back each state goes; ``inputs``: read, but not computed; ``kept``: read elsewhere.

    The names of a backward loop are those of adjoints, with their ∂.
    """

    carried: dict[str, int]
    inputs: tuple[Quantity, ...]
    kept: tuple[str, ...]


def targets_of(statement: Statement) -> tuple[Quantity, ...]:
    """What a statement computes."""
    return statement.targets if isinstance(statement, Multiplied | OuterSum) else (statement.target,)


def live_stages(program: Program) -> tuple[list[Stage], list[Stage]]:
    """The forward and backward stages without what neither L nor a gradient needs."""
    cell = program.model.cell
    wanted = {"l", *(f"∂{name}" for name in (*cell.parameters, *cell.states))} | ({"∂x"} if program.inputs else set())
    stages = (*program.forward, *program.backward)
    while True:
        needed = {
            q.name
            for stage in stages
            for statement in stage.everything
            if any(q.name in wanted for q in targets_of(statement))
            for q in reads(statement)
        }
        if needed <= wanted:
            break
        wanted |= needed

    def live(statements: Iterable[Statement]) -> tuple[Statement, ...]:
        return tuple(s for s in statements if any(q.name in wanted for q in targets_of(s)))

    def kept(stages: Iterable[Stage]) -> list[Stage]:
        found = [replace(s, before=live(s.before), statements=live(s.statements), after=live(s.after)) for s in stages]
        return [stage for stage in found if stage.everything]

    return kept(program.forward), kept(program.backward)


def plan_loop(stage: Stage, elsewhere: Iterable[Statement], outside: frozenset[str]) -> Loop:
    """The plan of one loop.

    ``elsewhere`` are the statements that are not in the loop's body; ``outside`` the adjoints of which a part comes
    from outside the loop.
    """
    computed = dict.fromkeys(q.name for s in stage.statements for q in targets_of(s) if q.index)
    carried: dict[str, int] = {}
    for q in _mentioned(stage.statements):
        if q.step and q.name in computed:
            carried[q.name] = max(carried.get(q.name, 0), -q.step)
    from_later = [name for name in carried if name.startswith("∂")]
    here = set(from_later)
    inputs = dict.fromkeys(Quantity(name, 0, "t") for name in from_later if name in outside)
    for statement in stage.statements:
        for q in _needs(statement):
            if q.index and not (q.name in here if not q.step else q.name in carried):
                inputs[q] = None
        here.update(q.name for q in targets_of(statement) if not q.step)
    used = {q.name for s in elsewhere for q in reads(s) if q.index}
    kept = tuple(name for name in (*carried, *computed) if name in used)
    return Loop(carried, tuple(inputs), tuple(dict.fromkeys(kept)))


def _needs(statement: Statement) -> Iterator[Quantity]:
    """What must have a value before a statement runs."""
    yield from reads(statement)
    if statement.adds:
        yield from (q for q in targets_of(statement) if not q.step)


def _mentioned(statements: Iterable[Statement]) -> Iterator[Quantity]:
    for statement in statements:
        yield from reads(statement)
        yield from targets_of(statement)
