"""What PyTorch's hands expect of a module: finding, registering, hooking, freezing, casting, saving in part."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import tinygrad_norm as tn

F, nn = tn.functional, tn.nn


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="torch is not installed; parity with PyTorch is not checked")


def same_net(base, layers, parameter, tensor):
    """One network in either library: shared parts, names that come late, a buffer that is not saved."""

    class Inner(base):
        def __init__(self):
            super().__init__()
            self.fc = layers.Linear(3, 3)
            self.scale = parameter(tensor([1.0, 2.0, 3.0]))
            self.register_buffer("steps", tensor([0.0]))
            self.register_buffer("cache", tensor([5.0]), persistent=False)
            self.register_parameter("nothing", None)
            self.register_parameter("late", parameter(tensor([1.0])))

        def forward(self, x):
            return self.fc(x) * self.scale

    class Outer(base):
        def __init__(self):
            super().__init__()
            self.first = Inner()
            self.blocks = layers.ModuleList([Inner(), layers.BatchNorm1d(3), Inner()])
            self.again = self.first
            self.named = layers.ModuleDict({"a": layers.LayerNorm(3), "b": self.blocks[1]})
            self.own = parameter(tensor([[1.0]]))
            self.many = layers.ParameterList([parameter(tensor([1.0])), parameter(tensor([2.0]))])

        def forward(self, x):
            x = self.first(x)
            for block in self.blocks:
                x = block(x)
            return self.named["a"](x)

    return Outer()


def ours():
    return same_net(nn.Module, nn, nn.Parameter, lambda v: tn.tensor(v, "float32"))


def theirs(torch):
    return same_net(torch.nn.Module, torch.nn, torch.nn.Parameter, torch.tensor)


def test_names_and_their_order_are_pytorchs(torch):
    mine, other = ours(), theirs(torch)
    assert list(mine.state_dict()) == list(other.state_dict())
    assert list(mine.state_dict(prefix="net.")) == list(other.state_dict(prefix="net."))
    for unique in (True, False):
        for kind in ("named_modules", "named_parameters", "named_buffers"):
            expected = [n for n, _ in getattr(other, kind)(prefix="p", remove_duplicate=unique)]
            assert [n for n, _ in getattr(mine, kind)(prefix="p", remove_duplicate=unique)] == expected, kind
    for kind in ("named_parameters", "named_buffers"):
        assert [n for n, _ in getattr(mine, kind)(recurse=False)] == [n for n, _ in getattr(other, kind)(recurse=False)]
    assert [n for n, _ in mine.named_children()] == [n for n, _ in other.named_children()]
    assert [type(m).__name__ for m in mine.children()] == [type(m).__name__ for m in other.children()]
    for net, seen in ((mine, []), (other, [])):
        assert net.apply(lambda m, seen=seen: seen.append(type(m).__name__)) is net
        net.order = seen
    assert mine.order == other.order


def test_a_shared_part_of_a_shared_part_is_found_under_its_first_name(torch):
    found = [n for n, _ in ours().named_modules()]
    assert "again" not in found
    assert "named.b" not in found
    assert ours().get_submodule("again.fc").in_features == 3


def test_reprs_are_pytorchs(torch):
    for make in (
        lambda n: n.Sequential(n.Linear(3, 4), n.LayerNorm(4), n.Softmax(dim=-1)),
        lambda n: n.ModuleList([n.Linear(2, 2), n.Linear(2, 2), n.Linear(2, 3, bias=False)]),
        lambda n: n.ModuleDict({"a": n.BatchNorm2d(3), "b": n.GroupNorm(1, 3)}),
        lambda n: n.Conv2d(2, 4, 3, 2, padding=1, groups=2, bias=False),
        lambda n: n.Conv2d(2, 4, (1, 3), padding="same", dilation=2),
        lambda n: n.RMSNorm(3),
        lambda n: n.InstanceNorm1d(3, affine=True),
    ):
        mine, other = repr(make(nn)), repr(make(torch.nn))
        assert mine.replace(", bias=True", "") == other.replace(", bias=True", "")


def test_extra_repr_is_respected():
    class Gate(nn.Module):
        def __init__(self, secret):
            self.secret = secret

        def extra_repr(self):
            return "open=True"

    assert repr(Gate(1)) == "Gate(open=True)"


# Parameters, buffers ----------------------------------------------------------------------------------------------


def test_what_is_frozen_stays_a_parameter():
    for freeze in (lambda m: m.requires_grad_(False), lambda m: setattr(m.weight, "requires_grad", False)):
        layer = nn.Linear(2, 2)
        freeze(layer)
        assert [n for n, _ in layer.named_parameters()] == ["weight", "bias"]
        assert [n for n, _ in layer.named_buffers()] == []
        assert not layer.weight.requires_grad
        assert isinstance(layer.weight, tn.Tensor)
        twin = copy.deepcopy(layer)
        assert [n for n, _ in twin.named_parameters()] == ["weight", "bias"]
        assert layer.requires_grad_() is layer
        assert layer.weight.requires_grad
    norm = nn.BatchNorm1d(3).requires_grad_(False)
    assert len(list(norm.buffers())) == 3, "buffers are not frozen, and no parameters"
    assert not any(b.requires_grad for b in norm.requires_grad_(True).buffers())


def test_parameter():
    x = tn.tensor([1.0, 2.0], requires_grad=True)
    p = nn.Parameter(x * 2.0, name="p")
    assert p.is_leaf
    assert p.requires_grad
    assert p.name == "p"
    assert isinstance(p, nn.Parameter)
    assert isinstance(p, tn.Tensor)
    assert isinstance(x, nn.Parameter)
    assert not isinstance(tn.tensor([1.0]), nn.Parameter)
    assert not isinstance(x * 2.0, nn.Parameter)
    frozen = nn.Parameter([1, 2], requires_grad=False)
    assert isinstance(frozen, nn.Parameter)
    assert not frozen.requires_grad

    class Net(nn.Module):
        def __init__(self):
            self.frozen, self.constant, self.table = frozen, tn.tensor([1.0]), [nn.Parameter([1.0], requires_grad=False)]

    assert [n for n, _ in Net().named_parameters()] == ["frozen", "table.0"]
    assert [n for n, _ in Net().named_buffers()] == ["constant"]
    with pytest.raises(tn.DTypeError, match=r"Parameter: data .* has no gradients"):
        nn.Parameter([1, 2])


def test_a_parameter_is_not_replaced_by_what_no_step_would_reach():
    """PyTorch's manual SGD written with a new tensor: there it is a TypeError, here it was silence."""
    layer = nn.Linear(2, 2)
    with pytest.raises(tn.GradientError, match=r"Linear.weight: .* was computed by sub; a parameter is a leaf"):
        layer.weight = layer.weight - 0.1
    with (
        tn.no_grad(),
        pytest.raises(tn.DTypeError, match=r"Linear.weight: it is a parameter.*would not be trained.*nn.Parameter"),
    ):
        layer.weight = layer.weight - 0.1
    layer.weight = nn.Parameter(layer.weight - 0.1, requires_grad=False)
    assert [n for n, _ in layer.named_parameters()] == ["weight", "bias"]
    layer.bias = None
    assert [n for n, _ in layer.named_parameters()] == ["weight"]
    del layer.weight
    layer.weight = tn.tensor(np.ones((2, 2)), requires_grad=True) * 2.0
    assert list(layer.state_dict()) == [], "what was computed is neither"


