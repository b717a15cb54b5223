"""What the README prints is what the commands print. (Its Python examples run as doctests.)"""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from rnn_symbolic.cli import main

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
CONSOLE = re.findall(r"```console\n\$ (rnn-symbolic [^\n]*)\n(.*?)\n```", README, re.DOTALL)


def test_readme_shows_commands() -> None:
    assert len(CONSOLE) >= 6
    assert README.count("```console") == len(CONSOLE), "every console block is one command and its output"


@pytest.mark.parametrize(("command", "output"), CONSOLE, ids=[command for command, _ in CONSOLE])
def test_readme_output(
    command: str, output: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    code = main(shlex.split(command)[1:])
    printed, complaints = capfd.readouterr()
    assert code == ("audit" in command)  # what is wrong there is the point
    assert complaints == ""
    assert printed.rstrip("\n") == output


def test_first_screen_is_the_derivation() -> None:
    command, output = CONSOLE[0]
    assert command.startswith("rnn-symbolic derive W_x")
    assert README.index("$ rnn-symbolic") < 400, "one sentence comes before the first command"
    assert output.count("ℓ₃′(y₃)") >= 3


def test_every_make_target_of_the_readme_exists() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^make ([a-z-]+)", README, re.MULTILINE))
    assert {"derive", "test"} <= targets
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets)
