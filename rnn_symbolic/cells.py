r"""Cells: a recurrent network as a short list of equations at a generic step t.

    h_t = f(h_{t-1}, x_t; θ),    y_t = g(h_t; θ)

A cell is data, the text it was read from and what the text says; `BUILT_IN` holds some, and anybody's file
is as good. Every state starts from h_0 (and h_{-1}, … when an equation looks further back).
"""

from __future__ import annotations

import os
import re
import stat

from rnn_symbolic.builtin_cells import BUILT_IN
from rnn_symbolic.equations import Equation, read_cell_text
from rnn_symbolic.errors import CellError, InputError, suggest
from rnn_symbolic.expressions import Expression, Quantity
from rnn_symbolic.frozen import frozen

__all__ = ["BUILT_IN", "MAX_BYTES", "Cell", "load_cell", "parse_cell"]

MAX_BYTES = 64 * 1024


@frozen
class Cell:
    """The equations of one generic step, in the order of computation.

    >>> elman = load_cell("elman")
    >>> elman.quantities, elman.states, elman.parameters
    (('a', 'h', 'o', 'y'), ('h',), ('W_h', 'W_x', 'b_h', 'W_y', 'b_y'))
    """

    name: str
    text: str
    equations: tuple[Equation, ...]
    loss: Expression | None
    states: tuple[str, ...]
    lags: tuple[int, ...]
    parameters: tuple[str, ...]
    scalars: tuple[str, ...]
    uses_input: bool

    @property
    def quantities(self) -> tuple[str, ...]:
        """What the equations define, in the order of computation."""
        return tuple(equation.target.name for equation in self.equations)

    @property
    def initial_states(self) -> tuple[Quantity, ...]:
        """h_0, and h_{-1}, … as far back as the greatest lag looks from step 1; state by state.

        >>> [str(state) for state in load_cell("lag2").initial_states]
        ['h_0', 'h_-1']
        """
        return tuple(
            Quantity(state, -back) for state, lag in zip(self.states, self.lags, strict=True) for back in range(lag)
        )


def parse_cell(text: str, name: str = "cell") -> Cell:
    """The cell that a text describes, or a `CellError` with line and column.

    >>> parse_cell("h = h[t-1] + x\\ny = h", "accumulator").states
    ('h',)
    """
    reading = read_cell_text(text)
    return Cell(
        name,
        text,
        reading.equations,
        reading.loss,
        reading.states,
        reading.lags,
        reading.parameters,
        reading.scalars,
        reading.uses_input,
    )


def load_cell(source: str | os.PathLike[str] | Cell) -> Cell:
    """A built-in cell by name, a cell from a file, or the cell that a text describes.

    What holds a line break or '=' is text; a built-in's name comes before a file of the same name, which can
    be given as ``./elman``.

    >>> load_cell("Elman")
    Traceback (most recent call last):
    rnn_symbolic.errors.InputError: 'Elman' is no built-in cell and no file; ... Did you mean 'elman'?
    """
    if isinstance(source, Cell):
        return source
    if isinstance(source, str):
        if source in BUILT_IN:
            return parse_cell(BUILT_IN[source], source)
        if any(mark in source for mark in "\n\r="):
            return parse_cell(source)
    if not isinstance(source, str | os.PathLike):
        raise InputError(f"{source!r} is no cell; give a built-in's name, a file, or the equations as text")
    path = os.fspath(source)
    # the name becomes part of documents: nothing that LaTeX or a terminal would take for more than a name
    name = re.sub(r"[^\w .,+()-]", "_", os.path.splitext(os.path.basename(path))[0])
    try:
        return parse_cell(_read_file(path), name)
    except CellError as error:
        named = CellError(f"{path!r}, {error}")
        named.line, named.column = error.line, error.column
        raise named from None


def _read_file(source: str) -> str:
    try:
        found = os.stat(source)
    except (FileNotFoundError, NotADirectoryError, ValueError):  # ValueError: a name no file can have
        near = suggest(source.lower(), BUILT_IN)
        message = f"{source!r} is no built-in cell and no file; built in are {', '.join(BUILT_IN)}."
        raise InputError(message + (near or " Give a name, a file, or the equations themselves.")) from None
    except OSError as error:
        raise InputError(f"cannot read {source!r}: {error.strerror}") from None
    # A pipe or a device might never end, so only plain files are opened.
    if not stat.S_ISREG(found.st_mode):
        what = "a directory" if stat.S_ISDIR(found.st_mode) else "no plain file"
        raise InputError(f"{source!r} is {what}; a cell is read from a text file, one equation a line")
    try:
        with open(source, "rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise InputError(f"cannot read {source!r}: {error.strerror}") from None
    if len(content) > MAX_BYTES:
        raise InputError(f"{source!r} is larger than {MAX_BYTES // 1024} kB; a cell is a few short lines")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        place = f"byte {error.start + 1}"
        raise InputError(f"{source!r} is not UTF-8 text ({place}); save it as UTF-8") from None
