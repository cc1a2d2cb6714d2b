"""Kernels made from formulas, ``backward="compiled"``, float32, one thread: forward and every gradient, beside PyTorch's own."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np

from .kernel_cases import EPS, Case, cases
from .norms import standardized
from .peers import Contender, Options, Row, available, microseconds, same

INDUCTOR = ((512, 768), (2048, 1024), (32, 64, 28, 28))
"""The shapes for which torch.compile is asked, too: each costs it seconds."""

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

    arrays = case.arrays()
    leaves = [tn.tensor(a, requires_grad=True) for a in arrays]
    dy = np.random.default_rng(1).standard_normal(case.ours("analytic", *leaves).shape, np.float32)

    def run(backward: str) -> Any:
        y = case.ours(backward, *leaves)
        return (*(g.numpy() for g in tn.grad(y, leaves, dy)), y.numpy())

    runs: dict[str, Contender] = {"compiled": partial(run, "compiled"), "analytic": partial(run, "analytic")}
    if case.torch is not None and available("torch"):
        import torch

        in_torch = case.torch
        theirs = [torch.tensor(a, requires_grad=True) for a in arrays]
        seed = torch.tensor(dy)

        def native() -> Any:
            y = in_torch(torch.nn.functional, *theirs)
            return (*torch.autograd.grad(y, theirs, seed), y.detach())

        runs["PyTorch"] = native
        if options.seconds and case.shape in INDUCTOR and (shutil.which("g++") or shutil.which("clang++")):
            torch._dynamo.reset()
            made = torch.compile(partial(in_torch, torch.nn.functional), dynamic=False)

            def compiled() -> Any:
                y = made(*theirs)
                return (*torch.autograd.grad(y, theirs, seed), y.detach())

            runs["torch.compile"] = compiled
    if case.torch is not None and available("jax") and (options.seconds or np.prod(case.shape) < 10**5):
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
        if options.wants(case.title):
            runs = contenders(case, options)
            same(runs)
            x = np.ones(case.shape, np.float32)
            runs["three copies"] = lambda x=x: (x.copy(), x.copy(), x.copy())  # type: ignore[misc]
            yield microseconds(case.title, runs, options.seconds)
            del runs
    for case in cases():
        if case.title in SHARED and any(options.wants(words.format(case.title)) for words in (TWO, GAIN)):
            yield from two_threads(case, options)
    if options.wants(FIRST):
        yield Row(FIRST, "s", {**first_use(), "allowed": 3.0})


TWO, GAIN = "two threads, {}", "what two threads gain, {}"
SHARED = ("layer_norm 2048×1024", "layer_norm 8192×1024", "softmax 2048×1024", "batch_norm 64×64×56×56")


def two_threads(case: Case, options: Options) -> Iterator[Row]:
    """By the clock on the wall, for two threads use up as much of a processor's time as one: the least of many turns."""
    import tinygrad_norm as tn

    leaves = [tn.tensor(a, requires_grad=True) for a in case.arrays()]
    dy = np.ones(case.shape, np.float32)
    old, new = np.ones((2, 1 << 22), np.float32), np.empty((2, 1 << 22), np.float32)
    pool = ThreadPoolExecutor(2)

    def norm(count: int) -> None:
        os.environ["OMP_NUM_THREADS"] = str(count)
        tn.grad(case.ours("compiled", *leaves), leaves, dy)

    def stream(count: int) -> None:
        if count == 1:
            np.copyto(new, old)
        else:
            list(pool.map(np.copyto, new, old))

    before = os.environ.get("OMP_NUM_THREADS")
    least: dict[tuple[Any, int], float] = {}
    turns = [(run, count) for run in (norm, stream) for count in (1, 2)]
    shuffled, end = random.Random(0), time.perf_counter() + options.seconds
    for turn in range(1000):
        shuffled.shuffle(turns)
        for run, count in turns:
            start = time.perf_counter()
            run(count)
            least[run, count] = min(least.get((run, count), np.inf), time.perf_counter() - start)
        if turn > 3 and time.perf_counter() > end:
            break
    pool.shutdown()
    os.environ.pop("OMP_NUM_THREADS", None)
    if before is not None:
        os.environ["OMP_NUM_THREADS"] = before
    yield Row(TWO.format(case.title), "µs", {"two threads": least[norm, 2] * 1e6, "one thread": least[norm, 1] * 1e6})
    gains = {"a plain stream": least[stream, 1] / least[stream, 2], "compiled": least[norm, 1] / least[norm, 2]}
    yield Row(GAIN.format(case.title), "×", gains)


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
