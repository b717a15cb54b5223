r"""What the chain rule says of one step of a cell, with every derivative named: the premises of all proofs.

    dS_t/dθ = ∂S_t/∂θ|_t + Σ_m J_t^{(m)} dS_{t−m}/dθ,        dL/dθ = Σ_t (∂ℓ_t/∂θ|_t + r_t dS_t/dθ)

S_t is the joint state, J_t^{(m)} = ∂⁺S_t/∂S_{t−m}, and |_t is what θ does within step t. A `Chain` knows the names of
these derivatives for one cell and one goal θ, and the ring of words in which they are the only facts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

from rnn_symbolic.blocks import Block
from rnn_symbolic.errors import InputError, NotDerivable, suggest
from rnn_symbolic.expressions import ONE, ZERO, Blocks, Derivative, Expression, Identity, Quantity, joined
from rnn_symbolic.graph import Graph, state_blocks
from rnn_symbolic.induction.free import NOTHING, UNIT, Letters, Words, letter
from rnn_symbolic.induction.rings import Terms, worth
from rnn_symbolic.induction.terms import (
    FIRST,
    LAST,
    NOW,
    Borders,
    ChunkStart,
    Env,
    Jumps,
    Latest,
    Ordered,
    Place,
    Raised,
    Share,
    Steps,
    Sum,
    Term,
    When,
    is_leaf,
    moved,
    plus,
    rebuilt,
    times,
)
from rnn_symbolic.model import Model
from rnn_symbolic.table import product_value


@dataclass(frozen=True)
class Chain:
    """The derivatives of one cell around one goal: a parameter, h_0, or the input x_s of a step s.

    ``style`` says what they are written as: "names" (∂h_t/∂a_t ∂⁺a_t/∂W_x), "entries" (only the last of them from the
    table, ∂h_t/∂a_t x_t) or "table" (σ'(a_t) x_t).
    """

    model: Model
    goal: Quantity
    style: str = "names"

    @cached_property
    def joint(self) -> str:
        """The joint state; a single state is its own."""
        return state_blocks(self.model).joint

    @cached_property
    def lags(self) -> tuple[int, ...]:
        """By how many steps the state looks back."""
        return state_blocks(self.model).lags(self.joint) if self.joint else ()

    @cached_property
    def loss_lags(self) -> tuple[int, ...]:
        """By how many steps the loss looks back at the state: 0, unless an output reads earlier states."""
        found = state_blocks(self.model).lags("l") if self.joint else ()
        if self.model.losses == "last" and found not in ((0,), ()):
            raise NotDerivable(
                f"the loss of {self.model.cell.name} reads earlier states, which --losses last leaves to a few of "
                f"them; take --losses all"
            )
        return found

    @property
    def single(self) -> bool:
        """Whether the state looks back by one step only, so that the Jacobians multiply."""
        return self.lags == (1,)

    @property
    def kind(self) -> str:
        """A parameter, an initial state, or an input."""
        if self.goal.step is None:
            return "parameter"
        return "input" if self.goal.index else "initial"

    # -- names --------------------------------------------------------------------------------------------------

    def state(self, place: Place) -> Quantity:
        """S at a step."""
        return Quantity(self.joint, place.offset, place.index)

    def jacobian(self, lag: int = 1, place: Place = NOW) -> Expression:
        """∂S_t/∂S_{t−1}, or ∂⁺S_t/∂S_{t−m}."""
        if self.style == "table" and lag == 1:
            return self.jacobian_worth(place)
        return moved(state_blocks(self.model).name(self.joint, self.joint, lag), {"t": place})

    def jacobian_worth(self, place: Place = NOW, lag: int = 1) -> Expression:
        """∂S_t/∂S_{t−1}, or ∂⁺S_t/∂S_{t−m}, in terms of the table."""
        factor = state_blocks(self.model).factor(self.joint, self.joint, lag)
        assert factor is not None
        return moved(factor.worth, {"t": place})

    def transition(self, of: Place, wrt: Place) -> Derivative:
        """∂S_t/∂S_k, through all steps in between."""
        return Derivative(self.state(of), self.state(wrt), apart=True)

    def total(self, place: Place) -> Derivative:
        """∂S_t/∂θ, through all steps up to t; by a matrix, by vec θ."""
        return Derivative(self.state(place), self.goal, stacked=self.model.is_matrix(self.goal))

    @property
    def gradient(self) -> Derivative:
        """∂L/∂θ, a row; by a matrix, by vec θ."""
        return Derivative(Quantity("L"), self.goal, stacked=self.model.is_matrix(self.goal))

    def adjoint(self, place: Place) -> Derivative:
        """∂L/∂S_k."""
        return Derivative(Quantity("L"), self.state(place), apart=self.joint.startswith("("))

    # -- entries ------------------------------------------------------------------------------------------------

    @cached_property
    def _graph(self) -> Graph:
        goal = Quantity(self.goal.name, 1) if self.kind == "input" else self.goal
        return Graph(self.model, goal, "step")

    @property
    def entries(self) -> tuple[Block, ...]:
        """The blocks by which the goal enters the state; an initial state before those that are read enters nowhere."""
        found = tuple(self._graph.entry[self.joint]) if self.joint else ()
        return tuple(b for b in found if self.kind != "initial" or (self.goal.step or 0) + (b.lag or 0) >= 1)

    @property
    def loss_entries(self) -> tuple[Block, ...]:
        """The blocks by which the goal enters the loss of a step without passing the state of that step or before."""
        return tuple(self._graph.entry["l"])

    def entry(self, place: Place = NOW) -> Term:
        """What θ adds to the state at one step: ∂S_t/∂a_t ∂⁺a_t/∂θ, a term for each equation that mentions θ."""
        return plus(*(self.block(block, place) for block in self.entries))

    def loss_entry(self, place: Place = NOW) -> Term:
        """What θ adds to ℓ_t past the state."""
        return plus(*(self.block(block, place) for block in self.loss_entries))

    def block(self, block: Block, place: Place) -> Term:
        """A block at a step, its partials named, or from the table."""
        if self.style != "names":
            return moved(product_value(block.factors, expanded=self.style == "table"), {"t": place})
        return times(*(moved(partial, {"t": place}) for partial in block.partials))

    def entries_at(self, step: int) -> tuple[Block, ...]:
        """Of an initial state: the blocks by which it enters at a step; it enters where a lag reaches back to it."""
        assert self.goal.step is not None
        return tuple(block for block in self.entries if block.lag is not None and step - block.lag == self.goal.step)

    def within_step(self, place: Place) -> Expression:
        """What an input does to the state of its own step, or h_0 to that of step 1: by blocks, or from the table."""
        blocks, lag = state_blocks(self.model), 0 if self.kind == "input" else 1
        factor = blocks.factor(self.joint, self.goal.name, lag)
        assert factor is not None
        return moved(blocks.layout(self.joint, self.goal.name, lag) or factor.worth, {"t": place})

    def initial_column(self) -> Blocks:
        """∂S_0/∂c_0: the identity in the place of c, 0 in the others."""
        names = self.model.names
        one = Identity(names[self.goal.name][0]) if names else ONE
        return Blocks(tuple((one if name == self.goal.name else ZERO,) for name in joined(self.joint)))

    # -- what L reads -------------------------------------------------------------------------------------------

    @property
    def late(self) -> bool:
        """Whether a loss reads the states of earlier steps."""
        return any(self.loss_lags)

    def read(self, lag: int, place: Place) -> Term:
        """∂ℓ_{t+m}/∂S_t, without passing another state: what the loss of m steps later reads of S_t; 0 beyond T."""
        blocks, where = state_blocks(self.model), {"t": place.plus(lag)}
        if self.style != "table":
            return moved(blocks.name("l", self.joint, lag), where)
        factor = blocks.factor("l", self.joint, lag)
        assert factor is not None
        return moved(factor.worth, where)

    def reads(self, place: Place) -> Term:
        """r_t: ∂ of the losses that read the state S_t without passing another state, with their weight in L."""
        return self.weighted(plus(*(self.read(lag, place) for lag in self.loss_lags)))

    def last_reads(self) -> Term:
        """r_T: beyond T there is no loss."""
        return self.weighted(plus(*(self.read(lag, LAST) for lag in self.loss_lags if not lag)))

    def weighted(self, term: Term) -> Term:
        """The term with the weight 1/T, where L is a mean."""
        return times(Share(), term) if self.model.losses == "mean" else term

    def over_losses(self, term: Term) -> Term:
        """Σ_t of a term at t, over the losses that count; of the last loss alone, the term at T."""
        if self.model.losses == "last":
            return at_last(term)
        return Sum("t", FIRST, LAST, term)

    def must_exist(self, node: Derivative, T: int) -> None:
        """Refuse derivatives beyond T, but for those that lines about several lags need as zeros.

        Lag m reads ∂L/∂S_{T+1} ∂⁺S_{T+1}/∂S_{T+1−m}; a loss that reads S_{t−1} has ∂⁺ℓ_{T+1}/∂S_T; the first m states
        read the initial ones, even if T < m. Raises ValueError.
        """
        ahead = max(self.lags, default=1) - 1
        by_state = node.wrt.name in self.model.cell.states or node.wrt.name == self.joint
        further = max(self.loss_lags, default=0) if node.of.name == "l" else ahead * by_state
        if (node.of.step or 0) > T + further or (node.wrt.step or 0) > T + ahead:
            raise ValueError(f"∂{node.of}/∂{node.wrt} does not exist: T = {T}")

    # -- the ring of words --------------------------------------------------------------------------------------

    def words(self, env: Env, terms: Terms | None = None) -> Letters:
        """The ring in which only the premises hold: the derivatives of one step are letters, the others recursions."""
        ring = Letters(self._premise(env), terms)
        ring.truncated = self._truncated_words
        return ring

    def _truncated_words(self, ring: Letters, kind: str, env: Env) -> Words:
        """∂L/∂θ with the states before `first_kept` held: the chain rule stops there."""
        T = env["T"]
        scored = (T,) if self.model.losses == "last" else tuple(range(1, T + 1))
        found = NOTHING
        for t in scored:
            found = found + self._loss_entry_words(ring, t, env)
            start = first_kept(kind).at({**env, "t": t})
            blocks = state_blocks(self.model)
            for lag in self.loss_lags:
                read = moved(blocks.name("l", self.joint, lag), {"t": Place("", t)})
                weight = worth(self.weighted(read), env, ring)
                found = found + weight * self._state_words(ring, t - lag, {**env, "held": start - 1})
        return found

    def _premise(self, env: Env) -> Callable[[Letters, Expression], Words | None]:
        T, s = env["T"], env.get("s", 0)
        goal = Quantity(self.goal.name, s) if self.kind == "input" else self.goal
        scored = (T,) if self.model.losses == "last" else tuple(range(1, T + 1))

        def premise(ring: Letters, node: Expression) -> Words | None:
            if not isinstance(node, Derivative):
                return None
            self.must_exist(node, T)
            of, wrt = node.of, node.wrt
            if of.name == "l" and of.step not in scored:
                return NOTHING
            if of.name == self.joint and wrt == goal and not (node.immediate or node.apart) and of.step is not None:
                return self._state_words(ring, of.step, env)
            if of.name == self.joint == wrt.name and of.step is not None and wrt.step is not None:
                if node.immediate:
                    return self._jacobian_words(of.step - wrt.step, of.step)
                return self._transition_words(ring, of.step, wrt.step)
            if of.name != "L":
                return None
            found = NOTHING
            if wrt == goal:
                for t in scored if self.loss_entries else ():
                    found = found + self._loss_entry_words(ring, t, env)
                for t in range(1, T + 1):
                    if self.joint:
                        state = Derivative(Quantity(self.joint, t), goal, stacked=node.stacked)
                        found = found + self._reads_words(ring, t, scored, env) * ring.leaf(state)
                return found
            if wrt.name == self.joint and wrt.step is not None:
                for t in range(wrt.step, T + 1):
                    arrives = ring.leaf(self.transition(Place("", t), Place("", wrt.step)))
                    found = found + self._reads_words(ring, t, scored, env) * arrives
                return found
            return None

        return premise

    def _reads_words(self, ring: Letters, t: int, scored: tuple[int, ...], env: Env) -> Words:
        if self.model.losses == "last" and t not in scored:
            return NOTHING
        found: Words = worth(self.reads(Place("", t)), env, ring)
        return found

    def _loss_entry_words(self, ring: Letters, t: int, env: Env) -> Words:
        if self.kind == "input" and t != env["s"]:
            return NOTHING
        found = NOTHING
        for block in self.loss_entries:
            if self.kind != "initial" or (block.lag is not None and t - block.lag == self.goal.step):
                found = found + worth(self.weighted(self.block(block, Place("", t))), env, ring)
        return found

    def _state_words(self, ring: Letters, t: int, env: Env) -> Words:
        """∂S_t/∂θ by the chain rule, step by step; 0 for the states that are held."""
        if t <= env.get("held", t - 1):
            return NOTHING
        if t < 1:
            if self.kind != "initial" or t != self.goal.step or not self.entries:  # what no state reads leads nowhere
                return NOTHING
            return letter(f"∂{self.joint}_{t}/∂{self.goal}") if self.joint != self.goal.name else UNIT
        found = NOTHING
        if self.kind == "input" and t == env["s"] and self.entries:
            return letter(f"∂{self.joint}_{t}/∂{self.goal.name}_{t}")  # what x_s does within its step has this name too
        if self.kind == "parameter":
            found = worth(self.entry(Place("", t)), env, ring)
        elif self.kind == "initial" and not self.single:
            for block in self.entries_at(t):
                found = found + worth(self.block(block, Place("", t)), env, ring)
        for m in self.lags:
            if t - m >= (0 if self.single else 1):
                found = found + self._jacobian_words(m, t) * self._state_words(ring, t - m, env)
        return found

    def _jacobian_words(self, lag: int, t: int) -> Words:
        return letter(f"J{lag}_{t}")

    def _transition_words(self, ring: Letters, t: int, k: int) -> Words:
        """∂S_t/∂S_k by the chain rule, by the last step."""
        if t <= k:
            return UNIT if t == k else NOTHING
        found = NOTHING
        for m in self.lags:
            found = found + self._jacobian_words(m, t) * self._transition_words(ring, t - m, k)
        return found


def first_kept(kind: str) -> Latest | ChunkStart:
    """The first entry step that a truncation keeps for the loss at t: max(1, t − τ), or where t's chunk begins."""
    return Latest(FIRST, Place("t", 0, "tau")) if kind == "lag" else ChunkStart(NOW)


def at_last(term: Term) -> Term:
    """A term in t, at t = T."""
    return rebuilt(term, _to_last)


def _to_last(term: Term) -> Term:
    def place(p: Place) -> Place:
        return replace(p, index="T") if p.index == "t" else p

    def when(p: When) -> When:
        match p:
            case Latest(one, other):
                return Latest(place(one), place(other))
            case ChunkStart(of) | Borders(of) | Jumps(of):
                return replace(p, of=place(of))
        return place(p)

    match term:
        case Sum(low=low, high=high) | Ordered(low=low, high=high):
            return replace(term, low=when(low), high=when(high))
        case Raised(exponent=exponent):
            return Raised(
                term.base,
                place(exponent)
                if isinstance(exponent, Place)
                else Jumps(place(exponent.of), exponent.longest, exponent.offset),
            )
        case Steps(at):
            return Steps(when(at))
    return moved(term, {"t": Place("T")}) if is_leaf(term) else term


def resolve_goal(model: Model, name: str) -> Quantity:
    """What can be proved for every T: a parameter, an initial state, and the input x_s of any step s.

    >>> from rnn_symbolic.model import unroll
    >>> resolve_goal(unroll("elman"), "x_s")
    Quantity(name='x', step=0, index='s')
    """
    if name == "x_s" and model.cell.uses_input and "x_s" not in model.cell.parameters:
        return Quantity("x", 0, "s")
    known = [*map(str, model.parameters), *map(str, model.initial_states), *(["x_s"] if model.cell.uses_input else [])]
    if name in known:
        return model.resolve(name)
    base, _, step = name.rpartition("_")
    hint = suggest(name, known)
    if base == "x" and step.isdigit() and model.cell.uses_input:
        hint = " For the input of any step s write x_s."
    elif base in model.named and step.isdigit():
        hint = " A quantity of one step has a derivation for one T: see derive."
    raise InputError(f"{name!r} has no proof for every T; there is one for {', '.join(known)}.{hint}")


def default_goals(model: Model) -> tuple[Quantity, ...]:
    """Every parameter, every initial state, and the input."""
    inputs = (Quantity("x", 0, "s"),) if model.cell.uses_input else ()
    return (*model.parameters, *model.initial_states, *inputs)
