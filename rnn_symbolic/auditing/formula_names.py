"""What the names of a formula mean in a model, checked before anything is expanded: empty sums are read as well."""

from __future__ import annotations

from rnn_symbolic.auditing.formula_syntax import (
    RANGES,
    Application,
    Index,
    Literal,
    Mention,
    Negative,
    Node,
    Product,
    Raised,
    Range,
    Sum,
    Transposed,
)
from rnn_symbolic.auditing.formula_tokens import Source
from rnn_symbolic.equations import OTHER_NAMES
from rnn_symbolic.errors import FormulaError, InputError, suggest
from rnn_symbolic.expressions import Quantity
from rnn_symbolic.functions import FUNCTIONS, MATRIX_ONLY
from rnn_symbolic.model import Model
from rnn_symbolic.scanner import GIVEN, MAX_DEPTH, RESERVED

LOSS = ("l", "ell")
SHAPING = ("diag", "outer")
KNOWN = (*FUNCTIONS, *MATRIX_ONLY, *SHAPING)
WORDS = {"transpose": "A.T", "dot": "A @ B", "matmul": "A @ B", "inner": "u.T @ v", "product": "prod(j=1..3, ...)"}

Scope = frozenset[str]


class Vocabulary:
    """The names of a model: parameters, and quantities with the steps at which they have a value."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.parameters = frozenset(model.cell.parameters)
        self.steps = {name: (1, model.steps) for name in (*sorted(model.named), "d")}
        if model.cell.uses_input:
            self.steps["x"] = (1, model.steps)
        for state in model.initial_states:
            assert state.step is not None
            self.steps[state.name] = (min(state.step, self.steps[state.name][0]), model.steps)
        self.has_identity = "I" not in self.parameters | set(self.steps)

    def split(self, name: str) -> Quantity | None:
        """h_3 as h at step 3, unless the whole is a parameter; None for a name that means nothing."""
        if name in self.parameters:
            return Quantity(name)
        if name in self.steps:
            return Quantity(name, None, "t")  # its step stands in brackets
        base, _, digits = name.rpartition("_")
        if base in self.steps and digits.isdigit() and len(digits) < 8:
            return Quantity(base, int(digits))
        return None

    def known(self) -> list[str]:
        """Every name, for suggestions."""
        return [*self.model.cell.parameters, *sorted(set(self.steps) - {"l"})]

    def out_of_range(self, quantity: Quantity) -> str:
        """What to say of a quantity at a step where it has no value; empty where it has one."""
        low, high = self.steps[quantity.name]
        assert quantity.step is not None
        if low <= quantity.step <= high:
            return ""
        message = f"{quantity.name}[{quantity.step}] does not exist: {quantity.name} has the steps {low} to {high}"
        return message + ("; use --steps to unroll further" if quantity.step > high else "")

    # -- left side --

    def goal(self, source: Source, target: Mention, step: int | None) -> Quantity:
        """What the formula is the derivative by. Raises FormulaError."""
        name, start = target.name, target.start - 1
        found = self.split(name)
        if found is not None and found.index:
            if step is None:
                raise source.error(start, f"d{name} needs a step: d{name}[1] to d{name}[{self.model.steps}]")
            found = Quantity(name, step)
        elif step is not None and found is not None:
            what = "a parameter, the same at every step" if found.step is None else "at a step already"
            raise source.error(start, f"{name!r} is {what}; write d{name} = ...")
        try:
            return self.model.resolve(str(found) if found is not None else name)
        except InputError as error:
            raise source.error(start, str(error)) from None

    # -- right side --

    def check(self, source: Source, body: Node) -> None:
        """Refuse every name without a meaning and every tree that is too deep (no recursion)."""
        nothing: Scope = frozenset()
        waiting: list[tuple[Node, Scope, int]] = [(body, nothing, 0)]
        while waiting:
            node, scope, depth = waiting.pop()
            if depth > MAX_DEPTH:
                raise source.error(node.start, f"operations are nested deeper than {MAX_DEPTH}; multiply them out")
            below: tuple[Node, ...] = ()
            match node:
                case Mention():
                    self._mention(source, node, scope)
                case Application(arguments=below):
                    self._function(source, node)
                case Range(body=inner):
                    self._index(source, node.first, scope)
                    self._index(source, node.last, scope)
                    scope = self._bound(source, node, scope)
                    below = (inner,)
                case Sum(terms=terms):
                    below = tuple(term for _, term in terms)
                case Product(first=first, links=links):
                    below = (first, *(link[2] for link in links))
                case Negative(of=of) | Transposed(of=of):
                    below = (of,)
                case Raised(base=base, exponent=exponent):
                    below = (base, exponent)
                case Literal():
                    pass
            waiting += [(part, scope, depth + 1) for part in reversed(below)]

    def _index(self, source: Source, index: Index, scope: Scope) -> None:
        for _, name, at in index.names:
            if name != "T" and name not in scope:
                near = suggest(name, sorted(scope)) or " Write sum(k=1..3, ...) to bind one."
                raise source.error(at, f"{name!r} is no step: T and bound variables are, and whole numbers.{near}")

    def _mention(self, source: Source, node: Mention, scope: Scope) -> None:
        name, at = node.name, node.start
        at += source.text[at : node.end].find(name[:1])  # behind the brackets around it
        if node.index is not None:
            self._index(source, node.index, scope)
        if name in scope or name == "T" or (name == "I" and self.has_identity):
            if node.index is not None:
                raise source.error(at, f"{name!r} is a number and has no steps" if name != "I" else "I has no steps")
            return
        found = self.split(name)
        if found is None:
            found, base = self.adjoint(name), name[1:]
            if found is None:
                raise self._unknown(source, at, name)
        else:
            base = name
        if not found.index:
            if node.index is not None:
                what = "a parameter, the same at every step" if found.step is None else "at a step already"
                raise source.error(at, f"{name!r} is {what}; write it without brackets")
            if found.step is not None and (message := self.out_of_range(found)):
                raise source.error(at, message)
        elif node.index is None:
            low, high = self.steps[base]
            raise source.error(at, f"{name!r} has a value at each step; write {name}[{low}] to {name}[{high}]")

    def adjoint(self, name: str) -> Quantity | None:
        """The quantity by which ``name`` is a gradient that others are computed from: h of dh, h_2 of dh_2."""
        found = self.split(name[1:]) if name.startswith("d") and len(name) > 1 else None
        defined = found is not None and found.name in self.model.named and found.name != "l"
        return found if defined and found is not None and (found.index or (found.step or 0) >= 1) else None

    def follows(self, quantity: Quantity, goal: Quantity) -> bool:
        """Whether a quantity is computed after the goal, so that its gradient comes before the goal's."""
        if goal.step is None:
            return True
        order = [equation.target.name for equation in self.model.definitions]
        place = order.index(goal.name) if goal.name in order and goal.step >= 1 else -1
        return ((quantity.step or 0), order.index(quantity.name)) > (goal.step, place)

    def _unknown(self, source: Source, at: int, name: str) -> FormulaError:
        if name in KNOWN or name in RANGES:
            example = f"{name}(k=1..3, ...)" if name in RANGES else f"{name}(...)"
            return source.error(at, f"{name!r} is a function; write {example}")
        base = self.split(name[1:]) if name.startswith("d") and len(name) > 1 else None
        if base is not None:
            return source.error(
                at, f"{name!r} is a gradient from which no other is computed; its formula stands in a line of its own"
            )
        if name in RESERVED:
            return source.error(at, f"{name!r} is {RESERVED[name]} and has no place in a formula for its gradient")
        hint = suggest(name, self.known())
        prefix, _, suffix = name.rpartition("_")
        if prefix in self.steps:
            hint = f" A step stands in brackets: {prefix}[{suffix}]."
        parameters = ", ".join(map(str, self.model.parameters)) or "no parameter"
        quantities = ", ".join(f"{q}[1]" for q in self.steps if q != "l")
        cell = self.model.cell.name
        return source.error(at, f"{name!r} is no name of {cell}; it has {parameters}, and {quantities}.{hint}")

    def _function(self, source: Source, node: Application) -> None:
        name, at = node.name, node.start + source.text[node.start : node.end].find(node.name[:1])
        if name in RANGES:
            raise source.error(at, f"{name!r} has no derivative; write out what {name}(k=1..3, ...) is the sum of")
        if name in self.parameters or (name in self.steps and name not in LOSS):
            form = "" if name in self.parameters else "[1]"
            raise source.error(at, f"{name!r} is no function; write {name}{form} * (...) or {name}{form} @ (...)")
        if name in LOSS:
            if node.order != 1:
                raise source.error(at, f"the derivative of the loss of a step by its y is written {name}'(y[1])")
            if len(node.arguments) != 1 or not isinstance(node.arguments[0], Mention):
                raise source.error(at, f"{name}' takes a quantity at a step, as in {name}'(y[{self.model.steps}])")
            return
        if name not in KNOWN:
            other = f" Did you mean {OTHER_NAMES[name]!r}?" if name in OTHER_NAMES else ""
            other = f" Write {WORDS[name]}." if name in WORDS else other
            hint = other or suggest(name, (*KNOWN, *RANGES))
            known = ", ".join((*KNOWN, *RANGES))
            raise source.error(at, f"unknown function {name!r}; known are {known}.{hint}")
        count = 2 if name == "outer" else 1
        if len(node.arguments) != count:
            raise source.error(at, f"{name} takes {count} argument{'s' if count > 1 else ''}")
        if node.order > (0 if name in SHAPING else 1):
            what = "has no derivative here" if name in SHAPING else "has one prime at most"
            raise source.error(at, f"{name!r} {what}")

    def _bound(self, source: Source, node: Range, scope: Scope) -> Scope:
        name = node.variable
        taken = RESERVED | GIVEN | {"I": "the identity", "by": "a word of the range"}
        taken |= dict.fromkeys((*KNOWN, *RANGES), "a function") | dict.fromkeys(self.parameters, "a parameter")
        taken |= dict.fromkeys(self.model.cell.quantities, "a quantity of the cell")
        del taken["t"]  # it is free here: every step is a number
        taken |= dict.fromkeys(scope, "bound by the range around this one")
        if name in taken:
            raise source.error(node.variable_at, f"{name!r} is {taken[name]} and cannot be bound; take another letter")
        return scope | {name}
