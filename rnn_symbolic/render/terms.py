r"""Terms of proofs as LaTeX: sums over steps, products in a stated order, norms, counts.

    \sum_{k=1}^{t} \Bigl(\prod_{j=t \searrow k+1} \frac{\partial h_{j}}{\partial h_{j-1}}\Bigr)\,…

Where numbers commute the order of a product is not worth saying: \prod_{j=k+1}^{t}.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from rnn_symbolic.expressions import MINUS_ONE, Add, Derivative, Expression, Identity, Number, Quantity, Transpose
from rnn_symbolic.induction.records import Line, Range
from rnn_symbolic.induction.terms import (
    Blocks,
    Borders,
    ChunkStart,
    Gamma,
    Greatest,
    Jumps,
    LagCount,
    Latest,
    LossCount,
    Named,
    Norm,
    Ordered,
    Over,
    PathCount,
    Place,
    Plus,
    Powers,
    Raised,
    Routes,
    Share,
    Steps,
    Sum,
    Term,
    Times,
    Transition,
    Transposed,
    Truncated,
    When,
    is_leaf,
)
from rnn_symbolic.model import Model
from rnn_symbolic.printing import THIN, latex, latex_factor, latex_function


def commutes(model: Model) -> bool:
    """Whether everything is a number: then no order needs to be stated."""
    return model.form == "scalar" and len(model.cell.states) < 2


def place_latex(when: When) -> str:
    r"""A step: t-1, T-\tau-1, \max(1,\,t-\tau), \kappa(t).

    >>> place_latex(Place("T", -1, "tau")), place_latex(Place("", 1))
    ('T-\\tau-1', '1')
    """
    match when:
        case Place("", offset):
            return str(offset)
        case Place(index, offset, back):
            away = f"-{_index(back)}" if back else ""
            return f"{_index(index)}{away}" + (f"{offset:+d}" if offset else "")
        case Latest(one, other):
            return rf"\max({place_latex(one)},\,{place_latex(other)})"
        case ChunkStart(of, _, offset):
            return rf"\kappa({place_latex(of)})" + (f"{offset:+d}" if offset else "")
        case Borders(of, length):
            return rf"\lfloor({place_latex(of.plus(-1))})/{_index(length)}\rfloor"
        case Jumps(of, longest, offset):
            text = place_latex(of)
            above = f"({text})" if "-" in text or "+" in text else text
            return rf"\lceil{{{above}/{longest}}}\rceil" + (f"{offset:+d}" if offset else "")


def _index(name: str) -> str:
    return r"\tau" if name == "tau" else name


def range_latex(ranges: Sequence[Range]) -> str:
    r"""For which steps a line holds: 1 \le k \le t \le T.

    >>> range_latex((Range("t", Place("", 1), Place("T")),))
    '1 \\le t \\le T'
    """
    pieces = []
    for r in ranges:
        low, high = place_latex(r.low), place_latex(r.high)
        name = _index(r.index)
        pieces.append(f"{name} = {low}" if low == high else rf"{low} \le {name} \le {high}")
    return r",\; ".join(pieces)


def line_latex(line: Line, model: Model) -> str:
    """A line as one formula."""
    relation = r"\le" if line.relation == "<=" else "="
    free = commutes(model)
    return f"{term_latex(line.before, free)} {relation} {term_latex(line.after, free)}"


def term_pieces(term: Term, free: bool) -> tuple[str, ...]:
    """The LaTeX of a term in the pieces between which a line may break; each but the first has its sign."""
    if isinstance(term, Plus):
        first, *rest = (_addend(each, free) for each in term.terms)
        return (first, *(f"- {text[1:].lstrip()}" if text.startswith("-") else f"+ {text}" for text in rest))
    return (term_latex(term, free),)


def term_latex(term: Term, free: bool = False) -> str:
    r"""The LaTeX of a term; ``free`` says that everything commutes.

    >>> from rnn_symbolic.expressions import Quantity
    >>> from rnn_symbolic.induction.terms import NOW
    >>> term_latex(Ordered("j", Place("k", 1), NOW, Quantity("c", 0, "j")))
    '\\prod_{j=t \\searrow k+1} c_{j}'
    """
    match term:
        case Plus():
            return " ".join(term_pieces(term, free))
        case Sum(index, low, high, body):
            scope = rf"\sum_{{{_index(index)}={place_latex(low)}}}^{{{place_latex(high)}}}"
            return f"{scope} {_body(body, free)}"
        case Ordered(index, low, high, body, rising):
            free = free and not isinstance(body, Named)
            one, other = place_latex(low), place_latex(high)
            if free or isinstance(body, Norm):
                scope = rf"\prod_{{{index}={one}}}^{{{other}}}"
            elif rising:
                scope = rf"\prod_{{{index}={one} \nearrow {other}}}"
            else:
                scope = rf"\prod_{{{index}={other} \searrow {one}}}"
            return f"{scope} {_body(body, free)}"
        case Times(factors):
            return _product(factors, free)
        case Raised(base, exponent):
            text = term_latex(base, free)
            return f"{text if _is_atom(base) else f'({text})'}^{{{place_latex(exponent)}}}"
        case Over(above, below):
            return rf"\frac{{{term_latex(above, free)}}}{{{term_latex(below, free)}}}"
        case Norm(of):  # in braces: a norm is not broken
            left, right = (r"\lvert", r"\rvert") if free and not isinstance(of, Named) else (r"\lVert", r"\rVert")
            inner = term_latex(of, free)
            big = r"\Bigl", r"\Bigr"
            before, after = big if r"\frac" in inner or r"\Bigl" in inner else ("", "")
            return f"{before}{left}{{{inner}}}{after}{right}"
        case Greatest(index, low, high, body):
            return rf"\max_{{{place_latex(low)} \le {index} \le {place_latex(high)}}} {term_latex(body, free)}"
        case Share():
            return r"\tfrac{1}{T}"
        case Steps(place):
            return place_latex(place)
        case Transition(of, wrt):
            return rf"\Phi({place_latex(of)},\,{place_latex(wrt)})"
        case Truncated(goal, kind, stacked):
            mark = r"\tau" if kind == "lag" else r"\mathrm{detach}"
            return rf"\Bigl[{latex(Derivative(Quantity('L'), goal, stacked=stacked))}\Bigr]_{{{mark}}}"
        case Gamma(function, alone):
            return r"\gamma" if alone else rf"\gamma_{{{latex_function(function)}}}"
        case PathCount(steps):
            return f"N_{{{place_latex(steps)}}}"
        case LossCount(steps):
            return f"M_{{{place_latex(steps)}}}"
        case LagCount(lag):
            return f"w_{{{place_latex(lag)}}}"
        case Routes():
            return _routes_latex(term)
        case Blocks(entries, width):
            return matrix_latex([term_latex(entry, free) for entry in entries], width)
        case Named(letter, place):
            return rf"\mathcal{{{letter}}}_{{{place_latex(place)}}}"  # a cell may have a matrix of the plain letter
        case Powers(coefficients, place):
            return polynomial_latex(coefficients, place)
        case Transposed(of):
            return rf"({term_latex(of, free)})^{{\top}}"
    assert is_leaf(term)
    return "1" if free and isinstance(term, Identity) else latex(term)


def matrix_latex(entries: Sequence[str], width: int) -> str:
    r"""A matrix from its entries, row by row.

    >>> matrix_latex(("1", "2", "3", "4"), 2)
    '\\begin{pmatrix} 1 & 2 \\\\ 3 & 4 \\end{pmatrix}'
    """
    rows = r" \\ ".join(" & ".join(entries[i : i + width]) for i in range(0, len(entries), width))
    return rf"\begin{{pmatrix}} {rows} \end{{pmatrix}}"


def _routes_latex(term: Routes) -> str:
    """r Aⁿ u with its numbers."""
    row = matrix_latex([str(n) for n in term.row], len(term.row))
    matrix = matrix_latex([str(n) for each in term.matrix for n in each], len(term.matrix))
    column = matrix_latex([str(n) for n in term.column], 1)
    return rf"{row}\,{matrix}^{{{place_latex(term.power)}}}\,{column}"


def _addend(term: Term, free: bool) -> str:
    return term_latex(term, free)


def _body(body: Term, free: bool) -> str:
    """What stands behind Σ or Π: a sum in parentheses."""
    text = term_latex(body, free)
    return f"({text})" if isinstance(body, Plus | Add) or text.startswith("-") else text


def _is_atom(term: Term) -> bool:
    if isinstance(term, Norm | Gamma):
        return True
    return (
        is_leaf(term)
        and not isinstance(term, Transpose)
        and (not isinstance(term, Number) or (term.value >= 0 and term.value.denominator == 1))
    )


def _product(factors: Sequence[Term], free: bool) -> str:
    sign = ""
    kept = list(factors)
    if kept and kept[0] == MINUS_ONE and len(kept) > 1:
        sign = "-"
        kept = kept[1:]
    pieces: list[str] = []
    for i, factor in enumerate(kept):
        if isinstance(factor, Identity) and len(kept) > 1:
            continue
        # a number before a power of a number: 3 · 4ⁿ
        power = isinstance(factor, Raised) and isinstance(factor.base, Number)
        dot = power and bool(pieces) and pieces[-1][-1:].isdigit()
        pieces.append((r"\cdot " if dot else "") + _factor(factor, free, last=i == len(kept) - 1))
    return sign + THIN.join(pieces).replace(rf"{THIN}\cdot ", r" \cdot ")


def _factor(factor: Term, free: bool, last: bool) -> str:
    text = term_latex(factor, free)
    match factor:
        case Sum():
            return text if last else rf"\Bigl({text}\Bigr)"
        case Ordered():
            return rf"\Bigl({text}\Bigr)"
        case Plus():
            big = r"\sum" in text or r"\frac" in text or r"\prod" in text
            return rf"\Bigl({text}\Bigr)" if big else f"({text})"
        case Greatest():
            return rf"\Bigl({text}\Bigr)"
        case Steps(place):
            return f"({text})" if isinstance(place, Place) and ("+" in text or "-" in text) else text
        case Powers():
            return f"({text})" if _is_sum(text) else text
        case Number():
            return text
    if is_leaf(factor):
        expression: Expression = factor
        return latex_factor(expression)
    return f"({text})" if text.startswith("-") else text


def _is_sum(text: str) -> bool:
    """Whether a sign stands outside all brackets and braces."""
    depth = 0
    for character in text:
        depth += (character in "({") - (character in ")}")
        if not depth and character in "+-":
            return True
    return False


# --- polynomials ----------------------------------------------------------------------------------------------------


def polynomial_latex(coefficients: Sequence[Fraction], place: Place) -> str:
    r"""A polynomial in a number of steps, whole roots as factors.

    >>> polynomial_latex((Fraction(0), Fraction(1, 2), Fraction(1, 2)), Place("T"))
    '\\frac{T\\,(T+1)}{2}'
    >>> polynomial_latex((Fraction(0), Fraction(-1, 2), Fraction(1, 2)), Place("n", -1))
    '\\frac{(n-1)\\,(n-2)}{2}'
    >>> polynomial_latex((Fraction(0), Fraction(0), Fraction(1)), Place("T"))
    'T^{2}'
    """
    rest = list(coefficients)
    if not rest:
        return "0"
    roots = []
    for root in (0, -1, 1, -2, 2, -3, 3, -4, 4):
        while len(rest) > 1 and sum(c * root**i for i, c in enumerate(rest)) == 0:
            roots.append(root)
            quotient = [Fraction(0)] * (len(rest) - 1)
            carry = Fraction(0)
            for i in range(len(rest) - 1, 0, -1):
                carry = rest[i] + carry * root
                quotient[i - 1] = carry
            rest = quotient
    lcm = 1
    for c in rest:
        lcm = lcm * c.denominator // _gcd(lcm, c.denominator)
    whole = [int(c * lcm) for c in rest]
    factors = []
    for root in dict.fromkeys(roots):
        text, power = place_latex(place.plus(-root)), roots.count(root)
        base = f"({text})" if "+" in text or "-" in text else text
        factors.append(base if power == 1 else f"{base}^{{{power}}}")
    sign = ""
    if len(whole) == 1 and whole[0] < 0:
        sign, whole = "-", [-whole[0]]
    if whole != [1] or not factors:
        inner = _expanded(whole, place)
        factors.insert(0, f"({inner})" if len([w for w in whole if w]) > 1 and factors else inner)
    if len(factors) == 1 and factors[0].startswith("(") and factors[0].endswith(")") and not sign:
        factors = [factors[0][1:-1]]
    above = (THIN if place.index else r" \cdot ").join(factors)
    return sign + (above if lcm == 1 else rf"\frac{{{above}}}{{{lcm}}}")


def _gcd(a: int, b: int) -> int:
    while b:
        a, b = b, a % b
    return a


def _expanded(coefficients: Sequence[int], place: Place) -> str:
    name = place_latex(place)
    base = f"({name})" if "+" in name or "-" in name else name
    text = ""
    for i in range(len(coefficients) - 1, -1, -1):
        c = coefficients[i]
        if not c:
            continue
        power = "" if i == 0 else base if i == 1 else f"{base}^{{{i}}}"
        number = "" if abs(c) == 1 and power else str(abs(c))
        sign = "-" if c < 0 else "+"
        joint = (THIN if place.index else r" \cdot ") if number and power else ""
        text += (f" {sign} " if text else ("-" if c < 0 else "")) + number + joint + power
    return text or "0"
