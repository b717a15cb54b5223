r"""A cell, unrolled: its equations, its names, its options."""

from __future__ import annotations

import pytest
import sympy as sp
from latex_tools import have_katex, katex_failures, require

from rnn_symbolic.cells import BUILT_IN, load_cell
from rnn_symbolic.errors import CellError, InputError, NotDerivable
from rnn_symbolic.expressions import Quantity, quantities
from rnn_symbolic.model import ACTIVATIONS, MAX_STEPS, Model, unroll
from rnn_symbolic.printing import latex
from rnn_symbolic.unicode import plain


def equations(model: Model) -> list[str]:
    return [plain(f"{latex(e.target)} = {latex(e.expression)}") for e in model.equations]


def test_the_forward_equations_of_the_article() -> None:
    assert equations(unroll("elman", steps=2)) == [
        "a₁ = W_h h₀ + W_x x₁ + b_h",
        "h₁ = σ(a₁)",
        "o₁ = W_y h₁ + b_y",
        "y₁ = σ(o₁)",
        "ℓ₁ = ℓ₁(y₁)",
        "a₂ = W_h h₁ + W_x x₂ + b_h",
        "h₂ = σ(a₂)",
        "o₂ = W_y h₂ + b_y",
        "y₂ = σ(o₂)",
        "ℓ₂ = ℓ₂(y₂)",
        "L = ℓ₁ + ℓ₂",
    ]


@pytest.mark.parametrize("name", BUILT_IN)
def test_every_quantity_is_defined_before_it_is_used(name: str) -> None:
    model = unroll(name, steps=4)
    known = {*model.parameters, *model.initial_states}
    known |= {Quantity(leaf, t) for leaf in "xd" for t in range(1, 5)}
    for equation in model.equations:
        assert set(quantities(equation.expression)) <= known
        assert equation.target not in known
        known.add(equation.target)


def test_the_last_loss_only() -> None:
    model = unroll("elman", steps=3, losses="last")
    assert (model.loss_steps, equations(model)[-1]) == ((3,), "L = ℓ₃")
    assert unroll("elman", steps=3).loss_steps == (3, 2, 1)


@pytest.mark.parametrize(
    ("options", "loss"),
    [
        ({}, "ℓₜ(yₜ)"),
        ({"loss": "squared"}, "(1/2) (yₜ − dₜ)²"),
        ({"loss": "cross-entropy"}, "−dₜ log(yₜ) − (1 − dₜ) log(1 − yₜ)"),
        ({"loss": "cross-entropy", "output_activation": "logistic"}, "−dₜ log(yₜ) − (1 − dₜ) log(1 − yₜ)"),
        ({"loss": "cross-entropy", "output_activation": "softplus"}, "−dₜ log(yₜ)"),
    ],
)
def test_losses(options: dict[str, str], loss: str) -> None:
    assert plain(latex(unroll("elman", **options).definitions[-1].expression)) == loss


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_sigma_is_replaced_everywhere(activation: str) -> None:
    model = unroll("elman", steps=1, activation=activation)
    shown = {"sigma": "σ(a₁)", "identity": "a₁", "sqrt": "√(a₁)"}.get(activation, f"{activation}(a₁)")
    assert equations(model)[1] == f"h₁ = {shown}"
    assert model.output_activation == activation


def test_the_output_may_have_an_activation_of_its_own() -> None:
    model = unroll("elman", steps=1, activation="tanh", output_activation="logistic")
    assert [equations(model)[i] for i in (1, 3)] == ["h₁ = tanh(a₁)", "y₁ = logistic(o₁)"]


def test_a_loss_line_of_the_cell_wins_and_its_sum_is_a_number() -> None:
    model = unroll("h = h[t-1] + x\ny = h\nloss = sum((y - d)**2) + sum(sigma(h))", loss="squared", activation="tanh")
    assert equations(model)[2] == "ℓ₁ = (y₁ − d₁)² + tanh(h₁)"
    assert model.loss == "cell"
    assert model.remarks == ("the loss squared is not used: cell has a loss line of its own, which wins",)


@pytest.mark.parametrize(
    ("options", "remark"),
    [
        ({"activation": "tanh"}, "the activation tanh changes nothing: linear does not mention sigma"),
        ({"output_activation": "tanh"}, "the output activation tanh changes nothing: y of linear has no sigma"),
        ({}, None),
    ],
)
def test_options_that_touch_nothing_are_remarked_on(options: dict[str, str], remark: str | None) -> None:
    assert unroll("linear", **options).remarks == (() if remark is None else (remark,))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "T = 0 steps: T must lie between 1 and 10000"),
        ({"steps": MAX_STEPS + 1}, "--max-steps raises the limit"),
        ({"steps": True}, "must be a whole number"),
        ({"steps": 2.0}, "must be a whole number"),
        ({"losses": "first"}, "'first' is not a losses: choose one of all, last, mean"),
        ({"loss": "square"}, "Did you mean 'squared'"),
        ({"activation": "sigmoid"}, "'sigmoid' is not a activation: choose one of sigma, tanh, logistic"),
        ({"output_activation": "than"}, "Did you mean 'tanh'"),
        ({"form": "tensor"}, "'tensor' is not a form: choose one of scalar, matrix"),
    ],
)
def test_bad_options_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        unroll("elman", **options)  # type: ignore[arg-type]


