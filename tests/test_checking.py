"""Symbolic against independent numbers; and the check itself is checked: it must fail, and never pass for nothing."""

from __future__ import annotations

import dataclasses
import math
import random
from collections.abc import Callable
from fractions import Fraction

import pytest
from oracle import PARAMETERS, complex_step_gradient, random_values, richardson_gradient

from rnn_symbolic.checking import METHODS, Verdicts, check_at_random, check_gradient, richardson
from rnn_symbolic.comparison import Estimate, Nonconformable, Undecidable, compared, path_graph, traverse
from rnn_symbolic.errors import InputError, NumericalFailure
from rnn_symbolic.expressions import Expression, Number, Quantity, transform
from rnn_symbolic.graph import Leg
from rnn_symbolic.model import Model, unroll
from rnn_symbolic.numeric import FLOATS, Arithmetic, adjoints, complex_pass, evaluate
from rnn_symbolic.paths import graph
from rnn_symbolic.table import Edge, Factor, LocalRule, product_value
from rnn_symbolic.valuation import EPSILON, Amount, Valuation, magnitude, random_point
from rnn_symbolic.values import point_from_mapping

SQUARED = ["tanh", "logistic", "relu", "softplus", "identity", "sin", "cos", "exp", "log", "sqrt"]
ENTROPY = [("tanh", "logistic"), ("relu", "logistic"), ("sin", "exp"), ("exp", "softplus")]
CASES = [(name, name, "squared") for name in SQUARED]
CASES += [("tanh", "identity", "squared"), *((hidden, output, "cross-entropy") for hidden, output in ENTROPY)]


def compare_with_oracle(hidden: str, output: str, loss: str, losses: str, steps: int, seed: int) -> None:
    values = random_values(seed, steps, hidden)
    model = unroll("elman", steps=steps, activation=hidden, output_activation=output, loss=loss, losses=losses)
    valuation = Valuation(model, point_from_mapping(values, model))
    for name in (*PARAMETERS, f"x_{steps}", "x_1"):
        found = valuation.path_total(graph(model, name)).value
        exact = complex_step_gradient(values, name, hidden, output, loss, losses)
        rough = richardson_gradient(values, name, hidden, output, loss, losses, h=1e-5 if "relu" in hidden else 1e-3)
        case = f"{hidden}, {output}, {loss}, {losses}, T={steps}, dL/d{name} at seed {seed}: {values}"
        assert found == pytest.approx(exact, rel=1e-10, abs=1e-14), case
        assert found == pytest.approx(rough, rel=1e-5, abs=1e-7), case
    verdicts = check_gradient(model, (*PARAMETERS, f"x_{steps}"), values)
    assert not any(v.status == "failed" for v in verdicts), f"seed {seed}: {values}\n{verdicts}"


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("losses", ["all", "last"])
@pytest.mark.parametrize(("hidden", "output", "loss"), CASES)
def test_the_sum_over_paths_is_the_gradient_of_a_hand_written_network(hidden, output, loss, losses, steps):
    compare_with_oracle(hidden, output, loss, losses, steps, seed=steps)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 140))
@pytest.mark.parametrize("losses", ["all", "last"])
@pytest.mark.parametrize(("hidden", "output", "loss"), CASES)
def test_many_points(hidden, output, loss, losses, seed):
    compare_with_oracle(hidden, output, loss, losses, 1 + seed % 7, seed)


# --- no false accusation ---


def accusations(seed: int) -> list[str]:
    """What fails of a right gradient at a wild point: large weights, long sequences, saturation or chaos."""
    rng = random.Random(seed)
    model = unroll(
        rng.choice(["elman", "lag2", "residual", "irnn"]),
        steps=rng.randint(1, 30),
        activation=rng.choice(["tanh", "logistic", "relu", "softplus", "sin", "cos"]),
        output_activation=rng.choice(["logistic", "softplus", "sin"]),
        loss="squared",
        losses=rng.choice(["all", "last"]),
    )
    point, scale = random_point(model, seed), rng.choice([3, 10, 100])
    point = dataclasses.replace(point, parameters={k: scale * v for k, v in point.parameters.items()})
    verdicts = [v for method in METHODS for v in check_gradient(model, None, point, method=method)]
    return [f"{model.cell.name}, {model.activation}, seed {seed}: {v}" for v in verdicts if v.status == "failed"]


