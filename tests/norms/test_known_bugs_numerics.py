"""What has gone wrong in other libraries, each by its thread, and that it does not go wrong here: variance, edges, float16."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import tinygrad_norm as tn
from tests import oracles
from tests.norms.known_bugs import (
    AFFINE,
    FAMILY,
    F,
    both_ways,
    by_definition,
    every_affine,
    every_case,
    every_centred,
    f64,
    rms,
)
from tests.norms.test_family import inputs_of
from tinygrad_norm.norms import get

# The variance ----------------------------------------------------------------------------------------------------------


def stable_in_float32(name, x, backward, digits=2e-3):
    """float32 in against the same numbers in float64, value and gradient."""
    dy = f64(x.shape, 1).astype("float32")
    single, double = (tn.tensor(x.astype(d), requires_grad=True) for d in ("float32", "float64"))
    y = AFFINE[name](single, backward=backward)
    expected = by_definition(name, double.data)
    (exact,) = tn.grad(AFFINE[name](double), double, dy.astype("float64"))
    np.testing.assert_allclose(y.data, expected, atol=digits * np.abs(expected).max())
    for as_graph in (False, True):  # kernel and rule
        (dx,) = tn.grad(y, single, dy, create_graph=as_graph)
        np.testing.assert_allclose(dx.data, exact.data, atol=digits * np.abs(exact.data).max())


@both_ways
@every_centred
def test_naive_variance_randn_plus_2000(name, backward):
    """pytorch#51102, #40302, #54921, #59987: E[x²] − E[x]² of randn(5, 4) + 2000 came out as 48425."""
    x = f64({"group_norm": (5, 8), "instance_norm": (2, 3, 4)}.get(name, (5, 4))) + 2000
    stable_in_float32(name, x.astype("float32"), backward)
    assert abs(float(F.var(tn.tensor((f64((5, 4)) + 2000).astype("float32"))).data) - f64((5, 4)).var(ddof=1)) < 1e-3


@both_ways
@every_centred
def test_naive_variance_of_many(name, backward):
    """pytorch#55044, #81090: randn(…, 32768)·0.01 + 100 had the variance 0."""
    shape = {"layer_norm": (2, 32768), "batch_norm": (32768, 2), "group_norm": (1, 2, 32768), "instance_norm": (1, 2, 32768)}[
        name
    ]
    stable_in_float32(name, (f64(shape) * 0.01 + 100).astype("float32"), backward, digits=5e-3)


ONE_PASS_IS_NEGATIVE = {
    "jax#30426": np.float32(10) + np.float32(1e-3) * f64((1, 4096)).astype("float32"),
    "ORT#21935": np.full((1, 256), 1234, "float32"),
    "ORT#28463": np.float32([[40000, 40001, 40002, 40003]]),
    "mlx#2238": np.full((1, 64), 1449.7, "float32"),
    "equinox#314": np.float32([[4094.5, 4095.5, 4096.5, 4097.5]]),
    "a constant 0.1": np.full((1, 1000), 0.1, "float32"),
}


@both_ways
@every_centred
@pytest.mark.parametrize("thread", ONE_PASS_IS_NEGATIVE)
def test_one_pass_variance_is_negative(name, backward, thread):
    """jax#30426, #33496, #30428, equinox#314, ORT#21935, ORT#28463, mlx#2238: NaN, or a value far too large."""
    x = ONE_PASS_IS_NEGATIVE[thread]
    assert np.isfinite(x).all()
    x = {"layer_norm": x, "batch_norm": x.T}.get(name, x.reshape(1, 2, -1) if name == "group_norm" else x.reshape(1, 1, -1))
    if name == "group_norm":  # both groups alike
        x = np.repeat(x.reshape(1, 1, -1), 2, 1)
    single, double = (tn.tensor(x.astype(d), requires_grad=True) for d in ("float32", "float64"))
    y = FAMILY[name](single, backward=backward)
    expected = by_definition(name, double.data)
    rounding = np.finfo("float32").eps * np.abs(x).max() / np.sqrt(x.var(dtype="float64") + 1e-5)  # of the mean, per term
    np.testing.assert_allclose(y.data, expected, atol=(2 + x.size / 32) * rounding + 1e-5)
    assert np.isfinite(tn.grad(y, single, f64(x.shape).astype("float32"))[0].data).all()


