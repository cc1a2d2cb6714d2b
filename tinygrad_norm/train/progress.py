"""The bar: how far, the loss, how well, and the time left. On a terminal only, and on its error stream."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any


class Silent:
    """No bar."""

    def __enter__(self) -> Silent:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def show(self, step: int, loss: float, measured: str) -> None:
        """The present step, its loss, and in words how well the network does."""


class Bar(Silent):
    """Rich's."""

    def __init__(self, name: str, total: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self._bar: Any = Progress(
            TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(),
            TextColumn("loss {task.fields[loss]}  {task.fields[measured]}", markup=False), TimeRemainingColumn(),
            console=Console(stderr=True), transient=True, refresh_per_second=4,
        )  # fmt: skip
        self._task = self._bar.add_task(name or "training", total=total, loss="", measured="")

    def __enter__(self) -> Bar:
        self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.stop()

    def show(self, step: int, loss: float, measured: str) -> None:
        self._bar.update(self._task, completed=step, loss=f"{loss:.4f}", measured=measured)


def bar(wanted: bool, name: str, total: int) -> AbstractContextManager[Any]:
    """One where it is wanted and can be seen."""
    import sys

    return Bar(name, total) if wanted and sys.stderr is not None and sys.stderr.isatty() else Silent()
