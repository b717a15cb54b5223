r"""The SymPy reading of our records, and what SymPy does that we rely on or must avoid (learning tests)."""

from __future__ import annotations

from fractions import Fraction

import pytest
import sympy as sp
from sympy.core.function import ArgumentIndexError

from rnn_symbolic.expressions import (
    Add,
    Apply,
    Call,
    Derivative,
    Expression,
    Multiply,
    Number,
    Power,
    Quantity,
    StepLoss,
)
from rnn_symbolic.model import unroll
from rnn_symbolic.symbols import (
    NODES,
    Activation,
    immediate_derivative,
    inline,
    logistic,
    read,
    relu,
    sigma,
    sigma_prime,
    sigma_second,
    softplus,
    step_loss,
    step_loss_prime,
    step_loss_second,
    symbol,
    tanh,
    tanh_prime,
    total_derivative,
    value,
)

z, W, h, x = sp.symbols("z W h x")

# --- what SymPy does ---


def test_a_plain_function_differentiates_to_what_no_reader_may_see() -> None:
    f = sp.Function("sigma")
    derivative = sp.diff(f(W * h), h)
    assert derivative.has(sp.Subs)
    assert "xi_{1}" in sp.latex(derivative)


def test_products_and_sums_lose_their_order() -> None:
    assert str(W * h * W) == "W**2*h"
    assert str(x * h + x * h) == "2*h*x"
    assert (sp.Symbol("b") * sp.Symbol("a")).args == (sp.Symbol("a"), sp.Symbol("b"))
    kept = sp.Mul(x, x, W, evaluate=False)
    assert kept.args == (x, x, W)
    assert kept.xreplace({W: h}) == x**2 * h  # undone by the first replacement


def test_the_derivative_of_max_is_heaviside() -> None:
    assert sp.diff(sp.Max(0, z), z) == sp.Heaviside(z)
    assert sp.diff(relu(z), z).expand(func=True).subs(z, 0) == 0  # our convention


def test_expand_decides_polynomial_identities_in_our_nodes() -> None:
    left = (sigma_prime(z) + W) * (sigma(z) - h)
    assert sp.expand(left - (sigma_prime(z) * sigma(z) - h * sigma_prime(z) + W * sigma(z) - W * h)) == 0
    assert sp.expand(left) != left


# --- our nodes ---


@pytest.mark.parametrize(
    ("node", "derivative"),
    [
        (sigma(z), sigma_prime(z)),
        (sigma_prime(z), sigma_second(z)),
        (tanh(z), tanh_prime(z)),
        (tanh_prime(z), -2 * tanh(z) * tanh_prime(z)),
        (sigma(W * z), W * sigma_prime(W * z)),
        (sigma(sigma(z)), sigma_prime(sigma(z)) * sigma_prime(z)),
        (sigma(z) ** 3, 3 * sigma(z) ** 2 * sigma_prime(z)),
        (step_loss(3, z), step_loss_prime(3, z)),
        (step_loss_prime(3, W * z), W * step_loss_second(3, W * z)),
    ],
)
def test_nodes_know_their_derivatives(node: sp.Expr, derivative: sp.Expr) -> None:
    found = sp.diff(node, z)
    assert sp.expand(found - derivative) == 0
    assert not found.has(sp.Subs, sp.Derivative)


def test_derivatives_that_are_not_needed_are_refused() -> None:
    for node in (sigma_second(z), step_loss_second(1, z)):
        with pytest.raises(ArgumentIndexError):
            node.fdiff(1)
    with pytest.raises(ArgumentIndexError):
        step_loss(1, z).fdiff(1)  # nobody differentiates by the number of a step
    with pytest.raises(ArgumentIndexError):
        sigma(z).fdiff(2)


@pytest.mark.parametrize(("name", "order"), [key for key in NODES if key[1] == 0 and key[0] != "sigma"])
def test_written_out_nodes_have_the_same_derivative(name: str, order: int) -> None:
    node = NODES[name, order](z)
    by_node = sp.diff(node, z).expand(func=True)
    by_sympy = sp.diff(node.expand(func=True), z)
    for at in (sp.Rational(3, 7), sp.Rational(9, 4)):
        assert abs(sp.N((by_node - by_sympy).subs(z, at), 30)) < sp.Float(1e-25)
        primed = NODES.get((name, 1))
        if primed is not None:
            assert abs(sp.N((primed(z) - by_sympy).expand(func=True).subs(z, at), 30)) < sp.Float(1e-25)


def test_an_abstract_node_has_no_definition_and_no_value() -> None:
    assert sigma(z).expand(func=True) == sigma(z)
    assert sp.N(sigma(sp.Rational(1, 2))).func is sigma
    assert abs(sp.N(logistic(sp.Integer(0)), 20) - sp.Rational(1, 2)) < 1e-15
    with pytest.raises(ArgumentIndexError):
        Activation.slope(z)


@pytest.mark.parametrize(
    ("node", "tex"),
    [
        (sigma(z), r"\sigma\left(z\right)"),
        (sigma_prime(z), r"\sigma'\left(z\right)"),
        (sigma_prime(z) ** 2, r"\sigma'\left(z\right)^{2}"),
        (1 / tanh(z), r"\frac{1}{\tanh\left(z\right)}"),
        (W * sigma_prime(W * h + x), r"W \sigma'\left(W h + x\right)"),
        (softplus(z), r"\operatorname{softplus}\left(z\right)"),
        (step_loss_prime(3, sp.Symbol("y_3")), r"\ell_{3}'\left(y_{3}\right)"),
        (step_loss(3, z) ** 2, r"\ell_{3}\left(z\right)^{2}"),
        (sp.Symbol("ell_3"), r"\ell_{3}"),
    ],
)
def test_plain_latex_is_right_in_anybodys_notebook(node: sp.Expr, tex: str) -> None:
    assert sp.latex(node) == tex


