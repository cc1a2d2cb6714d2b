"""Mistakes of kernels and of layouts: what is not set back, blocks by themselves, the wrong places."""

from __future__ import annotations

import numpy as np

from .batch import ALL, IMAGES, images, per_channel
from .cases import right, wrong
from .layer import lead, m, standardized


@wrong("rms_norm", "so far: what it is added up in is not set back to zero", eps=1e-5)
def accumulator_kept(dout, inp, weight, eps):
    dx, added = np.zeros_like(inp), 0.0
    for i in range(len(inp)):
        r = 1 / np.sqrt(np.mean(inp[i] ** 2) + eps)
        added += np.sum(dout[i] * weight * inp[i])
        dx[i] = r * dout[i] * weight - r**3 * added / inp.shape[1] * inp[i]
    return dx, (dout * inp / np.sqrt(np.mean(inp**2, -1, keepdims=True) + eps)).sum(0)


@wrong("layer_norm", "of dx has x̂ with x for c where x̂ belongs")
def not_centred_in_front(dy, x, weight, bias, eps):
    h, r = standardized(x, eps)
    g = dy * weight
    return r * (g - m(g) - x * r * m(g * h)), (dy * h).sum(lead(x)), dy.sum(lead(x))


@wrong("layer_norm", "of dx has x̂ with x + μ for c where x̂ belongs")
def sign_of_the_mean(dy, x, weight, bias, eps):
    h, r = standardized(x, eps)
    g = dy * weight
    return r * (g - m(g) - (x + m(x)) * r * m(g * h)), (dy * h).sum(lead(x)), dy.sum(lead(x))


@wrong("batch_norm", "within blocks of 2 of axis 0 (B), each by itself", training=True, shape=(5, 4))
def devices_by_themselves(dy, x_hat, gamma, rstd):
    g = dy * gamma
    parts = [slice(k, k + 2) for k in range(0, len(dy), 2)]
    dx = np.concatenate([g[s] - g[s].mean(0) - x_hat[s] * (g[s] * x_hat[s]).mean(0) for s in parts])
    return dx * rstd, (dy * x_hat).sum(0), dy.sum(0)


@wrong("batch_norm", "the right numbers in the wrong places", "Transpose it back first", **IMAGES)
def not_transposed_back(dy, gamma, x_hat, rstd):
    dx, dgamma, dbeta = images(dy, gamma, x_hat, rstd)
    return dx.transpose(0, 2, 3, 1).copy().reshape(dx.shape), dgamma, dbeta


@wrong("batch_norm", "the right numbers in the wrong indices of axis 1: 0 has what belongs to 3", **IMAGES)
def channels_turned(dy, gamma, x_hat, rstd):
    dx, dgamma, dbeta = images(dy, gamma, x_hat, rstd)
    return np.roll(dx, 1, axis=1), dgamma, dbeta


@wrong("batch_norm", "your dγ is 0.06667 = 1/(H·W) times what it should be", **IMAGES)
def averaged_over_places(dy, gamma, x_hat, rstd):
    return images(dy, gamma, x_hat, rstd)[0], (dy * x_hat).mean((2, 3)).sum(0), dy.sum(ALL)


@wrong("softmax", "has the wrong sign off the diagonal, in Σ(p·dy)", dim=-1)
def plus_off_the_diagonal(dy, y):
    jacobian = y[..., :, None] * y[..., None, :]
    diagonal = np.eye(y.shape[-1])
    return np.einsum("...ij,...j->...i", jacobian * (1 - 2 * diagonal) + diagonal * y[..., None, :], dy)


@wrong("log_softmax", "has softmax(p) where p belongs", dim=-1)
def softmax_twice(dy, x):
    def softmax(z):
        e = np.exp(z - z.max(-1, keepdims=True))
        return e / e.sum(-1, keepdims=True)

    return dy - softmax(softmax(x)) * dy.sum(-1, keepdims=True)


@wrong("cross_entropy", "the backward of Softmax applied to it once more")
def through_softmax_again(dout, logits, target):
    e = np.exp(logits - logits.max(-1, keepdims=True))
    p = e / e.sum(-1, keepdims=True)
    g = dout * (p - np.eye(p.shape[1])[target]) / len(p)
    return p * (g - (p * g).sum(-1, keepdims=True))


@right("softmax", dim=-1)
def for_rows_only(dy, x):
    """Right for two axes, and silently something else for more."""
    rows, columns = x.reshape(len(x), -1), dy.reshape(len(x), -1)
    e = np.exp(rows - rows.max(1, keepdims=True))
    p = e / e.sum(1, keepdims=True)
    return (p * (columns - (p * columns).sum(1, keepdims=True))).reshape(x.shape)


@wrong("group_norm", "reads μ, σ², rstd of group c % G", num_groups=2, shape=(2, 6, 3, 4))
def interleaved_statistics(dy, x, weight, bias, num_groups, eps):
    rows = x.reshape(len(x), num_groups, -1)
    mean, r = rows.mean(2), 1 / np.sqrt(rows.var(2) + eps)
    at = np.arange(x.shape[1])
    own, other = at // (x.shape[1] // num_groups), at % num_groups
    h = (x - mean[:, own, None, None]) * r[:, own, None, None]
    g = (dy * per_channel(weight)).reshape(rows.shape)
    hr = h.reshape(rows.shape)
    dx = r[..., None] * (g - g.mean(2, keepdims=True) - hr * (g * hr).mean(2, keepdims=True))
    wrong_h = (x - mean[:, other, None, None]) * r[:, other, None, None]
    return dx.reshape(x.shape), (dy * wrong_h).sum(ALL), dy.sum(ALL)
