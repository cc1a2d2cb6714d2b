"""Passes in pieces: the same numbers whatever the number of threads."""

from __future__ import annotations

import importlib.util
import os
import warnings

import numpy as np
import pytest

import tinygrad_norm as tn
from tinygrad_norm.compile import threads
from tinygrad_norm.norms import get

from .cases import numbers, off, record

numba = pytest.mark.skipif(importlib.util.find_spec("numba") is None, reason="Numba is not installed")


def test_pieces():
    assert threads.cut(100, threads.LARGE - 1) == [(0, 100)]
    for stop, step in ((1, 1), (7, 1), (100, 1), (1000, 128), (130, 128)):
        found = threads.cut(stop, threads.LARGE, step)
        assert len(found) <= threads.PIECES
        assert [a for a, _ in found] + [stop] == [0, *(b for _, b in found)]
        assert all(a % step == 0 for a, _ in found)


@pytest.mark.parametrize(("given", "count"), [("", 1), ("2", 2), ("4,2", 4), ("0", 1), ("many", 1)])
def test_how_many(given, count, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", given)
    assert threads.count() == count


def test_each_piece_once_and_errors_come_out(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    done = []
    threads.share(done.append, 20)
    assert sorted(done) == list(range(20))
    with pytest.raises(ZeroDivisionError):
        threads.share(lambda k: 1 // (k - 19), 20)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes cannot fork here")
def test_a_forked_process_has_threads_of_its_own(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    threads.share(lambda k: None, 4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Python's and JAX's, that there are threads: that is what this is about
        child = os.fork()
    if not child:
        done = []
        threads.share(done.append, 4)
        os._exit(0 if sorted(done) == [0, 1, 2, 3] else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@numba
@pytest.mark.thorough
@pytest.mark.parametrize("name", ["layer_norm", "batch_norm", "group_norm", "softmax", "cosine_similarity", "layer_scale"])
def test_numbers_do_not_depend_on_threads(name, monkeypatch):
    monkeypatch.setattr(threads, "LARGE", 1)
    shape = (700, 6, *(5,) * (len(get(name).shape) - 2))
    values, dy, settings = numbers(name, shape, dtype=np.float32)
    found = []
    for count in ("1", "3"):
        monkeypatch.setenv("OMP_NUM_THREADS", count)
        k = tn.kernel(name)
        found.append([k.forward(*values.values()), *k.backward(dy, *values.values())])
    for a, b, want in zip(*found, record(name, values, dy, settings, k.wanted)):
        assert np.array_equal(a, b)
        assert off(a, want) < 2e-5


@numba
@pytest.mark.thorough
def test_one_odd_number_in_one_piece(monkeypatch):
    """The record is asked, whichever piece it is in."""
    monkeypatch.setattr(threads, "LARGE", 1)
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    values, _, _ = numbers("layer_norm", (40, 6))
    values["input"][33, 2] = np.nan
    y = tn.kernel("layer_norm").forward(*values.values())
    assert np.isnan(y[33]).all()
    assert not np.isnan(np.delete(y, 33, 0)).any()
