"""Paths as tables and as JSON."""

from __future__ import annotations

from typing import Any

from rnn_symbolic.derivation import default_granularity
from rnn_symbolic.expressions import Derivative, Quantity, Transpose
from rnn_symbolic.forms import orient
from rnn_symbolic.frozen import frozen
from rnn_symbolic.graph import Path
from rnn_symbolic.paths import graph
from rnn_symbolic.printing import latex, latex_quantity, without_macros
from rnn_symbolic.render.amounts import amount_json, amount_text, entries_text, log10_text, value_column
from rnn_symbolic.render.document import Block, Document, Paragraph, Table
from rnn_symbolic.render.formulas import form_latex, form_pieces, path_latex, route_latex, shape_brace
from rnn_symbolic.render.words import count_text, say
from rnn_symbolic.sections import Plan, block_section, entry_section
from rnn_symbolic.survey import PathGroup, Survey
from rnn_symbolic.table import product_value


@frozen
class PathStyle:
    """How the product along a path is written: elided or whole, in matrix form in a layout, with shapes."""

    whole: bool = False
    layout: str = "gradient"
    shapes: bool = False

    def product(self, survey: Survey, path: Path) -> str:
        """The product as a formula: in matrix form a term of the gradient, in its layout."""
        model = survey.model
        if model.form == "scalar":
            return path_latex(path, self.whole)
        brace = shape_brace(model.names) if self.shapes else None
        return " ".join(form_pieces(orient(path, model, survey.goal, self.layout), self.whole, brace))


def paths_document(survey: Survey, language: str, style: PathStyle | None = None) -> Document:
    """The paths, or their groups, or their count, as a document; the blocks of gated cells stand apart, once."""
    style = style or PathStyle()
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
        apart = _blocks_apart(survey)
        products = not apart or survey.granularity == "step"
        if products and survey.model.form == "matrix":
            blocks.append(Paragraph(say(language, f"product-{style.layout}", goal=goal)))
        blocks.append(_path_table(survey, language, style, products=products))
        if apart:
            key = "blocks-named" if survey.granularity == "step" else "blocks-once"
            blocks += [Paragraph(say(language, key)), _block_table(survey, language)]
    if survey.groups:
        blocks.append(_group_table(survey.groups, survey.by or "lag", language))
    if survey.total is not None and survey.count:
        blocks.append(Paragraph(_total_text(survey, language)))
    return Document(say(language, "paths-title", goal=goal), tuple(blocks), language)


def _total_text(survey: Survey, language: str) -> str:
    assert survey.total is not None
    named = Derivative(Quantity("L"), survey.goal)
    arrays = survey.model.form == "matrix"  # whose numbers have the shape of the goal
    derivative, amount = f"${latex(Transpose(named) if arrays else named)}$", amount_text(survey.total)
    if value_column(survey.total) == "value":
        return say(language, "total", derivative=derivative, value=amount)
    entries = entries_text(survey.total)
    if entries is None:
        return say(language, "total-norm", derivative=derivative, norm=amount)
    return say(language, "total-array", derivative=derivative, value=entries, norm=amount)


def _blocks_apart(survey: Survey) -> bool:
    """Whether the products along paths would repeat long blocks: those of gated cells."""
    return survey.granularity != "node" and default_granularity(survey.model) == "step"


def _block_table(survey: Survey, language: str) -> Table:
    """What leads from one visible quantity to the next, at the generic step: each block once."""
    g = graph(survey.model, survey.goal, survey.granularity)
    names = {node.name for path, _ in survey.paths or () for node in path.nodes}
    rows: dict[str, str] = {}
    if survey.granularity == "step":
        plan = Plan(survey.model, "step")
        for step in (*block_section(plan).steps, *entry_section(plan, g).steps):
            rows[f"${form_latex(step.before)}$"] = f"${form_latex(step.after)}$"
    else:
        for head in g.visible:
            for block in (*g.inner[head], *g.entry[head]):
                if block.head in names and block.tail in names:
                    tail = Quantity(block.tail) if block.lag is None else Quantity(block.tail, -block.lag, "t")
                    leads = f"{latex_quantity(Quantity(head, 0, 't'))} \\leftarrow {latex_quantity(tail)}"
                    rows[f"${leads}$"] = f"${latex(product_value(block.factors))}$"
    return Table((say(language, "block"), say(language, "product")), tuple(rows.items()))


def _path_table(survey: Survey, language: str, style: PathStyle, *, products: bool) -> Table:
    assert survey.paths is not None
    first = survey.paths[0][1]
    numbers = ["loss", "entry", "lag"] if first is None else ["lag", value_column(first), "log10"]
    columns = ["route", *(["product"] if products else []), *numbers]
    rows = []
    for path, amount in survey.paths:
        row = [f"${route_latex(path, style.whole)}$"]
        if products:
            row.append(f"${style.product(survey, path)}$")
        if amount is None:
            row += [str(path.loss_step), str(path.entry_step), str(path.lag)]
        else:
            row += [str(path.lag), amount_text(amount, 8), log10_text(amount)]
        rows.append(tuple(row))
    return Table(tuple(say(language, column) for column in columns), tuple(rows))


def _group_table(groups: tuple[PathGroup, ...], by: str, language: str) -> Table:
    first = groups[0].amount
    columns = [by, "count", *((value_column(first), "log10") if first is not None else ())]
    rows = [
        (
            str(group.key),
            count_text(group.count),
            *((amount_text(group.amount), log10_text(group.amount)) if group.amount is not None else ()),
        )
        for group in groups
    ]
    return Table(tuple(say(language, column) for column in columns), tuple(rows))


def paths_json(survey: Survey, style: PathStyle | None = None) -> dict[str, Any]:
    """The contract's keys: wrt, count, paths, total, and with a grouping groups."""
    style = style or PathStyle()
    record: dict[str, Any] = {"wrt": str(survey.goal), "count": survey.count}
    if survey.paths is not None:
        record["paths"] = [
            {
                "route": list(path.route),
                "loss_step": path.loss_step,
                "entry_step": path.entry_step,
                "lag": path.lag,
                "latex": without_macros(style.product(survey, path)),
                **amount_json(amount),
            }
            for path, amount in survey.paths
        ]
    if survey.groups is not None:
        record["groups"] = [
            {str(survey.by): group.key, "count": group.count, **amount_json(group.amount)} for group in survey.groups
        ]
    total = amount_json(survey.total)
    record |= {"total": total["value"], "total_log10": total["log10"], "total_sign": total["sign"]}
    return record
