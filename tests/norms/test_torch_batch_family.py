"""Batch-, Group- and InstanceNorm against PyTorch's: values, two orders of gradients, statistics, state, and refusals.

From order 3 on PyTorch's fused batch_norm and instance_norm are wrong or refuse; complex step decides there, not they.
"""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_norm as tn

torch = pytest.importorskip("torch", reason="torch is not installed; parity with PyTorch is not checked")

F, TF = tn.functional, torch.nn.functional
both_ways = pytest.mark.parametrize("backward", ["recorded", "analytic"])
affine_or_not = pytest.mark.parametrize("affine", ["both", "weight", "bias", "none"])


def compare(ours, theirs, shape, affine, atol=1e-11):
    """The same function of x, γ and β in both worlds: y, the first and the second derivatives."""
    rng = np.random.default_rng(0)
    c = shape[1]
    spread = (c, *(1,) * (len(shape) - 2))
    values = {"x": rng.normal(size=shape) * np.linspace(0.5, 2, c).reshape(spread) + np.arange(c).reshape(spread)}
    if affine in ("both", "weight"):
        values["weight"] = rng.normal(size=c)
    if affine in ("both", "bias"):
        values["bias"] = rng.normal(size=c)
    dy, u = rng.normal(size=shape), rng.normal(size=shape)
    mine = {n: tn.tensor(a, requires_grad=True) for n, a in values.items()}
    other = {n: torch.tensor(a, requires_grad=True) for n, a in values.items()}
    y, t = ours(**mine), theirs(**other)
    np.testing.assert_allclose(y.data, t.detach().numpy(), atol=1e-12)
    first = tn.grad(y, list(mine.values()), dy, create_graph=True)
    expected = torch.autograd.grad(t, list(other.values()), torch.tensor(dy), create_graph=True)
    for g, e in zip(first, expected):
        np.testing.assert_allclose(g.data, e.detach().numpy(), atol=atol)
    targets = [n for n in values if n != "bias"]
    second = tn.grad(first[0], [mine[n] for n in targets], u, allow_unused=True)
    if expected[0].requires_grad:
        expected = torch.autograd.grad(expected[0], [other[n] for n in targets], torch.tensor(u), allow_unused=True)
    else:
        expected = [None] * len(targets)
    for g, e in zip(second, expected):
        np.testing.assert_allclose(0 if g is None else g.data, 0 if e is None else e.numpy(), atol=10 * atol)


@both_ways
@affine_or_not
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("shape", [(5, 3), (4, 3, 2), (2, 3, 2, 3), (2, 3, 2, 2, 2)])
def test_batch_norm(shape, training, affine, backward):
    m, v = np.array([0.5, -1.0, 2.0]), np.array([0.5, 2.0, 1.0])

    def ours(x, **p):
        return F.batch_norm(x, m.copy(), v.copy(), training=training, eps=0.1, backward=backward, **p)

    def theirs(x, **p):
        return TF.batch_norm(x, torch.tensor(m), torch.tensor(v), training=training, eps=0.1, **p)

    compare(ours, theirs, shape, affine)


@both_ways
@affine_or_not
@pytest.mark.parametrize(("shape", "groups"), [((3, 4, 3), 2), ((2, 8, 3), 2), ((2, 6), 2), ((2, 6, 2, 2), 3), ((2, 3, 4), 1)])
def test_group_norm(shape, groups, affine, backward):
    ones = torch.ones(
        shape[1], dtype=torch.float64
    )  # given β alone, PyTorch 2.13 fails to differentiate: "shape '[0]' is invalid"

    def theirs(x, weight=ones if affine == "bias" else None, bias=None):
        return TF.group_norm(x, groups, weight, bias, 0.1)

    compare(lambda x, **p: F.group_norm(x, groups, eps=0.1, backward=backward, **p), theirs, shape, affine)


@both_ways
@affine_or_not
@pytest.mark.parametrize("shape", [(2, 3, 5), (2, 3, 2, 3), (2, 3, 2, 2, 2)])
def test_instance_norm(shape, affine, backward):
    compare(
        lambda x, **p: F.instance_norm(x, eps=0.1, backward=backward, **p),
        lambda x, **p: TF.instance_norm(x, eps=0.1, **p),
        shape,
        affine,
    )


# Modules ----------------------------------------------------------------------------------------------------------