def test_the_limit_on_steps_can_be_raised() -> None:
    assert unroll("elman", steps=MAX_STEPS + 1, max_steps=20_000).steps == MAX_STEPS + 1


def test_what_mixes_components_has_no_scalar_reading() -> None:
    with pytest.raises(NotDerivable, match="softmax in the equation of y mixes the components of a vector"):
        unroll("h = h[t-1] + x\ny = softmax(W @ h)")
    with pytest.raises(CellError):
        unroll("h = ")


# --- names ---


@pytest.mark.parametrize(
    ("name", "quantity"),
    [
        ("W_x", Quantity("W_x")),
        ("h_0", Quantity("h", 0)),
        ("h_-1", Quantity("h", -1)),
        ("x_4", Quantity("x", 4)),
        ("a_1", Quantity("a", 1)),
        ("h_4", Quantity("h", 4)),
        ("l_2", Quantity("l", 2)),
    ],
)
def test_resolve(name: str, quantity: Quantity) -> None:
    assert unroll("lag2", steps=4).resolve(name) == quantity


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Wx", "Did you mean 'W_x'"),
        ("W_q", "its parameters are W_x, W_h, W_y, b_h, b_y; also h_0, the inputs x_1 … x_3 and named quantities"),
        ("h", "Did you mean h_1 … h_3"),
        ("x", "Did you mean x_1 … x_3"),
        ("h_4", "outside the steps 1 … 3; use --steps to unroll further"),
        ("x_0", "outside the steps"),
        ("h_-1", "outside the steps"),
        ("d_1", "targets are data"),
        ("L", "is not a quantity of elman"),
        ("", "is not a quantity"),
        ("h_１", "is not a quantity"),  # a full-width digit
        ("h_99999999999", "is not a quantity"),
        ("W_x; import os", "is not a quantity"),
    ],
)
def test_resolve_refuses(name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        unroll("elman", steps=3).resolve(name)


def test_a_cell_without_input_or_parameters() -> None:
    model = unroll("h = tanh(h[t-1])\ny = h", steps=2)
    assert model.parameters == ()
    with pytest.raises(InputError, match="'x_1' is not a quantity of cell"):
        model.resolve("x_1")


def test_initial_states_go_back_as_far_as_the_lags() -> None:
    model = unroll("c = c[t-1] + h[t-3]\nh = c + x\ny = h", steps=1)
    assert [str(q) for q in model.initial_states] == ["c_0", "h_0", "h_-1", "h_-2"]


# --- the rest ---


def test_equation_of() -> None:
    model = unroll("elman", steps=3)
    found = model.equation_of(Quantity("h", 2))
    assert found is not None
    assert plain(latex(found.expression)) == "σ(a₂)"
    assert model.equation_of(Quantity("L")) == model.total
    for leaf in (Quantity("h", 0), Quantity("x", 1), Quantity("W_x")):
        assert model.equation_of(leaf) is None


def test_models_are_values() -> None:
    assert unroll("elman") == unroll(load_cell("elman")) != unroll("elman", steps=4)


def test_the_model_shows_itself() -> None:
    model = unroll("elman", steps=2)
    tex = model._repr_latex_()
    assert tex.startswith(
        "$\\displaystyle \\begin{aligned}a_{t} &= W_{h}\\,h_{t-1} + W_{x}\\,x_{t} + b_{h} && t = 1, \\dots, 2"
    )
    assert r"\sum_{t=1}^{9} \ell_{t}" in unroll("elman", steps=9)._repr_latex_()
    assert r"L &= \ell_{9}" in unroll("elman", steps=9, losses="last")._repr_latex_()
    require(have_katex(), "KaTeX is not installed: make katex")
    models = [unroll(name, steps=T) for name in BUILT_IN for T in (1, 2, 9)]
    formulas = [(f"{m.cell.name} {m.steps}", m._repr_latex_().strip("$"), True) for m in models]
    assert katex_failures(formulas) == []


def test_inlined_for_small_T() -> None:
    model = unroll("linear", steps=2, loss="squared", losses="last")
    W_h, W_x, W_y, b_h, b_y, x1, x2, h0, d2 = sp.symbols("W_h W_x W_y b_h b_y x_1 x_2 h_0 d_2")
    by_hand = (W_y * (W_h * (W_h * h0 + W_x * x1 + b_h) + W_x * x2 + b_h) + b_y - d2) ** 2 / 2
    assert sp.expand(model.inline(sp.Symbol("L")) - by_hand) == 0
