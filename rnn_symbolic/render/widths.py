r"""How wide a formula will be, and where a long one may break: TeX breaks no display by itself.

Widths are estimates in points at 11 pt, good to a few per cent for the vocabulary of `printing`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

_TOKEN = re.compile(r"\\[A-Za-z]+|\\.|\s+|.", re.DOTALL)
_SCRIPT = 0.76
_COMMANDS = {
    r"\,": 1.8, r"\;": 3.0, r"\:": 2.4, r"\!": -1.8, r"\ ": 3.6, r"\quad": 11, r"\qquad": 22, r"\to": 17,
    r"\cdots": 15, r"\dots": 13, r"\vdots": 3, r"\cdot": 8, r"\partial": 6.2, r"\ell": 4.6, r"\sigma": 6.4,
    r"\le": 14.5, r"\ge": 14.5, r"\prod": 14.5, r"\sum": 16, r"\Bigl": 2.3, r"\Bigr": 2.3, r"\operatorname": 1.8,
    r"\allowbreak": 0, r"\text": 0, r"\mathrm": 0, r"\displaystyle": 0, r"\small": 0, r"\footnotesize": 0,
    r"\left": 0, r"\right": 0, r"\hat": 0, r"\mathcal": 0, r"\mathbf": 0, r"\phi": 6.5, r"\top": 8, r"\nabla": 9,
    r"\otimes": 14, r"\odot": 14, r"\times": 14, r"\delta": 5, r"\varphi": 7, r"\tau": 5,
    r"\lVert": 5.5, r"\rVert": 5.5, r"\lvert": 3.1, r"\rvert": 3.1, r"\searrow": 16, r"\nearrow": 16, r"\gamma": 6,
    r"\max": 20, r"\lfloor": 5, r"\rfloor": 5, r"\kappa": 6.3, r"\Phi": 8,
}  # fmt: skip
_CHARACTERS = {
    "(": 4.3, ")": 4.3, "[": 3, "]": 3, "'": 3.1, ",": 4.8, ".": 3, "+": 13.4, "-": 13.4, "=": 14.5, "<": 14.5,
    ">": 14.5, "/": 5.5, "m": 9.6, "w": 7.8, "i": 3.8, "l": 3.3, "j": 4.5, "W": 10.6, "{": 0, "}": 0, "&": 0,
}  # fmt: skip


@lru_cache(maxsize=1 << 16)
def width(tex: str) -> float:
    r"""The width of a formula set in display style.

    >>> 30 < width(r"W_{h}\,h_{t-1}") < 50
    True
    >>> width(r"\frac{a}{a + b}") < width("a + b") + 5
    True
    """
    return _width(_TOKEN.findall(tex), 0, 1.0)[0]


def prose_width(text: str) -> float:
    """The width of prose with formulas between ``$`` signs, on one line.

    >>> prose_width("abc") < prose_width("abc $W_{h}$")
    True
    """
    pieces = text.split("$")
    letters = sum(11 if ord(c) > 0x2E80 else 5.6 for piece in pieces[::2] for c in piece)
    return letters + sum(map(width, pieces[1::2]))


def _width(tokens: list[str], i: int, scale: float) -> tuple[float, int]:
    """The width of a group from token i to its closing brace, and the place after it."""
    total = script = 0.0
    while i < len(tokens) and tokens[i] != "}":
        token = tokens[i]
        if token in "_^":
            inner, i = _argument(tokens, i + 1, scale * _SCRIPT)
            total += max(0.0, inner - script)
            script = max(script, inner)
            continue
        # the scripts of Π and Σ stand above and below
        script = 14.5 if token in (r"\prod", r"\sum") and scale == 1.0 else 0.0
        if token in (r"\frac", r"\tfrac", r"\dfrac"):
            inner_scale = scale if token != r"\tfrac" else scale * _SCRIPT
            above, i = _argument(tokens, i + 1, inner_scale)
            below, i = _argument(tokens, i, inner_scale)
            total += max(above, below) + 4.0
        elif token == r"\underbrace":
            inner, i = _argument(tokens, i + 1, scale)
            total, script = total + inner, inner
        elif token == "{":
            inner, i = _width(tokens, i + 1, scale)
            total, i = total + inner, i + 1
        else:
            total += _single(token, scale)
            i += 1
    return total, i


def _argument(tokens: list[str], i: int, scale: float) -> tuple[float, int]:
    while i < len(tokens) and tokens[i].isspace():
        i += 1
    if i < len(tokens) and tokens[i] == "{":
        inner, i = _width(tokens, i + 1, scale)
        return inner, i + 1
    return (_single(tokens[i], scale), i + 1) if i < len(tokens) else (0.0, i)


def _single(token: str, scale: float) -> float:
    if token.isspace():
        return 0.0
    if token.startswith("\\") and len(token) > 1:
        return scale * _COMMANDS.get(token, 5.4 * (len(token) - 1) + 1.8)
    if token in "+-=" and scale < 1.0:
        return scale * 8.5  # no space around it in a script
    if ord(token) > 0x2E80:
        return scale * 11
    return scale * _CHARACTERS.get(token, 8.2 if token.isupper() else 5.7)


# --- breaking -----------------------------------------------------------------------------------------------------


def broken(tex: str, room: float) -> list[str]:
    r"""The formula in lines of about ``room`` points: it breaks after a factor, before a sign, before an arrow.

    A line that continues a product begins with \cdot. What stands in braces is never broken.

    >>> broken(r"a\,b\,c + d", 20)
    ['a\\,b', '\\cdot c', '+ d']
    """
    places = [*_places(tex), (len(tex), len(tex), 0)]
    at: list[float] = []  # how wide the formula is up to each place
    so_far, previous = 0.0, 0
    for start, _, _ in places:
        so_far += width(tex[previous:start])
        at.append(so_far)
        previous = start
    lines: list[str] = []
    begin, base, k, opening = 0, 0.0, 0, ""
    while (rest := so_far - base) > room:
        first = min(room, 0.8 * rest)  # no line that holds a single factor at the end
        best = None
        for i in range(k, len(places) - 1):
            used, cost = at[i] - base, places[i][2]
            if used > first and best is not None:
                break
            if best is None or used < room / 2 or cost <= places[best][2]:
                best = i
        if best is None:
            break
        start, after, _ = places[best]
        lines.append(opening + tex[begin:start].strip())
        product = tex[start:after] == r"\,"
        begin, opening = (after, r"\cdot ") if product else (start, "")
        base, k = at[best], best + 1
    return [*lines, opening + tex[begin:].strip()]


_PLACE = re.compile(r"(?P<skip>\\(?![,A-Za-z]).|\\(?!to\b)[A-Za-z]+)|(?P<at>\\,| [+-] |\\to\b)|(?P<bracket>[{}()\[\]])")


def _places(tex: str) -> Iterator[tuple[int, int, int]]:
    """Where a line may end, where the next may begin, and how bad that is: deep in parentheses, amid a term there."""
    braces = depth = 0
    for match in _PLACE.finditer(tex):
        bracket = match["bracket"]
        if bracket in ("{", "}"):
            braces += 1 if bracket == "{" else -1
        elif bracket:
            depth += 1 if bracket in "([" else -1
        elif match["at"] and not braces and match.start() > 0:
            yield match.start(), match.end(), 2 * depth + (depth > 0 and match["at"] == r"\,")
