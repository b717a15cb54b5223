r"""Forms as LaTeX: one function per form, with the stated elision of long sums, products and routes.

Elision: a sum over more than six steps shows its first two terms and its last; a path that visits more than six
steps shows the factors of its first two steps and of its last, and its route likewise. ``whole=True`` shows
everything. What is no sum over steps, such as an equation of the cell, is never elided.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING

from rnn_symbolic.expressions import (
    Add,
    Call,
    Chain,
    Derivative,
    Diagonal,
    Expression,
    Identity,
    Multiply,
    Power,
    Quantity,
    chain,
)
from rnn_symbolic.forms import Collected, Form, Group, Oriented, PathProduct, PathSum, Rule, Step, Written
from rnn_symbolic.jacobians import SCALAR, Names, shape_of
from rnn_symbolic.printing import (
    THIN,
    latex,
    latex_chain,
    latex_factor,
    latex_function,
    latex_name,
    latex_product,
    latex_quantity,
    latex_shaped,
)
from rnn_symbolic.table import product_value

if TYPE_CHECKING:
    from rnn_symbolic.derivation import Derivation
    from rnn_symbolic.graph import Leg, Path

LONG = 6
"""Sums of more terms and paths over more steps than this are elided."""
DOTS = r"\cdots"
_OVER_STEPS = (Rule.TOTAL_LOSS, Rule.MEAN_LOSS, Rule.GROUP_BY_ENTRY)
Brace = Callable[[Expression], str]
"""What stands under a factor: its shape."""


def shape_brace(names: Names) -> Brace:
    r"""The shape of a factor as LaTeX, n_{h} \times n_{x}; nothing under a scalar.

    >>> shape_brace({"W": ("n_h", "n_x")})(Quantity("W"))
    'n_{h} \\times n_{x}'
    """

    def brace(expression: Expression) -> str:
        shape = shape_of(expression, names)
        return "" if shape == SCALAR else r" \times ".join(map(_size_latex, shape))

    return brace


def _size_latex(size: str) -> str:
    if "+" in size:
        return f"({' + '.join(map(_size_latex, size.split('+')))})"
    return THIN.join(map(latex_name, size.split("*")))


def step_pieces(step: Step, whole: bool = False, brace: Brace | None = None) -> tuple[str, ...]:
    """The right-hand side of a line, in pieces; of the written sums only those over the steps are elided."""
    cell_like = isinstance(step.after, Written) and step.rule not in _OVER_STEPS
    return form_pieces(step.after, whole or cell_like, None if step.rule in _NO_SHAPES else brace)


_NO_SHAPES = (Rule.CELL_EQUATION, Rule.STEP_LOSS, Rule.TOTAL_LOSS, Rule.MEAN_LOSS, Rule.LAST_LOSS, Rule.JOINT_BLOCKS)


def form_pieces(form: Form, whole: bool = False, brace: Brace | None = None) -> tuple[str, ...]:
    """The LaTeX of a form, in the pieces between which a line may break; each but the first has its sign.

    ``brace`` writes something under each factor of its products.
    """
    match form:
        case Written(Add(terms)) if not _is_one_matrix(terms):
            drawn = [latex(term) if brace is None else latex_shaped(term, brace) for term in terms]
            if whole or len(terms) <= LONG:
                return _signed(drawn)
            return _signed([drawn[0], drawn[1], DOTS, drawn[-1]])
        case PathSum(shown=shown, gaps=gaps):
            pieces: list[str] = []
            for i, term in enumerate(shown):
                drawn_term = _term(term, whole, brace)
                pieces += [DOTS, drawn_term] if i in gaps else [drawn_term]
            return _signed([*pieces, DOTS] if len(shown) in gaps else pieces)
    return (_term(form, whole, brace),)


def _is_one_matrix(terms: tuple[Expression, ...]) -> bool:
    """Whether a sum holds several diagonal matrices, which are written as one."""
    return sum(isinstance(term, Diagonal) for term in terms) > 0 and any(
        isinstance(term, Diagonal | Chain) for term in terms[1:]
    )


def form_latex(form: Form, whole: bool = False) -> str:
    """The LaTeX of a form on one line."""
    return " ".join(form_pieces(form, whole))


def _term(form: Form, whole: bool, brace: Brace | None = None) -> str:
    match form:
        case Written(Multiply() | Chain() as product) if not whole and brace is None:
            return _chain_latex(product)
        case Written(expression):
            return _shaped(expression, brace)
        case PathProduct(path):
            return path_latex(path, whole, brace)
        case Collected():
            return collected_latex(form)
        case Oriented():
            return oriented_latex(form, whole, brace)
    return form_latex(form, whole)


def _shaped(expression: Expression, brace: Brace | None) -> str:
    return latex(expression) if brace is None else latex_shaped(expression, brace)


def _signed(pieces: Sequence[str]) -> tuple[str, ...]:
    first, *rest = pieces
    return (first, *(f"- {p[1:].lstrip()}" if p.startswith("-") else f"+ {p}" for p in rest))


# --- paths --------------------------------------------------------------------------------------------------------


def path_latex(path: Path, whole: bool = False, brace: Brace | None = None) -> str:
    r"""The factors of a path, in order, with the middle of a long one replaced by dots."""
    legs = [leg for leg in path.legs if any(not isinstance(factor.value, Identity) for factor in leg.factors)]
    before, middle, after = _split(legs, whole)
    if not middle:
        return _shaped(path.expression, brace)
    return _joined((_legs_latex(before, brace), DOTS, _legs_latex(after, brace)))


def _chain_latex(product: Multiply | Chain) -> str:
    """A product; a chain of immediate partials over many steps keeps its first two steps and its last."""
    factors = product.factors
    steps = list(dict.fromkeys(f.of.step for f in factors if isinstance(f, Derivative) and f.of.name != "L"))
    if len(steps) <= LONG or not all(isinstance(f, Derivative) for f in factors):
        return latex(product)
    ends = [f for f in factors if isinstance(f, Derivative) and f.of.step in (*steps[:2], steps[-1])]
    first = [f for f in ends if f.of.step != steps[-1]]
    return _joined((latex_product(tuple(first)), DOTS, latex_product(tuple(ends[len(first) :]))))


def oriented_latex(form: Oriented, whole: bool = False, brace: Brace | None = None) -> str:
    """The product along a path in its layout; of one over many steps, the first two steps and the last."""
    texts = []
    for product in form.products:
        steps = sorted({t for t, _ in product if t is not None}, reverse=True)
        if whole or len(steps) <= LONG:
            texts.append(_shaped(chain(*(factor for _, factor in product)), brace))
            continue
        kept = (*steps[:2], steps[-1])
        gap = [i for i, (t, _) in enumerate(product) if t is not None and t not in kept]
        before = tuple(factor for _, factor in product[: gap[0]])
        after = tuple(factor for _, factor in product[gap[-1] + 1 :])
        ends = [latex_chain(part, brace) for part in (before, after) if part]
        texts.append(_joined((ends[0], DOTS, ends[-1])))
    return texts[0] if len(texts) == 1 else " ".join(_signed(texts))


def _joined(pieces: Sequence[str]) -> str:
    """Products multiplied: one that begins with its sign stands in parentheses unless it comes first."""
    first, *rest = (piece for piece in pieces if piece)
    return THIN.join((first, *(f"({piece})" if piece.startswith("-") else piece for piece in rest)))


def _legs_latex(legs: Sequence[Leg], brace: Brace | None = None) -> str:
    """The factors beside dots; a sum or vᵀ ⊗ I stands in parentheses."""
    expression = product_value(factor for leg in legs for factor in leg.factors)
    if isinstance(expression, Multiply) and not expression.vectors:
        return latex(expression)
    return latex_chain(expression.factors if isinstance(expression, Chain) else (expression,), brace)


def _split(legs: list[Leg], whole: bool) -> tuple[list[Leg], list[Leg], list[Leg]]:
    """The legs of the first two steps, those in between, and those of the last step of a long path."""
    steps = list(dict.fromkeys(leg.head.step for leg in legs))
    if whole or len(steps) <= LONG:
        return legs, [], []
    first, last = set(steps[:2]), steps[-1]
    return (
        [leg for leg in legs if leg.head.step in first],
        [leg for leg in legs if leg.head.step not in first and leg.head.step != last],
        [leg for leg in legs if leg.head.step == last],
    )


def route_latex(path: Path, whole: bool = False) -> str:
    r"""L → ℓ_3 → y_3 → h_3 → W_x; a route through many steps keeps its first two steps and its last."""
    nodes = list(path.nodes)
    steps = list(dict.fromkeys(node.step for node in nodes[1:-1]))
    if whole or len(steps) <= LONG:
        return arrows(nodes)
    kept = set(steps[:2])
    head = [node for node in nodes[:-1] if node.step is None or node.step in kept]
    tail = [node for node in nodes[1:-1] if node.step == steps[-1]]
    return rf"{arrows(head)} \to {DOTS} \to {arrows([*tail, nodes[-1]])}"


def arrows(nodes: Sequence[Quantity]) -> str:
    """The nodes of a route, joined by arrows."""
    return r" \to ".join(map(latex_quantity, nodes))


# --- the collected factor -----------------------------------------------------------------------------------------


def collected_latex(form: Collected) -> str:
    r"""before · \underbrace{Π σ'(a_j) · W_h^{k−1}}_{σ'^k W_h^{k−1}} · after."""
    exact = THIN.join(piece for piece in map(group_latex, form.groups) if piece)
    short = shorthand_latex(form.groups)
    if short and exact:
        exact = rf"\underbrace{{{exact}}}_{{{short}}}"
    before = product_pieces(form.before)
    after = product_pieces(form.after)
    return _joined((before, exact, after)) if before or exact or after else "1"


def product_pieces(factors: Sequence[Expression]) -> str:
    """An ordered product, or an empty string for no factors."""
    return latex_product(tuple(factors)) if factors else ""


def group_latex(group: Group) -> str:
    r"""\prod_{j=1}^{3} σ'(a_j), or W_h^{2}; nothing for a power 0."""
    count = len(group.steps)
    if not group.varies and count != 1:
        return latex(Power(group.pattern, Fraction(count))) if count else ""
    if count == 1:
        return latex_factor(group.expression if group.varies else group.pattern)
    low, high = group.steps[0], group.steps[-1]
    inner = latex_factor(group.pattern)
    if list(group.steps) == list(range(low, high + 1)):
        return rf"\Bigl(\prod_{{j={low}}}^{{{high}}} {inner}\Bigr)"
    members = ",".join(map(str, _elided_steps(group.steps)))
    return rf"\Bigl(\prod_{{j={members}}} {inner}\Bigr)"


