"""What a run of training leaves behind."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from ..graph.notebook import bundle
from ..graph.table import harmless, number, table, to_json
from .arguments import several
from .divergence import Divergence


@dataclass
class History:
    """The record of a run; ``print`` it for a table.

    name:            what the table calls it
    measure:         "accuracy", "error" (the mean square), or None where a loss says neither
    losses:          one for each step
    trained, tested: the measure after each epoch: of the epoch's own batches as they came, and on the data held out
    running, batch:  the measure on the data held out at the end, in inference; and, for networks with running statistics, with
                     those of each batch in their place
    first, last:     the length of the gradient at the first and the last step, by layer, before it is clipped
    seconds:         how long it took, in all its parts
    diverged:        where it went beyond all numbers, if it did
    """

    name: str = ""
    measure: str | None = None
    epochs: int = 0
    losses: list[float] = field(default_factory=list)
    trained: list[float] = field(default_factory=list)
    tested: list[float] = field(default_factory=list)
    running: float | None = None
    batch: float | None = None
    first: dict[str, float] = field(default_factory=dict)
    last: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    diverged: Divergence | None = None

    @property
    def steps(self) -> int:
        """How many were taken."""
        return len(self.losses)

    def named(self, name: str) -> History:
        """The same under another name."""
        return replace(self, name=name)

    def state_dict(self) -> dict[str, Any]:
        """As numbers, words, lists and dicts, which ``tn.save`` writes."""
        return {**asdict(self), "diverged": None if self.diverged is None else self.diverged._asdict()}

    @classmethod
    def at(cls, state: dict[str, Any]) -> History:
        """From ``state_dict()``."""
        diverged = state.get("diverged")
        return cls(**{**state, "diverged": None if diverged is None else Divergence(**diverged)})

    def to_json(self, ascii: bool = False) -> str:
        """All of it as JSON; what is not finite is null."""
        return to_json(self.state_dict(), ascii)

    def text(self, ascii: bool = False) -> str:
        """The table, the gradients by layer, and where it diverged."""
        return overview([self], ascii)

    def __str__(self) -> str:
        return self.text()

    def __repr__(self) -> str:
        end = f"loss {number(self.losses[-1])}" if self.losses and math.isfinite(self.losses[-1]) else "no loss"
        return f"History({self.name or 'a run'}, {self.steps} steps, {end})"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return bundle("a history", self.__str__, "text", self.text)


def _measured(measure: str | None, value: float | None) -> str:
    if value is None:
        return ""
    return f"{100 * value:.2f} %" if measure == "accuracy" else _plain(value)


def _plain(value: float) -> str:
    return number(value) if math.isfinite(value) else str(value)


def overview(runs: Sequence[History], ascii: bool = False) -> str:
    """One table of several runs, then the gradients by layer at the first and the last step, and what diverged."""
    runs = several("overview", runs, History)
    measures = {r.measure for r in runs} - {None}
    word = next(iter(measures)) if len(measures) == 1 else "measure"
    columns: list[tuple[str, list[str]]] = [
        ("", [harmless(r.name) for r in runs]),
        ("steps", [str(r.steps) for r in runs]),
        ("first loss", [_plain(r.losses[0]) if r.losses else "" for r in runs]),
        ("last loss", [_plain(r.losses[-1]) if r.losses else "" for r in runs]),
        (f"test {word}", [_measured(r.measure, r.running) for r in runs]),
        ("by batch", [_measured(r.measure, r.batch) for r in runs]),
        ("seconds", [f"{r.seconds:.1f}" for r in runs]),
    ]
    shown = [c for c in columns if any(c[1])]
    lines = [table([c[0] for c in shown], list(zip(*(c[1] for c in shown))), ascii=ascii)]
    for run in runs:
        if run.first:
            title = harmless(f"‖gradient‖ by layer{f', {run.name}' if run.name and len(runs) > 1 else ''}")
            rows = [(harmless(k), _plain(v), _plain(run.last.get(k, math.nan))) for k, v in run.first.items()]
            lines += ["", table((title, "first step", f"step {run.steps}"), rows, ascii=ascii)]
    lines += ["", *(harmless(f"{r.name}: {r.diverged}" if r.name else str(r.diverged)) for r in runs if r.diverged)]
    return "\n".join(lines).rstrip("\n")
