"""The statements of a program as lines of Python over arrays: which arrays there are, and what is computed into them.

Arrays hold all steps along their first axis and the samples along the second. ``h_before[t]`` is h one step earlier:
a view of the same array, shifted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from rnn_symbolic.codegen.array_helpers import HELPERS, RESERVED
from rnn_symbolic.codegen.comments import adjoint_comments, forward_comment
from rnn_symbolic.codegen.identifiers import Identifiers
from rnn_symbolic.codegen.layout import INDENT, WIDTH, assigned
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


@dataclass
class ArrayStatements:
    """The names, arrays and statements of a program; ``lines`` is the text so far."""

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

    # -- text -----------------------------------------------------------------------------------------------

    def line(self, text: str = "") -> None:
        self.lines.append(INDENT * self.depth + text if text else "")

    def comment(self, text: str) -> None:
        self.line(f"# {text}")

    def size_of(self, name: str) -> str:
        return (*self.shapes.get(name, ()), "1")[0]

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
