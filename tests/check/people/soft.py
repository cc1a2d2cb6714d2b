"""Softmax, log-softmax and cross-entropy."""

from __future__ import annotations

import numpy as np

from .cases import right, wrong

# Softmax ------------------------------------------------------------------------------------------------------------


def total(a, axis=-1):
    return a.sum(axis, keepdims=True)


def probabilities(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / total(e)


@right("softmax", dim=-1)
def softmax_right(dy, y):
    return y * (dy - total(dy * y))


@right("softmax", dim=-1)
def softmax_pairs(dy, y):
    return (y[:, :, None] * y[:, None, :] * (dy[:, :, None] - dy[:, None, :])).sum(2)


@wrong("softmax", "of the Jacobian the diagonal only", dim=-1)
def softmax_diagonal(dy, y):
    return dy * y * (1 - y)


@wrong("softmax", "the Σe term is missing", dim=-1)
def softmax_direct(dy, y):
    return dy * y


@wrong("softmax", "Σ(dy)", dim=-1)
def softmax_sum_without_p(dy, y):
    return y * (dy - total(dy))


@wrong("softmax", "has the factor p twice, inside Σ(p·dy)", dim=-1)
def softmax_sum_of_squares(dy, y):
    return y * (dy - total(dy * y * y))


@wrong("softmax", "the Σe term is N = 8 times too small", dim=-1)
def softmax_mean(dy, y):
    return y * (dy - (dy * y).mean(-1, keepdims=True))


@wrong("softmax", "the Σe term has the wrong sign", dim=-1)
def softmax_sign(dy, y):
    return y * (dy + total(dy * y))


@wrong("softmax", "the sum over axis 0 (B) where the sum over axis 1 (N) belongs", dim=-1)
def softmax_over_the_batch(dy, y):
    return y * (dy - total(dy * y, 0))


@wrong("softmax", "axis 1", dim=0)
def softmax_last_axis(dy, y):
    return y * (dy - total(dy * y))


@wrong("softmax", "the exact gradient of Log-softmax", dim=-1)
def log_softmax_for_softmax(dy, y):
    return dy - y * total(dy)


@wrong("softmax", "dx is dy − p, a formula of something else", dim=-1)
def cross_entropys_shortcut(dy, y):
    return dy - y


@wrong("softmax", "p of the first index of axis 0 for every other one", dim=-1)
def jacobian_of_the_first_row(dy, x):
    p = probabilities(x)
    return dy @ (np.diag(p[0]) - np.outer(p[0], p[0]))


@wrong("softmax", "leaves out the last 7 mod 4 = 3 entries", dim=-1)
def softmax_blocks(dy, y):
    k = y.shape[-1] // 4 * 4
    return y * (dy - total((dy * y)[..., :k]))


@wrong("softmax", "divided by it once, not twice", dim=-1)
def softmax_power(dy, x):
    e = np.exp(x - x.max(-1, keepdims=True))
    s = total(e)
    return e * (dy / s - total(dy * e) / s)


# Log-softmax --------------------------------------------------------------------------------------------------------


@right("log_softmax", dim=-1)
def log_right(dy, y):
    return dy - np.exp(y) * total(dy)


@wrong("log_softmax", "lacks the factor Σ(dy)", dim=-1)
def log_without_sum(dy, x):
    return dy - probabilities(x)


@wrong("log_softmax", "the Σe term is missing", dim=-1)
def log_direct(dy, x):
    return dy * 1.0


@wrong("log_softmax", "the Σe term has the wrong sign", dim=-1)
def log_sign(dy, x):
    return dy + probabilities(x) * total(dy)


@wrong("log_softmax", "has p inside Σ(dy), where it does not belong", dim=-1)
def softmaxs_sum(dy, x):
    p = probabilities(x)
    return dy - p * total(dy * p)


@wrong("log_softmax", "has y where p belongs", dim=-1)
def log_without_exp(dy, y):
    return dy - y * total(dy)


@wrong("log_softmax", "the Σe term is N = 8 times too small", dim=-1)
def log_mean(dy, x):
    return dy - probabilities(x) * dy.mean(-1, keepdims=True)


@wrong("log_softmax", "axis 0", dim=-1)
def log_over_the_batch(dy, x):
    return dy - probabilities(x) * total(dy, 0)


@wrong("log_softmax", "whole array", dim=-1)
def log_over_everything(dy, x):
    return dy - probabilities(x) * dy.sum()


@wrong("log_softmax", "of the Jacobian the diagonal only", dim=-1)
def log_diagonal(dy, x):
    return dy * (1 - probabilities(x))


@wrong("log_softmax", "leaves out the last 7 mod 4 = 3 entries", dim=-1)
def log_blocks(dy, x):
    return dy - probabilities(x) * total(dy[..., : x.shape[-1] // 4 * 4])


# Cross-entropy ------------------------------------------------------------------------------------------------------


def one_hot(target, p):
    return (np.arange(p.shape[1]) == target[:, None]).astype(float)


@right("cross_entropy")
def entropy_right(dout, x, target):
    p = probabilities(x)
    return dout * (p - one_hot(target, p)) / len(x)


@right("cross_entropy", reduction="sum")
def entropy_from_probabilities(dout, probs, target):
    return dout * (probs - one_hot(target, probs))


@wrong("cross_entropy", "reduction='sum'")
def entropy_not_averaged(dout, x, target):
    p = probabilities(x)
    return dout * (p - one_hot(target, p))


@wrong("cross_entropy", "sign")
def entropy_sign(dout, logits, target):
    p = probabilities(logits)
    return dout * (one_hot(target, p) - p) / len(p)


@wrong("cross_entropy", "label_smoothing", label_smoothing=0.1)
def entropy_smoothing_forgotten(dout, logits, target):
    p = probabilities(logits)
    return dout * (p - one_hot(target, p)) / len(p)


@wrong("cross_entropy", "0.125 = 1/N times")
def entropy_divided_by_all(dout, logits, target):
    p = probabilities(logits)
    return dout * (p - one_hot(target, p)) / p.size


@wrong("cross_entropy", "dy, the cotangent, is left out")
def entropy_without_cotangent(dout, x, target):
    p = probabilities(x)
    return (p - one_hot(target, p)) / len(p)


@wrong("cross_entropy", "index 4, 5, 6 of axis 0 is missing")
def entropy_chunks(dout, x, target):
    p, dx = probabilities(x), np.zeros_like(x)
    k = len(x) // 4 * 4
    dx[:k] = dout * (p - one_hot(target, p))[:k] / len(x)
    return dx


@wrong("cross_entropy", "has a gradient and should have none", "ignore_index", ignore_index=1)
def entropy_of_ignored_rows(dout, x, target, ignore_index):
    p, kept = probabilities(x), target != ignore_index
    return dout * (p - one_hot(target, p) * kept[:, None]) / max(kept.sum(), 1)
