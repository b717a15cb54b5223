r"""文章评阅的中文文字。结果只通过占位符进入。"""

from __future__ import annotations

from rnn_symbolic.article import Verdict
from rnn_symbolic.render.article_prose import ArticleProse, ClaimProse, Erratum, Show

_FORWARD = (r"$t$", r"$a_{t}$", r"$h_{t}$", r"$o_{t}$", r"$y_{t}$", r"$y_{t} - d_{t}$")
_PATHS = ("从 $L$ 出发的路径", "各因子（按顺序）", "数值")
_TRIPLES = ("$x_{1}$", "$x_{2}$", "$x_{3}$", "因子", "$x_{2}$ 减小", "$x_{2}$ 增大")

CLAIMS = {
    "forward-equations": ClaimProse(
        "前向公式",
        r"$h_{1} = \sigma(W_{h} h_{0} + W_{x} x_{1} + b_{h})$，$y_{1} = \sigma(W_{y} h_{1} + b_{y})$，"
        r"$t = 2$ 和 $t = 3$ 同样如此。",
        r"写得正确。我们只是给 $\sigma$ 的自变量取了名字（文中没有取名）：隐藏状态的记作 $a_{t}$，输出的记作 $o_{t}$。"
        r"导数正是在这些点上取值的。",
        (
            Show("lines"),
            r"我们把文中的公式和程序自带的 elman 单元都展开、代入，再逐个相减。一共 $«compared»$ 个差，恒等于零的有 "
            r"$«identical»$ 个；这对任意的 $\sigma$ 和任意的数值都成立。",
        ),
    ),
    "shared-weights": ClaimProse(
        "每一步用的是同一个权重",
        "“每次传播使用的输入的权重层是同一个权重”，隐藏层也一样。",
        r"正确，而且对每个参数都成立。这也正是梯度为什么是一个和：一个权重被用了几次，就有几份贡献。",
        (
            Show("readers", ("参数", "用到它的量", "次数")),
            r"$T = «steps»$ 时公式中共有 $«parameters»$ 个参数，$T = «long»$ 时有 $«parameters_long»$ 个。",
        ),
    ),
    "total-loss": ClaimProse(
        "总误差是各步误差之和",
        "“loss1 + loss2 + loss3 =L”。",
        r"对每一步都有输出的网络，这是很好的定义。不过定义一旦写下，后面就要照它来：每个 $\ell_{t}$ 都有自己通往 $W_{x}$ 的路径，"
        r"从这个 $L$ 出发一共有 $«paths»$ 条。",
        (Show("line"), Show("by_loss", ("误差", r"通往 $W_{x}$ 的路径数"))),
    ),
    "state-gradient": ClaimProse(
        r"从 $L$ 到 $h_{3}$ 只有一条路径",
        r"“从L到h3 经过了 $L \to y_{3} \to h_{3}$ 这个路径”。",
        r"正确，而且完整，因为只有 $y_{3}$ 用到 $h_{3}$。但不能照搬到 $h_{2}$ 和 $h_{1}$：它们各有两个去处，一个是自己的输出，"
        r"一个是下一个状态。",
        (
            r"从 $L$ 出发的路径：到 $h_{3}$ 有 $«to_h3»$ 条，到 $h_{2}$ 有 $«to_h2»$ 条，到 $h_{1}$ 有 $«to_h1»$ 条。"
            r"SymPy 求得的 $L$ 对 $h_{3}$ 的导数减去这一条路径，差为零：«whole»。",
            Show("readers"),
            r"只经过 $h_{3}$ 的话，$\frac{\partial L}{\partial h_{2}}$ 恰好少了 $«short»$（SymPy 验证：«rest_is_short»）。",
        ),
    ),
    "three-gradients": ClaimProse(
        "需要哪些梯度",
        "“第一个是误差对输入层权重的导数”，“第二个是误差对隐藏层权重的导数”，“第三个是误差对预测层权重的导数”。",
        r"对没有偏置的网络是完整的。文中的公式带有偏置，所以 $«biases»$ 也需要梯度。这不费什么事："
        r"把 $x_{s}$、$h_{t}$ 的位置换成 $1$ 就可以了。",
        (
            r"公式中有 $«parameters»$ 个参数，其中 $«weights»$ 个是权重；文中列出了 $«listed»$ 个。",
            r"通往 $b_{h}$ 的路径有 $«to_b_h»$ 条，通往 $W_{x}$ 的每条路径都是其中一条乘以 $x_{s}$：«b_h_like_W_x»。"
            r"通往 $b_{y}$ 的有 $«to_b_y»$ 条，通往 $W_{y}$ 的每条路径都是其中一条乘以 $h_{t}$：«b_y_like_W_y»。",
        ),
    ),
    "three-paths": ClaimProse(
        r"从 $L$ 到 $W_{x}$ 的路径",
        r"“第一条是” $L \to y_{3} \to h_{3} \to W_{x}$，“第二条是” $L \to y_{3} \to h_{3} \to h_{2} \to W_{x}$，"
        r"“第三条是” $L \to y_{3} \to h_{3} \to h_{2} \to h_{1} \to W_{x}$。",
        r"这 $«real»$ 条都存在，但一共有 $«paths»$ 条。经过 $\ell_{2}$ 和 $\ell_{1}$ 的 $«absent»$ 条漏掉了。"
        r"一般地，$T$ 步的网络有 $\tfrac{1}{2} T (T + 1)$ 条路径，这样列只列出了 $T$ 条。",
        (
            "漏掉的是：",
            Show("lines"),
            r"程序对其他长度也数了一遍（与一般公式逐行相符：«formula_holds»）：",
            Show("counts", ("$T$", "这样列出的", "全部路径", "比例"), digits=3),
        ),
    ),
    "three-path-sum": ClaimProse(
        "三条路径之和就是梯度",
        "“再加上第三条路径的导数就是L对Wx的求导”。",
        r"这个和恰好是 $\frac{\partial \ell_{3}}{\partial W_{x}}$。只有 $L = \ell_{3}$ 时它才是 "
        r"$\frac{\partial L}{\partial W_{x}}$。当 $L = \ell_{1} + \ell_{2} + \ell_{3}$ 时，连正负号都可能相反，"
        r"梯度下降就会朝上坡走。",
        (
            r"对任意的 $\sigma$ 和 $\ell_{t}$，SymPy 验证：三条之和减去 $\frac{\partial \ell_{3}}{\partial W_{x}}$ 为零："
            r"«three_is_last»；三条之和减去 $\frac{\partial L}{\partial W_{x}}$ 为零：«three_is_all»；"
            r"全部路径之和减去 $\frac{\partial L}{\partial W_{x}}$ 为零：«six_is_all»。",
            r"普通的数值。取 $\sigma = \tanh$，$\ell_{t} = \tfrac{1}{2} (y_{t} - d_{t})^{2}$，随机抽了 $«tried»$ 个点，"
            r"其中 $«opposite»$ 个点上两个和的符号相反。差别最明显的一个（$h_{0} = 0$）：",
            Show("point"),
            Show("values", ("路径", "数值")),
            r"三条路径给出 $«three»$，真正的梯度是 $«gradient»$。对前向过程做复数步求导（它不知道什么是路径），得到 "
            r"$«confirmed»$。",
            r"可以用铅笔验算的例子。取 $\sigma(z) = z^{2}$，于是 $\sigma'(z) = 2 z$；"
            r"$\ell_{t} = \tfrac{1}{2} (y_{t} - d_{t})^{2}$，$b_{h} = b_{y} = h_{0} = 0$。"
            r"既约分数 $\tfrac{p}{q}$ 的大小记作 $\lvert{p}\rvert + q - 1$，一个点的大小是它的各个数的大小之和。"
            r"程序由小到大搜索了所有的点，要求每条路径都不为零、两个和符号相反。下面是最小的点之一，大小为 $«fraction_size»$，"
            r"没有更小的：",
            Show("fraction_point"),
            Show("fraction_forward", _FORWARD),
            Show("fraction_paths", _PATHS),
            r"三条路径之和是 $«fraction_three»$，全部路径之和是 $«fraction_gradient»$。",
            r"如果只用整数，下面是最小的点之一，大小为 $«whole_size»$，也没有更小的：",
            Show("whole_point"),
            Show("whole_forward", _FORWARD),
            Show("whole_paths", _PATHS),
            r"三条路径之和是 $«whole_three»$，全部路径之和是 $«whole_gradient»$。",
        ),
    ),
    "cube-and-square": ClaimProse(
        r"$x_{1}$ 前面是 $\sigma'^{3} W_{h}^{2}$",
        "“激活函数的导数的三次方乘以隐藏层权重Wh的平方”。",
        r"相对于 $\frac{\partial L}{\partial h_{3}}$ 来说，作为简写是对的；精确的因子是 $«factor»$。"
        r"只有 $a_{1}, a_{2}, a_{3}$ 处的导数值相等时它才是三次方。从 $L$ 看，还要再乘输出层的一个 $\sigma'$ 和 $W_{y}$。",
        (
            r"沿着最长的路径，$h_{3}$ 之后有 $«slopes_after_h3»$ 个 $\sigma'$，从 $L$ 算起有 $«slopes_from_loss»$ 个；"
            r"$W_{h}$ 出现 $«recurrent»$ 次，$W_{y}$ 出现 $«output_weights»$ 次：$«from_loss»$。",
            r"令 $a_{1} = a_{2} = a_{3}$，SymPy 得到 $\sigma'(a)^{3} W_{h}^{2}$：«equal_values»。",
            r"在上面那个随机点上，$\sigma'(a_{t})$ 是 $«distinct»$ 个不同的数：",
            Show("slopes", ("自变量", r"$\sigma'(a_{t})$")),
            r"它们的积是 $«product»$；三次方等于这个积的数是 $«typical»$，与哪一个都不相同。",
        ),
    ),
    "weight-matrices": ClaimProse(
        "权重矩阵与词向量",
        r"输入可以是“一个词向量”，$W_{x}$、$W_{h}$、$W_{y}$ 是“权重矩阵”。",
        r"这时 $\sigma'^{3}$ 和 $W_{h}^{2}$ 不能合并。记 $D_{t} = \operatorname{diag}(\sigma'(a_{t}))$，$x_{1}$ 前面的因子是"
        r"有顺序的乘积 $D_{3} W_{h} D_{2} W_{h} D_{1}$。写成幂的公式只适用于数，也就是维数为 $1$ 的情形。",
        (
            r"一个两个神经元的 ReLU 网络，全用整数：$W_{x}$ 是单位矩阵，$W_{h} = «W»$（按行写），$h_{0} = 0$，输入是",
            Show("inputs"),
            "前向计算得到",
            Show("masks"),
            Show("products", ("乘积", "值（按行写）")),
            r"把 $x_{1}$ 稍微移动，再运行一次网络，得到的正是有顺序的乘积：«measured_is_ordered»。"
            r"合并后的写法有 $«forms»$ 种，与它相等的有 $«collected_equal»$ 种。",
        ),
    ),
    "small-weight-vanishes": ClaimProse(
        "权重小，梯度就消失",
        "“如果权重的值远小于1”，“平方后再乘以激活函数的3次方肯定已经远小于1”。",
        r"当 $\lvert{\sigma'}\rvert \le 1$ 时正确，tanh 和 ReLU 都是如此。只要 $\lvert{\sigma'(a_{t}) W_{h}}\rvert$ "
        r"一直小于某个 $q < 1$ 就够了；记 $\gamma = \sup \lvert{\sigma'}\rvert$，$\lvert{W_{h}}\rvert < \tfrac{1}{\gamma}$ 时就是如此。"
        r"这个条件不是必要的：个别的步可以大于 $1$，乘积仍然消失。$W_{h}$ 小并不是必需的；如果 $\sigma'$ 无界，光是 $W_{h}$ 小也不够。",
        (
            r"取 $W_{h} = «weight»$。求上确界 $\gamma$ 时，把 $\sigma'$ 写成一个有界变量的多项式：对 logistic 和 tanh 是 $\sigma$ 本身，"
            r"对 softplus 是 $\operatorname{logistic}(z)$（这 $«slopes»$ 个多项式中，SymPy 验证了 $«slopes_confirmed»$ 个）。"
            r"ReLU 的斜率只有 $0$ 和 $1$。",
            Show(
                "rows",
                (r"$\sigma$", r"$\gamma$", r"$\tfrac{1}{\gamma}$", r"$\gamma^{3} W_{h}^{2}$", "普通输入下的因子"),
            ),
            r"不够的例子：$\sigma = \exp$，权重相同，$x_{1} = x_{2} = x_{3} = «steep_input»$，因子是 $«steep»$，因为各步的 "
            r"$\sigma'(a_{t}) W_{h}$ 是 $«steep_steps:3»$。",
            r"不必需的例子：logistic 在 $W_{h} = «large_weight»$ 时 $\lvert{\sigma'(a_{t}) W_{h}}\rvert \le «large_step»$；"
            r"随机输入下各步的几何平均是 $«large_growth:3»$。",
        ),
    ),
    "first-input": ClaimProse(
        r"$x_{1}$ 对 $L$ 的影响减小",
        "“那么x1对L的影响就大大减小了”。",
        r"对 $\ell_{3}$ 是这样。但 $L$ 里有 $\ell_{1}$，$x_{1}$ 到 $\ell_{1}$ 不经过任何 $W_{h}$。"
        r"减弱的是 $x_{1}$ 的信息在后面各步误差中的作用。",
        (
            r"从 $L$ 到 $x_{1}$ 有 $«paths»$ 条路径，其中不含 $W_{h}$ 的有 $«without»$ 条：$«direct»$。"
            r"如果 $L = \ell_{3}$，这样的路径有 $«last_without»$ 条。",
            r"取 $W_{h} = «weight»$，$\sigma$ 为 logistic，普通的输入，平方误差：",
            Show("shares", ("经过", "步数差", "路径的值", "所占百分比"), digits=4),
            r"可见 $x_{1}$ 的贡献中有百分之 $«direct_share:4»$ 根本不经过 $W_{h}$。",
        ),
    ),
    "long-text": ClaimProse(
        "RNN 不能处理长文本的原因",
        "“所有RNN不能够处理很长文本的原因”（“所有”大概是“所以”）。",
        r"如果 $\lvert{\sigma'(a_{t}) W_{h}}\rvert$ 一直小于某个 $q < 1$，那么正确：相隔 $k$ 步的项像 $q^{k}$ 那样消失。"
        r"但这不是每个 RNN 的性质：在 $1$ 附近，这些项不会消失。而且消失的是这些相隔很远的项，不是整个梯度。",
        (
            r"状态对 $«lag»$ 步之前的状态的导数（随机的正输入）：",
            Show("rows", (r"$\sigma$", r"$W_{h}$", "每步（几何平均）", "导数")),
            r"logistic 在 $W_{h} = 1$ 时，上界 $\gamma^{«lag»}$ 是 $«bound»$。",
            r"二维的例子：$\sigma$ 为恒等函数，$W_{h} = «rotation»$ 是旋转（按行写）；$«lag»$ 步之后，用精确的数计算，"
            r"每个向量的长度都不变：«rotation_keeps»。",
        ),
    ),
    "large-weight-explodes": ClaimProse(
        r"$W_{h}$ 大，梯度就爆炸",
        "“梯度爆炸是因为”，“如果Wh很大比如说是100”。",
        r"$\lvert{\sigma'(a_{t}) W_{h}}\rvert$ 一直大于某个 $q > 1$ 时，梯度就爆炸。光是 $W_{h}$ 大还不行：它同时把 $a_{t}$ 推得很远，"
        r"而 tanh 和 logistic 在远处是平的。同样是 $\lvert{W_{h}}\rvert = 100$，$«cases»$ 个网络中有 $«exploding»$ 个爆炸。",
        (
            Show("rows", ("网络", r"$W_{h}$", "$T = 3$ 的因子", "每步的增长", "结论")),
            r"$T = 3$ 的因子里 $\sigma'$ 比 $W_{h}$ 多一个，所以要看的是增长：它是 $\lvert{\sigma'(a_{t}) W_{h}}\rvert$ 从 $t = 2$ 到 $T = «long»$ 的几何平均。每一行都是："
            r"增长大于 $1$，当且仅当所有的 "
            r"$\lvert{\sigma'(a_{t}) W_{h}}\rvert$ 都大于 $1$：«condition_decides»。",
            r"光滑的激活函数为什么会饱和？固定一个状态 $y > 0$，没有输入，也没有偏置。一步的因子是 $\sigma'(w y)\,w$。"
            r"令 $u = w y$，它对 $w$ 的导数，对 logistic 是 $\sigma'(u) (1 - u \tanh(\tfrac{u}{2}))$，对 tanh 是 "
            r"$\sigma'(u) (1 - 2 u \tanh u)$（SymPy 验证：«stationary»）。含 $\tanh$ 的乘积从 $0$ 单调增到无穷，所以恰有一个最大值：",
            Show("maxima", (r"$\sigma$", "条件", "根 $u$", "最大值乘以 $y$"), digits=15),
            r"因此对 logistic，$W_{h} > 0$，$h_{0} \ge 0$，没有输入和偏置时，从第一步起 $h_{t} \ge «least_state»$，"
            r"以后每一步的因子至多是 $«bound:12»$。我们在 $«lowest»$ 到 $«highest»$ 之间试了 $«scanned»$ 个权重，最大的是 "
            r"$«scan_maximum:12»$。",
            r"$W_{h} < 0$ 时就不是这样：$W_{h} = «fixed_weight»$ 在 $h = «fixed_point»$ 处有一个不稳定的不动点，"
            r"在那里每一步都乘以 $«fixed_step»$。",
        ),
    ),
    "activation-is-0.2": ClaimProse(
        r"是 $\sigma$ 还是 $\sigma'$",
        "“激活函数是0.2”。",
        r"这里指的应是导数，$\sigma' = «stated:d»$；前文说的正是导数。如果照字面取 $\sigma = «stated:d»$，数值就不同了。",
        (
            r"logistic：$\sigma = «stated:d»$ 时 $\sigma' = «slope_logistic:d»$，因子是 $«literal_logistic:d»$。"
            r"tanh：$\sigma' = «slope_tanh:d»$，因子是 $«literal_tanh:d»$。取 $\sigma' = «stated:d»$，因子才是 $«meant»$。",
        ),
    ),
    "eighty": ClaimProse(
        "结果是 80",
        "“最后的结果就是” 80，“那么就是说x1对整体的影响可以达到80这么多”。",
        r"算术是对的：$0.2^{3} \cdot 100^{2} = «product»$。但用 ReLU 不可能得到它；用 tanh 或 logistic，也只有输入调得恰到好处才行。"
        r"$\sigma' = 0.2$ 有两个解，所以这样的输入有好几组。",
        (
            r"哪里有 $\sigma'(a) = 0.2$？",
            Show("preimages", (r"$\sigma$", "解的个数", "精确值", "数值")),
            r"取 $W_{x} = 1$，$b = 0$，$h_{0} = 0$，这两种激活函数各有 $«triples»$ 组输入。我们用 $x_{t} = a_{t} - W_{h} h_{t-1}$ "
            r"算出它们，再逐组运行网络。每行开头是 $a_{1}, a_{2}, a_{3}$ 的符号，最后两列是把 $x_{2}$ 移动 $«move:d»$ 的结果。",
            Show("logistic", ("logistic", *_TRIPLES)),
            Show("tanh", ("tanh", *_TRIPLES)),
            r"每一组都给出 80，误差不超过 $«worst_error:2»$。而把 $x_{2}$ 移动 $«move:d»$，80 就变成了 $«least_moved:3»$ 到 "
            r"$«greatest_moved:4»$ 之间的数。",
        ),
    ),
    "one-more-step": ClaimProse(
        "再传递一层就更大",
        "“如果再传递一层”，“就更大了”。",
        r"对这个例子是对的，因为每一步都乘以 $0.2 \cdot 100 = «step»$。一般的条件是 $\lvert{\sigma'(a_{t}) W_{h}}\rvert > 1$。",
        (
            r"$«before» \to «after»$。让每一步都有 $\sigma' = 0.2$ 的 $«sequences»$ 组输入（logistic 和 tanh，时间步比原来多一步），"
            r"运行网络都得到这个结果，误差不超过 $«worst_error:2»$。",
        ),
    ),
    "recurrent-weight": ClaimProse(
        r"$W_{h}$ 的导数同样推导",
        "“还有L对Wh的导数”，也是同样推导的。",
        r"正确：路径相同，只是把 $x_{s}$ 换成 $h_{s-1}$。$h_{0} = 0$ 时，在第 $1$ 步进入的路径为零。",
        (
            r"一共 $«paths»$ 条路径，每一条都是通往 $W_{x}$ 的路径把 $x_{s}$ 换成 $h_{s-1}$：«replaced»。它们的和减去 SymPy 求得的"
            r"导数为零：«whole»。经过 $h_{0}$ 的有 $«through_h0»$ 条，所以 $h_{0} = 0$ 时剩下 $«left»$ 条：",
            Show("lines"),
        ),
    ),
    "output-weight": ClaimProse(
        r"$W_{y}$ 的导数同样推导",
        "“L对Wy的导数都是同样推导的”。",
        r"方法相同，结果却不同：通往 $W_{y}$ 的路径都不回到过去。每一步一条，里面没有 $W_{h}$，"
        r"所以这个梯度不会因为文中所说的原因消失或爆炸。",
        (
            r"一共 $«paths»$ 条路径，其中从 $\ell_{3}$ 出发的有 $«of_last»$ 条。因子 $W_{h}$ 最多出现 $«recurrent»$ 次；"
            r"对 $W_{x}$ 则是 $«recurrent_W_x»$ 次。它们的和减去 SymPy 求得的导数为零：«whole»。",
            Show("lines"),
        ),
    ),
}

