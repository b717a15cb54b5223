r"""The claims about paths: which there are, what they add up to, and what stands in each. Proved by SymPy.

The article writes L = loss1 + loss2 + loss3 and then follows the paths of loss3 only.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from rnn_symbolic.article.points import find_wrong_sign, forward_sums, smallest_rational_instance
from rnn_symbolic.article.proofs import L, is_zero, path_line, path_sum, total
from rnn_symbolic.article.records import Check, Claim, Formula, Method, Route, Tally, Value, Word, evidence
from rnn_symbolic.expressions import Expression, Quantity, quantities
from rnn_symbolic.graph import Path
from rnn_symbolic.model import unroll
from rnn_symbolic.paths import count_paths, list_paths
from rnn_symbolic.printing import latex, latex_product
from rnn_symbolic.table import LocalRule, product_value

if TYPE_CHECKING:
    from rnn_symbolic.article.points import Instance

MANY = (1, 2, 3, 10, 100, 1000)

# --- three paths of six ---------------------------------------------------------------------------------------------

LISTED = (
    "--->y3 --->h3 --->Wx",
    "--->y3 --->h3 --->h2 --->Wx",
    "--->y3 --->h3 --->h2 --->h1 --->Wx",
)
"""The article's three paths, as it writes them behind "L"."""


def nodes_of(quote: str) -> tuple[str, ...]:
    """The nodes of a path as the article writes it.

    >>> nodes_of("--->y3 --->h3 --->Wx")
    ('y_3', 'h_3', 'W_x')
    """
    return tuple(re.sub(r"^(.)_?(.+)$", r"\1_\2", node.strip()) for node in quote.split("--->") if node.strip())


