r"""How expressions look: LaTeX, drawn from the records themselves.

Terms and factors keep their order, signs and parentheses come from the structure, and no SymPy is needed. LaTeX is the
master: `unicode.plain` translates the small vocabulary used here for terminals.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from fractions import Fraction

from rnn_symbolic.expressions import (
    ONE,
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
    multiply,
)
from rnn_symbolic.functions import FUNCTIONS

GREEK = frozenset(
    "alpha beta gamma delta epsilon zeta eta theta kappa lambda mu nu xi rho tau phi chi psi omega".split()
)
THIN = r"\,"
JOINT = r"\mathcal{S}"
"""The letter of all states of a step together; a cell cannot use it."""


def latex_name(name: str) -> str:
    r"""A bare name: W_x, \tau, \mathrm{gate}; ℓ is the loss of a step, (h,c) the joint state."""
    if name.startswith("("):
        return JOINT
    base, *subscripts = name.split("_")
    return _letter(base) + (f"_{{{','.join(map(_letter, subscripts))}}}" if subscripts else "")


def _letter(word: str) -> str:
    if word == "l":
        return r"\ell"
    if word == JOINT:
        return word
    if word in GREEK:
        return "\\" + word
    return word if len(word) == 1 or word.isdigit() else rf"\mathrm{{{word}}}"


def latex_quantity(quantity: Quantity) -> str:
    r"""h_3 with its step as a subscript, after the subscripts of its name.

    >>> latex_quantity(Quantity("h", -1, "t")), latex_quantity(Quantity("u_z", 3))
    ('h_{t-1}', 'u_{z,3}')
    """
    if quantity.step is None:
        return latex_name(quantity.name)
    base, *subscripts = [JOINT] if quantity.name.startswith("(") else quantity.name.split("_")
    if quantity.index:
        subscripts.append(quantity.index + (f"{quantity.step:+d}" if quantity.step else ""))
    else:
        subscripts.append(str(quantity.step))
    *names, step = subscripts
    return _letter(base) + "_{" + ",".join([*map(_letter, names), step]) + "}"


def latex_function(name: str, order: int = 0) -> str:
    r"""The symbol φ, φ' of a function.

    >>> latex_function("sigma", 1)
    "\\sigma'"
    """
    known = FUNCTIONS.get(name)
    return (known.latex if known else rf"\operatorname{{{name}}}") + "'" * order


def latex(expression: Expression) -> str:
    r"""The LaTeX of an expression, terms and factors in their own order.

    >>> a = Quantity("a", 3)
    >>> latex(Multiply((Call("sigma", a, 1), Quantity("W_h"))))
    "\\sigma'(a_{3})\\,W_{h}"
    >>> latex(Derivative(Quantity("a", 0, "t"), Quantity("h", -1, "t"), immediate=True))
    '\\frac{\\partial^{+} a_{t}}{\\partial h_{t-1}}'
    """
    match expression:
        case Quantity():
            return latex_quantity(expression)
        case Number(value):
            return _latex_number(value)
        case Call("sqrt", argument, 0):
            return rf"\sqrt{{{latex(argument)}}}"
        case Call(function, argument, order):
            return f"{latex_function(function, order)}({latex(argument)})"
        case StepLoss(loss, argument, 1, True):
            return rf"\nabla {latex_quantity(loss)}({latex(argument)})"
        case StepLoss(loss, argument, order):
            return f"{latex_quantity(loss)}{chr(39) * order}({latex(argument)})"
        case Add(terms):
            return _latex_sum(terms)
        case Multiply(factors, True):
            return latex_product(factors, r" \odot ")
        case Multiply(factors):
            return latex_product(factors)
        case Chain(factors):
            return latex_chain(factors)
        case Apply(left, right):
            return f"{latex_factor(left)}{THIN}{latex_factor(right)}"
        case Power(base, exponent):
            return _latex_power(base, exponent)
        case Derivative(of, wrt, immediate, stacked):
            plus = "^{+}" if immediate else ""
            below = rf"\operatorname{{vec}} {latex_quantity(wrt)}" if stacked else latex_quantity(wrt)
            return rf"\frac{{\partial{plus}{_spaced(latex_quantity(of))}}}{{\partial{_spaced(below)}}}"
        case Diagonal(Multiply((*scalars, Ones()), False)):
            return latex_product((*scalars, Identity("")))
        case Diagonal(vector):
            return rf"\operatorname{{diag}}({latex(vector)})"
        case Transpose(of):
            return _latex_transpose(of)
        case Identity():
            return "I"
        case Ones():
            return r"\mathbf{1}"
        case Kronecker(vector):
            return rf"{_latex_transpose(vector)} \otimes I"
        case Blocks(rows):
            body = r" \\ ".join(" & ".join(map(latex, row)) for row in rows)
            return rf"{{\begin{{pmatrix}} {body} \end{{pmatrix}}}}"  # in braces: no line breaks in it


def _spaced(tex: str) -> str:
    """What follows a command: a letter needs a space before it, another command none."""
    return tex if tex.startswith("\\mathcal") else f" {tex}"


def _latex_transpose(expression: Expression) -> str:
    """Aᵀ; the transpose of the row ∂L/∂q is the gradient ∇_q L."""
    if isinstance(expression, Derivative) and expression.of.name == "L":
        return rf"\nabla_{{{latex_quantity(expression.wrt)}}} L"
    text = latex(expression)
    if isinstance(expression, Quantity | Ones | Call | StepLoss):
        return rf"{text}^{{\top}}"
    return rf"\Bigl({text}\Bigr)^{{\top}}" if r"\frac" in text else rf"({text})^{{\top}}"


def latex_chain(factors: tuple[Expression, ...], brace: Callable[[Expression], str] | None = None) -> str:
    r"""An ordered product of matrices; neighbouring diagonal matrices are written as one.

    ``brace`` says what stands under each factor (its shape).

    >>> f, i = Diagonal(Quantity("f", 1)), Diagonal(Quantity("i", 1))
    >>> latex_chain((f, i, Quantity("W")))
    '\\operatorname{diag}(f_{1} \\odot i_{1})\\,W'
    """
    merged: list[Expression] = []
    for each in factors:
        factor = _one_diagonal(each)
        if merged and _is_diagonal(factor) and _is_diagonal(merged[-1]):
            assert isinstance(factor, Diagonal) and isinstance(merged[-1], Diagonal)
            merged[-1] = Diagonal(_elementwise(merged[-1].vector, factor.vector))
        else:
            merged.append(factor)
    if any(not isinstance(factor, Number) and _without_identity(factor) == (factor,) for factor in merged):
        merged = [scalar for factor in merged for scalar in _without_identity(factor)]
    sign, number = "", merged[0]
    if isinstance(number, Number) and number.value < 0:
        sign = "-"
        merged[:1] = [Number(-number.value)] if number.value != -1 or len(merged) == 1 else []
    pieces = [latex_factor(factor) for factor in merged]
    if brace is not None:
        below = map(brace, merged)
        pieces = [rf"\underbrace{{{p}}}_{{{b}}}" if b else p for p, b in zip(pieces, below, strict=True)]
    return sign + THIN.join(pieces)


def _elementwise(u: Expression, v: Expression) -> Expression:
    """u ⊙ v as one flat product, numbers and scalars in front."""
    parts: list[Expression] = []
    front: list[Expression] = []
    for vector in (u, v):
        scaled = isinstance(vector, Multiply) and not vector.vectors
        *scalars, part = vector.factors if isinstance(vector, Multiply) and scaled else (vector,)
        front += scalars
        if not isinstance(part, Ones):
            parts += part.factors if isinstance(part, Multiply) else (part,)
    return multiply(*front, Multiply(tuple(parts), vectors=True))


def latex_shaped(expression: Expression, brace: Callable[[Expression], str]) -> str:
    """The expression with something under each factor of each of its products: its shape."""
    match expression:
        case Chain(factors):
            return latex_chain(factors, brace)
        case Add(terms):
            return _signed_sum(latex_shaped(term, brace) for term in terms)
    below = brace(expression)
    return rf"\underbrace{{{latex(expression)}}}_{{{below}}}" if below else latex(expression)


def latex_product(factors: tuple[Expression, ...], joint: str = THIN) -> str:
    r"""An ordered product; a leading −1 is a sign, a reciprocal becomes the denominator of what precedes it.

    >>> latex_product((Number(Fraction(-1)), Quantity("d", 1), Power(Quantity("y", 1), Fraction(-1))))
    '-\\frac{d_{1}}{y_{1}}'
    >>> latex_product((Power(Quantity("h", 1), Fraction(2)), Number(Fraction(1, 2))))
    '\\frac{h_{1}^{2}}{2}'
    """
    sign = ""
    if factors and isinstance(factors[0], Number) and factors[0].value < 0:
        sign, rest = "-", -factors[0].value
        factors = (*(() if rest == 1 else (Number(rest),)), *factors[1:])
    pieces: list[str] = []
    above: Expression | None = None  # the last factor, while it may become a numerator
    for factor in factors:
        below = _denominator(factor)
        if below is None or (above is None and isinstance(factor, Number)):
            pieces.append(latex_factor(factor, elementwise=joint != THIN))
            above = None if isinstance(factor, Derivative) else factor
        else:
            if above is not None:
                pieces.pop()
            pieces.append(_fraction(above or ONE, below))
            above = None
    return sign + (joint.join(pieces) if pieces else "1")


def _denominator(factor: Expression) -> Expression | None:
    """What stands below the line where the factor is a reciprocal."""
    match factor:
        case Number(value) if value.numerator == 1 and value.denominator > 1:
            return Number(Fraction(value.denominator))
        case Power(base, exponent) if exponent < 0:
            return base if exponent == -1 else Power(base, -exponent)
    return None


def _fraction(above: Expression, below: Expression) -> str:
    if isinstance(above, Number) and above.value.denominator > 1:  # ½/√z is 1/(2 √z)
        return rf"\frac{{{above.value.numerator}}}{{{above.value.denominator}{THIN}{latex_factor(below)}}}"
    return rf"\frac{{{latex(above)}}}{{{latex(below)}}}"


def _latex_sum(terms: tuple[Expression, ...]) -> str:
    if any(isinstance(term, Diagonal) for term in terms):
        terms = _diagonals_first(terms)
    return _signed_sum(map(latex, terms))


def _diagonals_first(terms: tuple[Expression, ...]) -> tuple[Expression, ...]:
    """diag(u) − diag(v) written as diag(u − v), in the place of the first."""
    merged: list[Expression] = []
    vectors: list[Expression] = []
    place = 0
    for term in terms:
        vector = _diagonal_vector(term)
        if vector is None:
            merged.append(term)
        else:
            place = place if vectors else len(merged)
            vectors.append(vector)
    if len(vectors) < 2:
        return terms
    merged.insert(place, Diagonal(Add(tuple(vectors))))
    return tuple(merged)


def _is_diagonal(factor: Expression) -> bool:
    """diag(u), not a multiple of the identity."""
    return isinstance(factor, Diagonal) and _diagonal_vector(factor) is not None


def _without_identity(factor: Expression) -> tuple[Expression, ...]:
    """τ I among other factors is τ."""
    match factor:
        case Diagonal(Multiply((*scalars, Ones()), False)):
            return tuple(scalars)
    return (factor,)


def _one_diagonal(factor: Expression) -> Expression:
    """A sum of nothing but diagonal matrices as one."""
    if isinstance(factor, Add):
        terms = _diagonals_first(factor.terms)
        if len(terms) == 1:
            return terms[0]
    return factor


def _diagonal_vector(term: Expression) -> Expression | None:
    """u where the term is diag(u), −u where it is −diag(u); a product of several is diag(u ⊙ v)."""
    match term:
        case Diagonal(Multiply((*_, Ones()), False)):
            return None  # a multiple of the identity stays one
        case Diagonal(vector):
            return vector
        case Chain((Number() as number, *rest)) if rest and all(isinstance(f, Diagonal) for f in rest):
            inner = _diagonal_vector(Chain(tuple(rest)) if len(rest) > 1 else rest[0])
            return None if inner is None else multiply(number, inner)
        case Chain((Diagonal(first), *rest)) if all(isinstance(factor, Diagonal) for factor in rest):
            for factor in rest:
                assert isinstance(factor, Diagonal)
                first = _elementwise(first, factor.vector)
            return first
    return None


def _signed_sum(pieces: Iterable[str]) -> str:
    first, *rest = pieces
    return first + "".join(f" - {p[1:].lstrip()}" if p.startswith("-") else f" + {p}" for p in rest)


def _latex_number(value: Fraction) -> str:
    if value.denominator == 1:
        return str(value.numerator)
    sign = "-" if value < 0 else ""
    return rf"{sign}\tfrac{{{abs(value.numerator)}}}{{{value.denominator}}}"


def _latex_power(base: Expression, exponent: Fraction) -> str:
    if exponent < 0:
        return _fraction(ONE, base if exponent == -1 else Power(base, -exponent))
    inner = latex(base)
    if not isinstance(base, Quantity):
        inner = f"({inner})"
    return f"{inner}^{{{exponent}}}"


def latex_factor(expression: Expression, elementwise: bool = False) -> str:
    """An operand of a product: sums, and what begins with a sign, stand in parentheses; so does W v in u ⊙ (W v)."""
    text = latex(expression)
    product = isinstance(expression, Multiply) and expression.vectors
    applied = elementwise and isinstance(expression, Apply)
    bare = not (isinstance(expression, Add | Kronecker | Chain) or product or applied)
    return text if bare and not text.startswith("-") else f"({text})"


# --- what a browser can expand -----------------------------------------------------------------------------------

EXPANSIONS = {r"\,": 3, r"\;": 3, r"\operatorname": 3, r"\dots": 2, r"\quad": 1, r"\qquad": 1, r"\cdots": 1}
MAX_EXPANSIONS = 800
"""KaTeX refuses a formula with more than 1000 expansions of macros (maxExpand); what the macros used here cost."""


def expansions(tex: str) -> int:
    r"""How many macros KaTeX expands in a formula.

    >>> expansions(r"W_{h}\,h_{1} + \operatorname{relu}'(a_{1})")
    6
    """
    return sum(cost * tex.count(macro) for macro, cost in EXPANSIONS.items())


def without_macros(tex: str) -> str:
    r"""A formula on one line that a browser draws however long it is: primitives in the place of macros, if it must."""
    if expansions(tex) <= MAX_EXPANSIONS:
        return tex
    tex = tex.replace(r"\,", r"\mkern3mu ").replace(r"\qquad", r"\mkern36mu ").replace(r"\quad", r"\mkern18mu ")
    return re.sub(r"\\operatorname\{(\w+)\}", r"\\mathop{\\mathrm{\1}}", tex)