ERRATA = (
    Erratum(
        "three-gradients",
        "需要的梯度",
        "对输入层、隐藏层、预测层权重的导数",
        "再加上对 $«three-gradients.biases»$ 的导数",
    ),
    Erratum("three-paths", r"$L$ 到 $W_{x}$ 的路径", "第一条、第二条、第三条", r"再加上 $«three-paths.missing»$"),
    Erratum(
        "three-path-sum",
        "三条路径之和",
        "就是L对Wx的求导",
        r"是 $\ell_{3}$ 对 $W_{x}$ 的导数；要得到 $L$ 的，再加上另外 $«three-paths.absent»$ 条",
    ),
    Erratum(
        "cube-and-square",
        r"$x_{1}$ 前面的因子",
        "激活函数的导数的三次方乘以隐藏层权重Wh的平方",
        r"$«cube-and-square.factor»$；从 $L$ 算起还要乘 $\ell_{3}'(y_{3})\,\sigma'(o_{3})\,W_{y}$",
    ),
    Erratum(
        "weight-matrices",
        "权重",
        "权重矩阵",
        r"写成幂的公式里，权重是数；如果是矩阵，因子是 $D_{3} W_{h} D_{2} W_{h} D_{1}$",
    ),
    Erratum(
        "small-weight-vanishes",
        "梯度消失",
        "如果权重的值远小于1",
        r"如果 $\lvert{\sigma'(a_{t}) W_{h}}\rvert$ 一直小于某个 $q < 1$",
    ),
    Erratum("first-input", r"$x_{1}$ 的影响", "x1对L的影响", r"$x_{1}$ 对 $\ell_{3}$ 的影响"),
    Erratum(
        "long-text",
        "长文本",
        "所有RNN不能够处理很长文本的原因",
        r"$\lvert{\sigma'(a_{t}) W_{h}}\rvert$ 一直小于某个 $q < 1$ 时，RNN 遗忘的原因",
    ),
    Erratum(
        "large-weight-explodes",
        "梯度爆炸",
        "如果Wh很大",
        r"如果 $\lvert{\sigma'(a_{t}) W_{h}}\rvert$ 一直大于某个 $q > 1$；$\lvert{W_{h}}\rvert = 100$ 时，上面 "
        r"$«large-weight-explodes.cases»$ 个网络中有 $«large-weight-explodes.exploding»$ 个如此",
    ),
    Erratum("activation-is-0.2", "例子", "激活函数是0.2", "激活函数的导数是0.2"),
    Erratum(
        "eighty",
        "例子",
        "最后的结果就是80",
        r"用 logistic 或 tanh，并取那 $«eighty.triples»$ 组特别的输入之一时，结果是 80",
    ),
    Erratum(
        "output-weight",
        r"$W_{y}$",
        "都是同样推导的",
        r"每一步一条路径，其中 $W_{h}$ 出现 $«output-weight.recurrent»$ 次",
    ),
)

