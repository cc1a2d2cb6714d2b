"""The functions networks need: PyTorch beside us in float64, kinks and ties included, and what bad input is told."""

from __future__ import annotations

import itertools
import math
import warnings
from typing import Any

import numpy as np
import pytest

from tests.engine.test_torch_parity import compare
from tinygrad_norm import functional as F
from tinygrad_norm.engine import TABLE, DTypeError, ShapeError, Tensor, grad, tensor

torch = pytest.importorskip("torch", reason="PyTorch is not installed: parity with it is not checked")
T = torch.nn.functional
INF, NAN = math.inf, math.nan


def random(*shape: int) -> np.ndarray:
    return np.asarray(np.random.default_rng(sum(shape) + 21).standard_normal(shape))


X = random(3, 4)
ALL: dict[str, tuple[Any, Any, tuple[Any, ...]]] = {
    "softmax": (lambda x: F.softmax(x, -1), lambda t: T.softmax(t, -1), (X,)),
    "softmax dim 0": (lambda x: F.softmax(x, dim=0), lambda t: T.softmax(t, dim=0), (X,)),
    "softmax far out": (lambda x: F.softmax(x * 800, 1), lambda t: T.softmax(t * 800, 1), (X,)),
    "log_softmax": (lambda x: F.log_softmax(x, 1), lambda t: T.log_softmax(t, 1), (X,)),
    "log_softmax far out": (lambda x: F.log_softmax(x * 1e4, 1), lambda t: T.log_softmax(t * 1e4, 1), (X,)),
    "logsumexp": (lambda x: F.logsumexp(x, 1), lambda t: torch.logsumexp(t, 1), (X,)),
    "logsumexp all": (lambda x: F.logsumexp(x, (0, 1), True), lambda t: torch.logsumexp(t, (0, 1), True), (X,)),
    "gelu": (F.gelu, T.gelu, (X * 3,)),
    "gelu tanh": (lambda x: F.gelu(x, "tanh"), lambda t: T.gelu(t, approximate="tanh"), (X * 3,)),
    "silu": (F.silu, T.silu, (X * 3,)),
    "softplus": (F.softplus, T.softplus, (X * 30,)),
    "softplus beta": (lambda x: F.softplus(x, 2.0, 5.0), lambda t: T.softplus(t, 2.0, 5.0), (X * 5,)),
    "var": (F.var, torch.var, (X,)),
    "var dims": (lambda x: F.var(x, (0, 1), correction=0), lambda t: torch.var(t, (0, 1), correction=0), (X,)),
    "var keepdim": (lambda x: F.var(x, 1, keepdim=True), lambda t: torch.var(t, 1, keepdim=True), (X,)),
    "std": (lambda x: F.std(x, -1), lambda t: torch.std(t, -1), (X,)),
    "std biased": (lambda x: F.std(x, correction=0), lambda t: torch.std(t, correction=0), (X,)),
    "prod": (F.prod, torch.prod, (X,)),
    "prod dim": (lambda x: F.prod(x, 1, True), lambda t: torch.prod(t, 1, True), (X,)),
    "cumsum": (lambda x: F.cumsum(x, -1), lambda t: torch.cumsum(t, -1), (X,)),
    "clamp": (lambda x: F.clamp(x, -0.5, 0.7), lambda t: torch.clamp(t, -0.5, 0.7), (X,)),
    "clamp min": (lambda x: F.clamp(x, min=0.1), lambda t: torch.clamp(t, min=0.1), (X,)),
    "clamp by tensors": (F.clamp, torch.clamp, (X, random(4) - 0.9, random(3, 1) + 0.9)),
    "clip min above max": (lambda x: F.clip(x, 1.0, -1.0), lambda t: torch.clip(t, 1.0, -1.0), (X,)),
    "stack": (lambda *xs: F.stack(xs, -1), lambda *ts: torch.stack(ts, -1), (X, X * 2, X - 1)),
    "stack front": (lambda *xs: F.stack(xs), lambda *ts: torch.stack(ts), (X, X * 2)),
    "stack of numbers": (lambda *xs: F.stack(xs), lambda *ts: torch.stack(ts), (random(), random() + 1)),
    "split": (lambda x: F.split(x, 3, 1)[1] ** 2, lambda t: torch.split(t, 3, 1)[1] ** 2, (X,)),
    "split sections": (lambda x: F.split(x, [1, 0, 2])[2], lambda t: torch.split(t, [1, 0, 2])[2], (X,)),
    "flip": (lambda x: F.flip(x, (0, -1)) * x, lambda t: torch.flip(t, (0, -1)) * t, (X,)),
    "pad": (lambda x: F.pad(x, (1, 2), value=3.0), lambda t: T.pad(t, (1, 2), value=3.0), (X,)),
    "pad two": (lambda x: F.pad(x, (1, 0, 2, 1)), lambda t: T.pad(t, (1, 0, 2, 1)), (X,)),
    "pad crops": (lambda x: F.pad(x, (-1, 2, 1, -2)), lambda t: T.pad(t, (-1, 2, 1, -2)), (X,)),
    "norm": (F.norm, torch.norm, (X,)),
    "norm dim": (lambda x: F.norm(x, 2, 1, True), lambda t: torch.norm(t, 2, 1, True), (X,)),
    "norm fro": (lambda x: F.norm(x, "fro", (0, 1)), lambda t: torch.norm(t, "fro", (0, 1)), (X,)),
    "norm 1": (lambda x: F.norm(x, 1, 0), lambda t: torch.norm(t, 1, 0), (X,)),
    "norm 3": (lambda x: F.norm(x, 3, 0), lambda t: torch.norm(t, 3, 0), (X,)),
    "norm 1.5": (lambda x: F.norm(x, 1.5, 0), lambda t: torch.norm(t, 1.5, 0), (X,)),
    "norm inf": (lambda x: F.norm(x, INF, 1), lambda t: torch.norm(t, INF, 1), (X,)),
    "sort": (lambda x: F.sort(x)[0] ** 2, lambda t: torch.sort(t)[0] ** 2, (X,)),
    "sort down": (lambda x: F.sort(x, 0, True)[0] ** 2, lambda t: torch.sort(t, 0, True)[0] ** 2, (X,)),
    "topk": (lambda x: F.topk(x, 2)[0] ** 2, lambda t: torch.topk(t, 2)[0] ** 2, (X,)),
    "topk smallest": (lambda x: F.topk(x, 3, 0, False)[0] ** 2, lambda t: torch.topk(t, 3, 0, False)[0] ** 2, (X,)),
    "where": (lambda a, b: F.where(X > 0, a, b), lambda a, b: torch.where(torch.tensor(X > 0), a, b), (X, random(4))),
    "maximum": (F.maximum, torch.maximum, (X, random(4))),
}


