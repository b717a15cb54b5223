r"""The derivation of ∂L/∂θ in the article's order: forward table, immediate partials, ∂L/∂y_t, ∂L/∂h_t, the paths,
their sum, the collected factor σ'^k W_h^{k−1}, and the adjoint recursion that gives the same in O(T).

Beyond `ELIDE_ABOVE` steps a derivation keeps the lines that a reader wants: the first two steps of a table and the
last, and of the paths those from the latest and the earliest loss that has any: up to `MAX_ALTERNATIVES` of each of
the two shortest lags, and one of the longest. The sums still stand for every path.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rnn_symbolic.cells import Cell
from rnn_symbolic.errors import InputError, suggest
from rnn_symbolic.expressions import Quantity
from rnn_symbolic.forms import Form, Step
from rnn_symbolic.graph import GRANULARITIES, Path, state_blocks
from rnn_symbolic.jacobians import LAYOUTS
from rnn_symbolic.model import Model, unroll
from rnn_symbolic.paths import MAX_PATHS
from rnn_symbolic.sections import (
    Part,
    Plan,
    Section,
    adjoint_section,
    adjoint_sections,
    block_section,
    collected_section,
    entry_section,
    forward_section,
    immediate_section,
    path_section,
    shown_paths,
    sum_section,
)

if TYPE_CHECKING:
    from rnn_symbolic.verification import Verification


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
    plan: Plan

    @property
    def whole(self) -> bool:
        """Whether nothing is elided."""
        return self.plan.whole

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

        return list_paths(self.model, self.goal, self.plan.granularity)

    def verify(self, *, symbolic: bool = True, seed: int = 0) -> Verification:
        """Check every line numerically, and for small T prove the sum equal to SymPy's ``diff`` by ``expand``."""
        from rnn_symbolic.verification import verify

        return verify(self, symbolic=symbolic, seed=seed)

    def lambdify(self, **choices: str) -> Callable[..., Any]:
        """A NumPy function of the symbols by name; see `lambdified.Gradient`, and `gradients` for the matrix form."""
        if self.model.form == "matrix":
            from rnn_symbolic.gradients import GradientFunction

            return GradientFunction(self.model, self.goal, **choices)
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
    granularity: str | None = None,
    layout: str = "gradient",
    whole: bool = False,
    common: tuple[Section, ...] | None = None,
    max_paths: int = MAX_PATHS,
) -> Derivation:
    """Derive ∂L/∂wrt for a parameter, an initial state (h_0), an input (x_2) or any named quantity (h_3).

    ``granularity`` says what a path visits: "state" (the loss, the output, the states), "step" (all states of a step
    together, in named blocks) or "node"; without it `default_granularity` decides. In matrix form ``layout`` is that of
    the result: "gradient" (∇, the shape of the parameter) or "jacobian" (numerator layout, its transpose). ``whole``
    keeps every line whatever T is. ``common`` takes the sections that do not depend on ``wrt`` from `common_sections`,
    so that several derivations share them. Raises InputError where more than ``max_paths`` paths would be written out
    (they are elided above `sections.ELIDE_ABOVE` steps, unless ``whole``).

    >>> derive_gradient("elman", "W_y").result.count
    3
    """
    if not isinstance(model, Model):
        model = unroll(model)
    goal = model.resolve(wrt) if isinstance(wrt, str) else wrt
    plan = make_plan(model, granularity, layout, whole)
    g = plan.graph(goal)
    shown, gaps = shown_paths(plan, g, max_paths)
    own = (
        entry_section(plan, g),
        path_section(g, shown),
        sum_section(plan, g, shown, gaps),
        collected_section(plan, g, shown, gaps),
        adjoint_section(plan, g),
    )
    before = common_sections(plan) if common is None else common
    return Derivation(model, goal, (*before, *(section for section in own if section.steps)), plan)


def make_plan(model: Model, granularity: str | None, layout: str = "gradient", whole: bool = False) -> Plan:
    """The choices of a derivation, checked; the layout matters in matrix form only."""
    granularity = granularity or default_granularity(model)
    for what, value, known in (("granularity", granularity, GRANULARITIES), ("layout", layout, LAYOUTS)):
        if value not in known:
            raise InputError(f"{value!r} is not a {what}: choose one of {', '.join(known)}.{suggest(value, known)}")
    return Plan(model, granularity, layout if model.form == "matrix" else "", whole)


def default_granularity(model: Model) -> str:
    """ "step" for gated cells: several states, or a state that is reached from itself in more than two ways.

    >>> default_granularity(unroll("elman")), default_granularity(unroll("gru")), default_granularity(unroll("lstm"))
    ('state', 'step', 'step')
    """
    states = model.cell.states
    if len(states) != 1:
        return "step" if states else "state"
    blocks = state_blocks(model)
    found = (blocks.at(states[0], states[0], lag) for lag in blocks.lags(states[0]))
    return "step" if any(block is not None and len(block.ways) > 2 for block in found) else "state"


def derive_gradients(
    model: Model,
    goals: Iterable[str | Quantity] = (),
    *,
    granularity: str | None = None,
    layout: str = "gradient",
    whole: bool = False,
    max_paths: int = MAX_PATHS,
) -> tuple[Derivation, ...]:
    """The derivations of several gradients (of all parameters when none is named), sharing their common sections."""
    goals = tuple(goals) or model.parameters
    plan = make_plan(model, granularity, layout, whole)
    common = common_sections(plan)
    return tuple(
        derive_gradient(
            model,
            goal,
            granularity=plan.granularity,
            layout=layout,
            whole=whole,
            common=common,
            max_paths=max_paths,
        )
        for goal in goals
    )


def common_sections(plan: Plan) -> tuple[Section, ...]:
    """What every gradient of a model shares: the forward table, the immediate partials, ∂L/∂y_t and ∂L/∂h_t."""
    outputs, states = adjoint_sections(plan)
    sections = (forward_section(plan), immediate_section(plan), block_section(plan), outputs, states)
    return tuple(section for section in sections if section.steps)
