r"""The SymPy reading: our records as SymPy expressions, and σ, σ', ℓ_t, ℓ_t' as SymPy nodes of their own.

A plain ``Function('sigma')`` differentiates to ``Subs(Derivative(sigma(_xi_1), _xi_1), …)``. These nodes know
their derivative as a node and print themselves, so that ``sympy.latex`` is right in anybody's notebook. Only names
that the reader of cells has accepted, and numbers, ever reach SymPy; no string is parsed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import sympy as sp
from sympy.core.function import ArgumentIndexError

from rnn_symbolic.expressions import (
    Add,
    Apply,
    Blocks,
    Call,
    Chain,
    Derivative,
    Diagonal,
    Expression,
    Identity,
    Kronecker,
    Multiply,
    Number,
    Ones,
    Power,
    Quantity,
    StepLoss,
    Transpose,
    joined,
)
from rnn_symbolic.printing import latex_function

if TYPE_CHECKING:
    from rnn_symbolic.model import Model


def _pretty_call(head: str, argument: Any) -> Any:
    from sympy.printing.pretty.stringpict import prettyForm

    function, arguments = prettyForm(head), prettyForm(*argument.parens())
    call = prettyForm(*function.right(arguments), binding=prettyForm.FUNC)
    call.prettyFunc, call.prettyArgs = function, arguments  # where a power sets its exponent
    return call


class Activation(sp.Function):  # type: ignore[misc]
    """φ(z) or one of its derivatives, kept as a node; ``expand(func=True)`` writes its definition out."""

    nargs = (1,)
    letter = ""
    order = 0

    @classmethod
    def slope(cls, z: sp.Expr) -> sp.Expr:
        """dφ(z)/dz."""
        raise ArgumentIndexError(cls, 1)

    @classmethod
    def definition(cls, z: sp.Expr) -> sp.Expr | None:
        """φ(z) in SymPy's own functions; None where φ is abstract."""
        return None

    def fdiff(self, argindex: int = 1) -> sp.Expr:
        if argindex != 1:
            raise ArgumentIndexError(self, argindex)
        return self.slope(self.args[0])

    def _eval_expand_func(self, **hints: Any) -> sp.Expr:
        written = self.definition(self.args[0])
        return self if written is None else written

    def _eval_evalf(self, prec: int) -> sp.Expr | None:
        written = self.definition(self.args[0])
        return None if written is None else written._eval_evalf(prec)

    def _latex(self, printer: Any, exp: str | None = None) -> str:
        symbol = latex_function(self.letter, self.order)
        call = rf"{symbol}\left({printer._print(self.args[0])}\right)"
        return call if exp is None else rf"{call}^{{{exp}}}"

    def _pretty(self, printer: Any) -> Any:
        head = {"sigma": "σ"}.get(self.letter, self.letter) + "′" * self.order
        return _pretty_call(head, printer._print(self.args[0]))


class sigma(Activation):
    """The abstract activation σ."""

    letter = "sigma"

    @classmethod
    def slope(cls, z: sp.Expr) -> sp.Expr:
        return sigma_prime(z)


class sigma_prime(Activation):
    """σ', the derivative of the abstract activation."""

    letter, order = "sigma", 1

    @classmethod
    def slope(cls, z: sp.Expr) -> sp.Expr:
        return sigma_second(z)


class sigma_second(Activation):
    """σ''; further derivatives are not needed for a gradient or a Hessian."""

    letter, order = "sigma", 2


class tanh(Activation):
    """tanh z, with tanh' kept as a node of its own."""

    letter = "tanh"

    @classmethod
    def slope(cls, z: sp.Expr) -> sp.Expr:
        return tanh_prime(z)

    @classmethod
    def definition(cls, z: sp.Expr) -> sp.Expr:
        return sp.tanh(z)


class tanh_prime(Activation):
    """tanh'(z) = 1 − tanh²(z)."""

    letter, order = "tanh", 1

    @classmethod
    def slope(cls, z: sp.Expr) -> sp.Expr:
        return -2 * tanh(z) * tanh_prime(z)

    @classmethod
    def definition(cls, z: sp.Expr) -> sp.Expr:
        return 1 - sp.tanh(z) ** 2


class logistic(Activation):
    """1/(1 + e^{−z})."""

    letter = "logistic"

    @classmethod
    def slope(cls, z: sp.Expr) -> sp.Expr:
        return logistic_prime(z)

    @classmethod
    def definition(cls, z: sp.Expr) -> sp.Expr:
        return 1 / (1 + sp.exp(-z))


class logistic_prime(Activation):
    """logistic'(z) = logistic(z)(1 − logistic(z))."""

    letter, order = "logistic", 1

    @classmethod
    def slope(cls, z: sp.Expr) -> sp.Expr:
        return logistic_prime(z) * (1 - 2 * logistic(z))

    @classmethod
    def definition(cls, z: sp.Expr) -> sp.Expr:
        return sp.exp(-z) / (1 + sp.exp(-z)) ** 2


