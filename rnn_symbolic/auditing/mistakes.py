r"""What a mistake is: something done to the table, to the sum over paths, to the result, or to the network itself.

    table        another local derivative in the place of one, or none:       1 − a_t² for 1 − h_t²
    selection    some of the groups G[t, s] of paths only:                     those with t = T
    result       the right gradient, and then a number or a transpose:         2 ∇L, −∇L, (∇L)ᵀ
    forward      the right gradient of another network:                        z and 1 − z exchanged

``kind`` is one of `KINDS`, ``code`` says which sentence describes it, ``about`` what the sentence is about.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from itertools import product

import numpy as np

from rnn_symbolic.array_functions import Array
from rnn_symbolic.auditing.sweep import Variant
from rnn_symbolic.expressions import Derivative, Expression, Quantity
from rnn_symbolic.frozen import frozen
from rnn_symbolic.table import LocalRule

KINDS = (
    "missing-paths",
    "missing-loss",
    "missing-own-loss",
    "missing-carry",
    "missing-route",
    "transpose",
    "order",
    "activation-argument",
    "wrong-activation",
    "index",
    "initial-state",
    "scale",
    "output-derivative",
    "truncated",
    "clipped",
    "layout",
    "sign",
    "convention",
    "several",
    "unknown",
)
"""What may be wrong with a gradient, as JSON says it."""


@frozen
class Mistake:
    """One mistake; ``rank`` orders mistakes by simplicity: of two that explain the same numbers the lower is named."""

    kind: str
    code: str
    rank: int
    about: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TableMistake(Mistake):
    """The table with another local derivative; ``right`` and ``yours`` are ∂⁺head/∂tail, None if missing.

    Of a habit that shows in several places, ``variant`` has all changes, and the rest is that of the first.
    """

    variant: Variant
    head: Quantity
    tail: Quantity
    right: Expression | None = None
    yours: Expression | None = None
    rule: LocalRule | None = None

    @property
    def right_name(self) -> Derivative:
        """∂⁺head/∂tail, the name of the local derivative."""
        return Derivative(self.head, self.tail, immediate=True)


@frozen
class SelectionMistake(Mistake):
    """Only the groups G[t, s] that a rule keeps; ``number`` is the rule's own: τ, the step of a loss."""

    number: int = 0

    def mask(self, T: int) -> Array:
        """1 where the paths from ℓ_t that enter at step s are kept, [t − 1, s − 1]."""
        t, s = np.indices((T, T)) + 1
        return np.asarray(RULES[self.code](t, s, T, self.number) & (s <= t), dtype=np.float64)


@frozen
class ResultMistake(Mistake):
    """The gradient times ±2^a T^b n_y^c B^d; ``powers`` are a, b, c, d."""

    powers: tuple[int, int, int, int] = (0, 0, 0, 0)
    sign: int = 1

    def factor(self, T: int, outputs: int, batch: int | None) -> Fraction:
        """The number that the gradient is multiplied by."""
        bases = (2, T, outputs, batch or 1)
        return self.sign * math.prod(
            (Fraction(b) ** p for b, p in zip(bases, self.powers, strict=True)), start=Fraction(1)
        )


@frozen
class LayoutMistake(Mistake):
    """The gradient in another layout: transposed, or a matrix flattened column by column."""


@frozen
class LimitMistake(Mistake):
    """The gradient times a number that nothing explains, or clipped at one; ``limit`` is it."""

    limit: float = 1.0
    epsilon: float = 0.0  # added to the norm that divides


@frozen
class ForwardMistake(Mistake):
    """The right gradient of another network, whose forward pass differs as well; ``index`` is its place in a list."""

    index: int = 0


Rule = Callable[[Array, Array, int, int], Array]

