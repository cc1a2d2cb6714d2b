"""What claims to be stable is right at the edges of its dtype: values and slopes against mpmath.

Points are ±tiny, subnormal numbers, ±max, and what stands between where one step of a formula overflows and where the
result does. What is beyond the dtype is ±∞ or 0, as rounding has it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
import pytest

import tinygrad_norm as tn
from tinygrad_norm.engine import TABLE, Tensor, grad

mp = pytest.importorskip("mpmath").mp
F = tn.functional
mpf = mp.mpf

DTYPES = ["float16", "float32", "float64"]
each_dtype = pytest.mark.parametrize("dtype", DTYPES)


@pytest.fixture(autouse=True)
def digits():
    with mp.workdps(700), np.errstate(all="ignore"):
        yield


def assert_right(found: Any, exact: Sequence[Any], dtype: str, ulps: Any = 4, floor: Any = 0) -> None:
    """Each number within so many units in its last place; below the normal numbers, in that of the smallest one.

    floor: what a unit is taken of at least: the size of what the number was computed from
    """
    info = np.finfo(dtype)
    for i, (a, b, n, least) in enumerate(
        zip(np.ravel(found), exact, np.broadcast_to(ulps, len(exact)), np.broadcast_to(floor, len(exact)))
    ):
        if abs(b) > float(info.max):
            assert a == float(mp.sign(b)) * np.inf or abs(a) > info.max / 4, (i, a, b)
        else:
            allowed = float(n) * max(float(info.eps) * max(abs(b), mpf(float(least))), mpf(float(info.smallest_subnormal)))
            assert abs(mpf(float(a)) - b) <= allowed, (i, float(a), mp.nstr(b, 17), f"allowed {mp.nstr(allowed, 3)}")


# Entry by entry -----------------------------------------------------------------------------------------


def points(dtype: str, positive: bool = False) -> np.ndarray:
    info = np.finfo(dtype)
    top, low = float(info.max), float(info.tiny)
    log = float(np.log(top))
    xs = [
        float(info.smallest_subnormal),
        low / 4,
        low,
        low**0.5,
        float(info.eps) / 8,
        1e-3,
        0.3,
        1,
        2.5,
        5,
        9,
        19.5,
        20.5,
        30,
        40,
    ]
    xs += [log - 1, log + 1, log + 6, 95, 2 * log, top ** (1 / 3), top**0.5, top**0.5 * 2, top**0.75, top / 2, top]
    some = np.array([x for x in xs if x <= top], dtype)
    return some if positive else np.concatenate([some, -some])


def op(name: str, **params: Any) -> Callable[[Tensor], Tensor]:
    return lambda x: TABLE[name](x, **params)


def sigma(x: Any) -> Any:
    return 1 / (1 + mp.exp(-x)) if x > 0 else mp.exp(x) / (1 + mp.exp(x))


def soft(x: Any) -> Any:
    return mp.log1p(mp.exp(-abs(x))) + max(x, 0)


def phi(x: Any) -> Any:
    return mpf(x > 0) if abs(x) > 1e4 else mp.erfc(-x / mp.sqrt(2)) / 2


def density(x: Any) -> Any:
    return mp.exp(-x * x / 2) / mp.sqrt(2 * mp.pi)


def by_tanh(x: Any) -> Any:
    """½(1 + tanh u) and u′, for u = √(2/π)·(x + 0.044715x³)."""
    c = mp.sqrt(2 / mp.pi)
    return sigma(2 * c * (x + mpf(0.044715) * x**3)), c * (1 + 3 * mpf(0.044715) * x * x)


def by_tanh_slope(x: Any) -> Any:
    s, slope = by_tanh(x)
    return s + 2 * x * s * (1 - s) * slope


def softplus(x: Any, beta: float, threshold: float) -> Any:
    return x if beta * x > threshold else soft(beta * x) / beta


def softplus_slope(x: Any, beta: float, threshold: float) -> Any:
    return mpf(1) if beta * x > threshold else sigma(beta * x)


def square(x: float) -> float:
    """How much a rounding of x² becomes in exp(−x²)."""
    return min(1e3, x * x)


# name: ours, the value, the slope; whether x > 0 only; units for value and slope, and of what at least
ELEMENTWISE: dict[str, tuple[Any, ...]] = {
    "exp": (op("exp"), mp.exp, mp.exp),
    "log": (op("log"), mp.log, lambda x: 1 / x, {"positive": True}),
    "sqrt": (op("sqrt"), mp.sqrt, lambda x: 1 / (2 * mp.sqrt(x)), {"positive": True}),
    "rsqrt": (op("rsqrt"), lambda x: 1 / mp.sqrt(x), lambda x: -1 / (2 * x * mp.sqrt(x)), {"positive": True}),
    "tanh": (op("tanh"), mp.tanh, lambda x: mp.sech(x) ** 2, {"floor": 1}),
    "sigmoid": (op("sigmoid"), sigma, lambda x: sigma(x) * sigma(-x), {"floor": lambda x: float(x > 0)}),
    "softplus": (op("softplus"), soft, sigma),
    "log1p": (op("log1p"), mp.log1p, lambda x: 1 / (1 + x), {"positive": True}),
    "expm1": (op("expm1"), mp.expm1, mp.exp),
    "ndtr": (op("ndtr"), phi, density, {"ulps": square}),
    "erf": (op("erf"), mp.erf, lambda x: 2 / mp.sqrt(mp.pi) * mp.exp(-x * x), {"ulps": square}),
    "silu": (F.silu, lambda x: x * sigma(x), lambda x: sigma(x) * (1 + x * sigma(-x)), {"floor": lambda x: float(0 < x < 100), "ulps": abs}),
    "gelu": (F.gelu, lambda x: x * phi(x), lambda x: phi(x) + x * density(x), {"ulps": square, "floor": 1}),
    "gelu, tanh": (lambda x: F.gelu(x, "tanh"), lambda x: x * by_tanh(x)[0], by_tanh_slope, {"ulps": square, "floor": 1}),
    **{
        f"softplus, β {beta}, threshold {threshold}": (
            lambda x, b=beta, t=threshold: F.softplus(x, b, t),
            lambda x, b=beta, t=threshold: softplus(x, b, t),
            lambda x, b=beta, t=threshold: softplus_slope(x, b, t),
            {"ulps": lambda x, b=beta: 4 * max(1.0, min(100.0, abs(b * x)))},
        )
        for beta, threshold in [(1, 20), (1, 100), (0.5, 1000), (2, 20), (1, 1e9)]
    },
    **{
        f"x^{n}": (lambda x, n=n: x**n, lambda x, n=n: x ** mpf(n), lambda x, n=n: mpf(n) * x ** (mpf(n) - 1), {"positive": n % 1 != 0, "ulps": 12})
        for n in (2, 3, 4, 5, 8, -1, -2, -3, 0.5, 1.5, -0.5, -1.5)
    },
}  # fmt: skip


def column(value: Any, x: np.ndarray) -> list[float]:
    return [float(value(float(a)) if callable(value) else value) for a in x]


@each_dtype
@pytest.mark.parametrize("name", ELEMENTWISE)
@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.costly(12)
def test_entry_by_entry(name, dtype, create_graph):
    ours, _, _, *more = ELEMENTWISE[name]
    how: dict[str, Any] = {"positive": False, "ulps": 0, "floor": 0} | (more[0] if more else {})
    x = points(dtype, how["positive"])
    leaf = tn.tensor(x, requires_grad=True)
    y = ours(leaf)
    (found,) = grad(y, leaf, np.ones_like(x), create_graph=create_graph)
    assert y.dtype == found.dtype == dtype
    ulps, floor = np.array(column(how["ulps"], x)) + 5, column(how["floor"], x)
    values, slopes = exact(name, dtype, how["positive"])
    assert_right(y.data, values, dtype, ulps, floor if name == "gelu, tanh" else 0)
    assert_right(found.data, slopes, dtype, ulps, floor)


@cache
def exact(name, dtype, positive):
    """Value and slope at each point; they take longer than all the rest."""
    _, value, slope, *_ = ELEMENTWISE[name]
    at = [mpf(float(a)) for a in points(dtype, positive)]
    return [value(a) for a in at], [slope(a) for a in at]


def test_erf_of_float32_is_within_a_unit_in_the_last_place():
    """A sample of every binade, and densely where erf bends."""
    binades = np.arange(-149, 7, dtype=np.float64)[:, None] + np.random.default_rng(1).uniform(0, 1, (156, 300))
    x = np.concatenate([2 ** binades.ravel(), np.linspace(0, 4.2, 50_000)]).astype(np.float32)
    x = np.concatenate([x, -x])
    exact = np.vectorize(math.erf, otypes=[float])(x)
    found = TABLE["erf"](x)
    assert found.dtype == np.float32
    units = np.abs(found - exact) / np.spacing(np.abs(exact).astype(np.float32)).astype(np.float64)
    assert units.max() <= 1


@pytest.mark.parametrize("power", [TABLE["rsqrt"], lambda x: x**-0.5, lambda x: 1 / x.sqrt()], ids=["rsqrt", "x^−½", "1/√x"])
@pytest.mark.parametrize("x", [1e30, 1e-26, 1e34])
def test_a_cotangent_brings_back_what_a_power_alone_would_lose(power, x):
    """−½·g·x^(−3/2) with a g that keeps it in range, where x^(−3/2) is not in float32's."""
    leaf = tn.tensor(np.float32([x]), requires_grad=True)
    g = np.float32([float(x) ** 0.5])
    (found,) = grad(power(leaf), leaf, g)
    exact = -mpf(float(g[0])) / (2 * mpf(float(leaf.data[0])) ** mpf(1.5))
    assert_right(found.data, [exact], "float32", 8)


