"""A kernel as text, in the language that is asked for."""

from __future__ import annotations

from ..engine import describe
from . import c_writer, numba_writer, triton_writer
from .errors import KernelError
from .modules import jax_file, numpy_file, torch_file
from .parts import Schedule
from .program import Program
from .ranges import ENDS

LANGUAGES = ("numpy", "numba", "c", "triton", "torch", "jax")


def text(program: Program, forward: Schedule, backward: Schedule | None, language: str, dtype: str = "float32") -> str:
    """A file that stands alone.

    dtype:  what Numba and C compute in; the others in whatever they are given
    """
    if dtype not in ENDS:
        raise KernelError(f"kernel: dtype={describe(dtype)}; a kernel computes in {' or '.join(ENDS)}.")
    if language == "numpy":
        return numpy_file(program)
    if language == "numba":
        return numba_writer.source([s for s in (forward, backward) if s is not None], dtype, *ENDS[dtype])
    if language == "c":
        return c_writer.source(forward, backward, dtype, *ENDS[dtype])
    if language == "triton":
        return triton_writer.source(program, forward, backward)
    if language in ("torch", "jax"):
        return {"torch": torch_file, "jax": jax_file}[language](program)
    raise KernelError(f"kernel: there is no source in {describe(language)}; there is {', '.join(LANGUAGES)}.")
