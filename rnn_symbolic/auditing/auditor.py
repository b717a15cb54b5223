r"""The audit of somebody's gradient: of numbers, of a function, of formulas.

audit("elman", gradients={"W_x": …}, values={…})        numbers, and the point they belong to
audit("lstm", function=loss_and_gradients)              a function, asked at points of ours
audit("gru", code="homework.py:gradients")              the same in a process of its own
audit("elman", formula="dW_x = …")                      a formula, term by term
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from rnn_symbolic.auditing.asking import ask_code, ask_function
from rnn_symbolic.auditing.cases import Case
from rnn_symbolic.auditing.conventions import other_networks
from rnn_symbolic.auditing.given import given_gradients
from rnn_symbolic.auditing.inspection import inspect
from rnn_symbolic.auditing.records import Audit
from rnn_symbolic.auditing.user_code import Adapter
from rnn_symbolic.cells import Cell
from rnn_symbolic.concrete import concrete
from rnn_symbolic.entries import is_list, plain
from rnn_symbolic.errors import InputError
from rnn_symbolic.model import Model, unroll
from rnn_symbolic.values import point_of

Values = Mapping[str, Any]


def audit(
    cell: str | Cell | Model,
    *,
    gradients: Values | Sequence[Values] | None = None,
    values: Any = None,
    function: Callable[..., Any] | None = None,
    code: str | None = None,
    formula: str | None = None,
    steps: int | None = None,
    form: str | None = None,
    losses: str = "all",
    loss: str | None = None,
    activation: str | None = None,
    output_activation: str | None = None,
    adapter: Adapter | None = None,
    sizes: Mapping[str, int] | None = None,
    seed: int = 0,
    tolerance: float | None = None,
    timeout: float = 60.0,
    told: bool = True,
) -> Audit:
    r"""Which of somebody's gradients are right, which are wrong, and by which mistake.

    ``cell`` is a name, a text, a `Cell`, or a `Model` whose choices are kept. One of ``gradients`` (numbers by name at
    the point ``values``, or lists of both), ``function``, ``code`` ("file.py:function", run in a process of its own)
    and ``formula`` is given. ``form`` is that of the values, "matrix" for a function, "scalar" for formulas,
    if not said; σ is logistic and the loss squared unless said, but for formulas, where they stay abstract. A
    ``tolerance`` is relative to the largest entry; by default it follows from the digits of what was given.

    >>> values = {"W_h": 2, "W_x": 1, "b_h": 0, "W_y": 1, "b_y": 0, "h_0": 1, "x": [1, 1, 1], "d": [0, 0, 0]}
    >>> mine = {"W_h": 255, "W_x": 105, "b_h": 105, "W_y": 225, "b_y": 15}
    >>> {finding.kind for finding in audit("linear", gradients=mine, values=values).findings}
    {'missing-loss'}
    >>> right = {"W_h": 293, "W_x": 129, "b_h": 129, "W_y": 283, "b_y": 25}
    >>> audit("linear", gradients=right, values=values).verdict
    'correct'

    Raises InputError for what cannot be audited: unknown names, values that do not fit, code that does not run.
    """
    given = {"gradients": gradients, "function": function, "code": code, "formula": formula}
    chosen = [name for name, value in given.items() if value is not None]
    if len(chosen) != 1:
        raise InputError(
            f"{' and '.join(chosen) if chosen else 'nothing'} to audit: give one of gradients, function, code, formula"
        )
    if (values is None) == (chosen == ["gradients"]):
        raise InputError(
            "gradients as numbers need the values at which they were computed"
            if values is None
            else f"values belong to gradients as numbers; an audit of a {chosen[0]} chooses its own points"
        )
    if tolerance is not None and not (isinstance(tolerance, int | float) and 0 < tolerance < 1):
        raise InputError(f"the tolerance is {tolerance!r}; expected a relative error between 0 and 1, such as 1e-6")

    def model(form_of: str, steps_of: int, *, numbers: bool = True) -> Model:
        if isinstance(cell, Model):
            found = replace(cell, steps=steps_of)
            return concrete(found) if numbers else found
        sigma = activation or ("logistic" if numbers else "sigma")
        return unroll(
            cell,
            steps=steps_of,
            losses=losses,
            loss=loss or ("squared" if numbers else "abstract"),
            activation=sigma,
            output_activation=output_activation or sigma,
            form=form or form_of,
        )

    if formula is not None:
        from rnn_symbolic.auditing.formula_audit import audit_formula

        fixed = cell.steps if isinstance(cell, Model) else 3
        return audit_formula(model("scalar", steps or fixed, numbers=False), formula, seed=seed, told=told)
    if gradients is not None:
        return _audit_numbers(model, gradients, values, tolerance, told)
    asked = model("matrix", steps or 4)
    adapter = adapter or Adapter()
    fixed_steps = steps if not isinstance(cell, Model) or steps is not None else None
    if function is not None:
        found = ask_function(function, asked, adapter, steps=fixed_steps, seed=seed, sizes=sizes)
    else:
        assert code is not None
        found = ask_code(code, asked, adapter, steps=fixed_steps, seed=seed, sizes=sizes, timeout=timeout)
    return inspect(found.cases(tolerance), "code", notes=found.notes, asked=found, told=told)


def _audit_numbers(
    model: Callable[[str, int], Model], gradients: Any, values: Any, tolerance: float | None, told: bool
) -> Audit:
    """Numbers at one or several points."""
    several = is_list(gradients)
    pairs = list(zip(gradients, values, strict=False)) if several else [(gradients, values)]
    if several and (not is_list(values) or len(values) != len(gradients) or not pairs):
        raise InputError("several gradients need as many values: one point for each, in the same order")
    cases = []
    for numbers, at in pairs:
        form = "matrix" if _holds_arrays(at) else "scalar"
        T = len(at.x) if hasattr(at, "x") else _length(at)
        here = model(form, T)
        point = point_of(at, here)
        found = numbers if hasattr(numbers, "unit") else given_gradients(numbers, here)
        if "x" in found.gradients:
            raise InputError("gradients by the inputs are not audited; leave 'x' out")
        names = {name: here.resolve(name) for name in found.gradients}
        if not names:
            raise InputError(f"no gradient is given; name parameters, such as {', '.join(map(str, here.parameters))}")
        arrays = {names[name]: found.gradients[name] for name in names}
        units = {names[name]: found.unit[name] for name in names}
        if tolerance is not None:
            units = {q: np.zeros(()) for q in units}
        others = other_networks(here, getattr(point, "sizes", {}))
        extra = {} if tolerance is None else {"relative": tolerance}
        cases.append(Case(here, point, arrays, units, others=others, **extra))
    goals = [set(case.goals) for case in cases]
    if any(names != goals[0] for names in goals):
        raise InputError("the gradients at the points are not by the same parameters; give the same for each")
    return inspect(cases, "gradients", told=told)


def _holds_arrays(values: Any) -> bool:
    """Whether values are in matrix form: a parameter is a list, or x is a list of lists."""
    if hasattr(values, "sizes"):
        return True
    if not isinstance(values, Mapping):
        return False
    series = ("x", "d")
    entries = [plain(value) for name, value in values.items() if name not in series]
    inside = [plain(values[name]) for name in series if name in values]
    return any(map(is_list, entries)) or any(is_list(item) for row in inside if is_list(row) for item in row[:1])


def _length(values: Any) -> int:
    """T: how long x is, or d; what is no sequence is refused later, by name."""
    for name in ("x", "d"):
        series = plain(values.get(name)) if isinstance(values, Mapping) else None
        if is_list(series) and series:
            return len(series)
    return 1
