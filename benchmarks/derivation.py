"""The five gradients of the elman network, scalar form: beside SymPy's own ``diff``; paths, start-up, memory."""

from __future__ import annotations

import json
from dataclasses import dataclass

from benchmarks.measuring import amount, command, in_turn, missing, record, run_contestant, seconds
from benchmarks.reporting import FULL_PACE, QUICK_PACE, Pace, Report, at_most, compete, times

OURS = "rnn_symbolic"
NAMED, INLINED, TANH = "SymPy, named", "SymPy, inlined", "SymPy, inlined, tanh"
CHECKED, WHOLE, VALUES = "rnn_symbolic, checked", "rnn_symbolic, whole", "rnn_symbolic, as SymPy"


@dataclass(frozen=True, slots=True)
class Plan:
    """The sizes and how often."""

    sizes: tuple[int, ...]
    whole_sizes: tuple[int, ...]
    checked_sizes: tuple[int, ...]
    memory_sizes: tuple[int, ...]
    listed: int  # T of the paths that are listed
    counted: int  # T of the paths that are counted
    pace: Pace


FULL = Plan(
    sizes=(3, 10, 30, 100, 300, 1000),
    whole_sizes=(3, 10, 30),
    checked_sizes=(3, 10, 30, 100),
    memory_sizes=(100, 300, 1000, 3000),
    listed=100,
    counted=10_000,
    pace=FULL_PACE,
)
QUICK = Plan(
    sizes=(2, 3),
    whole_sizes=(2,),
    checked_sizes=(2,),
    memory_sizes=(2, 4),
    listed=4,
    counted=30,
    pace=QUICK_PACE,
)


def gradients(report: Report, plan: Plan) -> None:
    """All five gradients: the scaling table, and the phases."""
    compete(report, (OURS, NAMED, INLINED, TANH), plan.sizes, plan.pace)
    rows = []
    for T in plan.sizes:
        row = [str(T), report.time(OURS, T), report.least(OURS, T)]
        row.append(report.time(OURS, T, section="again"))
        for name, phase in ((NAMED, "all"), (INLINED, "result"), (TANH, "result")):
            row += [report.time(name, T, phase), report.ratio(name, OURS, T, phase, plan.pace.limit)]
        rows.append(row)
    report.show(
        "gradients",
        f"All five gradients, first call in a fresh process; limit {plan.pace.limit:.0f} s",
        ("T", OURS, "minimum", "again", NAMED, "ratio", "inlined", "ratio", "inlined, tanh", "ratio"),
        rows,
    )
    rows = []
    for T in plan.sizes:
        ours = report.median("first call", OURS, T)
        row = [str(T), *(report.time(OURS, T, phase) for phase in ("derive", "LaTeX"))]
        row += [seconds(ours / T) if ours else "–"]
        row += [report.time(NAMED, T, "result"), report.time(NAMED, T, "LaTeX")]
        row += [report.time(INLINED, T, "LaTeX")]
        rows.append(row)
    report.show(
        "phases",
        "The same by phase",
        ("T", "derive", "LaTeX", "all / T", "named: derive", "named: LaTeX", "inlined: LaTeX"),
        rows,
    )


def variants(report: Report, plan: Plan) -> None:
    """With the numeric checks of the footer, with nothing elided, and as SymPy expressions."""
    compete(report, (CHECKED, VALUES), plan.checked_sizes, plan.pace)
    compete(report, (WHOLE,), plan.whole_sizes, plan.pace)
    rows = [
        [
            str(T),
            report.time(OURS, T),
            report.time(CHECKED, T),
            report.time(CHECKED, T, "check"),
            report.time(WHOLE, T),
            report.time(VALUES, T, "SymPy"),
        ]
        for T in plan.checked_sizes
    ]
    report.show(
        "variants",
        "Variants of rnn_symbolic, first call",
        ("T", "as above", "with checks", "the checks alone", "nothing elided", "results as SymPy, alone"),
        rows,
    )


# --- paths, commands, memory --------------------------------------------------------------------------------------


def paths(report: Report, plan: Plan) -> None:
    """Paths to W_x, listed as JSON and counted."""
    compete(report, ("paths as JSON",), (plan.listed,), plan.pace)
    compete(report, ("paths counted",), (plan.counted,), plan.pace)
    rows = [
        [what, str(T), report.time(what, T), report.time(what, T, section="again")]
        for what, T in (("paths as JSON", plan.listed), ("paths counted", plan.counted))
    ]
    report.show("paths", "Paths to W_x, in Python", ("", "T", "first call", "again"), rows)


