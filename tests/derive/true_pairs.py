"""Pairs that are equal, as a reader wrote them down from papers, kernels and textbooks before any was tried.

PAIRS = [(id, inputs, forward, candidate, note), ...]
  inputs     the gradient asked for is that of the first one
  candidate  dy and the inputs, in this order, to the gradient; or ``Other(forward)``, whose gradient it is
  note       the source; "COND:" begins the condition under which they are equal, where there is one
"""

# ruff: noqa
# fmt: off
import math
from math import pi, sqrt

import numpy as np

import tinygrad_norm as tn

F = tn.functional


class Other:
    """A candidate that is another forward: its gradient is compared."""

    def __init__(self, forward):
        self.forward = forward


PAIRS = []
DOMAIN = {}
NOFD = set()


def add(id, inputs, forward, candidate, note, dom=None, nofd=False):
    PAIRS.append((id, inputs, forward, candidate, note))
    if dom:
        DOMAIN[id] = dom
    if nofd:
        NOFD.add(id)


EPS = 1e-5
X = {"x": ("B", "N")}
XW = {"x": ("B", "N"), "w": ("N",)}
XWB = {"x": ("B", "N"), "w": ("N",), "b": ("N",)}
XT = {"x": ("B", "N"), "t": ("B", "N")}
BCL = {"x": ("B", "C", "L")}


# ---------------------------------------------------------------- LayerNorm
def ln_fwd(x, w, b):
    mu = x.mean(-1, keepdim=True)
    var = ((x - mu) ** 2).mean(-1, keepdim=True)
    return (x - mu) / (var + 1e-5).sqrt() * w + b


def ln_fwd0(x):
    mu = x.mean(-1, keepdim=True)
    c = x - mu
    return c * ((c * c).mean(-1, keepdim=True) + 1e-5) ** -0.5


def ln_llmc(dy, x, w, b):
    mean = np.mean(x, axis=-1, keepdims=True)
    rstd = (np.mean((x - mean) ** 2, axis=-1, keepdims=True) + 1e-5) ** -0.5
    norm = (x - mean) * rstd
    dnorm = w * dy
    return (dnorm - dnorm.mean(-1, keepdims=True) - norm * (dnorm * norm).mean(-1, keepdims=True)) * rstd


add("ln-llmc", XWB, ln_fwd, ln_llmc, "Karpathy, llm.c doc/layernorm: dnorm, dnorm.mean, (dnorm*norm).mean")


def ln_triton(dy, x, w, b):
    N = x.shape[-1]
    mean = x.sum(axis=-1, keepdims=True) / N
    xbar = x - mean
    rstd = 1 / np.sqrt((xbar * xbar).sum(axis=-1, keepdims=True) / N + 1e-5)
    xhat = xbar * rstd
    wdy = w * dy
    c1 = (xhat * wdy).sum(axis=-1, keepdims=True) / N
    c2 = wdy.sum(axis=-1, keepdims=True) / N
    return (wdy - (xhat * c1 + c2)) * rstd


add("ln-triton", XWB, lambda x, w, b: F.layer_norm(x, x.shape[-1:], w, b, 1e-5), ln_triton,
    "Triton tutorial 05, _layer_norm_bwd_dx_fused: c1, c2")


def ln_apex(dout, x, gamma, beta):
    fH = x.shape[1]
    mean = x.mean(1, keepdims=True)
    invvar = 1.0 / np.sqrt(x.var(1, keepdims=True) + 1e-5)
    sum_loss1 = (dout * gamma).sum(1, keepdims=True)
    sum_loss2 = (dout * gamma * (x - mean) * invvar).sum(1, keepdims=True)
    term1 = (1.0 / fH) * invvar
    f_grad_input = fH * dout * gamma
    f_grad_input -= sum_loss1
    f_grad_input -= (x - mean) * invvar * sum_loss2
    f_grad_input *= term1
    return f_grad_input


add("ln-apex", XWB, ln_fwd, ln_apex, "Apex layer_norm_cuda_kernel.cu cuComputeGradInput, in-place staged")


def ln_aten(dy, x, w, b):
    N = x.shape[-1]
    mean = x.mean(-1, keepdims=True)
    a = 1 / np.sqrt((x * x).mean(-1, keepdims=True) - mean * mean + 1e-5)
    ds = (dy * x * w).sum(-1, keepdims=True)
    db = (dy * w).sum(-1, keepdims=True)
    scale = 1.0 / N
    bb = (db * mean - ds) * a * a * a * scale
    c = -bb * mean - db * a * scale
    return a * dy * w + bb * x + c


add("ln-aten-cpu", XWB, ln_fwd, ln_aten, "ATen native/cpu/layer_norm_kernel.cpp LayerNormBackward: ds, db, a, b, c")


def ln_cs231n_staged(dout, x, gamma, beta):
    D = x.shape[1]
    mu = 1. / D * np.sum(x, axis=1, keepdims=True)
    xmu = x - mu
    sq = xmu ** 2
    var = 1. / D * np.sum(sq, axis=1, keepdims=True)
    sqrtvar = np.sqrt(var + 1e-5)
    ivar = 1. / sqrtvar
    dxhat = dout * gamma
    divar = np.sum(dxhat * xmu, axis=1, keepdims=True)
    dxmu1 = dxhat * ivar
    dsqrtvar = -1. / (sqrtvar ** 2) * divar
    dvar = 0.5 * 1. / np.sqrt(var + 1e-5) * dsqrtvar
    dsq = 1. / D * np.ones_like(x) * dvar
    dxmu2 = 2 * xmu * dsq
    dx1 = dxmu1 + dxmu2
    dmu = -1 * np.sum(dxmu1 + dxmu2, axis=1, keepdims=True)
    dx2 = 1. / D * np.ones_like(x) * dmu
    return dx1 + dx2


add("ln-cs231n-staged", XWB, ln_fwd, ln_cs231n_staged, "Kratzert's blog / cs231n staged backward, along rows")

add("ln-ioffe", XWB, ln_fwd,
    lambda dy, x, w, b: (lambda mu, v: (lambda dxh: (lambda dv: dxh / np.sqrt(v + EPS) + dv * 2 * (x - mu) / x.shape[-1]
        + (-(dxh / np.sqrt(v + EPS)).sum(-1, keepdims=True) + dv * (-2 * (x - mu)).mean(-1, keepdims=True)) / x.shape[-1])(
        (dxh * (x - mu)).sum(-1, keepdims=True) * -0.5 * (v + EPS) ** -1.5))(dy * w))(
        x.mean(-1, keepdims=True), x.var(-1, keepdims=True)),
    "Ioffe & Szegedy 2015, the six displayed equations, nested lambdas, on rows")

add("ln-closed-one-line", XWB, ln_fwd,
    lambda dy, x, w, b: (dy * w - (dy * w).mean(-1, keepdims=True)
                         - (x - x.mean(-1, keepdims=True)) * (dy * w * (x - x.mean(-1, keepdims=True))).mean(-1, keepdims=True)
                         / (x.var(-1, keepdims=True) + 1e-5)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5),
    "one closed line, no letters")


def ln_torch_style(dy, x, w, b):
    mu = x.mean(dim=-1, keepdim=True)
    var = x.var(dim=-1, keepdim=True, unbiased=False)
    rstd = (var + 1e-5).rsqrt()
    xhat = (x - mu) * rstd
    g = dy * w
    return rstd * (g - g.mean(dim=-1, keepdim=True) - xhat * (g * xhat).mean(dim=-1, keepdim=True))


add("ln-torch", XWB, lambda x, w, b: (x - x.mean(-1, keepdim=True)) * (x.var(-1, keepdim=True, unbiased=False) + 1e-5).rsqrt() * w + b,
    ln_torch_style, "[torch] the standard three terms in PyTorch")


def ln_rms_minus(x):
    m = x.mean(-1, keepdim=True)
    v = (x ** 2).mean(-1, keepdim=True) - m ** 2
    return (x - m) / (v + 1e-5) ** 0.5


def ln_n_form(dy, x):
    N = x.shape[-1]
    m = x.sum(-1, keepdims=True) / N
    s = np.sqrt((x ** 2).sum(-1, keepdims=True) / N - m ** 2 + 1e-5)
    xh = (x - m) / s
    return (N * dy - dy.sum(-1, keepdims=True) - xh * np.sum(dy * xh, -1, keepdims=True)) / (N * s)


add("ln-msq-minus-sqm", X, ln_rms_minus, ln_n_form, "cs231n 'alt' form (1/N)ivar(N dxhat - sum - xhat sum), variance as E[x^2]-E[x]^2")
add("ln-msq-vs-centred", X, ln_rms_minus, lambda dy, x: ln_proj(dy, x),
    "Jacobian as projections: P g, then minus c (c.g)/(N(var+eps))")


def ln_proj(dy, x):
    N = x.shape[-1]
    c = x - x.mean(-1, keepdims=True)
    q = (c * c).sum(-1, keepdims=True) + N * 1e-5
    Pg = dy - dy.mean(-1, keepdims=True)
    return np.sqrt(N / q) * (Pg - c * (c * Pg).sum(-1, keepdims=True) / q)


def ln_eps_out(dy, x):
    N = x.shape[-1]
    c = x - x.mean(-1, keepdims=True)
    s = np.sqrt((c ** 2).mean(-1, keepdims=True))
    d = s + 1e-6
    return (dy - dy.mean(-1, keepdims=True)) / d - c * (dy * c).sum(-1, keepdims=True) / (N * s * d ** 2)


add("ln-eps-outside", X, lambda x: (x - x.mean(-1, keepdim=True)) / (x.std(-1, keepdim=True, unbiased=False) + 1e-6), ln_eps_out,
    "Annotated Transformer's (std + eps) with the biased std. COND: std != 0")


def ln_bessel(dy, x, w, b):
    n = x.shape[-1]
    c = x - x.mean(-1, keepdims=True)
    s = np.sqrt((c ** 2).sum(-1, keepdims=True) / (n - 1))
    g = dy * w
    return (g - g.mean(-1, keepdims=True)) / (s + 1e-6) - c * (g * c).sum(-1, keepdims=True) / ((n - 1) * s * (s + 1e-6) ** 2)


add("ln-annotated-transformer", XWB,
    lambda x, w, b: w * (x - x.mean(-1, keepdim=True)) / (x.std(-1, keepdim=True, unbiased=True) + 1e-6) + b, ln_bessel,
    "Annotated Transformer: torch .std (N-1) plus eps. COND: std != 0, N > 1")


def ln_liger(dy, x, w, b):
    n_cols = x.shape[-1]
    mean = x.mean(-1, keepdims=True)
    rstd = 1 / np.sqrt(np.sum((x - mean) ** 2, axis=-1, keepdims=True) / n_cols + 1e-5)
    x_hat = (x - mean) * rstd
    wdy = w * dy
    c1 = np.sum(x_hat * wdy, axis=-1, keepdims=True) / n_cols
    c2 = np.sum(wdy, axis=-1, keepdims=True) / n_cols
    return (wdy - (x_hat * c1 + c2)) * rstd


add("ln-liger", XWB, lambda x, w, b: (lambda m: (x - m) * ((x - m).pow(2).mean(-1, keepdim=True) + 1e-5).pow(-0.5) * w + b)(x.mean(-1, keepdim=True)),
    ln_liger, "Liger-Kernel layer_norm.py backward")

add("ln-eps0-orthogonal", X, lambda x: (x - x.mean(-1, keepdim=True)) / ((x - x.mean(-1, keepdim=True)) ** 2).mean(-1, keepdim=True).sqrt(),
    lambda dy, x: (lambda c: (lambda n2: np.sqrt(x.shape[-1]) / np.sqrt(n2) * (dy - dy.mean(-1, keepdims=True) - c * (c * dy).sum(-1, keepdims=True) / n2))(
        (c * c).sum(-1, keepdims=True)))(x - x.mean(-1, keepdims=True)),
    "Brody et al. 2023 geometry: sqrt(N) on the sphere in the plane. COND: x not constant in a row")


def ln_res(x, r, w, b):
    h = x + r
    return ln_fwd(h, w, b)


add("ln-residual", {"x": ("B", "N"), "r": ("B", "N"), "w": ("N",), "b": ("N",)}, ln_res,
    lambda dy, x, r, w, b: ln_llmc(dy, x + r, w, b), "post-norm residual, fused add+LN (FlashAttention's dropout_add_layer_norm without dropout)")


def ln_pre_res(dy, x, w, b):
    B, N = x.shape
    mu = x.mean(1).reshape(B, 1)
    sig = np.sqrt(x.var(1) + 1e-5).reshape(B, 1)
    z = (x - mu) / sig
    h = dy * w
    return dy + (h - h.mean(1)[:, None] - z * (h * z).mean(1)[:, None]) / sig


