"""What a language of loops must be able to say, and how expressions of single entries are written in any of them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from ..derive.source import branches_of, identifier
from ..derive.tree import Call, Indicator, Letter, Node, Number, Product, product_of
from ..derive.writer import Hand
from .parts import Between, Loop, Schedule

STEPS = {"BLOCK": 256, "CHUNK": 4096, "LANES": 128}
"""How many rows are added up in float32, how many entries of a row, and how many rows are taken side by side."""


class Words(Hand):
    """Writes one schedule. What differs between languages: the lines themselves, indices, numbers and functions."""

    minus, plus, times = " - ", " + ", " * "

    def __init__(self, schedule: Schedule) -> None:
        super().__init__(schedule.program.axes, ())
        self.s = schedule
        p = schedule.program
        taken: dict[Any, str] = {n: n for n in self.reserved}
        self.names: dict[str, str] = {}
        for array in (*schedule.reads, *schedule.writes):
            taken[array.name] = array.name
        for setting, name, _ in schedule.numbers:
            self.names[setting] = taken[setting] = name
        self.size_of: dict[str, str] = {}
        self.at_of: dict[str, str] = {}
        for a in p.axes:
            self.size_of[a] = taken["size", a] = identifier(a, taken)
            self.at_of[a] = taken["at", a] = identifier(a.lower() if a.lower() != a else f"at_{a}", taken)
        self.given = {a.letter: a for a in schedule.reads}
        for part in schedule.parts:
            for letter in _lettered(part):
                if letter.name not in self.names and letter.name not in self.given:
                    self.names[letter.name] = taken[letter.name] = identifier(letter.name, taken)
        self.names |= {"least": "LEAST", "most": "MOST"}
        self.inside: set[str] = set()
        self.lines: list[str] = []
        self.depth = 0
        self.statistics = self._statistics()
        self.kept = {n: part.axes for part in schedule.parts if isinstance(part, Loop) for n in part.kept}

    reserved: Sequence[str] = ()

    def _statistics(self) -> dict[str, tuple[str, ...]]:
        """The axes within a row of each letter that stands between loops."""
        found = {}
        for part in self.s.parts:
            letters = [d.letter for d in part.values] if isinstance(part, Between) else [r.letter for r in part.sums]
            for letter in letters:
                found[letter.name] = self.free(letter.axes)
        return found

    def free(self, axes: Collection[str]) -> tuple[str, ...]:
        return tuple(a for a in dict.fromkeys((*self.s.inner, self.s.lane)) if a and a in axes and a not in self.s.rows)

    # Expressions ----------------------------------------------------------------------------------------------

    def loose(self, name: str) -> bool:
        return False

    def letter(self, name: str) -> str:
        if name.startswith("place "):
            return self.place_of(self.at_of[name.removeprefix("place ")])
        if name in self.inside:
            return self.names[name]
        if name in self.given:
            return self.entry(self.given[name].name, self.given[name].axes)
        if self.statistics.get(name):
            return self.local(self.names[name], self.statistics[name])
        return self.names[name]

    def __call__(self, node: Node) -> str:
        branches = branches_of(node)
        if branches is None:
            return super().__call__(node)
        return self.choice(self.indicator(branches[0]), self(branches[1]), self(branches[2]))

    def factor(self, f: Node, tight: bool) -> str:
        if branches_of(f) is not None:
            return self(f)
        return super().factor(f, tight)

    def term(self, node: Node) -> tuple[bool, str]:
        factors = node.factors if isinstance(node, Product) else (node,)
        asked = [f for f in factors if isinstance(f, Indicator)]
        if not asked:
            return super().term(node)
        rest = product_of(*(f for f in factors if f not in asked))
        return False, self.choice(self.both([self.indicator(c) for c in asked]), self(rest), self.number(0))

    def indicator(self, node: Indicator) -> str:
        sign = {"≥": ">=", "≤": "<=", "=": "==", "≠": "!="}.get(node.sign, node.sign)
        return f"{self.factor(node.left, True)} {sign} {self.factor(node.right, True)}"

    def ratio(self, over: Sequence[str], under: Sequence[str]) -> str:
        beneath = under[0] if len(under) == 1 else f"({self.times.join(under)})"
        return self.times.join(over) + (f" / {beneath}" if under else "")

    def power(self, base: str, n: Node) -> str:
        value = n.value if isinstance(n, Number) else None
        if isinstance(value, int) and 1 < value <= 4:
            return f"({self.times.join([base] * value)})"
        if (value is not None and isinstance(2 * value, int)) or (value is not None and float(2 * value).is_integer()):
            whole = int(float(value) - 0.5)
            if whole != value and 1 <= whole <= 4:
                return f"({self.times.join([base] * whole)}{self.times}{self.function('sqrt', [base])})"
        return self.function("pow", [base, self(n)])

    def root(self, inside: Node) -> str:
        return self.function("sqrt", [self(inside)])

    def call(self, node: Call) -> str:
        return self.function(node.function, list(map(self, node.arguments)))

    # What a language says ---------------------------------------------------------------------------------------

    def put(self, text: str) -> None:
        self.lines.append("    " * self.depth + text)

    def function(self, name: str, arguments: list[str]) -> str:
        raise NotImplementedError

    def choice(self, condition: str, yes: str, no: str) -> str:
        raise NotImplementedError

    def both(self, conditions: list[str]) -> str:
        raise NotImplementedError

    def place_of(self, at: str) -> str:
        """The number of a place, as numbers are computed with."""
        raise NotImplementedError

    def entry(self, array: str, axes: Sequence[str]) -> str:
        """An entry of a whole array."""
        raise NotImplementedError

    def local(self, array: str, axes: Sequence[str]) -> str:
        """An entry of an array that belongs to a row."""
        raise NotImplementedError

    def open(self, at: str, start: str, stop: str, step: str = "") -> None:
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError

    def let(self, name: str, value: str) -> None:
        raise NotImplementedError

    def variable(self, name: str, value: str, wide: bool = False) -> None:
        raise NotImplementedError

    def set(self, place: str, value: str) -> None:
        raise NotImplementedError

    def make(self, name: str, axes: Sequence[str], wide: bool = False) -> None:
        """An array of a row."""
        raise NotImplementedError

    def clear(self, name: str, axes: Sequence[str], value: str) -> None:
        raise NotImplementedError

    def narrow(self, value: str) -> str:
        """From float64 to the dtype that is computed in."""
        raise NotImplementedError

    def larger(self, a: str, b: str) -> str:
        raise NotImplementedError

    def ask(self, condition: str) -> None:
        """Remember that a condition does not hold."""
        raise NotImplementedError

    def least(self, a: str, b: str) -> str:
        raise NotImplementedError

    def hint(self, sums: Sequence[str]) -> None:
        """What stands before a loop whose sums may run in any order."""

    def remark(self, text: str) -> None:
        raise NotImplementedError

    def let_index(self, name: str, value: str) -> None:
        raise NotImplementedError

    def make_part(self, name: str, axes: Sequence[str]) -> None:
        raise NotImplementedError

    def part_entry(self, name: str, axes: Sequence[str]) -> str:
        raise NotImplementedError

    def add(self, place: str, value: str) -> None:
        raise NotImplementedError

    lowest = ""


def _lettered(part: Loop | Between) -> list[Letter]:
    found = [d.letter for d in part.values]
    return found + ([r.letter for r in part.sums] if isinstance(part, Loop) else [])
