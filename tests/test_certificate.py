"""Certificates: accepted by Coq for every cell and parameter, refused when spoiled, and about the right network."""

from __future__ import annotations

import re
import resource
import shutil
from dataclasses import replace
from fractions import Fraction

import networks
import numpy as np
import pytest
from coq_tools import CoqForward
from latex_tools import require

from rnn_symbolic.builtin_cells import BUILT_IN
from rnn_symbolic.cells import parse_cell
from rnn_symbolic.certificate.checker import ALLOWED, CertificateCheck, check_certificate, without_comments
from rnn_symbolic.certificate.document import coq_certificate
from rnn_symbolic.certificate.terms import theory
from rnn_symbolic.cli import main
from rnn_symbolic.errors import InputError
from rnn_symbolic.expressions import MINUS_ONE, ONE, Number, Quantity
from rnn_symbolic.model import Model, unroll
from rnn_symbolic.paths import count_paths
from rnn_symbolic.table import Edge, Factor, LocalRule

SECONDS = 10.0
"""What a file may take, of one processor: twice its due, for two programs that share a core slow each other down."""

NAMED = ["path_recursion", "path_count", "every_quantity", "adjoint_equals_paths"]
ARTICLE = ["article_six_paths", "article_three_paths", "article_not_whole_loss", "double_sum"]


@pytest.fixture
def coq() -> None:
    require(shutil.which("coqc") is not None, "coqc is not installed")


def verdict(text: str) -> CertificateCheck:
    return check_certificate(text, timeout=120)


