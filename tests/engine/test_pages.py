"""Keeping pages: an offer that is never made by itself, and that says whether it was taken."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tinygrad_norm.engine.pages import keep_pages

FAULTS = """
import resource, numpy as np, tinygrad_norm as tn
if {ask}: assert tn.keep_pages()
def faults(): return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for turn in range(20):
    if turn == 10: before = faults()
    a = np.ones(8_000_000); del a
print(faults() - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's mallopt is Linux's")
def test_large_arrays_stop_costing_fresh_pages():
    def run(ask):
        done = subprocess.run([sys.executable, "-c", FAULTS.format(ask=ask)], capture_output=True, text=True, check=True)
        return int(done.stdout)

    if not keep_pages():
        pytest.skip("this C library has no mallopt")
    assert run(True) < run(False) / 10


def test_elsewhere_it_says_no(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert keep_pages() is False
