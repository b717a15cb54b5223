"""The command `audit`: its options, and what it does."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from rnn_symbolic.arguments import (
    TABLE_FORMATS,
    Parser,
    add_command,
    model_options,
    output_options,
    positive,
    renamings,
    sizes,
    whole_number,
)
from rnn_symbolic.errors import InputError

if TYPE_CHECKING:
    from rnn_symbolic.auditing.records import Audit
    from rnn_symbolic.cells import Cell

DESCRIPTION = """\
Find the wrong term in somebody's gradient, and say what it should be. The gradient is given as formulas, as numbers
together with the point that they belong to, or as code. Note that --code RUNS THAT CODE, in a process of its own with
your rights: audit only what you would run yourself.
"""
EXAMPLES = """\
examples:
  rnn-symbolic audit --formula homework.txt --steps 3
  echo "dW_y = sum(t=1..T, l'(y[t]) * sigma'(o[t]) * h[t])" | rnn-symbolic audit --formula -
  rnn-symbolic audit --cell gru --gradients gradients.json --values point.json
  rnn-symbolic audit --cell lstm --code homework.py:loss_and_gradients
  rnn-symbolic audit --code net.py:grad --names W_x=Wxh,W_h=Whh,x=inputs --row-major --mean
  rnn-symbolic audit --code net.py:grad --no-answer     right or wrong, and where
