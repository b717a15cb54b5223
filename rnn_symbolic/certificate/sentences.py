r"""A certificate as Coq reads it: comments, strings, sentences, and which sentences a certificate may consist of.

What Coq's kernel and Print Assumptions do not see has to be kept out before Coq starts: commands that write files,
load programs, switch checks off or change what a later sentence means. The list is therefore one of what is allowed.
"""

from __future__ import annotations

import re

from rnn_symbolic.errors import InputError
from rnn_symbolic.frozen import frozen

LIBRARY = frozenset({"Arith", "Classical", "FunctionalExtensionality", "Lia", "List", "Lra", "Psatz", "Reals"})
"""The modules of Coq's standard library that a certificate may require."""

STATEMENTS = frozenset({"Corollary", "Definition", "Fixpoint", "Inductive", "Lemma", "Record", "Theorem"})
"""The heads of sentences that give something a name which outlives the section."""

HYPOTHESES = frozenset({"Hypotheses", "Hypothesis", "Variable", "Variables"})
"""Allowed inside a section: outside of one they are axioms."""

SCOPES = frozenset({"R_scope", "list_scope", "nat_scope"})

EXACT = frozenset({"Proof", "Qed", "Defined", "Unshelve", "Import ListNotations", "Set Primitive Projections"})
"""Sentences that are allowed as they stand."""

LEAD = re.compile(r"(?:\s|[-+*{}]|[0-9]+\s*:\s*(?=\{))*")
"""Bullets and braces, which are sentences of their own without a full stop."""

NAME = r"[A-Za-z_][A-Za-z0-9_']*"


@frozen
class Sentence:
    """What stands between two full stops, its comments, bullets and braces left out; ``line`` is where it begins."""

    text: str
    line: int

    @property
    def head(self) -> str:
        """Its first word; "" if it begins with none."""
        word = re.match(NAME, self.text)
        return word[0] if word else ""

    @property
    def name(self) -> str:
        """Its second word: what a Definition or a Theorem defines, a Section or an End names."""
        words = re.match(rf"{NAME}\s+({NAME})", self.text)
        return words[1] if words else ""


@frozen
class Statement:
    """A named sentence; ``path`` is the name with those of the modules around it."""

    kind: str
    path: str
    line: int


def without_comments(text: str) -> str:
    r"""The text with its comments and what is in its strings replaced by blanks; every character keeps its place.

    As in Coq, comments may be nested, a string in a comment hides what would end it, and "" in a string is one
    quotation mark.

    >>> without_comments('a (* b (* c *) "*)" *) d "(*" e')
    'a                      d "  " e'

    Raises InputError for a comment or a string without an end, and for characters other than printable ASCII.
    """
    strange = re.search(r"[^\n\t -~]", text)
    if strange is not None:
        raise InputError(f"{_line(text, strange.start())}it contains the character {strange[0]!r}, which is not ASCII")
    kept, depth, opened = list(text), 0, 0
    for mark in re.finditer(r'\(\*|\*\)|"(?:[^"]|"")*("?)', text):
        if mark[0][0] == '"':
            if not mark[1]:
                raise InputError(f"{_line(text, mark.start())}it opens a string that it does not close")
            if not depth:
                _blank(kept, mark.start() + 1, mark.end() - 1)
        elif mark[0] == "(*":
            if not depth:
                opened = mark.start()
                if re.search(r"[^\s(]", text[max(0, opened - 1) : opened]):  # ".(*" is no comment
                    raise InputError(f"{_line(text, opened)}a comment is not set apart by a blank")
            depth += 1
        else:
            depth -= 1
            if depth < 0:
                raise InputError(f"{_line(text, mark.start())}it closes a comment that it does not open")
            if not depth:
                _blank(kept, opened, mark.end())
    if depth:
        raise InputError(f"{_line(text, opened)}it opens a comment that it does not close")
    return "".join(kept)


def _blank(kept: list[str], start: int, end: int) -> None:
    kept[start:end] = ["\n" if character == "\n" else " " for character in kept[start:end]]


def _line(text: str, place: int) -> str:
    return f"line {text.count(chr(10), 0, place) + 1}: "


