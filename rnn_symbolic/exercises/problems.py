"""What an exercise may be about: cells, numbers of steps and parameters, level by level."""

from __future__ import annotations

import random

from rnn_symbolic.derivation import Derivation, derive_gradient
from rnn_symbolic.expressions import Chain, Expression, Multiply, Quantity
from rnn_symbolic.forms import Oriented, PathProduct, PathSum
from rnn_symbolic.frozen import frozen
from rnn_symbolic.graph import Path
from rnn_symbolic.model import Model, unroll


@frozen
class Problem:
    """A network and the parameters that one may ask for; ``granularity`` is what a path visits."""

    cell: str
    steps: int
    goals: tuple[str, ...]
    losses: str = "all"
    form: str = "scalar"
    granularity: str = "state"


def _problems(cells: str, steps: int, goals: str, losses: str = "all", form: str = "scalar") -> list[Problem]:
    return [Problem(cell, steps, tuple(goals.split()), losses, form) for cell in cells.split()]


def _gated(cell: str, goals: str, losses: str = "all") -> Problem:
    return Problem(cell, 2, tuple(goals.split()), losses, "scalar", "node")  # of products only: no named blocks


PROBLEMS: dict[int, tuple[Problem, ...]] = {
    1: (
        *_problems("elman", 2, "W_x W_h b_h h_0"),
        *_problems("linear", 2, "W_x W_h b_h"),
        *_problems("jordan", 2, "W_x W_h b_h"),
        *_problems("d2l", 2, "W_x W_h"),
        *_problems("irnn", 2, "W_x W_h"),
        *_problems("elman", 3, "W_x W_h", "last"),
    ),
    2: (
        *_problems("elman", 3, "W_x W_h b_h h_0"),
        *_problems("residual", 3, "W_x W_h b_h"),
        *_problems("lag2", 3, "W_x W_h V_h", "last"),
        *_problems("lag2", 3, "V_h h_0"),
        *_problems("jordan", 3, "W_x W_h W_y"),
        *_problems("two-layer", 2, "W_x W_h U_s W_s"),
        *_problems("pascanu", 3, "W_x W_h"),
    ),
    3: (
        *_problems("elman", 3, "W_x W_h b_h", "last", "matrix"),
        *_problems("elman", 2, "W_x W_h h_0", "all", "matrix"),
        *_problems("jordan", 2, "W_x W_h W_y", "all", "matrix"),
        *_problems("two-layer", 2, "W_h U_s", "all", "matrix"),
        *_problems("residual", 2, "W_x W_h", "all", "matrix"),
        _gated("lstm", "U_f W_f U_i W_g U_o W_o"),
        _gated("gru", "U_z W_z U_n W_n W_r U_r"),
        _gated("gru-cudnn", "U_z W_n W_r", "last"),
        _gated("mgu", "U_n W_n"),
    ),
}
"""By level: a scalar network and two steps; three steps, or states that reach further; matrices, or gates."""


def draw_problem(rng: random.Random, level: int) -> tuple[Problem, str]:
    """A problem of a level and one of its parameters."""
    problem = rng.choice(PROBLEMS[level])
    return problem, rng.choice(problem.goals)


def model_of(problem: Problem) -> Model:
    """Its network, with abstract σ and ℓ."""
    return unroll(problem.cell, steps=problem.steps, losses=problem.losses, form=problem.form)


# --- terms ------------------------------------------------------------------------------------------------------------


@frozen
class Term:
    """One term of a gradient: the factors along a path, in the order in which they are written.

    ``route`` are the nodes of the path, from L to the parameter.
    """

    route: tuple[Quantity, ...]
    factors: tuple[Expression, ...]
    matrix: bool = False

    @property
    def loss_step(self) -> int | None:
        """The step of the loss from which the path starts."""
        return self.route[1].step

    @property
    def expression(self) -> Expression:
        """The product as a record, nothing reordered and nothing left out."""
        if len(self.factors) == 1:
            return self.factors[0]
        return Chain(self.factors) if self.matrix else Multiply(self.factors)


def derive_terms(model: Model, goal: Quantity, granularity: str) -> tuple[Derivation, tuple[Term, ...]]:
    """The derivation of ∂L/∂goal, and its sum over paths as terms.

    >>> _, terms = derive_terms(unroll("elman", steps=2), Quantity("W_h"), "state")
    >>> [len(term.factors) for term in terms]
    [5, 7, 5]
    """
    derivation = derive_gradient(model, goal, granularity=granularity)
    result = derivation.result
    assert isinstance(result, PathSum)
    terms = []
    for shown in result.shown:
        assert isinstance(shown, PathProduct | Oriented)
        terms.append(Term(shown.path.nodes, _factors(shown), model.form == "matrix"))
    return derivation, tuple(terms)


def _factors(shown: PathProduct | Oriented) -> tuple[Expression, ...]:
    if isinstance(shown, Oriented):
        (product,) = shown.products
        return tuple(part for _, value in product for part in _parts(value))
    return _parts(_scalar(shown.path))


def _scalar(path: Path) -> Expression:
    return path.expression


def _parts(value: Expression) -> tuple[Expression, ...]:
    if isinstance(value, Chain) or (isinstance(value, Multiply) and not value.vectors):
        return tuple(part for factor in value.factors for part in _parts(factor))
    return (value,)