def test_a_right_gradient_is_never_accused():
    assert [line for seed in (*range(4), 47, 68, 92, 214, 362) for line in accusations(seed)] == []


@pytest.mark.slow
def test_a_right_gradient_is_never_accused_at_many_points():
    assert [line for seed in range(4, 400) for line in accusations(seed)] == []


def test_differences_know_that_chaos_is_beyond_them():
    """L wiggles faster than any step, and a complex step follows it all the same."""
    model = unroll("elman", steps=30, activation="sin", loss="squared")
    point = random_point(model, 3)
    point = dataclasses.replace(point, parameters={**point.parameters, "W_h": 4.0})
    assert check_gradient(model, "W_h", point, method="complex step").passed
    (verdict,) = check_gradient(model, "W_h", point, method="Richardson")
    assert verdict.status == "inconclusive" and "do not agree" in verdict.note


# --- right gradients pass ---


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("losses", ["all", "last"])
@pytest.mark.parametrize("cell", ["elman", "irnn", "linear", "residual", "lag2"])
def test_right_gradients_pass(cell, losses, method):
    model = unroll(cell, steps=4, losses=losses)
    names = (*map(str, (*model.parameters, *model.initial_states)), "x_1", "x_4", "h_2", "h_4", "y_4", "l_4")
    verdicts = check_at_random(model, names, seed=3, method=method)
    assert [v.wrt for v in verdicts] == list(names)
    assert verdicts.passed, f"\n{verdicts}"
    for v in verdicts:
        assert v.method == method and v.at.startswith("seed ")
        assert v.error == abs(v.symbolic - v.numeric) <= v.tolerance <= 1e-4 * abs(v.symbolic)


@pytest.mark.parametrize("activation", ["tanh", "logistic", "relu", "softplus", "identity", "sin", "cos", "exp"])
@pytest.mark.parametrize("loss", ["squared", "cross-entropy"])
def test_an_abstract_model_is_checked_with_chosen_functions(activation, loss):
    verdicts = check_at_random(unroll("elman", steps=2), None, seed=1, activation=activation, loss=loss)
    assert verdicts.passed, f"\n{verdicts}"


@pytest.mark.parametrize(
    "text",
    [
        "h = log(3 + w * h[t-1] * x) + sqrt(4 + x)\ny = h",
        "h = exp(-w * x) / (2 + h[t-1] ** 2)\ny = h * h",
        "z = logistic(w * x + u * h[t-1])\nh = z * h[t-1] + (1 - z) * tanh(u * x)\ny = h\nloss = sum((y - d) ** 4)",
        "c = relu(w * x + u * c[t-2])\nh = cos(c) * h[t-1] - softplus(c[t-1])\ny = v * h",
        "h = 0.3 * h[t-1] + w\ny = h",  # no input
        "h = w * h[t-1] + x / 3\ny = h ** 1.5\nloss = (y - 1) ** 2",
    ],
)
def test_cells_of_all_kinds(text):
    model = unroll(text, steps=4)
    names = (*model.parameters, *model.initial_states)
    for method in METHODS:
        verdicts = check_at_random(model, names, seed=5, method=method)
        assert verdicts.passed, f"\n{verdicts}"


def test_one_name_several_or_all():
    model, values = unroll("elman", steps=2), random_values(1, 2)
    assert [(v.wrt, v.method) for v in check_gradient(model, "W_x", values)] == [("W_x", m) for m in METHODS]
    assert [v.wrt for v in check_gradient(model, ["W_h", "h_0"], values)] == ["W_h", "W_h", "h_0", "h_0"]
    assert [v.wrt for v in check_gradient(model, None, values)][::2] == ["W_x", "W_h", "W_y", "b_h", "b_y"]
    assert {v.wrt for v in check_gradient(model, Quantity("x", 1), values)} == {"x_1"}
    assert check_gradient(model).passed  # at a random point


def test_values_may_be_a_point():
    model = unroll("elman", steps=2)
    verdicts = check_gradient(model, "W_x", random_point(model, 4))
    assert verdicts.passed and verdicts[0].at == "seed 4"
    assert check_gradient(model, "W_x", random_values(1, 2))[0].at == "values"


def test_the_random_point_is_reproducible():
    model = unroll("elman", steps=3)
    assert check_at_random(model, "W_h", 8) == check_at_random(model, "W_h", 8)
    assert check_at_random(model, "W_h", 8) != check_at_random(model, "W_h", 9)


