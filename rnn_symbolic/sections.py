r"""The sections of a derivation: each a list of lines, in the order in which a reader wants them.

A section is made from the table alone. `Plan` says how: at which granularity, in which layout, whole or elided.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import Enum
from itertools import islice
from typing import Any

from rnn_symbolic.blocks import StateBlocks
from rnn_symbolic.errors import InputError
from rnn_symbolic.expressions import (
    ZERO,
    Add,
    Derivative,
    Expression,
    Quantity,
    add,
    chain,
    joined,
    multiply,
    walk,
)
from rnn_symbolic.forms import (
    Oriented,
    PathProduct,
    PathSum,
    Rule,
    Step,
    Written,
    collect,
    orient,
    recurrent_patterns,
    total,
    with_powers,
)
from rnn_symbolic.frozen import frozen
from rnn_symbolic.graph import Graph, Leg, Path, state_blocks
from rnn_symbolic.jacobians import oriented
from rnn_symbolic.model import Model
from rnn_symbolic.paths import graph, in_digits, iter_paths
from rnn_symbolic.table import Edge, LocalRule, product_value

ELIDE_ABOVE = 6
"""Sums and products over more steps than this are elided unless the whole is asked for."""
MAX_ALTERNATIVES = 4
"""When elided, how many paths of one loss step and one short lag are shown."""


class Part(Enum):
    """The sections of a derivation, in order; each value is the section's stable code."""

    FORWARD = "forward"
    IMMEDIATE = "immediate"
    BLOCKS = "blocks"
    OUTPUTS = "outputs"
    STATES = "states"
    ENTRIES = "entries"
    PATHS = "paths"
    SUM = "sum"
    COLLECTED = "collected"
    ADJOINT = "adjoint"


@frozen
class Section:
    """A section: its steps, and for the sections of one goal that goal."""

    part: Part
    steps: tuple[Step, ...]
    goal: Quantity | None = None

    def __str__(self) -> str:
        return "\n".join(map(str, self.steps))

    def _repr_latex_(self) -> str:
        from rnn_symbolic.render.formulas import form_latex

        lines = (f"{form_latex(step.before)} &= {form_latex(step.after)}" for step in self.steps)
        return "$\\displaystyle \\begin{aligned} " + r" \\[4pt] ".join(lines) + " \\end{aligned}$"


@frozen
class Plan:
    """How a model is derived: what a path visits, in which layout a gradient stands, and whether all is shown."""

    model: Model
    granularity: str = "state"
    layout: str = ""  # of gradients of L, in matrix form
    whole: bool = False

    def graph(self, goal: Quantity) -> Graph:
        """The graph of paths to a goal, at this granularity."""
        return graph(self.model, goal, self.granularity)

    def total(self, q: Quantity) -> Written:
        """∂L/∂q or ∇_q L, named."""
        return total(q, self.layout, apart=q.name.startswith("("))

    def row(self, factors: Sequence[Expression], goal: Quantity) -> Expression:
        """A product that begins with ∂L/∂something, in the layout."""
        if self.layout:
            return oriented(tuple(factors), self.model.is_matrix(goal), self.layout, self.model.names)
        small = any(isinstance(f, Derivative) and f.of.name.startswith("(") for f in factors)
        return (chain if small else multiply)(*factors)

    def shown(self, steps: Sequence[int]) -> tuple[int, ...]:
        """The steps of a table that are kept."""
        return shown_steps(steps, self.whole)


def shown_steps(steps: Sequence[int], whole: bool) -> tuple[int, ...]:
    """The steps of a table that are kept: all up to `ELIDE_ABOVE`, otherwise the first two and the last.

    >>> shown_steps(range(1, 101), whole=False)
    (1, 2, 100)
    """
    if whole or len(steps) <= ELIDE_ABOVE:
        return tuple(steps)
    return (steps[0], steps[1], steps[-1])


# --- sections that all gradients share -----------------------------------------------------------------------------


