"""Ranks and sizes of a cell, from its equations; numbers for the sizes, from arrays."""

from __future__ import annotations

import random
import time
from dataclasses import replace

import pytest

from rnn_symbolic.cells import BUILT_IN, Cell, load_cell, parse_cell
from rnn_symbolic.errors import CellError, InputError
from rnn_symbolic.expressions import Add, Apply, Call, Expression, Multiply, Number, Power, Quantity, StepLoss
from rnn_symbolic.shapes import Shape, Shapes, bind_sizes, dimensions, infer_shapes, size_report


def shapes_of(text: str) -> Shapes:
    return infer_shapes(parse_cell(text))


# --- the built-in cells: every name, written out by hand ---

H, X, Y = "n_h", "n_x", "n_y"
OUTPUT = {"W_y": (Y, H), "b_y": (Y,), "x": (X,), "y": (Y,), "d": (Y,)}
ELMAN = {"W_h": (H, H), "W_x": (H, X), "b_h": (H,), "a": (H,), "h": (H,), "o": (Y,), **OUTPUT}


def vectors(names: str) -> dict[str, Shape]:
    return dict.fromkeys(names.split(), (H,))


def gates(names: str) -> dict[str, Shape]:
    """W_f, U_f, b_f and a_f of each gate f."""
    rows = {"W": (H, H), "U": (H, X), "b": (H,), "a": (H,)}
    return {f"{kind}_{gate}": shape for gate in names for kind, shape in rows.items()}


EXPECTED: dict[str, dict[str, Shape]] = {
    "elman": ELMAN,
    "jordan": {
        "W_h": ("n_a", Y), "W_x": ("n_a", X), "b_h": ("n_a",), "a": ("n_a",), "h": ("n_a",),
        "W_y": (Y, "n_a"), "b_y": (Y,), "o": (Y,), "x": (X,), "y": (Y,), "d": (Y,),
    },
    "irnn": ELMAN,
    "linear": {name: shape for name, shape in ELMAN.items() if name not in "ao"},
    "residual": ELMAN,
    "lag2": ELMAN | {"V_h": (H, H)},
    "two-layer": ELMAN | {
        "W_s": ("n_s", "n_s"), "U_s": ("n_s", H), "b_s": ("n_s",), "e": ("n_s",), "s": ("n_s",), "W_y": (Y, "n_s"),
    },
    "lstm": gates("figo") | vectors("f i g o c h") | OUTPUT,
    "lstm-peephole": gates("figo") | vectors("f i g o c h P_f P_i P_o") | OUTPUT,
    "gru": gates("zrn") | vectors("z r n h") | OUTPUT,
    "gru-cudnn": gates("zrn") | vectors("z r n h c_n") | OUTPUT,
    "mgu": gates("fn") | vectors("f n h") | OUTPUT,
    "d2l": {name: shape for name, shape in ELMAN.items() if name not in ("a", "o", "b_h", "b_y")},
    "pascanu": dict.fromkeys(("a", "y", "d", "b_h"), ("n_a",))
    | {"x": (X,), "W_h": ("n_a", "n_a"), "W_x": ("n_a", X)},
}  # fmt: skip


@pytest.mark.parametrize("name", BUILT_IN)
def test_built_in(name: str) -> None:
    assert dict(infer_shapes(load_cell(name)).names) == EXPECTED[name]


@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("elman", (X, H, Y)),
        ("jordan", (X, Y, "n_a")),  # the state is y
        ("two-layer", (X, H, "n_s", Y)),
        ("lstm", (X, H, Y)),  # c has the size of h
        ("gru-cudnn", (X, H, Y)),
    ],
)
def test_sizes_stand_in_order(name: str, sizes: Shape) -> None:
    assert infer_shapes(load_cell(name)).sizes == sizes