@pytest.mark.parametrize(("ours", "theirs", "arrays"), ALL.values(), ids=ALL)
def test_as_pytorch(ours, theirs, arrays):
    compare(ours, theirs, *arrays)


@pytest.mark.parametrize(
    ("x", "dim", "index"),
    [
        (X, 1, [[0, 0], [3, 1], [2, 2]]),
        (X, 0, [[2, 2, 0, 1]]),
        (X, -1, [[3], [0], [0]]),
        (X[:1], 1, [[1], [0]]),
        (X[0], 0, [1, 1]),
    ],
    ids=str,
)
def test_take_along_dim(x, dim, index):
    theirs = torch.tensor(index)
    compare(lambda v: F.take_along_dim(v, index, dim) ** 2, lambda t: torch.take_along_dim(t, theirs, dim) ** 2, x)


# Kinks and ties ---------------------------------------------------------------------------------------------


def test_clamp_passes_the_gradient_at_its_bounds():
    at = np.array([-2.0, -1.0, 0.0, 1.0, 2.0, INF, -INF])
    compare(lambda x: F.clamp(x, -1.0, 1.0), lambda t: torch.clamp(t, -1.0, 1.0), at)
    compare(lambda x: F.clamp(x, max=1.0), lambda t: torch.clamp(t, max=1.0), at)
    assert np.isnan(F.clamp(tensor([NAN]), 0.0, 1.0).data)


@pytest.mark.parametrize("p", [2, 1, 3, 1.5, 0.5, INF])
def test_the_norm_has_the_slope_0_at_0(p):
    compare(lambda x: F.norm(x, p, 1), lambda t: torch.norm(t, p, 1), np.array([[0.0, 0.0], [3.0, 4.0], [0.0, 2.0]]), order=1)


def test_the_deviation_of_equal_entries_has_the_slope_0():
    compare(lambda x: F.std(x, 1), lambda t: torch.std(t, 1), np.array([[2.0, 2.0, 2.0], [1.0, 2.0, 4.0]]), order=1)


@pytest.mark.parametrize("function", [F.norm, lambda x: F.norm(x, 3), lambda x: F.norm(x, 1.5), F.std])
def test_where_the_slope_is_0_so_is_the_slope_of_the_slope(function):
    zero = tensor(np.zeros(3), requires_grad=True)
    (g,) = grad(function(zero), zero, create_graph=True)
    np.testing.assert_array_equal(g.data, 0.0)
    np.testing.assert_array_equal(grad((g * random(3)).sum(), zero)[0].data, 0.0)


def test_equal_largest_entries_share_the_norm():
    compare(lambda x: F.norm(x, INF), lambda t: torch.norm(t, INF), np.array([3.0, -3.0, 1.0, 3.0]), order=1)


@pytest.mark.parametrize("zeros", [0, 1, 2, 3, 5])
@pytest.mark.parametrize("n", [1, 2, 3, 5, 8])
def test_products_with_zeros(n, zeros):
    x = random(2, n)
    x[:, : min(zeros, n)] = 0.0
    compare(lambda v: F.prod(v, 1), lambda t: math.prod(t.unbind(1)), x, order=3)


