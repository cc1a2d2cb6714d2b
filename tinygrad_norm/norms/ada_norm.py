"""AdaNorm: LayerNorm whose gain is a function of x̂ itself, and is held constant in the backward pass.

    x̂ = (x − μ)/√(σ² + ε)        y = φ·x̂,    φ = C·(1 − k·x̂), detached        k = 1/10, C = 1

Axes        the last ``len(normalized_shape)`` axes, together
ε           inside the root, default 1e-5; variance biased, divided by N
γ, β        none: φ stands in their place. The paper found that LayerNorm's γ and β overfit
C           1 in the authors' translation script; a hyper-parameter
Elsewhere   the authors' code divides by ``x.std() + eps``: the unbiased deviation, and ε outside the root

What "detached" says: φ is computed from x and then counts as a number. At every order: the second derivative is that of
φ·x̂ with the same φ, not of (1 − k·x̂)·x̂. So the analytic node takes φ as an input, computed outside, that nothing flows to;
a rule that computed φ from x would be right at order 1 and, differentiated again, wrong at order 2.

Backward, means over the normalized axes:

    detach=True     dx = rstd·(g − mean(g) − x̂·mean(g·x̂)),    g = dy·φ
    detach=False    the same with g = dy·C·(1 − 2k·x̂)          what one gets by forgetting to detach

The two differ by k·x̂ in the gain: oppositely signed gains wherever x̂ is between 1/2k and 1/k, that is 5 and 10.
Where x̂ = 1/k = 10, φ is 0: with fewer than 101 entries |x̂| ≤ √(N − 1) keeps away from it.

Source: Xu, Sun, Zhang, Zhao, Lin 2019, "Understanding and Improving Layer Normalization" (arXiv:1911.07013), section 4.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..engine import Op, Tensor, scope
from ..engine.arguments import floating
from .arguments import flag, is_analytic, narrow, node_for, number, trailing, widen
from .moments import normalization, of_nothing, pull_standardize, record, standardize
from .registry import Norm, register

DETACHED = normalization("ada_norm", "AdaNorm({0})")
"""LayerNorm with γ = φ, a constant of the input's own shape."""


@scope("AdaNorm")
def ada_norm(
    input: Tensor,
    normalized_shape: int | Sequence[int],
    k: float = 0.1,
    scale: float = 1.0,
    eps: float = 1e-5,
    backward: str = "recorded",
    *,
    detach: bool = True,
) -> Tensor:
    """AdaNorm over the last axes of ``input``; see the file's head for the formula.

    input:             float tensor, shape (*, *normalized_shape)
    normalized_shape:  the sizes of the normalized axes, or the size of the last one
    k, scale:          k and C of φ = C·(1 − k·x̂)
    backward:          "recorded", or "analytic": one node with the hand-derived pullback
    detach:            φ is a constant in the backward pass; False differentiates through it

    Returns a tensor of the input's shape. float16 computes in float32 and returns float16.
    Raises ``ShapeError`` where shapes do not fit, ``DTypeError`` for an integer input.
    """
    x = floating(input, "ada_norm")
    _, axis = trailing("ada_norm", x, normalized_shape)
    eps, k, scale = (number("ada_norm", what, value) for what, value in (("eps", eps), ("k", k), ("scale", scale)))
    detach = flag("ada_norm", "detach", detach)
    analytic = is_analytic("ada_norm", backward)
    if not x.size:
        return of_nothing(x)
    if analytic:
        if not detach:
            return node_for(WHOLE, backward)(x, axis=axis, eps=eps, k=k, scale=scale)  # type: ignore[no-any-return]
        xhat, _ = standardize(x.detach(), axis, eps)
        return node_for(DETACHED, backward)(x, _gain(xhat, k, scale).named("φ"), axis=axis, eps=eps, center=True)  # type: ignore[no-any-return]
    xhat = record(widen(x), axis, eps)
    with scope("gain"):
        phi = _gain(xhat.detach() if detach else xhat, k, scale).named("φ")
        y: Tensor = narrow(xhat * phi, x)
    return y


def _gain(xhat: Any, k: float, scale: float) -> Any:
    return scale * (1.0 - k * xhat)


# Through φ as well --------------------------------------------------------------------------------------------


def _whole(x: Any, *, axis: tuple[int, ...], eps: float, k: float, scale: float) -> Any:
    xhat, _ = standardize(x, axis, eps)
    return narrow(_gain(xhat, k, scale) * xhat, x)


def _whole_dx(g: Any, out: Any, x: Any, *, axis: tuple[int, ...], eps: float, k: float, scale: float) -> Any:
    xhat, rstd = standardize(x, axis, eps)
    return pull_standardize(widen(g) * _gain(xhat, 2 * k, scale), xhat, rstd, axis)


WHOLE = Op("ada_norm", "AdaNorm({0})", _whole, (_whole_dx,))


# What the rest of the house asks --------------------------------------------------------------------------------


def _apply(inputs: Mapping[str, Tensor], backward: str = "recorded", **options: Any) -> Tensor:
    x = inputs["input"]
    return ada_norm(x, x.shape[-1:], backward=backward, **options)


NORM = register(
    Norm(
        name="ada_norm",
        title="AdaNorm",
        apply=_apply,
        parameters=lambda shape, **options: {},
        symbols={"input": "x"},
        options={"eps": 1e-5, "k": 0.1, "scale": 1.0, "detach": True},
        detaches=True,
        samples=(
            {"shape": (2, 3, 5), "eps": 0.3, "k": 0.4, "scale": 2.0},
            {"detach": False},
            {"detach": False, "eps": 0.3, "k": 0.4, "scale": 2.0},
        ),
        formula="y = φ·x̂, φ = C·(1 − k·x̂) held constant, x̂ = (x − μ)/√(σ² + ε)",
        backward_formula="dx = rstd·(g − mean(g) − x̂·mean(g·x̂)),  g = dy·φ",
        references=("Xu et al. 2019, Understanding and Improving Layer Normalization, arXiv:1911.07013",),
    )
)
