"""Flags, words and numbers of every normalization, and the weights of cross-entropy's classes."""

import inspect

import numpy as np
import pytest

import tinygrad_norm as tn
import tinygrad_norm.functional as F
from tests import oracles
from tinygrad_norm.norms import names

WRONG = [np.array([0, 1]), "no", len, tn.tensor([1.0, 2.0]), None, 2, object()]
X = np.random.default_rng(0).normal(size=(3, 4, 4))
NEEDED = {
    "layer_norm": {"normalized_shape": 4},
    "rms_norm": {"normalized_shape": 4},
    "ada_norm": {"normalized_shape": 4},
    "detach_norm": {"normalized_shape": 4},
    "group_norm": {"num_groups": 2},
    "adaptive_instance_norm": {"style": X},
    "cosine_similarity": {"x1": X, "x2": X},
    "conditional_layer_norm": {"scale": np.ones(4), "shift": np.ones(4)},
    "dynamic_tanh": {"alpha": 0.5},
    "weight_norm": {"weight": np.ones((3, 1, 1))},
    "spectral_norm": {"u": np.ones(3), "v": np.ones(16)},
    "cross_entropy": {"target": np.zeros((3, 4), int)},
    "film": {"scale": np.ones((3, 4)), "shift": np.ones((3, 4))},
    "local_response_norm": {"size": 2},
    "softmax": {"dim": 1},
    "log_softmax": {"dim": 1},
    "layer_scale": {"weight": 1.0},
    "scale_norm": {"scale": 1.0},
    "qk_norm": {"query": X, "key": X},
    "switchable_norm": {"mean_weight": np.ones(3), "var_weight": np.zeros(3)},
}


def options(kind):
    """(function, option) for all that have a usual value of that kind."""
    functions = [getattr(F, name) for name in names() if hasattr(F, name)]
    all_of_them = [(f, o, p.default) for f in functions for o, p in inspect.signature(f).parameters.items()]
    return [pytest.param(f, o, id=f"{f.__name__}-{o}") for f, o, usual in all_of_them if type(usual) is kind]


def call(f, option, value):
    given = NEEDED.get(f.__name__, {})
    return f(**({} if {"x1", "query"} & set(given) else {"input": X}) | given | {option: value})


@pytest.mark.parametrize(("f", "option"), options(bool))
def test_a_flag_is_true_or_false(f, option):
    for value in WRONG:
        with pytest.raises(tn.OptionError, match=f"{f.__name__}: {option}=.*; it is True or False") as caught:
            call(f, option, value)
        assert " at 0x" not in str(caught.value)
        assert len(str(caught.value)) < 120


@pytest.mark.parametrize(("f", "option"), options(str))
def test_a_word_is_one_of_several(f, option):
    for value in [*WRONG, "analytical", np.array(["recorded", "analytic"])]:
        with pytest.raises(tn.OptionError, match=f"{f.__name__}: {option}=.*; it is ") as caught:
            call(f, option, value)
        assert " at 0x" not in str(caught.value)


@pytest.mark.parametrize("f", [p.values[0] for p in options(float) if p.values[1] == "eps"], ids=lambda f: f.__name__)
def test_epsilon_is_a_number(f):
    """Not below 0 where PyTorch refuses that; elsewhere PyTorch's own samples have ε = −0.5."""
    strict = f in (F.batch_norm, F.batch_renorm, F.cosine_similarity)
    says = f"{f.__name__}: eps=.*; it is a number" + " from 0 on" * strict
    wrong = [(float("nan"), tn.OptionError), ("a", tn.DTypeError), (X, tn.DTypeError), (object(), tn.DTypeError)]
    for value, kind in [*wrong, (-1e-5, tn.OptionError)] if strict else wrong:
        with pytest.raises(kind, match=says):
            call(f, "eps", value)
    assert np.isfinite(call(f, "eps", 0).data).all()


# Cross-entropy's weights ----------------------------------------------------------------------------------------


def weighted(z, q, w, smoothing):
    """−Σ w·q·log softmax(z), by definition; z and q (C,), (N, C) or (N, C, d)."""
    axis = min(1, z.ndim - 1)
    shape = (-1, *(1,) * (z.ndim - axis - 1))
    logp = z - np.log(np.sum(np.exp(z), axis, keepdims=True))
    return -(logp * (q * (1 - smoothing) + smoothing / z.shape[axis]) * w.reshape(shape)).sum(axis)


@pytest.mark.parametrize("backward", ["recorded", "analytic"])
@pytest.mark.parametrize("smoothing", [0.0, 0.3])
@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
@pytest.mark.parametrize("shape", [(3,), (4, 3), (2, 3, 4)])
def test_class_weights_have_a_gradient_beside_probabilities(shape, reduction, smoothing, backward):
    rng = np.random.default_rng(1)
    arrays = [rng.normal(size=shape), rng.uniform(size=shape), rng.uniform(0.5, 2, 3)]
    leaves = [tn.tensor(a, requires_grad=True) for a in arrays]
    y = F.cross_entropy(*leaves, reduction=reduction, label_smoothing=smoothing, backward=backward)

    def value(*a):
        losses = weighted(*a, smoothing)
        return losses if reduction == "none" else losses.sum() / (losses.size if reduction == "mean" else 1)

    np.testing.assert_allclose(y.data, value(*arrays), rtol=1e-13)
    dy = rng.normal(size=y.shape)
    for k, g in enumerate(tn.grad(y, leaves, dy)):
        np.testing.assert_allclose(g.data, oracles.gradient(value, arrays, k, dy), rtol=1e-11, atol=1e-13)


def test_class_weights_of_half_precision_have_a_gradient_of_it():
    z, q, w = (tn.tensor(np.float16(a), requires_grad=True) for a in ([[1, 2], [3, 1]], [[0, 1], [0.5, 0.5]], [1, 2]))
    y = F.cross_entropy(z, q, w)
    y.backward()
    assert {t.grad.dtype for t in (z, q, w)} == {y.dtype} == {np.dtype("float16")}


def test_what_weights_cannot_do_is_said():
    z, w = tn.tensor(X[0], requires_grad=True), tn.tensor(np.ones(4), requires_grad=True, name="w")
    with pytest.raises(tn.GradientError, match=r"cross_entropy: weight w \(4,\) float64 requires .* weight.detach\(\)"):
        F.cross_entropy(z, [0, 1, 2, 3], w)
    with pytest.raises(
        tn.ShapeError, match=r"cross_entropy: weight w \(4,\) float64 with input \(3, 3, 4\) .*: its shape must be \(3,\)"
    ):
        F.cross_entropy(tn.tensor(X[:, :3]), X[:, :3], w)
    with pytest.raises(tn.OptionError, match=r"cross_entropy: ignore_index=1 with class probabilities .* leave it out"):
        F.cross_entropy(z, X[0], ignore_index=1)
    assert F.cross_entropy(z, [0, 1, 2, 3], w.detach()).shape == ()


@pytest.mark.parametrize(
    "y",
    [
        lambda: F.cosine_similarity(np.ones((2, 3), np.float32), 0.5),
        lambda: F.cosine_similarity(0.5, np.ones((2, 3), np.float32)),
        lambda: F.cosine_similarity([[1, 2, 3]], tn.tensor(np.ones((2, 3), np.float32))),
        lambda: F.layer_scale(2.0, tn.tensor(np.float32(3))),
        lambda: F.layer_scale(np.ones(2, np.float32), 3.0, [1, 2]),
        lambda: tn.nn.ReZero()(2.0),
    ],
)
def test_a_python_number_takes_the_others_dtype(y):
    assert y().dtype == np.float32
