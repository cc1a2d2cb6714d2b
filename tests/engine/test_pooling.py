"""Pools beside PyTorch: windows, padding, ceil_mode, ties, and as many windows as are wanted."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from tests.engine.test_torch_parity import compare
from tinygrad_norm import functional as F
from tinygrad_norm.engine import DTypeError, OptionError, ShapeError, grad, tensor

torch = pytest.importorskip("torch", reason="PyTorch is not installed: parity with it is not checked")
T = torch.nn.functional
X1, X2 = np.random.default_rng(1).standard_normal((2, 3, 7)), np.random.default_rng(2).standard_normal((2, 3, 6, 7))
HOW = [
    {"kernel_size": 2},
    {"kernel_size": 3, "stride": 1},
    {"kernel_size": 3, "stride": 2, "padding": 1},
    {"kernel_size": 2, "stride": 3, "ceil_mode": True},
    {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True},
    {"kernel_size": 2, "stride": 4, "padding": 1, "ceil_mode": True},
]


@pytest.mark.parametrize("how", HOW, ids=str)
@pytest.mark.parametrize("name", ["max_pool1d", "avg_pool1d", "max_pool2d", "avg_pool2d"])
def test_as_pytorch(name, how):
    x = X1 if name.endswith("1d") else X2
    compare(lambda v: getattr(F, name)(v, **how), lambda t: getattr(T, name)(t, **how), x)
    compare(lambda v: getattr(F, name)(v, **how) ** 2, lambda t: getattr(T, name)(t, **how) ** 2, x[0])


@pytest.mark.parametrize("how", HOW[2:], ids=str)
def test_what_counts_in_a_mean(how):
    for more in ({"count_include_pad": False}, {"divisor_override": 5}):
        compare(lambda v: F.avg_pool2d(v, **how, **more), lambda t: T.avg_pool2d(t, **how, **more), X2)  # noqa: B023
    compare(
        lambda v: F.avg_pool1d(v, **how, count_include_pad=False), lambda t: T.avg_pool1d(t, **how, count_include_pad=False), X1
    )


@pytest.mark.parametrize("how", HOW, ids=str)
def test_nan_is_the_largest_and_of_equal_ones_the_first(how):
    """Entries of few kinds, −∞ and NaN among them, so that every window has ties."""
    x = np.random.default_rng(3).choice([-np.inf, 0.0, 1.0, np.nan], (4, 3, 9, 8), p=[0.5, 0.2, 0.25, 0.05]).astype(np.float32)
    found = F.max_pool2d(x, **how, return_indices=True)
    values, places = T.max_pool2d(torch.tensor(x), **how, return_indices=True)
    np.testing.assert_array_equal(found.values.data, values.numpy())
    clear = ~np.isnan(values.numpy())  # of several NaN PyTorch takes the last
    np.testing.assert_array_equal(found.indices.data[clear], places.numpy()[clear])
    flat = x.reshape(4, 3, -1)
    np.testing.assert_array_equal(
        np.take_along_axis(flat, found.indices.data.reshape(4, 3, -1), -1), found.values.data.reshape(4, 3, -1)
    )


def test_indices():
    for dilation in (1, 2):
        how = {"kernel_size": 2, "padding": 1, "dilation": dilation}
        for name, x in (("max_pool1d", X1), ("max_pool2d", X2)):
            found = getattr(F, name)(x, **how, return_indices=True)
            theirs = getattr(T, name)(torch.tensor(x), **how, return_indices=True)
            np.testing.assert_array_equal(found.indices.data, theirs[1].numpy())
            np.testing.assert_array_equal(found.values.data, theirs[0].numpy())


@pytest.mark.parametrize("size", [1, 2, 3, 4, 6, 9, (2, 3), (None, 2), (5, None)], ids=str)
@pytest.mark.parametrize("kind", ["avg", "max"])
def test_as_many_as_are_wanted(kind, size):
    name = f"adaptive_{kind}_pool2d"
    compare(lambda v: getattr(F, name)(v, size), lambda t: getattr(T, name)(t, size), X2)
    compare(lambda v: getattr(F, name)(v, size) ** 2, lambda t: getattr(T, name)(t, size) ** 2, X2[0])
    if isinstance(size, int):
        name = f"adaptive_{kind}_pool1d"
        compare(lambda v: getattr(F, name)(v, size), lambda t: getattr(T, name)(t, size), X1)


def test_the_first_of_equal_entries_gets_the_gradient():
    x = np.ones((1, 1, 5, 5))
    for name, how in (("max_pool2d", (3, 1)), ("adaptive_max_pool2d", (3,))):
        compare(lambda v: getattr(F, name)(v, *how), lambda t: getattr(T, name)(t, *how), x, order=1)  # noqa: B023
    found, theirs = (
        f(x, 3, return_indices=True)[1]
        for f in (F.adaptive_max_pool2d, lambda a, *b, **c: T.adaptive_max_pool2d(torch.tensor(a), *b, **c))
    )
    np.testing.assert_array_equal(found.data, theirs.numpy())


def test_an_infinite_entry_stays_in_its_windows():
    """Averages by a matrix would make every window NaN."""
    x = np.zeros((1, 7))
    x[0, 0] = np.inf
    np.testing.assert_array_equal(F.adaptive_avg_pool1d(x, 3).data, [[np.inf, 0, 0]])
    np.testing.assert_array_equal(F.max_pool1d(-x, 3).data, [[0, 0]])


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_dtypes_stay(dtype):
    x = tensor((X2 * 100).astype(dtype), requires_grad=True)
    for y in (F.avg_pool2d(x, 3, 2, 1, True), F.adaptive_avg_pool2d(x, 4), F.max_pool2d(x, 2), F.adaptive_max_pool2d(x, 4)):
        assert y.dtype == dtype
        assert grad(y.sum(), x)[0].dtype == dtype
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert F.avg_pool1d(np.full((1, 8), 60000, "float16"), 8).data == 60000


def test_nothing_at_all():
    assert F.max_pool1d(np.zeros((0, 2, 4)), 2).shape == (0, 2, 2)
    assert F.adaptive_max_pool2d(np.zeros((0, 2, 4, 4)), 3).shape == (0, 2, 3, 3)
    assert F.adaptive_avg_pool2d(np.zeros((0, 2, 4, 4)), 3).shape == (0, 2, 3, 3)


BAD = {
    "axes": (ShapeError, r"max_pool1d: input \(7,\) float64 has 1 axes; signals are", lambda: F.max_pool1d(np.ones(7), 2)),
    "images": (ShapeError, r"adaptive_avg_pool2d: input \(6, 7\) float64.*images are", lambda: F.adaptive_avg_pool2d(X2[0, 0], 2)),
    "integers": (DTypeError, r"avg_pool1d: input \(1, 4\) int64 is not floating", lambda: F.avg_pool1d(np.ones((1, 4), int), 2)),
    "window": (ShapeError, r"max_pool1d: window \(9,\) spans 9 entries, .*has 7", lambda: F.max_pool1d(X1, 9)),
    "padding": (ShapeError, "avg_pool1d: padding=2 for a window that spans", lambda: F.avg_pool1d(X1, 2, padding=2)),
    "half": (ShapeError, "max_pool2d: kernel_size=1.5; give an int, or two: rows and columns", lambda: F.max_pool2d(X2, 1.5)),
    "stride": (ShapeError, "max_pool2d: stride=0; it must be at least 1", lambda: F.max_pool2d(X2, 2, 0)),
    "ceil_mode": (OptionError, "avg_pool2d: ceil_mode='a'; it is True or False", lambda: F.avg_pool2d(X2, 2, ceil_mode="a")),
    "divisor": (OptionError, "avg_pool2d: divisor_override=0", lambda: F.avg_pool2d(X2, 2, divisor_override=0)),
    "divisor word": (DTypeError, "avg_pool2d: divisor_override='a'", lambda: F.avg_pool2d(X2, 2, divisor_override="a")),
    "size": (ShapeError, r"adaptive_avg_pool2d: output_size=\(1, 2, 3\); give an int", lambda: F.adaptive_avg_pool2d(X2, (1, 2, 3))),
    "negative": (ShapeError, "adaptive_max_pool1d: output_size=-1; it must be at least 0", lambda: F.adaptive_max_pool1d(X1, -1)),
    "empty": (ShapeError, r"adaptive_avg_pool1d: input \(2, 0\) float64 has no entries to make 3 of", lambda: F.adaptive_avg_pool1d(np.ones((2, 0)), 3)),
}  # fmt: skip


@pytest.mark.parametrize(("error", "message", "call"), BAD.values(), ids=BAD)
def test_errors(error, message, call):
    with pytest.raises(error, match=f"^{message}"):
        call()
