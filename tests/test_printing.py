r"""How expressions look: LaTeX of records, and its Unicode reading for terminals."""

from __future__ import annotations

import re
from fractions import Fraction

import pytest
from hypothesis import given, settings
from latex_tools import have_katex, katex_failures, require
from test_table import EXPRESSIONS

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
from rnn_symbolic.functions import FUNCTIONS
from rnn_symbolic.printing import latex, latex_factor, latex_function, latex_name
from rnn_symbolic.unicode import plain

h, d, y, a, W = (Quantity(name, 3) if name != "W_h" else Quantity(name) for name in ("h", "d", "y", "a", "W_h"))
h_before = Quantity("h", -1, "t")


def number(p: int, q: int = 1) -> Number:
    return Number(Fraction(p, q))


def minus(e: Expression) -> Expression:
    return Multiply((number(-1), e))


def inverse(e: Expression, n: int = 1) -> Expression:
    return Power(e, Fraction(-n))


LOOKS = [
    # names
    (Quantity("W_x"), r"W_{x}", "W_x"),
    (h, r"h_{3}", "h₃"),
    (Quantity("h", 0), r"h_{0}", "h₀"),
    (Quantity("h", -1), r"h_{-1}", "h₋₁"),
    (Quantity("h", 100), r"h_{100}", "h₁₀₀"),
    (Quantity("h", 0, "t"), r"h_{t}", "hₜ"),
    (h_before, r"h_{t-1}", "hₜ₋₁"),
    (Quantity("l", 2), r"\ell_{2}", "ℓ₂"),
    (Quantity("tau"), r"\tau", "τ"),
    (Quantity("gate", 3), r"\mathrm{gate}_{3}", "gate₃"),
    (Quantity("u_z", 3), r"u_{z,3}", "u_z₃"),
    (Quantity("u_z", -2, "t"), r"u_{z,t-2}", "u_zₜ₋₂"),
    (Quantity("W_in"), r"W_{\mathrm{in}}", "W_in"),
    (Quantity("b_h_2"), r"b_{h,2}", "b_h₂"),
    # products
    (Multiply((Call("sigma", a, 1), W, h)), r"\sigma'(a_{3})\,W_{h}\,h_{3}", "σ′(a₃) W_h h₃"),
    (Apply(W, h_before), r"W_{h}\,h_{t-1}", "W_h hₜ₋₁"),
    (Apply(W, Add((h, y))), r"W_{h}\,(h_{3} + y_{3})", "W_h (h₃ + y₃)"),
    (Apply(W, minus(h)), r"W_{h}\,(-h_{3})", "W_h (−h₃)"),
    (Multiply((h, number(-1), y)), r"h_{3}\,(-1)\,y_{3}", "h₃ (−1) y₃"),
    (Multiply((number(-2), h)), r"-2\,h_{3}", "−2 h₃"),
    (Multiply((Add((h, y)), Add((h, minus(y))))), r"(h_{3} + y_{3})\,(h_{3} - y_{3})", "(h₃ + y₃) (h₃ − y₃)"),
    # quotients
    (inverse(h), r"\frac{1}{h_{3}}", "1/h₃"),
    (inverse(h, 2), r"\frac{1}{h_{3}^{2}}", "1/h₃²"),
    (Multiply((number(-1), d, inverse(y))), r"-\frac{d_{3}}{y_{3}}", "−d₃/y₃"),
    (
        Multiply((Add((number(1), minus(d))), inverse(Add((number(1), minus(y)))))),
        r"\frac{1 - d_{3}}{1 - y_{3}}",
        "(1 − d₃)/(1 − y₃)",
    ),
    (Multiply((h, number(1, 3))), r"\frac{h_{3}}{3}", "h₃/3"),
    (Multiply((number(1, 2), Power(h, Fraction(2)))), r"\tfrac{1}{2}\,h_{3}^{2}", "(1/2) h₃²"),
    (Multiply((h, number(2, 3))), r"h_{3}\,\tfrac{2}{3}", "h₃ 2/3"),
    (Multiply((number(1, 2), inverse(h))), r"\frac{1}{2\,h_{3}}", "1/(2 h₃)"),
    (Multiply((h, inverse(y), inverse(a))), r"\frac{h_{3}}{y_{3}}\,\frac{1}{a_{3}}", "(h₃/y₃) 1/a₃"),
    (
        Multiply((W, Call("sin", a), inverse(Call("exp", h)))),
        r"W_{h}\,\frac{\sin(a_{3})}{\exp(h_{3})}",
        "W_h sin(a₃)/exp(h₃)",
    ),
    # powers
    (Power(h, Fraction(2)), r"h_{3}^{2}", "h₃²"),
    (Power(h, Fraction(1, 2)), r"h_{3}^{1/2}", "h₃^(1/2)"),
    (Power(h, Fraction(-1, 2)), r"\frac{1}{h_{3}^{1/2}}", "1/h₃^(1/2)"),
    (Power(Add((h, y)), Fraction(12)), r"(h_{3} + y_{3})^{12}", "(h₃ + y₃)¹²"),
    (Power(number(-1), Fraction(3)), r"(-1)^{3}", "(−1)³"),
    # sums
    (Add((h, minus(y), number(-1))), r"h_{3} - y_{3} - 1", "h₃ − y₃ − 1"),
    (Add((minus(h), number(1, 2))), r"-h_{3} + \tfrac{1}{2}", "−h₃ + 1/2"),
    (Add((h, Multiply((number(-3, 2), y)))), r"h_{3} - \tfrac{3}{2}\,y_{3}", "h₃ − (3/2) y₃"),
    # functions
    (Call("sqrt", Add((h, y))), r"\sqrt{h_{3} + y_{3}}", "√(h₃ + y₃)"),
    (Call("logistic", a, 1), r"\operatorname{logistic}'(a_{3})", "logistic′(a₃)"),
    (Call("tanh", minus(a)), r"\tanh(-a_{3})", "tanh(−a₃)"),
    (Call("identity", a), r"\operatorname{id}(a_{3})", "id(a₃)"),
    (StepLoss(Quantity("l", 3), y, 1), r"\ell_{3}'(y_{3})", "ℓ₃′(y₃)"),
    # derivatives
    (Derivative(Quantity("L"), Quantity("W_x")), r"\frac{\partial L}{\partial W_{x}}", "∂L/∂W_x"),
    (Derivative(Quantity("a", 0, "t"), h_before, True), r"\frac{\partial^{+} a_{t}}{\partial h_{t-1}}", "∂⁺aₜ/∂hₜ₋₁"),
    (
        Multiply((Derivative(Quantity("L"), h), inverse(y))),
        r"\frac{\partial L}{\partial h_{3}}\,\frac{1}{y_{3}}",
        "∂L/∂h₃ 1/y₃",
    ),
]


