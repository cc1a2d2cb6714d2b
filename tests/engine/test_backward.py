"""The pass itself: routes that meet, cotangents that are shared, and what is never computed."""

from __future__ import annotations

import numpy as np
import pytest

from tinygrad_norm.engine import TABLE, GradientError, Op, Tensor, from_numpy, grad, no_grad, pull_back, tensor

pytestmark = pytest.mark.usefixtures("any_size")


def leaf(values, name=None):
    return tensor(np.asarray(values, float), requires_grad=True, name=name)


# Routes that meet ----------------------------------------------------------------------------------------


def test_a_diamond_adds_both_routes():
    x = leaf([1.0, 2.0, 3.0])
    u = x * 2.0
    y = u.exp() * 0.001 + u * u
    (g,) = grad(y, x, np.array([1.0, -2.0, 0.5]))
    np.testing.assert_allclose(g.data, np.array([1.0, -2.0, 0.5]) * (0.002 * np.exp(2 * x.data) + 8 * x.data))


def test_one_node_on_both_edges_of_an_op():
    a = leaf([3.0, -4.0])
    np.testing.assert_array_equal(grad(a * a, a, np.array([1.0, 10.0]))[0].data, [6.0, -80.0])
    np.testing.assert_array_equal(grad(a - a, a, np.array([1.0, 10.0]))[0].data, [0.0, 0.0])
    np.testing.assert_array_equal(grad(a / a, a, np.array([1.0, 10.0]))[0].data, [0.0, 0.0])


@pytest.mark.parametrize("shape", [(), (1,), (2, 3)])
@pytest.mark.parametrize("routes", [2, 3, 4, 7])
@pytest.mark.parametrize("create_graph", [False, True])
def test_many_routes_into_one_node(shape, routes, create_graph):
    x = leaf(np.full(shape, 1.5))
    y = x * 1.0
    for k in range(1, routes):
        y = y + x * float(10**k)
    (g,) = grad(y, x, np.full(shape, 2.0), create_graph=create_graph)
    np.testing.assert_array_equal(g.data, np.full(shape, 2.0 * int("1" * routes)))


def test_accumulation_into_grad_over_two_calls():
    x, w = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    (x * w).sum().backward()
    first = x.grad
    np.testing.assert_array_equal(x.grad.data, [3.0, 4.0])
    (x * x * w).backward(np.array([1.0, 0.5]))
    np.testing.assert_array_equal(x.grad.data, [3.0 + 6.0, 4.0 + 8.0])
    np.testing.assert_array_equal(w.grad.data, [1.0 + 1.0, 2.0 + 2.0])
    np.testing.assert_array_equal(first.data, [3.0, 4.0])  # whoever kept the first gradient keeps its numbers
    assert x.grad.is_leaf
    assert not x.grad.requires_grad


def test_backward_twice_through_one_record():
    x = leaf([1.0, 2.0])
    y = (x * x).sum()
    y.backward()
    y.backward()
    np.testing.assert_array_equal(x.grad.data, [4.0, 8.0])


def test_only_leaves_get_grad_and_only_those_that_require_it():
    x, c = leaf([1.0, 2.0]), tensor([3.0, 4.0])
    u = x * c
    (u * u).sum().backward()
    assert c.grad is None
    assert u.grad is None
    np.testing.assert_array_equal(x.grad.data, 2 * x.data * c.data**2)


def test_a_leaf_is_its_own_output():
    x = leaf(2.0)
    x.backward()
    assert x.grad.item() == 1.0
    v = leaf([1.0, 2.0])
    np.testing.assert_array_equal(grad(v, v, np.array([5.0, 6.0]))[0].data, [5.0, 6.0])


# Targets -------------------------------------------------------------------------------------------------


def test_interior_gradients():
    x = leaf([1.0, 2.0, 3.0])
    u = x * x
    v = u.exp()
    y = (v * u).sum()
    gu, gx, gv, gy = grad(y, [u, x, v, y])
    np.testing.assert_allclose(gv.data, u.data)
    np.testing.assert_allclose(gu.data, v.data + v.data * u.data)
    np.testing.assert_allclose(gx.data, 2 * x.data * gu.data)
    assert gy.item() == 1.0


def test_a_target_that_also_hands_its_cotangent_on_whole():
    x = leaf([1.0, 2.0])
    u = x * 3.0
    w = u + 1.0  # u receives w's array itself
    y = w * w
    gx, gu, gw = grad(y + u, [x, u, w], np.array([1.0, 1.0]))
    np.testing.assert_array_equal(gw.data, 2 * w.data)
    np.testing.assert_array_equal(gu.data, 2 * w.data + 1)
    np.testing.assert_array_equal(gx.data, 3 * gu.data)


