"""Losses: how far a prediction is from its target, summed, averaged or one by one.

Names, argument order and defaults are PyTorch's, but what follows ``weight`` (or the target) has to be named where PyTorch's next
positions are its deprecated ``size_average`` and ``reduce``. Shapes must be equal: nothing broadcasts, which is what goes
wrong in silence when a (N, 1) meets a (N,). A mean over nothing raises ``ShapeError``, where PyTorch gives NaN.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from . import primitives as op
from .arguments import as_tensor, beside, floating, in_float32, integers, meeting, ordered
from .arrays import Array
from .axes import log_softmax
from .errors import DTypeError, GradientError, OptionError, ShapeError, describe
from .shapes import choice, flag, number
from .state import scope, state, sure
from .tensor import Tensor

REDUCTIONS = ("none", "sum", "mean")

# What they have in common -------------------------------------------------------------------------------


def _reduced(name: str, losses: Tensor, counts: Any, reduction: str) -> Tensor:
    """The losses as asked for; the mean is over what ``counts`` (a tensor, an array) adds up to, one for each loss unless given."""
    if reduction == "none":
        return losses
    if reduction == "mean" and counts is None and losses.size:
        return losses.mean()
    total = losses.sum()
    if reduction == "sum":
        return total
    if state.general and counts is not None:
        return total / as_tensor(counts).sum().astype(total.dtype)
    numbers = counts.data if isinstance(counts, Tensor) else counts
    weight = 0.0 if numbers is None else float(np.add.reduce(numbers, None, np.float64))
    if weight == 0:
        raise ShapeError(
            f"{name}: the mean over {describe(losses)} losses of which none counts: no samples, every target ignored, or weights "
            'of 0. Take reduction="sum".'
        )
    return total / (counts.sum() if isinstance(counts, Tensor) and counts.requires_grad else weight)


def _pair(name: str, input: Tensor, target: Any) -> Tensor:
    """The target as a tensor of the input's shape."""
    t = beside(target, input, name, "target")
    if t.shape != input.shape:
        raise ShapeError(
            f"{name}: target {describe(t)} for input {describe(input)}: the shapes must be equal. Reshape one: input.reshape(target.shape)."
        )
    if t.dtype.kind == "c" != input.dtype.kind:
        raise DTypeError(
            f"{name}: target {describe(t)} is complex, input {describe(input)} is not. Take one part: target.data.real."
        )
    dtype = np.result_type(t.dtype, input.dtype) if t.dtype.kind == "f" else input.dtype
    return t if t.dtype == dtype else t.astype(dtype)


def _weights(name: str, what: str, weight: Any, input: Tensor) -> Tensor | None:
    """A factor for each loss, of the input's shape or one that broadcasts to it."""
    if weight is None:
        return None
    w = floating(beside(weight, input, name, what), name, what)
    if w.dtype.kind == "c" != input.dtype.kind:
        raise DTypeError(
            f"{name}: {what} {describe(w)} is complex, input {describe(input)} is not. Take one part: {what}.data.real."
        )
    meeting(name, input, w)
    if np.broadcast_shapes(w.shape, input.shape) != input.shape:
        raise ShapeError(f"{name}: {what} {describe(w)} for input {describe(input)}: it must broadcast to the input's shape.")
    return w if w.dtype == input.dtype else w.astype(input.dtype)


def constant(name: str, what: str, weight: Any) -> Any:
    """A weight to which no gradient flows; an error rather than silence where one is asked for."""
    if isinstance(weight, Tensor) and weight.requires_grad:
        raise GradientError(f"{name}: {what} {describe(weight)} requires a gradient, and none flows to it. Pass {what}.detach().")
    return weight


# Distances ----------------------------------------------------------------------------------------------


def _distance(name: str, losses: Tensor, weight: Any, reduction: str, over_weights: bool = True) -> Tensor:
    choice(name, "reduction", reduction, REDUCTIONS)
    w = _weights(name, "weight", weight, losses)
    if w is None:
        return _reduced(name, losses, None, reduction)
    return _reduced(name, losses * w, w.broadcast_to(losses.shape) if over_weights else None, reduction)


