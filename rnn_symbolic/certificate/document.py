"""A certificate as one file: the general theorem, a cell's local lemmas, and what follows for every T."""

from __future__ import annotations

import re

from rnn_symbolic.cells import Cell
from rnn_symbolic.certificate.checker import theorems_of
from rnn_symbolic.certificate.concrete import concrete_theorem
from rnn_symbolic.certificate.double_sum import double_sum, has_double_sum
from rnn_symbolic.certificate.goals import Goal
from rnn_symbolic.certificate.network import Network
from rnn_symbolic.certificate.spelled import INSTANCE, has_instance, spelled_out
from rnn_symbolic.certificate.terms import concrete_theory, theory
from rnn_symbolic.certificate.vector_counting import small_numbers
from rnn_symbolic.certificate.vector_goals import VectorGoal
from rnn_symbolic.certificate.vector_network import VectorNetwork
from rnn_symbolic.errors import InputError
from rnn_symbolic.frozen import frozen
from rnn_symbolic.model import Model, unroll


@frozen
class Certificate:
    """A file for Coq: its text, and the theorem that it is about."""

    text: str
    theorem: str

    @property
    def theorems(self) -> tuple[str, ...]:
        """Every theorem in it, by name."""
        return theorems_of(self.text)

    def __str__(self) -> str:
        return self.text


def coq_certificate(source: str | Cell | Model = "elman", goal: str = "", *, concrete: bool = False) -> Certificate:
    """The file that proves dL/dgoal = Σ over paths for every T; ``goal`` is a parameter or an initial state.

    Without a goal it is the first parameter. Only the cell's local lemmas are made here, from the rows of
    ``model.table``; the theorem that they are put into is written by hand and the same for all cells.

    The functions of the cell are any with the right derivatives; with ``concrete`` a further theorem puts Coq's own
    tanh, exp, … in their place, which are built on more axioms.

    >>> certificate = coq_certificate("elman", "W_x")
    >>> certificate.theorem, certificate.theorems[-4:]
    ('dL_dW_x', ('article_six_paths', 'article_three_paths', 'double_sum', 'article_not_whole_loss'))
    """
    model = source if isinstance(source, Model) else unroll(source)
    if not goal and not (model.parameters or model.initial_states):
        raise InputError(f"{model.cell.name} has neither a parameter nor a state that L could be differentiated by")
    quantity = model.resolve(goal) if goal else (model.parameters or model.initial_states)[0]
    found = VectorGoal(VectorNetwork(model), quantity) if model.form == "matrix" else Goal(Network(model), quantity)
    network = found.network
    section = [
        _title("The cell"),
        "Set Primitive Projections.  (* a point is equal to the record of its fields *)",
        "Section Certificate.",
        network.opening(),
        "(* Each equation, its immediate partials as the table has them, and the proof that the table is right. *)",
        *(e.definitions() for e in network.equations),
        _title("All steps"),
        network.recursion(),
        network.table(),
        *([network.regular()] if network.conditional else []),
        _title(f"The derivative by {found.name}"),
        found.text(),
        "" if model.form == "matrix" else spelled_out(found),
        double_sum(found) if model.form == "scalar" and has_double_sum(found) else "",
    ]
    parts = [
        _heading(model, found),
        theory().rstrip(),
        *([concrete_theory()] if concrete else []),
        *(["Require FunctionalExtensionality."] if model.form == "matrix" else []),
        *section,
        "End Certificate.",
    ]
    if isinstance(found, VectorGoal):
        parts.append(small_numbers(found))
    if concrete:
        parts.append(concrete_theorem(found, "\n\n".join(section)))
    if model.form == "scalar" and has_instance(found):
        parts.append(INSTANCE)
    lines = "\n\n".join(part.rstrip() for part in parts if part).splitlines()
    return Certificate("\n".join(line.rstrip() for line in lines) + "\n", found.theorem)


def _title(text: str) -> str:
    return f"(* {f' {text} ':-^114} *)"


def _in_comment(line: str) -> str:
    """A line that neither opens nor closes a comment, nor a string in it."""
    return line.replace("(*", "( *").replace("*)", "* )").replace('"', "'").encode("ascii", "replace").decode()


def _heading(model: Model, goal: Goal) -> str:
    """What the file says, in words."""
    lines = [_in_comment(line.partition("#")[0].rstrip()) for line in model.cell.text.splitlines()]
    name = re.sub(r"[^A-Za-z0-9_ .,+-]", "_", model.cell.name)
    losses = "l_T" if model.losses == "last" else "l_1 + ... + l_T"
    return "\n".join(
        [
            f"(* dL/d{goal.quantity} of the cell {name}, L = {losses}, for every number of steps T:",
            "   the sum over all paths of the products of local derivatives is the derivative.",
            "",
            *(f"     {line}" for line in lines if line),
            "",
            f"   Main theorem: {goal.theorem}. Made by rnn-symbolic; check it with: coqc FILE.v *)",
        ]
    )
