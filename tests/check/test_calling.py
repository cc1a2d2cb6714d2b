"""How a candidate is called: what its parameters' names say, and what is asked again before it is given up."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

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


@pytest.mark.thorough
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


def images(dy, x, gamma, eps, half=1.0, mean=None, rstd=None):
    n, c, h, w = x.shape
    wide = (1, c, 1, 1)
    mu = x.mean((0, 2, 3)) if mean is None else mean
    r = ((x - mu.reshape(wide)) ** 2).mean((0, 2, 3)) + eps
    r = r**-0.5 if rstd is None else rstd
    hat, g = (x - mu.reshape(wide)) * r.reshape(wide), dy * gamma.reshape(wide)
    mean_g, mean_gh = g.sum((0, 2, 3), keepdims=True), (g * hat).sum((0, 2, 3), keepdims=True)
    dx = r.reshape(wide) * (g - half * mean_g / (n * h * w) - hat * mean_gh / (n * h * w))
    return dx, (dy * hat).sum((0, 2, 3)), dy.sum((0, 2, 3))


@pytest.mark.thorough
def test_code_for_images_is_asked_with_images():
    verdict = tn.check(lambda dy, x, gamma, eps: images(dy, x, gamma, eps), "batch_norm")
    assert verdict.summary == "right"
    assert len(verdict.looked) > 3
    verdict = tn.check(lambda dy, x, gamma, eps: images(dy, x, gamma, eps, half=0.5), "batch_norm")
    assert [n for n, j in verdict.judgements.items() if not j.ok] == ["input"]
    assert any("it is asked with 4 axes" in note for note in verdict.notes)


def test_what_raises_at_every_shape_is_not_judged():
    def backward(dy, x):
        raise ValueError("never")

    assert not tn.check(backward, "batch_norm").judged


def test_wrong_ones_with_flat_statistics_are_judged_with_flat_ones():
    def flat(dy, x, gamma, eps, save_mean, save_invstd):
        assert save_mean.shape == save_invstd.shape == x.shape[1:2]
        return images(dy, x, gamma, eps, 0.0, save_mean, save_invstd)

    verdict = tn.check(flat, "batch_norm", shape=(2, 3, 4, 2))
    assert any("the μ term is missing" in line for line in verdict.judgements["input"].lines)
    assert verdict.judgements["weight"].ok
    assert "takes saved statistics without axes of one" in verdict.notes


class Layer:
    """Keeps whatever forward is given, and its gradients."""

    def __init__(self, add=False):
        self.add, self.dgamma, self.dbeta = add, 0.0, 0.0

    def forward(self, x, gamma, beta, eps):
        c = x - x.mean(-1, keepdims=True)
        self.x, self.gamma, self.beta, self.eps = x, gamma, beta, eps
        self.rstd = ((c * c).mean(-1, keepdims=True) + eps) ** -0.5
        self.hat = c * self.rstd
        return self.hat * gamma + beta

    def backward(self, dy):
        g, along = dy * self.gamma, tuple(range(dy.ndim - 1))
        self.dgamma = (dy * self.hat).sum(along) + (self.dgamma if self.add else 0)
        self.dbeta = dy.sum(along)
        return self.rstd * (g - g.mean(-1, keepdims=True) - self.hat * (g * self.hat).mean(-1, keepdims=True))


def test_what_an_object_holds_is_what_it_held_before_its_first_forward():
    verdict = tn.check(Layer(), "layer_norm")
    assert verdict.summary == "right"
    assert not verdict.notes
    verdict = tn.check(Layer(add=True), "layer_norm")
    assert verdict.judgements["weight"].lines[0] == "adds to what it returned last time: the second call gives twice dγ"
    assert verdict.judgements["bias"].ok


def test_running_statistics_may_be_asked_for_in_training():
    def backward(dy, x, weight, running_mean, running_var, eps):
        del running_mean, running_var
        r = (x.var(0) + eps) ** -0.5
        h = (x - x.mean(0)) * r
        return weight * r * (dy - dy.mean(0) - h * (dy * h).mean(0)), (dy * h).sum(0), dy.sum(0)

    verdict = tn.check(backward, "batch_norm")
    assert verdict.ok
    assert not any("by position" in note for note in verdict.notes)


def test_axes_counted_from_the_front_with_what_a_forward_saved():
    def pairs(dy, p):
        return (p[:, :, None] * p[:, None, :] * (dy[:, :, None] - dy[:, None, :])).sum(2)

    assert tn.check(pairs, "softmax").summary == "right, not for 3 or 4 axes"


def test_code_for_images_of_tensors():
    pytest.importorskip("torch")

    def backward(grad_output, input, weight, eps):
        n, c, h, w = input.size()
        wide, m = weight.view(1, c, 1, 1), n * h * w
        centred = input - input.sum(dim=(0, 2, 3), keepdim=True) / m
        r = (centred.square().sum(dim=(0, 2, 3), keepdim=True) / m + eps).rsqrt()
        g, hat = grad_output * wide, centred * r
        total = g.sum(dim=(0, 2, 3), keepdim=True) + hat * (g * hat).sum(dim=(0, 2, 3), keepdim=True)
        return r * (g - total / m), (grad_output * hat).sum(dim=(0, 2, 3)), grad_output.sum(dim=(0, 2, 3))

    assert tn.check(backward, "batch_norm").summary == "right"


@pytest.mark.thorough
def test_sums_of_more_terms_round_more():
    def over_all_pairs(dy, x, weight, eps, wrong=0.0):
        n, apart = len(x), x[:, None] - x[None]
        r = ((apart**2).cumsum(0)[-1].cumsum(0)[-1] / (2 * n * n) + eps) ** -0.5
        c, d = apart.sum(1) / n, (dy[:, None] - dy[None]).sum(1) / n
        h = c * r
        dx = weight * r * (d - h * (dy * h).mean(0))
        return dx * (1 + wrong * (n > 1000)), (dy * h).sum(0), dy.sum(0)

    verdict = tn.check(lambda dy, x, weight, eps: over_all_pairs(dy, x, weight, eps), "batch_norm")
    assert verdict.ok, verdict.text()
    verdict = tn.check(lambda dy, x, weight, eps: over_all_pairs(dy, x, weight, eps, 1e-8), "batch_norm")
    assert not verdict.ok


class NotGivenYet:
    """γ is an attribute from the start, and None until forward is called with it."""

    def __init__(self):
        self.gamma = self.x = None

    def forward(self, x, gamma, beta, eps):
        self.x, self.gamma = x, gamma
        self.r = (x.var(-1, keepdims=True) + eps) ** -0.5
        self.h = (x - x.mean(-1, keepdims=True)) * self.r
        return gamma * self.h + beta

    def backward(self, dout):
        g = dout * self.gamma
        self.dgamma, self.dbeta = (dout * self.h).sum(0), dout.sum(0)
        return self.r * (g - g.mean(-1, keepdims=True) - self.h * (g * self.h).mean(-1, keepdims=True))


def test_an_attribute_that_is_none_is_held_by_nobody():
    verdict = tn.check(NotGivenYet(), "layer_norm", shape=(4, 8))
    assert verdict.ok, verdict.text()


def test_a_default_of_its_own_that_is_not_used_is_said():
    def backward(dy, x, weight, bias, *, variance_epsilon=1e-3):
        rstd = 1 / np.sqrt(x.var(-1, keepdims=True) + variance_epsilon)
        xhat, g = (x - x.mean(-1, keepdims=True)) * rstd, dy * weight
        dx = rstd * (g - g.mean(-1, keepdims=True) - xhat * (g * xhat).mean(-1, keepdims=True))
        axes = tuple(range(x.ndim - 1))
        return dx, (dy * xhat).sum(axes), dy.sum(axes)

    assert "its own variance_epsilon = 0.001 is not used: it is given 1e-05" in str(tn.check(backward, "layer_norm"))
    assert "its own" not in str(tn.check(backward, "layer_norm", eps=1e-3))


class GroupNorm:
    """As PyTorch's is made, with a setting of its own."""

    def __init__(self, num_groups, num_channels, eps=1e-5):
        self.groups, self.eps = num_groups, eps
        self.weight, self.bias = np.ones(num_channels), np.zeros(num_channels)

    def forward(self, x):
        z = x.reshape(len(x), self.groups, -1)
        self.rstd = 1 / np.sqrt(z.var(-1, keepdims=True) + self.eps)
        self.xhat, self.beside = (z - z.mean(-1, keepdims=True)) * self.rstd, (1, -1, *[1] * (x.ndim - 2))
        return self.xhat.reshape(x.shape) * self.weight.reshape(self.beside) + self.bias.reshape(self.beside)

    def backward(self, dy):
        g, axes = (dy * self.weight.reshape(self.beside)).reshape(self.xhat.shape), (0, *range(2, dy.ndim))
        self.grad_weight, self.grad_bias = (dy * self.xhat.reshape(dy.shape)).sum(axes), dy.sum(axes)
        dx = self.rstd * (g - g.mean(-1, keepdims=True) - self.xhat * (g * self.xhat).mean(-1, keepdims=True))
        return dx.reshape(dy.shape)


