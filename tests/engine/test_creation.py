"""Leaves from nothing: shapes, dtypes, sources of random numbers, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_norm as tn

X = tn.tensor(np.ones((2, 3), np.float32))
MADE = {
    "zeros": (lambda t: t.zeros(2, 3), (2, 3)),
    "zeros of a tuple": (lambda t: t.zeros((2, 3)), (2, 3)),
    "zeros of nothing": (lambda t: t.zeros(()), ()),
    "ones": (lambda t: t.ones(4), (4,)),
    "full": (lambda t: t.full((2, 2), 1.5), (2, 2)),
    "eye": (lambda t: t.eye(2, 3), (2, 3)),
    "square eye": (lambda t: t.eye(3), (3, 3)),
    "arange": (lambda t: t.arange(5), (5,)),
    "arange with a step": (lambda t: t.arange(1.0, 2.0, 0.25), (4,)),
    "arange down": (lambda t: t.arange(5, 0, -2), (3,)),
    "linspace": (lambda t: t.linspace(0, 1, 5), (5,)),
}


@pytest.mark.parametrize("name", MADE)
def test_as_pytorch(name):
    torch = pytest.importorskip("torch")
    make, shape = MADE[name]
    mine, theirs = make(tn), make(torch)
    assert mine.shape == shape == tuple(theirs.shape)
    np.testing.assert_allclose(mine.data, theirs.numpy(), rtol=1e-6)
    assert (mine.dtype.kind == "i") == (not theirs.dtype.is_floating_point)


@pytest.mark.parametrize("make", [tn.zeros, tn.ones, tn.rand, tn.randn])
def test_dtype_and_gradients(make):
    assert make(3).dtype == np.float64
    x = make(2, 2, dtype="float32", requires_grad=True)
    assert (x.dtype, x.requires_grad, x.is_leaf) == (np.float32, True, True)
    with pytest.raises(tn.DTypeError, match=make.__name__ if make in (tn.zeros, tn.ones) else "float"):
        make(3, dtype="foo")
    with pytest.raises(tn.ShapeError, match=rf"{make.__name__}: .*whole number"):
        make(2.5)
    with pytest.raises(tn.ShapeError, match=rf"{make.__name__}: .*from 0 on"):
        make(2, -1)


@pytest.mark.parametrize(
    "make", [tn.zeros_like, tn.ones_like, tn.rand_like, tn.randn_like, lambda x, **k: tn.full_like(x, 2, **k)]
)
def test_like(make):
    assert (make(X).shape, make(X).dtype) == ((2, 3), np.float32)
    assert make(X, dtype="float64").dtype == np.float64
    with pytest.raises(tn.DTypeError, match="_like: input"):
        make("a")


def test_random_numbers_are_repeatable():
    draws = (
        lambda: tn.rand(3),
        lambda: tn.randn(3),
        lambda: tn.randint(10, (3,)),
        lambda: tn.randint(5, 7, (9,)),
        lambda: tn.randperm(5),
    )
    first, again = ([tn.manual_seed(7) and None, *(d().data.tolist() for d in draws)] for _ in range(2))
    assert first == again
    own = tn.Generator(3)
    assert tn.randn(2, generator=own).data.tolist() == tn.randn(2, generator=tn.Generator(3)).data.tolist()
    assert sorted(tn.randperm(5).data.tolist()) == [0, 1, 2, 3, 4]
    assert set(tn.randint(5, 7, (50,)).data.tolist()) == {5, 6}
    uniform = tn.rand(2000, generator=own).data
    assert uniform.min() >= 0
    assert uniform.max() < 1
    assert abs(uniform.mean() - 0.5) < 6 / np.sqrt(12 * 2000)  # six standard deviations
    assert abs(tn.randn(2000, generator=own).data.std() - 1) < 6 / np.sqrt(2 * 2000)


REFUSED = {
    "arange: from 0 to 3 in steps of -1": lambda: tn.arange(0, 3, -1),
    "arange: from 0 to 3 in steps of 0": lambda: tn.arange(0, 3, 0),
    "linspace: steps=2.5": lambda: tn.linspace(0, 1, 2.5),
    "eye: n=-1": lambda: tn.eye(-1),
    "full: fill_value=": lambda: tn.full((2,), "a"),
    "randint: from 3 to below 3": lambda: tn.randint(3, 3, (2,)),
    "randint: 1 argument": lambda: tn.randint(3),
    "randperm: n=": lambda: tn.randperm("a"),
    "rand: generator is int": lambda: tn.rand(2, generator=3),
}


@pytest.mark.parametrize("words", REFUSED)
def test_what_is_refused(words):
    with pytest.raises(tn.TinygradNormError) as error:
        REFUSED[words]()
    assert str(error.value).startswith(words)


def test_cat_is_concatenate():
    a, b = (tn.tensor(np.full((2, 2), v), requires_grad=True) for v in (1.0, 2.0))
    y = tn.cat([a, b], 1)
    np.testing.assert_array_equal(y.data, [[1, 1, 2, 2]] * 2)
    np.testing.assert_array_equal(tn.grad(y, b, np.arange(8.0).reshape(2, 4))[0].data, [[2, 3], [6, 7]])


def test_a_checkpoint_draws_the_same_dropout_twice():
    x = tn.tensor(np.ones(1000), requires_grad=True)
    y = tn.checkpoint(lambda x: tn.functional.dropout(x, 0.5))(x)
    before = tn.default_generator().get_state()
    (dx,) = tn.grad(y, x, np.ones(1000))
    np.testing.assert_array_equal(dx.data, y.data)
    assert tn.default_generator().get_state() == before
