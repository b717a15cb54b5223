r"""Formulas for a gradient as syntax trees: how a text is cut and nested, before anything in it has a meaning.

    formula  =  "d" name [ "[" index "]" ] "=" sum              also  dL/dW_x = …
    sum      =  product { ("+" | "-") product }
    product  =  signed { ("*" | "/" | "@") signed }
    signed   =  { "+" | "-" } power
    power    =  postfix [ "**" signed ]
    postfix  =  atom { ".T" }
    atom     =  number | name | name "[" index "]" | "(" sum ")" | name { "'" } "(" sum { "," sum } ")"
             |  ("sum" | "prod") "(" name "=" index ".." index [ "by" whole ] "," sum ")"
    index    =  whole numbers, T and bound variables, joined by + and -, in round brackets

Sums and products are flat, however long; the recursion of the parser is bounded by the number of open brackets.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NoReturn

from rnn_symbolic.auditing.formula_tokens import Source, Token, tokens_of
from rnn_symbolic.frozen import frozen
from rnn_symbolic.scanner import MAX_BRACKETS, MAX_SIGNS, short

MAX_INDEX = 10**6
RANGES = ("sum", "prod")


# --- trees ----------------------------------------------------------------------------------------------------------


@frozen
class Node:
    """A part of a formula: from ``start`` to ``end`` in its text, brackets around it included."""

    start: int
    end: int


@frozen
class Index(Node):
    """A whole number plus and minus names, each with its place."""

    constant: int
    names: tuple[tuple[int, str, int], ...]  # sign, name, place


@frozen
class Literal(Node):
    """A number, as written."""

    text: str


@frozen
class Mention(Node):
    """A name, perhaps at a step."""

    name: str
    index: Index | None = None


@frozen
class Application(Node):
    """φ(u), φ'(u), outer(u, v); ``order`` counts the primes."""

    name: str
    order: int
    arguments: tuple[Node, ...]


@frozen
class Range(Node):
    """sum(k=first..last by step, body), or prod."""

    kind: str
    variable: str
    variable_at: int
    first: Index
    last: Index
    by: int
    body: Node


@frozen
class Sum(Node):
    """Terms with their signs, in order."""

    terms: tuple[tuple[int, Node], ...]


@frozen
class Product(Node):
    """The first factor, then (operator, its place, factor)."""

    first: Node
    links: tuple[tuple[str, int, Node], ...]


@frozen
class Negative(Node):
    """-u."""

    of: Node


@frozen
class Raised(Node):
    """base ** exponent."""

    base: Node
    exponent: Node


@frozen
class Transposed(Node):
    """A.T."""

    of: Node


# --- the parser -----------------------------------------------------------------------------------------------------


def parse_formula(source: Source) -> tuple[Mention, Node]:
    """The left side without its d, and the right side. Raises FormulaError with line and column."""
    parser = _Parser(source, tokens_of(source))
    target = parser.target()
    return target, parser.body()


