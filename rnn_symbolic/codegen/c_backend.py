"""The C back end: a program as an extension module for the sizes at hand, built when they are first seen."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import cache
from importlib.resources import files
from typing import Any, NoReturn

import numpy as np

from rnn_symbolic.array_functions import Array
from rnn_symbolic.codegen.building import build_extension, find_gemm
from rnn_symbolic.codegen.c_scalar import ScalarKernel
from rnn_symbolic.codegen.c_source import CSource
from rnn_symbolic.codegen.numpy_backend import NumpyBackend
from rnn_symbolic.errors import NumericalFailure
from rnn_symbolic.program import Program, build_program

LANES = 8
"""So many networks in scalar form are computed side by side over a grid."""
Result = tuple[float, dict[str, Array]]


@cache
def part(name: str) -> str:
    return (files("rnn_symbolic.codegen") / name).read_text(encoding="utf-8")


PREAMBLE = """\
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#define NPY_NO_DEPRECATED_API NPY_1_7_API_VERSION
#include <numpy/arrayobject.h>
#include <numpy/arrayscalars.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
"""

FUNCTIONS = {
    dtype: f"typedef {real} real;\n#define NPY_REAL {npy}\n#define F(name) name{suffix}\n"
    f"#define NEW_NUMBER PyArrayScalar_New({scalar})\n#define SET_NUMBER(o, v) PyArrayScalar_ASSIGN(o, {scalar}, v)\n"
    f"#define VM(name) vm_##name{suffix}\n"
    for dtype, real, npy, scalar, suffix in (
        ("float64", "double", "NPY_DOUBLE", "Double", ""),
        ("float32", "float", "NPY_FLOAT", "Float", "##f"),
    )
}
NAMES = """\
#define f_tanh VM(tanh)
#define f_logistic VM(logistic)
#define f_exp VM(exp)
#define f_sin F(sin)
#define f_cos F(cos)
#define f_log F(log)
#define f_log1p F(log1p)
#define f_sqrt F(sqrt)
#define f_pow F(pow)
#define f_abs F(fabs)
#define SPACE(count) (((count) + 15) & ~15L) /* arrays begin at multiples of a cache line */
"""

GEMM = """\
/* C (+)= A B, rows one after another, A or B transposed where asked. */
typedef void (*blas_wide_type)(int, int, int, int64_t, int64_t, int64_t, real, const real *, int64_t, const real *,
                               int64_t, real, real *, int64_t);
typedef void (*blas_narrow_type)(int, int, int, int, int, int, real, const real *, int, const real *, int, real, real *,
                                 int);
static blas_wide_type blas_wide;
static blas_narrow_type blas_narrow;

