"""``python -m benchmarks.gradients``: L and all its gradients as compiled functions, beside other libraries.

    python -m benchmarks.gradients --readme              # measure all, replace the section of benchmarks/README.md
    python -m benchmarks.gradients --json results.json   # keep every record
    python -m benchmarks.gradients --from results.json --readme
    python -m benchmarks.gradients --quick               # tiny sizes: only to see that it runs

Each regime runs in a process of its own, pinned to one core and again to two. There every contestant's gradients
are compared with the reference first, and then all take turns: a pass is one sample of each, so that a change of the
machine's speed hits everybody. A sample is as many calls as take 20 ms. Set-up is measured apart, in fresh processes.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from shutil import which
from statistics import median
from typing import Any

from benchmarks.measuring import ROOT, load, machine

Size = tuple[int, int, int]  # n, B, T


@dataclass(frozen=True)
class Plan:
    """What is measured, and how long."""

    sizes: Mapping[str, tuple[Size, ...]]
    setups: tuple[tuple[str, Size], ...]
    threads: tuple[int, ...]
    sample: float  # seconds of one sample, about
    budget: float  # seconds for one point: after them no further pass
    passes: tuple[int, int]  # at least, at most
    rounds: int  # fresh processes for a set-up of ours


FULL = Plan(
    sizes={
        "scalar": tuple((1, 1, T) for T in (3, 30, 100, 1000)),
        "elman": tuple(itertools.product((4, 16, 64, 256), (1, 32), (3, 30, 100))),
        "lstm": tuple(itertools.product((64, 256), (1, 32), (100,))),
    },
    setups=(
        ("scalar", (1, 1, 3)),
        ("scalar", (1, 1, 1000)),
        ("elman", (4, 1, 100)),
        ("elman", (64, 32, 3)),
        ("elman", (64, 32, 100)),
        ("lstm", (64, 32, 100)),
    ),
    threads=(1, 2),
    sample=0.02,
    budget=2.5,
    passes=(5, 15),
    rounds=3,
)
QUICK = Plan(
    sizes={"scalar": ((1, 1, 3),), "elman": ((4, 1, 3), (3, 2, 3)), "lstm": ((2, 2, 3),)},
    setups=(("scalar", (1, 1, 3)),),
    threads=(1,),
    sample=0.0,
    budget=0.0,
    passes=(2, 2),
    rounds=1,
)
SLOW = 0.25
"""A contestant whose single call takes longer than this many seconds is sampled three times, whatever the passes."""


# --- in a worker process ------------------------------------------------------------------------------------------


def compared(regime: str, point: Any, found: tuple[float, Mapping[str, Any]]) -> tuple[float, str]:
    """The greatest relative error of L and the gradients in the max-norm of each, and which one has it."""
    import numpy as np

    from benchmarks.gradient_peers import reference

    loss, gradients = reference(regime, point.P, point.x, point.d)
    errors = {"L": abs(found[0] - loss) / abs(loss)}
    for name, right in gradients.items():
        theirs = np.asarray(found[1][name], dtype=float)
        if theirs.size != right.size:
            return float("inf"), f"{name} has shape {theirs.shape}"
        errors[name] = np.abs(theirs.reshape(right.shape) - right).max() / np.abs(right).max()
    worst = max(errors, key=lambda name: errors[name] if errors[name] == errors[name] else float("inf"))
    return float(errors[worst]), worst


def calls_in(call: Callable[[], Any], duration: float) -> tuple[int, float]:
    """How many calls take about that long, at least one; and the seconds of one."""
    number = 1
    while True:
        taken = sample(call, number)
        if taken * number >= duration / 4:
            return max(1, round(duration / max(taken, 1e-9))), taken
        number *= 4


def sample(call: Callable[[], Any], number: int) -> float:
    """The mean seconds of so many calls in a row, the garbage collector at rest."""
    times = itertools.repeat(None, number)
    gc.disable()
    try:
        start = time.perf_counter()
        for _ in times:
            call()
        return (time.perf_counter() - start) / number
    finally:
        gc.enable()


def in_passes(calls: Mapping[str, Callable[[], Any]], plan: Plan) -> dict[str, list[float]]:
    """Samples of each contestant, all in turn, until the time is up."""
    numbers = {name: calls_in(call, plan.sample) for name, call in calls.items()}
    samples: dict[str, list[float]] = {name: [] for name in calls}
    (least, most), start = plan.passes, time.perf_counter()
    gc.freeze()  # what is there stays: collecting looks at new objects only
    for turn in range(most):
        if turn >= least and time.perf_counter() - start > plan.budget:
            break
        gc.collect()
        for name, call in calls.items():
            number, single = numbers[name]
            if single > SLOW and turn >= 3:
                continue
            if single < SLOW / 10:
                call()  # the caches still hold another's data
            samples[name].append(sample(call, number))
    return samples


def in_a_line(error: Exception) -> str:
    """Its name and how its message begins."""
    return f"{type(error).__name__}: {(str(error).strip() or '-').splitlines()[0]}"


def timed_point(regime: str, size: Size, threads: int, plan: Plan) -> list[dict[str, Any]]:
    """The records of all contestants at one point: the comparison first, then the times."""
    from benchmarks.gradient_peers import CONTESTANTS, FLOOR, Point

    point, calls, records = Point(regime, *size), {}, {}
    for contestant in CONTESTANTS:
        name = contestant.name
        if not contestant.takes(regime, size) or contestant.missing():
            continue
        record: dict[str, Any] = {"regime": regime, "size": size, "threads": threads, "name": name, "status": "ok"}
        records[name] = record
        try:
            call, read = contestant.prepare(point)
            call()
            if name != FLOOR:
                record["error"], record["worst"] = compared(regime, point, read(call()))
            calls[name] = call
        except Exception as error:  # a contestant that fails is a result
            record["status"] = in_a_line(error)
    for name, samples in in_passes(calls, plan).items():
        records[name] |= {"median": median(samples), "minimum": min(samples), "samples": len(samples)}
    return list(records.values())


def timed_setup(name: str, regime: str, size: Size) -> float:
    """By how many seconds the first result takes longer than a later one, the library imported before."""
    from importlib import import_module

    from benchmarks.gradient_peers import BY_NAME, Point, jax_in_doubles

    contestant, point = BY_NAME[name], Point(regime, *size)
    import_module(contestant.module)
    if contestant.module == "jax":
        jax_in_doubles().numpy.ones(3).sum().block_until_ready()  # the device is there
    if name.startswith("ours"):
        import rnn_symbolic

        assert rnn_symbolic.unroll and rnn_symbolic.compile_gradient  # imported when first asked for
    assert point.natural and point.stacked
    start = time.perf_counter()
    call = contestant.prepare(point)[0]
    call()
    first = time.perf_counter() - start
    return max(0.0, first - median(sample(call, 1) for _ in range(5)))


def work(job: Mapping[str, Any]) -> Any:
    """One job of a worker: a regime on so many threads, or one set-up."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-job["threads"] :])
    if job["kind"] == "setup":
        try:
            return timed_setup(job["name"], job["regime"], tuple(job["size"]))
        except Exception as error:  # a result as well
            return in_a_line(error)
    plan = QUICK if job["quick"] else FULL
    records = []
    for size in plan.sizes[job["regime"]]:
        print(f"{job['threads']} thread(s), {job['regime']} {size}", file=sys.stderr, flush=True)
        records += timed_point(job["regime"], size, job["threads"], plan)
    return records


