"""What a run of a claim leaves behind: figures, seeds, settings, versions, processor, and the verdict; and its file."""

from __future__ import annotations

import json
import math
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..engine import FileError
from ..engine.files import write_whole
from ..graph.table import to_json
from .claim import Verdict

FORM = "tinygrad_norm claim, 1"


def processor() -> str:
    """As the system calls it."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return " ".join(line.partition(":")[2].split())
    return platform.processor() or platform.machine()


def versions() -> dict[str, str]:
    """Of what the figures depend on."""
    from .. import __version__

    return {"tinygrad_norm": __version__, "numpy": np.__version__, "python": platform.python_version()}


@dataclass(frozen=True)
class Result:
    """A claim, run. seconds: of processor time, for all seeds."""

    name: str
    title: str
    says: dict[int, str]
    opposed: bool
    verdict: Verdict
    seeds: list[int]
    figures: dict[str, NDArray[np.float64]]
    setting: dict[str, Any]
    seconds: float
    versions: dict[str, str]
    processor: str

    def to_json(self, ascii: bool = False) -> str:
        """All of it; what is beyond all numbers is null."""
        plain = {**asdict(self), "verdict": self.verdict._asdict(), "figures": {k: v.tolist() for k, v in self.figures.items()}}
        return to_json({"form": FORM, **plain}, ascii)

    @classmethod
    def at(cls, state: Mapping[str, Any]) -> Result:
        """From what ``to_json`` wrote."""
        rest = {k: v for k, v in state.items() if k != "form"}
        rest["says"] = {int(k): v for k, v in state["says"].items()}
        rest["verdict"] = Verdict(**state["verdict"])
        rest["figures"] = {k: np.array([math.inf if x is None else x for x in v]) for k, v in state["figures"].items()}
        return cls(**rest)

    def save(self, folder: Path) -> Path:
        """As ``NAME.json``."""
        path = folder / f"{self.name}.json"
        write_whole(path, self.to_json() + "\n")
        return path


def read(path: Path) -> Result:
    """A file that ``Result.save`` wrote; ``FileError`` for any other."""
    try:
        state = json.loads(path.read_text(encoding="utf-8"))
        if state["form"] != FORM:
            raise KeyError("form")
        return Result.at(state)
    except OSError as error:
        raise FileError(f"{path}: {error.strerror or error}.") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise FileError(f"{path}: is no result of a claim; tinygrad-norm claims NAME --run --out DIR writes one.") from None