def forward_section(plan: Plan) -> Section:
    """The equations of the unrolled model; at granularity "step" those of the generic step, once."""
    model = plan.model
    steps = []
    if plan.granularity == "step":
        for definition in model.definitions:
            rule = Rule.STEP_LOSS if definition.target.name == "l" else Rule.CELL_EQUATION
            steps.append(Step(rule, Written(definition.target), Written(definition.expression), (), definition.target))
    else:
        for t in plan.shown(range(1, model.steps + 1)):
            for definition in model.definitions:
                equation = model.equation_of(definition.target.at(t))
                assert equation is not None
                q = equation.target
                if q.name == "l" and t not in model.loss_steps:
                    continue  # only the last step is scored
                rule = Rule.STEP_LOSS if q.name == "l" else Rule.CELL_EQUATION
                steps.append(Step(rule, Written(q), Written(equation.expression), subject=q))
    rule = {"last": Rule.LAST_LOSS, "mean": Rule.MEAN_LOSS}.get(model.losses, Rule.TOTAL_LOSS)
    last = Step(rule, Written(model.total.target), Written(model.total.expression), subject=model.total.target)
    return Section(Part.FORWARD, (*steps, last))


_RULE_OF_FACTOR = {
    LocalRule.NUMBER: Rule.CONSTANT_MULTIPLE,
    LocalRule.MATRIX: Rule.WEIGHT,
    LocalRule.ARGUMENT: Rule.WEIGHTED,
    LocalRule.COEFFICIENT: Rule.PRODUCT,
    LocalRule.SLOPE: Rule.ACTIVATION,
    LocalRule.LOSS_SLOPE: Rule.LOSS_SLOPE,
    LocalRule.POWER: Rule.POWER,
}
_MATRIX_RULES = {
    LocalRule.NUMBER: Rule.CONSTANT_MULTIPLE,
    LocalRule.MATRIX: Rule.MATRIX,
    LocalRule.ARGUMENT: Rule.STACKED,
    LocalRule.COEFFICIENT: Rule.ELEMENTWISE,
    LocalRule.SLOPE: Rule.DIAGONAL,
    LocalRule.POWER: Rule.DIAGONAL,
    LocalRule.LOSS_SLOPE: Rule.LOSS_ROW,
    LocalRule.IDENTITY: Rule.IDENTITY,
    LocalRule.SOFTMAX: Rule.SOFTMAX,
    LocalRule.SUMMED: Rule.SUM_ROW,
}


def rule_of_row(edge: Edge) -> Rule:
    """The rule of a row: of its only factor; of several, what the outermost operation is."""
    if len(edge.terms) > 1:
        return Rule.SEVERAL_MENTIONS
    factors = edge.terms[0]
    rules = [factor.rule for factor in factors]
    if factors and factors[0].shape is not None:
        return _rule_of_matrix_row(edge)
    if len(rules) > 1 and rules[0] is LocalRule.NUMBER:  # −(W x) by x; but 2u, of u², is the power rule's own
        return Rule.POWER if rules[1:] == [LocalRule.POWER] else Rule.NESTED
    if not rules:
        return Rule.ADDEND
    if rules[0] is LocalRule.COEFFICIENT:  # o tanh(c) by c: a product first, then the slope of its factor
        return Rule.PRODUCT
    return _RULE_OF_FACTOR[rules[0]] if len(rules) == 1 else Rule.NESTED


def _rule_of_matrix_row(edge: Edge) -> Rule:
    rules = [factor.rule for factor in edge.terms[0]]
    plain = [rule for rule in rules if rule is not LocalRule.NUMBER]
    if len(rules) > 1 and plain == [LocalRule.IDENTITY]:  # c u by u: c I; −u: −I
        return Rule.CONSTANT_MULTIPLE
    if LocalRule.SUMMED in rules:
        return Rule.SUM_ROW
    if plain and all(rule is LocalRule.COEFFICIENT for rule in plain):
        column = edge.terms[0][-1].shape is not None and edge.terms[0][-1].shape[1] == "1"
        return Rule.COLUMN if column else Rule.ELEMENTWISE
    return _MATRIX_RULES[rules[0]] if len(rules) == 1 else Rule.NESTED


def immediate_section(plan: Plan) -> Section:
    """The table: the immediate partial of each equation by each of its operands."""
    model = plan.model
    rows = [
        Step(
            rule_of_row(edge),
            Written(Derivative(edge.head, edge.tail, immediate=True, stacked=model.is_matrix(edge.tail))),
            Written(edge.value),
            subject=edge.head,
        )
        for edge in model.table
    ]
    if model.collapse is not None:
        rows.append(_collapse_step(model))
    return Section(Part.IMMEDIATE, tuple(rows))


