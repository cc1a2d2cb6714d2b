"""Attention and transformer layers: PyTorch's numbers, keys and masks; and other norms in LayerNorm's place."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_norm as tn

nn = tn.nn


def like(theirs, ours):
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.load_state_dict({k: v.detach().numpy() for k, v in theirs.state_dict().items()})
    return ours


def compare(theirs, ours, arrays, how=None, torch_how=None, seed=0):
    """Values, and the gradients of inputs and parameters, of what is called with arrays."""
    torch = pytest.importorskip("torch")
    mine = [tn.tensor(a, requires_grad=True) for a in arrays]
    his = [torch.tensor(a, requires_grad=True) for a in arrays]
    y, z = ours(*mine, **(how or {})), theirs(*his, **(torch_how or how or {}))
    y, z = (t if isinstance(t, tuple) else (t,) for t in (y, z))
    rng = np.random.default_rng(seed)
    total = whole = 0
    for a, b in zip(y, z):
        assert (a is None) == (b is None)
        if a is not None:
            np.testing.assert_allclose(a.data, b.detach().numpy(), rtol=1e-10, atol=1e-12)
            dy = rng.normal(size=a.shape)
            total, whole = total + (a * dy).sum(), whole + (b * torch.tensor(dy)).sum()
    expected = torch.autograd.grad(whole, [*his, *theirs.parameters()])
    for g, e in zip(tn.grad(total, [*mine, *ours.parameters()]), expected):
        np.testing.assert_allclose(g.data, e.numpy(), rtol=1e-8, atol=1e-11)


MASKS = {
    "none": {},
    "padding": {"key_padding_mask": np.array([[False, False, True], [False, True, True]])},
    "causal by mask": {"attn_mask": np.triu(np.ones((4, 3), bool), 1)},
    "numbers": {"attn_mask": np.random.default_rng(5).normal(size=(4, 3))},
    "both": {
        "key_padding_mask": np.array([[False, False, True], [False, True, True]]),
        "attn_mask": np.where(np.triu(np.ones((4, 3)), 1) > 0, -np.inf, 0.0),
    },
    "by head": {"attn_mask": np.arange(2 * 2 * 4 * 3).reshape(4, 4, 3) % 5 == 1},
    "no weights": {"need_weights": False},
    "weights by head": {"average_attn_weights": False},
}


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("masks", MASKS)
@pytest.mark.filterwarnings("ignore:Support for mismatched")
def test_multihead_attention_is_pytorchs(masks, batch_first):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    theirs = torch.nn.MultiheadAttention(6, 2, batch_first=batch_first, dtype=torch.float64)
    ours = like(theirs, nn.MultiheadAttention(6, 2, batch_first=batch_first, dtype="float64"))
    q, k, v = (rng.normal(size=(2, n, 6)) for n in (4, 3, 3))
    arrays = [a if batch_first else a.swapaxes(0, 1) for a in (q, k, v)]
    how = MASKS[masks]
    compare(theirs, ours, arrays, how, {n: torch.tensor(m) if isinstance(m, np.ndarray) else m for n, m in how.items()})


def test_one_tensor_three_times_and_no_batch():
    torch = pytest.importorskip("torch")
    theirs = torch.nn.MultiheadAttention(6, 3, bias=False, dtype=torch.float64)
    ours = like(theirs, nn.MultiheadAttention(6, 3, bias=False, dtype="float64"))
    compare(lambda_of(theirs), lambda_of(ours), [np.random.default_rng(1).normal(size=(4, 6))])


class lambda_of:
    def __init__(self, attention):
        self.attention, self.parameters = attention, attention.parameters

    def __call__(self, x):
        return self.attention(x, x, x)


@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_an_encoder_layer_is_pytorchs(norm_first, activation):
    torch = pytest.importorskip("torch")
    how = {"dropout": 0.0, "activation": activation, "norm_first": norm_first, "batch_first": True}
    theirs = torch.nn.TransformerEncoderLayer(6, 2, 10, dtype=torch.float64, **how)
    ours = like(theirs, nn.TransformerEncoderLayer(6, 2, 10, dtype="float64", **how))
    x = np.random.default_rng(2).normal(size=(2, 4, 6))
    compare(theirs, ours, [x])
    causal = np.triu(np.ones((4, 4), bool), 1)
    compare(theirs, ours, [x], {"src_mask": causal, "is_causal": True}, {"src_mask": torch.tensor(causal), "is_causal": True})
    np.testing.assert_allclose(ours(x, is_causal=True).data, ours(x, causal).data, rtol=1e-13)


def test_a_decoder_layer_is_pytorchs():
    torch = pytest.importorskip("torch")
    theirs = torch.nn.TransformerDecoderLayer(6, 2, 10, 0.0, dtype=torch.float64)
    ours = like(theirs, nn.TransformerDecoderLayer(6, 2, 10, 0.0, dtype="float64"))
    rng = np.random.default_rng(3)
    compare(theirs, ours, [rng.normal(size=(4, 2, 6)), rng.normal(size=(3, 2, 6))])


@pytest.mark.filterwarnings("ignore:enable_nested_tensor")
def test_a_stack_is_pytorchs():
    torch = pytest.importorskip("torch")
    layer = torch.nn.TransformerEncoderLayer(6, 2, 10, 0.0, dtype=torch.float64)
    theirs = torch.nn.TransformerEncoder(layer, 3, torch.nn.LayerNorm(6, dtype=torch.float64))
    mine = nn.TransformerEncoderLayer(6, 2, 10, 0.0, dtype="float64")
    ours = like(theirs, nn.TransformerEncoder(mine, 3, nn.LayerNorm(6, dtype="float64")))
    compare(theirs, ours, [np.random.default_rng(4).normal(size=(4, 2, 6))])


@pytest.mark.parametrize("norm", ["rms_norm", "batch_norm", "dynamic_tanh", "scale_norm", "power_norm_v", "none"])
@pytest.mark.costly(2)
def test_any_norm_in_layer_norms_place(norm):
    layer = nn.TransformerEncoderLayer(6, 2, 10, 0.0, norm=norm, qk_norm="rms_norm", dtype="float64", batch_first=True, seed=0)
    x = np.random.default_rng(6).normal(size=(2, 4, 6))
    assert layer(x).shape == x.shape
    tn.check_grads(layer, (x[:, :2],), order=1)
    attn = layer.self_attn
    assert [n for n, _ in attn.named_parameters()][-2:] == ["q_norm.weight", "k_norm.weight"]


def test_a_query_that_may_look_at_nothing_is_no_nan():
    layer = nn.MultiheadAttention(4, 2, dtype="float64", batch_first=True)
    x = tn.tensor(np.random.default_rng(7).normal(size=(1, 3, 4)), requires_grad=True)
    y, _ = layer(x, x, x, key_padding_mask=np.ones((1, 3), bool))
    assert np.isfinite(y.data).all()
    assert np.isfinite(tn.grad(y, x, np.ones(y.shape))[0].data).all()


def test_dropout_is_for_training_only():
    x = np.random.default_rng(8).normal(size=(5, 2, 6))
    layer = nn.TransformerEncoderLayer(6, 2, 10, 0.5, dtype="float64", seed=0)
    tn.manual_seed(0)
    assert np.abs(layer(x).data - layer(x).data).max() > 0
    layer.eval()
    np.testing.assert_array_equal(layer(x).data, layer(x).data)


def test_a_blocks_boxes_have_its_parts_names():
    x = tn.tensor(np.ones((2, 3, 6), "float32"), requires_grad=True)
    y = nn.TransformerEncoder(nn.TransformerEncoderLayer(6, 2, 10, 0.0, seed=0), 2)(x)
    scopes = {str(s) for node in tn.graph(y).nodes for s in node.scope}
    assert scopes >= {"layers.0", "layers.1.self_attn", "layers.1.norm2", "layers.0.linear1"}


def test_misuse_is_named():
    with pytest.raises(tn.ShapeError, match="embed_dim=6 in num_heads=4: the heads must share it evenly"):
        nn.MultiheadAttention(6, 4)
    with pytest.raises(tn.ShapeError, match=r"MultiheadAttention: key \(2, 3, 5\).*E = 6"):
        nn.MultiheadAttention(6, 2)(np.ones((2, 3, 6)), np.ones((2, 3, 5)), np.ones((2, 3, 6)))
    with pytest.raises(tn.ShapeError, match=r"attn_mask \(2, 3\).*it is \(3, 3\) or \(4, 3, 3\)"):
        nn.MultiheadAttention(6, 2, dtype="float64")(*[np.ones((3, 2, 6))] * 3, attn_mask=np.ones((2, 3), bool))
    with pytest.raises(tn.DTypeError, match=r"attn_mask .*True where nothing may be looked at"):
        nn.MultiheadAttention(6, 2, dtype="float64")(*[np.ones((3, 2, 6))] * 3, attn_mask=np.ones((3, 3), int))
    with pytest.raises(tn.OptionError, match="activation='exp'"):
        nn.TransformerEncoderLayer(6, 2, activation="exp")
    with pytest.raises(tn.DTypeError, match=r"TransformerEncoder: .*is no transformer layer"):
        nn.TransformerEncoder(nn.Linear(2, 2), 3)


@pytest.mark.parametrize("need_weights", [True, False])
def test_no_sample_at_all(need_weights):
    x = np.ones((3, 0, 4), "float32")
    y, weights = tn.nn.MultiheadAttention(4, 2)(x, x, x, need_weights=need_weights)
    assert y.shape == (3, 0, 4)
    assert weights is None or weights.shape == (0, 3, 3)


def test_a_norm_made_by_its_name_speaks_as_its_layer():
    with pytest.raises(tn.OptionError, match=r"^TransformerEncoderLayer: backward='tanh'; it is"):
        tn.nn.TransformerEncoderLayer(4, 1, 5, norm="batch_norm", backward="tanh")


def test_queries_without_features_have_no_norm_to_leave_the_range():
    scores = tn.nn.QKNorm(4)(np.zeros((3, 0)), np.zeros((2, 0)))
    np.testing.assert_array_equal(scores.data, np.zeros((3, 2)))


def test_a_mask_that_is_no_array_is_named():
    x = np.ones((2, 4), "float32")
    with pytest.raises(tn.DTypeError, match=r"MultiheadAttention: mask \(list\)"):
        tn.nn.MultiheadAttention(4, 1)(x, x, x, attn_mask=[[1.0], [1.0, 2.0]])
    with pytest.raises(tn.DTypeError, match=r"pair_norm: mask \(list\)"):
        tn.nn.PairNorm()(x, mask=[[1.0], [1.0, 2.0]])
