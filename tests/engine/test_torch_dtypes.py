"""dtype rules that NumPy and PyTorch share: ours are the same."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import tinygrad_norm as tn

torch = pytest.importorskip("torch", reason="torch is not installed; dtype rules are not compared with PyTorch's")

FLOATS = ("float16", "float32", "float64")
BINARY = {"add": lambda a, b: a + b, "sub": lambda a, b: a - b, "mul": lambda a, b: a * b, "div": lambda a, b: a / b}


@pytest.mark.parametrize(("left", "right"), list(itertools.product(FLOATS, FLOATS)))
@pytest.mark.parametrize("name", BINARY)
def test_two_arrays(name, left, right):
    arrays = [np.array([1.0, 2.0, 4.0]).astype(d) for d in (left, right)]
    ours = [tn.tensor(a, requires_grad=True) for a in arrays]
    theirs = [torch.tensor(a, requires_grad=True) for a in arrays]
    y, t = BINARY[name](*ours), BINARY[name](*theirs)
    assert y.dtype == t.detach().numpy().dtype == BINARY[name](*arrays).dtype
    for g, e in zip(tn.grad(y.sum(), ours), torch.autograd.grad(t.sum(), theirs)):
        assert g.dtype == e.numpy().dtype


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("number", [2, 0.5, True])
@pytest.mark.parametrize("name", BINARY)
def test_an_array_and_a_number(name, number, dtype):
    array = np.array([1.0, 2.0]).astype(dtype)
    x, t = tn.tensor(array, requires_grad=True), torch.tensor(array, requires_grad=True)
    if name == "sub" and number is True:
        pytest.skip("PyTorch refuses to subtract a bool")
    for a, b in ((x, number), (number, x)):
        y = BINARY[name](a, b)
        e = BINARY[name](*(t if v is x else v for v in (a, b)))
        assert y.dtype == e.detach().numpy().dtype == np.dtype(dtype)
        assert tn.grad(y.sum(), x)[0].dtype == np.dtype(dtype)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", ["sum", "mean", "exp", "tanh", "sqrt"])
def test_one_array(name, dtype):
    array = np.array([[1.0, 2.0], [3.0, 4.0]]).astype(dtype)
    x, t = tn.tensor(array, requires_grad=True), torch.tensor(array, requires_grad=True)
    y, e = getattr(x, name)(), getattr(t, name)()
    assert y.dtype == e.detach().numpy().dtype == np.dtype(dtype)
    np.testing.assert_allclose(y.data, e.detach().numpy(), rtol=2e-3 if dtype == "float16" else 1e-6)
