"""Arrays: paths, gradients and named derivatives of every built-in cell against hand-written networks."""

from __future__ import annotations

import dataclasses
import itertools
import math
from fractions import Fraction

import networks as net
import numpy as np
import pytest

from rnn_symbolic.array_functions import stand_in_arrays
from rnn_symbolic.arrays import (
    MatrixPoint,
)
from rnn_symbolic.cells import BUILT_IN
from rnn_symbolic.concrete import concrete
from rnn_symbolic.errors import InputError, NumericalFailure
from rnn_symbolic.expressions import (
    Call,
    Derivative,
    Diagonal,
    Identity,
    Kronecker,
    Number,
    Quantity,
    StepLoss,
    Transpose,
    joint_name,
    walk,
)
from rnn_symbolic.functions import FUNCTIONS
from rnn_symbolic.gradients import gradients_at
from rnn_symbolic.matrix_valuation import (
    MatrixValuation,
    random_matrix_point,
    random_sizes,
    stand_in_matrix_valuation,
)
from rnn_symbolic.model import unroll
from rnn_symbolic.numeric import Point, stand_in
from rnn_symbolic.paths import count_paths, graph, iter_paths
from rnn_symbolic.scaled import Scaled
from rnn_symbolic.table import Factor, LocalRule
from rnn_symbolic.valuation import Valuation, random_point

L = Quantity("L")
CHOICES = [
    {"loss": "squared", "output": "logistic"},
    {"loss": "cross-entropy", "output": "logistic"},
    {"loss": "cross-entropy", "output": "softmax"},
    {"loss": "squared", "output": "softmax", "losses": "last"},
    {"loss": "cross-entropy", "output": "softplus", "activation": "sin"},
    {"loss": "cross-entropy", "output": "softmax", "losses": "mean", "activation": "logistic"},
    {"loss": "squared", "output": "identity", "losses": "last", "activation": "softplus"},
]
CELLS = [name for name in BUILT_IN if name in net.CELLS]
SHAPES = [(1, None), (2, 1), (3, 3), (4, None), (4, 3), (3, None), (2, 3)]


def case_of(cell, choice, steps, batch, seed, distribution=True, per_sample=False):
    """A model of ours, its point, and the hand-written gradients at the same point."""
    if net.CELLS[cell].output == "identity":
        choice = {**choice, "loss": "squared", "output": "identity"}
    p, x, d = net.random_point(
        cell, seed, steps=steps, batch=batch, distribution=distribution, state_per_sample=per_sample
    )
    losses = choice.get("losses", "all")
    options = {"activation": choice.get("activation", "tanh"), "output": choice["output"], "loss": choice["loss"]}
    if losses != "mean":
        options["losses"] = losses
    share = steps if losses == "mean" else 1
    expected = {name: value / share for name, value in net.gradients(cell, p, x, d, **options).items()}
    expected["L"] = net.loss(cell, p, x, d, **options).real / share
    model = unroll(
        cell,
        steps=steps,
        losses=losses,
        loss=choice["loss"],
        activation=options["activation"],
        output_activation=choice["output"],
        form="matrix",
    )
    return model, (p, x, d), expected


def mapping_of(p, x, d):
    return {**p, "x": x, "d": d}


def close(found, expected, case, tolerance=1e-11):
    assert np.shape(found) == np.shape(expected), f"{case}: {np.shape(found)}, not {np.shape(expected)}"
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance, err_msg=str(case))


def point_for(model, p, x, d):
    """A MatrixPoint without the reader of values."""
    steps = {str(q): (q.name, q.step) for q in model.initial_states}
    shapes = model.names
    sizes = {size: n for name, array in p.items() for size, n in zip(shapes.get(name, ()), array.shape, strict=False)}
    sizes |= {shapes["x"][0]: x.shape[-1], shapes["y"][0]: d.shape[-1]}
    return MatrixPoint(
        {name: value for name, value in p.items() if name not in steps},
        {steps[name]: value for name, value in p.items() if name in steps},
        x,
        d,
        sizes,
        x.shape[1] if x.ndim == 3 else None,
    )


