r"""Terms in numbers: floats or arrays at a random point (named derivatives by complex steps), counts, SymPy."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

from rnn_symbolic.errors import NumericalFailure
from rnn_symbolic.expressions import Derivative, Expression, Identity, Number, Quantity, Transpose, joined
from rnn_symbolic.graph import Graph, resized
from rnn_symbolic.induction.chain import Chain, first_kept
from rnn_symbolic.induction.rings import Ring, Terms, worth
from rnn_symbolic.induction.routes import dot
from rnn_symbolic.induction.slopes import slope_bound
from rnn_symbolic.induction.terms import (
    Blocks,
    Env,
    Gamma,
    Greatest,
    LagCount,
    LossCount,
    Named,
    Norm,
    Over,
    PathCount,
    Powers,
    Routes,
    Share,
    Steps,
    Term,
    Transposed,
    Truncated,
    parts,
)
from rnn_symbolic.model import Model
from rnn_symbolic.numeric import Key
from rnn_symbolic.paths import graph
from rnn_symbolic.valuation import Valuation, stand_in_valuation

TOLERANCE = 1e-9
LEAST = 1e-3
"""Differences are measured against what is compared, and at least against this: the points have entries of order 1."""
STAND_IN_GAMMA = 1.3
"""γ of the stand-in sin z + 0.3 tanh z for σ: both slopes are greatest at 0."""
SMALL = 0.8
"""What the bound q of a step is at a calm point."""


# --- comparison -----------------------------------------------------------------------------------------------------


def size(value: Any) -> float:
    """The greatest magnitude among the entries."""
    return float(abs(value)) if isinstance(value, float | int) else float(abs(value).max(initial=0.0))


def difference(a: Any, b: Any) -> float:
    """The greatest difference; a number c stands for c I beside a matrix (an empty product), 0 for any zeros."""
    if isinstance(a, float | int) and isinstance(b, float | int):
        return float(abs(a - b))
    if isinstance(a, float | int):
        a, b = b, a
    if isinstance(b, float | int):
        import numpy as np

        b = np.zeros(a.shape) if not b else b * np.eye(*a.shape[-2:])
    if a.shape != b.shape:
        return float("inf")
    return size(a - b)


def close(a: Any, b: Any) -> bool:
    """Whether two values are equal up to rounding."""
    return difference(a, b) <= TOLERANCE * max(size(a), size(b), LEAST)


def less(a: Any, b: Any) -> bool:
    """a ≤ b up to rounding."""
    return float(a) <= float(b) * (1 + TOLERANCE) + 1e-12


def stacked_row(gradient: Any) -> Any:
    """A gradient in its parameter's shape as the row ∂L/∂vec θ, column by column."""
    if isinstance(gradient, float):
        return gradient
    return gradient.T.reshape(1, -1) if gradient.ndim == 2 else gradient.reshape(1, -1)


# --- points ---------------------------------------------------------------------------------------------------------


class Readings:
    """The valuations of one model for each T, made once; ``seed`` chooses the points."""

    def __init__(self, seed: int) -> None:
        self.seed, self.terms = seed, Terms()
        self._models: dict[int, Model] = {}
        self._valuations: dict[tuple[int, bool], Any] = {}

    def model(self, model: Model, T: int) -> Model:
        """The model for T steps."""
        if T not in self._models:
            self._models[T] = resized(model, T)
        return self._models[T]

    def of(self, model: Model, goal: Quantity, calm_by: Term | None = None) -> NumberReading:
        """Terms about a goal at the random point of a model; with ``calm_by``, where that bound is small."""
        key = (model.steps, calm_by is not None)
        if key not in self._valuations:
            found = self._stand_in(model)
            self._valuations[key] = found if calm_by is None else calm(found, calm_by)
        return NumberReading(Chain(model, goal), self._valuations[key], self.terms)

    def _stand_in(self, model: Model) -> Any:
        """Floats where everything is one number; arrays elsewhere, NumPy with them."""
        if model.form == "scalar" and len(model.cell.states) < 2:
            return stand_in_valuation(model, self.seed)
        from rnn_symbolic.matrix_valuation import stand_in_matrix_valuation

        return stand_in_matrix_valuation(model, self.seed)


def calm(valuation: Any, bound: Term) -> Any:
    """The same point with the weights of a bound scaled down, so that the bound is `SMALL`."""
    weights = {part.of.name for part in parts(bound) if isinstance(part, Norm) and isinstance(part.of, Quantity)}
    model, point = valuation.model, valuation.point
    chain = Chain(model, Quantity(next(iter(weights)))) if weights else None
    if chain is None:
        return valuation
    parameters = dict(point.parameters)
    for _ in range(60):
        value = float(worth(bound, {}, NumberReading(chain, valuation)))
        if value <= SMALL:
            break
        parameters = {name: v * 0.8 if name in weights else v for name, v in parameters.items()}
        moved = replace(point, parameters=parameters)
        if isinstance(valuation, Valuation):
            valuation = Valuation(model, moved, valuation.arithmetic)
        else:
            valuation = type(valuation)(model, moved, valuation.functions)
    return valuation


