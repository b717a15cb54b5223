"""Where results go: standard output, or a file that is written whole or not at all; what is said beside them."""

from __future__ import annotations

import json
import math
import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from rnn_symbolic.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

LONGEST_LINE = 2_000
"""How many characters of a message are shown."""


def one_line(message: str) -> str:
    r"""A message as one line that a terminal shows as it is: no control characters, and not without end.

    >>> one_line("no file 'a\x1b[31m'\nhere")
    "no file 'a\\x1b[31m' here"
    """
    text = " ".join(message.split())
    if len(text) > LONGEST_LINE:
        text = f"{text[: LONGEST_LINE // 2]} … {text[-LONGEST_LINE // 2 :]}"
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def tell(message: str) -> None:
    """A line on standard error, where there is one."""
    if sys.stderr is None:  # print would take standard output instead
        return
    try:
        print(one_line(message), file=sys.stderr, flush=True)
    except OSError:
        abandon(sys.stderr)


def abandon(stream: Any) -> None:
    """What a stream that fails still holds goes nowhere, or Python would fail when it flushes it at exit."""
    with suppress(OSError, ValueError, AttributeError):
        handle = stream.fileno()
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, handle)
        os.close(nowhere)


def refuse_output(target: str, force: bool) -> None:
    """Raise InputError where ``target`` cannot be written: it exists, it is a folder, its folder does not exist."""
    if target == "-":
        return
    if not target or "\0" in target:
        raise InputError(f"the output {target[:80]!r} names no file; give the name of a file, or - for standard output")
    try:
        path = _place(target)
        if path.is_dir():
            raise InputError(f"the output {target!r} is a folder; name a file in it")
        if not path.parent.is_dir():
            raise InputError(f"the folder of the output {target!r} does not exist; make it first")
        if path.exists() and not force:
            raise InputError(f"the output {target!r} exists; use --force to overwrite it")
        if not os.access(path.parent, os.W_OK) or (path.exists() and not os.access(path, os.W_OK)):
            raise InputError(f"the output {target!r} cannot be written; check its permissions")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        if isinstance(error, InputError):
            raise
        raise InputError(f"the output {target[:80]!r} cannot be used: {reason}") from None


def write_output(text: str, target: str, force: bool = False) -> None:
    """Write UTF-8 to standard output ("-") or, atomically, to a file."""
    data = text.encode("utf-8", "backslashreplace")  # half a character, from a file name; in JSON this is its escape
    if target == "-":
        if sys.stdout is None:
            raise InputError("there is no standard output to write to; name a file with -o")
        sys.stdout.flush()
        buffer = getattr(sys.stdout, "buffer", None)
        if buffer is None:  # a notebook or a test has put something else in its place
            sys.stdout.write(text)
        else:
            rest = memoryview(data)
            while rest:  # with PYTHONUNBUFFERED a write may be a part of it, and the error comes with the next
                rest = rest[buffer.write(rest) :]
        sys.stdout.flush()
        return
    refuse_output(target, force)
    path = _place(target)
    if path.exists() and not path.is_file():
        _write_device(path, data)
        return
    import tempfile

    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:40]}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(temporary, path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~mask)
        os.replace(temporary, path)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def _place(target: str) -> Path:
    """The file itself, where ``target`` is a link to it: the link stays."""
    from pathlib import Path  # only where a file is written

    path = Path(target)
    plain = path.is_file() or not path.exists()  # /dev/stdout may be a link to what has no name
    return Path(os.path.realpath(target)) if plain and path.is_symlink() else path


def _write_device(path: Path, data: bytes) -> None:
    """A device such as /dev/null has no contents to protect; a pipe that nobody reads is refused, not waited for."""
    handle = os.open(path, os.O_WRONLY | getattr(os, "O_NONBLOCK", 0))
    with os.fdopen(handle, "wb") as file:
        if hasattr(os, "O_NONBLOCK"):
            os.set_blocking(handle, True)
        file.write(data)


def json_text(record: dict[str, Any]) -> str:
    """JSON with the schema version first; numbers that JSON has not (inf, nan) become strings.

    >>> print(json_text({"loss": float("inf")}), end="")
    {
      "schema_version": 1,
      "loss": "inf"
    }
    """
    limit = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)  # a number of paths may have more digits than Python likes to print
    try:
        return json.dumps({"schema_version": 1, **_plain(record)}, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    finally:
        sys.set_int_max_str_digits(limit)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "nan" if math.isnan(value) else ("inf" if value > 0 else "-inf")
    return value
