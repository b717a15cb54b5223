"""``python -m benchmarks.audit_confusion``: what the audit calls the mistakes that were planted.

Every planted mistake of every built-in cell, in scalar and in matrix form, for T = 3 … 6: the confusion matrix, the
share that is named rightly, how often a wrong gradient passes for correct; pairs of mistakes; and right gradients with
noise of 10⁻¹², none of which may be called wrong. Tables in Markdown. The mistakes are those of ``tests/planted``,
which uses nothing of rnn_symbolic.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

import rnn_symbolic as rs
from benchmarks.measuring import machine, table

sys.path.append(str(Path(__file__).parents[1] / "tests"))
planted: Any = importlib.import_module("planted")

FORMS, STEPS = ("scalar", "matrix"), (3, 4, 5, 6)
NOISE = 1e-12
SHOWS = 1e-9
"""A planted mistake that never changes a gradient by more, at any point the audit asks for, is not held against it."""
FAILED = "failed"


@dataclass(frozen=True)
class Trial:
    """A cell, the mistakes planted in it (none: noise of ``seed``), and where the audit is to look."""

    cell: str
    form: str
    steps: int
    codes: tuple[str, ...] = ()
    kinds: tuple[frozenset[str], ...] = ()  # for each mistake the kinds that are right
    seed: int = 0

    @property
    def kind(self) -> str:
        """The kind of its mistake."""
        kinds: Iterator[str] = (one.kind for one in planted.planted_mistakes(self.cell) if one.code == self.codes[0])
        return next(kinds)


@dataclass(frozen=True)
class Outcome:
    """The verdict, the kinds of the wrong findings (each once), whether the mistake showed where the audit looked."""

    trial: Trial
    verdict: str
    kinds: tuple[str, ...]
    shown: bool
    seconds: float
    error: str = ""

    @property
    def named(self) -> str:
        """What the audit says in one word: a kind, several kinds for several parameters, or its verdict."""
        if self.verdict != "wrong":
            return self.verdict
        return self.kinds[0] if len(self.kinds) == 1 else "mixed" if self.kinds else "unknown"

    @property
    def right(self) -> bool:
        """The planted kind, and no other."""
        return self.named in self.trial.kinds[0] or ("unknown" in self.trial.kinds[0] and self.named == "inconclusive")


# --- one audit --------------------------------------------------------------------------------------------------------


@cache
def model(cell: str, form: str, steps: int) -> Any:
    """The model that the planted code computes."""
    return rs.unroll(cell, steps=steps, form=form, loss="squared", activation="logistic")


def audited(trial: Trial, function: Callable[..., Any]) -> Any:
    """The audit of a function; everything that depends on the audit's interface is here and in `outcome`."""
    audit: Any = rs.audit
    return audit(model(trial.cell, trial.form, trial.steps), function=function, steps=trial.steps, seed=trial.seed)


def outcome(trial: Trial) -> Outcome:
    """Audit what was planted."""
    noise, shown = np.random.default_rng(trial.seed), False

    def gradients(params: Mapping[str, Any], x: Any, d: Any, state: Mapping[str, Any]) -> tuple[float, dict[str, Any]]:
        nonlocal shown
        loss, right = planted.loss_and_gradients(trial.cell, params, x, d, state)
        if not trial.codes:
            return loss, {name: noisy(value, noise, trial.seed % 2 == 0) for name, value in right.items()}
        try:
            loss, found = planted.loss_and_gradients(trial.cell, params, x, d, state, trial.codes)
        except ValueError:  # matrices that do not conform
            shown = True
            raise
        shown = shown or differs(found, right)
        return loss, found

    start = time.perf_counter()
    try:
        audit = audited(trial, gradients)
    except Exception as error:  # a refusal is an outcome; the table says how many there were
        return Outcome(trial, FAILED, (), shown, time.perf_counter() - start, type(error).__name__)
    kinds = tuple(dict.fromkeys(finding.kind for finding in audit.findings if finding.status == "wrong"))
    return Outcome(trial, audit.verdict, kinds, shown, time.perf_counter() - start)


