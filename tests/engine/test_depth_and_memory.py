"""Deep graphs, wide ladders, graphs that die when dropped, and threads that do not meet."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Iterator

import numpy as np
import pytest

from tinygrad_norm.engine import TABLE, Op, Tensor, grad, history, no_grad, scope, tensor

DEPTH = 100_000


def leaf(values) -> Tensor:
    return tensor(np.asarray(values, float), requires_grad=True)


# Depth ---------------------------------------------------------------------------------------------------


def _chain(x: Tensor) -> Tensor:
    y = x
    for _ in range(DEPTH // 2):
        y = y * 1.0001 - 0.0001
    return y


@pytest.mark.thorough
def test_a_chain_of_100_000_ops():
    x = leaf([1.0, 2.0])
    y = _chain(x)
    assert len(history(y)) == DEPTH + 1
    y.backward(np.array([1.0, -1.0]))
    slope = 1.0001 ** (DEPTH // 2)
    np.testing.assert_allclose(x.grad.data, [slope, -slope], rtol=1e-9)
    del y  # and dies without exhausting the stack


@pytest.mark.thorough
def test_a_chain_of_100_000_ops_recorded_and_differentiated_again():
    x = leaf(0.5)
    y = x
    for _ in range(DEPTH // 2):
        y = y * x + 0.5
    (g,) = grad(y, x, create_graph=True)
    (gg,) = grad(g, x)  # y tends to 1/(2(1−x)): the geometric series
    np.testing.assert_allclose([y.item(), g.item(), gg.item()], [1.0, 2.0, 8.0], rtol=1e-9)


def test_a_diamond_ladder_of_1000_steps_has_two_to_the_1000_routes_and_2000_edges():
    calls = []

    def count(g, out, a, b):
        calls.append(1)
        return g

    join = Op("join", "{0}+{1}", np.add, (count, count), elementwise=True)
    x = leaf(1.0)
    y = x
    for _ in range(1000):
        y = join(y, y)
    (g,) = grad(y, x)
    assert g.item() == 2.0**1000
    assert len(calls) == 2000
    (g,) = grad(y, x, create_graph=True)
    assert g.item() == 2.0**1000
    assert len(calls) == 4000


def test_unequal_rails_of_a_ladder():
    """x₊ = x + 2z, z₊ = x − z: two rails that cross at every rung, against the matrix's power."""
    x0, z0 = leaf(1.0), leaf(1.0)
    x, z = x0, z0
    for _ in range(1000):
        x, z = (x + z * 2.0) * 0.5, (x - z) * 0.5
    rungs = np.linalg.matrix_power(np.array([[0.5, 1.0], [0.5, -0.5]]), 1000)
    found = grad(x, [x0, z0])
    np.testing.assert_allclose([g.item() for g in found], rungs[0], rtol=1e-9)


# Memory --------------------------------------------------------------------------------------------------


@pytest.fixture
def _no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def _network() -> tuple[Tensor, Tensor, list[weakref.ref]]:
    x = leaf([[1.0, 2.0, 4.0]])
    u = x - x.mean(axis=-1, keepdim=True)
    v = (u * u).mean(axis=-1, keepdim=True)
    w = u * (v + 1e-5).rsqrt()
    y = TABLE["concatenate"](w, w[:, ::-1], axis=0) ** 3
    return x, y, [weakref.ref(node) for node in history(y) if node is not x]


@pytest.mark.usefixtures("_no_collector")
@pytest.mark.parametrize("use", ["nothing", "backward", "backward twice", "grad", "create_graph", "second order", "error"])
@pytest.mark.costly(3)
def test_a_dropped_graph_is_freed_without_the_collector(use):
    x, y, nodes = _network()
    seed = np.ones(y.shape)
    if use.startswith("backward"):
        y.backward(seed)
    if use == "backward twice":
        y.backward(seed)
    if use == "grad":
        grad(y, x, seed)
    if use == "create_graph":
        (g,) = grad(y, x, seed, create_graph=True)
        nodes += [weakref.ref(node) for node in history(g) if node is not x]
        del g
    if use == "second order":
        (g,) = grad(y, x, seed, create_graph=True)
        nodes += [weakref.ref(node) for node in history(g) if node is not x]
        (g * g).sum().backward()
        del g
    if use == "error":
        with pytest.raises(RuntimeError):
            y.backward()
    assert all(ref() is not None for ref in nodes if use == "nothing")
    del y
    assert [ref() for ref in nodes if ref() is not None] == []


@pytest.mark.usefixtures("_no_collector")
def test_a_gradient_does_not_keep_the_graph_and_a_recorded_one_does():
    x, y, nodes = _network()
    (plain,) = grad(y, x, np.ones(y.shape))
    (recorded,) = grad(y, x, np.ones(y.shape), create_graph=True)
    del y
    assert any(ref() is not None for ref in nodes)
    del recorded
    assert all(ref() is None for ref in nodes)
    assert plain.shape == x.shape


@pytest.mark.usefixtures("_no_collector")
def test_without_recording_nothing_is_kept():
    x = leaf([1.0, 2.0])
    with no_grad():
        u = x * 2.0
        ref = weakref.ref(u)
        y = u + 1.0
        del u
    assert ref() is None
    assert y.inputs == ()
    assert not y.requires_grad


# Recording and scopes --------------------------------------------------------------------------------------


def test_no_grad_and_scope_end_with_their_block_even_by_an_exception():
    x = leaf([1.0])
    with pytest.raises(KeyError), no_grad(), scope("inner"):
        raise KeyError
    y = x * 2.0
    assert y.requires_grad
    assert y.scope == ()


def test_no_grad_nests():
    x = leaf([1.0])
    with no_grad():
        with no_grad():
            assert not (x * 2.0).requires_grad
        assert not (x * 2.0).requires_grad  # the inner one's end does not end the outer one
    assert (x * 2.0).requires_grad


def test_scopes_nest_and_no_grad_decorates():
    x = leaf([1.0])
    with scope("norm"):
        a = x * 2.0
        with scope("variance"):
            b = a * a
        c = b + a
    assert (a.scope, b.scope, c.scope) == (("norm",), ("norm", "variance"), ("norm",))

    @no_grad()
    def evaluate(t):
        return t * 2.0

    assert not evaluate(x).requires_grad
    assert not evaluate(x).requires_grad
    assert (x * 2.0).requires_grad


def test_threads_have_their_own_no_grad_and_scope():
    x, results, meet = leaf([1.0, 2.0]), {}, threading.Barrier(2, timeout=30)

    def silent() -> None:
        with no_grad(), scope("silent"):
            meet.wait()  # both are inside their blocks from here ...
            results["silent"] = x * 2.0
            meet.wait()  # ... to here

    def loud() -> None:
        with scope("loud"):
            meet.wait()
            results["loud"] = x * 3.0
            meet.wait()

    threads = [threading.Thread(target=work) for work in (silent, loud)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not results["silent"].requires_grad
    assert results["silent"].scope == ("silent",)
    assert results["loud"].requires_grad
    assert results["loud"].scope == ("loud",)


def test_threads_differentiate_side_by_side():
    shared, found = leaf(np.arange(1.0, 5.0)), {}

    def work(k: int) -> None:
        y = shared * float(k)
        for _ in range(300):
            y = y * 1.0 + shared
        found[k] = grad(y, shared, np.ones(4))[0].data

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for k in range(4):
        np.testing.assert_array_equal(found[k], np.full(4, k + 300.0))
