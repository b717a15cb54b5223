"""The grammar of formulas: records that keep the order in which they were written."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from fractions import Fraction

import pytest

from rnn_symbolic.expressions import (
    MINUS_ONE,
    ONE,
    ZERO,
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
    add,
    at_step,
    children,
    multiply,
    quantities,
    transform,
    walk,
)

W, h, x, b = Quantity("W"), Quantity("h", -1, "t"), Quantity("x", 0, "t"), Quantity("b")
EVERYTHING = Add(
    (
        Call("sigma", Apply(W, h), 1),
        Multiply((Power(x, Fraction(2)), Number(Fraction(3)))),
        StepLoss(Quantity("l", 0, "t"), b),
        Derivative(Quantity("a", 0, "t"), h, immediate=True),
    )
)


def test_records_are_values() -> None:
    assert Quantity("h", 3) == Quantity("h", 3) != Quantity("h", 3, "t")
    assert len({Quantity("h", 3), Quantity("h", 3), Quantity("h")}) == 2
    with pytest.raises(FrozenInstanceError):
        W.name = "V"  # type: ignore[misc]


def test_order_and_repetition_are_kept() -> None:
    assert Multiply((x, W, x)) != Multiply((W, x, x))
    assert Add((x, x)) != Multiply((Number(Fraction(2)), x))


@pytest.mark.parametrize(
    ("quantity", "text"),
    [
        (W, "W"),
        (h, "h[t-1]"),
        (x, "x[t]"),
        (Quantity("h", 1, "t"), "h[t+1]"),
        (Quantity("h", 12), "h_12"),
        (Quantity("h", -1), "h_-1"),
    ],
)
def test_names(quantity: Quantity, text: str) -> None:
    assert str(quantity) == text


def test_at_step_moves_everything_that_has_the_running_index() -> None:
    moved = at_step(EVERYTHING, 5)
    assert [str(q) for q in quantities(moved)] == ["W", "h_4", "x_5", "b"]
    loss, named = (node for node in walk(moved) if isinstance(node, StepLoss | Derivative))
    assert isinstance(loss, StepLoss)
    assert loss.loss == Quantity("l", 5)
    assert named == Derivative(Quantity("a", 5), Quantity("h", 4), immediate=True)
    assert at_step(moved, 9) == moved  # numbers of steps stay
    assert [Quantity("h", 2).at(7), W.at(7)] == [Quantity("h", 2), W]


def test_walk_is_outermost_first_and_left_to_right() -> None:
    assert [type(node).__name__ for node in walk(EVERYTHING)] == [
        "Add", "Call", "Apply", "Quantity", "Quantity", "Multiply", "Power", "Quantity", "Number",
        "StepLoss", "Quantity", "Derivative",
    ]  # fmt: skip
    assert children(W) == ()


def test_walk_has_no_recursion_limit() -> None:
    deep: Expression = x
    for _ in range(5000):
        deep = Call("tanh", deep)
    assert sum(1 for _ in walk(deep)) == 5001


def test_transform_visits_every_node_innermost_first() -> None:
    seen: list[str] = []

    def visit(node: Expression) -> Expression:
        seen.append(type(node).__name__)
        return node

    assert transform(EVERYTHING, visit) == EVERYTHING
    assert (seen[0], seen[-1], len(seen)) == ("Quantity", "Add", 12)


@pytest.mark.parametrize(
    ("factors", "product"),
    [
        ((), ONE),
        ((ONE, ONE), ONE),
        ((W,), W),
        ((ONE, W, ONE), W),
        ((W, x), Multiply((W, x))),
        ((Multiply((W, x)), b), Multiply((W, x, b))),
        ((W, ZERO, x), ZERO),
        ((MINUS_ONE, MINUS_ONE), Multiply((MINUS_ONE, MINUS_ONE))),  # nothing is computed
    ],
)
def test_multiply(factors: tuple[Expression, ...], product: Expression) -> None:
    assert multiply(*factors) == product


@pytest.mark.parametrize(
    ("terms", "total"),
    [((), ZERO), ((ZERO, W), W), ((W, W), Add((W, W))), ((Add((W, x)), b), Add((W, x, b)))],
)
def test_add(terms: tuple[Expression, ...], total: Expression) -> None:
    assert add(*terms) == total
