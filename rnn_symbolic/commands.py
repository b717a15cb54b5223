"""What each command does: options to a model, the model to records, records to a document or JSON."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from rnn_symbolic.cells import BUILT_IN, load_cell
from rnn_symbolic.errors import InputError, suggest
from rnn_symbolic.model import Model, unroll
from rnn_symbolic.output import json_text
from rnn_symbolic.render.document import Document

Outcome = tuple[str, int]
"""What a command prints, and its exit code."""


def _model(args: argparse.Namespace, steps: int | None = None, *, numbers: bool = False) -> Model:
    """The model that the options describe; where numbers are needed σ is logistic and the loss squared."""
    activation = args.activation or ("logistic" if numbers else "sigma")
    loss = args.loss or ("squared" if numbers else "abstract")
    output = args.output_activation or activation
    model = unroll(
        load_cell(args.cell),
        steps=steps or args.steps or 3,
        losses=args.losses,
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
    return model


def _draw(document: Document, to: str, standalone: bool = False) -> str:
    if standalone and to != "latex":
        raise InputError(f"--standalone is a LaTeX document; it does not go with --to {to}")
    match to:
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
    derivations = derive_gradients(model, goals, whole=args.all, max_paths=args.max_paths)
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
        derivations, language=args.lang, depth=args.depth, layout=args.layout, verifications=found
    )
    return _draw(document, args.to, args.standalone), code


def _goals(model: Model, args: argparse.Namespace) -> tuple[str, ...]:
    """What was asked for, each once."""
    return tuple(dict.fromkeys(str(model.resolve(goal)) for goal in args.goals))


def _point(args: argparse.Namespace) -> tuple[Model, Any]:
    from rnn_symbolic.values import read_values

    cell = load_cell(args.cell)
    if args.steps is not None and args.steps > args.max_steps:
        _model(args)  # refuses, with the limit
    point, steps = read_values(args.values, cell, steps=args.steps)
    return _model(args, steps, numbers=True), point


def paths(args: argparse.Namespace) -> Outcome:
    """``paths``: the paths to a quantity, listed, counted or grouped; with numbers where values are given."""
    from rnn_symbolic.render.path_tables import paths_document, paths_json
    from rnn_symbolic.survey import survey_paths
    from rnn_symbolic.valuation import Valuation

    if args.top is not None:
        if args.values is None:
            raise InputError("--top ranks paths by their values; give --values FILE")
        if args.count or args.by is not None:
            raise InputError(f"--top lists paths; it does not go with {'--count' if args.count else '--by'}")
    valuation = None
    if args.values is not None:
        model, point = _point(args)
        valuation = Valuation(model, point)
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
    if args.to == "json":
        return json_text(paths_json(survey, whole=args.all)), 0
    return _draw(paths_document(survey, args.lang, whole=args.all), args.to), 0


def gradient(args: argparse.Namespace) -> Outcome:
    """``gradient``: loss and every gradient at a point."""
    from rnn_symbolic.render.number_tables import gradient_document, gradient_json
    from rnn_symbolic.valuation import Valuation

    model, point = _point(args)
    valuation = Valuation(model, point)
    if args.to == "json":
        return json_text(gradient_json(valuation)), 0
    return _draw(gradient_document(valuation, args.lang), args.to), 0


def check(args: argparse.Namespace) -> Outcome:
    """``check``: every gradient against complex step and Richardson differences."""
    from rnn_symbolic.checking import check_at_random, check_gradient
    from rnn_symbolic.render.number_tables import verdicts_document, verdicts_json

    if args.values is not None:
        model, point = _point(args)
        verdicts = check_gradient(model, _goals(model, args) or None, point)
    else:
        model = _model(args, numbers=True)
        verdicts = check_at_random(model, _goals(model, args) or None, args.seed or 0)
    code = 0 if verdicts.passed else 1
    if args.to == "json":
        return json_text(verdicts_json(verdicts)), code
    return _draw(verdicts_document(verdicts, args.lang), args.to), code


def article(args: argparse.Namespace) -> Outcome:
    """``article``: the article's claims, our verdicts, computed evidence, errata."""
    from rnn_symbolic.article import study_article
    from rnn_symbolic.render.article_document import article_document, article_json

    if args.standalone and args.to != "latex":
        raise InputError(f"--standalone is a LaTeX document; it does not go with --to {args.to}")
    claims = study_article()
    if args.to == "json":
        return json_text(article_json(claims, args.lang)), 0
    return _draw(article_document(claims, args.lang), args.to, args.standalone), 0


def cells(args: argparse.Namespace) -> Outcome:
    """``cells``: the built-in cells, or the text of one."""
    if args.name is None:
        if args.to == "json":
            return json_text({"cells": [{"name": name, "text": text} for name, text in BUILT_IN.items()]}), 0
        width = max(map(len, BUILT_IN))
        lines = (f"{name:<{width}}  {text.splitlines()[0].lstrip('# ')}" for name, text in BUILT_IN.items())
        return "\n".join(lines) + "\n", 0
    if args.name not in BUILT_IN:
        hint = suggest(args.name, BUILT_IN)
        raise InputError(f"{args.name!r} is not a built-in cell; there are {', '.join(BUILT_IN)}.{hint}")
    text = BUILT_IN[args.name]
    if args.to == "json":
        return json_text({"cells": [{"name": args.name, "text": text}]}), 0
    return text if text.endswith("\n") else text + "\n", 0


COMMANDS: dict[str, Callable[[argparse.Namespace], Outcome]] = {
    "derive": derive,
    "paths": paths,
    "gradient": gradient,
    "check": check,
    "article": article,
    "cells": cells,
}
