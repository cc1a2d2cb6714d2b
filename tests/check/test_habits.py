"""Handed over otherwise: objects of other habits, an ε of their own, parameters laid out another way, one gradient alone."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_norm as tn

from .backwards import m


def moments(x, eps):
    r = 1 / np.sqrt(x.var(-1, keepdims=True) + eps)
    return (x - m(x)) * r, r


class Tape:
    """Called for its forward, with a way back of another name."""

    def __call__(self, x, scale, shift):
        self.h, self.r = moments(x, 1e-5)
        self.scale = scale
        return self.h * scale + shift

    def grads(self, up):
        g, rows = up * self.scale, tuple(range(up.ndim - 1))
        return self.r * (g - m(g) - self.h * m(g * self.h)), (up * self.h).sum(rows), up.sum(rows)


class Listed:
    """Parameters and gradients in lists."""

    def __init__(self):
        self.params, self.grads = [np.ones(8), np.zeros(8)], [None, None]

    def forward(self, x):
        self.h, self.r = moments(x, 1e-5)
        return self.h * self.params[0] + self.params[1]

    def backward(self, dout):
        g, rows = dout * self.params[0], tuple(range(dout.ndim - 1))
        self.grads = [(dout * self.h).sum(rows), dout.sum(rows)]
        return self.r * (g - m(g) - self.h * m(g * self.h))


@pytest.mark.thorough
@pytest.mark.parametrize("kind", [Tape, Listed])
def test_objects_of_other_habits(kind):
    verdict = tn.check(kind, "layer_norm", shape=(4, 8))
    assert verdict.ok, verdict.text()
    assert set(verdict.judgements) == {"output", "input", "weight", "bias"}


@pytest.mark.thorough
def test_an_object_that_writes_over_what_its_forward_kept():
    class Loss:
        def forward(self, x, t):
            e = np.exp(x - x.max(1, keepdims=True))
            self.y, self.t = e / e.sum(1, keepdims=True), t
            return -np.log(self.y[np.arange(len(t)), t]).mean()

        def backward(self, dout=1.0):
            dx = self.y
            dx[np.arange(len(self.t)), self.t] -= 1
            return dx * dout / len(self.t)

    verdict = tn.check(Loss, "cross_entropy", shape=(4, 8))
    assert not verdict.ok
    assert "going back twice from one forward gives other numbers" in verdict.text()


@pytest.mark.thorough
def test_the_backward_of_a_loss_that_takes_its_cache_only():
    def forward(x, t):
        e = np.exp(x - x.max(1, keepdims=True))
        p = e / e.sum(1, keepdims=True)
        return -np.mean(np.log(p[np.arange(len(t)), t])), (p, t)

    def backward(cache):
        p, t = cache
        return (p - np.eye(p.shape[1])[t]) / len(t)

    assert tn.check(backward, "cross_entropy", forward=forward, shape=(4, 8)).ok


def test_g_beside_dy_is_a_gain():
    def backward(x, g, dy, eps):
        r = 1 / np.sqrt(m(x * x) + eps)
        h, d = x * r, dy * g
        return r * (d - h * m(d * h)), (dy * h).sum(tuple(range(x.ndim - 1)))

    assert tn.check(backward, "rms_norm", shape=(4, 8)).ok


@pytest.mark.thorough
def test_an_epsilon_of_its_own():
    """Where nobody said one, that is it; where the norm has one, the other is named."""

    def rms(dy, x, w):
        r = 1 / np.sqrt(m(x * x) + 1e-5)
        h, g = x * r, dy * w
        return r * (g - h * m(g * h)), (dy * h).sum(tuple(range(x.ndim - 1)))

    def layer(dy, x, w):
        h, r = moments(x, 1e-3)
        g, rows = dy * w, tuple(range(x.ndim - 1))
        return r * (g - m(g) - h * m(g * h)), (dy * h).sum(rows), dy.sum(rows)

    verdict = tn.check(rms, "rms_norm", shape=(4, 8))
    assert verdict.ok
    assert verdict.summary.startswith("right, with the ε = 1e-05 that it holds")
    assert not tn.check(rms, "rms_norm", shape=(4, 8), eps=1e-3).ok
    verdict = tn.check(layer, "layer_norm", shape=(4, 8))
    assert not verdict.ok
    assert any("with eps=0.001 all of it is right" in note for note in verdict.notes)


@pytest.mark.thorough
def test_the_input_s_gradient_alone():
    def backward(dy, x, weight, eps):
        h, r = moments(x, eps)
        g = dy * weight
        return r * (g - m(g) - h * m(g * h))

    assert tn.check(backward, "layer_norm", shape=(4, 8)).summary.startswith("right, dx only: it gives no dγ and no dβ")


@pytest.mark.thorough
def test_parameters_as_they_stand_beside_an_image():
    def backward(dy, x, gamma, eps):
        h, r = moments(x.reshape(len(x), x.shape[1], -1), eps)
        h, r = h.reshape(x.shape), r[..., None]
        g, axes = dy * gamma, (2, 3)
        a, b = g.mean(axes, keepdims=True), (g * h).mean(axes, keepdims=True)
        return r * (g - a - h * b), (dy * h).sum((0, 2, 3), keepdims=True), dy.sum((0, 2, 3), keepdims=True)

    verdict = tn.check(backward, "instance_norm", shape=(3, 4, 2, 5))
    assert verdict.ok, verdict.text()
    assert any("with axes of one" in note for note in verdict.notes)
