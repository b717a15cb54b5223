"""Somebody's own gradient function, asked at points of ours: in this process, or in one with a time limit.

    call_function(f, model, point)                       a function at hand, as from a notebook
    run_code("net.py:gradients", model, points)          MODULE:FUNCTION, in a process of its own

What its names, its layout and its scale are is an `Adapter`'s to say; answers come back by our names, in our layout,
for our L.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from rnn_symbolic.arrays import MatrixPoint, array_point
from rnn_symbolic.auditing.answers import Answer
from rnn_symbolic.auditing.calling import Inputs, Question, ask, plan_call
from rnn_symbolic.errors import InputError, suggest
from rnn_symbolic.expressions import Quantity
from rnn_symbolic.model import Model
from rnn_symbolic.numeric import Point
from rnn_symbolic.output import one_line
from rnn_symbolic.processes import run_program, temporary_folder

__all__ = ["Adapter", "Answer", "call_function", "run_code"]

TIME_LIMIT = 60.0
"""Seconds for a process: to start, to import what the user imports, and to answer at every point."""
KEPT_OUTPUT = 4096
"""How many bytes of what the user's code prints are kept, the last."""
SHOWN_OUTPUT = 300
"""How many characters of them an error shows."""


@dataclass(frozen=True)
class Adapter:
    """How a function differs from ours in its habits, not in its mathematics.

    ``names`` says what it calls our names: {"W_x": "Wxh", "x": "inputs"}. ``row_major``: its matrices are ours
    transposed (h W for W h); it is given W^T, and its gradients are transposed back. ``mean``: its L is the mean over
    the steps; its loss and gradients are multiplied by T.
    """

    names: Mapping[str, str] = field(default_factory=dict)
    row_major: bool = False
    mean: bool = False


def call_function(
    function: Callable[..., Any], model: Model, point: MatrixPoint | Point, adapter: Adapter | None = None
) -> Answer:
    """What a function answers at a point, in this process: without a time limit, and Ctrl-C goes through it.

    It gets copies. Parameters, initial states, x and d are passed by the names of its arguments, or as
    ``(params, x, d)`` or ``(params, x, d, state)``; x is (T, n_x) or with a batch (T, B, n_x), in scalar form (T,).

    >>> from rnn_symbolic.model import unroll
    >>> from rnn_symbolic.values import point_from_mapping
    >>> model = unroll("h = w * h[t-1] + x\\ny = h", steps=1, loss="squared")
    >>> point = point_from_mapping({"w": 2.0, "h_0": 3.0, "x": [1.0], "d": [5.0]}, model)
    >>> call_function(lambda w, x, d, h_0: {"dw": (w * h_0 + x[0] - d[0]) * h_0}, model, point).gradients
    {'w': array(6.)}

    Raises InputError for a signature that fits neither, and for an adapter with unknown names.
    """
    adapter = adapter or Adapter()
    question = _question(model, adapter)
    plan = plan_call(function, question)
    return _undone(ask(function, plan, question, _inputs(model, point, adapter)), model, adapter)


def run_code(
    target: str,
    model: Model,
    points: Sequence[MatrixPoint | Point],
    adapter: Adapter | None = None,
    timeout: float = TIME_LIMIT,
) -> tuple[Answer, ...]:
    """What MODULE:FUNCTION, or FILE.py:FUNCTION, answers at each point. This runs the user's code, in a process.

    The process sees the current folder first, writes no byte code, and is killed with all it started after ``timeout``
    seconds. What it prints is kept for the message of an error. An exception, sys.exit, a crash, a hang and what is no
    gradient are the answer's ``error``.

    Raises InputError for the command line: no such module, file or function, an error in importing it, a signature
    that does not fit.
    """
    adapter = adapter or Adapter()
    question = _question(model, adapter)
    if not (isinstance(timeout, int | float) and math.isfinite(timeout) and timeout > 0):
        raise InputError(f"--timeout is {timeout!r}; expected a positive number of seconds")
    request = {
        "target": target,
        "parameters": question.parameters,
        "initial": question.initial,
        "theirs": dict(question.theirs),
        "points": [
            {name: np.asarray(value).tolist() for name, value in _inputs(model, point, adapter).items()}
            for point in points
        ],
        "timeout": timeout,
    }
    end = _run(request, timeout)
    answers = _answers(end, target, len(points))
    return tuple(_undone(answer, model, adapter) for answer in answers)


# --- names, layout and scale ----------------------------------------------------------------------------------------


def _question(model: Model, adapter: Adapter) -> Question:
    parameters = tuple(map(str, model.parameters))
    initial = tuple(map(str, model.initial_states))
    known = (*parameters, *initial, "x", "d")
    for name in adapter.names:
        if name not in known:
            raise InputError(
                f"{name!r} cannot be renamed: {model.cell.name} has {', '.join(known)}.{suggest(str(name), known)}"
            )
    theirs = [adapter.names.get(name, name) for name in known]
    twice = next((name for name in theirs if theirs.count(name) > 1), None)
    if twice is not None:
        both = " and ".join(name for name, their in zip(known, theirs, strict=True) if their == twice)
        raise InputError(f"{both} are both called {twice!r}; give each its own name")
    return Question(parameters, initial, dict(adapter.names))


