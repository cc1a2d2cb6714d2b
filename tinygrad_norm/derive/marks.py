"""Which numbers on a record are sizes: seen by recording at other sizes and asking what each number followed.

A number is a size because it stands where a size stands, at the same place on every record, never because it happens to
equal one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from ..engine import TABLE, Tensor, history

Place = tuple[int, "int | str"]
"""A number's place: its tensor by age on the record, and which operand or option it is (``"value"``: a constant's own)."""

_CLOSE = 4e-15  # relative; a number on the tape is a few roundings from its formula
_SHIFTS = (0, -1, 1, -2, -3)
_POWERS = (1.0, -1.0, 0.5, -0.5, 2.0, -2.0)
_MANY = 6  # named axes; of more, only each alone and all together are tried


@dataclass(frozen=True)
class Size:
    """A number that follows the sizes: ``coefficient·Π (product of these names + shift)**power``.

    factors:  (names of axes or of options such as ε, shift, power) each
    """

    coefficient: float
    factors: tuple[tuple[tuple[str, ...], int, float], ...]

    def at(self, sizes: Mapping[str, float]) -> float:
        """Its value where the axes have these sizes."""
        value = self.coefficient
        for names, shift, power in self.factors:
            value *= (float(np.prod([sizes[n] for n in names])) + shift) ** power
        return value

    def __str__(self) -> str:
        def base(names: tuple[str, ...], shift: int) -> str:
            text = "·".join(names)
            return text if not shift else f"({text} {'+' if shift > 0 else '−'} {abs(shift)})"

        above = [base(n, s) if p > 0 else "" for n, s, p in self.factors]
        parts = [f"{self.coefficient:.12g}"] if self.coefficient != 1 else []
        for text, (names, shift, power) in zip(above, self.factors):
            text = base(names, shift)
            text = text if text.startswith("(") or len(names) == 1 or power == 1 else f"({text})"
            parts.append(text if power == 1 else f"{text}^({power:g})")
        return "·".join(parts)


def numbers_on(output: Tensor) -> Iterator[tuple[Place, float]]:
    """Every number on a record that is no tensor of more than one entry, with its place."""
    for k, t in enumerate(history(output)):
        if t.op is None:
            if not t.requires_grad and t.size == 1 and t.dtype.kind in "iuf":
                yield (k, "value"), float(t.data.reshape(()))
            continue
        everything: list[tuple[int | str, Any]] = [*enumerate(t.inputs), *t.params.items()]
        for i, v in everything:
            if isinstance(v, (int, float, np.number)) and not isinstance(v, (bool, np.bool_)):
                yield (k, i), float(v)


def marks(outputs: Sequence[Tensor], sizes: Sequence[Mapping[str, float]]) -> tuple[dict[Place, Size], dict[Place, float]]:
    """Which numbers on the first record are sizes, and which depend on the sizes in a way that was not found.

    outputs:  of the same forward, recorded at several sizes, three of them if there is to be an answer
    sizes:    of every axis (and of every option with a name, such as ε), by name, on each record

    A number that is the same on every record stays a number. One that is not is asked which simple function of the sizes it
    is: it must agree on all of the records. Records of other operations than the first say nothing.
    """
    found: dict[Place, Size] = {}
    unknown: dict[Place, float] = {}
    courses = [[t.op and t.op.name for t in history(y)] for y in outputs]
    if any(c != courses[0] for c in courses):
        return found, unknown
    history_of = history(outputs[0])
    several = [dict(numbers_on(y)) for y in outputs]
    known: dict[tuple[float, ...], Size | None] = {}
    for place, value in several[0].items():
        values = tuple(numbers.get(place, float("nan")) for numbers in several)
        if all(v == value for v in values):
            continue
        if values not in known:
            known[values] = fit(values, sizes) if len(outputs) > 2 and all(set(s) == set(sizes[0]) for s in sizes) else None
        size = known[values]
        if size is None or _is_exponent(history_of[place[0]], place):
            unknown[place] = value
        else:
            found[place] = size
    return found, unknown


def _is_exponent(t: Tensor, place: Place) -> bool:
    """An option of an op in the table, such as the exponent of a power: the rules ask whether it is 2."""
    return t.op is not None and isinstance(place[1], str) and t.op.name in TABLE


def fit(values: Sequence[float], sizes: Sequence[Mapping[str, float]]) -> Size | None:
    """The simplest function of the sizes that has these values on these records."""
    v = np.asarray(values)
    if not np.all(np.isfinite(v)) or np.any(v == 0) or np.any(np.sign(v) != np.sign(v[0])):
        return None
    names = list(sizes[0])
    groups = [g for k in range(1, len(names) + 1) for g in combinations(names, k)]
    if len(names) > _MANY:
        groups = [*((n,) for n in names), tuple(names)]
    made: list[tuple[tuple[tuple[str, ...], int, float], Any]] = []
    for group in groups:
        plain = np.array([float(np.prod([s[n] for n in group])) for s in sizes])
        for shift in _SHIFTS if np.all(plain % 1 == 0) else (0,):
            if np.all(plain + shift > 0):
                made += [((group, shift, p), (plain + shift) ** p) for p in _POWERS]

    def told(*factors: tuple[tuple[tuple[str, ...], int, float], Any]) -> Size | None:
        ratio = v / np.prod([values for _, values in factors], axis=0)
        if np.max(np.abs(ratio - ratio[0])) > _CLOSE * abs(ratio[0]):
            return None
        return Size(_short(float(ratio[0])), tuple(f for f, _ in factors))

    alone = [s for m in made if (s := told(m)) is not None]
    if not alone:
        few = [m for m in made if m[0][1] in (0, -1)]
        logs = np.log(np.array([m[1] for m in few]))  # candidates × records
        rest = np.log(np.abs(v))[None] - logs
        for k in range(len(few)):
            gap = rest[k][None] - logs[k + 1 :]
            near = np.flatnonzero(np.max(np.abs(gap - gap[:, :1]), axis=1) < 1e-11)
            alone += [s for j in near if (s := told(few[k], few[k + 1 + j])) is not None]
    return min(alone, key=lambda s: (s.coefficient != 1, len(s.factors), sum(abs(f[1]) for f in s.factors)), default=None)


def _short(number: float) -> float:
    """The shortest decimal within a few roundings."""
    near = float(f"{number:.12g}")
    return near if abs(near - number) <= _CLOSE * abs(number) else number
