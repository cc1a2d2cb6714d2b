"""What importing costs, as whole processes: Python starts, imports, ends. Bytecode may be cached, as when installed."""

from __future__ import annotations

import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator

from .peers import Options, Row

CODE = {"import tinygrad_norm": "import tinygrad_norm", "import numpy": "import numpy", "Python alone": "pass"}


def _of_children() -> float:
    """Processor time, in seconds, of all processes started here that have ended."""
    try:
        import resource
    except ImportError:  # not a Unix
        return sum(os.times()[2:4])
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def processes(turns: int) -> tuple[dict[str, float], dict[str, float]]:
    """Milliseconds of wall time and of processor time, medians, in shuffled order."""
    cached = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    wall: dict[str, list[float]] = {name: [] for name in CODE}
    cpu: dict[str, list[float]] = {name: [] for name in CODE}
    shuffled, order = random.Random(0), list(CODE)
    for _ in range(turns + 1):
        shuffled.shuffle(order)
        for name in order:
            start, before = time.perf_counter(), _of_children()
            subprocess.run([sys.executable, "-c", CODE[name]], check=True, env=cached)
            wall[name].append(time.perf_counter() - start)
            cpu[name].append(_of_children() - before)
    return ({n: statistics.median(t[1:]) * 1e3 for n, t in times.items()} for times in (wall, cpu))  # type: ignore[return-value]


def rows(options: Options) -> Iterator[Row]:
    if not options.wants("a whole process, wall time, processor time"):
        return
    wall, cpu = processes(15 if options.seconds else 1)
    yield Row("a whole process, wall time", "ms", wall)
    yield Row("a whole process, processor time", "ms", cpu)
