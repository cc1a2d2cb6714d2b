"""What a record keeps, and what its backward pass needs at most; each peak is taken in a process of its own."""

from __future__ import annotations

import gc
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from .peers import Library, Options, Row, available, ours, theirs

LIBRARIES = {"ours": ours, "PyTorch": theirs}


def layer_norm(lib: Library, shape: tuple[int, int], **how: Any) -> tuple[Callable[[], Any], Callable[[Any], Any]]:
    """From primitives, the same record in both; ``how`` its gradient is asked for."""
    rng = np.random.default_rng(0)
    x, w, b = (lib.leaf(rng.standard_normal(s, np.float32)) for s in (shape, shape[-1:], shape[-1:]))
    seed = lib.constant(rng.standard_normal(shape, np.float32))

    def forward() -> Any:
        centred = x - x.mean(-1, keepdim=True)
        rstd = ((centred**2).mean(-1, keepdim=True) + 1e-5).rsqrt()
        return centred * rstd * w + b

    return forward, lambda y: lib.grad(y, [x, w, b], seed, **how)


def _chain(lib: Library, shape: tuple[int, int]) -> tuple[Callable[[], Any], Callable[[Any], Any]]:
    x = lib.leaf(np.random.default_rng(0).standard_normal(shape, np.float32))
    seed = lib.constant(np.ones(shape, np.float32))

    def forward() -> Any:
        y = x
        for _ in range(8):
            y = y.tanh()
        return y

    return forward, lambda y: lib.grad(y, [x], seed)


RECORDS = {
    "LayerNorm 8192×1024 from primitives": (layer_norm, (8192, 1024)),
    "a chain of eight tanh, 4096×1024": (_chain, (4096, 1024)),
}


def highest() -> float:
    """The most that was resident in this process so far, in MB. (What ``resource`` says begins with the parent's.)"""
    status = Path("/proc/self/status")
    if status.exists():
        return next(int(line.split()[1]) for line in status.read_text(encoding="utf-8").splitlines() if "VmHWM" in line) / 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def peak(record: str, who: str) -> None:
    """Print the peak beyond the inputs, in MB: after forward, and after backward."""
    make, full = RECORDS[record]
    for shape in ((8, 8), full):  # a small one first: what is opened when first used is no part of it
        forward, backward = make(LIBRARIES[who](), shape)
        before = highest()
        y = forward()
        after = highest()
        grads = backward(y)
        end = highest()
        del y, grads
    print(after - before, end - before)


def _peaks(record: str) -> Iterator[Row]:
    found: dict[str, tuple[float, ...]] = {}
    for who in LIBRARIES:
        if who == "ours" or available("torch"):
            child = [sys.executable, "-m", "benchmarks.memory", record, who]
            done = subprocess.run(child, stdout=subprocess.PIPE, text=True, check=True)
            found[who] = tuple(map(float, done.stdout.split()))
    for i, what in enumerate(("forward", "forward and backward")):
        yield Row(f"{record}, peak, {what}", "MB", {who: figures[i] for who, figures in found.items()})


def per_node() -> float:
    """Bytes of a recorded node, its one number included."""
    lib = ours()
    out = lib.leaf(1.0)
    gc.collect()
    tracemalloc.start()
    for _ in range(10_000):
        out = out * 1.000001
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return used / 10_000


def rows(options: Options) -> Iterator[Row]:
    for record in RECORDS:
        if options.wants(f"{record}, peak"):
            yield from _peaks(record)
    if options.wants(case := "a recorded node and its one number"):
        yield Row(case, "bytes", {"ours": per_node()})


if __name__ == "__main__":
    peak(*sys.argv[1:])