# --- unification ---


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("h = h[t-1] + x\ny = W @ h", {"h": (X,), "x": (X,), "W": (Y, X), "y": (Y,)}),
        ("h = W @ h[t-1] + x\ny = h", {"h": (X,), "W": (X, X), "y": (X,), "d": (X,)}),
        ("h = c[t-1] + V @ x\nc = W @ h\ny = U @ c", {"c": ("n_c",), "h": ("n_c",), "W": ("n_c", "n_c")}),
        ("h = W @ h[t-1] + V @ x\ny = h", {"y": (H,), "d": (H,), "V": (H, X)}),  # the state comes before y
        ("u = U @ x\nv = V @ u\ny = W @ v", {"u": ("n_u",), "v": ("n_v",), "V": ("n_v", "n_u")}),
        ("y = W @ (V @ (U @ x))", {"W": (Y, "n_W"), "V": ("n_W", "n_V"), "U": ("n_V", X)}),
        ("y = 2 * b - (W @ x) / 3 + 1", {"b": (Y,), "y": (Y,)}),
        ("y = tanh(b) ** 2", {"b": (Y,), "y": (Y,), "d": (Y,)}),
        ("y = softmax(W @ x) * exp(b)", {"b": (Y,), "W": (Y, X)}),
        ("u = U @ x\nv = V @ x\ny = W @ (u * v)", {"v": ("n_u",), "V": ("n_u", X), "W": (Y, "n_u")}),
        ("a = x\nb = a\ny = b", {"a": (X,), "b": (X,), "y": (X,)}),
        ("h = W @ h[t-3]\ny = h * b", {"h": (H,), "b": (H,), "W": (H, H)}),
        ("y = W @ x\nloss = sum((y - d) ** 2)", {"d": (Y,)}),
        ("y = W @ x\nloss = sum(y) * sum(d)", {"d": (Y,)}),
        ("y = W @ x\nloss = sum((V @ y - d) ** 2)", {"d": ("n_d",), "V": ("n_d", Y)}),
        ("q = V @ x\ny = W @ q\nloss = sum(y) + sum((q - d) ** 2)", {"d": ("n_q",)}),
        ("y = W @ x\nloss = sum(y) + sum(d * x)", {"d": (X,), "y": (Y,)}),
    ],
)
def test_unification(text: str, expected: dict[str, Shape]) -> None:
    names = shapes_of(text).names
    assert {name: names[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("text", "scalars"),
    [
        ("scalar tau\nh = tau * h[t-1] + x\ny = h", "tau"),
        ("scalar tau\nrate = logistic(tau)\nh = rate * h[t-1] + x\ny = h", "tau rate"),
        ("scalar tau\nscalar beta\ng = 1 - tau * beta\ny = g * x", "tau beta g"),
        ("k = 1 / 2\ny = k * x", "k"),
        ("scalar tau\nu = v[t-1]\nv = tau + 1\ny = x * u", "tau u v"),  # a scalar one step back is one
        ("scalar tau\nh = tau * h[t-1]\ny = h", "tau"),  # a state that needs only itself is a vector
        ("scalar tau\nu = tau * v[t-1]\nv = tau * u\ny = x + u", "tau"),
        ("y = y[t-1] / 2", ""),
        ("y = x\nloss = 1 + sum(y)", ""),
    ],
)
def test_scalars(text: str, scalars: str) -> None:
    names = shapes_of(text).names
    assert {name for name, shape in names.items() if shape == ()} == set(scalars.split())


def test_an_input_that_is_not_read_has_no_size() -> None:
    assert shapes_of("h = W @ h[t-1]\ny = V @ h").sizes == (H, Y)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("y = W @ x\nloss = sum(A @ (B @ y))", {"A": ("n_A", "n_B"), "B": ("n_B", "n_y")}),  # two sizes of A alone
        ("y = W @ x\nloss = sum(A @ y)", {"A": ("n_A", "n_y")}),
        ("h = W @ h[t-1] + n_h\ny = V @ h", {"h": ("n_W",), "n_h": ("n_W",)}),  # a parameter is called n_h
        ("y = W @ x + n_A\nloss = sum(A @ y)", {"A": ("n_A2", "n_y")}),  # no other name has this size
        ("y = x + n_x", {"x": ("n_y",)}),
        ("y = n_y[t-1]\nn_y = y + n_d", {"y": ("n_n_y",)}),
    ],
)
def test_names_of_sizes_do_not_collide(text: str, names: dict[str, Shape]) -> None:
    shapes = shapes_of(text)
    assert {name: shapes.names[name] for name in names} == names
    assert not set(shapes.sizes) & set(shapes.names)


