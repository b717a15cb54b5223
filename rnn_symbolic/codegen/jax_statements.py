"""The statements of a program as lines of Python over JAX arrays.

Within the function of a step a name is the quantity at that step; outside of it, the stack over all steps. A group's
arrays lie side by side in one array, or each for itself: they are joined and split where a statement needs it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from rnn_symbolic.codegen.comments import adjoint_comments, forward_comment
from rnn_symbolic.codegen.identifiers import Identifiers
from rnn_symbolic.codegen.jax_plan import live_stages, targets_of
from rnn_symbolic.codegen.layout import INDENT, assigned, tuple_text, unpacked
from rnn_symbolic.codegen.python_expressions import Dialect, print_expression
from rnn_symbolic.expressions import Expression, Quantity, quantities
from rnn_symbolic.program import Assign, Multiplied, OuterSum, Program, PulledBack, Stage, Statement, Total

RESERVED = (
    "jax jnp lax params x d state arrays shapes dtype batch grid T rows outer earlier of_state over_grid total "
    "logistic_slope logsumexp loss "
    "gradients loss_and_gradients carry inputs start last kept float len l I O _"
).split()

DIALECT = Dialect(
    {
        ("tanh", 0): "jnp.tanh({})", ("tanh", 1): "(1 - jnp.tanh({}) ** 2)",
        ("logistic", 0): "jax.nn.sigmoid({})", ("logistic", 1): "logistic_slope({})",
        ("relu", 0): "jax.nn.relu({})", ("relu", 1): "jnp.heaviside({}, 0)",
        ("softplus", 0): "jax.nn.softplus({})", ("softplus", 1): "jax.nn.sigmoid({})",
        ("sin", 0): "jnp.sin({})", ("cos", 0): "jnp.cos({})", ("exp", 0): "jnp.exp({})",
        ("log", 0): "jnp.log({})", ("sqrt", 0): "jnp.sqrt({})",
        ("softmax", 0): "jax.nn.softmax({}, axis=-1)",
        ("logsumexp", 0): "logsumexp({})",
    },
    ones="jnp.ones({}, dtype)",
)  # fmt: skip


@dataclass
class Scope:
    """Where text goes: the variables that have a value there, and how the arrays of groups lie."""

    known: set[str] = field(default_factory=set)
    forms: dict[tuple[str, ...], set[str]] = field(default_factory=dict)
    inside: bool = False  # a loop


class JaxStatements:
    """Writes statements into ``lines``; ``stacks`` are the parameters that they want stacked."""

    def __init__(self, program: Program) -> None:
        self.program, self.scalar = program, not program.model.names
        self.shapes = {} if self.scalar else program.shapes
        cell = program.model.cell
        self.sizes = list(dict.fromkeys(size for shape in self.shapes.values() for size in shape))
        self.names = Identifiers([*RESERVED, *self.sizes])
        for name in (*cell.parameters, *cell.quantities):
            _ = self.names[name]  # a cell's own names come first
        self.names.set("l", "losses")
        self.names.set("1/T", "share")
        self.specials: dict[str, str] = {}
        self.stacks: dict[tuple[Quantity, ...], str] = {}
        self.group_of = {
            prefix + name: tuple(prefix + member for member in group)
            for prefix in ("", "∂")
            for group in program.groups
            for name in group
        }
        self.joined: dict[tuple[str, ...], str] = {}
        for group in dict.fromkeys(self.group_of.values()):
            adjoint, common = group[0].startswith("∂"), stem(name.removeprefix("∂") for name in group)
            self.joined[group] = self.names.fresh(f"{'d' if adjoint else ''}{common}_all")
        self.forward, self.backward = live_stages(program)
        only = [name for stage in program.forward if stage.last for name in stage.targets]
        self.last = {*only, *(f"∂{name}" for name in only)}
        self.outside, self.pads = self.pushed()
        self.lines: list[str] = []
        self.comments: list[str] = []  # of the statement that is being written
        self.indent = INDENT
        self.scope = Scope()
        self.stage: Stage | None = None

    def pushed(self) -> tuple[frozenset[str], dict[str, int]]:
        """The adjoints to which statements over all steps add; how far back those go that reach only some steps."""
        found: dict[str, list[tuple[int, bool]]] = {}
        for stage in self.backward:
            for statement in (*(() if stage.looped else stage.statements), *stage.after):
                for q in targets_of(statement):
                    if q.index:
                        partly = bool(q.step) or (stage.last and q.name not in self.last)
                        found.setdefault(q.name, []).append((-(q.step or 0), partly))
        pads = {name: max(lag for lag, _ in all_) for name, all_ in found.items() if any(partly for _, partly in all_)}
        return frozenset(found), pads

    # -- names ------------------------------------------------------------------------------------------------

    def special(self, key: str, wanted: str) -> str:
        """An identifier near ``wanted``, the same for the same key."""
        if key not in self.specials:
            self.specials[key] = self.names.fresh(wanted)
        return self.specials[key]

    def initial(self, state: Quantity, prefix: str = "") -> str:
        """The variable of h_0, h_-1, …, or with the prefix ∂ of what is left to it."""
        wanted = f"{self.names[state.name]}_{state.step}".replace("-", "minus")
        return self.special(f"{prefix}{state}", f"{'d' if prefix else ''}{wanted}")

    def before(self, name: str, lag: int) -> str:
        """The variable of h_{t-1}, h_{t-2}, …"""
        return self.special(f"{name}[t-{lag}]", f"{self.names[name]}_before{lag if lag > 1 else ''}")

    def padded(self, name: str) -> str:
        """The variable of an adjoint with room for the steps before the first."""
        return self.special(f"{name} padded", f"{self.names[name]}_all") if self.pads[name] else self.names[name]

    def variable(self, q: Quantity) -> str:
        if q.step:
            return self.before(q.name, -q.step)
        return q.name if q.name in ("x", "d") else self.names[q.name]

    def size_of(self, name: str) -> str:
        return (*self.shapes.get(name.removeprefix("∂"), ()), "1")[0]

    def over(self, first: str, size: str) -> str:
        """A shape: ``first`` says how many steps, if any."""
        if self.scalar:
            return f"({first}, *grid)" if first else "grid"
        return tuple_text([part for part in (first, "*batch", size) if part])

    @property
    def steps(self) -> str:
        """How many steps an array has that a statement makes here."""
        if self.scope.inside:
            return ""
        return "1" if self.stage is not None and self.stage.last else "T"

    def read(self, q: Quantity) -> str:
        """The text that stands for a quantity; the lines that make it come first."""
        if not q.index:
            return self.names[q.name]
        found = self.variable(q)
        if q.name in self.group_of and not q.step:
            self.as_members(self.group_of[q.name])
        if self.scope.inside:
            return found
        if q.step and found not in self.scope.known:
            starts = [self.initial(Quantity(q.name, -back)) for back in reversed(range(-q.step))]
            self.prepare(found, f"earlier({', '.join([self.names[q.name], *starts])})")
        if self.pads.get(q.name) and found not in self.scope.known:
            found = f"{self.padded(q.name)}[{self.pads[q.name]}:]"
        return f"{found}[-1:]" if self.steps == "1" and q.name not in self.last else found

    # -- groups -----------------------------------------------------------------------------------------------

    def as_members(self, group: tuple[str, ...]) -> None:
        """A group's arrays each for itself."""
        forms = self.scope.forms.setdefault(group, set())
        if forms == {"joined"}:
            names = [self.names[name] for name in group]
            self.lines += unpacked(self.indent, names, f"jnp.split({self.joined[group]}, {self.cuts(group)}, axis=-1)")
            forms.add("members")
            self.scope.known.update(names)

    def as_one(self, group: tuple[str, ...]) -> str:
        """A group's arrays side by side."""
        forms = self.scope.forms.setdefault(group, set())
        if "joined" not in forms:
            parts = ", ".join(self.read(Quantity(name, 0, "t")) for name in group)
            self.prepare(self.joined[group], f"jnp.concatenate(({parts}), axis=-1)")
            forms.add("joined")
        return self.joined[group]

    def cuts(self, group: tuple[str, ...]) -> str:
        sizes = [self.size_of(name) for name in group]
        if len(set(sizes)) == 1:
            return str(len(sizes))
        return f"[{', '.join(' + '.join(sizes[: k + 1]) for k in range(len(sizes) - 1))}]"

    def stack(self, parts: tuple[Quantity, ...]) -> str:
        """Several parameters, one under another; made once, at the beginning."""
        if len(parts) == 1:
            return self.names[parts[0].name]
        if parts not in self.stacks:
            self.stacks[parts] = self.names.fresh(f"{stem(q.name for q in parts)}_all")
        return self.stacks[parts]

    # -- lines ------------------------------------------------------------------------------------------------

    def comment(self, text: str) -> None:
        self.lines.append(f"{self.indent}# {text}")

    def prepare(self, target: str, value: str) -> None:
        """A line that comes before a statement and its comments."""
        self.lines += assigned(self.indent, f"{target} =", value)
        self.scope.known.add(target)

    def put(self, left: str, value: str) -> None:
        for comment in self.comments:
            self.comment(comment)
        self.comments = []
        self.lines += assigned(self.indent, left, value)

    def store(self, target: str, value: str, *, adds: bool) -> None:
        """target = value, or target += value where it has one already."""
        self.put(f"{target} {'+=' if adds and target in self.scope.known else '='}", value)
        self.scope.known.add(target)

    def expression(self, expression: Expression) -> str:
        return print_expression(expression, self.read, DIALECT)

    # -- statements -------------------------------------------------------------------------------------------

    def all_of(self, statements: Sequence[Statement], said: set[str]) -> None:
        """Statements in order, each with its comments; ``said`` are the equations that stand there already."""
        waiting = list(statements)
        while waiting:
            taken = waiting[: self.biases(waiting)]
            del waiting[: len(taken)]
            for statement in taken:
                targets = [q.name for q in targets_of(statement)]
                if targets[0].startswith("∂"):
                    self.comments += adjoint_comments(statement, self.program)
                else:
                    self.comments += [forward_comment(name, self.program) for name in targets if name not in said]
                    said.update(targets)
            if len(taken) > 1:
                group = self.group_of[targets_of(taken[0])[0].name]
                terms = tuple(q for s in taken if isinstance(s, Assign) for q in quantities(s.expression))
                self.into_group(group, self.stack(terms), adds=True)
            else:
                self.statement(taken[0])
            self.comments = []

    def biases(self, statements: Sequence[Statement]) -> int:
        """How many statements at the beginning add a parameter to each member of a group, or 1."""
        (first, *_) = targets_of(statements[0])
        group = self.group_of.get(first.name, ())
        for member, statement in zip(group, statements, strict=False):
            match statement:
                case Assign(target, Quantity(index=""), adds=True) if target.name == member and self.of_size(statement):
                    continue
            return 1
        return len(group) if group and len(statements) >= len(group) else 1

    def of_size(self, statement: Assign) -> bool:
        """Whether what is assigned is a parameter of the target's shape."""
        value = statement.expression
        return isinstance(value, Quantity) and self.shapes.get(value.name) == self.shapes.get(statement.target.name)

    def statement(self, statement: Statement) -> None:
        match statement:
            case Assign(target, expression, adds):
                value = self.expression(expression)
                if not adds and not any(q.index for q in quantities(expression)):
                    value = f"jnp.full({self.over(self.steps, self.size_of(target.name))}, {value}, dtype)"
                self.into(target, value, adds=adds)
            case Multiplied(targets, matrices, operand, adds):
                value = f"{self.read(operand)} @ {self.stack(matrices)}.T"
                if not adds and not operand.index:
                    size = " + ".join(self.size_of(q.name) for q in targets)
                    value = f"jnp.full({self.over(self.steps, size)}, {value}, dtype)"
                if len(targets) > 1:
                    self.into_group(self.group_of[targets[0].name], value, adds=adds)
                else:
                    self.into(targets[0], value, adds=adds)
            case PulledBack(target, matrices, operands, adds):
                group = tuple(q.name for q in operands)
                if len(group) > 1 and group in self.joined:
                    value = f"{self.as_one(group)} @ {self.stack(matrices)}"
                else:
                    pairs = zip(operands, matrices, strict=True)
                    value = " + ".join(f"{self.read(q)} @ {self.names[matrix.name]}" for q, matrix in pairs)
                self.into(target, value, adds=adds)
            case OuterSum(targets, operands, argument, adds):
                self.outer(targets, operands, argument, adds=adds)
            case Total(target, expression, adds):
                self.total(target, expression, adds=adds)

    def into(self, target: Quantity, value: str, *, adds: bool) -> None:
        """Assign or add to a quantity."""
        group = self.group_of.get(target.name)
        if group is not None and not target.step:
            self.as_members(group)
            self.scope.forms[group] = {"members"}
        if not self.scope.inside and target.name in self.pads:
            self.into_padded(target, value)
        else:
            self.store(self.variable(target), value, adds=adds)

    def into_group(self, group: tuple[str, ...], value: str, *, adds: bool) -> None:
        """Assign or add to all members of a group at once."""
        target = self.as_one(group) if adds else self.joined[group]
        self.store(target, value, adds=adds)
        self.scope.forms[group] = {"joined"}

    def into_padded(self, target: Quantity, value: str) -> None:
        """Add to some steps of an adjoint, those before the first among them."""
        variable, pad, lag = self.padded(target.name), self.pads[target.name], -(target.step or 0)
        if variable not in self.scope.known:
            steps = f"T + {pad}" if pad else "T"
            self.prepare(variable, f"jnp.zeros({self.over(steps, self.size_of(target.name))}, dtype)")
        first = str(-1 - lag) if self.steps == "1" else str(pad - lag or "")
        self.put(f"{variable} =", f"{variable}.at[{first}:{-lag if lag else ''}].add({value})")

    def outer(
        self, targets: tuple[Quantity, ...], operands: tuple[Quantity, ...], argument: Quantity, *, adds: bool
    ) -> None:
        """The sums over steps and samples of outer products."""
        group = tuple(q.name for q in operands)
        left = self.as_one(group) if len(group) > 1 else self.read(operands[0])
        value = f"outer({left}, {self.read(argument)})"
        if not argument.index:
            value = f"jnp.outer(jnp.sum(rows({left}), axis=0), {self.read(argument)})"
        names = [self.names[q.name] for q in targets]
        if len(names) == 1:
            self.store(names[0], value, adds=adds)
        elif adds:
            for k, name in enumerate(names):
                self.store(name, f"jnp.split({value}, {self.cuts(group)})[{k}]", adds=True)
        else:
            self.put(f"{', '.join(names)} =", f"jnp.split({value}, {self.cuts(group)})")
            self.scope.known.update(names)

    def total(self, target: Quantity, expression: Expression, *, adds: bool) -> None:
        """The sum over steps and samples."""
        value = self.expression(expression)
        if not any(q.index for q in quantities(expression)):  # the same for all of them
            value = f"jnp.full({self.over(self.steps, self.size_of(target.name))}, {value}, dtype)"
        if self.scalar:
            value = f"jnp.sum({value}, axis=0)"
        else:
            value = f"jnp.sum(rows({value}), axis=0)" if self.shapes[target.name[1:]] else f"jnp.sum({value})"
        self.store(self.names[target.name], value, adds=adds)


def stem(names: Iterable[str]) -> str:
    """What names begin with in common, up to an underscore: a of a_f, a_i."""
    first, *others = (name.split("_") for name in names)
    for length in range(len(first), 0, -1):
        if all(other[:length] == first[:length] for other in others):
            return "_".join(first[:length])
    return first[0]
