"""A program as a Python module over PyTorch tensors: the text of the NumPy module in PyTorch's words.

It runs without autograd, on the device and in the type of what it is given; the backward pass is the derived one.
"""

from __future__ import annotations

import re

from rnn_symbolic.codegen.array_source import SIZES_HERE, ArraySource
from rnn_symbolic.codegen.array_statements import shown
from rnn_symbolic.codegen.layout import INDENT, WIDTH, assigned
from rnn_symbolic.codegen.python_expressions import Dialect
from rnn_symbolic.expressions import Expression, quantities
from rnn_symbolic.program import Program

TORCH = Dialect(
    {
        ("tanh", 0): "torch.tanh({})", ("tanh", 1): "(1 - torch.tanh({}) ** 2)",
        ("logistic", 0): "torch.sigmoid({})", ("logistic", 1): "logistic_slope({})",
        ("relu", 0): "torch.clamp({}, min=0)", ("relu", 1): "relu_slope({})",
        ("softplus", 0): "softplus({})", ("softplus", 1): "torch.sigmoid({})",
        ("sin", 0): "torch.sin({})", ("cos", 0): "torch.cos({})", ("exp", 0): "torch.exp({})",
        ("log", 0): "torch.log({})", ("sqrt", 0): "torch.sqrt({})",
        ("softmax", 0): "torch.softmax({}, dim=-1)", ("logsumexp", 0): "logsumexp({})",
    },
    ones="torch.ones({}, dtype=dtype, device=d.device)",
    library="torch",
    joined="torch.cat(({}))",
    split="torch.tensor_split({}, {}, dim=-1)",
    split_rows="torch.tensor_split({}, {})",
)  # fmt: skip

HELPERS = {
    "rows": '''\
def rows(array):
    """All steps and samples one under another."""
    return array.reshape(-1, array.shape[-1])
''',
    "outer": '''\
def outer(left, right):
    """The sum of left rightᵀ over all steps and samples."""
    return left.flatten(0, 1).T @ right.flatten(0, 1)
''',
    "of_state": '''\
def of_state(gradient, given):
    """By an initial state that all samples share, it is the sum over them."""
    each = given is not None and given.ndim == 2
    return gradient.clone() if each else gradient.sum(dim=0)
''',
    "logistic_slope": '''\
def logistic_slope(z):
    """The derivative of the logistic function."""
    return torch.sigmoid(z) * torch.sigmoid(-z)
''',
    "relu_slope": '''\
def relu_slope(z):
    """1 where z > 0, else 0."""
    return (z > 0).to(z.dtype)
''',
    "softplus": '''\
def softplus(z):
    """log(1 + exp(z)), without overflow."""
    return torch.logaddexp(z, torch.zeros_like(z))
''',
    "total": '''\
def total(z):
    """The sum along the last axis, which is kept."""
    return z.sum(dim=-1, keepdim=True)
''',
    "logsumexp": '''\
def logsumexp(z):
    """log sum_j exp(z_j) along the last axis, which is kept."""
    return torch.logsumexp(z, dim=-1, keepdim=True)
''',
    "overflow": '''\
def overflow(forward, backward):
    """An error that names the step where something first is not finite."""
    for what, values, pick in (
        ("the forward pass", forward, min),
        ("the gradient", backward, max),
    ):
        steps = max((len(value) for value in values.values()), default=0)
        bad = [
            (t + 1 + steps - len(value), name)
            for name, value in values.items()
            for t, entry in enumerate(value)
            if not torch.isfinite(entry).all()
        ]
        if bad:
            step = pick(bad)[0]
            names = ", ".join(f"{name}_{step}" for t, name in bad if t == step)
            return FloatingPointError(f"{what} overflows at step {step}: {names}")
    what = "the gradient" if backward else "the forward pass"
    return FloatingPointError(f"{what} is not finite")
''',
}


