r"""The proof of ∂L/∂θ for every T: lemma, theorems and bounds in the order in which a reader wants them.

>>> from rnn_symbolic.model import unroll
>>> proof = prove_gradient(unroll("elman"), "W_x")
>>> [theorem.topic.value for theorem in proof.theorems][:5]
['lemma', 'transition', 'state', 'gradient', 'count']
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rnn_symbolic.cells import Cell
from rnn_symbolic.derivation import default_granularity
from rnn_symbolic.errors import InputError, suggest
from rnn_symbolic.expressions import Quantity
from rnn_symbolic.graph import GRANULARITIES
from rnn_symbolic.induction.backward import adjoint, backward
from rnn_symbolic.induction.bounds import bound
from rnn_symbolic.induction.chain import Chain, default_goals, resolve_goal
from rnn_symbolic.induction.counts import count
from rnn_symbolic.induction.gradient import gradient, state, transition
from rnn_symbolic.induction.layouts import cell_lines
from rnn_symbolic.induction.lemma import lemma
from rnn_symbolic.induction.records import Line, Part, Piece, Theorem, Topic
from rnn_symbolic.induction.truncation import truncation
from rnn_symbolic.jacobians import LAYOUTS
from rnn_symbolic.model import Model, unroll

if TYPE_CHECKING:
    from rnn_symbolic.induction.checks import ProofVerification


@dataclass(frozen=True, repr=False)
class Proof:
    """The theorems that lead to ∂L/∂goal for every T, each with its proof; `verify` checks every line."""

    model: Model
    goal: Quantity
    layout: str
    granularity: str
    theorems: tuple[Theorem, ...]

    @property
    def chain(self) -> Chain:
        """The named derivatives that the proof speaks of."""
        return Chain(self.model, self.goal)

    def theorem(self, topic: Topic) -> Theorem:
        """The theorem about a topic. Raises KeyError where this proof has none."""
        for theorem in self.theorems:
            if theorem.topic is topic:
                return theorem
        raise KeyError(topic.value)

    @property
    def lines(self) -> tuple[Line, ...]:
        """Every line, theorem by theorem."""
        return tuple(line for theorem in self.theorems for line in theorem.lines)

    @property
    def result(self) -> Line:
        """The gradient as the double sum: for this cell where it is short, else with named derivatives."""
        theorem = self.theorem(Topic.GRADIENT)
        own = theorem.part(Piece.CELL).lines
        if not own:
            return theorem.claims[-1]
        return Line(own[-1].why, own[0].before, own[-1].after, own[-1].ranges, algebra=False)

    def verify(self, *, symbolic: bool = False, seed: int = 0) -> ProofVerification:
        """Every line in words and in numbers for T = 1 … 6, and the explicit derivations; ``symbolic`` adds SymPy."""
        from rnn_symbolic.induction.checks import verify_proofs

        return verify_proofs((self,), symbolic=symbolic, seed=seed)[0]

    def __repr__(self) -> str:
        return f"Proof(dL/d{self.goal}, {self.model!r})"

    def __str__(self) -> str:
        from rnn_symbolic.render.proof_document import proof_document
        from rnn_symbolic.render.text import document_text

        return document_text(proof_document((self,)))

    def _repr_latex_(self) -> str:
        from rnn_symbolic.printing import without_macros
        from rnn_symbolic.render.terms import line_latex

        return f"$\\displaystyle {without_macros(line_latex(self.result, self.model))}$"


def prove_gradient(
    model: Model | Cell | str, wrt: str | Quantity, *, layout: str = "gradient", granularity: str | None = None
) -> Proof:
    """∂L/∂wrt for every T, for a parameter, an initial state (h_0) or the input of any step (x_s).

    ``layout`` is that of gradients in matrix form, ``granularity`` what a counted path visits (see `derive_gradient`).

    >>> prove_gradient("elman", "W_h").verify().passed
    True
    """
    return prove_gradients(model, (wrt,), layout=layout, granularity=granularity)[0]


def prove_gradients(
    model: Model | Cell | str,
    goals: Iterable[str | Quantity] = (),
    *,
    layout: str = "gradient",
    granularity: str | None = None,
) -> tuple[Proof, ...]:
    """The proofs for several goals (all parameters, initial states and the input when none is named)."""
    if not isinstance(model, Model):
        model = unroll(model)
    granularity = granularity or default_granularity(model)
    for what, value, known in (("granularity", granularity, GRANULARITIES), ("layout", layout, LAYOUTS)):
        if value not in known:
            raise InputError(f"{value!r} is not a {what}: choose one of {', '.join(known)}.{suggest(value, known)}")
    wanted = [resolve_goal(model, g) if isinstance(g, str) else g for g in goals] or default_goals(model)
    layout = layout if model.form == "matrix" else ""
    shared: dict[Topic, Theorem] = {}
    return tuple(_prove(model, goal, layout, granularity, shared) for goal in dict.fromkeys(wanted))


def _prove(model: Model, goal: Quantity, layout: str, granularity: str, shared: dict[Topic, Theorem]) -> Proof:
    chain = Chain(model, goal)
    inside = bool(chain.lags) and bool(chain.entries)
    found: list[Theorem | None] = []

    def once(topic: Topic, theorem: Theorem | None) -> None:
        if topic not in shared and theorem is not None:
            shared[topic] = theorem
        found.append(shared.get(topic))

    if inside:
        once(Topic.LEMMA, shared.get(Topic.LEMMA) or lemma(chain.lags))
        once(Topic.TRANSITION, shared.get(Topic.TRANSITION) or transition(chain))
    if chain.joint:
        found.append(state(chain))
    found.append(_for_this_cell(gradient(chain), cell_lines(chain, layout)))
    found.append(count(model, goal, granularity))
    if inside:
        once(Topic.ADJOINT, shared.get(Topic.ADJOINT) or adjoint(chain))
        found.append(backward(chain))
        once(Topic.BOUND, shared.get(Topic.BOUND) or bound(chain))
        found += [truncation(chain, "lag"), truncation(chain, "detach")]
    return Proof(model, goal, layout, granularity, tuple(theorem for theorem in found if theorem is not None))


def _for_this_cell(theorem: Theorem, lines: tuple[Line, ...]) -> Theorem:
    if not lines:
        return theorem
    parts = (*theorem.parts, Part(Piece.CELL, lines))
    return Theorem(theorem.topic, theorem.claims, parts, theorem.goal, theorem.kind, theorem.facts)