def commands(report: Report, plan: Plan) -> None:
    """Whole processes, from start to exit."""

    def number_of_paths(T: int) -> int:
        return T * (T + 1) // 2

    sympy, derive = 'python -c "import sympy"', "derive W_x"
    starting = in_turn(
        {
            derive: command("-m", "rnn_symbolic", "derive", "W_x", accept=lambda tex: r"\frac{\partial L}" in tex),
            sympy: command("-c", "import sympy"),
            "python -c pass": command("-c", "pass"),
            "derive": command("-m", "rnn_symbolic", "derive"),
            "prove W_x": command("-m", "rnn_symbolic", "prove", "W_x", accept=lambda tex: r"\sum_{t=1}^{T}" in tex),
            "--help": command("-m", "rnn_symbolic", "--help"),
        },
        plan.pace.commands,
    )
    listed, counted = f"paths W_x --steps {plan.listed} --to json", f"paths W_x --steps {plan.counted} --count"
    listing = in_turn(
        {
            listed: command(
                *f"-m rnn_symbolic {listed}".split(),
                accept=lambda text: len(json.loads(text)["paths"]) == number_of_paths(plan.listed),
            ),
            counted: command(
                *f"-m rnn_symbolic {counted}".split(), accept=lambda text: f"{number_of_paths(plan.counted):,}" in text
            ),
        },
        max(1, plan.pace.commands // 3),
    )
    steps = {listed: plan.listed, counted: plan.counted}
    for name, samples in {**starting, **listing}.items():
        report.records.append(record("process", name, steps.get(name, 3 if "derive" in name else 0), "all", samples))
    reference = record("process", sympy, 0, "all", starting[sympy])
    assert reference.median is not None
    rows = [
        [r.contestant, seconds(r.median), seconds(r.minimum), f"{r.median / reference.median:.2f}×"]
        for r in report.records
        if r.section == "process" and r.median is not None and r.minimum is not None
    ]
    report.show("processes", "Whole processes", ("", "median", "minimum", "of import sympy"), rows)


def memory(report: Report, plan: Plan) -> None:
    """What one call takes: Python objects at their peak, and the growth of the process."""
    rows = []
    for T in plan.memory_sizes:
        row = [str(T)]
        for mode in ("objects", "process"):
            calls = run_contestant(OURS, T, mode, plan.pace.limit)
            if isinstance(calls, str):
                report.records.append(missing("memory", OURS, T, mode, calls))
                row += [calls, "–"]
                continue
            found = record("memory", OURS, T, mode, [calls[0][mode]], "B")
            report.records.append(found)
            assert found.median is not None
            row += [amount(found.median), f"{found.median / T / 1e3:.1f} kB"]
        rows.append(row)
    report.show(
        "memory",
        "Memory of all five gradients with their LaTeX",
        ("T", "objects, peak", "per step", "process, growth", "per step"),
        rows,
    )


# --- what was promised --------------------------------------------------------------------------------------------


def targets(report: Report, plan: Plan) -> None:
    """The promises of the project, and what was measured; judged by medians, 1.3 leaves room for noise."""

    def of_sympy(name: str, T: int) -> float | None:
        ours = report.median("process", name, T)
        theirs = report.median("process", 'python -c "import sympy"', 0)
        return ours / theirs if ours and theirs else None

    sizes = plan.sizes
    rows = [
        at_most("five gradients, steps, LaTeX: T = 3", report.median("first call", OURS, 3), 0.020),
        at_most("… T = 100", report.median("first call", OURS, 100), 0.100),
        at_most(
            f"… linear: time per step, T = {sizes[-1]} over {sizes[-2]}",
            report.growth("first call", OURS, "all", sizes),
            1.3,
            times,
        ),
        at_most("derive W_x as a process, of import sympy", of_sympy("derive W_x", 3), 0.5, times),
        at_most("prove W_x as a process, of import sympy", of_sympy("prove W_x", 0), 0.5, times),
        at_most(
            f"{plan.listed * (plan.listed + 1) // 2:,} paths as JSON, as a process",
            report.median("process", f"paths W_x --steps {plan.listed} --to json", plan.listed),
            3.0,
        ),
        at_most(
            f"paths counted at T = {plan.counted:,}, in Python",
            report.median("first call", "paths counted", plan.counted),
            0.5,
        ),
        at_most(
            f"memory linear: per step, T = {plan.memory_sizes[-1]} over {plan.memory_sizes[-2]}",
            report.growth("memory", OURS, "objects", plan.memory_sizes),
            1.3,
            times,
        ),
    ]
    report.show("targets", "Targets", ("", "at most", "measured", "met"), rows)


def measure(report: Report, quick: bool = False) -> None:
    """Measure everything here, print it, keep it in the report."""
    plan = QUICK if quick else FULL
    for part in (gradients, variants, paths, commands, memory, targets):
        part(report, plan)
