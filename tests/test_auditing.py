"""The audit against mistakes planted by hand, gradients of PyTorch, noise, and mistakes that no catalogue has."""

from __future__ import annotations

import importlib.util
import itertools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import planted
import pytest
import torch_autograd

import rnn_symbolic as rs
from rnn_symbolic.auditing.cases import Case
from rnn_symbolic.auditing.catalogue import table_mistakes
from rnn_symbolic.auditing.conventions import other_networks
from rnn_symbolic.auditing.inspection import catalogue_of
from rnn_symbolic.auditing.mistakes import selections
from rnn_symbolic.auditing.points import audit_points
from rnn_symbolic.auditing.records import KINDS, Audit
from rnn_symbolic.auditing.sweep import RIGHT, Sweep
from rnn_symbolic.builtin_cells import BUILT_IN
from rnn_symbolic.matrix_valuation import MatrixValuation, random_matrix_point
from rnn_symbolic.paths import graph

FORMS = ("scalar", "matrix")
WEIGHTS = ("W_h", "W_x", "b_h", "W_y", "b_y")
Function = Callable[..., Any]


def model(cell: str, form: str, steps: int = 4) -> rs.Model:
    return rs.unroll(cell, steps=steps, form=form, activation="logistic", loss="squared")


def student(cell: str, *codes: str) -> Function:
    """A function with mistakes planted in it."""

    def gradients(params: Mapping[str, Any], x: Any, d: Any, state: Mapping[str, Any]) -> Any:
        return planted.loss_and_gradients(cell, params, x, d, state, codes)

    return gradients


def kinds(audit: Audit) -> set[str]:
    return {str(finding.kind) for finding in audit.wrong}


# --- sweeps ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("cell", BUILT_IN)
def test_groups_are_the_sums_of_paths(cell: str, form: str) -> None:
    found = model(cell, form)
    point = random_matrix_point(found, 3)
    sweep, valuation = Sweep(found, point), MatrixValuation(found, point)
    goals = (*found.parameters, *found.initial_states)
    groups = sweep.groups((RIGHT,), goals)
    for goal in goals:
        for t, s, amount in valuation.groups(graph(found, goal)):
            np.testing.assert_allclose(
                sweep.shaped(goal, groups[goal][0, t - 1, s - 1]), amount.value, rtol=1e-11, atol=1e-15
            )


def test_samples_add_up() -> None:
    found = model("gru", "matrix")
    point = random_matrix_point(found, 3, batch=3)
    sweep = Sweep(found, point)
    right = rs.gradients_at(found, point)
    for goal in (*found.parameters, *found.initial_states):
        groups = sweep.groups((RIGHT,), (goal,))[goal][0]
        np.testing.assert_allclose(sweep.shaped(goal, groups.sum((0, 1))), right[str(goal)], rtol=1e-12)


@pytest.mark.parametrize("cell", BUILT_IN)
def test_every_mistake_of_the_table_changes_a_gradient(cell: str) -> None:
    found = model(cell, "matrix")
    point = random_matrix_point(found, 0, {name: 3 for name in found.shapes.sizes} if found.shapes else None)
    sweep = Sweep(found, point)
    goals = (*found.parameters, *found.initial_states)
    mistakes = table_mistakes(found, point.sizes)
    groups = sweep.groups((RIGHT, *(m.variant for m in mistakes)), goals, whole=True)
    flat = np.concatenate([groups[goal][:, 0, 0] for goal in goals], axis=1)
    silent = [m for m, row in zip(mistakes, flat[1:], strict=True) if np.allclose(row, flat[0], rtol=1e-9, atol=1e-12)]
    # relu' is 0 or 1: its square is no mistake
    assert all(cell == "irnn" and mistake.code.startswith("slope-twice") for mistake in silent), silent


