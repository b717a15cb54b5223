"""Formulas that somebody writes for a gradient: what they mean, and what is refused where."""

from __future__ import annotations

import random
import time
from fractions import Fraction

import numpy as np
import pytest
import test_equations

from rnn_symbolic.array_functions import Array
from rnn_symbolic.arrays import array_point
from rnn_symbolic.auditing import formula_reader
from rnn_symbolic.auditing.formula_reader import Formula, read_formulas
from rnn_symbolic.concrete import concrete
from rnn_symbolic.errors import FormulaError, InputError, NumericalFailure
from rnn_symbolic.expressions import (
    MINUS_ONE,
    ONE,
    ZERO,
    Add,
    Apply,
    Call,
    Chain,
    Diagonal,
    Expression,
    Identity,
    Multiply,
    Number,
    Ones,
    Power,
    Quantity,
    StepLoss,
    Transpose,
)
from rnn_symbolic.jacobians import shape_of
from rnn_symbolic.matrix_valuation import MatrixValuation, random_matrix_point, stand_in_matrix_valuation
from rnn_symbolic.model import Model, unroll
from rnn_symbolic.paths import iter_paths
from rnn_symbolic.valuation import Valuation, random_point, stand_in_valuation

ELMAN = {
    "W_x": "sum(t=1..T, sum(k=1..t, l'(y[t]) * sigma'(o[t]) * W_y * prod(j=t..k+1 by -1, sigma'(a[j]) * W_h)"
    " * sigma'(a[k]) * x[k]))",
    "W_h": "sum(t=1..T, sum(k=1..t, l'(y[t]) * sigma'(o[t]) * W_y * W_h**(t-k) * prod(j=k..t, sigma'(a[j])) * h[k-1]))",
    "W_y": "sum(t=1..T, l'(y[t]) * sigma'(o[t]) * h[t])",
    "b_h": "sum(t=1..T, l'(y[t]) * sigma'(o[t]) * W_y * (sigma'(a[t])"
    " + sum(k=1..t-1, prod(j=k+1..t, sigma'(a[j]) * W_h) * sigma'(a[k]))))",
    "b_y": "sum(t=1..T, l'(y[t]) * sigma'(o[t]))",
    "h_0": "sum(t=1..T, l'(y[t]) * sigma'(o[t]) * W_y * prod(j=1..t, sigma'(a[j]) * W_h))",
    "x[2]": "sum(t=2..T, l'(y[t]) * sigma'(o[t]) * W_y * prod(j=3..t, sigma'(a[j]) * W_h)) * sigma'(a[2]) * W_x",
    "h[T]": "W_y * sigma'(o[T]) * l'(y[T])",
}
MATRICES = {
    "W_x": "sum(t=1..T, sum(k=1..t, diag(sigma'(a[k])) @ prod(j=k+1..t, W_h.T @ diag(sigma'(a[j]))) @ W_y.T"
    " @ diag(sigma'(o[t])) @ l'(y[t]) @ x[k].T))",
    "W_h": "sum(t=1..T, sum(k=1..t, outer((l'(y[t]).T @ diag(sigma'(o[t])) @ W_y"
    " @ prod(j=t..k+1 by -1, diag(sigma'(a[j])) @ W_h) @ diag(sigma'(a[k]))).T, h[k-1])))",
    "W_y": "sum(t=1..T, (sigma'(o[t]) * l'(y[t])) @ h[t].T)",
    "b_h": "sum(t=1..T, sum(k=1..t, sigma'(a[k]) * (prod(j=k+1..t, W_h.T @ diag(sigma'(a[j]))) @ W_y.T"
    " @ (sigma'(o[t]) * l'(y[t])))))",
    "b_y": "sum(t=1..T, (sigma'(o[t]).T @ diag(l'(y[t]))).T)",
    "h_0": "sum(t=1..T, prod(j=1..t, W_h.T @ diag(sigma'(a[j]))) @ W_y.T @ (sigma'(o[t]) * l'(y[t])))",
    "x[2]": "W_x.T @ diag(sigma'(a[2])) @ sum(t=2..T, prod(j=3..t, W_h.T @ diag(sigma'(a[j]))) @ W_y.T"
    " @ (sigma'(o[t]) * l'(y[t])))",
    "h[T]": "(l'(y[T]).T @ diag(sigma'(o[T])) @ W_y).T",
}
SCALAR_MODEL, MATRIX_MODEL = unroll("elman"), unroll("elman", form="matrix")


def text_of(formulas: dict[str, str]) -> str:
    return "\n".join(f"d{goal} = {body}" for goal, body in formulas.items())


def body(text: str, model: Model = SCALAR_MODEL, goal: str = "W_x") -> Expression:
    (found,) = read_formulas(f"d{goal} = {text}", model)
    return found.expression


def check(text: str, model: Model) -> tuple[Formula, ...]:
    """Every formula has the value of the gradient, and a shape that the records agree with."""
    found = read_formulas(text, model)
    if model.form == "scalar":
        at = stand_in_valuation(model) if model.is_abstract else Valuation(model, random_point(model, 3))
        for formula in found:
            assert at.of(formula.expression) == pytest.approx(at.gradient(formula.goal).value, rel=1e-9), formula.source
    else:
        point = random_matrix_point(model, seed=3)
        arrays = stand_in_matrix_valuation(model) if model.is_abstract else MatrixValuation(model, point)
        for formula in found:
            value = arrays.of(formula.expression)
            value = value.T if formula.transposed else value
            expected = arrays.gradient(formula.goal).value
            assert value.size == expected.size, formula.source
            assert np.allclose(value.reshape(expected.shape), expected, rtol=1e-9, atol=1e-12), formula.source
            rows, columns = shape_of(formula.goal, model.names)
            expected_shape = (columns, rows) if formula.transposed else (rows, columns)
            assert formula.expression == ZERO or shape_of(formula.expression, model.names) == expected_shape
    return found


# --- meaning ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("steps", [2, 3, 4, 5])
@pytest.mark.parametrize("losses", ["all", "mean"])
@pytest.mark.parametrize("form", ["scalar", "matrix"])
def test_the_formulas_of_a_paper(steps: int, losses: str, form: str) -> None:
    formulas = ELMAN if form == "scalar" else MATRICES
    if losses == "mean":
        formulas = {goal: f"1/T * ({text})" for goal, text in formulas.items()}
    check(text_of(formulas), unroll("elman", steps=steps, losses=losses, form=form))


