"""What each command does: options to a model, the model to records, records to a document or JSON."""

from __future__ import annotations

import argparse
import math
import warnings
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from rnn_symbolic.cells import BUILT_IN, Cell, load_cell
from rnn_symbolic.errors import CellError, InputError
from rnn_symbolic.model import Model, unroll
from rnn_symbolic.output import json_text
from rnn_symbolic.render.document import Document
from rnn_symbolic.shapes import Shapes, infer_shapes, size_report

Outcome = tuple[str, int]
"""What a command prints, and its exit code."""
MAX_RANDOM = 2_000_000
"""How many numbers a random point and its forward pass may hold; beyond it a check takes minutes."""


def _cell(args: argparse.Namespace) -> Cell:
    """The cell that the options name; a notation may bring its own cell and its own L."""
    if args.notation != "article" and args.cell != "elman":  # an elman asked for by name stays one
        from rnn_symbolic.notations import notation_named, resolve

        asked = args.losses
        args.cell, args.losses = resolve(args.notation, "elman" if args.cell is None else args.cell, asked)
        own = notation_named(args.notation)
        if asked not in (None, own.losses) and own.losses is not None and args.cell == own.cell:
            raise InputError(f"the network of {args.notation} takes the mean over the steps; leave --losses out")
    args.cell = "elman" if args.cell is None else args.cell  # an empty name is refused
    cell = load_cell(args.cell)
    if args.form == "matrix":
        _shapes(cell, args.cell)
    return cell


def _shapes(cell: Cell, source: str) -> Shapes:
    """The shapes of a cell; ranks that do not fit are refused with the name of the file they stand in."""
    try:
        return infer_shapes(cell)
    except CellError as error:
        if source in BUILT_IN or any(mark in source for mark in "\n\r="):
            raise
        raise CellError(f"{source!r}, {error}") from None


def _model(args: argparse.Namespace, steps: int | None = None, *, numbers: bool = False) -> Model:
    """The model that the options describe; where numbers are needed σ is logistic and the loss squared."""
    activation = args.activation or ("logistic" if numbers else "sigma")
    loss = args.loss or ("squared" if numbers else "abstract")
    output = args.output_activation or activation
    if output == "softmax" and args.form == "scalar":
        raise InputError("--output-activation softmax mixes the components of a vector; it needs --form matrix")
    cell = _cell(args)
    model = unroll(
        cell,
        steps=steps or args.steps or 3,
        losses=args.losses or "all",
        loss=loss,
        activation=activation,
        output_activation=output,
        form=args.form,
        max_steps=args.max_steps,
    )
    if numbers and model.is_abstract:
        for option, value in (("--activation", activation), ("--output-activation", output)):
            if value == "sigma":
                raise InputError(f"{option} sigma is abstract and has no numbers; choose a function such as logistic")
        raise InputError("--loss abstract has no numbers; choose squared or cross-entropy")
    chosen = (args.activation is not None, args.output_activation is not None, args.loss is not None)
    for remark in model.remarks:
        about = "output activation" in remark, remark.startswith("the loss")
        if chosen[2 if about[1] else 1 if about[0] else 0]:  # only what the user asked for is worth a word
            args.notes.append(remark)
    if getattr(args, "shapes", False) and args.form == "scalar":
        args.notes.append("--shapes changes nothing in scalar form; add --form matrix")
    return model


def _draw(document: Document, args: argparse.Namespace, cell: Cell | None = None) -> str:
    """The document in the format and the notation asked for."""
    standalone = getattr(args, "standalone", False)
    if standalone and args.to != "latex":
        raise InputError(f"--standalone is a LaTeX document; it does not go with --to {args.to}")
    if cell is not None and args.notation != "article":
        from rnn_symbolic.notations import letters_for
        from rnn_symbolic.render.notation import rewrite

        document = rewrite(document, letters_for(args.notation, cell))
    match args.to:
        case "latex":
            from rnn_symbolic.render.latex import document_latex

            return document_latex(document, standalone=standalone)
        case "markdown":
            from rnn_symbolic.render.markdown import document_markdown

            return document_markdown(document)
    from rnn_symbolic.render.text import document_text

    return document_text(document)


