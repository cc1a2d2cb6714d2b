"""What is derived from: a forward run once, on numbers whose sizes can be told apart."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import product
from typing import Any

import numpy as np

from ..engine import GradientError, Tensor, TinygradNormError, grad, history, pull_back, tensor
from ..engine.arrays import Array
from ..graph import Graph, axis_names
from ..norms import Norm, check_settings, draw, get
from .assumption import Assumption, branches
from .axes import Axes
from .errors import DerivationError
from .extremes import Extreme, elsewhere, extremes_of
from .following import Tree
from .makings import Making
from .marks import Place, Size, marks, numbers_on

_PRIMES = (7, 11, 13, 17, 19, 23, 29)
_SPLIT = (18, 30, 42, 66, 78, 102, 114)  # into 2, 3 or 6 groups, for forwards that cannot have a prime


@dataclass(frozen=True)
class Record:
    """What was recorded to derive from: the output, its inputs by name, the cotangent; names of axes and numbers.

    marks:    which numbers on it are sizes, or options that have a name, by place
    unknown:  numbers that depend on the sizes in a way that was not found
    notes:    what has to be said of how it was drawn
    others:   the same forward at other sizes, on other numbers; the last at these sizes, where no other are possible
    extremes: the same at even, equal and single sizes, on much smaller and larger numbers, each with its words
    first:    the forward's output, where the output is a gradient
    trees:    of its numbers that were computed from sizes: by which formula
    makings:  of its constants that were made of the inputs: how
    make:     records the forward once more
    """

    name: str
    title: str
    output: Tensor
    inputs: Mapping[str, Tensor]
    dy: Tensor
    axes: Mapping[str, Sequence[str]]
    numbers: Mapping[str, float]
    order: int = 1
    marks: Mapping[Place, Size] = field(default_factory=dict)
    unknown: Mapping[Place, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    others: tuple[Record, ...] = ()
    extremes: tuple[Extreme, ...] = ()
    first: Tensor | None = None
    trees: Mapping[Tensor, Mapping[int | str, Tree]] = field(default_factory=dict)
    makings: Mapping[Tensor, Making] = field(default_factory=dict)
    make: Callable[..., Record] | None = None


class Recorder:
    """Records a forward: ``make()``, or ``make(again=1)`` at other sizes and on other numbers.

    again:    0 for the record that is derived from; 1, 2, … are others
    scaled:   options that have a name, such as ε, are others, too
    on:       arrays for the inputs by name, in place of those that are drawn
    numbers:  values of options that have a name
    """

    def __init__(self, make: Callable[..., Record]) -> None:
        self._make = make

    def __call__(
        self,
        again: int = 0,
        scaled: bool = False,
        on: Mapping[str, Array] | None = None,
        numbers: Mapping[str, float] | None = None,
    ) -> Record:
        return replace(self._make(again, _SCALES[again % len(_SCALES)] if scaled else 1.0, on or {}, numbers or {}), make=self)


_SCALES = (1.0, 1.5, 0.6875)  # of ε, from record to record


def recorder(
    norm: Any,
    inputs: Any,
    shape: Any,
    backward: str,
    seed: int,
    options: Mapping[str, Any],
    lemmas: Sequence[str],
    given: Mapping[str, Array] | None = None,
) -> Recorder:
    """What records the forward.

    given:  arrays by the name or the symbol of an input, to be taken instead of random ones, in their dtype
    """
    if isinstance(norm, (str, Norm)):
        found = get(norm)
        return Recorder(partial(_of_norm, found, shape, backward, seed, options, lemmas, given or {}))
    inputs = {**(inputs or {}), **(given or {})} if callable(norm) else inputs
    if not callable(norm) or not inputs:
        raise DerivationError(
            'derive: to derive a forward of your own, name the axes of its inputs: inputs={"x": ("B", "N"), "w": ("N",)}.'
        )
    if shape is not None:
        raise DerivationError(
            f"derive: shape={shape} for a forward of your own: name the axes, whose sizes do not matter, or give arrays of your sizes, "
            'inputs={"x": np.ones((3, 8))}.'
        )
    return Recorder(partial(_of_function, norm, inputs, seed, options, lemmas))


def sized(record: Record, name: str) -> Record:
    """The record, knowing which of its numbers are sizes: it is made twice more at other sizes (and with another ε)."""
    assert record.make is not None

    def again(k: int, scaled: bool) -> Record:
        made = record.make(k, scaled)  # type: ignore[misc]
        return second_of(made, name) if record.order == 2 else made

    others: list[Record] = []
    marked: dict[Place, Size] = {}
    unknown: dict[Place, float] = {}
    with suppress(TinygradNormError, ValueError, ArithmeticError):
        others = [again(1, False), again(2, False)]
        several = [record, *(again(k, True) for k in (1, 2))]
        marked, unknown = marks([r.output for r in several], [sizes_of(r) for r in several])
    notes = list(record.notes)
    notes += [f"{v:g}, which depends on the sizes (the formula is for these)" for v in dict.fromkeys(unknown.values())]
    moved = others and any(a.shape != b.shape for a, b in zip(record.inputs.values(), others[0].inputs.values()))
    if not moved:
        same = _alike(record)
        notes += [f"{v:g} is a number, though {n} is as large: the record has no other sizes" for v, n in same.items()]
    tried = list(extremes_of(record, lambda made: second_of(made, name) if record.order == 2 else made))
    extremes = tuple(place for place in tried if place.record is not None)
    others_at = elsewhere(record.output, ((place, place.record.output) for place in extremes if place.record is not None))
    notes += branches([*others_at, *(place.words for place in tried if place.record is None)])
    return replace(
        record, marks=marked, unknown=unknown, others=tuple(others), extremes=extremes, notes=tuple(dict.fromkeys(notes))
    )


def sizes_of(record: Record) -> dict[str, float]:
    """The size of every axis of a record, and the value of every option that has a name, by name."""
    return {**{str(a): float(n) for a, n in Axes(Graph(record.output), record.axes).sizes.items()}, **record.numbers}


def sizes_on(norm: Any, inputs: Any = None, **options: Any) -> dict[Place, Size]:
    """Which numbers on the record of this forward are sizes: ``{(place, operand): Size}``, without any algebra.

    place is a tensor by age (as ``engine.history`` lists them), operand which of its operands or options; ``str(size)`` is
    ``N − 1``, ``size.at({"B": 3, "N": 8})`` its value at other sizes. What an exporter needs so that what it writes holds for
    every shape.
    """
    record = recorder(norm, inputs, options.pop("shape", None), "recorded", 0, options, ())()
    return dict(sized(record, "").marks)


def _alike(record: Record) -> dict[float, str]:
    """Numbers on the record that are as large as an axis, or one over it: from 3 on, for 2 is in many formulas."""
    found = {}
    sizes = {v: n for n, v in sizes_of(record).items() if n not in record.numbers and v > 2}
    for _, value in numbers_on(record.output):
        for v in (value, 1 / value if value else 0.0):
            if v in sizes:
                found[value] = sizes[v]
    return found


def _of_norm(
    norm: Norm,
    shape: Any,
    backward: str,
    seed: int,
    options: Mapping[str, Any],
    lemmas: Sequence[str],
    given: Mapping[str, Array],
    again: int,
    scale: float,
    on: Mapping[str, Array],
    numbers: Mapping[str, float],
) -> Record:
    settings = check_settings(norm, options, "derive")
    if "ε" in numbers and "eps" in settings:
        settings["eps"] = numbers["ε"]
    if isinstance(settings.get("eps"), float):
        settings["eps"] *= scale
    given = {} if again else {_called(norm, name, settings, shape): a for name, a in given.items()}
    given |= on
    ndim = len(norm.shape) if shape is None else len(shape)
    shape = given["input"].shape if "input" in given else None if again else shape
    dtype = next((a.dtype for a in given.values() if a.dtype.kind == "f"), np.dtype(np.float64))
    if shape is not None and (not shape or min(shape) < 1):
        raise DerivationError(f"derive: shape={shape}; it has at least one axis, and none is empty.")
    candidates = [shape] if shape else [*_shapes(ndim, again), *([norm.shape] if ndim == len(norm.shape) else [])]
    failure: Exception | None = None
    for candidate in candidates:
        rng = np.random.default_rng(seed + _APART * again)
        try:
            values = {n: draw(norm, n, rng, s) for n, s in {"input": candidate, **norm.parameters(candidate, **settings)}.items()}
            values |= {n: a.astype(dtype) if values[n].dtype.kind == "f" else a for n, a in given.items()}
            leaves = {
                n: _leaf(imposed(a, norm.symbol(n), axis_names(a.ndim), lemmas), norm.symbol(n), dtype) for n, a in values.items()
            }
            y = norm.apply(leaves, backward=backward, **settings)
        except (TinygradNormError, ValueError) as error:
            failure = failure or error
            continue
        eps = settings.get("eps")
        if y.op is None:
            raise DerivationError(f"derive: {norm.title} computes nothing with these options.")
        dy = tensor(rng.normal(size=y.shape).astype(y.dtype), requires_grad=True, name="dy")
        axes = {norm.symbol(n): axis_names(a.ndim) for n, a in values.items() if a.shape == values["input"].shape}
        return Record(norm.name, norm.title, y, leaves, dy, axes, {"ε": eps} if isinstance(eps, float) and eps > 0 else {})
    assert failure is not None
    raise failure


def _shapes(ndim: int, again: int) -> list[tuple[int, ...]]:
    """Sizes that can be told apart; the second with channels that split into groups."""
    plain = (_PRIMES * 2)[again : again + ndim]
    return [plain, (plain[0], (6, 10, 14)[again % 3], *plain[1 : ndim - 1])] if ndim > 1 else [plain]


def _leaf(a: Array, name: str, dtype: Any) -> Tensor:
    return tensor(a, name=name) if a.dtype.kind != "f" else tensor(a.astype(dtype), requires_grad=True, name=name)


def _called(norm: Norm, name: str, settings: Mapping[str, Any], shape: Any) -> str:
    """An input's own name, for its name or its symbol."""
    known = ["input", *norm.parameters(shape or norm.shape, **settings)]
    for n in known:
        if name in (n, norm.symbol(n)):
            return n
    told = ", ".join(f"{n} ({norm.symbol(n)})" for n in known)
    raise DerivationError(f"{norm.title} has no input {name!r}; it has {told}.")