@scope("MSE loss")
@in_float32
def mse_loss(input: Any, target: Any, *, reduction: str = "mean", weight: Any = None) -> Tensor:
    """(input − target)². weight: a factor for each; the mean is over their sum. Gradients flow to target and weight too."""
    return _distance("mse_loss", (input - _pair("mse_loss", input, target)) ** 2, weight, reduction)


@scope("L1 loss")
@in_float32
def l1_loss(input: Any, target: Any, *, reduction: str = "mean", weight: Any = None) -> Tensor:
    """|input − target|; the gradient is 0 where they are equal. weight: as in ``mse_loss``."""
    return _distance("l1_loss", op.abs(input - _pair("l1_loss", input, target)), weight, reduction)


@scope("smooth L1 loss")
@in_float32
def smooth_l1_loss(input: Any, target: Any, *, reduction: str = "mean", beta: float = 1.0) -> Tensor:
    """½d²/β where d = |input − target| < β, d − ½β beyond; with β = 0, ``l1_loss``.

    Source: Girshick 2015, "Fast R-CNN" (arXiv:1504.08083), eq. 3.
    """
    beta = number("smooth_l1_loss", "beta", beta, 0)
    difference = input - _pair("smooth_l1_loss", input, target)
    if not beta:
        return _distance("smooth_l1_loss", op.abs(difference), None, reduction)
    near = op.abs(difference) < beta
    inside, outside = op.where(near, difference, 0.0), op.where(near, beta / 2, difference)  # neither leaves the range
    losses = inside * (inside / beta) * 0.5 + (op.abs(outside) - beta / 2)
    return _distance("smooth_l1_loss", losses, None, reduction)


@scope("Huber loss")
@in_float32
def huber_loss(input: Any, target: Any, reduction: str = "mean", delta: float = 1.0, weight: Any = None) -> Tensor:
    """½d² where d = |input − target| ≤ δ, δ·(d − ½δ) beyond. weight: a factor for each; the mean is over their number.

    Source: Huber 1964, "Robust Estimation of a Location Parameter", Ann. Math. Statist. 35.
    """
    delta = number("huber_loss", "delta", delta, above=0)
    difference = input - _pair("huber_loss", input, target)
    near = op.abs(difference) <= delta
    inside, outside = op.where(near, difference, 0.0), op.where(near, delta / 2, difference)
    losses = inside * inside * 0.5 + (op.abs(outside) - delta / 2) * delta
    return _distance("huber_loss", losses, weight, reduction, over_weights=False)


# Probabilities ------------------------------------------------------------------------------------------


@scope("binary cross-entropy")
@in_float32
def binary_cross_entropy(input: Any, target: Any, weight: Any = None, *, reduction: str = "mean") -> Tensor:
    """−(t·log p + (1 − t)·log(1 − p)) of probabilities p = ``input``, each logarithm at least −100.

    weight:  a constant factor for each, that broadcasts to the input; the mean is over the number of entries

    Where a logarithm is cut off, at p = 0 or 1, nothing flows through it; PyTorch sends ∓10¹² there. A model's last sigmoid
    belongs into ``binary_cross_entropy_with_logits``, which is exact. Raises ``OptionError`` for a p that is no probability.
    """
    name = "binary_cross_entropy"
    choice(name, "reduction", reduction, REDUCTIONS)
    t, w = _pair(name, input, target), _weights(name, "weight", constant(name, "weight", weight), input)
    ordered(name, input, t)
    for what, p in (("input", input), ("target", t)):
        if p.size and not (p.data.min() >= 0 and p.data.max() <= 1):
            raise OptionError(f"{name}: {what} {describe(p)} has entries outside 0 … 1. Of logits, take {name}_with_logits.")
    losses = -(t * _log_from(input, input) + (1 - t) * _log_from(1 - input, input, complement=True))
    return _reduced(name, losses if w is None else losses * w, None, reduction)


def _log_from(p: Tensor, x: Tensor, complement: bool = False) -> Tensor:
    """max(log p, −100), p being x or 1 − x; where it is cut off, the logarithm is not even taken."""
    low = p < math.exp(-100)
    safe = op.where(low, 0.5, x)
    return op.where(low, -100.0, op.log1p(-safe) if complement else op.log(safe))  # type: ignore[no-any-return]


