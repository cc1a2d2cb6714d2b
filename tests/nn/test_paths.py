"""The scopes of modules: attribute paths, relative to the module that was called first."""

from __future__ import annotations

import threading

import numpy as np
import pytest

import tinygrad_norm as tn

nn = tn.nn


class Twice(nn.Module):
    """Records one operation."""

    def forward(self, x):
        return x * 2.0


class Attention(nn.Module):
    def __init__(self):
        self.q, self.k = Twice(), Twice()

    def forward(self, x):
        return self.k(self.q(x)) + 1.0


class Block(nn.Module):
    def __init__(self):
        self.attn = Attention()

    def forward(self, x):
        return self.attn(x)


class Net(nn.Module):
    def __init__(self):
        self.blocks, self.heads = [Block() for _ in range(4)], {"a": (Twice(),)}

    def forward(self, x):
        for block in self.blocks:
            x = block(x)
        return self.heads["a"][0](x)


@pytest.fixture
def x():
    return tn.tensor([1.0], requires_grad=True)


def scopes(y):
    return [t.scope for t in tn.graph(y).tensors if t.op is not None]


def last(y):
    return [scope[-1] if scope else None for scope in scopes(y)]


def test_paths_are_relative_to_the_outermost(x):
    net = Net()
    found = scopes(net(x))
    assert found[9] == ("Net", "blocks.3", "blocks.3.attn", "blocks.3.attn.q")
    assert found[-1] == ("Net", "heads.a.0")
    assert [s.kind for s in found[9]] == ["Net", "Block", "Attention", "Twice"]
    assert scopes(net.blocks[3](x))[0] == ("Block", "attn", "attn.q")
    with tn.scope("mine"):
        assert scopes(net.blocks[3].attn(x))[-1] == ("mine", "Attention")


def test_each_call_has_a_scope_of_its_own(x):
    layer = Twice()
    first, second = scopes(layer(layer(x)))
    assert first == second == ("Twice",)
    assert first[0] is not second[0]


def test_a_shared_module_has_its_first_path(x):
    class Tied(nn.Module):
        def __init__(self):
            self.one = Twice()
            self.two = self.one

        def forward(self, x):
            return self.two(self.one(x))

    assert last(Tied()(x)) == ["one", "one"]


def test_the_tree_may_change_between_calls(x):
    net = nn.Sequential(Block(), Block(), Block())
    expected = ["0.attn.q", "0.attn.k", "0.attn", "1.attn.q", "1.attn.k", "1.attn", "2.attn.q", "2.attn.k", "2.attn"]
    assert last(net(x)) == expected
    net[0], net[1] = net[1], net[0]
    assert last(net(x)) == expected, "swapped: their old paths lead to others"
    net[2] = Attention()
    assert last(net(x))[6:] == ["2.q", "2.k", "2"]
    del net[0]
    assert last(net(x)) == ["0.attn.q", "0.attn.k", "0.attn", "1.q", "1.k", "1"]
    lists = Net()
    lists(x)
    lists.blocks.reverse()
    lists.blocks.append(Block())
    assert last(lists(x)) == [f"blocks.{i}.attn{part}" for i in range(5) for part in (".q", ".k", "")] + ["heads.a.0"]
    lists.blocks = [lists.blocks[:2], lists.blocks[2:]]
    lists.blocks[0].reverse()
    lists.forward = lambda x: lists.blocks[0][0](x)
    assert last(lists(x)) == ["blocks.0.0.attn.q", "blocks.0.0.attn.k", "blocks.0.0.attn"]
    lists.blocks.reverse()
    lists.forward = lambda x: lists.blocks[1][0](x)
    assert last(lists(x)) == ["blocks.1.0.attn.q", "blocks.1.0.attn.k", "blocks.1.0.attn"], "an outer list was turned round"


def test_a_module_that_is_no_part_has_its_class(x):
    stranger = Block()

    class Calls(nn.Module):
        def forward(self, x):
            return stranger(stranger(x))

    assert {s[1] for s in scopes(Calls()(x))} == {"Block"}
    assert scopes(Calls()(x))[0] == ("Calls", "Block", "Attention", "Twice")


def test_a_module_made_while_another_is_called_is_found(x):
    class Grows(nn.Module):
        def __init__(self):
            self.layers = []

        def forward(self, x):
            self.layers.append(Twice())
            return self.layers[-1](x)

    net = Grows()
    assert [last(net(x)) for _ in range(3)] == [["layers.0"], ["layers.1"], ["layers.2"]]


def test_a_module_that_calls_itself(x):
    class Countdown(nn.Module):
        def __init__(self):
            self.step = Twice()

        def forward(self, x, n):
            return self.step(x) if n == 0 else self(x, n - 1)

    assert scopes(Countdown()(x, 2)) == [("Countdown", "Countdown", "Countdown", "step")]


def test_after_an_exception_all_is_as_before(x):
    class Fails(nn.Module):
        def __init__(self):
            self.inner = Twice()

        def forward(self, x):
            self.inner(x)
            raise RuntimeError("as planned")

    outer = nn.Sequential(Fails())
    for _ in range(2):
        with pytest.raises(RuntimeError, match="as planned"):
            outer(x)
        assert scopes(Net().blocks[0](x))[0] == ("Block", "attn", "attn.q")
    outer.register_forward_pre_hook(lambda m, args: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        outer(x)
    assert scopes(Twice()(x)) == [("Twice",)]


def test_hooks_are_inside_the_scope(x):
    net = nn.Sequential(Twice())
    net[0].register_forward_pre_hook(lambda m, args: args[0] + 1.0)
    net[0].register_forward_hook(lambda m, args, out: out + 1.0)
    assert scopes(net(x)) == [("Sequential", "0")] * 3


def test_each_thread_has_an_outermost_of_its_own(x):
    net, found, inside, go = Net(), {}, threading.Event(), threading.Event()

    class Waits(nn.Module):
        def __init__(self):
            self.net = net

        def forward(self, x):
            inside.set()
            go.wait(10)
            return self.net(x)

    thread = threading.Thread(target=lambda: found.update(theirs=scopes(Waits()(x))[0]))
    thread.start()
    assert inside.wait(10)
    found["mine"] = scopes(net(x))[0]
    go.set()
    thread.join()
    assert found["mine"] == ("Net", "blocks.0", "blocks.0.attn", "blocks.0.attn.q")
    assert found["theirs"] == ("Waits", "net", "net.blocks.0", "net.blocks.0.attn", "net.blocks.0.attn.q")


def test_the_books_are_no_state():
    import copy
    import gc
    import pickle
    import weakref

    net = nn.Sequential(Block())
    x = tn.tensor(np.ones(1), requires_grad=True)
    net(x)
    assert "_paths" not in vars(net)
    for twin in (copy.deepcopy(net), pickle.loads(pickle.dumps(net)), copy.copy(net)):
        assert not hasattr(twin, "_paths")
        assert scopes(twin(x))[0] == ("Sequential", "0", "0.attn", "0.attn.q")
    gone = weakref.ref(net)
    gc.disable()
    try:
        del net, twin
        assert gone() is None, "no cycle holds it"
    finally:
        gc.enable()
