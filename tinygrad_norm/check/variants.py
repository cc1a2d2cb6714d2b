"""What stands where a letter belongs: the same in less precision, of another index, a function of it, another that was saved."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations, permutations
from typing import Any

import numpy as np

from ..derive.formula import Call, Letter, Power, Product, Total
from ..engine.arrays import Array
from .answers import to_bfloat16
from .case import Case
from .fused import Fused
from .softmaxes import Variant, of_call, of_targets

SMALL = 400  # entries; of what is larger, no other order of the axes is tried
MOST = 64  # indices along an axis of which another one is read
_FACTORS = (0.9, 0.1, 0.99, 0.01, 0.999, 0.001, 0.5)  # of running statistics


def of_letter(case: Case, found: Fused, letter: Letter) -> Iterator[Variant]:
    """All that one letter is taken for."""
    value = placed(found, found.known[letter.name])
    yield from in_less(letter.name, value)
    yield from _of_a_product(found, letter, value)
    yield from _over_other_axes(found, letter)
    yield from _added_up(found, letter, value)
    yield from _of_another_index(found, letter, value)
    yield from _functions(found, letter, value)
    yield from _other_parameters(case, found, letter, value)
    yield from _along_another_axis(found, letter, value)
    yield from _rebuilt(case, found, letter, value)
    yield from of_targets(case, found, letter, value)
    yield from _of_repeated_rows(found, letter, value) if letter.kind == "parameter" else ()


def placed(found: Fused, value: Any) -> Array:
    """With an axis for each of the formula's."""
    a = np.asarray(value, np.float64)
    return a.reshape((1,) * (len(found.axes) - a.ndim) + a.shape)


def in_less(name: str, value: Array) -> Iterator[Variant]:
    """In the precisions that are in use."""
    with np.errstate(all="ignore"):
        yield f"{name} rounded to float16", value.astype(np.float16).astype(np.float64)
        yield f"{name} rounded to bfloat16", np.asarray(to_bfloat16(value), np.float64)
        yield f"{name} rounded to float32", value.astype(np.float32).astype(np.float64)


def _of_a_product(found: Fused, letter: Letter, value: Array) -> Iterator[Variant]:
    """What is computed first and kept: dy·γ rounded is another dy."""
    for line in found.formula.lines:
        e = line.expression
        if letter.kind == "cotangent" and line.kind == "abbreviation" and isinstance(e, Product) and letter in e.factors:
            whole = placed(found, found.known[line.letter.name])
            with np.errstate(all="ignore"):
                for words, a in in_less(found.hand(e), whole):
                    yield words, a / whole * value


def _over_other_axes(found: Fused, letter: Letter) -> Iterator[Variant]:
    """A statistic taken over other axes."""
    of = next((x.expression for x in found.formula.lines if x.letter == letter), None)
    if isinstance(of, Total) and of.function in ("sum", "mean"):
        for k in range(1, len(found.axes) + 1):
            for axes in combinations(found.axes, k):
                if axes != of.axes:
                    other = Total(of.inside, axes, of.function)
                    yield f"{letter.name} over {found.over(axes)}, not {found.over(of.axes)},", placed(found, found.at(other))


def of_another_place(found: Fused, letter: Letter, value: Array) -> Iterator[Variant]:
    """Of another index, the same for all, or along another axis."""
    yield from _of_another_index(found, letter, value)
    yield from _along_another_axis(found, letter, value)
    yield from _added_up(found, letter, value)


def _added_up(found: Fused, letter: Letter, value: Array) -> Iterator[Variant]:
    """One for all of an axis, where each index has its own."""
    dims = [[a for a in dim if a in letter.axes and found.sizes[a] > 1] for dim in dims_of(found)]
    dims = [dim for dim in dims if dim]
    for k in range(1, len(dims) + 1):
        for some in combinations(dims, k):
            axes = [a for dim in some for a in dim]
            along = tuple(found.axes.index(a) for a in axes)
            yield f"{letter.name} added up over {found.over(axes)}, one for all,", value.sum(along, keepdims=True)
            yield f"{letter.name} averaged over {found.over(axes)}, one for all,", value.mean(along, keepdims=True)


def dims_of(found: Fused) -> list[tuple[str, ...]]:
    """The main input's own axes: groups and the channels in them are one."""
    return [tuple(dim) for dim in dict(found.formula.layouts)[found.formula.main]]


# Indices --------------------------------------------------------------------------------------------------------------


