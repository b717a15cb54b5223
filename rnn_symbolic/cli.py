"""The command line: arguments in, documents and tables out; no mathematics.

Results go to standard output or to a file, everything else to standard error. Exit codes: 0 ok, 1 a check failed,
2 usage or input error (one line), 130 interrupted, 141 broken pipe.
"""

from __future__ import annotations

import argparse
import gc
import sys
from collections.abc import Sequence
from importlib import import_module

from rnn_symbolic import __version__
from rnn_symbolic.arguments import (
    DOCUMENT_FORMATS,
    GRANULARITIES,
    TABLE_FORMATS,
    Parser,
    add_command,
    document_options,
    model_options,
    one_of,
    output_options,
    sizes,
    whole_number,
)
from rnn_symbolic.audit_command import add_audit
from rnn_symbolic.errors import InputError, NumericalFailure, suggest
from rnn_symbolic.exercise_command import add_exercise
from rnn_symbolic.output import abandon, refuse_output, tell, write_output
from rnn_symbolic.prove_command import add_prove

PROGRAM = "rnn-symbolic"
EXAMPLES = """\
examples:
  rnn-symbolic derive W_x                       the derivation of dL/dW_x as LaTeX
  rnn-symbolic derive --to text                 all five gradients, in the terminal
  rnn-symbolic derive W_h --standalone -o w.tex a file that pdflatex compiles
  rnn-symbolic paths W_x --losses last          the article's three paths
  rnn-symbolic paths W_x --steps 10000 --count  50005000, counted and not listed
  rnn-symbolic gradient --values point.json     loss and gradients as numbers
  rnn-symbolic check --seed 1                   symbolic against numeric gradients
  rnn-symbolic derive --cell lstm --form matrix the LSTM, with matrices
  rnn-symbolic jacobian --cell gru --form matrix  the Jacobian of its state, block by block
  rnn-symbolic code --cell lstm -o lstm.py      backpropagation through time as a NumPy module
  rnn-symbolic prove W_h --form matrix          the gradient for every T, with its proof
  rnn-symbolic prove W_x --coq -o elman.v       the same as a proof for Coq
  rnn-symbolic audit --help                     find the wrong term in a gradient of yours
  rnn-symbolic exercise --seed 1                a problem sheet; with --key its verified solution
  rnn-symbolic article --lang zh                the article, claim by claim
"""
HOMES = {"audit": "audit_command", "exercise": "exercise_command", "prove": "prove_command"}
"""The module of a command, where it is not `commands`."""


