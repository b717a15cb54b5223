r"""Paths: which there are, what stands on them, how many, and that their sum is the gradient.

A path is read from L: ℓ_t, then y_t, then the states. Counts are identity I5 and the explosion of elementary paths.
"""

from __future__ import annotations

import random
import time
from itertools import islice

import pytest
import sympy as sp
from textbook import CELLS, GRU, LSTM, OWN_LOSS, RESIDUAL, by_complex_step

from rnn_symbolic.cells import BUILT_IN
from rnn_symbolic.errors import InputError, NotDerivable
from rnn_symbolic.expressions import Quantity
from rnn_symbolic.graph import GRANULARITIES, Path
from rnn_symbolic.model import Model, unroll
from rnn_symbolic.numeric import Point
from rnn_symbolic.paths import count_paths, graph, group_paths, iter_paths, list_paths
from rnn_symbolic.printing import latex
from rnn_symbolic.symbols import inline, symbol
from rnn_symbolic.table import LocalRule
from rnn_symbolic.unicode import plain
from rnn_symbolic.valuation import Valuation

EVERY_CELL = {**BUILT_IN, **{f"{name} as text": cell for name, cell in CELLS.items()}}
GATED = [name for name, text in BUILT_IN.items() if "logistic" in text]
"""What SymPy's ``diff`` of the inlined loss takes a minute for at T = 3."""
PARAMETERS = ("W_x", "W_h", "b_h", "W_y", "b_y")


def text(path: Path) -> str:
    return plain(latex(path.expression))


# --- the article's paths ----------------------------------------------------------------------------------------------


def test_the_three_paths_of_the_article() -> None:
    paths = list_paths(unroll("elman", steps=3, losses="last"), "W_x")
    assert [" ".join(path.route) for path in paths] == [
        "L l_3 y_3 h_3 W_x",
        "L l_3 y_3 h_3 h_2 W_x",
        "L l_3 y_3 h_3 h_2 h_1 W_x",
    ]
    assert [text(path) for path in paths] == [
        "ℓ₃′(y₃) σ′(o₃) W_y σ′(a₃) x₃",
        "ℓ₃′(y₃) σ′(o₃) W_y σ′(a₃) W_h σ′(a₂) x₂",
        "ℓ₃′(y₃) σ′(o₃) W_y σ′(a₃) W_h σ′(a₂) W_h σ′(a₁) x₁",
    ]


def test_the_six_paths_that_the_sum_of_all_losses_has() -> None:
    paths = list_paths(unroll("elman", steps=3), "W_x")
    assert [(path.loss_step, path.entry_step, path.lag) for path in paths] == [
        (3, 3, 0), (3, 2, 1), (3, 1, 2), (2, 2, 0), (2, 1, 1), (1, 1, 0),
    ]  # fmt: skip
    assert [text(path) for path in paths[3:]] == [
        "ℓ₂′(y₂) σ′(o₂) W_y σ′(a₂) x₂",
        "ℓ₂′(y₂) σ′(o₂) W_y σ′(a₂) W_h σ′(a₁) x₁",
        "ℓ₁′(y₁) σ′(o₁) W_y σ′(a₁) x₁",
    ]


def test_every_factor_says_by_which_rule_it_stands_there() -> None:
    path = list_paths(unroll("elman", steps=3), "W_x")[1]
    R = LocalRule
    assert [factor.rule for factor in path.factors] == [
        R.LOSS_SLOPE, R.SLOPE, R.MATRIX, R.SLOPE, R.MATRIX, R.SLOPE, R.ARGUMENT,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("goal", "expected"),
    [
        ("h_0", ["L l_2 y_2 h_2 h_1 h_0", "L l_1 y_1 h_1 h_0"]),
        ("x_1", ["L l_2 y_2 h_2 h_1 x_1", "L l_1 y_1 h_1 x_1"]),
        ("x_2", ["L l_2 y_2 h_2 x_2"]),
        ("W_y", ["L l_2 y_2 W_y", "L l_1 y_1 W_y"]),
        ("h_1", ["L l_2 y_2 h_2 h_1", "L l_1 y_1 h_1"]),
        ("a_2", ["L l_2 y_2 h_2 a_2"]),
        ("y_1", ["L l_1 y_1"]),
        ("l_2", ["L l_2"]),
    ],
)
def test_routes_to_other_goals(goal: str, expected: list[str]) -> None:
    paths = list_paths(unroll("elman", steps=2), goal)
    assert [" ".join(path.route) for path in paths] == expected


