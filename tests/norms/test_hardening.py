"""What a hostile reader tried: half precision at its limits, nothing at all, wrong kinds of arguments, calls that fail midway."""

from __future__ import annotations

import inspect
import textwrap

import numpy as np
import pytest

import tinygrad_norm as tn
from tests.norms.test_family import CASES, IDS, inputs_of
from tinygrad_norm import functional as F
from tinygrad_norm import nn
from tinygrad_norm.norms import get, names, registry
from tinygrad_norm.norms.batch_norm import update_running
from tinygrad_norm.norms.moments import batch_moments
from tinygrad_norm.norms.spectral_norm import power_iteration

both_ways = pytest.mark.parametrize("backward", ["recorded", "analytic"])


def random(*shape, seed=0, dtype="float64"):
    return np.random.default_rng(seed).normal(0.3, 1.2, shape).astype(dtype)


def leaf(*shape, seed=0, dtype="float64"):
    return tn.tensor(random(*shape, seed=seed, dtype=dtype), requires_grad=True, name="x")


# float16: half times half is half -----------------------------------------------------------------------------


def half_gradients(name, options, inputs, dy, backward, create_graph):
    y = get(name).apply(inputs, backward=backward, **options)
    leaves = {n: t for n, t in inputs.items() if t.requires_grad}
    return dict(zip(leaves, tn.grad(y, list(leaves.values()), tn.tensor(dy), create_graph=create_graph)))


GAINS = {"weight", "gain", "scale"}
BY_HALVES = {"film", "layer_scale"}  # plain arithmetic in the operands' dtypes, in the record as well


@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize(("name", "case"), CASES, ids=IDS)
def test_in_half_the_formula_is_finite_where_the_record_is(name, case, create_graph):
    if get(name).by_design:
        case = {**case, "nu": 0.0}  # then the published backward is the gradient
    with np.errstate(over="ignore", invalid="ignore"):
        for size in (1.0, 300.0):
            options, inputs = inputs_of(name, case, dtype="float16")
            for n in GAINS & set(inputs):
                signs = np.sign(inputs[n].data)
                inputs[n] = tn.tensor((signs * size + inputs[n].data).astype("float16"), requires_grad=True, name=n)
            y = get(name).apply(inputs, **options)
            rng = np.random.default_rng(7)
            dy = (rng.choice([-1, 1], y.shape) * rng.uniform(0.8, 1.2, y.shape) * 300).astype("float16")
            found = [half_gradients(name, options, inputs, dy, b, create_graph) for b in ("recorded", "analytic")]
            for n, by_record in found[0].items():
                r, a = by_record.data.astype("float64"), found[1][n].data.astype("float64")
                fine = np.isfinite(r)
                assert np.isfinite(a[fine]).all(), f"d{n} at |γ| = {size}"
                if not fine.any():
                    continue
                # what the largest gradient leaves of a digit: 0.05 %, and a few percent where the record itself rounds to half
                largest = max(np.abs(r[fine]).max(), 1e-3)
                np.testing.assert_allclose(a[fine], r[fine], rtol=0, atol=0.03 * largest, err_msg=f"d{n} at |γ| = {size}")


ROUNDED = [(n, case) for n, case in CASES if n not in {*BY_HALVES, "power_norm"}]
ROUNDED += [("cross_entropy", {"shape": (3, 5)}), ("cross_entropy", {"shape": (3, 5), "soft": True})]  # divided by 3


@pytest.mark.parametrize(("name", "case"), ROUNDED)
def test_in_half_the_formula_is_that_of_float32_rounded_once(name, case):
    """Much closer than a few percent: nothing on the way is half."""
    options, inputs = inputs_of(name, case, dtype="float16")
    wide = {n: tn.tensor(t.data.astype("float32") if t.requires_grad else t.data, requires_grad=t.requires_grad)
            for n, t in inputs.items()}  # fmt: skip
    found = []
    for given, dtype in ((inputs, "float16"), (wide, "float32")):
        y = get(name).apply(given, backward="analytic", **{**options, **({"eps": 1e-3} if name == "rms_norm" else {})})
        dy = np.random.default_rng(3).normal(0, 1, y.shape).astype("float16").astype(dtype)
        found.append(tn.grad(y, [t for t in given.values() if t.requires_grad], dy, create_graph=True))
    for half, exact in zip(*found):
        bound = 2.0**-11 * 1.01 * np.abs(exact.data) + 1e-5 * np.abs(exact.data).max() + 2.0**-24
        assert (np.abs(half.data - exact.data) <= bound).all()


