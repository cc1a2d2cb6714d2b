"""Links of hand-written pages that leave the book: each leads to the page made of what it points at, or to one that shows the file."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

ROOT = Path(__file__).parent.parent
_LINK = re.compile(r"(?P<mark>!?)\[(?P<words>[^\]]*)\]\((?P<to>[^)#\s:]+)(?P<at>#[^)\s]*)?\)")
_LANGUAGES = {".py": "python", ".toml": "toml", ".json": "json", ".sh": "bash", ".yml": "yaml", ".md": "markdown"}


def rewritten(text: str, place: Path, page: Path, source: Path) -> str:
    """A page's text, its links leading inside the book.

    place:  where the text was written, below the repository's root; page: where it stands in ``source``
    """

    def change(found: re.Match[str]) -> str:
        target = (place.parent / found["to"]).resolve()
        if not target.is_relative_to(ROOT) or not target.exists():
            return found[0]
        to = inside(target.relative_to(ROOT), source)
        if to is None:
            return found["words"]
        return f"{found['mark']}[{found['words']}]({os.path.relpath(to, page.parent.relative_to(source))}{found['at'] or ''})"

    return _LINK.sub(change, text)


def inside(path: Path, source: Path) -> Path | None:
    """The page of the book that shows a file or a folder of the repository; made where there is none."""
    first, name = path.parts[0], path.stem
    if path == Path("README.md"):
        return Path("index.md")
    if first == "docs" and path.suffix == ".md":
        return path.relative_to("docs")
    if path == Path("docs/guide"):
        return Path("guide/index.rst")
    if path.parent == Path("lessons") and path.suffix == ".py":
        return Path("lessons") / f"{name}.ipynb"
    for kind in ("claims", "exercises"):
        if path.is_relative_to(f"lessons/{kind}") and path.suffix != ".svg":
            page = Path(kind) / f"{name.replace('_', '-') if kind == 'claims' else name}"
            return next(
                (p for end in (".rst", ".md") if (source / (p := page.with_name(page.name + end))).exists()),
                Path(kind, "index.rst"),
            )
    if path.is_relative_to("lessons/pictures/gallery") and path.suffix != ".svg":
        return Path("gallery.rst")
    if first == "tinygrad_norm" and (ROOT / path).is_dir():
        return (
            Path("reference") / f"{path.name}.rst"
            if (source / "reference" / f"{path.name}.rst").exists()
            else Path("reference/index.rst")
        )
    if (ROOT / path).is_dir():
        return inside(path / "README.md", source) if (ROOT / path / "README.md").exists() else None
    return _shown(path, source)


def _shown(path: Path, source: Path) -> Path:
    """A picture as it is; any other file as a page."""
    if path.suffix in (".svg", ".png"):
        copy = Path("files") / path
        (source / copy).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, source / copy)
        return copy
    page = Path("files") / path.with_name(path.name + ".md")
    if not (source / page).exists():
        text = (ROOT / path).read_text(encoding="utf-8")
        (source / page).parent.mkdir(parents=True, exist_ok=True)
        (source / page).touch()
        if path.suffix == ".md":
            shown = rewritten(text, ROOT / path, source / page, source)
        else:
            shown = f"# `{path}`\n\n`````{_LANGUAGES.get(path.suffix, 'text')}\n{text}\n`````\n"
        (source / page).write_text(f"---\norphan: true\n---\n\n{shown}", encoding="utf-8")
    return page
