r"""The table of local derivatives: every row against SymPy's ``diff`` of the same equation."""

from __future__ import annotations

from fractions import Fraction

import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from textbook import CELLS

from rnn_symbolic.cells import BUILT_IN
from rnn_symbolic.collapse import find_collapse
from rnn_symbolic.equations import Equation
from rnn_symbolic.expressions import (
    MINUS_ONE,
    ONE,
    Add,
    Apply,
    Call,
    Expression,
    Multiply,
    Number,
    Power,
    Quantity,
    StepLoss,
    add,
    quantities,
)
from rnn_symbolic.functions import FUNCTIONS, slope
from rnn_symbolic.model import ACTIVATIONS, LOSS_KINDS, Model, unroll
from rnn_symbolic.printing import latex
from rnn_symbolic.symbols import read, symbol
from rnn_symbolic.table import LocalRule, differentiate, local_derivatives, product_value
from rnn_symbolic.unicode import plain

EVERY_CELL = {**BUILT_IN, **{f"{name} as text": cell for name, cell in CELLS.items()}}
TRICKY = {
    "mentions": "h = h[t-1] * h[t-1] * h[t-1] + W @ (h[t-1] * h[t-1])\ny = h",
    "cancels": "h = h[t-1] - h[t-1] + x\ny = h + 0 * h[t-1]",
    "signs": "h = -(2 - -h[t-1]) - (-3) * x * -x\ny = --h - +h / -2",
    "quotients": "h = (1 + h[t-1]) / (2 + x**2) / (3 - h[t-1] / 4)\ny = 1 / h / 2",
    "powers": "h = (1 + h[t-1]**2)**-1 + (1 + h[t-1])**0.5 + h[t-1]**1 + h[t-1]**0\ny = h**2**1",
    "nested": "h = tanh(sigma(logistic(h[t-1] * softplus(x + h[t-1]))))\ny = exp(-sin(cos(h) * h))",
    "roots": "h = sqrt(log(2 + exp(h[t-1])))\ny = sqrt(1 + h) * identity(h)",
    "constants": "h = 2 * 3 * h[t-1] * 0.25 * x / 5\ny = 7 * h",
    "no input": "h = W @ h[t-1]\ny = h",
    "deep lag": "h = w @ h[t-9] + v @ h[t-1] + u @ h[t-5]\ny = h",
    "two states": "c = f * c[t-1] + h[t-1]\nh = c * h[t-1] + x\ny = c + h",
    "loss line": "h = h[t-1] + x\ny = h\nloss = (y - d)**2 * exp(-h) + sigma(h * d) / y",
}


def rows_are_right(model: Model) -> None:
    """Each row is SymPy's derivative of its equation, and each other derivative by a mentioned quantity is zero."""
    rows = {(edge.head, edge.tail): edge for edge in model.table}
    assert len(rows) == len(model.table)
    for equation in model.definitions:
        written = read(equation.expression)
        for tail in dict.fromkeys(quantities(equation.expression)):
            expected = sp.diff(written, symbol(tail))
            edge = rows.pop((equation.target, tail), None)
            if tail.name == "d":
                assert edge is None  # targets are data
                continue
            found = sp.S.Zero if edge is None else read(edge.value)
            difference = sp.expand(found - expected)
            assert difference == 0 or sp.cancel(sp.together(difference)) == 0, f"{equation.target} by {tail}: {found}"
            if edge is not None:
                assert edge.lag == (-(tail.step or 0) if tail.index else 0)
                assert edge.value == product_value(edge.factors)
    assert not rows, f"rows for what is not mentioned: {rows}"