MODULES = [
    (name, options, shape)
    for rank, shapes in (("1d", [(4, 3), (4, 3, 5)]), ("2d", [(4, 3, 2, 2)]), ("3d", [(2, 3, 2, 2, 2)]))
    for name, options in (
        (f"BatchNorm{rank}", {}),
        (f"BatchNorm{rank}", {"momentum": 0.3, "affine": False}),
        (f"BatchNorm{rank}", {"momentum": None}),
        (f"BatchNorm{rank}", {"track_running_stats": False}),
        (f"InstanceNorm{rank}", {}),
        (f"InstanceNorm{rank}", {"affine": True, "track_running_stats": True}),
    )
    for shape in shapes
    if name[0] == "B" or len(shape) > 2
]


@pytest.mark.parametrize(("name", "options", "shape"), MODULES)
def test_modules_over_several_batches(name, options, shape):
    """Three batches in training, one in inference, float32: outputs, gradients and every buffer after each."""
    rng = np.random.default_rng(1)
    shapes = [shape] * 3 if name[0] == "B" else [shape, shape[1:], shape]  # InstanceNorm takes one sample alone, too
    mine, theirs = getattr(tn.nn, name)(3, **options), getattr(torch.nn, name)(3, **options)
    assert list(mine.state_dict()) == list(theirs.state_dict())
    assert [n for n, _ in mine.named_parameters()] == [n for n, _ in theirs.named_parameters()]
    for n, p in mine.named_parameters():
        p.data = rng.normal(size=p.shape).astype("float32")
        getattr(theirs, n).data = torch.tensor(p.data.copy())
    for step, s in enumerate([*shapes, shapes[0]]):
        if step == 3:
            mine.eval(), theirs.eval()
        x, dy = rng.normal(2, 3, s).astype("float32"), rng.normal(size=s).astype("float32")
        a, b = tn.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
        y, t = mine(a), theirs(b)
        np.testing.assert_allclose(y.data, t.detach().numpy(), atol=1e-5)
        y.backward(dy)
        t.backward(torch.tensor(dy))
        np.testing.assert_allclose(a.grad.data, b.grad.numpy(), atol=1e-5)
        for n, p in mine.named_parameters():
            np.testing.assert_allclose(p.grad.data, getattr(theirs, n).grad.numpy(), atol=1e-4)
        for n, buffer in mine.named_buffers():
            expected = getattr(theirs, n).numpy()
            assert buffer.dtype == expected.dtype
            if n != "num_batches_tracked":
                np.testing.assert_allclose(buffer.data, expected, rtol=1e-5, atol=1e-6)
            elif name[0] == "B":  # PyTorch's InstanceNorm has the buffer and never counts
                assert buffer.item() == expected.item() == min(step + 1, 3)


def test_state_of_theirs_is_taken():
    theirs = torch.nn.BatchNorm2d(3).double()
    theirs(torch.randn(4, 3, 2, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0)))
    mine = tn.nn.BatchNorm2d(3, dtype=np.float64)
    mine.load_state_dict(theirs.state_dict())
    x = np.random.default_rng(0).normal(size=(2, 3, 2, 2))
    np.testing.assert_allclose(mine.eval()(x).data, theirs.eval()(torch.tensor(x)).detach().numpy(), atol=1e-14)
    assert mine.num_batches_tracked.item() == 1
    theirs.load_state_dict({n: torch.tensor(a) for n, a in mine.state_dict().items()})


@pytest.mark.parametrize("name", ["Linear", "Conv2d"])
def test_layers_before_them(name):
    arguments, shape = ((3, 5), (4, 3)) if name == "Linear" else ((4, 6, (3, 2), 2, 1, 1, 2), (2, 4, 5, 5))
    mine, theirs = getattr(tn.nn, name)(*arguments), getattr(torch.nn, name)(*arguments)
    assert list(mine.state_dict()) == list(theirs.state_dict())
    theirs.load_state_dict({n: torch.tensor(a) for n, a in mine.state_dict().items()})
    x = np.random.default_rng(0).normal(size=shape).astype("float32")
    np.testing.assert_allclose(mine(x).data, theirs(torch.tensor(x)).detach().numpy(), atol=1e-6)


