"""Hooks of tensors, and gradients that interior tensors keep: PyTorch's order and results."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_norm as tn
from tinygrad_norm.engine import hooks

X = np.array([1.0, -2.0, 3.0])


def record():
    x = tn.tensor(X, requires_grad=True, name="x")
    h = (x * x).named("h")
    return x, h, (h * 3.0).sum()


def test_retain_grad_keeps_what_was_handed_on_and_adds_up():
    x, h, y = record()
    h.retain_grad()
    h.retain_grad()  # twice is once
    h.register_hook(lambda g: g * 10.0)
    y.backward()
    np.testing.assert_array_equal(h.grad.data, [30.0] * 3)
    np.testing.assert_array_equal(x.grad.data, 60 * X)
    y.backward()
    np.testing.assert_array_equal(h.grad.data, [60.0] * 3)
    tn.grad(y, x)
    np.testing.assert_array_equal(h.grad.data, [60.0] * 3)  # only backward keeps


def test_hooks_come_in_order_see_the_whole_gradient_and_can_be_taken_off():
    x = tn.tensor(X, requires_grad=True)
    h = x * 1.0
    y = (h * 2.0 + h * h).sum()
    seen = []
    first = h.register_hook(lambda g: seen.append(g.data.copy()))
    h.register_hook(lambda g: g + 1.0)
    leaf = x.register_hook(lambda g: g * 2.0)
    (found,) = tn.grad(y, x)
    np.testing.assert_array_equal(seen, [2 + 2 * X])
    np.testing.assert_array_equal(found.data, 2 * (3 + 2 * X))
    first.remove()
    first.remove()
    leaf.remove()
    y.backward()
    assert len(seen) == 1
    np.testing.assert_array_equal(x.grad.data, 3 + 2 * X)


def test_a_pass_looks_for_hooks_only_while_there_are_some():
    assert hooks.visit(True) is None
    leaf, h, y = record()
    first, second = (leaf.register_hook(lambda g: None) for _ in range(2))
    assert hooks.visit(True)
    first.remove()
    assert hooks.visit(True)
    second.remove()
    assert hooks.visit(True) is None
    h.retain_grad()
    assert hooks.visit(True)
    del h, y  # with the record goes what was asked of it
    assert hooks.visit(True) is None


def test_hooks_of_a_recorded_pass_get_tensors_that_can_be_differentiated():
    x, h, y = record()
    h.register_hook(lambda g: g * g)
    (dx,) = tn.grad(y, x, create_graph=True)
    np.testing.assert_array_equal(dx.data, 9 * 2 * X)
    (twice,) = tn.grad(dx.sum(), x)
    np.testing.assert_array_equal(twice.data, [18.0] * 3)


def test_a_hook_on_a_sliced_tensor_gets_all_of_it():
    x = tn.tensor(np.ones((64, 64)), requires_grad=True)
    h = x * 1.0
    shapes = []
    h.register_hook(lambda g: shapes.append((g.shape, float(g.data.sum()))))
    h[3].sum().backward()
    assert shapes == [((64, 64), 64.0)]


def test_misuse_is_named():
    _, h, y = record()
    constant = tn.tensor(X, name="c")
    with pytest.raises(tn.GradientError, match=r"register_hook: c \(3,\) float64 requires no gradient"):
        constant.register_hook(print)
    with pytest.raises(tn.GradientError, match=r"retain_grad: c \(3,\) float64 requires no gradient"):
        constant.retain_grad()
    with pytest.raises(tn.DTypeError, match="register_hook: 3 cannot be called"):
        h.register_hook(3)
    h.register_hook(lambda g: g.sum())
    with pytest.raises(tn.ShapeError, match=r"a hook of h \(3,\) float64 returned \(\) float64; the shape must stay"):
        y.backward()


def test_as_pytorch():
    torch = pytest.importorskip("torch")

    def run(lib, x):
        seen = []
        h = x * x
        h.retain_grad()
        h.register_hook(lambda g: g * 2.0)
        h.register_hook(lambda g: seen.append(float(g.detach().sum())))
        x.register_hook(lambda g: g - 1.0)
        (h.sum() + (h * x).sum()).backward()
        return seen, np.asarray(h.grad.detach().numpy()), np.asarray(x.grad.detach().numpy())

    mine = run(tn, tn.tensor(X, requires_grad=True))
    theirs = run(torch, torch.tensor(X, requires_grad=True))
    for a, b in zip(mine, theirs):
        np.testing.assert_allclose(a, b, rtol=1e-15)


@pytest.mark.parametrize("create_graph", [False, True])
def test_backward_for_some_inputs_and_on_the_record(create_graph):
    a, b = (tn.tensor(X, requires_grad=True) for _ in range(2))
    (a * a * b).sum().backward(retain_graph=True, create_graph=create_graph, inputs=[a])
    assert b.grad is None
    np.testing.assert_array_equal(a.grad.data, 2 * X * X)
    assert a.grad.requires_grad is create_graph


def test_a_hook_inside_a_checkpoint_is_called_on_the_way_back():
    """Where the function runs again; the first time nothing there requires a gradient, and that is nobody's fault."""
    seen = []

    def f(a, b):
        h = a * a * b
        h.register_hook(lambda g: seen.append(g.data.copy()))
        (b * 2.0).register_hook(lambda g: g * 0.0)  # no gradient comes there
        return (h * 3.0).sum()

    x, w = tn.tensor(X, requires_grad=True), tn.tensor(2.0)
    y = tn.checkpoint(f)(x, w)
    assert not seen
    (dx,) = tn.grad(y, x)
    np.testing.assert_array_equal(dx.data, 12 * X)
    np.testing.assert_array_equal(seen, [[3.0] * 3])
    with pytest.raises(
        tn.GradientError, match=r"retain_grad: .*inside tn.checkpoint, which keeps nothing of it. .*register_hook"
    ):
        tn.checkpoint(lambda a: (a * a).retain_grad())(x)
    with pytest.raises(tn.GradientError, match=r"register_hook: .* requires no gradient"):
        w.register_hook(print)  # outside, as ever
