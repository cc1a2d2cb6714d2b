"""What a schedule is made of: loops, and what stands between them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..derive.tree import Indicator, Letter
from .program import Array, Definition, Program, Reduction, Step, Target


@dataclass(frozen=True)
class Loop:
    """One loop over axes within a row, the last innermost.

    values:  what is defined for each entry; ``kept`` is stored for a later loop, ``read`` was by an earlier one
    sums:    computed by it; ``added``: sums over rows too, which it adds to
    stores:  the arrays that are written
    checked: conditions that each entry is asked
    """

    level: int
    axes: tuple[str, ...]
    values: tuple[Definition, ...] = ()
    kept: tuple[str, ...] = ()
    read: tuple[str, ...] = ()
    sums: tuple[Reduction, ...] = ()
    added: tuple[Target, ...] = ()
    stores: tuple[Target, ...] = ()
    checked: tuple[Indicator, ...] = ()


@dataclass(frozen=True)
class Between:
    """What is computed between loops: numbers of the row, or, along fewer axes than a row has, lines of numbers."""

    level: int
    values: tuple[Definition, ...]
    checked: tuple[Indicator, ...] = ()
    stores: tuple[Target, ...] = ()
    added: tuple[Target, ...] = ()


@dataclass(frozen=True)
class Schedule:
    """One pass over the rows.

    rows:     the axes of rows; ``lane``: the axis of rows that are taken side by side, or ""
    parts:    loops and what is between them, in order
    reads:    arrays, in order; ``writes``: arrays, those of ``added`` among them
    saved:    the arrays among ``writes`` that the way back reads
    program:  what it is a schedule of
    """

    name: str
    rows: tuple[str, ...]
    lane: str
    parts: tuple[Loop | Between, ...]
    reads: tuple[Array, ...]
    writes: tuple[Array, ...]
    added: tuple[Target, ...]
    saved: tuple[Array, ...]
    numbers: tuple[tuple[str, str, float], ...]
    program: Program = field(repr=False)

    @property
    def reductions(self) -> dict[str, Reduction]:
        return {r.letter.name: r for p in self.parts if isinstance(p, Loop) for r in p.sums}

    @property
    def inner(self) -> tuple[str, ...]:
        """The axes of all loops, outermost first."""
        found = {a for p in self.parts if isinstance(p, Loop) for a in p.axes}
        return tuple(a for a in order_of(self.program) if a in found)


def order_of(program: Program) -> tuple[str, ...]:
    """All axes, outermost first, as the main input lies in memory."""
    main = max(program.inputs, key=lambda a: (a.role == "input", len(a.axes)), default=program.dy)
    main = program.inputs[0] if len(program.inputs[0].axes) == len(main.axes) else main
    rest = [a for a in program.axes if a not in main.axes]
    if len(program.y.array.axes) > len(main.axes):
        main, rest = program.y.array, [a for a in program.axes if a not in program.y.array.axes]
    lead = [a for a in rest if program.axes.index(a) < min((program.axes.index(b) for b in main.axes), default=0)]
    return (*lead, *main.axes, *(a for a in rest if a not in lead))


def sum_of_target(t: Target, steps: Mapping[str, Step]) -> Reduction:
    assert isinstance(t.expression, Letter)
    found = steps[t.expression.name]
    assert isinstance(found, Reduction)
    return found
