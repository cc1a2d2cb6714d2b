"""Recorded numbers do not change behind the record's back; where they did, backward says so."""

from __future__ import annotations

import numpy as np
import pytest

from tinygrad_norm.engine import TABLE, DTypeError, InPlaceError, ShapeError, concatenate, from_numpy, grad, no_grad, tensor


def leaf(values, name=None):
    return tensor(np.asarray(values, float), requires_grad=True, name=name)


# Writing is refused ----------------------------------------------------------------------------------------


def test_setitem():
    x = leaf([1.0, 2.0], "x")
    with pytest.raises(InPlaceError, match=r"setitem: x \(2,\) float64 .* tn\.where.* tn\.concatenate"):
        x[0] = 1.0
    assert x.data.tolist() == [1.0, 2.0]


@pytest.mark.parametrize("read", [lambda t: t.data, lambda t: t.detach().data, lambda t: (t * 2.0).data, lambda t: t.data[:1]])
def test_data_is_read_only(read):
    x = leaf([1.0, 2.0])
    with pytest.raises(InPlaceError, match=r"data: these values may be part of a record.*x\.data = new.*x\.data\.copy\(\)"):
        read(x)[0] = 1.0
    with pytest.raises(ValueError, match="read-only"):
        x.numpy()[0] = 1.0
    assert x.data.tolist() == [1.0, 2.0]


# PyTorch's hands ---------------------------------------------------------------------------------------------


def descend(step):
    """Three steps of manual SGD on Σ(x²)."""
    p = tensor(np.array([1.0, -2.0], np.float32), requires_grad=True, name="p")
    for _ in range(3):
        old = (p * p).sum()
        old.backward()
        p = step(p)
        with pytest.raises(InPlaceError, match=r"mul: its input p \(2,\) float32 was given new data"):
            old.backward()
        p.grad = None
    return p


def under_no_grad(p):
    before = id(p)
    with no_grad():
        p -= 0.1 * p.grad
    assert id(p) == before
    return p


def by_data(p):
    p.data -= 0.1 * p.grad
    return p


def by_arrays(p):
    p.data += -0.1 * p.grad.data
    return p


def by_method(p):
    with no_grad():
        p.sub_(0.1 * p.grad)
    return p


def by_assignment(p):
    p.data = p.data - np.float32(0.1) * p.grad.data
    return p


@pytest.mark.parametrize("step", [under_no_grad, by_data, by_arrays, by_method, by_assignment], ids=lambda f: f.__name__)
def test_manual_descent(step):
    p = descend(step)
    assert p.requires_grad
    assert p.is_leaf
    assert p.dtype == np.float32
    np.testing.assert_allclose(p.data, np.array([1.0, -2.0]) * 0.8**3, rtol=1e-6)


@pytest.mark.parametrize(
    "change", ["p += 1.0", "p -= 1.0", "p *= 2.0", "p /= 2.0", "p.add_(1.0)", "p.zero_()", "p.fill_(2.0)", "p.copy_(1.0)"]
)
def test_a_leaf_is_not_changed_while_recording(change):
    p = leaf([1.0, 2.0], "p")
    with pytest.raises(InPlaceError, match=r"p \(2,\) float64 is a leaf that requires a gradient.*no_grad"):
        exec(change, {"p": p})
    with no_grad():
        exec(change, {"p": p})
    assert p.data.tolist() != [1.0, 2.0]
    assert p.requires_grad


def test_constants_are_changed_in_place_and_computed_tensors_are_computed_anew():
    m = before = tensor([1.0, 2.0])
    w = leaf([3.0, 3.0])
    y = m * w
    m *= 0.9
    assert m is before
    with pytest.raises(InPlaceError, match="was given new data"):
        y.sum().backward()
    total = tensor(0.0)
    for _ in range(2):
        total += (w * w).sum()
    total.backward()
    assert w.grad.data.tolist() == [12.0, 12.0]


@pytest.mark.parametrize(
    ("value", "words"), [([[1.0, 2.0]] * 2, "shape and kind stay"), (np.array([1j, 2j]), "shape and kind stay")]
)
def test_what_does_not_fit_in_place(value, words):
    m = tensor([1.0, 2.0], name="m")
    with pytest.raises(ShapeError, match=rf"add: m \(2,\) float64 cannot hold .*{words}"):
        m += np.array(value)


def test_in_place_keeps_the_dtype():
    m = tensor(np.ones(2, np.float32))
    m += np.ones(2)
    assert m.dtype == np.float32
    m.copy_([7, 8])
    assert (m.dtype, m.data.tolist()) == (np.float32, [7.0, 8.0])


def test_data_is_an_array_like_any_other():
    p = leaf([1.0, 2.0])
    copy = p.data.copy()
    copy[0] = 5.0
    copy -= 1.0
    assert copy.tolist() == [4.0, 1.0]
    assert type(p.data + 1) is np.ndarray
    assert repr(p.data) == "array([1., 2.])"


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


VIEWS = {
    "detach": (lambda x: x.detach(), "mul_"),
    "a slice": (lambda x: x.detach()[:2], "add_"),
    "view": (lambda x: x.detach().view(2, 2), "sub_"),
    "a transpose": (lambda x: x.detach().view(2, 2).T, "add_"),
    "a row": (lambda x: next(iter(x.detach().view(2, 2))), "mul_"),
}


@pytest.mark.parametrize("name", VIEWS)
def test_what_looks_at_another_is_not_changed_alone(name):
    look, change = VIEWS[name]
    x = leaf([1.0, 2.0, 3.0, 4.0], "x")
    with no_grad(), pytest.raises(InPlaceError, match=rf"{change}: .* looks at the values of another.*x\.clone\(\)"):
        getattr(look(x), change)(2.0)
    y = before = look(x)
    y *= 2.0  # y = y * 2.0
    assert y is not before
    assert x.data.tolist() == [1.0, 2.0, 3.0, 4.0]
    copy = look(x).clone()
    getattr(copy, change)(2.0)
    assert copy.data.tolist() != look(x).data.tolist()


def test_data_hands_its_tensor_on():
    p = leaf([1.0, 2.0])
    p.data.add_(1.0)
    p.data.mul_(2.0)
    assert p.data.tolist() == [4.0, 6.0]
    (p * p).sum().backward()
    p.grad.data.zero_()
    assert p.grad.data.tolist() == [0.0, 0.0]
    with no_grad():
        p.sub_(np.ones(2), alpha=0.5)
    assert p.data.tolist() == [3.5, 5.5]
    with pytest.raises(AttributeError, match=r"no attribute 'clone'.*x itself may have it"):
        p.data.clone()
    with pytest.raises(AttributeError, match=r"no attribute 'add_'"):
        p.data[:1].add_(1.0)
