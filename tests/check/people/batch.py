"""BatchNorm, InstanceNorm and GroupNorm."""

from __future__ import annotations

import numpy as np

from .cases import right, wrong

TRAINING = {"training": True}

# BatchNorm over (N, C) ----------------------------------------------------------------------------------------------


def forward_of_cs231n(x, gamma, beta, eps):
    c = x - np.sum(x, axis=0) / len(x)
    var = np.sum(c**2, axis=0) / len(x)
    std = np.sqrt(var + eps)
    return gamma * c / std + beta, (c / std, gamma, c, 1 / std, std, var, eps)


def staged(dout, cache, times_n, sign, dmu_times_n):
    h, gamma, c, ivar, std, var, eps = cache
    n, g = len(dout), dout * gamma
    dvar = sign * 0.5 / np.sqrt(var + eps) / std**2 * np.sum(g * c, axis=0)
    dc = g * ivar + 2 * c * dvar * times_n / n
    return dc - np.sum(dc, axis=0) * dmu_times_n / n, np.sum(dout * h, axis=0), np.sum(dout, axis=0)


@wrong("batch_norm", "the σ² term is N = 4 times too big", forward=forward_of_cs231n, **TRAINING)
def staged_variance_not_averaged(dout, cache):
    return staged(dout, cache, len(dout), -1, 1)


@wrong("batch_norm", "the σ² term has the wrong sign", forward=forward_of_cs231n, **TRAINING)
def staged_sign(dout, cache):
    return staged(dout, cache, 1, 1, 1)


@wrong("batch_norm", "the μ term is N = 4 times too big", forward=forward_of_cs231n, **TRAINING)
def staged_mean_not_averaged(dout, cache):
    return staged(dout, cache, 1, -1, len(dout))


@right("batch_norm", forward=forward_of_cs231n, **TRAINING)
def staged_right(dout, cache):
    return staged(dout, cache, 1, -1, 1)


@wrong("batch_norm", "the μ term is missing", **TRAINING)
def simplified_without_mean(dout, x_hat, gamma, rstd):
    n, dgamma = len(dout), (dout * x_hat).sum(0)
    return gamma * rstd / n * (n * dout - x_hat * dgamma), dgamma, dout.sum(0)


@wrong("batch_norm", "the term rstd·γ·dy of dx is B = 4 times too small", **TRAINING)
def simplified_without_n(dout, x_hat, gamma, rstd):
    dbeta, dgamma = np.sum(dout, axis=0), np.sum(x_hat * dout, axis=0)
    return gamma * rstd / len(dout) * (dout - x_hat * dgamma - dbeta), dgamma, dbeta


@wrong("batch_norm", "N/(N − 1) times too big", **TRAINING)
def bessel_in_the_variance_term(dy, x_hat, gamma, rstd):
    g = dy * gamma
    dx = rstd * (g - g.mean(0) - x_hat * (g * x_hat).sum(0) / (len(dy) - 1))
    return dx, (dy * x_hat).sum(0), dy.sum(0)


@wrong("batch_norm", "the factor γ is missing in what flows to x̂", **TRAINING)
def without_gamma(dout, x_hat, rstd):
    return (
        rstd * (dout - dout.mean(0) - x_hat * (dout * x_hat).mean(0)),
        (dout * x_hat).sum(0),
        dout.sum(0),
    )


@wrong("batch_norm", "axis 1", **TRAINING)
def layer_norms_axes(dout, x_hat, gamma, rstd):
    g = dout * gamma
    dx = rstd * (g - g.mean(1, keepdims=True) - x_hat * (g * x_hat).mean(1, keepdims=True))
    return dx, (dout * x_hat).sum(0), dout.sum(0)


@wrong("batch_norm", "μ and σ² were treated as constants", **TRAINING)
def detached(dout, x_hat, gamma, rstd):
    return dout * gamma * rstd, (dout * x_hat).sum(0), dout.sum(0)


