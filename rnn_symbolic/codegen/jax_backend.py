"""The JAX back end: the printed module, compiled by XLA for the shapes at hand, between NumPy arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np

from rnn_symbolic.array_functions import Array
from rnn_symbolic.codegen.jax_source import jax_source
from rnn_symbolic.codegen.loading import load_module
from rnn_symbolic.codegen.numpy_backend import NumpyBackend
from rnn_symbolic.errors import ForwardOverflow, InputError, NumericalFailure
from rnn_symbolic.program import Program

Result = tuple[float, dict[str, Array]]


class JaxBackend:
    """The module that `jax_source` prints. ``function`` is its function over JAX arrays: jit it, vmap it.

    A call takes and returns NumPy arrays. XLA compiles for the shapes of the arguments, so a new T costs a compilation.
    JAX has 64-bit floats only where they are switched on; a call with float64 does so for itself and leaves the
    caller's setting alone. Raises InputError where JAX is missing; NumericalFailure when L or a gradient is not finite,
    with the step where that begins.
    """

    call: Callable[..., Any] | None = None

    def __init__(self, program: Program, dtype: str) -> None:
        jax = _jax()
        self.program, self.dtype = program, dtype
        self.source = jax_source(program)
        self.function = load_module(self.source, program.model.cell.name).loss_and_gradients
        self._jax, self._compiled = jax, jax.jit(self._checked)

    def _checked(self, params: Any, x: Any, d: Any, state: Any) -> Any:
        """The function, and whether the loss and the gradients are finite."""
        jnp = self._jax.numpy
        loss, gradients = self.function(params, x, d, state)
        finite = [jnp.isfinite(value).all() for value in (loss, *gradients.values())]
        return loss, gradients, jnp.stack(finite)

    def __call__(
        self, params: Mapping[str, Any], x: Any, d: Any, state: Mapping[str, Any], out: dict[str, Array] | None
    ) -> Result:
        def array(value: Any) -> Array:
            return np.asarray(value, self.dtype)

        arguments = (
            {name: array(value) for name, value in params.items()},
            array(x) if self.program.model.cell.uses_input else None,
            array(d),
            {name: array(value) for name, value in state.items()},
        )
        with self._floats():
            loss, found, finite = self._jax.device_get(self._compiled(*arguments))
        if not finite.all():
            self._complain(not finite[0], *arguments)
        names = [*self.program.model.cell.parameters, *map(str, self.program.model.cell.initial_states)]
        gradients = {name: np.array(found[name]) for name in [*names, *(found.keys() - set(names))]}
        return np.array(loss) if np.ndim(loss) else float(loss), gradients  # type: ignore[return-value]

    def _floats(self) -> AbstractContextManager[Any]:
        if self.dtype != "float64":
            return nullcontext()
        context: AbstractContextManager[Any] = self._jax.enable_x64(True)
        return context

    def _complain(self, forward: bool, params: Any, x: Any, d: Any, state: Any) -> None:
        """Raises NumericalFailure; the NumPy module goes through the steps again, and says where it begins."""
        NumpyBackend(self.program, self.dtype)(params, x, d, state, None)
        if forward:
            raise ForwardOverflow("the forward pass is not finite (try smaller weights, or fewer steps)")
        raise NumericalFailure("the gradient is not finite (try smaller weights, or fewer steps)")


def _jax() -> Any:
    try:
        import jax
    except ImportError:
        raise InputError(
            "target 'jax' needs JAX, which is missing: pip install 'rnn-symbolic[jax]'; target 'numpy' works without it"
        ) from None
    return jax
