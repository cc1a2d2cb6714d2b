"""What the benchmarks share: one thread, two allocator settings, contenders that take turns."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

KEEP_PAGES = {"MALLOC_MMAP_THRESHOLD_": "1073741824", "MALLOC_TRIM_THRESHOLD_": "1073741824"}
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
SETTINGS: Mapping[str, Mapping[str, str]] = {
    "default allocator: big arrays get fresh pages each time": {},
    "allocator told to keep its pages": KEEP_PAGES,
}

Contender = Callable[[], tuple[Any, ...]]


def available(module: str) -> bool:
    """Whether a peer can be imported; torch is held to one thread."""
    try:
        peer = __import__(module)
    except ImportError:
        return False
    if module == "torch":
        peer.set_num_threads(1)
    return True


def medians(runs: Mapping[str, Contender], ours: str, seconds: float) -> dict[str, float]:
    """The median time of each in seconds, the contenders taking turns: A B C A B C … All must give what ours gives."""
    answers = {name: [np.asarray(g) for g in run()] for name, run in runs.items()}
    for name, grads in answers.items():  # a fast wrong answer is no answer
        for mine, theirs in zip(answers[ours], grads):
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


def in_each_setting(benchmark: str, argv: list[str], report: Callable[[str, float], None]) -> int:
    """Run ``report`` in a process of its own under each allocator setting."""
    if argv[:1] == ["--child"]:
        report(argv[1], float(argv[2]))
        return 0
    seconds = argv[argv.index("--seconds") + 1] if "--seconds" in argv else "4"
    for title, extra in SETTINGS.items():
        child = [sys.executable, "-m", "benchmarks", benchmark, "--child", title, seconds]
        subprocess.run(child, env={**os.environ, **ONE_THREAD, **extra}, check=True)
        print()
    return 0
