"""Write the golden files anew, and the pictures in lessons/pictures; golden files that nothing writes any more are removed."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

from tinygrad_norm.cli import main

from . import FORMS, PLACE, pictures

ROOT = PLACE.parents[2]
SHOWN = ROOT / "lessons" / "pictures"

written = {path: path.write_bytes(content) for path, content in pictures()}
old = [path for suffix in FORMS for path in PLACE.glob(f"*.{suffix}") if path not in written]
for path in old:
    path.unlink()

commands = re.findall(r"^tinygrad-norm (graph .*\.svg)$", (ROOT / "docs" / "guide" / "pictures.md").read_text("utf-8"), re.M)
with TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
    os.chdir(folder)
    for command in ["", "graph layer_norm --frames frames", *commands, f"graph --gallery {SHOWN / 'gallery'}"]:
        if main(command.split()):
            raise SystemExit(f"tinygrad-norm {command}: failed")
    shutil.move("frames/024_sum.svg", "step.svg")  # the one that the guide shows
    for path in Path(folder).glob("*.svg"):
        shutil.copy(path, SHOWN)
print(f"wrote {len(written)} pictures, removed {len(old)}, and those of lessons/pictures; now look at: git diff")
