r"""A gradient compiled: arrays in, (loss, gradients) out.

f = compile_gradient("lstm", target="c");   loss, gradients = f(params, x, d, state)
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Protocol

import numpy as np

from rnn_symbolic.array_functions import Array
from rnn_symbolic.cells import Cell
from rnn_symbolic.codegen.building import NoCompiler
from rnn_symbolic.codegen.numpy_backend import NumpyBackend
from rnn_symbolic.codegen.scaled_backend import ScaledBackend
from rnn_symbolic.concrete import concrete
from rnn_symbolic.errors import InputError, suggest
from rnn_symbolic.matrix_valuation import random_sizes
from rnn_symbolic.model import Model, unroll
from rnn_symbolic.program import Program, build_program
from rnn_symbolic.shapes import bind_sizes

TARGETS = ("numpy", "c", "jax", "torch")
DTYPES = ("float64", "float32")

Result = tuple[float, dict[str, Array]]


class Backend(Protocol):
    """What a target builds of a program. ``call`` may be None; it refuses by None what it does not read as it is."""

    source: str
    call: Callable[..., Any] | None

    def __call__(
        self, params: Mapping[str, Any], x: Any, d: Any, state: Mapping[str, Any], out: dict[str, Array] | None
    ) -> Result: ...


class CompiledGradient:
    """L and its gradients as a function of arrays: ``f(params, x, d, state=None, out=None)``.

    ``params`` maps the names of the parameters to arrays, ``state`` those of initial states (``h_0``; zero unless
    given). In matrix form x is (T, n_x) or with a batch (T, B, n_x), d likewise with n_y, and L is summed over the
    samples; an initial state is (n), shared by the samples, or (B, n). In scalar form x and d are (T,), and everything
    may have further axes, a grid, that broadcast. T is any number of steps. ``out`` takes the gradients of an earlier
    call, and they are overwritten. ``source`` is the text that runs.

    Raises InputError for a missing, extra or misshapen array; NumericalFailure when L or a gradient is not finite,
    with the step where that begins.
    """

    def __init__(self, program: Program, target: str, backend: Backend, dtype: str = "float64") -> None:
        self.program, self.target, self.backend, self.dtype = program, target, backend, dtype
        cell = program.model.cell
        self.parameters = frozenset(cell.parameters)
        self.states = frozenset(map(str, cell.initial_states))
        self._seen: set[tuple[object, ...]] = set()

    def __repr__(self) -> str:
        return f"<the gradient of {self.program.model!r}, compiled to {self.target}>"

    @property
    def source(self) -> str:
        """The text that runs; of the C back end, what was built last."""
        return self.backend.source

    def __call__(
        self,
        params: Mapping[str, Any],
        x: Any,
        d: Any,
        state: Mapping[str, Any] | None = None,
        out: dict[str, Array] | None = None,
    ) -> Result:
        """(L, gradients by name) at a point."""
        call = self.backend.call
        if call is not None and (found := call(params, x, d, state, out)):
            return found  # type: ignore[no-any-return]
        given = self._arrays(params, x, d, {} if state is None else state)
        self._check(*given)
        if out is not None and not isinstance(out, dict):
            raise InputError(f"out is of the type {type(out).__name__}; expected the gradients of an earlier call")
        try:
            loss, gradients = self.backend(*given, out)
        except NoCompiler as error:
            warnings.warn(f"{error}; going on with NumPy", RuntimeWarning, stacklevel=2)
            self.backend = NumpyBackend(self.program, self.dtype)
            loss, gradients = self.backend(*given, out)
        if out is not None and gradients is not out:
            _copy_into(out, gradients)
            gradients = out
        return loss, gradients

    def _arrays(self, params: Any, x: Any, d: Any, state: Any) -> tuple[Any, Any, Any, Any]:
        """The arguments as arrays of numbers; numbers stay numbers."""
        for what, value in (("params", params), ("state", state)):
            if not isinstance(value, Mapping):
                kind = type(value).__name__
                raise InputError(f"{what} is of the type {kind}; expected a mapping of names to arrays")
        uses_x = self.program.model.cell.uses_input
        return (
            {name: _numbers(str(name), value) for name, value in params.items()},
            _numbers("x", x) if uses_x else None,
            _numbers("d", d),
            {name: _numbers(str(name), value) for name, value in state.items()},
        )

    def bind(
        self, params: Mapping[str, Any], x: Any, d: Any, state: Mapping[str, Any] | None = None
    ) -> Callable[[], Result]:
        """A function without arguments that reads these arrays as they are when it is called, into the same results.

        In the C back end that is a call without any look-up; there the arrays must be of its type and in C order.
        """
        loss, gradients = self(params, x, d, state)
        del loss
        bind = getattr(self.backend, "bind", None)
        if bind is not None:
            bound = bind(params, x, d, state)
            if bound is not None:
                return bound  # type: ignore[no-any-return]
        found = {name: np.array(value) for name, value in gradients.items()}
        params, state = dict(params), dict(state or {})  # the arrays are bound, not what the names come to mean
        return lambda: self(params, x, d, state, found)

    # -- checks -----------------------------------------------------------------------------------------------

    def _check(self, params: Mapping[str, Any], x: Any, d: Any, state: Mapping[str, Any]) -> None:
        if params.keys() != self.parameters:
            self._complain("parameter", params, self.parameters)
        if not state.keys() <= self.states:
            self._complain("initial state", state, self.states, needed=False)
        key = (*map(np.shape, params.values()), np.shape(x), np.shape(d), *((k, np.shape(v)) for k, v in state.items()))
        if key not in self._seen:
            check_shapes(self.program, params, x, d, state)
            if len(self._seen) > 1000:
                self._seen.clear()
            self._seen.add(key)

    def _complain(self, what: str, given: Mapping[str, Any], known: frozenset[str], *, needed: bool = True) -> None:
        listed = ", ".join(sorted(known)) or "none"
        for name in given:
            if name not in known:
                raise InputError(f"{name!r} is no {what} of {self.program.model.cell.name}: there are {listed}."
                                 f"{suggest(str(name), known)}")  # fmt: skip
        missing = sorted(known - set(given))
        if needed and missing:
            raise InputError(f"the {what} {missing[0]!r} is missing; expected are {listed}")


def _numbers(name: str, value: Any) -> Any:
    """An array of real numbers, or a float. Raises InputError for anything else."""
    if isinstance(value, float):
        return value
    if hasattr(value, "detach"):  # a tensor of PyTorch
        value = value.detach().cpu()
    try:
        array = np.asarray(value)
    except (ValueError, TypeError, RuntimeError) as error:
        raise InputError(f"{name!r} is no array: {str(error).splitlines()[0]}") from None
    if array.dtype.kind == "O":
        with suppress(ValueError, TypeError):
            array = array.astype(float)
    if array.dtype.kind not in "fiub" or isinstance(value, np.ma.MaskedArray):
        kind = type(value).__name__ if array.dtype.kind == "O" or array.ndim == 0 else array.dtype
        raise InputError(f"{name!r} holds {kind}; expected real numbers")
    return array


def check_shapes(program: Program, params: Mapping[str, Any], x: Any, d: Any, state: Mapping[str, Any]) -> None:
    """Raises InputError where arrays do not fit each other or the cell."""
    shapes = program.model.shapes
    if shapes is None:
        check_grid(params, x, d, state)
        return
    rank = np.ndim(d)
    if rank not in (2, 3) or min(np.shape(d)) < 1:
        raise InputError(f"d has the shape {np.shape(d)}; expected (T, n_y), or with a batch (T, B, n_y)")
    over = np.shape(d)[:-1]
    uses_x = program.model.cell.uses_input
    if uses_x and np.shape(x)[:-1] != over:
        raise InputError(
            f"x has the shape {np.shape(x)} and d {np.shape(d)}; they must agree in all axes but the last: "
            f"(T, n_x) and (T, n_y), or (T, B, n_x) and (T, B, n_y)"
        )
    given = {name: np.shape(value) for name, value in params.items()}
    given |= {"d": np.shape(d)[-1:]} | ({"x": np.shape(x)[-1:]} if uses_x else {})
    for name, value in state.items():
        shape = np.shape(value)
        if len(shape) == 2 and rank == 3 and shape[0] == over[1]:
            shape = shape[1:]
        given[name] = shape
    bind_sizes(shapes, given)


def check_grid(params: Mapping[str, Any], x: Any, d: Any, state: Mapping[str, Any]) -> None:
    """Raises InputError unless x and d begin with the same number of steps and everything else broadcasts."""
    if not np.ndim(d) or not np.shape(d)[0]:
        raise InputError(f"d has the shape {np.shape(d)}; expected (T,), or (T, …) with a grid")
    if x is not None and np.shape(x)[:1] != np.shape(d)[:1]:
        raise InputError(f"x has the shape {np.shape(x)} and d {np.shape(d)}; both need T along their first axis")
    grids = [np.shape(v) for v in (*params.values(), *state.values())] + [np.shape(d)[1:]]
    grids += [np.shape(x)[1:]] if x is not None else []
    try:
        np.broadcast_shapes(*grids)
    except ValueError:
        listed = ", ".join(str(s) for s in dict.fromkeys(grids))
        raise InputError(f"the grids {listed} do not broadcast against each other") from None


def _copy_into(out: dict[str, Array], gradients: Mapping[str, Any]) -> None:
    arrays = [value for value in out.values() if isinstance(value, np.ndarray)]
    if any(np.may_share_memory(one, other) for k, one in enumerate(arrays) for other in arrays[:k]):
        raise InputError("two arrays of out share their memory; give an earlier result")
    for name, value in gradients.items():
        found = out.get(name)
        if np.ndim(value) == 0 and isinstance(found, float | np.floating):
            out[name] = value  # a number cannot be overwritten
            continue
        if isinstance(found, np.ndarray) and not found.flags.writeable:
            raise InputError(f"out has a read-only array for {name!r}; give an earlier result")
        if not isinstance(found, np.ndarray) or found.shape != np.shape(value):
            raise InputError(f"out has no array of the shape {np.shape(value)} for {name!r}; give an earlier result")
        np.copyto(found, value)


def compile_gradient(
    source: str | Cell | Model = "elman",
    *,
    target: str = "numpy",
    losses: str = "all",
    loss: str = "squared",
    activation: str = "logistic",
    output_activation: str | None = None,
    dtype: str = "float64",
    inputs: bool = False,
    sizes: Mapping[str, int] | None = None,
    batch: int | None = None,
    checkpoint: bool | int = False,
    log_scaled: bool = False,
) -> CompiledGradient:
    r"""The gradient of a cell as a fast function of arrays.

    ``source`` is a cell (a built-in's name, a file, text), read in matrix form with the options given, or a `Model`,
    of which the form and all choices are taken (its number of steps is not: T is that of x). ``inputs`` asks for
    ∂L/∂x_t as well, under the name "x". ``sizes`` and ``batch`` let the C back end build at once; otherwise it
    builds when it first sees arrays. In NumPy ``checkpoint`` keeps the states every √T steps only (or every so many as
    it says) and computes the rest again, and ``log_scaled`` gives gradients as `scaled.Scaled`, an array and a power
    of 2, beyond the range of floats.

    >>> f = compile_gradient("h = W @ h[t-1] + x\ny = h")
    >>> loss, gradients = f({"W": [[0, 1], [1, 0]]}, x=[[0, 0], [0, 0]], d=[[0, 0], [0, 0]], state={"h_0": [1, 2]})
    >>> loss, gradients["h_0"], gradients["W"]
    (5.0, array([2., 4.]), array([[6., 9.],
           [6., 6.]]))

    Raises InputError for an unknown choice, and where a target needs what this machine does not have.
    """
    for what, value, known in (("target", target, TARGETS), ("dtype", dtype, DTYPES)):
        if value not in known:
            raise InputError(
                f"{value!r} is not a {what}: choose one of {', '.join(known)}.{suggest(str(value), known)}"
            )
    model = source
    if not isinstance(model, Model):
        model = unroll(
            model, steps=1, losses=losses, loss=loss, activation=activation,
            output_activation=output_activation, form="matrix",
        )  # fmt: skip
    model = concrete(model, activation, loss)
    backend: Backend
    program = build_program(model, inputs=inputs)
    _check_options(target, program, checkpoint, log_scaled)
    _check_sizes(model, sizes, batch)
    if log_scaled:
        backend = ScaledBackend(program)
    elif target == "numpy":
        backend = NumpyBackend(program, dtype, checkpoint)
    elif target == "c":
        backend = _c_backend(program, dtype, sizes, batch)
    elif target == "jax":
        from rnn_symbolic.codegen.jax_backend import JaxBackend

        backend = JaxBackend(program, dtype)
    else:
        from rnn_symbolic.codegen.torch_backend import TorchBackend

        backend = TorchBackend(program, dtype)
    return CompiledGradient(program, target, backend, dtype)


def _check_sizes(model: Model, sizes: Mapping[str, int] | None, batch: int | None) -> None:
    if batch is not None and (isinstance(batch, bool) or not isinstance(batch, int) or batch < 1):
        raise InputError(f"batch is {batch!r}; expected a whole number, at least 1")
    if sizes is None:
        return
    if not isinstance(sizes, Mapping):
        raise InputError(f"sizes is of the type {type(sizes).__name__}; expected a mapping such as {{'n_h': 4}}")
    missing = [name for name in random_sizes(model, sizes) if name not in sizes]
    if missing:
        raise InputError(f"the size {missing[0]!r} is missing; give all of them, or none")


def _check_options(target: str, program: Program, checkpoint: bool | int, log_scaled: bool) -> None:
    if (checkpoint is not False or log_scaled) and target != "numpy":
        raise InputError(f"checkpoint and log_scaled are options of target 'numpy', not of {target!r}")
    if checkpoint is not False and (log_scaled or not program.model.names):
        raise InputError("checkpoint is for a model in matrix form, and does not go with log_scaled")
    if checkpoint is not True and checkpoint is not False and (not isinstance(checkpoint, int) or checkpoint < 1):
        raise InputError(f"checkpoint is {checkpoint!r}; it is True, or a whole number of steps, at least 1")
    if log_scaled and program.inputs:
        raise InputError("log_scaled has no gradients by the inputs; leave inputs out")


def _c_backend(program: Program, dtype: str, sizes: Mapping[str, int] | None, batch: int | None) -> Backend:
    from rnn_symbolic.codegen.building import find_compiler
    from rnn_symbolic.codegen.c_backend import CBackend

    try:
        find_compiler()
        return CBackend(program, dtype, sizes, batch)
    except NoCompiler as error:
        warnings.warn(f"{error}; going on with NumPy", RuntimeWarning, stacklevel=3)
        return NumpyBackend(program, dtype)


def source_of(
    model: Model, target: str = "numpy", *, inputs: bool = False, sizes: Mapping[str, int] | None = None
) -> str:
    """A standalone module with ``loss_and_gradients``, for numpy, c (for these ``sizes``) or jax.

    >>> "def loss_and_gradients(params, x, d, state=None" in source_of(unroll("elman", form="matrix"))
    True
    """
    program = build_program(concrete(model), inputs=inputs)
    if target == "c":
        from rnn_symbolic.codegen.c_standalone import c_source

        return c_source(program, sizes or {})
    if target == "jax":
        from rnn_symbolic.codegen.jax_source import jax_source

        return jax_source(program)
    return NumpyBackend(program, "float64").source
