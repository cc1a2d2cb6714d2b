"""Cross-entropy: (p·Σq − q)/Z beside PyTorch and the record, for classes and probabilities, weights and smoothing."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import tinygrad_norm as tn
from tests import oracles

F = tn.functional
WAYS = ("recorded", "analytic")
INF = np.inf
WEIGHTS = np.array([0.5, 2.0, 1.0, 0.1])

both_ways = pytest.mark.parametrize("backward", WAYS)
CLASSES = {
    "one": ((4,), np.array(2)),
    "some": ((5, 4), np.array([0, 3, 1, 1, 2])),
    "ignored": ((5, 4), np.array([0, -100, 1, -100, 2])),
    "images": ((2, 4, 3, 2), np.random.default_rng(0).integers(0, 4, (2, 3, 2))),
}
HOW = [
    {"reduction": r, "label_smoothing": s, "weight": w}
    for r, s, w in itertools.product(["mean", "sum", "none"], [0.0, 0.3, 1.0], [None, WEIGHTS])
]
HOW_IDS = [f"{h['reduction']}-{h['label_smoothing']}{'' if h['weight'] is None else '-weighted'}" for h in HOW]
every_how = pytest.mark.parametrize("how", HOW, ids=HOW_IDS)


def random(*shape, seed=0):
    return np.random.default_rng(seed + sum(shape)).normal(0, 1.5, shape)


# Beside PyTorch ---------------------------------------------------------------------------------------------------


@every_how
@pytest.mark.parametrize(("shape", "target"), CLASSES.values(), ids=CLASSES)
def test_classes_beside_torch(shape, target, how):
    torch = pytest.importorskip("torch")
    from tests.engine.test_torch_parity import compare

    theirs = {**how, "weight": None if how["weight"] is None else torch.tensor(how["weight"])}
    for ignore in (-100, 1):
        t = np.where(target == -100, ignore, target)
        compare(
            lambda z: F.cross_entropy(z, t, ignore_index=ignore, backward="analytic", **how),  # noqa: B023
            lambda z: torch.nn.functional.cross_entropy(z, torch.tensor(t), ignore_index=ignore, **theirs),  # noqa: B023
            random(*shape),
            order=3,
        )


@every_how
@pytest.mark.parametrize("shape", [(4,), (3, 4), (2, 4, 3)])
def test_probabilities_beside_torch(shape, how):
    torch = pytest.importorskip("torch")
    from tests.engine.test_torch_parity import compare

    theirs = {**how, "weight": None if how["weight"] is None else torch.tensor(how["weight"])}
    compare(
        lambda z, q: F.cross_entropy(z, q, backward="analytic", **how),
        lambda z, q: torch.nn.functional.cross_entropy(z, q, **theirs),
        random(*shape),
        np.abs(random(*shape, seed=1)) + 0.1,  # need not add up to 1
    )


# One formula, two ways ----------------------------------------------------------------------------------------------


@every_how
@pytest.mark.parametrize("case", [*CLASSES, "probabilities"])
def test_the_node_is_the_record(case, how):
    shape, target = CLASSES.get(case, ((2, 4, 3), np.abs(random(2, 4, 3, seed=2))))
    soft = target.dtype.kind == "f"
    z = tn.tensor(random(*shape), requires_grad=True)
    t = tn.tensor(target, requires_grad=soft)
    leaves = [z, t] if soft else [z]
    found = []
    for backward in WAYS:
        rng = np.random.default_rng(1)
        loss = F.cross_entropy(z, t, backward=backward, **how)
        first = tn.grad(loss, leaves, rng.normal(size=loss.shape), create_graph=True)
        second = tn.grad(first[0], leaves, rng.normal(size=shape), allow_unused=True)
        found.append([loss.data, *(g.data for g in first), *(0 * z.data if g is None else g.data for g in second)])
    np.testing.assert_array_equal(*(f[0] for f in found))
    for a, b in zip(*found):
        np.testing.assert_allclose(a, b, atol=1e-14)


@both_ways
def test_against_complex_step(backward):
    z, target, dy = random(3, 4, 2), np.array([[0, 3], [-100, 1], [2, 2]]), random(3, 2, seed=5)

    def losses(z):
        logp = z - np.log(np.exp(z).sum(1, keepdims=True))
        out = np.zeros((3, 2), z.dtype)
        for n, d in np.ndindex(3, 2):
            if target[n, d] >= 0:
                nll, smooth = -logp[n, target[n, d], d] * WEIGHTS[target[n, d]], -(logp[n, :, d] * WEIGHTS).sum() / 4
                out[n, d] = 0.8 * nll + 0.2 * smooth
        return out

    x = tn.tensor(z, requires_grad=True)
    y = F.cross_entropy(x, target, WEIGHTS, reduction="none", label_smoothing=0.2, backward=backward)
    np.testing.assert_allclose(y.data, losses(z), atol=1e-14)
    np.testing.assert_allclose(tn.grad(y, x, dy)[0].data, oracles.gradient(losses, [z], 0, dy), atol=1e-14)
    mean = F.cross_entropy(x, target, WEIGHTS, label_smoothing=0.2, backward=backward)
    assert mean.item() == pytest.approx(losses(z).sum() / WEIGHTS[target[target >= 0]].sum())


@both_ways
def test_the_famous_one(backward):
    """(p − onehot)/N."""
    z, t = random(6, 5), np.array([0, 4, 2, 2, 1, 3])
    x = tn.tensor(z, requires_grad=True)
    (dz,) = tn.grad(F.cross_entropy(x, t, backward=backward), x)
    p = np.exp(z) / np.exp(z).sum(-1, keepdims=True)
    np.testing.assert_allclose(dz.data, (p - np.eye(5)[t]) / 6, atol=1e-16)
    assert np.abs(dz.data.sum(-1)).max() < 1e-16


@both_ways
def test_the_gradient_of_a_best_guess_is_zero(backward):
    """Where softmax(z) is the target nothing is left to learn, and the loss is the target's entropy."""
    q = np.array([[0.1, 0.2, 0.7], [0.3, 0.3, 0.4]])
    z = tn.tensor(np.log(q) + 5.0, requires_grad=True)
    loss = F.cross_entropy(z, q, backward=backward)
    assert loss.item() == pytest.approx(-(q * np.log(q)).sum() / 2)
    np.testing.assert_allclose(tn.grad(loss, z)[0].data, 0, atol=1e-16)


