"""A C extension module, built by the system's compiler and kept in the user's cache.

An entry of the cache is one file, ``<key>-<digest>.so``: the key is a hash of everything that decides what is built
(the source, the compiler and its options, Python, NumPy, the processor), the digest that of the file itself. It is
written under a temporary name and renamed, so that processes that build at the same time do not see each other's
halves, and one whose content is not what its name says is built again.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shlex
import shutil
import stat
import subprocess
import sys
import sysconfig
import tempfile
from contextlib import suppress
from functools import cache
from importlib import import_module
from importlib.machinery import ExtensionFileLoader
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import numpy as np

from rnn_symbolic.errors import InputError

MODULE = "rnn_symbolic_kernel"
FLAGS = (
    "-O3", "-march=native", "-fno-math-errno", "-fno-trapping-math", "-fopenmp-simd", "-shared", "-fPIC", "-w",
    *(["-mprefer-vector-width=512"] if platform.machine() in ("x86_64", "AMD64") else []),
)  # fmt: skip
TIME_LIMIT = 120  # seconds
KEPT = 500
"""So many entries are kept; the oldest go."""


class NoCompiler(InputError):
    """This machine cannot build C; the message says what is missing."""


def build_extension(source: str) -> ModuleType:
    """The extension module that a source is, from the cache or freshly built. Raises NoCompiler."""
    compiler = find_compiler()
    folder = cache_folder()
    key = hashlib.sha256("\0".join((source, *compiler, *FLAGS, *_surroundings())).encode()).hexdigest()[:32]
    found = _cached(folder, key)
    return _load(found if found is not None else _build(folder, key, source, compiler))


@cache
def find_compiler() -> tuple[str, ...]:
    """The C compiler's command: that of the environment variable CC, else cc, gcc or clang. Raises NoCompiler."""
    for words in (shlex.split(os.environ.get("CC", "")), ["cc"], ["gcc"], ["clang"]):
        path = shutil.which(words[0]) if words else None
        if path:
            return (path, *words[1:])
    raise NoCompiler(
        "no C compiler was found (cc, gcc, clang, or what CC names); install one, or use target 'numpy', which needs "
        "none"
    )


def cache_folder() -> Path:
    """The folder of built modules: RNN_SYMBOLIC_CACHE, else the user's cache; one that others may write is refused.

    Raises InputError where it cannot be made.
    """
    named = os.environ.get("RNN_SYMBOLIC_CACHE")
    base = Path(named) if named else _user_cache() / "rnn_symbolic"
    try:
        base.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = base.stat()
    except OSError as error:
        if named:
            raise InputError(f"RNN_SYMBOLIC_CACHE={str(base)!r} is no folder to write to: {error.strerror}") from None
        return Path(_private_folder())
    if not _writable(base):
        if named:
            raise InputError(f"RNN_SYMBOLIC_CACHE={str(base)!r} is no folder to write to; name another")
        return Path(_private_folder())
    if hasattr(os, "getuid") and (found.st_uid != os.getuid() or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)):
        return Path(_private_folder())  # what others can write, they could put code in
    return base


@cache
def _writable(folder: Path) -> bool:
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


@cache
def _private_place() -> tempfile.TemporaryDirectory[str]:
    """A folder of this process, gone when it ends."""
    return tempfile.TemporaryDirectory(prefix="rnn_symbolic-")


def _private_folder() -> str:
    return _private_place().name


def _user_cache() -> Path:
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


@cache
def _surroundings() -> tuple[str, ...]:
    """What else decides how a source is built: versions, and the processor that -march=native asks."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        cpu = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    except OSError:
        cpu = platform.processor()
    return (sys.version, np.__version__, platform.machine(), cpu)


def _cached(folder: Path, key: str) -> Path | None:
    try:
        names = [entry.name for entry in os.scandir(folder) if entry.name.startswith(key)]
    except OSError:
        return None
    for name in names:
        path = folder / name
        try:
            digest = hashlib.sha256(path.read_bytes()).hexdigest()[:32]
        except OSError:
            continue
        if name == f"{key}-{digest}.so":
            return path
        path.unlink(missing_ok=True)  # a half, or spoiled
    return None


def _build(folder: Path, key: str, source: str, compiler: tuple[str, ...]) -> Path:
    include = [f"-I{sysconfig.get_path('include')}", f"-I{np.get_include()}"]
    link = ["-undefined", "dynamic_lookup"] if sys.platform == "darwin" else []
    with tempfile.TemporaryDirectory(dir=folder) as place:
        text, built = Path(place) / "kernel.c", Path(place) / "kernel.so"
        text.write_text(source, encoding="utf-8")
        command = [*compiler, *FLAGS, *link, *include, str(text), "-o", str(built), "-lm"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=TIME_LIMIT, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise NoCompiler(
                f"{compiler[0]} does not run: {error}; use target 'numpy', which needs no compiler"
            ) from None
        if done.returncode or not built.exists():
            raise NoCompiler(_complaint(compiler[0], done.stderr))
        content = built.read_bytes()
        path = folder / f"{key}-{hashlib.sha256(content).hexdigest()[:32]}.so"
        built.replace(path)
    _forget_oldest(folder)
    return path


def _complaint(compiler: str, said: str) -> str:
    first = next(
        (line.strip() for line in said.splitlines() if "error" in line),
        said.strip()[:200] or "it failed without a word",
    )
    hint = " (Python's headers are missing: install python3-dev)" if "Python.h" in first else ""
    return f"{compiler} could not build the module: {first}{hint}; use target 'numpy', which needs no compiler"


def _forget_oldest(folder: Path) -> None:
    entries = [entry for entry in os.scandir(folder) if entry.name.endswith(".so")]
    if len(entries) <= KEPT:
        return
    dated = []
    for entry in entries:
        try:
            dated.append((entry.stat().st_mtime, entry.path))
        except OSError:  # another process was first
            continue
    for _, path in sorted(dated)[: len(dated) - KEPT]:
        Path(path).unlink(missing_ok=True)


def _load(path: Path) -> ModuleType:
    spec = spec_from_file_location(MODULE, path, loader=ExtensionFileLoader(MODULE, str(path)))
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# --- BLAS -------------------------------------------------------------------------------------------------------------


@cache
def find_gemm(dtype: str) -> tuple[int, bool] | None:
    """The address of cblas_dgemm or cblas_sgemm in the library that NumPy uses, and whether its integers have 64 bits.

    None where NumPy has none: then the module multiplies by itself.
    """
    letter = "d" if dtype == "float64" else "s"
    library = None
    for core in ("numpy._core._multiarray_umath", "numpy.core._multiarray_umath"):  # NumPy 2, NumPy 1
        with suppress(ImportError, OSError, TypeError):
            library = ctypes.CDLL(import_module(core).__file__)
            break
    if library is None:
        return None
    for name, wide in (
        (f"scipy_cblas_{letter}gemm64_", True),
        (f"cblas_{letter}gemm64_", True),
        (f"scipy_cblas_{letter}gemm", False),
        (f"cblas_{letter}gemm", False),
    ):
        try:
            function = getattr(library, name)
        except AttributeError:
            continue
        address = ctypes.cast(function, ctypes.c_void_p).value
        if address:
            return address, wide
    return None