def test_every_named_quantity_is_visited_at_node_granularity() -> None:
    [path] = list_paths(unroll("elman", steps=1), "W_x", "node")
    assert path.route == ("L", "l_1", "y_1", "o_1", "h_1", "a_1", "W_x")


def test_the_entry_step_is_the_step_of_the_equation_that_mentions_the_goal() -> None:
    model = unroll("elman", steps=4)
    for goal, entries in (("x_2", {2}), ("h_0", {1}), ("h_2", {2, 3}), ("W_x", {1, 2, 3, 4})):
        assert {path.entry_step for path in iter_paths(model, goal)} == entries, goal
    assert all(path.lag == 0 for path in iter_paths(model, "W_y"))  # its entry step is the loss step itself


# --- counts -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("T", [*range(1, 9), 100])
def test_counts_of_identity_5(T: int) -> None:
    model = unroll("elman", steps=T)
    counts = {name: count_paths(model, name) for name in PARAMETERS}
    half = T * (T + 1) // 2
    assert counts == {"W_x": half, "W_h": half, "b_h": half, "W_y": T, "b_y": T}
    assert count_paths(model, "h_0") == T
    assert [count_paths(model, f"x_{s}") for s in range(1, T + 1)] == [T - s + 1 for s in range(1, T + 1)]
    through_h0 = [p for p in iter_paths(model, "W_h") if p.factors[-1].value == Quantity("h", 0)]
    assert len(through_h0) == T  # zero when h_0 is, leaving T(T−1)/2
    last = unroll("elman", steps=T, losses="last")
    assert {name: count_paths(last, name) for name in PARAMETERS} == {
        "W_x": T, "W_h": T, "b_h": T, "W_y": 1, "b_y": 1,
    }  # fmt: skip


def test_a_path_from_a_loss_to_the_initial_state_carries_as_many_recurrent_weights_as_steps() -> None:
    for path in iter_paths(unroll("elman", steps=7), "h_0"):
        weights = [factor for factor in path.factors if factor.value == Quantity("W_h")]
        assert len(weights) == path.loss_step


@pytest.mark.parametrize("T", range(1, 9))
def test_a_path_of_lag_k_carries_k_plus_1_slopes_and_k_recurrent_weights(T: int) -> None:
    for path in iter_paths(unroll("elman", steps=T), "W_x"):
        written = [latex(factor.value) for factor in path.factors]
        slopes = [rf"\sigma'(a_{{{j}}})" for j in range(path.loss_step, path.entry_step - 1, -1)]
        assert [w for w in written if w.startswith(r"\sigma'(a")] == slopes
        assert written.count("W_{h}") == path.lag


@pytest.mark.parametrize("granularity", GRANULARITIES)
@pytest.mark.parametrize("losses", ["all", "last"])
@pytest.mark.parametrize("name", EVERY_CELL)
def test_the_count_is_the_length_of_the_list(name: str, losses: str, granularity: str) -> None:
    for T in range(1, 4 if name in GATED and granularity == "node" else 5):
        model = unroll(EVERY_CELL[name], steps=T, losses=losses)
        goals = (*model.parameters, *model.initial_states, *(Quantity("x", s) for s in range(1, T + 1)))
        states = tuple(Quantity(state, t) for state in model.cell.states for t in range(1, T + 1))
        for goal in (*goals, *states, Quantity("y", 1), Quantity("l", T)):
            listed = list(iter_paths(model, goal, granularity))
            g = graph(model, goal, granularity)
            assert len(listed) == len(set(listed)) == g.count(), goal
            for by, counted in (("lag", g.count_by_lag()), ("loss", g.count_by_loss())):
                assert {key: len(paths) for key, paths in group_paths(listed, by).items()} == counted, (goal, by)
            assert all(path.nodes[-1] == goal for path in listed)


