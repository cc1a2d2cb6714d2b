"""The verdict on what is emitted: every norm in every language that runs here, from outside."""

from __future__ import annotations

import pytest

import tinygrad_norm as tn

from .cases import NOT_FUSED
from .emitted import FORMATS, backward_of, missing

FUSED = [n for n in tn.norms.names() if n not in NOT_FUSED and not n.startswith("test_")]
NOT_IN_TRITON = ["global_response_norm", "pair_norm", "qk_norm", "spectral_norm", "switchable_norm"]
HOW = {"cross_entropy": {"soft": True}, "cross_entropy by class": {"soft": False}}


@pytest.mark.thorough
@pytest.mark.parametrize("name", [*FUSED, "cross_entropy by class"])
@pytest.mark.parametrize("language", FORMATS)
def test_every_file_is_right(language, name, tmp_path, monkeypatch):
    if reason := missing(language):
        pytest.skip(reason)
    if language == "triton" and name in NOT_IN_TRITON:
        pytest.skip("it has no Triton text, by name")
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    norm, how = name.partition(" ")[0], HOW.get(name, {})
    verdict = tn.check(backward_of(tn.kernel(norm, **how), language, tmp_path), norm, **how)
    assert verdict.ok, str(verdict)


TERMS = "(g - mean_g - xhat * mean_g_xhat)"
MISTAKES = [
    ("layer_norm", "numpy", TERMS, "(g - xhat * mean_g_xhat)", "the μ term is missing"),
    ("layer_norm", "numpy", TERMS, "(g - mean_g)", "the σ² term is missing"),
    ("layer_norm", "numpy", TERMS, "(g + mean_g - xhat * mean_g_xhat)", "the μ term has the wrong sign"),
    ("layer_norm", "numpy", "mean_g = sum_g / N", "mean_g = sum_g / (N - 1)", "the μ term is N/(N − 1) times too big"),
    ("layer_norm", "numpy", "mean_g_xhat = sum_g_xhat / N", "mean_g_xhat = sum_g_xhat", "the σ² term is N = 8 times too big"),
    ("layer_norm", "numpy", "dx = rstd * (", "dx = (", "the factor rstd in front of all terms of dx is missing"),
    ("layer_norm", "numpy", "g = dy * weight", "g = dy", "the factor γ is missing in what flows to x̂"),
    ("layer_norm", "numpy", "sum_xhat_dy = (xhat * dy)", "sum_xhat_dy = (c * dy)", "c was used where x̂ belongs"),
    ("layer_norm", "numpy", "sum_dy = dy.sum(axis=0", "sum_dy = g.sum(axis=0", "dβ  wrong"),
    ("layer_norm", "c", TERMS, "(g - mean_g + xhat * mean_g_xhat)", "the σ² term has the wrong sign"),
    ("layer_norm", "c", "mean_g_xhat = sum_g_xhat / (real)N", "mean_g_xhat = sum_g_xhat", "the σ² term is N = 8 times too big"),
    ("layer_norm", "c", "dbias_part[n] += dy[", "dbias_part[n] -= dy[", "dβ  wrong"),
    ("layer_norm", "numba", TERMS, "(g - xhat * mean_g_xhat)", "the μ term is missing"),
    ("layer_norm", "numba", "xhat * dy[b, n]", "dy[b, n]", "dγ  wrong"),
    ("layer_norm", "torch", TERMS, "(g - mean_g)", "the σ² term is missing"),
    ("layer_norm", "jax", "mean_g = sum_g / N", "mean_g = sum_g", "the μ term is N = 8 times too big"),
    ("rms_norm", "numpy", "sum_g_xhat / N", "sum_g_xhat", "N = 8 times too big"),
    ("softmax", "numpy", "sum_p_dp = (y * dy)", "sum_p_dp = dy", "dx  wrong"),
    ("batch_norm", "c", "- xhat * mean_xhat_dy[", "+ xhat * mean_xhat_dy[", "the σ² term has the wrong sign"),
]  # fmt: skip


@pytest.mark.thorough
@pytest.mark.parametrize(("name", "language", "right", "wrong", "named"), MISTAKES)
def test_a_mistake_in_emitted_code_is_named(name, language, right, wrong, named, tmp_path):
    if reason := missing(language):
        pytest.skip(reason)

    def change(text):
        assert right in text
        return text.replace(right, wrong)

    verdict = tn.check(backward_of(tn.kernel(name), language, tmp_path, change), name)
    assert not verdict.ok
    assert named in str(verdict)


@pytest.mark.parametrize("name", NOT_IN_TRITON)
@pytest.mark.costly(1)
def test_what_has_no_triton_text_is_named(name):
    with pytest.raises(tn.TinygradNormError, match=r"no Triton text: .* is a statistic along an axis of the row"):
        tn.kernel(name).source("triton")