def noisy(value: Any, noise: np.random.Generator, entrywise: bool) -> Any:
    """Noise in the last digits of each entry, or of the size of the largest."""
    size = np.abs(value) if entrywise else np.max(np.abs(value))
    return np.asarray(value + NOISE * size * noise.uniform(-1, 1, np.shape(value)))


def differs(found: Mapping[str, Any], right: Mapping[str, Any]) -> bool:
    """Whether a mistake shows at a point."""
    for name, value in found.items():
        if np.shape(value) != np.shape(right[name]):
            return True
        if np.max(np.abs(value - right[name]), initial=0) > SHOWS * np.max(np.abs(right[name]), initial=0):
            return True
    return False


# --- all of them ------------------------------------------------------------------------------------------------------


def singles(cells: Sequence[str], forms: Sequence[str], steps: Sequence[int]) -> Iterator[Trial]:
    """Each mistake where it is one."""
    for cell in cells:
        for form in forms:
            for T in steps:
                for one in planted.planted_mistakes(cell):
                    if one.steps <= T and not one.batch and (form == "matrix" or one.scalar):
                        yield Trial(cell, form, T, (one.code,), (frozenset({one.kind, *one.also}),))


def pairs(cells: Sequence[str], steps: Sequence[int]) -> Iterator[Trial]:
    """Two mistakes at once, in matrix form."""
    for cell in cells:
        for T in steps:
            for two in planted.pairs(cell):
                if max(one.steps for one in two) <= T:
                    kinds = tuple(frozenset({one.kind, *one.also}) for one in two)
                    yield Trial(cell, "matrix", T, tuple(one.code for one in two), kinds)


