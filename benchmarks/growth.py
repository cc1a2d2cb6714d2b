"""Memory over thousands of training steps, with Python's garbage collector and without: it should not grow."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from .peers import Options, Row, ours
from .training import Network, Weights, layer_norm, linear, step

WARM = 3000  # Python keeps up to 2,000 freed objects of a kind for later: by now these lists are filled


def _weights(rng: np.random.Generator) -> Weights:
    shapes = {"first.w": (16, 8), "first.b": (16,), "norm.w": (16,), "norm.b": (16,), "last.w": (4, 16), "last.b": (4,)}
    return {name: rng.standard_normal(shape, np.float32) / 4 for name, shape in shapes.items()}


SMALL = Network(
    "a small MLP with LayerNorm",
    _weights,
    lambda rng: (rng.standard_normal((8, 8), np.float32), rng.integers(0, 4, 8)),
    lambda F, p, x, labels, how: F.cross_entropy(
        linear(F, p, "last", F.relu(layer_norm(F, p, "norm", linear(F, p, "first", x), how))), labels
    ),
)


def resident() -> float:
    """Of this process, in kB; 0 where the system does not say."""
    pages = Path("/proc/self/statm")
    return int(pages.read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1024 if pages.exists() else 0.0


def watch(steps: int, collector: bool) -> list[float]:
    """Blocks that Python's allocator has given out, and kB resident: after WARM steps, and after ``steps`` more."""
    run = step(SMALL, ours(), {})
    if not collector:
        gc.collect()
        gc.disable()
    found = []
    for n in (WARM, steps):
        for _ in range(n):
            run()
        found += [sys.getallocatedblocks(), resident()]
    return found


def rows(options: Options) -> Iterator[Row]:
    for collector in (True, False):
        case = f"a small MLP with LayerNorm, garbage collector {'on' if collector else 'off'}"
        if options.wants(case):
            child = [sys.executable, "-m", "benchmarks.growth", str(options.steps), "on" if collector else ""]
            done = subprocess.run(child, stdout=subprocess.PIPE, text=True, check=True)
            blocks, kilobytes, later_blocks, later_kilobytes = map(float, done.stdout.split())
            yield Row(f"{case}, allocated", "blocks", {"at the end": later_blocks, f"after {WARM:,} steps": blocks})
            yield Row(f"{case}, resident", "kB", {"at the end": later_kilobytes, f"after {WARM:,} steps": kilobytes})


if __name__ == "__main__":
    print(*watch(int(sys.argv[1]), bool(sys.argv[2])))
