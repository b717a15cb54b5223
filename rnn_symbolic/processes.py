"""Other programs: each in a process group of its own, with a time limit; nothing of them is left, whatever ends us."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread, current_thread, main_thread
from types import FrameType
from typing import IO, Any

from rnn_symbolic.frozen import frozen

TOLD_TO_END = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))
"""The signals that end a process without a word; Ctrl-C is an exception already."""


@frozen
class Ended:
    """How a program ended: its exit status (None: out of time), what it printed and what it said of errors."""

    status: int | None
    output: str
    errors: str


def run_program(
    command: Sequence[str],
    timeout: float,
    *,
    kept: int,
    stdin: IO[bytes] | int = subprocess.DEVNULL,
    stderr: int = subprocess.PIPE,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Ended:
    """Run a program, and end it with all it started after ``timeout`` seconds, or when we are interrupted.

    Of each of its streams the last ``kept`` bytes are kept. With ``stderr=subprocess.STDOUT`` they are one.

    >>> run_program(["echo", "done"], 10, kept=100)
    Ended(status=0, output='done\\n', errors='')

    Raises OSError or ValueError where it cannot be started.
    """
    # a group of its own: its children can be ended with it, and Ctrl-C reaches us alone
    apart: dict[str, Any] = {"start_new_session": True} if os.name == "posix" else {"creationflags": 0x200}
    process = subprocess.Popen(
        command, stdin=stdin, stdout=subprocess.PIPE, stderr=stderr, bufsize=0, cwd=folder, env=environment, **apart
    )
    streams = [_Stream(pipe, kept) for pipe in (process.stdout, process.stderr) if pipe is not None]
    status: int | None = None
    try:
        status = process.wait(timeout)
    except subprocess.TimeoutExpired:
        pass
    finally:
        _end_group(process)
        texts = [stream.finish() for stream in streams]
    return Ended(status, texts[0], texts[1] if len(texts) > 1 else "")


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """Nothing that the process started outlives it, unless it left the group."""
    if os.name == "posix":
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.wait()


class _Stream:
    """What a process prints, read as it comes so that it never waits; the end of it is kept."""

    def __init__(self, pipe: IO[bytes], kept: int) -> None:
        self.pipe, self.most, self.kept = pipe, kept, b""
        self.thread = Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self) -> None:
        while block := self.pipe.read(1 << 16):
            self.kept = (self.kept + block)[-self.most :]

    def finish(self) -> str:
        """Wait for the end, but not for a process that left the group and still holds the stream."""
        self.thread.join(timeout=1)
        if not self.thread.is_alive():
            self.pipe.close()
        return self.kept.decode("utf-8", "replace")


class _ToldToEnd(BaseException):
    """A signal that would end this process came; no handler of errors is to catch it."""


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder that is gone afterwards, also if this process is told to end meanwhile (SIGTERM, SIGHUP).

    The signal ends the process as it would have, only later: after what runs in the folder has been ended, and the
    folder removed. A handler of somebody else's stays, and so do the signals where Python cannot hear them: outside
    the main thread.
    """
    came: list[int] = []
    inside = False

    def hear(number: int, frame: FrameType | None) -> None:
        came.append(number)
        if inside and len(came) == 1:
            raise _ToldToEnd

    heard = TOLD_TO_END if current_thread() is main_thread() else ()
    ours = [number for number in heard if signal.getsignal(number) == signal.SIG_DFL]
    for number in ours:
        signal.signal(number, hear)
    try:
        with tempfile.TemporaryDirectory(prefix="rnn_symbolic-") as folder, suppress(_ToldToEnd):
            inside = True
            try:
                if not came:
                    yield Path(folder)
            finally:
                inside = False
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)
        if came:
            os.kill(os.getpid(), came[0])