# --- refusals ---

LEFT = "a matrix stands left of '@', and a matrix is a parameter by its bare name; "


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("scalar tau\nh = (tau * W) @ h[t-1]\ny = h", LEFT + "write for example 'tau * (W @ h)'"),
        ("y = (W / 2) @ x", LEFT + "write for example 'tau * (W @ h)'"),
        ("y = (W + V) @ x", LEFT + "write for example 'W @ h + V @ h'"),
        ("y = (W @ V) @ x", LEFT + "write for example 'W @ (V @ h)'"),
        ("y = W @ V @ x", LEFT + "write for example 'W @ (V @ h)'"),
        ("y = tanh(W) @ x", LEFT + "write for example 'W @ h'"),
        ("y = W ** 2 @ x", LEFT + "write for example 'W @ h'"),
        ("h = W @ x\ny = h @ x", LEFT + "h is a vector n_h, which multiplies elementwise with *"),
        ("h = x\ny = h[t-2] @ x", LEFT + "h[t-2] is a vector n_x, which multiplies elementwise with *"),
        ("y = x @ b", LEFT + "x is a vector n_x, which multiplies elementwise with *"),
        ("y = x\nloss = sum(d @ y)", LEFT + "d is a vector n_x, which multiplies elementwise with *"),
        ("scalar tau\ny = -tau @ x", LEFT + "tau is a scalar (1), which multiplies elementwise with *"),
        (
            "h = W @ h[t-1]\ny = V @ h + W",
            "W is a matrix n_h × n_h (it stands left of '@' in the line of h) and a vector n here; "
            "one name cannot be both, so rename one of them",
        ),
        ("y = W @ W", "W is a matrix n_y × n_W (it stands left of '@' in the line of y) and a vector n here"),
        ("h = W\ny = W @ x + h", "W is a matrix n_y × n_x (it stands left of '@' in the line of y) and a vector"),
        ("y = W @ x\nloss = sum(y * W)", "W is a matrix n_y × n_x (it stands left of '@' in"),
        (
            "scalar tau\ns = tau + 1\ny = W @ s + x",
            "W is a matrix n_x × n_W and needs a vector right of '@', but a scalar (1) stands there; "
            "a scalar multiplies with *, as in tau * (W @ h)",
        ),
        ("scalar tau\ny = tau", "y is a scalar (1), built of scalars only, and must be a vector n_y; add a"),
        ("scalar tau\ny = softmax(tau) + x", "softmax takes a vector n, and its argument is a scalar (1)"),
        ("y = x\nloss = sum(sum(y))", "sum takes a vector n, and its argument is a scalar (1); leave sum out"),
        (
            "y = W @ x\nloss = (y - d) ** 2",
            "the loss of a step is a scalar (1), and this is a vector n_y; write 'loss = sum((y - d) ** 2)'",
        ),
        ("y = W @ x\nloss = sum(y) + x", "this is a vector n_x; write 'loss = sum(sum(y) + x)'"),
        ("y = W @ x\nloss = V @ y", "this is a vector n_V; write 'loss = sum(V @ y)'"),
    ],
)
def test_refusal(text: str, message: str) -> None:
    with pytest.raises(CellError) as caught:
        shapes_of(text)
    said = str(caught.value)
    assert message in said
    assert said.isprintable()
    quoted = text.splitlines()[caught.value.line - 1]
    assert (caught.value.column, f"in '{quoted}'" in said) == (1, True), "the line that is refused"


def test_a_long_equation_is_cut_in_a_refusal() -> None:
    with pytest.raises(CellError) as caught:
        shapes_of("y = " + " + ".join(["W @ x"] * 50) + " + W")
    assert "in 'y = W @ x + W @ x + " in str(caught.value)
    assert "...': W is a matrix" in str(caught.value)
    assert len(str(caught.value)) < 300
    with pytest.raises(CellError, match=r"write 'loss = sum\(\(y - d\) \*\* 2\)'"):
        shapes_of("y = x\nloss = " + " + ".join(["y"] * 50))


