"""Where the values of a program lie in C: arrays [step][sample][component] in one workspace, matrices as they are.

A *row* is one sample at one step. The members of a group lie side by side in the rows of one array.
"""

from __future__ import annotations

from collections.abc import Mapping

from rnn_symbolic.codegen.identifiers import C_WORDS, Identifiers
from rnn_symbolic.expressions import Quantity
from rnn_symbolic.program import Program, Stage

RESERVED = (
    "small_product small_outer_sum SMALL "
    "params x d state gradients work loss T B R t b r i j k s next all_x all_d vec half WIDE HALF row_max product "
    "outer_sum transpose square cube gemm total step bad size_t share parameters states run"
).split()

ARGUMENTS = """\
    const real *const *params, const real *x, const real *d, const real *const *state, const int *per_sample,
    long T, long B, real *work, real *const *gradients, real *loss) {"""
"""What every kernel takes."""


class Layout:
    """The names and places of a program's values, for sizes given as numbers, and the text that is being written.

    ``batched`` says whether there may be several samples; otherwise B is 1, and the compiler knows it. ``during`` is
    true within a loop over t.
    """

    def __init__(self, program: Program, sizes: Mapping[str, int], *, batched: bool) -> None:
        self.program, self.sizes, self.batched = program, sizes, batched
        self.lines: list[str] = []
        self.depth = 1
        cell = self.program.model.cell
        self.names = Identifiers((*RESERVED, *self.sizes), C_WORDS)
        for name in (*cell.parameters, *cell.quantities):
            _ = self.names[name]
        self.names.set("1/T", "share")
        self.groups = {name: group for group in self.program.groups for name in group}
        self.counts: list[tuple[str, str]] = []  # arrays in the workspace, with their lengths
        self.packed: dict[tuple[tuple[str, ...], bool], str] = {}
        self.packing: list[str] = []
        self.stage: Stage = self.program.forward[0]
        self.during = False

    # -- sizes and places -------------------------------------------------------------------------------------

    def size(self, name: str) -> int:
        """How many components a quantity, its adjoint, x or d has."""
        shape = self.program.shapes.get(name.removeprefix("∂"), ())
        return self.sizes[shape[0]] if shape else 1

    def shape(self, parameter: str) -> tuple[int, ...]:
        return tuple(self.sizes[size] for size in self.program.shapes[parameter])

    def place(self, name: str) -> tuple[str, int, int]:
        """The array that holds a name, how far apart its rows are, and where in a row it begins."""
        base = name.removeprefix("∂")
        if base in self.groups:
            group = self.groups[base]
            before = group[: group.index(base)]
            return self.group_array(name), sum(map(self.size, group)), sum(map(self.size, before))
        return self.names[name], self.size(name), 0

    def group_array(self, name: str) -> str:
        base = name.removeprefix("∂")
        prefix = "∂" if name.startswith("∂") else ""
        return self.names[f"{prefix}{'_'.join(self.groups[base])}"]

    def whole(self, name: str) -> str:
        """The array of a state, or its adjoint, with the steps before the first."""
        if f"{name} whole" not in self.names:
            self.names.set(f"{name} whole", f"{self.names[name]}_all")
        return self.names[f"{name} whole"]

    def rows(self, name: str, shift: int = 0) -> tuple[str, int]:
        """A pointer to the first row of a quantity that a product reads or writes, and the step between rows."""
        array, step, offset = self.place(name)
        first = self.first_row(name)
        parts = [
            part for part in (f"({first}) * {step}" if first != "0" else "", str(offset) if offset else "") if part
        ]
        if shift:
            parts.append(f"-{shift} * B * {step}")
        return array + "".join(f" + {part}" for part in parts).replace("+ -", "- "), step

    def first_row(self, name: str) -> str:
        if self.during:
            return "t * B" if name in self.program.kept or name in ("x", "d") else "0"
        return "(T - 1) * B" if self.stage.last else "0"

    @property
    def row_count(self) -> str:
        return "B" if self.during or self.stage.last else "T * B"

    def gradient_names(self) -> tuple[str, ...]:
        """The names of the results, in order: parameters, initial states, x."""
        cell = self.program.model.cell
        found = (*cell.parameters, *map(str, cell.initial_states))
        return (*found, "x") if self.program.inputs and cell.uses_input else found

    def pack(self, matrices: tuple[Quantity, ...], *, transposed: bool) -> str:
        """Matrices one under another, or their transposes side by side; one as it is needs no copy."""
        if len(matrices) == 1 and not transposed:
            return self.names[matrices[0].name]
        key = (tuple(m.name for m in matrices), transposed)
        if key not in self.packed:
            name = self.packed[key] = self.names.fresh(
                "_".join(self.names[m.name] for m in matrices[:2]) + ("_T" if transposed else "_all")
            )
            shapes = [self.shape(m.name) for m in matrices]
            height, width = sum(s[0] for s in shapes), shapes[0][1]
            self.counts.append((name, str(height * width)))
            above = 0
            for matrix, (m, n) in zip(matrices, shapes, strict=True):
                if transposed:
                    self.packing.append(
                        f"    transpose({m}, {n}, {self.names[matrix.name]}, {name} + {above}, {height});"
                    )
                else:
                    self.packing.append(
                        f"    memcpy({name} + {above * n}, {self.names[matrix.name]}, {m * n} * sizeof(real));"
                    )
                above += m
        return self.packed[key]

    # -- text -----------------------------------------------------------------------------------------------

    def line(self, text: str = "") -> None:
        self.lines.append("    " * self.depth + text)

    def open(self, head: str) -> None:
        self.line(head + " {")
        self.depth += 1

    def close(self) -> None:
        self.depth -= 1
        self.line("}")
