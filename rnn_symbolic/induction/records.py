"""What a proof for every T is made of: lines with their reasons, parts, theorems."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from itertools import pairwise

from rnn_symbolic.expressions import Quantity
from rnn_symbolic.frozen import frozen
from rnn_symbolic.induction.terms import Env, Term, When


class Why(Enum):
    """Why a line of a proof holds; each value is the reason's stable code."""

    CLAIM = "claim"  # what is to be proved
    RECURRENCE = "recurrence"  # the recurrence of the lemma, at this step
    HYPOTHESIS = "hypothesis"  # the statement one step earlier
    HYPOTHESES = "hypotheses"  # the statement at all earlier steps
    EMPTY = "empty"  # empty sums are 0, empty products the identity
    DISTRIBUTE = "distribute"  # c (u + v) = c u + c v
    JOIN_LEFT = "join-left"  # c_t Π_{j=t−1↘i+1} c_j = Π_{j=t↘i+1} c_j
    JOIN_RIGHT = "join-right"  # (Π_{j=t↘k+2} c_j) c_{k+1} = Π_{j=t↘k+1} c_j
    LAST_TERM = "last-term"  # a further term of the sum
    EXCHANGE = "exchange"  # the order of summation over a triangle
    VANISH = "vanish"  # further terms, which are 0: no state depends on a later one
    FIRST_STEP = "first-step"  # ways sorted by their first step instead of their last
    CHAIN_RULE = "chain-rule"  # one step, differentiated
    CHAIN_RULE_LOSS = "chain-rule-loss"  # L, differentiated through the states that it reads
    DEFINITION = "definition"  # what a letter stands for
    START = "start"  # the derivative of the initial state
    BEFORE = "before"  # before its step an input has not entered
    LEMMA = "lemma"  # the lemma with these letters
    THEOREM = "theorem"  # a statement proved before
    TABLE = "table"  # the local derivatives of the cell
    COLLECT = "collect"  # numbers commute
    POWERS = "powers"  # Π_j W = W^{t−k}: equal factors
    LAYOUT = "layout"  # (A B)ᵀ = Bᵀ Aᵀ
    OUTER = "outer"  # by a matrix: an outer product
    SPLIT = "split"  # the first term by itself
    ONLY_LOSS = "only-loss"  # it does not enter the state
    REST = "rest"  # what two sums do not have in common
    ROUTES = "routes"  # the numbers of routes through one step multiply
    LAGS = "lags"  # the paths of one loss, by their lag
    ADDED = "added"  # a constant or geometric sum
    SEQUENCE = "sequence"  # two sequences with recurrences, equal at first
    NEW = "new"  # what one step more adds
    ONLY_LAST = "only-last"  # only the last loss is scored
    DROPPED = "dropped"  # all paths less those that are kept
    SUBMULTIPLICATIVE = "submultiplicative"  # ‖A B‖ ≤ ‖A‖ ‖B‖
    TRIANGLE = "triangle"  # ‖A + B‖ ≤ ‖A‖ + ‖B‖
    FACTOR_NORMS = "factor-norms"  # each factor of one step by its norm
    GREATEST = "greatest"  # each factor by the greatest of its kind
    GEOMETRIC = "geometric"  # Σ q^i ≤ …/(1 − q)


class Piece(Enum):
    """The parts of a proof, in order; each value is the part's stable code."""

    PREMISES = "premises"
    BASE = "base"
    STEP = "step"
    DIRECT = "direct"  # a proof without induction
    CONCLUSION = "conclusion"
    CELL = "cell"  # the statement for this cell, from the table
    REMARK = "remark"


class Topic(Enum):
    """What a theorem is about; each value is the theorem's stable code."""

    LEMMA = "lemma"
    TRANSITION = "transition"
    STATE = "state"
    GRADIENT = "gradient"
    COUNT = "count"
    ADJOINT = "adjoint"
    BACKWARD = "backward"
    BOUND = "bound"
    LAG = "truncation-lag"
    DETACH = "truncation-detach"


@frozen
class Range:
    """The steps that a free index may stand for; the bounds may mention indices of earlier ranges."""

    index: str
    low: When
    high: When


@frozen
class Line:
    """``before`` = ``after`` (or ≤) for all free indices in their ranges, because of ``why``.

    ``algebra`` says that the line follows from the premises by the algebra of things that do not commute; ``given`` is
    a bound q: the line holds where q < 1.
    """

    why: Why
    before: Term
    after: Term
    ranges: tuple[Range, ...] = ()
    relation: str = "="
    algebra: bool = True
    given: Term | None = None

    def instances(self, env: Env) -> Iterator[dict[str, int]]:
        """The numbers that the free indices may stand for."""

        def further(ranges: tuple[Range, ...], env: dict[str, int]) -> Iterator[dict[str, int]]:
            if not ranges:
                yield env
                return
            first, *rest = ranges
            for number in range(first.low.at(env), first.high.at(env) + 1):
                yield from further(tuple(rest), {**env, first.index: number})

        return further(self.ranges, dict(env))


@frozen
class Part:
    """A part of a proof: its lines, and the key of its words where they depend on more than the theorem's kind."""

    piece: Piece
    lines: tuple[Line, ...] = ()
    key: str = ""


@dataclass(frozen=True)
class Theorem:
    """A statement and its proof; ``kind`` chooses among the wordings of a topic, ``facts`` fill their places."""

    topic: Topic
    claims: tuple[Line, ...]
    parts: tuple[Part, ...]
    goal: Quantity | None = None
    kind: str = ""
    facts: Mapping[str, object] = field(default_factory=dict, compare=False)

    @property
    def lines(self) -> tuple[Line, ...]:
        """The claims and every line of the proof."""
        return (*self.claims, *(line for part in self.parts for line in part.lines))

    def part(self, piece: Piece) -> Part:
        """The first part of a kind; an empty one where there is none."""
        return next((part for part in self.parts if part.piece is piece), Part(piece))


def chained(whys: tuple[Why, ...], terms: tuple[Term, ...], ranges: tuple[Range, ...] = ()) -> tuple[Line, ...]:
    """u = v = w as lines: each term equals the one before it, for its own reason."""
    steps = zip(whys, pairwise(terms), strict=True)
    return tuple(Line(why, before, after, ranges) for why, (before, after) in steps)