CHINESE = ArticleProse(
    title="逐条看这篇文章：RNN 的梯度消失与梯度爆炸",
    introduction=(
        r"这篇文章手工推导了三个时间步的循环网络的梯度。下面按文章自己的顺序逐条来看：它怎么说，我们的结论，准确的说法，以及证据。"
        r"所有的数都是生成本页时当场算出来的。一共 $«total»$ 条：$«holding»$ 条成立，$«conditional»$ 条在一定条件下成立，"
        r"$«correcting»$ 条需要改正。",
    ),
    conventions_title="约定",
    conventions=(
        r"没有另外说明时，时间步数 $T = 3$。所有的量都是标量，与文章的计算一样；用到矩阵的地方会说明。",
        r"$a_{t}$ 和 $o_{t}$ 是 $\sigma$ 的自变量：$h_{t} = \sigma(a_{t})$，$y_{t} = \sigma(o_{t})$。没有指明时，$\sigma$ 是任意的可微函数；"
        r"$\sigma'$ 总是在自变量处取值：$\sigma'(a_{t})$、$\sigma'(o_{t})$。ReLU 约定 $\sigma'(0) = 0$。",
        r"$\ell_{t}$ 就是文中的 loss1、loss2、loss3，真实值 $d_{t}$ 含在其中；$\ell_{t}'(y_{t})$ 是它对 $y_{t}$ 的导数。",
        r"$L = \ell_{1} + \ell_{2} + \ell_{3}$ 是各步误差之和，不是平均。",
        r"$\tfrac{\partial L}{\partial W_{x}}$ 是全导数：凡依赖 $W_{x}$ 的量都随之变化。路径上的因子是直接导数：只对一个方程求导，"
        r"方程中其余的量不动。",
    ),
    says="文章说：",
    verdict="结论：",
    verdicts={
        Verdict.HOLDS: "成立。",
        Verdict.CONDITIONAL: "在一定条件下成立。",
        Verdict.CORRECTION: "需要改正。",
    },
    statement="准确地说：",
    words={
        "yes": "是",
        "no": "否",
        "explodes": "爆炸",
        "vanishes": "消失",
        "relu-ordinary": "ReLU，正的输入",
        "tanh-origin": "tanh，在原点",
        "tanh-ordinary": "tanh，普通输入",
        "logistic-ordinary": "logistic，普通输入",
        "logistic-fixed-point": "logistic，在不稳定的不动点",
    },
    claims=CLAIMS,
    errata_title="勘误",
    errata_introduction="凡结论不是“成立”的，各列一行。",
    errata_header=("位置", "原文", "应改为"),
    errata=ERRATA,
    slips_introduction="几处笔误，不影响理解：",
    slips=(
        "“瞬时函数为L”：应为损失函数为 L。",
        "“ture1、ture2、ture3”：应为 true1、true2、true3。",
        "有一处“激活函数的3次方”：应为激活函数的导数的3次方。",
        "“所有RNN不能够……”：读作“所以RNN不能够……”更通顺。",
    ),
    checked_title="已检验的内容",
    checked=(
        r"我们用 SymPy 判断了 $«expanded»$ 个差是否为零（对任意的 $\sigma$ 和 $\ell_{t}$）。展开之后，为零的有 $«zero»$ 个，即得到证明；"
        r"不为零的有 $«nonzero»$ 个，即被否定。",
        r"关于 logistic、tanh 和 softplus 的斜率的恒等式有 $«simplified»$ 个，SymPy 验证了其中 $«confirmed»$ 个。",
        r"有 $«run»$ 次，把结果与网络的前向计算（或对它做复数步求导）相对照，相符的有 $«agreeing»$ 次。",
        r"做了 $«searches»$ 次搜索，一共看了 $«searched»$ 个点：随机的点、小的分数、小的整数，以及各种大小的权重。",
        r"结论不是写死的，而是由上面的事实经过 $«comparisons»$ 次比较得出的。",
    ),
    letter_title="致作者",
    letter=(
        r"感谢您亲手推导，坦率地说明哪里可能不够严谨，并邀请读者自己动手。我们照做了。您的前向过程是对的；权重共享、总误差的定义、"
        r"从 $L$ 到 $h_{3}$ 的一步，以及方法本身（沿每条路径相乘，再把所有路径相加）也都是对的。您指出的机制同样是对的："
        r"每往回走一步，就多乘一个 $\sigma'(a_{t}) W_{h}$。您的 $«total»$ 条说法里，$«holding»$ 条原样成立，"
        r"另有 $«conditional»$ 条补上条件就成立。",
        r"缺的并不多。按您定义的 $L$，通往 $W_{x}$ 的路径有 $«three-paths.paths»$ 条，从 loss1 和 loss2 出发的 "
        r"$«three-paths.absent»$ 条没有列出；同一条路径上的几个 $\sigma'$ 是不同的数，例子里的 $0.2$ 是 $\sigma'$ 的值，不是 "
        r"$\sigma$ 的值；$W_{h} = 100$ 在 ReLU 下、输入为正时会爆炸，在 tanh 和 logistic 下多半是饱和。",
        r"改起来只要两行。求梯度时，用下面的第一行（或者定义 $L$ = loss3，其余不动）。谈消失和爆炸时，"
        r"要看第二行的乘积，而不是只看 $W_{h}$：各因子的大小一直小于某个 $q < 1$ 时，它随相隔的步数增加而消失；一直大于某个 $q > 1$ 时，"
        r"它就爆炸。",
    ),
    letter_end=r"第一行与 SymPy 求得的导数之差为零：«three-path-sum.mend_holds»。再次感谢您写了一篇让读者愿意动手验算的文章。祝好！",
)
