"""Random programs on three engines: ours, HIPS autograd and JAX must agree up to the third derivative.

A program is a list of instructions over small arrays, drawn by hypothesis and built so that it always runs: shapes
fit, values stay near 1, and no kink is near. One interpreter executes it over any engine with NumPy's words.
The engines take different ways: ours and autograd go backward three times, JAX goes forward over its gradient.
"""

from __future__ import annotations

import importlib
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import combinations
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.referees.conftest import no_array_is_small
from tinygrad_norm import functional as F
from tinygrad_norm.engine import TABLE, Tensor, concatenate, grad, matmul, tensor

# The words of a program; nx is an engine's NumPy ---------------------------------------------------------------


def _normalize(nx: Any, x: Any, weight: Any) -> Any:
    centered = x - nx.mean(x, axis=-1, keepdims=True)
    return centered * nx.rsqrt(nx.mean(centered * centered, axis=-1, keepdims=True) + 0.25) * weight


def _softmax(nx: Any, x: Any) -> Any:
    e = nx.exp(x - nx.max(x, axis=-1, keepdims=True))
    return e / nx.sum(e, axis=-1, keepdims=True)


UNARY: dict[str, Callable[..., Any]] = {
    "neg": lambda nx, x: -x,
    "exp": lambda nx, x: nx.exp(x),
    "log": lambda nx, x: nx.log(x * x + 0.5),
    "sqrt": lambda nx, x: nx.sqrt(1.5 + x * x),
    "rsqrt": lambda nx, x: nx.rsqrt(x * x + 0.5),
    "tanh": lambda nx, x: nx.tanh(x),
    "sigmoid": lambda nx, x: nx.sigmoid(x),
    "square": lambda nx, x: x**2,
    "cube": lambda nx, x: x**3,
    "reciprocal": lambda nx, x: (x * x + 1.0) ** -1,
    "root": lambda nx, x: (x * x + 1.0) ** 0.75,
    "abs": lambda nx, x: nx.abs(x),
    "relu": lambda nx, x: nx.relu(x),
    "scale": lambda nx, x: x * 0.3,
    "softplus": lambda nx, x: nx.softplus(x),
    "logsigmoid": lambda nx, x: nx.logsigmoid(x),
    "elu": lambda nx, x: nx.elu(x),
}
BINARY: dict[str, Callable[..., Any]] = {
    "add": lambda nx, a, b: a + b,
    "sub": lambda nx, a, b: a - b,
    "mul": lambda nx, a, b: a * b,
    "div": lambda nx, a, b: a / (b * b + 0.5),
    "maximum": lambda nx, a, b: nx.maximum(a, b),
    "minimum": lambda nx, a, b: nx.minimum(a, b),
    "where": lambda nx, a, b: nx.where(a > b, a * b, a - 0.5 * b),
    "matmul": lambda nx, a, b: nx.matmul(a, b),
    "outer": lambda nx, a, b: nx.reshape(a, (-1, 1)) * nx.reshape(b, (1, -1)),
    "concatenate": lambda nx, a, b: nx.concatenate([nx.reshape(a, (-1,)), nx.reshape(b, (-1,))], 0),
    "power": lambda nx, a, b: nx.power(a * a + 0.5, nx.tanh(b)),
    "huber": lambda nx, a, b: nx.huber(a, b + 0.0 * a),
    "normalize": _normalize,
}
SHAPED: dict[str, Callable[..., Any]] = {
    "sum": lambda nx, x, axis, keepdims: nx.sum(x, axis=axis, keepdims=keepdims),
    "mean": lambda nx, x, axis, keepdims: nx.mean(x, axis=axis, keepdims=keepdims),
    "max": lambda nx, x, axis, keepdims: nx.max(x, axis=axis, keepdims=keepdims),
    "softmax": _softmax,
    "reshape": lambda nx, x, shape: nx.reshape(x, shape),
    "transpose": lambda nx, x, axes: nx.transpose(x, axes),
    "broadcast_to": lambda nx, x, shape: nx.broadcast_to(x, shape),
    "getitem": lambda nx, x, index: x[index],
    "cumprod": lambda nx, x: nx.cumprod(x),
    "roll": lambda nx, x, shift: nx.roll(x, shift, -1),
    "tril": lambda nx, x: nx.tril(x),
    "attention": lambda nx, x: nx.attention(x),
}
WORDS = UNARY | BINARY | SHAPED
DRAWN = sorted(UNARY) + 2 * sorted(BINARY) + sorted(SHAPED) + 2 * ["normalize", "matmul", "getitem"]