def test_sorting_equal_entries_and_nan():
    x = np.array([[2.0, 1.0, 2.0, NAN, 1.0], [0.0, -0.0, 0.0, 1.0, INF]])
    for down in (False, True):
        found, expected = F.sort(x, descending=down), torch.sort(torch.tensor(x), descending=down, stable=True)
        np.testing.assert_array_equal(found.values.data, expected.values.numpy())
        np.testing.assert_array_equal(found.indices.data, expected.indices.numpy())
    assert F.topk([1.0, 3.0, 3.0, 2.0], 3).indices.data.tolist() == [1, 2, 3]
    assert F.topk([1.0, 3.0, 1.0, 2.0], 2, largest=False).indices.data.tolist() == [0, 2]


def test_softplus_at_its_threshold_and_far_out():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        x = np.array([-800.0, -20.0, 0.0, 19.999, 20.0, 20.001, 1e5])
        compare(F.softplus, T.softplus, x, order=1)
        compare(F.softplus, T.softplus, x[x != 20.0])  # there PyTorch's slope is the curve's, its second slope the line's


def test_logsumexp_of_infinities():
    x = np.array([[-INF, -INF], [-INF, 1.0], [INF, 1.0], [1e4, -1e4]])
    np.testing.assert_array_equal(F.logsumexp(x, 1).data, torch.logsumexp(torch.tensor(x), 1).numpy())
    compare(lambda v: F.logsumexp(v, 1), lambda t: torch.logsumexp(t, 1), x[[1, 3]])


def test_erf_is_erf():
    x = np.concatenate([np.linspace(-7, 7, 4001), 10.0 ** np.arange(-300, 1, 9), [0.99999, 1.0, 1.00001, INF, -INF, NAN]])
    np.testing.assert_allclose(TABLE["erf"](x), [math.erf(v) for v in x], rtol=4.5e-16, atol=0)
    assert np.signbit(TABLE["erf"](np.array(-0.0)))
    low = x[~(np.abs(x) < 1e-30)].astype("f4")
    np.testing.assert_allclose(TABLE["erf"](low), [math.erf(v) for v in low], rtol=4e-7)
    many = np.linspace(-5, 5, 30000).reshape(100, 300)
    np.testing.assert_array_equal(TABLE["erf"](many)[57], TABLE["erf"](many[57]))
    step = TABLE["erf"](many + 1e-30j).imag / 1e-30
    np.testing.assert_allclose(step, 2 / math.sqrt(math.pi) * np.exp(-(many**2)), rtol=1e-12, atol=1e-15)


# Einsum ------------------------------------------------------------------------------------------------------

EQUATIONS = [
    ("ij,jk->ik", (2, 3), (3, 4)),
    ("ij,jk", (2, 3), (3, 4)),
    ("ba,cb", (2, 3), (4, 2)),
    ("i,i", (3,), (3,)),
    (" i j , j -> i ", (2, 3), (3,)),
    ("ii", (3, 3)),
    ("ii->i", (3, 3)),
    ("iij->ji", (3, 3, 2)),
    ("iji,ik->jk", (2, 3, 2), (2, 2)),
    ("iii->i", (3, 3, 3)),
    ("...ij,...jk->...ik", (5, 2, 3), (5, 3, 2)),
    ("...ij,...jk->...ik", (5, 2, 3), (3, 2)),
    ("...ij,...jk", (4, 1, 2, 3), (5, 3, 2)),
    ("...i->...", (2, 3, 4)),
    ("i...->...i", (2, 3, 4)),
    ("b...i,oi->b...o", (2, 3, 4, 5), (6, 5)),
    ("bhqd,bhkd->bhqk", (2, 2, 3, 4), (2, 2, 5, 4)),
    ("ij,jk,kl->il", (2, 3), (3, 4), (4, 2)),
    ("i,j,k->kij", (2,), (3,), (4,)),
    ("ij->", (2, 3)),
    ("->", ()),
    ("ij,kl->", (2, 3), (2, 2)),
    ("bn,anm,bm->ba", (2, 3), (5, 3, 4), (2, 4)),
    ("ij,ij->ij", (0, 3), (0, 3)),
    ("ij,jk->ik", (2, 0), (0, 3)),
    ("Ab,bA->A", (2, 3), (3, 2)),
]


@pytest.mark.parametrize(("equation", "shapes"), [(e[0], e[1:]) for e in EQUATIONS], ids=str)
def test_einsum(equation, shapes):
    arrays = [random(*s) for s in shapes]
    compare(lambda *xs: F.einsum(equation, *xs), lambda *ts: torch.einsum(equation, *ts), *arrays)
    compare(lambda *xs: F.einsum(equation, *xs) ** 2, lambda *ts: torch.einsum(equation, *ts) ** 2, *arrays)


def test_einsum_of_one_tensor_with_itself():
    compare(lambda x: F.einsum("ij,kj->ik", x, x), lambda t: torch.einsum("ij,kj->ik", t, t), X, order=3)


# Convolution and pooling --------------------------------------------------------------------------------------

GRID = list(itertools.product([1, 2, (2, 1)], [0, (2, 1), "same"], [1, (1, 2)], [1, 2, 4]))


