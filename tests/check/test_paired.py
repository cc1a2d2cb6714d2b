"""What people have: a forward with a cache beside it, an object, a loss layer, saved statistics under many names."""

from __future__ import annotations

import textwrap
import threading

import numpy as np
import pytest

import tinygrad_norm as tn
from tinygrad_norm.check.files import load
from tinygrad_norm.cli.main import main

from .backwards import m


def batchnorm_forward(x, gamma, beta, bn_param, ddof=0):
    mu, var = x.mean(0), x.var(0, ddof=ddof)
    std = np.sqrt(var + bn_param.get("eps", 1e-5))
    xhat = (x - mu) / std
    assert bn_param["mode"] == "train"
    return gamma * xhat + beta, (x, gamma, xhat, mu, var, std)


def batchnorm_backward(dout, cache):
    _, gamma, xhat, _, _, std = cache
    g = dout * gamma
    return (g - g.mean(0) - xhat * (g * xhat).mean(0)) / std, (dout * xhat).sum(0), dout.sum(0)


def with_dict(x, gamma, beta, bn_param):
    y, (x, gamma, xhat, _, _, std) = batchnorm_forward(x, gamma, beta, bn_param)
    return y, {"x": x, "gamma": gamma, "xhat": xhat, "std": std}


def from_dict(dout, cache):
    return batchnorm_backward(dout, (None, cache["gamma"], cache["xhat"], None, None, cache["std"]))


def backward_first(cache, dout):
    return batchnorm_backward(dout, cache)


@pytest.mark.parametrize(
    ("backward", "forward"),
    [(batchnorm_backward, batchnorm_forward), (from_dict, with_dict), (backward_first, batchnorm_forward)],
    ids=["tuple", "dict", "cache first"],
)
def test_a_cache_from_the_forward_beside_it(backward, forward):
    verdict = tn.check(backward, "batch_norm", forward=forward, eps=1e-3)
    assert verdict.ok, verdict.text()
    assert list(verdict.judgements) == ["output", "input", "weight", "bias"]
    assert "cache = its forward's cache" in verdict.bound
    wrong = tn.check(lambda dout, cache: (backward(*((cache, dout) if backward is backward_first else (dout, cache)))[0] / 2, None, None),
                     "batch_norm", forward=forward)  # fmt: skip
    assert wrong.judgements["input"].mistakes == ("everything halved",)


def test_the_forward_is_judged_first():
    verdict = tn.check(
        batchnorm_backward, "batch_norm", forward=lambda x, gamma, beta, bn_param: batchnorm_forward(x, gamma, beta, bn_param, 1)
    )
    first = next(iter(verdict.judgements.values()))
    assert (first.symbol, first.status) == ("y", "wrong")
    assert first.lines[0].startswith("your y is not BatchNorm's: σ² was computed with N − 1 = 3 for N")
    shape = tn.check(
        batchnorm_backward,
        "batch_norm",
        forward=lambda x, gamma, beta, bn_param: (x[0], batchnorm_forward(x, gamma, beta, bn_param)[1]),
    )
    assert shape.judgements["output"].lines == ("your y has shape (8,), not (4, 8)",)


def fused(dy, x, w, mean, rstd):
    mean, rstd = mean[..., None], rstd[..., None]
    h, g, rows = (x - mean) * rstd, dy * w, tuple(range(x.ndim - 1))
    return rstd * (g - m(g) - h * m(g * h)), (dy * h).sum(rows), dy.sum(rows)


def test_statistics_without_axes_of_one():
    verdict = tn.check(fused, "layer_norm")
    assert verdict.ok
    assert "takes saved statistics without axes of one" in verdict.notes
    assert not tn.check(lambda dy, x, w, mean, rstd: (fused(dy, x, w, mean, rstd)[0] / 2, None, None), "layer_norm").ok

    def forward(x, w, b, eps):
        mean, rstd = x.mean(-1), 1 / np.sqrt(x.var(-1) + eps)
        return (x - mean[..., None]) * rstd[..., None] * w + b, mean, rstd

    assert tn.check(fused, "layer_norm", forward=forward).ok
    by_value = tn.check(lambda dy, x, w, one, two: fused(dy, x, w, one, two), "layer_norm", forward=forward)
    assert by_value.ok, by_value.text()


def from_sigma(dy, x, weight, sigma, mean):
    h, g = (x - mean) / sigma, dy * weight
    rows = tuple(range(x.ndim - 1))
    return (g - m(g) - h * m(g * h)) / sigma, (dy * h).sum(rows), dy.sum(rows)


