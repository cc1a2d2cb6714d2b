"""Every primitive of the table in forward mode: against the oracle, and against reverse mode."""

from __future__ import annotations

import numpy as np

from tests.engine.test_table import each_differentiable, first_gradients, floating
from tests.oracles import central, complex_step
from tinygrad_norm.engine import jvp


@each_differentiable
def test_forward_against_oracle_and_reverse(op, inputs, params):
    """Jv is the slope along v, and ⟨u, Jv⟩ = ⟨Jᵀu, v⟩ for the u that the reverse tests use."""
    rng = np.random.default_rng(12)
    v = [rng.standard_normal(x.shape) if floating(x) else None for x in inputs]

    def f(*tensors):
        given = iter(tensors)
        return op(*(next(given) if floating(x) else x for x in inputs), **params)

    _, slope = jvp(f, tuple(x for x in inputs if floating(x)), tuple(d for d in v if d is not None))
    derivative = complex_step if op.smooth else central
    expected = derivative(lambda *xs: op.forward(*xs, **params), inputs, v)
    tight = {"rtol": 1e-12, "atol": 1e-13} if op.smooth else {"rtol": 1e-8, "atol": 1e-9}
    np.testing.assert_allclose(slope.data, expected, **tight)

    u = np.asarray(np.random.default_rng(3).standard_normal(slope.shape))  # the cotangent of first_gradients
    back = sum(np.vdot(g, d) for g, d in zip(first_gradients(op, inputs, params), (d for d in v if d is not None)))
    np.testing.assert_allclose(np.vdot(u, slope.data), back, rtol=1e-11, atol=1e-12)