@pytest.mark.parametrize("steps", [3, 4, 5])
@pytest.mark.parametrize("goal", ["W_x", "W_h", "W_y", "h_0"])
def test_every_term_is_a_path(steps: int, goal: str) -> None:
    model = unroll("elman", steps=steps)
    at = stand_in_valuation(model)
    terms = sorted(at.of(term) for term in read_formulas(f"d{goal} = {ELMAN[goal]}", model)[0].terms)
    assert terms == pytest.approx(sorted(at.path(path).value for path in iter_paths(model, goal)))


@pytest.mark.parametrize(
    "options",
    [
        {"loss": "squared", "activation": "tanh"},
        {"loss": "cross-entropy", "activation": "tanh", "output_activation": "logistic"},
        {"loss": "squared", "activation": "sin", "output_activation": "identity"},
        {"loss": "squared", "activation": "identity", "output_activation": "softplus"},
        {"activation": "tanh"},
    ],
    ids=str,
)
@pytest.mark.parametrize("form", ["scalar", "matrix"])
def test_the_functions_of_the_model(options: dict[str, str], form: str) -> None:
    model = unroll("elman", steps=3, form=form, **options)
    check(text_of(ELMAN if form == "scalar" else MATRICES), model)


def test_softmax_and_cross_entropy() -> None:
    options = {"loss": "cross-entropy", "activation": "tanh", "output_activation": "softmax", "form": "matrix"}
    model = concrete(unroll("elman", steps=2, **options))
    for slope in (
        "sigma'(o[t])",
        "softmax'(o[t])",
        "(diag(y[t]) - y[t] @ y[t].T)",
        "(diag(softmax(o[t])) - y[t]@y[t].T)",
    ):
        check(f"dW_y = sum(t=1..T, {slope} @ l'(y[t]) @ h[t].T)", model)
    check("dW_y = -sum(t=1..T, softmax'(o[t]) @ (d[t] / y[t]) @ h[t].T)", model)
    y = Quantity("y", 1)
    assert body("sigma'(o[1]) @ l'(y[1]) @ h[1].T", model, "W_y") == Chain(
        (
            MINUS_ONE,
            Add((Diagonal(y), Chain((MINUS_ONE, y, Transpose(y))))),
            Multiply((Quantity("d", 1), Power(y, Fraction(-1))), vectors=True),
            Transpose(Quantity("h", 1)),
        )
    )


LSTM_RATE = "l'(y[{t}]) * sigma'(W_y @ h[{t}] + b_y) * W_y"
LSTM_STEP = (
    "(tanh(c[2]) * logistic'(a_o[2]) * W_o + o[2] * tanh'(c[2])"
    " * (c[1] * logistic'(a_f[2]) * W_f + i[2] * tanh'(a_g[2]) * W_g + g[2] * logistic'(a_i[2]) * W_i))"
)


def test_an_lstm() -> None:
    last = LSTM_RATE.format(t=2)
    check(
        f"dU_o = {last} * tanh(c[2]) * logistic'(a_o[2]) * x[2]  # straight\n"
        f"     + {last} * {LSTM_STEP} * tanh(c_1) * logistic'(a_o_1) * x_1\n"
        f"dc[2] = {last} * o[2] * tanh'(c[2])",
        unroll("lstm", steps=2, losses="last"),
    )
    delta = "(W_y.T @ (sigma'(W_y @ h[1] + b_y) * l'(y[1])))"
    check(
        f"dW_o = ({delta} * tanh(c[1]) * logistic'(a_o[1])) @ h[0].T\n"
        f"dW_f = outer({delta} * o[1] * tanh'(c[1]) * c[0] * (f[1] * (1 - f[1])), h_0)\n"
        f"dc_0 = diag(f[1]) @ diag(o[1] * tanh'(c[1])) @ {delta}",
        unroll("lstm", steps=1, form="matrix"),
    )


def test_prod_of_columns_is_elementwise() -> None:
    """The carry of a memory cell: diag(f_t) … diag(f_{k+1}) as one vector."""
    cell = "f = logistic(U_f @ x + b_f)\nc = f * c[t-1] + tanh(U_g @ x + b_g)\ny = W_y @ c"
    text = (
        "db_g = sum(t=1..T, sum(k=1..t, tanh'(U_g @ x[k] + b_g) * (prod(j=k+1..t, f[j]) * (W_y.T @ l'(y[t])))))\n"
        "dc_0 = sum(t=1..T, diag(prod(j=1..t, f[j])) @ W_y.T @ l'(y[t]))\n"
        "db_f = sum(t=1..T, sum(k=1..t, diag(prod(j=k+1..t, f[j])) @ diag(logistic'(U_f @ x[k] + b_f) * c[k-1])"
        " @ W_y.T @ l'(y[t])))"
    )
    check(text, unroll(cell, steps=4, loss="squared", form="matrix"))
    check(text, unroll(cell, steps=3, form="scalar"))


def test_the_identity_of_a_residual_cell() -> None:
    jacobian = "(I + diag(sigma'(a[j])) @ W_h)"
    text = f"dh_0 = sum(t=1..T, (l'(y[t]).T @ diag(sigma'(o[t])) @ W_y @ prod(j=t..1 by -1, {jacobian})).T)"
    check(text, unroll("residual", steps=3, form="matrix"))
    check(text, unroll("residual", steps=3))


def test_other_cells() -> None:
    check("dh[-1] = sum(t=1..1, l'(y[t]) * sigma'(o[t]) * W_y * sigma'(a[t]) * V_h)", unroll("lag2", steps=1))
    power = "sum(t=1..T, (W_h.T ** t) @ W_y.T @ l'(y[t]))"
    check(f"dh_0 = {power}\ndb_y = sum(t=1..T, l'(y[t]))", unroll("linear", steps=4, form="matrix"))
    scaled = "scalar tau\nh = tau * (W @ h[t-1]) + x\ny = h"
    check("dtau = sum(t=1..1, (W @ h[0]).T @ l'(y[1]))", unroll(scaled, steps=1, form="matrix"))
    own = "h = tanh(W @ h[t-1] + x)\ny = h\nloss = sum((y - d) ** 2) / 2 + sum(h ** 2)"
    check("dh[1] = l'(h[1]) + ell'(y[1])", unroll(own, steps=1, form="matrix"))