def test_equations_without_their_text_are_quoted_as_they_print() -> None:
    cell = parse_cell("y = W @ x + W")
    for text in ("", "no cell at all", "h = x\ny = h"):  # the last has a line for y, so that is what it quotes
        with pytest.raises(CellError, match="W is a matrix") as caught:
            infer_shapes(replace(cell, text=text))
        expected = "in 'y = h'" if text.startswith("h") else f"in '{cell.equations[0]}'"
        assert expected in str(caught.value)


def test_the_first_refusal_in_the_text_is_the_one_told() -> None:
    with pytest.raises(CellError) as caught:
        shapes_of("a = W @ x\nb = a + W\nc = b + W\ny = c")
    assert caught.value.line == 2


# --- shapes of expressions ---


def test_shapes_of_expressions() -> None:
    shapes = shapes_of("scalar tau\nh = tau * h[t-1] + W @ x + 1\ny = V @ h\nloss = tau * sum((y - d) ** 2)")
    h, x, tau, W = Quantity("h", 4), Quantity("x", 0, "t"), Quantity("tau"), Quantity("W")
    number = Number(Power(tau, 2).exponent)
    for expression, expected in [
        (h, (H,)),
        (Quantity("h", 0), (H,)),
        (Quantity("l", 2), ()),
        (Quantity("L"), ()),
        (W, (H, X)),
        (number, ()),
        (tau, ()),
        (Call("tanh", h), (H,)),
        (Call("tanh", h, 1), (H,)),
        (Call("exp", tau), ()),
        (Call("sum", h), ()),
        (Call("softmax", h), (H,)),
        (StepLoss(Quantity("l", 1), h), ()),
        (Add((tau, h)), (H,)),
        (Add((number, tau)), ()),
        (Multiply((number, tau, Apply(W, x))), (H,)),
        (Power(h, number.value), (H,)),
        (Apply(Quantity("V"), Apply(W, x)), (Y,)),
    ]:
        assert shapes.of(expression) == expected, expression
    with pytest.raises(KeyError, match="nowhere"):
        shapes.of(Quantity("nowhere"))


def test_shapes_are_plain_data() -> None:
    one, same = (infer_shapes(load_cell("elman")) for _ in range(2))
    assert one == same
    assert hash(one) == hash(same)
    assert one != infer_shapes(load_cell("jordan"))


def test_size_report() -> None:
    cell = parse_cell("scalar tau\nh = tau * h[t-1] + W @ h[t-2] + U @ x\ny = V @ h\nloss = sum((y - d) ** 2)")
    assert size_report(infer_shapes(cell), cell) == (
        ("tau", "1"),
        ("W", "n_h × n_h"),
        ("U", "n_h × n_x"),
        ("V", "n_y × n_h"),
        ("h_0", "n_h"),
        ("h_-1", "n_h"),
        ("x", "n_x"),
        ("h", "n_h"),
        ("y", "n_y"),
        ("d", "n_y"),
    )
    assert dimensions((3, 4)) == "3 × 4"


# --- numbers for the sizes ---


@pytest.mark.parametrize("name", BUILT_IN)
def test_every_built_in_is_bound_by_its_arrays(name: str) -> None:
    cell = load_cell(name)
    shapes = infer_shapes(cell)
    numbers = {size: 2 + i for i, size in enumerate(shapes.sizes)}
    entries = {key: shapes.names[key] for key in (*cell.parameters, "x", "d")}
    entries |= {str(state): shapes.names[state.name] for state in cell.initial_states}
    given = {key: tuple(numbers[size] for size in shape) for key, shape in entries.items()}
    assert bind_sizes(shapes, given) == numbers
    for key, actual in given.items():  # one entry with one size that is wrong
        for i in range(len(actual)):
            wrong = given | {key: (*actual[:i], actual[i] + 1, *actual[i + 1 :])}
            shared = sum(entries[key][i] in shape for shape in entries.values()) > 1
            assert shared, "each size of a built-in cell is seen by several of its arrays"
            with pytest.raises(InputError, match=rf"expected .*(length )?{actual[i]}|expected"):
                bind_sizes(shapes, wrong)


