"""Callables of PyTorch and JAX as candidates, at order one and two; skipped where they are not installed."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import tinygrad_norm as tn
from tinygrad_norm.check.adapters import as_candidate
from tinygrad_norm.check.binding import CheckInputError
from tinygrad_norm.check.candidate import ask, sanity

from .test_candidate import DY, INPUTS, OPTIONS, SECOND, TRUE, V, W, X, agrees, in_operators


def judged(candidate, second=True, **more):
    agrees(sanity(candidate, DY, INPUTS, OPTIONS, **more))
    assert sanity(candidate, DY, INPUTS, OPTIONS).notes == ()
    small = {n: a.astype(np.float32) for n, a in INPUTS.items()}
    single = ask(candidate, DY.astype(np.float32), small, OPTIONS)
    assert single.error is None
    assert single.notes == ()
    for n, a in TRUE.items():
        np.testing.assert_allclose(single.gradients[n], a, rtol=1e-4, atol=1e-5)
    twice = candidate.order2(DY, INPUTS, OPTIONS, V)
    if second:
        for n in INPUTS:
            np.testing.assert_allclose(twice[n], SECOND[n], atol=1e-7)
    return twice


def test_nothing_is_imported_unless_it_is_needed():
    code = (
        "import sys, numpy as np\nfrom tinygrad_norm.check.adapters import as_candidate\nfrom tinygrad_norm.check.candidate import ask\n"
        "x = np.ones((2, 3))\nask(as_candidate(lambda dy, x: dy), x, {'input': x}, {})\n"
        "print({'torch', 'jax'} & set(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


# PyTorch --------------------------------------------------------------------------------------------------------------


def torch_layer_norm():
    torch = pytest.importorskip("torch")

    class Cached(torch.autograd.Function):
        """Right at order one; what it saved are constants at order two."""

        @staticmethod
        def forward(ctx, x, weight, bias, eps=1e-5):
            mean = x.mean(-1, keepdim=True)
            rstd = (x.var(-1, keepdim=True, unbiased=False) + eps).rsqrt()
            ctx.save_for_backward(x, weight)
            ctx.statistics = mean, rstd
            return (x - mean) * rstd * weight + bias

        @staticmethod
        def backward(ctx, dy):
            (x, w), (mean, rstd) = ctx.saved_tensors, ctx.statistics
            xhat, g = (x - mean) * rstd, dy * w
            dx = rstd * (g - g.mean(-1, keepdim=True) - xhat * (g * xhat).mean(-1, keepdim=True))
            return dx, (dy * xhat).sum(0), dy.sum(0), None

    return torch, Cached


def test_a_torch_autograd_function():
    _, Cached = torch_layer_norm()
    for given in (Cached, Cached.apply):
        candidate = as_candidate(given)
        twice = judged(candidate, second=False)
        assert np.max(np.abs(twice["input"] - SECOND["input"])) > 0.01


def test_a_torch_autograd_function_of_the_newer_kind_and_with_numpy_inside():
    torch, _ = torch_layer_norm()

    class Bare(torch.autograd.Function):
        @staticmethod
        def forward(x, weight, bias, eps):
            return torch.nn.functional.layer_norm(x, weight.shape, weight, bias, eps)

        @staticmethod
        def setup_context(ctx, inputs, output):
            ctx.inputs = inputs

        @staticmethod
        def backward(ctx, dy):
            x, w, b, eps = ctx.inputs
            given = in_operators(*(t.detach().numpy() for t in (dy, x, w, b)), eps)
            return *map(torch.from_numpy, given), None

    twice = judged(as_candidate(Bare), second=False)
    assert not any(g.any() for g in twice.values())


def test_torch_functions_and_modules():
    torch = pytest.importorskip("torch")
    judged(as_candidate(torch.nn.functional.layer_norm))
    module = torch.nn.LayerNorm(6, eps=1.0)
    judged(as_candidate(module))
    assert module.eps == 1.0
    assert module.weight.dtype == torch.float32
    judged(as_candidate(torch.nn.Sequential(module)), second=False)

    class Own(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.gamma, self.beta = torch.nn.Parameter(torch.ones(6)), torch.nn.Parameter(torch.zeros(6))
            self.variance_epsilon = 1e-12

        def forward(self, x):
            c = x - x.mean(-1, keepdim=True)
            return self.gamma * c * ((c**2).mean(-1, keepdim=True) + self.variance_epsilon).rsqrt() + self.beta

    judged(as_candidate(Own()))
    with pytest.raises(CheckInputError, match=r"Own is a class of modules; give an instance, such as Own\(8\)"):
        as_candidate(Own)


def test_torch_forwards_and_backwards_of_ones_own():
    torch = pytest.importorskip("torch")

    def forward(x, w, b, eps):
        c = x - x.mean(-1, keepdim=True)
        return w * c / torch.sqrt((c**2).mean(-1, keepdim=True) + eps) + b

    def backward(grad_output, x, w, b, eps):
        c = x - torch.mean(x, -1, keepdim=True)
        rstd = ((c**2).mean(-1, keepdim=True) + eps).rsqrt()
        xhat, g = c * rstd, grad_output * w
        yield "xhat", xhat
        return (
            rstd * (g - g.mean(-1, keepdim=True) - xhat * (g * xhat).mean(-1, keepdim=True)),
            (grad_output * xhat).sum(0),
            grad_output.sum(0),
        )

    judged(as_candidate(forward, "torch"))
    judged(as_candidate(backward, "torch"))
    detached = as_candidate(lambda x, w, b, eps: x.detach() * 1, "torch")
    assert "does not depend on its inputs" in ask(detached, DY, INPUTS, OPTIONS).error
    assert "does not depend on its inputs" in detached.order2(DY, INPUTS, OPTIONS, V)
    assert as_candidate(lambda x, nonsense: x, "torch").order2(DY, {"input": X}, {}, V).startswith("takes nonsense")


def test_torch_batch_norm_and_softmax():
    torch = pytest.importorskip("torch")
    answer = ask(as_candidate(torch.nn.functional.batch_norm), DY, INPUTS, {"training": True, "eps": 0.1})
    assert answer.error is None
    assert set(answer.gradients) == set(INPUTS)
    module = torch.nn.BatchNorm1d(6)
    theirs = ask(as_candidate(module), DY, INPUTS, {"training": True, "eps": 0.1})
    np.testing.assert_allclose(theirs.gradients["input"], answer.gradients["input"])
    assert not module.running_mean.any()
    mean, var = np.arange(6.0), np.arange(1.0, 7)
    fixed = {**INPUTS, "running_mean": mean, "running_var": var}
    for given in (torch.nn.functional.batch_norm, module):
        answer = ask(as_candidate(given), DY, fixed, {"training": False, "eps": 0.1}, wanted=list(INPUTS))
        np.testing.assert_allclose(answer.gradients["input"], DY * W / np.sqrt(var + 0.1))
        np.testing.assert_allclose(answer.gradients["weight"], (DY * (X - mean) / np.sqrt(var + 0.1)).sum(0))
    for softmax in (torch.softmax, torch.nn.functional.softmax):
        y = np.exp(X) / np.exp(X).sum(-1, keepdims=True)
        answer = ask(as_candidate(softmax), DY, {"input": X}, {"dim": -1})
        np.testing.assert_allclose(answer.gradients["input"], y * (DY - (DY * y).sum(-1, keepdims=True)))


# JAX ------------------------------------------------------------------------------------------------------------------


def jax_forward(jnp):
    def forward(x, w, b, eps):
        c = x - x.mean(-1, keepdims=True)
        return w * c / jnp.sqrt((c**2).mean(-1, keepdims=True) + eps) + b

    return forward


@pytest.mark.thorough
def test_jax_functions():
    jax = pytest.importorskip("jax")
    forward = jax_forward(jax.numpy)
    judged(as_candidate(forward, "jax"))
    judged(as_candidate(jax.jit(forward)))
    judged(as_candidate(jax.jit(in_operators)))  # asks for dy first: it is the backward itself
    assert not jax.config.jax_enable_x64
    y = np.exp(X) / np.exp(X).sum(-1, keepdims=True)
    answer = ask(as_candidate(jax.nn.softmax), DY, {"input": X}, {"dim": -1})
    np.testing.assert_allclose(answer.gradients["input"], y * (DY - (DY * y).sum(-1, keepdims=True)))
    answer = ask(as_candidate(jax.nn.standardize), DY, INPUTS, OPTIONS)
    assert answer.gradients["weight"] is None  # it has none
    assert answer.gradients["input"] is not None


def test_a_jax_custom_vjp():
    jax = pytest.importorskip("jax")
    forward = jax_forward(jax.numpy)

    @jax.custom_vjp
    def layer_norm(x, w, b, eps):
        return forward(x, w, b, eps)

    def fwd(x, w, b, eps):
        return forward(x, w, b, eps), (x, w, b, eps)

    def bwd(res, dy):
        return *in_operators(dy, *res), None

    layer_norm.defvjp(fwd, bwd)
    judged(as_candidate(layer_norm))


def test_a_library_that_is_not_there(monkeypatch):
    monkeypatch.setitem(sys.modules, "jax", None)
    with pytest.raises(CheckInputError, match="jax is not installed here"):
        as_candidate(lambda x: x, "jax")


# PyTorch's own modules, and code for its tensors ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "title", "options", "summary"),
    [
        (lambda nn: nn.RMSNorm(8), "RMSNorm", "ε = 2.220446049250313e-16", "right"),
        (lambda nn: nn.RMSNorm(8, eps=1e-3), "RMSNorm", "ε = 0.001", "right"),
        (lambda nn: nn.LayerNorm(8, elementwise_affine=False), "LayerNorm", "ε = 1e-05", "right, without γ and β"),
        (lambda nn: nn.LayerNorm(8, bias=False), "LayerNorm", "ε = 1e-05", "right, without β"),
        (lambda nn: nn.GroupNorm(3, 6), "GroupNorm", "num_groups = 3  ε = 1e-05", "right"),
        (lambda nn: nn.BatchNorm2d(4, eps=1e-3), "BatchNorm", "ε = 0.001", "right"),
        (lambda nn: nn.BatchNorm1d(8).eval(), "BatchNorm", "training = False  ε = 1e-05", "right"),
        (lambda nn: nn.InstanceNorm1d(3, affine=True), "InstanceNorm", "ε = 1e-05", "right"),
        (lambda nn: nn.Softmax(-1), "Softmax", "", "right"),
        (lambda nn: nn.CrossEntropyLoss(label_smoothing=0.1), "Cross-entropy", "label_smoothing = 0.1", "right"),
    ],
)
def test_a_module_says_what_it_is(make, title, options, summary):
    torch = pytest.importorskip("torch")
    verdict = tn.check(make(torch.nn))
    assert (verdict.title, verdict.options, verdict.summary) == (title, options, summary), verdict.text()


def test_a_module_against_another_norm_is_wrong_and_what_says_nothing_is_asked():
    torch = pytest.importorskip("torch")
    assert not tn.check(torch.nn.LayerNorm(8), "rms_norm").ok
    with pytest.raises(tn.check.InputError, match="say what it belongs to"):
        tn.check(torch.nn.Linear(8, 8))


@pytest.mark.thorough
def test_a_compiled_module():
    torch = pytest.importorskip("torch")
    assert tn.check(torch.compile(torch.nn.LayerNorm(8), backend="eager")).ok


def test_code_for_tensors_needs_no_word():
    pytest.importorskip("torch")

    def backward(dy, x, weight, bias, eps):
        c = x - x.mean(-1, keepdim=True)
        r = (c.pow(2).mean(-1, keepdim=True) + eps).rsqrt()
        h, g, rows = c * r, dy * weight, tuple(range(x.ndim - 1))
        dx = r * (g - g.mean(-1, keepdim=True) - h * (g * h).mean(-1, keepdim=True))
        return dx, (dy * h).sum(rows), dy.sum(rows)

    verdict = tn.check(backward, "layer_norm")
    assert verdict.summary == "right"
    assert any(note.endswith("it was given PyTorch's tensors") for note in verdict.notes)
    assert tn.check(backward, "layer_norm", device="cpu").summary == "right"


@pytest.mark.parametrize("name", ["grad_y", "y_grad", "ygrad", "dydx", "dL_dy", "g_out", "out_bar", "delta"])
def test_code_for_tensors_by_the_name_of_its_cotangent(name):
    torch = pytest.importorskip("torch")
    code = f"""def backward({name}, y):
    y = torch.softmax(y, -1)
    return y * ({name} - ({name} * y).sum(-1, keepdim=True))"""
    exec(code.replace(", y)", ", x)", 1).replace("softmax(y", "softmax(x"), {"torch": torch}, made := {})
    assert tn.check(made["backward"], "softmax", shape=(4, 8)).ok


def test_a_loss_of_tensors_without_a_cotangent():
    torch = pytest.importorskip("torch")

    def backward(logits, target, leave=1.0):
        p = torch.softmax(logits, 1)
        p[torch.arange(len(target)), target] -= leave
        return p / len(target)

    assert tn.check(backward, "cross_entropy", shape=(4, 8)).ok
    assert not tn.check(lambda logits, target: backward(logits, target, 0.5), "cross_entropy", shape=(4, 8)).ok


def test_bfloat16_and_mixed_dtypes():
    torch = pytest.importorskip("torch")
    seen = set()

    def backward(dy, x, weight, bias, eps, factor=1.0):
        seen.add((dy.dtype, x.dtype, weight.dtype))
        kind = weight.dtype
        dy, x = dy.to(kind), x.to(kind)
        c = x - x.mean(-1, keepdim=True)
        r = (c.pow(2).mean(-1, keepdim=True) + eps).rsqrt()
        h, g, rows = c * r, dy * weight, tuple(range(x.ndim - 1))
        dx = r * (g - g.mean(-1, keepdim=True) - factor * h * (g * h).mean(-1, keepdim=True))
        return dx, (dy * h).sum(rows), dy.sum(rows)

    mixed = {"x": "bfloat16", "weight": "float32", "bias": "float32"}
    assert tn.check(backward, "layer_norm", dtype=mixed, framework="torch").summary == "right"
    assert (torch.bfloat16, torch.bfloat16, torch.float32) in seen
    assert tn.check(backward, "layer_norm", dtype="bfloat16", framework="torch").summary == "right"
    assert (torch.bfloat16,) * 3 in seen
    wrong = tn.check(
        lambda dy, x, weight, bias, eps: backward(dy, x, weight, bias, eps, -1), "layer_norm", dtype="bfloat16", framework="torch"
    )
    assert wrong.judgements["input"].mistakes == ("σ²: sign",)
    with pytest.raises(tn.check.InputError, match=r"dtype=.'gain'.: LayerNorm has input, weight, bias"):
        tn.check(backward, "layer_norm", dtype={"gain": "bfloat16"}, framework="torch")


def test_rounding_to_bfloat16_is_pytorchs():
    torch = pytest.importorskip("torch")
    from tinygrad_norm.check.answers import to_bfloat16

    x = np.random.default_rng(0).normal(size=1000).astype(np.float32) * 10.0 ** np.arange(-20, 20).repeat(25)
    np.testing.assert_array_equal(to_bfloat16(x), torch.from_numpy(x.astype(np.float32)).bfloat16().float().numpy())
