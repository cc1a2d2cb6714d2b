"""BatchRenorm and PowerNorm as modules: schedules, running statistics, and ν, which no optimizer may see."""

from __future__ import annotations

import copy

import numpy as np
import pytest

import tinygrad_norm as tn
from tinygrad_norm.nn import BatchRenorm1d, BatchRenorm2d, Module, PowerNorm
from tinygrad_norm.nn.renorms import paper_ramp

F = tn.functional
both_ways = pytest.mark.parametrize("backward", ["recorded", "analytic"])


def test_the_papers_ramp():
    assert paper_ramp(0) == paper_ramp(5_000) == (1.0, 0.0)
    assert paper_ramp(15_000) == pytest.approx((1 + 2 * 10 / 35, 2.5))
    assert paper_ramp(25_000) == pytest.approx((1 + 2 * 20 / 35, 5.0))
    assert paper_ramp(40_000) == paper_ramp(10**9) == (3.0, 5.0)


@both_ways
def test_batch_renorm_follows_its_schedule(rng, backward):
    asked = []

    def schedule(step):
        asked.append(step)
        return (1.0, 0.0) if step < 2 else (np.inf, np.inf)

    norm = BatchRenorm1d(3, momentum=0.5, schedule=schedule, dtype="float64", backward=backward)
    norm.weight.data, norm.bias.data = rng.normal(size=3), rng.normal(size=3)
    x = tn.tensor(rng.normal(1, 2, (6, 3)))
    plain = F.batch_norm(x, None, None, norm.weight, norm.bias, True)
    for _ in range(2):
        np.testing.assert_allclose(norm(x).data, plain.data, atol=1e-13)
    norm.eval()
    expected = norm(x)
    assert np.abs(expected.data - plain.data).max() > 0.01
    norm.train()
    np.testing.assert_allclose(norm(x).data, expected.data, atol=1e-12)
    assert asked == [0, 1, 2, 2]  # inference counts for nothing
    np.testing.assert_allclose(norm.running_std.data, x.data.std(0) + 0.5**3 * (1 - x.data.std(0)), rtol=1e-4)  # ε


def test_batch_renorm_starts_as_batch_norm_and_keeps_state(rng):
    norm = BatchRenorm2d(3)
    assert list(norm.state_dict()) == ["weight", "bias", "running_mean", "running_std", "num_batches_tracked"]
    assert [n for n, _ in norm.named_parameters()] == ["weight", "bias"]
    x = tn.tensor(rng.normal(2, 3, (4, 3, 2, 5)), "float32")
    np.testing.assert_allclose(norm(x).data, F.batch_norm(x, training=True).data, atol=1e-6)
    other = BatchRenorm2d(3)
    other.load_state_dict(norm.state_dict())
    assert other.num_batches_tracked.item() == 1
    np.testing.assert_array_equal(other.eval()(x).data, norm.eval()(x).data)
    assert norm(x).dtype == np.float32
    assert BatchRenorm1d(3, affine=False).state_dict().keys() == {"running_mean", "running_std", "num_batches_tracked"}
    assert repr(norm) == "BatchRenorm2d(3, eps=1e-05, momentum=0.01, affine=True)"


def test_messages():
    with pytest.raises(tn.ShapeError, match=r"BatchRenorm2d: input \(4, 3\) float64.*\(got 2D input\): \(N, C, H, W\)"):
        BatchRenorm2d(3)(np.ones((4, 3)))
    with pytest.raises(tn.ShapeError, match=r"BatchRenorm1d: .*\(got 4D input\): \(N, C\) or \(N, C, L\)"):
        BatchRenorm1d(3)(np.ones((4, 3, 2, 2)))
    for layer in (BatchRenorm1d(3), PowerNorm(3)):
        with pytest.raises(tn.ShapeError, match=r"has 2 channels \(axis 1\), the layer was made for 3"):
            layer(np.ones((4, 2)))
    with pytest.raises(tn.ShapeError, match=r"PowerNorm: input \(3,\) float64.*\(got 1D input\): \(N, C\) or \(N, C, \*\)"):
        PowerNorm(3)(np.ones(3))


# PowerNorm --------------------------------------------------------------------------------------------------------


