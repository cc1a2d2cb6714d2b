"""What the trainings of the claims are measured by."""

from __future__ import annotations

import math

import numpy as np

import tinygrad_norm as tn
from tinygrad_norm.learn import CHANCE, accuracy, last_loss, standardized, steps_to, trained
from tinygrad_norm.train import History


def test_the_digits_are_standardized_by_those_trained_on():
    (x, t), (test, labels) = standardized(3, 200, "float64")
    np.testing.assert_allclose((x.mean(), x.std()), (0, 1), atol=1e-12)
    assert (len(x), len(t), len(test), len(labels)) == (200, 200, 297, 297)
    raw = tn.data.digits("test", 3)[0]
    slope = (test[0].max() - test[0].min()) / (raw[0].max() - raw[0].min())
    np.testing.assert_allclose(test, (raw - raw[0, 0, 0]) * slope + test[0, 0, 0], atol=1e-9)


def test_steps_to_a_loss():
    run = History(losses=[3.0, 2.0, 1.0, 1.0, 0.0])
    assert steps_to(run, 1.5, over=2) == 4  # (1 + 1) / 2 is the first mean below
    assert steps_to(run, 0.1, over=2) == math.inf
    assert steps_to(run, 9.0) == 5
    assert steps_to(History(losses=[0.0]), 1.0) == math.inf


def test_what_diverged_is_chance_and_without_end():
    data = standardized(0, 64)
    net = tn.train.mlp("none", 0, hidden=(8,), he=1.0)
    good = trained(net, data, lr=0.1, batch=32, epochs=1)
    assert accuracy(good) == good.running
    assert last_loss(good, 1) == good.losses[-1]
    with np.errstate(all="ignore"):
        bad = trained(tn.train.mlp("none", 0, hidden=(8,), he=1e30), data, lr=0.1, batch=32, epochs=1)
    assert bad.diverged
    assert accuracy(bad) == CHANCE
    assert last_loss(bad) == math.inf