def leaves(model):
    return (*model.parameters, *model.initial_states)


def by_complex_step(at, q):
    """∂L/∂q from the forward pass alone, in the shape of q; by vectors a row, by matrices the transposed gradient."""
    found = at.of(Derivative(L, q))
    return found.T if at.model.is_matrix(q) else found


def as_gradient(at, q, row):
    return row if at.model.is_matrix(q) else row.reshape(np.shape(at.gradient(q).value))


# --- every built-in cell against the hand-written one ---


def compare(cell, choice, steps, batch, seed, **options):
    model, values, expected = case_of(cell, choice, steps, batch, seed, **options)
    case = f"{cell}, {choice}, T = {steps}, B = {batch}, seed {seed}"
    found = gradients_at(model, point_for(model, *values))
    close(found.loss, expected["L"], case)
    for q in leaves(model):
        close(found[str(q)], expected[str(q)], f"{case}, {q}")
    close(found.input_gradients, expected["x"], f"{case}, x")
    at = MatrixValuation(concrete(model), point_for(model, *values))
    for q, granularity in itertools.product(leaves(model), ("state", "node", "step")):
        g = graph(at.model, q, granularity)
        total = at.path_total(g)
        name = f"{case}, paths to {q} at granularity {granularity}"
        close(total.value, expected[str(q)], name)
        size = np.linalg.norm(total.value)
        assert total.log10 == (pytest.approx(math.log10(size), abs=1e-12) if size else -math.inf), name
        assert (np.abs(total.value - found[str(q)]) <= at.path_rounding(g)).all(), name


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("i", range(len(CHOICES)))
def test_gradients_and_paths_of_every_cell(cell, i):
    steps, batch = SHAPES[(i + CELLS.index(cell)) % len(SHAPES)]
    compare(cell, CHOICES[i], steps, batch, seed=10 + i, per_sample=i % 2 == 1)


@pytest.mark.slow
@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("choice", CHOICES)
def test_gradients_and_paths_at_many_points(cell, choice):
    for steps, batch in itertools.product((1, 2, 3, 4), (None, 1, 3)):
        compare(cell, choice, steps, batch, seed=100 * steps + 7 * (batch or 0), per_sample=steps % 2 == 0)


@pytest.mark.parametrize("losses", ["all", "last", "mean"])
@pytest.mark.parametrize("batch", [None, 3])
def test_softmax_with_targets_that_do_not_sum_to_one(losses, batch):
    choice = {"loss": "cross-entropy", "output": "softmax", "losses": losses}
    for cell in ("elman", "jordan"):  # in jordan y_t is also a state
        compare(cell, choice, 3, batch, seed=4, distribution=False)


def test_states_and_outputs():
    model, (p, x, d), _ = case_of("lstm", CHOICES[0], 4, 3, seed=2)
    found = gradients_at(model, point_for(model, p, x, d))
    steps = net.trajectory("lstm", p, x)
    close(found.outputs, np.array([s["y"].real for s in steps]), "outputs")
    close(found.states["c"], np.array([s["c"].real for s in steps]), "c")
    assert list(found.states) == ["h", "c"]
    assert set(found) == set(p) and len(found) == len(p) and "x" not in found


