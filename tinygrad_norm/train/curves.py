"""Losses as curves: in letters for a terminal, or as a picture by matplotlib."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..graph.table import harmless, number
from .arguments import several
from .history import History
from .plotting import panels, written

_MARKS = "●○▲△■□◆◇"
_PLAIN = "ox+*#%@&"


def smoothed(losses: Sequence[float], points: int) -> tuple[list[float], list[float]]:
    """The mean of each of so many stretches, and the step in the middle of it; steps that are not finite are left out."""
    kept = [(i + 1, v) for i, v in enumerate(losses) if math.isfinite(v)]
    parts = np.array_split(np.array(kept, float).reshape(-1, 2), max(min(points, len(kept)), 1)) if kept else []
    return [float(p[:, 0].mean()) for p in parts], [float(p[:, 1].mean()) for p in parts]


def curves(runs: Sequence[History], columns: int = 64, rows: int = 12, ascii: bool = False) -> str:
    """The losses by step, from the least to the largest of all on a logarithmic scale, one mark for each run."""
    runs = several("curves", runs, History)
    drawn = [(r, *smoothed(r.losses, columns)) for r in runs]
    values = [v for _, _, ys in drawn for v in ys if v > 0]
    if not values:
        return "no loss that can be drawn"
    low, high, last = min(values), max(values), max(r.steps for r in runs)
    span = math.log(high / low) or 1.0
    field = [[" "] * columns for _ in range(rows)]
    marks = _PLAIN if ascii else _MARKS
    for k, (_, xs, ys) in enumerate(drawn):
        for x, y in zip(xs, ys):
            if y > 0:
                row = round((rows - 1) * math.log(high / y) / span)
                field[row][min(int(columns * (x - 0.5) / last), columns - 1)] = marks[k % len(marks)]
    edge, floor, corner = ("|", "-", "+") if ascii else ("│", "─", "└")
    labels = {0: number(high), rows - 1: number(low)}
    lines = [f"{labels.get(i, ''):>8} {edge}{''.join(line).rstrip()}" for i, line in enumerate(field)]
    lines += [f"{'':>8} {corner}{floor * columns}", f"{'loss':>8} 1{f'step {last}':>{columns}}"]
    names = [f"{marks[k % len(marks)]} {harmless(r.name)}" for k, r in enumerate(runs) if r.name]
    return "\n".join([*lines, *(["          " + "   ".join(names)] if names else [])])


def picture(runs: Sequence[History], path: Any) -> Path | None:
    """Losses by step, and the measure on the data held out by epoch, as a picture; the suffix says the format.

    Returns the path, or None where there is no matplotlib (``pip install 'tinygrad_norm[plot]'``). ``FileError`` where it cannot be written.
    """
    runs = several("picture", runs, History)
    tested = [r for r in runs if r.tested]
    figure, axes = panels((10 if tested else 6, 4), 2 if tested else 1)
    if figure is None:
        return None
    for r in runs:
        axes[0].plot(*smoothed(r.losses, 400), label=r.name or "loss", linewidth=1)
    axes[0].set(xlabel="step", ylabel="loss", yscale="log")
    for r in tested:
        axes[1].plot(range(1, len(r.tested) + 1), r.tested, marker="o", label=r.name or r.measure)
        axes[1].set(xlabel="epoch", ylabel=f"test {r.measure}")
        axes[1].xaxis.get_major_locator().set_params(integer=True)
    axes[0].legend()
    return written(figure, path)
