"""BatchNorm, InstanceNorm and GroupNorm as modules: their buffers, their two ways to compute, what inputs they take."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_norm as tn

F, nn = tn.functional, tn.nn

TRACKED = ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"]
BATCH = {nn.BatchNorm1d: [(4, 3), (4, 3, 5)], nn.BatchNorm2d: [(2, 3, 2, 4)], nn.BatchNorm3d: [(2, 3, 2, 2, 3)]}
INSTANCE = {
    nn.InstanceNorm1d: [(2, 3, 5), (3, 5)],
    nn.InstanceNorm2d: [(2, 3, 2, 4), (3, 2, 4)],
    nn.InstanceNorm3d: [(2, 3, 2, 2, 3), (3, 2, 2, 3)],
}
EVERY = [(kind, shape) for table in (BATCH, INSTANCE) for kind, shapes in table.items() for shape in shapes]
every_form = pytest.mark.parametrize(("kind", "shape"), EVERY, ids=[f"{k.__name__}-{s}" for k, s in EVERY])
both_ways = pytest.mark.parametrize("backward", ["recorded", "analytic"])


def filled(layer, rng):
    """The layer with random parameters and statistics: 0 and 1 would hide a missing factor."""
    state = {n: rng.uniform(0.5, 2, a.shape) for n, a in layer.state_dict().items()}
    if "num_batches_tracked" in state:
        state["num_batches_tracked"] = np.array(3)
    layer.load_state_dict(state)
    return layer


def arrays(layer):
    return {n: t.data for n, t in (*layer.named_parameters(), *layer.named_buffers())}


# State ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [*BATCH, *INSTANCE])
def test_keys_dtypes_and_first_values(kind):
    layer = kind(3, affine=True, track_running_stats=True)
    state = layer.state_dict()
    assert list(state) == TRACKED
    assert [n for n, _ in layer.named_parameters()] == TRACKED[:2]
    assert {n: a.shape for n, a in state.items()} == dict.fromkeys(TRACKED[:4], (3,)) | {"num_batches_tracked": ()}
    assert [a.dtype.name for a in state.values()] == ["float32"] * 4 + ["int64"]
    assert [a.tolist() for a in state.values()] == [[1.0] * 3, [0.0] * 3, [0.0] * 3, [1.0] * 3, 0]
    assert list(kind(3, affine=True, track_running_stats=True, bias=False).state_dict()) == ["weight", *TRACKED[2:]]
    assert list(kind(3, affine=False, track_running_stats=True).state_dict()) == TRACKED[2:]
    assert list(kind(3, affine=True, track_running_stats=False).state_dict()) == TRACKED[:2]
    assert kind(3, 1e-5, 0.1, True, True, np.float64).state_dict()["running_var"].dtype == np.float64


def test_what_they_have_unless_asked():
    assert list(nn.BatchNorm1d(3).state_dict()) == TRACKED
    assert list(nn.InstanceNorm1d(3).state_dict()) == []
    assert list(nn.GroupNorm(2, 4).state_dict()) == ["weight", "bias"]
    assert list(nn.GroupNorm(2, 4, bias=False).state_dict()) == ["weight"]
    assert list(nn.GroupNorm(2, 4, affine=False).state_dict()) == []


def test_state_goes_from_one_to_another(rng):
    one, other = filled(nn.BatchNorm1d(3, dtype=np.float64), rng), nn.BatchNorm1d(3, dtype=np.float64)
    other.load_state_dict(one.state_dict())
    x = rng.normal(size=(5, 3))
    np.testing.assert_array_equal(other.eval()(x).data, one.eval()(x).data)
    assert other.num_batches_tracked.item() == 3
    assert other.num_batches_tracked.dtype == np.int64


def test_they_print_what_they_are():
    assert repr(nn.BatchNorm1d(3)) == "BatchNorm1d(3, eps=1e-05, momentum=0.1, affine=True, track_running_stats=True)"
    assert repr(nn.InstanceNorm2d(4, momentum=None)) == (
        "InstanceNorm2d(4, eps=1e-05, momentum=None, affine=False, track_running_stats=False, bias=False)"
    )
    assert repr(nn.GroupNorm(2, 4, bias=False)) == "GroupNorm(2, 4, eps=1e-05, affine=True, bias=False)"


# Training and inference -------------------------------------------------------------------------------------------


@both_ways
@every_form
def test_training_and_inference_are_the_function(kind, shape, backward, rng):
    layer = filled(kind(3, 0.1, 0.3, True, True, np.float64, backward), rng)
    function = F.batch_norm if kind in BATCH else F.instance_norm
    x = tn.tensor(rng.normal(1, 2, shape), requires_grad=True)
    dy = rng.normal(size=shape)
    batched = x if kind in BATCH or x.ndim == max(layer.forms) else x.reshape(1, *shape)
    m, v = layer.running_mean.data.copy(), layer.running_var.data.copy()
    for training in (True, False):
        y = layer.train(training)(x)
        expected = function(batched, m, v, layer.weight, layer.bias, training, 0.3, 0.1, backward).reshape(shape)
        np.testing.assert_allclose(y.data, expected.data, atol=1e-14)
        inputs = [x, layer.weight, layer.bias]
        for g, e in zip(tn.grad(y, inputs, dy), tn.grad(expected, inputs, dy)):
            np.testing.assert_allclose(g.data, e.data, atol=1e-13)
        np.testing.assert_allclose(layer.running_mean.data, m, rtol=1e-14)  # both were updated, or neither
        np.testing.assert_allclose(layer.running_var.data, v, rtol=1e-14)
        assert layer.num_batches_tracked.item() == 4  # once, in training
    assert {n for n, p in layer.named_parameters() if p.grad is not None} == set()
    layer.train()(x).backward(dy)
    assert {n for n, p in layer.named_parameters() if p.grad is not None} == {"weight", "bias"}


@every_form
def test_without_running_statistics_inference_is_as_training(kind, shape, rng):
    layer = filled(kind(3, affine=True, track_running_stats=False, dtype=np.float64), rng)
    x = rng.normal(1, 2, shape)
    np.testing.assert_array_equal(layer.eval()(x).data, layer.train()(x).data)
    assert list(layer.state_dict()) == ["weight", "bias"]


def test_batch_norm_of_one_sample(rng):
    layer = filled(nn.BatchNorm1d(3, dtype=np.float64), rng)
    x, before = rng.normal(size=(1, 3)), arrays(layer)
    with pytest.raises(tn.ShapeError, match="more than 1 value per channel"):
        layer(x)
    after = arrays(layer)
    assert all(np.array_equal(after[n], before[n]) for n in TRACKED), "an error counts no batch and moves no statistic"
    assert np.isfinite(layer.eval()(x).data).all()
    with pytest.raises(tn.ShapeError, match="more than 1 value per channel"):
        nn.BatchNorm1d(3, track_running_stats=False).eval()(x)


@pytest.mark.parametrize("layer", [nn.InstanceNorm1d(3), nn.InstanceNorm1d(3).eval()])
@pytest.mark.parametrize("shape", [(2, 3, 1), (3, 1)])
def test_instance_norm_of_one_place(layer, shape, rng):
    with pytest.raises(tn.ShapeError, match="more than 1 spatial element"):
        layer(rng.normal(size=shape))


# Running statistics -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("correction", [0, 1])
@pytest.mark.parametrize("of", ["new", "old"])
def test_without_a_momentum_they_are_plain_averages(of, correction, rng):
    layer = nn.BatchNorm2d(3, momentum=None, dtype=np.float64, momentum_of=of, running_correction=correction)
    batches = rng.normal(2, 3, (4, 5, 3, 2, 2))
    for k, batch in enumerate(batches, 1):
        layer(batch)
        seen = batches[:k]
        np.testing.assert_allclose(layer.running_mean.data, seen.mean((0, 1, 3, 4)), rtol=1e-13)
        np.testing.assert_allclose(layer.running_var.data, seen.var((1, 3, 4), ddof=correction).mean(0), rtol=1e-13)
        assert layer.num_batches_tracked.item() == k
    layer.eval()(batches[0])
    assert layer.num_batches_tracked.item() == 4


@pytest.mark.parametrize("correction", [0, 1])
def test_instance_norm_averages_over_instances_and_batches(correction, rng):
    how = {"momentum": None, "momentum_of": "old", "running_correction": correction}
    layer = nn.InstanceNorm1d(3, track_running_stats=True, dtype=np.float64, **how)
    batches = rng.normal(0, rng.uniform(1, 5, (4, 2, 3, 1)), (4, 2, 3, 6))
    for batch in batches:
        layer(batch)
    np.testing.assert_allclose(layer.running_var.data, batches.var(3, ddof=correction).mean((0, 1)), rtol=1e-13)
    assert layer.num_batches_tracked.item() == 4


@pytest.mark.parametrize(("momentum", "of"), [(0.1, "new"), (0.9, "old")])
def test_instance_norm_knows_either_convention(momentum, of, rng):
    layer = nn.InstanceNorm1d(3, momentum=momentum, momentum_of=of, track_running_stats=True, dtype=np.float64)
    x = rng.normal(4, 2, (2, 3, 5))
    layer(x)
    np.testing.assert_allclose(layer.running_mean.data, 0.1 * x.mean((0, 2)), rtol=1e-12)


@pytest.mark.parametrize(("momentum", "of"), [(0.1, "new"), (0.9, "old")])
def test_either_convention_of_momentum(momentum, of, rng):
    layer = nn.BatchNorm1d(3, momentum=momentum, momentum_of=of, dtype=np.float64)
    x = rng.normal(4, 2, (7, 3))
    for _ in range(20):
        layer(x)
    np.testing.assert_allclose(layer.running_mean.data, (1 - 0.9**20) * x.mean(0), rtol=1e-12)
    np.testing.assert_allclose(layer.running_var.data, 0.9**20 + (1 - 0.9**20) * x.var(0, ddof=1), rtol=1e-12)


@pytest.mark.parametrize("momentum", [0.1, None])
def test_an_empty_batch_counts_for_nothing(momentum, rng):
    layer = filled(nn.BatchNorm1d(3, momentum=momentum), rng)
    before = arrays(layer)
    assert layer(np.zeros((0, 3), "float32")).shape == (0, 3)
    after = arrays(layer)
    assert all(np.array_equal(after[n], before[n]) for n in TRACKED)


@both_ways
def test_a_record_of_inference_outlives_the_next_training_step(backward, rng):
    """pytorch#13402, by way of the module."""
    layer = filled(nn.BatchNorm1d(3, dtype=np.float64, backward=backward), rng).eval()
    x = tn.tensor(rng.normal(size=(4, 3)), requires_grad=True)
    dy, v = rng.normal(size=(4, 3)), layer.running_var.data.copy()
    y = layer(x)
    layer.train()(rng.normal(10, 50, (8, 3)))
    assert np.abs(layer.running_var.data - v).min() > 10
    expected = layer.weight.data * dy / np.sqrt(v + 1e-5)
    np.testing.assert_allclose(tn.grad(y, x, dy)[0].data, expected, rtol=1e-13)


