"""The examples run, train, and agree with PyTorch; what their README says to type exists."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from latex_tools import require

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
README = (EXAMPLES / "README.md").read_text(encoding="utf-8")
BASELINE = 1 / 6


def start(script: str, *options: str, seconds: float = 120) -> subprocess.CompletedProcess[str]:
    """``python examples/…`` as a user would type it, on one core."""
    return subprocess.run(
        [sys.executable, f"examples/{script}", *options],
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
        timeout=seconds,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8", "OMP_NUM_THREADS": "1"},
    )


def output(script: str, *options: str, seconds: float = 120) -> str:
    """What it prints, if all is well."""
    run = start(script, *options, seconds=seconds)
    assert (run.returncode, run.stderr) == (0, "")
    return run.stdout


def losses(printed: str) -> list[float]:
    """Nats per character, in the order of the updates."""
    return [float(nats) for nats in re.findall(r"^ +\d+–\d+ +([\d.]+)", printed, re.MULTILINE)]


def numbers(printed: str, heading: str) -> dict[str, list[float]]:
    """The numbers of each network in the table under a heading."""
    table = printed[printed.index(heading) :].split("\n\n")[1].splitlines()
    rows = [re.match(r"  ([a-z-]+) +([-+.\de ]+)", line) for line in table[1:]]
    return {row[1]: [float(number) for number in row[2].split()] for row in rows if row}


# --- a character-level language model -------


def test_the_text_is_small_and_ascii():
    text = (EXAMPLES / "text.txt").read_bytes()
    assert 3000 <= len(text) <= 6000
    assert text.decode("ascii").isprintable() or set(text.decode("ascii")) - {"\n"} <= set(map(chr, range(32, 127)))


@pytest.mark.parametrize("cell", ["elman", "lag2", "examples/my.cell"])
def test_characters_are_learnt(cell):
    printed = output("characters.py", "--quick", "--cell", cell)
    found = losses(printed)
    alphabet, frequencies, _ = map(float, re.findall(r"^([\d.]+), ([\d.]+), ([\d.]+)\.$", printed, re.MULTILINE)[0])
    assert len(found) == 10
    assert found[0] < alphabet + 0.3
    assert found[-1] < found[0] - 0.5
    assert found[-1] < frequencies
    whole = re.search(r"read once: ([\d.]+) nats", printed)
    assert whole and float(whole[1]) < frequencies
    assert "\n\nThe network" in printed


@pytest.mark.parametrize("cell", ["elman", pytest.param("lstm", marks=pytest.mark.slow)])
def test_characters_are_learnt_as_in_torch(cell):
    require(importlib.util.find_spec("torch") is not None, "PyTorch is not installed; make peers installs it")
    printed = output("characters.py", "--quick", "--torch", "--cell", cell)
    difference = re.search(r"first 100 updates (\S+), all (\S+)", printed)
    assert difference and float(difference[1]) <= float(difference[2]) < 1e-9
    assert losses(printed)[-1] < losses(printed)[0] - 0.5


def test_torch_is_asked_for_cells_that_it_has():
    run = start("characters.py", "--torch", "--cell", "gru")
    assert run.returncode == 2
    assert "--torch knows the cells elman and lstm, not gru" in run.stderr


@pytest.mark.slow
def test_characters_reach_the_stated_loss():
    printed = output("characters.py", seconds=600)
    stated = re.search(r"below ([\d.]+) nats", README)
    assert stated and losses(printed)[-1] < float(stated[1])


# --- the adding problem -------


def test_the_adding_problem(tmp_path):
    drawn = tmp_path / "lags.png"
    printed = output("adding.py", "--quick", "--plot", str(drawn))
    before, after = numbers(printed, "Before training"), numbers(printed, "Training")
    assert list(before) == list(after) == ["elman", "irnn", "lstm", "lstm-chrono"]
    for steps, radius, per_step, left in before.values():
        assert steps == 20
        assert per_step == pytest.approx(radius, abs=0.05)  # the derivation's factor is what the gradient changes by
        assert left < 2
    assert before["irnn"][1] == 1
    assert before["elman"][3] < 1e-3 < 0.1 < before["irnn"][3]
    for name, (steps, error, updates, *_) in after.items():
        assert steps == 20
        assert updates <= 900
        assert error < (BASELINE / 5 if name.startswith("lstm") else 1.1 * BASELINE)  # all begin with about 1
    assert "diag(tanh′(aₜ)) W_h" in printed
    assert drawn.stat().st_size > 10_000


# --- what the README says -------


def test_every_file_is_in_the_readme():
    names = {path.name for path in EXAMPLES.iterdir() if path.suffix in (".py", ".txt", ".json", ".cell")}
    assert {name for name in names if f"`{name}`" not in README} == set()


@pytest.mark.parametrize("script", ["characters.py", "adding.py"])
def test_every_option_of_the_readme_exists(script):
    known = set(re.findall(r"--[a-z]+", output(script, "--help")))
    texts = (README, (EXAMPLES / script).read_text(encoding="utf-8"))
    for command in re.findall(rf"python examples/{script}([^\n]*)", "\n".join(texts)):
        assert set(re.findall(r"--[a-z]+", command)) <= known, command
