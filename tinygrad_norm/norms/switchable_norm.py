"""SwitchableNorm: the statistics of InstanceNorm, LayerNorm and BatchNorm, mixed in learned shares.

    μ = Σ p_k·μ_k        σ² = Σ q_k·σ²_k        y = γ·(x − μ)/√(σ² + ε) + β        p, q = softmax of three numbers each

    k = 1  instance   over the places                     μ_k, σ²_k of each (n, c)
    k = 2  layer      over channels and places            of each n
    k = 3  batch      over samples and places             of each c; in inference the running m and v instead

Axes        (N, C, *) with at least one axis of places
ε           inside the root; default 1e-5
variance    biased, each about its own mean, by definition. The authors' code takes the instance's unbiased and makes the others
            from it, by E[x²] − E[x]²; a mixture of variances is not the variance of a mixture
shares      two vectors of 3, for means and for variances (``mean_weight``, ``var_weight``); they start at 1, equal shares
m, v        of shape (C,): updated in training, outside the record; v is biased here and in the authors' code.
            ``momentum`` is the weight of the new value (the authors' 0.9 is that of the old: 0.1)
γ, β        of shape (C,), each optional

Backward, with g = dy·γ, r = 1/√(σ² + ε), x̂ = (x − μ)·r; S_k sums over the axes of k besides the places, M_k counts all of them:

    dμ = −r·Σ g        dσ² = −½·r²·Σ g·x̂        sums over the places
    dx = r·g + Σ_k (p_k·S_k(dμ) + 2·q_k·S_k(dσ²)·(x − μ_k))/M_k        no k = 3 in inference: m and v are constants
    dp_k = Σ dμ·μ_k        dq_k = Σ dσ²·σ²_k        then through the softmaxes        dγ = Σ dy·x̂        dβ = Σ dy

Source: Luo, Ren, Peng, Zhang, Li 2018, "Differentiable Learning-to-Normalize via Switchable Normalization"
(arXiv:1806.10779), eqs. 3 to 5.
"""

from __future__ import annotations

import math
from typing import Any

from ..engine import Op, OptionError, ShapeError, Tensor, describe, scope
from ..engine.arguments import floating
from ..engine.primitives import concatenate, getitem, mean, reshape, rsqrt, softmax, sum
from .arguments import (
    affine_pair,
    as_parameter,
    channels,
    flag,
    is_analytic,
    narrow,
    node_for,
    number,
    parameter,
    per_channel,
    several_values,
    widen,
)
from .batch_norm import as_it_is_now, check_running, update_running
from .moments import affine, of_nothing
from .registry import Norm, by_name, register


@scope("SwitchableNorm")
def switchable_norm(
    input: Tensor,
    mean_weight: Tensor,
    var_weight: Tensor,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    running_mean: Any = None,
    running_var: Any = None,
    training: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
    backward: str = "recorded",
) -> Tensor:
    """SwitchableNorm of (N, C, *); see the file's head for the formula.

    mean_weight, var_weight:    shape (3,): the shares of instance, layer and batch before their softmax
    weight, bias:               γ and β, shape (C,), or None
    running_mean, running_var:  m and v, shape (C,), tensors or arrays; in training they are updated in place
    training:                   the batch's statistics; False: m and v in their place
    momentum:                   the weight of the batch's statistics in the running ones
    backward:                   "recorded" or "analytic"

    Returns a tensor of the input's shape. float16 computes in float32 and returns float16. Raises ``ShapeError`` where shapes
    do not fit and for a single value per channel in training, ``DTypeError`` for integers, ``OptionError`` for inference
    without m and v, ``InPlaceError`` for statistics that cannot be updated. A call that raises has changed nothing.
    """
    name = "switchable_norm"
    analytic = is_analytic(name, backward)
    eps, training = number(name, "eps", eps), flag(name, "training", training)
    how = check_running(name, momentum, "new", 0, training, running_mean, running_var)
    x = floating(input, name)
    c, spread = channels(name, x, 3)
    of = f"{c} channels"
    w, b = affine_pair(name, x, weight, bias, (c,), of, spread)
    a, q = (widen(_shares(n, p, x)) for n, p in (("mean_weight", mean_weight), ("var_weight", var_weight)))
    if (running_mean is None) != (running_var is None):
        raise ShapeError(f"{name}: running_mean and running_var go together; one of them is None.")
    m, v = (parameter(name, n, p, (c,), of) for n, p in (("running_mean", running_mean), ("running_var", running_var)))
    if not training and m is None:
        raise OptionError(f"{name}: training=False needs running_mean and running_var: the batch's statistics come from them.")
    if not x.size:
        return of_nothing(x * sum(a * q, axis=(0,)), w, b)  # as empty as x, and of both
    if training:
        several_values(x, (0, *range(2, x.ndim)), name)
    running = () if training else tuple(per_channel(as_it_is_now(t, x), spread) for t in (m, v) if t is not None)
    wide = widen(x)
    xhat = node_for(ANALYTIC, backward)(wide, a, q, *running, eps=eps) if analytic else _record(wide, a, q, running, eps)
    y: Tensor = narrow(affine(xhat, w, b), x)
    if training and m is not None:
        update_running(name, x, (0, *range(2, x.ndim)), running_mean, running_var, *how)
    return y


