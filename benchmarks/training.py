"""A training step with plain SGD, float32, one thread, beside PyTorch eager from the same weights; both run the same lines."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from .peers import Contender, Library, Options, Row, available, microseconds, ours, theirs

RATE, CHECKED = 0.05, 10
Weights = dict[str, Any]


class Network(NamedTuple):
    """Starting weights by a seeded generator, the input and its labels, and the loss. ``how``: which backward norms and softmax take."""

    name: str
    weights: Callable[[np.random.Generator], Weights]
    data: Callable[[np.random.Generator], tuple[Any, Any]]
    loss: Callable[[Any, Weights, Any, Any, dict[str, Any]], Any]


def _matrix(rng: np.random.Generator, *shape: int) -> Any:
    """Entries of variance 1/inputs; the first axis is the outputs'."""
    return rng.standard_normal(shape, np.float32) / np.float32(np.sqrt(np.prod(shape[1:])))


def _affine(weights: Weights, name: str, n: int) -> None:
    weights[f"{name}.w"], weights[f"{name}.b"] = np.ones(n, np.float32), np.zeros(n, np.float32)


def _linear(rng: np.random.Generator, weights: Weights, name: str, outs: int, ins: int) -> None:
    weights[f"{name}.w"], weights[f"{name}.b"] = _matrix(rng, outs, ins), np.zeros(outs, np.float32)


def linear(F: Any, p: Weights, name: str, x: Any) -> Any:
    return F.linear(x, p[f"{name}.w"], p[f"{name}.b"])


def batch_norm(F: Any, p: Weights, name: str, x: Any, how: dict[str, Any]) -> Any:
    return F.batch_norm(x, None, None, p[f"{name}.w"], p[f"{name}.b"], True, 0.1, 1e-5, **how)


def layer_norm(F: Any, p: Weights, name: str, x: Any, how: dict[str, Any]) -> Any:
    return F.layer_norm(x, (x.shape[-1],), p[f"{name}.w"], p[f"{name}.b"], 1e-5, **how)


# MLP and CNN ---------------------------------------------------------------------------------------------


def _mlp_weights(rng: np.random.Generator) -> Weights:
    p: Weights = {}
    for i, (ins, outs) in enumerate(((64, 256), (256, 256))):
        _linear(rng, p, f"fc{i}", outs, ins)
        _affine(p, f"norm{i}", outs)
    _linear(rng, p, "head", 10, 256)
    return p


def _mlp(F: Any, p: Weights, x: Any, labels: Any, how: dict[str, Any]) -> Any:
    for i in range(2):
        x = F.relu(batch_norm(F, p, f"norm{i}", linear(F, p, f"fc{i}", x), how))
    return F.cross_entropy(linear(F, p, "head", x), labels)


def _cnn_weights(rng: np.random.Generator) -> Weights:
    p: Weights = {}
    for i, (ins, outs) in enumerate(((1, 16), (16, 32))):
        p[f"conv{i}.w"], p[f"conv{i}.b"] = _matrix(rng, outs, ins, 3, 3), np.zeros(outs, np.float32)
        _affine(p, f"norm{i}", outs)
    _linear(rng, p, "head", 10, 32 * 16)
    return p


def _cnn(F: Any, p: Weights, x: Any, labels: Any, how: dict[str, Any]) -> Any:
    for i in range(2):
        x = F.relu(batch_norm(F, p, f"norm{i}", F.conv2d(x, p[f"conv{i}.w"], p[f"conv{i}.b"], padding=1), how))
    x = F.max_pool2d(x, 2)
    return F.cross_entropy(linear(F, p, "head", x.reshape(x.shape[0], -1)), labels)


# Transformer ---------------------------------------------------------------------------------------------

D, T, B, HEADS, VOCABULARY = 64, 32, 16, 4, 64


def _transformer_weights(rng: np.random.Generator) -> Weights:
    p: Weights = {"tokens": _matrix(rng, VOCABULARY, D), "places": _matrix(rng, T, D)}
    for i in range(2):
        for part, outs, ins in (("qkv", 3 * D, D), ("out", D, D), ("up", 4 * D, D), ("down", D, 4 * D)):
            _linear(rng, p, f"{part}{i}", outs, ins)
        _affine(p, f"before{i}", D)
        _affine(p, f"between{i}", D)
    _affine(p, "last", D)
    _linear(rng, p, "head", VOCABULARY, D)
    return p


