r"""Somebody else's verdict: Coq's compiler reads a certificate, and says what each theorem assumes.

A certificate is accepted if it consists of the sentences that a certificate may contain, Coq accepts every proof in it,
and no theorem assumes more than the two axioms on which Coq's real numbers stand: sig_forall_dec (a search over ℕ
decides a decidable property) and functional extensionality. What a theorem assumes is asked from outside, in a second
file that requires the compiled certificate: nothing in the certificate can speak into the answer.
"""

from __future__ import annotations

import re
import secrets
import shutil
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rnn_symbolic.certificate.sentences import Statement, sentences_of, statements_of, theorems_of, without_comments
from rnn_symbolic.errors import InputError
from rnn_symbolic.frozen import frozen
from rnn_symbolic.processes import Ended, run_program, temporary_folder

if TYPE_CHECKING:
    from rnn_symbolic.certificate.document import Certificate

__all__ = ["CertificateCheck", "check_certificate", "theorems_of", "without_comments"]

ALLOWED = (
    "ClassicalDedekindReals.sig_forall_dec",
    "FunctionalExtensionality.functional_extensionality_dep",
)
"""What Coq's library of real numbers assumes itself."""

ALLOWED_CONCRETE = (*ALLOWED, "ClassicalDedekindReals.sig_not_dec", "Classical_Prop.classic")
"""What its exponential function and its logarithm assume besides: for statements about these functions alone."""

LIBRARIES = {
    "ClassicalDedekindReals": "Coq.Reals",
    "FunctionalExtensionality": "Coq.Logic",
    "Classical_Prop": "Coq.Logic",
}
"""Where the modules of these axioms stand."""

SECONDS = 60.0
"""The limit on a check."""

KEPT = 1 << 20
"""How many bytes of what Coq says are kept, the last."""

HOW_TO_GET_COQ = (
    "coqc, the compiler of the proof checker Coq, is not on the PATH; install Coq (8.16 is known to do), on Debian or "
    "Ubuntu with 'apt-get install coq', elsewhere see https://rocq-prover.org"
)


@frozen
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

    def __str__(self) -> str:
        from rnn_symbolic.render.verdict import verdict_text

        return verdict_text(self)


class _Refused(Exception):
    """Why a certificate is not accepted."""


def check_certificate(certificate: Certificate | str, timeout: float = SECONDS) -> CertificateCheck:
    """What Coq says about the certificate, or about a text that claims to be one, within ``timeout`` seconds.

    A text that contains anything but definitions, statements, their proofs and the few commands that our own files
    have is refused before Coq is started. Of a `Certificate` it is also asked that its theorem is there. That the
    theorems say what their names promise is for a reader to see: Coq proves what is written.

    >>> print(check_certificate("Theorem a : False. Admitted."))
    refused: line 1: it contains Admitted, which no certificate may

    Raises InputError where there is no coqc, or none that can be run.
    """
    text, wanted = (certificate, "") if isinstance(certificate, str) else (certificate.text, certificate.theorem)
    try:
        stated = statements_of(sentences_of(text))
        theorems, concrete = _asked_about(stated, wanted)
    except (_Refused, InputError) as why:
        return CertificateCheck(False, failure=str(why))
    compiler = shutil.which("coqc")
    if compiler is None:
        raise InputError(HOW_TO_GET_COQ)
    try:
        return _judged(_Coq(compiler, text, stated, time.monotonic() + timeout), theorems, concrete)
    except TimeoutError:
        return CertificateCheck(False, failure=f"Coq did not finish within {timeout:g} s")
    except OSError as error:
        raise InputError(f"{compiler} cannot be run: {error.strerror or error}") from None
    except _Refused as why:
        return CertificateCheck(False, failure=str(why))