add("ln-pre-norm-residual", XWB, lambda x, w, b: x + ln_fwd(x, w, b), ln_pre_res, "pre-LN block with identity f (Xiong et al. 2020); reshape and [:, None]")

add("ln-scale-invariance", X,
    lambda x: (lambda c: c / ((c ** 2).mean(-1, keepdim=True) + 2.0 ** -17).sqrt())(x - x.mean(-1, keepdim=True)),
    Other(lambda x: (lambda c: c / ((c ** 2).mean(-1, keepdim=True) + 2.0 ** -15).sqrt())(2 * x - (2 * x).mean(-1, keepdim=True))),
    "LN(2x; 4eps) = LN(x; eps)")
add("ln-shift-invariance", X, ln_fwd0, Other(lambda x: ln_fwd0(x + 7.5)), "LN(x + c) = LN(x)")
add("ln-shift-by-row", {"x": ("B", "N"), "s": ("B", 1)}, lambda x, s: ln_fwd0(x), Other(lambda x, s: ln_fwd0(x - s)), "LN(x - s) = LN(x), s a number a row")
add("ln-sum-is-zero", X, lambda x: ln_fwd0(x).sum(-1, keepdim=True), lambda dy, x: np.zeros_like(x), "the sum of xhat is 0: no gradient")


def ln_energy(dy, x):
    N = x.shape[-1]
    c = x - x.mean(-1, keepdims=True)
    v = (c * c).mean(-1, keepdims=True)
    return dy * 2 * 1e-5 * c / (N * (v + 1e-5) ** 2)


add("ln-mean-square", X, lambda x: (ln_fwd0(x) ** 2).mean(-1, keepdim=True), ln_energy, "mean(xhat^2) = v/(v+eps): only eps lets a gradient pass")


def ln_2axes(dy, x, w):
    ax = (1, 2)
    M = x.shape[1] * x.shape[2]
    mu = x.mean(ax, keepdims=True)
    ivar = 1 / np.sqrt(x.var(ax, keepdims=True) + 1e-5)
    xh = (x - mu) * ivar
    g = dy * w
    return ivar / M * (M * g - g.sum(ax, keepdims=True) - xh * (g * xh).sum(ax, keepdims=True))


add("ln-two-axes", {"x": ("B", "S", "N"), "w": ("S", "N")},
    lambda x, w: (lambda c: c / ((c * c).mean((-2, -1), keepdim=True) + 1e-5).sqrt() * w)(x - x.mean((-2, -1), keepdim=True)), ln_2axes,
    "nn.LayerNorm([S, N]) written out")


def ln_zero_centred(dy, x, w, b):
    mu = x.mean(-1, keepdims=True)
    rs = 1. / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
    xh = (x - mu) * rs
    g = dy * (1 + w)
    return rs * (g - g.mean(-1, keepdims=True) - xh * (xh * g).mean(-1, keepdims=True))


add("ln-one-plus-gamma", XWB, lambda x, w, b: ln_fwd(x, 1 + w, b), ln_zero_centred, "Transformer Engine zero_centered_gamma / LayerNorm1P (NeMo)")
add("ln-relu", XWB, lambda x, w, b: F.relu(ln_fwd(x, w, b)),
    lambda dy, x, w, b: ln_triton(dy * ((x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5) * w + b > 0), x, w, b),
    "LN then ReLU; mask on the recomputed output")


def ln_mem_eff(dy, x, w, b):
    mu = x.mean(-1, keepdims=True)
    rstd = 1 / np.sqrt(((x - mu) ** 2).mean(-1, keepdims=True) + 1e-5)
    y = (x - mu) * rstd * w + b
    xhat = (y - b) / w
    g = dy * w
    return rstd * (g - g.mean(-1, keepdims=True) - xhat * (g * xhat).mean(-1, keepdims=True))


add("ln-memory-efficient", XWB, ln_fwd, ln_mem_eff, "Apex memory_efficient=True: xhat recovered from y. COND: w != 0")
add("ln-as-rms-of-centred", X, ln_fwd0,
    Other(lambda x: (lambda c: c / (c.pow(2).sum(-1, keepdim=True) / x.shape[-1] + 1e-5).sqrt())(x - x.sum(-1, keepdim=True) / x.shape[-1])),
    "Zhang & Sennrich: LN is RMSNorm of x - mean")


def adanorm(x):
    y = ln_fwd0(x)
    return (1 - 0.1 * y).detach() * y


def adanorm_bwd(dy, x):
    mu = x.mean(-1, keepdims=True)
    rstd = 1 / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
    xh = (x - mu) * rstd
    g = dy * (1 - 0.1 * xh)
    return rstd * (g - g.mean(-1, keepdims=True) - xh * (g * xh).mean(-1, keepdims=True))


add("ln-adanorm", X, adanorm, adanorm_bwd, "Xu et al. 2019 AdaNorm, C=1, k=0.1, phi detached", nofd=True)
add("ln-detached-stats", X,
    lambda x: (x - x.mean(-1, keepdim=True).detach()) / (x.var(-1, keepdim=True, unbiased=False).detach() + 1e-5).sqrt(),
    lambda dy, x: dy / np.sqrt(x.var(-1, keepdims=True) + 1e-5), "DetachNorm of Xu et al. 2019", nofd=True)


def deepnorm(x, f, w, b):
    return ln_fwd(2.4 * x + f, w, b)


add("ln-deepnorm", {"x": ("B", "N"), "f": ("B", "N"), "w": ("N",), "b": ("N",)}, deepnorm,
    lambda dy, x, f, w, b: 2.4 * ln_apex(dy, 2.4 * x + f, w, b), "DeepNet: LN(alpha x + f(x)), f given")


def ln_einsum(dy, x, w, b):
    n = x.shape[1]
    c = x - np.einsum("bn->b", x)[:, None] / n
    r = (np.einsum("bn,bn->b", c, c) / n + 1e-5) ** -0.5
    g = dy * w
    a1 = np.einsum("bn->b", g) / n
    a2 = np.einsum("bn,bn->b", g, c) / n * r ** 2
    return r[:, None] * (g - a1[:, None] - a2[:, None] * c)


add("ln-einsum", XWB, ln_fwd, ln_einsum, "einsum throughout, [:, None]")


def ln_ones_matmul(dy, x, w, b):
    n = x.shape[1]
    one = np.ones((n, 1))
    mean = x @ one / n
    c = x - mean
    r = 1 / np.sqrt((c * c) @ one / n + 1e-5)
    g = dy * w
    return r * (g - g @ one / n - r ** 2 * c * ((g * c) @ one / n))


add("ln-matmul-ones", XWB, ln_fwd, ln_ones_matmul, "sums as products with ones (tensor-core trick)")


def ln_np_functions(dy, x, w, b):
    N = float(x.shape[-1])
    mu = np.mean(x, -1, keepdims=True)
    std = np.sqrt(np.var(x, axis=-1, keepdims=True) + EPS)
    u = np.multiply(dy, w)
    s1 = np.sum(u, axis=-1, keepdims=True)
    s2 = np.sum(np.multiply(u, x - mu), axis=-1, keepdims=True)
    return np.divide(u, std) - s1 / (N * std) - np.divide((x - mu) * s2, N * np.power(std, 3))


add("ln-numpy-functions", XWB, ln_fwd, ln_np_functions, "np.multiply, np.divide, np.power, float(N)")


def ln_two_pass_sums(dy, x, w, b):
    N = x.shape[-1]
    s1, s2 = x.sum(-1, keepdims=True), (x * x).sum(-1, keepdims=True)
    v = (s2 - s1 * s1 / N) / N + 1e-5
    g = dy * w
    A, Bx = g.sum(-1, keepdims=True), (g * x).sum(-1, keepdims=True)
    return v ** -0.5 * (g - A / N) - (Bx - s1 * A / N) * (x - s1 / N) / N * v ** -1.5


add("ln-raw-moments", XWB, ln_fwd, ln_two_pass_sums, "raw sums only: S1, S2, sum(g), sum(g x)")


def ln_dtype(x, w, b):
    h = x.to(x.dtype)
    u = h.mean(-1, keepdim=True)
    s = (h - u).pow(2).mean(-1, keepdim=True)
    h = (h - u) / (s + 1e-12).sqrt()
    return w * h.type_as(x) + b


def ln_bert(dy, x, w, b):
    u = x.mean(-1, keepdims=True)
    s = ((x - u) ** 2).mean(-1, keepdims=True)
    inv = 1.0 / np.sqrt(s + 1e-12)
    h = (x - u) * inv
    g = (dy * w).astype(x.dtype)
    return (inv * (g - g.mean(-1, keepdims=True) - h * (g * h).mean(-1, keepdims=True))).astype(x.dtype)


add("ln-bert-dtype", XWB, ln_dtype, ln_bert, "BERT's LayerNorm (TF style, eps 1e-12) with dtype asked for and given back")


def ln_gelu(dy, x):
    mu = x.mean(-1, keepdims=True)
    r = 1 / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
    h = (x - mu) * r
    s = 1 / (1 + np.exp(-1.702 * h))
    g = dy * (s + 1.702 * h * s * (1 - s))
    return r * (g - g.mean(-1, keepdims=True) - h * (g * h).mean(-1, keepdims=True))


add("ln-quickgelu", X, lambda x: (lambda h: h * (1.702 * h).sigmoid())(ln_fwd0(x)), ln_gelu, "CLIP block: LN then QuickGELU")
add("ln-revin-identity", X,
    lambda x: (lambda m, s: ((x - m) / s) * s + m)(x.mean(-1, keepdim=True), (x.var(-1, keepdim=True, unbiased=False) + 1e-5).sqrt()),
    lambda dy, x: dy, "RevIN (Kim et al. 2022): normalize and denormalize is the identity")
add("ln-centre-only", X, lambda x: x - x.mean(-1, keepdim=True), lambda dy, x: dy - dy.sum(-1, keepdims=True) / x.shape[-1], "mean subtraction; self-adjoint projection")


# ---------------------------------------------------------------- RMSNorm and L2
def rms_fwd(x, w):
    return x * ((x * x).mean(-1, keepdim=True) + 1e-6).rsqrt() * w


def rms_liger(dy, x, w):
    n_cols = x.shape[-1]
    rstd = 1 / np.sqrt((x ** 2).sum(-1, keepdims=True) / n_cols + 1e-6)
    m = dy * w
    dx = rstd * m
    dx += rstd * (-(1 / n_cols) * rstd * rstd * np.sum(m * x, axis=-1, keepdims=True) * x)
    return dx


add("rms-liger", XW, rms_fwd, rms_liger, "Liger-Kernel rms_norm.py: rstd*m + rstd*(-(1/n) rstd^2 sum(m x) x)")
add("rms-llama-dtype", XW, lambda x, w: w * (x.to(x.dtype) * ((x.pow(2).mean(-1, keepdim=True) + 1e-6) ** -0.5)).to(x.dtype),
    lambda dy, x, w: (lambda r: r * (dy * w - (x * r) * (dy * w * (x * r)).mean(-1, keepdims=True)))(1 / np.sqrt(np.mean(x ** 2, axis=-1, keepdims=True) + 1e-6)),
    "HF LlamaRMSNorm with its casts")
add("rms-gemma", XW, lambda x, w: x / (x.pow(2).mean(-1, keepdim=True) + 1e-6).sqrt() * (1.0 + w),
    lambda dy, x, w: (lambda ms, g: g / np.sqrt(ms) - x * (g * x).mean(-1, keepdims=True) / (ms * np.sqrt(ms)))((x * x).mean(-1, keepdims=True) + 1e-6, dy * (1 + w)),
    "Gemma RMSNorm (1 + w)")


def rms_apex(dout, x, gamma):
    fH = x.shape[-1]
    invvar = 1 / np.sqrt(np.mean(np.square(x), axis=-1, keepdims=True) + 1e-6)
    sum_loss2 = np.sum(dout * gamma * x * invvar, axis=-1, keepdims=True)
    return (fH * dout * gamma - x * invvar * sum_loss2) * ((1.0 / fH) * invvar)


add("rms-apex", XW, lambda x, w: F.rms_norm(x, x.shape[-1:], w, 1e-6), rms_apex, "Apex FusedRMSNorm cuComputeGradInput rms_only")


def rms_staged(dy, x, w):
    sq = x * x
    ms = np.mean(sq, -1, keepdims=True)
    v = ms + 1e-6
    s = np.sqrt(v)
    inv = 1 / s
    dn = dy * w
    dinv = np.sum(dn * x, -1, keepdims=True)
    ds = -dinv * inv ** 2
    dv = ds * 0.5 / s
    dsq = dv / x.shape[-1]
    return dn * inv + dsq * 2 * x


