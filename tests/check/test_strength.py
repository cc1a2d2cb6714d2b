"""What a test is worth: every known mistake is handed to it, and what it accepts is counted and named."""

from __future__ import annotations

import json

import numpy as np
import pytest

import tinygrad_norm as tn
from tinygrad_norm.check import InputError
from tinygrad_norm.check.catalogue import Handed, catalogue
from tinygrad_norm.norms import UnknownNormError, check_settings, get, names

X = np.random.default_rng(0).normal(size=(4, 8)) * np.array([[0.1], [1], [2], [0.5]])
W, B, DY = (np.random.default_rng(k).normal(size=s) for k, s in ((1, 8), (2, 8), (3, (4, 8))))
LN = get("layer_norm")


def right(dy, x, weight, bias, eps=1e-5):
    r = 1 / np.sqrt(x.var(-1, keepdims=True) + eps)
    h = (x - x.mean(-1, keepdims=True)) * r
    g = dy * weight
    return r * (g - g.mean(-1, keepdims=True) - h * (g * h).mean(-1, keepdims=True)), (dy * h).sum(0), dy.sum(0)


def strong(backward):
    for mine, theirs in zip(backward(DY, X, W, B, 1e-5), right(DY, X, W, B), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-9, atol=1e-12)


def with_ones(backward):
    """The loss is a sum, γ is ones: the gradient is zero, and so are most wrong ones."""
    dy, ones = np.ones((4, 8)), np.ones(8)
    for mine, theirs in zip(backward(dy, X, ones, 0 * ones), right(dy, X, ones, 0 * ones), strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-5)


def only_dx(backward):
    return np.allclose(backward(DY, X, W, B)[0], right(DY, X, W, B)[0], rtol=1e-9)


def test_a_strong_test_rejects_them_all():
    found = tn.strength(strong, "layer_norm")
    assert found.ok
    assert found.verdict == f"strong: all {found.known} known mistakes are rejected"
    assert (found.test, found.right, len(found.rejected), found.changes) == ("strong", "accepted", found.known, ())
    assert found.known == len(catalogue(LN, check_settings(LN, {})))


def test_what_a_weak_one_accepts_is_named_and_can_be_checked():
    found = tn.strength(with_ones, "layer_norm")
    assert not found.ok
    assert found.verdict.startswith(f"weak: {len(found.accepted)} of {found.known}")
    by_name = {m.name: m for m in found.accepted}
    assert by_name["σ²: term dropped"].gradients == ("dx",)
    for name in by_name:
        with_ones(Handed(LN, check_settings(LN, {}), name))  # raises nothing
    for m in found.rejected:
        with pytest.raises(AssertionError):
            with_ones(Handed(LN, check_settings(LN, {}), m.name))
    assert str(found).count("\naccepts  ") == 12
    assert f"and {len(found.accepted) - 12} more: .accepted" in str(found)


def test_the_smallest_change_is_the_smallest_and_holds():
    found = tn.strength("layer_norm", cotangent="ones")
    before = len(found.accepted)
    first, last = found.changes[0], found.changes[-1]
    assert last.accepted == 0
    assert first.accepted < before
    changed = tn.strength("layer_norm", cotangent="ones", parameters="randn")
    assert first.text == "a random γ in place of ones"
    assert len({m.name for m in changed.accepted} & {m.name for m in found.accepted}) == first.accepted


def test_a_gradient_that_is_not_looked_at_is_said():
    found = tn.strength(only_dx, "layer_norm")
    assert {m.gradients for m in found.accepted} == {("dγ",), ("dβ",)}
    assert [(c.text, c.accepted) for c in found.changes] == [("looking at dγ and dβ, too", 0)]


@pytest.mark.thorough
def test_how_many_pass_at_tolerances_in_use():
    """Random cotangent, mean loss, ones, at 8×4096 with γ = 1: a test of a mean loss at 1e-2 sees next to nothing."""
    counts = {
        (cotangent, atol): len(tn.strength("layer_norm", shape=(8, 4096), cotangent=cotangent, rtol=rtol, atol=atol).accepted)
        for cotangent in ("randn", "mean_loss", "ones")
        for rtol, atol in ((1e-5, 1e-5), (1e-2, 1e-2), (0, 0.5))
    }
    assert [counts["ones", t] for t in (1e-5, 1e-2, 0.5)] == [23, 26, 33]
    assert counts["randn", 1e-5] <= 8
    assert counts["randn", 0.5] == 35
    assert counts["mean_loss", 1e-2] == counts["mean_loss", 0.5] == 48  # all but the two of another shape


def test_zeros_do_not_pass_for_right_and_never_ran_is_no_verdict():
    found = tn.strength(lambda backward: None, "layer_norm")
    assert not found.ok
    assert found.verdict == "not measured: the right backward was not accepted (it never called the backward)"
    refused = tn.strength(lambda backward: not backward(DY, X, W, B)[0].any(), "layer_norm")
    assert "not measured" in str(refused)
    assert refused.right == "it returned False"
    broken = tn.strength(lambda backward: backward(DY, X, W[:3], B), "layer_norm")
    assert "ShapeError: layer_norm_backward: weight has shape (3,)" in broken.verdict
    wrong = tn.strength(lambda backward: np.testing.assert_array_equal(backward(DY, X, W, B)[0], 1.0), "layer_norm")
    assert "AssertionError" in wrong.right


def test_pytests_own_refusals_count(capsys):
    def test(backward):
        print("noise")
        if not np.allclose(backward(DY, X, W, B)[0], right(DY, X, W, B)[0]):
            pytest.fail("no")

    assert len(tn.strength(test, "layer_norm").rejected) > 30
    assert capsys.readouterr().out == ""


