"""What was measured so far: contestants in turn, records, and the tables, which are kept in README.md.

Contestants take turns, each in a fresh process, so that the machine's moods hit all of them and no cache is carried
over. What counts is the first call after the import; "again" are further calls in the same process. A ratio is
somebody else's median over ours: above 1, ours is faster.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measuring import Record, missing, record, run_contestant, seconds, table

README = Path(__file__).parent / "README.md"
SLOW = 4.0
"""A contestant that took longer than this many seconds is not called a second time at the same T."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How often, and how long at most."""

    rounds: int  # fresh processes of this package
    others: int  # fresh processes of somebody else
    commands: int  # whole commands
    limit: float  # seconds for one call


FULL_PACE = Pace(rounds=5, others=3, commands=15, limit=15.0)
QUICK_PACE = Pace(rounds=1, others=1, commands=1, limit=20.0)


class Report:
    """The records so far and the way to look one up; the tables so far, by key."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.tables: dict[str, str] = {}

    def find(self, section: str, contestant: str, steps: int, phase: str) -> Record | None:
        """The record of these names, if there is one."""
        key = (section, contestant, steps, phase)
        return next((r for r in self.records if (r.section, r.contestant, r.steps, r.phase) == key), None)

    def median(self, section: str, contestant: str, steps: int, phase: str = "all") -> float | None:
        """The median of that record, None when there are no numbers."""
        found = self.find(section, contestant, steps, phase)
        return found.median if found is not None else None

    def show(self, key: str, title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Print a table, and keep it for the README."""
        self.tables[key] = table(header, rows)
        print(f"\n### {title}\n\n{self.tables[key]}", flush=True)

    # -- cells of tables --------------------------------------------------------------------------------------

    def time(self, name: str, steps: int, phase: str = "all", section: str = "first call") -> str:
        """A median in words, or why there is none."""
        found = self.find(section, name, steps, phase)
        if found is not None and found.median is not None:
            return seconds(found.median)
        stopped = self.find(section, name, steps, "all")
        return stopped.status if stopped is not None and stopped.median is None else "–"

    def least(self, name: str, steps: int, phase: str = "all", section: str = "first call") -> str:
        """A minimum in words."""
        found = self.find(section, name, steps, phase)
        return seconds(found.minimum) if found is not None and found.minimum is not None else "–"

    def ratio(self, name: str, ours: str, steps: int, phase: str, limit: float, section: str = "first call") -> str:
        """Somebody's median over ours."""
        own = self.median(section, ours, steps)
        found = self.find(section, name, steps, phase) or self.find(section, name, steps, "all")
        if own is None or found is None:
            return "–"
        if found.median is None:
            return f"> {limit / own:,.0f}×" if found.status.startswith(">") else "–"
        digits = 2 if found.median < own else 1 if found.median < 100 * own else 0
        return f"{found.median / own:,.{digits}f}×"

    def growth(self, section: str, name: str, phase: str, sizes: Sequence[int]) -> float | None:
        """How much more a step costs at the last size than at the one before."""
        small, large = (self.median(section, name, T, phase) for T in sizes[-2:])
        return (large / sizes[-1]) / (small / sizes[-2]) if small and large else None


def at_most(what: str, found: float | None, most: float, show: Callable[[float], str] = seconds) -> list[str]:
    """A row of a table of targets; judged by the median."""
    if found is None:
        return [what, show(most), "–", "not measured"]
    return [what, show(most), show(found), "yes" if found <= most else "NO"]


def times(value: float) -> str:
    """A ratio in words."""
    return f"{value:.2f}×"


# --- contestants in turn ------------------------------------------------------------------------------------------


def compete(report: Report, contestants: Sequence[str], sizes: Sequence[int], pace: Pace) -> None:
    """Every contestant at every size until it exceeds the limit or fails; sections "first call" and "again"."""
    over: set[str] = set()
    for steps in sizes:
        print(f"T = {steps}: {'; '.join(name for name in contestants if name not in over)}", file=sys.stderr)
        firsts: dict[str, list[dict[str, float]]] = {name: [] for name in contestants}
        agains: dict[str, list[dict[str, float]]] = {name: [] for name in contestants}
        status = {name: "not run" for name in contestants if name in over}
        for turn in range(pace.rounds):
            for name in contestants:
                enough = turn >= pace.others and name.startswith("SymPy")
                if name in over or enough or any(sum(laps.values()) > SLOW for laps in firsts[name]):
                    continue
                calls = run_contestant(name, steps, "time", pace.limit)
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


# --- the tables in the README -------------------------------------------------------------------------------------

_MARKED = re.compile(r"<!-- table: ([\w-]+) -->\n.*?<!-- end -->", re.DOTALL)


def marked(text: str) -> list[str]:
    """The keys of the tables that a text has places for.

    >>> marked("<!-- table: a -->\\n| 1 |\\n<!-- end -->")
    ['a']
    """
    return _MARKED.findall(text)


def with_tables(text: str, tables: Mapping[str, str]) -> str:
    """A text with its marked tables replaced.

    >>> with_tables("<!-- table: a -->\\n| 1 |\\n<!-- end -->", {"a": "| 2 |"})
    '<!-- table: a -->\\n\\n| 2 |\\n\\n<!-- end -->'
    """
    return _MARKED.sub(lambda place: f"<!-- table: {place[1]} -->\n\n{tables[place[1]]}\n\n<!-- end -->", text)