class relu(Activation):
    """max(0, z)."""

    letter = "relu"

    @classmethod
    def slope(cls, z: sp.Expr) -> sp.Expr:
        return relu_prime(z)

    @classmethod
    def definition(cls, z: sp.Expr) -> sp.Expr:
        return sp.Max(0, z)


class relu_prime(Activation):
    """1 for z > 0, 0 for z ≤ 0; the value at the kink is a convention."""

    letter, order = "relu", 1

    @classmethod
    def slope(cls, z: sp.Expr) -> sp.Expr:
        return sp.S.Zero

    @classmethod
    def definition(cls, z: sp.Expr) -> sp.Expr:
        return sp.Piecewise((1, z > 0), (0, True))


class softplus(Activation):
    """log(1 + e^z); its derivative is the logistic function."""

    letter = "softplus"

    @classmethod
    def slope(cls, z: sp.Expr) -> sp.Expr:
        return softplus_prime(z)

    @classmethod
    def definition(cls, z: sp.Expr) -> sp.Expr:
        return sp.log(1 + sp.exp(z))


class softplus_prime(Activation):
    """softplus'(z) = logistic(z)."""

    letter, order = "softplus", 1

    @classmethod
    def slope(cls, z: sp.Expr) -> sp.Expr:
        return logistic_prime(z)

    @classmethod
    def definition(cls, z: sp.Expr) -> sp.Expr:
        return 1 / (1 + sp.exp(-z))


