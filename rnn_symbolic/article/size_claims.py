r"""The claims about size: when the factor before x_1 vanishes, when it explodes, and what W_h = 100 really does."""

from __future__ import annotations

import math
from collections.abc import Iterable
from fractions import Fraction

from rnn_symbolic.article import runs
from rnn_symbolic.article.records import Check, Claim, Formula, Line, Method, Tally, Word, evidence
from rnn_symbolic.article.slopes import (
    CONSTANT_SLOPES,
    FIFTH,
    preimages,
    saturation,
    slope_at_value,
    slope_is_as_stated,
    slope_supremum,
)
from rnn_symbolic.expressions import Number, Quantity, quantities
from rnn_symbolic.model import unroll
from rnn_symbolic.paths import list_paths
from rnn_symbolic.printing import latex, latex_function
from rnn_symbolic.valuation import Amount

SMALL = Fraction(1, 10)
"""A recurrent weight far below 1."""
SMOOTH = ("logistic", "tanh", "softplus")
LAG = 100
ROUNDING = 1e-12
TOLERANCE = Fraction(1, 10**6)
"""How far a forward pass may be from 80, or 1600, for its inputs to count."""


def _name(activation: str) -> Formula:
    return Formula(latex_function(activation))


def _matrix(m: runs.Matrix) -> Formula:
    """A matrix, row by row."""
    rows = (r"(" + r",\, ".join(latex(Number(v)) for v in row) + ")" for row in m)
    return Formula("(" + r",\; ".join(rows) + ")")


def _triple(letter: str, values: Iterable[str]) -> Line:
    """(x_1, x_2, x_3) = (…, …, …), a line of its own."""
    names = r",\; ".join(f"{letter}_{{{t}}}" for t in (1, 2, 3))
    return Line(f"({names})", ("(" + r",\; ".join(values) + ")",))


def matrices_claim() -> Claim:
    """D_3 W D_2 W D_1 in whole numbers, against every way of collecting D_3 D_2 D_1 and W²."""
    example = runs.matrix_example()
    forms = ("D_{3} D_{2} D_{1} W_{h}^{2}", "W_{h} D_{3} D_{2} D_{1} W_{h}", "W_{h}^{2} D_{3} D_{2} D_{1}")
    rows = [(Formula("D_{3} W_{h} D_{2} W_{h} D_{1}"), _matrix(example.ordered))]
    rows += [(Formula(form), _matrix(found)) for form, found in zip(forms, example.collected, strict=True)]
    return Claim(
        "weight-matrices",
        ("一个词向量", "权重矩阵"),
        evidence(
            W=_matrix(example.W),
            inputs=_triple("x", (f"({a}, {b})" for a, b in example.inputs)),
            masks=_triple("D", (rf"\operatorname{{diag}}({a}, {b})" for a, b in example.masks)),
            products=tuple(rows),
            forms=len(example.collected),
            collected_equal=example.collected.count(example.ordered),
            collects=example.collects,
            measured_is_ordered=example.measured == example.ordered,
        ),
        (Check("collects", "=", True), Check("measured_is_ordered", "=", True)),
        tallies=(Tally(Method.RUN, "measured_is_ordered"),),
    )


def small_weight_claim() -> Claim:
    """W_h = 0.1: the bound γ³ W_h² for the usual activations, and an activation whose slope has no bound."""
    W_h = float(SMALL)
    rows, bounds = [], []
    for activation in ("logistic", "tanh", "relu", "softplus"):
        gamma = slope_supremum(activation)
        bound = gamma**3 * SMALL**2
        bounds.append(bound)
        measured = runs.run(activation, W_h, runs.ORDINARY).factor
        rows.append((_name(activation), gamma, 1 / gamma, bound, measured))
    proved = [slope_is_as_stated(name) for name in SMOOTH]
    steep = runs.run("exp", W_h, (2.0, 2.0, 2.0))
    large = Fraction(2)
    return Claim(
        "small-weight-vanishes",
        ("如果权重的值远小于1", "平方后再乘以激活函数的3次方肯定已经远小于1"),
        evidence(
            weight=SMALL,
            rows=tuple(rows),
            worst=max(bounds),
            bounded=len(rows),
            within=sum(abs(row[4].value) <= float(row[3]) * (1 + ROUNDING) for row in rows),
            slopes=len(proved),
            slopes_confirmed=sum(proved),
            slopes_proved=all(proved),
            steep=steep.factor.value,
            steep_steps=tuple(steep.steps),
            steep_input=2,
            large_weight=large,
            large_step=slope_supremum("logistic") * large,
            large_growth=runs.long_lag("logistic", float(large)).growth,
        ),
        (Check("worst", "<", 1), Check("steep", "<", 1)),
        (Check("worst", "<", 1), Check("slopes_proved", "=", True), Check("large_step", "<", 1)),
        (Tally(Method.SIMPLIFIED, "slopes", "slopes_confirmed"), Tally(Method.RUN, "bounded", "within")),
    )