@pytest.mark.parametrize(("expression", "tex", "text"), LOOKS, ids=[row[2] for row in LOOKS])
def test_looks(expression: Expression, tex: str, text: str) -> None:
    assert latex(expression) == tex
    assert plain(tex) == text


def test_factors_that_begin_with_a_sign_stand_in_parentheses() -> None:
    assert latex_factor(number(-1)) == "(-1)"
    assert latex_factor(minus(h)) == "(-h_{3})"
    assert latex_factor(Add((h, y))) == "(h_{3} + y_{3})"
    assert latex_factor(h) == "h_{3}"


def test_names_and_functions() -> None:
    assert latex_name("W_x") == "W_{x}"
    assert [latex_function(name, 1) for name in FUNCTIONS][:3] == [r"\sigma'", r"\tanh'", r"\operatorname{logistic}'"]
    assert latex_function("f") == r"\operatorname{f}"


# --- the Unicode reading ---


@pytest.mark.parametrize(
    ("tex", "text"),
    [
        (r"\frac{a + b}{c}", "(a + b)/c"),
        (r"\frac{\exp(a + b)}{c\,d}", "exp(a + b)/(c d)"),
        (r"\frac{(a)\,(b)}{c}", "((a) (b))/c"),
        (r"x^{100}", "x¹⁰⁰"),
        (r"x^k", "xᵏ"),
        (r"W_{h}^{k-1}", "W_hᵏ⁻¹"),
        (r"\sum_{t=1}^{3} \ell_{t}", "Σₜ₌₁³ ℓₜ"),
        (r"\Bigl(\prod_{j=1}^{3} \sigma'(a_{j})\Bigr)\,W_{h}^{2}", "(Πⱼ₌₁³ σ′(a_j)) W_h²"),
        (r"\Bigl(\prod_{j=1,3} \sigma'(a_{j})\Bigr)", "(Π_(j=1,3) σ′(a_j))"),
        (r"\underbrace{W_{h}^{2}}_{\text{two}}", "W_h² [two]"),
        (r"L \to \ell_{3} \to \cdots \to W_{x}", "L → ℓ₃ → ⋯ → W_x"),
        (r"a \le b,\; c \ge d", "a ≤ b, c ≥ d"),
        (r"\frac12", "1/2"),
        (r"\text{for } z > 0", "for z > 0"),
        (r"\lVert W \rVert", "‖ W ‖"),
        (r"{a}{b}", "ab"),
    ],
)
def test_plain(tex: str, text: str) -> None:
    assert plain(tex) == text


@pytest.mark.parametrize(
    "tex", [r"\input{x}", r"\unknown", r"\begin{align*} a \end{align*}", r"\href{a}{b}", r"a}", r"\xi_1\zzz"]
)
def test_plain_refuses_what_it_does_not_know(tex: str) -> None:
    with pytest.raises(ValueError, match=r"vocabulary|unbalanced"):
        plain(tex)


@settings(max_examples=200)
@given(EXPRESSIONS)
def test_no_markup_reaches_a_terminal(expression: Expression) -> None:
    tex = latex(expression)
    assert not re.search(r"[\\${}]", plain(tex))
    assert not re.search(r"[-+]\s*[-+]|(?:\\,|\\cdot)\s*-", tex), tex  # no sign after a sign, none after a factor


def test_random_formulas_parse() -> None:
    require(have_katex(), "KaTeX is not installed: make katex")
    formulas: list[tuple[str, str, bool]] = []

    @settings(max_examples=300)
    @given(EXPRESSIONS)
    def collect(expression: Expression) -> None:
        formulas.append((latex(expression), latex(expression), False))

    collect()
    assert katex_failures(formulas) == []
