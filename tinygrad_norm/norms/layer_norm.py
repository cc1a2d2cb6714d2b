"""LayerNorm: each sample is centred and scaled by its own mean and variance, then stretched and shifted.

    μ = mean(x)    σ² = mean((x − μ)²)    x̂ = (x − μ)/√(σ² + ε)    y = γ·x̂ + β

Axes        the last ``len(normalized_shape)`` axes, together; each leading index is a sample of its own
ε           inside the root (the paper has none; default 1e-5 as PyTorch and ONNX; Keras 1e-3, Flax 1e-6)
variance    biased: divided by N, not N − 1
γ, β        of shape ``normalized_shape``, each optional

Backward, with g = dy·γ and rstd = 1/√(σ² + ε):

    dx = rstd·(g − mean(g) − x̂·mean(g·x̂))      means over the normalized axes
    dγ = Σ dy·x̂        dβ = Σ dy                sums over all the other axes

Source: Ba, Kiros, Hinton 2016, "Layer Normalization" (arXiv:1607.06450), eqs. 3 and 4. (Its supplement
writes the initial gain 0 and bias 1; taken literally the layer would be constant. It is 1 and 0.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..engine import DTypeError, Op, ShapeError, Tensor, describe, scope
from ..engine.primitives import mean, rsqrt
from ..engine.tensor import lift
from .moments import affine_standardize, affine_standardize_pullbacks, pull_standardize, standardize
from .registry import Norm, register

# The hand-derived node --------------------------------------------------------------------------------
# The statistics are recomputed from the input, in the same operators: over tensors they are recorded
# like anything else, which is what makes the second and all higher derivatives right.


def _dx(g: Any, out: Any, x: Any, w: Any = 1.0, b: Any = 0.0, *, axis: tuple[int, ...], eps: float) -> Any:
    xhat, rstd = standardize(x, axis, eps)
    return pull_standardize(g * w, xhat, rstd, axis)


def _dw(g: Any, out: Any, x: Any, w: Any, b: Any = 0.0, *, axis: tuple[int, ...], eps: float) -> Any:
    xhat, _ = standardize(x, axis, eps)
    return g * xhat


def _db(g: Any, out: Any, x: Any, w: Any, b: Any, *, axis: tuple[int, ...], eps: float) -> Any:
    return g


def _forward(x: Any, w: Any = 1.0, b: Any = 0.0, *, axis: tuple[int, ...], eps: float) -> Any:
    return affine_standardize(x, w, b, axis, eps)


def _kernel(
    wanted: Sequence[int], g: Any, out: Any, x: Any, w: Any = 1.0, b: Any = 0.0, *, axis: tuple[int, ...], eps: float
) -> list[Any]:
    shares = affine_standardize_pullbacks((0 in wanted, 1 in wanted, 2 in wanted), g, x, w, b, axis, eps)
    return [shares[i] for i in wanted]


ANALYTIC = Op("layer_norm", "LayerNorm({0})", _forward, (_dx, _dw, _db), kernel=_kernel)


# The layer --------------------------------------------------------------------------------------------


def layer_norm(
    input: Tensor,
    normalized_shape: int | Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    backward: str = "recorded",
) -> Tensor:
    """LayerNorm over the last axes of ``input``, with PyTorch's signature; see the file's head for the formula.

    input:             float tensor, shape (*, *normalized_shape)
    normalized_shape:  the sizes of the normalized axes, or the size of the last one
    weight, bias:      γ and β, shape ``normalized_shape``, or None
    backward:          "recorded": every operation is on the record; "analytic": one node with the hand-derived
                       pullback. Values and gradients of every order agree to rounding.

    Returns a tensor of the input's shape. float16 computes its statistics in float32 and returns float16.
    Raises ``ShapeError`` where shapes do not fit, ``DTypeError`` for an integer input.
    """
    x: Tensor = lift(input, ANALYTIC)
    w, b = (None if p is None else lift(p, ANALYTIC) for p in (weight, bias))
    axis = _axes(x, normalized_shape, w, b)
    if backward == "analytic":
        if w is None and b is not None:
            w = Tensor(np.ones(b.shape, b.dtype))
        return ANALYTIC(*(t for t in (x, w, b) if t is not None), axis=axis, eps=eps)  # type: ignore[no-any-return]
    if backward != "recorded":
        raise ValueError(f'layer_norm: backward={backward!r}; it is "recorded" or "analytic".')

    half = x.dtype == np.float16
    x = x.astype(np.float32) if half else x
    with scope("mean"):
        mu = mean(x, axis=axis).named("μ")
    with scope("normalize"):
        centred = (x - mu).named("c")
    with scope("variance"):
        variance = mean(centred**2, axis=axis).named("σ²")
        rstd = rsqrt(variance + eps).named("rstd")
    with scope("normalize"):
        y: Tensor = (centred * rstd).named("x̂")
    with scope("affine"):
        y = y if w is None else y * w
        y = y if b is None else y + b
    return y.astype(np.float16) if half else y


def _axes(x: Any, normalized_shape: int | Sequence[int], w: Any, b: Any) -> tuple[int, ...]:
    sizes = (normalized_shape,) if isinstance(normalized_shape, (int, np.integer)) else tuple(normalized_shape)
    if not isinstance(x, Tensor) or x.dtype.kind not in "fc":
        raise DTypeError(f"layer_norm: input {describe(x)} is not floating point. Cast first: x.astype('float64').")
    if not sizes or x.shape[-len(sizes) :] != sizes:
        raise ShapeError(
            f"layer_norm: input {describe(x)} with normalized_shape {sizes}: the input's last axes must be exactly these sizes. "
            f"Did you mean normalized_shape={x.shape[-1:] if x.ndim else '(N,), with an input of at least one axis'}?"
        )
    for symbol, p in (("weight", w), ("bias", b)):
        if p is not None and getattr(p, "shape", None) != sizes:
            raise ShapeError(f"layer_norm: {symbol} {describe(p)} with normalized_shape {sizes}: the shapes must be equal.")
    return tuple(range(x.ndim - len(sizes), x.ndim))


def _apply(inputs: Mapping[str, Tensor], backward: str = "recorded", eps: float = 1e-5) -> Tensor:
    return layer_norm(inputs["input"], inputs["weight"].shape, inputs["weight"], inputs["bias"], eps, backward)


NORM = register(
    Norm(
        name="layer_norm",
        title="LayerNorm",
        apply=_apply,
        parameters=lambda shape: {"weight": shape[-1:], "bias": shape[-1:]},
        symbols={"input": "x", "weight": "γ", "bias": "β"},
        options={"eps": 1e-5},
        projects=True,
        formula="y = γ·(x − μ)/√(σ² + ε) + β",
        backward_formula="dx = rstd·(g − mean(g) − x̂·mean(g·x̂)),  g = dy·γ,  dγ = Σ dy·x̂,  dβ = Σ dy",
        references=("Ba, Kiros, Hinton 2016, Layer Normalization, arXiv:1607.06450",),
    )
)
