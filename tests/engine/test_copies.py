"""Pickling and copying: leaves and modules can be, a record cannot."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import tinygrad_norm as tn


@pytest.mark.parametrize("through", [copy.copy, copy.deepcopy, lambda t: pickle.loads(pickle.dumps(t))])
def test_a_leaf(through):
    a = tn.tensor(np.float32([1, 2]), requires_grad=True, name="a")
    (a * a).sum().backward()
    b = through(a)
    assert (b.name, b.requires_grad, b.dtype, b.is_leaf) == ("a", True, np.float32, True)
    np.testing.assert_array_equal(b.data, a.data)
    np.testing.assert_array_equal(b.grad.data, [2, 4])
    assert b is not a
    assert not np.shares_memory(a.data, b.data)
    (b * 3.0).sum().backward()
    np.testing.assert_array_equal(a.grad.data, [2, 4])
    assert b.birth > a.birth


@pytest.mark.parametrize("through", [copy.copy, copy.deepcopy, pickle.dumps])
def test_a_recorded_tensor_refuses(through):
    a = tn.tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(tn.GradientError, match=r"pickle: b \(2,\) float64 was computed by mul.*detach"):
        through((a * a).named("b"))
    np.testing.assert_array_equal(copy.deepcopy((a * a).detach()).data, [1, 4])


@pytest.mark.parametrize("through", [copy.deepcopy, lambda t: pickle.loads(pickle.dumps(t))])
def test_a_module(through):
    layer = tn.nn.LayerNorm(3)
    other = through(layer)
    other.load_state_dict({"weight": np.full(3, 2.0), "bias": np.ones(3)})
    np.testing.assert_array_equal(layer.weight.data, 1)
    assert [p.name for p in other.parameters()] == ["γ", "β"]


def test_printing_shows_values_dtype_and_origin():
    a = tn.tensor([1.0, 2.5], requires_grad=True, name="a")
    assert repr(a) == "tensor([1. , 2.5], dtype=float64, name='a', requires_grad=True)"
    assert "from=mul" in repr(a * a)
    assert "float32" in repr(tn.tensor(np.float32(1)))
    assert len(repr(tn.tensor(np.zeros((1000, 1000))))) < 600
