"""Public mistakes in backwards of normalizations, each in a few lines of our own, with the thread that reports it.

What is kept is the kind of mistake, not the code: none of it is copied. The page is made by
``python -m tests.check.museum > docs/museum.md``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import tinygrad_norm as tn
from tinygrad_norm.check.verdict import Verdict

EXHIBITS: list[Exhibit] = []
SMALL = "no probe in half precision is constant, tiny or huge"


@dataclass(frozen=True)
class Exhibit:
    """One mistake: what went wrong, the threads that report it, and the words by which the verdict names it.

    words:  what has to occur in the verdict, all of it; none: it is rejected, but nothing is named yet
    passes: why it is not even rejected yet; empty: it is
    """

    title: str
    threads: tuple[str, ...]
    norm: Any
    candidate: Callable[..., Any]
    words: tuple[str, ...]
    passes: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.candidate.__name__

    def verdict(self) -> Verdict:
        with np.errstate(all="ignore"):
            return tn.check(self.candidate, self.norm, **self.options)


def exhibit(title: str, threads: str, norm: Any, *words: str, passes: str = "", **options: Any) -> Callable[[Any], Any]:
    def put(candidate: Any) -> Any:
        EXHIBITS.append(Exhibit(title, tuple(threads.split(", ")), norm, candidate, words, passes, options))
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


@exhibit("The backward multiplies by γ where the forward multiplies by γ + 1", "TransformerEngine PR#67", zero_centred, **_ROWS)
def one_forgotten(dy, x, weight):
    return rms(dy, x, weight, 1e-6)


# A statistic ---------------------------------------------------------------------------------------------------------


@exhibit("LayerNorm with the unbiased variance", "LBANN PR#2024", "layer_norm", "N − 1 = 7 for N")
def unbiased_layer(dy, x, weight, bias, eps):
    return layer(dy, x, weight, eps, ddof=1)


@exhibit("InstanceNorm with the unbiased variance", "LBANN PR#2024", "instance_norm", "N − 1 = 14 for N", shape=(2, 4, 3, 5))
def unbiased_instance(dy, x, weight, bias, eps):
    return images(dy, x, weight, eps, (2, 3), ddof=1)


@exhibit(
    "ε added to σ, outside the root",
    "pyg PR#2917, keras#2960, Flux#2096",
    "layer_norm",
    "ε was added to the standard deviation, outside the root",
)
def eps_outside(dy, x, weight, bias, eps):
    s = x.std(-1, keepdims=True) + eps
    h, g = (x - m(x)) / s, dy * weight
    return (g - m(g) - h * m(g * h)) / s, (dy * h).sum(lead(x)), dy.sum(lead(x))


@exhibit(
    "BatchNorm's backward in inference is that of training",
    "pytorch/xla#913, pytorch#586, pytorch PR#2278",
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
    training=False,
    shape=(2, 4, 3, 5),
)
def changed_since(dy, x, weight, running_mean, running_var, eps):
    mean = 0.9 * running_mean + 0.1 * x.mean(ALL)
    r = 1 / np.sqrt(0.9 * running_var + 0.1 * x.var(ALL, ddof=1) + eps)
    h = (x - mean[:, None, None]) * r[:, None, None]
    return dy * (weight * r)[:, None, None], (dy * h).sum(ALL), dy.sum(ALL)


@exhibit("NaN where a row is constant: the derivative of a root at 0", "pytorch#4320, jax#11716, burn#1992", "layer_norm")
def root_at_zero(dy, x, weight, bias, eps):
    s = np.sqrt(x.var(-1, keepdims=True))
    h, g = (x - m(x)) / (s + eps), dy * weight
    dx = (g - m(g)) / (s + eps) - (x - m(x)) * m(g * (x - m(x))) / ((s + eps) ** 2 * s)
    return dx, (dy * h).sum(lead(x)), dy.sum(lead(x))


# An index, a shape ---------------------------------------------------------------------------------------------------


@exhibit(
    "GroupNorm's dγ reads the statistics of group c mod G", "tt-metal PR#56202", "group_norm", num_groups=2, shape=(2, 6, 3, 3)
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
    "onnx#5466, onnx PR#5808",
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
    "2.667 times",
    shape=(2, 3, 8),
)
def hidden_size(dy, x, weight, bias, eps):
    r, n = 1 / np.sqrt(x.var(-1, keepdims=True) + eps), x.shape[1]
    h, g = (x - m(x)) * r, dy * weight
    dx = r * (g - g.sum(-1, keepdims=True) / n - h * (g * h).sum(-1, keepdims=True) / n)
    return dx, (dy * h).sum(lead(x)), dy.sum(lead(x))


@exhibit("Rows are counted in too few bits: here from 256 on, there from 65,536", "apex#411, apex PR#412", "layer_norm")
def index_overflows(dy, x, weight, bias, eps):
    dx, dgamma, dbeta = layer(dy, x, weight, eps)
    rows = dx.reshape(-1, x.shape[-1])
    out = np.zeros_like(rows)
    for i in range(len(rows)):
        out[i % 256] = rows[i]
    return out.reshape(x.shape), dgamma, dbeta


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
    "candle PR#3613, candle PR#3011, aprender PR#2196, unsloth#4533, cs249r_book PR#1504",
    "rms_norm",
    eps=1e-6,
)
def tape_cut(dy, x, weight, eps):
    return rms(dy, x, weight, eps)[0], None


@exhibit(
    "The backward reads memory, not axes: channels last",
    "pytorch#140913, pytorch#115940, pytorch#111824, pytorch#107199",
    "layer_norm",
    passes="the answer for transposed input differs, which is a note and no verdict",
)
def reads_memory(dy, x, weight, bias, eps):
    dx, dgamma, dbeta = layer(dy, x, weight, eps)
    return dx.ravel(order="K").reshape(x.shape), dgamma, dbeta


@exhibit("x̂ is rebuilt as (y − β)/γ, and γ may be 0", "apex PR#1715", "layer_norm")
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
    dtype="float16",
    passes=SMALL,
    eps=1e-12,
)
def eps_in_half(dy, x, weight, bias, eps):
    r = 1 / np.sqrt(x.var(-1, keepdims=True) + x.dtype.type(eps))
    h, g = (x - m(x)) * r, dy * weight
    return r * (g - m(g) - h * m(g * h)), (dy * h).sum(lead(x)), dy.sum(lead(x))


@exhibit(
    "The squares overflow in half precision", "onnxruntime#17692, onnxruntime#29034", "layer_norm", dtype="float16", passes=SMALL
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
    dtype="float16",
    passes=SMALL,
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
    """What the verdict explains, without its measurements, which the machine's last digits change."""
    lines = []
    for j in verdict.judgements.values():
        if not j.ok:
            kept = [line for line in j.lines if not line.startswith(("your ", "look:", "gave up"))]
            lines += [f"{j.symbol} {j.status}: {line}" for line in kept[:3]]
    return lines or [f"not seen: {verdict.summary}"]


def page() -> str:
    named = sum(bool(e.words) for e in EXHIBITS)
    passing = sum(bool(e.passes) for e in EXHIBITS)
    threads = {t for e in EXHIBITS for t in e.threads}
    lines = [
        "# Museum of wrong backwards",
        "",
        f"{len(EXHIBITS)} public mistakes from {len(threads)} threads, each written again in a few lines and judged by `tn.check`: "
        f"{named} are named, {len(EXHIBITS) - named - passing} are rejected without a name, {passing} are not seen.",
        "The code is in [tests/check/museum.py](../tests/check/museum.py), which makes this page.",
        "",
    ]
    for e in EXHIBITS:
        lines += [f"## {e.title}", "", f"{', '.join(e.threads)} · `{e.name}`", "", "```text", *said(e.verdict()), "```", ""]
        lines += [f"Not seen, because {e.passes}.", ""] if e.passes else []
    return "\n".join(lines)


if __name__ == "__main__":
    print(page(), end="")
