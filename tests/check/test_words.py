"""What a verdict's sentences say is so at other sizes, too, and each says one thing."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

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


@pytest.mark.thorough
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


@pytest.mark.thorough
def test_a_part_of_the_groups_is_read_as_such():
    said = "\n".join(tn.check(of_sample, "group_norm", shape=(3, 4, 2, 5), num_groups=2).judgements["input"].lines)
    assert "0.5 = ½ or 1/G times what it should be: divided by C·H·W" in said


@pytest.mark.thorough
def test_letters_are_explained():
    said = str(tn.check(of_sample, "group_norm", shape=(3, 4, 2, 5), num_groups=2))
    (where,) = (line for line in said.splitlines() if line.startswith("where "))
    assert "C, H, W: axes 1, 2, 3" in where
    assert "G: the number of groups" in where


def dx_and_none(dy, x, gamma, beta, eps):
    rstd = 1 / np.sqrt(x.var(-1, keepdims=True) + eps)
    return dy * gamma * rstd, None, None


def test_what_is_not_given_is_not_counted_as_wrong():
    assert tn.check(dx_and_none, "layer_norm").summary == "not right: dx (1 of 1; dγ, dβ not given)"


def layer(dy, x, weight, eps, hat=lambda x, mu, rstd: (x - mu) * rstd, mean=lambda a: a.mean(-1, keepdims=True)):
    mu, rstd = x.mean(-1, keepdims=True), 1 / np.sqrt(x.var(-1, keepdims=True) + eps)
    xhat, g, rows = hat(x, mu, rstd), dy * weight, tuple(range(x.ndim - 1))
    dx = rstd * (g - g.mean(-1, keepdims=True) - xhat * mean(g * xhat))
    return dx, (dy * xhat).sum(rows), dy.sum(rows)


def no_parentheses(dy, x, weight, bias, eps):
    return layer(dy, x, weight, eps, hat=lambda x, mu, rstd: x - mu * rstd)


def test_parentheses_that_are_forgotten_are_a_cause_and_no_range_of_factors():
    found = tn.check(no_parentheses, "layer_norm").judgements
    assert "has x − μ·rstd where x̂ belongs, everywhere" in "\n".join(found["input"].lines)
    assert "has x − μ·rstd where x̂ belongs" in "\n".join(found["weight"].lines)
    assert "between" not in "\n".join(found["input"].lines)


def by_parts(dy, x, gamma, beta, eps):
    def divided(a):
        ends = [0, (len(a) + 1) // 2, len(a)]
        return np.concatenate([np.ones_like(a[i:j]) * a.sum(0) / (j - i) for i, j in itertools.pairwise(ends)])

    rstd = 1 / np.sqrt(x.var(0) + eps)
    xhat = (x - x.mean(0)) * rstd
    return rstd * gamma * (dy - divided(dy) - xhat * divided(dy * xhat)), (dy * xhat).sum(0), dy.sum(0)


@pytest.mark.thorough
def test_a_part_that_divides_by_its_own_number():
    said = "\n".join(tn.check(by_parts, "batch_norm", shape=(5, 8)).judgements["input"].lines)
    assert "5/3 and 5/2 (divided by the number in its own part of the axis, 3, 2, where the whole 5 belongs)" in said


def by_block(dy, x):
    e = np.exp(x - x.max(-1, keepdims=True))
    p = e / e.sum(-1, keepdims=True)
    parts = [slice(k, k + 4) for k in range(0, x.shape[-1], 4)]
    inner = [np.ones_like(x[..., s]) * (p * dy)[..., s].sum(-1, keepdims=True) for s in parts]
    return p * (dy - np.concatenate(inner, -1))


@pytest.mark.thorough
def test_one_sum_is_not_called_every_sum():
    said = "\n".join(tn.check(by_block, "softmax").judgements["input"].lines)
    assert "your dx has Σ(p·dy) within blocks of 4 of axis 1 (N), each by itself" in said


def softmax(z):
    e = np.exp(z - z.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def twice(dy, z, target):
    p = softmax(z)
    g = dy * (softmax(p) - np.eye(z.shape[1])[target]) / len(z)
    return p * (g - (p * g).sum(1, keepdims=True))


def shifted(dy, z, target):
    g = (softmax(z[:-1]) - np.eye(z.shape[1])[target[1:]]) / (len(z) - 1)
    return dy * np.concatenate([g, np.zeros((1, z.shape[1]))])


@pytest.mark.thorough
def test_a_loss_of_probabilities_and_one_of_the_next_row():
    said = "\n".join(tn.check(twice, "cross_entropy").judgements["input"].lines)
    assert "the softmax is applied twice" in said
    said = "\n".join(tn.check(shifted, "cross_entropy").judgements["input"].lines)
    assert "the target of the next one, the last row against none, and the mean is over B − 1 = 3" in said


def by_groups(dy, x, gamma, num_groups, eps, ddof=0, last=False):
    there, back = ((0, 2, 3, 1), (0, 3, 1, 2)) if last else ((0, 1, 2, 3), (0, 1, 2, 3))
    laid = [a.transpose(there).reshape(len(x), num_groups, -1) for a in (x, dy * gamma.reshape(-1, 1, 1))]
    z, g = laid
    n = z.shape[-1]
    c = z - z.mean(-1, keepdims=True)
    rstd = 1 / np.sqrt((c * c).sum(-1, keepdims=True) / (n - ddof) + eps)
    h = c * rstd
    dx = rstd * (g - g.mean(-1, keepdims=True) - h * (g * h).sum(-1, keepdims=True) / (n - ddof))

    def laid_back(a):
        return a.reshape([x.shape[k] for k in there]).transpose(back)

    return laid_back(dx), (dy * laid_back(h)).sum(AXES), dy.sum(AXES)


def unbiased(dy, x, gamma, beta, num_groups, eps):
    return by_groups(dy, x, gamma, num_groups, eps, ddof=1)


def of_pixels(dy, x, gamma, beta, num_groups, eps):
    return by_groups(dy, x, gamma, num_groups, eps, last=True)


@pytest.mark.thorough
def test_neighbours_of_groups():
    how = {"num_groups": 2, "shape": (3, 4, 2, 5)}  # as many groups as rows of pixels
    said = "\n".join(tn.check(unbiased, "group_norm", **how).judgements["input"].lines)
    assert "this is the exact gradient of GroupNorm with N − 1 in the variance" in said
    said = "\n".join(tn.check(of_pixels, "group_norm", **how).judgements["input"].lines)
    assert "the groups cut out of the pixels" in said
    assert "statistics over axes" not in said


def in_strips(dy, x, gamma, beta, eps):
    rstd = 1 / np.sqrt(x.var((2, 3), keepdims=True) + eps)
    xhat = (x - x.mean((2, 3), keepdims=True)) * rstd
    g = dy * gamma.reshape(-1, 1, 1)
    rows = x.shape[2] // 3 * 3  # none at two
    mean, gain = ((a[:, :, :rows].sum((2, 3), keepdims=True) / x[0, 0].size) for a in (g, g * xhat))
    return rstd * (g - mean - xhat * gain), (dy * xhat).sum(AXES), dy.sum(AXES)


@pytest.mark.thorough
def test_a_loop_that_ends_before_its_first_turn_is_not_a_term_left_out():
    said = "\n".join(tn.check(in_strips, "instance_norm", shape=(3, 4, 2, 5)).judgements["input"].lines)
    assert "treated as constants" not in said
    assert "your dx leaves out the last 5 mod 3 = 2 entries of axis 2 (H) in every sum" in said


def to_a_power_of_two(dy, x, dim, eps):
    s = np.sqrt((x * x).sum(dim, keepdims=True))
    y = x / np.maximum(s, eps)
    block = 2 ** (x.shape[dim].bit_length() - 1)
    return (dy - y * (y * dy)[..., :block].sum(-1, keepdims=True)) / s


@pytest.mark.thorough
def test_the_rest_of_a_division_is_one_at_another_length_too():
    said = "\n".join(tn.check(to_a_power_of_two, "normalize").judgements["input"].lines)
    assert "your dx leaves out the last 3 of 7 entries of axis 1 (N) in Σ(y·dy)" in said
    assert " mod " not in said