def params_of(name: str, shape: tuple[int, ...]) -> list[dict[str, Any]]:
    """Every choice that a word has for an operand of this shape; empty when it has none."""
    axes = range(len(shape))
    if name in ("sum", "mean", "max"):
        return [{"axis": a, "keepdims": k} for n in axes for a in combinations(axes, n + 1) for k in (True, False)]
    if name == "reshape":
        return [{"shape": s} for s in ((-1,), (1, *shape), shape[::-1], (*shape, 1))]
    if name == "transpose":
        return [{"axes": a} for a in (tuple(axes)[::-1], (*axes[1:], *axes[:1]))] if len(shape) > 1 else []
    if name == "broadcast_to":
        return [{"shape": (2, *shape)}, {"shape": tuple(3 if n == 1 else n for n in shape)}]
    if name == "roll":
        return [{"shift": n} for n in (1, -1, 2)] if shape else []
    if name in ("tril", "attention"):
        return [{}] if len(shape) > 1 else []
    if name == "getitem":
        last = (slice(None),) * (len(shape) - 1)
        twice = [np.array([0, -1, 0]), (*last, np.array([1, 0, 1]))]  # an entry picked twice receives twice
        picks = [*twice, 0, slice(None, None, -1), slice(0, 2), (None, slice(1, None)), (*last, -1)]
        return [{"index": index} for index in picks] if shape and shape[0] > 1 < shape[-1] else []
    return [{}] if name not in ("softmax", "normalize", "cumprod") or (shape and shape[-1] > 1) else []


TAME = 30.0
"""No node is larger, on the way either: autograd's rules take cosh(x)² and y², which overflow where tanh and 1/y do not."""


# Programs ------------------------------------------------------------------------------------------------------

Instruction = tuple[str, tuple[int, ...], dict[str, Any]]


@dataclass
class Program:
    leaves: list[np.ndarray]
    instructions: list[Instruction]
    cotangents: dict[int, np.ndarray]  # of every node that no instruction takes

    def nodes(self, nx: Any, leaves: Any) -> list[Any]:
        nodes = list(leaves)
        for name, operands, params in self.instructions:
            nodes.append(WORDS[name](nx, *(nodes[i] for i in operands), **params))
        return nodes

    def scalar(self, nx: Any, leaves: Any) -> Any:
        """The pullback's scalar: Σ ⟨cotangent, node⟩ over the ends of the program."""
        nodes = self.nodes(nx, leaves)
        total = 0.0
        for i, dy in self.cotangents.items():
            total = total + nx.sum(nodes[i] * dy)
        return total


def near_a_kink(name: str, operands: list[np.ndarray], params: dict[str, Any]) -> bool:
    if name in ("abs", "relu", "elu"):
        gap = np.abs(operands[0])
    elif name in ("maximum", "minimum", "where"):
        gap = np.abs(operands[0] - operands[1])
    elif name == "huber":  # smooth once at δ
        gap = np.abs(np.abs(operands[0] - operands[1]) - DELTA)
    elif name in ("max", "softmax"):
        x, axis = operands[0], params.get("axis", (-1,))
        rest = np.moveaxis(x, axis, range(-len(axis), 0)).reshape(*np.delete(x.shape, axis), -1)
        gap = np.diff(np.sort(rest)[..., -2:])
    else:
        return False
    return bool((gap < 1e-3).any())


