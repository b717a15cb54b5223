"""How somebody's gradient function is called, and how its answer is read.

    by name   def gradients(W_x, W_h, W_y, b_h, b_y, x, d, h_0)      any order, some may be missing; or **values
    by place  def gradients(params, x, d, state=None)                dictionaries of arrays, as in the code we write

It returns gradients, or (loss, gradients); the gradients are a dictionary, or in the order of the model's parameters.
The process that runs somebody's code imports this and little else.
"""

from __future__ import annotations

import inspect
import os
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from inspect import Parameter
from typing import Any

import numpy as np

from rnn_symbolic.auditing.answers import Answer, Array, array_of, clipped, coarsest, meant, what_is
from rnn_symbolic.errors import InputError
from rnn_symbolic.output import one_line

Function = Callable[..., Any]
Inputs = Mapping[str, float | Array]
"""Parameters, initial states, x and d by our names, laid out as the function wants them."""
PARAMS, STATE = "{params}", "{state}"
"""What a dictionary of parameters or of initial states is called in a `Plan`; no name of a cell has braces."""
STATE_WORDS = frozenset("state states initial initial_state initial_states init".split())
VARIADIC = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)


@dataclass(frozen=True)
class Question:
    """The names at stake, ours: parameters in the model's order, initial states; ``theirs`` where they call it else."""

    parameters: tuple[str, ...]
    initial: tuple[str, ...]
    theirs: Mapping[str, str] = field(default_factory=dict)

    @property
    def names(self) -> dict[str, str]:
        """What can be passed, by their names."""
        return {self.theirs.get(name, name): name for name in (*self.parameters, *self.initial, "x", "d")}


@dataclass(frozen=True)
class Plan:
    """What a function gets in each place and by each keyword: a name of ours, PARAMS or STATE."""

    positional: tuple[str, ...]
    keyword: Mapping[str, str]

    def received(self, question: Question) -> tuple[str, ...]:
        """The names of ours that the function gets."""
        groups = {PARAMS: question.parameters, STATE: question.initial}
        slots = (*self.positional, *self.keyword.values())
        return tuple(name for slot in slots for name in groups.get(slot, (slot,)))

    def arguments(self, question: Question, inputs: Inputs) -> tuple[list[Any], dict[str, Any]]:
        """Copies, so that a function that writes into its arguments changes nothing of ours."""

        def copy(slot: str) -> Any:
            if slot in (PARAMS, STATE):
                names = question.parameters if slot == PARAMS else question.initial
                return {question.theirs.get(name, name): copy(name) for name in names}
            value = inputs[slot]
            return np.array(value, order="C") if np.ndim(value) else float(value)

        return [copy(slot) for slot in self.positional], {key: copy(slot) for key, slot in self.keyword.items()}


# --- signatures -----------------------------------------------------------------------------------------------------


def plan_call(function: Function, question: Question) -> Plan:
    """How the function is to be called, by its signature.

    >>> question = Question(("W_x", "W_h"), ("h_0",))
    >>> plan_call(lambda W_h, W_x, x, d, verbose=False: None, question).keyword
    {'W_h': 'W_h', 'W_x': 'W_x', 'x': 'x', 'd': 'd'}
    >>> plan_call(lambda weights, inputs, targets, state=None: None, question)
    Plan(positional=('{params}', 'x', 'd'), keyword={'state': '{state}'})

    Raises InputError that shows the signature and what was expected.
    """
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        raise InputError(
            f"{title(function)} does not say what arguments it takes; wrap it: "
            f"def gradients(params, x, d, state): return …"
        ) from None
    arguments = list(signature.parameters.values())
    plan = _by_name(arguments, question) or _by_place(arguments, question)
    if plan is None:
        kinds = {argument.kind for argument in arguments}
        hidden = "; a decorator hides its arguments, use functools.wraps" if kinds == set(VARIADIC) else ""
        named = ", ".join(question.names)
        raise InputError(
            f"{title(function)} takes {clipped_signature(signature)}{hidden}; expected arguments named {named} "
            f"(rename where yours differ), or (params, x, d), or (params, x, d, state)"
        )
    return plan


def _name_of(argument: Parameter, question: Question) -> str | None:
    """Our name for an argument; an initial state may be written without its underline, h0."""
    if argument.name in question.names:
        return question.names[argument.name]
    return next((name for name in question.initial if argument.name == name.replace("_", "")), None)


