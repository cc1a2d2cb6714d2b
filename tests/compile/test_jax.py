"""Functions of tn in JAX: values and gradients are the engine's, for every op, for programs and networks; what cannot go is refused."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_norm as tn
from tests.engine.samples import SAMPLES
from tinygrad_norm import functional as F
from tinygrad_norm import nn
from tinygrad_norm.compile import RecordError
from tinygrad_norm.compile.following import MORE
from tinygrad_norm.engine import TABLE

jax = pytest.importorskip("jax", reason="JAX is not installed: its functions are not tried")
jnp = jax.numpy

if True:  # behind the question whether JAX is there
    from tinygrad_norm.compile.jax import meanings


@pytest.fixture(autouse=True)
def _float64():
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", before)


def floats(tree):
    return [i for i, x in enumerate(tree) if getattr(x, "dtype", np.dtype(int)).kind == "f"]


def as_tensors(tree, grad=True):
    return jax.tree.map(lambda a: tn.tensor(a, requires_grad=grad and a.dtype.kind == "f"), tree)


# The table --------------------------------------------------------------------------------------------------------


def test_every_op_has_a_meaning():
    assert set(meanings()) == set(TABLE) | set(MORE)


def _filled(call, arrays):
    """The operands of a call with these arrays in their places."""
    xs = list(call[1])
    for i, a in zip(call[2], arrays):
        xs[i] = a
    return xs


@pytest.mark.thorough
@pytest.mark.parametrize("name", TABLE)
def test_op(name):
    """A dozen samples at once: values, in float32 too, and the gradient by every input against the engine's rule."""
    rng = np.random.default_rng(5)
    op, calls, expected, given = TABLE[name], [], [], []
    for inputs, params in SAMPLES[name][:: 1 + len(SAMPLES[name]) // 12]:
        inputs = tuple(np.array(x) if isinstance(x, np.ndarray) else x for x in inputs)
        leaves = [tn.tensor(x, requires_grad=x.dtype.kind == "f") if isinstance(x, np.ndarray) else x for x in inputs]
        y = op(*leaves, **params)
        y = y if isinstance(y, tn.Tensor) else tn.tensor(y)
        dy = rng.normal(size=y.shape)
        real = [i for i, x in enumerate(leaves) if isinstance(x, tn.Tensor) and x.requires_grad]
        wanted = tn.grad(y, [leaves[i] for i in real], dy, materialize_grads=True) if y.requires_grad else None
        f = tn.to_jax(lambda *xs, _params=params: op(*xs, **_params), name=name)
        arrays = tuple(i for i, x in enumerate(inputs) if isinstance(x, np.ndarray))
        calls.append((f, inputs, arrays, real if wanted is not None else None, dy))
        given.append([inputs[i] for i in arrays])
        expected.append((y.data, [g.data for g in wanted or []]))

    def everything(given):
        results = []
        for call, own in zip(calls, given):
            f, xs, real, dy = call[0], _filled(call, own), *call[3:]

            def scalar(some, f=f, xs=xs, real=real, dy=dy):
                for i, a in zip(real, some):
                    xs[i] = a
                return (f(*xs) * dy).sum()

            y = f(*xs)
            results.append((y, jax.grad(scalar)([xs[i] for i in real]) if real else []))
        return results

    singles = jax.tree.map(lambda a: a.astype(np.float32) if a.dtype == np.float64 else a, given)
    in_float32 = jax.jit(lambda given: [call[0](*_filled(call, own)) for call, own in zip(calls, given)])
    for y, (y0, _) in zip(in_float32(singles), expected):
        np.testing.assert_allclose(y, y0, rtol=2e-4, atol=2e-5)
    for (y, gs), (y0, g0) in zip(jax.jit(everything)(given), expected):
        assert (y.shape, y.dtype) == (y0.shape, y0.dtype)
        np.testing.assert_allclose(y, y0, rtol=1e-12, atol=1e-12)
        for g, h in zip(gs, g0):
            np.testing.assert_allclose(g, h, rtol=1e-11, atol=1e-11)


# Programs ---------------------------------------------------------------------------------------------------------


def agree(f, *args, rtol=1e-11, grads=True):
    """Under jit: values, and gradients by every floating-point argument."""
    g = tn.to_jax(f)
    tensors = as_tensors(args)
    y = f(*tensors)
    y0 = y.data
    np.testing.assert_allclose(jax.jit(g)(*args), y0, rtol=rtol, atol=rtol)
    if not grads:
        return
    flat, nest = jax.tree.flatten(args)
    real = floats(flat)
    dy = np.random.default_rng(3).normal(size=y.shape).astype(y.dtype)

    def scalar(some):
        leaves = list(flat)
        for i, a in zip(real, some):
            leaves[i] = a
        return (g(*jax.tree.unflatten(nest, leaves)) * dy).sum()

    found = jax.jit(jax.grad(scalar))([flat[i] for i in real])
    leaves = jax.tree.leaves(tensors, is_leaf=lambda x: isinstance(x, tn.Tensor))
    expected = tn.grad(y, [leaves[i] for i in real], dy, materialize_grads=True)
    for a, b in zip(found, expected):
        np.testing.assert_allclose(a, b.data, rtol=rtol * 10, atol=rtol * 10 * max(1.0, float(np.abs(b.data).max(initial=0))))


rng = np.random.default_rng(0)
X, W, B = rng.normal(size=(4, 6)), rng.normal(size=(6,)), rng.normal(size=(6,))
T, COUNTS = np.array([1, 0, 3, 5]), np.array([1, -100, 3, -100])
P = rng.uniform(0.1, 0.9, size=(4, 6))
MASK = rng.random((4, 6)) > 0.3
IMAGES = rng.normal(size=(2, 4, 6, 6))

PROGRAMS = {
    "layer_norm": (lambda x, w, b: F.layer_norm(x, 6, w, b), X, W, B),
    "a nest": (lambda d: d["x"] * d["more"][0] + d["more"][1], {"x": X, "more": [W, B]}),
    "select": (lambda x: tn.where(x > 0.3, x**2, x.exp()), X),
    "through .data": (lambda x: x * (x.data > 0) - np.maximum(x.data, 0.5), X),
    "detached": (lambda x: x / x.detach().std(), X),
    "no_grad": (lambda x: _without(x), X),
    "cross_entropy": (lambda x, t: F.cross_entropy(x, t), X, T),
    "ignored": (lambda x, t: F.cross_entropy(x, t, label_smoothing=0.1), X, COUNTS),
    "weighted": (lambda x, t: F.cross_entropy(x, t, weight=np.arange(1.0, 7.0)), X, COUNTS),
    "nll": (lambda x, t: F.nll_loss(F.log_softmax(x, -1), t), X, COUNTS),
    "bce": (lambda x, p: F.binary_cross_entropy(x, p), P, MASK * 1.0),
    "bce of logits": (lambda x, p: F.binary_cross_entropy_with_logits(x, p), X, P),
    "kl": (lambda x, p: F.kl_div(x, p, reduction="batchmean"), X, P),
    "huber": (lambda x, y: F.huber_loss(x, y), X, P),
    "smooth l1": (lambda x, y: F.smooth_l1_loss(x, y), X, P),
    "embedding": (lambda w, i: F.embedding(i, w), X, np.array([[0, 3], [3, 1]])),
    "padding": (lambda w, i: F.embedding(i, w, 1), X, np.array([[0, 3], [3, 1]])),
    "an index": (lambda x, i: x[i, i + 1] * 2, X, np.array([0, 2, 2])),
    "gather": (lambda x, i: x.gather(1, i), X, np.array([[0, 5], [1, 1], [2, 0], [3, 3]])),
    "sort": (lambda x: x.sort(-1).values * np.arange(6.0), X),
    "top": (lambda x: x.max(1).values, X),
    "masked softmax": (lambda x, m: F.masked_softmax(x, m, -1), X, MASK),
    "attention": (lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True), X, X + 1, X - 1),
    "max pool": (lambda x: F.max_pool2d(x, 3, 2, 1), IMAGES),
    "avg pool": (lambda x: F.avg_pool2d(x, 2), IMAGES),
    "softmax": (lambda x: F.softmax(x, -1), X),
    "normalize": (lambda x: F.normalize(x, dim=1), np.vstack([X, np.zeros(6)])),
    "std at 0": (lambda x: x.std(1), np.vstack([X, np.ones(6)])),
    "batch norm": (lambda x, m, v: F.batch_norm(x, m, v, training=False), X, W, W**2),
    "batch renorm": (lambda x, m, v: F.batch_renorm(x, m, v, training=True), X, W, W**2),
    "group norm": (lambda x: F.group_norm(x, 2), IMAGES),
    "checkpoint": (lambda x: tn.checkpoint(lambda z: z.tanh() * z)(x), X),
    "gradient inside": (lambda x, w: tn.grad((x.tanh() * w).sum(), x, create_graph=True)[0] ** 2, X, W),
    "numbers": (lambda x: 2 * x - 1 / x + 3.5, X),
    "integers": (lambda x, n: x * n + n // 2, X, np.arange(6)),
}  # fmt: skip


def _without(x):
    with tn.no_grad():
        scale = (x**2).mean()
    return x * scale


@pytest.mark.thorough
@pytest.mark.parametrize("name", PROGRAMS)
def test_program(name):
    f, *args = PROGRAMS[name]
    agree(f, *args)


@pytest.mark.thorough
@pytest.mark.parametrize("backward", ["recorded", "analytic"])
@pytest.mark.parametrize("name", tn.norms.names())
def test_norm(name, backward):
    """Every norm of the register at its samples; of a hand-derived node the record is taken."""
    norm = tn.norms.get(name)
    for sample in norm.samples if backward == "recorded" else norm.samples[:1]:
        options = {k: v for k, v in sample.items() if k != "shape"}
        shape, settings, draw = sample.get("shape", norm.shape), {**norm.options, **options}, np.random.default_rng(2)
        values = {n: tn.norms.draw(norm, n, draw, s) for n, s in {"input": shape, **norm.parameters(shape, **settings)}.items()}
        agree(lambda d, how=settings: norm.apply(d, backward=backward, **how), values, rtol=1e-10, grads=backward == "recorded")


def test_float32_and_dtypes_stay():
    x = X.astype(np.float32)
    g = tn.to_jax(lambda x: F.layer_norm(x, 6) * 2)
    found, expected = jax.jit(g)(x), F.layer_norm(tn.tensor(x), 6) * 2
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected.data, rtol=1e-5, atol=1e-6)


