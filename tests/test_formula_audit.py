"""Formulas, term by term: what is right however it is written, and what is wrong with what is not."""

from __future__ import annotations

import re
from typing import Any

import pytest

import rnn_symbolic as rs
from rnn_symbolic.auditing.records import Audit, Finding

SUM = (
    "sum(t=1..T, sum(k=1..t, l'(y[t]) * sigma'(o[t]) * W_y * prod(j=t..k+1 by -1, sigma'(a[j]) * W_h) "
    "* sigma'(a[k]) * <in>))"
)
MATRIX = (
    "sum(t=1..T, sum(k=1..t, prod(j=k..t-1, diag(sigma'(a[j])) @ W_h.T) @ diag(sigma'(a[t])) @ W_y.T "
    "@ diag(sigma'(o[t])) @ l'(y[t]) @ <in>.T))"
)


def of(goal: str, entering: str, pattern: str = SUM) -> str:
    return f"d{goal} = {pattern.replace('<in>', entering)}"


def audit(text: str, cell: str = "elman", **options: Any) -> Audit:
    return rs.audit(cell, formula=text, **options)


def only(found: Audit) -> Finding:
    assert found.verdict == "wrong"
    (finding,) = found.wrong
    return finding


# --- right ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "options"),
    [
        (of("W_x", "x[k]"), {"steps": 4}),
        (of("W_h", "h[k-1]"), {}),
        (of("b_h", "1"), {}),
        (of("W_x", "x[k]", MATRIX), {"form": "matrix"}),
        (of("W_h", "h[k-1]", MATRIX), {"form": "matrix"}),
        ("db_y = sum(t=1..T, sigma'(o[t]) * l'(y[t]))", {}),
        # by hand: factored, with the collected sum over the losses
        (
            "dW_x = sum(k=1..T, sum(t=k..T, l'(y[t]) * sigma'(o[t]) * W_y * prod(j=k+1..t, W_h * sigma'(a[j]))) "
            "* sigma'(a[k]) * x[k])",
            {},
        ),
        ("dW_y = sum(t=1..T, (y[t] - d[t]) * y[t] * (1 - y[t]) * h[t])", {"activation": "logistic", "loss": "squared"}),
        ("dW_y = sum(t=1..T, (y[t] - d[t]) * h[t])", {"activation": "logistic", "loss": "cross-entropy"}),
        ("dW_y = sum(t=1..T, (1 - tanh(o[t])**2) * (y[t] - d[t]) * h[t])", {"activation": "tanh", "loss": "squared"}),
        (
            "dW_y = sum(t=1..T, (y[t] - d[t]) @ h[t].T)",
            {"form": "matrix", "activation": "tanh", "output_activation": "softmax", "loss": "cross-entropy"},
        ),
        ("dW_y = sum(t=1..T, ((sigma'(o[t]) * l'(y[t])) @ h[t].T))", {"form": "matrix"}),
        ("dh_0 = W_h.T @ diag(sigma'(a[1])) @ W_y.T @ diag(sigma'(o[1])) @ l'(y[1])", {"form": "matrix", "steps": 1}),
        # the recursion, each line by itself
        ("dh[2] = W_y * sigma'(o[2]) * l'(y[2]) + W_h * sigma'(a[3]) * dh[3]", {}),
        ("dW_h = sum(t=1..T, (sigma'(a[t]) * dh[t]) @ h[t-1].T)", {"form": "matrix"}),
    ],
)
def test_what_is_right_is_correct_however_it_is_written(text: str, options: dict[str, Any]) -> None:
    found = audit(text, **options)
    assert found.verdict == "correct", found


def test_gated_cells() -> None:
    recursion = "dW_f = sum(t=1..T, dc[t] * c[t-1] * logistic'(a_f[t]) * h[t-1])"
    assert audit(recursion, "lstm").verdict == "correct"
    wrong = only(audit(recursion.replace("c[t-1]", "c[t]"), "lstm", steps=2))
    assert wrong.kind == "index"


# --- wrong ------------------------------------------------------------------------------------------------------------

RIGHT = of("W_x", "x[k]")
SIX = (
    "dW_x = l'(y[3])*sigma'(o[3])*W_y*sigma'(a[3])*x[3] + l'(y[3])*sigma'(o[3])*W_y*sigma'(a[3])*W_h*sigma'(a[2])*x[2]"
    " + l'(y[3])*sigma'(o[3])*W_y*sigma'(a[3])*W_h*sigma'(a[2])*W_h*sigma'(a[1])*x[1]"
    " + l'(y[2])*sigma'(o[2])*W_y*sigma'(a[2])*x[2] + l'(y[2])*sigma'(o[2])*W_y*sigma'(a[2])*W_h*sigma'(a[1])*x[1]"
    " + l'(y[1])*sigma'(o[1])*W_y*sigma'(a[1])*x[1]"
)


