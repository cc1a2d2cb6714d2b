"""What was saved, written over, stepped, left stale or read elsewhere; workers, planes and triangles; losses taken apart."""

from __future__ import annotations

import numpy as np

from .cases import right, wrong
from .mixed import mean, of_layer, probabilities, total

# Saved ----------------------------------------------------------------------------------------------------------------


@wrong("layer_norm", "has μ and rstd exchanged, each where the other belongs")
def layer_unpacked_the_wrong_way_round(dy, x, gamma, eps):
    _, mu = of_layer(x, eps)
    r = mean(x)
    xhat, g = (x - mu) * r, dy * gamma
    return r * (g - mean(g) - xhat * mean(g * xhat)), total(dy * xhat, 0)[0], total(dy, 0)[0]


@wrong("normalize", "has a s that leaves out the last 3, 7 mod 4, of 7 entries")
def unit_length_without_the_tail(dy, x, eps):
    whole = x.shape[-1] // 4 * 4 or x.shape[-1]
    n = np.sqrt(total(x[..., :whole] ** 2))
    y = x / n
    return (dy - y * total(dy * y)) / n


@wrong("normalize", "√Σdy² where ‖x‖ belongs, in every term")
def unit_divided_by_the_gradients_length(dy, x, eps):
    y = x / np.sqrt(total(x * x))
    return (dy - y * total(dy * y)) / np.sqrt(total(dy * dy))


@wrong("batch_norm", "γ − 0.1·dγ, as it is after a step of training, where γ belongs")
def batch_with_the_next_gamma(dy, x, gamma, eps):
    r = 1 / np.sqrt(x.var(0) + eps)
    xhat = (x - x.mean(0)) * r
    dgamma, dbeta = (dy * xhat).sum(0), dy.sum(0)
    g = dy * (gamma - 0.1 * dgamma)
    return r * (g - mean(g, 0) - xhat * mean(g * xhat, 0)), dgamma, dbeta


@wrong("group_norm", "that of the index before, [i − 1], and 1 at the first", shape=(3, 6, 4), num_groups=3)
def group_with_the_root_of_the_group_before(dy, x, gamma, num_groups, eps):
    groups = x.reshape(len(x), num_groups, -1)
    m = mean(groups)
    r = 1 / np.sqrt(mean((groups - m) ** 2) + eps)
    xhat = (groups - m) * r
    stale = np.concatenate([np.ones_like(r[:, :1]), r[:, :-1]], axis=1)
    g = (dy * gamma.reshape(1, -1, *[1] * (x.ndim - 2))).reshape(groups.shape)
    dx = stale * (g - mean(g) - xhat * mean(g * xhat))
    along = (0, *range(2, x.ndim))
    return dx.reshape(x.shape), (dy * xhat.reshape(x.shape)).sum(along), dy.sum(along)


