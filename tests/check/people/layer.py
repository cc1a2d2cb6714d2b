"""LayerNorm and RMSNorm."""

from __future__ import annotations

import numpy as np

from .cases import right, wrong


def m(a):
    return a.mean(-1, keepdims=True)


def lead(a):
    return tuple(range(a.ndim - 1))


def standardized(x, eps):
    r = 1 / np.sqrt(x.var(-1, keepdims=True) + eps)
    return (x - m(x)) * r, r


# LayerNorm ----------------------------------------------------------------------------------------------------------


def forward_with_tuple(x, gamma, beta, eps):
    std = np.sqrt(np.var(x, axis=1, keepdims=True) + eps)
    x_hat = (x - np.mean(x, axis=1, keepdims=True)) / std
    return gamma * x_hat + beta, (x_hat, gamma, std)


@wrong("layer_norm", "the σ² term is N = 8 times too big", forward=forward_with_tuple)
def sum_for_mean(dout, cache):
    x_hat, gamma, std = cache
    g = dout * gamma
    dx = g - g.sum(axis=1, keepdims=True) / dout.shape[1] - x_hat * np.sum(g * x_hat, axis=1, keepdims=True)
    return dx / std, (dout * x_hat).sum(axis=0), dout.sum(axis=0)


@wrong("layer_norm", "axis", forward=forward_with_tuple)
def batch_norms_axes(dout, cache):
    x_hat, gamma, std = cache
    g = dout * gamma
    return (g - g.mean(0) - x_hat * (g * x_hat).mean(0)) / std, (dout * x_hat).sum(0), dout.sum(0)


@right("layer_norm", forward=forward_with_tuple)
def simplified_by_n(dout, cache):
    x_hat, gamma, std = cache
    n, g = dout.shape[1], dout * gamma
    dx = (n * g - g.sum(1, keepdims=True) - x_hat * (g * x_hat).sum(1, keepdims=True)) / (n * std)
    return dx, (dout * x_hat).sum(0), dout.sum(0)


@wrong("layer_norm", "the μ term is missing")
def staged_without_mean(dy, x, gamma, eps):
    n, c = x.shape[-1], x - m(x)
    r = 1 / np.sqrt((c**2).mean(-1, keepdims=True) + eps)
    g = dy * gamma
    dvar = (g * c).sum(-1, keepdims=True) * -0.5 * r**3
    return g * r + 2 * c * dvar / n, (dy * c * r).sum(lead(x)), dy.sum(lead(x))


@wrong("layer_norm", "the σ² term has the wrong sign")
def plus(dy, x_hat, gamma, rstd):
    g = dy * gamma
    return rstd * (g - m(g) + x_hat * m(g * x_hat)), (dy * x_hat).sum(lead(dy)), dy.sum(lead(dy))


@wrong("layer_norm", "σ² was computed with N − 1 = 7 for N")
class Unbiased:
    def __init__(self, eps=1e-5):
        self.eps = eps

    def forward(self, x, gamma, beta):
        self.x, self.gamma = x, gamma
        return gamma * (x - m(x)) / np.sqrt(x.var(-1, keepdims=True) + self.eps) + beta

    def backward(self, dout):
        std = np.sqrt(self.x.var(-1, keepdims=True, ddof=1) + self.eps)
        h, g = (self.x - m(self.x)) / std, dout * self.gamma
        self.dgamma, self.dbeta = np.sum(dout * h, lead(dout)), np.sum(dout, lead(dout))
        return (g - m(g) - h * m(g * h)) / std


@wrong("layer_norm", "adds to what it returned last time")
class Accumulating:
    def __init__(self):
        self.dgamma = self.dbeta = 0.0

    def forward(self, x, gamma, beta, eps):
        self.h, self.r = standardized(x, eps)
        self.gamma = gamma
        return self.h * gamma + beta

    def backward(self, dy):
        self.dgamma += (dy * self.h).sum(lead(dy))
        self.dbeta += dy.sum(lead(dy))
        g = dy * self.gamma
        return self.r * (g - m(g) - self.h * m(g * self.h))


@wrong("layer_norm", "the σ² term is missing")
def by_elements(dout, x, gamma, eps):
    rows, n = x.shape
    dx, dgamma, dbeta = np.zeros_like(x), np.zeros(n), np.zeros(n)
    for i in range(rows):
        mu = sum(x[i]) / n
        r = (sum((x[i] - mu) ** 2) / n + eps) ** -0.5
        mean_g = sum(dout[i] * gamma) / n
        for j in range(n):
            dgamma[j] += dout[i, j] * (x[i, j] - mu) * r
            dbeta[j] += dout[i, j]
            dx[i, j] = r * (dout[i, j] * gamma[j] - mean_g)
    return dx, dgamma, dbeta


@wrong("layer_norm", "lacks the factor γ, inside mean(dy·γ·x̂)")
def kernel_without_gamma(dy, x, gamma, mean, rstd):
    dx, dgamma = np.empty_like(x), np.zeros_like(gamma)
    for i in range(len(x)):
        h, g = (x[i] - mean[i]) * rstd[i], dy[i] * gamma
        dx[i] = (g - h * (h @ dy[i]) / len(h) - g.mean()) * rstd[i]
        dgamma += dy[i] * h
    return dx, dgamma, dy.sum(0)


@wrong("layer_norm", "γ", "twice")
def gamma_twice(dy, x_hat, gamma, rstd):
    g = dy * gamma
    return rstd * (g - m(g * gamma) - x_hat * m(g * x_hat)), (dy * x_hat).sum(lead(dy)), dy.sum(lead(dy))


