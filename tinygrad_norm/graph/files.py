"""What a writer of pictures hands over where it cannot write the kind that was asked for."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from ..engine.files import write_whole


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
