"""Compiling as it happens on real machines: each case in processes of its own."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
numba = pytest.mark.skipif(importlib.util.find_spec("numba") is None, reason="Numba is not installed")
pytestmark = pytest.mark.thorough

PROGRAM = """
import numpy as np
import tinygrad_norm as tn

F = tn.functional
rng = np.random.default_rng(0)
x, w, b, dy = rng.normal(size=(5, 7)), rng.normal(size=7), rng.normal(size=7), rng.normal(size=(5, 7))
found = []
for backward in ("analytic", "compiled"):
    leaves = [tn.tensor(a, requires_grad=True) for a in (x, w, b)]
    y = F.layer_norm(leaves[0], 7, *leaves[1:], backward=backward)
    found.append([y.numpy(), *(g.numpy() for g in tn.grad(y, leaves, dy))])
assert all(abs(a - c).max() < 1e-13 for a, c in zip(*found))
from tinygrad_norm.compile import twins
print("right", "by a kernel" if any(twins._programs.values()) else "by the node")
"""


def start(folder, before="", through=(), **environment):
    how = {**os.environ, "TINYGRAD_NORM_CACHE": str(folder), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **environment}
    return subprocess.Popen(
        [*through, sys.executable, "-c", before + PROGRAM], env=how, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def ended(process):
    """What it found, and the lines of warnings it gave."""
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    return out.strip(), [line for line in err.splitlines() if "Warning" in line]


def compiled(folder):
    return sorted(p.suffix for p in folder.rglob("*.nb*"))


def test_without_numba(tmp_path):
    found, lines = ended(start(tmp_path, "import sys; sys.modules['numba'] = None\n"))
    assert found == "right by the node"
    assert len(lines) == 1
    assert 'backward="compiled": Numba is not installed, so the analytic node computes' in lines[0]


@numba
def test_a_cache_is_filled_and_used(tmp_path):
    assert ended(start(tmp_path)) == ("right by a kernel", [])
    files = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.nb*")}
    assert files
    assert ended(start(tmp_path)) == ("right by a kernel", [])
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.nb*")} == files


@numba
def test_a_cache_that_is_no_folder(tmp_path):
    place = tmp_path / "file"
    place.write_text("")
    found, lines = ended(start(place))
    assert found == "right by a kernel"
    assert len(lines) == 1
    assert f"kernels are compiled for this process only: {place} cannot be used" in lines[0]


def without_privilege():
    """What runs a command as somebody whom permissions of files bind: root may write anywhere, unless it gives that up."""
    if not hasattr(os, "geteuid"):
        pytest.skip("files have no permissions here")
    if os.geteuid():
        return ()
    found = ("setpriv", "--bounding-set", "-dac_override,-dac_read_search", "--")
    if shutil.which("setpriv") is None or subprocess.run([*found, "true"], capture_output=True, check=False).returncode:
        pytest.skip("root may write anywhere")
    return found


@numba
def test_a_cache_that_is_read_only(tmp_path):
    tmp_path.chmod(0o500)
    try:
        found, lines = ended(start(tmp_path, through=without_privilege()))
    finally:
        tmp_path.chmod(0o700)
    assert found == "right by a kernel"
    assert len(lines) == 1
    assert lines[0].startswith("<string>:")  # the line outside that asked
    assert f"kernels are compiled for this process only: {tmp_path} cannot be used (Permission denied)" in lines[0]
    assert not list(tmp_path.iterdir())


@numba
def test_a_full_cache_that_is_read_only(tmp_path):
    """Made by an administrator, say: it is used as it is, or what cannot be is compiled; never a wrong number."""
    ended(start(tmp_path))
    folders = [tmp_path, *(p for p in tmp_path.rglob("*") if p.is_dir())]
    for folder in folders:
        folder.chmod(0o500)
    try:
        found, lines = ended(start(tmp_path, through=without_privilege()))
    finally:
        for folder in folders:
            folder.chmod(0o700)
    assert found == "right by a kernel"
    assert len(lines) <= 1


@numba
def test_a_cache_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    found, lines = ended(start(tmp_path / "file" / "below"))
    assert found == "right by a kernel"
    assert len(lines) == 1
    assert "kernels are compiled for this process only" in lines[0]


@numba
def test_two_at_once(tmp_path):
    assert [ended(p) for p in [start(tmp_path), start(tmp_path)]] == [("right by a kernel", [])] * 2
    assert ended(start(tmp_path)) == ("right by a kernel", [])


@numba
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="processes cannot be killed here")
@pytest.mark.parametrize("later", [0.0, 0.7])
def test_one_that_is_killed(later, tmp_path):
    process = start(tmp_path)
    for _ in range(3000):
        if any(tmp_path.glob("*.py")) or process.poll() is not None:
            break
        time.sleep(0.01)
    time.sleep(later)
    process.kill()
    process.communicate()
    assert ended(start(tmp_path)) == ("right by a kernel", [])


@numba
@pytest.mark.parametrize("damage", [b"", b"no pickle at all", None], ids=["empty", "other", "half"])
def test_a_cache_that_is_damaged(damage, tmp_path):
    """Which nobody here writes, but disks do: it is compiled anew."""
    ended(start(tmp_path))
    for path in tmp_path.rglob("*.nbi"):
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2] if damage is None else damage)
    assert ended(start(tmp_path)) == ("right by a kernel", [])
    assert all(path.stat().st_size > 100 for path in tmp_path.rglob("*.nbi"))
