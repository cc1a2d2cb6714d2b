"""What the engine costs beyond NumPy: per operation, in depth, in width, in memory, and at import."""

from __future__ import annotations

import gc
import os
import statistics
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np

from .layer_norm import EPS
from .peers import KEEP_PAGES, ONE_THREAD


def best(run: Callable[[], Any], turns: int = 7, inner: int = 2000) -> float:
    """Microseconds per call: the best of several turns (the least disturbed one)."""
    run()
    found = []
    for _ in range(turns):
        start = time.perf_counter()
        for _ in range(inner):
            run()
        found.append((time.perf_counter() - start) / inner)
    return min(found) * 1e6


def per_operation() -> None:
    import tinygrad_norm as tn

    a, b = np.full(8, 0.5), np.ones(8)
    x, y = tn.tensor(a, requires_grad=True), tn.tensor(b)
    print(
        f"per operation on 8 numbers, microseconds\n{'':8}{'NumPy':>8}{'recorded':>10}{'beyond':>8}{'its rule':>10}{'backward':>10}{'beyond':>8}"
    )
    cases: dict[str, tuple[Callable[[Any, Any], Any], Callable[[], Any]]] = {
        "a + b": (lambda p, q: p + q, lambda: a),
        "a * b": (lambda p, q: p * q, lambda: a * b),
        "a / b": (lambda p, q: p / q, lambda: a / b),
        "tanh": (lambda p, q: np.tanh(p) if p is a else p.tanh(), lambda: a * (1 - b**2)),
        "a**2": (lambda p, q: p**2, lambda: 2 * a * b),
    }
    for name, (forward, rule) in cases.items():
        plain, recorded, alone = best(lambda f=forward: f(a, b)), best(lambda f=forward: f(x, y)), best(rule)  # type: ignore[misc]
        out = x
        for _ in range(300):
            out = forward(out, y)
        back = best(lambda o=out: tn.grad(o, x, b), 7, 20) / 300  # type: ignore[misc]
        print(f"{name:8}{plain:8.2f}{recorded:10.2f}{recorded - plain:8.2f}{alone:10.2f}{back:10.2f}{back - alone:8.2f}")


def depth_and_width() -> None:
    import tinygrad_norm as tn

    def chain() -> None:
        leaf = out = tn.tensor(1.0, requires_grad=True)
        for _ in range(100_000):
            out = out * 1.000001
        tn.grad(out, leaf)

    def wide() -> None:
        leaves = [tn.tensor(np.ones(4), requires_grad=True) for _ in range(10_000)]
        out = leaves[0]
        for leaf in leaves[1:]:
            out = out + leaf
        tn.grad(out.sum(), leaves)

    for name, run in (("a chain of 100,000 operations", chain), ("10,000 leaves added up", wide)):
        times = []
        for _ in range(3):
            start = time.perf_counter()
            run()
            times.append(time.perf_counter() - start)
        print(f"{name}, forward and backward: {statistics.median(times):.2f} s")


def memory_per_node() -> None:
    import tinygrad_norm as tn

    leaf = out = tn.tensor(1.0, requires_grad=True)
    gc.collect()
    tracemalloc.start()
    for _ in range(10_000):
        out = out * 1.000001
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert out is not leaf
    print(f"memory per recorded node, its one number included: {used / 10_000:.0f} bytes")


def _layer(shape: tuple[int, int], who: str) -> tuple[Callable[[], Any], Callable[[Any], Any]]:
    """Forward and backward of LayerNorm from primitives, by us or by PyTorch."""
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(s, np.float32) for s in (shape, shape[-1:], shape[-1:])]
    dy = rng.standard_normal(shape, np.float32)
    if who == "ours":
        import tinygrad_norm as tn

        leaves = [tn.from_numpy(a, requires_grad=True) for a in arrays]
        return (
            lambda: tn.functional.layer_norm(leaves[0], shape[-1], leaves[1], leaves[2], EPS),
            lambda y: tn.grad(y, leaves, dy),
        )
    import torch

    x, w, b = (torch.from_numpy(a).requires_grad_() for a in arrays)
    seed = torch.from_numpy(dy)

    def forward() -> Any:
        centred = x - x.mean(-1, keepdim=True)
        rstd = torch.rsqrt((centred**2).mean(-1, keepdim=True) + EPS)
        return centred * rstd * w + b

    return forward, lambda y: torch.autograd.grad(y, (x, w, b), seed)


def peak(who: str) -> None:
    """Printed by a process of its own: its peak resident memory after forward, and after backward, in MB."""
    import resource

    def resident() -> float:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

    for shape in ((8, 8), (8192, 1024)):
        forward, backward = _layer(shape, who)
        before = resident()
        y = forward()
        after = resident()
        grads = backward(y)
        end = resident()
        del y, grads
    print(f"{after - before:.0f} {end - before:.0f}")


def peaks() -> None:
    print("peak memory beyond the inputs, LayerNorm 8192×1024 float32 from primitives (one array: 32 MB)")
    for who in ("ours", "torch"):
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks", "engine", "--peak", who],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, **ONE_THREAD},
        )
        if done.returncode:
            print(f"  {who}: not measured ({done.stderr.strip().splitlines()[-1]})")
            continue
        forward, both = done.stdout.split()
        print(f"  {who:6} forward {forward:>4} MB, with backward {both:>4} MB")


def create_graph() -> None:
    import tinygrad_norm as tn

    rng = np.random.default_rng(0)
    x = tn.tensor(rng.standard_normal((512, 768), np.float32), requires_grad=True)
    dy = rng.standard_normal((512, 768), np.float32)
    run = lambda: tn.grad(tn.functional.layer_norm(x, 768), x, dy, create_graph=True)  # noqa: E731
    print(f"a recorded gradient (create_graph) of LayerNorm 512×768: {best(run, 5, 10) / 1000:.1f} ms")


def importing() -> None:
    """Wall time of starting Python and importing, the bare start taken off; bytecode may be cached, as when installed."""
    cached = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}

    def start(code: str) -> float:
        times = []
        for _ in range(15):
            begin = time.perf_counter()
            subprocess.run([sys.executable, "-c", code], check=True, env=cached)
            times.append(time.perf_counter() - begin)
        return statistics.median(times[1:])

    bare, numpy, ours = (start(code) for code in ("pass", "import numpy", "import tinygrad_norm"))
    print(
        f"import numpy {(numpy - bare) * 1e3:.0f} ms, import tinygrad_norm {(ours - bare) * 1e3:.0f} ms: ×{(ours - bare) / (numpy - bare):.2f}"
    )


def main(argv: list[str]) -> int:
    if argv[:1] == ["--peak"]:
        peak(argv[1])
        return 0
    if argv[:1] == ["--graph"]:
        create_graph()
        return 0
    per_operation()
    depth_and_width()
    memory_per_node()
    peaks()
    for title, extra in (("default allocator", {}), ("allocator told to keep its pages", KEEP_PAGES)):
        print(f"{title}: ", end="", flush=True)
        subprocess.run(
            [sys.executable, "-m", "benchmarks", "engine", "--graph"], check=True, env={**os.environ, **ONE_THREAD, **extra}
        )
    importing()
    return 0
