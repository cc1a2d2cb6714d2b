"""Form and places beside PyTorch, and every size, axis, index and option that is none: an error with a name."""

from __future__ import annotations

from itertools import accumulate
from operator import mul

import numpy as np
import pytest

from tests.engine.test_torch_parity import compare
from tinygrad_norm import functional as F
from tinygrad_norm.engine import DTypeError, OptionError, ShapeError, TinygradNormError, tensor

torch = pytest.importorskip("torch", reason="PyTorch is not installed: parity with it is not checked")
T = torch.nn.functional
X, B = np.random.default_rng(4).standard_normal((3, 4)), np.random.default_rng(4).standard_normal((2, 1, 3, 4))
INDEX = np.array([[0, 2, 2], [3, 1, 0]])

ALL = {
    "chunk": (lambda x: F.chunk(x, 3, 1)[1], lambda t: torch.chunk(t, 3, 1)[1], X),
    "unbind": (lambda x: F.unbind(x, 1)[2], lambda t: torch.unbind(t, 1)[2], X),
    "roll": (lambda x: F.roll(x, 5), lambda t: torch.roll(t, 5), X),
    "roll dims": (lambda x: F.roll(x, (1, -2), (0, 1)), lambda t: torch.roll(t, (1, -2), (0, 1)), X),
    "permute": (lambda x: F.permute(x, (2, 0, -1, 1)), lambda t: torch.permute(t, (2, 0, -1, 1)), B),
    "movedim": (lambda x: F.movedim(x, 0, -1), lambda t: torch.movedim(t, 0, -1), B),
    "movedim several": (lambda x: F.movedim(x, (0, 2), (3, 0)), lambda t: torch.movedim(t, (0, 2), (3, 0)), B),
    "swapaxes": (lambda x: F.swapaxes(x, 0, -1), lambda t: torch.swapaxes(t, 0, -1), B),
    "flatten": (F.flatten, torch.flatten, B),
    "flatten some": (lambda x: F.flatten(x, 1, 2), lambda t: torch.flatten(t, 1, 2), B),
    "squeeze": (F.squeeze, torch.squeeze, B),
    "squeeze dim": (lambda x: F.squeeze(x, (0, 1)), lambda t: torch.squeeze(t, (0, 1)), B),
    "unsqueeze": (lambda x: F.unsqueeze(x, -2), lambda t: torch.unsqueeze(t, -2), X),
    "expand": (lambda x: F.expand(x, 5, -1, 6, -1, -1), lambda t: t.expand(5, -1, 6, -1, -1), B),
    "repeat": (lambda x: F.repeat(x, 2, 3, 2), lambda t: t.repeat(2, 3, 2), X),
    "tile": (lambda x: F.tile(x, (2,)), lambda t: torch.tile(t, (2,)), X),
    "clone": (F.clone, torch.clone, X),
    "tril": (F.tril, torch.tril, X),
    "triu": (lambda x: F.triu(x, -1), lambda t: torch.triu(t, -1), B),
    "gather": (lambda x: F.gather(x, 1, INDEX), lambda t: torch.gather(t, 1, torch.tensor(INDEX)), X),
    "gather rows": (lambda x: F.gather(x, 0, INDEX[:1]), lambda t: torch.gather(t, 0, torch.tensor(INDEX[:1])), X),
    "masked_fill": (lambda x: F.masked_fill(x, X > 0, 0.5), lambda t: t.masked_fill(torch.tensor(X > 0), 0.5), X),
    "take flat": (lambda x: F.take_along_dim(x, [5, 0, 5]), lambda t: torch.take_along_dim(t, torch.tensor([5, 0, 5])), X),
    "cumprod": (lambda x: F.cumprod(x, 1), lambda t: torch.cumprod(t, 1), X),
    "amax": (lambda x: F.amax(x, (0, 1)), lambda t: torch.amax(t, (0, 1)), np.round(X)),
    "amin": (lambda x: F.amin(x, 1, True), lambda t: torch.amin(t, 1, True), np.round(X)),
    "square": (F.square, torch.square, X),
    "pow": (lambda x: F.pow(x, 3), lambda t: torch.pow(t, 3), X),
    "linear": (lambda x: F.linear(x, X[:2], [1.0, 2.0]), lambda t: T.linear(t, torch.tensor(X[:2]), torch.tensor([1.0, 2.0], dtype=torch.float64)), B),
}  # fmt: skip


@pytest.mark.parametrize(("ours", "theirs", "x"), ALL.values(), ids=ALL)
def test_as_pytorch(ours, theirs, x):
    compare(ours, theirs, x)
    compare(lambda v: ours(v) ** 2, lambda t: theirs(t) ** 2, x)


