"""Losses beside PyTorch, at the ends of the range, and what bad input is told. Cross-entropy's tests are in test_functions.py."""

from __future__ import annotations

import itertools
import math
import warnings

import numpy as np
import pytest

from tests.engine.test_torch_parity import compare
from tinygrad_norm import functional as F
from tinygrad_norm.engine import DTypeError, GradientError, OptionError, ShapeError, grad, tensor

torch = pytest.importorskip("torch", reason="PyTorch is not installed: parity with it is not checked")
T = torch.nn.functional
RNG = np.random.default_rng(5)
X, Y, P, Q, W = (
    RNG.standard_normal((3, 4)) * 2,
    RNG.standard_normal((3, 4)),
    RNG.uniform(0.1, 0.9, (3, 4)),
    RNG.uniform(0.1, 0.9, (3, 4)),
    RNG.uniform(0.5, 2.0, (3, 4)),
)
REDUCTION = pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
pytestmark = pytest.mark.filterwarnings("ignore:reduction")  # PyTorch's, about kl_div


@REDUCTION
@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("mse_loss", {}),
        ("l1_loss", {}),
        ("smooth_l1_loss", {}),
        ("smooth_l1_loss", {"beta": 0.3}),
        ("smooth_l1_loss", {"beta": 0.0}),
        ("huber_loss", {}),
        ("huber_loss", {"delta": 2.5}),
    ],
    ids=str,
)
def test_distances(name, how, reduction):
    how = {**how, "reduction": reduction}
    compare(lambda x, y: getattr(F, name)(x, y, **how), lambda x, y: getattr(T, name)(x, y, **how), X, Y)


@REDUCTION
@pytest.mark.parametrize("name", ["mse_loss", "l1_loss", "huber_loss"])
def test_weighted_distances(name, reduction):
    """The gradient flows to the weights too, through the mean's divisor where they are in it."""
    if not hasattr(T, name) or "weight" not in __import__("inspect").signature(getattr(T, name)).parameters:
        pytest.skip("this PyTorch has no weight here")
    compare(
        lambda x, y, w: getattr(F, name)(x, y, reduction=reduction, weight=w),
        lambda x, y, w: getattr(T, name)(x, y, reduction=reduction, weight=w),
        *(X, Y, W),
    )


def test_kinks_of_the_distances():
    d = np.array([-1.0, -0.5, 0.0, 0.5, 1.0])
    for name, how in (("l1_loss", {}), ("smooth_l1_loss", {"beta": 0.5}), ("huber_loss", {"delta": 0.5})):
        compare(
            lambda x: getattr(F, name)(x, np.zeros(5), reduction="none", **how),  # noqa: B023
            lambda t: getattr(T, name)(t, torch.zeros(5, dtype=torch.float64), reduction="none", **how),  # noqa: B023
            d,
            order=1,
        )


@REDUCTION
def test_binary_cross_entropy(reduction):
    w, row = torch.tensor(W), torch.tensor(W[0])
    compare(
        lambda x, t: F.binary_cross_entropy(x, t, reduction=reduction),
        lambda x, t: T.binary_cross_entropy(x, t, reduction=reduction),
        *(P, Q),
    )
    compare(
        lambda x: F.binary_cross_entropy(x, Q, W, reduction=reduction),
        lambda x: T.binary_cross_entropy(x, torch.tensor(Q), w, reduction=reduction),
        P,
    )
    compare(
        lambda x, t: F.binary_cross_entropy_with_logits(x, t, reduction=reduction),
        lambda x, t: T.binary_cross_entropy_with_logits(x, t, reduction=reduction),
        *(X, Q),
    )
    compare(
        lambda x, t: F.binary_cross_entropy_with_logits(x, t, W, pos_weight=W[0], reduction=reduction),
        lambda x, t: T.binary_cross_entropy_with_logits(x, t, w, pos_weight=row, reduction=reduction),
        *(X, Q),
    )


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_logits_however_certain(dtype):
    """The loss is e^−|x| where the target is right, |x| where it is wrong; the gradient σ(x) − t, exact even where it is 1e-18."""
    high = 8.0 if dtype == "float16" else 40.0
    x = tensor(np.array([high, high, -high, -high, 0.0, np.finfo(dtype).max], dtype), requires_grad=True)
    target = np.array([1, 0, 1, 0, 1, 0], dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        y = F.binary_cross_entropy_with_logits(x, target, reduction="none")
        (g,) = grad(y, x, np.ones(6, dtype))
    small, part = math.log1p(math.exp(-high)), math.exp(-high) / (1 + math.exp(-high))
    tolerance = {"float16": 2e-3, "float32": 1e-6, "float64": 1e-14}[dtype]
    largest = float(np.finfo(dtype).max)
    np.testing.assert_allclose(
        y.data.astype(float), [small, high + small, high + small, small, math.log(2), largest], rtol=tolerance
    )
    np.testing.assert_allclose(g.data.astype(float), [-part, 1 - part, part - 1, part, -0.5, 1], rtol=tolerance)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["huber_loss", "smooth_l1_loss", "l1_loss"])