@pytest.mark.thorough
def test_a_class_is_made_with_sizes_and_settings_by_their_names():
    verdict = tn.check(GroupNorm, "group_norm", num_groups=2)
    assert verdict.ok, str(verdict)


@pytest.mark.thorough
def test_a_setting_that_an_object_has_of_its_own_is_said():
    verdict = tn.check(GroupNorm(4, 8, eps=1e-3), "group_norm", num_groups=2)
    assert "its own eps = 0.001 is not used: it is given 1e-05" in str(verdict)


@pytest.mark.thorough
def test_a_cache_may_hold_the_output():
    def forward(x, gamma, beta):
        rstd = 1 / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
        return (x - x.mean(-1, keepdims=True)) * rstd * gamma + beta, rstd

    def backward(dy, saved, gamma, beta):
        y, rstd = saved
        xhat, g = (y - beta) / gamma, dy * gamma
        dx = rstd * (g - g.mean(-1, keepdims=True) - xhat * (g * xhat).mean(-1, keepdims=True))
        return dx, (dy * xhat).sum(0), dy.sum(0)

    verdict = tn.check(backward, "layer_norm", forward=forward)
    assert verdict.ok, str(verdict)


@pytest.mark.thorough
def test_the_inputs_gradient_alone_of_images():
    def backward(dy, x, gamma, *, eps):
        axes = (2, 3)
        centred, g = x - x.mean(axes, keepdims=True), dy * gamma[:, None, None]
        rstd = ((centred**2).mean(axes, keepdims=True) + eps) ** -0.5
        return rstd * (g - g.mean(axes, keepdims=True) - centred * rstd * (g * centred * rstd).mean(axes, keepdims=True))

    verdict = tn.check(backward, "instance_norm")
    assert verdict.ok, str(verdict)
    assert "dx only: it gives no dγ and no dβ" in str(verdict)


