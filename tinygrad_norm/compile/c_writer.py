"""A schedule in C that stands alone: C99, no library but libm, and a test of its own under ``-DTEST``.

cc -O3 -march=native -fno-math-errno -fno-trapping-math -fopenmp-simd -shared -fPIC layer_norm.c -o layer_norm.so -lm
cc -O3 -fopenmp-simd -DTEST layer_norm.c -o test -lm && ./test
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .lesson import lesson
from .loops import Loops
from .numba_writer import sizes
from .parts import Schedule
from .program import Array
from .vector import C as FUNCTIONS

_HEAD = """/* {title}: made from its derived formula by tinygrad_norm.

{lesson}

Arrays lie row by row. ``start`` and ``stop`` are of the outermost axis of rows; what is added to must be 0 before. The result says
whether somewhere the formula does not hold: a statistic out of range.

    cc -O3 -march=native -fno-math-errno -fno-trapping-math -fopenmp-simd -shared -fPIC {name}.c -o {name}.so -lm
    cc -O3 -fopenmp-simd -DTEST {name}.c -o test -lm && ./test
*/
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef {real} real;
#define LEAST ((real){least!r})
#define MOST ((real){most!r})
enum {{ BLOCK = 256, CHUNK = 4096, LANES = 128 }};
#define MIN(a, b) ((a) < (b) ? (a) : (b))
"""


class C(Loops):
    """The same loops with pointers; sums are told to run in any order, nothing else is."""

    reserved = (
        "real", "start", "stop", "odd", "int", "long", "float", "double", "forward", "backward", "LEAST", "MOST", "BLOCK", "CHUNK",
        "LANES", "MIN", "for", "if", "else", "while", "do", "const", "static", "inline", "return", "malloc", "free", "exp", "log",
        "sqrt", "pow", "tanh", "erf", "abs", "y0", "y1", "yn", "j0", "j1", "jn", "gamma", "signed", "char", "short", "void",
    )  # fmt: skip
    lowest = "-INFINITY"

    def __init__(self, schedule: Schedule, dtype: str) -> None:
        super().__init__(schedule)
        self.suffix = "f" if dtype == "float32" else ""
        self.made: list[str] = []

    def text(self) -> str:
        s = self.s
        added = {t.array.name for t in s.added}
        arguments = [f"const real *restrict {a.name}" for a in s.reads]
        arguments += [f"{'double' if a.name in added else 'real'} *restrict {a.name}" for a in s.writes]
        arguments += [f"real {n}" for _, n, _ in s.numbers] + [f"long {self.size_of[a]}" for a in sizes(s)]
        self.lines.append(f"int {s.name}(long start, long stop, {', '.join(arguments)}) {{")
        self.depth = 1
        self.put("int odd = 0;")
        self.body()
        for name in self.made:
            self.put(f"free({name});")
        self.put("return odd;")
        self.lines.append("}")
        return "\n".join(self.lines)

    def number(self, n: Any) -> str:
        return f"{float(n)!r}{self.suffix}"

    def size(self, axis: str) -> str:
        return f"(real){self.size_of[axis]}"

    def function(self, name: str, arguments: list[str]) -> str:
        if name in FUNCTIONS:
            return f"{name}_({', '.join(arguments)})"
        return f"{ {'abs': 'fabs'}.get(name, name) }{self.suffix}({', '.join(arguments)})"

    def choice(self, condition: str, yes: str, no: str) -> str:
        return f"({condition} ? {yes} : {no})"

    def place_of(self, at: str) -> str:
        return f"(real)({at})"

    def both(self, conditions: list[str]) -> str:
        return " && ".join(conditions)

    def _flat(self, axes: Sequence[str], at: Sequence[str], width: Sequence[str]) -> str:
        text = ""
        for place, n in zip(at, width):
            text = f"({text}) * {n} + {place}" if " " in text else f"{text} * {n} + {place}" if text else place
        return text or "0"

    def entry(self, array: str, axes: Sequence[str]) -> str:
        return f"{array}[{self._flat(axes, [self.at_of[a] for a in axes], [self.size_of[a] for a in axes])}]"

    def local(self, array: str, axes: Sequence[str]) -> str:
        at = [f"({self.at_of[a]} - {self.at_of[a]}0)" if a == self.s.lane else self.at_of[a] for a in axes]
        return f"{array}[{self._flat(axes, at, [self._width(a) for a in axes])}]"

    def _width(self, a: str) -> str:
        return "LANES" if a == self.s.lane else self.size_of[a]

    def part_entry(self, name: str, axes: Sequence[str]) -> str:
        return self.entry(name, axes)

    def open(self, at: str, start: str, stop: str, step: str = "") -> None:
        self.put(f"for (long {at} = {start}; {at} < {stop}; {f'{at} += {step}' if step else f'{at}++'}) {{")

    def close(self) -> None:
        self.put("}")

    def let(self, name: str, value: str) -> None:
        self.put(f"const real {name} = {value};")

    def let_index(self, name: str, value: str) -> None:
        self.put(f"const long {name} = {value};")

    def variable(self, name: str, value: str, wide: bool = False) -> None:
        self.put(f"{'double' if wide else 'real'} {name} = {value};")

    def set(self, place: str, value: str) -> None:
        self.put(f"{place} = {value};")

    def add(self, place: str, value: str) -> None:
        self.put(f"{place} += {value};")

    def make(self, name: str, axes: Sequence[str], wide: bool = False) -> None:
        kind = "double" if wide else "real"
        self.put(f"{kind} *restrict {name} = malloc(sizeof({kind}) * {' * '.join(self._width(a) for a in axes)});")
        self.made.append(name)

    def make_part(self, name: str, axes: Sequence[str]) -> None:
        count = " * ".join(self.size_of[a] for a in axes) or "1"
        self.put(f"real *restrict {name} = malloc(sizeof(real) * {count});")
        self.made.append(name)

    def clear(self, name: str, axes: Sequence[str], value: str) -> None:
        self.put(f"for (long k = 0; k < {' * '.join(self._width(a) for a in axes)}; k++) {name}[k] = {value};")

    def clear_part(self, name: str, axes: Sequence[str]) -> None:
        count = " * ".join(self.size_of[a] for a in axes) or "1"
        self.put(f"for (long k = 0; k < {count}; k++) {name}[k] = {self.number(0)};")

    def narrow(self, value: str) -> str:
        return f"(real){value}"

    def larger(self, a: str, b: str) -> str:
        return f"{b} > {a} ? {b} : {a}"

    def ask(self, condition: str) -> None:
        self.put(f"odd |= !({condition});")

    def least(self, a: str, b: str) -> str:
        return f"MIN({a}, {b})"

    def remark(self, text: str) -> None:
        self.put(f"/* {text} */")

    def hint(self, sums: Sequence[str]) -> None:
        self.put(f"#pragma omp simd reduction(+: {', '.join(sums)})")


def source(forward: Schedule, backward: Schedule | None, dtype: str, least: float, most: float) -> str:
    """A file with ``forward`` and ``backward`` and a test."""
    both = [s for s in (forward, backward) if s is not None]
    texts = [C(s, dtype).text() for s in both]
    about = "\n\n".join(lesson(s) for s in both)
    real = "float" if dtype == "float32" else "double"
    program = forward.program
    head = _HEAD.format(title=program.title, lesson=about, name=program.name, real=real, least=least, most=most)
    used = {name for name in FUNCTIONS if any(f"{name}_(" in t for t in texts)}
    if used & {"tanh", "sigmoid", "softplus"}:
        used.add("exp")
    helpers = [FUNCTIONS[n][dtype] for n in FUNCTIONS if n in used]
    parts = [head.rstrip(), *helpers, *texts]
    if backward is not None:
        parts.append(_test(forward, backward))
    return "\n\n".join(parts) + "\n"


def _test(f: Schedule, b: Schedule) -> str:
    """A main that holds the gradients to differences of the value, along a random direction."""
    program = f.program
    order = [a for a in program.axes if a in {x for s in (f, b) for x in sizes(s)}]
    length = {a: program.sizes.get(a, (5, 8, 3, 4, 6)[k % 5]) for k, a in enumerate(order)}

    def count(a: Array) -> int:
        n = 1
        for x in a.axes:
            n *= length[x]
        return n

    arrays: dict[str, Array] = {}
    for a in (*f.reads, *f.writes, *b.reads, *b.writes):
        arrays.setdefault(a.name, a)
    added = {t.array.name for t in (*f.added, *b.added)}
    lines = ["#ifdef TEST", "#include <stdio.h>"]
    lines.append("static real draw(void) { return (real)(rand() / (RAND_MAX + 1.0) * 2 - 1); }")
    for a in arrays.values():
        lines.append(f"static {'double' if a.name in added else 'real'} {a.name}_[{count(a)}];")
    values = {n: v for _, n, v in program.numbers}

    def call(s: Schedule) -> str:
        outer = s.rows[0] if s.rows else s.lane
        given = [f"{a.name}_" for a in (*s.reads, *s.writes)] + [repr(values[n]) for _, n, _ in s.numbers]
        given += [str(length[a]) for a in sizes(s)]
        return f"{s.name}(0, {length[outer] if outer else 1}, {', '.join(given)})"

    y = program.y.array.name
    lines += ["static double value(void) {"]
    lines += [f"    memset({a.name}_, 0, sizeof {a.name}_);" for a in f.writes if a.name in added]
    lines += [f"    {call(f)};", "    double s = 0;"]
    lines += [f"    for (long k = 0; k < {count(program.y.array)}; k++) s += (double){y}_[k] * dy_[k];", "    return s;", "}"]
    lines += ["int main(void) {", "    double worst = 0;"]
    given = [a for a in arrays.values() if a.role in ("input", "constant", "index", "cotangent")]
    if "dy" not in [a.name for a in given]:
        given.append(program.dy)
        lines.insert(3, f"static real dy_[{count(program.dy)}];")
    lines += [
        f"    for (long k = 0; k < {count(a)}; k++) {a.name}_[k] = {f'rand() % {length[a.along]}' if a.along else 'draw()'};"
        for a in given
    ]
    lines += ["    value();", f"    {call(b)};"]
    names = {
        t.array.name: next(x.name for x in program.inputs if x.letter == t.array.letter[1:]) for t in program.gradients.values()
    }
    read = {a.name for a in (*f.reads, *b.reads)}
    for gradient, name in names.items():
        if name not in read or (program.held and name == program.inputs[0].name):
            continue
        n = count(arrays[gradient])
        lines += [
            "    {", f"        real v[{n}], kept[{n}]; double want = 0, h = sizeof(real) == 4 ? 3e-3 : 1e-6;",
            f"        for (long k = 0; k < {n}; k++) {{ v[k] = draw(); kept[k] = {name}_[k]; want += (double){gradient}_[k] * v[k]; }}",
            f"        for (long k = 0; k < {n}; k++) {name}_[k] = kept[k] + (real)h * v[k];",
            "        double more = value();",
            f"        for (long k = 0; k < {n}; k++) {name}_[k] = kept[k] - (real)h * v[k];",
            "        double less = value();",
            f"        for (long k = 0; k < {n}; k++) {name}_[k] = kept[k];",
            "        double off = fabs((more - less) / (2 * h) - want) / (1 + fabs(want));",
            f'        printf("{gradient}: %.3g by differences, off by %.1e\\n", want, off);',
            "        if (off > worst || off != off) worst = off;",
            "    }",
        ]  # fmt: skip
    lines += ["    return !(worst < 2e-2);", "}", "#endif"]
    return "\n".join(lines)