add("rms-staged", XW, rms_fwd, rms_staged, "staged, one line a node")


def rms_torch(dy, x, w):
    n = x.size(-1)
    r = torch_rsqrt(x.pow(2).sum(-1, keepdim=True) / n + 1e-6)
    g = dy.mul(w)
    return g.mul(r) - x.mul(r ** 3) * g.mul(x).sum(-1, keepdim=True) / n


def torch_rsqrt(t):
    return t.rsqrt()


add("rms-torch-size", XW, rms_fwd, rms_torch, "[torch] x.size(-1), .mul, a helper for rsqrt")


def rms_lucid(x, g):
    return x / x.norm(dim=-1, keepdim=True) * x.shape[-1] ** 0.5 * g


add("rms-lucidrains", {"x": ("B", "N"), "g": ("N",)}, lambda x, g: x / (x * x).sum(-1, keepdim=True).sqrt() * x.shape[-1] ** 0.5 * g,
    lambda dy, x, g: (lambda n, h: x.shape[-1] ** 0.5 * (h / n - x * (h * x).sum(-1, keepdims=True) / n ** 3))(np.linalg.norm(x, axis=-1, keepdims=True), dy * g),
    "lucidrains RMSNorm: F.normalize(x) * sqrt(dim) * g. COND: x != 0; np.linalg.norm in the candidate")
add("rms-lucidrains-norm", {"x": ("B", "N"), "g": ("N",)}, rms_lucid,
    lambda dy, x, g: (lambda r, h: (h - x * (h * x).mean(-1, keepdims=True) / r ** 2) / r)(np.sqrt((x * x).mean(-1, keepdims=True)), dy * g),
    "same, forward by x.norm, backward by the rms. COND: x != 0")
add("rms-eps-outside", X, lambda x: x / ((x ** 2).mean(-1, keepdim=True).sqrt() + 1e-8),
    lambda dy, x: (lambda r: dy / (r + 1e-8) - x * (dy * x).sum(-1, keepdims=True) / (x.shape[-1] * r * (r + 1e-8) ** 2))(np.sqrt(np.mean(x ** 2, -1, keepdims=True))),
    "Zhang & Sennrich's reference code: eps added to the rms. COND: x != 0")


def rms_gated(x, z, w):
    h = x * F.silu(z)
    return h * (h.pow(2).mean(-1, keepdim=True) + 1e-5).rsqrt() * w


def rms_gated_bwd(dy, x, z, w):
    gate = z / (1 + np.exp(-z))
    h = x * gate
    r = ((h ** 2).mean(-1, keepdims=True) + 1e-5) ** -0.5
    hh = h * r
    wd = w * dy
    return gate * r * (wd - hh * (hh * wd).mean(-1, keepdims=True))


add("rms-gated-mamba2", {"x": ("B", "N"), "z": ("B", "N"), "w": ("N",)}, rms_gated, rms_gated_bwd, "Mamba2 RMSNormGated, norm after the gate")


def rms_gate_z(z, x, w):
    return x * ((x * x).mean(-1, keepdim=True) + 1e-5).rsqrt() * w * F.silu(z)


def rms_gate_z_bwd(dy, z, x, w):
    sig = 1 / (1 + np.exp(-z))
    nrm = x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-5) * w
    return dy * nrm * sig * (1 + z * (1 - sig))


add("rms-gate-z", {"z": ("B", "N"), "x": ("B", "N"), "w": ("N",)}, rms_gate_z, rms_gate_z_bwd, "Mamba2 gate after the norm, gradient of the gate's input")
add("rms-idempotent", X, lambda x: x / (x * x).mean(-1, keepdim=True).sqrt(),
    Other(lambda x: (lambda y: y / (y * y).mean(-1, keepdim=True).sqrt())(x / (x * x).mean(-1, keepdim=True).sqrt())),
    "RMSNorm with eps=0 twice is once. COND: x != 0")


def rms_loop(x):
    for _ in range(3):
        x = x / (x * x).sum(-1, keepdim=True).sqrt()
    return x


add("l2-three-times", X, rms_loop, lambda dy, x: (lambda n: (dy - x * (x * dy).sum(-1, keepdims=True) / n ** 2) / n)(np.sqrt((x * x).sum(-1, keepdims=True))),
    "a loop normalizing three times equals once. COND: x != 0")
add("rms-qk-score", {"x": ("B", "N"), "k": ("B", "N")},
    lambda x, k: (x * ((x * x).mean(-1, keepdim=True) + 1e-6).rsqrt() * k).sum(-1),
    lambda dy, x, k: (lambda r: (dy[:, None] * r) * (k - x * r ** 2 * np.mean(k * x, -1, keepdims=True)))(1 / np.sqrt((x ** 2).mean(-1, keepdims=True) + 1e-6)),
    "QK-norm: score of a normalized query; dy has shape (B,)")


def rms_numel(dy, x, w):
    n = x.size // x.shape[0]
    ss = (x ** 2).sum(-1)[..., None]
    r2 = 1 / (ss / n + 1e-6)
    g = dy * w
    return np.sqrt(r2) * (g - r2 * x * (g * x).sum(-1)[..., None] / n)


add("rms-numel", XW, rms_fwd, rms_numel, "n = x.size // x.shape[0], [..., None]")


def l2_bwd(dy, x):
    n = np.sqrt((x ** 2).sum(-1, keepdims=True))
    y = x / n
    return (dy - y * (y * dy).sum(-1, keepdims=True)) / n


add("l2-normalize", X, lambda x: x / x.norm(dim=-1, keepdim=True), l2_bwd, "tangent projection. COND: x != 0")
add("l2-f-normalize", X, lambda x: F.normalize(x, dim=-1), l2_bwd, "F.normalize divides by max(norm, 1e-12). COND: norm > 1e-12")
add("l2-tf-epsilon", X, lambda x: x * ((x * x).sum(-1, keepdim=True) + 1e-12).rsqrt(),
    lambda dy, x: (lambda q: (q * dy - x * np.sum(dy * x, axis=-1, keepdims=True)) / q ** 1.5)(np.sum(x ** 2, axis=-1, keepdims=True) + 1e-12),
    "l2_normalize with eps inside the root; over a common denominator q^1.5")
add("l2-outer-form", X, lambda x: x / (x * x).sum(-1, keepdim=True) ** 0.5,
    lambda dy, x: (lambda n: dy / n - np.einsum("bi,bj,bj->bi", x, x, dy) / n ** 3)(np.linalg.norm(x, axis=1, keepdims=True)),
    "(I/n - x x^T/n^3) dy by einsum. COND: x != 0")
add("scalenorm", {"x": ("B", "N"), "g": (1,)}, lambda x, g: g * x / (x.pow(2).sum(-1, keepdim=True).sqrt() + 1e-5),
    lambda dy, x, g: (lambda n: g * (dy / (n + 1e-5) - x * (dy * x).sum(-1, keepdims=True) / (n * (n + 1e-5) ** 2)))(np.sqrt(np.square(x).sum(-1, keepdims=True))),
    "Nguyen & Salazar 2019, eps added. COND: x != 0")
add("ngpt-lerp", {"x": ("B", "N"), "f": ("B", "N"), "a": ("N",)},
    lambda x, f, a: (lambda h: h / (h * h).sum(-1, keepdim=True).sqrt())(x + a * (f - x)),
    lambda dy, x, f, a: (lambda h: (1 - a) * l2_bwd(dy, h))((1 - a) * x + a * f), "nGPT: normalize(x + a(f - x)). COND: the sum is not 0")
add("pixelnorm", {"x": ("B", "C", "L")}, lambda x: x / ((x ** 2).mean(1, keepdim=True) + 1e-8).sqrt(),
    lambda dy, x: (lambda s: dy / s - x * (dy * x).sum(1, keepdims=True) / (x.shape[1] * s ** 3))(np.sqrt((x ** 2).mean(1, keepdims=True) + 1e-8)),
    "ProGAN PixelNorm over channels")


# ---------------------------------------------------------------- BatchNorm and its relatives
def bn_fwd(x, w, b):
    mu = x.mean(0, keepdim=True)
    var = ((x - mu) ** 2).mean(0, keepdim=True)
    return w * (x - mu) / (var + 1e-5).sqrt() + b


def bn_alt(dout, x, gamma, beta):
    N, D = x.shape
    mu = x.mean(axis=0)
    ivar = 1 / np.sqrt(x.var(axis=0) + 1e-5)
    xhat = (x - mu) * ivar
    dxhat = dout * gamma
    return (1. / N) * ivar * (N * dxhat - np.sum(dxhat, axis=0) - xhat * np.sum(dxhat * xhat, axis=0))


add("bn-cs231n-alt", XWB, bn_fwd, bn_alt, "cs231n batchnorm_backward_alt")


def bn_thorey(dout, h, gamma, beta):
    N = h.shape[0]
    mu = 1. / N * np.sum(h, axis=0)
    var = 1. / N * np.sum((h - mu) ** 2, axis=0)
    return (1. / N) * gamma * (var + EPS) ** (-1. / 2.) * (
        N * dout - np.sum(dout, axis=0) - (h - mu) * (var + EPS) ** (-1.0) * np.sum(dout * (h - mu), axis=0))


add("bn-thorey", XWB, bn_fwd, bn_thorey, "Clement Thorey's 'What does the gradient flowing through batch normalization looks like?'")


def bn_kratzert(dout, x, gamma, beta):
    N, D = x.shape
    mu = 1. / N * np.sum(x, axis=0)
    xmu = x - mu
    var = 1. / N * np.sum(xmu ** 2, axis=0)
    sqrtvar = np.sqrt(var + 1e-5)
    ivar = 1. / sqrtvar
    dgammax = dout
    dxhat = dgammax * gamma
    divar = np.sum(dxhat * xmu, axis=0)
    dxmu1 = dxhat * ivar
    dsqrtvar = -1. / (sqrtvar ** 2) * divar
    dvar = 0.5 * 1. / np.sqrt(var + 1e-5) * dsqrtvar
    dsq = 1. / N * np.ones((N, D)) * dvar
    dxmu2 = 2 * xmu * dsq
    dx1 = (dxmu1 + dxmu2)
    dmu = -1 * np.sum(dxmu1 + dxmu2, axis=0)
    dx2 = 1. / N * np.ones((N, D)) * dmu
    return dx1 + dx2


add("bn-kratzert", XWB, bn_fwd, bn_kratzert, "Kratzert's nine steps, np.ones((N, D))")


def bn_paper(dy, x, w, b):
    m = x.shape[0]
    mu = x.mean(0)
    v = x.var(0)
    dxh = dy * w
    dv = np.sum(dxh * (x - mu) * (-1 / 2) * (v + 1e-5) ** (-3 / 2), 0)
    dmu = np.sum(dxh * -1 / np.sqrt(v + 1e-5), 0) + dv * np.sum(-2 * (x - mu), 0) / m
    return dxh / np.sqrt(v + 1e-5) + dv * 2 * (x - mu) / m + dmu / m


add("bn-paper", XWB, bn_fwd, bn_paper, "Ioffe & Szegedy 2015")
add("bn-caffe", XWB, bn_fwd,
    lambda dy, x, w, b: (lambda y, s, g: (g - g.mean(0) - (g * y).mean(0) * y) / s)((x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5), np.sqrt(x.var(0) + 1e-5), dy * w),
    "Caffe batch_norm_layer.cpp: (dE/dY - mean(dE/dY) - mean(dE/dY . Y) . Y) / sqrt(var + eps)")
add("bn-torch-functional", XWB, lambda x, w, b: F.batch_norm(x, None, None, w, b, True, 0.1, 1e-5), bn_alt, "F.batch_norm in training mode")
add("bn-eval", {"x": ("B", "N"), "rm": ("N",), "rv": ("N",), "w": ("N",), "b": ("N",)},
    lambda x, rm, rv, w, b: (x - rm) / (rv + 1e-5).sqrt() * w + b, lambda dy, x, rm, rv, w, b: dy * w / np.sqrt(rv + 1e-5),
    "inference: running statistics are constants", dom={"rv": "pos"})
add("bn-eval-folded", {"x": ("B", "N"), "rm": ("N",), "rv": ("N",), "w": ("N",), "b": ("N",)},
    lambda x, rm, rv, w, b: (x - rm) / (rv + 1e-5).sqrt() * w + b,
    Other(lambda x, rm, rv, w, b: (lambda s: x * s + (b - rm * s))(w * (rv + 1e-5).rsqrt())), "BN folding: scale and shift", dom={"rv": "pos"})