def test_the_catalogue_names_no_cell() -> None:
    text = "u = W_u @ x + V_u @ q[t-1]\nq = tanh(u)\nm = logistic(G @ q)\nr = m * q + (1 - m) * q[t-1]\ny = r"
    found = rs.unroll(text, form="matrix", activation="logistic", loss="squared")
    point = random_matrix_point(found, 0)
    mistakes = [*table_mistakes(found, point.sizes), *(o.mistake for o in other_networks(found, point.sizes))]
    assert {m.kind for m in mistakes} >= {"missing-route", "missing-carry", "transpose", "order", "convention", "index"}
    assert {m.kind for m in mistakes} <= set(KINDS)


@pytest.mark.parametrize("T", [2, 3, 6])
def test_selections_leave_something_out_and_differ(T: int) -> None:
    masks = [mistake.mask(T) for mistake in selections(T)]
    assert all((mask <= np.tril(np.ones((T, T)))).all() for mask in masks)
    assert len({mask.tobytes() for mask in masks}) >= len(masks) - 8  # "the last" is "the second" at T = 2


def test_points_hide_nothing() -> None:
    for place in audit_points(model("lstm", "matrix"), steps=None, seed=0):
        assert place.model.steps >= 3
        point: Any = place.point
        assert all(np.all(np.abs(value) > 0.05) for value in point.initial.values())
        assert len(set(point.sizes.values())) == len(point.sizes)
        square = [value for value in point.parameters.values() if value.ndim == 2 and len(set(value.shape)) == 1]
        assert all(np.abs(value - value.T).max() > 0.1 for value in square)


# --- what is right ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("cell", BUILT_IN)
def test_right_code_is_correct(cell: str, form: str) -> None:
    audit = rs.audit(cell, function=student(cell), form=form)
    assert audit.verdict == "correct", audit
    assert audit.would_pass_usual_check is True


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="PyTorch is not installed")
@pytest.mark.parametrize(
    ("cell", "precision"), [*((cell, "float64") for cell in BUILT_IN), ("elman", "float32"), ("lstm", "float32")]
)
def test_gradients_of_pytorch_are_correct(cell: str, precision: str) -> None:
    found = model(cell, "matrix", 5)
    point = random_matrix_point(found, 2)
    state = {f"{name}_{t}": value for (name, t), value in found_initial(point).items()}
    values = {**point.parameters, **state}
    gradients = torch_gradients(found, values, point, precision)
    given = {**point.parameters, **state, "x": point.x, "d": point.d}
    audit = rs.audit(found, gradients=gradients, values=given)
    assert audit.verdict == "correct", audit


def found_initial(point: Any) -> dict[Any, Any]:
    return dict(point.initial)


def torch_gradients(found: rs.Model, values: Mapping[str, Any], point: Any, precision: str) -> dict[str, Any]:
    import torch

    kind = getattr(torch, precision)
    tensors = {name: torch.tensor(np.asarray(value), dtype=kind, requires_grad=True) for name, value in values.items()}
    x, d = (torch.tensor(np.asarray(series), dtype=kind)[:, None] for series in (point.x, point.d))
    loss = torch_autograd.loss(
        found.cell.text, tensors, x, d, activation="logistic", output="logistic", losses="all"
    )  # fmt: skip
    loss.backward()
    return {name: tensor.grad for name, tensor in tensors.items() if tensor.grad is not None}


@pytest.mark.parametrize("form", FORMS)
def test_noise_is_no_mistake(form: str) -> None:
    noise(form, 14)


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_noise_is_no_mistake_in_hundreds(form: str) -> None:
    noise(form, 280)


def noise(form: str, trials: int) -> None:
    cells = itertools.cycle(BUILT_IN)
    for seed, cell in zip(range(trials), cells, strict=False):
        found = model(cell, form, 3 + seed % 4)
        point = random_matrix_point(found, seed)
        rng = np.random.default_rng(seed)
        right = rs.gradients_at(found, point if form == "matrix" else numbers(point))
        given = {
            name: value + 1e-12 * np.abs(value).max() * rng.uniform(-1, 1, np.shape(value))
            for name, value in right.items()
        }
        audit = rs.audit(found, gradients=given, values=point if form == "matrix" else numbers(point))
        dead = {name for name, value in right.items() if not np.any(value)}  # a rectified unit that is off
        assert {f.wrt for f in audit.findings if f.status != "right"} <= dead, (cell, form, seed)
        assert audit.verdict != "wrong"


