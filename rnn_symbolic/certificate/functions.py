r"""The functions of a cell in a certificate: any functions with the right derivatives, and then those that are meant.

The theorem about a cell is proved for any tanh and tanh' with  ∀ z, d tanh(z)/dz = tanh'(z), so that it stands on the
axioms of the real numbers alone. The exponential function of Coq's library is built on one axiom more (and its
logarithm on the excluded middle): so the last line of a certificate, which puts Coq's own functions in, says so apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction

from rnn_symbolic.expressions import Call, Expression, Power, quantities, walk
from rnn_symbolic.frozen import frozen

PRIME = "'"


def coq_number(value: Fraction) -> str:
    """A rational as a term that can stand anywhere.

    >>> coq_number(Fraction(3)), coq_number(Fraction(-1, 2))
    ('3', '(-1 / 2)')
    """
    if value.denominator == 1:
        return str(value) if value >= 0 else f"({value})"
    return f"({value.numerator} / {value.denominator})"


@frozen
class CoqFunction:
    """A function, what its derivative at z is, and Coq's own function with a proof of that."""

    name: str
    slope: str  # its derivative at z
    variables: tuple[str, ...]  # what the slope is written with, the function itself first
    meant: tuple[str, ...]  # Coq's own, in the same order
    proof: str
    positive: bool = False  # whether it is differentiable at positive arguments only

    @property
    def without_slope(self) -> CoqFunction:
        """The function alone."""
        return CoqFunction(self.name, "", self.variables[:1], self.meant[:1], "")

    @property
    def hypothesis(self) -> str:
        """The statement of its derivative."""
        domain = "0 < z -> " if self.positive else ""
        return f"{self.name}_slope : forall z, {domain}derivable_pt_lim {self.name} z ({self.slope})"


def _primed(name: str, own: str) -> CoqFunction:
    prime = name + PRIME
    return CoqFunction(name, f"{prime} z", (name, prime), (own, f"Concrete.{prime}"), f"Concrete.{name}_slope")


TABLE = {
    "tanh": _primed("tanh", "tanh"),
    "logistic": _primed("logistic", "Concrete.logistic"),
    "softplus": _primed("softplus", "Concrete.softplus"),
    "exp": CoqFunction("exp", "exp z", ("exp",), ("exp",), "Concrete.exp_slope"),
    "sin": CoqFunction("sin", "cos z", ("sin", "cos"), ("sin", "cos"), "Concrete.sin_slope"),
    "cos": CoqFunction("cos", "-1 * sin z", ("cos", "sin"), ("cos", "sin"), "Concrete.cos_slope"),
    "log": CoqFunction("ln", "/ z", ("ln",), ("ln",), "Concrete.ln_slope", positive=True),
    "sqrt": CoqFunction("sqrt", "1 / 2 * / sqrt z", ("sqrt",), ("sqrt",), "Concrete.sqrt_slope", positive=True),
}
NAMES = {"log": "ln"}
"""Functions that Coq's library calls by another name."""


def power_name(exponent: Fraction) -> str:
    """The function z ↦ z^{p/q}.

    >>> power_name(Fraction(-1, 2))
    'power_m1_2'
    """
    return f"power_{exponent.numerator}_{exponent.denominator}".replace("-", "m")


def _power(exponent: Fraction) -> CoqFunction:
    name, less = power_name(exponent), exponent - 1
    numbers = [coq_number(e) for e in (exponent, less)]
    meant = tuple(f"(Concrete.power {number})" for number in numbers)
    proof = f"(Concrete.power_slope {' '.join(numbers)} ltac:(lra))"
    return CoqFunction(
        name, f"{numbers[0]} * {power_name(less)} z", (name, power_name(less)), meant, proof, positive=True
    )


def moves(expression: Expression) -> bool:
    """Whether anything in the expression but targets can vary: otherwise no derivative is taken of it."""
    return any(quantity.name != "d" for quantity in quantities(expression))


def functions_in(expressions: Iterable[Expression]) -> tuple[CoqFunction, ...]:
    """The functions that the equations mention, each once; σ, ℓ and relu are not among them.

    A function of targets alone needs no derivative.
    """
    found: dict[str, CoqFunction] = {}
    for function, argument in _found(expressions):
        if moves(argument):
            found[function.name] = function
        else:
            found.setdefault(function.name, function.without_slope)
    return tuple(found.values())


def _found(expressions: Iterable[Expression]) -> Iterator[tuple[CoqFunction, Expression]]:
    for expression in expressions:
        for node in walk(expression):
            if isinstance(node, Call) and node.function in TABLE:
                yield TABLE[node.function], node.argument
            elif isinstance(node, Power) and node.exponent.denominator > 1:
                yield _power(node.exponent), node.base


def variables(functions: tuple[CoqFunction, ...]) -> dict[str, str]:
    """Every function by name, its derivatives too, with Coq's own."""
    pairs = (pair for function in functions for pair in zip(function.variables, function.meant, strict=True))
    return dict(pairs)