def test_of_several_tensors():
    compare(F.pow, torch.pow, np.abs(X), X[0])
    compare(lambda b: F.pow(2.0, b), lambda t: torch.pow(2.0, t), X)
    compare(F.linear, T.linear, B, X, X[:, 0])
    compare(F.linear, T.linear, B, X[0])
    compare(
        lambda x, v: F.masked_fill(x, X[0] > 0, v),
        lambda t, v: t.masked_fill(torch.tensor(X[0] > 0), v),
        X,
        np.array(2.0),
        order=1,
    )


@pytest.mark.parametrize("zeros", [0, 1, 2, 3])
@pytest.mark.parametrize("n", [1, 2, 3, 7])
def test_running_products_with_zeros(n, zeros):
    x = np.random.default_rng(n).standard_normal((2, n))
    x[:, : min(zeros, n)] = 0.0
    compare(lambda v: F.cumprod(v, 1), lambda t: torch.stack(list(accumulate(t.unbind(1), mul)), 1), x, order=3)


def test_places():
    for name in ("argmax", "argmin"):
        for how in ({}, {"dim": 0}, {"dim": -1, "keepdim": True}):
            np.testing.assert_array_equal(getattr(F, name)(X, **how).data, getattr(torch, name)(torch.tensor(X), **how).numpy())
    np.testing.assert_array_equal(F.one_hot([[0, 2], [1, 1]]).data, T.one_hot(torch.tensor([[0, 2], [1, 1]])).numpy())
    np.testing.assert_array_equal(F.one_hot(1, 4).data, [0, 1, 0, 0])
    assert F.one_hot([0], 2).dtype == np.int64
    assert F.amin(np.array([-128, 3], "int8")).data == -128
    assert F.amin(np.array([3, 200], "uint8")).data == 3


def test_a_padding_row_receives_nothing():
    w = np.random.default_rng(0).standard_normal((5, 3))
    for padding in (2, -1):
        compare(
            lambda w: F.embedding([0, 2, 2, 4], w, padding) ** 2,  # noqa: B023
            lambda t: T.embedding(torch.tensor([0, 2, 2, 4]), t, padding) ** 2,  # noqa: B023
            w,
        )


def test_integers_stay_integers():
    x = np.arange(6).reshape(2, 3)
    for y in (
        F.tril(x),
        F.roll(x, 1),
        F.repeat(x, 1, 2),
        F.masked_fill(x, x > 2, 0.0),
        F.cumprod(x, 0),
        F.amax(x, 1),
        F.square(x),
    ):
        assert y.dtype == np.int64
    assert F.triu(x > 2).dtype == bool


def test_bounds_that_are_nan():
    compare(lambda x: F.clamp(x, min=np.nan), lambda t: torch.clamp(t, min=np.nan), X, order=0)
    assert np.isnan(F.clamp([1.0, 2.0], max=tensor([np.nan, 1.0])).data).tolist() == [True, False]


# What is no axis, no size, no option ------------------------------------------------------------------------

x = tensor(X, requires_grad=True, name="x")
NO_NUMBER = [None, 1.5, "a", np.array(1.5), np.array([1, 2]), True, object(), [None], X]
AXES = {
    "softmax": F.softmax,
    "log_softmax": F.log_softmax,
    "cumsum": F.cumsum,
    "cumprod": F.cumprod,
    "sort": F.sort,
    "unbind": F.unbind,
    "unsqueeze": F.unsqueeze,
    "stack": lambda x, dim: F.stack([x, x], dim),
    "split": lambda x, dim: F.split(x, 1, dim),
    "chunk": lambda x, dim: F.chunk(x, 1, dim),
    "glu": F.glu,
    "gather": lambda x, dim: F.gather(x, dim, INDEX),
    "swapaxes": lambda x, dim: F.swapaxes(x, 0, dim),
    "flatten": F.flatten,
    "topk": lambda x, dim: F.topk(x, 1, dim),
    "movedim": lambda x, dim: F.movedim(x, 0, dim),
}
SIZES = {
    "topk": F.topk,
    "split": F.split,
    "chunk": F.chunk,
    "roll": F.roll,
    "tril": F.tril,
    "expand": F.expand,
    "repeat": F.repeat,
    "tile": F.tile,
    "one_hot": lambda x, n: F.one_hot([0], n),
    "embedding": lambda x, n: F.embedding([0], x, n if n is not None else 1.5),
    "pad": lambda x, n: F.pad(x, (n, 1)),
}


@pytest.mark.parametrize("name", AXES)
def test_what_is_no_axis(name):
    for wrong in (*NO_NUMBER, 5):
        with pytest.raises(TinygradNormError, match=f"^{name}: "):
            AXES[name](x, wrong)


@pytest.mark.parametrize("name", SIZES)
def test_what_is_no_size(name):
    for wrong in NO_NUMBER:
        if name in ("split", "roll", "expand", "repeat", "tile") and isinstance(wrong, np.ndarray) and wrong.dtype.kind == "i":
            continue  # sizes, several
        with pytest.raises(TinygradNormError, match=f"^{name}: "):
            SIZES[name](x, wrong)


