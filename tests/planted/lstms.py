"""lstm, and lstm-peephole, whose gates see the cell.

f, i, o = logistic(a_k),  g = tanh(a_g),  a_k = W_k h_{t-1} + U_k x_t + b_k (+ P_f c_{t-1}, P_i c_{t-1}, P_o c_t)
c = f c_{t-1} + i g,  h = o tanh(c)
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from .layers import Parameters, line_back, logistic, read, read_back, slope
from .mistakes import Array, Gradients, Mistakes, Steps, Sums, back, bptt, carried, dot, squared, starting

GATES = "figo"
KIND = {"f": "logistic", "i": "logistic", "g": "tanh", "o": "logistic"}


def lstm(p: Parameters, x: Steps, d: Steps, m: Mistakes) -> tuple[float, Gradients]:
    peephole = "P_f" in p
    a: dict[str, Steps] = {k: {} for k in GATES}
    f: Steps = {}
    i: Steps = {}
    g: Steps = {}
    o: Steps = {}
    h_0, c_0 = starting(m, p, "h_0", "c_0")
    h: Steps = {0: h_0}
    c: Steps = {0: c_0}
    tanh_c: Steps = {}
    out: Steps = {}
    y: Steps = {}
    for t in x:
        for k in GATES:
            a[k][t] = dot(p[f"W_{k}"], h[t - 1]) + dot(p[f"U_{k}"], x[t]) + p[f"b_{k}"]
        if peephole:
            a["f"][t] = a["f"][t] + p["P_f"] * c[t - 1]
            a["i"][t] = a["i"][t] + p["P_i"] * c[t - 1]
        f[t], i[t], g[t] = logistic(a["f"][t]), logistic(a["i"][t]), np.tanh(a["g"][t])
        c[t] = f[t] * c[t - 1] + i[t] * g[t]
        if peephole:
            a["o"][t] = a["o"][t] + p["P_o"] * c[t]
        o[t] = logistic(a["o"][t])
        tanh_c[t] = np.tanh(c[t])
        h[t] = o[t] * tanh_c[t]
        out[t], y[t] = read(p, h[t])
    loss, dy = squared(m, y, d)
    value = {"f": f, "i": i, "g": g, "o": o}

    def backward(dy: Steps, steps: Iterable[int], sums: Sums) -> Gradients:
        dh_next, dc_next = np.zeros_like(h[0]), np.zeros_like(c[0])
        for t in steps:
            dh = read_back(m, sums, p, t, dy[t], out, y, h) + dh_next
            slopes = {k: slope(m, k, KIND[k], a[k], value[k], t) for k in GATES}
            dv: dict[str, Array] = {}

            # h = o tanh(c)
            seen = tanh_c[t]
            if m("o-sees-c", "unknown", "do = dh c, the tanh of c is forgotten"):
                seen = c[t]
            if m("tanh_c-of-old-state-in-o", "index", "tanh(c_(t-1)) for tanh(c_t) in do"):
                seen = np.tanh(c[t - 1])
            dv["o"] = dh * seen
            if m("h-o-route", "missing-route", "that h depends on the gate o is forgotten"):
                dv["o"] = 0 * dh
            gate = o[t]
            if m("o-stale-in-c", "index", "o_(t-1) for o_t in dc; at t = 1 that of the last step"):
                gate = back(o, t)
            dc_here = dh * gate * slope(m, "tanh_c", "tanh", c, tanh_c, t)
            if m("c-without-o", "scale", "a factor too few: the factor o is left out in dc"):
                dc_here = dh * slope(m, "tanh_c", "tanh", c, tanh_c, t)
            if m("h-c-route", "missing-route", "that h depends on c is forgotten"):
                dc_here = 0 * dh
            dc = dc_here + dc_next
            if peephole:
                da_o = dv["o"] * slopes["o"]
                sums.add(
                    "P_o", t, da_o * (c[t - 1] if m("P_o-of-old-state", "index", "c_(t-1) for c_t in dP_o") else c[t])
                )
                if not m("P_o-route", "missing-route", "that the gate o sees c is forgotten"):
                    dc = dc + p["P_o"] * da_o

            # c = f c_{t-1} + i g
            was = c[t - 1]
            if m("f-of-new-state", "index", "c_t for c_(t-1) in df"):
                was = c[t]
            if m("f-of-older-state", "index", "c_(t-2) for c_(t-1) in df; at t = 1 the last of the list"):
                was = c[t - 2 if t > 1 else max(c)]
            if m("c_0-term-left-out", "initial-state", "c_0 is left out in df at step 1") and t == 1:
                was = 0 * was
            dv["f"] = dc * was
            dv["i"] = dc * (back(g, t) if m("g-stale-in-i", "index", "g_(t-1) for g_t in di") else g[t])
            dv["g"] = dc * (back(i, t) if m("i-stale-in-g", "index", "i_(t-1) for i_t in dg") else i[t])
            for k in "fig":
                if m(f"c-{k}-route", "missing-route", f"that c depends on {k} is forgotten"):
                    dv[k] = 0 * dc
            if m("gates-without-dc-next", "unknown", "f, i, g get what comes from h alone, not from the cell of t + 1"):
                dv |= {"f": dc_here * was, "i": dc_here * g[t], "g": dc_here * i[t]}
            if m("f-negated", "sign", "df has the wrong sign"):
                dv["f"] = -dv["f"]
            if m("g-negated", "sign", "dg has the wrong sign"):
                dv["g"] = -dv["g"]
            keep = f[t]
            if m("f-stale-in-carry", "index", "f_(t-1) for f_t in dc_next; at t = 1 that of the last step"):
                keep = back(f, t)
            if m("i-for-f-in-carry", "unknown", "i for f in dc_next"):
                keep = i[t]
            if m("f-forgotten-in-carry", "scale", "a factor too few: dc_next = dc, without f"):
                keep = np.ones_like(f[t])
            direct = dc * keep

            # a_k = W_k h_{t-1} + U_k x_t + b_k
            dh_before = np.zeros_like(dh)
            for k in GATES:
                names = f"W_{k} U_{k} b_{k}"
                dh_before = dh_before + line_back(m, sums, p, t, slopes[k], dv[k], names, h, x, gate=f"the gate {k}")

            if peephole:
                if m("direct-left-out", "missing-route", "c_t's factor f, the way from cell to cell, is left out"):
                    direct = 0 * direct
                for k in "fi":
                    da = slopes[k] * dv[k]
                    was = c[t - 1]
                    if m(f"P_{k}-of-new-state", "index", f"c_t for c_(t-1) in dP_{k}"):
                        was = c[t]
                    if m("c_0-peephole-left-out", "initial-state", "c_0 is left out in dP_f and dP_i at step 1"):
                        was = was * (t > 1)
                    sums.add(f"P_{k}", t, da * was)
                    if not m(f"P_{k}-route", "missing-route", f"that the gate {k} sees the old cell is forgotten"):
                        direct = direct + p[f"P_{k}"] * da
            dh_next = carried(m, "h", t, dh_before, of=2)
            dc_next = carried(m, "c", t, direct, of=2)
        return {**sums.total, "h_0": dh_next * (t == 1), "c_0": dc_next * (t == 1)}

    return loss, bptt(m, p, dy, backward, ("W_y", "b_y"))