static void gemm(int ta, int tb, long m, long n, long k, const real *A, long lda, const real *B, long ldb, int adds,
                 real *C, long ldc) {
    const int a = ta ? 112 : 111, b = tb ? 112 : 111; /* CblasTrans, CblasNoTrans */
    if (blas_wide) blas_wide(101, a, b, m, n, k, 1, A, lda, B, ldb, adds, C, ldc);
    else blas_narrow(101, a, b, (int)m, (int)n, (int)k, 1, A, (int)lda, B, (int)ldb, adds, C, (int)ldc);
}
"""


def extension_source(program: Program, sizes: Mapping[str, int], dtype: str, *, batched: bool) -> str:
    """The whole source of the extension module."""
    matrix = bool(program.model.names)
    uses_x = program.model.cell.uses_input
    kernel = (
        CSource(program, sizes, batched=batched, blas=find_gemm(dtype) is not None, comments=False)
        if program.model.names
        else ScalarKernel(program, comments=False)
    )
    outputs = kernel.gradient_names()
    cell = program.model.cell
    ranks, dims = [], []
    for name in outputs:
        base = name if name in cell.parameters else name.rpartition("_")[0]
        shape = [sizes[size] for size in program.shapes.get(base, ())] if matrix and name != "x" else []
        ranks.append(len(shape))
        dims.append("{" + ", ".join(map(str, [*shape, 1, 1][:2])) + "}")
    listed = ", ".join(f'"{name}"' for name in outputs)
    defines = {
        "PARAMS": len(cell.parameters),
        "STATES": len(cell.initial_states),
        "OUTPUTS": len(outputs),
        "MATRIX": int(matrix),
        "BATCHED": int(batched and matrix),
        "USES_X": int(uses_x),
        "WITH_X": int(program.inputs and uses_x),
        "N_X": sizes[program.shapes["x"][0]] if matrix and uses_x else 1,
        "N_Y": sizes[program.shapes["d"][0]] if matrix else 1,
        "LANES": LANES,
    }
    parts = [
        PREAMBLE,
        FUNCTIONS[dtype],
        part("vector_math.h"),
        NAMES,
        part("products.h"),
        part("functions.h"),
        GEMM,
        "".join(f"#define {name} {value}\n" for name, value in defines.items()),
        f"static const char *const NAMES[OUTPUTS] = {{{listed}}};\n"
        f"static const int RANKS[OUTPUTS] = {{{', '.join(map(str, ranks))}}};\n"
        f"static const npy_intp DIMS[OUTPUTS][2] = {{{', '.join(dims)}}};\n",
        kernel.text(),
    ]
    if not matrix:
        parts.append(ScalarKernel(program, LANES, "run_lanes", comments=False).text())
    return "\n".join((*parts, part("extension.c")))


class CBackend:
    """Modules by sizes; what a module refuses to read as it is gets converted, and read again."""

    def __init__(self, program: Program, dtype: str, sizes: Mapping[str, int] | None, batch: int | None) -> None:
        self.program, self.dtype = program, dtype
        self.matrix = bool(program.model.names)
        self.parameters = program.model.cell.parameters
        self.states = tuple(map(str, program.model.cell.initial_states))
        self.source = ""
        self._modules: dict[tuple[tuple[int, ...], bool], Any] = {}
        self.call: Callable[..., Any] | None = None
        if not self.matrix or sizes is not None:
            self.module(sizes or {}, bool(batch and batch > 1))

    def module(self, sizes: Mapping[str, int], batched: bool) -> Any:
        """The module for these sizes; it becomes the one that is tried first."""
        names = self.program.model.shapes.sizes if self.program.model.shapes is not None else ()
        key = (tuple(sizes[name] for name in names), batched)
        if key not in self._modules:
            self.source = extension_source(self.program, sizes, self.dtype, batched=batched)
            module = build_extension(self.source)
            gemm = find_gemm(self.dtype)
            if gemm is not None:
                module.set_blas(*gemm)
            self._modules[key] = module
        module = self._modules[key]
        self.call = module.call
        return module

    def __call__(
        self, params: Mapping[str, Any], x: Any, d: Any, state: Mapping[str, Any], out: dict[str, Array] | None
    ) -> Result:
        """Whatever the arguments look like: converted, with the module for their sizes, over a grid, or refused."""
        arguments = self.plain(params, x, d, state)
        if not self.matrix:
            grid = np.broadcast_shapes(
                *(np.shape(value) for value in (*params.values(), *state.values())),
                *(np.shape(value)[1:] for value in arguments[1:3] if value is not None),
            )
            if grid:
                return self.over_grid(arguments, grid)
        module = self.module(self.sizes(arguments), self.matrix and arguments[2].ndim == 3)
        found = module.call(*arguments, out)
        if found is None:  # out does not fit
            found = module.call(*arguments, None)
        if found is False:
            failure(self.program, self.dtype, params, x, d, state)
        return found  # type: ignore[no-any-return]

    def bind(self, params: Mapping[str, Any], x: Any, d: Any, state: Mapping[str, Any] | None) -> Any:
        """A function without arguments, or None where something must be converted first."""
        if self.call is None:
            return None
        (module,) = (m for m in self._modules.values() if m.call is self.call)
        return module.bind(
            params, x, d, state, None, lambda: failure(self.program, self.dtype, params, x, d, state or {})
        )

    def sizes(self, arguments: tuple[Any, ...]) -> dict[str, int]:
        """The sizes that the arrays have."""
        if not self.matrix:
            return {}
        params, x, d, state = arguments
        shapes = self.program.shapes
        found = {size: n for name, array in params.items() for size, n in zip(shapes[name], array.shape, strict=True)}
        found[shapes["d"][0]] = d.shape[-1]
        if x is not None:
            found[shapes["x"][0]] = x.shape[-1]
        for name, array in state.items():
            found[shapes[name.rpartition("_")[0]][0]] = array.shape[-1]
        return found

    def plain(self, params: Mapping[str, Any], x: Any, d: Any, state: Mapping[str, Any]) -> tuple[Any, ...]:
        """The arguments as a module reads them: arrays of its type, in C order, in exact dictionaries."""

        def array(value: Any) -> Array:
            return np.require(np.asarray(value, self.dtype), requirements=["C", "A"])

        return (
            {name: array(params[name]) for name in self.parameters},
            array(x) if self.program.model.cell.uses_input else None,
            array(d),
            {name: array(value) for name, value in state.items()},
        )

    def over_grid(self, arguments: tuple[Any, ...], grid: tuple[int, ...]) -> Result:
        """Many networks in scalar form, one for each point of a grid."""
        params, x, d, state = arguments
        count = math.prod(grid)
        steps = len(d)

        def flat(value: Any) -> Array:
            return np.broadcast_to(value, grid).reshape(count)

        def series(value: Array) -> Array:
            if value.ndim == 1:
                return value.reshape(steps, 1)
            aligned = value.reshape(steps, *(1,) * (len(grid) - value.ndim + 1), *value.shape[1:])
            return np.ascontiguousarray(np.broadcast_to(aligned, (steps, *grid)).reshape(steps, count))

        values = np.stack([flat(params[name]) for name in self.parameters]
                          + [flat(state.get(name, 0.0)) for name in self.states]).astype(self.dtype)  # fmt: skip
        out = np.empty((len(values), count), self.dtype)
        loss = np.empty(count, self.dtype)
        with_x = self.program.inputs and x is not None
        dx = np.empty((steps, count) if with_x else (1, 1), self.dtype)
        xs = series(x) if x is not None else np.zeros((steps, 1), self.dtype)
        self.module({}, False).call_grid(values, xs, series(d), out, loss, dx)
        if not (np.isfinite(loss).all() and np.isfinite(out).all()):
            failure(self.program, self.dtype, params, x, d, state)
        gradients = {name: out[k].reshape(grid) for k, name in enumerate((*self.parameters, *self.states))}
        if with_x:
            gradients["x"] = dx.reshape(steps, *grid)
        return loss.reshape(grid), gradients  # type: ignore[return-value]


def failure(
    program: Program, dtype: str, params: Mapping[str, Any], x: Any, d: Any, state: Mapping[str, Any]
) -> NoReturn:
    """Raises NumericalFailure with the step where something first is not finite: NumPy computes it again."""
    NumpyBackend(build_program(program.model), dtype)(params, x, d, state, None)
    raise NumericalFailure("a value is not finite in the arithmetic of the compiled code; try float64")