@wrong("batch_norm", "running_mean for μ, running_var for σ²", **TRAINING)
def running_for_batch(grad_out, input, weight, running_mean, running_var, eps):
    r = 1 / np.sqrt(running_var + eps)
    h, n = (input - running_mean) * r, len(input)
    dbeta, dgamma = grad_out.sum(0), (grad_out * h).sum(0)
    return weight * r / n * (n * grad_out - dbeta - h * dgamma), dgamma, dbeta


@wrong("batch_norm", "dγ is N = 4 times too small", "dβ is N = 4 times too small", **TRAINING)
def parameters_averaged(dout, x_hat, gamma, rstd):
    g = dout * gamma
    return rstd * (g - g.mean(0) - x_hat * (g * x_hat).mean(0)), (dout * x_hat).mean(0), dout.mean(0)


@wrong("batch_norm", "γ", "−rstd·γ·mean_B(dy) of dx is half as big", "x̂·γ where x̂ belongs", **TRAINING)
def gamma_twice_and_half(dout, x_hat, gamma, rstd):
    g = dout * gamma
    return rstd * (g - g.mean(0) / 2 - gamma * x_hat * (g * x_hat).mean(0)), (dout * x_hat).sum(0), dout.sum(0)


@right("batch_norm", **TRAINING)
def pairs(dy, x, gamma, beta, eps):
    n, apart = len(x), x[:, None] - x[None]
    r = 1 / np.sqrt((apart**2).sum((0, 1)) / (2 * n * n) + eps)
    c, d = apart.sum(1) / n, (dy[:, None] - dy[None]).sum(1) / n
    cov = (dy * c).sum(0)
    return gamma * r * (d - c * cov * r * r / n), cov * r, dy.sum(0)


# BatchNorm over (N, C, H, W) ----------------------------------------------------------------------------------------

IMAGES = {"training": True, "shape": (2, 4, 3, 5)}
ALL = (0, 2, 3)


def per_channel(a):
    return a[:, None, None]


def images(dy, gamma, x_hat, rstd, means=ALL, factor=1.0):
    g = dy * per_channel(gamma)
    mean = g.mean(means, keepdims=True)
    dx = rstd * (g - factor * mean - factor * x_hat * (g * x_hat).mean(means, keepdims=True))
    return dx, (dy * x_hat).sum(ALL), dy.sum(ALL)


@right("batch_norm", **IMAGES)
def images_right(dy, gamma, x_hat, rstd):
    return images(dy, gamma, x_hat, rstd)


@wrong("batch_norm", "the μ term is 15 = H·W times", "the σ² term is 15 = H·W times", **IMAGES)
def divided_by_samples_only(dy, gamma, x_hat, rstd):
    return images(dy, gamma, x_hat, rstd, factor=float(dy.shape[2] * dy.shape[3]))


@wrong("batch_norm", "axes 2, 3", **IMAGES)
def instance_norms_axes(dy, gamma, x_hat, rstd):
    return images(dy, gamma, x_hat, rstd, (2, 3))


@wrong("batch_norm", "every Σ and mean as the mean over axes 2, 3 (H, W)", **IMAGES)
def not_reduced_over_devices(dy, gamma, x_hat, rstd):
    k = len(dy) // 2
    halves = [images(dy[s], gamma, x_hat[s], rstd)[0] for s in (slice(k), slice(k, None))]
    return np.concatenate(halves), (dy * x_hat).sum(ALL), dy.sum(ALL)


@wrong("batch_norm", "reshaped without transposing it", **IMAGES)
def reshaped_without_transposing(dy, gamma, x, eps):
    d, z = dy.reshape(-1, dy.shape[1]), x.transpose(0, 2, 3, 1).reshape(-1, x.shape[1])
    r = 1 / np.sqrt(z.var(0) + eps)
    h, g = (z - z.mean(0)) * r, d * gamma
    dx = r * (g - g.mean(0) - h * (g * h).mean(0))
    n, c, height, width = x.shape
    return dx.reshape(n, height, width, c).transpose(0, 3, 1, 2), (d * h).sum(0), d.sum(0)


