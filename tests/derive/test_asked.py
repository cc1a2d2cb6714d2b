"""A third sceptic's kinds: whatever reaches Python is heard, whichever way it asks, and constants are not matched by their numbers."""

from __future__ import annotations

import itertools
import json
import math
import operator
import pickle
import struct

import numpy as np
import pytest

import tinygrad_norm as tn
from tinygrad_norm.derive import derive
from tinygrad_norm.derive.following import Number, size
from tinygrad_norm.derive.questions import hearing

from .unequal import m, s

BN = {"x": ("B", "N")}
T = tn.tensor


def n(x):
    return x.shape[-1]


def fails(f):
    try:
        f()
    except Exception:
        return True
    return False


@pytest.fixture(scope="module")
def plain():
    return derive(lambda x: x * 1.0, inputs=BN)


AT_37 = {  # whether x has 37 columns, which no record has
    "int": lambda x: int(n(x)) == 37,
    "float": lambda x: float(n(x)) == 37,
    "37.0 ==": lambda x: n(x) == 37.0,
    "text": lambda x: f"{n(x)}" == "37",
    "format": lambda x: format(n(x), "d") == "37",
    "text of a shape": lambda x: str(x.shape).endswith(" 37)"),
    "index": lambda x: operator.index(n(x)) == 37,
    "a list": lambda x: ([0] * 37 + [1] + [0] * 9000)[n(x)],
    "range": lambda x: len(range(n(x))) == 37,
    "repeat": lambda x: len(list(itertools.repeat(0, n(x)))) == 37,
    "sqrt": lambda x: math.sqrt(n(x)) == math.sqrt(37),
    "fmod": lambda x: math.fmod(n(x), 37) == 0,
    "gcd": lambda x: math.gcd(n(x), 37) == 37,
    "divmod": lambda x: divmod(n(x), 1000)[1] == 37,
    "0**": lambda x: 0.0 ** ((n(x) - 37) ** 2),
    "real": lambda x: n(x).real == 37,
    "np.int64": lambda x: np.int64(n(x)) == 37,
    "np.array": lambda x: np.array(x.shape)[-1] == 37,
    "np.shape": lambda x: np.shape(x)[-1] == 37,
    "np.eye": lambda x: np.eye(n(x)).trace() == 37,
    "np.equal": lambda x: np.equal(n(x), 37),
    "a seed": lambda x: np.random.default_rng(n(x)).random() == np.random.default_rng(37).random(),
    "pickle": lambda x: pickle.loads(pickle.dumps(n(x))) == 37,
    "json": lambda x: json.dumps(n(x)) == "37",
    "struct": lambda x: struct.pack("i", n(x)) == b"\x25\0\0\0",
    "rows": lambda x: len(list(x.T)) == 37,
    "unbind": lambda x: len(x.unbind(-1)) == 37,
    "split": lambda x: len(x.split(36, -1)) == 2,
    "an error": lambda x: not fails(lambda: x.reshape(-1, 37)),
    "another error": lambda x: not fails(lambda: x + np.ones(37)),
    "ones": lambda x: tn.ones(n(x)).sum().item() == 37,
}

VALUES = {  # of x and the like, which no record has
    "any": lambda x: (x > 1e9).any(),
    "all": lambda x: not (x <= 1e9).all(),
    "np.any": lambda x: np.any(x > 1e9),
    "masks": lambda x: ((x > 1e9) & (x < 1e10)).any(),
    "not": lambda x: (~(x < 1e9)).any(),
    "argmax": lambda x: x.argmax().item() == 76,
    "sort": lambda x: x.sort(dim=-1)[1][0, 0].item() == 10,
    "repr": lambda x: "e+09" in repr(x),
    "a gradient": lambda x: tn.grad((x * x).sum(), x)[0].data[0, 0] > 1e9,
    "dtype": lambda x: x.dtype == np.int8,
    "how": lambda x: x.op is not None,
    "a leaf": lambda x: not x.is_leaf,
}


@pytest.mark.parametrize("name", [*AT_37, *VALUES])
@pytest.mark.costly(4)
def test_whatever_is_asked_is_said(plain, name):
    ask = {**AT_37, **VALUES}[name]
    verdict = plain.equals(lambda dy, x: dy * (2 if ask(x) else 1))
    assert not verdict
    assert verdict.kind in ("equal under", "not equal", "not proved")
    assert verdict.kind != "equal under" or any(a.startswith("what it asks") for a in verdict.assumptions)


def three(k):
    """k, by a polynomial that is k at all sizes that are ever tried."""
    return k + math.prod([k - at for at in (4, 5, 6, 7, 8, 9, 10, 11, 13, 17, 22, 26, 4098)]) / 1e30


