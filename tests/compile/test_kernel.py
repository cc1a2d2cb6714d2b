"""Every kernel against the record in float64."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

import tinygrad_norm as tn
from tests.derive.forwards import FORWARDS
from tinygrad_norm.compile import runners
from tinygrad_norm.norms import get, names

from .cases import HOLDS, NOT_FUSED, numbers, off, record
from .emitted import PLAIN, backward_of, missing

numba = pytest.mark.skipif(importlib.util.find_spec("numba") is None, reason="Numba is not installed")
FUSED = [n for n in names() if n not in NOT_FUSED and n not in HOLDS and not n.startswith("test_")]
TOLERANCE = {np.float64: 1e-12, np.float32: 2e-5, np.float16: 4e-3}


def shapes(name):
    """Eight shapes of as many axes as the norm is shown on."""
    usual = get(name).shape
    ndim = len(usual)
    groups = name == "group_norm"
    some = [
        usual,
        (2, 6, *(3,) * (ndim - 2)),
        (1, 6, *(4,) * (ndim - 2)),
        (5, 12, *(2,) * (ndim - 2)),
        (300, 6, *(2,) * (ndim - 2)),
        (3, 600 if not groups else 60, *(2,) * (ndim - 2)),
        (2, 2, 5000, 1)[:ndim] if ndim > 2 else (2, 9000),
    ]
    if name in ("batch_norm", "power_norm_v", "graph_norm"):
        some[2] = (7, 6, *(4,) * (ndim - 2))
    return some


@pytest.fixture
def in_numpy(monkeypatch):
    monkeypatch.setattr(runners, "language", lambda: "numpy")


def compare(name, shape, dtype, k, seed=0, **options):
    values, dy, settings = numbers(name, shape, seed, dtype, **options)
    arrays = list(values.values())
    want = record(name, values, dy, settings, k.wanted)
    found = [k.forward(*arrays), *k.backward(dy, *arrays)]
    assert [a.dtype for a in found] == [np.dtype(dtype)] * len(found)
    for place, (a, b) in enumerate(zip(found, want)):
        if off(a, b) >= TOLERANCE[dtype]:  # terms that nearly cancel: the record in this dtype is no better
            own = record(name, values, dy, settings, k.wanted, dtype)[place]
            assert off(a, b) < 2 * off(own, b)


def test_in_numpy_without_numba(in_numpy):
    for name in ("layer_norm", "softmax", "global_response_norm"):
        compare(name, get(name).shape, np.float64, tn.kernel(name))


@pytest.mark.thorough
@pytest.mark.parametrize("name", FUSED)
def test_every_kernel_in_numpy(name, in_numpy):
    k = tn.kernel(name)
    for shape in shapes(name):
        compare(name, shape, np.float64, k)
    compare(name, shapes(name)[1], np.float16, k)


@numba
@pytest.mark.thorough
@pytest.mark.parametrize("name", FUSED)
def test_every_kernel_in_numba(name):
    k = tn.kernel(name)
    assert k.language == "numba"
    for seed, shape in enumerate(shapes(name)):
        for dtype in TOLERANCE:
            compare(name, shape, dtype, k, seed)


@numba
@pytest.mark.thorough
@pytest.mark.parametrize("name", ["layer_norm", "batch_norm"])
def test_layouts(name):
    k = tn.kernel(name)
    values, dy, _ = numbers(name, (6, 10))
    plain = [k.forward(*values.values()), *k.backward(dy, *values.values())]
    strange = {n: np.asfortranarray(np.repeat(a, 2, axis=0))[::2] for n, a in values.items()}
    for a in strange.values():
        a.flags.writeable = False
    found = [k.forward(*strange.values()), *k.backward(dy[:, ::-1][:, ::-1], *strange.values())]
    for a, b in zip(found, plain):
        assert np.array_equal(a, b)
        assert not any(np.shares_memory(a, v) for v in (*strange.values(), *plain))


@numba
@pytest.mark.thorough
@pytest.mark.parametrize("name", FUSED)
def test_numbers_that_are_none(name):
    """NaN, infinities, zeros of either sign, numbers whose squares leave the range, and nothing at all: what the record gives comes."""
    k = tn.kernel(name)
    shape = (4, 6, 5, 3)[: max(2, len(get(name).shape))]
    for dtype in (np.float32, np.float64):
        values, dy, settings = numbers(name, shape, dtype=dtype)
        tiny, huge = np.finfo(dtype).tiny, np.finfo(dtype).max
        for special in (np.nan, np.inf, -np.inf, 0.0, -0.0, tiny / 8, huge / 4):
            x = values["input"].copy()
            x[1, 2] = special
            x[3] = special
            given = {**values, "input": x}
            of = {n: tn.tensor(a, requires_grad=True, name=n) for n, a in given.items()}
            with np.errstate(all="ignore"):
                y = get(name).apply(of, backward="recorded", **settings)
                want = [y.numpy(), *(g.numpy() for g in tn.grad(y, list(of.values()), dy))]
                found = [k.forward(*given.values()), *k.backward(dy, *given.values())]
            for a, b in zip(found, want):
                assert np.array_equal(np.isnan(a), np.isnan(b)), special
                np.testing.assert_allclose(a, b, rtol=1e-4 if dtype is np.float32 else 1e-10, atol=1e-6)


@pytest.mark.thorough
def test_nothing_at_all(in_numpy):
    for name in ("layer_norm", "softmax"):
        k = tn.kernel(name)
        empty = [np.zeros((0, 6)), np.ones(6), np.ones(6)][: len(k.program.inputs)]
        assert k.forward(*empty).shape == (0, 6)
        assert k.backward(np.zeros((0, 6)), *empty)[0].shape == (0, 6)


@numba
@pytest.mark.thorough
@pytest.mark.parametrize("name", ["film", "layer_scale", "dynamic_tanh", "rms_norm", "normalize"])
def test_the_sign_of_zero_is_kept(name):
    """Where the record's is a zero's own, with nothing added to it."""
    values, _, settings = numbers(name, (4, 6))
    values = {n: -np.zeros_like(a) if n in ("shift", "residual", "bias") else np.abs(a) for n, a in values.items()}
    values["input"][:, 1] = -0.0
    y = get(name).apply({n: tn.tensor(a, name=n) for n, a in values.items()}, backward="recorded", **settings).numpy()
    assert np.signbit(y[:, 1]).all()
    assert np.array_equal(np.signbit(tn.kernel(name).forward(*values.values())), np.signbit(y))


def test_a_setting_can_be_given_at_each_call(in_numpy):
    k = tn.kernel("layer_norm")
    values, dy, settings = numbers("layer_norm", (3, 5))
    settings["eps"] = 0.5
    for a, b in zip(
        [k.forward(*values.values(), eps=0.5), *k.backward(dy, *values.values(), eps=0.5)],
        record("layer_norm", values, dy, settings, k.wanted),
    ):
        assert off(a, b) < 1e-13


@pytest.mark.thorough
def test_constants_that_are_detached_are_computed(in_numpy):
    for name in ("detach_norm", "ada_norm", "revin"):
        k = tn.kernel(name)
        assert not [a for a in k.program.inputs if a.role == "constant"]
        compare(name, (3, 5, 7)[: max(2, len(get(name).shape))], np.float64, k)


def own(x, w):
    return x * w / (1 + tn.abs(x).mean(-1, keepdim=True))


def test_a_forward_of_ones_own(in_numpy):
    k = tn.kernel(own, inputs={"x": ("B", "N"), "w": ("N",)})
    rng = np.random.default_rng(0)
    x, w, dy = rng.normal(size=(3, 5)), rng.normal(size=5), rng.normal(size=(3, 5))
    of = [tn.tensor(a, requires_grad=True) for a in (x, w)]
    y = own(*of)
    for a, b in zip([k.forward(x, w), *k.backward(dy, x, w)], [y, *tn.grad(y, of, dy)]):
        assert off(a, b.numpy()) < 1e-14


def test_an_input_called_y(in_numpy):
    k = tn.kernel(lambda x, y: x * y / y.abs().mean(-1, keepdim=True), inputs={"x": ("B", "N"), "y": ("B", "N")})
    rng = np.random.default_rng(0)
    x, y, dy = rng.normal(size=(3, 3, 5))
    assert off(k.forward(x, y), x * y / np.abs(y).mean(-1, keepdims=True)) < 1e-14
    assert len(k.backward(dy, x, y)) == 2


NO_KERNEL: dict[str, str] = {}  # of the forwards below: what the message says; there was none when this was written


@pytest.mark.thorough
@pytest.mark.parametrize("name", FORWARDS)
def test_the_forwards_that_a_reader_brought(name, in_numpy, tmp_path):
    """In NumPy, and as loops in C where there is a compiler."""
    assert len(NO_KERNEL) <= 0.1 * len(FORWARDS)
    forward, inputs = FORWARDS[name]
    if name in NO_KERNEL:
        with pytest.raises(tn.TinygradNormError, match=NO_KERNEL[name]):
            tn.kernel(forward, inputs=inputs)
        return
    k = tn.kernel(forward, inputs=inputs)
    rng = np.random.default_rng(3)
    given = [rng.normal(size=[{"B": 4, "C": 3, "N": 6}.get(a, 1) for a in axes]) for axes in inputs.values()]
    of = [tn.tensor(a, requires_grad=True) for a in given]
    y = forward(*of)
    dy = rng.normal(size=y.shape)
    gradients = [g.numpy() for g in tn.grad(y, of, dy, allow_unused=True) if g is not None]
    for a, b in zip([k.forward(*given), *k.backward(dy, *given)], [y.numpy(), *gradients]):
        assert off(a, b) < 1e-10
    if not missing("c"):
        found = backward_of(k, "c", tmp_path, flags=PLAIN)(dy, *given)
        for a, b in zip(found if isinstance(found, tuple) else (found,), gradients):
            assert off(a, b) < 1e-10