def test_the_jacobian_layout_is_noted() -> None:
    text = "dW_y = sum(t=1..T, h[t] @ (l'(y[t]) * sigma'(o[t])).T)\ndb_y = sum(t=1..T, (l'(y[t]) * sigma'(o[t])).T)"
    found = check(text, MATRIX_MODEL)
    assert [formula.transposed for formula in found] == [True, True]
    square = "sum(t=1..1, h[0] @ (sigma'(a[1]) * (W_y.T @ (l'(y[1]) * sigma'(o[1])))).T)"
    assert not read_formulas(f"dW_h = {square}", MATRIX_MODEL)[0].transposed  # both would fit


# --- records ------------------------------------------------------------------------------------------------------

x1, x2, h0, h1 = Quantity("x", 1), Quantity("x", 2), Quantity("h", 0), Quantity("h", 1)
W_x, W_h, W_y = Quantity("W_x"), Quantity("W_h"), Quantity("W_y")
a3, slope = Quantity("a", 3), Call("sigma", Quantity("a", 3), 1)
rate = StepLoss(Quantity("l", 3), Quantity("y", 3), order=1)


def number(numerator: int, denominator: int = 1) -> Number:
    return Number(Fraction(numerator, denominator))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x[1]", x1),
        ("x_1", x1),
        ("x[ T - 2 ]", x1),
        ("x[T-(3-1)]", x1),
        ("x[-(-(1))]", x1),
        ("h_0", h0),
        ("h[0]", h0),
        ("((x[1]))", x1),
        ("-x[1]", Multiply((MINUS_ONE, x1))),
        ("--x[1]", x1),
        ("-x[1] ** 2", Multiply((MINUS_ONE, Power(x1, Fraction(2))))),
        ("x[1] - x[2]", Add((x1, Multiply((MINUS_ONE, x2))))),
        ("x[1] - (-x[2])", Add((x1, x2))),
        ("x[1] + (x[2] + W_x)", Add((x1, x2, W_x))),
        ("W_y * W_h * W_x", Multiply((W_y, W_h, W_x))),
        ("W_y @ (W_h * W_x)", Multiply((W_y, W_h, W_x))),
        ("W_x.T * diag(x[1])", Multiply((W_x, x1))),
        ("outer(x[1], h[1])", Multiply((x1, h1))),
        ("l'(y[3]) * sigma'(a[3])", Multiply((rate, slope))),
        ("ell'(y_3)", rate),
        ("sigma(a[3])", Call("sigma", a3)),
        ("sin'(x[1])", Call("cos", x1)),
        ("x[1] / x[2]", Multiply((x1, Power(x2, Fraction(-1))))),
        ("x[1] / x[2] ** 2", Multiply((x1, Power(x2, Fraction(-2))))),
        ("2 * 3 * x[1]", Multiply((number(6), x1))),
        ("x[1] * 2 * 3", Multiply((x1, number(2), number(3)))),
        ("x[1] / T", Multiply((x1, number(1, 3)))),
        ("0.5 * x[1]", Multiply((number(1, 2), x1))),
        ("2e-3 * x[1]", Multiply((number(1, 500), x1))),
        ("1/3 + 1/6 + x[1]", Add((number(1, 2), x1))),
        ("x[1] ** (1/2)", Power(x1, Fraction(1, 2))),
        ("x[1] ** 0", ONE),
        ("0", ZERO),
        ("1 * x[1] + 0", x1),
        ("sum(k=1..2, x[k])", Add((x1, x2))),
        ("sum(k=2..1 by -1, x[k])", Add((x2, x1))),
        ("sum(k=1..0, x[k])", ZERO),
        ("sum(k=1..3 by 2, x[k])", Add((x1, Quantity("x", 3)))),
        ("prod(j=1..2, x[j])", Multiply((x1, x2))),
        ("prod(j=2..1 by -1, x[j])", Multiply((x2, x1))),
        ("prod(j=2..1, x[j])", ONE),
        ("W_x * prod(j=2..1, x[j])", W_x),
        ("sum(k=1..2, sum(j=k..2, x[j]))", Add((x1, x2, x2))),
        ("sum(k=1..2, k * x[k])", Add((x1, Multiply((number(2), x2))))),
        ("sum(t=1..1, W_h ** (T-t))", Power(W_h, Fraction(2))),
        ("I * x[1]", x1),
        ("W_x * (x[1] + x[2])", Multiply((W_x, Add((x1, x2))))),
    ],
)
def test_records_in_scalar_form(text: str, expected: Expression) -> None:
    assert body(text) == expected


y3 = Quantity("y", 3)
vector_rate = StepLoss(Quantity("l", 3), y3, order=1, vector=True)


