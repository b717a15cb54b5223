"""Who derives what, and how; each runs in a process of its own. Here the five gradients of the elman network.

    python -m benchmarks.contestants NAME T time|steady|objects|process

A contestant is a function that imports what it needs and returns its job. The job does everything anew (a new
model, nothing carried over) and calls ``lap`` at the end of each phase. Standard output is JSON: the laps of each
call, or the name of an error.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.matrix_contestants import MATRIX_CONTESTANTS

if TYPE_CHECKING:
    import sympy as sp

Lap = Callable[[str], None]
Job = Callable[[int, Lap], Any]

PARAMETERS = ("W_h", "W_x", "b_h", "W_y", "b_y")
LATEX_UP_TO = 10
"""SymPy's LaTeX of inlined gradients is not asked for above this T: 77 kB at T = 10, 8 MB and 45 s at T = 60."""


# --- this package -------------------------------------------------------------------------------------------------


def rnn_symbolic(*, whole: bool = False, checked: bool = False) -> Job:
    """Five derivations with all their lines and results, then the document in LaTeX."""
    from rnn_symbolic import derive_gradients, unroll
    from rnn_symbolic.render.derivation_document import derivation_document
    from rnn_symbolic.render.latex import document_latex
    from rnn_symbolic.verification import verify_all

    def job(steps: int, lap: Lap) -> Any:
        derivations = derive_gradients(unroll("elman", steps=steps), whole=whole)
        results = [derivation.result for derivation in derivations]
        lap("derive")
        found = verify_all(derivations, symbolic=False) if checked else ()
        if checked:
            lap("check")
        text = document_latex(derivation_document(derivations, verifications=found))
        lap("LaTeX")
        return derivations, results, text

    return job


def rnn_symbolic_values() -> Job:
    """Five derivations, then each result as one SymPy expression in the named quantities."""
    from rnn_symbolic import derive_gradients, symbols, unroll

    assert symbols  # imported before the clock starts

    def job(steps: int, lap: Lap) -> Any:
        model = unroll("elman", steps=steps)
        derivations = derive_gradients(model)
        lap("derive")
        values = {str(derivation.goal): derivation.result.value(model) for derivation in derivations}
        lap("SymPy")
        return values

    return job


def paths_json() -> Job:
    """All paths to W_x, each with route, lag and LaTeX, as JSON."""
    from rnn_symbolic import unroll
    from rnn_symbolic.output import json_text
    from rnn_symbolic.render.path_tables import paths_json as record
    from rnn_symbolic.survey import survey_paths

    def job(steps: int, lap: Lap) -> str:
        text = json_text(record(survey_paths(unroll("elman", steps=steps), "W_x")))
        lap("list")
        return text

    return job


def paths_count() -> Job:
    """The number of paths to W_x, counted and not listed."""
    from rnn_symbolic import count_paths, unroll

    def job(steps: int, lap: Lap) -> int:
        number = count_paths(unroll("elman", steps=steps, max_steps=steps), "W_x")
        lap("count")
        return number

    return job


# --- SymPy by itself ----------------------------------------------------------------------------------------------


def tanh_and_squares() -> tuple[Any, Any]:
    """A concrete network: σ = tanh, ℓ_t = ½ (y_t − d_t)²."""
    import sympy as sp

    return sp.tanh, lambda t, y: (y - sp.Symbol(f"d_{t}")) ** 2 / 2


def abstract_functions() -> tuple[Any, Any]:
    """σ and ℓ_t as this package's SymPy nodes, which differentiate faster than ``Function('sigma')``."""
    from rnn_symbolic.symbols import sigma, step_loss

    return sigma, step_loss


def sympy_inlined(functions: Callable[[], tuple[Any, Any]] = abstract_functions) -> Job:
    """L as one expression in the parameters, and ``diff``: what anybody tries first."""
    import sympy as sp

    activation, loss = functions()

    def job(steps: int, lap: Lap) -> dict[str, sp.Expr]:
        W_h, W_x, b_h, W_y, b_y = parameters = sp.symbols(PARAMETERS)
        h = sp.Symbol("h_0")
        losses = []
        for t in range(1, steps + 1):
            h = activation(W_h * h + W_x * sp.Symbol(f"x_{t}") + b_h)
            losses.append(loss(t, activation(W_y * h + b_y)))
        total = sp.Add(*losses)
        lap("build")
        gradients = {str(p): sp.diff(total, p) for p in parameters}
        lap("derive")
        if steps <= LATEX_UP_TO:
            for gradient in gradients.values():
                sp.latex(gradient)
            lap("LaTeX")
        return gradients

    return job


