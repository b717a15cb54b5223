"""The array reading: expressions, the forward pass with what is moved, held and resumed, complex steps."""

from __future__ import annotations

import dataclasses
from fractions import Fraction

import networks as net
import numpy as np
import pytest

from rnn_symbolic.array_functions import ARRAYS, softmax
from rnn_symbolic.arrays import (
    MatrixPoint,
    complex_pass,
    coordinates,
    evaluate_array,
    forward_arrays,
    magnitude_array,
    size_of,
)
from rnn_symbolic.errors import ForwardOverflow, NumericalFailure
from rnn_symbolic.expressions import (
    ONE,
    ZERO,
    Add,
    Apply,
    Blocks,
    Call,
    Chain,
    Derivative,
    Diagonal,
    Identity,
    Kronecker,
    Multiply,
    Number,
    Ones,
    Power,
    Quantity,
    Transpose,
)
from rnn_symbolic.gradients import gradients_at
from rnn_symbolic.matrix_valuation import MatrixValuation, random_matrix_point
from rnn_symbolic.model import unroll


def close(found, expected, case, tolerance=1e-11):
    assert np.shape(found) == np.shape(expected), f"{case}: {np.shape(found)}, not {np.shape(expected)}"
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance, err_msg=str(case))


# --- forward ---


@pytest.mark.parametrize("batch", [None, 3])
@pytest.mark.parametrize("key", [("h", 2), ("x", 3), ("c", 0), ("W_f", None), ("y", 3), ("(h,c)", 2), ("(h,c)", 0)])
def test_a_pass_resumed_is_the_whole_pass(key, batch):
    model = unroll("lstm", steps=4, loss="cross-entropy", activation="logistic", form="matrix")
    point = random_matrix_point(model, 1, batch=batch)
    plain = forward_arrays(model, point)
    rows = {"x": (2, 1), "W_f": (3, 3), "y": (4, 1), "(h,c)": (6, 1)}.get(key[0], (3, 1))
    move = coordinates(np.zeros(rows), batch) * 0.01
    whole = forward_arrays(model, point, ARRAYS, (key, move))
    resumed = forward_arrays(model, point, ARRAYS, (key, move), resume=plain)
    assert whole.keys() == resumed.keys() == plain.keys()
    for name, value in whole.items():
        np.testing.assert_array_equal(value, np.broadcast_to(resumed[name], value.shape), str(name))
    for i in range(len(move)):  # an axis of coordinates is as many passes, one for each
        single = forward_arrays(model, point, ARRAYS, (key, move[i]))
        close(np.broadcast_to(whole["L", None], (len(move), 1, 1))[i], single["L", None], f"{key} {i}", 1e-13)


def test_what_is_held_stays():
    model = unroll("lstm", steps=3, loss="squared", activation="tanh", form="matrix")
    point = random_matrix_point(model, 1)
    held = np.full((3, 1), 0.25)
    values = forward_arrays(model, point, hold={("h", 2): held})
    plain = forward_arrays(model, point)
    assert values["h", 2] is held
    assert (values["c", 2] == plain["c", 2]).all() and (values["c", 3] != plain["c", 3]).any()
    at_hold = net.logistic(point.parameters["W_y"] @ held + point.parameters["b_y"][:, None] + 0j).real
    logistic = unroll("lstm", steps=3, loss="squared", activation="logistic", form="matrix")
    close(forward_arrays(logistic, point, hold={("h", 2): held})["y", 2], at_hold, "y_2 reads what is held")


def test_the_loss_is_stable_and_follows_a_moved_output():
    model = unroll(
        "y = W @ x", steps=1, loss="cross-entropy", activation="logistic", form="matrix"
    )  # no activation: nothing collapses
    assert model.collapse is None
    text = "o = W @ x + b\ny = sigma(o)"
    for output in ("logistic", "softmax"):
        model = unroll(text, steps=1, loss="cross-entropy", output_activation=output, form="matrix")
        one = np.array([[800.0], [-800.0]])
        point = MatrixPoint(
            {"W": one, "b": np.zeros(2)}, {}, np.ones((1, 1)), np.array([[0.0, 1.0]]), {"n_x": 1, "n_y": 2}
        )
        found = gradients_at(model, point)
        assert found.loss == 1600.0, output
        close(found["b"], np.array([1.0, -1.0]), output)
        at = MatrixValuation(model, random_matrix_point(model, 2))
        y, l1 = Quantity("y", 1), Quantity("l", 1)
        expected = at.of(Derivative(l1, y, immediate=True))
        assert expected.any()
        close(at.of(Derivative(l1, y)), expected, "a moved y moves the loss")


def test_messages_of_the_forward_pass():
    steep = unroll("h = W @ h[t-1] + x\ny = exp(h)", steps=400, loss="squared", form="matrix")
    point = random_matrix_point(steep, 0)
    grown = dataclasses.replace(point, parameters={"W": np.full((2, 2), 10.0)})
    with pytest.raises(ForwardOverflow, match=r"overflows at step \d+: [yl]_\d+ is not a finite number"):
        forward_arrays(steep, grown)
    logarithm = unroll("y = log(x)", steps=2, loss="squared", form="matrix")
    at = MatrixPoint({}, {}, np.array([[1.0, 2.0], [1.0, -2.0]]), np.zeros((2, 2)), {"n_x": 2})
    with pytest.raises(NumericalFailure, match="y_2 has no value at step 2: a logarithm, root or power outside"):
        forward_arrays(logarithm, at)
    quotient = unroll("y = 1 / x", steps=2, loss="squared", form="matrix")
    zero = dataclasses.replace(at, x=np.array([[1.0, 2.0], [1.0, 0.0]]))
    with pytest.raises(NumericalFailure, match="y_2 has no value at step 2: a division by zero"):
        forward_arrays(quotient, zero)
    root = unroll("y = sqrt(x * x) ** 1.5", steps=2, loss="squared", form="matrix")
    with pytest.raises(NumericalFailure, match=r"the derivative of|local derivative"):
        MatrixValuation(root, zero).gradient(Quantity("x", 2))
    assert MatrixValuation(root, at).gradient(Quantity("x", 2)).value.shape == (2,)


