"""PyTorch beside us, in float64: values and gradients of orders 1 and 2, and every kink and edge as PyTorch has it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.engine.samples import SAMPLES
from tinygrad_norm.engine import TABLE, concatenate, grad, matmul, tensor

torch = pytest.importorskip("torch", reason="PyTorch is not installed: parity with it is not checked")

INF, NAN = float("inf"), float("nan")


def compare(ours: Callable[..., Any], theirs: Callable[..., Any], *arrays: Any, order: int = 2, rtol: float = 1e-10) -> None:
    """Value, gradient and gradient of a random projection of the gradient, all against PyTorch."""
    rng = np.random.default_rng(12)
    xs = [tensor(a, requires_grad=True) for a in arrays]
    ts = [torch.tensor(np.array(a), requires_grad=True) for a in arrays]
    y, t = ours(*xs), theirs(*ts)
    assert y.shape == tuple(t.shape)
    np.testing.assert_allclose(y.data, t.detach().numpy(), rtol=rtol, atol=1e-12)
    for k in range(order):
        seed = rng.standard_normal(y.shape)
        gs = grad(y, xs, seed, create_graph=True, allow_unused=True)
        hs = torch.autograd.grad(t, ts, torch.tensor(seed), create_graph=True, allow_unused=True)
        for g, h, x in zip(gs, hs, xs):
            mine, other = (np.zeros(x.shape) if v is None else np.asarray(v.detach().numpy()) for v in (g, h))
            np.testing.assert_allclose(mine, other, rtol=rtol, atol=1e-12, err_msg=f"order {k + 1}")
        directions = [rng.standard_normal(x.shape) for x in xs]
        mine_next = [(g * d).sum() for g, d in zip(gs, directions) if g is not None]
        theirs_next = [(h * torch.tensor(d)).sum() for h, d in zip(hs, directions) if h is not None]
        if not mine_next or not theirs_next or not sum(theirs_next).requires_grad:
            return  # theirs ends here: what remains is zero, and test_table looks at it
        y, t = sum(mine_next[1:], mine_next[0]), sum(theirs_next[1:], theirs_next[0])
        if not y.requires_grad:
            left = torch.autograd.grad(t, ts, allow_unused=True)
            assert all(h is None or not h.any() for h in left), "theirs goes on and ours ended"
            return


TORCH: dict[str, Callable[..., Any]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
    "neg": lambda x: -x,
    "remainder": lambda a, b: torch.remainder(*both(a, b)),
    "pow": lambda x, n: x**n,
    "power": lambda a, b: a**b,
    "exp": torch.exp,
    "log": torch.log,
    "sqrt": torch.sqrt,
    "rsqrt": torch.rsqrt,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "log1p": torch.log1p,
    "expm1": torch.expm1,
    "sin": torch.sin,
    "cos": torch.cos,
    "erf": torch.erf,
    "ndtr": lambda x: torch.special.ndtr(x),
    "gelu": torch.nn.functional.gelu,
    "gelu_tanh": lambda x: torch.nn.functional.gelu(x, approximate="tanh"),
    "softplus": lambda x: torch.nn.functional.softplus(x, threshold=100),
    "relu": torch.relu,
    "abs": torch.abs,
    "maximum": lambda a, b: torch.maximum(*both(a, b)),
    "minimum": lambda a, b: torch.minimum(*both(a, b)),
    "where": lambda c, a, b: torch.where(torch.tensor(c), *both(a, b)),
    "sum": lambda x, axis: x.sum(axis, keepdim=True),
    "mean": lambda x, axis: x.mean(axis, keepdim=True),
    "max": lambda x, axis: x.amax(axis, keepdim=True),
    "prod": lambda x, axis: multiply_out(x, axis),
    "softmax": lambda x, axis: torch.exp(x - x.logsumexp(axis, keepdim=True)),
    "log_softmax": lambda x, axis: x - x.logsumexp(axis, keepdim=True),
    "logsumexp": lambda x, axis: x.logsumexp(axis, keepdim=True),
    "cumsum": lambda x, axis, reverse: x.flip(axis).cumsum(axis).flip(axis) if reverse else x.cumsum(axis),
    "einsum": lambda *xs, equation: torch.einsum(equation, *xs),
    "conv2d": lambda x, w, stride, padding, dilation, groups: torch.nn.functional.conv2d(
        around(x, padding), w, None, stride, 0, dilation, groups
    ),
    "conv2d_input": lambda y, w, shape, **how: conv2d_input(y, w, shape, **how),
    "conv2d_weight": lambda y, x, size, **how: conv2d_weight(y, x, size, **how),
    "matmul": torch.matmul,
    "reshape": lambda x, shape: x.reshape(shape),
    "transpose": lambda x, axes: x.permute(axes),
    "broadcast_to": lambda x, shape: torch.broadcast_to(x, shape),
    "getitem": lambda x, index: x[pick(index)],
    "scatter": lambda g, index, shape: scatter(g, index, shape),
    "concatenate": lambda *xs, axis: torch.cat(xs, axis),
    "pad": lambda x, width, value: torch.nn.functional.pad(x, [n for ends in width[::-1] for n in ends], value=value),
    "windows": lambda x, size, stride, dilation: unfold(x, size, stride, dilation),
    "fold": lambda g, size, stride, dilation, shape: fold(g, size, stride, dilation, shape),
    "astype": lambda x, dtype: x.to(getattr(torch, dtype.name)),
    "unbroadcast": lambda x, shape: x.sum_to_size(shape),
}


def around(x: Any, padding: Any) -> Any:
    return torch.nn.functional.pad(x, [n for ends in padding[::-1] for n in ends])


def conv2d_input(y: Any, w: Any, shape: Any, stride: Any, padding: Any, dilation: Any, groups: int) -> Any:
    """A transposed convolution, as large as the padded image; the image's part of it."""
    whole = torch.nn.functional.conv_transpose2d(y, w, None, stride, 0, 0, groups, dilation)
    beyond = [n + sum(ends) - m for n, ends, m in zip(shape, padding, whole.shape[2:])]
    (top, _), (left, _) = padding
    return around(whole, [(0, n) for n in beyond])[:, :, top : top + shape[0], left : left + shape[1]]