@wrong("batch_norm", "the term rstd·γ·dy of dx has the factor γ twice", **IMAGES)
def gamma_twice_in_the_direct_term(dy, gamma, x_hat, rstd):
    dx, dgamma, dbeta = images(dy, gamma, x_hat, rstd)
    g = dy * per_channel(gamma)
    return dx + rstd * g * per_channel(gamma) - rstd * g, dgamma, dbeta


@wrong("batch_norm", "0.001", **IMAGES)
def eps_of_another_library(dy, gamma, x, x_hat, eps):
    r = 1 / np.sqrt(x.var(ALL, keepdims=True) + 1e-3)
    dx = images(dy, gamma, (x - x.mean(ALL, keepdims=True)) * r, r)[0]
    return dx, (dy * x_hat).sum(ALL), dy.sum(ALL)


@wrong("batch_norm", "dx is that of training", training=False, shape=(2, 4, 3, 5))
def trainings_backward_in_inference(dy, x, gamma, running_mean, running_var, eps):
    r = 1 / np.sqrt(per_channel(running_var) + eps)
    return images(dy, gamma, (x - per_channel(running_mean)) * r, r)


# InstanceNorm -------------------------------------------------------------------------------------------------------

PIXELS = {"shape": (2, 4, 3, 5)}


def instance(dy, x, gamma, eps, means=(2, 3), ddof=0):
    r = 1 / np.sqrt(x.var((2, 3), keepdims=True, ddof=ddof) + eps)
    h, g = (x - x.mean((2, 3), keepdims=True)) * r, dy * per_channel(gamma)
    return r, h, g, r * (g - g.mean(means, keepdims=True) - h * (g * h).mean(means, keepdims=True))


@right("instance_norm", **PIXELS)
def instance_right(dy, x, weight, bias, eps):
    _, h, _, dx = instance(dy, x, weight, eps)
    return dx, (dy * h).sum(ALL), dy.sum(ALL)


@wrong("instance_norm", "every Σ and mean as the mean over axes 0, 2, 3", **PIXELS)
def instance_over_the_batch(dy, x, weight, bias, eps):
    _, h, _, dx = instance(dy, x, weight, eps, ALL)
    return dx, (dy * h).sum(ALL), dy.sum(ALL)


@wrong("instance_norm", "axis 3", **PIXELS)
def instance_over_rows_only(dy, x, weight, bias, eps):
    _, h, _, dx = instance(dy, x, weight, eps, (3,))
    return dx, (dy * h).sum(ALL), dy.sum(ALL)


@wrong("instance_norm", "only the last of axis 0 (B) in Σ_BHW(x̂·dy)", "only the last of axis 0 (B) in Σ_BHW(dy)", **PIXELS)
def instance_last_sample(dy, x, weight, bias, eps):
    _, h, _, dx = instance(dy, x, weight, eps)
    return dx, (dy * h)[-1].sum((1, 2)), dy[-1].sum((1, 2))


@wrong("instance_norm", "N − 1", **PIXELS)
def instance_unbiased_in_front(dy, x, weight, bias, eps):
    r, h, _, dx = instance(dy, x, weight, eps)
    return dx / r * instance(dy, x, weight, eps, ddof=1)[0], (dy * h).sum(ALL), dy.sum(ALL)


@wrong("instance_norm", "the term −rstd·γ·mean_HW(dy) of dx lacks the factor γ", **PIXELS)
def instance_mean_without_gamma(dy, x, weight, bias, eps):
    r, h, g, _ = instance(dy, x, weight, eps)
    dx = r * (g - dy.mean((2, 3), keepdims=True) - h * (g * h).mean((2, 3), keepdims=True))
    return dx, (dy * h).sum(ALL), dy.sum(ALL)


# GroupNorm ----------------------------------------------------------------------------------------------------------

GROUPS = {"num_groups": 2, "shape": (2, 6, 3, 3)}


