"""Blocks and their means, rows that are mixed, clipped and cut numbers, what is kept and written over, two mistakes at once."""

from __future__ import annotations

import numpy as np

from .cases import right, wrong


def mean(a, axis=-1):
    return a.mean(axis, keepdims=True)


def total(a, axis=-1):
    return a.sum(axis, keepdims=True)


def of_layer(x, eps):
    r = 1 / np.sqrt(mean((x - mean(x)) ** 2) + eps)
    return (x - mean(x)) * r, r


def probabilities(z):
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / total(e)


def blocks(a, size):
    return [a[..., k : k + size] for k in range(0, a.shape[-1], size)]


# Blocks -------------------------------------------------------------------------------------------------------------


@wrong("layer_norm", "is the mean of the means of blocks of 4, of which the last has 3 only")
def layer_mean_of_block_means(dy, x, gamma, eps):
    xhat, r = of_layer(x, eps)
    g = dy * gamma
    first = np.mean([mean(b) for b in blocks(g, 4)], axis=0)
    return r * (g - first - xhat * mean(g * xhat)), total(dy * xhat, 0)[0], total(dy, 0)[0]


@wrong("log_softmax", "twice: the last block of 4 is moved back to end with the axis")
def log_softmax_overlapping_blocks(dy, log_probs):
    n, s = dy.shape[-1], 0.0
    for k in range(0, n, 4):
        at = k if k + 4 <= n or n < 4 else n - 4
        s = s + total(dy[..., at : at + 4])
    return dy - np.exp(log_probs) * s


@wrong("rms_norm", "0.875 = N/8 times what it should be: it is divided by 8")
def rms_divided_by_the_padded_width(dy, x, gamma, eps):
    r = 1 / np.sqrt(mean(x * x) + eps)
    width = x.shape[-1] + -x.shape[-1] % 4
    return r * (dy * gamma - x * r * total(dy * gamma * x * r) / width), total(dy * x * r, 0)[0]


@wrong("batch_norm", "the mean of the variances of 2 blocks of axis 0 (B), each about its own mean")
def batch_variance_of_shards(dy, x, gamma, eps):
    v = np.mean([p.var(0) for p in np.array_split(x, 2)], axis=0)
    r = 1 / np.sqrt(v + eps)
    xhat = (x - mean(x, 0)) * r
    g = dy * gamma
    return r * (g - mean(g, 0) - xhat * mean(g * xhat, 0)), (dy * xhat).sum(0), dy.sum(0)


@wrong("batch_norm", "another μ, and in all that is computed from it but the statistics")
def batch_running_mean_of_chunks(dy, x, gamma, eps):
    mu, count = 0.0, 0
    for k in range(0, len(x), 2):
        part = x[k : k + 2]
        mu = mu + (part.mean(0) - mu) * len(part) / max(count, len(part))
        count += len(part)
    r = 1 / np.sqrt(x.var(0) + eps)
    xhat = (x - mu) * r
    g = dy * gamma
    return r * (g - mean(g, 0) - xhat * mean(g * xhat, 0)), (dy * xhat).sum(0), dy.sum(0)


@wrong("softmax", "zeros that fill up the last block")
def softmax_of_padded_rows(dy, x):
    wide = np.pad(x, [(0, 0)] * (x.ndim - 1) + [(0, -x.shape[-1] % 4)])
    p = probabilities(wide)[..., : x.shape[-1]]
    return p * (dy - total(dy * p))


@wrong("cross_entropy", "the largest of the log Σe of 2 blocks, and log 2")
def loss_of_merged_halves(z, target):
    half = z.shape[1] // 2
    parts = [np.log(np.exp(p).sum(1, keepdims=True)) for p in (z[:, :half], z[:, half:])]
    p = np.exp(z - np.maximum(*parts) - np.log(2))
    p[np.arange(len(z)), target] -= 1
    return p / len(z)


# Rows that are mixed --------------------------------------------------------------------------------------------------


@wrong("normalize", "mixes rows, as a product of matrices does")
def unit_projected_by_matrices(dy, x, eps):
    n = np.sqrt(total(x * x))
    y = x / n
    return (dy - y @ (dy.T @ y)) / n


@wrong("softmax", "mixes rows, as a product of matrices does", dim=-1)
def softmax_by_matrices(dy, y):
    return dy * y - (dy @ y.T) @ y


@wrong("weight_norm", "v/‖v‖ added up over axis 0 (B), one for all, where v/‖v‖ belongs")
def weight_dg_of_all_filters(dy, v, g):
    n = np.sqrt(total(v * v))
    u = v / n
    return g / n * (dy - u * total(dy * u)), total(dy @ u.T)


@wrong("normalize", "y averaged over axis 0 (B), one for all, where y belongs")
def unit_projected_on_the_mean_direction(dy, x, eps):
    n = np.sqrt(total(x * x))
    u = mean(x / n, 0)
    return (dy - u * total(dy * u)) / n


@wrong("log_softmax", "its axis is not kept (keepdims)", shape=(5, 5))
def log_softmax_no_keepdims(dy, log_probs):
    return dy - np.exp(log_probs) * dy.sum(-1)


