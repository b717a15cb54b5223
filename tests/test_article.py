"""The article's claims: every verdict follows from evidence, and every number is derived again here, by hand."""

from __future__ import annotations

import json
import math
import random
import re
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise, product

import pytest
from latex_tools import have_katex, katex_failures, markdown_formulas, require

from rnn_symbolic.article import Claim, Fact, Method, Verdict, counted, path_claims, study_article
from rnn_symbolic.article.points import find_wrong_sign, height, of_height, smallest_rational_instance
from rnn_symbolic.errors import InputError
from rnn_symbolic.render.article_document import MEND, article_document, article_json
from rnn_symbolic.render.article_prose import ArticleProse, Show, article_prose, fill, placeholders, show
from rnn_symbolic.render.document import Box, Heading, Table
from rnn_symbolic.render.latex import document_latex
from rnn_symbolic.render.markdown import document_markdown
from rnn_symbolic.render.text import columns, document_text
from rnn_symbolic.valuation import Amount

HOLDS, CONDITIONAL, CORRECTION = Verdict.HOLDS, Verdict.CONDITIONAL, Verdict.CORRECTION

VERDICTS = {
    "forward-equations": HOLDS,
    "shared-weights": HOLDS,
    "total-loss": HOLDS,
    "state-gradient": HOLDS,
    "three-gradients": CONDITIONAL,
    "three-paths": CORRECTION,
    "three-path-sum": CORRECTION,
    "cube-and-square": CONDITIONAL,
    "weight-matrices": CORRECTION,
    "small-weight-vanishes": CONDITIONAL,
    "first-input": CONDITIONAL,
    "long-text": CONDITIONAL,
    "large-weight-explodes": CONDITIONAL,
    "activation-is-0.2": CORRECTION,
    "eighty": CONDITIONAL,
    "one-more-step": HOLDS,
    "recurrent-weight": HOLDS,
    "output-weight": CORRECTION,
}
"""In the article's order."""

QUOTES = """\
h₁ = σ(W_h · h₀ + W_x · x₁ + b_h)
y₁ = σ(W_y · h₁ + b_y)
每次传播使用的输入的权重层是同一个权重
loss1 + loss2 + loss3 =L
从L到h3 经过了
--->h_3这个路径
第一个是误差对输入层权重的导数
第二个是误差对隐藏层权重的导数
第三个是误差对预测层权重的导数
--->y3 --->h3 --->Wx
--->y3 --->h3 --->h2 --->Wx
--->y3 --->h3 --->h2 --->h1 --->Wx
再加上第三条路径的导数就是L对Wx的求导
激活函数的导数的三次方乘以隐藏层权重Wh的平方
一个词向量
权重矩阵
如果权重的值远小于1
平方后再乘以激活函数的3次方肯定已经远小于1
那么x1对L的影响就大大减小了
所有RNN不能够处理很长文本的原因
梯度爆炸是因为
如果Wh很大比如说是100
激活函数是0.2
最后的结果就是
那么就是说x1对整体的影响可以达到80这么多
如果再传递一层
就更大了
还有L对Wh的导数
L对Wy的导数都是同样推导的
""".splitlines()
"""Copied from the article, character by character."""


@pytest.fixture(scope="module")
def claims() -> dict[str, Claim]:
    return {claim.id: claim for claim in study_article()}


@pytest.fixture(scope="module")
def facts(claims):
    return {name: claim.facts for name, claim in claims.items()}


def logistic(z: float) -> float:
    return 1 / (1 + math.exp(-z))


def logistic_slope(z: float) -> float:
    return math.exp(-abs(z)) / (1 + math.exp(-abs(z))) ** 2


def tanh_slope(z: float) -> float:
    return 1 / math.cosh(z) ** 2


# --- the claims and their verdicts ---


def test_every_claim_in_the_articles_order_with_its_verdict(claims):
    assert {name: claim.verdict for name, claim in claims.items()} == VERDICTS
    assert list(claims) == list(VERDICTS)


def test_the_quotations_are_verbatim(claims):
    assert [quote for claim in claims.values() for quote in claim.quotes] == QUOTES


def test_the_study_is_deterministic():
    assert study_article() == study_article()


