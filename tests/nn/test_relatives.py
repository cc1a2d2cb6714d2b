"""Softmax, losses, similarities and the layers that only hold options, as modules; and that every norm has a module."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

import tinygrad_norm as tn
from tinygrad_norm.norms import names

F, nn = tn.functional, tn.nn
both_ways = pytest.mark.parametrize("backward", ["recorded", "analytic"])

X, CLASSES = (4, 6), np.array([2, 0, 5, 2])

# norm -> the module's class, its arguments, and the shapes of the inputs it is called with
MODULES = {
    "ada_norm": (nn.AdaNorm, (6,), [X]),
    "adaptive_instance_norm": (nn.AdaIN, (), [(2, 3, 5), (2, 3, 4)]),
    "batch_norm": (nn.BatchNorm1d, (6,), [X]),
    "batch_renorm": (nn.BatchRenorm1d, (6,), [X]),
    "conditional_layer_norm": (nn.AdaLayerNorm, (6, 3), [X, (4, 3)]),
    "cosine_similarity": (nn.CosineSimilarity, (), [X, X]),
    "cross_entropy": (nn.CrossEntropyLoss, (), [X, CLASSES]),
    "detach_norm": (nn.DetachNorm, (6,), [X]),
    "dynamic_tanh": (nn.DynamicTanh, (6,), [X]),
    "film": (nn.FiLM, (6, 3), [X, (4, 3)]),
    "group_norm": (nn.GroupNorm, (2, 6), [X]),
    "instance_norm": (nn.InstanceNorm1d, (3,), [(2, 3, 5)]),
    "layer_norm": (nn.LayerNorm, (6,), [X]),
    "layer_scale": (nn.LayerScale, (6,), [X]),
    "local_response_norm": (nn.LocalResponseNorm, (3,), [(2, 5, 3)]),
    "log_softmax": (nn.LogSoftmax, (1,), [X]),
    "normalize": (nn.Normalize, (), [X]),
    "power_norm": (nn.PowerNorm, (6,), [X]),
    "power_norm_v": (nn.PowerNormV, (6,), [X]),
    "rms_norm": (nn.RMSNorm, (6,), [X]),
    "softmax": (nn.Softmax, (1,), [X]),
    "spectral_norm": (nn.SpectralNorm, ((6, 3),), [X]),
    "filter_response_norm": (nn.FilterResponseNorm, (3,), [(2, 3, 5)]),
    "global_response_norm": (nn.GRN, (3,), [(2, 5, 3)]),
    "graph_norm": (nn.GraphNorm, (6,), [X]),
    "pair_norm": (nn.PairNorm, (), [X]),
    "qk_norm": (nn.QKNorm, (5,), [X, (3, 6)]),
    "revin": (nn.RevIN, (6,), [X]),
    "scale_norm": (nn.ScaleNorm, (6,), [X]),
    "switchable_norm": (nn.SwitchableNorm, (3,), [(2, 3, 5)]),
    "weight_norm": (nn.WeightNorm, ((6, 3),), [X]),
    "weight_standardization": (nn.WeightStandardization, ((6, 3),), [X]),
}
every_module = pytest.mark.parametrize("name", MODULES)


def made(name, backward):
    """The module with float64 random state, the same each time, and its inputs."""
    kind, arguments, shapes = MODULES[name]
    rng = np.random.default_rng(len(name))
    arguments = [nn.Linear(*a, dtype=np.float64, seed=1) if isinstance(a, tuple) else a for a in arguments]
    known = inspect.signature(kind).parameters
    options = {o: v for o, v in {"dtype": np.float64, "seed": 0}.items() if o in known}
    module = kind(*arguments, backward=backward, **options)
    for _, t in module.named_parameters():
        t.data = rng.normal(size=t.shape)
    inputs = [s if isinstance(s, np.ndarray) else tn.tensor(rng.normal(size=s), requires_grad=True) for s in shapes]
    return module, inputs, rng


# All of them ------------------------------------------------------------------------------------------------------


def test_every_norm_has_a_module():
    assert sorted(MODULES) == names()
    assert len({kind for kind, *_ in MODULES.values()}) == len(MODULES)
    for kind, *_ in MODULES.values():
        assert issubclass(kind, nn.Module)
        assert getattr(nn, kind.__name__) is kind
        assert kind.__name__ in nn.__all__


@every_module
def test_backward_says_what_is_recorded(name):
    """ "analytic" puts the norm's own node on the record, "recorded" what it is made of."""
    found = {}
    for backward in ("recorded", "analytic"):
        module, inputs, _ = made(name, backward)
        found[backward] = {node.op for node in tn.graph(module(*inputs)).nodes}
    assert name in found["analytic"]
    assert name not in found["recorded"]
    assert inspect.signature(MODULES[name][0]).parameters["backward"].default == (
        "analytic" if name == "power_norm" else "recorded"
    )


