r"""The derivation of ∂L/∂θ in the article's order: forward table, immediate partials, ∂L/∂y_t, ∂L/∂h_t, the paths,
their sum, the collected factor σ'^k W_h^{k−1}, and the adjoint recursion that gives the same in O(T).

Beyond `ELIDE_ABOVE` steps a derivation keeps the lines that a reader wants: the first two steps of a table and the
last, and of the paths those from the latest and the earliest loss that has any: up to `MAX_ALTERNATIVES` of each of
the two shortest lags, and one of the longest. The sums still stand for every path.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import islice
from typing import TYPE_CHECKING, Any

from rnn_symbolic.cells import Cell
from rnn_symbolic.errors import InputError
from rnn_symbolic.expressions import ONE, ZERO, Add, Derivative, Expression, Multiply, Quantity, add, multiply, walk
from rnn_symbolic.forms import (
    Form,
    PathProduct,
    PathSum,
    Rule,
    Step,
    Written,
    collect,
    recurrent_patterns,
    total,
)
from rnn_symbolic.graph import Graph, Leg, Path
from rnn_symbolic.model import Model, unroll
from rnn_symbolic.paths import MAX_PATHS, graph, in_digits, iter_paths
from rnn_symbolic.table import Edge, LocalRule, product_value

if TYPE_CHECKING:
    from rnn_symbolic.verification import Verification

ELIDE_ABOVE = 6
"""Sums and products over more steps than this are elided unless the whole is asked for."""
MAX_ALTERNATIVES = 4
"""When elided, how many paths of one loss step and one short lag are shown."""


class Part(Enum):
    """The sections of a derivation, in order; each value is the section's stable code."""

    FORWARD = "forward"
    IMMEDIATE = "immediate"
    OUTPUTS = "outputs"
    STATES = "states"
    PATHS = "paths"
    SUM = "sum"
    COLLECTED = "collected"
    ADJOINT = "adjoint"


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, repr=False)
class Derivation:
    """∂L/∂goal, derived: sections of steps, each with a rule; ``result`` is the sum over paths.

    >>> derivation = derive_gradient(unroll("elman", steps=3), "W_x")
    >>> len(derivation.paths), derivation.verify().passed
    (6, True)
    """

    model: Model
    goal: Quantity
    sections: tuple[Section, ...]
    whole: bool = False

    @property
    def steps(self) -> tuple[Step, ...]:
        """Every line, section by section."""
        return tuple(step for section in self.sections for step in section.steps)

    def section(self, part: Part) -> Section:
        """One section; empty when this derivation has no such part."""
        return next((s for s in self.sections if s.part is part), Section(part, (), self.goal))

    @property
    def result(self) -> Form:
        """The gradient as the sum over all paths: the line that the derivation is for."""
        return self.section(Part.SUM).steps[-1].after

    @property
    def paths(self) -> tuple[Path, ...]:
        """All paths from L to the goal (raises InputError above the listing limit)."""
        from rnn_symbolic.paths import list_paths

        return list_paths(self.model, self.goal)

    def verify(self, *, symbolic: bool = True, seed: int = 0) -> Verification:
        """Check every line numerically, and for small T prove the sum equal to SymPy's ``diff`` by ``expand``."""
        from rnn_symbolic.verification import verify

        return verify(self, symbolic=symbolic, seed=seed)

    def lambdify(self, **choices: str) -> Callable[..., Any]:
        """A NumPy function of the symbols by name; see `lambdified.lambdify_gradient`."""
        from rnn_symbolic.lambdified import lambdify_gradient

        return lambdify_gradient(self, **choices)

    def __repr__(self) -> str:
        return f"Derivation(dL/d{self.goal}, {self.model!r})"

    def __str__(self) -> str:
        """The derivation as text, as `derive --to text` prints it, without the checks."""
        from rnn_symbolic.render.derivation_document import derivation_document
        from rnn_symbolic.render.text import document_text

        return document_text(derivation_document((self,)))

    def _repr_latex_(self) -> str:
        from rnn_symbolic.printing import without_macros
        from rnn_symbolic.render.formulas import derivation_latex

        return f"$\\displaystyle {without_macros(derivation_latex(self))}$"


def derive_gradient(
    model: Model | Cell | str,
    wrt: str | Quantity,
    *,
    whole: bool = False,
    common: tuple[Section, ...] | None = None,
    max_paths: int = MAX_PATHS,
) -> Derivation:
    """Derive ∂L/∂wrt for a parameter, an initial state (h_0), an input (x_2) or any named quantity (h_3).

    ``whole`` keeps every line whatever T is. ``common`` takes the sections that do not depend on ``wrt`` from
    `common_sections`, so that several derivations share them. Raises InputError where more than ``max_paths`` paths
    would be written out (they are elided above `ELIDE_ABOVE` steps, unless ``whole``).

    >>> derive_gradient("elman", "W_y").result.count
    3
    """
    if not isinstance(model, Model):
        model = unroll(model)
    goal = model.resolve(wrt) if isinstance(wrt, str) else wrt
    g = graph(model, goal)
    shown, gaps = _shown_paths(g, whole, max_paths)
    own = (
        Section(Part.PATHS, tuple(_path_step(path) for path in shown), goal),
        _sum_section(g, shown, gaps),
        _collected_section(g, shown, gaps),
        _adjoint_section(g),
    )
    before = common_sections(model, whole=whole) if common is None else common
    return Derivation(model, goal, (*before, *(section for section in own if section.steps)), whole)


