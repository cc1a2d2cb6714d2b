"""A schedule in words and letters."""

from __future__ import annotations

from ..derive.writer import Text
from .parts import Between, Loop, Schedule, sum_of_target
from .program import Target


def lesson(s: Schedule) -> str:
    """The schedule in words and letters."""
    hand = Text(s.program.axes, ())
    row = "·".join((*s.rows, *([s.lane] if s.lane else [])))
    head = f"{s.name}: " + (f"for each {row}" if row else "all in one")
    inner = [p for p in s.parts if isinstance(p, Loop)]
    head += f", {len(inner)} pass{'es' if len(inner) != 1 else ''}" if inner else ""
    lines = [head]
    if s.lane:
        lines.append(f"  {s.lane} lies closest in memory and nothing is summed along it: its rows are taken side by side")
    count = 0
    for p in s.parts:
        if isinstance(p, Between):
            said = [hand.equation(d.letter.name, d.expression) for d in p.values]
            lines += ["  then    " + "   ".join(said)] if said else []
            lines += [f"  given   {hand(c)}; elsewhere the record is asked" for c in p.checked]
            lines += [f"  written {_written(t, hand)}" for t in p.stores]
            lines += [f"  added   {_added(t, s, hand)}" for t in p.added]
            continue
        count += 1
        lines.append(f"  pass {count}  over {'·'.join(p.axes)}" + ("" if not p.read else f", with {', '.join(p.read)} as stored"))
        lines += [
            f"          {hand.equation(d.letter.name, d.expression)}" + ("   stored" if d.letter.name in p.kept else "")
            for d in p.values
        ]
        for r in p.sums:
            sign = "Σ" if r.function == "sum" else r.function
            lines.append(f"          {r.letter.name} = {sign}_{''.join(r.over)}({hand(r.inside)})")
        lines += [f"          {_added(t, s, hand)}" for t in p.added]
        lines += [f"          {_written(t, hand)}   written" for t in p.stores]
        lines += [f"          given {hand(c)}; elsewhere the record is asked" for c in p.checked]
    if s.saved:
        lines.append(f"  saved for the way back: {', '.join(a.letter for a in s.saved)}")
    return "\n".join(lines)


def _written(t: Target, hand: Text) -> str:
    said = hand(t.expression)
    return said if said == t.array.letter else f"{t.array.letter} = {said}"


def _added(t: Target, s: Schedule, hand: Text) -> str:
    return f"{t.array.letter} += {hand(sum_of_target(t, s.program.steps).inside)}   from row to row"
