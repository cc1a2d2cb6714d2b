"""One device and eight: the script of benchmarks/ in a process of its own, as JAX counts its devices once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("jax", reason="JAX is not installed: nothing is spread over devices")
ROOT = Path(__file__).parents[2]


@pytest.mark.thorough
@pytest.mark.skipif(not (ROOT / "benchmarks").exists(), reason="the benchmarks are not beside the tests")
def test_losses_are_those_of_one_device():
    done = subprocess.run([sys.executable, "-m", "benchmarks.sharding"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("on 1 device and on 8") == 2
    assert "those of the whole batch" in done.stdout
    assert done.stdout.endswith("equal to rounding\n")
