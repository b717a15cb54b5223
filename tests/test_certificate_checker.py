"""The checker against texts that want to be accepted, programs that are no Coq, and signals."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from latex_tools import require
from test_cli import Run, refused, run
from test_user_code import is_running

from rnn_symbolic.cells import BUILT_IN
from rnn_symbolic.certificate import checker
from rnn_symbolic.certificate.checker import ALLOWED, CertificateCheck, check_certificate
from rnn_symbolic.certificate.document import Certificate, coq_certificate
from rnn_symbolic.certificate.sentences import Sentence, sentences_of, statements_of, theorems_of, without_comments
from rnn_symbolic.errors import InputError
from rnn_symbolic.model import unroll
from rnn_symbolic.processes import run_program, temporary_folder
from rnn_symbolic.render.verdict import WORDS, verdict_line, verdict_text

__all__ = ["run"]  # a fixture

HEAD = """\
Require Import Reals Classical.
Open Scope R_scope.
Theorem one : forall x y : R, x + y = y + x.
Proof. intros; ring. Qed.
"""
LOOP = "Fixpoint loop (n : nat) : False := loop n.\n"
BOOM = "Theorem boom : False.\nProof. exact (loop 0). Qed.\n"


@pytest.fixture
def coq() -> None:
    require(shutil.which("coqc") is not None, "coqc is not installed")


# --- comments, strings, sentences ---


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("a (* b *) c", "a         c"),
        ("a (* (* *) b *) c", "a               c"),
        ("a (* \n *) c", "a    \n    c"),
        ('a "(*" b "*)" c', 'a "  " b "  " c'),
        ('a "x""(*" b', 'a "     " b'),
        ('a (* "*)" b *) c', "a              c"),
        ('a (* "*)""*)" *) c', "a                c"),
        ('(* "(*" *) c', "           c"),
        ("(*) a *) b", "         b"),
        ("(**) b", "     b"),
        ("((* a *) b)", "(        b)"),
        ('""', '""'),
        ("", ""),
    ],
)
def test_comments_and_strings_are_those_of_coq(text: str, plain: str) -> None:
    assert without_comments(text) == plain


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a\n(* b", "line 2: it opens a comment"),
        ("a (* (* b *)", "opens a comment"),
        ("a *) b", "closes a comment"),
        ('a "b', "opens a string"),
        ('a "b""', "opens a string"),
        ('a (* "b *)', "opens a string"),
        ("x.(*. Unset Guard Checking. (* *)", "not set apart"),
        ("Theorem a\u00a0: True.", "not ASCII"),
        ("a\rb", "character '\\r'"),
        ("a\x00b", "character '\\x00'"),
        ("Theorem a : True", "line 1: the last sentence has no end"),
        ("A.\n}\n Theorem a", "line 3: the last sentence has no end"),
    ],
)
def test_what_cannot_be_read_is_refused(text: str, said: str) -> None:
    with pytest.raises(InputError, match=r"^line [123]: ") as refusal:
        sentences_of(text)
    assert said in str(refusal.value)
    found = check_certificate(text)
    assert not found.accepted and said in found.failure


def test_sentences_have_their_lines() -> None:
    text = '(* a. *)\nProof.\n  - intros. + { exact a.b. }\n 2: { ring.\n}\nidtac ". ". Qed'
    assert sentences_of(f"{text}.\n") == (
        Sentence("Proof", 2), Sentence("intros", 3), Sentence("exact a.b", 3), Sentence("ring", 4),
        Sentence('idtac "  "', 6), Sentence("Qed", 6),
    )  # fmt: skip


def test_the_sentences_of_coq_are_ours(coq: None, tmp_path: Path) -> None:
    """Coq finds its errors at the lines where we begin a sentence: both read comments and strings alike."""
    text = '(* "*)" *) (* (* "(*" *) *)\nDefinition a := 1. (*) Definition a := 2. *)\nDefinition a := 3.\n'
    (tmp_path / "a.v").write_text(text)
    done = subprocess.run(["coqc", "-q", "a.v"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "line 3," in done.stderr and "already exists" in done.stderr
    assert [s.line for s in sentences_of(text)] == [2, 3]


def test_statements_are_named_with_their_modules() -> None:
    text = (
        "Module M. Section S. Variable x : nat. Theorem a : True. Proof. exact I. Qed. End S. End M. Theorem b : True."
    )
    assert theorems_of(text) == ("M.a", "b")
    for wrong in ("End M.", "Module M. Section S. End M.", "Section S. End S. End S."):
        with pytest.raises(InputError, match="which is not open"):
            statements_of(sentences_of(wrong))


# --- hostile texts ---

HOSTILE = {
    "a guard switched off by an attribute": (f"#[bypass_check(guard)] {LOOP}{BOOM}", "#[bypass_check"),
    "positivity switched off by an attribute": (
        "#[bypass_check(positivity)] Inductive D : Set := mk : (D -> False) -> D.", "#[bypass_check"),
    "an attribute after a bullet": (f"Theorem a : True.\nProof. - #[bypass_check(guard)] {LOOP}", "#["),
    "a string that seems to open a comment": (
        f'Goal True. idtac "(*". Abort.\nUnset Guard Checking.\n{LOOP}Goal True. idtac "*)". Abort.\n{BOOM}', "Goal"),
    "the same inside a proof": (
        'Theorem a : True.\nProof. idtac "(*". Unset Guard Checking. idtac "*)". exact I.', "Unset Guard Checking"),
    "the same to write a file": (
        'Theorem a : True.\nProof. idtac "(*". Redirect "pwned" Print nat. idtac "*)". exact I. Qed.', "Redirect"),
    "a quotation mark in a comment": ('(* " *) *) " *)\nUnset Guard Checking.', "Unset"),
    "a command behind a brace": (f"Theorem a : True.\nProof. {{ Unset Guard Checking. }}\n{LOOP}", "Unset"),
    "a command behind a selector": ("Theorem a : True.\nProof. 1: { Cd \"/\". }", "Cd"),
    "a command behind the name of a goal": (
        "Theorem a : True.\nProof. refine ?[x]. [x]: { Unset Guard Checking. exact I. } Qed.", "it contains [x]: {"),
    "a command behind all goals": ("Theorem a : True.\nProof. all : { Unset Guard Checking. }", "it contains all : {"),
    "a command behind three dots": ("Theorem a : True.\nProof. idtac... Unset Guard Checking.", "Unset"),
    "a module with a familiar name": (
        'Set Warnings "-local-declaration".\nModule ClassicalDedekindReals.\nVariable sig_forall_dec : False.',
        "Set Warnings"),
    "a variable in a module with a familiar name": (
        "Module ClassicalDedekindReals. Variable sig_forall_dec : False. End ClassicalDedekindReals.",
        "Variable outside a section"),
    "a context outside a section": ("Context (bad : False).", "Context"),
    "a context in a section": ("Section A. Context (bad : False). End A.", "Context"),
    "a variable after its section": ("Section A. End A. Variable bad : False.", "Variable outside a section"),
    "a name taken over by a module": ("Module N. Definition one := I. End N. Import N.", "Import N"),
    "a module that needs no import": ("Module N. Definition one := I. End N.", "it defines one more than once"),
    "a theorem given up and defined again": ("Theorem two : False. Abort. Definition two := I.", "Abort"),
    "a theorem stated twice": (
        "Theorem two : True. Proof. exact I. Qed. Theorem two : True. Proof. exact I. Qed.", "two more than once"),
    "a forged answer": ('Goal True. idtac "@@". idtac "Closed under the global context". Abort.', "Goal True"),
    "another meaning of a tactic": ('Tactic Notation "idtac" string(s) := idtac.', "Tactic Notation"),
    "another meaning of a number": ('Notation "0" := 1.', "Notation"),
    "a notation inside an inductive type": (
        'Inductive t : Prop := c : t where "0 = 1" := t.', 'it contains where "'),
    "a universe that contains itself": ("Unset Universe Checking.", "Unset Universe Checking"),
    "definitional uniqueness of proofs": ("Set Definitional UIP.", "Set Definitional UIP"),
    "a primitive": ("Primitive foo := #int63_add.", "Primitive"),
    "a parameter of a module": ("Module Type T. Parameter a : False. End T.", "Module Type T"),
    "a functor": ("Module F (A : T). End F.", "Module F"),
    "an inclusion": ("Include Foo.", "Include"),
    "a file": ('Load "elsewhere".', "Load"),
    "a plugin": ('Declare ML Module "elsewhere".', "Declare ML Module"),
    "a library that is not the standard one": ("Require Import elsewhere.", "Require Import elsewhere"),
    "a library among others": ("Require Import Reals Int63.", "Require Import Reals Int63"),
    "a path": ('Add LoadPath "/".', "Add LoadPath"),
    "a program": ('Extraction "pwned.ml" nat.', "Extraction"),
    "an opaque hint": ("Hint Resolve one : core.", "Hint"),
    "a way back": ("Back 1.", "Back"),
    "an early end": ("Quit.", "Quit"),
    "a door to OCaml": ("Drop.", "Drop"),
    "a time limit of its own": ("Timeout 1 Definition a := 1.", "Timeout"),
    "a compiler that Coq starts": ("Theorem a : True. Proof. native_compute. exact I. Qed.", "native_compute"),
    "a hole": ("Theorem two : False. Admitted.", "it contains Admitted"),
    "an axiom": ("Axiom two : False.", "it contains Axiom"),
    "a conjecture": ("Conjecture two : False.", "Conjecture"),
    "an instance": ("Instance two : False.", "Instance"),
    "a proof saved under another name": ("Theorem a : True. Proof. exact I. Defined two.", "Defined two"),
    "a question": ("Print Assumptions one.", "Print Assumptions"),
    "no sentence": ("Qed. .", "an empty sentence"),
    "a symbol": ("Qed. @one.", "it contains @one"),
    "a definition without a name": ("Definition.", "Definition without a name"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_is_refused_before_coq_starts(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text, said = HOSTILE[name]
    monkeypatch.setenv("PATH", "/nowhere")  # no coqc: nothing is asked of it
    found = check_certificate(HEAD + text + "\n")
    assert not found.accepted and said in found.failure, found
    assert found.failure.startswith("line ") or "more than once" in found.failure


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Theorem two : False.\nProof. admit. Qed.", "in two, line 6: Error"),
        ("Theorem two : False.\nProof. give_up. Qed.", "in two, line 6: Error"),
        ("Theorem two : False.\n", "Error: There are pending proofs"),
        (f"{LOOP}{BOOM}", "in loop, line 5: Error"),
        ("Theorem two : True.\nDefinition three := 1.", "Error"),
        ("Theorem two : forall P, P \\/ ~ P.\nProof. exact classic. Qed.", "two assumes classic of Classical_Prop"),
        ("Module M.\nTheorem two : forall P, P \\/ ~ P.\nProof. exact classic. Qed.\nEnd M.", "M.two assumes classic"),
        (
            "Theorem two : True.\nProof. exact I. Qed.\nDefinition two_concrete := completeness_of_nothing.",
            "in two_concrete, line 7",
        ),
    ],
)
def test_what_coq_refuses(coq: None, text: str, said: str) -> None:
    found = check_certificate(HEAD + text)
    assert not found.accepted and said in found.failure, found


def test_harmless_text_is_accepted(coq: None) -> None:
    text = """
