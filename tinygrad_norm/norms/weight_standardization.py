"""Weight standardization: each output unit's weights are centred and scaled before they are used.

    μ = mean(W)    σ² = mean((W − μ)²)    y = γ·(W − μ)·q        q by ``eps_mode``, N the fan-in:

    "scaled_max"   q = 1/√max(N·σ², ε)       ε 1e-4     DeepMind's NF-nets (``WSConv2D``); the default
    "scaled"       q = 1/√N · 1/√(σ² + ε)    ε 1e-6     timm (``ScaledStdConv2d``)
    "std"          q = 1/(s + ε)             ε 1e-5     Qiao et al.'s own code; not scaled by the fan-in

Axes        all but the first, of a weight (out, in, …): one μ and σ² for each output unit, over its fan-in
variance    biased in the scaled modes. s is the square root of the unbiased one, Σ(W − μ)²/(N − 1): the code asks
            ``torch.std``. ``correction`` is what is taken from N, if given
scaling     the scaled modes give a unit Σy² = γ²: it passes on the variance of inputs that are independent, whatever
            their mean. "std" gives Σy² = (N − 1)·γ² (all up to ε), and expects a normalization of the outputs after it
γ           the gain, of shape (out, 1, …), optional. DeepMind and timm start it at 1; Qiao et al. have none

Backward, with g = dy·γ; means and sums over the fan-in; c = W − μ:

    dW = q·(g − mean(g)) − k·c·Σ(g·c)        dγ = Σ dy·c·q
    k:   "scaled_max" q³, and 0 where ε is taken     "scaled" q/(N·(σ² + ε))     "std" q²/(s·(N − 1))

The kink of max(N·σ², ε) shares its slope: k = q³/2 at equality, as ``torch.maximum`` and ``jax.numpy.maximum`` have it
(``torch.clamp`` would take all of it). At s = 0, where c is 0 too, the root counts as having the slope 0.
There "std" has one derivative only: both ways give 0 for the second, and nothing to rely on after it.

Sources: Qiao, Wang, Liu, Shen, Yuille 2019, "Weight Standardization" (arXiv:1903.10520);
Brock, De, Smith 2021, "Characterizing signal propagation …" (arXiv:2101.08692), for the scaled ones.
"""

from __future__ import annotations

import math
from typing import Any

from ..engine import Op, ShapeError, Tensor, describe, scope
from ..engine.arguments import floating
from ..engine.primitives import maximum, mean, rsqrt, sum, where
from .arguments import choice, is_analytic, narrow, node_for, number, parameter, widen
from .moments import affine, root
from .ranges import power_of_two, shrunk
from .registry import Norm, by_name, register

EPS = {"scaled_max": 1e-4, "scaled": 1e-6, "std": 1e-5}


@scope("weight standardization")
def weight_standardization(
    input: Tensor,
    gain: Tensor | None = None,
    eps: float | None = None,
    eps_mode: str = "scaled_max",
    backward: str = "recorded",
    *,
    correction: float | None = None,
) -> Tensor:
    """A weight, standardized per output unit; see the file's head for the formulas.

    input:       W, a float tensor (out, in, …) of at least two axes
    gain:        γ, shape (out, 1, …), or None
    eps:         None: the mode's own, 1e-4, 1e-6 or 1e-5
    eps_mode:    "scaled_max", "scaled" or "std"
    backward:    "recorded" or "analytic"
    correction:  the variance is divided by N − ``correction``; None: 1 for "std", 0 for the others

    Returns a tensor of the input's shape. float16 computes its statistics in float32 and returns float16.
    Raises ``ShapeError`` where shapes do not fit or the fan-in is too small, ``DTypeError`` for an integer input.
    """
    x = floating(input, "weight_standardization")
    choice("weight_standardization", "eps_mode", eps_mode, tuple(EPS))
    if x.ndim < 2:
        raise ShapeError(
            f"weight_standardization: input {describe(x)} has {x.ndim} axes; it is a weight (out, in, …): at least 2."
        )
    axis = tuple(range(1, x.ndim))
    usual = 1 if eps_mode == "std" else 0
    correction = usual if correction is None else number("weight_standardization", "correction", correction)
    eps = EPS[eps_mode] if eps is None else number("weight_standardization", "eps", eps)
    n = math.prod(x.shape[1:]) - correction
    if n <= 0:
        raise ShapeError(
            f"weight_standardization: input {describe(x)} has a fan-in of {math.prod(x.shape[1:])}, and the variance is divided "
            f"by that − {correction:g}. Take correction=0, or a weight of more inputs."
        )
    w = parameter("weight_standardization", "gain", gain, (x.shape[0], *(1,) * len(axis)), f"input {describe(x)}", x)
    how: dict[str, Any] = {"axis": axis, "eps": eps, "eps_mode": eps_mode, "n": n}
    if is_analytic("weight_standardization", backward):
        return node_for(ANALYTIC, backward)(*(t for t in (x, w) if t is not None), **how)  # type: ignore[no-any-return]
    y: Tensor = narrow(affine(_record(widen(x), **how), w, None), x)
    return y


