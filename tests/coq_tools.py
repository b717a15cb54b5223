r"""A reader of certificates that is not their writer: the definitions of a .v file, evaluated in floats.

    forward = CoqForward(text, functions={"sigma": np.tanh, …}, point={"W_h": 0.5, "x": {1: 0.3, 2: 0.7}, …})
    forward.step(3)["h"], forward.loss(3)

It evaluates the file's own ``L``, ``steps``, ``value``, ``at_step``, ``run``, ``step`` and ``initial``, down to the
equations; of Coq it knows numbers, lists, ``fun``, ``match``, ``if`` and application, and of the package nothing.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

TOKEN = re.compile(
    r"\s*(?:(?P<number>\d+)|(?P<name>[A-Za-z_][\w']*)|(?P<mark>=>|:=|::|\+\+|<\?|=\?|&&|[-+*/^()\[\];,|:']))"
)
Environment = Mapping[str, Any]
Term = Callable[[Environment], Any]


def without_comments(text: str) -> str:
    """The text without its comments; those of certificates are not nested."""
    return re.sub(r"\(\*.*?\*\)", " ", text, flags=re.DOTALL)


def tokens(text: str) -> list[tuple[str | None, str]]:
    """The words of a term: (kind, word). Scopes such as %nat say nothing here."""
    text = re.sub(r"%(?:nat|bool)", " ", text)
    found = [(match.lastgroup, match[match.lastgroup or 0]) for match in TOKEN.finditer(text)]
    assert "".join(word for _, word in found) == re.sub(r"\s", "", text), text
    return found


def definitions(text: str) -> dict[str, tuple[list[str], str]]:
    """The definitions of a file: their bound variables and their bodies."""
    found = {}
    for name, head, body in re.findall(
        r"^(?:Definition|Fixpoint) ([\w']+)(.*?):=(.*?)\.$", text, re.MULTILINE | re.DOTALL
    ):
        bound = [word for group in re.findall(r"\(([\w' ]+) : ", head) for word in group.split()]
        found[name] = (bound, body)
    return found


def constructors(text: str) -> dict[str, int]:
    """The names of quantities, and whether an index follows: 1, else 0."""
    listed = re.search(r"^Inductive name : Type := (.*?)\.$", text, re.MULTILINE | re.DOTALL)
    assert listed is not None
    return {case.split()[0]: int("(" in case) for case in listed[1].split("|")}


@dataclass(frozen=True, eq=False)
class Point:
    """The record of parameters, initial states, inputs and targets."""

    fields: Mapping[str, Any]


def indexed(value: Any) -> Any:
    """A number, or a function of the first index."""
    return value if isinstance(value, float) else lambda i: indexed(value[i])


class Reader:
    """Terms by recursive descent; each becomes a function of the values of its bound variables."""

    def __init__(self, text: str, meaning: Callable[[str], Any], known: Mapping[str, int]) -> None:
        self.tokens, self.meaning, self.known, self.place = tokens(text), meaning, known, 0

    def whole(self) -> Term:
        found = self.term()
        assert self.place == len(self.tokens), self.tokens[self.place :]
        return found

    def here(self) -> str:
        return self.tokens[self.place][1] if self.place < len(self.tokens) else ""

    def take(self, *words: str) -> str:
        found = self.here()
        if found not in words:
            return ""
        self.place += 1
        return found

    def expect(self, word: str) -> None:
        assert self.take(word), (word, self.tokens[self.place :][:8])

    def word(self) -> str:
        kind, found = self.tokens[self.place]
        assert kind == "name", found
        self.place += 1
        return found

    def term(self) -> Term:
        if self.take("fun"):
            bound = [self.word()]
            while not self.take("=>"):
                bound.append(self.word())
            return abstraction(bound, self.term())
        if self.take("if"):
            asked, _, yes, _, no = self.term(), self.expect("then"), self.term(), self.expect("else"), self.term()
            return lambda e: yes(e) if asked(e) else no(e)
        if self.take("match"):
            return self.match()
        left = self.compared()
        while self.take("&&"):
            left = both(left, self.compared(), lambda u, v: u and v)
        return left

    def compared(self) -> Term:
        left = self.listed()
        if sign := self.take("<?", "=?"):
            return both(left, self.listed(), (lambda u, v: u < v) if sign == "<?" else (lambda u, v: u == v))
        return left

    def listed(self) -> Term:
        left = self.sum()
        if self.take("++"):
            return both(left, self.listed(), lambda u, v: u + v)
        return left

    def sum(self) -> Term:
        left = self.product()
        while sign := self.take("+", "-"):
            left = both(left, self.product(), (lambda u, v: u + v) if sign == "+" else (lambda u, v: u - v))
        return left

    def product(self) -> Term:
        left = self.factor()
        while sign := self.take("*", "/"):
            left = both(left, self.factor(), (lambda u, v: u * v) if sign == "*" else (lambda u, v: u / v))
        return left

    def factor(self) -> Term:
        if self.take("/"):
            below = self.factor()
            return lambda e: 1 / below(e)
        if self.take("-"):
            opposite = self.factor()
            return lambda e: -opposite(e)
        base = self.application()
        return both(base, self.factor(), lambda u, v: u**v) if self.take("^") else base

    def application(self) -> Term:
        left = self.atom()
        while self.starts():
            left = both(left, self.atom(), lambda f, argument: f(argument))
        return left

    def starts(self) -> bool:
        kind, word = self.tokens[self.place] if self.place < len(self.tokens) else ("mark", "")
        keyword = word in ("then", "else", "with", "end", "in", "match", "fun", "if", "let")
        return word in ("(", "[") or (kind in ("name", "number") and not keyword)

    def atom(self) -> Term:
        if self.take("("):
            found = self.term()
            self.expect(")")
            return found
        if self.take("["):
            items = [] if self.here() == "]" else [self.term()]
            while self.take(";"):
                items.append(self.term())
            self.expect("]")
            return lambda e: tuple(item(e) for item in items)
        kind, text = self.tokens[self.place]
        self.place += 1
        if kind == "number":
            return lambda e: int(text)
        return lambda e: e[text] if text in e else self.meaning(text)

    def match(self) -> Term:
        asked = [self.term()]
        while self.take(","):
            asked.append(self.term())
        self.expect("with")
        cases = []
        while not self.take("end"):
            self.take("|")
            patterns = [self.pattern()]
            while self.take(","):
                patterns.append(self.pattern())
            self.expect("=>")
            cases.append((patterns, self.term()))

        def chosen(e: Environment) -> Any:
            values = [value(e) for value in asked]
            for patterns, value in cases:
                bound = [pattern(part) for pattern, part in zip(patterns, values, strict=True)]
                if all(each is not None for each in bound):
                    return value({**e, **{name: v for each in bound for name, v in (each or {}).items()}})
            raise AssertionError(f"no case for {values}")

        return chosen

    def pattern(self) -> Callable[[Any], dict[str, Any] | None]:
        """What the variables of a pattern are, of a value that it fits."""
        if self.take("["):
            self.expect("]")
            return lambda value: None if value else {}
        kind, text = self.tokens[self.place]
        self.place += 1
        if kind == "number" or text == "O":
            number = int(text) if kind == "number" else 0
            return lambda value: {} if value == number else None
        if text == "S":
            less = self.word()
            return lambda value: {less: value - 1} if value > 0 else None
        if text in self.known:
            index = self.word() if self.known[text] else "_"
            return lambda value: {index: value[-1]} if value[0] == text else None
        if self.take("::"):
            rest = self.word()
            return lambda value: {text: value[0], rest: value[1:]} if value else None
        return lambda value: {text: value}


def both(left: Term, right: Term, operation: Callable[[Any, Any], Any]) -> Term:
    return lambda e: operation(left(e), right(e))


def abstraction(bound: list[str], body: Term) -> Term:
    if not bound:
        return body
    inner = abstraction(bound[1:], body)
    return lambda e: lambda value: inner({**e, bound[0]: value})


class CoqForward:
    """The forward pass that a certificate defines; in matrix form a quantity is a list, and ``sizes`` are wanted."""

    def __init__(
        self,
        text: str,
        functions: Mapping[str, Callable[..., Any]],
        point: Mapping[str, Any],
        sizes: Mapping[str, int] | None = None,
    ) -> None:
        text = without_comments(text)
        self.definitions, self.constructors = definitions(text), constructors(text)
        self.functions, self.sizes, self.point = functions, sizes or {}, Point(point)
        self.cache: dict[tuple[Any, ...], Any] = {}
        self.bodies: dict[str, Term] = {}
        sys.setrecursionlimit(max(sys.getrecursionlimit(), 20_000))
        self.names = self.meaning("names")

    def step(self, t: int) -> dict[str, Any]:
        """Every quantity at step t, by the file's ``value``."""
        found: dict[str, Any] = {}
        for name in self.names:
            value = self.meaning("value")(self.point)(t)(name)
            if self.constructors[name[0]]:
                found.setdefault(name[0], []).append(value)
            else:
                found[name[0]] = value
        return found

    def loss(self, T: int) -> float:
        """The file's L."""
        found = self.meaning("L")(self.point)(T)
        assert isinstance(found, float)
        return found

    def meaning(self, name: str) -> Any:
        """What a name is worth that no variable is called."""
        if name in ("map", "seq", "S"):
            return {
                "map": lambda f: lambda items: tuple(map(f, items)),
                "seq": lambda start: lambda count: tuple(range(start, start + count)),
                "S": lambda n: n + 1,
            }[name]
        for known in (self.functions, self.sizes):
            if name in known:
                return known[name]
        if name in self.constructors:
            return (lambda i: (name, i)) if self.constructors[name] else (name,)
        if name in self.point.fields:
            return lambda p: indexed(p.fields[name])
        return self.given(name, ())

    def given(self, name: str, arguments: tuple[Any, ...]) -> Any:
        """A definition, applied to some of its arguments; the same whenever it is asked for."""
        key = (name, *arguments)
        if key not in self.cache:
            bound, body = self.definitions[name]
            if len(arguments) < len(bound):
                self.cache[key] = lambda value: self.given(name, (*arguments, value))
            else:
                self.cache[key] = self.body(name, body)(dict(zip(bound, arguments, strict=True)))
        return self.cache[key]

    def body(self, name: str, text: str) -> Term:
        """The body of a definition, read once."""
        if name not in self.bodies:
            self.bodies[name] = Reader(text, self.meaning, self.constructors).whole()
        return self.bodies[name]
