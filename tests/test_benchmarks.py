"""The benchmarks run, their contestants agree, their records are complete. No test asserts a time."""

import json
from dataclasses import asdict

import pytest
import sympy as sp

import rnn_symbolic as rs
from benchmarks import contestants, derivation, measuring

POINT = {
    "W_h": 0.8, "W_x": -0.5, "b_h": 0.1, "W_y": 1.5, "b_y": -0.2, "h_0": 0.3,
    "x_1": 1.0, "x_2": -0.7, "x_3": 0.4, "d_1": 0.3, "d_2": 0.6, "d_3": -0.9,
}  # fmt: skip


@pytest.fixture(scope="module")
def run():
    """One quick run: its records."""
    return derivation.main(quick=True)


def no_lap(_phase):
    pass


def gradients_by_name(steps):
    """SymPy's contestants on a concrete network, as numbers."""
    values = {sp.Symbol(name): value for name, value in POINT.items()}
    inlined = contestants.sympy_inlined(contestants.tanh_and_squares)(steps, no_lap)
    adjoints, named, equations = contestants.sympy_named(contestants.tanh_and_squares)(steps, no_lap)
    known = dict(values)
    for name, expression in (*equations.items(), *adjoints):
        known[name] = expression.subs(known)
    return (
        {name: float(gradient.subs(values)) for name, gradient in inlined.items()},
        {name: float(gradient.subs(known)) for name, gradient in named.items()},
    )


def test_the_contestants_compute_the_same_gradients():
    inlined, named = gradients_by_name(3)
    model = rs.unroll("elman", steps=3, activation="tanh", loss="squared")
    values = {sp.Symbol(name): value for name, value in POINT.items()}
    for derivation_ in rs.derive_gradients(model):
        name = str(derivation_.goal)
        ours = sp.expand_func(model.inline(derivation_.result.value(model))).subs(values)
        assert named[name] == pytest.approx(inlined[name], rel=1e-12)
        assert float(ours) == pytest.approx(inlined[name], rel=1e-12)
    assert set(named) == set(inlined) == set(contestants.PARAMETERS) == {str(p) for p in model.parameters}


def test_abstract_functions_give_sympy_the_same_task():
    inlined = contestants.sympy_inlined()(2, no_lap)
    model = rs.unroll("elman", steps=2)
    for gradient in rs.derive_gradients(model):
        ours = model.inline(gradient.result.value(model))
        assert sp.expand(ours - inlined[str(gradient.goal)]) == 0


@pytest.mark.parametrize("name", contestants.CONTESTANTS)
def test_every_contestant_names_its_phases(name):
    laps = contestants.timed(contestants.CONTESTANTS[name](), 2)
    assert laps
    assert all(value >= 0 for value in laps.values())


def test_a_quick_run_has_complete_records(run):
    assert {record.section for record in run} == {"first call", "again", "process", "memory"}
    compared = (derivation.OURS, derivation.NAMED, derivation.INLINED, derivation.TANH)
    for steps in derivation.QUICK.sizes:
        found = {r.contestant for r in run if (r.section, r.steps, r.phase) == ("first call", steps, "all")}
        assert found >= set(compared)
    for record in run:
        assert record.unit in ("s", "B")
        if record.status == "ok":
            assert record.samples > 0
            assert record.median >= record.minimum >= 0
        else:
            assert record.median is record.minimum is None
    assert json.loads(json.dumps([asdict(record) for record in run]))
    assert len({(r.section, r.contestant, r.steps, r.phase) for r in run}) == len(run)


def test_what_takes_too_long_is_stopped_and_said(monkeypatch, capsys):
    monkeypatch.setattr(derivation, "run_contestant", lambda name, steps, mode, limit: f"> {limit:.0f} s")
    report = derivation.Report()
    derivation.gradients(report, derivation.QUICK)
    first, second = derivation.QUICK.sizes
    assert report.find("first call", derivation.INLINED, first, "all").status == "> 20 s"
    assert report.find("first call", derivation.INLINED, second, "all").status == "not run"
    assert "> 20 s" in capsys.readouterr().out


def test_a_contestant_is_stopped_at_its_limit(monkeypatch):
    monkeypatch.setattr(measuring, "STARTUP", 0.0)
    assert measuring.run_contestant("SymPy, inlined", 1000, "time", 0.05) == "> 0.05 s"


def test_a_contestant_that_fails_is_named(monkeypatch, capsys):
    def fail(steps, lap):
        raise RecursionError("too deep")

    monkeypatch.setitem(contestants.CONTESTANTS, "deep", lambda: fail)
    contestants.main(("deep", "3", "time"))
    assert json.loads(capsys.readouterr().out) == "RecursionError"


def test_contestants_take_turns():
    order = []
    samples = measuring.in_turn({name: lambda name=name: order.append(name) or 1.0 for name in "ABC"}, 2)
    assert order == list("ABC" * 3)
    assert samples == {name: [1.0, 1.0] for name in "ABC"}


def test_tables_and_units():
    assert measuring.table(("", "T"), (("a", "1"), ("bb", "100"))).splitlines() == [
        "|    |   T |",
        "|----|----:|",
        "| a  |   1 |",
        "| bb | 100 |",
    ]
    assert [measuring.seconds(value) for value in (2e-5, 0.00612, 0.1, 41.23, 120.0)] == [
        "20.0 µs", "6.12 ms", "100 ms", "41.2 s", "120 s",
    ]  # fmt: skip
    assert measuring.amount(1_500_000) == "1.50 MB"


def test_the_machine_is_named():
    assert set(measuring.machine()) == {"date", "cpu", "cores", "system", "python", "sympy"}
    assert all(measuring.machine().values())