def test_no_complex_step_is_small_enough():
    model = unroll("h = W @ h[t-1] + x\ny = h", steps=5, loss="squared", form="matrix")
    zeros = np.zeros((5, 2))
    point = MatrixPoint({"W": np.diag([1e150, 1e149])}, {("h", 0): zeros[0]}, zeros, zeros, {"n_x": 2})
    with pytest.raises(NumericalFailure, match="a complex step overflows"):
        complex_pass(model, point, ("h", 0), coordinates(np.zeros((2, 1)), None))


def test_complex_step_along_a_direction():
    model = unroll("gru", steps=3, loss="squared", activation="tanh", form="matrix")
    point = random_matrix_point(model, 3, batch=2)
    at = MatrixValuation(model, point)
    direction = np.random.default_rng(3).normal(size=(3, 3))
    h, moved = complex_pass(model, point, ("W_z", None), direction)
    slope = np.sum(at.gradient(Quantity("W_z")).value * direction)
    assert moved["L", None].imag.item() / h == pytest.approx(slope, rel=1e-12)


def test_rounding_of_the_loss_is_an_upper_bound_and_small():
    model = unroll("lstm", steps=5, loss="squared", activation="tanh", form="matrix")
    at = MatrixValuation(model, random_matrix_point(model, 3, batch=3))
    assert 0 < at.loss_rounding < 1e-11
    shuffled = dataclasses.replace(at.point, x=at.point.x[:, ::-1], d=at.point.d[:, ::-1])
    other = MatrixValuation(model, shuffled)
    assert abs(other.values["L", None] - at.values["L", None]) <= at.loss_rounding


# --- expressions ---

A = np.array([[1.0, 2.0], [3.0, 4.0]])
U, V = np.array([[5.0], [6.0]]), np.array([[7.0], [8.0]])
VALUES = {("A", None): A, ("u", 1): U, ("v", 1): V, ("s", None): np.array([[3.0]])}
QA, QU, QV, QS = Quantity("A"), Quantity("u", 1), Quantity("v", 1), Quantity("s")


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        (Chain((Diagonal(QU), QA)), np.diag([5.0, 6.0]) @ A),
        (Chain((Transpose(QU), QA, QS, QV)), 3 * U.T @ A @ V),
        (Chain((Number(Fraction(-1)), QU, Transpose(QV))), -U @ V.T),
        (Multiply((QU, QV), vectors=True), U * V),
        (Multiply((QS, Number(Fraction(1, 2)), QU)), 1.5 * U),
        (Add((Diagonal(QU), Identity("n"))), np.diag([6.0, 7.0])),
        (Add((Number(Fraction(1)), QU)), 1 + U),
        (Chain((Transpose(Ones("n")), QU)), np.array([[11.0]])),
        (Kronecker(QU, "n"), np.kron(U.T, np.eye(2))),
        (Blocks(((QA, QU), (ZERO, QS))), np.block([[A, U], [np.zeros((1, 2)), np.array([[3.0]])]])),
        (Blocks(((ONE, ZERO), (QS, Number(Fraction(2))))), np.array([[1.0, 0.0], [3.0, 2.0]])),
        (Power(QU, Fraction(-2)), U**-2.0),
        (Call("softmax", QU), softmax(U)),
        (Call("logsumexp", QU), np.log(np.exp(U).sum(keepdims=True))),
        (Call("sum", QU), np.array([[11.0]])),
        (Quantity("(u,v)", 1), np.vstack([U, V])),
        (Apply(QA, QU), A @ U),
    ],
)
def test_expressions(expression, expected):
    close(evaluate_array(expression, VALUES, {"n": 2}), expected, expression)
    for leading in ((3,), (4, 1)):
        spread = {key: np.broadcast_to(value, (*leading, *value.shape)) for key, value in VALUES.items() if key[1]}
        found = evaluate_array(expression, {**VALUES, **spread}, {"n": 2})
        close(np.broadcast_to(found, (*leading, *expected.shape))[-1].squeeze(), expected.squeeze(), expression)


def test_blocks_of_zeros():
    """Where nothing says how large a zero is, the joint state does."""
    row = Blocks(((ZERO, Transpose(QU)),))
    found = evaluate_array(row, VALUES, {}, joint=(3, 2))
    close(found, np.array([[0.0, 0.0, 0.0, 5.0, 6.0]]), row)
    column = Blocks(((QU,), (ZERO,)))
    close(evaluate_array(column, VALUES, {}, joint=(2, 3)), np.array([[5.0, 6.0, 0.0, 0.0, 0.0]]).T, column)


def test_magnitudes():
    difference = Add((QU, Multiply((Number(Fraction(-1)), QV))))
    for wrapped, expected in (
        (difference, U + V),
        (Apply(QA, difference), A @ (U + V)),
        (Call("sum", difference), np.array([[26.0]])),
        (Power(difference, Fraction(2)), (U + V) ** 2),
        (Call("tanh", difference), np.tanh(V - U)),
        (Chain((Transpose(difference), Number(Fraction(-2)), QA)), 2 * (U + V).T @ A),
    ):
        close(magnitude_array(wrapped, VALUES, {}), expected, wrapped)


def test_sizes_as_numbers():
    assert [size_of(s, {"a": 3, "b": 5}) for s in ("a", "1", "a+b", "a*b", "a*b+1")] == [3, 1, 8, 15, 16]
