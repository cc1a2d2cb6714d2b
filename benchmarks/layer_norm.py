"""LayerNorm forward and backward (dx, dγ, dβ), float32, one thread, beside the peers that are installed."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

SHAPES = ((8, 64), (64, 256), (512, 768), (2048, 1024), (8192, 1024))
EPS = 1e-5
OURS = "recorded"
KEEP_PAGES = {"MALLOC_MMAP_THRESHOLD_": "1073741824", "MALLOC_TRIM_THRESHOLD_": "1073741824"}
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")

Contender = Callable[[], tuple[Any, ...]]


def numpy_formula(x: Any, w: Any, b: Any, dy: Any) -> Contender:
    def run() -> tuple[Any, ...]:
        centred = x - x.mean(-1, keepdims=True)
        rstd = 1 / np.sqrt((centred * centred).mean(-1, keepdims=True) + np.float32(EPS))
        xhat = centred * rstd
        _ = xhat * w + b
        g = dy * w
        dx = rstd * (g - g.mean(-1, keepdims=True) - xhat * (g * xhat).mean(-1, keepdims=True))
        return dx, (dy * xhat).sum(0), dy.sum(0)

    return run


def ours(backward: str) -> Callable[..., Contender]:
    def make(x: Any, w: Any, b: Any, dy: Any) -> Contender:
        import tinygrad_norm as tn

        leaves = [tn.tensor(a, requires_grad=True) for a in (x, w, b)]

        def run() -> tuple[Any, ...]:
            y = tn.functional.layer_norm(leaves[0], x.shape[-1], leaves[1], leaves[2], EPS, backward)
            return tuple(g.numpy() for g in tn.grad(y, leaves, dy))

        return run

    return make


def torch_native(x: Any, w: Any, b: Any, dy: Any) -> Contender:
    import torch

    xt, wt, bt = (torch.tensor(a, requires_grad=True) for a in (x, w, b))
    seed = torch.tensor(dy)

    def run() -> tuple[Any, ...]:
        y = torch.nn.functional.layer_norm(xt, (x.shape[-1],), wt, bt, EPS)
        return tuple(torch.autograd.grad(y, (xt, wt, bt), seed))

    return run


def torch_primitives(x: Any, w: Any, b: Any, dy: Any) -> Contender:
    import torch

    xt, wt, bt = (torch.tensor(a, requires_grad=True) for a in (x, w, b))
    seed = torch.tensor(dy)

    def run() -> tuple[Any, ...]:
        centred = xt - xt.mean(-1, keepdim=True)
        rstd = torch.rsqrt((centred**2).mean(-1, keepdim=True) + EPS)
        y = centred * rstd * wt + bt
        return tuple(torch.autograd.grad(y, (xt, wt, bt), seed))

    return run


def hips(x: Any, w: Any, b: Any, dy: Any) -> Contender:
    import autograd.numpy as anp
    from autograd import make_vjp

    def forward(inputs: Any) -> Any:
        x, w, b = inputs
        centred = x - anp.mean(x, -1, keepdims=True)
        rstd = 1 / anp.sqrt(anp.mean(centred**2, -1, keepdims=True) + EPS)
        return centred * rstd * w + b

    def run() -> tuple[Any, ...]:
        pullback, _ = make_vjp(forward)((x, w, b))
        return tuple(pullback(dy))

    return run


CONTENDERS: dict[str, Callable[..., Contender]] = {
    OURS: ours("recorded"),
    "analytic": ours("analytic"),
    "NumPy formula": numpy_formula,
    "PyTorch primitives": torch_primitives,
    "PyTorch native": torch_native,
    "HIPS autograd": hips,
}


def installed() -> dict[str, Callable[..., Contender]]:
    """The contenders that can run here; torch is held to one thread."""
    found = dict(CONTENDERS)
    try:
        import torch

        torch.set_num_threads(1)
    except ImportError:
        found = {name: make for name, make in found.items() if "PyTorch" not in name}
    try:
        import autograd  # noqa: F401
    except ImportError:
        found.pop("HIPS autograd")
    return found


def measure(shape: tuple[int, int], makers: dict[str, Callable[..., Contender]], seconds: float) -> dict[str, float]:
    """The median time of each, the contenders taking turns: A B C A B C …"""
    rng = np.random.default_rng(0)
    x, dy = (rng.standard_normal(shape, np.float32) for _ in range(2))
    w, b = (rng.standard_normal(shape[-1], np.float32) for _ in range(2))
    runs = {name: make(x, w, b, dy) for name, make in makers.items()}
    answers = {name: [np.asarray(g) for g in run()] for name, run in runs.items()}
    for name, grads in answers.items():  # a fast wrong answer is no answer
        for mine, theirs in zip(answers[OURS], grads):
            assert np.allclose(mine, theirs, rtol=1e-3, atol=1e-3 * float(np.abs(mine).max())), name
    times: dict[str, list[float]] = {name: [] for name in runs}
    end = time.perf_counter() + seconds
    turn = 0
    while turn < 7 or (time.perf_counter() < end and turn < 2000):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - start)
        turn += 1
    return {name: statistics.median(t[2:]) for name, t in times.items()}


def report(title: str, seconds: float) -> None:
    makers = installed()
    names = list(makers)
    print(f"{title}\nmicroseconds, median; in brackets: recorded ÷ that contender")
    print(f"{'':>11}  " + "  ".join(f"{n:>18}" for n in names))
    for shape in SHAPES:
        medians = measure(shape, makers, seconds)
        cells = [f"{medians[n] * 1e6:.0f}" + ("" if n == OURS else f" ({medians[OURS] / medians[n]:.2f})") for n in names]
        print(f"{shape[0]:>5}×{shape[1]:<5}  " + "  ".join(f"{c:>18}" for c in cells), flush=True)


def main(argv: list[str]) -> int:
    if argv[:1] == ["--child"]:
        report(argv[1], float(argv[2]))
        return 0
    seconds = argv[argv.index("--seconds") + 1] if "--seconds" in argv else "4"
    settings = {"default allocator: big arrays get fresh pages each time": {}, "allocator told to keep its pages": KEEP_PAGES}
    for title, extra in settings.items():
        child = [sys.executable, "-m", "benchmarks", "layer_norm", "--child", title, seconds]
        subprocess.run(child, env={**os.environ, **ONE_THREAD, **extra}, check=True)
        print()
    return 0
