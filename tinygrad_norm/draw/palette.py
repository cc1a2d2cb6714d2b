"""What each colour means, on light and on dark paper. Every text shade has a contrast of at least 4.5 to what it stands on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..engine import TinygradNormError


class DrawingError(TinygradNormError):
    """A picture that cannot be made: Graphviz is missing, or an option does not exist."""


@dataclass(frozen=True)
class Palette:
    """One theme.

    paper, ink, faint, border:  the ground, text, quiet text and lines, the rims of boxes
    fills:                      by a node's role
    lanes:                      the stroke of each lane, dark (or light) enough for text: "spine", "above", "below", ""
    mark:                       what is looked at just now
    """

    paper: str
    ink: str
    faint: str
    border: str
    mark: str
    fills: Mapping[str, str]
    lanes: Mapping[str, str]


LIGHT = Palette(
    paper="#ffffff",
    ink="#1a202c",
    faint="#4a5260",
    border="#5b6472",
    mark="#0b5cad",
    fills={
        "input": "#cfe6f7",
        "parameter": "#d5efdf",
        "leaf": "#e4def5",
        "cotangent": "#f7d6cf",
        "statistic": "#fde2c4",
        "constant": "#e3e5e9",
        "value": "#f8f8f5",
        "output": "#f5d3e4",
    },
    lanes={"spine": "#005a8c", "above": "#9c4300", "below": "#00664b", "": "#4a5260"},
)
DARK = Palette(
    paper="#0d1117",
    ink="#e6edf3",
    faint="#a9b4c0",
    border="#8b97a5",
    mark="#79b8ff",
    fills={
        "input": "#10395c",
        "parameter": "#12452f",
        "leaf": "#3a3163",
        "cotangent": "#5f2a22",
        "statistic": "#5b3a0e",
        "constant": "#353c46",
        "value": "#1c222b",
        "output": "#55233f",
    },
    lanes={"spine": "#6cb6ff", "above": "#ffa657", "below": "#56d4a0", "": "#a9b4c0"},
)
THEMES = {"light": LIGHT, "dark": DARK}
DASHES = {"spine": "", "above": "9 4", "below": "3 3", "": ""}


def palette_of(theme: str) -> Palette:
    """``DrawingError`` for a theme that there is not."""
    if theme not in THEMES:
        raise DrawingError(f"draw: theme={theme!r} is none of {', '.join(THEMES)}.")
    return THEMES[theme]
