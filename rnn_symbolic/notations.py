r"""How books write the same network: notations as data, and which of their letters fit a given cell.

    article      h_t = σ(a_t),    a_t = W_h h_{t−1} + W_x x_t + b_h,    o_t = W_y h_t + b_y,    L = Σ ℓ_t
    goodfellow   h^(t) = σ(a^(t)),  a^(t) = W h^(t−1) + U x^(t) + b,    o^(t) = V h^(t) + c,    L = Σ L^(t)
    karpathy     W_hh, W_xh, W_hy;  y_t = W_hy h_t + b_y unnormalised,  p_t = σ(y_t)
    d2l          h_t = W_hx x_t + W_hh h_{t−1},    o_t = W_qh h_t,      L = (1/T) Σ l(o_t, y_t)
    pascanu      x_t = W_rec σ(x_{t−1}) + W_in u_t + b,                 E = Σ E_t

A notation changes how formulas are written in documents, and nothing else: options, files, routes and JSON keep the
article's names. The last two are about other networks than the article's, so they bring a cell (and d2l a loss) of
their own; on any other cell only letters change. A letter changes only where it means in the cell what it means in
the source, and where no other symbol of the cell is written with the new one; `letters_for` decides.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import field

from rnn_symbolic.cells import BUILT_IN, Cell, parse_cell
from rnn_symbolic.errors import InputError, suggest
from rnn_symbolic.expressions import Add, Apply, Call, Expression, Quantity, children, quantities
from rnn_symbolic.frozen import frozen
from rnn_symbolic.printing import latex_name

CellSource = str | os.PathLike[str] | Cell

DEFAULT_CELL, DEFAULT_LOSSES = "elman", "all"


@frozen
class Notation:
    r"""One way of writing.

    ``letters`` maps the article's names to LaTeX: a parameter to its whole symbol, a quantity to its letter without
    the step. ``step_loss`` and ``total_loss`` are the letters of ℓ_t and L; ``functions`` renames \sigma;
    ``steps_above`` writes h^{(t)} for h_t. ``cell`` is the built-in cell that the source derives, where it is not the
    article's, and ``losses`` how it adds up the losses. ``about`` says per language what the source does differently.
    """

    name: str
    letters: Mapping[str, str] = field(default_factory=dict)
    step_loss: str = r"\ell"
    total_loss: str = "L"
    functions: Mapping[str, str] = field(default_factory=dict)
    steps_above: bool = False
    cell: str | None = None
    losses: str | None = None
    about: Mapping[str, str] = field(default_factory=dict)


NOTATIONS: dict[str, Notation] = {
    notation.name: notation
    for notation in (
        Notation("article"),
        Notation(
            "goodfellow",
            {"W_x": "U", "W_h": "W", "W_y": "V", "b_h": "b", "b_y": "c", "y": r"\hat{y}", "d": "y"},
            step_loss="L",
            steps_above=True,
            about={
                "en": r"Formulas are written as in Goodfellow, Bengio and Courville, Deep Learning, chapter 10: "
                r"the step stands above, in parentheses, and $L^{(t)}$ is the loss of a step. The book's activation "
                r"is $\tanh$ and its output a softmax; here the model keeps its own.",
                "zh": r"公式按 Goodfellow、Bengio 和 Courville《深度学习》第 10 章的记法书写："
                r"步写在右上角的括号里，$L^{(t)}$ 是一步的损失。"
                r"书中的激活函数是 $\tanh$，输出是 softmax；这里模型保留自己的。",
            },
        ),
        Notation(
            "d2l",
            {"W_x": "W_{hx}", "W_h": "W_{hh}", "W_y": "W_{qh}", "b_y": "b_{q}", "y": "o", "d": "y"},
            step_loss="l",
            functions={r"\sigma": r"\phi"},
            cell="d2l",
            losses="mean",
            about={
                "en": r"Formulas are written as in Dive into Deep Learning, Backpropagation Through Time. That text "
                r"derives a network of its own: the activation $\phi$ is the identity, there are no biases, and the "
                r"loss is the mean over the steps, $\frac{1}{T} \sum_{t} l_{t}$.",
                "zh": r"公式按《动手学深度学习》“通过时间反向传播”一节的记法书写。该节推导的是它自己的网络："
                r"激活函数 $\phi$ 是恒等函数，没有偏置，损失是各步的平均 $\frac{1}{T} \sum_{t} l_{t}$。",
            },
        ),
        Notation(
            "karpathy",
            {"W_x": "W_{xh}", "W_h": "W_{hh}", "W_y": "W_{hy}", "o": "y", "y": "p"},
            step_loss=r"\mathrm{loss}",
            total_loss=r"\mathrm{loss}",
            about={
                "en": r"Formulas are written as in Karpathy's min-char-rnn, whose hs[t] is $h_{t}$ here: the two "
                r"letters of a weight say from where to where it leads. That program has the activation $\tanh$ and "
                r"cross-entropy on a softmax; here the model keeps its own.",
                "zh": r"公式按 Karpathy 的 min-char-rnn 的记法书写，其中的 hs[t] 即这里的 $h_{t}$："
                r"权重的两个下标字母表示从哪里到哪里。"
                r"该程序的激活函数是 $\tanh$，损失是 softmax 上的交叉熵；这里模型保留自己的。",
            },
        ),
        Notation(
            "pascanu",
            {"x": "u", "a": "x", "W_x": r"W_{\mathrm{in}}", "W_h": r"W_{\mathrm{rec}}", "b_h": "b"},
            step_loss=r"\mathcal{E}",
            total_loss=r"\mathcal{E}",
            cell="pascanu",
            about={
                "en": r"Formulas are written as in Pascanu, Mikolov and Bengio (2013), On the difficulty of training "
                r"recurrent neural networks. That paper derives a network of its own: its state is what stands "
                r"before the activation, so $\sigma$ stands inside the product, "
                r"$x_{t} = W_{\mathrm{rec}}\,\sigma(x_{t-1}) + W_{\mathrm{in}}\,u_{t} + b$, "
                r"and the loss of a step is a function of $x_{t}$.",
                "zh": r"公式按 Pascanu、Mikolov 和 Bengio（2013）论循环神经网络训练之难的论文的记法书写。"
                r"该文推导的是它自己的网络：状态是激活之前的量，因此 $\sigma$ 在乘积之内，"
                r"$x_{t} = W_{\mathrm{rec}}\,\sigma(x_{t-1}) + W_{\mathrm{in}}\,u_{t} + b$，"
                r"一步的损失是 $x_{t}$ 的函数。",
            },
        ),
    )
}


def notation_named(name: str) -> Notation:
    """The notation of that name. Raises InputError with the nearest one.

    >>> notation_named("goodfelow")
    Traceback (most recent call last):
    rnn_symbolic.errors.InputError: 'goodfelow' is not a notation: choose one of article, ... Did you mean 'goodfellow'?
    """
    if name not in NOTATIONS:
        known = ", ".join(NOTATIONS)
        raise InputError(f"{name!r} is not a notation: choose one of {known}.{suggest(name, NOTATIONS)}")
    return NOTATIONS[name]


def resolve(notation: str, cell: CellSource = DEFAULT_CELL, losses: str | None = None) -> tuple[CellSource, str]:
    """The cell and the losses that are meant: those of the notation's source, unless something else is asked for.

    ``cell`` is what the user chose, elman by default; ``losses`` is None where the user said nothing.

    >>> resolve("d2l"), resolve("d2l", "lstm"), resolve("d2l", losses="last"), resolve("karpathy")
    (('d2l', 'mean'), ('lstm', 'all'), ('d2l', 'last'), ('elman', 'all'))
    """
    known = notation_named(notation)
    if known.cell is not None and isinstance(cell, str) and cell in (DEFAULT_CELL, known.cell):
        return known.cell, losses or known.losses or DEFAULT_LOSSES
    return cell, losses or DEFAULT_LOSSES


@frozen
class Letters:
    r"""What a notation does to one cell.

    ``symbols`` maps the names that are written in another way to LaTeX (l and L are the losses), ``kept`` are the
    names that the notation would write otherwise and that stay, because here they mean something else or because the
    letter is taken. ``own`` says that the cell is the one which the notation's source derives.
    """

    notation: Notation
    cell: Cell
    symbols: Mapping[str, str]
    kept: tuple[str, ...]
    functions: Mapping[str, str]
    own: bool


def letters_for(notation: str | Notation, cell: Cell) -> Letters:
    r"""The letters of a notation that fit a cell.

    A gate called o is no output pre-activation, and b_y is not written c beside a state c:

    >>> from rnn_symbolic.cells import load_cell
    >>> letters_for("karpathy", load_cell("elman")).symbols["o"]
    'y'
    >>> letters_for("karpathy", parse_cell("o = tanh(W_h @ h[t-1] + x)\nh = o * o\ny = h")).kept
    ('o', 'y')
    """
    if isinstance(notation, str):
        notation = notation_named(notation)
    written = {name: latex_name(name) for name in (*cell.parameters, *cell.quantities, "d")}
    if cell.uses_input:
        written["x"] = "x"
    asked = {name: tex for name, tex in notation.letters.items() if name in written}
    letters = {name: tex for name, tex in asked.items() if _means_the_same(name, cell, notation)}
    # dropping one may leave another without a free letter, so this goes on until nothing coincides
    while dropped := _coinciding(written | letters) & letters.keys():
        letters = {name: tex for name, tex in letters.items() if name not in dropped}
    looks = set(map(_look, (written | letters).values()))
    losses = {"l": notation.step_loss, "L": notation.total_loss}
    return Letters(
        notation,
        cell,
        letters | {name: tex for name, tex in losses.items() if tex != latex_name(name)},
        tuple(sorted(asked.keys() - letters.keys())),
        {old: new for old, new in notation.functions.items() if _look(new) not in looks},
        _is_own(notation, cell),
    )


def _is_own(notation: Notation, cell: Cell) -> bool:
    text = BUILT_IN.get(notation.cell or "")
    return text is not None and parse_cell(text).equations == cell.equations


def _look(tex: str) -> str:
    r"""What a reader tells symbols apart by: upright or italic, W_{hh} is W_{\mathrm{hh}}."""
    return re.sub(r"\\mathrm|[{}\\]", "", tex)


def _coinciding(written: Mapping[str, str]) -> set[str]:
    """The names that are written like another; a step does not tell two letters apart."""
    looks: dict[str, list[str]] = {}
    for name, tex in written.items():
        looks.setdefault(_look(tex), []).append(name)
    return {name for names in looks.values() if len(names) > 1 for name in names}


# --- does a letter mean what it means in the sources? ---------------------------------------------------------------


def _means_the_same(name: str, cell: Cell, notation: Notation) -> bool:
    """Whether a name has in this cell the part that it has in the article's network."""
    outputs = _outputs(cell)
    match name:
        case "x" | "d":
            return True
        case "y":  # beside a letter for o, the y that is meant is what an activation makes of it
            return "o" not in notation.letters or isinstance(_equation_of(cell, "y"), Call)
        case "o":
            return "o" in outputs
        case "a":  # the state itself, with no h behind it
            return "a" in cell.states and "h" not in cell.quantities
    mentions = list(_mentions(cell, name))
    if name in ("b_h", "b_y"):
        fits = (isinstance(node, Add) and (target in outputs) == (name == "b_y") for node, target in mentions)
        return bool(mentions) and all(fits)
    weighed = [(_weighed(name, node), target in outputs) for node, target in mentions]
    if name == "W_x":
        fits = (of == {("x", 0)} for of, _ in weighed)
    elif name == "W_h":
        fits = (any(step < 0 and q != "y" for q, step in of) for of, _ in weighed)
    else:
        fits = (in_output and bool(of) and all(step == 0 for _, step in of) for of, in_output in weighed)
    return bool(mentions) and all(fits)


