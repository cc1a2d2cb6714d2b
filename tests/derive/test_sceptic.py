"""What a sceptic brought who had not read the code: unequal pairs that had passed as proved, and sources that were wrong."""

from __future__ import annotations

import math

import numpy as np
import pytest

import tinygrad_norm as tn
from tinygrad_norm.derive import derive
from tinygrad_norm.derive.errors import DerivationError

from .running import function_of

F = tn.functional
BN = {"x": ("B", "N")}
SIX = {"x": np.random.default_rng(0).normal(size=(3, 6, 5))}


def s(t):
    return t.sum(-1, keepdim=True)


def m(t):
    return t.mean(-1, keepdim=True)


def top(t):
    return t.amax(-1, keepdim=True)


def six_groups(x):
    z = x.reshape(x.shape[0], 6, -1)
    return (z - m(z)).tanh().reshape(*x.shape)


FUNCTIONS = {  # (a forward, another): equal on the numbers that are drawn first, and not the same
    "floor": (lambda x: F.normalize(x, dim=-1, eps=1.0), lambda x: x / s(x * x).sqrt()),
    "floor of cosine": (lambda x: F.cosine_similarity(x, x * 0 + 1.0, -1, 0.5), lambda x: (x.sum(-1) / (s(x * x).sqrt() * x.shape[-1] ** 0.5).sum(-1))),
    "huber": (lambda x: F.huber_loss(x, x.detach() * 0, delta=9.0), lambda x: (x * x).mean() / 2),
    "half of an odd": (lambda x: x * s(x) * (x.shape[1] // 2), lambda x: x * s(x) * (x.shape[1] - 1) / 2),
    "longest": (lambda x: x * s(x) / max(x.shape), lambda x: x * m(x)),
    "common multiple": (lambda x: x * x.sum() / math.lcm(*x.shape), lambda x: x * x.mean()),
    "odd": (lambda x: x * (x.shape[0] % 2), lambda x: x * 1.0),
    "if B < N": (lambda x: x * m(x) if x.shape[0] < x.shape[1] else x * s(x), lambda x: x * m(x)),
    "if B != N": (lambda x: x * m(x) if x.shape[0] != x.shape[1] else x * s(x), lambda x: x * m(x)),
    "if N % 4": (lambda x: x * m(x) if x.shape[1] % 4 else x * s(x), lambda x: x * m(x)),
    "if B == 1": (lambda x: x * m(x) if x.shape[0] != 1 else x * s(x), lambda x: x * m(x)),
    "if large": (lambda x: x * x if x.data.max() < 50 else x, lambda x: x * x),
    "data": (lambda x: x * x * (x.data > 0), lambda x: x * x * ((x.data > 0) & (x.data < 40))),
    "clipped data": (lambda x: x * x.data, lambda x: x * x.data.clip(-50, 50)),
    "mask": (lambda x: x.masked_fill(x.data > 3.5, 0) ** 2, lambda x: x.masked_fill(x.data > 4.5, 0) ** 2),
}  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.costly(3)
def test_it_is_not_proved_either_way(name):
    one, two = (derive(f, inputs=BN) for f in FUNCTIONS[name])
    for verdict in (one.equals(two), two.equals(one)):
        assert not verdict
        assert verdict.kind in ("not equal", "equal under")
        assert verdict.kind == "not equal" or verdict.assumptions
        assert "dx = 0" not in str(verdict)


def test_options_that_have_a_name_are_numbers_all_the_same():
    one = tn.derive("layer_norm", eps=1e-2)
    assert one.equals(tn.derive("layer_norm", eps=0.0)).kind == "not equal"
    verdict = one.equals(tn.derive("layer_norm", eps=1.0))
    assert str(verdict) == "equal under: ε is the same number in both (it is 0.01 here, 1 there)"


def test_groups_as_many_as_channels():
    verdict = derive(six_groups, inputs=SIX).equals(derive(lambda x: (x - m(x)).tanh(), inputs=SIX))
    assert verdict.kind == "not equal"
    assert "at twice the sizes" in str(verdict)
    assert tn.derive("group_norm", num_groups=6).equals(tn.derive("instance_norm")).kind == "not equal"


def test_one_entry_is_an_axis_too():
    assert derive(lambda x: x * m(x), inputs={"x": np.ones((3, 1))}).equals(lambda dy, x: 2 * x * dy).kind == "not equal"


def test_ties_are_said():
    verdict = derive(lambda x: x.amax(-1), inputs=BN).equals(lambda dy, x: dy.reshape(-1, 1) * x.eq(top(x)))
    assert str(verdict) == "equal under: the largest entry, m, occurs once along N"
    shifted = derive(lambda x: (x - top(x)).exp() / s((x - top(x)).exp()), inputs=BN)
    plain = derive(lambda x: x.softmax(-1), inputs=BN)
    assert shifted.equals(plain).proved  # whatever the maximum gives back, it gives nothing
    assert plain.equals(shifted).proved


def test_the_other_derivation_keeps_its_axes():
    one = derive(lambda x, w: x * w, "w", inputs={**BN, "w": ("N",)})
    verdict = one.equals(derive(lambda x, w: x * w, "w", inputs={**BN, "w": ("B", "N")}))
    assert str(verdict) == "not equal: w has the axes (N) here and (B, N) there"
    verdict = derive(lambda x: x.softmax(1), inputs=BN).equals(derive(lambda x: x.softmax(1), inputs={"x": ("B", "N", "L")}))
    assert "x has the axes (B, N) here and (B, N, L) there" in str(verdict)


def test_an_input_without_a_partner_is_asked_about():
    one = derive(lambda x, w: x * w.exp(), inputs={**BN, "w": ("N",)})
    two = derive(lambda x, g: x * g.exp(), inputs={**BN, "g": ("N",)})
    with pytest.raises(DerivationError, match=r"g has no partner. Here are w: say which it is, pairing=\{'g': 'w'\}"):
        one.equals(two)
    assert one.equals(two, pairing={"g": "w"}).proved


def test_an_axis_has_a_name():
    with pytest.raises(DerivationError, match="an axis is given by its name, not by its size"):
        derive(lambda x: x * 2.0, inputs={"x": ("B", 3)})
    assert derive(lambda x, g: x * g, "g", inputs={**BN, "g": ("B", 1)}).equals(lambda dy, x: s(dy * x)).assumptions == ()


@pytest.mark.parametrize(
    "forward",
    [
        lambda x: x.relu() + (x - 1).relu(),
        lambda x: x.relu() - (x - 1).relu(),
        lambda x: (-x).relu() - x.relu(),
        lambda x: tn.maximum(tn.minimum(x, 0.5 * x), x),
        lambda x: (3 * x + 0.1).amax(-1),
        lambda x: (x / 2.3).amax(-1),
        lambda x: x * (x - x).amax(-1, keepdim=True),
        lambda x: x.exp() * (x - x).mean(),
        lambda x: ((x - m(x)) / (m((x - m(x)) ** 2) + 1e-5).sqrt()).amax(-1),
    ],
)
def test_the_source_has_the_records_numbers(forward):
    d = derive(forward, inputs=BN)
    assert d.ok
    function = function_of(d.numpy_source())
    rng = np.random.default_rng(1)
    given = rng.normal(size=(5, 8)) * 3
    x = tn.tensor(given, requires_grad=True)
    y = forward(x)
    dy = rng.normal(size=y.shape)
    wanted = function.__code__.co_varnames[: function.__code__.co_argcount]
    got = function(**{n: a for n, a in {"dy": dy, "x": given}.items() if n in wanted})
    np.testing.assert_allclose(got, tn.grad(y, x, dy)[0].data, rtol=1e-9, atol=1e-12)


def test_the_source_says_what_it_takes_for_granted():
    assert "Assumed: s ≥ 3" in derive(lambda x: tn.maximum((x * x).sum(), 3.0) * x, inputs=BN).numpy_source()
    assert "Assumed: the largest entry, m, occurs once along N" in derive(lambda x: x.amax(-1), inputs=BN).numpy_source()
    assert "Assumed: the branches are those of the record" in derive(FUNCTIONS["floor"][0], inputs=BN).numpy_source()


def test_a_branch_at_a_size_of_ten_is_one():
    """Of numbers that agree there: only the operations tell. With one axis of a single entry they may differ."""
    inputs = {"x": ("A", "B", "C", "D")}
    d = derive(lambda x: x * x if x.shape[0] != 10 else x * 2.0 * x / 2.0, inputs=inputs)
    assert any("at A = 10, B = 8, C = 6, D = 4" in text for text in d.assumptions)
    assert not d.equals(lambda dy, x: 2.0 * x * dy)
    verdict = derive(lambda x: x * x if 1 not in x.shape else x * 2.0 * x / 2.0, inputs=inputs).equals(lambda dy, x: 2.0 * x * dy)
    assert verdict.kind == "equal under"
    assert "a size is compared (test_sceptic.py" in str(verdict)
