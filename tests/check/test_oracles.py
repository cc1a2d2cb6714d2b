"""The oracles: they know derivatives, their own error, and nothing of the engine."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest

from tinygrad_norm.check import central_difference, complex_step, oracles


def f(args):
    x, y = args
    return np.exp(x) * np.sum(y * y) + x**3


def truth(which):
    x, y = POINT
    return np.exp(x) * np.sum(y * y) + 3 * x**2 if which == 0 else 2 * y * np.sum(np.exp(x))


POINT = [np.array([0.3, -1.2, 2.0]), np.array([1.0, 0.5])]


@pytest.mark.parametrize("which", [0, 1])
def test_complex_step_is_exact_to_rounding(which):
    found = complex_step(f, POINT, which, np.arange(POINT[which].size))
    np.testing.assert_allclose(found.values, truth(which), rtol=1e-14)
    assert np.all(np.abs(found.values - truth(which)) <= found.error)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_central_difference_knows_its_error(scale):
    point = [np.array([0.3, -1.2, 2.0]) * scale]
    found = central_difference(lambda a: np.tanh(a[0] / scale), point, 0, np.arange(3))
    off = np.abs(found.values - (1 - np.tanh(point[0] / scale) ** 2) / scale)
    assert np.all(off <= 4 * found.error)
    off = off.max()
    assert off * scale < 1e-8


def test_only_the_entries_asked_for():
    found = complex_step(f, POINT, 0, np.array([2]))
    assert found.values.shape == (1,)
    assert found.values[0] == pytest.approx(truth(0)[2])


def test_the_point_is_not_moved():
    before = [a.copy() for a in POINT]
    for oracle in (complex_step, central_difference):
        oracle(f, POINT, 1, np.arange(2))
    for a, b in zip(POINT, before):
        np.testing.assert_array_equal(a, b)


def test_float32_inputs_are_judged_in_double_precision():
    x = np.array([0.1, 0.2], "float32")
    found = complex_step(lambda a: np.exp(a[0]), [x], 0, np.arange(2))
    np.testing.assert_allclose(found.values, np.exp(x.astype("float64")), rtol=1e-15)


def test_no_oracle_knows_the_backward_pass():
    tree = ast.parse(Path(oracles.__file__).read_text(encoding="utf-8"))
    imported = {n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    assert {m for m in imported if m and "engine" in m} == {"engine.arrays", "engine.errors"}
