"""FiLM: features stretched and shifted by what a condition says. No statistics: nothing is normalized here.

    y = γ(c)·x + β(c)

γ, β        from a condition c, as many axes as x, each of its size or 1; or (N, C) for x of (N, C, *), one number per
            sample and channel, spread over all places (FiLM). With places of their own they are maps, one number per pixel
            (SPADE, after a BatchNorm of x without affine)
Elsewhere   SPADE's code and many FiLM layers write (1 + γ)·x + β, so that a condition network that starts at 0 changes
            nothing: pass ``1 + scale``. Flax and Keras put channels last: give γ and β all axes there
dtype       plain arithmetic in the operands' dtypes; there is no statistic to widen

Backward:

    dx = dy·γ        dγ = dy·x        dβ = dy        γ's and β's summed over the places they were spread to

J is diagonal: no entry of x hears of another. In conditional LayerNorm, FiLM comes after x̂.

Source: Perez, Strub, de Vries, Dumoulin, Courville 2018, "FiLM" (arXiv:1709.07871), eq. 2; maps: Park et al. 2019,
"Semantic Image Synthesis with Spatially-Adaptive Normalization" (arXiv:1903.07291), eq. 1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..engine import Op, Tensor, scope
from ..engine.arguments import floating
from .arguments import is_analytic, modulation, node_for
from .registry import Norm, register


@scope("FiLM")
def film(input: Tensor, scale: Tensor, shift: Tensor, backward: str = "recorded") -> Tensor:
    """``scale``·``input`` + ``shift``, feature by feature; see the file's head.

    input:         float tensor, shape (N, C, *), or any shape if scale and shift have all its axes
    scale, shift:  γ and β: shape (N, C), or as many axes as the input, each of its size or 1
    backward:      "recorded", or "analytic": one node

    Returns a tensor of the input's shape. Raises ``ShapeError`` where shapes do not fit, ``DTypeError`` for integers.
    """
    x = floating(input, "film")
    short = x.shape[:2]
    called, spread = f"(N, C), here {short}", (*short, *(1,) * (x.ndim - 2))
    w, b = (
        modulation("film", what, value, x, short, called, spread, _for_all_samples(what, x))
        for what, value in (("scale", scale), ("shift", shift))
    )
    if is_analytic("film", backward):
        return node_for(ANALYTIC, backward)(x, w, b)  # type: ignore[no-any-return]
    with scope("affine"):
        y: Tensor = x * w + b
    return y


def _for_all_samples(what: str, x: Tensor) -> Callable[[Tensor], str]:
    def fix(p: Tensor) -> str:
        if p.ndim == 1 and x.ndim > 1 and p.shape == x.shape[1:2]:
            return f" The same for all samples: {what}.reshape{(1, *p.shape, *(1,) * (x.ndim - 2))}."
        return ""

    return fix


ANALYTIC = Op(
    "film",
    "FiLM({0})",
    lambda x, w, b: x * w + b,
    (
        lambda g, out, x, w, b: g * w,
        lambda g, out, x, w, b: g * x,
        lambda g, out, x, w, b: g,
    ),
    elementwise=True,
)


# What the rest of the house asks --------------------------------------------------------------------------------


def _apply(inputs: Mapping[str, Tensor], backward: str = "recorded", **options: Any) -> Tensor:
    return film(**inputs, backward=backward)


def _parameters(shape: tuple[int, ...], maps: bool = False, **options: Any) -> dict[str, tuple[int, ...]]:
    """Without maps, one number per sample and channel; with them, one per pixel and the same for all channels."""
    one = (*shape[:1], 1, *shape[2:]) if maps else shape[:2]
    return {"scale": one, "shift": one}


NORM = register(
    Norm(
        name="film",
        title="FiLM",
        apply=_apply,
        parameters=_parameters,
        symbols={"input": "x", "scale": "γ", "shift": "β"},
        options={"maps": False},
        shape=(4, 8),
        samples=({"shape": (2, 3, 4)}, {"shape": (2, 3, 2, 3)}, {"shape": (2, 3, 2, 3), "maps": True}),
        min_ndim=2,
        formula="y = γ(c)·x + β(c)",
        backward_formula="dx = dy·γ,  dγ = Σ dy·x,  dβ = Σ dy,  over the places that share γ and β",
        references=(
            "Perez et al. 2018, FiLM: Visual Reasoning with a General Conditioning Layer, arXiv:1709.07871",
            "Park et al. 2019, Semantic Image Synthesis with Spatially-Adaptive Normalization, arXiv:1903.07291",
        ),
    )
)
