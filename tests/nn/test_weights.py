"""Layers with derived weights: on the record, as PyTorch's parametrizations, with their state."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_norm as tn
from tinygrad_norm import functional as F
from tinygrad_norm import nn

both_ways = pytest.mark.parametrize("backward", ["recorded", "analytic"])
WRAPS = {"weight": nn.WeightNorm, "standard": nn.WeightStandardization, "spectral": nn.SpectralNorm}
every_wrap = pytest.mark.parametrize("wrap", WRAPS.values(), ids=WRAPS)
LAYERS = {
    "linear": (lambda dtype=np.float64: nn.Linear(5, 4, dtype=dtype, seed=1), (3, 5)),
    "conv": (lambda dtype=np.float64: nn.Conv2d(4, 6, 3, padding=1, groups=2, dtype=dtype, seed=1), (2, 4, 5, 5)),
}
every_layer = pytest.mark.parametrize(("make", "shape"), LAYERS.values(), ids=LAYERS)


def theirs(torch, kind):
    return torch.nn.Linear(5, 4) if kind == "linear" else torch.nn.Conv2d(4, 6, 3, padding=1, groups=2)


@every_wrap
@every_layer
@both_ways
def test_it_computes_with_the_derived_weight_and_everything_learns(wrap, make, shape, backward):
    layer = make()
    raw = np.array(layer.weight.data)
    module = wrap(layer, backward=backward).eval()
    rng = np.random.default_rng(0)
    for p in module.parameters():
        p.data = rng.normal(0.5, 1.0, p.shape)
    x = tn.tensor(rng.normal(size=shape), requires_grad=True)
    y = module(x)
    assert np.abs(module.weight.data - layer.weight.data).max() > 0.01
    plain = make()
    del plain.weight  # a parameter is a leaf; what is computed may stand in its place
    plain.weight, plain.bias = module.weight, layer.bias
    dy = rng.normal(size=y.shape)
    np.testing.assert_array_equal(y.data, plain(x).data)
    y.backward(dy)
    expected = tn.grad(plain(x), list(module.parameters()), dy)
    assert len(expected) == (2 if wrap is nn.SpectralNorm else 3)
    for p, e in zip(module.parameters(), expected):
        assert np.abs(e.data).max() > 0
        np.testing.assert_allclose(p.grad.data, e.data, atol=1e-13)
    assert raw.shape == module.weight.shape


@every_layer
def test_weight_norm_changes_nothing_at_first(make, shape):
    x = np.random.default_rng(0).normal(size=shape)
    for dim in (0, 1, -1, None):
        np.testing.assert_allclose(nn.WeightNorm(make(), dim)(x).data, make()(x).data, rtol=1e-12, atol=1e-14)


@every_layer
def test_weight_standardization_of_the_layer(make, shape):
    layer = make()
    expected = F.weight_standardization(layer.weight, None, 0.1, "scaled").data
    module = nn.WeightStandardization(layer, 0.1, "scaled")
    assert list(module.state_dict()) == ["bias", "weight", "gain"]
    assert module.gain.shape == (layer.weight.shape[0], *(1,) * (layer.weight.ndim - 1))
    module.gain.data = module.gain.data * 3
    np.testing.assert_allclose(module.weight.data, 3 * expected)
    assert list(nn.WeightStandardization(make(), gain=False).state_dict()) == ["bias", "weight"]


@pytest.mark.parametrize("dim", [0, 1, None])
@pytest.mark.parametrize("kind", LAYERS)
def test_weight_norm_against_pytorch(kind, dim):
    torch = pytest.importorskip("torch")
    make, shape = LAYERS[kind]
    other = torch.nn.utils.parametrizations.weight_norm(theirs(torch, kind).double(), dim=dim)
    mine = nn.WeightNorm(make(), dim)
    rng = np.random.default_rng(0)
    state = {k: rng.normal(size=t.shape) for k, t in other.state_dict().items()}
    assert list(mine.state_dict()) == list(state)
    mine.load_state_dict(state)
    other.load_state_dict({k: torch.tensor(a) for k, a in state.items()})
    x = rng.normal(size=shape)
    y, t = mine(x), other(torch.tensor(x))
    np.testing.assert_allclose(y.data, t.detach().numpy(), atol=1e-12)
    dy = rng.normal(size=y.shape)
    y.backward(dy)
    t.backward(torch.tensor(dy))
    found = {k: p.grad.data for k, p in mine.named_parameters()}
    assert set(found) == {k for k, _ in other.named_parameters()}
    for k, p in other.named_parameters():
        np.testing.assert_allclose(found[k], p.grad.numpy(), atol=1e-12, err_msg=k)


@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize("kind", LAYERS)
def test_spectral_norm_against_pytorch_while_training(kind, steps):
    """Weights, buffers and gradients over three steps, then in eval, where the buffers stay."""
    torch = pytest.importorskip("torch")
    make, shape = LAYERS[kind]
    other = torch.nn.utils.parametrizations.spectral_norm(theirs(torch, kind).double(), n_power_iterations=steps)
    mine = nn.SpectralNorm(make(), steps)
    assert list(mine.state_dict()) == list(other.state_dict())
    mine.load_state_dict({k: t.numpy() for k, t in other.state_dict().items()})
    rng = np.random.default_rng(0)
    for step in range(4):
        if step == 3:
            mine.eval()
            other.eval()
        x = rng.normal(size=shape)
        y, t = mine(x), other(torch.tensor(x))
        np.testing.assert_allclose(y.data, t.detach().numpy(), atol=1e-12)
        dy = rng.normal(size=y.shape)
        y.backward(dy)
        t.backward(torch.tensor(dy))
        found = dict(mine.named_parameters())
        for k, p in other.named_parameters():
            np.testing.assert_allclose(found[k].grad.data, p.grad.numpy(), atol=1e-12, err_msg=k)
            found[k].data = found[k].data - 0.3 * found[k].grad.data
            p.data -= 0.3 * p.grad
            p.grad = None
        mine.zero_grad()
        for k, b in other.state_dict().items():
            np.testing.assert_allclose(mine.state_dict()[k], b.numpy(), atol=1e-12, err_msg=k)


@every_layer
def test_spectral_norm_iterates_in_training_only(make, shape):
    module = nn.SpectralNorm(make(), seed=0)
    assert [n for n, _ in module.named_buffers()] == ["parametrizations.weight.0._u", "parametrizations.weight.0._v"]
    before = module.state_dict()
    rng = np.random.default_rng(1)
    module.layer.weight.data = rng.normal(size=module.layer.weight.shape)
    x = rng.normal(size=shape)
    module.eval()(x)
    assert module.weight.shape == module.layer.weight.shape
    for b, n in ((module.u, "_u"), (module.v, "_v")):
        np.testing.assert_array_equal(b.data, before[f"parametrizations.weight.0.{n}"])
    module.train()
    for _ in range(300):
        module(x)
    assert np.linalg.norm(module.weight.data.reshape(len(module.u), -1), 2) == pytest.approx(1, rel=1e-12)


def test_a_record_keeps_the_u_and_v_it_was_made_with():
    module = nn.SpectralNorm(nn.Linear(5, 4, dtype=np.float64, seed=1), seed=0)
    module.layer.weight.data = np.random.default_rng(1).normal(size=(4, 5))
    rng = np.random.default_rng(2)
    x, dy = rng.normal(size=(3, 5)), rng.normal(size=(3, 4))
    y = module(x)
    expected = tn.grad(y, module.layer.weight, dy)[0].data
    first = module(x)
    between = np.array(module.u.data)
    module(x)
    assert np.abs(between - module.u.data).max() > 1e-4
    np.testing.assert_array_equal(tn.grad(y, module.layer.weight, dy)[0].data, expected)
    assert np.abs(tn.grad(first, module.layer.weight, dy)[0].data - expected).max() > 1e-4


@every_wrap
def test_state_goes_round(wrap):
    module, other = (wrap(nn.Linear(5, 4, seed=s)) for s in (1, 2))
    rng = np.random.default_rng(0)
    for p in module.parameters():
        p.data = rng.normal(size=p.shape).astype(p.dtype)
    other.load_state_dict(module.state_dict())
    x = rng.normal(size=(3, 5)).astype("float32")
    np.testing.assert_array_equal(module.eval()(x).data, other.eval()(x).data)
    assert module(x).dtype == np.float32


@every_wrap
def test_without_bias_in_a_network_and_in_half(wrap):
    class Net(nn.Module):
        def __init__(self):
            self.first = wrap(nn.Linear(5, 4, bias=False, dtype=np.float16, seed=0))
            self.second = nn.Linear(4, 2, dtype=np.float16)

        def forward(self, x):
            return self.second(self.first(x))

    net = Net()
    keys = list(net.state_dict())
    assert all(k.startswith(("first.", "second.")) for k in keys)
    assert "first.bias" not in keys
    y = net(np.ones((3, 5), "float16"))
    assert y.dtype == np.float16
    y.backward(np.ones(y.shape, "float16"))
    assert all(p.grad.dtype == np.float16 for p in net.parameters())
    net.eval()
    assert not net.first.training
    assert not net.first.layer.training
    assert "Linear(" in repr(net.first)


def test_misuse_is_named():
    for wrap in WRAPS.values():
        with pytest.raises(tn.DTypeError, match=rf"{wrap.__name__}: LayerNorm is no layer.*forward_with"):
            wrap(nn.LayerNorm(3))
        with pytest.raises(tn.DTypeError, match="forward_with"):
            wrap(wrap(nn.Linear(3, 3)))
    with pytest.raises(ValueError, match="n_power_iterations=0"):
        nn.SpectralNorm(nn.Linear(3, 3), 0)
    with pytest.raises(ValueError, match="scaled_max"):
        nn.WeightStandardization(nn.Linear(3, 3), eps_mode="none")
    with pytest.raises(tn.ShapeError, match="axis 4 does not exist"):
        nn.WeightNorm(nn.Linear(3, 3), dim=4)
    with pytest.raises(KeyError, match="original0"):
        nn.WeightNorm(nn.Linear(3, 3)).load_state_dict({"weight": np.ones((3, 3)), "bias": np.ones(3)})
