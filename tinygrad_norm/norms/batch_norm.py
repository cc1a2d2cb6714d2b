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

from typing import Any

import numpy as np

from ..engine import DTypeError, Op, OptionError, ShapeError, Tensor, describe, scope
from ..engine.functions import floating
from ..engine.primitives import rsqrt
from .arguments import channels, is_analytic, narrow, parameter, per_channel, widen
from .moments import affine, normalization, normalize
from .registry import Norm, by_name, register

ANALYTIC = normalization("batch_norm", "BatchNorm({0})")


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

    Returns a tensor of the input's shape. Raises ``ShapeError`` where shapes do not fit and for a single value per
    channel in training, ``DTypeError`` for an integer input.
    """
    check_momentum("batch_norm", momentum_of, running_mean, running_var)
    is_analytic("batch_norm", backward)  # said before anything is updated
    x = floating(input, "batch_norm")
    c, spread = channels("batch_norm", x)
    of = f"{c} channels"
    w, b = (per_channel(parameter("batch_norm", n, p, (c,), of), spread) for n, p in (("weight", weight), ("bias", bias)))
    if (running_mean is None) != (running_var is None):
        raise ShapeError("batch_norm: running_mean and running_var go together; one of them is None.")
    m, v = (parameter("batch_norm", n, p, (c,), of) for n, p in (("running_mean", running_mean), ("running_var", running_var)))
    if not training and m is not None and v is not None:
        return _with_fixed_statistics(
            x, per_channel(as_it_is_now(m), spread), per_channel(as_it_is_now(v), spread), w, b, eps, backward
        )
    axis = (0, *range(2, x.ndim))
    several_values(x, axis, "batch_norm")
    if training and m is not None:
        update_running(x, axis, running_mean, running_var, momentum, momentum_of, running_correction)
    return normalize(ANALYTIC, x, w, b, axis, eps, backward)


def several_values(x: Tensor, axis: tuple[int, ...], name: str) -> None:
    """``ShapeError`` where the statistics of a channel would be those of one value."""
    if x.size and np.prod([x.shape[a] for a in axis]) == 1:
        raise ShapeError(
            f"{name}: input {describe(x)}: Expected more than 1 value per channel when training. One value is its own mean, so y "
            "would be β whatever x is. Take a larger batch, or training=False with running statistics."
        )


# Running statistics: outside the record, as in every framework --------------------------------------------------


def check_momentum(name: str, momentum_of: str, *running: Any) -> None:
    """``OptionError`` for a convention that there is not, ``DTypeError`` for statistics that cannot be updated."""
    if momentum_of not in ("new", "old"):
        raise OptionError(f'{name}: momentum_of={momentum_of!r}; it is "new" (PyTorch) or "old" (Keras, Flax, ONNX).')
    for statistic in running:
        if not (statistic is None or isinstance(statistic, (Tensor, np.ndarray))):
            raise DTypeError(
                f"{name}: running statistics are tensors or arrays, which can be updated, not {type(statistic).__name__}."
            )


def update_running(
    x: Tensor, axis: tuple[int, ...], running_mean: Any, running_var: Any, momentum: float, momentum_of: str, correction: float
) -> None:
    """Move the running statistics towards those of x. They are of shape (C,); where the moments leave other axes besides
    the channels' (InstanceNorm), these are averaged over."""
    if not x.size:
        return
    share = momentum if momentum_of == "new" else 1 - momentum
    data = x.data.astype(np.float64)
    count = int(np.prod([x.shape[a] for a in axis]))
    mean = data.mean(axis, keepdims=True)
    var = ((data - mean) ** 2).sum(axis, keepdims=True) / (count - correction)
    others = tuple(a for a in range(x.ndim) if a != 1)
    for running, new in ((running_mean, mean), (running_var, var)):
        blend(running, new.mean(others), share)


def blend(running: Any, new: Any, share: float) -> None:
    """running ← (1 − share)·running + share·new, in place; a tensor is given new data, an older record keeps the old."""
    if isinstance(running, Tensor):
        running.data = ((1 - share) * running.data + share * new).astype(running.dtype)
    else:
        running[...] = (1 - share) * running + share * new


def as_it_is_now(statistic: Tensor) -> Tensor:
    """Apart from the buffer, which may get new data before the record goes backward."""
    return statistic if statistic.requires_grad else Tensor(np.array(statistic.data)).named(statistic.name or "")


# Inference ------------------------------------------------------------------------------------------------------


def _with_fixed_statistics(x: Tensor, m: Any, v: Any, w: Tensor | None, b: Tensor | None, eps: float, backward: str) -> Tensor:
    if is_analytic("batch_norm", backward):
        xhat = FIXED(widen(x), m, v, eps=eps)
    else:
        with scope("running statistics"):
            rstd = rsqrt(widen(v) + eps).named("rstd")
        with scope("normalize"):
            xhat = ((widen(x) - m) * rstd).named("x̂")
    y: Tensor = narrow(affine(xhat, w, b), x)
    return y


def _fixed(x: Any, m: Any, v: Any, eps: float) -> Any:
    return narrow((widen(x) - m) * rsqrt(widen(v) + eps), x)


FIXED = Op(
    "batch_norm",
    "BatchNorm({0})",
    _fixed,
    (
        lambda g, out, x, m, v, eps: g * rsqrt(widen(v) + eps),
        lambda g, out, x, m, v, eps: -g * rsqrt(widen(v) + eps),
        lambda g, out, x, m, v, eps: -0.5 * g * (widen(x) - m) * rsqrt(widen(v) + eps) ** 3,
    ),
)


# What the rest of the house asks --------------------------------------------------------------------------------


def _parameters(shape: tuple[int, ...], training: bool = True, **options: Any) -> dict[str, tuple[int, ...]]:
    c = shape[1:2]
    return {"weight": c, "bias": c} if training else {"weight": c, "bias": c, "running_mean": c, "running_var": c}


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
        min_ndim=2,
        projects=True,
        formula="y = γ·(x − μ)/√(σ² + ε) + β, μ and σ² over the batch",
        backward_formula="dx = rstd·(g − mean(g) − x̂·mean(g·x̂)),  g = dy·γ,  dγ = Σ dy·x̂,  dβ = Σ dy,  over the batch",
        references=("Ioffe, Szegedy 2015, Batch Normalization, arXiv:1502.03167",),
    )
)
