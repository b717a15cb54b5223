"""Adam (Kingma and Ba 2015), and the clipping of a gradient by its norm (Pascanu, Mikolov and Bengio 2013)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

Arrays = dict[str, np.ndarray]


class Adam:
    """Moves parameters, in place, against a running mean of the gradient, in units of its running size."""

    def __init__(self, params: Arrays, rate: float) -> None:
        self.params, self.rate, self.updates = params, rate, 0
        self.mean = {name: np.zeros_like(value) for name, value in params.items()}
        self.square = {name: np.zeros_like(value) for name, value in params.items()}

    def step(self, gradients: Mapping[str, np.ndarray]) -> None:
        """One update; gradients by anything else than the parameters are left aside."""
        self.updates += 1
        for name in self.params:
            value, mean, square, g = self.params[name], self.mean[name], self.square[name], gradients[name]
            mean += 0.1 * (g - mean)
            square += 0.001 * (g * g - square)
            size = np.sqrt(square / (1 - 0.999**self.updates)) + 1e-8
            value -= self.rate / (1 - 0.9**self.updates) * mean / size


def clipped(gradients: Mapping[str, np.ndarray], longest: float) -> Arrays:
    """The gradients, scaled down together where they are longer than ``longest``."""
    length = np.sqrt(sum(float((g * g).sum()) for g in gradients.values()))
    scale = min(1.0, longest / length) if length else 1.0
    return {name: g * scale for name, g in gradients.items()}
