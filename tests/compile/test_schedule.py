"""In which order a formula goes over its arrays."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_norm as tn
from tinygrad_norm.compile.schedule import Loop

from .cases import NOT_FUSED


def loops(schedule):
    return [p for p in schedule.parts if isinstance(p, Loop)]


def test_layer_norm_reads_as_a_lesson():
    text = str(tn.kernel("layer_norm").schedule)
    for line in (
        "forward: for each B, 3 passes",
        "sum_x = Σ_N(x)",
        "rstd = 1/√(σ² + ε)",
        "saved for the way back: μ, rstd",
        "backward: for each B, 2 passes",
        "dγ += x̂·dy   from row to row",
        "dx = rstd·(g − mean_g − x̂·mean_g_x̂)   written",
    ):
        assert line in text


@pytest.mark.parametrize(
    ("name", "options", "rows", "lane", "passes"),
    [
        ("layer_norm", {}, ("B",), "", (3, 2)),
        ("softmax", {}, ("B",), "", (3, 2)),
        ("batch_norm", {}, (), "N", (3, 2)),
        ("group_norm", {}, ("B", "G"), "", (3, 2)),
        ("instance_norm", {}, ("B", "T"), "", (3, 2)),
        ("adaptive_instance_norm", {}, ("BT",), "", (5, 3)),
        ("global_response_norm", {}, ("B",), "", (3, 2)),
        ("pair_norm", {}, (), "", (4, 2)),
        ("cross_entropy", {}, ("B",), "", (3, 2)),
        ("film", {}, (), "", (1, 1)),
    ],
)
def test_rows_and_passes(name, options, rows, lane, passes):
    both = tn.kernel(name, **options).schedule
    assert (both.forward.rows, both.forward.lane) == (rows, lane)
    assert (len(loops(both.forward)), len(loops(both.backward))) == passes


@pytest.mark.thorough
def test_images_of_batch_norm_are_rows_of_channels():
    both = tn.kernel("batch_norm", shape=(4, 6, 5, 5)).schedule
    assert len(both.forward.rows) == 1
    assert not both.forward.lane
    assert len(both.backward.inner) == 2  # height and width are one


@pytest.mark.parametrize(
    ("forward", "axes", "found"),
    [
        (lambda x: x / x.sum((2, 3), keepdim=True), ("B", "C", "H", "W"), {"BC": ("B", "C"), "HW": ("H", "W")}),
        (lambda x: x / (x.sum((2, 3), keepdim=True) / x.shape[3]), ("B", "C", "H", "W"), {"BC": ("B", "C")}),
        (lambda x: x - x.mean(2, keepdim=True), ("B", "C", "H", "W"), {"BC": ("B", "C")}),
        (lambda x: x - x.mean((1, 3), keepdim=True), ("B", "C", "H", "W"), {}),
    ],
)
@pytest.mark.thorough
def test_axes_that_always_stand_together_are_one(forward, axes, found):
    k = tn.kernel(forward, inputs={"x": axes})
    assert k.loops.merged == found
    x = np.random.default_rng(0).normal(size=(2, 3, 4, 5))
    t = tn.tensor(x, requires_grad=True)
    y = forward(t)
    assert np.allclose(k.forward(x), y.numpy(), rtol=1e-13)
    assert np.allclose(k.backward(np.cos(x), x)[0], tn.grad(y, [t], np.cos(x))[0].numpy(), rtol=1e-12)


def test_an_exponential_is_computed_once():
    text = tn.kernel("softmax").source("numba")
    forward = text[text.index("def forward") : text.index("def backward")]
    assert forward.count("exp_(") == 1


def test_what_is_saved_is_what_the_gradient_reads():
    saved = {n: [a.letter for a in tn.kernel(n).schedule.forward.saved] for n in ("layer_norm", "softmax")}
    assert saved == {"layer_norm": ["μ", "rstd"], "softmax": []}


@pytest.mark.parametrize("name", NOT_FUSED)
def test_what_has_no_kernel_is_named(name):
    with pytest.raises(tn.TinygradNormError, match=f"kernel: {name}: {NOT_FUSED[name]}"):
        tn.kernel(name)


def test_misuse():
    k = tn.kernel("layer_norm")
    with pytest.raises(tn.TinygradNormError, match=r"weight has shape \(4,\); its axes are \(N = 3\)"):
        k.forward([[1.0, 2.0, 3.0]], [1.0] * 4, [1.0] * 3)
    with pytest.raises(tn.TinygradNormError, match="takes x, weight, bias; 1 arrays were given"):
        k.forward([[1.0, 2.0, 3.0]])
    with pytest.raises(tn.TinygradNormError, match="has no setting epsilon; it has eps"):
        k.forward([[1.0, 2.0, 3.0]], [1.0] * 3, [1.0] * 3, epsilon=1.0)
    with pytest.raises(tn.TinygradNormError, match="has no gradient by gamma; it has input, weight, bias"):
        tn.kernel("layer_norm", wrt=["gamma"])
