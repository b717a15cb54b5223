"""Somebody's gradient function: called by its signature, in this process and in one of its own, whatever it does."""

from __future__ import annotations

import asyncio
import functools
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections import namedtuple
from fractions import Fraction
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

from rnn_symbolic.auditing.user_code import Adapter, Answer, call_function, run_code
from rnn_symbolic.codegen.compiled import source_of
from rnn_symbolic.errors import InputError
from rnn_symbolic.gradients import gradients_at
from rnn_symbolic.matrix_valuation import random_matrix_point
from rnn_symbolic.model import unroll

MATRIX = unroll("elman", steps=3, form="matrix", loss="squared", activation="tanh")
SCALAR = unroll("elman", steps=3, loss="squared", activation="tanh")
POINT = random_matrix_point(MATRIX, seed=1)
NUMBERS = random_matrix_point(SCALAR, seed=1)
RIGHT = gradients_at(MATRIX, POINT)
NAMES = ("W_x", "W_h", "W_y", "b_h", "b_y")


def bptt(W_x, W_h, W_y, b_h, b_y, x, d, h_0):
    """Backpropagation through time of a tanh network, by hand."""
    h, y, loss = [h_0], [], 0.0
    for x_t, d_t in zip(x, d, strict=True):
        h.append(np.tanh(W_h @ h[-1] + W_x @ x_t + b_h))
        y.append(np.tanh(W_y @ h[-1] + b_y))
        loss += 0.5 * np.sum((y[-1] - d_t) ** 2)
    dW_x, dW_h, dW_y, db_h, db_y = (np.zeros_like(value) for value in (W_x, W_h, W_y, b_h, b_y))
    back = np.zeros_like(h_0)
    for t in range(len(x), 0, -1):
        do = (y[t - 1] - d[t - 1]) * (1 - y[t - 1] ** 2)
        da = (W_y.T @ do + back) * (1 - h[t] ** 2)
        dW_y, db_y = dW_y + np.outer(do, h[t]), db_y + do
        dW_x, dW_h, db_h = dW_x + np.outer(da, x[t - 1]), dW_h + np.outer(da, h[t - 1]), db_h + da
        back = W_h.T @ da
    return loss, {"W_x": dW_x, "W_h": dW_h, "W_y": dW_y, "b_h": db_h, "b_y": db_y, "h_0": back}


def by_place(params, x, d, state):
    return bptt(**params, x=x, d=d, **state)


def by_keywords(**values):
    return bptt(**values)


def ask(function, adapter=None, model=MATRIX, point=POINT) -> Answer:
    return call_function(function, model, point, adapter)


def returning(value):
    return ask(lambda params, x, d: value)


def assert_right(answer: Answer, names=(*NAMES, "h_0"), right=RIGHT, tolerance=1e-12):
    assert answer.error == ""
    assert sorted(answer.gradients) == sorted(names)
    for name in names:
        assert answer.gradients[name].dtype == np.float64
        np.testing.assert_allclose(answer.gradients[name], right[name], rtol=0, atol=tolerance)


# --- how it is called ---


@pytest.mark.parametrize("function", [bptt, by_place, by_keywords])
def test_by_name_and_by_place(function):
    answer = ask(function)
    assert_right(answer)
    assert (answer.loss, answer.dtype) == (pytest.approx(RIGHT.loss, rel=1e-14), "float64")
    assert sorted(answer.received) == sorted((*NAMES, "h_0", "x", "d"))


def decorated(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs)

    return wrapper


class Callable:
    def __call__(self, params, inputs, targets, *, state):
        return by_place(params, inputs, targets, state)

    def method(self, W_x, W_h, W_y, /, b_h, b_y, h0, *, x, d, verbose=False):
        return bptt(W_x, W_h, W_y, b_h, b_y, x, d, h0)


