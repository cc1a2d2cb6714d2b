"""A schedule in Triton: a program for each row, which holds the row at once; sums over rows are added atomically.

The file stands alone with PyTorch and Triton. Beside the kernels it has the same functions over whole tensors: they serve where
there is no GPU, and when it is differentiated again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..derive.tree import Call, Letter, Node, walk
from .errors import KernelError
from .modules import about, torch_parts
from .parts import Between, Loop, Schedule, sum_of_target
from .program import Program
from .words import Words

_FUNCTIONS = {
    "sigmoid": "tl.sigmoid({0})",
    "tanh": "(2 * tl.sigmoid(2 * ({0})) - 1)",
    "softplus": "(tl.maximum({0}, 0.0) + tl.log(1 + tl.exp(-tl.abs({0}))))",
    "sign": "tl.where({0} > 0, 1.0, tl.where({0} < 0, -1.0, 0.0))",
    "max": "tl.maximum({0}, {1})",
    "min": "tl.minimum({0}, {1})",
    "pow": "tl.exp(tl.log({0}) * ({1}))",
}


class Triton(Words):
    """One kernel."""

    reserved = ("tl", "triton", "torch", "forward", "backward", "row", "mask", "grid")

    def __init__(self, schedule: Schedule) -> None:
        super().__init__(schedule)
        self.rows = (*schedule.rows, *([schedule.lane] if schedule.lane else []))
        for part in schedule.parts:
            if isinstance(part, Loop):
                inner = {a for a in part.axes if a not in self.rows}
                for r in part.sums:
                    if set(r.letter.axes) & inner or not inner <= {*r.over}:
                        raise KernelError(
                            f"kernel: {schedule.program.title}: no Triton text: {r.letter.name} is a statistic along an axis of the "
                            f"row, {'·'.join(a for a in inner if a in r.letter.axes) or '·'.join(inner)}."
                        )
        self.loaded: dict[tuple[str, tuple[str, ...]], str] = {}
        self.here: tuple[str, ...] = ()
        self.counts: dict[tuple[str, ...], int] = {}

    # Words ------------------------------------------------------------------------------------------------------

    def number(self, n: Any) -> str:
        return repr(float(n))

    def size(self, axis: str) -> str:
        return self.size_of[axis]

    def function(self, name: str, arguments: list[str]) -> str:
        return _FUNCTIONS.get(name, f"tl.{name}({{0}})").format(*arguments)

    def root(self, inside: Node) -> str:
        plain = not any(isinstance(n, Letter) for n in walk(inside))  # a size is an integer
        return f"tl.sqrt({self(inside)}{' * 1.0' if plain else ''})"

    def choice(self, condition: str, yes: str, no: str) -> str:
        return f"tl.where({condition}, {yes}, {no})"

    def place_of(self, at: str) -> str:
        return f"({at} * 1.0)"

    def both(self, conditions: list[str]) -> str:
        return " & ".join(f"({c})" for c in conditions)

    def letter(self, name: str) -> str:
        if name.startswith("place "):
            return super().letter(name)
        if name in self.given and name not in self.inside:
            return self.loaded[name, self._axes(self.given[name].axes)]
        return self.names[name]

    def _axes(self, axes: Sequence[str]) -> tuple[str, ...]:
        """Which loop an array is loaded for: () where it varies along rows only."""
        return self.here if any(a not in self.rows for a in axes) else ()

    def place(self, axes: Sequence[str]) -> str:
        text = ""
        for a in axes:
            text = f"({text}) * {self.size_of[a]} + {self.at_of[a]}" if text else self.at_of[a]
        return text or "0"

    # The kernel -------------------------------------------------------------------------------------------------

    def text(self, name: str) -> str:
        s = self.s
        arrays = [f"{a.name}_at" for a in (*s.reads, *s.writes)]
        numbers = [n for _, n, _ in s.numbers]
        self.loops = self._loops()
        blocks = [f"BLOCK{k or ''}: tl.constexpr" for k in range(len(self.loops))]
        sizes = [self.size_of[a] for a in self._sized()]
        self.put(f"@triton.jit\ndef {name}({', '.join([*arrays, *numbers, *sizes, *blocks])}):")
        self.depth = 1
        self._coordinates("tl.program_id(0)", self.rows)
        for k, axes in enumerate(self.loops):
            at, count = f"j{k or ''}", " * ".join(self.size_of[a] for a in axes)
            self.put(f"{at} = tl.arange(0, BLOCK{k or ''})")
            self.put(f"mask{k or ''} = {at} < {count}")
            self._coordinates(at, axes)
        done: set[str] = set()
        for part in s.parts:
            self.here = tuple(a for a in part.axes if a not in self.rows) if isinstance(part, Loop) else ()
            mask = f"mask{self.loops.index(self.here) or ''}" if self.here else ""
            self._part(part, mask, done)
        return "\n".join(self.lines)

    def _sized(self) -> list[str]:
        found = {a for array in (*self.s.reads, *self.s.writes) for a in array.axes}
        return [a for a in self.s.program.axes if a in found]

    def _loops(self) -> list[tuple[str, ...]]:
        found = [tuple(a for a in p.axes if a not in self.rows) for p in self.s.parts if isinstance(p, Loop)]
        return [axes for axes in dict.fromkeys(found) if axes]

    def _coordinates(self, start: str, axes: Sequence[str]) -> None:
        """The place along each axis, of a place along all of them together."""
        rest = start
        for k, a in enumerate(reversed(axes)):
            last = k == len(axes) - 1
            self.put(f"{self.at_of[a]} = {rest}" + ("" if last else f" % {self.size_of[a]}"))
            rest = f"({rest}) // {self.size_of[a]}" if "(" in rest or "//" in rest else f"{rest} // {self.size_of[a]}"

    def _load(self, trees: Sequence[Node], mask: str) -> None:
        for n in (n for tree in trees for n in walk(tree)):
            if isinstance(n, Letter) and n.name in self.given:
                array = self.given[n.name]
                key = (n.name, self._axes(array.axes))
                if key not in self.loaded:
                    name = f"{array.name}_" if not self.loaded.get((n.name, ())) else f"{array.name}__"
                    while name in self.loaded.values():
                        name += "_"
                    self.loaded[key] = name
                    held = f", mask={mask}, other=0.0" if key[1] and mask else ""
                    self.put(f"{name} = tl.load({array.name}_at + {self.place(array.axes)}{held}).to(tl.float32)")

    def _part(self, part: Loop | Between, mask: str, done: set[str]) -> None:
        sums = part.sums if isinstance(part, Loop) else ()
        insides = [sum_of_target(t, self.s.program.steps).inside for t in part.added]
        self._load(
            [*(d.expression for d in part.values), *(r.inside for r in sums), *insides, *(t.expression for t in part.stores)],
            mask,
        )
        for d in part.values:
            if d.letter.name not in done:
                done.add(d.letter.name)
                self.put(f"{self.names[d.letter.name]} = {self(d.expression)}")
        for r in sums:
            empty = "0.0" if r.function == "sum" else "-float('inf')"
            body = f"tl.where({mask}, {self(r.inside)}, {empty})" if mask else self(r.inside)
            self.put(f"{self.names[r.letter.name]} = tl.{r.function}({body}, 0)")
        for t, inside in zip(part.added, insides):
            body, held = self(inside), f", mask={mask}" if mask else ""
            if self.here and not set(self.here) & set(t.array.axes):
                body, held = f"tl.sum(tl.where({mask}, {body}, 0.0), 0)", ""
            elif self.here and not set(self.here) <= set(t.array.axes):
                body = f"tl.where({mask}, {body}, 0.0)"
            self.put(f"tl.atomic_add({t.array.name}_at + {self.place(t.array.axes)}, {body}{held})")
        for t in part.stores:
            held = f", mask={mask}" if mask else ""
            self.put(f"tl.store({t.array.name}_at + {self.place(t.array.axes)}, {self(t.expression)}{held})")


def source(program: Program, forward: Schedule, backward: Schedule | None) -> str:
    """A file with both kernels, an ``autograd.Function`` around them, and a test."""
    if backward is None:
        raise KernelError(f"kernel: {program.title} has no gradient: there is nothing to write in Triton.")
    for s in (forward, backward):
        if any(isinstance(n, Call) and n.function == "erf" for part in s.parts for n in _nodes(part)):
            raise KernelError(f"kernel: {program.title}: no Triton text: erf.")
    f, b = Triton(forward), Triton(backward)
    texts = [f.text("forward_kernel"), b.text("backward_kernel")]
    parts = torch_parts(program, (_launch(f, "forward", program), _launch(b, "backward", program)))
    head = about(
        program,
        "PyTorch and Triton",
        "A program for each row holds the row at once; what is summed over rows is added atomically.",
    )
    return (
        head
        + "\nimport math\nimport os\n\nimport torch\nimport triton\nimport triton.language as tl\n\n\n"
        + "\n\n\n".join([*texts, *parts])
        + "\n"
    )


def _nodes(part: Loop | Between) -> list[Node]:
    trees = [d.expression for d in part.values] + ([r.inside for r in part.sums] if isinstance(part, Loop) else [])
    return [n for t in trees for n in walk(t)]


def _launch(writer: Triton, which: str, program: Program) -> str:
    """A function of tensors that runs a kernel."""
    from .whole import TORCH, Functions

    s, made = writer.s, Functions(program, TORCH)
    saved = [a.name for a in forward_saved(program)]
    first = ["dy", "y", "saved"] if which == "backward" else []
    lines = [f"def {which}_on_gpu({made.signature(*first)}):"]
    given = [program.dy, *program.inputs] if which == "backward" else list(program.inputs)
    known = set(program.sizes)
    for array in sorted(given, key=lambda a: -len(a.axes)):
        for k, dim in enumerate(array.layout):
            new = [a for a in dim if a not in known]
            if len(new) == 1:
                rest = "".join(f" // {made.sizes[a]}" for a in dim if a != new[0])
                lines.append(f"    {made.sizes[new[0]]} = {array.name}.shape[{k}]{rest}")
                known.update(dim)
    if saved and which == "backward":
        lines.append(f"    {', '.join(saved)}{',' if len(saved) == 1 else ''} = saved")
    added = {t.array.name for t in s.added}
    main = program.inputs[0].name
    for a in s.writes:
        shape = ", ".join("*".join(made.sizes[x] for x in dim) or "1" for dim in a.layout)
        shape = f"({shape}{',' if len(a.layout) == 1 else ''})" if a.layout else "()"
        make = "zeros" if a.name in added else "empty"
        kind = f"{main}.dtype" if a.role == "output" and a.name not in added else "torch.float32"
        lines.append(f"    {a.name} = torch.{make}({shape}, dtype={kind}, device={main}.device)")
    arrays = [f"{a.name}.contiguous()" if a in s.reads else a.name for a in (*s.reads, *s.writes)]
    numbers = [n for _, n, _ in s.numbers]
    sizes = [made.sizes[a] for a in writer._sized()]
    blocks = [
        f"BLOCK{k or ''}=triton.next_power_of_2({' * '.join(made.sizes[a] for a in axes)})" for k, axes in enumerate(writer.loops)
    ]
    grid = " * ".join(made.sizes[a] for a in writer.rows) or "1"
    lines.append(f"    {which}_kernel[({grid},)]({', '.join([*arrays, *numbers, *sizes, *blocks])})")
    if which == "forward":
        y, *others = (a.name for a in s.writes)
        lines.append(f"    return {y}.to({main}.dtype), ({', '.join(others)}{',' if len(others) == 1 else ''})")
    else:
        found = [f"{a.name}.to({_of(program, a.name)}.dtype)" for a in s.writes]
        lines.append(f"    return {', '.join(found)}{',' if len(found) == 1 else ''}")
    return "\n".join(lines)


def _of(program: Program, gradient: str) -> str:
    letter = next(t.array.letter for t in program.gradients.values() if t.array.name == gradient)
    return next(a.name for a in program.inputs if a.letter == letter[1:])


def forward_saved(program: Program) -> list[Any]:
    """The arrays that the forward leaves for the way back."""
    from .schedule import saved_by

    return [t.array for t in saved_by(program)]