def build(steps: list[tuple[str, int, int, int]], shapes: list[tuple[int, ...]], seed: int) -> Program:
    """The drawn steps as a program that runs; a step that does not fit becomes an addition or tanh."""
    rng = np.random.default_rng(seed)
    values = [rng.uniform(-1.5, 1.5, shape) for shape in shapes]
    program = Program(list(values), [], {})

    def attempt(name: str, operands: tuple[int, ...], choice: int) -> bool:
        arrays = [values[i] for i in operands]
        options = params_of(name, arrays[0].shape)
        if not options:
            return False
        params = options[choice % len(options)]
        try:
            value = WORDS[name](NUMPY, *arrays, **params)
        except ValueError:  # shapes do not fit
            return False
        if not 0 < value.size <= 27 or value.ndim > 3 or np.abs(value).max() > TAME or near_a_kink(name, arrays, params):
            return False
        program.instructions.append((name, operands, params))
        values.append(value)
        return np.abs(value).max() <= 3 or attempt("scale", (len(values) - 1,), 0)

    for name, i, j, choice in steps:
        a, b = (len(values) - 1 - k % len(values) for k in (i, j))
        tries = [(a, b), (b, a), (b, b)] if name in BINARY else [(a,), (b,), (0,), (1,)]
        any(attempt(name, operands, choice) for operands in tries) or attempt("add", (a, b), 0) or attempt("tanh", (a,), 0)
    used = {i for _, operands, _ in program.instructions for i in operands}
    program.cotangents = {i: rng.standard_normal(v.shape) for i, v in enumerate(values) if i not in used}
    return program


def programs() -> st.SearchStrategy[Program]:
    step = st.tuples(st.sampled_from(DRAWN), st.integers(0, 6), st.integers(0, 6), st.integers(0, 11))
    steps = st.integers(5, 30).flatmap(lambda n: st.lists(step, min_size=n, max_size=n))
    shape = st.sampled_from([(), (1,), (3,), (2, 3), (3, 3), (3, 1), (2, 1, 3)])
    return st.builds(build, steps, st.lists(shape, min_size=2, max_size=4), st.integers(0, 2**32 - 1))


# Engines: a program and directions u, v, w in; value, gradient, Hessian times v, third derivative along u, v, w out ---


def _names(nx: Any, **more: Any) -> SimpleNamespace:
    plain = ("exp", "log", "sqrt", "tanh", "abs", "maximum", "minimum", "where", "sum", "mean", "max", "matmul", "reshape")
    return SimpleNamespace(**{n: getattr(nx, n) for n in (*plain, "transpose", "broadcast_to", "concatenate")} | more)


def numpy_like(nx: Any) -> SimpleNamespace:
    return _names(
        nx,
        rsqrt=lambda x: 1.0 / nx.sqrt(x),
        sigmoid=lambda x: 0.5 * (1.0 + nx.tanh(0.5 * x)),
        relu=lambda x: nx.where(x > 0, x, 0.0),
        softplus=lambda x: nx.log(1.0 + nx.exp(x)),
        logsigmoid=lambda x: -nx.log(1.0 + nx.exp(-x)),
        elu=lambda x: nx.where(x > 0, x, nx.exp(x) - 1.0),
        power=lambda a, b: nx.exp(b * nx.log(a)),
        huber=lambda a, b: _huber(nx, a, b),
        cumprod=lambda x: _cumprod(nx, x),
        roll=nx.roll,
        tril=lambda x: x * np.tri(*x.shape[-2:]),
        attention=lambda x: _attention(nx, x),
    )