@pytest.mark.parametrize("batch", [None, 3])
@pytest.mark.parametrize("cell", ["elman", "lstm", "lag2"])
def test_a_listed_path_is_a_term_of_the_sum(cell, batch):
    model, values, expected = case_of(cell, CHOICES[2], 3, batch, seed=8)
    at = MatrixValuation(model, point_for(model, *values))
    for q in leaves(model):
        for granularity in ("state", "step"):
            paths = list(iter_paths(model, q, granularity))
            assert len(paths) == count_paths(model, q, granularity)
            close(sum(at.path(path).value for path in paths), expected[str(q)], f"{cell}, {q}, {granularity}")
            g = graph(model, q, granularity)
            groups = {(t, s): amount for t, s, amount in at.groups(g)}
            for key, amount in groups.items():
                own = [path for path in paths if (path.loss_step, path.entry_step) == key]
                about = f"{cell}, {q}, {granularity}, group {key}"
                close(amount.value, sum(at.path(path).value for path in own), about)
                if batch is None:  # a row: by a matrix, the columns of the gradient one after another
                    row = sum(at.product(path) for path in own)
                    close(np.ravel(amount.value, order="F"), np.ravel(row), about)
            assert set(groups) == {(path.loss_step, path.entry_step) for path in paths}
            close(sum(amount.value for amount in at.entered(g).values()), expected[str(q)], f"{cell}, {q}, entered")


# --- abstract σ and ℓ; named derivatives ---


@pytest.mark.parametrize("cell", BUILT_IN)
@pytest.mark.parametrize("losses", ["all", "mean"])
def test_stand_ins_for_abstract_functions(cell, losses):
    seed = 3
    model = unroll(cell, steps=3, losses=losses, form="matrix")
    at = stand_in_matrix_valuation(model, seed)
    named = [Quantity(e.target.name, 2) for e in model.definitions]
    for q in (*leaves(model), *named, Quantity("x", 1)):
        case = f"{cell}, {losses}, dL/d{q} at seed {seed}"
        expected = as_gradient(at, q, by_complex_step(at, q))
        close(at.gradient(q).value, expected, case)
        for granularity in ("state", "node"):
            close(at.path_total(graph(model, q, granularity)).value, expected, f"{case}, {granularity}")


@pytest.mark.parametrize("batch", [None, 2])
@pytest.mark.parametrize("cell", BUILT_IN)
def test_every_row_of_the_table_is_the_jacobian_of_its_equation(cell, batch):
    model = unroll(cell, steps=3, form="matrix")
    at = MatrixValuation(model, random_matrix_point(model, 5, batch=batch), stand_in_arrays())
    for edge in model.table:
        expected = at.of(Derivative(edge.head, edge.tail, immediate=True, stacked=True), 2)
        found = np.broadcast_to(at.of(edge.value, 2), expected.shape)
        close(found, expected, f"{cell}: d{edge.head}/d{edge.tail} with B = {batch}")


@pytest.mark.parametrize("cell", CELLS)
def test_states_apart(cell):
    """∂S_3/∂S_{3−k} with the states of step 3 − k independent, block by block and as a whole; initial states too."""
    model, (p, x, d), _ = case_of(cell, CHOICES[0], 3, None, seed=6)
    at = MatrixValuation(model, point_for(model, p, x, d))
    joint = joint_name(model.cell.states)
    for lag in (1, 2, 3):
        expected = net.state_jacobian(cell, p, x, lag, output=net.CELLS[cell].output or "logistic")
        found = at.of(Derivative(Quantity(joint, 3), Quantity(joint, 3 - lag), apart=True))
        close(found, expected, f"{cell}, lag {lag}")
        columns = [
            at.of(Derivative(Quantity(joint, 0, "t"), Quantity(name, -lag, "t"), apart=True), 3)
            for name in model.cell.states
        ]
        close(np.concatenate(columns, axis=1), expected, f"{cell}, lag {lag}, state by state")


def test_apart_differs_from_total_where_a_state_depends_on_another():
    model = unroll("lstm", steps=3, form="matrix")
    at = stand_in_matrix_valuation(model, 1)
    h, c, last = Quantity("h", 2), Quantity("c", 2), Quantity("c", 3)
    total, apart = (at.of(Derivative(last, c, apart=apart)) for apart in (False, True))
    close(apart, np.diagflat(at.values["f", 3]), "∂c/∂c with h independent is diag(f)")
    through_h = at.of(Derivative(last, h, apart=True)) @ at.of(Derivative(h, c))
    close(total, apart + through_h, "what h does to c is the rest")
    assert not np.allclose(total, apart)


