r"""Formulas in a terminal: the Unicode reading of the LaTeX that `printing` writes.

The vocabulary is closed: what is not in it is refused, so that no raw LaTeX reaches a terminal.
"""

from __future__ import annotations

import re
import unicodedata

_SUBSCRIPTS = dict(zip("0123456789+-=()aehijklmnoprstuvx", "₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓ", strict=True))
_SUPERSCRIPTS = dict(zip("0123456789+-=()nkijhlmstᵀ", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ⁿᵏⁱʲʰˡᵐˢᵗᵀ", strict=True))
_COMMANDS = {
    "ell": "ℓ", "partial": "∂", "sum": "Σ", "prod": "Π", "to": "→", "le": "≤", "ge": "≥", "ne": "≠", "infty": "∞",
    "cdots": "⋯", "dots": "…", "ldots": "…", "vdots": "⋮", "cdot": "·", "times": "×", "in": "∈", "mid": "|", "pm": "±",
    "approx": "≈", "equiv": "≡", "quad": "  ", "qquad": "    ", "Rightarrow": "⇒", "leftarrow": "←", "longmapsto": "↦",
    "sigma": "σ", "varphi": "φ", "Pi": "Π", "Sigma": "Σ", "gamma": "γ", "alpha": "α", "beta": "β", "delta": "δ",
    "epsilon": "ε", "zeta": "ζ", "eta": "η", "theta": "θ", "kappa": "κ", "lambda": "λ", "mu": "μ", "nu": "ν",
    "xi": "ξ", "rho": "ρ", "tau": "τ", "phi": "ϕ", "chi": "χ", "psi": "ψ", "omega": "ω", "ln": "ln", "max": "max",
    "log": "log", "exp": "exp", "sin": "sin", "cos": "cos", "tanh": "tanh", "cosh": "cosh", "sup": "sup", "min": "min",
    "left": "", "right": "", "displaystyle": "", "big": "", "bigl": "", "bigr": "", "Bigl": "", "Bigr": "",
    "lVert": "‖", "rVert": "‖", "lvert": "|", "rvert": "|", "nabla": "∇", "to ": "→", "Longrightarrow": "⟹",
    "top": "ᵀ", "otimes": "⊗", "circ": "∘", "odot": "⊙", "ll": "≪", "gg": "≫", "searrow": "↘", "checkmark": "✓",
    "nolimits": "", "limits": "", "nearrow": "↗", "Phi": "Φ", "lfloor": "⌊", "rfloor": "⌋", "det": "det",
    "lceil": "⌈", "rceil": "⌉", "tan": "tan", "pi": "π",
}  # fmt: skip
_CALLIGRAPHIC = {"C": "𝒞", "S": "𝒮", "E": "ℰ", "L": "ℒ"}
_TOKEN = re.compile(r"\\([A-Za-z]+|.)|([{}_^'~&])|([^\\{}_^'~&]+)", re.DOTALL)


def plain(tex: str) -> str:
    r"""The Unicode reading of a formula written in this project's LaTeX vocabulary.

    >>> plain(r"\frac{\partial^{+} a_{t}}{\partial h_{t-1}} = W_{h}")
    '∂⁺aₜ/∂hₜ₋₁ = W_h'
    >>> plain(r"\sigma'(a_{3})\,W_{h}^{2}")
    'σ′(a₃) W_h²'

    Raises ValueError for a command outside the vocabulary.
    """
    tokens = [m.group(0) for m in _TOKEN.finditer(tex)]
    text, rest = _plain(tokens, 0, closing=False)
    assert rest == len(tokens), tex
    text = text.replace("∂⁺ ", "∂⁺").replace("∂ ", "∂").replace("∇ ", "∇")
    return re.sub(r" {2,}", lambda m: "  " if len(m.group(0)) > 2 else " ", text).strip()


def _plain(tokens: list[str], i: int, closing: bool) -> tuple[str, int]:
    out: list[str] = []
    while i < len(tokens):
        token = tokens[i]
        if token == "}":
            if closing:
                return "".join(out), i + 1
            raise ValueError("unbalanced braces in a formula")
        piece, i = _plain_token(tokens, i)
        out.append(piece)
    return "".join(out), i


def _group(tokens: list[str], i: int) -> tuple[str, int]:
    """The argument that starts at token i: a braced group, a command, or a single character."""
    while tokens[i].isspace():
        i += 1
    if tokens[i] == "{":
        return _plain(tokens, i + 1, closing=True)
    if len(tokens[i]) > 1 and not tokens[i].startswith("\\"):
        head, tokens[i] = tokens[i][0], tokens[i][1:]
        return head, i
    return _plain_token(tokens, i)


def _plain_token(tokens: list[str], i: int) -> tuple[str, int]:
    token = tokens[i]
    if token == "{":
        return _plain(tokens, i + 1, closing=True)
    if token in "_^":
        inner, i = _group(tokens, i + 1)
        return _script(inner, _SUBSCRIPTS if token == "_" else _SUPERSCRIPTS, token), i
    if token == "'":
        return "′", i + 1
    if token == "~":
        return " ", i + 1
    if token == "&":
        return "", i + 1
    if not token.startswith("\\"):
        return token.replace("-", "−"), i + 1
    name = token[1:]
    if name in ("frac", "tfrac", "dfrac"):
        above, i = _group(tokens, i + 1)
        below, i = _group(tokens, i)
        text = f"{_operand(above)}/{_operand(below)}"
        # a factor behind it would seem to belong to the denominator: (1/4) W_y; a ∂L/∂h reads as one symbol
        return (f"({text})" if i < len(tokens) and tokens[i] == r"\," and not above.startswith("∂") else text), i
    if name == "sqrt":
        inner, i = _group(tokens, i + 1)
        return f"√{inner}" if len(inner) == 1 else f"√({inner})", i
    if name in ("mathrm", "text", "operatorname", "mathbf", "textstyle", "boxed", "mathit"):
        inner, i = _group(tokens, i + 1)
        return inner, i
    if name == "mathcal":
        inner, i = _group(tokens, i + 1)
        return "".join(_CALLIGRAPHIC.get(c, c) for c in inner), i
    if name == "hat":
        inner, i = _group(tokens, i + 1)
        return unicodedata.normalize("NFC", inner[:1] + "\u0302") + inner[1:], i
    if name == "begin":
        return _plain_matrix(tokens, i)
    if name in ("underbrace", "substack"):
        inner, i = _group(tokens, i + 1)
        if name == "underbrace" and i < len(tokens) and tokens[i] == "_":
            below, i = _group(tokens, i + 1)
            return f"{inner} [{below}]", i
        return inner, i
    if name in (",", ";", ":", " ", "!"):
        return "" if name == "!" else " ", i + 1
    if name in ("\\", "{", "}", "%", "|", "#", "_"):
        return {"\\": " ", "|": "‖"}.get(name, name), i + 1
    if name in _COMMANDS:
        return _COMMANDS[name], i + 1
    raise ValueError(f"\\{name} is not in the formula vocabulary")


def _plain_matrix(tokens: list[str], i: int) -> tuple[str, int]:
    """A matrix on one line: [a, b; c, d]."""
    name, i = _group(tokens, i + 1)
    if name != "pmatrix":
        raise ValueError(f"the environment {name} is not in the formula vocabulary")
    rows = [[""]]
    while tokens[i] != r"\end":
        if tokens[i] == "&":
            rows[-1].append("")
            i += 1
        elif tokens[i] == r"\\":
            rows.append([""])
            i += 1
        else:
            piece, i = _plain_token(tokens, i)
            rows[-1][-1] += piece
    _, i = _group(tokens, i + 1)
    return "[" + "; ".join(", ".join(cell.strip() for cell in row) for row in rows) + "]", i


def _script(inner: str, table: dict[str, str], mark: str) -> str:
    ascii_inner = inner.replace("−", "-").replace(" ", "")
    if all(c in table for c in ascii_inner) and not (mark == "_" and ascii_inner.isalpha() and ascii_inner != "t"):
        return "".join(table[c] for c in ascii_inner)
    names, comma, step = ascii_inner.rpartition(",")
    if mark == "_" and comma and names.isalnum() and re.fullmatch(r"\d+|-\d+|t([+-]\d+)?", step):  # u_{z,3}: u_z₃
        return f"_{names}" + "".join(table[c] for c in step)
    bare = len(inner) == 1 or (inner.isalnum() and mark == "_") or (inner[:1] + inner[-1:] == "()")
    return mark + (inner if bare else f"({inner})")


def _operand(text: str) -> str:
    """A numerator or denominator on one line: parentheses unless it is a single symbol or a single call.

    >>> _operand("h₃"), _operand("exp(a + b)"), _operand("(a) (b)")
    ('h₃', 'exp(a + b)', '((a) (b))')
    """
    simple = re.fullmatch(r"[−+]?(∂⁺? ?)?[^\s+−*/]+", text)
    return text if simple or _is_one_call(text) else f"({text})"


def _is_one_call(text: str) -> bool:
    match = re.fullmatch(r"[^\s()+−*/]*(\(.*\))[⁰¹²³⁴⁵⁶⁷⁸⁹]*", text)
    depth = 0
    for i, c in enumerate(match[1] if match else ""):
        depth += (c == "(") - (c == ")")
        if depth == 0:
            return match is not None and i == len(match[1]) - 1
    return False
