r"""Shapes: which name is a scalar, a vector or a matrix, and which sizes are equal.

    W @ v :   W ∈ R^{m×n},  v ∈ R^n,  W v ∈ R^m
    u + v,  u * v,  φ(v) :   elementwise, so u and v have one size; scalars broadcast

A parameter that stands left of ``@`` is a matrix, a declared scalar (and what is built of scalars only) a scalar,
every other name a vector. No size is ever given: each name starts with sizes of its own, every equation makes
some of them equal (unification), and what is left over are the sizes of the cell. Sizes can always be made equal;
ranks cannot, so only a rank is ever refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import field
from functools import partial

from rnn_symbolic.cells import Cell
from rnn_symbolic.equations import Equation
from rnn_symbolic.errors import CellError, InputError, suggest
from rnn_symbolic.expressions import (
    Add,
    Apply,
    Call,
    Expression,
    Multiply,
    Power,
    Quantity,
    quantities,
    walk,
)
from rnn_symbolic.frozen import frozen
from rnn_symbolic.functions import LOSS_ONLY, MATRIX_ONLY
from rnn_symbolic.scanner import Line, split_lines

Shape = tuple[str, ...]

MAX_QUOTED = 60  # characters of an equation in a message
INSTEAD = {Add: "W @ h + V @ h", Multiply: "tau * (W @ h)", Apply: "W @ (V @ h)"}
"""What stands wrongly left of @ -- a sum, a multiple, a product of matrices -- and how it is written."""


@frozen
class Shapes:
    """The shape of every name: () is a scalar, ("n_h",) a vector, ("n_h", "n_x") a matrix of n_h rows.

    ``names`` holds x (where the cell reads it), the states, y, the other quantities, d and the parameters, in this
    order; an initial state has the shape of its state.

    >>> from rnn_symbolic.cells import load_cell
    >>> shapes = infer_shapes(load_cell("elman"))
    >>> shapes.names["W_x"], shapes.sizes
    (('n_h', 'n_x'), ('n_x', 'n_h', 'n_y'))
    """

    names: Mapping[str, Shape] = field(hash=False)

    @property
    def sizes(self) -> Shape:
        """The different sizes: n_x, those of the states, n_y, then the others."""
        return tuple(dict.fromkeys(size for shape in self.names.values() for size in shape))

    def of(self, expression: Expression) -> Shape:
        """The shape of an expression made of these names, at any step; losses (l, L) are scalars.

        >>> from rnn_symbolic.cells import load_cell
        >>> cell = load_cell("elman")
        >>> infer_shapes(cell).of(cell.equations[2].expression)
        ('n_y',)

        Raises KeyError for a name that the cell does not have.
        """
        match expression:
            case Quantity(name):
                return () if name in ("l", "L") else self.names[name]
            case Call(function, argument):
                return () if function in LOSS_ONLY else self.of(argument)
            case Add(parts) | Multiply(parts):
                return next((shape for part in parts if (shape := self.of(part))), ())
            case Apply(left):
                return self.of(left)[:1]
            case Power(base):
                return self.of(base)
        return ()  # Number, StepLoss


def infer_shapes(cell: Cell) -> Shapes:
    r"""The shapes of a cell, from its equations alone.

    A class of equal sizes is named after x, else after the first state in it, then y, then the first quantity in
    the order of the equations, then d, then the first parameter: ``h = h[t-1] + x`` forces n_h = n_x, and both are
    called n_x. The target d has the size of y unless the loss line says otherwise.

    >>> from rnn_symbolic.cells import parse_cell
    >>> infer_shapes(parse_cell("h = h[t-1] + x\ny = W @ h")).names
    {'x': ('n_x',), 'h': ('n_x',), 'y': ('n_y',), 'd': ('n_y',), 'W': ('n_y', 'n_x')}
    >>> infer_shapes(parse_cell("h = W @ h[t-1] + W\ny = h"))
    Traceback (most recent call last):
    rnn_symbolic.errors.CellError: line 1, column 1: in 'h = W @ h[t-1] + W': W is a matrix n_h × n_h ...

    Raises CellError, with the equation and both shapes, where ranks do not fit: a matrix anywhere but left of
    ``@``, anything but a parameter's name left of it, a scalar right of it, the sum or softmax of a scalar, a
    scalar y, a step loss that is a vector.
    """
    return _Inference(cell).shapes()


def dimensions(shape: Iterable[str | int]) -> str:
    """A shape as a reader writes it; a scalar is 1.

    >>> dimensions(("n_h", "n_x")), dimensions(())
    ('n_h × n_x', '1')
    """
    return " × ".join(map(str, shape)) or "1"


def size_report(shapes: Shapes, cell: Cell) -> tuple[tuple[str, str], ...]:
    """Each name with its dimensions: parameters, initial states, x, the quantities in order, d.

    >>> from rnn_symbolic.cells import load_cell
    >>> elman = load_cell("elman")
    >>> size_report(infer_shapes(elman), elman)[:3]
    (('W_h', 'n_h × n_h'), ('W_x', 'n_h × n_x'), ('b_h', 'n_h'))
    """
    rows = [(name, name) for name in cell.parameters]
    rows += [(str(state), state.name) for state in cell.initial_states]
    rows += [(name, name) for name in ("x", *cell.quantities, "d") if name in shapes.names]
    return tuple((shown, dimensions(shapes.names[name])) for shown, name in rows)


# --- numbers for the sizes ---------------------------------------------------------------------------------------

INITIAL_STATE = re.compile(r"(.+)_(?:0|-[1-9])")
KINDS = ("a number", "a vector", "a matrix")


def bind_sizes(shapes: Shapes, given: Mapping[str, tuple[int, ...]]) -> dict[str, int]:
    """The sizes as numbers, from the shapes of arrays: parameters, initial states (h_0), x and d of one step.

    >>> from rnn_symbolic.cells import load_cell
    >>> shapes = infer_shapes(load_cell("elman"))
    >>> bind_sizes(shapes, {"W_y": (2, 5), "x": (3,)})
    {'n_x': 3, 'n_h': 5, 'n_y': 2}
    >>> bind_sizes(shapes, {"W_h": (4, 3), "b_h": (5,)})
    Traceback (most recent call last):
    rnn_symbolic.errors.InputError: 'W_h' is 4×3, but n_h = 5 (from 'b_h'); expected 5×5

    A size that no array shows is left out. Vectors speak before matrices, because one number cannot contradict
    itself. Raises InputError for an unknown name, a rank that does not fit, a size below 1, and for two entries
    that disagree, naming both.
    """
    found: dict[str, tuple[int, str]] = {}
    for name, actual in sorted(given.items(), key=lambda item: len(item[1])):
        shape = _symbolic(shapes, name)
        if len(actual) != len(shape):
            expected = f"{KINDS[len(shape)]} {dimensions(shape)}" if shape else KINDS[0]
            raise InputError(f"{name!r} is {_actual(actual)}; expected {expected}")
        if not all(actual):
            raise InputError(f"{name!r} is {_actual(actual)}, which is empty; every size is at least 1")
        known = dict(found)
        for size, number in zip(shape, actual, strict=True):
            if known.setdefault(size, (number, name))[0] != number:
                raise InputError(f"{name!r} is {_actual(actual)}, {_conflict(size, shape, known[size], given, found)}")
        found = known
    return {size: int(found[size][0]) for size in shapes.sizes if size in found}


def _symbolic(shapes: Shapes, name: str) -> Shape:
    if name in shapes.names:
        return shapes.names[name]
    initial = INITIAL_STATE.fullmatch(name)
    if initial and initial[1] in shapes.names:
        return shapes.names[initial[1]]
    raise InputError(f"{name!r} is no entry of this cell.{suggest(name, shapes.names)}")


def _conflict(
    size: str,
    shape: Shape,
    known: tuple[int, str],
    given: Mapping[str, tuple[int, ...]],
    found: Mapping[str, tuple[int, str]],
) -> str:
    if size not in found:  # the entry contradicts itself: 4×3 for n_h × n_h
        return f"but it must be square: expected {dimensions(shape)}"
    number, source = known
    origin = f"{source!r}" if len(given[source]) == 1 else f"{source!r}, {_actual(given[source])}"
    expected = "×".join(str(found[size][0]) if size in found else size for size in shape)
    return f"but {size} = {number} (from {origin}); expected {expected if len(shape) > 1 else f'length {expected}'}"


def _actual(shape: tuple[int, ...]) -> str:
    if len(shape) < 2:
        return f"a vector of length {shape[0]}" if shape else KINDS[0]
    return "×".join(map(str, shape))


# --- inference ---------------------------------------------------------------------------------------------------


class _Inference:
    """Union-find over sizes: a size is a number here, and gets its name when all equations have been read.

    A refusal waits until then, because it quotes shapes: it is kept as the function that writes it.
    """

    def __init__(self, cell: Cell) -> None:
        self.cell = cell
        self.equations = cell.equations
        if cell.loss is not None:
            self.equations += (Equation(Quantity("l", 0, "t"), cell.loss),)
        self.equation = self.equations[0]  # the one being read
        self.parent: list[int] = []
        self.refusals: list[Callable[[], CellError]] = []
        self.matrices = self.left_of_products()
        scalars = self.built_of_scalars()
        self.ranked: dict[str, tuple[int, ...]] = {}
        inputs = ("x",) if cell.uses_input else ()
        # In the order in which names may give theirs to a size.
        for name in dict.fromkeys((*inputs, *cell.states, "y", *cell.quantities, "d", *cell.parameters)):
            rank = 2 if name in self.matrices else 0 if name in scalars else 1
            self.ranked[name] = tuple(self.fresh() for _ in range(rank))
        self.size_names: dict[int, str] = {}

    def shapes(self) -> Shapes:
        for equation in self.equations:
            self.equation = equation
            shape, target = self.infer(equation.expression), equation.target.name
            if target != "l":
                self.unify(self.ranked[target], shape)
            elif shape:
                self.refuse(partial(self.vector_loss, shape))
            if target == "y" and not self.ranked["y"]:
                message = "y is a scalar (1), built of scalars only, and must be a vector n_y"
                self.refuse(partial(str, message + "; add a vector, such as a bias b_y"))
        if self.alone("d"):
            self.unify(self.ranked["d"], self.ranked["y"])
        self.name_sizes()
        if self.refusals:
            raise self.refusals[0]()
        return Shapes({name: self.named(shape) for name, shape in self.ranked.items()})

    # --- sizes ---

    def fresh(self) -> int:
        self.parent.append(len(self.parent))
        return len(self.parent) - 1

    def find(self, size: int) -> int:
        while self.parent[size] != size:
            self.parent[size] = size = self.parent[self.parent[size]]
        return size

    def unify(self, one: tuple[int, ...], other: tuple[int, ...]) -> None:
        """Two vectors get one size; a scalar broadcasts."""
        for size, same in zip(one, other, strict=False):
            self.parent[self.find(size)] = self.find(same)

    def alone(self, name: str) -> bool:
        """Does no other name share a size with this one?"""
        own = {self.find(size) for size in self.ranked[name]}
        others = (size for other, shape in self.ranked.items() if other != name for size in shape)
        return not any(self.find(size) in own for size in others)

    def name_sizes(self) -> None:
        """n_x, n_h, …: after the first name that has the size and whose own is not taken."""
        members: dict[int, list[str]] = {}
        for name, shape in self.ranked.items():
            for size in shape:
                members.setdefault(self.find(size), []).append(name)
        taken = set(self.ranked)  # a parameter may be called n_h
        for size, names in members.items():
            candidates = [f"n_{name}" for name in names]
            candidates += [f"n_{names[0]}{number}" for number in range(2, len(taken) + 3)]
            self.size_names[size] = next(name for name in candidates if name not in taken)
            taken.add(self.size_names[size])

    def named(self, shape: tuple[int, ...]) -> Shape:
        # A size that only the refused part of an equation has is n.
        return tuple(self.size_names.get(self.find(size), "n") for size in shape)

    # --- ranks ---

    def left_of_products(self) -> dict[str, str]:
        """The parameters left of ``@``, each with the equation that says so first; refuses anything else there."""
        found: dict[str, str] = {}
        for equation in self.equations:
            self.equation = equation
            for node in walk(equation.expression):
                if not isinstance(node, Apply):
                    continue
                name = node.left.name if isinstance(node.left, Quantity) else ""
                if name in self.cell.parameters and name not in self.cell.scalars:
                    found.setdefault(name, _target(equation))
                else:
                    self.refuse(partial(self.no_matrix, node.left))
        return found

    def built_of_scalars(self) -> set[str]:
        """The scalars, and the quantities built of them only; one that needs itself, however late, is a vector."""
        waiting = {e.target.name: {q.name for q in quantities(e.expression)} for e in self.cell.equations}
        scalars = set(self.cell.scalars)
        while found := {name for name, uses in waiting.items() if uses <= scalars}:
            scalars |= found
            waiting = {name: uses for name, uses in waiting.items() if name not in found}
        return scalars

    def infer(self, expression: Expression) -> tuple[int, ...]:
        """The shape of an expression, () or one size, after all the sizes in it have been made to agree."""
        shape: tuple[int, ...] = ()
        match expression:
            case Quantity(name) if name in self.matrices:
                self.refuse(partial(self.stray_matrix, name))
                shape = (self.fresh(),)
            case Quantity(name):
                shape = self.ranked[name]
            case Call(function, argument):
                shape = self.infer(argument)
                if function in LOSS_ONLY + MATRIX_ONLY and not shape:
                    message = f"{function} takes a vector n, and its argument is a scalar (1)"
                    self.refuse(partial(str, f"{message}; leave {function} out, or give it a vector"))
                shape = () if function in LOSS_ONLY else shape
            case Add(parts) | Multiply(parts):
                for part in map(self.infer, parts):
                    self.unify(shape, part)
                    shape = shape or part
            case Apply(left, right):
                rows, columns = self.matrix(left)
                argument_shape = self.infer(right)
                if not argument_shape:
                    self.refuse(partial(self.scalar_right, left))
                self.unify((columns,), argument_shape)
                shape = (rows,)
            case Power(base):
                shape = self.infer(base)
        return shape

    def matrix(self, left: Expression) -> tuple[int, int]:
        if isinstance(left, Quantity) and left.name in self.matrices:
            rows, columns = self.ranked[left.name]
            return rows, columns
        return self.fresh(), self.fresh()  # refused already

    # --- refusals ---

    def refuse(self, message: Callable[[], str]) -> None:
        """Keep a refusal of the equation being read."""
        equation = self.equation

        def error() -> CellError:
            line = self.line(equation)
            source = f"{line.target} = {line.body}" if line else str(equation)
            return CellError(f"in '{_cut(source)}': {message()}", *((line.number, line.target_column) if line else ()))

        self.refusals.append(error)

    def line(self, equation: Equation) -> Line | None:
        """Where the equation stands in the cell's text, if the text has it."""
        try:
            lines, _ = split_lines(self.cell.text)
        except CellError:
            return None
        return next((line for line in lines if line.target == _target(equation)), None)

    def stray_matrix(self, name: str) -> str:
        shape = dimensions(self.named(self.ranked[name]))
        message = f"{name} is a matrix {shape} (it stands left of '@' in the line of {self.matrices[name]})"
        return f"{message} and a vector n here; one name cannot be both, so rename one of them"

    def scalar_right(self, left: Expression) -> str:
        shape, name = dimensions(self.named(self.matrix(left))), left.name if isinstance(left, Quantity) else "W"
        message = f"{name} is a matrix {shape} and needs a vector right of '@', but a scalar (1) stands there"
        return f"{message}; a scalar multiplies with *, as in tau * ({name} @ h)"

    def vector_loss(self, shape: tuple[int, ...]) -> str:
        line = self.line(self.equation)
        body = line.body if line and len(line.body) <= MAX_QUOTED else "(y - d) ** 2"
        message = f"the loss of a step is a scalar (1), and this is a vector {dimensions(self.named(shape))}"
        return f"{message}; write 'loss = sum({body})'"

    def no_matrix(self, left: Expression) -> str:
        """What to write in the place of (tau * W) @ h, (W + V) @ h, (W @ V) @ h, h @ v."""
        message = "a matrix stands left of '@', and a matrix is a parameter by its bare name"
        if isinstance(left, Quantity):
            shape = self.named(self.ranked[left.name])
            what = f"a vector {dimensions(shape)}" if shape else "a scalar (1)"
            return f"{message}; {left if left.step else left.name} is {what}, which multiplies elementwise with *"
        return f"{message}; write for example '{INSTEAD.get(type(left), 'W @ h')}'"


def _target(equation: Equation) -> str:
    return "loss" if equation.target.name == "l" else equation.target.name


def _cut(text: str) -> str:
    return text if len(text) <= MAX_QUOTED else text[: MAX_QUOTED - 3] + "..."
