"""BatchNorm: each channel is centred and scaled by its own mean and variance over the batch and all places.

    training    μ, σ² = mean and variance of the batch      y = γ·(x − μ)/√(σ² + ε) + β
    inference   the running mean m and variance v instead   y = γ·(x − m)/√(v + ε) + β

Axes        all but axis 1: (N, C) or (N, C, *). M = N·L·… values per channel, at least 2 in training
ε           inside the root; default 1e-5 (PyTorch, Flax, ONNX), Keras 1e-3
variance    biased for normalizing, everywhere. The *running* variance is unbiased, M/(M − 1)·σ², in PyTorch and in the
            paper; biased in Keras 3, Flax and ONNX: ``running_correction=0``
momentum    the weight of the new value in PyTorch (0.1); of the old one in Keras, Flax (0.99) and ONNX (0.9):
            ``momentum_of="old"``
γ, β        of shape (C,), each optional
m, v        of shape (C,): updated in training, outside the record. Without them, inference uses the batch, too

Backward, with g = dy·γ; training, rstd = 1/√(σ² + ε), means over the batch and all places:

    dx = rstd·(g − mean(g) − x̂·mean(g·x̂))        dγ = Σ dy·x̂        dβ = Σ dy

inference, rstd = 1/√(v + ε), where nothing couples the samples:

    dx = rstd·g        dγ = Σ dy·(x − m)·rstd        dβ = Σ dy        dm = −rstd·Σ g        dv = −½·rstd³·Σ g·(x − m)

A record of inference keeps the statistics it was made with, even if they are updated before it goes backward.

Source: Ioffe, Szegedy 2015, "Batch Normalization" (arXiv:1502.03167), algorithms 1 and 2.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..engine import DTypeError, InPlaceError, Op, OptionError, ShapeError, Tensor, describe, scope
from ..engine.arguments import floating
from ..engine.primitives import rsqrt
from .arguments import (
    affine_pair,
    channels,
    choice,
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
from .moments import affine, batch_moments, normalization, normalize, pull_standardize
from .registry import KnownMistake, Norm, by_name, register

ANALYTIC = normalization("batch_norm", "BatchNorm({0})")


@scope("BatchNorm")
def batch_norm(
    input: Tensor,
    running_mean: Any = None,
    running_var: Any = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
    backward: str = "recorded",
    *,
    momentum_of: str = "new",
    running_correction: float = 1,
) -> Tensor:
    """BatchNorm of (N, C) or (N, C, *), with PyTorch's signature; see the file's head for the formula.

    running_mean, running_var:  m and v, shape (C,), tensors or arrays; in training they are updated in place
    weight, bias:               γ and β, shape (C,), or None
    training:                   normalize by the batch; False: by m and v, or by the batch where they are None
    momentum:                   the weight of the batch's statistics in the running ones
    momentum_of:                "new", or "old": ``momentum`` is the weight of what there was before
    running_correction:         1: the running variance is the unbiased one; 0: the biased
    backward:                   "recorded" or "analytic"

    Returns a tensor of the input's shape and dtype, whatever that of m and v. Raises ``ShapeError`` where shapes do not fit
    and for a single value per channel in training, ``DTypeError`` for an integer input, ``OptionError`` for an option that
    is none, ``InPlaceError`` for statistics that cannot be updated. A call that raises has changed nothing.
    """
    is_analytic("batch_norm", backward)
    eps, training = number("batch_norm", "eps", eps, 0), flag("batch_norm", "training", training)
    how = check_running("batch_norm", momentum, momentum_of, running_correction, training, running_mean, running_var)
    x = floating(input, "batch_norm")
    c, spread = channels("batch_norm", x)
    of = f"{c} channels"
    w, b = affine_pair("batch_norm", x, weight, bias, (c,), of, spread)
    if (running_mean is None) != (running_var is None):
        raise ShapeError("batch_norm: running_mean and running_var go together; one of them is None.")
    m, v = (
        parameter("batch_norm", "running_mean", running_mean, (c,), of),
        parameter("batch_norm", "running_var", running_var, (c,), of),
    )
    if not training and m is not None and v is not None:
        m, v = (per_channel(as_it_is_now(t, x), spread) for t in (m, v))
        return _with_fixed_statistics(x, m, v, w, b, eps, backward)
    axis = (0, *range(2, x.ndim))
    several_values(x, axis, "batch_norm")
    y = normalize(ANALYTIC, x, w, b, axis, eps, backward)
    if training and m is not None:
        update_running("batch_norm", x, axis, running_mean, running_var, *how)
    return y


# Running statistics: outside the record, as in every framework --------------------------------------------------


def check_running(
    name: str, momentum: Any, momentum_of: Any, correction: Any, training: bool, *running: Any
) -> tuple[float, float]:
    """The weight of the new value, and what is taken from the count for the running variance. Raises, before anything is
    changed, where one of them is none; with ``training`` also where a statistic cannot be updated."""
    momentum, correction = number(name, "momentum", momentum), number(name, "running_correction", correction)
    choice(name, "momentum_of", momentum_of, ("new", "old"))  # PyTorch; Keras, Flax, ONNX
    updatable(name, training, *running)
    return (momentum if momentum_of == "new" else 1 - momentum), correction


def updatable(name: str, training: bool, *running: Any) -> None:
    """``DTypeError`` for running statistics that are neither tensors nor arrays; in training ``InPlaceError`` for those that
    cannot be given new values."""
    for statistic in running:
        if not (statistic is None or isinstance(statistic, (Tensor, np.ndarray))):
            raise DTypeError(
                f"{name}: running statistics are tensors or arrays, which can be updated, not {type(statistic).__name__}."
            )
        if training and isinstance(statistic, Tensor) and statistic.op is not None:
            raise InPlaceError(
                f"{name}: the running statistic {describe(statistic)} was computed by {statistic.op.name}; training updates it, "
                "and only leaves can be given new data. Pass statistic.detach(), and keep that."
            )
        if training and isinstance(statistic, np.ndarray) and not statistic.flags.writeable:
            raise InPlaceError(
                f"{name}: the running statistic {describe(statistic)} is a read-only array; training updates it. Pass a copy of "
                "it, np.array(statistic), and keep that; or the tensor itself, not its data."
            )


def update_running(
    name: str, x: Tensor, axis: tuple[int, ...], running_mean: Any, running_var: Any, share: float, correction: float
) -> None:
    """Move the running statistics towards those of x. They are of shape (C,); where the moments leave other axes besides
    the channels' (InstanceNorm), these are averaged over."""
    if not x.size:
        return
    count = math.prod([x.shape[a] for a in axis])
    if not correction < count:
        raise OptionError(
            f"{name}: running_correction={correction:g} for input {describe(x)}: the running variance is divided by the number of "
            f"values, {count}, less that; it must be below. 1 is the unbiased one, 0 the biased."
        )
    mean, square = batch_moments(x.data, axis)
    others = tuple(a for a in range(x.ndim) if a != 1)
    for running, new in ((running_mean, mean), (running_var, square / (count - correction))):
        blend(running, new.mean(others), share)