@pytest.mark.parametrize(
    "function",
    [
        decorated(bptt),
        decorated(by_place),
        Callable(),
        Callable().method,
        functools.partial(Callable().method, verbose=True),
        lambda d, x, theta, h_0: bptt(**theta, x=x, d=d, h_0=h_0),
        lambda p, xs, ds, h0=None, rng=None: bptt(**p, x=xs, d=ds, h_0=h0),
        lambda p, xs, ds, s, /: by_place(p, xs, ds, s),
        lambda x, d, h_0, *, unused=1, **weights: bptt(**weights, x=x, d=d, h_0=h_0),
    ],
)
def test_signatures_that_fit(function):
    assert_right(ask(function))


def test_what_is_missing_is_not_passed():
    answer = ask(lambda W_x, W_h, W_y, x, d, b_h=7, work=None: {"W_x": W_x * b_h.sum()})
    assert answer.received == ("W_x", "W_h", "W_y", "x", "d", "b_h")
    assert ask(lambda params, x, d, work=None: {"b_h": len(params)}).received == (*NAMES, "x", "d")
    assert "h_0" in ask(lambda params, x, d, state=None: {"b_h": len(state)}).received


@pytest.mark.parametrize(
    ("function", "shown"),
    [
        (lambda x, d: None, "takes (x, d); expected arguments named W_x, W_h, W_y, b_h, b_y, h_0, x, d"),
        (lambda Wx, Wh, x, d: None, "takes (Wx, Wh, x, d)"),
        (lambda params, x: None, "takes (params, x)"),
        (lambda params, x, d, state, more: None, "takes (params, x, d, state, more)"),
        (lambda params, x, d, *, more: None, "takes (params, x, d, *, more)"),
        (lambda W_x, banana, x, d: None, "takes (W_x, banana, x, d)"),
        (lambda params, inputs, x: None, "takes (params, inputs, x)"),
        (lambda: None, "takes ()"),
        (lambda *args, **kwargs: None, "a decorator hides its arguments, use functools.wraps"),
        (lambda *args: None, "takes (*args)"),
        (max, "does not say what arguments it takes; wrap it"),
    ],
)
def test_signatures_that_do_not_fit(function, shown):
    with pytest.raises(InputError) as refusal:
        ask(function)
    assert shown in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_numbers_in_scalar_form():
    seen = {}

    def keep(W_x, h_0, x, d, W_h, W_y, b_h, b_y):
        seen.update(W_x=W_x, h_0=h_0, x=x, d=d)
        vectors = (np.array([value]) for value in (b_h, b_y))
        matrices = (np.array([[value]]) for value in (W_x, W_h, W_y))
        loss, found = bptt(*matrices, *vectors, x[:, None], d[:, None], np.array([h_0]))
        return loss, {name: array.item() for name, array in found.items()}

    answer = ask(keep, None, SCALAR, NUMBERS)
    assert (type(seen["W_x"]), type(seen["h_0"]), seen["x"].shape, seen["d"].shape) == (float, float, (3,), (3,))
    right = gradients_at(SCALAR, {**NUMBERS.parameters, "h_0": NUMBERS.initial["h", 0], "x": seen["x"], "d": seen["d"]})
    assert_right(answer, right=right)
    assert answer.gradients["W_x"].shape == ()


def test_a_batch_is_passed_as_it_is():
    point = random_matrix_point(MATRIX, seed=1, batch=5)
    seen = []
    ask(lambda params, x, d: seen.append((x.shape, d.shape)), None, MATRIX, point)
    assert seen == [(point.x.shape, point.d.shape)]
    assert point.x.shape[:2] == (3, 5)


def test_our_own_module_is_read_as_anybodys(tmp_path):
    for cell, point_of in (("lstm", random_matrix_point), ("lag2", random_matrix_point)):
        model = unroll(cell, steps=4, form="matrix", loss="squared", activation="tanh")
        point = point_of(model, seed=2)
        path = tmp_path / f"{cell}.py"
        path.write_text(source_of(model))
        (answer,) = run_code(f"{path}:loss_and_gradients", model, [point])
        right = gradients_at(model, point)
        assert_right(answer, names=right, right=right)
        assert answer.loss == pytest.approx(right.loss)


