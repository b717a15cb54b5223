"""What is said of parts of a formula that do not go together: both parts, both shapes, and what would fit."""

from __future__ import annotations

from rnn_symbolic.auditing.formula_values import sizes
from rnn_symbolic.jacobians import SCALAR
from rnn_symbolic.table import Shape

Part = tuple[str, Shape | None]
"""The text of a part, and its shape."""


def unfit(operator: str, left: Part, right: Part) -> str:
    """A product that is not defined, and the one that would be.

    >>> unfit("@", ("W_y", ("n_y", "n_h")), ("d[1]", ("n_y", "1")))
    "'W_y' (n_y × n_h) @ 'd[1]' (n_y × 1) does not fit: ... did you mean W_y.T @ d[1]?"
    """
    (a, one), (b, other) = left, right
    message = f"{a!r} ({sizes(one)}) {operator} {b!r} ({sizes(other)}) does not fit"
    if one is None or other is None:
        return message
    if SCALAR in (one, other):
        return f"{message}: '@' multiplies matrices; for a number write *"
    rule = "the columns of the first are not the rows of the second"
    if operator != "@":
        rule = f"{operator!r} is elementwise and takes two of the same shape"
    better = _better(operator, (f"({a})" if a[0] == "-" else a, one), (f"({b})" if b[0] == "-" else b, other))
    return f"{message}: {rule}" + (f"; did you mean {better}?" if better else "")


def _better(operator: str, left: tuple[str, Shape], right: tuple[str, Shape]) -> str:
    """A product of the same two that is defined."""
    (a, one), (b, other) = left, right
    if one[1] == other[1] == "1":
        both = one == other and operator == "@"
        return f"{a} * {b}, outer({a}, {b}) or {a}.T @ {b}" if both else f"outer({a}, {b})"
    if operator != "@":
        if one[1] == "1" and one[0] == other[0]:
            return f"diag({a}) @ {b}"
        if one[1] == other[0]:
            return f"{a} @ {b}"
        if one == other[::-1]:
            return f"{a} * {b}.T"
    candidates = (
        (one[0] == other[0], f"{a}.T @ {b}"),
        (one[1] == other[1], f"{a} @ {b}.T"),
        (other[1] == one[0], f"{b} @ {a}"),
    )
    return next((text for fits, text in candidates if fits), "")


def mixed(operators: list[str], operator: str) -> str:
    """u * W @ v, which Python would read as (u * W) @ v."""
    first = operators.index("@") < operators.index(operator)
    example = "(W @ u) * v" if first else "u * (W @ v)"
    return f"'@' and {operator!r} bind alike; say with brackets what is meant, such as '{example}'"


def unequal(first: str, one: Shape | None, second: str, other: Shape | None) -> str:
    """A sum of parts of different shapes."""
    message = f"{first!r} ({sizes(one)}) and {second!r} ({sizes(other)}) have different shapes and cannot be added"
    if one is not None and other == one[::-1]:
        return message + "; is one of them to be transposed with .T?"
    return message + ("; the identity is written I" if SCALAR in (one, other) else "")