def test_a_step_in_place_is_taken():
    layer = nn.Linear(2, 1, bias=False)
    held, before = layer.weight, np.array(layer.weight.data)
    layer(np.ones((1, 2), "float32")).sum().backward()
    with tn.no_grad():
        layer.weight -= 0.5 * layer.weight.grad
    assert layer.weight is held
    assert held.requires_grad
    np.testing.assert_array_equal(held.data, before - np.float32(0.5))


def test_tensors_and_modules_in_lists_and_dicts():
    class Net(nn.Module):
        def __init__(self):
            self.layers = {"in": nn.Linear(2, 3), "deep": [{0: nn.ReZero()}, (tn.tensor([1.0], requires_grad=True), F.relu)]}
            self.running = {"mean": tn.tensor([0.0])}

    net = Net()
    keys = ["layers.deep.1.0", "running.mean", "layers.in.weight", "layers.in.bias", "layers.deep.0.0.weight"]
    assert list(net.state_dict()) == keys
    assert [n for n, _ in net.named_buffers()] == ["running.mean"]
    assert isinstance(net.get_submodule("layers.deep.0.0"), nn.ReZero)
    net.eval()
    assert not net.layers["in"].training
    other = Net()
    other.load_state_dict(net.state_dict())
    np.testing.assert_array_equal(other.layers["in"].weight.data, net.layers["in"].weight.data)
    net.clash = {1: nn.ReZero(), "1": nn.ReZero()}
    with pytest.raises(nn.ModuleError, match=r"two tensors have the key 'clash.1.weight'"):
        net.state_dict()


