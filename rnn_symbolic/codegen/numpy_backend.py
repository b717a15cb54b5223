"""The NumPy back end: the printed module, which keeps its arrays for the next call."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from rnn_symbolic.array_functions import Array
from rnn_symbolic.codegen.array_source import numpy_source
from rnn_symbolic.codegen.checkpointed_source import checkpointed_source
from rnn_symbolic.codegen.loading import load_module
from rnn_symbolic.codegen.scalar_source import scalar_source
from rnn_symbolic.errors import ForwardOverflow, NumericalFailure
from rnn_symbolic.program import Program

Result = tuple[float, dict[str, Array]]


class NumpyBackend:
    """In matrix form arrays over all steps; in scalar form plain floats, or arrays over a grid."""

    call: Callable[..., Any] | None = None

    def __init__(self, program: Program, dtype: str, checkpoint: bool | int = False) -> None:
        self.matrix = bool(program.model.names)
        self._every = {} if checkpoint is False else {"every": None if checkpoint is True else checkpoint}
        if not self.matrix:
            self.source = scalar_source(program)
        else:
            self.source = checkpointed_source(program) if self._every else numpy_source(program)
        self._function = load_module(self.source, "gradient").loss_and_gradients
        self._dtype = np.dtype(dtype)
        self._kept = threading.local()

    def __call__(
        self, params: Mapping[str, Any], x: Any, d: Any, state: Mapping[str, Any], out: dict[str, Array] | None
    ) -> Result:
        try:
            return self._run(params, x, d, state)
        except FloatingPointError as error:
            raise _failure(error) from None
        except (ArithmeticError, ValueError):  # Python's floats raise where NumPy's go on to inf and nan
            if self.matrix:
                raise
            try:
                self._run({name: np.reshape(value, 1) for name, value in params.items()}, x, d, state)
            except FloatingPointError as error:
                raise _failure(error) from None
            raise

    @property
    def work(self) -> dict[str, Array]:
        """The arrays that this thread's last call left."""
        if not hasattr(self._kept, "work"):
            self._kept.work = {}
        return self._kept.work  # type: ignore[no-any-return]

    def _run(self, params: Mapping[str, Any], x: Any, d: Any, state: Mapping[str, Any]) -> Result:
        if self.matrix:
            loss, gradients = self._function(params, x, d, state, dtype=self._dtype, work=self.work, **self._every)
            return loss, gradients
        grid = np.broadcast_shapes(
            *(np.shape(value) for value in (*params.values(), *state.values())),
            *(np.shape(value)[1:] for value in (x, d) if value is not None),
        )
        loss, found = self._function(self._plain(params, grid), self._series(x, grid), self._series(d, grid),
                                     self._plain(state, grid))  # fmt: skip
        if not grid:
            return loss, {name: np.asarray(value, self._dtype)[()] for name, value in found.items()}
        spread = {name: np.empty((len(d), *grid) if name == "x" else grid, self._dtype) for name in found}
        for name, array in spread.items():
            for t, value in enumerate(found[name]) if name == "x" else [(Ellipsis, found[name])]:
                array[t] = value
        return np.broadcast_to(loss, grid).copy(), spread  # type: ignore[return-value]

    def _plain(self, values: Mapping[str, Any], grid: tuple[int, ...]) -> dict[str, Any]:
        """Floats where there is no grid: Python computes with them faster than NumPy."""
        if not grid:
            return {name: float(value) for name, value in values.items()}
        return {name: np.asarray(value, self._dtype) for name, value in values.items()}

    def _series(self, values: Any, grid: tuple[int, ...]) -> Any:
        if values is None:
            return None
        array = np.asarray(values, self._dtype)
        return array if grid else array.tolist()


def _failure(error: FloatingPointError) -> NumericalFailure:
    kind = ForwardOverflow if str(error).startswith("the forward") else NumericalFailure
    return kind(f"{error} (try smaller weights, or fewer steps)")
