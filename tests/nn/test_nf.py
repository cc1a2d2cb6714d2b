"""Networks without normalization: exact gains, predicted variances, and whether a network has them."""

from __future__ import annotations

import math

import numpy as np
import pytest

import tinygrad_norm as tn
from tinygrad_norm import functional as F
from tinygrad_norm import nn
from tinygrad_norm.nn.nf import ACTIVATIONS

# As published with the NF-nets (nfnets/base.py of deepmind-research)
PUBLISHED = {
    "celu": 1.270926833152771,
    "elu": 1.2716004848480225,
    "gelu": 1.7015043497085571,
    "leaky_relu": 1.70590341091156,
    "log_sigmoid": 1.9193484783172607,
    "relu": 1.7139588594436646,
    "relu6": 1.7131484746932983,
    "selu": 1.0008515119552612,
    "sigmoid": 4.803835391998291,
    "silu": 1.7881293296813965,
    "softplus": 1.9203323125839233,
    "softsign": 2.338853120803833,
    "tanh": 1.5939117670059204,
}


class Branch(nn.Module):
    """A standardized layer after a relu with its gain: it keeps the variance."""

    def __init__(self, width, seed):
        layer = nn.Linear(width, width, bias=False, dtype=np.float64, seed=seed)
        self.layer = nn.WeightStandardization(layer)
        self.gamma = nn.activation_gain("relu")

    def forward(self, h):
        return self.layer(h.relu() * self.gamma)


# Gains --------------------------------------------------------------------------------------------------------------


def test_gains_that_have_a_closed_form():
    assert nn.activation_gain("relu") == pytest.approx(math.sqrt(2 / (1 - 1 / math.pi)), rel=1e-14)
    assert nn.activation_gain("relu") == pytest.approx(1.7128585504496627, rel=1e-14)
    assert nn.activation_gain("identity") == pytest.approx(1, rel=1e-14)
    assert nn.activation_gain("selu") == pytest.approx(1, rel=1e-13)  # that is how its constants were chosen
    a = 0.01  # E f² = (1 + a²)/2, E f = (1 − a)/√(2π)
    assert nn.activation_gain("leaky_relu") == pytest.approx(((1 + a**2) / 2 - (1 - a) ** 2 / (2 * math.pi)) ** -0.5, rel=1e-13)
    assert nn.activation_gain("log_sigmoid") == pytest.approx(nn.activation_gain("softplus"), rel=1e-14)
    assert nn.activation_gain(np.exp) == pytest.approx((math.e**2 - math.e) ** -0.5, rel=1e-12)


@pytest.mark.parametrize("name", sorted(ACTIVATIONS))
def test_gains_by_another_quadrature(name):
    """The trapezium rule: exact to rounding for what is smooth, to some step² for a kink at a node."""
    step = 2.0**-12
    z = np.arange(-13, 13 + step, step)
    p = np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi) * step
    f = ACTIVATIONS[name](z)
    variance = np.sum(p * f**2) - np.sum(p * f) ** 2
    assert nn.activation_gain(name) == pytest.approx(variance**-0.5, rel=1e-7)


@pytest.mark.parametrize(("name", "published"), PUBLISHED.items())
def test_the_published_constants_are_a_little_too_large(name, published):
    exact = nn.activation_gain(name)
    assert published == pytest.approx(exact, rel=1e-3)
    assert published > exact * (1 + 5e-5)


@pytest.mark.parametrize(
    ("name", "function"), [("relu", F.relu), ("gelu", F.gelu), ("silu", F.silu), ("softplus", F.softplus), ("tanh", F.tanh)]
)
def test_the_gain_belongs_to_the_activation_of_that_name(name, function):
    z = np.linspace(-4, 4, 33)
    np.testing.assert_allclose(ACTIVATIONS[name](z), function(tn.tensor(z)).data, atol=1e-13)


def test_gains_of_what_there_is_not():
    with pytest.raises(ValueError, match=r"no 'mish'.*gelu.*tanh"):
        nn.activation_gain("mish")
    with pytest.raises(ValueError, match="does not vary"):
        nn.activation_gain(lambda z: 3 + 0 * z)


# Variances ----------------------------------------------------------------------------------------------------------


