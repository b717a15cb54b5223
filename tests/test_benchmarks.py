"""The benchmarks run, their contestants agree, their records are complete. No test asserts a time."""

import importlib.util
import json
import re
from dataclasses import asdict, replace

import numpy as np
import pytest
import sympy as sp

import rnn_symbolic as rs
from benchmarks import contestants, derivation, matrix_contestants, matrix_form, measuring, reporting
from benchmarks.__main__ import PARTS, run

POINT = {
    "W_h": 0.8, "W_x": -0.5, "b_h": 0.1, "W_y": 1.5, "b_y": -0.2, "h_0": 0.3,
    "x_1": 1.0, "x_2": -0.7, "x_3": 0.4, "d_1": 0.3, "d_2": 0.6, "d_3": -0.9,
}  # fmt: skip


@pytest.fixture(scope="module")
def quick():
    """One quick run of everything: its report."""
    return run(list(PARTS), quick=True)[1]


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


# --- matrix form ---


def test_the_loop_by_hand_and_pytorch_compute_the_gradients_of_the_lstm():
    n, batch, steps = 3, 2, 4
    loss, ours = matrix_contestants.our_numbers(n, batch)(steps, no_lap)
    others = [matrix_contestants.numpy_numbers]
    if importlib.util.find_spec("torch") is not None:
        others.append(matrix_contestants.torch_numbers)
    for other in others:
        their_loss, theirs = other(n, batch)(steps, no_lap)
        assert their_loss == pytest.approx(loss, rel=1e-12)
        assert set(theirs) == set(ours)
        for name, gradient in theirs.items():
            np.testing.assert_allclose(gradient, ours[name], rtol=1e-9, atol=1e-12, err_msg=f"{other.__name__} {name}")


def test_sympy_differentiates_the_same_lstm():
    model = rs.unroll("lstm", steps=1, activation="tanh", loss="squared")
    inlined = matrix_contestants.sympy_lstm(matrix_contestants.own_functions)(1, no_lap)
    plain = matrix_contestants.sympy_lstm(matrix_contestants.plain_functions)(1, no_lap)
    symbols = sorted({symbol for gradient in plain.values() for symbol in gradient.free_symbols}, key=str)
    values = {symbol: 0.3 + 0.1 * k for k, symbol in enumerate(symbols)}
    for name, gradient in inlined.items():
        ours = model.inline(rs.derive_gradient(model, name).result.value(model))
        numbers = [float(sp.expand_func(each).subs(values)) for each in (ours, gradient, plain[name])]
        assert numbers == pytest.approx([numbers[0]] * 3, rel=1e-9), name
    assert set(inlined) == {str(p) for p in model.parameters} == set(matrix_contestants.LSTM_PARAMETERS)


def test_the_users_cell_has_sixty_lines_and_all_its_layers_matter():
    text = matrix_contestants.deep_gated_stack()
    assert len(text.splitlines()) == 60
    model = rs.unroll(rs.parse_cell(text, "stack"), form="matrix")
    assert (len(model.cell.states), len(model.parameters), len(model.table)) == (10, 79, 184)
    assert rs.count_paths(model, "W_f1", "step") > 0


@pytest.mark.parametrize(
    ("name", "steps", "outcome"),
    [
        ("SymPy matrices, elman", 1, "works"),
        ("SymPy matrices, elman", 2, "IndexError"),
        ("SymPy matrices, LSTM", 1, "ValueError"),
    ],
)
def test_sympys_matrix_calculus_ends_where_the_readme_says(name, steps, outcome, capsys):
    contestants.main((name, str(steps), "time"))
    found = json.loads(capsys.readouterr().out)
    assert found == outcome if isinstance(found, str) else outcome == "works"


def test_an_error_of_ours_is_not_a_result(monkeypatch):
    def fail(steps, lap):
        raise ValueError("a bug")

    monkeypatch.setitem(contestants.CONTESTANTS, "ours", lambda: fail)
    with pytest.raises(ValueError, match="a bug"):
        contestants.main(("ours", "3", "time"))


# --- measuring ---

QUICKLY = [name for name in contestants.CONTESTANTS if not name.startswith(("count ", "SymPy matrices", "PyTorch"))]


@pytest.mark.parametrize("name", [name for name in QUICKLY if "n = 64" not in name])
def test_every_contestant_names_its_phases(name):
    laps = contestants.timed(contestants.CONTESTANTS[name](), 1 if "SymPy LSTM" in name else 2)
    assert laps
    assert all(value >= 0 for value in laps.values())


def test_a_quick_run_has_complete_records(quick):
    records = quick.records
    assert {record.section for record in records} == {
        "first call", "again", "process", "memory", "matrix process", "numbers",
    }  # fmt: skip
    compared = {derivation.OURS, derivation.NAMED, derivation.INLINED, derivation.TANH}
    compared |= {matrix_form.LSTM, matrix_form.GRU, matrix_form.ELMAN}
    for steps in derivation.QUICK.sizes:
        found = {r.contestant for r in records if (r.section, r.steps, r.phase) == ("first call", steps, "all")}
        assert found >= compared
    for record in records:
        assert record.unit in ("s", "B")
        if record.status == "ok":
            assert record.samples > 0
            assert record.median >= record.minimum >= 0
        else:
            assert record.median is record.minimum is None
    assert json.loads(json.dumps([asdict(record) for record in records]))
    assert len({(r.section, r.contestant, r.steps, r.phase) for r in records}) == len(records)


def test_every_table_has_its_place_in_the_readme(quick):
    text = reporting.README.read_text(encoding="utf-8")
    places = reporting.marked(text)
    assert set(places) == set(quick.tables)
    assert len(set(places)) == len(places)
    filled = reporting.with_tables(text, {key: f"| {key} |" for key in places})
    assert all(f"\n\n| {key} |\n\n<!-- end -->" in filled for key in places)
    assert reporting.with_tables(filled, {key: f"| {key} |" for key in places}) == filled
    for place in re.findall(r"<!-- table: [\w-]+ -->(.*?)<!-- end -->", text, re.DOTALL):
        assert place.strip().startswith("|")  # a table that was measured


def test_the_readme_has_the_contestants_of_a_whole_run():
    text = reporting.README.read_text(encoding="utf-8")
    for cell in matrix_form.FULL.cells:
        assert f"\n| {cell} " in text
    for T in matrix_form.FULL.sizes:
        assert f"\n| {T} " in text


def test_what_takes_too_long_is_stopped_and_said(monkeypatch, capsys):
    monkeypatch.setattr(reporting, "run_contestant", lambda name, steps, mode, limit: f"> {limit:.0f} s")
    report = reporting.Report()
    derivation.gradients(report, derivation.QUICK)
    first, second = derivation.QUICK.sizes
    assert report.find("first call", derivation.INLINED, first, "all").status == "> 20 s"
    assert report.find("first call", derivation.INLINED, second, "all").status == "not run"
    assert "> 20 s" in capsys.readouterr().out


def test_others_get_fewer_rounds(monkeypatch):
    called = []
    monkeypatch.setattr(
        reporting, "run_contestant", lambda name, steps, mode, limit: called.append(name) or [{"all": 1.0}]
    )
    pace = replace(reporting.FULL_PACE, rounds=3, others=2)
    reporting.compete(reporting.Report(), ("ours", "SymPy, theirs"), (1,), pace)
    assert called == ["ours", "SymPy, theirs"] * 2 + ["ours"]


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
    assert set(measuring.machine()) == {"date", "cpu", "cores", "system", "python", "sympy", "numpy", "torch"}
    assert all(measuring.machine().values())
