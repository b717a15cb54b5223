r"""∂L/∂θ as a NumPy function, compiled by SymPy's ``lambdify`` from the table that the derivation reads.

The code is a list of assignments, one for each named quantity and one for each adjoint,

    a_1 = …;  h_1 = …;  …          forward
    dL_dh_3 = …;  dL_da_3 = …;  …  backward: the paths, carried back together and not one by one

so its length is linear in T, where the written-out sum of paths is not. ``lambdify`` takes such a list through its
``cse=`` argument: instead of looking for common subexpressions it is told the names that we already have.
"""

from __future__ import annotations

import linecache
import re
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import sympy as sp
from sympy.matrices import DeferredVector

from rnn_symbolic.array_functions import Array, logistic, logistic_prime, relu, relu_prime, softplus, tanh_prime
from rnn_symbolic.concrete import concrete
from rnn_symbolic.errors import InputError, suggest
from rnn_symbolic.expressions import Quantity, quantities
from rnn_symbolic.graph import Leg
from rnn_symbolic.model import Model
from rnn_symbolic.numeric import Key
from rnn_symbolic.paths import graph
from rnn_symbolic.symbols import read, symbol
from rnn_symbolic.table import product_value
from rnn_symbolic.valuation import carry

if TYPE_CHECKING:
    from rnn_symbolic.derivation import Derivation

Statement = tuple[sp.Symbol, sp.Expr]

STABLE: dict[str, Callable[[Array], Array]] = {
    "tanh": np.tanh, "tanh_prime": tanh_prime,
    "logistic": logistic, "logistic_prime": logistic_prime,
    "relu": relu, "relu_prime": relu_prime,
    "softplus": softplus, "softplus_prime": logistic,
}  # fmt: skip
"""What the generated code calls, by the names of the nodes in `symbols`."""


# --- the function -------------------------------------------------------------------------------------------------


class Gradient:
    """∂L/∂θ as a function of the symbols by name: ``g(W_x=…, W_h=…, …, x=…, d=…, h_0=…)``.

    Every argument may be an array, and all shapes broadcast against one another. x and d are sequences over time:
    their first axis has length T, and each entry is a number or an array. Initial states are 0 unless given.

    >>> from rnn_symbolic.derivation import derive_gradient
    >>> from rnn_symbolic.model import unroll
    >>> model = unroll("h = w * h[t-1] + x\\ny = h", steps=2, loss="squared")
    >>> g = derive_gradient(model, "w").lambdify()
    >>> g.signature
    'dL_dw(*, w, x, d, h_0=0)'
    >>> g(w=0.5, x=[1, 2], d=[0, 0], h_0=1), g(w=np.array([0.5, 1.0]), x=[1, 2], d=[0, 0], h_0=1)
    (7.0, array([ 7., 14.]))
    """

    def __init__(self, model: Model, goal: Quantity) -> None:
        self.goal = goal
        self._steps = model.steps
        loss = model.definition["l"].expression
        self._series = tuple(
            name
            for name, used in (
                ("x", model.cell.uses_input),
                ("d", any(q.name == "d" for q in quantities(loss))),
            )
            if used
        )
        self._parameters = tuple(map(str, model.parameters))
        self._initial = tuple(map(str, model.initial_states))
        leaves = [symbol(q) for q in (*model.parameters, *model.initial_states)]
        vectors = [DeferredVector(name) for name in self._series]
        statements, result = _statements(model, goal, vectors)
        # the one expression is a symbol that the last statement defines; docstring_limit=0: it would repeat the code
        self._function = sp.lambdify(
            [*leaves, *vectors],
            [result],
            modules=[STABLE, "numpy"],
            cse=lambda wanted: (statements, wanted),
            dummify=True,
            docstring_limit=0,
        )
        self.__doc__ = (
            f"{self.signature}: the derivative of L by {goal}, over {model.steps} steps of {model.cell.name}.\n\n"
            f"Arrays broadcast; x and d have one entry for each step along their first axis.\n"
        )

    @property
    def arguments(self) -> tuple[str, ...]:
        """The names it takes: parameters, x and d where they matter, initial states."""
        return (*self._parameters, *self._series, *self._initial)

    @property
    def signature(self) -> str:
        """How it is called."""
        optional = (f"{name}=0" for name in self._initial)
        return f"dL_d{self.goal}(*, {', '.join((*self._parameters, *self._series, *optional))})"

    @cached_property
    def source(self) -> str:
        """The generated Python code, with its arguments under their own names."""
        code = self._function.__code__
        text = "".join(linecache.getlines(code.co_filename))
        names = (*self._parameters, *self._initial, *self._series)
        plain = {given: name.replace("-", "m") for given, name in zip(code.co_varnames, names, strict=False)}
        plain[self._function.__name__] = f"dL_d{self.goal}".replace("-", "m")
        return re.sub(r"\w+", lambda word: plain.get(word[0], word[0]), text)

    def __repr__(self) -> str:
        return f"<{self.signature}>"

    def __call__(self, /, **values: Any) -> Any:
        """The gradient: a float (or complex) when every argument is a number, otherwise an array."""
        self._check_names(values)
        given = [_array(repr(name), values[name]) for name in self._parameters]
        given += [_array(repr(name), values.get(name, 0.0)) for name in self._initial]
        series = [self._sequence(name, values[name]) for name in self._series]
        try:
            shape = np.broadcast_shapes(*(array.shape for array in given), *(a.shape for s in series for a in s))
        except ValueError:
            raise InputError(self._unequal(given, series)) from None
        with np.errstate(under="ignore"):  # what underflows is 0 to machine precision
            (result,) = self._function(*given, *series)
        result = np.asarray(result)
        return result.item() if not shape else np.broadcast_to(result, shape).copy()

    def _check_names(self, values: Mapping[str, Any]) -> None:
        for name in values:
            if name not in self.arguments:
                raise InputError(
                    f"{name!r} is no argument of {self.signature}.{suggest(name, self.arguments) or ' Leave it out.'}"
                )
        missing = [name for name in (*self._parameters, *self._series) if name not in values]
        if missing:
            raise InputError(f"{', '.join(map(repr, missing))} missing: call {self.signature}")

    def _unequal(self, given: list[Array], series: list[tuple[Array, ...]]) -> str:
        names = (*self._parameters, *self._initial, *self._series)
        shapes = [{array.shape} for array in given] + [{entry.shape for entry in sequence} for sequence in series]
        pairs = [(name, sorted(found - {()})) for name, found in zip(names, shapes, strict=True)]
        listed = "; ".join(f"{name} {', '.join(map(str, found))}" for name, found in pairs if found)
        return f"these shapes do not broadcast (of x and d, the entries of one step): {listed}"

    def _sequence(self, name: str, value: Any) -> tuple[Array, ...]:
        try:
            entries = None if isinstance(value, str | bytes | Mapping) else list(value)
        except TypeError:  # a number, or an array without axes
            entries = None
        if entries is None:
            raise InputError(f"{name!r} has no time axis; give a sequence of {self._steps} entries, one for each step")
        if len(entries) != self._steps:
            raise InputError(f"{name!r} has {len(entries)} entries along time; T is {self._steps}, one for each step")
        return tuple(_array(f"{name!r} at step {t}", entry) for t, entry in enumerate(entries, 1))