def _shares(what: str, value: Any, x: Tensor) -> Tensor:
    p = as_parameter("switchable_norm", what, value, x)
    if p.shape != (3,):
        raise ShapeError(
            f"switchable_norm: {what} {describe(p)}: the shares of instance, layer and batch before their softmax, of shape (3,)."
        )
    return p


def _kinds(ndim: int) -> dict[str, tuple[int, ...]]:
    places = tuple(range(2, ndim))
    return {"instance": places, "layer": (1, *places), "batch": (0, *places)}


def _record(x: Tensor, a: Tensor, b: Tensor, running: tuple[Any, ...], eps: float) -> Tensor:
    found = {}
    for kind, axis in _kinds(x.ndim).items():
        if kind == "batch" and running:
            found[kind] = running
            continue
        with scope(kind):
            mu = mean(x, axis=axis).named(f"μ {kind}")
            found[kind] = mu, mean((x - mu) ** 2, axis=axis).named(f"σ² {kind}")
    with scope("mixture"):
        mu, variance = (
            _mix(softmax(s, axis=(0,)).named(share), [pair[k] for pair in found.values()])
            for k, (s, share) in enumerate(((a, "p"), (b, "q")))
        )
        mu, rstd = mu.named("μ"), rsqrt(variance.named("σ²") + eps).named("rstd")
    with scope("normalize"):
        return ((x - mu) * rstd).named("x̂")  # type: ignore[no-any-return]


def _mix(shares: Any, statistics: Any) -> Any:
    first, second, third = (getitem(shares, index=(k,)) * s for k, s in enumerate(statistics))
    return first + second + third


# The hand-derived node: x̂ from x, the six numbers, and in inference m and v ----------------------------------------


def _statistics(x: Any, running: tuple[Any, ...]) -> tuple[list[Any], list[Any]]:
    means, variances = [], []
    for kind, axis in _kinds(len(x.shape)).items():
        if kind == "batch" and running:
            mu, variance = running
        else:
            mu = mean(x, axis=axis)
            variance = mean((x - mu) ** 2, axis=axis)
        means.append(mu)
        variances.append(variance)
    return means, variances


def _parts(x: Any, a: Any, b: Any, running: tuple[Any, ...], eps: float) -> tuple[Any, Any, list[Any], list[Any]]:
    """x̂, rstd, and the statistics."""
    means, variances = _statistics(x, running)
    rstd = rsqrt(_mix(softmax(b, axis=(0,)), variances) + eps)
    return (x - _mix(softmax(a, axis=(0,)), means)) * rstd, rstd, means, variances


def _pull_statistics(g: Any, xhat: Any, rstd: Any) -> tuple[Any, Any]:
    """dμ and dσ², of each sample and channel."""
    places = tuple(range(2, len(xhat.shape)))
    return -rstd * sum(g, axis=places), -0.5 * rstd**2 * sum(g * xhat, axis=places)


