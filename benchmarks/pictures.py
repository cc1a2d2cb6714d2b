"""What pictures cost, from a record to the text of a file, each time from a new graph."""

from __future__ import annotations

import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from . import opening
from .peers import Options, Row, turns


def rows(options: Options) -> Iterator[Row]:
    import tinygrad_norm as tn
    from tinygrad_norm.draw.beside import beside
    from tinygrad_norm.draw.frames import frames

    rng = np.random.default_rng(0)
    x = tn.tensor(rng.normal(size=(8, 64)), requires_grad=True, name="x")
    w, b = (tn.tensor(rng.normal(size=64), requires_grad=True, name=name) for name in "γβ")
    y, rms = tn.functional.layer_norm(x, 64, w, b), tn.functional.rms_norm(x, 64, w)
    fused = tn.functional.layer_norm(x, 64, w, b, backward="analytic")
    long = x
    for _ in range(5000):
        long = (long * 1.0001).tanh()
    small = tn.functional.layer_norm(tn.tensor(rng.normal(size=(1, 3)), requires_grad=True, name="x"), 3)
    cases: dict[str, Callable[[], Any]] = {
        "LayerNorm, SVG": lambda: tn.graph(y).to_svg(),
        "LayerNorm with gradients, SVG": lambda: tn.graph(y).to_svg(gradients=True),
        "LayerNorm, boxes, SVG": lambda: tn.graph(y).to_svg(fold=1),
        "LayerNorm, ladder, SVG": lambda: tn.graph(y).to_svg(ladder=True),
        "LayerNorm of three, number by number, SVG": lambda: tn.graph(small).to_svg(elements=True),
        "LayerNorm beside RMSNorm, SVG": lambda: beside({"LayerNorm": tn.graph(y), "RMSNorm": tn.graph(rms)}),
        "LayerNorm, DOT": lambda: tn.graph(y).to_dot(),
        "LayerNorm, terminal": lambda: str(tn.graph(y)),
        "LayerNorm, explorer": lambda: tn.graph(y)._writer("html")(tn.graph(y), twin=tn.graph(fused)),
        "LayerNorm, a frame for each step": lambda: list(frames(tn.graph(y))),
        "10,000 operations, folded, SVG": lambda: tn.graph(long).to_svg(),
        "10,000 operations, explorer": lambda: tn.graph(long)._writer("html")(tn.graph(long)),
    }
    for name, make in cases.items():
        if options.wants(name):
            yield Row(name, "ms", {"ours": turns({"ours": make}, options.seconds)["ours"] * 1e3})
    if options.wants(case := "LayerNorm, explorer, the first in a process (it imports SymPy)"):
        yield Row(case, "ms", {"ours": _first()})
    yield from opening.rows(options)


def _first() -> float:
    """The explorer with whatever it has to import, after NumPy and the package."""
    code = (
        "import time, numpy as np, tinygrad_norm as tn\n"
        "x = tn.tensor(np.random.default_rng(0).normal(size=(8, 64)), requires_grad=True, name='x')\n"
        "y = tn.functional.layer_norm(x, 64)\n"
        "start = time.perf_counter(); tn.graph(y)._writer('html')(tn.graph(y)); print(time.perf_counter() - start)"
    )
    runs = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True) for _ in range(3)]
    return statistics.median(float(run.stdout) for run in runs) * 1e3
