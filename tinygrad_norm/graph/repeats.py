"""What stands in a row again and again: stretches of equal parts, found in a sequence of signs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

LONGEST = 64  # parts in one of the equal stretches


class Repeat(NamedTuple):
    """From place ``start`` on, ``times`` stretches of ``period`` parts each, all alike."""

    start: int
    period: int
    times: int

    @property
    def stop(self) -> int:
        return self.start + self.period * self.times


def repeats(signs: Sequence[int], least: Callable[[int, int], int], crossing: Sequence[int]) -> list[Repeat]:
    """Repeats that do not overlap, from left to right; those that cover most come first, of these the shortest period.

    least:     how often a stretch from a place on, of so many parts, must stand there to count
    crossing:  for each place how many values are handed on across it: a repeat starts where these are fewest
    """
    found: list[Repeat] = []
    waiting = [(0, len(signs))]
    while waiting:
        start, stop = waiting.pop()
        best = _longest(signs, start, stop, least, crossing)
        if best is not None:
            found.append(best)
            waiting += [(start, best.start), (best.stop, stop)]
    return sorted(found)


def _longest(
    signs: Sequence[int], start: int, stop: int, least: Callable[[int, int], int], crossing: Sequence[int]
) -> Repeat | None:
    best: tuple[int, int, Repeat] | None = None
    for period in range(1, min(LONGEST, (stop - start) // 2) + 1):
        i = start
        while i + period < stop:
            if signs[i] != signs[i + period]:
                i += 1
                continue
            first = i
            while i + period < stop and signs[i] == signs[i + period]:
                i += 1
            times, spare = divmod(i + period - first, period)
            if times < 2:
                continue
            begin = min(range(first, first + spare + 1), key=lambda k: (crossing[k], k))
            if times >= least(begin, period) and (best is None or (times * period, -period) > best[:2]):
                best = (times * period, -period, Repeat(begin, period, times))
    return best and best[2]
