"""The PyTorch back end: the derived gradient as a function of tensors, and as what autograd calls."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import cache, cached_property
from typing import Any

import numpy as np

from rnn_symbolic.array_functions import Array
from rnn_symbolic.codegen.identifiers import Identifiers
from rnn_symbolic.codegen.loading import load_module
from rnn_symbolic.codegen.torch_source import torch_source
from rnn_symbolic.errors import ForwardOverflow, InputError, NumericalFailure, suggest
from rnn_symbolic.program import Program, build_program

Result = tuple[float, dict[str, Array]]


class TorchBackend:
    """The module that `torch_source` prints, between NumPy arrays; `loss` and `module` are for PyTorch programs.

    Raises InputError where PyTorch is missing, and for a model in scalar form; NumericalFailure when L or a gradient is
    not finite, with the step where that begins.
    """

    call: Callable[..., Any] | None = None

    def __init__(self, program: Program, dtype: str) -> None:
        _torch()
        if not program.model.names:
            raise InputError("target 'torch' has no scalar form; choose form 'matrix', or target 'numpy', 'c' or 'jax'")
        self.program, self.dtype = program, dtype
        self.source = torch_source(program)
        self.function = load_module(self.source, program.model.cell.name).loss_and_gradients
        self._seen: set[object] = set()

    def __deepcopy__(self, memo: object) -> TorchBackend:
        return self  # nothing in it changes; a module that is copied shares it

    def __call__(
        self, params: Mapping[str, Any], x: Any, d: Any, state: Mapping[str, Any], out: dict[str, Array] | None
    ) -> Result:
        torch = _torch()

        def tensor(value: Any) -> Any:
            given = value.detach() if isinstance(value, torch.Tensor) else torch.tensor(np.asarray(value, self.dtype))
            return given.to(getattr(torch, self.dtype))

        loss, found = _run(
            self.function,
            {name: tensor(value) for name, value in params.items()},
            tensor(x) if self.program.model.cell.uses_input else None,
            tensor(d),
            {name: tensor(value) for name, value in state.items()},
        )
        return loss.item(), {name: value.cpu().numpy() for name, value in found.items()}

    def loss(self, params: Mapping[str, Any], x: Any, d: Any, state: Mapping[str, Any] | None = None) -> Any:
        """L as a tensor of autograd: ``loss(params, x, d).backward()`` runs the derived backward pass.

        Everything is a tensor, of any floating type and on any device. Gradients flow to what requires them:
        parameters, initial states and x. They are computed together with L, so that nothing but them is kept until the
        backward pass; where nothing requires a gradient, or under `torch.no_grad`, only L is computed.

        Raises InputError for wrong names, shapes or types, and for d that requires a gradient.
        """
        torch, cell = _torch(), self.program.model.cell
        state = {} if state is None else state
        self._check(params, x, d, state)
        tensors = {**params, **state} | ({"x": x} if cell.uses_input else {})
        wanted = [name for name, value in tensors.items() if value.requires_grad] if torch.is_grad_enabled() else []
        if not wanted:
            return _run(self.function, params, x, d, state, backward=False)[0]
        function = self._with_inputs if "x" in wanted else self.function
        leaves = (*params.values(), *state.values())
        return _gradient_function().apply(function, tuple(params), tuple(state), x, d, *leaves)

    @cached_property
    def _with_inputs(self) -> Callable[..., Any]:
        """The function that gives ∂L/∂x_t as well."""
        if self.program.inputs:
            return self.function  # type: ignore[no-any-return]
        source = torch_source(build_program(self.program.model, inputs=True))
        return load_module(source, self.program.model.cell.name).loss_and_gradients  # type: ignore[no-any-return]

    def _check(self, params: Mapping[str, Any], x: Any, d: Any, state: Mapping[str, Any]) -> None:
        from rnn_symbolic.codegen.compiled import check_shapes

        cell = self.program.model.cell
        given = {**params, **state, "d": d} | ({"x": x} if cell.uses_input else {})
        for name, value in given.items():
            if not isinstance(value, _torch().Tensor):
                raise InputError(f"{name!r} is of the type {type(value).__name__}; expected a tensor")
        if d.requires_grad:
            raise InputError("d requires a gradient, and ∂L/∂d is not derived; give d.detach()")
        key = (*params, *state, *(tuple(value.shape) for value in given.values()))
        if key in self._seen:
            return
        states = list(map(str, cell.initial_states))
        for what, found, known in (("parameter", params, cell.parameters), ("initial state", state, states)):
            for name in found:
                if name not in known:
                    raise InputError(f"{name!r} is no {what} of {cell.name}.{suggest(str(name), known)}")
        missing = [name for name in cell.parameters if name not in params]
        if missing:
            raise InputError(f"the parameter {missing[0]!r} is missing; expected are {', '.join(cell.parameters)}")
        check_shapes(self.program, params, x, d, state)
        if len(self._seen) > 1000:
            self._seen.clear()
        self._seen.add(key)

    def module(self, sizes: Mapping[str, int], seed: int = 0) -> Any:
        """A `torch.nn.Module` whose parameters are the cell's, under their names; ``module(x, d, state=None)`` is L.

        ``sizes`` says what n_x, n_h, … are. Each parameter begins uniform in ±1/√n, where n is the length of a row of a
        matrix, the length of a vector, 1 for a scalar. A name that `torch.nn.Module` has taken gets an underscore.

        Raises InputError for a size that is missing, unknown or below 1.
        """
        shapes = {name: self.program.shapes[name] for name in self.program.model.cell.parameters}
        known = dict.fromkeys(size for shape in shapes.values() for size in shape)
        for size, number in sizes.items():
            if size not in self.program.model.shapes.sizes:  # type: ignore[union-attr]
                raise InputError(f"{size!r} is no size of {self.program.model.cell.name}: there are {', '.join(known)}."
                                 f"{suggest(size, known)}")  # fmt: skip
            if not isinstance(number, int) or number < 1:
                raise InputError(f"{size} is {number!r}; expected a whole number from 1 on")
        missing = [size for size in known if size not in sizes]
        if missing:
            raise InputError(f"the size {missing[0]} is missing; expected are {', '.join(known)}")
        torch = _torch()
        generator = torch.Generator().manual_seed(seed)
        values = {}
        for name, shape in shapes.items():
            numbers = [sizes[size] for size in shape]
            bound = 1 / math.sqrt(numbers[-1] if numbers else 1)
            value = torch.empty(numbers, dtype=getattr(torch, self.dtype))
            values[name] = value.uniform_(-bound, bound, generator=generator)
        return _module_class()(self, values)


def _run(function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """A call of a printed function, outside of autocast; its errors are those of the other back ends."""
    try:
        with _exactly(arguments[2]):
            return function(*arguments, **options)
    except FloatingPointError as error:
        kind = ForwardOverflow if str(error).startswith("the forward") else NumericalFailure
        raise kind(f"{error} (try smaller weights, or fewer steps)") from None


def _exactly(d: Any) -> AbstractContextManager[Any]:
    """Autocast would compute some products in half precision, and write them into arrays of full precision."""
    torch = _torch()
    kind = d.device.type
    if not torch.amp.is_autocast_available(kind) or not torch.is_autocast_enabled(kind):
        return nullcontext()
    context: AbstractContextManager[Any] = torch.autocast(kind, enabled=False)
    return context


@cache
def _gradient_function() -> Any:
    """The `torch.autograd.Function`: it has the gradients ready when autograd asks for them."""
    torch = _torch()

    class DerivedGradient(torch.autograd.Function):  # type: ignore[misc,name-defined]
        @staticmethod
        def forward(
            ctx: Any, function: Any, params: tuple[str, ...], state: tuple[str, ...], x: Any, d: Any, *values: Any
        ) -> Any:
            given = dict(zip(params, values, strict=False))
            starts = dict(zip(state, values[len(params) :], strict=True))
            loss, found = _run(function, given, x, d, starts)
            names = ("x", *params, *state)
            needed = (ctx.needs_input_grad[3], *ctx.needs_input_grad[5:])
            ctx.save_for_backward(
                *(found.get(name) if need else None for name, need in zip(names, needed, strict=True))
            )
            return loss

        @staticmethod
        def backward(ctx: Any, above: Any) -> Any:
            if torch.is_grad_enabled():  # only then: autograd would take the gradients for constants
                raise RuntimeError("create_graph=True asks for second derivatives, and only the first are derived")
            by_x, *others = (None if found is None else above * found for found in ctx.saved_tensors)
            return None, None, None, by_x, None, *others

    return DerivedGradient


@cache
def _module_class() -> Any:
    torch = _torch()

    class RecurrentLoss(torch.nn.Module):  # type: ignore[misc,name-defined]
        """The parameters of a cell; called with x, d and initial states it gives L."""

        def __init__(self, backend: TorchBackend, values: Mapping[str, Any]) -> None:
            super().__init__()
            self.backend, self.attributes = backend, {}
            names = Identifiers(dir(self))
            self.attributes = {name: names[name] for name in values}
            for name, value in values.items():
                self.register_parameter(names[name], torch.nn.Parameter(value))

        def forward(self, x: Any, d: Any, state: Mapping[str, Any] | None = None) -> Any:
            params = {name: getattr(self, attribute) for name, attribute in self.attributes.items()}
            return self.backend.loss(params, x, d, state)

        def extra_repr(self) -> str:
            return self.backend.program.model.cell.name

    return RecurrentLoss


def _torch() -> Any:
    try:
        import torch
    except ImportError:
        raise InputError(
            "target 'torch' needs PyTorch, which is missing: pip install 'rnn-symbolic[torch]'; "
            "target 'numpy' works without it"
        ) from None
    return torch
