"""A module called with foreign tensors: their values, their gradients, and the module as it was."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_norm as tn
from tinygrad_norm import nn


class Net(nn.Module):
    def __init__(self):
        self.blocks = [nn.Linear(3, 4, dtype="float64", seed=0), nn.BatchNorm1d(4, dtype="float64")]
        self.scale = tn.tensor([2.0], requires_grad=True)

    def forward(self, x, power=1):
        for block in self.blocks:
            x = block(x)
        if power is None:
            raise ValueError("on purpose")
        return x * self.scale**power


X = np.random.default_rng(0).normal(size=(5, 3))


def foreign(net, seed=1):
    rng = np.random.default_rng(seed)
    named = dict(net.named_parameters())
    return {k: tn.tensor(rng.normal(size=p.shape) + 1, requires_grad=True) for k, p in named.items()}


def test_as_if_they_were_its_own():
    net, other = Net(), Net()
    given = foreign(net)
    own = dict(net.named_parameters())
    before = {k: np.array(p.data) for k, p in own.items()}
    y = nn.functional_call(net, given, tn.tensor(X), {"power": 2})
    for k, p in other.named_parameters():
        p.data = given[k].data
    expected = other(tn.tensor(X), power=2)
    np.testing.assert_array_equal(y.data, expected.data)
    g = np.random.default_rng(2).normal(size=y.shape)
    y.backward(g)
    expected.backward(g)
    for k, p in other.named_parameters():
        np.testing.assert_allclose(given[k].grad.data, p.grad.data, rtol=1e-13)
        assert own[k].grad is None
    for k, p in net.named_parameters():
        assert p is own[k]
        np.testing.assert_array_equal(p.data, before[k])


def test_gradients_flow_through_what_was_computed():
    """A step of gradient descent, and the derivative of the loss after it."""
    net = nn.Linear(3, 1, bias=False, dtype="float64", seed=0)
    rate = tn.tensor(0.1, requires_grad=True)

    def after(rate):
        w = net.weight
        loss = (nn.functional_call(net, {"weight": w}, tn.tensor(X)) ** 2).sum()
        (g,) = tn.grad(loss, [w], create_graph=True)
        return (nn.functional_call(net, {"weight": w - rate * g}, (tn.tensor(X),)) ** 2).sum()

    after(rate).backward()
    h = 1e-6
    slope = (after(tn.tensor(0.1 + h)).item() - after(tn.tensor(0.1 - h)).item()) / (2 * h)
    assert rate.grad.item() == pytest.approx(slope, rel=1e-6)


def test_nothing_is_changed_by_an_exception():
    net = Net()
    state, tensors = net.state_dict(), [id(t) for t in (*net.parameters(), *net.buffers())]
    net.eval()
    with pytest.raises(ValueError, match="on purpose"):
        nn.functional_call(net, foreign(net), (tn.tensor(X), None))
    assert [id(t) for t in (*net.parameters(), *net.buffers())] == tensors
    for k, v in net.state_dict().items():
        np.testing.assert_array_equal(v, state[k])


def test_running_statistics_that_are_given_are_those_updated():
    net = Net()
    buffers = {k: tn.tensor(b.data) for k, b in net.named_buffers()}
    before = {k: np.array(b.data) for k, b in net.named_buffers()}
    nn.functional_call(net, (dict(net.named_parameters()), buffers), tn.tensor(X), strict=True)
    for k, b in net.named_buffers():
        np.testing.assert_array_equal(b.data, before[k])
        assert not np.array_equal(buffers[k].data, before[k])


class Tied(nn.Module):
    def __init__(self):
        self.a = nn.Linear(2, 2, bias=False, dtype="float64")
        self.b = nn.Linear(2, 2, bias=False, dtype="float64")
        self.b.weight = self.a.weight

    def forward(self, x):
        return self.b(self.a(x))


def test_what_is_tied_stays_tied():
    net, w, v = Tied(), tn.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True), tn.tensor(np.eye(2))
    x = tn.tensor([[1.0, -1.0]])
    for given in ({"a.weight": w}, {"b.weight": w}, {"a.weight": w, "b.weight": w}):
        np.testing.assert_array_equal(nn.functional_call(net, given, x, strict=True).data, x.data @ w.data.T @ w.data.T)
    with pytest.raises(tn.OptionError, match=r"functional_call: a.weight, b.weight are one tensor.*tie_weights=False"):
        nn.functional_call(net, {"a.weight": w, "b.weight": v}, x)
    found = nn.functional_call(net, {"a.weight": w, "b.weight": v}, x, tie_weights=False)
    np.testing.assert_array_equal(found.data, x.data @ w.data.T)
    assert net.a.weight is net.b.weight


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (
            lambda n, p: nn.functional_call(n, {"scale": p["scale"]}, X, strict=True),
            nn.ModuleError,
            r"missing \['blocks.0.weight'",
        ),
        (lambda n, p: nn.functional_call(n, {**p, "nope": X}, X, strict=True), nn.ModuleError, r"unexpected \['nope'\]"),
        (lambda n, p: nn.functional_call(n, {"nope.weight": X}, X), nn.ModuleError, "no part has the name 'nope'"),
        (lambda n, p: nn.functional_call(n, (p, {"scale": X}), X), tn.OptionError, "'scale' stands in more than one"),
        (lambda n, p: nn.functional_call(n, 3, X), tn.DTypeError, "3 is no dict"),
        (lambda n, p: nn.functional_call(n, {"scale": "x"}, X), tn.DTypeError, "functional_call: scale"),
        (lambda n, p: nn.functional_call(3, p, X), tn.DTypeError, "module is 3, which is none"),
    ],
)
def test_misuse_is_named(call, error, words):
    net = Net()
    with pytest.raises(error, match=words):
        call(net, foreign(net))


def test_one_in_a_tuple_is_refused():
    net = Net()
    net.pair = (tn.tensor([1.0], requires_grad=True),)
    with pytest.raises(nn.ModuleError, match=r"pair.0 stands in a tuple.*Make it a list"):
        nn.functional_call(net, {"pair.0": tn.ones(1)}, X)


def test_as_pytorch():
    torch = pytest.importorskip("torch")
    theirs = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.LayerNorm(4)).double()
    net = nn.Sequential(nn.Linear(3, 4, dtype="float64"), nn.LayerNorm(4, dtype="float64"))
    given = foreign(net)
    tensors = {k: torch.tensor(np.array(v.data), requires_grad=True) for k, v in given.items()}
    y, expected = nn.functional_call(net, given, tn.tensor(X)), torch.func.functional_call(theirs, tensors, torch.tensor(X))
    np.testing.assert_allclose(y.data, expected.detach().numpy(), rtol=1e-12)
    g = np.random.default_rng(3).normal(size=y.shape)
    y.backward(g)
    expected.backward(torch.tensor(g))
    for k, v in given.items():
        np.testing.assert_allclose(v.grad.data, tensors[k].grad.numpy(), rtol=1e-11, atol=1e-12)


def test_what_is_no_dict_of_tensors_is_told_what_is():
    with pytest.raises(tn.DTypeError, match=r"functional_call: \(3,\) float64 is no dict .*; give one, such as dict\("):
        tn.nn.functional_call(tn.nn.Linear(3, 2), np.ones(3), np.ones(3))