def paths_between(cell: str, of: str, wrt: str, k: int) -> int:
    """Elementary paths wrt_{T−k} → of_T of a cell, one edge for each ordered pair of named quantities.

    L reads only of_T (y = of, the last loss), so its paths to wrt_{T−k} are those paths with L → ℓ_T → y_T put before.
    They may leave step T − k through other quantities of that step, as L does; `lagged` subtracts those.
    """
    body = "\n".join(line for line in cell.splitlines() if not line.startswith("y ="))
    model = unroll(f"{body}\ny = 1 * {of}", steps=k + 1, losses="last")
    return count_paths(model, f"{wrt}_1", "node")


LSTM_BLOCKS = LSTM.replace("y = W_y @ h + b_y\n", "")
ONE_MORE_NAME = GRU.replace("h = z * h[t-1] + (1 - z) * n", "u = 1 - z\nh = z * h[t-1] + u * n")


@pytest.mark.parametrize(
    ("cell", "counts"),
    [
        (OWN_LOSS.replace("loss =", "# "), {1: 1, 2: 1, 5: 1}),
        (GRU, {1: 4, 2: 16, 3: 64, 10: 4**10}),
        (ONE_MORE_NAME, {1: 5, 2: 25, 10: 5**10}),  # the count depends on how the cell is written
        (LSTM, {1: 4, 2: 19, 3: 91, 5: 2089, 10: 5_274_724}),
        (RESIDUAL, {1: 2, 2: 4, 10: 2**10}),
    ],
    ids=["elman", "gru", "gru with u = 1 - z", "lstm", "residual"],
)
def test_elementary_paths_from_state_to_state_explode(cell: str, counts: dict[int, int]) -> None:
    assert {k: paths_between(cell, "h", "h", k) for k in counts} == counts


def test_elementary_paths_of_all_four_blocks_of_an_lstm() -> None:
    """States at the earlier step are independent: c must leave it by a lagged edge, not through h of that step."""
    for k, expected in {1: 9, 2: 43, 3: 206, 5: 4729, 10: 11_940_723}.items():
        total = 0
        for of in ("h", "c"):
            from_h = paths_between(LSTM_BLOCKS, of, "h", k)
            total += from_h + (paths_between(LSTM_BLOCKS, of, "c", k) - from_h)
        assert total == expected


def test_the_listing_refuses_above_its_limit_and_says_what_to_do() -> None:
    model = unroll(LSTM, steps=30)
    with pytest.raises(InputError, match=r"more than the limit of 20,000; use --count or --by lag, or raise"):
        list_paths(model, "W_f")
    with pytest.raises(InputError, match="there are 6 paths to W_x, more than the limit of 5"):
        list_paths(unroll("elman"), "W_x", limit=5)
    with pytest.raises(InputError, match=r"there are about 10\^\d\d paths"):
        list_paths(unroll(LSTM, steps=50), "W_f")


def test_paths_are_made_one_at_a_time_and_counted_without_being_made() -> None:
    start = time.monotonic()
    model = unroll("elman", steps=10_000)
    assert count_paths(model, "W_x") == 50_005_000
    assert [path.lag for path in islice(iter_paths(model, "W_x"), 3)] == [0, 1, 2]
    assert next(iter_paths(model, "h_0")).lag == 9_999  # no recursion limit
    assert time.monotonic() - start < 10


def test_groups() -> None:
    paths = list_paths(unroll(LSTM, steps=3), "W_f")
    assert set(group_paths(paths, "route")) == {("y", "h", "c")}
    assert list(group_paths(paths, "lag")) == [0, 1, 2]
    assert list(group_paths(paths, "loss")) == [3, 2, 1]
    with pytest.raises(InputError, match="grouped by lag, loss, route, not by 'colour'"):
        group_paths(paths, "colour")


