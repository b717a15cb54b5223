r"""The claims about paths: which there are, what they add up to, and what stands in each. Proved by SymPy.

The article writes L = loss1 + loss2 + loss3 and then follows the paths of loss3 only.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from rnn_symbolic.article.points import find_wrong_sign, smallest_rational_instance
from rnn_symbolic.article.records import Check, Claim, Formula, Line, Route, Value, evidence
from rnn_symbolic.derivation import Part, common_sections
from rnn_symbolic.expressions import Expression, Quantity, quantities
from rnn_symbolic.forms import Written
from rnn_symbolic.model import Model, unroll
from rnn_symbolic.paths import Path, count_paths, graph, list_paths
from rnn_symbolic.printing import latex, latex_product
from rnn_symbolic.table import LocalRule, product_value

if TYPE_CHECKING:
    from rnn_symbolic.article.points import Instance

ARTICLE_CELL = "h = sigma(W_h @ h[t-1] + W_x @ x + b_h)\ny = sigma(W_y @ h + b_y)"
"""The article's equations, without the names a_t and o_t that the elman cell gives to the arguments of σ."""
MANY = (1, 2, 3, 10, 100, 1000)
L = Quantity("L")


def latex_name(name: str) -> str:
    """The LaTeX of a parameter's name."""
    return latex(Quantity(name))


def _is_zero(model: Model, difference: Any) -> bool:
    """Whether a SymPy expression in named quantities vanishes for every σ, ℓ and every input."""
    import sympy as sp

    from rnn_symbolic.symbols import inline

    return bool(sp.expand(inline(model, difference)) == 0)


def _total(model: Model, of: Quantity, wrt: Quantity) -> Any:
    from rnn_symbolic.symbols import total_derivative

    return total_derivative(model, of, wrt)


def _sum(paths: tuple[Path, ...]) -> Any:
    import sympy as sp

    return sp.Add(*(path.product for path in paths))


def path_line(path: Path) -> Line:
    """A path as a line of a display: its product, with the route in the margin."""
    return Line("", (latex(path.expression),), margin=Route(path.nodes).latex)


# --- the forward pass ----------------------------------------------------------------------------------------------


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
            readers=tuple(rows), steps=model.steps, fewest=min(row[2] for row in rows), most=max(row[2] for row in rows),
            parameters=counts[0], parameters_long=counts[-1], long=300,
        ),  # fmt: skip
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
    whole = _is_zero(model, _sum(list_paths(model, h3)) - _total(model, L, h3))
    steps = next(s for s in common_sections(model) if s.part is Part.STATES).steps
    lines = []
    for step in steps:
        assert isinstance(step.before, Written) and isinstance(step.after, Written)
        terms = getattr(step.after.expression, "terms", (step.after.expression,))
        pieces = tuple(latex(term) if i == 0 else f"+ {latex(term)}" for i, term in enumerate(terms))
        lines.append(Line(latex(step.before.expression), pieces))
    short = next(path for path in list_paths(model, h2) if path.loss_step == 2)
    through_h3 = [path for path in list_paths(model, h2) if path.loss_step == 3]
    rest = _is_zero(model, _total(model, L, h2) - _sum(tuple(through_h3)) - short.product)
    return Claim(
        "state-gradient",
        ("从L到h3 经过了", "--->h_3这个路径"),
        evidence(
            to_h3=counts[3], to_h2=counts[2], to_h1=counts[1], whole=whole, readers=tuple(lines),
            short=Formula(latex(short.expression)), rest_is_short=rest,
        ),  # fmt: skip
        (Check("to_h3", "=", 1), Check("whole", "=", True), Check("rest_is_short", "=", True)),
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
            listed=len(quotes), parameters=len(model.parameters), weights=len(weights),
            biases=Formula(r",\; ".join(map(latex, biases))), to_b_h=count_paths(model, biases[0]),
            to_b_y=count_paths(model, biases[1]), b_h_like_W_x=x_one, b_y_like_W_y=h_one,
        ),  # fmt: skip
        (Check("listed", "=", "parameters"),),
        (Check("listed", "=", "weights"), Check("b_h_like_W_x", "=", True), Check("b_y_like_W_y", "=", True)),
    )


def _is_argument(factors: tuple[Any, ...]) -> bool:
    return bool(factors[-1].rule is LocalRule.ARGUMENT)


