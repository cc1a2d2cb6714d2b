"""Conditional LayerNorm: x̂ of LayerNorm, stretched and shifted by what a condition says, not by learned constants.

    μ = mean(x)    σ² = mean((x − μ)²)    x̂ = (x − μ)/√(σ² + ε)    y = (1 + s)·x̂ + b

Axes        the last axis; each leading index is a sample of its own
s, b        scale and shift, computed from a condition (a class, a time step, a speaker). As many axes as x, each of its
            size or 1: (B, 1, C) for one condition per sequence of (B, T, C), (B, T, C) for one per token; or (C,).
            (B, C) is refused for (B, T, C): counted from the last axis, B would land on T, and fit where B = T
1 + s       "zero-centred γ": s = 0 is plain LayerNorm, so a condition network that starts at 0 changes nothing.
            Gemma's and TransformerEngine's norms store γ − 1 likewise
ε           inside the root; default 1e-5 (diffusers' AdaLayerNorm); DiT 1e-6
Elsewhere   AdaLN in DiT and diffusers; the older Conditional LayerNorm of speech synthesis (AdaSpeech) has y = s·x̂ + b:
            pass s − 1

Backward, with g = dy·(1 + s) and rstd = 1/√(σ² + ε):

    dx = rstd·(g − mean(g) − x̂·mean(g·x̂))        ds = dy·x̂        db = dy

ds and db are summed over the axes along which s and b were spread (the tokens). The slip to look for in a fused kernel is
g = dy·s: y, ds and db stay right and dx is wrong (TransformerEngine's pull request 67 had it until a reader saw it).
With s = c·W_s and b = c·W_b, the condition receives dc = (dy·x̂)·W_sᵀ + dy·W_bᵀ.

Source: Perez et al. 2018 (arXiv:1709.07871) for conditions as affine maps; Peebles, Xie 2023, "Scalable Diffusion Models
with Transformers" (arXiv:2212.09748), section 3.2, for the form with 1 + s.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..engine import Op, ShapeError, Tensor, describe, scope
from ..engine.arguments import floating
from .arguments import is_analytic, modulation, narrow, node_for, number, widen
from .kernels import affine_standardize_pullbacks
from .moments import affine_array, pull_gain, pull_shift, pull_standardize, record, standardize
from .registry import Norm, by_name, register


@scope("conditional LayerNorm")
def conditional_layer_norm(input: Tensor, scale: Tensor, shift: Tensor, eps: float = 1e-5, backward: str = "recorded") -> Tensor:
    """LayerNorm over the last axis of ``input``, then times 1 + ``scale``, plus ``shift``; see the file's head.

    input:         float tensor, shape (*, C)
    scale, shift:  s and b: shape (C,), or as many axes as the input, each of its size or 1
    backward:      "recorded", or "analytic": one node with the hand-derived pullbacks

    Returns a tensor of the input's shape. float16 computes in float32 and returns float16.
    Raises ``ShapeError`` where shapes do not fit, ``DTypeError`` for integers.
    """
    x = floating(input, "conditional_layer_norm")
    if not x.ndim:
        raise ShapeError(f"conditional_layer_norm: input {describe(x)} has no axis to normalize; it takes (*, C).")
    one = x.shape[-1:]
    s, b = (
        modulation("conditional_layer_norm", what, value, x, one, str(one), one, _one_per_sample(what, x))
        for what, value in (("scale", scale), ("shift", shift))
    )
    axis, eps = (x.ndim - 1,), number("conditional_layer_norm", "eps", eps)
    if is_analytic("conditional_layer_norm", backward) and x.size:
        return node_for(ANALYTIC, backward)(x, s, b, axis=axis, eps=eps)  # type: ignore[no-any-return]
    xhat = record(widen(x), axis, eps)
    with scope("affine"):
        gain = (1.0 + widen(s)).named("γ")
        y: Tensor = narrow(xhat * gain + b, x)
    return y


def _one_per_sample(what: str, x: Tensor) -> Callable[[Tensor], str]:
    def fix(p: Tensor) -> str:
        if not 1 < p.ndim < x.ndim:
            return ""
        spread = (*p.shape[:-1], *(1,) * (x.ndim - p.ndim), p.shape[-1])
        return f" One per sample needs axes of size 1 between: {what}.reshape{spread}."

    return fix


# The hand-derived node -------------------------------------------------------------------------------------------


def _dx(g: Any, out: Any, x: Any, s: Any, b: Any, *, axis: tuple[int, ...], eps: float) -> Any:
    xhat, rstd = standardize(x, axis, eps)
    return pull_standardize(widen(g) * (1.0 + widen(s)), xhat, rstd, axis)


def _forward(x: Any, s: Any, b: Any, *, axis: tuple[int, ...], eps: float) -> Any:
    return affine_array(x, 1.0 + widen(s), b, axis, eps)


def _kernel(wanted: Sequence[int], g: Any, out: Any, x: Any, s: Any, b: Any, *, axis: tuple[int, ...], eps: float) -> list[Any]:
    """s is γ − 1, so its gradient is γ's."""
    shares = affine_standardize_pullbacks((0 in wanted, 1 in wanted, 2 in wanted), g, x, 1.0 + widen(s), b, axis, eps)
    if shares is None:
        return [(_dx, pull_gain, pull_shift)[i](g, out, x, s, b, axis=axis, eps=eps) for i in wanted]
    return [shares[i] for i in wanted]


ANALYTIC = Op("conditional_layer_norm", "ConditionalLayerNorm({0})", _forward, (_dx, pull_gain, pull_shift), kernel=_kernel)


# What the rest of the house asks --------------------------------------------------------------------------------


def _parameters(shape: tuple[int, ...], **options: Any) -> dict[str, tuple[int, ...]]:
    """One condition per sample, and so for all its tokens."""
    one = (*shape[:1], *(1,) * (len(shape) - 2), *shape[-1:]) if len(shape) > 1 else shape
    return {"scale": one, "shift": one}


NORM = register(
    Norm(
        name="conditional_layer_norm",
        title="Conditional LayerNorm",
        apply=by_name(conditional_layer_norm),
        parameters=_parameters,
        symbols={"input": "x", "scale": "s", "shift": "b"},
        options={"eps": 1e-5},
        shape=(2, 3, 5),
        samples=({"shape": (4, 6), "eps": 0.3}, {"shape": (7,)}, {"shape": (2, 2, 3, 4)}),
        projects=True,
        formula="y = (1 + s)·(x − μ)/√(σ² + ε) + b",
        backward_formula="dx = rstd·(g − mean(g) − x̂·mean(g·x̂)),  g = dy·(1 + s),  ds = dy·x̂,  db = dy",
        references=(
            "Peebles, Xie 2023, Scalable Diffusion Models with Transformers, arXiv:2212.09748",
            "Perez et al. 2018, FiLM: Visual Reasoning with a General Conditioning Layer, arXiv:1709.07871",
        ),
    )
)
