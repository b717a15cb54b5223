"""What a reader must know before the first formula: conventions, functions, the loss, the highway of a cell."""

from __future__ import annotations

from collections.abc import Iterator

from rnn_symbolic.blocks import highways, is_weighted
from rnn_symbolic.expressions import ONE, Blocks, Call, Expression, Identity, Quantity, walk
from rnn_symbolic.forms import with_index
from rnn_symbolic.functions import FUNCTIONS, LOSS_ONLY, MATRIX_ONLY, slope
from rnn_symbolic.graph import state_blocks
from rnn_symbolic.model import Model
from rnn_symbolic.printing import latex, latex_factor, latex_name
from rnn_symbolic.render.prose import Prose
from rnn_symbolic.sections import ELIDE_ABOVE, MAX_ALTERNATIVES, Plan


def conventions(plan: Plan, words: Prose, layout: str, *, of_loss: bool = True) -> tuple[str, ...]:
    """What a reader must know before the first formula; ``of_loss`` says what is about the loss and its gradients."""
    model, whole = plan.model, plan.whole
    if model.form == "matrix":
        items = [*_matrix_conventions(model, words, plan.layout if of_loss else ""), words.say("partials")]
    else:
        items = [words.say("scalar", layout=words.say(f"layout-{layout}")), words.say("partials")]
    if plan.granularity == "step" and model.cell.states:
        items.append(_joint_convention(model, words))
    items += _activations(model, words)
    if not of_loss:
        return tuple(items)
    if model.loss in ("cross-entropy", "cell"):
        items.append(words.say(f"loss-{model.loss}", formula=latex(model.definitions[-1].expression)))
    else:
        items.append(words.say(f"loss-{model.loss}{'-matrix' if model.form == 'matrix' else ''}"))
    if model.collapse is not None and model.collapse.output == "softmax":
        items.append(words.say("target-sum"))
    items.append(words.say(f"losses-{model.losses}"))
    items.append(words.say("lag"))
    if model.steps > ELIDE_ABOVE and not whole:
        items.append(words.say("elision", most=MAX_ALTERNATIVES))
    return tuple(items)


def _matrix_conventions(model: Model, words: Prose, layout: str) -> list[str]:
    assert model.shapes is not None
    unused = {"d"} if model.loss == "abstract" else set()
    grouped: dict[tuple[str, ...], list[str]] = {}
    for name in dict.fromkeys((*map(str, model.parameters), *model.names)):
        if name not in unused:
            grouped.setdefault(model.names[name], []).append(f"${latex_name(name)}$")
    pieces = (f"{', '.join(names)}: ${_shape_latex(shape)}$" for shape, names in grouped.items())
    listed = "; ".join(pieces)
    of_gradients = [words.say(f"matrix-{layout}"), words.say("matrix-vec")] if layout else []
    sizes = words.say("matrix-sizes", shapes=listed)
    return [words.say("matrix"), *of_gradients, words.say("matrix-elementwise"), sizes]


def _shape_latex(shape: tuple[str, ...]) -> str:
    return r" \times ".join(map(latex_name, shape)) or "1"


def _joint_convention(model: Model, words: Prose) -> str:
    blocks = state_blocks(model)
    states, joint = blocks.states, blocks.joint
    further = [lag for lag in blocks.lags(joint) if lag > 1]
    more = words.say("immediate-blocks", block=latex(blocks.name(joint, joint, further[0]))) if further else ""
    if len(states) == 1:
        return words.say("single-joint", block=latex(blocks.name(joint, joint, 1))) + more
    column = Blocks(tuple((Quantity(state, 0, "t"),) for state in states))
    text = words.say(
        "joint",
        joint=f"{latex(Quantity(joint, 0, 't'))} = {latex(column)}",
        block=latex(blocks.name(states[-1], states[0], 1)),
        loss=latex(blocks.name("l", joint, 0)),
    )
    return text + more


def highway_texts(model: Model, words: Prose) -> list[str]:
    """What leads from a state to itself without a weight: Π diag(f_j), or the identity of a skip."""
    found = highways(state_blocks(model))
    texts = []
    for block, way in found:
        name = latex(block.name)
        if way == ONE or isinstance(way, Identity):
            texts.append(words.say("highway-identity", block=name, way=latex(way)))
            continue
        inner = latex_factor(with_index(way))
        product = rf"\prod_{{j=s+1}}^{{t}} {inner}"
        text = words.say("highway", block=name, way=latex(way), product=product)
        weighted = [other for other, _ in block.ways if is_weighted(other, model.cell.scalars)]
        if weighted and len(weighted) + 1 == len(block.ways):
            text += words.say("highway-others")
        texts.append(text)
    return texts or [words.say("no-highway")]


def _activations(model: Model, words: Prose) -> list[str]:
    """The functions that the model uses, each with its derivative; what stands for σ is called the activation."""
    items: list[str] = []
    listed = model.definitions if model.loss == "cell" else model.definitions[:-1]  # the other losses say their slope
    used = {name for equation in listed for name in _functions(equation.expression)}
    in_hidden, in_output = (
        any((e.target.name == "y") is output and "sigma" in _functions(e.expression) for e in model.cell.equations)
        for output in (False, True)
    )
    if "sigma" in used:
        a, h = next(_sigma_of_a_name(model), ("z", r"\sigma(z)"))
        items.append(words.say("abstract-activation", a=a, h=h))
    roles: dict[str, str] = {"sigma": ""}
    if in_output:
        roles[model.output_activation] = "output-activation"
    if in_hidden:
        roles[model.activation] = "activation"
    for name, role in sorted(roles.items(), key=lambda pair: pair[1]):
        if name == "identity":
            items.append(words.say(f"{role}-identity"))
        elif name != "sigma":
            items += _activation(name, role, words)
    others = sorted(used - set(roles))
    return [*items, *(item for name in others for item in _activation(name, "function", words))]


def _functions(expression: Expression) -> set[str]:
    return {node.function for node in walk(expression) if isinstance(node, Call)}


def _sigma_of_a_name(model: Model) -> Iterator[tuple[str, str]]:
    """The equations h = σ(a) with a named quantity a, as the pair a, h."""
    for equation in model.definitions:
        match equation.expression:
            case Call("sigma", Quantity() as argument):
                yield latex(argument), latex(equation.target)


def _activation(name: str, role: str, words: Prose) -> list[str]:
    if name in LOSS_ONLY:
        return []
    if name in MATRIX_ONLY:
        return [words.say("softmax")]
    function = FUNCTIONS[name]
    symbol = function.latex
    if function.slope == "formula":
        written = latex(slope(name, Quantity("z")))
        return [words.say(f"{role}-formula", symbol=latex(Call(name, Quantity("z"))), slope=written)]
    items = [words.phrases[role].replace("<symbol>", symbol).replace("<slope>", function.slope_latex)]
    if function.kinks:
        items.append(words.phrases["kink"].replace("<symbol>", symbol))
    return items