def _by_name(arguments: list[Parameter], question: Question) -> Plan | None:
    named = [argument for argument in arguments if argument.kind not in VARIADIC]
    known = {argument.name: name for argument in named if (name := _name_of(argument, question)) is not None}
    foreign = [argument for argument in named if argument.name not in known]
    kinds = {argument.kind for argument in arguments}
    if any(argument.default is Parameter.empty or argument.kind is Parameter.POSITIONAL_ONLY for argument in foreign):
        return None
    weights = set(known.values()) & set(question.parameters)
    rest = Parameter.VAR_KEYWORD in kinds
    if not weights and question.parameters and (not rest or Parameter.VAR_POSITIONAL in kinds):
        return None
    first = [argument.name for argument in named if argument.kind is Parameter.POSITIONAL_ONLY]
    keyword = {key: name for key, name in known.items() if key not in first}
    if rest:
        keyword |= {key: name for key, name in question.names.items() if name not in known.values()}
    return Plan(tuple(known[key] for key in first), keyword)


def _by_place(arguments: list[Parameter], question: Question) -> Plan | None:
    places = [a for a in arguments if a.kind in (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)]
    if len(places) < 3:
        return None
    slots = _first_three([_name_of(place, question) or "" for place in places[:3]])
    if slots is None:
        return None
    positional, keyword = list(slots), {}
    rest = [*places[3:], *(argument for argument in arguments if argument.kind is Parameter.KEYWORD_ONLY)]
    for argument in rest:
        slot = _extra_slot(argument, question, fourth=argument is rest[0] and argument in places)
        if slot is None and argument.default is Parameter.empty:
            return None
        if slot is None:
            continue
        if argument.kind is not Parameter.POSITIONAL_ONLY:
            keyword[argument.name] = slot
        elif len(positional) == places.index(argument):
            positional.append(slot)
    return Plan(tuple(positional), keyword)


def _first_three(named: list[str]) -> tuple[str, ...] | None:
    """Parameters, x and d in the order that their names say, else in ours; None where a name speaks against it."""
    if sorted(named) == ["", "d", "x"]:
        return tuple(name or PARAMS for name in named)
    usual = (PARAMS, "x", "d")
    return usual if all(name in ("", slot) for name, slot in zip(named, usual, strict=True)) else None


def _extra_slot(argument: Parameter, question: Question, *, fourth: bool) -> str | None:
    """What a fourth argument and those after it get: an initial state by its name (h_0, h0), or all in a dictionary."""
    name = _name_of(argument, question)
    if name in question.initial:
        return name
    if argument.name in STATE_WORDS or (fourth and argument.default is Parameter.empty):
        return STATE
    return None


def clipped_signature(signature: inspect.Signature) -> str:
    """The arguments as they were written, without annotations."""
    bare = [argument.replace(annotation=Parameter.empty) for argument in signature.parameters.values()]
    text = one_line(str(signature.replace(parameters=bare, return_annotation=inspect.Signature.empty)))
    return text if len(text) <= 160 else f"{text[:150]}…)"


def title(function: object) -> str:
    """What to call a function in a message."""
    name = getattr(function, "__name__", None)
    return name if isinstance(name, str) else f"the {type(function).__name__}"


# --- calls ----------------------------------------------------------------------------------------------------------


def ask(function: Function, plan: Plan, question: Question, inputs: Inputs) -> Answer:
    """What the function answers, or in one line what went wrong; only Ctrl-C is not caught."""
    arguments, keywords = plan.arguments(question, inputs)
    received = plan.received(question)
    try:
        result = function(*arguments, **keywords)
    except SystemExit as stop:
        code = "" if stop.code is None else clipped(stop.code)
        return Answer(error=f"{title(function)} calls sys.exit({code}){raised_at(stop)}", received=received)
    except Exception as error:
        return Answer(error=f"{title(function)} raises {raised(error)}", received=received)
    try:
        loss, gradients = _parts(result, question, inputs)
        return _answer(loss, gradients, question, received)
    except InputError as refusal:
        message = str(refusal)
    except Exception as error:  # whatever a stranger's mapping does
        message = f"the answer of {title(function)} cannot be read: {raised(error)}"
    return Answer(error=one_line(message), received=received)


def _answer(loss: Any, gradients: Mapping[Any, Any], question: Question, received: tuple[str, ...]) -> Answer:
    if not gradients:
        raise InputError("the answer holds no gradients; expected a dictionary such as {'W_h': …}")
    names = question.names
    known = [theirs for theirs, name in names.items() if name != "d"]
    found = {names[name]: array_of(key, gradients[key]) for key, name in meant(gradients, known, "the answer").items()}
    total = None
    if loss is not None:
        number = array_of("loss", loss)[0]
        if number.size != 1:
            raise InputError(f"the loss is an array of shape {number.shape}; expected one number, L")
        total = float(number.reshape(()))
    arrays = {name: array for name, (array, _) in found.items()}
    return Answer(total, arrays, coarsest(dtype for _, dtype in found.values()), received=received)