def _entry_replaced(model: Model, weight: str, other: str, entry: Any) -> bool:
    """Whether each path to ``weight`` is the path of the same steps to ``other``, times what the weight is applied to."""
    from rnn_symbolic.symbols import symbol

    ours, theirs = list_paths(model, weight), list_paths(model, other)
    return len(ours) == len(theirs) and all(
        (p.loss_step, p.entry_step) == (q.loss_step, q.entry_step)
        and p.product - q.product * symbol(entry(p.entry_step)) == 0
        for p, q in zip(ours, theirs, strict=True)
    )


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
            routes=tuple((Route(p.nodes), "missing" if p in missing else "listed") for p in paths),
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
    names = ("W_x", "W_h", "W_y", "b_h", "b_y")
    point = [
        *(Line(latex_name(n), (_decimal(found.point.parameters[n]),)) for n in names),
        Line(r"(x_{1}, x_{2}, x_{3})", (_tuple(found.point.x),)),
        Line(r"(d_{1}, d_{2}, d_{3})", (_tuple(found.point.d),)),
    ]
    fraction, whole = smallest_rational_instance(), smallest_rational_instance(whole=True)
    facts: dict[str, Value] = {
        "three_is_last": _is_zero(model, _sum(three) - _total(model, Quantity("l", 3), W_x)),
        "three_is_all": _is_zero(model, _sum(three) - _total(model, L, W_x)),
        "six_is_all": _is_zero(model, _sum(paths) - _total(model, L, W_x)),
        "difference": tuple(map(path_line, others)),
        "mend_holds": _is_zero(model, _double_sum(model.steps) - _total(unroll("elman"), L, W_x)),
        "point": tuple(point),
        "values": tuple((Route(p.nodes), v) for p, v in zip(list_paths(unroll("elman"), "W_x"), found.paths, strict=True)),
        "three": found.three,
        "gradient": found.gradient,
        "confirmed": found.confirmed,
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
    )


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


def _decimal(number: float) -> str:
    return f"{number:g}"


def _tuple(numbers: tuple[float, ...]) -> str:
    return "(" + r",\; ".join(map(_decimal, numbers)) + ")"


def _instance_facts(name: str, instance: Instance) -> dict[str, Value]:
    """An instance as a point, a table of the forward pass, a table of the paths, and the two sums."""
    weights = [Line(latex_name(n), (_exact(v),)) for n, v in zip(("W_x", "W_h", "W_y"), instance.weights, strict=True)]
    inputs = [
        Line(f"({letter}_{{1}}, {letter}_{{2}}, {letter}_{{3}})", ("(" + r",\; ".join(map(_exact, row)) + ")",))
        for letter, row in (("x", instance.x), ("d", instance.d))
    ]
    routes = tuple(
        (Route(path.nodes[1:]), Formula(r" \cdot ".join(_factor(v) for v in factors)), worth)
        for path, factors, worth in zip(instance.paths, instance.factors, instance.worth, strict=True)
    )
    return {
        f"{name}_size": instance.size,
        f"{name}_point": (*weights, *inputs),
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
            equal_values=bool(equal - sigma_prime(same) ** 3 * symbol(Quantity("W_h")) ** 2 == 0),
        ),
        (Check("distinct", "=", 1), Check("slopes_from_loss", "=", "slopes_after_h3")),
        (Check("equal_values", "=", True), Check("slopes_after_h3", "=", 3), Check("recurrent", "=", 2)),
    )


# --- the other weights ----------------------------------------------------------------------------------------------


def recurrent_weight_claim() -> Claim:
    """∂L/∂W_h: the paths to W_x with h_{s−1} in the place of x_s; those that enter at step 1 carry h_0."""
    from rnn_symbolic.symbols import symbol

    model = unroll("elman")
    h_paths, x_paths = list_paths(model, "W_h"), list_paths(model, "W_x")
    replaced = all(
        p.product * symbol(Quantity("x", p.entry_step)) - q.product * symbol(Quantity("h", p.entry_step - 1)) == 0
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
            whole=_is_zero(model, _sum(h_paths) - _total(model, L, Quantity("W_h"))),
            lines=tuple(path_line(p) for p in h_paths if p not in through_h0),
        ),
        (Check("replaced", "=", True), Check("whole", "=", True)),
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
            whole=_is_zero(model, _sum(paths) - _total(model, L, Quantity("W_y"))),
            lines=tuple(map(path_line, paths)),
        ),
        (Check("whole", "=", True), Check("recurrent", "=", "recurrent_W_x")),
    )


