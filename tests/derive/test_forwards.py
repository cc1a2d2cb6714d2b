"""What a reader brought: the derived formula and source are right at other sizes and in float32, and as short as by hand."""

from __future__ import annotations

import inspect
import re

import numpy as np
import pytest

import tinygrad_norm as tn
from tinygrad_norm.derive import derive

from .forwards import BY_HAND, FORWARDS
from .running import function_of, run

SIZES = ({"B": 4, "C": 3, "N": 6}, {"B": 3, "C": 5, "N": 12}, {"B": 7, "C": 2, "N": 4})


def words(formula: str) -> int:
    """How many names, numbers and signs a formula has. The line that says what p is does not count: by hand it was left out."""
    formula = formula.replace(",  p = softmax(x)", "")
    return len(re.findall(r"[^\W\d_][\ŵ²³₀-₉]*|\d+(?:\.\d+)?|[^\s\w]", formula))


@pytest.mark.parametrize("name", FORWARDS)
@pytest.mark.costly(24)
def test_the_formula_is_right_at_other_sizes_and_in_float32(name):
    forward, inputs = FORWARDS[name]
    d = derive(forward, "x", inputs=inputs)
    assert d.ok
    assert d.operations[1] <= d.operations[0]
    function = function_of(d.numpy_source())
    wanted = set(inspect.signature(function).parameters)
    for sizes in SIZES:
        for dtype, close in ((np.float64, 1e-9), (np.float32, 1e-3)):
            rng = np.random.default_rng(3)
            given = {n: rng.normal(size=[sizes.get(a, 1) for a in axes]).astype(dtype) for n, axes in inputs.items()}
            leaves = {n: tn.tensor(a, requires_grad=True) for n, a in given.items()}
            y = forward(**leaves)
            dy = rng.normal(size=y.shape).astype(dtype)
            want = tn.grad(y, leaves["x"], dy)[0].data
            if wanted <= {"dy", *given}:
                got = function(**{n: a for n, a in {"dy": dy, **given}.items() if n in wanted})
            else:  # what was detached is an argument: its value stands on a record of these numbers
                again = derive(forward, "x", inputs=given)
                got, want = run(again), tn.grad(again.record.output, again.record.inputs["x"], again.record.dy.data)[0].data
            assert got.dtype == dtype
            assert got.shape == want.shape
            # where the terms cancel, rounding is that of the terms
            assert np.max(np.abs(got - want)) < close * max(np.max(np.abs(want)), np.max(np.abs(dy)))


@pytest.mark.parametrize("name", BY_HAND)
def test_it_is_no_longer_than_by_hand(name):
    forward, inputs = FORWARDS[name]
    assert words(str(derive(forward, "x", inputs=inputs).formula)) <= 1.3 * words(BY_HAND[name])


def test_what_names_nothing_is_the_greater_part():
    unnamed = [n for n, (f, _) in FORWARDS.items() if ".named(" not in inspect.getsource(f)]
    assert len(FORWARDS) >= 60
    assert 2 * len(unnamed) >= len(FORWARDS)
