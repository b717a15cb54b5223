r"""Somebody else's verdict: Coq's compiler reads a certificate, and says what each theorem assumes.

A certificate is accepted if Coq accepts every proof in it and no theorem assumes more than the two axioms on which
Coq's real numbers stand: sig_forall_dec (a search over ℕ decides a decidable property) and functional extensionality.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from rnn_symbolic.errors import InputError

ALLOWED = (
    "ClassicalDedekindReals.sig_forall_dec",
    "FunctionalExtensionality.functional_extensionality_dep",
)
"""What Coq's library of real numbers assumes itself."""

ALLOWED_CONCRETE = (*ALLOWED, "ClassicalDedekindReals.sig_not_dec", "Classical_Prop.classic")
"""What its exponential function and its logarithm assume besides: for statements about these functions alone."""

SECONDS = 60.0
"""The limit on a check."""

FORBIDDEN = re.compile(
    r"\b(?:Admitted|admit|give_up|Axioms?|Parameters?|Conjectures?|Unset|Load|Redirect|Extraction|Declare|Cd|Print|Eval)\b"
)
"""What no certificate contains: holes, postulates, and what would write files or switch checks off."""

HOW_TO_GET_COQ = (
    "coqc, the compiler of the proof checker Coq, is not on the PATH; install Coq (8.16 is known to do), on Debian or "
    "Ubuntu with 'apt-get install coq', elsewhere see https://rocq-prover.org"
)


@dataclass(frozen=True, slots=True)
class CertificateCheck:
    """What Coq said about a certificate; ``failure`` says where it stopped, or what is assumed too much.

    ``assumptions`` are those of all theorems together. ``concrete`` is the main theorem with Coq's own tanh, exp, … in
    the place of any functions with the right derivatives, and ``concrete_assumptions`` what these stand on.
    """

    accepted: bool
    theorems: tuple[str, ...] = ()
    assumptions: tuple[str, ...] = ()
    concrete: str = ""
    concrete_assumptions: tuple[str, ...] = ()
    failure: str = ""

    @property
    def line(self) -> str:
        """The verdict in one line."""
        if not self.accepted:
            return str(self)
        about = dict.fromkeys((*self.assumptions, *self.concrete_assumptions))
        return f"accepted by Coq: {', '.join(self.theorems)}; assumptions: {', '.join(about) or 'none'}"

    def __str__(self) -> str:
        if not self.accepted:
            return f"refused: {self.failure}"
        lines = ["accepted by Coq", "theorems:", *(f"  {name}" for name in self.theorems)]
        lines += ["assumptions of all of them together:", *(f"  {name}" for name in self.assumptions or ("none",))]
        if self.concrete:
            lines.append(f"assumptions of {self.concrete}, which is about Coq's own functions:")
            lines += [f"  {name}" for name in self.concrete_assumptions]
        return "\n".join(lines)


def theorems_of(text: str) -> tuple[str, ...]:
    """The theorems of a certificate by name, those of the general part included.

    >>> theorems_of("Lemma a : True.\\nTheorem b : True.\\nTheorem c' : True.")
    ('b', "c'")
    """
    return tuple(re.findall(r"\bTheorem ([\w']+)", without_comments(text)))


def without_comments(text: str) -> str:
    r"""The text with its comments, which may be nested, replaced by blanks.

    >>> without_comments("a (* b (* c *) d *) e")
    'a   e'
    """
    kept, depth, place = [], 0, 0
    for mark in re.finditer(r"\(\*|\*\)", text):
        if not depth:
            kept.append(text[place : mark.start()])
        depth += 1 if mark[0] == "(*" else -1
        place = mark.end()
        if depth < 0:
            raise InputError("the certificate closes a comment that it does not open")
        if not depth:
            kept.append(" ")
    if depth:
        raise InputError("the certificate opens a comment that it does not close")
    return "".join([*kept, text[place:]])