(* " *) Theorem hidden : False. Admitted. " *)
From Coq Require Import Lia.
Module M.
Theorem inner : True. Proof. idtac "Closed under the global context". idtac "@@". exact I. Qed.
End M.
Section S.
Variable bad : False.
Theorem of_bad : False. Proof. exact bad. Qed.
End S.
Corollary two : exists n : nat, (n = 2)%nat.
Proof. exists 2%nat. { reflexivity. } Qed.
Theorem two_of_logic : True. Proof. exact I. Qed.
Definition two_of_logic_concrete := classic.
"""
    found = check_certificate(HEAD + text)
    assert found.theorems == ("one", "M.inner", "of_bad", "two", "two_of_logic"), found
    assert found.accepted and set(found.assumptions) == set(ALLOWED)
    assert (found.concrete, found.concrete_assumptions) == ("two_of_logic_concrete", ("Classical_Prop.classic",))


def test_a_text_that_assumes_nothing(coq: None) -> None:
    found = check_certificate("Theorem a : True.\nProof. exact I. Qed.")
    assert found == CertificateCheck(True, ("a",))
    assert str(found).endswith("assumptions of all of them together:\n  none")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"#[bypass_check(guard)] {LOOP}{BOOM}", "boom assumes certificate.loop is assumed to be guarded"),
        (
            "#[bypass_check(positivity)] Inductive D : Set := mk : (D -> False) -> D.\n"
            "Definition app (d : D) : False := match d with mk f => f d end.\n"
            "Theorem boom : False. Proof. exact (app (mk app)). Qed.\n",
            "boom assumes certificate.D is assumed to be positive",
        ),
        ("Context (bad : False).\nTheorem boom : False. Proof. exact bad. Qed.\n", "boom assumes bad of certificate"),
        (
            "Module ClassicalDedekindReals. Context (sig_forall_dec : False). End ClassicalDedekindReals.\n"
            "Theorem boom : False. Proof. exact ClassicalDedekindReals.sig_forall_dec. Qed.\n",
            "boom assumes sig_forall_dec of certificate.ClassicalDedekindReals",
        ),
        (
            "Module Coq. Module Reals. Module ClassicalDedekindReals. Context (sig_forall_dec : False).\n"
            "End ClassicalDedekindReals. End Reals. End Coq.\n"
            "Theorem boom : False. Proof. exact certificate.Coq.Reals.ClassicalDedekindReals.sig_forall_dec. Qed.\n",
            "boom assumes sig_forall_dec of certificate.Coq.Reals",
        ),
        (
            "Theorem boom : forall P, P \\/ ~ P. Proof. exact classic. Qed.\n"
            "Module N. Definition boom := I. End N. Import N.\n",
            "boom assumes classic",
        ),
        (
            "Theorem boom : forall P, P \\/ ~ P. Proof. exact classic. Qed.\n"
            'Goal True. idtac "@@". idtac "Closed under the global context". Abort.\n',
            "boom assumes classic",
        ),
    ],
)
def test_what_a_hostile_text_assumes_is_seen(coq: None, text: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second line of defence alone: the list of allowed sentences is switched off."""
    one = statements_of(sentences_of(f"{HEAD}Theorem boom : False."))
    monkeypatch.setattr(checker, "statements_of", lambda sentences: one)
    found = check_certificate(f'Set Warnings "-local-declaration".\n{HEAD}{text}')
    assert not found.accepted and said in found.failure, found