def test_a_function_that_writes_into_its_arguments_changes_nothing():
    def spoil(params, x, d, state):
        answer = by_place({name: array.copy() for name, array in params.items()}, x.copy(), d, dict(state))
        for array in (*params.values(), *state.values(), x, d):
            array[...] = 0
        params.clear()
        return answer

    before = {name: array.copy() for name, array in POINT.parameters.items()}
    assert_right(ask(spoil))
    assert_right(ask(spoil))
    assert all(np.array_equal(POINT.parameters[name], before[name]) for name in before)


# --- the adapter ---


def test_their_names():
    def theirs(Wxh, Whh, Why, bh, by, inputs, targets, hprev):
        _, found = bptt(Wxh, Whh, Why, bh, by, inputs, targets, hprev)
        return {"dWxh": found["W_x"], "dWhh": found["W_h"], "dhprev": found["h_0"]}

    names = dict(zip((*NAMES, "x", "d", "h_0"), "Wxh Whh Why bh by inputs targets hprev".split(), strict=True))
    assert_right(ask(theirs, Adapter(names)), names=("W_x", "W_h", "h_0"))
    assert_right(
        ask(lambda params, x, d, state: (params["Wxh"], {"dbh": bptt(*params.values(), x, d, **state)[1]["b_h"]})[1],
            Adapter({"W_x": "Wxh", "b_h": "bh"})),
        names=("b_h",),
    )  # fmt: skip


def test_their_layout():
    def rows(W_x, W_h, W_y, b_h, b_y, x, d, h_0):
        loss, found = bptt(W_x.T, W_h.T, W_y.T, b_h, b_y, x, d, h_0)
        return loss, {name: array.T for name, array in found.items()}

    assert ask(rows).error
    assert_right(ask(rows, Adapter(row_major=True)))


def test_their_scale():
    def mean(W_x, W_h, W_y, b_h, b_y, x, d, h_0):
        loss, found = bptt(W_x, W_h, W_y, b_h, b_y, x, d, h_0)
        return loss / len(x), {name: array / len(x) for name, array in found.items()}

    answer = ask(mean, Adapter(mean=True))
    assert_right(answer)
    assert answer.loss == pytest.approx(RIGHT.loss)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ({"Wx": "W"}, "'Wx' cannot be renamed: elman has W_x, .* Did you mean 'W_x'"),
        ({"W_x": "W_h"}, "W_x and W_h are both called 'W_h'"),
    ],
)
def test_an_adapter_that_cannot_be(names, message):
    with pytest.raises(InputError, match=message):
        ask(bptt, Adapter(names))


# --- what it returns ---

GRADIENTS = dict(RIGHT.gradients)
Pair = namedtuple("Pair", "loss gradients")
Named = namedtuple("Named", "b_y W_x")


@pytest.mark.parametrize(
    ("value", "names"),
    [
        (GRADIENTS, (*NAMES, "h_0")),
        ((1.5, GRADIENTS), (*NAMES, "h_0")),
        ([None, GRADIENTS], (*NAMES, "h_0")),
        (Pair(1.5, GRADIENTS), (*NAMES, "h_0")),
        ({"loss": 1.5, "gradients": GRADIENTS}, (*NAMES, "h_0")),
        ({"loss": 1.5, "W_x": GRADIENTS["W_x"]}, ("W_x",)),
        ({"W_x": GRADIENTS["W_x"].tolist()}, ("W_x",)),
        ({"dW_x": GRADIENTS["W_x"], "grad_b_h": GRADIENTS["b_h"], "W_h.grad": GRADIENTS["W_h"]}, ("W_x", "b_h", "W_h")),
        ([GRADIENTS[name] for name in NAMES], NAMES),
        (tuple(GRADIENTS[name] for name in NAMES), NAMES),
        ((1.5, [GRADIENTS[name] for name in NAMES]), NAMES),
        ((1.5, *(GRADIENTS[name] for name in NAMES)), NAMES),
        (Named(GRADIENTS["b_y"], GRADIENTS["W_x"]), ("b_y", "W_x")),
    ],
)
def test_forms_of_an_answer(value, names):
    answer = returning(value)
    assert_right(answer, names)
    first = value.get("loss") if isinstance(value, dict) else value[0]
    assert answer.loss == (1.5 if isinstance(first, float) else None)


