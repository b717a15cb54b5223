"""A program as a Python module over NumPy arrays, as a person would write it; PyTorch is a dialect of the same text.

Arrays hold all steps along their first axis and the samples along the second. ``h_before[t]`` is h one step earlier:
a view of the same array, shifted.
"""

from __future__ import annotations

import re

from rnn_symbolic import __version__
from rnn_symbolic.codegen.array_statements import ArrayStatements, shown
from rnn_symbolic.codegen.comments import equations_of
from rnn_symbolic.codegen.layout import INDENT, WIDTH, filled
from rnn_symbolic.program import (
    Program,
)

SIZES_HERE = "# sizes"


class ArraySource(ArrayStatements):
    """Prints one program; `text` is the module."""

    # -- the module -------------------------------------------------------------------------------------------

    def text(self) -> str:
        self.body()
        used = "\n".join(self.lines)
        known = self.helpers
        helpers = [known["rows"]] if "rows(" in used else []
        names = [name for name in known if name not in ("rows", "overflow") and f"{name}(" in used]
        if "logistic_slope" in names and "logistic" in known and "logistic" not in names:
            names.insert(0, "logistic")
        helpers += [known[name] for name in names] + [known["overflow"]]
        parts = [self.head(), *helpers, "\n".join((*self.signature(), *self.lines)) + "\n"]
        return "\n\n".join(parts)

    def head(self) -> str:
        model = self.program.model
        lines = [
            f'"""Loss and gradients of the {model.cell.name} network, by backpropagation through time.',
            "",
            *(f"    {line}" for line in equations_of(self.program)),
            "",
            f"Written by rnn-symbolic {__version__}; needs NumPy only.",
            '"""',
            "",
            "import numpy as np",
            "",
        ]
        return "\n".join(lines)

    def signature(self) -> list[str]:
        cell = self.program.model.cell
        shapes = ", ".join(f"{name} ({', '.join(self.shapes[name])})" for name in cell.parameters) or "none"
        states = ", ".join(f"{q} ({', '.join(self.shapes[q.name])})" for q in cell.initial_states) or "none"
        wanted = ' and "x"' if self.program.inputs else ""
        lines = [
            '@np.errstate(over="ignore", invalid="ignore", divide="ignore")',
            "def loss_and_gradients(params, x, d, state=None, *, dtype=np.float64, work=None):",
            '    """L, and its gradients by the names of parameters and initial states.',
            "",
            *filled(f"params: {shapes}"),
            f"    x: (T, {self.size_of('x')}), d: (T, {self.size_of('d')}); with a batch (T, B, …)",
            *filled(f"state: {states}; zero unless given, with a batch also (B, …)"),
            "    work: a dictionary that keeps the arrays for the next call",
            "",
            "    L is summed over the samples of a batch.",
            '    """',
        ]
        return [line.replace("initial states.", f"initial states{wanted}.") for line in lines]

    # -- the function -----------------------------------------------------------------------------------------

    def body(self) -> None:
        self.unpack()
        self.arrays()
        self.line()
        self.line("# forward pass")
        for stage in self.program.forward:
            self.forward(stage)
        self.between()
        self.line()
        self.line("# backward pass: d… is the derivative of L by …")
        self.adjoint_arrays()
        for stage in self.program.backward:
            self.backward(stage)
        self.results()
        self.sized()

    def sized(self) -> None:
        """The sizes that are used, where they are read off."""
        place = self.lines.index(INDENT + SIZES_HERE)
        used = re.findall(r"(?<![\w.])[A-Za-z_]\w*", "\n".join(line for line in self.lines if "#" not in line))
        if used.count("T") == 1:  # where it is assigned
            self.lines[self.lines.index(f"{INDENT}T, B = d.shape[:2]")] = f"{INDENT}B = d.shape[1]"
        self.lines[place : place + 1] = [
            f"{INDENT}{size} = {self.source_of(size)}" for size in self.sizes if size in used
        ]

    def unpack(self) -> None:
        cell = self.program.model.cell
        for name in cell.parameters:
            self.line(f'{self.names[name]} = np.asarray(params["{name}"], dtype)')
        self.line("state = {} if state is None else state")
        self.line("work = {} if work is None else work")
        uses_x = self.program.model.cell.uses_input
        self.line("x, d = np.asarray(x, dtype), np.asarray(d, dtype)" if uses_x else "d = np.asarray(d, dtype)")
        self.line("single = d.ndim == 2")
        self.line("if single:  # a batch of one")
        self.line(INDENT + ("x, d = x[:, None], d[:, None]" if uses_x else "d = d[:, None]"))
        self.line("T, B = d.shape[:2]")
        self.line(SIZES_HERE)
        if self.program.model.losses == "mean":
            self.line(f"{self.names['1/T']} = 1 / T")
        self.line()
        self.line("def array(name, *shape):")
        self.depth += 1
        self.line('"""The array of the last call where it fits, else a new one."""')
        self.line("if name not in work or work[name].shape != shape or work[name].dtype != dtype:")
        self.line(f"{INDENT}work[name] = np.empty(shape, dtype)")
        self.line("return work[name]")
        self.depth -= 1
        self.line()

    def source_of(self, size: str) -> str:
        cell = self.program.model.cell
        for name, owner in (("x", "x"), ("d", "d")):
            if self.shapes.get(name) == (size,):
                return f"{owner}.shape[-1]"
        for name in cell.parameters:
            if size in self.shapes[name]:
                return f"{self.names[name]}.shape[{self.shapes[name].index(size)}]"
        state = next(q for q in cell.initial_states if self.shapes[q.name] == (size,))
        return f'np.shape(state["{state}"])[-1]'

    # -- results ----------------------------------------------------------------------------------------------

    def results(self) -> None:
        program = self.program
        scale = f"{self.names['1/T']} * " if program.model.losses == "mean" else ""
        self.line()
        self.line(f"loss = float({scale}{self.names['l']}.sum())")
        self.entries()
        states = [str(q) for q in program.model.cell.initial_states]
        if states:
            listed = ", ".join(f'"{state}"' for state in states)
            self.line(f"for name in [{listed}]:")
            self.line(f"{INDENT}if np.ndim(state.get(name, 0)) < 2:  # shared by all samples")
            self.line(f"{INDENT * 2}gradients[name] = gradients[name].sum(axis=0)")
            self.line(f"{INDENT}else:")
            self.line(f"{INDENT * 2}gradients[name] = gradients[name].copy()")
        forward = [n for n in self.computed(program.forward) if n in program.kept]
        backward = [n for n in self.computed(program.backward) if n in program.kept]
        self.line("finite = [np.isfinite(value).all() for value in gradients.values()]")
        self.line("if not (np.isfinite(loss) and all(finite)):")
        self.collected("forward", forward)
        self.collected("backward", backward)
        self.line(f"{INDENT}raise overflow(forward, backward)")
        self.line("return loss, gradients")

    def entries(self) -> None:
        """The gradients by name."""
        program = self.program
        entries: list[tuple[str, str]] = []
        for name in program.model.cell.parameters:
            found = self.names[f"∂{name}"]
            used = any(f"∂{name}" in stage.targets for stage in program.backward)
            entries.append((name, found if used else f"{self.dialect.library}.zeros_like({self.names[name]})"))
        for state in program.model.cell.initial_states:
            assert state.step is not None
            row = program.lags[state.name] - 1 + state.step
            text = f"{self.before(self.names[f'∂{state.name}'], 0)}[{row}]"
            entries.append((str(state), self.state_text(str(state), text)))
        if program.inputs and program.model.cell.uses_input:
            text = f"{self.names['∂x']}[:, 0] if single else {self.names['∂x']}"
            entries.append(("x", self.fresh(text)))
        self.line("gradients = {")
        for name, text in entries:
            self.entry(name, text)
        self.line("}")

    def entry(self, name: str, text: str) -> None:
        """A line of the dictionary of gradients."""
        self.line(f'{INDENT}"{name}": {text},')

    def fresh(self, text: str) -> str:
        """A result of its own, where ``text`` is one that the next call overwrites."""
        return f"np.array({text})"

    def state_text(self, state: str, text: str) -> str:
        """The gradient by an initial state, where ``text`` is that for each sample."""
        return text

    def collected(self, variable: str, names: list[str]) -> None:
        pairs = [f'"{shown(n)}": {self.names[n]}' for n in names]
        flat = f"{INDENT * 2}{variable} = {{{', '.join(pairs)}}}"
        if len(flat) <= WIDTH:
            self.lines.append(flat)
            return
        self.line(f"{INDENT}{variable} = {{")
        for pair in pairs:
            self.line(f"{INDENT * 2}{pair},")
        self.line(f"{INDENT}}}")


def numpy_source(program: Program) -> str:
    """The program as a module that needs only NumPy; see the docstring of its one function.

    >>> from rnn_symbolic.model import unroll
    >>> from rnn_symbolic.program import build_program
    >>> text = numpy_source(build_program(unroll("elman", activation="tanh", loss="squared", form="matrix")))
    >>> "dh_before[t] += da[t] @ W_h" in text
    True
    """
    return ArraySource(program).text()