# Inputs they take ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layer", "shape", "words"),
    [
        (
            nn.BatchNorm1d(3),
            (3,),
            r"BatchNorm1d: input \(3,\).*expected 2D or 3D input \(got 1D input\).*\(N, C\) or \(N, C, L\)",
        ),
        (nn.BatchNorm1d(3), (2, 3, 4, 5), r"expected 2D or 3D input \(got 4D input\)"),
        (nn.BatchNorm2d(3), (2, 3, 4), r"BatchNorm2d: .*expected 4D input \(got 3D input\): \(N, C, H, W\)"),
        (nn.BatchNorm3d(3), (2, 3, 4, 5), r"BatchNorm3d: .*expected 5D input \(got 4D input\)"),
        (nn.InstanceNorm1d(3), (2, 3, 4, 5), r"InstanceNorm1d: .*expected 2D or 3D input \(got 4D input\)"),
        (nn.InstanceNorm2d(3), (3, 4), r"expected 3D or 4D input \(got 2D input\): \(C, H, W\) or \(N, C, H, W\)"),
        (nn.InstanceNorm3d(3), (3, 4, 5), r"expected 4D or 5D input \(got 3D input\)"),
        (nn.BatchNorm1d(3), (2, 4), r"BatchNorm1d: input \(2, 4\) float64 has 4 channels \(axis 1\).*made for 3"),
        (nn.BatchNorm1d(3, affine=False, track_running_stats=False), (2, 4), "has 4 channels"),
        (nn.BatchNorm2d(3), (2, 4, 4, 3), "has 4 channels.*transpose the input if they are last"),
        (nn.InstanceNorm1d(3), (4, 3), r"InstanceNorm1d: input \(4, 3\) float64 has 4 channels \(axis 0\)"),
        (nn.InstanceNorm1d(3), (3, 4, 5), r"has 4 channels \(axis 1\)"),
        (nn.GroupNorm(2, 4), (2, 6, 3), r"GroupNorm: input \(2, 6, 3\).*6 channels.*made for 4"),
        (nn.GroupNorm(2, 4, affine=False), (2, 6, 3), "6 channels"),
        (nn.GroupNorm(2, 4), (4,), r"group_norm: input \(4,\) float64 has 1 axes"),
    ],
)
def test_an_input_that_does_not_fit(layer, shape, words):
    before = arrays(layer)
    with pytest.raises(tn.ShapeError, match=words):
        layer(np.ones(shape))
    assert all(np.array_equal(a, before[n]) for n, a in arrays(layer).items())


