"""LayerNorm: the recorded form and the analytic node are one function, at every order, shape and edge."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_norm as tn
from tinygrad_norm.engine import ARRAYS, Reading
from tinygrad_norm.norms.layer_norm import ANALYTIC

F = tn.functional
WAYS = ("recorded", "analytic")


def leaves(rng, shape, sizes, dtype="float64"):
    return (
        tn.tensor(rng.normal(1.0, 2.0, shape), dtype, requires_grad=True, name="x"),
        tn.tensor(rng.normal(size=sizes), dtype, requires_grad=True, name="γ"),
        tn.tensor(rng.normal(size=sizes), dtype, requires_grad=True, name="β"),
    )


def reference(x, w, b, axis, eps=1e-5):
    """Written with what NumPy has, for arrays real or complex."""
    c = x - x.mean(axis=axis, keepdims=True)
    return c / np.sqrt((c * c).mean(axis=axis, keepdims=True) + eps) * w + b


# Values and gradients ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("backward", WAYS)
def test_the_acid_test(backward):
    """LayerNorm of (t, 0), γ = (1, 2), ε = ¼, summed, is −t/√(1+t²): four derivatives in closed form."""
    t = tn.tensor(0.7, requires_grad=True)
    x = tn.concatenate([t.reshape(1), np.zeros(1)])
    d = F.layer_norm(x, 2, tn.tensor([1.0, 2.0]), tn.tensor([0.0, 0.0]), 0.25, backward).sum()
    assert d.item() == pytest.approx(-0.7 / 1.49**0.5, abs=1e-15)
    expected = [-(1.49**-1.5), 0.7749142079590942, -0.7132479766449955, -45 * 0.7 * 1.49**-3.5 + 105 * 0.343 * 1.49**-4.5]
    for value in expected:
        (d,) = tn.grad(d, t, create_graph=True)
        assert d.item() == pytest.approx(value, rel=1e-13)


@settings(max_examples=60, deadline=None)
@given(
    shape=st.lists(st.integers(1, 5), min_size=1, max_size=5).map(tuple),
    data=st.data(),
    eps=st.sampled_from([1e-12, 1e-5, 0.3]),
    seed=st.integers(0, 2**32 - 1),
)
def test_every_shape_against_complex_step(shape, data, eps, seed):
    many = data.draw(st.integers(1, len(shape)))
    given_w, given_b = data.draw(st.booleans()), data.draw(st.booleans())
    sizes, axis = shape[-many:], tuple(range(len(shape) - many, len(shape)))
    rng = np.random.default_rng(seed)
    x, w, b = leaves(rng, shape, sizes)
    dy = rng.normal(size=shape)
    inputs = [x, *([w] if given_w else []), *([b] if given_b else [])]
    arrays = [t.data for t in inputs]

    def terms(*args):
        args = list(args)
        return dy * reference(args.pop(0), args.pop(0) if given_w else 1.0, args.pop(0) if given_b else 0.0, axis, eps)

    expected = []
    for k, a in enumerate(arrays):
        slopes = np.empty(a.shape)
        for i in np.ndindex(a.shape):
            moved = a.astype(complex)
            moved[i] += 1e-40j
            slopes[i] = np.sum(terms(*arrays[:k], moved, *arrays[k + 1 :]).imag) / 1e-40
        expected.append(slopes)
    sigma = np.sqrt(np.var(x.data, axis=axis) + eps).min()
    for backward in WAYS:
        y = F.layer_norm(x, sizes, w if given_w else None, b if given_b else None, eps, backward)
        np.testing.assert_allclose(y.data, terms(*arrays) / dy, atol=1e-12 / sigma)
        for t, g, e in zip(inputs, tn.grad(y, inputs, dy), expected):
            assert g.shape == t.shape
            np.testing.assert_allclose(g.data, e, atol=1e-13 * (1 + 10 / sigma) ** 2)


@pytest.mark.parametrize("which", [0, 1, 2])
def test_both_ways_agree_at_orders_one_to_four(which):
    rng = np.random.default_rng(5)
    x, w, b = leaves(rng, (2, 3, 4), (3, 4))
    dy = rng.normal(size=x.shape)
    seen = {}
    for backward in WAYS:
        directions = np.random.default_rng(6)
        d, seed, found = F.layer_norm(x, (3, 4), w, b, 0.1, backward) ** 5, dy, []  # a power: four derivatives by γ and β too
        for _ in range(4):
            (d,) = tn.grad(d, [x, w, b][which], seed, create_graph=True)
            found.append(d.data)
            seed = directions.normal(size=d.shape)
        seen[backward] = found
    for a, c in zip(*seen.values()):
        np.testing.assert_allclose(a, c, rtol=1e-8, atol=1e-10 * np.abs(a).max())


def test_mixed_second_derivatives_agree():
    rng = np.random.default_rng(7)
    x, w, b = leaves(rng, (3, 5), (5,))
    dy, v = tn.tensor(rng.normal(size=(3, 5)), requires_grad=True), rng.normal(size=(3, 5))
    found = []
    for backward in WAYS:
        (dx,) = tn.grad(F.layer_norm(x, 5, w, b, backward=backward), x, dy, create_graph=True)
        found.append([g.data for g in tn.grad(dx, [x, w, dy], v)])
    for a, c in zip(*found):
        np.testing.assert_allclose(a, c, atol=1e-13)


@pytest.mark.parametrize("backward", WAYS)
@pytest.mark.parametrize("wanted", [s for n in (1, 2, 3) for s in itertools.combinations(range(3), n)])
def test_every_subset_of_gradients(backward, wanted):
    rng = np.random.default_rng(8)
    arrays = [rng.normal(size=s) for s in ((4, 6), (6,), (6,))]
    dy = rng.normal(size=(4, 6))
    every = [tn.tensor(a, requires_grad=True) for a in arrays]
    some = [tn.tensor(a, requires_grad=k in wanted) for k, a in enumerate(arrays)]
    whole = tn.grad(F.layer_norm(every[0], 6, *every[1:], backward=backward), every, dy)
    y = F.layer_norm(some[0], 6, *some[1:], backward=backward)
    y.backward(dy)
    for k, (t, g) in enumerate(zip(some, whole)):
        if k in wanted:
            np.testing.assert_array_equal(t.grad.data, g.data)
        else:
            assert t.grad is None


# dtypes and size ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backward", WAYS)
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_the_dtype_stays(backward, dtype):
    x, w, b = leaves(np.random.default_rng(0), (5, 6), (6,), dtype)
    y = F.layer_norm(x, 6, w, b, backward=backward)
    assert y.dtype == dtype
    assert [g.dtype for g in tn.grad(y, [x, w, b], np.ones(y.shape, dtype))] == [np.dtype(dtype)] * 3


@pytest.mark.parametrize("backward", WAYS)
def test_float16_squares_that_overflow(backward):
    x = tn.tensor(np.array([[300.0, -300.0] + [0.0] * 48], "float16"), requires_grad=True)
    y = F.layer_norm(x, 50, backward=backward)
    np.testing.assert_allclose(y.data[0, :2], [5.0, -5.0], rtol=1e-3)  # 300/60
    (g,) = tn.grad(y, x, np.arange(50, dtype="float16").reshape(1, 50))
    assert np.isfinite(g.data).all()


@pytest.mark.parametrize("backward", WAYS)
def test_half_in_half_out_with_float32_parameters(backward):
    x, w, b = leaves(np.random.default_rng(0), (5, 6), (6,), "float32")
    half = tn.tensor(x.data.astype("float16"), requires_grad=True)
    y = F.layer_norm(half, 6, w, b, backward=backward)
    assert y.dtype == np.float16
    assert [g.dtype.name for g in tn.grad(y, [half, w, b], np.ones((5, 6), "float16"))] == ["float16", "float32", "float32"]


@pytest.mark.parametrize("backward", WAYS)
def test_a_huge_mean(backward):
    """Two-pass variance: E[x²] − E[x]² gives 0 or worse here."""
    x = tn.tensor(np.float32([4094.5, 4095.5, 4096.5, 4097.5]))
    np.testing.assert_allclose(F.layer_norm(x, 4, backward=backward).data, [-1.3416, -0.4472, 0.4472, 1.3416], atol=1e-4)


@pytest.mark.parametrize("backward", WAYS)
@pytest.mark.parametrize("shape", [(3000, 48), (2, 70000), (40, 30, 100)])
def test_large_float32_arrays_agree_with_float64(backward, shape):
    rng = np.random.default_rng(9)
    arrays = [rng.normal(size=s) for s in (shape, shape[-1:], shape[-1:])]
    dy = rng.normal(size=shape)
    single = [tn.tensor(a.astype("float32"), requires_grad=True) for a in arrays]
    double = [tn.tensor(t.data.astype("float64"), requires_grad=True) for t in single]
    got = tn.grad(F.layer_norm(single[0], shape[-1], *single[1:], backward=backward), single, dy.astype("float32"))
    want = tn.grad(F.layer_norm(double[0], shape[-1], *double[1:]), double, dy.astype("float32").astype("float64"))
    for g, e in zip(got, want):
        assert g.dtype == np.float32
        np.testing.assert_allclose(g.data, e.data, atol=2e-5 * np.abs(e.data).max())


def test_the_kernel_does_what_the_rules_say():
    rng = np.random.default_rng(10)
    plain = Reading(lambda t: t._data)  # the rules over arrays, no shortcut
    for shape, sizes in [((4, 6), (6,)), ((2, 3, 4), (3, 4)), ((2000, 40), (40,)), ((7,), (7,))]:
        x, w, b = leaves(rng, shape, sizes)
        axis = tuple(range(len(shape) - len(sizes), len(shape)))
        node = ANALYTIC(x, w, b, axis=axis, eps=0.1)
        dy = rng.normal(size=shape)
        by_rule = [plain.pull(node, i, dy, node.data, plain.operands(node)) for i in range(3)]
        by_kernel = ARRAYS.shares(node, [0, 1, 2], dy)
        for r, k in zip(by_rule, by_kernel):
            np.testing.assert_allclose(k, r, atol=1e-12 * np.abs(r).max())


# Edges ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backward", WAYS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_one_feature(backward, dtype):
    """y = β, dx = 0, dγ = 0, exactly, however large x."""
    x, w, b = leaves(np.random.default_rng(0), (5, 1), (1,), dtype)
    x = tn.tensor(x.data * 1e6, requires_grad=True)
    y = F.layer_norm(x, 1, w, b, backward=backward)
    dx, dw, db = tn.grad(y, [x, w, b], np.ones((5, 1), dtype))
    np.testing.assert_array_equal(y.data, np.broadcast_to(b.data, (5, 1)))
    np.testing.assert_array_equal(dx.data, 0)
    np.testing.assert_array_equal(dw.data, 0)
    np.testing.assert_array_equal(db.data, 5)


@pytest.mark.parametrize("backward", WAYS)
def test_a_constant_row(backward):
    """dx = (g − mean g)/√ε: finite, because ε stands inside the root."""
    x = tn.tensor(np.full((1, 4), 3.0), requires_grad=True)
    g = np.array([[1.0, 0.0, 0.0, 0.0]])
    (dx,) = tn.grad(F.layer_norm(x, 4, backward=backward), x, g)
    np.testing.assert_allclose(dx.data, (g - 0.25) / np.sqrt(1e-5))


@pytest.mark.parametrize("backward", WAYS)
@pytest.mark.parametrize("shape", [(0, 4), (3, 0, 4)])
def test_an_empty_batch(backward, shape):
    x, w, b = leaves(np.random.default_rng(0), shape, (4,))
    y = F.layer_norm(x, 4, w, b, backward=backward)
    dx, dw, db = tn.grad(y, [x, w, b], np.ones(shape))
    assert y.shape == dx.shape == shape
    np.testing.assert_array_equal(dw.data, np.zeros(4))
    np.testing.assert_array_equal(db.data, np.zeros(4))


@pytest.mark.parametrize("backward", WAYS)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nan_and_infinity_stay_in_their_row(backward, bad):
    data = np.random.default_rng(0).normal(size=(3, 4))
    data[1, 2] = bad
    x = tn.tensor(data, requires_grad=True)
    with np.errstate(invalid="ignore"):
        y = F.layer_norm(x, 4, backward=backward)
        (dx,) = tn.grad(y, x, np.ones((3, 4)))
    assert np.isnan(y.data[1]).all()
    assert np.isnan(dx.data[1]).all()
    assert np.isfinite(y.data[[0, 2]]).all()
    assert np.isfinite(dx.data[[0, 2]]).all()


@pytest.mark.parametrize("backward", WAYS)
def test_gamma_with_zeros(backward):
    rng = np.random.default_rng(1)
    x = tn.tensor(rng.normal(size=(3, 4)), requires_grad=True)
    w = tn.tensor([0.0, 1.0, 0.0, 2.0], requires_grad=True)
    dy = rng.normal(size=(3, 4))
    y = F.layer_norm(x, 4, w, backward=backward)
    xhat = F.layer_norm(x, 4).data
    np.testing.assert_allclose(tn.grad(y, w, dy)[0].data, (dy * xhat).sum(0))


@pytest.mark.parametrize("backward", WAYS)
def test_views_and_odd_strides(backward):
    rng = np.random.default_rng(2)
    base = rng.normal(size=(6, 10))
    for view in (base.T, base[::-2], base[:, ::-1], np.asfortranarray(base), np.broadcast_to(base[0], (3, 10))):
        n = view.shape[-1]
        x, copy = tn.from_numpy(view, requires_grad=True), tn.tensor(np.ascontiguousarray(view), requires_grad=True)
        dy = rng.normal(size=view.shape)
        (a,), (c,) = (tn.grad(F.layer_norm(t, n, backward=backward), t, dy) for t in (x, copy))
        np.testing.assert_allclose(a.data, c.data, atol=1e-13)


@pytest.mark.parametrize("backward", WAYS)
def test_geometry(backward):
    """Each row of dx sums to zero; x̂·dx = rstd·ε/(σ²+ε)·(x̂·g); the gradient of the sum is zero."""
    rng = np.random.default_rng(3)
    x = tn.tensor(rng.normal(size=(5, 8)), requires_grad=True)
    g, eps = rng.normal(size=(5, 8)), 0.1
    y = F.layer_norm(x, 8, eps=eps, backward=backward)
    (dx,) = tn.grad(y, x, g)
    var = x.data.var(-1)
    np.testing.assert_allclose(dx.data.sum(-1), 0, atol=1e-13)
    np.testing.assert_allclose((y.data * dx.data).sum(-1), eps / (var + eps) ** 1.5 * (y.data * g).sum(-1), atol=1e-13)
    np.testing.assert_allclose(tn.grad(y.sum(), x)[0].data, 0, atol=1e-14)


# Misuse -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (
            lambda: F.layer_norm(tn.tensor(np.ones((2, 3))), 4),
            tn.ShapeError,
            r"layer_norm: input \(2, 3\).*\(4,\).*normalized_shape=\(3,\)",
        ),
        (lambda: F.layer_norm(tn.tensor(np.ones((2, 3))), ()), tn.ShapeError, "normalized_shape"),
        (lambda: F.layer_norm(tn.tensor(1.0), 1), tn.ShapeError, "at least one axis"),
        (
            lambda: F.layer_norm(tn.tensor(np.ones((2, 3))), 3, np.ones(2)),
            tn.ShapeError,
            r"weight \(2,\).*\(3,\).*must be \(3,\)",
        ),
        (lambda: F.layer_norm(tn.tensor(np.ones((2, 3))), 3, None, np.ones((1, 3))), tn.ShapeError, r"bias \(1, 3\)"),
        (lambda: F.layer_norm(tn.tensor([[1, 2]]), 2), tn.DTypeError, "int64.*Cast first"),
        (
            lambda: F.layer_norm(tn.tensor(np.ones((2, 3))), 3, backward="fused"),
            ValueError,
            '"recorded", "analytic" or "compiled"',
        ),
    ],
)
def test_misuse_is_named(call, error, words):
    with pytest.raises(error, match=words):
        call()


# The module -------------------------------------------------------------------------------------------------------


def test_the_module():
    layer = tn.nn.LayerNorm((2, 3), dtype=np.float64)
    assert list(layer.state_dict()) == ["weight", "bias"]
    assert {p.shape for p in layer.parameters()} == {(2, 3)}
    x = tn.tensor(np.random.default_rng(0).normal(size=(4, 2, 3)), requires_grad=True)
    y = layer(x)
    np.testing.assert_array_equal(y.data, F.layer_norm(x, (2, 3)).data)
    y.backward(np.ones(y.shape))
    assert all(p.grad is not None for p in layer.parameters())
    layer.zero_grad()
    assert all(p.grad is None for p in layer.parameters())
    layer.load_state_dict({"weight": np.full((2, 3), 2.0), "bias": np.ones((2, 3))})
    np.testing.assert_allclose(layer(x).data, 2 * y.data + 1)


def test_the_module_without_affine_or_bias():
    assert list(tn.nn.LayerNorm(3, bias=False).state_dict()) == ["weight"]
    assert list(tn.nn.LayerNorm(3, elementwise_affine=False).state_dict()) == []
    assert tn.nn.LayerNorm(3).weight.dtype == np.float32


def test_loading_what_does_not_fit_changes_nothing():
    layer = tn.nn.LayerNorm(3)
    with pytest.raises(KeyError, match=r"missing.*bias"):
        layer.load_state_dict({"weight": np.ones(3)})
    with pytest.raises(tn.ShapeError, match="bias"):
        layer.load_state_dict({"weight": np.full(3, 5.0), "bias": np.ones(4)})
    np.testing.assert_array_equal(layer.weight.data, 1)