def bn_bcl(dy, x, w):
    m = x.shape[0] * x.shape[2]
    mu = x.mean((0, 2), keepdims=True)
    r = 1 / np.sqrt(((x - mu) ** 2).sum((0, 2), keepdims=True) / m + 1e-5)
    xh = (x - mu) * r
    sdy = dy.sum((0, 2), keepdims=True)
    sdyx = (dy * xh).sum((0, 2), keepdims=True)
    return w * r / m * (m * dy - sdy - xh * sdyx)


add("bn-1d-sequences", {"x": ("B", "C", "L"), "w": ("C", 1)},
    lambda x, w: (lambda c: w * c / ((c * c).mean((0, 2), keepdim=True) + 1e-5).sqrt())(x - x.mean((0, 2), keepdim=True)), bn_bcl,
    "BatchNorm1d on (B, C, L); cuDNN notes: sum_dy, sum_dy_xhat")
add("bn-renorm", {"x": ("B", "N"), "r": ("N",), "d": ("N",), "w": ("N",)},
    lambda x, r, d, w: (lambda c: (c / ((c * c).mean(0, keepdim=True) + 1e-3).sqrt() * r + d) * w)(x - x.mean(0, keepdim=True)),
    lambda dy, x, r, d, w: (lambda c, s: (lambda g: (g - g.mean(0) - c * (g * c).mean(0) / s ** 2) / s)(dy * w * r))(x - x.mean(0), np.sqrt(x.var(0) + 1e-3)),
    "Batch Renormalization, r and d constants")
add("bn-mean-only", X, lambda x: x - x.mean(0, keepdim=True), lambda dy, x: dy - dy.mean(0), "mean-only BN (Salimans & Kingma)")


def bn_l1(dy, x, w):
    c = x - x.mean(0)
    s = np.abs(c).mean(0) + 1e-5
    g = dy * w
    dc = g / s - np.sign(c) * (g * c).sum(0) / (x.shape[0] * s ** 2)
    return dc - dc.mean(0)


add("bn-l1", XW, lambda x, w: (lambda c: w * c / (c.abs().mean(0, keepdim=True) + 1e-5))(x - x.mean(0, keepdim=True)), bn_l1, "L1 BatchNorm (Wu et al. 2018)")
add("bn-ghost", {"x": ("G", "K", "N")}, lambda x: (x - x.mean(1, keepdim=True)) / (x.var(1, keepdim=True, unbiased=False) + 1e-5).sqrt(),
    lambda dy, x: (lambda K, c: (lambda v: (dy - dy.sum(1, keepdims=True) / K) / v ** .5 - c * (dy * c).sum(1, keepdims=True) / (K * v ** 1.5))(
        np.sum(c ** 2, axis=1, keepdims=True) / K + 1e-5))(x.shape[1], x - x.mean(1, keepdims=True)), "ghost BatchNorm, groups as an axis")
add("bn-bessel", X, lambda x: (x - x.mean(0)) / (x.var(0, unbiased=True) + 1e-5).sqrt(),
    lambda dy, x: (lambda n, c, v: (dy - dy.mean(0)) / np.sqrt(v) - c * (dy * c).sum(0) / ((n - 1) * v * np.sqrt(v)))(x.shape[0], x - x.mean(0), x.var(0, ddof=1) + 1e-5),
    "makemore part 4 (Karpathy): Bessel's correction. COND: B > 1")


def makemore(dy, x, w, b):
    n = x.shape[0]
    bnvar_inv = (x.var(0, keepdims=True, ddof=1) + 1e-5) ** -0.5
    bnraw = (x - x.mean(0, keepdims=True)) * bnvar_inv
    return w * bnvar_inv / n * (n * dy - dy.sum(0) - n / (n - 1) * bnraw * (dy * bnraw).sum(0))


add("bn-makemore", XWB, lambda x, w, b: w * (x - x.mean(0, keepdim=True)) * (x.var(0, keepdim=True, unbiased=True) + 1e-5) ** -0.5 + b, makemore,
    "Karpathy, makemore 'becoming a backprop ninja', exercise 3: n/(n-1) factor. COND: B > 1")


# ---------------------------------------------------------------- groups, instances, channels, weights
def gn_bwd(dy, x, w):
    K = x.shape[-1]
    mu = x.mean(-1, keepdims=True)
    rs = 1 / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
    ds = (dy * w * x).sum(-1, keepdims=True)
    db = (dy * w).sum(-1, keepdims=True)
    c2 = (db * mu - ds) * rs ** 3 / K
    c3 = -c2 * mu - db * rs / K
    return rs * w * dy + c2 * x + c3


add("gn-aten", {"x": ("B", "G", "K"), "w": ("G", "K")},
    lambda x, w: (x - x.mean(-1, keepdim=True)) / (x.var(-1, keepdim=True, unbiased=False) + 1e-5).sqrt() * w, gn_bwd, "ATen group_norm_kernel: ds, db, c2, c3")


def in_bwd(dy, x, w):
    ax = tuple(range(2, x.ndim))
    m = x.mean(ax, keepdims=True)
    s = np.sqrt(x.var(ax, keepdims=True) + 1e-5)
    z = (x - m) / s
    return w / s * (dy - dy.mean(ax, keepdims=True) - z * (dy * z).mean(ax, keepdims=True))


add("in-2d", {"x": ("B", "C", "H", "W"), "w": ("C", 1, 1)},
    lambda x, w: (x - x.mean((-2, -1), keepdim=True)) / (x.var((-2, -1), keepdim=True, unbiased=False) + 1e-5).sqrt() * w, in_bwd,
    "Ulyanov's InstanceNorm; axes = tuple(range(2, x.ndim))")
add("in-functional", BCL, lambda x: F.instance_norm(x),
    lambda dy, x: (lambda c: (lambda v: (dy - dy.mean(2, keepdims=True) - c * (dy * c).mean(2, keepdims=True) / v) / np.sqrt(v))((c * c).mean(2, keepdims=True) + 1e-5))(x - x.mean(2, keepdims=True)),
    "F.instance_norm, no affine")
add("adain", {"x": ("B", "C", "L"), "ys": ("B", "C", 1), "yb": ("B", "C", 1)},
    lambda x, ys, yb: ys * ((x - x.mean(-1, keepdim=True)) / (x.var(-1, keepdim=True, unbiased=False) + 1e-5).sqrt()) + yb,
    lambda dy, x, ys, yb: (lambda mu, sd: ys / sd * (dy - dy.mean(-1, keepdims=True)) - ys * (x - mu) / sd ** 3 * np.mean(dy * (x - mu), -1, keepdims=True))(
        x.mean(-1, keepdims=True), np.sqrt(x.var(-1, keepdims=True) + 1e-5)), "Huang & Belongie 2017")


def grn(x, g, b):
    Gx = (x * x).sum(1, keepdim=True).sqrt()
    Nx = Gx / (Gx.mean(-1, keepdim=True) + 1e-6)
    return g * (x * Nx) + b + x


def grn_bwd(dy, x, g, b):
    C = x.shape[-1]
    G = np.sqrt((x * x).sum(1, keepdims=True))
    M = G.sum(-1, keepdims=True) / C + 1e-6
    h = (dy * g * x).sum(1, keepdims=True)
    dG = h / M - (h * G).sum(-1, keepdims=True) / (C * M * M)
    return dy + dy * g * G / M + x / G * dG


add("grn", {"x": ("B", "L", "C"), "g": ("C",), "b": ("C",)}, grn, grn_bwd, "ConvNeXt V2 GRN. COND: no channel is all zero")
add("frn-tlu", {"x": ("B", "C", "L"), "g": ("C", 1), "b": ("C", 1), "tau": ("C", 1)},
    lambda x, g, b, tau: F.relu(g * x / ((x * x).mean(-1, keepdim=True) + 1e-6).sqrt() + b - tau) + tau,
    lambda dy, x, g, b, tau: (lambda r: (lambda q: r * (q - x * r * r * (q * x).mean(-1, keepdims=True)))(dy * ((g * x * r + b) > tau) * g))(
        ((x ** 2).mean(-1, keepdims=True) + 1e-6) ** -0.5), "Singh & Krishnan 2020, TLU as relu(y - tau) + tau")


def evonorm(x, v, w):
    return x * (v * x).sigmoid() / (x.var(-1, keepdim=True, unbiased=False) + 1e-5).sqrt() * w


def evonorm_bwd(dy, x, v, w):
    sg = 1 / (1 + np.exp(-v * x))
    num = x * sg
    c = x - x.mean(-1, keepdims=True)
    s = np.sqrt((c ** 2).mean(-1, keepdims=True) + 1e-5)
    g = dy * w
    return g * (sg + v * x * sg * (1 - sg)) / s - c * (g * num).sum(-1, keepdims=True) / (x.shape[-1] * s ** 3)


add("evonorm-s0", {"x": ("B", "N"), "v": ("N",), "w": ("N",)}, evonorm, evonorm_bwd, "EvoNorm-S0 (Liu et al. 2020), one group")
add("gdn", {"x": ("B", "N"), "beta": ("N",), "gamma": ("N", "N")}, lambda x, beta, gamma: x / (beta + (x * x) @ gamma.T).sqrt(),
    lambda dy, x, beta, gamma: (lambda s: dy / s - x * ((dy * x / s ** 3) @ gamma))(np.sqrt(beta + (x ** 2) @ gamma.T)),
    "Balle's generalized divisive normalization. COND: the root's argument is positive", dom={"beta": "pos", "gamma": "pos"})


def pairnorm(x):
    c = x - x.mean(0, keepdim=True)
    return c / ((c * c).sum(-1).mean() + 1e-6).sqrt()


def pairnorm_bwd(dy, x):
    c = x - x.mean(0)
    r2 = (c ** 2).sum() / len(x) + 1e-6
    return (dy - dy.mean(0)) / np.sqrt(r2) - c * (dy * c).sum() / (len(x) * r2 ** 1.5)


add("pairnorm", X, pairnorm, pairnorm_bwd, "PairNorm (Zhao & Akoglu); len(x)")


def switch(x):
    mi, vi = x.mean(-1, keepdim=True), x.var(-1, keepdim=True, unbiased=False)
    ml, vl = x.mean((-2, -1), keepdim=True), x.var((-2, -1), keepdim=True, unbiased=False)
    return (x - (0.25 * mi + 0.75 * ml)) / (0.25 * vi + 0.75 * vl + 1e-5).sqrt()


def switch_bwd(dy, x):
    a = 0.25
    C, L = x.shape[1], x.shape[2]
    mi, ml = x.mean(2, keepdims=True), x.mean((1, 2), keepdims=True)
    mu = a * mi + (1 - a) * ml
    s = np.sqrt(a * x.var(2, keepdims=True) + (1 - a) * x.var((1, 2), keepdims=True) + 1e-5)
    dmu = -(dy / s).sum(2, keepdims=True)
    dvar = -0.5 * (dy * (x - mu)).sum(2, keepdims=True) / s ** 3
    return (dy / s + a * (dmu + 2 * dvar * (x - mi)) / L
            + (1 - a) * (dmu.sum(1, keepdims=True) + 2 * dvar.sum(1, keepdims=True) * (x - ml)) / (C * L))


add("switchnorm", BCL, switch, switch_bwd, "Switchable Norm (Luo et al.), IN and LN with fixed weights 1/4, 3/4")

WN = {"v": ("O", "I"), "g": ("O", 1)}
add("wn-salimans", WN, lambda v, g: g * v / v.norm(dim=1, keepdim=True),
    lambda dw, v, g: (lambda n: (lambda dg: g / n * dw - g * dg / n ** 2 * v)((dw * v).sum(1, keepdims=True) / n))(np.linalg.norm(v, axis=1, keepdims=True)),
    "Salimans & Kingma eq. 3: g/|v| dw - g dg/|v|^2 v. COND: v != 0")
add("wn-projection", WN, lambda v, g: v * (g / (v * v).sum(1, keepdim=True).sqrt()),
    lambda dw, v, g: (lambda n: (lambda w: g / n * (dw - w * (w * dw).sum(1, keepdims=True) / (w * w).sum(1, keepdims=True)))(g * v / n))(np.sqrt((v * v).sum(1, keepdims=True))),
    "Salimans & Kingma eq. 4: g/|v| M_w dw with M_w = I - w w^T/|w|^2. COND: v != 0, g != 0")
add("wn-frobenius", {"v": ("O", "I"), "g": ()}, lambda v, g: g * v / (v * v).sum().sqrt(),
    lambda dw, v, g: (lambda n: g * (dw / n - v * (dw * v).sum() / n ** 3))(np.sqrt((v ** 2).sum())), "weight_norm(dim=None); g has no axes. COND: v != 0")
