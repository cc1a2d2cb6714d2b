"""Fused kernels are judged as anything else, in Triton's interpreter where there is no kernels.GPU: in the same words as NumPy."""

from __future__ import annotations

import pytest

import tinygrad_norm as tn

kernels = pytest.importorskip("tests.check.kernels", reason="PyTorch and Triton are not installed: no fused kernel to judge")

pytestmark = pytest.mark.thorough
NORMS = {"layer_norm": True, "rms_norm": False}
WHERE = {"device": "cuda"} if kernels.GPU else {}


@pytest.mark.parametrize("norm", NORMS)
def test_a_right_kernel_is_right(norm):
    verdict = tn.check(kernels.fused(NORMS[norm]), norm, eps=1e-5, shape=(4, 7), limit=60, **WHERE)
    assert verdict.ok, verdict.text()


@pytest.mark.parametrize("mistake", range(len(kernels.MISTAKES)), ids=kernels.MISTAKES)
@pytest.mark.parametrize("norm", NORMS)
def test_a_mistake_in_a_kernel_is_named_as_in_numpy(norm, mistake):
    def told(candidate, **where):
        verdict = tn.check(candidate, norm, eps=1e-5, shape=(4, 7), **where)
        assert not verdict.ok
        return {
            j.symbol: [line for line in j.lines if not line.startswith(("your ", "right"))] for j in verdict.judgements.values()
        }

    kernel, arrays = told(kernels.fused(NORMS[norm], mistake), limit=60, **WHERE), told(kernels.in_numpy(NORMS[norm], mistake))
    wrong = [symbol for symbol, lines in arrays.items() if lines]
    assert wrong
    for symbol in wrong:
        assert kernel[symbol][0].split(" at ")[0] == arrays[symbol][0].split(" at ")[0]
        assert "no known mistake" not in " ".join(kernel[symbol])
