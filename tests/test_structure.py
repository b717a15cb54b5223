"""`verify` refuses a derivation with a line missing, doubled, out of place, or with the wrong rule or route.

None of these changes a value, so only the comparison with what the table gives can see them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from rnn_symbolic.derivation import Derivation, derive_gradient
from rnn_symbolic.expressions import Quantity, add
from rnn_symbolic.forms import Rule, Step, Written
from rnn_symbolic.model import unroll
from rnn_symbolic.sections import Part, Section
from rnn_symbolic.table import Edge, Factor, LocalRule
from rnn_symbolic.verification import Check


def altered(derivation: Derivation, part: Part, change: Callable[[Section], Section | None]) -> Derivation:
    """The derivation with one section changed, or dropped."""
    sections = (change(section) if section.part is part else section for section in derivation.sections)
    return replace(derivation, sections=tuple(section for section in sections if section is not None))


def first_line(section: Section, **changes: Any) -> Section:
    return replace(section, steps=(replace(section.steps[0], **changes), *section.steps[1:]))


def swapped(section: Section) -> Section:
    """The first two lines in the other order; of a single line, its sides."""
    first, *rest = section.steps
    if not rest:
        return first_line(section, before=first.after, after=first.before)
    return replace(section, steps=(rest[0], first, *rest[1:]))


def altered_line(section: Section) -> Section:
    """Both sides doubled: the values agree, and it is not what the table gives."""
    first = section.steps[0]
    if not isinstance(first.before, Written) or not isinstance(first.after, Written):
        return first_line(section, after=first.before)
    before, after = (Written(add(side.expression, side.expression)) for side in (first.before, first.after))
    return first_line(section, before=before, after=after)


CHANGES: dict[str, Callable[[Section], Section | None]] = {
    "first line dropped": lambda section: replace(section, steps=section.steps[1:]),
    "last line dropped": lambda section: replace(section, steps=section.steps[:-1]),
    "first line doubled": lambda section: replace(section, steps=(section.steps[0], *section.steps)),
    "two lines swapped": swapped,
    "a line altered on both sides": altered_line,
    "section dropped": lambda section: None,
    "rule changed": lambda section: first_line(section, rule=Rule.NO_PATH),
    "another subject": lambda section: first_line(section, subject=Quantity("h", 77)),
    "a line that says nothing": lambda section: first_line(section, after=section.steps[0].before),
}


def parts(derivation: Derivation) -> list[Part]:
    return [section.part for section in derivation.sections]


JOINT = (Part.BLOCKS, Part.ENTRIES)
DERIVATIONS: dict[str, tuple[str, dict[str, Any], str, list[Part]]] = {
    "elman": ("elman", {}, "W_x", [part for part in Part if part not in JOINT]),
    "elman, T = 8": ("elman", {"steps": 8}, "W_x", [part for part in Part if part not in JOINT]),
    "elman, matrices": (
        "elman",
        {"form": "matrix", "loss": "cross-entropy", "output_activation": "softmax", "steps": 2},
        "W_x",
        [part for part in Part if part not in (*JOINT, Part.COLLECTED)],
    ),
    "linear, matrices": ("linear", {"form": "matrix"}, "W_h", [part for part in Part if part not in JOINT]),
    "lstm": ("lstm", {"steps": 2}, "W_f", [part for part in Part if part not in (Part.OUTPUTS, Part.COLLECTED)]),
    "lstm, matrices": (
        "lstm",
        {"form": "matrix", "steps": 2},
        "h_0",
        [part for part in Part if part not in (Part.OUTPUTS, Part.COLLECTED)],
    ),
    "gru, matrices": (
        "gru",
        {"form": "matrix", "steps": 2},
        "W_n",
        [part for part in Part if part not in (Part.OUTPUTS, Part.COLLECTED)],
    ),
}


@pytest.mark.parametrize("name", DERIVATIONS)
def test_a_line_out_of_place_is_refused(name: str) -> None:
    cell, options, goal, expected = DERIVATIONS[name]
    derivation = derive_gradient(unroll(cell, **options), goal)
    assert parts(derivation) == expected
    assert derivation.verify(symbolic=False).passed
    for part in expected:
        for how, change in CHANGES.items():
            changed = altered(derivation, part, change)
            assert changed != derivation, f"{part}: {how} changes nothing"
            found = changed.verify(symbolic=False)
            structure = found.finding(Check.STRUCTURE)
            assert not found.passed and structure is not None and structure.status == "failed", f"{part}: {how}"


def test_a_small_move_out_of_place_is_refused() -> None:
    """The lines within a line: of the collapse of softmax and cross-entropy, of ∂L/∂h_t."""
    for options in ({}, {"form": "matrix", "loss": "cross-entropy", "output_activation": "softmax"}):
        derivation = derive_gradient(unroll("elman", steps=2, **options), "W_x")
        for part in (Part.IMMEDIATE, Part.STATES, Part.COLLECTED):
            for i, step in enumerate(derivation.section(part).steps):
                for small in (step.substeps[1:], step.substeps[::-1], (*step.substeps[:1], *step.substeps)):
                    if small == step.substeps:
                        continue

                    def change(section: Section, i: int = i, step: Step = step, small: Any = small) -> Section:
                        bad = replace(step, substeps=small)
                        return replace(section, steps=(*section.steps[:i], bad, *section.steps[i + 1 :]))

                    assert not altered(derivation, part, change).verify(symbolic=False).passed, (part, step)


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