def _equation_of(cell: Cell, name: str) -> Expression:
    return next(e.expression for e in cell.equations if e.target.name == name)


def _outputs(cell: Cell) -> frozenset[str]:
    """y, and with y = φ(o) the pre-activation o as well, if nobody else reads it."""
    match _equation_of(cell, "y"):
        case Call(argument=Quantity(pre, 0)):
            readers = [e.target.name for e in cell.equations for q in quantities(e.expression) if q.name == pre]
            return frozenset({"y", pre}) if readers == ["y"] and pre != "x" else frozenset({"y"})
    return frozenset({"y"})


def _mentions(cell: Cell, name: str) -> Iterator[tuple[Expression, str]]:
    """The operation of which the parameter is an operand, and whose equation it is, for every mention."""
    for equation in cell.equations:
        waiting = [equation.expression]
        while waiting:
            node = waiting.pop()
            for child in children(node):
                if child == Quantity(name):
                    yield node, equation.target.name
                waiting.append(child)


def _weighed(name: str, node: Expression) -> set[tuple[str, int]]:
    """The quantities that stand right of a matrix, with their steps; none where it is no matrix."""
    if not isinstance(node, Apply) or node.left != Quantity(name):
        return set()
    return {(q.name, q.step) for q in quantities(node.right) if q.step is not None}