def _elided_steps(steps: tuple[int, ...]) -> tuple[object, ...]:
    return steps if len(steps) <= LONG else (*steps[:2], r"\dots", steps[-1])


def shorthand_latex(groups: Sequence[Group]) -> str:
    r"""σ'^{3} W_h^{2}: each φ'(a_j) written as one φ'; empty when a group has no such name."""
    powers: dict[str, int] = {}
    if not any(group.is_slope for group in groups):
        return ""  # W_h^{2} alone needs no shorthand
    for group in groups:
        if group.is_slope:
            assert isinstance(group.pattern, Call)
            base = rf"{latex_function(group.pattern.function, group.pattern.order)}{{}}"
        elif not group.varies and isinstance(group.pattern, Quantity):
            base = latex(group.pattern)
        else:
            return ""
        powers[base] = powers.get(base, 0) + len(group.steps)
    return THIN.join(f"{base}^{{{power}}}" for base, power in powers.items())


# --- steps and derivations in a notebook ---------------------------------------------------------------------------


def step_latex(step: Step, whole: bool = False) -> str:
    """before = after, on one line."""
    return f"{form_latex(step.before, whole)} = {' '.join(step_pieces(step, whole))}"


def derivation_latex(derivation: Derivation, whole: bool = False) -> str:
    """The gradient as the sum over paths, then collected, as an aligned formula."""
    from rnn_symbolic.sections import Part

    lines: list[str] = []
    for part in (Part.SUM, Part.COLLECTED):
        for step in derivation.section(part).steps:
            left = form_latex(step.before, whole) if not lines else ""
            pieces = form_pieces(step.after, whole)
            lines.append(f"{left} &= {pieces[0]}")
            lines.extend(rf"&\quad {piece}" for piece in pieces[1:])
    return r"\begin{aligned} " + r" \\ ".join(lines) + r" \end{aligned}"