def test_distances_at_the_ends_of_the_range(name, dtype):
    """Linear far out: nothing overflows on the way, forward or backward, nor in the branch that is not taken."""
    kind = np.finfo(dtype)
    x = tensor(np.array([kind.max / 2, -kind.max / 2, kind.tiny, 2 * kind.smallest_subnormal, 0.0], dtype), requires_grad=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        y = getattr(F, name)(x, np.zeros(5, dtype), reduction="none")
        (g,) = grad(y, x, np.ones(5, dtype), create_graph=True)
        grad(g, x, np.ones(5, dtype), allow_unused=True) if g.requires_grad else None
    largest = float(kind.max) / 2
    np.testing.assert_allclose(y.data[:2], [largest, largest], rtol=1e-6)
    near = [1.0, 1.0, 0.0] if name == "l1_loss" else [float(kind.tiny), 2 * float(kind.smallest_subnormal), 0.0]
    np.testing.assert_allclose(g.data, np.array([1, -1, *near], dtype), rtol=1e-6)


def test_probabilities_of_0_and_1():
    """PyTorch's value; its gradient of ∓10¹² is none of the function's, ours is 0 where the logarithm is cut off."""
    p, t = np.array([0.0, 1.0, 0.0, 1.0]), np.array([0.0, 1.0, 1.0, 0.0])
    x = tensor(p, requires_grad=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        y = F.binary_cross_entropy(x, t, reduction="none")
        (g,) = grad(y, x, np.ones(4))
    np.testing.assert_array_equal(y.data, T.binary_cross_entropy(torch.tensor(p), torch.tensor(t), reduction="none").numpy())
    np.testing.assert_array_equal(g.data, [1, -1, 0, 0])


@pytest.mark.parametrize("reduction", ["mean", "sum", "none", "batchmean"])
def test_kl_div(reduction):
    log_p, q = np.log(P / P.sum(1, keepdims=True)), Q / Q.sum(1, keepdims=True)
    compare(lambda x, t: F.kl_div(x, t, reduction=reduction), lambda x, t: T.kl_div(x, t, reduction=reduction), log_p, q)
    compare(
        lambda x, t: F.kl_div(x, t, reduction=reduction, log_target=True),
        lambda x, t: T.kl_div(x, t, reduction=reduction, log_target=True),
        *(log_p, np.log(q)),
    )


def test_kl_div_where_the_target_is_0():
    """0·(log 0 − x) is 0, even at x = −∞, where PyTorch has NaN."""
    x = tensor(np.array([[-np.inf, 0.0]]), requires_grad=True)
    y = F.kl_div(x, np.array([[0.0, 1.0]]), reduction="batchmean")
    assert y.item() == 0
    np.testing.assert_array_equal(grad(y, x)[0].data, [[0, -1]])


CLASSES = {
    "one": ((4,), np.array(2)),
    "some": ((5, 4), np.array([0, 3, 1, 1, 2])),
    "ignored": ((5, 4), np.array([0, -100, 1, -100, 2])),
    "images": ((2, 4, 3, 2), np.random.default_rng(0).integers(0, 4, (2, 3, 2))),
}


@REDUCTION
@pytest.mark.parametrize("weight", [None, np.array([0.5, 2.0, 1.0, 0.1])], ids=["even", "weighted"])
@pytest.mark.parametrize(("shape", "target"), CLASSES.values(), ids=CLASSES)
def test_nll_loss(shape, target, weight, reduction):
    w, x = None if weight is None else torch.tensor(weight), RNG.standard_normal(shape)
    for ignored, t in ((-100, target), (1, np.where(target == -100, 1, target))):
        compare(
            lambda x: F.nll_loss(x, t, weight, ignore_index=ignored, reduction=reduction),  # noqa: B023
            lambda x: T.nll_loss(x, torch.tensor(t), w, ignore_index=ignored, reduction=reduction),  # noqa: B023
            x,
        )
    composed = F.nll_loss(F.log_softmax(x, min(1, x.ndim - 1)), target, weight, reduction=reduction)
    np.testing.assert_allclose(composed.data, F.cross_entropy(x, target, weight, reduction=reduction).data, rtol=1e-12)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_dtypes_stay(dtype):
    x, y, p = (a.astype(dtype) for a in (X, Y, P))
    for name, reduction in itertools.product(("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss"), ("mean", "none")):
        t = tensor(x, requires_grad=True)
        loss = getattr(F, name)(t, y, reduction=reduction)
        assert loss.dtype == dtype
        assert grad(loss.sum(), t)[0].dtype == dtype
    for call in (
        F.binary_cross_entropy(p, p),
        F.binary_cross_entropy_with_logits(x, p),
        F.nll_loss(x, [0, 1, 2]),
        F.kl_div(x, p),
    ):
        assert call.dtype == dtype
    assert F.mse_loss(tensor(x[0]), [0.0, 1.0, 2.0, 3.0]).dtype == dtype


def test_float16_adds_up_in_float32():
    x = np.full(3000, 200.0, "float16")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert F.mse_loss(x, x * 0).data == np.float16(40000)


ints = np.array([0, 1, 2])
x = tensor(X, requires_grad=True, name="x")
BAD = {
    "columns": (ShapeError, r"mse_loss: target \(3,\) float64 for input \(3, 1\) float64: the shapes must be equal", lambda: F.mse_loss(X[:, :1], X[:, 0])),
    "nothing": (ShapeError, r"l1_loss: the mean over \(0,\) float64 losses", lambda: F.l1_loss(np.ones(0), np.ones(0))),
    "reduction": (OptionError, 'huber_loss: reduction=\'avg\'; it is "none", "sum" or "mean"', lambda: F.huber_loss(X, Y, "avg")),
    "delta": (OptionError, "huber_loss: delta=0; it is a number above 0", lambda: F.huber_loss(X, Y, delta=0)),
    "beta": (OptionError, "smooth_l1_loss: beta=-1; it is a number from 0 on", lambda: F.smooth_l1_loss(X, Y, beta=-1)),
    "no probability": (OptionError, r"binary_cross_entropy: input \(3, 4\) float64 has entries outside 0 … 1. Of logits", lambda: F.binary_cross_entropy(X, P)),
    "weight": (ShapeError, r"binary_cross_entropy: .*\(3,\) float64 do not broadcast", lambda: F.binary_cross_entropy(P, Q, np.ones(3))),
    "trained weight": (GradientError, r"nll_loss: weight \(4,\) float64 requires a gradient, and none flows.*detach", lambda: F.nll_loss(X, ints, tensor(np.ones(4), requires_grad=True))),
    "trained pos_weight": (GradientError, "binary_cross_entropy_with_logits: pos_weight", lambda: F.binary_cross_entropy_with_logits(X, P, pos_weight=tensor(np.ones(4), requires_grad=True))),
    "log target": (OptionError, r"kl_div: target \(3, 4\) float64 has entries below 0.*log_target=True", lambda: F.kl_div(X, -P)),
    "class": (ShapeError, r"nll_loss: target \(3,\) int64 has 4; an index must be between 0 and 3", lambda: F.nll_loss(X, [0, 4, 1])),
    "classes": (ShapeError, r"nll_loss: target \(2,\) int64 for input x \(3, 4\) float64", lambda: F.nll_loss(x, [0, 1])),
    "class dtype": (DTypeError, r"nll_loss: target \(3,\) float64 is not of class indices. Cast it to int64", lambda: F.nll_loss(X, [0.0, 1.0, 2.0])),
    "ignore_index": (DTypeError, "nll_loss: ignore_index=1.5; it is a whole number", lambda: F.nll_loss(X, ints, ignore_index=1.5)),
    "all ignored": (ShapeError, r"nll_loss: the mean over .* none counts", lambda: F.nll_loss(X, [-100] * 3)),
}  # fmt: skip


@pytest.mark.parametrize(("error", "message", "call"), BAD.values(), ids=BAD)
def test_errors(error, message, call):
    with pytest.raises(error, match=f"^{message}"):
        call()
