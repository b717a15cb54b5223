"""The NumPy module with √T checkpoints: the states are kept at the ends of segments only, and each segment is
computed again when the backward pass comes to it.

    memory  O(√T · B · n) instead of O(T · B · n)        time  one more forward pass

A segment is the plain program over a part of the steps: what later segments leave to the states at its end, ∂L/∂h, is
added where its backward pass begins.
"""

from __future__ import annotations

from rnn_symbolic.codegen.array_source import ArraySource
from rnn_symbolic.codegen.layout import INDENT, WIDTH
from rnn_symbolic.program import Program, Stage

DRIVER = '''

def loss_and_gradients(
    params, x, d, state=None, *, dtype=np.float64, work=None, every=None
):
    """L, and its gradients by the names of parameters and initial states{wanted}.

    The arguments are those of `segment`; the states are kept every ``every`` steps,
    about the square root of T unless given.

    L is summed over the samples of a batch.
    """
    state = {{}} if state is None else state
    work = {{}} if work is None else work
    T = len(d)
    every = math.isqrt(T - 1) + 1 if every is None else every
    parts = [slice(t, t + every) for t in range(0, T, every)]
    {inputs}
    loss, starts = 0.0, [state]
    for k, part in enumerate(parts):
        final = {final}
        given = params, {x_part}, d[part], starts[k]
        found, states = segment(*given, {options}, dtype=dtype, work=work)
        loss += found
        starts.append(states)
    gradients = {{}}
    end = dict.fromkeys(states, 0.0)
    for k, part in reversed(list(enumerate(parts))):
        final = {final}
        given = params, {x_part}, d[part], starts[k]
        _, found = segment(*given, {options}, end=end, dtype=dtype, work=work)
        end = {{name: found.pop(name).copy() for name in end}}{take_x}
        for name, value in found.items():
            gradients[name] = gradients.get(name, 0) + value
    for name, value in end.items():
        shared = np.ndim(state.get(name, 0)) < 2
        gradients[name] = value.sum(axis=0) if shared else value{join_x}
    return loss, gradients
'''


class CheckpointedSource(ArraySource):
    """Prints the program of one segment, and what goes through the segments."""

    def text(self) -> str:
        program = self.program
        uses_x = program.model.cell.uses_input
        last, mean = program.model.losses == "last", program.model.losses == "mean"
        with_x = program.inputs and uses_x
        options = "final=final" if last else f"{self.names['1/T']}=1 / T" if mean else ""
        driver = DRIVER.format(
            wanted=' and "x"' if with_x else "",
            inputs="gradients_x = []" if with_x else "",
            x_part="x[part]" if uses_x else "None",
            final="k == len(parts) - 1",
            options=options,
            take_x='\n        gradients_x.insert(0, found.pop("x").copy())' if with_x else "",
            join_x='\n    gradients["x"] = np.concatenate(gradients_x)' if with_x else "",
        )
        if not last:
            driver = driver.replace("        final = k == len(parts) - 1\n", "")
        driver = driver.replace("(*given, , ", "(*given, ").replace("    \n", "")
        text = super().text().replace("import numpy as np\n", "import math\n\nimport numpy as np\n", 1)
        return text + driver

    def signature(self) -> list[str]:
        losses = self.program.model.losses
        lines = super().signature()
        start = next(i for i, line in enumerate(lines) if line.startswith("def "))
        extra = {"last": "final=True", "mean": f"{self.names['1/T']}=1.0"}.get(losses, "")
        names = (
            "params, x, d, state=None, *, " + (f"{extra}, " if extra else "") + "end=None, dtype=np.float64, work=None"
        )
        whole = f"def segment({names}):"
        lines[start : start + 1] = [whole] if len(whole) <= WIDTH else ["def segment(", INDENT + names, "):"]
        place = next(i for i, line in enumerate(lines) if "work: a dictionary" in line)
        lines.insert(place, "    end: what later steps leave to the states at the end; if None, only the forward pass")
        summary = next(i for i, line in enumerate(lines) if '"""L, and its gradients' in line)
        lines[summary] = '    """The part of some steps in L, with the states at their end or the gradients.'
        return lines

    def unpack(self) -> None:
        super().unpack()
        share = f"{INDENT}{self.names['1/T']} = 1 / T"
        if share in self.lines:  # of all steps, and given
            self.lines.remove(share)

    def between(self) -> None:
        """Without ``end`` nothing but the states at the end is wanted."""
        scale = f"{self.names['1/T']} * " if self.program.model.losses == "mean" else ""
        counted = " if final else 0.0" if self.program.model.losses == "last" else ""
        self.line(f"loss = float({scale}{self.names['l']}.sum()){counted}")
        self.line("if not np.isfinite(loss):")
        self.collected("forward", [n for n in self.computed(self.program.forward) if n in self.program.kept])
        self.line(f"{INDENT}raise overflow(forward, forward)")
        self.line("if end is None:")
        self.line(f"{INDENT}states = {{")
        for state in self.program.model.cell.initial_states:
            assert state.step is not None
            array = self.before(self.names[state.name], 0)
            self.line(f'{INDENT * 2}"{state}": {array}[{state.step - 1}].copy(),')
        self.line(f"{INDENT}}}")
        self.line(f"{INDENT}return loss, states")

    def enter(self, stage: Stage) -> None:
        """What later segments leave to the states of this stage."""
        names = {name.removeprefix("∂") for name in self.forward_of(stage).targets}
        for state in self.program.model.cell.initial_states:
            if state.name in names:
                assert state.step is not None
                array = self.before(self.names[f"∂{state.name}"], 0)
                self.line(f'{array}[{state.step - 1}] += end["{state}"]')

    def forward_of(self, stage: Stage) -> Stage:
        place = self.program.backward.index(stage)
        return self.program.forward[len(self.program.forward) - 1 - place]

    def backward(self, stage: Stage) -> None:
        if not stage.last:
            super().backward(stage)
            return
        begin = len(self.lines)
        super().backward(stage)
        body = self.lines[begin:]
        sums = [f"∂{name}" for name in self.program.model.cell.parameters if f"∂{name}" in stage.targets]
        self.lines[begin:] = [f"{INDENT}if final:", *(INDENT + line for line in body)]
        if sums:
            self.line("else:")
            for name in sums:
                self.line(f"{INDENT}{self.names[name]} = np.zeros_like({self.names[name[1:]]})")

    def results(self) -> None:
        """The gradients, those by initial states for each sample."""
        self.line()
        self.entries()
        forward = [n for n in self.computed(self.program.forward) if n in self.program.kept]
        backward = [n for n in self.computed(self.program.backward) if n in self.program.kept]
        self.line("if not all(np.isfinite(value).all() for value in gradients.values()):")
        self.collected("forward", forward)
        self.collected("backward", backward)
        self.line(f"{INDENT}raise overflow(forward, backward)")
        self.line("return loss, gradients")


def checkpointed_source(program: Program) -> str:
    """The program as a NumPy module that keeps the states every √T steps.

    >>> from rnn_symbolic.model import unroll
    >>> from rnn_symbolic.program import build_program
    >>> text = checkpointed_source(build_program(unroll("elman", activation="tanh", loss="squared", form="matrix")))
    >>> 'dh_all[-1] += end["h_0"]' in text
    True
    """
    return CheckpointedSource(program).text()