def check_certificate(text: str, timeout: float = SECONDS) -> CertificateCheck:
    """What Coq says about the certificate, within ``timeout`` seconds.

    Raises InputError where there is no coqc.
    """
    compiler = shutil.which("coqc")
    if compiler is None:
        raise InputError(HOW_TO_GET_COQ)
    hole = FORBIDDEN.search(without_comments(text))
    if hole is not None:
        return CertificateCheck(False, failure=f"it contains {hole[0]}, which no certificate may")
    stated = theorems_of(text)
    theorems = tuple(name for name in stated if not name.endswith("_concrete"))
    if not theorems:
        return CertificateCheck(False, failure="it states no theorem")
    concrete = [name for name in stated if name.endswith("_concrete")]
    try:
        answer = _ask(compiler, text, [theorems, *((name,) for name in concrete)], timeout)
        if isinstance(answer, str):
            return CertificateCheck(False, failure=answer)
        if _foreign(answer[0], ALLOWED):
            each = _ask(compiler, text, [(name,) for name in theorems], timeout)
            guilty = (name for name, found in zip(theorems, each, strict=False) if _foreign(found, ALLOWED))
            return _too_much(next(guilty, theorems[-1]), answer[0], ALLOWED)
    except subprocess.TimeoutExpired:
        return CertificateCheck(False, failure=f"Coq did not finish within {timeout:g} s")
    except OSError as error:
        raise InputError(f"{compiler} cannot be run: {error.strerror or error}") from None
    for name, found in zip(concrete, answer[1:], strict=True):
        if _foreign(found, ALLOWED_CONCRETE):
            return _too_much(name, found, ALLOWED_CONCRETE)
    last = (concrete[-1], answer[-1]) if concrete else ("", ())
    return CertificateCheck(True, theorems, answer[0], *last)


def _foreign(axioms: Iterable[str], allowed: tuple[str, ...]) -> list[str]:
    return [name for name in axioms if not name.endswith(allowed)]


def _too_much(theorem: str, axioms: tuple[str, ...], allowed: tuple[str, ...]) -> CertificateCheck:
    return CertificateCheck(False, failure=f"{theorem} assumes {', '.join(_foreign(axioms, allowed))}")


def _ask(compiler: str, text: str, groups: list[tuple[str, ...]], timeout: float) -> list[tuple[str, ...]] | str:
    """The axioms of each group of theorems, or where Coq stopped.

    A group is asked about as one tuple: going through the whole library for each theorem would take a second each.
    """
    asked = ""
    for i, group in enumerate(groups):
        members = ", ".join(f"@{name}" for name in group)
        asked += f'Definition all_of_group_{i} := ({members}).\nGoal True. idtac "@@". Abort.\n'
        asked += f"Print Assumptions all_of_group_{i}.\n"
    with tempfile.TemporaryDirectory(prefix="rnn_symbolic-") as folder:
        path = Path(folder) / "certificate.v"
        path.write_text(f"{text}\n{asked}", encoding="utf-8")
        run = subprocess.run(
            [compiler, "-q", "-w", "+local-declaration", path.name],  # a Variable outside a section is a postulate
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=timeout,
            check=False,
        )
    if run.returncode:
        return _failure(text, run.stderr or run.stdout)
    return [_axioms(answer) for answer in run.stdout.split("@@\n")[1:]]


def _axioms(answer: str) -> tuple[str, ...]:
    """The names in an answer to Print Assumptions; each stands at the beginning of a line, its type after it."""
    if answer.startswith("Closed under the global context"):
        return ()
    return tuple(re.findall(r"^([\w.']+)(?: :|$)", answer.partition("Axioms:")[2], re.MULTILINE)) or (
        "an unknown axiom",
    )


def _failure(text: str, message: str) -> str:
    """Where Coq stopped: the lemma, the line, and Coq's own words."""
    place = re.search(r"line (\d+), characters \d+-\d+:\n(Error:.*)", message, re.DOTALL)
    if place is None:
        return " ".join(message.split())[:300] or "Coq stopped without a word"
    number = int(place[1])
    before = "\n".join(text.splitlines()[:number])
    names = re.findall(r"^(?:Lemma|Theorem|Definition|Fixpoint|Record|Inductive) ([\w']+)", before, re.MULTILINE)
    where = f"in {names[-1]}, " if names else ""
    return f"{where}line {number}: {' '.join(place[2].split())[:300]}"
