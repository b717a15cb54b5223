r"""The claims before the paths: the forward pass, the loss, the first backward step, and what is asked for."""

from __future__ import annotations

from typing import Any

from rnn_symbolic.article.proofs import L, is_zero, path_sum, total
from rnn_symbolic.article.records import Check, Claim, Formula, Line, Method, Tally, evidence
from rnn_symbolic.derivation import common_sections
from rnn_symbolic.expressions import Quantity, quantities
from rnn_symbolic.forms import Written
from rnn_symbolic.model import Model, unroll
from rnn_symbolic.paths import count_paths, graph, list_paths
from rnn_symbolic.printing import latex
from rnn_symbolic.sections import Part, Plan
from rnn_symbolic.table import LocalRule

ARTICLE_CELL = "h = sigma(W_h @ h[t-1] + W_x @ x + b_h)\ny = sigma(W_y @ h + b_y)"
"""The article's equations, without the names a_t and o_t that the elman cell gives to the arguments of σ."""


def forward_claim() -> Claim:
    """The article's six equations against the elman cell, unrolled and inlined."""
    from rnn_symbolic.symbols import inline, symbol

    ours, theirs = unroll("elman"), unroll(ARTICLE_CELL)
    zero = 0
    lines = []
    names = [f"{name}_{t}" for t in (1, 2, 3) for name in "hy"]
    for name in names:
        target = theirs.resolve(name)
        difference = inline(ours, symbol(target)) - inline(theirs, symbol(target))
        zero += bool(difference.expand() == 0)
        equation = theirs.equation_of(target)
        assert equation is not None
        lines.append(Line(latex(target), (latex(equation.expression),)))
    return Claim(
        "forward-equations",
        ("h₁ = σ(W_h · h₀ + W_x · x₁ + b_h)", "y₁ = σ(W_y · h₁ + b_y)"),
        evidence(lines=tuple(lines), compared=len(names), identical=zero),
        (Check("identical", "=", "compared"),),
        tallies=(Tally(Method.EXPANDED, "compared", "identical"),),
    )


def shared_claim() -> Claim:
    """Which equations mention each parameter, and how many parameters there are for several T."""
    model = unroll("elman")
    rows = []
    for parameter in model.parameters:
        readers = [e.target for e in model.equations if parameter in quantities(e.expression)]
        rows.append((Formula(latex(parameter)), Formula(r",\; ".join(map(latex, readers))), len(readers)))
    counts = []
    for T in (3, 30, 300):
        mentioned = {q for e in unroll("elman", steps=T).equations for q in quantities(e.expression)}
        counts.append(sum(1 for q in mentioned if q.step is None))
    return Claim(
        "shared-weights",
        ("每次传播使用的输入的权重层是同一个权重",),
        evidence(
            readers=tuple(rows),
            steps=model.steps,
            fewest=min(row[2] for row in rows),
            most=max(row[2] for row in rows),
            parameters=counts[0],
            parameters_long=counts[-1],
            long=300,
        ),
        (
            Check("fewest", "=", "steps"),
            Check("most", "=", "steps"),
            Check("parameters", "=", "parameters_long"),
        ),
    )


def total_loss_claim() -> Claim:
    """L as the sum of the losses of all steps, and how many paths each loss has to W_x."""
    model = unroll("elman")
    by_loss = graph(model, Quantity("W_x")).count_by_loss()
    rows = tuple((Formula(latex(Quantity("l", t))), by_loss[t]) for t in sorted(by_loss))
    return Claim(
        "total-loss",
        ("loss1 + loss2 + loss3 =L",),
        evidence(
            line=Line(latex(L), (latex(model.total.expression),)),
            losses=len(tuple(quantities(model.total.expression))),
            steps=model.steps,
            by_loss=rows,
            paths=sum(by_loss.values()),
        ),
        (Check("losses", "=", "steps"),),
    )


# --- ∂L/∂h_t and the list of gradients ------------------------------------------------------------------------------


