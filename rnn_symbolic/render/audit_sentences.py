r"""Every mistake as one sentence, and both sides of it as formulas.

table/value-for-argument    The derivative of the activation between $h_{t}$ and $a_{t}$ is taken at …
                            ∂⁺h_t/∂a_t = σ'(h_t)  —  σ'(a_t)
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from rnn_symbolic.auditing.mistakes import (
    ForwardMistake,
    LayoutMistake,
    LimitMistake,
    Mistake,
    ResultMistake,
    SelectionMistake,
    TableMistake,
)
from rnn_symbolic.auditing.records import Fact, Finding, Instance, Part
from rnn_symbolic.auditing.sweep import arcs_of
from rnn_symbolic.expressions import Call, Derivative, Expression, Quantity, add, walk
from rnn_symbolic.frozen import frozen
from rnn_symbolic.jacobians import transposed
from rnn_symbolic.model import Model
from rnn_symbolic.printing import latex, latex_function, latex_name, latex_quantity
from rnn_symbolic.render.audit_prose import AuditProse, filled
from rnn_symbolic.render.words import number
from rnn_symbolic.shapes import dimensions
from rnn_symbolic.unicode import plain

EVERYWHERE = "-everywhere"
MOST_PLACES = 6
"""So many places of a mistake are named, then there is only their number."""
_ROOMS: tuple[tuple[type[Mistake], str], ...] = (
    (TableMistake, "table"),
    (SelectionMistake, "selection"),
    (ResultMistake, "result"),
    (LayoutMistake, "layout"),
    (LimitMistake, "limit"),
    (ForwardMistake, "forward"),
    (Mistake, "formula"),
)


# --- formulas ---------------------------------------------------------------------------------------------------------


def formula_of(text: str) -> str:
    r"""The LaTeX of a quantity that is given by name, "h[t-1]", "h_0", "W_h", "l_3"; of LaTeX itself.

    >>> formula_of("h[t-1]"), formula_of("h_0"), formula_of("l_3"), formula_of(r"W_{h}\,h_{t-1}")
    ('h_{t-1}', 'h_{0}', '\\ell_{3}', 'W_{h}\\,h_{t-1}')
    """
    if found := re.fullmatch(r"(\w+)\[t([+-]\d+)?\]", text):
        return latex_quantity(Quantity(found[1], int(found[2] or 0), "t"))
    if found := re.fullmatch(r"([A-Za-z]\w*)_(-?\d+)", text):
        return latex_quantity(Quantity(found[1], int(found[2])))
    return latex_name(text) if re.fullmatch(r"[A-Za-z]\w*", text) else text


def route_formula(route: Sequence[str]) -> str:
    """The nodes of a path, joined by arrows."""
    return r" \to ".join(map(formula_of, route))


def _math(formulas: Sequence[str]) -> list[str]:
    return [f"${formula}$" for formula in formulas]


# --- sentences --------------------------------------------------------------------------------------------------------


def key_of(mistake: Mistake, model: Model, words: AuditProse) -> str:
    """Which sentence describes a mistake. Raises KeyError where there is none."""
    room = next(name for kind, name in _ROOMS if isinstance(mistake, kind))
    code = mistake.code.removesuffix(EVERYWHERE)
    if room == "table" and code == "zero" and _is_inside(mistake.about[1], model):
        code = "inside"
    if room == "table" and code == "route" and mistake.kind == "missing-route" and _other_terms(mistake, model):
        code = "one-term"
    if code == "other-activation" and room == "forward" and mistake.about[2]:
        code = "other-activation-output"
    for key in (f"{room}/{mistake.kind}/{code}", f"{room}/{code}"):
        if key in words.mistakes:
            return key
    raise KeyError(f"{room}/{mistake.kind}/{code}")


def _is_inside(after: str, model: Model) -> bool:
    """Whether the step taken exists from step 1 to T: this one, or one that an initial state is given for."""
    name, _, shift = after.rstrip("]").partition("[t")
    lags = dict(zip(model.cell.states, model.cell.lags, strict=True))
    return -lags.get(name, 0) <= int(shift or 0) <= 0


def mistake_sentence(part: Part, model: Model, words: AuditProse) -> str:
    """What was done wrong, in one sentence; a habit names its places in a second one."""
    mistake = part.mistake
    text = filled(words.mistakes[key_of(mistake, model, words)], **dict(_values(part, model, words)))
    places = places_of(mistake, model)
    if len(places) > 1:
        shown = [*_math(places[:MOST_PLACES]), *(["…"] if len(places) > MOST_PLACES else [])]
        text = f"{text}{words.phrases['space']}{words.say('everywhere', count=len(places), places=words.listed(shown))}"
    return text


def places_of(mistake: Mistake, model: Model) -> tuple[str, ...]:
    """The local derivatives that a habit spoils, as formulas."""
    if not isinstance(mistake, TableMistake) or not mistake.code.endswith(EVERYWHERE):
        return ()
    arcs, variant = arcs_of(model), mistake.variant
    changed = [arc for arc, _ in variant.added] or [arcs[change.arc] for change in variant.changes]
    ends = [
        Derivative(
            Quantity(arc.head, 0, "t"),
            Quantity(arc.tail) if arc.lag is None else Quantity(arc.tail, -arc.lag, "t"),
            immediate=True,
        )
        for arc in changed
    ]
    return tuple(dict.fromkeys(map(latex, ends)))


def _values(part: Part, model: Model, words: AuditProse) -> Iterator[tuple[str, object]]:
    """What the places of a sentence are filled with, by name."""
    mistake = part.mistake
    about = mistake.about
    formulas = [formula_of(text) for text in about]
    yield "route", route_formula(part.route)
    yield "number", getattr(mistake, "number", "")
    yield "limit", f"{getattr(mistake, 'limit', 0):.6g}"
    yield "factor", formulas[0] if formulas else ""
    yield "theirs", formulas[0] if formulas else ""
    yield "ours", formulas[1] if len(formulas) > 1 else ""
    yield "names", words.listed(_math(formulas))
    yield "over", words.listed(_math(formulas))
    yield "matrices", words.listed(_math(formulas))
    match mistake:
        case TableMistake():
            yield "head", latex(mistake.head)
            yield "tail", latex(mistake.tail)
            yield "before", formulas[0]
            yield "term", latex(mistake.right) if mistake.right is not None else ""
            yield "after", formulas[1] if len(formulas) > 1 else ""
            yield "function", latex_function(about[-1])
            yield "own", latex_function(_function(mistake.right))
            yield "initial", words.listed(_math([latex(q) for q in model.initial_states if q.name in about]))
            yield "state", latex(Quantity(about[0], 0, "t"))
            yield "inner", latex(Quantity(about[-1], 0, "t"))
        case ForwardMistake():
            yield "initial", words.listed([f"${formula} = 0$" for formula in formulas])
            yield "head", latex(Quantity(about[0], 0, "t"))
            yield "old", latex_function(about[0])
            yield "new", latex_function(about[1]) if len(about) > 1 else ""
        case ResultMistake():
            yield "scale", words.listed([words.scales[code] for code in about if code in words.scales])


def _function(value: Expression | None) -> str:
    """The activation whose derivative a local derivative holds."""
    found = [node.function for node in walk(value) if isinstance(node, Call)] if value is not None else []
    return found[-1] if found else "identity"


# --- both sides -------------------------------------------------------------------------------------------------------


@frozen
class Sides:
    """``left`` = ``yours``, and ``right_left`` = ``right``: the same left side, but for what goes to another place."""

    left: str
    yours: str
    right_left: str
    right: str


def sides_of(part: Part, model: Model, words: AuditProse) -> Sides:
    """Both sides of a mistake as LaTeX, its words in the language of the audit."""
    mistake, left, yours, right = part.mistake, part.left, part.yours, part.right

    def text(key: str) -> str:
        return rf"\text{{{words.sides[key]}}}"

    if part.route or part.term:  # of a formula: a term, and the product along the path
        return Sides("", yours, "", right)
    match mistake:
        case LayoutMistake(code="flattened"):
            return Sides(left, text("columns"), left, text("rows"))
        case TableMistake(code="wrong-lag"):
            moved = left.replace(latex(mistake.tail), formula_of(mistake.about[1]))
            return Sides(moved, yours, left, right)
        case TableMistake(code="only-last-step"):
            return Sides(left, rf"{yours} \quad {text('last')}", left, rf"{right} \quad {text('all')}")
        case TableMistake(code="carry-past-slope"):
            return _past_slope(mistake, model)
        case TableMistake(code="term"):
            yours = yours.replace(r"\mathrm{with}", text("with"))
        case TableMistake() if rest := _other_terms(mistake, model):
            flipped = left.startswith(r"\left(")  # shown as what a gradient is multiplied by

            def row(*terms: Expression) -> str:
                return latex(transposed(add(*terms), model.names) if flipped else add(*terms))

            right = row(mistake.right, *rest) if mistake.right is not None else right
            yours = row(*([mistake.yours] if mistake.yours is not None else []), *rest)
    return Sides(left, yours, left, right)


def _other_terms(mistake: Mistake, model: Model) -> list[Expression]:
    """What else stands in the row of the table, where a mistake spoils one of its terms."""
    if not isinstance(mistake, TableMistake):
        return []
    arcs, changes = arcs_of(model), mistake.variant.changes
    if mistake.variant.added or not changes or mistake.right is None or mistake.right != arcs[changes[0].arc].value:
        return []
    spoiled, first = {change.arc for change in changes}, arcs[changes[0].arc]
    row = [i for i, arc in enumerate(arcs) if (arc.head, arc.tail, arc.lag) == (first.head, first.tail, first.lag)]
    return [] if len(spoiled.intersection(row)) > 1 else [arcs[i].value for i in row if i not in spoiled]


def _past_slope(mistake: TableMistake, model: Model) -> Sides:
    """g is what a state gets within its step, r what comes back from the next one."""
    state, inner = (Quantity(name, 0, "t") for name in (mistake.about[0], mistake.about[-1]))
    slope = latex(Derivative(state, inner, immediate=True))
    if model.form == "matrix":
        slope = rf"\left({slope}\right)^{{\top}}"
    left = latex(Derivative(Quantity("L"), inner))
    return Sides(left, rf"{slope}\,g + r", left, rf"{slope}\,(g + r)")


def side_texts(sides: Sequence[Sides]) -> tuple[str, str]:
    """Yours and the right ones as plain text, several joined by semicolons."""
    yours = dict.fromkeys(plain(f"{s.left} = {s.yours}" if s.left else s.yours) for s in sides)
    right = dict.fromkeys(plain(f"{s.right_left} = {s.right}" if s.right_left else s.right) for s in sides)
    return "; ".join(yours), "; ".join(right)


# --- facts and notes --------------------------------------------------------------------------------------------------


def fact_sentence(fact: Fact, words: AuditProse, *, told: bool = True) -> str:
    """A fact in one sentence."""
    code, numbers = fact.code, fact.numbers
    first = numbers[0] if numbers else 0.0
    if code == "right-through-lag" and not first:
        code = "right-through-lag-zero"
    elif code == "right-up-to-T" and first == 1:
        code = "right-up-to-T-one"
    elif code == "own-loss-agrees" and numbers:
        code = "own-loss-agrees-ratio"
    elif code == "loss-differs" and not told:
        code = "loss-differs-untold"
    begin = 0 if fact.code == "lag-factors" else 1
    return filled(
        words.facts[code],
        k=number(first),
        next=number(first + 1),
        ratio=number(first),
        yours=number(first),
        ours=number(numbers[1]) if len(numbers) > 1 else "",
        numbers=r",\; ".join(number(value) for value in numbers),
        list=words.listed([f"$c_{{{i}}} = {scientific(value)}$" for i, value in enumerate(numbers, begin)]),
    )


def note_sentence(finding: Finding, words: AuditProse) -> str:
    """Why nothing more can be said of a gradient."""
    given, expected = finding.shapes or ((), ())
    return filled(
        words.notes[finding.note],
        error=number(finding.error, 2),
        given=dimensions(given),
        expected=dimensions(expected),
    )


def scientific(value: float, digits: int = 6) -> str:
    r"""A number as LaTeX.

    >>> scientific(-1.5), scientific(2.5e-9)
    ('-1.5', '2.5 \\cdot 10^{-9}')
    """
    mantissa, e, exponent = number(value, digits).partition("e")
    return rf"{mantissa} \cdot 10^{{{int(exponent)}}}" if e else mantissa


# --- numbers ----------------------------------------------------------------------------------------------------------


def instance_formulas(instance: Instance) -> list[str]:
    """What every quantity is at a point; those of the same value together, W_x = W_h = 1."""
    same: dict[str, list[str]] = {}
    for name, value in instance.values.items():
        series = enumerate(value, 1) if name in ("x", "d") else [(0, value)]
        for step, entry in series:
            quantity = latex_quantity(Quantity(name, step)) if step else formula_of(name)
            same.setdefault(array_formula(entry), []).append(quantity)
    return [" = ".join([*names, value]) for value, names in same.items()]


def array_formula(value: Any) -> str:
    r"""A number, a vector or a matrix, of floats or of rationals as text; one of size 1 is a number.

    >>> array_formula("-1/2"), array_formula([["1"]]), array_formula([1.5, 2e-9])
    ('-\\tfrac{1}{2}', '1', '(1.5,\\; 2 \\cdot 10^{-9})')
    >>> array_formula([["1", "2"], ["3", "4"]])
    '\\begin{pmatrix} 1 & 2 \\\\ 3 & 4 \\end{pmatrix}'
    """
    value = value.tolist() if hasattr(value, "tolist") else value
    while isinstance(value, list) and len(value) == 1:
        (value,) = value
    if not isinstance(value, list):
        return _rational(value) if isinstance(value, str) else scientific(float(value))
    if not isinstance(value[0], list):
        entries = r",\; ".join(map(array_formula, value))
        return f"({entries})"
    rows = r" \\ ".join(" & ".join(map(array_formula, row)) for row in value)
    return rf"\begin{{pmatrix}} {rows} \end{{pmatrix}}"


def _rational(text: str) -> str:
    above, slash, below = text.removeprefix("-").partition("/")
    sign = "-" if text.startswith("-") else ""
    return rf"{sign}\tfrac{{{above}}}{{{below}}}" if slash else text
