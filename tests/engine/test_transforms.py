"""Derivatives of functions: against closed forms, PyTorch's, and each other, nested to the third order."""

from __future__ import annotations

import importlib
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_norm as tn
from tests.oracles import central, complex_step
from tinygrad_norm.engine import (
    DTypeError,
    GradientError,
    ShapeError,
    Tensor,
    checkpoint,
    grad,
    hessian,
    hvp,
    jacobian,
    jvp,
    no_grad,
    tensor,
    vjp,
)

RNG = np.random.default_rng(2)
X, W, B, U, V = RNG.normal(size=(2, 3)), RNG.normal(size=3), RNG.normal(size=3), RNG.normal(size=(2, 3)), RNG.normal(size=(2, 3))
C = RNG.normal(size=(2, 3))


def layer_norm(backward="recorded"):
    return lambda x, w, b: tn.functional.layer_norm(x, 3, w, b, backward=backward)


def energy(backward="recorded"):
    """A scalar that bends in every argument."""
    return lambda x, w, b: (C * layer_norm(backward)(x, w, b).tanh()).sum()


def along(f, v=1.0):
    return lambda t: jvp(f, t, np.float64(v))[1]


# Products ----------------------------------------------------------------------------------------------------


def test_vjp_against_the_closed_form():
    y, pullback = vjp(lambda x, w: x * w, X, W)
    np.testing.assert_array_equal(y.data, X * W)
    gx, gw = pullback(U)
    np.testing.assert_allclose(gx.data, U * W)
    np.testing.assert_allclose(gw.data, (U * X).sum(0))
    np.testing.assert_allclose(pullback(2 * U)[0].data, 2 * U * W)  # as often as you like
    assert not y.requires_grad
    assert not gx.requires_grad


def test_jvp_against_complex_step():
    y, dy = jvp(layer_norm(), (X, W, B), (V, W[::-1].copy(), B))

    def forward(x, w, b):
        c = x - x.mean(-1, keepdims=True)
        return c / np.sqrt((c**2).mean(-1, keepdims=True) + 1e-5) * w + b

    np.testing.assert_allclose(y.data, forward(X, W, B), rtol=1e-13)
    np.testing.assert_allclose(dy.data, complex_step(forward, [X, W, B], [V, W[::-1], B]), rtol=1e-12)


def test_several_outputs():
    def f(x, w):
        return x * w, (x * x).sum()

    (y, s), pullback = vjp(f, X, W)
    assert (y.shape, s.shape) == ((2, 3), ())
    gx, gw = pullback((U, 2.0))
    np.testing.assert_allclose(gx.data, U * W + 4 * X)
    np.testing.assert_allclose(gw.data, (U * X).sum(0))
    (_, _), (dy, ds) = jvp(f, (X, W), (V, B))
    np.testing.assert_allclose(dy.data, V * W + X * B)
    np.testing.assert_allclose(ds.data, 2 * (X * V).sum())
    (jyx, jyw), (jsx, jsw) = jacobian(f, X, W)
    assert (jyx.shape, jyw.shape, jsx.shape, jsw.shape) == ((2, 3, 2, 3), (2, 3, 3), (2, 3), (3,))
    np.testing.assert_allclose(jsx.data, 2 * X)
    np.testing.assert_array_equal(jsw.data, np.zeros(3))


def test_hvp_is_the_hessian_times_the_vector():
    args, vs = (X, W, B), (V, B, W)
    y, products = hvp(energy(), args, vs)
    blocks = hessian(energy(), *args)
    assert y.item() == energy()(*(tensor(a) for a in args)).item()
    for row, product in zip(blocks, products):
        expected = sum(np.tensordot(h.data, v, v.ndim) for h, v in zip(row, vs))
        np.testing.assert_allclose(product.data, expected, rtol=1e-10, atol=1e-12)
    assert isinstance(hvp(lambda x: (x**3).sum(), X, V)[1], Tensor)
    np.testing.assert_allclose(hvp(lambda x: (x**3).sum(), X, V)[1].data, 6 * X * V)


# Matrices --------------------------------------------------------------------------------------------------------


def test_jacobian_and_hessian_in_closed_form():
    a = RNG.normal(size=(4, 3))
    np.testing.assert_allclose(jacobian(lambda x: tensor(a) @ x, W).data, a, rtol=1e-15)
    np.testing.assert_allclose(hessian(lambda x: ((tensor(a) @ x) ** 2).sum(), W).data, 2 * a.T @ a, rtol=1e-13)
    np.testing.assert_allclose(hessian(lambda x: x**4, 2.0).item(), 48.0)


