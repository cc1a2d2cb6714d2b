"""Records as ONNX files, run by onnxruntime and by onnx's reference evaluator: every op, programs, networks, gradients, open sizes."""

from __future__ import annotations

import sys
from contextlib import suppress

import numpy as np
import pytest

import tinygrad_norm as tn
from tests.engine.samples import SAMPLES
from tinygrad_norm import functional as F
from tinygrad_norm.compile import RecordError, to_onnx
from tinygrad_norm.compile.following import MORE
from tinygrad_norm.compile.onnx_ops import MEANINGS
from tinygrad_norm.engine import TABLE

onnx = pytest.importorskip("onnx", "1.22", reason="onnx is not installed: files are not read")

rng = np.random.default_rng(0)
X = rng.normal(size=(4, 6)).astype(np.float32)
W = rng.normal(size=6).astype(np.float32)


def run(model, *arrays, reference=True):
    """By the reference evaluator, and by onnxruntime, where it is installed."""
    from onnx.reference import ReferenceEvaluator

    read = onnx.load_from_string(model)
    feed = {i.name: a for i, a in zip(read.graph.input, arrays)}
    if reference:
        yield ReferenceEvaluator(read).run(None, feed)
    with suppress(ImportError):
        import onnxruntime

        yield onnxruntime.InferenceSession(model).run(None, feed)


def leaf(a, name):
    return tn.tensor(a, requires_grad=a.dtype.kind == "f", name=name)


def holds(f, *arrays, others=(), close=2e-5, names="xyzuv", **how):
    """The file of f's record gives f, of the arrays that it was recorded on and of others."""
    leaves = [leaf(a, n) for a, n in zip(arrays, names)]
    y = f(*leaves)
    model = to_onnx(tn.graph(y), inputs=leaves, **how)
    for given in (arrays, *others):
        expected = f(*(leaf(a, n) for a, n in zip(given, names))).data
        for (found,) in run(model, *given):
            assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
            np.testing.assert_allclose(found, expected, rtol=close, atol=close * max(1.0, float(np.abs(expected).max(initial=0))))
    return onnx.load_from_string(model)


# The table --------------------------------------------------------------------------------------------------------


def test_every_op_has_a_meaning():
    assert set(MEANINGS) == set(TABLE) | set(MORE)


@pytest.mark.thorough
@pytest.mark.parametrize("name", TABLE)
def test_op(name):
    """All samples in float32; what is an array is fed, but for whole numbers that ONNX has no op for."""
    op = TABLE[name]
    for inputs, params in SAMPLES[name]:
        params = {k: np.dtype(np.float32) if k == "dtype" else v for k, v in params.items()}
        inputs = [np.array(x, np.float32 if x.dtype.kind == "f" else x.dtype) if isinstance(x, np.ndarray) else x for x in inputs]
        if any(isinstance(x, np.ndarray) and not x.size for x in inputs) and name in (
            "einsum",
            "conv2d",
            "conv2d_input",
            "conv2d_weight",
        ):
            continue  # neither evaluator takes an empty operand of these

        def f(*tensors, inputs=inputs, params=params):
            given = iter(tensors)
            return op(*(next(given) if isinstance(x, np.ndarray) else x for x in inputs), **params) * 1

        arrays = [x for x in inputs if isinstance(x, np.ndarray)]
        leaves = [leaf(a, n) for a, n in zip(arrays, "xyz")]
        y = tn.concatenate([f(*leaves).astype(np.float32).reshape(-1), (leaves[-1] * 0.0).reshape(-1)])  # an answer has no record
        model = to_onnx(tn.graph(y), inputs=leaves, function=lambda *xs, f=f: f(*xs))
        expected = f(*leaves).data
        for (found,) in run(model, *arrays, reference=name != "conv2d_input"):  # its ConvTranspose knows one group of one channel
            assert found.shape == expected.shape, (inputs, params)
            np.testing.assert_allclose(found, expected, rtol=2e-5, atol=2e-5, err_msg=f"{inputs} {params}")


# Programs ---------------------------------------------------------------------------------------------------------


def test_saved_and_read(tmp_path):
    x, w = leaf(X, "x"), leaf(W, "w")
    y = F.layer_norm(x, 6, w).named("y")
    path = tn.graph(y).save(tmp_path / "block.onnx")
    model = onnx.load(path)
    assert [i.name for i in model.graph.input] == ["x"]
    assert [o.name for o in model.graph.output] == ["y"]
    assert {i.name for i in model.graph.initializer} >= {"w"}
    assert any(p.value.startswith("LayerNorm/") for n in model.graph.node for p in n.metadata_props if p.key == "scope")
    assert model.producer_name == "tinygrad_norm"
    assert list(tmp_path.iterdir()) == [path]
    for (found,) in run(path.read_bytes(), X):
        np.testing.assert_allclose(found, y.data, rtol=1e-5, atol=1e-6)


