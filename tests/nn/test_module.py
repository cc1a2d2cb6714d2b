"""What every module can do: find its tensors and parts, train and eval, save and load, print itself."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_norm as tn

F, nn = tn.functional, tn.nn


class Block(nn.Module):
    """Parts, a parameter and a buffer in an order that PyTorch would not keep."""

    def __init__(self):
        self.norm = nn.BatchNorm1d(3)
        self.steps = tn.tensor(np.array(7))
        self.weight = tn.tensor(np.ones(3), "float32", requires_grad=True)
        self.nothing = None

    def forward(self, x, *, twice=False):
        y = self.norm(x) * self.weight
        return y * 2.0 if twice else y


class Net(nn.Module):
    def __init__(self):
        self.blocks = [Block(), Block()]
        self.head = (nn.Linear(3, 2), F.relu)
        self.loss = nn.CrossEntropyLoss()

    def forward(self, x):
        for block in self.blocks:
            x = block(x)
        linear, relu = self.head
        return relu(linear(x))


# Tensors and parts ------------------------------------------------------------------------------------------------


def test_parameters_buffers_and_their_order():
    block = Block()
    assert [n for n, _ in block.named_parameters()] == ["weight", "norm.weight", "norm.bias"]
    assert [n for n, _ in block.named_buffers()] == [
        "steps", "norm.running_mean", "norm.running_var", "norm.num_batches_tracked"
    ]  # fmt: skip
    assert list(block.state_dict()) == [
        "weight", "steps",
        "norm.weight", "norm.bias", "norm.running_mean", "norm.running_var", "norm.num_batches_tracked",
    ]  # fmt: skip
    assert all(p.requires_grad for p in block.parameters())
    assert not any(b.requires_grad for b in block.buffers())


def test_lists_of_modules_are_parts():
    net = Net()
    assert {n.split(".")[0] for n in net.state_dict()} == {"blocks", "head"}
    assert "blocks.1.norm.running_var" in net.state_dict()
    assert "head.0.bias" in net.state_dict()
    assert len(list(net.parameters())) == 2 * 3 + 2
    net(np.random.default_rng(0).normal(size=(5, 3)).astype("float32")).backward(np.ones((5, 2), "float32"))
    assert all(p.grad is not None for p in net.parameters())
    net.zero_grad()
    assert all(p.grad is None for p in net.parameters())


def test_train_and_eval_reach_every_part():
    net = Net()
    parts = list(net.modules())
    assert [type(m).__name__ for m in parts] == ["Net", *["Block", "BatchNorm1d"] * 2, "Linear", "CrossEntropyLoss"]
    assert net.eval() is net
    assert not any(m.training for m in parts)
    assert net.train() is net
    assert all(m.training for m in parts)
    net.train(False)
    assert not any(m.training for m in parts)
    assert nn.Module.training, "each module has its own"


def test_what_two_parts_share_is_there_once_and_saved_twice():
    shared = nn.Linear(2, 2)
    net = nn.Sequential(shared, nn.LayerNorm(2), shared)
    net[1].weight = shared.bias
    assert [n for n, _ in net.named_parameters()] == ["0.weight", "0.bias", "1.bias"]
    assert list(net.state_dict()) == ["0.weight", "0.bias", "1.weight", "1.bias", "2.weight", "2.bias"]
    assert [type(m).__name__ for m in net.modules()] == ["Sequential", "Linear", "LayerNorm"]
    again = nn.Sequential(nn.BatchNorm1d(2))
    again.append(again[0])
    assert len(list(again.buffers())) == 3


def test_named_arguments_arrive():
    block, x = Block().eval(), np.ones((2, 3), "float32")
    np.testing.assert_array_equal(block(x, twice=True).data, 2 * block(x).data)
    with pytest.raises(nn.ModuleError, match="Module: a module must define forward"):
        nn.Module()(x)


# State ------------------------------------------------------------------------------------------------------------


def test_state_is_copied_both_ways():
    block, other = Block(), Block()
    state = block.state_dict()
    state["weight"] += 1
    np.testing.assert_array_equal(block.weight.data, 1)
    other.load_state_dict(state)
    state["weight"] += 1
    np.testing.assert_array_equal(other.weight.data, 2)
    assert other.weight.requires_grad
    assert other.steps.dtype == np.int64


def test_a_state_that_does_not_fit_changes_nothing():
    layer = nn.LayerNorm(3)
    with pytest.raises(KeyError, match=r"missing \['bias'\], unexpected \['beta'\]"):
        layer.load_state_dict({"weight": np.zeros(3), "beta": np.zeros(3)})
    with pytest.raises(tn.ShapeError, match=r"bias is β \(3,\) float32, the new values have shape \(4,\)"):
        layer.load_state_dict({"weight": np.zeros(3), "bias": np.zeros(4)})
    np.testing.assert_array_equal(layer.weight.data, 1)


# Containers -------------------------------------------------------------------------------------------------------


def test_sequential(rng):
    first, last = nn.Linear(3, 4, dtype=np.float64, seed=0), nn.LayerNorm(4, dtype=np.float64)
    net = nn.Sequential(first, F.relu, last)
    x = rng.normal(size=(5, 3))
    np.testing.assert_array_equal(net(x).data, last(F.relu(first(x))).data)
    assert list(net.state_dict()) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    assert (len(net), net[0], net[-1], list(net)[1]) == (3, first, last, F.relu)
    net.append(nn.Softmax(-1))
    np.testing.assert_allclose(net(x).data.sum(-1), 1)
    assert nn.Sequential()(x) is x
    with pytest.raises(tn.DTypeError, match=r"Sequential: member 0 is a list.*Sequential\(\*modules\)"):
        nn.Sequential([first, last])


def test_module_list():
    parts = nn.ModuleList(nn.Linear(2, 2) for _ in range(12))
    parts.append(nn.LayerNorm(2))
    assert len(parts) == 13
    assert [type(m).__name__ for m in parts][-2:] == ["Linear", "LayerNorm"]
    assert list(parts.state_dict())[-4:] == ["11.weight", "11.bias", "12.weight", "12.bias"]
    assert parts[12].training
    assert not parts.eval()[12].training
    assert [m.training for m in parts] == [False] * 13
    with pytest.raises(tn.DTypeError, match=r"ModuleList: member 0 is relu; all are modules"):
        nn.ModuleList([F.relu])
    with pytest.raises(ValueError, match="does not say in which order"):
        parts(np.ones((2, 2)))


# repr -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("module", "text"),
    [
        (nn.LayerNorm(4), "LayerNorm((4,), eps=1e-05, elementwise_affine=True, bias=True)"),
        (nn.LayerNorm((2, 4), bias=False), "LayerNorm((2, 4), eps=1e-05, elementwise_affine=True, bias=False)"),
        (nn.RMSNorm(4, backward="analytic"), "RMSNorm((4,), eps=None, elementwise_affine=True, backward='analytic')"),
        (nn.AdaNorm(4, detach=False), "AdaNorm((4,), k=0.1, scale=1.0, eps=1e-05, detach=False)"),
        (nn.Softmax(-1), "Softmax(dim=-1)"),
        (nn.Normalize(dim=[0, 1]), "Normalize(p=2.0, dim=[0, 1], eps=1e-12)"),
        (nn.LocalResponseNorm(3), "LocalResponseNorm(3, alpha=0.0001, beta=0.75, k=1.0)"),
        (
            nn.CrossEntropyLoss(np.ones(3), reduction="sum"),
            "CrossEntropyLoss(reduction='sum')",
        ),
        (nn.Linear(3, 4, bias=False), "Linear(in_features=3, out_features=4, bias=False)"),
        (nn.Conv2d(3, 4, 3, padding="same"), "Conv2d(3, 4, kernel_size=(3, 3), stride=(1, 1), padding=same)"),
        (nn.DynamicTanh(4), "DynamicTanh(4, alpha_init=0.5, bias=True, channels_last=True)"),
        (nn.LayerScale(4), "LayerScale(4, init=1e-05)"),
        (nn.ReZero(), "ReZero()"),
        (nn.FiLM(3, 5), "FiLM(3, 5)"),
        (nn.AdaLayerNorm(3, 5), "AdaLayerNorm(3, 5, eps=1e-06)"),
        (
            nn.WeightNorm(nn.Linear(3, 4), None),
            "WeightNorm(\n  dim=None\n  (layer): Linear(in_features=3, out_features=4, bias=True)\n)",
        ),
        (nn.ModuleList(), "ModuleList()"),
        (
            nn.Sequential(nn.Linear(3, 4), F.relu, nn.ModuleList([nn.ReZero()])),
            "Sequential(\n  (0): Linear(in_features=3, out_features=4, bias=True)\n  (1): relu\n  (2): ModuleList(\n    (0): ReZero()\n  )\n)",
        ),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else "",
)
def test_they_print_what_they_are(module, text):
    assert repr(module) == text


def test_a_network_prints_its_parts():
    lines = repr(Net()).split("\n")
    assert lines[:2] == ["Net(", "  (blocks.0): Block("]
    assert "    (norm): BatchNorm1d(3, eps=1e-05, momentum=0.1, affine=True, track_running_stats=True)" in lines
    assert "  (head.0): Linear(in_features=3, out_features=2, bias=True)" in lines
    assert repr(nn.NFResidual(nn.Linear(2, 2), beta=1.3)) == (
        "NFResidual(\n  alpha=0.2, beta=1.3, shortcut=None\n  (branch): Linear(in_features=2, out_features=2, bias=True)\n)"
    )


# Against PyTorch --------------------------------------------------------------------------------------------------

THEIRS = {
    "BatchNorm1d": [((3,), {}, (4, 3)), ((3, 0.1, 0.3), {"affine": False}, (4, 3, 5)), ((3,), {"momentum": None}, (4, 3))],
    "BatchNorm2d": [((3,), {}, (2, 3, 2, 4)), ((3,), {"track_running_stats": False}, (2, 3, 2, 4))],
    "BatchNorm3d": [((3,), {}, (2, 3, 2, 2, 3))],
    "InstanceNorm1d": [((3,), {}, (2, 3, 5)), ((3,), {"affine": True}, (3, 5))],
    "InstanceNorm2d": [((3,), {"affine": True}, (2, 3, 2, 4))],
    "InstanceNorm3d": [((3,), {"affine": True}, (2, 3, 2, 2, 3))],
    "GroupNorm": [((2, 4), {}, (3, 4, 5)), ((2, 4), {"affine": False}, (3, 4))],
    "LayerNorm": [((5,), {}, (4, 5)), (((3, 5), 0.1), {"bias": False}, (2, 3, 5)), ((5,), {"elementwise_affine": False}, (4, 5))],
    "RMSNorm": [((5,), {}, (4, 5)), (((3, 5), 0.1), {}, (2, 3, 5)), ((5,), {"elementwise_affine": False}, (4, 5))],
    "Linear": [((5, 3), {}, (4, 5)), ((5, 3, False), {}, (4, 5))],
    "Conv2d": [((4, 6, 3), {"padding": 1, "groups": 2}, (2, 4, 5, 5)), ((4, 2, (1, 2), 2), {"bias": False}, (2, 4, 5, 5))],
    "Softmax": [((1,), {}, (4, 5)), ((-1,), {}, (2, 3, 4))],
    "LogSoftmax": [((1,), {}, (4, 5)), ((0,), {}, (2, 3, 4))],
    "CosineSimilarity": [((), {}, (4, 5)), ((-1, 0.1), {}, (2, 3, 5))],
    "LocalResponseNorm": [((3,), {}, (2, 5, 3)), ((4, 2.0, 0.5, 0.7), {}, (2, 5, 3, 2))],
    "CrossEntropyLoss": [
        ((), {}, (4, 5)),
        ((), {"weight": np.linspace(0.5, 2, 5), "label_smoothing": 0.2}, (4, 5)),
        ((), {"ignore_index": 1, "reduction": "none"}, (4, 5)),
    ],
}  # fmt: skip
CASES = [(name, *case) for name, cases in THEIRS.items() for case in cases]


@pytest.mark.parametrize(("name", "arguments", "options", "shape"), CASES, ids=[f"{n}-{i}" for i, (n, *_) in enumerate(CASES)])
def test_against_pytorch(name, arguments, options, shape, rng):
    """Same keys in the same order, and shapes; a state goes over and back; same output and gradients, training and not."""
    torch = pytest.importorskip("torch", reason="torch is not installed; parity with PyTorch is not checked")
    if not hasattr(torch.nn, name):
        pytest.skip(f"this PyTorch has no {name}")
    both = {"dtype": np.float64} if "dtype" in getattr(nn, name).__init__.__code__.co_varnames else {}
    mine = getattr(nn, name)(*arguments, **options, **both)
    theirs = getattr(torch.nn, name)(*arguments, **{o: to_torch(torch, v) for o, v in options.items()}).double()
    assert list(mine.state_dict()) == list(theirs.state_dict())
    for kind in ("named_parameters", "named_buffers"):
        expected = [(n, tuple(t.shape)) for n, t in getattr(theirs, kind)()]
        assert [(n, t.shape) for n, t in getattr(mine, kind)()] == expected
    for n, t in theirs.state_dict().items():
        np.testing.assert_array_equal(mine.state_dict()[n].dtype, t.numpy().dtype, err_msg=n)
        if name not in ("Linear", "Conv2d"):  # those start at random
            np.testing.assert_array_equal(mine.state_dict()[n], t.numpy(), err_msg=n)

    state = {n: rng.uniform(0.5, 2, a.shape) if a.dtype.kind == "f" else np.array(3) for n, a in mine.state_dict().items()}
    theirs.load_state_dict({n: torch.tensor(a) for n, a in state.items()})
    mine.load_state_dict(theirs.state_dict())
    inputs = [rng.normal(1, 2, shape) for _ in range(2 if name == "CosineSimilarity" else 1)]
    target = [np.array([0, 4, 2, 0])] if name == "CrossEntropyLoss" else []
    for training in (True, False):
        mine.train(training)
        theirs.train(training)
        xs = [tn.tensor(x, requires_grad=True) for x in inputs]
        ts = [torch.tensor(x, requires_grad=True) for x in inputs]
        y, t = mine(*xs, *target), theirs(*ts, *map(torch.tensor, target))
        np.testing.assert_allclose(y.data, t.detach().numpy(), rtol=1e-11, atol=1e-12)
        dy = rng.normal(size=y.shape)
        found = tn.grad(y, [*xs, *mine.parameters()], dy)
        expected = torch.autograd.grad(t, [*ts, *theirs.parameters()], torch.tensor(dy))
        for g, e in zip(found, expected):
            np.testing.assert_allclose(g.data, e.numpy(), rtol=1e-10, atol=1e-11)
    back = theirs.state_dict()
    assert list(mine.state_dict()) == list(back)
    for n, a in mine.state_dict().items():
        np.testing.assert_allclose(a, back[n].numpy(), rtol=1e-11, err_msg=n)


def to_torch(torch, value):
    return torch.tensor(value) if isinstance(value, np.ndarray) else value


def test_a_network_against_pytorch(rng):
    torch = pytest.importorskip("torch", reason="torch is not installed; parity with PyTorch is not checked")
    here, there = nn, torch.nn
    mine = here.Sequential(
        here.Conv2d(2, 4, 3), here.BatchNorm2d(4), F.relu, here.Sequential(here.GroupNorm(2, 4), here.Conv2d(4, 2, 1))
    )
    theirs = there.Sequential(
        there.Conv2d(2, 4, 3), there.BatchNorm2d(4), there.ReLU(), there.Sequential(there.GroupNorm(2, 4), there.Conv2d(4, 2, 1))
    )
    assert list(mine.state_dict()) == list(theirs.state_dict())
    mine.load_state_dict(theirs.state_dict())
    x = rng.normal(size=(3, 2, 5, 5)).astype("float32")
    for _ in range(2):
        np.testing.assert_allclose(mine(x).data, theirs(torch.tensor(x)).detach().numpy(), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(mine.eval()(x).data, theirs.eval()(torch.tensor(x)).detach().numpy(), rtol=1e-4, atol=1e-5)
    theirs.load_state_dict({n: torch.tensor(a) for n, a in mine.state_dict().items()})