@pytest.mark.parametrize(
    ("node", "text"),
    [
        (sigma_prime(z), "σ′(z)"),
        (tanh_prime(z), "tanh′(z)"),
        (step_loss_prime(12, z), "ℓ₁₂′(z)"),
        (sigma(z) * W, "W⋅σ(z)"),
    ],
)
def test_pretty(node: sp.Expr, text: str) -> None:
    assert sp.pretty(node, use_unicode=True) == text


def test_pretty_of_a_quotient_with_a_power() -> None:
    lines = sp.pretty(sigma_prime(z / x) ** 2 / tanh(z), use_unicode=True).splitlines()
    assert any("σ′" in line for line in lines)
    assert "tanh(z)" in lines[-1]


# --- reading ---


@pytest.mark.parametrize(
    ("quantity", "name"),
    [
        (Quantity("W_x"), "W_x"),
        (Quantity("h", 3), "h_3"),
        (Quantity("h", -1), "h_-1"),
        (Quantity("h", 0, "t"), "h_t"),
        (Quantity("h", -1, "t"), "h_{t-1}"),
        (Quantity("l", 2), "ell_2"),
        (Quantity("L"), "L"),
    ],
)
def test_symbols(quantity: Quantity, name: str) -> None:
    assert symbol(quantity) == sp.Symbol(name)


def test_symbols_of_different_quantities_differ() -> None:
    model = unroll("elman", steps=12)
    every = {q for e in model.equations for q in (e.target,)} | set(model.parameters) | set(model.initial_states)
    assert len({symbol(q) for q in every}) == len(every)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        (Number(Fraction(-2, 3)), sp.Rational(-2, 3)),
        (Add((Quantity("h"), Quantity("x"))), h + x),
        (Multiply((Quantity("h"), Quantity("W"), Quantity("h"))), W * h**2),
        (Apply(Quantity("W"), Quantity("h")), W * h),
        (Power(Quantity("h"), Fraction(1, 2)), sp.sqrt(h)),
        (Call("sigma", Quantity("h"), 1), sigma_prime(h)),
        (Call("identity", Quantity("h")), h),
        (Call("exp", Quantity("h")), sp.exp(h)),
        (StepLoss(Quantity("l", 2), Quantity("h")), step_loss(2, h)),
        (StepLoss(Quantity("l", 0, "t"), Quantity("h"), 1), step_loss_prime(sp.Symbol("t"), h)),
    ],
)
def test_read(expression: Expression, expected: sp.Expr) -> None:
    assert read(expression) == expected


def test_a_named_derivative_needs_a_model() -> None:
    named = Derivative(Quantity("L"), Quantity("W_x"))
    with pytest.raises(ValueError, match="the derivative of L by W_x needs a model"):
        read(named)


# --- inlining and differentiating ---


def test_inline_goes_back_to_the_leaves_and_stops_at_what_is_kept() -> None:
    model = unroll("elman", steps=2)
    leaves = inline(model, symbol(Quantity("L"))).free_symbols
    assert {str(s) for s in leaves} == {"W_x", "W_h", "W_y", "b_h", "b_y", "x_1", "x_2", "h_0"}
    kept = inline(model, symbol(Quantity("h", 2)), keep=(Quantity("h", 1),))
    assert kept == sigma(sp.Symbol("W_h") * sp.Symbol("h_1") + sp.Symbol("W_x") * sp.Symbol("x_2") + sp.Symbol("b_h"))
    assert model.inline(symbol(Quantity("y", 1))) == inline(model, symbol(Quantity("y", 1)))


def test_total_and_immediate_derivatives() -> None:
    model = unroll("linear", steps=3)
    W_h, W_x = sp.symbols("W_h W_x")
    h3, h1, x3 = Quantity("h", 3), Quantity("h", 1), Quantity("x", 3)
    assert total_derivative(model, h3, h1) == W_h**2
    assert total_derivative(model, h3, x3) == W_x
    assert total_derivative(model, h3, Quantity("x", 1)) == W_h**2 * W_x
    assert immediate_derivative(model, h3, Quantity("W_x")) == sp.Symbol("x_3")
    assert sp.expand(total_derivative(model, h3, Quantity("b_h")) - (1 + W_h + W_h**2)) == 0
    assert immediate_derivative(model, Quantity("h", 0, "t"), Quantity("h", -1, "t")) == W_h
    with pytest.raises(ValueError, match="x_3 is a leaf: no equation defines it"):
        immediate_derivative(model, x3, h1)
    assert value(model, Multiply((Derivative(h3, h1), Derivative(h3, Quantity("b_h"), True)))) == W_h**2


def test_no_total_derivative_shows_a_dummy() -> None:
    model = unroll("elman", steps=3)
    for name in ("W_x", "W_h", "W_y", "b_h", "b_y", "h_0", "x_1", "h_2"):
        derivative = total_derivative(model, Quantity("L"), model.resolve(name))
        assert not derivative.has(sp.Subs, sp.Derivative, sp.Dummy)
        assert "xi" not in sp.latex(derivative)
