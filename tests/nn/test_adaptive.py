"""AdaLayerNorm, AdaLayerNormZero and AdaIN: what they compute, what they start as, and who learns first."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_norm as tn

F, nn = tn.functional, tn.nn
both_ways = pytest.mark.parametrize("backward", ["recorded", "analytic"])


def filled(module, seed=0):
    rng = np.random.default_rng(seed)
    module.load_state_dict({n: rng.normal(size=a.shape) for n, a in module.state_dict().items()})
    return module


def setting(cond_shape, shape=(2, 3, 4), seed=1):
    rng = np.random.default_rng(seed)
    x, c = (tn.tensor(rng.normal(size=s), requires_grad=True) for s in (shape, cond_shape))
    return rng, x, c


def expected(module, x, cond, parts):
    """In NumPy: x̂·(1 + scale) + shift and the gate, from silu(cond)·Wᵀ + b."""
    found = (cond / (1 + np.exp(-cond))) @ module.weight.data.T + module.bias.data
    while found.ndim < x.ndim:
        found = found[..., None, :]
    shift, scale, *gate = np.split(found, parts, axis=-1)
    c = x - x.mean(-1, keepdims=True)
    return c / np.sqrt((c * c).mean(-1, keepdims=True) + 1e-6) * (1 + scale) + shift, *gate


@both_ways
@pytest.mark.parametrize("cond_shape", [(2, 5), (2, 3, 5), (1, 5), (2, 1, 5)])
def test_values(cond_shape, backward):
    _, x, c = setting(cond_shape)
    plain = filled(nn.AdaLayerNorm(4, 5, dtype=np.float64, backward=backward))
    np.testing.assert_allclose(plain(x, c).data, expected(plain, x.data, c.data, 2)[0], atol=1e-12)
    zero = filled(nn.AdaLayerNormZero(4, 5, dtype=np.float64, backward=backward))
    for ours, theirs in zip(zero(x, c), expected(zero, x.data, c.data, 3)):
        np.testing.assert_allclose(ours.data, theirs, atol=1e-12)


@both_ways
def test_a_condition_per_sequence_is_not_one_per_token(backward):
    """As many sequences as tokens: (B, cond_dim) must go to the sequences."""
    _, x, c = setting((3, 5), (3, 3, 4))
    layer = filled(nn.AdaLayerNorm(4, 5, dtype=np.float64, backward=backward))
    for i in range(3):
        np.testing.assert_allclose(layer(x, c).data[i], layer(x[i], c[i].broadcast_to(3, 5)).data, atol=1e-12)


@both_ways
def test_gradients_against_differences(backward):
    _, x, c = setting((2, 5))
    layer = filled(nn.AdaLayerNormZero(4, 5, eps=0.1, dtype=np.float64, backward=backward))

    def f(x, c, weight, bias):
        layer.weight, layer.bias = weight, bias
        y, gate = layer(x, c)
        return y * gate.tanh()

    tn.check_grads(f, (x.data, c.data, layer.weight.data, layer.bias.data), order=2)


def test_the_block_starts_as_the_identity_and_the_gate_learns_first():
    rng, x, c = setting((2, 5))
    norm = nn.AdaLayerNormZero(4, 5, dtype=np.float64)
    v = tn.tensor(rng.normal(size=(4, 4)), requires_grad=True)
    h, gate = norm(x, c)
    np.testing.assert_allclose(h.data, F.layer_norm(x, 4, eps=1e-6).data, atol=1e-14)
    y = x + gate * (h @ v)
    np.testing.assert_array_equal(y.data, x.data)
    dy = rng.normal(size=x.shape)
    dx, dc, dv, dw, db = tn.grad(y, [x, c, v, norm.weight, norm.bias], dy)
    np.testing.assert_array_equal(dx.data, dy)
    for nothing in (dc.data, dv.data, dw.data[:8], db.data[:8]):
        np.testing.assert_array_equal(nothing, 0)
    assert np.abs(dw.data[8:]).min() > 0
    np.testing.assert_allclose(db.data[8:], (dy * (h.data @ v.data)).sum((0, 1)))


def test_ada_layer_norm_starts_as_layer_norm():
    _, x, c = setting((2, 5))
    layer = nn.AdaLayerNorm(4, 5, dtype=np.float64)
    y = layer(x, c)
    np.testing.assert_allclose(y.data, F.layer_norm(x, 4, eps=1e-6).data, atol=1e-14)
    y.backward(np.random.default_rng(2).normal(size=y.shape))
    assert {n: p.grad.shape for n, p in layer.named_parameters()} == {"weight": (8, 5), "bias": (8,)}
    assert all(np.abs(p.grad.data).min() > 0 for p in layer.parameters())
    assert all(p.dtype == np.float32 for p in nn.AdaLayerNorm(4, 5).parameters())


def test_against_torch():
    torch = pytest.importorskip("torch", reason="torch is not installed; parity with PyTorch is not checked")
    rng, x, c = setting((2, 5))
    layer = filled(nn.AdaLayerNormZero(4, 5, dtype=np.float64, backward="analytic"))
    theirs = [torch.tensor(np.array(t.data), requires_grad=True) for t in (x, c, layer.weight, layer.bias)]
    a, b, w, k = theirs
    linear = torch.nn.functional.linear(torch.nn.functional.silu(b), w, k)
    shift, scale, gate = linear[:, None].chunk(3, dim=-1)
    expected = torch.nn.functional.layer_norm(a, (4,), eps=1e-6) * (1 + scale) + shift
    dh, dg = rng.normal(size=(2, 3, 4)), rng.normal(size=(2, 1, 4))
    want = torch.autograd.grad([expected, gate], theirs, [torch.tensor(dh), torch.tensor(dg)])
    h, mine = layer(x, c)
    np.testing.assert_allclose(h.data, expected.detach().numpy(), atol=1e-12)
    for g, e in zip(tn.grad([h, mine], [x, c, layer.weight, layer.bias], [dh, dg]), want):
        np.testing.assert_allclose(g.data, e.numpy(), atol=1e-11)


def test_misuse_is_named():
    _, x, c = setting((2, 5))
    layer = nn.AdaLayerNorm(4, 5, dtype=np.float64)
    with pytest.raises(tn.ShapeError, match=r"AdaLayerNorm: input \(2, 3, 4\).*cond \(2, 4\).*cond_dim=5"):
        layer(x, np.ones((2, 4)))
    with pytest.raises(tn.ShapeError, match=r"input \(2, 3, 5\).*dim=4"):
        layer(np.ones((2, 3, 5)), c)
    with pytest.raises(tn.ShapeError, match=r"cond \(3, 5\).*leading axes.*\(B, cond_dim\)"):
        layer(x, np.ones((3, 5)))
    with pytest.raises(tn.ShapeError, match="leading axes"):
        layer(x[0], np.ones((3, 1, 5)))


@both_ways
def test_adain(backward):
    rng, x, s = setting((2, 3, 6))
    layer = nn.AdaIN(0.2, backward)
    np.testing.assert_allclose(layer(x, s).data, F.adaptive_instance_norm(x, s, 0.2).data, atol=1e-14)
    assert list(layer.state_dict()) == []
    y = layer(x, s)
    y.backward(rng.normal(size=y.shape))
    assert x.grad.shape == x.shape
    assert s.grad.shape == s.shape