_COLLAPSE_RULES = {
    "softmax": (Rule.ALONG_PATH, Rule.DISTRIBUTE, Rule.DIVIDE_OUT, Rule.FACTOR_OUT, Rule.TARGETS_SUM_TO_ONE),
    "logistic": (Rule.ALONG_PATH, Rule.SLOPE_BY_VALUE, Rule.DIVIDE_OUT, Rule.FACTOR_OUT),
}


def _collapse_step(model: Model) -> Step:
    """∂⁺ℓ_t/∂y_t · ∂⁺y_t/∂o_t = y_t − d_t, in small moves."""
    collapse = model.collapse
    assert collapse is not None
    y = model.definition["y"].target
    rate = Derivative(Quantity("l", 0, "t"), y, True)
    o = collapse.argument
    output = Derivative(y, o, True) if isinstance(o, Quantity) else product_value(collapse.output_rate)
    join = chain if model.form == "matrix" else multiply
    before, after = Written(join(rate, output)), Written(collapse.result.value)
    lines = [before, *map(Written, collapse.lines), after]
    rules = _COLLAPSE_RULES[collapse.output]
    substeps = tuple(Step(rule, a, b, subject=y) for rule, a, b in zip(rules, lines, lines[1:], strict=False) if a != b)
    rule = Rule.SOFTMAX_CROSS_ENTROPY if collapse.output == "softmax" else Rule.LOGISTIC_CROSS_ENTROPY
    return Step(rule, before, after, substeps if collapse.lines else (), subject=y)


def block_section(plan: Plan) -> Section:
    """∂ℓ_t/∂S_t and the Jacobian of the joint state by its blocks, then each block once."""
    if plan.granularity != "step" or not plan.model.cell.states:
        return Section(Part.BLOCKS, ())
    blocks = state_blocks(plan.model)
    derivatives = [(head, lag) for head in ("l", blocks.joint) for lag in blocks.lags(head)]
    return Section(Part.BLOCKS, tuple(_block_steps(blocks, [(head, blocks.joint, lag) for head, lag in derivatives])))


def entry_section(plan: Plan, g: Graph) -> Section:
    """How the goal enters the joint state: ∂S_t/∂a_t and so on, each block once."""
    if plan.granularity != "step" or not plan.model.cell.states:
        return Section(Part.ENTRIES, (), g.goal)
    blocks = state_blocks(plan.model)
    named = [
        (factor.value.of.name, factor.value.wrt.name, -(factor.value.wrt.step or 0))
        for block in g.entry[blocks.joint]
        for factor in block.factors
        if factor.rule is LocalRule.BLOCK and isinstance(factor.value, Derivative)
    ]
    known = {(p, q, lag) for p in blocks.states for q in blocks.states for lag in blocks.lags(blocks.joint)}
    known.add((blocks.joint, blocks.joint, 1))
    return Section(Part.ENTRIES, tuple(_block_steps(blocks, named, known)), g.goal)


def _block_steps(
    blocks: StateBlocks, named: Sequence[tuple[str, str, int]], known: set[tuple[str, str, int]] | None = None
) -> Iterator[Step]:
    """The joint derivatives by their blocks, then every block that is not ``known``, once."""
    seen = set(known or ())
    for head, tail, lag in dict.fromkeys(named):
        layout = blocks.layout(head, tail, lag)
        if layout is not None and (head, tail, lag) not in seen:
            name = blocks.name(head, tail, lag)
            yield Step(Rule.JOINT_BLOCKS, Written(name), Written(layout), subject=name.of)
    for head, tail, lag in named:
        for p in joined(head):
            for q in joined(tail):
                block = blocks.at(p, q, lag)
                if block is not None and (p, q, lag) not in seen:
                    seen.add((p, q, lag))
                    yield Step(Rule.BLOCK, Written(block.name), Written(block.written), subject=block.name.of)


def adjoint_sections(plan: Plan) -> tuple[Section, Section]:
    """∂L/∂q_t for the output and the states, from the last step back: each in terms of its readers."""
    g = plan.graph(Quantity("l", plan.model.steps))  # any goal: only the blocks between visible quantities are used
    readers = _readers(g)
    # the outputs come first where only the loss reads them; else each needs what the states receive
    apart = {(head, lag) for head, lag, _ in readers.get("y", ())} == {("l", 0)}
    outputs: list[Step] = []
    others: list[Step] = []
    times = plan.shown(range(plan.model.steps, 0, -1))
    for t in times:
        for name in reversed(g.visible):
            if name == "l":
                continue
            step = _reader_step(plan, g, readers, Quantity(name, t))
            if step is not None:
                (outputs if name == "y" and apart else others).append(step)
    return Section(Part.OUTPUTS, tuple(outputs)), Section(Part.STATES, tuple(others))


