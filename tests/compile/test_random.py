"""Random programs by both ways out: nobody chose what they do."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_norm as tn
from tests.engine.test_random_graphs import run as program
from tests.engine.test_random_graphs import shapes_strategy, steps_strategy
from tinygrad_norm.compile import to_onnx


def drawn(shapes, seed, dtype):
    return [np.random.default_rng(seed + i).normal(size=s).astype(dtype) for i, s in enumerate(shapes)]


@pytest.mark.thorough
@settings(max_examples=25, deadline=None)
@given(steps_strategy, shapes_strategy, st.integers(0, 99))
def test_jax(steps, shapes, seed):
    """Values and gradients in float64."""
    jax = pytest.importorskip("jax")
    arrays = drawn(shapes, seed, np.float64)
    leaves = [tn.tensor(a, requires_grad=True) for a in arrays]
    y = program(steps, leaves)
    dy = np.random.default_rng(seed).normal(size=y.shape)
    wanted = tn.grad(y, leaves, dy, materialize_grads=True)
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    try:
        f = tn.to_jax(lambda xs: program(steps, xs))
        value, gradient = jax.jit(lambda xs: (f(xs), jax.grad(lambda zs: (f(zs) * dy).sum())(xs)))(arrays)
    finally:
        jax.config.update("jax_enable_x64", before)
    np.testing.assert_allclose(value, y.data, rtol=1e-11, atol=1e-12)
    for a, b in zip(gradient, wanted):
        np.testing.assert_allclose(a, b.data, rtol=1e-9, atol=1e-9 * max(1.0, float(np.abs(b.data).max())))


@pytest.mark.thorough
@settings(max_examples=25, deadline=None)
@given(steps_strategy, shapes_strategy, st.integers(0, 99))
def test_onnx(steps, shapes, seed):
    """The program, and its gradient as one more record, on numbers that it was not recorded on; in float32."""
    pytest.importorskip("onnx")
    from onnx import load_from_string
    from onnx.reference import ReferenceEvaluator

    def gradient(*xs):
        y = program(steps, xs)
        found = tn.grad(y.sum() if y.ndim else y, xs, create_graph=True, materialize_grads=True)
        return y.sum() + sum((g * x).sum() for g, x in zip(found, xs))

    names = ["a", "b", "c"]
    leaves = [tn.tensor(a, requires_grad=True, name=n) for a, n in zip(drawn(shapes, seed, np.float32), names)]
    others = drawn(shapes, seed + 7, np.float32)
    for f in (lambda *xs: program(steps, xs) * 1.0, gradient):
        model = to_onnx(tn.graph(f(*leaves)), inputs=leaves, function=f)
        (found,) = ReferenceEvaluator(load_from_string(model)).run(None, dict(zip(names, others)))
        expected = f(*(tn.tensor(a, requires_grad=True) for a in others)).data
        np.testing.assert_allclose(found, expected, rtol=2e-3, atol=2e-3 * max(1.0, float(np.abs(expected).max())))
