"""gru (reset before the product), gru-cudnn (after it), mgu (one gate for both).

gru:  z, r = logistic(…),  n = tanh(W_n (r h_{t-1}) + U_n x_t + b_n),         h = z h_{t-1} + (1 − z) n
cudnn:                     n = tanh(U_n x_t + b_n + r (W_n h_{t-1} + c_n)),   h as above
mgu:  f = logistic(…),     n = tanh(W_n (f h_{t-1}) + U_n x_t + b_n),         h = (1 − f) h_{t-1} + f n
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from .layers import Parameters, line_back, logistic, read, read_back, slope
from .mistakes import Array, Gradients, Mistakes, Steps, Sums, back, bptt, carried, dot, outer, squared, starting

READ = ("W_y", "b_y")


def gru(p: Parameters, x: Steps, d: Steps, m: Mistakes) -> tuple[float, Gradients]:
    """gru, gru-cudnn with c_n, mgu with W_f: then z is 1 − f and r is f."""
    minimal, after = "W_f" in p, "c_n" in p
    update, reset = ("f", "f") if minimal else ("z", "r")
    gates = sorted({update, reset}, reverse=True)
    swapped = m(f"{update}-exchanged", "convention", f"{update} and 1 - {update} exchanged, forward and backward")
    code, there = ("reset-before", "before") if after else ("reset-after", "after")
    if m(code, "convention", f"the reset stands {there} the product, forward and backward", scalar=after):
        after = not after
    c_n = p.get("c_n", 0.0)
    a: dict[str, Steps] = {k: {} for k in (*gates, "n")}
    v: dict[str, Steps] = {k: {} for k in gates}
    n: Steps = {}
    inner: Steps = {}  # W_n h_{t-1} + c_n, what the reset multiplies behind the product
    h: Steps = dict(enumerate(starting(m, p, "h_0")))
    o: Steps = {}
    y: Steps = {}

    def keeping(t: int) -> Array:
        """How much of the old state is kept."""
        return 1 - v[update][t] if minimal != swapped else v[update][t]

    for t in x:
        for k in gates:
            a[k][t] = dot(p[f"W_{k}"], h[t - 1]) + dot(p[f"U_{k}"], x[t]) + p[f"b_{k}"]
            v[k][t] = logistic(a[k][t])
        r = v[reset][t]
        inner[t] = dot(p["W_n"], h[t - 1]) + c_n
        into = r * inner[t] if after else dot(p["W_n"], r * h[t - 1]) + c_n
        a["n"][t] = into + dot(p["U_n"], x[t]) + p["b_n"]
        n[t] = np.tanh(a["n"][t])
        h[t] = keeping(t) * h[t - 1] + (1 - keeping(t)) * n[t]
        o[t], y[t] = read(p, h[t])
    loss, dy = squared(m, y, d)

    def backward(dy: Steps, steps: Iterable[int], g: Sums) -> Gradients:
        dh_next = np.zeros_like(h[0])
        for t in steps:
            dh = read_back(m, g, p, t, dy[t], o, y, h) + dh_next
            slopes = {k: slope(m, k, "logistic", a[k], v[k], t) for k in gates}

            # h = z h_{t-1} + (1 - z) n
            keep, before = keeping(t), h[t - 1]
            sign = -1 if minimal != swapped else 1
            dz = sign * dh * (before - n[t])
            if m(f"{update}-of-new-state", "index", f"h_t for h_(t-1) in d{update}"):
                dz = sign * dh * (h[t] - n[t])
            if m(f"n-stale-in-{update}", "index", f"n_(t-1) for n_t in d{update}; at t = 1 that of the last step"):
                dz = sign * dh * (before - back(n, t))
            if m(f"{update}-negated", "sign", f"d{update} has the wrong sign"):
                dz = -dz
            if m(f"n-forgotten-in-{update}", "missing-route", f"that {update} also multiplies n is forgotten"):
                dz = sign * dh * before
            if m(f"h-forgotten-in-{update}", "missing-route", f"that {update} also multiplies h_(t-1) is forgotten"):
                dz = -sign * dh * n[t]
            if m(f"h-{update}-route", "missing-route", f"that h depends on {update} is forgotten"):
                dz = 0 * dz
            dn = dh * (1 - keep)
            if m(
                "n-with-other-weight",
                "convention",
                f"{update} and 1 - {update} exchanged in dn, only there",
            ):
                dn = dh * keep
            if m("h-n-route", "missing-route", "that h depends on n is forgotten"):
                dn = 0 * dn
            direct = dh * keep
            if m("direct-left-out", "missing-route", "the way from state to state past n is left out"):
                direct = 0 * direct
            if m(
                "direct-with-other-weight",
                "convention",
                f"{update} and 1 - {update} exchanged on the direct way",
            ):
                direct = dh * (1 - keep)
            if m(f"{update}-stale-on-direct-way", "index", f"{update} of the step before on the direct way"):
                direct = dh * keeping(t - 1 if t > 1 else max(n))

            # n = tanh(a_n)
            s = slope(m, "n", "tanh", a["n"], n, t)
            da_n = s * dn
            now = x[t]
            if m("U_n-of-input-before", "index", "the input of t - 1 in dU_n; at t = 1 the last one"):
                now = back(x, t)
            g.add("U_n", t, outer(da_n, now))
            g.add("b_n", t, da_n)
            product = after_product if after else before_product
            dr, through = product(t, s, dn, da_n, g)
            if m(f"n-{reset}-route", "missing-route", f"that n depends on the reset {reset} is forgotten"):
                dr = 0 * dr
            if m(f"{reset}-reset-negated", "sign", f"what the reset {reset} gets has the wrong sign"):
                dr = -dr
            if m("W_n-route", "missing-route", "that n depends on h_(t-1), but for the gates, is forgotten"):
                through = 0 * through

            # the gates
            dv = {reset: dr, update: dz} if not minimal else {update: dz + dr}
            back_to_h = direct + through
            for k in gates:
                names = f"W_{k} U_{k} b_{k}"
                back_to_h = back_to_h + line_back(m, g, p, t, slopes[k], dv[k], names, h, x, gate=f"the gate {k}")
            dh_next = carried(m, "h", t, back_to_h)
        return {**g.total, "h_0": dh_next * (t == 1)}

    def state_of(t: int) -> Array:
        """h_{t-1} in the derivatives by W_n and the reset."""
        if m("h_0-term-left-out", "initial-state", "what enters at step 1 with h_0 is not added") and t == 1:
            return 0 * h[t - 1]
        return h[t - 1]

    def before_product(t: int, s: Array, dn: Array, da_n: Array, g: Sums) -> tuple[Array, Array]:
        """Back through W_n (r h_{t-1}): to r, and to h_{t-1} past r."""
        r = v[reset][t]
        fed = r * state_of(t)
        if m("W_n-of-new-state", "index", "h_t for h_(t-1) in dW_n"):
            fed = r * h[t]
        if m("W_n-with-stale-reset", "index", f"{reset} of the step before in dW_n"):
            fed = back(v[reset], t) * h[t - 1]
        if m("W_n-without-reset", "scale", f"a factor too few: {reset} is forgotten in dW_n"):
            fed = h[t - 1]
        g.add("W_n", t, outer(da_n, fed))
        if "c_n" in p:
            g.add("c_n", t, da_n)
        inside = dot(p["W_n"].T, da_n)
        if m("W_n-not-transposed", "transpose", "W_n for its transpose on the way back", scalar=False):
            inside = dot(p["W_n"], da_n)
        if m("W_n-order", "order", "the slope after W_nᵀ, not before", scalar=False):
            inside = s * dot(p["W_n"].T, dn)
        if m("W_n-forgotten", "scale", "a weight too few: W_nᵀ is forgotten on the way back"):
            inside = da_n
        dr, through = inside * h[t - 1], r * inside
        if m(f"{reset}-of-new-state", "index", f"h_t for h_(t-1) in d{reset}"):
            dr = inside * h[t]
        if m(f"{reset}-stale-in-carry", "index", f"{reset} of the step before on the way through W_n"):
            through = back(v[reset], t) * inside
        if m("through-without-reset", "scale", f"a factor too few: {reset} is forgotten on the way through W_n"):
            through = inside
        if m("reset-before-W_n", "order", f"W_nᵀ ({reset} g) for {reset} (W_nᵀ g)", scalar=False):
            through = dot(p["W_n"].T, r * da_n)
        return dr, through

    def after_product(t: int, s: Array, dn: Array, da_n: Array, g: Sums) -> tuple[Array, Array]:
        """Back through r (W_n h_{t-1} + c_n): to r, and to h_{t-1} past r."""
        r = v[reset][t]
        dq = da_n * r
        fed = state_of(t)
        if m("W_n-of-new-state", "index", "h_t for h_(t-1) in dW_n"):
            fed = h[t]
        g.add(
            "W_n",
            t,
            outer(
                da_n if m("W_n-without-reset", "scale", f"a factor too few: {reset} is forgotten in dW_n") else dq, fed
            ),
        )
        if "c_n" in p:
            g.add(
                "c_n",
                t,
                da_n if m("c_n-without-reset", "scale", f"a factor too few: {reset} is forgotten in dc_n") else dq,
            )
        dr = da_n * inner[t]
        if m("c_n-forgotten-in-reset", "missing-route", f"that {reset} also multiplies c_n is forgotten"):
            dr = da_n * (inner[t] - c_n)
        if m("inner-stale", "index", f"W_n h + c_n of the step before in d{reset}"):
            dr = da_n * back(inner, t)
        through = dot(p["W_n"].T, dq)
        if m(f"{reset}-stale-in-carry", "index", f"{reset} of the step before on the way through W_n"):
            through = dot(p["W_n"].T, da_n * back(v[reset], t))
        if m("W_n-not-transposed", "transpose", "W_n for its transpose on the way back", scalar=False):
            through = dot(p["W_n"], dq)
        if m("W_n-order", "order", "the slope after W_nᵀ, not before", scalar=False):
            through = s * dot(p["W_n"].T, dn * r)
        if m("W_n-forgotten", "scale", "a weight too few: W_nᵀ is forgotten on the way back"):
            through = dq
        if m("through-without-reset", "scale", f"a factor too few: {reset} is forgotten on the way through W_n"):
            through = dot(p["W_n"].T, da_n)
        if m("reset-behind-W_n", "order", f"{reset} (W_nᵀ g) for W_nᵀ ({reset} g)", scalar=False):
            through = r * dot(p["W_n"].T, da_n)
        return dr, through

    return loss, bptt(m, p, dy, backward, READ)