@pytest.mark.parametrize("seed", [1, 2, *(pytest.param(s, marks=pytest.mark.slow) for s in (3, 4, 5))])
def test_the_verdicts_do_not_depend_on_the_seed(seed):
    assert [claim.verdict for claim in study_article(seed)] == list(VERDICTS.values())


def spoiled(claim: Claim, **values: object) -> Claim:
    assert values.keys() <= claim.facts.keys()
    return replace(claim, evidence=tuple(Fact(f.name, values.get(f.name, f.value)) for f in claim.evidence))


@pytest.mark.parametrize(
    ("name", "values", "verdict"),
    [
        ("forward-equations", {"identical": 5}, CORRECTION),
        ("shared-weights", {"fewest": 1}, CORRECTION),
        ("shared-weights", {"parameters_long": 500}, CORRECTION),
        ("total-loss", {"losses": 1}, CORRECTION),
        ("state-gradient", {"to_h3": 2}, CORRECTION),
        ("state-gradient", {"whole": False}, CORRECTION),
        ("three-gradients", {"parameters": 3}, HOLDS),
        ("three-gradients", {"weights": 2}, CORRECTION),
        ("three-gradients", {"b_h_like_W_x": False}, CORRECTION),
        ("three-paths", {"paths": 3}, HOLDS),
        ("three-path-sum", {"three_is_all": True}, HOLDS),
        ("cube-and-square", {"distinct": 1, "slopes_from_loss": 3}, HOLDS),
        ("cube-and-square", {"recurrent": 3}, CORRECTION),
        ("cube-and-square", {"equal_values": False}, CORRECTION),
        ("weight-matrices", {"collects": True}, HOLDS),
        ("small-weight-vanishes", {"steep": 0.5}, HOLDS),
        ("small-weight-vanishes", {"worst": Fraction(2)}, CORRECTION),
        ("first-input", {"without": 0}, HOLDS),
        ("first-input", {"last_without": 1}, CORRECTION),
        ("long-text", {"kept": 0.5, "rotation_keeps": False}, HOLDS),
        ("long-text", {"forgotten": 1.0}, CORRECTION),
        ("large-weight-explodes", {"exploding": 5}, HOLDS),
        ("large-weight-explodes", {"scan_maximum": 0.45}, CORRECTION),
        ("large-weight-explodes", {"stationary": False}, CORRECTION),
        ("activation-is-0.2", {"literal_logistic": Fraction(80), "literal_tanh": Fraction(80)}, HOLDS),
        ("eighty", {"impossible": 0}, HOLDS),
        ("eighty", {"product": Fraction(8)}, CORRECTION),
        ("eighty", {"worst_error": 1.0}, CORRECTION),
        ("one-more-step", {"after": Fraction(79)}, CORRECTION),
        ("recurrent-weight", {"replaced": False}, CORRECTION),
        ("output-weight", {"recurrent": 2}, HOLDS),
    ],
)
def test_spoiled_evidence_changes_the_verdict(claims, name, values, verdict):
    assert spoiled(claims[name], **values).verdict is verdict


def test_with_the_last_loss_alone_the_article_is_right():
    assert path_claims.three_paths_claim("last").verdict is HOLDS
    assert path_claims.sum_claim(losses="last").verdict is HOLDS


# --- paths ---


def test_the_missing_paths(facts):
    found = {route.names for route in facts["three-paths"]["missing"]}
    assert found == {
        ("L", "l_2", "y_2", "h_2", "W_x"),
        ("L", "l_2", "y_2", "h_2", "h_1", "W_x"),
        ("L", "l_1", "y_1", "h_1", "W_x"),
    }


def test_the_number_of_paths_for_any_length(facts):
    for T, listed, paths, share in facts["three-paths"]["counts"]:
        assert (listed, paths) == (T, sum(1 for t in range(T) for _ in range(t + 1)))
        assert share == listed / paths


def test_which_identities_hold(facts):
    about = facts["three-path-sum"]
    names = ("three_is_last", "three_is_all", "six_is_all", "mend_holds")
    assert [about[name] for name in names] == [True, False, True, True]
    assert len(about["difference"]) == 3


