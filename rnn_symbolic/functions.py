"""The functions a cell may use, as a table: one row each, with its derivative as a formula in z.

σ stays abstract: its derivative is the symbol σ'. tanh, logistic, relu and softplus keep the short name φ'(z)
in a derivation, because a path reads better as tanh'(a_3) W_h than as (1 − tanh²(a_3)) W_h; the convention box
of a document says what φ' is. sin, cos, exp, log, sqrt have a derivative that is as short as its name.
"""

from __future__ import annotations

from fractions import Fraction

from rnn_symbolic.expressions import MINUS_ONE, ONE, Call, Expression, Multiply, Number, Power
from rnn_symbolic.frozen import frozen


@frozen
class Function:
    """One elementwise function φ.

    ``slope`` says how a derivation writes φ'(z): "prime" keeps the symbol φ', "formula" writes it out.
    ``kinks`` are the points where φ is continuous but not differentiable (φ' there is stated by convention).
    """

    name: str
    latex: str
    slope: str = "prime"
    slope_latex: str = ""  # φ'(z), for the convention box
    kinks: tuple[float, ...] = ()


FUNCTIONS: dict[str, Function] = {
    function.name: function
    for function in (
        Function("sigma", r"\sigma"),
        Function("tanh", r"\tanh", slope_latex=r"1 - \tanh^{2}(z)"),
        Function(
            "logistic",
            r"\operatorname{logistic}",
            slope_latex=r"\operatorname{logistic}(z)\,(1 - \operatorname{logistic}(z))",
        ),
        Function(
            "relu",
            r"\operatorname{relu}",
            slope_latex=r"1\;(z > 0),\; 0\;(z \le 0)",
            kinks=(0.0,),
        ),
        Function("softplus", r"\operatorname{softplus}", slope_latex=r"\operatorname{logistic}(z)"),
        Function("sin", r"\sin", "formula"),
        Function("cos", r"\cos", "formula"),
        Function("exp", r"\exp", "formula"),
        Function("log", r"\log", "formula"),
        Function("sqrt", r"\sqrt", "formula"),
        Function("identity", r"\operatorname{id}", "formula"),
    )
}

MATRIX_ONLY = ("softmax",)
"""Functions that mix the components of a vector: they have no scalar reading."""

LOSS_ONLY = ("sum",)
"""Reductions, allowed in a ``loss`` line only."""


def slope(name: str, z: Expression) -> Expression:
    """φ'(z) as a derivation writes it.

    >>> slope("sigma", Number(Fraction(0)))
    Call(function='sigma', argument=Number(value=Fraction(0, 1)), order=1)
    >>> slope("sin", Number(Fraction(0)))
    Call(function='cos', argument=Number(value=Fraction(0, 1)), order=0)
    """
    if FUNCTIONS[name].slope == "prime":
        return Call(name, z, 1)
    formulas: dict[str, Expression] = {
        "sin": Call("cos", z),
        "cos": Multiply((MINUS_ONE, Call("sin", z))),
        "exp": Call("exp", z),
        "log": Power(z, Fraction(-1)),
        "sqrt": Multiply((Number(Fraction(1, 2)), Power(Call("sqrt", z), Fraction(-1)))),
        "identity": ONE,
    }
    return formulas[name]