def build_parser() -> Parser:
    """All commands and their options; imports neither SymPy nor NumPy."""
    parser = Parser(
        prog=PROGRAM,
        description="Derive backpropagation through time step by step, as a sum over paths; typeset and check it.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=Parser)

    derive = add_command(commands, "derive", "the derivation of gradients, as a document")
    derive.add_argument("goals", nargs="*", metavar="PARAM", help="W_x, h_0, x_2, h_3 … (all parameters when none)")
    model_options(derive)
    output_options(derive, DOCUMENT_FORMATS)
    document_options(derive)
    derive.add_argument("--depth", type=whole_number(1), default=2, help="1 abstract, 2 derivation, 3 lecture (2)")
    derive.add_argument("--all", action="store_true", help="elide nothing, however large T is")
    _path_limit(derive)
    derive.add_argument(
        "--verify", action="store_true", help="prove the sum equal to SymPy's derivative; exit 1 if not"
    )
    derive.add_argument(
        "--granularity", type=one_of(*GRANULARITIES), metavar="NAME",
        help="what a path visits: state, step or node (step for gated cells, state for others)",
    )  # fmt: skip
    _shapes_option(derive)
    derive.add_argument("--seed", type=whole_number(0), default=0, help="the random point of the checks (0)")

    paths = add_command(commands, "paths", "all paths from L to a quantity")
    paths.add_argument("goal", metavar="PARAM", help="W_x, h_0, x_2, h_3 …")
    model_options(paths)
    output_options(paths, TABLE_FORMATS)
    paths.add_argument("--values", metavar="FILE", help="numbers (JSON): every path gets its value")
    paths.add_argument("--count", action="store_true", help="count the paths without listing them")
    paths.add_argument("--by", type=one_of("lag", "loss", "route"), help="group by lag, loss or route")
    paths.add_argument(
        "--granularity", type=one_of(*GRANULARITIES), default="state", metavar="NAME",
        help="what a path visits: state, step (all states of a step together) or node (state)",
    )  # fmt: skip
    _shapes_option(paths)
    paths.add_argument("--top", type=whole_number(1), metavar="N", help="the N largest at the given values")
    _path_limit(paths)
    paths.add_argument("--all", action="store_true", help="write long products out")

    check = add_command(commands, "check", "symbolic gradients against independent numbers")
    check.add_argument("goals", nargs="*", metavar="PARAM", help="what to check (all parameters when none)")
    model_options(check)
    output_options(check, TABLE_FORMATS)
    where = check.add_mutually_exclusive_group()
    where.add_argument("--values", metavar="FILE", help="the point (JSON)")
    where.add_argument("--seed", type=whole_number(0), help="a random point (0 when neither is given)")
    check.add_argument("--sizes", type=sizes, metavar="n_h=4,…", help="the sizes of the random point, in matrix form")
    check.add_argument("--batch", type=whole_number(1), metavar="B", help="a random batch of B samples, in matrix form")
    check.add_argument(
        "--target", type=one_of("numpy", "c", "jax", "torch"), metavar="NAME",
        help="check compiled code as well: numpy, c, jax or torch",
    )  # fmt: skip

    jacobian = add_command(commands, "jacobian", "the Jacobian of the state, block by block")
    model_options(jacobian)
    output_options(jacobian, TABLE_FORMATS)
    jacobian.add_argument("--lag", type=whole_number(1), default=1, metavar="K", help="over how many steps (1)")
    what = jacobian.add_mutually_exclusive_group()
    what.add_argument("--values", metavar="FILE", help="numbers (JSON): the Jacobian at the last step of x")
    what.add_argument("--count", action="store_true", help="how many elementary paths each block sums up")
    jacobian.add_argument("--depth", type=whole_number(1), default=2, help="3 gives the reason for every line (2)")
    _shapes_option(jacobian)

    gradient = add_command(commands, "gradient", "loss and every gradient, as numbers")
    model_options(gradient)
    output_options(gradient, TABLE_FORMATS)
    gradient.add_argument("--values", metavar="FILE", required=True, help="the point (JSON)")

    code = add_command(commands, "code", "a standalone module that computes loss and gradients")
    code.add_argument(
        "--target", type=one_of("numpy", "c", "jax"), default="numpy", metavar="NAME", help="numpy, c or jax (numpy)"
    )
    code.add_argument("--inputs", action="store_true", help="the gradients by the inputs as well")
    code.add_argument("--sizes", type=sizes, metavar="n_h=4,…", help="the sizes that C code is written for")
    model_options(code, form="matrix")
    code.add_argument("-o", "--output", metavar="FILE", default="-", help="write to FILE instead of standard output")
    code.add_argument("--force", action="store_true", help="overwrite an existing FILE")

    add_prove(commands)
    add_audit(commands)
    add_exercise(commands)

    article = add_command(commands, "article", "the article, claim by claim, with computed evidence")
    output_options(article, DOCUMENT_FORMATS, default="text")
    document_options(article)

    cells = add_command(commands, "cells", "the built-in cells; the text of one, ready to be changed")
    cells.add_argument("name", nargs="?", metavar="NAME", help="print this cell's text (a built-in's name, or a file)")
    cells.add_argument("--shapes", action="store_true", help="the shapes that its matrix form gives each name")
    output_options(cells, ("text", "json"))
    return parser


def _shapes_option(parser: Parser) -> None:
    parser.add_argument("--shapes", action="store_true", help="the shape under each factor, in matrix form")


def _path_limit(parser: Parser) -> None:
    parser.add_argument(
        "--max-paths", type=whole_number(1), default=20_000, metavar="N", help="the limit on paths written out (20000)"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code. Never a traceback for bad input."""
    if argv is None:  # a process of its own, soon over: looking for cycles would take a tenth of a short one
        gc.set_threshold(100_000)
    parser = build_parser()
    try:
        args, unknown = parser.parse_known_args(argv)
        if args.command is None:
            if unknown:
                parser.error(f"unknown option {unknown[0]}")
            parser.print_help()
            return 0
        if unknown:
            return _complain(args.command, _unknown_argument(parser, args.command, unknown[0]))
        return _run(args)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader has gone (| head): nothing more to say
        abandon(sys.stdout)
        return 141
    except OSError as error:  # of --help; the commands' own are met in `_run`
        abandon(sys.stdout)
        return _complain("", f"cannot write to standard output: {error.strerror or error}")


def _unknown_argument(parser: Parser, command: str, argument: str) -> str:
    (commands,) = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    known = commands.choices[command].options()
    if argument.startswith("-"):
        option = argument.partition("=")[0]
        return f"unknown option {option}.{suggest(option, known)} (try {PROGRAM} {command} --help)"
    return f"unexpected argument {argument!r} (try {PROGRAM} {command} --help)"


def _run(args: argparse.Namespace) -> int:
    try:
        refuse_output(args.output, args.force)  # before the work is done, not after
        run = getattr(import_module(f"rnn_symbolic.{HOMES.get(args.command, 'commands')}"), args.command)
        args.notes = []  # what a command wants to say beside its result; an error goes alone
        outcome: tuple[str, int] = run(args)
        text, code = outcome
        for note in args.notes:
            tell(f"{PROGRAM} {args.command}: note: {note}")
        write_output(text, args.output, args.force)
        return code
    except (InputError, NumericalFailure) as error:
        return _complain(args.command, str(error))
    except MemoryError:
        return _complain(args.command, "this takes more memory than there is; use fewer steps, or smaller sizes")
    except BrokenPipeError:
        raise
    except OSError as error:
        where = repr(args.output)
        if args.output == "-":
            abandon(sys.stdout)
            where = "to standard output"
        return _complain(args.command, f"cannot write {where}: {error.strerror or error}")


def _complain(command: str, message: str) -> int:
    tell(f"{PROGRAM} {command}".rstrip() + f": error: {message}")
    return 2
