"""Every primitive of the table: its value, and its gradient at orders 1, 2 and 3, against oracles.

The samples are in samples.py. A random cotangent always: ones would hide wrong rules.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from tests.engine.samples import NUMPY, SAMPLES
from tests.oracles import central, complex_step, gradient
from tinygrad_norm.engine import TABLE, Op, Tensor, from_numpy, grad

CASES = [
    pytest.param(TABLE[name], inputs, params, id=f"{name}-{i}")
    for name, samples in SAMPLES.items()
    for i, (inputs, params) in enumerate(samples)
]
DIFFERENTIABLE = [case for case in CASES if not case.values[0].constant]
each_case = pytest.mark.parametrize(("op", "inputs", "params"), CASES)
each_differentiable = pytest.mark.parametrize(("op", "inputs", "params"), DIFFERENTIABLE)


def floating(x: Any) -> bool:
    return isinstance(x, np.ndarray) and x.dtype.kind == "f"


def cast(inputs: Sequence[Any], dtype: str) -> list[Any]:
    """The inputs in another dtype, each stored as it was."""
    return [np.asarray(x.astype(dtype, order="K")) if floating(x) else x for x in inputs]


def leaves(inputs: Sequence[Any]) -> list[Any]:
    """Floating arrays as leaves that share memory (and strides), the rest as it is."""
    return [from_numpy(x[...], requires_grad=True) if floating(x) else x for x in inputs]


def targets(tensors: Sequence[Any]) -> list[Tensor]:
    return [t for t in tensors if isinstance(t, Tensor)]


def cotangent(shape: tuple[int, ...], dtype: Any = "float64") -> np.ndarray:
    return np.asarray(np.random.default_rng(3).standard_normal(shape)).astype(dtype)


def first_gradients(op: Op, inputs: Sequence[Any], params: dict[str, Any], create_graph: bool = False) -> list[np.ndarray]:
    tensors = leaves(inputs)
    out = op(*tensors, **params)
    return [g.data for g in grad(out, targets(tensors), cotangent(out.shape, out.dtype), create_graph=create_graph)]


# The registry --------------------------------------------------------------------------------------------


def test_every_op_has_samples_and_a_reference():
    assert set(SAMPLES) == set(TABLE), "give every op of the table a line in tests/engine/samples.py"
    assert set(NUMPY) == set(TABLE)
    assert all(SAMPLES.values())


@pytest.mark.parametrize("name", TABLE)
def test_an_entry_is_complete(name):
    op, (inputs, params) = TABLE[name], SAMPLES[name][0]
    assert op.name == name
    if isinstance(op.pullbacks, tuple):  # else one rule serves every input
        assert len(op.pullbacks) == len(inputs)
    assert op.text.format(*(f"x{i}" for i in range(len(inputs))), **params).count("x0") == 1
    assert name in repr(op)


# Values --------------------------------------------------------------------------------------------------


@each_case
def test_value_is_numpys(op, inputs, params):
    expected = np.asarray(NUMPY[op.name](*inputs, **params))
    out = op(*leaves(inputs), **params)
    assert out.shape == expected.shape
    assert out.dtype == expected.dtype
    np.testing.assert_allclose(out.data, expected, rtol=1e-14, atol=1e-15)
    np.testing.assert_allclose(op(*inputs, **params), expected, rtol=1e-14, atol=1e-15)


@each_case
def test_only_what_can_be_differentiated_is_recorded(op, inputs, params):
    out = op(*leaves(inputs), **params)
    assert out.requires_grad is not op.constant
    assert out.op is (None if op.constant else op)
    if op.elementwise:
        assert out.shape == np.broadcast_shapes(*(np.shape(x) for x in inputs))


# Gradients -----------------------------------------------------------------------------------------------


@each_differentiable
@pytest.mark.usefixtures("any_size")
def test_first_order(op, inputs, params):
    out_shape = np.shape(op.forward(*inputs, **params))
    found = first_gradients(op, inputs, params)
    positions = [i for i, x in enumerate(inputs) if floating(x)]
    for position, g in zip(positions, found):
        derivative = complex_step if op.smooth else central
        expected = gradient(lambda *xs: op.forward(*xs, **params), inputs, position, cotangent(out_shape), derivative)
        np.testing.assert_allclose(g, expected, rtol=1e-12 if op.smooth else 1e-9, atol=1e-13 if op.smooth else 1e-10)


@each_differentiable
@pytest.mark.parametrize("order", [2, 3])
def test_higher_orders(op, inputs, params, order):
    """The derivative of order k along random v, against the stencil through the engine's order k − 1."""
    rng = np.random.default_rng(11)
    seed = rng.standard_normal(np.shape(op.forward(*inputs, **params)))
    v, w = ([rng.uniform(-1, 1, x.shape) if floating(x) else None for x in inputs] for _ in range(2))

    def along(arrays: Sequence[Any], order: int) -> tuple[Tensor, list[Any]]:
        """<seed, f> differentiated ``order`` times along v, recorded."""
        tensors = leaves([np.asarray(x) if floating(x) else x for x in arrays])
        s = (op(*tensors, **params) * seed).sum()
        for _ in range(order):
            gs = grad(s, targets(tensors), create_graph=True, allow_unused=True)
            s = sum((g * d).sum() for g, d in zip(gs, (d for d in v if d is not None)) if g is not None)
            if not isinstance(s, Tensor):
                return from_numpy(np.zeros(())), tensors
        return s, tensors

    s, tensors = along(inputs, order - 1)
    found = grad(s, targets(tensors), allow_unused=True)
    slope = sum(np.sum(g.data * d) for g, d in zip(found, (d for d in w if d is not None)) if g is not None)
    expected = central(lambda *xs: along(xs, order - 1)[0].item(), inputs, w)
    np.testing.assert_allclose(slope, expected, rtol=1e-7, atol=1e-8)