@pytest.mark.parametrize(
    ("goal", "text", "expected"),
    [
        ("b_h", "W_h @ W_x @ x[1]", Chain((W_h, W_x, x1))),
        ("b_h", "W_h @ (W_x @ x[1])", Chain((W_h, W_x, x1))),
        ("b_h", "W_h @ W_h ** 2 @ h[1]", Chain((W_h, Power(W_h, Fraction(2)), h1))),
        ("b_h", "diag(h[1]) @ h[0]", Chain((Diagonal(h1), h0))),
        ("b_h", "h[1] * h[0]", Multiply((h1, h0), vectors=True)),
        ("b_h", "h[1] * h[0] * a[3]", Multiply((h1, h0, a3), vectors=True)),
        ("b_h", "2 * h[1] * h[0]", Multiply((number(2), Multiply((h1, h0), vectors=True)))),
        ("b_h", "h[1] / 2", Multiply((number(1, 2), h1))),
        ("b_h", "h[1] / h[0]", Multiply((h1, Power(h0, Fraction(-1))), vectors=True)),
        ("b_h", "1 - h[1]", Add((ONE, Multiply((MINUS_ONE, h1))))),
        ("b_h", "-W_h @ h[1]", Chain((MINUS_ONE, W_h, h1))),
        ("b_h", "-(W_h @ h[1])", Chain((MINUS_ONE, W_h, h1))),
        ("b_h", "W_h @ (2 * h[1])", Chain((number(2), W_h, h1))),
        ("b_h", "(h[0].T @ h[1]) * h[0]", Multiply((Chain((Transpose(h0), h1)), h0))),
        ("b_h", "(h[0].T @ h[1]) * (W_h @ h[0])", Chain((Chain((Transpose(h0), h1)), W_h, h0))),
        ("b_h", "h[0] @ h[1].T @ h[0]", Chain((h0, Transpose(h1), h0))),
        ("b_h", "W_h.T.T @ h[1]", Chain((W_h, h1))),
        ("b_h", "(W_h @ W_h).T @ h[1]", Chain((Transpose(Chain((W_h, W_h))), h1))),
        ("b_h", "(h[1].T ** 2).T", Power(h1, Fraction(2))),
        ("b_h", "prod(j=3..2, W_h) @ h[1]", h1),
        ("b_h", "prod(j=1..2, W_h) @ h[1]", Chain((W_h, W_h, h1))),
        ("b_h", "prod(j=2..1 by -1, diag(h[j])) @ h[1]", Chain((Diagonal(Quantity("h", 2)), Diagonal(h1), h1))),
        ("b_h", "sigma'(W_h @ h[1] + b_h)", Call("sigma", Add((Chain((W_h, h1)), Quantity("b_h"))), 1)),
        ("b_h", "0", ZERO),
        ("b_h", "sum(k=3..1, h[k])", ZERO),
        ("W_h", "I + W_h", Add((Identity("n_h"), W_h))),
        ("W_h", "W_h - 2 * I", Add((W_h, Chain((number(-2), Identity("n_h")))))),
        ("W_h", "I", Identity("n_h")),
        ("W_h", "W_h * W_h", Multiply((W_h, W_h), vectors=True)),
        ("W_x", "outer(h[1], x[1])", Chain((h1, Transpose(x1)))),
        ("W_x", "h[1] @ x[1].T", Chain((h1, Transpose(x1)))),
        ("b_y", "l'(y[3])", vector_rate),
    ],
)  # fmt: skip
def test_records_in_matrix_form(goal: str, text: str, expected: Expression) -> None:
    found = body(text, MATRIX_MODEL, goal)
    assert found == expected


def test_an_argument_is_written_as_the_cell_does() -> None:
    argument = Add((Apply(W_y, h1), Quantity("b_y")))
    for form in ("scalar", "matrix"):
        model = unroll("lstm", steps=2, form=form, activation="tanh", output_activation="logistic")
        assert body("sigma'(W_y @ h[1] + b_y)", model, "b_y") == Call("logistic", argument, 1)
        assert body("sigma'(b_y)", model, "b_y") == Call("tanh", Quantity("b_y"), 1)


def test_scalars_are_spread_over_vectors() -> None:
    model = unroll("scalar tau\nh = tau * h[t-1] + x\ny = h", steps=1, form="matrix")
    assert body("tau + x[1]", model, "h_0") == Add((Multiply((Quantity("tau"), Ones("n_x"))), x1))
    assert body("x[1] * tau", model, "h_0") == Multiply((Quantity("tau"), x1))


def test_lines() -> None:
    text = (
        "\ufeff# the gradients of elman\r\n\r\n"
        "  dW_y = l'(y[3])   # the last loss\r\n"
        "\t\t * sigma'(o[3])\r\n\r\n   # a comment between\r\n"
        "     * h[3]\r\n"
        "  dL/dh[1] = x[1]\n"
        "  dL / dx_2 = x[2]"
    )
    found = read_formulas(text, SCALAR_MODEL)
    assert [(str(f.goal), f.line, f.source) for f in found] == [
        ("W_y", 3, "dW_y = l'(y[3]) * sigma'(o[3]) * h[3]"),
        ("h_1", 8, "dL/dh[1] = x[1]"),
        ("x_2", 9, "dL / dx_2 = x[2]"),
    ]
    assert found[0].terms == (found[0].expression,)


# --- refusals -----------------------------------------------------------------------------------------------------


def refusal(text: str, model: Model = SCALAR_MODEL) -> FormulaError:
    with pytest.raises(FormulaError) as caught:
        read_formulas(text, model)
    message = str(caught.value)
    assert message.isprintable(), "one line, and nothing that steers a terminal"
    assert message.startswith(f"line {caught.value.line}, column {caught.value.column}: ")
    return caught.value


