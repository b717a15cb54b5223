"""The command `exercise`: its options, and a seed to a sheet or its key; a key is proved before it is printed."""

from __future__ import annotations

import argparse
from typing import Any

from rnn_symbolic.arguments import DOCUMENT_FORMATS, Parser, add_command, one_of, output_options, whole_number
from rnn_symbolic.errors import InputError

DESCRIPTION = """\
Print a problem sheet on backpropagation through time, or with --key its solution. The same seed, kind and level give
the same sheet, on every machine. Every key is verified before anything is printed, and the audit accepts its answers.
"""
EXAMPLES = """\
examples:
  rnn-symbolic exercise --seed 7                        a sum over paths with blanks
  rnn-symbolic exercise --seed 7 --key                  what belongs in them
  rnn-symbolic exercise --seed 7 --kind spoiled --level 2   a derivation with one wrong line
  rnn-symbolic exercise --seed 7 --kind numbers --to latex --standalone -o sheet.tex
levels:       1 a scalar network and few steps; 2 more steps, or states that reach further; 3 matrices, gates, decimals
"""


def add_exercise(commands: Any) -> Parser:
    """The options of ``exercise``."""
    parser = add_command(commands, "exercise", "a problem sheet, or with --key its solution")
    parser.description, parser.epilog = DESCRIPTION, EXAMPLES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--seed", type=whole_number(0), required=True, metavar="N", help="the number of the sheet")
    parser.add_argument(
        "--kind", type=one_of("blank", "spoiled", "numbers"), default="blank", metavar="NAME",
        help="blank (fill in), spoiled (find the wrong line) or numbers (compute); (blank)",
    )  # fmt: skip
    parser.add_argument("--level", type=whole_number(1), default=1, metavar="1..3", help="how hard it is (1)")
    parser.add_argument("--key", action="store_true", help="the solution instead of the sheet")
    parser.add_argument("--standalone", action="store_true",
                        help="LaTeX that compiles as it is (pdflatex; xelatex for zh)")  # fmt: skip
    output_options(parser, DOCUMENT_FORMATS, default="text")
    return parser


def exercise(args: argparse.Namespace) -> tuple[str, int]:
    """``exercise``: a problem sheet, or with ``--key`` its solution."""
    from rnn_symbolic.commands import draw
    from rnn_symbolic.exercises.making import make_exercise, verify_exercise
    from rnn_symbolic.output import json_text
    from rnn_symbolic.render.exercise_document import exercise_document, exercise_json

    if args.standalone and args.to != "latex":
        raise InputError(f"--standalone is a LaTeX document; it does not go with --to {args.to}")
    made = make_exercise(args.seed, args.kind, args.level)
    verify_exercise(made)
    if args.to == "json":
        return json_text(exercise_json(made, key=args.key)), 0
    return draw(exercise_document(made, args.lang, key=args.key), args), 0
