"""GroupNorm: which channels share a mean, whose γ is whose, and what it is equal to at its two ends."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import tinygrad_norm as tn

from ..oracles import gradient

F = tn.functional
WAYS = ("recorded", "analytic")
both_ways = pytest.mark.parametrize("backward", WAYS)
CASES = [((3, 4, 3), 2), ((2, 6), 2), ((2, 6, 2, 2), 3), ((2, 3, 4), 1), ((2, 3, 4), 3), ((1, 4, 1, 2, 2), 4), ((2, 8, 3), 2)]


def leaves(rng, shape, dtype="float64"):
    """Channel c has mean 3c and a spread of its own: whoever groups the wrong ones is far off."""
    c = shape[1]
    spread = (c, *(1,) * (len(shape) - 2))
    x = rng.normal(size=shape) * np.linspace(0.5, 3, c).reshape(spread) + 3.0 * np.arange(c).reshape(spread)
    arrays = {"x": x, "γ": rng.normal(size=c), "β": rng.normal(size=c)}
    return [tn.tensor(a, dtype, requires_grad=True, name=n) for n, a in arrays.items()]


def reference(x, w, b, groups, eps=1e-5):
    """Group by group and sample by sample, for arrays real or complex."""
    y = np.empty(x.shape, x.dtype)
    size = x.shape[1] // groups
    for n, k in itertools.product(range(len(x)), range(groups)):
        part = x[n, k * size : (k + 1) * size]
        centred = part - part.mean()
        y[n, k * size : (k + 1) * size] = centred / np.sqrt((centred * centred).mean() + eps)
    w, b = (p.reshape(-1, *(1,) * (x.ndim - 2)) for p in (w, b))
    return y * w + b


# Values and gradients ---------------------------------------------------------------------------------------


@both_ways
@pytest.mark.parametrize(("shape", "groups"), CASES)
def test_against_complex_step(shape, groups, backward, rng):
    inputs = leaves(rng, shape)
    arrays = [t.data for t in inputs]
    dy = rng.normal(size=shape)
    y = F.group_norm(inputs[0], groups, *inputs[1:], 0.1, backward)
    np.testing.assert_allclose(y.data, reference(*arrays, groups, 0.1), atol=1e-13)
    for k, g in enumerate(tn.grad(y, inputs, dy)):
        expected = gradient(lambda *a: reference(*a, groups, 0.1), arrays, k, dy)
        np.testing.assert_allclose(g.data, expected, atol=1e-12)


@both_ways
def test_neighbouring_channels_are_a_group(backward, rng):
    """tt-metal PR 56202: γ's gradient took the statistics of group c % G instead of c // (C/G)."""
    x, w, b = leaves(rng, (3, 8, 4))
    dy = rng.normal(size=x.shape)
    y = F.group_norm(x, 2, w, b, backward=backward)
    (dw,) = tn.grad(y, w, dy)
    halves = x.data.reshape(3, 2, 16)
    mu, rstd = halves.mean(-1), 1 / np.sqrt(halves.var(-1) + 1e-5)
    right, wrong = (
        [np.sum(dy[:, c] * (x.data[:, c] - mu[:, [k]]) * rstd[:, [k]]) for c, k in enumerate(groups)]
        for groups in ([c // 4 for c in range(8)], [c % 2 for c in range(8)])
    )
    np.testing.assert_allclose(dw.data, right, atol=1e-12)
    assert np.abs(np.subtract(right, wrong)).max() > 1, "the input must tell the two apart"


@both_ways
@pytest.mark.parametrize("given", [(), ("weight",), ("bias",)])
def test_without_gamma_or_beta(backward, given, rng):
    x, w, b = leaves(rng, (2, 4, 3))
    kept = {n: p for n, p in (("weight", w), ("bias", b)) if n in given}
    dy = rng.normal(size=x.shape)
    arrays = [kept.get("weight", tn.tensor(np.ones(4))).data, kept.get("bias", tn.tensor(np.zeros(4))).data]
    y = F.group_norm(x, 2, backward=backward, **kept)
    np.testing.assert_allclose(y.data, reference(x.data, *arrays, 2), atol=1e-13)
    expected = gradient(lambda a: reference(a, *arrays, 2), [x.data], 0, dy)
    np.testing.assert_allclose(tn.grad(y, x, dy)[0].data, expected, atol=1e-12)


@both_ways
@pytest.mark.parametrize("wanted", [s for n in (1, 2) for s in itertools.combinations(range(3), n)])
def test_every_subset_of_gradients(backward, wanted, rng):
    arrays = [t.data for t in leaves(rng, (2, 4, 3))]
    dy = rng.normal(size=(2, 4, 3))
    every = [tn.tensor(a, requires_grad=True) for a in arrays]
    some = [tn.tensor(a, requires_grad=k in wanted) for k, a in enumerate(arrays)]
    whole = tn.grad(F.group_norm(every[0], 2, *every[1:], backward=backward), every, dy)
    part = tn.grad(F.group_norm(some[0], 2, *some[1:], backward=backward), [some[k] for k in wanted], dy)
    for k, g in zip(wanted, part):
        np.testing.assert_allclose(g.data, whole[k].data, rtol=1e-14, atol=1e-14)


@both_ways
def test_geometry(backward, rng):
    """dx sums to 0 over each group, not over each channel; no group feels another's cotangent."""
    x, w, b = leaves(rng, (2, 6, 3))
    dy = rng.normal(size=x.shape)
    y = F.group_norm(x, 2, w, b, backward=backward)
    (dx,) = tn.grad(y, x, dy)
    np.testing.assert_allclose(dx.data.reshape(2, 2, 9).sum(-1), 0, atol=1e-13)
    assert np.abs(dx.data.sum(-1)).min() > 1e-4
    dy[:, :3] = rng.normal(size=(2, 3, 3))
    (again,) = tn.grad(y, x, dy)
    np.testing.assert_allclose(again.data[:, 3:], dx.data[:, 3:], atol=1e-15)
    assert np.abs(again.data[:, :3] - dx.data[:, :3]).max() > 0.01


# What it is equal to ----------------------------------------------------------------------------------------------


def same(one, other, inputs, dy, atol=1e-12):
    """Values, and gradients of both orders by every input."""
    found = []
    for f in (one, other):
        y = f(*inputs)
        first = tn.grad(y, inputs, dy, create_graph=True)
        second = tn.grad(first[0], inputs, np.cos(dy), allow_unused=True)
        found.append([y, *first, *second])
    for a, e in zip(*found):
        np.testing.assert_allclose(0.0 if a is None else a.data, 0.0 if e is None else e.data, atol=atol)


@both_ways
def test_with_as_many_groups_as_channels_it_is_instance_norm(backward, rng):
    dy = rng.normal(size=(2, 3, 2, 3))
    same(
        lambda x, w, b: F.group_norm(x, 3, w, b, 0.1, backward),
        lambda x, w, b: F.instance_norm(x, None, None, w, b, eps=0.1, backward=backward),
        leaves(rng, (2, 3, 2, 3)),
        dy,
    )


@both_ways
def test_one_group_is_layer_norm_over_everything_but_its_affine_part(backward, rng):
    x, w, b = leaves(rng, (2, 3, 4))
    dy = rng.normal(size=(2, 3, 4))
    same(
        lambda x, w, b: F.group_norm(x, 1, w, b, 0.1, backward),
        lambda x, w, b: F.layer_norm(x, (3, 4), eps=0.1, backward=backward) * w.reshape(3, 1) + b.reshape(3, 1),
        [x, w, b],
        dy,
    )
    tokens = F.layer_norm(x.transpose(0, 2, 1), 3, eps=0.1).data.transpose(0, 2, 1)
    assert np.abs(tokens - F.group_norm(x, 1, eps=0.1).data).max() > 0.3, "over (N, C, L) it is not each token's LayerNorm"


@both_ways
def test_one_group_without_places_is_layer_norm(backward, rng):
    same(
        lambda x, w, b: F.group_norm(x, 1, w, b, 0.1, backward),
        lambda x, w, b: F.layer_norm(x, 5, w, b, 0.1, backward),
        leaves(rng, (3, 5)),
        rng.normal(size=(3, 5)),
    )


# Edges ------------------------------------------------------------------------------------------------------------


@both_ways
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_one_value_per_group(backward, dtype, rng):
    """Of one sample it is refused, as in PyTorch; in a batch it is let through: y = β, dx = dγ = 0, all exactly."""
    x, w, b = leaves(rng, (2, 3), dtype)
    x = tn.tensor(x.data * 1e6, requires_grad=True)
    y = F.group_norm(x, 3, w, b, backward=backward)
    dx, dw, db = tn.grad(y, [x, w, b], np.ones((2, 3), dtype))
    np.testing.assert_array_equal(y.data, np.broadcast_to(b.data, (2, 3)))
    np.testing.assert_array_equal(dx.data, 0)
    np.testing.assert_array_equal(dw.data, 0)
    np.testing.assert_array_equal(db.data, 2)
    words = r"group_norm: input \(1, 3.* with num_groups=3: Expected more than 1 value per channel.*fewer groups"
    for one in ((1, 3), (1, 3, 1), (1, 3, 1, 1)):
        with pytest.raises(tn.ShapeError, match=words):
            F.group_norm(np.ones(one), 3, backward=backward)
        F.group_norm(np.ones(one), 1, backward=backward)
    F.group_norm(np.ones((1, 3, 2)), 3, backward=backward)


@both_ways
@pytest.mark.parametrize("shape", [(0, 4), (0, 4, 3), (2, 4, 0)])
def test_an_empty_batch(backward, shape, rng):
    x, w, b = leaves(rng, shape)
    y = F.group_norm(x, 2, w, b, backward=backward)
    dx, dw, db = tn.grad(y, [x, w, b], np.ones(shape))
    assert y.shape == dx.shape == shape
    np.testing.assert_array_equal((dw.data, db.data), np.zeros((2, 4)))


@both_ways
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nan_and_infinity_stay_in_their_group(backward, bad, rng):
    x, w, b = leaves(rng, (2, 4, 3))
    data = x.data.copy()
    data[1, 2, 0] = bad
    x = tn.tensor(data, requires_grad=True)
    with np.errstate(invalid="ignore"):
        y = F.group_norm(x, 2, w, b, backward=backward)
        (dx,) = tn.grad(y, x, rng.normal(size=(2, 4, 3)))
    lost = np.zeros((2, 4, 3), bool)
    lost[1, 2:] = True
    np.testing.assert_array_equal(np.isnan(y.data), lost)
    np.testing.assert_array_equal(np.isnan(dx.data), lost)


@both_ways
def test_a_huge_mean(backward):
    """onnxruntime's gives ±474 here: its variance is mean(x²) − mean(x)²."""
    x = tn.tensor(np.float32([[[4094.5, 4095.5], [4096.5, 4097.5]]]))
    expected = [[[-1.3416, -0.4472], [0.4472, 1.3416]]]
    np.testing.assert_allclose(F.group_norm(x, 1, backward=backward).data, expected, atol=1e-4)


@both_ways
def test_float16_squares_that_overflow(backward):
    x = tn.tensor(np.array([[300.0, -300.0] + [0.0] * 48], "float16"), requires_grad=True)
    y = F.group_norm(x, 1, backward=backward)
    assert y.dtype == np.float16
    np.testing.assert_allclose(y.data[0, :2], [5.0, -5.0], rtol=1e-3)  # 300/60


# Misuse -----------------------------------------------------------------------------------------------------------

X = tn.tensor(np.ones((2, 6, 3)), name="h")


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (
            lambda: F.group_norm(X, 4),
            tn.ShapeError,
            r"group_norm: input h \(2, 6, 3\) float64 with num_groups=4: 6 channels.*one of 1, 2, 3, 6\.",
        ),
        (lambda: F.group_norm(X, 0), tn.ShapeError, "num_groups=0"),
        (lambda: F.group_norm(X, -2), tn.ShapeError, "num_groups=-2"),
        (lambda: F.group_norm(X, 12), tn.ShapeError, "num_groups=12"),
        (lambda: F.group_norm(X, 2.0), tn.ShapeError, r"num_groups=2\.0"),
        (lambda: F.group_norm(X, True), tn.ShapeError, "num_groups=True"),
        (lambda: F.group_norm(X, 2, np.ones(2)), tn.ShapeError, r"weight \(2,\).*6 channels.*must be \(6,\)"),
        (lambda: F.group_norm(X, 2, None, np.ones((6, 1))), tn.ShapeError, r"bias \(6, 1\).*must be \(6,\)"),
        (lambda: F.group_norm(np.ones(4), 2), tn.ShapeError, r"group_norm: input \(4,\) float64 has 1 axes"),
        (lambda: F.group_norm(np.ones((2, 4), int), 2), tn.DTypeError, "int64.*Cast first"),
        (lambda: F.group_norm(X, 2, backward="fused"), ValueError, 'group_norm.*"recorded", "analytic" or "compiled"'),
    ],
)
def test_misuse_is_named(call, error, words):
    with pytest.raises(error, match=words):
        call()


def test_groups_may_be_counted_by_numpy():
    np.testing.assert_array_equal(F.group_norm(X, np.int64(3)).data, F.group_norm(X, 3).data)
