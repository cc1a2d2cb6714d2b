"""A recorded gradient stands in boxes of its own, called after the calls it goes back through."""

from __future__ import annotations

import pytest

import tinygrad_norm as tn
from tinygrad_norm.engine.state import state

from ..draw.samples import leaf


class _Block(tn.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm, self.fc = tn.nn.LayerNorm(4), tn.nn.Linear(4, 4)

    def forward(self, x: tn.Tensor) -> tn.Tensor:
        return x + self.fc(tn.functional.silu(self.norm(x)))


def titles(box, within=None):
    return {b.title(within): titles(b, b) for b in box.boxes}


def test_each_box_has_the_gradient_of_its_own():
    net, x = tn.nn.Sequential(_Block(), _Block()), leaf("x", 3, 4)
    (dx,) = tn.grad(net(x).sum(), x, create_graph=True)
    found = titles(tn.graph(dx).fold().tree.root)
    back = found["∇Sequential · Sequential"]
    blocks = [v for k, v in back.items() if "Block" in k]
    inside = set().union(*blocks)
    assert {"∇norm · LayerNorm", "∇fc · Linear", "∇SiLU"} <= inside
    assert all("∇" in name for name in inside)
    assert not any("∇" in name for name in found["Sequential"]), "the way there keeps its names"
    again = tn.grad(net(x).sum(), x, create_graph=True)[0]
    assert again.scope[0] is not dx.scope[0], "two passes are two boxes"


def test_the_gradient_of_a_gradient():
    x, v = leaf("x", 3, 4), leaf("v", 3, 4)
    (dx,) = tn.grad(tn.functional.layer_norm(x, 4), x, leaf("dy", 3, 4), create_graph=True)
    (again,) = tn.grad(dx, x, v, create_graph=True)
    g = tn.graph(again)
    found = titles(g.fold().tree.root)
    assert {"LayerNorm", "∇LayerNorm", "∇²LayerNorm"} == {name.split("#")[0] for name in found}
    closed = g.fold(1)
    assert {"x", "dy", "v"} <= {n.label for n in closed.nodes}, "what it is about is seen, whatever is closed"
    (third,) = tn.grad((again * v).sum(), x, create_graph=True)
    assert any("∇³LayerNorm" in name for name in titles(tn.graph(third).fold(1).tree.root))


def test_a_pass_inside_a_scope_is_inside_it():
    x = leaf("x", 3)
    with tn.scope("outer"):
        y = tn.functional.silu(x).sum()
        (dx,) = tn.grad(y, x, create_graph=True)
        after = dx * 2.0
    assert after.scope == ("outer",)
    nodes = tn.graph(after).nodes
    scopes = {n.scope for n in nodes if n.op is not None}
    assert ("outer", "∇SiLU") in scopes
    assert not any("∇outer" in s for s in scopes)
    assert state.scope == ()
    assert state.back is None


def test_a_pass_that_fails_leaves_no_scope():
    x = leaf("x", 3)
    y = tn.functional.silu(x).sum()

    def hook(g):
        raise RuntimeError("stop")

    handle = x.register_hook(hook)
    with pytest.raises(RuntimeError, match="stop"):
        tn.grad(y, x, create_graph=True)
    handle.remove()
    assert (state.scope, state.back) == ((), None)
    (inner,) = tn.grad(tn.grad(y, x, create_graph=True)[0].sum(), x, create_graph=True)
    assert state.scope == ()
    assert inner.shape == x.shape


def test_what_a_hook_computes_is_for_no_call():
    x = leaf("x", 3)
    with tn.scope("a"):
        h = x.tanh()
    made = []

    def hook(g):
        made.append(g * 3.0)
        return made[-1]

    handle = h.register_hook(hook)
    with tn.scope("b"):
        y = (h * h).sum()
    tn.grad(y, x, create_graph=True)
    handle.remove()
    (tripled,) = made
    (own,) = (n.scope for n in tn.graph(tripled).nodes if n.tensor is tripled)
    assert own == ()