def conv2d_weight(y: Any, x: Any, size: Any, stride: Any, padding: Any, dilation: Any, groups: int) -> Any:
    view = unfold(around(x, padding), size, stride, dilation)
    parts = zip(y.tensor_split(groups, 1), view.tensor_split(groups, 1))
    return torch.cat([torch.einsum("nohw,nchwij->ocij", *part) for part in parts])


def both(a: Any, b: Any) -> tuple[Any, Any]:
    return tuple(v if isinstance(v, torch.Tensor) else torch.tensor(v, dtype=torch.float64) for v in (a, b))  # type: ignore[return-value]


def scatter(g: Any, index: Any, shape: tuple[int, ...]) -> Any:
    """index_put over the numbered places, which every kind of index can pick."""
    places = np.arange(int(np.prod(shape))).reshape(shape)[index].copy()
    return torch.zeros(int(np.prod(shape)), dtype=g.dtype).index_put((torch.tensor(places),), g, accumulate=True).reshape(shape)


def multiply_out(x: Any, axis: tuple[int, ...]) -> Any:
    for a in axis:
        x = x.prod(a, keepdim=True) if x.shape[a] > 1 else x  # PyTorch's x/x has slopes of 1e-16
    return x


def unfold(x: Any, size: Any, stride: Any, dilation: Any) -> Any:
    """Tensor.unfold axis by axis; each puts its window last."""
    first = x.ndim - len(size)
    for i, (n, s, d) in enumerate(zip(size, stride, dilation)):
        x = x.unfold(first + i, d * (n - 1) + 1, s)[..., ::d]
    return x


def fold(g: Any, size: Any, stride: Any, dilation: Any, shape: Any) -> Any:
    full = (*g.shape[: g.ndim - 2 * len(size)], *shape)
    origin = unfold(torch.arange(int(np.prod(full))).reshape(full), size, stride, dilation)
    return torch.zeros(int(np.prod(full)), dtype=g.dtype).index_put((origin,), g, accumulate=True).reshape(full)


def pick(index: Any) -> Any:
    return tuple(torch.tensor(i) if isinstance(i, np.ndarray) else i for i in index)


def torch_can(name: str, inputs: Any, params: Any) -> bool:
    steps = (getattr(i, "step", None) or 1 for i in params.get("index", ()) if isinstance(i, slice))
    return all(step > 0 for step in steps) or name == "scatter"  # PyTorch has no negative steps


PARITY = [
    pytest.param(name, inputs, params, id=f"{name}-{i}")
    for name in TORCH
    for i, (inputs, params) in enumerate(SAMPLES[name])
    if torch_can(name, inputs, params)
]


def test_every_differentiable_op_is_compared():
    assert set(TORCH) == {name for name, op in TABLE.items() if not op.constant}


