"""A module from a text that this package printed.

The text goes the way of any module: a loader hands it to the import system.
Nothing of a user's text is in it but names that the reader of cells allowed.
"""

from __future__ import annotations

import hashlib
from importlib.abc import InspectLoader
from importlib.util import module_from_spec, spec_from_loader
from types import ModuleType


class _TextLoader(InspectLoader):
    def __init__(self, text: str) -> None:
        self.text = text

    def get_source(self, fullname: str) -> str:
        return self.text


def load_module(text: str, what: str) -> ModuleType:
    """The module that a printed text is; ``what`` names it in tracebacks."""
    name = f"rnn_symbolic_{what}_{hashlib.sha256(text.encode()).hexdigest()[:16]}"
    spec = spec_from_loader(name, _TextLoader(text), origin=f"<{name}>")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