def test_shapes_stay_as_they_came():
    answer = returning({"W_x": GRADIENTS["W_x"].T, "b_h": GRADIENTS["b_h"][:, None], "x": np.ones((3, 2))})
    assert {name: array.shape for name, array in answer.gradients.items()} == {
        "W_x": GRADIENTS["W_x"].T.shape,
        "b_h": (len(GRADIENTS["b_h"]), 1),
        "x": (3, 2),
    }


def test_numbers_in_order_in_scalar_form():
    def gradients(value):
        return call_function(lambda params, x, d: value, SCALAR, NUMBERS)

    for value in ([1, 2, 3, 4, 5], np.arange(1.0, 6.0), (Fraction(1), 2, 3, np.float64(4), np.array(5))):
        assert gradients(value).gradients == dict(zip(NAMES, (1, 2, 3, 4, 5), strict=True))
    assert "a list of 6; expected a dictionary" in gradients([0, 1, 2, 3, 4, 5]).error  # the loss, or h_0?


def test_a_cell_with_one_or_two_parameters():
    one = unroll("h = w * h[t-1] + x\ny = h", steps=2, loss="squared")
    two = unroll("h = w * h[t-1] + u * x\ny = h", steps=2, loss="squared")

    def gradients(value, model):
        answer = call_function(lambda params, x, d: value, model, random_matrix_point(model, seed=0))
        return answer.error or (answer.loss, {name: array.tolist() for name, array in answer.gradients.items()})

    for value in (2.0, [2.0], np.float32(2), np.array(2.0), {"dw": 2}):
        assert gradients(value, one) == (None, {"w": 2.0})
    for value in ((1.0, 2.0), (1.0, [2.0]), (1.0, {"w": 2})):
        assert gradients(value, one) == (1.0, {"w": 2.0})
    names = [str(q) for q in two.parameters]
    assert gradients([2.0, 3.0], two) == (None, dict(zip(names, (2.0, 3.0), strict=True)))
    assert "a list of 2; expected a dictionary" in gradients((1.0, [2.0, 3.0]), two)  # the loss, or a gradient?


async def coroutine(params, x, d):
    await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "the answer is None; expected gradients or (loss, gradients)"),
        ("W_x", "the answer is the string 'W_x'"),
        (0.5, "the answer is a float"),
        ({}, "the answer holds no gradients"),
        ([], "a list of 0; expected a dictionary by name such as {'W_x': …}, or all of W_x, W_h, W_y, b_h, b_y"),
        ([1, 2], "a list of 2"),
        ({"W_x": None}, "'W_x' is None; expected numbers"),
        ({"W_x": "much"}, "'W_x' is the string 'much'"),
        ({"W_x": ["much"]}, "'W_x' is the string 'much'"),
        ({"W_x": [[1, 2], [3]]}, "'W_x' is ragged"),
        ({"W_x": [np.ones(2), np.ones(3)]}, "'W_x' is ragged"),
        ({"W_x": 1j * np.ones(2)}, "'W_x' holds complex numbers"),
        ({"W_x": np.array([1, None])}, "'W_x' holds objects"),
        ({"W_x": object()}, "'W_x' holds objects (an object)"),
        ({"W_x": np.array([True])}, "'W_x' holds booleans"),
        ({"W_x": True}, "'W_x' is True"),
        ({"W_x": np.zeros((0, 2))}, "'W_x' is empty (of shape (0, 2))"),
        ({"W_x": np.broadcast_to(1.0, (2000, 2000))}, "'W_x' holds 4,000,000 numbers"),
        ({"W_x": [[1, np.nan], [np.inf, 0]]}, "'W_x' is nan at [0, 1] (and 1 more); expected finite"),
        ({"dW_h": np.inf}, "'dW_h' is inf; expected finite"),
        ({"W_x": {"grad": 1}}, "'W_x' is a dict"),
        ({"Wx": 1.0}, "the answer has 'Wx'; expected gradients by name, some of W_x"),
        ({"W_x": 1.0, "hs": 1.0}, "the answer has 'hs'"),
        ({"W_x": 1.0, "dW_x": 1.0}, "both the gradient by 'W_x'"),
        ({3: 1.0}, "the answer has 3, which is no name"),
        ((np.nan, GRADIENTS), "'loss' is nan"),
        (([1, 2], GRADIENTS), "the loss is an array of shape (2,); expected one number"),
        (coroutine(1, 2, 3), "the answer is a coroutine"),
        ((i for i in range(3)), "the answer is a generator"),
    ],
)
def test_what_is_no_gradient(value, message):
    answer = returning(value)
    assert message in answer.error
    assert "\n" not in answer.error
    assert answer.gradients == {}


