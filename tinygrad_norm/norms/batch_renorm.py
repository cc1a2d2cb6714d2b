"""Batch Renormalization: BatchNorm in training, corrected so that it computes what inference will.

    training    σ_B = √(σ² + ε)    r = clip(σ_B/s, 1/rmax, rmax)    d = clip((μ_B − m)/s, −dmax, dmax)
                y = γ·(x̂_B·r + d) + β,   x̂_B = (x − μ_B)/σ_B
    inference   y = γ·(x − m)/s + β

r and d are *held constant*: they are computed from the batch, but no gradient flows through them. Where nothing is clipped,
x̂_B·r + d is (x − m)/s, so that training and inference compute the same; rmax = 1, dmax = 0 is BatchNorm.

Axes        all but axis 1: (N, C) or (N, C, *), at least 2 values per channel in training
ε           inside the root, and so part of every standard deviation, of the running one, too; default 1e-5, Keras 1e-3.
            s counts as at least √ε (as in Keras), which it is if it was made by averaging
variance    biased, in σ_B and therefore in s
m, s        of shape (C,): running mean and *standard deviation* (of σ_B itself; Keras derives its variance as s² − ε).
            In training they are updated after r and d were taken, outside the record. Without them r = 1 and d = 0
momentum    the weight of the new value, the paper's α = 0.01 (PyTorch's convention); Keras' ``renorm_momentum`` = 0.99 is
            the weight of the old. (Keras keeps two pairs of statistics, one for r and d and one for inference)
rmax, dmax  3 and 5 at the end of the paper's training, 1 and 0 at its beginning: see ``tn.nn.BatchRenorm1d``. Keras does
            not clip unless told to, and takes rmin apart from 1/rmax

Backward, with g = dy·γ, means over the batch and all places; note x̂_B, not x̂, in the projection:

    training    dx = (r/σ_B)·(g − mean(g) − x̂_B·mean(g·x̂_B))    dγ = Σ dy·(x̂_B·r + d)    dβ = Σ dy
    inference   dx = g/s    dγ = Σ dy·(x − m)/s    dβ = Σ dy    dm = −Σ g/s    ds = −Σ g·(x − m)/s²

Source: Ioffe 2017, "Batch Renormalization" (arXiv:1702.03275), algorithm 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..engine import Op, ShapeError, Tensor, scope
from ..engine.arguments import floating
from ..engine.primitives import maximum
from ..engine.state import sure
from .arguments import (
    affine_inputs,
    affine_pair,
    channels,
    flag,
    is_analytic,
    narrow,
    node_for,
    number,
    parameter,
    per_channel,
    several_values,
    wide_dtype,
    widen,
)
from .batch_norm import as_it_is_now, blend, updatable
from .moments import affine, batch_moments, of_nothing, pull_shift, pull_standardize, record, standardize
from .registry import Norm, by_name, register


@scope("BatchRenorm")
def batch_renorm(
    input: Tensor,
    running_mean: Any = None,
    running_std: Any = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.01,
    eps: float = 1e-5,
    rmax: float = 3.0,
    dmax: float = 5.0,
    backward: str = "recorded",
) -> Tensor:
    """Batch Renormalization of (N, C) or (N, C, *); see the file's head for the formula.

    running_mean, running_std:  m and s, shape (C,), tensors or arrays; in training they are updated in place
    weight, bias:               γ and β, shape (C,), or None
    training:                   normalize by the batch, corrected by r and d; False: by m and s, or by the batch where they
                                are None
    momentum:                   the weight of the batch's statistics in the running ones
    rmax, dmax:                 r stays within [1/rmax, rmax], d within [−dmax, dmax]; ``inf``: no bound
    backward:                   "recorded" or "analytic"

    Returns a tensor of the input's shape; float16 computes in float32. Raises ``ShapeError`` where shapes do not fit and for
    a single value per channel in training, ``DTypeError`` for an integer input, ``OptionError`` for rmax < 1 or dmax < 0,
    ``InPlaceError`` for statistics that cannot be updated. A call that raises has changed nothing.
    """
    is_analytic("batch_renorm", backward)
    eps, momentum = number("batch_renorm", "eps", eps, 0), number("batch_renorm", "momentum", momentum)
    for what, bound, least in (("rmax", rmax, 1), ("dmax", dmax, 0)):  # 1 and 0: BatchNorm
        number("batch_renorm", what, bound, least)
    training = flag("batch_renorm", "training", training)
    updatable("batch_renorm", training, running_mean, running_std)
    x = floating(input, "batch_renorm")
    c, spread = channels("batch_renorm", x)
    of = f"{c} channels"
    w, b = affine_pair("batch_renorm", x, weight, bias, (c,), of, spread)
    if (running_mean is None) != (running_std is None):
        raise ShapeError("batch_renorm: running_mean and running_std go together; one of them is None.")
    m, s = (parameter("batch_renorm", n, p, (c,), of) for n, p in (("running_mean", running_mean), ("running_std", running_std)))
    if not training and m is not None and s is not None:
        m, s = (per_channel(as_it_is_now(t, x), spread) for t in (m, s))
        return _with_fixed_statistics(x, m, _divisor(s, eps), w, b, backward)
    if not x.size:
        return of_nothing(x, w, b)
    axis = (0, *range(2, x.ndim))
    several_values(x, axis, "batch_renorm", "no gradient would reach x")
    if m is None or s is None:
        y = _by_the_batch(x, w, b, axis, eps, backward, 1.0, 0.0)
    else:
        mean, square = batch_moments(x.data, axis)
        std = np.sqrt(square * (c / x.size) + eps)
        divisor = np.maximum(s.data.astype(np.float64), np.sqrt(eps)).reshape(mean.shape)
        r = np.clip(std / divisor, 1 / rmax, rmax)
        d = np.clip((mean - m.data.reshape(mean.shape)) / divisor, -dmax, dmax)
        y = _by_the_batch(x, w, b, axis, eps, backward, r, d)
        blend(running_mean, mean.reshape(c), momentum)
        blend(running_std, std.reshape(c), momentum)
    return y


def _by_the_batch(
    x: Tensor, w: Tensor | None, b: Tensor | None, axis: tuple[int, ...], eps: float, backward: str, r: Any, d: Any
) -> Tensor:
    """r and d are numbers to whoever differentiates, which is what the paper's stop_gradient says."""
    stat = tuple(1 if a in axis else n for a, n in enumerate(x.shape))
    r, d = (Tensor(np.broadcast_to(p, stat).astype(wide_dtype(x), order="C"), name=name) for p, name in ((r, "r"), (d, "d")))
    if is_analytic("batch_renorm", backward):
        return node_for(TRAINING, backward)(x, r, d, *affine_inputs(w, b), axis=axis, eps=eps)  # type: ignore[no-any-return]
    xhat = record(widen(x), axis, eps).named("x̂_B")
    with scope("renormalize"):
        xhat = (xhat * r + d).named("x̂")
    y: Tensor = narrow(affine(xhat, w, b), x)
    return y