@pytest.mark.parametrize("batch", [None, 3])
def test_shapes_of_named_derivatives(batch):
    model = unroll("elman", steps=2, form="matrix")
    at = MatrixValuation(model, random_matrix_point(model, 3, batch=batch), stand_in_arrays())
    h, W = Quantity("h", 2), Quantity("W_x")
    samples = () if batch is None else (batch,)
    assert at.of(Derivative(h, W, stacked=True)).shape == (*samples, 3, 6)
    assert at.of(Derivative(L, W, stacked=True)).shape == (1, 6)
    assert at.of(Derivative(L, W)).shape == (2, 3)
    assert at.of(Derivative(L, h)).shape == (*samples, 1, 3)
    assert at.of(Derivative(Quantity("l", 2), h)).shape == (*samples, 1, 3)
    close(at.of(Derivative(L, W, stacked=True)).ravel(), at.gradient(W).value.ravel(order="F"), "columns of W")
    assert not at.of(Derivative(h, Quantity("y", 1))).any()  # nothing leads there
    assert at.of(Derivative(h, Quantity("h", 0))).shape == (*samples, 3, 3)


@pytest.mark.parametrize("form", ["scalar", "matrix"])
@pytest.mark.parametrize("cell", [*BUILT_IN, "h = tanh(W @ s[t-1] + V @ h[t-2] + x)\ns = tanh(s[t-1] + h)\ny = h * s"])
def test_a_named_block_is_worth_what_it_stands_for(cell, form):
    model = unroll(cell, steps=3, form=form)
    at = stand_in_matrix_valuation(model, 1)
    seen = set()
    for q in (*leaves(model), Quantity("h", 1), Quantity("y", 2)):
        for leg in (leg for path in iter_paths(model, q, "step") for leg in path.legs):
            for factor in leg.factors:
                if factor.expanded is not None and factor.value not in seen:
                    seen.add(factor.value)
                    close(at.of(factor.worth), at.of(factor.value), f"{cell}, {form}, {factor.value}")
    assert seen


def test_legs_multiply_to_the_path():
    model = unroll("gru", steps=3, form="matrix")
    at = stand_in_matrix_valuation(model, 7)
    for path in iter_paths(model, "W_n", "step"):
        row = np.ones((1, 1))
        for leg in path.legs:
            factor = at.leg(leg)
            row = row * factor if 1 in (row.size, factor.size) else row @ factor
        close(row.ravel(), at.product(path).ravel(order="F"), repr(path))


def test_the_loss_by_itself():
    for losses in ("all", "mean"):
        model = unroll("elman", steps=4, losses=losses, form="matrix")
        at = stand_in_matrix_valuation(model, 2)
        q = Quantity("l", 3)
        assert at.gradient(q).value == at.path_total(graph(model, q)).value == (1 if losses == "all" else 0.25)
    last = unroll("elman", steps=4, losses="last", form="matrix")
    at = stand_in_matrix_valuation(last, 2)
    unread = at.gradient(Quantity("y", 2))
    assert not unread.value.any() and unread.value.shape == (4,) and unread.log10 == -math.inf


# --- magnitudes beyond floats ---

LINEAR = "h = W @ h[t-1] + x\ny = h"


def long_model(scale, steps, text=LINEAR, **options):
    model = unroll(text, steps=steps, loss="squared", losses="last", form="matrix", **options)
    rotation = np.array([[0.6, -0.8], [0.8, 0.6]])
    point = MatrixPoint(
        {"W": scale * rotation},
        {("h", 0): np.array([1.0, 2.0])},
        np.ones((steps, 2)),
        np.zeros((steps, 2)),
        {"n_x": 2},
    )
    return model, point