# --- in the process that was called -------------------------------------------------------------------------------


def environment(threads: int) -> dict[str, str]:
    """What makes every library use so many threads."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
    eigen = "true" if threads > 1 else "false"
    flags = f"--xla_cpu_multi_thread_eigen={eigen} intra_op_parallelism_threads={threads}"
    return {**os.environ, **dict.fromkeys(names, str(threads)), "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}


def in_process(job: Mapping[str, Any], builds: Path) -> Any:
    """What a worker found; it keeps what it compiles under that directory."""
    places = {"RNN_SYMBOLIC_CACHE": str(builds / "ours"), "GRADIENT_BENCHMARK_BUILDS": str(builds)}
    command = [sys.executable, "-m", "benchmarks.gradients", "--worker", json.dumps(job)]
    env = environment(job["threads"]) | places
    done = subprocess.run(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, encoding="utf-8", check=False)
    if done.returncode:
        raise SystemExit(f"the worker ended with {done.returncode}: {json.dumps(job)}")
    return json.loads(done.stdout.splitlines()[-1])


def setups(plan: Plan) -> list[dict[str, Any]]:
    """Set-up times on one thread; what compiles C starts with an empty directory, ours then again with a full one."""
    from benchmarks.gradient_peers import CONTESTANTS, C

    found = []
    for regime, size in plan.setups:
        for contestant in CONTESTANTS:
            name, own = contestant.name, contestant.name.startswith("ours")
            if not contestant.timed_setup or not contestant.takes(regime, size) or contestant.missing():
                continue
            print(f"set-up, {regime} {size}: {name}", file=sys.stderr, flush=True)
            job = {"kind": "setup", "name": name, "regime": regime, "size": size, "threads": 1}
            samples: dict[str, list[Any]] = {}
            for _ in range(plan.rounds if own else 1):
                with tempfile.TemporaryDirectory() as builds:
                    for phase in ("first", "cached") if name == C else ("first",):
                        samples.setdefault(phase, []).append(in_process(job, Path(builds)))
            for phase, each in samples.items():
                failed = next((sample for sample in each if isinstance(sample, str)), None)
                outcome = {"status": failed} if failed else {"status": "ok", "seconds": median(each)}
                found.append({"regime": regime, "size": size, "name": name, "phase": phase, **outcome})
    return found


def versions() -> dict[str, str]:
    """Of whom and of what the times are."""
    import numpy as np

    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    found = {"BLAS of NumPy": f"{blas['name']} {blas['version']}", "C compiler": "none named cc"}
    if which("cc"):
        found["C compiler"] = subprocess.check_output(["cc", "--version"], encoding="utf-8").splitlines()[0]
    for name in ("jax", "casadi", "symengine", "numba", "scipy", "autograd"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def run(plan: Plan, regimes: Iterable[str], quick: bool) -> dict[str, Any]:
    """Everything that is measured, as plain data."""
    from benchmarks.gradient_peers import CONTESTANTS

    start = time.perf_counter()
    about = machine() | versions() | {"load before": load()}
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    left_out = {contestant.name: why for contestant in CONTESTANTS if (why := contestant.missing())}
    records = []
    with tempfile.TemporaryDirectory() as builds:
        for threads, regime in itertools.product(plan.threads, regimes):
            if regime in plan.sizes and threads <= cores:
                job = {"kind": "times", "regime": regime, "threads": threads, "quick": quick}
                records += in_process(job, Path(builds))
    found = setups(plan) if "setup" in regimes else []
    about |= {"load after": load(), "duration": f"{time.perf_counter() - start:.0f} s"}
    return {"about": about, "plan": asdict(plan), "left out": left_out, "records": records, "setups": found}


def main() -> None:
    """Measure or read, print the tables, and on request keep them."""
    parts = [*FULL.sizes, "setup"]
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gradients", description="Compiled gradients.")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: to see that it runs")
    parser.add_argument("--only", choices=parts, help="one regime, or the set-up times")
    parser.add_argument("--json", metavar="FILE", help="write every record here as well")
    parser.add_argument("--from", metavar="FILE", dest="stored", help="do not measure: read what --json wrote")
    parser.add_argument("--readme", action="store_true", help="put tables and plots into benchmarks/")
    parser.add_argument("--worker", metavar="JOB", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        print("\n" + json.dumps(work(json.loads(args.worker))))
        return
    if args.readme and (args.quick or args.only):
        parser.error("--readme keeps the tables of one whole run; leave --quick and --only out")
    from benchmarks.gradient_report import print_report, write_readme

    if args.stored:
        results = json.loads(Path(args.stored).read_text(encoding="utf-8"))
    else:
        results = run(QUICK if args.quick else FULL, [args.only] if args.only else parts, args.quick)
    print_report(results)
    if args.json:
        Path(args.json).write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    if args.readme:
        write_readme(results)


if __name__ == "__main__":
    main()