def test_by_given_statistics_a_half_s_is_squared_in_float32():
    """ds has s² under it, and 300² is no half."""
    x, dy = leaf(4, 2, dtype="float16"), np.full((4, 2), 4, "float16")
    s = tn.tensor(np.array([300.0, 400.0], "float16"), requires_grad=True)
    m = tn.tensor(np.zeros(2, "float16"), requires_grad=True)
    for backward in ("recorded", "analytic"):
        y = F.batch_renorm(x, m, s, backward=backward)
        (ds,) = tn.grad(y, s, dy)
        expected = -(dy.astype("float64") * x.data).sum(0) / s.data.astype("float64") ** 2
        np.testing.assert_allclose(ds.data, expected, rtol=2e-2, atol=1e-7)


@pytest.mark.parametrize("how", [(True, True), (True, False), (False, True)])
def test_detach_norm_rounds_to_half_once(how):
    """x̂ meets γ and β in float32: 1001·x̂ − 1000 would otherwise keep the rounding of x̂ a thousandfold."""
    x, w, b = leaf(3, 8, dtype="float16"), np.full(8, 1001, "float16"), np.full(8, -1000, "float16")
    ways = [F.detach_norm(x, 8, w, b, 1e-5, *how, backward).data for backward in ("recorded", "analytic")]
    np.testing.assert_allclose(ways[0].astype("float32"), ways[1].astype("float32"), rtol=1e-3)
    plain = F.layer_norm(x, 8, w, b, backward="analytic").data
    np.testing.assert_allclose(ways[1].astype("float32"), plain.astype("float32"), rtol=2e-3)


# dtypes stay ----------------------------------------------------------------------------------------------------


@both_ways
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("of_statistics", ["float16", "float32", "float64"])
@pytest.mark.parametrize("function", [F.batch_norm, F.batch_renorm, F.instance_norm], ids=lambda f: f.__name__)
def test_inference_keeps_the_dtype_whatever_the_statistics_have(function, dtype, of_statistics, backward):
    x = leaf(3, 2, 4, dtype=dtype)
    m, v = random(2, seed=1, dtype=of_statistics), np.array([0.7, 1.9], of_statistics)
    how = {"use_input_stats": False} if function is F.instance_norm else {}
    y = function(x, m, v, backward=backward, **how)
    assert y.dtype == dtype
    assert tn.grad(y, x, np.ones(y.shape, dtype))[0].dtype == dtype
    wide = [tn.tensor(p, requires_grad=True) for p in (m, v)]
    y = function(x, *wide, backward=backward, **how)
    assert y.dtype == dtype
    for p, g in zip(wide, tn.grad(y, wide, np.ones(y.shape, dtype))):
        assert g.dtype == p.dtype
    root = v.astype("float64") if function is F.batch_renorm else np.sqrt(v.astype("float64") + 1e-5)
    expected = (x.data.astype("float64") - m.astype("float64")[:, None]) / root[:, None]
    np.testing.assert_allclose(y.data, expected, rtol=1e-2 if "float16" in (dtype, of_statistics) else 1e-5, atol=2e-3)


