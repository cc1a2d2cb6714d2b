"""The user's own numbers, from a file or from a shape."""

from __future__ import annotations

import argparse
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from ..engine import TinygradNormError
from ..engine.arrays import Array


class FileError(TinygradNormError, ValueError):
    """A file that cannot be read as numbers. Nothing was written."""


def read_array(path: Path, key: str | None = None) -> Array:
    """An array from .npy, .npz (``key`` names the array when it holds several) or .csv (a header line may be there).

    Never unpickles. Raises ``FileError`` naming the file, what is wrong with it, and what is expected.
    """
    readers = {".npy": _npy, ".npz": _npz, ".csv": _csv}
    if path.suffix.lower() not in readers:
        raise FileError(f"{path}: unknown kind of file {path.suffix or '(no suffix)'}. Expected .npy, .npz or .csv.")
    try:
        array = readers[path.suffix.lower()](path, key)
    except FileError:
        raise
    except OSError as error:
        raise FileError(f"{path}: {error.strerror or error}.") from None
    except (ValueError, EOFError, UnicodeError, zipfile.BadZipFile, KeyError, MemoryError) as error:
        raise FileError(f"{path}: not readable as {path.suffix[1:]}: {error}") from None
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    if array.dtype.kind not in "fiub":
        raise FileError(f"{path}: holds {array.dtype}, not real numbers.")
    return array


def _npy(path: Path, key: str | None) -> Array:
    with path.open("rb") as file:
        array: Any = np.load(file, allow_pickle=False)
    if not isinstance(array, np.ndarray):
        raise FileError(f"{path}: is an archive, not one array. Rename it to .npz.")
    return array


def _npz(path: Path, key: str | None) -> Array:
    with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
        if isinstance(archive, np.ndarray):
            raise FileError(f"{path}: is one array, not an archive. Rename it to .npy.")
        names = list(archive.files)
        if key is None and len(names) != 1:
            raise FileError(f"{path}: holds {len(names)} arrays ({', '.join(names) or 'none'}). Name one with --key.")
        if key is not None and key not in names:
            raise FileError(f"{path}: has no array {key!r}; it holds {', '.join(names) or 'none'}.")
        array: Array = archive[key or names[0]]
        return array


def _csv(path: Path, key: str | None) -> Array:
    with path.open(encoding="utf-8-sig") as file:
        lines = [line for line in file if line.strip() and not line.lstrip().startswith("#")]
    if not lines:
        raise FileError(f"{path}: is empty. Expected one row of numbers per line.")
    header = not any(_is_number(cell) for cell in lines[0].split(","))
    rows: Array = np.loadtxt(lines[header:], delimiter=",", ndmin=2) if lines[header:] else np.empty((0, 0))
    return rows


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def shape_argument(text: str) -> tuple[int, ...]:
    """``4,8`` as (4, 8), for argparse."""
    try:
        shape = tuple(int(n) for n in text.split(",") if n.strip())
    except ValueError:
        shape = ()
    if not shape or min(shape) < 1:
        raise argparse.ArgumentTypeError(f"{text}: expected positive sizes with commas between, such as 4,8.")
    return shape
