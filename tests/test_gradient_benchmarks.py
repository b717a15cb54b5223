"""The benchmarks of compiled gradients: the reference is right, the peers agree with it, the report says what is so.

No test asserts a time. A peer that is not installed is left out.
"""

from __future__ import annotations

import json
import time
from types import SimpleNamespace

import numpy as np
import pytest

import rnn_symbolic
from benchmarks import gradient_peers, gradient_report, gradients
from benchmarks.gradient_peers import BOUND, CASADI, CONTESTANTS, FLOOR, MODULE, NUMPY, C, Contestant, Point
from benchmarks.gradient_report import EXACT, TARGETS, WHY, Results

POINTS = [Point("scalar", 1, 1, 4), Point("elman", 3, 1, 4), Point("elman", 2, 3, 4), Point("lstm", 3, 2, 4)]
by_point = pytest.mark.parametrize("point", POINTS, ids=str)


# --- the reference ---


@by_point
def test_the_reference_agrees_with_complex_steps_of_its_forward_pass(point):
    rng, step = np.random.default_rng(1), 1e-40
    gradients_ = gradient_peers.reference(point.regime, point.P, point.x, point.d)[1]
    assert set(gradients_) == set(point.P)
    for name, value in point.P.items():
        direction = rng.normal(size=value.shape)
        moved = {**point.P, name: value + 1j * step * direction}
        slope = gradient_peers.reference(point.regime, moved, point.x, point.d)[0].imag / step
        assert slope == pytest.approx((gradients_[name] * direction).sum(), rel=1e-12, abs=1e-13), name


@by_point
def test_an_error_of_one_gradient_is_found_and_named(point):
    loss, right = gradient_peers.reference(point.regime, point.P, point.x, point.d)
    assert gradients.compared(point.regime, point, (loss, right))[0] == 0
    wrong = {**right, "W_y": right["W_y"] * (1 + 1e-9)}
    error, worst = gradients.compared(point.regime, point, (loss, wrong))
    assert (error, worst) == (pytest.approx(1e-9, rel=1e-6), "W_y")
    assert gradients.compared(point.regime, point, (2 * loss, right)) == (pytest.approx(1.0), "L")
    assert gradients.compared(point.regime, point, (loss, {**right, "b_y": right["b_y"] * np.nan}))[1] == "b_y"
    assert gradients.compared(point.regime, point, (loss, {**right, "b_y": np.ones(7)}))[0] == np.inf


# --- the contestants ---


@pytest.mark.parametrize("regime", gradients.QUICK.sizes)
def test_peers_that_are_installed_compute_the_gradients(regime, tmp_path):
    job = {"kind": "times", "regime": regime, "threads": 1, "quick": True}
    records = gradients.in_process(job, tmp_path)
    for size in gradients.QUICK.sizes[regime]:
        expected = {c.name for c in CONTESTANTS if c.takes(regime, size) and not c.missing()}
        assert {record["name"] for record in records if tuple(record["size"]) == size} == expected
    for record in records:
        name = record["name"]
        assert record["status"] == "ok", record
        if record["status"] == "ok":
            assert name == FLOOR or record["error"] <= EXACT, record
            assert record["median"] >= record["minimum"] > 0
            assert record["samples"] == gradients.QUICK.passes[0]


@by_point
@pytest.mark.parametrize("style", ["call", "out", "bound"])
def test_how_this_package_is_called(point, style, monkeypatch):
    seen = []

    def function(params, x, d, state=None, out=None):
        P = point.natural[0]
        assert {**params, **state}.keys() == P.keys()
        assert x.shape == d.shape == point.natural[1].shape
        assert not {"h_0", "c_0"} & params.keys()
        loss, found = gradient_peers.reference(point.regime, point.P, point.x, point.d)
        found = {name: value.reshape(P[name].shape) for name, value in found.items()}
        seen.append(out)
        return loss, found if out is None else out

    def compile_gradient(source, *, target, **options):
        assert target == "c"
        assert point.regime == ("scalar" if isinstance(source, rnn_symbolic.Model) else source)
        return SimpleStub(function)

    monkeypatch.setattr(rnn_symbolic, "compile_gradient", compile_gradient, raising=False)
    call, read = gradient_peers.ours("c", style)(point)
    assert gradients.compared(point.regime, point, read(call()))[0] <= EXACT
    assert (seen[-1] is not None) == (style == "out")


class SimpleStub:
    """A compiled function and its ``bind``."""

    def __init__(self, function):
        self.function = function

    def __call__(self, *args, **options):
        return self.function(*args, **options)

    def bind(self, *args, **options):
        return lambda: self.function(*args, **options)


