"""The cells without gates: elman, irnn, jordan, linear, d2l, residual, lag2, two-layer, pascanu.

Each goes forward and keeps what it will need, then back from T to 1: dh is ∂L/∂h_t, dh_next what comes from step
t + 1. σ is the logistic function, the loss ½ Σ (y − d)².
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from .layers import Parameters, line_back, linear_back, logistic, read, read_back, slope
from .mistakes import Gradients, Mistakes, Steps, Sums, back, bptt, carried, dot, outer, squared, starting

Result = tuple[float, Gradients]
READ = ("W_y", "b_y")  # parameters whose paths end at the step of the loss


def elman(p: Parameters, x: Steps, d: Steps, m: Mistakes) -> Result:
    a: Steps = {}
    h: Steps = dict(enumerate(starting(m, p, "h_0")))
    o: Steps = {}
    y: Steps = {}
    for t in x:
        a[t] = dot(p["W_h"], h[t - 1]) + dot(p["W_x"], x[t]) + p["b_h"]
        h[t] = logistic(a[t])
        o[t], y[t] = read(p, h[t])
    loss, dy = squared(m, y, d)

    def backward(dy: Steps, steps: Iterable[int], g: Sums) -> Gradients:
        dh_next = np.zeros_like(h[0])
        for t in steps:
            dh = read_back(m, g, p, t, dy[t], o, y, h) + dh_next
            s = slope(m, "h", "logistic", a, h, t)
            dh_next = carried(m, "h", t, line_back(m, g, p, t, s, dh, "W_h W_x b_h", h, x))
        return {**g.total, "h_0": dh_next * (t == 1)}

    return loss, bptt(m, p, dy, backward, READ)


def irnn(p: Parameters, x: Steps, d: Steps, m: Mistakes) -> Result:
    a: Steps = {}
    h: Steps = dict(enumerate(starting(m, p, "h_0")))
    o: Steps = {}
    y: Steps = {}
    for t in x:
        a[t] = dot(p["W_h"], h[t - 1]) + dot(p["W_x"], x[t]) + p["b_h"]
        h[t] = np.maximum(a[t], 0)
        o[t], y[t] = read(p, h[t])
    loss, dy = squared(m, y, d)

    def backward(dy: Steps, steps: Iterable[int], g: Sums) -> Gradients:
        dh_next = np.zeros_like(h[0])
        for t in steps:
            dh = read_back(m, g, p, t, dy[t], o, y, h) + dh_next
            s = (a[t] > 0) * np.ones_like(a[t])
            if m("h-slope-of-logistic", "wrong-activation", "h (1 - h) for the slope of relu"):
                s = h[t] * (1 - h[t])
            if m("h-slope-of-tanh", "wrong-activation", "1 - h² for the slope of relu"):
                s = 1 - h[t] ** 2
            if m("h-slope-left-out", "wrong-activation", "the slope of relu is left out"):
                s = np.ones_like(a[t])
            if m("h-slope-stale", "index", "the slope of h at t - 1; at t = 1 that of the last step"):
                s = (back(a, t) > 0) * np.ones_like(a[t])
            dh_next = carried(m, "h", t, line_back(m, g, p, t, s, dh, "W_h W_x b_h", h, x))
        return {**g.total, "h_0": dh_next * (t == 1)}

    return loss, bptt(m, p, dy, backward, READ)


def jordan(p: Parameters, x: Steps, d: Steps, m: Mistakes) -> Result:
    a: Steps = {}
    h: Steps = {}
    o: Steps = {}
    y: Steps = dict(enumerate(starting(m, p, "y_0")))
    for t in x:
        a[t] = dot(p["W_h"], y[t - 1]) + dot(p["W_x"], x[t]) + p["b_h"]
        h[t] = logistic(a[t])
        o[t], y[t] = read(p, h[t])
    loss, dy_own = squared(m, y, d)

    def backward(dy_own: Steps, steps: Iterable[int], g: Sums) -> Gradients:
        dy_next = np.zeros_like(y[0])
        for t in steps:
            dy = dy_own[t] + dy_next
            dh = read_back(m, g, p, t, dy, o, y, h, own=False)
            if m(
                "carry-without-output-slope",
                "output-derivative",
                "the slope of y for the loss, not for what comes back",
            ):
                dh = dot(p["W_y"].T, dy_own[t] * y[t] * (1 - y[t]) + dy_next)
            s = slope(m, "h", "logistic", a, h, t)
            dy_next = carried(m, "y", t, line_back(m, g, p, t, s, dh, "W_h W_x b_h", y, x, q="y"))
        return {**g.total, "y_0": dy_next * (t == 1)}

    return loss, bptt(m, p, dy_own, backward)


def linear(p: Parameters, x: Steps, d: Steps, m: Mistakes) -> Result:
    bias = "b_h" in p
    h: Steps = dict(enumerate(starting(m, p, "h_0")))
    y: Steps = {}
    for t in x:
        h[t] = dot(p["W_h"], h[t - 1]) + dot(p["W_x"], x[t]) + (p["b_h"] if bias else 0)
        y[t] = dot(p["W_y"], h[t]) + (p["b_y"] if bias else 0)
    loss, dy = squared(m, y, d)

    def backward(dy: Steps, steps: Iterable[int], g: Sums) -> Gradients:
        dh_next = np.zeros_like(h[0])
        for t in steps:
            s = np.ones_like(y[t])
            if m("y-slope-of-logistic", "wrong-activation", "y (1 - y) where y has no activation"):
                s = y[t] * (1 - y[t])
            dh = linear_back(m, g, p, t, s, dy[t], h, active=False, bias=bias) + dh_next
            s = np.ones_like(h[t])
            if m("h-slope-of-logistic", "wrong-activation", "h (1 - h) where h has no activation"):
                s = h[t] * (1 - h[t])
            if m("h-slope-of-tanh", "wrong-activation", "1 - h² where h has no activation"):
                s = 1 - h[t] ** 2
            if m("h-slope-of-relu", "wrong-activation", "[h > 0] where h has no activation"):
                s = (h[t] > 0) * s
            names = "W_h W_x b_h" if bias else "W_h W_x"
            dh_next = carried(m, "h", t, line_back(m, g, p, t, s, dh, names, h, x, active=False))
        return {**g.total, "h_0": dh_next * (t == 1)}

    return loss, bptt(m, p, dy, backward, READ)


d2l = linear  # the same without biases


def residual(p: Parameters, x: Steps, d: Steps, m: Mistakes) -> Result:
    a: Steps = {}
    v: Steps = {}
    h: Steps = dict(enumerate(starting(m, p, "h_0")))
    o: Steps = {}
    y: Steps = {}
    for t in x:
        a[t] = dot(p["W_h"], h[t - 1]) + dot(p["W_x"], x[t]) + p["b_h"]
        v[t] = logistic(a[t])
        h[t] = h[t - 1] + v[t]
        o[t], y[t] = read(p, h[t])
    loss, dy = squared(m, y, d)

    def backward(dy: Steps, steps: Iterable[int], g: Sums) -> Gradients:
        dh_next = np.zeros_like(h[0])
        for t in steps:
            dh = read_back(m, g, p, t, dy[t], o, y, h) + dh_next
            s = slope(m, "v", "logistic", a, v, t)
            if m("slope-of-state", "activation-argument", "h (1 - h) with the state h, which is h_(t-1) + σ(a)"):
                s = h[t] * (1 - h[t])
            line = line_back(m, g, p, t, s, dh, "W_h W_x b_h", h, x, gate="a")
            skip = dh
            if m("skip-left-out", "missing-route", "the skip connection is forgotten"):
                skip = 0 * dh
            if m("skip-behind-slope", "unknown", "the skip connection is taken for one inside σ"):
                skip = s * dh
            dh_next = carried(m, "h", t, skip + line)
        return {**g.total, "h_0": dh_next * (t == 1)}

    return loss, bptt(m, p, dy, backward, READ)


def lag2(p: Parameters, x: Steps, d: Steps, m: Mistakes) -> Result:
    a: Steps = {}
    h: Steps = dict(zip((0, -1), starting(m, p, "h_0", "h_-1"), strict=True))
    o: Steps = {}
    y: Steps = {}
    for t in x:
        a[t] = dot(p["W_h"], h[t - 1]) + dot(p["V_h"], h[t - 2]) + dot(p["W_x"], x[t]) + p["b_h"]
        h[t] = logistic(a[t])
        o[t], y[t] = read(p, h[t])
    loss, dy = squared(m, y, d)

    def backward(dy: Steps, steps: Iterable[int], g: Sums) -> Gradients:
        dh = {t: np.zeros_like(h[0]) for t in h}
        for t in steps:
            dh[t] = dh[t] + read_back(m, g, p, t, dy[t], o, y, h)
            s = slope(m, "h", "logistic", a, h, t)
            da = s * dh[t]
            before = h[t - 2]
            if m("V_h-of-newer-state", "index", "h_(t-1) for h_(t-2) in dV_h"):
                before = h[t - 1]
            if m("V_h-of-older-state", "index", "h_(t-3) for h_(t-2) in dV_h; where there is none the last one"):
                before = h.get(t - 3, h[max(h)])
            if m("early-terms-left-out", "initial-state", "what enters with h_(t-2) is added from t = 3 on") and t < 3:
                before = 0 * before
            g.add("V_h", t, outer(da, before))
            one = line_back(m, g, p, t, s, dh[t], "W_h W_x b_h", h, x, gate="a")
            two = dot(p["V_h"].T, da)
            if m("V_h-not-transposed", "transpose", "V_h for its transpose on the way back", scalar=False):
                two = dot(p["V_h"], da)
            if m("V_h-order", "order", "the slope after V_hᵀ, not before", scalar=False):
                two = s * dot(p["V_h"].T, dh[t])
            if m("V_h-route", "missing-route", "that a depends on h_(t-2) is forgotten"):
                two = 0 * two
            if m("V_h-for-W_h", "unknown", "W_h for V_h on the way back"):
                two = dot(p["W_h"].T, da)
            to = t - 2
            if m("V_h-carried-one-step", "index", "what belongs to h_(t-2) is added to h_(t-1)"):
                to = t - 1
            dh[t - 1] = dh[t - 1] + carried(m, "h", t, one)
            dh[to] = dh[to] + carried(m, "h", t, two, to=to)
        return {**g.total, "h_0": dh[0], "h_-1": dh[-1]}

    return loss, bptt(m, p, dy, backward, READ)


def two_layer(p: Parameters, x: Steps, d: Steps, m: Mistakes) -> Result:
    a: Steps = {}
    e: Steps = {}
    o: Steps = {}
    y: Steps = {}
    h_0, s_0 = starting(m, p, "h_0", "s_0")
    h: Steps = {0: h_0}
    s: Steps = {0: s_0}
    for t in x:
        a[t] = dot(p["W_h"], h[t - 1]) + dot(p["W_x"], x[t]) + p["b_h"]
        h[t] = logistic(a[t])
        e[t] = dot(p["W_s"], s[t - 1]) + dot(p["U_s"], h[t]) + p["b_s"]
        s[t] = logistic(e[t])
        o[t], y[t] = read(p, s[t])
    loss, dy = squared(m, y, d)

    def backward(dy: Steps, steps: Iterable[int], g: Sums) -> Gradients:
        dh_next, ds_next = np.zeros_like(h[0]), np.zeros_like(s[0])
        for t in steps:
            own = read_back(m, g, p, t, dy[t], o, y, s, q="s")
            ds = own + ds_next
            slope_s = slope(m, "s", "logistic", e, s, t)
            ds_next = line_back(m, g, p, t, slope_s, ds, "W_s U_s b_s", s, h, q="s")
            up = dot(p["U_s"].T, slope_s * ds)
            if m("U_s-route", "missing-route", "that s depends on h is forgotten", also=("missing-paths",)):
                up = 0 * up
            if m("U_s-not-transposed", "transpose", "U_s for its transpose", scalar=False, square=("U_s",)):
                up = dot(p["U_s"], slope_s * ds)
            if m("U_s-order", "order", "the slope of s after U_sᵀ, not before", scalar=False, square=("U_s",)):
                up = slope_s * dot(p["U_s"].T, ds)
            if m("only-last-up", "unknown", "the lower layer gets something at step T only"):
                up = up * (t == g.last)
            if m("up-without-carry", "missing-carry", "the lower layer gets nothing of what comes back to s"):
                up = dot(p["U_s"].T, slope_s * own)
            ds_next = carried(m, "s", t, ds_next, of=2)
            slope_h = slope(m, "h", "logistic", a, h, t)
            line = line_back(m, g, p, t, slope_h, up + dh_next, "W_h W_x b_h", h, x)
            dh_next = carried(m, "h", t, line, of=2)
        return {**g.total, "h_0": dh_next * (t == 1), "s_0": ds_next * (t == 1)}

    return loss, bptt(m, p, dy, backward, READ)


def pascanu(p: Parameters, x: Steps, d: Steps, m: Mistakes) -> Result:
    a: Steps = dict(enumerate(starting(m, p, "a_0")))
    v: Steps = {}  # v_t = σ(a_{t-1})
    for t in x:
        v[t] = logistic(a[t - 1])
        a[t] = dot(p["W_h"], v[t]) + dot(p["W_x"], x[t]) + p["b_h"]
    after = logistic(a[max(a)])
    loss, dy = squared(m, {t: a[t] for t in x}, d)

    def backward(dy: Steps, steps: Iterable[int], g: Sums) -> Gradients:
        da_next = np.zeros_like(a[0])
        for t in steps:
            own = dy[t]
            if m("y-slope-of-logistic", "wrong-activation", "σ'(a) before the loss, where y has no activation"):
                own = own * logistic(a[t]) * (1 - logistic(a[t]))
            da = own + da_next
            before, now = v[t], x[t]
            if m("a_0-term-left-out", "initial-state", "what enters at step 1 with a_0 is not added"):
                before = before * (t > 1)
            if m("W_h-of-new-state", "index", "σ(a_t) for σ(a_(t-1)) in dW_h"):
                before = v.get(t + 1, after)
            if m("W_h-of-older-state", "index", "σ(a_(t-2)) for σ(a_(t-1)) in dW_h; at t = 1 the last"):
                before = v.get(t - 1, after)
            if m("W_h-of-pre-activation", "unknown", "a_(t-1) for σ(a_(t-1)) in dW_h"):
                before = a[t - 1]
            if m("W_x-of-input-before", "index", "the input of t - 1 in dW_x; at t = 1 the last one"):
                now = back(x, t)
            g.add("W_h", t, outer(da, before))
            g.add("W_x", t, outer(da, now))
            g.add("b_h", t, da)
            s = slope(m, "v", "logistic", {**{k + 1: a[k] for k in a}}, v, t)
            if m("v-slope-ahead", "index", "the slope of σ at a_t, not a_(t-1)"):
                s = v.get(t + 1, after) * (1 - v.get(t + 1, after))
            da_next = s * dot(p["W_h"].T, da)
            if m("W_h-not-transposed", "transpose", "W_h for its transpose on the way back", scalar=False):
                da_next = s * dot(p["W_h"], da)
            if m("W_h-order", "order", "the slope before W_hᵀ, not after", scalar=False):
                da_next = dot(p["W_h"].T, s * da)
            if m("W_h-forgotten", "scale", "a weight too few: W_hᵀ is forgotten on the way back"):
                da_next = s * da
            if m("W_h-twice", "scale", "a weight too many: W_hᵀ stands twice on the way back"):
                da_next = s * dot(p["W_h"].T, dot(p["W_h"].T, da))
            da_next = carried(m, "a", t, da_next)
        return {**g.total, "a_0": da_next * (t == 1)}

    return loss, bptt(m, p, dy, backward)
