r"""Yours and the right one, side by side in one notation, for each mistake.

    table        ∂⁺h_t/∂a_t:  diag(σ'(h_t))  —  diag(σ'(a_t))
    selection    ∂L/∂W:       Σ_s ∂ℓ_T/∂W^{(s)}  —  Σ_t Σ_{s ≤ t} ∂ℓ_t/∂W^{(s)}
    result       ∂L/∂W:       2 ∂L/∂W  —  ∂L/∂W

W^{(s)} is the copy of W that step s uses.
"""

from __future__ import annotations

from collections.abc import Sequence

from rnn_symbolic.auditing.conventions import OtherNetwork
from rnn_symbolic.auditing.mistakes import (
    ForwardMistake,
    LayoutMistake,
    LimitMistake,
    Mistake,
    ResultMistake,
    SelectionMistake,
    TableMistake,
)
from rnn_symbolic.auditing.records import Part
from rnn_symbolic.auditing.sweep import NO_INITIAL, NOT_FIRST
from rnn_symbolic.expressions import Derivative, Expression, Quantity
from rnn_symbolic.jacobians import transposed
from rnn_symbolic.model import Model
from rnn_symbolic.printing import latex, latex_quantity

TOTAL = r"\sum_{t=1}^{T} \sum_{s=1}^{t} "
LIMITS = {
    "only-last-loss": r"\sum_{s=1}^{T} \frac{\partial \ell_{T}}{\partial <copy>}",
    "no-own-loss": r"\sum_{t=1}^{T} \sum_{s=1}^{t-1} <term>",
    "no-carry": r"\sum_{t=1}^{T} \frac{\partial \ell_{t}}{\partial <own>}",
    "no-loss": r"\sum_{t \ne <k>} \sum_{s=1}^{t} <term>",
    "not-last-loss": r"\sum_{t=1}^{T-1} \sum_{s=1}^{t} <term>",
    "no-entry": r"\sum_{t=1}^{T} \sum_{s \le t,\; s \ne <k>} <term>",
    "not-last-entry": r"\sum_{t=1}^{T} \sum_{s \le t,\; s \ne T} <term>",
    "only-entry": r"\sum_{t=1}^{T} \frac{\partial \ell_{t}}{\partial <first>}",
    "only-last-entry": r"\frac{\partial \ell_{T}}{\partial <last>}",
    "no-lag": r"\sum_{t=1}^{T} \sum_{s \le t,\; s \ne t-<k>} <term>",
    "only-oldest": r"\frac{\partial \ell_{T}}{\partial <first>}",
    "nothing": "0",
    "lag-limit": r"\sum_{t=1}^{T} \sum_{s=\max(1,\,t-<k>)}^{t} <term>",
    "chunks": r"\sum_{t=1}^{T} \sum_{s \in C(t)} <term>",
    "chunks-from-end": r"\sum_{t=1}^{T} \sum_{s \in C(t)} <term>",
}
"""What each selection keeps of the double sum; C(t) are the steps up to t of its own chunk."""


def part_of(mistake: Mistake, goal: Quantity, model: Model, others: Sequence[OtherNetwork]) -> Part:
    """The mistake in a gradient by ``goal``, with both sides."""
    gradient = latex(Derivative(Quantity("L"), goal))
    match mistake:
        case TableMistake():
            return _table(mistake, model)
        case SelectionMistake(code=code, number=k):
            return Part(mistake, gradient, _filled(LIMITS[code], goal, k), _right_sum(goal), "sum-over-paths")
        case ResultMistake():
            return Part(mistake, "", _multiplied(mistake, gradient), gradient, "linearity")
        case LimitMistake():
            return Part(mistake, "", _limited(mistake, gradient), gradient, "linearity")
        case LayoutMistake(code="flattened"):
            order = (r"\mathrm{columns}", r"\mathrm{rows}")
            return Part(mistake, gradient, order[0], order[1], "layout")
        case LayoutMistake():
            return Part(mistake, "", rf"\left({gradient}\right)^{{\top}}", gradient, "layout")
        case ForwardMistake(index=index):
            return _forward(mistake, others[index], model)
    raise TypeError(f"{mistake} has no sides")