def accepted(model: Model, goal: str) -> CertificateCheck:
    """The verdict on a certificate that must be accepted, in time, on nothing but the axioms of the real numbers."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    found = verdict(coq_certificate(model, goal).text)
    seconds = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before
    assert found.accepted, f"{model} {goal}: {found}"
    assert set(found.assumptions) == set(ALLOWED)
    assert set(NAMED) < set(found.theorems)
    assert seconds < SECONDS, f"{model} {goal} took {seconds:.1f} s"
    return found


def goals(model: Model) -> list[str]:
    return [str(q) for q in (*model.parameters, *model.initial_states)]


# --- accepted ---


def test_the_article_is_accepted(coq: None) -> None:
    found = accepted(unroll("elman"), "W_x")
    assert set(["dL_dW_x", *NAMED, *ARTICLE]) < set(found.theorems)
    assert found.concrete == ""  # its functions are abstract
    assert str(found).startswith("accepted by Coq\ntheorems:\n")


def test_a_gated_cell_is_accepted_with_its_own_functions_too(coq: None) -> None:
    found = accepted(unroll("lstm"), "W_f")
    assert found.concrete == "dL_dW_f_concrete"
    assert set(found.concrete_assumptions) == {*ALLOWED, "ClassicalDedekindReals.sig_not_dec"}


# names that Coq, its library or our own text has taken; every function of the smooth part; lags; a loss line
STRANGE = """\
scalar Print
O = (fun @ O[t-1] + S @ x) / (1 + R[t-2] ** 2) ** 0.5
R = exp(-O ** 2) - s[t-1] * O[t-3] / (2 + x)
s = log(3 + O ** 2) * Set ** -3 + 0.1 * Print * R ** (-2)
k = relu(s) + cos(s) * softplus(R) - logistic(tanh(O)) * sigma(s)
y = sqrt(match @ k + identity(sum_of)) * k
loss = (y - d) ** 4 / 3 + sin(y * d)
"""


@pytest.mark.slow
@pytest.mark.parametrize("goal", ["fun", "Print", "O_-2"])
def test_strange_names_and_every_function(coq: None, goal: str) -> None:
    found = accepted(unroll(STRANGE), goal)
    assert "Classical_Prop.classic" in found.concrete_assumptions  # the logarithm of Coq's library


@pytest.mark.slow
def test_functions_of_targets_alone(coq: None) -> None:
    accepted(unroll("h = W @ h[t-1] + x\ny = h\nloss = y * tanh(d) + relu(d) / d + log(d) * sqrt(y * d ** 0.5)"), "W")


@pytest.mark.slow
@pytest.mark.parametrize(("cell", "goal"), [(cell, goal) for cell in BUILT_IN for goal in goals(unroll(cell))])
def test_every_built_in_cell_and_goal(coq: None, cell: str, goal: str) -> None:
    found = accepted(unroll(cell), goal)
    assert any(name.startswith("dL_d") for name in found.theorems)


@pytest.mark.parametrize("goal", ["W_h", "W_x", "b_h"])
def test_vectors_of_any_size(coq: None, goal: str) -> None:
    found = accepted(unroll("elman", form="matrix"), goal)
    assert f"dL_d{goal}" in found.theorems


def one_of_each_rank(cell: str) -> list[str]:
    """All goals of elman; of other cells a matrix, a bias and an initial state."""
    model = unroll(cell, form="matrix")
    ranks = {goal: len(model.names[goal.split("_-")[0].removesuffix("_0")]) for goal in goals(model)}
    firsts = {rank: goal for goal, rank in reversed(ranks.items())}
    return [*ranks] if cell == "elman" else list(dict.fromkeys((*firsts.values(), goals(model)[-1])))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("cell", "goal"),
    [(cell, goal) for cell in BUILT_IN if cell != "pascanu" for goal in one_of_each_rank(cell)],
)
def test_every_built_in_cell_in_matrix_form(coq: None, cell: str, goal: str) -> None:
    accepted(unroll(cell, form="matrix"), goal)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "goal"),
    [
        ("y = sigma(W_y @ x + b)", "b"),
        ("h = tanh(W @ h[t-3] + U @ k[t-2] + x)\nk = h * h[t-1] - 0.5 * exp(k[t-1])\ny = V @ k + h", "k_-1"),
        ("scalar tau\nh = tau * h[t-1] + (1 - tau) * tanh(W @ x)\ny = h / 3 + tau", "tau"),
        ("h = x / h[t-1] ** 2 + W * h[t-1] - 1 / h[t-1]\ny = h", "W"),
    ],
)
def test_odd_cells_in_matrix_form(coq: None, text: str, goal: str) -> None:
    accepted(unroll(text, form="matrix"), goal)


@pytest.mark.slow
@pytest.mark.parametrize(("losses", "loss"), [("last", "abstract"), ("all", "squared"), ("last", "squared")])
def test_choices_in_matrix_form(coq: None, losses: str, loss: str) -> None:
    accepted(
        unroll("elman", form="matrix", losses=losses, loss=loss, activation="relu", output_activation="sin"), "W_x"
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("h = W @ sigma(h[t-1]) + x\ny = h", "give the function's value a name of its own"),
        ("h = W @ (V @ h[t-1]) + x\ny = h", "give it a name of its own"),
        ("scalar tau\nk = tau * tau\nh = k * h[t-1] + x\ny = h", "is a number beside vectors"),
    ],
)
def test_what_has_no_certificate_in_matrix_form(text: str, said: str) -> None:
    with pytest.raises(InputError, match=re.escape(said)):
        coq_certificate(unroll(text, form="matrix"))


CHOICES = [
    *(
        (losses, loss, "tanh", "logistic")
        for losses in ("all", "last")
        for loss in ("abstract", "squared", "cross-entropy")
    ),
    ("all", "abstract", "relu", "identity"),
    ("all", "squared", "softplus", "exp"),
    ("last", "abstract", "sin", "cos"),
    ("last", "squared", "log", "sqrt"),
    ("all", "abstract", "identity", "sigma"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("losses", "loss", "activation", "output"), CHOICES)
def test_every_choice_of_a_model(coq: None, losses: str, loss: str, activation: str, output: str) -> None:
    model = unroll("elman", losses=losses, loss=loss, activation=activation, output_activation=output)
    assert "three_steps" in accepted(model, "W_h").theorems
    found = accepted(model, "W_x")
    for name in ("article_six_paths", "double_sum"):
        assert (name in found.theorems) == (losses == "all")


# --- about the right network ---

FUNCTIONS = {
    "sigma": np.tanh,
    "tanh": np.tanh,
    "logistic": lambda z: 1 / (1 + np.exp(-z)),
    "relu": lambda z: z if z > 0 else 0 * z,
    "ell": lambda t: lambda y: 0 * y,
}


def values_of_the_file(cell: str, text: str, T: int = 4) -> tuple[list[dict[str, float]], networks.History]:
    """Every step of a certificate's own recursion, and of the network written by hand, at the same point."""
    p, x, d = networks.random_point(cell, 3, dict.fromkeys(networks.SIZES, 1), steps=T)
    point = {name.replace("-", "m"): float(value.item()) for name, value in p.items()}
    inputs = {name: {t + 1: float(row.item()) for t, row in enumerate(rows)} for name, rows in (("x", x), ("d", d))}
    found = CoqForward(text, FUNCTIONS, {**point, **inputs}).steps(T)
    return found, networks.trajectory(cell, p, x, activation="tanh", output="tanh")