@scope("binary cross-entropy")
@in_float32
def binary_cross_entropy_with_logits(
    input: Any, target: Any, weight: Any = None, *, reduction: str = "mean", pos_weight: Any = None
) -> Tensor:
    """−(w₊·t·log σ(x) + (1 − t)·log(1 − σ(x))) of logits x = ``input``; exact for any size of x, however certain.

    weight:      a constant factor for each, that broadcasts to the input; the mean is over the number of entries
    pos_weight:  w₊, likewise: the weight of the positive targets
    """
    name = "binary_cross_entropy_with_logits"
    choice(name, "reduction", reduction, REDUCTIONS)
    t, w, positive = (
        _pair(name, input, target),
        *(_weights(name, k, constant(name, k, v), input) for k, v in (("weight", weight), ("pos_weight", pos_weight))),
    )
    yes, no = t if positive is None else t * positive, 1 - t
    losses = yes * op.softplus(-input) + no * op.softplus(input)
    return _reduced(name, losses if w is None else losses * w, None, reduction)


@scope("KL divergence")
@in_float32
def kl_div(input: Any, target: Any, *, reduction: str = "mean", log_target: bool = False) -> Tensor:
    """q·(log q − x): how far the distribution q = ``target`` is from that of the logarithms x = ``input``; 0 where q is 0.

    reduction:   "none", "sum", "batchmean" (the sum over the number of samples: the divergence), or "mean" (over all entries)
    log_target:  the target holds log q

    Source: Kullback, Leibler 1951, "On Information and Sufficiency", Ann. Math. Statist. 22.
    """
    choice("kl_div", "reduction", reduction, (*REDUCTIONS, "batchmean"))
    t = _pair("kl_div", input, target)
    if flag("kl_div", "log_target", log_target):
        losses = op.exp(t) * (t - input)
    else:
        if t.size and t.data.min() < 0:
            raise OptionError(f"kl_div: target {describe(t)} has entries below 0, so it holds no probabilities. log_target=True?")
        none = t == 0
        q, x = op.where(none, 1.0, t), op.where(none, 0.0, input)  # 0·(log 0 − x) is 0, whatever x is
        losses = op.where(none, 0.0, q * (op.log(q) - x))
    if reduction != "batchmean":
        return _reduced("kl_div", losses, None, reduction)
    if not losses.size:
        raise ShapeError(f'kl_div: the mean over a batch of {describe(input)}: there is no sample. Take reduction="sum".')
    return losses.sum() / (input.shape[0] if input.ndim else 1)  # type: ignore[no-any-return]


# Classes ------------------------------------------------------------------------------------------------


def _class_weights(name: str, weight: Any, input: Tensor, axis: int) -> Array:
    """A factor for every class, shaped to broadcast against the input."""
    classes = input.shape[axis]
    w = floating(constant(name, "weight", weight), name, "weight").data
    if w.shape != (classes,):
        raise ShapeError(f"{name}: weight {describe(w)} for input {describe(input)}: one number per class, shape ({classes},).")
    return w.astype(input.dtype, copy=False).reshape(classes, *(1,) * (input.ndim - axis - 1))


def _targets(name: str, t: Tensor, input: Tensor, axis: int, ignore_index: int) -> tuple[tuple[Any, ...], Array]:
    """Where in the input each target's class stands, and which targets count."""
    classes, shape = input.shape[axis], input.shape[:axis] + input.shape[axis + 1 :]
    if t.dtype.kind not in "iu":
        no = "neither class indices nor probabilities" if name == "cross_entropy" else "not of class indices"
        raise DTypeError(f"{name}: target {describe(t)} is {no}. Cast it to int64.")
    if t.shape != shape:
        raise ShapeError(
            f"{name}: target {describe(t)} for input {describe(input)}: class indices have the input's shape without its "
            f"{classes} classes, {shape}."
        )
    data = t.data
    counts = data != ignore_index
    index = integers(t if sure(counts.all()) else np.where(counts, data, 0), name, "target", classes)
    if len(shape) == 1 == axis:  # as nearly always
        return (np.arange(shape[0]), index), counts
    places = list(np.indices(shape, sparse=True))
    places.insert(axis, index)
    return tuple(places), counts


