"""The staged form: the chain rule's lines, put into each other as long as that makes them fewer operations.

From the output back, each cotangent is a line in those nearer to the output. A line is put into those that use it and the
result is rewritten; where that costs more than both did, the line stays. What is left is what one would write: a closed
line for each normalization, one under the other. The text grows with the depth, not with the number of routes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .algebra import operations, with_sums
from .rules import Rewriting
from .symbols import Letter

_LONG = 36  # letters and functions in a line: beyond, only what saves operations is put in


@dataclass(frozen=True)
class Change:
    """A line that was rewritten: whose, into what, by which rule and why."""

    of: Letter
    expr: Any
    rule: str
    reason: str


class Stages:
    """Lines by their letter, the last for the input.

    rewriting:  the rules, which know every cotangent as a letter
    """

    def __init__(self, lines: Mapping[Letter, Any], target: Letter, rewriting: Rewriting, write: Callable[[Any], str]) -> None:
        self.lines, self.target, self.rewriting, self.write = dict(lines), target, rewriting, write
        self._known: dict[Any, tuple[Any, list[tuple[str, str, Any]]]] = {}

    def settle(self) -> Iterator[Change]:
        """Rewrite each line by itself, then put lines into others until nothing is gained."""
        for letter, expr in list(self.lines.items()):
            new, steps = self._shortest(expr)
            yield from self._told(letter, steps)
            self.lines[letter] = new
        waiting = list(self.lines)
        while waiting:
            letter = waiting.pop(0)
            if letter not in self.lines or letter == self.target:
                continue
            users = [u for u, e in self.lines.items() if e.has(letter)]
            own = self.lines[letter]
            tried = {u: self._shortest(self.lines[u].xreplace({letter: own})) for u in users}
            before = operations([own, *(self.lines[u] for u in users)])
            after = operations([e for e, _ in tried.values()])
            if after > before or (after == before and any(self.long(e) for e, _ in tried.values())):
                continue
            del self.lines[letter]
            for u, (e, steps) in tried.items():
                yield Change(u, self.written(u, letter, own), f"{letter} is put in", f"{letter} = {self.write(own)}")
                yield from self._told(u, steps)
                self.lines[u] = e
            waiting += [a for u in users for a in (u, *self.lines[u].atoms(Letter)) if a in self.lines and a not in waiting]

    def written(self, user: Letter, letter: Letter, own: Any) -> Any:
        return self.lines[user].xreplace({letter: own})

    def long(self, expr: Any) -> bool:
        return sum(1 for ch in self.write(expr) if ch == "·" or ch == "(") > _LONG

    def _told(self, letter: Letter, steps: list[tuple[str, str, Any]]) -> Iterator[Change]:
        for rule, reason, expr in steps:
            yield Change(letter, expr, rule, reason)

    def _shortest(self, expr: Any) -> tuple[Any, list[tuple[str, str, Any]]]:
        """The line rewritten, with products multiplied out or left; as it is if neither is shorter."""
        if expr not in self._known:
            self._known[expr] = self._rewritten(expr)
        return self._known[expr]

    def _rewritten(self, expr: Any) -> tuple[Any, list[tuple[str, str, Any]]]:
        best, found = expr, []  # type: Any, list[tuple[str, str, Any]]
        for expanding in (True, False):
            self.rewriting.expanding = expanding
            steps = list(self.rewriting.steps(with_sums(expr)))
            if steps and self._is_less(steps[-1][2], best):
                best, found = steps[-1][2], steps
        return best, found

    def _is_less(self, one: Any, other: Any) -> bool:
        mine, theirs = operations([one]), operations([other])
        return mine < theirs or (mine == theirs and len(self.write(one)) <= len(self.write(other)))