def _of_another_index(found: Fused, letter: Letter, value: Array) -> Iterator[Variant]:
    for dim in dims_of(found):
        run = [a for a in dim if a in letter.axes]
        n = int(np.prod([found.sizes[a] for a in run]))
        if not run or not 1 < n <= MOST:
            continue
        at = [found.axes.index(a) for a in run]
        flat = np.moveaxis(value, at, range(len(at)))
        rest = flat.shape[len(at) :]
        flat = flat.reshape(n, *rest)
        where = found.over(tuple(run)) if len(run) > 1 or dim == tuple(run) else run[0]
        for words, index in maps(found, run, n):
            if np.array_equal(index, np.arange(n)):
                continue
            moved = flat[index].reshape([found.sizes[a] for a in run] + list(rest))
            yield f"{letter.name}[{words}] of {where}", np.moveaxis(moved, range(len(at)), at)


def maps(found: Fused, run: Sequence[str], n: int) -> Iterator[tuple[str, Array]]:
    i = np.arange(n)
    yield "0", 0 * i
    yield "n − 1", 0 * i + n - 1
    yield "i − 1", (i - 1) % n
    yield "i + 1", (i + 1) % n
    yield "i − 1, from 0 on", np.maximum(i - 1, 0)
    yield "i + 1, to the last", np.minimum(i + 1, n - 1)
    yield "n − 1 − i", n - 1 - i
    called = {found.sizes[a]: f" ({found.sizes[a]} = {name})" for a, name in zip(run, ("G", "C/G"))} if len(run) == 2 else {}
    for d in range(2, min(n, 17)):
        yield f"i // {d}{called.get(d, '')}", i // d
        yield f"i % {d}{called.get(d, '')}", i % d
        yield f"i − i % {d}{called.get(d, '')}, the first of each {d}", i - i % d
    if len(run) == 2:
        a, b = (found.sizes[r] for r in run)
        yield f"i % {a} · {b} + i // {a}, in the order ({run[1]}, {run[0]})", i % a * b + i // a
        yield f"i % {b} · {a} + i // {b}, in the order ({run[1]}, {run[0]})", i % b * a + i // b


def _along_another_axis(found: Fused, letter: Letter, value: Array) -> Iterator[Variant]:
    """Broadcast along an axis of the same length, and reshaped where it has to be transposed."""
    dims = dims_of(found)
    own = [dim for dim in dims if set(dim) & set(letter.axes)]
    if len(own) == 1 and set(own[0]) <= set(letter.axes):
        n = int(np.prod([found.sizes[a] for a in own[0]]))
        for dim in dims:
            if dim != own[0] and n > 1 and int(np.prod([found.sizes[a] for a in dim])) == n:
                shape = [found.sizes[a] if a in dim else 1 for a in found.axes]
                yield f"{letter.name} along {found.over(dim)}, not {found.over(own[0])},", value.reshape(shape)
    several = [dim for dim in dims if set(dim) <= set(letter.axes)]
    last = dims[len(dims) - len(several) :]
    sizes, mine = ([int(np.prod([found.sizes[a] for a in dim])) for dim in some] for some in (last, several))
    if 1 < len(several) < len(dims) and last != several and sizes == mine and len(own) == len(several):
        there, here = (found.over([a for dim in some for a in dim]) for some in (last, several))
        shape = [found.sizes[a] if any(a in dim for dim in last) else 1 for a in found.axes]
        yield f"{letter.name} along {there}, not {here},", value.reshape(shape)
    if (
        [a for dim in dims for a in dim] == list(found.axes)
        and set(letter.axes) == set(found.axes)
        and 2 <= len(dims) <= 4
        and value.size <= SMALL
    ):
        yield from misread(found, letter.name, value)


def misread(found: Fused, name: str, value: Array) -> Iterator[Variant]:
    """An array of the whole input's size with its axes in another order, reshaped instead of transposed."""
    dims = dims_of(found)
    sizes = [int(np.prod([found.sizes[a] for a in dim])) for dim in dims]
    told: list[Array] = [value]
    for p in permutations(range(len(dims))):
        shape = tuple(sizes[k] for k in p)
        plain = value.reshape(sizes)
        for words, a in (
            ("read as if its axes were in the order", np.transpose(plain.reshape(shape), np.argsort(p))),
            ("reshaped, not transposed back, from the order", np.ascontiguousarray(np.transpose(plain, p)).reshape(sizes)),
        ):
            a = a.reshape(value.shape)
            if not any(np.array_equal(a, t) for t in told):
                told.append(a)
                yield f"{name} {words} {p}", a


