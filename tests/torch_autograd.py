"""A cell's text as PyTorch runs it: read by Python's own parser, differentiated by autograd; nothing of the package.

loss(text, values, x, d, state) is L as a tensor; `gradients` are those of autograd, as NumPy arrays.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

import numpy as np


def loss(text: str, values: Mapping[str, Any], x: Any, d: Any, *, activation: str, output: str, losses: str) -> Any:
    """½ Σ (y − d)² over steps and samples, or of the last step; samples lie along the first axis of each quantity."""
    import torch

    functions = {
        "tanh": torch.tanh,
        "logistic": torch.sigmoid,
        "relu": torch.relu,
        "softplus": torch.nn.functional.softplus,
        "exp": torch.exp,
        "sin": torch.sin,
        "cos": torch.cos,
        "softmax": lambda z: torch.softmax(z, dim=-1),
        "identity": lambda z: z,
    }
    equations = [
        node for node in ast.parse("\n".join(line.split("#")[0] for line in text.splitlines())).body
        if isinstance(node, ast.Assign)
    ]  # fmt: skip
    history: list[dict[str, Any]] = []

    def read(node: ast.expr, now: dict[str, Any], sigma: str) -> Any:
        match node:
            case ast.Constant(value=number):
                return number
            case ast.Name(id=name):
                return now[name] if name in now else values[name]
            case ast.Subscript(value=ast.Name(id=name), slice=ast.BinOp(right=ast.Constant(value=lag))):
                step = len(history) - int(lag)
                return history[step][name] if step >= 0 else values[f"{name}_{step + 1}"]
            case ast.UnaryOp(operand=operand):
                return -read(operand, now, sigma)
            case ast.Call(func=ast.Name(id=name), args=[argument]):
                return functions[sigma if name == "sigma" else name](read(argument, now, sigma))
            case ast.BinOp(left=left, op=operator, right=right):
                a, b = read(left, now, sigma), read(right, now, sigma)
                match operator:
                    case ast.MatMult():
                        return b @ a.T
                    case ast.Mult():
                        return a * b
                    case ast.Div():
                        return a / b
                    case ast.Add():
                        return a + b
                    case ast.Sub():
                        return a - b
                    case ast.Pow():
                        return a**b
        raise AssertionError(ast.dump(node))

    each = []
    for t in range(len(d)):
        now: dict[str, Any] = {} if x is None else {"x": x[t]}
        for equation in equations:
            (target,) = equation.targets
            assert isinstance(target, ast.Name)
            now[target.id] = read(equation.value, now, output if target.id == "y" else activation)
        history.append(now)
        each.append(0.5 * ((now["y"] - d[t]) ** 2).sum())
    return each[-1] if losses == "last" else sum(each)


def gradients(
    text: str, params: Mapping[str, Any], x: Any, d: Any, state: Mapping[str, Any], **options: str
) -> tuple[float, dict[str, Any]]:
    """L and its gradients by parameters, initial states and x, in double precision."""
    import torch

    def leaf(value: Any) -> Any:
        return torch.tensor(np.asarray(value, float), requires_grad=True)

    leaves = {name: leaf(value) for name, value in {**params, **state}.items()} | ({} if x is None else {"x": leaf(x)})
    total = loss(text, leaves, leaves.get("x"), torch.tensor(np.asarray(d, float)), **options)
    total.backward()
    found = {
        name: np.zeros(value.shape) if value.grad is None else value.grad.numpy() for name, value in leaves.items()
    }
    return float(total.detach()), found