def two_sums(point, sigma, slope):
    """∂ℓ_T/∂W_x and ∂L/∂W_x by ∂h_t = σ'(a_t)(x_t + W_h ∂h_{t−1}): forwards, without paths."""
    p = point.parameters
    h, dh, terms = point.initial["h", 0], 0, []
    for x, d in zip(point.x, point.d, strict=True):
        a = p["W_h"] * h + p["W_x"] * x + p["b_h"]
        h, dh = sigma(a), slope(a) * (x + p["W_h"] * dh)
        o = p["W_y"] * h + p["b_y"]
        terms.append((sigma(o) - d) * slope(o) * p["W_y"] * dh)
    return terms[-1], sum(terms)


@pytest.mark.parametrize("seed", range(4))
def test_the_wrong_sign_at_ordinary_numbers(seed):
    found = find_wrong_sign(seed)
    last, total = two_sums(found.point, math.tanh, tanh_slope)
    assert found.three == pytest.approx(last, rel=1e-12)
    assert found.gradient == pytest.approx(total, rel=1e-12)
    assert found.confirmed == pytest.approx(total, rel=1e-12)
    assert sum(found.paths) == pytest.approx(total, rel=1e-12)
    assert last * total < 0 and min(abs(last), abs(total)) > 0.05
    assert 0 < found.opposite < found.tried
    assert all(0.3 <= abs(v) <= 1.5 for v in (*found.point.parameters.values(), *found.point.x))


INSTANCES = {"fraction": False, "whole": True}


@pytest.mark.parametrize("name", INSTANCES)
def test_the_exact_instance(facts, name):
    about, instance = facts["three-path-sum"], smallest_rational_instance(whole=INSTANCES[name])
    point = about[f"{name}_point"]
    last, total = two_sums(point, lambda z: z * z, lambda z: 2 * z)
    assert (about[f"{name}_three"], about[f"{name}_gradient"]) == (last, total) == (instance.three, instance.gradient)
    assert isinstance(last, Fraction) and last * total < 0
    worth = [row[2] for row in about[f"{name}_paths"]]
    assert len(worth) == 6 and 0 not in worth and sum(worth[:3]) == last and sum(worth) == total
    assert [math.prod(row, start=Fraction(1)) for row in instance.factors] == worth
    numbers = [*(point.parameters[n] for n in ("W_x", "W_h", "W_y")), *point.x, *point.d]
    assert sum(map(height, numbers)) == about[f"{name}_size"]


@pytest.mark.parametrize("name", INSTANCES)
def test_the_forward_pass_of_the_instance_by_hand(facts, name):
    point, h = facts["three-path-sum"][f"{name}_point"], Fraction(0)
    W_x, W_h, W_y = (point.parameters[n] for n in ("W_x", "W_h", "W_y"))
    for t, a, h_t, o, y, error in facts["three-path-sum"][f"{name}_forward"]:
        assert a == W_h * h + W_x * point.x[t - 1]
        h = a * a
        assert (h_t, o, y, error) == (h, W_y * h, (W_y * h) ** 2, (W_y * h) ** 2 - point.d[t - 1])


@pytest.mark.parametrize(("whole", "size"), [(False, 7), (True, 10)])
def test_no_smaller_instance_exists(whole, size):
    """All points of smaller size, every sign included."""
    assert smallest_rational_instance(whole=whole).size == size

    def tuples(n: int, length: int, low: int):
        if length == 0:
            yield from [()] if n == 0 else []
            return
        for first in range(low, n - low * (length - 1) + 1):
            for value in of_height(first, whole):
                yield from ((value, *rest) for rest in tuples(n - first, length - 1, low))

    number = int if whole else Fraction
    targets = {n: [tuple(map(number, d)) for d in tuples(n, 3, 0)] for n in range(size - 6)}
    tried = 0
    for weight_size in range(6, size):
        for numbers in tuples(weight_size, 6, 1):
            W_x, W_h, W_y, *xs = map(number, numbers)
            h = dh = 0
            outputs = []
            for x in xs:
                a = W_h * h + W_x * x
                h, dh = a * a, 2 * a * (x + W_h * dh)
                outputs.append((W_y * W_y * h * h, 2 * W_y * W_y * h * dh, a))
            if any(a == 0 for _, _, a in outputs):
                continue
            for d in (d for n in range(size - weight_size) for d in targets[n]):
                errors = [y - target for (y, _, _), target in zip(outputs, d, strict=True)]
                terms = [e * slope for e, (_, slope, _) in zip(errors, outputs, strict=True)]
                tried += 1
                assert 0 in errors or terms[2] * sum(terms) >= 0
    assert tried