@pytest.mark.parametrize(
    ("answer", "axioms"),
    [
        ("Closed under the global context\n", ()),
        ("Axioms:\nM.a : nat\nb\n  : False\n", ("M.a", "b")),
        ("Axioms:\nM.a : nat\nClosed under the global context\n", ("M.a", "Closed under the global context")),
        ("Theory:\nType hierarchy is collapsed\nAxioms:\nM.a : nat", None),
        ("Transparent constants:\nM.a : nat", None),
        ("", ("an axiom without a name",)),
        ("Axioms:\n", ("an axiom without a name",)),
    ],
)
def test_an_answer_is_read_to_the_last_line(answer: str, axioms: tuple[str, ...] | None) -> None:
    found = checker._axioms(answer)
    assert found == axioms or (axioms is None and found[0] == answer.splitlines()[0])


# --- the theorem that a certificate is about ---


def test_a_certificate_has_the_theorem_that_it_names(coq: None) -> None:
    found = check_certificate(Certificate(f"{HEAD}Theorem dL_dW : True.\nProof. exact I. Qed.\n", "dL_dW"))
    assert found.accepted
    for text in (HEAD, f"{HEAD}Lemma dL_dW : True.\nProof. exact I. Qed.\n(* Theorem dL_dW : True. *)\n"):
        found = check_certificate(Certificate(text, "dL_dW"))
        assert not found.accepted and found.failure == "it does not state the theorem dL_dW"