def numbers(point: Any) -> Any:
    from rnn_symbolic.auditing.points import scalar_point

    return scalar_point(point)


# --- what is wrong ----------------------------------------------------------------------------------------------------


def trials(every: int) -> list[Any]:
    found = []
    for cell in BUILT_IN:
        for i, mistake in enumerate(planted.planted_mistakes(cell)):
            for form in FORMS:
                if mistake.batch or (form == "scalar" and not mistake.scalar) or mistake.kind == "unknown":
                    continue
                if (i + 7 * FORMS.index(form)) % every == 0:
                    found.append(pytest.param(mistake, form, id=f"{cell}-{mistake.code}-{form}"))
    return found


def named(mistake: planted.Planted, form: str, steps: int | None) -> Audit:
    sizes = dict.fromkeys(model(mistake.cell, form).shapes.sizes, 3) if mistake.square and form == "matrix" else None  # type: ignore[union-attr]
    return rs.audit(mistake.cell, function=student(mistake.cell, mistake.code), form=form, sizes=sizes, steps=steps)


@pytest.mark.parametrize(("mistake", "form"), trials(61))
def test_planted_mistakes_are_named(mistake: planted.Planted, form: str) -> None:
    audit = named(mistake, form, None)
    assert audit.verdict == "wrong"
    allowed = {mistake.kind, *mistake.also}
    assert kinds(audit) <= allowed, (mistake, [(f.wrt, f.kind, f.mistakes) for f in audit.wrong])


@pytest.mark.slow
@pytest.mark.parametrize(("mistake", "form"), trials(37))
def test_planted_mistakes_are_never_called_correct(mistake: planted.Planted, form: str) -> None:
    audit = named(mistake, form, max(4, mistake.steps))
    assert audit.verdict == "wrong"
    assert kinds(audit) <= {mistake.kind, *mistake.also, "unknown", "several"}


@pytest.mark.parametrize(
    ("cell", "pairs"),
    [("elman", 2), *(pytest.param(cell, 5, marks=pytest.mark.slow) for cell in ("elman", "lstm", "gru"))],
)
def test_two_mistakes_are_named_both_or_not_at_all(cell: str, pairs: int) -> None:
    for one, other in planted.pairs(cell)[:pairs]:
        audit = rs.audit(cell, function=student(cell, one.code, other.code))
        assert audit.verdict == "wrong"
        for finding in audit.wrong:
            found = {mistake.kind for mistake in finding.mistakes} or {"unknown"}
            assert found <= {one.kind, other.kind, *one.also, *other.also, "unknown"}, (one, other, finding)


def test_what_nobody_plants_is_not_named() -> None:
    def rubbish(params: Mapping[str, Any], x: Any, d: Any, state: Any) -> Any:
        rng = np.random.default_rng(len(x))
        _, right = planted.loss_and_gradients("elman", params, x, d, state)
        return {name: value + 0.1 * rng.standard_normal(np.shape(value)) for name, value in right.items()}

    audit = rs.audit("elman", function=rubbish)
    assert audit.verdict == "wrong"
    assert kinds(audit) == {"unknown"}