@pytest.mark.parametrize("scale", [1e-3, 0.1])
def test_log10_of_tiny_products(scale):
    steps = 600
    model, point = long_model(scale, steps)
    at = MatrixValuation(model, point)
    h = np.linalg.norm(at.values["y", steps])
    for amount in (at.gradient(Quantity("h", 0)), at.path_total(graph(model, "h_0"))):
        assert not amount.value.any()
        assert amount.log10 == pytest.approx(steps * math.log10(scale) + math.log10(h), abs=1e-8)
    by_entry = at.entered(graph(model, "W"))  # d L / d W is a sum of outer products with h_{s−1}
    first = steps * math.log10(scale) - math.log10(scale) + math.log10(h) + math.log10(math.sqrt(5))
    assert by_entry[1].log10 == pytest.approx(first, abs=1e-8) and not by_entry[1].value.any()


def test_log10_of_huge_products():
    """A saturated tanh, so that the forward pass stays finite, and slopes below 10^−308 for a matrix above 10^300."""
    steps = 5
    model, point = long_model(1e150, steps)
    point = dataclasses.replace(point, initial={("h", 0): np.zeros(2)}, x=np.zeros((steps, 2)), d=np.ones((steps, 2)))
    at = MatrixValuation(model, point)  # y = 0 and ∂L/∂y = −d, while W^5 is beyond floats
    amount = at.gradient(Quantity("h", 0))
    assert np.isinf(amount.value).all()
    assert amount.log10 == pytest.approx(750 + math.log10(math.sqrt(2)), abs=1e-9)
    assert at.path(next(iter(iter_paths(model, "h_0")))).log10 == pytest.approx(amount.log10)


@pytest.mark.parametrize("activation", ["tanh", "logistic"])
def test_slopes_that_underflow_have_logarithms(activation):
    model, point = long_model(1.0, 2, "a = W @ h[t-1] + x\nh = sigma(a)\ny = h", activation=activation)
    point = dataclasses.replace(point, x=np.array([[0.3, -0.2], [900.0, 901.0]]))
    at = MatrixValuation(model, point)
    a = at.values["a", 2].ravel()
    slopes = [2 * math.log(2) - 2 * z if activation == "tanh" else -z for z in a]  # ln φ' of a large argument
    row = at.values["y", 2].ravel() * np.exp(np.array(slopes) - max(slopes)) @ point.parameters["W"]
    expected = (math.log(np.linalg.norm(row)) + max(slopes)) / math.log(10)
    found = at.gradient(Quantity("h", 1))
    assert found.log10 == pytest.approx(expected, abs=1e-9)
    assert found.log10 < -380 and not found.value.any()


def test_scaled_rows():
    big, small = Scaled.of(np.array([[3e200, 4e200]]), 1000), Scaled.of(np.array([[1.0, 1.0]]))
    assert (big + small).log10 == pytest.approx(math.log10(5e200) + 1000 * math.log10(2))
    assert (small + Scaled.of(np.zeros((1, 2)))).value.tolist() == [[1.0, 1.0]]
    tiny = Scaled.of(np.array([[1e-300, 0.0]]), -3000)
    assert (tiny + Scaled.of(np.zeros((1, 2)))).log10 == pytest.approx(-300 - 3000 * math.log10(2))
    assert (small + Scaled.of(-small.array)).log10 == -math.inf
    exact = Scaled.of(np.array([[0.1, -0.7]]), 7)
    assert exact.value.tolist() == [[0.1 * 128, -0.7 * 128]]
    with pytest.raises(NumericalFailure):
        Scaled.of(np.array([[np.inf]]))


# --- a wrong table shows ---


def spoil_factors(model, head, tail, change):
    """The model with one row of its table changed."""
    table = tuple(
        dataclasses.replace(edge, terms=change(edge.terms))
        if (edge.head.name, edge.tail.name) == (head, tail)
        else edge
        for edge in model.table
    )
    assert table != model.table
    return dataclasses.replace(model, table=table)