def stubs(point):
    loss, right = gradient_peers.reference(point.regime, point.P, point.x, point.d)
    wrong = {**right, "W_h": right["W_h"] * 1.001}

    def fail(_point):
        raise ValueError("cannot\nat all")

    return (
        Contestant(FLOOR, "numpy", gradient_peers.products, "elman"),
        Contestant("right", "numpy", lambda _: (lambda: time.sleep(1e-5), lambda _: (loss, right)), "elman"),
        Contestant("wrong", "numpy", lambda _: (lambda: None, lambda _: (loss, wrong)), "elman"),
        Contestant("fails", "numpy", fail, "elman"),
        Contestant("other", "numpy", fail, "scalar"),
        Contestant("large", "numpy", fail, "elman", most=(1, 1, 1)),
        Contestant("absent", "no_such_module", fail, "elman"),
    )


def test_who_fails_is_said_and_who_is_wrong_is_not_ranked(monkeypatch):
    size = (2, 3, 4)
    monkeypatch.setattr(gradient_peers, "CONTESTANTS", stubs(Point("elman", *size)))
    monkeypatch.setattr(gradient_report, "NAMES", [FLOOR, "right", "wrong", "fails"])
    records = gradients.timed_point("elman", size, 1, gradients.QUICK)
    found = {record["name"]: record for record in records}
    assert list(found) == [FLOOR, "right", "wrong", "fails"]
    assert found["fails"]["status"] == "ValueError: cannot"
    assert found["wrong"]["worst"] == "W_h"
    results = Results({"records": json.loads(json.dumps(records)), "setups": []})
    assert results.median("elman", size, "wrong") is results.median("elman", size, "fails") is None
    assert results.fastest("elman", size, own=False)[1] == "right"
    text = gradient_report.times_table(results, "elman", 1, [size])
    assert "error 1e-03" in text
    assert "ValueError" in text


def test_contestants_take_turns_and_slow_ones_fewer():
    order = []
    plan = SimpleNamespace(sample=0.0, budget=60.0, passes=(2, 5))
    calls = {name: lambda name=name: order.append(name) for name in "AB"}
    samples = gradients.in_passes(calls, plan)
    assert {name: len(found) for name, found in samples.items()} == {"A": 5, "B": 5}
    assert order[-20:] == list("AABB" * 5)  # a call that does not count, then the sample
    plan.budget = 0.0
    assert [len(found) for found in gradients.in_passes(calls, plan).values()] == [2, 2]


def test_set_up_is_what_the_first_result_takes_longer(monkeypatch):
    def prepare(_point):
        time.sleep(0.05)
        return (lambda: time.sleep(0.001)), None

    monkeypatch.setitem(gradient_peers.BY_NAME, "slow", Contestant("slow", "numpy", prepare))
    assert 0.04 < gradients.timed_setup("slow", "elman", (2, 1, 3)) < 5


# --- the report ---


def stored(ours=1e-6, peers=1e-5, floor=9e-6, setup=0.004, threads=(1, 2)):
    """What a whole run would store if everybody took the same."""
    records, setups = [], []
    for regime, sizes in gradients.FULL.sizes.items():
        for size in sizes:
            for c in CONTESTANTS:
                if not c.takes(regime, size):
                    continue
                value = floor if c.name == FLOOR else ours if c.name.startswith("ours") else peers
                for number in threads:
                    record = {"regime": regime, "size": size, "threads": number, "name": c.name, "status": "ok"}
                    record |= {"median": value, "minimum": 0.9 * value, "samples": 7}
                    records.append(record if c.name == FLOOR else record | {"error": 2e-15, "worst": "W_h"})
    for regime, size in gradients.FULL.setups:
        for c in CONTESTANTS:
            if c.timed_setup and c.takes(regime, size):
                for phase in ("first", "cached") if c.name == C else ("first",):
                    row = {"regime": regime, "size": size, "name": c.name, "phase": phase}
                    setups.append(row | {"status": "ok", "seconds": setup})
    data = {"about": {"cpu": "fast"}, "left out": {}, "records": records, "setups": setups}
    return json.loads(json.dumps(data))


def rows(text):
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"][2:]


def test_all_targets_are_measured_in_a_whole_run_and_can_be_reached():
    text = gradient_report.target_table(Results(stored(ours=1e-7)))
    assert "Not measured" not in text
    assert [row[2] for row in rows(text)] == ["yes"] * len(TARGETS)
    assert {row[4] for row in rows(text)} == {""}


