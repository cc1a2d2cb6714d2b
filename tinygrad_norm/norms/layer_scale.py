"""LayerScale: what a residual branch adds to its input, weighed by a learned λ per channel, or by one λ for all.

    y = x + λ·f(x)

f           the output of the branch, after its attention or MLP: ``input`` here. It is not a normalization, and λ is not
            LayerNorm's γ: λ scales what leaves the branch, γ what enters it
λ           of shape (C,), along the last axis (LayerScale); or one number, of shape () or (1,) (SkipInit, ReZero)
x           ``residual``, of f's shape, or None: then y = λ·f
dtype       plain arithmetic in the operands' dtypes; there is no statistic to widen

Starts at   LayerScale 0.1 up to depth 18, 1e-5 at 24, 1e-6 beyond (paper); timm 1e-5. SkipInit 0. ReZero 0.
            SkipInit and ReZero are one formula: SkipInit puts λ where it takes the place of BatchNorm, ReZero in
            Transformers without LayerNorm

Backward:

    df = λ·dy        dλ = Σ dy·f over all axes that share λ        dx = dy

At λ = 0 the branch receives no gradient, and λ does: it moves first. The identity's dx = dy is why depth does no harm.

Source: Touvron et al. 2021, "Going deeper with Image Transformers" (arXiv:2103.17239), section 2; De, Smith 2020, "Batch
Normalization Biases Residual Blocks Towards the Identity Function" (arXiv:2002.10444); Bachlechner et al. 2021,
"ReZero is All You Need" (arXiv:2003.04887).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..engine import Op, ShapeError, Tensor, describe, scope
from .arguments import as_parameter, is_analytic, node_for
from .registry import Norm, register


@scope("LayerScale")
def layer_scale(input: Tensor, weight: Tensor, residual: Tensor | None = None, backward: str = "recorded") -> Tensor:
    """``residual`` + ``weight``·``input``; see the file's head.

    input:     f, what the branch computed: float tensor, shape (*, C)
    weight:    λ, shape (C,); or () or (1,), one number for all channels; a Python number takes the input's dtype
    residual:  x, what went into the branch: the input's shape, or None for λ·f alone
    backward:  "recorded", or "analytic": one node

    Returns a tensor of the input's shape. Raises ``ShapeError`` where shapes do not fit, ``DTypeError`` for integers.
    """
    f = as_parameter("layer_scale", "input", input, weight if isinstance(weight, (Tensor, np.ndarray)) else None)
    w = as_parameter("layer_scale", "weight", weight, f)
    if w.shape not in ((), (1,), f.shape[-1:]) or w.ndim > f.ndim:
        raise ShapeError(
            f"layer_scale: weight {describe(w)} for input {describe(f)}: λ is one number per channel, the last axis, so "
            f"{f.shape[-1:]}, or one number for all, ()."
        )
    x = None if residual is None else as_parameter("layer_scale", "residual", residual, f)
    if x is not None and x.shape != f.shape:
        raise ShapeError(
            f"layer_scale: residual {describe(x)} for input {describe(f)}: the branch must return the shape it was given."
        )
    if is_analytic("layer_scale", backward):
        return node_for(ANALYTIC, backward)(f, w) if x is None else node_for(ANALYTIC, backward)(f, w, x)  # type: ignore[no-any-return]
    with scope("residual"):
        branch: Tensor = w * f
        return branch if x is None else x + branch


ANALYTIC = Op(
    "layer_scale",
    "LayerScale({0})",
    lambda f, w, x=0.0: x + w * f,
    (
        lambda g, out, f, w, x=0.0: g * w,
        lambda g, out, f, w, x=0.0: g * f,
        lambda g, out, f, w, x=0.0: g,
    ),
    elementwise=True,
)


# What the rest of the house asks --------------------------------------------------------------------------------


def _apply(inputs: Mapping[str, Tensor], backward: str = "recorded", **options: Any) -> Tensor:
    return layer_scale(**inputs, backward=backward)


def _parameters(shape: tuple[int, ...], scalar: bool = False, residual: bool = True, **options: Any) -> dict[str, Any]:
    return {"weight": () if scalar else shape[-1:], **({"residual": shape} if residual else {})}


NORM = register(
    Norm(
        name="layer_scale",
        title="LayerScale",
        apply=_apply,
        parameters=_parameters,
        symbols={"input": "f", "weight": "λ", "residual": "x"},
        options={"scalar": False, "residual": True},
        samples=({"shape": (2, 3, 5)}, {"scalar": True}, {"residual": False}, {"scalar": True, "residual": False}),
        formula="y = x + λ·f, f the output of a residual branch",
        backward_formula="df = λ·dy,  dλ = Σ dy·f,  dx = dy",
        references=(
            "Touvron et al. 2021, Going deeper with Image Transformers, arXiv:2103.17239",
            "De, Smith 2020, Batch Normalization Biases Residual Blocks Towards the Identity Function, arXiv:2002.10444",
            "Bachlechner et al. 2021, ReZero is All You Need, arXiv:2003.04887",
        ),
    )
)