def _array(what: str, value: Any) -> Array:
    """Floats or complex floats of double precision: integers would not survive a power or a division."""
    try:
        array = np.asarray(value)
    except ValueError:  # rows of different length
        raise InputError(f"{what} is not an array of numbers: its rows differ in length") from None
    if array.dtype.kind not in "iufc":
        raise InputError(f"{what} is not a number or an array of numbers")
    return array.astype(complex if array.dtype.kind == "c" else float)


def lambdify_gradient(derivation: Derivation, activation: str = "logistic", loss: str = "squared") -> Gradient:
    """The gradient that was derived, as a NumPy function; ``activation`` and ``loss`` stand for an abstract σ and ℓ."""
    return Gradient(concrete(derivation.model, activation, loss), derivation.goal)


# --- the code -----------------------------------------------------------------------------------------------------


def _statements(model: Model, goal: Quantity, vectors: list[DeferredVector]) -> tuple[list[Statement], sp.Symbol]:
    """The assignments that compute ∂L/∂goal, in order, and the symbol that holds it.

    Only what the result depends on is computed: the loss itself is not, which may be infinite where its
    derivative is not.
    """
    inputs = {symbol(Quantity(v.name, t)): v[t - 1] for v in vectors for t in range(1, model.steps + 1)}
    statements = [(symbol(equation.target), read(equation.expression).xreplace(inputs)) for equation in model.equations]
    prefix = "dL_d"
    while any(name.startswith(prefix) for name in (*model.cell.parameters, *model.named)):
        prefix += "_"

    def name(key: Key, amount: sp.Expr) -> sp.Symbol:
        adjoint = sp.Symbol(prefix + str(symbol(Quantity(*key))))
        statements.append((adjoint, amount))
        return adjoint

    def worth(leg: Leg) -> sp.Expr:
        return read(product_value(leg.factors)).xreplace(inputs)

    # every named quantity is visited, so that no block is written out: the code stays small for any cell
    entered = carry(graph(model, goal, "node"), model.loss_steps, worth, sp.S.One, name)
    result = sp.Symbol(prefix + str(symbol(goal)).replace("-", "m"))
    statements.append((result, sp.Add(*entered.values())))
    return _needed(statements, result), result


def _needed(statements: list[Statement], result: sp.Symbol) -> list[Statement]:
    """The statements that the last one depends on."""
    needed, kept = {result}, []
    for target, expression in reversed(statements):
        if target in needed:
            needed |= expression.free_symbols
            kept.append((target, expression))
    return kept[::-1]
