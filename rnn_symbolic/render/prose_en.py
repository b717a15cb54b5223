"""The words of a derivation in English."""

from __future__ import annotations

from rnn_symbolic.forms import Rule
from rnn_symbolic.render.prose import Prose
from rnn_symbolic.sections import Part

ENGLISH = Prose(
    titles={
        Part.FORWARD: "The forward pass, one equation per quantity and step",
        Part.IMMEDIATE: "The immediate partials, one per operand of each equation",
        Part.BLOCKS: "The Jacobian of the state, block by block",
        Part.ENTRIES: "How <goal> enters the state",
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
        Part.BLOCKS: "All that one step hands on to the next is its state. Each block of its Jacobian is expanded here, once; "
        "below, only its name is written. A block adds up the ways through the quantities of one step.",
        Part.ENTRIES: "<goal> enters through the equations that mention it. What they define reaches the state of the "
        "same step in these ways.",
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
        Rule.MEAN_LOSS: "mean loss",
        Rule.SUM_TRANSPOSED: "transposed, in reversed order",
        Rule.SUM_JACOBIAN: "rows, in the order of the route",
        Rule.SUM_OUTER: "outer products, the rows transposed",
        Rule.SUM_OUTER_JACOBIAN: "v times a row",
        Rule.DIAGONAL: "elementwise function: diagonal",
        Rule.ELEMENTWISE: "elementwise product: diagonal",
        Rule.MATRIX: "linear: the matrix itself",
        Rule.STACKED: "linear in the matrix",
        Rule.IDENTITY: "an addend: identity",
        Rule.COLUMN: "scalar times a vector",
        Rule.LOSS_ROW: "a number by a column: a row",
        Rule.SUM_ROW: "a sum over components: a row",
        Rule.SOFTMAX: "softmax",
        Rule.SOFTMAX_CROSS_ENTROPY: "softmax and cross-entropy",
        Rule.DISTRIBUTE: "distribute",
        Rule.DIVIDE_OUT: "divide out",
        Rule.FACTOR_OUT: "collect terms",
        Rule.TARGETS_SUM_TO_ONE: "the target sums to 1",
        Rule.SLOPE_BY_VALUE: "the slope by its value",
        Rule.JOINT_BLOCKS: "by blocks",
        Rule.BLOCK: "ways within the step",
        Rule.STATE_PRODUCT: "step by step",
        Rule.STATE_RECURSION: "by the last step",
        Rule.POWERS: "equal neighbours",
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
        Rule.MEAN_LOSS: "The loss of the whole sequence is the mean of the losses of its steps: each counts with the factor $1/T$.",
        Rule.SUM_TRANSPOSED: "A total derivative is the sum over all paths. Along a path the factors multiply to a row; the gradient is "
        "a column, so each product is transposed, and $(A\\,B)^{\\top} = B^{\\top} A^{\\top}$ reverses its order: read from right to "
        "left, it goes from the loss back to the parameter. A diagonal matrix is its own transpose.",
        Rule.SUM_OUTER: "A total derivative is the sum over all paths. Along a path the factors multiply to a row $r$, and the last of them, "
        "$v^{\\top} \\otimes I$, makes it a row of the stacked parameter. As a matrix of the parameter's shape that is the outer product $r^{\\top} v^{\\top}$, "
        "with $r$ transposed: $(A\\,B)^{\\top} = B^{\\top} A^{\\top}$ reverses its order.",
        Rule.SUM_JACOBIAN: "A total derivative is the sum over all paths, each a product in the order of its route: a row.",
        Rule.SUM_OUTER_JACOBIAN: "A total derivative is the sum over all paths, each a product in the order of its route: a row. By a matrix, "
        "a row $r$ with last factor $v^{\\top} \\otimes I$ is written $v\\,r$: the numerator layout, the transposed shape of the parameter.",
        Rule.DIAGONAL: "The function acts on each component by itself, so the Jacobian of <subject> is diagonal, with the slopes on it.",
        Rule.ELEMENTWISE: "It stands in an elementwise product of <subject>: each component is multiplied by its own factor, a diagonal matrix.",
        Rule.MATRIX: "Linear: the Jacobian of <subject> is the matrix itself, not its transpose: rows belong to what is differentiated.",
        Rule.STACKED: "Linear in the matrix: entry $W_{kl}$ moves component $k$ by $v_{l}$, what the matrix is applied to.",
        Rule.IDENTITY: "It is an addend of <subject>: each component moves with its own, which is the identity matrix.",
        Rule.COLUMN: "A number times a vector: the derivative of <subject> by that number is the vector, a column.",
        Rule.LOSS_ROW: "A number differentiated by a column is a row: the transposed gradient of the loss.",
        Rule.SUM_ROW: "A sum over the components of elementwise terms: each component has its own slope, and together they are a row.",
        Rule.SOFTMAX: "Every component of softmax depends on every argument through the normalisation: $\\operatorname{diag}(p) - p\\,p^{\\top}$, not diagonal.",
        Rule.SOFTMAX_CROSS_ENTROPY: "With $y = \\operatorname{softmax}(o)$ the two factors multiply to the row $(y - d)^{\\top}$: along a path, nothing is left that could be divided by zero.",
        Rule.DISTRIBUTE: "The row is multiplied into both terms of the Jacobian.",
        Rule.DIVIDE_OUT: "The quotient and the product with $y$ undo each other, component by component; $\\mathbf{1}^{\\top} d$ is the sum of the target.",
        Rule.FACTOR_OUT: "What is left is one row.",
        Rule.TARGETS_SUM_TO_ONE: "A target is a distribution: $\\mathbf{1}^{\\top} d_{t} = 1$. Where it is not, the line before is the one that holds, and numbers are computed with it.",
        Rule.SLOPE_BY_VALUE: "The slope of the logistic function is $y \\odot (1 - y)$.",
        Rule.JOINT_BLOCKS: "A derivative of several quantities by several: its blocks, rows in the order of the states; 0 where nothing leads.",
        Rule.BLOCK: "The ways that lead there within one step, added where there are several; a way through another state of that step uses that state's own block.",
        Rule.STATE_RECURSION: "The last step looks back by more than one step: one term for each step that it looks back to, times what leads on from there.",
        Rule.STATE_PRODUCT: "The chain rule from state to state: one Jacobian for each step, the latest first. They do not commute.",
        Rule.POWERS: "Equal neighbours are written as a power. Nothing changes places: no activation stands between the matrices.",
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
        "these, added over all such paths, is the derivative of $L$ that each term names.",
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
        "checked-count": "Enumerating the paths one by one gives as many as dynamic programming counts: <number>.",
        "checked-sympy-softmax": "SymPy's proof is made at size 1, where softmax is the constant 1; it would prove nothing here.",
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
        "loss-abstract-matrix": "$\\ell_{t}$ is any differentiable loss of the output $y_{t}$ (with the target $d_{t}$ inside), $\\nabla \\ell_{t}$ its "
        "gradient, a column.",
        "loss-squared-matrix": "The loss of a step is $\\tfrac{1}{2} \\sum_{i} (y_{t,i} - d_{t,i})^{2}$ (with the factor one half).",
        "losses-mean": "$L = \\tfrac{1}{T} \\sum_{t} \\ell_{t}$ is the mean over the steps, not the sum.",
        "matrix": "Vectors are columns. A Jacobian $\\partial p/\\partial q$ stands in numerator layout: its rows belong to $p$, its columns to "
        "$q$, so the product along a path keeps the order of the route. A weight has no step: it is shared by all.",
        "matrix-gradient": "Gradients of $L$ are written in the gradient layout: $\\nabla_{q} L$ has the shape of $q$ and is the transposed row "
        "$\\partial L/\\partial q$. That is why factors appear transposed and in reversed order.",
        "matrix-jacobian": "Gradients of $L$ are written in the Jacobian (numerator) layout too: $\\partial L/\\partial q$ is a row, and for a matrix it has "
        "the transposed shape of the parameter.",
        "matrix-vec": "By a matrix $W$ one differentiates by $\\operatorname{vec} W$, its columns one under another; $\\otimes$ is the Kronecker product. "
        "An outer product takes its place in the gradient.",
        "matrix-elementwise": "$\\odot$, quotients, powers and functions act on each component; a number added to a vector is added to each component.",
        "matrix-sizes": "Shapes: <shapes>.",
        "joint": "$<joint>$ stands for the states of step $t$, one under another. In a block such as $<block>$ the other states of the earlier step "
        "stand still: a path leaves that step by an edge to the next one. In $<loss>$ and in the derivative of $L$ by the joint state the states "
        "of step $t$ are independent of one another too; only what a quantity does to the joint state of its own step includes what "
        "one state does to another there.",
        "immediate-blocks": " In $<block>$ the states in between stand still too: it is the immediate partial of the whole step.",
        "single-joint": "In $<block>$ only what step $t$ does with the state counts.",
        "target-sum": "Targets are distributions: the components of $d_{t}$ sum to 1.",
        "ordered": "Matrices do not commute: the factors of a path stay in order. Slopes stand between the recurrent weights, so these are not "
        "neighbours, and the shorthand $\\sigma'^{k} W^{k-1}$ of the scalar form is not available.",
        "highway": "$<block>$ contains $<way>$: a way from the state to itself that passes no weight. Along several steps it multiplies to "
        "$<product>$, the highway: this direct path carries no power of a weight matrix.",
        "highway-others": " Every other way within this block passes a weight.",
        "softmax": "$\\operatorname{softmax}(z)_{i} = \\exp(z_{i})/\\sum_{k} \\exp(z_{k})$; its Jacobian is $\\operatorname{diag}(p) - p\\,p^{\\top}$ with "
        "$p = \\operatorname{softmax}(z)$.",
        "highway-identity": "$<block>$ contains the identity, the skip: a way from the state to itself that passes neither weight nor slope. Along any "
        "number of steps it stays $<way>$: this direct path neither vanishes nor explodes.",
        "no-highway": "Every way from a state to its own value one step earlier passes a weight: there is no highway.",
        "checked-size": "SymPy's proof is made for the reading at size 1.",
    },
    matrix_intros={
        Part.STATES: "A quantity $q$ reaches $L$ through its readers: the next outputs, states and losses that depend on it, in its own step or in "
        "later ones. The row $\\partial L/\\partial q$ is the sum over them: what each receives, times the Jacobian that leads from it to $q$; as a "
        "column, the transposed Jacobian times what the reader receives.",
        Part.IMMEDIATE: "Each equation is differentiated once, by each quantity on its right-hand side, while all others are held fixed. "
        "This table, at a generic step $t$, is all the calculus there is; why each entry is a matrix, a diagonal or a Kronecker product is said beside it.",
        Part.PATHS: "A path starts at the loss of one step and follows the readers backwards until an equation mentions <goal>. Their number is <count>. "
        "The value of a path is the product of the Jacobians from each node to the next, in the order of the route, which stands in the margin.",
        Part.COLLECTED: "No activation stands between the recurrent matrices here, so equal ones are neighbours.",
    },
    matrix_reasons={
        Rule.CONSTANT_MULTIPLE: "It stands in <subject> times a constant: that constant, times the identity.",
        Rule.NESTED: "Operations nested in one equation: the chain rule, the outermost first, so that each Jacobian is applied to what stands right of it.",
        Rule.ONLY_READER: "For <subject>: one reader, so one term. What the reader receives is multiplied by the Jacobian that leads to it; as a "
        "column, by the transposed Jacobian from the left.",
        Rule.SUM_OVER_READERS: "For <subject>: several readers, and one term for every reader. Each term is what the reader receives times the "
        "Jacobian that leads to it; as a column, the transposed Jacobian stands on the left.",
        Rule.ALONG_PATH: "Every immediate partial is replaced by its entry in the table; the order is that of the route, and may not be changed.",
    },
    proofs={
        Rule.DIAGONAL: "Entry by entry: $h_{i} = \\varphi(a_{i})$, so $\\partial h_{i}/\\partial a_{j} = \\varphi'(a_{i})\\,\\delta_{ij}$.",
        Rule.ELEMENTWISE: "Entry by entry: $(u \\odot v)_{i} = u_{i}\\,v_{i}$, so $\\partial (u \\odot v)_{i}/\\partial v_{j} = u_{i}\\,\\delta_{ij}$.",
        Rule.MATRIX: "Entry by entry: $(W v)_{i} = \\sum_{j} W_{ij}\\,v_{j}$, so $\\partial (W v)_{i}/\\partial v_{j} = W_{ij}$.",
        Rule.STACKED: "Entry by entry: $\\partial (W v)_{i}/\\partial W_{kl} = \\delta_{ik}\\,v_{l}$, the entry of $v^{\\top} \\otimes I$ in row $i$ and "
        "column $(k, l)$. A row $r$ before it gives $\\sum_{i} r_{i}\\,\\delta_{ik}\\,v_{l} = r_{k}\\,v_{l}$, the entry $(k, l)$ of $r^{\\top} v^{\\top}$.",
        Rule.IDENTITY: "Entry by entry: $\\partial (u_{i} + v_{i})/\\partial u_{j} = \\delta_{ij}$.",
        Rule.COLUMN: "Entry by entry: $\\partial (\\tau\\,u_{i})/\\partial \\tau = u_{i}$.",
        Rule.LOSS_ROW: "Entry by entry: the row has $\\partial \\ell_{t}/\\partial y_{j}$ in column $j$, and so has $(\\nabla \\ell_{t})^{\\top}$.",
        Rule.SUM_ROW: "Entry by entry: $\\partial \\sum_{i} \\varphi(u_{i})/\\partial u_{j} = \\varphi'(u_{j})$.",
        Rule.SOFTMAX: "Entry by entry: with $p_{i} = \\exp(z_{i})/\\sum_{k} \\exp(z_{k})$ one has $\\partial p_{i}/\\partial z_{j} = p_{i}\\,\\delta_{ij} - p_{i}\\,p_{j}$.",
        Rule.SUM_TRANSPOSED: "Entry by entry: $(\\nabla_{q} L)_{j} = \\sum_{i} (\\partial L/\\partial r_{i})\\,(\\partial r_{i}/\\partial q_{j}) = \\sum_{i} (J^{\\top})_{ji}\\,(\\nabla_{r} L)_{i}$, "
        "and $((A\\,B)^{\\top})_{ij} = \\sum_{k} A_{jk}\\,B_{ki} = (B^{\\top} A^{\\top})_{ij}$.",
        Rule.SUM_OUTER_JACOBIAN: "Entry by entry: $(\\partial L/\\partial W)_{lk} = \\partial L/\\partial W_{kl} = r_{k}\\,v_{l} = (v\\,r)_{lk}$.",
        Rule.SUM_OUTER: "Entry by entry: $(\\nabla_{W} L)_{kl} = \\partial L/\\partial W_{kl} = r_{k}\\,v_{l} = (r^{\\top} v^{\\top})_{kl}$, and $((A\\,B)^{\\top})_{ij} = \\sum_{k} A_{jk}\\,B_{ki} = (B^{\\top} A^{\\top})_{ij}$.",
        Rule.SUM_JACOBIAN: "Entry by entry: $(\\partial L/\\partial q)_{j} = \\sum_{i} (\\partial L/\\partial r_{i})\\,(\\partial r_{i}/\\partial q_{j})$, a row times a matrix.",
        Rule.STATE_PRODUCT: "Entry by entry: $\\partial p_{i}/\\partial q_{j} = \\sum_{k} (\\partial p_{i}/\\partial r_{k})\\,(\\partial r_{k}/\\partial q_{j})$ over the components $k$ of the state in between.",
        Rule.JOINT_BLOCKS: "Entry by entry: the entry in the rows of $p$ and the columns of $q$ is $\\partial p_{i}/\\partial q_{j}$.",
        Rule.SOFTMAX_CROSS_ENTROPY: "Entry by entry: $-\\sum_{i} (d_{i}/y_{i})\\,(y_{i}\\,\\delta_{ij} - y_{i}\\,y_{j}) = -d_{j} + y_{j} \\sum_{i} d_{i}$.",
        Rule.GROUP_BY_ENTRY: "Entry by entry: $\\sum_{t} \\sum_{i} (\\partial \\ell_{t}/\\partial r_{i})\\,(\\partial r_{i}/\\partial q_{j}) = \\sum_{i} (\\partial L/\\partial r_{i})\\,(\\partial r_{i}/\\partial q_{j})$.",
        Rule.ONLY_READER: "Entry by entry: $\\partial L/\\partial q_{j} = \\sum_{i} (\\partial L/\\partial r_{i})\\,(\\partial r_{i}/\\partial q_{j})$, the sum over the components of the reader $r$.",
        Rule.SUM_OVER_READERS: "Entry by entry: $\\partial L/\\partial q_{j} = \\sum_{r} \\sum_{i} (\\partial L/\\partial r_{i})\\,(\\partial r_{i}/\\partial q_{j})$, over the readers $r$ and their components.",
        Rule.NESTED: "Entry by entry: $\\partial p_{i}/\\partial q_{j} = \\sum_{k} (\\partial p_{i}/\\partial z_{k})\\,(\\partial z_{k}/\\partial q_{j})$, the product of two matrices.",
        Rule.BLOCK: "Entry by entry: $\\partial p_{i}/\\partial q_{j}$ is the sum over the ways, and along a way the sum over all components in between.",
    },
)
