"""The state Jacobian as a document and as JSON: its blocks, its highway, its numbers, how many paths it sums up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rnn_symbolic.expressions import Derivative, Quantity
from rnn_symbolic.forms import Step
from rnn_symbolic.jacobian import StateJacobian
from rnn_symbolic.jacobians import SCALAR, shape_of
from rnn_symbolic.printing import latex, latex_quantity, without_macros
from rnn_symbolic.render.conventions import conventions, highway_texts
from rnn_symbolic.render.derivation_document import rule_reason
from rnn_symbolic.render.document import Block, Box, Display, Document, Paragraph, Row, Table
from rnn_symbolic.render.formulas import Brace, form_latex, shape_brace, step_pieces
from rnn_symbolic.render.prose import Prose, prose
from rnn_symbolic.render.words import count_text, number, say
from rnn_symbolic.sections import Plan
from rnn_symbolic.unicode import plain


def jacobian_document(
    jacobian: StateJacobian, language: str, *, depth: int = 2, shapes: bool = False, layout: str = "gradient"
) -> Document:
    """The Jacobian by its blocks; ``shapes`` shows the shape of each factor, depth 3 the reasons."""
    words, model = prose(language), jacobian.model
    name = latex(jacobian.name)
    plan = Plan(model, "step", layout if model.form == "matrix" else "")
    brace = shape_brace(model.names) if shapes and model.form == "matrix" else None
    blocks: list[Block] = [Box(words.say("conventions"), conventions(plan, words, layout, of_loss=False))]
    display = Display(tuple(_row(step, words, brace) for step in jacobian.steps))
    if depth > 2:
        for step in jacobian.steps:
            blocks.append(Display((_row(step, words, brace),)))
            blocks += [Paragraph(text) for text in rule_reason(step.rule, [step], words, model.form == "matrix")]
    else:
        blocks.append(display)
    blocks += [Paragraph(text) for text in highway_texts(model, words)]
    return Document(say(language, "jacobian-title", name=f"${name}$"), tuple(blocks), language)


def _row(step: Step, words: Prose, brace: Brace | None) -> Row:
    return Row(form_latex(step.before), step_pieces(step, False, brace), note=words.rules[step.rule])


def count_document(jacobian: StateJacobian, language: str) -> Document:
    """How many elementary paths each block sums up."""
    states, T, lag = jacobian.states, jacobian.model.steps, jacobian.lag
    about = say(language, "jacobian-count", count=count_text(jacobian.count), cell=jacobian.model.cell.name, lag=lag)
    header = ("", *(f"${latex_quantity(Quantity(q, T - lag))}$" for q in states))
    rows = [
        (f"${latex_quantity(Quantity(p, T))}$", *(count_text(jacobian.counts[p, q]) for q in states)) for p in states
    ]
    title = say(language, "jacobian-title", name=f"${latex(jacobian.name)}$")
    return Document(title, (Paragraph(about), Table(header, tuple(rows))), language)


def value_document(jacobian: StateJacobian, value: Any, sizes: Mapping[str, int], language: str) -> Document:
    """The numbers: rows are the components of the states at T, columns those at T − lag."""
    T, lag = jacobian.model.steps, jacobian.lag
    labels = component_labels(jacobian, sizes)
    header = ("", *(_component(state, i, T - lag) for state, i in labels))
    rows = tuple(
        (_component(state, i, T), *(number(float(entry), 6) for entry in row))
        for (state, i), row in zip(labels, value, strict=True)
    )
    title = say(language, "jacobian-title", name=f"${latex(jacobian.name)}$")
    return Document(title, (Table(header, rows),), language)


def component_labels(jacobian: StateJacobian, sizes: Mapping[str, int]) -> list[tuple[str, int | None]]:
    """(state, component) in the order of the rows; no component where a state is a number."""
    labels: list[tuple[str, int | None]] = []
    for state in jacobian.states:
        shape = jacobian.model.names.get(state, ())
        labels += [(state, i) for i in range(1, sizes[shape[0]] + 1)] if shape else [(state, None)]
    return labels


def _component(state: str, component: int | None, step: int) -> str:
    """h_{3} or (h_{3})_{2}, as a formula in a table."""
    name = latex_quantity(Quantity(state, step))
    return f"${name}$" if component is None else f"$({name})_{{{component}}}$"


def jacobian_json(jacobian: StateJacobian, value: Any = None, *, count: bool = False) -> dict[str, Any]:
    """The contract's keys: state, lag, value; "blocks" when symbolic, "counts" when counted."""
    record: dict[str, Any] = {"state": list(jacobian.states), "lag": jacobian.lag, "steps": jacobian.model.steps}
    record["value"] = None if value is None else [[float(entry) for entry in row] for row in value]
    if count:
        record["count"] = jacobian.count
        record["counts"] = [
            {"of": p, "wrt": q, "count": jacobian.counts[p, q]} for p in jacobian.states for q in jacobian.states
        ]
    elif value is None:
        record["blocks"] = _blocks_json(jacobian)
        record["highways"] = [
            {"state": state, "latex": latex(way), "text": plain(latex(way))} for state, way in jacobian.highways
        ]
        record["lines"] = [_line_json(step) for step in jacobian.steps]
    return record


def _blocks_json(jacobian: StateJacobian) -> list[dict[str, Any]]:
    """Each block of the Jacobian of one step, zero ones included; the lag it belongs to."""
    found = []
    blocks, names = jacobian.blocks, jacobian.model.names
    for lag in blocks.lags(blocks.joint):
        for p in jacobian.states:
            for q in jacobian.states:
                block = blocks.at(p, q, lag)
                derivative: Derivative = blocks.name(p, q, lag)
                written = "0" if block is None else latex(block.written)
                shape = shape_of(derivative, names)
                found.append(
                    {
                        "of": p,
                        "wrt": q,
                        "lag": lag,
                        "shape": None if shape == SCALAR else list(shape),
                        "name": latex(derivative),
                        "latex": without_macros(written),
                        "text": plain(written),
                        "expanded": "0" if block is None else without_macros(latex(block.expanded)),
                    }
                )
    return found


def _line_json(step: Step) -> dict[str, str]:
    formula = f"{form_latex(step.before)} = {' '.join(step_pieces(step))}"
    return {"rule": step.rule.value, "latex": without_macros(formula), "text": plain(formula)}