def _of_targets(shares: Array | None, input: Tensor, places: tuple[Any, ...], counts: Array) -> Array:
    """What each target counts: the weight of its class, 1 where classes have none, and 0 where it is ignored."""
    return counts.astype(input.dtype) if shares is None else np.broadcast_to(shares, input.shape)[places] * counts


@scope("NLL loss")
@in_float32
def nll_loss(input: Any, target: Any, weight: Any = None, *, ignore_index: int = -100, reduction: str = "mean") -> Tensor:
    """−input at the target's class: of log-probabilities, the negative log-likelihood.

    input:         (C,), (N, C) or (N, C, d1, …)
    target:        class indices, of the input's shape without C
    weight:        a number for each class, (C,); no gradient flows to it
    ignore_index:  targets of this value count for nothing
    reduction:     "none", "sum", or "mean": over the targets' weights

    ``nll_loss(log_softmax(z))`` is ``cross_entropy(z)``, which refuses the same.
    """
    choice("nll_loss", "reduction", reduction, REDUCTIONS)
    ignore_index = number("nll_loss", "ignore_index", ignore_index, whole=True)
    if not input.ndim:
        raise ShapeError(f"nll_loss: input {describe(input)} has no axis of classes; it is (C,), (N, C) or (N, C, d1, …).")
    axis = min(1, input.ndim - 1)
    places, counts = _targets("nll_loss", as_tensor(target, "nll_loss", "target"), input, axis, ignore_index)
    of_target = _of_targets(None if weight is None else _class_weights("nll_loss", weight, input, axis), input, places, counts)
    losses = -input[places] if weight is None else -input[places] * of_target
    losses = losses if sure(counts.all()) else op.where(counts, losses, 0.0)  # not times 0: it may be infinite
    return _reduced("nll_loss", losses, of_target, reduction)


@in_float32
def cross_entropy(
    input: Any,
    target: Any,
    weight: Any = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """−Σ target·log softmax(input) over the classes.

    input:   logits (C,), (N, C) or (N, C, d1, …)
    target:  class indices, of the input's shape without C; or floating-point class probabilities, of the input's shape
             (a gradient flows to these as well)
    weight:  a number for each class, (C,); no gradient flows to it
    ignore_index:     targets of this value count for nothing (class indices only)
    reduction:        "none", "sum", or "mean": over the targets' weights for class indices, over the samples for
                      probabilities
    label_smoothing:  that share of each target is spread evenly over the classes

    Raises ``ShapeError`` for shapes that do not fit, for a class that does not exist, and for the mean over no targets
    (where PyTorch gives NaN).
    """
    choice("cross_entropy", "reduction", reduction, REDUCTIONS)
    if not input.ndim:
        raise ShapeError(f"cross_entropy: input {describe(input)} has no axis of classes; it is (C,), (N, C) or (N, C, d1, …).")
    t = as_tensor(target, "cross_entropy", "target")
    axis = min(1, input.ndim - 1)
    classes = input.shape[axis]
    logp = log_softmax(input, axis)
    shares = None if weight is None else _class_weights("cross_entropy", weight, input, axis)

    if t.dtype.kind == "f":
        if t.shape != input.shape:
            raise ShapeError(
                f"cross_entropy: target {describe(t)} for input {describe(input)}: class probabilities have the input's shape. "
                "Class indices are integers: target.astype('int64')."
            )
        t = t * (1 - label_smoothing) + label_smoothing / classes if label_smoothing else t
        losses = -(logp * t if shares is None else logp * t * shares).sum(axis)
        return _reduced("cross_entropy", losses, np.ones(losses.shape, losses.dtype), reduction)

    places, counts = _targets("cross_entropy", t, input, axis, ignore_index)
    of_target = _of_targets(shares, input, places, counts)
    losses = -logp[places]
    losses = losses if shares is None else losses * of_target
    if label_smoothing:
        everywhere = -(logp if shares is None else logp * shares).sum(axis)
        losses = losses * (1 - label_smoothing) + everywhere * (label_smoothing / classes)
    losses = losses if sure(counts.all()) else op.where(counts, losses, 0.0)  # not times 0: it may be infinite
    return _reduced("cross_entropy", losses, of_target, reduction)