def test_bad_requests_are_refused() -> None:
    model = unroll("elman")
    with pytest.raises(InputError, match="'states' is not a granularity: choose one of state, node, step"):
        graph(model, "W_x", "states")
    with pytest.raises(InputError, match="the derivative of L by itself is 1"):
        graph(model, Quantity("L"))
    nested = "h = tanh(h[t-1])\na1 = h\n"
    for i in range(2, 14):  # the way from a13 to h doubles at each line
        nested += f"b{i} = a{i - 1} * x\nc{i} = sin(a{i - 1})\na{i} = b{i} * c{i}\n"
    with pytest.raises(NotDerivable, match="use --granularity node"):
        graph(unroll(nested + "y = a13", steps=2), "h_0")


def test_a_goal_that_nothing_reads_has_no_paths() -> None:
    model = unroll("elman", steps=3, losses="last")
    assert list_paths(model, "y_2") == ()
    assert count_paths(model, "y_2") == 0


# --- the sum over paths is the gradient -------------------------------------------------------------------------------


def random_point(model: Model, rng: random.Random) -> Point:
    def draw() -> float:
        return rng.choice((-1, 1)) * rng.uniform(0.3, 1.2)

    return Point(
        {name: draw() for name in model.cell.parameters},
        {(q.name, q.step): draw() for q in model.initial_states},
        tuple(draw() for _ in range(model.steps)),
        tuple(rng.uniform(0.1, 0.9) for _ in range(model.steps)),
    )


@pytest.mark.parametrize("T", [1, 2, 3, 5])
@pytest.mark.parametrize("name", CELLS)
def test_the_sum_over_paths_is_the_derivative_of_a_forward_pass_written_by_hand(name: str, T: int) -> None:
    """Complex steps of `textbook`'s forward passes share nothing with the package."""
    model = unroll(CELLS[name], steps=T, loss="squared")
    for seed in range(3):
        point = random_point(model, random.Random(f"{name} {T} {seed}"))
        valuation = Valuation(model, point)
        by_hand = {**point.parameters, **{f"{state}_{step}": v for (state, step), v in point.initial.items()}}
        goals = [*point.parameters, *by_hand, *(f"x_{s}" for s in range(1, T + 1))]
        for goal in dict.fromkeys(goals):
            expected = by_complex_step(name, by_hand, point.x, point.d, goal)
            terms = [valuation.path(path).value for path in iter_paths(model, goal)]
            scale = max([abs(expected), *map(abs, terms)], default=0.0)
            assert sum(terms) == pytest.approx(expected, rel=1e-11, abs=1e-12 * scale), (
                f"{name}, T={T}, {seed=}, {goal}"
            )
            total = valuation.path_total(graph(model, goal)).value
            assert total == pytest.approx(expected, rel=1e-11, abs=1e-12 * scale), f"{name}, T={T}, {seed=}, {goal}"


def assert_sum_is_diff(model: Model, goal: Quantity, granularity: str = "state") -> None:
    total = sp.Add(*(path.product for path in iter_paths(model, goal, granularity)))
    inlined = inline(model, symbol(Quantity("L")), keep=(goal,))
    difference = sp.expand(inline(model, total, keep=(goal,)) - sp.diff(inlined, symbol(goal)))
    if difference != 0:
        difference = sp.cancel(sp.together(difference))
    assert difference == 0, f"{model.cell.name}, T = {model.steps}, {goal}"


BUILT_IN_SWEEP = [
    pytest.param(cell, T, loss, losses, marks=pytest.mark.slow if (cell, T) == ("lstm-peephole", 2) else ())
    for cell in BUILT_IN
    for T in ((1, 2) if cell in GATED else (1, 2, 3))
    for loss in (("abstract",) if cell in GATED and T > 1 else ("abstract", "squared"))
    for losses in (("last",) if cell in GATED and T > 1 else ("all", "last"))
]


@pytest.mark.parametrize(("cell", "T", "loss", "losses"), BUILT_IN_SWEEP)
def test_the_sum_over_paths_is_sympys_diff_of_the_inlined_loss(cell: str, T: int, loss: str, losses: str) -> None:
    """For every σ and ℓ at once: they stay abstract."""
    model = unroll(cell, steps=T, loss=loss, losses=losses)
    for goal in (*model.parameters, *model.initial_states, Quantity("x", 1)):
        assert_sum_is_diff(model, goal)


