"""A kernel as text, in the language that is asked for."""

from __future__ import annotations

from ..engine import describe
from . import numba_writer, whole
from .errors import KernelError
from .parts import Schedule
from .program import Program
from .ranges import ENDS

LANGUAGES = ("numpy", "numba")


def text(program: Program, forward: Schedule, backward: Schedule | None, language: str) -> str:
    """The text of both functions."""
    if language == "numpy":
        return whole.source(program)
    if language == "numba":
        return numba_writer.source([s for s in (forward, backward) if s is not None], "float32", *ENDS["float32"])
    raise KernelError(f"kernel: there is no source in {describe(language)}; there is {', '.join(LANGUAGES)}.")
