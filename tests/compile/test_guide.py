"""What the guide shows of the ways out."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import tinygrad_norm as tn

GUIDE = Path(__file__).parents[2] / "docs" / "guide"
pytestmark = pytest.mark.skipif(not GUIDE.exists(), reason="the guide is not beside the tests")


def program(page):
    (found,) = re.findall(r"```py\n(.*?)```", (GUIDE / page).read_text(encoding="utf-8"), re.S)
    return found


@pytest.mark.thorough
def test_jax_and_onnx(tmp_path, monkeypatch):
    jax, onnx = pytest.importorskip("jax"), pytest.importorskip("onnx")
    net = tn.train.cnn(seed=0).eval()
    images, labels = tn.data.digits("test", dtype="float32")
    images, labels = images[:16], labels[:16]
    monkeypatch.chdir(tmp_path)
    names = {"tn": tn, "jax": jax, "net": net, "images": images, "labels": labels}
    names["params"] = {k: p.numpy() for k, p in net.named_parameters()}
    exec(program("elsewhere.md"), names)
    expected = tn.functional.cross_entropy(net(tn.tensor(images)), labels)
    np.testing.assert_allclose(names["value"], expected.data, rtol=1e-4)
    assert set(names["gradient"]) == set(names["params"])
    assert "MaxPool" in {n.op_type for n in onnx.load("net.onnx").graph.node}


@pytest.mark.thorough
def test_kernels(rng, capsys):
    pytest.importorskip("numba")
    x, w, b, dy = (rng.normal(size=s) for s in ((4, 64), 64, 64, (4, 64)))
    names = {"tn": tn, "x": x, "w": w, "b": b, "dy": dy}
    exec(program("kernels.md"), names)
    assert capsys.readouterr().out.startswith("forward: for each B, 3 passes")
    xt = tn.tensor(x, requires_grad=True)
    (dx,) = tn.grad(tn.functional.layer_norm(xt, 64, w, b), xt, dy)
    np.testing.assert_allclose(names["dx"], dx.data, atol=1e-12)