def test_the_nearest_name():
    assert returning({"W_hh": 1.0}).error.endswith("Did you mean 'W_h'?")


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        ((np.float64([0.1]), [0.2]), "float64"),
        ((np.float64([0.1]), np.float32([0.2])), "float32"),
        ((np.float16([0.1]), np.float32([0.2])), "float16"),
        (([np.float32(0.1)], 2), "float32"),
        ((np.float32([0.1]).tolist(), 0.5), "float32"),
        (([0.5, 0.25], 3), "float64"),
        ((np.longdouble([0.1]), 3), "float64"),
    ],
)
def test_the_precision_of_an_answer(values, dtype):
    assert returning(dict(zip(("b_h", "b_y"), values, strict=True))).dtype == dtype


def test_tensors():
    torch = pytest.importorskip("torch")
    leaf = torch.tensor([1.0, 2.0], dtype=torch.float64, requires_grad=True)
    answer = returning({"b_h": leaf * 1, "b_y": [torch.tensor(0.5, dtype=torch.float64, requires_grad=True)]})
    assert (answer.error, answer.dtype) == ("", "float64")
    assert answer.gradients["b_h"].tolist() == [1, 2]
    assert returning({"b_h": torch.tensor([0.1])}).dtype == "float32"
    assert returning({"b_h": torch.tensor([0.1], dtype=torch.bfloat16)}).dtype == "bfloat16"
    assert "holds complex numbers" in returning({"b_h": torch.tensor([1j])}).error


# --- what it raises, in this process ---


def test_an_exception_is_a_line_with_its_place():
    def fails(params, x, d):
        return params["W_x"] @ x

    line = fails.__code__.co_firstlineno + 1
    assert ask(fails).error.startswith("fails raises ValueError: matmul: Input operand 1 has a mismatch")
    assert ask(fails).error.endswith(f"(line {line} of test_user_code.py)")


def test_ctrl_c_goes_through():
    def interrupted(params, x, d):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ask(interrupted)


# --- in a process of its own ---


@pytest.fixture
def code(tmp_path, monkeypatch):
    """Run a function body in a file of its own: ``code("return …")``."""
    monkeypatch.chdir(tmp_path)

    def run(body: str, count: int = 1, head: str = "", **options) -> tuple[Answer, ...]:
        indented = textwrap.indent(textwrap.dedent(body).strip(), "    ")
        Path("net.py").write_text(f"import os, sys, time\n{head}\ndef gradients(params, x, d, state):\n{indented}\n")
        return run_code("net.py:gradients", MATRIX, [POINT] * count, **options)

    return run


def one_error(answers: tuple[Answer, ...]) -> str:
    (answer,) = answers
    assert "\n" not in answer.error
    assert "Traceback" not in answer.error
    return answer.error


