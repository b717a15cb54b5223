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

TOKEN = re.compile(r"\s*(?:(?P<number>\d+)(?:%nat)?|(?P<name>[A-Za-z_][\w']*)|(?P<mark>[-+*/^()]))")


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

    def __init__(self, text: str, meaning: Callable[[str], Any]) -> None:
        self.tokens = [(match.lastgroup, match[match.lastgroup or 0]) for match in TOKEN.finditer(text)]
        assert "".join(value for _, value in self.tokens) == re.sub(r"\s|%nat", "", text), text
        self.meaning, self.place = meaning, 0

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
            result = self.sum()
            assert self.take(")")
            return result
        kind, text = self.tokens[self.place]
        self.place += 1
        return int(text) if kind == "number" else self.meaning(text)


class CoqForward:
    """The forward pass that a certificate defines."""

    def __init__(self, text: str, functions: Mapping[str, Callable[..., Any]], point: Mapping[str, Any]) -> None:
        self.definitions, self.functions, self.point = definitions(text), functions, point
        names = re.search(r"Definition names : list name := \[(.*?)\]\.", text)
        assert names is not None
        self.names = names[1].split("; ")
        self.one_step = {pattern[0]: value for pattern, value in cases(self.definitions["step"][1])}
        self.initial = {(p[0], int(p[1])): v for p, v in cases(self.definitions["initial"][1]) if p[0] != "_"}

    def steps(self, T: int) -> list[dict[str, Any]]:
        """Every quantity at steps 1 … T."""
        history: list[dict[str, Any]] = []

        def past(k: int) -> Callable[[str], Any]:
            def quantity(name: str) -> Any:
                place = len(history) - 1 - k
                if place >= 0:
                    return history[place][name]
                return self.read(self.initial[name, -1 - place], {"p": None})

            return quantity

        for t in range(1, T + 1):
            found = {name: self.read(body, {"p": None, "t": t, "past": past}) for name, body in self.one_step.items()}
            history.append(found)
        return history

    def read(self, body: str, bound: dict[str, Any]) -> Any:
        def meaning(name: str) -> Any:
            if name in bound:
                return bound[name]
            if name in self.functions:
                return self.functions[name]
            if name in self.point:
                return self.field(self.point[name])
            if name in self.definitions:
                return self.curried(*self.definitions[name], {})
            assert name in self.names, name
            return name

        return Reader(body, meaning).value()

    @staticmethod
    def field(value: Any) -> Callable[[Any], Any]:
        """``W_h p`` is a number, ``x p t`` an input."""
        return lambda p: (lambda t: value[t]) if isinstance(value, Mapping) else value

    def curried(self, variables: list[str], body: str, bound: dict[str, Any]) -> Any:
        if not variables:
            return self.read(body, bound)
        first, *rest = variables
        return lambda argument: self.curried(rest, body, {**bound, first: argument})
