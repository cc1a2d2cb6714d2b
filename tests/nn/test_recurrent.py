"""RNN, LSTM, GRU and their cells: PyTorch's numbers and keys; and normalized, by the paper's equations."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_norm as tn

F, nn = tn.functional, tn.nn
KINDS = ["RNN", "LSTM", "GRU"]


def like(theirs, ours):
    """Our module with the state of PyTorch's."""
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
    return ours


def flat(found):
    return [found] if not isinstance(found, tuple) else [t for f in found for t in flat(f)]


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_a_cell_is_pytorchs(kind, bias):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    theirs = getattr(torch.nn, kind + "Cell")(3, 4, bias=bias, dtype=torch.float64)
    ours = like(theirs, getattr(nn, kind + "Cell")(3, 4, bias, dtype="float64"))
    for lead in ((2,), ()):
        arrays = [rng.normal(size=(*lead, 3)), *(rng.normal(size=(*lead, 4)) for _ in range(1 + (kind == "LSTM")))]
        mine = [tn.tensor(a, requires_grad=True) for a in arrays]
        his = [torch.tensor(a, requires_grad=True) for a in arrays]
        pack = (lambda s: tuple(s)) if kind == "LSTM" else (lambda s: s[0])
        y, z = flat(ours(mine[0], pack(mine[1:]))), flat(theirs(his[0], pack(his[1:])))
        dys = [rng.normal(size=t.shape) for t in y]
        total, whole = sum((t * d).sum() for t, d in zip(y, dys)), sum((t * torch.tensor(d)).sum() for t, d in zip(z, dys))
        for a, b in zip(y, z):
            np.testing.assert_allclose(a.data, b.detach().numpy(), rtol=1e-12, atol=1e-14)
        wanted = [*mine, *ours.parameters()]
        expected = torch.autograd.grad(whole, [*his, *theirs.parameters()])
        for g, e in zip(tn.grad(total, wanted), expected):
            np.testing.assert_allclose(g.data, e.numpy(), rtol=1e-10, atol=1e-13)
        np.testing.assert_allclose(flat(ours(mine[0]))[0].data, flat(theirs(his[0]))[0].detach().numpy(), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"num_layers": 2, "bias": False},
        {"batch_first": True, "bidirectional": True},
        {"num_layers": 2, "bidirectional": True},
    ],
)
@pytest.mark.parametrize("kind", KINDS)
def test_a_sequence_is_pytorchs(kind, how):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(1)
    theirs = getattr(torch.nn, kind)(3, 4, dtype=torch.float64, **how)
    ours = like(theirs, getattr(nn, kind)(3, 4, dtype="float64", **how))
    count = how.get("num_layers", 1) * (1 + how.get("bidirectional", False))
    arrays = [
        rng.normal(size=(2, 5, 3)),
        *(rng.normal(size=(count, 2 if how.get("batch_first") else 5, 4)) for _ in range(1 + (kind == "LSTM"))),
    ]
    mine = [tn.tensor(a, requires_grad=True) for a in arrays]
    his = [torch.tensor(a, requires_grad=True) for a in arrays]
    pack = (lambda s: tuple(s)) if kind == "LSTM" else (lambda s: s[0])
    y, z = flat(ours(mine[0], pack(mine[1:]))), flat(theirs(his[0], pack(his[1:])))
    dys = [rng.normal(size=t.shape) for t in y]
    total, whole = sum((t * d).sum() for t, d in zip(y, dys)), sum((t * torch.tensor(d)).sum() for t, d in zip(z, dys))
    for a, b in zip(y, z):
        np.testing.assert_allclose(a.data, b.detach().numpy(), rtol=1e-11, atol=1e-14)
    expected = torch.autograd.grad(whole, [*his, *theirs.parameters()])
    for g, e in zip(tn.grad(total, [*mine, *ours.parameters()]), expected):
        np.testing.assert_allclose(g.data, e.numpy(), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(
        flat(ours(arrays[0][0]))[0].data, flat(theirs(his[0][0]))[0].detach().numpy(), rtol=1e-11, atol=1e-14
    )


def norm(x, g=1.0, b=0.0):
    c = x - x.mean(-1, keepdims=True)
    return g * c / np.sqrt((c * c).mean(-1, keepdims=True) + 1e-5) + b


def sigma(x):
    return 1 / (1 + np.exp(-x))


def by_the_paper(kind, p, x, h, c=None):
    """One normalized step in plain NumPy."""

    def ln(name, a):
        return norm(a, p[f"{name}.weight"], p[f"{name}.bias"])

    both = p["bias_ih"] + p["bias_hh"]
    if kind == "RNN":
        return (np.tanh(ln("norm", p["weight_ih"] @ x + p["weight_hh"] @ h) + both),)
    n = len(h)
    if kind == "LSTM":
        a = ln("norm_ih", p["weight_ih"] @ x) + ln("norm_hh", p["weight_hh"] @ h) + both
        i, f, g, o = (a[k * n : (k + 1) * n] for k in range(4))
        c = sigma(f) * c + sigma(i) * np.tanh(g)
        return sigma(o) * np.tanh(ln("norm_c", c)), c
    wx, wh, m = p["weight_ih"] @ x, p["weight_hh"] @ h, 2 * n
    a = sigma(ln("norm_ih", wx[:m]) + ln("norm_hh", wh[:m]) + both[:m])
    r, z = a[:n], a[n:]
    new = np.tanh(ln("norm_in", wx[m:]) + p["bias_ih"][m:] + r * (ln("norm_hn", wh[m:]) + p["bias_hh"][m:]))
    return ((1 - z) * new + z * h,)


@pytest.mark.parametrize("backward", ["recorded", "analytic"])
@pytest.mark.parametrize("kind", KINDS)
def test_normalized_it_is_the_papers(kind, backward):
    rng = np.random.default_rng(2)
    cell = getattr(nn, kind + "Cell")(3, 4, dtype="float64", norm="layer_norm", backward=backward, seed=0)
    for p in cell.parameters():
        p.data = rng.normal(size=p.shape)
    state = cell.state_dict()
    x = rng.normal(size=(5, 3))
    h, *c = (rng.normal(size=(5, 4)) for _ in range(cell.kind.states))
    found = flat(cell(x, (h, *c) if c else h))
    for row in range(5):
        expected = by_the_paper(
            kind,
            {k: np.asarray(v.data if isinstance(v, tn.Tensor) else v) for k, v in state.items()},
            x[row],
            h[row],
            *(s[row] for s in c),
        )
        for a, e in zip(found, expected):
            np.testing.assert_allclose(a.data[row], e, rtol=1e-11)


@pytest.mark.parametrize("kind", KINDS)
def test_normalized_sequences_are_steps_and_their_gradients_hold(kind):
    rng = np.random.default_rng(3)
    net = getattr(nn, kind)(3, 4, dtype="float64", norm="layer_norm", seed=0)
    cell = getattr(nn, kind + "Cell")(3, 4, dtype="float64", norm="layer_norm")
    cell.load_state_dict({k.replace("_l0", ""): v for k, v in net.state_dict().items()})
    x = rng.normal(size=(6, 2, 3))
    y, _ = net(x)
    state = None
    for t in range(6):
        state = cell(x[t], state)
        np.testing.assert_allclose(flat(state)[0].data, y.data[t], rtol=1e-12)
    tn.check_grads(lambda x: net(x)[0], (rng.normal(size=(3, 2, 3)),), order=1)
    tn.check_grads(lambda x: flat(cell(x))[0], (rng.normal(size=(2, 3)),), order=2)


@pytest.mark.parametrize("name", ["rms_norm", "scale_norm", "dynamic_tanh", "detach_norm", "ada_norm", "normalize", "none"])
def test_any_norm_of_single_vectors_goes_in(name):
    net = nn.LSTM(3, 4, norm=name, seed=0)
    y, (h, c) = net(np.ones((5, 2, 3), "float32"))
    assert (y.shape, h.shape, c.shape) == ((5, 2, 4), (1, 2, 4), (1, 2, 4))
    assert np.isfinite(y.data).all()


def test_misuse_is_named():
    with pytest.raises(tn.OptionError, match=r"LSTM: norm='batch_norm'; it is one of none, layer_norm"):
        nn.LSTM(3, 4, norm="batch_norm")
    with pytest.raises(tn.ShapeError, match=r"GRU: input \(2, 5, 2\).*it is \(T, N, 3\)"):
        nn.GRU(3, 4)(np.ones((2, 5, 2)))
    with pytest.raises(tn.ShapeError, match=r"LSTM: h_0 \(2, 5, 4\).*it is \(1, 5, 4\)"):
        nn.LSTM(3, 4, dtype="float64")(np.ones((2, 5, 3)), (np.ones((2, 5, 4)), np.ones((1, 5, 4))))
    with pytest.raises(tn.ShapeError, match=r"LSTMCell: hx .*it is two tensors, \(h, c\)"):
        nn.LSTMCell(3, 4)(np.ones((2, 3)), tn.tensor(np.ones((2, 4))))
    with pytest.raises(tn.OptionError, match="RNN: nonlinearity='exp'"):
        nn.RNN(3, 4, nonlinearity="exp")


def test_steps_are_boxes():
    y, _ = nn.LSTM(3, 4, seed=0)(tn.tensor(np.ones((3, 2, 3), "float32"), requires_grad=True))
    names = {str(s) for node in tn.graph(y).nodes for s in node.scope}
    assert "step_l0" in names


def test_a_function_of_the_size_must_make_a_module():
    with pytest.raises(tn.OptionError, match="LSTM: norm is a function that makes 144 of the size 12; it must make a module"):
        tn.nn.LSTM(2, 3, norm=lambda size: size * size)