def right_ones(cells: Sequence[str], forms: Sequence[str], steps: Sequence[int], number: int) -> Iterator[Trial]:
    """Right gradients with noise, of all cells in turn."""
    places = [(cell, form, T) for T in steps for form in forms for cell in cells]
    for n in range(number):
        cell, form, T = places[n % len(places)]
        yield Trial(cell, form, T, seed=n // len(places))


def run(trials: Iterable[Trial], jobs: int) -> list[Outcome]:
    """The outcomes, in the order of the trials."""
    if jobs == 1:
        return [outcome(trial) for trial in trials]
    with ProcessPoolExecutor(jobs) as pool:
        return list(pool.map(outcome, trials, chunksize=16))


# --- tables -----------------------------------------------------------------------------------------------------------


def percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "–"


def confusion(outcomes: Sequence[Outcome]) -> str:
    """Planted kinds in the rows, named ones in the columns."""
    counts = Counter((one.trial.kind, one.named) for one in outcomes)
    rows = sorted({kind for kind, _ in counts})
    columns = sorted({name for _, name in counts}, key=lambda name: (name not in rows, name))
    lines = [
        [
            kind,
            *(str(counts[kind, name] or "") for name in columns),
            share(one for one in outcomes if one.trial.kind == kind),
        ]
        for kind in rows
    ]
    return table(("planted \\ named", *columns, "right"), lines)


def share(outcomes: Iterable[Outcome]) -> str:
    found = [one.right for one in outcomes]
    return percent(sum(found), len(found))


def by_place(outcomes: Sequence[Outcome]) -> str:
    """The share of rightly named ones by cell, and by form and T."""
    columns = sorted({(one.trial.form, one.trial.steps) for one in outcomes}, reverse=True)

    def row(cell: str) -> list[str]:
        here = [one for one in outcomes if cell in ("all", one.trial.cell)]
        each = (share(one for one in here if (one.trial.form, one.trial.steps) == place) for place in columns)
        return [cell, *each, share(here)]

    cells = dict.fromkeys(one.trial.cell for one in outcomes)
    return table(("cell", *(f"{form}, T = {T}" for form, T in columns), "all"), [row(cell) for cell in (*cells, "all")])


def of_pair(one: Outcome) -> str:
    """What the audit makes of two mistakes at once."""
    if one.verdict != "wrong":
        return one.verdict
    named, (left, right) = set(one.kinds), one.trial.kinds
    if not named <= {"several", "unknown"} | left | right:
        return "a kind that is not there"
    if "several" in named or (named & left and named & right):
        return "several, or both, each for its parameters"
    return "unknown" if named <= {"unknown"} else "one of the two"


def missed(outcomes: Sequence[Outcome], most: int) -> str:
    """Mistakes that were not named rightly, those most often missed first."""
    counts: Counter[tuple[str, ...]] = Counter()
    for one in outcomes:
        if not one.right:
            what = "mixed: " + ", ".join(one.kinds) if one.named == "mixed" else one.named
            counts[
                one.trial.cell, one.trial.kind, one.trial.codes[0], what + (f" ({one.error})" if one.error else "")
            ] += 1
    rows = [[*key, str(count)] for key, count in counts.most_common(most)]
    return table(("cell", "planted", "mistake", "named", "times"), rows) if rows else "None."


def report(alone: Sequence[Outcome], together: Sequence[Outcome], noise: Sequence[Outcome], most: int) -> str:
    """Everything in Markdown."""
    shown = [one for one in alone if one.shown]
    named = [one for one in shown if one.trial.kind != "unknown"]
    among = sum(bool(set(one.kinds) & one.trial.kinds[0]) for one in named)
    slowest = max((one.seconds for one in (*alone, *together)), default=0.0)
    summary = [
        ("planted, one at a time", str(len(alone))),
        ("of these without effect at the audit's points", str(len(alone) - len(shown))),
        ("of the catalogue's kinds", str(len(named))),
        ("the right kind, alone", share(named)),
        ("the right kind among those named", percent(among, len(named))),
        ('false "correct"', str(sum(one.verdict == "correct" for one in shown))),
        ("pairs", str(len(together))),
        ('pairs: false "correct"', str(sum(one.verdict == "correct" for one in together if one.shown))),
        (f"right gradients with noise of {NOISE:.0e}", str(len(noise))),
        ('false "wrong"', str(sum(one.verdict == "wrong" for one in noise))),
        ('"inconclusive" or failed', str(sum(one.verdict not in ("wrong", "correct") for one in noise))),
        ("seconds for an audit: mean of the wrong ones, the slowest", f"{mean(alone):.2f}, {slowest:.2f}"),
        ("seconds for an audit: mean of the right ones", f"{mean(noise):.2f}"),
    ]
    paired = Counter(map(of_pair, together)).most_common()
    parts = [
        "## Summary", table(("", ""), summary),
        "## Confusion matrix", confusion(shown),
        "## By cell, form and T: named rightly", by_place(named),
        "## Not named rightly", missed(shown, most),
        "## Pairs", table(("the audit says", "pairs"), [(what, str(count)) for what, count in paired]),
    ]  # fmt: skip
    return "\n\n".join(parts)


def mean(outcomes: Sequence[Outcome]) -> float:
    return sum(one.seconds for one in outcomes) / max(1, len(outcomes))


def main() -> None:
    """Audit all of them and print the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.audit_confusion", description="What the audit names.")
    parser.add_argument("--cells", nargs="+", choices=planted.CELLS, default=list(planted.CELLS), metavar="CELL")
    parser.add_argument("--forms", nargs="+", choices=FORMS, default=list(FORMS))
    parser.add_argument("--steps", nargs="+", type=int, choices=STEPS, default=list(STEPS), metavar="T")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="only every N-th mistake: a quick look")
    parser.add_argument("--noise", type=int, default=10_000, metavar="N", help="how many right gradients with noise")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--most", type=int, default=60, help="how many missed mistakes to list")
    args = parser.parse_args()
    if not callable(getattr(rs, "audit", None)):
        parser.error("rnn_symbolic has no function audit")
    start = time.perf_counter()
    alone = run(list(singles(args.cells, args.forms, args.steps))[:: args.every], args.jobs)
    together = run(list(pairs(args.cells, args.steps))[:: args.every], args.jobs)
    noise = run(right_ones(args.cells, args.forms, args.steps, args.noise), args.jobs)
    print(report(alone, together, noise, args.most))
    print("\n" + table(("", ""), [*machine().items(), ("duration", f"{time.perf_counter() - start:.0f} s")]))


if __name__ == "__main__":
    main()
