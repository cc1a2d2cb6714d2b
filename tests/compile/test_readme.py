"""What the README shows of both ways out."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import tinygrad_norm as tn

README = Path(__file__).parents[2] / "README.md"


@pytest.mark.thorough
@pytest.mark.skipif(not README.exists(), reason="the README is not beside the tests")
def test_the_readme(tmp_path, monkeypatch):
    jax, onnx = pytest.importorskip("jax"), pytest.importorskip("onnx")
    (program,) = (p for p in re.findall(r"```py\n(.*?)```", README.read_text(encoding="utf-8"), re.S) if "tn.to_jax" in p)
    net = tn.train.cnn(seed=0).eval()
    images, labels = tn.data.digits("test", dtype="float32")
    images, labels = images[:16], labels[:16]
    monkeypatch.chdir(tmp_path)
    names = {"tn": tn, "jax": jax, "net": net, "images": images, "labels": labels}
    names["params"] = {k: p.numpy() for k, p in net.named_parameters()}
    exec(program, names)
    expected = tn.functional.cross_entropy(net(tn.tensor(images)), labels)
    np.testing.assert_allclose(names["value"], expected.data, rtol=1e-4)
    assert set(names["gradient"]) == set(names["params"])
    assert "MaxPool" in {n.op_type for n in onnx.load("net.onnx").graph.node}
