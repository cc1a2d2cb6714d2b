"""A norm of one's own, in a few lines, without a hand-derived node."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_norm as tn
from tinygrad_norm.norms import Norm, registry


def apply(inputs, backward="recorded", eps=0.1):
    x = inputs["input"]
    return x / (x.abs().mean(dim=-1, keepdim=True) + eps)


MINE = Norm("mean_abs", "Mean-abs", apply, lambda shape, **options: {}, options={"eps": 0.1}, analytic=False)


def test_the_record_is_not_compared_with_itself():
    result = tn.compare(MINE)
    assert result.ok
    assert {p.left for p in result.pairs} == {"record"}
    assert {p.right for p in result.pairs} == {"central diff"}  # |x| has a kink: no complex step
    assert "formula" not in result.verdict


def test_it_is_found_by_its_registration(monkeypatch):
    monkeypatch.setitem(registry._NORMS, "mean_abs", MINE)

    def backward(dy, x, eps):
        n, s = x.shape[-1], np.abs(x).mean(-1, keepdims=True) + eps
        return dy / s - np.sign(x) * (dy * x).sum(-1, keepdims=True) / n / s**2

    assert tn.check(backward, "mean_abs").ok

    def wrong(dy, x, eps):
        n, s = x.shape[-1], np.abs(x).mean(-1, keepdims=True) + eps
        return dy / s - np.sign(x) * (dy * x).sum(-1, keepdims=True) / s**2 + 0 * n

    verdict = tn.check(wrong, "mean_abs")
    assert not verdict.ok
    assert "N = 8 times too big" in str(verdict)


def test_a_checkpoint_that_gives_something_else_the_second_time_says_so():
    rng = np.random.default_rng(0)
    x = tn.tensor(rng.normal(size=(4, 3)), requires_grad=True)
    y = tn.checkpoint(lambda x: x * rng.normal(size=(4, 3)))(x)
    with pytest.raises(tn.GradientError, match="another result when it was computed again"):
        tn.grad(y, x, np.ones((4, 3)))