@wrong("group_norm", "number and size exchanged")
def group_number_taken_for_the_size(dy, x, gamma, num_groups, eps):
    size = num_groups if x.shape[1] % num_groups == 0 else 1
    groups = x.reshape(len(x), x.shape[1] // size, -1)
    m = mean(groups)
    r = 1 / np.sqrt(mean((groups - m) ** 2) + eps)
    xhat = (groups - m) * r
    g = (dy * gamma.reshape(1, -1, *[1] * (x.ndim - 2))).reshape(groups.shape)
    dx = r * (g - mean(g) - xhat * mean(g * xhat))
    along = (0, *range(2, x.ndim))
    return dx.reshape(x.shape), (dy * xhat.reshape(x.shape)).sum(along), dy.sum(along)


@wrong("instance_norm", "γ repeated where it has to be tiled")
def instance_rows_with_repeated_gamma(dy, x, gamma, eps):
    flat = x.reshape(-1, int(np.prod(x.shape[2:])))
    r = 1 / np.sqrt(flat.var(1, keepdims=True) + eps)
    xhat = (flat - mean(flat)) * r
    d = dy.reshape(flat.shape)
    g = d * np.repeat(gamma, len(x))[:, None]
    dx = r * (g - mean(g) - xhat * mean(g * xhat))
    along = (0, *range(2, x.ndim))
    return dx.reshape(x.shape), (d * xhat).reshape(x.shape).sum(along), dy.sum(along)


# Written over ---------------------------------------------------------------------------------------------------------


@wrong("log_softmax", "dy is written over as it is gone through along axis 1 (N)")
def log_softmax_column_by_column(dy, log_probs):
    dx, p = np.array(dy), np.exp(log_probs)
    for j in range(dx.shape[-1]):
        dx[..., j] -= p[..., j] * dx.sum(-1)
    return dx


@wrong("cross_entropy", "p written over z as it is computed, 2 at once")
def loss_block_by_block_in_place(z, target):
    z = np.array(z)
    for k in range(0, z.shape[1], 2):
        z[:, k : k + 2] = np.exp(z[:, k : k + 2]) / np.exp(z).sum(1, keepdims=True)
    z[np.arange(len(z)), target] -= 1
    return z / len(z)


@wrong("batch_norm", "the direct term is missing", "the μ term is missing")
def batch_direct_route_overwritten(dy, x, gamma, eps):
    c = x - x.mean(0)
    r = 1 / np.sqrt(x.var(0) + eps)
    g = dy * gamma
    dc = c * (-(r**3) * mean(g * c, 0))
    return dc - mean(dc, 0), (dy * c * r).sum(0), dy.sum(0)


# Parts ----------------------------------------------------------------------------------------------------------------


@wrong("batch_norm", "within blocks of 2 of axis 0 (B), each by itself, divided by the size of the whole")
def batch_sums_of_each_worker(dy, x, gamma, eps):
    r = 1 / np.sqrt(x.var(0) + eps)
    xhat, half, n = (x - x.mean(0)) * r, len(x) // 2, len(x)
    dx = []
    for rows in (slice(0, half), slice(half, n)):
        g, h = dy[rows] * gamma, xhat[rows]
        dx.append(r * (g - g.sum(0) / n - h * (g * h).sum(0) / n))
    return np.concatenate(dx), (dy * xhat).sum(0), dy.sum(0)


@wrong("batch_norm", "leaves out the last 2, 10 mod 4, of 10 entries in the order H·W", shape=(3, 4, 2, 5))
def batch_planes_without_their_tail(dy, x, gamma, eps):
    at = (1, -1, 1, 1)
    m, v = x.mean((0, 2, 3)).reshape(at), x.var((0, 2, 3)).reshape(at)
    r = 1 / np.sqrt(v + eps)
    xhat, g = (x - m) * r, dy * gamma.reshape(at)
    n, whole = x.size // x.shape[1], x[0, 0].size // 4 * 4

    def added(a):
        return a.reshape(*a.shape[:2], -1)[..., :whole].sum((0, 2)).reshape(at)

    dx = r * (g - added(g) / n - xhat * g_mean(g, xhat))
    return dx, (dy * xhat).sum((0, 2, 3)), dy.sum((0, 2, 3))


def g_mean(g, xhat):
    return (g * xhat).mean((0, 2, 3), keepdims=True)


@wrong("weight_norm", "is missing in index 4, 5, 6 of axis 1 (N) (the last 7 mod 4 = 3)")
def weight_projection_without_the_tail(dy, v, g):
    n = np.sqrt(total(v * v))
    u, whole = v / n, v.shape[1] // 4 * 4 or v.shape[1]
    live = (np.arange(v.shape[1]) < whole) * 1.0
    dg = total(dy * u)
    return g / n * (dy - live * u * dg), dg


@wrong("softmax", "dx is zero where b < n", dim=-1, shape=(6, 6))
def softmax_of_a_causal_mask(dy, y):
    return np.tril(y * (dy - total(dy * y)))


@wrong("softmax", "has the term −one-hot(argmax)·Σ(p·dy), which does not belong there", dim=-1)
def softmax_with_a_route_through_the_maximum(dy, x):
    p = probabilities(x)
    dot = total(dy * p)
    return p * (dy - dot) - (x == x.max(-1, keepdims=True)) * dot


@wrong("instance_norm", "lacks the factor γ in every term with a sum")
def instance_gamma_in_the_direct_term_only(dy, x, gamma, eps):
    along = tuple(range(2, x.ndim))
    r = 1 / np.sqrt(x.var(along, keepdims=True) + eps)
    xhat = (x - mean(x, along)) * r
    dx = r * (dy * gamma.reshape(1, -1, *[1] * len(along)) - mean(dy, along) - xhat * mean(dy * xhat, along))
    return dx, (dy * xhat).sum((0, *along)), dy.sum((0, *along))


@wrong("normalize", "all of dx is 2.828 = √N times what it should be")
def unit_by_the_root_of_the_mean(dy, x, eps):
    n = np.sqrt(mean(x * x))
    y = x / np.sqrt(total(x * x))
    return (dy - y * total(dy * y)) / n


# Losses ---------------------------------------------------------------------------------------------------------------


@wrong("cross_entropy", "this is the gradient of p, not of the logits")
def loss_before_the_softmax(z, target):
    q = np.eye(z.shape[1])[target]
    return -q / probabilities(z) / len(z)


@wrong("cross_entropy", "blocks of 3 (3 and 1 rows) is divided by its own number of rows")
def loss_by_chunks_of_rows(z, target):
    p = probabilities(z)
    p[np.arange(len(z)), target] -= 1
    return np.concatenate([p[k : k + 3] / len(p[k : k + 3]) for k in range(0, len(p), 3)])


@wrong("cross_entropy", "is subtracted from what was multiplied by dy already")
def loss_one_hot_without_dy(dy, z, target):
    return (dy * probabilities(z) - np.eye(z.shape[1])[target]) / len(z)


@wrong("log_softmax", "has −1 in the place of Σ(dy)")
def log_softmax_of_a_likelihood(dy, log_probs):
    return dy + np.exp(log_probs)


# Right ----------------------------------------------------------------------------------------------------------------


@right("softmax", dim=-1)
def softmax_by_way_of_its_logarithm(dy, y):
    dl = dy * y
    return dl - y * total(dl)