# --- numbers --------------------------------------------------------------------------------------------------------


class NumberReading(Ring):
    """Terms at a point: floats where everything is one number, arrays elsewhere."""

    zero, one = 0.0, 1.0

    def __init__(self, chain: Chain, valuation: Any, terms: Terms | None = None) -> None:
        super().__init__(terms)
        self.chain, self.valuation, self.model = chain, valuation, valuation.model
        self.scalar = isinstance(valuation, Valuation)
        self._values: dict[Expression, Any] = {}

    def leaf(self, expression: Expression) -> Any:
        """The value; derivatives of what has not happened, or beyond T, are 0."""
        if expression not in self._values:
            self._values[expression] = self._leaf(expression)
        return self._values[expression]

    def _leaf(self, node: Expression) -> Any:
        match node:
            case Number(value):
                return float(value)
            case Identity(size=name) if name == self.chain.joint:
                return 1.0 if self.scalar else self._identity()
            case Transpose(Derivative() as inner):
                value = self._derivative(inner)
                return value if isinstance(value, float) else value.swapaxes(-1, -2)
            case Derivative():
                return self._derivative(node)
        return self.valuation.of(node)

    def _identity(self) -> Any:
        import numpy as np

        return np.eye(sum(self.valuation._joint))

    def _derivative(self, node: Derivative) -> Any:
        T, joint, of, wrt = self.model.steps, self.chain.joint, node.of, node.wrt
        self.chain.must_exist(node, T)
        if (of.step is not None and of.step > T) or (wrt.step is not None and wrt.step > T):
            return 0.0
        if wrt.name == joint and wrt.step is not None and not self._exists(wrt):
            return 0.0  # states whose lags differ do not all reach back as far: what would be multiplied with it is 0
        if of.name == joint and of.step is not None:
            if wrt.name == joint and wrt.step is not None and of.step <= wrt.step:
                return 0.0 if of.step < wrt.step else self.leaf(Identity(joint))
            if of.step < 1 and wrt.name != joint and wrt not in self.model.initial_states:
                return 0.0
            if wrt == self.chain.goal and of.step < 1 and not node.immediate and of.step != wrt.step:
                return 0.0  # one initial state does not depend on another
        return self.valuation.of(node)

    def _exists(self, state: Quantity) -> bool:
        return all((name, state.step) in self.valuation.values for name in joined(state.name))

    def special(self, term: Term, env: Env) -> Any:
        """Norms, weights, γ, and truncated gradients by forward passes that hold the earlier states."""
        match term:
            case Norm(of):
                return self._norm(worth(of, env, self))
            case Named(of=of):
                return worth(of, env, self)
            case Blocks(entries, width):
                return self._blocks([worth(each, env, self) for each in entries], width)
            case Greatest(index, low, high, body):
                steps = range(low.at(env), high.at(env) + 1)
                return max((float(worth(body, {**env, index: i}, self)) for i in steps), default=0.0)
            case Over(above, below):
                return float(worth(above, env, self)) / float(worth(below, env, self))
            case Share():
                return 1.0 / self.model.steps
            case Steps(place):
                return float(place.at(env))
            case Gamma("sigma"):
                return STAND_IN_GAMMA
            case Gamma(name):
                gamma = slope_bound(name).gamma
                assert gamma is not None
                return float(gamma)
            case Transposed(of):
                value = worth(of, env, self)
                return value if isinstance(value, float) else value.swapaxes(-1, -2)
            case Truncated(goal, kind):
                return self._truncated(goal, kind, env)
        raise ValueError(f"{type(term).__name__} has no value in numbers")

    def _blocks(self, values: list[Any], width: int) -> Any:
        """A matrix of square blocks; a number c among them is c I."""
        import numpy as np

        unit = np.eye(1) if self.scalar else self._identity()
        whole = [value * unit if isinstance(value, float) else value for value in values]
        return np.block([whole[i : i + width] for i in range(0, len(whole), width)])

    def _norm(self, value: Any) -> float:
        if isinstance(value, float | int):
            return abs(float(value))
        import numpy as np

        return float(np.linalg.norm(value, 2))

    def _truncated(self, goal: Quantity, kind: str, env: Env) -> Any:
        """Σ_t of ∂ℓ_t/∂θ with the states before the first kept step as constants: no table is asked."""
        weight = 1.0 / self.model.steps if self.model.losses == "mean" else 1.0
        total: Any = 0.0
        for t in self.model.loss_steps:
            total = self.add(total, weight * self._held_derivative(goal, t, first_kept(kind).at({**env, "t": t}) - 1))
        return total

    def _held_derivative(self, goal: Quantity, t: int, until: int) -> Any:
        keys = [(name, step) for name in self.model.cell.states for step in range(1, until + 1)]
        hold: dict[Key, Any] = {key: self.valuation.values[key] for key in keys}
        key, loss = (goal.name, goal.step), ("l", t)
        if self.scalar:
            from rnn_symbolic.numeric import complex_step

            return complex_step(self.model, self.valuation.point, key, self.valuation.arithmetic, loss, hold)
        import numpy as np

        from rnn_symbolic.arrays import complex_pass, coordinates

        directions = coordinates(self.valuation.values[key], None)
        h, moved = complex_pass(self.model, self.valuation.point, key, directions, self.valuation.functions, hold)
        return np.broadcast_to(np.imag(moved[loss]) / h, (len(directions), 1, 1)).reshape(1, -1)

    def add(self, left: Any, right: Any) -> Any:
        """The sum; a number beside a matrix is a multiple of I, 0 is any zeros."""
        if isinstance(left, float) and isinstance(right, float):
            return left + right
        if isinstance(left, float) or isinstance(right, float):
            number, array = (left, right) if isinstance(left, float) else (right, left)
            if not number:
                return array
            import numpy as np

            return array + number * np.eye(*array.shape[-2:])
        if left.shape != right.shape:
            raise ValueError(f"a sum of the shapes {left.shape} and {right.shape}")
        return left + right

    def multiply(self, left: Any, right: Any) -> Any:
        """The product, in order."""
        if isinstance(left, float) or isinstance(right, float):
            if 0.0 in (left if isinstance(left, float) else 1.0, right if isinstance(right, float) else 1.0):
                return 0.0  # of whatever shape
            return left * right
        from rnn_symbolic.arrays import product

        return product(left, right)