def _readers(g: Graph) -> dict[str, list[tuple[str, int, Any]]]:
    """Who reads a visible quantity, and how much later: reader name, lag, block."""
    readers: dict[str, list[tuple[str, int, Any]]] = {name: [] for name in g.visible}
    for head in g.visible:
        for block in g.inner[head]:
            if block.lag is not None:
                readers[block.tail].append((head, block.lag, block))
    return readers


def _reader_step(plan: Plan, g: Graph, readers: dict[str, list[tuple[str, int, Any]]], q: Quantity) -> Step | None:
    t = q.step
    assert t is not None
    terms: list[Expression] = []
    named: list[Expression] = []
    for head, lag, block in sorted(readers[q.name], key=lambda r: r[1]):
        at = t + lag
        if at > g.model.steps or (head, at) not in g.reached:
            continue
        leg = g.leg(block, at)
        terms.append(credit(plan, leg, q))
        named.append(plan.row((*named_total(plan, leg.head), *leg.partials), q))
    if not terms:
        return None
    rule = Rule.ONLY_READER if len(terms) == 1 else Rule.SUM_OVER_READERS
    after = Written(add(*terms))
    middle = Written(add(*named))
    substeps: tuple[Step, ...] = ()
    if middle != after:
        substeps = (
            Step(rule, plan.total(q), middle, subject=q),
            Step(Rule.ALONG_PATH, middle, after, subject=q),
        )
    return Step(rule, plan.total(q), after, substeps, subject=q)


def credit(plan: Plan, leg: Leg, goal: Quantity) -> Expression:
    """∂L/∂head · (block head ← tail): what the tail receives through one reader; ∂L/∂ℓ_t = 1 is not written."""
    return plan.row((*named_total(plan, leg.head), *(factor.value for factor in leg.factors)), goal)


def named_total(plan: Plan, q: Quantity) -> tuple[Expression, ...]:
    """∂L/∂q, as the first factors of a product: nothing for ℓ_t, or 1/T."""
    if q.name == "l":
        return tuple(factor.value for factor in plan.model.share)
    return () if q.name == "L" else (Derivative(Quantity("L"), q, apart=q.name.startswith("(")),)


# --- sections of one gradient --------------------------------------------------------------------------------------


def shown_paths(plan: Plan, g: Graph, limit: int) -> tuple[tuple[Path, ...], tuple[int, ...]]:
    """The paths a reader sees, and the places among them (their end included) before which paths are left out."""
    if plan.whole or g.model.steps <= ELIDE_ABOVE:
        if g.count() > limit:
            raise InputError(
                f"the derivation would write out {in_digits(g.count())} paths to {g.goal}, more than {limit:,}; "
                f"{'leave --all out' if plan.whole else 'take fewer steps'}, or raise --max-paths"
            )
        return tuple(iter_paths(g.model, g.goal, g.granularity)), ()
    kept: list[Path] = []
    gaps: set[int] = set()
    losses = g.model.loss_steps
    latest = next((t for t in losses if g.entries_from(t)), 0)
    earliest = next((t for t in reversed(losses) if g.entries_from(t)), 0)
    for t in dict.fromkeys((latest, earliest) if latest else ()):
        if any(map(g.entries_from, range(t + 1, latest))):
            gaps.add(len(kept))
        entries = g.entries_from(t)
        for s in dict.fromkeys(entries if len(entries) <= 3 else (*entries[:2], entries[-1])):
            if s == entries[-1] and len(entries) > 3:
                gaps.add(len(kept))
            alternatives = g.paths(t, s)
            # long paths differ in their middle, which is not shown: one stands for all
            kept.extend(islice(alternatives, 1 if s == entries[-1] and len(entries) > 3 else MAX_ALTERNATIVES))
            if next(alternatives, None) is not None:
                gaps.add(len(kept))
    return tuple(kept), tuple(sorted(gaps))


def path_section(g: Graph, shown: tuple[Path, ...]) -> Section:
    """Every path as the product of the table's entries along it."""
    return Section(Part.PATHS, tuple(_path_step(path) for path in shown), g.goal)


