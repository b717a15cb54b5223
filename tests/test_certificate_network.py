"""Certificates are about the right network: their definitions, evaluated, are those of networks written by hand."""

from __future__ import annotations

import math
import re
from typing import Any

import networks
import numpy as np
import pytest
from coq_tools import CoqForward

from rnn_symbolic.builtin_cells import BUILT_IN
from rnn_symbolic.certificate.document import coq_certificate
from rnn_symbolic.model import unroll


def loss_of(t: int, y: list[float]) -> float:
    """A loss that is another function at each step, and of each component."""
    return sum((t + i + 2) * math.sin(value - 0.3 * i) for i, value in enumerate(y))


FUNCTIONS = {
    "sigma": np.tanh,
    "tanh": np.tanh,
    "logistic": lambda z: 1 / (1 + np.exp(-z)),
    "relu": lambda z: z if z > 0 else 0 * z,
}
SCALAR = {**FUNCTIONS, "ell": lambda t: lambda y: loss_of(t, [y])}
VECTORS = {"n_x": 2, "n_h": 3, "n_y": 2, "n_s": 4}
MATRIX = {**FUNCTIONS, "ell": lambda t: lambda y: loss_of(t, [y(i) for i in range(VECTORS["n_y"])])}


def pascanu(p: Any, x: Any, was: Any, f: Any, g: Any) -> dict[str, Any]:
    a = networks.apply(p["W_h"], f(was[-1]["a"])) + networks.apply(p["W_x"], x) + p["b_h"]
    return {"a": a, "y": a}


def d2l(p: Any, x: Any, was: Any, f: Any, g: Any) -> dict[str, Any]:
    h = networks.apply(p["W_x"], x) + networks.apply(p["W_h"], was[-1]["h"])
    return {"h": h, "y": networks.apply(p["W_y"], h)}


FURTHER = {
    "pascanu": networks.Cell(pascanu, {"a": "n_h"}, networks.matrices("W_h h h, W_x h x, b_h h"), output="identity"),
    "d2l": networks.Cell(d2l, {"h": "n_h"}, networks.matrices("W_h h h, W_x h x, W_y y h"), output="identity"),
}
FORMS = [(form, cell) for form in ("scalar", "matrix") for cell in BUILT_IN if (form, cell) != ("matrix", "pascanu")]


