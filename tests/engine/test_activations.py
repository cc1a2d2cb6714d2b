"""Activations beside PyTorch, at their kinks, and far out against exact values."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest

from tests.engine.test_torch_parity import compare
from tinygrad_norm import functional as F
from tinygrad_norm.engine import DTypeError, OptionError, ShapeError, Tensor, functions, grad, tensor

torch = pytest.importorskip("torch", reason="PyTorch is not installed: parity with it is not checked")
T = torch.nn.functional
X = np.random.default_rng(21).standard_normal((3, 4)) * 3
KINKS = np.array([-7.0, -1.0, -0.0, 0.0, 1.0, 6.0, 7.0])

ALL = {
    "leaky_relu": (F.leaky_relu, T.leaky_relu),
    "leaky_relu slope": (lambda x: F.leaky_relu(x, 0.3), lambda t: T.leaky_relu(t, 0.3)),
    "elu": (F.elu, T.elu),
    "elu alpha": (lambda x: F.elu(x, 0.7), lambda t: T.elu(t, 0.7)),
    "celu": (lambda x: F.celu(x, 0.5), lambda t: T.celu(t, 0.5)),  # PyTorch rounds 1/α to float32: one that is exact
    "selu": (F.selu, T.selu),
    "logsigmoid": (F.logsigmoid, T.logsigmoid),
    "relu6": (F.relu6, T.relu6),
    "hardtanh": (F.hardtanh, T.hardtanh),
    "hardtanh bounds": (lambda x: F.hardtanh(x, -2, 0.5), lambda t: T.hardtanh(t, -2, 0.5)),
}


@pytest.mark.parametrize(("ours", "theirs"), ALL.values(), ids=ALL)
def test_as_pytorch(ours, theirs):
    compare(ours, theirs, X)
    compare(ours, theirs, KINKS, order=1)


def test_glu():
    compare(F.glu, T.glu, X)
    compare(lambda x: F.glu(x, 0), lambda t: T.glu(t, 0), X[:2])


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("name", ["leaky_relu", "elu", "celu", "selu", "logsigmoid", "relu6", "hardtanh", "silu"])
def test_at_the_ends_of_the_range(name, dtype):
    """No warning, and no NaN in value, gradient or gradient of the gradient, as far as the dtype reaches."""
    kind = np.finfo(dtype)
    ends = [kind.max * 0.9, kind.max / 2, 100.0, kind.tiny, kind.smallest_subnormal, 0.0]
    x = tensor(np.array([*ends, *(-e for e in ends)], dtype), requires_grad=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        y = getattr(F, name)(x)
        (g,) = grad(y, x, np.ones(12, dtype), create_graph=True)
        second = grad(g, x, np.ones(12, dtype))[0] if g.requires_grad else g
    assert y.dtype == g.dtype == second.dtype == dtype
    for values in (y, g, second):
        assert np.isfinite(values.data).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_tails_of_logsigmoid_are_exact(dtype):
    """−e⁻ˣ above, x below; log(sigmoid(x)) would be 0 and −∞."""
    x = tensor(np.array([40.0, 80.0, -800.0], dtype), requires_grad=True)
    y = F.logsigmoid(x)
    small = [math.exp(-40), math.exp(-80)]
    np.testing.assert_allclose(y.data, [-small[0], -small[1], -800], rtol=4 * np.finfo(dtype).eps)
    np.testing.assert_allclose(grad(y.sum(), x)[0].data, [*small, 1], rtol=4 * np.finfo(dtype).eps)


def test_elu_keeps_small_numbers():
    """eˣ − 1 would lose all of −1e-20."""
    x = tensor(np.array([-1e-20, -1e-8]), requires_grad=True)
    np.testing.assert_allclose(F.elu(x).data, [-1e-20, math.expm1(-1e-8)], rtol=1e-15)


def test_arrays_and_lists_give_tensors():
    for name in ("relu", "sigmoid", "tanh", "elu", "leaky_relu", "logsigmoid", "hardtanh"):
        for value in (np.array([1.0, -1.0]), [1.0, -1.0], 0.5):
            assert type(getattr(F, name)(value)) is Tensor, name
    for name in ("exp", "log", "sqrt", "rsqrt", "log1p", "expm1", "sin", "cos", "erf", "abs"):
        found = getattr(functions, name)(np.array([0.5, 0.7], "float32"))
        assert type(found) is Tensor
        assert found.dtype == np.float32
    for name in ("maximum", "minimum"):
        for a, b in ((np.ones(2), [0.0, 3.0]), ([0.0, 3.0], 1.0), (1.0, 2.0), (1.0, np.ones(2))):
            assert type(getattr(F, name)(a, b)) is Tensor
    assert F.maximum(tensor(np.ones(2, "float32")), [0.5, 2.0]).dtype == np.float32
    assert F.where([True, False], [1.0, 2.0], 0.0).data.tolist() == [1.0, 0.0]
    assert F.where(np.array([True, False]), tensor(np.ones(2, "float32")), [0.0, 2.0]).dtype == np.float32


def test_what_comes_from_an_op_has_a_name_of_its_own():
    """So that modules and pickles find it."""
    import pickle

    for f in (F.relu, F.tanh, F.maximum, functions.exp):
        assert pickle.loads(pickle.dumps(f)) is f
        assert f.__doc__


BAD = {
    "alpha": (DTypeError, "elu: alpha='a'; it is a number", lambda: F.elu(X, "a")),
    "celu 0": (OptionError, "celu: alpha=0", lambda: F.celu(X, 0)),
    "slope": (DTypeError, "leaky_relu: negative_slope=None", lambda: F.leaky_relu(X, None)),
    "bounds": (OptionError, "hardtanh: min_val=1 is above max_val=0; exchange", lambda: F.hardtanh(X, 1, 0)),
    "halves": (ShapeError, r"glu: \(3, 4\) float64 has 3 entries along dim 0; two halves", lambda: F.glu(X, 0)),
    "integers": (DTypeError, r"elu: input \(2,\) int64 is not floating point. Cast", lambda: F.elu([1, 2])),
    "no numbers": (DTypeError, r"relu: input \(str\): data of dtype .* is not numeric", lambda: F.relu("a")),
    "ragged": (DTypeError, r"relu: input \(list\): cannot make one array", lambda: F.relu([[1.0], [1.0, 2.0]])),
    "beta": (OptionError, "softplus: beta=0; it divides", lambda: F.softplus(X, 0)),
    "softplus word": (DTypeError, "softplus: threshold='a'", lambda: F.softplus(X, 1.0, "a")),
    "condition": (DTypeError, r"where: condition \(2,\) float64 is not of truth values", lambda: F.where([1.0, 0.0], 1.0, 2.0)),
    "shapes": (ShapeError, r"maximum: .*\(3, 4\) .*\(3,\) .*do not broadcast", lambda: F.maximum(X, X[:, 0])),
}


@pytest.mark.parametrize(("error", "message", "call"), BAD.values(), ids=BAD)
def test_errors(error, message, call):
    with pytest.raises(error, match=f"^{message}"):
        call()
