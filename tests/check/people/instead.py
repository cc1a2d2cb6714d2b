"""Something else in a letter's place: in less precision, of another index, of a part, another that was saved; and whole factors."""

from __future__ import annotations

import numpy as np

from .cases import right, wrong

IMAGES = {"shape": (2, 4, 3, 5)}
GROUPS = {"num_groups": 2, "shape": (2, 6, 3, 4)}
ALL, PLACES = (0, 2, 3), (2, 3)


def m(a, axis=-1):
    return a.mean(axis, keepdims=True)


def total(a, axis=-1):
    return a.sum(axis, keepdims=True)


def half(a):
    return a.astype(np.float16).astype(np.float64)


def brain(a):
    bits = np.ascontiguousarray(a, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000).astype(np.uint32).view(np.float32).astype(np.float64)


def layer(dy, x, weight, eps, mean=None, rstd=None, hat=None, gain=None):
    """LayerNorm's three gradients, with whatever stands for its statistics."""
    mean = m(x) if mean is None else mean
    r = 1 / np.sqrt(x.var(-1, keepdims=True) + eps) if rstd is None else rstd
    h = (x - mean) * r if hat is None else hat
    g = dy * (weight if gain is None else gain)
    rows = tuple(range(dy.ndim - 1))
    return r * (g - m(g) - h * m(g * h)), (dy * h).sum(rows), dy.sum(rows)


def over(dy, x, weight, eps, axes, mean=None, var=None, outer=None, gain=None):
    """The same of images, over these axes."""
    mean = m(x, axes) if mean is None else mean
    r = 1 / np.sqrt((x.var(axes, keepdims=True) if var is None else var) + eps)
    h = (x - mean) * r
    w = weight.reshape((1, -1) + (1,) * (dy.ndim - 2)) if gain is None else gain
    g, rest = dy * w, (0, *range(2, dy.ndim))
    outer = r if outer is None else outer
    return outer * (g - m(g, axes) - h * m(g * h, axes)), (dy * h).sum(rest), dy.sum(rest)


# Less precision -------------------------------------------------------------------------------------------------------


@wrong("layer_norm", "has μ and rstd rounded to float16")
def statistics_kept_in_half(dy, x, weight, bias, eps):
    return layer(dy, x, weight, eps, half(m(x)), half(1 / np.sqrt(x.var(-1, keepdims=True) + eps)))


@wrong("layer_norm", "x̂ rounded to float16")
def normalized_kept_in_half(dy, x, weight, bias, eps):
    return layer(dy, x, weight, eps, hat=half((x - m(x)) / np.sqrt(x.var(-1, keepdims=True) + eps)))


@wrong("layer_norm", "rstd rounded to bfloat16")
def rstd_in_brain(dy, x, weight, bias, eps):
    return layer(dy, x, weight, eps, rstd=brain(1 / np.sqrt(x.var(-1, keepdims=True) + eps)))


@wrong("layer_norm", "the sum rounded to float16, in every Σ and mean")
def sums_in_half(dy, x, weight, bias, eps):
    r, g = 1 / np.sqrt(x.var(-1, keepdims=True) + eps), dy * weight
    h = (x - m(x)) * r
    return r * (g - half(m(g)) - h * half(m(g * h))), (dy * h).sum(0), dy.sum(0)


@wrong("layer_norm", "has the sum added up in float16")
def added_up_in_half(dy, x, weight, bias, eps):
    dx, _, dbeta = layer(dy, x, weight, eps)
    h = (x - m(x)) / np.sqrt(x.var(-1, keepdims=True) + eps)
    dgamma = np.zeros(x.shape[-1], np.float16)
    for row in (dy * h).reshape(-1, x.shape[-1]):
        dgamma = dgamma + row.astype(np.float16)
    return dx, dgamma.astype(np.float64), dbeta


