"""A program as a Python module over NumPy arrays, as a person would write it; PyTorch is a dialect of the same text.

Arrays hold all steps along their first axis and the samples along the second. ``h_before[t]`` is h one step earlier:
a view of the same array, shifted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from rnn_symbolic import __version__
from rnn_symbolic.codegen.comments import adjoint_comments, equations_of, forward_comment
from rnn_symbolic.codegen.identifiers import Identifiers
from rnn_symbolic.codegen.layout import INDENT, WIDTH, assigned, filled
from rnn_symbolic.codegen.python_expressions import NUMPY, Dialect, print_expression
from rnn_symbolic.expressions import Call, Expression, Quantity, quantities
from rnn_symbolic.program import (
    Assign,
    Multiplied,
    OuterSum,
    Program,
    PulledBack,
    Stage,
    Statement,
    Total,
    reads,
    writes,
)

SIZES_HERE = "# sizes"
RESERVED = (
    "np torch params x d state work dtype single T B t array rows overflow loss gradients logistic logistic_slope "
    "relu_slope softplus softmax logsumexp total loss_and_gradients name value found values finite forward given "
    "backward reduce outer of_state range reversed float all l I O "
).split()

HELPERS = {
    "rows": '''\
def rows(array):
    """All steps and samples one under another."""
    return array.reshape(-1, array.shape[-1])
''',
    "logistic": '''\
def logistic(z):
    """1 / (1 + exp(-z))."""
    return 1 / (1 + np.exp(-z))
''',
    "logistic_slope": '''\
def logistic_slope(z):
    """The derivative of the logistic function."""
    return logistic(z) * logistic(-z)
''',
    "relu_slope": '''\
def relu_slope(z):
    """1 where z > 0, else 0."""
    return (z > 0).astype(z.dtype)
''',
    "softplus": '''\
def softplus(z):
    """log(1 + exp(z)), without overflow."""
    return np.logaddexp(z, 0)
''',
    "total": '''\
def total(z):
    """The sum of the components."""
    return z.sum(axis=-1, keepdims=True)
''',
    "softmax": '''\
def softmax(z):
    """exp(z_i) / sum_j exp(z_j) along the last axis, without overflow."""
    powers = np.exp(z - z.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)
''',
    "logsumexp": '''\
def logsumexp(z):
    """log sum_j exp(z_j) along the last axis, without overflow."""
    greatest = z.max(axis=-1, keepdims=True)
    return greatest + np.log(np.exp(z - greatest).sum(axis=-1, keepdims=True))
''',
    "overflow": '''\
def overflow(forward, backward):
    """An error that names the step where something first is not finite."""
    for what, values, pick in (
        ("the forward pass", forward, min),
        ("the gradient", backward, max),
    ):
        steps = max(len(value) for value in values.values())
        bad = [
            (int(t) + 1 + steps - len(value), name)
            for name, value in values.items()
            for t in np.flatnonzero(~np.isfinite(value).all(axis=(1, 2)))
        ]
        if bad:
            step = pick(bad)[0]
            names = ", ".join(f"{name}_{step}" for t, name in bad if t == step)
            return FloatingPointError(f"{what} overflows at step {step}: {names}")
    return FloatingPointError("the gradient is not finite")
''',
}


@dataclass
class ArraySource:
    """Prints one program; `text` is the module."""

    program: Program
    dialect: Dialect = NUMPY
    helpers: Mapping[str, str] = field(default_factory=lambda: HELPERS)
    lines: list[str] = field(default_factory=list)
    depth: int = 1

    def __post_init__(self) -> None:
        self.shapes = self.program.shapes
        self.sizes = dict.fromkeys(size for shape in self.shapes.values() for size in shape)
        self.names = Identifiers([*RESERVED, *self.sizes])
        self.views: dict[tuple[str, int], str] = {}
        cell = self.program.model.cell
        for name in (*cell.parameters, *cell.quantities):
            _ = self.names[name]  # a cell's own names come first
        self.names.set("l", "losses")
        self.names.set("1/T", "share")
        self.group_of = {name: group for group in self.program.groups for name in group}
        self.group_names = {g: self.names.fresh(f"{_stem(g)}_all") for g in self.program.groups}
        self.group_adjoints = {g: self.names.fresh(f"d{name}") for g, name in self.group_names.items()}
        self.stacked: dict[tuple[Quantity, ...], str] = {}
        last = [name for stage in self.program.forward if stage.last for name in stage.targets]
        self.last = {*last, *(f"∂{name}" for name in last)}
        self.stage: Stage | None = None
        self.index = ""

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

    def size_of(self, name: str) -> str:
        return (*self.shapes.get(name, ()), "1")[0]

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

    def line(self, text: str = "") -> None:
        self.lines.append(INDENT * self.depth + text if text else "")

    def comment(self, text: str) -> None:
        self.line(f"# {text}")

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

    # -- arrays -----------------------------------------------------------------------------------------------

    def steps(self, name: str) -> str:
        return "1" if name in self.last else "T"

    def arrays(self) -> None:
        for group, variable in self.group_names.items():
            self.group_arrays(group, variable, "")
        for name in self.computed(self.program.forward):
            variable, size = self.names[name], self.size_of(name)
            if name in self.program.lags:
                self.shifted(name, variable, size)
                for k in range(self.program.lags[name]):
                    row = self.program.lags[name] - 1 - k
                    self.line(f'{self.before(variable, 0)}[{row}] = state.get("{Quantity(name, -k)}", 0)')
            elif name in self.program.kept and name not in self.group_of:
                self.new(variable, f"{self.steps(name)}, B, {size}")

    def adjoint_arrays(self) -> None:
        for group, variable in self.group_adjoints.items():
            self.group_arrays(group, variable, "∂")
        names = self.computed(self.program.backward)
        for name in names:
            base, variable = name.removeprefix("∂"), self.names[name]
            if name not in self.program.kept or base in self.group_of:
                continue
            if base in self.program.lags:
                self.shifted(name, variable, self.size_of(base))
                assigned = name in self.program.prefilled and self.program.assigned_first(name)
                part = f"[:{self.program.lags[base]}]" if assigned else "[:]"
                self.line(f"{self.before(variable, 0)}{part} = 0")
            else:
                shape = "*x.shape" if base == "x" else f"{self.steps(name)}, B, {self.size_of(base)}"
                self.new(variable, shape)
                if name in self.program.prefilled and not self.program.assigned_first(name):
                    self.line(f"{variable}[:] = 0")

    def group_arrays(self, group: tuple[str, ...], variable: str, prefix: str) -> None:
        sizes = [self.size_of(name) for name in group]
        members = ", ".join(self.names[prefix + name] for name in group)
        self.new(variable, f"{self.steps(prefix + group[0])}, B, {_total(sizes)}")
        self.line(f"{members} = {self.dialect.split.format(variable, self.cuts(sizes))}")

    @staticmethod
    def cuts(sizes: list[str]) -> str:
        """Where parts of these sizes begin, or how many there are."""
        if len(set(sizes)) == 1:
            return str(len(sizes))
        return f"[{', '.join(_total(sizes[: k + 1]) for k in range(len(sizes) - 1))}]"

    def new(self, variable: str, shape: str, key: str = "") -> None:
        """An array, of which the module keeps the memory."""
        self.line(f'{variable} = array("{key or variable}", {shape})')

    def shifted(self, name: str, variable: str, size: str) -> None:
        """One array with room for the steps before the first; views of it begin earlier."""
        lag = self.program.lags[name.removeprefix("∂")]
        whole = self.before(variable, 0)
        self.new(whole, f"T + {lag}, B, {size}", variable)
        views = [(variable, f"{whole}[{lag}:]")]
        used = {
            -(q.step or 0)
            for stage in (*self.program.forward, *self.program.backward)
            for statement in stage.everything
            for q in (*reads(statement), *writes(statement))
            if q.name == name
        }
        views += [(self.before(variable, k), f"{whole}[{lag - k or ''}:{-k}]") for k in range(1, lag + 1) if k in used]
        flat = f"{', '.join(v for v, _ in views)} = {', '.join(text for _, text in views)}"
        for line in [flat] if len(INDENT + flat) <= WIDTH else [f"{v} = {text}" for v, text in views]:
            self.line(line)

    def before(self, variable: str, k: int) -> str:
        """The array of a state k steps earlier; with k = 0 the one of all its steps, those before the first too."""
        if (variable, k) not in self.views:
            wanted = f"{variable}_before{k if k > 1 else ''}" if k else f"{variable}_all"
            self.views[variable, k] = self.names.fresh(wanted)
        return self.views[variable, k]

    def computed(self, stages: Iterable[Stage]) -> list[str]:
        shared = {f"∂{name}" for name in self.program.model.cell.parameters}
        found = dict.fromkeys(name for stage in stages for name in stage.targets if name not in shared)
        if any(name.startswith("∂") for name in found):
            found.update(dict.fromkeys(f"∂{state}" for state in self.program.lags))
        return list(found)

    # -- statements -------------------------------------------------------------------------------------------

    def name(self, quantity: Quantity) -> str:
        """The text that stands for a quantity at its step."""
        found = self.names[quantity.name]
        if quantity.name in ("x", "d"):
            found = quantity.name
        if not quantity.index:
            return found
        if quantity.step:
            found = self.before(found, -quantity.step)
        kept = quantity.name in self.program.kept or quantity.name in ("x", "d")
        if not kept:
            return found
        if self.index:
            return found + self.index
        assert self.stage is not None
        return f"{found}[-1:]" if self.stage.last and quantity.name not in self.last else found

    def over_rows(self, text: str) -> str:
        return text if self.index else f"rows({text})"

    def expression(self, expression: Expression) -> str:
        return print_expression(expression, self.name, self.dialect)

    def forward(self, stage: Stage) -> None:
        self.stage = stage
        said: set[str] = set()
        for part, looped in ((stage.before, False), (stage.statements, stage.looped)):
            if not part:
                continue
            if looped:
                self.loop("for t in range(T):")
            for statement in part:
                for target in writes(statement):
                    key = f"{target.name} {looped}"
                    if key not in said:
                        said.add(key)
                        early = any(target in writes(s) for s in stage.before)
                        which = ", before the loop" if early and not looped else ", the rest" if early else ""
                        self.comment(forward_comment(target.name, self.program, which))
                self.statement(statement)
            if looped:
                self.end_loop()

    def between(self) -> None:
        """What stands between the passes."""

    def enter(self, stage: Stage) -> None:
        """What stands before a stage of the backward pass."""

    def backward(self, stage: Stage) -> None:
        self.stage = stage
        self.enter(stage)
        for part, looped in ((stage.statements, stage.looped), (stage.after, False)):
            if not part:
                continue
            if looped:
                self.loop("for t in reversed(range(T)):")
            for statement in part:
                for line in adjoint_comments(statement, self.program):
                    self.comment(line)
                self.statement(statement)
            if looped:
                self.end_loop()

    def loop(self, head: str) -> None:
        self.line(head)
        self.depth += 1
        self.index = "[t]"

    def end_loop(self) -> None:
        self.depth -= 1
        self.index = ""

    def statement(self, statement: Statement) -> None:
        match statement:
            case Assign(target, expression, adds):
                self.assign(target, expression, adds)
            case Multiplied(targets, matrices, operand, adds):
                group = self.group_text(targets)
                self.product(group, f"{self.over_rows(self.name(operand))} @ {self.matrix(matrices)}.T", adds)
            case PulledBack(target, matrices, operands, adds):
                text = self.name(target)
                self.product(text, " + ".join(self.pairs(matrices, operands)), adds)
            case OuterSum(targets, operands, argument, adds):
                self.outer(targets, operands, argument, adds)
            case Total(target, expression, adds):
                self.total(target, expression, adds)

    def assign(self, target: Quantity, expression: Expression, adds: bool) -> None:
        text, kept = self.name(target), target.name in self.program.kept
        value = self.expression(expression)
        if adds:
            self.long(f"{text} += ", value)
        elif not kept:
            self.long(f"{text} = ", value)
        elif self.takes_out(expression, value):
            self.call(f"{value[:-1]}, out={text})")
        else:
            self.long(f"{text} = " if self.index else f"{text}[:] = ", value)

    def takes_out(self, expression: Expression, value: str) -> bool:
        """Whether a text is a call of the library that can write into an array."""
        is_call = isinstance(expression, Call) and expression.function != "sum"
        return is_call and value.startswith(f"{self.dialect.library}.")

    def product(self, target: str, value: str, adds: bool) -> None:
        if self.index:
            self.long(f"{target} {'+=' if adds else '='} ", value)
            return
        target = f"rows({target})"
        left, _, right = value.partition(" @ ")
        if not adds and " @ " not in right:
            self.call(f"{self.dialect.library}.matmul({left}, {right}, out={target})")
        else:
            self.long(f"{target}[:] {'+=' if adds else '='} ", value)

    def pairs(self, matrices: tuple[Quantity, ...], operands: tuple[Quantity, ...]) -> Iterator[str]:
        group = self.adjoint_group(operands)
        if group is not None and len(operands) > 1:
            yield f"{self.over_rows(self.all_of(self.group_adjoints[group]))} @ {self.matrix(matrices)}"
        else:
            for matrix, operand in zip(matrices, operands, strict=True):
                yield f"{self.over_rows(self.name(operand))} @ {self.names[matrix.name]}"

    def all_of(self, variable: str) -> str:
        return variable + self.index

    def adjoint_group(self, operands: tuple[Quantity, ...]) -> tuple[str, ...] | None:
        names = tuple(q.name.removeprefix("∂") for q in operands)
        return names if names in self.group_adjoints else None

    def group_text(self, targets: tuple[Quantity, ...]) -> str:
        if len(targets) == 1:
            return self.name(targets[0])
        return self.all_of(self.group_names[tuple(q.name for q in targets)])

    def matrix(self, matrices: tuple[Quantity, ...]) -> str:
        """A matrix, or several stacked: the stack is made once, where it is first used outside a loop."""
        if len(matrices) == 1:
            return self.names[matrices[0].name]
        if matrices not in self.stacked:
            self.stacked[matrices] = self.names.fresh(f"{_stem([m.name for m in matrices])}_all")
            parts = ", ".join(self.names[m.name] for m in matrices)
            place = next(i for i, line in enumerate(self.lines) if line.endswith("# forward pass")) - 1
            self.lines.insert(place, f"{INDENT}{self.stacked[matrices]} = {self.dialect.joined.format(parts)}")
        return self.stacked[matrices]

    def outer(
        self, targets: tuple[Quantity, ...], operands: tuple[Quantity, ...], argument: Quantity, adds: bool
    ) -> None:
        right = self.name(argument)
        equals = "+=" if adds else "="
        group = self.adjoint_group(operands)
        if len(targets) == 1:
            self.long(f"{self.names[targets[0].name]} {equals} ", self.outer_text(self.name(operands[0]), right))
            return
        assert group is not None
        sizes = [self.size_of(name) for name in group]
        value = self.outer_text(self.all_of(self.group_adjoints[group]), right)
        split = self.dialect.split_rows.format(value, self.cuts(sizes))
        if adds:
            for k, target in enumerate(targets):
                self.long(f"{self.names[target.name]} += ", f"{split}[{k}]")
        else:
            self.long(f"{', '.join(self.names[t.name] for t in targets)} = ", split)

    def total(self, target: Quantity, expression: Expression, adds: bool) -> None:
        shape = self.shapes[target.name.removeprefix("∂")]
        text = self.expression(expression)
        equals = "+=" if adds else "="
        if not any(q.index for q in quantities(expression)):  # the same for all steps and samples
            steps = "1" if self.stage is not None and self.stage.last else "T"
            text = self.repeated(text, f"{steps}, B, {(*shape, '1')[0]}")
        value = self.sum_text(text, "(0, 1)" if shape else "")
        self.long(f"{self.names[target.name]} {equals} ", value)

    def repeated(self, text: str, shape: str) -> str:
        """The same for all steps and samples."""
        return f"np.full(({shape}), {text}, dtype)"

    def outer_text(self, left: str, right: str) -> str:
        """The sum of left rightᵀ over steps and samples."""
        return f"rows({left}).T @ rows({right})"

    def sum_text(self, text: str, axes: str) -> str:
        """The sum over axes, or over all."""
        return f"{_as_operand(text)}.sum({f'axis={axes}' if axes else ''})"

    def call(self, text: str) -> None:
        """A call for its effect."""
        self.line(text)

    def long(self, left: str, value: str) -> None:
        self.lines.extend(assigned(INDENT * self.depth, left.rstrip(), value))

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


def shown(name: str) -> str:
    """A quantity or its adjoint in a message: h, dL/dh."""
    return name.replace("∂", "dL/d")


def _stem(names: Iterable[str]) -> str:
    """What names begin with in common, up to an underscore: a of a_f, a_i."""
    first, *others = (name.split("_") for name in names)
    common = [part for k, part in enumerate(first) if all(part == other[k : k + 1][0] if other[k:] else False
                                                          for other in others)]  # fmt: skip
    return "_".join(common) or first[0]


def _total(sizes: list[str]) -> str:
    """n_f + n_i, or 4 * n_c."""
    if len(set(sizes)) == 1:
        return sizes[0] if len(sizes) == 1 else f"{len(sizes)} * {sizes[0]}"
    return " + ".join(sizes)


def _as_operand(text: str) -> str:
    simple = all(c.isalnum() or c in "_[]-:" for c in text)
    return text if simple else f"({text})"


def numpy_source(program: Program) -> str:
    """The program as a module that needs only NumPy; see the docstring of its one function.

    >>> from rnn_symbolic.model import unroll
    >>> from rnn_symbolic.program import build_program
    >>> text = numpy_source(build_program(unroll("elman", activation="tanh", loss="squared", form="matrix")))
    >>> "dh_before[t] += da[t] @ W_h" in text
    True
    """
    return ArraySource(program).text()