# Rows ---------------------------------------------------------------------------------------------------


def slopes(f: Callable[[list[Any]], list[Any]], row: list[Any], g: Sequence[Any]) -> list[Any]:
    """The gradient of ⟨g, f(row)⟩, by differences in so many digits that nothing is lost."""
    found = []
    with mp.workdps(800):
        for i, x in enumerate(row):
            h = (abs(x) or mpf(1)) * mpf(10) ** -40

            def at(t: Any, i: int = i, x: Any = x) -> Any:
                moved = [*row[:i], x + t, *row[i + 1 :]]
                return mp.fsum(a * b for a, b in zip(g, f(moved)))

            found.append((at(h) - at(-h)) / (2 * h))
    return found


def log_sum(row: list[Any]) -> Any:
    top = max(row)
    return top + mp.log(mp.fsum(mp.exp(x - top) for x in row))


def log_softmax(row: list[Any]) -> list[Any]:
    return [x - log_sum(row) for x in row]


def moments(row: list[Any]) -> tuple[Any, Any]:
    mean = mp.fsum(row) / len(row)
    return mean, mp.fsum((x - mean) ** 2 for x in row)


def power_norm(row: list[Any], p: float) -> list[Any]:
    return [mp.fsum(abs(x) ** mpf(p) for x in row) ** (1 / mpf(p))]


