"""Initial values: exact structure where there is one, moments and bounds where it is chance."""

from __future__ import annotations

import math

import numpy as np
import pytest

import tinygrad_norm as tn
from tinygrad_norm.nn import init

N = (300, 20, 5, 4)  # fan_in 400, fan_out 6000, 120,000 entries


def weights(shape=N, dtype="float64"):
    return tn.zeros(shape, dtype=dtype, requires_grad=True)


def normal_density(z):
    return math.exp(-z * z / 2) / math.sqrt(2 * math.pi)


def check(x, mean, std):
    """Mean and variance of so many draws, to 5 standard errors (those of the variance as if normal, the widest here)."""
    assert x.mean() == pytest.approx(mean, abs=5 * std / math.sqrt(x.size))
    assert x.var() == pytest.approx(std**2, rel=5 * math.sqrt(2 / x.size))


UNIFORM = [
    (lambda w: init.uniform_(w, -1, 3), -1, 3),
    (lambda w: init.xavier_uniform_(w, 2), *(s * 2 * math.sqrt(6 / 6400) for s in (-1, 1))),
    (lambda w: init.kaiming_uniform_(w, a=math.sqrt(5)), *(s / 20 for s in (-1, 1))),
    (lambda w: init.kaiming_uniform_(w, mode="fan_out", nonlinearity="relu"), *(s * math.sqrt(6 / 6000) for s in (-1, 1))),
]
NORMAL = [
    (lambda w: init.normal_(w, 3, 2), 3, 2),
    (lambda w: init.xavier_normal_(w), 0, math.sqrt(2 / 6400)),
    (lambda w: init.kaiming_normal_(w), 0, math.sqrt(2 / 400)),
    (lambda w: init.kaiming_normal_(w, mode="fan_out", nonlinearity="tanh"), 0, 5 / 3 / math.sqrt(6000)),
]


@pytest.mark.parametrize(("fill", "a", "b"), UNIFORM)
def test_uniform(fill, a, b):
    tn.manual_seed(0)
    w = weights()
    assert fill(w) is w
    check(w.data, (a + b) / 2, (b - a) / math.sqrt(12))
    assert a <= w.data.min() < a + 1e-3 * (b - a)
    assert b >= w.data.max() > b - 1e-3 * (b - a)


@pytest.mark.parametrize(("fill", "mean", "std"), NORMAL)
def test_normal(fill, mean, std):
    tn.manual_seed(0)
    w = weights()
    assert fill(w) is w
    check(w.data, mean, std)
    z = (w.data - mean) / std
    assert np.mean(z**4) == pytest.approx(3, abs=5 * math.sqrt(96 / z.size))  # var(z⁴) = 96


@pytest.mark.parametrize(("a", "b"), [(-2, 2), (-0.1, 0.1), (1, 2), (3, 50), (-60, -4), (8, 8.01), (-0.02, 5)])
def test_truncated(a, b):
    """Mean and variance of the truncated normal, by its density summed up."""
    w = weights((50000,))
    assert init.trunc_normal_(w, mean=1.0, std=2.0, a=1 + 2 * a, b=1 + 2 * b, generator=tn.Generator(1)) is w
    z = (w.data - 1) / 2
    assert a - 1e-12 <= z.min() <= z.max() <= b + 1e-12
    nearest = min(max(0, a), b)
    at = np.linspace(max(a, nearest - 12), min(b, nearest + 12), 200001)
    p = np.exp((nearest**2 - at**2) / 2)
    p /= p.sum()
    mean = (p * at).sum()
    std = math.sqrt((p * (at - mean) ** 2).sum())
    fourth = (p * (at - mean) ** 4).sum()
    assert z.mean() == pytest.approx(mean, abs=5 * std / math.sqrt(z.size))
    assert z.var() == pytest.approx(std**2, abs=5 * math.sqrt((fourth - std**4) / z.size))


@pytest.mark.parametrize("shape", [(5, 5), (3, 8), (9, 4), (6, 2, 2, 1), (1, 4)])
@pytest.mark.parametrize("gain", [1, 1.5])
def test_orthogonal(shape, gain):
    w = weights(shape)
    init.orthogonal_(w, gain)
    m = w.data.reshape(shape[0], -1)
    m = m if m.shape[0] <= m.shape[1] else m.T
    np.testing.assert_allclose(m @ m.T, gain**2 * np.eye(len(m)), atol=1e-13)


def test_every_orthogonal_matrix_is_equally_likely():
    """Then the diagonal is as often above 0 as below; QR alone leaves it mostly on one side."""
    generator, w = tn.Generator(0), weights((3, 3))
    signs = np.array([np.sign(np.diag(init.orthogonal_(w, generator=generator).data)) for _ in range(400)])
    assert np.abs(signs.mean(0)).max() < 5 / math.sqrt(400)