def test_the_command_asks_for_its_theorem(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from rnn_symbolic.certificate import document

    made = coq_certificate("elman", "W_x")
    monkeypatch.setattr(document, "coq_certificate", lambda *given, **choices: replace(made, theorem="dL_dW_h"))
    result = run("prove", "--check")
    assert (result.code, result.out) == (1, "refused: it does not state the theorem dL_dW_h\n")


@pytest.mark.parametrize("form", ["scalar", "matrix"])
@pytest.mark.parametrize("cell", BUILT_IN)
def test_our_own_certificates_consist_of_what_is_allowed(cell: str, form: str) -> None:
    if (cell, form) == ("pascanu", "matrix"):
        return
    model = unroll(cell, form=form)
    for goal in (model.parameters[0], model.parameters[-1], model.initial_states[0]):
        certificate = coq_certificate(model, str(goal))
        stated = statements_of(sentences_of(certificate.text))
        assert certificate.theorem in [s.path for s in stated if s.kind == "Theorem"]


# --- programs that are no Coq ---


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of its own that is looked into first, and one for what is temporary."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setattr("tempfile.tempdir", None)
    return tmp_path


def coqc(folder: Path, body: str, first_line: str = "#!/bin/sh") -> None:
    path = folder / "bin" / "coqc"
    path.write_text(f"{first_line}\n{body}\n")
    path.chmod(0o755)


COMPILES = "for last; do :; done; case $last in certificate.v) : > certificate.vo; exit 0;; esac; "


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("exit 0", "ended without a compiled file"),
        ("exit 3", "Coq stopped without a word"),
        ("echo $$; echo '\x07'; echo garbage >&2; exit 1", "garbage"),
        ("kill -SEGV $$", "Coq stopped without a word"),
        (f"{COMPILES} exit 0", "what Coq says about its assumptions cannot be read"),
        (f"{COMPILES} echo garbage; printf '\\377\\n'", "cannot be read"),
        (f"{COMPILES} echo Closed under the global context", "cannot be read"),
        (f"{COMPILES} sed -n 's/.*idtac \"\\(.*\\)\".*/\\1/p' question.v", "cannot be read"),
        (f"{COMPILES} yes | head -c 5000000", "cannot be read"),
        (f"{COMPILES} echo no such thing >&2; exit 1", "Coq cannot be asked what it assumes: no such thing"),
    ],
)
def test_a_program_that_is_no_coq_is_not_believed(fake: Path, body: str, said: str) -> None:
    coqc(fake, body)
    found = check_certificate(HEAD)
    assert not found.accepted and said in found.failure, found
    assert "\n" not in found.failure
    assert os.listdir(fake / "tmp") == []


