r"""The review of the article in English. Results enter through placeholders only."""

from __future__ import annotations

from rnn_symbolic.article import Verdict
from rnn_symbolic.render.article_prose import ArticleProse, ClaimProse, Erratum, Show

_FORWARD = (r"$t$", r"$a_{t}$", r"$h_{t}$", r"$o_{t}$", r"$y_{t}$", r"$y_{t} - d_{t}$")
_PATHS = ("path from $L$", "its factors, in order", "value")
_TRIPLES = ("$x_{1}$", "$x_{2}$", "$x_{3}$", "factor", "$x_{2}$ less", "$x_{2}$ more")

CLAIMS = {
    "forward-equations": ClaimProse(
        "The forward equations",
        r"$h_{1} = \sigma(W_{h} h_{0} + W_{x} x_{1} + b_{h})$, $y_{1} = \sigma(W_{y} h_{1} + b_{y})$, "
        r"and likewise for $t = 2$ and $t = 3$.",
        r"Right as written. We only give names to the arguments of $\sigma$, which the article leaves unnamed: "
        r"$a_{t}$ for the hidden state and $o_{t}$ for the output. The derivatives are taken there.",
        (
            Show("lines"),
            r"We unrolled the article's equations and our cell elman, inlined both and subtracted: "
            r"$«identical»$ of $«compared»$ differences are zero, for every $\sigma$ and all values.",
        ),
    ),
    "shared-weights": ClaimProse(
        "The same weights at every step",
        "“every pass uses the same input weights”, and the same hidden weights.",
        r"Right, and true of every parameter. It is also the reason why a gradient is a sum: "
        r"a weight that is read several times receives a contribution from each reading.",
        (
            Show("readers", ("parameter", "read by", "times")),
            r"At $T = «steps»$ the equations have $«parameters»$ parameters, at $T = «long»$ they have "
            r"$«parameters_long»$.",
        ),
    ),
    "total-loss": ClaimProse(
        "The loss is the sum of the losses of the steps",
        "“loss1 + loss2 + loss3 = L”.",
        r"A good definition for a network with an output at each step. But it binds what follows: every $\ell_{t}$ "
        r"has paths of its own to $W_{x}$, and from this $L$ there are $«paths»$ of them.",
        (Show("line"), Show("by_loss", ("loss", r"paths to $W_{x}$"))),
    ),
    "state-gradient": ClaimProse(
        r"From $L$ to $h_{3}$ there is one path",
        r"“from $L$ to $h_{3}$ it goes $L \to y_{3} \to h_{3}$”.",
        r"Right and complete, because only $y_{3}$ reads $h_{3}$. It must not be carried over to $h_{2}$ and $h_{1}$: "
        r"each of them has two readers, its own output and the next state.",
        (
            r"Paths from $L$: $«to_h3»$ to $h_{3}$, $«to_h2»$ to $h_{2}$, $«to_h1»$ to $h_{1}$. "
            r"SymPy's derivative of $L$ with respect to $h_{3}$ minus the one path is zero: «whole».",
            Show("readers"),
            r"What the way through $h_{3}$ leaves out of $\frac{\partial L}{\partial h_{2}}$ is exactly "
            r"$«short»$ (SymPy agrees: «rest_is_short»).",
        ),
    ),
    "three-gradients": ClaimProse(
        "Which gradients are needed",
        "“the first is the derivative of the error with respect to the input weights, the second with respect to the "
        "hidden weights, the third with respect to the output weights”.",
        r"Complete for a network without biases. The equations have them: $«biases»$ need gradients too. "
        r"They cost nothing new: put $1$ in the place of $x_{s}$, and of $h_{t}$.",
        (
            r"The equations have $«parameters»$ parameters, of which $«weights»$ are weights; the article lists $«listed»$.",
            r"There are $«to_b_h»$ paths to $b_{h}$, and each path to $W_{x}$ is one of them times $x_{s}$: «b_h_like_W_x». "
            r"There are $«to_b_y»$ to $b_{y}$, and each path to $W_{y}$ is one of them times $h_{t}$: «b_y_like_W_y».",
        ),
    ),
    "three-paths": ClaimProse(
        r"The paths from $L$ to $W_{x}$",
        r"“the first is $L \to y_{3} \to h_{3} \to W_{x}$, the second $L \to y_{3} \to h_{3} \to h_{2} \to W_{x}$, "
        r"the third $L \to y_{3} \to h_{3} \to h_{2} \to h_{1} \to W_{x}$”.",
        r"All $«real»$ exist, but there are $«paths»$. The $«absent»$ that leave through $\ell_{2}$ and $\ell_{1}$ are "
        r"missing. For $T$ steps the same list keeps $T$ paths of $\tfrac{1}{2} T (T + 1)$.",
        (
            "Missing are:",
            Show("lines"),
            r"The program counts for other lengths (the general formula agrees with every row: «formula_holds»):",
            Show("counts", ("$T$", "listed in this way", "all paths", "share"), digits=3),
        ),
    ),
    "three-path-sum": ClaimProse(
        r"The three paths add up to the gradient",
        r"“add the derivative along the third path, and that is the derivative of $L$ with respect to $W_{x}$”.",
        r"The sum is exactly $\frac{\partial \ell_{3}}{\partial W_{x}}$. It is $\frac{\partial L}{\partial W_{x}}$ only "
        r"if $L = \ell_{3}$. With $L = \ell_{1} + \ell_{2} + \ell_{3}$ even its sign can be wrong, and a step of gradient "
        r"descent then goes uphill.",
        (
            r"SymPy, for every $\sigma$ and $\ell_{t}$: the three paths minus $\frac{\partial \ell_{3}}{\partial W_{x}}$ "
            r"is zero: «three_is_last»; the three paths minus $\frac{\partial L}{\partial W_{x}}$ is zero: «three_is_all»; "
            r"all paths minus $\frac{\partial L}{\partial W_{x}}$ is zero: «six_is_all».",
            r"Ordinary numbers. We drew $«tried»$ random points with $\sigma = \tanh$ and "
            r"$\ell_{t} = \tfrac{1}{2} (y_{t} - d_{t})^{2}$; at $«opposite»$ of them the two sums have opposite signs. "
            r"The clearest one, with $h_{0} = 0$:",
            Show("point"),
            Show("values", ("path", "value")),
            r"The three paths give $«three»$, the gradient is $«gradient»$. A complex step of the forward pass, "
            r"which knows no paths, says $«confirmed»$.",
            r"To be checked with a pencil. Take $\sigma(z) = z^{2}$, so $\sigma'(z) = 2 z$, with "
            r"$\ell_{t} = \tfrac{1}{2} (y_{t} - d_{t})^{2}$ and $b_{h} = b_{y} = h_{0} = 0$. Measure a number "
            r"$\tfrac{p}{q}$ in lowest terms by $\lvert{p}\rvert + q - 1$, and a point by the sum over its numbers. "
            r"We searched all points by growing size. This is one of the smallest at which no path is zero and the two sums "
            r"differ in sign; it has size $«fraction_size»$, and none is smaller:",
            Show("fraction_point"),
            Show("fraction_forward", _FORWARD),
            Show("fraction_paths", _PATHS),
            r"The three paths give $«fraction_three»$, all of them $«fraction_gradient»$.",
            r"One of the smallest such points in whole numbers has size $«whole_size»$; of these, too, none is smaller:",
            Show("whole_point"),
            Show("whole_forward", _FORWARD),
            Show("whole_paths", _PATHS),
            r"The three paths give $«whole_three»$, all of them $«whole_gradient»$.",
        ),
    ),
    "cube-and-square": ClaimProse(
        r"Before $x_{1}$ stands $\sigma'^{3} W_{h}^{2}$",
        "“the cube of the derivative of the activation times the square of the hidden weight”.",
        r"Right as a shorthand, relative to $\frac{\partial L}{\partial h_{3}}$: the exact factor is $«factor»$. "
        r"It is a cube only when the arguments $a_{1}, a_{2}, a_{3}$ give equal values. Seen from $L$ there are a "
        r"further $\sigma'$, that of the output, and $W_{y}$.",
        (
            r"Along the longest path stand $«slopes_after_h3»$ values of $\sigma'$ behind $h_{3}$, and "
            r"$«slopes_from_loss»$ from $L$; $«recurrent»$ times $W_{h}$, and $W_{y}$ $«output_weights»$ time: $«from_loss»$.",
            r"With $a_{1} = a_{2} = a_{3}$ SymPy finds $\sigma'(a)^{3} W_{h}^{2}$: «equal_values».",
            r"At the random point above the values of $\sigma'(a_{t})$ are $«distinct»$ different numbers:",
            Show("slopes", ("argument", r"$\sigma'(a_{t})$")),
            r"Their product is $«product»$; the single number with this cube is $«typical»$, and it is none of them.",
        ),
    ),
    "weight-matrices": ClaimProse(
        "Weight matrices and word vectors",
        "the inputs may be “word vectors”, and $W_{x}$, $W_{h}$, $W_{y}$ are “weight matrices”.",
        r"Then $\sigma'^{3}$ and $W_{h}^{2}$ do not collect. With $D_{t} = \operatorname{diag}(\sigma'(a_{t}))$ the factor "
        r"before $x_{1}$ is the ordered product $D_{3} W_{h} D_{2} W_{h} D_{1}$. The formula with powers is for numbers, "
        r"that is, for vectors of size $1$.",
        (
            r"A ReLU network of two units in whole numbers: $W_{x}$ is the identity, $W_{h} = «W»$ row by row, $h_{0} = 0$, and the inputs are",
            Show("inputs"),
            "The forward pass gives",
            Show("masks"),
            Show("products", ("product", "value, row by row")),
            r"Moving $x_{1}$ a little and running the network again gives the ordered product: «measured_is_ordered». "
            r"Of the $«forms»$ collected forms, $«collected_equal»$ equal it.",
        ),
    ),
    "small-weight-vanishes": ClaimProse(
        "Small weights make it vanish",
        "“if the weight is far below 1, then its square times the cube of the activation is certainly far below 1”.",
        r"Right when $\lvert{\sigma'}\rvert \le 1$, as for tanh and ReLU. It is enough that "
        r"$\lvert{\sigma'(a_{t}) W_{h}}\rvert$ stays below some $q < 1$, for which, with $\gamma = \sup \lvert{\sigma'}\rvert$, "
        r"it is enough that $\lvert{W_{h}}\rvert < \tfrac{1}{\gamma}$. It is not necessary: single steps may exceed $1$ while "
        r"the product still vanishes. A small $W_{h}$ is neither needed nor, for an unbounded $\sigma'$, enough.",
        (
            r"At $W_{h} = «weight»$. The suprema $\gamma$ are found from $\sigma'$ as a polynomial in one bounded variable: "
            r"in $\sigma$ itself for logistic and tanh, in $\operatorname{logistic}(z)$ for softplus (SymPy confirms "
            r"$«slopes_confirmed»$ of the $«slopes»$ polynomials). ReLU has the slopes $0$ and $1$.",
            Show(
                "rows",
                (r"$\sigma$", r"$\gamma$", r"$\tfrac{1}{\gamma}$", r"$\gamma^{3} W_{h}^{2}$", "at ordinary inputs"),
            ),
            r"Not enough: for $\sigma = \exp$ at the same weight and $x_{1} = x_{2} = x_{3} = «steep_input»$ the factor is "
            r"$«steep»$, because $\sigma'(a_{t}) W_{h}$ is $«steep_steps:3»$.",
            r"Not needed: logistic at $W_{h} = «large_weight»$ has $\lvert{\sigma'(a_{t}) W_{h}}\rvert \le «large_step»$; "
            r"on random inputs the geometric mean of the steps is $«large_growth:3»$.",
        ),
    ),
    "first-input": ClaimProse(
        r"The influence of $x_{1}$ on $L$ fades",
        r"“then the influence of $x_{1}$ on $L$ is much reduced”.",
        r"True of $\ell_{3}$. But $L$ contains $\ell_{1}$, and $x_{1}$ reaches $\ell_{1}$ without any $W_{h}$. "
        r"What fades is the information of $x_{1}$ in later losses.",
        (
            r"There are $«paths»$ paths from $L$ to $x_{1}$, of which $«without»$ without $W_{h}$: $«direct»$. "
            r"With $L = \ell_{3}$ there are $«last_without»$ of this kind.",
            r"At $W_{h} = «weight»$ with logistic $\sigma$, ordinary inputs and squared loss:",
            Show("shares", ("through", "lag", "value of the path", "share in %"), digits=4),
            r"So $«direct_share:4»$ percent of what $x_{1}$ contributes does not pass $W_{h}$ at all.",
        ),
    ),
    "long-text": ClaimProse(
        "Therefore an RNN cannot handle long texts",
        "“the reason why an RNN cannot handle very long texts”.",
        r"Right for weights at which $\lvert{\sigma'(a_{t}) W_{h}}\rvert$ stays below some $q < 1$: then the terms of long lag "
        r"vanish like $q^{k}$. It is not a property of every RNN: near $1$ they stay. And it is those terms that "
        r"vanish, not the whole gradient.",
        (
            r"The derivative of the state with respect to the state $«lag»$ steps earlier, on random positive inputs:",
            Show("rows", (r"$\sigma$", r"$W_{h}$", "step (geometric mean)", "derivative")),
            r"For logistic at $W_{h} = 1$ the bound $\gamma^{«lag»}$ is $«bound»$.",
            r"In two dimensions, with $\sigma$ the identity and the rotation $W_{h} = «rotation»$: after $«lag»$ steps, in exact "
            r"numbers, every length is kept: «rotation_keeps».",
        ),
    ),
    "large-weight-explodes": ClaimProse(
        r"A large $W_{h}$ makes it explode",
        r"“the gradient explodes because, if $W_{h}$ is large, say 100, …”.",
        r"It explodes where $\lvert{\sigma'(a_{t}) W_{h}}\rvert$ stays above some $q > 1$. A large $W_{h}$ does not give that by itself: "
        r"it also drives $a_{t}$ outward, where tanh and logistic are flat. Of $«cases»$ networks with $\lvert{W_{h}}\rvert = 100$, "
        r"$«exploding»$ explode.",
        (
            Show("rows", ("network", r"$W_{h}$", "factor at $T = 3$", "growth per step", "verdict")),
            r"The factor at $T = 3$ has one $\sigma'$ more than $W_{h}$; what counts is the growth, the geometric mean of "
            r"$\lvert{\sigma'(a_{t}) W_{h}}\rvert$ from $t = 2$ to $T = «long»$. In every row it exceeds $1$ exactly where all "
            r"$\lvert{\sigma'(a_{t}) W_{h}}\rvert$ do: «condition_decides».",
            r"Why the smooth ones saturate. Keep a state $y > 0$ fixed, without input or bias. One step has the factor "
            r"$\sigma'(w y)\,w$. With $u = w y$ its derivative with respect to $w$ is $\sigma'(u) (1 - u \tanh(\tfrac{u}{2}))$ for logistic "
            r"and $\sigma'(u) (1 - 2 u \tanh u)$ for tanh (SymPy confirms both: «stationary»). The products with $\tanh$ grow "
            r"from $0$ without bound, so there is one maximum:",
            Show("maxima", (r"$\sigma$", "condition", "root $u$", "maximum times $y$"), digits=15),
            r"For $W_{h} > 0$, $h_{0} \ge 0$, logistic $\sigma$ and no input or bias, $h_{t} \ge «least_state»$ from the first "
            r"step on, so every later factor is at most $«bound:12»$. We ran $«scanned»$ weights between $«lowest»$ and "
            r"$«highest»$: the greatest was $«scan_maximum:12»$.",
            r"For $W_{h} < 0$ it is not so: $W_{h} = «fixed_weight»$ has an unstable fixed point at $h = «fixed_point»$, where "
            r"each step multiplies by $«fixed_step»$.",
        ),
    ),
    "activation-is-0.2": ClaimProse(
        r"$\sigma$ or $\sigma'$",
        "“the activation is 0.2”.",
        r"It means the derivative, $\sigma' = «stated:d»$; earlier the article says so. Taken at its word, $\sigma = «stated:d»$, "
        r"the numbers are others.",
        (
            r"Logistic: $\sigma = «stated:d»$ gives $\sigma' = «slope_logistic:d»$, and the factor is $«literal_logistic:d»$. "
            r"Tanh: $\sigma' = «slope_tanh:d»$, and the factor is $«literal_tanh:d»$. With $\sigma' = «stated:d»$ it is $«meant»$.",
        ),
    ),
    "eighty": ClaimProse(
        r"The factor is 80",
        r"“the final result is 80, that is, $x_{1}$ can influence the whole by as much as 80”.",
        r"The arithmetic is right: $0.2^{3} \cdot 100^{2} = «product»$. It cannot happen with ReLU, and with tanh or logistic "
        r"only at finely tuned inputs. Each $\sigma' = 0.2$ has two solutions, so there are several such inputs.",
        (
            r"Where is $\sigma'(a) = 0.2$?",
            Show("preimages", (r"$\sigma$", "solutions", "exactly", "as numbers")),
            r"With $W_{x} = 1$, $b = 0$, $h_{0} = 0$ this makes $«triples»$ input sequences for each of the two. We computed them "
            r"from $x_{t} = a_{t} - W_{h} h_{t-1}$ and ran the network. A row names the signs of $a_{1}, a_{2}, a_{3}$; the last "
            r"columns move $x_{2}$ by $«move:d»$.",
            Show("logistic", ("logistic", *_TRIPLES)),
            Show("tanh", ("tanh", *_TRIPLES)),
            r"All give 80, up to $«worst_error:2»$. Moving $x_{2}$ by $«move:d»$ makes anything between $«least_moved:3»$ and "
            r"$«greatest_moved:4»$ of it.",
        ),
    ),
    "one-more-step": ClaimProse(
        "One more step makes it larger still",
        "“if it is passed on by one more step, it is larger still”.",
        r"Right for this example, because each step multiplies by $0.2 \cdot 100 = «step»$. In general: when "
        r"$\lvert{\sigma'(a_{t}) W_{h}}\rvert > 1$.",
        (
            r"$«before» \to «after»$. All $«sequences»$ input sequences of four steps with $\sigma' = 0.2$, logistic and tanh, "
            r"give it in a forward pass, up to $«worst_error:2»$.",
        ),
    ),
    "recurrent-weight": ClaimProse(
        r"$W_{h}$ is derived likewise",
        r"“there is also the derivative of $L$ with respect to $W_{h}$”, derived in the same way.",
        r"Right: the same paths, with $h_{s-1}$ in the place of $x_{s}$. With $h_{0} = 0$ those that enter at step $1$ are zero.",
        (
            r"There are $«paths»$ paths; each is the path to $W_{x}$ with $h_{s-1}$ for $x_{s}$: «replaced». Their sum minus "
            r"SymPy's derivative is zero: «whole». Through $h_{0}$ go $«through_h0»$, so $«left»$ are left when $h_{0} = 0$:",
            Show("lines"),
        ),
    ),
    "output-weight": ClaimProse(
        r"$W_{y}$ is derived likewise",
        r"“the derivatives of $L$ with respect to $W_{h}$ and $W_{y}$ are all derived in the same way”.",
        r"The method is the same, the result is not: no path to $W_{y}$ goes back in time. There is one for each step and no "
        r"$W_{h}$ in it, so this gradient neither vanishes nor explodes by the mechanism described.",
        (
            r"There are $«paths»$ paths, $«of_last»$ of them from $\ell_{3}$. The greatest number of factors $W_{h}$ is "
            r"$«recurrent»$; for $W_{x}$ it is $«recurrent_W_x»$. Their sum minus SymPy's derivative is zero: «whole».",
            Show("lines"),
        ),
    ),
}