def test_sizes_that_no_array_shows_are_left_out() -> None:
    shapes = infer_shapes(load_cell("elman"))
    assert bind_sizes(shapes, {}) == {}
    assert bind_sizes(shapes, {"h_0": (3,)}) == {"n_h": 3}
    assert list(bind_sizes(shapes, {"W_y": (2, 5), "W_x": (5, 3)}).items()) == [("n_x", 3), ("n_h", 5), ("n_y", 2)]
    assert bind_sizes(infer_shapes(load_cell("lag2")), {"h_-1": (3,)}) == {"n_h": 3}
    assert bind_sizes(shapes_of("scalar tau\ny = tau * x"), {"tau": (), "x": (3,)}) == {"n_x": 3}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"W_h": (4, 3), "b_h": (5,)}, "'W_h' is 4×3, but n_h = 5 (from 'b_h'); expected 5×5"),
        ({"b_h": (5,), "W_h": (5, 3)}, "'W_h' is 5×3, but n_h = 5 (from 'b_h'); expected 5×5"),
        ({"b_h": (5,), "W_x": (4, 3)}, "'W_x' is 4×3, but n_h = 5 (from 'b_h'); expected 5×n_x"),
        ({"W_x": (5, 2), "W_h": (4, 4)}, "'W_h' is 4×4, but n_h = 5 (from 'W_x', 5×2); expected 5×5"),
        ({"b_h": (4,), "h_0": (5,)}, "'h_0' is a vector of length 5, but n_h = 4 (from 'b_h'); expected length 4"),
        ({"W_h": (4, 3)}, "'W_h' is 4×3, but it must be square: expected n_h × n_h"),
        ({"W_h": (3,)}, "'W_h' is a vector of length 3; expected a matrix n_h × n_h"),
        ({"W_h": ()}, "'W_h' is a number; expected a matrix n_h × n_h"),
        ({"b_h": (3, 3)}, "'b_h' is 3×3; expected a vector n_h"),
        ({"b_h": (2, 3, 4)}, "'b_h' is 2×3×4; expected a vector n_h"),
        ({"tau": (1,)}, "'tau' is a vector of length 1; expected a number"),
        ({"b_h": (0,)}, "'b_h' is a vector of length 0, which is empty; every size is at least 1"),
        ({"W_x": (3, 0)}, "'W_x' is 3×0, which is empty; every size is at least 1"),
        ({"W_z": (3, 3)}, "'W_z' is no entry of this cell. Did you mean 'W_"),
        ({"h_1": (3,)}, "'h_1' is no entry of this cell."),
        ({"q_0": (3,)}, "'q_0' is no entry of this cell."),
    ],
)
def test_sizes_that_disagree(given: dict[str, tuple[int, ...]], message: str) -> None:
    text = "scalar tau\nh = tanh(W_h @ h[t-1] + W_x @ x + b_h) * tau\ny = W_y @ h"
    with pytest.raises(InputError) as caught:
        bind_sizes(shapes_of(text), given)
    assert str(caught.value).startswith(message)


# --- any cell ---


def random_cell(dice: random.Random) -> str:
    """Cell text that is often right: operands are drawn without regard to rank now and then."""
    names: list[str] = ["x", "b", "c", "tau"]
    lines = ["scalar tau", "scalar beta"]
    targets = [f"u{i}" for i in range(dice.randint(1, 4))]

    def expression(depth: int) -> str:
        kind = dice.choice(["name", "name", "sum", "product", "apply", "call", "lag", "power"])
        if kind == "lag":
            return f"{dice.choice(targets)}[t-{dice.randint(1, 2)}]"
        if depth == 0 or kind == "name":
            return dice.choice([*names, "W" if dice.random() < 0.05 else "beta"])
        if kind == "sum":
            return f"({expression(depth - 1)} {dice.choice('+-')} {expression(depth - 1)})"
        if kind == "product":
            return f"({expression(depth - 1)} * {expression(depth - 1)})"
        if kind == "apply":
            left = expression(0) if dice.random() < 0.05 else dice.choice("VWU")
            return f"({left} @ ({expression(depth - 1)} + {dice.choice(['x', 'b', 'c'])}))"
        if kind == "power":
            return f"({expression(depth - 1)} ** 2)"
        return f"{dice.choice(['tanh', 'softmax', 'sigma'])}({expression(depth - 1)})"

    for name in targets:
        lines.append(f"{name} = {expression(2)}")
        names.append(name)
    lines.append(f"y = {' + '.join([*targets, 'tau * beta'])}")
    if dice.random() < 0.5:
        lines.append(f"loss = sum(({expression(1)} - d) ** 2) + sum(y) * tau")
    return "\n".join(lines)