@pytest.mark.parametrize("name", [n for n in MODULES if n != "power_norm"])  # whose analytic backward is another, by design
def test_both_ways_agree(name):
    results = []
    for backward in ("recorded", "analytic"):
        module, inputs, rng = made(name, backward)
        y = module(*inputs)
        wanted = [t for t in inputs if isinstance(t, tn.Tensor)] + list(module.parameters())
        results.append([y, *tn.grad(y, wanted, rng.normal(size=y.shape))])
    for one, other in zip(*results):
        np.testing.assert_allclose(one.data, other.data, rtol=1e-11, atol=1e-11)


# Those that hold options only: they hand on each of them -----------------------------------------------------------

OPTIONS = {
    "ada_norm": (nn.AdaNorm, ((3, 5),), {"k": 0.3, "scale": 2.0, "eps": 0.2, "detach": False}, [(2, 3, 5)]),
    "cosine_similarity": (nn.CosineSimilarity, (), {"dim": -1, "eps": 2.0}, [(2, 3, 5)] * 2),
    "local_response_norm": (nn.LocalResponseNorm, (2,), {"alpha": 2.0, "beta": 0.4, "k": 0.7}, [(2, 3, 5)]),
    "log_softmax": (nn.LogSoftmax, ((0, 2),), {}, [(2, 3, 5)]),
    "normalize": (nn.Normalize, (), {"p": 3.0, "dim": (0, 2), "eps": 1.5}, [(2, 3, 5)]),
    "softmax": (nn.Softmax, ((0, 2),), {}, [(2, 3, 5)]),
}


@both_ways
@pytest.mark.parametrize("name", OPTIONS)
def test_each_option_arrives(name, backward, rng):
    kind, arguments, options, shapes = OPTIONS[name]
    inputs = [tn.tensor(rng.normal(size=s), requires_grad=True) for s in shapes]
    function = getattr(F, name)

    def same(given):
        one, other = kind(*arguments, **given, backward=backward)(*inputs), function(*inputs, *arguments, **given)
        dy = np.random.default_rng(3).normal(size=one.shape)
        for a, b in zip((one, *tn.grad(one, inputs, dy)), (other, *tn.grad(other, inputs, dy))):
            np.testing.assert_allclose(a.data, b.data, rtol=1e-12, atol=1e-12)
        return [one.data, *(g.data for g in tn.grad(one, inputs, dy))]

    usual = same({})
    for option, value in options.items():
        changed = same({option: value})
        assert any(a.shape != b.shape or np.abs(a - b).max() > 1e-6 for a, b in zip(usual, changed)), option
    same(options)
    module = kind(*arguments)
    assert list(module.state_dict()) == []
    assert set(inspect.signature(kind).parameters) == set(inspect.signature(function).parameters) - {"input", "x1", "x2"}


