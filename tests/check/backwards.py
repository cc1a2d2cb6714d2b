"""Backwards of LayerNorm, right and wrong, for the tests of ``tn.check``."""

from __future__ import annotations

import numpy as np

X = np.random.default_rng(0).normal(size=(4, 8))


def m(a):
    return a.mean(-1, keepdims=True)


def backward_of(formula=lambda r, g, h: r * (g - m(g) - h * m(g * h))):
    """LayerNorm's backward with this formula for dx. In operators only, so that it runs on tensors, too."""

    def layer_norm_backward(dy, x, weight, bias, eps):
        c = x - m(x)
        r = (m(c * c) + eps) ** -0.5
        return formula(r, dy * weight, c * r), (dy * c * r).sum(0), dy.sum(0)

    return layer_norm_backward


right = backward_of()


def with_saved(dy, x, weight, mean, rstd):
    h, g = (x - mean) * rstd, dy * weight
    return rstd * (g - m(g) - h * m(g * h)), (dy * h).sum(0), dy.sum(0)