def test_float64_stays():
    x = np.random.default_rng(1).normal(size=(3, 4))
    holds(lambda x: (F.layer_norm(x, 4) * 2).tanh().sum(1), x, others=[(-x,)], close=1e-12)


def test_a_gradient_is_a_record_too():
    w = leaf(W, "w")

    def dx(x, dy):
        return tn.grad(F.layer_norm(x, 6, w).relu(), x, dy, create_graph=True)[0]

    x, dy = leaf(X, "x"), leaf(X[::-1].copy(), "dy")
    model = to_onnx(tn.graph(dx(x, dy)), inputs=("x", "dy"))  # where relu stops it, is asked again
    other = -X
    for (found,) in run(model, other, dy.data):
        np.testing.assert_allclose(found, dx(leaf(other, "x"), dy).data, rtol=1e-4, atol=1e-5)


PROGRAMS = {
    "softmax": lambda x: F.softmax(x, -1),
    "through .data": lambda x: x * (x.data > 0) - np.maximum(x.data, 0.5).astype(np.float32),
    "normalize": lambda x: F.normalize(x, dim=1),
    "sort": lambda x: x.sort(-1).values * np.arange(6, dtype=np.float32),
    "largest": lambda x: x.max(1).values,
    "gather": lambda x: x[np.arange(4), np.argmax(x.data, 1)][:, None] * x,
    "slices": lambda x: x[1:, ::-2].T @ x[1:, None, 0],
    "variance": lambda x: x.var(0) + x.std(1)[0],
    "attention": lambda x: F.scaled_dot_product_attention(x, x + 1, x - 1, is_causal=True),
    "gradient": lambda x: tn.grad(F.softmax(x * x, -1)[:, 0].sum(), x, create_graph=True)[0],
    "gelu": lambda x: F.gelu(x) + F.gelu(x, approximate="tanh") + F.softplus(x),
}  # fmt: skip


@pytest.mark.thorough
@pytest.mark.parametrize("name", PROGRAMS)
def test_program(name):
    f = PROGRAMS[name]
    holds(f, X, others=[(-X * 2,)], function=f)


@pytest.mark.thorough
def test_a_loss_of_integer_targets():
    def loss(x, t):
        return F.cross_entropy(x, t, label_smoothing=0.1)

    t = np.array([1, 0, 3, 5])
    holds(loss, X, t, others=[(-X, np.array([2, -100, 0, 0]))], function=loss)


@pytest.mark.thorough
@pytest.mark.parametrize("make", [tn.train.mlp, tn.train.cnn, tn.train.lstm, tn.train.transformer], ids=lambda m: m.__name__)
def test_network_in_inference(make):
    net = make(seed=1).eval()
    x = rng.integers(0, 8, (3, 10)) if make is tn.train.transformer else rng.normal(size=(3, 8, 8)).astype(np.float32)
    other = x[::-1].copy()
    leaves = tn.tensor(x, requires_grad=x.dtype.kind == "f", name="x")
    y = net(leaves)
    model = to_onnx(tn.graph(y), inputs=None if x.dtype.kind == "f" else [leaves], function=net)
    for given in (x, other):
        for (found,) in run(model, given):
            np.testing.assert_allclose(found, net(tn.tensor(given)).data, rtol=1e-4, atol=1e-5)


# An open size -----------------------------------------------------------------------------------------------------


def open_batch(f, shape, sizes=(1, 5), **how):
    x = leaf(rng.normal(size=(3, *shape)).astype(np.float32), "x")
    model = to_onnx(tn.graph(f(x)), function=f, dynamic={"x": ("B", *(None,) * len(shape))}, inputs=[x], **how)
    read = onnx.load_from_string(model)
    assert read.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "B"
    for n in sizes:
        a = rng.normal(size=(n, *shape)).astype(np.float32)
        for (found,) in run(model, a):
            np.testing.assert_allclose(found, f(tn.tensor(a)).data, rtol=2e-5, atol=2e-5)
    return read


def test_an_open_batch():
    """The numbers 1/B and 1/(B − 1) are computed from the input's shape."""
    open_batch(lambda x: (F.layer_norm(x, 6, W) - x.mean(0)) * x.var(0).sum() + x.reshape(-1).sum(), (6,), sizes=(2, 5))