REFUSALS = [
    # whole texts and left sides
    ("", 1, 1, "there is no formula"),
    ("# nothing\n\n", 1, 1, "there is no formula"),
    ("W_x = x[1]", 1, 1, "the left side is d and a name, such as dW_x"),
    ("d = x[1]", 1, 1, "the left side is d and a name"),
    ("= x[1]", 1, 1, "expected d and what L is differentiated by"),
    ("3 = x[1]", 1, 1, "expected d and what"),
    ("dW_x", 1, 5, "expected '='"),
    ("dW_x x[1]", 1, 6, "expected '='"),
    ("dW_x == x[1]", 1, 6, "'==' compares"),
    ("dW_x =", 1, 7, "an expression is expected"),
    ("dW_x = x[1] = x[2]", 1, 13, "one '='"),
    ("dW_x = x[1]\n+ x[2]", 2, 1, "indent the line"),
    ("dW_x = x[1] +\nx[2]", 1, 14, "the formula ends after '+'"),
    ("dW_x = x[1]\n\ndb_h = 1\ndW_x = x[2]", 4, 1, "stands in line 1 already"),
    ("dW_q = x[1]", 1, 1, "Did you mean 'W_"),
    ("dh = x[1]", 1, 1, "dh needs a step: dh[1] to dh[3]"),
    ("dW_x[1] = x[1]", 1, 1, "a parameter, the same at every step"),
    ("dh_1[1] = x[1]", 1, 1, "at a step already"),
    ("dh[4] = x[1]", 1, 1, "outside the steps 1 … 3; use --steps"),
    ("dh[-1] = x[1]", 1, 1, "outside the steps"),
    ("dd[1] = x[1]", 1, 1, "targets are data"),
    ("dh[k] = x[1]", 1, 4, "the step of a left side is a whole number"),
    ("dL/W_x = x[1]", 1, 4, "such as dW_x"),
    # names
    ("dW_x = banana", 1, 8, "'banana' is no name of elman"),
    ("dW_x = Wx * x[1]", 1, 8, "Did you mean 'W_x'?"),
    ("dW_x = 2 * h", 1, 12, "write h[0] to h[3]"),
    ("dW_x = 2 * (h)", 1, 13, "write h[0] to h[3]"),
    ("dW_x = h[4]", 1, 8, "h has the steps 0 to 3; use --steps"),
    ("dW_x = h_4", 1, 8, "h has the steps 0 to 3"),
    ("dW_x = a[0]", 1, 8, "a has the steps 1 to 3"),
    ("dW_x = 1 +\n  sum(k=1..3, x[1] * h[k+1])", 2, 22, "at k = 3, h[4] does not exist"),
    ("dW_x = W_x[1]", 1, 8, "'W_x' is a parameter"),
    ("dW_x = h_1[1]", 1, 8, "at a step already"),
    ("dW_x = h_t", 1, 8, "A step stands in brackets: h[t]"),
    ("dW_x = h[k]", 1, 10, "'k' is no step"),
    ("dW_x = h[1.0]", 1, 10, "a step is a whole number"),
    ("dW_x = h[]", 1, 10, "expected a step"),
    ("dW_x = h[2*1]", 1, 11, "'*' has no place here"),
    ("dW_x = h[9999999]", 1, 10, "larger than 1000000"),
    ("dW_x = (h)[1]", 1, 11, "a step stands behind a name only"),
    ("dW_x = L", 1, 8, "'L' is the total loss"),
    ("dW_x = t * x[1]", 1, 8, "'t' is the running index"),
    ("dW_x = x[1] * dW_h", 1, 15, "stands in a line of its own"),
    ("dW_x = sigma", 1, 8, "write sigma(...)"),
    ("dW_x = sum", 1, 8, "write sum(k=1..3, ...)"),
    ("dW_x = W__x", 1, 8, "is no name"),
    ("dW_x = " + "a" * 51, 1, 8, "more than any of a cell"),
    # functions
    ("dW_x = h(1)", 1, 8, "'h' is no function; write h[1] * (...)"),
    ("dW_x = W_h(x[1])", 1, 8, "'W_h' is no function"),
    ("dW_x = sigmoid(x[1])", 1, 8, "Did you mean 'logistic'?"),
    ("dW_x = 2 * (tahn(x[1]))", 1, 13, "Did you mean 'tanh'?"),
    ("dW_x = transpose(W_x)", 1, 8, "Write A.T"),
    ("dW_x = sigma''(x[1])", 1, 8, "one prime at most"),
    ("dW_x = sigma(x[1], x[2])", 1, 8, "takes 1 argument"),
    ("dW_x = outer(x[1])", 1, 8, "takes 2 arguments"),
    ("dW_x = outer(x[1], x[2], x[3])", 1, 24, "a comma stands in"),
    ("dW_x = diag'(x[1])", 1, 8, "no derivative here"),
    ("dW_x = sigma()", 1, 14, "expected a name"),
    ("dW_x = tanh(0.5)", 1, 8, "a function of a constant"),
    ("dW_x = exp(exp(exp(10)))", 1, 16, "a function of a constant"),
    ("dW_x = softmax(x[1])", 1, 8, "has no scalar reading"),
    ("dW_x = W_h' * x[1]", 1, 13, "a transposed matrix is written W_h.T"),
    ("dW_x = x[1]'", 1, 12, "a prime follows the name of a function"),
    ("dW_x = l(y[3])", 1, 8, "is written l'(y[1])"),
    ("dW_x = l'(2 * y[3])", 1, 8, "takes a quantity at a step"),
    ("dW_x = l'(o[3])", 1, 8, "the loss of a step does not read o_3; there is l'(y[t])"),
    ("dW_x = l'(W_x)", 1, 11, "takes a quantity at a step"),
    ("dW_x = sum'(k=1..3, x[k])", 1, 14, "has no place here"),
    ("dW_x = sum(x[1])", 1, 13, "a variable with its range: sum(k=1..3, ...)"),
    ("dW_x = sum(k=1:3, x[k])", 1, 15, "':' is outside the language"),
    ("dW_x = sum(k=1, x[k])", 1, 15, "expected '..' between the bounds"),
    ("dW_x = sum(k=1..3 x[k])", 1, 19, "expected ','"),
    ("dW_x = sum(k=1..3)", 1, 18, "expected ','"),
    ("dW_x = sum(k=1..3, )", 1, 20, "expected a name"),
    ("dW_x = sum(h=1..3, x[h])", 1, 12, "'h' is a quantity of the cell and cannot be bound"),
    ("dW_x = sum(W_x=1..3, x[1])", 1, 12, "'W_x' is a parameter"),
    ("dW_x = sum(T=1..3, x[T])", 1, 12, "'T' is the number of steps"),
    ("dW_x = sum(sin=1..3, x[1])", 1, 12, "'sin' is a function"),
    ("dW_x = sum(k=1..3, prod(k=1..3, x[k]))", 1, 25, "bound by the range around"),
    ("dW_x = sum(k=k..3, x[k])", 1, 14, "'k' is no step"),
    ("dW_x = sum(k=1..3, x[k]) * x[k]", 1, 30, "'k' is no step"),
    ("dW_x = sum(k=1..3 by 0, x[k])", 1, 22, "other than 0"),
    ("dW_x = sum(k=1..3 by T, x[k])", 1, 22, "a whole number"),
    ("dW_x = sum(k=3..1, banana[k])", 1, 20, "is no name"),  # an empty sum is read as well
    ("dW_x = sum(k=1..T, sum(j=1..999999, x[1]))", 1, 8, "more than 200000 parts; lower --steps"),
    # operators, brackets, characters
    ("dW_x = W_x x[1]", 1, 12, "an operator is missing between 'W_x' and 'x'"),
    ("dW_x = 2x[1]", 1, 9, "an operator is missing"),
    ("dW_x = (x[1])(x[2])", 1, 14, "an operator is missing"),
    ("dW_x = (x[1]", 1, 8, "'(' is never closed"),
    ("dW_x = x[1", 1, 9, "'[' is never closed"),
    ("dW_x = sigma(x[1]", 1, 13, "'(' is never closed"),
    ("dW_x = x[1])", 1, 12, "')' closes no bracket"),
    ("dW_x = (x[1]]", 1, 13, "']' closes no bracket"),
    ("dW_x = x[1] * * x[2]", 1, 15, "expected a name, a number or '(' after '*', found '*'"),
    ("dW_x = x[1] // x[2]", 1, 13, "write / for a quotient"),
    ("dW_x = x[1], x[2]", 1, 12, "a comma stands in"),
    ("dW_x = x[1]; x[2]", 1, 12, "one formula a line"),
    ("dW_x = x[1]^2", 1, 12, "a power is written **"),
    ("dW_x = 1..3", 1, 9, "a range stands in"),
    ("dW_x = x[1].shape", 1, 12, "'.shape' is outside the language; only .T is"),
    ("dW_x = x[1] . T.T\n   . dot", 2, 4, "'.dot' is outside"),
    ("dW_x = ∂h", 1, 8, "write d"),
    ("dW_x = σ(a[1])", 1, 8, "write sigma"),
    ("dW_x = sigma\u2032(a[1])", 1, 13, "write '"),
    ("dW_x = x[1] · x[2]", 1, 13, "write *"),
    ("dW_x = Σ x", 1, 8, "write sum("),
    ("dW_x = \u0445[1]", 1, 8, "outside the language"),  # a Cyrillic x
    ("dW_x = x[\u0661]", 1, 10, "outside the language"),
    ("dW_x = x[1]\x00", 1, 12, "outside the language"),
    ("dW_x = x[1]\u2028+ x[2]", 1, 12, "outside the language"),
    ("dW_x = \ud800", 1, 8, "outside the language"),
    # numbers
    ("dW_x = x[1] / 0", 1, 13, "division by zero"),
    ("dW_x = x[1] / (1 - 1)", 1, 13, "division by zero"),
    ("dW_x = 0 ** 0", 1, 8, "is no fraction"),
    ("dW_x = 2 ** 0.5", 1, 8, "is no fraction"),
    ("dW_x = x[1] ** x[2]", 1, 16, "an exponent is a number"),
    ("dW_x = x[1] ** 17", 1, 16, "size up to 16"),
    ("dW_x = 1e999999999", 1, 8, "outside 1e-100 to 1e100"),
    ("dW_x = 1e101", 1, 8, "larger than 1e100"),
    ("dW_x = 1e-200", 1, 8, "more than 400 bits"),
    ("dW_x = " + "9" * 5000, 1, 8, "at most 400 digits"),
    ("dW_x = ((9**64)**64)**16", 1, 13, "size up to 16"),
    ("dW_x = ((9**16)**16)**16", 1, 8, "larger than 1e100"),
    ("dW_x = prod(i=1..9999, 99)", 1, 8, "larger than 1e100"),
    ("dW_x = " + "-" * 51 + "x[1]", 1, 58, "more than 50 signs"),
    ("dW_x = " + "(" * 51 + "x[1]" + ")" * 51, 1, 58, "nested deeper than 50"),
    ("dW_x = x[" + "(" * 51 + "1" + ")" * 51 + "]", 1, 60, "nested deeper than 50"),
]