def test_layers_start_in_the_same_range():
    for name, arguments in (("Linear", (30, 2000)), ("Conv2d", (4, 2000, (3, 2)))):
        mine, theirs = getattr(tn.nn, name)(*arguments, seed=0), getattr(torch.nn, name)(*arguments)
        for n, p in mine.named_parameters():
            e = getattr(theirs, n).detach().numpy()
            np.testing.assert_allclose([p.data.min(), p.data.max()], [e.min(), e.max()], rtol=0.02)
            np.testing.assert_allclose(p.data.std(), e.std(), rtol=0.05)


def test_folding_agrees_with_theirs():
    from torch.nn.utils.fusion import fuse_conv_bn_weights

    rng = np.random.default_rng(3)
    conv, bn = tn.nn.Conv2d(3, 5, 2, dtype=np.float64), tn.nn.BatchNorm2d(5, dtype=np.float64).eval()
    state = {n: rng.uniform(0.5, 2, a.shape) for n, a in bn.state_dict().items()}
    bn.load_state_dict(state)
    order = ("running_mean", "running_var", "weight", "bias")
    m, v, w, b = (torch.tensor(state[n]) for n in order)
    weight, bias = fuse_conv_bn_weights(
        torch.tensor(conv.weight.data.copy()), torch.tensor(conv.bias.data.copy()), m, v, bn.eps, w, b
    )
    folded = tn.nn.fold_batch_norm(conv, bn)
    np.testing.assert_allclose(folded.weight.data, weight.detach().numpy(), atol=1e-14)
    np.testing.assert_allclose(folded.bias.data, bias.detach().numpy(), atol=1e-14)


# What both refuse, and what both let through --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "shape", "message"),
    [
        (lambda n, x: n.BatchNorm1d(3)(x), (1, 3), "more than 1 value per channel"),
        (lambda n, x: n.BatchNorm2d(3)(x), (1, 3, 1, 1), "more than 1 value per channel"),
        (lambda n, x: n.BatchNorm1d(3, track_running_stats=False).eval()(x), (1, 3), "more than 1 value per channel"),
        (lambda n, x: n.GroupNorm(3, 3)(x), (1, 3), "more than 1 value per channel"),
        (lambda n, x: n.InstanceNorm1d(3)(x), (2, 3, 1), "more than 1 spatial element"),
        (lambda n, x: n.InstanceNorm2d(3)(x), (2, 3, 1, 1), "more than 1 spatial element"),
        (lambda n, x: n.InstanceNorm2d(3).eval()(x), (3, 1, 1), "more than 1 spatial element"),
        (lambda n, x: n.BatchNorm1d(3)(x), (2, 3, 4, 5), r"expected 2D or 3D input \(got 4D input\)"),
        (lambda n, x: n.BatchNorm2d(3)(x), (2, 3, 4), r"expected 4D input \(got 3D input\)"),
        (lambda n, x: n.BatchNorm3d(3)(x), (2, 3), r"expected 5D input \(got 2D input\)"),
        (lambda n, x: n.InstanceNorm2d(3)(x), (3, 4), r"expected 3D or 4D input \(got 2D input\)"),
    ],
)
def test_both_refuse(call, shape, message):
    with pytest.raises(ValueError, match=message):
        call(torch.nn, torch.ones(shape))
    with pytest.raises(ValueError, match=message):
        call(tn.nn, tn.tensor(np.ones(shape, "float32")))


@pytest.mark.parametrize(
    ("call", "shape"),
    [
        (lambda n, x: n.GroupNorm(3, 3)(x), (2, 3)),
        (lambda n, x: n.GroupNorm(3, 3)(x), (1, 3, 2)),
        (lambda n, x: n.GroupNorm(1, 3)(x), (1, 3)),
        (lambda n, x: n.BatchNorm1d(3).eval()(x), (1, 3)),
        (lambda n, x: n.InstanceNorm1d(3, track_running_stats=True).eval()(x), (2, 3, 1)),
        (lambda n, x: n.GroupNorm(2, 4)(x), (0, 4, 2)),
        (lambda n, x: n.InstanceNorm1d(3)(x), (0, 3, 4)),
    ],
)
def test_both_let_through(call, shape):
    x = np.random.default_rng(0).normal(size=shape).astype("float32")
    y, t = call(tn.nn, tn.tensor(x)), call(torch.nn, torch.tensor(x))
    assert y.shape == tuple(t.shape)
    np.testing.assert_allclose(y.data, t.detach().numpy(), atol=1e-4)