NUMPY = numpy_like(np)
OURS = SimpleNamespace(
    **{
        name: TABLE[name]
        for name in ("exp", "log", "sqrt", "rsqrt", "tanh", "sigmoid", "relu", "abs", "maximum", "minimum", "where")
    },
    sum=Tensor.sum,
    mean=Tensor.mean,
    max=Tensor.max,
    reshape=Tensor.reshape,
    transpose=Tensor.transpose,
    broadcast_to=Tensor.broadcast_to,
    concatenate=concatenate,
    matmul=matmul,
    softplus=F.softplus,
    logsigmoid=F.logsigmoid,
    elu=F.elu,
    power=F.pow,
    huber=lambda a, b: F.huber_loss(F.expand(a, np.broadcast_shapes(a.shape, b.shape)), b, "none", DELTA),
    cumprod=lambda x: F.cumprod(x, -1),
    roll=F.roll,
    tril=F.tril,
    attention=lambda x: F.scaled_dot_product_attention(x, x, x, is_causal=True),
)


def _cumprod(nx: Any, x: Any) -> Any:
    parts = [x[..., :1]]
    for k in range(1, x.shape[-1]):
        parts.append(parts[-1] * x[..., k : k + 1])
    return nx.concatenate(parts, -1)


def _huber(nx: Any, a: Any, b: Any) -> Any:
    d = nx.abs(a - b)
    return nx.where(d <= DELTA, 0.5 * (a - b) ** 2, DELTA * (d - 0.5 * DELTA))


def _attention(nx: Any, x: Any) -> Any:
    """Of each place to itself and those before."""
    axes = (*range(len(x.shape) - 2), len(x.shape) - 1, len(x.shape) - 2)
    scores = nx.matmul(x, nx.transpose(x, axes)) / np.sqrt(x.shape[-1])
    e = nx.exp(scores - nx.max(scores, axis=-1, keepdims=True)) * np.tri(x.shape[-2])
    return nx.matmul(e / nx.sum(e, axis=-1, keepdims=True), x)


DELTA = 0.8
Directions = list[list[np.ndarray]]
Derivatives = tuple[float, np.ndarray, np.ndarray, float]


def flat(arrays: Any) -> np.ndarray:
    return np.concatenate([np.ravel(a) for a in arrays])


def split(z: Any, program: Program) -> Iterator[Any]:
    start = 0
    for leaf in program.leaves:
        yield z[start : start + leaf.size].reshape(leaf.shape)
        start += leaf.size


def spread(gs: Any, xs: list[Tensor]) -> np.ndarray:
    return flat([np.zeros(x.shape) if g is None else g.data for g, x in zip(gs, xs)])


def ours(program: Program, directions: Directions) -> tuple[Any, ...]:
    """The leaves stay apart: what the program does not use has no gradient, which counts as zero.

    Last comes how large the shares of the third derivative are that add up: it may be small where they are not.
    """
    xs = [tensor(x, requires_grad=True) for x in program.leaves]
    y = program.scalar(OURS, xs)
    results: list[Any] = [y.item()]
    plain = []
    for size in (nullcontext, no_array_is_small):  # over arrays: the rules, and the kernels of large ones
        with size():
            plain.append(grad(y, xs, allow_unused=True) if y.requires_grad else [None] * len(xs))
    for vs in directions:
        gs = grad(y, xs, create_graph=True, allow_unused=True) if y.requires_grad else [None] * len(xs)
        results.append(spread(gs, xs))
        y = tensor(0.0)
        for g, v in zip(gs, vs):
            y = y if g is None else y + (g * v).sum()
    for gs in plain:
        np.testing.assert_allclose(spread(gs, xs), results[1], rtol=1e-10, atol=1e-10 * np.abs(results[1]).max(initial=1.0))
    w = flat(directions[2])
    return results[0], results[1], results[2], float(results[3] @ w), float(np.abs(results[3]) @ np.abs(w))