def _inputs(model: Model, point: MatrixPoint | Point, adapter: Adapter) -> Inputs:
    """What is passed, by our names: arrays laid out their way, in scalar form floats and (T,) for x and d."""
    arrays = array_point(point)
    leaves = {**arrays.parameters, **{str(Quantity(*key)): value for key, value in arrays.initial.items()}}
    if model.shapes is None:
        numbers: dict[str, Any] = {name: float(np.reshape(value, ())) for name, value in leaves.items()}
        return {**numbers, "x": np.asarray(arrays.x)[..., 0], "d": np.asarray(arrays.d)[..., 0]}
    matrices = _matrices(model) if adapter.row_major else frozenset()
    found: dict[str, Any] = {
        name: np.asarray(value).T if name in matrices else np.asarray(value) for name, value in leaves.items()
    }
    return {**found, "x": np.asarray(arrays.x), "d": np.asarray(arrays.d)}


def _matrices(model: Model) -> frozenset[str]:
    return frozenset(str(q) for q in model.parameters if model.is_matrix(q))


def _undone(answer: Answer, model: Model, adapter: Adapter) -> Answer:
    """The answer in our layout, for our L."""
    matrices = _matrices(model) if adapter.row_major else frozenset()
    factor = float(model.steps) if adapter.mean else 1.0

    def ours(name: str, array: Any) -> Any:
        return factor * (array.T if name in matrices and array.ndim == 2 else array)

    gradients = {name: np.array(ours(name, array)) for name, array in answer.gradients.items()}
    loss = None if answer.loss is None else factor * answer.loss
    return dataclasses.replace(answer, loss=loss, gradients=gradients)


# --- the process ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _End:
    """How a process ended: its records, its exit status (None: out of time), what it printed last."""

    records: tuple[dict[str, Any], ...]
    status: int | None
    timeout: float
    said: str

    @property
    def cause(self) -> str:
        if self.status is None:
            return f"it did not answer within {self.timeout:g} s; give more with --timeout, or let it do less"
        if self.status < 0:
            with suppress(ValueError):
                return f"its process was ended by the signal {signal.Signals(-self.status).name}"
            return f"its process was ended by signal {-self.status}"
        return f"its process ended with exit status {self.status} and without an answer"

    @property
    def printed(self) -> str:
        """What it said last, as the end of a message."""
        text = one_line(self.said)
        text = text if len(text) <= SHOWN_OUTPUT else f"…{text[-SHOWN_OUTPUT:]}"
        return f"; it printed: {text}" if text else ""


def _answers(end: _End, target: str, count: int) -> list[Answer]:
    """An answer for each point; where the process ended early, the reason stands for what is missing."""
    loaded, *records = end.records or ({},)
    if "refused" in loaded:
        raise InputError(f"{loaded['refused']}{end.printed}")
    if "loaded" not in loaded:
        raise InputError(f"{target} cannot be imported: {end.cause}{end.printed}")
    answers = [
        Answer(
            record["loss"],
            {name: np.array(value, dtype=np.float64) for name, value in record["gradients"].items()},
            record["dtype"],
            record["error"],
            tuple(record["received"]),
        )
        for record in records
    ]
    if len(answers) < count:
        point = f" (at point {len(answers) + 1} of {count})" if count > 1 else ""
        lost = Answer(error=f"{target}: {end.cause}{point}")
        answers += [lost] * (count - len(answers))
    first = next((i for i, answer in enumerate(answers) if answer.error), None)
    if first is not None:
        answers[first] = dataclasses.replace(answers[first], error=answers[first].error + end.printed)
    return answers


def _run(request: Mapping[str, Any], timeout: float) -> _End:
    with temporary_folder() as folder:
        asked, answered = folder / "request.json", folder / "answers.jsonl"
        asked.write_text(json.dumps(request), encoding="utf-8")
        # -P: the current folder comes to sys.path when our own modules are loaded, or a user's json.py would be one
        command = [sys.executable, "-P", "-m", "rnn_symbolic.auditing.runner", str(answered)]
        try:
            with asked.open("rb") as stdin:
                ended = run_program(
                    command, timeout, kept=KEPT_OUTPUT, stdin=stdin, stderr=subprocess.STDOUT,
                    environment=_environment(),
                )  # fmt: skip
        except (OSError, ValueError) as error:
            raise InputError(f"no process can be started to run the function: {error}") from None
        lines = answered.read_text(encoding="utf-8").split("\n") if answered.exists() else [""]
        records = tuple(json.loads(line) for line in lines[:-1])  # the last may be half a line
    return _End(records, ended.status, timeout, ended.output)


def _environment() -> dict[str, str]:
    """That of this process; nothing is written beside the user's file, and this package is found where it is now."""
    root = Path(__file__).resolve().parents[2]
    paths = [os.environ.get("PYTHONPATH", "")]
    if root.name not in ("site-packages", "dist-packages"):  # those may hold names of the standard library
        paths.append(str(root))
    found = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    return found if found["PYTHONPATH"] else {key: value for key, value in found.items() if key != "PYTHONPATH"}