# --- the factor ---


def test_the_factor_and_what_hides_behind_it(facts):
    about = facts["cube-and-square"]
    assert about["factor"].latex == r"\sigma'(a_{3})\,W_{h}\,\sigma'(a_{2})\,W_{h}\,\sigma'(a_{1})"
    assert (about["slopes_after_h3"], about["slopes_from_loss"]) == (3, 4)
    assert (about["recurrent"], about["output_weights"]) == (2, 1)
    values = [value for _, value in about["slopes"]]
    assert about["product"] == pytest.approx(math.prod(values)) == pytest.approx(about["typical"] ** 3)


def test_the_matrices_in_numpy(facts):
    import numpy as np

    W = np.array([[1, 2], [3, 4]])
    h, masks = np.zeros(2), []
    for x in ([1, -1], [-2, 0], [0, -13]):
        a = W @ h + x
        masks.append(np.diag((a > 0).astype(int)))
        h = np.maximum(a, 0)
    D1, D2, D3 = masks
    ordered, D = D3 @ W @ D2 @ W @ D1, D3 @ D2 @ D1
    assert ordered.tolist() == [[6, 0], [0, 0]]
    assert not any(np.array_equal(ordered, form) for form in (D @ W @ W, W @ D @ W, W @ W @ D))
    shown = [row[1].latex for row in facts["weight-matrices"]["products"]]
    assert shown[0] == r"((6,\, 0),\; (0,\, 0))" and shown[0] not in shown[1:]
    assert facts["weight-matrices"]["masks"].latex.count("diag") == 3


# --- vanishing ---


def test_the_suprema_by_a_scan(facts):
    grid = [k / 100 for k in range(-3000, 3001)]
    slopes = {"logistic": logistic_slope, "tanh": tanh_slope, "softplus": logistic}
    for name, gamma, threshold, bound, measured in facts["small-weight-vanishes"]["rows"]:
        function = slopes.get(name.latex.strip("\\").removeprefix("operatorname{").rstrip("}"))
        if function:
            assert max(map(function, grid)) == pytest.approx(float(gamma), abs=1e-9)
        assert threshold * gamma == 1 and bound == gamma**3 / 100
        assert 0 < measured.value <= bound * (1 + 1e-12)


def test_an_activation_without_a_bound_defeats_a_small_weight(facts):
    h, factor = 0.0, 1.0
    for _ in range(3):
        h = math.exp(0.1 * h + 2)
        factor *= h
    assert facts["small-weight-vanishes"]["steep"] == pytest.approx(factor * 0.1**2) and factor * 0.1**2 > 1


def test_the_share_of_the_first_input(facts):
    x, d, W_h = (1.0, 0.5, 2.0), (0.3, 0.6, 0.9), 0.1
    h, dh, terms = 0.0, 1.0, []
    for t in range(3):
        a = W_h * h + x[t]
        dh = logistic_slope(a) * (dh if t == 0 else W_h * dh)
        h = logistic(a)
        y = logistic(h)
        terms.append((y - d[t]) * logistic_slope(h) * dh)
    found = {name.latex: value for name, _, value, _ in facts["first-input"]["shares"]}
    assert [found[rf"\ell_{{{t}}}"] for t in (1, 2, 3)] == pytest.approx(terms, rel=1e-12)
    assert facts["first-input"]["direct_share"] == pytest.approx(100 * abs(terms[0]) / sum(map(abs, terms)))


