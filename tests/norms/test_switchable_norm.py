"""SwitchableNorm: its definition in plain NumPy, its three corners, and its running statistics."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_norm as tn

from .. import oracles

F, nn = tn.functional, tn.nn
both_ways = pytest.mark.parametrize("backward", ["recorded", "analytic"])


def definition(x, a, b, w, beta, eps, running=None):
    places = tuple(range(2, x.ndim))
    spread = (1, -1, *(1,) * (x.ndim - 2))

    def moments(axis):
        mu = x.mean(axis, keepdims=True)
        return mu, ((x - mu) ** 2).mean(axis, keepdims=True)

    found = [
        moments(places),
        moments((1, *places)),
        moments((0, *places)) if running is None else [r.reshape(spread) for r in running],
    ]
    p, q = (np.exp(s) / np.exp(s).sum() for s in (a, b))
    mu, var = (sum(share[k] * pair[i] for k, pair in enumerate(found)) for i, share in enumerate((p, q)))
    return w.reshape(spread) * (x - mu) / np.sqrt(var + eps) + beta.reshape(spread)


@both_ways
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("shape", [(3, 2, 4), (2, 3, 2, 3)])
def test_against_complex_step(shape, training, backward):
    rng = np.random.default_rng(0)
    c = shape[1]
    arrays = [rng.normal(1, 2, shape), *rng.normal(size=(2, 3)), *rng.normal(size=(2, c))]
    arrays += [] if training else [rng.normal(size=c), rng.uniform(0.5, 2, c)]
    leaves = [tn.tensor(a, requires_grad=True) for a in arrays]
    y = F.switchable_norm(*leaves, training=training, eps=0.1, backward=backward)

    def reference(x, a, b, w, beta, *running):
        return definition(x, a, b, w, beta, 0.1, running or None)

    np.testing.assert_allclose(y.data, reference(*arrays), rtol=1e-12, atol=1e-13)
    dy = rng.normal(size=shape)
    for i, g in enumerate(tn.grad(y, leaves, dy)):
        np.testing.assert_allclose(g.data, oracles.gradient(reference, arrays, i, dy), atol=1e-12, err_msg=str(i))


def test_its_corners_are_instance_layer_and_batch_norm():
    x = np.random.default_rng(1).normal(size=(3, 4, 5))
    corners = [F.instance_norm(x), F.layer_norm(x, (4, 5)), F.batch_norm(x, training=True)]
    for k, expected in enumerate(corners):
        share = np.where(np.arange(3) == k, 60.0, 0.0)
        np.testing.assert_allclose(F.switchable_norm(x, share, share).data, expected.data, atol=1e-12)


def test_the_module_keeps_running_statistics_and_uses_them():
    rng = np.random.default_rng(2)
    layer = nn.SwitchableNorm(3, momentum=0.25, dtype="float64")
    names = ["mean_weight", "var_weight", "weight", "bias", "running_mean", "running_var"]
    assert list(layer.state_dict()) == names
    x = rng.normal(2, 3, (4, 3, 5))
    layer(x)
    np.testing.assert_allclose(layer.running_mean.data, 0.25 * x.mean((0, 2)))
    np.testing.assert_allclose(layer.running_var.data, 0.75 + 0.25 * x.var((0, 2)))
    y = layer.eval()(x[:1])
    ones, zeros = np.ones(3), np.zeros(3)
    running = layer.running_mean.data, layer.running_var.data
    np.testing.assert_allclose(y.data, definition(x[:1], ones, ones, ones, zeros, 1e-5, running), rtol=1e-12)


def test_misuse_is_named():
    x, three = np.ones((2, 3, 4)), np.ones(3)
    with pytest.raises(tn.ShapeError, match=r"var_weight .*\(2,\).*of shape \(3,\)"):
        F.switchable_norm(x, three, np.ones(2))
    with pytest.raises(tn.OptionError, match="training=False needs running_mean"):
        F.switchable_norm(x, three, three, training=False)
    with pytest.raises(tn.ShapeError, match="go together"):
        F.switchable_norm(x, three, three, running_mean=three)
