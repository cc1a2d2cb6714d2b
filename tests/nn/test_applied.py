"""Functions as modules, Embedding and Conv1d: PyTorch's constructors, options and numbers."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

import tinygrad_norm as tn

nn = tn.nn
RNG = np.random.default_rng(0)
X, IMAGE, PROBABILITY = RNG.normal(size=(4, 6)), RNG.normal(size=(2, 3, 6, 6)), RNG.uniform(0.1, 0.9, (4, 6))

# class, its arguments, what it is called with
CASES = [
    ("ReLU", (True,), (X,)),
    ("ReLU6", (), (X * 5,)),
    ("LeakyReLU", (0.3,), (X,)),
    ("ELU", (0.7,), (X,)),
    ("CELU", (0.5,), (X,)),
    ("SELU", (), (X,)),
    ("GELU", (), (X,)),
    ("GELU", ("tanh",), (X,)),
    ("SiLU", (), (X,)),
    ("Tanh", (), (X,)),
    ("Sigmoid", (), (X,)),
    ("LogSigmoid", (), (X,)),
    ("Softplus", (2.0, 1.0), (X,)),
    ("Hardtanh", (-0.5, 0.4), (X,)),
    ("GLU", (0,), (X,)),
    ("Flatten", (), (IMAGE,)),
    ("Flatten", (0, 2), (IMAGE,)),
    ("Identity", (3, 4), (X,)),
    ("MaxPool1d", (2, 1, 1), (X,)),
    ("MaxPool2d", (3, 2, 1, 1, False, True), (IMAGE,)),
    ("AvgPool1d", (2,), (X,)),
    ("AvgPool2d", (3, 2, 1, True, False), (IMAGE,)),
    ("AdaptiveAvgPool1d", (4,), (X,)),
    ("AdaptiveAvgPool2d", (1,), (IMAGE,)),
    ("AdaptiveMaxPool1d", (4,), (X,)),
    ("AdaptiveMaxPool2d", ((2, 3),), (IMAGE,)),
    ("MSELoss", (), (X, X[::-1])),
    ("L1Loss", (), (X, X[::-1])),
    ("SmoothL1Loss", (), (X, X[::-1])),
    ("HuberLoss", ("sum", 0.5), (X, X[::-1])),
    ("NLLLoss", (), (X, np.array([0, 5, 2, 2]))),
    ("NLLLoss", (PROBABILITY[0],), (X, np.array([0, -100, 2, 2]))),
    ("BCELoss", (), (PROBABILITY, PROBABILITY[::-1])),
    ("BCEWithLogitsLoss", (), (X, PROBABILITY)),
    ("KLDivLoss", (), (X, PROBABILITY)),
]


@pytest.mark.parametrize(("name", "arguments", "inputs"), CASES, ids=[f"{n}{i}" for i, (n, *_) in enumerate(CASES)])
@pytest.mark.filterwarnings("ignore:reduction")
def test_a_function_as_a_module_is_pytorchs(name, arguments, inputs):
    torch = pytest.importorskip("torch")
    ours = getattr(nn, name)(*arguments)
    theirs = getattr(torch.nn, name)(*(torch.tensor(a) if isinstance(a, np.ndarray) else a for a in arguments))
    x, z = tn.tensor(inputs[0], requires_grad=True), torch.tensor(inputs[0], requires_grad=True)
    y, e = ours(x, *inputs[1:]), theirs(z * 1, *(torch.tensor(a.copy()) for a in inputs[1:]))
    np.testing.assert_allclose(y.data, e.detach().numpy(), rtol=1e-12, atol=1e-14)
    dy = RNG.normal(size=y.shape)
    (want,) = torch.autograd.grad(e, z, torch.tensor(dy))
    np.testing.assert_allclose(tn.grad(y, x, dy)[0].data, want.numpy(), rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("name", sorted({n for n, *_ in CASES} - {"Identity"}))
def test_the_options_are_pytorchs_in_their_order(name):
    torch = pytest.importorskip("torch")
    theirs = [
        n for n in inspect.signature(getattr(torch.nn, name)).parameters if n not in ("size_average", "reduce", "args", "kwargs")
    ]
    mine = list(inspect.signature(getattr(nn, name)).parameters)
    assert [n for n in theirs if n in mine] == mine
    assert set(theirs) - set(mine) <= {"min_value", "max_value"}, "deprecated there"


def test_what_it_is_made_with_is_shown_and_misuse_says_whose_it_is():
    assert repr(nn.MaxPool2d(3, 2)) == ("MaxPool2d(3, stride=2, padding=0, dilation=1, return_indices=False, ceil_mode=False)")
    with pytest.raises(TypeError, match=r"^ELU.__init__\(\) got an unexpected keyword argument 'beta'$"):
        nn.ELU(beta=1)
    with pytest.raises(TypeError, match=r"^AvgPool2d.__init__\(\) missing 1 required positional argument: 'kernel_size'$"):
        nn.AvgPool2d()
    with pytest.raises(TypeError, match=r"^ELU.__init__\(\) takes from 1 to 3 positional arguments but 4 were given$"):
        nn.ELU(1.0, False, 2)
    with pytest.raises(TypeError, match=r"^Tanh.__init__\(\) takes 1 positional argument but 2 were given$"):
        nn.Tanh(1)
    with pytest.raises(TypeError, match=r"^ELU.__init__\(\) got multiple values for argument 'alpha'$"):
        nn.ELU(1.0, alpha=2)
    with pytest.raises(tn.OptionError, match="SELU: inplace=7; it is True or False"):
        nn.SELU(7)
    with pytest.raises(tn.GradientError, match=r"BCEWithLogitsLoss: pos_weight \(3,\) float64 requires a gradient"):
        nn.BCEWithLogitsLoss(pos_weight=tn.ones(3, requires_grad=True))


@pytest.mark.parametrize(("layer", "axes"), [(nn.Dropout1d, (1, 4)), (nn.Dropout2d, (2, 5))], ids=["1d", "2d"])
def test_dropout_of_channels_wants_channels(layer, axes):
    for n in axes:
        with pytest.raises(tn.ShapeError, match=rf"{layer.__name__}: input .*; it is \(N, C, .*Dropout takes any shape"):
            layer()(np.ones((2,) * n))


def test_a_loss_takes_whole_numbers_for_probabilities():
    x, t = tn.tensor([0.3, -1.2], requires_grad=True), np.array([0, 1])
    for loss in (nn.BCEWithLogitsLoss(), nn.KLDivLoss()):
        np.testing.assert_array_equal(loss(x, t).data, loss(x, t.astype(float)).data)


@pytest.mark.parametrize("whole", [1, 2])
def test_dropout_drops_entries_or_whole_channels_in_training_only(whole):
    tn.manual_seed(0)
    x = np.ones((40, 50, *(5,) * whole), "float32")
    layer = getattr(nn, f"Dropout{whole}d")(0.3)
    y = layer(x).data.reshape(2000, -1)
    assert (y == y[:, :1]).all(), "all places of a channel share its fate"
    assert (y[:, 0] == 0).mean() == pytest.approx(0.3, abs=0.05)
    assert y.max() == np.float32(1 / 0.7)
    np.testing.assert_array_equal(layer.eval()(x).data, x)
    np.testing.assert_array_equal(nn.Dropout(0.3).eval()(x).data, x)
    entries = nn.Dropout(0.3)(x).data
    assert (entries == 0).mean() == pytest.approx(0.3, abs=0.02)
    assert not (entries.reshape(2000, -1) == entries.reshape(2000, -1)[:, :1]).all()


def test_embedding_and_its_padding():
    layer = nn.Embedding(5, 3, padding_idx=-1, seed=0)
    assert layer.padding_idx == 4
    assert not layer.weight.data[4].any()
    layer(np.array([[0, 4], [4, 1]])).sum().backward()
    np.testing.assert_array_equal(layer.weight.grad.data.sum(1), [3, 3, 0, 0, 0])
    held = nn.Embedding.from_pretrained(np.eye(4))
    assert not held.weight.requires_grad
    assert [n for n, _ in held.named_parameters()] == ["weight"]
    np.testing.assert_array_equal(held(np.array([2])).data, np.eye(4)[[2]])


def test_positions_are_waves():
    p = nn.sinusoidal_positions(6, 5, "float64").data
    for t in range(6):
        for k in range(5):
            angle = t / 10000 ** (2 * (k // 2) / 5)
            assert p[t, k] == pytest.approx(np.cos(angle) if k % 2 else np.sin(angle), abs=1e-12)


@pytest.mark.parametrize("how", [{}, {"stride": 2, "padding": 1, "bias": False}, {"padding": "same", "groups": 2, "dilation": 2}])
def test_conv1d_is_pytorchs(how):
    torch = pytest.importorskip("torch")
    theirs = torch.nn.Conv1d(4, 6, 3, dtype=torch.float64, **how)
    ours = nn.Conv1d(4, 6, 3, dtype="float64", **how)
    ours.load_state_dict({k: v.detach().numpy() for k, v in theirs.state_dict().items()})
    x = RNG.normal(size=(2, 4, 9))
    np.testing.assert_allclose(ours(x).data, theirs(torch.tensor(x)).detach().numpy(), rtol=1e-12, atol=1e-14)
