"""Linear, Conv2d, and the BatchNorm after them folded into their weights."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_norm as tn

from ..oracles import gradient

nn = tn.nn
CONVOLUTIONS = [
    {},
    {"bias": False},
    {"stride": 2, "padding": 1},
    {"padding": "same", "dilation": 2},
    {"groups": 2},
    {"kernel_size": (1, 3), "padding": (0, 2), "groups": 4},
]


def conv(seed=1, dtype=np.float64, **options):
    return nn.Conv2d(4, 8, **{"kernel_size": 3, "dtype": dtype, "seed": seed} | options)


def trained(bn, rng):
    """In inference, with statistics and parameters like no other channel's."""
    for name in ("running_mean", "running_var", "weight", "bias"):
        p = getattr(bn, name)
        if p is not None:
            p.data = (rng.uniform(0.2, 3, p.shape) if name == "running_var" else rng.normal(0, 2, p.shape)).astype(p.dtype)
    return bn.eval()


# The layers -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(5, 3), (3,), (2, 5, 3)])
def test_linear(bias, shape, rng):
    layer = nn.Linear(3, 4, bias, np.float64, seed=0)
    assert list(layer.state_dict()) == ["weight", "bias"][: 1 + bias]
    x = tn.tensor(rng.normal(size=shape), requires_grad=True)
    inputs = [x, *layer.parameters()]
    values = [t.data for t in inputs]
    dy = rng.normal(size=(*shape[:-1], 4))

    def f(x, w, b=0.0):
        return x @ w.T + b

    y = layer(x)
    np.testing.assert_allclose(y.data, f(*values), atol=1e-14)
    for k, g in enumerate(tn.grad(y, inputs, dy)):
        np.testing.assert_allclose(g.data, gradient(f, values, k, dy), atol=1e-13)


@pytest.mark.parametrize("options", CONVOLUTIONS)
def test_conv2d_is_the_function(options, rng):
    layer = conv(**options)
    x = tn.tensor(rng.normal(size=(2, 4, 6, 7)))
    more = {k: v for k, v in options.items() if k not in ("bias", "kernel_size")}
    np.testing.assert_array_equal(layer(x).data, tn.functional.conv2d(x, layer.weight, layer.bias, **more).data)
    layer(x).sum().backward()
    assert all(p.grad is not None for p in layer.parameters())


@pytest.mark.parametrize(
    ("make", "fan_in"),
    [
        (lambda seed: nn.Linear(25, 400, seed=seed), 25),
        (lambda seed: nn.Conv2d(8, 300, (2, 3), groups=2, seed=seed), 24),
    ],
)
def test_initial_values(make, fan_in):
    """Uniform between ∓1/√fan_in, weights and biases; the same seed gives the same, no seed gives others each time."""
    layer = make(7)
    for p in layer.parameters():
        assert p.dtype == np.float32
        bound = 1 / np.sqrt(fan_in)
        assert 0.95 * bound < np.abs(p.data).max() <= bound * (1 + 1e-6)
        np.testing.assert_allclose(p.data.std(), bound / np.sqrt(3), rtol=0.1)
    again, other, fresh = make(7), make(8), make(None)
    np.testing.assert_array_equal(again.weight.data, layer.weight.data)
    assert not np.array_equal(other.weight.data, layer.weight.data)
    assert not np.array_equal(fresh.weight.data, make(None).weight.data)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: nn.Linear(3, 4)(np.ones((2, 5))), r"Linear: input \(2, 5\).*in_features=3"),
        (lambda: nn.Linear(3, 4)(tn.tensor(1.0)), "in_features=3"),
        (lambda: nn.Conv2d(4, 6, 3, groups=4), "groups=4 must divide in_channels=4 and out_channels=6"),
        (lambda: nn.Conv2d(4, 6, 3, groups=0), "groups=0"),
        (lambda: nn.Conv2d(4, 6, (3, 3, 3)), r"kernel_size=\(3, 3, 3\)"),
        (lambda: nn.Conv2d(4, 6, 0), "kernel_size=0"),
        (lambda: nn.Conv2d(4, 6, 3)(np.ones((2, 3, 5, 5))), "conv2d: weight.*takes 4 input channels"),
    ],
)
def test_layers_that_do_not_fit(call, words):
    with pytest.raises(tn.ShapeError, match=words):
        call()


def test_integers_are_refused():
    with pytest.raises(tn.DTypeError, match=r"Linear: input.*Cast first"):
        nn.Linear(3, 4)(np.ones((2, 3), int))