# Functions ------------------------------------------------------------------------------------------------------------


def functions(name: str, a: Array) -> Iterator[Variant]:
    """Of an array, what people multiply by or put in its place."""
    whole = name if name.isidentifier() or len(name) < 3 else f"({name})"
    with np.errstate(all="ignore"):
        yield f"1 − {name}", 1 - a
        yield f"{whole}·(1 − {whole})", a * (1 - a)
        yield f"(1 − {whole})²", (1 - a) ** 2
        yield f"1 − {whole}²", 1 - a**2
        yield f"1 + {name}", 1 + a
        yield f"|{name}|", np.abs(a)
        yield f"{whole}²", a * a
        yield f"[{name} > 0]", (a > 0).astype(np.float64)
        yield f"max({name}, 0)", np.maximum(a, 0)
        yield f"min({name}, 0)", np.minimum(a, 0)
        yield f"exp({name})", np.exp(a)
        yield f"1/(1 + exp(−{whole}))", 1 / (1 + np.exp(-a))
        yield f"√|{name}|", np.sqrt(np.abs(a))
        yield f"1/√|{name}|", 1 / np.sqrt(np.abs(a))
        yield f"|{name}|^(3/2)", np.abs(a) ** 1.5
        yield f"1/|{name}|^(3/2)", np.abs(a) ** -1.5
        yield f"sign({name})", np.sign(a)
        yield f"log({name})", np.log(a)


def _functions(found: Fused, letter: Letter, value: Array) -> Iterator[Variant]:
    for words, a in functions(letter.name, value):
        if np.all(np.isfinite(a)):
            yield words, a
    if letter.kind == "parameter":
        yield "1", np.ones(value.shape)
    if any(x.letter == letter for x in found.statistics()):
        yield from (
            ("0", 0 * value),
            (f"2·{letter.name}", 2 * value),
            (f"{letter.name}/2", value / 2),
            (f"−{letter.name}", -value),
        )
    main = next((a for a in found.arrays() if a.kind == "input"), letter)
    if main != letter and set(main.axes) == set(letter.axes) and letter.kind != "parameter":
        for words, a in functions(main.name, placed(found, found.known[main.name])):
            if np.all(np.isfinite(a)):
                yield words, a
    for line in found.formula.lines:
        if line.letter == letter and isinstance(line.expression, Call) and line.expression.axes:
            yield from of_call(found, line.expression)


def _rebuilt(case: Case, found: Fused, letter: Letter, value: Array) -> Iterator[Variant]:
    """x̂ made from y again, with another γ and β."""
    y = found.known.get("y")
    parameters = {n: case.inputs[n].numpy() for n in ("weight", "bias") if n in case.inputs}
    if letter.name != "x̂" or y is None or "weight" not in parameters or case.norm is None:
        return
    at = found.letters.get(case.norm.symbol("weight"))
    own = [a for dim in dims_of(found) for a in dim if at is not None and a in at.axes]
    if not own:  # the formula has no γ: it lies as in the output
        sizes, n = list(np.shape(y)), parameters["weight"].size
        fitting = [k for k, size in enumerate(sizes) if size == n]
        if not fitting:
            return
        own = [found.axes[fitting[0] if len(sizes) > 2 and 1 in fitting else fitting[-1]]]
    shape = [found.sizes[a] if a in own else 1 for a in found.axes]
    if int(np.prod(shape)) != parameters["weight"].size:
        return
    gamma = parameters["weight"].reshape(shape)
    beta = parameters["bias"].reshape(shape) if "bias" in parameters else np.zeros(shape)
    g, b = (case.norm.symbol(n) for n in ("weight", "bias"))
    y = placed(found, y)
    with np.errstate(all="ignore"):
        yield f"y/{g} ({b} is not subtracted)", y / gamma
        yield f"y/{g} − {b}", y / gamma - beta
        yield f"(y − {b})·{g}", (y - beta) * gamma
        yield "y", y
        yield f"y − {b}", y - beta
        yield f"(y + {b})/{g}", (y + beta) / gamma
        yield f"(y − {g})/{b}", (y - gamma) / beta
        for words, index in maps(found, own, gamma.size):
            other = [p.ravel()[index].reshape(shape) for p in (gamma, beta)]
            yield f"(y − {b})/{g} with {g} and {b} of [{words}]", (y - other[1]) / other[0]
            yield f"(y − {b})/{g} with {b} of [{words}]", (y - other[1]) / gamma
            yield f"(y − {b})/{g} with {g} of [{words}]", (y - beta) / other[0]


