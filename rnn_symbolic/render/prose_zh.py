"""The words of a derivation in Chinese."""

from __future__ import annotations

from rnn_symbolic.derivation import Part
from rnn_symbolic.forms import Rule
from rnn_symbolic.render.prose import Prose

CHINESE = Prose(
    titles={
        Part.FORWARD: "前向传播：每个量、每个时间步一个方程",
        Part.IMMEDIATE: "直接偏导数：每个方程对其右端的每个量各求一次",
        Part.OUTPUTS: "从损失到输出",
        Part.STATES: "从损失到隐藏状态",
        Part.PATHS: "从 $L$ 到 <goal> 的全部路径",
        Part.SUM: "各路径之和",
        Part.COLLECTED: "沿时间重复的因子合并",
        Part.ADJOINT: "一次反向传递得到同样的结果",
    },
    intros={
        Part.FORWARD: "每个量都有自己的名字，从不互相代入：正因如此，路径才看得见。各时间步共用同一组权重。",
        Part.IMMEDIATE: "每个方程只对其右端的每个量求一次导，其余的量保持不动。这张表写在一般的时间步 $t$ 上，"
        "全部的微积分都在这里；后面只是整理。",
        Part.OUTPUTS: "输出被它自己那一步的损失读取（若该步计入损失）。",
        Part.STATES: "量 $q$ 通过它的读取者到达 $L$：即依赖它的下一批输出、状态和损失，可以在本步，也可以在以后的步。"
        "$\\partial L/\\partial q$ 是对它们求和：每个读取者得到的导数，乘以从它通向 $q$ 的部分（有几条通路时写在括号内）。",
        Part.PATHS: "一条路径从某一步的损失出发，沿读取关系往回走，直到某个方程中出现 <goal>。共有 <count> 条。"
        "路径的值是相邻两点之间的因子的乘积，次序与路线一致，路线写在旁边：这些因子是直接偏导数；若同一步内有几条通路，则是它们的和。",
        Part.SUM: "求导就是把通向该量的所有路径相加：每条路径都是 <goal> 的变化到达 $L$ 的一种方式。",
        Part.COLLECTED: "这里的量都是标量，因子可以交换，重复的因子写在一起。",
        Part.ADJOINT: "在同一步、经同一方程进入的路径，末尾的因子相同；前面的部分对各个损失相加，就是 $L$ 对该处的量的导数。因此每个 "
        "$\\partial L/\\partial q$ 只需算一次：$O(T)$ 次乘法，与路径的条数无关。",
    },
    rules={
        Rule.CELL_EQUATION: "单元的方程",
        Rule.STEP_LOSS: "该步的损失",
        Rule.TOTAL_LOSS: "总损失",
        Rule.LAST_LOSS: "只有最后一步的损失",
        Rule.ADDEND: "加项",
        Rule.CONSTANT_MULTIPLE: "常数倍",
        Rule.WEIGHT: "对该量是线性的",
        Rule.WEIGHTED: "对权重是线性的",
        Rule.PRODUCT: "乘积法则",
        Rule.ACTIVATION: "激活函数的斜率",
        Rule.LOSS_SLOPE: "损失的斜率",
        Rule.POWER: "幂法则",
        Rule.NESTED: "方程内部的链式法则",
        Rule.SEVERAL_MENTIONS: "每次出现各一个乘积",
        Rule.LOGISTIC_CROSS_ENTROPY: "logistic 与交叉熵",
        Rule.ONLY_READER: "只有一个读取者",
        Rule.SUM_OVER_READERS: "对读取者求和",
        Rule.ALONG_PATH: "沿路径相乘",
        Rule.ALONG_PATH_COLLAPSED: "沿路径相乘并化简",
        Rule.SUM_OVER_PATHS: "对所有路径求和",
        Rule.NO_PATH: "没有路径",
        Rule.COLLECT: "标量可交换",
        Rule.GROUP_BY_ENTRY: "按进入的时间步分组",
    },
    reasons={
        Rule.CELL_EQUATION: "<subject> 的方程：单元的方程写在相应的时间步上。",
        Rule.STEP_LOSS: "这是第 <step> 步贡献的损失。",
        Rule.TOTAL_LOSS: "整个序列的损失是各步损失之和（不是平均）。",
        Rule.LAST_LOSS: "只有最后一步计入损失：这是文章中三条路径的看法。",
        Rule.ADDEND: "<subject> 中它是一个加项，所以直接偏导数是 1。",
        Rule.CONSTANT_MULTIPLE: "<subject> 中它乘以一个常数，这个常数就是偏导数。",
        Rule.WEIGHT: "<subject> 对它是线性的：偏导数就是它前面的权重。",
        Rule.WEIGHTED: "<subject> 对权重是线性的：偏导数就是权重所乘的量。",
        Rule.PRODUCT: "它出现在 <subject> 的一个因子中：偏导数是该因子的导数乘以其余的因子。",
        Rule.ACTIVATION: "<subject> 是它的函数：偏导数是该函数的斜率，在其自变量处计算。",
        Rule.LOSS_SLOPE: "一步的损失只依赖该步的输出；它在那里的斜率就是偏导数。",
        Rule.POWER: "幂法则，被乘方的量再用链式法则。",
        Rule.NESTED: "同一方程中运算嵌套：链式法则，最外层的在前。",
        Rule.SEVERAL_MENTIONS: "<subject> 的方程中它出现不止一次：每次出现各有一个乘积。",
        Rule.LOGISTIC_CROSS_ENTROPY: "由 $y = \\operatorname{logistic}(o)$ 和 "
        "$\\operatorname{logistic}'(o) = y\\,(1 - y)$，两个因子之积是 $y - d$；不再有可能为零的分母。",
        Rule.ONLY_READER: "<subject> 各只有一个读取者，所以各只有一项。",
        Rule.SUM_OVER_READERS: "<subject> 各有几个读取者，每个读取者一项。",
        Rule.ALONG_PATH: "把路线上的每个直接偏导数换成表中的值。",
        Rule.ALONG_PATH_COLLAPSED: "把路线上的每个直接偏导数换成表中的值，前两个换成它们的乘积 $y - d$。",
        Rule.SUM_OVER_PATHS: "全导数等于对所有路径求和，每条路径贡献沿途的乘积。",
        Rule.NO_PATH: "没有从 $L$ 到 <subject> 的路径：空和为 0。",
        Rule.COLLECT: "标量可交换，所以斜率和循环权重可以分别集中到一起。",
        Rule.GROUP_BY_ENTRY: "在同一步、经同一方程进入的路径有共同的末尾因子；前面的部分对这些路径相加，就是写在前面的 $L$ 的导数。",
    },
    phrases={
        "title": "$L$ 对 <goal> 的梯度",
        "title-several": "$L$ 对 <goals> 的梯度",
        "title-sub": "对 <goal> 的梯度",
        "model": "单元为 <cell>，展开为 <steps>。",
        "step-one": "$T = 1$ 个时间步",
        "steps": "$T = <T>$ 个时间步",
        "conventions": "约定",
        "scalar": "所有的量都是标量（文章用数来计算）。这时梯度与雅可比是同一个数，所以<layout>不需要转置。"
        "权重没有时间下标：各步共用。",
        "layout-gradient": "梯度布局（与参数同形）",
        "layout-jacobian": "雅可比布局（分子布局）",
        "partials": "$\\partial L/\\partial q$ 是全导数：凡依赖 $q$ 的量都随之变化。"
        "$\\partial^{+} p/\\partial q$ 是直接偏导数：只对定义 $p$ 的那一个方程求导，其余的量不动。",
        "abstract-activation": "$\\sigma$ 是任意可微函数，$\\sigma'$ 是它的导数，"
        "总是在激活前的值处计算：$\\sigma'(<a>)$，而不是 $\\sigma'(<h>)$。",
        "activation": "激活函数是 $<symbol>$，$<symbol>'(z) = <slope>$，在激活前的值处计算。",
        "activation-formula": "激活函数是 $<symbol>$，导数为 $<slope>$。",
        "activation-identity": "激活函数是恒等函数：斜率 1 不写出。",
        "output-activation": "输出有自己的激活函数 $<symbol>$，$<symbol>'(z) = <slope>$。",
        "output-activation-formula": "输出有自己的激活函数 $<symbol>$，导数为 $<slope>$。",
        "output-activation-identity": "输出的激活函数是恒等函数：斜率 1 不写出。",
        "function": "$<symbol>$ 的导数是 $<symbol>'(z) = <slope>$。",
        "function-formula": "$<symbol>$ 的导数是 $<slope>$。",
        "kink": "$<symbol>$ 在 0 处不可导；约定 $<symbol>'(0) = 0$。",
        "loss-abstract": "$\\ell_{t}$ 是输出 $y_{t}$ 的任意可微损失（真实值 $d_{t}$ 含在其中），"
        "$\\ell_{t}'$ 是它对 $y_{t}$ 的导数。",
        "loss-squared": "一步的损失是 $\\tfrac{1}{2}(y_{t} - d_{t})^{2}$（带有二分之一）。",
        "loss-cross-entropy": "一步的损失是交叉熵 $<formula>$。",
        "loss-cell": "一步的损失由单元给出：$<formula>$。",
        "losses-all": "$L = \\sum_{t} \\ell_{t}$ 是各步损失之和，不是平均。",
        "losses-last": "$L = \\ell_{T}$：只计最后一步的损失（文章的看法）。",
        "lag": "路径的滞后是损失所在的步减去进入的步，即出现所求之量的那个方程所在的步。",
        "elision": "超过六步时，省略之处以点表示：表只列前两步与最后一步；对时间步求的和只列前两项与最后一项；"
        "路径只列最晚和最早的（有路径的）损失中滞后最短的两种（每种至多 <most> 条）和最长的一条；"
        "经过六步以上的路径只列前两步与最后一步的因子。和的值不缺任何一项；--all 可全部列出。",
        "paths-shown": "列出了 <count> 条中的 <shown> 条。",
        "no-recurrent": "没有沿时间重复的因子：这个梯度不会随滞后而消失或爆炸。",
        "brace": "先写精确的乘积；花括号下（或其后方括号内）的简写把各个不同的斜率写成了同一个。",
        "shorthand": "简写 $<short>$ 只是一种写法：它代表 $<exact>$，其中 <k> 个斜率各在不同的激活前的值处。",
        "shorthand-before": "从 $L$ 来看，还要乘上前面的因子：$<before>$。",
        "checked": "已检验的内容",
        "checked-structure": "没有缺少或错位的行：表中各行来自单元的方程，推导的各行来自这张表。",
        "checked-lines": "<number> 行：等号两边在一个随机点（种子 <seed>）数值相等，相对误差 <error>；"
        "全导数用前向传播的复数步长法，直接偏导数用单个方程的复数步长法。",
        "checked-lines-skipped": "有 <skipped> 个很长的行没有逐一计算。",
        "checked-gradient": "全部路径（共 <number> 条）之和等于前向传播的复数步长导数（相对误差 <error>）。",
        "checked-adjoint": "按表做伴随递推得到同样的数（<number> 个梯度，相对误差 <error>）。",
        "checked-count": "列出的路径数与动态规划所得相同：<number>。",
        "checked-count-skipped": "路径由动态规划计数，没有逐条列出：<number> 条。",
        "checked-sympy": "已证明：路径之和减去 SymPy 对代入后的损失所求的导数，展开后为 0；"
        "对模型中未指定的任意 $\\sigma$ 和 $\\ell_{t}$ 都成立。",
        "checked-sympy-concrete": "已证明：路径之和减去 SymPy 对代入后的损失所求的导数，展开后为 0。",
        "checked-sympy-skipped": "没有用 SymPy 证明：只在 $T \\le <T>$ 且路径不超过 <paths> 条时进行。",
        "checked-sympy-hint": "尚未与 SymPy 比较：$T \\le <T>$ 时，--verify 可证明该和等于 SymPy 自己求得的导数。",
        "checked-failed": "未通过（<check>）：<detail>",
        "checked-none": "没有数值：<detail>",
        "for-goal": "<goal>：",
    },
)
