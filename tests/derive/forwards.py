"""Seventy-seven forwards that a reader wrote down before seeing what comes of them; two thirds name nothing.

Beside twenty-two of them stands the gradient as the same reader would write it by hand, also written down before.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

AXES = {"x": "BN", "y": "BN", "t": "BN", "w": "N", "b": "N", "a": ""}
THREE = {"x": ("B", "C", "N")}

FORWARDS: dict[str, tuple[Callable[..., Any], dict[str, tuple[str, ...]]]] = {}


def add(name: str, forward: Callable[..., Any], names: str = "x", axes: dict[str, tuple[str, ...]] | None = None) -> None:
    FORWARDS[name] = forward, axes or {n: tuple(AXES[n]) for n in names}


def m(t):
    return t.mean(-1, keepdim=True)


def s(t):
    return t.sum(-1, keepdim=True)


def m0(t):
    return t.mean(0, keepdim=True)


def c(x):
    return x - m(x)


def ln(x):
    return c(x) * (m(c(x) ** 2) + 1e-5).rsqrt()


def rms(x):
    return x * (m(x * x) + 1e-6).rsqrt()


def sm(x):
    return x.exp() / s(x.exp())


def lse(x):
    return s(x.exp()).log()


def by_squares(x, w, b):
    mu = m(x).named("mu")
    v = (m(x * x) - mu * mu).named("v")
    return (x - mu) / (v + 1e-5).sqrt() * w + b


def named(x, w):
    d = c(x).named("c")
    r = (m(d**2) + 1e-5).rsqrt().named("rstd")
    return (d * r).named("xh") * w


def twice_centred(x):
    d = c(c(x).named("c")).named("d")
    return d * (m(d * d) + 1e-5).rsqrt()


def one_group(x):
    d = (x - x.mean((1, 2), keepdim=True)).named("c")
    return d * ((d * d).mean((1, 2), keepdim=True) + 1e-5).rsqrt()


def bn3(x):
    d = x - x.mean((0, 2), keepdim=True)
    return d / ((d**2).mean((0, 2), keepdim=True) + 1e-5).sqrt()


def halves(x):
    z = ln(x.reshape(x.shape[0], 2, x.shape[1] // 2))
    return z.reshape(*x.shape)


def grn(x):
    g = (x * x).sum(2, keepdim=True).sqrt()
    return x * (g / (g.mean(1, keepdim=True) + 1e-6)) + x


def tlu(x, y):
    return (rms(x).named("z") - y).relu() + y


def shifted(x, of):
    return (x - of).exp() / s((x - of).exp())


def mean_detached(x):
    d = x - m(x).detach()
    return d * (m(d * d) + 1e-5).rsqrt().named("r")


add("ln_xx", lambda x, w, b: c(x) / (m(c(x) * c(x)) + 1e-5).sqrt() * w + b, "xwb")
add("ln_var", lambda x, w, b: c(x) * (x.var(-1, correction=0, keepdim=True) + 1e-5).rsqrt() * w + b, "xwb")
add("ln_by_squares", by_squares, "xwb")
add("ln_unbiased", lambda x, w: c(x) * (x.var(-1, correction=1, keepdim=True) + 1e-5).rsqrt() * w, "xw")
add("ln_unbiased_by_hand", lambda x: c(x) * (s(c(x) ** 2) / (x.shape[-1] - 1) + 1e-5) ** -0.5)
add("ln_eps_beside_std", lambda x, w: c(x) / (m(c(x) ** 2).sqrt() + 1e-5) * w, "xw")
add("ln_named", named, "xw")
add("ln_twice_centred", twice_centred)
add("ln_sums", lambda x: (x - s(x) / x.shape[-1]) / (s((x - s(x) / x.shape[-1]) ** 2) / x.shape[-1] + 1e-5).sqrt())
add("ln_sqrt_of_n", lambda x: c(x) * x.shape[-1] ** 0.5 / (s(c(x) ** 2) + x.shape[-1] * 1e-5).sqrt())
add("ln_scalar", lambda x, a: a * ln(x), "xa")
add("ln_one_plus", lambda x, w: (1 + w) * ln(x), "xw")
add("rms", lambda x, w: rms(x) * w, "xw")
add("rms_named", lambda x, w: (x * (m(x**2) + 1e-6).rsqrt().named("r")).named("xh") * w, "xw")
add("rms_one_plus", lambda x, w: x / (m(x**2) + 1e-6).sqrt() * (1 + w), "xw")
add("rms_sum", lambda x: x / (s(x**2) / x.shape[-1] + 1e-6) ** 0.5)
add("rms_no_eps", lambda x: x / m(x**2).sqrt().named("q"))
add("rms_seven", lambda x: x / (s(x * x) / 7 + 0.1).sqrt())
add("rms_eleven", lambda x: x / (s(x * x) / 11 + 1e-6).sqrt())
add("rms_a_thirteenth", lambda x: x * (s(x * x) * (1 / 13) + 1 / 6).rsqrt())
add("rms_three", lambda x: 3 * x / (3 * m(x * x) + 3).sqrt().named("q"))
add("ln_rms", lambda x, w: rms(ln(x).named("z")) * w, "xw")
add("rms_rms", lambda x: rms(rms(x)))
add("peri_ln", lambda x, w: x + rms((rms(x) * w).tanh().named("z")), "xw")
add("post_ln", lambda x, y: ln((x + y).named("z")), "xy")
add("bn", lambda x, w, b: (x - m0(x)) * (m0((x - m0(x)) ** 2) + 1e-5).rsqrt() * w + b, "xwb")
add("bn_by_squares", lambda x: (x - m0(x)) / (m0(x * x) - m0(x) ** 2 + 1e-5).sqrt())
add("double_centre", lambda x: x - m0(x) - m(x) + x.mean())
add("gn_one_group", one_group, axes=THREE)
add("bn3", bn3, axes=THREE)
add("in3", lambda x: ln(x), axes=THREE)
add("gn_halves", halves)
add("grn", grn, axes=THREE)
add("frn", lambda x: x * ((x * x).mean(2, keepdim=True) + 1e-6).rsqrt().named("r"), axes=THREE)
add("frn_tlu", tlu, "xy")
add("evonorm_s0", lambda x, w: x * (x * w).sigmoid() * (x.var(-1, correction=0, keepdim=True) + 1e-5).rsqrt(), "xw")
add("softmax", lambda x: sm(x))
add("softmax_method", lambda x: x.softmax(-1))
add("softmax_named", lambda x: x.exp().named("e") / s(x.exp()).named("Z"))
add("softmax_temperature", lambda x: sm(x / 0.1))
add("softmax_scaled", lambda x, a: sm(x * a), "xa")
add("softmax_centred", lambda x: sm(c(x).named("c")))
add("softmax_detached", lambda x: shifted(x, m(x).detach()))
add("softmax_max", lambda x: shifted(x, x.amax(-1, keepdim=True)))
add("log_softmax", lambda x: x - lse(x))
add("log_softmax_method", lambda x: x.log_softmax(-1))
add("lse", lambda x: lse(x))
add("cross_entropy", lambda x, t: -s(t * (x - lse(x))), "xt")
add("label_smoothing", lambda x, t: -s((0.9 * t + 0.1 / x.shape[-1]) * (x - lse(x)).named("lp")), "xt")
add("focal", lambda x, t: -s(t * (1 - sm(x)) ** 2 * (x - lse(x)).named("lp")), "xt")
add("attention_row", lambda x, y: s(sm(x * x.shape[-1] ** -0.5).named("p") * y), "xy")
add("entropy", lambda x: -s(sm(x) * (x - lse(x))))
add("l2", lambda x: x / s(x * x).sqrt().named("n"))
add("l2_eps", lambda x: x * (s(x * x) + 1e-12).rsqrt())
add("cosine", lambda x, y: s(x * y) / (s(x * x).sqrt() * s(y * y).sqrt()), "xy")
add("cosine_named", lambda x, y: s((x / s(x * x).sqrt()).named("xn") * (y / s(y * y).sqrt()).named("yn")), "xy")
add("weight_norm", lambda x, y: y * x / s(x * x).sqrt(), "xy")
add("qk_norm", lambda x, y: sm(rms(x).named("q") * rms(y).named("k")), "xy")
add("weight_std", lambda x: c(x) / (x.shape[-1] * m(c(x) ** 2) + 1e-4).sqrt())
add("l1", lambda x: x / s(x.abs()))
add("dyt", lambda x, a, w: (a * x).tanh().named("t") * w, "xaw")
add("relu", lambda x: x.relu())
add("leaky", lambda x: x.relu() - 0.1 * (-x).relu())
add("clamp", lambda x: x.clamp(-0.5, 0.5))
add("huber", lambda x: 0.5 * x.clamp(-1, 1) ** 2 + (x.abs() - x.clamp(-1, 1).abs()))
add("gelu_tanh", lambda x: 0.5 * x * (1 + ((2 / np.pi) ** 0.5 * (x + 0.044715 * x**3)).tanh().named("t")))
add("gelu_erf", lambda x: 0.5 * x * (1 + (x / 2**0.5).erf().named("e")))
add("softplus", lambda x: (1 + x.exp()).log())
add("silu", lambda x: x * x.sigmoid())
add("swiglu_rms", lambda x, y: rms((x * x.sigmoid() * y).named("z")), "xy")
add("std_detached", lambda x: c(x) * (m(c(x) ** 2) + 1e-5).rsqrt().detach())
add("mean_detached", mean_detached)
add("ln_relu", lambda x: ln(x).named("z").relu())
add("abs_norm", lambda x: x / (m(x.abs()) + 0.1))
add("one_feature", lambda x: rms(x), axes={"x": ("B", "1")})
add("p3_norm", lambda x: x / (s(x.abs() ** 3) ** (1 / 3)).named("n"))

BY_HAND = {
    "ln_xx": "dx = rstd·(g − mean(g) − x̂·mean(g·x̂)),  g = dy·w",
    "ln_var": "dx = rstd·(g − mean(g) − x̂·mean(g·x̂)),  g = dy·w",
    "ln_unbiased": "dx = rstd·(g − mean(g) − x̂·Σ(g·x̂)/(N−1)),  g = dy·w",
    "ln_eps_beside_std": "dx = (g − mean(g) − c·mean(g·c)/(σ·(σ+ε)))/(σ+ε),  g = dy·w",
    "rms": "dx = r·(g − x̂·mean(g·x̂)),  g = dy·w",
    "rms_one_plus": "dx = r·(g − x̂·mean(g·x̂)),  g = dy·(1+w)",
    "rms_seven": "dx = r·dy − r³·x·Σ(x·dy)/7",
    "bn": "dx = rstd·(g − mean_B(g) − x̂·mean_B(g·x̂)),  g = dy·w",
    "double_centre": "dx = dy − mean_B(dy) − mean_N(dy) + mean(dy)",
    "softmax": "dx = p·(dy − Σ(p·dy))",
    "softmax_temperature": "dx = 10·p·(dy − Σ(p·dy))",
    "log_softmax": "dx = dy − p·Σ(dy)",
    "lse": "dx = dy·p",
    "cross_entropy": "dx = dy·(p·Σ(t) − t)",
    "entropy": "dx = −dy·p·(log p + H),  H = −Σ(p·log p)",
    "l2": "dx = (dy − u·Σ(u·dy))/n,  u = x/n",
    "cosine": "dx = dy·(v − cos·u)/|x|,  u = x/|x|, v = y/|y|",
    "dyt": "dx = a·w·dy·(1 − t²),  t = tanh(a·x)",
    "silu": "dx = dy·s·(1 + x·(1 − s)),  s = sigmoid(x)",
    "std_detached": "dx = rstd·dy − mean(rstd·dy)",
    "l1": "dx = (dy − sign(x)·Σ(dy·x)/n)/n,  n = Σ|x|",
    "weight_norm": "dx = (g − u·Σ(u·g))/n,  g = dy·y, u = x/n",
}