class TorchSource(ArraySource):
    """Prints one program; `text` is the module."""

    def head(self) -> str:
        text = super().head().replace("needs NumPy only", "needs PyTorch only")
        return text.replace("import numpy as np", "from functools import reduce\n\nimport torch")

    def signature(self) -> list[str]:
        lines = super().signature()
        begin = next(i for i, line in enumerate(lines) if line.startswith("def "))
        lines[: begin + 1] = [
            "@torch.no_grad()",
            "def loss_and_gradients(params, x, d, state=None, *, backward=True):",
        ]
        kept = next(i for i, line in enumerate(lines) if line.startswith("    work:"))
        lines[kept] = "    backward: without it only L, and no gradients"
        return lines

    def unpack(self) -> None:
        """Tensors of one type; new ones are made like d."""
        cell = self.program.model.cell
        given = "x, d" if cell.uses_input else "d"
        self.line("state = {} if state is None else state")
        self.line(f"given = ({given}, *params.values(), *state.values())")
        self.line("dtype = reduce(torch.promote_types, (value.dtype for value in given))")
        self.line("params = {name: value.to(dtype) for name, value in params.items()}")
        for name in cell.parameters:
            self.long(f"{self.names[name]} =", f'params["{name}"]')
        self.line("x, d = x.to(dtype), d.to(dtype)" if cell.uses_input else "d = d.to(dtype)")
        self.line("single = d.ndim == 2")
        self.line("if single:  # a batch of one")
        self.line(INDENT + ("x, d = x[:, None], d[:, None]" if cell.uses_input else "d = d[:, None]"))
        self.line("T, B = d.shape[:2]")
        self.line(SIZES_HERE)
        if self.program.model.losses == "mean":
            self.line(f"{self.names['1/T']} = 1 / T")
        self.line()

    def new(self, variable: str, shape: str, key: str = "") -> None:
        self.line(f"{variable} = d.new_empty({shape})")

    def size_of(self, name: str) -> str:
        return super().size_of(name.removeprefix("∂"))

    def call(self, text: str) -> None:
        self.long("", text)

    def outer_text(self, left: str, right: str) -> str:
        return f"outer({left}, {right})"

    def repeated(self, text: str, shape: str) -> str:
        return f"d.new_ones({shape}) * ({text})"

    def sum_text(self, text: str, axes: str) -> str:
        return f"torch.sum({text}{f', dim={axes}' if axes else ''})"

    def source_of(self, size: str) -> str:
        return re.sub(r"np\.shape\((.*)\)\[-1\]", r"\1.shape[-1]", super().source_of(size))

    def between(self) -> None:
        """L; the backward pass can be left out."""
        scale = f"{self.names['1/T']} * " if self.program.model.losses == "mean" else ""
        self.line(f"loss = {scale}{self.names['l']}.sum()")
        self.listed("forward", [n for n in self.computed(self.program.forward) if n in self.program.kept])
        self.line("if not backward:")
        self.line(f"{INDENT}if not torch.isfinite(loss):")
        self.line(f"{INDENT * 2}raise overflow(forward, {{}})")
        self.line(f"{INDENT}return loss, {{}}")

    def listed(self, variable: str, names: list[str]) -> None:
        """Arrays by the names that messages have for them."""
        pairs = [f'"{shown(name)}": {self.names[name]}' for name in names]
        flat = f"{INDENT}{variable} = {{{', '.join(pairs)}}}"
        lines = [f"{INDENT}{variable} = {{", *(f"{INDENT * 2}{pair}," for pair in pairs), f"{INDENT}}}"]
        self.lines += [flat] if len(flat) <= WIDTH else lines

    def fresh(self, text: str) -> str:
        return text

    def state_text(self, state: str, text: str) -> str:
        return f'of_state({text}, state.get("{state}"))'

    def entry(self, name: str, text: str) -> None:
        self.lines += assigned(INDENT * 2, f'"{name}":', text, ",")

    def takes_out(self, expression: Expression, value: str) -> bool:
        return super().takes_out(expression, value) and any(q.index for q in quantities(expression))

    def results(self) -> None:
        """The gradients by name, and the check that they are finite."""
        self.line()
        self.entries()
        self.listed("backward", [n for n in self.computed(self.program.backward) if n in self.program.kept])
        self.line("finite = [torch.isfinite(value).all() for value in gradients.values()]")
        self.line("if not (torch.isfinite(loss) and all(finite)):")
        self.line(f"{INDENT}raise overflow(forward, backward)")
        self.line("return loss, gradients")


def torch_source(program: Program) -> str:
    """The program as a module that needs only PyTorch; see the docstring of its one function.

    >>> from rnn_symbolic.model import unroll
    >>> from rnn_symbolic.program import build_program
    >>> text = torch_source(build_program(unroll("elman", activation="tanh", loss="squared", form="matrix")))
    >>> "torch.tanh(a[t], out=h[t])" in text, "np." in text
    (True, False)
    """
    return TorchSource(program, TORCH, HELPERS).text()