@pytest.mark.parametrize(("text", "line", "column", "fragment"), REFUSALS, ids=lambda value: str(value)[:40])
def test_refusals(text: str, line: int, column: int, fragment: str) -> None:
    error = refusal(text)
    assert fragment in str(error)
    assert (error.line, error.column) == (line, column)


SHAPES = [
    ("dW_y = l'(y[3]) @ h[3]", 17, "\"l'(y[3])\" (n_y × 1) @ 'h[3]' (n_h × 1) does not fit", "outer(l'(y[3]), h[3])?"),
    ("db_h = W_y @ l'(y[3])", 12, "'W_y' (n_y × n_h) @ \"l'(y[3])\" (n_y × 1)", "did you mean W_y.T @ l'(y[3])?"),
    ("dh_0 = W_h @ diag(h[1]) @ W_y @ h[1]", 25, "'diag(h[1])' (n_h × n_h) @ 'W_y' (n_y × n_h)", "diag(h[1]) @ W_y.T?"),
    ("db_h = h[1] @ h[2]", 13, "does not fit", "h[1] * h[2], outer(h[1], h[2]) or h[1].T @ h[2]?"),
    ("db_h = h[1] * x[1]", 13, "elementwise", "outer(h[1], x[1])?"),
    ("db_h = h[1] * W_h", 13, "'h[1]' (n_h × 1) * 'W_h' (n_h × n_h)", "diag(h[1]) @ W_h?"),
    ("db_h = W_h * h[1]", 12, "elementwise", "W_h @ h[1]?"),
    ("db_h = 2 @ h[1]", 10, "'2' (a number) @ 'h[1]' (n_h × 1)", "for a number write *"),
    ("db_h = h[1] * W_h @ h[0]", 13, "bind alike", "'u * (W @ v)'"),
    ("db_h = W_h @ h[0] * h[1]", 19, "bind alike", "'(W @ u) * v'"),
    ("db_h = h[1] + x[1]", 15, "'h[1]' (n_h × 1) and 'x[1]' (n_x × 1) have different shapes", ""),
    ("db_h = h[1] + h[1].T", 15, "different shapes", "transposed with .T?"),
    ("dW_h = 1 + W_h", 12, "different shapes", "the identity is written I"),
    ("db_h = I + h[1]", 12, "(a multiple of the identity) and 'h[1]'", ""),
    ("dW_x = I + W_x", 12, "different shapes", ""),
    ("db_h = h[1] / W_h", 13, "a matrix divides nothing", ""),
    ("db_h = 1 / (x[1] - x[1].T.T * 0 + W_x)", 35, "different shapes", ""),
    ("dW_x = W_x ** 2", 8, "a power is taken of a square matrix, and this one is n_h × n_x", ""),
    ("dW_h = W_h ** 0.5", 8, "whole powers", ""),
    ("db_h = diag(W_h) @ h[1]", 8, "diag takes a column, and this is n_h × n_h", ""),
    ("db_h = diag(h[1].T) @ h[1]", 8, "diag takes a column, and this is 1 × n_h", ""),
    ("db_h = outer(h[1], x[1].T)", 20, "'x[1].T' is 1 × n_x", ""),
    ("db_h = sigma(W_h)", 8, "takes a vector, and this is n_h × n_h", ""),
    ("db_h = prod(j=1..2, W_x) @ x[1]", 21, "numbers, columns or square matrices, and this is n_h × n_x", ""),
    ("dW_x = h[1] @ h[1].T", 8, "the formula for dW_x is n_h × n_h, and has to be n_h × n_x (or n_x × n_h)", ""),
    ("db_h = l'(y[1]).T @ y[1]", 8, "the formula for db_h is a number, and has to be n_h × 1 (or 1 × n_h)", ""),
    ("dW_x = I", 8, "is a multiple of the identity", ""),
    ("db_h = 1", 8, "is a number", ""),
]  # fmt: skip