def _of_function(
    f: Callable[..., Tensor],
    inputs: Any,
    seed: int,
    options: Mapping[str, Any],
    lemmas: Sequence[str],
    again: int,
    scale: float,
    on: Mapping[str, Array],
    numbers: Mapping[str, float],
) -> Record:
    """The forward of a user: on its arrays, on numbers drawn for its axes, or (again) on others, at other sizes."""
    named, values = {}, {}
    for n, given in inputs.items():
        if isinstance(given, (tuple, list)) and all(isinstance(a, str) for a in given) and len(set(given)) == len(given):
            named[n] = tuple(given)
        elif (isinstance(given, (tuple, list)) and all(isinstance(a, str) for a in given)) or isinstance(given, str):
            raise DerivationError(f"derive: inputs={{{n!r}: {given!r}}}: expected the names of its axes, each once, or an array.")
        elif isinstance(given, (tuple, list)) and any(isinstance(a, str) for a in given):
            raise DerivationError(f"derive: inputs={{{n!r}: {given!r}}}: an axis is given by its name, not by its size.")
        else:
            value = np.asarray(given.data if isinstance(given, Tensor) else given)
            values[n] = value if value.dtype.kind == "f" else value.astype(np.float64)
    single = [Assumption(f"{n} has one entry along an axis, {v.shape}") for n, v in values.items() if 1 in v.shape]
    fixed: list[Mapping[str, Array]] = [{**values, **on}]
    if again and values and not on:
        fixed = list(
            _at_other_sizes(_run(f, inputs, options, values, named, seed, 0, lemmas), values, seed + _APART * again, again)
        )
    first: Record | None = None
    failure: Exception | None = None
    for arrays, drawn in product(fixed, (_PRIMES, _SPLIT)):
        for positive in (False, True):
            try:
                record = _run(f, inputs, options, arrays, named, seed, again, lemmas, positive, drawn)
            except (TinygradNormError, ValueError) as error:
                failure = failure or error
                break
            record = replace(record, notes=(*record.notes, *single))
            if _finite(record) or not (named or again) or on:
                return record
            first = first or record
    if first is None:
        assert failure is not None
        raise failure
    return first