def _asked_about(stated: Sequence[Statement], wanted: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The theorems, and what is proved about Coq's own functions: a_concrete beside the theorem a."""
    paths = [statement.path for statement in stated]
    theorems = [s.path for s in stated if s.kind in ("Theorem", "Corollary")]
    concrete = tuple(p for p in paths if p.endswith("_concrete") and p.removesuffix("_concrete") in theorems)
    if not theorems:
        raise _Refused("it states no theorem")
    names = Counter(path.rpartition(".")[2] for path in paths)
    twice = next((path for path in (*theorems, *concrete) if names[path.rpartition(".")[2]] > 1), None)
    if twice is not None:
        raise _Refused(f"it defines {twice.rpartition('.')[2]} more than once")
    if wanted and wanted not in (*theorems, *concrete):
        raise _Refused(f"it does not state the theorem {wanted}")
    return tuple(path for path in theorems if path not in concrete), concrete


def _judged(coq: _Coq, theorems: tuple[str, ...], concrete: tuple[str, ...]) -> CertificateCheck:
    """The verdict on a file that Coq has accepted, by what its theorems assume."""
    with temporary_folder() as folder:
        coq.compile(folder)
        answer, *rest = coq.assumptions(folder, [theorems, *((name,) for name in concrete)])
        if _foreign(answer, ALLOWED):
            each = coq.assumptions(folder, [(name,) for name in theorems])
            found = dict(zip(theorems, each, strict=True))
            guilty = next((name for name in theorems if _foreign(found[name], ALLOWED)), theorems[-1])
            raise _Refused(_too_much(guilty, answer, ALLOWED))
    for name, axioms in zip(concrete, rest, strict=True):
        if _foreign(axioms, ALLOWED_CONCRETE):
            raise _Refused(_too_much(name, axioms, ALLOWED_CONCRETE))
    together = tuple(dict.fromkeys(axiom for axioms in rest for axiom in axioms))
    return CertificateCheck(True, theorems, answer, ", ".join(concrete), together)


def _foreign(axioms: Iterable[str], allowed: tuple[str, ...]) -> list[str]:
    return [name for name in axioms if name not in allowed]


def _too_much(theorem: str, axioms: Iterable[str], allowed: tuple[str, ...]) -> str:
    parts = (name.rpartition(".") for name in _foreign(axioms, allowed))
    names = (f"{last} of {module}" if module and last else module + dot + last for module, dot, last in parts)
    return f"{theorem} assumes {', '.join(names)}"


@frozen
class _Coq:
    """Coq's compiler, the text it is given, and when it has to be done."""

    compiler: str
    text: str
    stated: tuple[Statement, ...]
    deadline: float

    def compile(self, folder: Path) -> None:
        """Make certificate.vo of the text."""
        (folder / "certificate.v").write_text(self.text, encoding="utf-8")
        ended = self._run(folder, "certificate.v", "-w", "+local-declaration")
        if ended.status:
            raise _Refused(self._failure(ended.errors or ended.output))
        if not (folder / "certificate.vo").is_file():
            raise _Refused(f"{self.compiler} ended without a compiled file; is it Coq's compiler?")

    def assumptions(self, folder: Path, groups: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
        """The axioms of each group of theorems.

        A group is asked about as one tuple: going through the whole library for each theorem would take a second each.
        The allowed axioms are asked about first: in this file their names mean what they should.
        """
        known = [f"{LIBRARIES[name.partition('.')[0]]}.{name}" for name in ALLOWED_CONCRETE]
        asked = [[name] for name in known] + [[f"Checked.certificate.{name}" for name in group] for group in groups]
        mark = f"mark {secrets.token_hex(16)}"
        lines = ["Require Coq.Reals.Reals Coq.Logic.Classical_Prop Coq.Logic.FunctionalExtensionality."]
        lines += ["Require Checked.certificate.", "Set Printing Width 100000."]
        for i, names in enumerate(asked):
            lines.append(f"Definition group_{i} := ({', '.join(f'@{name}' for name in names)}).")
            lines += [f'Goal True. idtac "{mark}". Abort.', f"Print Assumptions group_{i}."]
        (folder / "question.v").write_text("\n".join([*lines, f'Goal True. idtac "{mark}". Abort.', ""]))
        ended = self._run(folder, "question.v")
        if ended.status:
            raise _Refused(f"Coq cannot be asked what it assumes: {' '.join(ended.errors.split())[:300]}")
        before, *answers, after = f"\n{ended.output}".split(f"\n{mark}\n") if mark in ended.output else ("", "")
        found = [_axioms(answer) for answer in answers]
        references = [(name,) for name in ALLOWED_CONCRETE]
        if before or after or len(found) != len(asked) or found[: len(known)] != references:
            raise _Refused("what Coq says about its assumptions cannot be read")
        return found[len(known) :]

    def _run(self, folder: Path, file: str, *options: str) -> Ended:
        """What coqc says about a file; the folder is the library Checked."""
        command = [self.compiler, "-q", *options, "-Q", ".", "Checked", file]
        left = self.deadline - time.monotonic()
        ended = run_program(command, max(left, 0.0), kept=KEPT, folder=folder)
        if ended.status is None:
            raise TimeoutError
        return ended

    def _failure(self, message: str) -> str:
        """Where Coq stopped: the statement, the line, and Coq's own words."""
        place = re.search(r"line (\d+), characters \d+-\d+:\n(Error:.*)", message, re.DOTALL)
        if place is None:
            return " ".join(message.split())[:300] or "Coq stopped without a word"
        before = [statement.path for statement in self.stated if statement.line <= int(place[1])]
        where = f"in {before[-1]}, " if before else ""
        return f"{where}line {place[1]}: {' '.join(place[2].split())[:300]}"


def _axioms(answer: str) -> tuple[str, ...]:
    """The axioms in an answer to Print Assumptions: each begins a line, its type after it.

    >>> _axioms("Axioms:\\nM.a : forall n : nat,\\n      False\\nf is assumed to be guarded.")
    ('M.a', 'f is assumed to be guarded.')

    What is not understood is named as it stands, so that it is no allowed axiom.
    """
    lines = [line for line in answer.splitlines() if line.strip()]
    if lines == ["Closed under the global context"]:
        return ()
    if lines[:1] == ["Axioms:"]:
        del lines[0]
    named = [re.fullmatch(r"([\w.']+)(?: :.*)?", line) for line in lines]
    found = (name[1] if name else line for name, line in zip(named, lines, strict=True) if not line[0].isspace())
    return tuple(found) or ("an axiom without a name",)
