"""Certificates: accepted by Coq for every cell and parameter, refused when spoiled, and about the right network."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
from latex_tools import require

from rnn_symbolic.builtin_cells import BUILT_IN
from rnn_symbolic.cells import parse_cell
from rnn_symbolic.certificate.checker import ALLOWED, CertificateCheck, check_certificate, without_comments
from rnn_symbolic.certificate.document import coq_certificate
from rnn_symbolic.certificate.equations import written_equations
from rnn_symbolic.certificate.terms import concrete_theory, theory
from rnn_symbolic.cli import main
from rnn_symbolic.errors import InputError
from rnn_symbolic.expressions import MINUS_ONE, ONE, Number, Quantity
from rnn_symbolic.model import Model, unroll
from rnn_symbolic.paths import count_paths
from rnn_symbolic.table import Edge, Factor, LocalRule

NAMED = ["path_recursion", "path_count", "path_list", "every_quantity", "adjoint_equals_paths"]
ARTICLE = ["article_six_paths", "article_three_paths", "article_not_whole_loss", "double_sum"]


@pytest.fixture
def coq() -> None:
    require(shutil.which("coqc") is not None, "coqc is not installed")


def verdict(text: str) -> CertificateCheck:
    return check_certificate(text, timeout=120)


def accepted(model: Model, goal: str, concrete: bool = False) -> CertificateCheck:
    """The verdict on a certificate that must be accepted, on nothing but the axioms of the real numbers."""
    found = verdict(coq_certificate(model, goal, concrete=concrete).text)
    assert found.accepted, f"{model} {goal}: {found}"
    assert set(found.assumptions) == set(ALLOWED)
    assert set(NAMED) < set(found.theorems)
    return found


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The general part, compiled once for many certificates."""
    require(shutil.which("coqc") is not None, "coqc is not installed")
    folder = tmp_path_factory.mktemp("theory")
    (folder / "theory.v").write_text(theory())
    subprocess.run(["coqc", "-q", "theory.v"], cwd=folder, check=True, timeout=60)
    return folder


def compiled(text: str, library: Path) -> str:
    """What Coq says against a certificate whose general part is compiled already, or nothing."""
    assert text.count(theory().rstrip()) == 1
    path = library / f"certificate_{abs(hash(text))}.v"
    path.write_text("Require Import Reals List Arith Lia Lra theory.\nImport ListNotations.\nOpen Scope R_scope.\n"
                    + text.replace(theory().rstrip(), ""))  # fmt: skip
    run = subprocess.run(
        ["coqc", "-q", "-w", "+local-declaration", "-Q", ".", "", path.name],
        cwd=library, capture_output=True, encoding="utf-8", timeout=120, check=False,
    )  # fmt: skip
    if not run.returncode:
        return ""
    line = re.search(r"line (\d+)", run.stderr)
    assert line is not None
    before_it = "\n".join(path.read_text().splitlines()[: int(line[1])])
    stated = re.findall(r"^(?:Lemma|Theorem) ([\w']+)", before_it, re.MULTILINE)
    return f"in {stated[-1]}: {run.stderr}"


def goals(model: Model) -> list[str]:
    return [str(q) for q in (*model.parameters, *model.initial_states)]


# --- accepted ---


def test_the_article_is_accepted(coq: None) -> None:
    found = accepted(unroll("elman"), "W_x")
    assert set(["dL_dW_x", *NAMED, *ARTICLE]) < set(found.theorems)
    assert found.concrete == ""  # its functions are abstract
    assert str(found).startswith("accepted by Coq\ntheorems:\n")


@pytest.mark.parametrize("form", ["scalar", pytest.param("matrix", marks=pytest.mark.slow)])
def test_a_gated_cell_is_accepted_with_its_own_functions_too(coq: None, form: str) -> None:
    assert "oncrete" not in coq_certificate(unroll("lstm", form=form), "W_f").text
    found = accepted(unroll("lstm", form=form), "W_f", concrete=True)
    assert found.concrete == "dL_dW_f_concrete"
    assert found.concrete not in found.theorems
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
    found = accepted(unroll(STRANGE), goal, concrete=True)
    assert "Classical_Prop.classic" in found.concrete_assumptions  # the logarithm of Coq's library


