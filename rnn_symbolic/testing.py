"""For tests of somebody's gradients: an assertion whose message is the audit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rnn_symbolic.auditing.auditor import audit
from rnn_symbolic.cells import Cell
from rnn_symbolic.model import Model


def assert_gradient(
    cell: str | Cell | Model,
    function: Callable[..., Any] | None = None,
    *,
    gradients: Any = None,
    values: Any = None,
    **options: Any,
) -> None:
    """Nothing where the gradient is right; else an AssertionError that says which term is wrong, and what it should be.

    ``function`` is asked at points that hide nothing; or ``gradients`` are numbers at the point ``values``. The other
    keywords are those of `rnn_symbolic.audit`: activation, loss, adapter, formula, …

    >>> def last_loss_only(w, x, d, h_0):  # of h_t = w h_{t-1} + x_t, y_t = h_t, with the squared loss
    ...     h, g, dw = [h_0], 0.0, 0.0
    ...     for x_t in x:
    ...         h.append(w * h[-1] + x_t)
    ...     for t in range(len(x), 0, -1):
    ...         g = h[t] - d[t - 1] if t == len(x) else w * g
    ...         dw += g * h[t - 1]
    ...     return {"w": dw}
    >>> cell = "h = w * h[t-1] + x" + chr(10) + "y = h"
    >>> assert_gradient(cell, last_loss_only, form="scalar")
    Traceback (most recent call last):
    ...
    AssertionError: Audit of a gradient (cell)
    ...
    Only the last loss ℓ_T is differentiated: all paths through the losses of the steps before are
    missing.
    ...

    Raises InputError for what cannot be audited.
    """
    __tracebackhide__ = True  # pytest shows the line of the test
    found = audit(cell, function=function, gradients=gradients, values=values, **options)
    if found.verdict != "correct":
        raise AssertionError(str(found))