def sympy_named(functions: Callable[[], tuple[Any, Any]] = abstract_functions) -> Job:
    """The chain rule by hand: ``diff`` of every equation, with a symbol for every ∂L/∂q, from the last step back."""
    import sympy as sp

    activation, loss = functions()

    def job(steps: int, lap: Lap) -> tuple[list[tuple[sp.Symbol, sp.Expr]], dict[str, sp.Expr], dict[Any, Any]]:
        W_h, W_x, b_h, W_y, b_y = parameters = sp.symbols(PARAMETERS)
        equations: list[tuple[sp.Symbol, sp.Expr]] = []
        h = sp.Symbol("h_0")
        for t in range(1, steps + 1):
            a, h_next, o, y, ell = sp.symbols(f"a_{t} h_{t} o_{t} y_{t} ell_{t}")
            equations.append((a, W_h * h + W_x * sp.Symbol(f"x_{t}") + b_h))
            equations.append((h_next, activation(a)))
            equations.append((o, W_y * h_next + b_y))
            equations.append((y, activation(o)))
            equations.append((ell, loss(t, y)))
            h = h_next
        lap("build")

        received: dict[sp.Symbol, list[sp.Expr]] = {q: [] for q, _ in equations} | {p: [] for p in parameters}
        adjoints: list[tuple[sp.Symbol, sp.Expr]] = []
        for q, expression in reversed(equations):
            credit = sp.Integer(1)  # ∂L/∂ℓ_t, known: to differentiate L = Σ ℓ_t by each ℓ_t would take O(T²)
            if received[q]:
                credit = sp.Symbol(rf"\delta_{{{q}}}")
                adjoints.append((credit, sp.Add(*received[q])))
            for mentioned in sorted(expression.free_symbols, key=str):
                if mentioned in received:  # x_t, d_t and h_0 are data
                    received[mentioned].append(credit * sp.diff(expression, mentioned))
        gradients = {str(p): sp.Add(*received[p]) for p in parameters}
        lap("derive")
        lines = [f"{sp.latex(name)} = {sp.latex(value)}" for name, value in adjoints]
        lines += [sp.latex(value) for value in gradients.values()]
        lap("LaTeX")
        return adjoints, gradients, dict(equations)

    return job


CONTESTANTS: dict[str, Callable[[], Job]] = {
    "rnn_symbolic": rnn_symbolic,
    "rnn_symbolic, checked": lambda: rnn_symbolic(checked=True),
    "rnn_symbolic, whole": lambda: rnn_symbolic(whole=True),
    "rnn_symbolic, as SymPy": rnn_symbolic_values,
    "paths as JSON": paths_json,
    "paths counted": paths_count,
    "SymPy, named": sympy_named,
    "SymPy, inlined": sympy_inlined,
    "SymPy, inlined, tanh": lambda: sympy_inlined(tanh_and_squares),
    **MATRIX_CONTESTANTS,
}


# --- one process --------------------------------------------------------------------------------------------------


def timed(job: Job, steps: int) -> dict[str, float]:
    """The seconds of each phase of one call, with SymPy's cache empty."""
    laps: dict[str, float] = {}
    if "sympy.core.cache" in sys.modules:
        sys.modules["sympy.core.cache"].clear_cache()
    gc.collect()
    since = time.perf_counter()

    def lap(phase: str) -> None:
        nonlocal since
        now = time.perf_counter()
        laps[phase], since = now - since, now

    job(steps, lap)
    return laps


def repeated(job: Job, steps: int, budget: float = 0.3, most: int = 7) -> list[dict[str, float]]:
    """The first call after the import, and as many further ones as fit into the budget."""
    until = time.perf_counter() + budget
    calls = [timed(job, steps)]
    while time.perf_counter() < until and len(calls) <= most:
        calls.append(timed(job, steps))
    return calls


def peak(job: Job, steps: int) -> dict[str, float]:
    """The most memory that Python objects of one call took at a time, in bytes."""
    import tracemalloc

    gc.collect()
    tracemalloc.start()
    kept = job(steps, lambda _: None)
    most = tracemalloc.get_traced_memory()[1]
    del kept
    return {"objects": float(most)}


def resident(job: Job, steps: int) -> dict[str, float]:
    """By how much one call raised the greatest size of the process, in bytes."""
    gc.collect()
    before = _greatest_size()
    kept = job(steps, lambda _: None)
    after = _greatest_size()
    del kept
    return {"process": after - before}


def _greatest_size() -> float:
    """The high-water mark of this process; on Linux ``ru_maxrss`` would start from that of its parent."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    except OSError:
        import resource

        return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) * (1 if sys.platform == "darwin" else 1024)
    return 1024.0 * next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))


def main(arguments: Sequence[str]) -> None:
    """One contestant, one size, one mode."""
    name, steps, mode = arguments
    job = CONTESTANTS[name]()
    modes: dict[str, Callable[[], list[dict[str, float]]]] = {
        "time": lambda: repeated(job, int(steps)),
        "steady": lambda: repeated(job, int(steps), budget=1.0, most=15),
        "objects": lambda: [peak(job, int(steps))],
        "process": lambda: [resident(job, int(steps))],
    }
    try:
        outcome: list[dict[str, float]] | str = modes[mode]()
    except RecursionError as error:  # SymPy's on deeply nested expressions
        outcome = type(error).__name__
    except (AssertionError, IndexError, ValueError) as error:  # SymPy's matrix calculus on two steps
        if not name.startswith("SymPy"):
            raise
        outcome = type(error).__name__
    print(json.dumps(outcome))


if __name__ == "__main__":
    main(sys.argv[1:])