def test_an_unnamed_mistake_is_located_by_lag() -> None:
    found = model("elman", "matrix")
    discount = 0.7

    def discounted(params: Mapping[str, Any], x: Any, d: Any, state: Mapping[str, Any]) -> Any:
        here = rs.unroll(found.cell, steps=len(x), form="matrix", activation="logistic", loss="squared")
        values = {**params, **state, "x": x, "d": d}
        at = MatrixValuation(here, rs.gradients_at.__globals__["point_of"](values, here))
        total = sum(discount ** max(0, t - s - 1) * a.value for t, s, a in at.groups(graph(here, "W_x")))
        return {"W_x": total}

    audit = rs.audit("elman", function=discounted)
    (finding,) = audit.wrong
    facts = {fact.code: fact.numbers for fact in finding.facts}
    assert facts["right-through-lag"] == (1,)
    np.testing.assert_allclose(facts["lag-factors"][:4], (1, 1, 0.7, 0.49), rtol=1e-5)
    assert facts["right-up-to-T"] == (2,)


def test_the_usual_check_misses_a_transpose() -> None:
    audit = rs.audit("elman", function=student("elman", "W_h-not-transposed"))
    assert kinds(audit) == {"transpose"}
    assert audit.would_pass_usual_check is True


def test_smallest_instances_are_what_the_code_gives() -> None:
    for code in ("only-last-loss", "y-slope-left-out", "h-formula-of-pre-activation", "W_h-not-transposed"):
        audit = rs.audit("elman", function=student("elman", code))
        for finding in audit.wrong:
            instance = finding.instance
            assert instance is not None
            values = {name: np.array(entries(value), dtype=float) for name, value in instance.values.items()}
            x, d = values.pop("x"), values.pop("d")
            _, yours = planted.loss_and_gradients("elman", values, x, d, values, code)
            _, right = planted.loss_and_gradients("elman", values, x, d, values)
            np.testing.assert_allclose(instance.yours, yours[finding.wrt], rtol=1e-10, atol=1e-14)
            np.testing.assert_allclose(instance.right, right[finding.wrt], rtol=1e-10, atol=1e-14)


def entries(value: Any) -> Any:
    from fractions import Fraction

    return [entries(item) for item in value] if isinstance(value, list) else float(Fraction(value))


# --- numbers ----------------------------------------------------------------------------------------------------------


def at_a_point(form: str = "matrix", steps: int = 4) -> tuple[rs.Model, Any, dict[str, Any]]:
    found = model("elman", form, steps)
    point = random_matrix_point(found, 4)
    at = point if form == "matrix" else numbers(point)
    return found, at, dict(rs.gradients_at(found, at).gradients)


def test_few_digits_are_enough_for_an_array_and_not_for_a_number() -> None:
    found, point, _ = at_a_point()
    state = {f"{n}_{t}": v for (n, t), v in point.initial.items()}
    _, wrong = planted.loss_and_gradients("elman", point.parameters, point.x, point.d, state, "only-last-loss")
    rounded = {"W_x": [[float(f"{v:.4f}") for v in row] for row in wrong["W_x"]]}
    audit = rs.audit(found, gradients=rounded, values=point)
    assert kinds(audit) == {"missing-loss"}

    found, at, right = at_a_point("scalar")
    one = rs.audit(found, gradients={"b_y": float(f"{1.5 * float(right['b_y']):.2g}")}, values=at)
    assert kinds(one) <= {"unknown"}


def test_three_digits_of_a_right_gradient_are_correct() -> None:
    found, point, right = at_a_point()
    rounded = {name: [[float(f"{v:.3f}") for v in np.ravel(value)]] for name, value in right.items() if name == "b_h"}
    assert rs.audit(found, gradients=rounded, values=point).verdict == "correct"


def test_one_percent_off_is_wrong_and_a_millionth_is_inconclusive() -> None:
    found, point, right = at_a_point()
    rng = np.random.default_rng(0)
    for size, verdict in ((1e-2, "wrong"), (1e-6, "inconclusive")):
        given = {"W_x": right["W_x"] * (1 + size * rng.uniform(0.5, 1, np.shape(right["W_x"])))}
        audit = rs.audit(found, gradients=given, values=point)
        assert audit.verdict == verdict
    assert rs.audit(found, gradients=given, values=point, tolerance=1e-5).verdict == "correct"