BAD = {
    "axis": (ShapeError, r"softmax: axis \(\) float64 is not an axis", lambda: F.softmax(x, np.array(1.0))),
    "pad number": (ShapeError, r"pad: 1 for x \(3, 4\) float64: two numbers for each axis", lambda: F.pad(x, 1)),
    "topk half": (ShapeError, "topk: k=1.0; it is a whole number", lambda: F.topk(x, 1.0)),
    "split half": (ShapeError, "split: split_size_or_sections=1.5; it is a whole number", lambda: F.split(x, 1.5)),
    "stack number": (DTypeError, "stack: 3 is no list of tensors", lambda: F.stack(3)),
    "pad value": (DTypeError, "pad: value='a'; it is a number", lambda: F.pad(x, (1, 1), value="a")),
    "keepdim": (OptionError, "logsumexp: keepdim='yes'; it is True or False", lambda: F.logsumexp(x, 0, "yes")),
    "roll": (ShapeError, "roll: 2 shifts and 1 dims", lambda: F.roll(x, (1, 2), 0)),
    "expand": (ShapeError, r"expand: x \(3, 4\) float64 to \(3, 5\): .*only a size of 1", lambda: F.expand(x, 3, 5)),
    "expand new": (ShapeError, "expand: ", lambda: F.expand(x, -1, 3, 4)),
    "repeat": (ShapeError, r"repeat: \(2,\) for x \(3, 4\)", lambda: F.repeat(x, 2)),
    "tile": (ShapeError, "tile: dims=-1; it must be at least 0", lambda: F.tile(x, -1)),
    "movedim": (ShapeError, "movedim: source=.*give one place for each", lambda: F.movedim(x, (0, 1), 0)),
    "twice": (ShapeError, r"permute: axes|transpose: axes", lambda: F.permute(x, (0, 0))),
    "flatten": (ShapeError, "flatten: start_dim=1 comes after end_dim=0", lambda: F.flatten(x, 1, 0)),
    "triangle": (ShapeError, r"tril: \(4,\) float64 has 1 axes", lambda: F.tril(X[0])),
    "gather": (ShapeError, r"gather: index \(4, 3\) int64 for x \(3, 4\)", lambda: F.gather(x, 1, np.zeros((4, 3), int))),
    "gather index": (ShapeError, "gather: index .* has 4; an index must be between 0 and 3", lambda: F.gather(x, 1, [[4]])),
    "one_hot": (ShapeError, "one_hot: tensor .* has 3; an index must be between 0 and 1", lambda: F.one_hot([3], 2)),
    "one_hot floats": (DTypeError, "one_hot: tensor .*float64 must be integers", lambda: F.one_hot([1.0])),
    "one_hot nothing": (ShapeError, "one_hot: .*give num_classes", lambda: F.one_hot(np.zeros(0, int))),
    "padding": (ShapeError, "embedding: padding_idx=3; it must be between -3 and 2", lambda: F.embedding([0], x, 3)),
    "fill": (DTypeError, r"masked_fill: value \(2,\) float64 has axes", lambda: F.masked_fill(x, X > 0, [1.0, 2.0])),
    "fill half": (DTypeError, "masked_fill: value=0.5 does not fit into", lambda: F.masked_fill([1, 2], [True, False], 0.5)),
    "fill mask": (DTypeError, "masked_fill: mask .* is not of truth values", lambda: F.masked_fill(x, X, 0.5)),
    "fill shapes": (ShapeError, r"masked_fill: .* do not broadcast", lambda: F.masked_fill(x, X[:, 0] > 0, 0.5)),
    "nothing": (ShapeError, r"amax: \(0,\) float64 has no entries along dim 0", lambda: F.amax(np.ones(0))),
    "no place": (ShapeError, r"argmin: \(0, 2\) float64 has no entries along dim 0", lambda: F.argmin(np.ones((0, 2)), 0)),
    "features": (ShapeError, r"linear: input x \(3, 4\) float64 and weight \(2, 3\) float64: their last axes", lambda: F.linear(x, X[:2, :3])),
    "bias": (ShapeError, r"linear: bias \(3,\) float64 for weight \(2, 4\)", lambda: F.linear(x, X[:2], np.ones(3))),
    "negative power": (DTypeError, "pow: .*integers have no negative powers. Cast first", lambda: F.pow([1, 2], -1)),
    "clamp shapes": (ShapeError, r"clamp: x \(3, 4\) float64 and \(3,\) float64 do not broadcast", lambda: F.clamp(x, X[:, 0])),
}  # fmt: skip


@pytest.mark.parametrize(("error", "message", "call"), BAD.values(), ids=BAD)
def test_errors(error, message, call):
    with pytest.raises(error, match=f"^({message})"):
        call()