_APART = 7919  # seeds of other records


def _finite(record: Record) -> bool:
    with np.errstate(all="ignore"):
        found = pull_back({record.output: record.dy.data}, [t for t in record.inputs.values() if t.requires_grad])
    return all(np.all(np.isfinite(a)) for a in (record.output.data, *found.values()))


def _run(
    f: Callable[..., Tensor],
    inputs: Any,
    options: Mapping[str, Any],
    arrays: Mapping[str, Array],
    named: Mapping[str, Sequence[str]],
    seed: int,
    again: int,
    lemmas: Sequence[str],
    positive: bool = False,
    drawn: Sequence[int] = _PRIMES,
) -> Record:
    rng = np.random.default_rng(seed + _APART * again)
    sizes = {a: k for n, own in named.items() if n in arrays for a, k in zip(own, arrays[n].shape)}
    leaves = {}
    for n in inputs:
        if n in arrays:
            value = np.abs(arrays[n]) + 0.1 if positive and again and n not in named else arrays[n]
        else:
            for a in named[n]:
                sizes.setdefault(a, drawn[(len(sizes) + again) % len(drawn)])
            value = rng.normal(size=[sizes[a] for a in named[n]])
            value = np.abs(value) + 0.1 if positive else value
        value = imposed(value, n, named.get(n, axis_names(value.ndim)), lemmas)
        leaves[n] = tensor(value, requires_grad=True, name=n)
    try:
        with np.errstate(all="ignore"):
            y = f(**leaves, **options)
    except TypeError as error:
        if "argument" not in str(error):
            raise
        raise DerivationError(
            f"derive: {getattr(f, '__name__', 'the forward')}: {error}; inputs= names {', '.join(inputs)}."
        ) from None
    if any(y is leaf for leaf in leaves.values()):
        y = y * 1.0
    if not isinstance(y, Tensor) or y.op is None:
        raise GradientError("derive: the forward must compute one tensor from its inputs, in recorded operations.")
    name = getattr(f, "__name__", "forward")
    dy = tensor(rng.normal(size=y.shape).astype(y.dtype), requires_grad=True, name="dy")
    notes = ("the inputs are positive: the forward is no number elsewhere",) if positive and named else ()
    return Record("forward" if name == "<lambda>" else name, name, y, leaves, dy, named, {}, notes=notes)


