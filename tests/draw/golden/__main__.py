"""Write the golden files anew; files that nothing writes any more are removed."""

from __future__ import annotations

from . import FORMS, PLACE, pictures

written = {path: path.write_bytes(content) for path, content in pictures()}
old = [path for suffix in FORMS for path in PLACE.glob(f"*.{suffix}") if path not in written]
for path in old:
    path.unlink()
print(f"wrote {len(written)} pictures, removed {len(old)}; now look at: git diff tests/draw/golden")