def test_a_missed_target_says_by_how_much_and_why(monkeypatch):
    monkeypatch.setitem(WHY, "n64-floor", "because of tanh")
    monkeypatch.setitem(WHY, "setup-c", "never printed")
    text = gradient_report.target_table(Results(stored(ours=1.35e-5, floor=9e-6)))
    by_name = {row[0]: row for row in rows(text)}
    row = by_name["n = 64, B = 32, T = 30 / products alone"]
    assert row[1:3] == ["1.25×", "**no**"]
    assert row[3].startswith("1.50× (ours: ")
    assert row[4] == "by 20%: because of tanh"
    assert by_name["n = 4, B = 1, T = 100 / the fastest peer"][4] == "by 170%: not explained yet"
    assert by_name["set-up, C"][2] == "yes"
    assert "never printed" not in text


def test_a_target_that_was_not_measured_has_no_figure():
    data = stored()
    data["records"] = [r for r in data["records"] if r["regime"] == "scalar"]
    data["setups"] = []
    text = gradient_report.target_table(Results(data))
    assert len(rows(text)) == 5
    assert "Not measured in this run: n = 4, B = 1, T = 100 / the fastest peer; " in text


def test_targets_are_judged_by_exact_contestants_on_one_thread():
    data = stored()
    for record in data["records"]:
        if record["name"] == BOUND and record["threads"] == 2:
            record["median"] = 1.0
        if record["name"] == CASADI and record["size"] == [1, 1, 30]:
            record["error"] = 1e-9
    by_name = {row[0]: row for row in rows(gradient_report.target_table(Results(data)))}
    assert by_name["scalar, T = 3, buffers bound / CasADi C"][3].startswith("0.10×")
    assert "scalar, T = 30, buffers bound / CasADi C" not in by_name


def test_set_up_must_be_flat_in_steps():
    data = stored()
    for row in data["setups"]:
        if row["name"] == NUMPY and row["size"] == [1, 1, 1000]:
            row["seconds"] *= 2
    by_name = {row[0]: row for row in rows(gradient_report.target_table(Results(data)))}
    assert by_name["set-up, NumPy: flat in T"][2:4] == ["**no**", "2.00× (T = 1000 / 3: 8.00 ms / 4.00 ms)"]
    assert by_name["set-up, C: flat in T"][2] == "yes"


def test_every_reason_belongs_to_a_target():
    assert set(WHY) <= {target.key for target in TARGETS}


def test_the_section_has_all_that_was_measured():
    data = stored()
    data["left out"] = {"numba": "numba is not installed", "HIPS autograd": "autograd is not installed"}
    data["setups"].append({"regime": "lstm", "size": [64, 32, 100], "name": MODULE, "phase": "x", "status": "E: no"})
    text = gradient_report.section(Results(data))
    for heading in ("Targets", "Scalar form, one thread", "Matrix form, one thread", "LSTM, one thread", "Set-up"):
        assert f"\n### {heading}\n" in text
    assert text.count("<details>") == text.count("</details>") == 3
    assert "Left out because numba is not installed: numba; " in text
    assert f"Failed: {MODULE}, lstm, 1×: E: no." in text
    assert all(contestant.name in text for contestant in CONTESTANTS)
    assert "| fastest of ours / fastest peer | " in text
    assert "1.00 (0.900)" in text


def test_section_and_plots_are_written_and_do_not_depend_on_when(tmp_path):
    pytest.importorskip("matplotlib")
    readme, plots, data, drawn = tmp_path / "README.md", tmp_path / "plots", stored(), []
    readme.write_text("# Before\n", encoding="utf-8")
    for _ in range(2):
        gradient_report.write_readme(data, readme, plots)
        drawn.append({path.name: path.read_bytes() for path in plots.iterdir()} | {"text": readme.read_bytes()})
    assert drawn[0] == drawn[1]
    assert sorted(path.name for path in plots.iterdir()) == [
        f"gradients-{kind}.svg" for kind in ("elman", "lstm", "scalar", "setup")
    ]
    text = readme.read_text(encoding="utf-8")
    assert all(f"(plots/{path.name})" in text for path in plots.iterdir())
    assert text.startswith("# Before\n\n<!-- gradients:begin -->\n\n## ")
    assert text.count(gradient_report.BEGIN) == text.count(gradient_report.END) == 1
    assert gradient_report.with_section(f"{text}\nAfter\n", "new").endswith("new\n\n<!-- gradients:end -->\n\nAfter\n")
    assert set(gradient_report.COLOURS) == set(gradient_report.NAMES)


def test_microseconds_have_three_digits():
    found = [gradient_report.micro(value) for value in (1.43e-7, 2.5e-6, 9.996e-5, 4.05e-4, 0.0098765)]
    assert found == ["0.143", "2.50", "100", "405", "9,876"]