def test_integers_are_refused():
    with pytest.raises(tn.DTypeError, match="Cast first"):
        nn.BatchNorm1d(3)(np.ones((2, 3), int))


# GroupNorm ----------------------------------------------------------------------------------------------------------


@both_ways
def test_group_norm_is_the_function(backward, rng):
    layer = filled(nn.GroupNorm(2, 4, 0.1, True, np.float64, backward), rng)
    x, dy = tn.tensor(rng.normal(1, 2, (3, 4, 5)), requires_grad=True), rng.normal(size=(3, 4, 5))
    inputs = [x, layer.weight, layer.bias]
    y, expected = layer(x), F.group_norm(x, 2, layer.weight, layer.bias, 0.1, backward)
    np.testing.assert_array_equal(y.data, expected.data)
    np.testing.assert_array_equal(layer.eval()(x).data, y.data)
    for g, e in zip(tn.grad(y, inputs, dy), tn.grad(expected, inputs, dy)):
        np.testing.assert_array_equal(g.data, e.data)


def test_groups_that_do_not_divide_the_channels():
    words = r"GroupNorm: num_channels=6 with num_groups=4: .*one of 1, 2, 3, 6\."
    with pytest.raises(tn.ShapeError, match=words):
        nn.GroupNorm(4, 6)