@pytest.mark.slow
def test_functions_of_targets_alone(coq: None) -> None:
    accepted(unroll("h = W @ h[t-1] + x\ny = h\nloss = y * tanh(d) + relu(d) / d + log(d) * sqrt(y * d ** 0.5)"), "W")


def test_vectors_of_any_size(coq: None) -> None:
    assert "dL_dW_h" in accepted(unroll("elman", form="matrix"), "W_h").theorems


CASES = [
    (form, cell, goal)
    for form in ("scalar", "matrix")
    for cell in BUILT_IN
    if (form, cell) != ("matrix", "pascanu")
    for goal in goals(unroll(cell, form=form))
]


def one_of_each_rank(form: str, cell: str) -> list[str]:
    """A matrix, a bias and an initial state; what they are in matrix form, also in scalar form."""
    model = unroll(cell, form="matrix" if cell != "pascanu" else form)
    if model.form == "scalar":
        return goals(model)
    ranks = {goal: len(model.names[goal.split("_-")[0].removesuffix("_0")]) for goal in goals(model)}
    firsts = {rank: goal for goal, rank in reversed(ranks.items())}
    return list(dict.fromkeys((*firsts.values(), goals(model)[-1])))


PRINTED = [case for case in CASES if case[2] in one_of_each_rank(*case[:2])]


@pytest.mark.slow
@pytest.mark.parametrize(("form", "cell", "goal"), PRINTED)
def test_every_built_in_cell_as_it_is_printed(coq: None, form: str, cell: str, goal: str) -> None:
    accepted(unroll(cell, form=form), goal)


@pytest.mark.slow
@pytest.mark.parametrize(("form", "cell", "goal"), [case for case in CASES if case not in PRINTED])
def test_every_other_goal_of_every_built_in_cell(library: Path, form: str, cell: str, goal: str) -> None:
    certificate = coq_certificate(unroll(cell, form=form), goal)
    assert set(NAMED) < set(certificate.theorems) and certificate.theorem in certificate.theorems
    assert compiled(certificate.text, library) == ""


def test_a_spoiled_file_is_refused_with_the_general_part_compiled_too(library: Path) -> None:
    text = coq_certificate("elman", "W_h").text
    assert compiled(text.replace("= T * (T + 1))%nat", "= T * (T - 1))%nat"), library).startswith("in path_count: ")


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
        ("pascanu", "the equation of a has no certificate in matrix form yet"),
    ],
)
def test_what_has_no_certificate_in_matrix_form(text: str, said: str) -> None:
    with pytest.raises(InputError, match=re.escape(said)) as refusal:
        coq_certificate(unroll(text, form="matrix"))
    assert "use the scalar form" in str(refusal.value)


@pytest.mark.parametrize("choice", [{"loss": "cross-entropy"}, {"output_activation": "softmax"}])
def test_losses_without_a_certificate_in_matrix_form(choice: dict[str, str]) -> None:
    with pytest.raises(InputError, match=r"no certificate in matrix form yet: .*use the scalar form"):
        coq_certificate(unroll("elman", form="matrix", **choice))


