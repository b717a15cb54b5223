"""A scalar program as Python: one loop forward, one backward, on plain floats or on arrays over a grid of networks.

``h[t]`` is h at step t: dictionaries by step, as the mathematics counts, 1 … T.
"""

from __future__ import annotations

from rnn_symbolic import __version__
from rnn_symbolic.codegen.array_statements import shown
from rnn_symbolic.codegen.comments import adjoint_comments, equations_of, forward_comment
from rnn_symbolic.codegen.identifiers import Identifiers
from rnn_symbolic.codegen.layout import INDENT, assigned, filled
from rnn_symbolic.codegen.python_expressions import Dialect, print_expression
from rnn_symbolic.expressions import Expression, Quantity
from rnn_symbolic.program import Assign, Program, Statement, Total

HELPERS = {
    name: f'''\
def {name}(z):
    """{doc}"""
    return {array} if isinstance(z, np.ndarray) else {number}
'''
    for name, doc, array, number in (
        ("tanh", "The hyperbolic tangent of a number or an array.", "np.tanh(z)", "math.tanh(z)"),
        ("sin", "The sine of a number or an array.", "np.sin(z)", "math.sin(z)"),
        ("cos", "The cosine of a number or an array.", "np.cos(z)", "math.cos(z)"),
        ("relu", "max(0, z).", "np.maximum(z, 0)", "max(z, 0.0)"),
    )
} | {
    "relu_slope": '''\
def relu_slope(z):
    """1 where z > 0, else 0."""
    return (z > 0) * 1.0
''',
    "exp": '''\
def exp(z):
    """The exponential function; inf beyond the floats."""
    return np.exp(z) if isinstance(z, np.ndarray) else float(np.exp(z))
''',
    "log": '''\
def log(z):
    """The natural logarithm; nan outside its domain."""
    return np.log(z) if isinstance(z, np.ndarray) else float(np.log(z))
''',
    "sqrt": '''\
def sqrt(z):
    """The square root; nan outside its domain."""
    return np.sqrt(z) if isinstance(z, np.ndarray) else float(np.sqrt(z))
''',
    "logistic": '''\
def logistic(z):
    """1 / (1 + exp(-z)), without overflow."""
    if isinstance(z, np.ndarray):
        return 1 / (1 + np.exp(-z))
    return 1 / (1 + math.exp(-z)) if z > -700 else math.exp(max(z, -750.0))
''',
    "logistic_slope": '''\
def logistic_slope(z):
    """The derivative of the logistic function."""
    return logistic(z) * logistic(-z)
''',
    "tanh_slope": '''\
def tanh_slope(z):
    """The derivative of tanh."""
    return 1 - tanh(z) ** 2
''',
    "softplus": '''\
def softplus(z):
    """log(1 + exp(z)), without overflow."""
    if isinstance(z, np.ndarray):
        return np.logaddexp(z, 0)
    return max(z, 0.0) + math.log1p(math.exp(-abs(z)))
''',
    "square": '''\
def square(z):
    """z * z."""
    return z * z
''',
    "power": '''\
def power(base, exponent):
    """base ** exponent; nan outside its domain, inf beyond the floats."""
    return np.power(np.asarray(base, float), exponent)[()]
''',
    "overflow": '''\
def overflow(forward, backward, T):
    """An error that names the step where something first is not finite."""
    for what, values, steps in (
        ("the forward pass", forward, range(1, T + 1)),
        ("the gradient", backward, range(T, 0, -1)),
    ):
        for t in steps:
            bad = [name for name in values if not np.isfinite(values[name][t]).all()]
            if bad:
                names = ", ".join(f"{name}_{t}" for name in bad)
                return FloatingPointError(f"{what} overflows at step {t}: {names}")
    return FloatingPointError("the gradient is not finite")
''',
}

