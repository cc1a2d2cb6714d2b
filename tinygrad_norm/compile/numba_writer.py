"""A schedule in Numba: loops that are compiled here, vectorized, with no flag that assumes NaN, infinity or −0 away."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .lesson import lesson
from .loops import Loops
from .parts import Schedule
from .vector import NUMBA as FUNCTIONS

_HEAD = '''"""{title}: made from its derived formula by tinygrad_norm.

{lesson}
"""

import math

import numpy as np
from numba import float64, int64, njit, types, uint64

T, REAL = np.{dtype}, types.{dtype}
LEAST, MOST = T({least!r}), T({most!r})  # the range in which a number has a cube
FLAGS = {{"reassoc", "contract"}}  # sums in any order; NaN, infinity and -0 stay what they are
CACHE = True
ZERO, BLOCK, CHUNK, LANES = (np.uint64(n) for n in (0, 256, 4096, 128))  # unsigned: no place is counted from the end


def READ(n):
    return types.Array(REAL, n, "C", readonly=True)


def WRITE(n, real=REAL):
    return types.Array(real, n, "C")
'''


class Numba(Loops):
    """Reads ``start``, ``stop``, the arrays and the numbers; returns whether somewhere the formula does not hold."""

    reserved = (
        "np",
        "math",
        "njit",
        "types",
        "float64",
        "int64",
        "uint64",
        "ZERO",
        "BLOCK",
        "CHUNK",
        "LANES",
        "T",
        "REAL",
        "READ",
        "WRITE",
        "CACHE",
        "start",
        "stop",
        "odd",
        "range",
        "min",
        "max",
        "LEAST",
        "MOST",
        "FLAGS",
        "forward",
        "backward",
    )
    lowest = "T(-np.inf)"

    def number_of(self, n: int) -> str:
        return "ZERO"

    def text(self) -> str:
        s = self.s
        added = {t.array.name for t in s.added}
        kinds = ["uint64", "uint64", *(f"READ({len(a.axes) or 1})" for a in s.reads)]
        kinds += [f"WRITE({len(a.axes) or 1}{', float64' if a.name in added else ''})" for a in s.writes]
        kinds += ["REAL"] * len(s.numbers)
        self.put(f"@njit(int64({', '.join(kinds)}), fastmath=FLAGS, cache=CACHE, nogil=True, error_model='numpy')")
        names = [*(a.name for a in s.reads), *(a.name for a in s.writes), *(n for _, n, _ in s.numbers)]
        self.put(f"def {s.name}(start, stop, {', '.join(names)}):")
        self.depth = 1
        for a, where in sizes(s).items():
            self.put(f"{self.size_of[a]} = np.uint64({where[0]}.shape[{where[1]}])")
        self.put("odd = 0")
        self.body()
        self.put("return odd")
        return "\n".join(self.lines)

    def count(self, n: int) -> str:
        return f"np.uint64({n})"

    def number(self, n: Any) -> str:
        return f"T({float(n)!r})" if float(n) != int(n) else f"T({int(n)})"

    def size(self, axis: str) -> str:
        return f"T({self.size_of[axis]})"

    def function(self, name: str, arguments: list[str]) -> str:
        if name == "pow":
            return f"{arguments[0]} ** {arguments[1]}"
        if name in FUNCTIONS:
            return f"{name}_({', '.join(arguments)})"
        return f"np.{ {'abs': 'abs'}.get(name, name) }({', '.join(arguments)})"

    def choice(self, condition: str, yes: str, no: str) -> str:
        return f"({yes} if {condition} else {no})"

    def place_of(self, at: str) -> str:
        return f"T({at})"

    def both(self, conditions: list[str]) -> str:
        return " and ".join(conditions)

    def entry(self, array: str, axes: Sequence[str]) -> str:
        return f"{array}[{', '.join(self.at_of[a] for a in axes) or '0'}]"

    def local(self, array: str, axes: Sequence[str]) -> str:
        at = [f"{self.at_of[a]} - {self.at_of[a]}0" if a == self.s.lane else self.at_of[a] for a in axes]
        return f"{array}[{', '.join(at)}]"

    def part_entry(self, name: str, axes: Sequence[str]) -> str:
        return f"{name}[{', '.join(self.at_of[a] for a in axes) or '0'}]"

    def open(self, at: str, start: str, stop: str, step: str = "") -> None:
        bounds = stop if start == "ZERO" and not step else f"{start}, {stop}" + (f", {step}" if step else "")
        self.put(f"for {at} in range({bounds}):")

    def close(self) -> None:
        pass

    def let(self, name: str, value: str) -> None:
        self.put(f"{name} = {value}")

    def let_index(self, name: str, value: str) -> None:
        self.put(f"{name} = {value}")

    def variable(self, name: str, value: str, wide: bool = False) -> None:
        self.put(f"{name} = 0.0" if wide else f"{name} = {value}")

    def set(self, place: str, value: str) -> None:
        self.put(f"{place} = {value}")

    def add(self, place: str, value: str) -> None:
        self.put(f"{place} += {value}")

    def _sizes(self, axes: Sequence[str]) -> str:
        return ", ".join("LANES" if a == self.s.lane else self.size_of[a] for a in axes) + ("," if len(axes) == 1 else "")

    def make(self, name: str, axes: Sequence[str], wide: bool = False) -> None:
        self.put(f"{name} = np.empty(({self._sizes(axes)}), {'np.float64' if wide else 'T'})")

    def make_part(self, name: str, axes: Sequence[str]) -> None:
        shape = ", ".join(self.size_of[a] for a in axes) + ("," if len(axes) == 1 else "") if axes else "1,"
        self.put(f"{name} = np.empty(({shape}), T)")

    def clear(self, name: str, axes: Sequence[str], value: str) -> None:
        self.put(f"{name}[...] = {value}")

    def clear_part(self, name: str, axes: Sequence[str]) -> None:
        self.put(f"{name}[...] = {self.number(0)}")

    def narrow(self, value: str) -> str:
        return f"T({value})"

    def larger(self, a: str, b: str) -> str:
        return f"larger_({a}, {b})"

    def ask(self, condition: str) -> None:
        self.put(f"odd |= not ({condition})")

    def least(self, a: str, b: str) -> str:
        return f"min({a}, {b})"

    def remark(self, text: str) -> None:
        self.put(f"# {text}")


def sizes(s: Schedule) -> dict[str, tuple[str, int]]:
    """Where each axis' size is found: in which array, at which place."""
    found: dict[str, tuple[str, int]] = {}
    for array in (*s.reads, *s.writes):
        for k, a in enumerate(array.axes):
            found.setdefault(a, (array.name, k))
    return {a: found[a] for a in s.program.axes if a in found}


def source(schedules: Sequence[Schedule], dtype: str, least: float, most: float) -> str:
    """A module with a function for each schedule, compiled when it is imported."""
    texts = [Numba(s).text() for s in schedules]
    about = "\n\n".join(lesson(s) for s in schedules)
    head = _HEAD.format(title=schedules[0].program.title, lesson=about, dtype=dtype, least=least, most=most)
    used = [name for name in FUNCTIONS if any(f"{name}_(" in t for t in texts)]
    if any(n in used for n in ("tanh", "sigmoid", "softplus")) and "exp" not in used:
        used.insert(0, "exp")
    helpers = [FUNCTIONS[n][dtype] for n in FUNCTIONS if n in used]
    return "\n\n\n".join([head.rstrip(), *helpers, *texts]) + "\n"
