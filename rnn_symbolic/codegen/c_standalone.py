"""A program as a C file to paste: one function, two structures, libm; any C99 compiler, any number of steps."""

from __future__ import annotations

from collections.abc import Mapping

from rnn_symbolic import __version__
from rnn_symbolic.codegen.c_backend import part
from rnn_symbolic.codegen.c_scalar import ScalarKernel
from rnn_symbolic.codegen.c_source import CSource
from rnn_symbolic.codegen.comments import equations_of
from rnn_symbolic.codegen.identifiers import C_WORDS, Identifiers
from rnn_symbolic.program import Program

TYPES = """\
#include <math.h>
#include <stddef.h>
#include <string.h>

typedef double real; /* for float: tanhf, expf, … below */
#define f_tanh tanh
#define f_exp exp
#define f_sin sin
#define f_cos cos
#define f_log log
#define f_log1p log1p
#define f_sqrt sqrt
#define f_pow pow
#define f_abs fabs
#define SPACE(count) (count)
"""

PRODUCTS = """\
static inline real f_logistic(real z) { return 1 / (1 + f_exp(-z)); }
static inline int is_finite(real z) { return z - z == 0; }

/* out[r] (+)= in[r] M for each row r, with M of k rows and n columns. */
static inline void product(long rows, long k, long n, const real *in, long in_step, const real *M, real *out,
                           long out_step, int adds) {
    for (long r = 0; r < rows; r++, in += in_step, out += out_step) {
        if (!adds) memset(out, 0, (size_t)n * sizeof(real));
        for (long i = 0; i < k; i++)
            for (long j = 0; j < n; j++) out[j] += in[i] * M[i * n + j];
    }
}

/* D (+)= the sum over the rows of left[r]^T right[r], with m and n columns. */
static inline void outer_sum(long rows, long m, long n, const real *left, long left_step, const real *right,
                             long right_step, real *D, int adds) {
    if (!adds) memset(D, 0, (size_t)(m * n) * sizeof(real));
    for (long r = 0; r < rows; r++, left += left_step, right += right_step)
        for (long i = 0; i < m; i++)
            for (long j = 0; j < n; j++) D[i * n + j] += left[i] * right[j];
}

#define small_product product
#define small_outer_sum outer_sum

/* The first step, 1 ... T, whose values are not all finite, or 0; and the last. */
static inline long first_bad(long T, long per_step, const real *values) {
    for (long i = 0; i < T * per_step; i++)
        if (!is_finite(values[i])) return i / per_step + 1;
    return 0;
}

static inline long last_bad(long T, long per_step, const real *values) {
    for (long i = T * per_step - 1; i >= 0; i--)
        if (!is_finite(values[i])) return i / per_step + 1;
    return 0;
}
"""


def c_source(program: Program, sizes: Mapping[str, int]) -> str:
    """The program as a C file for these sizes; its head says how it is called.

    >>> from rnn_symbolic.model import unroll
    >>> from rnn_symbolic.program import build_program
    >>> model = unroll("elman", activation="tanh", loss="squared", form="matrix")
    >>> "long loss_and_gradients(" in c_source(build_program(model), {"n_x": 2, "n_h": 3, "n_y": 4})
    True
    """
    kernel = (
        CSource(program, sizes, batched=True, blas=False, report=True)
        if program.model.names
        else ScalarKernel(program, report=True)
    )
    body = kernel.text()
    return "\n".join((_head(program, sizes), TYPES, PRODUCTS, part("functions.h"), body, _door(program, kernel)))


def _head(program: Program, sizes: Mapping[str, int]) -> str:
    model = program.model
    listed = ", ".join(f"{name} = {n}" for name, n in sizes.items())
    return "\n".join(
        (
            f"/* Loss and gradients of the {model.cell.name} network, by backpropagation through time.",
            " *",
            *(f" *     {line}" for line in equations_of(program)),
            " *",
            f" * Sizes: {listed or 'every quantity is a number'}. Arrays are rows one after another, C order; x and d",
            " * are [step][sample][component], and L is summed over the B samples of a batch. The adjoint of q is dq.",
            f" * Compile with any C99 compiler: cc -O3 -c FILE.c. Written by rnn-symbolic {__version__}. */",
            "",
        )
    )


def _door(program: Program, kernel: CSource | ScalarKernel) -> str:
    cell = program.model.cell
    names = Identifiers((), C_WORDS)
    shape = {name: kernel.shape(name) if isinstance(kernel, CSource) else () for name in cell.parameters}
    states = [str(q) for q in cell.initial_states]
    members = {name: names[name.replace("-", "m")] for name in (*cell.parameters, *states)}
    dims = {name: " × ".join(map(str, shape[name])) or "a number" for name in cell.parameters}
    for q in cell.initial_states:
        dims[str(q)] = str(kernel.size(q.name)) if isinstance(kernel, CSource) else "a number"
    lines = ["struct parameters {"]
    lines += [f"    const real *{members[name]}; /* {dims[name]} */" for name in cell.parameters]
    lines += [
        "};",
        "",
        "/* NULL is zero. per_sample: each sample has its own, [sample][component]. */",
        "struct state {",
    ]
    lines += [f"    const real *{members[name]}; /* {dims[name]} */" for name in states]
    lines += ["    int per_sample;", "};", "", "struct gradients {"]
    lines += [f"    real *{members[name]}; /* {dims[name]} */" for name in (*cell.parameters, *states)]
    if "x" in kernel.gradient_names():
        lines.append("    real *x; /* as x */")
    counts = [*(f"params->{members[n]}" for n in cell.parameters)]
    given = [f"state ? state->{members[n]} : NULL" for n in states]
    outputs = [f"gradients->{members.get(n, n)}" for n in kernel.gradient_names()]
    samples = ", ".join("state && state->per_sample" for _ in states) or "0"
    lines += [
        "};",
        "",
        "/* How many numbers `work` must hold for T steps and B samples. */",
        "long workspace(long T, long B) { return run_space(T, B); }",
        "",
        "/* Writes L and its gradients. Returns 0, or the step where a value first is not finite: t in the forward",
        " * pass, -t in the backward pass. state may be NULL. */",
        "long loss_and_gradients(const struct parameters *params, const real *x, const real *d,",
        "                        const struct state *state, long T, long B, real *work,",
        "                        const struct gradients *gradients, real *loss) {",
        f"    const real *const given[] = {{{', '.join(counts) or 'NULL'}}};",
        f"    const real *const initial[] = {{{', '.join(given) or 'NULL'}}};",
        f"    real *const found[] = {{{', '.join(outputs)}}};",
        f"    const int per_sample[] = {{{samples}}};",
        "    return run(given, x, d, initial, per_sample, T, B, work, found, loss);",
        "}",
    ]
    return "\n".join(lines) + "\n"