add("wn-exp", {"v": ("O", "I"), "s": ("O", 1)}, lambda v, s: s.exp() * v / v.norm(dim=-1, keepdim=True),
    lambda dw, v, s: np.exp(s) * l2_bwd(dw, v), "weight norm with g = exp(s), Salimans & Kingma section 2. COND: v != 0")
add("wn-exp-wrt-s", {"s": ("O", 1), "v": ("O", "I")}, lambda s, v: s.exp() * v / v.norm(dim=-1, keepdim=True),
    lambda dw, s, v: (dw * np.exp(s) * v).sum(1, keepdims=True) / np.sqrt((v * v).sum(1, keepdims=True)), "gradient of the log-scale. COND: v != 0")
add("spectral-norm", {"w": ("O", "I"), "u": ("O", 1), "v": (1, "I")}, lambda w, u, v: w / (u * w * v).sum(),
    lambda dy, w, u, v: (lambda sig: (dy - ((dy * (w / sig)).sum()) * (u * v)) / sig)((u * w * v).sum()),
    "Miyato et al. 2018: (E[..] - lambda u v^T)/sigma, u and v constants. COND: u^T W v != 0")
add("weight-std", {"w": ("O", "I")}, lambda w: (w - w.mean(1, keepdim=True)) / (w.std(1, keepdim=True, unbiased=False) + 1e-5),
    lambda dy, w: (lambda c, s: (dy - dy.mean(1, keepdims=True)) / (s + 1e-5) - c * (dy * c).mean(1, keepdims=True) / (s * (s + 1e-5) ** 2))(w - w.mean(1, keepdims=True), w.std(1, keepdims=True)),
    "Weight Standardization (Qiao et al.). COND: std != 0")


def nf_ws(w, gain):
    fan_in = w.shape[1]
    return (w - w.mean(1, keepdim=True)) * (w.var(1, keepdim=True, unbiased=False) * fan_in).clamp(min=1e-4).rsqrt() * gain


def nf_ws_bwd(dy, w, gain):
    I = w.shape[1]
    c = w - w.mean(1, keepdims=True)
    n2 = (c * c).sum(1, keepdims=True)
    g = dy * gain
    return (g - g.mean(1, keepdims=True) - c * (g * c).sum(1, keepdims=True) / n2) / np.sqrt(n2)


add("nf-scaled-ws", {"w": ("O", "I"), "gain": ("O", 1)}, nf_ws, nf_ws_bwd, "NFNets ScaledWSConv: max(var*fan_in, 1e-4). COND: var*fan_in > 1e-4")
add("demodulate", {"w": ("O", "I"), "s": ("I",)}, lambda w, s: (lambda u: u * ((u ** 2).sum(1, keepdim=True) + 1e-8).rsqrt())(w * s),
    lambda dy, w, s: (lambda d: s * (dy * d - w * s * (dy * w * s).sum(1, keepdims=True) * d ** 3))(1 / np.sqrt(((w * s) ** 2).sum(1, keepdims=True) + 1e-8)),
    "StyleGAN2 weight demodulation")
add("whiten-diagonal", {"x": ("B", "N"), "m": ("N",), "ls": ("N",)}, lambda x, m, ls: (x - m) * (-0.5 * ls).exp(),
    lambda dy, x, m, ls: dy / np.sqrt(np.exp(ls)), "whitening by a diagonal in log variance")
add("dyt", {"x": ("B", "N"), "a": (1,), "w": ("N",), "b": ("N",)}, lambda x, a, w, b: w * (a * x).tanh() + b,
    lambda dy, x, a, w, b: dy * w * a / np.cosh(a * x) ** 2, "Zhu et al. 2025 Dynamic Tanh; sech^2")
add("dyt-exp-form", {"x": ("B", "N"), "a": (1,), "w": ("N",), "b": ("N",)}, lambda x, a, w, b: w * (a * x).tanh() + b,
    lambda dy, x, a, w, b: (lambda e: dy * w * a * 4 * e / (1 + e) ** 2)(np.exp(2 * a * x)), "DyT, the derivative as 4e/(1+e)^2")
add("dyisru", X, lambda x: math.sqrt(3.0) * x / (x ** 2 + 0.5).sqrt(), lambda dy, x: dy * sqrt(3) * 0.5 / (x * x + .5) ** 1.5, "DyISRU (Stollenwerk 2025), math.sqrt of a constant")
add("film-tanh", {"x": ("B", "N"), "g": ("B", "N"), "b": ("B", "N")}, lambda x, g, b: ((1 + g) * x + b).tanh(),
    lambda dy, x, g, b: (lambda h: (1 + g) * (dy - dy * h ** 2))(np.tanh(x + g * x + b)), "FiLM with a tanh behind")


# ---------------------------------------------------------------- activations
add("sigmoid", X, lambda x: x.sigmoid(), lambda dy, x: dy * np.exp(-x) / (1 + np.exp(-x)) ** 2, "textbook e^-x/(1+e^-x)^2")
add("sigmoid-symmetric", X, lambda x: 1 / (1 + (-x).exp()), lambda dy, x: dy * (1 / (1 + np.exp(-x))) * (1 / (1 + np.exp(x))), "sigma(x) sigma(-x)")
add("sigmoid-as-tanh", X, lambda x: x.sigmoid(), Other(lambda x: 0.5 * (x / 2).tanh() + 0.5), "sigma(x) = (1 + tanh(x/2))/2")
add("sigmoid-cosh", X, lambda x: x.sigmoid(), lambda dy, x: dy / (4 * np.cosh(x / 2) ** 2), "logistic density: sech^2(x/2)/4")
add("tanh-exp", X, lambda x: x.tanh(), lambda dy, x: dy * (1 - ((np.exp(x) - np.exp(-x)) / (np.exp(x) + np.exp(-x))) ** 2), "1 - tanh^2 from exponentials")
add("silu-pytorch", X, lambda x: F.silu(x), lambda dy, x: (lambda s: dy * s * (1 + x * (1 - s)))(1 / (1 + np.exp(-x))), "ATen silu_backward")
add("silu-swish-paper", X, lambda x: x * x.sigmoid(), lambda dy, x: (lambda f, s: dy * (f + s * (1 - f)))(x / (1 + np.exp(-x)), 1 / (1 + np.exp(-x))),
    "Ramachandran et al.: f' = f + sigma(1 - f)")
add("swish-beta", {"x": ("B", "N"), "beta": (1,)}, lambda x, beta: x * (beta * x).sigmoid(),
    lambda dy, x, beta: (lambda s: dy * (beta * x * s + s * (1 - beta * x * s)))(1 / (1 + np.exp(-beta * x))), "swish with beta: beta f + sigma(1 - beta f)")


def gelu_tanh_bwd(dy, x):
    k = np.sqrt(2.0 / np.pi)
    cube = 0.044715 * x ** 3
    t = np.tanh(k * (x + cube))
    sech = 1 - t * t
    return dy * (0.5 * (1.0 + t) + x * 0.5 * sech * k * (1.0 + 3.0 * 0.044715 * x * x))


add("gelu-tanh-llmc", X, lambda x: 0.5 * x * (1.0 + ((2.0 / pi) ** 0.5 * (x + 0.044715 * x ** 3)).tanh()), gelu_tanh_bwd, "llm.c gelu_backward (k computed by np.sqrt)")
add("gelu-tanh-functional", X, lambda x: F.gelu(x, approximate="tanh"),
    lambda dy, x: (lambda s, u: dy * (s + x * s * (1 - s) * u))(1 / (1 + np.exp(-2 * math.sqrt(2 / math.pi) * (x + 0.044715 * x ** 3))), 2 * math.sqrt(2 / math.pi) * (1 + 0.134145 * x ** 2)),
    "tanh GELU as x sigma(2u)")
add("gelu-erf", X, lambda x: F.gelu(x),
    lambda dy, x: dy * (0.5 * (1 + (x / math.sqrt(2)).erf()) + x * (-0.5 * x * x).exp() / math.sqrt(2 * math.pi)), "[torch] ATen gelu_backward: cdf + x pdf")
add("gelu-erf-const", X, lambda x: x * 0.5 * (1.0 + (x * 2 ** -0.5).erf()),
    lambda dy, x: dy * ((1 + (x / sqrt(2)).erf()) / 2 + x * (-x ** 2 / 2).exp() * (1 / sqrt(2 * pi))), "[torch] the same, forward written out, constants as 2**-0.5 and sqrt(2)")
add("quickgelu", X, lambda x: x * (1.702 * x).sigmoid(), lambda dy, x: (lambda s: dy * s * (1 + 1.702 * x * (1 - s)))(1 / (1 + np.exp(-1.702 * x))), "CLIP QuickGELU")
add("mish-paper", X, lambda x: x * F.softplus(x).tanh(),
    lambda dy, x: (lambda e: dy * e * (4 * (x + 1) + 4 * e ** 2 + e ** 3 + e * (4 * x + 6)) / (2 * e + e ** 2 + 2) ** 2)(np.exp(x)), "Misra 2019: e^x omega/delta^2")
add("mish-aten", X, lambda x: F.mish(x),
    lambda dy, x: (lambda t, s: dy * (t + x * s * (1 - t * t)))(np.tanh(np.log1p(np.exp(x))), 1 / (1 + np.exp(-x))), "ATen mish_backward")
add("mish-rational", X, lambda x: x * (1 + x.exp()).log().tanh(), Other(lambda x: x * ((1 + x.exp()) ** 2 - 1) / ((1 + x.exp()) ** 2 + 1)), "tanh(log u) = (u^2-1)/(u^2+1)")
add("softplus", X, lambda x: (1 + x.exp()).log(), lambda dy, x: dy / (1 + np.exp(-x)), "textbook")
add("softplus-functional", X, lambda x: F.softplus(x), lambda dy, x: dy * np.exp(x) / (1 + np.exp(x)), "F.softplus (PyTorch's own is linear above 20)")
add("softplus-beta", X, lambda x: (1 + (3 * x).exp()).log() / 3, lambda dy, x: dy * (1 - 1 / (1 + np.exp(3 * x))), "softplus with beta = 3")
add("softplus-stable", X, lambda x: F.relu(x) + (1 + (-x.abs()).exp()).log(), lambda dy, x: dy / (1 + np.exp(-x)),
    "max(x,0) + log(1+e^-|x|): COND: x != 0 (at 0 with sign(0)=0 and relu'(0)=0 autograd gives 0, not 1/2)")
add("logsigmoid", X, lambda x: F.logsigmoid(x), lambda dy, x: dy * (1 - 1 / (1 + np.exp(-x))), "1 - sigma")
add("softsign", X, lambda x: x / (1 + x.abs()), lambda dy, x: dy / (1 + np.abs(x)) ** 2, "softsign")
add("squareplus", X, lambda x: (x + (x * x + 4).sqrt()) / 2, lambda dy, x: (lambda r: dy * (x + r) / (2 * r))(np.sqrt(x ** 2 + 4)), "Barron 2021")
add("isru", X, lambda x: x / (1 + 0.5 * x ** 2).sqrt(), lambda dy, x: dy * (1 / np.sqrt(1 + 0.5 * x * x)) ** 3, "Carlile et al.: f' = (1/sqrt(1+a x^2))^3")
add("bent-identity", X, lambda x: ((x ** 2 + 1).sqrt() - 1) / 2 + x, lambda dy, x: dy * (x / (2 * np.sqrt(1 + x ** 2)) + 1), "Wikipedia's table")
add("gaussian", X, lambda x: (-x ** 2).exp(), lambda dy, x: -2 * x * np.exp(-x ** 2) * dy, "Wikipedia's table; -x**2 precedence")
add("tanhexp", X, lambda x: x * x.exp().tanh(), lambda dy, x: (lambda e: dy * (np.tanh(e) - x * e * (np.tanh(e) ** 2 - 1)))(np.exp(x)), "Liu & Di 2020")
add("snake", X, lambda x: x + x.sin() ** 2, lambda dy, x: dy * (1 + np.sin(2 * x)), "Ziyin et al. 2020; needs sin 2x = 2 sin x cos x")
add("relu", X, lambda x: F.relu(x), lambda dy, x: dy * (x > 0), "cs231n")
add("relu-inplace-mask", X, lambda x: x.clamp(min=0), lambda dy, x: np.where(x <= 0, 0, dy), "cs231n, with where. COND: x != 0 (clamp's gradient at its boundary is 1 in PyTorch)")
add("relu-squared", X, lambda x: F.relu(x) ** 2, lambda dy, x: 2 * dy * np.maximum(x, 0), "Primer's squared ReLU")
add("leaky-relu", X, lambda x: F.leaky_relu(x, 0.01), lambda dy, x: np.where(x > 0, dy, 0.01 * dy), "leaky ReLU")
add("elu", X, lambda x: F.elu(x), lambda dy, x: np.where(x > 0, dy, dy * np.exp(x)), "Clevert et al.")
add("selu", X, lambda x: F.selu(x), lambda dy, x: 1.0507009873554805 * np.where(x > 0, dy, 1.6732632423543772 * np.exp(x) * dy), "Klambauer et al.; the two constants in full")
add("hardtanh", X, lambda x: x.clamp(-1, 1), lambda dy, x: dy * ((x >= -1) & (x <= 1)), "clamp with PyTorch's inclusive mask")
add("swiglu-liger", {"x": ("B", "N"), "u": ("B", "N")}, lambda x, u: F.silu(x) * u,
    lambda dc, a, b: (lambda sig: dc * (a * sig * (1 - sig) + sig) * b)(1 / (1 + np.exp(-a))), "Liger swiglu backward da")