# Folding ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", [{}, {"affine": False}, {"bias": False}, {"eps": 0.3}])
@pytest.mark.parametrize("bias", [True, False])
def test_into_a_linear(bias, how, rng):
    layer, bn = nn.Linear(3, 5, bias, np.float64, seed=2), trained(nn.BatchNorm1d(5, dtype=np.float64, **how), rng)
    folded = nn.fold_batch_norm(layer, bn)
    x, dy = tn.tensor(rng.normal(size=(6, 3)), requires_grad=True), rng.normal(size=(6, 5))
    y, expected = folded(x), bn(layer(x))
    assert type(folded) is nn.Linear
    np.testing.assert_allclose(y.data, expected.data, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(tn.grad(y, x, dy)[0].data, tn.grad(expected, x, dy)[0].data, rtol=1e-12, atol=1e-13)
    assert np.abs(expected.data - layer(x).data).max() > 0.1


@pytest.mark.parametrize("options", CONVOLUTIONS)
def test_into_a_convolution(options, rng):
    layer, bn = conv(**options), trained(nn.BatchNorm2d(8, dtype=np.float64), rng)
    folded = nn.fold_batch_norm(layer, bn)
    x = tn.tensor(rng.normal(size=(2, 4, 6, 7)))
    assert type(folded) is nn.Conv2d
    np.testing.assert_allclose(folded(x).data, bn(layer(x)).data, rtol=1e-12, atol=1e-13)


def test_the_two_given_stay_as_they_are(rng):
    layer, bn = nn.Linear(3, 5, seed=2), trained(nn.BatchNorm1d(5), rng)
    before = [*layer.state_dict().values(), *bn.state_dict().values()]
    folded = nn.fold_batch_norm(layer, bn)
    assert [(p.dtype.name, p.requires_grad) for p in folded.parameters()] == [("float32", True)] * 2
    folded.load_state_dict({"weight": np.zeros((5, 3)), "bias": np.zeros(5)})
    for a, e in zip([*layer.state_dict().values(), *bn.state_dict().values()], before):
        np.testing.assert_array_equal(a, e)
    assert layer.bias is not folded.bias


def test_the_new_numbers_are_computed_in_float64(rng):
    """A mean close to the bias, and a small variance: b − m in float32 is right, s·(b − m) + β rounded once only."""
    layer, bn = nn.Linear(3, 5, seed=2), trained(nn.BatchNorm1d(5), rng)
    folded = nn.fold_batch_norm(layer, bn)
    w, b, g, beta, m, v = (
        p.data.astype("float64") for p in (layer.weight, layer.bias, bn.weight, bn.bias, bn.running_mean, bn.running_var)
    )
    s = g / np.sqrt(v + 1e-5)
    np.testing.assert_array_equal(folded.weight.data, (w * s[:, None]).astype("float32"))
    np.testing.assert_array_equal(folded.bias.data, ((b - m) * s + beta).astype("float32"))


def test_misuse_is_named():
    linear, convolution = nn.Linear(3, 5), nn.Conv2d(3, 5, 1)
    wrong = [
        (linear, nn.BatchNorm1d(5), "Linear and BatchNorm1d: the BatchNorm is in training.*bn.eval"),
        (linear, nn.BatchNorm1d(5, track_running_stats=False).eval(), "no running statistics.*track_running_stats=True"),
        (linear, nn.BatchNorm2d(5).eval(), "Linear and BatchNorm2d: it folds a BatchNorm1d into the Linear"),
        (convolution, nn.BatchNorm1d(5).eval(), "Conv2d and BatchNorm1d"),
        (linear, nn.InstanceNorm1d(5, track_running_stats=True).eval(), "Linear and InstanceNorm1d"),
        (nn.LayerNorm(5), nn.BatchNorm1d(5).eval(), "LayerNorm and BatchNorm1d"),
        (nn.BatchNorm1d(5).eval(), linear, "BatchNorm1d and Linear"),
    ]
    for layer, bn, words in wrong:
        with pytest.raises(nn.FoldingError, match="fold_batch_norm: .*" + words):
            nn.fold_batch_norm(layer, bn)
    for layer, bn in ((linear, nn.BatchNorm1d(3)), (convolution, nn.BatchNorm2d(3))):
        with pytest.raises(tn.ShapeError, match=r"W \(5, 3.*gives 5 channels, the BatchNorm was made for 3"):
            nn.fold_batch_norm(layer, bn.eval())