@pytest.mark.thorough
def test_a_forward_may_give_statistics_and_no_output():
    def saved(x):
        return x.mean(-1, keepdims=True), 1 / np.sqrt(x.var(-1, keepdims=True) + 1e-5)

    def backward(dout, inp, mean, rstd, weight):
        xhat, g = (inp - mean) * rstd, dout * weight
        dx = rstd * (g - g.mean(-1, keepdims=True) - xhat * (g * xhat).mean(-1, keepdims=True))
        return dx, (dout * xhat).sum(0), dout.sum(0)

    verdict = tn.check(backward, "layer_norm", forward=saved, prove=True)
    assert verdict.ok, str(verdict)
    assert "y  " not in str(verdict)


@pytest.mark.thorough
def test_nan_is_no_rounding():
    """Of a row of five and fewer numbers the second piece is empty, and its mean no number."""

    def backward(dy, x, gamma, beta, eps):
        sizes = np.array([min(5, x.shape[-1]), x.shape[-1] - 5])[:, None]
        means = np.stack([x[..., :5].mean(-1), x[..., 5:].mean(-1)])
        mean = (means * sizes.reshape(2, *[1] * (x.ndim - 1))).sum(0)[..., None] / x.shape[-1]
        rstd = 1 / np.sqrt(((x - mean) ** 2).mean(-1, keepdims=True) + eps)
        xhat, g, rows = (x - mean) * rstd, dy * gamma, tuple(range(x.ndim - 1))
        dx = rstd * (g - g.mean(-1, keepdims=True) - xhat * (g * xhat).mean(-1, keepdims=True))
        return dx, (dy * xhat).sum(rows), dy.sum(rows)

    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        verdict = tn.check(backward, "layer_norm")
    assert not verdict.ok
    assert "not finite" in str(verdict)