def test_long_lags(facts):
    rng = random.Random(0)
    x = [round(rng.uniform(0.2, 1.0), 3) for _ in range(101)]
    h, log = 0.0, 0.0
    for t, value in enumerate(x):
        a = h + value
        log += math.log10(logistic_slope(a)) if t else 0.0
        h = logistic(a)
    rows = {(name.latex, W_h): back for name, W_h, _, back in facts["long-text"]["rows"]}
    assert rows[r"\operatorname{logistic}", 1.0].log10 == pytest.approx(log, rel=1e-12)
    assert rows[r"\operatorname{id}", 0.99].value == pytest.approx(0.99**100)
    assert rows[r"\operatorname{id}", 1.0].value == rows[r"\operatorname{relu}", 1.0].value == 1
    assert facts["long-text"]["bound_value"] == pytest.approx(0.25**100)


# --- W_h = 100 ---


def test_one_weight_five_verdicts(facts):
    rows = {row[0].code: row for row in facts["large-weight-explodes"]["rows"]}
    verdicts = {code: row[-1].code for code, row in rows.items()}
    assert verdicts == {
        "relu-ordinary": "explodes",
        "tanh-origin": "explodes",
        "tanh-ordinary": "vanishes",
        "logistic-ordinary": "vanishes",
        "logistic-fixed-point": "explodes",
    }
    assert rows["relu-ordinary"][2].value == rows["tanh-origin"][2].value == 10_000

    def log10_factor(sigma, log_slope):
        h, total = 0.0, 4.0
        for x in (1.0, 0.5, 2.0):
            a = 100 * h + x
            h, total = sigma(a), total + log_slope(a) / math.log(10)
        return total

    by_hand = {
        "tanh-ordinary": log10_factor(math.tanh, lambda a: math.log(4) - 2 * a - 2 * math.log1p(math.exp(-2 * a))),
        "logistic-ordinary": log10_factor(logistic, lambda a: -a - 2 * math.log1p(math.exp(-a))),
    }
    for code, log10 in by_hand.items():
        assert rows[code][2].log10 == pytest.approx(log10, rel=1e-12) and log10 < -70


def test_the_unstable_fixed_point(facts):
    h = facts["large-weight-explodes"]["fixed_point"]
    assert h == pytest.approx(logistic(-100 * h), rel=1e-12) and 0.033 < h < 0.034
    assert facts["large-weight-explodes"]["fixed_step"] == pytest.approx(-100 * h * (1 - h), rel=1e-9)


@pytest.mark.parametrize(
    ("row", "slope", "condition"),
    [(0, logistic_slope, lambda u: u * math.tanh(u / 2)), (1, tanh_slope, lambda u: 2 * u * math.tanh(u))],
)
def test_the_maximum_by_a_scan(facts, row, slope, condition):
    _, _, root, maximum = facts["large-weight-explodes"]["maxima"][row]
    assert condition(root) == pytest.approx(1, abs=1e-14)
    assert maximum == pytest.approx(root * slope(root), rel=1e-14)
    for y in (0.5, 0.8, 2.0):  # at each fixed state
        best = max(slope(w * y) * w for w in (k / 1000 for k in range(1, 20_000)))
        assert best <= maximum / y * (1 + 1e-12) and best == pytest.approx(maximum / y, rel=1e-5)


def test_the_saturation_bound_as_stated(facts):
    about = facts["large-weight-explodes"]
    assert about["maximum_logistic"] == pytest.approx(0.223871602347151, abs=1e-15)
    assert about["bound"] == pytest.approx(0.447743204694, abs=1e-12)
    assert 0.99 * about["bound"] < about["scan_maximum"] < about["bound"]


# --- 80 ---


def test_sigma_taken_literally(facts):
    about = facts["activation-is-0.2"]
    assert (about["literal_logistic"], about["literal_tanh"]) == (Fraction("40.96"), Fraction("8847.36"))
    assert about["meant"] == 80


def test_where_the_slope_is_a_fifth(facts):
    rows = {row[0].latex: [float(v) for v in row[3].latex.split(r",\;") if v] for row in facts["eighty"]["preimages"]}
    assert rows[r"\operatorname{logistic}"] == pytest.approx(
        [math.log((3 + 5**0.5) / 2), -math.log((3 + 5**0.5) / 2)], 1e-5
    )
    assert rows[r"\tanh"] == pytest.approx([math.log(2 + 5**0.5), -math.log(2 + 5**0.5)], 1e-5)
    assert rows[r"\operatorname{relu}"] == rows[r"\operatorname{id}"] == []
    assert r"-\ln\left(4\right)" in {row[2].latex for row in facts["eighty"]["preimages"]}
    for name, slope in ((r"\operatorname{logistic}", logistic_slope), (r"\tanh", tanh_slope)):
        above = [slope(k / 100) > 0.2 for k in range(-1000, 1001)]
        assert sum(a != b for a, b in pairwise(above)) == len(rows[name])


