"""What the comments of a program say: the equation behind a statement, and the identity behind its adjoint."""

from __future__ import annotations

from rnn_symbolic.expressions import Expression, Quantity
from rnn_symbolic.printing import latex
from rnn_symbolic.program import (
    Assign,
    Multiplied,
    OuterSum,
    Program,
    PulledBack,
    Statement,
    Total,
)
from rnn_symbolic.table import Edge, LocalRule
from rnn_symbolic.unicode import plain

REASONS = {
    LocalRule.POWER: "the power rule",
    LocalRule.SLOPE: "an elementwise function has a diagonal Jacobian",
    LocalRule.COEFFICIENT: "of an elementwise product the other factor is left",
    LocalRule.IDENTITY: "a sum hands the adjoint on",
    LocalRule.SUMMED: "of a sum every term has the same adjoint",
    LocalRule.SOFTMAX: "the Jacobian of softmax is diag(p) - p pᵀ",
    LocalRule.COLLAPSE: "the derivative of the loss meets that of the output function",
    LocalRule.ARGUMENT: "what the weight is multiplied by",
    LocalRule.MATRIX: "the weight",
}
"""Why a row of the table has the form it has; the first rule found decides."""


def written(expression: Expression) -> str:
    """An expression in one line of Unicode."""
    return plain(latex(expression))


def equations_of(program: Program) -> list[str]:
    """The model, line by line: its equations, what L is, and what is named within a program only."""
    model = program.model
    lines = [f"{written(e.target)} = {written(e.expression)}" for e in model.definitions]
    lines.append({"all": "L = Σ ℓₜ", "last": "L = ℓ_T", "mean": "L = (1/T) Σ ℓₜ"}[model.losses])
    pieces = [e for e in program.refined.equations if e.target.name not in model.named]
    return lines + [f"with {written(e.target)} = {written(e.expression)}" for e in pieces]


def forward_comment(name: str, program: Program, part: str = "") -> str:
    """The equation of a quantity: ``hₜ = tanh(aₜ)``; of one that is computed in two parts, which of them."""
    equation = next(e for e in program.refined.equations if e.target.name == name)
    return f"{written(equation.target)} = {written(equation.expression)}{part}"


def adjoint_comments(statement: Statement, program: Program) -> tuple[str, ...]:
    """What an adjoint statement adds up, and by which identity; what is pushed to later begins with it."""

    def equals(target: Quantity, adds: bool) -> str:
        return "+=" if adds else "begins with" if target.name in program.prefilled else "="

    def pulled(rows: tuple[Edge, ...]) -> str:
        return " + ".join(_pulled(edge, "ᵀ" if program.model.names else "") for edge in rows)

    match statement:
        case Assign(target, _, adds, rows) if rows:
            reason = _reason(rows, scalar=not program.model.names)
            return (f"{_partial(target)} {equals(target, adds)} {pulled(rows)}: {reason}",)
        case Assign(target):
            return (f"{_partial(target)} = 0: nothing reads it",)
        case PulledBack(target, matrices, operands, adds):
            parts = " + ".join(f"{m.name}ᵀ {_partial(q)}" for m, q in zip(matrices, operands, strict=True))
            return (f"{_partial(target)} {equals(target, adds)} {parts}: W v hands Wᵀ to v",)
        case OuterSum(targets, operands, argument):
            pairs = zip(targets, operands, strict=True)
            sums = tuple(f"∂L/∂{t.name[1:]} = Σ {_partial(q)} {written(argument)}ᵀ" for t, q in pairs)
            return (*sums[:-1], f"{sums[-1]}: W v hands vᵀ to W")
        case Total(target, _, _, rows):
            reason = _reason(rows, scalar=not program.model.names)
            return (f"∂L/∂{target.name[1:]} = Σ {pulled(rows)}: {reason}",)
        case Multiplied():
            pass
    raise AssertionError(statement)


def _partial(target: Quantity) -> str:
    plain_name = Quantity(target.name.removeprefix("∂"), target.step, target.index)
    return f"∂L/∂{written(plain_name)}"


def _pulled(edge: Edge, transposed: str) -> str:
    head, tail = written(edge.head), written(edge.tail)
    above = "" if edge.head.name == "l" else f" ∂L/∂{head}"
    return f"(∂{head}/∂{tail}){transposed}{above}"


def _reason(rows: tuple[Edge, ...], *, scalar: bool) -> str:
    if rows[0].head.name == "l" and LocalRule.COLLAPSE not in {f.rule for e in rows for term in e.terms for f in term}:
        return "the derivative of the loss of a step"
    rules = [factor.rule for edge in rows for term in edge.terms for factor in term] or [LocalRule.IDENTITY]
    rule = next((rule for rule in REASONS if rule in rules), None)
    if rule is LocalRule.SLOPE and scalar:
        return "the slope of the function"
    return REASONS[rule] if rule is not None else "the derivative of its equation"