add("geglu-liger", {"x": ("B", "N"), "u": ("B", "N")}, lambda x, u: F.gelu(x, approximate="tanh") * u, lambda dc, a, b: gelu_tanh_bwd(dc * b, a), "Liger geglu backward da")
add("glu", {"x": ("B", "N"), "g": ("B", "N")}, lambda x, g: x * g.sigmoid(), lambda dy, x, g: dy / (1 + np.exp(-g)), "Dauphin et al.")
add("highway", {"x": ("B", "N"), "h": ("B", "N"), "r": ("B", "N")}, lambda x, h, r: x.sigmoid() * h + (1 - x.sigmoid()) * r,
    lambda dy, x, h, r: (lambda t: dy * (h - r) * t * (1 - t))(1 / (1 + np.exp(-x))), "Highway networks, gradient of the gate's input")
add("lstm-forget", {"x": ("B", "N"), "c": ("B", "N"), "u": ("B", "N"), "o": ("B", "N")}, lambda x, c, u, o: o * (x.sigmoid() * c + u).tanh(),
    lambda dh, x, c, u, o: (lambda f: (lambda tc: dh * o * (1 - tc ** 2) * c * f * (1 - f))(np.tanh(f * c + u)))(1 / (1 + np.exp(-x))), "LSTM cell, forget gate")
add("softcap", X, lambda x: 30.0 * (x / 30.0).tanh(), lambda dy, x: (lambda y: dy * (1 - (y / 30) ** 2))(30 * np.tanh(x / 30)), "Gemma 2 logit soft-capping")
add("capsule-squash", X, lambda x: (lambda n2: n2 / (1 + n2) * x / n2.sqrt())((x * x).sum(-1, keepdim=True)),
    lambda dy, x: (lambda n: dy * n / (1 + n ** 2) + x * (dy * x).sum(-1, keepdims=True) * (1 - n ** 2) / (n * (1 + n ** 2) ** 2))(np.sqrt((x ** 2).sum(-1, keepdims=True))),
    "Sabour et al. 2017. COND: x != 0")
add("unit-ball", X, lambda x: x / (1 + (x * x).sum(-1, keepdim=True).sqrt()),
    lambda dy, x: (lambda n: dy / (1 + n) - x * (dy * x).sum(-1, keepdims=True) / (n * (1 + n) ** 2))(np.linalg.norm(x, axis=-1, keepdims=True)), "radial softsign. COND: x != 0")


# ---------------------------------------------------------------- softmax and friends
def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def softmax0(x):
    e = np.exp(x)
    return e / np.sum(e, axis=-1, keepdims=True)


add("softmax", X, lambda x: F.softmax(x, -1), lambda dy, x: (lambda p: p * (dy - (dy * p).sum(-1, keepdims=True)))(softmax(x)), "ATen softmax_backward; the maximum subtracted")
add("softmax-nomax", X, lambda x: x.exp() / x.exp().sum(-1, keepdim=True),
    lambda dy, x: (lambda p: dy * p - p * np.sum(dy * p, axis=-1, keepdims=True))(softmax0(x)), "grad*out - out*sum(grad*out)")
add("softmax-jacobian", X, lambda x: F.softmax(x, -1),
    lambda dy, x: (lambda p: np.einsum("bij,bj->bi", np.einsum("bi,ij->bij", p, np.eye(x.shape[-1])) - np.einsum("bi,bj->bij", p, p), dy))(softmax0(x)), "diag(p) - p p^T, by einsum")
add("softmax-quotient-rule", X, lambda x: F.softmax(x, dim=-1),
    lambda dy, x: (lambda e: (lambda s: (dy * e * s - e * (dy * e).sum(-1, keepdims=True)) / s ** 2)(e.sum(-1, keepdims=True)))(np.exp(x)), "quotient rule with e and s")
add("softmax-shift", X, lambda x: F.softmax(x, -1), Other(lambda x: F.softmax(x - x.mean(-1, keepdim=True), -1)), "softmax does not see a shift")
add("softmax-amax", X, lambda x: x.exp() / x.exp().sum(-1, keepdim=True),
    Other(lambda x: (lambda e: e / e.sum(-1, keepdim=True))((x - x.amax(-1, keepdim=True)).exp())), "safe softmax: the gradient through the maximum cancels")
add("softmax-axis0", X, lambda x: F.softmax(x, 0), lambda dy, x: (lambda p: p * (dy - (dy * p).sum(0)))(np.exp(x) / np.exp(x).sum(0)), "softmax over columns")
add("softmax-temperature", X, lambda x: F.softmax(x / 0.5, -1), lambda dy, x: (lambda p: 2 * p * (dy - (dy * p).sum(-1, keepdims=True)))(softmax0(2 * x)), "T = 0.5 written as a factor 2")
add("softmax-temperature-input", {"x": ("B", "N"), "T": (1,)}, lambda x, T: F.softmax(x / T, -1),
    lambda dy, x, T: (lambda p: p / T * (dy - (dy * p).sum(-1, keepdims=True)))(softmax0(x / T)), "T as an input", dom={"T": "pos"})
add("softmax-off-by-one", X, lambda x: x.exp() / (1 + x.exp().sum(-1, keepdim=True)),
    lambda dy, x: (lambda p: p * (dy - (p * dy).sum(-1, keepdims=True)))(np.exp(x) / (1 + np.sum(np.exp(x), -1, keepdims=True))), "Miller's softmax1: the same formula")
add("softmax-additive-mask", {"x": ("B", "N"), "m": ("B", "N")}, lambda x, m: F.softmax(x + m, -1),
    lambda dy, x, m: (lambda p: p * (dy - np.einsum("bn,bn->b", p, dy)[:, None]))(softmax0(x + m)), "attention with an additive bias (ALiBi)")
add("gumbel-softmax", {"x": ("B", "N"), "g": ("B", "N")}, lambda x, g: F.softmax((x + g) / 0.7, -1),
    lambda dy, x, g: (lambda y: y * (dy - (y * dy).sum(-1, keepdims=True)) / 0.7)(softmax((x + g) / 0.7)), "Jang et al. 2017")
add("softmax-two-classes", {"x": ("B", 1), "z": ("B", 1)}, lambda x, z: x.exp() / (x.exp() + z.exp()), Other(lambda x, z: (x - z).sigmoid()), "softmax of two is a sigmoid")
add("log-softmax", X, lambda x: F.log_softmax(x, -1), lambda dy, x: dy - softmax0(x) * dy.sum(-1, keepdims=True), "ATen log_softmax_backward")
add("log-softmax-explog", X, lambda x: x - x.exp().sum(-1, keepdim=True).log(),
    lambda dy, x: dy - np.exp(x - np.log(np.exp(x).sum(-1, keepdims=True))) * np.sum(dy, -1, keepdims=True), "exp of the output")
add("log-of-softmax", X, lambda x: F.log_softmax(x, dim=-1), Other(lambda x: F.softmax(x, dim=-1).log()), "log(softmax) = log_softmax")
add("logsumexp", X, lambda x: x.exp().sum(-1).log(), lambda dy, x: dy[:, None] * softmax0(x), "grad of logsumexp is softmax; dy (B,)")
add("logsumexp-stable", X, lambda x: x.amax(-1, keepdim=True) + (x - x.amax(-1, keepdim=True)).exp().sum(-1, keepdim=True).log(),
    lambda dy, x: dy * softmax0(x), "the stable form: the maximum's own gradient cancels")
add("logsumexp-method", X, lambda x: x.logsumexp(-1, keepdim=True), lambda dy, x: dy * np.exp(x) / np.exp(x).sum(-1, keepdims=True), "x.logsumexp")
add("mellowmax", X, lambda x: ((5 * x).exp().mean(-1, keepdim=True)).log() / 5, lambda dy, x: dy * softmax0(5 * x), "Asadi & Littman 2017")
add("boltzmann-operator", X, lambda x: (F.softmax(x, -1) * x).sum(-1, keepdim=True),
    lambda dy, x: (lambda p: dy * p * (1 + x - (p * x).sum(-1, keepdims=True)))(softmax0(x)), "Wikipedia 'Smooth maximum': softmax [1 + (x - S)]")
add("attention-pool", {"x": ("B", "N"), "v": ("B", "N")}, lambda x, v: (F.softmax(x, -1) * v).sum(-1, keepdim=True),
    lambda dy, x, v: (lambda p: dy * p * (v - (p * v).sum(-1, keepdims=True)))(softmax0(x)), "p (v - o)")


def attn(q, k, v):
    s = q @ k.T / math.sqrt(8.0)
    return F.softmax(s, -1) @ v


def attn_bwd(dO, q, k, v):
    scale = 1 / math.sqrt(8.0)
    S = scale * (q @ k.T)
    P = np.exp(S) / np.exp(S).sum(-1, keepdims=True)
    O = P @ v
    dP = dO @ v.T
    D = (dO * O).sum(-1, keepdims=True)
    dS = P * (dP - D)
    return scale * (dS @ k)


QKV = {"q": ("T", "D"), "k": ("S", "D"), "v": ("S", "E")}
add("flash-attention-dq", QKV, attn, attn_bwd, "FlashAttention algorithm 4: D = rowsum(dO * O); d = 8 as a number")
add("attention-dq-sqrtd", QKV, lambda q, k, v: F.softmax(q @ k.T * q.shape[-1] ** -0.5, dim=-1) @ v,
    lambda dO, q, k, v: (lambda P, dP: (P * (dP - (dP * P).sum(-1, keepdims=True))) @ k / np.sqrt(q.shape[-1]))(softmax0(q @ k.T / np.sqrt(q.shape[-1])), dO @ v.T),
    "scale from the shape: ** -0.5 against / np.sqrt")
add("attention-scores-cos", {"q": ("T", "D"), "k": ("S", "D")},
    lambda q, k: (q / q.norm(dim=-1, keepdim=True)) @ (k / k.norm(dim=-1, keepdim=True)).T * 10.0,
    lambda dy, q, k: (lambda nq, kh: (lambda d: (d - q * (d * q).sum(-1, keepdims=True) / nq ** 2) / nq)(10 * dy @ kh))(
        np.sqrt((q * q).sum(-1, keepdims=True)), k / np.sqrt((k * k).sum(-1, keepdims=True))), "Swin v2 cosine attention / NormFace logits. COND: no zero rows")
add("linear-attention-rows", X, lambda x: x / x.sum(-1, keepdim=True), lambda dy, x: (lambda s: dy / s - (dy * x).sum(-1, keepdims=True) / s ** 2)(x.sum(-1, keepdims=True)),
    "row normalization. COND: the sum is not 0", dom={"x": "pos"})
add("l1-normalize", X, lambda x: x / x.abs().sum(-1, keepdim=True),
    lambda dy, x: (lambda s: (dy - np.sign(x) * (dy * x / s).sum(-1, keepdims=True)) / s)(np.abs(x).sum(-1, keepdims=True)), "L1 normalization. COND: x != 0")
add("spherical-softmax", X, lambda x: x ** 2 / (x ** 2).sum(-1, keepdim=True),
    lambda dy, x: (lambda q: 2 * x * (dy - (dy * x * x).sum(-1, keepdims=True) / q) / q)(np.square(x).sum(-1, keepdims=True)), "de Brebisson & Vincent. COND: x != 0")
add("taylor-softmax", X, lambda x: (1 + x + 0.5 * x ** 2) / (1 + x + 0.5 * x ** 2).sum(-1, keepdim=True),
    lambda dy, x: (lambda f: (lambda S: (1 + x) / S * (dy - (dy * f).sum(-1, keepdims=True) / S))(f.sum(-1, keepdims=True)))(1 + x + x * x / 2), "Taylor softmax")