def test_the_answers_of_a_process_are_those_of_a_call(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = Path(__file__).read_text()
    begin = text.index("def bptt")
    Path("bptt_by_hand.py").write_text("import numpy as np\n\n" + text[begin : text.index("def by_keywords")])
    points = [random_matrix_point(MATRIX, seed) for seed in range(4)]
    for target in ("bptt_by_hand:bptt", "bptt_by_hand.py:by_place", str(tmp_path / "bptt_by_hand.py") + ":bptt"):
        answers = run_code(target, MATRIX, points)
        for answer, point in zip(answers, points, strict=True):
            same = call_function(bptt, MATRIX, point)
            assert (answer.loss, answer.error) == (same.loss, "")
            assert all(np.array_equal(answer.gradients[name], same.gradients[name]) for name in same.gradients)
    assert sorted(os.listdir()) == ["bptt_by_hand.py"]  # no byte code beside it


def test_the_adapter_goes_with_it(code):
    (answer,) = code(
        "return 1.0, {'dW': 3 * params['W'], 'b_h': state['h0']}",
        adapter=Adapter({"W_x": "W", "h_0": "h0"}, row_major=True, mean=True),
    )
    assert answer.loss == 3.0
    np.testing.assert_allclose(answer.gradients["W_x"], 9 * POINT.parameters["W_x"])
    np.testing.assert_allclose(answer.gradients["b_h"], 3 * POINT.initial["h", 0])


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return 1 / 0", "gradients raises ZeroDivisionError: division by zero (line 4 of net.py)"),
        ("raise ValueError('two\\nlines')", "gradients raises ValueError: two lines (line 4 of net.py)"),
        ("return gradients(params, x, d, state)", "gradients raises RecursionError: maximum recursion depth"),
        ("raise KeyboardInterrupt", "raises KeyboardInterrupt"),
        ("print('usage: net'); sys.exit(0)", "gradients calls sys.exit(0) (line 4 of net.py); it printed: usage: net"),
        ("sys.exit('no data')", "gradients calls sys.exit('no data')"),
        ("print('so long'); sys.stdout.flush(); os._exit(0)",
         "net.py:gradients: its process ended with exit status 0 and without an answer; it printed: so long"),
        ("os._exit(3)", "its process ended with exit status 3"),
        ("os.kill(os.getpid(), 9)", "its process was ended by the signal SIGKILL"),
        ("return {'W_x': float('nan')}", "'W_x' is nan"),
        ("return {'Wx': 1}", "the answer has 'Wx'"),
        ("return None", "the answer is None"),
        ("return input()", "raises EOFError"),
        ("class E(Exception):\n    def __str__(self): raise self\nraise E", "gradients raises E (line 6 of net.py)"),
    ],
)  # fmt: skip
def test_what_goes_wrong_at_a_point(code, body, message):
    assert message in one_error(code(body))


def test_a_hang_is_ended(code, tmp_path):
    begin = time.monotonic()
    body = """
        import subprocess
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        open("pids", "w").write(f"{os.getpid()} {child.pid}")
        while True: pass
    """
    error = one_error(code(body, timeout=2))
    assert error == "net.py:gradients: it did not answer within 2 s; give more with --timeout, or let it do less"
    assert time.monotonic() - begin < 3
    for pid in Path("pids").read_text().split():
        assert not is_running(int(pid))


def is_running(pid: int) -> bool:
    """Whether a process lives; one that nobody has collected yet does not."""
    for _ in range(50):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return False
        if state == "Z":
            return False
        time.sleep(0.02)
    return True


def test_what_was_answered_before_a_crash_is_kept(code):
    body = """
        count.append(1)
        if len(count) == 3: os.kill(os.getpid(), 11)
        return {"b_h": len(count)}
    """
    answers = code(body, count=4, head="count = []")
    assert [answer.gradients.get("b_h") for answer in answers] == [1, 2, None, None]
    assert answers[2].error.endswith("by the signal SIGSEGV (at point 3 of 4)")
    assert answers[3].error


def test_a_point_is_not_changed_by_the_one_before(code):
    body = """
        given = params["W_x"].copy()
        for array in (*params.values(), *state.values(), x, d): array[...] = 0
        return {"W_x": given}
    """
    for answer in code(body, count=2):
        assert np.array_equal(answer.gradients["W_x"], POINT.parameters["W_x"])