def product(row: list[Any]) -> list[Any]:
    return [mp.fprod(row)]


def running(row: list[Any]) -> list[Any]:
    return [mp.fsum(row[: i + 1]) for i in range(len(row))]


def standardized(row: list[Any], eps: float) -> list[Any]:
    mean, square = moments(row)
    return [(x - mean) / mp.sqrt(square / len(row) + mpf(eps)) for x in row]


def by_root(row: list[Any], eps: float) -> list[Any]:
    return [x / mp.sqrt(mp.fsum(x * x for x in row) / len(row) + mpf(eps)) for x in row]


CONFIDENT = [[0.0, -40, -38], [40.0, 0, 0, 1], [-3.0, -3, -60], [700.0, 1, -700], [0.0, -20, -9], [5.0, 4.5, 1], [2.0, 2, 2]]
PLAIN = [3.0, -1, 0.5, 2]

# name: ours, over a row of mpf, rows (without their unit), units they are in: x is so many times the unit
# whether the record adds up routes as large as the cotangent, so that only what is as large keeps all its digits
Row = tuple[Any, ...]
HALF, SINGLE, DOUBLE = DTYPES
SQUARED = {HALF: [1e-3, 60.0], SINGLE: [1e-17, 1e-13, 1e15, 1e17], DOUBLE: [1e-140, 1e-100, 1e120, 1e150]}
ANY = {HALF: [6e-5, 2e4], SINGLE: [1e-38, 1e-30, 1e30, 1e38], DOUBLE: [1e-307, 1e-200, 1e200, 5e307]}
ONE = {dtype: [1.0] for dtype in DTYPES}
ROWS: dict[str, Row] = {
    "logsumexp": (lambda x: F.logsumexp(x, -1, True), lambda r: [log_sum(r)], CONFIDENT, ONE),
    "log_softmax": (lambda x: F.log_softmax(x, -1), log_softmax, CONFIDENT, ONE, True),
    "log_softmax, analytic": (lambda x: F.log_softmax(x, -1, backward="analytic"), log_softmax, CONFIDENT, ONE),
    "softmax": (lambda x: F.softmax(x, -1), lambda r: [mp.exp(a) for a in log_softmax(r)], CONFIDENT, ONE, True),
    "softmax, analytic": (lambda x: F.softmax(x, -1, backward="analytic"), lambda r: [mp.exp(a) for a in log_softmax(r)], CONFIDENT, ONE, True),
    "mean": (lambda x: x.mean(-1, True), lambda r: [moments(r)[0]], [PLAIN, [3.0, 3, 3, 2.5]], ANY),
    "cumsum": (lambda x: F.cumsum(x, -1), running, [[2.0, -1, 0.5, 1]], ANY),
    "prod": (lambda x: F.prod(x, -1, True), product, [[1.0, 1, 3.0]], {HALF: [10.0], SINGLE: [1e12, 1e-12], DOUBLE: [1e100, 1e-100]}),
    "norm": (lambda x: F.norm(x, 2, -1, True), lambda r: power_norm(r, 2), [PLAIN], ANY),
    "norm, p = 3": (lambda x: F.norm(x, 3, -1, True), lambda r: power_norm(r, 3), [PLAIN], ANY),
    "norm, p = 1.5": (lambda x: F.norm(x, 1.5, -1, True), lambda r: power_norm(r, 1.5), [PLAIN], ANY),
    "var": (lambda x: F.var(x, -1, keepdim=True), lambda r: [moments(r)[1] / (len(r) - 1)], [PLAIN], SQUARED),
    "std": (lambda x: F.std(x, -1, keepdim=True), lambda r: [mp.sqrt(moments(r)[1] / (len(r) - 1))], [PLAIN], ANY),
    **{
        f"{name}, {backward}, ε = {eps}": (
            lambda x, f=f, how={"eps": eps, "backward": backward}: getattr(F, f)(x, x.shape[-1], **how),
            lambda r, reference=reference, eps=eps: reference(r, eps),
            [PLAIN],
            SQUARED,
        )
        for name, f, reference in (("layer_norm", "layer_norm", standardized), ("rms_norm", "rms_norm", by_root))
        for backward in ("recorded", "analytic")
        for eps in (0, 1e-5)
    },
}  # fmt: skip


