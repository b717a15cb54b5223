"""Deriving the five gradients of the elman network: this package beside SymPy's own ``diff``; paths, start-up, memory.

Contestants take turns, each in a fresh process, so that the machine's moods hit all of them and no cache is carried
over. What counts is the first call after the import; "again" are further calls in the same process. A ratio is
somebody else's median over ours: above 1, ours is faster.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.measuring import (
    Record,
    amount,
    in_turn,
    missing,
    record,
    run_command,
    run_contestant,
    seconds,
    table,
)

OURS = "rnn_symbolic"
NAMED, INLINED, TANH = "SymPy, named", "SymPy, inlined", "SymPy, inlined, tanh"
CHECKED, WHOLE, VALUES = "rnn_symbolic, checked", "rnn_symbolic, whole", "rnn_symbolic, as SymPy"
SLOW = 5.0
"""A contestant that took longer than this many seconds is not called a second time at the same T."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The sizes and how often."""

    sizes: tuple[int, ...]
    whole_sizes: tuple[int, ...]
    checked_sizes: tuple[int, ...]
    memory_sizes: tuple[int, ...]
    listed: int  # T of the paths that are listed
    counted: int  # T of the paths that are counted
    rounds: int
    command_rounds: int
    limit: float  # seconds for one call


FULL = Plan(
    sizes=(3, 10, 30, 100, 300, 1000),
    whole_sizes=(3, 10, 30),
    checked_sizes=(3, 10, 30, 100),
    memory_sizes=(100, 300, 1000, 3000),
    listed=100,
    counted=10_000,
    rounds=5,
    command_rounds=15,
    limit=60.0,
)
QUICK = Plan(
    sizes=(2, 3),
    whole_sizes=(2,),
    checked_sizes=(2,),
    memory_sizes=(2, 4),
    listed=4,
    counted=30,
    rounds=1,
    command_rounds=1,
    limit=20.0,
)