@both_ways
@every_centred
def test_unbiased_variance_not_used(name, backward):
    """LBANN PR#2024: LayerNorm and InstanceNorm divided by N − 1. With N = 2 and ε = 0 all x̂ are ±1, not ±√½."""
    x = f64({"layer_norm": (3, 2), "batch_norm": (2, 3), "group_norm": (3, 4), "instance_norm": (3, 2, 2)}[name])
    np.testing.assert_allclose(np.abs(FAMILY[name](tn.tensor(x), eps=0.0, backward=backward).data), 1, rtol=1e-12)


@both_ways
@every_centred
def test_third_derivative_is_not_that_of_cached_statistics(name, backward):
    """pytorch#175754, #186256: statistics saved without a history make orders 3 and up wrong, in silence.

    x = (t, 0), ε = ¼: x̂₁ + 2·x̂₂ = −t/√(1 + t²), whichever axes these two stand on.
    """
    t = tn.tensor(0.7, requires_grad=True)
    shape = {"layer_norm": (1, 2), "batch_norm": (2, 1), "group_norm": (1, 1, 2), "instance_norm": (1, 1, 2)}[name]
    x = tn.concatenate([t.reshape(1), np.zeros(1)]).reshape(shape)
    y = F.group_norm(x, 1, eps=0.25, backward=backward) if name == "group_norm" else FAMILY[name](x, eps=0.25, backward=backward)
    d = (y * np.array([1.0, 2.0]).reshape(shape)).sum()
    for value in (-(1.49**-1.5), 0.7749142079590942, -0.7132479766449955, -45 * 0.7 * 1.49**-3.5 + 105 * 0.343 * 1.49**-4.5):
        (d,) = tn.grad(d, t, create_graph=True)
        assert d.item() == pytest.approx(value, rel=1e-12)


# One value, constant values, no gradient -------------------------------------------------------------------------------


@both_ways
@pytest.mark.parametrize("name", ["layer_norm", "group_norm"])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_n_equals_one_dgamma_zero(name, dtype, backward):
    """pytorch#188372, #188375, PR#173598: with one value per mean, dγ was 7.2 at x = 1e6, and y was not β."""
    shape = (5, 1) if name == "layer_norm" else (5, 2)  # two groups of one channel
    x = tn.tensor((f64(shape) * (1e6 if dtype != "float16" else 1e4)).astype(dtype), requires_grad=True)
    w, b = (tn.tensor(f64(shape[1:], s).astype(dtype), requires_grad=True) for s in (1, 2))
    y = FAMILY[name](x, w, b, backward=backward)
    dx, dw, db = tn.grad(y, [x, w, b], np.ones(shape, dtype))
    np.testing.assert_array_equal(y.data, np.broadcast_to(b.data, shape))
    np.testing.assert_array_equal(dx.data, 0)
    np.testing.assert_array_equal(dw.data, 0)
    np.testing.assert_array_equal(db.data, 5)


@both_ways
@every_case
def test_constant_row_gradient_is_finite(name, case, backward):
    """pytorch#4320, jax#11716, keras#2960, Flux#2096, burn#1992, pyg PR#2917: σ = 0 has no slope, and 0·∞ is NaN."""
    options, inputs = inputs_of(name, case)
    x = inputs["input"]
    constant = tn.tensor(np.full(x.shape, 3.0), requires_grad=True)
    y = get(name).apply({**inputs, "input": constant}, backward=backward, **options)
    assert np.isfinite(y.data).all()
    leaves = [constant, *(t for n, t in inputs.items() if n != "input" and t.requires_grad)]
    for leaf, g in zip(leaves, tn.grad(y, leaves, f64(y.shape))):
        assert np.isfinite(g.data).all(), leaf.name