def test_the_node_is_one_node():
    z = tn.tensor(random(3, 4), requires_grad=True, name="z")
    nodes = tn.graph(F.cross_entropy(z, [0, 1, 2], WEIGHTS, label_smoothing=0.1, backward="analytic")).tensors
    assert [t.op.name for t in nodes if t.op is not None] == ["cross_entropy"]


# Edges ------------------------------------------------------------------------------------------------------------------


@both_ways
def test_certain_and_wrong(backward):
    """The loss is as large as the logits are apart; the gradient is 1 at most, where −log p by hand would be NaN."""
    z = tn.tensor([[0.0, 1e4], [3.0, -INF]], requires_grad=True)
    loss = F.cross_entropy(z, [0, 0], reduction="none", backward=backward)
    np.testing.assert_allclose(loss.data, [1e4, 0])
    np.testing.assert_allclose(tn.grad(loss, z, np.ones(2))[0].data, [[-1, 1], [0, 0]])


@both_ways
def test_ignored_targets_have_no_loss_and_no_gradient(backward):
    z = tn.tensor([[5.0, 1.0, -INF], [0.0, 1.0, 2.0]], requires_grad=True)
    loss = F.cross_entropy(z, [7, 1], ignore_index=7, backward=backward)
    (dz,) = tn.grad(loss, z)
    np.testing.assert_array_equal(dz.data[0], 0)
    assert loss.item() == pytest.approx(np.log(np.exp([0.0, 1, 2]).sum()) - 1)


