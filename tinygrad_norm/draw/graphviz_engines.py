"""Graphviz, which draws PNG and PDF: the program ``dot`` where there is one, else the package pygraphviz, which carries its own."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from typing import IO

from .palette import DrawingError

GET_PROGRAM = "apt install graphviz (or brew install graphviz, or winget install graphviz)"
GET_PACKAGE = "pip install 'pygraphviz>=2'"
_ONE_AT_A_TIME = threading.Lock()  # Graphviz's library keeps its state in global variables


def run_graphviz(text: str, suffix: str) -> bytes:
    """What Graphviz makes of DOT text: "svg", "png" or "pdf". ``DrawingError`` if there is none, or if it cannot."""
    why = "its program dot is not on the PATH"
    if shutil.which("dot") is not None:
        try:
            return _by_program(text, suffix)
        except ImportError:
            why = "its program dot is here, but not the package graphviz that speaks to it"
        except DrawingError as error:
            why = str(error).removeprefix("draw: ").rstrip(".")
    try:
        return _by_package(text, suffix)
    except ImportError:
        raise DrawingError(
            f"draw: .{suffix} needs Graphviz: {why}, and the package pygraphviz cannot be imported. "
            f"Either will do: {GET_PROGRAM}; or {GET_PACKAGE}."
        ) from None


def _by_program(text: str, suffix: str) -> bytes:
    import graphviz

    try:
        return bytes(graphviz.pipe("dot", suffix, text.encode(), quiet=True))  # in one piece: dot may fail before it has read it
    except (graphviz.CalledProcessError, OSError) as error:
        said = getattr(error, "stderr", None) or b""
        raise _failure("dot", suffix, said, error) from None


def _by_package(text: str, suffix: str) -> bytes:
    import pygraphviz

    with _ONE_AT_A_TIME, _hushed() as said:
        try:
            graph = pygraphviz.AGraph()
            graph.from_string(text)  # AGraph(text) would take "charset=" in a label for an encoding
            return bytes(graph.draw(format=suffix, prog="dot"))
        except (ValueError, TypeError, OSError) as error:
            said.seek(0)
            raise _failure("pygraphviz", suffix, said.read(), error) from None


def _failure(engine: str, suffix: str, said: bytes, error: Exception) -> DrawingError:
    lines = [line for line in said.decode(errors="replace").splitlines() if "warning" not in line.lower()]
    return DrawingError(f"draw: {engine} could not make .{suffix}: {' '.join(lines).strip().rstrip('.') or error}.")


@contextlib.contextmanager
def _hushed() -> Iterator[IO[bytes]]:
    """Keep what C code writes to the process's stderr (fonts it misses, why it failed) in a file instead."""
    with tempfile.TemporaryFile() as said, contextlib.redirect_stderr(io.StringIO()):
        try:
            stderr = os.dup(2)
        except OSError:  # there is no stderr
            yield said
            return
        os.dup2(said.fileno(), 2)
        try:
            yield said
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


# What is here ---------------------------------------------------------------------------------------------


def program_version() -> str | None:
    """The version that ``dot`` says it is; None if it is not on the PATH."""
    program = shutil.which("dot")
    if program is None:
        return None
    try:
        done = subprocess.run([program, "-V"], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    words = (done.stderr or done.stdout).split("version ")
    return words[1].split(" ")[0] if len(words) > 1 else "unknown"


def package_version() -> str | None:
    """The version of the Graphviz that pygraphviz carries; None if it cannot be imported."""
    try:
        import pygraphviz
    except ImportError:
        return None
    return str(getattr(pygraphviz, "__graphviz_version__", "unknown"))