@pytest.mark.parametrize("cell", sorted(networks.CELLS))
def test_the_file_defines_the_network_written_by_hand(cell: str) -> None:
    found, expected = values_of_the_file(cell, coq_certificate(cell).text)
    for step, by_hand in zip(found, expected, strict=True):
        for name, value in by_hand.items():
            assert step.get(name, step.get(f"{name}_")) == pytest.approx(value.real.item(), rel=1e-12), name


VECTORS = {"n_x": 2, "n_h": 3, "n_y": 2, "n_s": 4}


@pytest.mark.parametrize("cell", sorted(networks.CELLS))
def test_the_file_in_matrix_form_defines_the_network_written_by_hand(cell: str) -> None:
    p, x, d = networks.random_point(cell, 4, VECTORS)
    point = {name.replace("-", "m"): value.astype(float).tolist() for name, value in p.items()}
    point |= {
        "x": {t + 1: row.tolist() for t, row in enumerate(x)},
        "d": {t + 1: row.tolist() for t, row in enumerate(d)},
    }
    functions = {**FUNCTIONS, "ell": lambda t: lambda y: 0.0}
    sizes = {**VECTORS, "n_a": VECTORS["n_h"]}  # of the jordan cell, where a comes first
    found = CoqForward(coq_certificate(unroll(cell, form="matrix")).text, functions, point, sizes).steps(3)
    for step, by_hand in zip(found, networks.trajectory(cell, p, x, activation="tanh", output="tanh"), strict=True):
        for name, value in by_hand.items():
            assert step.get(name, step.get(f"{name}_")) == pytest.approx(value.real, rel=1e-12), name


def test_the_loss_of_the_file_is_the_one_by_hand() -> None:
    model = unroll("elman", activation="tanh", output_activation="logistic", loss="squared")
    p, x, d = networks.random_point("elman", 5, dict.fromkeys(networks.SIZES, 1))
    point = {name: float(value.item()) for name, value in p.items()}
    inputs = {name: {t + 1: float(row.item()) for t, row in enumerate(rows)} for name, rows in (("x", x), ("d", d))}
    steps = CoqForward(coq_certificate(model, "W_h").text, FUNCTIONS, {**point, **inputs}).steps(3)
    assert sum(step["l"] for step in steps) == pytest.approx(networks.loss("elman", p, x, d).real, rel=1e-12)


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
    found, expected = values_of_the_file("elman", text)
    assert any(
        step["y"] != pytest.approx(by_hand["y"].real.item()) for step, by_hand in zip(found, expected, strict=True)
    )


def test_the_numbers_of_paths_are_those_of_the_package() -> None:
    for cell, goal in (("lstm", "W_f"), ("gru", "W_z"), ("lag2", "h_0"), ("residual", "W_x")):
        text = coq_certificate(cell, goal).text
        found = re.search(r"\(seq 1 (\d)\) = \[([\d; ]*)\]", text)
        assert found is not None
        counts = [int(number) for number in found[2].split("; ")]
        assert len(counts) == int(found[1]) >= 3
        for T, count in enumerate(counts, start=1):
            assert count == count_paths(unroll(cell, steps=T), goal, granularity="node")


# --- refused ---


def spoiled_table(model: Model, head: str, tail: Quantity, change) -> Model:
    """The model with one entry of its table changed."""
    edges = []
    for edge in model.table:
        here = edge.head.name == head and edge.tail == tail
        edges.append(replace(edge, terms=change(edge)) if here else edge)
    assert tuple(edges) != model.table
    return replace(model, table=tuple(edges))


def twice(edge: Edge) -> tuple:
    return tuple((Factor(LocalRule.NUMBER, Number(Fraction(2))), *term) for term in edge.terms)


def negative(edge: Edge) -> tuple:
    return tuple((Factor(LocalRule.NUMBER, MINUS_ONE), *term) for term in edge.terms)


def other(edge: Edge) -> tuple:
    return ((Factor(LocalRule.COEFFICIENT, ONE if edge.value != ONE else Number(Fraction(0))),),)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("| a i, _ => (i =? r)%nat", "| a i, _ => (i =? c)%nat"),  # another entry
        ("| a i, _ => a_by_W_h_at p t i c", "| a i, _ => a_by_W_h_at p t i r"),
        ("| a i, h j, 1%nat => a_by_h_prev_at p t i j", "| a i, h j, 1%nat => a_by_h_prev_at p t j i"),  # transposed
        ("| a i => map (fun j => (h j, 1%nat)) (seq 0 n_h)", "| a i => map (fun j => (h j, 1%nat)) (seq 1 n_h)"),
        ("| h i => (i < n_h)%nat", "| h i => (i < n_x)%nat"),
    ],
)  # fmt: skip
def test_a_spoiled_file_in_matrix_form_is_refused(coq: None, old: str, new: str) -> None:
    text = coq_certificate(unroll("elman", form="matrix"), "W_h").text
    assert text.count(old) == 1
    found = verdict(text.replace(old, new))
    assert not found.accepted and found.failure.startswith("in ")


