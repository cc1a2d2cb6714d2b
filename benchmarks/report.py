"""From the rows of the benchmarks to text: tables and aims for the terminal, and for ``benchmarks/README.md``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from .aims import AIMS, Tables, found, ratio, told, word
from .layer_norm import SHAPES
from .peers import Row

PLACE = Path(__file__).parent
Found = Mapping[str, tuple[str, Tables]]  # which instructions → the machine in words, and what was measured there


def number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def columns(rows: Iterable[Row]) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row.figures))


def cell(row: Row, name: str) -> str:
    """The figure, and in brackets what the first contender's is in it."""
    if name not in row.figures:
        return "—"
    first = next(iter(row.figures))
    beside = ratio(row.figures, first, name)
    return number(row.figures[name]) + ("" if name == first or beside is None else f" ({beside:.2f})")


def lines(rows: Sequence[Row]) -> Iterator[str]:
    """A table for the terminal."""
    names = columns(rows)
    cells = [[row.case, row.unit, *(cell(row, name) for name in names)] for row in rows]
    head = ["", "", *names]
    widths = [max(len(line[i]) for line in [head, *cells]) for i in range(len(head))]
    for line in [head, *cells]:
        first, unit, *others = line
        yield "  ".join(
            [first.ljust(widths[0]), unit.ljust(widths[1]), *(c.rjust(w) for c, w in zip(others, widths[2:]))]
        ).rstrip()


def aims(tables: Tables) -> Iterator[str]:
    """Each aim whose benchmark was run, and whether it is reached."""
    counts: dict[str, int] = {}
    for aim in AIMS:
        values = found(aim, tables)
        if aim.benchmark in tables and values:
            said = word(aim, values.values())
            counts[said] = counts.get(said, 0) + 1
            figures = ", ".join(f"{value:.2f} ({setting})" for setting, value in values.items())
            yield f"  {said:<9} {told(aim)}: {figures}; at most {aim.most:g}"
    if counts:
        yield "  " + ", ".join(f"{n} {said}" for said, n in counts.items())


# The file beside the benchmarks ----------------------------------------------------------------------------


def _markdown(head: Sequence[str], body: Iterable[Sequence[str]]) -> Iterator[str]:
    for line in (head, ["---"] * len(head), *body):
        yield "| " + " | ".join(line) + " |"
    yield ""


def _both(rows: Sequence[Row], others: Sequence[Row], name: str) -> str:
    cells = [cell(row, name) for row in (*rows, *others)]
    return " / ".join(dict.fromkeys(cells))


def full(everything: Found, about: Mapping[str, str]) -> Iterator[str]:
    """All figures, of every processor setting: the aims first, then the tables."""
    settings = list(everything)
    yield "### The aims"
    yield ""
    body = []
    for aim in AIMS:
        line = [f"{aim.case}: {aim.ours} ÷ {aim.other}", f"{aim.most:g}"]
        for setting in settings:
            values = found(aim, everything[setting][1])
            line.append(f"{' / '.join(f'{v:.2f}' for v in values.values()) or '—'} {word(aim, values.values())}")
        body.append(line)
    yield from _markdown(["", "at most", *settings], body)
    for setting, (machine, tables) in everything.items():
        yield f"### Measured {setting}"
        yield ""
        yield f"{machine}."
        yield ""
        for benchmark, by_allocator in tables.items():
            kept = [list(rows) for rows in by_allocator.values()]
            names = columns(kept[0])
            yield f"**{benchmark}**: {about[benchmark]}"
            yield ""
            yield from _markdown(
                ["", "", *names],
                [
                    [rows[0].case, rows[0].unit, *(_both(rows[:1], rows[1:], name) for name in names)]
                    for rows in zip(*kept)
                ],
            )  # fmt: skip


def headline(everything: Found) -> str:
    """The figures in one line, for the README: of the two allocator settings the worse."""
    sizes = ["×".join(map(str, shape)) for shape in SHAPES]
    pairs = {
        "recorded ÷ PyTorch from primitives": ("recorded", "PyTorch primitives"),
        "analytic ÷ PyTorch's fused kernel": ("analytic", "PyTorch native"),
    }
    parts, processors = [], {machine.partition(",")[0] for machine, _ in everything.values()}
    for setting, (_, tables) in everything.items():
        texts = []
        for what, names in pairs.items():
            worst = dict.fromkeys(sizes, 0.0)
            for row in (row for rows in tables.get("layer_norm", {}).values() for row in rows):
                worst[row.case] = max(worst[row.case], ratio(row.figures, *names) or 0.0)
            texts.append(f"{what} {', '.join(f'{v:.2f}' if v else '—' for v in worst.values())}")
        parts.append(f"{setting}: {'; '.join(texts)}")
    return f"LayerNorm forward and backward, one core of {', '.join(processors)}, at {', '.join(sizes)}: {' · '.join(parts)}."


def put(path: Path, mark: str, text: str) -> None:
    """``text`` between the two marks of this name in the file."""
    old = path.read_text(encoding="utf-8")
    start, end = f"<!-- {mark} -->\n", f"<!-- end of {mark} -->"
    if start not in old or end not in old:
        raise SystemExit(f"{path} has no place for the {mark}: a line {start.strip()!r} and, below it, {end!r}.")
    before, after = old.index(start) + len(start), old.index(end)
    beside = path.with_name(path.name + ".new")
    beside.write_text(old[:before] + text.rstrip("\n") + "\n" + old[after:], encoding="utf-8")
    beside.replace(path)


def write(everything: Found, about: Mapping[str, str]) -> None:
    """The figures in full beside the benchmarks, and their one line in the README."""
    put(PLACE / "README.md", "figures", "\n" + "\n".join(full(everything, about)))
    put(PLACE.parent / "README.md", "speed", headline(everything))