def sentences_of(text: str) -> tuple[Sentence, ...]:
    """The sentences; each ends with a full stop that a blank or the end of the text follows.

    >>> [s.text for s in sentences_of("Proof. intros x. - { exact (a.b x). } Qed.")]
    ['Proof', 'intros x', 'exact (a.b x)', 'Qed']
    """
    plain = without_comments(text)
    found, place, line = [], 0, 1
    for stop in re.finditer(r"\.(?=\s|\Z)|\Z", plain):
        lead = LEAD.match(plain, place, stop.start())
        start = lead.end() if lead else place
        line += plain.count("\n", place, start)
        if stop[0]:
            found.append(Sentence(plain[start : stop.start()], line))
        elif start < stop.start():
            raise InputError(f"line {line}: the last sentence has no end")
        line += plain.count("\n", start, stop.end())
        place = stop.end()
    return tuple(found)


def statements_of(sentences: tuple[Sentence, ...]) -> tuple[Statement, ...]:
    """What is stated and defined, in the order of the text, by its name with those of the modules around it.

    Raises InputError at the first sentence that no certificate may contain.

    >>> [s.path for s in statements_of(sentences_of("Module M. Theorem a : True. Proof. exact I. Qed. End M."))]
    ['M.a']
    """
    around: list[Sentence] = []  # the sections and modules that are open
    found: list[Statement] = []
    for sentence in sentences:
        _admit(sentence, around)
        if sentence.head in ("Section", "Module"):
            around.append(sentence)
        elif sentence.head == "End":
            if not around or around.pop().name != sentence.name:
                raise InputError(f"line {sentence.line}: it ends {sentence.name}, which is not open")
        elif sentence.head in STATEMENTS:
            modules = [outer.name for outer in around if outer.head == "Module"]
            found.append(Statement(sentence.head, ".".join((*modules, sentence.name)), sentence.line))
    return tuple(found)


def _admit(sentence: Sentence, around: list[Sentence]) -> None:
    """Raise InputError unless a certificate may contain the sentence."""
    head = sentence.head
    text = " ".join(sentence.text.split())
    strange = re.search(r"#\[[\w ]*|\bnative_\w+", text)  # attributes, and a compiler that Coq would start
    if strange is None:
        strange = re.match(r"(?:\[[^\]]*\]|[\w!,\s-]*):\s*\{", text)  # behind the brace a sentence begins
    if strange is None and head in STATEMENTS:
        strange = re.search('where *"|"', text)  # a notation, which would change what is read later
    if strange is not None:
        raise InputError(f"line {sentence.line}: it contains {strange[0]}, which no certificate may")
    if head in HYPOTHESES:
        if not any(outer.head == "Section" for outer in around):
            raise InputError(
                f"line {sentence.line}: it contains {head} outside a section, which is an axiom (local-declaration)"
            )
        return
    if head in STATEMENTS or head in ("Ltac", "Arguments"):
        if not sentence.name:
            raise InputError(f"line {sentence.line}: it contains {head} without a name")
        return
    if re.match(r"[a-z(\[]", text) or text in EXACT:  # commands begin with a capital letter, tactics do not
        return
    if re.fullmatch(rf"(?:Section|Module|End) {NAME}", text):
        return
    if re.fullmatch(r"(?:Local )?Open Scope \w+", text) and text.split()[-1] in SCOPES:
        return
    required = re.fullmatch(r"(?:From Coq )?Require(?: Import)? ((?:\w+ ?)+)", text)
    if required is not None and LIBRARY.issuperset(required[1].split()):
        return
    raise InputError(f"line {sentence.line}: it contains {text[:60] or 'an empty sentence'}, which no certificate may")


def theorems_of(text: str) -> tuple[str, ...]:
    """The theorems of a certificate by name, those of the general part included.

    >>> theorems_of("Lemma a : True.\\nTheorem b : True.\\nTheorem c' : True.")
    ('b', "c'")
    """
    return tuple(s.path for s in statements_of(sentences_of(text)) if s.kind in ("Theorem", "Corollary"))
