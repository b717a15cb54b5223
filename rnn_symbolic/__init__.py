"""Backpropagation through time, derived step by step as a sum over paths, typeset, checked.

>>> import rnn_symbolic as rs
>>> grad = rs.derive_gradient(rs.unroll("elman", steps=3), "W_x")
>>> len(grad.paths)
6
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

_HOME = {
    "Audit": "auditing.records",
    "Cell": "cells",
    "Derivation": "derivation",
    "InputError": "errors",
    "Model": "model",
    "Path": "graph",
    "Proof": "induction.proof",
    "StateJacobian": "jacobian",
    "Verdict": "checking",
    "audit": "auditing.auditor",
    "check_certificate": "certificate.checker",
    "check_gradient": "checking",
    "compile_gradient": "codegen.compiled",
    "coq_certificate": "certificate.document",
    "count_paths": "paths",
    "derive_gradient": "derivation",
    "derive_gradients": "derivation",
    "gradients_at": "gradients",
    "iter_paths": "paths",
    "list_paths": "paths",
    "parse_cell": "cells",
    "prove_gradient": "induction.proof",
    "unroll": "model",
}
"""Where each public name lives: it is imported when it is first used (PEP 562)."""

__all__ = ["__version__", *_HOME]  # noqa: PLE0604 - the names of a table

if TYPE_CHECKING:
    from rnn_symbolic.auditing.auditor import audit as audit
    from rnn_symbolic.auditing.records import Audit as Audit
    from rnn_symbolic.cells import Cell as Cell
    from rnn_symbolic.cells import parse_cell as parse_cell
    from rnn_symbolic.certificate.checker import check_certificate as check_certificate
    from rnn_symbolic.certificate.document import coq_certificate as coq_certificate
    from rnn_symbolic.checking import Verdict as Verdict
    from rnn_symbolic.checking import check_gradient as check_gradient
    from rnn_symbolic.codegen.compiled import compile_gradient as compile_gradient
    from rnn_symbolic.derivation import Derivation as Derivation
    from rnn_symbolic.derivation import derive_gradient as derive_gradient
    from rnn_symbolic.derivation import derive_gradients as derive_gradients
    from rnn_symbolic.errors import InputError as InputError
    from rnn_symbolic.gradients import gradients_at as gradients_at
    from rnn_symbolic.graph import Path as Path
    from rnn_symbolic.induction.proof import Proof as Proof
    from rnn_symbolic.induction.proof import prove_gradient as prove_gradient
    from rnn_symbolic.jacobian import StateJacobian as StateJacobian
    from rnn_symbolic.model import Model as Model
    from rnn_symbolic.model import unroll as unroll
    from rnn_symbolic.paths import count_paths as count_paths
    from rnn_symbolic.paths import iter_paths as iter_paths
    from rnn_symbolic.paths import list_paths as list_paths


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"rnn_symbolic.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
