"""What stands where a statistic belongs: that of a part, of another index, another measure of how large the entries are."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import numpy as np

from ..derive.formula import Power, Total
from ..engine.arrays import Array
from .case import Case
from .counts import BLOCKS
from .cuts import cuts_of
from .fused import Fused
from .variants import MOST, SMALL, maps, placed


def of_part(case: Case, found: Fused) -> Iterator[tuple[str, dict[str, Array]]]:
    """All statistics, of a part of what they belong to."""
    main = next((a for a in found.arrays() if a.kind == "input"), None)
    lines = found.statistics()
    if main is None or not lines:
        return
    x = placed(found, found.known[main.name])
    for axis in dict.fromkeys(a for line in lines for a in found.axes if a not in line.letter.axes):
        at, n = found.axes.index(axis), found.sizes[axis]
        parts = {
            "the first half": np.arange(n // 2),
            "the second half": np.arange(n // 2, n),
            "every second index": np.arange(0, n, 2),
        }
        parts |= {"all but the last index": np.arange(n - 1), "all but the first index": np.arange(1, n)}
        parts |= {"all but the first and the last index": np.arange(1, n - 1)}
        parts |= {"the first index": np.arange(1), "the last index": np.arange(n - 1, n)}
        for words, part in parts.items():
            if not 0 < len(part) < n:
                continue
            other = found.resized({axis: len(part)}, {main.name: np.take(x, part, axis=at)})
            made = {line.letter.name: placed(found, other.known[line.letter.name]) for line in lines}
            if all(a.shape[at] == 1 and np.all(np.isfinite(a)) for a in made.values()):
                yield f"of {words} of {found.over((axis,))}", made


def of_one_index(found: Fused) -> Iterator[tuple[str, dict[str, Array]]]:
    """All statistics of another index of one axis, or averaged over it."""
    lines = found.statistics()
    own = {x.letter.name: placed(found, found.known[x.letter.name]) for x in lines}
    for axis in dict.fromkeys(a for x in lines for a in x.letter.axes):
        at, n = found.axes.index(axis), found.sizes[axis]
        have = {name: a for name, a in own.items() if a.shape[at] > 1}
        for words, index in maps(found, (axis,), n) if 1 < n <= MOST and have else ():
            if not np.array_equal(index, np.arange(n)):
                yield (
                    f"of [{words}] of {found.over((axis,))} where those of [i] belong",
                    {m: np.take(a, index, axis=at) for m, a in have.items()},
                )
        yield (
            f"averaged over {found.over((axis,))}",
            {m: np.broadcast_to(a.mean(at, keepdims=True), a.shape) for m, a in have.items()},
        )


def of_cut(found: Fused) -> Iterator[tuple[str, str, Array]]:
    """A statistic of what a block, or a rest, leaves of its entries."""
    for line in found.statistics():
        e = line.expression
        if not (isinstance(e, Total) and e.function in ("sum", "mean")):
            continue
        inside, along = found.known_as(e.inside), tuple(found.axes.index(k) for k in e.axes)
        n = int(np.prod([found.sizes[k] for k in e.axes])) if e.function == "mean" else 1
        for words, mask in cuts_of(found, e.axes) if inside.size <= SMALL else ():
            cut = (inside * mask).sum(along, keepdims=True)
            yield line.letter.name, words, cut / n
            if n > 1:
                count = np.broadcast_to(mask, inside.shape).sum(along, keepdims=True)
                yield line.letter.name, f"{words} (and is divided by the number of the others)", cut / count


def of_another_size(case: Case, found: Fused) -> Iterator[tuple[str, str, Array]]:
    """Another measure of how large the entries are: a letter, what it is in words, and its numbers."""
    for line in found.formula.lines:
        e = line.expression
        if not (isinstance(e, Total) and isinstance(e.inside, Power)):
            continue
        a = found.known_as(e.inside.base)
        along = tuple(found.axes.index(k) for k in e.axes)
        inside = found.hand(e.inside.base)
        size = np.abs(a)
        once = [(f"mean|{inside}|", size.mean(along, keepdims=True)), (f"max|{inside}|", size.max(along, keepdims=True))]
        once += [(f"Σ|{inside}|", size.sum(along, keepdims=True)), (f"median|{inside}|", np.median(size, along, keepdims=True))]
        once += [(f"max {inside} − min {inside}", a.max(along, keepdims=True) - a.min(along, keepdims=True))]
        for words, u in once:
            yield line.letter.name, f"({words})²", u**2
            yield line.letter.name, words, u
            if case.eps:
                yield line.letter.name, f"({words})², and no ε,", u**2 - case.eps
                yield line.letter.name, f"({words} + ε)², with ε outside of the root,", (u + case.eps) ** 2 - case.eps
        main = next((m for m in found.arrays() if m.kind == "input"), None)
        x = found.known_as(main) if main is not None else a
        centred = not np.array_equal(x, a)
        n = int(np.prod([found.sizes[k] for k in e.axes]))
        f = 1 if e.function == "mean" else n
        if main is not None:
            name = main.name
            yield (
                line.letter.name,
                f"mean({name}²), not centred," if centred else f"the variance of {name}, with the mean subtracted,",
                f * ((x * x).mean(along, keepdims=True) if centred else x.var(along, keepdims=True)),
            )
            yield (
                line.letter.name,
                f"mean({name}²) + mean({name})²",
                f * ((x * x).mean(along, keepdims=True) + x.mean(along, keepdims=True) ** 2),
            )
            for words, other in _of_blocks(found, x, e.axes) if centred else ():
                yield line.letter.name, words, f * other
            for k in range(1, len(along)):
                for some in combinations(range(len(along)), k):
                    own, rest = tuple(along[j] for j in some), tuple(along[j] for j in range(len(along)) if j not in some)
                    words = f"the mean over {found.over([e.axes[j] for j in range(len(along)) if j not in some])} of the variances over {found.over([e.axes[j] for j in some])}"
                    yield line.letter.name, words, f * x.var(own, keepdims=True).mean(rest, keepdims=True)
                    words = f"the variance over {found.over([e.axes[j] for j in some])} of the means over the rest"
                    yield line.letter.name, words, f * x.mean(rest, keepdims=True).var(own, keepdims=True)
        right = placed(found, found.known[line.letter.name])
        if n > 1:
            words, other = ("Σ for the mean", right * n) if e.function == "mean" else ("the mean for Σ", right / n)
            yield line.letter.name, f"{line.letter.name} with {words}", other
        if n > 1 and e.function == "mean":
            yield line.letter.name, f"{line.letter.name} with N − 1", right * n / (n - 1)
        if case.eps:
            yield line.letter.name, f"{line.letter.name} + ε, so that ε is added twice,", right + case.eps
            twice = (np.sqrt(right + case.eps) + case.eps) ** 2 - case.eps
            yield (
                line.letter.name,
                f"{line.letter.name} with ε a second time, outside of the root, √({line.letter.name} + ε) + ε,",
                twice,
            )
            if e.function == "mean":
                yield line.letter.name, "ε divided by N, (Σ + ε)/N for Σ/N + ε, in what", right + case.eps / n - case.eps


def _of_blocks(found: Fused, x: Array, axes: tuple[str, ...]) -> Iterator[tuple[str, Array]]:
    """Variances of blocks of each axis, put together without how far their means are apart, or with too much of it."""
    for axis in axes:
        at, n = found.axes.index(axis), found.sizes[axis]
        rest = tuple(found.axes.index(a) for a in axes if a != axis)
        halves = [n // 2, n - n // 2]
        divisions = [[*[b] * (n // b), *([n % b] if n % b else [])] for b in BLOCKS if b < n]
        for sizes in [list(s) for s in dict.fromkeys(map(tuple, (*divisions, halves, halves[::-1])))]:
            if min(sizes) < 1 or len(sizes) < 2:
                continue
            ends = np.cumsum(sizes)
            parts = [np.take(x, range(end - size, end), axis=at) for size, end in zip(sizes, ends)]
            variances = np.stack([p.var((at, *rest), keepdims=True) for p in parts])
            share = np.reshape(sizes, (-1,) + (1,) * x.ndim) / n
            named = f"{len(sizes)} blocks of {found.over((axis,))}"
            yield f"the mean of the variances of {named}, each about its own mean,", variances.mean(0)
            yield (
                f"the mean of the variances of {named}, each about its own mean, weighed by how many it has,",
                (variances * share).sum(0),
            )
            if sizes[0] > 1 and min(sizes) > 1:
                unbiased = np.stack([p.var((at, *rest), keepdims=True, ddof=1) for p in parts])
                yield f"the mean of the variances with N − 1 of {named}, each about its own mean,", unbiased.mean(0)
            means = np.stack([p.mean((at, *rest), keepdims=True) for p in parts])
            apart = (share * (means - x.mean((at, *rest), keepdims=True)) ** 2).sum(0)
            yield f"the variance of the means of {named}", apart
            within, k = (variances * share).sum(0), sizes[0]
            for words, times in (
                ("2", 2.0),
                (f"1/{k}", 1 / k),
                (f"{k}", float(k)),
                (f"1/{n}", 1 / n),
                (f"{n}", float(n)),
                ("½", 0.5),
                ("−1", -1.0),
            ):
                yield (
                    f"the variances of {named}, with the spread of their means counted {words} times, in what",
                    within + times * apart,
                )
