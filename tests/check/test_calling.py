"""How a candidate is called: what its parameters' names say, and what is asked again before it is given up."""

from __future__ import annotations

import numpy as np

import tinygrad_norm as tn


def softmax(z):
    e = np.exp(z - z.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def hot(t, p):
    return np.eye(p.shape[1])[t]


def test_losses_go_by_their_own_words():
    def of_logits(dout, logits, labels):
        p = softmax(logits)
        return dout * (p - hot(labels, p)) / len(p)

    def of_probabilities(dout, p, y):
        return dout * (p - hot(y, p)) / len(p)

    def unnamed_classes(dout, scores, wanted):
        return of_logits(dout, scores, wanted)

    for candidate in (of_logits, of_probabilities, unnamed_classes):
        assert tn.check(candidate, "cross_entropy").ok

    def twice(dout, scores, wanted):
        return 2 * of_logits(dout, scores, wanted)

    verdict = tn.check(twice, "cross_entropy")
    assert verdict.judged
    assert not verdict.ok


def test_the_only_input_left_is_no_guess_but_what_may_be_saved_is():
    def normalized(dy, h, weight, rstd):  # h: is it x, or x̂?
        g = dy * weight
        return rstd * (g - h * (g * h).mean(-1, keepdims=True))

    verdict = tn.check(normalized, "layer_norm", wrt="input")
    assert not verdict.judged
    assert "its parameter h is taken for x, by position" in verdict.error


def test_softmax_of_log_softmax_is_called_p():
    assert tn.check(lambda dy, p: dy - p * dy.sum(-1, keepdims=True), "log_softmax").summary == "right"
    assert tn.check(lambda dy, y: dy - np.exp(y) * dy.sum(-1, keepdims=True), "log_softmax").summary == "right"
