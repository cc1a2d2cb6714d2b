"""``backward="compiled"``: an op whose rules stay the node's own."""

from __future__ import annotations

import gc
import importlib.util
import warnings
import weakref

import numpy as np
import pytest

import tinygrad_norm as tn
from tinygrad_norm import functional as F
from tinygrad_norm.compile import KernelWarning, cache, twins
from tinygrad_norm.norms import draw, get, names
from tinygrad_norm.norms.spectral_norm import power_iteration

numba = pytest.mark.skipif(importlib.util.find_spec("numba") is None, reason="Numba is not installed")


def leaves(*shapes, dtype=np.float64):
    rng = np.random.default_rng(0)
    return [tn.tensor(rng.normal(size=s).astype(dtype), requires_grad=True) for s in shapes]


def test_without_numba_the_analytic_node_computes(monkeypatch):
    monkeypatch.setattr(twins, "language", lambda: "numpy")
    monkeypatch.setattr(twins, "_twins", {})
    monkeypatch.setattr(cache, "_said", set())
    x, w, b = leaves((3, 5), (5,), (5,))
    with pytest.warns(KernelWarning, match="Numba is not installed, so the analytic node computes"):
        y = F.layer_norm(x, 5, w, b, backward="compiled")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = F.layer_norm(x, 5, w, b, backward="compiled")
    want = F.layer_norm(x, 5, w, b, backward="analytic")
    assert np.array_equal(y.numpy(), want.numpy())
    assert np.array_equal(again.numpy(), want.numpy())


def test_a_word_that_is_none():
    (x,) = leaves((3, 5))
    with pytest.raises(tn.OptionError, match="compiled"):
        F.layer_norm(x, 5, backward="fused")


@numba
@pytest.mark.thorough
def test_acid():
    """LayerNorm of (t, 0), weight (1, 2), ε = ¼, summed, is −t/√(1 + t²)."""
    t = tn.tensor(0.7, requires_grad=True)
    x = tn.stack([t, t * 0.0]).reshape(1, 2)
    y = F.layer_norm(x, 2, tn.tensor([1.0, 2.0]), eps=0.25, backward="compiled").sum()
    derivatives = [y]
    for _ in range(3):
        derivatives += tn.grad(derivatives[-1], [t], create_graph=True)

    assert abs(derivatives[2].item() - 0.7749142079590942) < 1e-12
    assert abs(derivatives[3].item() + 0.7132479766449755) < 1e-11


