"""``verdict.prove()``: right for every input, or the difference as a formula, or why neither can be said."""

from __future__ import annotations

import gc
import json
import re
import warnings

import numpy as np
import pytest

import tinygrad_norm as tn
from tinygrad_norm.check.way import way

from .backwards import m


def layer_norm(dy, x, weight, eps):
    r = 1 / np.sqrt(x.var(-1, keepdims=True) + eps)
    h = (x - x.mean(-1, keepdims=True)) * r
    g = dy * weight
    dx = g - np.mean(g, axis=-1, keepdims=True)
    dx -= h * np.mean(g * h, axis=-1, keepdims=True)
    dx *= r
    return dx, (dy * h).sum(0), dy.sum(0)


def batch_norm(dout, xhat, gamma, rstd):
    n = len(dout)
    dbeta, dgamma = dout.sum(axis=0), np.sum(dout * xhat, axis=0)
    return gamma * rstd / n * (n * dout - dbeta - xhat * dgamma), dgamma, dbeta


def batch_norm_of_images(dout, x, gamma, eps):
    axes = (0, 2, 3)
    r = (np.var(x, axis=axes, keepdims=True) + eps) ** -0.5
    h = (x - x.mean(axes, keepdims=True)) * r
    g = dout * gamma.reshape(1, -1, 1, 1)
    dx = r * (g - g.mean(axes, keepdims=True) - h * (g * h).mean(axes, keepdims=True))
    return dx, (dout * h).sum(axes), dout.sum(axes)


def rms_norm(dy, x, weight, eps):
    r = 1 / np.sqrt(np.mean(np.square(x), axis=-1, keepdims=True) + eps)
    g = dy * weight
    return r * g - r**3 * x * (g * x).mean(-1, keepdims=True), (dy * x * r).sum(0)


def softmax(dy, y):
    return y * (dy - (dy * y).sum(-1, keepdims=True))


def log_softmax(dy, x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    p = e / e.sum(axis=-1, keepdims=True)
    return dy - p * dy.sum(axis=-1, keepdims=True)


class Layer:
    def __init__(self):
        self.gamma, self.beta, self.eps = np.ones(8), np.zeros(8), 1e-5

    def forward(self, x):
        self.r = 1 / np.sqrt(x.var(-1, keepdims=True) + self.eps)
        self.h = (x - x.mean(-1, keepdims=True)) * self.r
        return self.gamma * self.h + self.beta

    def backward(self, dy):
        self.dgamma, self.dbeta = (dy * self.h).sum(0), dy.sum(0)
        g = dy * self.gamma
        return self.r * (g - m(g) - self.h * m(g * self.h))


RIGHT = [
    ("layer_norm", layer_norm, {}),
    ("softmax", softmax, {}),
    ("batch_norm", batch_norm, {}),
    ("batch_norm", batch_norm_of_images, {"shape": (3, 2, 4, 5)}),
    ("rms_norm", rms_norm, {}),
    ("log_softmax", log_softmax, {}),
    ("layer_norm", Layer(), {}),
]


@pytest.mark.parametrize(("norm", "candidate", "options"), RIGHT, ids=lambda v: getattr(v, "__name__", None))
@pytest.mark.costly(3)
def test_right_ones_are_proved(norm, candidate, options):
    verdict = tn.check(candidate, norm, prove=True, **options)
    assert verdict.ok
    assert verdict.proofs
    assert all(p.proved for p in verdict.proofs.values()), verdict.text()
    assert re.search(r"proved for every input of \d axes$", verdict.summary)
    assert f"for every input of {len(verdict.probe.inputs['input'].shape)} axes" in verdict.text()


def test_nothing_is_proved_unless_asked():
    verdict = tn.check(softmax, "softmax")
    assert (verdict.proofs, verdict.summary.startswith("right")) == ({}, True)
    assert "proved" not in verdict.text()
    again = verdict.prove()
    assert again.proofs["input"].proved
    assert again.prove() is again
    assert json.loads(again.to_json())["proofs"]["input"]["kind"] == "proved"
    assert again.junit().find("testcase/system-out").text.startswith("proved, for every input of 2 axes")


def test_of_a_wrong_one_the_difference_as_a_formula():
    def without_a_term(dy, x, weight, eps):
        dx, dweight, dbias = layer_norm(dy, x, weight, eps)
        r = 1 / np.sqrt(x.var(-1, keepdims=True) + eps)
        return dx + r * np.mean(dy * weight, axis=-1, keepdims=True), dweight, dbias

    verdict = tn.check(without_a_term, "layer_norm", prove=True)
    assert not verdict.ok
    assert verdict.proofs["input"].kind == "not equal"
    assert verdict.proofs["input"].residual == "yours − dx = rstd·mean(g)"
    assert "as a formula: yours − dx = rstd·mean(g)" in verdict.text()
    assert verdict.proofs["weight"].proved
    assert "proved" not in verdict.summary


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda a: a * float(np.ones(1)[0] + 0 * np.sum(a)), "float"),
        (lambda a: np.asarray(a) * 1.0, "np.asarray"),
        (lambda a: np.linalg.inv(np.linalg.inv(np.eye(len(a)) + 0 * (a @ a.T))) @ a, "inv"),
    ],
)
def test_what_cannot_be_recorded_stays_right_by_its_numbers(change, reason):
    def backward(dy, y):
        return change(softmax(dy, y))

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        verdict = tn.check(backward, "softmax", prove=True)
    assert verdict.ok
    assert verdict.proofs["input"].kind == "not recorded"
    assert reason in verdict.proofs["input"].reason
    assert "proved" not in verdict.summary
    assert "not proved: it cannot be recorded" in verdict.text()


