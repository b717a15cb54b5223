"""Functions that a printed NumPy module brings along, and the words that its text has taken."""

from __future__ import annotations

RESERVED = (
    "np torch params x d state work dtype single T B t array rows overflow loss gradients logistic logistic_slope "
    "relu_slope softplus softmax logsumexp total loss_and_gradients name value found values finite forward given "
    "backward reduce outer of_state range reversed float all l I O "
).split()

HELPERS = {
    "rows": '''\
def rows(array):
    """All steps and samples one under another."""
    return array.reshape(-1, array.shape[-1])
''',
    "logistic": '''\
def logistic(z):
    """1 / (1 + exp(-z))."""
    return 1 / (1 + np.exp(-z))
''',
    "logistic_slope": '''\
def logistic_slope(z):
    """The derivative of the logistic function."""
    return logistic(z) * logistic(-z)
''',
    "relu_slope": '''\
def relu_slope(z):
    """1 where z > 0, else 0."""
    return (z > 0).astype(z.dtype)
''',
    "softplus": '''\
def softplus(z):
    """log(1 + exp(z)), without overflow."""
    return np.logaddexp(z, 0)
''',
    "total": '''\
def total(z):
    """The sum of the components."""
    return z.sum(axis=-1, keepdims=True)
''',
    "softmax": '''\
def softmax(z):
    """exp(z_i) / sum_j exp(z_j) along the last axis, without overflow."""
    powers = np.exp(z - z.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)
''',
    "logsumexp": '''\
def logsumexp(z):
    """log sum_j exp(z_j) along the last axis, without overflow."""
    greatest = z.max(axis=-1, keepdims=True)
    return greatest + np.log(np.exp(z - greatest).sum(axis=-1, keepdims=True))
''',
    "overflow": '''\
def overflow(forward, backward):
    """An error that names the step where something first is not finite."""
    for what, values, pick in (
        ("the forward pass", forward, min),
        ("the gradient", backward, max),
    ):
        steps = max(len(value) for value in values.values())
        bad = [
            (int(t) + 1 + steps - len(value), name)
            for name, value in values.items()
            for t in np.flatnonzero(~np.isfinite(value).all(axis=(1, 2)))
        ]
        if bad:
            step = pick(bad)[0]
            names = ", ".join(f"{name}_{step}" for t, name in bad if t == step)
            return FloatingPointError(f"{what} overflows at step {step}: {names}")
    return FloatingPointError("the gradient is not finite")
''',
}
