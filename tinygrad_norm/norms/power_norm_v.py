"""PN-V, the exact half of Power Normalization: each channel divided by its quadratic mean over the batch.

    ψ_B² = mean(x²) + ε over the batch and all places        y = γ·x/ψ_B + β

Axes        all but axis 1: (N, C) or (N, C, *). It is RMSNorm over BatchNorm's axes: nothing is centred
ε           inside the root; default 1e-5, as the authors' code
γ, β        of shape (C,), each optional
Elsewhere   no framework has it; the authors' code computes it as the forward pass of its warm-up steps

Backward, with g = dy·γ, x̂ = x/ψ_B, means over the batch and all places:

    dx = (g − x̂·mean(g·x̂))/ψ_B        dγ = Σ dy·x̂        dβ = Σ dy

With ε = 0 this is a projection: ‖dx‖² = (‖g‖² − ⟨g, x̂⟩²/B)/ψ_B² for each channel of B values. A channel of one
value is its own quadratic mean: y = ±γ + β, and dx is 0 up to ε.

Source: Shen, Yao, Gholami, Mahoney, Keutzer 2020, "PowerNorm: Rethinking Batch Normalization in Transformers"
(arXiv:2003.07845), PN-V. The norm with running statistics is ``power_norm``.
"""

from __future__ import annotations

from ..engine import Tensor, scope
from ..engine.arguments import floating
from .arguments import affine_pair, channels, number
from .moments import normalization, normalize
from .registry import Norm, by_name, register

ANALYTIC = normalization("power_norm_v", "PowerNormV({0})")


@scope("PowerNorm-V")
def power_norm_v(
    input: Tensor, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5, backward: str = "recorded"
) -> Tensor:
    """PN-V of (N, C) or (N, C, *); see the file's head for the formula.

    weight, bias:  γ and β, shape (C,), or None
    backward:      "recorded" or "analytic"

    Returns a tensor of the input's shape; float16 computes in float32. Raises ``ShapeError``, ``DTypeError``.
    """
    x = floating(input, "power_norm_v")
    c, spread = channels("power_norm_v", x)
    w, b = affine_pair("power_norm_v", x, weight, bias, (c,), f"{c} channels", spread)
    eps = number("power_norm_v", "eps", eps)
    return normalize(ANALYTIC, x, w, b, (0, *range(2, x.ndim)), eps, backward, center=False)


NORM = register(
    Norm(
        name="power_norm_v",
        title="PowerNorm-V",
        apply=by_name(power_norm_v),
        parameters=lambda shape, **options: {"weight": shape[1:2], "bias": shape[1:2]},
        options={"eps": 1e-5},
        samples=({"shape": (3, 2, 4)}, {"shape": (3, 2, 2, 3), "eps": 0.3}),
        min_ndim=2,
        projects=True,
        formula="y = γ·x/√(mean(x²) + ε) + β, the mean over the batch",
        backward_formula="dx = (g − x̂·mean(g·x̂))/ψ,  ψ = √(mean(x²) + ε),  g = dy·γ,  dγ = Σ dy·x̂,  dβ = Σ dy,  batchwise",
        references=("Shen, Yao, Gholami, Mahoney, Keutzer 2020, PowerNorm, arXiv:2003.07845",),
    )
)
