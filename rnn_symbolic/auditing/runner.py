"""The process that runs somebody's gradient function: ``python -P -m rnn_symbolic.auditing.runner ANSWERS``.

The request is JSON on the standard input: {"target", "parameters", "initial", "theirs", "points", "timeout"}. Each
answer is a line of JSON in the file ANSWERS, so that nothing the user's code prints can spoil it, and what was answered
before a crash is kept: first {"loaded": true} or {"refused": why}, then {"loss", "gradients", …} for each point.

It imports no more than it needs, because its start-up is the user's waiting.
"""

from __future__ import annotations

import faulthandler
import importlib
import importlib.util
import inspect
import io
import json
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from rnn_symbolic.auditing.answers import Answer
from rnn_symbolic.auditing.calling import Question, ask, plan_call, raised, raised_at
from rnn_symbolic.errors import InputError, suggest
from rnn_symbolic.output import one_line

ORPHAN = 10.0
"""So many seconds after the time limit the process ends itself, should nobody be left to end it."""


# --- the function ---------------------------------------------------------------------------------------------------


def load_function(target: str) -> Callable[..., Any]:
    """The function that MODULE:FUNCTION or FILE.py:FUNCTION names; importing the module runs it.

    >>> load_function("math:sqrt")(4)
    2.0

    A module is looked for in the current folder first. Raises InputError: no such file, module or function, an error
    in it with its line.
    """
    place, colon, name = target.rpartition(":")
    if not colon or not place or not all(part.isidentifier() for part in name.split(".")):
        raise InputError(f"expected MODULE:FUNCTION, such as net:gradients or net.py:gradients; got {target!r}")
    module = _import(place)
    found: Any = module
    for part in name.split("."):
        if not hasattr(found, part):
            public = [key for key in dir(found) if not key.startswith("_") and callable(getattr(found, key, None))]
            raise InputError(f"{place} has no function {name!r}.{suggest(part, public)}")
        found = getattr(found, part)
    if inspect.isclass(found) or not callable(found):
        what = "a class" if inspect.isclass(found) else f"no function but {type(found).__name__}"
        raise InputError(f"{target} is {what}; name a function that returns gradients")
    function: Callable[..., Any] = found
    return function


def _import(place: str) -> ModuleType:
    try:
        if place.endswith(".py") or "/" in place or os.sep in place:
            return _import_file(place)
        here = Path(f"{place}.py")
        if here.is_file():  # also where its name is that of a module which is there already
            return _import_file(str(here))
        return _import_module(place)
    except InputError:
        raise
    except SyntaxError as error:
        file = Path(error.filename).name if error.filename else place
        line = f", line {error.lineno}" if error.lineno else ""
        raise InputError(f"{file}{line}: {one_line(str(error.msg))}; {place} is no Python that can be run") from None
    except SystemExit as stop:
        raise InputError(
            f"{place} calls sys.exit{raised_at(stop)} when it is imported; put what it does under "
            f'if __name__ == "__main__":'
        ) from None
    except BaseException as error:
        raise InputError(f"importing {place} raises {raised(error)}") from None


def _import_file(place: str) -> ModuleType:
    path = Path(place)
    if path.suffix != ".py":
        raise InputError(f"{place!r} is no Python file; expected FILE.py:FUNCTION or MODULE:FUNCTION")
    if not path.is_file():
        near = [str(other) for other in path.parent.glob("*.py")] if path.parent.is_dir() else []
        raise InputError(f"there is no file {place!r}.{suggest(str(path), near)}")
    path = path.resolve()
    sys.path.insert(0, str(path.parent))  # for what it imports from beside itself, as `python net.py` would
    name = path.stem if path.stem.isidentifier() and path.stem not in sys.modules else f"audited_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _import_module(place: str) -> ModuleType:
    if not all(part.isidentifier() for part in place.split(".")):
        raise InputError(f"{place!r} names no module; expected MODULE:FUNCTION or FILE.py:FUNCTION")
    if os.getcwd() not in sys.path[:1]:
        sys.path.insert(0, os.getcwd())
    try:
        return importlib.import_module(place)
    except ModuleNotFoundError as error:
        if error.name is not None and (place == error.name or place.startswith(f"{error.name}.")):
            near = suggest(place, [path.stem for path in Path().glob("*.py")])
            raise InputError(
                f"there is no module {place!r} in the current folder or where Python looks; "
                f"give its name or the path of a .py file.{near}"
            ) from None
        raise


# --- the process ----------------------------------------------------------------------------------------------------


def run(request: dict[str, Any], write: Callable[[dict[str, Any]], None]) -> None:
    """Load the function, ask it at every point, write the answers one by one."""
    question = Question(tuple(request["parameters"]), tuple(request["initial"]), request["theirs"])
    try:
        function = load_function(request["target"])
        plan = plan_call(function, question)
    except InputError as refusal:
        write({"refused": str(refusal)})
        return
    write({"loaded": True})
    for point in request["points"]:
        inputs = {name: value if isinstance(value, float) else np.array(value) for name, value in point.items()}
        try:
            answer = ask(function, plan, question, inputs)
        except BaseException as error:  # a KeyboardInterrupt of its own making
            answer = Answer(error=f"it raises {raised(error)}")
        write(
            {
                "loss": answer.loss,
                "gradients": {name: array.tolist() for name, array in answer.gradients.items()},
                "dtype": answer.dtype,
                "error": answer.error,
                "received": answer.received,
            }
        )


def main() -> None:
    """Answer the request on the standard input, then end at once, whatever threads the user's code left."""
    answers = os.path.abspath(sys.argv[1])
    request = json.load(sys.stdin)
    process = os.getpid()
    _settle(request)

    def write(record: dict[str, Any]) -> None:
        if os.getpid() != process:  # a fork of the user's code has come back: one answer is enough
            os._exit(0)
        with open(answers, "a", encoding="utf-8") as file:  # by its name: the user's code may close any handle
            file.write(json.dumps(record) + "\n")

    try:
        run(request, write)
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(Exception):
                stream.flush()
        os._exit(0)


def _settle(request: dict[str, Any]) -> None:
    """What the user's code finds: its own name in sys.argv, nothing on the standard input, an output that takes all."""
    sys.argv = [request["target"].rpartition(":")[0]]
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 0)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    with suppress(OSError, ValueError, OverflowError, RuntimeError):
        faulthandler.dump_traceback_later(request["timeout"] + ORPHAN, exit=True, file=nowhere)


if __name__ == "__main__":
    main()