def test_argnums():
    def f(x, power, w):
        assert isinstance(power, int), "an argument that is not differentiated arrives as it was given"
        return (x**power) @ w

    full = jacobian(lambda x, w: f(x, 2, w), X, W)
    np.testing.assert_array_equal(jacobian(f, X, 2, W, argnums=0).data, full[0].data)
    np.testing.assert_array_equal(jacobian(f, X, 2, W, argnums=-1).data, full[1].data)
    x_only, pair = jacobian(f, X, 2, W, argnums=(0,)), jacobian(f, X, 2, W, argnums=(2, 0))
    assert isinstance(x_only, tuple)
    np.testing.assert_array_equal(pair[0].data, full[1].data)
    np.testing.assert_array_equal(pair[1].data, full[0].data)
    s = lambda *a: (f(*a) ** 2).sum()  # noqa: E731
    whole = hessian(lambda x, w: s(x, 2, w), X, W)
    np.testing.assert_allclose(hessian(s, X, 2, W, argnums=2).data, whole[1][1].data)
    np.testing.assert_allclose(hessian(s, X, 2, W, argnums=(0, 2))[0][1].data, whole[0][1].data)
    assert isinstance(hessian(s, X, 2, W, argnums=(0,))[0], tuple)


@pytest.mark.parametrize("backward", ["recorded", "analytic"])
def test_hessians_of_layer_norm_agree_and_are_symmetric(backward):
    blocks, reference = hessian(energy(backward), X, W, B), hessian(energy(), X, W, B)
    for i, row in enumerate(blocks):
        for j, h in enumerate(row):
            np.testing.assert_allclose(h.data, reference[i][j].data, rtol=1e-10, atol=1e-10)
            ndim = (2, 1, 1)[j]
            mirrored = np.transpose(blocks[j][i].data, [*range(ndim, h.ndim), *range(ndim)])
            np.testing.assert_allclose(h.data, mirrored, rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_dtypes_stay(dtype):
    x, w = X.astype(dtype), W.astype("float64")
    f = lambda x, w: x**2 * w.astype(dtype)  # noqa: E731
    y, dy = jvp(f, (x, w), (x, w))
    assert y.dtype == dy.dtype == dtype
    jx, jw = jacobian(f, x, w)
    assert (jx.dtype, jw.dtype) == (dtype, "float64")
    s = lambda x: (x**2).sum()  # noqa: E731
    assert hessian(s, x).dtype == hvp(s, x, x)[1].dtype == vjp(s, x)[1](1.0)[0].dtype == dtype


def test_empty_arrays():
    none = np.zeros((0, 3))
    assert jacobian(lambda x: x * 2.0, none).shape == (0, 3, 0, 3)
    assert jacobian(lambda x: x.sum(0), none).data.tolist() == np.zeros((3, 0, 3)).tolist()
    assert hessian(lambda x: (x * x).sum(), none).shape == (0, 3, 0, 3)
    assert jvp(lambda x: x * 2.0, none, none)[1].shape == (0, 3)


# Nesting --------------------------------------------------------------------------------------------------------------


def curve(t):
    """LayerNorm of (t, 0), summed: −t/√(1 + t²)."""
    x = tn.concatenate([t.reshape(1), t.reshape(1) * 0.0])
    return tn.functional.layer_norm(x, 2, tensor([1.0, 2.0]), eps=0.25).sum()


@pytest.mark.parametrize("t", [0.7, tensor(0.7), tensor(0.7, requires_grad=True)], ids=["number", "tensor", "recorded"])
def test_forward_mode_three_deep(t):
    assert along(curve)(t).item() == pytest.approx(-(1.49**-1.5), rel=1e-14)
    assert along(along(curve))(t).item() == pytest.approx(0.7749142079590942, rel=1e-13)
    assert along(along(along(curve)))(t).item() == pytest.approx(-0.7132479766449955, rel=1e-12)


def test_every_mixture_of_second_and_third_derivatives():
    first = {"jvp": along, "vjp": lambda f: lambda t: vjp(f, t)[1](1.0)[0], "jacobian": lambda f: lambda t: jacobian(f, t)}
    for outer in first.values():
        for inner in first.values():
            assert outer(inner(curve))(0.7).item() == pytest.approx(0.7749142079590942, rel=1e-13)
            assert outer(lambda t: hessian(curve, t))(0.7).item() == pytest.approx(-0.7132479766449955, rel=1e-12)
            assert outer(outer(inner(curve)))(0.7).item() == pytest.approx(-0.7132479766449955, rel=1e-12)
        assert outer(lambda t: hvp(curve, t, 1.0)[1])(0.7).item() == pytest.approx(-0.7132479766449955, rel=1e-12)
        assert hessian(outer(curve), 0.7).item() == pytest.approx(-0.7132479766449955, rel=1e-12)


def test_grad_of_jvp_by_argument_and_by_tangent():
    x, v = tensor(X, requires_grad=True), tensor(V, requires_grad=True)
    y, dy = jvp(lambda x: x**3, x, v)
    gx, gv = grad(dy, [x, v], U)
    np.testing.assert_allclose(gx.data, U * 6 * X * V)
    np.testing.assert_allclose(gv.data, U * 3 * X**2)
    np.testing.assert_allclose(grad(y, x, U)[0].data, U * 3 * X**2)
    only_v = jvp(lambda x: x**3, X, v)[1]  # the argument is an array; the tangent alone is recorded
    np.testing.assert_allclose(grad(only_v, v, U)[0].data, U * 3 * X**2)


def test_grad_of_a_pullback_by_its_cotangent():
    u = tensor(U, requires_grad=True)
    _, pullback = vjp(lambda x: x**3, X)
    (g,) = pullback(u)
    np.testing.assert_allclose(grad(g, u, V)[0].data, 3 * X**2 * V)


def test_what_a_function_takes_from_outside_stays_connected():
    """The classic silent zero: the inner derivative is by x, the outer one by w, which the inner function only mentions."""
    inner = lambda w: jvp(lambda x: x**2 * w, X, V)[1]  # noqa: E731
    np.testing.assert_allclose(jvp(inner, W, B)[1].data, 2 * X * V * B)
    w = tensor(W, requires_grad=True)
    np.testing.assert_allclose(grad(jacobian(lambda x: (x**2 * w).sum(), X).sum(), w)[0].data, 2 * X.sum(0))
    np.testing.assert_allclose(grad(hessian(lambda x: (x**2 * w).sum(), X).sum(), w)[0].data, [4.0] * 3)


def test_an_outer_argument_is_a_constant_to_the_inner_derivative():
    """No confusion of perturbations: d/dx (x · d/dy (x + y)) = 1."""
    assert along(lambda x: x * along(lambda y: x + y)(1.0))(1.0).item() == 1.0
    assert along(lambda x: x * along(lambda y: x * y)(x))(3.0).item() == 6.0


def test_create_graph_false_and_no_grad_record_nothing():
    x = tensor(X, requires_grad=True)
    f = lambda x: (x**3).sum()  # noqa: E731
    for results in (
        [*jvp(f, x, V, create_graph=False), *vjp(f, x, create_graph=False)[1](1.0), jacobian(f, x, create_graph=False)],
        [hessian(f, x, create_graph=False), *hvp(f, x, V, create_graph=False)],
    ):
        assert not any(r.requires_grad for r in results)
    with no_grad():
        y, dy = jvp(f, x, V)
        h = hessian(f, x)
        assert not any(t.requires_grad for t in (y, dy, h))
        assert not (x * 1.0).requires_grad, "recording is off again afterwards"
    np.testing.assert_allclose(dy.data, (3 * X**2 * V).sum())
    np.testing.assert_allclose(h.data.reshape(6, 6), np.diag(6 * X.ravel()))


def test_create_graph_true_records_what_nobody_asked_for():
    assert jacobian(lambda x: x**2, X, create_graph=True).requires_grad
    assert not jacobian(lambda x: x**2, X).requires_grad


def test_recording_is_restored_after_an_error():
    with no_grad():
        with pytest.raises(ZeroDivisionError):
            jvp(lambda x: x * (1 / 0), X, V)
        assert not (tensor(X, requires_grad=True) * 1.0).requires_grad


# The caller's tensors ---------------------------------------------------------------------------------------------------


def test_no_grad_of_the_callers_is_touched():
    x, w = tensor(X, requires_grad=True, name="x"), tensor(W, requires_grad=True)
    x.grad = tensor(U)
    f = lambda x: (x**2 * w).sum()  # noqa: E731
    for call in (
        lambda: jvp(f, x, V),
        lambda: vjp(f, x)[1](1.0),
        lambda: jacobian(f, x),
        lambda: hessian(f, x),
        lambda: hvp(f, x, V),
    ):
        call()
        np.testing.assert_array_equal(x.grad.data, U)
        assert w.grad is None
        assert x.op is None


def test_the_same_tensor_twice_is_two_arguments():
    for x in (tensor(W), tensor(W, requires_grad=True)):
        ga, gb = vjp(lambda a, b: a * b**2, x, x)[1](B)
        np.testing.assert_allclose(ga.data, B * W**2)
        np.testing.assert_allclose(gb.data, B * 2 * W**2)
        np.testing.assert_allclose(jvp(lambda a: a * x, x, B)[1].data, B * W)  # noqa: B023  (what is closed over is a constant)


def test_an_interior_tensor_as_argument():
    x = tensor(W, requires_grad=True)
    inner = x * 2.0
    _, (g,) = None, vjp(lambda u: u**2, inner)[1](B)
    np.testing.assert_allclose(g.data, B * 4 * W)
    np.testing.assert_allclose(grad(g, x, B)[0].data, B * B * 4)


def test_arrays_are_copied():
    mine = X.copy()
    y, pullback = vjp(lambda x: x, mine)
    mine[...] = 0.0
    np.testing.assert_array_equal(y.data, X)
    u = U.copy()
    (g,) = pullback(u)
    u[...] = 0.0
    np.testing.assert_array_equal(g.data, U)
    assert mine.flags.writeable


# Zeros -------------------------------------------------------------------------------------------------------------------


def test_outputs_that_do_not_depend_on_an_argument():
    constant = tensor(B)
    _, pullback = vjp(lambda x, w: w * 2.0, X, W)
    np.testing.assert_array_equal(pullback(B)[0].data, np.zeros((2, 3)))
    np.testing.assert_array_equal(jvp(lambda x: constant, X, V)[1].data, np.zeros(3))
    np.testing.assert_array_equal(jacobian(lambda x: (x * 2.0).detach(), W).data, np.zeros((3, 3)))
    np.testing.assert_array_equal(hessian(lambda x: (x * 2.0).sum(), W).data, np.zeros((3, 3)))
    np.testing.assert_array_equal(hessian(lambda x: constant.sum(), W).data, np.zeros((3, 3)))
    np.testing.assert_array_equal(hvp(lambda x, w: x.sum(), (X, W), (V, B))[1][1].data, np.zeros(3))
    assert jvp(lambda x: (x, tensor(1.0)), X, V)[1][1].item() == 0.0


# Properties ----------------------------------------------------------------------------------------------------------------

FUNCTIONS = {
    "affine": lambda x, w: x * w + w,
    "standardized": lambda x, w: tn.functional.layer_norm(x, 3, w),
    "analytic": lambda x, w: tn.functional.layer_norm(x, 3, w, backward="analytic"),
    "softmax": lambda x, w: tn.exp(x) / tn.exp(x).sum(-1, keepdims=True) * w,
    "products": lambda x, w: (x @ x.T) @ (x * w),
    "kinks": lambda x, w: tn.relu(x) * abs(w) + tn.maximum(x, w),
    "slices": lambda x, w: tn.concatenate([x[:, 1:] * w[0], x[:, :1] ** 2], axis=1),
}


@pytest.mark.parametrize("name", FUNCTIONS)
@given(seed=st.integers(0, 2**32 - 1))
@pytest.mark.costly(3)
def test_products_are_those_of_the_jacobian(name, seed):
    rng = np.random.default_rng(seed)
    f = FUNCTIONS[name]
    x, w, v, u = rng.normal(size=(2, 3)), rng.normal(size=3), rng.normal(size=(2, 3)), rng.normal(size=(2, 3))
    jx, jw = jacobian(f, x, w)
    dy = jvp(f, (x, w), (v, w))[1].data
    np.testing.assert_allclose(dy, np.tensordot(jx.data, v, 2) + np.tensordot(jw.data, w, 1), rtol=1e-9, atol=1e-9)
    gx, gw = vjp(f, x, w)[1](u)
    np.testing.assert_allclose(gx.data, np.tensordot(u, jx.data, 2), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(gw.data, np.tensordot(u, jw.data, 2), rtol=1e-9, atol=1e-9)
    assert np.sum(u * dy) == pytest.approx(np.sum(gx.data * v) + np.sum(gw.data * w), rel=1e-9, abs=1e-9)
    h = hessian(lambda x: (u * f(x, tensor(w)).tanh()).sum(), x).data.reshape(6, 6)
    np.testing.assert_allclose(h, h.T, rtol=1e-8, atol=1e-8 * max(1, np.abs(h).max()))


def test_third_derivative_against_the_stencil():
    f = energy("analytic")
    third = jvp(lambda x: hvp(lambda x: f(x, tensor(W), tensor(B)), x, V)[1], X, U)[1].data
    second = lambda x: hvp(lambda x: f(x, tensor(W), tensor(B)), x, V)[1].data  # noqa: E731
    np.testing.assert_allclose(third, central(second, [X], [U]), rtol=1e-6, atol=1e-7)


# PyTorch ---------------------------------------------------------------------------------------------------------------------


def test_as_torch_autograd_functional():
    torch = pytest.importorskip("torch")
    peer = torch.autograd.functional

    def ours(x, w, b):
        return tn.functional.layer_norm(x, 3, w, b).tanh(), (x * w).sum()

    def theirs(x, w, b):
        c = x - x.mean(-1, keepdim=True)
        return torch.tanh(c / torch.sqrt((c**2).mean(-1, keepdim=True) + 1e-5) * w + b), (x * w).sum()

    args, vs = (X, W, B), (V, B, W)
    targs, tvs = tuple(map(torch.tensor, args)), tuple(map(torch.tensor, vs))

    def same(mine, other):
        if isinstance(other, tuple):
            assert isinstance(mine, tuple)
            assert len(mine) == len(other)
            for a, b in zip(mine, other):
                same(a, b)
        else:
            np.testing.assert_allclose(mine.data, other.numpy(), rtol=1e-9, atol=1e-11)

    same(jvp(ours, args, vs), peer.jvp(theirs, targs, tvs))
    same(vjp(ours, *args)[1]((U, 0.5)), peer.vjp(theirs, targs, (torch.tensor(U), torch.tensor(0.5, dtype=torch.float64)))[1])
    same(jacobian(ours, *args), peer.jacobian(theirs, targs))
    scalar = lambda x, w, b: (lambda y, s: (C * y).sum() * s)(*ours(x, w, b))  # noqa: E731
    tscalar = lambda x, w, b: (lambda y, s: (torch.tensor(C) * y).sum() * s)(*theirs(x, w, b))  # noqa: E731
    same(hessian(scalar, *args), peer.hessian(tscalar, targs))
    same(hvp(scalar, args, vs), peer.hvp(tscalar, targs, tvs))
    same(hessian(lambda x: (x**3).sum(), X), peer.hessian(lambda x: (x**3).sum(), torch.tensor(X)))


# Checkpoints --------------------------------------------------------------------------------------------------------------------


def test_checkpoint_has_the_same_values_and_derivatives_of_three_orders():
    plain, kept = energy(), checkpoint(energy())
    x, w, b = (tensor(a, requires_grad=True) for a in (X, W, B))
    y = kept(x, w, b)
    assert y.item() == plain(x, w, b).item()
    assert y.op.name == "checkpoint"
    assert y.inputs == (x, w, b), "one node, and nothing between"
    for mine, expected in zip(grad(y, [x, w, b]), grad(plain(x, w, b), [x, w, b])):
        np.testing.assert_allclose(mine.data, expected.data, rtol=1e-13)
    for row, expected_row in zip(hessian(kept, X, W, B), hessian(plain, X, W, B)):
        for mine, expected in zip(row, expected_row):
            np.testing.assert_allclose(mine.data, expected.data, rtol=1e-12, atol=1e-13)
    third = [jvp(lambda x: hvp(lambda x: f(x, tensor(W), tensor(B)), x, V)[1], X, U)[1].data for f in (kept, plain)]  # noqa: B023
    np.testing.assert_allclose(*third, rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(jvp(kept, (X, W, B), (V, B, W))[1].data, jvp(plain, (X, W, B), (V, B, W))[1].data, rtol=1e-12)


def test_checkpoint_runs_the_function_again_only_when_asked():
    runs = []

    def f(x):
        runs.append(x)
        return x**3

    x = tensor(W, requires_grad=True)
    y = checkpoint(f)(x)
    assert len(runs) == 1
    assert not runs[0].requires_grad
    grad(y, x, B)
    assert len(runs) == 2
    assert checkpoint(lambda x, n: x**n)(x, 2).data.tolist() == (W**2).tolist()
    np.testing.assert_allclose(grad(checkpoint(lambda x, n: x**n)(x, 2), x, B)[0].data, 2 * W * B)


def test_checkpoint_refuses_what_would_lose_a_gradient():
    w = tensor(W, requires_grad=True, name="γ")
    with pytest.raises(
        GradientError, match=r"checkpoint: the function takes γ \(3,\) float64 from outside.*Pass it as an argument"
    ):
        checkpoint(lambda x: x * w)(tensor(X))
    with pytest.raises(GradientError, match="checkpoint: the function returned tuple; it must return one tensor"):
        checkpoint(lambda x: (x, x))(tensor(X))


# Misuse ------------------------------------------------------------------------------------------------------------------------------

square = lambda x: x**2  # noqa: E731
named = tensor(W, name="γ")
MISUSE = {
    "wrong shape": (ShapeError, r"jvp: tangent \(2, 3\) float64 for γ \(3,\) float64; the shapes must be equal", lambda: jvp(square, named, V)),
    "would broadcast": (ShapeError, r"jvp: tangent \(1, 3\)", lambda: jvp(square, named, B[None])),
    "wrong dtype": (DTypeError, r"jvp: tangent of dtype float32 for γ .*\.astype\('float64'\)", lambda: jvp(square, named, B.astype("f"))),
    "complex tangent": (DTypeError, "tangent of dtype complex128", lambda: jvp(square, named, B * 1j)),
    "too few tangents": (GradientError, "jvp: 1 tangent for 2 arguments; give one for each", lambda: jvp(lambda x, w: x * w, (X, W), V)),
    "too many tangents": (GradientError, "jvp: 2 tangents for 1 argument; give one", lambda: jvp(square, X, (V, V))),
    "hvp's vectors": (GradientError, "hvp: 3 vectors for 1 argument;", lambda: hvp(lambda x: x.sum(), X, (V, V, V))),
    "hvp's vector": (ShapeError, r"hvp: vector \(3,\) float64 for \(2, 3\) float64", lambda: hvp(lambda x: x.sum(), X, B)),
    "cotangents": (GradientError, "vjp: 1 cotangent for 2 outputs; give one for each, in a tuple", lambda: vjp(lambda x: (x, x), X)[1](U)),
    "cotangent's shape": (ShapeError, r"vjp: cotangent \(3,\) float64 for \(2, 3\)", lambda: vjp(square, X)[1](B)),
    "cotangent's dtype": (DTypeError, "vjp: cotangent of dtype float32", lambda: vjp(square, X)[1](U.astype("f"))),
    "integers": (DTypeError, r"jacobian: argument 1, \(3,\) int64, is not floating point.*Cast it, or bind it", lambda: jacobian(lambda x, n: x, X, np.arange(3))),
    "an integer": (DTypeError, r"hessian: argument 0, \(\) int64", lambda: hessian(square, 2)),
    "an integer tensor": (DTypeError, r"jvp: argument 0, n \(2,\) int64", lambda: jvp(square, tensor([1, 2], name="n"), [1, 2])),
    "complex": (DTypeError, r"vjp: argument 0, \(2, 3\) complex128", lambda: vjp(square, X * 1j)),
    "a word": (DTypeError, "vjp: argument 1, 'mean', is not floating point", lambda: vjp(lambda x, how: x, X, "mean")),
    "nothing": (GradientError, "jacobian: no argument to differentiate by", lambda: jacobian(lambda: tensor(1.0))),
    "argnums": (GradientError, "jacobian: argnums=2, but f has 2 arguments, counted from 0", lambda: jacobian(lambda x, w: x, X, W, argnums=2)),
    "argnums of another kind": (GradientError, "hessian: argnums='x'", lambda: hessian(lambda x: x.sum(), X, argnums="x")),
    "hessian of several numbers": (GradientError, r"hessian: the function returned \(2, 3\) float64; second derivatives are those of one number", lambda: hessian(square, X)),
    "hvp of several numbers": (GradientError, r"hvp: the function returned \(2, 3\) float64; .*\(dy \* y\)\.sum\(\)", lambda: hvp(square, X, V)),
    "hessian of several tensors": (GradientError, "hessian: the function returned 2 tensors", lambda: hessian(lambda x: (x.sum(), x.sum()), X)),
    "an array returned": (GradientError, r"jvp: the function returned \(2, 3\) float64; it must return a tensor.*\.data", lambda: jvp(lambda x: x.data, X, V)),
    "a number returned": (GradientError, r"hessian: the function returned -?0\.\d+; it must", lambda: hessian(lambda x: x.sum().item(), X)),
    "None returned": (GradientError, "vjp: the function returned None", lambda: vjp(lambda x: None, X)),
    "None among them": (GradientError, "vjp: the function returned None in a tuple", lambda: vjp(lambda x: (x, None), X)),
    "an empty tuple": (GradientError, "jacobian: the function returned an empty tuple", lambda: jacobian(lambda x: (), X)),
    "booleans returned": (DTypeError, r"jacobian: the function's output \(2, 3\) bool is not floating point", lambda: jacobian(lambda x: x > 0.0, X)),
}  # fmt: skip


@pytest.mark.parametrize(("error", "words", "call"), MISUSE.values(), ids=MISUSE)
def test_misuse_is_named(error, words, call):
    with pytest.raises(error, match=words):
        call()


def test_numbers_and_integers_as_tangents_mean_what_they_say():
    assert jvp(square, np.float32(3.0), 1.0)[1].dtype == "float32"
    assert jvp(square, np.array([3.0], "f"), np.array([1]))[1].data.tolist() == [6.0]


def test_one_backward_pass_and_no_other(monkeypatch):
    """Every transform goes through ``pull_back``; without it there is none."""
    module = importlib.import_module("tinygrad_norm.engine.walk")
    calls = []
    real = module.pull_back
    monkeypatch.setattr(module, "pull_back", lambda *a, **k: calls.append(1) or real(*a, **k))
    scalar = lambda x: (x**3).sum()  # noqa: E731
    for run, passes in (
        (lambda: vjp(scalar, W)[1](1.0), 1),
        (lambda: jvp(scalar, W, B), 2),
        (lambda: hvp(scalar, W, B), 2),
        (lambda: jacobian(square, W), 3),
        (lambda: hessian(scalar, W), 1 + 3),
    ):
        calls.clear()
        run()
        assert len(calls) == passes
    assert math.isclose(vjp(scalar, W)[1](1.0)[0].data[0], 3 * W[0] ** 2)


@pytest.mark.parametrize("create_graph", [False, True])
def test_checkpoint_computes_again_once_whatever_the_number_of_inputs(create_graph):
    calls = []

    def f(a, b, c):
        calls.append(1)
        return (a * b).tanh() * c

    leaves = [tensor(np.random.default_rng(i).normal(size=3), requires_grad=True) for i in range(3)]
    out = checkpoint(f)(*leaves)
    assert len(calls) == 1
    found = grad(out, leaves, np.ones(3), create_graph=create_graph)
    assert len(calls) == 2
    for mine, plain in zip(found, grad(f(*leaves), leaves, np.ones(3))):
        np.testing.assert_array_equal(mine.data, plain.data)


@pytest.mark.parametrize("reduce", [lambda y: y.sum(), lambda y: y.mean(), lambda y: y.sum(0).sum(), lambda y: -y.sum() + 1.0])
@pytest.mark.parametrize("create_graph", [False, True])
def test_checkpoint_under_a_reduction(reduce, create_graph):
    """The cotangent that reaches it does not vary, and is smaller than its output."""
    x = tensor(np.random.default_rng(0).normal(size=(3, 4)), requires_grad=True)
    f = checkpoint(lambda a: (a * a).tanh())
    (found,) = grad(reduce(f(x)), x, create_graph=create_graph)
    (plain,) = grad(reduce((x * x).tanh()), x)
    np.testing.assert_allclose(found.data, plain.data, rtol=1e-14)
    if create_graph:
        (twice,) = grad(found.sum(), x)
        (once,) = grad(reduce((x * x).tanh()), x, create_graph=True)
        np.testing.assert_allclose(twice.data, grad(once.sum(), x)[0].data, rtol=1e-13)
    nested = checkpoint(lambda a: checkpoint(lambda b: b * b)(a).sum())
    np.testing.assert_allclose(grad(nested(x), x)[0].data, 2 * x.data, rtol=1e-15)