# Training, by hand: r and d have no rule, so nothing can flow to them ------------------------------------------


def _forward(x: Any, r: Any, d: Any, w: Any = 1.0, b: Any = 0.0, *, axis: tuple[int, ...], eps: float) -> Any:
    return narrow((standardize(x, axis, eps)[0] * r + d) * w + b, x)


def _dx(g: Any, out: Any, x: Any, r: Any, d: Any, w: Any = 1.0, b: Any = 0.0, *, axis: tuple[int, ...], eps: float) -> Any:
    xhat, rstd = standardize(x, axis, eps)
    return r * pull_standardize(widen(g) * w, xhat, rstd, axis)


def _dw(g: Any, out: Any, x: Any, r: Any, d: Any, w: Any, b: Any = 0.0, *, axis: tuple[int, ...], eps: float) -> Any:
    return widen(g) * (standardize(x, axis, eps)[0] * r + d)


TRAINING = Op("batch_renorm", "BatchRenorm({0})", _forward, (_dx, None, None, _dw, pull_shift))


# Inference ------------------------------------------------------------------------------------------------------


def _divisor(s: Any, eps: float) -> Any:
    """s, at least √ε; the guard is on the record only where it does something."""
    least = float(np.sqrt(eps))
    return s if sure(np.all(s.data >= least)) else maximum(s, least)


def _with_fixed_statistics(x: Tensor, m: Any, s: Any, w: Tensor | None, b: Tensor | None, backward: str) -> Tensor:
    if is_analytic("batch_renorm", backward):
        xhat = node_for(FIXED, backward)(widen(x), m, s)  # all of it in the dtype computed in
    else:
        with scope("normalize"):
            xhat = ((widen(x) - m) / s).named("x̂")
    y: Tensor = narrow(affine(xhat, w, b), x)
    return y


FIXED = Op(
    "batch_renorm",
    "BatchRenorm({0})",
    lambda x, m, s: (x - m) / s,
    (
        lambda g, out, x, m, s: g / s,
        lambda g, out, x, m, s: -g / s,
        lambda g, out, x, m, s: -g * (x - m) / s**2,
    ),
)


# What the rest of the house asks --------------------------------------------------------------------------------


def _parameters(shape: tuple[int, ...], training: bool = True, **options: Any) -> dict[str, tuple[int, ...]]:
    c = shape[1:2]
    return {"weight": c, "bias": c} if training else {"weight": c, "bias": c, "running_mean": c, "running_std": c}


def _apply(inputs: Mapping[str, Tensor], backward: str = "recorded", training: bool = True, **options: Any) -> Tensor:
    """In training m and s enter by r and d only, which are constants; they are therefore no inputs here but made up, so
    that every channel has an r and a d of its own."""
    if not training:
        return by_name(batch_renorm)(inputs, backward, **options)
    x = inputs["input"]
    m, s = (np.linspace(*ends, x.shape[1], dtype=wide_dtype(x)) for ends in ((-0.5, 0.5), (0.5, 1.5)))
    return batch_renorm(x, m, s, inputs["weight"], inputs["bias"], training=True, backward=backward, **options)


NORM = register(
    Norm(
        name="batch_renorm",
        title="BatchRenorm",
        apply=_apply,
        parameters=_parameters,
        symbols={"input": "x", "weight": "γ", "bias": "β", "running_mean": "m", "running_std": "s"},
        options={"training": True, "eps": 1e-5, "rmax": 3.0, "dmax": 5.0},
        samples=(
            {"shape": (3, 2, 4)},
            {"shape": (4, 3, 2, 3), "eps": 0.3, "rmax": 1.2, "dmax": 0.1},
            {"shape": (5, 3), "rmax": 1.0, "dmax": 0.0},
            {"shape": (4, 3, 2), "training": False},
        ),
        draw={"running_std": lambda rng, shape: rng.uniform(0.5, 2, shape)},
        min_ndim=2,
        projects=True,
        formula="y = γ·(r·(x − μ)/σ + d) + β, σ = √(variance + ε), over the batch; r = σ/s, d = (μ − m)/s clipped and constant",
        backward_formula="dx = (r/σ)·(g − mean(g) − x̂·mean(g·x̂)),  x̂ = (x − μ)/σ,  g = dy·γ,  dγ = Σ dy·(r·x̂ + d), dβ = Σ dy",
        references=("Ioffe 2017, Batch Renormalization, arXiv:1702.03275",),
    )
)
