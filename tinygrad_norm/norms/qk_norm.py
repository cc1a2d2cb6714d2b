"""QK-norm: attention by angle. Queries and keys are brought to length 1 before they meet, and one learned number sharpens.

    s = g·q̂·k̂ᵀ        q̂ = q/max(‖q‖, ε), k̂ = k/max(‖k‖, ε), each along the last axis

Axes        (*, T, D) queries and (*, S, D) keys give (*, T, S) scores; the lengths are those of single vectors
ε           a least length, not a summand; default 1e-12, that of ``normalize``
g           one number, of shape () or (1,), in the place of 1/√D. Starts at log₂(L² − L), L the length of the sequences: so
            large that a softmax of cosines, which lie between −1 and 1, can be sharp
Elsewhere   ViT-22B, Qwen3 and others put LayerNorm or RMSNorm on q and k instead, and keep 1/√D: that is those norms, twice

Backward, with dq̂ = g·ds·k̂ and dk̂ = g·dsᵀ·q̂:

    dq = (dq̂ − q̂·Σ dq̂·q̂)/‖q‖        dk = (dk̂ − k̂·Σ dk̂·k̂)/‖k‖        dg = Σ ds·q̂·k̂ᵀ over everything

No score is larger than g whatever q and k are, so attention cannot saturate by their growth; and dq has nothing along q.

Source: Henry, Dachapally, Pawar, Chen 2020, "Query-Key Normalization for Transformers" (arXiv:2010.04245), eqs. 4 to 6.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..engine import Op, ShapeError, Tensor, describe, scope
from ..engine.arguments import floating
from ..engine.primitives import transpose
from .arguments import is_analytic, narrow, node_for, number, widen
from .l2_normalize import at_least, in_range, unit
from .registry import Norm, register
from .scale_norm import one_number, pull_unit


@scope("QK-norm")
def qk_norm(query: Tensor, key: Tensor, scale: Tensor = 1.0, eps: float = 1e-12, backward: str = "recorded") -> Tensor:  # type: ignore[assignment]
    """The scores g·q̂·k̂ᵀ of attention; see the file's head for the formula.

    query, key:  float tensors of shapes (*, T, D) and (*, S, D) with equal leading axes
    scale:       g, one number, shape () or (1,); a Python number takes the query's dtype
    eps:         the least length divided by
    backward:    "recorded" or "analytic"

    Returns a tensor of shape (*, T, S). float16 is computed in float32. Raises ``ShapeError`` where shapes do not fit,
    ``DTypeError`` for integers.
    """
    q, k = floating(query, "qk_norm"), floating(key, "qk_norm", "key")
    if q.ndim < 2 or q.ndim != k.ndim or q.shape[:-2] != k.shape[:-2] or q.shape[-1] != k.shape[-1]:
        raise ShapeError(
            f"qk_norm: query {describe(q)} and key {describe(k)}: they are (*, T, D) and (*, S, D), with equal leading axes and "
            "vectors of one size D."
        )
    g = one_number("qk_norm", "scale", scale, q, "g")
    g = g.reshape(()) if g.ndim else g
    axis, eps = (q.ndim - 1,), number("qk_norm", "eps", eps)
    if is_analytic("qk_norm", backward):
        return node_for(ANALYTIC, backward)(q, k, g, axis=axis, eps=eps)  # type: ignore[no-any-return]
    units = []
    for t, name in ((widen(q), "q"), (widen(k), "k")):
        with scope("norms"):
            t, n, _, least, _ = in_range(t, axis, eps)
            divisor = at_least(n.named(f"‖{name}‖"), least)[0]
        with scope("normalize"):
            units.append((t / divisor).named(f"{name}̂"))
    with scope("scores"):
        s: Tensor = narrow((units[0] @ _turned(units[1])) * g, q)
    return s


def _turned(x: Any) -> Any:
    n = len(x.shape)
    return transpose(x, axes=(*range(n - 2), n - 1, n - 2))


# The hand-derived node ------------------------------------------------------------------------------------------


def _forward(q: Any, k: Any, g: Any, axis: tuple[int, ...], eps: float) -> Any:
    return narrow((unit(widen(q), axis, eps)[0] @ _turned(unit(widen(k), axis, eps)[0])) * g, q)


def _dq(ds: Any, out: Any, q: Any, k: Any, g: Any, axis: tuple[int, ...], eps: float) -> Any:
    return pull_unit((widen(ds) * g) @ unit(widen(k), axis, eps)[0], widen(q), axis, eps)


def _dk(ds: Any, out: Any, q: Any, k: Any, g: Any, axis: tuple[int, ...], eps: float) -> Any:
    return pull_unit(_turned(widen(ds) * g) @ unit(widen(q), axis, eps)[0], widen(k), axis, eps)


def _dg(ds: Any, out: Any, q: Any, k: Any, g: Any, axis: tuple[int, ...], eps: float) -> Any:
    return widen(ds) * (unit(widen(q), axis, eps)[0] @ _turned(unit(widen(k), axis, eps)[0]))


ANALYTIC = Op("qk_norm", "QKNorm({0}, {1})", _forward, (_dq, _dk, _dg))


# What the rest of the house asks --------------------------------------------------------------------------------


def _apply(inputs: Mapping[str, Tensor], backward: str = "recorded", **options: Any) -> Tensor:
    return qk_norm(inputs["input"], inputs["key"], inputs["scale"], backward=backward, **options)


NORM = register(
    Norm(
        name="qk_norm",
        title="QK-norm",
        apply=_apply,
        parameters=lambda shape, **options: {"key": (*shape[:-2], shape[-2] + 1, shape[-1]), "scale": ()},
        symbols={"input": "q", "key": "k", "scale": "g"},
        options={"eps": 1e-12},
        shape=(3, 4),
        samples=({"shape": (2, 3, 4)}, {"shape": (3, 5), "eps": 2.5}, {"shape": (2, 2, 3, 4)}),
        min_ndim=2,
        formula="s = g·q̂·k̂ᵀ,  q̂ = q/max(‖q‖, ε),  k̂ = k/max(‖k‖, ε)",
        backward_formula="dq = (dq̂ − q̂·Σ dq̂·q̂)/‖q‖,  dq̂ = g·ds·k̂,  dk likewise with dk̂ = g·dsᵀ·q̂,  dg = Σ ds·q̂·k̂ᵀ",
        references=("Henry, Dachapally, Pawar, Chen 2020, Query-Key Normalization for Transformers, arXiv:2010.04245",),
    )
)