def three_paths_claim(losses: str = "all") -> Claim:
    """The paths that the article lists against those that the program enumerates."""
    model = unroll("elman", losses=losses)
    listed = {nodes_of(quote) for quote in LISTED}
    paths = list_paths(model, "W_x")
    missing = tuple(path for path in paths if path.route[2:] not in listed)
    table = []
    for T in MANY:
        all_, last = (count_paths(unroll("elman", steps=T, losses=which), "W_x") for which in ("all", "last"))
        table.append((T, last, all_, last / all_))
    return Claim(
        "three-paths",
        LISTED,
        evidence(
            listed=len(listed),
            paths=len(paths),
            real=sum(1 for path in paths if path.route[2:] in listed),
            absent=len(missing),
            routes=tuple((Route(p.nodes), Word("missing" if p in missing else "listed")) for p in paths),
            missing=tuple(Route(p.nodes) for p in missing),
            lines=tuple(map(path_line, missing)),
            counts=tuple(table),
            formula_holds=all(row[2] == row[0] * (row[0] + 1) // 2 and row[1] == row[0] for row in table),
        ),
        (Check("real", "=", "listed"), Check("paths", "=", "listed")),
    )


def sum_claim(seed: int = 0, losses: str = "all") -> Claim:
    """Σ over the three paths is ∂ℓ_3/∂W_x, for every σ and ℓ; that it is ∂L/∂W_x fails, in numbers even by its sign."""
    model = unroll("elman", losses=losses)
    W_x = Quantity("W_x")
    paths = list_paths(model, "W_x")
    three = tuple(path for path in paths if path.loss_step == 3)
    others = tuple(path for path in paths if path.loss_step != 3)
    found = find_wrong_sign(seed)
    fraction, whole = smallest_rational_instance(), smallest_rational_instance(whole=True)
    facts: dict[str, Value] = {
        "three_is_last": is_zero(model, path_sum(three) - total(model, Quantity("l", 3), W_x)),
        "three_is_all": is_zero(model, path_sum(three) - total(model, L, W_x)),
        "six_is_all": is_zero(model, path_sum(paths) - total(model, L, W_x)),
        "difference": tuple(map(path_line, others)),
        "mend_holds": is_zero(model, _double_sum(model.steps) - total(unroll("elman"), L, W_x)),
        "point": found.point,
        "values": tuple((Route(p.nodes), v) for p, v in zip(_six(), found.paths, strict=True)),
        "three": found.three,
        "gradient": found.gradient,
        "confirmed": found.confirmed,
        "confirms": abs(found.confirmed - found.gradient) < 1e-12 * abs(found.gradient),
        "tried": found.tried,
        "opposite": found.opposite,
        **_instance_facts("fraction", fraction),
        **_instance_facts("whole", whole),
    }
    return Claim(
        "three-path-sum",
        ("再加上第三条路径的导数就是L对Wx的求导",),
        evidence(**facts),
        (Check("three_is_last", "=", True), Check("three_is_all", "=", True)),
        tallies=(
            *(Tally(Method.EXPANDED, name) for name in ("three_is_last", "three_is_all", "six_is_all", "mend_holds")),
            *(Tally(Method.RUN, name) for name in ("confirms", "fraction_confirms", "whole_confirms")),
            *(Tally(Method.SEARCHED, name) for name in ("tried", "fraction_tried", "whole_tried")),
        ),
    )


def _six() -> tuple[Path, ...]:
    return list_paths(unroll("elman"), "W_x")


def _double_sum(T: int) -> Any:
    """Σ_t Σ_{s≤t} ℓ_t'(y_t) σ'(o_t) W_y (Π_{j=s+1..t} σ'(a_j) W_h) σ'(a_s) x_s, written down without the table."""
    import sympy as sp

    from rnn_symbolic.symbols import sigma_prime, step_loss_prime, symbol

    def at(name: str, step: int | None = None) -> Any:
        return symbol(Quantity(name, step))

    terms = []
    for t in range(1, T + 1):
        for s in range(1, t + 1):
            back = sp.Mul(*(sigma_prime(at("a", j)) * at("W_h") for j in range(s + 1, t + 1)))
            start = step_loss_prime(sp.Integer(t), at("y", t)) * sigma_prime(at("o", t)) * at("W_y")
            terms.append(start * back * sigma_prime(at("a", s)) * at("x", s))
    return sp.Add(*terms)


def _instance_facts(name: str, instance: Instance) -> dict[str, Value]:
    """An instance as a point, a table of the forward pass, a table of the paths, and the two sums."""
    routes = tuple(
        (Route(path.nodes[1:]), Formula(r" \cdot ".join(_factor(v) for v in factors)), worth)
        for path, factors, worth in zip(instance.paths, instance.factors, instance.worth, strict=True)
    )
    return {
        f"{name}_size": instance.size,
        f"{name}_tried": instance.tried,
        f"{name}_confirms": forward_sums(instance.point) == (instance.three, instance.gradient),
        f"{name}_point": instance.point,
        f"{name}_forward": tuple((t, *row) for t, row in enumerate(instance.values, 1)),
        f"{name}_paths": routes,
        f"{name}_three": instance.three,
        f"{name}_gradient": instance.gradient,
    }


def _exact(number: Any) -> str:
    from rnn_symbolic.expressions import Number

    return latex(Number(number))


def _factor(number: Any) -> str:
    text = _exact(number)
    return f"({text})" if text.startswith("-") else text


# --- the factor -----------------------------------------------------------------------------------------------------


def factor_claim(seed: int = 0) -> Claim:
    """σ'³ W_h²: three values written as one, seen from h_3; from L there are a fourth σ' and W_y."""
    import sympy as sp

    from rnn_symbolic.symbols import read, sigma_prime, symbol

    model = unroll("elman")
    path = next(p for p in list_paths(model, "W_x") if p.lag == 2)
    inner = [f.value for leg in path.legs[3:] for f in leg.factors if f.rule is not LocalRule.ARGUMENT]
    before = [f.value for f in path.factors if f.rule is not LocalRule.ARGUMENT]

    def slopes(factors: list[Expression]) -> int:
        return sum(1 for f in factors if getattr(f, "order", 0) == 1 and getattr(f, "function", "") == "sigma")

    same = sp.Symbol("a")
    factor = read(product_value([f for leg in path.legs[3:] for f in leg.factors if f.rule is not LocalRule.ARGUMENT]))
    equal = factor.xreplace({symbol(Quantity("a", t)): same for t in (1, 2, 3)})
    found = find_wrong_sign(seed)
    product = found.slopes[0] * found.slopes[1] * found.slopes[2]
    return Claim(
        "cube-and-square",
        ("激活函数的导数的三次方乘以隐藏层权重Wh的平方",),
        evidence(
            factor=Formula(latex_product(tuple(inner))),
            from_loss=Formula(latex_product(tuple(before))),
            slopes_after_h3=slopes(inner),
            slopes_from_loss=slopes(before),
            recurrent=inner.count(Quantity("W_h")),
            output_weights=before.count(Quantity("W_y")),
            slopes=tuple((Formula(latex(Quantity("a", t))), v) for t, v in enumerate(found.slopes, 1)),
            distinct=len(set(found.slopes)),
            product=product,
            typical=product ** (1 / 3),
            equal_values=bool((equal - sigma_prime(same) ** 3 * symbol(Quantity("W_h")) ** 2).expand() == 0),
        ),
        (Check("distinct", "=", 1), Check("slopes_from_loss", "=", "slopes_after_h3")),
        (Check("equal_values", "=", True), Check("slopes_after_h3", "=", 3), Check("recurrent", "=", 2)),
        (Tally(Method.EXPANDED, "equal_values"),),
    )


# --- the other weights ----------------------------------------------------------------------------------------------


def recurrent_weight_claim() -> Claim:
    """∂L/∂W_h: the paths to W_x with h_{s−1} in the place of x_s; those that enter at step 1 carry h_0."""
    from rnn_symbolic.symbols import symbol

    model = unroll("elman")
    h_paths, x_paths = list_paths(model, "W_h"), list_paths(model, "W_x")
    replaced = all(
        (p.product * symbol(Quantity("x", p.entry_step)) - q.product * symbol(Quantity("h", p.entry_step - 1))).expand()
        == 0
        for p, q in zip(h_paths, x_paths, strict=True)
    )
    through_h0 = [p for p in h_paths if Quantity("h", 0) in quantities(p.expression)]
    return Claim(
        "recurrent-weight",
        ("还有L对Wh的导数",),
        evidence(
            paths=len(h_paths),
            through_h0=len(through_h0),
            left=len(h_paths) - len(through_h0),
            replaced=replaced,
            whole=is_zero(model, path_sum(h_paths) - total(model, L, Quantity("W_h"))),
            lines=tuple(path_line(p) for p in h_paths if p not in through_h0),
        ),
        (Check("replaced", "=", True), Check("whole", "=", True)),
        tallies=(Tally(Method.EXPANDED, "replaced"), Tally(Method.EXPANDED, "whole")),
    )


def output_weight_claim() -> Claim:
    """∂L/∂W_y: one path per step, and no W_h in any of them."""
    model = unroll("elman")
    paths = list_paths(model, "W_y")
    recurrent = [sum(1 for q in quantities(p.expression) if q == Quantity("W_h")) for p in paths]
    likewise = [sum(1 for q in quantities(p.expression) if q == Quantity("W_h")) for p in list_paths(model, "W_x")]
    return Claim(
        "output-weight",
        ("L对Wy的导数都是同样推导的",),
        evidence(
            paths=len(paths),
            of_last=sum(1 for p in paths if p.loss_step == 3),
            recurrent=max(recurrent),
            recurrent_W_x=max(likewise),
            whole=is_zero(model, path_sum(paths) - total(model, L, Quantity("W_y"))),
            lines=tuple(map(path_line, paths)),
        ),
        (Check("whole", "=", True), Check("recurrent", "=", "recurrent_W_x")),
        tallies=(Tally(Method.EXPANDED, "whole"),),
    )