@pytest.mark.parametrize(("text", "column", "fragment", "hint"), SHAPES, ids=lambda value: str(value)[:40])
def test_shapes_that_do_not_fit(text: str, column: int, fragment: str, hint: str) -> None:
    error = refusal(text, MATRIX_MODEL)
    assert fragment in str(error) and hint in str(error)
    assert (error.line, error.column) == (1, column)


def test_a_place_in_an_indented_line() -> None:
    error = refusal("db_y = l'(y[3])\n\ndb_h = # by hand\n  W_x @\n    h[1]", MATRIX_MODEL)
    assert (error.line, error.column) == (4, 7)
    assert "'W_x' (n_h × n_x) @ 'h[1]' (n_h × 1) does not fit" in str(error)


def test_a_scalar_is_no_jacobian() -> None:
    model = unroll("scalar tau\nh = tau * h[t-1] + x\ny = h", steps=1, form="matrix")
    assert "n_x × 1, and has to be a number, as tau is" in str(refusal("dtau = h[0]", model))


def test_names_of_the_cell_cannot_be_bound() -> None:
    model = unroll("lstm", steps=2)
    assert "'i' is a quantity of the cell and cannot be bound" in str(refusal("db_y = sum(i=1..2, l'(y[i]))", model))
    taken = unroll("y = I @ x", steps=2)
    assert body("I * x[1]", taken, "I") == Multiply((Quantity("I"), x1))


def test_the_size_of_a_text() -> None:
    lines = ["# nothing"] * 1999
    assert read_formulas("\n".join([*lines, "dW_x = x[1]"]), SCALAR_MODEL)
    assert refusal("\n".join([*lines, "dW_x = x[1]", ""]) + "#\n").line == 2001
    assert refusal("dW_x = x[1]".ljust(10_001)).column == 10_001
    error = refusal(("#".ljust(9_999) + "\n") * 20 + "dW_x = x[1]")
    assert (error.line, error.column) == (21, 1)
    assert "at most 200000 characters" in str(error)


def test_the_limits_leave_room() -> None:
    assert len(read_formulas("dW_x = " + " + ".join(["x[1]"] * 1400), SCALAR_MODEL)[0].terms) == 1400
    assert body("(" * 50 + "x[1]" + ")" * 50) == x1
    assert body("x[1]" + ".T" * 4000) == x1
    steps = 50  # 1275 paths
    assert (
        len(read_formulas(f"dW_x = {ELMAN['W_x']}", unroll("elman", steps=steps))[0].terms) == steps * (steps + 1) / 2
    )


# --- attacks ------------------------------------------------------------------------------------------------------

