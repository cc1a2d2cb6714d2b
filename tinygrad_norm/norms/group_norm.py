"""GroupNorm: within each sample, each group of neighbouring channels is centred and scaled by its own mean and variance.

    x (N, C, *) → (N, G, C/G, *)    x̂ = (x − μ)/√(σ² + ε), μ and σ² of each (n, group)    → (N, C, *)    y = γ·x̂ + β

Axes        C/G channels and all places, together. Channel c is in group c // (C/G): groups are runs of channels, not
            every G-th one. Nothing is shared between samples, and inference is the same as training
ε           inside the root; default 1e-5 (PyTorch, ONNX), Keras 1e-3, Flax 1e-6
variance    biased. ONNX's function body and Flax compute mean(x²) − mean(x)², which loses a large mean's digits
γ, β        of shape (C,), one per channel and never per group, each optional. (ONNX's first GroupNormalization, opset 18,
            had one per group; it was withdrawn.)
Elsewhere   Keras and Flax keep channels last and take 32 groups unless told otherwise; Keras' ``groups=-1`` is G = C

G = C is InstanceNorm. G = 1 is LayerNorm over (C, *) without its affine part, whose γ would be of shape (C, *); and over
(N, C, L) it is not the LayerNorm of each token, which leaves L out of the mean.

Backward, with g = dy·γ; γ belongs to the channel, so it is applied before the means are taken over the group:

    dx = rstd·(g − mean(g) − x̂·mean(g·x̂))      means over each (n, group)
    dγ = Σ dy·x̂        dβ = Σ dy                sums over the batch and all places, per channel

Source: Wu, He 2018, "Group Normalization" (arXiv:1803.08494), eqs. 1 to 7.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..engine import ShapeError, Tensor, describe, scope
from ..engine.arguments import floating
from ..engine.primitives import reshape
from .arguments import affine_pair, channels, is_analytic, number
from .moments import normalization, normalize
from .registry import Norm, by_name, register

ANALYTIC = normalization("group_norm", "GroupNorm({0})")
_GROUP, _UNGROUP = scope("group"), scope("ungroup")


@scope("GroupNorm")
def group_norm(
    input: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    backward: str = "recorded",
) -> Tensor:
    """GroupNorm of (N, C) or (N, C, *), with PyTorch's signature; see the file's head for the formula.

    num_groups:    G, a divisor of C
    weight, bias:  γ and β, shape (C,), or None
    backward:      "recorded" or "analytic": one node between the reshape into groups and the reshape back

    Returns a tensor of the input's shape. Raises ``ShapeError`` where shapes do not fit, where G does not divide C, and as
    PyTorch does for a batch of one with one value per group; ``DTypeError`` for an integer input. (One value per group in
    a larger batch is let through, also as in PyTorch: y = β.)
    """
    x = floating(input, "group_norm")
    is_analytic("group_norm", backward)
    c, _ = channels("group_norm", x)
    per_group = channels_per_group("group_norm", c, num_groups, x)
    grouped, split = (x.shape[0], num_groups, per_group, *x.shape[2:]), (num_groups, per_group, *(1,) * (x.ndim - 2))
    w, b = affine_pair("group_norm", x, weight, bias, (c,), f"{c} channels")
    eps = number("group_norm", "eps", eps)
    if x.size == num_groups:  # one sample, one value in each of its groups
        raise ShapeError(
            f"group_norm: input {describe(x)} with num_groups={num_groups}: Expected more than 1 value per channel when training. "
            "One value is its own mean, so y would be β whatever x is. Take fewer groups."
        )
    with _GROUP:
        in_groups = reshape(x, shape=grouped)
        w, b = (p if p is None else reshape(p, shape=split) for p in (w, b))
    y = normalize(ANALYTIC, in_groups, w, b, tuple(range(2, len(grouped))), eps, backward)
    with _UNGROUP:
        return reshape(y, shape=x.shape)  # type: ignore[no-any-return]


def channels_per_group(name: str, c: int, num_groups: Any, of: Tensor | str) -> int:
    """C/G; ``ShapeError`` unless G is a whole number that divides C, which are the channels ``of`` this."""
    if isinstance(num_groups, bool) or not isinstance(num_groups, (int, np.integer)) or num_groups < 1 or c % num_groups:
        fits = ", ".join(str(d) for d in range(1, min(c, 10_000) + 1) if c % d == 0)
        what = of if isinstance(of, str) else f"input {describe(of)}"
        raise ShapeError(
            f"{name}: {what} with num_groups={describe(num_groups)}: {c} channels cannot be split into so many equal groups. "
            f"num_groups must be one of {fits or 'any number from 1 on'}."
        )
    return c // int(num_groups)


# What the rest of the house asks --------------------------------------------------------------------------------

NORM = register(
    Norm(
        name="group_norm",
        title="GroupNorm",
        apply=by_name(group_norm),
        parameters=lambda shape, **options: {"weight": shape[1:2], "bias": shape[1:2]},
        options={"num_groups": 2, "eps": 1e-5},
        shape=(3, 4, 3),
        samples=(
            {"shape": (2, 3, 4), "num_groups": 1},
            {"shape": (2, 3, 4), "num_groups": 3},
            {"shape": (2, 6, 2, 3), "num_groups": 3, "eps": 0.3},
            {"shape": (3, 8)},
        ),
        choices=lambda shape: {"num_groups": tuple(g for g in range(1, shape[1] + 1) if shape[1] % g == 0)},
        min_ndim=2,
        projects=True,
        formula="y = γ·(x − μ)/√(σ² + ε) + β, μ and σ² of each group of channels in each sample",
        backward_formula="dx = rstd·(g − mean(g) − x̂·mean(g·x̂)) per group,  g = dy·γ,  dγ = Σ dy·x̂,  dβ = Σ dy per channel",
        references=("Wu, He 2018, Group Normalization, arXiv:1803.08494",),
    )
)
