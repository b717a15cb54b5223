"""`code` and `check --target`: modules that stand alone, formatted, right; and a check of code that can fail."""

from __future__ import annotations

import ctypes
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from latex_tools import require

from rnn_symbolic import program as programs
from rnn_symbolic.builtin_cells import BUILT_IN
from rnn_symbolic.cli import main
from rnn_symbolic.codegen.code_check import check_code
from rnn_symbolic.codegen.compiled import source_of
from rnn_symbolic.errors import InputError
from rnn_symbolic.expressions import MINUS_ONE, multiply
from rnn_symbolic.gradients import gradients_at
from rnn_symbolic.matrix_valuation import random_matrix_point
from rnn_symbolic.model import unroll

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    folder = Path(tmp_path_factory.getbasetemp()) / "code"
    folder.mkdir(mode=0o700, exist_ok=True)
    monkeypatch.setenv("RNN_SYMBOLIC_CACHE", str(folder))


def run(capfd, *arguments: str) -> tuple[int, str, str]:
    code = main(list(arguments))
    printed, complaints = capfd.readouterr()
    return code, printed, complaints


def compiler() -> str:
    found = next((path for name in ("cc", "gcc", "clang") if (path := shutil.which(name))), "")
    require(bool(found), "there is no C compiler")
    return found


def model_and_point(cell="elman", form="matrix", steps=4, batch=None, **options):
    chosen = {"activation": "tanh", "loss": "squared", **options}
    model = unroll(cell, steps=steps, form=form, **chosen)
    return model, random_matrix_point(model, 3, None, batch)


# --- modules ----------------------------------------------------------------------------------------------------------


def test_a_numpy_module_needs_numpy_only(capfd, tmp_path):
    """In another process, where importing this package, or SymPy, fails."""
    path = tmp_path / "lstm.py"
    assert run(capfd, "code", "--cell", "lstm", "--activation", "tanh", "-o", str(path)) == (0, "", "")
    model, point = model_and_point("lstm")
    given = {
        "params": {k: v.tolist() for k, v in point.parameters.items()},
        "x": np.asarray(point.x).tolist(),
        "d": np.asarray(point.d).tolist(),
        "state": {f"{name}_{step}": value.tolist() for (name, step), value in point.initial.items()},
    }
    text = (
        "import sys, json\nsys.modules['sympy'] = sys.modules['rnn_symbolic'] = None\nimport lstm\n"
        "loss, found = lstm.loss_and_gradients(**json.load(sys.stdin))\n"
        "print(json.dumps([loss, {k: v.tolist() for k, v in found.items()}]))\n"
    )
    done = subprocess.run([sys.executable, "-c", text], input=json.dumps(given), capture_output=True, text=True,
                          cwd=tmp_path, check=True, timeout=120)  # fmt: skip
    loss, found = json.loads(done.stdout)
    expected = gradients_at(model, point)
    assert loss == pytest.approx(expected.loss, rel=1e-12)
    for name, value in expected.gradients.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-11, atol=1e-14)


OPTIONS = (
    {},
    {"losses": "last", "output_activation": "softmax", "loss": "cross-entropy"},
    {"losses": "mean", "output_activation": "logistic", "loss": "cross-entropy"},
)
ODD = {
    "long": "h = tanh(" + " + ".join(f"W{k} @ h[t-1]" for k in range(12)) + " + U @ x)\ny = h",
    "names": "lambda_1 = W @ h[t-1]\nnp = tanh(lambda_1 + params)\nh = np * rows + U @ x\ny = h + B",
}