def test_a_program_that_cannot_be_run(fake: Path, run: Run) -> None:
    coqc(fake, "", "#!/nowhere/sh")
    refused(run("prove", "--check"), "coqc cannot be run")


HANGS = 'sleep 60 & echo $$ $! > "$PIDS"; wait'


def ended(pids: Path) -> bool:
    """Whether none of the processes is left, once the system has had the time to take notice."""
    for _ in range(100):
        if not any(is_running(int(pid)) for pid in pids.read_text().split()):
            return True
        time.sleep(0.1)
    return False


@pytest.mark.parametrize("body", [HANGS, COMPILES + HANGS], ids=["compiling", "answering"])
def test_a_hang_is_ended_with_its_children(fake: Path, body: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIDS", str(fake / "pids"))
    coqc(fake, body)
    begin = time.monotonic()
    found = check_certificate(HEAD, timeout=0.7)
    assert found.failure == "Coq did not finish within 0.7 s"
    assert time.monotonic() - begin < 30
    assert ended(fake / "pids") and os.listdir(fake / "tmp") == []


START = """\
import runpy, signal, sys
number = int(sys.argv.pop(1))
signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
runpy.run_module("rnn_symbolic", run_name="__main__")
"""
"""The command with a signal heard that nohup, or a job in the background, ignores."""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_leaves_nothing_behind(fake: Path, number: signal.Signals, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIDS", str(fake / "pids"))
    coqc(fake, HANGS)
    command = [sys.executable, "-c", START, str(int(number)), "prove", "--check"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=fake)
    wait_for(fake / "pids")
    assert os.listdir(fake / "tmp") != []
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    expected = 130 if number == signal.SIGINT else -number
    assert (process.returncode, out, err) == (expected, b"", b"")
    assert ended(fake / "pids") and os.listdir(fake / "tmp") == []


def test_a_signal_leaves_nothing_of_an_audit_behind(fake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (fake / "net.py").write_text(
        f"import os, time\nopen({str(fake / 'pids')!r}, 'w').write(str(os.getpid()) + '\\n')\ntime.sleep(60)\n"
    )
    command = [sys.executable, "-m", "rnn_symbolic", "audit", "--code", "net.py:gradients"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=fake)
    wait_for(fake / "pids")
    process.terminate()
    assert process.communicate(timeout=30) == (b"", b"") and process.returncode == -signal.SIGTERM
    assert ended(fake / "pids") and os.listdir(fake / "tmp") == []


def wait_for(file: Path) -> None:
    for _ in range(500):
        if file.exists() and file.read_text().endswith("\n"):
            return
        time.sleep(0.02)
    raise AssertionError(f"{file.name} was not written")


def test_the_handlers_of_signals_are_as_before() -> None:
    def mine(number: int, frame: object) -> None:
        heard.append(number)

    heard: list[int] = []
    with temporary_folder() as folder:
        assert folder.is_dir() and signal.getsignal(signal.SIGTERM) != signal.SIG_DFL
        with temporary_folder():
            pass
        assert signal.getsignal(signal.SIGTERM) != signal.SIG_DFL
    assert not folder.exists() and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    signal.signal(signal.SIGTERM, mine)
    try:
        with temporary_folder():
            os.kill(os.getpid(), signal.SIGTERM)
        assert heard == [signal.SIGTERM] and signal.getsignal(signal.SIGTERM) == mine
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    with pytest.raises(ZeroDivisionError), temporary_folder() as folder:
        raise ZeroDivisionError
    assert not folder.exists()


def test_a_thread_has_folders_too() -> None:
    found: list[bool] = []

    def work() -> None:
        with temporary_folder() as folder:
            found.append(folder.is_dir())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [True]


def test_what_a_program_prints_has_an_end() -> None:
    ended = run_program(["sh", "-c", "yes | head -c 3000000; echo last; echo wrong >&2; exit 7"], 30, kept=100)
    assert (ended.status, ended.errors) == (7, "wrong\n")
    assert len(ended.output) == 100 and ended.output.endswith("y\nlast\n")
    merged = run_program(["sh", "-c", "echo one; echo two >&2"], 30, kept=100, stderr=subprocess.STDOUT)
    assert (merged.output, merged.errors) == ("one\ntwo\n", "")


# --- the command ---


@pytest.mark.parametrize("goal", ["x_s", "x_1", "x_12"])
@pytest.mark.parametrize("option", ["--coq", "--check"])
@pytest.mark.parametrize("cell", ["elman", "lstm"])
def test_no_certificate_is_about_an_input(run: Run, goal: str, option: str, cell: str) -> None:
    result = run("prove", goal, option, "--cell", cell)
    refused(result, f"{goal} is an input", "h_0", "'prove x_s' prints the proof")
    assert "Did you mean" not in result.err
    assert run("prove", "x_s", "--cell", cell).code == 0


def test_a_parameter_called_like_an_input(run: Run) -> None:
    result = run("prove", "x_s", "--coq", "--cell", "h = x_s * h[t-1] + x\ny = h")
    assert result.code == 0 and "Theorem dL_dx_s" in result.out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--coq", "--to", "json"], "--to json does not go with --coq"),
        (["--coq", "--to", "latex"], "--to latex does not go with --coq"),
        (["--coq", "--check", "--to", "json"], "--to json does not go with --coq"),
        (["--check", "--to", "latex"], "--to latex does not go with --check"),
        (["--check", "--to", "markdown"], "a verdict is text or json"),
        (["--coq", "--lang", "zh"], "--lang zh does not go with --coq"),
        (["--coq", "--seed", "0"], "--seed belongs to the document"),
        (["--check", "--seed", "3"], "--seed belongs to the document"),
        (["--check", "--verify"], "--verify belongs to the document"),
        (["--coq", "--granularity", "node"], "--granularity belongs to the document"),
        (["--check", "--standalone"], "--standalone belongs to the document"),
        (["W_h", "--check"], "about one gradient, and these are 2: W_x, W_h"),
    ],
)
def test_what_does_not_go_with_a_certificate(run: Run, options: list[str], words: str) -> None:
    refused(run("prove", "W_x", *options), words)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (["--steps", "4"], "--steps changes nothing"),
        (["--layout", "jacobian"], "--layout changes nothing"),
        (["--notation", "goodfellow", "--cell", "elman"], "--notation changes no letters"),
    ],
)
def test_what_changes_nothing_is_said(run: Run, options: list[str], word: str) -> None:
    plain, result = run("prove", "W_x", "--coq"), run("prove", "W_x", "--coq", *options)
    assert result.code == 0 and result.out == plain.out and plain.err == ""
    assert word in result.err and result.err.count("\n") == 1


