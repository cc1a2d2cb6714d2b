"""``normalize`` and weight normalization."""

from __future__ import annotations

import numpy as np

from .cases import right, wrong

# normalize ----------------------------------------------------------------------------------------------------------


def total(a, axis=1):
    return a.sum(axis, keepdims=True)


def unit(x, eps):
    n = np.maximum(np.sqrt(total(x * x)), eps)
    return x / n, n


@right("normalize")
def unit_right(dy, x, eps):
    y, n = unit(x, eps)
    return (dy - y * total(dy * y)) / n


@right("normalize", eps=0.5)
def unit_clamped_right(dy, x, eps):
    y, n = unit(x, eps)
    return (dy - y * total(dy * y) * (n > eps)) / n


@wrong("normalize", "the sum(x²) term is missing")
def unit_detached(dy, x, eps):
    return dy / unit(x, eps)[1]


@wrong("normalize", "the sum(x²) term has the wrong sign")
def unit_sign(dy, x, eps):
    y, n = unit(x, eps)
    return (dy + y * total(dy * y)) / n


@wrong("normalize", "divided by it once, not twice")
def unit_power(dy, x, eps):
    _, n = unit(x, eps)
    return dy / n - x * total(dy * x) / n**2


@wrong("normalize", "the sum(x²) term is N = 8 times too small")
def unit_mean(dy, x, eps):
    y, n = unit(x, eps)
    return (dy - y * (dy * y).mean(1, keepdims=True)) / n


@wrong("normalize", "axis 0")
def unit_over_the_batch(dy, x, eps):
    y, n = unit(x, eps)
    return (dy - y * total(dy * y, 0)) / n


@wrong("normalize", "your dx lacks the division by ‖x‖ in every term")
def unit_not_divided(dy, x, eps):
    y, _ = unit(x, eps)
    return dy - y * total(dy * y)


@wrong("normalize", "whole array")
def unit_of_everything(dy, x, eps):
    n = np.sqrt((x * x).sum())
    return (dy - x / n * total(dy * x / n)) / n


@wrong("normalize", "where ‖x‖ belongs, everywhere")
def unit_divided_twice(dy, x, eps):
    y, n = unit(x, eps)
    return (dy - y * total(dy * y)) / n**2


@wrong("normalize", "the sum(x²) term is 2 times too big")
def unit_factor(dy, x, eps):
    y, n = unit(x, eps)
    return (dy - 2 * y * total(dy * y)) / n


@wrong("normalize", "goes on through ‖x‖ where it is clamped", eps=0.5)
def unit_clamp_forgotten(dy, x, eps):
    y, n = unit(x, eps)
    return (dy - y * total(dy * y)) / n


@wrong("normalize", "leaves out the last 7 mod 4 = 3 entries")
def unit_blocks(dy, x, eps):
    y, n = unit(x, eps)
    return (dy - y * total((dy * y)[:, : x.shape[1] // 4 * 4])) / n


@wrong("normalize", "lacks the factor y, inside Σ(y·dy)")
def unit_sum_without_y(dy, x, eps):
    y, n = unit(x, eps)
    return (dy - y * total(dy)) / n


# Weight normalization -----------------------------------------------------------------------------------------------


def others(v):
    return tuple(range(1, v.ndim))


def weight(dw, v, g):
    n = np.sqrt((v * v).sum(others(v), keepdims=True))
    dg = (dw * v).sum(others(v), keepdims=True) / n
    return n, dg, g / n * (dw - v / n * dg)


@right("weight_norm", dim=0)
def weight_right(dw, v, g):
    _, dg, dv = weight(dw, v, g)
    return dv, dg


@right("weight_norm", dim=0)
def weight_with_flat_norms(dw, v, g, norms):
    n = norms.reshape(g.shape)
    dg = (dw * v).sum(others(v), keepdims=True) / n
    return g / n * (dw - v / n * dg), dg


@wrong("weight_norm", "the ‖v‖² term is missing", dim=0)
def weight_not_projected(dw, v, g):
    n, dg, _ = weight(dw, v, g)
    return g / n * dw, dg


@wrong("weight_norm", "v was used where v/‖v‖ belongs, in what flows to g", dim=0)
def weight_dg_not_divided(dw, v, g):
    n, dg, dv = weight(dw, v, g)
    return dv, dg * n


@wrong("weight_norm", "lacks the factor g", dim=0)
def weight_projection_without_g(dw, v, g):
    n, dg, _ = weight(dw, v, g)
    return g / n * dw - v / n**2 * dg, dg


@wrong("weight_norm", "the ‖v‖² term has the wrong sign", dim=0)
def weight_sign(dw, v, g):
    n, dg, _ = weight(dw, v, g)
    return g / n * (dw + v / n * dg), dg


@wrong("weight_norm", "the derivative of 1/‖v‖ was taken with 1/‖v‖²", dim=0)
def weight_power(dw, v, g):
    n, dg, _ = weight(dw, v, g)
    return g / n * dw - g * dg * v / n, dg


@wrong("weight_norm", "axis 0", dim=0)
def weight_by_columns(dw, v, g):
    n = np.sqrt((v * v).sum(0, keepdims=True))
    dg = (dw * v / n).sum(others(v), keepdims=True)
    return g / n * (dw - v / n * (dw * v / n).sum(0, keepdims=True)), dg


@wrong("weight_norm", "your dg has g as a factor too much", dim=0)
def weight_dg_with_g(dw, v, g):
    _, dg, dv = weight(dw, v, g)
    return dv, dg * g


@wrong("weight_norm", "the factor g is missing in what flows to v/‖v‖", dim=0)
def weight_without_g(dw, v, g):
    _, dg, dv = weight(dw, v, g)
    return dv / g, dg


@wrong("weight_norm", "the ‖v‖² term is N = 8 times too small", dim=0)
def weight_mean(dw, v, g):
    n, dg, _ = weight(dw, v, g)
    return g / n * (dw - v / n * dg / v[0].size), dg


@wrong("weight_norm", "ε = 0.001 outside the root", dim=0)
def weight_eps(dw, v, g):
    n = np.sqrt((v * v).sum(others(v), keepdims=True)) + 1e-3
    dg = (dw * v).sum(others(v), keepdims=True) / n
    return g / n * (dw - v / n * dg), dg