def test_several_outputs_and_inputs():
    x, w = leaf([1.0, 2.0]), leaf([5.0, 7.0])
    y, z = x * w, (x + w).sum()
    dy = np.array([10.0, 100.0])
    gx, gw = grad([y, z], [x, w], [dy, 3.0])
    np.testing.assert_array_equal(gx.data, dy * w.data + 3)
    np.testing.assert_array_equal(gw.data, dy * x.data + 3)
    gx, gw = grad([y, z], [x, w], [dy, np.array(3.0)], create_graph=True)
    np.testing.assert_array_equal(gx.data, dy * w.data + 3)
    np.testing.assert_array_equal(gw.data, dy * x.data + 3)


def test_the_same_input_asked_for_twice_and_the_same_output_given_twice():
    x = leaf([1.0, 2.0])
    y = (x * x).sum()
    one, two = grad(y, [x, x])
    np.testing.assert_array_equal(one.data, [2.0, 4.0])
    np.testing.assert_array_equal(two.data, [2.0, 4.0])
    np.testing.assert_array_equal(grad([y, y], x)[0].data, [4.0, 8.0])


def test_allow_unused_gives_none_there_only():
    x, z = leaf([1.0, 2.0]), leaf([1.0])
    gx, gz = grad((x * 2.0).sum(), [x, z], allow_unused=True)
    assert gz is None
    np.testing.assert_array_equal(gx.data, [2.0, 2.0])


def test_detached_and_unrecorded_outputs_use_nothing():
    x = leaf([1.0])
    assert grad(x.detach().sum(), x, allow_unused=True) == (None,)
    with no_grad():
        y = (x * 2.0).sum()
    assert grad(y, x, allow_unused=True) == (None,)


def test_keep_gives_every_cotangent_on_the_way():
    x = leaf([1.0, 2.0])
    u = x * 2.0
    v = u.exp()
    y = v.sum()
    found = pull_back({y: np.ones(())}, [x], keep=True)
    assert {x, u, v, y} <= set(found)
    np.testing.assert_allclose(np.broadcast_to(found[u], (2,)), v.data)
    np.testing.assert_allclose(np.broadcast_to(found[v], (2,)), 1.0)
    assert set(pull_back({y: np.ones(())}, [x])) == {x}  # and without it, nothing is held


# Nothing is computed for nobody -----------------------------------------------------------------------------


def _must_not_run(*args, **params):
    raise AssertionError("a rule ran whose result nobody asked for")


def test_no_rule_runs_for_an_input_that_needs_no_gradient():
    first_only = Op("first_only", "f({0}, {1})", lambda a, b: a * b, (lambda g, out, a, b: g * b, _must_not_run))
    x, c, other = leaf([1.0, 2.0]), tensor([3.0, 4.0]), leaf([3.0, 4.0])
    np.testing.assert_array_equal(grad(first_only(x, c).sum(), x)[0].data, [3.0, 4.0])
    first_only(x, c).sum().backward()
    np.testing.assert_array_equal(grad(first_only(x, other).sum(), x)[0].data, [3.0, 4.0])  # not among the targets
    with pytest.raises(AssertionError, match="nobody asked"):  # the guard works
        grad(first_only(x, other).sum(), other)


def test_branches_off_the_way_are_not_visited():
    poison = Op("poison", "p({0})", lambda a: a, (_must_not_run,))
    x, z = leaf([1.0]), leaf([2.0])
    y = (x * 2.0 + poison(z)).sum()
    np.testing.assert_array_equal(grad(y, x)[0].data, [2.0])
    u = poison(x)
    np.testing.assert_array_equal(grad((u * 3.0).sum(), u)[0].data, [3.0])  # below the target nobody needs to go


def test_none_as_a_rule_stops_the_flow():
    stop = Op("stop", "s({0}, {1})", lambda a, b: a * b, (lambda g, out, a, b: g * b, None))
    x = leaf([2.0, 3.0])
    np.testing.assert_array_equal(grad(stop(x, x).sum(), x)[0].data, [2.0, 3.0])


# Kernels -----------------------------------------------------------------------------------------------------


