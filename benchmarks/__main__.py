"""``python -m benchmarks``: everything, beside the peers that are installed. ``python -m benchmarks layer_norm``: one of them.

``--seconds 4``: for how long contenders take turns in each case. ``--only 8×64``: cases with this in their name.
``--no-avx512``: as on a processor without it. ``--write``: into benchmarks/README.md, with AVX-512 and without.
No benchmark fails by a time; where a contender computes something else, it does.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from . import machine, report
from .peers import ONE_THREAD, SETTINGS, Options, Row

# In which allocator settings each is run: both, or the default.
BENCHMARKS: dict[str, tuple[str, ...]] = {
    "layer_norm": tuple(SETTINGS),
    "norms": tuple(SETTINGS),
    "kernels": tuple(SETTINGS),
    "functions": tuple(SETTINGS),
    "training": tuple(SETTINGS),
    "floors": ("keeps pages",),
    "engine": tuple(SETTINGS),
    "scaling": tuple(SETTINGS),
    "memory": ("default",),  # of an allocator that keeps its pages the peak is its own matter
    "growth": ("default",),
    "importing": ("default",),
    "pictures": ("default",),
    "sights": ("default",),
}


def about(name: str) -> str:
    return (importlib.import_module(f"benchmarks.{name}").__doc__ or "").strip().splitlines()[0]


def measured(name: str, environment: Mapping[str, str], options: Options) -> Iterator[str | Row]:
    """What the benchmark finds in a process of its own, as it comes: the machine in words, then its rows."""
    child = [sys.executable, "-m", "benchmarks.child", name, *map(str, options)]
    around = {**machine.outside(os.environ), **ONE_THREAD, **environment}
    with subprocess.Popen(child, stdout=subprocess.PIPE, text=True, env=around) as process:
        assert process.stdout is not None
        for line in process.stdout:
            value = json.loads(line)
            yield value if isinstance(value, str) else Row(*value)
    if process.returncode:
        sys.exit(f"{name}: stopped with {process.returncode}")


def everything(names: list[str], environment: Mapping[str, str], options: Options) -> tuple[str, dict[str, dict[str, list[Row]]]]:
    """Run these benchmarks and print their tables: the machine in words, and what was found."""
    told, tables = "", {name: dict[str, list[Row]]() for name in names}
    for name in names:
        for setting in BENCHMARKS[name]:
            words, *rows = list(measured(name, {**environment, **SETTINGS[setting]}, options))
            if words != told:
                print(f"{words}\n", flush=True)
            told = str(words)
            tables[name][setting] = found = [row for row in rows if isinstance(row, Row)]
            if found:
                print(f"{name} ({setting} allocator): {about(name)}")
                print("\n".join(report.lines(found)) + "\n", flush=True)
    aims = list(report.aims(tables))
    if aims:
        print("Aims\n" + "\n".join(aims) + "\n", flush=True)
    return told, tables


def _arguments(argv: list[str]) -> Any:
    parser = argparse.ArgumentParser("python -m benchmarks", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHMARKS) + " (all of them)")
    parser.add_argument("--seconds", type=float, default=Options().seconds, help="for each case (0.5)")
    parser.add_argument("--steps", type=int, default=Options().steps, help="of training, for growth (10,000)")
    parser.add_argument("--only", default="", metavar="TEXT", help="only cases with TEXT in their name")
    parser.add_argument("--no-avx512", action="store_true", help="NumPy, BLAS, PyTorch and JAX are held to AVX2")
    parser.add_argument("--write", action="store_true", help="renew benchmarks/README.md and the line in the README")
    found = parser.parse_args(argv)
    unknown = [name for name in found.names if name not in BENCHMARKS]
    if unknown:
        parser.error(f"no benchmark {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}")
    return found


def main(argv: list[str]) -> int:
    given = _arguments(argv)
    names = given.names or list(BENCHMARKS)
    options = Options(given.seconds, given.steps, given.only)
    plain = machine.without_avx512()
    if given.no_avx512 and not plain:
        print("This processor has no AVX-512, or NumPy was told to leave it: nothing to hold back.\n")
    places: dict[str, dict[str, str]] = {f"with {machine.simd()}": {}}
    if plain and given.no_avx512 and not given.write:
        places.clear()
    if plain and (given.no_avx512 or given.write):
        places["without AVX-512"] = plain
    found = {place: everything(names, environment, options) for place, environment in places.items()}
    if given.write:
        report.write(found, {name: about(name) for name in names})
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