@pytest.mark.parametrize("granularity", GRANULARITIES)
@pytest.mark.parametrize("name", CELLS)
def test_the_sum_over_paths_is_sympys_diff_for_cells_written_as_text(name: str, granularity: str) -> None:
    model = unroll(CELLS[name], steps=2)
    for goal in (*model.parameters, *model.initial_states):
        if name != "nasty" or goal.name == "W_h":  # SymPy needs seconds for each
            assert_sum_is_diff(model, goal, granularity)


@pytest.mark.parametrize("activation", ["tanh", "logistic", "relu", "softplus", "sin", "exp", "identity"])
@pytest.mark.parametrize("T", [1, 2, 3])
def test_the_sum_over_paths_is_sympys_diff_for_every_activation(activation: str, T: int) -> None:
    model = unroll("elman", steps=T, activation=activation, loss="squared")
    for goal in (*model.parameters, *model.initial_states):
        assert_sum_is_diff(model, goal)


@pytest.mark.slow
@pytest.mark.parametrize("T", [4, 5])
@pytest.mark.parametrize("cell", [name for name in BUILT_IN if name not in GATED])
def test_the_sum_over_paths_is_sympys_diff_further_on(cell: str, T: int) -> None:
    for activation in ("sigma", "tanh", "logistic", "relu", "softplus"):
        model = unroll(cell, steps=T, activation=activation)
        for goal in (*model.parameters, *model.initial_states):
            assert_sum_is_diff(model, goal)


def test_named_quantities_in_the_middle_are_goals_too() -> None:
    model = unroll("elman", steps=3)
    for name in ("h_1", "h_2", "h_3", "a_2", "o_1", "y_3"):
        assert_sum_is_diff(model, model.resolve(name))


# --- identities -------------------------------------------------------------------------------------------------------


def test_in_a_linear_network_the_powers_collect() -> None:
    """I9: without activations a path of lag k is a power W_h^k, and ∂h_T/∂h_0 = W_h^T."""
    model = unroll("linear", steps=4, loss="squared", losses="last")
    W_h, W_y, y, d = sp.symbols("W_h W_y y_4 d_4")
    for path in iter_paths(model, "W_x"):
        assert path.product == (y - d) * W_y * W_h**path.lag * sp.Symbol(f"x_{path.entry_step}")
    [path] = iter_paths(model, "h_0")
    assert path.product == (y - d) * W_y * W_h**4


def test_logistic_and_cross_entropy_collapse_to_y_minus_d() -> None:
    """I8, along a path: the two factors at the output are replaced by y_t − d_t."""
    model = unroll("elman", steps=2, activation="tanh", output_activation="logistic", loss="cross-entropy")
    assert [text(path) for path in iter_paths(model, "W_y")] == ["(y₂ − d₂) h₂", "(y₁ − d₁) h₁"]
    assert [text(path) for path in iter_paths(model, "b_y")] == ["y₂ − d₂", "y₁ − d₁"]
    assert text(next(iter_paths(model, "y_2"))) == "−d₂/y₂ + (1 − d₂)/(1 − y₂)"  # by y itself there is no collapse


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"loss": "squared", "output_activation": "identity"}, "y₁ − d₁"),
        ({"loss": "squared", "output_activation": "sigma"}, "(y₁ − d₁) σ′(o₁)"),
        ({"loss": "cross-entropy", "output_activation": "logistic"}, "y₁ − d₁"),
        ({"loss": "abstract", "output_activation": "sigma"}, "ℓ₁′(y₁) σ′(o₁)"),
        ({"loss": "cross-entropy", "output_activation": "tanh"}, "−(d₁/y₁) tanh′(o₁)"),
    ],
)
def test_the_derivative_at_the_output(options: dict[str, str], expected: str) -> None:
    [path] = iter_paths(unroll("elman", steps=1, **options), "b_y")
    assert text(path) == expected
