"""The command `prove`: its options, and what it does."""

from __future__ import annotations

import argparse
import re
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rnn_symbolic.arguments import (
    DOCUMENT_FORMATS,
    GRANULARITIES,
    Parser,
    add_command,
    document_options,
    model_options,
    one_of,
    output_options,
    whole_number,
)
from rnn_symbolic.errors import InputError

if TYPE_CHECKING:
    from rnn_symbolic.commands import Outcome


def add_prove(commands: Any) -> Parser:
    """The options of ``prove``."""
    parser = add_command(commands, "prove", "the gradient for every T, with its proof by induction")
    parser.add_argument("goals", nargs="*", metavar="PARAM", help="W_x, h_0, or x_s for the input of any step (all)")
    model_options(parser)
    output_options(parser, DOCUMENT_FORMATS)
    document_options(parser)
    parser.add_argument(
        "--granularity", type=one_of(*GRANULARITIES), metavar="NAME",
        help="what a counted path visits: state, step or node (step for gated cells, state for others)",
    )  # fmt: skip
    parser.add_argument("--verify", action="store_true", help="compare with SymPy as well; exit 1 if anything differs")
    parser.add_argument("--coq", action="store_true", help="write the theorem and its proof as a file for Coq")
    parser.add_argument("--check", action="store_true", help="let coqc check that proof; exit 1 if it is refused")
    parser.add_argument(
        "--concrete", action="store_true", help="with --coq or --check: also about Coq's own tanh, exp, … (more axioms)"
    )
    parser.add_argument("--seed", type=whole_number(0), help="the random points of the checks (0)")
    parser.set_defaults(to=None)  # a file for Coq has one format: was another asked for?
    return parser


def prove(args: argparse.Namespace) -> Outcome:
    """``prove``: ∂L/∂θ for every T, as theorems with their proofs; with --coq or --check, as a file for Coq."""
    return _certificate(args) if args.coq or args.check else _document(args)


def _certificate(args: argparse.Namespace) -> Outcome:
    from rnn_symbolic.certificate.checker import check_certificate
    from rnn_symbolic.certificate.document import coq_certificate
    from rnn_symbolic.commands import model_of
    from rnn_symbolic.output import json_text
    from rnn_symbolic.render.verdict import verdict_line, verdict_text

    if len(args.goals) > 1:
        raise InputError(
            f"a file for Coq is about one gradient, and these are {len(args.goals)}: {', '.join(args.goals)}"
        )
    for option, given in (
        ("--verify", args.verify),
        ("--granularity", args.granularity),
        ("--standalone", args.standalone),
        ("--seed", args.seed is not None),
    ):
        if given:
            raise InputError(f"{option} belongs to the document; it does not go with --coq or --check")
    if args.coq and args.to is not None:
        raise InputError(f"--to {args.to} does not go with --coq: the result is a file for Coq")
    if args.to not in (None, "text", "json"):
        raise InputError(f"--to {args.to} does not go with --check: a verdict is text or json")
    if args.lang != "en" and not args.check:
        raise InputError(f"--lang {args.lang} does not go with --coq: a file for Coq is in English")
    for option, given, why in (
        ("--steps", args.steps is not None, "the theorem is for every T"),
        ("--layout", args.layout != "gradient", "the theorem is about each entry"),
        ("--notation", args.notation != "article", "a file for Coq keeps the names of the cell"),
    ):
        if given:
            args.notes.append(f"{option} changes {'no letters' if option == '--notation' else 'nothing'}: {why}")
    model = model_of(args)
    goal = args.goals[0] if args.goals else ""
    if re.fullmatch("x_(s|[0-9]+)", goal) and model.cell.uses_input and goal not in model.cell.parameters:
        known = ", ".join(map(str, (*model.parameters, *model.initial_states)))
        raise InputError(
            f"a certificate is about a parameter or an initial state, and {goal} is an input; choose one of {known}, "
            "or leave out --coq and --check: 'prove x_s' prints the proof for the input of any step"
        )
    certificate = coq_certificate(model, goal, concrete=args.concrete)
    if not args.check:
        return certificate.text, 0
    verdict = check_certificate(certificate)
    code = 0 if verdict.accepted else 1
    if args.coq:  # the file is the result
        args.notes.append(verdict_line(verdict, args.lang))
        return certificate.text, code
    if args.to == "json":
        return json_text(asdict(verdict)), code
    return f"{verdict_text(verdict, args.lang)}\n", code


def _document(args: argparse.Namespace) -> Outcome:
    from rnn_symbolic.commands import draw, model_of
    from rnn_symbolic.induction.checks import MOST_STEPS, QUICK_STEPS, verify_proofs
    from rnn_symbolic.induction.proof import prove_gradients
    from rnn_symbolic.output import json_text
    from rnn_symbolic.render.proof_document import proof_document, proof_json, proof_verification_json

    args.to = args.to or "latex"
    if args.standalone and args.to != "latex":
        raise InputError(f"--standalone is a LaTeX document; it does not go with --to {args.to}")
    if args.concrete:
        raise InputError("--concrete is about a file for Coq; it goes with --coq or --check")
    if args.steps is not None:
        args.notes.append("--steps changes nothing: the proof is for every T")
    model = model_of(args, 3)
    proofs = prove_gradients(model, dict.fromkeys(args.goals), layout=args.layout, granularity=args.granularity)
    most = MOST_STEPS if args.verify else QUICK_STEPS
    found = verify_proofs(proofs, symbolic=args.verify, seed=args.seed or 0, most=most, again=args.verify)
    failed = any(f.status == "failed" for verification in found for f in verification.findings)
    code = 1 if failed or (args.verify and not all(v.passed for v in found)) else 0
    if args.to == "json":
        records = [
            {**proof_json(proof, args.lang), "verification": proof_verification_json(v)}
            for proof, v in zip(proofs, found, strict=True)
        ]
        return json_text(records[0] if len(records) == 1 else {"derivations": records}), code
    return draw(proof_document(proofs, language=args.lang, verifications=found), args, model.cell), code