@pytest.mark.parametrize(("name", "inputs", "params"), PARITY)
def test_primitive(name, inputs, params):
    floating = [isinstance(x, np.ndarray) and x.dtype.kind == "f" for x in inputs]

    def fill(xs: Any) -> list[Any]:
        given = iter(xs)
        return [next(given) if f else x for x, f in zip(inputs, floating)]

    arrays = [np.ascontiguousarray(x).reshape(x.shape) for x, f in zip(inputs, floating) if f]
    compare(lambda *xs: TABLE[name](*fill(xs), **params), lambda *ts: TORCH[name](*fill(ts), **params), *arrays)


# Kinks and edges -------------------------------------------------------------------------------------------

TIES = np.array([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0], [-0.0, 0.0, -1.0]])


@pytest.mark.parametrize("axis", [0, 1, (0, 1)])
def test_ties_in_max(axis):
    compare(lambda x: x.max(axis=axis), lambda t: t.amax(axis), TIES)
    compare(lambda x: (x * x).max(axis, keepdims=True) * x, lambda t: (t * t).amax(axis, keepdim=True) * t, TIES)


@pytest.mark.parametrize("name", ["maximum", "minimum"])
def test_ties_between_two(name):
    other = np.array([3.0, 2.0, 3.0])
    compare(TABLE[name], getattr(torch, name), TIES, np.broadcast_to(other, (3, 3)).copy())
    compare(TABLE[name], getattr(torch, name), TIES, other)
    compare(lambda x: TABLE[name](x, x), lambda t: getattr(torch, name)(t, t), TIES)
    compare(lambda x: TABLE[name](x * x, x), lambda t: getattr(torch, name)(t * t, t), TIES)


@pytest.mark.parametrize("name", ["relu", "abs"])
def test_kinks_at_zero(name):
    x = np.array([-1.0, -0.0, 0.0, 2.0, INF, -INF])
    compare(TABLE[name], getattr(torch, name), x)


@pytest.mark.parametrize("name", ["maximum", "minimum"])
def test_nan_between_two(name):
    a, b = np.array([NAN, 1.0, NAN, 1.0, INF]), np.array([2.0, NAN, NAN, 0.0, INF])
    compare(TABLE[name], getattr(torch, name), a, b, order=1)


def test_nan_in_relu():
    compare(TABLE["relu"], torch.relu, np.array([NAN, 1.0, -1.0]), order=1)


@pytest.mark.parametrize("name", ["tanh", "sigmoid"])
def test_saturation(name):
    compare(TABLE[name], getattr(torch, name), np.array([-800.0, -40.0, 0.0, 40.0, 800.0, INF, -INF]))


@pytest.mark.parametrize("n", [2, 3, 1, 0, 2.0])
def test_powers_at_zero_and_below(n):
    compare(lambda x: x**n, lambda t: t**n, np.array([-2.0, 0.0, 3.0]))


@pytest.mark.filterwarnings("ignore:invalid value|divide by zero")
def test_powers_of_two_tensors_at_zero_and_below():
    """0⁰ has the slopes 0; a negative base has no slope in its exponent."""
    a, b = np.meshgrid([-2.0, 0.0, 0.5, 3.0, INF], [-2.0, -1.0, 0.0, 1.0, 2.0, 3.0], indexing="ij")
    compare(TABLE["power"], torch.pow, a, b, order=1)
    for base in (2.0, -3.0, 1):
        compare(lambda x: TABLE["power"](base, x), lambda t: base**t, b[0], order=1)  # noqa: B023
    x, t = tensor(b[0], requires_grad=True), torch.tensor(b[0], requires_grad=True)
    (0.0**t).sum().backward()
    np.testing.assert_array_equal(grad(TABLE["power"](0.0, x).sum(), x)[0].data, t.grad.numpy())


def test_a_power_of_zero_goes_on():
    """The slope in the exponent of the slope in the base, aᵇ⁻¹·(1 + b·log a), is 1/a at b = 0: PyTorch cuts it off there."""
    a, b = tensor([2.0, 0.5], requires_grad=True), tensor([0.0, 0.0], requires_grad=True)
    (da,) = grad(TABLE["power"](a, b).sum(), a, create_graph=True)
    np.testing.assert_array_equal(da.data, 0.0)
    np.testing.assert_allclose(grad(da.sum(), b)[0].data, [0.5, 2.0])


# Products of matrices -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ((3,), (3,)),
        ((3,), (3, 2)),
        ((2, 3), (3,)),
        ((2, 3), (3, 4)),
        ((3,), (5, 3, 2)),
        ((5, 2, 3), (3,)),
        ((5, 2, 3), (3, 4)),
        ((2, 3), (5, 3, 4)),
        ((5, 1, 2, 3), (4, 3, 2)),
        ((1, 2, 3), (4, 3, 2)),
        ((2, 4, 2, 3), (2, 1, 3, 1)),
    ],
)
def test_matmul(a, b):
    rng = np.random.default_rng(13)
    compare(matmul, torch.matmul, rng.standard_normal(a), rng.standard_normal(b))
    compare(lambda x, z: (x @ z) ** 2, lambda s, t: (s @ t) ** 2, rng.standard_normal(a), rng.standard_normal(b))