@both_ways
@every_centred
def test_the_gradient_of_the_sum_is_zero(name, backward):
    """pytorch#63541, no bug: Σx̂ is 0 whatever x is. A check of gradients by ``y.sum()`` sees nothing."""
    x = tn.tensor(f64((3, 4, 5)), requires_grad=True)
    y = FAMILY[name](x, backward=backward)
    np.testing.assert_allclose(tn.grad(y.sum(), x)[0].data, 0, atol=1e-14)
    assert np.abs(tn.grad(y, x, f64((3, 4, 5), 1))[0].data).max() > 0.1


@both_ways
def test_instance_norm_of_one_place(backward):
    """pytorch#45687: whether an input with one place was let through depended on the batch size. Here it never is, as in
    PyTorch today; by running statistics it always is."""
    for n, places in itertools.product((1, 2, 5), [(1,), (1, 1)]):
        x = tn.tensor(f64((n, 3, *places)))
        with pytest.raises(tn.ShapeError, match="more than 1 spatial element"):
            F.instance_norm(x, backward=backward)
        y = F.instance_norm(x, np.zeros(3), np.ones(3), use_input_stats=False, eps=0.0, backward=backward)
        np.testing.assert_allclose(y.data, x.data)


# float16 -----------------------------------------------------------------------------------------------------------------


@both_ways
@every_affine
def test_fp16_eps_1e_12(name, backward):
    """pytorch#41527, TF PR#24979, keras#22586: ε is 0 in float16, and a constant row becomes 0/0."""
    assert np.float16(1e-12) == 0
    data = f64((2, 4, 6)).astype("float16")
    x = tn.tensor(data, requires_grad=True)
    y = AFFINE[name](x, eps=1e-12, backward=backward)
    np.testing.assert_allclose(y.data, by_definition(name, data.astype("float64"), eps=1e-12), atol=4e-3)
    assert np.isfinite(tn.grad(y, x, f64(y.shape).astype("float16"))[0].data).all()
    constant = tn.tensor(np.full((2, 4, 6), 0 if name == "rms_norm" else 3, "float16"), requires_grad=True)
    y = AFFINE[name](constant, eps=1e-12, backward=backward)
    np.testing.assert_array_equal(y.data, 0)
    with np.errstate(over="ignore"):  # the slope is 1/√ε = 1e6, beyond float16
        assert not np.isnan(tn.grad(y, constant, f64(y.shape).astype("float16"))[0].data).any()


@both_ways
@every_affine
@pytest.mark.parametrize("size", [300, 7600])
def test_fp16_variance_overflow(name, size, backward):
    """ORT#17692, #29034, #29045, #31626: squares beyond 65504 are infinite, 1/∞ is 0, and y is β for every row."""
    data = np.random.default_rng(3).choice([-size, 0, size], (4, 6, 8)).astype("float16")
    x = tn.tensor(data, requires_grad=True)
    y = AFFINE[name](x, backward=backward)
    expected = by_definition(name, data.astype("float64"))
    np.testing.assert_allclose(y.data, expected, atol=2e-3)
    dy = (f64(y.shape, 1) * 4096).astype("float16")
    exact = oracles.gradient(lambda x: by_definition(name, x), [data.astype("float64")], 0, dy.astype("float64"))
    np.testing.assert_allclose(tn.grad(y, x, dy)[0].data, exact, atol=2e-3 * np.abs(exact).max())


SATURATE = {"softmax", "log_softmax", "cross_entropy", "dynamic_tanh"}
"""Their slope vanishes for large inputs, so there is nothing to compare: these get ordinary ones."""


