"""The notebooks: each runs from a clean kernel, asserts what it claims, and is committed without outputs."""

from __future__ import annotations

import ast
import importlib.util
import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from latex_tools import require

import rnn_symbolic

FOLDER = Path(__file__).parent.parent / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
PACKAGE = Path(rnn_symbolic.__file__).parent.parent
"""Where the kernel finds the package that this test run imports."""

LEAST_ASSERTS = 30
LONGEST_CELL = 20
"""Statements, those inside functions and loops included; what is longer belongs in two cells."""
CELL_SECONDS = 120

IDENTITY = re.compile(r"[a-zA-Z0-9_-]{1,64}")
ABSOLUTE_PATH = re.compile(
    r"""(?<![\w.:/$\\])(?:~|/(?:home|Users|root|tmp|usr|var|opt|mnt|work|etc))/|[A-Z]:\\Users|file://"""
)
ALLOWED_IMPORTS = {"IPython", "matplotlib", "numpy", "rnn_symbolic", "sympy"} | sys.stdlib_module_names

each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def read(path: Path) -> dict[str, Any]:
    """A notebook as the JSON it is stored in."""
    notebook: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return notebook


def code_of(notebook: dict[str, Any]) -> list[ast.Module]:
    """The code cells, parsed: Python without magics."""
    return [ast.parse("".join(cell["source"])) for cell in notebook["cells"] if cell["cell_type"] == "code"]


# --- as committed ---


def test_there_are_notebooks() -> None:
    assert [path.name for path in NOTEBOOKS] == [
        "01-the-article.ipynb",
        "02-vanishing-and-exploding.ipynb",
        "03-lstm-and-gru.ipynb",
        "04-every-T.ipynb",
        "05-find-the-mistake.ipynb",
    ]


@each_notebook
def test_is_valid_and_has_minimal_metadata(path: Path) -> None:
    notebook = read(path)
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    assert notebook["metadata"] == {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    assert all(cell["metadata"] == {} and "attachments" not in cell for cell in notebook["cells"])

    require(importlib.util.find_spec("nbformat") is not None, "needs nbformat")
    import nbformat

    nbformat.validate(notebook)


@each_notebook
def test_cells_have_ids_of_their_own(path: Path) -> None:
    ids = [cell["id"] for cell in read(path)["cells"]]
    assert all(IDENTITY.fullmatch(identity) for identity in ids)
    assert len(set(ids)) == len(ids)


@each_notebook
def test_is_committed_without_outputs(path: Path) -> None:
    for cell in read(path)["cells"]:
        if cell["cell_type"] == "code":
            assert (cell["outputs"], cell["execution_count"]) == ([], None), cell["id"]


@each_notebook
def test_asserts_what_it_claims(path: Path) -> None:
    asserts = [node for cell in code_of(read(path)) for node in ast.walk(cell) if isinstance(node, ast.Assert)]
    assert len(asserts) >= LEAST_ASSERTS
    assert not any(isinstance(node.test, ast.Constant | ast.Tuple) for node in asserts), "an assert that cannot fail"


@each_notebook
def test_cells_are_short_and_explained(path: Path) -> None:
    notebook = read(path)
    for cell in code_of(notebook):
        statements = [node for node in ast.walk(cell) if isinstance(node, ast.stmt)]
        assert len(statements) <= LONGEST_CELL, ast.unparse(cell)
    kinds = [cell["cell_type"] for cell in notebook["cells"]]
    assert kinds[0] == kinds[-1] == "markdown"
    assert kinds.count("markdown") >= kinds.count("code") / 2


@each_notebook
def test_needs_only_what_the_project_names(path: Path) -> None:
    for cell in code_of(read(path)):
        for node in ast.walk(cell):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert {name.partition(".")[0] for name in names} <= ALLOWED_IMPORTS


@each_notebook
def test_names_no_absolute_path(path: Path) -> None:
    for cell in read(path)["cells"]:
        assert not (found := ABSOLUTE_PATH.search("".join(cell["source"]))), found


@each_notebook
def test_links_lead_somewhere(path: Path) -> None:
    for cell in read(path)["cells"]:
        if cell["cell_type"] == "markdown":
            for target in re.findall(r"\]\(([^)#]+)\)", "".join(cell["source"])):
                assert (FOLDER / target).is_file(), target


def test_an_absolute_path_is_seen() -> None:
    for text in ("open('/home/me/x')", '"/tmp/x.png"', "~/x", r"C:\Users\me", "file:///x"):
        assert ABSOLUTE_PATH.search(text), text
    for text in (r"\partial L/\partial W", "$a/b$", "1/2/3", "https://example.org/home/x", "L ---> y_3"):
        assert not ABSOLUTE_PATH.search(text), text


# --- executed ---


def run(notebook: dict[str, Any], folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Execute a notebook in a new kernel that lives in ``folder``; what it wrote to stderr, which should be nothing.

    The kernel is this very Python with this very package, whatever kernels and configurations the user has; nothing
    is drawn on a screen or written outside of ``folder``.
    """
    for tool in ("nbclient", "nbformat", "ipykernel", "matplotlib"):
        require(importlib.util.find_spec(tool) is not None, f"needs {tool}")
    import nbclient
    import nbformat

    for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR", "MPLCONFIGDIR"):
        (folder / "settings" / name).mkdir(parents=True)
        monkeypatch.setenv(name, str(folder / "settings" / name))
    monkeypatch.setenv("JUPYTER_PATH", str(Path(sys.prefix) / "share" / "jupyter"))
    monkeypatch.setenv("PYTHONPATH", str(PACKAGE))
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.delenv("PYTHONWARNINGS", raising=False)  # what a reader would see
    monkeypatch.setenv("MPLBACKEND", "Agg")
    (folder / "cwd").mkdir()

    node = nbformat.reads(json.dumps(notebook), as_version=4)
    nbclient.NotebookClient(
        node, timeout=CELL_SECONDS, kernel_name="python3", resources={"metadata": {"path": str(folder / "cwd")}}
    ).execute()

    assert list((folder / "cwd").iterdir()) == []
    outputs = [output for cell in node.cells for output in cell.get("outputs", ())]
    return [output.text for output in outputs if output.output_type == "stream" and output.name == "stderr"]


# The libraries around the kernel may warn of one another; what the notebook itself warns of is in its stderr.
runs_a_kernel = pytest.mark.filterwarnings("default")


@runs_a_kernel
@each_notebook
def test_runs_from_a_clean_kernel(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {file.name: file.read_bytes() for file in FOLDER.iterdir() if file.is_file()}
    assert run(read(path), tmp_path, monkeypatch) == []
    assert {file.name: file.read_bytes() for file in FOLDER.iterdir() if file.is_file()} == before


@runs_a_kernel
@pytest.mark.parametrize(
    ("source", "what"),
    [
        ("import rnn_symbolic as rs\nassert rs.count_paths(rs.unroll('elman'), 'W_x') == 5", "AssertionError"),
        ("import warnings\nwarnings.warn('mind the gap')", "UserWarning: mind the gap"),
    ],
)
def test_a_wrong_notebook_is_noticed(source: str, what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cell = {"cell_type": "code", "id": "a", "metadata": {}, "execution_count": None, "outputs": [], "source": source}
    notebook = {"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    try:
        noticed = run(notebook, tmp_path, monkeypatch)
    except Exception as error:  # nbclient is imported only where it is there
        assert type(error).__name__ == "CellExecutionError"
        noticed = [str(error)]
    assert what in "".join(noticed)