def derive(args: argparse.Namespace) -> Outcome:
    """``derive``: the derivation of gradients as a document."""
    from rnn_symbolic.derivation import derive_gradients
    from rnn_symbolic.render.derivation_document import DEPTHS, derivation_document, derivation_json
    from rnn_symbolic.verification import verify_all

    if args.depth not in DEPTHS:
        raise InputError(f"--depth {args.depth}: there are 1 (abstract), 2 (derivation) and 3 (lecture)")
    if args.standalone and args.to != "latex":
        raise InputError(f"--standalone is a LaTeX document; it does not go with --to {args.to}")
    model = _model(args)
    goals = _goals(model, args)
    derivations = derive_gradients(
        model,
        goals,
        granularity=args.granularity,
        layout=args.layout,
        whole=args.all,
        max_paths=args.max_paths,
    )
    if not derivations:
        raise InputError(f"{model.cell.name} has no parameters; name an input or a state, such as x_1")
    found = verify_all(derivations, symbolic=args.verify, seed=args.seed)
    failed = any(f.status == "failed" for verification in found for f in verification.findings)
    code = 1 if failed or (args.verify and not all(v.passed for v in found)) else 0
    if args.to == "json":
        from rnn_symbolic.render.derivation_document import verification_json

        records = [
            {**derivation_json(d, args.lang), "verification": verification_json(v)}
            for d, v in zip(derivations, found, strict=True)
        ]
        several = len(goals) != 1
        return json_text({"derivations": records} if several else records[0]), code
    document = derivation_document(
        derivations,
        language=args.lang,
        depth=args.depth,
        layout=args.layout,
        shapes=args.shapes,
        verifications=found,
    )
    return _draw(document, args, model.cell), code


def _goals(model: Model, args: argparse.Namespace) -> tuple[str, ...]:
    """What was asked for, each once."""
    return tuple(dict.fromkeys(str(model.resolve(goal)) for goal in args.goals))


def _point(args: argparse.Namespace, *, need_targets: bool = True) -> tuple[Model, Any]:
    from rnn_symbolic.values import read_values

    cell = _cell(args)
    if args.steps is not None and args.steps > args.max_steps:
        _model(args)  # refuses, with the limit
    point, steps = read_values(args.values, cell, steps=args.steps, form=args.form, need_targets=need_targets)
    return _model(args, steps, numbers=True), point


def _valuation(model: Model, point: Any) -> Any:
    """Floats in scalar form, arrays in matrix form."""
    if model.form == "scalar":
        from rnn_symbolic.valuation import Valuation

        return Valuation(model, point)
    from rnn_symbolic.matrix_valuation import MatrixValuation

    return MatrixValuation(model, point)


def paths(args: argparse.Namespace) -> Outcome:
    """``paths``: the paths to a quantity, listed, counted or grouped; with numbers where values are given."""
    from rnn_symbolic.render.path_tables import PathStyle, paths_document, paths_json
    from rnn_symbolic.survey import survey_paths

    if args.top is not None:
        if args.values is None:
            raise InputError("--top ranks paths by their values; give --values FILE")
        if args.count or args.by is not None:
            raise InputError(f"--top lists paths; it does not go with {'--count' if args.count else '--by'}")
    valuation = None
    if args.values is not None:
        model, point = _point(args)
        several = args.granularity == "step" and len(model.cell.states) > 1
        valuation = _arrays(model, point) if several else _valuation(model, point)
    else:
        model = _model(args)
    survey = survey_paths(
        model,
        args.goal,
        granularity=args.granularity,
        valuation=valuation,
        by=args.by,
        top=args.top,
        listed=not args.count,
        limit=args.max_paths,
    )
    style = PathStyle(args.all, args.layout, args.shapes)
    if args.to == "json":
        return json_text(paths_json(survey, style)), 0
    return _draw(paths_document(survey, args.lang, style), args, model.cell), 0


def gradient(args: argparse.Namespace) -> Outcome:
    """``gradient``: loss and every gradient at a point."""
    from rnn_symbolic.render.number_tables import gradient_document, gradient_json

    model, point = _point(args)
    valuation = _valuation(model, point)
    if args.to == "json":
        return json_text(gradient_json(valuation)), 0
    return _draw(gradient_document(valuation, args.lang), args, model.cell), 0