def first_input_claim() -> Claim:
    """x_1 reaches L through ℓ_1, ℓ_2 and ℓ_3; only the last two routes pass W_h."""

    def without_recurrent(losses: str) -> int:
        paths = list_paths(unroll("elman", losses=losses), Quantity("x", 1))
        return sum(1 for p in paths if Quantity("W_h") not in quantities(p.expression))

    paths = list_paths(unroll("elman"), Quantity("x", 1))
    shares = runs.input_shares(float(SMALL))
    total = sum(abs(v.value) for v in shares)
    direct = next(p for p in paths if p.loss_step == 1)
    return Claim(
        "first-input",
        ("那么x1对L的影响就大大减小了",),
        evidence(
            paths=len(paths),
            without=without_recurrent("all"),
            last_without=without_recurrent("last"),
            direct=Formula(latex(direct.expression)),
            weight=SMALL,
            shares=tuple(
                (Formula(latex(Quantity("l", p.loss_step))), p.lag, v.value, 100 * abs(v.value) / total)
                for p, v in zip(paths, shares, strict=True)
            ),
            direct_share=100 * abs(shares[-1].value) / total,
        ),
        (Check("without", "=", 0),),
        (Check("last_without", "=", 0),),
    )


def long_text_claim(seed: int = 0) -> Claim:
    """∂h_{t+100}/∂h_t for five networks, and for a rotation in exact numbers."""
    table = (("logistic", 1.0), ("tanh", 1.0), ("identity", 0.99), ("identity", 1.0), ("relu", 1.0))
    found = {pair: runs.long_lag(*pair, LAG, seed) for pair in table}
    W, _, gram = runs.rotation_power(LAG)
    bound = slope_supremum("logistic") ** LAG
    return Claim(
        "long-text",
        ("所有RNN不能够处理很长文本的原因",),
        evidence(
            lag=LAG,
            rows=tuple((_name(a), W_h, found[a, W_h].growth, found[a, W_h].back) for a, W_h in table),
            kept=found["relu", 1.0].back.value,
            forgotten=found["logistic", 1.0].back.value,
            bound=Amount(float(bound), _log10(bound), 1),
            bound_value=float(bound),
            rotation=_matrix(W),
            rotation_keeps=gram == runs.diagonal(1, 1),
        ),
        (Check("kept", "<", 1), Check("rotation_keeps", "=", False)),
        (Check("forgotten", "<", "bound_value"),),
    )


def _log10(number: Fraction) -> float:
    return math.log10(number.numerator) - math.log10(number.denominator)


def large_weight_claim() -> Claim:
    """One size |W_h| = 100, five networks; and why the smooth activations saturate: the maximum of σ'(w y) w over w."""
    cases = runs.five_cases()
    logistic, tanh = saturation("logistic"), saturation("tanh")
    stationary = [logistic.stationary, tanh.stationary]
    scan = [10 ** (k / 10) for k in range(-20, 31)]
    least_state = Fraction(1, 2)
    bound = logistic.scaled / float(least_state)
    rows = tuple(
        (Word(c.code), c.W_h, c.three.factor, c.long.growth, Word("explodes" if c.explodes else "vanishes"))
        for c in cases
    )
    fixed = cases[-1]
    decided = sum(c.explodes == (min(map(abs, c.long.steps)) > 1) for c in cases)
    return Claim(
        "large-weight-explodes",
        ("梯度爆炸是因为", "如果Wh很大比如说是100"),
        evidence(
            cases=len(cases),
            exploding=sum(c.explodes for c in cases),
            rows=rows,
            long=runs.LONG,
            decided=decided,
            condition_decides=decided == len(cases),
            fixed_weight=fixed.W_h,
            fixed_point=fixed.three.states[0],
            fixed_step=fixed.three.steps[0],
            maxima=(
                (_name("logistic"), Formula(f"{logistic.condition} = 1"), logistic.root, logistic.scaled),
                (_name("tanh"), Formula(f"{tanh.condition} = 1"), tanh.root, tanh.scaled),
            ),
            maximum_logistic=logistic.scaled,
            maximum_tanh=tanh.scaled,
            maximised=len(stationary),
            stationary_ones=sum(stationary),
            stationary=all(stationary),
            least_state=least_state,
            bound=bound,
            scanned=len(scan),
            lowest=scan[0],
            highest=scan[-1],
            scan_maximum=runs.saturated_maximum(scan),
        ),
        (Check("exploding", "=", "cases"),),
        (
            Check("condition_decides", "=", True),
            Check("stationary", "=", True),
            Check("scan_maximum", "<", "bound"),
        ),
        (
            Tally(Method.SIMPLIFIED, "maximised", "stationary_ones"),
            Tally(Method.RUN, "cases", "decided"),
            Tally(Method.SEARCHED, "scanned"),
        ),
    )