@wrong("weight_norm", "its axis is not kept (keepdims)", shape=(5, 5))
def weight_dg_no_keepdims(dy, v, g):
    n = np.sqrt(total(v * v))
    dg = (dy * v / n).sum(1)
    return g / n * (dy - v / n * dg), dg[:, None]


@wrong("cross_entropy", "the one-hot transposed")
def loss_one_hot_transposed(z, target):
    p = probabilities(z)
    p[target, np.arange(len(target))] -= 1
    return p / len(target)


@wrong("group_norm", "groups of 2 channels, where groups of 3, C/G, belong: G and K are exchanged")
def group_sizes_exchanged(dy, x, gamma, num_groups, eps):
    b, c = x.shape[:2]

    def over(a, groups):
        return np.broadcast_to(mean(a.reshape(b, groups, -1)), (b, groups, a[0].size // groups)).reshape(a.shape)

    at = (1, c, 1, 1)
    m = over(x, num_groups)
    r = 1 / np.sqrt(over((x - m) ** 2, num_groups) + eps)
    xhat, g, other = (x - m) * r, dy * gamma.reshape(at), c // num_groups
    dx = r * (g - over(g, other) - xhat * over(g * xhat, other))
    return dx, (dy * xhat).sum((0, 2, 3)), dy.sum((0, 2, 3))


# Numbers that are cut -------------------------------------------------------------------------------------------------


@wrong("log_softmax", "min(dy, 0)")
def log_softmax_sum_of_what_is_negative(dy, log_probs):
    return dy - np.exp(log_probs) * total(np.minimum(dy, 0))


@wrong("instance_norm", "rstd clipped, no larger than 3")
def instance_root_clipped(dy, x, gamma, eps):
    along = tuple(range(2, x.ndim))
    at = (1, -1) + (1,) * len(along)
    r = 1 / np.sqrt(x.var(along, keepdims=True) + eps)
    xhat, g = (x - mean(x, along)) * r, dy * gamma.reshape(at)
    dx = np.minimum(r, 3) * (g - mean(g, along) - xhat * mean(g * xhat, along))
    return dx, (dy * xhat).sum((0, *along)), dy.sum((0, *along))


@wrong("batch_norm", "1/√(rstd + ε) where rstd belongs")
def batch_root_of_the_root(dy, x, gamma, eps):
    r = 1 / np.sqrt(x.var(0) + eps)
    xhat, g = (x - x.mean(0)) * r, dy * gamma
    return (g - mean(g, 0) - xhat * mean(g * xhat, 0)) / np.sqrt(r + eps), (dy * xhat).sum(0), dy.sum(0)


@wrong("layer_norm", "array of integers")
def layer_dgamma_in_integers(dy, x, gamma, eps):
    xhat, r = of_layer(x, eps)
    g, dgamma = dy * gamma, np.zeros(gamma.shape, int)
    for row in (dy * xhat).reshape(-1, x.shape[-1]):
        dgamma = (dgamma + row).astype(int)
    return r * (g - mean(g) - xhat * mean(g * xhat)), dgamma, dy.reshape(-1, x.shape[-1]).sum(0)


@wrong("cross_entropy", "p is smoothed", label_smoothing=0.1)
def loss_smoothed_at_the_wrong_place(z, target):
    p = 0.9 * probabilities(z) + 0.1 / z.shape[1]
    p[np.arange(len(z)), target] -= 1
    return p / len(z)


# What is kept -------------------------------------------------------------------------------------------------------


class Adding:
    """Parameters' gradients add up from backward to backward, and start again with each forward."""

    def __init__(self, gamma, beta):
        self.gamma, self.beta = gamma, beta

    def forward(self, x):
        self.xhat, self.r = of_layer(x, 1e-5)
        self.dgamma, self.dbeta = np.zeros(x.shape[-1]), np.zeros(x.shape[-1])
        return self.xhat * self.gamma + self.beta

    def backward(self, dy):
        g, n = dy * self.gamma, dy.shape[-1]
        self.dgamma += (dy * self.xhat).reshape(-1, n).sum(0)
        self.dbeta += dy.reshape(-1, n).sum(0)
        return self.r * (g - mean(g) - self.xhat * mean(g * self.xhat))


right("layer_norm")(Adding)


# Two at once ----------------------------------------------------------------------------------------------------------


@wrong("rms_norm", "two mistakes at once", "ε = 1e-05", "the ms term is 2 times too big", eps=1e-6)
def rms_another_eps_and_a_factor(dy, x, gamma):
    r = 1 / np.sqrt(mean(x * x) + 1e-5)
    return r * (dy * gamma - 2 * x * r * mean(dy * gamma * x * r)), total(dy * x * r, 0)[0]


@wrong("rms_norm", "two mistakes at once", "ε = 1e-05", "rstd along axis 1 (N), not axis 0 (B)", shape=(6, 6), eps=1e-6)
def rms_another_eps_and_no_keepdims(dy, x, gamma):
    r = 1 / np.sqrt((x * x).mean(-1) + 1e-5)
    xhat = x * r[:, None]
    return r * (dy * gamma - xhat * mean(dy * gamma * xhat)), (dy * xhat).sum(0)
