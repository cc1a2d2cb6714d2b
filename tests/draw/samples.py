"""Graphs to draw."""

from __future__ import annotations

import numpy as np

from tinygrad_norm.engine import Tensor, scope, tensor
from tinygrad_norm.engine.primitives import exp, relu, tanh
from tinygrad_norm.graph import Graph, graph
from tinygrad_norm.nn import LayerNorm, Linear, Module, Sequential
from tinygrad_norm.norms import layer_norm

UGLY_NAMES = [
    "<lambda>", "a:b", "x\\", "\\", '"', '\\"', "</script>", "&amp; &lt;", "🦜", "a\nb\r\tc", "{a|b}", "x" * 200,
    "\x00\x1b[31m\x0b", "\ud800", "]]>", "%s{0}", "x̂", "日本語", "--> <!--", "'", " ",
]  # fmt: skip


def leaf(name: str | None, *shape: int, requires_grad: bool = True) -> Tensor:
    return tensor(np.random.default_rng(0).normal(size=shape), requires_grad=requires_grad, name=name)


def normalized(*shape: int) -> Graph:
    n = shape[-1]
    return graph(layer_norm(leaf("x", *shape), n, leaf("γ", n), leaf("β", n)))


def twice() -> Graph:
    h = layer_norm(leaf("x", 8, 64), 64, leaf("γ₁", 64), leaf("β₁", 64))
    return graph(layer_norm(h, 64, leaf("γ₂", 64), leaf("β₂", 64)))


def perceptron() -> Graph:
    x = leaf("x", 32, 10, requires_grad=False)
    h = relu(x @ leaf("W1", 10, 64) + leaf("b1", 64))
    return graph(h @ leaf("W2", 64, 3) + leaf("b2", 3))


def root_mean_square() -> Graph:
    x = leaf("x", 8, 64)
    r = ((x * x).mean(-1, keepdims=True) + 1e-6).rsqrt().named("r")
    return graph(x * r * leaf("γ", 64))


def square() -> Graph:
    a = leaf("a", 3)
    return graph(a * a)


def residual() -> Graph:
    x = leaf("x", 8, 16)
    return graph(x + tanh(x @ leaf("W", 16, 16)))


def transformer_block() -> Graph:
    x = leaf("x", 8, 16)
    with scope("attention"):
        h = layer_norm(x, 16, leaf("g1", 16), leaf("b1", 16))
        q, k, v = (h @ leaf(n, 16, 16) for n in ("Wq", "Wk", "Wv"))
        scores = (q @ k.T) * 0.25
        e = exp(scores - scores.max(-1, keepdims=True))
        x = x + (e / e.sum(-1, keepdims=True) @ v) @ leaf("Wo", 16, 16)
    with scope("mlp"):
        h = layer_norm(x, 16, leaf("g2", 16), leaf("b2", 16))
        x = x + relu(h @ leaf("W1", 16, 64)) @ leaf("W2", 64, 16)
    return graph(x)


class Block(Module):
    """Parts in a list and by name."""

    def __init__(self) -> None:
        self.norm, self.mlp = LayerNorm(16), [Linear(16, 32, seed=0), Linear(32, 16, seed=1)]

    def forward(self, x: Tensor) -> Tensor:
        first, second = self.mlp
        return x + second(relu(first(self.norm(x))))


def modules() -> Graph:
    """Two blocks: their paths tell them apart."""
    return graph(Sequential(Block(), Block())(leaf("x", 8, 16)))


def chain(length: int) -> Graph:
    x = leaf("x", 2)
    for _ in range(length):
        x = x * 1.001
    return graph(x)


def recurrence(length: int) -> Graph:
    """Every step reads the first input again: as many long edges as steps."""
    x = leaf("x", 2)
    h = x
    for _ in range(length):
        h = tanh(h) + x
    return graph(h)


def nested_branches() -> Graph:
    """Two branches leave x on the same side, one around the other."""
    x = leaf("x", 3)
    inner = x + tanh(tanh(x))
    return graph(inner * 2.0 + tanh(tanh(tanh(tanh(tanh(x))))))


def interleaved_branches() -> Graph:
    """The second branch leaves before the first has joined, on the same side: their lines cross."""
    x = leaf("x", 3)
    a = x * 1.5
    b = a + tanh(tanh(tanh(x)))
    return graph(b * 1.25 + tanh(tanh(tanh(tanh(tanh(a))))))


SAMPLES = {
    "LayerNorm": lambda: normalized(8, 64),
    "LayerNorm 1 × 1": lambda: normalized(1, 1),
    "LayerNorm of a vector": lambda: normalized(5),
    "LayerNorm, wide": lambda: normalized(2, 128, 4096),
    "LayerNorm without affine": lambda: graph(layer_norm(leaf("x", 4, 8), 8)),
    "LayerNorm analytic": lambda: graph(layer_norm(leaf("x", 4, 8), 8, leaf("γ", 8), leaf("β", 8), backward="analytic")),
    "twice": twice,
    "RMSNorm": root_mean_square,
    "MLP": perceptron,
    "residual": residual,
    "a·a": square,
    "one op": lambda: graph(leaf("a", 3, 1) + leaf("b", 3)),
    "scalar loss": lambda: graph((layer_norm(leaf("x", 4, 8), 8) ** 2).sum()),
    "transformer block": transformer_block,
    "nested": nested_branches,
    "interleaved": interleaved_branches,
    "recurrence": lambda: recurrence(30),
}