def strict_shape(expression: Expression, arrays: dict[str, tuple[int, ...]]) -> tuple[int, ...]:
    """The shape of a value computed from arrays of these shapes; like NumPy, but size 1 is not stretched."""
    match expression:
        case Quantity(name):
            return arrays[name]
        case Number():
            return ()
        case Call(function, argument):
            inner = strict_shape(argument, arrays)
            assert function not in ("softmax", "sum") or len(inner) == 1
            assert len(inner) < 2
            return () if function == "sum" else inner
        case Add(parts) | Multiply(parts):
            found = {shape for part in parts if (shape := strict_shape(part, arrays))}
            assert len(found) <= 1
            assert all(len(shape) == 1 for shape in found)
            return found.pop() if found else ()
        case Apply(left, right):
            (rows, columns), inner = strict_shape(left, arrays), strict_shape(right, arrays)
            assert inner == (columns,)
            return (rows,)
        case Power(base):
            inner = strict_shape(base, arrays)
            assert len(inner) < 2
            return inner
    raise AssertionError(expression)


def assert_computable(cell: Cell, shapes: Shapes) -> None:
    """With a different number for each size, every equation computes, and its shape is the one inferred."""
    numbers = {size: 10 + i for i, size in enumerate(shapes.sizes)}
    arrays = {name: tuple(numbers[size] for size in shape) for name, shape in shapes.names.items()}
    for equation in cell.equations:
        inferred = tuple(numbers[size] for size in shapes.of(equation.expression))
        assert strict_shape(equation.expression, arrays) == inferred
        assert inferred in (arrays[equation.target.name], ())
    if cell.loss is not None:
        assert strict_shape(cell.loss, arrays) == shapes.of(cell.loss) == ()


@pytest.mark.parametrize("name", BUILT_IN)
def test_every_built_in_is_computable(name: str) -> None:
    assert_computable(load_cell(name), infer_shapes(load_cell(name)))


def test_what_is_accepted_is_computable() -> None:
    accepted = refused = 0
    for seed in range(1500):
        text = random_cell(random.Random(seed))
        try:
            cell = parse_cell(text)
        except CellError:
            continue  # tau @ x and the like: the reader's business
        try:
            shapes = infer_shapes(cell)
        except CellError as error:
            assert error.line, (seed, text)
            refused += 1
            continue
        accepted += 1
        try:
            assert_computable(cell, shapes)
        except AssertionError as error:
            raise AssertionError(f"seed {seed}:\n{text}\n{dict(shapes.names)}") from error
    assert accepted > 100, accepted
    assert refused > 100, refused


def test_long_cells_take_no_time() -> None:
    rows = [f"u{i} = tanh(W{i} @ u{i - 1} + V{i} @ u{i}[t-1] + b{i})" for i in range(1, 60)]
    cell = parse_cell("\n".join(["u0 = x", *rows, "y = u59"]))
    flat = parse_cell("y = " + " + ".join(["x"] * 450))
    deep = parse_cell("y = " + "tanh(" * 48 + "x" + ")" * 48)
    chain = parse_cell("\n".join([*(f"u{i} = u{i + 1}[t-1]" for i in range(190)), "u190 = 1 + u0", "y = u190 + x"]))
    start = time.perf_counter()
    for each in (cell, flat, deep, chain):
        infer_shapes(each)
    assert time.perf_counter() - start < 0.5  # about 0.01 s