def test_an_exception_at_one_point_is_of_that_point(code):
    first, second = code("count.append(1)\nreturn {'b_h': 1 / (len(count) - 1)}", count=2, head="count = []")
    assert "ZeroDivisionError" in first.error
    assert (second.error, second.gradients["b_h"]) == ("", 1.0)


def test_prints_are_no_answer(code):
    (answer,) = code("print('{\"refused\": 1}')\nprint('∂', file=sys.stderr)\nreturn {'b_h': 1}")
    assert (answer.error, answer.gradients["b_h"]) == ("", 1.0)


def test_a_hundred_megabytes_of_prints(code):
    body = "for _ in range(100): print('x' * 1_000_000)\nprint('the end')\n"
    (answer,) = code(body + "return {'b_h': 1}")
    assert answer.error == ""
    error = one_error(code(body + "1 / 0"))
    assert error.endswith("the end")
    assert len(error) < 600


def test_closed_handles_another_folder_and_threads(code):
    body = """
        import threading
        threading.Thread(target=time.sleep, args=(60,)).start()
        os.chdir("/")
        os.closerange(3, 100)
        sys.stdout = None
        return {"b_h": 1}
    """
    (answer,) = code(body)
    assert (answer.error, answer.gradients["b_h"]) == ("", 1.0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_a_fork_answers_once(code):
    answers = code("os.fork()\nreturn {'b_h': 1}", count=2)
    assert [answer.gradients["b_h"] for answer in answers] == [1, 1]


def test_single_precision_comes_through(code):
    (answer,) = code("import numpy as np\nreturn {'b_h': np.float32([0.1])}")
    assert (answer.dtype, answer.gradients["b_h"].tolist()) == ("float32", [float(np.float32(0.1))])


# --- the module and the function ---


def refused(target: str, timeout: float = 60) -> str:
    with pytest.raises(InputError) as refusal:
        run_code(target, MATRIX, [POINT], timeout=timeout)
    assert "\n" not in str(refusal.value)
    assert "Traceback" not in str(refusal.value)
    return str(refusal.value)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("net.py", "expected MODULE:FUNCTION, such as net:gradients or net.py:gradients; got 'net.py'"),
        (":f", "expected MODULE:FUNCTION"),
        ("net:", "expected MODULE:FUNCTION"),
        ("net:f()", "expected MODULE:FUNCTION"),
        ("nett.py:gradients", "there is no file 'nett.py'. Did you mean 'net.py'?"),
        ("no/such/net.py:gradients", "there is no file 'no/such/net.py'."),
        ("nett:gradients", "there is no module 'nett' in the current folder or where Python looks"),
        ("a.b:f", "there is no module 'a.b'"),
        (".net:f", "'.net' names no module"),
        ("net:gradient", "net has no function 'gradient'. Did you mean 'gradients'?"),
        ("net:Net.backward", "net has no function 'Net.backward'."),
        ("net:Net", "net:Net is a class; name a function"),
        ("net:number", "net:number is no function but int"),
        ("net:few", "few takes (x); expected arguments named W_x"),
        ("./folder:f", "'./folder' is no Python file"),
    ],
)
def test_a_target_that_is_not_there(tmp_path, monkeypatch, target, message):
    monkeypatch.chdir(tmp_path)
    Path("net.py").write_text("number = 3\nclass Net: pass\ndef few(x): pass\ndef gradients(params, x, d): pass\n")
    assert message in refused(target)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def f(:\n", "net.py, line 1: invalid syntax; net.py is no Python that can be run"),
        ("\nx = 1 +\n", "net.py, line 2: invalid syntax"),
        (
            "\n\nimport numpyy\n",
            "importing net.py raises ModuleNotFoundError: No module named 'numpyy' (line 3 of net.py",
        ),
        ("import helper\n", "importing net.py raises ZeroDivisionError: division by zero (line 2 of helper.py)"),
        ("print('said this')\n1 / 0\n", "division by zero (line 2 of net.py); it printed: said this"),
        ("import sys\nsys.exit(1)\n", "net.py calls sys.exit (line 2 of net.py) when it is imported; put what it does"),
        ("import os\nos._exit(4)\n", "net.py:f cannot be imported: its process ended with exit status 4"),
        ("x = 'é'\n".encode("latin-1"), "net.py is no Python that can be run"),
        ("while True: pass\n", "net.py:f cannot be imported: it did not answer within 1 s"),
    ],
)
def test_a_module_that_cannot_be_imported(tmp_path, monkeypatch, text, message):
    monkeypatch.chdir(tmp_path)
    Path("helper.py").write_text("\n1 / 0\n")
    Path("net.py").write_bytes(text if isinstance(text, bytes) else text.encode())
    assert message in refused("net.py:f", timeout=1 if "while" in str(text) else 60)