def blend(running: Any, new: Any, share: float) -> None:
    """running ← (1 − share)·running + share·new, in place; a tensor is given new data, an older record keeps the old."""
    if isinstance(running, Tensor):
        running.data = ((1 - share) * running.data + share * new).astype(running.dtype)
    else:
        running[...] = (1 - share) * running + share * new


def as_it_is_now(statistic: Tensor, x: Tensor) -> Tensor:
    """Apart from the buffer, which may get new data before the record goes backward; and in the dtype computed in, so that
    float64 statistics leave a float32 input float32."""
    now = statistic if statistic.requires_grad else Tensor(np.array(statistic.data)).named(statistic.name or "")
    dtype = wide_dtype(x)
    return now if dtype.kind == "c" or now.dtype == dtype else now.astype(dtype).named(now.name or "")


# Inference ------------------------------------------------------------------------------------------------------


def _with_fixed_statistics(x: Tensor, m: Any, v: Any, w: Tensor | None, b: Tensor | None, eps: float, backward: str) -> Tensor:
    if is_analytic("batch_norm", backward):
        xhat = node_for(FIXED, backward)(widen(x), m, v, eps=eps)
    else:
        with scope("running statistics"):
            rstd = rsqrt(v + eps).named("rstd")
        with scope("normalize"):
            xhat = ((widen(x) - m) * rstd).named("x̂")
    y: Tensor = narrow(affine(xhat, w, b), x)
    return y


