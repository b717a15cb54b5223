"""Gradients and verdicts as tables and as JSON."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from rnn_symbolic.checking import Verdict, Verdicts
from rnn_symbolic.expressions import Derivative, Quantity, Transpose
from rnn_symbolic.model import Model
from rnn_symbolic.printing import latex, latex_name
from rnn_symbolic.render.amounts import SMALL, amount_json, amount_text, entries_text, largest_text, log10_text
from rnn_symbolic.render.document import Block, Bullets, Document, Paragraph, Table
from rnn_symbolic.render.words import number, say
from rnn_symbolic.shapes import dimensions
from rnn_symbolic.valuation import Valuation

if TYPE_CHECKING:
    from rnn_symbolic.matrix_valuation import MatrixValuation


def _inputs(model: Model) -> tuple[Quantity, ...]:
    return tuple(Quantity("x", t) for t in range(1, model.steps + 1)) if model.cell.uses_input else ()


def gradient_document(valuation: Valuation | MatrixValuation, language: str) -> Document:
    """Loss and gradients: parameters, initial states, inputs; of arrays shape, norm, largest entry, and small ones."""
    model = valuation.model
    goals = (*model.parameters, *model.initial_states, *_inputs(model))
    blocks: tuple[Block, ...]
    if isinstance(valuation, Valuation):
        loss = say(language, "point", loss=number(float(valuation.values["L", None])))
        blocks = (Paragraph(loss), _number_table(valuation, goals, language))
    else:
        blocks = _array_blocks(valuation, goals, language)
    return Document(say(language, "gradient-title"), blocks, language)


def _gradient_latex(quantity: Quantity, matrix: bool = False) -> str:
    """∂L/∂q, or of arrays, whose numbers have the shape of q, ∇_q L."""
    derivative = Derivative(Quantity("L"), quantity)
    return f"${latex(Transpose(derivative) if matrix else derivative)}$"


def _number_table(valuation: Valuation, goals: tuple[Quantity, ...], language: str) -> Table:
    rows = []
    for quantity in goals:
        amount = valuation.gradient(quantity)
        rows.append((_gradient_latex(quantity), amount_text(amount), log10_text(amount), str(amount.sign)))
    return Table(tuple(say(language, key) for key in ("quantity", "gradient", "log10", "sign")), tuple(rows))


def _array_blocks(valuation: MatrixValuation, goals: tuple[Quantity, ...], language: str) -> tuple[Block, ...]:
    point = valuation.point
    sizes = [f"${latex_name(name)} = {size}$" for name, size in point.sizes.items()]
    if point.batch is not None:
        sizes.append(say(language, "batch", number=point.batch))
    listed = ("，" if language == "zh" else ", ").join(sizes)
    loss = say(language, "point-sizes", loss=number(_of(valuation, "L", None)), sizes=listed)
    rows, entries = [], []
    for quantity in goals:
        amount, name = valuation.gradient(quantity), _gradient_latex(quantity, matrix=True)
        shape, largest = dimensions(amount.value.shape), largest_text(amount, language)
        rows.append((name, shape, amount_text(amount), log10_text(amount), largest))
        if (text := entries_text(amount)) is not None:
            entries.append(f"{name} = {text}")
    columns = ("quantity", "shape", "norm", "log10", "largest")
    table = Table(tuple(say(language, key) for key in columns), tuple(rows))
    if not entries:
        return Paragraph(loss), table
    return Paragraph(loss), table, Paragraph(say(language, "entries", number=SMALL)), Bullets(tuple(entries))


def gradient_json(valuation: Valuation | MatrixValuation) -> dict[str, Any]:
    """The contract's keys: loss, gradients, input_gradients, states, outputs; log10 and sign beside them.

    In matrix form numbers have the shape of what they belong to, as nested lists; log10 is that of the Frobenius norm
    and sign is null, but for a scalar.
    """
    model = valuation.model
    leaves = (*model.parameters, *model.initial_states)
    amounts = {str(q): amount_json(valuation.gradient(q)) for q in leaves}
    inputs = [amount_json(valuation.gradient(q)) for q in _inputs(model)]

    def over_time(name: str) -> list[Any]:
        return [_of(valuation, name, t) for t in range(1, model.steps + 1)]

    return {
        "loss": _of(valuation, "L", None),
        "gradients": {name: amount["value"] for name, amount in amounts.items()},
        "input_gradients": [amount["value"] for amount in inputs],
        "states": {name: over_time(name) for name in model.cell.states},
        "outputs": over_time("y"),
        "log10": {name: amount["log10"] for name, amount in amounts.items()},
        "sign": {name: amount["sign"] for name, amount in amounts.items()},
        "input_log10": [amount["log10"] for amount in inputs],
        "input_sign": [amount["sign"] for amount in inputs],
    }


def _of(valuation: Valuation | MatrixValuation, name: str, step: int | None) -> Any:
    """The value of a quantity as a number or as nested lists: a vector is flat, of a batch there is one per sample."""
    if isinstance(valuation, Valuation):
        return valuation.values[name, step]
    value, batch = valuation.values[name, step], valuation.point.batch
    column = value[..., 0] if valuation.model.names.get(name) else value[..., 0, 0]
    alike = batch is not None and name != "L" and value.ndim == 2  # not moved by the inputs, so one for all samples
    return [column.tolist()] * (batch or 1) if alike else column.tolist()


def verdicts_document(verdicts: Verdicts, language: str) -> Document:
    """One row per parameter and method, in matrix form per place too; then the reasons for what is inconclusive."""
    located = any(_where(v) for v in verdicts)
    columns = ("quantity", *(("where",) if located else ()), "method", *_VERDICT_COLUMNS)
    rows = tuple(
        (
            v.wrt,
            *((_where_text(v, language),) if located else ()),
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
        say(
            language,
            "note",
            wrt=f"{v.wrt} {_where_text(v, language)}".strip(),
            method=say(language, v.method),
            note=v.note,
        )
        for v in verdicts
        if v.note
    )
    if notes:
        blocks.append(Bullets(notes))
    tally = {status: sum(v.status == status for v in verdicts) for status in ("passed", "failed", "inconclusive")}
    blocks.append(Paragraph(say(language, "all-passed") if verdicts.passed else say(language, "not-passed", **tally)))
    at = re.sub(r"[^\w .,+()-]", "_", PurePath(next((v.at for v in verdicts), "")).name)  # prose: no $, no control
    title = say(language, "check-title")
    return Document(f"{title} ({at})" if at else title, tuple(blocks), language)


_VERDICT_COLUMNS = ("symbolic", "numeric", "error", "tolerance", "status")


def _where(verdict: Verdict) -> str:
    """Which entry or direction of an array was compared; nothing for a number."""
    return str(asdict(verdict).get("where", ""))


def _where_text(verdict: Verdict, language: str) -> str:
    where = _where(verdict)
    what, _, index = where.partition(" ")
    return say(language, what, number=index) if what == "direction" else where


def verdicts_json(verdicts: Verdicts) -> dict[str, Any]:
    """The contract's keys: passed, verdicts; "where" is null for a number."""
    return {"passed": verdicts.passed, "verdicts": [{**asdict(v), "where": _where(v) or None} for v in verdicts]}