def test_long_sequences_take_a_moment_only():
    verdicts = check_at_random(unroll("elman", steps=500), "W_h", activation="tanh")
    assert verdicts[0].method == "complex step" and verdicts[0].status == "passed"
    assert all(v.status != "failed" for v in verdicts)


@pytest.mark.parametrize(("cell", "seed"), [("gru", 3), ("mgu", 3)])
def test_rounding_does_not_grow_with_the_number_of_paths(cell, seed):
    """Σ |path| grows like the product of all |terms| of ∂h_t/∂h_{t−1}, by far faster than their sum."""
    model = unroll(cell, steps=100, activation="tanh", loss="squared")
    names = ["W_n", "h_0"]
    verdicts = check_gradient(model, names, random_point(model, seed))
    assert verdicts.passed, f"seed {seed}\n{verdicts}"
    valuation = Valuation(model, random_point(model, seed))
    coarse = valuation.path_rounding(graph(model, "W_n"))
    assert coarse > 1e-4 * abs(valuation.path_total(graph(model, "W_n")).value)  # which would decide nothing


def test_a_cell_whose_blocks_are_too_long_is_checked_by_its_nodes():
    """Twelve times p, q -> p + q, p q: thousands of ways from h to h."""
    lines = ["p0 = w * h[t-1] + x", "q0 = u * h[t-1]"]
    for i in range(12):
        lines += [f"p{i + 1} = (p{i} + q{i}) / 2", f"q{i + 1} = tanh(p{i} * q{i})"]
    model = unroll("\n".join([*lines, "h = p12 + q12", "y = h"]), steps=3, loss="squared")
    with pytest.raises(InputError, match="granularity node"):
        graph(model, "w")
    assert path_graph(model, Quantity("w")).granularity == "node"
    verdicts = check_at_random(model, ["w", "u", "h_0"], seed=1)
    assert verdicts.passed, f"\n{verdicts}"


def test_verdicts_are_a_table():
    verdicts = check_gradient(unroll("elman", steps=2), ["W_x", "b_y"], random_values(1, 2), method="complex step")
    lines = str(verdicts).splitlines()
    assert [line.split()[:2] for line in lines] == [["wrt", "status"], ["W_x", "passed"], ["b_y", "passed"]]
    assert lines[1].index("complex step") == lines[0].index("method")
    assert len(verdicts) == 2 and list(verdicts)[1] is verdicts[1]
    assert {v.where for v in verdicts} == {""} and "where" not in lines[0]
    assert verdicts._repr_html_() == f"<pre>{verdicts}</pre>"


# --- wrong gradients fail ---


def spoil(model: Model, index: int, change: Callable[[Edge], Edge | None]) -> Model:
    """The model with one row of its table changed, or dropped."""
    rows = list(model.table)
    changed = change(rows.pop(index))
    rows[index:index] = [changed] if changed else []
    return dataclasses.replace(model, table=tuple(rows))


def scaled(by: Fraction) -> Callable[[Edge], Edge]:
    factor = Factor(LocalRule.NUMBER, Number(by))
    return lambda edge: dataclasses.replace(edge, terms=tuple((factor, *term) for term in edge.terms))


def shifted(edge: Edge) -> Edge:
    """h_{t−1} read as h_t in the factors of a row."""

    def visit(node: Expression) -> Expression:
        return Quantity(node.name, 0, "t") if isinstance(node, Quantity) and node.step == -1 else node

    terms = tuple(tuple(Factor(f.rule, transform(f.value, visit)) for f in term) for term in edge.terms)
    return dataclasses.replace(edge, terms=terms)


def one_step_too_far(edge: Edge) -> Edge:
    """A row h_t ← q_{t−1} that arrives at q_{t−2}."""
    if edge.lag != 1:
        return edge
    return dataclasses.replace(edge, tail=Quantity(edge.tail.name, -2, "t"), lag=2)


SPOILS: dict[str, Callable[[Edge], Edge | None]] = {
    "dropped": lambda edge: None,
    "sign": scaled(Fraction(-1)),
    "factor 1.001": scaled(Fraction(1001, 1000)),
    "factor 1 + 1e-6": scaled(Fraction(1_000_001, 1_000_000)),
    "index": shifted,
    "lag": one_step_too_far,
}
TABLES = {
    "tanh": unroll("elman", activation="tanh", loss="squared"),
    "abstract": unroll("elman"),
    "last": unroll("elman", activation="logistic", loss="squared", losses="last"),
    "lag2": unroll("lag2", steps=4, activation="sin", loss="squared"),
    "entropy": unroll("elman", activation="tanh", output_activation="softplus", loss="cross-entropy"),
}