ERRATA = (
    Erratum(
        "three-gradients",
        "the three gradients",
        "with respect to the input, hidden and output weights",
        "add $«three-gradients.biases»$",
    ),
    Erratum(
        "three-paths", r"paths from $L$ to $W_{x}$", "the first, second and third path", r"add $«three-paths.missing»$"
    ),
    Erratum(
        "three-path-sum",
        "the sum of the three",
        r"the derivative of $L$ with respect to $W_{x}$",
        r"the derivative of $\ell_{3}$ with respect to $W_{x}$; for $L$ add the other $«three-paths.absent»$ paths",
    ),
    Erratum(
        "cube-and-square",
        r"the factor before $x_{1}$",
        "cube of the derivative times the square of $W_{h}$",
        r"$«cube-and-square.factor»$, and from $L$ also $\ell_{3}'(y_{3})\,\sigma'(o_{3})\,W_{y}$",
    ),
    Erratum(
        "weight-matrices",
        "the weights",
        "weight matrix",
        r"for the formula with powers: a number; for matrices: $D_{3} W_{h} D_{2} W_{h} D_{1}$",
    ),
    Erratum(
        "small-weight-vanishes",
        "vanishing",
        "the weight is far below 1",
        r"$\lvert{\sigma'(a_{t}) W_{h}}\rvert$ stays below some $q < 1$",
    ),
    Erratum("first-input", r"the influence of $x_{1}$", r"on $L$", r"on $\ell_{3}$"),
    Erratum(
        "long-text",
        "long texts",
        "the reason why an RNN cannot handle them",
        r"the reason why it forgets, when $\lvert{\sigma'(a_{t}) W_{h}}\rvert$ stays below some $q < 1$",
    ),
    Erratum(
        "large-weight-explodes",
        "explosion",
        r"$W_{h}$ is large",
        r"$\lvert{\sigma'(a_{t}) W_{h}}\rvert$ stays above some $q > 1$; at $\lvert{W_{h}}\rvert = 100$ this holds for "
        r"$«large-weight-explodes.exploding»$ of the $«large-weight-explodes.cases»$ networks above",
    ),
    Erratum("activation-is-0.2", "the example", "the activation is 0.2", "the derivative of the activation is 0.2"),
    Erratum(
        "eighty",
        "the example",
        "the final result is 80",
        r"80, at the $«eighty.triples»$ tuned input sequences of logistic or tanh",
    ),
    Erratum(
        "output-weight",
        r"$W_{y}$",
        "derived in the same way",
        r"one path for each step, with $«output-weight.recurrent»$ factors $W_{h}$",
    ),
)

