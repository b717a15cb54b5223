"""Where results go: standard output, or a file that is written whole or not at all."""

from __future__ import annotations

import json
import math
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from rnn_symbolic.errors import InputError


def refuse_output(target: str, force: bool) -> None:
    """Raise InputError where ``target`` cannot be written: it exists, it is a folder, its folder does not exist."""
    if target == "-":
        return
    path = Path(target)
    try:
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
    data = text.encode("utf-8")
    if target == "-":
        sys.stdout.flush()
        buffer = getattr(sys.stdout, "buffer", None)
        if buffer is None:  # a notebook or a test has put something else in its place
            sys.stdout.write(text)
        else:
            buffer.write(data)
        sys.stdout.flush()
        return
    refuse_output(target, force)
    path = Path(target)
    if path.exists() and not path.is_file():
        path.write_bytes(data)  # a device such as /dev/null has no contents to protect
        return
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
        Path(temporary).unlink(missing_ok=True)
        raise


def json_text(record: dict[str, Any]) -> str:
    """JSON with the schema version first; numbers that JSON has not (inf, nan) become strings.

    >>> print(json_text({"loss": float("inf")}), end="")
    {
      "schema_version": 1,
      "loss": "inf"
    }
    """
    return json.dumps({"schema_version": 1, **_plain(record)}, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "nan" if math.isnan(value) else ("inf" if value > 0 else "-inf")
    return value