TAKEN = [  # names near those of the generated text, an equation that mentions the goal whatever it is, quotients
    ("h = W * h[t-1] + x\ny = sqrt(1 + sqrt(h))", "W"),
    ("h = W * h[t-1] + x\ny = 1 / (2 + sqrt(h))", "W"),
    ("y = tanh(W * y[t-1] + x)\nloss = (y - d) ** 2 + W ** 2", "W"),
    ("h = W @ h[t-1] + x\nC_h = sigma(h)\ny = C_h", "W"),
    ("h = W @ h[t-1] + x\nB_h = sigma(h)\ny = B_h", "W"),
    ("h = W @ h[t-1] + x\nOk_y = sigma(h)\ny = sigma(Ok_y)", "W"),
    ("h = W @ h[t-1] + dL_dW_concrete * x\ny = tanh(h)", "W"),
    ("h = W @ h[t-1] + dL_dW * x\ny = tanh(h)", "W"),
    ("h = W_concrete @ h[t-1] + n_h * x\ny = tanh(h)", "W_concrete"),
    ("h = W @ h[t-1] + power_1_2 * x\ny = h ** 0.5", "W"),
    ("h = W @ h[t-1] + is_path * x + Total + passes_on + tanh_slope\nmap_app = h\ny = tanh(map_app)", "is_path"),
    ("h = W @ h[t-1] + 0 * x\ny = tanh(h)", "W"),
    ("h = W @ h[t-1] + x ** 0\nk = h ** 1.5\ny = V @ k", "V"),
    ("h = W * h[t-1] + x\ny = h / (h ** 2 + 1) / (h - 3) * (h / 5)", "W"),
    ("h = W * h[t-1] + x\ny = (1 + h ** 0.5) ** -1", "W"),
    ("h = W * h[t-1] + x\ny = (h * h + W) ** -2 * (h - x) ** 1.5", "W"),
    ("h = (W * h[t-1] + x + 1) ** 8 / (W * h[t-1] ** 2 + x + 2) ** 7 + 1 / (1 + 1 / (1 + 1 / (1 + h[t-1])))\ny = h", "W"),  # noqa: E501
    ("h = W * h[t-1] + x\ny = " + " + ".join(f"sin({i} * h)" for i in range(1, 40)), "W"),
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("form", ["scalar", "matrix"])
@pytest.mark.parametrize(("text", "goal"), TAKEN)
def test_cells_whose_names_or_quotients_are_odd(coq: None, text: str, goal: str, form: str) -> None:
    model = unroll(text, form="scalar" if "loss" in text else form)
    accepted(model, goal, concrete=bool(re.search("tanh|sqrt|0.5|1.5", text)))


UNTAKEN = """
Primitive Projections Proof Qed Require Unshelve all apply assumption beta cbn cbv change clear constructor
delta destruct do eapply eassumption erewrite exact first functional_extensionality generalize
induction intro intros iota lia lra ltac
nia refine reflexivity repeat rewrite ring simpl split subst transitivity unfold vm_compute
"""  # the words of proofs, which no term can be confused with

NAMES_OF_A_CELL = "qW qV qb qa qh qk x d y l".split()


def test_no_name_of_a_cell_is_one_that_the_text_uses() -> None:
    """Every word of a certificate that is not made of the cell's names is kept from cells."""
    deep = "\n".join([
        "qa = qW @ qh[t-1] + qV @ qh[t-2] + x + tanh(qk[t-1]) + qb",
        "qh = sigma(qa) + exp(qa[t-1]) * qh[t-1] ** 0.5 + relu(qa)",
        "qk = log(qh) + sqrt(qa) / (1 + qa) + sin(qa) + softplus(qa) * cos(qa) + logistic(qh)", "y = sigma(qk)",
    ])  # fmt: skip
    plain, used = "qh = qW @ qh[t-1] + x\ny = tanh(qh)", set[str]()
    for form in ("scalar", "matrix"):
        for losses, loss in (("all", "abstract"), ("last", "squared")):
            for cell in (deep, plain):
                model = unroll(cell, form=form, losses=losses, loss=loss)
                for goal in goals(model):
                    text = coq_certificate(model, goal, concrete=True).text
                    for general in (theory().rstrip(), concrete_theory().rstrip()):
                        assert general in text
                        text = text.replace(general, "")
                    used |= set(re.findall(r"(?<![\w.'])[A-Za-z][\w']*", without_comments(text)))
    own = "|".join(NAMES_OF_A_CELL)
    made = re.compile(rf"(\w+_)?({own})('|_.*|\d*)?|power_.*|dL_d.*|n_\w")
    names = written_equations(unroll(plain, form="matrix"))[0].names
    free = {word for word in used if not made.fullmatch(word) and "'" not in word and names.fresh(word) == word}
    assert free <= set(UNTAKEN.split()), free - set(UNTAKEN.split())


def test_a_concrete_theorem_is_about_functions_that_the_cell_mentions() -> None:
    with pytest.raises(InputError, match="mentions no function of Coq's own"):
        coq_certificate("elman", concrete=True)


def test_a_concrete_theorem_is_spelled_out() -> None:
    text = coq_certificate(unroll("lstm", losses="last"), "W_f", concrete=True).text
    found = re.search(r"Theorem dL_dW_f_concrete :(.*?)Proof\.", text, re.DOTALL)
    assert found is not None
    statement = " ".join(found[1].split())
    assert statement.startswith("forall (sigma sigma' : R -> R) (ell ell' : nat -> R -> R) (p : point) (T : nat),")
    assert "(1 <= T)%nat -> regular" in statement
    assert "derivable_pt_lim (fun z => L Concrete.logistic tanh sigma ell (with_W_f p z) T) (W_f p)" in statement
    assert "(over (paths_to_W_f T) (product_to_W_f Concrete.logistic Concrete.logistic' tanh Concrete.tanh' sigma" in (
        statement
    )


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


# --- what is not for Coq to notice, and the numbers of paths ---


def twice_the_loss(text: str) -> str:
    return re.sub(
        r"(l_by_y .*?:=\n  )ell' t y", r"\1(2 * ell' t y)", re.sub(r"(\n  )ell t y\.", r"\1(2 * ell t y).", text)
    )


@pytest.mark.slow
def test_coq_alone_would_not_notice(coq: None) -> None:
    text = twice_the_loss(coq_certificate("elman", "W_h").text)
    assert text.count("(2 * ell t y)") == text.count("(2 * ell' t y)") == 1
    spelled = re.compile(r"\(\* For three steps, path by path\. \*\).*?Qed\.\n", re.DOTALL)
    assert verdict(
        re.compile(r"\(\* The same as a double sum.*?Qed\.\n", re.DOTALL).sub("", spelled.sub("", text))
    ).accepted


@pytest.mark.slow
@pytest.mark.parametrize("losses", ["all", "last"])
def test_the_recursion_of_the_numbers_of_paths_is_exact(coq: None, losses: str) -> None:
    """In matrix form for all sizes; a spoiled recursion is refused."""
    text = coq_certificate(unroll("lag2", form="matrix", losses=losses), "h_0").text
    assert "(r < n_h)%nat -> " in text and verdict(text).accepted
    for old, new in (
        ("n_h * ways_h_prev2", "n_h * ways_h_prev"),
        ("let ways_o := (n_y * ways_h)", "let ways_o := (ways_h)"),
        ("(if (t =? 2)%nat then n_h else 0)", "(if (t =? 3)%nat then n_h else 0)"),
    ):
        assert old in text
        found = verdict(text.replace(old, new))
        assert not found.accepted and found.failure.startswith("in counts, line")


def test_no_list_of_paths_is_computed() -> None:
    """Dead ends are as many as paths elsewhere: what Coq evaluates must not explore them."""
    for form, cell, goal in CASES:
        text = coq_certificate(unroll(cell, form=form), goal).text
        assert text.count("vm_compute") == text.count("apply path_count; lia]. vm_compute")


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
def test_every_spoiled_entry_is_refused(library: Path, cell: str) -> None:
    model = unroll(cell)
    for edge in model.table:
        for change in (twice, negative, other):
            text = coq_certificate(spoiled_table(model, edge.head.name, edge.tail, change)).text
            found = compiled(text, library)
            assert re.match(rf"in {edge.head.name}_?_table: .*Error", found, re.DOTALL), (edge, change)


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
    "the wrong rational": ("(with_W_x p z) 3) (W_x p) (-13 / 64)", "(with_W_x p z) 3) (W_x p) (13 / 64)"),
    "another sum of three": ("three_paths = 1 / 32", "three_paths = 1 / 16"),
    "one of the instance's three paths dropped": (
        re.compile(r"(let three_paths :=\n).*?\+\n", re.DOTALL), r"\1"),
    "a path twice": ("| h => [(a, 0%nat)]", "| h => [(a, 0%nat); (a, 0%nat)]"),
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
    assert main(["prove", "W_f", "--cell", "mgu", "--check", "--concrete"]) == 0
    assert "assumptions of dL_d" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["W_x", "--concrete"], "--concrete is about a file for Coq; it goes with --coq or --check"),
        (["W_x", "--coq", "--concrete"], "elman mentions no function of Coq's own"),
    ],
)
def test_where_there_is_nothing_concrete(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prove", *arguments]) == 2
    assert said in capsys.readouterr().err


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