def test_registering():
    m = nn.Module()
    m.register_buffer("count", None)
    m.count = tn.tensor([1.0], requires_grad=True)
    assert [n for n, _ in m.named_buffers()] == ["count"]
    m.add_module("0", nn.ReZero())
    m.register_module("none", None)
    assert [n for n, _ in m.named_parameters()] == ["0.weight"]
    assert m.get_parameter("0.weight") is getattr(m, "0").weight
    assert m.get_buffer("count") is m.count
    assert m.get_submodule("") is m
    for call, kind, words in (
        (lambda: m.add_module("a.b", nn.ReZero()), nn.ModuleError, r"'a\.b' cannot be the name of a part"),
        (lambda: m.add_module("forward", nn.ReZero()), nn.ModuleError, "an attribute 'forward' that is something else"),
        (lambda: m.add_module("x", 3), tn.DTypeError, "part 'x' is 3, which is no module"),
        (lambda: m.register_buffer("x", 3), tn.DTypeError, "'x' is 3, which is no tensor"),
        (lambda: m.register_buffer("x", None, "no"), tn.OptionError, "persistent='no'; it is True or False"),
        (lambda: m.register_parameter("x", m.count * 2.0), tn.GradientError, "a parameter is a leaf"),
        (lambda: m.get_parameter("1.weight"), nn.ModuleError, r"no parameter has the name '1.weight'. There are 0.weight"),
        (lambda: m.get_buffer("0"), nn.ModuleError, "no buffer has the name '0'"),
        (lambda: m.get_submodule("q"), nn.ModuleError, "no part has the name 'q'"),
        (lambda: m.train("yes"), tn.OptionError, "mode='yes'; it is True or False"),
        (lambda: m.apply(3), tn.DTypeError, "3 cannot be called"),
        (lambda: m.to("int32"), tn.DTypeError, "dtype='int32'; it is a floating-point dtype"),
        (lambda: m.to(None), tn.DTypeError, "dtype=None; it is a floating-point dtype"),
        (lambda: m.to("cuda"), tn.DTypeError, "dtype='cuda'; it is a floating-point dtype"),
    ):
        with pytest.raises(kind, match=words):
            call()


def test_a_part_may_refuse_to_train():
    class Frozen(nn.BatchNorm1d):
        def train(self, mode=True):
            return super().train(False)

    net = nn.Sequential(Frozen(3), nn.BatchNorm1d(3)).train()
    assert [m.training for m in net] == [False, True]


# Hooks ------------------------------------------------------------------------------------------------------------


def hooked(net, log, as_array):
    """The same hooks in either library; what they see and change goes into ``log``."""
    handles = [
        net.register_forward_pre_hook(lambda m, args: log.append(("pre 1", len(args), as_array(args[0])))),
        net.register_forward_pre_hook(lambda m, args: args[0] * 2.0),
        net.register_forward_pre_hook(lambda m, args, kwargs: (args, {**kwargs, "shift": 1.0}), with_kwargs=True),
        net.register_forward_pre_hook(lambda m, args: log.append(("first", as_array(args[0]))), prepend=True),
        net.register_forward_hook(lambda m, args, out: log.append(("post", as_array(args[0]), as_array(out)))),
        net.register_forward_hook(lambda m, args, kwargs, out: out + kwargs["shift"], with_kwargs=True),
        net.register_forward_hook(lambda m, args, out: log.append(("last", as_array(out)))),
    ]
    return handles