@each_differentiable
def test_the_rule_over_tensors_gives_the_same_numbers(op, inputs, params):
    for over_arrays, over_tensors in zip(
        first_gradients(op, inputs, params), first_gradients(op, inputs, params, create_graph=True)
    ):
        np.testing.assert_array_equal(over_arrays, over_tensors)


@each_differentiable
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("create_graph", [False, True])
def test_gradient_has_the_inputs_shape_and_dtype(op, inputs, params, dtype, create_graph):
    if op.name == "astype":
        params = {"dtype": np.dtype(dtype)}
    low = cast(inputs, dtype)
    assert op(*leaves(low), **params).dtype == dtype
    exact = first_gradients(op, cast(low, "float64"), params)
    found = first_gradients(op, low, params, create_graph)
    tolerance = {"float16": 2e-2, "float32": 1e-5, "float64": 1e-12}[dtype]
    for x, g, reference in zip([x for x in low if floating(x)], found, exact):
        assert g.shape == x.shape
        assert g.dtype == x.dtype
        np.testing.assert_allclose(g, reference, rtol=tolerance, atol=tolerance * 2)


@each_differentiable
def test_mixed_dtypes_each_gradient_in_its_own(op, inputs, params):
    dtypes = ["float32", "float64", "float16"]
    mixed = [x.astype(dtypes[i % 3]) if floating(x) else x for i, x in enumerate(inputs)]
    for x, g in zip([x for x in mixed if floating(x)], first_gradients(op, mixed, params)):
        assert g.dtype == x.dtype


# Manners -------------------------------------------------------------------------------------------------


@each_differentiable
@pytest.mark.parametrize("create_graph", [False, True])
def test_inputs_and_cotangents_are_left_alone(op, inputs, params, create_graph):
    mine = [np.array(x) if floating(x) else x for x in inputs]  # writeable, so that a write would succeed
    tensors = [Tensor(x, requires_grad=True) if floating(x) else x for x in mine]
    out = op(*tensors, **params)
    dy = cotangent(out.shape)
    before = dy.copy(), out._data.copy()
    found = grad(out, targets(tensors), dy, create_graph=create_graph)
    for x, original in zip(mine, inputs):
        np.testing.assert_array_equal(x, original)
    np.testing.assert_array_equal(dy, before[0])
    np.testing.assert_array_equal(out._data, before[1])
    assert not any(np.may_share_memory(g._data, dy) for g in found)


@each_differentiable
def test_two_runs_agree_to_the_bit(op, inputs, params):
    for one, two in zip(first_gradients(op, inputs, params), first_gradients(op, inputs, params)):
        assert one.tobytes() == two.tobytes()
