"""The house is flat and has one direction: a module imports only from lower floors. Text is never evaluated.

A new module needs a floor here; a package in the package (``render/``) is one room.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

FLOORS = {
    "errors": 0,
    "frozen": 0,
    "expressions": 1,  # the grammar of formulas
    "output": 1,  # where results go
    "processes": 1,  # other programs, ended in time
    "arguments": 2,  # what the commands have in common
    "functions": 2,  # σ, tanh, … as a table
    "array_functions": 3,  # the same for NumPy arrays
    "scanner": 3,  # what may stand in a line of a cell's text
    "printing": 3,  # how expressions look
    "unicode": 3,  # … in a terminal
    "equations": 4,  # text -> expressions, safely
    "symbols": 4,  # the SymPy reading
    "numeric": 4,  # the reading in numbers
    "builtin_cells": 4,  # elman, lstm, … as text
    "cells": 5,  # a cell, read from text
    "table": 5,  # local derivatives
    "entries": 6,  # what may stand in a file of values
    "shapes": 6,  # ranks and sizes, by unification
    "jacobians": 6,  # the matrix reading of the table
    "collapse": 6,  # y − d, derived
    "notations": 6,  # the letters of other sources
    "arrays": 7,  # the reading in NumPy arrays
    "model": 7,  # a cell, unrolled
    "scaled": 8,  # products of arrays beyond the range of floats
    "matrix_values": 8,  # a point of arrays, from a mapping
    "blocks": 8,  # what leads from one visible quantity to another
    "concrete": 8,  # functions in the place of what is abstract
    "pullback": 8,  # what a row does to an adjoint
    "refinement": 8,  # equations in pieces
    "schedule": 9,  # what needs the step before
    "program": 10,  # forward and adjoint statements
    "certificate": 15,  # the sum over paths as a theorem that Coq checks
    "codegen": 14,  # a program in a language, compiled
    "values": 9,  # a point, from a file or a mapping
    "graph": 9,  # paths from L, counted and listed
    "paths": 10,
    "valuation": 11,  # a model at a point
    "matrix_valuation": 12,  # the same with arrays
    "comparison": 13,  # when are two gradients the same?
    "gradients": 13,  # loss and gradients as arrays
    "survey": 13,  # the paths to one quantity as a whole
    "forms": 14,  # what a line of a derivation shows
    "lambdified": 14,  # a derivation as a NumPy function
    "sections": 15,  # the lines of a derivation
    "jacobian": 16,  # the state Jacobian
    "derivation": 16,
    "induction": 18,  # any T: statements with their proofs
    "verification": 17,  # are the lines of a derivation equal, and all there?
    "matrix_checking": 17,  # against independent numbers, with arrays
    "checking": 18,  # against independent numbers
    "auditing": 18,  # where a gradient of somebody else's goes wrong
    "article": 19,
    "exercises": 19,  # problem sheets and their keys
    "render": 20,  # how documents look
    "testing": 21,  # an audit as an assertion
    "commands": 22,  # options -> records -> documents
    "audit_command": 23,  # `audit`, in a module of its own
    "prove_command": 23,  # and `prove`
    "exercise_command": 23,  # `exercise`, likewise
    "cli": 24,
    "__init__": 25,  # public names, imported lazily
    "__main__": 25,
}

# The one stated exception: what shows or evaluates a record *for the user* may reach upwards, inside its
# body, because notebooks ask the record itself. Imports for annotations (TYPE_CHECKING) never run.
REACHES_UP = frozenset({"lhs", "rhs", "value", "product", "verify", "__str__"})  # and _repr_latex_, _repr_html_, …

PACKAGE = Path(__file__).parents[1] / "rnn_symbolic"
MODULES = sorted(PACKAGE.rglob("*.py"))


def room(path: Path) -> str:
    """The key of ``path`` in FLOORS.

    >>> room(PACKAGE / "render" / "latex.py"), room(PACKAGE / "cli.py")
    ('render', 'cli')
    """
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imported_rooms(node: ast.AST, package: tuple[str, ...]) -> Iterator[str]:
    """The rooms that an import statement enters; a relative one starts from ``package``."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            first, _, rest = alias.name.partition(".")
            if first == "rnn_symbolic":
                yield rest.split(".")[0] or "__init__"
    elif isinstance(node, ast.ImportFrom):
        base = package[: len(package) - node.level + 1] if node.level else ()
        target = (*base, *(node.module.split(".") if node.module else ()))
        if target[:1] != ("rnn_symbolic",):
            return
        if len(target) > 1:
            yield target[1]
        else:  # from rnn_symbolic import …: modules, or names of the front door
            yield from (
                alias.name if alias.name in FLOORS else "__init__"
                for alias in node.names
                if alias.name != "__version__"
            )


def upward_imports(source: str, path: Path) -> list[str]:
    """The imports of a module that do not go down, as "line: room"."""
    here = room(path)
    package = ("rnn_symbolic", *path.relative_to(PACKAGE).parts[:-1])
    found: list[str] = []

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.FunctionDef) and (node.name in REACHES_UP or node.name.startswith("_repr_")):
            return
        if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            for child in node.orelse:
                visit(child)
            return
        for there in imported_rooms(node, package):
            if there != here and FLOORS.get(there, 99) >= FLOORS.get(here, 0):
                found.append(f"{node.lineno}: {there}")
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(ast.parse(source))
    return found


