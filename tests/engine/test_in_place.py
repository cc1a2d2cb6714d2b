"""Recorded numbers do not change behind the record's back; where they did, backward says so."""

from __future__ import annotations

import numpy as np
import pytest

from tinygrad_norm.engine import TABLE, DTypeError, InPlaceError, ShapeError, concatenate, from_numpy, grad, tensor


def leaf(values, name=None):
    return tensor(np.asarray(values, float), requires_grad=True, name=name)


# Writing is refused ----------------------------------------------------------------------------------------


def test_setitem():
    x = leaf([1.0, 2.0], "x")
    with pytest.raises(InPlaceError, match=r"setitem: x \(2,\) float64 .* tn\.where.* tn\.concatenate"):
        x[0] = 1.0
    assert x.data.tolist() == [1.0, 2.0]


@pytest.mark.parametrize("read", [lambda t: t.data, lambda t: t.numpy(), lambda t: t.detach().data, lambda t: (t * 2.0).data])
def test_data_is_read_only(read):
    x = leaf([1.0, 2.0])
    with pytest.raises(ValueError, match="read-only"):
        read(x)[0] = 1.0


def test_a_constant_as_a_bare_array_is_read_only():
    with pytest.raises(ValueError, match="read-only"):
        np.asarray(tensor([1.0, 2.0]))[0] = 5.0


def test_tensor_copies_and_from_numpy_locks():
    a = np.array([1.0, 2.0])
    x = tensor(a, requires_grad=True)
    a[0] = 9.0
    assert x.data.tolist() == [1.0, 2.0]
    shared = from_numpy(a)
    assert np.shares_memory(shared.data, a)
    with pytest.raises(ValueError, match="read-only"):
        a[0] = 1.0


def test_an_array_operand_may_be_reused_by_its_owner():
    x, a = leaf([1.0, 2.0]), np.array([3.0, 4.0])
    y = (x * a).sum()
    a[...] = 0.0
    assert grad(y, x)[0].data.tolist() == [3.0, 4.0]


def test_a_condition_may_be_reused_by_its_owner():
    x, mask = leaf([1.0, 2.0]), np.array([True, False])
    y = TABLE["where"](mask, x, 0.0).sum()
    mask[...] = True
    assert grad(y, x)[0].data.tolist() == [1.0, 0.0]


@pytest.mark.parametrize(
    ("index", "other"), [(np.array([0, 1]), np.array([2, 2])), (np.array([True, True, False]), np.array([False, False, True]))]
)
def test_an_index_array_may_be_reused_by_its_owner(index, other):
    x = leaf([1.0, 2.0, 3.0])
    y = x[index.copy()].sum(), x[index].sum()
    index[...] = other
    assert grad(y[0], x)[0].data.tolist() == [1.0, 1.0, 0.0]
    assert grad(y[1], x)[0].data.tolist() == [1.0, 1.0, 0.0]


def test_a_gradient_is_not_changed_by_the_next_pass():
    x = leaf([1.0, 2.0])
    y = (x * x).sum()
    y.backward()
    first = x.grad.data
    y.backward()
    assert first.tolist() == [2.0, 4.0]


# New data for a leaf ---------------------------------------------------------------------------------------


def test_new_data_before_recording_is_the_training_loop():
    w = leaf([1.0, 2.0])
    for _ in range(3):
        w.grad = None
        (w * w).sum().backward()
        w.data = w.data - 0.25 * w.grad.data
    np.testing.assert_array_equal(w.data, [0.125, 0.25])


def test_new_data_is_copied():
    w, new = leaf([1.0, 2.0]), np.array([5.0, 6.0])
    w.data = new
    new[0] = 0.0
    assert w.data.tolist() == [5.0, 6.0]


@pytest.mark.parametrize("go", [lambda y, x: y.backward(), lambda y, x: grad(y, x), lambda y, x: grad(y, x, create_graph=True)])
def test_new_data_after_recording(go):
    x = leaf([1.0, 2.0], "x")
    y = (x * x).sum()
    x.data = np.array([5.0, 6.0])
    with pytest.raises(InPlaceError, match=r"mul: its input x \(2,\) float64 was given new data .* Compute the output again"):
        go(y, x)
    assert x.grad is None
    (x * x).sum().backward()
    assert x.grad.data.tolist() == [10.0, 12.0]


@pytest.mark.parametrize("requires_grad", [False, True], ids=["constant", "leaf"])
def test_new_data_for_the_other_factor(requires_grad):
    """Not asked for itself, but the gradient of x is made of its numbers."""
    x, w = leaf([1.0, 2.0], "x"), tensor([3.0, 4.0], requires_grad=requires_grad, name="w")
    y = (x * w).sum()
    w.data = np.array([30.0, 40.0])
    with pytest.raises(InPlaceError, match=r"mul: its input w \(2,\) float64 was given new data"):
        grad(y, x)


def test_new_data_deep_in_the_record():
    x, w = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    y = ((x * w).exp() * 0.1 + x).sum()
    w.data = np.array([0.0, 0.0])
    with pytest.raises(InPlaceError, match="new data"):
        y.backward()
    assert x.grad is None


def test_new_data_off_the_way_does_not_matter():
    x, z = leaf([1.0, 2.0]), leaf([3.0])
    u = x * 2.0
    y = (u * u).sum() + z.sum()
    x.data = np.array([7.0, 7.0])
    assert grad(y, z)[0].data.tolist() == [1.0]
    assert grad(y, u)[0].data.tolist() == [4.0, 8.0]


@pytest.mark.parametrize(
    ("new", "words"), [(np.ones(3), r"\(3,\) float64 for w \(2,\)"), (np.ones((1, 2)), r"\(1, 2\)"), (5.0, r"\(\)")]
)
def test_new_data_of_another_shape(new, words):
    w = leaf([1.0, 2.0], "w")
    with pytest.raises(ShapeError, match=rf"data: new data {words}.*shape and dtype must stay.*new tensor"):
        w.data = new


def test_new_data_of_another_dtype():
    w = leaf([1.0, 2.0], "w")
    with pytest.raises((ShapeError, DTypeError), match=r"float32 for w \(2,\) float64; shape and dtype must stay"):
        w.data = np.ones(2, "float32")


def test_data_of_a_computed_tensor():
    x = leaf([1.0, 2.0])
    y = x * 2.0
    with pytest.raises(InPlaceError, match=r"data: .*computed by mul; only leaves"):
        y.data = np.ones(2)


def test_what_was_read_before_new_data_keeps_its_numbers():
    x = leaf([1.0, 2.0])
    view, joined, copy = x.detach(), concatenate([x, x]), x.data
    x.data = np.array([5.0, 6.0])
    assert view.data.tolist() == [1.0, 2.0]
    assert joined.data.tolist() == [1.0, 2.0, 1.0, 2.0]
    assert copy.tolist() == [1.0, 2.0]