def derive_gradients(
    model: Model, goals: Iterable[str | Quantity] = (), *, whole: bool = False, max_paths: int = MAX_PATHS
) -> tuple[Derivation, ...]:
    """The derivations of several gradients (of all parameters when none is named), sharing their common sections."""
    goals = tuple(goals) or model.parameters
    common = common_sections(model, whole=whole)
    return tuple(derive_gradient(model, goal, whole=whole, common=common, max_paths=max_paths) for goal in goals)


def common_sections(model: Model, *, whole: bool = False) -> tuple[Section, ...]:
    """What every gradient of a model shares: the forward table, the immediate partials, ∂L/∂y_t and ∂L/∂h_t."""
    outputs, states = _adjoint_sections(model, whole)
    sections = (_forward_section(model, whole), _immediate_section(model), outputs, states)
    return tuple(section for section in sections if section.steps)


def shown_steps(steps: Sequence[int], whole: bool) -> tuple[int, ...]:
    """The steps of a table that are kept: all up to `ELIDE_ABOVE`, otherwise the first two and the last.

    >>> shown_steps(range(1, 101), whole=False)
    (1, 2, 100)
    """
    if whole or len(steps) <= ELIDE_ABOVE:
        return tuple(steps)
    return (steps[0], steps[1], steps[-1])


# --- sections that all gradients share -----------------------------------------------------------------------------


def _forward_section(model: Model, whole: bool) -> Section:
    steps = []
    for t in shown_steps(range(1, model.steps + 1), whole):
        for definition in model.definitions:
            equation = model.equation_of(definition.target.at(t))
            assert equation is not None
            if equation.target.name == "l" and t not in model.loss_steps:
                continue  # only the last step is scored
            rule = Rule.STEP_LOSS if equation.target.name == "l" else Rule.CELL_EQUATION
            steps.append(Step(rule, Written(equation.target), Written(equation.expression), subject=equation.target))
    rule = Rule.LAST_LOSS if model.losses == "last" else Rule.TOTAL_LOSS
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


def _rule_of_row(edge: Edge) -> Rule:
    """The rule of a row: of its only factor; of several, what the outermost operation is."""
    if len(edge.terms) > 1:
        return Rule.SEVERAL_MENTIONS
    rules = [factor.rule for factor in edge.terms[0]]
    if len(rules) > 1 and rules[0] is LocalRule.NUMBER:  # −(W x) by x; but 2u, of u², is the power rule's own
        return Rule.POWER if rules[1:] == [LocalRule.POWER] else Rule.NESTED
    if not rules:
        return Rule.ADDEND
    if rules[0] is LocalRule.COEFFICIENT:  # o tanh(c) by c: a product first, then the slope of its factor
        return Rule.PRODUCT
    return _RULE_OF_FACTOR[rules[0]] if len(rules) == 1 else Rule.NESTED


def _immediate_section(model: Model) -> Section:
    rows = [
        Step(
            _rule_of_row(edge),
            Written(Derivative(edge.head, edge.tail, immediate=True)),
            Written(edge.value),
            subject=edge.head,
        )
        for edge in model.table
    ]
    if model.collapse is not None:
        y = model.definition["y"].target
        o = model.collapse.argument
        chain = Multiply((Derivative(Quantity("l", 0, "t"), y, True), Derivative(y, o, True)))
        rows.append(Step(Rule.LOGISTIC_CROSS_ENTROPY, Written(chain), Written(model.collapse.result.value), subject=y))
    return Section(Part.IMMEDIATE, tuple(rows))


def _adjoint_sections(model: Model, whole: bool) -> tuple[Section, Section]:
    """∂L/∂q_t for the output and the states, from the last step back: each in terms of its readers."""
    g = graph(model, Quantity("l", model.steps))  # any goal: only the blocks between visible quantities are used
    readers = _readers(g)
    # the outputs come first where only the loss reads them; else each needs what the states receive
    apart = {(head, lag) for head, lag, _ in readers["y"]} == {("l", 0)}
    outputs: list[Step] = []
    others: list[Step] = []
    times = shown_steps(range(model.steps, 0, -1), whole)
    for t in times:
        for name in reversed(g.visible):
            if name == "l":
                continue
            step = _reader_step(g, readers, Quantity(name, t))
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