def test_every_module_has_a_floor():
    assert MODULES
    assert {room(path) for path in MODULES} == set(FLOORS)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_down(path):
    assert upward_imports(path.read_text(encoding="utf-8"), path) == []


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("from rnn_symbolic.expressions import ONE\nimport rnn_symbolic.errors, sympy", []),
        ("from rnn_symbolic.paths import Path", ["1: paths"]),
        ("import rnn_symbolic.cli as c", ["1: cli"]),
        ("def f():\n    from rnn_symbolic import render", ["2: render"]),
        ("from . import render", ["1: render"]),
        ("from .render.latex import document", ["1: render"]),
        ("from rnn_symbolic.cells import Cell", ["1: cells"]),  # a neighbour on the same floor
        ("from rnn_symbolic import unroll", ["1: __init__"]),
        ("from rnn_symbolic import __version__", []),
        ("from rnn_symbolic.nowhere import x", ["1: nowhere"]),
        ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from rnn_symbolic.model import Model", []),
        ("class A:\n    def _repr_latex_(self):\n        from rnn_symbolic.render import latex", []),
        ("class A:\n    def rhs(self):\n        from rnn_symbolic.model import x", []),
        ("class A:\n    def other(self):\n        from rnn_symbolic.model import x", ["3: model"]),
    ],
)
def test_an_import_that_goes_up_is_seen(source, expected):
    assert upward_imports(source, PACKAGE / "table.py") == expected


def test_rooms_with_several_files_are_one_room():
    path = PACKAGE / "render" / "latex.py"
    assert upward_imports("from .text import x\nfrom rnn_symbolic.render import y\nfrom ..model import z", path) == []
    assert upward_imports("from ..cli import main", path) == ["1: cli"]


# --- start-up ---

PROBE = """
import sys
from rnn_symbolic.cli import main
try:
    status = main()
except SystemExit as stop:
    status = stop.code
heavy = sorted({"sympy", "numpy", "matplotlib"} & set(sys.modules))
sys.exit(f"imported {heavy}" if heavy else status)
"""


@pytest.mark.parametrize("arguments", ["--help", "--version", "derive --help", "cells --help"])
def test_help_starts_without_sympy_and_numpy(arguments):
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROBE, *arguments.split()],
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout


def test_importing_the_package_is_light():
    probe = "import sys, rnn_symbolic; sys.exit(str({'sympy', 'numpy'} & set(sys.modules) or '') or 0)"
    run = subprocess.run([sys.executable, "-c", probe], capture_output=True, encoding="utf-8", check=False)
    assert (run.returncode, run.stderr) == (0, "")


# --- text is never evaluated ---

EVALUATES = frozenset("sympify parse_expr parse_latex parse_mathematica S eval exec compile __import__".split())
UNSAFE_IMPORTS = frozenset("pickle cPickle dill cloudpickle marshal shelve".split())
SYMPIFIES_ITS_ARGUMENTS = frozenset("subs xreplace diff evalf simplify expand lambdify".split())


def evaluations(source: str) -> list[str]:
    """Every call that could turn a string into running code, as "line: what"."""
    found: list[str] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names]
            modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else names
            found += [f"{node.lineno}: {name}" for name in modules if name.split(".")[0] in UNSAFE_IMPORTS]
            found += [f"{node.lineno}: {name}" for name in names if name in EVALUATES]
        elif isinstance(node, ast.Call):
            called = _called(node.func)
            if called in EVALUATES:
                found.append(f"{node.lineno}: {called}")
            elif called in SYMPIFIES_ITS_ARGUMENTS and any(map(_is_text, _operands(node))):
                found.append(f"{node.lineno}: {called} of a string")
    return found


def _called(function: ast.expr) -> str:
    """The name of what is called; ``re.compile`` and a node's own ``.eval`` are not the builtins."""
    if isinstance(function, ast.Name):
        return function.id
    if isinstance(function, ast.Attribute):
        of_builtins = isinstance(function.value, ast.Name) and function.value.id == "builtins"
        return "" if function.attr in ("eval", "exec", "compile") and not of_builtins else function.attr
    return ""


def _operands(call: ast.Call) -> Iterator[ast.expr]:
    """The arguments of a call and the entries of those that are lists, tuples or dictionaries."""
    queue = call.args[:2] if _called(call.func) == "lambdify" else list(call.args)  # its third names a library
    while queue:
        node = queue.pop()
        yield node
        if isinstance(node, ast.List | ast.Tuple | ast.Set):
            queue.extend(node.elts)
        elif isinstance(node, ast.Dict):
            queue.extend([key for key in node.keys if key is not None] + node.values)


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_string_is_evaluated(path):
    assert evaluations(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "source",
    [
        "sp.sympify(text)",
        "from sympy.parsing.sympy_parser import parse_expr",
        "x = S('1/2')",
        "sp.S(text)",
        "eval(text)",
        "builtins.exec(text)",
        "compile(text, '', 'exec')",
        "import pickle",
        "from pickle import loads",
        "y.subs('x', 1)",
        "y.subs({x: '1'})",
        "y.subs([(x, f'{text}')])",
        "sp.diff('x**2', x)",
        "sp.lambdify('x', y)",
    ],
)
def test_an_evaluated_string_is_seen(source):
    assert evaluations(source) != []


def test_harmless_code_is_not_accused():
    assert evaluations("re.compile('x'); sp.S.One; y.subs(names['x'], 1); sp.lambdify([x], y, 'numpy')") == []
