"""What the norms have to do with each other, with themselves, and with the weights before them: equal values and equal
derivatives, on shapes and numbers drawn at random."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_norm as tn

F = tn.functional
WAYS = ("recorded", "analytic")
both_ways = pytest.mark.parametrize("backward", WAYS)
SEEDS = st.integers(0, 2**32 - 1)
SHAPES = st.tuples(st.integers(1, 3), st.sampled_from([2, 4]), st.integers(1, 3), st.integers(2, 4))  # (B, C, H, W)
EPS = st.sampled_from([0.0, 1e-5, 0.3])


def near(found, expected, scale=1.0, tolerance=1e-12):
    """Equal to rounding, for numbers that are sums of terms of the size ``scale``."""
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * np.max(scale))


def numbers(rng, shape):
    """Random, with an offset, and neighbours lie apart: no row is nearly constant, whichever way it runs."""
    apart = 2.0 * (-1) ** np.indices(shape).sum(0)
    return (apart + rng.uniform(-1, 1, shape) + rng.uniform(-3, 3)) * 3 ** rng.uniform(-1, 1)


def leaf(a, name=None):
    return tn.tensor(a, requires_grad=True, name=name)


# The family: the members differ in which entries of (B, C, H, W) make a row -----------------------------------------


@dataclass(frozen=True)
class Member:
    """call: (x, γ, β, ε, backward) → y; rows: x → (rows, N); along: the axis γ lies along."""

    call: Callable
    rows: Callable
    centred: bool = True
    along: int = 1

    def spread(self, p):
        """γ or β as it meets x."""
        return p.reshape(-1, 1, 1) if self.along == 1 else p

    def per_row(self, values, shape):
        """One value for each row, at every entry of x."""
        every = np.empty(np.prod(shape))
        every[self.rows(np.arange(every.size).reshape(shape))] = np.reshape(values, (-1, 1))
        return every.reshape(shape)


def of_channels(a):
    return a.swapaxes(0, 1).reshape(a.shape[1], -1)


def of_last(a):
    return a.reshape(-1, a.shape[-1])


FAMILY = {
    "LN": Member(lambda x, w, b, eps, how: F.layer_norm(x, x.shape[-1], w, b, eps, how), of_last, along=-1),
    "BN": Member(lambda x, w, b, eps, how: F.batch_norm(x, None, None, w, b, True, 0.1, eps, how), of_channels),
    "GN": Member(lambda x, w, b, eps, how: F.group_norm(x, 2, w, b, eps, how), lambda a: a.reshape(2 * len(a), -1)),
    "IN": Member(
        lambda x, w, b, eps, how: F.instance_norm(x, None, None, w, b, eps=eps, backward=how),
        lambda a: a.reshape(a.shape[0] * a.shape[1], -1),
    ),
    "RMS": Member(
        lambda x, w, b, eps, how: F.rms_norm(x, x.shape[-1], w, eps, how) + (0.0 if b is None else b), of_last, False, -1
    ),
    "PN-V": Member(lambda x, w, b, eps, how: F.power_norm_v(x, w, b, eps, how), of_channels, False),
}
every_member = pytest.mark.parametrize("member", FAMILY.values(), ids=FAMILY)


def mean(a):
    return a.mean(-1, keepdims=True)


class Setting:
    """Random x, γ, β, dy for a member, and what its rows have, from NumPy alone: σ² (or mean square), r = 1/√(σ² + ε), x̂,
    and g = dy·γ."""

    def __init__(self, member, shape, eps, seed):
        rng = np.random.default_rng(seed)
        self.member, self.eps, self.rng = member, eps, rng
        self.x = leaf(numbers(rng, shape), "x")
        self.w, self.b = (leaf(rng.normal(size=shape[member.along]), n) for n in "γβ")
        self.dy = rng.normal(size=shape)
        rows = member.rows(self.x.data)
        self.n = rows.shape[1]
        c = rows - mean(rows) if member.centred else rows
        self.var = mean(c * c)
        self.r = 1 / np.sqrt(self.var + eps)
        self.xhat = c * self.r
        self.g = member.rows(self.dy * member.spread(self.w.data))

    def y(self, backward):
        return self.member.call(self.x, self.w, self.b, self.eps, backward)

    def centre(self, a):
        return a - mean(a) if self.member.centred else a

    def pull(self, t):
        """J(x)·t, row by row."""
        return self.r * (self.centre(t) - self.xhat * mean(t * self.xhat))


def gradients(f, inputs, dy, v):
    """The value; the gradients by every input, from kernels and once more from the rules; those of ⟨v, dx⟩ by every input
    and by dy."""
    y, dy = f(*inputs), leaf(dy)
    first = tn.grad(y, inputs, dy, create_graph=True)
    second = tn.grad(first[0], [*inputs, dy], v, allow_unused=True)
    return [0.0 if g is None else g.data for g in (y, *tn.grad(y, inputs, dy.data), *first, *second)]


# One norm is another --------------------------------------------------------------------------------------------------


def channels(p):
    return p.reshape(-1, 1, 1)


def instance(x, w, b, eps, how):
    return F.instance_norm(x, None, None, w, b, eps=eps, backward=how)


def folded_batch(x, w, b, eps, how):
    y = F.batch_norm(x.reshape(1, -1, *x.shape[2:]), training=True, eps=eps, backward=how)
    return y.reshape(x.shape) * channels(w) + channels(b)


SAME = {  # number of axes, one norm, and what it is equal to
    "GN(C) is IN": (4, lambda x, w, b, eps, how: F.group_norm(x, x.shape[1], w, b, eps, how), instance),
    "IN is BN of the batch folded into the channels": (4, instance, folded_batch),
    "IN is LN over (H, W)": (
        4,
        instance,
        lambda x, w, b, eps, how: F.layer_norm(x, x.shape[2:], None, None, eps, how) * channels(w) + channels(b),
    ),
    "GN(1) is LN over (C, H, W)": (
        4,
        lambda x, w, b, eps, how: F.group_norm(x, 1, w, b, eps, how),
        lambda x, w, b, eps, how: F.layer_norm(x, x.shape[1:], None, None, eps, how) * channels(w) + channels(b),
    ),
    "GN(1) of (B, C) is LN": (
        2,
        lambda x, w, b, eps, how: F.group_norm(x, 1, w, b, eps, how),
        lambda x, w, b, eps, how: F.layer_norm(x, x.shape[1], w, b, eps, how),
    ),
    "LN of (B, C) is BN of the transpose": (
        2,
        lambda x, w, b, eps, how: F.layer_norm(x, x.shape[1], w, b, eps, how),
        lambda x, w, b, eps, how: F.batch_norm(x.T, training=True, eps=eps, backward=how).T * w + b,
    ),
    "LN is RMSNorm of the deviations": (
        2,
        lambda x, w, b, eps, how: F.layer_norm(x, x.shape[1], w, b, eps, how),
        lambda x, w, b, eps, how: F.rms_norm(x - x.mean(1, keepdims=True), x.shape[1], w, eps, how) + b,
    ),
    "PN-V of (B, C) is RMSNorm of the transpose": (
        2,
        lambda x, w, b, eps, how: F.power_norm_v(x, w, b, eps, how),
        lambda x, w, b, eps, how: F.rms_norm(x.T, len(x), None, eps, how).T * w + b,
    ),
}


@both_ways
@pytest.mark.parametrize("identity", SAME)
@settings(max_examples=30)
@given(shape=SHAPES, eps=EPS, seed=SEEDS)
def test_one_norm_is_another(identity, backward, shape, eps, seed):
    """Value, dx, dγ, dβ, and all derivatives of dx. Rows of two and ε = 0 are among them: there dx is 0."""
    ndim, *norms = SAME[identity]
    shape = shape if ndim == 4 else (shape[0], shape[1] * shape[2])
    rng = np.random.default_rng(seed)
    arrays = [numbers(rng, shape), rng.normal(size=shape[1]), rng.normal(size=shape[1])]
    dy, v = rng.normal(size=(2, *shape))
    one, other = (gradients(lambda *a: f(*a, eps, backward), [leaf(a) for a in arrays], dy, v) for f in norms)  # noqa: B023
    for a, e in zip(one, other):
        near(a, e, scale=1 + np.abs(e), tolerance=1e-11)


@both_ways
@settings(max_examples=30)
@given(shape=SHAPES, seed=SEEDS)
def test_one_group_over_many_tokens_is_not_layer_norm_of_each(backward, shape, seed):
    """That GroupNorm with one group is LayerNorm holds for (B, C) only: over (B, C, T) values and gradients differ."""
    rng = np.random.default_rng(seed)
    shape = (shape[0], shape[1], shape[2] + 1)  # (B, C, T)
    x = leaf(rng.normal(size=shape) + 3.0 * np.arange(shape[2]))
    found = []
    for y in (
        F.group_norm(x, 1, backward=backward),
        F.layer_norm(x.transpose(0, 2, 1), shape[1], backward=backward).transpose(0, 2, 1),
    ):
        found.append([y.data, tn.grad(y, x, np.cos(np.arange(x.size)).reshape(shape))[0].data])
    for a, other in zip(*found):
        assert np.abs(a - other).max() > 0.1 * np.abs(a).max()


@both_ways
@settings(max_examples=20)
@given(n=st.integers(2, 6), eps=EPS, seed=SEEDS)
def test_the_jacobian_of_layer_norm_is_that_of_rms_norm_after_centring(backward, n, eps, seed):
    x = numbers(np.random.default_rng(seed), (n,))
    centring = np.eye(n) - 1 / n
    whole = tn.jacobian(lambda x: F.layer_norm(x, n, None, None, eps, backward), x).data
    rms = tn.jacobian(lambda x: F.rms_norm(x, n, None, eps, backward), centring @ x).data
    near(whole, rms @ centring, scale=np.abs(rms))
    near(whole, centring @ rms, scale=np.abs(rms))  # and before it: both are symmetric


# A norm of what is normalized, turned, stretched or moved ----------------------------------------------------------------


@both_ways
@every_member
@settings(max_examples=20)
@given(shape=SHAPES, seed=SEEDS)
def test_normalizing_twice_is_normalizing_once(member, backward, shape, seed):
    """At ε = 0: f(f(x)) = f(x), and so J(f(x))·J(x) = J(x): what the gradient has lost once cannot be lost again."""
    rng = np.random.default_rng(seed)
    x, (dy, v) = leaf(numbers(rng, shape)), rng.normal(size=(2, *shape))
    once, twice = (
        gradients(f, [x], dy, v)
        for f in (
            lambda x: member.call(x, None, None, 0.0, backward),
            lambda x: member.call(member.call(x, None, None, 0.0, backward), None, None, 0.0, backward),
        )
    )
    for a, e in zip(once, twice):
        near(a, e, scale=1 + np.abs(e), tolerance=1e-11)


@both_ways
@every_member
@settings(max_examples=20)
@given(shape=SHAPES, eps=EPS, seed=SEEDS)
def test_a_row_that_is_stretched_turned_and_moved(member, backward, shape, eps, seed):
    """f(a·x + b; a²ε) = sign(a)·f(x; ε), a and b for each row (b only where it centres). Its derivative: J(a·x + b) is
    J(x)/|a|, the next one over a·|a|. With ε = 0 the output does not depend on a and b but for the sign; with
    a = −1, f is odd for every ε."""
    rng = np.random.default_rng(seed)
    x, (dy, v) = numbers(rng, shape), rng.normal(size=(2, *shape))
    count = len(member.rows(x))
    size = 3 ** rng.uniform(-1, 1, 1 if eps else count)  # one ε for all rows asks for one |a|
    a = member.per_row(size * rng.choice([-1.0, 1.0], count), shape)
    b = member.per_row(rng.uniform(-3, 3, count), shape) if member.centred else 0.0
    y, dx, again, d2x, d2dy = gradients(lambda x: member.call(x, None, None, eps, backward), [leaf(x)], dy, v)
    moved = gradients(lambda x: member.call(x, None, None, eps * size[0] ** 2, backward), [leaf(a * x + b)], dy, v)
    size = np.abs(a)
    for found, expected in zip(moved, (np.sign(a) * y, dx / size, again / size, d2x / (a * size), d2dy / size)):
        near(found, expected, scale=1 + np.abs(expected), tolerance=1e-10)


# The weights before a norm: table 1 of Ba, Kiros, Hinton 2016 -----------------------------------------------------------
# Hidden units a = x·W, 10 inputs and 7 neurons, 16 cases. What may be done to x and W, and which norms do not notice.

BEFORE = {
    "batch norm": lambda x, w, eps, how: F.batch_norm(x @ w, training=True, eps=eps, backward=how),
    "weight norm": lambda x, w, eps, how: x @ F.weight_norm(w, np.ones((1, 7)), 1, how, eps=eps),
    "layer norm": lambda x, w, eps, how: F.layer_norm(x @ w, 7, None, None, eps, how),
    "RMS norm": lambda x, w, eps, how: F.rms_norm(x @ w, 7, None, eps, how),
    "partial RMS norm": lambda x, w, eps, how: F.rms_norm(x @ w, 7, None, eps, how, partial=0.5),
}
VECTOR = np.linspace(-1.5, 2.5, 10)
# What is changed, x (0) or W (1), and in which direction
CHANGES = {
    "weights re-scaled": (1, lambda w: w),
    "weights re-centred": (1, lambda w: 0 * w + VECTOR[:, None]),
    "one neuron re-scaled": (1, lambda w: w * (np.arange(7) == 2)),
    "data re-scaled": (0, lambda x: x),
    "data re-centred": (0, lambda x: 0 * x + VECTOR),
    "one case re-scaled": (0, lambda x: x * (np.arange(16)[:, None] == 4)),
}
TABLE = {
    "batch norm": "yes no yes yes yes no",
    "weight norm": "yes no yes no no no",
    "layer norm": "yes yes no yes no yes",
    "RMS norm": "yes no no yes no yes",
    "partial RMS norm": "yes no no yes no yes",
}
CELLS = {(n, c): cell == "yes" for n, cells in TABLE.items() for c, cell in zip(CHANGES, cells.split())}
every_cell = pytest.mark.parametrize(("norm", "change"), CELLS, ids=map("-".join, CELLS))
every_norm = pytest.mark.parametrize("norm", BEFORE)


def hidden(seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(16, 10)), rng.normal(size=(10, 7)), rng.normal(size=(16, 7))


def slopes(norm, x, w, dy, backward):
    x, w = leaf(x), leaf(w)
    return [g.data for g in tn.grad(BEFORE[norm](x, w, 0.0, backward), [x, w], dy)]


@both_ways
@every_cell
def test_which_changes_each_norm_does_not_notice(norm, change, backward):
    *inputs, _ = hidden()
    before = BEFORE[norm](*inputs, 0.0, backward).data
    k, direction = CHANGES[change]
    inputs[k] = inputs[k] + 2 * direction(inputs[k])
    moved = np.abs(BEFORE[norm](*inputs, 0.0, backward).data - before).max()
    assert moved < 1e-12 if CELLS[norm, change] else moved > 0.5


@both_ways
@every_cell
def test_what_is_not_noticed_has_no_gradient(norm, change, backward):
    """An invariance is a direction the gradient is orthogonal to: ⟨W, ∇⟩ = 0 for all five; ⟨w, ∇⟩ = 0 for each neuron of
    batch and weight norm only; with layer norm the gradient sums to zero over the neurons."""
    *inputs, dy = hidden(1)
    k, direction = CHANGES[change]
    along, gradient = direction(inputs[k]), slopes(norm, *inputs, dy, backward)[k]
    cosine = abs(np.sum(along * gradient)) / np.linalg.norm(along) / np.linalg.norm(gradient)
    assert cosine < 1e-13 if CELLS[norm, change] else cosine > 1e-3


@both_ways
@every_norm
@settings(max_examples=5)
@given(seed=SEEDS, delta=st.floats(0.1, 10))
def test_larger_weights_get_smaller_gradients(norm, backward, seed, delta):
    """∇(δ·W) = ∇(W)/δ. And −δ turns the output of all five, so that only δ > 0 goes unnoticed."""
    x, w, dy = hidden(seed)
    (dx, dw), (same_dx, smaller_dw) = (slopes(norm, x, k * w, dy, backward) for k in (1.0, delta))
    near(smaller_dw * delta, dw, scale=np.abs(dw), tolerance=1e-11)
    near(same_dx, dx, scale=np.abs(dx), tolerance=1e-11)
    y, turned = (BEFORE[norm](x, k * w, 0.0, backward).data for k in (1.0, -delta))
    near(turned, -y, tolerance=1e-11)


@both_ways
@every_norm
@settings(max_examples=5)
@given(seed=SEEDS, rate=st.floats(0.01, 1))
def test_under_plain_gradient_descent_weights_can_only_grow(norm, backward, seed, rate):
    """‖W − η∇‖² = ‖W‖² + η²‖∇‖², exactly; for batch and weight norm neuron by neuron."""
    x, w, dy = hidden(seed)
    by_neuron = CELLS[norm, "one neuron re-scaled"]
    axes = 0 if by_neuron else (0, 1)
    for _ in range(3):
        step = rate * slopes(norm, x, w, dy, backward)[1]
        after = w - step
        np.testing.assert_allclose((after**2).sum(axes), (w**2).sum(axes) + (step**2).sum(axes), rtol=1e-13)
        assert by_neuron or np.abs((w * step).sum(0)).max() > 1e-6 * np.linalg.norm(w) * np.linalg.norm(step)
        w = after


@both_ways
def test_what_the_table_leaves_out(backward):
    """It is exact without ε and without a bias before the norm: with ε, W·δ does what ε/δ² would; with a bias, δ·W is
    another function."""
    x, w, _ = hidden(2)
    for norm in ("layer norm", "RMS norm", "batch norm", "weight norm"):
        y = {d: BEFORE[norm](x, d * w, 1e-5, backward).data for d in (1, 0.1, 0.001)}
        away = [np.abs(y[d] - y[1]).max() for d in (0.1, 0.001)]
        assert 1e-5 < away[0] < 0.01, norm
        assert away[1] > 0.5, norm
        near(y[0.1], BEFORE[norm](x, w, 1e-3, backward).data, tolerance=1e-11)
    a, bias = x @ w, VECTOR[:7]
    for f in (lambda a: F.layer_norm(a, 7, eps=0.0, backward=backward), lambda a: F.rms_norm(a, 7, None, 0.0, backward)):
        assert np.abs(f(3 * a + bias).data - f(a + bias).data).max() > 0.5
    centred = [F.batch_norm(k * a + bias, training=True, eps=0.0, backward=backward).data for k in (1, 3)]
    near(*centred)  # over the batch a bias is taken out again