def _path_step(path: Path) -> Step:
    """The chain of immediate partials along the path equals the product of the table's entries."""
    matrix = any(factor.shape is not None for factor in path.factors)
    partials = (partial for leg in path.legs[1:] for partial in leg.partials)
    share = (factor.value for factor in path.legs[0].factors)
    chained = Written((chain if matrix else multiply)(*share, *partials))
    collapsed = any(factor.rule is LocalRule.COLLAPSE for factor in path.factors)
    rule = Rule.ALONG_PATH_COLLAPSED if collapsed else Rule.ALONG_PATH
    return Step(rule, chained, PathProduct(path), subject=path)


def sum_section(plan: Plan, g: Graph, shown: tuple[Path, ...], gaps: tuple[int, ...]) -> Section:
    """The gradient as the sum over all paths; in matrix form, laid out."""
    if not shown:
        step = Step(Rule.NO_PATH, plan.total(g.goal), Written(ZERO), subject=g.goal)
        return Section(Part.SUM, (step,), g.goal)
    terms = tuple(_terms(plan, g, shown))
    paths = PathSum(g.goal, terms, g.count(), gaps, g.granularity)
    rule = _SUM_RULES[plan.layout, plan.model.is_matrix(g.goal)]
    return Section(Part.SUM, (Step(rule, plan.total(g.goal), paths, subject=g.goal),), g.goal)


_SUM_RULES = {
    ("", False): Rule.SUM_OVER_PATHS,
    ("gradient", False): Rule.SUM_TRANSPOSED,
    ("gradient", True): Rule.SUM_OUTER,
    ("jacobian", False): Rule.SUM_JACOBIAN,
    ("jacobian", True): Rule.SUM_OUTER_JACOBIAN,
}


def _terms(plan: Plan, g: Graph, shown: tuple[Path, ...]) -> Sequence[PathProduct | Oriented]:
    if plan.layout:
        return [orient(path, plan.model, g.goal, plan.layout) for path in shown]
    return list(map(PathProduct, shown))


def collected_section(plan: Plan, g: Graph, shown: tuple[Path, ...], gaps: tuple[int, ...]) -> Section:
    """Factors that repeat along time, collected: scalars commute; of matrices, only equal neighbours do."""
    none = Section(Part.COLLECTED, (), g.goal)
    if plan.granularity == "step" or not shown:
        return none
    before = PathSum(g.goal, tuple(_terms(plan, g, shown)), g.count(), gaps, g.granularity)
    if plan.layout:
        powers = tuple(with_powers(orient(path, plan.model, g.goal, plan.layout)) for path in shown)
        if powers == before.shown:
            return none
        after = PathSum(g.goal, powers, g.count(), gaps, g.granularity)
        return Section(Part.COLLECTED, (Step(Rule.POWERS, before, after, (), subject=g.goal),), g.goal)
    patterns = recurrent_patterns(g)
    states = frozenset(g.model.cell.states)
    terms = tuple(collect(path, patterns, states) for path in shown)
    if not any(len(group.steps) > 1 for term in terms for group in term.groups):
        return none  # nothing to collect: W_y, b_y, or too few steps
    after = PathSum(g.goal, terms, g.count(), gaps, g.granularity)
    substeps = tuple(
        Step(Rule.COLLECT, PathProduct(path), term, subject=path) for path, term in zip(shown, terms, strict=True)
    )
    return Section(Part.COLLECTED, (Step(Rule.COLLECT, before, after, substeps, subject=g.goal),), g.goal)


def adjoint_section(plan: Plan, g: Graph) -> Section:
    """∂L/∂θ = Σ_s ∂L/∂(head of the entry at s) · (block head ← θ), with ∂L/∂h_s from the recursion."""
    terms: list[Expression] = []
    none = Section(Part.ADJOINT, (), g.goal)
    if g.goal.name == "l":
        return none
    entries = range(1, g.model.steps + 1) if g.entry_steps is None else g.entry_steps
    for s in entries:
        for name in g.visible:
            for block, arrives in g.exits(name, s):
                if arrives and (name, s) in g.reached:
                    terms.append(credit(plan, g.leg(block, s), g.goal))
    if not terms:
        return none
    after = Written(terms[0] if len(terms) == 1 else Add(tuple(terms)))
    if not any(isinstance(node, Derivative) and node.of.name == "L" for node in walk(after.expression)):
        return none  # an output: only its own loss stands before it
    step = Step(Rule.GROUP_BY_ENTRY, plan.total(g.goal), after, subject=g.goal)
    return Section(Part.ADJOINT, (step,), g.goal)