def test_a_kernel_serves_arrays_and_the_rules_serve_tensors():
    asked = []

    def kernel(wanted, g, out, a, b):
        asked.append((tuple(wanted), g.shape))
        return [(g * b, g * a)[position] for position in wanted]

    rules = TABLE["mul"].pullbacks
    fast = Op("fast", "{0}*{1}", np.multiply, rules, kernel=kernel)
    a, b = leaf([[1.0, 2.0]]), leaf([[3.0, 4.0]])
    y = fast(a, b).sum()
    np.testing.assert_array_equal(grad(y, b)[0].data, a.data)
    np.testing.assert_array_equal(grad(y, [a, b])[0].data, b.data)
    assert asked == [((1,), (1, 2)), ((0, 1), (1, 2))]  # the wanted ones only, and the cotangent at full size
    (ga,) = grad(y, a, create_graph=True)
    assert len(asked) == 2
    np.testing.assert_array_equal(grad(ga.sum(), b)[0].data, [[1.0, 1.0]])


# Nobody's array is written to ---------------------------------------------------------------------------------


def test_one_cotangent_handed_to_two_inputs_that_receive_more():
    a, b = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    u, v = a * 1.0, b * 1.0
    z = u + v  # u and v get the same array ...
    y = z + u * 10.0 + v * 100.0  # ... and one more share each
    gu, gv, gz = grad(y, [u, v, z], np.array([1.0, 2.0]))
    np.testing.assert_array_equal(gz.data, [1.0, 2.0])
    np.testing.assert_array_equal(gu.data, [11.0, 22.0])
    np.testing.assert_array_equal(gv.data, [101.0, 202.0])


beside = Op(
    "beside",
    "{0} + {1}ᵀ",
    lambda a, b: a + b.T,
    (lambda g, out, a, b: g, lambda g, out, a, b: TABLE["transpose"](g, axes=(1, 0))),
)
MOVES = {
    "nothing": lambda t: t,
    "add": lambda t: t + 0.0,
    "reshape": lambda t: t.reshape(3, 2).reshape(2, 3),
    "transpose": lambda t: t.T.T,
    "getitem": lambda t: t[:, ::-1][:, ::-1],
    "broadcast_to": lambda t: t.broadcast_to(2, 3),
}


@pytest.mark.parametrize("kept", [False, True], ids=["", "kept"])
@pytest.mark.parametrize("owned", [False, True], ids=["the user's", "the pass's own"])
@pytest.mark.parametrize("neighbour", ["none", "left", "right", "transposed"])
@pytest.mark.parametrize("move", MOVES)
def test_what_x_shares_with_others_is_not_added_into(move, neighbour, owned, kept):
    """x holds u's cotangent, or a view of it, when its last share comes: x alone may change."""
    x, z = leaf(np.arange(6.0).reshape(2, 3)), leaf(np.arange(6.0).reshape(2, 3))
    early = x * 10.0  # the oldest op, so its share is the last
    moved = MOVES[move](x)
    if neighbour == "transposed":
        z = leaf(np.arange(6.0).reshape(3, 2))
        u = beside(moved, z)
    else:
        u = {"none": lambda: moved + 0.0, "left": lambda: z + moved, "right": lambda: moved + z}[neighbour]()
    y = (u * 1.0 + u * 2.0 if owned else u) + early
    seed = np.array([[1.0, 2.0, 4.0], [8.0, 16.0, 32.0]])
    mine, times = seed.copy(), 3 if owned else 1
    gx, gz, *gu = grad(y, [x, z, u] if kept else [x, z], mine, allow_unused=True)
    np.testing.assert_array_equal(gx.data, (times + 10) * seed)
    if neighbour != "none":
        np.testing.assert_array_equal(gz.data, times * (seed.T if neighbour == "transposed" else seed))
    for g in gu:
        np.testing.assert_array_equal(g.data, times * seed)
    np.testing.assert_array_equal(mine, seed)


def test_rows_and_columns_of_one_cotangent():
    n = 4
    a, b = leaf(np.arange(n)), leaf(np.arange(n).reshape(1, n))
    z = a * 2.0 + b * 3.0  # (N,) against (1, N)
    y = z * z + a + b
    seed = np.arange(1.0, n + 1).reshape(1, n)
    ga, gb = grad(y, [a, b], seed)
    expected = 2 * z.data * seed
    np.testing.assert_array_equal(ga.data, (2 * expected + seed).reshape(n))
    np.testing.assert_array_equal(gb.data, 3 * expected + seed)


@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize("wrap", [np.asarray, from_numpy], ids=["array", "tensor"])
def test_the_users_cotangent_is_neither_written_to_nor_returned(create_graph, wrap):
    a, b = leaf([1.0, 2.0]), leaf([[3.0, 4.0]])
    dy = np.array([[5.0, 6.0]])
    y = a + b
    y = y + b.reshape(2) + a
    found = grad(y, [a, b, y], wrap(dy), create_graph=create_graph)
    np.testing.assert_array_equal(dy, [[5.0, 6.0]])
    np.testing.assert_array_equal(found[0].data, [10.0, 12.0])
    if wrap is np.asarray:
        dy[...] = 0.0
    np.testing.assert_array_equal(found[2].data, [[5.0, 6.0]])


