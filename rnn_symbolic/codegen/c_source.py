"""A program as C: one function for any number of steps and samples, with the sizes compiled in.

Values lie as in NumPy, [step][sample][component]. A *row* is one sample at one step. Statements entry by entry are
fused into one loop over the components of a row; products are calls, of BLAS where the matrices are large.
"""

from __future__ import annotations

from collections.abc import Mapping

from rnn_symbolic.codegen.c_blocks import Block, Blocks, sums_in
from rnn_symbolic.codegen.c_expressions import print_entry
from rnn_symbolic.codegen.c_layout import ARGUMENTS
from rnn_symbolic.expressions import Expression, Quantity
from rnn_symbolic.program import Multiplied, OuterSum, Program, PulledBack, Stage, Statement, Total

LARGE = 1024
"""Matrices of at least so many entries are multiplied by BLAS, where it is there and the operands have many rows."""
SMALL = 64
"""Products with matrices of up to so many entries are written out where they stand; others are one function."""


class CSource(Blocks):
    """Prints one program in matrix form, for sizes given as numbers.

    ``batched`` says whether there may be several samples; otherwise B is 1, and the compiler knows it. ``blas`` allows
    calls of ``gemm``. With ``report`` the function returns the step where a value first is not finite, negative for an
    adjoint, else 0.
    """

    def __init__(
        self,
        program: Program,
        sizes: Mapping[str, int],
        *,
        batched: bool,
        blas: bool = True,
        report: bool = False,
        comments: bool = True,
    ) -> None:
        super().__init__(program, sizes, batched=batched, comments=comments)
        self.blas, self.report = blas, report

    # -- the function -----------------------------------------------------------------------------------------

    def text(self) -> str:
        """The function and the one that says how much workspace it needs."""
        body = self.body()
        counts = "".join(f"    found += SPACE({count});\n" for _, count in self.counts)
        head = (
            f"static long run_space(long T, long B) {{\n    long found = 0;\n    (void)T, (void)B;\n"
            f"{counts}    return found;\n}}\n\n"
            f"static {'long' if self.report else 'void'} run(\n{ARGUMENTS}\n"
        )
        return head + body + "}\n"

    def body(self) -> str:
        self.forward_and_backward()
        statements, self.lines = self.lines, []
        if not self.batched:
            self.line("B = 1; /* known to the compiler */")
        cell = self.program.model.cell
        for k, name in enumerate(cell.parameters):
            self.line(f"const real *restrict {self.names[name]} = params[{k}];")
        for k, name in enumerate(self.gradient_names()):
            if name not in map(str, cell.initial_states):
                self.line(f"real *restrict {self.names[f'∂{name}']} = gradients[{k}];")
        self.line("(void)x, (void)state, (void)per_sample;")
        if self.program.model.losses == "mean":
            self.line("const real share = (real)1 / T;")
        self.line("real *next = work;")
        for array, count in self.counts:
            self.line(f"real *{array} = next; next += SPACE({count});")
        for name in self.states(""):
            lag = self.program.lags[name]
            self.line(f"real *{self.names[name]} = {self.whole(name)} + {lag} * B * {self.size(name)};")
        for name in self.states("∂"):
            lag = self.program.lags[name[1:]]
            self.line(f"real *{self.names[name]} = {self.whole(name)} + {lag} * B * {self.size(name)};")
        self.lines += self.packing
        self.initial_states()
        self.lines += statements
        self.results()
        return "\n".join(self.lines) + "\n"

    def states(self, prefix: str) -> list[str]:
        return [prefix + name for name in self.program.lags]

    def arrays(self) -> None:
        """What the workspace holds: all kept values, and those of one step."""
        seen: set[str] = set()
        for stages in (self.program.forward, self.program.backward):
            for name in dict.fromkeys(name for stage in stages for name in stage.targets):
                base = name.removeprefix("∂")
                if base in self.program.model.cell.parameters or name == "∂x" or name in self.local_only:
                    continue
                if base in self.groups:
                    array, step, _ = self.place(name)
                    count = f"T * B * {step}"
                elif base in self.program.lags:
                    continue
                else:
                    array = self.names[name]
                    kept = name in self.program.kept
                    count = f"T * B * {self.size(name)}" if kept else f"B * {self.size(name)}"
                if array not in seen:
                    seen.add(array)
                    self.counts.append((array, count))
        for name in (*self.states(""), *self.states("∂")):
            lag = self.program.lags[name.removeprefix("∂")]
            self.counts.append((f"{self.whole(name)}", f"(T + {lag}) * B * {self.size(name)}"))

    def initial_states(self) -> None:
        for k, state in enumerate(self.program.model.cell.initial_states):
            assert state.step is not None
            n = self.size(state.name)
            row = self.program.lags[state.name] - 1 + state.step
            self.open("for (long b = 0; b < B; b++)")
            self.line(f"real *to = {self.whole(state.name)} + ({row} * B + b) * {n};")
            self.line(f"if (state[{k}]) memcpy(to, state[{k}] + (per_sample[{k}] ? b * {n} : 0), {n} * sizeof(real));")
            self.line(f"else memset(to, 0, {n} * sizeof(real));")
            self.close()

    def forward_and_backward(self) -> None:
        self.arrays()
        for stage in self.program.forward:
            self.run_stage(stage, "for (long t = 0; t < T; t++)")
        self.zero_adjoints()
        for stage in self.program.backward:
            self.run_stage(stage, "for (long t = T - 1; t >= 0; t--)")

    def zero_adjoints(self) -> None:
        for name in sorted(self.program.prefilled):
            base = name[1:]
            n = self.size(base)
            assigned = self.program.assigned_first(name)
            if base in self.program.lags:
                lag = self.program.lags[base]
                steps = str(lag) if assigned else f"(T + {lag})"
                self.line(f"memset({self.whole(name)}, 0, (size_t)({steps} * B * {n}) * sizeof(real));")
            elif not assigned:
                self.line(f"memset({self.names[name]}, 0, (size_t)(T * B * {n}) * sizeof(real));")
        for base in self.program.lags:
            if f"∂{base}" not in self.program.prefilled:
                lag, n = self.program.lags[base], self.size(base)
                self.line(f"memset({self.whole(f'∂{base}')}, 0, (size_t)({lag} * B * {n}) * sizeof(real));")

    def results(self) -> None:
        scale = "share * " if self.program.model.losses == "mean" else ""
        last = self.program.model.losses == "last"
        array = self.names["l"]
        first = "(T - 1) * B" if last else "0"
        self.line("real total = 0;")
        self.line(f"for (long r = {first}; r < T * B; r++) total += {array}[r];")
        self.line(f"*loss = {scale}total;")
        offset = len(self.program.model.cell.parameters)
        for k, state in enumerate(self.program.model.cell.initial_states):
            assert state.step is not None
            size, lag = self.size(state.name), self.program.lags[state.name]
            source = f"{self.whole(f'∂{state.name}')} + {lag - 1 + state.step} * B * {size}"
            target = f"gradients[{offset + k}]"
            self.line(f"if (per_sample[{k}]) memcpy({target}, {source}, (size_t)(B * {size}) * sizeof(real));")
            self.line(f"else row_sum(B, {size}, {source}, {target});")
        unused = [p for p in self.program.model.cell.parameters
                  if not any(f"∂{p}" in stage.targets for stage in self.program.backward)]  # fmt: skip
        for name in unused:
            count = _count(self.shape(name))
            self.line(f"memset({self.names[f'∂{name}']}, 0, {count} * sizeof(real));")
        self.reports()

    def reports(self) -> None:
        """Which step is to blame when something is not finite."""
        if not self.report:
            return
        cell = self.program.model.cell
        self.line("if (!is_finite(*loss)) {")
        self.search(self.program.forward, "first", "first_bad", "< found")
        self.line("}")
        for k, name in enumerate(self.gradient_names()):
            state = name in map(str, cell.initial_states)
            base = name.rpartition("_")[0] if state else name
            count = str(_count(self.shape(name))) if not state and name != "x" else str(self.size(base))
            if state:
                index = [str(q) for q in cell.initial_states].index(name)
                count = f"(per_sample[{index}] ? B : 1) * {count}"
            elif name == "x":
                count = f"T * B * {count}"
            self.line(f"for (long i = 0; i < {count}; i++) if (!is_finite(gradients[{k}][i])) {{")
            self.search(self.program.backward, "last", "last_bad", "> found")
            self.line("}")
        self.line("return 0;")

    def search(self, stages: tuple[Stage, ...], kind: str, function: str, better: str) -> None:
        self.depth += 1
        sign, start = ("", "T + 1") if kind == "first" else ("-", "0")
        self.line(f"long found = {start}, step;")
        for name in dict.fromkeys(name for stage in stages for name in stage.targets):
            if name not in self.program.kept or name in self.local_only or name == "∂x":
                continue
            array, step, _ = self.place(name)
            if any(stage.last and name in stage.targets for stage in stages):
                continue  # of other steps it holds nothing
            self.line(f"if ((step = {function}(T, B * {step}, {array})) && step {better}) found = step;")
        self.line(f"return {sign}(found >= 1 && found <= T ? found : T);")
        self.depth -= 1

    # -- stages -----------------------------------------------------------------------------------------------

    def run_stage(self, stage: Stage, head: str) -> None:
        self.stage = stage
        for part, looped in ((stage.before, False), (stage.statements, stage.looped), (stage.after, False)):
            if not part:
                continue
            self.during = looped
            if looped:
                self.open(head)
            for piece in self.pieces(part):
                if isinstance(piece, Block):
                    self.block(piece)
                else:
                    self.call(piece)
            if looped:
                self.close()
            self.during = False

    # -- products and sums ------------------------------------------------------------------------------------

    def call(self, statement: Statement) -> None:
        self.say(statement)
        match statement:
            case Multiplied(targets, matrices, operand, adds):
                n = sum(self.size(q.name) for q in targets)
                k = self.size(operand.name)
                matrix = self.pack(matrices, transposed=not self.by_blas(n, k))
                out, out_step = self.rows(targets[0].name)
                self.multiply(operand, k, n, matrix, out, out_step, adds, transposed=True)
            case PulledBack(target, matrices, operands, adds):
                self.pull(target, matrices, operands, adds)
            case OuterSum(targets, operands, argument, adds):
                for target, operand in zip(targets, operands, strict=True):
                    self.outer(target, operand, argument, adds)
            case Total(target, expression, adds):
                self.total(target, expression, adds)

    def by_blas(self, n: int, k: int) -> bool:
        """Whether a product goes to BLAS: many rows and a large matrix."""
        return self.blas and n * k >= LARGE and (self.batched or not self.during)

    def operand_rows(self, quantity: Quantity) -> tuple[str, int]:
        if quantity.name in ("x", "d"):
            n = self.size(quantity.name)
            first = self.first_row(quantity.name)
            return (quantity.name if first == "0" else f"{quantity.name} + {first} * {n}"), n
        return self.rows(quantity.name, -(quantity.step or 0))

    def multiply(
        self, operand: Quantity, k: int, n: int, matrix: str, out: str, out_step: int, adds: bool, *, transposed: bool
    ) -> None:
        source, step = self.operand_rows(operand)
        self.emit_product(source, step, k, n, matrix, out, out_step, adds, transposed=transposed)

    def emit_product(
        self, source: str, step: int, k: int, n: int, matrix: str, out: str, out_step: int, adds: bool, *,
        transposed: bool,
    ) -> None:  # fmt: skip
        rows = self.row_count
        if self.by_blas(n, k):
            ld = k if transposed else n
            self.line(
                f"gemm(0, {int(transposed)}, {rows}, {n}, {k}, {source}, {step}, {matrix}, {ld}, {int(adds)}, "
                f"{out}, {out_step});"
            )
        else:
            small = "small_" if n * k <= SMALL else ""
            self.line(f"{small}product({rows}, {k}, {n}, {source}, {step}, {matrix}, {out}, {out_step}, {int(adds)});")

    def pull(
        self, target: Quantity, matrices: tuple[Quantity, ...], operands: tuple[Quantity, ...], adds: bool
    ) -> None:
        n = self.size(target.name)
        out, out_step = self.rows(target.name, -(target.step or 0))
        names = tuple(q.name.removeprefix("∂") for q in operands)
        if names in self.program.groups:
            k = sum(self.size(q.name) for q in operands)
            matrix = self.pack(matrices, transposed=False)
            self.multiply(operands[0], k, n, matrix, out, out_step, adds, transposed=False)
            return
        for matrix_quantity, operand in zip(matrices, operands, strict=True):
            k = self.size(operand.name)
            matrix = self.names[matrix_quantity.name]
            self.multiply(operand, k, n, matrix, out, out_step, adds, transposed=False)
            adds = True

    def outer(self, target: Quantity, operand: Quantity, argument: Quantity, adds: bool) -> None:
        m, n = self.size(operand.name), self.size(argument.name)
        left, left_step = self.rows(operand.name)
        right, right_step = self.operand_rows(argument)
        D = self.names[target.name]
        if self.blas and m * n >= LARGE // 4:
            self.line(
                f"gemm(1, 0, {m}, {n}, {self.row_count}, {left}, {left_step}, {right}, {right_step}, {int(adds)}, "
                f"{D}, {n});"
            )
        else:
            small = "small_" if n * m <= SMALL else ""
            self.line(
                f"{small}outer_sum({self.row_count}, {m}, {n}, {left}, {left_step}, {right}, {right_step}, {D}, "
                f"{int(adds)});"
            )

    def total(self, target: Quantity, expression: Expression, adds: bool) -> None:
        D, size = self.names[target.name], self.size(target.name)
        begin = "(T - 1) * B" if self.stage.last else "0"
        index = "i" if size > 1 else "0"
        if not adds:
            self.line(f"for (long i = 0; i < {size}; i++) {D}[i] = 0;")
        sums = list(sums_in(expression))
        if size == 1 and not sums:
            value = print_entry(expression, lambda q: self.at(q, "i"), {})
            self.line("{")
            self.line("    real s = 0;")
            self.line("#pragma omp simd reduction(+ : s)")
            self.line(f"    for (long r = {begin}; r < T * B; r++) s += {value};")
            self.line(f"    {D}[0] += s;")
            self.line("}")
            return
        self.open(f"for (long r = {begin}; r < T * B; r++)")
        found: dict[Expression, str] = {}
        for node in sums:
            found[node] = self.total_of(node, found)
        value = print_entry(expression, lambda q: self.at(q, "i"), found)
        self.line("#pragma omp simd")
        self.line(f"for (long i = 0; i < {size}; i++) {D}[{index}] += {value};")
        self.close()


def _count(shape: tuple[int, ...]) -> int:
    found = 1
    for n in shape:
        found *= n
    return found
