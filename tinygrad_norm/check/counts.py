"""Numbers that a factor may be, said with their letters: 15 is H·W."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from itertools import chain, combinations

import numpy as np

from ..engine import Tensor
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
    groups = case.options.get("num_groups")
    if isinstance(groups, int) and groups > 1:
        named |= {"G": float(groups), "1/G": 1 / groups}
    alone = {w: n for w, n in found.items() if len(w) == 1}
    named |= {f"{a}/{b}": m / n for a, m in alone.items() for b, n in alone.items() if a != b and m != n}
    for s, x in _means(case):
        n = x.size // max(1, s.size)
        w = next((w for w, m in found.items() if m == n), "")
        for block in BLOCKS if w and n > 2 else ():
            full = n + -n % block
            if full != n:
                _besides(named, {f"{w}/{full}": n / full, f"{full}/{w}": full / n})
    roots = {w: math.sqrt(n) for w, n in alone.items() if n > 1}
    _besides(named, {f"√{w}": r for w, r in roots.items()} | {f"1/√{w}": 1 / r for w, r in roots.items()})
    named |= {"ln 2": math.log(2), "1/ln 2": 1 / math.log(2), "ln 10": math.log(10), "1/ln 10": 1 / math.log(10)}
    if case.dy.size == 1 and (dy := float(case.dy.reshape(()))):
        named |= {"1/dy": 1 / dy, "dy": dy, "−1/dy": -1 / dy}
        named |= {f"{w}/dy": n / dy for w, n in found.items()}
    return named


def _besides(named: dict[str, float], others: Mapping[str, float]) -> None:
    """What a plainer word says needs no further one."""
    named |= {w: v for w, v in others.items() if not any(math.isclose(v, plainer) for plainer in named.values())}


def divisors(case: Case) -> tuple[str, dict[str, float]]:
    """What every mean on the record is divided by, in words, and what a term becomes that is divided by something else: H², C·H·W."""
    sizes = {math.prod(x.shape) // max(1, s.size) for s, x in _means(case)}
    found = counts_of(case)
    if len(sizes) != 1:
        return "", {}
    (n,) = sizes
    if isinstance(case.options.get("num_groups"), int) and case.options["num_groups"] > 1:
        own = max((w for w, m in found.items() if m == n and "/G" in w), key=len, default="")
    else:
        own = next((w for w, m in found.items() if m == n), "")
    others = {**found, **{f"{w}²": m * m for w, m in found.items() if len(w) == 1}}
    alone = {w: m for w, m in found.items() if len(w) == 1}
    letters = own.split("·")
    for k, w in enumerate(letters if len(letters) > 1 else ()):  # one letter twice, for another: B·H·H for B·H·W
        others |= {
            "·".join(sorted([*letters[:k], *letters[k + 1 :], a])): n / found[w] * alone[a]
            for a in letters
            if a in alone and a != w
        }
    return own, {w: n / m for w, m in others.items() if m not in (n, 1)} if own and n > 2 else {}


def _means(case: Case) -> Iterator[tuple[Tensor, Tensor]]:
    for node in case.graph.nodes:
        if node.op == "mean" and isinstance(node.tensor.inputs[0], Tensor):
            yield node.tensor, node.tensor.inputs[0]


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