def test_expected_variances():
    np.testing.assert_allclose(nn.expected_variances(3), [1, 1.04, 1.08, 1.12])
    np.testing.assert_allclose(nn.expected_variances(5, 0.5, transitions=(0, 3), start=7), [7, 1.25, 1.5, 1.75, 1.25, 1.5])
    np.testing.assert_allclose(nn.expected_variances(0), [1])
    with pytest.raises(ValueError, match=r"transitions \[3\].*0 to 2"):
        nn.expected_variances(3, transitions=[0, 3])


def test_a_network_has_the_variances_that_were_expected():
    """At the start, over 12 blocks with transitions at 0, 4 and 8, as published: the same number again and again."""
    width, alpha, depth, transitions = 256, 0.5, 12, (0, 4, 8)
    expected = nn.expected_variances(depth, alpha, transitions)
    h = tn.tensor(np.random.default_rng(0).normal(size=(512, width)))
    found = [np.var(h.data)]
    with tn.no_grad():
        for block in range(depth):
            shortcut = None
            if block in transitions:
                layer = nn.Linear(width, width, bias=False, dtype=np.float64, seed=100 + block)
                shortcut = nn.WeightStandardization(layer)
            module = nn.NFResidual(Branch(width, block), alpha, math.sqrt(expected[block]), shortcut)
            h = module(h)
            found.append(np.mean(np.var(h.data, axis=0)))
    np.testing.assert_allclose(found, expected, rtol=0.04)
    assert max(found) > 1.9
    np.testing.assert_allclose(np.array(found)[[1, 5, 9]], 1.25, rtol=0.04)


# The block ----------------------------------------------------------------------------------------------------------


def test_the_block_is_its_formula_and_learns():
    rng = np.random.default_rng(0)
    x = tn.tensor(rng.normal(size=(3, 4)), requires_grad=True)
    dy = rng.normal(size=(3, 4))
    branch, shortcut = (nn.Linear(4, 4, dtype=np.float64, seed=s) for s in (1, 2))
    for plain, module in (
        (lambda: x + 0.3 * branch(x / 1.7), nn.NFResidual(branch, 0.3, 1.7)),
        (lambda: shortcut(x / 1.7) + 0.3 * branch(x / 1.7), nn.NFResidual(branch, 0.3, 1.7, shortcut)),
    ):
        y = module(x)
        np.testing.assert_allclose(y.data, plain().data, rtol=1e-13, atol=1e-15)
        leaves = [x, *module.parameters()]
        assert len(leaves) == (3 if module.shortcut is None else 5)
        for a, e in zip(tn.grad(y, leaves, dy), tn.grad(plain(), leaves, dy)):
            np.testing.assert_allclose(a.data, e.data, atol=1e-13)


def test_skip_init_starts_as_the_identity_and_learns_only_its_gain_at_first():
    rng = np.random.default_rng(0)
    x, dy = tn.tensor(rng.normal(size=(3, 4))), rng.normal(size=(3, 4))
    branch = nn.Linear(4, 4, dtype=np.float64, seed=1)
    module = nn.NFResidual(branch, 0.3, 1.7, skip_init=True, dtype=np.float64)
    y = module(x)
    np.testing.assert_array_equal(y.data, x.data)
    y.backward(dy)
    np.testing.assert_allclose(module.gain.weight.grad.data, np.sum(dy * 0.3 * branch(x / 1.7).data), rtol=1e-13)
    np.testing.assert_array_equal(branch.weight.grad.data, 0)
    assert list(module.state_dict()) == ["branch.weight", "branch.bias", "gain.weight"]
    module.gain.weight.data = np.array(2.0)
    np.testing.assert_allclose(module(x).data, (x + 0.6 * branch(x / 1.7)).data, rtol=1e-13)


def test_the_dtype_stays():
    module = nn.NFResidual(nn.Linear(4, 4, seed=1), beta=1.3, skip_init=True)
    assert module(np.ones((2, 4), "float32")).dtype == np.float32


def test_a_standard_deviation_is_above_zero():
    with pytest.raises(ValueError, match="beta=0"):
        nn.NFResidual(nn.Linear(4, 4), beta=0)
