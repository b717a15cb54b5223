"""`assert_gradient`: silent where a gradient is right, and the audit as the message where it is not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from planted import loss_and_gradients

from rnn_symbolic.auditing.user_code import Adapter
from rnn_symbolic.errors import InputError
from rnn_symbolic.gradients import gradients_at
from rnn_symbolic.model import unroll
from rnn_symbolic.testing import assert_gradient
from rnn_symbolic.values import point_from_mapping


def right(params: Any, x: Any, d: Any, state: Any) -> Any:
    return loss_and_gradients("elman", params, x, d, state)


def wrong(params: Any, x: Any, d: Any, state: Any) -> Any:
    return loss_and_gradients("elman", params, x, d, state, ("W_h-not-transposed",))


def test_a_right_gradient_passes_silently(capsys: pytest.CaptureFixture[str]) -> None:
    assert_gradient("elman", right)
    assert capsys.readouterr() == ("", "")


def test_the_message_is_the_audit() -> None:
    with pytest.raises(AssertionError, match=r"^Audit of a gradient \(elman\)") as caught:
        assert_gradient("elman", wrong)
    assert "stands the wrong way round" in str(caught.value)


def test_numbers_and_options_go_through() -> None:
    values = {"W_h": 2, "W_x": 1, "b_h": 0, "W_y": 1, "b_y": 0, "h_0": 1, "x": [1, 1, 1], "d": [0, 0, 0]}
    model = unroll("linear", loss="squared")
    numbers = gradients_at(model, point_from_mapping(values, model))
    given = {"b_h": float(numbers["b_h"]), "W_y": float(numbers["W_y"])}
    assert_gradient("linear", gradients=given, values=values)
    with pytest.raises(AssertionError, match="W_y"):
        assert_gradient("linear", gradients={**given, "W_y": given["W_y"] + 1}, values=values)
    assert_gradient("elman", formula="db_y = sum(t=1..T, l'(y[t]) * sigma'(o[t]))")
    with pytest.raises(AssertionError):
        assert_gradient("elman", right, adapter=Adapter(mean=True))
    with pytest.raises(AssertionError) as caught:
        assert_gradient("elman", wrong, told=False)
    assert "way round" not in str(caught.value)


def test_bad_input_is_no_failed_assertion() -> None:
    with pytest.raises(InputError, match="elmann"):
        assert_gradient("elmann", right)
    with pytest.raises(InputError):
        assert_gradient("elman")
    with pytest.raises(InputError):
        assert_gradient("elman", lambda: None)


def test_pytest_shows_the_line_of_the_test(tmp_path: Path) -> None:
    test = tmp_path / "test_net.py"
    test.write_text(
        "from rnn_symbolic.testing import assert_gradient\n"
        "def test_gradient():\n"
        "    assert_gradient('elman', formula='db_y = 0')  # here\n",
        encoding="utf-8",
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(test)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, timeout=120)
    assert done.returncode == 1
    assert "# here" in done.stdout and "Audit of a gradient (elman)" in done.stdout
    assert "raise AssertionError" not in done.stdout
