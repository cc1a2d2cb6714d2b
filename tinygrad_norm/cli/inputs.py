"""The user's own numbers, from a file or from a shape."""

from __future__ import annotations

import argparse
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from ..engine import FileError
from ..engine.arrays import Array


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
        raise FileError(f"{path}: not readable as {path.suffix[1:]}: {_in_our_words(error)}") from None
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    if array.dtype.kind not in "fiub":
        raise FileError(f"{path}: holds {array.dtype}, not real numbers.")
    return array


_MAGIC = b"\x93NUMPY"


def _in_our_words(error: Exception) -> str:
    if "pickle" in str(error):
        return (
            "it holds Python objects, and they could do anything when read. Save numbers: numpy.save(file, array.astype(float))."
        )
    return str(error)


def _npy(path: Path, key: str | None) -> Array:
    with path.open("rb") as file:
        if not file.read(6).startswith((_MAGIC, b"PK")):
            raise FileError(f"{path}: not readable as npy: it does not begin as one. Write it with numpy.save.")
        file.seek(0)
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
    cells = [line.strip().split(",") for line in lines]
    header = not any(_is_number(cell) for cell in cells[0]) and _separator(lines[0]) is None
    rows = []
    for k, row in enumerate(cells[header:], 1 + header):
        bad = next((c.strip() for c in row if not _is_number(c)), None)
        if bad is not None:
            raise FileError(f"{path}: not readable as csv: row {k} has {bad!r}, which is no number. {_advice(lines[k - 1])}")
        if len(row) != len(cells[header]):
            raise FileError(f"{path}: not readable as csv: row {k} has {len(row)} numbers, the first one {len(cells[header])}.")
        rows.append([float(c) for c in row])
    return np.array(rows, np.float64) if rows else np.empty((0, 0))


def _separator(line: str) -> str | None:
    """What stands between numbers in place of a comma; None where nothing else does."""
    for separator in (";", "\t", " "):
        found = [c.replace(",", ".", 1) for c in line.strip().split(separator) if c.strip()]
        if len(found) > 1 and all(map(_is_number, found)):
            return separator
    return None


def _advice(line: str) -> str:
    separator = _separator(line)
    if separator is None:
        return "Expected numbers with a decimal point and commas between, one row a line."
    between = {";": "semicolons", "\t": "tabs", " ": "spaces"}[separator]
    comma = " and decimal commas" if "," in line else ""
    return f"It has {between} between its numbers{comma}; expected commas between, and decimal points. Save it as CSV with those."


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
