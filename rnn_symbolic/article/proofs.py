r"""What SymPy is asked to prove of the model, and how a path is shown: shared by the claims about paths."""

from __future__ import annotations

from typing import Any

from rnn_symbolic.article.records import Line, Route
from rnn_symbolic.expressions import Quantity
from rnn_symbolic.graph import Path
from rnn_symbolic.model import Model
from rnn_symbolic.printing import latex

L = Quantity("L")


def is_zero(model: Model, difference: Any) -> bool:
    """Whether a SymPy expression in named quantities vanishes for every σ, ℓ and every input."""
    import sympy as sp

    from rnn_symbolic.symbols import inline

    return bool(sp.expand(inline(model, difference)) == 0)


def total(model: Model, of: Quantity, wrt: Quantity) -> Any:
    """∂of/∂wrt by SymPy's own ``diff``."""
    from rnn_symbolic.symbols import total_derivative

    return total_derivative(model, of, wrt)


def path_sum(paths: tuple[Path, ...]) -> Any:
    """The sum of the products of some paths."""
    import sympy as sp

    return sp.Add(*(path.product for path in paths))


def path_line(path: Path) -> Line:
    """A path as a line of a display: its product, with the route in the margin."""
    return Line("", (latex(path.expression),), margin=Route(path.nodes).latex)
