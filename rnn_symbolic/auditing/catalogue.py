r"""The mistakes that can be made in the backward pass of *this* cell, read off its table of local derivatives.

Every arc may be left out; every factor of it may be missing, stand at another step, have the wrong sign; a matrix may
be transposed, two neighbours exchanged, a slope φ' taken at the wrong place or of the wrong function. No cell is known
by name: what a table has no factor for has no mistake.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from rnn_symbolic.auditing import factor_mistakes as factors
from rnn_symbolic.auditing import route_mistakes as routes
from rnn_symbolic.auditing.mistakes import TableMistake
from rnn_symbolic.auditing.sweep import Variant
from rnn_symbolic.auditing.writer import Writer
from rnn_symbolic.expressions import Call, Expression, walk
from rnn_symbolic.model import Model


def table_mistakes(model: Model, sizes: Mapping[str, int]) -> tuple[TableMistake, ...]:
    """Every mistake in one place of the table, the simplest first; ``sizes`` say which matrices are square.

    >>> from rnn_symbolic.model import unroll
    >>> found = table_mistakes(unroll("elman", activation="tanh", loss="squared"), {})
    >>> [(m.kind, m.about) for m in found if m.code == "value-for-argument"]
    [('activation-argument', ('h', 'a')), ('activation-argument', ('y', 'o'))]
    """
    found = list(_single(Writer(model, sizes)))
    return tuple(sorted((*found, *_repeated(found)), key=lambda mistake: mistake.rank))


def _repeated(mistakes: list[TableMistake]) -> Iterator[TableMistake]:
    """One habit in several places: every gate's matrix not transposed, h_t for h_{t−1} in all weight gradients."""
    families: dict[tuple[object, ...], list[TableMistake]] = {}
    for mistake in mistakes:
        for habit in _habits(mistake):
            families.setdefault((mistake.kind, mistake.code, mistake.variant.border, *habit), []).append(mistake)
    seen = set()
    for members in families.values():
        changes = tuple(change for mistake in members for change in mistake.variant.changes)
        arcs = [change.arc for change in changes]
        if len(members) < 2 or len(set(arcs)) < len(arcs) or changes in seen:
            continue
        seen.add(changes)
        added = tuple(arc for mistake in members for arc in mistake.variant.added)
        first = members[0]
        variant = Variant(changes, added, first.variant.border)
        yield replace(first, code=f"{first.code}-everywhere", rank=first.rank + 1, variant=variant)


def _habits(mistake: TableMistake) -> Iterator[tuple[object, ...]]:
    """What makes two mistakes the same habit."""
    output = mistake.head.name == "y"
    match mistake.code:
        case "carry-without-slope":
            yield ("all",)
        case "matrix" | "slope-after-matrix" | "swapped" | "factor-missing" | "factor-twice":
            yield (mistake.head, mistake.about[0] if mistake.code != "slope-after-matrix" else "")
            if mistake.kind == "scale":
                return
            if mistake.tail.step:
                yield ("lagged",)
            yield ("all",)
        case "value-for-argument" | "argument-for-value" | "no-slope" if not output:
            yield ("all",)
            yield ("function", _function(mistake.right))
        case "other-slope" | "other-slope-at-argument" if not output:
            yield (mistake.about[-1], _function(mistake.right))
        case "zero" | "wrap" | "cycle" | "no-initial":
            before, after, *_ = mistake.about
            yield (before, after, mistake.rule)
            yield (before, after)
        case "route":
            yield (mistake.head, mistake.tail)
            if mistake.kind != "sign":
                return
            yield (mistake.tail,)
            if mistake.tail.step:
                yield (mistake.tail.name,)


def _function(value: Expression | None) -> str:
    """The activation whose slope a local derivative holds."""
    found = [node.function for node in walk(value) if isinstance(node, Call)] if value is not None else []
    return found[-1] if found else ""


def _single(w: Writer) -> Iterator[TableMistake]:
    yield from routes.carries(w)
    yield from routes.initial(w)
    for i, arc in enumerate(w.arcs):
        if arc.tail in ("x", "d"):
            continue  # no path to a parameter leads there
        yield from routes.routes(w, i, arc)
        for k, factor in enumerate(arc.factors):
            yield from factors.slopes(w, i, arc, k, factor)
            yield from factors.matrices(w, i, arc, k, factor)
            yield from factors.shifts(w, i, arc, k, factor)
            yield from factors.missing(w, i, arc, k, factor)
        yield from routes.signs(w, i, arc)
        yield from routes.swaps(w, i, arc)
    yield from routes.orders(w)
    yield from routes.bare_carries(w)
    yield from routes.complements(w)
    yield from routes.foreign_slopes(w)
    yield from routes.past_slopes(w)
