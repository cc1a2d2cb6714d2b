"""The package itself as a script, for the page "try it": a zip of its modules, in base64. A page that was opened from a file may load it, too."""

from __future__ import annotations

import base64
import io
import zipfile
from pathlib import Path

from .outside import ROOT


def write(source: Path) -> None:
    """``static/package.js``; it says when it was loaded."""
    (source / "static").mkdir(parents=True, exist_ok=True)
    text = base64.b64encode(packed()).decode("ascii")
    (source / "static" / "package.js").write_text(f'window.tinygradNorm("{text}");\n', encoding="ascii")


def packed() -> bytes:
    """The modules, the same bytes from the same modules."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as whole:
        for path in sorted((ROOT / "tinygrad_norm").rglob("*.py")):
            name = zipfile.ZipInfo(path.relative_to(ROOT).as_posix())
            whole.writestr(name, path.read_bytes(), zipfile.ZIP_DEFLATED)
    return out.getvalue()
