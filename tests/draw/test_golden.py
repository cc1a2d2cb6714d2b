"""The pictures have not changed by a byte; see ``tests/draw/golden`` for how to change them on purpose."""

from __future__ import annotations

import difflib

import pytest

from . import golden

EXPECTED = {path.name: content for path, content in golden.pictures()}


@pytest.mark.parametrize("name", EXPECTED)
def test_the_picture_is_as_it_was(name):
    path, content = golden.PLACE / name, EXPECTED[name]
    assert path.exists(), "write it: python -m tests.draw.golden"
    if path.read_bytes() != content:
        old, new = path.read_text(encoding="utf-8").splitlines(), content.decode().splitlines()
        changes = "\n".join(difflib.unified_diff(old, new, "golden", "now", lineterm="", n=0))
        pytest.fail(f"{name} has changed. If that is meant: python -m tests.draw.golden\n{changes[:3000]}", pytrace=False)


def test_no_golden_file_is_left_over():
    found = {path.name for suffix in golden.FORMS for path in golden.PLACE.glob(f"*.{suffix}")}
    assert found == set(EXPECTED)