@pytest.mark.thorough
def test_vmap_and_value_and_grad():
    f = tn.to_jax(lambda x, w: (F.layer_norm(x, 6, w) ** 3).sum())
    value, gradient = jax.vmap(jax.value_and_grad(f), (0, None))(X, W)
    for i, row in enumerate(X):
        x = tn.tensor(row, requires_grad=True)
        y = (F.layer_norm(x, 6, tn.tensor(W)) ** 3).sum()
        np.testing.assert_allclose(value[i], y.data, rtol=1e-11)
        np.testing.assert_allclose(gradient[i], tn.grad(y, x)[0].data, rtol=1e-9, atol=1e-12)


def test_recorded_once_for_each_shape():
    calls = []
    f = tn.to_jax(lambda x: (calls.append(x.shape), x * 2)[1])
    for n in (3, 3, 4, 3):
        np.testing.assert_array_equal(f(np.ones(n)), 2 * np.ones(n))
    assert calls == [(3,), (3,), (4,), (4,)]  # twice each: on other data


def test_an_argument_that_is_no_array():
    f = tn.to_jax(lambda x, n, how="add": x + n if how == "add" else x * n)
    assert [f(np.float64(3), 2), f(np.float64(3), 2, how="mul")] == [5, 6]
    with pytest.raises(tn.DTypeError, match=r"an argument is \{1\}, neither an array nor a number"):
        f(np.float64(3), {1})
    assert f(np.ones(2, np.int32), True).dtype != f(np.ones(2, np.int32), 1.0).dtype  # equal, and not the same
    with pytest.raises(tn.DTypeError, match=r"an argument of dtype bfloat16.*Cast it: x.astype\('float32'\)"):
        f(jnp.ones(2, jnp.bfloat16), 2)
    with pytest.raises(tn.DTypeError, match="to_jax: 3 cannot be called"):
        tn.to_jax(3)