a formula:   dW_x = l'(y[3]) * sigma'(o[3]) * W_y * sigma'(a[3]) * x[3] + …     (with --form matrix: @, .T, diag(…))
a function:  def grad(params, x, d, state), or with arguments by name; it returns gradients, or (loss, gradients)
exit codes:  0 correct, 1 wrong or inconclusive, 2 bad input
"""
MAX_FORMULA = 256 * 1024
"""How many bytes of formulas are read."""
CODE_ONLY = ("names", "row_major", "mean", "timeout")
CODE_TIMEOUT = 60.0


def add_audit(commands: Any) -> Parser:
    """The options of ``audit``."""
    parser = add_command(commands, "audit", "what is wrong with a gradient of yours")
    parser.description, parser.epilog = DESCRIPTION, EXAMPLES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--formula", metavar="FILE", help="lines such as dW_x = …, for a fixed T ('-' is standard input)")
    what.add_argument(
        "--gradients", metavar="FILE", action="append",
        help='numbers (JSON): {"W_x": …}, any of the parameters; with --values, and again for a further point',
    )  # fmt: skip
    what.add_argument("--code", metavar="MODULE:FUNCTION", help="a function, as in net.py:grad; RUNS THIS CODE")
    parser.add_argument(
        "--values", metavar="FILE", action="append", help="the point (JSON) at which the --gradients were computed"
    )
    parser.add_argument("--no-answer", action="store_true", help="only what is right or wrong and where, as a hint")
    parser.add_argument("--tolerance", type=positive, metavar="R", help="the relative error that still counts as right")
    code = parser.add_argument_group("code and formulas")
    code.add_argument("--names", type=renamings, metavar="OURS=THEIRS,…", help="what the code calls our names")
    code.add_argument("--row-major", action="store_true", help="the code's matrices are transposed: h W for W h")
    code.add_argument("--mean", action="store_true", help="the code's L is the mean over the steps")
    code.add_argument("--timeout", type=positive, metavar="S", help="seconds that the code may take (60)")
    code.add_argument("--sizes", type=sizes, metavar="n_h=4,…", help="the sizes at which the code is asked")
    code.add_argument("--seed", type=whole_number(0), metavar="N", help="other random points (0)")
    model_options(parser, form=None)
    output_options(parser, TABLE_FORMATS)
    return parser


def audit(args: argparse.Namespace) -> tuple[str, int]:
    """``audit``: the verdict on formulas, numbers or code; exit code 0 only where it is "correct"."""
    _refuse_options(args)
    from rnn_symbolic.commands import cell_of, draw
    from rnn_symbolic.model import unroll
    from rnn_symbolic.output import json_text
    from rnn_symbolic.render.audit_document import audit_document, audit_json

    cell = cell_of(args)
    if args.steps is not None and args.steps > args.max_steps:
        unroll(cell, steps=args.steps, max_steps=args.max_steps)  # refuses, with the limit
    if args.layout != "gradient":
        args.notes.append("--layout changes nothing: a gradient has the shape of its parameter")
    found = _audited(cell, args)
    code = 0 if found.verdict == "correct" else 1
    if args.to == "json":
        return json_text(audit_json(found, args.lang)), code
    return draw(audit_document(found, args.lang), args, cell), code


def _refuse_options(args: argparse.Namespace) -> None:
    """Options that do not go together, by name."""
    given = "--formula" if args.formula is not None else "--gradients" if args.gradients is not None else "--code"
    if given != "--code":
        for name in CODE_ONLY:
            if getattr(args, name):
                raise InputError(f"--{name.replace('_', '-')} is for --code; it does not go with {given}")
    if given != "--code" and args.sizes:
        raise InputError(f"--sizes is for --code, which is asked at points of ours; it does not go with {given}")
    if given == "--code" and args.sizes and args.form == "scalar":
        raise InputError("--sizes is for --form matrix: numbers have no sizes")
    if given == "--formula" and args.tolerance is not None:
        raise InputError("--tolerance is for numbers; formulas are compared term by term")
    if given == "--gradients" and args.seed is not None:
        raise InputError("--seed draws random points; --gradients come with theirs in --values")
    if given != "--gradients" and args.values is not None:
        raise InputError(f"--values belong to --gradients; with {given} the audit chooses its own points")
    if given == "--gradients":
        _refuse_files(args)
        if args.steps is not None:
            raise InputError("--steps is not for --gradients: T is the length of x in the --values")


def _refuse_files(args: argparse.Namespace) -> None:
    values = args.values or []
    if not values:
        raise InputError("--gradients need --values: the point (JSON) at which they were computed")
    if len(values) != len(args.gradients):
        raise InputError(
            f"--gradients was given {len(args.gradients)} times and --values {len(values)} times; give them in pairs"
        )
    if [*values, *args.gradients].count("-") > 1:
        raise InputError("the standard input can be read once; give a file for all but one of --gradients and --values")


def _audited(cell: Cell, args: argparse.Namespace) -> Audit:
    from rnn_symbolic.auditing.auditor import audit as audited

    given = _formulas(args) if args.formula is not None else _numbers(cell, args) if args.gradients else _code(args)
    return audited(
        cell,
        form=args.form,
        losses=args.losses or "all",
        loss=args.loss,
        activation=args.activation,
        output_activation=args.output_activation,
        seed=args.seed or 0,
        told=not args.no_answer,
        **given,
    )


def _formulas(args: argparse.Namespace) -> dict[str, Any]:
    from rnn_symbolic.entries import read_text

    text = read_text(args.formula, "--formula", "a text file with lines such as dW_x = …", MAX_FORMULA)
    return {"formula": text, "steps": args.steps}


def _numbers(cell: Cell, args: argparse.Namespace) -> dict[str, Any]:
    """The gradients as precise as they were written, and the points."""
    from rnn_symbolic.auditing.given import read_gradients
    from rnn_symbolic.entries import read_object
    from rnn_symbolic.model import unroll

    model = unroll(cell)
    values = [read_object(path, "--values")[0] for path in args.values]
    gradients = [read_gradients(path, model) for path in args.gradients]
    return {"gradients": gradients, "values": values, "tolerance": args.tolerance}


def _code(args: argparse.Namespace) -> dict[str, Any]:
    from rnn_symbolic.auditing.user_code import Adapter

    return {
        "code": args.code,
        "steps": args.steps,
        "sizes": args.sizes,
        "tolerance": args.tolerance,
        "timeout": args.timeout or CODE_TIMEOUT,
        "adapter": Adapter(args.names or {}, args.row_major, args.mean),
    }
