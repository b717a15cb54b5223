"""A program as a pure Python module over JAX arrays: loops are scans, everything else runs over all steps at once.

Samples need no axis of their own: whatever stands between the first axis and the last is a batch.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from rnn_symbolic import __version__
from rnn_symbolic.codegen.comments import equations_of
from rnn_symbolic.codegen.jax_loops import JaxLoops
from rnn_symbolic.codegen.layout import INDENT, assigned, filled
from rnn_symbolic.expressions import Quantity
from rnn_symbolic.program import Program, build_program

HELPERS = {
    "rows": '''\
def rows(array):
    """All steps and samples one under another."""
    return array.reshape(-1, array.shape[-1])
''',
    "outer": '''\
def outer(left, right):
    """The sum of left rightᵀ over all steps and samples."""
    return rows(left).T @ rows(right)
''',
    "earlier": '''\
def earlier(stack, *starts):
    """Each step of a stack so many steps earlier: it begins with the initial states."""
    return jnp.concatenate((jnp.stack(starts), stack))[: len(stack)]
''',
    "over_grid": '''\
def over_grid(array, grid):
    """Every step of an array over the whole grid."""
    return jax.vmap(lambda step: jnp.broadcast_to(step, grid))(array)
''',
    "of_state": '''\
def of_state(gradient, given):
    """By an initial state that all samples share, it is the sum over them."""
    shared = gradient.ndim == 2 and jnp.ndim(given) < 2
    return gradient.sum(axis=0) if shared else gradient
''',
    "total": '''\
def total(z):
    """The sum along the last axis, which is kept."""
    return jnp.sum(z, axis=-1, keepdims=True)
''',
    "logsumexp": '''\
def logsumexp(z):
    """log sum_j exp(z_j) along the last axis, which is kept."""
    return jax.nn.logsumexp(z, axis=-1, keepdims=True)
''',
    "logistic_slope": '''\
def logistic_slope(z):
    """The derivative of the logistic function."""
    return jax.nn.sigmoid(z) * jax.nn.sigmoid(-z)
''',
}


class JaxSource(JaxLoops):
    """Prints one program; `text` is the module."""

    def text(self) -> str:
        """The module: its one function, and the helpers that it calls."""
        self.write()
        self.results()
        lines = "\n".join([*self.signature(), *self.unpack(), *self.lines]) + "\n"
        parts = [lines]
        for name, helper in reversed(HELPERS.items()):
            if re.search(rf"(?<![\w.]){name}\(", "".join(parts)):
                parts.insert(0, helper)
        return "\n\n".join([self.head("".join(parts)), *parts])

    def head(self, body: str) -> str:
        model = self.program.model
        imports = {"jax": "import jax", "jnp": "import jax.numpy as jnp", "lax": "from jax import lax"}
        lines = [
            f'"""Loss and gradients of the {model.cell.name} network, by backpropagation through time.',
            "",
            *(f"    {line}" for line in equations_of(self.program)),
            "",
            f"Written by rnn-symbolic {__version__}; needs JAX only. The function is pure: jit it, vmap it.",
            '"""',
            "",
            *(line for name, line in imports.items() if re.search(rf"\b{name}\.", body)),
            "",
        ]
        return "\n".join(lines)

    def signature(self) -> list[str]:
        cell = self.program.model.cell

        def listed(quantities: Iterable[tuple[str, str]]) -> str:
            return ", ".join(f"{shown}{self.shape_text(name)}" for shown, name in quantities) or "none"

        parameters = listed((name, name) for name in cell.parameters)
        states = listed((str(q), q.name) for q in cell.initial_states)
        x, d = f"x: {self.shape_text('x', 'T')}", f"d: {self.shape_text('d', 'T')}"
        wanted = ' and "x"' if self.program.inputs else ""
        return [
            "def loss_and_gradients(params, x, d, state=None):",
            f'{INDENT}"""L, and its gradients by the names of parameters and initial states{wanted}.',
            "",
            *filled(f"params: {parameters}"),
            *filled(f"{x}, {d}; " + ("over a grid (T, …)" if self.scalar else "with a batch (T, B, …)")),
            *filled(f"state: {states}; zero unless given" + ("" if self.scalar else ", with a batch also (B, …)")),
            "",
            INDENT + ("Everything broadcasts: each point of the grid is a network of its own."
                      if self.scalar else "L is summed over the samples of a batch."),
            f'{INDENT}"""',
        ]  # fmt: skip

    def shape_text(self, name: str, *first: str) -> str:
        if self.scalar:
            return f"({', '.join(first)})" if first else ""
        sizes = self.shapes.get(name, ("1",) if first else ())
        return f"{'' if first else ' '}({', '.join((*first, *sizes))})"

    def unpack(self) -> list[str]:
        """What the arguments are taken apart into: only what is read after it."""
        cell = self.program.model.cell
        series = ["x", "d"] if cell.uses_input else ["d"]
        blocks: list[tuple[str, list[str]]] = [
            ("", ["state = {} if state is None else state"]),
            ("", [f"arrays = ({', '.join(series)}, *params.values(), *state.values())"]),
            ("", ["dtype = jnp.result_type(float, *arrays)"]),
            *((name, [f"{name} = jnp.asarray({name}, dtype)"]) for name in series),
        ]
        for name in cell.parameters:
            value = f'jnp.asarray(params["{name}"], dtype)'
            blocks.append((self.names[name], assigned("", f"{self.names[name]} =", value)))
        if self.scalar:
            grids = ", ".join(f"{name}.shape[1:]" for name in series)
            shapes = "shapes = [jnp.shape(value) for value in (*params.values(), *state.values())]"
            blocks.append(("grid", [shapes, f"grid = jnp.broadcast_shapes({grids}, *shapes)"]))
            blocks += [(name, [f"{name} = over_grid({name}, grid)"]) for name in series]
        else:
            blocks.append(("batch", ["batch = d.shape[1:-1]"]))
        blocks.append(("T", ["T = len(d)"]))
        blocks += [(size, [f"{size} = {self.source_of(size)}"]) for size in self.sizes]
        blocks.append((self.names["1/T"], [f"{self.names['1/T']} = 1 / T"]))
        for q in cell.initial_states:
            value = f'jnp.full({self.over("", self.size_of(q.name))}, state.get("{q}", 0), dtype)'
            blocks.append((self.initial(q), assigned("", f"{self.initial(q)} =", value)))
        for parts, name in self.stacks.items():
            joined = ", ".join(self.names[q.name] for q in parts)
            blocks.append((name, assigned("", f"{name} =", f"jnp.concatenate(({joined}))")))
        found: list[str] = []
        for name, lines in reversed(blocks):
            if not name or _reads([*found, *self.lines], name):
                found = [*(INDENT + line for line in lines), *found]
        return [*found, ""]

    def source_of(self, size: str) -> str:
        cell = self.program.model.cell
        for name in ("x", "d"):
            if self.shapes.get(name) == (size,):
                return f"{name}.shape[-1]"
        for name in cell.parameters:
            if size in self.shapes[name]:
                return f"{self.names[name]}.shape[{self.shapes[name].index(size)}]"
        state = next(q for q in cell.initial_states if self.shapes[q.name] == (size,))
        return f'jnp.shape(state["{state}"])[-1]'

    def results(self) -> None:
        """L, and the gradients by name."""
        program, cell = self.program, self.program.model.cell
        mean = f"{self.names['1/T']} * " if program.model.losses == "mean" else ""
        total = f"jnp.sum({self.names['l']}{', axis=0' if self.scalar else ''})"
        entries = [(name, self.by_parameter(name)) for name in cell.parameters]
        entries += [(str(q), self.by_state(q)) for q in cell.initial_states]
        if program.inputs and cell.uses_input:
            entries.append(("x", self.names["∂x"] if "∂x" in self.outside else "jnp.zeros_like(x)"))
        self.lines += ["", f"{INDENT}loss = {mean}{total}", f"{INDENT}gradients = {{"]
        for name, value in entries:
            self.lines += assigned(INDENT * 2, f'"{name}":', value, ",")
        self.lines += [f"{INDENT}}}", f"{INDENT}return loss, gradients"]

    def by_parameter(self, name: str) -> str:
        if any(f"∂{name}" in stage.targets for stage in self.backward):
            return self.names[f"∂{name}"]
        return "jnp.zeros(grid, dtype)" if self.scalar else f"jnp.zeros_like({self.names[name]})"

    def by_state(self, state: Quantity) -> str:
        """What the loop leaves to an initial state, and what statements over all steps left to it."""
        back, name = -(state.step or 0), f"∂{state.name}"
        parts = [self.initial(state, "∂")] if self.initial(state, "∂") in self.scope.known else []
        if back < self.pads.get(name, 0):
            parts.append(f"{self.padded(name)}[{self.pads[name] - 1 - back}]")
        value = " + ".join(parts) or f"jnp.zeros_like({self.initial(state)})"
        return value if self.scalar else f'of_state({value}, state.get("{state}", 0))'


def _reads(lines: Iterable[str], name: str) -> bool:
    """Whether lines of code mention a name, comments and strings apart."""
    code = "\n".join(line for line in lines if not line.lstrip().startswith("#"))
    return re.search(rf"(?<![\w.]){name}\b", re.sub(r'"[^"\n]*"', "", code)) is not None


def jax_source(program: Program) -> str:
    """The program as a module that needs only JAX; see the docstring of its one function.

    >>> from rnn_symbolic.model import unroll
    >>> from rnn_symbolic.program import build_program
    >>> text = jax_source(build_program(unroll("elman", activation="tanh", loss="squared", form="matrix")))
    >>> "dh_0, da = lax.scan(backward_step, jnp.zeros_like(h_0), inputs, reverse=True)" in text
    True
    """
    return JaxSource(staged(program)).text()


def staged(program: Program) -> Program:
    """The program with stages: in scalar form it comes without, but a scan should do only what must be in it."""
    if program.model.names:
        return program
    return build_program(program.model, inputs=program.inputs, staged=True)
