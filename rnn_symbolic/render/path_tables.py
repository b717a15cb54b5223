"""Paths as tables and as JSON."""

from __future__ import annotations

from typing import Any

from rnn_symbolic.expressions import Derivative, Quantity
from rnn_symbolic.printing import latex, latex_quantity
from rnn_symbolic.render.document import Block, Document, Paragraph, Table
from rnn_symbolic.render.formulas import path_latex, route_latex
from rnn_symbolic.render.words import count_text, number, say
from rnn_symbolic.survey import PathGroup, Survey
from rnn_symbolic.valuation import Amount


def paths_document(survey: Survey, language: str, *, whole: bool = False) -> Document:
    """The paths, or their groups, or their count, as a document."""
    goal = f"${latex_quantity(survey.goal)}$"
    count, about = count_text(survey.count), {"goal": goal, "cell": survey.model.cell.name, "T": survey.model.steps}
    match survey.count:
        case 0:
            text = say(language, "paths-none", goal=goal)
        case 1:
            text = say(language, "paths-count-one", **about)
        case _:
            text = say(language, "paths-count", count=count, **about)
    blocks: list[Block] = [Paragraph(text)]
    if survey.paths is not None and len(survey.paths) < survey.count:
        blocks.append(Paragraph(say(language, "paths-top", shown=len(survey.paths), count=count)))
    if survey.paths:
        blocks.append(_path_table(survey, language, whole))
    if survey.groups:
        blocks.append(_group_table(survey.groups, survey.by or "lag", language))
    if survey.total is not None and survey.count:
        derivative = f"${latex(Derivative(Quantity('L'), survey.goal))}$"
        blocks.append(Paragraph(say(language, "total", derivative=derivative, value=amount_text(survey.total))))
    return Document(say(language, "paths-title", goal=goal), tuple(blocks), language)


def _path_table(survey: Survey, language: str, whole: bool) -> Table:
    assert survey.paths is not None
    columns = ["route", "product", "loss", "entry", "lag"]
    numbers = any(amount is not None for _, amount in survey.paths)
    if numbers:
        columns = ["route", "product", "lag", "value", "log10"]
    rows = []
    for path, amount in survey.paths:
        row = [f"${route_latex(path, whole)}$", f"${path_latex(path, whole)}$"]
        if amount is None:
            row += [str(path.loss_step), str(path.entry_step), str(path.lag)]
        else:
            row += [str(path.lag), amount_text(amount, 8), log10_text(amount)]
        rows.append(tuple(row))
    return Table(tuple(say(language, column) for column in columns), tuple(rows))


def _group_table(groups: tuple[PathGroup, ...], by: str, language: str) -> Table:
    numbers = any(group.amount is not None for group in groups)
    columns = [by, "count", *(("value", "log10") if numbers else ())]
    rows = [
        (
            str(group.key),
            count_text(group.count),
            *((amount_text(group.amount), log10_text(group.amount)) if group.amount is not None else ()),
        )
        for group in groups
    ]
    return Table(tuple(say(language, column) for column in columns), tuple(rows))


def amount_text(amount: Amount, digits: int = 10) -> str:
    """A number, and where floats lose it the power of ten."""
    if amount.sign and not 1e-300 < abs(amount.value) < 1e300:
        sign = "-" if amount.sign < 0 else ""
        return f"${sign}10^{{{log10_text(amount)}}}$"
    return number(amount.value, digits)


def log10_text(amount: Amount) -> str:
    """The exponent with four decimals, or, where a float has none left, with its digits."""
    if not amount.sign:
        return "-inf"
    return f"{amount.log10:.4f}" if abs(amount.log10) < 1e9 else f"{amount.log10:.12g}"


def paths_json(survey: Survey, *, whole: bool = False) -> dict[str, Any]:
    """The contract's keys: wrt, count, paths, total, and with a grouping groups."""
    record: dict[str, Any] = {"wrt": str(survey.goal), "count": survey.count}
    if survey.paths is not None:
        record["paths"] = [
            {
                "route": list(path.route),
                "loss_step": path.loss_step,
                "entry_step": path.entry_step,
                "lag": path.lag,
                "latex": path_latex(path, whole),
                **_amount_json(amount),
            }
            for path, amount in survey.paths
        ]
    if survey.groups is not None:
        record["groups"] = [
            {str(survey.by): group.key, "count": group.count, **_amount_json(group.amount)} for group in survey.groups
        ]
    total = survey.total
    record["total"] = None if total is None else total.value
    record["total_log10"] = None if total is None else total.log10
    record["total_sign"] = None if total is None else total.sign
    return record


def _amount_json(amount: Amount | None) -> dict[str, Any]:
    if amount is None:
        return {"value": None, "log10": None, "sign": None}
    return {"value": amount.value, "log10": amount.log10, "sign": amount.sign}
