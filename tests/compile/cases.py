"""Kernels, and what they are held to: the record in float64."""

from __future__ import annotations

import numpy as np

import tinygrad_norm as tn
from tinygrad_norm.norms import draw, get

NOT_FUSED = {"local_response_norm": "windows: a sum over neighbouring places, and a formula over named axes has no neighbours"}
HOLDS = {
    "batch_renorm": ("r", "d"),
    "power_norm": ("ψ",),
    "spectral_norm": ("u", "v"),
}  # constants that no tape knows: they are given


def numbers(name, shape, seed=0, dtype=np.float64, **options):
    """Inputs by name and dy."""
    norm = get(name)
    usual = {k: v for k, v in norm.derived_with.items() if k != "lemmas"}
    rng = np.random.default_rng(seed)
    settings = {**norm.options, **usual, **options}
    values = {n: draw(norm, n, rng, s) for n, s in {"input": shape, **norm.parameters(shape, **settings)}.items()}
    values = {n: a.astype(dtype) for n, a in values.items()}
    y = norm.apply({n: tn.tensor(a, name=n) for n, a in values.items()}, backward="recorded", **settings)
    return values, rng.normal(size=y.shape).astype(dtype), settings


def record(name, values, dy, settings, wanted, dtype=np.float64):
    """y and the gradients, of the record over these numbers in float64."""
    of = {n: tn.tensor(a.astype(dtype), requires_grad=True, name=n) for n, a in values.items()}
    y = get(name).apply(of, backward="recorded", **settings)
    return [y.numpy(), *(g.numpy() for g in tn.grad(y, [of[n] for n in wanted], dy.astype(dtype)))]


def off(found, want):
    """The largest difference, relative to the largest entry."""
    assert found.shape == want.shape
    if not want.size:
        return 0.0
    return float(np.max(np.abs(found.astype(np.float64) - want)) / max(float(np.max(np.abs(want))), 1e-6))