def test_several_points_confirm_one_another() -> None:
    points, gradients = [], []
    found = model("elman", "scalar")
    for seed in range(3):
        point = numbers(random_matrix_point(found, seed))
        points.append(point)
        right = rs.gradients_at(found, point)
        gradients.append({name: 2 * float(value) for name, value in right.items()})
    audit = rs.audit(found, gradients=gradients, values=points)
    assert kinds(audit) == {"scale"}
    assert all(finding.points == 3 for finding in audit.findings)


def test_a_wrong_shape_is_said() -> None:
    found, point, right = at_a_point()
    audit = rs.audit(found, gradients={"W_x": np.ones((5, 7)), "W_h": right["W_h"].T}, values=point)
    by_name = {finding.wrt: finding for finding in audit.findings}
    assert by_name["W_x"].note == "shape"
    assert by_name["W_x"].shapes == ((5, 7), np.shape(right["W_x"]))
    assert by_name["W_h"].kind == "layout"


def test_a_gradient_that_is_zero_says_nothing() -> None:
    values = {"W_h": 1, "W_x": 1, "b_h": 0, "W_y": 0, "b_y": 0, "h_0": 1, "x": [1, 1], "d": [0, 0]}
    audit = rs.audit("linear", gradients={"W_x": 0.0}, values=values)
    assert audit.verdict == "inconclusive"
    assert audit.findings[0].note == "zero"


def test_a_kink_is_no_mistake() -> None:
    values = {"W_h": 1, "W_x": 1, "b_h": 0, "W_y": 1, "b_y": 0, "h_0": 1, "x": [-1, 2], "d": [0.5, 0.25]}
    audit = rs.audit("irnn", gradients={"W_x": 0.123456789012345}, values=values)
    assert audit.verdict == "inconclusive"
    assert audit.findings[0].note == "kink"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "nothing to audit"),
        ({"function": print, "formula": "dW_x = 0"}, "function and formula"),
        ({"gradients": {"W_x": 1}}, "need the values"),
        ({"function": print, "values": {}}, "chooses its own points"),
        ({"formula": "dW_x = 0", "tolerance": 7}, "tolerance"),
        ({"gradients": [{"W_x": 1}], "values": [{}, {}]}, "as many values"),
        (
            {
                "gradients": {"W_q": 1.0},
                "values": {"W_h": 1, "W_x": 1, "b_h": 0, "W_y": 0, "b_y": 0, "x": [1], "d": [1]},
            },
            "W_q",
        ),
    ],
)
def test_what_cannot_be_audited_is_refused(given: Any, message: str) -> None:
    with pytest.raises(rs.InputError, match=message):
        rs.audit("elman", **given)


# --- functions --------------------------------------------------------------------------------------------------------


def test_code_that_needs_equal_sizes_is_audited_there() -> None:
    audit = rs.audit("elman", function=student("elman", "W_y-not-transposed"))
    assert "equal-sizes" in {note.code for note in audit.notes}
    assert kinds(audit) == {"transpose"}


def test_code_without_initial_state_is_audited_at_zero() -> None:
    def gradients(params: Any, x: Any, d: Any) -> Any:
        return planted.loss_and_gradients("elman", params, x, d)

    audit = rs.audit("elman", function=gradients)
    assert "no-initial" in {note.code for note in audit.notes}
    assert audit.verdict == "correct"


def test_code_for_one_number_of_steps() -> None:
    def gradients(params: Any, x: Any, d: Any, state: Any) -> Any:
        if len(x) != 3:
            raise ValueError("this is for T = 3")
        return planted.loss_and_gradients("elman", params, x, d, state)

    audit = rs.audit("elman", function=gradients)
    assert audit.verdict == "correct"
    assert "only-steps" in {note.code for note in audit.notes}
    assert rs.audit("elman", function=gradients, steps=3).verdict == "correct"
    with pytest.raises(rs.InputError, match="T = 3"):
        rs.audit("elman", function=gradients, steps=5)


