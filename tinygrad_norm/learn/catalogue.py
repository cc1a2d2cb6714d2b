"""What can be run and asked: the claims, found by their files, and what is stored of them."""

from __future__ import annotations

from functools import cache
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

from ..engine import FileError, OptionError, describe
from .claim import Claim
from .result import Result, read

RUN_AS = "tinygrad_norm.lessons.claims."
"""What a claim's file is called while it is read: its last cell, which runs it, is for ``__main__``."""


@cache
def lessons() -> Path:
    """The folder of the lessons: in the package as it is installed, beside it in a checkout. ``FileError`` where it is nowhere."""
    package = Path(__file__).parents[1]
    for place in (package / "lessons", package.parent / "lessons"):
        if (place / "claims").is_dir():
            return place
    raise FileError(f"there are no lessons in {package}, nor beside it; install tinygrad_norm with pip.")


def claims_folder() -> Path:
    """Of the claims' files; results/ and pictures/ are in it."""
    return lessons() / "claims"


def claim_names() -> list[str]:
    """All claims, in the order of the alphabet."""
    return sorted(p.stem.replace("_", "-") for p in claims_folder().glob("*.py") if not p.stem.startswith("_"))


def known(name: str) -> str:
    """The name as the catalogue has it; ``OptionError`` for one that is none, with those most like it."""
    plain = name.replace("_", "-").removesuffix(".py") if isinstance(name, str) else name
    if plain not in claim_names():
        from difflib import get_close_matches

        near = get_close_matches(str(plain), claim_names(), 3, 0.4)
        raise OptionError(
            f"claims: {describe(name)} is no claim"
            + (f"; did you mean {' or '.join(near)}?" if near else ".")
            + " tinygrad-norm claims lists them."
        )
    return str(plain)


def claim(name: str) -> Claim:
    """One by its name, such as "batch-of-two": its file is read. Raises ``OptionError`` for a name that is none."""
    plain = known(name).replace("-", "_")
    path = claims_folder() / f"{plain}.py"
    spec = spec_from_file_location(RUN_AS + plain, path)
    assert spec is not None, path
    assert spec.loader is not None, path
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    found = module.claim
    assert isinstance(found, Claim), path
    return found


def stored(name: str) -> Result | None:
    """What is stored of a claim; None where nothing is."""
    path = claims_folder() / "results" / f"{known(name)}.json"
    return read(path) if path.exists() else None
