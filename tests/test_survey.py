"""The paths to one quantity as a whole: sums by group agree with the listing, and limits are kept."""

from __future__ import annotations

import math

import pytest

from rnn_symbolic.errors import InputError
from rnn_symbolic.model import unroll
from rnn_symbolic.survey import survey_paths
from rnn_symbolic.valuation import Valuation, random_point

SEED = 5


def valuation(steps: int, cell: str = "elman") -> Valuation:
    model = unroll(cell, steps=steps, activation="tanh", loss="squared")
    return Valuation(model, random_point(model, SEED))


@pytest.mark.parametrize("cell", ["elman", "lag2", "residual"])
@pytest.mark.parametrize("by", ["lag", "loss", "route"])
@pytest.mark.parametrize("goal", ["W_x", "h_0", "x_2"])
def test_sums_by_group_are_those_of_the_listed_paths(cell: str, by: str, goal: str) -> None:
    at = valuation(4, cell)
    listed = survey_paths(at.model, goal, valuation=at)
    grouped = survey_paths(at.model, goal, valuation=at, by=by)
    assert listed.paths is not None and grouped.groups is not None and grouped.paths is None
    keys = {
        "lag": lambda path: path.lag,
        "loss": lambda path: path.loss_step,
        "route": lambda path: "-".join(dict.fromkeys(node.name for node in path.nodes[2:-1])),
    }
    for group in grouped.groups:
        members = [amount for path, amount in listed.paths if keys[by](path) == group.key]
        assert group.count == len(members)
        assert group.amount is not None
        assert group.amount.value == pytest.approx(sum(a.value for a in members if a), rel=1e-12), f"seed {SEED}"
    assert sum(group.count for group in grouped.groups) == listed.count == len(listed.paths)
    assert listed.total is not None and grouped.total is not None
    assert listed.total.value == pytest.approx(grouped.total.value, rel=1e-12)


def test_the_largest_come_first() -> None:
    at = valuation(5)
    every = survey_paths(at.model, "W_h", valuation=at)
    top = survey_paths(at.model, "W_h", valuation=at, top=4)
    assert every.paths is not None and top.paths is not None
    magnitudes = sorted((abs(a.value) for _, a in every.paths if a), reverse=True)
    assert [abs(a.value) for _, a in top.paths if a] == pytest.approx(magnitudes[:4])


def test_limits_name_the_way_out() -> None:
    at = valuation(20)
    with pytest.raises(InputError, match="--max-paths"):
        survey_paths(at.model, "W_x", valuation=at, by="lag", limit=3)
    with pytest.raises(InputError, match="--count"):
        survey_paths(at.model, "W_x", limit=3)
    with pytest.raises(InputError, match="more than the limit"):
        survey_paths(at.model, "W_x", valuation=at, top=1, limit=3)
    counted = survey_paths(at.model, "W_x", by="lag", limit=3)  # counting lists nothing
    assert counted.groups is not None and sum(g.count for g in counted.groups) == 210
    assert math.isfinite(counted.count)