def _record(x: Tensor, axis: tuple[int, ...], eps: Any, eps_mode: str, n: float) -> Tensor:
    fan_in = math.prod(x.shape[1:])
    with scope("mean"):
        mu = mean(x, axis=axis).named("μ")
        c = (x - mu).named("c")
    with scope("variance"):
        v = (sum(c**2, axis=axis) / n).named("σ²")
        scale = power_of_two(_rooted(v, eps, eps_mode, fan_in), c, axis)
        if scale is not None:
            return _record(c / scale, axis, shrunk(eps, scale, 1 if eps_mode == "std" else 2), eps_mode, n)
        if eps_mode == "scaled_max":
            q = rsqrt(maximum(v * fan_in, eps)).named("q")
        elif eps_mode == "scaled":
            q = (rsqrt(v + eps) * fan_in**-0.5).named("q")
        else:
            q = (1 / (root(v)[0].named("s") + eps)).named("q")
    with scope("normalize"):
        xhat: Tensor = (c * q).named("Ŵ")
    return xhat


def _rooted(v: Any, eps: Any, eps_mode: str, fan_in: Any) -> Any:
    """What the root is taken of."""
    return {"scaled_max": lambda: maximum(v * fan_in, eps), "scaled": lambda: v + eps, "std": lambda: v}[eps_mode]()


# The hand-derived node: c·q(v), and γ ---------------------------------------------------------------------------


def _standardize(x: Any, axis: tuple[int, ...], eps: float, eps_mode: str, n: float) -> tuple[Any, Any, Any]:
    """c, q, and k = −2q′(v)/(q³·n), which stays next to 1/N where q³ itself may leave the dtype's range."""
    x = widen(x)
    c = x - mean(x, axis=axis)
    return c, *_factor(c, axis, eps, eps_mode, n)


def _factor(c: Any, axis: tuple[int, ...], eps: Any, eps_mode: str, n: float) -> tuple[Any, Any]:
    fan_in = math.prod([c.shape[a] for a in axis])
    v = sum(c**2, axis=axis) / n
    scale = power_of_two(_rooted(v, eps, eps_mode, fan_in), c, axis)
    if scale is not None:
        q, k = _factor(c / scale, axis, shrunk(eps, scale, 1 if eps_mode == "std" else 2), eps_mode, n)
        return q / scale, k
    if eps_mode == "scaled_max":
        scaled = v * fan_in
        q = rsqrt(maximum(scaled, eps))
        share = where(scaled == eps, 0.5, where(scaled < eps, 0.0, 1.0))
        return q, share * (fan_in / n)
    if eps_mode == "scaled":
        r = rsqrt(v + eps)
        return r * fan_in**-0.5, fan_in / n
    s, divisor = root(v)
    return 1 / (s + eps), (s + eps) / (divisor * n)


def _forward(x: Any, w: Any = 1.0, **how: Any) -> Any:
    c, q, _ = _standardize(x, **how)
    return narrow(c * q * w, x)


def _dx(g: Any, out: Any, x: Any, w: Any = 1.0, *, axis: tuple[int, ...], **how: Any) -> Any:
    c, q, k = _standardize(x, axis, **how)
    g = widen(g) * w
    what = c * q
    return q * (g - mean(g, axis=axis) - what * (sum(g * what, axis=axis) * k))


def _dw(g: Any, out: Any, x: Any, w: Any, **how: Any) -> Any:
    c, q, _ = _standardize(x, **how)
    return widen(g) * c * q


ANALYTIC = Op("weight_standardization", "WeightStandardization({0})", _forward, (_dx, _dw))


# What the rest of the house asks --------------------------------------------------------------------------------

NORM = register(
    Norm(
        name="weight_standardization",
        title="Weight Standardization",
        apply=by_name(weight_standardization),
        parameters=lambda shape, **options: {"gain": (*shape[:1], *(1,) * (len(shape) - 1))},
        symbols={"input": "W", "gain": "γ"},
        options={"eps": None, "eps_mode": "scaled_max", "correction": None},
        samples=(
            {"shape": (3, 2, 2, 2)},
            {"shape": (5, 4), "eps": 4.0},
            {"shape": (3, 2, 2, 2), "eps_mode": "scaled", "eps": 0.3},
            {"eps_mode": "scaled"},
            {"eps_mode": "std", "eps": 0.1},
            {"eps_mode": "std", "correction": 0},
        ),
        min_ndim=2,
        projects=True,
        formula="y = γ·(W − μ)·q,  q = 1/√max(N·σ², ε)",
        backward_formula="dW = q·(g − mean(g)) − q³·c·Σ(g·c) (no last term where ε is taken),  g = dy·γ,  dγ = Σ dy·c·q",
        references=(
            "Qiao, Wang, Liu, Shen, Yuille 2019, Weight Standardization, arXiv:1903.10520",
            "Brock, De, Smith 2021, Characterizing signal propagation to close the performance gap in unnormalized ResNets, "
            "arXiv:2101.08692",
        ),
    )
)
