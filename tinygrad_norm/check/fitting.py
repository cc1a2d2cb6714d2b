"""A wrong gradient as a combination of the routes: one coefficient each, or one for each index of an axis."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..engine.arrays import Array
from ..graph.table import number
from .case import Case, under
from .counts import BLOCKS, counts_of, divisors, meaning, named_numbers


@dataclass(frozen=True)
class Fit:
    """The candidate as a combination of the routes.

    uncertain:   how far rounding may take each coefficient
    unexplained: the share of it that is none
    other:       the same where no two sizes are alike: what a number is there, too, it is by no coincidence
    """

    symbol: str
    titles: tuple[str, ...]
    coefficients: tuple[float, ...]
    uncertain: tuple[float, ...]
    unexplained: float
    exact: bool
    names: Mapping[str, float]
    own: str = ""
    divisors: Mapping[str, float] = field(default_factory=dict)
    other: Fit | None = None

    @property
    def reads_sizes(self) -> bool:
        """Whether a coefficient is anything but right, or not there."""
        return any(min(abs(c), abs(c - 1)) > d for c, d in zip(self.coefficients, self.uncertain))

    def _read(self, k: int, known: str) -> list[str]:
        """The names that this coefficient has: there as well, where they are known there."""
        here, there = self._named(k, getattr(self, known)), None
        if self.other is not None and self.other.exact and self.other.titles == self.titles:
            there = self.other._named(k, getattr(self.other, known))
            here = [n for n in here if n in there] or [n for n in here if n not in getattr(self.other, known)]
        return here[:3]

    def _named(self, k: int, values: Mapping[str, float]) -> list[str]:
        c, d = self.coefficients[k], self.uncertain[k]
        return [n for n, v in values.items() if abs(c - v) <= d * max(1, abs(v))]

    def lines(self) -> list[str]:
        if not self.exact or len(self.titles) < 2:
            return []
        terms = "".join(f" {'−' if c < -d else '+'} {_written(abs(c), d)}·{t}" for c, d, t in self._terms())
        terms = terms.removeprefix(" + ").replace(" − ", "−", 1) if terms.startswith(" − ") else terms.removeprefix(" + ")
        return [f"your {self.symbol} = {terms}    unexplained {number(self.unexplained)}"]

    def _terms(self) -> list[tuple[float, float, str]]:
        return list(zip(self.coefficients, self.uncertain, self.titles))

    def _divided(self, k: int, title: str) -> str:
        """What a mean may have been divided by, to be that."""
        by = self._read(k, "divisors")
        return (
            f": divided by {' or '.join(by)} where {self.own} belongs"
            if by and title != "direct" and len(self.titles) > 1
            else ""
        )

    def sentences(self) -> list[str]:
        """What each coefficient that is not 1 means."""
        found = []
        whole = [c for c, _, _ in self._terms()]
        if len(whole) > 1 and np.ptp(whole) <= max(self.uncertain) and abs(whole[0] - 1) > max(self.uncertain):
            names = self._read(int(np.argmax(self.uncertain)), "names")
            said = f" = {' or '.join(names)}" if names and names[0] != number(whole[0]) else ""
            return [
                f"all of {self.symbol} is {number(whole[0])}{said} times what it should be{meaning(names[0]) if names else ''}"
            ]
        for k, (c, d, t) in enumerate(self._terms()):
            name = " or ".join(self._read(k, "names"))
            what = f"the {t} term" if len(self.titles) > 1 else f"your {self.symbol}"  # the one route there is has no name of use
            if name == "0":
                found.append(f"{what} is missing")
            elif d < abs(c - 1) < 5e-4:
                found.append(f"{what} is too {'big' if c > 1 else 'small'} by {number(abs(c - 1))} of it: more than rounding")
            elif abs(c - 1) > d:
                found.append(
                    f"{what} is {number(c)}{f' = {name}' if name not in ('', number(c)) else ''} times what it should be{meaning(name) or self._divided(k, t)}"
                )
        return found


def _written(c: float, uncertain: float) -> str:
    """Three decimals, unless they would hide what is not rounding."""
    if uncertain < abs(c - 1) < 5e-4:
        return f"(1 {'+' if c > 1 else '−'} {number(abs(c - 1))})"
    return number(c) if uncertain < c < 5e-4 else f"{c:.3f}"


def fit_routes(case: Case, name: str, symbol: str, answer: Array, dtype: Any) -> Fit:
    routes = [r for r in case.routes(name) if r.norm > 1e-9 * np.linalg.norm(case.truth[name])]
    if not routes:  # the gradient is zero everywhere
        return Fit(symbol, (), (), (), 1.0, False, {})
    matrix = np.stack([r.share.reshape(-1) for r in routes], axis=1).astype(np.float64)
    c, *_ = np.linalg.lstsq(matrix, answer.reshape(-1), rcond=None)
    rest = answer.reshape(-1) - matrix @ c
    largest = float(np.max(np.abs(answer), initial=0))
    unexplained = float(np.max(np.abs(rest), initial=0)) / largest if largest else 0.0
    if len(routes) >= answer.size:  # as many coefficients as entries fit anything
        unexplained = 1.0
    gate = case.gate(name, dtype, answer)
    exact = bool(np.max(np.abs(rest), initial=0) <= 2 * gate) and len(routes) < answer.size
    uncertain = tuple(float(v) for v in 2 * gate * np.abs(np.linalg.pinv(matrix)).sum(axis=1) + 1e-13)
    titles = tuple(r.title.removeprefix("through ") for r in routes)
    return Fit(symbol, titles, tuple(float(v) for v in c), uncertain, unexplained, exact, named_numbers(case), *divisors(case))


def per_index(case: Case, name: str, symbol: str, answer: Array, dtype: Any) -> list[str]:
    """The same, one index of an axis at a time: coefficients that are statistics of their row."""
    routes = [r for r in case.routes(name) if r.norm > 1e-9 * np.linalg.norm(case.truth[name])]
    for axis in range(answer.ndim if routes else 0):
        n = answer.shape[axis]
        alone = len(routes) == 1 and answer.size == n  # a factor can be read off every entry: only a known one says anything
        if n < 3 or (answer.size // n <= 2 * len(routes) and not alone):
            continue
        shares = [np.moveaxis(r.share, axis, 0).reshape(n, -1) for r in routes]
        rows, coefficients, worst = np.moveaxis(answer, axis, 0).reshape(n, -1), np.empty((n, len(routes))), 0.0
        for i in range(n):
            matrix = np.stack([s[i] for s in shares], axis=1)
            coefficients[i], *_ = np.linalg.lstsq(matrix, rows[i], rcond=1e-10)
            worst = max(worst, float(np.max(np.abs(rows[i] - matrix @ coefficients[i]), initial=0)))
        if worst > 2 * case.gate(name, dtype, answer):
            continue
        truth = np.moveaxis(case.truth[name], axis, 0).reshape(n, -1)
        hit = np.flatnonzero(np.max(np.abs(rows - truth), axis=1) > case.gate(name, dtype))
        if 0 < len(hit) <= n // 2 and not alone:
            gone = np.max(np.abs(coefficients[hit])) <= 1e-4
            return [f"index {listed(hit)} of axis {axis} is {'missing' if gone else 'wrong'}, the others are right{tail(hit, n)}"]
        lines = []
        for r, c in zip(routes, coefficients.T):
            if np.max(np.abs(c - 1)) > 1e-4:
                title, known = r.title.removeprefix("through "), _known_factor(case, c, dtype)
                what = f"the {title} term" if len(routes) > 1 else f"your {symbol}"
                if alone and known is None:
                    return []
                if np.max(np.abs(c)) <= 1e-6:
                    lines.append(f"{what} is missing")
                    continue
                lines.append(
                    f"in each index of axis {axis}, {what} is {known or f'between {number(c.min())} and {number(c.max())}'} times "
                    "what it should be"
                )
        if any(" is between " in text for text in lines):
            lines.append(
                f"this says how much it is, not why: {len(routes)} numbers for each index of axis {axis} may fit by chance"
            )
        return lines
    return []


def tail(hit: Array, n: int) -> str:
    """Which rest of a division they are."""
    r = len(hit)
    if not np.array_equal(hit, np.arange(n - r, n)):
        return ""
    blocks = [b for b in BLOCKS if 1 < r < b < n and n % b == r]  # one that is left may well be so for another reason
    return f" (the last {n} mod {blocks[0]} = {r})" if blocks else " (the last one)" if r == 1 else ""


def _known_factor(case: Case, c: Array, dtype: Any) -> str | None:
    """The statistic on the record or the parameter, itself or its inverse, that these coefficients are."""
    best: tuple[float, str | None] = (1e-3 if dtype != np.float64 else 1e-6, None)
    for name, value, powers in _factors(case, len(c)):
        for power, text in powers:
            with np.errstate(all="ignore"):
                off = float(np.max(np.abs(c / value.reshape(-1) ** power - 1)))
            if off < 0.1 * best[0]:  # of equals, the first
                best = (off, text.format(name))
    return best[1] or _own_count(c)


def _own_count(c: Array) -> str | None:
    """What it is where each part of the axis is divided by how many are in it, and not in all."""
    ends = [0, *(np.flatnonzero(np.abs(np.diff(c)) > 1e-6) + 1), len(c)]
    sizes = np.diff(ends)
    if len(sizes) < 2 or not np.allclose(c * np.repeat(sizes, sizes), len(c), rtol=1e-6, atol=0):
        return None
    shares = " and ".join(dict.fromkeys(f"{len(c)}/{n}" for n in sizes))
    return f"{shares} (divided by the number in its own part of the axis, {', '.join(map(str, sizes))}, where the whole {len(c)} belongs)"


_POWERS = ((1, "{}"), (-1, "1/{}"), (2, "{}²"), (-2, "1/{}²"))
_RATIOS = tuple((k, f"({{}}){s}") for k, s in ((1, ""), (2, "²"), (3, "³"), (-1, "⁻¹"), (-2, "⁻²")))


def _factors(case: Case, size: int) -> Iterator[tuple[str, Array, Sequence[tuple[int, str]]]]:
    """What a factor may be, and the powers it may have: statistics on the record, parameters, what a forward saves besides; and
    one over a root of N − 1 for one of N, or without ε."""
    for node in case.graph.nodes:
        t = node.tensor
        if t.size == size == max(t.shape, default=1) and (
            node.role == "statistic" or any(t is leaf for leaf in case.leaves.values())
        ):
            yield node.label, t.numpy().astype(np.float64), _POWERS
            if node.op == "rsqrt":
                inner, eps = under(t)
                for n in (m for w, m in counts_of(case).items() if m > 1):
                    words = f"{node.label} with N − 1 = {n - 1:g} for N over {node.label}"
                    yield words, (inner * n / (n - 1) + (eps or 0.0)) ** -0.5 / t.numpy(), _RATIOS
                if eps:
                    yield f"{node.label} without ε over {node.label}", inner**-0.5 / t.numpy(), _RATIOS
    main = next(iter(case.leaves.values()))
    for name, a in {"dy": case.dy, main.name or "x": main.numpy(), "y": case.graph.output.numpy()}.items():
        for axis in (k for k, n in enumerate(a.shape) if n == size and a.ndim > 1):
            along = tuple(k for k in range(a.ndim) if k != axis)
            yield f"‖{name}‖", np.sqrt(np.sum(a.astype(np.float64) ** 2, axis=along)), _POWERS
    for name, value in case.besides.items():
        if np.size(value) == size == max(np.shape(value), default=1):
            yield name, np.asarray(value, np.float64), _POWERS


def listed(hit: Array) -> str:
    return ", ".join(map(str, hit[:8])) + (", …" if len(hit) > 8 else "")
