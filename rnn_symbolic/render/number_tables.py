"""Gradients and verdicts as tables and as JSON."""

from __future__ import annotations

import re
from pathlib import PurePath
from typing import Any

from rnn_symbolic.checking import Verdicts
from rnn_symbolic.expressions import Derivative, Quantity
from rnn_symbolic.model import Model
from rnn_symbolic.printing import latex
from rnn_symbolic.render.document import Block, Bullets, Document, Paragraph, Table
from rnn_symbolic.render.path_tables import amount_text, log10_text
from rnn_symbolic.render.words import number, say
from rnn_symbolic.valuation import Valuation


def _inputs(model: Model) -> tuple[Quantity, ...]:
    return tuple(Quantity("x", t) for t in range(1, model.steps + 1)) if model.cell.uses_input else ()


def gradient_document(valuation: Valuation, language: str) -> Document:
    """Loss and gradients: parameters, initial states, inputs."""
    model = valuation.model
    rows = []
    for quantity in (*model.parameters, *model.initial_states, *_inputs(model)):
        amount = valuation.gradient(quantity)
        name = f"${latex(Derivative(Quantity('L'), quantity))}$"
        rows.append((name, amount_text(amount), log10_text(amount), str(amount.sign)))
    header = tuple(say(language, key) for key in ("quantity", "gradient", "log10", "sign"))
    loss = say(language, "point", loss=number(float(valuation.values["L", None])))
    return Document(say(language, "gradient-title"), (Paragraph(loss), Table(header, tuple(rows))), language)


def gradient_json(valuation: Valuation) -> dict[str, Any]:
    """The contract's keys: loss, gradients, input_gradients, states, outputs; log10 and sign beside them."""
    model, values = valuation.model, valuation.values
    leaves = (*model.parameters, *model.initial_states)
    amounts = {str(q): valuation.gradient(q) for q in leaves}
    inputs = [valuation.gradient(q) for q in _inputs(model)]
    times = range(1, model.steps + 1)
    return {
        "loss": values["L", None],
        "gradients": {name: amount.value for name, amount in amounts.items()},
        "input_gradients": [amount.value for amount in inputs],
        "states": {name: [values[name, t] for t in times] for name in model.cell.states},
        "outputs": [values["y", t] for t in times],
        "log10": {name: amount.log10 for name, amount in amounts.items()},
        "sign": {name: amount.sign for name, amount in amounts.items()},
        "input_log10": [amount.log10 for amount in inputs],
        "input_sign": [amount.sign for amount in inputs],
    }


def verdicts_document(verdicts: Verdicts, language: str) -> Document:
    """One row per parameter and method, then the reasons for what is inconclusive."""
    columns = ("quantity", "method", "symbolic", "numeric", "error", "tolerance", "status")
    rows = tuple(
        (
            v.wrt,
            say(language, v.method),
            number(v.symbolic),
            number(v.numeric),
            f"{v.error:.1e}",
            f"{v.tolerance:.1e}",
            say(language, v.status),
        )
        for v in verdicts
    )
    blocks: list[Block] = [Table(tuple(say(language, column) for column in columns), rows)]
    notes = tuple(
        say(language, "note", wrt=v.wrt, method=say(language, v.method), note=v.note) for v in verdicts if v.note
    )
    if notes:
        blocks.append(Bullets(notes))
    tally = {status: sum(v.status == status for v in verdicts) for status in ("passed", "failed", "inconclusive")}
    blocks.append(Paragraph(say(language, "all-passed") if verdicts.passed else say(language, "not-passed", **tally)))
    at = re.sub(r"[^\w .,+()-]", "_", PurePath(next((v.at for v in verdicts), "")).name)  # prose: no $, no control
    title = say(language, "check-title")
    return Document(f"{title} ({at})" if at else title, tuple(blocks), language)


def verdicts_json(verdicts: Verdicts) -> dict[str, Any]:
    """The contract's keys: passed, verdicts."""
    return {
        "passed": verdicts.passed,
        "verdicts": [
            {
                "wrt": v.wrt,
                "method": v.method,
                "at": v.at,
                "symbolic": v.symbolic,
                "numeric": v.numeric,
                "error": v.error,
                "tolerance": v.tolerance,
                "status": v.status,
                "note": v.note,
            }
            for v in verdicts
        ],
    }
