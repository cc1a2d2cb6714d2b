"""What has gone wrong in other libraries, each by its thread, and that it does not go wrong here: axes, flags, statistics.

``test_known_bugs_numerics.py`` has the variance, single and constant values, and float16.

Threads with no test here, and why:

    pytorch#156513                      gradients of BatchNorm in mixed bfloat16, and NumPy has no bfloat16
    keras-core PR#866                   a decision for speed and against digits; that ours is two passes is tested
    mlx#2238 on Metal                   there are no GPU kernels; the same inputs are tested on ours
    tinygrad#141, tinygrad PR#147       an engine without axes in reductions: see tests/engine
    gemma_pytorch PR#67                 cast to bfloat16 before or after γ: tested with float16 (transformers#30236)
    pytorch#58843, #4348                wording of an error; which inputs raise is tested (pytorch#45687)
    onnx#8422                           wording of a specification; that C is divisible by G is tested
    pytorch#186779, #176234, #176218    the repairs of pytorch#175754

Many of these are tested for every registered norm, on each of its samples: a norm that is added is tested too.
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import tinygrad_norm as tn
from tests import oracles
from tests.conftest import everything_is_large
from tests.norms.known_bugs import (
    AFFINE,
    LEAST,
    WAYS,
    F,
    batch,
    both_ways,
    by_definition,
    every_affine,
    every_case,
    f64,
    layer,
    parameter_shape,
)
from tests.norms.test_family import inputs_of
from tinygrad_norm.norms import get

# Ranks, axes, groups -------------------------------------------------------------------------------------------------------

RANKS = [(5,), (3, 4), (2, 4, 3), (2, 4, 1, 3), (2, 4, 3, 1, 2)]


@both_ways
@every_affine
@pytest.mark.parametrize("shape", RANKS, ids=[f"rank{len(s)}" for s in RANKS])
def test_backward_assumed_2d(name, shape, backward):
    """functorch#534, FlagGems#5392, Liger PR#1376: right for (N, C) and wrong for more axes. Against complex step."""
    if len(shape) < LEAST[name]:
        with pytest.raises(tn.ShapeError, match=name):
            AFFINE[name](tn.tensor(f64(shape)), backward=backward)
        return
    arrays = [f64(shape), *(f64(parameter_shape(name, shape), s) for s in (1, 2))]
    dy = f64(shape, 3)
    leaves = [tn.tensor(a, requires_grad=True) for a in arrays]
    y = AFFINE[name](*leaves, eps=0.1, backward=backward)
    if name == "rms_norm":
        arrays, leaves = arrays[:2], leaves[:2]
    np.testing.assert_allclose(y.data, by_definition(name, *arrays, eps=0.1), atol=1e-13)
    for k, g in enumerate(tn.grad(y, leaves, dy)):
        expected = oracles.gradient(lambda *a: by_definition(name, *a, eps=0.1), arrays, k, dy)
        np.testing.assert_allclose(g.data, expected, atol=1e-12, err_msg=f"input {k}")


