"""Cross-entropy: how surprised the prediction softmax(z) is by the target, −Σ q·log p.

    loss = −Σ_k q_k·log softmax(z)_k        summed, averaged, or one for each sample

Axes        classes on axis 1 of (N, C) or (N, C, d1, …); (C,) is one sample
q           class indices t:      1/Z·((1 − s)·w_t·onehot(t) + s/K·w), 0 where t is ``ignore_index``; no gradient flows to t
            class probabilities:  1/Z·((1 − s)·t + s/K)·w
            K classes, s the label smoothing, w the classes' weights (1 unless given)
Z           1; for the mean: Σ w_t over the targets that count, or the number of samples for probabilities
Elsewhere   Keras' ``CategoricalCrossentropy`` takes probabilities unless ``from_logits=True``; its classes, and those of JAX'
            optax, are on the last axis

Backward, with p = softmax(z):

    dz = dy·(p·Σ_k q − q)        dt = −dy·log p·(1 − s)·w/Z

For a plain one-hot mean over N samples this is the famous (p − onehot)/N. It has no p in a denominator: a prediction that is
certain and wrong has the loss ∞ at most, and a gradient of 1. One that is certain and right keeps its digits, too: p − 1 is
computed as expm1(log p), the loss as log(1 + Σ exp of the others).

A mean over no targets (all ignored) raises ``ShapeError``; PyTorch gives NaN.

Source: Bridle 1990, as softmax. Label smoothing: Szegedy et al. 2016, "Rethinking the Inception Architecture for Computer
Vision" (arXiv:1512.00567), sec. 7.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import numpy as np

from ..engine import GradientError, Op, OptionError, ShapeError, Tensor, TinygradNormError, describe, scope
from ..engine import primitives as op
from ..engine.arguments import as_tensor, floating
from ..engine.losses import cross_entropy as composed
from .arguments import is_analytic, node_for, number, parameter, widen
from .log_softmax import log_probabilities
from .registry import Norm, register


@scope("cross entropy")
def cross_entropy(
    input: Tensor,
    target: Any,
    weight: Any = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
    backward: str = "recorded",
) -> Tensor:
    """−Σ target·log softmax(input) over the classes; see the file's head for the formula.

    input:            logits (C,), (N, C) or (N, C, d1, …)
    target:           class indices, of the input's shape without C; or floating-point class probabilities, of the input's shape
                      (a gradient flows to these as well)
    weight:           a number for each class, (C,); a gradient flows to it where the target is probabilities
    ignore_index:     targets of this value count for nothing (class indices only)
    reduction:        "none", "sum", or "mean": over the targets' weights for class indices, over the samples for probabilities
    label_smoothing:  that share of each target is spread evenly over the classes
    backward:         "recorded" or "analytic"

    What comes after ``weight`` has to be named: PyTorch's next positions are its deprecated ``size_average`` and ``reduce``.
    Returns one number, or for "none" one for each sample. float16 is computed in float32. Raises ``ShapeError`` for shapes
    that do not fit, a class that does not exist and the mean over no targets; ``DTypeError`` for logits that are integers;
    ``GradientError`` for weights that require one beside class indices, ``OptionError`` for ignore_index beside probabilities.
    """
    z, t = floating(input, "cross_entropy"), as_tensor(target, "cross_entropy", "target")
    ignore_index = number("cross_entropy", "ignore_index", ignore_index, whole=True)
    label_smoothing = number("cross_entropy", "label_smoothing", label_smoothing, least=0, most=1)
    how: dict[str, Any] = {"ignore_index": ignore_index, "reduction": reduction, "label_smoothing": label_smoothing}
    analytic = is_analytic("cross_entropy", backward)
    if t.dtype.kind == "f" and ignore_index >= 0:
        raise OptionError(
            f"cross_entropy: ignore_index={ignore_index} with class probabilities {describe(t)}: it is for class indices; leave it out."
        )
    if isinstance(weight, Tensor) and weight.requires_grad:
        t, weight, how["label_smoothing"] = _weighed(z, t, weight, label_smoothing), None, 0.0
    if not z.size:  # of no classes, nothing can be spread over them; nor is the log of their sum a number
        how["label_smoothing"] = 0.0
        with np.errstate(divide="ignore"), scope("cross entropy"):
            return composed(z, t, weight, **how).named("loss")
    if analytic:
        weights = None if weight is None else floating(weight, "cross_entropy", "weight").data
        with suppress(TinygradNormError):  # raised again below, where the operands have names
            return node_for(ANALYTIC, backward)(z, t, weight=weights, **how)  # type: ignore[no-any-return]
    with scope("cross entropy"):
        return composed(z, t, weight, **how).named("loss")


def _weighed(z: Tensor, t: Tensor, weight: Tensor, label_smoothing: float) -> Tensor:
    """Class probabilities times the weights of the classes, on the record; ``GradientError`` for class indices."""
    if t.dtype.kind != "f":
        raise GradientError(
            f"cross_entropy: weight {describe(weight)} requires a gradient, and with class indices it gets none. Pass "
            "weight.detach(), or class probabilities."
        )
    if t.shape != z.shape:
        raise ShapeError(
            f"cross_entropy: target {describe(t)} for input {describe(z)}: class probabilities have the input's shape, class indices are integers."
        )
    w = parameter("cross_entropy", "weight", weight, z.shape[_axis(z) : _axis(z) + 1], f"input {describe(z)}, a number per class")
    assert w is not None
    smooth = t * (1 - label_smoothing) + label_smoothing / w.size if label_smoothing and w.size else t
    with scope("class weights"):
        return smooth * _class_weights(z, w)  # type: ignore[no-any-return]


# The hand-derived node ------------------------------------------------------------------------------------------


def _forward(z: Any, t: Any, **how: Any) -> Any:
    return composed(Tensor(z), Tensor(t), **how).data if isinstance(z, np.ndarray) else composed(z, t, **how)


def _axis(z: Any) -> int:
    return min(1, len(z.shape) - 1)


def _class_weights(z: Any, weight: Any) -> Any:
    """w, shaped to broadcast against z."""
    return 1.0 if weight is None else weight.astype(z.dtype).reshape(-1, *(1,) * (len(z.shape) - _axis(z) - 1))


def _targets(z: Any, t: Any, weight: Any, ignore_index: int, reduction: str, label_smoothing: float) -> Any:
    """q, of the shape of z, but for the division by Z; and 1/Z."""
    axis, w = _axis(z), _class_weights(z, weight)
    classes, mean = z.shape[axis], reduction == "mean"
    if len(t.shape) == len(z.shape):  # probabilities
        return (widen(t) * (1 - label_smoothing) + label_smoothing / classes) * w, classes / t.size if mean else 1.0
    index = np.expand_dims(t.data if isinstance(t, Tensor) else t, axis)
    counts = index != ignore_index
    hits = (np.arange(classes).reshape(-1, *(1,) * (index.ndim - axis - 1)) == index).astype(z.dtype)
    of_target = np.sum(hits * w, axis, keepdims=True) * counts
    q = (hits * w * (1 - label_smoothing) + w * (label_smoothing / classes)) * counts
    return q, 1 / float(of_target.sum(dtype=np.float64)) if mean else 1.0


def _spread(g: Any, z: Any) -> Any:
    """dy as it meets z: for a loss of each sample, with an axis for the classes."""
    axis = _axis(z)
    return g if not g.shape else op.reshape(g, shape=(*z.shape[:axis], 1, *z.shape[axis + 1 :]))


def _dz(g: Any, out: Any, z: Any, t: Any, **how: Any) -> Any:
    z, axis = widen(z), (_axis(z),)
    q, share = _targets(z, t, **how)
    logp = op.log_softmax(z, axis=axis)
    return _spread(widen(g), z) * share * (op.exp(logp) * (op.sum(q, axis=axis) - q) + q * op.expm1(logp))


def _dt(g: Any, out: Any, z: Any, t: Any, *, weight: Any, label_smoothing: float, **how: Any) -> Any:
    z, axis = widen(z), (_axis(z),)
    _, share = _targets(z, t, weight, label_smoothing=label_smoothing, **how)
    return _spread(widen(g), z) * (-(1 - label_smoothing) * share) * op.log_softmax(z, axis=axis) * _class_weights(z, weight)


ANALYTIC = Op("cross_entropy", "CrossEntropy({0}, {1})", _forward, (_dz, _dt))


# What the rest of the house asks --------------------------------------------------------------------------------


def _parameters(shape: tuple[int, ...], soft: bool = False, **options: Any) -> dict[str, tuple[int, ...]]:
    """Class indices as "target"; with the option ``soft``, class probabilities as "probabilities"."""
    axis = min(1, len(shape) - 1)
    return {"probabilities": shape} if soft else {"target": (*shape[:axis], *shape[axis + 1 :])}


def _apply(inputs: Mapping[str, Tensor], backward: str = "recorded", soft: bool = False, **options: Any) -> Tensor:
    return cross_entropy(inputs["input"], inputs["probabilities" if soft else "target"], backward=backward, **options)


def _all_classes(rng: np.random.Generator, inputs: Mapping[str, Any], **_: Any) -> Mapping[str, Any] | None:
    z = inputs["input"]
    if "target" not in inputs:
        return None
    classes, target = z.shape[1 if z.ndim > 1 else 0], inputs["target"]
    return {"target": (np.arange(target.size).reshape(target.shape) + int(rng.integers(classes))) % classes}


def _some_ignored(
    rng: np.random.Generator, inputs: Mapping[str, Any], ignore_index: int = -100, **_: Any
) -> Mapping[str, Any] | None:
    found = _all_classes(rng, inputs)
    if found is None or found["target"].size < 2:
        return None
    target = np.array(found["target"])
    target.flat[::3] = ignore_index
    return {"target": target}


def _as_derived(inputs: Mapping[str, Any], ignore_index: int = -100, **options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Class indices as the probabilities they are."""
    if "target" not in inputs:
        return dict(options), {}
    z, target = inputs["input"], inputs["target"]
    classes = z.shape[1 if z.ndim > 1 else 0]
    q = np.eye(classes)[np.clip(target, 0, classes - 1)]
    return {**options, "soft": True}, {"q": np.moveaxis(q, -1, 1) if z.ndim > 1 else q}