class Reference:
    """PowerNorm's algorithm 2 in NumPy, keeping the backward pass's memory as the authors' code does: ν/(1 − α)."""

    def __init__(self, channels, alpha_fwd, alpha_bkw, eps, warmup):
        self.phi, self.memory, self.steps = np.ones(channels), np.zeros(channels), 0
        self.alpha_fwd, self.alpha_bkw, self.eps, self.warmup = alpha_fwd, alpha_bkw, eps, warmup

    def step(self, x, w, b, dy):
        self.steps += 1
        square, warm = (x**2).mean(0), self.steps <= self.warmup
        psi = np.sqrt((square if warm else self.phi) + self.eps)
        z = x / psi
        share = 1 / self.steps if warm else 1 - self.alpha_fwd
        self.phi = (1 - share) * self.phi + share * square
        rest = dy * w - (1 - self.alpha_bkw) * self.memory * z
        self.memory = self.memory + (rest * z).mean(0)
        return z * w + b, rest / psi, (dy * z).sum(0)


@pytest.mark.parametrize("warmup", [0, 10])
def test_power_norm_is_the_algorithm(rng, warmup):
    norm = PowerNorm(3, 0.7, 0.8, 1e-3, warmup, dtype="float64")
    reference = Reference(3, 0.7, 0.8, 1e-3, warmup)
    norm.bias.data = rng.normal(size=3)
    for _ in range(25):
        norm.weight.data = rng.normal(size=3)
        x = tn.tensor(rng.normal(0.5, 2, (8, 3)), requires_grad=True)
        dy = rng.normal(size=(8, 3))
        y = norm(x)
        norm.zero_grad()
        y.backward(dy)
        expected = reference.step(x.data, norm.weight.data, norm.bias.data, dy)
        for found, value in zip((y, x.grad, norm.weight.grad), expected):
            np.testing.assert_allclose(found.data, value, rtol=1e-11, atol=1e-13)
        state = norm.state_dict()
        np.testing.assert_allclose(state["nu"], (1 - 0.8) * reference.memory, rtol=1e-11, atol=1e-14)
        np.testing.assert_allclose(state["running_phi"], reference.phi, rtol=1e-12)
    assert state["num_batches_tracked"] == 25


def test_nu_stays_bounded(rng):
    """400 steps against a cotangent that keeps pointing along x̂: ν settles at its share, and does not run away."""
    norm = PowerNorm(4, warmup_iters=0, dtype="float64")
    share, sizes = np.array([0.0, 0.2, -0.3, 0.5]), []
    for _ in range(400):
        x = tn.tensor(rng.normal(0, 3, (64, 4)), requires_grad=True)
        y = norm(x)
        y.backward(share * y.data + 0.3 * rng.normal(size=y.shape))
        sizes.append(np.abs(norm.state_dict()["nu"]).max())
    assert max(sizes) < 1
    np.testing.assert_allclose(norm.state_dict()["nu"], share, atol=0.1)


def test_nu_is_state_and_no_parameter(rng):
    class Net(Module):
        def __init__(self):
            self.norm = PowerNorm(3, warmup_iters=0)

        def forward(self, x):
            return self.norm(x)

    net = Net()
    x, dy = (rng.normal(size=(6, 3)).astype("float32") for _ in range(2))
    net(tn.tensor(x)).backward(dy)
    assert [n for n, _ in net.named_parameters()] == ["norm.weight", "norm.bias"]
    assert {n for n, _ in net.named_buffers()} == {"norm.running_phi", "norm.nu", "norm.num_batches_tracked"}
    assert set(net.state_dict()) == {f"norm.{n}" for n in ("weight", "bias", "running_phi", "nu", "num_batches_tracked")}
    assert np.abs(net.norm.nu.data).max() > 0
    assert net.norm.nu.dtype == np.float32


def batches(rng, n):
    return [(rng.normal(size=(6, 3)), rng.normal(size=(6, 3))) for _ in range(n)]


def train(norm, data):
    for x, dy in data:
        norm(tn.tensor(x)).backward(dy)
    return norm


@pytest.mark.parametrize("how", ["saved", "copied"])
def test_stopping_and_going_on_is_going_on(rng, how):
    """A step that the last backward pass left is in the saved state, and in a copy."""
    data = batches(rng, 6)
    through = train(PowerNorm(3, warmup_iters=2, dtype="float64"), data)
    stopped = train(PowerNorm(3, warmup_iters=2, dtype="float64"), data[:3])
    if how == "copied":
        other = copy.deepcopy(stopped)
    else:
        other = PowerNorm(3, warmup_iters=2, dtype="float64")
        train(other, data[3:4])  # loading also replaces a step that is still waiting
        other.load_state_dict(stopped.state_dict())
    train(other, data[3:])
    for name, value in through.state_dict().items():
        np.testing.assert_array_equal(other.state_dict()[name], value, err_msg=name)