FLOATS = Dialect(
    {
        ("tanh", 0): "tanh({})", ("tanh", 1): "tanh_slope({})",
        ("logistic", 0): "logistic({})", ("logistic", 1): "logistic_slope({})",
        ("relu", 0): "relu({})", ("relu", 1): "relu_slope({})",
        ("softplus", 0): "softplus({})", ("softplus", 1): "logistic({})",
        ("sin", 0): "sin({})", ("cos", 0): "cos({})", ("exp", 0): "exp({})",
        ("log", 0): "log({})", ("sqrt", 0): "sqrt({})",
    },
    power="power({}, {})",
    square="square({})",
)  # fmt: skip

NEEDS = {"logistic_slope": "logistic", "tanh_slope": "tanh"}
RESERVED = (
    "np math params state T t loss gradients name value values what steps finite forward backward bad names z base "
    "exponent float max abs range dict enumerate isinstance str len loss_and_gradients "
).split() + list(HELPERS)


class ScalarSource:
    """Prints one program in a single loop; `text` is the module."""

    def __init__(self, program: Program) -> None:
        self.program = program
        cell = program.model.cell
        self.names = Identifiers(RESERVED)
        for name in (*cell.parameters, *cell.quantities, "x", "d"):
            _ = self.names[name]
        self.names.set("l", "losses")
        self.names.set("1/T", "share")
        self.lines: list[str] = []
        (self.forward,), (self.backward,) = program.forward, program.backward

    def text(self) -> str:
        """The module."""
        self.body()
        used = "\n".join(self.lines)
        names = [name for name in HELPERS if f"{name}(" in used and name != "overflow"]
        names += [need for name, need in NEEDS.items() if name in names and need not in names]
        helpers = [text for name, text in HELPERS.items() if name in names or name == "overflow"]
        head = self.head("import math\n\n" if any("math." in text for text in (*helpers, used)) else "")
        return "\n\n".join((head, *helpers, used + "\n"))

    def head(self, imports: str) -> str:
        model = self.program.model
        return (
            f'"""Loss and gradients of the {model.cell.name} network, by backpropagation through time.\n\n'
            + "\n".join(f"    {line}" for line in equations_of(self.program))
            + f"\n\nEvery quantity is a number. Written by rnn-symbolic {__version__}; needs NumPy only.\n"
            + f'"""\n\n{imports}import numpy as np\n'
        )

    def line(self, text: str, depth: int = 1) -> None:
        self.lines.append(INDENT * depth + text if text else "")

    def body(self) -> None:
        cell, names = self.program.model.cell, self.names
        listed = ", ".join((*cell.parameters, *map(str, cell.initial_states)))
        wanted = ' and "x"' if self.program.inputs and cell.uses_input else ""
        self.lines += [
            '@np.errstate(over="ignore", invalid="ignore", divide="ignore")',
            "def loss_and_gradients(params, x, d, state=None):",
            f'    """L, and its gradients by the names of parameters and initial states{wanted}.',
            "",
            *filled(f"params and state: numbers by name, {listed};"),
            "        initial states are zero unless given",
            "    x, d: T numbers each",
            "",
            "    Any of them may be arrays over a grid of networks, which broadcast.",
            '    """',
        ]
        for name in cell.parameters:
            self.line(f'{names[name]} = params["{name}"]')
        self.line("state = {} if state is None else state")
        self.line("T = len(d)")
        if cell.uses_input:
            self.line(f"{names['x']} = dict(enumerate(x, 1))")
        self.line(f"{names['d']} = dict(enumerate(d, 1))")
        if self.program.model.losses == "mean":
            self.line(f"{names['1/T']} = 1 / T")
        made = [name for name in self.forward.targets if name not in self.program.lags]
        for name in made:
            self.line(f"{names[name]} = {{}}")
        for name, lag in self.program.lags.items():
            entries = ", ".join(f'{-k}: state.get("{Quantity(name, -k)}", 0.0)' for k in range(lag))
            self.line(f"{names[name]} = {{{entries}}}")
        self.line("")
        self.line("# forward pass")
        self.line("for t in range(1, T + 1):")
        self.statements((*self.forward.before, *self.forward.statements), forward=True)
        self.line("")
        self.line("# backward pass: d… is the derivative of L by …")
        for name in cell.parameters:
            self.line(f"{names[f'∂{name}']} = 0.0")
        for name in self.adjoints():
            lag = self.program.lags.get(name.removeprefix("∂"), 0)
            if name in self.program.prefilled:
                first = "" if lag == 1 else f"{1 - lag}, "
                self.line(f"{names[name]} = dict.fromkeys(range({first}T + 1), 0.0)")
            else:
                self.line(f"{names[name]} = {{}}")
        self.line("for t in range(T, 0, -1):")
        if self.program.model.losses == "last":
            self.line(f"{names['1/T']} = 1.0 if t == T else 0.0  # L = ℓ_T", 2)
        self.statements((*self.backward.statements, *self.backward.after), forward=False)
        self.results()

    def adjoints(self) -> list[str]:
        parameters = {f"∂{name}" for name in self.program.model.cell.parameters}
        found = dict.fromkeys(name for name in self.backward.targets if name not in parameters)
        found.update(dict.fromkeys(f"∂{name}" for name in self.program.prefilled if not name.startswith("∂")))
        return list(found)

    def statements(self, statements: tuple[Statement, ...], *, forward: bool) -> None:
        for statement in statements:
            assert isinstance(statement, Assign | Total)
            comments = (
                (forward_comment(statement.target.name, self.program),)
                if forward
                else adjoint_comments(statement, self.program)
            )
            for comment in comments:
                self.line(f"# {comment}", 2)
            adds = statement.adds or isinstance(statement, Total)
            left = f"{self.name(statement.target)} {'+=' if adds else '='} "
            self.lines.extend(assigned(INDENT * 2, left.rstrip(), self.expression(statement.expression)))

    def name(self, quantity: Quantity) -> str:
        found = self.names[quantity.name]
        if not quantity.index:
            return found
        return f"{found}[t - {-quantity.step}]" if quantity.step else f"{found}[t]"

    def expression(self, expression: Expression) -> str:
        return print_expression(expression, self.name, FLOATS)

    def results(self) -> None:
        names, cell, model = self.names, self.program.model.cell, self.program.model
        losses = names["l"]
        total = {"all": f"sum({losses}.values())", "last": f"{losses}[T]",
                 "mean": f"{names['1/T']} * sum({losses}.values())"}[model.losses]  # fmt: skip
        self.line("")
        self.line(f"loss = {total}")
        self.line("gradients = {")
        for name in cell.parameters:
            self.line(f'"{name}": {names[f"∂{name}"]},', 2)
        for state in cell.initial_states:
            self.line(f'"{state}": {names[f"∂{state.name}"]}[{state.step}],', 2)
        self.line("}")
        if self.program.inputs and cell.uses_input:
            self.line(f'gradients["x"] = [{names["∂x"]}[t] for t in range(1, T + 1)]')
        forward = ", ".join(f'"{n}": {names[n]}' for n in self.forward.targets)
        adjoints = [n for n in self.adjoints() if n != "∂x"]
        backward = ", ".join(f'"{shown(n)}": {names[n]}' for n in adjoints)
        self.line("finite = [np.isfinite(value).all() for value in gradients.values()]")
        self.line("if not (np.isfinite(loss).all() and all(finite)):")
        self.collect("forward", forward)
        self.collect("backward", backward)
        self.line("raise overflow(forward, backward, T)", 2)
        self.line("return loss, gradients")

    def collect(self, variable: str, pairs: str) -> None:
        flat = f"{variable} = {{{pairs}}}"
        if len(flat) + 8 <= 88:
            self.line(flat, 2)
            return
        self.line(f"{variable} = {{", 2)
        for pair in pairs.split(", "):
            self.line(f"{pair},", 3)
        self.line("}", 2)


def scalar_source(program: Program) -> str:
    """The program of a scalar model, built without stages, as a Python module.

    >>> from rnn_symbolic.model import unroll
    >>> from rnn_symbolic.program import build_program
    >>> text = scalar_source(build_program(unroll("elman", activation="tanh", loss="squared")))
    >>> "dh[t - 1] += da[t] * W_h" in text
    True
    """
    return ScalarSource(program).text()