@both_ways
def test_a_mean_over_nothing_is_an_error(backward):
    with pytest.raises(tn.ShapeError, match=r'cross_entropy: the mean.*ignored.*reduction="sum"'):
        F.cross_entropy(random(2, 3), [-100, -100], backward=backward)
    assert F.cross_entropy(random(2, 3), [-100, -100], reduction="sum", backward=backward).item() == 0


@both_ways
@pytest.mark.parametrize("target", ["classes", "probabilities"])
def test_float16_is_computed_in_float32(backward, target):
    rng = np.random.default_rng(2)
    data = rng.normal(0, 4, (300, 700)).astype("float16")
    t = rng.integers(0, 700, 300) if target == "classes" else rng.dirichlet(np.ones(700), 300).astype("float16")
    z, wide = tn.tensor(data, requires_grad=True), tn.tensor(data.astype("float64"), requires_grad=True)
    loss = F.cross_entropy(z, t, reduction="sum", label_smoothing=0.1, backward=backward)  # a sum of a few thousands
    exact = F.cross_entropy(wide, t if target == "classes" else t.astype("float64"), reduction="sum", label_smoothing=0.1)
    assert loss.dtype == np.float16
    assert loss.item() == pytest.approx(exact.item(), rel=1e-3)
    (dz,), (expected,) = tn.grad(loss, z), tn.grad(exact, wide)
    assert dz.dtype == np.float16
    np.testing.assert_allclose(dz.data, expected.data, rtol=2e-3, atol=1e-6)


@both_ways
def test_float32_stays_float32_whatever_the_weights_are(backward):
    z = tn.tensor(random(3, 4), dtype="float32", requires_grad=True)
    loss = F.cross_entropy(z, [0, 1, 2], WEIGHTS, label_smoothing=0.1, backward=backward)
    assert loss.dtype == np.float32
    assert tn.grad(loss, z)[0].dtype == np.float32


@both_ways
def test_what_bad_input_is_told(backward):
    z = tn.tensor(random(3, 4), name="z")
    for error, match, arguments in [
        (tn.ShapeError, r"target \(3,\) int64 has 4; .*between 0 and 3", (z, [0, 4, 1])),
        (tn.ShapeError, r"target \(2,\) int64 for input z \(3, 4\) float64.*4 classes, \(3,\)", (z, [0, 1])),
        (tn.ShapeError, r"target \(3,\) float64.*probabilities.*int64", (z, [0.0, 1.0, 2.0])),
        (tn.DTypeError, r"bool.*int64", (z, [True, False, True])),
        (tn.DTypeError, r"input \(3, 4\) int64 is not floating point", (np.ones((3, 4), "int64"), [0, 1, 2])),
        (tn.ShapeError, r"weight \(3,\).*\(4,\)", (z, [0, 1, 2], np.ones(3))),
        (tn.ShapeError, r"no axis of classes", (np.array(1.0), 0)),
    ]:
        with pytest.raises(error, match=match):
            F.cross_entropy(*arguments, backward=backward)
    with pytest.raises(tn.OptionError, match=r"reduction='avg'.*\"none\""):
        F.cross_entropy(z, [0, 1, 2], reduction="avg", backward=backward)
    with pytest.raises(tn.OptionError, match=r"label_smoothing=1.5; it is a number from 0 to 1"):
        F.cross_entropy(z, [0, 1, 2], label_smoothing=1.5, backward=backward)
    with pytest.raises(TypeError, match="positional"):  # PyTorch's fourth is size_average
        F.cross_entropy(z, [0, 1, 2], None, -100)
    with pytest.raises(ValueError, match=r'"recorded", "analytic" or "compiled"'):
        F.cross_entropy(z, [0, 1, 2], backward="fused")
