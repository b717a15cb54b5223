"""The built-in cells, as the text that anybody would write: print one, change it, and it is a cell of your own.

Names that recur: h is the state, c the memory cell of an LSTM, a_f the pre-activation of the gate f, W what weighs
the state, U or W_x what weighs what comes in, b a bias. The gated cells end as the elman cell does.
"""

from __future__ import annotations

BUILT_IN: dict[str, str] = {
    "elman": """\
# elman: the article's network
a = W_h @ h[t-1] + W_x @ x + b_h
h = sigma(a)
o = W_y @ h + b_y
y = sigma(o)
""",
    "jordan": """\
# jordan: not the state but the output is fed back (Jordan 1986)
a = W_h @ y[t-1] + W_x @ x + b_h
h = sigma(a)
o = W_y @ h + b_y
y = sigma(o)
""",
    "irnn": """\
# irnn: an elman network whose state is rectified
a = W_h @ h[t-1] + W_x @ x + b_h
h = relu(a)
o = W_y @ h + b_y
y = sigma(o)
""",
    "linear": """\
# linear: no activation at all, so that every gradient is a polynomial
h = W_h @ h[t-1] + W_x @ x + b_h
y = W_y @ h + b_y
""",
    "residual": """\
# residual: a skip connection carries the state past the activation
a = W_h @ h[t-1] + W_x @ x + b_h
h = h[t-1] + sigma(a)
o = W_y @ h + b_y
y = sigma(o)
""",
    "lag2": """\
# lag2: an elman network that looks two steps back as well
a = W_h @ h[t-1] + V_h @ h[t-2] + W_x @ x + b_h
h = sigma(a)
o = W_y @ h + b_y
y = sigma(o)
""",
    "two-layer": """\
# two-layer: an elman network whose states are read by a second one
a = W_h @ h[t-1] + W_x @ x + b_h
h = sigma(a)
e = W_s @ s[t-1] + U_s @ h + b_s
s = sigma(e)
o = W_y @ s + b_y
y = sigma(o)
""",
    "lstm": """\
# lstm: long short-term memory with a forget gate (Gers et al. 2000), as PyTorch with its two biases added
# gates: f keeps the old cell c, i admits the candidate g, o shows the new cell
a_f = W_f @ h[t-1] + U_f @ x + b_f
a_i = W_i @ h[t-1] + U_i @ x + b_i
a_g = W_g @ h[t-1] + U_g @ x + b_g
a_o = W_o @ h[t-1] + U_o @ x + b_o
f = logistic(a_f)
i = logistic(a_i)
g = tanh(a_g)
o = logistic(a_o)
c = f * c[t-1] + i * g
h = o * tanh(c)
y = sigma(W_y @ h + b_y)
""",
    "lstm-peephole": """\
# lstm-peephole: an LSTM whose gates see the cell (Gers & Schmidhuber 2000)
# elementwise weights P: f and i see the old cell, o the new one
a_f = W_f @ h[t-1] + U_f @ x + P_f * c[t-1] + b_f
a_i = W_i @ h[t-1] + U_i @ x + P_i * c[t-1] + b_i
a_g = W_g @ h[t-1] + U_g @ x + b_g
f = logistic(a_f)
i = logistic(a_i)
g = tanh(a_g)
c = f * c[t-1] + i * g
a_o = W_o @ h[t-1] + U_o @ x + P_o * c + b_o
o = logistic(a_o)
h = o * tanh(c)
y = sigma(W_y @ h + b_y)
""",
    "gru": """\
# gru: gated recurrent unit that resets before the product (Cho et al. 2014)
# z keeps the old state: 1 leaves it as it is, 0 replaces it by n
a_z = W_z @ h[t-1] + U_z @ x + b_z
a_r = W_r @ h[t-1] + U_r @ x + b_r
z = logistic(a_z)
r = logistic(a_r)
a_n = W_n @ (r * h[t-1]) + U_n @ x + b_n
n = tanh(a_n)
h = z * h[t-1] + (1 - z) * n
y = sigma(W_y @ h + b_y)
""",
    "gru-cudnn": """\
# gru-cudnn: gated recurrent unit that resets after the product, as PyTorch and cuDNN do
# z keeps the old state: 1 leaves it as it is, 0 replaces it by n; c_n is the bias that r resets as well
a_z = W_z @ h[t-1] + U_z @ x + b_z
a_r = W_r @ h[t-1] + U_r @ x + b_r
z = logistic(a_z)
r = logistic(a_r)
a_n = U_n @ x + b_n + r * (W_n @ h[t-1] + c_n)
n = tanh(a_n)
h = z * h[t-1] + (1 - z) * n
y = sigma(W_y @ h + b_y)
""",
    "mgu": """\
# mgu: minimal gated unit, whose one gate both resets and updates (Zhou et al. 2016)
# f admits the new state: 1 replaces the old one by n, 0 leaves it as it is; the reset stands before the product
a_f = W_f @ h[t-1] + U_f @ x + b_f
f = logistic(a_f)
a_n = W_n @ (f * h[t-1]) + U_n @ x + b_n
n = tanh(a_n)
h = (1 - f) * h[t-1] + f * n
y = sigma(W_y @ h + b_y)
""",
    "d2l": """\
# d2l: Dive into Deep Learning's network for backpropagation through time: no activation, no biases
h = W_x @ x + W_h @ h[t-1]
y = W_y @ h
""",
    "pascanu": """\
# pascanu: the state is what stands before the activation (Pascanu, Mikolov and Bengio 2013)
a = W_h @ sigma(a[t-1]) + W_x @ x + b_h
y = a
""",
}