@pytest.mark.parametrize("cell", [*BUILT_IN, *ODD])
def test_python_modules_are_as_ruff_would_have_them(cell, tmp_path):
    ruff = shutil.which("ruff") or str(Path(sys.executable).with_name("ruff"))
    if not os.access(ruff, os.X_OK):
        pytest.skip("ruff is not installed (make lint installs it)")
    for k, options in enumerate(OPTIONS):
        for form in ("matrix", "scalar"):
            if form == "scalar" and options.get("output_activation") == "softmax":
                continue
            model = unroll(ODD.get(cell, cell), activation="tanh", form=form, **{"loss": "squared", **options})
            targets = ("numpy", "jax") if importlib.util.find_spec("jax") else ("numpy",)
            for target in targets:
                for inputs in (False, True):
                    name = f"{form}_{target}_{k}_{int(inputs)}.py"
                    (tmp_path / name).write_text(source_of(model, target, inputs=inputs), encoding="utf-8")
    for command in (["check", "--isolated", "."], ["format", "--isolated", "--check", "--diff", "."]):
        done = subprocess.run([ruff, *command], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


@pytest.mark.parametrize("form", ["matrix", "scalar"])
@pytest.mark.parametrize("cell", ["elman", "lstm", "gru", "lag2", "jordan", "two-layer"])
def test_a_c_file_compiles_without_a_warning_and_is_right(cell, form, tmp_path):
    batch = 3 if form == "matrix" else None
    model, point = model_and_point(cell, form, batch=batch)
    text = source_of(model, "c", sizes=point.sizes)
    (tmp_path / "net.c").write_text(text, encoding="utf-8")
    flags = ["-std=c99", "-O2", "-Wall", "-Wextra", "-Werror", "-Wno-unused-function", "-Wno-unknown-pragmas"]
    subprocess.run([compiler(), *flags, "-shared", "-fPIC", "net.c", "-o", "net.so", "-lm"], cwd=tmp_path, check=True)
    library = ctypes.CDLL(str(tmp_path / "net.so"))
    library.workspace.restype = library.loss_and_gradients.restype = ctypes.c_long
    steps, samples = 4, batch or 1
    pointer = ctypes.POINTER(ctypes.c_double)

    def given(arrays):
        flat = [np.ascontiguousarray(a, float) for a in arrays]
        return flat, (pointer * len(flat))(*(a.ctypes.data_as(pointer) for a in flat))

    class State(ctypes.Structure):
        _fields_ = [(f"s{k}", pointer) for k in range(len(point.initial))] + [("per_sample", ctypes.c_int)]

    parameters, first = given(point.parameters[name] for name in model.cell.parameters)
    states, _ = given(point.initial[q.name, q.step] for q in model.initial_states)
    record = State(*(a.ctypes.data_as(pointer) for a in states), 0)
    x, d = np.ascontiguousarray(point.x, float), np.ascontiguousarray(point.d, float)
    found, last = given([*(np.full(a.shape, np.nan) for a in (*parameters, *states))])
    work = np.empty(library.workspace(ctypes.c_long(steps), ctypes.c_long(samples)))
    loss = ctypes.c_double()
    at = library.loss_and_gradients(
        first, x.ctypes.data_as(pointer), d.ctypes.data_as(pointer), ctypes.byref(record), ctypes.c_long(steps),
        ctypes.c_long(samples), work.ctypes.data_as(pointer), last, ctypes.byref(loss),
    )  # fmt: skip
    assert at == 0
    if form == "scalar":
        numbers = {**point.parameters, **{f"{name}_{step}": v for (name, step), v in point.initial.items()}}
        given_numbers = {name: float(value) for name, value in numbers.items()}
        expected = gradients_at(model, {**given_numbers, "x": np.ravel(x).tolist(), "d": np.ravel(d).tolist()})
    else:
        expected = gradients_at(model, point)
    assert loss.value == pytest.approx(expected.loss, rel=1e-12)
    names = [*model.cell.parameters, *map(str, model.initial_states)]
    for name, value in zip(names, found, strict=True):
        np.testing.assert_allclose(np.ravel(value), np.ravel(expected.gradients[name]), rtol=1e-11, atol=1e-14)
    x *= np.nan
    assert library.loss_and_gradients(
        first, x.ctypes.data_as(pointer), d.ctypes.data_as(pointer), None, ctypes.c_long(steps),
        ctypes.c_long(samples), work.ctypes.data_as(pointer), last, ctypes.byref(loss),
    ) == 1  # fmt: skip


def test_code_says_what_it_took_for_granted(capfd):
    code, printed, complaints = run(capfd, "code", "--target", "c", "--sizes", "n_h=5")
    assert code == 0
    assert "n_x = 2, n_h = 5, n_y = 4" in printed
    assert complaints == "rnn-symbolic code: note: the sizes n_x=2, n_y=4 were taken for want of --sizes\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["code", "--target", "fortran"], "'fortran' is not one of numpy, c, jax"),
        (["code", "--sizes", "n_h=3"], "--sizes is for C code in matrix form"),
        (["code", "--form", "scalar", "--target", "c", "--sizes", "n_h=3"], "numbers have no sizes"),
        (["code", "--target", "c", "--sizes", "n_q=3"], "'n_q' is not a size"),
        (["code", "--activation", "sigma"], "abstract"),
        (["code", "--cell", "nothing"], "no built-in cell"),
        (["check", "--target", "c", "h_3"], "is computed within"),
        (["check", "--target", "torch"], "no scalar form"),
    ],
)
def test_bad_options_are_refused_in_one_line(arguments, message, capfd):
    if "torch" in arguments:
        require(importlib.util.find_spec("torch") is not None, "PyTorch is not installed")
    try:
        code = main(arguments)
    except SystemExit as stop:  # argparse
        code = stop.code
    printed, complaints = capfd.readouterr()
    assert (code, printed) == (2, "")
    assert message in complaints
    assert complaints.count("\n") == 1