@pytest.mark.parametrize("loss", LOSS_KINDS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("cell", BUILT_IN)
def test_rows_of_built_in_cells(cell: str, activation: str, loss: str) -> None:
    rows_are_right(unroll(cell, activation=activation, loss=loss))


@pytest.mark.parametrize("cell", [*CELLS, *TRICKY])
def test_rows_of_cells_written_as_text(cell: str) -> None:
    for loss in LOSS_KINDS:
        rows_are_right(unroll({**CELLS, **TRICKY}[cell], loss=loss))


# --- random expressions ---

u, v, w = Quantity("u", 0, "t"), Quantity("v", -1, "t"), Quantity("w")
LEAVES = st.sampled_from([u, v, w, Number(Fraction(2)), Number(Fraction(-1, 3)), Number(Fraction(0)), ONE, MINUS_ONE])


def larger(inner: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
    several = st.lists(inner, min_size=2, max_size=3).map(tuple)
    return st.one_of(
        st.builds(Add, several),
        st.builds(Multiply, several),
        st.builds(Apply, inner, inner),
        st.builds(Call, st.sampled_from(["sigma", "tanh", "softplus", "sin", "cos", "exp", "logistic"]), inner),
        st.builds(lambda base, n: Power(base, Fraction(n)), inner, st.sampled_from([1, 2, 3])),
        st.builds(lambda base: Power(Add((Number(Fraction(2)), Power(base, Fraction(2)))), Fraction(-1, 2)), inner),
    )


EXPRESSIONS = st.recursive(LEAVES, larger, max_leaves=6)


@settings(max_examples=150)
@given(EXPRESSIONS, st.sampled_from([u, v, w]))
def test_derivatives_of_random_expressions(expression: Expression, wrt: Quantity) -> None:
    found = sp.Add(*(read(product_value(term)) for term in differentiate(expression, wrt)))
    difference = found - sp.diff(read(expression), symbol(wrt))
    difference = difference.expand()
    if difference != 0:
        difference = sp.cancel(sp.together(difference))
    assert difference == 0, f"{expression} by {wrt}: {found}"


# --- what a row looks like ---


@pytest.mark.parametrize(
    ("line", "tail", "rules", "shown"),
    [
        ("W @ h[t-1] + x", "h", "MATRIX", "W"),
        ("W @ h[t-1] + x", "W", "ARGUMENT", "hₜ₋₁"),
        ("W @ h[t-1] + x", "x", "", "1"),
        ("-h[t-1]", "h", "NUMBER", "−1"),
        ("x - 2 * h[t-1] / 3", "h", "NUMBER", "−2/3"),
        ("x * h[t-1]", "h", "COEFFICIENT", "xₜ"),
        ("sigma(W @ h[t-1])", "h", "SLOPE MATRIX", "σ′(W hₜ₋₁) W"),
        ("sigma(W @ h[t-1])", "W", "SLOPE ARGUMENT", "σ′(W hₜ₋₁) hₜ₋₁"),
        ("h[t-1]**2", "h", "NUMBER POWER", "2 hₜ₋₁"),
        ("h[t-1]**3 / 3", "h", "POWER", "hₜ₋₁²"),
        ("h[t-1] * h[t-1]", "h", "SUM", "hₜ₋₁ + hₜ₋₁"),
        ("W @ (h[t-1] * x)", "h", "MATRIX COEFFICIENT", "W xₜ"),
        ("cos(h[t-1])", "h", "NUMBER SLOPE", "−sin(hₜ₋₁)"),
        ("sqrt(h[t-1])", "h", "NUMBER SLOPE", "1/(2 √(hₜ₋₁))"),
        ("tanh(sigma(h[t-1]))", "h", "SLOPE SLOPE", "tanh′(σ(hₜ₋₁)) σ′(hₜ₋₁)"),
        ("identity(h[t-1])", "h", "", "1"),
    ],
)
def test_one_row(line: str, tail: str, rules: str, shown: str) -> None:
    """Factors stand in the order in which a Jacobian applies them: the outermost operation first."""
    model = unroll(f"h = {line}\ny = h + h[t-1]")
    [edge] = [e for e in model.table if e.head.name == "h" and e.tail.name == tail]
    assert " ".join(factor.rule.name for factor in edge.factors) == rules
    assert plain(latex(edge.value)) == shown


def test_the_table_of_the_article() -> None:
    rows = [f"{e.head} <- {e.tail}: {plain(latex(e.value))}" for e in unroll("elman").table]
    assert rows == [
        "a[t] <- W_h: hₜ₋₁",
        "a[t] <- h[t-1]: W_h",
        "a[t] <- W_x: xₜ",
        "a[t] <- x[t]: W_x",
        "a[t] <- b_h: 1",
        "h[t] <- a[t]: σ′(aₜ)",
        "o[t] <- W_y: hₜ",
        "o[t] <- h[t]: W_y",
        "o[t] <- b_y: 1",
        "y[t] <- o[t]: σ′(oₜ)",
        "l[t] <- y[t]: ℓₜ′(yₜ)",
    ]


def test_what_cancels_has_no_row() -> None:
    equation = Equation(u, add(Multiply((Number(Fraction(0)), v)), w))
    assert [edge.tail for edge in local_derivatives(equation)] == [w]
    zero_sum = Equation(u, Add((v, Multiply((MINUS_ONE, v)))))
    [edge] = local_derivatives(zero_sum)  # 1 − 1: two mentions, shown as such
    assert read(edge.value) == 0


def test_the_loss_of_a_step_is_differentiated_by_name() -> None:
    l_t, y_t = Quantity("l", 0, "t"), Quantity("y", 0, "t")
    [term] = differentiate(StepLoss(l_t, y_t), y_t)
    assert [(f.rule, f.value) for f in term] == [(LocalRule.LOSS_SLOPE, StepLoss(l_t, y_t, 1))]
    assert differentiate(StepLoss(l_t, y_t), u) == ()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_slope_is_the_derivative(name: str) -> None:
    z = Quantity("z")
    assert sp.expand(read(slope(name, z)) - sp.diff(read(Call(name, z)), symbol(z))) == 0
    if name != "sigma":  # and SymPy's own functions agree
        written = sp.diff(read(Call(name, z)).expand(func=True), symbol(z))
        for at in (sp.Rational(7, 5), sp.Rational(1, 3)):
            found = read(slope(name, z)).expand(func=True).subs(symbol(z), at)
            assert abs(sp.N(found - written.subs(symbol(z), at), 30)) < sp.Float(1e-25)


def test_relu_has_slope_0_at_its_kink() -> None:
    z = Quantity("z")
    primed = read(slope("relu", z)).expand(func=True)
    assert [primed.subs(symbol(z), at) for at in (-1, 0, 1)] == [0, 0, 1]
    assert FUNCTIONS["relu"].kinks == (0.0,)


# --- the collapse at the output ---


@pytest.mark.parametrize(
    ("cell", "options", "collapses"),
    [
        ("elman", {"output_activation": "logistic", "loss": "cross-entropy"}, True),
        ("elman", {"activation": "logistic", "loss": "cross-entropy"}, True),
        ("elman", {"loss": "cross-entropy"}, False),  # an abstract σ is not known to be logistic
        ("elman", {"output_activation": "logistic", "loss": "squared"}, False),
        ("elman", {"output_activation": "tanh", "loss": "cross-entropy"}, False),
        ("h = h[t-1] + x\ny = logistic(w @ h)", {"loss": "cross-entropy"}, True),  # the argument needs no name
        ("h = h[t-1] + x\ny = logistic(w @ h) / 2", {"loss": "cross-entropy"}, False),
        ("h = h[t-1] + x\no = 2 * h\ny = logistic(o)", {"loss": "cross-entropy"}, True),
    ],
)
def test_where_two_factors_collapse(cell: str, options: dict[str, str], collapses: bool) -> None:
    model = unroll(cell, **options)
    assert (model.collapse is not None) is collapses
    assert model.collapse == find_collapse(model.definitions, model.definitions, model.table)


def test_the_collapse_is_an_identity() -> None:
    """(−d/y + (1−d)/(1−y)) · y(1−y) = y − d, by SymPy alone."""
    y, d = sp.symbols("y_t d_t")
    collapse = unroll("elman", activation="logistic", loss="cross-entropy").collapse
    assert collapse is not None
    assert read(product_value(collapse.loss_rate)) == -d / y + (1 - d) / (1 - y)
    left = read(product_value(collapse.loss_rate)) * y * (1 - y)
    assert sp.cancel(left - read(collapse.result.value)) == 0
    o = sp.Symbol("o_t")
    loss = read(unroll("elman", activation="logistic", loss="cross-entropy").definitions[-1].expression)
    difference = loss.subs(y, 1 / (1 + sp.exp(-o))) - read(collapse.loss).expand(func=True)
    for at in (-2, sp.Rational(1, 3), 4):  # the stable form of the loss itself
        assert abs(sp.N(difference.subs({o: at, d: sp.Rational(2, 7)}), 30)) < sp.Float(1e-25)