@both_ways
def test_group_norm_gamma_index(backward):
    """tt-metal PR#56202: dγ took the statistics of group c mod G and not of c // (C/G). Channels that differ show it."""
    n, c, groups, places = 3, 8, 2, 4
    x = f64((n, c, places)) * np.arange(1, c + 1)[:, None] + 10 * np.arange(c)[:, None] ** 2
    w, dy = f64(c, 1), f64((n, c, places), 2)
    expected = np.zeros(c)
    for i, k in itertools.product(range(n), range(c)):
        mates = [j for j in range(c) if j // (c // groups) == k // (c // groups)]
        mean, var = x[i, mates].mean(), x[i, mates].var()
        expected[k] += np.sum(dy[i, k] * (x[i, k] - mean) / np.sqrt(var + 1e-5))
    weight = tn.tensor(w, requires_grad=True)
    y = F.group_norm(tn.tensor(x), groups, weight, backward=backward)
    np.testing.assert_allclose(tn.grad(y, weight, dy)[0].data, expected, rtol=1e-12)


@both_ways
def test_affine_shape_per_channel(backward):
    """onnx#5466, #5284, PR#5808: opset 18 had γ and β per group; and C must be a multiple of G (onnx#8422)."""
    x = tn.tensor(f64((2, 6, 3)))
    for shape in ((2,), (3,), (1, 6), (6, 1), ()):
        for which in ("weight", "bias"):
            with pytest.raises(tn.ShapeError, match=rf"group_norm: {which} .*must be \(6,\)"):
                F.group_norm(x, 2, **{which: np.ones(shape)}, backward=backward)
    assert F.group_norm(x, 2, f64(6), f64(6, 1), backward=backward).shape == x.shape
    for groups in (4, 5, 12, 0, -1):
        with pytest.raises(tn.ShapeError, match=r"group_norm: .*6 channels"):
            F.group_norm(x, groups, backward=backward)


@both_ways
@every_case
def test_channels_last_views(name, case, backward):
    """pytorch#140913, #115940, #111824, #107199: a view of channels-last memory must give what a copy gives, and so must
    a cotangent that is one."""
    options, inputs = inputs_of(name, case)
    leaves = [t for t in inputs.values() if t.requires_grad]
    y = get(name).apply(inputs, backward=backward, **options)
    dy = f64(y.shape, 4)
    expected = tn.grad(y, leaves, dy)

    def last(a):  # the same array; axis 1 varies fastest in memory
        return np.moveaxis(np.ascontiguousarray(np.moveaxis(a, 1, -1)), -1, 1) if a.ndim > 1 else a

    views = {n: tn.from_numpy(last(t.data), requires_grad=t.requires_grad) for n, t in inputs.items()}
    again = get(name).apply(views, backward=backward, **options)
    np.testing.assert_allclose(again.data, y.data, atol=1e-13 * max(1, np.abs(y.data).max()))
    for e, g in zip(expected, tn.grad(again, [t for t in views.values() if t.requires_grad], last(dy))):
        np.testing.assert_allclose(g.data, e.data, atol=1e-12 * max(1, np.abs(e.data).max()))


@both_ways
@pytest.mark.parametrize("rows", [65535, 65536, 70001])
def test_a_batch_of_65536(rows, backward):
    """apex#411, PR#412: the index of a row overflowed. Every row is as if it were alone."""
    data, dy = f64((rows, 3)), f64((rows, 3), 1)
    x, w, b = (tn.tensor(a, requires_grad=True) for a in (data, f64(3, 2), f64(3, 3)))
    y = layer(x, w, b, backward=backward)
    dx, dw, db = tn.grad(y, [x, w, b], dy)
    few = np.r_[0:2, rows - 2 : rows]
    part = tn.tensor(data[few], requires_grad=True)
    np.testing.assert_allclose(dx.data[few], tn.grad(layer(part, w), part, dy[few])[0].data, atol=1e-12)
    np.testing.assert_allclose(dw.data, (dy * by_definition("layer_norm", data)).sum(0), rtol=1e-10, atol=1e-9)
    np.testing.assert_allclose(db.data, dy.sum(0), rtol=1e-10, atol=1e-9)


# What is asked for, and what must not be touched ------------------------------------------------------------------------------


@both_ways
@every_case
def test_every_subset_of_requires_grad(name, case, backward):
    """pytorch#183825: dγ and dβ were wrong where x required no gradient."""
    options, inputs = inputs_of(name, case)
    flowing = [n for n, t in inputs.items() if t.requires_grad]
    y = get(name).apply(inputs, backward=backward, **options)
    dy = f64(y.shape)
    expected = dict(zip(flowing, tn.grad(y, [inputs[n] for n in flowing], dy)))
    for k in range(1, len(flowing) + 1):
        for wanted in itertools.combinations(flowing, k):
            some = {n: tn.tensor(t.data, requires_grad=n in wanted) for n, t in inputs.items()}
            get(name).apply(some, backward=backward, **options).backward(dy)
            for n, t in some.items():
                if n in wanted:
                    np.testing.assert_allclose(t.grad.data, expected[n].data, atol=1e-13 * max(1, np.abs(expected[n].data).max()))
                else:
                    assert t.grad is None


@both_ways
@every_case
@pytest.mark.parametrize("size", ["small", "large"])
def test_upstream_gradient_is_not_overwritten(name, case, backward, size):
    """unsloth PR#4550: dx was written into the buffer of dy before dγ had read it. Nothing that goes in is changed, and
    going back twice gives the same."""
    options, inputs = inputs_of(name, case)
    dy = f64(inputs_shape(name, inputs, options))
    before = {"dy": dy.copy(), **{n: t.data.copy() for n, t in inputs.items()}}
    leaves = [t for t in inputs.values() if t.requires_grad]

    def back():
        y = get(name).apply(inputs, backward=backward, **options)
        return [[g.data.copy() for g in tn.grad(y, leaves, dy)] for _ in range(2)]

    if size == "large":
        with everything_is_large():
            first, second = back()
    else:
        first, second = back()
    for a, b in zip(first, second):
        np.testing.assert_array_equal(a, b)
    for n, value in before.items():
        np.testing.assert_array_equal(dy if n == "dy" else inputs[n].data, value, err_msg=n)


def inputs_shape(name, inputs, options):
    with tn.no_grad():
        return get(name).apply(inputs, backward="recorded", **options).shape


def test_parameters_get_gradients_without_touching_flags():
    """candle PR#3613, #3011, aprender PR#2196, unsloth#4533, tinytorch PR#1504: γ was made without requires_grad, or the
    fused norm cut the record, and the tests had set the flags by hand. As built, every parameter learns."""
    nn = tn.nn
    shape, modules = (4, 6, 3, 3), []
    for way in WAYS:
        modules += [nn.LayerNorm((6, 3, 3), backward=way), nn.RMSNorm((3, 3), backward=way)]
        modules += [nn.BatchNorm2d(6, backward=way), nn.GroupNorm(2, 6, backward=way)]
        modules += [nn.InstanceNorm2d(6, affine=True, backward=way)]
    for module in modules:
        x = tn.tensor(f64(shape).astype("float32"))  # no gradient is asked of x
        module(x).backward(f64(shape, 1).astype("float32"))
        learned = dict(module.named_parameters())
        assert set(learned) >= {"weight"}, module
        for key, p in learned.items():
            assert p.grad is not None, f"{module}.{key}"
            assert np.abs(p.grad.data).max() > 1e-3, f"{module}.{key}"


@both_ways
@every_affine
def test_gamma_forgotten(name, backward):
    """llm.c PR#763: RMSNorm's dx left γ out, which γ = 1 hides. dx is linear in γ."""
    x, w = tn.tensor(f64((3, 4, 5)), requires_grad=True), f64(parameter_shape(name, (3, 4, 5)), 1)
    dy = f64((3, 4, 5), 2)
    once, twice, one = (
        tn.grad(AFFINE[name](x, tn.tensor(v), backward=backward), x, dy)[0].data for v in (w, 2 * w, np.ones(w.shape))
    )
    np.testing.assert_allclose(twice, 2 * once, rtol=1e-12)
    assert np.abs(once - one).max() > 0.1


@both_ways
@every_affine
def test_gamma_as_one_plus_w(name, backward):
    """TransformerEngine PR#67: Gemma keeps w and multiplies by 1 + w; the backward must multiply by 1 + w, too."""
    shape = parameter_shape(name, (3, 4, 5))
    x, w, dy = tn.tensor(f64((3, 4, 5)), requires_grad=True), tn.tensor(f64(shape, 1), requires_grad=True), f64((3, 4, 5), 2)
    dx, dw = tn.grad(AFFINE[name](x, 1 + w, backward=backward), [x, w], dy)
    shifted = tn.tensor(1 + w.data, requires_grad=True)
    expected = tn.grad(AFFINE[name](x, shifted, backward=backward), [x, shifted], dy)
    for g, e in zip((dx, dw), expected):
        np.testing.assert_array_equal(g.data, e.data)


@both_ways
@every_affine
def test_gamma_zero(name, backward):
    """apex PR#1715: x̂ taken back from y as (y − β)/γ is 0/0 where γ is 0. dγ is not 0 there."""
    shape = (3, 4, 5)
    w = f64(parameter_shape(name, shape), 1)
    w[::2] = 0
    arrays, dy = [f64(shape), w], f64(shape, 2)
    leaves = [tn.tensor(a, requires_grad=True) for a in arrays]
    y = AFFINE[name](*leaves, backward=backward)
    for k, g in enumerate(tn.grad(y, leaves, dy)):
        expected = oracles.gradient(lambda x, w: by_definition(name, x, w), arrays, k, dy)
        np.testing.assert_allclose(g.data, expected, atol=1e-12)
    assert np.abs(tn.grad(y, leaves[1], dy)[0].data[::2]).min() > 1e-3


# Running statistics -------------------------------------------------------------------------------------------------------------


def test_running_var_both_conventions():
    """pytorch#1410, #7028, #77427, #106366, #60528, #1381, tinygrad PR#807, tt-metal#55438, ARENA#415: PyTorch stores the
    unbiased variance and counts the new value's weight; Keras, Flax and ONNX the biased one, and the old value's."""
    x = np.array([[1.0], [2.0], [3.0], [6.0]])  # mean 3, biased variance 3.5, unbiased 14/3
    for correction, momentum_of, mean, var in (
        (1, "new", 0.25 * 3, 0.75 + 0.25 * 14 / 3),
        (0, "new", 0.25 * 3, 0.75 + 0.25 * 3.5),
        (1, "old", 0.75 * 3, 0.25 + 0.75 * 14 / 3),
        (0, "old", 0.75 * 3, 0.25 + 0.75 * 3.5),
    ):
        m, v = np.zeros(1), np.ones(1)
        how = {"momentum_of": momentum_of, "running_correction": correction}
        y = F.batch_norm(tn.tensor(x), m, v, training=True, momentum=0.25, eps=0.0, **how)
        np.testing.assert_allclose([m[0], v[0]], [mean, var], rtol=1e-14)
        np.testing.assert_allclose(y.data, (x - 3) / 3.5**0.5)  # normalized by the biased one, always


@both_ways
def test_running_var_is_not_used_while_training(backward):
    x, m, v = tn.tensor(f64((6, 3))), f64(3, 1), np.abs(f64(3, 2)) + 0.5
    y = F.batch_norm(x, m.copy(), v.copy(), training=True, backward=backward)
    np.testing.assert_array_equal(y.data, batch(x, backward=backward).data)


@both_ways
@pytest.mark.parametrize("kind", ["arrays", "tensors"])
def test_eval_statistics_are_those_of_the_forward(kind, backward):
    """pytorch#13402: the backward of an evaluation read running statistics that a training step had changed meanwhile."""
    x, w = tn.tensor(f64((6, 3)), requires_grad=True), tn.tensor(f64(3, 1), requires_grad=True)
    dy, old = f64((6, 3), 2), np.abs(f64(3, 3)) + 0.5
    m, v = (a if kind == "arrays" else tn.tensor(a) for a in (np.zeros(3), old.copy()))
    y = F.batch_norm(x, m, v, w, training=False, backward=backward)
    F.batch_norm(tn.tensor(f64((8, 3), 4) * 9), m, v, training=True, momentum=0.9)
    now = v if kind == "arrays" else v.data
    assert np.abs(now - old).min() > 1
    dx, dw = tn.grad(y, [x, w], dy)
    np.testing.assert_allclose(dx.data, dy * w.data / np.sqrt(old + 1e-5), rtol=1e-13)
    np.testing.assert_allclose(dw.data, (dy * x.data / np.sqrt(old + 1e-5)).sum(0), rtol=1e-13)


@both_ways
@pytest.mark.parametrize("name", ["batch_norm", "instance_norm"])
def test_eval_backward_is_not_the_training_formula(name, backward):
    """pytorch/xla#913, pytorch#586, PR#2278. By running statistics y is linear in x: dx is γ·dy/√(v + ε), entry by entry,
    and has no slope in x."""
    x, w = tn.tensor(f64((4, 3, 5)), requires_grad=True), tn.tensor(f64(3, 1), requires_grad=True)
    m, v = f64(3, 2), np.abs(f64(3, 3)) + 0.5
    dy = tn.tensor(f64((4, 3, 5), 4), requires_grad=True)
    off = {"training": False} if name == "batch_norm" else {"use_input_stats": False}
    y = getattr(F, name)(x, m, v, w, None, **off, backward=backward)
    (dx,) = tn.grad(y, x, dy, create_graph=True)
    slope = (w.data / np.sqrt(v + 1e-5))[:, None]
    np.testing.assert_allclose(dx.data, dy.data * slope, rtol=1e-12)
    direction = f64((4, 3, 5), 5)
    xx, xw, xdy = tn.grad(dx, [x, w, dy], direction, allow_unused=True)
    assert xx is None or not xx.data.any()
    np.testing.assert_allclose(xw.data, (direction * dy.data / np.sqrt(v + 1e-5)[:, None]).sum((0, 2)), rtol=1e-12)
    np.testing.assert_allclose(xdy.data, direction * slope, rtol=1e-12)