@each_dtype
@pytest.mark.parametrize("name", ROWS)
def test_rows(name, dtype):
    ours, reference, rows, units, *adds_up = ROWS[name]
    rng = np.random.default_rng(5)
    for unit in units[dtype]:
        for row in rows:
            x = (np.array(row) * unit).astype(dtype)
            leaf = tn.tensor(x, requires_grad=True)
            y = ours(leaf)
            g = rng.uniform(0.5, 1.5, y.shape).astype(dtype) * rng.choice([-1, 1], y.shape).astype(dtype)
            (found,) = grad(y, leaf, g)
            exact, dy = [mpf(float(a)) for a in x], [mpf(float(a)) for a in g]
            value, slope = reference(exact), slopes(reference, exact, dy)
            assert_right(y.data, value, dtype, 16, 1 if adds_up else float(max(map(abs, value))) if "norm" in name else 0)
            assert_right(found.data, slope, dtype, 64, 1 if adds_up else float(max(map(abs, slope))))


@pytest.mark.parametrize(("dtype", "far", "step"), [("float16", 2000, 2), ("float32", 1e7, 1), ("float64", 1e16, 2)])
@pytest.mark.parametrize("name", ["var", "std"])
def test_a_variance_far_from_0_keeps_its_digits(name, dtype, far, step):
    """Where a unit in the mean's last place is as large as the deviations."""
    x = far + step * np.array([[0.0, 1, 2, 4], [3, 3, 3, 4]])
    leaf = tn.tensor(x, dtype=dtype, requires_grad=True)
    y = getattr(F, name)(leaf, -1)
    (found,) = grad(y.sum(), leaf)
    for row, value, slope in zip(leaf.data, y.data, found.data):
        exact = [mpf(float(a)) for a in row]
        of = (lambda r: [moments(r)[1] / (len(r) - 1)]) if name == "var" else (lambda r: [mp.sqrt(moments(r)[1] / (len(r) - 1))])
        assert_right([value], of(exact), dtype, 4)
        wanted = slopes(of, exact, [mpf(1)])
        assert_right(slope, wanted, dtype, 8, float(max(map(abs, wanted))))


def test_a_variance_of_ordinary_numbers_is_recorded_plainly():
    y = F.var(tn.tensor(np.random.default_rng(0).standard_normal((4, 50)).astype("float32") + 3, requires_grad=True), -1)
    assert [node.op.name for node in tn.engine.history(y) if node.op] == ["mean", "sub", "pow", "sum", "reshape", "div"]


# Cross-entropy at a confident target ------------------------------------------------------------------------


@pytest.mark.parametrize("backward", ["recorded", "analytic"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("row", CONFIDENT)
def test_a_confident_target_keeps_its_digits(row, dtype, backward):
    """p − 1 and the loss, each relative to itself, however small."""
    low = float(np.log(np.finfo(dtype).tiny))  # beyond, a probability is no normal number
    row = [max(a, max(row) + low) for a in row]
    z = tn.tensor(np.array([row], dtype), requires_grad=True)
    loss = F.cross_entropy(z, np.array([0]), backward=backward)
    loss.backward()
    logp = log_softmax([mpf(float(a)) for a in z.data[0]])
    assert_right(loss.data, [-logp[0]], dtype, 8)
    assert_right(z.grad.data, [mp.expm1(logp[0]), *map(mp.exp, logp[1:])], dtype, 16 + 4 * abs(float(logp[0])))