def test_saved_sigma_and_rms_and_a_cache_of_usual_names():
    assert tn.check(from_sigma, "layer_norm").summary == "right"
    assert tn.check(lambda dout, cache: from_sigma(dout, cache["x"], cache["gamma"], cache["std"], cache["mu"]), "layer_norm").ok

    def rms_norm(dy, x, weight, rms):
        h, g = x / rms, dy * weight
        return (g - h * m(g * h)) / rms, (dy * h).sum(tuple(range(x.ndim - 1)))

    assert tn.check(rms_norm, "rms_norm").summary == "right"


# Objects --------------------------------------------------------------------------------------------------------------


class Layer:
    def __init__(self, size=8):
        self.gamma, self.beta, self.eps = np.ones(size), np.zeros(size), 1e-5
        self.dgamma = np.zeros(size)

    def forward(self, x):
        self.rstd = 1 / np.sqrt(x.var(-1, keepdims=True) + self.eps)
        self.xhat = (x - m(x)) * self.rstd
        return self.gamma * self.xhat + self.beta

    def backward(self, dout):
        rows = tuple(range(dout.ndim - 1))
        self.dgamma, self.dbeta, g = (dout * self.xhat).sum(rows), dout.sum(rows), dout * self.gamma
        return self.rstd * (g - m(g) - self.xhat * m(g * self.xhat))


class AddsUp(Layer):
    def backward(self, dout):
        before = self.dgamma
        dx = super().backward(dout)
        self.dgamma = self.dgamma + before
        return dx


@pytest.mark.parametrize("thing", [Layer(), Layer().backward, Layer], ids=["object", "its backward", "its class"])
def test_objects(thing):
    verdict = tn.check(thing, "layer_norm", eps=1e-3)
    assert verdict.summary == "right", verdict.text()
    assert list(verdict.judgements) == ["output", "input", "weight", "bias"]


def test_an_object_that_adds_up():
    verdict = tn.check(AddsUp(), "layer_norm")
    assert "adds to what it returned last time: the second call gives twice dγ" in verdict.judgements["weight"].lines


def test_the_object_given_is_left_as_it_was():
    mine = Layer()
    tn.check(mine, "layer_norm")
    assert np.all(mine.gamma == 1)
    assert not hasattr(mine, "xhat")


# Less than everything ---------------------------------------------------------------------------------------------------


def plain(dy, x, eps):
    c = x - m(x)
    r = (m(c * c) + eps) ** -0.5
    return r * (dy - m(dy) - c * r * m(dy * c * r))


@pytest.mark.thorough
def test_a_norm_without_parameters_and_dx_alone():
    assert tn.check(plain, "layer_norm").summary == "right, without γ and β"
    assert not tn.check(lambda dy, x, eps: 2 * plain(dy, x, eps), "layer_norm").ok
    with_gamma = lambda dy, x, weight, eps: plain(dy * weight, x, eps)  # noqa: E731
    for wrt in ("input", "x", ("input",)):
        assert tn.check(with_gamma, "layer_norm", wrt=wrt).summary == "right"
    assert "dγ" in tn.check(with_gamma, "layer_norm").summary
    assert not tn.check(lambda dy, x, weight, eps: plain(dy, x, eps), "layer_norm", wrt="x").ok
    with pytest.raises(tn.check.InputError, match=r"wrt='y'; the inputs of LayerNorm are input, weight, bias"):
        tn.check(plain, "layer_norm", wrt="y")


