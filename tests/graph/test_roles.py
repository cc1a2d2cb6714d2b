"""Roles of leaves: what somebody said, and no guess."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest

import tinygrad_norm as tn

F, nn = tn.functional, tn.nn


def leaf(name, *shape, grad=True):
    return tn.tensor(np.random.default_rng(len(name)).normal(size=shape), requires_grad=grad, name=name)


def roles(y, **said):
    return {n.label: n.role for n in tn.graph(y, **said).nodes if n.op is None}


def test_a_function_says_what_its_arguments_are():
    x, g, b = leaf("x", 2, 4), leaf("g", 4), leaf("b", 4)
    assert roles(F.layer_norm(x, 4, g, b)) == {"x": "input", "g": "parameter", "b": "parameter"}
    assert roles(F.layer_norm(input=x, normalized_shape=4, weight=g)) == {"x": "input", "g": "parameter"}
    w = leaf("w", 4, 4)
    assert roles(F.linear(F.layer_norm(x, 4), w)) == {"x": "input", "w": "parameter"}
    query, key = leaf("query", 2, 3, 4), leaf("key", 2, 3, 4)
    found = roles(F.scaled_dot_product_attention(query, key, key))
    assert (found["query"], found["key"]) == ("input", "input")


def test_a_module_says_what_it_was_called_with_and_what_is_its_own():
    x, mask = leaf("x", 2, 4), leaf("mask", 2, 4, grad=False)

    class Net(nn.Module):
        def __init__(self):
            self.fc, self.own = nn.Linear(4, 4), leaf("own", 4)

        def forward(self, x, m):
            return self.fc(x * m) * self.own

    found = roles(Net()(x, m=mask))
    assert (found["x"], found["mask"], found["own"]) == ("input", "input", "parameter")
    assert set(found.values()) == {"input", "parameter"}


def test_a_cotangent_is_one():
    x, dy = leaf("x", 2, 4), leaf("dy", 2, 4)
    (dx,) = tn.grad(F.layer_norm(x, 4), x, dy, create_graph=True)
    assert roles(dx)["dy"] == "cotangent"
    assert roles(dx)["x"] == "input"


def test_of_ones_own_code_nothing_is_known_until_it_is_said():
    x, w = leaf("x", 2, 4), leaf("w", 4, 4)
    y = (x @ w).tanh() * 2.0
    assert roles(y) == {"x": "leaf", "w": "leaf"}
    assert roles(y, inputs=x) == {"x": "input", "w": "leaf"}
    assert tn.graph(y, inputs=[w]).main_input is w
    part = tn.graph(y, inputs=x).between("x @ w", y)
    assert [n.role for n in part.nodes if n.op is None] == ["input"]
    with pytest.raises(tn.GradientError, match="graph: inputs holds 3; give tensors"):
        tn.graph(y, inputs=[3])


def test_an_unnamed_number_is_not_what_a_graph_is_about():
    x = leaf("x", 4)
    table = tn.tensor(np.ones((3, 4)))
    assert tn.graph((table @ x.tanh().reshape(4, 1)).sum()).main_input is x


def test_what_is_said_keeps_nothing_alive():
    gc.disable()
    try:
        x = leaf("x", 2, 4)
        seen = weakref.ref(x)
        y = F.layer_norm(x, 4)
        assert y.shape == (2, 4)
        del x, y
        assert seen() is None
    finally:
        gc.enable()
