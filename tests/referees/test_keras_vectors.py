"""Numbers that stand in Keras' own tests, reproduced: the conventions that differ are spelled out in each call.

Taken from Keras 3.15 (Apache-2.0), keras/src/layers/normalization/*_test.py and keras/src/ops/nn_test.py. They are
values only; Keras publishes no gradients. Both ways of going backward compute them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinygrad_norm as tn
from tinygrad_norm import functional as F

both_ways = pytest.mark.parametrize("backward", ["recorded", "analytic"])
EPS = 1e-3  # of Keras' layers


def f32(values: Any) -> tn.Tensor:
    return tn.tensor(values, dtype=np.float32, requires_grad=True)


def close(y: tn.Tensor, published: Any, atol: float = 2e-6) -> None:
    """To the digits that are printed."""
    assert y.dtype == np.float32
    np.testing.assert_allclose(y.data, published, rtol=1e-6, atol=atol)


# LayerNorm, RMSNorm ---------------------------------------------------------------------------------------------


@both_ways
def test_layer_normalization(backward):
    x, one = f32([range(5)]), f32(np.ones(5))
    y = F.layer_norm(x, 5, one, one, EPS, backward)  # γ = β = 1
    close(y, [[-0.41386, 0.29307, 1.0, 1.70693, 2.41386]], atol=5e-6)
    y = F.layer_norm(x, 5, eps=1e-7, backward=backward)  # the function's own ε
    close(y, [[-1.4142135, -0.70710677, 0.0, 0.7071067, 1.4142135]])


@both_ways
def test_rms_normalization(backward):
    y = F.rms_norm(f32([range(10)]), 10, f32(np.ones(10)), 1e-6, backward)
    published = [0.0, 0.18731716, 0.37463433, 0.5619515, 0.74926865, 0.9365858, 1.123903, 1.3112202, 1.4985373, 1.6858544]
    close(y, [published], atol=1e-7)
    x = f32([[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]])
    published = np.array([[0.46291, 0.92582, 1.38873], [0.78954, 0.98693, 1.18431]])
    close(F.rms_norm(x, 3, f32([10.0] * 3), 1e-7, backward), 10 * published, atol=1e-3)


WRONG = [[0.0, 0.70693, 1.41386, 2.12079, 2.82772]]


def test_rms_scaling_divides_by_the_standard_deviation():
    """``LayerNormalization(rms_scaling=True)``: its test pins γ·x/√(σ² + ε), and σ² is the variance, not the mean square.

    So it is neither norm: not LayerNorm, for it does not centre, nor RMSNorm. Keras warns of it by now.
    """
    x, gamma = f32([range(5)]), 1.0
    variance = ((x - x.mean(-1, keepdims=True)) ** 2).mean(-1, keepdims=True)
    close(x * (variance + EPS).rsqrt() * gamma, WRONG, atol=5e-6)
    rms = F.rms_norm(x, 5, eps=EPS).data
    np.testing.assert_allclose(WRONG[0][1:] / rms[0, 1:], np.sqrt((6 + EPS) / (2 + EPS)), rtol=1e-4)  # E[x²] = 6, σ² = 2
    np.testing.assert_allclose(WRONG - F.layer_norm(x, 5, eps=EPS).data, 2 / np.sqrt(2 + EPS), rtol=1e-4)  # μ = 2


@pytest.mark.parametrize("backward", ["recorded", "analytic"])
@pytest.mark.parametrize("norm", ["layer_norm", "rms_norm"])
def test_no_norm_of_ours_gives_the_wrong_vector(norm, backward):
    """Up to any γ that is one number, and any β that is."""
    y = getattr(F, norm)(f32([range(5)]), 5, eps=EPS, backward=backward).data
    assert np.abs(y - WRONG).max() > 0.5


# GroupNorm, InstanceNorm: channels come last in Keras ---------------------------------------------------------------


def channels_last(norm: Any, x: tn.Tensor) -> tn.Tensor:
    return norm(x.transpose(0, 2, 1)).transpose(0, 2, 1)


@both_ways
def test_group_normalization_of_every_channel(backward):
    """As many groups as channels: InstanceNorm. Two values per channel: the sign of their difference."""
    x = f32([[[-1.0, 1.0, 0.0, 2.0], [1.0, 3.0, -4.0, -2.0]]])
    published = [[[-1.0, -1.0, 1.0, 1.0], [1.0, 1.0, -1.0, -1.0]]]
    close(channels_last(lambda t: F.group_norm(t, 4, eps=EPS, backward=backward), x), published, atol=1e-3)
    close(channels_last(lambda t: F.instance_norm(t, eps=EPS, backward=backward), x), published, atol=1e-3)


@pytest.mark.parametrize(
    ("groups", "published"),
    [
        (1, [[-0.898, -0.898, 0.539, 0.539, 1.257, 1.257, -0.180, -1.616]]),
        (2, [[-1.0, -1.0, 1.0, 1.0, 0.904, 0.904, -0.301, -1.507]]),
    ],
)
@both_ways
def test_group_normalization_of_a_table(groups, published, backward):
    x = f32([[-1.0, -1.0, 1.0, 1.0, 2.0, 2.0, 0.0, -2.0]])
    close(F.group_norm(x, groups, eps=EPS, backward=backward), published, atol=1e-3)


@pytest.mark.parametrize(
    ("groups", "published"),
    [
        (1, [[[-0.898, -0.898, 1.257, 1.257], [0.539, 0.539, -0.180, -1.616]]]),
        (2, [[[-1.0, -1.0, 0.904, 0.904], [1.0, 1.0, -0.301, -1.507]]]),
    ],
)
@both_ways
def test_group_normalization_of_a_sequence(groups, published, backward):
    x = f32([[[-1.0, -1.0, 2.0, 2.0], [1.0, 1.0, 0.0, -2.0]]])
    close(channels_last(lambda t: F.group_norm(t, groups, eps=EPS, backward=backward), x), published, atol=1e-3)


@both_ways
def test_group_normalization_channels_first(backward):
    low, high = [[-1.5274, -1.0910], [-0.6546, -0.2182]], [[0.2182, 0.6546], [1.0910, 1.5274]]
    x = f32(np.arange(16).reshape(1, 4, 2, 2))
    close(F.group_norm(x, 2, f32(np.ones(4)), f32(np.zeros(4)), EPS, backward), [[low, high, low, high]], atol=1e-3)


# BatchNorm, Batch Renormalization -----------------------------------------------------------------------------------


@both_ways
def test_batch_normalization_with_given_statistics(backward):
    x, mean, variance = f32([[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]]), f32([0.2, 0.3, 0.4]), f32([4.0, 16.0, 64.0])
    y = F.batch_norm(x, mean, variance, f32([10.0, 20.0, 30.0]), f32([5.0, 10.0, 15.0]), eps=1e-7, backward=backward)
    close(y, [[4.5, 9.5, 14.625], [6.0, 11.0, 15.75]])
    y = F.batch_norm(x, mean, variance, eps=1e-7, backward=backward)
    close(y, [[-0.05, -0.025, -0.0125], [0.1, 0.05, 0.025]], atol=1e-7)


@both_ways
def test_moving_statistics_are_biased(backward):
    """momentum=0 is the weight of the *old* statistics; the variance of 1, 2, 1, 2, … is ¼, not 5/19."""
    x, mean, variance = f32([[1.0, 5.0], [2.0, 5.0]] * 10), f32([0.0, 0.0]), f32([1.0, 1.0])
    F.batch_norm(x, mean, variance, training=True, momentum=0.0, eps=EPS, backward=backward,
                 momentum_of="old", running_correction=0)  # fmt: skip
    close(mean, [1.5, 5.0])
    close(variance, [0.25, 0.0])


@both_ways
def test_batch_renormalization(backward):
    """``test_renorm_correctness``: its random numbers are those of seed 1337; its formulas in float64 are the vector.

    Keras keeps two pairs of statistics; each is updated as our one is, the pair of r and d with momentum 0.8 and the
    pair of inference with 0.9. Nothing is clipped.
    """
    draw = np.random.RandomState(1337)
    moving_mean, moving_std = draw.normal(0.0, 1.0, 3), np.sqrt(np.abs(draw.normal(1.0, 0.5, 3)))
    mean, std = draw.normal(0.0, 1.0, 3), np.abs(draw.normal(1.0, 0.5, 3))
    gamma, beta = draw.normal(1.0, 0.1, 3), draw.normal(0.0, 0.1, 3)
    x = np.array([[4.0, 6.0, 2.0], [8.0, -2.0, 5.0], [6.0, 4.0, 3.0]])
    batch_mean, batch_std = x.mean(0), np.sqrt(x.var(0) + EPS)
    r, d = batch_std / std, (batch_mean - mean) / std

    m, s, moving_m, moving_s = f32(mean), f32(std), f32(moving_mean), f32(moving_std)
    how = {"training": True, "eps": EPS, "rmax": np.inf, "dmax": np.inf, "backward": backward}
    y = F.batch_renorm(f32(x), m, s, f32(gamma), f32(beta), momentum=1 - 0.8, **how)
    close(y, ((x - batch_mean) / batch_std * r + d) * gamma + beta, atol=1e-5)
    close(m, 0.8 * mean + 0.2 * batch_mean, atol=1e-5)
    close(s, 0.8 * std + 0.2 * batch_std, atol=1e-5)
    F.batch_renorm(f32(x), moving_m, moving_s, momentum=1 - 0.9, **how)
    close(moving_m, 0.9 * moving_mean + 0.1 * batch_mean, atol=1e-5)
    close(moving_s**2 - EPS, (0.9 * moving_std + 0.1 * batch_std) ** 2 - EPS, atol=1e-5)

    plain = F.batch_norm(f32(x), f32(mean), f32(std**2 - EPS), f32(gamma), f32(beta), eps=EPS, backward=backward)
    close(plain, y.data, atol=1e-5)  # unclipped, training computes what inference with the old statistics does


# Softmax, length 1 ---------------------------------------------------------------------------------------------------

ROWS = [[1.0, 2.0, 3.0], [1.0, 2.0, 3.0]]


@pytest.mark.parametrize(
    ("dim", "softmax", "log_softmax"),
    [
        ((0, 1), [0.045015, 0.122364, 0.33262], [-3.100753, -2.100753, -1.100753]),
        (0, [0.5, 0.5, 0.5], [-0.693147, -0.693147, -0.693147]),
        (-1, [0.09003057, 0.24472848, 0.66524094], [-2.407606, -1.407606, -0.407606]),
    ],
)
@both_ways
def test_softmax_and_its_logarithm(dim, softmax, log_softmax, backward):
    close(F.softmax(f32(ROWS), dim, backward), [softmax] * 2)
    close(F.log_softmax(f32(ROWS), dim, backward), [log_softmax] * 2)


@pytest.mark.parametrize(
    ("p", "dim", "published"),
    [
        (2, (0, 1), [0.18898225, 0.3779645, 0.56694674]),
        (2, 0, [0.70710677, 0.70710677, 0.70710677]),
        (2, -1, [0.26726124, 0.53452247, 0.8017837]),
        (3, -1, [0.30285344, 0.6057069, 0.9085603]),
    ],
)
@both_ways
def test_normalize(p, dim, published, backward):
    close(F.normalize(f32(ROWS), p, dim, backward=backward), [published] * 2, atol=1e-7)


@both_ways
def test_normalize_below_epsilon(backward):
    """Shorter than ε = 1e-5: divided by ε."""
    close(F.normalize(f32([[1e-6, 1e-8]]), 2, -1, 1e-5, backward), [[1e-1, 1e-3]], atol=1e-8)
