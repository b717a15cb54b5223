"""The paths to one quantity as a whole: sums by group agree with the listing, and limits are kept."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from rnn_symbolic.errors import InputError
from rnn_symbolic.matrix_valuation import MatrixAmount, MatrixValuation, random_matrix_point
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


# --- matrix form ---


def matrix_valuation(steps: int, cell: str = "elman", batch: int | None = None, **options: str) -> MatrixValuation:
    model = unroll(cell, steps=steps, form="matrix", **{"activation": "tanh", "loss": "squared", **options})
    return MatrixValuation(model, random_matrix_point(model, SEED, batch=batch))


def entries(amount: object) -> np.ndarray:
    assert isinstance(amount, MatrixAmount)
    return amount.value


@pytest.mark.parametrize("cell", ["elman", "lag2", "residual", "lstm", "gru"])
@pytest.mark.parametrize("by", ["lag", "loss", "route"])
@pytest.mark.parametrize("batch", [None, 3])
def test_sums_of_arrays_by_group_are_those_of_the_listed_paths(cell: str, by: str, batch: int | None) -> None:
    at = matrix_valuation(3, cell, batch)
    keys = {
        "lag": lambda path: path.lag,
        "loss": lambda path: path.loss_step,
        "route": lambda path: "-".join(dict.fromkeys(node.name for node in path.nodes[2:-1])),
    }
    for goal in ("W_y", str(at.model.parameters[0]), "b_y", "h_0", "x_2"):
        listed = survey_paths(at.model, goal, valuation=at)
        grouped = survey_paths(at.model, goal, valuation=at, by=by)
        gradient = at.gradient(at.model.resolve(goal))
        assert listed.paths is not None and grouped.groups is not None and grouped.paths is None
        for group in grouped.groups:
            members = [entries(amount) for path, amount in listed.paths if keys[by](path) == group.key]
            assert group.count == len(members), goal
            assert entries(group.amount) == pytest.approx(sum(members), rel=1e-11, abs=1e-13), f"{goal}, seed {SEED}"
            norm = float(np.linalg.norm(entries(group.amount)))
            assert group.amount is not None and group.amount.log10 == pytest.approx(math.log10(norm), abs=1e-12)
        for survey in (listed, grouped):
            assert entries(survey.total) == pytest.approx(gradient.value, rel=1e-11, abs=1e-13), f"{goal}, seed {SEED}"
            assert entries(survey.total).shape == gradient.value.shape
        assert sum(group.count for group in grouped.groups) == listed.count == len(listed.paths)


def test_the_largest_arrays_come_first() -> None:
    at = matrix_valuation(5)
    every = survey_paths(at.model, "W_h", valuation=at)
    top = survey_paths(at.model, "W_h", valuation=at, top=4)
    assert every.paths is not None and top.paths is not None
    norms = sorted((float(np.linalg.norm(entries(amount))) for _, amount in every.paths), reverse=True)
    assert [float(np.linalg.norm(entries(amount))) for _, amount in top.paths] == pytest.approx(norms[:4])
    assert survey_paths(at.model, "W_h", valuation=at, top=100).paths is not None


@pytest.mark.parametrize("cell", ["elman", "lag2", "two-layer", "lstm"])
@pytest.mark.parametrize("batch", [None, 3])
def test_the_joint_state_step_by_step(cell: str, batch: int | None) -> None:
    at = matrix_valuation(3, cell, batch)
    for goal in ("W_y", str(at.model.parameters[0]), "b_y", "h_0", "x_2"):
        gradient = at.gradient(at.model.resolve(goal)).value
        listed = survey_paths(at.model, goal, granularity="step", valuation=at)
        assert listed.paths is not None
        total = sum(entries(amount) for _, amount in listed.paths)
        assert total == pytest.approx(gradient, rel=1e-11, abs=1e-13), f"{goal}, seed {SEED}"
        for by in ("lag", "loss", "route"):
            grouped = survey_paths(at.model, goal, granularity="step", valuation=at, by=by)
            assert grouped.groups is not None and sum(group.count for group in grouped.groups) == listed.count
            total = sum(entries(group.amount) for group in grouped.groups)
            assert total == pytest.approx(gradient, rel=1e-11, abs=1e-13), f"{goal} by {by}, seed {SEED}"
    assert survey_paths(at.model, str(at.model.parameters[1]), granularity="step").count >= 6


def test_paths_to_a_scalar_have_numbers() -> None:
    model = unroll("scalar tau\nh = tau * h[t-1] + x\ny = h", steps=3, form="matrix", loss="squared")
    at = MatrixValuation(model, random_matrix_point(model, SEED))
    survey = survey_paths(model, "tau", valuation=at, by="lag")
    assert survey.groups is not None
    assert [entries(group.amount).shape for group in survey.groups] == [()] * 3
    assert sum(entries(group.amount) for group in survey.groups) == pytest.approx(entries(survey.total))


def test_groups_beyond_floats_keep_what_is_known() -> None:
    model = unroll("linear", steps=400, form="matrix", losses="last", loss="squared")
    point = random_matrix_point(model, SEED)
    small = {**point.parameters, "W_h": np.eye(3) * 0.1}
    at = MatrixValuation(model, replace(point, parameters=small))
    survey = survey_paths(model, "W_x", valuation=at, by="lag")
    assert survey.groups is not None and len(survey.groups) == 400
    amounts = [group.amount for group in survey.groups]
    assert all(a is not None and math.isfinite(a.log10) for a in amounts)  # one path a lag: exact, however small
    assert amounts[399] is not None and amounts[399].log10 < -395 and not entries(amounts[399]).any()
    every = unroll("linear", steps=400, form="matrix", loss="squared")
    at = MatrixValuation(every, replace(point, parameters=small))
    survey = survey_paths(every, "W_x", valuation=at, by="lag")
    assert survey.groups is not None
    assert survey.groups[0].amount is not None and math.isfinite(survey.groups[0].amount.log10)
    assert survey.groups[390].amount is not None and math.isnan(survey.groups[390].amount.log10)


def test_arrays_of_many_paths_are_refused() -> None:
    model = unroll("elman", steps=60, form="matrix", activation="tanh", loss="squared")
    at = MatrixValuation(model, random_matrix_point(model, SEED, sizes={"n_h": 40}))
    with pytest.raises(
        InputError, match="1,830 paths to W_h hold 2,928,000 numbers, more than 1,900,000; use --by lag"
    ):
        survey_paths(model, "W_h", valuation=at, limit=1900)
    top = survey_paths(model, "W_h", valuation=at, limit=1900, top=3).paths
    assert top is not None and len(top) == 3
