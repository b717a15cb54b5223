"""Matrix form: cells derived, paths counted, gradients as numbers; beside SymPy, NumPy and PyTorch."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec

from benchmarks.matrix_contestants import NUMBERS, SIZES, deep_gated_stack, numbers_name
from benchmarks.measuring import command, in_turn, missing, record, run_contestant, seconds
from benchmarks.reporting import FULL_PACE, QUICK_PACE, Pace, Report, at_most, compete, times
from rnn_symbolic import unroll
from rnn_symbolic.builtin_cells import BUILT_IN
from rnn_symbolic.jacobian import StateJacobian

LSTM, ELMAN, GRU = "LSTM, matrix", "elman, matrix", "GRU, matrix"
STACK = "60-line cell"
SCALAR, OWN, PLAIN = "LSTM, scalar", "SymPy LSTM", "SymPy LSTM, exp and tanh"
MATRICES = ("SymPy matrices, elman", "SymPy matrices, LSTM")
OURS = "gradients_at"
DERIVE = "derive --cell lstm --form matrix"
SYMPY = 'python -c "import sympy"'
READ_AND_DIFFERENTIATED = ("read", "differentiate", "rows LaTeX")


@dataclass(frozen=True, slots=True)
class Plan:
    """The sizes and how often."""

    sizes: tuple[int, ...]
    scalar_sizes: tuple[int, ...]
    lag: int
    sequence: int  # T of the gradients as numbers
    points: tuple[tuple[int, int], ...]  # n, B
    cells: tuple[str, ...]  # whose paths are counted
    pace: Pace


FULL = Plan((3, 10, 30, 100, 300, 1000), (1, 2, 3), 1000, 100, SIZES, tuple(BUILT_IN), FULL_PACE)
QUICK = Plan((2, 3), (1,), 5, 3, SIZES[:1], ("elman", "lstm"), QUICK_PACE)


# --- derivations --------------------------------------------------------------------------------------------------


def gradients(report: Report, plan: Plan) -> None:
    """All gradients of the LSTM, the GRU and elman, in matrix form: the scaling table."""
    compete(report, (LSTM, GRU, ELMAN), plan.sizes, plan.pace)
    rows = []
    for T in plan.sizes:
        row = [str(T), *(report.time(LSTM, T, phase) for phase in ("derive", "LaTeX", "all"))]
        row += [report.least(LSTM, T), report.time(LSTM, T, section="again")]
        ours = report.median("first call", LSTM, T)
        row += [seconds(ours / T) if ours else "–"]
        rows.append([*row, report.time(GRU, T), report.time(ELMAN, T)])
    report.show(
        "matrix-gradients",
        "All gradients in matrix form, first call in a fresh process",
        ("T", "LSTM: derive", "LaTeX", "all", "minimum", "again", "all / T", "GRU: all", "elman: all"),
        rows,
    )


def users_cell(report: Report, plan: Plan) -> None:
    """A cell of 60 lines: read, differentiated, derived."""
    compete(report, (STACK,), plan.sizes[:1], plan.pace)
    T = plan.sizes[0]
    what = {
        "read": "the text read, names and sizes checked",
        "differentiate": "every equation differentiated: 184 rows",
        "rows LaTeX": "these rows in LaTeX",
        "one gradient": "one gradient: derived, in LaTeX",
        "all gradients": "all 79 gradients: derived",
        "all LaTeX": "their document in LaTeX",
    }
    rows = [[text, report.time(STACK, T, phase), report.least(STACK, T, phase)] for phase, text in what.items()]
    lines = len(deep_gated_stack().splitlines())
    report.show("matrix-cell", f"A cell of {lines} lines, matrix form, T = {T}", ("", "median", "minimum"), rows)


def comparisons(report: Report, plan: Plan) -> None:
    """SymPy's own ``diff`` on the scalar LSTM, and its matrix calculus on one and two steps."""
    compete(report, (SCALAR, OWN, PLAIN), plan.scalar_sizes, plan.pace)
    rows = []
    for T in plan.scalar_sizes:
        row = [str(T), report.time(SCALAR, T)]
        for name in (OWN, PLAIN):
            row += [report.time(name, T, "result"), report.ratio(name, SCALAR, T, "result", plan.pace.limit)]
        rows.append(row)
    report.show(
        "matrix-scalar",
        f"The LSTM in scalar form, fourteen gradients; limit {plan.pace.limit:.0f} s",
        ("T", "rnn_symbolic", "SymPy, this package's functions", "ratio", "SymPy, exp and tanh", "ratio"),
        rows,
    )
    once = Pace(1, 1, 1, plan.pace.limit)
    compete(report, MATRICES, (1, 2), once)
    rows = [[str(T), *(report.time(name, T) for name in MATRICES)] for T in (1, 2)]
    report.show("matrix-sympy", "SymPy's matrix calculus, by one weight matrix", ("T", "elman", "LSTM"), rows)


# --- counts, commands, numbers ------------------------------------------------------------------------------------