@wrong("layer_norm", "ε was added to the standard deviation, outside the root")
def eps_outside(dy, x, gamma, beta, eps):
    std = np.std(x, -1, keepdims=True) + eps
    h, g = (x - m(x)) / std, dy * gamma
    return (g - m(g) - h * m(g * h)) / std, np.sum(dy * h, lead(x)), np.sum(dy, lead(x))


@wrong("layer_norm", "changed dy before dγ read it", "changed dy before dβ read it")
def in_place(dy, x_hat, gamma, rstd):
    dy *= gamma
    dx = (dy - m(dy) - x_hat * m(dy * x_hat)) * rstd
    return dx, (dy * x_hat).sum(lead(dy)), dy.sum(lead(dy))


@wrong("layer_norm", "leaves out the last")
def whole_blocks(dy, x, gamma, eps):
    h, r = standardized(x, eps)
    g, n = dy * gamma, x.shape[1]
    k = n // 4 * 4
    s1, s2 = g[:, :k].sum(1, keepdims=True), (g * h)[:, :k].sum(1, keepdims=True)
    return r * (g - s1 / n - h * s2 / n), (dy * h).sum(0), dy.sum(0)


@wrong("layer_norm", "the σ² term is 2 times too big", "dβ is N = 4 times too small: averaged over the samples")
def twice_and_averaged(dout, x, w, b, eps):
    h, r = standardized(x, eps)
    g = dout * w
    return r * (g - m(g) - 2 * h * m(g * h)), (dout * h).sum(lead(x)), dout.mean(lead(x))


@wrong("layer_norm", "dγ and dβ are swapped")
def exchanged(grad_out, x_hat, gamma, rstd):
    g = grad_out * gamma
    dx = rstd * (g - m(g) - x_hat * m(g * x_hat))
    return dx, grad_out.sum(lead(dx)), (grad_out * x_hat).sum(lead(dx))


@right("layer_norm")
def in_long_double(dy, x, gamma, beta, eps):
    d, z, w = (np.asarray(t, np.longdouble) for t in (dy, x, gamma))
    h, r = standardized(z, eps)
    g = d * w
    dx = r * (g - m(g) - h * m(g * h))
    return tuple(a.astype(x.dtype) for a in (dx, (d * h).sum(lead(x)), d.sum(lead(x))))


# RMSNorm ------------------------------------------------------------------------------------------------------------


def rms(x, eps):
    r = (m(x * x) + eps) ** -0.5
    return x * r, r


@wrong("rms_norm", "the ms term is N = 8 times too big", eps=1e-6)
def rms_sum_for_mean(dy, x, weight, eps):
    h, r = rms(x, eps)
    g = dy * weight
    return r * (g - h * (g * h).sum(-1, keepdims=True)), (dy * h).sum(lead(x))


@wrong("rms_norm", "the term −rstd·mean(g), which does not belong there", eps=1e-6)
def rms_with_layer_norms_mean(dy, x, weight, eps):
    h, r = rms(x, eps)
    g = dy * weight
    return r * (g - m(g) - h * m(g * h)), (dy * h).sum(lead(x))


@wrong("rms_norm", "RMSNorm with the mean subtracted", eps=1e-6)
def layer_norm_for_rms(dy, x, weight, eps):
    h, r = standardized(x, eps)
    g = dy * weight
    return r * (g - m(g) - h * m(g * h)), (dy * h).sum(lead(x))


@wrong("rms_norm", "the derivative of rstd was taken with rstd² where rstd³ belongs", eps=1e-6)
def rms_power(dy, x, w, eps):
    h, r = rms(x, eps)
    g = dy * w
    return r * g - x * r**2 * m(g * x), (dy * h).sum(lead(x))


@wrong("rms_norm", "ε = 1e-06 is missing under the root", eps=1e-6)
def rms_without_eps(dy, x, w, eps):
    h, r = rms(x, 0)
    g = dy * w
    return r * (g - h * m(g * h)), (dy * rms(x, eps)[0]).sum(lead(x))


@wrong("rms_norm", "lacks the factor γ, inside mean(dy·γ·x̂)", eps=1e-6)
def rms_flat_without_gamma(dy, x, w, rstd):
    r = rstd[..., None]
    h = x * r
    return (dy * w - h * m(dy * h)) * r, (dy * h).reshape(-1, w.size).sum(0)


@wrong("rms_norm", "the factor 2 of the derivative of x² is missing", eps=1e-6)
def rms_half(dy, x, w, eps):
    h, r = rms(x, eps)
    g = dy * w
    return r * (g - h * m(g * h) / 2), (dy * h).sum(lead(x))


@wrong("rms_norm", "leaves out the last 7 mod 4 = 3 entries", eps=1e-6)
def rms_groups_of_rows(dy, x, w, eps):
    h, r = rms(x, eps)
    g, k = dy * w, len(x) // 4 * 4
    return r * (g - h * m(g * h)), (dy * h)[:k].sum(lead(x))


@wrong("rms_norm", "1 + γ", eps=1e-6)
def rms_of_gemma(dy, x, w, eps):
    h, r = rms(x, eps)
    g = dy * (1 + w)
    return r * (g - h * m(g * h)), (dy * h).sum(lead(x))


@right("rms_norm", eps=1e-6)
def rms_projected(dy, x, w, eps):
    h, r = rms(x, eps)
    g = dy * w
    return r * g - x * ((r**3 / x.shape[-1]) * (g * x).sum(-1, keepdims=True)), (dy * h).sum(lead(x))