def test_constants():
    w = weights((2, 3), "float32")
    np.testing.assert_array_equal(init.constant_(w, 0.5).data, np.full((2, 3), 0.5))
    np.testing.assert_array_equal(init.ones_(w).data, np.ones((2, 3)))
    np.testing.assert_array_equal(init.eye_(w).data, np.eye(2, 3))
    np.testing.assert_array_equal(init.zeros_(w).data, np.zeros((2, 3)))
    assert w.dtype == np.float32
    assert w.requires_grad
    assert w.is_leaf


@pytest.mark.parametrize("groups", [1, 2])
def test_dirac_hands_on_what_comes(groups):
    conv = tn.nn.Conv2d(4, 4, 3, padding=1, bias=False, groups=groups, dtype="float64")
    init.dirac_(conv.weight, groups)
    x = np.random.default_rng(0).normal(size=(2, 4, 5, 6))
    np.testing.assert_array_equal(conv(tn.tensor(x)).data, x)


@pytest.mark.parametrize(("shape", "groups"), [((4, 2, 3), 1), ((4, 2, 3, 2), 2), ((2, 5, 3, 3, 3), 1), ((6, 1, 4), 3)])
def test_dirac_as_pytorch(shape, groups):
    torch = pytest.importorskip("torch")
    expected = torch.nn.init.dirac_(torch.empty(shape), groups).numpy()
    np.testing.assert_array_equal(init.dirac_(weights(shape), groups).data, expected)


def test_gains_as_pytorch():
    torch = pytest.importorskip("torch")
    for word in init._GAINS:
        assert init.calculate_gain(word) == pytest.approx(torch.nn.init.calculate_gain(word), rel=1e-15)
    assert init.calculate_gain("leaky_relu", 0.3) == pytest.approx(torch.nn.init.calculate_gain("leaky_relu", 0.3), rel=1e-15)


RANDOM = [*(f for f, *_ in UNIFORM), *(f for f, *_ in NORMAL), init.trunc_normal_, init.orthogonal_]


@pytest.mark.parametrize("fill", RANDOM)
def test_the_same_source_as_everywhere(fill):
    w, numbers = weights((6, 7)), []
    for seed in (1, 1, 2):
        tn.manual_seed(seed)
        numbers.append(np.array(fill(w).data))
    with tn.drawing_from(tn.Generator(1)):
        numbers.append(np.array(fill(w).data))
    np.testing.assert_array_equal(numbers[0], numbers[1])
    np.testing.assert_array_equal(numbers[0], numbers[3])
    assert not np.array_equal(numbers[0], numbers[2])
    for name in ("uniform_", "normal_", "xavier_uniform_", "xavier_normal_", "kaiming_uniform_", "kaiming_normal_"):
        a, b = (np.array(getattr(init, name)(w, generator=tn.Generator(5)).data) for _ in range(2))
        np.testing.assert_array_equal(a, b)


def test_old_records_refuse():
    w = tn.ones(2, 2, requires_grad=True)
    y = (w * w).sum()
    init.zeros_(w)
    with pytest.raises(tn.InPlaceError):
        y.backward()


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: init.zeros_(3), tn.DTypeError, "zeros_: 3 is no tensor"),
        (lambda: init.ones_(weights((2,)) * 2), tn.InPlaceError, "ones_: .* was computed by mul"),
        (lambda: init.xavier_uniform_(weights((2,))), tn.ShapeError, r"xavier_uniform_: \(2,\) float64 has 1 axes; fan_in"),
        (lambda: init.kaiming_normal_(3), tn.DTypeError, "kaiming_normal_: 3 is no tensor"),
        (lambda: init.kaiming_normal_(weights(), mode="fan"), tn.OptionError, "kaiming_normal_: mode='fan'"),
        (lambda: init.kaiming_uniform_(weights(), nonlinearity="gelu"), tn.OptionError, "kaiming_uniform_: nonlinearity='gelu'"),
        (lambda: init.calculate_gain("gelu"), tn.OptionError, "calculate_gain: nonlinearity='gelu'"),
        (lambda: init.uniform_(weights(), 2, 1), tn.OptionError, "uniform_: from a=2 to b=1"),
        (lambda: init.normal_(weights(), std=-1), tn.OptionError, "normal_: std=-1"),
        (lambda: init.trunc_normal_(weights(), a=1, b=1), tn.OptionError, "trunc_normal_: from a=1 to b=1"),
        (lambda: init.eye_(weights()), tn.ShapeError, "eye_: .* has 4 axes; it takes a matrix"),
        (lambda: init.dirac_(weights((2, 2))), tn.ShapeError, "dirac_: .* has 2 axes"),
        (lambda: init.dirac_(weights((3, 2, 2)), 2), tn.ShapeError, "groups=2 must divide its 3"),
        (lambda: init.orthogonal_(weights((3,))), tn.ShapeError, "orthogonal_: .* has 1 axes"),
        (lambda: init.normal_(weights(), generator=3), tn.DTypeError, "normal_: generator is int"),
    ],
)
def test_misuse_is_named(make, error, words):
    with pytest.raises(error, match=words):
        make()