def counts(report: Report, plan: Plan) -> None:
    """Elementary paths of every built-in cell over a long lag, counted."""
    compete(report, [f"count {cell}" for cell in plan.cells], (plan.lag,), Pace(1, 1, 1, plan.pace.limit))
    rows = []
    for cell in plan.cells:
        digits = len(str(StateJacobian(unroll(cell, steps=plan.lag), plan.lag).count))
        name = f"count {cell}"
        rows.append([cell, report.time(name, plan.lag), report.time(name, plan.lag, section="again"), str(digits)])
    report.show(
        "matrix-counts",
        f"Elementary paths from the states of step T − {plan.lag} to those of step T, counted",
        ("", "first call", "again", "digits"),
        rows,
    )


def commands(report: Report, plan: Plan) -> None:
    """Whole processes, from start to exit."""
    count = f"jacobian --cell lstm --lag {plan.lag} --count"
    samples = in_turn(
        {
            DERIVE: command("-m", "rnn_symbolic", *DERIVE.split(), accept=lambda tex: r"\nabla_{W_{f}} L" in tex),
            SYMPY: command("-c", "import sympy"),
            count: command("-m", "rnn_symbolic", *count.split()),
        },
        max(1, plan.pace.commands // 3),
    )
    found = [record("matrix process", name, 3, "all", times_) for name, times_ in samples.items()]
    report.records += found
    reference = report.median("matrix process", SYMPY, 3)
    rows = [
        [r.contestant, seconds(r.median), seconds(r.minimum), times(r.median / reference)]
        for r in found
        if r.median is not None and r.minimum is not None and reference
    ]
    report.show("matrix-processes", "Whole processes", ("", "median", "minimum", "of import sympy"), rows)


def numbers(report: Report, plan: Plan) -> None:
    """L and all gradients of an LSTM at a point: this package, a loop in NumPy, PyTorch."""
    T = plan.sequence
    for n, B in plan.points:
        for who in NUMBERS:
            name = numbers_name(who, n, B)
            if who == "PyTorch" and find_spec("torch") is None:
                report.records.append(missing("numbers", name, T, "all", "not installed"))
                continue
            calls = run_contestant(name, T, "steady", plan.pace.limit)
            if isinstance(calls, str):
                report.records.append(missing("numbers", name, T, "all", calls))
            else:
                laps = [laps["gradients"] for laps in calls[1:] or calls]
                report.records.append(record("numbers", name, T, "all", laps))
    rows = []
    for n, B in plan.points:
        names = {who: numbers_name(who, n, B) for who in NUMBERS}
        ours = names.pop(OURS)
        row = [
            str(n),
            str(B),
            report.time(ours, T, "all", "numbers"),
            report.least(ours, T, "all", "numbers"),
        ]
        for name in names.values():
            row += [report.time(name, T, "all", "numbers")]
            row += [report.ratio(name, ours, T, "all", plan.pace.limit, "numbers")]
        rows.append(row)
    report.show(
        "matrix-numbers",
        f"L and all gradients of an LSTM as numbers, T = {T}",
        ("n", "B", OURS, "minimum", *(cell for who in list(NUMBERS)[1:] for cell in (who, "ratio"))),
        rows,
    )


# --- what was promised --------------------------------------------------------------------------------------------


def targets(report: Report, plan: Plan) -> None:
    """The promises, and what was measured; judged by medians, 1.3 leaves room for noise."""
    sizes = plan.sizes
    parts = [report.median("first call", STACK, sizes[0], phase) for phase in READ_AND_DIFFERENTIATED]
    one = report.median("first call", STACK, sizes[0], "one gradient")
    read = sum(part for part in parts if part is not None) if all(parts) else None
    slowest = max(
        (r for r in report.records if r.section == "first call" and r.contestant.startswith("count ")),
        key=lambda r: r.median or 0.0,
    )
    rows = [
        at_most("LSTM, all gradients, steps, LaTeX: T = 3", report.median("first call", LSTM, 3), 0.100),
        at_most("… T = 100", report.median("first call", LSTM, 100), 0.300),
        at_most(
            f"… linear: time per step, T = {sizes[-1]} over {sizes[-2]}",
            report.growth("first call", LSTM, "all", sizes),
            1.3,
            times,
        ),
        at_most("elman, the same: T = 100", report.median("first call", ELMAN, 100), 0.100),
        at_most("60-line cell: read, differentiated, every row in LaTeX", read, 0.100),
        at_most("… and one gradient derived, in LaTeX", read + one if read and one else None, 0.100),
        at_most(f"paths over lag {plan.lag} counted, slowest cell ({slowest.contestant[6:]})", slowest.median, 0.1),
    ]
    report.show("matrix-targets", "Targets, matrix form", ("", "at most", "measured", "met"), rows)


def measure(report: Report, quick: bool = False) -> None:
    """Measure everything here, print it, keep it in the report."""
    plan = QUICK if quick else FULL
    for part in (gradients, users_cell, comparisons, counts, commands, numbers, targets):
        part(report, plan)