add("dual-softmax", X, lambda x: F.softmax(x, 0) * F.softmax(x, 1),
    lambda dy, x: (lambda a, b: 2 * dy * a * b - a * (dy * a * b).sum(0, keepdims=True) - b * (dy * a * b).sum(1, keepdims=True))(np.exp(x) / np.exp(x).sum(0), softmax0(x)),
    "LoFTR dual-softmax matching")


def sinkhorn_bwd(dy, x):
    p = softmax0(x)
    S = p.sum(0)
    y = p / S
    dp = (dy - (dy * y).sum(0)) / S
    return p * (dp - (dp * p).sum(1)[:, None])


add("sinkhorn-step", X, lambda x: (lambda p: p / p.sum(0, keepdim=True))(F.softmax(x, 1)), sinkhorn_bwd, "rows, then columns: slot attention / one Sinkhorn round")


# ---------------------------------------------------------------- losses
add("ce-soft-simplex", XT, lambda x, t: -(t * F.log_softmax(x, -1)).sum(-1).mean(), lambda dy, x, t: dy * (softmax(x) - t) / x.shape[0],
    "cs231n: (p - t)/B. COND: the rows of t sum to 1", dom={"t": "simplex"})
add("ce-soft-general", XT, lambda x, t: -(t * F.log_softmax(x, -1)).sum(-1).mean(), lambda dy, x, t: dy * (softmax0(x) * t.sum(-1, keepdims=True) - t) / len(x),
    "soft targets of any sum")
add("ce-logits-form", XT, lambda x, t: (x.exp().sum(-1).log() - (t * x).sum(-1)).sum(), lambda dy, x, t: dy * (softmax0(x) - t), "lse(x) - t.x, summed")
add("ce-label-smoothing", XT, lambda x, t: -(((1 - 0.1) * t + 0.1 / x.shape[-1]) * F.log_softmax(x, -1)).sum(-1, keepdim=True),
    lambda dy, x, t: dy * (softmax0(x) * (0.9 * t.sum(-1, keepdims=True) + 0.1) - 0.9 * t - 0.1 / x.shape[-1]), "Szegedy et al. 2016; general t")
add("ce-label-smoothing-simplex", XT, lambda x, t: -(((1 - 0.1) * t + 0.1 / x.shape[-1]) * F.log_softmax(x, -1)).sum(-1, keepdim=True),
    lambda dy, x, t: (lambda K, p: dy * (p - (1 - 0.1) * t - 0.1 / K))(x.shape[1], softmax0(x)), "COND: the rows of t sum to 1", dom={"t": "simplex"})
add("z-loss", X, lambda x: (x.exp().sum(-1, keepdim=True).log() ** 2), lambda dy, x: (lambda z: 2 * np.log(z) * np.exp(x) / z * dy)(np.exp(x).sum(-1, keepdims=True)), "PaLM / ST-MoE z-loss")
add("ce-z-loss-liger", XT, lambda x, t: (lambda lse: lse - (t * x).sum(-1, keepdim=True) + 1e-4 * lse ** 2)(x.exp().sum(-1, keepdim=True).log()),
    lambda dy, x, t: (lambda lse: dy * (np.exp(x - lse) * (1 + 2 * 1e-4 * lse) - t))(np.log(np.sum(np.exp(x), axis=-1, keepdims=True))), "Liger cross_entropy with lse_square_scale")
add("distill-hinton", XT, lambda x, t: 2.0 ** 2 * (t * (t.log() - F.log_softmax(x / 2.0, -1))).sum(-1, keepdim=True),
    lambda dy, x, t: dy * 2.0 * (softmax0(x / 2) - t), "Hinton et al.: T^2 KL at T = 2. COND: t > 0, rows sum to 1", dom={"t": "simplex"})
add("kl-reverse", XT, lambda x, t: (lambda p: (p * (p.log() - t.log())).sum(-1, keepdim=True))(F.softmax(x, -1)),
    lambda dy, x, t: (lambda p: (lambda r: dy * p * (r - (p * r).sum(-1, keepdims=True)))(np.log(p) - np.log(t)))(softmax0(x)), "KL(p || t): p (log p/t - KL). COND: t > 0", dom={"t": "pos"})
add("entropy", X, lambda x: -(F.softmax(x, -1) * F.log_softmax(x, -1)).sum(-1, keepdim=True),
    lambda dy, x: (lambda p: (lambda H: -dy * p * (np.log(p) + H))(-(p * np.log(p)).sum(-1, keepdims=True)))(softmax0(x)), "A2C entropy bonus: -p (log p + H)")
add("entropy-via-lse", X, lambda x: x.exp().sum(-1, keepdim=True).log() - (F.softmax(x, -1) * x).sum(-1, keepdim=True),
    lambda dy, x: (lambda p: dy * p * ((p * x).sum(-1, keepdims=True) - x))(softmax0(x)), "H = lse - E[x]: gradient p (E[x] - x)")
add("perplexity", XT, lambda x, t: (-(t * F.log_softmax(x, -1)).sum(-1, keepdim=True)).exp(),
    lambda dy, x, t: (lambda p: dy * np.exp(-(t * np.log(p)).sum(-1, keepdims=True)) * (p - t))(softmax0(x)), "exp of the cross-entropy. COND: rows of t sum to 1", dom={"t": "simplex"})
add("brier", XT, lambda x, t: ((F.softmax(x, -1) - t) ** 2).sum(-1, keepdim=True),
    lambda dy, x, t: (lambda p: 2 * dy * p * ((p - t) - (p * (p - t)).sum(-1, keepdims=True)))(softmax0(x)), "Brier score of a softmax")
add("focal-lin", {"x": ("B", "N"), "y": ("B", "N")}, lambda x, y: (lambda p: -(1 - p) ** 2 * p.log())((y * x).sigmoid()),
    lambda d, x, y: (lambda pt: d * y * (1 - pt) ** 2 * (2 * pt * np.log(pt) + pt - 1))(1 / (1 + np.exp(-y * x))), "Lin et al. 2017, appendix B, gamma = 2, y = +-1 (holds for any y)", dom={"y": "pm1"})
add("bce-logits", XT, lambda x, t: -(t * x.sigmoid().log() + (1 - t) * (1 - x.sigmoid()).log()).mean(), lambda dy, x, t: dy * (1 / (1 + np.exp(-x)) - t) / x.size, "sigma - t over x.size")
add("bce-softplus", XT, lambda x, t: F.softplus(x) - t * x, lambda dy, x, t: dy * (np.exp(x) / (1 + np.exp(x)) - t), "softplus(x) - t x")
add("bce-functional-numel", XT, lambda x, t: F.binary_cross_entropy_with_logits(x, t), lambda dy, x, t: dy * (x.sigmoid() - t) / x.numel(), "[torch] x.numel()", dom={"t": "unit"})
add("mse", XT, lambda x, t: F.mse_loss(x, t), lambda dy, x, t: dy * 2 * (x - t) / np.prod(x.shape), "2(x - t)/numel by np.prod(x.shape)")
add("mse-per-row", XT, lambda x, t: ((x - t) ** 2).sum(-1) / x.shape[-1], lambda dy, x, t: (2 / x.shape[1]) * dy.reshape(-1, 1) * (x - t), "row means, reshape(-1, 1)")
add("huber-min-trick", XT, lambda x, t: (lambda a: (lambda q: 0.5 * q ** 2 + (a - q))(a.clamp(max=1.0)))((x - t).abs()),
    lambda dy, x, t: dy * np.clip(x - t, -1, 1), "TF detection's quadratic = min(a, delta): derivative is the clipped error")
add("smooth-l1", XT, lambda x, t: F.smooth_l1_loss(x, t), lambda dy, x, t: dy * np.maximum(-1, np.minimum(1, x - t)) / x.size, "Fast R-CNN; minimum and maximum")
add("logcosh", XT, lambda x, t: (x - t) + F.softplus(-2 * (x - t)) - math.log(2.0), lambda dy, x, t: dy * np.tanh(x - t), "Keras log_cosh")
add("charbonnier", XT, lambda x, t: ((x - t) ** 2 + 1e-3 ** 2).sqrt(), lambda dy, x, t: dy * (x - t) / np.sqrt((x - t) ** 2 + 1e-3 ** 2), "Charbonnier")
add("hinge-squared", XT, lambda x, t: F.relu(1 - t * x) ** 2, lambda dy, x, t: -2 * t * np.maximum(0, 1 - t * x) * dy, "L2-SVM")
add("hinge", XT, lambda x, t: F.relu(1 - t * x), lambda dy, x, t: -t * dy * (t * x < 1), "SVM")
add("poisson-nll", XT, lambda x, t: x.exp() - t * x, lambda dy, x, t: dy * (np.exp(x) - t), "log-link Poisson")
add("gaussian-nll-mu", {"x": ("B", "N"), "t": ("B", "N"), "lv": ("B", "N")}, lambda x, t, lv: 0.5 * (lv + (x - t) ** 2 / lv.exp()),
    lambda dy, x, t, lv: dy * np.exp(-lv) * (x - t), "heteroscedastic regression")
add("gaussian-nll-logvar", {"lv": ("B", "N"), "m": ("B", "N"), "t": ("B", "N")}, lambda lv, m, t: 0.5 * (lv + (m - t) ** 2 * (-lv).exp()),
    lambda dy, lv, m, t: dy / 2 - dy * (m - t) ** 2 / (2 * np.exp(lv)), "gradient of the log variance")
add("vae-reparam", {"lv": ("B", "N"), "mu": ("B", "N"), "e": ("B", "N")}, lambda lv, mu, e: mu + (0.5 * lv).exp() * e,
    lambda dz, lv, mu, e: (lambda z: 0.5 * dz * (z - mu))(mu + np.exp(lv / 2) * e), "Kingma & Welling: dlogvar = dz (z - mu)/2")
add("vae-kl-logvar", {"lv": ("B", "N"), "mu": ("B", "N")}, lambda lv, mu: -0.5 * (1 + lv - mu ** 2 - lv.exp()).sum(-1, keepdim=True), lambda dy, lv, mu: dy * 0.5 * (np.exp(lv) - 1), "VAE appendix B")
add("bbb-softplus-sigma", {"rho": ("N",), "mu": ("N",), "e": ("B", "N")}, lambda rho, mu, e: mu + (1 + rho.exp()).log() * e,
    lambda dw, rho, mu, e: (dw * e).sum(0) / (1 + np.exp(-rho)), "Bayes by Backprop: eps/(1 + exp(-rho)), summed over samples")
add("student-t-nll", X, lambda x: 2.0 * (1 + x ** 2 / 3.0).log(), lambda dy, x: dy * 4 * x / (3 + x * x), "Student t, nu = 3: (nu+1) x/(nu + x^2)")
add("geman-mcclure", X, lambda x: x ** 2 / (1 + x ** 2), lambda dy, x: dy * 2 * x / (1 + x * x) ** 2, "Geman-McClure")
add("dice-vnet", {"p": ("B", "N"), "t": ("B", "N")}, lambda p, t: 1 - 2 * (p * t).sum(-1, keepdim=True) / ((p * p).sum(-1, keepdim=True) + (t * t).sum(-1, keepdim=True)),
    lambda dy, p, t: (lambda A, S: -2 * dy * (t * S - 2 * p * A) / S ** 2)((p * t).sum(-1, keepdims=True), (p ** 2 + t ** 2).sum(-1, keepdims=True)), "V-Net dice gradient")
add("jaccard", {"p": ("B", "N"), "t": ("B", "N")}, lambda p, t: (p * t).sum(-1, keepdim=True) / (p + t - p * t).sum(-1, keepdim=True),
    lambda dy, p, t: (lambda I, U: dy * (t * (U + I) - I) / U ** 2)((p * t).sum(-1, keepdims=True), (p + t - p * t).sum(-1, keepdims=True)), "soft IoU. COND: U != 0", dom={"p": "unit", "t": "unit"})
add("triplet", {"a": ("B", "N"), "p": ("B", "N"), "n": ("B", "N")},
    lambda a, p, n: F.relu(((a - p) ** 2).sum(-1, keepdim=True) - ((a - n) ** 2).sum(-1, keepdim=True) + 0.2),
    lambda dy, a, p, n: 2 * (n - p) * dy * ((((a - p) ** 2).sum(-1, keepdims=True) - ((a - n) ** 2).sum(-1, keepdims=True) + 0.2) > 0), "FaceNet: 2(n - p) on active triplets")


def infonce(x, k, t):
    h = x / (x * x).sum(-1, keepdim=True).sqrt()
    return -(t * F.log_softmax(h @ k.T / 0.1, -1)).sum(-1).mean()


def infonce_bwd(dy, x, k, t):
    n = np.sqrt((x * x).sum(-1, keepdims=True))
    h = x / n
    p = softmax(h @ k.T / 0.1)
    dh = dy / len(x) * (p * t.sum(-1, keepdims=True) - t) @ k / 0.1
    return (dh - h * (dh * h).sum(-1, keepdims=True)) / n


