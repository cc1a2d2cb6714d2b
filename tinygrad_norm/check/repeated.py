"""A check that came by a link, made again here. **It runs the code that the link holds**: show it, and ask, before."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ..engine import TinygradNormError
from .adapters import as_candidate
from .binding import CheckInputError
from .checking import check
from .files import load
from .link import Carried, LinkError, read
from .verdict import Verdict


def repeat(carried: Carried, **more: Any) -> Verdict:
    """The verdict on what a link holds. **Executes its source.**

    more:  arguments of ``tn.check`` in the place of the link's, such as ``device`` or ``dtype``

    Raises ``CheckInputError`` for a source that cannot be run or has no backward in it, ``LinkError`` where no norm is told, and what
    ``tn.check`` raises.
    """
    how = {**carried.how, **more}
    with TemporaryDirectory(prefix="tinygrad_norm") as folder:
        path = Path(folder) / "candidate.py"
        path.write_bytes(carried.source.encode("utf-8", "surrogatepass"))
        try:
            verdict = _checked(carried, path, how)
        except CheckInputError as error:  # where the file stood is nobody's concern
            raise CheckInputError(str(error).replace(str(path), path.name)) from None
    return verdict


def _checked(carried: Carried, path: Path, how: dict[str, Any]) -> Verdict:
    found = load(f"{path}:{carried.name}" if carried.name else str(path))[0]
    norm = how.pop("norm", None) or carried.norm or found.norm
    if not norm:
        raise LinkError(f"link: which norm {found.name} belongs to cannot be told from its name; say it, as layer_norm.")
    forward = how.pop("forward", None)
    how["forward"] = found.forward if forward is None else load(f"{path}:{forward}")[0].function
    candidate: Any = found.function
    if "framework" in how:
        candidate = as_candidate(candidate, how.pop("framework"), how.get("device"))
    made = check(candidate, norm, **{**carried.options, **{n: v for n, v in how.items() if v is not None}})
    return replace(made, carried=carried, candidate=found.name)


def answer(link: str) -> str:
    """What the book's page shows of a link, as JSON: ok, whether it was judged, norm and the verdict's text. **Executes its source.**"""
    try:
        verdict = repeat(read(link))
    except TinygradNormError as error:
        return _json({"ok": False, "judged": False, "norm": "", "text": str(error)})
    return _json({"ok": verdict.ok, "judged": verdict.judged, "norm": verdict.title, "text": verdict.text()})


def _json(plain: Mapping[str, Any]) -> str:
    return json.dumps(plain, ensure_ascii=False)