@both_ways
@every_case
def test_fp16_is_float64_rounded(name, case, backward):
    """The two above, for every norm: large inputs in float16 give what float64 gives, to float16's own digits."""
    options, double = inputs_of(name, case)
    half, size = {}, 1 if name in SATURATE else 100
    for n, t in double.items():
        if t.requires_grad:
            half[n] = tn.tensor((t.data * (size if n == "input" else 1)).astype("float16"), requires_grad=True)
    double = {n: tn.tensor(half[n].data.astype("float64"), requires_grad=True) if n in half else t for n, t in double.items()}
    half = {n: half.get(n, t) for n, t in double.items()}
    found, exact = (get(name).apply(inputs, backward=backward, **options) for inputs in (half, double))
    assert found.dtype == np.float16
    np.testing.assert_allclose(found.data, exact.data, rtol=4e-3, atol=4e-3 * np.abs(exact.data).max())
    dy = f64(found.shape).astype("float16")
    leaves = [n for n, t in half.items() if t.requires_grad]
    grads = tn.grad(found, [half[n] for n in leaves], dy)
    for n, g, e in zip(leaves, grads, tn.grad(exact, [double[n] for n in leaves], dy.astype("float64"))):
        np.testing.assert_allclose(g.data, e.data, rtol=1e-2, atol=1e-2 * np.abs(e.data).max() + 1e-6, err_msg=n)


@both_ways
@pytest.mark.parametrize("size", [0.01, 1e-4])
def test_normalize_fp16(backward, size):
    """keras#23546, PR#23566: squares underflow in float16, and inputs of 0.01 had the gradient −∞."""
    x = tn.tensor(np.array([[1, 2, -3], [0.5, 0, 1]], "float16") * np.float16(size), requires_grad=True)
    dy = f64((2, 3)).astype("float16")
    y = F.normalize(x, backward=backward)
    exact = x.data.astype("float64")
    length = np.linalg.norm(exact, axis=1, keepdims=True)
    np.testing.assert_allclose(y.data, exact / length, rtol=1e-3)
    slope = (dy - exact / length * (dy * exact / length).sum(1, keepdims=True)) / length
    np.testing.assert_allclose(tn.grad(y, x, dy)[0].data, slope, atol=2e-3 * np.abs(slope).max())


@both_ways
@pytest.mark.parametrize("name", ["layer_norm", "rms_norm"])
def test_gamma_is_applied_before_rounding(name, backward):
    """transformers#30236, lmdeploy PR#2842: T5 and Llama cast to half before the product with γ, Gemma after; the results
    differ. Here one rounding, at the end."""
    data, w = f64((4, 64)).astype("float16"), f64(64, 1).astype("float32")
    y = AFFINE[name](tn.tensor(data), tn.tensor(w), backward=backward)
    after = AFFINE[name](tn.tensor(data.astype("float32")), tn.tensor(w)).data.astype("float16")
    before = (AFFINE[name](tn.tensor(data.astype("float32"))).data.astype("float16") * w).astype("float16")
    assert not np.array_equal(before, after)
    assert (y.data != after).mean() < 0.02  # but for a tie here and there
    np.testing.assert_allclose(y.data, after, rtol=1e-3)


@both_ways
@pytest.mark.parametrize("name", ["layer_norm", "batch_norm", "rms_norm"])
def test_many_ones_add_up_in_fp16(name, backward):
    """``np.ones((4096, 2), "float16").sum(0)`` is 2048: where dβ or dγ is summed along the first axis, every one counts."""
    assert np.ones((4096, 2), "float16").sum(0)[0] == 2048
    np.testing.assert_array_equal(tn.tensor(np.ones((4096, 2), "float16")).sum(0).data, 4096)
    data = f64((4096, 2)).astype("float16")
    x = tn.tensor(data, requires_grad=True)
    w, b = (tn.tensor(np.ones(2, "float16"), requires_grad=True) for _ in range(2))
    if name == "rms_norm":
        (dw,) = tn.grad(rms(x, w, backward=backward), w, np.sign(data))
        np.testing.assert_allclose(dw.data, np.abs(by_definition(name, data.astype("float64"))).sum(0), rtol=2e-3)
    else:
        (db,) = tn.grad(AFFINE[name](x, w, b, backward=backward), b, np.ones((4096, 2), "float16"))
        np.testing.assert_array_equal(db.data, 4096)
