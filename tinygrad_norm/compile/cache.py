"""Compiled modules on disk: keyed by their text and by what compiled them, written whole, never needed."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import platform
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

from ..engine.files import write_whole
from .errors import KernelError, KernelWarning

_loaded: dict[str, dict[str, Any]] = {}
_said: set[str] = set()


def folder() -> Path:
    """Where compiled kernels are kept: ``TINYGRAD_NORM_CACHE``, or a folder of the user's cache."""
    given = os.environ.get("TINYGRAD_NORM_CACHE")
    if given:
        return Path(given)
    base = os.environ.get("XDG_CACHE_HOME") or (Path.home() / ".cache" if os.environ.get("HOME") else tempfile.gettempdir())
    return Path(base) / "tinygrad_norm" / "kernels"


def key(text: str) -> str:
    """Of a text and of all that decides what it compiles to; the processor is in Numba's own index."""
    import numba

    what = "\n".join([text, numba.__version__, sys.version, platform.machine()])
    return hashlib.sha256(what.encode()).hexdigest()[:20]


def module(text: str) -> dict[str, Any]:
    """The names of a Numba module, compiled or loaded. Where nothing can be written, it is compiled for this process alone;
    ``KernelError`` where Numba cannot compile it."""
    name = f"kernel_{key(text)}"
    if name not in _loaded:
        try:
            _loaded[name] = _from_disk(name, text)
        except Exception as error:  # of a disk, of what was found there, or of the compiler, which is asked again
            reason = error
            try:
                _loaded[name] = _run(name, text.replace("CACHE = True", "CACHE = False"))
            except Exception as error:
                raise KernelError(f"Numba cannot compile it: {_said_by(error)}") from error
            say(f"kernels are compiled for this process only: {folder()} cannot be used ({_said_by(reason)}).")
    return _loaded[name]


def _said_by(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror  # without the name of a file that is another each time
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _run(name: str, text: str) -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": name}
    exec(compile(text, f"<{name}>", "exec"), names)
    return names


def _from_disk(name: str, text: str) -> dict[str, Any]:
    place = folder()
    place.mkdir(parents=True, exist_ok=True)
    path = place / f"{name}.py"
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        write_whole(path, text)
    if not os.access(place, os.W_OK):
        raise OSError("it is read-only")
    try:
        return _imported(name, path)
    except Exception:
        for kept in place.rglob(f"{name}*.nb?"):  # what is damaged is made anew
            kept.unlink()
        return _imported(name, path)


def _imported(name: str, path: Path) -> dict[str, Any]:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    sys.modules[name] = made
    try:
        spec.loader.exec_module(made)
    except BaseException:
        del sys.modules[name]
        raise
    return vars(made)


def say(line: str) -> None:
    """Once in a process, to whoever reads warnings."""
    if line not in _said:
        _said.add(line)
        level, frame = 1, sys._getframe()
        while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(("tinygrad_norm.", "functools")):
            level, frame = level + 1, frame.f_back  # the line outside that asked
        warnings.warn(line, KernelWarning, stacklevel=level)