def test_ctrl_c_passes_through():
    def test(backward):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tn.strength(test, "layer_norm")


def test_the_backward_that_is_handed_over():
    backward = Handed(LN, check_settings(LN, {}), None)
    for answer in (backward(DY, X, W, B, 1e-3), backward(dout=DY, x=X, gamma=W, beta=B, eps=1e-3)):
        for mine, theirs in zip(answer, right(DY, X, W, B, 1e-3), strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(backward(DY, X), right(DY, X, 1.0, 0.0)[0], rtol=1e-12, atol=1e-14)
    assert [g.dtype for g in backward(DY, X.astype("float32"), W, B)] == [np.float32] * 3
    for args, kwargs, words in (
        ((DY,), {}, "input missing; it takes (dy, input, weight, bias), and by name eps"),
        ((DY, X, W, B, 1e-5, 3), {}, "6 arguments"),
        ((DY, X), {"gain": W}, "gain is unknown"),
        ((DY, X), {"x": X}, "x is unknown, or given twice"),
        ((DY, 1.0), {}, "takes numbers of 1 axes or more"),
    ):
        with pytest.raises(InputError) as caught:
            backward(*args, **kwargs)
        assert words in str(caught.value)
    with pytest.raises(tn.ShapeError, match="cotangent of shape"):
        backward(DY[:2], X)


def test_pytorchs_tensors_go_in_and_come_out():
    torch = pytest.importorskip("torch")

    def test(backward):
        x = torch.tensor(X, requires_grad=True)
        w, b = torch.tensor(W, requires_grad=True), torch.tensor(B, requires_grad=True)
        torch.nn.functional.layer_norm(x, (8,), w, b).backward(torch.tensor(DY))
        with torch.no_grad():
            for mine, leaf in zip(backward(torch.tensor(DY), x.detach(), w.detach(), b.detach()), (x, w, b)):
                torch.testing.assert_close(mine, leaf.grad)

    assert tn.strength(test, "layer_norm").ok


@pytest.mark.parametrize("name", names())
@pytest.mark.costly(10)
def test_every_norm_can_be_asked(name):
    found = tn.strength(name)
    assert found.right == "accepted"
    assert found.known == len(catalogue(get(name), check_settings(get(name), {})))
    assert len(found.rejected) > 0.6 * found.known
    assert str(found).isprintable() or "\n" in str(found)


def test_what_it_says_everywhere():
    found = tn.strength(with_ones, "layer_norm")
    data = json.loads(found.to_json())
    assert (data["known"], data["ok"], len(data["accepted"])) == (found.known, False, len(found.accepted))
    assert data["changes"][0]["change"] == found.changes[0].text
    assert found.text(ascii=True).isascii()
    assert json.loads(found.to_json(ascii=True)) == data

    def test(backward):
        strong(backward)

    test.__qualname__ = "<script>alert(1)</script>"
    shown = tn.strength(test, "layer_norm")._repr_mimebundle_()
    assert "<script>" not in shown["text/html"]
    assert "&lt;script&gt;" in shown["text/html"]
    assert shown["text/plain"].endswith("are rejected")


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: tn.strength("layernorm"), UnknownNormError, r"strength: there is no 'layernorm'\. Did you mean layer_norm\?"),
        (lambda: tn.strength(3, "layer_norm"), InputError, "strength: test=3; it is a function of one argument"),
        (lambda: tn.strength(strong, "layer_norm", rtol=1e-3), InputError, "rtol of a test that is a function"),
        (lambda: tn.strength("layer_norm", rtol="a"), tn.DTypeError, "strength: rtol='a'"),
        (lambda: tn.strength("layer_norm", cotangent="one"), tn.OptionError, "cotangent='one'; it is one of randn, ones"),
        (lambda: tn.strength("layer_norm", cotangent=np.ones(3)), tn.ShapeError, r"cotangent of shape \(3,\)"),
        (lambda: tn.strength("layer_norm", parameters="x"), tn.OptionError, "parameters='x'; it is usual or randn"),
        (lambda: tn.strength("layer_norm", dtype="int32"), InputError, "float16, float32 or float64"),
        (lambda: tn.strength("batch_norm", shape=(3,)), InputError, "axes or more"),
        (lambda: tn.strength("layer_norm", epsilon=1), InputError, "has no option epsilon"),
    ],
)
def test_misuse_is_named(call, error, words):
    with pytest.raises(error, match=words):
        call()


# assert_backward ------------------------------------------------------------------------------------------------------


def test_assert_backward_speaks_for_itself():
    with pytest.raises(tn.TinygradNormError, match=r"^assert_backward: to judge against a forward of your own"):
        tn.assert_backward(right, 3)


def test_assert_backward():
    assert tn.assert_backward(right, "layer_norm").ok

    def wrong(dy, x, weight, bias, eps):
        dx, dw, db = right(dy, x, weight, bias, eps)
        return -dx, dw, db

    with pytest.raises(AssertionError) as caught:
        tn.assert_backward(wrong, "layer_norm")
    assert str(caught.value).endswith(str(tn.check(wrong, "layer_norm")))
    with pytest.raises(AssertionError, match=r"(?s)not judged.*deliberate"):
        tn.assert_backward(lambda dy, x: exec("raise RuntimeError('deliberate')"), "layer_norm")
    with pytest.raises(UnknownNormError):
        tn.assert_backward(right, "layernorm")


def test_pytest_shows_the_verdict_and_not_our_lines():
    with pytest.raises(AssertionError) as caught:
        tn.assert_backward(lambda dy, x, weight, bias, eps: (dy, dy.sum(0), dy.sum(0)), "layer_norm")
    assert caught.traceback[-1].name == "assert_backward"
    assert caught.traceback[-1].ishidden(caught)
