"""A derivation with blanks: which places are left open, and what belongs there."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction

from rnn_symbolic.exercises.problems import Term, derive_terms, draw_problem, model_of
from rnn_symbolic.exercises.records import Blank, BlankExercise
from rnn_symbolic.exercises.writing import BLANK, formula_text
from rnn_symbolic.expressions import Chain, Expression, Multiply, Number, Quantity, StepLoss, Transpose, transform, walk
from rnn_symbolic.frozen import frozen
from rnn_symbolic.jacobians import Names

LEFT_OPEN = {
    (1, False): ("factor", "index", "factor"),
    (2, False): ("term", "factor", "index", "factor"),
    (3, False): ("term", "factor", "factor", "index", "factor"),
    (3, True): ("transposed", "pair", "factor", "index"),
}
"""By level, and whether matrices stand in it: what is left open."""


@frozen
class _Place:
    """Factors first … last of a term; ``quantity`` is the one whose step is left open."""

    term: int
    first: int
    last: int
    what: str
    quantity: Quantity | None = None


def make_blank(seed: int, level: int, rng: random.Random) -> BlankExercise:
    """A derivation with blanks, drawn from ``rng``."""
    problem, name = draw_problem(rng, level)
    model = model_of(problem)
    goal = model.resolve(name)
    derivation, terms = derive_terms(model, goal, problem.granularity)
    places = _choose(terms, LEFT_OPEN[level, model.form == "matrix"], rng)
    blanks: list[Blank] = []
    shown = list(terms)
    for number, place in enumerate(places, 1):
        blanks.append(_blank(number, terms[place.term], place, model.names))
    for number, place in reversed(list(enumerate(places, 1))):  # from the right, so that places stay where they are
        shown[place.term] = _opened(shown[place.term], place, number)
    return BlankExercise(seed, level, problem, model, (goal,), derivation, terms, tuple(shown), tuple(blanks))


def _choose(terms: tuple[Term, ...], wanted: tuple[str, ...], rng: random.Random) -> list[_Place]:
    """Places that do not touch each other, in the order in which they are read."""
    found: list[_Place] = []
    answers: list[tuple[Expression, ...]] = []
    for what in wanted:
        free = [place for place in _places(terms, what) if _is_free(place, found, terms)]
        fresh = [place for place in free if _answer(terms, place) not in answers]  # not the same thing twice
        if fresh or free:
            place = rng.choice(fresh or free)
            found.append(place)
            answers.append(_answer(terms, place))
    return sorted(found, key=lambda place: (place.term, place.first))


def _answer(terms: tuple[Term, ...], place: _Place) -> tuple[Expression, ...]:
    return terms[place.term].factors[place.first : place.last + 1]


def _is_free(place: _Place, found: list[_Place], terms: tuple[Term, ...]) -> bool:
    """Whether a place touches no other, and leaves its term something to be recognised by."""
    beside = [other for other in found if other.term == place.term]
    if place.what == "term" or any(other.what == "term" for other in beside):
        return not beside
    near = any(place.first <= other.last + 1 and other.first <= place.last + 1 for other in beside)
    covered = sum(other.last - other.first + 1 for other in (*beside, place))
    return not near and len(beside) < 2 and covered * 2 <= len(terms[place.term].factors)


def _places(terms: tuple[Term, ...], what: str) -> Iterator[_Place]:
    for i, term in enumerate(terms):
        last = len(term.factors) - 1
        if what == "term":
            yield _Place(i, 0, last, what)
            continue
        for j, factor in enumerate(term.factors):
            if isinstance(factor, Number | StepLoss):  # ℓ' is where every path starts
                continue
            everywhere = all(factor in other.factors for other in terms)  # W_y may be copied from the line above
            if (what == "factor" and not everywhere) or (what == "transposed" and _is_transposed(factor)):
                yield _Place(i, j, j, "factor")
            elif what == "pair" and j < last and not isinstance(term.factors[j + 1], Number | StepLoss):
                yield _Place(i, j, j + 1, what)
            elif what == "index":
                quantity = next((q for q in walk(factor) if isinstance(q, Quantity) and q.step is not None), None)
                at_loss = quantity is not None and quantity.step == term.loss_step  # o_3 behind ℓ'_3 asks for nothing
                if quantity is not None and not at_loss:
                    yield _Place(i, j, j, what, quantity)


def _is_transposed(factor: Expression) -> bool:
    return isinstance(factor, Transpose) and isinstance(factor.of, Quantity) and factor.of.step is None


def _blank(number: int, term: Term, place: _Place, names: Names) -> Blank:
    if place.quantity is not None and place.quantity.step is not None:
        return Blank(number, place.what, str(place.quantity.step), Number(Fraction(place.quantity.step)))
    factors = term.factors[place.first : place.last + 1]
    answer = factors[0] if len(factors) == 1 else Chain(factors) if term.matrix else Multiply(factors)
    text = formula_text(answer, names)
    if len(factors) == 1 and len(term.factors) > 1 and " " in text.partition("(")[0] + text.rpartition(")")[2]:
        text = f"({text})"  # a sum among factors
    return Blank(number, place.what, text, answer)


def _opened(term: Term, place: _Place, number: int) -> Term:
    """The term with the place left open."""
    if place.quantity is not None:
        asked = place.quantity

        def visit(node: Expression) -> Expression:
            return Quantity(node.name, 0, f"{BLANK}{number}") if isinstance(node, Quantity) and node == asked else node

        opened: Expression = transform(term.factors[place.first], visit)
    else:
        opened = Quantity(f"{BLANK}{number}")
    factors = (*term.factors[: place.first], opened, *term.factors[place.last + 1 :])
    return replace(term, factors=factors)
