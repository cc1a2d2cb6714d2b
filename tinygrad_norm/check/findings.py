"""What ``check_grads`` answers with: one finding for each order, mode and oracle."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from ..engine import TinygradNormError
from ..graph.notebook import bundle
from ..graph.table import number, table


class GradientMismatchError(TinygradNormError, AssertionError):
    """A gradient that an oracle contradicts. The message is the table."""


@dataclass(frozen=True)
class Finding:
    """One order, one mode, one oracle.

    order:     which derivative
    mode:      "reverse" (the gradient's numbers), "recorded" (the same rules, over tensors), "forward", "both"
    oracle:    who was asked
    compared:  how much of the derivative
    worst:     the argument or output with the largest difference, measured by what is allowed
    max_abs:   that difference
    allowed:   what rounding, and the oracle's own error, can explain
    """

    order: int
    mode: str
    oracle: str
    compared: str
    worst: str
    max_abs: float
    allowed: float

    @property
    def ok(self) -> bool:
        return bool(self.max_abs <= self.allowed < math.inf)  # False for nan, and where the oracle knew nothing


@dataclass(frozen=True)
class GradientCheck:
    """What ``check_grads`` found. Print it; ask ``.ok``.

    notes:  what could not be compared, and why
    """

    function: str
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing contradicts the engine."""
        return all(f.ok for f in self.findings)

    @property
    def wrong(self) -> tuple[Finding, ...]:
        return tuple(f for f in self.findings if not f.ok)

    @property
    def verdict(self) -> str:
        if self.ok:
            return f"agree: {self.function}, {len(self.findings)} comparisons up to order {max(f.order for f in self.findings)}"
        first = min(self.wrong, key=lambda f: math.isinf(f.allowed))  # a contradiction before a doubt
        if math.isinf(first.allowed):
            return (
                f"UNDECIDED: {self.function}, at order {first.order} {first.worst} jumps when the argument moves by one rounding: "
                "a kink. Ask beside it."
            )
        return (
            f"DISAGREE: {self.function}, first at order {first.order}, {first.mode} against {first.oracle}: {first.worst} is off by "
            f"{number(first.max_abs)}, rounding explains {number(first.allowed)}"
        )

    def table(self, ascii: bool = False) -> str:
        """Every comparison, a line each; with ``ascii`` everything is spelled out."""
        rows = [
            (
                str(f.order),
                f.mode,
                f.oracle,
                f.compared,
                f.worst,
                number(f.max_abs),
                number(f.allowed),
                "close" if f.ok else "undecided" if math.isinf(f.allowed) else "WRONG",
            )
            for f in self.findings
        ]
        return table(("order", "mode", "oracle", "compared", "worst", "max |Δ|", "allowed", ""), rows, ascii=ascii)

    def __str__(self) -> str:
        return "\n".join([self.table(), *(f"Note: {n}." for n in self.notes), self.verdict])

    def to_json(self) -> str:
        """Everything above as JSON; what is not a finite number is null."""
        import json

        findings = [{k: _finite(v) for k, v in asdict(f).items()} | {"ok": f.ok} for f in self.findings]
        return json.dumps(
            {"function": self.function, "ok": self.ok, "verdict": self.verdict, "findings": findings, "notes": list(self.notes)},
            ensure_ascii=False,
            indent=1,
        )

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return bundle("gradients", self.__str__, "text", self.__str__)


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