OF_CELLS = next(mark for mark in test_equations.test_attacks.pytestmark if mark.name == "parametrize").args[1]  # type: ignore[attr-defined]
ATTACKS = [
    *OF_CELLS,
    "sum(i=1..999999999, x)",
    "sum(i=1..999999, x[1])",
    "sum(i=1..999999, sum(j=1..0, x[1]))",
    "sum(" * 10_000,
    "sum(k=1..3, " * 40,
    "".join(f"sum(k{i}=1..9, " for i in range(40)) + "x[1]" + ")" * 40,
    "".join(f"prod(k{i}=1..9, " for i in range(40)) + "W_x" + ")" * 40,
    "prod(i=1..999, x[1] ** 16 ** 16)",
    "prod(i=1..999, 1e99)",
    "x[" * 5000,
    "x[" + "9" * 5000 + "]",
    "x[1" + "+1" * 4000 + "]",
    "x[1]" + "**2" * 3000,
    "l'" * 3000,
    "sigma" + "'" * 5000 + "(x[1])",
    "x[1].__class__",
    "x['__import__']",
    "x[1](" * 60,
    ".T" * 4000,
    "W_x" + ".T" * 4000 + ".S",
    "I" * 60,
    "ſum(k=1..3, x[k])",
    "x[１]",
    "x\u200b[1]",
    "x[1]\u202e",
    "\x1b[31m",
]


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda text: text[:40])
@pytest.mark.parametrize("model", [SCALAR_MODEL, MATRIX_MODEL], ids=["scalar", "matrix"])
def test_attacks(attack: str, model: Model, tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(str(tmp_path))
    start = time.perf_counter()
    for text in (f"dW_x = {attack}", attack, f"d{attack} = x[1]", f"dh[{attack}] = x[1]"):
        refusal(text, model)
    assert time.perf_counter() - start < 60  # no speed test: it returns at all


CHARACTERS = "xyhdaoWblT_0123456789.+-*/@=()[]#, \t\n'\"\\;:{}^%é\x00\r\u2028\u2032σ∂\U0001d70e"
WORDS = (
    "x[1] y[3] h[0] h[k] h[k-1] a[j] o[t] W_h W_x W_y b_h T I k j t sum(k=1..3, prod(j=k+1..3, sum(t=1..T, "
    "sum( prod( l'(y[3]) sigma'(a[k]) sigma'( tanh( diag( outer( .T .T ( ) ) [ ] + - * / ** @ @ = , .. by -1 "
    "0 1 2 0.5 1e99 16 dW_x dh[1] \n \n\t # dL/"
).split(" ")
GOALS = ("W_x", "W_h", "W_y", "b_h", "b_y", "h_0", "x[2]", "h[2]")


def random_tree(dice: random.Random, depth: int) -> str:
    """A text that fits the grammar, with little sense."""
    if depth == 0:
        return dice.choice(("x[1]", "h[k]", "W_h", "W_y", "l'(y[3])", "2", "0", "0.5", "1e30", "h_0", "k", "I", "x[k]"))
    left, right = random_tree(dice, depth - 1), random_tree(dice, depth - dice.randint(1, depth))
    return dice.choice(
        (
            f"{left} + {right}",
            f"{left} - ({right})",
            f"({left}) * ({right})",
            f"({left}) / ({right})",
            f"({left}) @ ({right})",
            f"({left}).T @ ({right})",
            f"({left}) ** {dice.choice(('2', '-1', '0.5', '0', right))}",
            f"sigma'({left})",
            f"cos({left})",
            f"diag({left})",
            f"outer({left}, {right})",
            f"-{left}",
        )
    )


def worth(dice: random.Random, depth: int, leaves: dict[str, Array]) -> tuple[str, Array]:
    """A text and what NumPy makes of it; ValueError where NumPy refuses the shapes."""
    if depth == 0:
        name = dice.choice(list(leaves))
        return name, leaves[name]
    (a, u), (b, v) = (worth(dice, depth - dice.randint(1, depth), leaves) for _ in range(2))
    match dice.randrange(10):
        case 0:
            return f"{a} + {b}", u + v
        case 1:
            return f"{a} - ({b})", u - v
        case 2 | 3:
            return f"({a}) * ({b})", u * v
        case 4:
            return f"({a}) / ({b})", u / v
        case 5 | 6:
            return f"({a}) @ ({b})", u @ v
        case 7:
            return f"({a}).T", u.T
        case 8:
            return f"cos'({a})", -np.sin(u)
    if u.shape[0] == u.shape[1] and u.size > 1:
        return f"({a}) ** 2", u @ u
    if u.shape[1] == 1 and u.size > 1:
        return dice.choice(((f"diag({a})", np.diagflat(u)), (f"({a}) ** 2", u**2)))
    return f"-({a})", -u


GOAL_OF = {
    ("n_h", "n_x"): "W_x",
    ("n_h", "n_h"): "W_h",
    ("n_y", "n_h"): "W_y",
    ("n_h", "1"): "b_h",
    ("n_y", "1"): "b_y",
}
GOAL_OF |= {("n_x", "1"): "x[1]", ("1", "1"): "tau"}


@pytest.mark.parametrize("form", ["scalar", "matrix"])
def test_what_is_read_is_what_numpy_computes(form: str) -> None:
    """Random formulas against NumPy, which shares nothing with the reader: what both accept has one value."""
    seed = 20_250_312
    dice = random.Random(seed)
    cell = "scalar tau\na = W_h @ h[t-1] + W_x @ x + b_h\nh = tau * tanh(a)\ny = W_y @ h + b_y"
    model = unroll(cell, steps=3, loss="squared", form=form)
    point = random_matrix_point(model, seed=5, sizes={"n_x": 2, "n_h": 3, "n_y": 4}) if form == "matrix" else None
    at = MatrixValuation(model, point or array_point(random_point(model, 5)))
    leaves = {text: np.full((1, 1), number) for text, number in {"2": 2.0, "0.5": 0.5, "T": 3.0}.items()}
    leaves |= {name: at.values[name, None] for name in ("W_x", "W_h", "W_y", "b_h", "tau")}
    leaves |= {f"{name}[{t}]": at.values[name, t] for name, t in (("h", 0), ("h", 1), ("x", 1), ("x", 3), ("y", 2))}
    shapes = {2: "n_x", 3: "n_h", 4: "n_y", 1: "1"}
    compared = 0
    for _ in range(4_000):
        with np.errstate(all="ignore"):
            try:
                text, expected = worth(dice, dice.randint(1, 5), leaves)
            except ValueError:
                continue
        shape = tuple(shapes[size] for size in expected.shape)
        goal = "W_x" if form == "scalar" else GOAL_OF.get(shape) or GOAL_OF.get(shape[::-1], "W_x")
        try:
            (found,) = read_formulas(f"d{goal} = {text}", model)
        except FormulaError:
            continue
        try:
            value = at.of(found.expression)
        except NumericalFailure:
            continue
        value = value.T if found.transposed else value
        if np.isfinite(expected).all() and found.expression != ZERO:
            compared += 1
            expected = expected.T if value.shape != expected.shape else expected
            assert value.shape == expected.shape, (seed, text)
            assert np.allclose(value, expected, rtol=1e-7, atol=1e-7), (seed, text)
    assert compared > 500


def random_text(dice: random.Random, formulas: dict[str, str]) -> str:
    kind = dice.randrange(5)
    goal = dice.choice(GOALS)
    if kind == 0:
        return dice.choice(("", f"d{goal} = ")) + "".join(dice.choices(CHARACTERS, k=dice.randint(0, 80)))
    if kind == 1:
        return f"d{goal} = " + dice.choice(("", " ")).join(dice.choices(WORDS, k=dice.randint(0, 30)))
    if kind == 2:
        return f"d{goal} = sum(k=1..{dice.randint(0, 3)}, {random_tree(dice, dice.randint(0, 5))})"
    text = f"d{goal} = {formulas.get(goal, 'x[1]')}"
    for _ in range(dice.randint(1, 3)):
        i, j = sorted(dice.randrange(len(text) + 1) for _ in range(2))
        j = min(j, i + dice.choice((1, 1, 2, 8)))
        piece = dice.choice((dice.choice(CHARACTERS), dice.choice(WORDS), "", text[i:j] * 2))
        text = text[:i] + piece + text[j:]
    return text


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("form", ["scalar", "matrix"])
def test_any_text_is_read_or_refused(form: str) -> None:
    seed = 20_250_311
    dice = random.Random(seed)
    model = SCALAR_MODEL if form == "scalar" else MATRIX_MODEL
    accepted = 0
    for _ in range(6_000):
        text = random_text(dice, ELMAN if form == "scalar" else MATRICES)
        start = time.perf_counter()
        try:
            found = read_formulas(text, model)
        except InputError as error:
            assert isinstance(error, FormulaError) and error.line >= 1 and error.column >= 1, (seed, text)
            assert str(error).isprintable(), (seed, text)
        except BaseException as error:
            pytest.fail(f"seed {seed}: {text!r} raised {error!r}")
        else:
            accepted += 1
            for formula in found:
                if form == "matrix" and formula.expression != ZERO:
                    expected = shape_of(formula.goal, model.names)
                    expected = expected[::-1] if formula.transposed else expected
                    assert shape_of(formula.expression, model.names) == expected, (seed, text)
        assert time.perf_counter() - start < 60, (seed, text)
    assert 200 < accepted < 5_000, "the generator must reach both outcomes"


def test_the_bound_on_parts_holds_for_the_whole_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formula_reader, "MAX_PARTS", 9)
    text = "dW_x = sum(k=1..2, x[k])\ndW_y = sum(k=1..2, x[k])"
    error = refusal(text)
    assert (error.line, error.column) == (2, 8)