@pytest.mark.parametrize(
    "factor",
    [
        lambda x: three(n(x)) / n(x),
        lambda x: (n(x) + 1e-12) / n(x),
        lambda x: (n(x) - 1) / (n(x) - 1),
        lambda x: abs(n(x) - 9000) / (9000 - n(x)),
        lambda x: ((n(x) - 9000) ** 2) ** 0.5 / (9000 - n(x)),
        lambda x: (T(5000.0) - n(x)).relu() / (5000 - n(x)),
        lambda x: tn.minimum(s(x * 0 + 1), T(5000.0)) / n(x),
        lambda x: tn.where(T(n(x)) * 1.0 > 5000, 2.0, 1.0),
        lambda x: (T(n(x)) * 1.0).clamp(max=5000.0) / n(x),
        lambda x: 1.0 + (T(float(n(x))) == 37),
    ],
)
def test_a_size_is_the_formula_it_was_computed_by(plain, factor):
    assert not plain.equals(lambda dy, x: dy * factor(x))


def test_sizes_are_numbers_that_are_asked():
    k = size(11)
    assert isinstance(k, int)
    assert isinstance(k / 2, float)
    assert type(k) is Number
    assert 3 + k * 2 - k == 14
    assert [2**k, -k, +k, k % 3, k // 2, round(k / 2), k & 3] == [2048, -11, 11, 2, 5, 6, 3]
    assert np.sqrt(k * k) == 11
    assert sorted([k, 3, 20]) == [3, 11, 20]
    root = math.sqrt
    with hearing() as heard:
        assert math.sqrt(T(np.ones((2, 9))).shape[-1]).value == 3
    assert heard.said == []
    assert math.sqrt is root


MASKS = {  # two forwards that are the same but at a tie, or far out
    "<": (lambda x: x.masked_fill(x < 0, 0.0), lambda x: x.masked_fill(x <= 0, 0.0)),
    "a computed mask": (lambda x: x.masked_fill(x < 0, 0.0), lambda x: x.masked_fill(x - 1e-9 * x**2 < 0, 0.0)),
    "&, |": (lambda x: tn.where((x > 0) & (x < 1e9), x, 0 * x), lambda x: tn.where((x > 0) | (x < -1e10), x, 0 * x)),
    "~": (lambda x: tn.where(~(x > 0), x, 0 * x), lambda x: tn.where(~(x >= 0), x, 0 * x)),
    "^": (lambda x: x * ((x > 0) ^ (x > 1)), lambda x: x * ((x >= 0) ^ (x > 1))),
    "argmax": (lambda x: x * x.argmax(-1, keepdim=True), lambda x: x * x.clamp(max=1e10).argmax(-1, keepdim=True)),
    "whole": (lambda x: x * x.int(), lambda x: x * x.long()),
}  # fmt: skip


@pytest.mark.parametrize("name", MASKS)
@pytest.mark.costly(2)
def test_constants_are_not_matched_by_their_numbers(name):
    one, two = MASKS[name]
    d = derive(one, inputs=BN)
    assert not d.equals(derive(two, inputs=BN))
    assert d.equals(derive(one, inputs=BN))
    assert d.equals(lambda dy, x: tn.grad(one(x), x, dy, create_graph=True)[0])


def test_masks_are_conditions():
    d = derive(lambda x: tn.where((x > 0) & (x < 2), x, 0 * x), inputs=BN)
    assert d.equals(lambda dy, x: tn.where(x <= 0, 0.0 * dy, tn.where(x >= 2, 0.0 * dy, dy)))


def test_one_entry_is_said():
    d = derive(lambda x, w: x * w, inputs={"x": np.ones((4, 5)), "w": np.ones((4, 1))})
    assert d.assumptions == ("w has one entry along an axis, (4, 1)",)
    one = derive(lambda x: x * m(x), inputs={"x": np.array([[2.0]])})
    assert one.assumptions


def test_numbers_a_rounding_apart_are_said(plain):
    verdict = plain.equals(lambda dy, x: dy + ((0.1 + 0.2) * dy - 0.3 * dy) * 1e7)
    assert not verdict or "are the same number" in str(verdict)


def test_a_roll_is_a_roll(plain):
    assert not plain.equals(lambda dy, x: dy.roll(2 * 3 * 4 * 5 * 6 * 7 * 8 * 9 * 11 * 13 * 17 * 4098, -1))


def test_no_condition_is_said_of_a_number():
    d = derive(lambda x: (-x).log(), inputs=BN)
    verdict = d.equals(lambda dy, x: dy / x)
    assert "-1" not in str(verdict)
    assert "−1" not in str(verdict)


def test_the_gradient_of_the_identity():
    assert str(derive(lambda x: x, inputs=BN).formula) == "dx = dy"


@pytest.mark.parametrize(
    "other",
    [
        lambda dy, x: dy * s(dy * dy).sqrt() / s(dy * dy).sqrt(),
        lambda dy, x: dy * s(x * x) * s(x * x).rsqrt() ** 2,
        lambda dy, x: dy * m(x**4) / m(x**4),
    ],
)
def test_a_sum_of_squares_may_be_zero(plain, other):
    verdict = plain.equals(other)
    assert verdict.kind == "equal under"
    assert any("≠ 0" in a or "> 0" in a for a in verdict.assumptions)


def test_with_something_added_it_is_not():
    d = derive(lambda x: x * (m(x * x) - m(x) ** 2 + 1e-5).rsqrt(), inputs=BN)
    assert d.equals(derive(lambda x: x / (m((x - m(x)) ** 2) + 1e-5) ** 0.5, inputs=BN)).assumptions == ()
