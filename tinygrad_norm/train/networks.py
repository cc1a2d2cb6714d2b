"""Ready-made networks, small enough to train in seconds, each with its normalization by name.

    tn.train.cnn()                     # conv–BatchNorm–ReLU twice, pool, linear: the textbook's
    tn.train.cnn(norm="group_norm")    # the same with another
    tn.train.lstm(norm="layer_norm", seed=3)

The same ``seed`` gives the same weights under any norm. All raise ``OptionError`` for a norm they do not know, and say which they do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from .. import nn
from ..engine import OptionError, Tensor, describe, matmul, tensor
from ..engine.functions import relu
from ..nn.by_name import norm_of
from ..nn.parameters import layers as count
from ..nn.parameters import seeded


def _seeds(seed: Any) -> Iterator[int]:
    """A seed for each layer."""
    rng = seeded("seed", seed)
    while True:
        yield int(rng.integers(2**31))


def _known(name: str, norm: Any, makers: Mapping[str, Callable[..., nn.Module]]) -> Callable[..., nn.Module]:
    if not isinstance(norm, str) or norm not in makers:
        raise OptionError(f"{name}: norm={describe(norm)}; it is one of {', '.join(makers)}.")
    return makers[norm]


# Images -------------------------------------------------------------------------------------------------------------


def _groups(channels: int) -> int:
    return next(g for g in (4, 2, 1) if channels % g == 0)


CHANNEL_NORMS: dict[str, Callable[..., nn.Module]] = {
    "none": lambda c, **how: nn.Identity(),
    "batch_norm": lambda c, **how: nn.BatchNorm2d(c, **how),
    "layer_norm": lambda c, **how: nn.GroupNorm(1, c, **how),
    "group_norm": lambda c, **how: nn.GroupNorm(_groups(c), c, **how),
    "instance_norm": lambda c, **how: nn.InstanceNorm2d(c, affine=True, **how),
    "batch_renorm": lambda c, **how: nn.BatchRenorm2d(c, **how),
    "switchable_norm": lambda c, **how: nn.SwitchableNorm(c, **how),
    "filter_response_norm": lambda c, **how: nn.FilterResponseNorm(c, **how),
    "grn": lambda c, **how: nn.GRN(c, channels_last=False, **how),
}
"""Those of images (N, C, H, W). "layer_norm" is over C, H and W, with a γ and a β per channel: GroupNorm with one group."""


def mlp(
    norm: Any = "batch_norm",
    seed: int = 0,
    dtype: DTypeLike = np.float32,
    backward: str = "recorded",
    *,
    hidden: Sequence[int] = (128, 128),
    activation: Callable[[], nn.Module] = nn.ReLU,
    norm_first: bool = True,
    he: float | None = None,
) -> nn.Module:
    """Images (N, 8, 8) or vectors of 64 -> logits (N, 10): 64–128–128–10, a norm before each ReLU.

    hidden:      the layers' widths; activation: what makes a module, such as ``nn.Tanh``; norm_first: or the norm after it
    he:          initial weights are normal with σ = he·√(2/fan_in) (He et al. 2015, arXiv:1502.01852, eq. 10), those of the last
                 layer √(1/fan_in), biases 0; None: PyTorch's
    """
    s = _seeds(seed)
    layers: list[nn.Module] = [nn.Flatten()]
    for ins, outs in pairwise((64, *hidden)):
        linear = nn.Linear(ins, outs, dtype=dtype, seed=next(s))
        both = [norm_of("mlp", norm, outs, dtype=dtype, backward=backward), activation()]
        layers += [linear, *(both if norm_first else reversed(both))]
    layers.append(nn.Linear((64, *hidden)[-1], 10, dtype=dtype, seed=next(s)))
    if he is not None:
        rng = np.random.default_rng(next(s))
        for layer in (m for m in layers if isinstance(m, nn.Linear)):
            out, fan_in = layer.weight.shape
            deviation = 1 / np.sqrt(fan_in) if layer is layers[-1] else he * np.sqrt(2 / fan_in)
            layer.weight.data = rng.normal(0, deviation, (out, fan_in)).astype(dtype)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return nn.Sequential(*layers)


class _AsImages(nn.Module):
    """(N, H, W) -> (N, 1, H, W)."""

    def forward(self, input: Tensor) -> Tensor:
        return input.reshape(len(input), 1, *input.shape[1:])


def cnn(norm: Any = "batch_norm", seed: int = 0, dtype: DTypeLike = np.float32, backward: str = "recorded") -> nn.Module:
    """Images (N, 8, 8) -> logits (N, 10): convolution–norm–ReLU twice, max pool, linear; 3×3, 16 and 32 channels.

    Source: Ioffe, Szegedy 2015, "Batch Normalization" (arXiv:1502.03167), section 3.2, for the order of the three.
    """
    s = _seeds(seed)
    layers: list[nn.Module] = [_AsImages()]
    for ins, outs in ((1, 16), (16, 32)):
        layers += [nn.Conv2d(ins, outs, 3, padding=1, dtype=dtype, seed=next(s))]
        made = norm(outs) if callable(norm) else _known("cnn", norm, CHANNEL_NORMS)(outs, dtype=dtype, backward=backward)
        layers += [made, nn.ReLU()]
    return nn.Sequential(*layers, nn.MaxPool2d(2), nn.Flatten(), nn.Linear(32 * 16, 10, dtype=dtype, seed=next(s)))


# Sequences ----------------------------------------------------------------------------------------------------------


class Recurrent(nn.Module):
    """Rows (N, T, input) -> logits (N, 10): a recurrent layer, and a linear one of its last output."""

    def __init__(self, kind: type, norm: Any, hidden: int, seed: int, dtype: DTypeLike, backward: str) -> None:
        s = _seeds(seed)
        self.cells = kind(8, hidden, batch_first=True, norm=norm, dtype=dtype, seed=next(s), backward=backward)
        self.head = nn.Linear(hidden, 10, dtype=dtype, seed=next(s))

    def forward(self, input: Tensor) -> Tensor:
        return self.head(self.cells(input)[0][:, -1])  # type: ignore[no-any-return]


def rnn(norm: Any = "layer_norm", seed: int = 0, dtype: DTypeLike = np.float32, backward: str = "recorded") -> nn.Module:
    """Digits row by row, (N, 8, 8) -> (N, 10): tanh, 64 units."""
    return Recurrent(nn.RNN, norm, 64, seed, dtype, backward)


def lstm(norm: Any = "layer_norm", seed: int = 0, dtype: DTypeLike = np.float32, backward: str = "recorded") -> nn.Module:
    """Digits row by row, (N, 8, 8) -> (N, 10): an LSTM of 64 units."""
    return Recurrent(nn.LSTM, norm, 64, seed, dtype, backward)


def gru(norm: Any = "layer_norm", seed: int = 0, dtype: DTypeLike = np.float32, backward: str = "recorded") -> nn.Module:
    """Digits row by row, (N, 8, 8) -> (N, 10): a GRU of 64 units."""
    return Recurrent(nn.GRU, norm, 64, seed, dtype, backward)


class Transformer(nn.Module):
    """Symbols (N, T), whole numbers -> logits (N, T, symbols): embedding, learned places, encoder layers, linear."""

    def __init__(
        self, norm: Any, symbols: int, length: int, layers: int, norm_first: bool, width: int, seed: int, dtype: DTypeLike, backward: str
    ) -> None:  # fmt: skip
        s = _seeds(seed)
        self.symbols = nn.Embedding(symbols, width, dtype=dtype, seed=next(s))
        self.places = nn.Embedding(length, width, dtype=dtype, seed=next(s))
        self.blocks = [
            nn.TransformerEncoderLayer(
                width, 4, 2 * width, 0.0, batch_first=True, norm_first=norm_first, norm=norm, dtype=dtype, seed=next(s), backward=backward
            )
            for _ in range(count("transformer", layers))
        ]  # fmt: skip
        self.norm = norm_of("transformer", norm, width, dtype=dtype, backward=backward) if norm_first else nn.Identity()
        self.head = nn.Linear(width, symbols, dtype=dtype, seed=next(s))

    def forward(self, input: Any) -> Tensor:
        x = self.symbols(input) + self.places(np.arange(input.shape[1]))
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))  # type: ignore[no-any-return]


def transformer(
    norm: Any = "layer_norm",
    seed: int = 0,
    dtype: DTypeLike = np.float32,
    backward: str = "recorded",
    *,
    symbols: int = 8,
    length: int = 10,
    layers: int = 2,
    norm_first: bool = True,
    width: int = 32,
) -> nn.Module:
    """Sequences (N, T) -> (N, T, symbols), such as ``tn.data.reversing`` gives; norm_first: pre-LN, else post-LN.

    Source: Xiong et al. 2020, "On Layer Normalization in the Transformer Architecture" (arXiv:2002.04745), fig. 1.
    """
    return Transformer(norm, symbols, length, layers, norm_first, width, seed, dtype, backward)


# A series and a graph -----------------------------------------------------------------------------------------------

SERIES_NORMS: dict[str, Callable[..., nn.Module]] = {
    "none": lambda c, **how: nn.Identity(),
    "revin": lambda c, **how: nn.RevIN(c, **how),
}


class Series(nn.Module):
    """Windows (N, T, C) -> forecasts (N, horizon, C): the same linear map of the time axis for each channel, inside of RevIN.

    Source: Zeng et al. 2023, "Are Transformers Effective for Time Series Forecasting?" (arXiv:2205.13504), the linear map.
    """

    def __init__(self, norm: Any, size: int, horizon: int, channels: int, seed: int, dtype: DTypeLike, backward: str) -> None:
        s = _seeds(seed)
        self.norm = (
            norm(channels) if callable(norm) else _known("series", norm, SERIES_NORMS)(channels, dtype=dtype, backward=backward)
        )
        self.hidden = nn.Linear(size, 32, dtype=dtype, seed=next(s))
        self.head = nn.Linear(32, horizon, dtype=dtype, seed=next(s))

    def forward(self, input: Tensor) -> Tensor:
        x: Tensor = self.head(relu(self.hidden(self.norm(input).swapaxes(1, 2)))).swapaxes(1, 2)
        return self.norm(x, "denorm") if isinstance(self.norm, nn.RevIN) else x


def series(
    norm: Any = "revin",
    seed: int = 0,
    dtype: DTypeLike = np.float32,
    backward: str = "recorded",
    *,
    size: int = 48,
    horizon: int = 12,
    channels: int = 1,
) -> nn.Module:
    """Windows (N, size, channels) -> (N, horizon, channels): 32 hidden units over time, with RevIN around them."""
    return Series(norm, size, horizon, channels, seed, dtype, backward)


GRAPH_NORMS: dict[str, Callable[..., nn.Module]] = {
    "graph_norm": lambda c, **how: nn.GraphNorm(c, **how),
    "pair_norm": lambda c, backward="recorded", **how: nn.PairNorm(backward=backward),
}


class GraphNetwork(nn.Module):
    """Nodes by number, (k,) -> their logits (k, classes): H' = ReLU(N(Â·H·W + b)), Â = D^−½(A + I)D^−½, H = I at the start.

    Source: Kipf, Welling 2017, "Semi-Supervised Classification with Graph Convolutional Networks" (arXiv:1609.02907), eqs. 2 and 9.
    """

    def __init__(self, norm: Any, adjacency: Any, layers: int, width: int, classes: int, seed: int, dtype: DTypeLike, backward: str) -> None:  # fmt: skip
        s = _seeds(seed)
        a = np.asarray(adjacency, np.float64)
        if a.ndim != 2 or a.shape[0] != a.shape[1]:
            raise OptionError(f"graph: adjacency {describe(adjacency)}; it is a square matrix, such as tn.data.karate_club()[0].")
        a = a + np.eye(len(a))
        root = 1 / np.sqrt(a.sum(1))
        self.spread = tensor((root[:, None] * a * root).astype(dtype))
        sizes = [len(a), *[width] * layers]
        self.maps = [nn.Linear(i, o, dtype=dtype, seed=next(s)) for i, o in pairwise(sizes)]
        made = GRAPH_NORMS.get(norm) if isinstance(norm, str) else None
        self.norms = [
            made(width, dtype=dtype, backward=backward) if made else norm_of("graph", norm, width, dtype=dtype, backward=backward)
            for _ in range(layers)
        ]
        self.head = nn.Linear(width, classes, dtype=dtype, seed=next(s))

    def forward(self, nodes: Any) -> Tensor:
        h: Any = None
        for i, (linear, norm) in enumerate(zip(self.maps, self.norms)):
            # the features of the first layer are the identity
            h = matmul(self.spread, linear.weight.T if i == 0 else h @ linear.weight.T) + linear.bias
            h = relu(norm(h))
        y: Tensor = self.head(matmul(self.spread, h))
        return y[np.asarray(nodes.data if isinstance(nodes, Tensor) else nodes)]


def graph(
    norm: Any = "graph_norm",
    seed: int = 0,
    dtype: DTypeLike = np.float32,
    backward: str = "recorded",
    *,
    adjacency: Any,
    layers: int = 2,
    width: int = 16,
    classes: int = 2,
) -> nn.Module:
    """Nodes of a graph by number, (k,) -> (k, classes). adjacency: (n, n), symmetric; the nodes have no features but themselves."""
    return GraphNetwork(norm, adjacency, layers, width, classes, seed, dtype, backward)