@both_ways
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize(
    "call",
    [
        lambda x, b: F.dynamic_tanh(x, 0.5, backward=b),
        lambda x, b: F.dynamic_tanh(x, [0.5], [1.5] * 8, (0.1,) * 8, backward=b),
        lambda x, b: F.dynamic_tanh(x, 1, backward=b),
        lambda x, b: F.dynamic_tanh(x, np.float64(0.5), backward=b),
        lambda x, b: F.layer_scale(x, 0.5, backward=b),
        lambda x, b: F.layer_norm(x, 8, [1.0] * 8, [2] * 8, backward=b),
        lambda x, b: F.layer_norm(x, 8, [1.0] * 8, eps=np.float64(1e-3), eps_mode="std", backward=b),
        lambda x, b: F.layer_norm(x, 8, eps=np.float64(1e-3), backward=b),
        lambda x, b: F.rms_norm(x, 8, [1.0] * 8, eps=np.float64(1e-3), backward=b),
        lambda x, b: F.group_norm(x, 2, [1.0] * 8, [0.5] * 8, backward=b),
        lambda x, b: F.batch_norm(x, None, None, [1.0] * 8, [0.5] * 8, True, backward=b),
        lambda x, b: F.power_norm_v(x, [1.0] * 8, backward=b),
        lambda x, b: F.detach_norm(x, 8, [1.0] * 8, backward=b),
        lambda x, b: F.conditional_layer_norm(x, [0.5] * 8, [0.1] * 8, backward=b),
        lambda x, b: F.film(x, [[0.5] * 8] * 4, [[0.1] * 8] * 4, backward=b),
        lambda x, b: F.weight_norm(x, [[1.0]] * 4, backward=b),
        lambda x, b: F.weight_standardization(x, [[1.0]] * 4, backward=b),
        lambda x, b: F.ada_norm(x, 8, np.float64(0.1), np.float64(2), backward=b),
    ],
)
def test_python_numbers_and_lists_take_the_dtype_of_the_input(call, dtype, backward):
    x = leaf(4, 8, dtype=dtype)
    y = call(x, backward)
    assert y.dtype == dtype
    assert np.isfinite(y.data).all()
    assert tn.grad(y, x, np.ones(y.shape, dtype))[0].dtype == dtype


def test_arrays_keep_the_dtype_they_have():
    assert F.layer_norm(leaf(4, 8, dtype="float32"), 8, np.ones(8)).dtype == np.float64
    with pytest.raises(tn.DTypeError, match=r"alpha.*Cast first"):
        F.dynamic_tanh(leaf(4, 8), np.array(1))
    with pytest.raises(tn.DTypeError, match=r"weight.*Cast first"):
        F.layer_norm(leaf(4, 2), 2, [True, False])


# A call that fails has changed nothing ------------------------------------------------------------------------------


def updating(name):
    return {
        "batch_norm": lambda x, m, v, **how: F.batch_norm(x, m, v, training=True, **how),
        "instance_norm": F.instance_norm,
        "batch_renorm": lambda x, m, v, **how: F.batch_renorm(x, m, v, training=True, **how),
    }[name]


every_updating = pytest.mark.parametrize("name", ["batch_norm", "instance_norm", "batch_renorm"])


@every_updating
@pytest.mark.parametrize(
    "wrong",
    [{"eps": "a"}, {"eps": None}, {"momentum": None}, {"momentum": "0.1"}, {"backward": "fused"}, {"weight": np.ones(5)}],
)
def test_a_call_that_fails_moves_no_statistics(name, wrong):
    x, m, v = leaf(3, 2, 4), tn.tensor([0.5, -0.5]), np.array([1.0, 2.0])
    with pytest.raises(tn.TinygradNormError, match=f"{name}: .*{'weight' if 'weight' in wrong else next(iter(wrong))}"):
        updating(name)(x, m, v, **wrong)
    np.testing.assert_array_equal(m.data, [0.5, -0.5])
    np.testing.assert_array_equal(v, [1.0, 2.0])


