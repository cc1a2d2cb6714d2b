"""``python -m docs [FOLDER]``: write the book's sources, and have Sphinx make the pages; they work from a file URL, without a network."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from pathlib import Path

from . import claims, lessons, norms, package, reference
from .outside import ROOT, rewritten
from .prose import title, toctree

HERE = Path(__file__).parent


def write(source: Path) -> None:
    """All sources of the book into a folder, which is emptied."""
    shutil.rmtree(source, ignore_errors=True)
    source.mkdir(parents=True)
    for part in (lessons, claims, norms, reference):
        part.write(source)
    shutil.copy(HERE / "conf.py", source)
    shutil.copytree(HERE / "static", source / "static")
    package.write(source)
    for page in written():
        made = source / page.relative_to(HERE)
        made.parent.mkdir(exist_ok=True)
        text = page.read_text(encoding="utf-8").replace("<!-- norms -->", norms.options())
        made.write_text(rewritten(text, page, made, source), encoding="utf-8")
    guide = [page.stem for page in written() if page.parent != HERE]
    (source / "guide").mkdir(exist_ok=True)
    text = "\n\n".join([title("Guide"), "What it does, one subject a page.", *([toctree(guide)] if guide else [])])
    (source / "guide" / "index.rst").write_text(text, encoding="utf-8")


def written() -> list[Path]:
    """The pages that are written by hand, or by a test."""
    return sorted([*HERE.glob("*.md"), *(HERE / "guide").glob("*.md")])


def _kernel(place: Path) -> None:
    """The lessons are run by this Python and by the package beside this folder, whatever else is installed."""
    spec = {"argv": [sys.executable, "-m", "ipykernel_launcher", "--log-level=ERROR", "-f", "{connection_file}"],
            "display_name": "Python 3", "language": "python"}  # fmt: skip
    (place / "kernels" / "python3").mkdir(parents=True)
    (place / "kernels" / "python3" / "kernel.json").write_text(json.dumps(spec), encoding="utf-8")
    for name, path in (("JUPYTER_PATH", place), ("PYTHONPATH", ROOT)):
        os.environ[name] = os.pathsep.join(filter(None, (str(path), os.environ.get(name))))


def main() -> int:
    """Build it; returns Sphinx's exit code."""
    parser = argparse.ArgumentParser(prog="python -m docs", description=__doc__)
    parser.add_argument(
        "folder", nargs="?", type=Path, default=ROOT / "build" / "book", help="for the pages (default: build/book)"
    )
    out: Path = parser.parse_args().folder.resolve()
    try:
        from sphinx.cmd.build import build_main
    except ModuleNotFoundError:
        parser.error("the book needs Sphinx and what it takes: pip install '.[book]'")
    source = out.with_name(out.name + ".sources")
    write(source)
    _kernel(source / "jupyter")
    if (out / ".buildinfo").exists():  # an older book, of which nothing may stay
        shutil.rmtree(out)
    code: int = build_main(["-q", "-W", "--keep-going", "-j", "auto", "-d", str(source / "doctrees"), str(source), str(out)])
    if code == 0:
        print(f"wrote {out / 'index.html'}")
    return code


if __name__ == "__main__":
    sys.exit(main())
