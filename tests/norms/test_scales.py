"""Far from 1 the squares still fit the dtype, the cubes do not: gradients keep their digits all the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinygrad_norm as tn
from tinygrad_norm.norms.registry import get

NAMES = ("layer_norm", "rms_norm", "batch_norm", "group_norm", "instance_norm", "weight_standardization", "weight_norm")
CASES = [
    pytest.param(get(name), {**get(name).options, **sample}, id=f"{name}-{i}")
    for name in NAMES
    for i, sample in enumerate(({}, *get(name).samples))
]


def gradient(norm: Any, dtype: str, x: np.ndarray, parameters: dict[str, Any], how: dict[str, Any]) -> np.ndarray:
    leaf = tn.tensor(x.astype(dtype), requires_grad=True)
    y = norm.apply({"input": leaf, **{name: tn.tensor(p.astype(dtype)) for name, p in parameters.items()}}, **how)
    dy = np.random.default_rng(2).standard_normal(y.shape).astype(np.float32)
    return np.asarray(tn.grad(y, leaf, dy.astype(dtype))[0].data)


@pytest.mark.parametrize("backward", ["recorded", "analytic"])
@pytest.mark.parametrize("scale", [1e-17, 1e-13, 1e15, 1e17])
@pytest.mark.parametrize(("norm", "options"), CASES)
def test_float32_has_the_gradient_of_float64(norm, options, scale, backward):
    options = dict(options)
    shape = options.pop("shape", (2, 4, 2, 3) if norm.min_ndim > 2 else (4, 8))
    if scale < 1 and "eps" in options:
        options["eps"] = 0.0  # nothing else to divide by
    rng = np.random.default_rng(1)
    x = (rng.standard_normal(shape) * scale).astype(np.float32)
    parameters = {name: rng.uniform(0.5, 1.5, s).astype(np.float32) for name, s in norm.parameters(shape, **options).items()}
    single, double = (gradient(norm, dtype, x, parameters, {**options, "backward": backward}) for dtype in ("float32", "float64"))
    np.testing.assert_allclose(single, double, rtol=0, atol=1e-4 * np.abs(double).max())
