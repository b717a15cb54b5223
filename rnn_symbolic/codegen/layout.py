"""Lines of Python no wider than 88 characters, broken where formatters break them."""

from __future__ import annotations

WIDTH = 88
INDENT = "    "


def assigned(indent: str, left: str, value: str, end: str = "") -> list[str]:
    """``left value`` in one line, or in several; ``left`` ends with its operator.

    >>> print("\\n".join(assigned("", "dy =", "first_factor * second_factor * third_factor + " + "x" * 50)))
    dy = (
        first_factor * second_factor * third_factor
        + xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx
    )
    """
    left = f"{left} " if left else ""
    if len(indent + left + value + end) <= WIDTH:
        return [indent + left + value + end]
    inner = indent + INDENT
    opening = _last_bracket(value)
    if opening and len(indent + left + value[: opening + 1]) <= WIDTH:
        inside = _inside(inner, value[opening + 1 : -1])
        return [indent + left + value[: opening + 1], *inside, indent + value[-1] + end]
    return [f"{indent}{left}(", *_inside(inner, value), f"{indent}){end}"]


def sequence(indent: str, left: str, names: list[str], right: str = "") -> list[str]:
    """``left (a, b) right``, or a name on each line; one name stands alone, without parentheses.

    >>> sequence("", "start =", ["h_0", "c_0"]), sequence("", "start =", ["h_0"])
    (['start = (h_0, c_0)'], ['start = h_0'])
    """
    text = " ".join(part for part in (left, tuple_text(names), right) if part)
    if len(indent + text) <= WIDTH:
        return [indent + text]
    opened, closed = f"{left} (".lstrip(), f") {right}".rstrip()
    return [indent + opened, *(f"{indent}{INDENT}{name}," for name in names), indent + closed]


def unpacked(indent: str, names: list[str], value: str) -> list[str]:
    """``a, b = value``."""
    line = f"{indent}{', '.join(names)} = {value}"
    return [line] if len(line) <= WIDTH else sequence(indent, "", names, f"= {value}")


def tuple_text(names: list[str]) -> str:
    """``(a, b)``; one name stands alone."""
    return f"({', '.join(names)})" if len(names) != 1 else names[0]


def filled(text: str, indent: str = INDENT) -> list[str]:
    """A line of a docstring, broken between words; what follows is indented further."""
    lines, current = [], indent
    for word in text.split(" "):
        if len(current) + len(word) > WIDTH - 2 and current.strip():
            lines.append(current.rstrip())
            current = indent + INDENT
        current += word + " "
    return [*lines, current.rstrip()]


def _inside(indent: str, text: str) -> list[str]:
    """What stands between brackets: in one line, or a line for each argument or summand."""
    if len(indent + text) <= WIDTH:
        return [indent + text]
    arguments = _split(text, (", ",), drop=True)
    if len(arguments) > 1:
        return [f"{indent}{argument}," for argument in arguments]
    for operators in ((" + ", " - "), (" * ", " / ", " @ ")):
        parts = _split(text, operators)
        if len(parts) > 1:
            return [indent + part for part in parts]
    return [indent + text]


def _split(text: str, marks: tuple[str, ...], *, drop: bool = False) -> list[str]:
    """The text cut at marks that are in no brackets; a mark begins the part after it unless it is dropped."""
    parts, level, start = [], 0, 0
    for i, character in enumerate(text):
        level += (character in "([{") - (character in ")]}")
        mark = next((m for m in marks if level == 0 and i > start and text.startswith(m, i)), None)
        if mark is not None:
            parts.append(text[start:i])
            start = i + (len(mark) if drop else 1)
    return [*parts, text[start:]]


def _last_bracket(value: str) -> int:
    """Where the last bracket opens, if a text ends with it and has no more than one operator before; else 0."""
    if not value.endswith((")", "]")):
        return 0
    for operators in ((" + ", " - "), (" * ", " / ", " @ ", " ** ")):
        parts = len(_split(value, operators))
        if parts > 1:
            break
    level = 0
    for i in range(len(value) - 1, -1, -1):
        level += (value[i] in ")]}") - (value[i] in "([{")
        if level == 0:
            return i if parts < (3 if value.endswith(")") else 2) else 0
    return 0
