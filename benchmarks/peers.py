"""What the benchmarks share: one thread, two allocator settings, contenders that take turns in shuffled order."""

from __future__ import annotations

import gc
import random
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
SETTINGS: Mapping[str, Mapping[str, str]] = {
    "default": {},  # above about 1 MB every array gets fresh pages
    "keeps pages": {"MALLOC_MMAP_THRESHOLD_": "1073741824", "MALLOC_TRIM_THRESHOLD_": "1073741824"},
}
# With one thread this is the time it takes, less what the machine gave to others meanwhile.
CLOCK = time.process_time if time.get_clock_info("process_time").resolution < 1e-6 else time.perf_counter

Contender = Callable[[], Any]


class Options(NamedTuple):
    """What the command line asks for: how long each case may take, how many steps to train, which cases."""

    seconds: float = 0.5
    steps: int = 10_000
    only: str = ""

    def wants(self, case: str) -> bool:
        return self.only in case


class Row(NamedTuple):
    """One line of a table: figures in this unit, ours first."""

    case: str
    unit: str
    figures: dict[str, float]


class Library(NamedTuple):
    """What is needed to run the same lines here and there."""

    name: str
    top: Any
    functional: Any
    leaf: Callable[[Any], Any]  # from an array, to be differentiated
    constant: Callable[[Any], Any]
    grad: Callable[..., tuple[Any, ...]]  # output, leaves, cotangent


def available(module: str) -> bool:
    """Whether a peer can be imported; torch is held to one thread."""
    try:
        peer = __import__(module)
    except ImportError:
        return False
    if module == "torch":
        peer.set_num_threads(1)
    return True


def ours() -> Library:
    import tinygrad_norm as tn

    return Library("ours", tn, tn.functional, lambda a: tn.tensor(a, requires_grad=True), tn.tensor, tn.grad)


def theirs() -> Library:
    import torch

    leaf = lambda a: torch.tensor(a, requires_grad=True)  # noqa: E731
    return Library("PyTorch", torch, torch.nn.functional, leaf, torch.tensor, torch.autograd.grad)


def libraries() -> Iterator[Library]:
    """Ours, and PyTorch where it is installed."""
    yield ours()
    if available("torch"):
        yield theirs()


def same(runs: Mapping[str, Contender]) -> None:
    """All must give what the first gives: a fast wrong answer is no answer."""
    answers = {name: [np.asarray(a) for a in run()] for name, run in runs.items()}
    mine = next(iter(answers.values()))
    for name, found in answers.items():
        for a, b in zip(mine, found):
            assert np.allclose(a, b, rtol=1e-3, atol=1e-3 * float(np.abs(a).max())), f"{name} gives another answer"


def turns(runs: Mapping[str, Contender], seconds: float, most: int = 2000) -> dict[str, float]:
    """The median time of each, in seconds; the first two turns do not count.

    In every turn each runs once, in a new order: who comes after whom is chance, and the same chance each time. What stands
    before the first turn is no garbage, and Python's collector does not go through it: PyTorch and JAX keep 200,000 objects,
    which would be read again whenever somebody else's record has grown.
    """
    shuffled, order = random.Random(0), list(runs)
    times: dict[str, list[float]] = {name: [] for name in runs}
    gc.freeze()
    end, done = time.perf_counter() + seconds, 0
    while done < (7 if seconds else 3) or (time.perf_counter() < end and done < most):
        shuffled.shuffle(order)
        for name in order:
            run = runs[name]
            start = CLOCK()
            run()
            times[name].append(CLOCK() - start)
        done += 1
    gc.unfreeze()
    return {name: statistics.median(t[2:]) for name, t in times.items()}


def microseconds(case: str, runs: Mapping[str, Contender], seconds: float, per: int = 1) -> Row:
    """A row of a table; ``per``: how often each run does what is timed."""
    return Row(case, "µs", {name: t / per * 1e6 for name, t in turns(runs, seconds).items()})