def test_hooks_do_what_pytorchs_do(torch):
    results = []
    for library, make in ((nn, lambda v: tn.tensor(v)), (torch.nn, lambda v: torch.tensor(v))):

        class Shift(library.Module):
            def forward(self, x, shift=0.0):
                return x * 3.0 + shift

        net, log = Shift(), []
        handles = hooked(net, log, lambda t: float(t.detach().numpy()[0]))
        log.append(float(net(make([1.0])).numpy()[0]))
        handles[1].remove()
        with handles[5]:
            log.append(float(net(make([1.0])).numpy()[0]))
        log.append(float(net(make([1.0])).numpy()[0]))
        handles[1].remove()  # twice does no harm
        results.append(log)
    assert results[0] == results[1]
    assert results[0][0] == ("first", 1.0)


def test_a_hook_that_is_none():
    net = nn.ReZero()
    with pytest.raises(tn.DTypeError, match="hook: 3 cannot be called"):
        net.register_forward_hook(3)
    net.register_forward_pre_hook(lambda m, args, kwargs: 3, with_kwargs=True)
    with pytest.raises(
        tn.DTypeError, match=r"ReZero: its forward pre-hook gave 3; with_kwargs=True wants None or \(args, kwargs\)"
    ):
        net(np.ones(2))


def test_a_hook_that_is_a_module_is_no_part():
    net, spy = nn.ReZero(), nn.Linear(1, 1)
    net.register_forward_hook(lambda m, args, out: None)
    net.register_forward_pre_hook(spy.forward)
    assert list(net.state_dict()) == ["weight"]


# State ------------------------------------------------------------------------------------------------------------


def test_a_state_that_fits_in_part(torch):
    mine, other = nn.Linear(2, 3), torch.nn.Linear(2, 3)
    before = np.array(mine.bias.data)
    state = {"weight": np.ones((3, 2), "float32"), "extra": np.zeros(2)}
    found = mine.load_state_dict(state, strict=False)
    expected = other.load_state_dict({k: torch.tensor(v) for k, v in state.items()}, strict=False)
    assert (found.missing_keys, found.unexpected_keys) == (expected.missing_keys, expected.unexpected_keys)
    assert repr(found) == repr(expected).lstrip("_")
    np.testing.assert_array_equal(mine.weight.data, 1)
    np.testing.assert_array_equal(mine.bias.data, before)
    with pytest.raises(nn.ModuleError, match=r"missing \['bias'\], unexpected \['extra'\]. strict=False takes what fits"):
        mine.load_state_dict(state)
    with pytest.raises(tn.ShapeError, match=r"weight is W \(3, 2\)"):
        mine.load_state_dict({"weight": np.ones(2)}, strict=False)
    with pytest.raises(tn.DTypeError, match=r"weight is W .* no array of real numbers"):
        mine.load_state_dict({"weight": "a"}, strict=False)
    with pytest.raises(tn.DTypeError, match=r"the state is 3; it is a dict of arrays"):
        mine.load_state_dict(3)
    found = mine.load_state_dict(dict(other.named_parameters()))
    assert found == ([], [])
    assert repr(found) == repr(other.load_state_dict(other.state_dict()))
    np.testing.assert_array_equal(mine.weight.data, other.weight.detach().numpy())
    assert mine.state_dict(keep_vars=True)["weight"] is mine.weight
    into = {}
    assert mine.state_dict(destination=into, prefix="a.") is into
    assert list(into) == ["a.weight", "a.bias"]


@pytest.mark.parametrize(("cast", "dtype"), [("double", "float64"), ("half", "float16"), ("float", "float32")])
def test_casting_keeps_the_tensors(cast, dtype):
    net = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3)).double()
    net(np.random.default_rng(0).normal(size=(4, 3))).sum().backward()
    held = list(net.parameters())
    assert getattr(net, cast)() is net
    assert all(a is b for a, b in zip(held, net.parameters()))
    assert {str(p.dtype) for p in held} == {str(p.grad.dtype) for p in held} == {dtype}
    assert [str(b.dtype) for b in net.buffers()] == [dtype, dtype, "int64"]
    y = net(np.ones((2, 3), dtype) * [[1.0], [2.0]] if dtype == "float64" else np.array([[1, 2, 3], [3, 1, 2]], dtype))
    assert y.dtype == dtype
    assert net.to(tn.tensor(1.0, "float32")).to("cpu")[0].weight.dtype == np.float32