def test_a_rule_may_return_an_array_it_holds():
    """A rule that returns something it did not make (here: the input) must not see it written to."""
    weigh = Op("weigh", "weigh({0})", lambda x: x * x / 2, (lambda g, out, x: x,))  # right for g = 1
    data = np.array([1.0, 2.0])
    x = Tensor(data, requires_grad=True)
    y = x * 5.0 + weigh(x) + weigh(x)
    np.testing.assert_array_equal(grad(y, x, np.ones(2))[0].data, [7.0, 9.0])
    np.testing.assert_array_equal(data, [1.0, 2.0])


# Cotangents smaller than their node -----------------------------------------------------------------------------


@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize(
    ("name", "between"),
    [
        ("add", lambda x, w: x + w),
        ("sub", lambda x, w: w - x),
        ("mul", lambda x, w: x * w),
        ("div", lambda x, w: w / x),
        ("square", lambda x, w: x**2),
        ("power zero", lambda x, w: x**0 + x),
        ("exp", lambda x, w: x.exp()),
        ("matmul", lambda x, w: x @ w.T),
        ("matmul right", lambda x, w: w.T @ x),
        ("where", lambda x, w: TABLE["where"](w.data > 1.0, x, w)),
        ("maximum", lambda x, w: TABLE["maximum"](x, w)),
        ("reshape", lambda x, w: x.reshape(3, 2)),
        ("transpose", lambda x, w: x.T),
        ("getitem", lambda x, w: x[1:, [0, 0, 2]]),
        ("concatenate", lambda x, w: TABLE["concatenate"](w, x, axis=0)),
        ("max", lambda x, w: x.max(axis=0)),
        ("mean", lambda x, w: x.mean(axis=1)),
        ("broadcast_to", lambda x, w: x.broadcast_to(2, 2, 3)),
        ("astype", lambda x, w: x.astype("float32")),
    ],
)
def test_a_sums_cotangent_feeds_every_kind_of_op(name, between, create_graph):
    """sum's cotangent is one number for a whole array; spreading it by hand must give the same gradient."""
    rng = np.random.default_rng(5)
    x, w = leaf(rng.uniform(0.5, 2.0, (2, 3))), leaf(rng.uniform(0.5, 2.0, (2, 3)))
    u = between(x, w)
    compressed = grad(u.sum(), [x, w], np.array(3.0, u.dtype), create_graph=create_graph, allow_unused=True)
    full = grad(u, [x, w], np.full(u.shape, 3.0, u.dtype), create_graph=create_graph, allow_unused=True)
    for g, expected in zip(compressed, full):
        assert (g is None) == (expected is None)
        if g is not None:
            np.testing.assert_allclose(g.data, expected.data, rtol=1e-14)


@pytest.mark.parametrize("axis", [0, 1, 2, (0, 1), (1, 2), (0, 2)])
@pytest.mark.parametrize("reduce", ["sum", "mean"])
@pytest.mark.parametrize("small", [(3, 4), (4,), (1, 4), (2, 1, 1), ()])
def test_a_partial_sums_cotangent_through_a_broadcast(axis, reduce, small):
    rng = np.random.default_rng(6)
    x, b = leaf(rng.standard_normal((2, 3, 4))), leaf(rng.standard_normal(small))
    y = getattr(x * b + b, reduce)(axis=axis)
    seed = rng.standard_normal(y.shape)
    gx, gb = grad(y, [x, b], seed)
    axes = axis if isinstance(axis, tuple) else (axis,)
    count = np.prod([x.shape[a] for a in axes]) if reduce == "mean" else 1
    g = np.expand_dims(seed, axes) / count * np.ones((2, 3, 4))
    np.testing.assert_allclose(gx.data, g * b.data, rtol=1e-12)
    spread = tuple(a - 3 for a in range(3) if a - 3 < -len(small) or small[a - 3] == 1)
    np.testing.assert_allclose(gb.data, (g * (x.data + 1)).sum(spread, keepdims=True).reshape(small), rtol=1e-12)


def test_a_record_whose_leaves_ask_for_nothing_any_more():
    x = tensor([1.0, 2.0], requires_grad=True)
    y = (x * x).sum()
    x.requires_grad = False
    with pytest.raises(GradientError, match="not recorded from any tensor"):
        y.backward()
    x.requires_grad = True
    y.backward()
    np.testing.assert_array_equal(x.grad.data, [2.0, 4.0])
