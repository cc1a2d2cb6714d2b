"""What there is to train: a network, its data with a part held out, a loss, a rate that works, and what guessing gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from .. import data
from ..engine import OptionError, describe
from ..nn import Module
from . import networks

Pair = tuple[Any, Any]


class Given(NamedTuple):
    """train and test: (inputs, targets); baseline: what a trivial answer has on the test data, said in ``says``."""

    train: Pair
    test: Pair
    baseline: float
    says: str


@dataclass(frozen=True)
class Task:
    """make: a function of ``norm`` and ``seed``; given: of a seed to shuffle by, or None; the rest is ``fit``'s."""

    name: str
    title: str
    norm: str
    make: Callable[..., Module]
    given: Callable[[int | None], Given]
    loss: str = "cross_entropy"
    optimizer: str = "sgd"
    lr: float = 0.1
    epochs: int = 5
    batch: int = 32


def _digits(shuffle: int | None) -> Given:
    train, test = (data.digits(part, shuffle, np.float32) for part in ("train", "test"))
    most = np.bincount(train[1]).argmax()
    return Given(train, test, float((test[1] == most).mean()), "always the commonest digit")


def _reversed(shuffle: int | None) -> Given:
    x, y = data.reversing(2200, seed=shuffle or 0)
    return Given((x[:2000], y[:2000]), (x[2000:], y[2000:]), 1 / 8, "guessing one of 8 symbols")


_PERIOD, _SIZE, _HORIZON = 24, 48, 12


def _forecast(shuffle: int | None) -> Given:
    """The future is held out; no window of the training data reaches into it."""
    x, y = data.windows(data.seasonal(1000, period=_PERIOD, seed=shuffle or 0, dtype=np.float32), _SIZE, _HORIZON)
    n = len(x) * 4 // 5
    last, past = slice(n, None), slice(n - _SIZE - _HORIZON + 1)
    before = x[last, -_PERIOD : _HORIZON - _PERIOD]
    naive = float(np.square(before.astype(float) - y[last]).mean())
    return Given((x[past], y[past]), (x[last], y[last]), naive, "what was one period ago")


def _club(shuffle: int | None) -> Given:
    """The two who quarrelled have labels; all others are to be found out."""
    labels = data.karate_club()[2]
    known = np.array([0, 33])
    rest = np.setdiff1d(np.arange(len(labels)), known)
    return Given((known, labels[known]), (rest, labels[rest]), 0.5, "always the same side")


def _graph(norm: Any = "graph_norm", seed: int = 0, **how: Any) -> Module:
    return networks.graph(norm, seed, adjacency=data.karate_club()[0], **how)


def _row(name: str, title: str, make: Callable[..., Module]) -> Task:
    return Task(name, title, "layer_norm", make, _digits, optimizer="adam", lr=3e-3)


TASKS: dict[str, Task] = {
    t.name: t
    for t in (
        Task("mlp", "two hidden layers on the digits", "batch_norm", networks.mlp, _digits),
        Task("cnn", "convolution–norm–ReLU twice, pool, linear, on the digits", "batch_norm", networks.cnn, _digits),
        _row("rnn", "a plain recurrent network on the digits' rows", networks.rnn),
        _row("lstm", "an LSTM on the digits' rows", networks.lstm),
        _row("gru", "a GRU on the digits' rows", networks.gru),
        Task(
            "transformer", "say ten symbols backwards", "layer_norm", networks.transformer, _reversed, optimizer="adam", lr=3e-3
        ),
        Task("series", "twelve steps of a drifting series", "revin", networks.series, _forecast, "mse", "adam", 3e-3, 20),
        Task("graph", "who went with whom in the karate club", "graph_norm", _graph, _club, optimizer="adam", lr=1e-2, epochs=60),
    )
}
"""By name, all that ``tinygrad-norm train`` knows."""


def task(name: str) -> Task:
    """One of ``TASKS``; ``OptionError`` for a name that is none."""
    if not isinstance(name, str) or name not in TASKS:
        raise OptionError(f"train: {describe(name)} is no network; there are {', '.join(TASKS)}.")
    return TASKS[name]
