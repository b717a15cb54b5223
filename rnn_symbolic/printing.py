r"""How expressions look: LaTeX of records, and the Unicode reading of that LaTeX for terminals.

LaTeX is the master. It is drawn from the records themselves, so terms and factors keep their order, signs and
parentheses come from the structure, and no SymPy is needed. `plain` translates the small vocabulary used here
into Unicode; it refuses what it does not know, so that no raw LaTeX reaches a terminal.
"""

from __future__ import annotations

import re
from fractions import Fraction

from rnn_symbolic.expressions import (
    ONE,
    Add,
    Apply,
    Call,
    Derivative,
    Expression,
    Multiply,
    Number,
    Power,
    Quantity,
    StepLoss,
)
from rnn_symbolic.functions import FUNCTIONS

GREEK = frozenset(
    "alpha beta gamma delta epsilon zeta eta theta kappa lambda mu nu xi rho tau phi chi psi omega".split()
)
THIN = r"\,"


def latex_name(name: str) -> str:
    r"""A bare name: W_x, \tau, \mathrm{gate}; ℓ is the loss of a step."""
    base, *subscripts = name.split("_")
    return _letter(base) + (f"_{{{','.join(map(_letter, subscripts))}}}" if subscripts else "")


def _letter(word: str) -> str:
    if word == "l":
        return r"\ell"
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
    base, *subscripts = quantity.name.split("_")
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
        case StepLoss(loss, argument, order):
            return f"{latex_quantity(loss)}{chr(39) * order}({latex(argument)})"
        case Add(terms):
            return _latex_sum(terms)
        case Multiply(factors):
            return latex_product(factors)
        case Apply(left, right):
            return f"{latex_factor(left)}{THIN}{latex_factor(right)}"
        case Power(base, exponent):
            return _latex_power(base, exponent)
        case Derivative(of, wrt, immediate):
            plus = "^{+}" if immediate else ""
            return rf"\frac{{\partial{plus} {latex_quantity(of)}}}{{\partial {latex_quantity(wrt)}}}"


def latex_product(factors: tuple[Expression, ...]) -> str:
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
            pieces.append(latex_factor(factor))
            above = None if isinstance(factor, Derivative) else factor
        else:
            if above is not None:
                pieces.pop()
            pieces.append(_fraction(above or ONE, below))
            above = None
    return sign + (THIN.join(pieces) if pieces else "1")


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
    text = ""
    for term in terms:
        piece = latex(term)
        if text:
            piece = f" - {piece[1:].lstrip()}" if piece.startswith("-") else f" + {piece}"
        text += piece
    return text


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


def latex_factor(expression: Expression) -> str:
    """An operand of a product: sums, and what begins with a sign, stand in parentheses."""
    text = latex(expression)
    bare = not isinstance(expression, Add) and not text.startswith("-")
    return text if bare else f"({text})"


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


# --- Unicode -------------------------------------------------------------------------------------------------

