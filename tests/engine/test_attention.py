"""Attention, masked softmax and the random source."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from tests.engine.test_torch_parity import compare
from tinygrad_norm import functional as F
from tinygrad_norm.engine import DTypeError, OptionError, ShapeError, grad, tensor
from tinygrad_norm.engine.random import Generator, default_generator, drawing_from, manual_seed

torch = pytest.importorskip("torch", reason="PyTorch is not installed: parity with it is not checked")
T = torch.nn.functional
RNG = np.random.default_rng(3)
Q, K, V = RNG.standard_normal((2, 4, 3, 5)), RNG.standard_normal((2, 4, 6, 5)), RNG.standard_normal((2, 4, 6, 2))
MASK = RNG.random((3, 6)) > 0.4
ours, theirs = F.scaled_dot_product_attention, T.scaled_dot_product_attention

# Attention --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", [{}, {"is_causal": True}, {"scale": 0.3}], ids=str)
def test_as_pytorch(how):
    compare(lambda *x: ours(*x, **how), lambda *x: theirs(*x, **how), Q, K, V)
    compare(lambda *x: ours(*x, **how), lambda *x: theirs(*x, **how), Q[0, 0], K[0, 0], V[0, 0])


def test_masks():
    compare(lambda *x: ours(*x, MASK), lambda *x: theirs(*x, torch.tensor(MASK)), Q, K, V)
    compare(lambda q, k, v, m: ours(q, k, v, m), lambda q, k, v, m: theirs(q, k, v, m), Q, K, V, RNG.standard_normal((4, 3, 6)))
    added = np.where(MASK, 0.5, -np.inf)
    compare(lambda *x: ours(*x, added), lambda *x: theirs(*x, torch.tensor(added)), Q, K, V)


@pytest.mark.parametrize("mask", [np.zeros((3, 6), bool), np.full((3, 6), -np.inf)], ids=["truth", "numbers"])
def test_a_query_that_may_look_at_nothing(mask):
    q, k, v = (tensor(a, requires_grad=True) for a in (Q, K, V))
    y = ours(q, k, v, mask)
    np.testing.assert_array_equal(y.data, 0)
    for g in grad(y, [q, k, v], RNG.standard_normal(y.shape)):
        np.testing.assert_array_equal(g.data, 0)


def test_heads_that_serve_several():
    k, v = K[:, :2], V[:, :2]
    compare(lambda *x: ours(*x, enable_gqa=True), lambda *x: theirs(*x, enable_gqa=True), Q, k, v)


def test_dropout_of_attention():
    """All but the share that is kept; without, the weights add up to 1."""
    with drawing_from(Generator(0)):
        some = ours(Q, K, np.ones((2, 4, 6, 1)), dropout_p=0.5)
    assert np.ptp(some.data) > 0.5
    np.testing.assert_allclose(ours(Q, K, np.ones((2, 4, 6, 1))).data, 1)
    np.testing.assert_array_equal(ours(Q, K, V, dropout_p=1.0).data, 0)


def test_float16_is_computed_in_float32():
    q = np.full((1, 64), 40, "float16")  # the scores are 102400/8
    y = ours(q, q, q)
    assert y.dtype == np.float16
    np.testing.assert_array_equal(y.data, q)


# Masked softmax ---------------------------------------------------------------------------------------------


def test_masked_softmax():
    x = RNG.standard_normal((3, 6))
    filled = torch.tensor(~MASK)
    compare(lambda v: F.masked_softmax(v, MASK, -1), lambda t: torch.softmax(t.masked_fill(filled, -torch.inf), -1), x, order=3)
    compare(lambda v: F.masked_softmax(v, MASK[:1], 0), lambda t: torch.softmax(t, 0) * torch.tensor(MASK[:1]), x)


def test_rows_of_which_nothing_takes_part():
    """0, with gradients of 0 at every order, whatever stands there."""
    x = tensor([[1.0, 2.0], [np.nan, np.inf], [3.0, np.nan]], requires_grad=True)
    y = F.masked_softmax(x, [[True, True], [False, False], [True, False]], -1)
    (g,) = grad(y, x, RNG.standard_normal((3, 2)), create_graph=True)
    (h,) = grad(g, x, RNG.standard_normal((3, 2)))
    np.testing.assert_array_equal(y.data[1:], [[0, 0], [1, 0]])
    for values in (g, h):
        np.testing.assert_array_equal(values.data[1:], 0)
        assert values.data[0].all()


# Random numbers ---------------------------------------------------------------------------------------------


def test_dropout():
    x = tensor(np.ones((100, 100), "float32"), requires_grad=True)
    manual_seed(7)
    y = F.dropout(x, 0.2)
    kept = y.data != 0
    assert y.dtype == np.float32
    assert abs(kept.mean() - 0.8) < 0.02  # five deviations
    np.testing.assert_array_equal(y.data[kept], np.float32(1.25))
    np.testing.assert_array_equal(grad(y.sum(), x)[0].data, y.data)
    manual_seed(7)
    np.testing.assert_array_equal(F.dropout(x, 0.2).data, y.data)
    assert (F.dropout(x, 0.2).data != y.data).any()
    for same in (F.dropout(x, 0.2, training=False), F.dropout(x, 0.0)):
        assert same is x
    np.testing.assert_array_equal(F.dropout(x, 1.0).data, 0)
    assert F.dropout(np.ones(3, "float16"), 0.5).dtype == np.float16


def test_a_state_is_where_it_goes_on():
    import json

    g = Generator(3)
    g.numpy.random(5)
    state = json.loads(json.dumps(g.get_state()))  # it may be saved
    expected = g.numpy.random(4)
    np.testing.assert_array_equal(Generator.at(state).numpy.random(4), expected)
    g.set_state(state)
    np.testing.assert_array_equal(g.numpy.random(4), expected)
    assert g.initial_seed() == 3
    assert repr(g) == "Generator(seed=3)"


def test_what_is_computed_again_draws_the_same():
    """As a checkpoint must; the default source stays where it is."""
    manual_seed(1)
    state = default_generator().get_state()
    first = F.dropout(np.ones(50), 0.5).data
    with drawing_from(Generator.at(state)):
        again = F.dropout(np.ones(50), 0.5).data
    np.testing.assert_array_equal(first, again)
    after = F.dropout(np.ones(50), 0.5).data
    manual_seed(1)
    F.dropout(np.ones(50), 0.5)
    np.testing.assert_array_equal(F.dropout(np.ones(50), 0.5).data, after)


def test_threads_with_sources_of_their_own_are_repeatable():
    def work(seed, results):
        with drawing_from(Generator(seed)):
            results[seed] = [F.dropout(np.ones(20), 0.5).data for _ in range(50)]

    runs = []
    for _ in range(2):
        results: dict[int, list[np.ndarray]] = {}
        threads = [threading.Thread(target=work, args=(k, results)) for k in range(4)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        runs.append([results[k] for k in range(4)])
    np.testing.assert_array_equal(runs[0], runs[1])


# Errors -----------------------------------------------------------------------------------------------------

BAD = {
    "features": (ShapeError, r"scaled_dot_product_attention: query .*5\) float64 and key .*2\) float64: their last axes", lambda: ours(Q, V, V)),
    "values": (ShapeError, "scaled_dot_product_attention: key .* one value for each key, but 5 for 6", lambda: ours(Q, K, V[:, :, :5])),
    "axes": (ShapeError, r"scaled_dot_product_attention: query \(5,\) float64 has 1 axes", lambda: ours(Q[0, 0, 0], K, V)),
    "heads": (ShapeError, "scaled_dot_product_attention: .*do not broadcast. For fewer heads.*enable_gqa", lambda: ours(Q, K[:, :2], V[:, :2])),
    "gqa": (ShapeError, "scaled_dot_product_attention: .*enable_gqa.*must divide", lambda: ours(Q, K[:, :3], V[:, :3], enable_gqa=True)),
    "both masks": (OptionError, "scaled_dot_product_attention: both attn_mask and is_causal", lambda: ours(Q, K, V, MASK, is_causal=True)),
    "mask shape": (ShapeError, r"scaled_dot_product_attention: attn_mask \(3, 5\) bool does not broadcast", lambda: ours(Q, K, V, MASK[:, :5])),
    "mask dtype": (DTypeError, "scaled_dot_product_attention: attn_mask .*int64 holds neither", lambda: ours(Q, K, V, MASK.astype(int))),
    "dropout": (OptionError, "scaled_dot_product_attention: dropout_p=2; it is a number from 0 to 1", lambda: ours(Q, K, V, dropout_p=2)),
    "causal": (OptionError, "scaled_dot_product_attention: is_causal='yes'; it is True or False", lambda: ours(Q, K, V, is_causal="yes")),
    "softmax mask": (DTypeError, r"masked_softmax: mask \(2,\) float64 is not of truth values", lambda: F.masked_softmax([1.0, 2.0], [1.0, 0.0], 0)),
    "p": (OptionError, "dropout: p=1.5; it is a number from 0 to 1", lambda: F.dropout(Q, 1.5)),
    "p word": (DTypeError, "dropout: p='a'", lambda: F.dropout(Q, "a")),
    "generator": (DTypeError, "dropout: generator is int. Make one", lambda: F.dropout(Q, generator=3)),
    "seed": (OptionError, "Generator: seed=-1; it is a whole number from 0 on", lambda: Generator(-1)),
    "state": (OptionError, "set_state: that is no state", lambda: Generator(0).set_state({"seed": 1})),
}  # fmt: skip


@pytest.mark.parametrize(("error", "message", "call"), BAD.values(), ids=BAD)
def test_errors(error, message, call):
    with pytest.raises(error, match=f"^{message}"):
        call()