# Indexing ----------------------------------------------------------------------------------------------------

MASK = np.array([[True, False, True], [False, False, True], [True, True, True], [False] * 3])
INDICES = {
    "int": 1,
    "negative int": -1,
    "slice": slice(1, 3),
    "slice with a step": slice(None, None, 2),
    "empty slice": slice(2, 2),
    "None": None,
    "Ellipsis": Ellipsis,
    "column": (slice(None), 1),
    "mixed": (Ellipsis, None, 0),
    "None between": (slice(1, 3), None, slice(0, 2)),
    "repeats": np.array([0, 2, 0, 0]),
    "repeats by list": [3, 3],
    "matrix of rows": np.array([[0, 1], [1, 1]]),
    "pairs with repeats": (np.array([0, 0, 3]), np.array([1, 1, 2])),
    "broadcast pairs": (np.array([[0], [3]]), np.array([0, 2])),
    "column list": (slice(None), [2, 0, 2]),
    "array and int": (np.array([1, 1]), 2),
    "array and None": (np.array([1, 1]), None),
    "mask": MASK,
    "row mask": np.array([True, False, True, True]),
    "column mask": (slice(None), np.array([True, False, True])),
    "no mask": np.zeros((4, 3), bool),
}


@pytest.mark.parametrize("index", INDICES.values(), ids=INDICES)
def test_indexing(index):
    x = np.random.default_rng(14).standard_normal((4, 3))
    parts = index if isinstance(index, tuple) else (index,)
    theirs = tuple(torch.tensor(p) if isinstance(p, np.ndarray) else p for p in parts)
    compare(lambda t: t[index], lambda t: t[theirs], x)
    compare(lambda t: t[index] ** 3, lambda t: t[theirs] ** 3, x)


def test_indexing_by_tensors():
    x = np.random.default_rng(14).standard_normal((4, 3))
    compare(lambda t: t[tensor([0, 0, 3])] ** 2, lambda t: t[torch.tensor([0, 0, 3])] ** 2, x)
    compare(lambda t: t[t > 0.1] ** 2, lambda t: t[t > 0.1] ** 2, x)


# Put together ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("c", [(4, 3), (3,), (4, 1)])
@pytest.mark.parametrize(("a", "b"), [((4, 3), (3,)), ((1, 3), (4, 1)), ((), (4, 3))])
def test_where(a, b, c):
    rng = np.random.default_rng(15)
    mask = rng.random(c) > 0.5
    compare(
        lambda x, z: TABLE["where"](mask, x * x, z) ** 2,
        lambda s, t: torch.where(torch.tensor(mask), s * s, t) ** 2,
        rng.standard_normal(a),
        rng.standard_normal(b),
    )


@pytest.mark.parametrize("rows", [1, 2, 5])
def test_layer_norm_by_hand(rows):
    """Written out in both: PyTorch's fused layer_norm is no reference beyond the second order."""

    def norm(x: Any, gain: Any, bias: Any, mean: Callable[[Any], Any]) -> Any:
        centred = x - mean(x)
        return centred * (mean(centred * centred) + 1e-5) ** -0.5 * gain + bias

    rng = np.random.default_rng(16)
    compare(
        lambda x, gain, bias: norm(x, gain, bias, lambda v: v.mean(-1, keepdims=True)),
        lambda x, gain, bias: norm(x, gain, bias, lambda v: v.mean(-1, keepdim=True)),
        rng.standard_normal((rows, 6)),
        rng.standard_normal(6),
        rng.standard_normal(6),
        order=3,
        rtol=1e-8,
    )


def test_softmax_by_hand():
    rng = np.random.default_rng(17)

    def ours(x: Any) -> Any:
        e = (x - x.max(-1, keepdims=True)).exp()
        return e / e.sum(-1, keepdims=True)

    compare(ours, lambda t: torch.softmax(t, -1), rng.standard_normal((3, 4)), order=3)


def test_concatenate():
    rng = np.random.default_rng(18)
    compare(
        lambda a, b: concatenate([a, b, a * b[:2]], axis=-2) ** 2,
        lambda a, b: torch.cat([a, b, a * b[:2]], -2) ** 2,
        rng.standard_normal((2, 3)),
        rng.standard_normal((4, 3)),
    )