@pytest.mark.parametrize(
    ("stride", "padding", "dilation", "groups"),
    [g for g in GRID if g[1] != "same" or g[0] == 1],
    ids=lambda v: str(v).replace(" ", ""),
)
def test_conv2d(stride, padding, dilation, groups):
    how = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch warns of uneven padding
        compare(
            lambda x, w, b: F.conv2d(x, w, b, **how),
            lambda x, w, b: T.conv2d(x, w, b, **how),
            random(2, 4, 6, 7),
            random(8, 4 // groups, 2, 3),
            random(8),
        )


@pytest.mark.parametrize(
    ("x", "w", "how"),
    [
        ((4, 5, 5), (3, 4, 3, 3), {}),
        ((1, 1, 3, 3), (1, 1, 3, 3), {}),
        ((2, 3, 4, 4), (5, 3, 1, 1), {"stride": 3}),
        ((0, 3, 4, 4), (5, 3, 2, 2), {}),
        ((1, 2, 3, 4), (2, 2, 2, 2), {"padding": "valid"}),
    ],
    ids=str,
)
def test_conv2d_other_shapes(x, w, how):
    compare(lambda x, w: F.conv2d(x, w, **how), lambda x, w: T.conv2d(x, w, **how), random(*x), random(*w))


@pytest.mark.parametrize(
    ("x", "w", "how"),
    [
        ((2, 3, 7), (4, 3, 3), {}),
        ((3, 7), (4, 3, 3), {"padding": "same"}),
        ((2, 4, 9), (6, 2, 2), {"groups": 2, "stride": 2, "padding": 1, "dilation": (3,)}),
        ((2, 4, 9), (4, 1, 3), {"groups": 4, "padding": (1,)}),
        ((0, 3, 5), (2, 3, 5), {"padding": "valid"}),
    ],
    ids=str,
)
def test_conv1d(x, w, how):
    compare(
        lambda x, w, b: F.conv1d(x, w, b, **how), lambda x, w, b: T.conv1d(x, w, b, **how), random(*x), random(*w), random(w[0])
    )


@pytest.mark.parametrize("images", [1, 40])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_many_images_are_laid_out_some_at_a_time(images, dtype):
    """A convolution of all is the convolution of each; float16 is computed in float32."""
    x, w = random(images, 8, 24, 24).astype(dtype), random(6, 8, 3, 3).astype(dtype)
    whole = F.conv2d(x, w, padding=1)
    assert whole.dtype == dtype
    each = [
        T.conv2d(torch.tensor(x[i : i + 1], dtype=torch.float64), torch.tensor(w, dtype=torch.float64), padding=1)
        for i in range(images)
    ]
    np.testing.assert_allclose(whole.data, torch.cat(each).numpy(), rtol=8 * np.finfo(dtype).eps, atol=200 * np.finfo(dtype).eps)


@pytest.mark.parametrize("create_graph", [False, True])
def test_a_stack_asks_its_rule_once(create_graph, monkeypatch):
    """However many pieces there are: else going back through them takes the square of their number."""
    together = TABLE["concatenate"].pullbacks
    rule, asked = together.rule, []
    monkeypatch.setattr(together, "rule", lambda *args, **how: asked.append(how["wanted"]) or rule(*args, **how))
    pieces = [tensor(random(2), requires_grad=True) for _ in range(40)]
    dy = random(40, 2)
    found = grad(F.stack(pieces), pieces, dy, create_graph=create_graph)
    assert len(asked) == 1
    np.testing.assert_array_equal([g.data for g in found], dy)


def test_small_powers_are_products_and_integers_stay_integers():
    x = random(50)
    for n in range(3, 9):
        np.testing.assert_allclose((tensor(x) ** n).data, np.power(x, n), rtol=8 * 2.0**-53)
    whole = tensor(np.array([-3, 0, 7], np.int32)) ** 3
    assert whole.dtype == np.int32
    assert whole.data.tolist() == [-27, 0, 343]
    half = tensor(np.float16([30.0])) ** 3
    assert half.data == np.float16(27000.0)  # rounded once


def test_two_convolutions_and_a_curve_between():
    compare(
        lambda x, v, w: F.conv2d(F.gelu(F.conv2d(x, v, padding=1)), w, stride=2),
        lambda x, v, w: T.conv2d(T.gelu(T.conv2d(x, v, padding=1)), w, stride=2),
        random(1, 2, 5, 5),
        random(3, 2, 3, 3),
        random(2, 3, 2, 2),
        order=3,
        rtol=1e-8,
    )


POOLS = [(2, None, 0), (3, 2, 1), ((2, 3), (1, 2), (1, 0)), (3, 1, 1), (1, 1, 0), ((6, 7), None, 0)]


@pytest.mark.parametrize(("size", "stride", "padding"), POOLS)
def test_pools(size, stride, padding):
    x = random(2, 3, 6, 7)
    compare(lambda v: F.avg_pool2d(v, size, stride, padding) ** 2, lambda t: T.avg_pool2d(t, size, stride, padding) ** 2, x)
    compare(lambda v: F.max_pool2d(v, size, stride, padding) ** 2, lambda t: T.max_pool2d(t, size, stride, padding) ** 2, x)
    compare(lambda v: F.max_pool2d(v, size, stride, padding), lambda t: T.max_pool2d(t, size, stride, padding), x.round())
    compare(lambda v: F.max_pool2d(v, size, stride, padding), lambda t: T.max_pool2d(t, size, stride, padding), x[0] * 0)


def test_max_pool2d_with_dilation_infinities_and_nan():
    x = random(1, 2, 6, 6)
    compare(lambda v: F.max_pool2d(v, 2, 1, 1, 2), lambda t: T.max_pool2d(t, 2, 1, 1, 2), x)
    x[0, 0] = -INF
    x[0, 1, 2, 3] = NAN
    compare(lambda v: F.max_pool2d(v, 3, 2, 1), lambda t: T.max_pool2d(t, 3, 2, 1), x, order=1)
    assert F.max_pool2d(np.zeros((0, 2, 4, 4)), 2).shape == (0, 2, 2, 2)
    assert F.avg_pool2d(np.zeros((0, 2, 4, 4)), 2).shape == (0, 2, 2, 2)


# Words and classes ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("index", [[0, 2, 2, 2], [[1, 1], [4, 0]], 3], ids=str)
def test_embedding(index):
    w, i = random(5, 3), np.array(index, dtype=np.int64)
    compare(lambda w: F.embedding(index, w) ** 2, lambda t: T.embedding(torch.tensor(i), t) ** 2, w)
    compare(lambda w: F.embedding(tensor(i), w) ** 2, lambda t: T.embedding(torch.tensor(i), t) ** 2, w)


def test_embedding_of_nothing():
    w = tensor(random(5, 3), requires_grad=True)
    y = F.embedding([], w)
    assert y.shape == (0, 3)
    np.testing.assert_array_equal(grad(y, w, np.zeros((0, 3)))[0].data, np.zeros((5, 3)))


CLASSES = {
    "one": ((4,), np.array(2)),
    "some": ((5, 4), np.array([0, 3, 1, 1, 2])),
    "ignored": ((5, 4), np.array([0, -100, 1, -100, 2])),
    "images": ((2, 4, 3, 2), np.random.default_rng(0).integers(0, 4, (2, 3, 2))),
}
SMOOTHING = pytest.mark.parametrize("label_smoothing", [0.0, 0.3, 1.0])
REDUCTION = pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
WEIGHTED = pytest.mark.parametrize("weight", [None, np.array([0.5, 2.0, 1.0, 0.1])], ids=["even", "weighted"])


@SMOOTHING
@REDUCTION
@WEIGHTED
@pytest.mark.parametrize(("shape", "target"), CLASSES.values(), ids=CLASSES)
def test_cross_entropy_of_indices(shape, target, weight, reduction, label_smoothing):
    how: dict[str, Any] = {"reduction": reduction, "label_smoothing": label_smoothing}
    w = None if weight is None else torch.tensor(weight)
    compare(
        lambda x: F.cross_entropy(x, target, weight, **how),
        lambda t: T.cross_entropy(t, torch.tensor(target), w, **how),
        random(*shape),
    )
    other = np.where(target == -100, 2, target)
    compare(
        lambda x: F.cross_entropy(x, tensor(other), weight, ignore_index=1, **how),
        lambda t: T.cross_entropy(t, torch.tensor(other), w, ignore_index=1, **how),
        random(*shape),
    )


@SMOOTHING
@REDUCTION
@WEIGHTED
@pytest.mark.parametrize("shape", [(4,), (3, 4), (2, 4, 3)])
def test_cross_entropy_of_probabilities(shape, weight, reduction, label_smoothing):
    how: dict[str, Any] = {"reduction": reduction, "label_smoothing": label_smoothing}
    w = None if weight is None else torch.tensor(weight)
    p = np.abs(random(*shape, 1)[..., 0]) + 0.1
    compare(lambda x, p: F.cross_entropy(x, p, weight, **how), lambda x, p: T.cross_entropy(x, p, w, **how), random(*shape), p)


def test_an_ignored_target_counts_for_nothing_whatever_its_logits_are():
    x = np.array([[-INF, 1.0, 2.0], [0.0, 1.0, 2.0]])
    compare(
        lambda v: F.cross_entropy(v, [-100, 1], reduction="sum"),
        lambda t: T.cross_entropy(t, torch.tensor([-100, 1]), reduction="sum"),
        x,
        order=1,
    )
    compare(lambda v: F.cross_entropy(v, [0, 1]), lambda t: T.cross_entropy(t, torch.tensor([0, 1])), x[:, 1:] * 1e4)


# Dtypes ----------------------------------------------------------------------------------------------------------

IMAGE = random(2, 4, 6, 6)
EVERY = {
    **{name: (ours, arrays) for name, (ours, _, arrays) in ALL.items() if "far out" not in name},
    "take_along_dim": (lambda x: F.take_along_dim(x, [[0, 0], [1, 3], [2, 2]], 1), (X,)),
    "conv2d": (lambda x, w, b: F.conv2d(x, w, b, padding=1, groups=2), (IMAGE, random(4, 2, 3, 3), random(4))),
    "conv1d": (lambda x, w, b: F.conv1d(x, w, b, padding=1, groups=2), (random(2, 4, 6), random(4, 2, 3), random(4))),
    "max_pool2d": (lambda x: F.max_pool2d(x, 3, 2, 1), (IMAGE,)),
    "avg_pool2d": (lambda x: F.avg_pool2d(x, 3, 2, 1), (IMAGE,)),
    "embedding": (lambda w: F.embedding([0, 2, 2], w), (X,)),
    "cross_entropy": (lambda x: F.cross_entropy(x, [0, 3, 1], [0.5, 1.0, 2.0, 1.0], label_smoothing=0.1), (X,)),
    "cross_entropy of probabilities": (F.cross_entropy, (X, np.abs(X))),
    "einsum": (lambda a, b: F.einsum("ij,kj->ik", a, b), (X, random(2, 4))),
    "einsum of a diagonal": (lambda a: F.einsum("iij->j", a), (random(3, 3, 2),)),
}


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize(("function", "arrays"), EVERY.values(), ids=EVERY)
def test_dtypes_stay(function, arrays, dtype):
    low = [a.astype(dtype) for a in arrays]
    found, exact = ([tensor(a.astype(d), requires_grad=True) for a in low] for d in (dtype, "float64"))
    y, reference = function(*found), function(*exact)
    assert y.dtype == dtype
    seed = random(*y.shape).astype(dtype)
    tolerance = {"float16": 2e-2, "float32": 1e-5, "float64": 0}[dtype]
    np.testing.assert_allclose(y.data, reference.data, rtol=tolerance, atol=tolerance)
    for create_graph in (False, True):
        gs = grad(y, found, seed, create_graph=create_graph)
        for g, e in zip(gs, grad(reference, exact, seed.astype("float64"))):
            assert g.dtype == dtype
            np.testing.assert_allclose(g.data, e.data, rtol=tolerance, atol=tolerance)


def test_float16_is_summed_in_float32():
    big = np.full(3000, 300.0, "float16")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert F.norm(big).data == np.float16(math.sqrt(3000) * 300)
        assert F.std(np.array([300.0, -300.0], "float16"), correction=0).data == 300
        assert abs(float(F.logsumexp(np.zeros(60000, "float16"), 0).data) - math.log(60000)) < 0.01
        assert F.einsum("i,i->", np.ones(5000, "float16"), np.ones(5000, "float16")).data == 5000
        assert F.cumsum(np.ones(4000, "float16"), 0).data[-1] == 4000
        w = tensor(np.zeros((1, 1), "float16"), requires_grad=True)
        assert grad(F.embedding(np.zeros(4000, int), w).sum(), w)[0].data == 4000
        assert F.gelu(np.array([60.0], "float16"), "tanh").data == 60
    assert F.cumsum(np.ones((1 << 24) + 1024, "float32"), 0).data[-1] == (1 << 24) + 1024


def test_python_constants_do_not_promote():
    x = tensor(X.astype("float32"), requires_grad=True)
    for y in (F.clamp(x, -0.5, np.float64(0.5)), F.where(x > 0, x, 0.5), F.softplus(x, 1.5), F.pad(x, (1, 1), value=0.5)):
        assert y.dtype == np.float32
    assert F.cross_entropy(x, [0, 1, 2], weight=np.ones(4), label_smoothing=0.1).dtype == np.float32


def test_arrays_and_lists_are_taken():
    assert type(F.softmax([1.0, 2.0], 0)) is Tensor
    assert F.prod([2, 3]).item() == 6
    assert F.cumsum([1, 2, 3], 0).data.tolist() == [1, 3, 6]
    assert F.flip(np.arange(3), 0).data.tolist() == [2, 1, 0]


def test_numbers_without_axes_and_nothing_at_all():
    x = random()
    compare(F.prod, torch.prod, x)
    compare(F.norm, torch.norm, x)
    compare(F.gelu, T.gelu, x)
    compare(lambda v: F.logsumexp(v, ()), lambda t: torch.logsumexp(t, ()), x)
    compare(lambda v: F.var(v, correction=0), lambda t: torch.var(t, correction=0), x, order=1)
    none = np.zeros((0, 3))
    for name in (
        "softmax dim 0",
        "softmax",
        "log_softmax",
        "gelu",
        "silu",
        "softplus",
        "prod",
        "cumsum",
        "pad",
        "norm",
        "norm 1.5",
        "flip",
    ):
        compare(*ALL[name][:2], none)
    assert [t.shape for t in F.split(none, 2)] == [(0, 3)]
    assert F.sort(none).values.shape == (0, 3)
    assert F.topk(X, 0).values.shape == (3, 0)


# What bad input is told ----------------------------------------------------------------------------------------

x, k = tensor(IMAGE, requires_grad=True, name="x"), tensor(random(4, 3, 3, 3), name="k")
ints = np.arange(3)
BAD = {
    "channels": (ShapeError, "conv2d|k (4, 3, 3, 3)|x (2, 4, 6, 6)|must be 4", lambda: F.conv2d(x, k)),
    "groups": (ShapeError, "conv2d|groups=3|x (2, 4, 6, 6)|divides the 4 input", lambda: F.conv2d(x, k, groups=3)),
    "kernel too large": (
        ShapeError,
        "conv2d|kernel (7, 1) spans 7 rows|x (2, 4, 6, 6) float64 has 6. Pad",
        lambda: F.conv2d(x, random(1, 4, 7, 1)),
    ),
    "dilated too large": (
        ShapeError,
        "conv2d|spans 9 rows|2 of padding",
        lambda: F.conv2d(x, random(1, 4, 3, 3), padding=1, dilation=4),
    ),
    "image axes": (ShapeError, "conv2d|(6, 6) float64|(N, C, H, W)|Reshape", lambda: F.conv2d(random(6, 6), k)),
    "kernel axes": (ShapeError, "conv2d|weight (3, 3)|4|out_channels", lambda: F.conv2d(x, random(3, 3))),
    "bias": (ShapeError, "conv2d|bias (3,)|(5, 4, 1, 1)|(5,)", lambda: F.conv2d(x, random(5, 4, 1, 1), random(3))),
    "stride 0": (ShapeError, "conv2d|stride=0|at least 1", lambda: F.conv2d(x, random(1, 4, 1, 1), stride=0)),
    "stride of three": (
        ShapeError,
        "conv2d|stride=(1, 1, 1)|rows and columns",
        lambda: F.conv2d(x, random(1, 4, 1, 1), stride=(1, 1, 1)),
    ),
    "negative padding": (ShapeError, "conv2d|padding=-1|at least 0", lambda: F.conv2d(x, random(1, 4, 1, 1), padding=-1)),
    "same and stride": (ShapeError, "conv2d|same|stride", lambda: F.conv2d(x, random(1, 4, 1, 1), padding="same", stride=2)),
    "padding word": (ShapeError, "conv2d|'full'|valid", lambda: F.conv2d(x, random(1, 4, 1, 1), padding="full")),
    "empty kernel": (ShapeError, "conv2d|(1, 4, 0, 1)|at least one row", lambda: F.conv2d(x, np.zeros((1, 4, 0, 1)))),
    "no groups": (ShapeError, "conv2d|groups='a'|divides", lambda: F.conv2d(x, k, groups="a")),
    "half a stride": (ShapeError, "conv2d|stride=1.5|int", lambda: F.conv2d(x, random(1, 4, 1, 1), stride=1.5)),
    "sequence axes": (ShapeError, "conv1d|(2, 4, 6, 6)|(N, C, L)|Reshape", lambda: F.conv1d(x, random(5, 4, 3))),
    "short sequence": (
        ShapeError,
        "conv1d|kernel (7,) spans 7 entries|has 6. Pad",
        lambda: F.conv1d(random(4, 6), random(5, 4, 7)),
    ),
    "integer image": (DTypeError, "conv2d|int64|Cast", lambda: F.conv2d(np.ones((1, 4, 3, 3), int), k)),
    "pool too large": (ShapeError, "max_pool2d|window (7, 7)|x (2, 4, 6, 6)", lambda: F.max_pool2d(x, 7)),
    "pool padding": (ShapeError, "max_pool2d|padding=2|half", lambda: F.max_pool2d(x, 3, padding=2)),
    "average padding": (ShapeError, "avg_pool2d|padding=(0, 2)|half", lambda: F.avg_pool2d(x, 3, padding=(0, 2))),
    "pool axes": (ShapeError, "avg_pool2d|(3, 4) float64|Reshape", lambda: F.avg_pool2d(X, 2)),
    "target out of range": (
        ShapeError,
        "cross_entropy|target (3,) int64 has 4|between 0 and 3",
        lambda: F.cross_entropy(X, [0, 4, 1]),
    ),
    "target negative": (ShapeError, "cross_entropy|has -1|between 0 and 3", lambda: F.cross_entropy(X, [0, -1, 1])),
    "target shape": (ShapeError, "cross_entropy|target (2,) int64|(3, 4)|4 classes, (3,)", lambda: F.cross_entropy(X, [0, 1])),
    "target of floats": (
        ShapeError,
        "cross_entropy|target (3,) float64|probabilities|int64",
        lambda: F.cross_entropy(X, [0.0, 1.0, 2.0]),
    ),
    "target of bools": (DTypeError, "cross_entropy|bool|int64", lambda: F.cross_entropy(X, X[:, 0] > 0)),
    "class weights": (ShapeError, "cross_entropy|weight (3,)|(3, 4)|(4,)", lambda: F.cross_entropy(X, ints, np.ones(3))),
    "reduction": (ValueError, "cross_entropy|'avg'|mean", lambda: F.cross_entropy(X, ints, reduction="avg")),
    "smoothing": (
        ValueError,
        "cross_entropy|label_smoothing=1.5|from 0 to 1",
        lambda: F.cross_entropy(X, ints, label_smoothing=1.5),
    ),
    "all ignored": (ShapeError, 'cross_entropy|mean|ignored|reduction="sum"', lambda: F.cross_entropy(X, [-100] * 3)),
    "no samples": (ShapeError, "cross_entropy|mean|no samples", lambda: F.cross_entropy(np.zeros((0, 4)), np.zeros(0, int))),
    "no classes": (ShapeError, "cross_entropy|() float64|classes", lambda: F.cross_entropy(1.0, 0)),
    "float index": (DTypeError, "embedding|input (2,) float64|integers|int64", lambda: F.embedding([0.0, 1.0], X)),
    "index too large": (ShapeError, "embedding|input (2,) int64 has 3|between 0 and 2", lambda: F.embedding([0, 3], X)),
    "index negative": (ShapeError, "embedding|has -1|between 0 and 2", lambda: F.embedding([-1], X)),
    "embedding weight": (ShapeError, "embedding|(3,)|1 axes", lambda: F.embedding([0], np.ones(3))),
    "unknown result index": (ShapeError, "einsum|'ij->ik'|(3, 4)|'k' is in no term", lambda: F.einsum("ij->ik", X)),
    "result twice": (ShapeError, "einsum|names an index twice", lambda: F.einsum("ij->ii", X)),
    "number of operands": (ShapeError, "einsum|2 terms for 1 operands", lambda: F.einsum("ij,jk->ik", X)),
    "number of axes": (ShapeError, "einsum|'ijk' names 3 axes|(3, 4) float64 has 2", lambda: F.einsum("ijk->i", X)),
    "sizes in einsum": (ShapeError, "einsum|(3, 4)|'j' is 4 and 3", lambda: F.einsum("ij,jk->ik", X, X)),
    "diagonal sizes": (ShapeError, "einsum|'i' is 3 and 4", lambda: F.einsum("ii->i", X)),
    "signs in einsum": (ShapeError, "einsum|'i+'", lambda: F.einsum("i+->i", X)),
    "too few axes for dots": (ShapeError, "einsum|'...ijk->...'|'ijk' names 3 axes", lambda: F.einsum("...ijk->...", X)),
    "lists in einsum": (DTypeError, "einsum|ndarray|text", lambda: F.einsum(X, [0, 1])),
    "stack shapes": (ShapeError, "stack|(3, 4)|(4,)|equal", lambda: F.stack([X, X[0]])),
    "stack nothing": (ShapeError, "stack|nothing", lambda: F.stack([])),
    "split sizes": (ShapeError, "split|[1, 1]|(3, 4)|add up to 3", lambda: F.split(X, [1, 1])),
    "split size 0": (ShapeError, "split|size 0|at least 1", lambda: F.split(X, 0)),
    "pad odd": (ShapeError, "pad|(1,)|(3, 4)|two numbers", lambda: F.pad(X, (1,))),
    "pad too much": (ShapeError, "pad|at most 4", lambda: F.pad(X, (1,) * 6)),
    "pad crops all": (ShapeError, "pad|(-3, -2)|crops more", lambda: F.pad(X, (-3, -2))),
    "pad mode": (ValueError, "pad|'reflect'|constant", lambda: F.pad(X, (1, 1), "reflect")),
    "pad value": (DTypeError, "pad|0.5|int64|Cast", lambda: F.pad(ints, (1, 1), value=0.5)),
    "softmax of integers": (DTypeError, "softmax|int64|Cast", lambda: F.softmax(ints, 0)),
    "softmax axis": (ShapeError, "softmax|axis 2 does not exist", lambda: F.softmax(X, 2)),
    "gelu word": (ValueError, "gelu|'erf'|tanh", lambda: F.gelu(X, "erf")),
    "var of one": (ShapeError, "var|(1, 3)|1 entry|correction=0", lambda: F.var(X[:1, :3], 0)),
    "var of none": (ShapeError, "var|0 entries", lambda: F.var(np.zeros((0, 3)), 0, correction=0)),
    "norm p": (ShapeError, "norm|p=0|above 0", lambda: F.norm(X, 0)),
    "clamp without bounds": (DTypeError, "clamp|(3, 4)|min, max", lambda: F.clamp(X)),
    "cumsum axes": (ShapeError, "cumsum|dim=(0, 1)|one axis", lambda: F.cumsum(X, (0, 1))),
    "topk": (ShapeError, "topk|k=5|(3, 4)|there are 4", lambda: F.topk(X, 5)),
    "take out of range": (ShapeError, "take_along_dim|has 4|between 0 and 3", lambda: F.take_along_dim(X, [[4]], 1)),
    "take shapes": (ShapeError, "take_along_dim|(2, 1)|(3, 4)|equal or 1", lambda: F.take_along_dim(X, [[0], [1]], 1)),
    "window op": (ShapeError, "windows|(3, 4)", lambda: TABLE["windows"](tensor(X), size=(4, 1), stride=(1, 1), dilation=(1, 1))),
}


@pytest.mark.parametrize(("error", "parts", "call"), BAD.values(), ids=BAD)
def test_errors_say_what_where_and_what_to_do(error, parts, call):
    with pytest.raises(error) as caught:
        call()
    message = str(caught.value)
    first, *others = parts.split("|")
    assert message.startswith(f"{first}:")
    for part in others:
        assert part in message
