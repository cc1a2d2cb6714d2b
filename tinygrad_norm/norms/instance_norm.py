"""InstanceNorm: each channel of each sample is centred and scaled by its own mean and variance over all places.

    y = γ·(x − μ)/√(σ² + ε) + β      μ, σ² of each (n, c) over the places; with running statistics, in inference: m and v

Axes        all but the first two: (N, C, *), and at least 2 places
ε           inside the root; default 1e-5 (PyTorch, ONNX), Flax 1e-6, Keras 1e-3 (as ``GroupNormalization(groups=-1)``)
variance    biased for normalizing. The *running* variance takes each instance's unbiased one, averaged over the batch (not
            the variance of the whole batch, which is BatchNorm's); ``running_correction=0`` averages the biased ones
γ, β        of shape (C,), each optional. PyTorch's module has none unless asked, Flax's has, ONNX's operator must have
m, v        of shape (C,), seldom wanted: the point is that an instance is normalized by itself, in inference, too

It is GroupNorm with G = C, BatchNorm of the batch folded into the channels, (1, N·C, *), and without γ and β
LayerNorm over the places. Backward, with g = dy·γ:

    dx = rstd·(g − mean(g) − x̂·mean(g·x̂))      means over the places of each (n, c)
    dγ = Σ dy·x̂        dβ = Σ dy                sums over the batch and all places

and by running statistics as BatchNorm's inference, dx = g/√(v + ε).

Source: Ulyanov, Vedaldi, Lempitsky 2016, "Instance Normalization: The Missing Ingredient for Fast Stylization"
(arXiv:1607.08022), eq. 3.
"""

from __future__ import annotations

import math
from typing import Any

from ..engine import ShapeError, Tensor, describe, scope
from ..engine.arguments import floating
from .arguments import affine_pair, channels, flag, is_analytic, number, parameter, per_channel
from .batch_norm import batch_norm, check_running, update_running
from .moments import normalization, normalize
from .registry import Norm, by_name, register

ANALYTIC = normalization("instance_norm", "InstanceNorm({0})")


@scope("InstanceNorm")
def instance_norm(
    input: Tensor,
    running_mean: Any = None,
    running_var: Any = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
    backward: str = "recorded",
    *,
    momentum_of: str = "new",
    running_correction: float = 1,
) -> Tensor:
    """InstanceNorm of (N, C, *), with PyTorch's signature; see the file's head for the formula.

    running_mean, running_var:  m and v, shape (C,), tensors or arrays; with ``use_input_stats`` they are updated in place
    weight, bias:               γ and β, shape (C,), or None
    use_input_stats:            normalize each instance by itself; False: by m and v, as BatchNorm in inference
    momentum, momentum_of, running_correction:  how m and v are updated, as in ``batch_norm``
    backward:                   "recorded" or "analytic"

    Returns a tensor of the input's shape. Raises ``ShapeError`` where shapes do not fit, for a single place per instance, and
    where statistics are wanted that are not there; ``DTypeError`` for an integer input.
    """
    x = floating(input, "instance_norm")
    is_analytic("instance_norm", backward)
    c, spread = channels("instance_norm", x, 3)
    of = f"{c} channels"
    w, b = affine_pair("instance_norm", x, weight, bias, (c,), of)
    eps, use_input_stats = number("instance_norm", "eps", eps), flag("instance_norm", "use_input_stats", use_input_stats)
    how = check_running("instance_norm", momentum, momentum_of, running_correction, use_input_stats, running_mean, running_var)
    m, v = (parameter("instance_norm", n, p, (c,), of) for n, p in (("running_mean", running_mean), ("running_var", running_var)))
    if (m is None) != (v is None):
        raise ShapeError("instance_norm: running_mean and running_var go together; one of them is None.")
    if not use_input_stats:
        if m is None:
            raise ShapeError(
                f"instance_norm: input {describe(x)} with use_input_stats=False and no running statistics: there is nothing to "
                "normalize by. Give running_mean and running_var, or leave use_input_stats=True."
            )
        return batch_norm(x, m, v, w, b, False, eps=eps, backward=backward)
    axis = tuple(range(2, x.ndim))
    if math.prod(x.shape[2:]) == 1:
        raise ShapeError(
            f"instance_norm: input {describe(x)}: Expected more than 1 spatial element when training. One value is its own mean, "
            "so y would be β whatever x is. Take batch_norm or layer_norm for an input without places, or use_input_stats=False."
        )
    y = normalize(ANALYTIC, x, per_channel(w, spread), per_channel(b, spread), axis, eps, backward)
    if m is not None:
        update_running("instance_norm", x, axis, running_mean, running_var, *how)
    return y


# What the rest of the house asks --------------------------------------------------------------------------------


def _parameters(shape: tuple[int, ...], use_input_stats: bool = True, **options: Any) -> dict[str, tuple[int, ...]]:
    c = shape[1:2]
    return dict.fromkeys(("weight", "bias") if use_input_stats else ("weight", "bias", "running_mean", "running_var"), c)


NORM = register(
    Norm(
        name="instance_norm",
        title="InstanceNorm",
        apply=by_name(instance_norm),
        parameters=_parameters,
        symbols={"input": "x", "weight": "γ", "bias": "β", "running_mean": "m", "running_var": "v"},
        options={"use_input_stats": True, "eps": 1e-5},
        shape=(2, 3, 5),
        samples=({"shape": (2, 3, 2, 3), "eps": 0.3}, {"shape": (2, 1, 2, 2, 2)}, {"shape": (3, 2, 4), "use_input_stats": False}),
        draw={"running_var": lambda rng, shape: rng.uniform(0.5, 2, shape)},
        min_ndim=3,
        projects=True,
        formula="y = γ·(x − μ)/√(σ² + ε) + β, μ and σ² over the places of each channel of each sample",
        backward_formula="dx = rstd·(g − mean(g) − x̂·mean(g·x̂)) per instance,  g = dy·γ,  dγ = Σ dy·x̂,  dβ = Σ dy per channel",
        references=("Ulyanov, Vedaldi, Lempitsky 2016, Instance Normalization, arXiv:1607.08022",),
    )
)