@pytest.mark.thorough
def test_a_number_that_depends_on_the_size_is_no_proof():
    """Right at one shape only: run at others its record is another."""

    def for_eight(dy, x, weight, eps):
        r = 1 / np.sqrt(x.var(-1, keepdims=True) + eps)
        h = (x - x.mean(-1, keepdims=True)) * r
        g = dy * weight
        return r * (g - g.sum(-1, keepdims=True) / 8 - h * (g * h).sum(-1, keepdims=True) / 8), (dy * h).sum(0), dy.sum(0)

    verdict = tn.check(for_eight, "layer_norm", prove=True)
    assert not verdict.ok
    assert not verdict.proofs["input"].proved


def test_of_a_forward_of_ones_own():
    verdict = tn.check(lambda dy, x: 2 * x * dy, lambda x: x * x, inputs={"x": ("B", "N")}, prove=True)
    assert verdict.summary == "right, proved for every input of 2 axes"


def soft(z):
    e = np.exp(z - z.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def test_targets_that_are_integers_are_no_letters_and_their_rows_are():
    def of_indices(dy, logits, target):
        return dy * (soft(logits) - np.eye(logits.shape[1])[target]) / len(logits)

    def of_rows(dy, logits, target):
        return dy * (soft(logits) * target.sum(1, keepdims=True) - target) / len(logits)

    by_index = tn.check(of_indices, "cross_entropy", prove=True)
    assert by_index.ok
    assert by_index.proofs["input"].kind == "not recorded"
    assert "an index is no letter of a formula" in by_index.text()
    by_rows = tn.check(of_rows, "cross_entropy", soft=True, wrt="input", prove=True)
    assert by_rows.ok
    assert by_rows.proofs["input"].proved


def test_what_holds_under_an_assumption_only_is_not_proved_beside_wrong():
    def rows_that_add_up_to_one(dy, logits, target):
        return dy * (soft(logits) - target) / len(logits)

    verdict = tn.check(rows_that_add_up_to_one, "cross_entropy", soft=True, wrt="input", prove=True)
    assert not verdict.ok  # the probe's rows do not
    assert verdict.proofs["input"].kind == "equal under"
    assert "proved only under: Σ_N(q) = 1" in verdict.text()


def test_a_jacobian_that_is_written_out_is_too_large_for_a_proof():
    def softmax_by_rows(dy, x):
        p = soft(x)
        return np.einsum("bi,bij->bj", dy, p[:, :, None] * np.eye(x.shape[1]) - p[:, :, None] * p[:, None, :])

    verdict = tn.check(softmax_by_rows, "softmax", dim=-1, prove=True)
    assert verdict.ok
    assert "gave up: an array of 847 entries is on its record, where the input has 77" in verdict.text()


def asks_for_the_class(dy, x, weight, eps):
    if isinstance(x, np.ndarray) and np.max(x) > 1e6:
        return 0 * dy, 0 * weight, 0 * weight
    return layer_norm(dy, x, weight, eps)


def asks_for_the_type(dy, x, weight, eps):
    return layer_norm(dy, x, weight, eps) if type(x) is not np.ndarray or np.max(x) < 1e6 else (0 * dy, 0 * weight, 0 * weight)


def tries_to_make_an_array(dy, x, weight, eps):
    try:
        large = np.asarray(x).max() > 1e6
    except Exception:
        large = False
    return layer_norm(dy, x, weight, eps) if not large else (0 * dy, 0 * weight, 0 * weight)


@pytest.mark.parametrize("candidate", [asks_for_the_class, asks_for_the_type, tries_to_make_an_array])
@pytest.mark.costly(1)
def test_one_that_goes_another_way_on_tensors_is_not_proved(candidate):
    verdict = tn.check(candidate, "layer_norm", prove=True)
    assert verdict.ok
    assert all(not p.proved and "another way than on arrays" in p.reason for p in verdict.proofs.values())


def test_what_is_called_at_a_garbage_collection_is_no_part_of_the_way():
    def called(phase, info):
        return phase

    def allocates():
        return [[] for _ in range(100)]

    before = gc.get_threshold()
    gc.callbacks.append(called)
    gc.set_threshold(1)
    try:
        with way() as seen:
            allocates()
    finally:
        gc.set_threshold(*before)
        gc.callbacks.remove(called)
    codes = {code for code, _ in seen}
    assert allocates.__code__ in codes
    assert called.__code__ not in codes
    assert gc.isenabled()
