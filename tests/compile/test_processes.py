"""Compiling as it happens on real machines: each case in processes of its own."""

from __future__ import annotations

import importlib.util
import os
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


def start(folder, before="", **environment):
    how = {**os.environ, "TINYGRAD_NORM_CACHE": str(folder), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **environment}
    return subprocess.Popen(
        [sys.executable, "-c", before + PROGRAM], env=how, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
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


@numba
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="whoever may do everything can write anywhere")
def test_a_cache_that_is_read_only(tmp_path):
    tmp_path.chmod(0o500)
    try:
        found, lines = ended(start(tmp_path))
    finally:
        tmp_path.chmod(0o700)
    assert found == "right by a kernel"
    assert len(lines) == 1
    assert "kernels are compiled for this process only" in lines[0]
    assert not compiled(tmp_path)


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