def check(args: argparse.Namespace) -> Outcome:
    """``check``: every gradient against complex step and Richardson differences."""
    from rnn_symbolic.checking import Verdicts, check_at_random, check_gradient
    from rnn_symbolic.render.number_tables import verdicts_document, verdicts_json

    if (args.sizes or args.batch) and (args.form == "scalar" or args.values is not None):
        option = "--sizes" if args.sizes else "--batch"
        why = "numbers have no sizes: add --form matrix" if args.form == "scalar" else "the file of values decides it"
        raise InputError(f"{option} is for a random point in matrix form; {why}")
    if args.values is not None:
        model, point = _point(args)
        verdicts = check_gradient(model, _goals(model, args) or None, point)
    else:
        model = _model(args, numbers=True)
        point, goals = None, _goals(model, args) or None
        _refuse_large(model, args)
        verdicts = check_at_random(model, goals, args.seed or 0, sizes=args.sizes, batch=args.batch)
    if args.target is not None:
        verdicts = Verdicts((*verdicts, *_code_verdicts(model, point, args)))
    code = 0 if verdicts.passed else 1
    if args.to == "json":
        return json_text(verdicts_json(verdicts)), code
    return _draw(verdicts_document(verdicts, args.lang), args, model.cell), code


def _code_verdicts(model: Model, point: Any, args: argparse.Namespace) -> Any:
    """The verdicts on a target's code; whatever makes it go on with NumPy is said."""
    from rnn_symbolic.codegen.code_check import check_code, check_code_at_random

    goals = [model.resolve(name) for name in _goals(model, args)] or None
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", RuntimeWarning)
        if point is not None:
            verdicts = check_code(model, args.target, point, goals)
        else:
            seed, sizes = args.seed or 0, args.sizes
            verdicts = check_code_at_random(model, args.target, goals, seed, sizes=sizes, batch=args.batch)
    args.notes += [str(warning.message) for warning in said]
    return verdicts


def code(args: argparse.Namespace) -> Outcome:
    """``code``: a standalone module with ``loss_and_gradients``."""
    from rnn_symbolic.codegen.compiled import source_of

    model = _model(args, numbers=True)
    for option, given in (("--steps", args.steps), ("--layout", args.layout != "gradient")):
        if given:
            why = "the code is for any T" if option == "--steps" else "a gradient has the shape of its parameter"
            args.notes.append(f"{option} changes nothing: {why}")
    sizes = args.sizes
    if sizes and (args.form == "scalar" or args.target != "c"):
        why = "numbers have no sizes" if args.form == "scalar" else f"{args.target} code is for any sizes"
        raise InputError(f"--sizes is for C code in matrix form; {why}")
    if args.target == "c" and model.shapes is not None:
        from rnn_symbolic.matrix_valuation import random_sizes

        given = sizes or {}
        sizes = random_sizes(model, given)
        missing = [name for name in sizes if name not in given]
        if missing:
            taken = ", ".join(f"{name}={sizes[name]}" for name in missing)
            args.notes.append(f"the sizes {taken} were taken for want of --sizes")
    return source_of(model, args.target, inputs=args.inputs, sizes=sizes), 0


def _refuse_large(model: Model, args: argparse.Namespace) -> None:
    """A random point in matrix form must fit into memory several times over: its passes are stacked."""
    if model.shapes is None:
        return
    from rnn_symbolic.matrix_valuation import random_sizes

    numbers = random_sizes(model, args.sizes)
    columns = model.steps * (args.batch or 1)
    entries = sum(
        math.prod(numbers[size] for size in shape) * (1 if name in model.cell.parameters else columns)
        for name, shape in model.names.items()
    )
    if entries > MAX_RANDOM:
        raise InputError(
            f"the random point and its forward pass hold {entries:,} numbers, more than the limit of {MAX_RANDOM:,}; "
            f"take smaller --sizes, a smaller --batch or fewer --steps"
        )