@wrong("softmax", "p rounded to float16", dim=-1)
def probabilities_in_half(dy, x):
    e = np.exp(x - x.max(-1, keepdims=True))
    p = half(e / total(e))
    return p * (dy - total(dy * p))


@right("layer_norm")
def everything_in_long_double(dy, x, weight, bias, eps):
    wide = (a.astype(np.longdouble) for a in (dy, x, weight))
    return tuple(g.astype(np.float64) for g in layer(*wide, np.longdouble(eps)))


# Another index --------------------------------------------------------------------------------------------------------


@wrong("layer_norm", "rstd[i − 1] of axis 0 (B) where rstd belongs, in every term")
def rstd_of_the_row_before(dy, x, weight, bias, eps):
    r, g = 1 / np.sqrt(x.var(-1, keepdims=True) + eps), dy * weight
    h, rows = (x - m(x)) * r, tuple(range(dy.ndim - 1))
    return np.roll(r, 1, 0) * (g - m(g) - h * m(g * h)), (dy * h).sum(rows), dy.sum(rows)


@wrong("group_norm", "γ[i // 3 (3 = C/G)] of axis 1 (G, K) where γ belongs", **GROUPS)
def gamma_of_the_group(dY, X, gamma, beta, num_groups, eps):
    n, c = X.shape[:2]
    k, dx, dg, db = c // num_groups, np.zeros_like(X), np.zeros(c), np.zeros(c)
    for i in range(n):
        for j in range(num_groups):
            s = slice(j * k, (j + 1) * k)
            r = 1 / np.sqrt(X[i, s].var() + eps)
            h, g = (X[i, s] - X[i, s].mean()) * r, dY[i, s] * gamma[j]
            dx[i, s] = r * (g - g.mean() - h * (g * h).mean())
            dg[s] += (dY[i, s] * h).sum((1, 2))
            db[s] += dY[i, s].sum((1, 2))
    return dx, dg, db


@wrong("batch_norm", "γ along axis 3 (W), not axis 1 (C), where γ belongs", training=True, shape=(2, 4, 3, 4))
def gamma_broadcast_from_the_right(dy, x, weight, bias, eps):
    return over(dy, x, weight, eps, ALL, gain=weight)


@wrong("batch_norm", "μ, σ², rstd of [i + 1] of axis 1 (C) where those of [i] belong", training=True, **IMAGES)
def statistics_of_the_next_channel(dy, x, weight, bias, eps):
    return over(dy, x, weight, eps, ALL, np.roll(m(x, ALL), -1, 1), np.roll(x.var(ALL, keepdims=True), -1, 1))


@wrong("instance_norm", "μ, σ², rstd of [0] of axis 0 (B) where those of [i] belong", **IMAGES)
def statistics_of_the_first_sample(dy, x, weight, bias, eps):
    return over(dy, x, weight, eps, PLACES, m(x[:1], PLACES), x[:1].var(PLACES, keepdims=True))


@wrong("batch_norm", "γ and β along the last axis: channels last", training=True, shape=(2, 4, 3, 4))
def written_for_channels_last(dy, x, weight, bias, eps):
    axes = (0, 1, 2)
    r, g = 1 / np.sqrt(x.var(axes, keepdims=True) + eps), dy * weight
    h = (x - m(x, axes)) * r
    return r * (g - m(g, axes) - h * m(g * h, axes)), (dy * h).sum(axes), dy.sum(axes)


# A part ---------------------------------------------------------------------------------------------------------------


