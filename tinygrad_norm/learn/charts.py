"""Two kinds of picture for figures, as SVG: dots in rows, and lines. Black on white; a place is a value, a shape is a series.

No scripts, no fonts, no network, the same bytes every time.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

from ..draw.svg import FONTS
from ..draw.text import clean, text_width
from ..graph.table import number

SIZE = 12.0
_WIDE = 640.0
_INK, _PALE = "#1a202c", "#c4cad3"


@dataclass(frozen=True)
class Scale:
    """From values to places between 0 and 1. Where it is logarithmic, zeros have a place of their own before the least."""

    low: float
    high: float
    log: bool
    zero: bool = False  # there is a place for 0
    beyond: bool = False  # and one for what is beyond all numbers

    @classmethod
    def of(cls, values: Sequence[float], log: bool, at: Sequence[float] = ()) -> Scale:
        """Wide enough for all of them, from a round number to a round number."""
        finite = [v for v in (*values, *at) if math.isfinite(v)]
        beyond = len(finite) < len(values) + len(at)
        if log:
            kept = [math.log10(v) for v in finite if v > 0] or [0.0]
            least, most = math.floor(min(kept) + 1e-9), math.ceil(max(kept) - 1e-9)
            return cls(least, max(most, least + 1), True, any(v <= 0 for v in finite), beyond)
        low, high = min(finite, default=0.0), max(finite, default=1.0)
        step = _round_step((high - low) or abs(high) or 1.0)
        low = math.floor(low / step + 1e-9) * step
        return cls(low, max(math.ceil(high / step - 1e-9) * step, low + step), False, False, beyond)

    def __call__(self, value: float) -> float:
        first, last = 0.08 * self.zero, 1 - 0.08 * self.beyond
        if not math.isfinite(value):
            return 1.0
        if self.log and value <= 0:
            return 0.0
        share = ((math.log10(value) if self.log else value) - self.low) / (self.high - self.low)
        return first + (last - first) * share

    def ticks(self) -> list[tuple[float, str]]:
        """Places and what stands there."""
        if self.log:
            every = max(1, math.ceil((self.high - self.low) / 6))
            marks = [10.0**e for e in range(int(self.low), int(self.high) + 1, every)]
        else:
            step = _round_step(self.high - self.low)
            marks = [round(self.low / step + k) * step for k in range(round((self.high - self.low) / step) + 1)]
        found = [(self(v), _shown(v)) for v in marks]
        return [*([(0.0, "0")] if self.zero else []), *found, *([(1.0, "∞")] if self.beyond else [])]


def _round_step(span: float) -> float:
    power = 10.0 ** math.floor(math.log10(span / 4))
    return next(power * m for m in (1, 2, 2.5, 5, 10) if span / (power * m) <= 6)


_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def _shown(value: float) -> str:
    if not math.isfinite(value):
        return "∞"
    if value > 0 and not 1e-3 <= value < 1e6 and math.log10(value) == round(math.log10(value)):
        return f"10{str(round(math.log10(value))).translate(_RAISED)}"
    if 1e4 <= abs(value) < 1e7:
        return f"{value:,.0f}".replace("-", "−")
    return number(float(f"{value:.12g}")).replace("-", "−")


@dataclass(frozen=True)
class Dots:
    """A row for each name, a dot for each seed, a bar at their mean.

    rows: by name, the values; axis: what they are, with their unit; at: values to be marked by a line, by name
    """

    rows: Mapping[str, Any]
    axis: str
    log: bool = False
    at: Mapping[str, float] = field(default_factory=dict)

    def svg(self, title: str) -> str:
        """The picture."""
        rows = {str(k): [float(x) for x in v] for k, v in self.rows.items()}
        scale = Scale.of([x for v in rows.values() for x in v], self.log, list(self.at.values()))
        left = 20 + max(text_width(clean(k), SIZE) for k in rows)
        right, top = _WIDE - 30, 30.0 if self.at else 14.0
        foot = top + 22 * len(rows)

        def place(v: float) -> float:
            return left + 12 + (right - left - 12) * scale(v)

        parts = [_line(place(v), top - 8, place(v), foot, _PALE, "4 3") for v in self.at.values()]
        parts += [_text(place(v), top - 14, k, "middle") for k, v in self.at.items()]
        for i, (name, values) in enumerate(rows.items()):
            y = top + 22 * i + 11
            parts.append(_line(left + 12, y, right, y, _PALE))
            parts.append(_text(left, y + 4, name, "end"))
            if all(map(math.isfinite, values)):
                mean = place(sum(values) / len(values))
                parts.append(_line(mean, y - 8, mean, y + 8, _INK, width=2))
            parts += [f'<circle cx="{_n(place(v))}" cy="{_n(y)}" r="3.5" fill="none" stroke="{_INK}"/>' for v in values]
        parts.append(_line(left + 12, foot, right, foot, _INK))
        for share, label in scale.ticks():
            x = left + 12 + (right - left - 12) * share
            parts += [_line(x, foot, x, foot + 5, _INK), _text(x, foot + 18, label, "middle")]
        parts.append(_text((left + 12 + right) / 2, foot + 38, self.axis, "middle"))
        told = "; ".join(f"{k}: {', '.join(_shown(v) for v in vs)}" for k, vs in rows.items())
        return _whole(title, f"{self.axis}. {told}", _WIDE, foot + 48, parts)


_SHAPES = ("disc", "ring", "square", "triangle", "cross", "diamond")


@dataclass(frozen=True)
class Lines:
    """A line for each series: the mean over the seeds at each place, a bar from the least to the largest.

    series: by name, then by place in the order along the axis, the values of all seeds; places that are positive numbers far apart
            stand by their logarithms, others evenly
    x, y:   what the axes are, with their units
    """

    series: Mapping[str, Mapping[Any, Any]]
    x: str
    y: str
    log: bool = False
    at: Mapping[str, float] = field(default_factory=dict)

    def svg(self, title: str) -> str:
        """The picture."""
        series = {str(k): {str(p): [float(x) for x in v] for p, v in s.items()} for k, s in self.series.items()}
        places = list(dict.fromkeys(p for s in series.values() for p in s))
        scale = Scale.of([x for s in series.values() for v in s.values() for x in v], self.log, list(self.at.values()))
        top, foot, left = 34.0, 274.0, 76.0
        right = _WIDE - 40 - max(text_width(clean(k), SIZE) for k in (*series, *self.at))
        xs = {p: left + 20 + (right - left - 40) * share for p, share in zip(places, _along(places))}

        def height(v: float) -> float:
            return foot - (foot - top) * scale(v)

        parts = [
            _text(left - 6, top - 18, self.y, "start"),
            _line(left, top, left, foot, _INK),
            _line(left, foot, right, foot, _INK),
        ]
        for share, label in scale.ticks():
            y = foot - (foot - top) * share
            parts += [
                _line(left - 5, y, left, y, _INK),
                _line(left, y, right, y, _PALE) if share else "",
                _text(left - 9, y + 4, label, "end"),
            ]
        for p, x in xs.items():
            parts += [_line(x, foot, x, foot + 5, _INK), _text(x, foot + 18, p, "middle")]
        parts.append(_text((left + right) / 2, foot + 38, self.x, "middle"))
        ends: list[tuple[float, str, str]] = []
        for k, level in self.at.items():
            parts.append(_line(left, height(level), right, height(level), _INK, "4 3"))
            ends.append((height(level), k, ""))
        for (name, values), shape in zip(series.items(), _SHAPES):
            means = {p: math.inf if any(map(math.isinf, v)) else sum(v) / len(v) for p, v in values.items()}
            points = [(xs[p], height(m)) for p, m in means.items()]
            parts.append(f'<polyline points="{" ".join(f"{_n(a)},{_n(b)}" for a, b in points)}" fill="none" stroke="{_INK}"/>')
            for p, v in values.items():
                parts.append(_line(xs[p], height(min(v)), xs[p], height(max(v)), _INK))
            parts += [_mark(shape, a, b) for a, b in points]
            ends.append((points[-1][1], name, shape))
        for y, name, shape in _apart(ends, 16.0):
            parts += [_mark(shape, right + 12, y) if shape else "", _text(right + 22, y + 4, name, "start")]
        told = "; ".join(f"{k}: " + ", ".join(f"{p} {_shown(sum(v) / len(v))}" for p, v in s.items()) for k, s in series.items())
        return _whole(title, f"{self.y} by {self.x}. {told}", _WIDE, foot + 48, parts)


Chart = Dots | Lines


def _along(places: Sequence[str]) -> list[float]:
    """Between 0 and 1: by their logarithms, if they are positive numbers and far apart; else evenly."""
    try:
        values = [math.log(float(p)) for p in places]
    except ValueError:  # words, or not positive
        values = []
    if values and values[-1] != values[0] and max(values) - min(values) > math.log(8):
        return [(v - values[0]) / (values[-1] - values[0]) for v in values]
    return [i / max(len(places) - 1, 1) for i in range(len(places))]


def _apart(ends: list[tuple[float, str, str]], least: float) -> list[tuple[float, str, str]]:
    """Labels from above to below, none on another."""
    placed: list[tuple[float, str, str]] = []
    for y, name, shape in sorted(ends):
        placed.append((max(y, placed[-1][0] + least) if placed else y, name, shape))
    return placed


def _mark(shape: str, x: float, y: float) -> str:
    fill = "#ffffff" if shape in ("ring", "diamond") else _INK
    if shape in ("disc", "ring"):
        return f'<circle cx="{_n(x)}" cy="{_n(y)}" r="4" fill="{fill}" stroke="{_INK}"/>'
    ways = {
        "square": "M-4 -4h8v8h-8z",
        "triangle": "M0 -5L5 4H-5z",
        "cross": "M-4 -4L4 4M-4 4L4 -4",
        "diamond": "M0 -5L5 0L0 5L-5 0z",
    }
    return f'<path transform="translate({_n(x)} {_n(y)})" d="{ways[shape]}" fill="{fill}" stroke="{_INK}"/>'


def _n(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _line(x1: float, y1: float, x2: float, y2: float, ink: str, dash: str = "", width: float = 1) -> str:
    more = (f' stroke-dasharray="{dash}"' if dash else "") + (f' stroke-width="{_n(width)}"' if width != 1 else "")
    return f'<line x1="{_n(x1)}" y1="{_n(y1)}" x2="{_n(x2)}" y2="{_n(y2)}" stroke="{ink}"{more}/>'


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{_n(x)}" y="{_n(y)}" text-anchor="{anchor}">{escape(clean(text))}</text>'


def _whole(title: str, told: str, wide: float, high: float, parts: Sequence[str]) -> str:
    body = "\n".join(p for p in parts if p)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_n(wide)}" height="{_n(high)}" viewBox="0 0 {_n(wide)} {_n(high)}" '
        f'role="img" font-family="{FONTS}" font-size="{_n(SIZE)}" fill="{_INK}">\n<title>{escape(clean(title))}</title>\n'
        f'<desc>{escape(clean(told))}</desc>\n<rect width="{_n(wide)}" height="{_n(high)}" fill="#ffffff"/>\n{body}\n</svg>\n'
    )
