"""Which cases a plain ``pytest`` runs: of every test those that show something new. ``pytest --all`` runs every case.

A test is selected by what it is parametrised with, so whoever writes one need not think of it:

- Values of one parametrisation that begin alike (samples of one op, settings of one norm, the seeds of a ``range``) are
  the same again: a few are taken, evenly from first to last.
- Of several parametrisations every value occurs, but not every combination: the combinations of a diagonal.

Of a test whose every case takes a tenth of a second and more, marked ``costly(n)``, at most n of these are taken, evenly from
first to last; ``costly(alike=1)`` takes one of those that begin alike, not a few. A test that takes seconds whatever its parameters is marked ``thorough``: it waits for ``--all``. What is named on
the command line (a folder, a file, a test) runs whole.
"""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from typing import Any

import pytest

FEW = 2
SPLIT = pytest.StashKey[tuple[list[pytest.Item], list[pytest.Item]]]()  # what is selected, and what is left


def key(value: Any) -> Hashable:
    """What makes two values the same: plain ones are compared, all others are themselves."""
    return (type(value), value) if isinstance(value, str | int | float) else id(value)


def axes(item: pytest.Item) -> list[tuple[Hashable, tuple[Hashable, ...]]]:
    """Of each parametrisation: what this case's value begins with, and the value."""
    params = dict(item.callspec.params) if hasattr(item, "callspec") else {}
    found: list[tuple[Hashable, tuple[Hashable, ...]]] = []
    for mark in item.iter_markers("parametrize"):
        names, values = (*mark.args, *(mark.kwargs[k] for k in ("argnames", "argvalues") if k in mark.kwargs))[:2]
        names = [n.strip() for n in names.split(",")] if isinstance(names, str) else names
        value = tuple(key(params.pop(n)) for n in names)
        found.append((None if isinstance(values, range) else value[0], value))
    return found + [(key(v), (key(v),)) for v in params.values()]  # those of fixtures


def few(items: Sequence[Any], most: int = FEW) -> list[Any]:
    """At most so many of them, from the first to the last."""
    last = len(items) - 1
    return list(items) if last < most else [items[i * last // max(1, most - 1)] for i in range(most)]


def diagonal(sizes: Sequence[int]) -> set[tuple[int, ...]]:
    """Indices into axes of these sizes: every index of every axis occurs, and a shorter axis goes round along the longest.

    Each later axis is shifted after a round, so that two short ones meet in all combinations, if there is time.
    """
    longest = max(sizes, default=0)
    columns, met = [], 1
    for n in sizes:
        if n < longest:
            shift = max(met, n) if met > 1 else longest
            columns.append([(i + i // shift) % n for i in range(longest)])
            met *= n
        else:
            columns.append(list(range(longest)))
    return set(zip(*columns))


def select(cases: Sequence[Sequence[tuple[Hashable, tuple[Hashable, ...]]]], alike: int = FEW) -> list[int]:
    """Which cases of one test are run: indices into ``cases``, each given by its ``axes``; ``alike``: of values that begin alike
    at most so many."""
    taken = []
    for axis in zip(*cases):
        same: dict[Hashable, dict[Hashable, None]] = defaultdict(dict)
        for beginning, value in axis:
            same[beginning][value] = None
        chosen = set(itertools.chain.from_iterable(few(list(values), alike) for values in same.values()))
        taken.append({value: i for i, value in enumerate(v for v in dict.fromkeys(v for _, v in axis) if v in chosen)})
    cells = [tuple(places.get(value, -1) for places, (_, value) in zip(taken, case)) for case in cases]
    cells_left = [i for i, cell in enumerate(cells) if -1 not in cell]
    if not taken or len(cells_left) != math.prod(map(len, taken)):  # not every combination was there to choose from
        return cells_left
    kept = diagonal([len(places) for places in taken])
    return [i for i in cells_left if cells[i] in kept]


def split(items: Iterable[pytest.Item]) -> tuple[list[pytest.Item], list[pytest.Item]]:
    """The items that a plain ``pytest`` runs, and those it leaves."""
    tests: dict[str, list[pytest.Item]] = defaultdict(list)
    for item in items:
        tests[item.nodeid.partition("[")[0]].append(item)
    kept = set()
    for cases in tests.values():
        cases = [item for item in cases if item.get_closest_marker("thorough") is None]
        costly = cases[0].get_closest_marker("costly") if cases else None
        most = {} if costly is None else costly.kwargs
        chosen = [cases[i] for i in select([axes(item) for item in cases], **most)]
        kept.update(few(chosen, *costly.args) if costly and costly.args else chosen)
    everything = [item for cases in tests.values() for item in cases]
    return [item for item in everything if item in kept], [item for item in everything if item not in kept]
