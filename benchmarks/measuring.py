"""Measuring: a job in a process of its own, whole commands, contestants in turn, and tables of what was found."""

from __future__ import annotations

import datetime
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parent.parent
STARTUP = 5.0
"""Seconds that a process may take to start and import, on top of its time limit."""


@dataclass(frozen=True, slots=True)
class Record:
    """What one contestant took at one size: seconds, or with unit "B" bytes of memory.

    ``status`` is "ok", "> 60 s" (stopped at that limit), the name of an error, or "not run" (one of these happened
    at a smaller size already).
    """

    section: str
    contestant: str
    steps: int
    phase: str
    unit: str
    median: float | None
    minimum: float | None
    samples: int
    status: str = "ok"


def record(section: str, contestant: str, steps: int, phase: str, samples: Sequence[float], unit: str = "s") -> Record:
    """The median and the minimum of some samples."""
    return Record(section, contestant, steps, phase, unit, median(samples), min(samples), len(samples))


def missing(section: str, contestant: str, steps: int, phase: str, status: str) -> Record:
    """No numbers, and why."""
    return Record(section, contestant, steps, phase, "s", None, None, 0, status)


# --- processes ----------------------------------------------------------------------------------------------------


def _environment() -> dict[str, str]:
    """With byte code kept, as everybody has it: compiling this package anew takes longer than to start it.

    Products of matrices take one thread: where cores are busy, threads that wait for one another measure the others.
    """
    kept = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    return kept | dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


def run_contestant(name: str, steps: int, mode: str, limit: float) -> list[dict[str, float]] | str:
    """The laps of one contestant's calls, in a fresh process; or why there are none: "> 60 s", "RecursionError"."""
    command = [sys.executable, "-m", "benchmarks.contestants", name, str(steps), mode]
    try:
        done = subprocess.run(
            command, cwd=ROOT, env=_environment(), stdout=subprocess.PIPE, timeout=limit + STARTUP, check=True
        )
    except subprocess.TimeoutExpired:
        return f"> {limit:.3g} s"
    outcome: list[dict[str, float]] | str = json.loads(done.stdout)
    return outcome


def run_command(arguments: Sequence[str]) -> tuple[float, str]:
    """Seconds from start to exit of ``python …`` as a whole process, and what it printed."""
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=_environment(),
        stdout=subprocess.PIPE,
        encoding="utf-8",
        check=True,
    )
    return time.perf_counter() - start, done.stdout


def command(*arguments: str, accept: Callable[[str], bool] = lambda _: True) -> Callable[[], float]:
    """A command for `in_turn`: its seconds, when it printed what is accepted."""

    def once() -> float:
        duration, output = run_command(arguments)
        assert accept(output), f"{arguments} printed something else: {output[:200]}"
        return duration

    return once


def in_turn(contestants: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """A B C A B C …, so that a change of the machine's speed hits everybody; one round before does not count."""
    for run in contestants.values():
        run()
    samples: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, run in contestants.items():
            samples[name].append(run())
    return samples


# --- where and when -----------------------------------------------------------------------------------------------


def machine() -> dict[str, str]:
    """What the numbers belong to."""
    return {
        "date": datetime.date.today().isoformat(),
        "cpu": _cpu(),
        "cores": str(os.cpu_count()),
        "system": f"{platform.system()} {platform.machine()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "sympy": version("sympy"),
        "numpy": version("numpy"),
        "torch": version("torch") if find_spec("torch") else "not installed",
    }


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown"
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")


def load() -> str:
    """How busy the machine is: runnable processes, averaged over 1, 5 and 15 minutes."""
    return " ".join(f"{value:.2f}" for value in os.getloadavg()) if hasattr(os, "getloadavg") else "unknown"


# --- tables -------------------------------------------------------------------------------------------------------


def seconds(value: float) -> str:
    """Three digits, in the unit that suits.

    >>> seconds(0.00612), seconds(41.23)
    ('6.12 ms', '41.2 s')
    """
    factor, unit = next(((f, u) for f, u in ((1, "s"), (1e3, "ms")) if value * f >= 1), (1e6, "µs"))
    return f"{value * factor:#.3g}".rstrip(".") + f" {unit}"


def amount(bytes_: float) -> str:
    """Bytes in MB."""
    return f"{bytes_ / 1e6:.2f} MB"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns aligned to the right, the first to the left; Markdown, so that it can be pasted."""
    widths = [max(len(row[i]) for row in (header, *rows)) for i in range(len(header))]

    def line(row: Sequence[str]) -> str:
        cells = (c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True)))
        return f"| {' | '.join(cells)} |"

    rule = "|" + "|".join("-" * (w + 2) if i == 0 else "-" * (w + 1) + ":" for i, w in enumerate(widths)) + "|"
    return "\n".join((line(header), rule, *map(line, rows)))