def literal_sigma_claim() -> Claim:
    """The words "σ is 0.2" taken at its word: the slope where σ = 0.2 is another number."""
    hundred = Fraction(runs.HUNDRED)
    logistic, tanh = (slope_at_value(name, FIFTH) for name in ("logistic", "tanh"))
    return Claim(
        "activation-is-0.2",
        ("激活函数是0.2",),
        evidence(
            stated=FIFTH,
            meant=FIFTH**3 * hundred**2,
            slope_logistic=logistic,
            literal_logistic=logistic**3 * hundred**2,
            slope_tanh=tanh,
            literal_tanh=tanh**3 * hundred**2,
            slopes_proved=all(map(slope_is_as_stated, SMOOTH)),
        ),
        (Check("literal_logistic", "=", "meant"), Check("literal_tanh", "=", "meant")),
    )


def eighty_claim() -> Claim:
    """0.2³ · 100² = 80: which activations can have σ' = 0.2, at which inputs, and how finely they are tuned."""
    activations = ("logistic", "tanh", "softplus", *CONSTANT_SLOPES)
    points = {name: preimages(name) for name in activations}
    rows = tuple(
        (
            _name(name),
            len(found),
            Formula(r",\; ".join(p.exact for p in found)),
            Formula(r",\; ".join(f"{p.number:.6g}" for p in found)),
        )
        for name, found in points.items()
    )
    product = FIFTH**3 * Fraction(runs.HUNDRED) ** 2
    tables = {name: runs.realisations(name) for name in ("logistic", "tanh")}
    every = [r for found in tables.values() for r in found]
    moved = [value for r in every for value in (r.moved_down, r.moved_up)]

    def table(name: str) -> tuple[tuple[object, ...], ...]:
        return tuple(
            (
                Formula(" ".join("+" if s > 0 else "-" for s in r.signs)),
                *(round(v, 4) for v in r.x),
                r.factor,
                r.moved_down,
                r.moved_up,
            )
            for r in tables[name]
        )

    return Claim(
        "eighty",
        ("最后的结果就是", "那么就是说x1对整体的影响可以达到80这么多"),
        evidence(
            product=product,
            preimages=rows,
            impossible=sum(1 for found in points.values() if not found),
            triples=len(tables["logistic"]),
            logistic=table("logistic"),
            tanh=table("tanh"),
            sequences=len(every),
            reached=sum(abs(r.factor - float(product)) < TOLERANCE for r in every),
            worst_error=max(abs(r.factor - float(product)) for r in every),
            least_moved=min(moved),
            greatest_moved=max(moved),
            move=Fraction(1, 10),
        ),
        (Check("product", "=", 80), Check("impossible", "=", 0)),
        (Check("product", "=", 80), Check("triples", "=", 8), Check("worst_error", "<", TOLERANCE)),
        (Tally(Method.RUN, "sequences", "reached"),),
    )


def one_more_step_claim() -> Claim:
    """80 → 1600: at σ' = 0.2 and W_h = 100 each step multiplies by 20."""
    hundred = Fraction(runs.HUNDRED)
    before, after = FIFTH**3 * hundred**2, FIFTH**4 * hundred**3
    runs_of_four = [r for name in ("logistic", "tanh") for r in runs.realisations(name, steps=4)]
    return Claim(
        "one-more-step",
        ("如果再传递一层", "就更大了"),
        evidence(
            before=before,
            after=after,
            step=FIFTH * hundred,
            sequences=len(runs_of_four),
            reached=sum(abs(r.factor - float(after)) < TOLERANCE for r in runs_of_four),
            worst_error=max(abs(r.factor - float(after)) for r in runs_of_four),
        ),
        (Check("after", ">", "before"), Check("worst_error", "<", TOLERANCE)),
        tallies=(Tally(Method.RUN, "sequences", "reached"),),
    )
