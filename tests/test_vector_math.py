"""vector_math.h against mpmath: the errors that its first comment states, signs, limits, nan, and SIMD code.

    library = compiled(folder, ["-O2"])
    y = library("vm_tanh", x)                 # one loop over the array, as generated code has it

The doubles are screened with np.longdouble where that is wider; the worst of them and a sample decide in mpmath.
"""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import mpmath
import numpy as np
import pytest
from latex_tools import require

import rnn_symbolic

HEADER = Path(rnn_symbolic.__file__).parent / "codegen" / "vector_math.h"
COMPILER = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
STRICT = ["-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror"]
BUILDS = {
    "baseline": ["-O2"],
    "vectorised": ["-O3", "-march=native", "-fno-math-errno", "-fno-trapping-math"],
}
FUNCTIONS = {"double": ("vm_exp", "vm_tanh", "vm_logistic"), "float": ("vm_expf", "vm_tanhf", "vm_logisticf")}
BOUNDS = {  # in ulp, as the header states them
    "vm_exp": 1.0,
    "vm_tanh": 2.0,
    "vm_logistic": 2.0,
    "vm_expf": 1.0,
    "vm_tanhf": 2.0,
    "vm_logisticf": 2.0,
}
SEED = 20240229
SOURCE = f'#include "{HEADER.name}"\n' + "".join(
    f"void {name}_array({kind} *y, const {kind} *x, long n) {{ for (long i = 0; i < n; i++) y[i] = {name}(x[i]); }}\n"
    for kind, names in FUNCTIONS.items()
    for name in names
)

Library = Callable[[str, np.ndarray], np.ndarray]


# --- the header as a library -------


def compile_loops(folder: Path, flags: list[str]) -> subprocess.CompletedProcess[str]:
    """Compile a loop for each function to ``folder``/loops.so."""
    require(COMPILER is not None, "no C compiler (cc, gcc or clang)")
    (folder / "loops.c").write_text(SOURCE, encoding="utf-8")
    command = [str(COMPILER), *flags, f"-I{HEADER.parent}", "-shared", "-fPIC", "loops.c", "-o", "loops.so", "-lm"]
    return subprocess.run(command, cwd=folder, capture_output=True, encoding="utf-8", timeout=120, check=False)


def compiled(folder: Path, flags: list[str]) -> Library:
    """The functions by name, each over a whole array."""
    run = compile_loops(folder, [*STRICT, *flags])
    assert run.returncode == 0, run.stderr
    loops = ctypes.CDLL(str(folder / "loops.so"))

    def call(name: str, x: np.ndarray) -> np.ndarray:
        x = np.ascontiguousarray(x, np.float64 if name in FUNCTIONS["double"] else np.float32)
        y = np.full_like(x, 7.0)
        to, of = (array.ctypes.data_as(ctypes.c_void_p) for array in (y, x))
        loops[f"{name}_array"](to, of, ctypes.c_long(x.size))
        return y

    return call