def test_a_long_truncation_shows() -> None:
    found = model("elman", "matrix")

    def truncated(params: Mapping[str, Any], x: Any, d: Any, state: Mapping[str, Any]) -> Any:
        here = rs.unroll(found.cell, steps=len(x), form="matrix", activation="logistic", loss="squared")
        at = MatrixValuation(here, rs.gradients_at.__globals__["point_of"]({**params, **state, "x": x, "d": d}, here))
        return {"W_x": sum(a.value for t, s, a in at.groups(graph(here, "W_x")) if t - s <= 8)}

    audit = rs.audit("elman", function=truncated)
    assert kinds(audit) == {"truncated"}
    assert audit.findings[0].mistakes[0].number == 8  # type: ignore[attr-defined]


def test_a_case_can_be_made_of_nothing_but_a_catalogue() -> None:
    found = model("mgu", "matrix")
    case = Case(found, random_matrix_point(found, 0), {found.resolve("W_f"): np.zeros((3, 3))})
    assert all(mistake.kind in KINDS for mistake in catalogue_of([case]))


# --- what breaks audits -----------------------------------------------------------------------------------------------


def test_a_saturated_point_says_nothing_wrong() -> None:
    values = {
        "W_h": 0.13,
        "W_x": -0.13,
        "b_h": 10.0,
        "W_y": 0.1,
        "b_y": -0.5,
        "h_0": 0.36,
        "x": [1.3, 0.9],
        "d": [-1.2, 0],
    }
    h = [values["h_0"]]
    for x in values["x"]:
        h.append(np.tanh(values["W_h"] * h[-1] + values["W_x"] * x + values["b_h"]))
    wrong, carried = 0.0, 0.0
    for t in (2, 1):
        y = 1 / (1 + np.exp(-(values["W_y"] * h[t] + values["b_y"])))
        carried = (values["W_y"] * (y - values["d"][t - 1]) * y * (1 - y) + values["W_h"] * carried) * (1 - h[t] ** 2)
        wrong += carried
    audit = rs.audit("elman", gradients={"b_h": wrong}, values=values, activation="tanh", output_activation="logistic")
    assert audit.verdict == "correct"  # 1 - h² has lost seven digits


@pytest.mark.parametrize("number", [3, 64, 105, 128])
def test_one_small_integer_is_no_evidence(number: int) -> None:
    values = {"W_h": 2, "W_x": 1, "b_h": 0, "W_y": 1, "b_y": 0, "h_0": 1, "x": [1, 1, 1], "d": [0, 0, 0]}
    assert kinds(rs.audit("linear", gradients={"b_h": number}, values=values)) == {"unknown"}


def test_entries_that_are_one_number_count_once() -> None:
    rng = np.random.default_rng(3)
    found = model("elman", "matrix", 3)
    named_falsely = 0
    for seed in range(10):
        point = random_matrix_point(found, seed, {"n_h": 1, "n_x": 6, "n_y": 1})
        x = np.repeat(np.asarray(point.x)[:1], 3, axis=0)
        values = {**point.parameters, "h_0": point.initial["h", 0], "x": x, "d": point.d}
        right, k = rs.gradients_at(found, values), rng.uniform(0.2, 1.8)
        given = {name: [[float(f"{v * k:.2g}") for v in np.ravel(right[name])]] for name in ("W_x",)}
        audit = rs.audit(found, gradients=given, values=values)
        named_falsely += not kinds(audit) <= {"unknown"}
    assert named_falsely == 0