def by_autograd(program: Program, directions: Directions) -> tuple[Any, ...]:
    """The third derivative of short programs only: reverse over reverse over reverse, each word here is many there. JAX has it of all."""
    import autograd
    import autograd.numpy as anp

    nx = numpy_like(anp)
    nx.broadcast_to = lambda x, shape: x * np.ones(shape)  # its own cannot add leading axes
    u, v, w = (flat(d) for d in directions)
    z = flat(program.leaves)

    def f(z: Any) -> Any:
        return program.scalar(nx, list(split(z, program)))

    gradient = autograd.grad(f)
    second = autograd.grad(lambda z: anp.dot(gradient(z), u))
    third = autograd.grad(lambda z: anp.dot(second(z), v))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Output seems independent of input")
        found = f(z), gradient(z), second(z)
        return (*found, float(third(z) @ w)) if len(program.instructions) <= 12 else found


def by_jax(program: Program, directions: Directions) -> Derivatives:
    import jax

    with (jax if hasattr(jax, "enable_x64") else importlib.import_module("jax.experimental")).enable_x64(True):
        return _by_jax(jax, program, directions)


def _by_jax(jax: Any, program: Program, directions: Directions) -> Derivatives:
    nx = numpy_like(jax.numpy)
    u, v, w = (jax.numpy.asarray(flat(d)) for d in directions)
    z = jax.numpy.asarray(flat(program.leaves))

    def f(z: Any) -> Any:
        return program.scalar(nx, list(split(z, program)))

    def along(g: Callable[[Any], Any], direction: Any) -> Callable[[Any], Any]:
        return lambda z: jax.jvp(g, (z,), (direction,))[1]

    gradient = jax.grad(f)
    second = along(gradient, u)
    third = along(along(along(f, u), v), w)
    whole = jax.jit(lambda z: (f(z), gradient(z), second(z), third(z)))  # XLA builds one function sooner than a hundred
    results = whole.lower(z).compile({"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True})(z)
    return float(results[0]), np.asarray(results[1]), np.asarray(results[2]), float(results[3])


# The tests ------------------------------------------------------------------------------------------------------


def directions_for(program: Program) -> Directions:
    rng = np.random.default_rng(len(program.instructions))
    return [[rng.standard_normal(x.shape) for x in program.leaves] for _ in range(3)]


def agree(program: Program, referee: Callable[[Program, Directions], tuple[Any, ...]]) -> None:
    directions = directions_for(program)
    names = ("value", "gradient", "Hessian times a vector", "third derivative")
    *found, size = ours(program, directions)
    for what, mine, other in zip(names, found, referee(program, directions)):
        assert np.isfinite(other).all(), f"{what}: the program was meant to be tame"
        scale = max(1.0, float(np.abs(other).max()), size if what == names[-1] else 0.0)
        np.testing.assert_allclose(mine, other, rtol=0, atol=1e-9 * scale, err_msg=f"{what} of {program.instructions}")


@settings(max_examples=150)
@given(programs())
def test_forward_values(program):
    """Every node, against plain NumPy: the rest of this file compares ends only."""
    for mine, other in zip(program.nodes(OURS, [tensor(x) for x in program.leaves]), program.nodes(NUMPY, program.leaves)):
        np.testing.assert_allclose(mine.data, other, rtol=1e-12, atol=1e-12)


@settings(max_examples=150)
@given(programs())
def test_with_autograd(program):
    pytest.importorskip("autograd", reason="HIPS autograd is not installed: random programs are not compared with it")
    agree(program, by_autograd)


@settings(max_examples=25)
@given(programs())
@pytest.mark.thorough
def test_with_jax(program):
    pytest.importorskip("jax", reason="JAX is not installed: random programs are not compared with it")
    agree(program, by_jax)


def test_the_programs_use_every_word():
    seen, lengths = Counter[str](), []

    @settings(max_examples=150)
    @given(programs())
    def count(program):
        seen.update(name for name, _, _ in program.instructions)
        lengths.append(len(program.instructions))

    count()
    assert set(seen) == set(WORDS), set(WORDS) - set(seen)
    assert min(seen.values()) >= 5, seen
    assert np.median(lengths) >= 10
