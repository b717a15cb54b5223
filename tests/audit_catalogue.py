r"""The catalogue of mistakes in docs/audit.md: every kind with a minimal example, and what the audit answers.

    python tests/audit_catalogue.py           prints the sections
    python tests/audit_catalogue.py --write   puts them between the markers of docs/audit.md

An example is a gradient in a dozen lines of NumPy with some of its lines exchanged, or a formula.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from rnn_symbolic.codegen.loading import load_module

DOCUMENT = Path(__file__).parents[1] / "docs" / "audit.md"
WIDTH = 126

ELMAN = """\
def gradients(W_h, W_x, b_h, W_y, b_y, x, d, h_0):
    T, h, y = len(x), {0: h_0}, {}
    for t in range(1, T + 1):
        h[t] = np.tanh(W_h @ h[t - 1] + W_x @ x[t - 1] + b_h)
        y[t] = 1 / (1 + np.exp(-(W_y @ h[t] + b_y)))
    g = {"W_h": 0, "W_x": 0, "b_h": 0, "W_y": 0, "b_y": 0}
    back = 0
    for t in range(T, 0, -1):
        do = (y[t] - d[t - 1]) * y[t] * (1 - y[t])
        dh = W_y.T @ do + back
        da = (1 - h[t] ** 2) * dh
        g["W_h"] += np.outer(da, h[t - 1])
        g["W_x"] += np.outer(da, x[t - 1])
        g["b_h"] += da
        g["W_y"] += np.outer(do, h[t])
        g["b_y"] += do
        back = W_h.T @ da
    return g
"""
"""Right for elman with a tanh, logistic outputs and the squared loss."""

GATED = """\
def gradients(w, b, x, d, h_0):
    T, h, z = len(x), {0: h_0}, {}
    for t in range(1, T + 1):
        z[t] = 1 / (1 + np.exp(-(w * h[t - 1] + b)))
        h[t] = z[t] * h[t - 1] + (1 - z[t]) * x[t - 1]
    g = {"w": 0, "b": 0}
    back = 0
    for t in range(T, 0, -1):
        dh = h[t] - d[t - 1] + back
        da = (h[t - 1] - x[t - 1]) * dh * z[t] * (1 - z[t])
        g["w"] += da * h[t - 1]
        g["b"] += da
        back = z[t] * dh + w * da
    return g