@pytest.fixture(autouse=True)
def further_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Built-in cells that no other test has by hand."""
    for name, cell in FURTHER.items():
        monkeypatch.setitem(networks.CELLS, name, cell)


def forward_of(cell: str, text: str, form: str, T: int = 4) -> tuple[CoqForward, networks.Point, Any, Any]:
    """What a certificate defines, at the same point as the network written by hand."""
    sizes = VECTORS if form == "matrix" else dict.fromkeys(networks.SIZES, 1)
    p, x, d = networks.random_point(cell, 3, sizes, steps=T)

    def plain(value: Any) -> Any:
        return value.astype(float).tolist() if form == "matrix" else float(value.item())

    point = {name.replace("-", "m"): plain(value) for name, value in p.items()}
    inputs = {name: {t + 1: plain(row) for t, row in enumerate(rows)} for name, rows in (("x", x), ("d", d))}
    # n_a of the jordan cell, where a comes first
    found = CoqForward(text, MATRIX if form == "matrix" else SCALAR, {**point, **inputs},
                       {**VECTORS, "n_a": VECTORS["n_h"]} if form == "matrix" else {})  # fmt: skip
    return found, p, x, d


def by_hand(cell: str, p: networks.Point, x: Any, output: str = "tanh") -> list[dict[str, Any]]:
    """The network written by hand, from step 1 on."""
    return networks.trajectory(cell, p, x, activation="tanh", output=output)


@pytest.mark.parametrize(("form", "cell"), FORMS)
def test_the_file_defines_the_network_written_by_hand(cell: str, form: str) -> None:
    found, p, x, _ = forward_of(cell, coq_certificate(unroll(cell, form=form)).text, form)
    expected = by_hand(cell, p, x)
    for t, known in enumerate(expected, start=1):
        step = found.step(t)
        for name, value in known.items():
            wanted = value.real.tolist() if form == "matrix" else value.real.item()
            assert step.get(name, step.get(f"{name}_")) == pytest.approx(wanted, rel=1e-12), name
    for T in (1, 4):
        total = sum(loss_of(t, known["y"].real.tolist()) for t, known in enumerate(expected[:T], start=1))
        assert found.loss(T) == pytest.approx(total, rel=1e-12)


@pytest.mark.parametrize(("form", "cell"), FORMS)
def test_the_loss_of_the_file_is_the_one_by_hand(cell: str, form: str) -> None:
    every, last = (
        coq_certificate(unroll(cell, form=form, losses=losses, loss="squared", output_activation="logistic")).text
        for losses in ("all", "last")
    )
    found, p, x, d = forward_of(cell, every, form, 3)
    assert found.loss(3) == pytest.approx(networks.loss(cell, p, x, d).real, rel=1e-12)
    assert forward_of(cell, last, form, 3)[0].loss(3) == pytest.approx(
        networks.loss(cell, p, x, d).real - networks.loss(cell, p, x[:2], d[:2]).real, rel=1e-9
    )


MISTAKEN = {  # the numbers see each without a proof
    "the loss twice": (re.compile(r"(\n  )ell t (y)\."), r"\1(2 * ell t \2)."),
    "a loss less": ("list nat := seq 1 T.", "list nat := seq 2 (T - 1)."),
    "the loss of another step": (re.compile(r"(fun t => value p )t"), r"\1(t + 1)"),
    "an initial state of 0": (re.compile(r"\| h( i)?, 0%nat => h_0 p( i)?\n"), ""),
    "the state before the last": (re.compile(r"past 0%nat (\(?)h"), r"past 1%nat \1h"),
    "a quantity twice": (re.compile(r"(Definition value .*? := )at_step p t 0 N"), r"\g<1>2 * at_step p t 0 N"),
    "a step more": (re.compile(r"(:= run \(initial p\) \(step p\)) t k"), r"\1 (t + 1) k"),
    "another recursion": ("| O => step (S s) (run initial step s) N", "| O => step (S s) initial N"),
}


@pytest.mark.parametrize("form", ["scalar", "matrix"])
@pytest.mark.parametrize("name", MISTAKEN)
def test_a_file_about_another_loss_is_noticed_by_the_numbers(name: str, form: str) -> None:
    old, new = MISTAKEN[name]
    text = coq_certificate(unroll("elman", form=form)).text
    spoiled = old.sub(new, text) if isinstance(old, re.Pattern) else text.replace(old, new)
    assert spoiled != text
    (right, p, x, _), wrong = forward_of("elman", text, form), forward_of("elman", spoiled, form)[0]
    total = sum(loss_of(t, known["y"].real.tolist()) for t, known in enumerate(by_hand("elman", p, x)[:3], start=1))
    assert right.loss(3) == pytest.approx(total, rel=1e-12)
    assert wrong.loss(3) != pytest.approx(total, rel=1e-3)


@pytest.mark.parametrize(
    ("line", "spoiled"),
    [
        ("a = W_h @ h[t-1] + W_x @ x + b_h", "a = W_h @ h[t-1] + 2 * (W_x @ x) + b_h"),
        ("a = W_h @ h[t-1] + W_x @ x + b_h", "a = W_h @ h[t-2] + W_x @ x + b_h"),
        ("a = W_h @ h[t-1] + W_x @ x + b_h", "a = W_h @ h[t-1] - W_x @ x + b_h"),
        ("o = W_y @ h + b_y", "o = W_y @ h"),
    ],
)
def test_a_consistently_spoiled_model_is_not_the_network(line: str, spoiled: str) -> None:
    """Coq would accept it, because its table belongs to it: it is the numbers that notice."""
    text = coq_certificate(BUILT_IN["elman"].replace(line, spoiled)).text.replace("h_m1 p", "h_0 p")
    found, p, x, _ = forward_of("elman", text, "scalar")
    expected = by_hand("elman", p, x)
    assert any(found.step(t)["y"] != pytest.approx(known["y"].real.item()) for t, known in enumerate(expected, start=1))
