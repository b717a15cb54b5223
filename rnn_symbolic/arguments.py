"""What the commands have in common on the command line: the parser, types of arguments, groups of options.

Imports neither SymPy nor NumPy, for ``--help``.
"""

from __future__ import annotations

import argparse
import math
import re
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from rnn_symbolic.errors import suggest
from rnn_symbolic.output import tell, write_output

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


def positive(text: str) -> float:
    """An argument type: a positive number."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not (math.isfinite(number) and number > 0):
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is not a positive number")
    return number


def renamings(text: str) -> dict[str, str]:
    """An argument type: their names by ours, W_x=Wxh,x=inputs."""
    found: dict[str, str] = {}
    for part in text.split(","):
        ours, _, theirs = part.strip().partition("=")
        if not re.fullmatch("[A-Za-z][A-Za-z0-9_]*(_-[0-9]+)?", ours) or not theirs.isidentifier():
            raise argparse.ArgumentTypeError(f"{text[:40]!r} renames nothing; give ours=theirs, as in W_x=Wxh,x=inputs")
        if ours in found:
            raise argparse.ArgumentTypeError(f"{ours!r} is given twice in {text[:40]!r}")
        found[ours] = theirs
    return found


def add_command(commands: Any, name: str, summary: str) -> Parser:
    """A command that prints something."""
    parser: Parser = commands.add_parser(name, help=summary, description=f"Print {summary}.")
    return parser


def model_options(parser: Parser, form: str | None = "scalar") -> None:
    """Which network: ``form`` is the default of --form; None where the input decides."""
    group = parser.add_argument_group("model")
    group.add_argument("--cell", metavar="NAME|FILE", help="a built-in cell or a file with equations (elman)")
    group.add_argument("--steps", type=whole_number(1), metavar="T", help="the number of steps (3, or the length of x)")
    group.add_argument(
        "--form", type=one_of("scalar", "matrix"), default=form,
        help=f"scalar (every quantity a number, as in the article) or matrix ({form or 'as the input needs it'})",
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


def document_options(parser: Parser) -> None:
    """What commands that print a document have besides."""
    parser.add_argument("--standalone", action="store_true",
                        help="LaTeX that compiles as it is (pdflatex; xelatex for zh)")  # fmt: skip


def output_options(parser: Parser, formats: Sequence[str], default: str | None = None) -> None:
    """Where the result goes, and how it is written."""
    group = parser.add_argument_group("output")
    group.add_argument("--to", type=one_of(*formats), default=default or formats[0], metavar="FORMAT",
                       help=f"{', '.join(formats)} ({default or formats[0]})")  # fmt: skip
    group.add_argument("-o", "--output", metavar="FILE", default="-", help="write to FILE instead of standard output")
    group.add_argument("--force", action="store_true", help="overwrite an existing FILE")
    group.add_argument("--lang", type=one_of("en", "zh"), default="en", help="en or zh (en)")
