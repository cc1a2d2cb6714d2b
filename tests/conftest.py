"""What every test shares: hypothesis that gives the same verdict every time, and a seeded generator."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import settings

settings.register_profile("repeatable", deadline=None, derandomize=True, database=None)
settings.load_profile("repeatable")


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20240229)


@contextlib.contextmanager
def everything_is_large() -> Iterator[None]:
    """Arrays of a few entries take the paths that the engine keeps for large ones."""
    with pytest.MonkeyPatch.context() as patch:
        for module, size in (("walk", 0), ("arrays", 4)):  # when to work in slabs; how large they are
            patch.setattr(importlib.import_module(f"tinygrad_norm.engine.{module}"), "SLAB", size)
            patch.setattr(importlib.import_module(f"tinygrad_norm.engine.{module}"), "SMALL", 0)
        yield


@pytest.fixture(params=["small", "large"])
def any_size(request: pytest.FixtureRequest) -> Iterator[None]:
    """The test runs twice: arrays count as small, and as large."""
    with everything_is_large() if request.param == "large" else contextlib.nullcontext():
        yield
