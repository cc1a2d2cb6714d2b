"""What the claims that train have in common: the digits, standardized and split by a seed, and a run that says how well it went."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from ..data import digits
from ..nn import Module
from ..train import History, fit

CHANCE = 0.1
"""What guessing one of ten digits gets right."""


class Digits(NamedTuple):
    """train, test: images (n, 8, 8) and labels."""

    train: tuple[Any, Any]
    test: tuple[Any, Any]


def standardized(seed: int, count: int = 1500, dtype: DTypeLike = np.float32) -> Digits:
    """The digits, shuffled by ``seed``, with mean 0 and variance 1 over all pixels of the ``count`` images to train on; the 297 of
    the test by the same two numbers."""
    (x, t), (test, labels) = (digits(part, seed, dtype) for part in ("train", "test"))
    x, t = x[:count], t[:count]
    mean, std = x.mean(), x.std()
    return Digits(((x - mean) / std, t), ((test - mean) / std, labels))


def trained(net: Module, data: Any, **how: Any) -> History:
    """``tn.train.fit`` without a bar, measured on the test where ``data`` has one."""
    if isinstance(data, Digits):
        how, data = {"test": data.test, **how}, data.train
    return fit(net, data, progress=False, **how)


def accuracy(run: History) -> float:
    """On the test, at the end; chance where it diverged."""
    return CHANCE if run.diverged or run.running is None else run.running


def last_loss(run: History, steps: int = 20) -> float:
    """The mean of the last steps' losses; beyond all numbers where it diverged."""
    return math.inf if run.diverged else float(np.mean(run.losses[-steps:]))


def steps_to(run: History, loss: float, over: int = 5) -> float:
    """After how many steps the mean of so many losses in a row is below one; beyond all numbers where it never is."""
    means = np.convolve(run.losses, np.full(over, 1 / over), "valid") if len(run.losses) >= over else np.array([])
    below = np.flatnonzero(means < loss)
    return float(below[0] + over) if len(below) else math.inf