def state_gradient_claim() -> Claim:
    """The one path to h_3 is all of ∂L/∂h_3; the same route is not all of ∂L/∂h_2 and ∂L/∂h_1."""
    model = unroll("elman")
    counts = {t: count_paths(model, Quantity("h", t)) for t in (1, 2, 3)}
    h3, h2 = Quantity("h", 3), Quantity("h", 2)
    whole = is_zero(model, path_sum(list_paths(model, h3)) - total(model, L, h3))
    steps = next(s for s in common_sections(Plan(model)) if s.part is Part.STATES).steps
    lines = []
    for step in steps:
        assert isinstance(step.before, Written) and isinstance(step.after, Written)
        terms = getattr(step.after.expression, "terms", (step.after.expression,))
        pieces = tuple(latex(term) if i == 0 else f"+ {latex(term)}" for i, term in enumerate(terms))
        lines.append(Line(latex(step.before.expression), pieces))
    short = next(path for path in list_paths(model, h2) if path.loss_step == 2)
    through_h3 = [path for path in list_paths(model, h2) if path.loss_step == 3]
    rest = is_zero(model, total(model, L, h2) - path_sum(tuple(through_h3)) - short.product)
    return Claim(
        "state-gradient",
        ("从L到h3 经过了", "--->h_3这个路径"),
        evidence(
            to_h3=counts[3],
            to_h2=counts[2],
            to_h1=counts[1],
            whole=whole,
            readers=tuple(lines),
            short=Formula(latex(short.expression)),
            rest_is_short=rest,
        ),
        (Check("to_h3", "=", 1), Check("whole", "=", True), Check("rest_is_short", "=", True)),
        tallies=(Tally(Method.EXPANDED, "whole"), Tally(Method.EXPANDED, "rest_is_short")),
    )


def three_gradients_claim() -> Claim:
    """The article asks for three gradients; the equations have two parameters more, the biases."""
    quotes = ("第一个是误差对输入层权重的导数", "第二个是误差对隐藏层权重的导数", "第三个是误差对预测层权重的导数")
    model = unroll("elman")
    weights = {
        edge.tail for edge in model.table if not edge.tail.index and edge.factors[-1:] and _is_argument(edge.factors)
    }
    biases = [p for p in model.parameters if p not in weights]
    x_one = _entry_replaced(model, "W_x", "b_h", lambda t: Quantity("x", t))
    h_one = _entry_replaced(model, "W_y", "b_y", lambda t: Quantity("h", t))
    return Claim(
        "three-gradients",
        quotes,
        evidence(
            listed=len(quotes),
            parameters=len(model.parameters),
            weights=len(weights),
            biases=Formula(r",\; ".join(map(latex, biases))),
            to_b_h=count_paths(model, biases[0]),
            to_b_y=count_paths(model, biases[1]),
            b_h_like_W_x=x_one,
            b_y_like_W_y=h_one,
        ),
        (Check("listed", "=", "parameters"),),
        (Check("listed", "=", "weights"), Check("b_h_like_W_x", "=", True), Check("b_y_like_W_y", "=", True)),
        tallies=(Tally(Method.EXPANDED, "b_h_like_W_x"), Tally(Method.EXPANDED, "b_y_like_W_y")),
    )


def _is_argument(factors: tuple[Any, ...]) -> bool:
    return bool(factors[-1].rule is LocalRule.ARGUMENT)


def _entry_replaced(model: Model, weight: str, other: str, entry: Any) -> bool:
    """Whether each path to ``weight`` is the same path to ``other``, times what the weight is applied to."""
    from rnn_symbolic.symbols import symbol

    ours, theirs = list_paths(model, weight), list_paths(model, other)
    return len(ours) == len(theirs) and all(
        (p.loss_step, p.entry_step) == (q.loss_step, q.entry_step)
        and (p.product - q.product * symbol(entry(p.entry_step))).expand() == 0
        for p, q in zip(ours, theirs, strict=True)
    )
