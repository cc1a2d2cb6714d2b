"""The kernels over arrays: every pattern of axes and parameters, in one piece and in many, against the definition."""

from __future__ import annotations

import gc
import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_norm as tn
from tinygrad_norm.engine.arrays import sum_to, total
from tinygrad_norm.norms import columns, kernels, known, rows
from tinygrad_norm.norms.kernels import affine_standardize, affine_standardize_pullbacks, pieces
from tinygrad_norm.norms.moments import pull_standardize, standardize


def by_definition(g, x, w, b, axis, eps, center):
    xhat, rstd = standardize(x, axis, eps, center)
    dx = pull_standardize(g * w, xhat, rstd, axis, center)
    dw, db = (
        p.sum(axis=tuple(range(x.ndim - np.ndim(q))), keepdims=True).reshape(p.shape[x.ndim - np.ndim(q) :])
        for p, q in ((g * xhat, w), (g, b))
    )
    dw, db = (p.sum(axis=tuple(a for a, n in enumerate(np.shape(q)) if n == 1), keepdims=True) for p, q in ((dw, w), (db, b)))
    return xhat * w + b, dx, dw, db


@settings(max_examples=300)
@given(data=st.data(), shape=st.lists(st.integers(1, 5), min_size=1, max_size=4).map(tuple), seed=st.integers(0, 1000))
def test_every_pattern(data, shape, seed):
    rng = np.random.default_rng(seed)
    axis = tuple(a for a in range(len(shape)) if data.draw(st.booleans())) or (len(shape) - 1,)
    some = st.sampled_from(range(len(shape) + 1))

    def parameter():
        full = shape[data.draw(some) :]
        return rng.normal(size=tuple(n if data.draw(st.booleans()) else 1 for n in full))

    x, g, w, b = rng.normal(1, 2, shape), rng.normal(size=shape), parameter(), parameter()
    center, large = data.draw(st.booleans()), data.draw(st.sampled_from([1 << 17, 8, 1]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kernels, "PIECE", large)
        patch.setattr(rows, "PIECE", large)
        patch.setattr(kernels, "SLAB", data.draw(st.sampled_from([1 << 16, 0])))
        y = affine_standardize(x, w, b, axis, 0.1, center)
        found = affine_standardize_pullbacks((True, True, True), g, x, w, b, axis, 0.1, center)
        alone = [
            affine_standardize_pullbacks(tuple(i == k for i in range(3)), g, x, w, b, axis, 0.1, center)[k] for k in range(3)
        ]
    for a, e in zip((y, *found), by_definition(g, x, w, b, axis, 0.1, center)):
        np.testing.assert_allclose(a, e, atol=1e-12 * max(1, np.abs(e).max()))
    for a, e in zip(alone, found):
        np.testing.assert_allclose(a, e, atol=1e-12 * max(1, np.abs(e).max()))


@settings(max_examples=200)
@given(data=st.data(), shape=st.lists(st.integers(1, 9), min_size=1, max_size=4).map(tuple), large=st.integers(1, 60))
def test_pieces_meet_every_entry_once_and_no_moment_reaches_across(data, shape, large):
    axis = tuple(a for a in range(len(shape)) if data.draw(st.booleans()))
    seen = np.zeros(shape, int)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kernels, "PIECE", large)
        for some in pieces(shape, axis):
            for piece in some:
                seen[piece] += 1
                assert len(some) > 1 or all(seen[piece].shape[a] == shape[a] for a in axis)
    assert (seen == 1).all()


def test_large_pieces_are_cut():
    """Of (N, C, H, W) over the channels, and of groups, no piece is larger than it must be."""
    for shape, axis in (((32, 64, 28, 28), (0, 2, 3)), ((8, 32, 8, 1024), (2, 3)), ((4096, 1024), (1,)), ((1, 4096, 512), (2,))):
        sizes = [math.prod(np.empty(shape, bool)[p].shape) for some in pieces(shape, axis) for p in some]
        assert max(sizes) <= kernels.PIECE
        assert len(sizes) < 4 * math.prod(shape) / kernels.PIECE + 4


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("shape", "axis", "w"),
    [
        ((700, 300), (1,), (300,)),
        ((700, 300), (0,), (300,)),
        ((16, 8, 40, 40), (0, 2, 3), (8, 1, 1)),
        ((16, 4, 2, 40, 40), (2, 3, 4), (4, 2, 1, 1)),
        ((4, 200, 300), (2,), (4, 1, 300)),
        ((3, 40000), (1,), (40000,)),
    ],
)
def test_large_arrays_in_each_layout(shape, axis, w, dtype):
    rng = np.random.default_rng(1)
    x, g = rng.normal(3, 2, shape).astype(dtype), rng.normal(size=shape).astype(dtype)
    w, b = rng.normal(size=w).astype(dtype), rng.normal(size=w).astype(dtype)
    wide = [a.astype("float64") for a in (g, x, w, b)]
    y = affine_standardize(x, w, b, axis, 1e-5)
    found = affine_standardize_pullbacks((True, True, True), g, x, w, b, axis, 1e-5)
    tolerance = 1e-12 if dtype == "float64" else 1e-5
    for a, e in zip((y, *found), by_definition(*wide, axis, 1e-5, True)):
        assert a.dtype == dtype
        np.testing.assert_allclose(a, e, atol=tolerance * np.abs(e).max())