def _dx(g: Any, out: Any, x: Any, a: Any, b: Any, *running: Any, eps: float) -> Any:
    xhat, rstd, means, _ = _parts(x, a, b, running, eps)
    dmu, dvar = _pull_statistics(g, xhat, rstd)
    dx, p, q = g * rstd, softmax(a, axis=(0,)), softmax(b, axis=(0,))
    for k, (kind, axis) in enumerate(_kinds(len(x.shape)).items()):
        if kind == "batch" and running:
            continue
        count, others = math.prod([x.shape[d] for d in axis]), axis[:1] if kind != "instance" else ()
        through_mu, through_var = (sum(d, axis=others) if others else d for d in (dmu, dvar))
        pulled = getitem(p, index=(k,)) * through_mu + 2 * getitem(q, index=(k,)) * through_var * (x - means[k])
        dx = dx + pulled / count
    return dx


def _pull_shares(cotangent: Any, statistics: list[Any], s: Any) -> Any:
    """Back through one mixture and its softmax."""
    everything = tuple(range(len(cotangent.shape)))
    one = [reshape(sum(cotangent * statistic, axis=everything), shape=(1,)) for statistic in statistics]
    dp, p = concatenate(*one, axis=0), softmax(s, axis=(0,))
    return p * (dp - sum(p * dp, axis=(0,)))


def _da(g: Any, out: Any, x: Any, a: Any, b: Any, *running: Any, eps: float) -> Any:
    xhat, rstd, means, _ = _parts(x, a, b, running, eps)
    return _pull_shares(_pull_statistics(g, xhat, rstd)[0], means, a)


def _db(g: Any, out: Any, x: Any, a: Any, b: Any, *running: Any, eps: float) -> Any:
    xhat, rstd, _, variances = _parts(x, a, b, running, eps)
    return _pull_shares(_pull_statistics(g, xhat, rstd)[1], variances, b)


def _dm(g: Any, out: Any, x: Any, a: Any, b: Any, *running: Any, eps: float) -> Any:
    xhat, rstd, *_ = _parts(x, a, b, running, eps)
    return getitem(softmax(a, axis=(0,)), index=(2,)) * _pull_statistics(g, xhat, rstd)[0]


def _dv(g: Any, out: Any, x: Any, a: Any, b: Any, *running: Any, eps: float) -> Any:
    xhat, rstd, *_ = _parts(x, a, b, running, eps)
    return getitem(softmax(b, axis=(0,)), index=(2,)) * _pull_statistics(g, xhat, rstd)[1]


ANALYTIC = Op(
    "switchable_norm",
    "SwitchableNorm({0})",
    lambda x, a, b, *running, eps: _parts(x, a, b, running, eps)[0],
    (_dx, _da, _db, _dm, _dv),
)


# What the rest of the house asks --------------------------------------------------------------------------------


def _parameters(shape: tuple[int, ...], training: bool = True, **options: Any) -> dict[str, tuple[int, ...]]:
    c = shape[1:2]
    running = {} if training else {"running_mean": c, "running_var": c}
    return {"mean_weight": (3,), "var_weight": (3,), "weight": c, "bias": c, **running}


NORM = register(
    Norm(
        name="switchable_norm",
        title="SwitchableNorm",
        apply=by_name(switchable_norm),
        parameters=_parameters,
        symbols={
            "input": "x",
            "mean_weight": "a",
            "var_weight": "b",
            "weight": "γ",
            "bias": "β",
            "running_mean": "m",
            "running_var": "v",
        },
        options={"training": True, "eps": 1e-5},
        shape=(3, 2, 4),
        samples=({"shape": (2, 3, 2, 3), "eps": 0.3}, {"shape": (2, 3, 4), "training": False}),
        draw={"running_var": lambda rng, shape: rng.uniform(0.5, 2, shape)},
        min_ndim=3,
        formula="y = γ·(x − μ)/√(σ² + ε) + β,  μ = Σ p_k·μ_k,  σ² = Σ q_k·σ²_k,  k = instance, layer, batch",
        backward_formula="dx = r·g + Σ_k (p_k·S_k(dμ) + 2·q_k·S_k(dσ²)·(x − μ_k))/M_k,  dμ = −r·Σ g,  dσ² = −½·r²·Σ g·x̂",
        references=("Luo, Ren, Peng, Zhang, Li 2018, Switchable Normalization, arXiv:1806.10779",),
    )
)
