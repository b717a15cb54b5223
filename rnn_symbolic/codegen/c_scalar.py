"""A scalar program as C: one loop forward and one backward, for several networks side by side.

Only what the backward pass reads goes to memory; states, adjoints and sums stay in registers, where the next step finds
them. ``h_1`` is h one step before, ``dh_1`` what has been pushed to ∂L/∂h one step before.
"""

from __future__ import annotations

from collections.abc import Callable

from rnn_symbolic.codegen.c_expressions import print_entry
from rnn_symbolic.codegen.c_layout import ARGUMENTS
from rnn_symbolic.codegen.comments import adjoint_comments, forward_comment
from rnn_symbolic.codegen.identifiers import C_WORDS, Identifiers
from rnn_symbolic.expressions import Add, Expression, Quantity, quantities
from rnn_symbolic.program import SHARE, Assign, Program, Statement, Total, reads

RESERVED = (
    "params x d state per_sample gradients work loss T B t i next share loss_sum bad is_finite square cube".split()
)


class ScalarKernel:
    """Prints a program built without stages, for ``lanes`` networks.

    With ``report`` the function returns the step where a value first is not finite, negative for an adjoint, else 0.
    """

    def __init__(
        self, program: Program, lanes: int = 1, function: str = "run", *, report: bool = False, comments: bool = True
    ) -> None:
        self.program, self.lanes, self.function = program, lanes, function
        self.report, self.comments = report, comments
        cell = program.model.cell
        self.names = Identifiers(RESERVED, C_WORDS)
        for name in (*cell.parameters, *cell.quantities):
            _ = self.names[name]
        self.names.set("1/T", "share")
        (self.forward,), (self.backward,) = program.forward, program.backward
        read = {q.name for statement in self.backward.everything for q in reads(statement)}
        self.kept = [name for name in self.forward.targets if name in read]
        self.lines: list[str] = []

    def gradient_names(self) -> tuple[str, ...]:
        """The names of the results, in order: parameters, initial states, x."""
        cell = self.program.model.cell
        found = (*cell.parameters, *map(str, cell.initial_states))
        return (*found, "x") if self.program.inputs and cell.uses_input else found

    def text(self) -> str:
        """The function, and the one that says how much workspace it needs."""
        counts = [f"(T + {self.program.lags.get(name, 0)}) * {self.lanes}" for name in self.kept]
        space = "".join(f"    found += SPACE({count});\n" for count in counts)
        self.begin(counts)
        self.forward_loop()
        self.backward_loop()
        self.end()
        return (
            f"static long {self.function}_space(long T, long B) {{\n    long found = 0;\n    (void)T, (void)B;\n{space}"
            f"    return found;\n}}\n\n"
            f"static {'long' if self.report else 'void'} {self.function}(\n{ARGUMENTS}\n"
            + "\n".join(self.lines)
            + "\n}\n"
        )

    def line(self, text: str, depth: int = 1) -> None:
        self.lines.append("    " * depth + text)

    def each(self, text: str) -> str:
        return f"for (long i = 0; i < {self.lanes}; i++) {text}"

    # -- parts ------------------------------------------------------------------------------------------------

    def begin(self, counts: list[str]) -> None:
        cell, names = self.program.model.cell, self.names
        self.line("(void)x, (void)state, (void)per_sample, (void)B;")
        for k, name in enumerate(cell.parameters):
            self.line(f"const real *restrict {names[name]} = params[{k}];")
        if self.program.model.losses == "mean":
            self.line("const real share = (real)1 / T;")
        self.line("real *next = work;")
        for name, count in zip(self.kept, counts, strict=True):
            lag = self.program.lags.get(name, 0)
            shift = f" + {lag * self.lanes}" if lag else ""
            self.line(f"real *restrict {names[name]} = next{shift}; next += SPACE({count});")
        for k, state in enumerate(cell.initial_states):
            assert state.step is not None
            before = self.before(names[state.name], 1 - state.step)
            self.line(f"real {before}[{self.lanes}];")
            self.line(self.each(f"{before}[i] = state[{k}] ? state[{k}][i] : 0;"))
            if state.name in self.kept:
                self.line(self.each(f"{names[state.name]}[{(state.step - 1) * self.lanes} + i] = {before}[i];"))
        self.line(f"real loss_sum[{self.lanes}] = {{0}};")
        if self.report:
            self.line("long bad = 0;")

    def forward_loop(self) -> None:
        self.open("for (long t = 0; t < T; t++)")
        for statement in self.forward.statements:
            assert isinstance(statement, Assign)
            name = statement.target.name
            if self.comments:
                self.line(f"/* {forward_comment(name, self.program)} */", 3)
            self.line(f"const real {self.names[name]}_i = {self.entry(statement, self.going_forward)};", 3)
            if name in self.kept:
                self.line(f"{self.names[name]}[t * {self.lanes} + i] = {self.names[name]}_i;", 3)
            self.watch(f"{self.names[name]}_i", "t + 1")
        for name, lag in self.program.lags.items():
            variable = self.names[name]
            for k in range(lag, 1, -1):
                self.line(f"{self.before(variable, k)}[i] = {self.before(variable, k - 1)}[i];", 3)
            self.line(f"{self.before(variable, 1)}[i] = {variable}_i;", 3)
        self.line(f"loss_sum[i] {'=' if self.program.model.losses == 'last' else '+='} {self.names['l']}_i;", 3)
        self.close()

    def backward_loop(self) -> None:
        cell, names = self.program.model.cell, self.names
        for name in cell.parameters:
            self.line(f"real {names[f'∂{name}']}[{self.lanes}] = {{0}};")
        for name, lag in self.program.lags.items():
            for k in range(1, lag + 1):
                self.line(f"real {self.before(names[f'∂{name}'], k)}[{self.lanes}] = {{0}};")
        self.open("for (long t = T - 1; t >= 0; t--)")
        if self.program.model.losses == "last":
            self.line("const real share = t == T - 1; /* L = ℓ_T */", 3)
        for name, lag in self.program.lags.items():
            variable = names[f"∂{name}"]
            self.line(f"real {variable}_i = {self.before(variable, 1)}[i];", 3)
            for k in range(1, lag):
                self.line(f"{self.before(variable, k)}[i] = {self.before(variable, k + 1)}[i];", 3)
            self.line(f"{self.before(variable, lag)}[i] = 0;", 3)
        declared = {f"∂{name}" for name in self.program.lags}
        for statement in (*self.backward.statements, *self.backward.after):
            for comment in adjoint_comments(statement, self.program) if self.comments else ():
                self.line(f"/* {comment} */", 3)
            self.adjoint(statement, declared)
        self.close()

    def adjoint(self, statement: Statement, declared: set[str]) -> None:
        assert isinstance(statement, Assign | Total)
        target, value = statement.target, self.entry(statement, self.going_back)
        variable = self.names[target.name]
        if isinstance(statement, Total):
            self.line(f"{variable}[i] += {value};", 3)
        elif target.step:
            self.line(f"{self.before(variable, -target.step)}[i] += {value};", 3)
        elif target.name == "∂x":
            place = f"gradients[{len(self.gradient_names()) - 1}][t * {self.lanes} + i]"
            self.line(f"{place} {'+=' if statement.adds else '='} {value};", 3)
        elif target.name in declared:
            self.line(f"{variable}_i {'+=' if statement.adds else '='} {value};", 3)
        else:
            declared.add(target.name)
            self.line(f"real {variable}_i = {value};", 3)
        if not target.step and target.name != "∂x" and isinstance(statement, Assign):
            self.watch(f"{variable}_i", "-(t + 1)")

    def watch(self, variable: str, step: str) -> None:
        """Note the first step where a value is not finite."""
        if self.report:
            self.line(f"if (!bad && !is_finite({variable})) bad = {step};", 3)

    def end(self) -> None:
        cell, names = self.program.model.cell, self.names
        for k, name in enumerate(cell.parameters):
            self.line(self.each(f"gradients[{k}][i] = {names[f'∂{name}']}[i];"))
        for k, state in enumerate(cell.initial_states, len(cell.parameters)):
            assert state.step is not None
            self.line(self.each(f"gradients[{k}][i] = {self.before(names[f'∂{state.name}'], 1 - state.step)}[i];"))
        scale = "share * " if self.program.model.losses == "mean" else ""
        self.line(self.each(f"loss[i] = {scale}loss_sum[i];"))
        if self.report:
            self.line("return bad;")

    def open(self, head: str) -> None:
        self.line(head + " {")
        if self.lanes > 1:
            self.line("#pragma omp simd")
        self.line(self.each("{"), 2)

    def close(self) -> None:
        self.line("}", 2)
        self.line("}")

    # -- entries ----------------------------------------------------------------------------------------------

    def entry(self, statement: Assign | Total, name: Callable[[Quantity], str]) -> str:
        """The value; in a sum what waits for the step before comes last, so that the chain of steps is short."""
        expression = statement.expression
        if isinstance(expression, Add):
            expression = Add(tuple(sorted(expression.terms, key=self.waits)))
        return print_entry(expression, name, {})

    def waits(self, term: Expression) -> bool:
        return any(q.step and q.name in self.program.lags for q in quantities(term))

    def going_forward(self, quantity: Quantity) -> str:
        if not quantity.index or quantity.name in ("x", "d"):
            return self.given(quantity)
        variable = self.names[quantity.name]
        return f"{self.before(variable, -quantity.step)}[i]" if quantity.step else f"{variable}_i"

    def going_back(self, quantity: Quantity) -> str:
        if not quantity.index or quantity.name in ("x", "d"):
            return self.given(quantity)
        variable = self.names[quantity.name]
        if quantity.name.startswith("∂"):
            return f"{variable}_i"
        shift = f"(t - {-quantity.step})" if quantity.step else "t"
        return f"{variable}[{shift} * {self.lanes} + i]"

    def given(self, quantity: Quantity) -> str:
        if quantity == SHARE:
            return "share"
        if quantity.name in ("x", "d"):
            return f"{quantity.name}[t * {self.lanes} + i]"
        return f"{self.names[quantity.name]}[i]"

    def before(self, variable: str, k: int) -> str:
        known = f"before {variable} {k}"
        if known not in self.names:
            self.names.set(known, f"{variable}_{k}")
        return self.names[known]