ACCEPTED = CertificateCheck(True, ("one", "two"), ("M.a",), "two_concrete", ("M.a", "M.b"))
REFUSED = CertificateCheck(False, failure="in one, line 7: Error")


@pytest.fixture
def verdict(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    monkeypatch.setattr(checker, "check_certificate", lambda certificate: request.param)


@pytest.mark.parametrize("verdict", [ACCEPTED], indirect=True)
def test_a_verdict_in_both_languages(run: Run, verdict: None, tmp_path: Path) -> None:
    assert run("prove", "--check").out == run("prove", "--check", "--to", "text").out == f"{ACCEPTED}\n"
    chinese = run("prove", "--check", "--lang", "zh")
    assert (chinese.code, chinese.out.splitlines()[:3]) == (0, ["Coq 接受了这份证明", "定理：", "  one"])
    assert "two_concrete（关于 Coq 自己的函数）" in chinese.out
    for lang in ("en", "zh"):
        record = run("prove", "--check", "--to", "json", "--lang", lang).json
        assert record["accepted"] is True and record["concrete_assumptions"] == ["M.a", "M.b"]
    both = run("prove", "--coq", "--check", "--lang", "zh")
    assert both.out == run("prove", "--coq").out
    assert both.err.endswith("note: Coq 接受了：one、two；公理：M.a、M.b\n")


@pytest.mark.parametrize("verdict", [REFUSED], indirect=True)
def test_a_refusal_in_both_languages(run: Run, verdict: None) -> None:
    for lang, out in (("en", "refused: in one, line 7: Error\n"), ("zh", "被拒绝：in one, line 7: Error\n")):
        result = run("prove", "--check", "--lang", lang)
        assert (result.code, result.out) == (1, out)
    assert json.loads(run("prove", "--check", "--to", "json").out)["failure"] == REFUSED.failure


def test_the_words_of_a_verdict() -> None:
    assert list(WORDS["en"]) == list(WORDS["zh"])
    nothing = CertificateCheck(True, ("one",), (), "one_concrete")
    assert verdict_text(nothing).count("none") == 2 and verdict_text(nothing, "zh").count("无") == 2
    assert verdict_line(ACCEPTED) == "accepted by Coq: one, two; assumptions: M.a, M.b"
    assert verdict_line(REFUSED) == str(REFUSED)
    with pytest.raises(InputError, match="there is no language 'la'"):
        verdict_text(ACCEPTED, "la")