_SUBSCRIPTS = dict(zip("0123456789+-=()aehijklmnoprstuvx", "₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓ", strict=True))
_SUPERSCRIPTS = dict(zip("0123456789+-=()nkijhlmst", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ⁿᵏⁱʲʰˡᵐˢᵗ", strict=True))
_COMMANDS = {
    "ell": "ℓ", "partial": "∂", "sum": "Σ", "prod": "Π", "to": "→", "le": "≤", "ge": "≥", "ne": "≠", "infty": "∞",
    "cdots": "⋯", "dots": "…", "ldots": "…", "vdots": "⋮", "cdot": "·", "times": "×", "in": "∈", "mid": "|", "pm": "±",
    "approx": "≈", "equiv": "≡", "quad": "  ", "qquad": "    ", "Rightarrow": "⇒", "leftarrow": "←", "longmapsto": "↦",
    "sigma": "σ", "varphi": "φ", "Pi": "Π", "Sigma": "Σ", "gamma": "γ", "alpha": "α", "beta": "β", "delta": "δ",
    "epsilon": "ε", "zeta": "ζ", "eta": "η", "theta": "θ", "kappa": "κ", "lambda": "λ", "mu": "μ", "nu": "ν",
    "xi": "ξ", "rho": "ρ", "tau": "τ", "phi": "ϕ", "chi": "χ", "psi": "ψ", "omega": "ω", "ln": "ln", "max": "max",
    "log": "log", "exp": "exp", "sin": "sin", "cos": "cos", "tanh": "tanh", "cosh": "cosh", "sup": "sup", "min": "min",
    "left": "", "right": "", "displaystyle": "", "big": "", "bigl": "", "bigr": "", "Bigl": "", "Bigr": "",
    "lVert": "‖", "rVert": "‖", "lvert": "|", "rvert": "|", "nabla": "∇", "to ": "→", "Longrightarrow": "⟹",
    "circ": "∘", "odot": "⊙", "ll": "≪", "gg": "≫", "searrow": "↘", "checkmark": "✓", "nolimits": "", "limits": "",
}  # fmt: skip
_TOKEN = re.compile(r"\\([A-Za-z]+|.)|([{}_^'~&])|([^\\{}_^'~&]+)", re.DOTALL)


def plain(tex: str) -> str:
    r"""The Unicode reading of a formula written in this project's LaTeX vocabulary.

    >>> plain(r"\frac{\partial^{+} a_{t}}{\partial h_{t-1}} = W_{h}")
    '∂⁺aₜ/∂hₜ₋₁ = W_h'
    >>> plain(r"\sigma'(a_{3})\,W_{h}^{2}")
    'σ′(a₃) W_h²'

    Raises ValueError for a command outside the vocabulary.
    """
    tokens = [m.group(0) for m in _TOKEN.finditer(tex)]
    text, rest = _plain(tokens, 0, closing=False)
    assert rest == len(tokens), tex
    text = text.replace("∂⁺ ", "∂⁺").replace("∂ ", "∂")
    return re.sub(r" {2,}", lambda m: "  " if len(m.group(0)) > 2 else " ", text).strip()


def _plain(tokens: list[str], i: int, closing: bool) -> tuple[str, int]:
    out: list[str] = []
    while i < len(tokens):
        token = tokens[i]
        if token == "}":
            if closing:
                return "".join(out), i + 1
            raise ValueError("unbalanced braces in a formula")
        piece, i = _plain_token(tokens, i)
        out.append(piece)
    return "".join(out), i


def _group(tokens: list[str], i: int) -> tuple[str, int]:
    """The argument that starts at token i: a braced group, a command, or a single character."""
    while tokens[i].isspace():
        i += 1
    if tokens[i] == "{":
        return _plain(tokens, i + 1, closing=True)
    if len(tokens[i]) > 1 and not tokens[i].startswith("\\"):
        head, tokens[i] = tokens[i][0], tokens[i][1:]
        return head, i
    return _plain_token(tokens, i)


def _plain_token(tokens: list[str], i: int) -> tuple[str, int]:
    token = tokens[i]
    if token == "{":
        return _plain(tokens, i + 1, closing=True)
    if token in "_^":
        inner, i = _group(tokens, i + 1)
        return _script(inner, _SUBSCRIPTS if token == "_" else _SUPERSCRIPTS, token), i
    if token == "'":
        return "′", i + 1
    if token == "~":
        return " ", i + 1
    if token == "&":
        return "", i + 1
    if not token.startswith("\\"):
        return token.replace("-", "−"), i + 1
    name = token[1:]
    if name in ("frac", "tfrac", "dfrac"):
        above, i = _group(tokens, i + 1)
        below, i = _group(tokens, i)
        text = f"{_operand(above)}/{_operand(below)}"
        # a factor behind it would seem to belong to the denominator: (1/4) W_y; a ∂L/∂h reads as one symbol
        return (f"({text})" if i < len(tokens) and tokens[i] == r"\," and not above.startswith("∂") else text), i
    if name == "sqrt":
        inner, i = _group(tokens, i + 1)
        return f"√{inner}" if len(inner) == 1 else f"√({inner})", i
    if name in ("mathrm", "text", "operatorname", "mathbf", "textstyle", "boxed", "mathit"):
        inner, i = _group(tokens, i + 1)
        return inner, i
    if name in ("underbrace", "substack"):
        inner, i = _group(tokens, i + 1)
        if name == "underbrace" and i < len(tokens) and tokens[i] == "_":
            below, i = _group(tokens, i + 1)
            return f"{inner} [{below}]", i
        return inner, i
    if name in (",", ";", ":", " ", "!"):
        return "" if name == "!" else " ", i + 1
    if name in ("\\", "{", "}", "%", "|", "#", "_"):
        return {"\\": " ", "|": "‖"}.get(name, name), i + 1
    if name in _COMMANDS:
        return _COMMANDS[name], i + 1
    raise ValueError(f"\\{name} is not in the formula vocabulary")


def _script(inner: str, table: dict[str, str], mark: str) -> str:
    ascii_inner = inner.replace("−", "-").replace(" ", "")
    if all(c in table for c in ascii_inner) and not (mark == "_" and ascii_inner.isalpha() and ascii_inner != "t"):
        return "".join(table[c] for c in ascii_inner)
    names, comma, step = ascii_inner.rpartition(",")
    if mark == "_" and comma and names.isalnum() and re.fullmatch(r"\d+|-\d+|t([+-]\d+)?", step):  # u_{z,3}: u_z₃
        return f"_{names}" + "".join(table[c] for c in step)
    return mark + (inner if len(inner) == 1 or (inner.isalnum() and mark == "_") else f"({inner})")


def _operand(text: str) -> str:
    """A numerator or denominator on one line: parentheses unless it is a single symbol or a single call.

    >>> _operand("h₃"), _operand("exp(a + b)"), _operand("(a) (b)")
    ('h₃', 'exp(a + b)', '((a) (b))')
    """
    simple = re.fullmatch(r"[−+]?(∂⁺? ?)?[^\s+−*/]+", text)
    return text if simple or _is_one_call(text) else f"({text})"


def _is_one_call(text: str) -> bool:
    match = re.fullmatch(r"[^\s()+−*/]*(\(.*\))[⁰¹²³⁴⁵⁶⁷⁸⁹]*", text)
    depth = 0
    for i, c in enumerate(match[1] if match else ""):
        depth += (c == "(") - (c == ")")
        if depth == 0:
            return match is not None and i == len(match[1]) - 1
    return False
