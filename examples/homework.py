"""A backward pass as it is handed in: its gradient check passed, and it is wrong.

rnn-symbolic audit --code examples/homework.py:loss_and_gradients
"""

import numpy as np


def logistic(z):
    return 1 / (1 + np.exp(-z))


def loss_and_gradients(params, x, d, state):
    """L = ½ Σ (y − d)² and its gradients: params by name, x (T, n_x), d (T, n_y), state {"h_0": (n_h,)}."""
    W_x, W_h, W_y, b_h, b_y = (params[name] for name in ("W_x", "W_h", "W_y", "b_h", "b_y"))
    T, h, y = len(x), {0: state["h_0"]}, {}
    for t in range(1, T + 1):
        h[t] = logistic(W_h @ h[t - 1] + W_x @ x[t - 1] + b_h)
        y[t] = logistic(W_y @ h[t] + b_y)
    loss = sum(0.5 * np.sum((y[t] - d[t - 1]) ** 2) for t in y)

    gradients = {name: np.zeros_like(value) for name, value in params.items()}
    from_later = np.zeros_like(b_h)
    for t in range(T, 0, -1):
        do = (y[t] - d[t - 1]) * y[t] * (1 - y[t])
        da = (W_y.T @ do + from_later) * h[t] * (1 - h[t])
        gradients["W_y"] += np.outer(do, h[t])
        gradients["b_y"] += do
        gradients["W_h"] += np.outer(da, h[t - 1])
        gradients["W_x"] += np.outer(da, x[t - 1])
        gradients["b_h"] += da
        from_later = W_h @ da
    return loss, gradients
