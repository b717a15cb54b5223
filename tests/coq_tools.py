r"""A reader of certificates that is not their writer: the definitions of a .v file, evaluated in floats.

    forward = CoqForward(text, functions={"sigma": np.tanh, …}, point={"W_h": 0.5, "x": {1: 0.3, 2: 0.7}, …})
    forward.steps(3)[2]["h"]

It reads ``Definition a_of (p : point) … : R := ….``, the cases of ``step`` and ``initial`` and the list ``names``, and
knows nothing of the package: numbers, + − * / ^, brackets, and application by juxtaposition.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

TOKEN = re.compile(r"\s*(?:(?P<number>\d+)(?:%nat)?|(?P<name>[A-Za-z_][\w']*)|(?P<mark>=>|[-+*/^()]))")


def tokens(text: str) -> list[tuple[str | None, str]]:
    """The words of a term: (kind, word)."""
    found = [(match.lastgroup, match[match.lastgroup or 0]) for match in TOKEN.finditer(text)]
    assert "".join(word for _, word in found) == re.sub(r"\s|%nat", "", text), text
    return found


def definitions(text: str) -> dict[str, tuple[list[str], str]]:
    """The definitions of real numbers in a file: their bound variables and their bodies."""
    found = {}
    pattern = re.compile(r"^Definition ([\w']+) ((?:\([^()]* : [^()]*\) ?)*): R :=\s(.*?)\.$", re.MULTILINE | re.DOTALL)
    for name, binders, body in pattern.findall(text):
        bound = [word for group in re.findall(r"\(([^()]*) : ", binders) for word in group.split()]
        found[name] = (bound, body)
    return found


def cases(body: str) -> list[tuple[list[str], str]]:
    """The cases of ``match … with | a, 0 => u | _, _ => v end``."""
    inner = re.fullmatch(r"\s*match .*? with(.*)end", body, re.DOTALL)
    assert inner is not None, body
    found = []
    for case in inner[1].split("|")[1:]:
        patterns, _, value = case.partition("=>")
        found.append(([pattern.strip().removesuffix("%nat") for pattern in patterns.split(",")], value.strip()))
    return found


class Reader:
    """A term by recursive descent; ``meaning`` says what a name is worth."""

    def __init__(self, words: list[tuple[str | None, str]], meaning: Callable[[str], Any]) -> None:
        self.tokens, self.meaning, self.place = words, meaning, 0

    def value(self) -> Any:
        found = self.sum()
        assert self.place == len(self.tokens), self.tokens[self.place :]
        return found

    def mark(self) -> str:
        here = self.tokens[self.place] if self.place < len(self.tokens) else (None, "")
        return here[1] if here[0] == "mark" else ""

    def take(self, marks: str) -> str:
        found = self.mark()
        if not found or found not in marks:
            return ""
        self.place += 1
        return found

    def sum(self) -> Any:
        result = self.product()
        while sign := self.take("+-"):
            other = self.product()
            result = result + other if sign == "+" else result - other
        return result

    def product(self) -> Any:
        result = self.factor()
        while sign := self.take("*/"):
            other = self.factor()
            result = result * other if sign == "*" else result / other
        return result

    def factor(self) -> Any:
        if self.take("/"):
            return 1 / self.factor()
        if self.take("-"):
            return -self.factor()
        base = self.application()
        return base ** self.factor() if self.take("^") else base

    def application(self) -> Any:
        result = self.atom()
        while self.place < len(self.tokens) and self.mark() in ("", "("):
            result = result(self.atom())
        return result

    def atom(self) -> Any:
        if self.take("("):
            result = self.function() if self.tokens[self.place] == ("name", "fun") else self.sum()
            assert self.take(")")
            return result
        kind, text = self.tokens[self.place]
        self.place += 1
        return int(text) if kind == "number" else self.meaning(text)

    def function(self) -> Callable[[Any], Any]:
        """``fun j => …``, up to the bracket that closes it; its body is read when it is applied."""
        (_, variable), arrow = self.tokens[self.place + 1 : self.place + 3]
        assert arrow == ("mark", "=>")
        start, depth = self.place + 3, 0
        for end in range(start, len(self.tokens)):
            depth += {"(": 1, ")": -1}.get(self.tokens[end][1], 0)
            if depth < 0:
                break
        self.place = end
        body, meaning = self.tokens[start:end], self.meaning
        return lambda value: Reader(body, lambda name: value if name == variable else meaning(name)).value()


class CoqForward:
    """The forward pass that a certificate defines; in matrix form a quantity is a list, and ``sizes`` are wanted."""

    def __init__(
        self,
        text: str,
        functions: Mapping[str, Callable[..., Any]],
        point: Mapping[str, Any],
        sizes: Mapping[str, int] | None = None,
    ) -> None:
        self.definitions, self.functions, self.point = definitions(text), functions, point
        self.sizes = {} if sizes is None else sizes
        names = re.search(r"Definition names : list name := (.*?)\.\n", text)
        assert names is not None
        self.vectors = {name: self.sizes[size] for name, size in re.findall(r"map ([\w']+) \(seq 0 (\w+)\)", names[1])}
        self.names = [*self.vectors, *re.split("; ", names[1].rpartition("[")[2].rstrip("]"))]
        self.one_step = {pattern[0].split()[0]: value for pattern, value in cases(self.definitions["step"][1])}
        initial = cases(self.definitions["initial"][1])
        self.initial = {(p[0].split()[0], int(p[1])): v for p, v in initial if p[0] != "_"}

    def steps(self, T: int) -> list[dict[str, Any]]:
        """Every quantity at steps 1 … T."""
        history: list[dict[str, Any]] = []

        def past(k: int) -> Callable[[Any], Any]:
            def quantity(component: Any) -> Any:
                name, i = component if isinstance(component, tuple) else (component, None)
                place = len(history) - 1 - k
                if place < 0:
                    return self.read(self.initial[name, -1 - place], {"p": None, "i": i})
                return history[place][name] if i is None else history[place][name][i]

            return quantity

        for t in range(1, T + 1):
            known = {"p": None, "t": t, "past": past}
            found: dict[str, Any] = {}
            for name, body in self.one_step.items():
                if name in self.vectors:
                    found[name] = [self.read(body, {**known, "i": i}) for i in range(self.vectors[name])]
                else:
                    found[name] = self.read(body, known)
            history.append(found)
        return history

    def read(self, body: str, bound: dict[str, Any]) -> Any:
        def meaning(name: str) -> Any:
            if name in bound:
                return bound[name]
            if name == "upto":
                return lambda n: lambda f: sum(f(j) for j in range(n))
            for known in (self.functions, self.sizes):
                if name in known:
                    return known[name]
            if name in self.point:
                return self.field(self.point[name])
            if name in self.definitions:
                return self.curried(*self.definitions[name], {})
            assert name in self.names, name
            return (lambda i: (name, i)) if name in self.vectors else name

        return Reader(tokens(body), meaning).value()

    @staticmethod
    def field(value: Any) -> Callable[[Any], Any]:
        """``W_h p`` is a number, ``x p t`` an input, ``W_h p i j`` an entry."""
        return lambda p: curried_array(value)

    def curried(self, variables: list[str], body: str, bound: dict[str, Any]) -> Any:
        if not variables:
            return self.read(body, bound)
        first, *rest = variables
        return lambda argument: self.curried(rest, body, {**bound, first: argument})


def curried_array(value: Any) -> Any:
    """A number, or a function of the first index."""
    return value if isinstance(value, float) else lambda i: curried_array(value[i])