def _attention(F: Any, p: Weights, i: int, x: Any, how: dict[str, Any]) -> Any:
    qkv = linear(F, p, f"qkv{i}", x).reshape(B, T, 3, HEADS, D // HEADS)
    q, k, v = (qkv[:, :, j].transpose(1, 2) for j in range(3))
    shares = F.softmax(q @ k.transpose(2, 3) * (D // HEADS) ** -0.5, -1, **how)
    return linear(F, p, f"out{i}", (shares @ v).transpose(1, 2).reshape(B, T, D))


def _transformer(F: Any, p: Weights, ids: Any, labels: Any, how: dict[str, Any]) -> Any:
    x = F.embedding(ids, p["tokens"]) + p["places"]
    for i in range(2):
        x = x + _attention(F, p, i, layer_norm(F, p, f"before{i}", x, how), how)
        x = x + linear(F, p, f"down{i}", F.gelu(linear(F, p, f"up{i}", layer_norm(F, p, f"between{i}", x, how))))
    logits = linear(F, p, "head", layer_norm(F, p, "last", x, how))
    return F.cross_entropy(logits.reshape(B * T, VOCABULARY), labels)


# LSTM ----------------------------------------------------------------------------------------------------

HIDDEN, ROWS = 64, 28


def _lstm_weights(rng: np.random.Generator) -> Weights:
    p: Weights = {name: np.zeros((1, HIDDEN), np.float32) for name in ("first h", "first c")}
    _linear(rng, p, "input", 4 * HIDDEN, ROWS)
    _linear(rng, p, "hidden", 4 * HIDDEN, HIDDEN)
    _affine(p, "norm input", 4 * HIDDEN)
    _affine(p, "norm hidden", 4 * HIDDEN)
    _affine(p, "norm cell", HIDDEN)
    _linear(rng, p, "head", 10, HIDDEN)
    return p


def _lstm(F: Any, p: Weights, x: Any, labels: Any, how: dict[str, Any]) -> Any:
    """Layer Normalization, Ba, Kiros and Hinton 2016, equations 20 to 22."""
    h, c = p["first h"], p["first c"]
    for t in range(ROWS):
        gates = layer_norm(F, p, "norm input", linear(F, p, "input", x[:, t]), how)
        gates = gates + layer_norm(F, p, "norm hidden", linear(F, p, "hidden", h), how)
        f, i, o, g = (gates[:, j * HIDDEN : (j + 1) * HIDDEN] for j in range(4))
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * layer_norm(F, p, "norm cell", c, how).tanh()
    return F.cross_entropy(linear(F, p, "head", h), labels)


def _images(*shape: int) -> Callable[[np.random.Generator], tuple[Any, Any]]:
    return lambda rng: (rng.standard_normal(shape, np.float32), rng.integers(0, 10, shape[0]))


NETWORKS = [
    Network("MLP with BatchNorm, 64-256-256-10, B 64", _mlp_weights, _images(64, 64), _mlp),
    Network("CNN with BatchNorm, two of 3×3, 8×8, B 64", _cnn_weights, _images(64, 1, 8, 8), _cnn),
    Network(
        "Transformer, d 64, T 32, B 16, two layers",
        _transformer_weights,
        lambda rng: (rng.integers(0, VOCABULARY, (B, T)), rng.integers(0, VOCABULARY, B * T)),
        _transformer,
    ),
    Network("LSTM with LayerNorm, 28 steps, H 64, B 32", _lstm_weights, _images(32, ROWS, ROWS), _lstm),
]


def step(network: Network, lib: Library, how: dict[str, Any]) -> Callable[[], float]:
    """A network of its own, and what trains it by one step; returns the loss before it."""
    rng = np.random.default_rng(0)
    weights = {name: lib.leaf(a) for name, a in network.weights(rng).items()}
    x, labels = (lib.constant(a) for a in network.data(rng))

    def run() -> float:
        loss = network.loss(lib.functional, weights, x, labels, how)
        loss.backward()
        with lib.top.no_grad():
            for p in weights.values():
                p -= RATE * p.grad
                p.grad = None
        return float(loss.detach())

    return run


def contenders(network: Network) -> dict[str, Contender]:
    """Trained until step CHECKED, where the losses must be equal to five decimals."""
    runs: dict[str, Callable[[], float]] = {
        "ours": step(network, ours(), {}),
        "ours, analytic": step(network, ours(), {"backward": "analytic"}),
    }
    if available("numba"):
        runs["ours, compiled"] = step(network, ours(), {"backward": "compiled"})
    if available("torch"):
        runs["PyTorch"] = step(network, theirs(), {})
    losses = {name: [run() for _ in range(CHECKED)][-1] for name, run in runs.items()}
    for name, loss in losses.items():
        assert abs(loss - losses["ours"]) < 1e-5, f"{network.name}: the loss at step {CHECKED} is {losses}, by {name} another"
    return dict(runs)


def rows(options: Options) -> Iterator[Row]:
    for network in NETWORKS:
        if options.wants(network.name):
            yield microseconds(network.name, contenders(network), options.seconds)