@pytest.mark.parametrize("spoiling", SPOILS)
@pytest.mark.parametrize(
    ("name", "method"),
    [(name, "complex step") for name in TABLES]
    + [pytest.param(name, "Richardson", marks=[pytest.mark.slow] if name != "tanh" else []) for name in TABLES],
)
def test_a_spoiled_row_fails(name, method, spoiling):
    model = TABLES[name]
    names = (*model.parameters, *model.initial_states, "x_1", "x_3")
    assert check_at_random(model, names, seed=2, method=method).passed
    spoiled = [spoil(model, index, SPOILS[spoiling]) for index in range(len(model.table))]
    spoiled = [other for other in spoiled if other.table != model.table]
    assert spoiled
    for other in spoiled:
        verdicts = check_at_random(other, names, seed=2, method=method)
        assert any(v.status == "failed" for v in verdicts), f"\n{verdicts}"


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("wrt", ["W_h", "W_x", "b_h", "W_y", "b_y", "h_0", "x_1", "h_2"])
def test_a_gradient_that_is_off_by_a_thousandth_fails(wrt, method):
    """ℓ_t ← y_t is on every path, so the whole gradient is scaled."""
    model = unroll("elman", activation="tanh", loss="squared")
    row = next(i for i, edge in enumerate(model.table) if edge.head.name == "l")
    (verdict,) = check_at_random(spoil(model, row, scaled(Fraction(1001, 1000))), wrt, method=method)
    assert verdict.status == "failed" and not Verdicts((verdict,)).passed
    assert verdict.symbolic == pytest.approx(1.001 * verdict.numeric, rel=1e-6)


def test_a_collapse_that_is_wrong_fails():
    model = unroll("elman", activation="logistic", loss="cross-entropy")
    assert model.collapse is not None
    y = Factor(LocalRule.COLLAPSE, Quantity("y", 0, "t"))
    wrong = dataclasses.replace(model.collapse, result=y, general=y)
    verdicts = check_at_random(dataclasses.replace(model, collapse=wrong))
    assert all(v.status == "failed" for v in verdicts)


def test_a_failed_point_is_never_drawn_again():
    """A dead ReLU decides nothing and is drawn again; a verdict that failed stands."""
    model = spoil(unroll("irnn", activation="logistic", loss="squared"), 0, scaled(Fraction(2)))
    seen = {check_at_random(model, ["W_h", "h_0"], seed).passed for seed in range(20)}
    assert seen == {False}


# --- inconclusive, never a false pass ---

RELU = "a = w * h[t-1] + u * x\nh = relu(a)\ny = v * h + c"


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("w", "h_0", "x"),
    [(0.5, 1.0, -0.5), (0.1, 3.0, -0.3), (0.0, 0.0, 0.0)],  # 0.1·3 − 0.3 is 5.6e−17 in floats
)
def test_a_relu_at_its_kink_is_inconclusive(w, h_0, x, method):
    model = unroll(RELU, steps=3, loss="squared")
    values = {"w": w, "u": 1.0, "v": 1.5, "c": 0.2, "h_0": h_0, "x": [x, 1.0, 2.0], "d": [0.3, 0.6, 0.9]}
    verdicts = {v.wrt: v for v in check_gradient(model, ["v", "c", "x_1", "a_1", "h_2"], values, method=method)}
    for name in ("x_1", "a_1"):
        assert verdicts[name].status == "inconclusive"
        assert verdicts[name].note.startswith("the argument of relu in h_1 is at the kink")
    for name in ("v", "c", "h_2"):  # these do not move the argument
        assert verdicts[name].status == "passed", verdicts[name]


def test_near_a_kink():
    """At 1e-9 from it a complex step is exact; differences would have to be finer than rounding allows."""
    model = unroll(RELU, steps=1, loss="squared")
    values = {"w": 0.5, "u": 1.0, "v": 1.5, "c": 0.2, "h_0": 1.0, "x": [-0.5 + 1e-9], "d": [0.3]}
    assert check_gradient(model, "u", values, method="complex step").passed
    (verdict,) = check_gradient(model, "u", values, method="Richardson")
    assert verdict.status == "inconclusive" and "kink" in verdict.note
    values["x"] = [-0.49]  # Richardson comes closer until the stencil fits
    assert check_gradient(model, ["u", "w", "h_0"], values, method="Richardson").passed