class step_loss(sp.Function):  # type: ignore[misc]
    """ℓ_t(y), the abstract loss of step t; the arguments are t and y."""

    nargs = (2,)
    order = 0

    def fdiff(self, argindex: int = 2) -> sp.Expr:
        following = {0: step_loss_prime, 1: step_loss_second}
        if argindex != 2 or self.order not in following:
            raise ArgumentIndexError(self, argindex)
        return following[self.order](*self.args)

    def _latex(self, printer: Any, exp: str | None = None) -> str:
        t, y = self.args
        call = rf"\ell_{{{printer._print(t)}}}{chr(39) * self.order}\left({printer._print(y)}\right)"
        return call if exp is None else rf"{call}^{{{exp}}}"

    def _pretty(self, printer: Any) -> Any:
        t, y = self.args
        digits = str(t).translate(str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉"))
        return _pretty_call("ℓ" + digits + "′" * self.order, printer._print(y))


class step_loss_prime(step_loss):
    """ℓ_t'(y)."""

    order = 1


class step_loss_second(step_loss):
    """ℓ_t''(y)."""

    order = 2


NODES: dict[tuple[str, int], Callable[[sp.Expr], sp.Expr]] = {
    ("sigma", 0): sigma, ("sigma", 1): sigma_prime, ("sigma", 2): sigma_second,
    ("tanh", 0): tanh, ("tanh", 1): tanh_prime,
    ("logistic", 0): logistic, ("logistic", 1): logistic_prime,
    ("relu", 0): relu, ("relu", 1): relu_prime,
    ("softplus", 0): softplus, ("softplus", 1): softplus_prime,
    ("sin", 0): sp.sin, ("cos", 0): sp.cos, ("exp", 0): sp.exp, ("log", 0): sp.log, ("sqrt", 0): sp.sqrt,
    ("identity", 0): lambda z: z,
}  # fmt: skip


def symbol(quantity: Quantity) -> sp.Symbol:
    """The SymPy symbol of a quantity: h_3, W_x, h_t; ℓ_3 is ``ell_3``, which SymPy prints as ℓ.

    >>> symbol(Quantity("h", 3)), sp.latex(symbol(Quantity("l", 3)))
    (h_3, '\\\\ell_{3}')
    """
    name = "ell" if quantity.name == "l" else quantity.name
    if quantity.step is None:
        return sp.Symbol(name)
    if quantity.index:
        return sp.Symbol(f"{name}_{{{quantity.index}{quantity.step:+d}}}" if quantity.step else f"{name}_t")
    return sp.Symbol(f"{name}_{quantity.step}")


def read(expression: Expression, derivative: Callable[[Derivative], sp.Expr] | None = None) -> sp.Expr:
    """The SymPy expression that a record stands for, in the scalar reading: ``@`` and ``*`` are products.

    ``derivative`` says what a named derivative is worth; without it there must be none.
    """
    match expression:
        case Quantity():
            return symbol(expression)
        case Number(value):
            return sp.Rational(value.numerator, value.denominator)
        case Call(function, argument, order):
            return node_of(function, order)(read(argument, derivative))
        case StepLoss(loss=loss, argument=argument, order=order):
            node = (step_loss, step_loss_prime, step_loss_second)[order]
            t = sp.Integer(loss.step) if not loss.index else sp.Symbol("t")
            return node(t, read(argument, derivative))
        case Add(terms):
            return sp.Add(*(read(term, derivative) for term in terms))
        case Multiply(factors=factors):
            return sp.Mul(*(read(factor, derivative) for factor in factors))
        case Apply(left, right):
            return read(left, derivative) * read(right, derivative)
        case Power(base, exponent):
            return read(base, derivative) ** sp.Rational(exponent.numerator, exponent.denominator)
        case Derivative():
            if derivative is None:
                raise ValueError(f"the derivative of {expression.of} by {expression.wrt} needs a model")
            return derivative(expression)
        case Diagonal(inner) | Kronecker(vector=inner):
            return read(inner, derivative)
        case Transpose(of):
            inner_value = read(of, derivative)
            return inner_value.T if isinstance(inner_value, sp.MatrixBase) else inner_value
        case Identity() | Ones():
            return sp.S.One
        case Chain(factors):
            return _product([read(factor, derivative) for factor in factors])
        case Blocks(rows):
            return sp.Matrix([[read(block, derivative) for block in row] for row in rows])


def _product(factors: list[Any]) -> Any:
    """A product at size 1: numbers, and small matrices where the joint state has several parts."""
    result = factors[0]
    for factor in factors[1:]:
        result = result * factor
    return result[0, 0] if isinstance(result, sp.MatrixBase) and result.shape == (1, 1) else result


def node_of(function: str, order: int) -> Callable[[sp.Expr], sp.Expr]:
    """The SymPy function of a name; at size 1 a sum is its term, and softmax is the constant 1."""
    if function == "sum":
        return lambda z: z
    if function == "softmax":
        return lambda z: sp.S.One
    return NODES[function, order]


def inline(model: Model, expression: sp.Expr, keep: tuple[Quantity, ...] = (), generic: bool = False) -> sp.Expr:
    """The expression with every named quantity replaced by its definition; those in ``keep`` stay symbols.

    ``generic`` takes the equations of the one generic step t, whose leaves are the states of the steps before.
    """
    kept = {symbol(quantity) for quantity in keep}
    written: dict[sp.Symbol, sp.Expr] = {}
    for equation in model.definitions if generic else model.equations:
        target = symbol(equation.target)
        if target not in kept:
            written[target] = read(equation.expression).xreplace(written)
    return expression.xreplace(written)


def total_derivative(model: Model, of: Quantity, wrt: Quantity, held: tuple[Quantity, ...] = ()) -> sp.Expr:
    """∂of/∂wrt by SymPy's own ``diff`` of the inlined definition: shares nothing with the table.

    When ``wrt`` is itself defined by an equation it is kept as a symbol, and put back after differentiation; so are the
    quantities in ``held``, which do not move with it.
    """
    generic = bool(of.index)
    moved = inline(model, symbol(of), keep=(wrt, *held), generic=generic)
    return inline(model, sp.diff(moved, symbol(wrt)), generic=generic)


def immediate_derivative(model: Model, of: Quantity, wrt: Quantity) -> sp.Expr:
    """∂⁺of/∂wrt by SymPy's ``diff`` of the one equation that defines ``of``."""
    if of.index:
        equation = model.definition[of.name]
    else:
        found = model.equation_of(of)
        if found is None:
            raise ValueError(f"{of} is a leaf: no equation defines it")
        equation = found
    return sp.diff(read(equation.expression), symbol(wrt))


def value(model: Model, expression: Expression) -> sp.Expr:
    """What a line of a derivation is worth, as a SymPy expression; named derivatives are worked out by ``diff``.

    In matrix form this is the reading at size 1. A derivative of a joint state is a small matrix.
    """

    def derivative(node: Derivative) -> sp.Expr:
        heads = [Quantity(part, node.of.step, node.of.index) for part in joined(node.of.name)]
        tails = [Quantity(part, node.wrt.step, node.wrt.index) for part in joined(node.wrt.name)]
        entries = [[entry(of, wrt, node) for wrt in tails] for of in heads]
        return entries[0][0] if len(heads) == len(tails) == 1 else sp.Matrix(entries)

    def entry(of: Quantity, wrt: Quantity, node: Derivative) -> sp.Expr:
        if node.apart:
            others = tuple(Quantity(part, node.wrt.step, node.wrt.index) for part in joined(node.wrt.name))
            held = (*model.held(node), *(q for q in others if q != wrt))
            return sp.S.One if of == wrt else total_derivative(model, of, wrt, held)
        if of == wrt:
            return sp.S.One
        return (immediate_derivative if node.immediate else total_derivative)(model, of, wrt)

    return read(expression, derivative)
