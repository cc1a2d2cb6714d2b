"""Numbers that a factor may be, said with their letters: 15 is H·W."""

from __future__ import annotations

from itertools import chain, combinations

import numpy as np

from ..graph import axis_names
from .case import Case

BLOCKS = (2, 3, 4, 5, 8, 16, 32, 64, 128, 256, 512, 1024)
"""In how many at once kernels go through an axis."""


def named_numbers(case: Case) -> dict[str, float]:
    """By their words, the likeliest first: small ones, what is averaged over, sizes of axes, a cotangent of one number."""
    named: dict[str, float] = {"0": 0, "−1": -1, "½": 0.5, "−½": -0.5, "2": 2, "−2": -2}
    found = counts_of(case)
    for node in case.graph.nodes:
        if node.op in ("mean", "sum"):
            (x,) = node.tensor.inputs
            n = x.size // max(1, node.tensor.size)
            w = "N" if found.get("N", n) == n else next((w for w, m in found.items() if m == n and len(w) == 1), "n")
            if n > 2:
                named |= {w: n, f"1/{w}": 1 / n, f"{w}/({w} − 1)": n / (n - 1), f"({w} − 1)/{w}": (n - 1) / n, f"−{w}": -n}
    named |= {w: n for w, n in found.items() if w not in named and n > 2}
    named |= {
        f"1/({w})" if "·" in w or "/" in w else f"1/{w}": 1 / n for w, n in found.items() if f"1/{w}" not in named and n > 2
    }
    alone = {w: n for w, n in found.items() if len(w) == 1}
    named |= {f"{a}/{b}": m / n for a, m in alone.items() for b, n in alone.items() if a != b and m != n}
    for node in case.graph.nodes:
        if node.op == "mean":
            (x,) = node.tensor.inputs
            n = x.size // max(1, node.tensor.size)
            w = next((w for w, m in found.items() if m == n), "")
            for block in BLOCKS if w and n > 2 else ():
                full = n + -n % block
                if full != n:
                    named |= {f"{w}/{full}": n / full, f"{full}/{w}": full / n}
    if case.dy.size == 1 and (dy := float(case.dy.reshape(()))):
        named |= {"1/dy": 1 / dy, "dy": dy, "−1/dy": -1 / dy}
        named |= {f"{w}/dy": n / dy for w, n in found.items()}
    return named


def meaning(name: str) -> str:
    """What such a factor says, where that is known."""
    if name.endswith("/dy"):
        return ": dy, the cotangent, is left out"
    size, _, full = name.partition("/")
    if full.isdigit() and not size.isdigit():
        return f": it is divided by {full}, up to which the last block is filled, where {size} belongs"
    return ""


def counts_of(case: Case) -> dict[str, float]:
    """Products of the main input's sizes: C, H·W, C/G."""
    x = case.leaves[next(iter(case.leaves))]
    letters = dict(zip(axis_names(x.ndim), map(float, x.shape)))
    groups = case.options.get("num_groups")
    if isinstance(groups, int) and groups > 1 and x.ndim > 1:
        c = axis_names(x.ndim)[1]
        letters |= {f"{c}/G": x.shape[1] / groups}
    found: dict[str, float] = {}
    for some in chain.from_iterable(combinations(letters, k) for k in range(1, x.ndim + 1)):
        if len({w[0] for w in some}) == len(some):
            found["·".join(some)] = float(np.prod([letters[w] for w in some]))
    return found