"""
"""Right for one number that is kept or replaced, y = h, and the squared loss."""

GATE = "z = logistic(w * h[t-1] + b)\nh = z * h[t-1] + (1 - z) * x\ny = h"


@dataclass(frozen=True)
class Program:
    """A gradient in NumPy that is right, and how it is audited."""

    name: str
    source: str
    cell: str
    options: Mapping[str, Any]

    def function(self, edits: tuple[tuple[str, str], ...] = ()) -> Callable[..., Any]:
        """The function with lines exchanged; each must be there exactly once."""
        source = self.source
        for before, after in edits:
            assert source.count(before) == 1, before
            source = source.replace(before, after)
        found: Callable[..., Any] = load_module(f"import numpy as np\n\n{source}", "program").gradients
        return found


PROGRAMS = (
    Program("elman", ELMAN, "elman", {"activation": "tanh", "output_activation": "logistic"}),
    Program("gate", GATED, GATE, {"form": "scalar"}),
)
FIRST, SECOND = PROGRAMS


@dataclass(frozen=True)
class Example:
    """One mistake: the kind that the audit must name, what the reader is told of it, and the mistake itself."""

    kind: str
    what: str
    edits: tuple[tuple[str, str], ...] = ()
    formula: str = ""
    program: Program = FIRST
    cell: str = "elman"
    options: Mapping[str, Any] = field(default_factory=dict)

    def audit(self) -> Any:
        """The audit of the example."""
        import rnn_symbolic as rs

        if self.formula:
            return rs.audit(self.cell, formula=self.formula, **self.options)
        return rs.audit(self.program.cell, function=self.program.function(self.edits), **self.program.options)

    def shown(self) -> str:
        """The mistake as the reader sees it."""
        if self.formula:
            return f"```text\n{self.formula}\n```"
        lines = []
        for before, after in self.edits:
            (line,) = (line.strip() for line in self.program.source.splitlines() if before in line)
            lines += [f"- {line}", f"+ {line.replace(before, after)}"]
        return "\n".join(("```diff", *lines, "```"))


PATHS = (
    "sum(t=1..T, sum(k=1..t, l'(y[t]) * sigma'(o[t]) * W_y * prod(j=k+1..t, sigma'(a[j]) * W_h) * sigma'(a[k]) * x[k]))"
)
"""The gradient of elman by W_x."""
NOT_TRANSPOSED = """\
dW_h = sum(t=1..2, diag(sigma'(a[t])) @ W_y.T @ diag(sigma'(o[t])) @ l'(y[t]) @ h[t-1].T)
     + diag(sigma'(a[1])) @ W_h @ diag(sigma'(a[2])) @ W_y.T @ diag(sigma'(o[2])) @ l'(y[2]) @ h[0].T"""
FROM_K = f"dW_x = {PATHS}".replace("prod(j=k+1..t", "prod(j=k..t").replace(" * sigma'(a[k])", "")
LAG_ONE = "dW_x = l'(y[1]) * sigma'(o[1]) * W_y * sigma'(a[1]) * x[1]\n     + " + PATHS.replace(
    "sum(t=1..T, sum(k=1..t", "sum(t=2..T, sum(k=t-1..t"
)

MEANINGS = {
    "missing-paths": "Paths are left out by a rule: all of one loss, all that enter at one step, all of one lag.",
    "missing-loss": "Only the last loss is differentiated.",
    "missing-own-loss": "At every step only what comes back from later steps counts; the paths of lag 0 are left out.",
    "missing-carry": "What a state carries to the next step is not passed back, for one state or for all of them.",
    "missing-route": "One way of several from a quantity to what uses it is left out.",
    "transpose": "W stands where Wᵀ should in the backward pass, or the other way round.",
    "order": "Two neighbouring factors are exchanged: the slope is applied after the matrix instead of before it.",
    "activation-argument": "σ′ is fed with the value instead of the argument, or 1 − h² with the argument for h.",
    "wrong-activation": "The slope of another activation, or none at all, for a hidden unit.",
    "index": "A factor stands at another step.",
    "initial-state": "The term with h₀ is missing, or h₀ is taken for 0.",
    "scale": "A factor 2 or ½, a mean for a sum, a weight or a number too many or too few.",
    "output-derivative": "The slope of the output activation is missing, or stands twice.",
    "truncated": "Only lags up to τ are kept, or the chain is cut every τ steps.",
    "clipped": "The gradient is clipped, by norm or entry by entry. Asked with targets far away, where it shows.",
    "layout": "The gradient is transposed, or flattened in the other order.",
    "sign": "The sign of the gradient, or of one factor.",
    "convention": "The gradient of the other convention: z and 1 − z exchanged, the reset behind the product."
    " The forward pass has it too, so that a check of the gradient against its own loss passes.",
    "several": "Two of these at once.",
}

EXAMPLES = (
    Example("missing-paths", "The loop ends one step early.", (("range(T, 0, -1)", "range(T, 1, -1)"),)),
    Example("missing-paths", "= for +=, so that the last round of the loop is all that is left.",
            (('g["W_x"] += np', 'g["W_x"] = np'),)),
    Example("missing-loss", "", (("do = (y[t] - d[t - 1]) *", "do = (t == T) * (y[t] - d[t - 1]) *"),)),
    Example("missing-loss", "As a formula.", options={"steps": 2},
            formula="dW_x = l'(y[2]) * sigma'(o[2]) * W_y * sigma'(a[2]) * (x[2] + W_h * sigma'(a[1]) * x[1])"),
    Example("missing-own-loss", "", (("np.outer(da, x[t - 1])", "np.outer((1 - h[t] ** 2) * back, x[t - 1])"),)),
    Example("missing-carry", "", (("dh = W_y.T @ do + back", "dh = W_y.T @ do"),)),
    Example("missing-route", "The gate is taken for a constant.", (("back = z[t] * dh + w * da", "back = z[t] * dh"),),
            program=SECOND),
    Example("transpose", "", (("back = W_h.T @ da", "back = W_h @ da"),)),
    Example("transpose", "As a formula, in matrix form.", formula=NOT_TRANSPOSED,
            options={"steps": 2, "form": "matrix"}),
    Example("order", "", (("back = W_h.T @ da", "back = (1 - h[t] ** 2) * (W_h.T @ dh)"),)),
    Example("activation-argument", "", (("(1 - h[t] ** 2)", "(1 - np.tanh(h[t]) ** 2)"),)),
    Example("activation-argument", "As a formula.", formula="dW_y = sum(t=1..T, l'(y[t]) * sigma'(y[t]) * h[t])"),
    Example("wrong-activation", "The slope of the logistic function for a tanh.",
            (("(1 - h[t] ** 2)", "h[t] * (1 - h[t])"),)),
    Example("index", "", (("np.outer(da, h[t - 1])", "np.outer(da, h[t])"),)),
    Example("index", "As a formula.", formula="dW_y = sum(t=1..T, l'(y[t]) * sigma'(o[t]) * h[t-1])"),
    Example("initial-state", "The term of t = 1 is forgotten.",
            (("np.outer(da, h[t - 1])", "(t > 1) * np.outer(da, h[t - 1])"),)),
    Example("initial-state", "h₀ is not read.", (("{0: h_0}", "{0: 0 * h_0}"),)),
    Example("scale", "The loss without its ½.", (("do = (y[t]", "do = 2 * (y[t]"),)),
    Example("scale", "A product from k instead of k + 1: one W_h too many in every term.", formula=FROM_K),
    Example("output-derivative", "", (("do = (y[t] - d[t - 1]) * y[t] * (1 - y[t])", "do = y[t] - d[t - 1]"),)),
    Example("truncated", "Cut every two steps.",
            (("back = W_h.T @ da", "back = W_h.T @ da if t % 2 == 0 else 0 * da"),)),
    Example("truncated", "As a formula: t − k ≤ 1.", formula=LAG_ONE),
    Example("clipped", "", (("return g", "return {k: np.clip(v, -1, 1) for k, v in g.items()}"),)),
    Example("layout", "", (("np.outer(da, x[t - 1])", "np.outer(x[t - 1], da)"),)),
    Example("sign", "", (("do = (y[t] - d[t - 1])", "do = (d[t - 1] - y[t])"),)),
    Example("convention", "z for what is replaced instead of what is kept.",
            (("h[t] = z[t] * h[t - 1] + (1 - z[t]) * x[t - 1]", "h[t] = (1 - z[t]) * h[t - 1] + z[t] * x[t - 1]"),
             ("da = (h[t - 1] - x[t - 1])", "da = (x[t - 1] - h[t - 1])"),
             ("back = z[t] * dh + w * da", "back = (1 - z[t]) * dh + w * da")), program=SECOND),
    Example("several", "", (("back = W_h.T @ da", "back = W_h @ da"), ("(1 - h[t] ** 2)", "h[t] * (1 - h[t])"))),
)  # fmt: skip


@cache
def answers() -> tuple[tuple[Example, Any], ...]:
    """Every example with its audit."""
    return tuple((example, example.audit()) for example in EXAMPLES)


# --- what is written --------------------------------------------------------------------------------------------------


def wrapped(text: str, indent: str = "") -> str:
    """A paragraph of lines no longer than WIDTH."""
    import textwrap

    return textwrap.fill(text, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def sides(found: Mapping[str, Any]) -> Iterator[str]:
    """The first of what is yours and what is right; of gradients with the same answer those of the first."""
    for label, whose in (("yours", "yours"), ("right", "right")):
        if found[whose]:
            yield f"{label}:  {found[whose].split('; ')[0]}"


def said(audit: Any) -> Iterator[str]:
    """What the audit answers, gradients with the same answer together."""
    from rnn_symbolic.render.audit_document import audit_json

    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for found in audit_json(audit)["findings"]:
        if found["status"] == "wrong":
            sentence = re.split(r"(?<=\.) (?=In the term of|The path L)", found["detail"])[0]
            groups.setdefault((found["kind"], sentence), []).append(found)
    for (kind, sentence), members in groups.items():
        yield wrapped(f"{', '.join(found['wrt'] for found in members)}: {kind}. {sentence}", "    ")
        yield from (f"    {line}" for line in sides(members[0]))


def programs() -> str:
    """The two programs, right as they stand."""
    first, second = (f"```python\n{program.source}```" for program in PROGRAMS)
    gate = GATE.replace("\n", "; ")
    return f"{first}\n\nand, for `{gate}` with one unit:\n\n{second}"


def catalogue() -> str:
    """Kind by kind: what it means, the examples, the answers."""
    parts = []
    for kind, meaning in MEANINGS.items():
        parts.append(f"### `{kind}`\n\n{wrapped(meaning)}")
        for example, audit in answers():
            if example.kind == kind:
                answer = "\n".join(said(audit))
                shown = f"{example.shown()}\n\n```text\n{answer}\n```"
                parts.append(f"{example.what}\n\n{shown}" if example.what else shown)
    return "\n\n".join(parts)


def usual() -> str:
    """Which of the examples the usual check lets pass."""
    rows = []
    for example, audit in answers():
        checks = {f.wrt: f.usual for f in audit.wrong if f.usual is not None}
        passed = [name for name, check in checks.items() if check.passed]
        worst = max(check.error for check in checks.values())
        verdict = "passes" if len(passed) == len(checks) else f"passes for {', '.join(passed)}" if passed else "found"
        what = example.what.rstrip(".") or MEANINGS[example.kind].split(":")[0].split(",")[0].rstrip(".")
        rows.append(
            (len(passed) < len(checks), example.kind, what, "< 1e-5" if worst < 1e-5 else f"{worst:.2g}", verdict)
        )
    lines = [
        f"| `{kind}` | {what} | {error} | {verdict} |"
        for _, kind, what, error, verdict in sorted(rows, key=lambda r: r[0])
    ]
    return "\n".join(("| kind | example | largest relative error | the usual check |", "|---|---|--:|---|", *lines))


SECTIONS = {"programs": programs, "catalogue": catalogue, "usual": usual}


def marker(name: str, end: bool = False) -> str:
    """What stands before a section, and behind it."""
    return f"<!-- {'end of ' if end else ''}generated by tests/audit_catalogue.py: {name} -->"


def place_of(document: str, name: str) -> slice:
    """Where a section stands in the document."""
    start, end = f"{marker(name)}\n\n", f"\n\n{marker(name, end=True)}"
    assert document.count(start) == document.count(end) == 1, f"docs/audit.md has no section {name}"
    return slice(document.index(start) + len(start), document.index(end))


def section_of(document: str, name: str) -> str:
    """What stands in the document now."""
    return document[place_of(document, name)]


def main() -> None:
    """Print the sections, or write them into the document."""
    for name, section in SECTIONS.items():
        if "--write" not in sys.argv:
            print(section(), end="\n\n")
            continue
        document = DOCUMENT.read_text(encoding="utf-8")
        place = place_of(document, name)
        DOCUMENT.write_text(f"{document[: place.start]}{section()}{document[place.stop :]}", encoding="utf-8")


if __name__ == "__main__":
    main()