FIXED = Op(
    "batch_norm",
    "BatchNorm({0})",
    lambda x, m, v, eps: (x - m) * rsqrt(v + eps),
    (
        lambda g, out, x, m, v, eps: g * rsqrt(v + eps),
        lambda g, out, x, m, v, eps: -g * rsqrt(v + eps),
        lambda g, out, x, m, v, eps: -0.5 * g * out / (v + eps),
    ),
)
"""x̂ by given statistics, all of it in the dtype computed in."""


# What the rest of the house asks --------------------------------------------------------------------------------


def _parameters(shape: tuple[int, ...], training: bool = True, **options: Any) -> dict[str, tuple[int, ...]]:
    c = shape[1:2]
    return {"weight": c, "bias": c} if training else {"weight": c, "bias": c, "running_mean": c, "running_var": c}


def _as_in_training(inputs: Mapping[str, Any], dy: Any, training: bool, eps: float) -> dict[str, Any] | None:
    """The training formula, with the running statistics."""
    if training:
        return None
    x, spread = inputs["input"], (-1, *(1,) * (dy.ndim - 2))
    axis = (0, *range(2, x.ndim))
    rstd = 1 / np.sqrt(inputs["running_var"].reshape(spread) + eps)
    xhat = (x - inputs["running_mean"].reshape(spread)) * rstd
    return {"input": pull_standardize(dy * inputs["weight"].reshape(spread), xhat, rstd, axis)}


def _saved(inputs: Mapping[str, Any], training: bool, **_: Any) -> dict[str, Any]:
    """In training the running statistics are there, and of no use to a backward."""
    c = inputs["input"].shape[1]
    return {"running_mean": np.linspace(-1, 1, c), "running_var": np.linspace(0.5, 2, c)} if training else {}


NORM = register(
    Norm(
        name="batch_norm",
        title="BatchNorm",
        apply=by_name(batch_norm),
        parameters=_parameters,
        symbols={"input": "x", "weight": "γ", "bias": "β", "running_mean": "m", "running_var": "v"},
        options={"training": True, "eps": 1e-5},
        samples=({"shape": (3, 2, 4)}, {"shape": (3, 2, 2, 3), "eps": 0.3}, {"shape": (4, 3, 2), "training": False}),
        draw={"running_var": lambda rng, shape: rng.uniform(0.5, 2, shape)},
        saved=_saved,
        min_ndim=2,
        mistakes=(
            KnownMistake(
                "the training formula in inference",
                "dx is that of training, with running statistics: in inference they are constants, and nothing couples the samples",
                "dx = dy·γ/√(v + ε)",
                _as_in_training,
            ),
        ),
        projects=True,
        formula="y = γ·(x − μ)/√(σ² + ε) + β, μ and σ² over the batch",
        backward_formula="dx = rstd·(g − mean(g) − x̂·mean(g·x̂)),  g = dy·γ,  dγ = Σ dy·x̂,  dβ = Σ dy,  over the batch",
        references=("Ioffe, Szegedy 2015, Batch Normalization, arXiv:1502.03167",),
    )
)
