"""Public mistakes in backwards of normalizations, each in a few lines of our own, with the thread that reports it.

What is kept is the kind of mistake, not the code: none of it is copied. The page is made by
``python -m tests.check.museum > docs/museum.md``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import tinygrad_norm as tn
from tinygrad_norm.check.verdict import Verdict

EXHIBITS: list[Exhibit] = []
_KEPT: dict[tuple[int, ...], Any] = {}  # what one of them keeps from call to call


@dataclass(frozen=True)
class Exhibit:
    """One mistake: what went wrong, the threads that report it, and the words by which the verdict names it.

    words:   what has to occur in the verdict, all of it; none: it is rejected, but nothing is named yet
    limited: it is right for some arrays, and the verdict says for which
    """

    title: str
    threads: tuple[str, ...]
    norm: Any
    candidate: Callable[..., Any]
    words: tuple[str, ...]
    limited: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.candidate.__name__

    def verdict(self) -> Verdict:
        _KEPT.clear()
        with np.errstate(all="ignore"):
            return tn.check(self.candidate, self.norm, **self.options)


def exhibit(title: str, threads: str, norm: Any, *words: str, limited: bool = False, **options: Any) -> Callable[[Any], Any]:
    def put(candidate: Any) -> Any:
        EXHIBITS.append(Exhibit(title, tuple(threads.split(", ")), norm, candidate, words, limited, options))
        return candidate

    return put


def m(a):
    return a.mean(-1, keepdims=True)


def lead(a):
    return tuple(range(a.ndim - 1))


def layer(dy, x, weight, eps, ddof=0):
    r = 1 / np.sqrt(x.var(-1, keepdims=True, ddof=ddof) + eps)
    h, g = (x - m(x)) * r, dy * weight
    return r * (g - m(g) - h * m(g * h)), (dy * h).sum(lead(x)), dy.sum(lead(x))


def rms(dy, x, weight, eps, scale=None):
    r = 1 / np.sqrt(m(x * x) + eps)
    h, g = x * r, dy * (weight if scale is None else scale)
    return r * (g - h * m(g * h)), (dy * h).sum(lead(x))


ALL = (0, 2, 3)


def images(dy, x, weight, eps, axes=ALL, ddof=0, stats=None):
    c = weight[:, None, None]
    mean, var = (x.mean(axes, keepdims=True), x.var(axes, keepdims=True, ddof=ddof)) if stats is None else stats
    r = 1 / np.sqrt(var + eps)
    h, g = (x - mean) * r, dy * c
    dx = r * (g - g.mean(axes, keepdims=True) - h * (g * h).mean(axes, keepdims=True))
    return dx, (dy * h).sum(ALL), dy.sum(ALL)


# A factor ------------------------------------------------------------------------------------------------------------


@exhibit("RMSNorm's backward forgets γ", "llm.c PR#763", "rms_norm", "the factor γ is missing", eps=1e-6)
def gamma_forgotten(dy, x, weight, eps):
    return rms(dy, x, weight, eps, scale=1.0)


def zero_centred(x, weight):
    return tn.functional.rms_norm(x, (x.shape[-1],), None, 1e-6) * (weight + 1)


_rng = np.random.default_rng(0)
_ROWS = {"inputs": (_rng.normal(size=(4, 8)), _rng.normal(size=8))}


@exhibit(
    "The backward multiplies by γ where the forward multiplies by γ + 1",
    "TransformerEngine PR#67",
    zero_centred,
    "weight where weight + 1 belongs",
    **_ROWS,
)
def one_forgotten(dy, x, weight):
    return rms(dy, x, weight, 1e-6)


def _batch(dy, x, weight, eps, direct=1.0, gamma=True):
    r = 1 / np.sqrt(x.var(0) + eps)
    h, g = (x - x.mean(0)) * r, dy * weight
    return r * (direct * g - g.mean(0) - h * (g * h).mean(0)), (dy * h).sum(0), dy.sum(0)


@exhibit("BatchNorm's backward multiplies by γ too late to matter for dx", "Knet.jl#288, Knet.jl PR#289", "batch_norm", "γ")
def gamma_too_late(dy, x, weight, bias, eps):
    _, dgamma, dbeta = _batch(dy, x, weight, eps)
    return _batch(dy, x, 1.0, eps)[0], dgamma, dbeta


@exhibit("The variance's term multiplies by γ twice", "Megatron-LM PR#6859", "rms_norm", "γ", eps=1e-6)
def gamma_twice(dy, x, weight, eps):
    r = 1 / np.sqrt(m(x * x) + eps)
    return r * dy * weight - weight * r**3 * x * m(dy * weight * x), (dy * x * r).sum(lead(x))


@exhibit("mean(dy·γ) is subtracted twice: a register still held it", "tt-metal#53204, tt-metal PR#53215", "layer_norm", "μ", "2")
def mean_twice(dy, x, weight, bias, eps):
    r = 1 / np.sqrt(x.var(-1, keepdims=True) + eps)
    h, g = (x - m(x)) * r, dy * weight
    return r * (g - 2 * m(g) - h * m(g * h)), (dy * h).sum(lead(x)), dy.sum(lead(x))


@exhibit(
    "Of mean(dy·γ·x̂), only the last block's sum survives: each block set the accumulator back",
    "tt-metal#53204, tt-metal PR#53215",
    "layer_norm",
    "has its last",
)
def last_block(dy, x, weight, bias, eps):
    r, n = 1 / np.sqrt(x.var(-1, keepdims=True) + eps), x.shape[-1]
    h, g = (x - m(x)) * r, dy * weight
    kept = (g * h)[..., (n - 1) // 4 * 4 :].sum(-1, keepdims=True) / n
    return r * (g - m(g) - h * kept), (dy * h).sum(lead(x)), dy.sum(lead(x))


@exhibit("Devices add up dγ and dβ, and then the trainer does it again", "nnabla PR#1120", "batch_norm", "2 times too big")
def reduced_twice(dy, x, weight, bias, eps):
    dx, dgamma, dbeta = _batch(dy, x, weight, eps)
    return dx, 2 * dgamma, 2 * dbeta


# Softmax and its losses ----------------------------------------------------------------------------------------------


def probabilities(z, axis=-1):
    e = np.exp(z - z.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def total(a, axis=-1):
    return a.sum(axis, keepdims=True)


def hits(z, target):
    return (np.arange(z.shape[1]) == target[:, None]).astype(float)


@exhibit("Softmax's backward multiplies entry by entry", "cTensor PR#31", "softmax", "of the Jacobian the diagonal only")
def diagonal_only(dy, y):
    return dy * y * (1 - y)


@exhibit("Softmax's gradient is off by a factor of two", "fromscratchtoml#65", "softmax", "2 times too big")
def twice(dy, y):
    return 2 * y * (dy - total(dy * y))


@exhibit("Softmax over all axes, where the last one is meant", "nntrainer PR#430", "softmax", "over the whole array where axis 1")
def over_all_axes(dy, x):
    e = np.exp(x - x.max())
    p = e / e.sum()
    return p * (dy - (dy * p).sum())


@exhibit(
    "Log-sum-exp over the whole batch", "twitter-archive/torch-autograd#166", "log_softmax", "over the whole array where axis 1"
)
def over_the_batch(dy, x):
    e = np.exp(x - x.max())
    return dy - e / e.sum() * dy.sum()


@exhibit("Log-softmax's backward is dy − Σ dy·y", "oneDNN#616", "log_softmax", "the term −p·Σ(dy) of dx")
def dot_with_the_output(dy, y):
    return dy - total(dy * y)


@exhibit("Log-softmax's backward adds p to dy", "mlpack#2360, mlpack PR#2364", "log_softmax", "the term −p·Σ(dy) of dx")
def p_added(dy, y):
    return dy + np.exp(y)


@exhibit(
    "The loss is a mean and its gradient is not divided by the batch",
    "swift-apis PR#42, victorlempitsky/Mate#2",
    "cross_entropy",
    "reduction='sum'",
)
def not_divided(dy, z, target):
    return dy * (probabilities(z) - hits(z, target))


@exhibit(
    "The loss is a sum and its gradient is divided by the batch",
    "aprender PR#2182",
    "cross_entropy",
    "a mean where the formula has a sum",
    reduction="sum",
)
def divided(dy, z, target):
    return dy * (probabilities(z) - hits(z, target)) / len(z)


@exhibit(
    "Rows whose target is ignored receive a gradient",
    "Paddle PR#28622",
    "cross_entropy",
    "has a gradient and should have none",
    ignore_index=1,
)
def ignored_rows(dy, z, target, ignore_index):
    kept = (target != ignore_index)[:, None]
    return dy * (probabilities(z) - hits(z, target) * kept) / kept.sum()


@exhibit(
    "Smoothing spreads over rows whose target is ignored",
    "pytorch#73205",
    "cross_entropy",
    "has a gradient and should have none",
    ignore_index=1,
    label_smoothing=0.2,
)
def smoothing_of_ignored(dy, z, target, ignore_index, label_smoothing):
    kept, p, c = (target != ignore_index)[:, None], probabilities(z), z.shape[1]
    hard = (p - hits(z, target)) * kept
    return dy * ((1 - label_smoothing) * hard + label_smoothing * (p - 1 / c)) / kept.sum()


# A statistic ---------------------------------------------------------------------------------------------------------


@exhibit("LayerNorm with the unbiased variance", "LBANN PR#2024", "layer_norm", "N − 1 = 7 for N")
def unbiased_layer(dy, x, weight, bias, eps):
    return layer(dy, x, weight, eps, ddof=1)


@exhibit("InstanceNorm with the unbiased variance", "LBANN PR#2024", "instance_norm", "N − 1 = 14 for N", shape=(2, 4, 3, 5))
def unbiased_instance(dy, x, weight, bias, eps):
    return images(dy, x, weight, eps, (2, 3), ddof=1)


@exhibit(
    "ε added to σ, outside the root",
    "pyg PR#2917, keras#2960, Flux#2096, burn#2185, hyunwoongko/transformer#7, hkproj/pytorch-transformer PR#31",
    "layer_norm",
    "ε was added to the standard deviation, outside the root",
)
def eps_outside(dy, x, weight, bias, eps):
    s = x.std(-1, keepdims=True) + eps
    h, g = (x - m(x)) / s, dy * weight
    return (g - m(g) - h * m(g * h)) / s, (dy * h).sum(lead(x)), dy.sum(lead(x))


@exhibit(
    "BatchNorm's backward in inference is that of training",
    "pytorch/xla#913, pytorch#586, pytorch PR#2278, mxnet#9580, matconvnet#1174, cudnn.torch#244",
    "batch_norm",
    "dx is that of training",
    training=False,
    shape=(2, 4, 3, 5),
)
def training_in_inference(dy, x, weight, running_mean, running_var, eps):
    return images(dy, x, weight, eps, stats=(running_mean[:, None, None], running_var[:, None, None]))


@exhibit(
    "Inference's backward reads running statistics that a later step in training has changed",
    "pytorch#13402",
    "batch_norm",
    "as it is after a step of training, where v belongs",
    training=False,
    shape=(2, 4, 3, 5),
)
def changed_since(dy, x, weight, running_mean, running_var, eps):
    mean = 0.9 * running_mean + 0.1 * x.mean(ALL)
    r = 1 / np.sqrt(0.9 * running_var + 0.1 * x.var(ALL, ddof=1) + eps)
    h = (x - mean[:, None, None]) * r[:, None, None]
    return dy * (weight * r)[:, None, None], (dy * h).sum(ALL), dy.sum(ALL)


@exhibit(
    "NaN where a row is constant: the derivative of a root at 0",
    "pytorch#4320, jax#11716, burn#1992",
    "layer_norm",
    "eps_mode='std'",
)
def root_at_zero(dy, x, weight, bias, eps):
    s = np.sqrt(x.var(-1, keepdims=True))
    h, g = (x - m(x)) / (s + eps), dy * weight
    dx = (g - m(g)) / (s + eps) - (x - m(x)) * m(g * (x - m(x))) / ((s + eps) ** 2 * s)
    return dx, (dy * h).sum(lead(x)), dy.sum(lead(x))


@exhibit("RMSNorm divides by rsqrt", "llm-foundry#371, llm-foundry PR#372", "rms_norm", "1/rstd was used for rstd", eps=1e-6)
def divided_by_the_inverse(dy, x, weight, eps):
    r = np.sqrt(m(x * x) + eps)
    h, g = x * r, dy * weight
    return r * (g - h * m(g * h)), (dy * h).sum(lead(x))


@exhibit("The variance is squared where its root belongs", "jax#442, TPlinker-joint-extraction#37", "batch_norm", "1/(σ² + ε)²")
def squared_for_root(dy, x, weight, bias, eps):
    v = x.var(0) + eps
    c, g = x - x.mean(0), dy * weight
    dx = (g - g.mean(0)) / v**2 - 4 * c * (g * c).mean(0) / v**3
    return dx, (dy * c / v**2).sum(0), dy.sum(0)


@exhibit("ε stands in the count: σ² is Σc²/(N + ε)", "LeetCUDA PR#317", "layer_norm", "ε in the count", eps=0.5)
def eps_in_the_count(dy, x, weight, bias, eps):
    c, g = x - m(x), dy * weight
    r = 1 / np.sqrt((c * c).sum(-1, keepdims=True) / (x.shape[-1] + eps))
    h = c * r
    return r * (g - m(g) - h * (g * h).sum(-1, keepdims=True) / (x.shape[-1] + eps)), (dy * h).sum(lead(x)), dy.sum(lead(x))


@exhibit(
    "The last block is padded, and its zeros count in the variance as μ²",
    "mojo_opset PR#347",
    "layer_norm",
    "zeros that fill up the last block",
)
def padding_counts(dy, x, weight, bias, eps):
    n, mean = x.shape[-1], m(x)
    v = (((x - mean) ** 2).sum(-1, keepdims=True) + -n % 4 * mean**2) / n
    r = 1 / np.sqrt(v + eps)
    h, g = (x - mean) * r, dy * weight
    return r * (g - m(g) - h * m(g * h)), (dy * h).sum(lead(x)), dy.sum(lead(x))


@exhibit(
    "Devices with batches of different sizes average their means",
    "pytorch PR#36382, pytorch PR#36688",
    "batch_norm",
    "weighs its entries unequally",
    shape=(5, 8),
)
def mean_of_means(dy, x, weight, bias, eps):
    k = len(x) // 2
    r = 1 / np.sqrt(x.var(0) + eps)
    h, g = (x - x.mean(0)) * r, dy * weight

    def mean(a):
        return (a[:k].mean(0) + a[k:].mean(0)) / 2

    return r * (g - mean(g) - h * mean(g * h)), (dy * h).sum(0), dy.sum(0)


# An index, a shape ---------------------------------------------------------------------------------------------------


@exhibit(
    "GroupNorm's dγ reads the statistics of group c mod G",
    "tt-metal PR#56202",
    "group_norm",
    "of group c % G",
    num_groups=2,
    shape=(2, 6, 3, 3),
)
def group_of_the_channel(dy, x, weight, bias, num_groups, eps):
    rows = x.reshape(len(x), num_groups, -1)
    mean, r = rows.mean(2), 1 / np.sqrt(rows.var(2) + eps)
    h, g = ((rows - mean[..., None]) * r[..., None]), (dy * weight[:, None, None]).reshape(rows.shape)
    dx = r[..., None] * (g - g.mean(2, keepdims=True) - h * (g * h).mean(2, keepdims=True))
    c = np.arange(x.shape[1]) % num_groups
    wrong = (x - mean[:, c, None, None]) * r[:, c, None, None]
    return dx.reshape(x.shape), (dy * wrong).sum(ALL), dy.sum(ALL)


@exhibit(
    "GroupNorm's γ and β belong to groups, not to channels",
    "onnx#5466, onnx PR#5808, mxnet#17139, oneflow PR#4848",
    "group_norm",
    "has shape (2,), not (6,)",
    num_groups=2,
    shape=(2, 6, 3, 3),
)
def affine_by_groups(dy, x, weight, bias, num_groups, eps):
    rows = x.reshape(len(x), num_groups, -1)
    r = 1 / np.sqrt(rows.var(2, keepdims=True) + eps)
    h, g = (rows - rows.mean(2, keepdims=True)) * r, (dy * weight[:, None, None]).reshape(rows.shape)
    dx = r * (g - g.mean(2, keepdims=True) - h * (g * h).mean(2, keepdims=True))
    d = dy.reshape(rows.shape)
    return dx.reshape(x.shape), (d * h).sum((0, 2)), d.sum((0, 2))


@exhibit("The backward assumes two axes", "functorch#534, FlagGems#5392", "layer_norm", "sum over", shape=(2, 3, 8))
def two_axes(dy, x, weight, bias, eps):
    r = 1 / np.sqrt(x.var(-1, keepdims=True) + eps)
    h = (x - m(x)) * r
    return layer(dy, x, weight, eps)[0], (dy * h).sum(0), dy.sum(0)


@exhibit(
    "The divisor is another axis' size when there are more than two",
    "Liger PR#1376",
    "layer_norm",
    "the μ term is 2.667 = N/T times what it should be",
    shape=(2, 3, 8),
)
def hidden_size(dy, x, weight, bias, eps):
    r, n = 1 / np.sqrt(x.var(-1, keepdims=True) + eps), x.shape[1]
    h, g = (x - m(x)) * r, dy * weight
    dx = r * (g - g.sum(-1, keepdims=True) / n - h * (g * h).sum(-1, keepdims=True) / n)
    return dx, (dy * h).sum(lead(x)), dy.sum(lead(x))


@exhibit(
    "Rows are counted in too few bits: here from 256 on, there from 65,536",
    "apex#411, apex PR#412",
    "layer_norm",
    "the right numbers in the wrong indices of axis 0",
)
def index_overflows(dy, x, weight, bias, eps):
    dx, dgamma, dbeta = layer(dy, x, weight, eps)
    rows = dx.reshape(-1, x.shape[-1])
    out = np.zeros_like(rows)
    for i in range(len(rows)):
        out[i % 256] = rows[i]
    return out.reshape(x.shape), dgamma, dbeta


@exhibit(
    "A block of rows has one sum for all of them", "FlagGems PR#59", "layer_norm", "divided by the size of its own axes only"
)
def one_sum_for_the_block(dy, x, weight, bias, eps):
    r, n = 1 / np.sqrt(x.var(-1, keepdims=True) + eps), x.shape[-1]
    h, g = (x - m(x)) * r, dy * weight
    return r * (g - g.sum() / n - h * (g * h).sum() / n), (dy * h).sum(lead(x)), dy.sum(lead(x))


@exhibit(
    "The buffer of dγ and dβ has a row too few where the block does not divide the batch",
    "attorch#18",
    "layer_norm",
    "leaves out the last",
)
def last_rows_lost(dy, x, weight, bias, eps):
    dx, _, _ = layer(dy, x, weight, eps)
    h = (x - m(x)) / np.sqrt(x.var(-1, keepdims=True) + eps)
    rows = max(4, len(x) // 4 * 4)
    return dx, (dy * h)[:rows].sum(lead(x)), dy[:rows].sum(lead(x))


@exhibit(
    "x̂ is rebuilt with the γ and β of other columns",
    "DeepSpeed PR#692",
    "layer_norm",
    "(y − β)/γ with γ and β of [i − 1] where x̂ belongs",
)
def other_columns(dy, y, weight, bias, rstd):
    h, g = (y - bias) / weight, dy * weight
    other = (y - np.roll(bias, 1)) / np.roll(weight, 1)
    return rstd * (g - m(g) - h * m(g * h)), (dy * other).sum(lead(y)), dy.sum(lead(y))


# Memory --------------------------------------------------------------------------------------------------------------


@exhibit(
    "dγ is computed after dy's buffer was overwritten with dx", "unsloth PR#4550", "layer_norm", "changed dy before dγ read it"
)
def buffer_reused(dy, x, weight, bias, eps):
    h = (x - m(x)) / np.sqrt(x.var(-1, keepdims=True) + eps)
    dx, _, dbeta = layer(dy, x, weight, eps)
    dy[...] = dx
    return dx, (dy * h).sum(lead(x)), dbeta


@exhibit(
    "The fused norm cuts the tape: γ receives nothing",
    "candle PR#3613, candle PR#3011, aprender PR#2196, aprender PR#2200, unsloth#4533, unsloth#45, cs249r_book PR#1504",
    "rms_norm",
    "the candidate gives no dγ",
    eps=1e-6,
)
def tape_cut(dy, x, weight, eps):
    return rms(dy, x, weight, eps)[0], None


@exhibit(
    "The backward reads memory, not axes: channels last",
    "pytorch#140913, pytorch#115940, pytorch#111824, pytorch#107199, FlagGems PR#1084",
    "layer_norm",
    "for contiguous arrays only",
    limited=True,
)
def reads_memory(dy, x, weight, bias, eps):
    dx, dgamma, dbeta = layer(dy, x, weight, eps)
    return dx.ravel(order="K").reshape(x.shape), dgamma, dbeta


@exhibit(
    "dγ's memory is not set to zero: what was there is added to",
    "torch/nn#318",
    "layer_norm",
    "adds to what it returned last time",
)
def never_zeroed(dy, x, weight, bias, eps):
    dx, dgamma, dbeta = layer(dy, x, weight, eps)
    kept = _KEPT.setdefault(x.shape, np.zeros_like(dgamma))
    kept += dgamma
    return dx, kept.copy(), dbeta


@exhibit("x̂ is rebuilt as (y − β)/γ, and γ may be 0", "apex PR#1715", "layer_norm", "it divides by γ", limited=True)
def from_the_output(dy, y, weight, bias, rstd):
    h, g = (y - bias) / weight, dy * weight
    return rstd * (g - m(g) - h * m(g * h)), (dy * h).sum(lead(y)), dy.sum(lead(y))


# Precision, order ----------------------------------------------------------------------------------------------------


@exhibit(
    "The variance as mean(x²) − mean(x)²",
    "pytorch#51102, pytorch#40302, jax#30426, mlx#2238, onnxruntime#21935, onnxruntime#28463",
    "layer_norm",
    "A variance as mean(x²) − mean(x)²",
    dtype="float32",
)
def one_pass(dy, x, weight, bias, eps):
    r = 1 / np.sqrt(m(x * x) - m(x) ** 2 + x.dtype.type(eps))
    h, g = (x - m(x)) * r, dy * weight
    return r * (g - m(g) - h * m(g * h)), (dy * h).sum(lead(x)), dy.sum(lead(x))


@exhibit(
    "ε is 0 in half precision",
    "pytorch#41527, tensorflow PR#24979, keras#22586",
    "layer_norm",
    "whose squares are 0 in float16, as a small ε is",
    dtype="float16",
    eps=1e-12,
)
def eps_in_half(dy, x, weight, bias, eps):
    r = 1 / np.sqrt(x.var(-1, keepdims=True) + x.dtype.type(eps))
    h, g = (x - m(x)) * r, dy * weight
    return r * (g - m(g) - h * m(g * h)), (dy * h).sum(lead(x)), dy.sum(lead(x))


@exhibit(
    "The squares overflow in half precision",
    "onnxruntime#17692, onnxruntime#29034",
    "layer_norm",
    "whose squares float16 does not hold",
    dtype="float16",
)
def squares_in_half(dy, x, weight, bias, eps):
    c = x - m(x)
    r = 1 / np.sqrt((c * c).sum(-1, keepdims=True, dtype=x.dtype) / x.dtype.type(x.shape[-1]) + x.dtype.type(eps))
    h, g = c * r, dy * weight
    return r * (g - m(g) - h * m(g * h)), (dy * h).sum(lead(x)), dy.sum(lead(x))


@exhibit(
    "The length's ε is squared, and is 0 in half precision",
    "keras#23546, keras PR#23566",
    "normalize",
    "whose squares are 0 in float16, as a small ε is",
    dtype="float16",
)
def square_of_eps(dy, x, eps):
    tiny = x.dtype.type(eps)
    n = np.sqrt(np.maximum((x * x).sum(1, keepdims=True, dtype=x.dtype), tiny * tiny))
    y = x / n
    return (dy - y * (dy * y).sum(1, keepdims=True)) / n


@exhibit(
    "Statistics that were saved are constants to the second derivative",
    "pytorch#175754, pytorch#186256",
    "layer_norm",
    "saved",
    order=2,
)
def constants_to_a_second(dy, x, weight, mean, rstd):
    h, g = (x - mean) * rstd, dy * weight
    return rstd * (g - m(g) - h * m(g * h)), (dy * h).sum(0), dy.sum(0)


# The page ------------------------------------------------------------------------------------------------------------


def said(verdict: Verdict) -> list[str]:
    """What the verdict explains, without its measurements, which the machine's last digits change, and without this file's lines."""
    lines = []
    for j in verdict.judgements.values():
        if not j.ok:
            kept = [
                line
                for line in j.lines
                if not line.startswith(("look:", "gave up")) and not re.search(r"\blines? \d|^your \S+ = ", line)
            ]
            lines += [f"{j.symbol} {j.status}: {line}" for line in kept[:3]]
    return lines or [verdict.summary]


def page() -> str:
    named = sum(bool(e.words) for e in EXHIBITS)
    threads = {t for e in EXHIBITS for t in e.threads}
    lines = [
        "# Museum of wrong backwards",
        "",
        f"{len(EXHIBITS)} public mistakes from {len(threads)} threads, each written again in a few lines and judged by `tn.check`: "
        + (
            f"{named} are named, {len(EXHIBITS) - named} are rejected without a name"
            if named < len(EXHIBITS)
            else "all are named"
        )
        + ", none is accepted.",
        "The code is in [tests/check/museum.py](../tests/check/museum.py), which makes this page.",
        "",
    ]
    for e in EXHIBITS:
        lines += [f"## {e.title}", "", f"{', '.join(e.threads)} · `{e.name}`", "", "```text", *said(e.verdict()), "```", ""]
    return "\n".join(lines)


if __name__ == "__main__":
    print(page(), end="")
