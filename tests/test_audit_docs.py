"""docs/audit.md: the catalogue is what the audit answers now, with every kind in it. (Its examples run as doctests.)"""

from __future__ import annotations

import audit_catalogue
import pytest
from audit_catalogue import DOCUMENT, EXAMPLES, MEANINGS, PROGRAMS, SECTIONS, Example, Program, answers, section_of

import rnn_symbolic as rs
from rnn_symbolic.auditing.records import KINDS

TEXT = DOCUMENT.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", SECTIONS)
def test_the_section_is_what_the_generator_gives(name: str) -> None:
    assert section_of(TEXT, name) == SECTIONS[name](), "run: python tests/audit_catalogue.py --write"


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_the_programs_are_right_as_they_stand(program: Program) -> None:
    assert rs.audit(program.cell, function=program.function(), **program.options).verdict == "correct"


@pytest.mark.parametrize("place", range(len(EXAMPLES)), ids=lambda place: f"{EXAMPLES[place].kind}-{place}")
def test_every_example_is_answered_with_its_kind(place: int) -> None:
    example, found = answers()[place]
    assert found.verdict == "wrong"
    assert {finding.kind for finding in found.wrong} == {example.kind}
    assert all(finding.parts for finding in found.wrong)


def test_all_kinds_are_there() -> None:
    assert list(MEANINGS) == [kind for kind in KINDS if kind != "unknown"]
    assert {example.kind for example in EXAMPLES} == set(MEANINGS)
    headings = [line.removeprefix("### ") for line in TEXT.splitlines() if line.startswith("### `")]
    assert headings == [f"`{kind}`" for kind in KINDS]


def test_the_usual_check_is_computed_for_every_example() -> None:
    for example, found in answers():
        checks = [finding.usual for finding in found.wrong]
        assert all(check is not None and check.passed == (check.error <= check.tolerance) for check in checks), example
    assert len(audit_catalogue.usual().splitlines()) == len(EXAMPLES) + 2


def test_an_edit_that_does_not_fit_is_noticed() -> None:
    with pytest.raises(AssertionError, match="no such line"):
        Example("sign", "", (("no such line", ""),)).audit()