def test_a_record_made_before_a_cast_is_refused():
    layer = nn.Linear(2, 2, dtype=np.float64)
    y = layer(np.ones((1, 2))).sum()
    layer.float()
    with pytest.raises(tn.InPlaceError):
        y.backward()


def test_zero_grad(torch):
    layer = nn.Linear(2, 2)
    layer(np.ones((1, 2), "float32")).sum().backward()
    layer.zero_grad(set_to_none=False)
    np.testing.assert_array_equal(layer.weight.grad.data, np.zeros((2, 2), "float32"))
    assert layer.weight.grad.dtype == np.float32
    layer.zero_grad()
    assert layer.weight.grad is None


def test_resetting(torch):
    layer, other = nn.Linear(4, 3, seed=0), nn.Linear(4, 3, seed=0)
    np.testing.assert_array_equal(layer.weight.data, other.weight.data)
    before, held = np.array(layer.weight.data), layer.weight
    layer.reset_parameters()
    assert layer.weight is held
    assert not np.array_equal(before, held.data)
    assert np.abs(held.data).max() <= 0.5
    for mine, theirs in ((nn.BatchNorm1d(3), torch.nn.BatchNorm1d(3)), (nn.LayerNorm(3), torch.nn.LayerNorm(3))):
        fresh = {k: np.array(v) for k, v in mine.state_dict().items()}
        mine.load_state_dict({k: v + 2 for k, v in fresh.items()})
        mine.reset_parameters()
        theirs.reset_parameters()
        for k, v in theirs.state_dict().items():
            np.testing.assert_array_equal(mine.state_dict()[k], v.numpy())
    norm = nn.BatchNorm1d(3)
    norm(np.arange(6.0, dtype="float32").reshape(2, 3))
    norm.weight.data = np.full(3, 5, "float32")
    norm.reset_running_stats()
    assert norm.num_batches_tracked.item() == 0
    np.testing.assert_array_equal(norm.running_var.data, 1)
    np.testing.assert_array_equal(norm.weight.data, 5)


# Copies -----------------------------------------------------------------------------------------------------------


def called(module, args, output):
    return output * 2.0


def test_a_module_with_functions_in_it_is_pickled():
    net = nn.Sequential(nn.Linear(2, 2), tn.relu, F.silu, nn.BatchNorm1d(2))
    net.register_forward_hook(called)
    net[0].requires_grad_(False)
    x = np.array([[1.0, 2.0], [3.0, -4.0]], "float32")
    net(x)
    for twin in (pickle.loads(pickle.dumps(net)), copy.deepcopy(net)):
        np.testing.assert_array_equal(twin.eval()(x).data, net.eval()(x).data)
        assert [n for n, _ in twin.named_parameters()] == [n for n, _ in net.named_parameters()]
        assert twin[0].weight is not net[0].weight
    shared = nn.Sequential(net[0], net[0])
    twin = copy.deepcopy(shared)
    assert twin[0] is twin[1]


def test_an_op_is_pickled_by_its_name():
    from tinygrad_norm.engine import TABLE, Op

    for op in TABLE.values():
        assert pickle.loads(pickle.dumps(op)) is op
        assert copy.deepcopy(op) is op
        assert copy.copy(op) is op
    with pytest.raises(tn.DTypeError, match=r"pickle: <op mine.* is not of the table"):
        pickle.dumps(Op("mine", "mine({0})", np.negative))


def test_a_shallow_copy_keeps_books_of_its_own():
    layer = nn.Linear(2, 2)
    layer.register_forward_hook(called)
    twin = copy.copy(layer)
    twin.extra = nn.Parameter([1.0])
    layer.extra = tn.tensor([1.0])
    assert [n for n, _ in layer.named_parameters()] == ["weight", "bias"]
    twin.register_forward_hook(called)
    x = np.ones((1, 2), "float32")
    np.testing.assert_array_equal(twin(x).data, 2 * layer(x).data)