def _saved(inputs: Mapping[str, Any], **options: Any) -> dict[str, Any]:
    """Softmax of the logits, and its logarithm."""
    z = inputs["input"]
    logp = log_probabilities(z, 1 if z.ndim > 1 else 0)
    return {} if options.get("soft") else {"probs": np.exp(logp), "log_probs": logp}


NORM = register(
    Norm(
        name="cross_entropy",
        title="Cross-entropy",
        apply=_apply,
        parameters=_parameters,
        symbols={"input": "z", "target": "t", "probabilities": "q"},
        options={"soft": False, "reduction": "mean", "label_smoothing": 0.0, "ignore_index": -100},
        samples=(
            {"reduction": "none", "shape": (2, 3, 4), "label_smoothing": 0.3},
            {"reduction": "sum", "ignore_index": 1, "label_smoothing": 0.1},
            {"soft": True, "label_smoothing": 0.2},
            {"soft": True, "reduction": "none", "shape": (2, 3, 2)},
            {"shape": (5,)},
        ),
        draw={
            "target": lambda rng, shape: rng.integers(0, 2, shape),  # how many classes there are is not known here: the first two
            "probabilities": lambda rng, shape: rng.uniform(0.1, 1, shape),  # need not add up to 1 to have gradients
        },
        special=(
            ("with targets over all classes", _all_classes, None),
            ("with ignored targets", _some_ignored, "ignore_index"),
        ),
        derived_with={"soft": True, "lemmas": ("Σ_N(q) = 1",)},
        as_derived=_as_derived,
        saved=_saved,
        choices=lambda shape: {"reduction": ("mean", "sum")},
        formula="loss = −Σ q·log softmax(z)",
        backward_formula="dz = p·Σ q − q,  p = softmax(z),  dq = −log p;  over N for the mean",
        references=(
            "Bridle 1990, Probabilistic Interpretation of Feedforward Classification Network Outputs",
            "Szegedy et al. 2016, Rethinking the Inception Architecture for Computer Vision, arXiv:1512.00567",
        ),
    )
)