def softmax_loss(x, y):
    p = np.exp(x - x.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    rows = np.arange(len(x))
    loss = -np.log(p[rows, y]).mean()
    p[rows, y] -= 1
    return loss, p / len(x)


def test_a_loss_layer_returns_its_loss_and_needs_no_cotangent():
    verdict = tn.check(softmax_loss, "cross_entropy")
    assert verdict.ok, verdict.text()
    assert verdict.bound == "x = z, y = t"
    assert not tn.check(lambda x, y: (1.0, softmax_loss(x, y)[1] * len(x)), "cross_entropy").ok


class SoftmaxLoss:
    sign = 1

    def forward(self, x, y):
        p = np.exp(x - x.max(1, keepdims=True))
        self.p, self.y = p / p.sum(1, keepdims=True), y
        return -np.log(self.p[np.arange(len(y)), y]).mean()

    def backward(self):
        d = self.p.copy()
        d[np.arange(len(self.y)), self.y] -= 1
        return self.sign * d / len(d)


class Turned(SoftmaxLoss):
    sign = -1


def test_a_loss_as_an_object_needs_no_cotangent_either():
    for loss in (SoftmaxLoss, SoftmaxLoss()):
        assert tn.check(loss, "cross_entropy").ok
    verdict = tn.check(Turned(), "cross_entropy")
    assert not verdict.ok
    assert "wrong sign" in str(verdict)


def test_batch_norm_in_inference_gives_three():
    def backward(dy, x, weight, bias, running_mean, running_var, eps):
        r = (running_var + eps) ** -0.5
        return dy * weight * r, (dy * (x - running_mean) * r).sum(0), dy.sum(0)

    verdict = tn.check(backward, "batch_norm", training=False)
    assert verdict.ok, verdict.text()


# Words ------------------------------------------------------------------------------------------------------------------


def test_a_guess_that_is_not_right_is_another_one_that_is():
    def l2(grad_n, n, norm):
        return (grad_n - n * (n * grad_n).sum(1, keepdims=True)) / norm

    verdict = tn.check(l2, "normalize")
    assert verdict.summary == "right"
    assert verdict.bound == "grad_n = dy, n = output, norm = norm"
    assert tn.check(
        l2, "normalize", saved={"norm": "‖x‖"}, forward=lambda x: (x / np.linalg.norm(x, axis=1, keepdims=True), x)
    ).error


@pytest.mark.thorough
def test_a_guess_that_may_be_one_of_several_is_not_judged():
    def far_off(grad_n, n, norm):
        return np.tanh(grad_n * n) / norm

    verdict = tn.check(far_off, "normalize")
    assert not verdict.judged
    assert verdict.summary.startswith("not judged: its parameter n is taken for x, by position, and with that it is not right")
    assert verdict.junit().get("errors") == "1"


def test_a_first_parameter_that_is_the_gradient_of_something_is_no_guess():
    verdict = tn.check(lambda dw, v, g: (dw, None), "weight_norm")
    assert verdict.judged
    assert verdict.judgements["input"].status == "wrong"


def test_numbers_of_half_precision_are_no_sign_of_coarse_arithmetic():
    """What was drawn are such numbers: dy itself is judged as exactly as anything."""
    verdict = tn.check(lambda dy, x: dy, lambda x: x - 0.001 * x.mean(-1, keepdims=True), inputs=np.ones((4, 8)))
    assert not verdict.ok
    assert verdict.judgements["x"].allowed < 1e-4


def test_arithmetic_in_single_precision_inside():
    def inside(dy, x, weight, bias, eps, unit=np.float32, factor=1.0):
        dy, x, weight = (a.astype(unit) for a in (dy, x, weight))
        c = x - m(x)
        r = (m(c * c) + unit(eps)) ** unit(-0.5)
        h, g, rows = c * r, dy * weight, tuple(range(x.ndim - 1))
        dx = r * (g - m(g) - unit(factor) * h * m(g * h))
        return tuple(a.astype(np.float64) for a in (dx, (dy * h).sum(rows), dy.sum(rows)))

    verdict = tn.check(inside, "layer_norm")
    assert verdict.ok, verdict.text()
    assert verdict.judgements["input"].lines == ("computed in float32 inside; judged by that rounding",)
    wrong = tn.check(lambda dy, x, weight, bias, eps: inside(dy, x, weight, bias, eps, factor=-1.0), "layer_norm")
    assert wrong.judgements["input"].mistakes == ("σ²: sign",)


def test_where_no_thread_can_start(monkeypatch):
    def no(self):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", no)
    verdict = tn.check(plain, "layer_norm")
    assert verdict.ok
    assert any("a hang could not have been stopped" in note for note in verdict.notes)


# Files ------------------------------------------------------------------------------------------------------------------

FILE = textwrap.dedent("""
    import numpy as np

    def batchnorm_forward(x, gamma, beta, bn_param):
        std = np.sqrt(x.var(0) + bn_param.get("eps", 1e-5))
        xhat = (x - x.mean(0)) / std
        return gamma * xhat + beta, (gamma, xhat, std)

    def batchnorm_backward(dout, cache):
        gamma, xhat, std = cache
        g = dout * gamma
        return (g - g.mean(0) - xhat * (g * xhat).mean(0)) / std, (dout * xhat).sum(0), dout.sum(0)

    class LayerNorm:
        def __init__(self, size):
            self.gamma, self.beta, self.eps = np.ones(size), np.zeros(size), 1e-5

        def forward(self, x):
            self.rstd = 1 / np.sqrt(x.var(-1, keepdims=True) + self.eps)
            self.xhat = (x - x.mean(-1, keepdims=True)) * self.rstd
            return self.gamma * self.xhat + self.beta

        def backward(self, dout):
            self.dgamma, self.dbeta, g = (dout * self.xhat).sum(0), dout.sum(0), dout * self.gamma
            return self.rstd * (g - g.mean(-1, keepdims=True) - self.xhat * (g * self.xhat).mean(-1, keepdims=True))

    def guess_layer_norm_backward(a, b, dy):
        return np.tanh(a * b) * dy
    """)


@pytest.mark.thorough
def test_pairs_and_classes_are_found_in_a_file(tmp_path, capsys):
    path = tmp_path / "mine.py"
    path.write_text(FILE)
    found = {f.name: f for f in load(str(path))}
    assert found["batchnorm_backward"].forward.__name__ == "batchnorm_forward"
    assert found["LayerNorm"].norm == "layer_norm"
    assert main(["check", f"{path}:batchnorm_backward", f"{path}:LayerNorm", f"{path}:LayerNorm.backward", "--quiet"]) == 0
    assert main(["check", f"{path}:guess_layer_norm_backward", "--quiet"]) == 2
    assert "not judged  " in capsys.readouterr().out


# Every way of handing it over -------------------------------------------------------------------------------------------


def ways(answer):
    """The same backward in every accepted signature; ``answer(dy, x, w, b, eps)`` computes it."""

    class Object:
        def __init__(self):
            self.weight, self.bias, self.eps = np.ones(1), np.zeros(1), 0.0

        def forward(self, x):
            self.x = x
            return tn.functional.layer_norm(
                tn.tensor(x), x.shape[-1], tn.tensor(self.weight), tn.tensor(self.bias), self.eps
            ).numpy()

        def backward(self, dout):
            dx, self.dweight, self.dbias = answer(dout, self.x, self.weight, self.bias, self.eps)
            return dx

    def forward(x, gamma, beta, eps):
        layer = Object()
        layer.weight, layer.bias, layer.eps = gamma, beta, eps
        return layer.forward(x), (x, gamma, beta, eps)

    yield "plain", lambda dy, x, weight, bias, eps: answer(dy, x, weight, bias, eps), {}
    yield "keywords", lambda *, eps, gamma, beta, x, dout: answer(dout, x, gamma, beta, eps), {}
    yield "cache", lambda dout, cache: answer(dout, *(cache[n] for n in ("x", "gamma", "beta", "eps"))), {}
    yield "forward", lambda dout, cache: answer(dout, *cache), {"forward": forward}
    yield "dict", lambda dy, x, w, b, eps: dict(zip(("dx", "dw", "db"), answer(dy, x, w, b, eps))), {}
    yield "list", lambda grad_output, inp, gain, shift, epsilon: list(answer(grad_output, inp, gain, shift, epsilon)), {}
    yield "object", Object(), {}


@pytest.mark.thorough  # five seconds each
@pytest.mark.parametrize("seed", range(3))
def test_the_right_gradient_is_right_in_every_signature_and_one_wrong_entry_is_wrong(seed):
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(2, 7, size=rng.integers(2, 4)).tolist())
    spoiled = {"at": None}

    def answer(dy, x, w, b, eps):
        _, back = tn.vjp(lambda x, w, b: tn.functional.layer_norm(x, x.shape[-1], w, b, eps), *(tn.tensor(a) for a in (x, w, b)))
        dx, dw, db = (g.numpy().copy() for g in back(tn.tensor(dy)))
        if spoiled["at"] is not None and x.shape == shape:
            dx.flat[spoiled["at"] % dx.size] += spoiled["by"]
        return dx, dw, db

    options = {"shape": shape, "eps": float(10 ** rng.uniform(-8, -1))}
    for name, candidate, more in ways(answer):
        spoiled["at"] = None
        verdict = tn.check(candidate, "layer_norm", **more, **options)
        assert verdict.ok, f"{name}: {verdict}"
        spoiled.update(at=int(rng.integers(100)), by=100 * verdict.judgements["input"].allowed)
        wrong = tn.check(candidate, "layer_norm", **more, **options)
        assert not wrong.judgements["input"].ok, f"{name}: {wrong}"


@pytest.mark.thorough
def test_rounding_of_single_precision_is_said_to_be_that():
    def partly(dy, x, weight, bias, eps):
        c = x - m(x)
        r = ((m(c * c) + eps) ** -0.5).astype(np.float32).astype(np.float64)
        h, g, rows = c * r, dy * weight, tuple(range(x.ndim - 1))
        return r * (g - m(g) - h * m(g * h)), (dy * h).sum(rows), dy.sum(rows)

    verdict = tn.check(partly, "layer_norm")
    assert verdict.judgements["input"].status == "imprecise"
    assert "rstd rounded to float32 where rstd belongs" in verdict.text()