def test_a_kink_inside_an_expression():
    model = unroll("y = w * relu(x - 1) * x", steps=1, loss="squared")
    assert check_gradient(model, "x_1", {"w": 1, "x": [1], "d": [0]})[0].status == "inconclusive"
    assert check_gradient(model, "x_1", {"w": 1, "x": [2], "d": [0]}).passed


@pytest.mark.parametrize("method", METHODS)
def test_two_zeros_are_inconclusive(method):
    model = unroll("elman", steps=1, activation="tanh", loss="squared")
    values = {**random_values(1, 1), "h_0": 0.0}
    (verdict,) = check_gradient(model, "W_h", values, method=method)
    assert (verdict.status, verdict.symbolic, verdict.numeric) == ("inconclusive", 0.0, 0.0)
    assert "exactly 0" in verdict.note


def test_no_path_is_inconclusive_too():
    (verdict,) = check_at_random(unroll("elman", losses="last"), "y_1", method="complex step")
    assert verdict.status == "inconclusive" and verdict.note.startswith("no path leads from L to y_1")


@pytest.mark.parametrize("method", METHODS)
def test_values_below_the_noise_are_inconclusive(method):
    """y − d is 0 to rounding while the factors are not: nothing is left that could tell right from wrong."""
    model = unroll("h = w * h[t-1] + x\ny = h", steps=1, loss="squared")
    values = {"w": 0.1, "h_0": 3.0, "x": [0.0], "d": [0.3]}
    (verdict,) = check_gradient(model, "w", values, method=method)
    assert verdict.status == "inconclusive" and "rounding" in verdict.note


def test_saturation_is_exact_for_a_complex_step_and_noise_for_differences():
    model = unroll("elman", steps=2, activation="tanh", loss="squared")
    values = {**random_values(3, 2), "W_x": 15.0, "x": [1.5, -1.5]}
    assert check_gradient(model, "W_x", values, method="complex step").passed
    (verdict,) = check_gradient(model, "W_x", values, method="Richardson")
    assert verdict.status == "inconclusive"


@pytest.mark.parametrize("method", [None, *METHODS])
def test_an_overflow_is_reported_with_its_step(method):
    model = unroll("linear", steps=4, loss="squared")
    values = {**random_values(1, 4), "W_h": 1e100}
    verdicts = check_gradient(model, None, values, method=method)
    assert all(v.status == "inconclusive" and "overflows at step 2: l_2" in v.note for v in verdicts)
    assert all(math.isnan(v.symbolic) and math.isnan(v.tolerance) for v in verdicts) and not verdicts.passed


def test_a_sum_beyond_the_range_of_floats_is_inconclusive():
    """h stays 0, and ∂L/∂h_0 is (y_4 − d_4)·10^400."""
    model = unroll("h = w * h[t-1]\ny = h", steps=4, loss="squared", losses="last")
    (verdict,) = check_gradient(model, "h_0", {"w": 1e100, "h_0": 0.0, "d": [1.0] * 4}, method="complex step")
    assert verdict.status == "inconclusive" and "-10^400" in verdict.note


@pytest.mark.parametrize("w", [1e20, 1e60, -1e90])
def test_exploding_gradients_need_a_smaller_complex_step(w):
    """∂o/∂h_0 = w³: with h = 1e−30 the argument of sin would move by far more than its period."""
    model = unroll("h = w * h[t-1] + x\no = h\ny = sin(o)", steps=3, loss="squared", losses="last")
    (verdict,) = check_gradient(
        model, "h_0", {"w": w, "h_0": 0.0, "x": [0.0, 0.0, 0.4], "d": [1.0] * 3}, method="complex step"
    )
    assert verdict.status == "passed", verdict
    assert verdict.numeric == pytest.approx((math.sin(0.4) - 1) * math.cos(0.4) * w**3)


def test_a_tiny_gradient_that_no_method_reaches_is_inconclusive():
    model = unroll("h = w * h[t-1] + x\ny = h", steps=3, loss="squared", losses="last")
    values = {"w": 1e-100, "h_0": 1.0, "x": [1.0] * 3, "d": [0.0] * 3}
    (verdict,) = check_gradient(model, "h_0", values, method="complex step")
    assert verdict.status == "inconclusive"
    assert check_gradient(model, "h_0", {**values, "w": 1e-60}, method="complex step").passed


