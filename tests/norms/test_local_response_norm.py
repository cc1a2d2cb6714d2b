"""Local response normalization: which channels are neighbours, and in whose window a channel is when windows are even."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import tinygrad_norm as tn
from tests import oracles

F = tn.functional
WAYS = ("recorded", "analytic")
both_ways = pytest.mark.parametrize("backward", WAYS)
every_size = pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 12])


def random(*shape, seed=0):
    return np.random.default_rng(seed + sum(shape)).normal(0.3, 1.2, shape)


def by_definition(x, size, alpha, beta, k):
    """Channel by channel, over arrays real or complex."""
    y = np.empty_like(x)
    for c in range(x.shape[1]):
        low, high = max(0, c - size // 2), min(x.shape[1], c + (size - 1) // 2 + 1)
        y[:, c] = x[:, c] * (k + alpha / size * (x[:, low:high] ** 2).sum(1)) ** -beta
    return y


@both_ways
@every_size
@pytest.mark.parametrize("shape", [(2, 5, 3), (1, 1, 2), (2, 4, 2, 2), (1, 3, 2, 1, 2)])
def test_against_complex_step(backward, size, shape):
    data, dy = random(*shape), random(*shape, seed=1)
    how = {"size": size, "alpha": 1.7, "beta": 0.6, "k": 0.4}
    x = tn.tensor(data, requires_grad=True)
    y = F.local_response_norm(x, **how, backward=backward)
    np.testing.assert_allclose(y.data, by_definition(data, **how), rtol=1e-13)
    expected = oracles.gradient(lambda x: by_definition(x, **how), [data], 0, dy)
    np.testing.assert_allclose(tn.grad(y, x, dy)[0].data, expected, atol=1e-14)


@both_ways
@every_size
@pytest.mark.parametrize("shape", [(2, 5, 3), (2, 4, 2, 2)])
def test_beside_torch_at_three_orders(backward, size, shape):
    torch = pytest.importorskip("torch")
    from tests.engine.test_torch_parity import compare

    for how in ({}, {"alpha": 2.0, "beta": 1.25, "k": 0.5}):
        compare(
            lambda x: F.local_response_norm(x, size, **how, backward=backward),  # noqa: B023
            lambda x: torch.nn.functional.local_response_norm(x, size, **how),  # noqa: B023
            random(*shape),
            order=3,
        )


@both_ways
@pytest.mark.parametrize(("size", "felt"), [(1, [3]), (2, [3, 4]), (3, [2, 3, 4]), (4, [2, 3, 4, 5])])
def test_who_feels_channel_3(backward, size, felt):
    """An even window has its odd channel before: channel 3 is felt one channel further after it."""
    data = np.ones((1, 7, 1))
    louder = data.copy()
    louder[0, 3] = 2.0
    y = [F.local_response_norm(tn.tensor(d), size, 1.0, backward=backward).data[0, :, 0] for d in (data, louder)]
    assert np.flatnonzero(y[0] != y[1]).tolist() == felt
    for c, d in itertools.product(range(7), repeat=2):  # and so says the Jacobian, whose rows are windows
        x = tn.tensor(data, requires_grad=True)
        (dx,) = tn.grad(F.local_response_norm(x, size, 1.0, backward=backward), x, np.eye(7)[c].reshape(1, 7, 1))
        assert bool(dx.data[0, d, 0]) == (c - size // 2 <= d <= c + (size - 1) // 2)


@both_ways
def test_onnx_counts_from_the_other_end(backward):
    """ONNX' even window has the odd channel after: it is ours with the channels the other way round; odd ones are the same."""
    reference = pytest.importorskip("onnx.reference")
    helper = pytest.importorskip("onnx.helper")
    x = random(5, 5, 2, 2).astype("float32")  # as many samples as channels: onnx 1.23's reference counts the wrong axis
    for size in (2, 3, 4):
        node = helper.make_node("LRN", ["x"], ["y"], alpha=0.8, beta=0.75, bias=1.5, size=size)
        (theirs,) = reference.ReferenceEvaluator(node).run(None, {"x": x})
        ours = F.local_response_norm(tn.tensor(x), size, 0.8, 0.75, 1.5, backward).data
        flipped = F.local_response_norm(tn.tensor(x[:, ::-1]), size, 0.8, 0.75, 1.5, backward).data[:, ::-1]
        np.testing.assert_allclose(theirs, flipped, rtol=1e-5)
        assert np.allclose(theirs, ours, rtol=1e-5) == (size % 2 == 1)


@both_ways
def test_the_divisor_stays_n_at_the_ends(backward):
    y = F.local_response_norm(np.full((1, 3, 1), 2.0), 3, 3.0, 1.0, 1.0, backward)
    np.testing.assert_allclose(y.data[0, :, 0], [2 / 9, 2 / 13, 2 / 9])


@both_ways
def test_the_paper_does_not_divide_alpha(backward):
    """Krizhevsky et al.: k = 2, n = 5, α = 1e-4, β = ¾, over Σ, not over the mean: here α is 5e-4."""
    data = random(2, 8, 3) * 40
    expected = np.empty_like(data)
    for c in range(8):
        expected[:, c] = data[:, c] / (2 + 1e-4 * (data[:, max(0, c - 2) : c + 3] ** 2).sum(1)) ** 0.75
    np.testing.assert_allclose(F.local_response_norm(data, 5, 5e-4, 0.75, 2.0, backward).data, expected, rtol=1e-13)


@both_ways
def test_float16_is_computed_in_float32(backward):
    data = (random(2, 5, 3) * 300).astype("float16")  # the squares do not fit
    x, wide = tn.tensor(data, requires_grad=True), tn.tensor(data.astype("float64"), requires_grad=True)
    y, exact = F.local_response_norm(x, 3, 0.1, backward=backward), F.local_response_norm(wide, 3, 0.1)
    assert y.dtype == np.float16
    np.testing.assert_allclose(y.data, exact.data, rtol=1e-3)
    dy = random(2, 5, 3, seed=1).astype("float16")
    (dx,), (expected,) = tn.grad(y, x, dy), tn.grad(exact, wide, dy.astype("float64"))
    assert dx.dtype == np.float16
    np.testing.assert_allclose(dx.data, expected.data, rtol=2e-3, atol=1e-6)


@both_ways
@pytest.mark.parametrize("shape", [(0, 3, 4), (2, 0, 4), (2, 3, 0)])
def test_nothing_in_nothing_out(backward, shape):
    x = tn.tensor(np.zeros(shape), requires_grad=True)
    y = F.local_response_norm(x, 3, backward=backward)
    assert y.shape == tn.grad(y, x, np.zeros(shape))[0].shape == shape


def test_what_bad_input_is_told():
    x = tn.tensor(random(2, 3), name="x")
    with pytest.raises(tn.ShapeError, match=r"local_response_norm: input x \(2, 3\) float64 has 2 axes.*\(N, C, L, …\)"):
        F.local_response_norm(x, 3)
    for size in (0, -1, 2.0):
        error = tn.DTypeError if size == 2.0 else tn.OptionError
        with pytest.raises(error, match=rf"local_response_norm: size={size}; it is a whole number from 1 on"):
            F.local_response_norm(np.ones((1, 2, 3)), size)
    with pytest.raises(tn.DTypeError, match=r"local_response_norm: input \(1, 2, 3\) int64"):
        F.local_response_norm(np.ones((1, 2, 3), "int64"), 3)
    with pytest.raises(ValueError, match=r'"recorded", "analytic" or "compiled"'):
        F.local_response_norm(np.ones((1, 2, 3)), 3, backward="fused")
