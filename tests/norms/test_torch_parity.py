"""LayerNorm against PyTorch's: values, and gradients of orders 1 and 2. (From order 3 on PyTorch's own is wrong.)"""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_norm as tn

torch = pytest.importorskip("torch", reason="torch is not installed; parity with PyTorch is not checked")

CASES = [
    ((4, 8), (8,)),
    ((8,), (8,)),
    ((1, 5), (5,)),
    ((3, 1), (1,)),
    ((2, 3, 4), (4,)),
    ((2, 3, 4), (3, 4)),
    ((2, 3, 4, 5), (3, 4, 5)),
    ((6, 2), (2,)),
]


@pytest.mark.parametrize("backward", ["recorded", "analytic"])
@pytest.mark.parametrize("affine", ["both", "weight", "bias", "none"])
@pytest.mark.parametrize(("shape", "sizes"), CASES)
def test_values_and_two_orders(shape, sizes, affine, backward):
    rng = np.random.default_rng(0)
    arrays = {"x": rng.normal(1, 2, shape)}
    if affine in ("both", "weight"):
        arrays["w"] = rng.normal(size=sizes)
    if affine in ("both", "bias"):
        arrays["b"] = rng.normal(size=sizes)
    dy, v = rng.normal(size=shape), rng.normal(size=shape)
    ours = {k: tn.tensor(a, requires_grad=True) for k, a in arrays.items()}
    theirs = {k: torch.tensor(a, requires_grad=True) for k, a in arrays.items()}
    y = tn.functional.layer_norm(ours["x"], sizes, ours.get("w"), ours.get("b"), 0.1, backward)
    t = torch.nn.functional.layer_norm(theirs["x"], sizes, theirs.get("w"), theirs.get("b"), 0.1)
    np.testing.assert_allclose(y.data, t.detach().numpy(), atol=1e-13)
    first = tn.grad(y, list(ours.values()), dy, create_graph=True)
    expected = torch.autograd.grad(t, list(theirs.values()), torch.tensor(dy), create_graph=True)
    for a, e in zip(first, expected):
        np.testing.assert_allclose(a.data, e.detach().numpy(), atol=1e-12)
    targets = [k for k in arrays if k != "b"]
    second = tn.grad(first[0], [ours[k] for k in targets], v, allow_unused=True)
    expected = torch.autograd.grad(expected[0], [theirs[k] for k in targets], torch.tensor(v), allow_unused=True)
    for a, e in zip(second, expected):
        np.testing.assert_allclose(0 if a is None else a.data, 0 if e is None else e.numpy(), atol=1e-11)


@pytest.mark.parametrize("backward", ["recorded", "analytic"])
def test_float32_and_the_module(backward):
    rng = np.random.default_rng(1)
    x, dy = (rng.normal(size=(16, 32)).astype("float32") for _ in range(2))
    mine, theirs = tn.nn.LayerNorm(32, backward=backward), torch.nn.LayerNorm(32)
    state = {"weight": rng.normal(size=32).astype("float32"), "bias": rng.normal(size=32).astype("float32")}
    assert list(mine.state_dict()) == list(theirs.state_dict())
    mine.load_state_dict(state)
    theirs.load_state_dict({k: torch.tensor(a) for k, a in state.items()})
    a, b = tn.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    mine(a).backward(dy)
    theirs(b).backward(torch.tensor(dy))
    np.testing.assert_allclose(a.grad.data, b.grad.numpy(), atol=1e-5)
    for p, q in zip(mine.parameters(), theirs.parameters()):
        assert p.grad.dtype == np.float32
        np.testing.assert_allclose(p.grad.data, q.grad.numpy(), atol=1e-5)


def test_the_third_derivative_is_where_we_part():
    """PyTorch's fused layer_norm is wrong from order 3 on, ours is not: the closed form of the acid test decides."""
    t = tn.tensor(0.7, requires_grad=True)
    d = tn.functional.layer_norm(tn.concatenate([t.reshape(1), np.zeros(1)]), 2, tn.tensor([1.0, 2.0]), None, 0.25).sum()
    for _ in range(3):
        (d,) = tn.grad(d, t, create_graph=True)
    s = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    e = torch.nn.functional.layer_norm(
        torch.cat([s.reshape(1), torch.zeros(1, dtype=torch.float64)]),
        (2,),
        torch.tensor([1.0, 2.0], dtype=torch.float64),
        None,
        0.25,
    ).sum()
    for _ in range(3):
        (e,) = torch.autograd.grad(e, s, create_graph=True)
    assert d.item() == pytest.approx(-0.7132479766449955, rel=1e-13)
    if torch.__version__.startswith("2.13"):
        assert abs(e.item() - d.item()) > 1e-2