def test_small_addends_survive_long_columns():
    """float32 sums down a column: 2²⁴ + 1 + 1 + … must not stay 2²⁴."""
    g = np.ones((3000, 4), "float32")
    g[0] = 2.0**24
    x = np.random.default_rng(0).normal(size=g.shape).astype("float32")
    w = np.ones(4, "float32")
    for axis in ((1,), (0,)):
        _, _, db = affine_standardize_pullbacks((True, True, True), g, x, w, w, axis, 1e-5)
        np.testing.assert_allclose(db, 2.0**24 + 2999, atol=8)  # two units in the last place; one by one all 2999 are lost


def test_moments_are_forgotten_with_their_array():
    before = len(known._moments)
    x = np.random.default_rng(0).normal(size=(3, 4))
    affine_standardize(x, 1.0, 0.0, (1,), 1e-5)
    assert len(known._moments) == before + 1
    gc.disable()
    try:
        del x
        assert len(known._moments) == before
    finally:
        gc.enable()


def test_moments_of_another_norm_of_the_same_array_are_not_mistaken():
    rng = np.random.default_rng(0)
    x, dy = rng.normal(size=(4, 6)), rng.normal(size=(4, 6))
    leaf = tn.tensor(x, requires_grad=True)
    F = tn.functional
    a = F.layer_norm(leaf, 6, eps=0.1, backward="analytic")
    F.layer_norm(leaf, 6, eps=2.0, backward="analytic")
    F.rms_norm(leaf, 6, eps=0.1, backward="analytic")
    F.batch_norm(leaf, training=True, eps=0.1, backward="analytic")
    (found,) = tn.grad(a, leaf, dy)
    (expected,) = tn.grad(F.layer_norm(leaf, 6, eps=0.1), leaf, dy)
    np.testing.assert_allclose(found.data, expected.data, atol=1e-14)


def test_complex_numbers_pass_unconjugated():
    """Complex step goes through the node itself."""
    rng = np.random.default_rng(0)
    x, v = rng.normal(size=(3, 5)), rng.normal(size=(3, 5))
    slope = affine_standardize(x + 1e-30j * v, 2.0, 1.0, (1,), 0.1).imag / 1e-30
    xhat, rstd = standardize(x, (1,), 0.1)
    np.testing.assert_allclose(slope, pull_standardize(2.0 * v, xhat, rstd, (1,)), atol=1e-14)


@pytest.mark.parametrize("rows", [3, 3000])
@pytest.mark.parametrize("center", [True, False])
def test_a_scale_at_the_end_of_the_range(rows, center):
    """σ = 10⁻¹⁸ with next to no ε: rstd³ is beyond float32, the gradients are not."""
    rng = np.random.default_rng(0)
    x, g = (1e-18 * rng.normal(size=(rows, 64))).astype("float32"), (1e-6 * rng.normal(size=(rows, 64))).astype("float32")
    w, b = rng.normal(size=(2, 64)).astype("float32")
    found = [affine_standardize(x, w, b, (1,), 0.0, center)]
    found += affine_standardize_pullbacks((True, True, True), g, x, w, b, (1,), 0.0, center)
    for a, e in zip(found, by_definition(*[a.astype("float64") for a in (g, x, w, b)], (1,), 0.0, center)):
        np.testing.assert_allclose(a, e, atol=1e-5 * np.abs(e).max())


def test_a_float32_sum_of_few_entries_is_right_in_each_layout():
    """Products with ones stand in for small sums: of contiguous arrays only, and the rest as before."""
    x = np.random.default_rng(0).normal(size=(6, 5, 4)).astype("float32")
    for a in (x, x.T, x[::2], x[:, ::-1], x[:0], np.asfortranarray(x)):
        for axis in ((0,), (1,), (2,), (0, 1), (1, 2), (0, 2), (0, 1, 2)):
            exact = a.astype("float64").sum(axis, keepdims=True)
            np.testing.assert_allclose(total(a, axis), exact, atol=1e-5)
            np.testing.assert_allclose(sum_to(a, exact.shape), exact, atol=1e-5)
            assert total(a, axis).dtype == sum_to(a, exact.shape).dtype == "float32"


@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize("shape", [(1, 1), (7, 3), (600, 2)])
def test_small_tables_by_columns(shape, center):
    """The plainest BatchNorm, and every choice of gradients, as the definition and as the general way has it."""
    rng = np.random.default_rng(3)
    x, g = rng.normal(5, 2, shape), rng.normal(size=shape)
    w, b = rng.normal(size=shape[1:]), rng.normal(size=shape[1:])
    assert columns.few_columns(x, w, (0,))
    y = affine_standardize(x, w, b, (0,), 0.1, center)
    expected = by_definition(g, x, w, b, (0,), 0.1, center)
    np.testing.assert_allclose(y, expected[0], rtol=1e-11, atol=1e-12)
    for wanted in itertools.product([True, False], repeat=3):
        found = affine_standardize_pullbacks(wanted, g, x, w, b, (0,), 0.1, center)
        for share, e, want in zip(found, expected[1:], wanted):
            assert (share is not None) == want
            if want:
                np.testing.assert_allclose(share, e, rtol=1e-9, atol=1e-11)
    known._moments.clear()  # who has forgotten the moments computes them again
    again = affine_standardize_pullbacks((True, True, True), g, x, w, b, (0,), 0.1, center)
    for share, e in zip(again, expected[1:]):
        np.testing.assert_allclose(share, e, rtol=1e-9, atol=1e-11)
