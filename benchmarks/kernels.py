"""Kernels made from formulas, ``backward="compiled"``, float32, one thread: forward and every gradient, beside PyTorch's own."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from .norms import standardized
from .peers import Contender, Options, Row, available, microseconds, same

EPS = 1e-5
SHAPES = ((8, 64), (64, 256), (512, 768), (2048, 1024), (8192, 1024))
IMAGES = ((32, 64, 7, 7), (32, 64, 28, 28), (64, 64, 56, 56))


class Case(NamedTuple):
    """One norm on one shape: here, and in PyTorch by its own kernel or from primitives."""

    name: str
    shape: tuple[int, ...]
    parameters: tuple[tuple[int, ...], ...]
    ours: Callable[..., Any]
    torch: Callable[..., Any]


def cases() -> list[Case]:
    import tinygrad_norm as tn

    F: Any = tn.functional
    found: list[Case] = []

    def add(name: str, shape: tuple[int, ...], parameters: Any, ours: Callable[..., Any], torch: Callable[..., Any]) -> None:
        found.append(Case(name, shape, tuple(parameters), ours, torch))

    for table in SHAPES:
        s: tuple[int, ...] = table
        n = s[-1]
        add("layer_norm", s, [(n,)] * 2, partial(lambda n, b, x, *p: F.layer_norm(x, n, *p, EPS, b), n),
            partial(lambda n, T, x, *p: T.layer_norm(x, (n,), *p, EPS), n))  # fmt: skip
        add("rms_norm", s, [(n,)], partial(lambda n, b, x, w: F.rms_norm(x, n, w, EPS, b), n),
            partial(lambda n, T, x, w: T.rms_norm(x, (n,), w, EPS), n))  # fmt: skip
        add("normalize", s, [], lambda b, x: F.normalize(x, dim=-1, backward=b), lambda T, x: T.normalize(x, dim=-1))
        add("softmax", s, [], lambda b, x: F.softmax(x, -1, b), lambda T, x: T.softmax(x, -1))
        add("log_softmax", s, [], lambda b, x: F.log_softmax(x, -1, b), lambda T, x: T.log_softmax(x, -1))
        add("batch_norm", s, [(n,)] * 2, lambda b, x, *p: F.batch_norm(x, None, None, *p, True, 0.1, EPS, b),
            lambda T, x, *p: T.batch_norm(x, None, None, *p, True, 0.1, EPS))  # fmt: skip
        add("dynamic_tanh", s, [(1,), (n,), (n,)], lambda b, x, *p: F.dynamic_tanh(x, *p, b),
            lambda T, x, a, w, b: (a * x).tanh() * w + b)  # fmt: skip
        add("ada_norm", s, [], partial(lambda n, b, x: F.ada_norm(x, n, eps=EPS, backward=b, detach=False), n),
            lambda T, x: (lambda h: h * (1 - 0.1 * h))(T.layer_norm(x, x.shape[-1:], None, None, EPS)))  # fmt: skip
    for s in IMAGES:
        c = (s[1],)
        add("batch_norm", s, [c] * 2, lambda b, x, *p: F.batch_norm(x, None, None, *p, True, 0.1, EPS, b),
            lambda T, x, *p: T.batch_norm(x, None, None, *p, True, 0.1, EPS))  # fmt: skip
        add(
            "group_norm",
            s,
            [c] * 2,
            lambda b, x, *p: F.group_norm(x, 8, *p, EPS, b),
            lambda T, x, *p: T.group_norm(x, 8, *p, EPS),
        )
        add("instance_norm", s, [c] * 2, lambda b, x, *p: F.instance_norm(x, None, None, *p, True, 0.1, EPS, b),
            lambda T, x, *p: T.instance_norm(x, None, None, *p, True, 0.1, EPS))  # fmt: skip
        add("global_response_norm", s, [(s[-1],)] * 2, lambda b, x, *p: F.global_response_norm(x, *p, 1e-6, b), _grn)
    return found


def _grn(T: Any, x: Any, w: Any, b: Any) -> Any:
    g = x.square().sum((1, 2), keepdim=True).sqrt()
    return x * (g / (g.mean(-1, keepdim=True) + 1e-6)) * w + b + x


PLAIN: dict[str, Callable[..., Any]] = {
    "layer_norm": lambda x, w, b: standardized(x, (1,)) * w + b,
    "rms_norm": lambda x, w: x * ((x * x).mean(-1, keepdims=True) + EPS) ** -0.5 * w,
    "normalize": lambda x: x / ((x * x).sum(-1, keepdims=True)) ** 0.5,
    "batch_norm": lambda x, w, b: standardized(x, (0,)) * w + b,
}
"""The same from primitives, for whoever has nothing else."""


def contenders(case: Case, options: Options) -> dict[str, Contender]:
    """Everybody who can run here, on the same numbers."""
    import tinygrad_norm as tn

    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(s, np.float32) for s in (case.shape, *case.parameters)]
    dy = rng.standard_normal(case.shape, np.float32)
    leaves = [tn.tensor(a, requires_grad=True) for a in arrays]

    def run(backward: str) -> Any:
        y = case.ours(backward, *leaves)
        return (*(g.numpy() for g in tn.grad(y, leaves, dy)), y.numpy())

    runs: dict[str, Contender] = {"compiled": partial(run, "compiled"), "analytic": partial(run, "analytic")}
    if available("torch"):
        import torch

        theirs = [torch.tensor(a, requires_grad=True) for a in arrays]
        seed = torch.tensor(dy)

        def native() -> Any:
            y = case.torch(torch.nn.functional, *theirs)
            return (*torch.autograd.grad(y, theirs, seed), y.detach())

        runs["PyTorch"] = native
        if options.seconds:  # each takes seconds to compile
            torch._dynamo.reset()
            made = torch.compile(partial(case.torch, torch.nn.functional), dynamic=False)

            def compiled() -> Any:
                y = made(*theirs)
                return (*torch.autograd.grad(y, theirs, seed), y.detach())

            runs["torch.compile"] = compiled
    if available("jax") and (options.seconds or np.prod(case.shape) < 10**5):
        import jax

        wait: Any = jax.block_until_ready
        f = tn.to_jax(partial(case.ours, "recorded"))
        both = jax.jit(lambda dy, *a: (lambda y, pull: (*pull(dy), y))(*jax.vjp(f, *a)))
        runs["JAX jit"] = lambda: wait(both(dy, *arrays))
    if available("autograd") and case.name in PLAIN and len(case.shape) == 2:
        from autograd import make_vjp

        def tape() -> Any:
            pull, y = make_vjp(lambda given: PLAIN[case.name](*given))(tuple(arrays))
            return (*pull(dy), y)

        runs["HIPS autograd"] = tape
    return runs


def rows(options: Options) -> Iterator[Row]:
    for case in cases():
        name = f"{case.name} {'×'.join(map(str, case.shape))}"
        if options.wants(name):
            runs = contenders(case, options)
            same(runs)
            x = np.ones(case.shape, np.float32)
            runs["three copies"] = lambda x=x: (x.copy(), x.copy(), x.copy())  # type: ignore[misc]
            yield microseconds(name, runs, options.seconds)
    if options.wants(FIRST):
        yield Row(FIRST, "s", {**first_use(), "allowed": 3.0})


FIRST = "first use of layer_norm, forward and backward"
_FIRST = """
import time
import numpy as np
import tinygrad_norm as tn

start = time.process_time()
x = tn.tensor(np.ones((8, 64), np.float32), requires_grad=True)
tn.functional.layer_norm(x, 64, tn.tensor(np.ones(64, np.float32)), backward="compiled").sum().backward()
print(time.process_time() - start)
"""


def first_use() -> dict[str, float]:
    """Of a new process, in seconds of its own: with what another left in the cache, and without."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "TINYGRAD_NORM_CACHE": folder}
        command = [sys.executable, "-W", "ignore", "-c", _FIRST]
        empty, cached = (
            float(subprocess.run(command, env=environment, capture_output=True, check=True).stdout) for _ in range(2)
        )
    return {"cached": cached, "with nothing cached": empty}
