"""The words of tables, one table per language."""

from __future__ import annotations

import math
from collections.abc import Mapping

from rnn_symbolic.errors import InputError

CODE_TARGETS = {"numpy": "NumPy", "c": "C", "jax": "JAX", "torch": "PyTorch"}
"""What the targets of compiled code are called."""

TABLE_WORDS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "paths-title": "Paths from $L$ to <goal>",
        "paths-count": "There are <count> paths from $L$ to <goal> (<cell>, $T = <T>$).",
        "paths-count-one": "There is one path from $L$ to <goal> (<cell>, $T = <T>$).",
        "paths-top": "The <shown> largest of <count> paths.",
        "paths-none": "No path leads from $L$ to <goal>: the derivative is 0.",
        "total": "The sum over all paths, <derivative>, is <value>.",
        "total-norm": "The sum over all paths, <derivative>, has the Frobenius norm <norm>.",
        "total-array": "The sum over all paths, <derivative>, is <value>; its Frobenius norm is <norm>.",
        "route": "route",
        "product": "product",
        "block": "block",
        "blocks-named": "The blocks that these products are made of, at a generic step:",
        "product-gradient": "Each product is a term of the gradient by <goal>, in its shape: the transposed product along the route, so it reads against the route.",
        "product-jacobian": "Each product is a term of the derivative by <goal> in numerator layout: it has the order of the route; by a matrix, what the matrix is applied to stands in front.",
        "blocks-once": "The product along a path is that of the blocks between its nodes, in the order of the route; each block, at a generic step:",
        "loss": "loss step",
        "entry": "entry step",
        "lag": "lag",
        "count": "paths",
        "value": "value",
        "norm": "Frobenius norm",
        "log10": "log10",
        "sign": "sign",
        "jacobian-title": "The state Jacobian <name>",
        "jacobian-count": "The Jacobian of <cell> over <lag> steps sums up <count> elementary paths, an edge for each ordered pair of named quantities.",
        "gradient-title": "Gradients",
        "point": "Loss $L$ = <loss>.",
        "point-sizes": "Loss $L$ = <loss>. Sizes: <sizes>.",
        "batch": "a batch of <number>",
        "quantity": "quantity",
        "shape": "shape",
        "largest": "largest entry",
        "place": "<value> at <place>",
        "entries": "Arrays of at most <number> entries, row by row:",
        "gradient": "gradient",
        "check-title": "Symbolic against numeric gradients",
        "at": "at",
        "method": "method",
        "symbolic": "symbolic",
        "numeric": "numeric",
        "error": "error",
        "tolerance": "tolerance",
        "status": "status",
        "passed": "passed",
        "failed": "FAILED",
        "inconclusive": "inconclusive",
        "all-passed": "All passed.",
        "not-passed": "<failed> failed, <inconclusive> inconclusive, <passed> passed.",
        "complex step": "complex step",
        **{
            f"{target} code, {by}": f"{name} code, {by}"
            for target, name in CODE_TARGETS.items()
            for by in ("sum over paths", "complex step")
        },
        "Richardson": "Richardson",
        "where": "where",
        "direction": "direction <number>",
        "note": "<wrt>, <method>: <note>",
    },
    "zh": {
        "paths-title": "从 $L$ 到 <goal> 的路径",
        "paths-count": "从 $L$ 到 <goal> 共有 <count> 条路径（<cell>，$T = <T>$）。",
        "paths-count-one": "从 $L$ 到 <goal> 只有一条路径（<cell>，$T = <T>$）。",
        "paths-top": "<count> 条路径中最大的 <shown> 条。",
        "paths-none": "没有从 $L$ 到 <goal> 的路径：导数为 0。",
        "total": "全部路径之和 <derivative> 等于 <value>。",
        "total-norm": "全部路径之和 <derivative> 的 Frobenius 范数为 <norm>。",
        "total-array": "全部路径之和 <derivative> 等于 <value>，其 Frobenius 范数为 <norm>。",
        "route": "路线",
        "product": "乘积",
        "block": "块",
        "blocks-named": "这些乘积由下列各块组成，写在一般的时间步上：",
        "product-gradient": "每个乘积是对 <goal> 的梯度中的一项，与它同形：它是沿路线的乘积的转置，所以要逆着路线读。",
        "product-jacobian": "每个乘积是按分子布局对 <goal> 求导所得的一项，次序与路线一致；对矩阵求导时，矩阵所作用的量写在最前。",
        "blocks-once": "路径上的乘积就是相邻两点之间各块按路线次序的乘积；每个块在一般的时间步上写一次：",
        "loss": "损失步",
        "entry": "进入步",
        "lag": "滞后",
        "count": "路径数",
        "value": "值",
        "norm": "Frobenius 范数",
        "log10": "log10",
        "sign": "符号",
        "jacobian-title": "状态雅可比矩阵 <name>",
        "jacobian-count": "<cell> 跨 <lag> 步的雅可比矩阵是 <count> 条基本路径之和；每一对有直接依赖关系的量算一条边。",
        "gradient-title": "梯度",
        "point": "损失 $L$ = <loss>。",
        "point-sizes": "损失 $L$ = <loss>。各维大小：<sizes>。",
        "batch": "批量大小 <number>",
        "quantity": "量",
        "shape": "形状",
        "largest": "绝对值最大的元素",
        "place": "<value>，位于 <place>",
        "entries": "元素不超过 <number> 个的数组，逐行列出：",
        "gradient": "梯度",
        "check-title": "符号梯度与数值梯度",
        "at": "取值点",
        "method": "方法",
        "symbolic": "符号值",
        "numeric": "数值",
        "error": "误差",
        "tolerance": "容许误差",
        "status": "结论",
        "passed": "通过",
        "failed": "未通过",
        "inconclusive": "无法判定",
        "all-passed": "全部通过。",
        "not-passed": "<failed> 项未通过，<inconclusive> 项无法判定，<passed> 项通过。",
        "complex step": "复数步长",
        **{
            f"{target} code, {by}": f"{name} 代码，{said}"
            for target, name in CODE_TARGETS.items()
            for by, said in (("sum over paths", "路径之和"), ("complex step", "复数步长"))
        },
        "Richardson": "Richardson 外推",
        "where": "位置",
        "direction": "方向 <number>",
        "note": "<wrt>，<method>：<note>",
    },
}


def say(language: str, key: str, **values: object) -> str:
    """A phrase in a language, with its <placeholders> filled."""
    if language not in TABLE_WORDS:
        raise InputError(f"{language!r} is not a language of this program: choose one of {', '.join(TABLE_WORDS)}")
    text = TABLE_WORDS[language][key]
    for name, value in values.items():
        assert f"<{name}>" in text, (key, name)
        text = text.replace(f"<{name}>", str(value))
    return text


def number(value: float, digits: int = 10) -> str:
    """A number in a table: ten significant digits, the exact ones are in the JSON.

    >>> number(0.1 + 0.2), number(-1.5e-300), number(-0.0)
    ('0.3', '-1.5e-300', '0')
    """
    return f"{value + 0.0:.{digits}g}"  # −0 + 0 is 0


def count_text(count: int) -> str:
    r"""A number of paths: exact while that is readable, the exact one is in the JSON.

    >>> count_text(50_005_000), count_text(2**10_000)
    ('50,005,000', '$\\approx 1.995 \\cdot 10^{3010}$')
    """
    if count < 10**18:
        return f"{count:,}"
    exponent = math.floor(math.log10(count))
    mantissa = 10 ** (math.log10(count) - exponent)
    return rf"$\approx {mantissa:.3f} \cdot 10^{{{exponent}}}$"