ACTIVATIONS = {
    "logistic": (logistic, logistic_slope, 0.9624236501192069),
    "tanh": (math.tanh, tanh_slope, 1.4436354751788103),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_all_eight_triples_give_eighty_and_lose_it(facts, name):
    sigma, slope, point = ACTIVATIONS[name]

    def factor(inputs):
        h, found = 0.0, 100.0**2
        for x in inputs:
            a = 100 * h + x
            h, found = sigma(a), found * slope(a)
        return found

    rows = {tuple(row[0].latex.split()): row for row in facts["eighty"][name]}
    assert len(rows) == 8
    for signs in product("+-", repeat=3):
        h, inputs = 0.0, []
        for sign in signs:
            a = point if sign == "+" else -point
            inputs.append(a - 100 * h)
            h = sigma(a)
        row = rows[signs]
        assert row[1:4] == tuple(round(x, 4) for x in inputs)
        assert row[4] == pytest.approx(80, abs=1e-8) and factor(inputs) == pytest.approx(80, abs=1e-8)
        down, up = (factor([inputs[0], inputs[1] + move, inputs[2]]) for move in (-0.1, 0.1))
        assert row[5:] == pytest.approx((down, up), rel=1e-8)
        assert min(down, up) < 20  # what tuning means


def test_one_more_step(facts):
    assert (facts["one-more-step"]["before"], facts["one-more-step"]["after"]) == (80, 1600)
    assert facts["one-more-step"]["sequences"] == 2 * 2**4


# --- the other parameters ---


def test_the_other_weights_and_the_biases(facts):
    about = facts["recurrent-weight"]
    assert (about["paths"], about["through_h0"], about["left"]) == (6, 3, 3)
    about = facts["output-weight"]
    assert (about["paths"], about["of_last"], about["recurrent"]) == (3, 1, 0)
    about = facts["three-gradients"]
    assert (about["parameters"], about["to_b_h"], about["to_b_y"]) == (5, 6, 3)


# --- prose ---

LANGUAGES = ("en", "zh")


def templates(words: ArticleProse) -> dict[str, list[str]]:
    """Every template, by what it belongs to."""
    found = {
        name: [c.title, c.says, c.statement, *(i for i in c.evidence if isinstance(i, str))]
        for name, c in words.claims.items()
    }
    found["introduction"] = list(words.introduction)
    found["conventions"] = list(words.conventions)
    found["checked"] = list(words.checked)
    found["letter"] = [*words.letter, words.letter_end]
    found |= {f"erratum of {e.claim}": [e.place, e.printed, e.should_read] for e in words.errata}
    found["slips"] = list(words.slips)
    return found


def test_both_languages_are_complete_and_say_the_same(claims):
    english, chinese = map(article_prose, LANGUAGES)
    assert list(english.claims) == list(chinese.claims) == list(claims)
    assert [e.claim for e in english.errata] == [e.claim for e in chinese.errata]
    assert {e.claim for e in english.errata} == {name for name, v in VERDICTS.items() if v is not HOLDS}
    assert english.words.keys() == chinese.words.keys()
    assert english.verdicts.keys() == chinese.verdicts.keys() == set(Verdict)
    ours, theirs = templates(english), templates(chinese)
    assert ours.keys() == theirs.keys() and len(english.slips) == len(chinese.slips)
    assert len(english.conventions) == len(chinese.conventions) and len(english.checked) == len(chinese.checked)
    for name in ours:
        used = [{p for t in found[name] for p in placeholders(t)} for found in (ours, theirs)]
        assert used[0] == used[1], name
    for name in english.claims:
        shown = [[i for i in w.claims[name].evidence if isinstance(i, Show)] for w in (english, chinese)]
        assert [(i.fact, len(i.header), i.digits) for i in shown[0]] == [
            (i.fact, len(i.header), i.digits) for i in shown[1]
        ]


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_result_is_typed_into_the_prose(language):
    """Digits are the article's own, indices, or placeholders; number words beyond three do not occur."""
    allowed = {"0", "1", "2", "3", "0.2", "80", "100"}
    for name, found in templates(article_prose(language)).items():
        for template in found:
            rest = re.sub("|".join(map(re.escape, placeholders(template))) or "(?!)", "", template)
            rest = re.sub(r"[_^]\{?[a-z0-9+=-]*\}?", "", rest)
            assert set(re.findall(r"\d+(?:\.\d+)?", rest)) <= allowed, (name, template)
            assert not re.search(r"(?i)\b(four|five|six|seven|eight|nine|ten|eleven|twelve|half|twice)\b", rest) or (
                name == "one-more-step"
            ), (name, template)
            assert not re.search(r"[四五六七八九十]", rest), (name, template)


@pytest.mark.parametrize("language", LANGUAGES)
def test_formulas_hold_no_chinese_and_balance(language):
    for name, found in templates(article_prose(language)).items():
        for template in found:
            pieces = template.split("$")
            assert len(pieces) % 2 == 1, (name, template)
            assert not any(re.search(r"[\u3000-\u9fff\uff00-\uffef]", piece) for piece in pieces[1::2]), (
                name,
                template,
            )


def test_the_chinese_review_quotes_the_article_itself():
    said = article_prose("zh").claims
    for claim in study_article():
        for quote in claim.quotes:
            if "₁" not in quote and "--->" not in quote:
                assert quote in said[claim.id].says


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_document(claims, language):
    document = article_document(tuple(claims.values()), language)
    headings = [block.text for block in document.blocks if isinstance(block, Heading)]
    assert [h.split(".")[0] for h in headings[:-2]] == [str(n) for n in range(1, len(claims) + 1)]
    errata = [block for block in document.blocks if isinstance(block, Table)][-1]
    assert len(errata.rows) == sum(verdict is not HOLDS for verdict in VERDICTS.values())
    text = document_text(document)
    assert not re.search(r"[«»$\\{}]", text)
    assert max(columns(line) for line in text.splitlines()) <= 100
    for result in ("−2187/8192", "30965/8192", "40.96", "8847.36", "0.447743204694", "1.54340463841821", "500500"):
        assert result in text
    if language == "en":
        assert not re.search(r"[\u3000-\u9fff]", text + document_latex(document))


@pytest.mark.parametrize("language", LANGUAGES)
def test_it_begins_with_the_conventions_and_says_before_the_letter_what_was_checked(claims, language):
    blocks, words = article_document(tuple(claims.values()), language).blocks, article_prose(language)
    boxes = {block.title: i for i, block in enumerate(blocks) if isinstance(block, Box)}
    letter = next(i for i, b in enumerate(blocks) if isinstance(b, Heading) and b.text == words.letter_title)
    assert boxes == {words.conventions_title: 0, words.checked_title: letter - 1}


def test_what_was_checked_is_counted_from_the_evidence(claims):
    everything = tuple(claims.values())
    # six equations; three-path-sum: one of four refuted; and eight further questions
    assert counted(everything, Method.EXPANDED)[1:] == (6 + 4 + 8, 6 + 3 + 8)
    assert counted(everything, Method.SIMPLIFIED)[1:] == (3 + 2, 3 + 2)
    # γ bounds, networks, 80, 1600; one complex step, two exact points, one pair of matrices
    assert counted(everything, Method.RUN)[1:] == (4 + 5 + 16 + 32 + 4,) * 2
    searches, tried, _ = counted(everything, Method.SEARCHED)
    about = claims["three-path-sum"].facts
    weights = claims["large-weight-explodes"].facts["scanned"]
    assert (searches, tried) == (4, about["tried"] + about["fraction_tried"] + about["whole_tried"] + weights)
    spoilt = [spoiled(c, reached=7) if c.id == "eighty" else c for c in everything]
    assert article_json(spoilt)["checked"]["agreeing"] == article_json(everything)["checked"]["agreeing"] - 9
    spoilt = [spoiled(c, whole=False) if c.id == "output-weight" else c for c in everything]
    assert article_json(spoilt)["checked"]["nonzero"] == 2


def test_some_exploding_network_has_a_negative_weight(claims):
    """So the words must say |W_h| = 100."""
    rows = claims["large-weight-explodes"].facts["rows"]
    assert {abs(row[1]) for row in rows} == {100} and {row[1] for row in rows if row[-1].code == "explodes"} == {
        100,
        -100,
    }
    for language in LANGUAGES:
        words = article_prose(language)
        erratum = next(e.should_read for e in words.errata if e.claim == "large-weight-explodes")
        for text in (erratum, words.claims["large-weight-explodes"].statement):
            assert r"$\lvert{W_{h}}\rvert = 100$" in text


@pytest.mark.parametrize("language", LANGUAGES)
def test_katex_accepts_every_formula(claims, language):
    require(have_katex(), "KaTeX is not installed: make katex")
    markdown = document_markdown(article_document(tuple(claims.values()), language))
    formulas = [(f"{i}", latex, display) for i, (latex, display) in enumerate(markdown_formulas(markdown))]
    assert len(formulas) > 300
    assert katex_failures(formulas) == []


def test_an_erratum_disappears_with_its_error(claims):
    mended = [
        spoiled(c, paths=3)
        if c.id == "three-paths"
        else spoiled(c, three_is_all=True)
        if c.id == "three-path-sum"
        else c
        for c in claims.values()
    ]
    assert len(article_json(mended)["errata"]) == len(article_json(tuple(claims.values()))["errata"]) - 2


def test_a_missing_fact_is_not_glossed_over(claims):
    with pytest.raises(KeyError):
        fill("$«nothing»$", {}, claims, {})
    with pytest.raises(InputError, match="choose one of en, zh"):
        article_prose("fr")


@pytest.mark.parametrize(
    ("value", "tex"),
    [
        (7, "7"),
        (Fraction(-1, 3), r"-\tfrac{1}{3}"),
        (0.5, "0.5"),
        (-1.25e-9, r"-1.25 \times 10^{-9}"),
        (Amount(-0.0, -400.5, -1), r"-3.16 \times 10^{-401}"),
        (Amount(0.0, -math.inf, 0), "0"),
        ((0.5, 2), r"0.5,\; 2"),
    ],
)
def test_numbers_as_latex(value, tex):
    assert show(value) == tex


def test_decimals_are_exact_or_refused():
    assert show(Fraction(1, 5), decimal=True) == "0.2"
    with pytest.raises(ValueError, match="no short decimal"):
        show(Fraction(1, 3), decimal=True)
    with pytest.raises(TypeError):
        show(True)


# --- JSON ---


def test_json_keeps_its_contract(claims):
    found = {language: article_json(tuple(claims.values()), language) for language in LANGUAGES}
    english, chinese = found["en"], found["zh"]
    assert english["schema_version"] == 1
    for entry in english["claims"]:
        assert {"id", "claim", "verdict", "statement", "evidence"} <= entry.keys()
        assert entry["verdict"] in ("holds", "holds under a condition", "needs correction")
        assert entry["evidence"] and "$" not in entry["claim"] + entry["statement"]
    for key in ("id", "verdict", "evidence", "quote"):
        assert [c[key] for c in english["claims"]] == [c[key] for c in chinese["claims"]]
    assert english.keys() == chinese.keys()
    assert [c.keys() for c in english["claims"]] == [c.keys() for c in chinese["claims"]]
    assert json.loads(json.dumps(english, allow_nan=False)) == english
    assert len(english["mend"]) == len(MEND) == 2


def test_a_point_in_json_is_a_values_file(claims):
    entries = {c["id"]: c for c in article_json(tuple(claims.values()))["claims"]}
    evidence = {fact["name"]: fact["value"] for fact in entries["three-path-sum"]["evidence"]}
    assert set(evidence["point"]) == {"W_x", "W_h", "W_y", "b_h", "b_y", "h_0", "x", "d"}
    assert evidence["fraction_point"]["x"] == [1.0, -0.5, -1.0]
    assert evidence["fraction_three"] == "-2187/8192" and evidence["whole_three"] == -28