def test_a_slope_forgotten_in_the_carry_only() -> None:
    def gradients(params: Mapping[str, Any], x: Any, d: Any, state: Mapping[str, Any]) -> Any:
        W_x, W_h, W_y, b_h, b_y = (params[name] for name in ("W_x", "W_h", "W_y", "b_h", "b_y"))
        h, y = {0: state["h_0"]}, {}
        for t in range(1, len(x) + 1):
            h[t] = np.tanh(W_h @ h[t - 1] + W_x @ x[t - 1] + b_h)
            y[t] = W_y @ h[t] + b_y
        back, g = 0.0, {name: np.zeros_like(params[name]) for name in ("W_x", "W_h", "b_h")}
        for t in range(len(x), 0, -1):
            dh = W_y.T @ (y[t] - d[t - 1]) + back
            da = (1 - h[t] ** 2) * dh
            g["W_x"] += np.outer(da, x[t - 1])
            g["W_h"] += np.outer(da, h[t - 1])
            g["b_h"] += da
            back = W_h.T @ dh
        return g

    audit = rs.audit("elman", function=gradients, activation="tanh", output_activation="identity")
    assert {f.mistakes[0].code for f in audit.wrong} == {"carry-without-slope"}


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="PyTorch is not installed")
def test_clipping_as_pytorch_does_it() -> None:
    import torch

    def gradients(params: Mapping[str, Any], x: Any, d: Any, state: Mapping[str, Any]) -> Any:
        _, right = planted.loss_and_gradients("elman", params, x, d, state)
        leaves = {name: torch.zeros(np.shape(right[name]), dtype=torch.float64, requires_grad=True) for name in params}
        for name, leaf in leaves.items():
            leaf.grad = torch.tensor(right[name])
        torch.nn.utils.clip_grad_norm_(list(leaves.values()), 1.0)
        return {name: leaf.grad for name, leaf in leaves.items()}

    assert kinds(rs.audit("elman", function=gradients)) == {"clipped"}


def test_wrong_for_short_sequences_only() -> None:
    def gradients(params: Mapping[str, Any], x: Any, d: Any, state: Mapping[str, Any]) -> Any:
        _, right = planted.loss_and_gradients("elman", params, x, d, state)
        return right if len(x) > 2 else {name: 0 * value for name, value in right.items()}

    audit = rs.audit("elman", function=gradients)
    assert audit.verdict == "wrong"
    assert {fact.code for finding in audit.wrong for fact in finding.facts} == {"wrong-at-T"}


def test_what_answers_differently_each_time_is_refused() -> None:
    rng = np.random.default_rng(0)

    def gradients(params: Mapping[str, Any], x: Any, d: Any, state: Mapping[str, Any]) -> Any:
        _, right = planted.loss_and_gradients("elman", params, x, d, state)
        return {name: value * (rng.random(np.shape(value)) > 0.2) for name, value in right.items()}

    with pytest.raises(rs.InputError, match="asked again"):
        rs.audit("elman", function=gradients)


def test_what_a_point_could_not_have_shown_is_said() -> None:
    found = model("elman", "scalar", 2)
    values = {
        "W_x": 0.011,
        "W_h": 1e-10,
        "W_y": 0.9,
        "b_h": 0.01,
        "b_y": -0.2,
        "h_0": 0,
        "x": [1, -0.5],
        "d": [0.3, 0.6],
    }
    audit = rs.audit(found, gradients=dict(rs.gradients_at(found, values)), values=values)
    assert audit.verdict == "correct"
    assert {"initial-state", "truncated"} <= set(audit.hidden)
    found, point, right = at_a_point(steps=5)
    assert rs.audit(found, gradients=right, values=point).hidden == ()


def test_large_networks_take_seconds() -> None:
    found = rs.unroll("elman", steps=30, form="matrix", activation="tanh", loss="squared")
    point = random_matrix_point(found, 0, dict.fromkeys(("n_x", "n_h", "n_y"), 100))
    right = rs.gradients_at(found, point)
    assert rs.audit(found, gradients=dict(right), values=point).verdict == "correct"
    twice = rs.audit(found, gradients={name: 2 * value for name, value in right.items()}, values=point)
    assert kinds(twice) == {"scale"}
