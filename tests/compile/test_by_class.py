"""Cross-entropy of class indices: its kernel reads the index, and makes nothing of the size of the logits."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

import tinygrad_norm as tn
from tinygrad_norm import functional as F
from tinygrad_norm.compile import KernelWarning, cache, runners, twins

numba = pytest.mark.skipif(importlib.util.find_spec("numba") is None, reason="Numba is not installed")


def drawn(shape, dtype=np.float64):
    rng = np.random.default_rng(0)
    axis = min(1, len(shape) - 1)
    return rng.normal(size=shape).astype(dtype), rng.integers(0, shape[axis], shape[:axis] + shape[axis + 1 :])


def both(z, t, **how):
    found = []
    for backward in ("recorded", "compiled"):
        x = tn.tensor(z, requires_grad=True)
        y = F.cross_entropy(x, t, backward=backward, **how)
        found.append([y.numpy(), tn.grad(y, [x], np.random.default_rng(1).normal(size=y.shape))[0].numpy()])
    return zip(*found)


def test_in_numpy(monkeypatch):
    monkeypatch.setattr(runners, "language", lambda: "numpy")
    z, t = drawn((4, 6))
    k = tn.kernel("cross_entropy", soft=False)
    assert k.wanted == ("input",)
    assert [a.name for a in k.program.inputs] == ["x", "target"]
    x = tn.tensor(z, requires_grad=True)
    y = F.cross_entropy(x, t)
    assert abs(k.forward(z, t) - y.item()) < 1e-14
    assert np.allclose(k.backward(np.array(2.0), z, t)[0], tn.grad(y, [x], np.array(2.0))[0].numpy(), rtol=1e-13)
    assert "place N = t" in str(k.schedule)


def test_an_index_that_is_none_asks_the_record(monkeypatch):
    monkeypatch.setattr(runners, "language", lambda: "numpy")
    z, t = drawn((4, 6))
    t[1] = -100
    k = tn.kernel("cross_entropy", soft=False)
    assert abs(k.forward(z, t) - F.cross_entropy(tn.tensor(z), t).item()) < 1e-14
    t[1] = 6
    with pytest.raises(tn.ShapeError, match="has 6; an index must be between 0 and 5"):
        k.forward(z, t)


@numba
@pytest.mark.thorough
@pytest.mark.parametrize("shape", [(4, 6), (2, 5, 3), (7,), (30, 500)])
@pytest.mark.parametrize("how", [{}, {"reduction": "none"}, {"reduction": "sum", "label_smoothing": 0.2}, {"ignore_index": 1}])
def test_compiled(shape, how):
    for a, b in both(*drawn(shape), **how):
        assert np.allclose(a, b, rtol=1e-12, atol=1e-14)
    assert any(p is not None and p.inputs[1].role == "index" for p in twins._programs.values())


@numba
def test_weights_are_not_compiled_and_one_line_says_so(monkeypatch):
    monkeypatch.setattr(cache, "_said", set())
    with pytest.warns(KernelWarning, match="cross_entropy has no kernel with an array among its settings"):
        found = list(both(*drawn((4, 6)), weight=np.linspace(0.5, 1, 6)))
    assert all(np.allclose(a, b) for a, b in found)