TABLE_ENTRIES = [
    ("elman", "a", Quantity("h", -1, "t"), twice),
    ("elman", "h", Quantity("a", 0, "t"), other),
    ("lstm", "c", Quantity("f", 0, "t"), negative),
]


@pytest.mark.parametrize(("cell", "head", "tail", "change"), TABLE_ENTRIES)
def test_an_entry_that_is_not_the_derivative_is_refused(
    coq: None, cell: str, head: str, tail: Quantity, change
) -> None:
    model = spoiled_table(unroll(cell), head, tail, change)
    found = verdict(coq_certificate(model).text)
    assert not found.accepted
    assert found.failure.startswith(f"in {head}_table, line ")


@pytest.mark.slow
@pytest.mark.parametrize("cell", ["elman", "gru", "lag2"])
def test_every_spoiled_entry_is_refused(coq: None, cell: str) -> None:
    model = unroll(cell)
    for edge in model.table:
        for change in (twice, negative, other):
            found = verdict(coq_certificate(spoiled_table(model, edge.head.name, edge.tail, change)).text)
            assert not found.accepted and re.match(rf"in {edge.head.name}_?_table", found.failure), (edge, change)


def without_a_row(text: str) -> str:
    """No path passes on from a to h of the step before."""
    return text.replace("| a => [(h, 1%nat)]", "| a => []").replace(
        "| h => [(a, 1%nat); (o, 0%nat)]", "| h => [(o, 0%nat)]"
    )


MUTATIONS = {
    "a wrong factor": ("Definition h_by_a (a : R) : R :=\n  sigma' a.", "Definition h_by_a (a : R) : R :=\n  sigma a."),
    "another weight": ("| o, h, 0%nat => o_by_h_at p t", "| o, h, 0%nat => o_by_W_y_at p t"),
    "a shifted index": ("  a_by_W_x (W_h p) (at_step p t 1 h) (W_x p) (x p t)",
                        "  a_by_W_x (W_h p) (at_step p t 1 h) (W_x p) (x p (t - 1))"),
    "a shifted lag": ("| a => [(h, 1%nat)]", "| a => [(h, 2%nat)]"),
    "an entry less": ("  | a, _ => true\n", ""),
    "an entry more": ("  | a, _ => true\n", "  | a, _ => true\n  | o, _ => true\n"),
    "a loss less": ("list nat := seq 1 T.", "list nat := seq 2 (T - 1)."),
    "a wrong number of paths": ("= T * (T + 1))%nat", "= T * (T - 1))%nat"),
    "one of the six paths dropped": (
        re.compile(r"\(\(\* l_1 -> .*? \+\n +\(\* l_2", re.DOTALL), "((* l_2"),
    "one of the three paths dropped": (
        re.compile(r"(Theorem article_three.*?)\(\(\* l_3 -> .*? \+\n +\(\* l_3", re.DOTALL), r"\1((* l_3"),
    "the wrong rational": ("(with_W_x article_point z) 3) 1 (-13 / 64)", "(with_W_x article_point z) 3) 1 (13 / 64)"),
    "another adjoint": ("| h => [(a, 1%nat); (o, 0%nat)]", "| h => [(o, 0%nat)]"),
    "no condition asked": ("  h_ok (value p t a) /\\\n", ""),
}  # fmt: skip


@pytest.mark.parametrize("name", [*MUTATIONS, "a dropped path"])
def test_a_spoiled_file_is_refused(coq: None, name: str) -> None:
    text = coq_certificate("elman", "W_x").text
    if name == "a dropped path":
        spoiled = without_a_row(text)
    else:
        old, new = MUTATIONS[name]
        spoiled = old.sub(new, text) if isinstance(old, re.Pattern) else text.replace(old, new)
    assert spoiled != text
    found = verdict(spoiled)
    assert not found.accepted
    assert re.match(r"in [\w']+, line \d+: Error", found.failure), found.failure