@every_updating
@both_ways
def test_both_statistics_are_updated_or_none(name, backward):
    x, m = leaf(3, 2, 4), tn.tensor([0.5, -0.5])
    computed = tn.tensor([1.0, 2.0], requires_grad=True) * 1.0
    with pytest.raises(tn.InPlaceError, match=rf"{name}: the running statistic .*\(2,\).* computed by mul.*detach"):
        updating(name)(x, m, computed, backward=backward)
    frozen = np.array([1.0, 2.0])
    frozen.flags.writeable = False
    with pytest.raises(tn.InPlaceError, match=rf"{name}: .*\(2,\) float64 is a read-only array.*copy"):
        updating(name)(x, m, frozen, backward=backward)
    for pair in ((m, [1.0, 2.0]), ([0.0, 0.0], np.ones(2))):
        with pytest.raises(tn.DTypeError, match=rf"{name}: running statistics are tensors or arrays.* not list"):
            updating(name)(x, *pair, backward=backward)
    np.testing.assert_array_equal(m.data, [0.5, -0.5])
    updating(name)(x, m, np.array([1.0, 2.0]), backward=backward)
    assert (m.data != [0.5, -0.5]).all()


def test_inference_reads_what_it_may_not_write():
    frozen = np.array([1.0, 2.0])
    frozen.flags.writeable = False
    computed = tn.tensor([1.0, 2.0], requires_grad=True) * 1.0
    assert F.batch_norm(leaf(3, 2), frozen, computed).shape == (3, 2)
    assert F.batch_renorm(leaf(3, 2), frozen, computed).shape == (3, 2)


@pytest.mark.parametrize("function", [lambda *a, **k: F.batch_norm(*a, training=True, **k), F.instance_norm])
def test_the_correction_leaves_something_to_divide_by(function):
    x, m, v = leaf(1, 2, 4), np.zeros(2), np.ones(2)
    for correction in (4, 7.5):
        with pytest.raises(tn.OptionError, match=rf"running_correction={correction} for input .*number of values, 4"):
            function(x, m, v, running_correction=correction)
    np.testing.assert_array_equal([m, v], [[0, 0], [1, 1]])
    function(x, m, v, running_correction=3)
    np.testing.assert_allclose(v, 0.9 + 0.1 * ((x.data - x.data.mean((0, 2), keepdims=True)) ** 2).sum((0, 2)))


def test_load_state_dict_takes_all_or_nothing():
    layer = nn.LayerNorm(2)
    with pytest.raises((ValueError, TypeError)):
        layer.load_state_dict({"weight": np.full(2, 7.0), "bias": np.array(["a", "b"])})
    np.testing.assert_array_equal(layer.weight.data, [1, 1])


# The moments of a batch, without anything of its size ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "axis"),
    [
        ((3, 2, 4), (0, 2)),
        ((700, 300), (0,)),
        ((9, 5, 70, 60), (0, 2, 3)),
        ((4, 3, 300, 400), (2, 3)),
        ((2, 3, 500, 400), (0, 2, 3)),
    ],
)
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_moments_in_pieces(shape, axis, dtype):
    x = (random(*shape) + 1000).astype(dtype)
    wide = x.astype("float64")
    mu, square = batch_moments(x, axis)
    np.testing.assert_allclose(mu, wide.mean(axis, keepdims=True), rtol=1e-12)
    np.testing.assert_allclose(square, ((wide - wide.mean(axis, keepdims=True)) ** 2).sum(axis, keepdims=True), rtol=1e-9)
    np.testing.assert_allclose(batch_moments(x, axis, center=False)[1], (wide**2).sum(axis, keepdims=True), rtol=1e-12)