def _table(mistake: TableMistake, model: Model) -> Part:
    """The local derivative; of a vector by a vector its transposed, which is what a gradient is multiplied by."""
    names = model.names
    by_vector = bool(names) and len(names.get(mistake.tail.name, ())) == 1 and mistake.head.name != "l"

    def shown(value: Expression | None) -> str:
        if value is None:
            return "0"
        return latex(transposed(value, names) if by_vector else value)

    left = latex(mistake.right_name)
    left = rf"\left({left}\right)^{{\top}}" if by_vector else left
    right = shown(mistake.right)
    yours = shown(mistake.yours) if mistake.yours is not None else _left_out(mistake, right)
    return Part(mistake, left, yours, right, mistake.rule.value if mistake.rule else "sum-over-paths")


def _left_out(mistake: TableMistake, right: str) -> str:
    """What stands in the place of an arc without a new value: 0, at step 1 only 0, or the same behind the slope."""
    if mistake.variant.border in (NO_INITIAL, NOT_FIRST):
        states = ", ".join(f"{latex_quantity(Quantity(name, 0))} = 0" for name in mistake.about)
        return rf"{right} \quad \mathrm{{with}}\; {states}"
    if mistake.code == "carry-past-slope":
        return r"\mathrm{added\ behind\ the\ slope}"
    return "0"


def _right_sum(goal: Quantity) -> str:
    return _filled(TOTAL + "<term>", goal, 0)


def _filled(pattern: str, goal: Quantity, k: int) -> str:
    """The pattern with the copies of the goal; what belongs to one step has no copies, and no sum over them."""
    name = latex_quantity(goal)
    copies = {"copy": "s", "own": "t", "first": "1", "last": "T"}
    found = pattern.replace("<term>", r"\frac{\partial \ell_{t}}{\partial <copy>}").replace("<k>", str(k))
    for key, step in copies.items():
        found = found.replace(f"<{key}>", f"{name}^{{({step})}}")
    return found


def _multiplied(mistake: ResultMistake, gradient: str) -> str:
    r"""2 ∂L/∂W, \frac{1}{T} ∂L/∂W: the powers as a fraction."""
    letters = ("2", "T", "n_{y}", "B")
    above = " ".join(letter for letter, power in zip(letters, mistake.powers, strict=True) if power > 0)
    below = " ".join(letter for letter, power in zip(letters, mistake.powers, strict=True) if power < 0)
    sign = "-" if mistake.sign < 0 else ""
    if below:
        return rf"{sign}\frac{{{above or '1'}}}{{{below}}}\,{gradient}"
    return sign + (rf"{above}\," if above else "") + gradient


def _limited(mistake: LimitMistake, gradient: str) -> str:
    c = f"{mistake.limit:.6g}"
    match mistake.code:
        case "constant":
            return rf"{c}\,{gradient}"
        case "entries":
            return rf"\max\left(-{c}, \min\left({c}, {gradient}\right)\right)"
    return rf"\min\left(1, \frac{{{c}}}{{\lVert \nabla L \rVert}}\right) {gradient}"


def _forward(mistake: ForwardMistake, other: OtherNetwork, model: Model) -> Part:
    """The first equation that differs; or what the point is changed to."""
    for ours, theirs in zip(model.definitions, other.model.definitions, strict=True):
        if ours != theirs:
            left = latex(ours.target)
            return Part(mistake, left, latex(theirs.expression), latex(ours.expression), "definition")
    if other.transposes:
        return Part(mistake, "W v", r"W^{\top} v", "W v", "layout")
    names = mistake.about
    base, _, step = names[0].rpartition("_")
    name = latex_quantity(Quantity(base, int(step)))
    return Part(mistake, "", f"{name} = 0", name, "definition")
