"""The words of a derivation in English."""

from __future__ import annotations

from rnn_symbolic.derivation import Part
from rnn_symbolic.forms import Rule
from rnn_symbolic.render.prose import Prose

ENGLISH = Prose(
    titles={
        Part.FORWARD: "The forward pass, one equation per quantity and step",
        Part.IMMEDIATE: "The immediate partials, one per operand of each equation",
        Part.OUTPUTS: "From the loss to the outputs",
        Part.STATES: "From the loss to the states",
        Part.PATHS: "All paths from $L$ to <goal>",
        Part.SUM: "Their sum",
        Part.COLLECTED: "The factors that repeat along time, collected",
        Part.ADJOINT: "The same in one backward pass",
    },
    intros={
        Part.FORWARD: "Every quantity has a name of its own and is never substituted into another: this is what makes the "
        "paths visible. The weights are the same in every step.",
        Part.IMMEDIATE: "Each equation is differentiated once, by each quantity on its right-hand side, while all others "
        "are held fixed. This table, at a generic step $t$, is all the calculus there is; what follows is bookkeeping.",
        Part.OUTPUTS: "An output is read by the loss of its own step, where that step is scored.",
        Part.STATES: "A quantity $q$ reaches $L$ through its readers: the next outputs, states and losses that depend on it, in its own step or in later ones. "
        "$\\partial L/\\partial q$ is the sum over them: what each receives, times what leads from it to $q$ (in brackets where several ways do).",
        Part.PATHS: "A path starts at the loss of one step and follows the readers backwards until an equation mentions "
        "<goal>. Their number is <count>. The value of a path is the product of what leads from each node to the next, in the order of the "
        "route, which stands in the margin: immediate partials, or the sum over the ways where several lead through one step.",
        Part.SUM: "A quantity is differentiated by adding up all paths to it: each is one way in which a change of "
        "<goal> reaches $L$.",
        Part.COLLECTED: "Here everything is a scalar, so factors may change places, and those that repeat stand together.",
        Part.ADJOINT: "The paths that enter at the same step through the same equation end alike. What comes before, from all "
        "the losses, adds up to $\\partial L/\\partial$ of the quantity which that equation defines, or of the state it leads to. So the sum needs each $\\partial L/\\partial q$ only once: $O(T)$ products, however many paths there are.",
    },
    rules={
        Rule.CELL_EQUATION: "cell equation",
        Rule.STEP_LOSS: "loss of the step",
        Rule.TOTAL_LOSS: "total loss",
        Rule.LAST_LOSS: "last loss only",
        Rule.ADDEND: "an addend",
        Rule.CONSTANT_MULTIPLE: "constant multiple",
        Rule.WEIGHT: "linear in the operand",
        Rule.WEIGHTED: "linear in the weight",
        Rule.PRODUCT: "product rule",
        Rule.ACTIVATION: "slope of the activation",
        Rule.LOSS_SLOPE: "slope of the loss",
        Rule.POWER: "power rule",
        Rule.NESTED: "chain rule inside the equation",
        Rule.SEVERAL_MENTIONS: "one product per mention",
        Rule.LOGISTIC_CROSS_ENTROPY: "logistic and cross-entropy",
        Rule.ONLY_READER: "only one reader",
        Rule.SUM_OVER_READERS: "sum over the readers",
        Rule.ALONG_PATH: "product along the path",
        Rule.ALONG_PATH_COLLAPSED: "product along the path, collapsed",
        Rule.SUM_OVER_PATHS: "sum over all paths",
        Rule.NO_PATH: "no path",
        Rule.COLLECT: "scalars commute",
        Rule.GROUP_BY_ENTRY: "grouped by entry step",
    },
    reasons={
        Rule.CELL_EQUATION: "The cell's equations, written at the step of <subject>.",
        Rule.STEP_LOSS: "This is the loss that step <step> contributes.",
        Rule.TOTAL_LOSS: "The loss of the whole sequence is the sum (not the mean) of the losses of its steps.",
        Rule.LAST_LOSS: "Only the last step has a loss: the article's view of the three paths.",
        Rule.ADDEND: "It is an addend of <subject>, so the immediate partial is 1.",
        Rule.CONSTANT_MULTIPLE: "It stands in <subject> times a constant, and that constant is the partial.",
        Rule.WEIGHT: "Linear: the partial of <subject> is the weight that stands before it.",
        Rule.WEIGHTED: "Linear in the weight: the partial of <subject> is what the weight multiplies.",
        Rule.PRODUCT: "It stands in a factor of <subject>: the partial is the derivative of that factor times the other factors.",
        Rule.ACTIVATION: "The slope of the function, taken at its argument, is the partial of <subject>.",
        Rule.LOSS_SLOPE: "The loss of a step depends on the output of that step only; its slope there is the partial.",
        Rule.POWER: "The power rule, with the chain rule for what is raised.",
        Rule.NESTED: "Operations nested in one equation: the chain rule, the outermost first.",
        Rule.SEVERAL_MENTIONS: "The equation of <subject> mentions it more than once: one product for each mention.",
        Rule.LOGISTIC_CROSS_ENTROPY: "With $y = \\operatorname{logistic}(o)$ and $\\operatorname{logistic}'(o) = y\\,(1 - y)$ "
        "the two factors multiply to $y - d$; nothing is left that could be divided by zero.",
        Rule.ONLY_READER: "One reader each, so one term: <subject>.",
        Rule.SUM_OVER_READERS: "Several readers each, and one term for each of them: <subject>.",
        Rule.ALONG_PATH: "Every immediate partial along the route is replaced by its entry in the table.",
        Rule.ALONG_PATH_COLLAPSED: "Every immediate partial along the route is replaced by its entry in the table, and the first two by their "
        "product $y - d$.",
        Rule.SUM_OVER_PATHS: "A total derivative is the sum over all paths: each contributes the product along it.",
        Rule.NO_PATH: "No path leads from $L$ to <subject>: the empty sum is 0.",
        Rule.COLLECT: "Scalars commute, so the slopes and the recurrent weights can be brought together.",
        Rule.GROUP_BY_ENTRY: "The paths that enter at one step through one equation have their last factors in common; what stands before "
        "these, added over all such paths, is the derivative of $L$ written in front.",
    },
    phrases={
        "title": "The gradient of $L$ with respect to <goal>",
        "title-several": "The gradients of $L$ with respect to <goals>",
        "title-sub": "The gradient with respect to <goal>",
        "model": "The cell is <cell>, unrolled for <steps>.",
        "step-one": "$T = 1$ step",
        "steps": "$T = <T>$ steps",
        "conventions": "Conventions",
        "scalar": "Everything is a scalar (the article computes with numbers). A gradient and a Jacobian are then the same "
        "number, so <layout> needs no transposes. A weight has no step: it is shared by all.",
        "layout-gradient": "the gradient layout (the shape of the parameter)",
        "layout-jacobian": "the Jacobian layout (numerator layout)",
        "partials": "$\\partial L/\\partial q$ is the total derivative: everything that depends on $q$ moves. "
        "$\\partial^{+} p/\\partial q$ is the immediate partial: only the one equation that defines $p$ is "
        "differentiated, all its other operands stand still.",
        "abstract-activation": "$\\sigma$ is any differentiable function and $\\sigma'$ its derivative, "
        "always taken at the pre-activation: $\\sigma'(<a>)$, not $\\sigma'(<h>)$.",
        "activation": "The activation is $<symbol>$, with $<symbol>'(z) = <slope>$ taken at the pre-activation.",
        "activation-formula": "The activation is $<symbol>$, with derivative $<slope>$.",
        "activation-identity": "The activation is the identity: its slope 1 is not written.",
        "output-activation": "The output has an activation of its own, $<symbol>$, with $<symbol>'(z) = <slope>$.",
        "output-activation-formula": "The output has an activation of its own, $<symbol>$, with derivative $<slope>$.",
        "output-activation-identity": "The output activation is the identity: its slope 1 is not written.",
        "function": "The derivative of $<symbol>$ is $<symbol>'(z) = <slope>$.",
        "function-formula": "The derivative of $<symbol>$ is $<slope>$.",
        "kink": "$<symbol>$ has no derivative at 0; by convention $<symbol>'(0) = 0$.",
        "loss-abstract": "$\\ell_{t}$ is any differentiable loss of the output $y_{t}$ (with the target $d_{t}$ inside), "
        "$\\ell_{t}'$ its derivative with respect to $y_{t}$.",
        "loss-squared": "The loss of a step is $\\tfrac{1}{2}(y_{t} - d_{t})^{2}$ (with the factor one half).",
        "loss-cross-entropy": "The loss of a step is the cross-entropy $<formula>$.",
        "loss-cell": "The loss of a step is the cell's own: $<formula>$.",
        "losses-all": "$L = \\sum_{t} \\ell_{t}$ is the sum over all steps, not the mean.",
        "losses-last": "$L = \\ell_{T}$: only the last step is scored (the article's view).",
        "lag": "The lag of a path is its loss step minus its entry step, the step of the equation that mentions the goal.",
        "elision": "Above six steps dots stand for what is left out: tables show their first two steps and the last; sums "
        "over the steps their first two terms and the last; of the paths are shown those from the latest and the earliest "
        "loss that has any, up to <most> of each of the two shortest lags and one of the longest; of a path through more "
        "than six steps, the factors of its first two steps and of its last. Nothing is left out of a sum's value; --all "
        "prints everything.",
        "paths-shown": "Shown: <shown> of <count>.",
        "no-recurrent": "No factor repeats along time: this gradient neither vanishes nor explodes with the lag.",
        "brace": " The exact product comes first; the shorthand under its brace (in brackets behind it) writes the different "
        "values of a slope as one.",
        "shorthand": "The shorthand $<short>$ is a way of writing: it stands for $<exact>$, whose <k> slopes are taken at "
        "different pre-activations.",
        "shorthand-before": " From $L$'s point of view the factors before it come on top: $<before>$.",
        "checked": "What was checked",
        "checked-structure": "No line is missing or out of place: the rows are those of the cell's equations, the lines those of the rows.",
        "checked-lines": "<number> lines: both sides agree at a random point (seed <seed>, relative error <error>); total "
        "derivatives by complex steps of the forward pass, immediate ones by complex steps of the one equation.",
        "checked-lines-skipped": "Lines too long to be evaluated in the same way: <skipped>.",
        "checked-gradient": "The sum over all paths (<number> in all) equals a complex step of the forward pass (relative error <error>).",
        "checked-adjoint": "The adjoint recursion over the table gives the same (gradients compared: <number>, relative error <error>).",
        "checked-count": "As many paths are listed as dynamic programming counts: <number>.",
        "checked-count-skipped": "Counted by dynamic programming, not listed: <number> paths.",
        "checked-sympy": "Proved: the sum over the paths minus SymPy's own derivative of the inlined loss expands to 0, for "
        "every $\\sigma$ and $\\ell_{t}$ that the model leaves open.",
        "checked-sympy-concrete": "Proved: the sum over the paths minus SymPy's own derivative of the inlined loss expands to 0.",
        "checked-sympy-skipped": "SymPy's proof was not attempted: it is made up to $T = <T>$ and <paths> paths.",
        "checked-sympy-hint": "Not yet compared with SymPy: up to $T = <T>$, --verify proves the sum equal to SymPy's own "
        "derivative.",
        "checked-failed": "FAILED (<check>): <detail>",
        "checked-none": "No numbers: <detail>",
        "for-goal": "<goal>:",
    },
)