# Networks ---------------------------------------------------------------------------------------------------------


def parts(net):
    return tuple({k: np.array(t.data) for k, t in of} for of in (net.named_parameters(), net.named_buffers()))


@pytest.mark.thorough
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(
    "make", [tn.train.mlp, tn.train.cnn, tn.train.lstm, tn.train.gru, tn.train.transformer], ids=lambda m: m.__name__
)
def test_network(make, dtype):
    """Loss, updated running statistics and every gradient."""
    net = make(dtype=dtype, seed=3)
    params, buffers = parts(net)
    sequences = make is tn.train.transformer
    x = rng.integers(0, 8, (6, 10)) if sequences else rng.normal(size=(6, 8, 8)).astype(dtype)
    t = rng.integers(0, 8, (6, 10) if sequences else 6)

    def loss(params, buffers, x, t):
        y = nn.functional_call(net, (params, buffers), x)
        return F.cross_entropy(y.swapaxes(1, 2) if sequences else y, t), buffers

    before = {k: np.array(v.data) for k, v in net.state_dict().items()}
    (value, after), found = jax.jit(jax.value_and_grad(tn.to_jax(loss), has_aux=True))(params, buffers, x, t)
    for k, v in net.state_dict().items():  # recording has left no trace
        np.testing.assert_array_equal(v.data, before[k])
    ours, mine = as_tensors(params), as_tensors(buffers, grad=False)
    expected, mine = loss(ours, mine, tn.tensor(x), tn.tensor(t))
    expected.backward()
    close = {"rtol": 1e-9, "atol": 1e-12} if dtype == "float64" else {"rtol": 2e-4, "atol": 2e-6}
    np.testing.assert_allclose(value, expected.data, **close)
    for k in params:
        np.testing.assert_allclose(found[k], ours[k].grad.data, **close, err_msg=k)
    for k in buffers:
        np.testing.assert_allclose(after[k], mine[k].data, **close, err_msg=k)
        assert after[k].dtype == mine[k].dtype


@pytest.mark.thorough
def test_dropout_draws_from_a_key():
    f = tn.to_jax(lambda x: F.dropout(x, 0.25) + F.dropout(x, 0.5))
    x = np.ones((64, 64))
    with pytest.raises(RecordError, match=r"draws 2 dropout masks. Give it a key, f\(…, key=jax.random.key\(0\)\)"):
        f(x)
    one, other = (np.asarray(f(x, key=jax.random.key(k))) for k in (0, 1))
    assert set(np.unique(one).round(9)) == {0.0, round(4 / 3, 9), 2.0, round(4 / 3 + 2, 9)}
    assert abs(one.mean() - 2) < 0.1
    assert not np.array_equal(one, other)


def test_a_function_with_a_key_of_its_own():
    f = tn.to_jax(lambda d, key: d[key] * 2)
    np.testing.assert_array_equal(f({"a": np.ones(2)}, key="a"), [2, 2])


def test_without_jax(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "jax", None)
    with pytest.raises(ImportError, match=r"JAX is not installed. Install it: pip install 'tinygrad_norm\[jax\]'"):
        tn.to_jax(lambda x: x)(X)