def _reader_step(g: Graph, readers: dict[str, list[tuple[str, int, Any]]], q: Quantity) -> Step | None:
    model, t = g.model, q.step
    assert t is not None
    terms: list[Expression] = []
    named: list[Expression] = []
    for head, lag, block in sorted(readers[q.name], key=lambda r: r[1]):
        at = t + lag
        if at > model.steps or (head, at) not in g.reached:
            continue
        leg = g.leg(block, at)
        terms.append(credit(g, leg))
        named.append(_credit_by_partials(leg))
    if not terms:
        return None
    rule = Rule.ONLY_READER if len(terms) == 1 else Rule.SUM_OVER_READERS
    after = Written(add(*terms))
    middle = Written(add(*named))
    substeps: tuple[Step, ...] = ()
    if middle != after:
        substeps = (
            Step(rule, total(q), middle, subject=q),
            Step(Rule.ALONG_PATH, middle, after, subject=q),
        )
    return Step(rule, total(q), after, substeps, subject=q)


def credit(g: Graph, leg: Leg) -> Expression:
    """∂L/∂head · (block head ← tail): what the tail receives through one reader; ∂L/∂ℓ_t = 1 is not written."""
    return multiply(_named_total(leg.head), product_value(leg.factors))


def _named_total(q: Quantity) -> Expression:
    return ONE if q.name in ("l", "L") else Derivative(Quantity("L"), q)


def _credit_by_partials(leg: Leg) -> Expression:
    return multiply(_named_total(leg.head), *leg.partials)


# --- sections of one gradient --------------------------------------------------------------------------------------


def _shown_paths(g: Graph, whole: bool, limit: int) -> tuple[tuple[Path, ...], tuple[int, ...]]:
    """The paths a reader sees, and the places among them (their end included) before which paths are left out."""
    if whole or g.model.steps <= ELIDE_ABOVE:
        if g.count() > limit:
            raise InputError(
                f"the derivation would write out {in_digits(g.count())} paths to {g.goal}, more than {limit:,}; "
                f"{'leave --all out' if whole else 'take fewer steps'}, or raise --max-paths"
            )
        return tuple(iter_paths(g.model, g.goal)), ()
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


def _path_step(path: Path) -> Step:
    """The chain of immediate partials along the path equals the product of the table's entries."""
    chain = Written(multiply(*(partial for leg in path.legs[1:] for partial in leg.partials)))
    collapsed = any(factor.rule is LocalRule.COLLAPSE for factor in path.factors)
    rule = Rule.ALONG_PATH_COLLAPSED if collapsed else Rule.ALONG_PATH
    return Step(rule, chain, PathProduct(path), subject=path)


def _sum_section(g: Graph, shown: tuple[Path, ...], gaps: tuple[int, ...]) -> Section:
    if not shown:
        step = Step(Rule.NO_PATH, total(g.goal), Written(ZERO), subject=g.goal)
        return Section(Part.SUM, (step,), g.goal)
    paths = PathSum(g.goal, tuple(map(PathProduct, shown)), g.count(), gaps)
    return Section(Part.SUM, (Step(Rule.SUM_OVER_PATHS, total(g.goal), paths, subject=g.goal),), g.goal)


def _collected_section(g: Graph, shown: tuple[Path, ...], gaps: tuple[int, ...]) -> Section:
    patterns = recurrent_patterns(g)
    states = frozenset(g.model.cell.states)
    terms = tuple(collect(path, patterns, states) for path in shown)
    if not any(len(group.steps) > 1 for term in terms for group in term.groups):
        return Section(Part.COLLECTED, (), g.goal)  # nothing to collect: W_y, b_y, or too few steps
    before = PathSum(g.goal, tuple(map(PathProduct, shown)), g.count(), gaps)
    after = PathSum(g.goal, terms, g.count(), gaps)
    substeps = tuple(
        Step(Rule.COLLECT, PathProduct(path), term, subject=path) for path, term in zip(shown, terms, strict=True)
    )
    return Section(Part.COLLECTED, (Step(Rule.COLLECT, before, after, substeps, subject=g.goal),), g.goal)


def _adjoint_section(g: Graph) -> Section:
    """∂L/∂θ = Σ_s ∂L/∂(head of the entry at s) · (block head ← θ), with ∂L/∂h_s from the recursion."""
    terms: list[Expression] = []
    if g.goal.name == "l":
        return Section(Part.ADJOINT, (), g.goal)
    entries = range(1, g.model.steps + 1) if g.entry_steps is None else g.entry_steps
    for s in entries:
        for name in g.visible:
            for block, arrives in g.exits(name, s):
                if arrives and (name, s) in g.reached:
                    terms.append(credit(g, g.leg(block, s)))
    if not terms:
        return Section(Part.ADJOINT, (), g.goal)
    after = Written(terms[0] if len(terms) == 1 else Add(tuple(terms)))
    if not any(isinstance(node, Derivative) for node in walk(after.expression)):
        return Section(Part.ADJOINT, (), g.goal)  # an output: only its own loss stands before it
    step = Step(Rule.GROUP_BY_ENTRY, total(g.goal), after, subject=g.goal)
    return Section(Part.ADJOINT, (step,), g.goal)