@pytest.mark.parametrize(
    ("addition", "said"),
    [
        ("Theorem more : False. Admitted.", "it contains Admitted"),
        ("Axiom more : False.", "it contains Axiom"),
        ("Parameter more : False.", "it contains Parameter"),
        ("Variable more : False.", "local-declaration"),
        ("Unset Guard Checking.", "it contains Unset"),
        ("Definition more : nat := tru.", "in more, line"),
        (
            "Theorem more : forall P, P \\/ ~ P.\nProof. exact Classical_Prop.classic. Qed.",
            "more assumes classic",
        ),
    ],
)
def test_what_assumes_too_much_is_refused(coq: None, addition: str, said: str) -> None:
    text = "Require Import Reals Classical.\nTheorem one : 1%R = 1%R.\nProof. reflexivity. Qed.\n"
    assert verdict(text).accepted
    found = verdict(text + addition)
    assert not found.accepted and said in found.failure, found


def test_a_check_has_an_end(coq: None) -> None:
    found = check_certificate(coq_certificate("elman", "W_x").text, timeout=0.2)
    assert not found.accepted and found.failure == "Coq did not finish within 0.2 s"


def test_a_text_without_theorems_is_refused(coq: None) -> None:
    assert check_certificate("(* Theorem a : True. *)").failure == "it states no theorem"


# --- the text ---


def test_the_general_part_has_no_hole_and_fits_the_page() -> None:
    text = without_comments(theory())
    assert not re.search(r"\b(Admitted|admit|Axiom|Parameter|Conjecture)\b", text)
    assert re.findall(r"Require Import (.*)\.", text) == ["Reals List Arith Lia Lra"]
    assert max(map(len, theory().splitlines())) <= 120


def test_a_certificate_needs_the_standard_library_alone_and_is_the_same_every_time() -> None:
    one, other = (coq_certificate("lstm", "W_f").text for _ in range(2))
    assert one == other
    assert one.count("Require") == 1
    assert one.isascii() and one.endswith("\n")


def test_a_name_cannot_end_a_comment() -> None:
    cell = parse_cell("h = W @ h[t-1] + x\ny = h", 'a *) Axiom b : False. (* "')
    text = coq_certificate(replace(cell, text='y = "x" *) Axiom c : False. (*\n' + cell.text)).text
    assert text.count("Axiom") == 2 and "Axiom" not in without_comments(text)


def test_the_first_parameter_when_none_is_named() -> None:
    with pytest.raises(InputError, match="neither a parameter nor a state"):
        coq_certificate("y = x")
    assert coq_certificate("elman").theorem == "dL_dW_x"
    assert coq_certificate("h = h[t-1] + x\ny = h").theorem == "dL_dh_0"


@pytest.mark.parametrize(
    ("goal", "said"),
    [
        ("x_1", "about a parameter or an initial state, not about x_1; choose one of W_x, W_h, W_y, b_h, b_y, h_0"),
        ("h_2", "not about h_2"),
        ("W_z", "not a quantity of elman"),
    ],
)
def test_what_no_certificate_is_about(goal: str, said: str) -> None:
    with pytest.raises(InputError, match=re.escape(said)):
        coq_certificate("elman", goal)


# --- the command ---


def test_the_command_writes_the_file(tmp_path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "elman.v"
    assert main(["prove", "W_h", "--coq", "-o", str(target)]) == 0
    assert target.read_text() == coq_certificate("elman", "W_h").text
    assert main(["prove", "W_h", "--coq", "--steps", "4"]) == 0
    captured = capsys.readouterr()
    assert captured.out == target.read_text()
    assert "--steps changes nothing" in captured.err


def test_the_command_checks(coq: None, tmp_path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prove", "--check"]) == 0
    assert capsys.readouterr().out.startswith("accepted by Coq\n")
    target = tmp_path / "gru.v"
    assert main(["prove", "h_0", "--cell", "gru", "--coq", "--check", "-o", str(target)]) == 0
    captured = capsys.readouterr()
    assert captured.out == "" and "dL_dh_0" in captured.err and captured.err.count("\n") == 1
    assert target.is_file()
    assert main(["prove", "b_y", "--check", "--to", "json"]) == 0
    assert '"accepted": true' in capsys.readouterr().out


def test_without_coq_the_command_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert main(["prove", "--check"]) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1
    assert "apt-get install coq" in captured.err


def test_a_refusal_is_exit_1(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    refused = CertificateCheck(False, failure="in a_table, line 7: Error")
    monkeypatch.setattr("rnn_symbolic.certificate.checker.check_certificate", lambda text: refused)
    assert main(["prove", "--check"]) == 1
    assert capsys.readouterr().out == "refused: in a_table, line 7: Error\n"
