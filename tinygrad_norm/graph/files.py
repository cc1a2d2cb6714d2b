"""Files are written whole or not at all: beside their place, then moved there."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file; an old one of that name stays until the new one is whole. Raises ``OSError``, and then leaves nothing."""
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{path}: there is no folder {path.parent}.")
    handle, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
        os.chmod(beside, 0o644)
        os.replace(beside, path)
    except BaseException:
        os.unlink(beside)
        raise


@dataclass(frozen=True)
class Instead:
    """What a writer returns that cannot make its own kind of file: a file of another kind, and the error to raise then.

    suffix:   ".svg"
    content:  of that other file
    error:    makes the error, given a sentence that says where the other file is
    """

    suffix: str
    content: str | bytes
    error: Callable[[str], Exception]

    def write(self, path: Path) -> NoReturn:
        """Write the other file beside ``path``, unless there is one of that name; then raise the error."""
        other = path.with_suffix(self.suffix)
        if os.path.lexists(other):
            raise self.error(f"{other} is already there and was left as it is; saving under that name replaces it.")
        write_whole(other, self.content)
        raise self.error(f"Wrote {other} instead.")