RULES: dict[str, Rule] = {
    "only-last-loss": lambda t, s, T, k: t == T,
    "no-own-loss": lambda t, s, T, k: s < t,
    "no-carry": lambda t, s, T, k: s == t,
    "no-loss": lambda t, s, T, k: t != k,
    "not-last-loss": lambda t, s, T, k: t != T,
    "no-entry": lambda t, s, T, k: s != k,
    "not-last-entry": lambda t, s, T, k: s != T,
    "only-entry": lambda t, s, T, k: s == k,
    "only-last-entry": lambda t, s, T, k: s == T,
    "no-lag": lambda t, s, T, k: t - s != k,
    "only-oldest": lambda t, s, T, k: (t == T) & (s == 1),
    "nothing": lambda t, s, T, k: t < 0,
    "lag-limit": lambda t, s, T, k: t - s <= k,
    "chunks": lambda t, s, T, k: (t - 1) // k == (s - 1) // k,
    "chunks-from-end": lambda t, s, T, k: (T - t) // k == (T - s) // k,
}
"""Which (t, s) each selection keeps; k is its number."""


def selections(T: int) -> tuple[SelectionMistake, ...]:
    """The selections that leave something out of T steps, the simplest first.

    >>> [m.code for m in selections(2)][:3]
    ['only-last-loss', 'no-own-loss', 'no-carry']
    """
    found = [
        SelectionMistake("missing-loss", "only-last-loss", 1),
        SelectionMistake("missing-own-loss", "no-own-loss", 1),
        SelectionMistake("missing-carry", "no-carry", 1),
        SelectionMistake("missing-paths", "nothing", 1),
        *(SelectionMistake("missing-paths", "no-loss", 1, number=k) for k in range(1, min(T, 12) + 1)),
        SelectionMistake("missing-paths", "not-last-loss", 1),
        SelectionMistake("missing-paths", "only-entry", 1, number=1),
        SelectionMistake("missing-paths", "only-last-entry", 1),
        *(SelectionMistake("missing-paths", "no-entry", 1, number=k) for k in range(1, min(T, 12) + 1)),
        SelectionMistake("missing-paths", "not-last-entry", 1),
        *(SelectionMistake("truncated", "lag-limit", 1, number=k) for k in range(1, T - 1)),
        *(SelectionMistake("truncated", "chunks", 1, number=k) for k in range(2, T)),
        *(SelectionMistake("truncated", "chunks-from-end", 1, number=k) for k in range(2, T)),
        *(SelectionMistake("missing-paths", "no-lag", 2, number=k) for k in range(1, T)),
        SelectionMistake("missing-paths", "only-oldest", 2),
    ]
    lengths = (T - 1, T, T + 1)  # the last step is not step T elsewhere
    kept, masks = [], {b"".join(np.tril(np.ones((n, n))).tobytes() for n in lengths)}
    for mistake in found:  # one of those that keep the same
        key = b"".join(mistake.mask(n).tobytes() for n in lengths)
        if key not in masks:
            masks.add(key)
            kept.append(mistake)
    return tuple(kept)


def results(outputs: int, batch: int | None) -> tuple[ResultMistake, ...]:
    """Signs, factors ½ and 2, and means in the place of sums: over the steps, the outputs, a batch.

    >>> [(m.about, str(m.factor(3, 1, None))) for m in results(1, None)][:5]
    [((), '-1'), (('mean-steps',), '1/3'), (('sum-steps',), '3'), (('twice',), '2'), (('half',), '1/2')]
    """
    found = []
    for powers in product((0, 1, -1), (0, -1, 1), (0, -1, 1), (0, -1, 1)):
        sizes = (True, True, outputs > 1, (batch or 1) > 1)
        if not any(powers) or any(p and not varies for p, varies in zip(powers, sizes, strict=True)):
            continue
        two, *means = powers
        about = tuple(
            f"{'mean' if power < 0 else 'sum'}-{name}"
            for name, power in zip(("steps", "outputs", "batch"), means, strict=True)
            if power
        )
        about += {1: ("twice",), -1: ("half",), 0: ()}[two]
        found.append(ResultMistake("scale", "factor", len(about) - 1, about, powers))
    found.sort(key=lambda mistake: mistake.rank)
    return (ResultMistake("sign", "negative", 0, sign=-1), *found)
