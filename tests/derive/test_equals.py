"""``d.equals``: what is called proved must be true whatever the numbers, however somebody tries."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_norm as tn
from tinygrad_norm.derive import derive

X = {"x": ("B", "N")}
XW = {"x": ("B", "N"), "w": ("N",)}


def given(a, b, seed=0):
    return {"x": np.random.default_rng(seed).uniform(0.5, 2, (a, b))}


def const(low, high):
    return tn.tensor(np.linspace(low, high, 6))


def detached(f):
    return lambda dy, x: dy * f(x).detach()


@pytest.mark.parametrize(
    ("forward", "inputs", "same", "other"),
    [
        # constants have no names: only their values say whether they are the same
        (lambda x: x * const(1, 2), given(5, 6), lambda dy: dy * const(1, 2), lambda dy: dy * const(3, 9)),
        (lambda x: x * x.mean(-1, True).detach(), X, detached(lambda x: x.mean(-1, True)), detached(lambda x: (x * x).mean(-1, True))),
        (lambda x: x * x.max(-1, keepdims=True).detach(), X, detached(lambda x: x.max(-1, keepdims=True)), detached(lambda x: (2 * x).max(-1, keepdims=True))),
        (lambda x: x * x.max(-1, keepdims=True).detach(), X, detached(lambda x: x.max(-1, keepdims=True)), detached(lambda x: x.max(0, keepdims=True))),
        # a constant is not the input whose name it has
        (lambda x, w: x * w, XW, lambda dy, w: dy * w, lambda dy: dy * tn.tensor(np.ones(11), name="w")),
        (lambda x, w: x * w, XW, lambda dy, w: w * dy, lambda dy, w: dy * w * tn.tensor(np.full(11, 2.0), name="w")),
        # roots
        (lambda x: (x * x + 1.0).sqrt(), X, lambda dy, x: dy * x / (x * x + 1.0) ** 0.5, lambda dy, x: dy * (x * x) ** 0.5 / (x * x + 1.0) ** 0.5),
        # axes
        (lambda x: x * 2.5, given(5, 5), lambda dy: 2.5 * dy, lambda dy: 2.5 * dy.T),
        (lambda x: x * x.sum(0, True), given(5, 5), lambda dy, x: dy * x.sum(0, True) + (dy * x).sum(0, True), lambda dy, x: dy * x.sum(0, True) + (dy * x).sum(1, True)),
        (lambda x: x.sum() * x, X, lambda dy, x: dy * x.sum() + (dy * x).sum(), lambda dy, x: dy * x.sum() + (dy * x).sum(-1, True)),
        # numbers
        (lambda x: x / 3.0, X, lambda dy: dy * (1 / 3.0), lambda dy: dy * 0.3333333),
        (lambda x: x * 0.1, X, lambda dy: dy / 10.0, lambda dy: dy * (0.1 + 1e-8)),
        (lambda x: x * 11.0, X, lambda dy: 11.0 * dy, lambda dy: 10.0 * dy),
        (lambda x: x * x * x, X, lambda dy, x: 3.0 * x**2 * dy, lambda dy, x: 3.0 * x**3 * dy),
        # repeated and cancelled
        (lambda x: x / x * x, X, lambda dy: dy * 1.0, lambda dy, x: dy / x * x * 2.0),
        (lambda x: x**-1, X, lambda dy, x: -dy / x / x, lambda dy, x: dy / x / x),
    ],
)  # fmt: skip
def test_the_same_is_proved_and_the_other_refused(forward, inputs, same, other):
    d = derive(forward, inputs=inputs)
    assert d.equals(same).proved
    assert not d.equals(other)


def test_what_holds_only_for_these_numbers_is_not_proved():
    """On positive numbers √(x·z)·√(x·w) is x·√(z·w), and √(x²) is x; on negative ones it is not."""
    rng = np.random.default_rng(0)
    inputs = {n: rng.uniform(0.5, 2, (5, 6)) for n in "xzw"}
    one = derive(lambda x, z, w: (x * z).sqrt() * (x * w).sqrt(), inputs=inputs)
    two = derive(lambda x, z, w: x * (z * w).sqrt(), inputs=inputs)
    d = derive(lambda x: (x * x).sqrt() * x, inputs={"x": inputs["x"]})
    for verdict in (one.equals(two), d.equals(lambda dy, x: 2.0 * x * dy)):
        assert not verdict
        assert verdict.kind != "proved"


def test_what_is_held_is_the_same_number_as_what_is_not():
    d = derive(lambda x: x * x.mean(-1, True).detach(), inputs=X)
    assert d.equals(lambda dy, x: dy * x.mean(-1, True)).proved


def test_other_shapes_other_numbers_other_norms():
    d = tn.derive("layer_norm")
    for same in ({"seed": 3}, {"shape": (3, 5)}):
        assert d.equals(tn.derive("layer_norm", **same)).proved
    for other in (tn.derive("rms_norm"), tn.derive("layer_norm", correction=1), tn.derive("layer_norm", "weight"),
                  tn.derive("batch_norm"), tn.derive("layer_norm", order=2)):  # fmt: skip
        assert not d.equals(other)
        assert not other.equals(d)


def test_another_shape_is_not_equal():
    d = derive(lambda x: x * 2.5, inputs=X)
    for f in (
        lambda dy: (dy * 2.5).sum(0),
        lambda dy: dy.sum(),
        lambda dy: (2.5 * dy).reshape(7, 11, 1),
        lambda dy: dy.mean(-1, True),
    ):
        assert not d.equals(f)


def test_a_function_for_one_shape_can_be_asked_about():
    d = derive(lambda x, w: x * w, inputs=XW)
    assert not d.equals(lambda dy: dy * tn.tensor(np.ones(11)))
    assert not d.equals(lambda dy: dy * tn.tensor(np.ones((7, 11))))


def test_sizes_in_a_function_are_sizes_and_numbers_are_numbers():
    d = tn.derive("batch_norm")

    def by(n):
        def f(dy, input, weight):
            c = input - input.mean(0, True)
            r = ((c * c).mean(0, True) + 1e-5) ** -0.5
            m = n(input)
            return weight * r / m * (m * dy - dy.sum(0, True) - c * r * r * (dy * c).sum(0, True))

        return f

    assert d.equals(by(lambda x: x.shape[0])).proved
    assert not d.equals(by(lambda x: x.shape[1]))
    assert not d.equals(by(lambda x: x.shape[0] - 1))


def test_roots_of_any_order():
    def mean(x):
        return x.mean(-1, True)

    d = tn.derive(lambda x: x * (mean(x**2) + 0.5) ** -0.25, inputs={"x": ("B", "N")})
    assert d.equals(lambda dy, x: (dy - 0.5 * x * mean(dy * x) / (mean(x**2) + 0.5)) * (mean(x**2) + 0.5) ** -0.25).proved
    assert not d.equals(lambda dy, x: (dy - 0.25 * x * mean(dy * x) / (mean(x**2) + 0.5)) * (mean(x**2) + 0.5) ** -0.25)