# What else there is ---------------------------------------------------------------------------------------------------


def _other_parameters(case: Case, found: Fused, letter: Letter, value: Array) -> Iterator[Variant]:
    """Another parameter, or what was saved besides, of the same size; before and after a step of training."""
    if set(letter.axes) == set(found.axes):
        return
    others = {case.norm.symbol(n) if case.norm is not None else n: t.numpy() for n, t in case.inputs.items() if t.requires_grad}
    for name, a in others.items():
        if name != letter.name and a.size == value.size and letter.kind == "parameter":
            yield name, np.reshape(a, value.shape)
    for n in case.inputs:
        if (
            letter.kind == "parameter"
            and n in case.truth
            and letter.name == (case.norm.symbol(n) if case.norm is not None else n)
        ):
            step = np.reshape(case.truth[n], value.shape)
            for rate in (1.0, 0.1, 0.01, 0.001, 0.5, 0.05):
                yield f"{letter.name} − {rate:g}·d{letter.name}, as it is after a step of training,", value - rate * step
    for name, b in case.besides.items():
        if np.size(b) == value.size and letter.kind != "parameter":
            yield name, np.reshape(np.asarray(b, np.float64), value.shape)
    yield from _running(case, found, letter, value)


def _of_repeated_rows(found: Fused, letter: Letter, value: Array) -> Iterator[Variant]:
    """One number for each row of (B·C, …), repeated in the wrong order: ``np.repeat`` for ``np.tile``."""
    dims = dims_of(found)
    own = next((k for k, dim in enumerate(dims) if set(dim) == set(letter.axes)), None)
    if not own or [a for dim in dims for a in dim] != list(found.axes):
        return
    sizes = [int(np.prod([found.sizes[a] for a in dim])) for dim in dims]
    before = int(np.prod(sizes[:own]))
    rows = np.repeat(value.ravel(), before)
    shape = [found.sizes[a] for dim in dims[: own + 1] for a in dim]
    yield (
        f"{letter.name} repeated where it has to be tiled: row r of ({'·'.join(a for dim in dims[: own + 1] for a in dim)}) has {letter.name}[r // {before}],",
        rows.reshape(shape + [1] * (len(found.axes) - len(shape))),
    )


def _running(case: Case, found: Fused, letter: Letter, value: Array) -> Iterator[Variant]:
    """A running statistic after one step, from what was handed over or from 0 and 1."""
    of = {x.letter: x.expression for x in found.formula.lines}.get(letter)
    for n in case.inputs if case.norm is not None else ():
        if n in ("running_mean", "running_var") and case.norm is not None and letter.name == case.norm.symbol(n):
            yield from _one_step_on(case, found, letter, value, n == "running_var")
    if not (isinstance(of, Total) and of.function == "mean"):
        return
    count = int(np.prod([found.sizes[a] for a in of.axes]))
    spread = is_variance(found, letter)
    before = {("1" if spread else "0"): np.ones(value.shape) * spread}
    wanted = "running_var" if spread else "running_mean"
    before |= {
        k: np.reshape(np.asarray(b), value.shape) for k, b in case.besides.items() if k == wanted and np.size(b) == value.size
    }
    for name, b in before.items():
        for f in _FACTORS:
            for words, now in ((letter.name, value), (f"{letter.name} with N − 1", value * count / max(count - 1, 1))):
                yield f"{f:g}·{name} + {1 - f:g}·{words}, a running statistic after this step,", f * b + (1 - f) * now


def _one_step_on(case: Case, found: Fused, letter: Letter, value: Array, spread: bool) -> Iterator[Variant]:
    main = next((a for a in found.arrays() if a.name == (case.norm.symbol("input") if case.norm is not None else "x")), None)
    if main is None:
        return
    x = found.known_as(main)
    along = tuple(k for k, size in enumerate(value.shape) if size == 1)
    for ddof in (0, 1) if spread else (0,):
        now = x.var(along, keepdims=True, ddof=ddof) if spread else x.mean(along, keepdims=True)
        name = "the batch's variance" + " with N − 1" * ddof if spread else "the batch's mean"
        for f in (*_FACTORS, 0.0):
            yield f"{f:g}·{letter.name} + {1 - f:g}·{name}, as it is after a step of training,", f * value + (1 - f) * now


def is_variance(found: Fused, letter: Letter) -> bool:
    """Whether a statistic is the mean of a square."""
    of = next((x.expression for x in found.formula.lines if x.letter == letter), None)
    return isinstance(of, Total) and isinstance(of.inside, Power)