def test_updating_needs_little_memory():
    import tracemalloc

    x, m, v = tn.tensor(random(64, 16, 64, 32, dtype="float32")), np.zeros(16), np.ones(16)
    tracemalloc.start()
    update_running("batch_norm", x, (0, 2, 3), m, v, 0.1, 1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < x.data.nbytes  # three float64 copies would be six times that
    wide = x.data.astype("float64")
    np.testing.assert_allclose(m, 0.1 * wide.mean((0, 2, 3)))
    np.testing.assert_allclose(v, 0.9 + 0.1 * wide.var((0, 2, 3), ddof=1))


# Nothing at all -----------------------------------------------------------------------------------------------------


EMPTY = [
    ("layer_norm", lambda x, b: F.layer_norm(x, x.shape[-1:], backward=b)),
    ("layer_norm std", lambda x, b: F.layer_norm(x, x.shape[-1:], np.ones(x.shape[-1:], x.dtype), eps_mode="std", backward=b)),
    ("layer_norm correction", lambda x, b: F.layer_norm(x, x.shape[-1:], correction=1, backward=b)),
    ("rms_norm", lambda x, b: F.rms_norm(x, x.shape[-1:], backward=b)),
    ("rms_norm rms", lambda x, b: F.rms_norm(x, x.shape[-1:], np.ones(x.shape[-1:], x.dtype), eps_mode="rms", backward=b)),
    ("rms_norm partial", lambda x, b: F.rms_norm(x, x.shape[-1:], partial=0.5, backward=b)),
    ("ada_norm", lambda x, b: F.ada_norm(x, x.shape[-1:], backward=b)),
    ("ada_norm whole", lambda x, b: F.ada_norm(x, x.shape[-1:], detach=False, backward=b)),
    *(
        (f"detach_norm {m} {s}", lambda x, b, m=m, s=s: F.detach_norm(x, x.shape[-1:], None, None, 1e-5, m, s, b))
        for m in (True, False)
        for s in (True, False)
    ),
    (
        "conditional",
        lambda x, b: F.conditional_layer_norm(x, np.ones(x.shape[-1:], x.dtype), np.ones(x.shape[-1:], x.dtype), backward=b),
    ),
    ("batch_norm", lambda x, b: F.batch_norm(x, training=True, backward=b)),
    ("batch_norm given", lambda x, b: F.batch_norm(x, np.zeros(x.shape[1]), np.ones(x.shape[1]), backward=b)),
    ("batch_renorm", lambda x, b: F.batch_renorm(x, np.zeros(x.shape[1]), np.ones(x.shape[1]), training=True, backward=b)),
    ("power_norm", lambda x, b: F.power_norm(x, backward=b)),
    ("power_norm_v", lambda x, b: F.power_norm_v(x, backward=b)),
    ("normalize", lambda x, b: F.normalize(x, backward=b)),
    ("normalize inf", lambda x, b: F.normalize(x, np.inf, backward=b)),
    ("softmax", lambda x, b: F.softmax(x, -1, backward=b)),
    ("log_softmax", lambda x, b: F.log_softmax(x, -1, backward=b)),
    ("dynamic_tanh", lambda x, b: F.dynamic_tanh(x, 0.5, backward=b)),
    ("layer_scale", lambda x, b: F.layer_scale(x, 0.5, backward=b)),
]


@both_ways
@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize("call", [call for _, call in EMPTY], ids=[name for name, _ in EMPTY])
def test_of_nothing_comes_nothing(call, dtype, create_graph, backward):
    """Warnings are errors here."""
    for shape in ((4, 0), (0, 0), (0, 5)):
        x = leaf(*shape, dtype=dtype)
        y = call(x, backward)
        assert (y.shape, y.dtype) == (shape, dtype)
        (dx,) = tn.grad(y, x, np.zeros(shape, y.dtype), create_graph=create_graph)
        assert (dx.shape, dx.dtype) == (shape, dtype)


@both_ways
def test_of_nothing_the_parameters_get_zero(backward):
    x, w, b = leaf(0, 3), leaf(3, seed=1), leaf(3, seed=2)
    for y in (
        F.layer_norm(x, 3, w, b, eps_mode="std", backward=backward),
        F.layer_norm(x, 3, w, b, backward=backward),
        F.detach_norm(x, 3, w, b, backward=backward),
        F.batch_renorm(x, np.zeros(3), np.ones(3), w, b, True, backward=backward),
        F.power_norm(x, None, None, w, b, backward=backward),
    ):
        for g in tn.grad(y, [w, b], np.zeros((0, 3))):
            np.testing.assert_array_equal(g.data, np.zeros(3))


def test_of_nothing_nu_takes_no_step():
    x, nu = leaf(0, 3), leaf(3, seed=1)
    F.power_norm(x, None, nu, backward="analytic").backward(np.zeros((0, 3)))
    assert nu.grad is None
    assert x.grad.shape == (0, 3)


@both_ways
def test_cross_entropy_of_no_classes(backward):
    z = leaf(0, 0)
    for target in (np.zeros(0, "int64"), np.zeros((0, 0))):
        loss = F.cross_entropy(z, target, reduction="sum", label_smoothing=0.1, backward=backward)
        assert loss.item() == 0
        assert tn.grad(loss, z)[0].shape == (0, 0)
        with pytest.raises(tn.ShapeError, match="cross_entropy: the mean over"):
            F.cross_entropy(z, target, label_smoothing=0.1, backward=backward)
    z = leaf(4, 0)
    loss = F.cross_entropy(z, np.zeros((4, 0)), reduction="none", label_smoothing=0.1, backward=backward)
    np.testing.assert_array_equal(loss.data, np.zeros(4))
    with pytest.raises(tn.ShapeError, match="cross_entropy: target"):
        F.cross_entropy(z, np.zeros(4, "int64"), backward=backward)


@both_ways
def test_a_style_has_two_places(backward):
    for style in ((2, 3, 0), (2, 3, 1), (2, 3, 0, 4)):
        content = np.ones((2, 3, 4, 4)[: len(style)])
        with pytest.raises(tn.ShapeError, match=r"adaptive_instance_norm: style .*at least 2 places"):
            F.adaptive_instance_norm(content, np.ones(style), backward=backward)
    x, s = leaf(2, 3, 0), leaf(2, 3, 4)
    y = F.adaptive_instance_norm(x, s, backward=backward)  # content without places has nothing to restyle
    assert y.shape == (2, 3, 0)
    for create_graph in (False, True):
        _, ds = tn.grad(y, [x, s], np.zeros((2, 3, 0)), create_graph=create_graph)
        np.testing.assert_array_equal(ds.data, np.zeros((2, 3, 4)))


# Arguments of a wrong kind --------------------------------------------------------------------------------------------


X = tn.tensor([[1.0, 2.0, 4.0], [0.5, -1.0, 3.0]])
ADA = np.arange(12.0).reshape(1, 3, 4)
OPTIONS = {
    "layer_norm": [("eps", lambda v: F.layer_norm(X, 3, eps=v)), ("correction", lambda v: F.layer_norm(X, 3, correction=v))],
    "rms_norm": [
        ("eps", lambda v: F.rms_norm(X, 3, eps="1e-5" if v is None else v)),
        ("partial", lambda v: F.rms_norm(X, 3, partial="all" if v is None else v)),
    ],
    "group_norm": [("eps", lambda v: F.group_norm(X, 1, eps=v))],
    "instance_norm": [("eps", lambda v: F.instance_norm(ADA, eps=v)), ("momentum", lambda v: F.instance_norm(ADA, momentum=v))],
    "batch_norm": [
        ("eps", lambda v: F.batch_norm(X, training=True, eps=v)),
        ("momentum", lambda v: F.batch_norm(X, training=True, momentum=v)),
        ("running_correction", lambda v: F.batch_norm(X, training=True, running_correction=v)),
    ],
    "batch_renorm": [
        (what, lambda v, what=what: F.batch_renorm(X, training=True, **{what: v})) for what in ("eps", "momentum", "rmax", "dmax")
    ],
    "power_norm": [("eps", lambda v: F.power_norm(X, eps=v))],
    "power_norm_v": [("eps", lambda v: F.power_norm_v(X, eps=v))],
    "ada_norm": [(what, lambda v, what=what: F.ada_norm(X, 3, **{what: v})) for what in ("eps", "k", "scale")],
    "detach_norm": [("eps", lambda v: F.detach_norm(X, 3, eps=v))],
    "adaptive_instance_norm": [("eps", lambda v: F.adaptive_instance_norm(ADA, ADA, v))],
    "conditional_layer_norm": [("eps", lambda v: F.conditional_layer_norm(X, np.ones(3), np.ones(3), v))],
    "weight_standardization": [
        ("eps", lambda v: F.weight_standardization(X, eps="a" if v is None else v)),
        ("correction", lambda v: F.weight_standardization(X, correction="a" if v is None else v)),
    ],
    "weight_norm": [("eps", lambda v: F.weight_norm(X, np.ones((2, 1)), eps=v))],
    "normalize": [("eps", lambda v: F.normalize(X, eps=v)), ("p", lambda v: F.normalize(X, v))],
    "cosine_similarity": [("eps", lambda v: F.cosine_similarity(X, X, eps=v))],
    "local_response_norm": [
        ("size", lambda v: F.local_response_norm(ADA, v)),
        *((what, lambda v, what=what: F.local_response_norm(ADA, 2, **{what: v})) for what in ("alpha", "beta", "k")),
    ],
    "cross_entropy": [
        (what, lambda v, what=what: F.cross_entropy(X, [0, 1], **{what: v})) for what in ("label_smoothing", "ignore_index")
    ],
    "power_iteration": [("steps", lambda v: power_iteration(X, np.ones(2), v))],
    "spectral_norm": [("n_power_iterations", lambda v: get("spectral_norm").apply({"input": X}, n_power_iterations=v))],
}
EACH = [(name, what, call) for name, several in OPTIONS.items() for what, call in several]


@pytest.mark.parametrize(("name", "what", "call"), EACH, ids=[f"{n}-{w}" for n, w, _ in EACH])
def test_an_option_that_is_a_number_is_nothing_else(name, what, call):
    whole = what in ("size", "ignore_index", "steps", "n_power_iterations")
    for wrong in (None, "0.1", tn.tensor(0.1), np.ones(3), [0.1], True, *([1.5] if whole else [])):
        with pytest.raises(tn.DTypeError, match=rf"^{name}: {what}=.*; it is a (whole )?number"):
            call(wrong)
    with pytest.raises(tn.DTypeError if whole else tn.OptionError, match=rf"^{name}: {what}=nan; it is a"):
        call(float("nan"))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: F.rms_norm(X, 3, partial=0), r"rms_norm: partial=0; it is a number above 0 and up to 1\."),
        (lambda: F.rms_norm(X, 3, partial=1.5), "partial=1.5"),
        (lambda: F.batch_renorm(X, training=True, rmax=0.9), r"batch_renorm: rmax=0.9; it is a number from 1 on\."),
        (lambda: F.batch_renorm(X, training=True, dmax=-1), r"batch_renorm: dmax=-1; it is a number from 0 on\."),
        (lambda: F.local_response_norm(ADA, 0), r"size=0; it is a whole number from 1 on\."),
        (lambda: F.cross_entropy(X, [0, 1], label_smoothing=-0.1), r"label_smoothing=-0.1; it is a number from 0 to 1\."),
        (lambda: F.normalize(X, 0), r"normalize: p=0; it is a number above 0\."),
        (lambda: power_iteration(X, np.ones(2), 0), r"steps=0; it is a whole number from 1 on\."),
        (
            lambda: F.weight_standardization(X, eps_mode=["std"]),
            r"weight_standardization: eps_mode=\['std'\]; it is .*\"scaled\"",
        ),
        (lambda: F.layer_norm(X, 3, eps_mode=["std"]), r"layer_norm: eps_mode=\['std'\]"),
        (lambda: F.layer_norm(X, 3, eps_mode="rms"), r"layer_norm: eps_mode='rms'"),
        (lambda: F.rms_norm(X, 3, eps_mode=None), "rms_norm: eps_mode=None"),
        (
            lambda: F.layer_norm(X, 3, backward=np.ones(2)),
            r"backward=\(2,\) float64; it is \"recorded\", \"analytic\" or \"compiled\"",
        ),
    ],
)
def test_an_option_out_of_bounds(call, words):
    with pytest.raises(tn.OptionError, match=words):
        call()