def _at_other_sizes(first: Record, values: Mapping[str, Array], seed: int, again: int) -> Iterator[dict[str, Array]]:
    """Arrays for the same axes at other sizes; where an axis is made of several, one of these keeps its size."""
    axes = Axes(Graph(first.output), first.axes)
    dims = {n: axes.dims[t] for n, t in first.inputs.items() if n in values and t in axes.dims}
    together = {dim for own in dims.values() for dim in own if len(dim) > 1}
    fresh = [p for p in _PRIMES if p not in axes.sizes.values()]
    other = {a: fresh[(k + again) % len(fresh)] for k, a in enumerate(axes.order)}
    for kept in [(), *product(*together), tuple(a for dim in together for a in dim), tuple(axes.order)]:
        sizes = {a: axes.sizes[a] if a in kept else other[a] for a in axes.order}
        rng = np.random.default_rng(seed)
        arrays = {}
        for n, value in values.items():
            shape = [int(np.prod([sizes[a] for a in dim])) for dim in dims[n]] if n in dims else value.shape
            scale = float(np.sqrt(np.mean(value.astype(np.float64) ** 2))) if value.size else 1.0
            arrays[n] = (rng.normal(size=shape) * (scale or 1.0)).astype(value.dtype)
        yield arrays


def cotangent_of(record: Record) -> Array:
    """What flows into the output: dy, or of a gradient the v that it is differentiated again with."""
    y = record.output
    return record.dy.data if record.order == 1 else np.random.default_rng(y.size).normal(size=y.shape).astype(y.dtype)


def second_of(record: Record, name: str) -> Record:
    """The gradient as the forward."""
    x = record.inputs[name]
    (dx,) = grad(record.output, x, record.dy, create_graph=True)
    if dx.op is None:
        raise DerivationError(f"derive: d{x.name} does not depend on {x.name}: its derivative is zero.")
    named = dx.named(f"d{x.name}")
    return replace(record, output=named, order=2, first=record.output)


def target_of(record: Record, wrt: str | None) -> str:
    """The name of the input that ``wrt`` calls by name or symbol; the first by default."""
    able = {n: t for n, t in record.inputs.items() if t.requires_grad}
    if wrt is None:
        return next(iter(able))
    for n, t in able.items():
        if wrt in (n, t.name):
            return n
    raise DerivationError(
        f"derive: there is no input {wrt!r} to differentiate by; there are {', '.join(f'{n} ({t.name})' if n != t.name else n for n, t in able.items())}."
    )


def gradients_of(norm: Any, **how: Any) -> list[str]:
    """The names of the inputs that have a gradient."""
    usual = dict(get(norm).derived_with) if isinstance(norm, (str, Norm)) else {}
    lemmas = usual.pop("lemmas", ())
    record = recorder(norm, how.pop("inputs", None), how.pop("shape", None), "recorded", 0, {**usual, **how}, lemmas)()
    reached = set(history(record.output))
    return [n for n, t in record.inputs.items() if t.requires_grad and t in reached]


# What is known of an input -----------------------------------------------------------------------------------


def read_lemma(text: str) -> tuple[str | None, str, float]:
    """``Σ_N(q) = 1``: the axes, the letter, the value."""
    found = re.fullmatch(r"\s*(?:Σ|sum)(?:_(\w+))?\(([^()]+)\)\s*=\s*(\d+\.?\d*)\s*", text)
    if found is None:
        raise DerivationError(f"derive: the lemma {text!r} cannot be read; write it as 'Σ_N(q) = 1', q a letter of the record.")
    return found[1], found[2].strip(), float(found[3])


def imposed(a: Array, name: str, axes: Sequence[str], lemmas: Sequence[str]) -> Array:
    """What is known of an input is made true of its numbers."""
    for over, letter, value in map(read_lemma, lemmas):
        if letter == name and a.ndim:
            where = tuple(k for k, axis in enumerate(axes) if axis in (over or axes[-1]))
            a = a * value / a.sum(axis=where, keepdims=True)
    return a