class Report:
    """The records so far, and the way to look one up."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    def find(self, section: str, contestant: str, steps: int, phase: str) -> Record | None:
        """The record of these names, if there is one."""
        key = (section, contestant, steps, phase)
        return next((r for r in self.records if (r.section, r.contestant, r.steps, r.phase) == key), None)

    def median(self, section: str, contestant: str, steps: int, phase: str = "all") -> float | None:
        """The median of that record, None when there are no numbers."""
        found = self.find(section, contestant, steps, phase)
        return found.median if found is not None else None


# --- contestants in turn ------------------------------------------------------------------------------------------


def compete(report: Report, contestants: Sequence[str], sizes: Sequence[int], plan: Plan) -> None:
    """Every contestant at every size until it exceeds the limit or fails; sections "first call" and "again"."""
    over: set[str] = set()
    for steps in sizes:
        print(f"T = {steps}: {'; '.join(name for name in contestants if name not in over)}", file=sys.stderr)
        firsts: dict[str, list[dict[str, float]]] = {name: [] for name in contestants}
        agains: dict[str, list[dict[str, float]]] = {name: [] for name in contestants}
        status = {name: "not run" for name in contestants if name in over}
        for _ in range(plan.rounds):
            for name in contestants:
                if name in over or any(sum(laps.values()) > SLOW for laps in firsts[name]):
                    continue
                calls = run_contestant(name, steps, "time", plan.limit)
                if isinstance(calls, str):
                    over.add(name)
                    status[name] = calls
                    continue
                firsts[name].append(calls[0])
                agains[name].extend(calls[1:])
        for name in contestants:
            if name in status:
                report.records.append(missing("first call", name, steps, "all", status[name]))
                continue
            for section, calls in (("first call", firsts[name]), ("again", agains[name])):
                report.records += _phases(section, name, steps, calls)


def _phases(section: str, name: str, steps: int, calls: Sequence[dict[str, float]]) -> list[Record]:
    if not calls:
        return []
    found = [record(section, name, steps, phase, [laps[phase] for laps in calls]) for phase in calls[0]]
    derive = [laps["derive"] + laps.get("build", 0.0) for laps in calls if "derive" in laps]
    if derive:  # up to the result, without the LaTeX
        found.append(record(section, name, steps, "result", derive))
    return [*found, record(section, name, steps, "all", [sum(laps.values()) for laps in calls])]


def _time(report: Report, name: str, steps: int, phase: str = "all", section: str = "first call") -> str:
    found = report.find(section, name, steps, phase)
    if found is not None and found.median is not None:
        return seconds(found.median)
    stopped = report.find(section, name, steps, "all")
    return stopped.status if stopped is not None and stopped.median is None else "–"


def _ratio(report: Report, name: str, steps: int, phase: str, plan: Plan) -> str:
    ours = report.median("first call", OURS, steps)
    found = report.find("first call", name, steps, phase) or report.find("first call", name, steps, "all")
    if ours is None or found is None:
        return "–"
    if found.median is None:
        return f"> {plan.limit / ours:,.0f}×" if found.status.startswith(">") else "–"
    return f"{found.median / ours:,.{1 if found.median < 100 * ours else 0}f}×"


def gradients(report: Report, plan: Plan) -> None:
    """All five gradients: the scaling table, and the phases."""
    compete(report, (OURS, NAMED, INLINED, TANH), plan.sizes, plan)
    rows = []
    for T in plan.sizes:
        least = report.find("first call", OURS, T, "all")
        row = [str(T), _time(report, OURS, T), seconds(least.minimum) if least and least.minimum else "–"]
        row.append(_time(report, OURS, T, section="again"))
        for name, phase in ((NAMED, "all"), (INLINED, "result"), (TANH, "result")):
            row += [_time(report, name, T, phase), _ratio(report, name, T, phase, plan)]
        rows.append(row)
    _print(
        f"All five gradients, first call in a fresh process; limit {plan.limit:.0f} s",
        ("T", OURS, "minimum", "again", NAMED, "ratio", "inlined", "ratio", "inlined, tanh", "ratio"),
        rows,
        "rnn_symbolic and 'named': every line and result, and their LaTeX. 'inlined': the expressions only, no LaTeX.",
    )
    rows = []
    for T in plan.sizes:
        ours = report.median("first call", OURS, T)
        row = [str(T), *(_time(report, OURS, T, phase) for phase in ("derive", "LaTeX"))]
        row += [seconds(ours / T) if ours else "–"]
        row += [_time(report, NAMED, T, "result"), _time(report, NAMED, T, "LaTeX")]
        row += [_time(report, INLINED, T, "LaTeX")]
        rows.append(row)
    _print(
        "The same by phase",
        ("T", "derive", "LaTeX", "all / T", "named: derive", "named: LaTeX", "inlined: LaTeX"),
        rows,
    )


def variants(report: Report, plan: Plan) -> None:
    """With the numeric checks of the footer, with nothing elided, and as SymPy expressions."""
    compete(report, (CHECKED, VALUES), plan.checked_sizes, plan)
    compete(report, (WHOLE,), plan.whole_sizes, plan)
    rows = [
        [
            str(T),
            _time(report, OURS, T),
            _time(report, CHECKED, T),
            _time(report, CHECKED, T, "check"),
            _time(report, WHOLE, T),
            _time(report, VALUES, T, "SymPy"),
        ]
        for T in plan.checked_sizes
    ]
    _print(
        "Variants of rnn_symbolic, first call",
        ("T", "as above", "with checks", "the checks alone", "nothing elided", "results as SymPy, alone"),
        rows,
    )


# --- paths, commands, memory --------------------------------------------------------------------------------------


def paths(report: Report, plan: Plan) -> None:
    """Paths to W_x, listed as JSON and counted."""
    compete(report, ("paths as JSON",), (plan.listed,), plan)
    compete(report, ("paths counted",), (plan.counted,), plan)
    rows = [
        [what, str(T), _time(report, what, T), _time(report, what, T, section="again")]
        for what, T in (("paths as JSON", plan.listed), ("paths counted", plan.counted))
    ]
    _print("Paths to W_x, in Python", ("", "T", "first call", "again"), rows)


def commands(report: Report, plan: Plan) -> None:
    """Whole processes, from start to exit."""

    def run(*arguments: str, accept: Callable[[str], bool] = lambda _: True) -> Callable[[], float]:
        def once() -> float:
            duration, output = run_command(arguments)
            assert accept(output), f"{arguments} printed something else: {output[:200]}"
            return duration

        return once

    def number_of_paths(T: int) -> int:
        return T * (T + 1) // 2

    sympy, derive = 'python -c "import sympy"', "derive W_x"
    starting = in_turn(
        {
            derive: run("-m", "rnn_symbolic", "derive", "W_x", accept=lambda tex: r"\frac{\partial L}" in tex),
            sympy: run("-c", "import sympy"),
            "python -c pass": run("-c", "pass"),
            "derive": run("-m", "rnn_symbolic", "derive"),
            "--help": run("-m", "rnn_symbolic", "--help"),
        },
        plan.command_rounds,
    )
    listed, counted = f"paths W_x --steps {plan.listed} --to json", f"paths W_x --steps {plan.counted} --count"
    listing = in_turn(
        {
            listed: run(
                *f"-m rnn_symbolic {listed}".split(),
                accept=lambda text: len(json.loads(text)["paths"]) == number_of_paths(plan.listed),
            ),
            counted: run(
                *f"-m rnn_symbolic {counted}".split(), accept=lambda text: f"{number_of_paths(plan.counted):,}" in text
            ),
        },
        max(1, plan.command_rounds // 3),
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
    _print("Whole processes", ("", "median", "minimum", "of import sympy"), rows)


def memory(report: Report, plan: Plan) -> None:
    """What one call takes: Python objects at their peak, and the growth of the process."""
    rows = []
    for T in plan.memory_sizes:
        row = [str(T)]
        for mode in ("objects", "process"):
            calls = run_contestant(OURS, T, mode, plan.limit)
            if isinstance(calls, str):
                report.records.append(missing("memory", OURS, T, mode, calls))
                row += [calls, "–"]
                continue
            found = record("memory", OURS, T, mode, [calls[0][mode]], "B")
            report.records.append(found)
            assert found.median is not None
            row += [amount(found.median), f"{found.median / T / 1e3:.1f} kB"]
        rows.append(row)
    _print(
        "Memory of all five gradients with their LaTeX",
        ("T", "objects, peak", "per step", "process, growth", "per step"),
        rows,
    )


# --- what was promised --------------------------------------------------------------------------------------------


def targets(report: Report, plan: Plan) -> None:
    """The promises of the project, and what was measured; judged by medians, 1.3 leaves room for noise."""

    def at_most(what: str, found: float | None, most: float, show: Callable[[float], str] = seconds) -> list[str]:
        if found is None:
            return [what, show(most), "–", "not measured"]
        return [what, show(most), show(found), "yes" if found <= most else "NO"]

    def times(value: float) -> str:
        return f"{value:.2f}×"

    def growth(section: str, phase: str, sizes: Sequence[int]) -> float | None:
        """How much more a step costs at the last size than at the one before."""
        small, large = (report.median(section, OURS, T, phase) for T in sizes[-2:])
        return (large / sizes[-1]) / (small / sizes[-2]) if small and large else None

    def of_sympy() -> float | None:
        ours = report.median("process", "derive W_x", 3)
        theirs = report.median("process", 'python -c "import sympy"', 0)
        return ours / theirs if ours and theirs else None

    sizes = plan.sizes
    rows = [
        at_most("five gradients, steps, LaTeX: T = 3", report.median("first call", OURS, 3), 0.020),
        at_most("… T = 100", report.median("first call", OURS, 100), 0.100),
        at_most(
            f"… linear: time per step, T = {sizes[-1]} over {sizes[-2]}", growth("first call", "all", sizes), 1.3, times
        ),
        at_most("derive W_x as a process, of import sympy", of_sympy(), 0.5, times),
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
            growth("memory", "objects", plan.memory_sizes),
            1.3,
            times,
        ),
    ]
    _print("Targets", ("", "at most", "measured", "met"), rows)


def _print(title: str, header: Sequence[str], rows: Sequence[Sequence[str]], note: str = "") -> None:
    print(f"\n### {title}\n\n{table(header, rows)}" + (f"\n\n{note}" if note else ""), flush=True)


def main(quick: bool = False) -> list[Record]:
    """Measure everything, print it, return the records."""
    plan, report = (QUICK if quick else FULL), Report()
    for measure in (gradients, variants, paths, commands, memory, targets):
        measure(report, plan)
    return report.records
