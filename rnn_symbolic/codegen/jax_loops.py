"""The stages of a program over JAX arrays: statements over all steps, and scans.

forward    h_T, stack of h_t = lax.scan(forward_step, h_0, a)                the carry is the states
backward   dh_0, stack of da_t = lax.scan(backward_step, 0, dh, reverse)     … is what is left to earlier steps
"""

from __future__ import annotations

from rnn_symbolic.codegen.comments import written
from rnn_symbolic.codegen.jax_plan import Loop, plan_loop, targets_of
from rnn_symbolic.codegen.jax_statements import JaxStatements, Scope
from rnn_symbolic.codegen.layout import INDENT, WIDTH, assigned, sequence, tuple_text, unpacked
from rnn_symbolic.expressions import Quantity
from rnn_symbolic.program import Stage


class JaxLoops(JaxStatements):
    """Writes the forward and backward stages into ``lines``."""

    def write(self) -> None:
        """All stages."""
        self.comment("forward pass")
        for stage in self.forward:
            self.stage = stage
            said: set[str] = set()
            self.all_of(stage.before, said)
            self.loop(stage, said) if stage.looped else self.all_of(stage.statements, said)
        self.lines.append("")
        self.comment("backward pass: d… is the derivative of L by …")
        for stage in self.backward:
            self.stage = stage
            self.loop(stage, set()) if stage.looped else self.all_of(stage.statements, set())
            self.all_of(stage.after, set())

    def loop(self, stage: Stage, said: set[str]) -> None:
        """A scan: the function of one step, and its call."""
        body = {id(statement) for statement in stage.statements}
        everything = (s for other in (*self.forward, *self.backward) for s in other.everything)
        loop = plan_loop(stage, [s for s in everything if id(s) not in body], self.outside)
        if not loop.carried and not loop.kept:
            return
        backward = any(q.name.startswith("∂") for q in targets_of(stage.statements[0]))
        outer, inner = self.scope, Scope(inside=True)
        given, names = self.handed_in(loop, inner)
        carry, starts, results = self.carried(loop, inner, backward)
        function = self.special(f"step {id(stage)}", f"{'backward' if backward else 'forward'}_step")
        arguments = [carry[0] if len(carry) == 1 else "carry", (names or ["_"])[0] if len(names) < 2 else "inputs"]
        self.lines += ["", f"{self.indent}def {function}({', '.join(arguments)}):"]
        self.scope, self.indent = inner, self.indent + INDENT
        what = "what later steps leave to it" if backward else "the states before it"
        self.lines.append(f'{self.indent}"""Step t, from {what}."""')
        for several, name in ((carry, "carry"), (names, "inputs")):
            if len(several) > 1:
                self.lines += unpacked(self.indent, several, name)
        for q in loop.inputs:
            if backward and q.name in loop.carried and not q.step:
                self.comments = [f"∂L/∂{forward_name(q)} += what later steps leave to it"]
                self.into(q, self.special(f"{q.name} later", ""), adds=True)
        self.all_of(stage.statements, said)
        kept = self.handed_out(loop, outer, backward)
        shift = 1 if backward else 0
        after = [
            self.before(name, k) if k else self.names[name]
            for name, lag in loop.carried.items()
            for k in range(shift, lag + shift)
        ]
        self.give_back(after, kept)
        self.scope, self.indent = outer, self.indent.removesuffix(INDENT)
        self.lines.append("")
        self.scan(function, starts, given, results, kept, backward)

    def handed_in(self, loop: Loop, inner: Scope) -> tuple[list[str], list[str]]:
        """The stacks that a loop goes through, and what they are called within."""
        given: list[str] = []
        names: list[str] = []
        for q in loop.inputs:
            group = self.group_of.get(q.name, ()) if not q.step else ()
            whole = group and "joined" in self.scope.forms.get(group, set())
            if whole and all(Quantity(name, 0, "t") in loop.inputs for name in group):
                if self.joined[group] in given:
                    continue
                given.append(self.joined[group])
                names.append(self.joined[group])
                inner.forms[group] = {"joined"}
            else:
                given.append(self.read(q))
                names.append(self.variable(q))
                if group:
                    inner.forms[group] = {"members"}
        inner.known.update(names)
        return given, names

    def carried(self, loop: Loop, inner: Scope, backward: bool) -> tuple[list[str], list[str], list[str]]:
        """What a loop carries, what it begins with, and what is left of it after the loop."""
        carry: list[str] = []
        starts: list[str] = []
        results: list[str] = []
        for name, lag in loop.carried.items():
            state = name.removeprefix("∂")
            initial = [Quantity(state, -back) for back in range(lag)]
            if not backward:
                carry += [self.before(name, k) for k in range(1, lag + 1)]
                starts += [self.initial(q) for q in initial]
                continue
            outside = Quantity(name, 0, "t") in loop.inputs
            own = self.names[name]
            carry.append(self.special(f"{name} later", f"{own}_later") if outside else own)
            carry += [self.before(name, k) for k in range(1, lag)]
            starts += [f"jnp.zeros_like({self.initial(q)})" for q in initial]
            results += [self.initial(q, "∂") for q in initial]
        inner.known.update(carry)
        return carry, starts, results

    def handed_out(self, loop: Loop, outer: Scope, backward: bool) -> list[str]:
        """The variables of a step whose stacks are read elsewhere."""
        kept: list[str] = []
        for name in loop.kept:
            group = self.group_of.get(name)
            found = self.names[name]
            if group is not None:
                if backward and "joined" in self.scope.forms.get(group, set()):
                    found, outer.forms[group] = self.joined[group], {"joined"}
                else:
                    self.as_members(group)
                    outer.forms[group] = {"members"}
            if found not in kept:
                kept.append(found)
        return kept

    def give_back(self, after: list[str], kept: list[str]) -> None:
        texts = [tuple_text(after), tuple_text(kept) if kept else "None"]
        for i, (names, variable) in enumerate(((kept, "kept"), (after, "carry"))):
            line = f"{self.indent}return {', '.join(texts)}"
            if len(line) > WIDTH and len(names) > 1:
                self.lines += sequence(self.indent, f"{variable} =", names)
                texts[1 - i] = variable
        self.lines.append(f"{self.indent}return {', '.join(texts)}")

    def scan(
        self, function: str, starts: list[str], given: list[str], results: list[str], kept: list[str], backward: bool
    ) -> None:
        """The call of a scan, and what it gives."""
        for names, variable in ((starts, "start"), (given, "inputs")):
            if len(names) > 1:
                self.lines += sequence(self.indent, f"{variable} =", names)
        start = starts[0] if len(starts) == 1 else "start" if starts else "()"
        over = given[0] if len(given) == 1 else "inputs" if given else "length=T"
        call = f"lax.scan({function}, {start}, {over}{', reverse=True' if backward else ''})"
        texts = [tuple_text(results) if results else "_", tuple_text(kept) if kept else "_"]
        unpack = len(f"{self.indent}{', '.join(texts)} = {call}") > WIDTH
        for i, (names, variable) in enumerate(((results, "last"), (kept, "kept"))):
            if unpack and len(names) > 1:
                texts[i] = variable
        self.lines += assigned(self.indent, f"{', '.join(texts)} =", call)
        for names, text in ((results, texts[0]), (kept, texts[1])):
            if unpack and len(names) > 1:
                self.lines += unpacked(self.indent, names, text)
        self.scope.known.update([*results, *kept])


def forward_name(adjoint: Quantity) -> str:
    """hₜ, of ∂h[t]."""
    return written(Quantity(adjoint.name.removeprefix("∂"), adjoint.step, adjoint.index))