def test_what_pytorch_lets_through_is_let_through():
    assert np.isfinite(F.layer_norm(X, 3, eps=-0.5).data).all()
    F.batch_norm(X, np.zeros(3), np.ones(3), training=True, momentum=-1.2)
    assert F.batch_renorm(X, np.zeros(3), np.ones(3), training=True, rmax=np.inf, dmax=np.inf).shape == X.shape
    np.testing.assert_array_equal(F.normalize(X, np.float32(2)).data, F.normalize(X).data)


@pytest.mark.parametrize("function", [F.layer_norm, F.rms_norm, F.ada_norm, F.detach_norm], ids=lambda f: f.__name__)
@pytest.mark.parametrize("wrong", [None, 3.0, tn.tensor(3.0), tn.tensor([3.0]), (3.0,), "3", True, np.array([3.0])])
def test_normalized_shape_is_made_of_whole_numbers(function, wrong):
    with pytest.raises(tn.ShapeError, match=rf"{function.__name__}: normalized_shape=.*whole numbers"):
        function(X, wrong)
    with pytest.raises(tn.ShapeError, match=r"normalized_shape=.*whole numbers"):
        nn.LayerNorm(wrong)
    for right in (3, np.int64(3), (3,), [3], np.array([3])):
        assert function(X, right).shape == X.shape


