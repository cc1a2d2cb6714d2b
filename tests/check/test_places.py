"""What shows at some shapes only, from call to call, or in the order of what is returned."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_norm as tn
from tinygrad_norm.norms import names

from .backwards import m


def all_but_last(a):
    return tuple(range(a.ndim - 1))


def layer_norm(formula=None, dgamma=None, dbeta=None):
    def backward(dy, x, weight, bias, eps):
        c = x - m(x)
        r = (m(c * c) + eps) ** -0.5
        h, g, n = c * r, dy * weight, x.shape[-1]
        dx = r * (g - m(g) - h * m(g * h)) if formula is None else formula(r, g, h, n)
        dw = (dy * h).sum(all_but_last(dy)) if dgamma is None else dgamma(dy, h)
        return dx, dw, dy.sum(all_but_last(dy)) if dbeta is None else dbeta(dy)

    return backward


right = layer_norm()


def said(candidate, norm="layer_norm", name="input", **arguments):
    verdict = tn.check(candidate, norm, **arguments)
    assert not verdict.ok, verdict.text()
    assert verdict.judgements[name].status == "wrong"
    return " | ".join(verdict.judgements[name].lines)


def test_a_right_one_is_right_at_every_shape():
    verdict = tn.check(right, "layer_norm")
    assert verdict.summary == "right"
    assert {"(4, 8)", "(4, 7)", "(5, 5)", "(3, 2)", "(3, 1027)", "(1027, 3)", "(2, 3, 5)", "(3, 4, 2, 5)"} <= set(verdict.looked)
    assert "right at: (4, 8); (4, 7)" in verdict.text()


def rest_forgotten(r, g, h, n):
    return r * (g - m(g) - h * (g * h)[..., : n // 4 * 4].sum(-1, keepdims=True) / n)


def mean_of_whole_blocks(r, g, h, n):
    return r * (g - g[..., : n // 4 * 4].sum(-1, keepdims=True) / n - h * m(g * h))


def for_odd_sizes_only(r, g, h, n):
    return r * (g - (n % 2 == 0) * m(g) - h * m(g * h))


@pytest.mark.parametrize(
    ("formula", "label"), [(rest_forgotten, "rstd"), (mean_of_whole_blocks, "μ")], ids=["of the variance", "of the mean"]
)
def test_the_rest_of_a_division_left_out(formula, label):
    text = said(layer_norm(formula))
    assert text.startswith("right at (4, 8), (7, 4); wrong at (4, 7), ")
    assert f"on the way to {label} leaves out the last 7 mod 4 = 3 entries" in text


def test_something_for_odd_sizes_only():
    text = said(layer_norm(for_odd_sizes_only))
    assert "the μ term is missing" in text
    assert text.startswith("right at (4, 8), (7, 4), (3, 2), (3, 4, 2); wrong at (4, 7), (5, 5)")


def test_the_last_chunk_of_rows():
    def last_chunk(dy, h):
        rows = (dy * h).reshape(-1, h.shape[-1])
        return rows[-(len(rows) % 32 or 32) :].sum(0)

    text = said(layer_norm(dgamma=last_chunk), name="weight")
    assert "your dγ has only the last 1027 mod 16 = 3 entries of axis 0 (B) in Σ_B(x̂·dy)" in text


@pytest.mark.thorough
def test_three_axes_taken_for_two():
    def flat(r, g, h, n):
        if g.ndim == 2:
            return r * (g - m(g) - h * m(g * h))
        whole = g.reshape(len(g), -1)
        return r * (g - m(whole).reshape(-1, *[1] * (g.ndim - 1)) - h * m(g * h))

    verdict = tn.check(layer_norm(flat), "layer_norm")
    assert verdict.summary == "right, but wrong for 3 or 4 axes"
    (note,) = (n for n in verdict.notes if n.startswith("wrong for 3 axes, without raising: at (2, 3, 5), dx: "))
    assert "axes 1, 2" in note
    assert "wrong here, right at (4, 7)" in said(layer_norm(flat), shape=(2, 3, 5))


def test_two_axes_by_design_are_a_limit_and_no_mistake():
    def by_shape(dy, x, weight, bias, eps):
        dx = right(dy, x, weight, bias, eps)[0]
        return dx, (dy * (x - m(x)) * (m((x - m(x)) ** 2) + eps) ** -0.5).sum(0), dy.sum(0)

    def by_raising(dy, x, weight, bias, eps):
        _rows, _columns = x.shape
        return right(dy, x, weight, bias, eps)

    verdict = tn.check(by_shape, "layer_norm")
    assert verdict.summary == "right, not for 3 or 4 axes"
    assert any(n.startswith("not for 3 axes: at (2, 3, 5) it gives another shape") for n in verdict.notes)
    verdict = tn.check(by_raising, "layer_norm")
    assert verdict.summary == "right"  # it says so itself
    assert any(n.startswith("not for 3 or 4 axes: at (2, 3, 5) it raised") for n in verdict.notes)

    def axis_one(dy, x):
        p = np.exp(x) / np.exp(x).sum(1, keepdims=True)
        return p * (dy - (dy * p).sum(1, keepdims=True))

    assert tn.check(axis_one, "softmax").summary == "right, not for 3 or 4 axes"


def cross_entropy(classes=lambda t: t, ignored=False):
    def backward(dy, z, target, ignore_index=None):
        p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
        counts = target != ignore_index
        safe = np.where(counts, target, 0)
        onehot = np.moveaxis(np.eye(z.shape[1])[classes(safe)], -1, 1)
        found = dy * (p - onehot) / (counts.sum() if ignored else counts.size)
        return found * np.expand_dims(counts, 1) if ignored else found

    return backward


def without_ignored(dy, z, target):
    return cross_entropy()(dy, z, np.where(target < 0, 0, target))


def test_all_classes_and_ignored_targets():
    assert tn.check(cross_entropy(ignored=True), "cross_entropy").summary == "right"
    text = said(cross_entropy(lambda t: np.minimum(t, 1), ignored=True), "cross_entropy")
    assert "wrong with targets over all classes" in text
    assert "wrong with ignored targets" in said(cross_entropy(), "cross_entropy")
    unaware = tn.check(without_ignored, "cross_entropy")
    assert unaware.ok
    assert unaware.summary == "right, not with ignored targets (it takes no ignore_index)"


def test_a_forward_of_ones_own_at_one_shape_and_at_named_axes():
    assert tn.check(lambda dy, x: 2 * x * dy, lambda x: x * x, inputs=np.ones((4, 8))).summary == "right, at this shape only"
    named = tn.check(lambda dy, x: 2 * x * dy, lambda x: x * x, inputs={"x": ("B", "N")})
    assert named.summary == "right"
    assert "B = 3, N = 131" in named.looked
    text = said(lambda dy, x: 2 * x * dy * (x.shape[1] % 2), lambda x: x * x, inputs={"x": ("B", "N")}, name="x")
    assert "wrong at B = 7, N = 4" in text


def test_the_shape_of_the_inputs_given_is_judged_first():
    x = np.random.default_rng(0).normal(size=(2, 3, 8))
    verdict = tn.check(layer_norm(dgamma=lambda dy, h: (dy * h).sum(0)), "layer_norm", inputs=[x])
    assert not verdict.ok
    assert verdict.shapes == "x (2, 3, 8), γ (8,), β (8,)"
    said = verdict.judgements["weight"].lines
    assert "dγ has shape (3, 8), not (8,): sum over axis 0" in said
    assert said[-1].endswith("over axis 0 where axes 0, 1 belong")
    assert tn.check(right, "layer_norm", inputs=[x]).summary == "right"


# Order, shape, state --------------------------------------------------------------------------------------------------


def returning(change):
    return lambda dy, x, weight, bias, eps: change(*right(dy, x, weight, bias, eps))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda dx, dw, db: (dw, db, dx), "you return (dγ, dβ, dx); the order is (dx, dγ, dβ)"),
        (lambda dx, dw, db: (dx, db, dw), "dγ and dβ are swapped"),
        (lambda dx, dw, db: (dx, 0 * dw, db), "dγ is zero everywhere"),
        (lambda dx, dw, db: (dx, dw[None], db), "dγ has shape (1, 8), not (8,): right values in the wrong shape"),
        (lambda dx, dw, db: (dx, dx, db), "dγ has shape (4, 8), not (8,): this is dx, in the place of dγ"),
    ],
)
@pytest.mark.costly(2)
def test_right_numbers_in_the_wrong_place(change, words):
    assert words in said(returning(change), name="weight")


@pytest.mark.thorough
def test_a_forgotten_sum():
    assert said(layer_norm(dgamma=lambda dy, h: dy * h), name="weight") == "dγ has shape (4, 8), not (8,): sum over axis 0"


def test_a_transposed_gradient_in_a_square():
    assert "dx is transposed: axes 0 and 1" in said(returning(lambda dx, dw, db: (dx.T, dw, db)), shape=(6, 6))


def test_dy_written_over_before_it_is_read():
    def in_place(dy, x, weight, bias, eps):
        dx, _, db = right(dy, x, weight, bias, eps)
        h = (x - m(x)) * (m((x - m(x)) ** 2) + eps) ** -0.5
        dy[...] = dx
        return dy, (dy * h).sum(all_but_last(dy)), db

    assert "changed dy before dγ read it" in said(in_place, name="weight")


def test_what_adds_up_is_wrong_and_what_rounds_differently_is_not():
    class Layer:
        dgamma = 0.0

        def backward(self, dy, x, weight, bias, eps):
            dx, dw, db = right(dy, x, weight, bias, eps)
            self.dgamma = dw + (self.dgamma if np.shape(self.dgamma) == dw.shape else 0)
            return dx, self.dgamma, db

    assert "adds to what it returned last time" in said(Layer().backward, name="weight")
    rng = np.random.default_rng(0)
    atomics = returning(lambda dx, dw, db: (dx * (1 + 1e-16 * rng.integers(0, 2, dx.shape)), dw, db))
    assert tn.check(atomics, "layer_norm").ok


@pytest.mark.parametrize("name", names())
@pytest.mark.costly(8)
def test_the_records_own_gradient_is_right_at_every_shape(name):
    """Whatever the norm: what it is asked with besides its own shape is something it takes."""
    from tinygrad_norm.norms import get

    norm = get(name)

    def own(dy, *arrays, **options):
        inputs = {
            n: tn.tensor(a, requires_grad=a.dtype.kind == "f")
            for n, a in zip(("input", *norm.parameters(arrays[0].shape, **norm.options)), arrays)
        }
        y = norm.apply(inputs, backward="recorded", **norm.options)
        return tuple(
            None if not t.requires_grad else g.numpy()
            for t, g in zip(inputs.values(), tn.grad(y, [t for t in inputs.values() if t.requires_grad], dy))
        )

    verdict = tn.check(own, name)
    assert verdict.ok, verdict.text()
    assert len(verdict.looked) > 2 or name in ("power_norm",), verdict.text()