def grouped(dy, x, gamma, groups, eps, factor=1.0, late=False):
    rows = x.reshape(len(x), groups, -1)
    r = 1 / np.sqrt(rows.var(2, keepdims=True) + eps)
    h = (rows - rows.mean(2, keepdims=True)) * r
    g = (dy if late else dy * per_channel(gamma)).reshape(rows.shape)
    dx = r * (g - g.mean(2, keepdims=True) * factor - h * (g * h).mean(2, keepdims=True) * factor)
    dx, h = dx.reshape(x.shape), h.reshape(x.shape)
    return dx * per_channel(gamma) if late else dx, (dy * h).sum(ALL), dy.sum(ALL)


@right("group_norm", **GROUPS)
def grouped_right(dy, x, weight, bias, num_groups, eps):
    return grouped(dy, x, weight, num_groups, eps)


@right("group_norm", **GROUPS)
def grouped_by_letter(dy, x, gamma, G, eps):
    return grouped(dy, x, gamma, G, eps)


@wrong("group_norm", "dx was multiplied by γ at the end", **GROUPS)
def gamma_at_the_end(dy, x, weight, bias, num_groups, eps):
    return grouped(dy, x, weight, num_groups, eps, late=True)


@wrong("group_norm", "the σ² term is 3 = C/G times", "the μ term is 3 = C/G times", **GROUPS)
def channels_of_the_group_forgotten(dy, x, weight, bias, num_groups, eps):
    return grouped(dy, x, weight, num_groups, eps, factor=x.shape[1] / num_groups)


@right("group_norm", **GROUPS)
def kernel_of_groups(dy, x, gamma, mean, rstd):
    n, c, *_ = x.shape
    k = c // mean.shape[1]
    dx, dgamma = np.empty_like(x), np.zeros(c)
    for i in range(n):
        for j in range(mean.shape[1]):
            s = slice(j * k, (j + 1) * k)
            h, g = (x[i, s] - mean[i, j]) * rstd[i, j], dy[i, s] * per_channel(gamma[s])
            dx[i, s] = rstd[i, j] * (g - g.mean() - h * (g * h).mean())
            dgamma[s] += (dy[i, s] * h).sum((1, 2))
    return dx, dgamma, dy.sum(ALL)


def from_flat(dy, x, gamma, mean, rstd, factor):
    n, groups = mean.shape
    rows, g = x.reshape(n, groups, -1), (dy * per_channel(gamma)).reshape(n, groups, -1)
    h = (rows - mean[..., None]) * rstd[..., None]
    dx = rstd[..., None] * (g - factor * g.mean(2, keepdims=True) - h * (g * h).mean(2, keepdims=True))
    return dx.reshape(x.shape), (dy * h.reshape(x.shape)).sum(ALL), dy.sum(ALL)


@right("group_norm", **GROUPS)
def from_flat_statistics(dy, x, gamma, mean, rstd):
    return from_flat(dy, x, gamma, mean, rstd, 1)


@wrong("group_norm", "the μ term is missing", **GROUPS)
def from_flat_statistics_without_mean(dy, x, gamma, mean, rstd):
    return from_flat(dy, x, gamma, mean, rstd, 0)


# Asked without a shape, and written for images only -----------------------------------------------------------------


@right("batch_norm", **TRAINING)
def for_images_only(dy, x, gamma, beta, eps):
    n, c, height, width = x.shape
    r = 1 / np.sqrt(x.var(ALL, keepdims=True) + eps)
    dx, dgamma, dbeta = images(dy, gamma, (x - x.mean(ALL, keepdims=True)) * r, r)
    return dx.reshape(n, c, height, width), dgamma, dbeta


@wrong("group_norm", "the σ² term is missing", num_groups=2)
def groups_of_images_only(dy, x, gamma, beta, num_groups, eps):
    n, c, height, width = x.shape
    rows = x.reshape(n, num_groups, c // num_groups * height * width)
    r = 1 / np.sqrt(rows.var(2, keepdims=True) + eps)
    g, h = (dy * per_channel(gamma)).reshape(rows.shape), ((rows - rows.mean(2, keepdims=True)) * r).reshape(x.shape)
    return (r * (g - g.mean(2, keepdims=True))).reshape(x.shape), (dy * h).sum(ALL), dy.sum(ALL)
