"""What the tests of known bugs share: every norm's cases, and the family γ·x̂ + β with a formula in plain NumPy."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_norm as tn
from tinygrad_norm.norms import get, names

F = tn.functional
WAYS = ("recorded", "analytic")
CASES = [(name, case) for name in names() for case in ({}, *get(name).samples)]
IDS = [f"{name}-{'-'.join(f'{k}={v}' for k, v in case.items()) or 'plain'}" for name, case in CASES]

both_ways = pytest.mark.parametrize("backward", WAYS)
every_case = pytest.mark.parametrize(("name", "case"), CASES, ids=IDS)


def f64(shape, seed=0, loc=0.0, scale=1.0):
    return np.random.default_rng(seed).normal(loc, scale, shape)


# The family that centres: how each is called, and a formula for it in plain NumPy ----------------------------------


def layer(x, w=None, b=None, eps=1e-5, backward="recorded"):
    return F.layer_norm(x, x.shape[-1], w, b, eps, backward)


def batch(x, w=None, b=None, eps=1e-5, backward="recorded"):
    return F.batch_norm(x, None, None, w, b, True, 0.1, eps, backward)


def group(x, w=None, b=None, eps=1e-5, backward="recorded"):
    return F.group_norm(x, 2, w, b, eps, backward)


def instance(x, w=None, b=None, eps=1e-5, backward="recorded"):
    return F.instance_norm(x, None, None, w, b, True, 0.1, eps, backward)


def rms(x, w=None, b=None, eps=1e-5, backward="recorded"):
    return F.rms_norm(x, x.shape[-1], w, eps, backward)


FAMILY = {"layer_norm": layer, "batch_norm": batch, "group_norm": group, "instance_norm": instance}
AFFINE = {**FAMILY, "rms_norm": rms}
LEAST = {"layer_norm": 1, "rms_norm": 1, "batch_norm": 2, "group_norm": 2, "instance_norm": 3}
every_centred = pytest.mark.parametrize("name", FAMILY)
every_affine = pytest.mark.parametrize("name", AFFINE)


def parameter_shape(name, shape):
    return shape[-1:] if name in ("layer_norm", "rms_norm") else shape[1:2]


def by_definition(name, x, w=1.0, b=0.0, eps=1e-5):
    """For arrays real or complex; two groups."""
    shape = x.shape
    if name == "group_norm":
        x = x.reshape(shape[0], 2, -1)
        axis = (2,)
    else:
        axis = {"layer_norm": (-1,), "rms_norm": (-1,), "batch_norm": (0, *range(2, x.ndim)), "instance_norm": tuple(range(2, x.ndim))}[name]  # fmt: skip
    c = x if name == "rms_norm" else x - x.mean(axis, keepdims=True)
    xhat = (c / np.sqrt((c * c).mean(axis, keepdims=True) + eps)).reshape(shape)
    if name not in ("layer_norm", "rms_norm"):
        w, b = (p if np.ndim(p) == 0 else p.reshape(-1, *(1,) * (len(shape) - 2)) for p in (w, b))
    return xhat * w + b