def test_a_derivative_that_does_not_exist_is_inconclusive():
    model = unroll("y = w * sqrt(x)", steps=1, loss="squared")
    verdicts = check_gradient(model, ["w", "x_1"], {"w": 1, "x": [0.0], "d": [1]}, method="complex step")
    assert [v.status for v in verdicts] == ["inconclusive", "inconclusive"]
    saturated = unroll("elman", steps=1, activation="logistic", loss="cross-entropy")
    values = {**random_values(1, 1), "b_y": 800.0}
    (verdict,) = check_gradient(saturated, "y_1", values, method="complex step")  # −d/y + (1 − d)/(1 − y) at y = 1
    assert verdict.status == "inconclusive" and "no value" in verdict.note
    assert check_gradient(saturated, "b_y", values, method="complex step").passed  # y − d


def test_a_saturated_output_with_cross_entropy():
    """y_t is 1 in floats: the loss is taken in the pre-activation, its slope is y − d."""
    model = unroll("elman", steps=2, activation="logistic", loss="cross-entropy")
    verdicts = check_gradient(model, ["b_y", "W_y"], {**random_values(1, 2), "b_y": 800.0})
    assert verdicts.passed, f"\n{verdicts}"


# --- the verdict by itself ---


W_H = Quantity("W_h")


@dataclasses.dataclass
class Given:
    """A case whose two sides are given."""

    total: float
    estimate: float
    recursion: float = math.nan
    slack: float = 0.0
    noise: float = 0.0
    drifts: float = 0.0
    reason: Exception | None = None
    wrt: Quantity = W_H
    where: str = "[1,2]"
    at: str = "seed 0"
    model: Model = dataclasses.field(default_factory=lambda: unroll("elman"))

    @property
    def symbolic(self) -> Amount:
        if isinstance(self.reason, Nonconformable):
            raise self.reason
        return Amount(self.total, 400.0, -1 if self.total < 0 else 1)

    def complex_step(self) -> Estimate:
        if self.reason is not None:
            raise self.reason
        return Estimate(self.estimate, self.slack)

    richardson = complex_step

    def rounding(self) -> float:
        return self.noise

    def drift(self) -> float:
        if math.isnan(self.drifts):
            raise NumericalFailure("lost")
        return self.drifts


@pytest.mark.parametrize(
    ("case", "complex_step", "richardson", "note"),
    [
        (Given(2.0, 2.0), "passed", "passed", ""),
        (Given(2.0, 2.0, recursion=2.0 + 1e-12), "passed", "passed", ""),
        (Given(2.0, 2.0, recursion=2.001), "failed", "failed", "the adjoint recursion over the same table gives 2.001"),
        (Given(2.0, 2.000002), "failed", "failed", ""),
        (Given(2.0, 2.000002, drifts=1e-5), "passed", "failed", ""),
        (Given(2.0, 2.000002, drifts=1e-3), "inconclusive", "failed", "drown in rounding"),
        (Given(2.0, 2.000002, drifts=math.nan), "inconclusive", "failed", "not a finite number"),
        (Given(2.0, 2.1, noise=0.3), "inconclusive", "inconclusive", "drown in rounding"),
        (Given(2.0, 2.0, slack=0.3), "inconclusive", "inconclusive", "drown in rounding"),
        (Given(2.0, math.nan), "inconclusive", "inconclusive", "not a finite number"),
        (Given(2.0, 0.0), "failed", "inconclusive", "exactly the same at all points"),
        (Given(0.0, 2.0), "failed", "failed", ""),
        (Given(0.0, 0.0), "inconclusive", "inconclusive", "both values are exactly 0"),
        (Given(-math.inf, 2.0), "inconclusive", "inconclusive", "about -10^400, beyond the range of floats"),
        (Given(2.0, 2.0, reason=Undecidable("why")), "inconclusive", "inconclusive", "why"),
        (Given(2.0, 2.0, reason=NumericalFailure("why")), "inconclusive", "inconclusive", "why"),
        (Given(2.0, 2.0, reason=Nonconformable("do not fit")), "failed", "failed", "do not fit"),
    ],
)
def test_what_decides(case, complex_step, richardson, note):
    notes = set()
    for method, expected in zip(METHODS, (complex_step, richardson), strict=True):
        verdict = compared(case, method)
        assert verdict.status == expected, verdict
        assert (verdict.wrt, verdict.where, verdict.at, verdict.method) == ("W_h", "[1,2]", "seed 0", method)
        assert verdict.note or verdict.status != "inconclusive"
        notes |= {verdict.note} - {""}
    assert len(notes) == bool(note) and all(note in found for found in notes)
    assert str(compared(case, METHODS[0])).startswith("W_h [1,2]  complex step  ")