def test_looking_at_the_state_takes_each_step_once(rng):
    data = batches(rng, 4)
    plain = train(PowerNorm(3, warmup_iters=0, dtype="float64"), data)
    watched = PowerNorm(3, warmup_iters=0, dtype="float64")
    for x, dy in data:
        watched.state_dict()
        y = watched(tn.tensor(x))
        watched.zero_grad()
        y.backward(dy)
        for _ in range(3):
            list(watched.parameters())
    np.testing.assert_array_equal(watched.state_dict()["nu"], plain.state_dict()["nu"])


def test_a_new_nu_takes_no_step_of_an_old_one(rng):
    (x, dy), mine = batches(rng, 1)[0], np.array([0.5, -0.5, 1.0])
    norm = PowerNorm(3, warmup_iters=0, dtype="float64")
    y = norm(tn.tensor(x))
    norm.nu.data = mine  # before the old record went backward
    y.backward(dy)
    np.testing.assert_array_equal(norm.state_dict()["nu"], mine)
    train(norm, [(x, dy)])
    before, norm.nu.data = norm.nu.data, mine  # while a step waits: it belonged to these very numbers
    assert np.abs(norm.state_dict()["nu"] - mine).max() > 0.01
    np.testing.assert_array_equal(before, mine)
    norm.nu.data = mine  # but it is taken once
    np.testing.assert_array_equal(norm.state_dict()["nu"], mine)


def test_a_loaded_nu_is_the_one_used(rng):
    (x, dy), mine = batches(rng, 1)[0], np.array([0.5, -0.5, 1.0])
    norm = PowerNorm(3, warmup_iters=0, dtype="float64")
    norm(tn.tensor(x))  # no backward pass follows
    norm.load_state_dict({**PowerNorm(3).state_dict(), "nu": mine})
    leaf = tn.tensor(x, requires_grad=True)
    norm(leaf).backward(dy)
    psi = np.sqrt(1 + 1e-5)
    np.testing.assert_allclose(leaf.grad.data, (dy - mine * x / psi) / psi, rtol=1e-12, atol=1e-14)


def test_steps_of_several_batches_add_up(rng):
    (x1, dy1), (x2, dy2) = batches(rng, 2)
    norm = PowerNorm(3, alpha_bkw=0.5, warmup_iters=9, dtype="float64")
    y1, y2 = norm(tn.tensor(x1)), norm(tn.tensor(x2))
    y1.backward(dy1)
    y2.backward(dy2)
    steps = [(dy * x / np.sqrt((x**2).mean(0) + 1e-5)).mean(0) for x, dy in ((x1, dy1), (x2, dy2))]
    np.testing.assert_allclose(norm.state_dict()["nu"], 0.5 * (steps[0] + steps[1]), rtol=1e-12)


@both_ways
def test_inference_uses_phi_and_changes_nothing(rng, backward):
    norm = train(PowerNorm(3, warmup_iters=0, dtype="float64", backward=backward), batches(rng, 3)).eval()
    before = norm.state_dict()
    x, dy = tn.tensor(rng.normal(size=(6, 3)), requires_grad=True), rng.normal(size=(6, 3))
    y = norm(x)
    psi = np.sqrt(before["running_phi"] + 1e-5)
    np.testing.assert_allclose(y.data, x.data / psi, rtol=1e-13)
    y.backward(dy)
    np.testing.assert_allclose(x.grad.data, dy / psi, rtol=1e-13)  # the gradient: ν is for training
    for name, value in norm.state_dict().items():
        np.testing.assert_array_equal(value, before[name])


def test_the_recorded_gradient_leaves_nu(rng):
    norm = train(PowerNorm(3, warmup_iters=0, dtype="float64", backward="recorded"), batches(rng, 3))
    np.testing.assert_array_equal(norm.state_dict()["nu"], np.zeros(3))
    published = PowerNorm(3, warmup_iters=0, dtype="float64")
    x, dy = batches(rng, 1)[0]
    tn.grad(published(tn.tensor(x)), published.weight, dy)
    np.testing.assert_array_equal(published.state_dict()["nu"], np.zeros(3))


def test_an_empty_batch_counts_for_nothing():
    for norm in (PowerNorm(3), BatchRenorm1d(3)):
        before = norm.state_dict()
        with np.errstate(invalid="ignore"):
            assert norm(np.zeros((0, 3), "float32")).shape == (0, 3)
        for name, value in norm.state_dict().items():
            np.testing.assert_array_equal(value, before[name])


def test_power_norm_prints():
    assert repr(PowerNorm(3)) == "PowerNorm(3, alpha_fwd=0.9, alpha_bkw=0.9, eps=1e-05, warmup_iters=10000, affine=True)"
