"""``python -m benchmarks.proofs``: how long ``prove`` takes beside ``import sympy``, and coqc over certificates.

Processes take turns; what counts is the time of the processor, user and system, of the process and its children.
"""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rnn_symbolic.certificate.document import coq_certificate
from rnn_symbolic.model import unroll

ROUNDS = 15
CERTIFICATES = (
    ("elman", "scalar", "W_x"),
    ("lstm", "scalar", "W_f"),
    ("elman", "matrix", "W_h"),
    ("gru", "matrix", "U_z"),
    ("lstm", "matrix", "W_f"),
    ("lstm", "matrix", "b_y"),
    ("lstm-peephole", "matrix", "P_f"),
    ("lstm-peephole", "matrix", "W_y"),
)


def processor_seconds(command: Sequence[str], folder: Path | None = None) -> float:
    """What a process takes of the processor."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def prove_beside_sympy() -> tuple[float, float, float]:
    """Medians of `import sympy` and of `prove W_x`, and of the ratios of neighbours."""
    sympy = [sys.executable, "-c", "import sympy"]
    prove = [sys.executable, "-m", "rnn_symbolic", "prove", "W_x"]
    for command in (sympy, prove):  # byte code is written
        processor_seconds(command)
    pairs = [(processor_seconds(sympy), processor_seconds(prove)) for _ in range(ROUNDS)]
    columns = [*zip(*pairs, strict=True), [ours / theirs for theirs, ours in pairs]]
    theirs, ours, ratio = (statistics.median(column) for column in columns)
    return theirs, ours, ratio


def main() -> None:
    """Measure and print."""
    theirs, ours, ratio = prove_beside_sympy()
    print(f"import sympy {theirs:.3f} s, prove W_x {ours:.3f} s, ratio {ratio:.2f}\n")
    print("| cell | form | goal | coqc, s |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "certificate.v"
        for cell, form, goal in CERTIFICATES:
            file.write_text(coq_certificate(unroll(cell, form=form), goal).text, encoding="utf-8")
            seconds = processor_seconds(["coqc", "-q", "-w", "+local-declaration", file.name], Path(folder))
            print(f"| {cell} | {form} | {goal} | {seconds:.1f} |", flush=True)


if __name__ == "__main__":
    main()
