"""Pictures of a graph: SVG of our own, Graphviz's language, text for the terminal. Importing it teaches graphs to save them."""

from . import notebook, render
from .dot import dot
from .layout import Box, Layout, Line, lay_out
from .palette import DrawingError
from .svg import arrange, svg
from .terminal import terminal

__all__ = ["Box", "DrawingError", "Layout", "Line", "arrange", "dot", "lay_out", "notebook", "render", "svg", "terminal"]