@pytest.mark.parametrize("seed", range(6))
def test_the_bound_on_rounding_holds(seed):
    """Against the same sum in exact rationals, at the same rounded values: over thousands of paths, and cancelling."""
    text = "z = w * x\nn = u * h[t-1] - v * x\nh = (1 - z) * h[t-1] + z * n - h[t-1] / 3\ny = h * h - c"
    model = unroll(text, steps=40, loss="squared")
    valuation = Valuation(model, random_point(model, seed))
    exact_values = {key: Fraction(value) for key, value in valuation.values.items()}
    rationals = Arithmetic(lambda number: number, FLOATS.functions)
    exact = adjoints(model, exact_values, lambda e, t: evaluate(e, exact_values, rationals, t), Fraction(1))
    for goal in ("w", "u", "v", "c", "h_0", "x_3"):
        q = model.resolve(goal)
        g = graph(model, q)
        h, moved = complex_pass(model, valuation.point, (q.name, q.step))
        sizes: list[float] = []

        def record(leg: Leg, amount: float, h: float = h, moved: dict = moved, sizes: list[float] = sizes) -> None:
            rate = abs(complex(moved[leg.tail.name, leg.tail.step]).imag) / h
            sizes.append(abs(amount) * magnitude(product_value(leg.factors), valuation.values) * rate)

        traverse(g, lambda leg: valuation.leg(leg)[0], 1.0, record)
        error = abs(Fraction(valuation.path_total(g).value) - exact[q.name, q.step])
        bound = 8 * EPSILON * sum(sizes)
        assert error <= bound, f"seed {seed}, {goal}: {float(error)} > {bound}"
        assert bound <= valuation.path_rounding(g), f"seed {seed}, {goal}"


# --- refusals ---


def test_a_point_outside_the_domain_is_refused():
    model = unroll("y = log(w * x)", steps=2, loss="squared")
    with pytest.raises(NumericalFailure, match="y_2 has no value at step 2"):
        check_gradient(model, "w", {"w": 1, "x": [1, -1], "d": [0, 0]})
    assert check_at_random(model, "w").passed  # drawn again until it lies inside
    with pytest.raises(NumericalFailure, match="no point from seed 0 on suits this model"):
        check_at_random(unroll("y = w + log(-x ** 2)", steps=1, loss="squared"))


def test_bad_requests_are_refused():
    model, values = unroll("elman", steps=2), random_values(1, 2)
    with pytest.raises(InputError, match=r"Did you mean 'W_x'?"):
        check_gradient(model, "Wx", values)
    with pytest.raises(InputError, match=r"'richardson' is not a method.* Did you mean 'Richardson'?"):
        check_gradient(model, "W_x", values, method="richardson")
    with pytest.raises(InputError, match="'q' is no entry"):
        check_gradient(model, "W_x", {**values, "q": 1})
    with pytest.raises(InputError, match="nothing to check"):
        check_gradient(model, [], values)
    with pytest.raises(InputError, match=r"nothing to check: .* h_0, y_3"):
        check_gradient(unroll("h = h[t-1] + x\ny = h"), None, {"x": [1, 2, 3], "d": [0, 0, 0]})


# --- Richardson by itself ---


@pytest.mark.parametrize(
    ("f", "slope", "at"),
    [
        (math.exp, math.e, 1.0),
        (math.sin, math.cos(1e6), 1e6),
        (lambda z: z**5, 5 * 0.3**4, 0.3),
        (lambda z: 1 / (1 + math.exp(-80 * z)), 20.0, 0.0),  # far steeper than the first step
        (lambda z: 7.0, 0.0, 2.0),
    ],
)
def test_richardson_knows_its_own_error(f, slope, at):
    value, error, step = richardson(lambda move: f(at + move), at, 2**-5 * max(1, abs(at)) if at < 10 else 0.5)
    assert abs(value - slope) <= 10 * error + 1e-14
    assert error <= 1e-4 * max(1, abs(slope)) and step > 0
