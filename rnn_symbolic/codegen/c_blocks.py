"""Statements entry by entry, as C: neighbours of one size are fused into one loop over the components of a row."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from rnn_symbolic.codegen.c_expressions import print_entry
from rnn_symbolic.codegen.c_layout import Layout
from rnn_symbolic.codegen.comments import adjoint_comments, forward_comment
from rnn_symbolic.expressions import Call, Expression, Quantity, quantities, walk
from rnn_symbolic.program import SHARE, Assign, Program, Statement, reads, writes


@dataclass
class Block:
    """Statements entry by entry, of one size, in one loop."""

    size: int
    statements: list[Assign]


class Blocks(Layout):
    """Prints blocks; what only its own block reads is a variable of the loop, and has no memory (``local_only``)."""

    def __init__(self, program: Program, sizes: Mapping[str, int], *, batched: bool, comments: bool) -> None:
        super().__init__(program, sizes, batched=batched)
        self.comments = comments
        self.local: dict[str, str] = {}  # the variables of the present block
        self.assigned: dict[str, int] = {}
        self.uses = self._uses()
        self.local_only = self._local_only()

    def pieces(self, statements: Iterable[Statement]) -> list[Block | Statement]:
        """Neighbouring statements of one size as blocks; a sum over components begins a new one."""
        found: list[Block | Statement] = []
        for statement in statements:
            if not isinstance(statement, Assign):
                found.append(statement)
                continue
            size = self.size(statement.target.name)
            previous = found[-1] if found else None
            rowwise = _is_row_function(statement.expression) or any(sums_in(statement.expression))
            if (
                isinstance(previous, Block)
                and previous.size == size
                and not rowwise
                and not _is_row_function(previous.statements[-1].expression)
            ):
                previous.statements.append(statement)
            else:
                found.append(Block(size, [statement]))
        return found

    def _uses(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for stage in (*self.program.forward, *self.program.backward):
            for statement in stage.everything:
                for name in {q.name for q in reads(statement)}:
                    found[name] = found.get(name, 0) + 1
        return found

    def _local_only(self) -> frozenset[str]:
        """Names that only their own block reads: they need no memory."""
        found: set[str] = set()
        everything = [s for stage in (*self.program.forward, *self.program.backward) for s in stage.everything]
        from_products = {q.name for s in everything if not isinstance(s, Assign) for q in writes(s)}
        for stage in (*self.program.forward, *self.program.backward):
            for part in (stage.before, stage.statements, stage.after):
                for piece in self.pieces(part):
                    if not isinstance(piece, Block) or _is_row_function(piece.statements[0].expression):
                        continue
                    for statement in piece.statements:
                        name = statement.target.name
                        inside = sum(
                            name in {q.name for q in quantities(other.expression)} and not any(
                                name in {q.name for q in quantities(s)} for s in sums_in(other.expression))
                            for other in piece.statements
                        )  # fmt: skip
                        if (
                            name not in self.program.kept
                            and name not in from_products
                            and name.removeprefix("∂") not in self.groups
                            and inside == self.uses.get(name, 0)
                        ):
                            found.add(name)
        return frozenset(found)

    # -- entry by entry ---------------------------------------------------------------------------------------

    def block(self, block: Block) -> None:
        for statement in block.statements:
            self.say(statement)
        first = block.statements[0]
        self.local, self.assigned = {}, {}
        row = "t * B + b" if self.during else "r"
        if self.during:
            self.open("for (long b = 0; b < B; b++)")
            self.line(f"const long r = {row};")
            self.line("(void)r;")
        else:
            begin = "(T - 1) * B" if self.stage.last else "0"
            if block.size == 1 and not any(sums_in(first.expression)) and not self.pushes_back(block):
                self.line("#pragma omp simd")
            self.open(f"for (long r = {begin}; r < T * B; r++)")
        sums: dict[Expression, str] = {}
        if _is_row_function(first.expression):
            self.row_function(first)
        else:
            for statement in block.statements:
                for node in sums_in(statement.expression):
                    if node not in sums:
                        sums[node] = self.total_of(node, sums)
            loop = block.size > 1
            if loop:
                self.line("#pragma omp simd")
                self.open(f"for (long i = 0; i < {block.size}; i++)")
            for statement in block.statements:
                self.entry(statement, sums)
            if loop:
                self.close()
        self.close()
        self.local = {}

    def pushes_back(self, block: Block) -> bool:
        return any(statement.target.step for statement in block.statements)

    def entry(self, statement: Assign, sums: Mapping[Expression, str]) -> None:
        target = statement.target
        value = print_entry(statement.expression, lambda q: self.at(q, "i"), sums)
        key = str(target)
        if statement.adds:
            value = f"{self.at(target, 'i')} + ({value})"
        variable = self.here(key, target)
        self.line(f"const real {variable} = {value};")
        if target.name not in self.local_only:
            self.line(f"{self.at(target, 'i', memory=True)} = {variable};")
        self.local[key] = variable

    def here(self, key: str, target: Quantity) -> str:
        """The variable that holds an entry within its loop; another one each time it is assigned to."""
        self.assigned[key] = self.assigned.get(key, 0) + 1
        known = f"here {key} {self.assigned[key]}"
        if known not in self.names:
            self.names.set(known, f"{self.names[target.name]}_i")
        return self.names[known]

    def total_of(self, node: Call, sums: Mapping[Expression, str]) -> str:
        """Σ over the components of a row, computed before the loop over entries."""
        variable = self.names.fresh(f"s{len(self.lines)}")
        if node.function == "logsumexp":
            assert isinstance(node.argument, Quantity)
            size = self.size(node.argument.name)
            self.line(f"const real {variable} = logsumexp_row({size}, &{self.at(node.argument, '0')});")
            return variable
        size = max((self.size(q.name) for q in quantities(node.argument) if not self.is_matrix(q)), default=1)
        value = print_entry(node.argument, lambda q: self.at(q, "j"), sums)
        self.line(f"real {variable} = 0;")
        self.line(f"#pragma omp simd reduction(+ : {variable})")
        self.line(f"for (long j = 0; j < {size}; j++) {variable} += {value};")
        return variable

    def is_matrix(self, quantity: Quantity) -> bool:
        return len(self.program.shapes.get(quantity.name, ())) == 2

    def row_function(self, statement: Assign) -> None:
        call = statement.expression
        assert isinstance(call, Call)
        assert isinstance(call.argument, Quantity)
        size = self.size(statement.target.name)
        self.line(f"softmax_row({size}, &{self.at(call.argument, '0')}, &{self.at(statement.target, '0')});")

    def at(self, quantity: Quantity, index: str, *, memory: bool = False) -> str:
        """An entry of a quantity in the present row."""
        if quantity == SHARE:
            return "share"
        if not memory and index == "i" and quantity.index and str(quantity) in self.local:
            return self.local[str(quantity)]
        size = self.size(quantity.name)
        entry = index if size > 1 else "0"
        if not quantity.index:
            return f"{self.names[quantity.name]}[{entry}]"
        array, step, offset = self.place(quantity.name)
        array = quantity.name if quantity.name in ("x", "d") else array
        kept = quantity.name in self.program.kept or quantity.name in ("x", "d")
        row = "r" if kept or not self.during else "b"
        if quantity.step:
            row = f"(r - {-quantity.step} * B)"
        parts = [row if step == 1 else f"{row} * {step}"]
        parts += [str(offset)] if offset else []
        parts += [entry] if entry != "0" else []
        return f"{array}[{' + '.join(parts)}]"

    def say(self, statement: Statement) -> None:
        if not self.comments:
            return
        if any(q.name.startswith("∂") for q in writes(statement)):
            texts = adjoint_comments(statement, self.program)
        else:
            texts = tuple(dict.fromkeys(forward_comment(q.name, self.program) for q in writes(statement)))
        for text in texts:
            comment = f"/* {text} */"
            if comment not in (line.strip() for line in self.lines[-12:]):
                self.line(comment)


def _is_row_function(expression: Expression) -> bool:
    return isinstance(expression, Call) and expression.function == "softmax"


def sums_in(expression: Expression) -> list[Call]:
    """The sums over components in an expression, inner ones first."""
    found = [node for node in walk(expression) if isinstance(node, Call) and node.function in ("sum", "logsumexp")]
    return list(dict.fromkeys(reversed(found)))