def with_value(factor, value):
    return dataclasses.replace(factor, value=value)


MUTANTS = {
    "transposed weight": ("a", "h", lambda terms: (tuple(with_value(f, Transpose(f.value)) for f in terms[0]),)),
    "dropped slope": ("h", "a", lambda terms: ((Factor(LocalRule.IDENTITY, Identity("n_h"), ("n_h", "n_h")),),)),
    "doubled term": ("a", "h", lambda terms: terms * 2),
    "slope of the state": (
        "h",
        "a",
        lambda terms: (tuple(with_value(f, Diagonal(Call("tanh", Quantity("h", 0, "t"), 1))) for f in terms[0]),),
    ),
    "wrong argument": (
        "a",
        "W_h",
        lambda terms: (tuple(with_value(f, Kronecker(Quantity("h", 0, "t"), "n_h")) for f in terms[0]),),
    ),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_mutants_of_the_table(name):
    head, tail, change = MUTANTS[name]
    model, values, expected = case_of("elman", CHOICES[0], 3, None, seed=5)
    spoiled = spoil_factors(model, head, tail, change)
    at = MatrixValuation(spoiled, point_for(model, *values))
    for found in (at.gradient(Quantity("W_h")), at.path_total(graph(spoiled, "W_h"))):
        assert not np.allclose(found.value, expected["W_h"], rtol=1e-3), name
    unspoiled = MatrixValuation(model, point_for(model, *values)).gradient(Quantity("W_h"))
    assert np.allclose(unspoiled.value, expected["W_h"])
    close(at.of(Derivative(L, Quantity("W_h"))).T, expected["W_h"], "named derivatives do not use the table")


def test_a_dropped_carry():
    """The LSTM without ∂c_t/∂c_{t−1}."""
    model, values, expected = case_of("lstm", CHOICES[0], 3, None, seed=5)
    table = tuple(e for e in model.table if (e.head.name, e.tail) != ("c", Quantity("c", -1, "t")))
    assert len(table) == len(model.table) - 1
    at = MatrixValuation(dataclasses.replace(model, table=table), point_for(model, *values))
    assert not np.allclose(at.gradient(Quantity("W_f")).value, expected["W_f"], rtol=1e-3)


def test_factors_in_the_wrong_order_do_not_fit_or_differ():
    model, values, expected = case_of("gru", CHOICES[0], 3, None, seed=5)  # ∂a_n/∂h = W_n diag(r)
    spoiled = spoil_factors(model, "a_n", "h", lambda terms: (terms[0][::-1],))
    at = MatrixValuation(spoiled, point_for(model, *values))
    assert not np.allclose(at.gradient(Quantity("W_n")).value, expected["W_n"], rtol=1e-6)
    elman, values, _ = case_of("elman", CHOICES[0], 3, None, seed=5)
    outer = spoil_factors(elman, "o", "h", lambda terms: (tuple(with_value(f, Transpose(f.value)) for f in terms[0]),))
    with pytest.raises(ValueError, match="matmul"):
        MatrixValuation(outer, point_for(elman, *values)).gradient(Quantity("W_h"))


@pytest.mark.parametrize("loss", ["squared", "cross-entropy"])
def test_a_wrong_row_of_an_abstract_model_stays_wrong(loss):
    model = unroll("elman", steps=3, form="matrix")
    at = [random_matrix_point(model, 4)]
    right = gradients_at(model, at[0], activation="logistic", loss=loss)
    for head, tail, change in (
        ("l", "y", lambda terms: ((Factor(LocalRule.NUMBER, Number(Fraction(2)), ("1", "1")), *terms[0]),)),
        ("y", "o", lambda terms: terms * 2),
        ("h", "a", lambda terms: ((with_value(terms[0][0], Diagonal(Call("sigma", Quantity("h", 0, "t"), 1))),),)),
    ):
        wrong = gradients_at(spoil_factors(model, head, tail, change), at[0], activation="logistic", loss=loss)
        assert wrong.loss == right.loss
        assert not np.allclose(wrong["W_h"], right["W_h"], rtol=1e-3), (head, tail)
    column = spoil_factors(model, "l", "y", lambda terms: (tuple(with_value(f, f.value.of) for f in terms[0]),))
    with pytest.raises((ValueError, AssertionError)):  # a column where a row must stand
        gradients_at(column, at[0], activation="tanh", loss="squared")


# --- concrete ---


@pytest.mark.parametrize("activation", [name for name in FUNCTIONS if name != "sigma"])
@pytest.mark.parametrize("loss", ["squared", "cross-entropy"])
@pytest.mark.parametrize("cell", ["elman", "residual"])
def test_functions_in_the_place_of_abstract_ones(cell, loss, activation):
    model = unroll(cell, steps=3, form="matrix")
    made = concrete(model, activation, loss)
    fresh = unroll(cell, steps=3, form="matrix", activation=activation, loss=loss)
    assert made.definitions == fresh.definitions and not made.is_abstract
    assert (made.collapse is None) == (fresh.collapse is None)
    rows = [node for edge in made.table for node in walk(edge.value)]
    assert not any(isinstance(n, StepLoss) or (isinstance(n, Call) and n.function == "sigma") for n in rows)
    for seed in range(200):
        point = random_matrix_point(model, seed, positive=seed % 2 == 0)
        try:
            found = gradients_at(model, point, activation=activation, loss=loss)
        except NumericalFailure:
            continue
        if found.loss < 1e6 and not (activation == "exp" and loss == "cross-entropy" and found.loss > 10):
            break  # repeated exponentials, and log(1 − y), leave no digits
    else:
        pytest.fail("no point in the domain")
    expected = gradients_at(fresh, point)
    for name, value in expected.items():
        close(found[name], value, f"{cell}, {activation}, {loss}, {name} at seed {seed}")
        complex_step = by_complex_step(MatrixValuation(fresh, point), model.resolve(name))
        error = np.linalg.norm(value.ravel() - complex_step.ravel())  # 1 − y may have few digits
        assert error <= 1e-6 * np.linalg.norm(value), f"{cell}, {activation}, {loss}, {name} at seed {seed}"


def test_concrete_leaves_what_needs_nothing():
    model = unroll("elman", activation="tanh", loss="squared", form="matrix")
    assert concrete(model, "sin") is model
    softmax_model = unroll("elman", activation="tanh", output_activation="softmax", loss="cross-entropy", form="matrix")
    made = concrete(softmax_model)
    assert made.collapse.result == softmax_model.collapse.general != softmax_model.collapse.result
    assert concrete(made) is made


# --- scalar form ---


@pytest.mark.parametrize("cell", BUILT_IN)
def test_a_model_in_scalar_form_as_arrays(cell):
    """Valuation and its twin agree, at every granularity; the joint state of the scalar form is a small matrix."""
    model = unroll(cell, steps=4)
    numbers = random_point(model, 3)
    point = MatrixPoint(
        {name: np.array(value) for name, value in numbers.parameters.items()},
        {key: np.array(value) for key, value in numbers.initial.items()},
        np.array(numbers.x)[:, None],
        np.array(numbers.d)[:, None],
        {},
    )
    at, scalar = MatrixValuation(model, point, stand_in_arrays()), Valuation(model, numbers, stand_in())
    for q in (*leaves(model), Quantity("x", 2), Quantity("y", 2)):
        close(at.gradient(q).value, scalar.gradient(q).value, f"{cell}, {q}")
        assert at.gradient(q).log10 == pytest.approx(scalar.gradient(q).log10, abs=1e-9)
        for granularity in ("state", "step"):
            total = at.path_total(graph(model, q, granularity))
            close(total.value, scalar.gradient(q).value, f"{cell}, {q} at granularity {granularity}")


def test_gradients_of_a_scalar_model():
    model = unroll("lstm", steps=3)
    point = random_point(model, 1)
    found = gradients_at(model, point, activation="tanh")
    at = Valuation(concrete(model, "tanh"), point)
    assert found.loss == at.values["L", None]
    assert found["W_f"].shape == () and float(found["W_f"]) == at.gradient(Quantity("W_f")).value
    assert found.input_gradients.tolist() == [at.gradient(Quantity("x", t)).value for t in (1, 2, 3)]
    assert found.states["c"].tolist() == [at.values["c", t] for t in (1, 2, 3)]
    assert found.outputs.shape == (3,)
    mapping = {**point.parameters, "x": point.x, "d": point.d}
    mapping |= {str(Quantity(*key)): value for key, value in point.initial.items()}
    assert gradients_at(model, mapping, activation="tanh")["b_y"] == found["b_y"]


def test_a_cell_without_input_and_a_learnable_scalar():
    text = "scalar tau\nh = tanh(tau * (W @ h[t-1]))\ny = h + tau"
    model = unroll(text, steps=3, loss="squared", form="matrix")
    for batch in (None, 2):
        point = random_matrix_point(model, 2, batch=batch)
        found = gradients_at(model, point)
        assert found.input_gradients is None and found["tau"].shape == ()
        at = MatrixValuation(model, point)
        for q in leaves(model):
            close(found[str(q)].ravel(), by_complex_step(at, q).ravel(), f"{q}, B = {batch}")
        assert found.outputs.shape == ((3, 3) if batch is None else (3, 2, 3))


# --- random points ---


def test_random_points():
    model = unroll("two-layer", steps=3, form="matrix")
    assert sorted(random_sizes(model).values()) == [2, 3, 4, 5]
    point = random_matrix_point(model, 4, batch=2)
    again = random_matrix_point(model, 4, batch=2)
    assert all((point.parameters[name] == again.parameters[name]).all() for name in point.parameters)
    entries = np.concatenate([array.ravel() for array in (*point.parameters.values(), *point.initial.values())])
    assert (np.abs(entries) > 0.2).all() and (entries > 0).any() and (entries < 0).any()
    assert ((point.d > 0) & (point.d < 1)).all() and point.label == "seed 4"
    with pytest.raises(InputError, match=r"'n_q' is not a size: the sizes of two-layer are n_x, n_h, n_s, n_y\. Did"):
        random_matrix_point(model, 0, {"n_q": 2})
    with pytest.raises(InputError, match="n_h is 0; a size is a whole number, at least 1"):
        random_matrix_point(model, 0, {"n_h": 0})
    with pytest.raises(InputError, match="in scalar form there are none"):
        random_matrix_point(unroll("elman"), 0, {"n_h": 2})
    scalar = random_matrix_point(unroll("elman"), 0)
    assert scalar.parameters["W_x"].shape == () and scalar.x.shape == (3, 1)
    distribution = random_matrix_point(unroll("elman", output_activation="softmax", form="matrix"), 0)
    close(distribution.d.sum(axis=-1), np.ones(3), "softmax")


@pytest.mark.parametrize("function", ["log", "sqrt"])
def test_functions_with_a_domain_find_a_point(function):
    model = unroll(f"h = {function}(W @ h[t-1] + x + b)\ny = h", steps=2, form="matrix")
    at = stand_in_matrix_valuation(model, 1)
    for q in leaves(model):
        close(at.gradient(q).value.ravel(), by_complex_step(at, q).ravel(), q, 1e-9)


def test_the_point_of_numbers_is_refused_in_matrix_form():
    model = unroll("elman", steps=2, form="matrix")
    with pytest.raises(InputError, match="matrix"):
        gradients_at(model, Point({}, {}, (1.0,), (1.0,)))
