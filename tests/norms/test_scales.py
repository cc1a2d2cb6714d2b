"""Far from 1 the squares still fit the dtype and the cubes do not; farther out the squares do not, either. Values and gradients
keep their digits all the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinygrad_norm as tn
from tinygrad_norm.norms.registry import get

pytestmark = pytest.mark.filterwarnings("ignore:.* encountered in:RuntimeWarning")  # NumPy's, of steps that are done again

NAMES = (
    *("layer_norm", "rms_norm", "batch_norm", "group_norm", "instance_norm", "weight_standardization", "weight_norm"),
    *("normalize", "cosine_similarity", "conditional_layer_norm", "ada_norm", "local_response_norm", "power_norm_v"),
    *("scale_norm", "qk_norm", "revin", "graph_norm", "pair_norm", "filter_response_norm"),
)
CASES = [
    pytest.param(get(name), {**get(name).options, **sample}, id=f"{name}-{i}")
    for name in NAMES
    for i, sample in enumerate(({}, *get(name).samples))
]


def both(norm: Any, dtype: str, x: np.ndarray, parameters: dict[str, Any], how: dict[str, Any]) -> tuple[Any, Any]:
    """The value and the gradient."""
    leaf = tn.tensor(x.astype(dtype), requires_grad=True)
    y = norm.apply(
        {"input": leaf, **{name: tn.tensor(p.astype(dtype) if p.dtype.kind == "f" else p) for name, p in parameters.items()}},
        **how,
    )
    dy = np.random.default_rng(2).standard_normal(y.shape).astype(np.float32)
    return y.data, tn.grad(y, leaf, dy.astype(dtype))[0].data


def case(norm: Any, options: dict[str, Any], scale: float) -> Any:
    options = dict(options)
    shape = options.pop("shape", (2, 4, 2, 3) if norm.min_ndim > 2 else (4, 8))
    if scale < 1 and "eps" in options:
        options["eps"] = 0.0  # nothing else to divide by
    rng = np.random.default_rng(1)
    x = (rng.standard_normal(shape) * scale).astype(np.float32)
    parameters = {
        name: norm.draw[name](rng, s) if name == "mask" else rng.uniform(0.5, 1.5, s).astype(np.float32)
        for name, s in norm.parameters(shape, **options).items()
    }
    return options, x, parameters


@pytest.mark.parametrize("backward", ["recorded", "analytic"])
@pytest.mark.parametrize("scale", [1e-30, 1e-17, 1e-13, 1e15, 1e17, 1e18, 1e30])
@pytest.mark.parametrize(("norm", "options"), CASES)
def test_float32_has_the_value_and_the_gradient_of_float64(norm, options, scale, backward):
    options, x, parameters = case(norm, options, scale)
    single, double = (both(norm, dtype, x, parameters, {**options, "backward": backward}) for dtype in ("float32", "float64"))
    for a, b in zip(single, double):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-4 * np.abs(b).max() + 1e-44)


@pytest.mark.parametrize("backward", ["recorded", "analytic"])
@pytest.mark.parametrize("scale", [1e-200, 1e-150, 1e150, 1e200])
@pytest.mark.parametrize(("norm", "options"), CASES)
def test_float64_as_well(norm, options, scale, backward):
    """A power of two changes nothing: held to what stands around 1, without ε."""
    options, x, parameters = case(norm, {**options, **{k: 0.0 for k in ("eps", "k") if k in options}}, 1.0)
    degree = 1 - 2 * options.get("beta", 0.5)
    if not (options.get("training", True) and options.get("use_input_stats", True)):
        pytest.skip("running statistics do not grow with x")
    if norm.name == "local_response_norm" and (scale < 1 or scale > 1e150):
        pytest.skip("k is what small numbers are divided by; and 1e200 to the power of −2β is no number")
    x, two = x.astype(np.float64), 2.0 ** round(np.log2(scale))
    how = {**options, "backward": backward}
    (y, dx), (plain, slope) = both(norm, "float64", x * two, parameters, how), both(norm, "float64", x, parameters, how)
    np.testing.assert_allclose(y / two**degree, plain, rtol=0, atol=1e-13 * np.abs(plain).max())
    np.testing.assert_allclose(dx / two**degree * two, slope, rtol=0, atol=1e-12 * np.abs(slope).max())
