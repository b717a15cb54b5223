"""The command line: arguments in, documents and tables out; no mathematics.

Results go to standard output or to a file, everything else to standard error. Exit codes: 0 ok, 1 a check failed,
2 usage or input error (one line), 130 interrupted, 141 broken pipe.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from rnn_symbolic import __version__
from rnn_symbolic.errors import InputError, NumericalFailure, suggest
from rnn_symbolic.output import abandon, refuse_output, tell, write_output

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
  rnn-symbolic prove W_x --coq -o elman.v       the sum over paths for every T, as a proof for Coq
  rnn-symbolic article --lang zh                the article, claim by claim
"""
DOCUMENT_FORMATS = ("latex", "text", "markdown", "json")
TABLE_FORMATS = ("text", "json", "markdown", "latex")
ACTIVATIONS = (
    "sigma", "tanh", "logistic", "relu", "softplus", "sin", "cos", "exp", "log", "sqrt", "identity",
)  # fmt: skip


GRANULARITIES = ("state", "step", "node")
NOTATIONS = ("article", "goodfellow", "d2l", "karpathy", "pascanu")


class Parser(argparse.ArgumentParser):
    """argparse whose errors are one line, with the nearest name."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"allow_abbrev": False, **kwargs})

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {message} (try {self.prog} --help)\n")

    def _print_message(self, message: str, file: Any = None) -> None:
        if file is not None and file is sys.stdout:  # help goes the way of every result: UTF-8, and flushed
            write_output(message, "-")
        else:
            tell(message)

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            known = list(action.choices)
            hint = suggest(str(value), known)
            raise argparse.ArgumentError(action, f"{str(value)[:40]!r} is not one of {', '.join(known)}.{hint}")

    def _get_values(self, action: argparse.Action, arg_strings: list[str]) -> Any:
        if action.option_strings and arg_strings == ["--"]:  # --cell=--; argparse before Python 3.13 loses it
            value = self._get_value(action, "--")
            self._check_value(action, value)
            return value
        return super()._get_values(action, arg_strings)

    def options(self) -> list[str]:
        """Every option that this parser knows."""
        return [option for action in self._actions for option in action.option_strings]


def one_of(*choices: str) -> Any:
    """An argument type: one of the choices, refused with the nearest one."""

    def parse(text: str) -> str:
        if text in choices:
            return text
        raise argparse.ArgumentTypeError(f"{text!r} is not one of {', '.join(choices)}.{suggest(text, choices)}")

    return parse


def whole_number(minimum: int) -> Any:
    """An argument type: a whole number, at least ``minimum``."""

    def parse(text: str) -> int:
        number = int(text) if re.fullmatch(r"\+?[0-9]{1,18}", text) else None
        if number is None or number < minimum:
            atmost = " and at most 18 digits" if re.fullmatch("[0-9]{19,}", text) else ""
            raise argparse.ArgumentTypeError(f"{text[:40]!r} is not a whole number of at least {minimum}{atmost}")
        return number

    return parse


def sizes(text: str) -> dict[str, int]:
    """An argument type: sizes by name, n_h=4,n_x=2."""
    found: dict[str, int] = {}
    for part in text.split(","):
        name, equals, number = part.partition("=")
        if not equals or not re.fullmatch("n_[A-Za-z0-9_]+", name) or not re.fullmatch("[1-9][0-9]{0,3}", number):
            raise argparse.ArgumentTypeError(f"{text[:40]!r} names no sizes; give them as in n_h=4,n_x=2 (1 to 9999)")
        if name in found:
            raise argparse.ArgumentTypeError(f"{name!r} is given twice in {text[:40]!r}")
        found[name] = int(number)
    return found


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

    derive = _command(commands, "derive", "the derivation of gradients, as a document")
    derive.add_argument("goals", nargs="*", metavar="PARAM", help="W_x, h_0, x_2, h_3 … (all parameters when none)")
    _model_options(derive)
    _output_options(derive, DOCUMENT_FORMATS)
    _document_options(derive)
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

    paths = _command(commands, "paths", "all paths from L to a quantity")
    paths.add_argument("goal", metavar="PARAM", help="W_x, h_0, x_2, h_3 …")
    _model_options(paths)
    _output_options(paths, TABLE_FORMATS)
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

    check = _command(commands, "check", "symbolic gradients against independent numbers")
    check.add_argument("goals", nargs="*", metavar="PARAM", help="what to check (all parameters when none)")
    _model_options(check)
    _output_options(check, TABLE_FORMATS)
    where = check.add_mutually_exclusive_group()
    where.add_argument("--values", metavar="FILE", help="the point (JSON)")
    where.add_argument("--seed", type=whole_number(0), help="a random point (0 when neither is given)")
    check.add_argument("--sizes", type=sizes, metavar="n_h=4,…", help="the sizes of the random point, in matrix form")
    check.add_argument("--batch", type=whole_number(1), metavar="B", help="a random batch of B samples, in matrix form")
    check.add_argument(
        "--target", type=one_of("numpy", "c", "jax", "torch"), metavar="NAME",
        help="check compiled code as well: numpy, c, jax or torch",
    )  # fmt: skip

    jacobian = _command(commands, "jacobian", "the Jacobian of the state, block by block")
    _model_options(jacobian)
    _output_options(jacobian, TABLE_FORMATS)
    jacobian.add_argument("--lag", type=whole_number(1), default=1, metavar="K", help="over how many steps (1)")
    what = jacobian.add_mutually_exclusive_group()
    what.add_argument("--values", metavar="FILE", help="numbers (JSON): the Jacobian at the last step of x")
    what.add_argument("--count", action="store_true", help="how many elementary paths each block sums up")
    jacobian.add_argument("--depth", type=whole_number(1), default=2, help="3 gives the reason for every line (2)")
    _shapes_option(jacobian)

    gradient = _command(commands, "gradient", "loss and every gradient, as numbers")
    _model_options(gradient)
    _output_options(gradient, TABLE_FORMATS)
    gradient.add_argument("--values", metavar="FILE", required=True, help="the point (JSON)")

    code = _command(commands, "code", "a standalone module that computes loss and gradients")
    code.add_argument(
        "--target", type=one_of("numpy", "c", "jax"), default="numpy", metavar="NAME", help="numpy, c or jax (numpy)"
    )
    code.add_argument("--inputs", action="store_true", help="the gradients by the inputs as well")
    code.add_argument("--sizes", type=sizes, metavar="n_h=4,…", help="the sizes that C code is written for")
    _model_options(code, form="matrix")
    code.add_argument("-o", "--output", metavar="FILE", default="-", help="write to FILE instead of standard output")
    code.add_argument("--force", action="store_true", help="overwrite an existing FILE")

    article = _command(commands, "article", "the article, claim by claim, with computed evidence")
    _output_options(article, DOCUMENT_FORMATS, default="text")
    _document_options(article)

    prove = _command(commands, "prove", "the sum over paths as a theorem for every T, with a proof that Coq checks")
    prove.add_argument("goal", nargs="?", metavar="PARAM", help="W_x, h_0 … (the first parameter when none)")
    _model_options(prove)
    _output_options(prove, DOCUMENT_FORMATS)
    prove.add_argument("--coq", action="store_true", help="write the theorem and its proof as a file for Coq")
    prove.add_argument("--check", action="store_true", help="let coqc check the proof; exit 1 if it is refused")

    cells = _command(commands, "cells", "the built-in cells; the text of one, ready to be changed")
    cells.add_argument("name", nargs="?", metavar="NAME", help="print this cell's text (a built-in's name, or a file)")
    cells.add_argument("--shapes", action="store_true", help="the shapes that its matrix form gives each name")
    _output_options(cells, ("text", "json"))
    return parser


def _command(commands: Any, name: str, summary: str) -> Parser:
    parser: Parser = commands.add_parser(name, help=summary, description=f"Print {summary}.")
    return parser


def _shapes_option(parser: Parser) -> None:
    parser.add_argument("--shapes", action="store_true", help="the shape under each factor, in matrix form")


def _path_limit(parser: Parser) -> None:
    parser.add_argument(
        "--max-paths", type=whole_number(1), default=20_000, metavar="N", help="the limit on paths written out (20000)"
    )


def _model_options(parser: Parser, form: str = "scalar") -> None:
    group = parser.add_argument_group("model")
    group.add_argument("--cell", metavar="NAME|FILE", help="a built-in cell or a file with equations (elman)")
    group.add_argument("--steps", type=whole_number(1), metavar="T", help="the number of steps (3, or the length of x)")
    group.add_argument(
        "--form", type=one_of("scalar", "matrix"), default=form,
        help=f"scalar (every quantity a number, as in the article) or matrix ({form})",
    )  # fmt: skip
    group.add_argument("--losses", type=one_of("all", "last"), help="L = sum of all losses, or the last (all)")
    group.add_argument("--loss", type=one_of("abstract", "squared", "cross-entropy"),
                       help="abstract for derivations, squared where numbers are needed")  # fmt: skip
    group.add_argument("--activation", type=one_of(*ACTIVATIONS), metavar="NAME",
                       help="sigma (abstract); logistic where numbers are needed")  # fmt: skip
    group.add_argument(
        "--output-activation", type=one_of(*ACTIVATIONS, "softmax"), metavar="NAME",
        help="the same as --activation; softmax in matrix form",
    )  # fmt: skip
    group.add_argument(
        "--layout", type=one_of("gradient", "jacobian"), default="gradient",
        help="how gradients of L are written in matrix form: gradient (the parameter's shape) or jacobian",
    )  # fmt: skip
    group.add_argument(
        "--notation", type=one_of(*NOTATIONS), default="article", metavar="NAME",
        help=f"the letters of a source: {', '.join(NOTATIONS)} (article)",
    )  # fmt: skip
    group.add_argument("--max-steps", type=whole_number(1), default=10_000, metavar="N", help="the limit on T (10000)")


def _output_options(parser: Parser, formats: Sequence[str], default: str | None = None) -> None:
    group = parser.add_argument_group("output")
    group.add_argument("--to", type=one_of(*formats), default=default or formats[0], metavar="FORMAT",
                       help=f"{', '.join(formats)} ({default or formats[0]})")  # fmt: skip
    group.add_argument("-o", "--output", metavar="FILE", default="-", help="write to FILE instead of standard output")
    group.add_argument("--force", action="store_true", help="overwrite an existing FILE")
    group.add_argument("--lang", type=one_of("en", "zh"), default="en", help="en or zh (en)")


def _document_options(parser: Parser) -> None:
    parser.add_argument("--standalone", action="store_true",
                        help="LaTeX that compiles as it is (pdflatex; xelatex for zh)")  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code. Never a traceback for bad input."""
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
        from rnn_symbolic import commands

        args.notes = []  # what a command wants to say beside its result; an error goes alone
        text, code = commands.COMMANDS[args.command](args)
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
