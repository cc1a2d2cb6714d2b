"""Pictures of numbers, by matplotlib where it is installed: ``pip install 'tinygrad_norm[plot]'``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..engine import FileError


def panels(inches: tuple[float, float], count: int, **shared: Any) -> tuple[Any, Any]:
    """A figure and its panels, side by side; None and none of them where there is no matplotlib."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        return None, ()
    figure = Figure(figsize=inches, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(1, count, squeeze=False, **shared)[0]


def written(figure: Any, path: Any) -> Path:
    """The path of the picture, whose suffix says the format; ``FileError`` where it cannot be written."""
    place = Path(path)
    try:
        figure.savefig(place, metadata={"Date": None} if place.suffix == ".svg" else None)
    except (OSError, ValueError) as error:
        raise FileError(f"{place}: the picture cannot be written: {error}") from None
    return place
