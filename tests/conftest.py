"""What every test shares: hypothesis that gives the same verdict every time, a seeded generator, and which cases are run."""

from __future__ import annotations

import contextlib
import gc
import importlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import Phase, settings

from tests import selection
from tests.browsing import browser as browser  # a fixture

PHASES = (Phase.explicit, Phase.generate, Phase.shrink)  # "explain" runs a failing example a hundred times more, traced
settings.register_profile("repeatable", deadline=None, derandomize=True, database=None, phases=PHASES)
settings.load_profile("repeatable")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--all", action="store_true", help="every case of every test (without: a selection, see tests/selection.py)")


def runs_everything(config: pytest.Config) -> bool:
    return config.option.all or config.args_source is pytest.Config.ArgsSource.ARGS  # all, or what was named


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    selected, left = config.stash[selection.SPLIT] = selection.split(items)
    if not runs_everything(config):
        items[:] = selected
        config.hook.pytest_deselected(items=left)


def pytest_collection() -> None:
    gc.disable()  # thousands of cases are made and live until the end: the collector need not look at them again and again


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> Iterator[None]:
    yield  # the summary of pytest's own first: this stands below it
    if not runs_everything(config):
        terminalreporter.write_line("This was a selection of the cases of every test. All of them: pytest --all", bold=True)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20240229)


@contextlib.contextmanager
def everything_is_large() -> Iterator[None]:
    """Arrays of a few entries take the paths that the engine keeps for large ones."""
    with pytest.MonkeyPatch.context() as patch:
        for module, size in (("readings", 0), ("arrays", 4)):  # when to work in slabs; how large they are
            patch.setattr(importlib.import_module(f"tinygrad_norm.engine.{module}"), "SLAB", size)
            patch.setattr(importlib.import_module(f"tinygrad_norm.engine.{module}"), "SMALL", 0)
        yield


@pytest.fixture(params=["small", "large"])
def any_size(request: pytest.FixtureRequest) -> Iterator[None]:
    """The test runs twice: arrays count as small, and as large."""
    with everything_is_large() if request.param == "large" else contextlib.nullcontext():
        yield