# --- counts ---------------------------------------------------------------------------------------------------------


class Counts(Ring):
    """Terms about numbers of paths: whole numbers from the graph of the unrolled model."""

    zero, one = Fraction(0), Fraction(1)

    def __init__(self, model: Model, goal: Quantity, granularity: str) -> None:
        super().__init__()
        self.model, self.goal, self.granularity = model, goal, granularity
        self._counts: dict[tuple[int, int], int] = {}

    def leaf(self, expression: Expression) -> Fraction:
        """A number."""
        assert isinstance(expression, Number), expression
        return expression.value

    def special(self, term: Term, env: Env) -> Fraction:
        """Counts by dynamic programming, polynomials exactly."""
        match term:
            case PathCount(place):
                if place.back:
                    return Fraction(self._count(place.at(env) + env["s"] - 1, env["s"]))
                return Fraction(self._count(place.at(env), 1))
            case LossCount(place):
                return Fraction(self._of_one_loss(place.at(env)).count() if place.at(env) >= 1 else 0)
            case LagCount(place):
                by_lag = self._of_one_loss(place.at(env) + 1).count_by_lag()
                return Fraction(by_lag.get(place.at(env), 0))
            case Powers(coefficients, place):
                n = place.at(env)
                return sum((c * n**i for i, c in enumerate(coefficients)), Fraction(0))
            case Over(above, below):
                over: Fraction = worth(above, env, self) / worth(below, env, self)
                return over
            case Routes(row, matrix, column, power):
                for _ in range(power.at(env)):
                    column = tuple(dot(each, column) for each in matrix)
                return Fraction(dot(row, column))
        raise ValueError(f"{type(term).__name__} is no number of paths")

    def _of_one_loss(self, n: int) -> Graph:
        """The paths that start at ℓ_n; for x_s at the n-th loss from the step s on."""
        goal = Quantity(self.goal.name, 1) if self.goal.index else self.goal
        return graph(replace(self.model, steps=n, losses="last"), goal, self.granularity)

    def _count(self, T: int, s: int) -> int:
        if T < 1:
            return 0
        if (T, s) not in self._counts:
            goal = Quantity(self.goal.name, s) if self.goal.index else self.goal
            self._counts[T, s] = graph(replace(self.model, steps=T), goal, self.granularity).count()
        return self._counts[T, s]


class SymPyReading(Ring):
    """Terms in the named quantities, as SymPy expressions; everything commutes."""

    def __init__(self) -> None:
        import sympy as sp

        super().__init__()
        self.zero, self.one = sp.Integer(0), sp.Integer(1)

    def leaf(self, expression: Expression) -> Any:
        """The SymPy reading of an expression."""
        from rnn_symbolic.symbols import read

        return read(expression)

    def special(self, term: Term, env: Env) -> Any:
        """1/T."""
        if isinstance(term, Share):
            return self.one / env["T"]
        raise ValueError(f"{type(term).__name__} has no value in SymPy")


__all__ = ["Counts", "NumberReading", "NumericalFailure", "Readings", "SymPyReading"]