@numba
@pytest.mark.thorough
@pytest.mark.parametrize("name", ["layer_norm", "softmax", "log_softmax", "batch_norm", "normalize", "dynamic_tanh"])
def test_a_kernel_computes(name, monkeypatch):
    """It is no analytic node in disguise: none is warned of."""
    monkeypatch.setattr(cache, "_said", set())
    monkeypatch.setattr(twins, "_programs", {})
    monkeypatch.setattr(twins, "_kernels", {})
    monkeypatch.setattr(twins, "_seen", {})
    norm = get(name)
    rng = np.random.default_rng(0)
    shapes = {"input": norm.shape, **norm.parameters(norm.shape, **norm.options)}
    of = {n: tn.tensor(draw(norm, n, rng, s), requires_grad=True) for n, s in shapes.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        norm.apply(of, backward="compiled", **norm.options).sum().backward()
    assert any(twins._programs.values())


@numba
@pytest.mark.thorough
def test_nothing_is_kept_alive():
    gc.disable()
    try:
        x, w, b = leaves((3, 5), (5,), (5,))
        y = F.layer_norm(x, 5, w, b, backward="compiled")
        y.backward(np.ones((3, 5)))
        y.backward(np.ones((3, 5)))  # a second time
        seen = weakref.ref(y)
        del y
        assert seen() is None
    finally:
        gc.enable()


@numba
@pytest.mark.thorough
@pytest.mark.parametrize("name", [n for n in names() if not n.startswith("test_")])
def test_every_norm(name):
    norm = get(name)
    options = dict(norm.options)
    rng = np.random.default_rng(0)
    shapes = {"input": norm.shape, **norm.parameters(norm.shape, **options)}
    values = {n: draw(norm, n, rng, s) for n, s in shapes.items()}
    found = []
    for backward in ("analytic", "compiled"):
        of = {n: tn.tensor(v, requires_grad=v.dtype.kind == "f") for n, v in values.items()}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", KernelWarning)
            y = norm.apply(of, backward=backward, **options)
            dy = np.random.default_rng(1).normal(size=y.shape)
            gradients = tn.grad(y, [t for t in of.values() if t.requires_grad], dy, create_graph=True, allow_unused=True)
        found.append([y.numpy(), *(np.zeros(()) if g is None else g.numpy() for g in gradients)])
    for a, b in zip(*found):
        assert a.shape == b.shape
        assert np.max(np.abs(a - b), initial=0) < 1e-11 * (1 + np.max(np.abs(a), initial=0))


@numba
@pytest.mark.thorough
def test_a_module():
    net = tn.nn.BatchNorm2d(4, backward="compiled")
    same = tn.nn.BatchNorm2d(4, backward="analytic")
    (x,) = leaves((3, 4, 5, 5), dtype=np.float32)
    for module in (net, same):
        module(x).sum().backward()
    a, b = net(x), same(x)
    assert np.allclose(a.numpy(), b.numpy(), atol=1e-5)


@numba
@pytest.mark.thorough
def test_a_cache_that_cannot_be_written(monkeypatch, tmp_path):
    place = tmp_path / "a file"
    place.write_text("")
    monkeypatch.setenv("TINYGRAD_NORM_CACHE", str(place))
    monkeypatch.setattr(cache, "_loaded", {})
    monkeypatch.setattr(cache, "_said", set())
    k = tn.kernel("film")
    x, w, b = (t.numpy() for t in leaves((3, 5), (3, 5), (3, 5)))
    with pytest.warns(KernelWarning, match="kernels are compiled for this process only"):
        y = k.forward(x, w, b)
    assert np.allclose(y, x * w + b)


@numba
@pytest.mark.parametrize("fails", ["forward", "backward"])
def test_a_compiler_that_fails(fails, monkeypatch):
    """The right numbers come from NumPy, and one line says so."""

    real = cache._run

    def run(name, text):
        if f"def {fails}(" in text:
            raise TypeError("no such instruction\nand more")
        return real(name, text.replace("CACHE = True", "CACHE = False"))

    for how in ("_from_disk", "_run"):
        monkeypatch.setattr(cache, how, run)
    monkeypatch.setattr(cache, "_loaded", {})
    monkeypatch.setattr(cache, "_said", set())
    k = tn.kernel("layer_scale")
    x, w, residual, dy = (t.numpy() for t in leaves((3, 5), (5,), (3, 5), (3, 5)))
    with pytest.warns(KernelWarning, match="NumPy computes its formula: Numba cannot compile it: no such instruction$") as seen:
        found = [k.forward(x, w, residual), *k.backward(dy, x, w, residual)]
    assert len(seen) == 1
    for a, b in zip(found, [x * w + residual, dy * w, (dy * x).sum(0), dy]):
        assert np.allclose(a, b)


@numba
@pytest.mark.thorough
@pytest.mark.parametrize("shape", [(4, 5, 6, 3), (4, 3, 5)], ids=str)
def test_parameters_as_long_as_another_axis(shape):
    """Three shares on images three wide, or of three channels: the sizes are equal, the axes are not."""
    rng = np.random.default_rng(0)
    c = shape[1]
    values = [rng.normal(size=s) for s in (shape, (3,), (3,), (c,), (c,))]
    found = []
    for backward in ("recorded", "compiled"):
        of = [tn.tensor(a, requires_grad=True) for a in values]
        with warnings.catch_warnings():
            warnings.simplefilter("error", KernelWarning)
            y = F.switchable_norm(*of, backward=backward)
            found.append([y, *tn.grad(y, of, np.random.default_rng(1).normal(size=shape))])
    for a, b in zip(*found):
        assert np.allclose(a.numpy(), b.numpy(), atol=1e-12)


@numba
@pytest.mark.thorough
def test_a_large_matrix_product_is_left_to_blas(monkeypatch):
    monkeypatch.setattr(cache, "_said", set())
    monkeypatch.setattr(twins, "_seen", {})
    for t, word in ((6, ""), (90, "its analytic node computes matrix products as large as these, with BLAS")):
        q, k = leaves((t, 64), (t, 64))
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            s = F.qk_norm(q, k, 2.0, backward="compiled")
        assert [word in str(w.message) for w in seen] == [True] * bool(word)
        assert np.allclose(s.numpy(), F.qk_norm(q, k, 2.0).numpy(), atol=1e-13)


@numba
@pytest.mark.thorough
@pytest.mark.parametrize("shape", [(4, 6), (5, 5)], ids=str)
def test_vectors_along_other_axes(shape, monkeypatch):
    """u of spectral norm lies along the first axis, v along the last, also where these are equally long."""
    (w,) = leaves(shape)
    u, v = power_iteration(w, np.ones(shape[0]), 5)
    dy = np.random.default_rng(1).normal(size=shape)
    found = []
    monkeypatch.setattr(cache, "_said", set())
    for backward in ("recorded", "compiled"):
        with warnings.catch_warnings():
            warnings.simplefilter("error", KernelWarning)
            y = F.spectral_norm(w, u, v, backward=backward)
            found.append([y, *tn.grad(y, [w], dy)])
    for a, b in zip(*found):
        assert np.allclose(a.numpy(), b.numpy(), atol=1e-12)
    assert any(bound is not None for seen, bound in twins._seen.items() if seen[0].name == "spectral_norm")
