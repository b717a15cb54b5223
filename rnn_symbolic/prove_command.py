"""The command `prove`: its options, and what it does."""

from __future__ import annotations

import argparse
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
    parser.add_argument("--seed", type=whole_number(0), default=0, help="the random points of the checks (0)")
    return parser


def prove(args: argparse.Namespace) -> Outcome:
    """``prove``: ∂L/∂θ for every T, as theorems with their proofs."""
    from rnn_symbolic.commands import draw, model_of
    from rnn_symbolic.induction.checks import MOST_STEPS, QUICK_STEPS, verify_proofs
    from rnn_symbolic.induction.proof import prove_gradients
    from rnn_symbolic.output import json_text
    from rnn_symbolic.render.proof_document import proof_document, proof_json, proof_verification_json

    if args.standalone and args.to != "latex":
        raise InputError(f"--standalone is a LaTeX document; it does not go with --to {args.to}")
    if args.steps is not None:
        args.notes.append("--steps changes nothing: the proof is for every T")
    model = model_of(args, 3)
    proofs = prove_gradients(model, dict.fromkeys(args.goals), layout=args.layout, granularity=args.granularity)
    most = MOST_STEPS if args.verify else QUICK_STEPS
    found = verify_proofs(proofs, symbolic=args.verify, seed=args.seed, most=most, again=args.verify)
    failed = any(f.status == "failed" for verification in found for f in verification.findings)
    code = 1 if failed or (args.verify and not all(v.passed for v in found)) else 0
    if args.to == "json":
        records = [
            {**proof_json(proof, args.lang), "verification": proof_verification_json(v)}
            for proof, v in zip(proofs, found, strict=True)
        ]
        return json_text(records[0] if len(records) == 1 else {"derivations": records}), code
    return draw(proof_document(proofs, language=args.lang, verifications=found), args, model.cell), code
