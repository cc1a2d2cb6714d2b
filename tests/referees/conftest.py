"""The referees' summary: which of PyTorch's samples were tried on what, and why some were not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import pytest

from tests.conftest import everything_is_large


@contextmanager
def no_array_is_small() -> Iterator[None]:
    """Arrays of a few entries are worked on in slabs and by the kernels, as large ones are."""
    with everything_is_large(), pytest.MonkeyPatch.context() as patch:
        for module in ("arrays", "readings"):
            patch.setattr(import_module(f"tinygrad_norm.engine.{module}"), "SMALL", 0)
        yield


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """One line per entry of PyTorch's table that is ours. The numbers travel with the reports, so -n works too."""
    reports = [r for status in ("passed", "failed") for r in terminalreporter.stats.get(status, ())]
    rows = sorted(value for r in reports for key, value in r.user_properties if key == "opinfo" and r.when == "call")
    if not rows:
        return
    terminalreporter.section("PyTorch's sample inputs")
    unused = sum(sum(row[2].values()) for row in rows)
    for name, ran, skipped, *_ in rows:
        reasons = "; ".join(f"{n} {reason}" for reason, n in sorted(skipped.items()))
        terminalreporter.write_line(
            f"{name:<30} {ran:>4} ran" + (f", {sum(skipped.values())} skipped ({reasons})" if skipped else "")
        )
    terminalreporter.write_line(
        f"{len(rows)} of {rows[0][5]} entries are ours: {sum(row[1] for row in rows)} samples ran, {unused} skipped"
    )
    missed = sorted(set(rows[0][4]).difference(*(row[3] for row in rows)))
    terminalreporter.write_line(f"ops in no forward pass of these samples: {', '.join(missed) or 'none'}")