add("info-nce", {"x": ("B", "N"), "k": ("M", "N"), "t": ("B", "M")}, infonce, infonce_bwd, "SimCLR/MoCo with soft targets, tau = 0.1. COND: x != 0")
add("cosine-similarity", {"u": ("B", "N"), "v": ("B", "N")}, lambda u, v: (u * v).sum(-1, keepdim=True) / (u.norm(dim=-1, keepdim=True) * v.norm(dim=-1, keepdim=True)),
    lambda dy, u, v: (lambda nu, nv: (lambda c: dy * (v / (nu * nv) - c * u / nu ** 2))((u * v).sum(-1, keepdims=True) / (nu * nv)))(
        np.linalg.norm(u, axis=-1, keepdims=True), np.linalg.norm(v, axis=-1, keepdims=True)), "textbook. COND: u, v != 0")
add("cosine-functional", {"u": ("B", "N"), "v": ("B", "N")}, lambda u, v: F.cosine_similarity(u, v, dim=-1),
    lambda dy, u, v: (lambda uu, vv, uv: dy[:, None] * (v * uu - u * uv) / (uu ** 1.5 * vv ** 0.5))(
        (u * u).sum(-1)[:, None], (v * v).sum(-1)[:, None], (u * v).sum(-1)[:, None]), "over a common denominator; COND: norms above 1e-8")


# ---------------------------------------------------------------- moments and statistics
add("variance", X, lambda x: (x ** 2).mean(-1, keepdim=True) - x.mean(-1, keepdim=True) ** 2, lambda dy, x: dy * 2 * (x - x.mean(-1, keepdims=True)) / x.shape[-1], "2(x - mu)/N")
add("variance-pairs", X, lambda x: ((x.unsqueeze(-1) - x.unsqueeze(-2)) ** 2).mean((-2, -1)) / 2, lambda dy, x: dy[:, None] * 2 / x.shape[-1] * (x - x.mean(-1, keepdims=True)),
    "variance as half the mean squared difference of pairs")
add("variance-bessel", X, lambda x: x.var(-1, keepdim=True, unbiased=True), lambda dy, x: 2 * dy * (x - x.mean(-1, keepdims=True)) / (x.shape[-1] - 1), "COND: N > 1")
add("std", X, lambda x: x.std(-1, keepdim=True, unbiased=False), lambda dy, x: dy * (x - x.mean(-1, keepdims=True)) / (x.shape[-1] * x.std(-1, keepdims=True)), "ATen std_backward. COND: std != 0")
add("std-bessel", X, lambda x: x.std(-1, keepdim=True, unbiased=True),
    lambda dy, x: (lambda c: dy * c / np.sqrt((x.shape[-1] - 1) * (c * c).sum(-1, keepdims=True)))(x - x.mean(-1, keepdims=True)), "sd cancels one root. COND: std != 0, N > 1")
add("log-variance", X, lambda x: x.var(-1, keepdim=True, unbiased=False).log(), lambda dy, x: (lambda c: 2 * dy * c / np.sum(c ** 2, -1, keepdims=True))(x - x.mean(-1, keepdims=True)), "N cancels. COND: var != 0")


def skew(x):
    c = x - x.mean(-1, keepdim=True)
    return (c ** 3).mean(-1, keepdim=True) / (c ** 2).mean(-1, keepdim=True) ** 1.5


def skew_bwd(dy, x):
    n = x.shape[-1]
    s = x.std(-1, keepdims=True)
    z = (x - x.mean(-1, keepdims=True)) / s
    return 3 * dy / (n * s) * (z ** 2 - 1 - z * (z ** 3).mean(-1, keepdims=True))


add("skewness", X, skew, skew_bwd, "3/(N s) (z^2 - 1 - g z), own algebra. COND: var != 0")
add("kurtosis", X, lambda x: (lambda c: (c ** 4).mean(-1, keepdim=True) / ((c * c).mean(-1, keepdim=True)) ** 2)(x - x.mean(-1, keepdim=True)),
    lambda dy, x: (lambda s: (lambda z: 4 * dy / (x.shape[-1] * s) * (z ** 3 - (z ** 3).mean(-1, keepdims=True) - z * (z ** 4).mean(-1, keepdims=True)))((x - x.mean(-1, keepdims=True)) / s))(x.std(-1, keepdims=True)),
    "4/(N s)(z^3 - mean z^3 - K z). COND: var != 0")
add("third-moment", X, lambda x: ((x - x.mean(-1, keepdim=True)) ** 3).mean(-1, keepdim=True),
    lambda dy, x: (lambda c: 3 * dy / x.shape[-1] * (c ** 2 - (c ** 2).mean(-1, keepdims=True)))(x - x.mean(-1, keepdims=True)), "3/N (c^2 - m2)")
add("geometric-mean", X, lambda x: x.log().mean(-1, keepdim=True).exp(), lambda dy, x: dy * np.exp(np.mean(np.log(x), -1, keepdims=True)) / (x.shape[-1] * x), "COND: x > 0", dom={"x": "pos"})
add("harmonic-mean", X, lambda x: x.shape[-1] / (1 / x).sum(-1, keepdim=True), lambda dy, x: (lambda H: dy * H ** 2 / (x.shape[-1] * x ** 2))(x.shape[-1] / (x ** -1).sum(-1, keepdims=True)),
    "COND: x != 0, the sum of 1/x != 0", dom={"x": "pos"})
add("coefficient-of-variation", X, lambda x: x.std(-1, keepdim=True, unbiased=False) / x.mean(-1, keepdim=True),
    lambda dy, x: (lambda m, s: dy / x.shape[-1] * ((x - m) / (s * m) - s / m ** 2))(x.mean(-1, keepdims=True), x.std(-1, keepdims=True)), "COND: std, mean != 0", dom={"x": "pos"})
add("cv-squared-moe", X, lambda x: x.var(-1, keepdim=True, unbiased=False) / (x.mean(-1, keepdim=True) ** 2 + 1e-10),
    lambda dy, x: (lambda m: (lambda q, c: dy * 2 / x.shape[-1] * (c / q - (c * c).mean(-1, keepdims=True) * m / q ** 2))(m ** 2 + 1e-10, x - m))(x.mean(-1, keepdims=True)), "Shazeer's cv_squared")
add("p-norm-3", X, lambda x: (x.abs() ** 3).sum(-1, keepdim=True) ** (1 / 3), lambda dy, x: (lambda n: dy * x * np.abs(x) / n ** 2)((np.abs(x) ** 3).sum(-1, keepdims=True) ** (1 / 3)), "x|x|/n^2. COND: x != 0")
add("p-norm-4-normalize", X, lambda x: x / (x ** 4).sum(-1, keepdim=True) ** 0.25,
    lambda dy, x: (lambda q: dy * q ** -0.25 - x ** 3 * (dy * x).sum(-1, keepdims=True) * q ** -1.25)((x ** 4).sum(-1, keepdims=True)), "L4 normalization. COND: x != 0")


def pearson(x, t):
    c = x - x.mean(-1, keepdim=True)
    d = t - t.mean(-1, keepdim=True)
    return (c * d).sum(-1, keepdim=True) / ((c * c).sum(-1, keepdim=True) * (d * d).sum(-1, keepdim=True)).sqrt()


def pearson_bwd(dy, x, t):
    c = x - x.mean(-1, keepdims=True)
    d = t - t.mean(-1, keepdims=True)
    sc = np.sqrt((c * c).sum(-1, keepdims=True))
    sd = np.sqrt((d * d).sum(-1, keepdims=True))
    r = (c * d).sum(-1, keepdims=True) / (sc * sd)
    return dy / sc * (d / sd - r * c / sc)


add("pearson", XT, pearson, pearson_bwd, "correlation loss. COND: neither row constant")
add("covariance", XT, lambda x, t: (x * t).mean(-1, keepdim=True) - x.mean(-1, keepdim=True) * t.mean(-1, keepdim=True),
    lambda dy, x, t: dy * (t - t.mean(-1, keepdims=True)) / x.shape[-1], "covariance by raw moments")
add("snr-db", XT, lambda x, t: 10 * ((t * t).sum(-1, keepdim=True) / ((x - t) ** 2).sum(-1, keepdim=True)).log() / math.log(10),
    lambda dy, x, t: -20 / np.log(10) * dy * (x - t) / ((x - t) ** 2).sum(-1, keepdims=True), "SNR in dB. COND: x != t")


def sisdr(x, t):
    a = (x * t).sum(-1, keepdim=True) / (t * t).sum(-1, keepdim=True)
    s = a * t
    e = x - s
    return ((s * s).sum(-1, keepdim=True) / (e * e).sum(-1, keepdim=True)).log()


def sisdr_bwd(dy, x, t):
    xt = (x * t).sum(-1, keepdims=True)
    e = x - xt / (t * t).sum(-1, keepdims=True) * t
    return 2 * dy * (t / xt - e / (e * e).sum(-1, keepdims=True))


add("si-sdr", XT, sisdr, sisdr_bwd, "Le Roux et al.; uses e orthogonal to t. COND: x.t != 0, t != 0, e != 0")
add("clr", X, lambda x: x.log() - x.log().mean(-1, keepdim=True), lambda dy, x: (dy - dy.mean(-1, keepdims=True)) / x, "Aitchison's centred log-ratio. COND: x > 0", dom={"x": "pos"})
add("clr-via-gmean", X, lambda x: x.log() - x.log().mean(-1, keepdim=True), Other(lambda x: (x / x.log().mean(-1, keepdim=True).exp()).log()), "log(x/g(x)). COND: x > 0", dom={"x": "pos"})
add("softmax-of-log", X, lambda x: x / x.sum(-1, keepdim=True), Other(lambda x: F.softmax(x.log(), -1)), "softmax(log x) = x/sum. COND: x > 0", dom={"x": "pos"})
add("minmax", X, lambda x: (x - x.amin(-1, keepdim=True)) / (x.amax(-1, keepdim=True) - x.amin(-1, keepdim=True)),
    lambda dy, x: (lambda lo, hi: (lambda y: (dy - (x == lo) * (dy * (1 - y)).sum(-1, keepdims=True) - (x == hi) * (dy * y).sum(-1, keepdims=True)) / (hi - lo))((x - lo) / (hi - lo)))(
        x.min(-1, keepdims=True), x.max(-1, keepdims=True)), "min-max scaling. COND: minimum and maximum unique, not equal")
add("positive-power", X, lambda x: x.sqrt() * x, lambda dy, x: 1.5 * np.sqrt(x) * dy, "x^1.5. COND: x > 0", dom={"x": "pos"})
add("log-square", X, lambda x: (x ** 2).log(), lambda dy, x: 2 * dy / x, "log x^2 = 2 log|x|. COND: x != 0")
add("abs-via-root", X, lambda x: (x ** 2).sqrt(), lambda dy, x: dy * np.sign(x), "sqrt(x^2) = |x|. COND: x != 0")
add("log-rms-gain", X, lambda x: 0.5 * ((x * x).mean(-1, keepdim=True) + 1e-6).log(), lambda dy, x: dy * x / ((x ** 2).sum(-1, keepdims=True) + x.shape[-1] * 1e-6), "log of the rms; N eps in the denominator")
add("group-dro-like", {"x": ("B", "N"), "q": ("N",)}, lambda x, q: (q * x.exp()).sum(-1, keepdim=True).log(), lambda dy, x, q: dy * q * np.exp(x) / (q * np.exp(x)).sum(-1, keepdims=True),
    "weighted logsumexp (tilted loss). COND: the sum is positive", dom={"q": "pos"})
add("euclid-distance", XT, lambda x, t: ((x - t) ** 2).sum(-1).sqrt(), lambda dy, x, t: (lambda d: dy[:, None] * (x - t) / np.sqrt(np.sum(d * d, axis=1))[:, None])(x - t), "pairwise distance. COND: x != t")
add("rbf-kernel", XT, lambda x, t: (-((x - t) ** 2).sum(-1, keepdim=True) / (2 * 1.5 ** 2)).exp(),
    lambda dy, x, t: -dy * (x - t) / 1.5 ** 2 * np.exp(-((x - t) ** 2).sum(-1, keepdims=True) / (2 * 1.5 ** 2)), "RBF, sigma = 1.5")
add("layer-scale-softsign-mean", {"x": ("B", "N"), "g": ("N",)}, lambda x, g: g * (x - x.mean(-1, keepdim=True)) + x, lambda dy, x, g: dy + dy * g - (dy * g).mean(-1, keepdims=True), "LayerScale on a centred branch")
