r"""The theorem about the functions that are meant: Coq's own tanh, exp, … in the place of any with their derivatives.

A certificate proves its theorems in a section, for any sizes and functions. What is defined there takes, once the
section is closed, those of its variables that it depends on; here they are read off the text, in their order.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from rnn_symbolic.certificate.functions import variables
from rnn_symbolic.certificate.goals import Goal
from rnn_symbolic.certificate.terms import WORD
from rnn_symbolic.errors import InputError

COMMAND = re.compile(r"^(?:Definition|Fixpoint) ([\w']+)((?:.|\n(?!\n|[A-Z(]))*)", re.MULTILINE)


def arguments_of(text: str, wanted: Iterable[str]) -> dict[str, list[str]]:
    """The section variables among ``wanted`` that each definition of the text takes, in the order of ``wanted``.

    >>> arguments_of("Definition a := f 1.\\nDefinition b :=\\n  a + g.\\nDefinition c := 0.", ["g", "f"])
    {'a': ['f'], 'b': ['g', 'f'], 'c': []}
    """
    order = list(wanted)
    depends: dict[str, set[str]] = {}
    for name, body in COMMAND.findall(text):
        words = set(WORD.findall(body))
        depends[name] = words.intersection(order).union(*(depends[word] for word in words & depends.keys()))
    return {name: [variable for variable in order if variable in found] for name, found in depends.items()}


def concrete_theorem(goal: Goal, section: str) -> str:
    """dL/dgoal once more, with its statement spelled out; ``section`` is the text that it follows from."""
    network = goal.network
    if not network.functions:
        raise InputError(
            f"{network.model.cell.name} mentions no function of Coq's own such as tanh, exp or log, so there is no "
            f"concrete theorem; choose an activation, or leave concrete out"
        )
    abstract = network.abstract_types
    meant = {**{name: name for name in (*network.sizes, *abstract)}, **variables(network.functions)}
    order = [*network.sizes, *variables(network.functions), *abstract]
    taken = arguments_of(section, order)

    def given(name: str) -> str:
        return " ".join([name, *(meant[variable] for variable in taken[name])])

    asked = ["L", goal.paths, goal.product, *(["regular"] if network.conditional else [])]
    needed = set(WORD.findall(goal.inside)).union(*(taken[name] for name in asked))
    sizes = [size for size in network.sizes if size in needed]
    kinds = dict.fromkeys(abstract.values())
    bound = [f"({' '.join(sizes)} : nat)"] if sizes else []
    bound += [
        f"({' '.join(name for name in abstract if abstract[name] == kind and name in needed)} : {kind})"
        for kind in kinds
        if any(abstract[name] == kind and name in needed for name in abstract)
    ]
    last = network.model.losses == "last"
    premises = ("(1 <= T)%nat -> " if last else "") + goal.inside
    premises += f"{given('regular')} p T ->" if network.conditional else ""
    slopes = [f"exact {function.proof}" for function in network.functions if function.proof]
    place = goal.place
    return "\n".join(
        [
            "(* The same for the functions that are meant: those of the standard library. *)",
            f"Theorem {goal.theorem}_concrete : forall {' '.join([*bound, '(p : point)'])}{goal.bound} (T : nat),",
            *([f"  {premises}"] if premises else []),
            f"  derivable_pt_lim (fun z => {given('L')} ({goal.moved} p{place} z) T) {goal.at}",
            f"    (over ({given(goal.paths)}{place} T) ({given(goal.product)} p{place})).",
            "Proof.",
            f"  intros. eapply {goal.theorem}; first [{' | '.join([*slopes, 'eassumption'])}].",
            "  Unshelve. all: exact 0%nat. (* a size that the theorem does not depend on *)",
            "Qed.",
        ]
    )