def test_what_a_file_imports_from_beside_itself(tmp_path):
    folder = tmp_path / "my homework"
    folder.mkdir()
    (folder / "helper.py").write_text("one = 1\n")
    (folder / "net-2.py").write_text(
        "from helper import one\nimport sys\nassert sys.argv[0].endswith('net-2.py') and len(sys.argv) == 1\n"
        "class Net:\n    def backward(self, params, x, d): return {'b_h': one}\nnet = Net()\n"
    )
    (answer,) = run_code(f"{folder}/net-2.py:net.backward", MATRIX, [POINT])
    assert (answer.error, answer.gradients["b_h"]) == ("", 1.0)


@pytest.mark.parametrize("name", ["json", "numpy", "runner", "tempfile"])
def test_a_file_called_as_a_library_is_the_users(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    Path(f"{name}.py").write_text("def f(params, x, d): return {'b_h': 1}\n")
    for target in (f"{name}:f", f"{name}.py:f"):
        (answer,) = run_code(target, MATRIX, [POINT])
        assert (answer.error, answer.gradients["b_h"]) == ("", 1.0)


def test_the_path_is_kept(tmp_path, monkeypatch):
    (tmp_path / "elsewhere.py").write_text("def f(params, x, d): return {'b_h': 1}\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert run_code("elsewhere:f", MATRIX, [POINT])[0].error == ""


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf"), "1"])
def test_a_time_limit_that_is_none(timeout):
    with pytest.raises(InputError, match=r"--timeout is .*; expected a positive number of seconds"):
        run_code("net:f", MATRIX, [POINT], timeout=timeout)


def test_nothing_stays_behind(code, tmp_path, monkeypatch):
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(place))
    code("return {'b_h': 1}")
    code("os._exit(1)")
    assert os.listdir(place) == []


def test_ctrl_c_ends_the_process(code):
    body = "open('pid', 'w').write(str(os.getpid()))\ntime.sleep(60)"

    def interrupt():
        while not Path("pid").exists():
            time.sleep(0.02)
        time.sleep(0.1)
        os.kill(os.getpid(), signal.SIGINT)

    Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        code(body)
    assert not is_running(int(Path("pid").read_text()))


def test_the_process_imports_little():
    probe = (
        "import sys, rnn_symbolic.auditing.runner as r; "
        "sys.exit(' '.join({'sympy', 'rnn_symbolic.model', 'rnn_symbolic.expressions'} & set(sys.modules)) or 0)"
    )
    run = subprocess.run([sys.executable, "-c", probe], capture_output=True, encoding="utf-8", check=False)
    assert (run.returncode, run.stderr) == (0, "")


def test_a_cell_without_parameters():
    model = unroll("h = h[t-1] + x\ny = h", steps=2, loss="squared")
    point = random_matrix_point(model, seed=0)
    assert call_function(lambda x, d, h_0: {"dh_0": h_0}, model, point).gradients == {"h_0": point.initial["h", 0]}
    assert "the answer is a float" in call_function(lambda x, d, h_0: 0.5, model, point).error