@both_ways
@pytest.mark.parametrize("function", [F.softmax, F.log_softmax], ids=lambda f: f.__name__)
@pytest.mark.parametrize("dim", [None, (), []])
def test_softmax_is_told_along_what(function, dim, backward):
    with pytest.raises(tn.ShapeError, match=rf"{function.__name__}: dim=.* for input \(2, 3\) float64: name the axis.*dim=-1"):
        function(X, dim, backward)


@pytest.mark.parametrize("function", [F.cross_entropy, nn.CrossEntropyLoss], ids=lambda f: f.__name__)
def test_no_position_means_something_else_than_in_pytorch(function):
    kinds = inspect.signature(function).parameters
    after = list(kinds)[list(kinds).index("weight") + 1 :]
    assert {"ignore_index", "reduction", "label_smoothing", "backward"} == set(after)
    assert all(kinds[name].kind is inspect.Parameter.KEYWORD_ONLY for name in after)


# Names ------------------------------------------------------------------------------------------------------------------


def test_what_can_be_registered(monkeypatch):
    monkeypatch.setattr(registry, "_NORMS", dict(registry._NORMS))
    norm = tn.Norm("mine", "Mine", lambda inputs, backward, **options: inputs["input"], lambda shape, **options: {})
    assert tn.register(norm) is norm
    assert get("mine") is norm
    tn.register(norm)  # itself again
    other = tn.Norm("mine", "Another", norm.apply, norm.parameters)
    with pytest.raises(tn.OptionError, match=r"register: there is a norm 'mine' already, Mine.*replace=True"):
        tn.register(other)
    assert get("mine") is norm
    tn.register(other, replace=True)
    assert get("mine") is other
    for wrong, error, words in [
        ("layer_norm", tn.DTypeError, r"register: 'layer_norm' is no Norm.*tn\.Norm"),
        (tn.Norm("", "No name", norm.apply, norm.parameters), tn.OptionError, "the name '' of 'No name'"),
        (tn.Norm(None, "No name", norm.apply, norm.parameters), tn.OptionError, "the name None"),
        (tn.Norm("a", "A", None, norm.parameters), tn.DTypeError, "register: a's apply is None"),
        (tn.Norm("a", "A", norm.apply, {"weight": (3,)}), tn.DTypeError, "register: a's parameters is {'weight'"),
    ]:
        with pytest.raises(error, match=words):
            tn.register(wrong)
    assert "a" not in names()


def test_the_template_of_a_norm_works(monkeypatch, capsys):
    """The example in the registry's own head, as it stands there."""
    monkeypatch.setattr(registry, "_NORMS", dict(registry._NORMS))
    lines = registry.__doc__.split("\n\n", 2)[2]
    exec(compile(textwrap.dedent(lines), "template", "exec"), {})
    assert tn.compare("power", shape=(3, 5)).ok
    assert "power" in capsys.readouterr().out.lower()
