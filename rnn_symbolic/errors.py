"""What can go wrong, in the user's words: what was given, what was expected, what to try."""

from __future__ import annotations

from collections.abc import Iterable


class InputError(ValueError):
    """The user's input is at fault; the message is one line and complete by itself."""


class PlacedError(InputError):
    """A text is refused; the message begins with the line and column, counted from 1."""

    def __init__(self, message: str, line: int = 0, column: int = 0) -> None:
        self.line, self.column = line, column
        place = f"line {line}, column {column}: " if line else ""
        super().__init__(place + message)


class CellError(PlacedError):
    """A cell's text is refused."""


class FormulaError(PlacedError):
    """A formula that somebody wrote for a gradient is refused."""


class NotDerivable(InputError):
    """The request is meaningful, but this program cannot do it (yet); names what to try instead."""


class NumericalFailure(ArithmeticError):
    """A number left the range of floats; says which quantity, and at which step."""


class ForwardOverflow(NumericalFailure):
    """The forward pass itself overflows: the point is legal, and floats cannot say more about it."""


def suggest(given: str, known: Iterable[str]) -> str:
    """`` Did you mean 'W_x'?`` where a known name is near, else an empty string.

    >>> suggest("Wx", ["W_x", "W_h"])
    " Did you mean 'W_x'?"
    >>> suggest("banana", ["W_x", "W_h"])
    ''
    """
    from difflib import get_close_matches  # only where something is wrong

    near = get_close_matches(given, list(known), n=1, cutoff=0.6)
    return f" Did you mean {near[0]!r}?" if near else ""
