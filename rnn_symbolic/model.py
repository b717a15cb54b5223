r"""A cell, unrolled: the equations of steps 1 … T in order of computation, one name per quantity and step.

    a_t = W_h h_{t−1} + W_x x_t + b_h,  h_t = σ(a_t),  o_t = W_y h_t + b_y,  y_t = σ(o_t),  ℓ_t = ℓ_t(y_t),  L = Σ_t ℓ_t

Nothing is ever substituted into anything else; `Model.inline` does it on request, for small T.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING, Any

from rnn_symbolic.cells import Cell, load_cell
from rnn_symbolic.collapse import Collapse, binary_cross_entropy, cross_entropy, find_collapse
from rnn_symbolic.equations import Equation
from rnn_symbolic.errors import InputError, NotDerivable, suggest
from rnn_symbolic.expressions import (
    MINUS_ONE,
    Call,
    Derivative,
    Expression,
    Multiply,
    Number,
    Power,
    Quantity,
    StepLoss,
    add,
    at_step,
    joined,
    multiply,
    quantities,
    transform,
    walk,
)
from rnn_symbolic.functions import FUNCTIONS, LOSS_ONLY, MATRIX_ONLY
from rnn_symbolic.jacobians import SCALAR, Names, matrix_row, vector_equation
from rnn_symbolic.shapes import Shapes, infer_shapes
from rnn_symbolic.table import (
    Edge,
    Factor,
    LocalRule,
    Product,
    local_derivatives,
)

if TYPE_CHECKING:
    import sympy as sp

FORMS = ("scalar", "matrix")
LOSSES = ("all", "last", "mean")
LOSS_KINDS = ("abstract", "squared", "cross-entropy")
ACTIVATIONS = tuple(FUNCTIONS)
MAX_STEPS = 10_000
"""The greatest T that `unroll` accepts unless it is told otherwise."""


@dataclass(frozen=True, repr=False)
class Model:
    """A cell with its activations and its loss, for T = ``steps`` steps.

    ``definitions`` are the equations at a generic step t, the loss last; ``table`` holds their local derivatives.
    """

    cell: Cell
    steps: int
    losses: str
    loss: str
    activation: str
    output_activation: str
    form: str
    definitions: tuple[Equation, ...]
    table: tuple[Edge, ...]
    collapse: Collapse | None
    remarks: tuple[str, ...] = ()
    shapes: Shapes | None = None  # in matrix form
    graphs: dict[Any, object] = field(default_factory=dict, init=False, compare=False)  # memo of `paths.graph`

    # -- names ------------------------------------------------------------------------------------------------

    @cached_property
    def names(self) -> Names:
        """The shape of each name, by name: empty in scalar form, where everything is a number."""
        return self.shapes.names if self.shapes is not None else {}

    def is_matrix(self, quantity: Quantity) -> bool:
        """Whether the quantity is a matrix: then a gradient ends in an outer product."""
        return len(self.names.get(quantity.name, ())) == 2

    @property
    def parameters(self) -> tuple[Quantity, ...]:
        """The shared parameters in the article's order: what weighs the inputs, the states, the rest; then biases.

        >>> [str(q) for q in unroll("elman").parameters]
        ['W_x', 'W_h', 'W_y', 'b_h', 'b_y']
        """
        places = dict.fromkeys(self.cell.parameters, 3)
        for edge in self.table:
            if edge.tail.name in places and edge.terms[0] and edge.terms[0][-1].rule is LocalRule.ARGUMENT:
                weighed = {q.name if not q.step else "state" for q in quantities(edge.terms[0][-1].value)}
                place = 0 if weighed == {"x"} else 1 if weighed == {"state"} else 2
                places[edge.tail.name] = min(places[edge.tail.name], place)
        return tuple(Quantity(name) for name in sorted(places, key=places.__getitem__))

    @property
    def initial_states(self) -> tuple[Quantity, ...]:
        """h_0, and for a state of lag 2 also h_{−1}, …"""
        return tuple(
            Quantity(name, -k) for name, lag in zip(self.cell.states, self.cell.lags, strict=True) for k in range(lag)
        )

    @property
    def loss_steps(self) -> tuple[int, ...]:
        """The steps whose loss is part of L, the latest first, as the article goes."""
        return (self.steps,) if self.losses == "last" else tuple(range(self.steps, 0, -1))

    def held(self, node: Derivative) -> tuple[Quantity, ...]:
        """The states that stand still in a derivative whose states are ``apart`` (`expressions.Derivative`).

        These are the other states of wrt's step; for an immediate one also all states between the two steps.

        >>> h = [Quantity("h", t) for t in range(4)]
        >>> [str(q) for q in unroll("lag2").held(Derivative(h[3], h[1], immediate=True, apart=True))]
        ['h_2']
        """
        of, wrt = node.of, node.wrt
        assert wrt.step is not None
        last = wrt.step
        if node.immediate and of.step is not None:
            last = of.step - (joined(of.name)[0] in self.cell.states)
        steps = range(wrt.step, last + 1)
        held = (Quantity(name, step, wrt.index) for step in steps for name in self.cell.states)
        moving = joined(wrt.name)
        return tuple(q for q in held if q.step != wrt.step or q.name not in moving)

    @cached_property
    def named(self) -> frozenset[str]:
        """The names that an equation defines, the loss of a step included."""
        return frozenset(equation.target.name for equation in self.definitions)

    @cached_property
    def is_abstract(self) -> bool:
        """Whether σ or ℓ stands for any function, so that numbers need a choice first."""
        return any(
            isinstance(node, StepLoss) or (isinstance(node, Call) and node.function == "sigma")
            for equation in self.definitions
            for node in walk(equation.expression)
        )

    def resolve(self, name: str) -> Quantity:
        """The quantity that ``name`` means: a parameter, h_0, x_2, or any named quantity such as h_3.

        Raises InputError that lists what there is, with the nearest name.
        """
        if name in self.cell.parameters:
            return Quantity(name)
        base, _, step_text = name.rpartition("_")
        digits = step_text.removeprefix("-")
        step = int(step_text) if digits.isdigit() and digits.isascii() and len(digits) < 9 else None
        if step is not None and Quantity(base, step) in self.initial_states:
            return Quantity(base, step)
        if step is not None and base == "d":
            raise InputError(f"{name!r} is a target: targets are data, L is not differentiated by them")
        if step is not None and (base in self.named or (base == "x" and self.cell.uses_input)):
            if 1 <= step <= self.steps:
                return Quantity(base, step)
            further = "use --steps to unroll further" if step > self.steps else "there is no such step"
            raise InputError(f"{name!r} is outside the steps 1 … {self.steps}; {further}")
        raise InputError(self._unknown(name))

    def _unknown(self, name: str) -> str:
        known = [*self.cell.parameters, *map(str, self.initial_states)]
        stepped = [f"{base}_1" for base in (*sorted(self.named - {"l"}), *(("x",) if self.cell.uses_input else ()))]
        hint = suggest(name, known + stepped)
        if name in self.named or name == "x":
            hint = f" Did you mean {name}_1 … {name}_{self.steps}?"
        parameters = ", ".join(map(str, self.parameters)) or "none"
        inputs = f", the inputs x_1 … x_{self.steps}" if self.cell.uses_input else ""
        return (
            f"{name!r} is not a quantity of {self.cell.name}: its parameters are {parameters}; "
            f"also {', '.join(map(str, self.initial_states)) or 'no initial state'}{inputs} "
            f"and named quantities such as y_{self.steps}.{hint}"
        )

    def __repr__(self) -> str:
        """One line: the cell and the choices.

        >>> unroll("elman", steps=3)
        Model('elman', steps=3, losses='all', loss='abstract', activation='sigma', output_activation='sigma')
        """
        choices = ["steps", "losses", "loss", "activation", "output_activation"]
        choices += ["form"] if self.form == "matrix" else []
        return f"Model({self.cell.name!r}, " + ", ".join(f"{name}={getattr(self, name)!r}" for name in choices) + ")"

    # -- equations --------------------------------------------------------------------------------------------

    @cached_property
    def equations(self) -> tuple[Equation, ...]:
        """The equations of all steps in order of computation, then L."""
        unrolled = [
            Equation(equation.target.at(t), at_step(equation.expression, t))
            for t in range(1, self.steps + 1)
            for equation in self.definitions
        ]
        return (*unrolled, self.total)

    @property
    def total(self) -> Equation:
        """L = ℓ_1 + … + ℓ_T, or L = ℓ_T, or the mean of the ℓ_t."""
        found = add(*(Quantity("l", t) for t in sorted(self.loss_steps)))
        return Equation(Quantity("L"), multiply(*(factor.value for factor in self.share), found))

    @cached_property
    def share(self) -> Product:
        """∂⁺L/∂ℓ_t: the empty product 1, or 1/T for the mean over the steps."""
        if self.losses != "mean" or self.steps == 1:
            return ()
        shape = SCALAR if self.form == "matrix" else None
        return (Factor(LocalRule.NUMBER, Number(Fraction(1, self.steps)), shape),)

    @cached_property
    def definition(self) -> dict[str, Equation]:
        """The generic equation of each name."""
        return {equation.target.name: equation for equation in self.definitions}

    def equation_of(self, quantity: Quantity) -> Equation | None:
        """The equation that defines a quantity of the unrolled model; None for a leaf."""
        if quantity.name == "L":
            return self.total
        generic = self.definition.get(quantity.name)
        if generic is None or quantity.step is None or quantity.step < 1:
            return None
        return Equation(quantity, at_step(generic.expression, quantity.step))

    def computed(self, equation: Equation) -> Expression:
        """What a forward pass evaluates: where factors collapse, the loss is taken in the pre-activation, stable."""
        collapse = self.collapse
        return collapse.loss if collapse is not None and equation.target.name == "l" else equation.expression

    def inline(self, expression: sp.Expr, keep: tuple[Quantity, ...] = ()) -> sp.Expr:
        """A SymPy expression with every named quantity replaced by its definition, backwards to the leaves.

        Quantities in ``keep`` stay symbols. The result grows fast: meant for small T.
        """
        from rnn_symbolic.symbols import inline

        return inline(self, expression, keep)

    def _repr_latex_(self) -> str:
        from rnn_symbolic.printing import latex

        lines = [rf"{latex(e.target)} &= {latex(e.expression)}" for e in self.definitions]
        steps = f"t = 1, \\dots, {self.steps}" if self.steps > 1 else "t = 1"
        lines[0] += rf" && {steps}"
        lines.append(rf"L &= {latex(self.total.expression) if self.steps <= 6 else _total_sum(self)}")
        return "$\\displaystyle \\begin{aligned}" + r" \\ ".join(lines) + "\\end{aligned}$"


def _total_sum(model: Model) -> str:
    if model.losses == "last":
        return rf"\ell_{{{model.steps}}}"
    share = rf"\tfrac{{1}}{{{model.steps}}} " if model.losses == "mean" else ""
    return share + rf"\sum_{{t=1}}^{{{model.steps}}} \ell_{{t}}"


def unroll(
    cell: str | Cell = "elman",
    *,
    steps: int = 3,
    losses: str = "all",
    loss: str = "abstract",
    activation: str = "sigma",
    output_activation: str | None = None,
    form: str = "scalar",
    max_steps: int = MAX_STEPS,
) -> Model:
    r"""The model of a cell for T = ``steps``: a_t, h_t, o_t, y_t, ℓ_t for t = 1 … T, and L.

    ``cell`` is a built-in's name, a file, cell text, or a `Cell`. ``losses="last"`` makes L = ℓ_T. ``loss`` is
    "abstract" (ℓ_t(y_t)), "squared" (½ Σ (y_t − d_t)²) or "cross-entropy" (binary, −d log y − (1−d) log(1−y), for a
    logistic or abstract output; −d log y otherwise); a ``loss =`` line of the cell wins. ``sigma`` in the cell is
    replaced by ``activation``, in the equation of y by ``output_activation`` (the same unless given).

    >>> [str(e.target) for e in unroll("elman", steps=1).equations]
    ['a_1', 'h_1', 'o_1', 'y_1', 'l_1', 'L']

    Raises InputError for an unknown choice or T outside 1 … ``max_steps``.
    """
    cell = load_cell(cell)
    output_activation = activation if output_activation is None else output_activation
    for what, value, known in (
        ("losses", losses, LOSSES),
        ("loss", loss, LOSS_KINDS),
        ("activation", activation, ACTIVATIONS),
        ("output activation", output_activation, (*ACTIVATIONS, *(MATRIX_ONLY if form == "matrix" else ()))),
        ("form", form, FORMS),
    ):
        if value not in known:
            raise InputError(f"{value!r} is not a {what}: choose one of {', '.join(known)}.{suggest(value, known)}")
    if isinstance(steps, bool) or not isinstance(steps, int):
        raise InputError(f"the number of steps T is {steps!r}; it must be a whole number")
    if not 1 <= steps <= max_steps:
        raise InputError(f"T = {steps} steps: T must lie between 1 and {max_steps} (--max-steps raises the limit)")

    definitions = [
        Equation(e.target, _with_activation(e.expression, output_activation if e.target.name == "y" else activation))
        for e in cell.equations
    ]
    output = next(e for e in definitions if e.target.name == "y")
    asked_loss = loss
    if cell.loss is not None:
        loss, step_loss = "cell", _with_activation(cell.loss, activation)
    else:
        step_loss = _step_loss(loss, output, form)
    definitions.append(Equation(Quantity("l", 0, "t"), step_loss))
    shapes = infer_shapes(cell) if form == "matrix" else None
    written = definitions
    if shapes is None:
        written = definitions = [_scalar_reading(equation) for equation in definitions]
    else:
        definitions = [vector_equation(equation, shapes.names) for equation in definitions]
    table = table_rows(definitions, shapes.names if shapes is not None else {})
    return Model(
        cell=cell,
        steps=steps,
        losses=losses,
        loss=loss,
        activation=activation,
        output_activation=output_activation,
        form=form,
        definitions=tuple(definitions),
        table=table,
        collapse=find_collapse(tuple(written), tuple(definitions), table),
        remarks=_remarks(cell, loss, asked_loss, activation, output_activation),
        shapes=shapes,
    )


def table_rows(definitions: Iterable[Equation], names: Names) -> tuple[Edge, ...]:
    """The table of local derivatives; with the shapes of ``names`` in its matrix reading."""
    rows = ((edge, equation) for equation in definitions for edge in local_derivatives(equation))
    return tuple(matrix_row(edge, equation, names) if names else edge for edge, equation in rows)


def _with_activation(expression: Expression, activation: str) -> Expression:
    """σ replaced by the chosen activation; the identity disappears."""

    def visit(node: Expression) -> Expression:
        if isinstance(node, Call) and node.function == "sigma":
            return node.argument if activation == "identity" else Call(activation, node.argument, node.order)
        return node

    return expression if activation == "sigma" else transform(expression, visit)


def _scalar_reading(equation: Equation) -> Equation:
    """The equation at size 1: ``sum`` is the identity; what mixes components is refused."""

    def visit(node: Expression) -> Expression:
        if isinstance(node, Call) and node.function in MATRIX_ONLY:
            raise NotDerivable(
                f"{node.function} in the equation of {equation.target.name} mixes the components of a vector: it has "
                f"no scalar reading. Use the matrix form, or logistic for one output"
            )
        return node.argument if isinstance(node, Call) and node.function in LOSS_ONLY else node

    return Equation(equation.target, transform(equation.expression, visit))


def _remarks(cell: Cell, loss: str, asked_loss: str, activation: str, output_activation: str) -> tuple[str, ...]:
    """Options that do not touch this cell: the caller is told, and the model goes on without them."""
    remarks = []

    def mentions_sigma(of_output: bool) -> bool:
        expressions = [e.expression for e in cell.equations if (e.target.name == "y") == of_output]
        if cell.loss is not None and not of_output:
            expressions.append(cell.loss)
        return any(
            isinstance(node, Call) and node.function == "sigma"
            for expression in expressions
            for node in walk(expression)
        )

    same = output_activation == activation
    if activation != "sigma" and not mentions_sigma(False) and not (mentions_sigma(True) and same):
        remarks.append(f"the activation {activation} changes nothing: {cell.name} does not mention sigma")
    if output_activation not in ("sigma", activation) and not mentions_sigma(True):
        remarks.append(f"the output activation {output_activation} changes nothing: y of {cell.name} has no sigma")
    if loss == "cell" and asked_loss != "abstract":
        remarks.append(f"the loss {asked_loss} is not used: {cell.name} has a loss line of its own, which wins")
    return tuple(remarks)


def _step_loss(kind: str, output: Equation, form: str) -> Expression:
    y, d = output.target, Quantity("d", 0, "t")
    if kind == "abstract":
        return StepLoss(Quantity("l", 0, "t"), y)

    def summed(expression: Expression) -> Expression:
        return Call("sum", expression) if form == "matrix" else expression

    if kind == "squared":
        return Multiply((Number(Fraction(1, 2)), summed(Power(add(y, multiply(MINUS_ONE, d)), Fraction(2)))))
    if isinstance(output.expression, Call) and output.expression.function in ("logistic", "sigma"):
        return summed(binary_cross_entropy())
    return cross_entropy(form == "matrix")