def _parts(result: Any, question: Question, inputs: Inputs) -> tuple[Any, Mapping[Any, Any]]:
    """L, None where it is not told, and the gradients by name."""
    if isinstance(result, Mapping):
        return _of_mapping(result)
    if inspect.iscoroutine(result) or inspect.isgenerator(result):
        result.close()  # or Python warns that nobody awaited it
        raise InputError(f"the answer is {what_is(result)}: an async function or a generator; expected a plain one")
    names = [question.theirs.get(name, name) for name in question.parameters]
    if isinstance(result, list | tuple):
        items = list(result)
        if len(items) == 2 and isinstance(items[1], Mapping):
            return items[0], _of_mapping(items[1])[1]
        if hasattr(result, "_asdict"):  # a named tuple says itself what is what
            return _of_mapping(result._asdict())
        return _in_order(items, names, inputs, question)
    if len(names) == 1 and result is not None and not isinstance(result, str | bytes):
        return None, {names[0]: result}
    if _all_numbers(question, inputs) and isinstance(result, np.ndarray) and result.shape == (len(names),):
        return None, dict(zip(names, result, strict=True))  # one number each
    raise InputError(f"the answer is {what_is(result)}; expected gradients or (loss, gradients), {_expected(names)}")


def _of_mapping(result: Mapping[Any, Any]) -> tuple[Any, Mapping[Any, Any]]:
    """A dictionary of gradients, perhaps with the loss in it; or {"loss": …, "gradients": {…}}."""
    rest = {key: value for key, value in result.items() if key != "loss"}
    for key in ("gradients", "grads"):
        if isinstance(rest.get(key), Mapping) and len(rest) == 1:
            rest = rest[key]
    return result.get("loss"), rest


def _in_order(items: list[Any], names: list[str], inputs: Inputs, question: Question) -> tuple[Any, Mapping[str, Any]]:
    """Gradients in the order of the parameters: [g, …], (loss, [g, …]) or (loss, g, …)."""
    n = len(names)
    numbers_only = _all_numbers(question, inputs)  # then a loss looks as a gradient does
    leads = bool(items) and _is_number(items[0])
    second = items[1] if len(items) == 2 else None
    if leads and isinstance(second, list | tuple) and len(second) == n and not (n == 2 and numbers_only):
        return items[0], dict(zip(names, second, strict=True))
    if len(items) == n and not (n == 2 and leads and isinstance(second, list | tuple)):
        return None, dict(zip(names, items, strict=True))
    if len(items) == n + 1 and leads and (not numbers_only or n == 1):
        return items[0], dict(zip(names, items[1:], strict=True))
    raise InputError(f"the answer is {what_is(items)} of {len(items)}; expected {_expected(names)}")


def _all_numbers(question: Question, inputs: Inputs) -> bool:
    return all(np.ndim(inputs[name]) == 0 for name in question.parameters)


def _is_number(value: Any) -> bool:
    return not isinstance(value, list | tuple | Mapping | str | bytes) and np.shape(value) in ((), (1,))


def _expected(names: list[str]) -> str:
    order = ", ".join(names)
    return f"a dictionary by name such as {{{names[0] if names else 'h_0'!r}: …}}, or all of {order} in this order"


# --- what went wrong ------------------------------------------------------------------------------------------------

_LIBRARY = os.path.dirname(os.__file__)


def raised(error: BaseException) -> str:
    """An exception in a line: its type, its message, and where in the user's file it came from."""
    try:
        message = one_line(str(error))
    except Exception:  # whatever a stranger's __str__ does
        message = ""
    message = message if len(message) <= 300 else f"{message[:297]}..."
    return f"{type(error).__name__}{': ' if message else ''}{message}{raised_at(error)}"


def raised_at(error: BaseException) -> str:
    """`` (line 3 of net.py)``: the innermost line that is no library's and not ours."""
    place = ""
    for frame, line in traceback.walk_tb(error.__traceback__):
        file = frame.f_code.co_filename
        library = file.startswith((_LIBRARY, "<frozen")) or "site-packages" in file or "dist-packages" in file
        if not library and os.path.dirname(file) != os.path.dirname(__file__):
            place = f" (line {line} of {os.path.basename(file)})"
    return place
