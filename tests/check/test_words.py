"""What a verdict's sentences say is so at other sizes, too, and each says one thing."""

from __future__ import annotations

import numpy as np

import tinygrad_norm as tn

AXES = (0, 2, 3)


def batch(dy, x, gamma, eps, count):
    rstd = 1 / np.sqrt(x.var(AXES, keepdims=True) + eps)
    xhat = (x - x.mean(AXES, keepdims=True)) * rstd
    g = dy * gamma.reshape(-1, 1, 1)
    n = count(*x.shape)
    dx = rstd * (g - g.sum(AXES, keepdims=True) / n - xhat * (g * xhat).sum(AXES, keepdims=True) / n)
    return dx, (dy * xhat).sum(AXES), dy.sum(AXES)


def square(dy, x, gamma, eps):
    return batch(dy, x, gamma, eps, lambda n, c, h, w: n * h * h)


def test_a_size_that_only_happens_to_be_another_is_not_told():
    said = "\n".join(tn.check(square, "batch_norm", shape=(3, 4, 2, 5)).judgements["input"].lines)
    assert "the μ term is 2.5 = W/H times what it should be: divided by B·H·H where B·H·W belongs" in said
    assert "divided by B·C" not in said.split("line ")[0]


def of_sample(dy, x, gamma, num_groups, eps):
    n, c, *rest = x.shape
    grouped = (n, num_groups, -1)
    z = x.reshape(grouped)
    rstd = 1 / np.sqrt(z.var(-1, keepdims=True) + eps)
    xhat = (z - z.mean(-1, keepdims=True)) * rstd
    g = (dy * gamma.reshape(-1, *(1,) * len(rest))).reshape(grouped)
    count = c * np.prod(rest)
    dx = rstd * (g - g.sum(-1, keepdims=True) / count - xhat * (g * xhat).sum(-1, keepdims=True) / count)
    rows = (0, *range(2, x.ndim))
    return dx.reshape(x.shape), (dy * xhat.reshape(x.shape)).sum(rows), dy.sum(rows)


def test_a_part_of_the_groups_is_read_as_such():
    said = "\n".join(tn.check(of_sample, "group_norm", shape=(3, 4, 2, 5), num_groups=2).judgements["input"].lines)
    assert "0.5 = ½ or 1/G times what it should be: divided by C·H·W" in said


def dx_and_none(dy, x, gamma, beta, eps):
    rstd = 1 / np.sqrt(x.var(-1, keepdims=True) + eps)
    return dy * gamma * rstd, None, None


def test_what_is_not_given_is_not_counted_as_wrong():
    assert tn.check(dx_and_none, "layer_norm").summary == "not right: dx (1 of 1; dγ, dβ not given)"