def jacobian(args: argparse.Namespace) -> Outcome:
    """``jacobian``: ∂state_T/∂state_{T−k} by its blocks, as numbers, or the number of its elementary paths."""
    from rnn_symbolic.jacobian import StateJacobian, jacobian_value
    from rnn_symbolic.render.jacobian_document import (
        count_document,
        jacobian_document,
        jacobian_json,
        value_document,
    )

    if args.depth not in (1, 2, 3):
        raise InputError(f"--depth {args.depth}: there are 1 (abstract), 2 (derivation) and 3 (lecture)")
    if args.values is not None:
        model, point = _point(args, need_targets=False)
        if getattr(point, "batch", None) is not None:
            raise InputError("the values hold a batch, and a state Jacobian belongs to one sample; give x as T × n_x")
        if args.lag > model.steps:
            raise InputError(f"lag {args.lag} looks back beyond the initial state: x gives T = {model.steps} steps")
        found = StateJacobian(model, args.lag)
        valuation = _arrays(model, point)
        value = jacobian_value(found, valuation)
        if args.to == "json":
            return json_text(jacobian_json(found, value)), 0
        return _draw(value_document(found, value, valuation.point.sizes, args.lang), args, model.cell), 0
    model = _model(args, args.steps or max(3, args.lag))
    found = StateJacobian(model, args.lag)
    if args.to == "json":
        return json_text(jacobian_json(found, count=args.count)), 0
    if args.count:
        return _draw(count_document(found, args.lang), args, model.cell), 0
    document = jacobian_document(found, args.lang, depth=args.depth, shapes=args.shapes, layout=args.layout)
    return _draw(document, args, model.cell), 0


def _arrays(model: Model, point: Any) -> Any:
    """A valuation in arrays, in scalar form too, where every array has size 1."""
    from rnn_symbolic.arrays import array_point
    from rnn_symbolic.matrix_valuation import MatrixValuation

    return MatrixValuation(model, array_point(point))


def article(args: argparse.Namespace) -> Outcome:
    """``article``: the article's claims, our verdicts, computed evidence, errata."""
    from rnn_symbolic.article import study_article
    from rnn_symbolic.render.article_document import article_document, article_json

    if args.standalone and args.to != "latex":
        raise InputError(f"--standalone is a LaTeX document; it does not go with --to {args.to}")
    claims = study_article()
    if args.to == "json":
        return json_text(article_json(claims, args.lang)), 0
    return _draw(article_document(claims, args.lang), args), 0


def cells(args: argparse.Namespace) -> Outcome:
    """``cells``: the built-in cells, or the text of one, or its shapes."""
    if args.name is None:
        if args.shapes:
            raise InputError("--shapes shows the shapes of one cell; name it, as in cells lstm --shapes")
        if args.to == "json":
            return json_text({"cells": [{"name": name, "text": text} for name, text in BUILT_IN.items()]}), 0
        width = max(map(len, BUILT_IN))
        lines = (f"{name:<{width}}  {text.splitlines()[0].lstrip('# ')}" for name, text in BUILT_IN.items())
        return "\n".join(lines) + "\n", 0
    cell = load_cell(args.name)
    if args.shapes:
        report = size_report(_shapes(cell, args.name), cell)
        if args.to == "json":
            return json_text({"cells": [{"name": cell.name, "shapes": dict(report)}]}), 0
        width = max(len(name) for name, _ in report)
        return "".join(f"{name:<{width}}  {shape}\n" for name, shape in report), 0
    if args.to == "json":
        return json_text({"cells": [{"name": cell.name, "text": cell.text}]}), 0
    return cell.text if cell.text.endswith("\n") else cell.text + "\n", 0


def prove(args: argparse.Namespace) -> Outcome:
    """``prove``: the sum over paths as a theorem for every T; with --coq or --check, a proof for Coq."""
    if not (args.coq or args.check):
        raise InputError("prove writes proofs for Coq only, for now: add --coq for the file or --check for the verdict")
    from rnn_symbolic.certificate.checker import check_certificate
    from rnn_symbolic.certificate.document import coq_certificate

    if args.steps is not None:
        args.notes.append("--steps changes nothing: the theorem is for every T")
    certificate = coq_certificate(_model(args), args.goal or "")
    if not args.check:
        return certificate.text, 0
    verdict = check_certificate(certificate.text)
    code = 0 if verdict.accepted else 1
    if args.coq:  # the file is the result
        args.notes.append(verdict.line)
        return certificate.text, code
    if args.to == "json":
        return json_text(asdict(verdict)), code
    return f"{verdict}\n", code


COMMANDS: dict[str, Callable[[argparse.Namespace], Outcome]] = {
    "derive": derive,
    "paths": paths,
    "gradient": gradient,
    "check": check,
    "jacobian": jacobian,
    "article": article,
    "cells": cells,
    "code": code,
    "prove": prove,
}
