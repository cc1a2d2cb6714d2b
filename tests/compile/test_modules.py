"""Emitted modules beside PyTorch's own: constructor, state_dict, values, gradients, buffers."""

from __future__ import annotations

import pytest

import tinygrad_norm as tn

from .emitted import load

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.thorough

CASES = [
    ("layer_norm", "LayerNorm", (6,), {"eps": 1e-3}, (2, 3, 6)),
    ("layer_norm", "LayerNorm", ((3, 6),), {"bias": False}, (2, 3, 6)),
    ("layer_norm", "LayerNorm", (6,), {"elementwise_affine": False}, (2, 6)),
    ("rms_norm", "RMSNorm", (6,), {}, (2, 3, 6)),
    ("rms_norm", "RMSNorm", ([3, 6],), {"eps": 1e-2}, (2, 3, 6)),
    ("batch_norm", "BatchNorm1d", (4,), {}, (5, 4)),
    ("batch_norm", "BatchNorm1d", (4,), {"momentum": None}, (5, 4, 3)),
    ("batch_norm", "BatchNorm2d", (4,), {"affine": False}, (5, 4, 3, 2)),
    ("batch_norm", "BatchNorm3d", (4,), {"track_running_stats": False, "eps": 0.1}, (5, 4, 3, 2, 2)),
    ("instance_norm", "InstanceNorm1d", (4,), {}, (5, 4, 7)),
    ("instance_norm", "InstanceNorm2d", (4,), {"affine": True, "track_running_stats": True}, (5, 4, 3, 2)),
    ("group_norm", "GroupNorm", (2, 6), {"eps": 0.1}, (5, 6, 3, 2)),
    ("group_norm", "GroupNorm", (3, 6), {"affine": False}, (5, 6)),
    ("softmax", "Softmax", (), {"dim": 1}, (2, 5, 3)),
    ("log_softmax", "LogSoftmax", (-1,), {}, (2, 5)),
]


@pytest.mark.parametrize(("norm", "name", "args", "options", "shape"), CASES)
def test_as_pytorchs_own(norm, name, args, options, shape, tmp_path):
    path = tmp_path / "emitted.py"
    path.write_text(tn.kernel(norm).source("torch"), encoding="utf-8")
    theirs = (
        getattr(torch.nn, name)(*args, **options, dtype=torch.float64)
        if norm[-3:] != "max"
        else getattr(torch.nn, name)(*args, **options)
    )
    made = getattr(load(path), name)
    ours = made(*args, **options) if norm[-3:] == "max" else made(*args, **options, dtype=torch.float64)
    for p in theirs.parameters():
        torch.nn.init.normal_(p)
    assert ours.state_dict().keys() == theirs.state_dict().keys()
    ours.load_state_dict(theirs.state_dict())
    rng = torch.Generator().manual_seed(0)
    for training in (True, True, False):
        x = torch.randn(shape, dtype=torch.float64, generator=rng).transpose(0, -1).contiguous().transpose(0, -1)
        found = []
        for net in (ours, theirs):
            net.train(training)
            z = x.clone().requires_grad_()
            y = net(z)
            y.backward(torch.cos(torch.arange(y.numel(), dtype=torch.float64)).reshape(y.shape))
            found.append([y, z.grad, *(p.grad for p in net.parameters()), *net.buffers()])
            net.zero_grad()
        for a, b in zip(*found):
            assert a.shape == b.shape
            assert torch.allclose(a.double(), b.double(), rtol=1e-10, atol=1e-12)


def test_cosine_similarity(tmp_path):
    path = tmp_path / "emitted.py"
    path.write_text(tn.kernel("cosine_similarity").source("torch"), encoding="utf-8")
    a, b = torch.randn(2, 5, 3, dtype=torch.float64), torch.randn(5, 3, dtype=torch.float64)
    assert torch.allclose(load(path).CosineSimilarity(dim=1)(a, b), torch.nn.CosineSimilarity(dim=1)(a, b))


def test_misuse(tmp_path):
    path = tmp_path / "emitted.py"
    path.write_text(tn.kernel("layer_norm").source("torch"), encoding="utf-8")
    with pytest.raises(ValueError, match=r"\(2, 5\) does not end in \(6,\)"):
        load(path).LayerNorm(6)(torch.ones(2, 5))
