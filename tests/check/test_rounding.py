"""What rounding may do: the running analysis bounds what single precision does, is not vacuous, and hides nothing a hundred times larger."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_norm as tn
from tinygrad_norm.check.bench import Subject
from tinygrad_norm.check.rounding import Rounded, reach, roundings
from tinygrad_norm.engine import Op, grad, tensor

F = tn.functional
W = np.random.default_rng(9).normal(size=(6, 5))

FUNCTIONS = {
    "layer norm": lambda x: F.layer_norm(x, 6),
    "layer norm, analytic": lambda x: F.layer_norm(x, 6, backward="analytic"),
    "layer norm of a large mean": lambda x: F.layer_norm(x + 100.0, 6),
    "layer norm, summed": lambda x: F.layer_norm(x, 6).sum(),
    "softmax of large logits": lambda x: F.softmax(x * 30.0, -1),
    "log softmax": lambda x: F.log_softmax(x * 10.0, -1),
    "logsumexp": lambda x: tn.exp(x).sum(dim=-1).log(),
    "sigmoid, saturated": lambda x: tn.sigmoid(x * 30.0),
    "tanh, saturated": lambda x: tn.tanh(x * 10.0),
    "gelu": lambda x: F.gelu(x * 3.0),
    "erf": lambda x: tn.erf(x * 3.0),
    "a product": lambda x: x.prod(dim=1),
    "running sums": lambda x: x.cumsum(dim=1) ** 2,
    "matrices": lambda x: tn.tanh(x @ W.astype(x.dtype)) @ W.T.astype(x.dtype),
    "einsum": lambda x: tn.einsum("ij,kj->ik", x, x) ** 3,
    "attention": lambda x: F.scaled_dot_product_attention(x * 5.0, x * 5.0, x),
    "convolution": lambda x: F.conv1d(x.reshape(1, 4, 6), x.reshape(-1)[:8].reshape(1, 4, 2)) ** 2,
    "what cancels": lambda x: tn.sin(x) - x,
    "a quotient": lambda x: x / (x * x + 0.01),
    "slices": lambda x: tn.concatenate([x[:, :3] * x[:, 3:], x[1:, 2:5]], axis=0).sum(axis=0) ** 2,
    "with kinks": lambda x: tn.relu(x).max(axis=1) * abs(x).sum(axis=1),
}


def bound_of(f, x, dtype):
    """The gradient in that dtype, that in double precision of the same numbers, and per entry what rounding may do."""
    dy = np.random.default_rng(1).normal(size=f(tensor(x)).shape).astype(dtype).astype(float)
    found = []
    for kind in (dtype, "float64"):
        leaf = tensor(x.astype(kind), requires_grad=True)
        found += grad(f(leaf), leaf, tensor(dy.astype(kind), requires_grad=True), create_graph=True)
    return found[0].numpy().astype(float), found[1].numpy(), roundings(found[1], least=1e-31) * np.finfo(dtype).eps / 2


@pytest.mark.parametrize("name", FUNCTIONS)
def test_single_precision_stays_within_the_bound(name):
    ratios = []
    for seed in range(20):
        x = np.random.default_rng(seed).normal(size=(4, 6)).astype("float32").astype(float)
        single, double, bound = bound_of(FUNCTIONS[name], x, "float32")
        off = np.abs(single - double)
        assert np.all(off <= 2 * bound), (seed, np.max(off / bound))
        ratios.append(np.max(off / bound))
    assert np.max(ratios) > 1e-3, "the bound is so wide that it bounds nothing"


@pytest.mark.parametrize("name", sorted(FUNCTIONS.keys() - {"with kinks"}))
@pytest.mark.costly(2)
def test_one_entry_off_by_a_hundred_times_its_bound_is_found(name):
    f = FUNCTIONS[name]
    for seed in range(3):
        x = np.random.default_rng(seed).normal(size=(4, 6))
        assert tn.check_grads(f, x, order=1, modes=["reverse"], seed=seed).ok
        subject = Subject.of(f, x, 1, np.random.default_rng(seed))
        (bound,) = subject.bounds(1)
        shift = np.zeros(x.shape)
        at = np.unravel_index(np.random.default_rng(seed).integers(x.size), x.shape)
        shift[at] = 100 * bound[at] * subject.unit

        planted = Op("planted", "{0}", lambda x: x * 1.0, (lambda g, out, x, shift=shift: g + shift,), elementwise=True)
        found = tn.check_grads(lambda x, planted=planted: f(planted(x)), x, order=1, modes=["reverse"], seed=seed)
        assert not found.ok, (name, seed, shift[at], str(found))


def test_what_is_exact_has_no_rounding():
    x = tensor(np.arange(6.0).reshape(2, 3), requires_grad=True)
    assert roundings((-x).reshape(3, 2).T[1:]).max() < 1e-200
    assert roundings(x).max() == 0


def test_errors_of_the_operands_are_passed_on_by_the_slope():
    (x,) = (Rounded(np.array([2.0, 0.0]), np.array([3.0, 3.0])),)
    from tinygrad_norm.engine.primitives import exp, mul

    assert mul(x, 5.0).error.tolist() == pytest.approx([15 + 10, 15])
    assert exp(x).error.tolist() == pytest.approx([np.exp(2) * (3 + 8), 3 + 8])


def test_reach_takes_no_notice_of_signs():
    x = tensor(np.array([1.0, 2.0]), requires_grad=True)
    y = (x - x[::-1]).sum()
    assert reach(y, {x: np.array([1.0, -1.0])}) >= 4


def test_an_operation_that_nobody_knows_is_shaken():
    def normalized(a):
        return (a - a.mean(-1, keepdims=True)) / a.std(-1, keepdims=True)

    opaque = Op("opaque", "o({0})", normalized, (lambda g, out, x: g,))
    small, large = (opaque(tensor(np.random.default_rng(0).normal(size=(2, 9)) + m, requires_grad=True)) for m in (0, 1e6))
    assert 1e5 < roundings(large).max() / roundings(small).max() < 1e8
