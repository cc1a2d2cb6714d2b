"""What holds for every registered normalization, on its own input and on each of its samples."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_norm as tn
from tinygrad_norm.engine import ARRAYS, Reading
from tinygrad_norm.norms import get, names

CASES = [(name, case) for name in names() for case in ({}, *get(name).samples)]
IDS = [f"{name}-{'-'.join(f'{k}={v}' for k, v in case.items()) or 'plain'}" for name, case in CASES]
every_case = pytest.mark.parametrize(("name", "case"), CASES, ids=IDS)


def inputs_of(name, case, seed=1, dtype="float64"):
    """The case's options, and random inputs for it: floating-point ones require gradients."""
    norm, rng = get(name), np.random.default_rng(seed)
    options = {**norm.options, **{k: v for k, v in case.items() if k != "shape"}}
    shape = case.get("shape", norm.shape)
    values = {n: norm.draw[n](rng, s) if n in norm.draw else rng.normal(0.3, 1.2, s)
              for n, s in {"input": shape, **norm.parameters(shape, **options)}.items()}  # fmt: skip
    inputs = {}
    for n, value in values.items():
        value = np.asarray(value)
        real = value.dtype.kind == "f"
        inputs[n] = tn.tensor(value.astype(dtype) if real else value, requires_grad=real, name=norm.symbol(n))
    return options, inputs


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@every_case
def test_record_formula_and_oracles_agree(name, case, dtype):
    result = tn.compare(name, dtype=dtype, seed=3, **case)
    assert result.ok, str(result)
    assert {p.gradient for p in result.pairs} == {f"d{get(name).symbol(n)}" for n in result.entries}


@every_case
def test_both_ways_agree_at_orders_one_to_four(name, case):
    """The analytic node against the record: with respect to every input, along random cotangents, four times over."""
    if get(name).by_design:
        pytest.skip("differs by design: its published backward is not the gradient")
    options, inputs = inputs_of(name, case)
    for n, leaf in inputs.items():
        if not leaf.requires_grad:
            continue
        seen = []
        for backward in ("recorded", "analytic"):
            rng = np.random.default_rng(6)
            d = get(name).apply(inputs, backward=backward, **options) ** 5  # a power: four derivatives by γ and β, too
            found = []
            for _ in range(4):
                (d,) = tn.grad(d, leaf, rng.normal(size=d.shape), create_graph=True)
                found.append(d.data)
            seen.append(found)
        for order, (a, c) in enumerate(zip(*seen), 1):
            np.testing.assert_allclose(a, c, rtol=1e-7, atol=1e-9 * np.abs(a).max(), err_msg=f"d{n}, order {order}")


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("backward", ["recorded", "analytic"])
@every_case
def test_dtypes_and_shapes_stay(name, case, backward, dtype):
    options, inputs = inputs_of(name, case, dtype=dtype)
    y = get(name).apply(inputs, backward=backward, **options)
    assert y.dtype == dtype
    leaves = [t for t in inputs.values() if t.requires_grad]
    for leaf, g in zip(leaves, tn.grad(y, leaves, np.ones(y.shape, dtype))):
        assert (g.shape, g.dtype) == (leaf.shape, leaf.dtype)
        assert np.isfinite(g.data).all()


@every_case
def test_both_ways_give_one_dtype_for_half_with_single_parameters(name, case):
    options, inputs = inputs_of(name, case, dtype="float32")
    inputs["input"] = tn.tensor(inputs["input"].data.astype("float16"), requires_grad=True)
    ways = [get(name).apply(inputs, backward=backward, **options) for backward in ("recorded", "analytic")]
    assert ways[0].dtype == ways[1].dtype
    for y in ways:
        assert tn.grad(y, inputs["input"], np.ones(y.shape, y.dtype))[0].dtype == np.float16


NEEDS_ENTRIES = {"spectral_norm", "weight_norm", "cross_entropy", "log_softmax"}  # a norm of nothing, a mean of no losses


@pytest.mark.parametrize("backward", ["recorded", "analytic"])
@pytest.mark.parametrize("name", [n for n in names() if n not in NEEDS_ENTRIES])
def test_an_empty_batch(name, backward):
    options, inputs = inputs_of(name, {"shape": (0, *get(name).shape[1:])})
    y = get(name).apply(inputs, backward=backward, **options)
    leaves = [t for t in inputs.values() if t.requires_grad]
    for leaf, g in zip(leaves, tn.grad(y, leaves, np.zeros(y.shape))):
        np.testing.assert_array_equal(g.data, np.zeros(leaf.shape))


@every_case
def test_the_record_has_named_scopes_and_the_formula_is_one_node(name, case):
    options, inputs = inputs_of(name, case)
    y = get(name).apply(inputs, backward="recorded", **options)
    assert any(t.scope for t in tn.graph(y).tensors), "the recorded form groups its steps in scopes"
    tn.graph(get(name).apply(inputs, backward="analytic", **options))


@every_case
def test_kernels_do_what_the_rules_say(name, case):
    options, inputs = inputs_of(name, case)
    y = get(name).apply(inputs, backward="analytic", **options)
    plain = Reading(lambda t: t._data)  # the rules over arrays, no shortcut
    for node in tn.graph(y).tensors:
        if node.op is None or node.op.kernel is None:
            continue
        g = np.random.default_rng(2).normal(size=node.shape)
        wanted = [i for i, x in enumerate(node.inputs) if isinstance(x, tn.Tensor) and node.op.pullbacks[i] is not None]
        by_rule = [plain.pull(node, i, g, node.data, plain.operands(node)) for i in wanted]
        for r, k in zip(by_rule, ARRAYS.shares(node, wanted, g)):
            np.testing.assert_allclose(np.broadcast_to(k, r.shape), r, atol=1e-12 * np.abs(r).max())


@pytest.mark.parametrize("backward", ["recorded", "analytic"])
@every_case
def test_views_and_odd_strides(name, case, backward):
    options, inputs = inputs_of(name, case)
    leaves = [t for t in inputs.values() if t.requires_grad]
    y = get(name).apply(inputs, backward=backward, **options)
    dy = np.random.default_rng(4).normal(size=y.shape)
    expected = tn.grad(y, leaves, dy)
    odd = {}
    for n, t in inputs.items():
        flipped = np.asfortranarray(t.data[..., ::-1])[..., ::-1] if t.ndim else t.data
        odd[n] = tn.from_numpy(flipped, requires_grad=t.requires_grad)
    y = get(name).apply(odd, backward=backward, **options)
    for g, e in zip(tn.grad(y, [t for t in odd.values() if t.requires_grad], np.asfortranarray(dy) if dy.ndim else dy), expected):
        np.testing.assert_allclose(g.data, e.data, atol=1e-12 * max(1, np.abs(e.data).max()))


@pytest.mark.parametrize("name", names())
def test_everything_that_is_known_is_written_down(name):
    norm = get(name)
    assert norm.title
    assert norm.formula
    assert norm.backward_formula
    assert norm.references
    assert callable(getattr(tn.functional, name))
    options, inputs = inputs_of(name, {})
    with pytest.raises(ValueError, match=r'"recorded", "analytic" or "compiled"'):
        norm.apply(inputs, backward="fused", **options)
