"""The oracle of the audit: right without a mistake, wrong with one, and the numbers of no two kinds agree."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import planted
import pytest
from planted import Planted, loss_and_gradients, pairs, planted_mistakes

import rnn_symbolic as rs
from benchmarks import audit_confusion
from rnn_symbolic.builtin_cells import BUILT_IN
from rnn_symbolic.gradients import Gradients, gradients_at
from rnn_symbolic.matrix_valuation import random_matrix_point

FORMS = ("scalar", "matrix")
STEPS = (3, 4, 5, 6)
KINDS = set(
    "missing-paths missing-loss missing-own-loss missing-carry missing-route transpose order activation-argument"
    " wrong-activation index initial-state scale output-derivative truncated clipped layout sign convention several"
    " unknown".split()
)
Point = tuple[dict[str, Any], Any, Any, dict[str, Any]]
Arrays = dict[str, Any]


@cache
def model(cell: str, form: str, steps: int) -> Any:
    return rs.unroll(cell, steps=steps, form=form, loss="squared", activation="logistic")


@cache
def point(cell: str, form: str, steps: int, seed: int, square: tuple[str, ...] = (), batch: int | None = None) -> Point:
    """Parameters, x, d, state; ``square`` names matrices that are to be square."""
    unrolled = model(cell, form, steps)
    sizes = {size: 3 for name in square for size in unrolled.names[name]}
    # with weights of both signs all rectified units may be off
    found = random_matrix_point(unrolled, seed, sizes, batch, positive=cell == "irnn" and seed % 2 == 1)
    state = {f"{name}_{t}": value for (name, t), value in found.initial.items()}
    return dict(found.parameters), found.x, found.d, state


@cache
def planted_at(cell: str, form: str, steps: int, seed: int, *codes: str, square: tuple[str, ...] = ()) -> Arrays:
    return loss_and_gradients(cell, *point(cell, form, steps, seed, square), codes)[1]


def difference(found: Mapping[str, Any], right: Mapping[str, Any]) -> float:
    """The largest relative one of a gradient; of one that is 0, inf."""
    assert set(found) <= set(right)

    def relative(name: str) -> float:
        if np.shape(found[name]) != np.shape(right[name]):
            return np.inf
        off = float(np.linalg.norm(found[name] - right[name]))
        return off / float(np.linalg.norm(right[name]) or 1e-300) if off else 0.0

    return max(relative(name) for name in found)


def by_the_package(cell: str, form: str, steps: int, at: Point) -> Gradients:
    p, x, d, state = at
    if form == "scalar":
        x, d = x[:, 0], d[:, 0]
    return gradients_at(model(cell, form, steps), {**p, **state, "x": x, "d": d})


def where(one: Planted) -> list[str]:
    return [form for form in FORMS if form == "matrix" or one.scalar]


def test_it_shares_nothing_with_the_package() -> None:
    files = sorted(Path(planted.__file__).parent.glob("*.py"))
    assert len(files) == 6
    for file in files:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                assert {name.name for name in node.names} == {"numpy"}
            if isinstance(node, ast.ImportFrom) and node.level == 0:
                known = {"__future__", "collections.abc", "dataclasses", "functools", "numpy.typing", "typing"}
                assert node.module in known


def test_all_cells_and_only_kinds() -> None:
    assert set(planted.CELLS) == set(BUILT_IN)
    for cell in planted.CELLS:
        mistakes = planted_mistakes(cell)
        assert len({one.code for one in mistakes}) == len(mistakes) >= 50
        for one in mistakes:
            assert one.cell == cell and {one.kind, *one.also} <= KINDS and one.kind not in one.also
            assert set(one.square) <= set(planted.letters(cell)) and 2 <= one.steps <= 4


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("cell", planted.CELLS)
def test_right_without_a_mistake(cell: str, form: str) -> None:
    for steps in STEPS:
        at = point(cell, form, steps, seed=2 * steps)
        right = by_the_package(cell, form, steps, at)
        loss, found = loss_and_gradients(cell, *at)
        assert loss == pytest.approx(right.loss, rel=1e-13)
        assert set(found) == set(right)
        assert difference(found, right.gradients) < 1e-12
        assert all(np.shape(found[name]) == np.shape(right[name]) for name in right)
    nothing_given = loss_and_gradients(cell, *at[:3])[1]
    at_zero = by_the_package(cell, form, steps, (*at[:3], {name: 0 * value for name, value in at[3].items()}))
    assert difference(nothing_given, at_zero.gradients) < 1e-12


@pytest.mark.parametrize("cell", planted.CELLS)
def test_right_with_a_batch_and_size_1(cell: str) -> None:
    at = point(cell, "matrix", 4, 1, batch=3)
    assert difference(loss_and_gradients(cell, *at)[1], by_the_package(cell, "matrix", 4, at).gradients) < 1e-12
    each = {name: np.stack([value, -value, 2 * value]) for name, value in at[3].items()}
    at = (*at[:3], each)
    found = loss_and_gradients(cell, *at)[1]
    assert all(found[name].shape == value.shape for name, value in each.items())
    assert difference(found, by_the_package(cell, "matrix", 4, at).gradients) < 1e-12
    p, x, d, state = point(cell, "scalar", 4, 1)
    ones = {
        name: np.reshape(p[name], shape)
        for name, shape in planted.shapes(cell, x=1, h=1, y=1, s=1).items()
        if name in p
    }
    numbers, arrays = (loss_and_gradients(cell, q, x, d, state)[1] for q in (p, ones))
    assert all(float(arrays[name].reshape(())) == numbers[name] for name in numbers)


def at_some_points_only(one: Planted) -> bool:
    """What depends on a sign, or on the size of a gradient."""
    return one.cell == "irnn" or "relu" in one.code or one.kind == "clipped"


@pytest.mark.parametrize("cell", planted.CELLS)
def test_a_mistake_shows(cell: str) -> None:
    """At generic points of both forms; where a matrix must be square, a ValueError if it is not."""
    for one in planted_mistakes(cell):
        if one.batch:
            at = point(cell, "matrix", 3, 0, batch=2)
            assert difference(loss_and_gradients(cell, *at, one.code)[1], loss_and_gradients(cell, *at)[1]) > 0.1
            continue
        for form in FORMS:
            square, shown = one.square if form == "matrix" else (), []
            for seed, steps in enumerate(STEPS if at_some_points_only(one) else (4, 6)):
                if steps >= one.steps:
                    right = planted_at(cell, form, steps, seed, square=square)
                    shown.append(difference(planted_at(cell, form, steps, seed, one.code, square=square), right))
            if form in where(one):
                assert (max if at_some_points_only(one) else min)(shown) > 1e-6, (one, form, shown)
            else:
                assert max(shown) < 1e-12, (one, shown)
        if one.square:
            with pytest.raises(ValueError):
                planted_at(cell, "matrix", 3, 0, one.code)


def at_points(one: Planted, form: str, steps: int, square: tuple[str, ...]) -> bytes:
    """All numbers at a few points, to nine digits."""
    seeds = range(2 if form == "matrix" else 10 if one.cell == "irnn" else 4)
    found = [planted_at(one.cell, form, steps, seed, one.code, square=square) for seed in seeds]
    numbers = np.concatenate([np.ravel(g[name]) for g in found for name in sorted(g)])
    digits, exponents = np.frexp(numbers)
    return np.round([digits, exponents], 9).tobytes() + " ".join(found[0]).encode()


@pytest.mark.parametrize("cell", planted.CELLS)
def test_different_kinds_give_different_numbers(cell: str) -> None:
    """Or each of the two mentions the other."""
    mistakes = [one for one in planted_mistakes(cell) if not one.batch]
    all_square = tuple({name for one in mistakes for name in one.square})
    for form, steps, square in (("scalar", 3, ()), ("matrix", 5, ()), ("matrix", 3, all_square)):
        same = defaultdict(list)
        for one in mistakes:
            if form in where(one) and steps >= one.steps and (form == "scalar" or set(one.square) <= set(square)):
                same[at_points(one, form, steps, square)].append(one)
        for group in same.values():
            kinds = {one.kind for one in group}
            for one in group:
                assert kinds <= {one.kind, *one.also}, (form, steps, [(one.code, one.kind) for one in group])


@pytest.mark.parametrize("cell", planted.CELLS)
def test_pairs(cell: str) -> None:
    """Two at once differ from none and from either alone."""
    assert len(pairs(cell)) >= 6
    for one, other in pairs(cell):
        assert one.kind != other.kind
        steps = max(4, one.steps, other.steps)
        both = planted_at(cell, "matrix", steps, 2, one.code, other.code)
        for codes in ((), (one.code,), (other.code,)):
            assert difference(both, planted_at(cell, "matrix", steps, 2, *codes)) > 1e-6, (one, other, codes)


def test_an_unknown_mistake_is_refused() -> None:
    with pytest.raises(KeyError, match="no mistake"):
        loss_and_gradients("elman", *point("elman", "matrix", 3, 0), "W_f-route")


@dataclass(frozen=True)
class Finding:
    wrt: str
    status: str
    kind: str


@dataclass(frozen=True)
class Audit:
    verdict: str
    findings: tuple[Finding, ...]


def all_knowing(trial: audit_confusion.Trial, function: Callable[..., Any]) -> Audit:
    """An audit that knows what was planted, and takes every index for a sign."""
    function(*point(trial.cell, trial.form, trial.steps, 0, ("W_y",) if trial.form == "matrix" else ()))
    if not trial.codes:
        return Audit("correct", (Finding("W_x", "right", ""),))
    kind = "several" if trial.codes[1:] else trial.kind.replace("index", "sign")
    return Audit("wrong", (Finding("W_x", "wrong", kind), Finding("W_h", "right", "")))


def test_the_confusion_matrix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_confusion, "audited", all_knowing)
    trials = [*audit_confusion.singles(["elman", "d2l"], ["matrix"], [3])]
    alone = [one for one in audit_confusion.run(trials, jobs=1) if one.shown]
    assert len(alone) > 90 and {one.trial.kind for one in alone if not one.right} == {"index"}
    together = audit_confusion.run(audit_confusion.pairs(["elman"], [4]), jobs=1)
    noise = audit_confusion.run(audit_confusion.right_ones(["elman", "d2l"], FORMS, [3], 8), jobs=1)
    text = audit_confusion.report(alone, together, noise, most=5)
    lines = (line[2:-2].split(" | ") for line in text.splitlines())
    rows = {name.strip(): [cell.strip() for cell in cells] for name, *cells in lines}
    assert rows["index"][-1] == "0.0 %" and rows["transpose"][-1] == "100.0 %"
    assert rows['false "wrong"'] == rows['false "correct"'] == ["0"]
    assert rows["several, or both, each for its parameters"] == [str(len(together))]
