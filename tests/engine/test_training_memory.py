"""Hundreds of training steps leave nothing behind, with the garbage collector off."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from tinygrad_norm import functional as F
from tinygrad_norm import no_grad, tensor

STEPS, WINDOWS = 300, 12


def _trainer() -> Callable[[], None]:
    rng = np.random.default_rng(0)
    w, gain, shift = (tensor(rng.standard_normal(n, np.float32), requires_grad=True) for n in ((8, 4), 4, 4))
    mean, var = tensor(np.zeros(4, np.float32)), tensor(np.ones(4, np.float32))
    x, labels = tensor(rng.standard_normal((6, 8), np.float32)), tensor(rng.integers(0, 4, 6))

    def step() -> None:
        h = F.batch_norm(x @ w, mean, var, gain, shift, True)
        F.cross_entropy(F.layer_norm(h, 4, backward="analytic").tanh(), labels).backward()
        with no_grad():
            for p in (w, gain, shift):
                p -= 0.1 * p.grad
                p.grad = None

    return step


@pytest.fixture
def _no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def _grows(step: Callable[[], object]) -> bool:
    """Whether every window of STEPS steps leaves at least one block of Python's allocator a step: any object is one.

    A window may: of freed objects Python keeps up to 2,000 of a kind for later, and fills these lists one by one.
    """
    for _ in range(WINDOWS):
        before = sys.getallocatedblocks()
        for _ in range(STEPS):
            step()
        if sys.getallocatedblocks() - before < STEPS:
            return False
    return True


@pytest.mark.usefixtures("_no_collector")
def test_training_does_not_grow():
    assert not _grows(_trainer())


@pytest.mark.thorough
@pytest.mark.usefixtures("_no_collector")
def test_one_number_kept_each_step_is_noticed():
    step, kept = _trainer(), []

    def leaking() -> None:
        step()
        kept.append(float(len(kept)))

    assert _grows(leaking)