ENGLISH = ArticleProse(
    title="The article on vanishing and exploding gradients, claim by claim",
    introduction=(
        r"The article derives the gradient of a recurrent network of three steps by hand. Here its claims are taken in its own "
        r"order: what it says, our verdict, the exact statement, and the evidence. Every number was computed while this "
        r"page was written. Of $«total»$ claims $«holding»$ hold as they stand, $«conditional»$ hold under a condition, and "
        r"$«correcting»$ need correction.",
    ),
    conventions_title="Conventions",
    conventions=(
        r"There are $T = 3$ steps unless another $T$ is named. All quantities are scalars, as in the article's calculation; "
        r"where matrices are meant, it is said.",
        r"$a_{t}$ and $o_{t}$ are the arguments of $\sigma$: $h_{t} = \sigma(a_{t})$ and $y_{t} = \sigma(o_{t})$. "
        r"$\sigma$ is any differentiable function unless one is named, and $\sigma'$ is always taken there: $\sigma'(a_{t})$, "
        r"$\sigma'(o_{t})$. ReLU has $\sigma'(0) = 0$.",
        r"$\ell_{t}$ is the article's loss1, loss2, loss3, with the target $d_{t}$ inside; $\ell_{t}'(y_{t})$ is its derivative "
        r"with respect to $y_{t}$.",
        r"$L = \ell_{1} + \ell_{2} + \ell_{3}$, the sum, not the mean.",
        r"$\tfrac{\partial L}{\partial W_{x}}$ is the total derivative: everything that depends on $W_{x}$ moves. The factors of "
        r"a path are immediate derivatives: of one equation, with its other operands standing still.",
    ),
    says="The article says: ",
    verdict="Verdict: ",
    verdicts={
        Verdict.HOLDS: "holds.",
        Verdict.CONDITIONAL: "holds under a condition.",
        Verdict.CORRECTION: "needs correction.",
    },
    statement="What is true: ",
    words={
        "yes": "yes",
        "no": "no",
        "explodes": "explodes",
        "vanishes": "vanishes",
        "relu-ordinary": "ReLU, positive inputs",
        "tanh-origin": "tanh at the origin",
        "tanh-ordinary": "tanh, ordinary inputs",
        "logistic-ordinary": "logistic, ordinary inputs",
        "logistic-fixed-point": "logistic at its unstable fixed point",
    },
    claims=CLAIMS,
    errata_title="Errata",
    errata_introduction="One row for each claim whose verdict is not “holds”.",
    errata_header=("place", "printed", "should read"),
    errata=ERRATA,
    slips_introduction="Slips of the pen, which mislead nobody:",
    slips=(
        "“instantaneous function $L$” is the loss function $L$.",
        "“ture1, ture2, ture3” are true1, true2, true3.",
        "“the cube of the activation”, once: the cube of its derivative.",
        "“all RNNs cannot …” reads better as “therefore an RNN cannot …”.",
    ),
    checked_title="What was checked",
    checked=(
        r"SymPy was asked $«expanded»$ times whether a difference is zero for every $\sigma$ and $\ell_{t}$. Expanded, "
        r"$«zero»$ are zero: proved; $«nonzero»$ not: refuted.",
        r"Of $«simplified»$ identities about the slopes of logistic, tanh and softplus SymPy confirms $«confirmed»$.",
        r"$«run»$ times a result was compared with what forward passes of the network, or a complex step of one, give; "
        r"$«agreeing»$ agree.",
        r"$«searches»$ searches looked at $«searched»$ points: random ones, small fractions, small whole numbers, and weights.",
        r"The verdicts are not typed: they follow from $«comparisons»$ comparisons of the facts above.",
    ),
    letter_title="To the author",
    letter=(
        r"Thank you for deriving this by hand, for saying openly where it may not be rigorous, and for asking the reader to try it. "
        r"We did. Your forward pass is right, and so are the shared weights, the loss, the step from $L$ to $h_{3}$ and the "
        r"method: follow each path, multiply along it, add over all of them. The mechanism you name is the right one, too: "
        r"with every step back a term gains a factor $\sigma'(a_{t}) W_{h}$. $«holding»$ of your $«total»$ claims stand as they "
        r"are, and $«conditional»$ more with a condition that can be named.",
        r"What is missing is small. With your $L$ there are $«three-paths.paths»$ paths to $W_{x}$, and the "
        r"$«three-paths.absent»$ that start in loss1 and loss2 were left out; the $\sigma'$ of a path are different numbers, "
        r"and in your example $0.2$ is the value of $\sigma'$, not of $\sigma$; and $W_{h} = 100$ explodes with ReLU on positive inputs, but "
        r"mostly saturates tanh and logistic.",
        r"Two lines mend it. For the gradient, write the first line below (or define $L$ = loss3, and leave the rest "
        r"as it is). For vanishing and exploding, look at the product in the second line instead of at $W_{h}$ alone: "
        r"it vanishes with growing lag where its factors stay below some $q < 1$ in size, and explodes where they stay above "
        r"some $q > 1$.",
    ),
    letter_end=r"The first line was compared with SymPy's derivative, their difference is zero: «three-path-sum.mend_holds». "
    r"With kind regards, and with thanks for an article that invites its readers to check it.",
)