@both_ways
@pytest.mark.parametrize(
    ("kind", "function", "options"),
    [
        (nn.LayerNorm, F.layer_norm, {"eps_mode": "std", "correction": 1}),
        (nn.RMSNorm, F.rms_norm, {"eps_mode": "rms", "partial": 0.5}),
        (nn.DetachNorm, F.detach_norm, {"detach_mean": False, "detach_std": False}),
    ],
)
def test_the_functions_further_options(kind, function, options, backward, rng):
    x = tn.tensor(rng.normal(size=(4, 6)), requires_grad=True)
    dy = rng.normal(size=(4, 6))
    seen = []
    for given in ({}, *({o: v} for o, v in options.items())):
        layer = kind(6, 0.3, dtype=np.float64, backward=backward, **given)
        for p in layer.parameters():
            p.data = np.random.default_rng(5).normal(size=6)
        y, own = layer(x), list(layer.parameters())
        expected = function(x, 6, *own, eps=0.3, **given)
        found = [y, *tn.grad(y, [x, *own], dy)]
        for a, b in zip(found, [expected, *tn.grad(expected, [x, *own], dy)]):
            np.testing.assert_allclose(a.data, b.data, rtol=1e-12, atol=1e-12)
        seen.append([t.data for t in found])
        assert all(f"{o}={v!r}" in repr(layer) for o, v in given.items())
    for other in seen[1:]:
        assert max(np.abs(a - b).max() for a, b in zip(seen[0], other)) > 1e-3
    with pytest.raises(TypeError):
        kind(6, 0.3, True, True, np.float64, "recorded", *options.values())


def test_affine_or_not():
    assert list(nn.DetachNorm((2, 3)).state_dict()) == ["weight", "bias"]
    assert nn.DetachNorm((2, 3)).weight.shape == (2, 3)
    assert list(nn.DetachNorm(3, bias=False).state_dict()) == ["weight"]
    assert list(nn.DetachNorm(3, elementwise_affine=False).state_dict()) == []
    assert nn.DetachNorm(3).bias.dtype == np.float32


# CrossEntropyLoss -------------------------------------------------------------------------------------------------


@both_ways
@pytest.mark.parametrize("soft", [False, True])
def test_cross_entropy_hands_on_its_options(soft, backward, rng):
    z = tn.tensor(rng.normal(size=(4, 6)), requires_grad=True)
    target = rng.uniform(0.1, 1, (4, 6)) if soft else CLASSES
    w = rng.uniform(0.5, 2, 6)
    options = {"weight": w, "reduction": "none", "label_smoothing": 0.3} | ({} if soft else {"ignore_index": 2})
    usual = F.cross_entropy(z, target).data
    for given in ({}, *({o: v} for o, v in options.items()), options):
        found, expected = nn.CrossEntropyLoss(**given, backward=backward)(z, target), F.cross_entropy(z, target, **given)
        dy = rng.normal(size=expected.shape)
        np.testing.assert_allclose(found.data, expected.data, rtol=1e-13)
        np.testing.assert_allclose(tn.grad(found, z, dy)[0].data, tn.grad(expected, z, dy)[0].data, rtol=1e-12, atol=1e-13)
        assert not given or found.shape != usual.shape or abs(found.data - usual) > 1e-3


def test_the_classes_weights_are_a_buffer_of_its_own(rng):
    w = tn.tensor(rng.uniform(0.5, 2, 3), requires_grad=True)
    mine = np.array([1.0, 2.0, 4.0])
    loss = nn.CrossEntropyLoss(mine)
    mine[:] = 0
    np.testing.assert_array_equal(loss.state_dict()["weight"], [1, 2, 4])
    assert [n for n, _ in nn.CrossEntropyLoss(w).named_buffers()] == ["weight"]
    assert list(nn.CrossEntropyLoss(w).parameters()) == []
    assert list(nn.CrossEntropyLoss().state_dict()) == []
    with pytest.raises(tn.DTypeError, match="CrossEntropyLoss: weight"):
        nn.CrossEntropyLoss([1, 2, 4])


# FiLM -------------------------------------------------------------------------------------------------------------


def film(backward="recorded"):
    layer = nn.FiLM(3, 5, np.float64, backward)
    rng = np.random.default_rng(0)
    layer.load_state_dict({n: rng.normal(size=a.shape) for n, a in layer.state_dict().items()})
    return layer


@both_ways
@pytest.mark.parametrize("samples", [2, 1])
@pytest.mark.parametrize("places", [(), (4,), (2, 3)])
def test_film_values(places, samples, backward, rng):
    layer, x, c = film(backward), rng.normal(size=(2, 3, *places)), rng.normal(size=(samples, 5))
    scale, shift = np.split(c @ layer.weight.data.T + layer.bias.data, 2, axis=1)
    spread = (samples, 3, *(1,) * len(places))
    expected = x * (1 + scale.reshape(spread)) + shift.reshape(spread)
    np.testing.assert_allclose(layer(x, c).data, expected, rtol=1e-12, atol=1e-12)