@wrong("batch_norm", "of 30 entries in the order B·H·W, in mean_BHW(x̂·dy)", training=True, **IMAGES)
def blocks_of_a_channel(dy, x, gamma, beta, eps):
    n, c, height, width = x.shape
    rows, cotangents = (a.transpose(1, 0, 2, 3).reshape(c, -1) for a in (x, dy))
    size, dx, dgamma = rows.shape[1], np.empty((c, n * height * width)), np.empty(c)
    for k in range(c):
        r = 1 / np.sqrt(rows[k].var() + eps)
        h, dot = (rows[k] - rows[k].mean()) * r, 0.0
        for j in range(size // 4):
            dot += cotangents[k, 4 * j : 4 * j + 4] @ h[4 * j : 4 * j + 4]
        dx[k] = gamma[k] * r * (cotangents[k] - cotangents[k].mean() - h * dot / size)
        dgamma[k] = cotangents[k] @ h
    return dx.reshape(c, n, height, width).transpose(1, 0, 2, 3), dgamma, cotangents.sum(1)


@wrong("batch_norm", "in the order H·W·B, in every Σ and mean", training=True, **IMAGES)
def blocks_of_rows_channels_last(dy, x, weight, bias, eps):
    n, c, height, width = x.shape
    rows, cotangents = (a.transpose(2, 3, 0, 1).reshape(-1, c) for a in (x, dy))
    kept = len(rows) // 4 * 4
    r = 1 / np.sqrt(rows.var(0) + eps)
    h = (rows - rows.mean(0)) * r
    means = [a[:kept].sum(0) / len(rows) for a in (cotangents, cotangents * h)]
    dx = weight * r * (cotangents - means[0] - h * means[1])
    return dx.reshape(height, width, n, c).transpose(2, 3, 0, 1), (cotangents * h).sum(0), cotangents.sum(0)


@wrong("batch_norm", "σ² of the first half of axis 0 (B)", training=True)
def variance_of_half_the_batch(dy, x, weight, bias, eps):
    return over(dy, x, weight, eps, (0, *range(2, x.ndim)), var=x[: len(x) // 2].var(0, keepdims=True))


@wrong("instance_norm", "the mean over axis 3 (W) of the variances over axis 2 (H) where σ² belongs", **IMAGES)
def mean_of_variances(dy, x, weight, bias, eps):
    return over(dy, x, weight, eps, PLACES, var=m(x.var(2, keepdims=True), 3))


@wrong("softmax", "has only what stands up to the entry itself, in Σ(p·dy)", dim=-1)
def causal_sum(dy, y):
    return y * (dy - np.cumsum(dy * y, -1))


# Another that was saved -----------------------------------------------------------------------------------------------


@wrong(
    "batch_norm",
    "0.9·running_var + 0.1·σ², a running statistic after this step, where σ² belongs, in rstd of every term",
    training=True,
)
def running_variance_outside(dy, x, gamma, running_var, eps):
    new = 0.9 * running_var + 0.1 * x.var(0)
    r = 1 / np.sqrt(x.var(0) + eps)
    h = (x - x.mean(0)) * r
    return gamma / np.sqrt(new + eps) * (dy - m(dy, 0) - h * m(dy * h, 0)), (dy * h).sum(0), dy.sum(0)


@wrong("batch_norm", "running_mean where μ belongs, and in all that is computed from it but the statistics", training=True)
def centred_by_the_running_mean(dy, x, gamma, beta, running_mean, eps):
    r = 1 / np.sqrt(x.var(0) + eps)
    h = (x - running_mean) * r
    return gamma * r * (dy - m(dy, 0) - h * m(dy * h, 0)), (dy * h).sum(0), dy.sum(0)


@wrong("layer_norm", "β where γ belongs")
def beta_for_gamma(dy, x, weight, bias, eps):
    return layer(dy, x, weight, eps, gain=bias)


@wrong("rms_norm", "(mean|x| + ε)², with ε outside of the root, where ms belongs", eps=1e-6)
def mean_of_sizes(dy, x, weight, eps):
    r, g = 1 / (m(np.abs(x)) + eps), dy * weight
    return r * (g - x * r * m(g * x * r)), (dy * x * r).sum(tuple(range(dy.ndim - 1)))


@wrong("normalize", "(max|x|)² where s belongs")
def largest_for_the_length(dy, x, eps):
    n = np.abs(x).max(-1, keepdims=True)
    return (dy - x / n * total(dy * x / n)) / n


# The whole ------------------------------------------------------------------------------------------------------------


@wrong("layer_norm", "is multiplied by [x > 0], which does not belong there")
def masked_like_relu(dy, x, weight, bias, eps):
    dx, dgamma, dbeta = layer(dy, x, weight, eps)
    return dx * (x > 0), dgamma, dbeta


@wrong("layer_norm", "is clipped to [-1, 1]")
def clipped(dy, x, weight, bias, eps):
    dx, dgamma, dbeta = layer(dy, x, weight, eps)
    return dx.clip(-1, 1), dgamma, dbeta


@wrong(
    "layer_norm", "has another rstd", "with a factor of its own in each index of axis 0 (B)", "all else in the formula is right"
)
def scaled_by_something(dy, x, weight, bias, eps):
    odd = np.cos(np.arange(len(x))).reshape((-1,) + (1,) * (x.ndim - 1)) + 2.0
    return layer(dy, x, weight, eps, rstd=odd / np.sqrt(x.var(-1, keepdims=True) + eps))


# Cross-entropy --------------------------------------------------------------------------------------------------------


def soft(z):
    e = np.exp(z - z.max(1, keepdims=True))
    return e / total(e)


def hot(z, target):
    return np.eye(z.shape[1])[target]


@wrong("cross_entropy", "is multiplied by p·(1 − p), which does not belong there")
def softmax_once_more(dy, logits, target):
    p = soft(logits)
    return dy * (p - hot(logits, target)) * p * (1 - p) / len(p)


@wrong("cross_entropy", "is multiplied by 2·p·(1 − p), which does not belong there")
def squared_error(dy, logits, target):
    p = soft(logits)
    return dy * 2 * (p - hot(logits, target)) * p * (1 - p) / len(p)


@wrong("cross_entropy", "1/(1 + exp(−z)) where p belongs")
def sigmoid_for_softmax(dy, logits, target):
    return dy * (1 / (1 + np.exp(-logits)) - hot(logits, target)) / len(logits)


@wrong("cross_entropy", "p clipped at 0.05 where p belongs")
def clipped_probabilities(dy, logits, target):
    return dy * (soft(logits).clip(0.05, 0.95) - hot(logits, target)) / len(logits)


@wrong("cross_entropy", "the one of the target's row stands in another column, the largest logit's")
def predicted_for_the_target(dy, logits, target):
    return dy * (soft(logits) - hot(logits, logits.argmax(1))) / len(logits)


@wrong("cross_entropy", "0.9 at the right class where 1 belongs, and 0.01429 elsewhere where 0 belongs; they add up to 1")
def smoothed_unasked(dy, logits, target):
    classes = logits.shape[1]
    t = np.full(logits.shape, 0.1 / (classes - 1))
    t[np.arange(len(t)), target] = 0.9
    return dy * (soft(logits) - t) / len(logits)


@wrong("cross_entropy", "add up to 1.1", label_smoothing=0.1)
def smoothing_on_top(dy, logits, target, label_smoothing):
    return dy * (soft(logits) - hot(logits, target) - label_smoothing / logits.shape[1]) / len(logits)


@wrong("cross_entropy", "divided by all 4 rows, also those that are ignored, where the 2 rows that count belongs", ignore_index=1)
def averaged_over_ignored_rows(dy, logits, target, ignore_index):
    kept = target != ignore_index
    return dy * (soft(logits) - hot(logits, target)) * kept[:, None] / len(logits)


@wrong("cross_entropy", "each row is multiplied by a weight of its class, which was not asked for")
def weighted_unasked(dy, logits, target):
    weights = np.where(target == 0, 2.0, 1.0)
    return dy * (soft(logits) - hot(logits, target)) * weights[:, None] / len(logits)