@pytest.mark.thorough
def test_an_open_batch_of_a_network():
    net = tn.train.cnn(seed=1).eval()
    open_batch(net, (8, 8), standard=True)
    open_batch(tn.train.mlp(norm="layer_norm", seed=1), (8, 8))


def test_a_size_in_a_constant_is_refused():
    f = lambda x: x * np.arange(x.shape[0], dtype=np.float32)[:, None]  # noqa: E731
    with pytest.raises(
        RecordError, match=r"dynamic: Mul.*a constant of shape \(7, 1\) has another shape at another size. Keep that size"
    ):
        open_batch(f, (6,))
    with pytest.raises(RecordError, match="follows none that is known"):
        open_batch(lambda x: x * float(np.sin(x.shape[0])) + x.shape[0] % 3, (6,))


# The standard's own operators -------------------------------------------------------------------------------------


def kinds(model):
    return [n.op_type for n in model.graph.node if n.op_type != "Identity"]


def test_standard_operators():
    f = lambda x: F.softmax(F.layer_norm(x, 6, W, eps=1e-3), -1)  # noqa: E731
    assert kinds(holds(f, X, function=f, standard=True)) == ["LayerNormalization", "Softmax"]
    assert "LayerNormalization" not in kinds(holds(f, X, function=f))


@pytest.mark.thorough
def test_more_standard_operators():
    images, c = rng.normal(size=(2, 4, 5, 5)).astype(np.float32), np.float32([1, 2, 3, 0.5])
    for f, kind, x in (
        (lambda x: F.rms_norm(x, (6,), W), "RMSNormalization", X),
        (lambda x: F.log_softmax(x, 1), "LogSoftmax", X),
        (lambda x: F.group_norm(x, 2, c, c), "GroupNormalization", images),
        (lambda x: F.instance_norm(x, weight=c, bias=-c), "InstanceNormalization", images),
        (lambda x: F.batch_norm(x, c - 1, c, c * 2, -c), "BatchNormalization", images),
        (lambda x: F.max_pool2d(x, 3, 2, 1), "MaxPool", images),
    ):
        assert kinds(holds(f, x, others=[(x * 2 + 1,)], function=f, standard=True)) == [kind]


def test_what_only_looks_alike_stays():
    """A LayerNorm with ε outside of the root is none of the standard's."""
    f = lambda x: F.layer_norm(x, 6, W, eps=0.5, eps_mode="std")  # noqa: E731
    assert "LayerNormalization" not in kinds(holds(f, X, function=f, standard=True))


# What is refused --------------------------------------------------------------------------------------------------


def test_refused():
    x = leaf(X, "x")
    with pytest.raises(
        RecordError,
        match=r"save: max of shape \(4, 1\), which was made after the input, may have been computed from it.*function=f",
    ):
        to_onnx(tn.graph(F.softmax(x, -1)))
    with pytest.raises(RecordError, match=r"the index of getitem, which computes a tensor of shape \(4,\), may have been"):
        to_onnx(tn.graph(x[np.arange(4), np.argmax(x.data, 1)]))
    with pytest.raises(RecordError, match=r'layer_norm is a node with rules of its own.*backward="recorded"'):
        to_onnx(tn.graph(F.layer_norm(x, 6, backward="analytic")))
    with pytest.raises(RecordError, match="draws 1 dropout masks; a file has no random numbers"):
        to_onnx(tn.graph(x * 2), function=lambda x: F.dropout(x * 2))
    with pytest.raises(RecordError, match="computes something else than what was recorded"):
        to_onnx(tn.graph(x * 2), function=lambda x: x * 3)
    with pytest.raises(tn.OptionError, match="inputs: 'z' is no leaf of the record; its leaves are x"):
        to_onnx(tn.graph(x * 2), inputs="z")
    with pytest.raises(tn.OptionError, match=r"give function= too"):
        to_onnx(tn.graph(x * 2), dynamic={"x": ("B", None)})
    with pytest.raises(tn.OptionError, match=r"its axes are .*give a name or None for each"):
        to_onnx(tn.graph(x * 2), dynamic={"x": ("B",)}, function=lambda x: x * 2)
    with pytest.raises(tn.DTypeError, match="function=3; it is what computes the output"):
        to_onnx(tn.graph(x * 2), function=3)


def test_without_onnx(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ImportError, match=r".onnx needs the package onnx. Install it: pip install 'tinygrad_norm\[onnx\]'"):
        tn.graph(leaf(X, "x") * 2).save(tmp_path / "a.onnx")
    assert not list(tmp_path.iterdir())