@pytest.mark.parametrize(
    ("text", "options", "kind", "code"),
    [
        # the article: three of six
        (RIGHT.replace("t=1..T", "t=T..T"), {}, "missing-loss", "only-last-loss"),
        (RIGHT.replace("k=1..t", "k=t..t"), {}, "missing-carry", "no-carry"),
        (RIGHT.replace("k=1..t", "k=1..t-1"), {}, "missing-own-loss", "no-own-loss"),
        (RIGHT.replace("t=1..T", "t=2..T"), {}, "missing-paths", "no-loss"),
        (RIGHT.replace("k=1..t", "k=2..t"), {}, "missing-paths", "no-entry"),
        (of("W_h", "h[k-1]").replace("k=1..t", "k=2..t"), {}, "initial-state", "no-entry"),
        (of("W_h", "h[k]"), {}, "index", "zero"),
        (RIGHT.replace("k+1 by -1", "k by -1"), {}, "scale", "extra-factor"),
        (RIGHT.replace("sigma'(a[j]) * W_h", "sigma'(a[j])"), {"steps": 2}, "scale", "missing-factor"),
        (RIGHT.replace("prod(j=t..k+1 by -1, sigma'(a[j]) * W_h)", "sigma'(a[t])**(t-k)*W_h**(t-k)"), {"steps": 3},
         "index", "wrong-step"),
        (RIGHT.replace("sigma'(o[t]) * ", ""), {}, "output-derivative", "no-slope"),
        (RIGHT.replace("sigma'(a[k])", "sigma'(h[k])"), {}, "activation-argument", "wrong-argument"),
        (RIGHT.replace("sigma'(o[t])", "sigma'(y[t])"), {}, "activation-argument", "value-for-argument"),
        (RIGHT.replace("sigma'(o[t])", "sigma'(a[t])"), {"steps": 2}, "activation-argument", "wrong-argument"),
        (RIGHT.replace("sigma'(a[k])", "tanh'(a[k])"), {"steps": 2}, "wrong-activation", "other-slope"),
        (RIGHT.replace("x[k]", "x[1]"), {"steps": 2}, "index", "wrong-step"),
        (SIX.replace("W_h*sigma'(a[2])*W_h*sigma'(a[1])*x[1]", "W_h*sigma'(a[2])*sigma'(a[1])*x[1]"), {}, "scale",
         "missing-factor"),
        (SIX + " + l'(y[1])*sigma'(o[1])*W_y*sigma'(a[1])*x[1]", {}, "scale", "counted-twice"),
        (SIX.replace("+ l'(y[1])", "- l'(y[1])"), {}, "sign", "term"),
        (SIX.replace("+ l'(y[1])", "+ 2*l'(y[1])"), {}, "scale", "coefficient"),
        (SIX + " + exp(x[1])*b_y", {}, "unknown", "foreign-term"),
        (of("W_x", "x[k]", MATRIX).replace("W_h.T", "W_h"), {"form": "matrix", "steps": 2}, "transpose",
         "not-transposed"),
        (of("W_x", "x[k]", MATRIX).replace("diag(sigma'(a[j])) @ W_h.T", "W_h.T @ diag(sigma'(a[j]))"),
         {"form": "matrix", "steps": 2}, "order", "wrong-order"),
        ("dh[1] = W_y*sigma'(o[1])*l'(y[1]) + W_h*dh[2]", {"steps": 2}, "wrong-activation", "missing-factor"),
        ("dW_y = sum(t=1..T, (y[t]-d[t])*(1-y[t]**2)*h[t])", {"activation": "logistic", "loss": "squared"},
         "wrong-activation", "other-slope"),
        ("dW_y = sum(t=1..T, (y[t]-d[t])*h[t])", {"activation": "logistic", "loss": "squared"}, "output-derivative",
         "no-slope"),
    ],
)  # fmt: skip
def test_the_wrong_term_is_named(text: str, options: dict[str, Any], kind: str, code: str) -> None:
    finding = only(audit(text, **options))
    assert (finding.kind, finding.parts[0].mistake.code) == (kind, code), finding.mistakes
    assert finding.instance is not None
    assert finding.instance.yours != pytest.approx(finding.instance.right, rel=1e-5)


def test_missing_paths_are_listed_with_their_products() -> None:
    finding = only(audit(RIGHT.replace("t=1..T", "t=T..T")))
    routes = [part.route for part in finding.parts if part.route]
    assert len(routes) == 3
    assert all(route[1] in ("l_1", "l_2") for route in routes)
    assert all(re.search("W_{y}", part.right) for part in finding.parts if part.route)


def test_a_jacobian_is_a_layout_only() -> None:
    jacobian = "dW_y = sum(t=1..T, h[t] @ (sigma'(o[t]) * l'(y[t])).T)"
    assert only(audit(jacobian, form="matrix")).kind == "layout"


def test_several_defects_are_several_findings() -> None:
    text = SIX.replace("x[3] +", "x[2] +").replace("+ l'(y[1])*", "- l'(y[1])*")
    found = audit(text)
    assert {finding.kind for finding in found.wrong} == {"index", "sign"}


def test_shapes_come_first() -> None:
    with pytest.raises(rs.InputError, match="does not fit"):
        audit("dW_x = W_x @ h[1] @ x[1].T", form="matrix")


def test_lines_do_not_help_themselves() -> None:
    for text in ("dh[2] = dh[2]", "dh[2] = dh[1] * W_h", "dW_x = dW_h"):
        with pytest.raises(rs.InputError):
            audit(text)


def test_too_many_paths_are_refused() -> None:
    with pytest.raises(rs.InputError, match="fewer steps"):
        audit("dW_f = 0", "lstm", steps=7)


def test_no_formula() -> None:
    with pytest.raises(rs.InputError, match="dW_x"):
        audit("# nothing")
