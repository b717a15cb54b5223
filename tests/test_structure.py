"""`verify` refuses a derivation with a line missing, doubled, out of place, or with the wrong rule or route.

None of these changes a value, so only the comparison with what the table gives can see them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from rnn_symbolic.derivation import Derivation, Part, Section, derive_gradient
from rnn_symbolic.forms import Rule
from rnn_symbolic.model import unroll
from rnn_symbolic.table import Edge, Factor, LocalRule
from rnn_symbolic.verification import Check


def altered(derivation: Derivation, part: Part, change: Callable[[Section], Section | None]) -> Derivation:
    """The derivation with one section changed, or dropped."""
    sections = (change(section) if section.part is part else section for section in derivation.sections)
    return replace(derivation, sections=tuple(section for section in sections if section is not None))


CHANGES: dict[str, Callable[[Section], Section | None]] = {
    "first line dropped": lambda section: replace(section, steps=section.steps[1:]),
    "last line dropped": lambda section: replace(section, steps=section.steps[:-1]),
    "first line doubled": lambda section: replace(section, steps=(section.steps[0], *section.steps)),
    "section dropped": lambda section: None,
    "rule changed": lambda section: replace(
        section, steps=(replace(section.steps[0], rule=Rule.NO_PATH), *section.steps[1:])
    ),
    "a line that says nothing": lambda section: replace(
        section, steps=(replace(section.steps[0], after=section.steps[0].before), *section.steps[1:])
    ),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("part", Part)
@pytest.mark.parametrize("steps", [3, 8])
def test_a_line_out_of_place_is_refused(part: Part, change: str, steps: int) -> None:
    derivation = derive_gradient(unroll("elman", steps=steps), "W_x")
    assert derivation.verify(symbolic=False).passed
    found = altered(derivation, part, CHANGES[change]).verify(symbolic=False)
    assert not found.passed
    structure = found.finding(Check.STRUCTURE)
    assert structure is not None and structure.status == "failed"


def test_routes_that_belong_to_other_paths_are_refused() -> None:
    derivation = derive_gradient(unroll("elman", steps=3), "W_x")

    def swap(section: Section) -> Section:
        subjects = [step.subject for step in section.steps]
        steps = (replace(s, subject=q) for s, q in zip(section.steps, reversed(subjects), strict=True))
        return replace(section, steps=tuple(steps))

    assert not altered(derivation, Part.PATHS, swap).verify(symbolic=False).passed


def test_lines_in_another_order_are_refused() -> None:
    derivation = derive_gradient(unroll("elman", steps=3), "h_0")
    for part in (Part.FORWARD, Part.IMMEDIATE, Part.STATES, Part.PATHS):
        turned = altered(derivation, part, lambda section: replace(section, steps=section.steps[::-1]))
        assert not turned.verify(symbolic=False).passed, part


def test_a_row_with_a_false_reason_is_refused() -> None:
    """The values are right, the rules that the reasons are taken from are not."""
    model = unroll("elman", steps=3)

    def misnamed(edge: Edge) -> Edge:
        return replace(edge, terms=tuple(tuple(Factor(LocalRule.POWER, f.value) for f in term) for term in edge.terms))

    wrong = replace(model, table=tuple(map(misnamed, model.table)))
    found = derive_gradient(wrong, "W_x").verify(symbolic=False)
    assert not found.passed
    assert {f.check for f in found.findings if f.status == "failed"} == {Check.STRUCTURE}


def test_a_spoiled_row_is_refused_by_numbers_too() -> None:
    """The comparison with the table is not all that refuses: the lines and the gradient fail by themselves."""
    model = unroll("elman", steps=3)
    for i, edge in enumerate(model.table):
        if edge.tail.name not in ("a", "o", "h", "y"):
            continue
        twice = replace(edge, terms=edge.terms + edge.terms)
        wrong = replace(model, table=(*model.table[:i], twice, *model.table[i + 1 :]))
        found = derive_gradient(wrong, "W_h").verify(symbolic=False)
        failed = {f.check for f in found.findings if f.status == "failed"}
        assert {Check.STRUCTURE, Check.LINES, Check.GRADIENT} <= failed, f"{edge.head} <- {edge.tail}"