def test_help_needs_no_sympy():
    text = "import sys; from rnn_symbolic.cli import main\ntry: main(['code', '--help'])\nexcept SystemExit: pass\n"
    text += "assert not {'sympy', 'numpy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", text], check=True, cwd=ROOT, stdout=subprocess.DEVNULL)


# --- check --target ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["numpy", "c"])
@pytest.mark.parametrize("form", ["scalar", "matrix"])
def test_check_target(target, form, capfd):
    if target == "c":
        compiler()
    cell = str(ROOT / "examples" / "my.cell")
    code, printed, complaints = run(capfd, "check", "--cell", cell, "--form", form, "--target", target, "--to", "json")
    assert (code, complaints) == (0, "")
    verdicts = json.loads(printed)["verdicts"]
    mine = [v for v in verdicts if v["method"].startswith(f"{target} code")]
    assert {v["method"].split(", ")[1] for v in mine} == {"sum over paths", "complex step"}
    assert all(v["status"] == "passed" and v["error"] <= v["tolerance"] for v in mine)


def test_check_target_at_values(capfd):
    arguments = ["check", "--values", str(ROOT / "examples" / "point.json"), "--target", "numpy", "W_x", "h_0", "x_2"]
    code, printed, _ = run(capfd, *arguments)
    assert code == 0
    assert printed.count("NumPy") == 6


@pytest.mark.parametrize("cell", ["elman", "lstm", "gru"])
@pytest.mark.parametrize("spoiled", ["sign", "dropped", "no transpose"])
def test_spoiled_code_fails_the_check(cell, spoiled, monkeypatch):
    """A wrong sign, a row that is left out, a product with the wrong matrix: each must be seen."""
    builder = programs._Builder
    original, product = builder.value, builder.product

    def wrong_sign(self, edge):
        found = original(self, edge)
        return multiply(MINUS_ONE, found) if edge.head.name in ("h", "n") and edge.tail.name != "h" else found

    if spoiled == "sign":
        monkeypatch.setattr(builder, "value", wrong_sign)
    elif spoiled == "dropped":
        pushed = builder.pushed
        monkeypatch.setattr(
            builder, "pushed", lambda self, name, stage, inside: (s for s in pushed(self, name, stage, inside=inside)
                                                                  if not inside or name not in ("a", "a_f", "a_z"))
        )  # fmt: skip
    else:

        def other(self, target, edges, adds):
            found = product(self, target, edges, adds)
            if target.step:
                matrices = tuple(type(m)("W_y" if m.name.startswith("W") else m.name) for m in found.matrices)
                return type(found)(found.target, matrices, found.operands, found.adds)
            return found

        monkeypatch.setattr(builder, "product", other)
    model = unroll(cell, steps=5, activation="tanh", loss="squared", form="matrix")
    point = random_matrix_point(model, 1, {"n_x": 3, "n_h": 3, "n_y": 3})
    assert not check_code(model, "numpy", point).passed


def test_check_code_refuses_what_code_does_not_give():
    model, point = model_and_point()
    with pytest.raises(InputError, match="computed within"):
        check_code(model, "numpy", point, [model.resolve("h_2")])


def test_options_without_an_effect_are_named(capfd):
    code, printed, complaints = run(capfd, "code", "--steps", "5", "--layout", "jacobian")
    assert code == 0
    assert printed.startswith('"""Loss and gradients')
    assert complaints.splitlines() == [
        "rnn-symbolic code: note: --steps changes nothing: the code is for any T",
        "rnn-symbolic code: note: --layout changes nothing: a gradient has the shape of its parameter",
    ]