class _Parser:
    """Recursive descent; ``depth`` counts what is open."""

    def __init__(self, source: Source, tokens: list[Token]) -> None:
        self.source, self.tokens, self.i, self.depth = source, tokens, 0, 0

    @property
    def token(self) -> Token:
        return self.tokens[self.i]

    def take(self) -> Token:
        self.i += 1
        return self.tokens[self.i - 1]

    def fail(self, token: Token, message: str) -> NoReturn:
        raise self.source.error(token.at, message)

    def expected(self, what: str) -> NoReturn:
        """The token at hand is not what has to follow the one before."""
        token, before = self.token, self.tokens[self.i - 1].text if self.i else ""
        if token.kind == "end":
            self.fail(token, f"the formula ends after {short(before)!r}; expected {what}; go on in an indented line")
        after = f" after {short(before)!r}" if before else ""
        self.fail(token, f"expected {what}{after}, found {short(token.text)!r}")

    def need(self, kind: str, what: str) -> Token:
        if self.token.kind != kind:
            self.expected(what)
        return self.take()

    # -- left side --

    def target(self) -> Mention:
        token = self.token
        example = "a line is 'dW_x = formula', or 'dh[2] = formula'"
        if token.kind in ("+", "-", "*", "/", "@", "**"):
            self.fail(token, f"{token.text!r} begins the line; indent the line to go on with the formula before it")
        if token.kind != "name":
            self.fail(token, f"expected d and what L is differentiated by, found {short(token.text)!r}; {example}")
        if [after.text for after in self.tokens[self.i : self.i + 2]] == ["dL", "/"]:
            self.i += 2
            token = self.token
        if token.kind != "name" or not token.text.startswith("d") or len(token.text) < 2:
            known = f"d{token.text}" if token.kind == "name" else "dW_x"
            self.fail(token, f"the left side is d and a name, such as {short(known)}; found {short(token.text)!r}")
        self.take()
        index = self.bracketed_index() if self.token.kind == "[" else None
        if self.token.kind != "=":
            self.fail(self.token, f"expected '=' after the left side, found {short(self.token.text)!r}; {example}")
        self.take()
        return Mention(token.at + 1, self.tokens[self.i - 2].end, token.text[1:], index)

    # -- right side --

    def body(self) -> Node:
        if self.token.kind == "end":
            self.fail(self.token, "an expression is expected after '='")
        node = self.sum()
        self.after_operand(None)
        return node

    def after_operand(self, opening: Token | None) -> None:
        """Nothing but the end, or the bracket that closes ``opening``, may follow."""
        token = self.token
        wanted = {"(": ")", "[": "]"}[opening.text] if opening else "end"
        if token.kind == wanted:
            return
        if token.kind == "end" and opening:
            self.fail(opening, f"{opening.text!r} is never closed; a formula goes on in indented lines")
        before = self.tokens[self.i - 1].text
        if token.kind in ("name", "number", "("):
            message = f"an operator is missing between {short(before)!r} and {short(token.text)!r}"
            self.fail(token, message + "; write * or @")
        if token.kind in (")", "]"):
            self.fail(token, f"{token.text!r} closes no bracket")
        hints = {
            "=": "a line holds one '=', after its left side",
            "'": "a prime follows the name of a function, as in sigma'(a[3]); a transposed matrix is W.T",
            ",": "a comma stands in sum(k=1..3, ...), prod(...) and outer(u, v) only",
            "[": "a step stands behind a name only",
            "..": "a range stands in sum(k=1..3, ...) and prod(...) only",
        }
        self.fail(token, f"{token.text!r} has no place here; {hints.get(token.kind, 'expected an operator')}")

    def deeper(self, token: Token) -> None:
        self.depth += 1
        if self.depth > MAX_BRACKETS:
            self.fail(token, f"brackets are nested deeper than {MAX_BRACKETS}; multiply the inner part out")

    def sum(self) -> Node:
        terms = [(1, self.product())]
        while self.token.kind in ("+", "-"):
            sign = 1 if self.take().kind == "+" else -1
            terms.append((sign, self.product()))
        return terms[0][1] if len(terms) == 1 else Sum(terms[0][1].start, terms[-1][1].end, tuple(terms))

    def product(self) -> Node:
        first, links = self.signed(), list[tuple[str, int, Node]]()
        while self.token.kind in ("*", "/", "@"):
            operator = self.take()
            links.append((operator.text, operator.at, self.signed()))
        return Product(first.start, links[-1][2].end, first, tuple(links)) if links else first

    def signed(self) -> Node:
        start, sign, signs = self.token.at, 1, 0
        while self.token.kind in ("+", "-"):
            signs += 1
            if signs > MAX_SIGNS:
                self.fail(self.token, f"more than {MAX_SIGNS} signs in a row")
            sign = -sign if self.take().kind == "-" else sign
        node = self.power()
        return node if sign > 0 else Negative(start, node.end, node)

    def power(self) -> Node:
        base = self.postfix()
        if self.token.kind != "**":
            return base
        self.deeper(self.take())
        exponent = self.signed()
        self.depth -= 1
        return Raised(base.start, exponent.end, base, exponent)

    def postfix(self) -> Node:
        node = self.atom()
        while self.token.kind == ".T":
            end = self.take().end  # two of them cancel, so no tree is deeper than its brackets
            node = (
                replace(node.of, start=node.start, end=end)
                if isinstance(node, Transposed)
                else Transposed(node.start, end, node)
            )
        return node

    def atom(self) -> Node:
        token = self.token
        if token.kind == "number":
            self.take()
            return Literal(token.at, token.end, token.text)
        if token.kind == "(":
            self.deeper(self.take())
            node = self.sum()
            return replace(node, start=token.at, end=self.close(token))
        if token.kind != "name":
            self.expected("a name, a number or '('")
        self.take()
        if self.token.kind in ("'", "("):
            return self.application(token)
        if self.token.kind == "[":
            index = self.bracketed_index()
            return Mention(token.at, self.tokens[self.i - 1].end, token.text, index)
        return Mention(token.at, token.end, token.text)

    def close(self, opening: Token) -> int:
        self.after_operand(opening)
        self.depth -= 1
        return self.take().end

    def application(self, name: Token) -> Node:
        order = 0
        while self.token.kind == "'":
            self.take()
            order += 1
        if self.token.kind != "(":
            message = f"a prime makes the derivative of a function: {short(name.text)}'(...)"
            self.fail(self.token, f"{message}; a transposed matrix is written {short(name.text)}.T")
        opening = self.take()
        self.deeper(opening)
        if name.text in RANGES and not order:
            return self.range(name, opening)
        arguments = [self.sum()]
        while self.token.kind == "," and len(arguments) < 2:
            self.take()
            arguments.append(self.sum())
        return Application(name.at, self.close(opening), name.text, order, tuple(arguments))

    def range(self, name: Token, opening: Token) -> Node:
        how = f"a variable with its range: {name.text}(k=1..3, ...)"
        variable = self.need("name", how)
        self.need("=", how)
        first = self.index()
        self.need("..", "'..' between the bounds, as in k=1..3")
        last, by = self.index(), 1
        if self.token.text == "by":
            by = self.by()
        self.need(",", "',' and what is added or multiplied")
        body = self.sum()
        end = self.close(opening)
        return Range(name.at, end, name.text, variable.text, variable.at, first, last, by, body)

    def by(self) -> int:
        self.take()
        at = self.token
        step = self.index()
        if step.names or not step.constant:
            self.fail(
                at,
                f"the step of a range is a whole number other than 0, not {self.source.quote(step.start, step.end)!r}",
            )
        return step.constant

    # -- indices --

    def bracketed_index(self) -> Index:
        opening = self.take()
        found = self.index()
        self.after_operand(opening)
        self.take()
        return found

    def index(self) -> Index:
        start, constant, signs = self.token.at, 0, 0
        names: list[tuple[int, str, int]] = []
        sign, opened, outer = 1, list[Token](), [1]
        while True:
            token = self.token
            if token.kind in ("+", "-"):
                signs += 1
                if signs > MAX_SIGNS:
                    self.fail(token, f"more than {MAX_SIGNS} signs in an index")
                sign = -sign if token.kind == "-" else sign
                self.take()
                continue
            if token.kind == "(":
                opened.append(self.take())
                if len(opened) > MAX_BRACKETS:
                    self.fail(token, f"brackets are nested deeper than {MAX_BRACKETS}")
                outer.append(sign)
                continue
            if token.kind == "number":
                constant += sign * self.whole(token)
            elif token.kind == "name":
                names.append((sign, token.text, token.at))
            else:
                self.expected("a step: a whole number, T or a bound variable")
            self.take()
            while opened and self.token.kind == ")":
                self.take()
                opened.pop()
                outer.pop()
            if self.token.kind not in ("+", "-"):
                break
            sign = outer[-1]
        if opened:
            self.after_operand(opened[-1])
        return Index(start, self.tokens[self.i - 1].end, constant, tuple(names))

    def whole(self, token: Token) -> int:
        if not token.text.isdigit():
            self.fail(token, f"a step is a whole number, not {short(token.text)!r}")
        if len(token.text) > 7 or int(token.text) > MAX_INDEX:
            self.fail(token, f"the step {short(token.text)!r} is larger than {MAX_INDEX}")
        return int(token.text)