@pytest.mark.parametrize("name", ["BatchNorm1d", "InstanceNorm1d"])
@pytest.mark.parametrize("made", [True, False])
@pytest.mark.parametrize("switch", [{"track_running_stats": False}, {"track_running_stats": True}, {"momentum": None},
                                    {"momentum": 0.5}, {"eps": 0.3}, {"affine": False}, {"training": False}])  # fmt: skip
def test_what_is_switched_after_construction_is_honoured(name, made, switch):
    """As PyTorch does it, call by call, in training and in inference. Where InstanceNorm's statistics are not tracked any
    more, PyTorch moves them all the same; here they stay, and so they do where momentum=None leaves its count at 0."""
    torch = pytest.importorskip("torch", reason="torch is not installed; parity with PyTorch is not checked")
    mine = getattr(nn, name)(3, affine=True, track_running_stats=made, dtype=np.float64)
    theirs = getattr(torch.nn, name)(3, affine=True, track_running_stats=made).double()
    rng = np.random.default_rng(0)

    def call(x):
        before = {k: np.array(v) for k, v in mine.state_dict().items()}
        np.testing.assert_allclose(mine(x).data, theirs(torch.tensor(x)).detach().numpy(), rtol=1e-11, atol=1e-12)
        kept = not mine.track_running_stats or not mine.training
        for key, value in theirs.state_dict().items():
            if kept:
                np.testing.assert_array_equal(mine.state_dict()[key], before[key], err_msg=key)
            if name == "BatchNorm1d":
                np.testing.assert_allclose(mine.state_dict()[key], value.numpy(), rtol=1e-11, err_msg=key)

    call(rng.normal(1, 2, (4, 3, 5)))
    for attribute, value in switch.items():
        setattr(mine, attribute, value)
        setattr(theirs, attribute, value)
    if name == "InstanceNorm1d" and (made, *switch.items()) in (
        (True, ("momentum", None)),
        (False, ("track_running_stats", True)),
    ):
        return  # theirs is no average, see the class; and raises in inference
    for training in (True, False, True):
        if "training" not in switch:
            mine.train(training)
            theirs.train(training)
        call(rng.normal(1, 2, (4, 3, 5)))