@both_ways
def test_film_gradients(backward, rng):
    layer = film(backward)

    def f(x, c, weight, bias):
        layer.weight, layer.bias = weight, bias
        return layer(x, c)

    arrays = (rng.normal(size=(2, 3, 2)), rng.normal(size=(2, 5)), layer.weight.data, layer.bias.data)
    tn.check_grads(f, arrays, order=2)


def test_film_starts_as_the_identity_and_learns(rng):
    layer, x, c = nn.FiLM(3, 5), rng.normal(size=(2, 3, 4)).astype("float32"), rng.normal(size=(2, 5)).astype("float32")
    y = layer(x, c)
    np.testing.assert_array_equal(y.data, x)
    assert y.dtype == np.float32
    y.backward(rng.normal(size=y.shape).astype("float32"))
    assert {n: p.grad.shape for n, p in layer.named_parameters()} == {"weight": (6, 5), "bias": (6,)}
    assert all(np.abs(p.grad.data).min() > 0 for p in layer.parameters())


def test_film_misuse_is_named():
    layer = film()
    for x in (np.ones((2, 4)), np.ones(3)):
        with pytest.raises(tn.ShapeError, match=r"FiLM: input \(.*num_features=3"):
            layer(x, np.ones((2, 5)))
    for c in (np.ones((2, 4)), np.ones((3, 5)), np.ones(5), np.ones((2, 1, 5))):
        with pytest.raises(tn.ShapeError, match=r"FiLM: cond \(.*for input \(2, 3\) float64.*\(N, cond_dim\), here \(2, 5\)"):
            layer(np.ones((2, 3)), c)
    with pytest.raises(tn.ShapeError, match=r"FiLM: cond \(2, 5\).*here \(3, 5\)"):
        layer(np.ones((3, 3)), np.ones((2, 5)))
    with pytest.raises(tn.DTypeError, match="FiLM: cond"):
        layer(np.ones((2, 3)), np.ones((2, 5), int))


# PowerNormV -------------------------------------------------------------------------------------------------------


@both_ways
@pytest.mark.parametrize("places", [(), (4,), (2, 3)])
def test_power_norm_v_in_training_and_inference(places, backward, rng):
    layer = nn.PowerNormV(3, 0.8, 0.1, dtype=np.float64, backward=backward)
    w, b = rng.normal(size=(2, 3))
    layer.weight.data, layer.bias.data = w, b
    phi = np.ones(3)
    for _ in range(3):
        x = tn.tensor(rng.normal(1, 2, (4, 3, *places)), requires_grad=True)
        dy = rng.normal(size=x.shape)
        y, expected = layer(x), F.power_norm_v(x, w, b, 0.1)
        np.testing.assert_allclose(y.data, expected.data, rtol=1e-12)
        np.testing.assert_allclose(tn.grad(y, x, dy)[0].data, tn.grad(expected, x, dy)[0].data, rtol=1e-10, atol=1e-13)
        phi = 0.8 * phi + 0.2 * (x.data**2).mean((0, *range(2, x.ndim)))
    np.testing.assert_allclose(layer.running_phi.data, phi, rtol=1e-13)
    layer(np.zeros((0, 3)))
    y = layer.eval()(x)
    gain, shift = ((t.reshape(3, *(1,) * len(places))) for t in (w / np.sqrt(phi + 0.1), b))
    np.testing.assert_allclose(y.data, x.data * gain + shift, rtol=1e-12)
    np.testing.assert_allclose(tn.grad(y, x, dy)[0].data, dy * gain, rtol=1e-12)
    np.testing.assert_allclose(layer.running_phi.data, phi, rtol=1e-13)
    assert [n for n, _ in layer.named_buffers()] == ["running_phi"]
    with pytest.raises(
        tn.ShapeError,
        match=r"PowerNormV: input \(3,\).*expected 2D or 3D or more input \(got 1D input\): \(N, C\) or \(N, C, \*\)",
    ):
        layer(np.ones(3))