@pytest.fixture(scope="module", params=BUILDS)
def library(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Library:
    return compiled(tmp_path_factory.mktemp(request.param), BUILDS[request.param])


# --- exact values -------


def wide(name: str, x: np.ndarray) -> np.ndarray:
    """The function in the type of x; a float's in double."""
    with np.errstate(all="ignore"):
        if "exp" in name:
            return np.exp(x)
        return np.tanh(x) if "tanh" in name else 1 / (1 + np.exp(-x))


def exact(name: str, x: float) -> mpmath.mpf:
    """The function with 40 digits."""
    with mpmath.workdps(40):
        if "exp" in name:
            return mpmath.exp(x)
        return mpmath.tanh(x) if "tanh" in name else 1 / (1 + mpmath.exp(-x))


def worst_of_doubles(name: str, x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """The largest error in ulp, and where: of 1500 points from all over and the 200 that look worst."""
    chosen = np.arange(0, x.size, -(-x.size // 1500))
    if np.finfo(np.longdouble).nmant > 60:
        value = wide(name, x.astype(np.longdouble))
        errors = np.abs(y - value) / np.spacing(np.abs(value).astype(np.float64))
        chosen = np.concatenate([chosen, np.argsort(errors)[-200:]])
    errors_at = []
    for i in chosen:
        value = exact(name, float(x[i]))
        errors_at.append((float(abs(mpmath.mpf(float(y[i])) - value) / np.spacing(abs(float(value)))), float(x[i])))
    return max(errors_at)


RANGES = {  # from, to: the whole, the ends, and where a formula gives way to another
    "vm_exp": [(-745.0, 709.78), (-745.0, -708.0), (709.0, 709.78), (-1.0, 1.0)],
    "vm_tanh": [(-800.0, 800.0), (0.0, 0.3), (0.3, 0.99), (0.99, 1.2), (1.2, 4.0), (17.0, 20.0)],
    "vm_logistic": [(-709.0, 800.0), (-709.0, -700.0), (-38.0, -36.0), (-3.0, 3.0), (36.0, 38.0)],
}


def points(name: str) -> np.ndarray:
    """Where the function is neither 0 nor inf; near 0 every magnitude; between the steps of k in vm_exp."""
    random = np.random.default_rng(SEED)
    steps = (np.arange(-1000, 1000) + 0.5) * np.log(2)
    x = np.concatenate(
        [random.uniform(low, high, 40_000) for low, high in RANGES[name]]
        + [10.0 ** random.uniform(-320, 2, 20_000)]
        + [steps + away * np.spacing(np.abs(steps)) for away in range(-2, 3)]
    )
    x = np.concatenate([x, -x])
    low, high = RANGES[name][0]
    return x[(x >= low) & (x <= high)]


# --- tests -------


def test_the_header_states_these_bounds() -> None:
    stated = " ".join(HEADER.read_text(encoding="utf-8").split())
    for name, bound in BOUNDS.items():
        assert f" {name} {bound} " in stated, name


@pytest.mark.parametrize("name", FUNCTIONS["double"])
def test_error_of_doubles(library: Library, name: str) -> None:
    x = points(name)
    worst, where = worst_of_doubles(name, x, library(name, x))
    assert worst <= BOUNDS[name], f"{worst:.3f} ulp at {where!r} = {where.hex()}, seed {SEED}"


@pytest.mark.parametrize("name", FUNCTIONS["float"])
def test_error_of_floats(library: Library, name: str) -> None:
    """Every 4001st of all floats; double is exact enough beside them."""
    x = np.arange(0, 2**32, 4001, dtype=np.uint64).astype(np.uint32).view(np.float32)
    x = x[np.isfinite(x)]
    low, high = {"vm_expf": (-np.inf, 88.722835), "vm_logisticf": (-88.0, np.inf)}.get(name, (-np.inf, np.inf))
    assert np.all(library(name, x[x > high]) == np.inf)
    assert np.all(library(name, x[x < low]) == 0)
    x = x[(x >= low) & (x <= high)]
    value = wide(name, x.astype(np.float64))
    with np.errstate(under="ignore"):
        errors = np.abs(library(name, x) - value) / np.spacing(np.abs(value).astype(np.float32))
    where = int(np.argmax(errors))
    assert errors[where] <= BOUNDS[name], f"{errors[where]:.3f} ulp at {float(x[where])!r}"


LIMITS = {
    "vm_exp": [(0.0, 1), (-0.0, 1), (np.inf, np.inf), (709.79, np.inf), (1e300, np.inf)],
    "vm_exp, small": [(-np.inf, 0), (-745.14, 0), (-746.1, 0), (-1e300, 0), (-745.13, 5e-324), (5e-324, 1)],
    "vm_tanh": [(np.inf, 1), (-np.inf, -1), (1e300, 1), (-1e300, -1), (5e-324, 5e-324), (-1e-310, -1e-310)],
    "vm_logistic": [(0.0, 0.5), (-0.0, 0.5), (np.inf, 1), (-np.inf, 0), (1e300, 1), (-1e300, 0), (-709.1, 0)],
    "vm_expf": [(-0.0, 1), (np.inf, np.inf), (-np.inf, 0), (88.73, np.inf), (3e38, np.inf), (-104.1, 0), (-3e38, 0)],
    "vm_tanhf": [(np.inf, 1), (-np.inf, -1), (3e38, 1), (-3e38, -1), (1e-45, 1e-45), (-1e-40, -1e-40)],
    "vm_logisticf": [(-0.0, 0.5), (np.inf, 1), (-np.inf, 0), (3e38, 1), (-3e38, 0), (-88.1, 0)],
}


@pytest.mark.parametrize("case", LIMITS)
def test_limits(library: Library, case: str) -> None:
    name = case.partition(",")[0]
    x, y = zip(*LIMITS[case], strict=True)
    kind = np.float64 if name in FUNCTIONS["double"] else np.float32
    np.testing.assert_array_equal(library(name, np.array(x, kind)), np.array(y, kind))


@pytest.mark.parametrize("name", BOUNDS)
def test_nan_stays(library: Library, name: str) -> None:
    assert np.all(np.isnan(library(name, np.array([np.nan, -np.nan] * 20))))


@pytest.mark.parametrize("name", ["vm_tanh", "vm_tanhf"])
def test_tanh_is_odd_within_one_and_keeps_the_sign_of_zero(library: Library, name: str) -> None:
    x = np.concatenate([[0.0], np.geomspace(1e-44, 1e3, 100_001)])
    y = library(name, x)
    np.testing.assert_array_equal(library(name, -x), -y)
    np.testing.assert_array_equal(np.signbit(library(name, np.array([0.0, -0.0]))), [False, True])
    assert np.all((y >= 0) & (y <= 1))


@pytest.mark.parametrize("name", BOUNDS)
def test_one_element_is_what_it_is_in_an_array(library: Library, name: str) -> None:
    """SIMD code, what is left of a loop, and a recurrence all give the same bits."""
    x = np.random.default_rng(SEED).normal(0, 4, 203)
    together = library(name, x)
    for shift in range(0, x.size, 9):
        assert library(name, x[shift : shift + 1])[0] == together[shift], x[shift]


def test_gcc_makes_simd_code_of_every_loop(tmp_path: Path) -> None:
    run = compile_loops(tmp_path, ["-O3", "-fno-trapping-math", "-fopt-info-vec"])
    if "clang" in run.stderr or "unknown" in run.stderr:
        pytest.skip("the compiler is not gcc")
    loops = {line.split(":")[1] for line in run.stderr.splitlines() if "loop vectorized" in line}
    assert loops == {str(line) for line in range(2, 2 + len(BOUNDS))}, run.stderr


def test_fast_math_is_refused(tmp_path: Path) -> None:
    run = compile_loops(tmp_path, ["-O2", "-ffast-math"])
    assert run.returncode != 0
    assert "without -ffast-math" in run.stderr
